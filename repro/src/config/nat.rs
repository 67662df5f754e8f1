//! The table `[nat]`.

use serde::Deserialize;
use std::time::Duration;

/// Whether devices behind NATs are recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NatDetection {
    /// No: a contact is reached where it says.
    #[default]
    Off,
    /// By addresses: a device whose Contact or Via has a private address, and whose requests come from another one, is
    /// reached where they come from.
    Auto,
}

/// Devices behind NATs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nat {
    /// Whether they are recognised.
    pub detect: NatDetection,
    /// How often those that are reached over UDP are sent an OPTIONS, so that their NAT does not forget them, seconds; 0:
    /// never.
    pub ping_seconds: u32,
    /// At most so many of them a second, in each shard.
    pub pings_per_second: u32,
    /// After so many without an answer the contact is removed; 0: never.
    pub give_up_after: u8,
}

impl Default for Nat {
    fn default() -> Self {
        Nat { detect: NatDetection::Off, ping_seconds: 30, pings_per_second: 500, give_up_after: 0 }
    }
}

impl Nat {
    /// How often natted devices are sent something, if at all.
    pub fn ping_interval(&self) -> Option<Duration> {
        let wanted = self.detect == NatDetection::Auto && self.ping_seconds > 0;
        wanted.then(|| Duration::from_secs(self.ping_seconds.into()))
    }
}
