//! `[http]`: the external service that is asked about requests.

use super::from_text;
use super::net::{BadText, bad};
use serde::Deserialize;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// An external service that decides about requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where it is, as `https://policy.example.com/sip`. The certificate of an https service must lead to a CA of
    /// `tls.trust`.
    #[serde(deserialize_with = "from_text")]
    pub url: ServiceUrl,
    /// How long it may take to answer, milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: NonZeroU32,
    /// What becomes of a request without a decision: it goes on, or is refused with 503.
    #[serde(default)]
    pub fail_open: bool,
    /// Most questions under way; a request above that has no decision.
    #[serde(default = "in_flight")]
    pub in_flight: NonZeroU32,
    /// The headers that the service sees, besides From, To and Call-ID.
    #[serde(default)]
    pub headers: Vec<String>,
}

fn timeout_ms() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(1_999)
}

fn in_flight() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(99)
}

impl Http {
    /// How long it may take to answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.get().into())
    }
}

/// The URL of an HTTP service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl(pub http::Uri);

impl ServiceUrl {
    /// Whether it is asked over TLS.
    pub fn is_secure(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl FromStr for ServiceUrl {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        match text.parse::<http::Uri>() {
            // Who would log in there by its URL would have a password in logs.
            Ok(uri)
                if matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri.authority().is_some_and(|authority| !authority.as_str().contains('@')) =>
            {
                Ok(ServiceUrl(uri))
            }
            _ => Err(bad(text, "an http or https URL without a user, as https://policy.example.com/sip")),
        }
    }
}
