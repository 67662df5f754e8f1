//! The table `[events]`.

use serde::Deserialize;

/// What subscribers are told (RFC 6665).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Most octets of the body of a NOTIFY; what does not fit goes into further ones. One contact is always told whole.
    pub max_body: usize,
}

impl Default for Events {
    fn default() -> Self {
        Events { max_body: 4096 }
    }
}
