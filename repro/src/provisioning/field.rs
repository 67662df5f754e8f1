//! Fields that several kinds of records have: what they may be is checked when they are read.

use crate::config::net::{BadText, bad};
use serde::{Deserialize, Serialize, Serializer};
use stack::uri::{SipUri, Uri, decode};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Most octets of an address-of-record.
pub const MOST_AOR: usize = 512;
/// Most octets of the URI of a contact.
const MOST_URI: usize = 1024;

/// An address-of-record, `user@domain` as [`crate::proxy::aor_key`] makes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Aor(Box<str>);

impl Aor {
    /// The same as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`, with its escapes.
    pub fn user(&self) -> &str {
        self.0.split_once('@').map_or("", |(user, _)| user)
    }

    /// The same without escapes: the user name of the digest.
    pub fn user_name(&self) -> String {
        String::from_utf8_lossy(&decode(self.user())).into_owned()
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for Aor {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        const EXPECTED: &str = "an address-of-record, as alice@example.com: a user and a domain without a port";
        let shown = || bad(&text.chars().take(MOST_AOR).collect::<String>(), EXPECTED);
        let uri = format!("sip:{}", text.strip_prefix("sip:").unwrap_or(text));
        match Uri::parse(&uri) {
            Ok(Uri::Sip(sip)) => {
                let plain = sip.password.is_none() && sip.params.is_empty() && sip.headers.as_str().is_empty();
                let named = sip.port.is_none() && sip.user.as_ref().is_some_and(|user| !user.is_empty());
                let key = sip.aor_key();
                if plain && named && key.len() <= MOST_AOR { Ok(Aor(key.into())) } else { Err(shown()) }
            }
            _ => Err(shown()),
        }
    }
}

/// `HA1` of `N` octets: a hash of user, realm and password (RFC 7616 §3.4.2). It serves as the password does, so it is
/// never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Ha1<const N: usize>([u8; N]);

impl<const N: usize> Ha1<N> {
    /// The hash.
    pub fn octets(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> FromStr for Ha1<N> {
    type Err = BadHa1;
    fn from_str(text: &str) -> Result<Self, BadHa1> {
        let wrong = BadHa1(2 * N);
        if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong);
        }
        let mut octets = [0; N];
        for (at, octet) in octets.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).ok_or(wrong)?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| wrong)?;
        }
        Ok(Ha1(octets))
    }
}

/// A text is no `HA1`. It is not shown: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} hexadecimal digits: the hash of user:realm:password")]
pub struct BadHa1(usize);

impl<const N: usize> fmt::Display for Ha1<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Ha1<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1")
    }
}

/// A place that calls go to: a sip or sips URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ContactUri(Box<str>);

impl ContactUri {
    /// The same as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContactUri {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        match Uri::parse_request(text) {
            Ok(Uri::Sip(_)) if text.len() <= MOST_URI => Ok(ContactUri(text.into())),
            _ => Err(bad(text.get(..MOST_URI).unwrap_or(text), "a sip or sips URI, as sip:+15550100@gw.example.com")),
        }
    }
}

/// Where a call is forwarded to: a sip, sips or tel URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ForwardUri(Arc<str>);

impl ForwardUri {
    /// The same as a text.
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }

    /// The key of the address-of-record that it would be; none for a number.
    pub fn aor_key(&self) -> Option<String> {
        Uri::parse(&self.0).ok()?.sip().map(SipUri::aor_key)
    }

    /// Whether it is this address-of-record.
    pub fn is(&self, aor: &Aor) -> bool {
        self.aor_key().is_some_and(|key| key == aor.as_str())
    }
}

impl FromStr for ForwardUri {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        const EXPECTED: &str = "a sip, sips or tel URI, as sip:voicemail@example.com or tel:+15550100";
        match Uri::parse_request(text) {
            Ok(Uri::Sip(_) | Uri::Tel(_)) if text.len() <= MOST_URI => Ok(ForwardUri(text.into())),
            _ => Err(bad(&text.chars().take(MOST_URI).collect::<String>(), EXPECTED)),
        }
    }
}

/// A preference, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Quality(u16);

impl Quality {
    /// The same in thousandths.
    pub fn thousandths(self) -> u16 {
        self.0
    }
}

impl Default for Quality {
    fn default() -> Self {
        Quality(1000)
    }
}

impl TryFrom<f64> for Quality {
    type Error = BadText;
    fn try_from(value: f64) -> Result<Self, BadText> {
        if (0.0..=1.0).contains(&value) {
            Ok(Quality((value * 1000.0).round() as u16))
        } else {
            Err(bad(&value.to_string(), "a preference between 0.0 and 1.0"))
        }
    }
}

impl From<Quality> for f64 {
    fn from(quality: Quality) -> f64 {
        f64::from(quality.0) / 1000.0
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadText;
            fn try_from(text: String) -> Result<Self, BadText> {
                text.parse()
            }
        }
    )*};
}
as_text! { Aor ContactUri ForwardUri }

impl<const N: usize> Serialize for Ha1<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<const N: usize> TryFrom<String> for Ha1<N> {
    type Error = BadHa1;
    fn try_from(text: String) -> Result<Self, BadHa1> {
        text.parse()
    }
}
