//! Qualities: the `q` of Contact and of the Accept headers (RFC 3261 §25.1, `qvalue`).

use super::ParseError;
use std::fmt;
use std::str::FromStr;

/// A quality (`q`) in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QValue(u16);

impl QValue {
    /// A quality in thousandths; what is above 1000 counts as that.
    pub const fn new(thousandths: u16) -> Self {
        QValue(if thousandths > 1000 { 1000 } else { thousandths })
    }
    /// The quality in thousandths.
    pub const fn thousandths(self) -> u16 {
        self.0
    }
}

impl FromStr for QValue {
    type Err = ParseError;

    /// `0`, `0.33`, `1.000`: at most three decimals, at most 1.
    fn from_str(text: &str) -> Result<QValue, ParseError> {
        let bad = ParseError { offset: 0, rule: "qvalue: 0 to 1 with at most three decimals" };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad);
        }
        let fraction = decimals.bytes().chain(*b"000").take(3).fold(0, |n, b| n * 10 + u16::from(b - b'0'));
        match whole {
            "0" => Ok(QValue(fraction)),
            "1" if fraction == 0 => Ok(QValue(1000)),
            _ => Err(bad),
        }
    }
}

impl fmt::Display for QValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.0 % 1000) {
            (1000, _) => f.write_str("1"),
            (0, _) => f.write_str("0"),
            (_, n) if n % 100 == 0 => write!(f, "0.{}", n / 100),
            (_, n) if n % 10 == 0 => write!(f, "0.{:02}", n / 10),
            (_, n) => write!(f, "0.{n:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities() {
        for (text, thousandths, printed) in [
            ("0.33", 330, "0.33"),
            ("1", 1000, "1"),
            ("1.000", 1000, "1"),
            ("0.", 0, "0"),
            ("0.5", 500, "0.5"),
            ("0.001", 1, "0.001"),
        ] {
            let q: QValue = text.parse().unwrap();
            assert_eq!((q.thousandths(), q.to_string().as_str()), (thousandths, printed));
        }
        for text in ["1.1", "0.1234", "", "2", ".5", "0.-1", "0.é"] {
            assert!(text.parse::<QValue>().is_err(), "{text}");
        }
    }
}
