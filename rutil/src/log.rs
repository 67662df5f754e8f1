//! Log set-up for programs. Libraries only emit `tracing` events.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

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
    /// The process has a log already.
    #[error("the log is set up already")]
    AlreadySet,
}

/// Sends the process's log to standard error.
///
/// `filter` is a list of `target=level`, for example `info,stack::transport=debug`; the empty one lets errors through.
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    let env =
        EnvFilter::builder().parse(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })?;
    // A line that cannot be written (a full disk, a closed pipe) is lost: to say so on standard error would panic.
    let lines = tracing_subscriber::fmt().with_env_filter(env).with_writer(std::io::stderr).log_internal_errors(false);
    match format {
        Format::Human => lines.finish().try_init(),
        Format::Json => lines.json().flatten_event(true).finish().try_init(),
    }
    .map_err(|_| LogError::AlreadySet)
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the log belongs to the whole process.
    #[test]
    fn once_and_with_a_good_filter() {
        let error = init(Format::Human, "stack=loud").unwrap_err();
        assert!(matches!(error, LogError::Filter { .. }) && error.to_string().contains("stack=loud"), "{error}");
        init(Format::Json, "warn,rutil=error").unwrap();
        assert!(tracing::enabled!(target: "elsewhere", tracing::Level::WARN));
        assert!(!tracing::enabled!(target: "rutil", tracing::Level::WARN));
        assert!(matches!(init(Format::Human, "info"), Err(LogError::AlreadySet)));
    }
}
