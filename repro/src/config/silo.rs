//! `[silo]`: messages for users who are not there.

use serde::Deserialize;
use std::time::Duration;

/// What is kept of messages to users who are not registered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Silo {
    /// For how long, seconds, unless the message's own Expires is less.
    pub expires_seconds: u64,
    /// Most messages for one user.
    pub max_per_user: usize,
    /// Most messages of one sender: of a user who has given his password, of whom a trusted peer says that it is from, of an
    /// address, a /64 of IPv6. Of what there is for one user, a sender has half at most.
    pub max_per_sender: usize,
    /// Most messages in all.
    pub max_messages: usize,
    /// Most octets of messages in all.
    pub max_octets: usize,
    /// Most octets of a body; a larger one is refused with 413.
    pub max_body: usize,
    /// Types of bodies that are answered 200 and forgotten, in lower case: what is not worth keeping.
    pub drop: Vec<String>,
}

impl Default for Silo {
    fn default() -> Self {
        Silo {
            expires_seconds: 30 * 86_400,
            max_per_user: 100,
            max_per_sender: 1_000,
            max_messages: 100_000,
            max_octets: 64 << 20,
            max_body: 4096,
            drop: vec!["application/im-iscomposing+xml".to_owned()],
        }
    }
}

impl Silo {
    /// For how long messages are kept.
    pub fn expires(&self) -> Duration {
        Duration::from_secs(self.expires_seconds)
    }
}
