//! `[accounting]`: what became of calls and registrations, as lines of a file.

use super::FileName;
use serde::Deserialize;

/// The fewest octets of a file before the next one is begun: what is written at once fits into one.
pub(super) const SMALLEST: u64 = 128 * 1024;

/// What is written of calls and registrations, for billing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounting {
    /// The file; a relative path begins at the configuration's directory. What is not there is made.
    pub file: FileName,
    /// Whether sessions are written: calls that were answered, failed, were cancelled, ended.
    #[serde(default = "yes")]
    pub sessions: bool,
    /// Whether registrations are written: contacts that came, went, expired.
    #[serde(default = "yes")]
    pub registrations: bool,
    /// Whether a contact that is registered again is written too.
    #[serde(default)]
    pub refreshes: bool,
    /// The most octets of the file: with more the next one is begun. 0: any.
    #[serde(default = "max_octets")]
    pub max_octets: u64,
    /// Whether a new file is begun each day, by UTC.
    #[serde(default = "yes")]
    pub daily: bool,
    /// How many older files are kept. 0: no file is ever left behind, whoever rotates it does that.
    #[serde(default = "keep")]
    pub keep: u32,
}

fn yes() -> bool {
    true
}

fn max_octets() -> u64 {
    100 << 20
}

fn keep() -> u32 {
    30
}

impl Accounting {
    /// Whether a file is too small for what is written at once.
    pub(super) fn is_too_small(&self) -> bool {
        (1..SMALLEST).contains(&self.max_octets)
    }
}
