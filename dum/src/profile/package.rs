//! Event packages.

use stack::header::MediaType;
use std::ops::RangeInclusive;

/// The shortest interval that a package may refuse as too brief (RFC 6665 §4.2.1.1).
const HOUR: u32 = 3600;

/// What is known of an event package (RFC 6665 §7.2): its name, the bodies of its NOTIFYs, and how long its
/// subscriptions last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPackage {
    name: String,
    accept: Vec<MediaType<'static>>,
    default_expires: u32,
    expires: RangeInclusive<u32>,
}

impl EventPackage {
    /// A package by its name: no bodies, an hour by default, any time up to a day.
    pub fn new(name: impl Into<String>) -> Self {
        EventPackage { name: name.into(), accept: Vec::new(), default_expires: HOUR, expires: 0..=24 * HOUR }
    }

    /// Its NOTIFYs have bodies of a type; it stands in Accept of SUBSCRIBEs.
    pub fn with_type(mut self, media: MediaType<'static>) -> Self {
        self.accept.push(media);
        self
    }

    /// How many seconds a subscription lasts when its SUBSCRIBE does not say.
    pub fn with_default_expires(mut self, seconds: u32) -> Self {
        self.default_expires = seconds;
        self
    }

    /// How many seconds a subscription may last: a SUBSCRIBE for less is refused with 423, unless it asks for an hour or
    /// more or for nothing; one for more gets the most (RFC 6665 §4.2.1.1).
    pub fn with_expires(mut self, seconds: RangeInclusive<u32>) -> Self {
        self.expires = seconds;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The types of the bodies of its NOTIFYs.
    pub fn accept(&self) -> &[MediaType<'static>] {
        &self.accept
    }

    /// How long a subscription lasts that asks for a time, or for none.
    ///
    /// # Errors
    /// It is too brief: the least that will do.
    pub(crate) fn grant(&self, asked: Option<u32>) -> Result<u32, u32> {
        let (least, most) = (*self.expires.start(), *self.expires.end());
        match asked.unwrap_or(self.default_expires) {
            0 => Ok(0),
            seconds if seconds < least.min(HOUR) => Err(least),
            seconds => Ok(seconds.min(most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_granted_shortened_or_refused() {
        let package = EventPackage::new("presence").with_default_expires(300).with_expires(60..=600);
        let granted = [None, Some(0), Some(1), Some(59), Some(60), Some(600), Some(601), Some(u32::MAX)];
        let expected = [Ok(300), Ok(0), Err(60), Err(60), Ok(60), Ok(600), Ok(600), Ok(600)];
        assert_eq!(granted.map(|asked| package.grant(asked)), expected);
        // Nobody may refuse an hour for being brief.
        let slow = EventPackage::new("x").with_expires(7200..=9000);
        assert_eq!([slow.grant(Some(3599)), slow.grant(Some(3600))], [Err(7200), Ok(3600)]);
    }
}
