//! Texts that are never shown, not even in an error.

use serde::de::{Deserializer, Error, Visitor};
use std::fmt::{self, Display};

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
        write!(f, "a text in quotes: {}", self.expected)
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
