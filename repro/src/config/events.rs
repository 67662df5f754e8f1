//! The table `[events]`.

use crate::events::Package;
use dum::publication::PublicationLimits;
use serde::Deserialize;
use std::time::Duration;

/// What subscribers are told (RFC 6665), and what may be published (RFC 3903).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Most octets of the body of a NOTIFY of `reg`; what does not fit goes into further ones. One contact is always told
    /// whole.
    pub max_body: usize,
    /// The packages whose state is kept and told here, besides `reg`. SUBSCRIBEs for others go to the devices of the user.
    pub packages: Vec<Package>,
    /// Who may watch presence and dialogs of a user of ours.
    pub watchers: Watchers,
    /// Whether the presence of a user for whom nothing is published is whether he is registered; else it is not known.
    pub presence_from_registrations: bool,
    /// Whether the calls that are relayed are told as dialogs of the users who have them, besides what telephones publish.
    pub dialogs_from_calls: bool,
    /// After how long a call is forgotten of which no BYE was seen, seconds.
    pub calls_seconds: u32,
    /// How long there is no further NOTIFY after one to a subscription to what is published, seconds (RFC 3856 §6.10).
    pub throttle_seconds: u32,
    /// Most subscriptions of a shard to one package of one user; more are refused with 403.
    pub subscriptions_per_user: usize,
    /// Most subscriptions of a shard of one subscriber to one package; more are refused with 403.
    pub subscriptions_per_subscriber: usize,
    /// Shortest publication, seconds; a shorter wish is refused with 423.
    pub min_expires: u32,
    /// Longest publication, seconds, and that without a wish; a longer wish is cut.
    pub max_expires: u32,
    /// Most octets of what is published; more are refused with 413.
    pub max_publication: usize,
    /// Most publications to one package of one user; more are refused with 403.
    pub publications_per_user: usize,
    /// Most publications in all; more are refused with 500.
    pub publications: usize,
    /// Most octets of all publications; more are refused with 500.
    pub publication_octets: usize,
}

/// Who may watch a user of ours. Himself, and who may send to any address, always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watchers {
    /// Nobody else.
    #[serde(rename = "self")]
    Oneself,
    /// All users of ours.
    Users,
    /// Everybody.
    Anybody,
}

impl Default for Events {
    fn default() -> Self {
        Events {
            max_body: 4096,
            packages: Vec::new(),
            watchers: Watchers::Users,
            presence_from_registrations: true,
            dialogs_from_calls: false,
            calls_seconds: 14_400,
            throttle_seconds: 5,
            subscriptions_per_user: 1_000,
            subscriptions_per_subscriber: 1_000,
            min_expires: 60,
            max_expires: 3600,
            max_publication: 8192,
            publications_per_user: 16,
            publications: 100_000,
            publication_octets: 64 << 20,
        }
    }
}

impl Events {
    /// Whether the state of a package is kept here.
    pub fn keeps(&self, package: Package) -> bool {
        self.packages.contains(&package)
    }

    /// Whether calls are told as dialogs.
    pub fn tells_calls(&self) -> bool {
        self.dialogs_from_calls && self.keeps(Package::Dialog)
    }

    /// How long there is no further NOTIFY after one.
    pub fn throttle(&self) -> Duration {
        Duration::from_secs(self.throttle_seconds.into())
    }

    /// For how long something is published.
    pub fn publication_limits(&self) -> PublicationLimits {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        PublicationLimits {
            min_expires: seconds(self.min_expires.min(self.max_expires)),
            default_expires: seconds(self.max_expires),
            max_expires: seconds(self.max_expires),
            // The publisher looks at that, and says how many there may be.
            octets: usize::MAX,
        }
    }
}
