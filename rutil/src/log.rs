//! Log set-up for programs. Libraries only emit `tracing` events.

use parking_lot::Mutex;
use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The filter of the process's log, as it was given, and how to put another in its place.
struct Filter {
    text: Mutex<String>,
    set: Box<dyn Fn(EnvFilter) -> bool + Send + Sync>,
}

static FILTER: OnceLock<Filter> = OnceLock::new();

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For eyes.
    #[default]
    Human,
    /// One JSON object a line, for collectors.
    Json,
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not of the form `target=level,…`.
    #[error("log filter {filter:?}: {source}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// A word that is no level would be taken for a module, of which alone something is logged.
    #[error(
        "log filter {filter:?}: {word:?} is no level: expected off, error, warn, info, debug, trace, or MODULE=LEVEL"
    )]
    Level {
        /// The filter as given.
        filter: String,
        /// The word.
        word: String,
    },
    /// The process has a log already.
    #[error("the log is set up already")]
    AlreadySet,
    /// The process has no log that [`init`] has set up.
    #[error("there is no log whose filter could be changed")]
    NotSet,
}

/// Sends the process's log to standard error.
///
/// `filter` is a list of `target=level`, for example `info,stack::transport=debug`; the empty one lets errors through.
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    let env = parse(filter)?;
    // A line that cannot be written (a full disk, a closed pipe) is lost: to say so on standard error would panic.
    let lines = tracing_subscriber::fmt().with_env_filter(env);
    let lines = lines.with_writer(io::stderr).log_internal_errors(false);
    // Colours are for eyes: a file or a pipe gets none.
    let lines = lines.with_ansi(io::stderr().is_terminal());
    let set: Box<dyn Fn(EnvFilter) -> bool + Send + Sync> = match format {
        Format::Human => {
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            lines.finish().try_init().map_err(|_| LogError::AlreadySet)?;
            Box::new(move |filter| handle.reload(filter).is_ok())
        }
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            lines.finish().try_init().map_err(|_| LogError::AlreadySet)?;
            Box::new(move |filter| handle.reload(filter).is_ok())
        }
    };
    // Only one log can be set up.
    let _ = FILTER.set(Filter { text: Mutex::new(filter.to_owned()), set });
    Ok(())
}

/// The filter of the log as it is now, if [`init`] has set one up.
pub fn filter() -> Option<String> {
    Some(FILTER.get()?.text.lock().clone())
}

/// Puts another filter in the place of the one before, while the log is written.
///
/// # Errors
/// When it is no filter, then the old one stays, or there is no log.
pub fn set_filter(filter: &str) -> Result<(), LogError> {
    let env = parse(filter)?;
    let own = FILTER.get().ok_or(LogError::NotSet)?;
    let mut text = own.text.lock();
    if !(own.set)(env) {
        return Err(LogError::NotSet);
    }
    filter.clone_into(&mut text);
    Ok(())
}

/// Whether a filter can be used.
///
/// # Errors
/// When it cannot.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    // What has brackets names a span.
    let mut words = filter.split(',').map(str::trim).filter(|word| !word.is_empty() && !word.contains(['=', '[']));
    if let Some(word) = words.find(|word| !is_level(word)) {
        return Err(LogError::Level { filter: filter.to_owned(), word: word.to_owned() });
    }
    EnvFilter::builder().parse(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the log belongs to the whole process.
    #[test]
    fn once_and_with_a_good_filter() {
        assert!(matches!(set_filter("info"), Err(LogError::NotSet)) && filter().is_none());
        let error = init(Format::Human, "stack=loud").unwrap_err();
        assert!(matches!(error, LogError::Filter { .. }) && error.to_string().contains("stack=loud"), "{error}");
        let error = check_filter("warn,verbose").unwrap_err().to_string();
        assert!(error.contains("\"verbose\" is no level"), "{error}");
        assert!(["", "OFF", "info,stack=debug", "repro[call]=trace"].iter().all(|filter| check_filter(filter).is_ok()));
        init(Format::Json, "warn,rutil=error").unwrap();
        assert!(tracing::enabled!(target: "elsewhere", tracing::Level::WARN));
        assert!(!tracing::enabled!(target: "rutil", tracing::Level::WARN));
        assert!(matches!(init(Format::Human, "info"), Err(LogError::AlreadySet)));
        // Changed while it is there.
        assert!(matches!(set_filter("rutil=loud"), Err(LogError::Filter { .. })));
        assert_eq!(filter().as_deref(), Some("warn,rutil=error"));
        set_filter("error,rutil=debug").unwrap();
        assert!(tracing::enabled!(target: "rutil", tracing::Level::DEBUG));
        assert!(!tracing::enabled!(target: "elsewhere", tracing::Level::WARN));
        assert_eq!(filter().as_deref(), Some("error,rutil=debug"));
    }
}
