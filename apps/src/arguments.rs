//! What the programs read from their command lines.

use stack::uri::{SipUri, Uri};
use std::time::Duration;

/// A time with its unit: `200ms`, `10s`, `1.5m`, `1h`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?}: expected a number and ms, s, m or h, as 200ms or 10s");
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(bad()),
    };
    let number: f64 = number.parse().map_err(|_| bad())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| bad())
}

/// A word that can stand in a header.
pub(crate) fn token(text: &str) -> Result<String, String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    let good = !text.is_empty() && text.bytes().all(is_token);
    if good { Ok(text.to_owned()) } else { Err(format!("{text:?}: expected an event package, as presence")) }
}

/// A `sip:` or `sips:` URI.
pub(crate) fn sip_uri(text: &str) -> Result<SipUri<'static>, String> {
    match Uri::parse_request(text) {
        Ok(Uri::Sip(uri)) => Ok(uri.into_owned()),
        Ok(_) => Err(format!("{text:?}: expected a SIP URI, as sip:service@127.0.0.1:5070")),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

/// What can be asked for in a line of HTTP.
pub(crate) fn path(text: &str) -> Result<String, String> {
    let good = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(text.to_owned()) } else { Err(format!("{text:?}: expected a path, as /ws")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(time("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        for wrong in ["10", "s", "-1s", "5d", "1e400s", "NaNs"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
