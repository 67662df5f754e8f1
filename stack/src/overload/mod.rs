//! Overload: what is taken on, what is refused, what is dropped (RFC 6357 is the problem, RFC 7339 one of the answers).

mod bans;
mod control;
mod episode;
mod intake;
mod limits;
mod refusal;
mod work;

pub use bans::{BanList, Bans};
pub(crate) use bans::{Banned, Cause};
pub use control::LoadReport;
pub(crate) use control::{NextHops, report, seems_to_offer};
pub(crate) use episode::{Episode, Lost, Throttle};
pub use intake::Intake;
pub(crate) use intake::{ALL, Gate, Valve};
pub(crate) use limits::{Asker, Sources};
pub use limits::{Exempt, SourceLimits};
pub(crate) use refusal::{refusable, refuse};
pub(crate) use work::Asks;
pub use work::Work;

use rutil::{Backlog, CongestionManager, Meter, Tolerance};
use std::sync::Arc;
use std::time::Duration;

/// When a stack refuses new work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverloadOptions {
    /// The longest wait that is tolerated, in any FIFO and in the kernel's socket buffers together; `None` tolerates all.
    /// New work is refused with 503 from 80 % of it on; from all of it on also registrations and calls with priority;
    /// from four times of it on datagrams with new work are dropped unread. When more is refused than half of what is
    /// served, the kernel drops what is beyond that. What belongs to a dialog or to a transaction that
    /// lives is always served. 100 ms: a call set-up passes twice, once with its INVITE and once with its 200.
    pub max_wait: Option<Duration>,
    /// Overload control by loss (RFC 7339), both ways: neighbours that offer it in their Via are told how much of their
    /// new work to leave out, and those further on are offered it, at the cost of 19 octets a request, and heeded. Off by
    /// default.
    pub control: bool,
}

impl Default for OverloadOptions {
    fn default() -> Self {
        OverloadOptions { max_wait: Some(Duration::from_millis(100)), control: false }
    }
}

impl OverloadOptions {
    /// The congestion manager of a shard with these FIFOs and this backlog in its sockets. What a FIFO's consumer takes
    /// slowly shows in the expected wait, what it does not take at all in the age.
    pub(crate) fn watch(&self, fifos: &[Arc<Meter>], backlog: Arc<Backlog>) -> CongestionManager {
        let mut manager = CongestionManager::new();
        let Some(most) = self.max_wait else { return manager };
        for meter in fifos {
            manager.watch(meter.clone(), Tolerance::Wait(most));
            manager.watch(meter.clone(), Tolerance::Age(most));
        }
        manager.watch_outside(backlog, most);
        manager
    }
}
