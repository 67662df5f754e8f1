//! Texts that are never shown, not even in an error.

use super::{ConfigError, FileName};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::fmt::{self, Display};

const PASSWORD: &str = "expected the password";

/// The password for a server that the proxy uses. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

impl Password {
    /// The password.
    pub fn secret(&self) -> &str {
        &self.0
    }

    fn new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() { Err(PASSWORD) } else { Ok(Password(text.into())) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // One of digits alone needs no quotes in the environment.
        hidden(from, "expected a text in quotes", Password::new)
    }
}

/// A password that is configured, before that of a file.
///
/// # Errors
/// When the file cannot be read, or holds none.
pub(super) fn one_of(password: Option<&Password>, file: Option<&FileName>) -> Result<Option<Password>, ConfigError> {
    match (password, file) {
        (Some(password), _) => Ok(Some(password.clone())),
        (None, Some(file)) => first_line(file, Password::new).map(Some),
        (None, None) => Ok(None),
    }
}

/// What `make` makes of the first line of a file.
///
/// # Errors
/// When it cannot be read, or its first line is no such thing.
pub(super) fn first_line<T, E: Display>(file: &FileName, make: fn(&str) -> Result<T, E>) -> Result<T, ConfigError> {
    let wrong = |what: String| ConfigError::Token { place: file.place().to_owned(), what };
    let path = file.path.display();
    let text = std::fs::read_to_string(&file.path).map_err(|error| wrong(format!("{path} cannot be read: {error}")))?;
    make(text.lines().next().unwrap_or_default().trim_end())
        .map_err(|error| wrong(format!("{path}: first line: {error}")))
}

/// Takes a text for what `make` makes of it. What else it gets it does not show: an error of serde's own would.
pub(super) fn hidden<'de, D: Deserializer<'de>, T, E: Display>(
    from: D,
    expected: &'static str,
    make: fn(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    from.deserialize_any(Hidden { expected, make })
}

struct Hidden<T, E> {
    expected: &'static str,
    make: fn(&str) -> Result<T, E>,
}

impl<T, E: Display> Visitor<'_> for Hidden<T, E> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<F: Error>(self, text: &str) -> Result<T, F> {
        (self.make)(text).map_err(F::custom)
    }

    fn visit_bool<F: Error>(self, _: bool) -> Result<T, F> {
        Err(F::custom(self.expected))
    }

    fn visit_i64<F: Error>(self, _: i64) -> Result<T, F> {
        Err(F::custom(self.expected))
    }

    fn visit_u64<F: Error>(self, _: u64) -> Result<T, F> {
        Err(F::custom(self.expected))
    }

    fn visit_f64<F: Error>(self, _: f64) -> Result<T, F> {
        Err(F::custom(self.expected))
    }
}
