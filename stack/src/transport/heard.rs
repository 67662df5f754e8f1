//! When devices that are reached by datagrams have last sent a keep-alive (RFC 5626 §4.4.2).

use super::{Flow, TransportId, TransportType};
use parking_lot::RwLock;
use rutil::Time;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Most flows that are watched; of more, nobody knows that they are silent.
const MOST: usize = 65_536;
/// How often a full table is searched for what is silent.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The UDP flows whose devices have promised keep-alives. An entry leaves for another when it has been
/// silent for too long: until then it says so to every user who is reached by it. Only keep-alives are looked for here, so that no message needs the lock; and nobody
/// takes it while there are no such flows.
#[derive(Debug, Default)]
pub struct HeardFlows {
    flows: RwLock<HashMap<(TransportId, SocketAddr), Heard>>,
    count: AtomicUsize,
    /// When a full table may be searched again, in nanoseconds.
    next_look: AtomicU64,
}

#[derive(Debug)]
struct Heard {
    within: Duration,
    /// When its time is up, in nanoseconds.
    until: AtomicU64,
}

impl Heard {
    fn is_silent(&self, now: Time) -> bool {
        Time::from_nanos(self.until.load(Ordering::Relaxed)) < now
    }
}

impl HeardFlows {
    /// From now on a keep-alive is expected so often.
    pub(crate) fn expect(&self, flow: &Flow, within: Duration, now: Time) {
        let mut flows = self.flows.write();
        if flows.len() >= MOST && !flows.contains_key(&(flow.transport, flow.peer)) {
            if Time::from_nanos(self.next_look.load(Ordering::Relaxed)) > now {
                return;
            }
            self.next_look.store((now + LOOK_EVERY).as_nanos(), Ordering::Relaxed);
            flows.retain(|_, heard| !heard.is_silent(now));
            if flows.len() >= MOST {
                return;
            }
        }
        let until = AtomicU64::new((now + within).as_nanos());
        flows.insert((flow.transport, flow.peer), Heard { within, until });
        self.count.store(flows.len(), Ordering::Relaxed);
    }

    /// Who is reached by this flow from now on has promised nothing: what was promised before, by whoever had the address
    /// then, says nothing of him.
    pub(crate) fn forget(&self, flow: &Flow) {
        if self.count.load(Ordering::Relaxed) == 0 || !self.flows.read().contains_key(&(flow.transport, flow.peer)) {
            return;
        }
        let mut flows = self.flows.write();
        flows.remove(&(flow.transport, flow.peer));
        self.count.store(flows.len(), Ordering::Relaxed);
    }

    /// A keep-alive has come.
    pub(crate) fn keep_alive(&self, flow: &Flow, now: Time) {
        if flow.kind != TransportType::Udp || self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(heard) = self.flows.read().get(&(flow.transport, flow.peer)) {
            heard.until.store((now + heard.within).as_nanos(), Ordering::Relaxed);
        }
    }

    /// Whether the promised keep-alives stay away. A flow that is not watched is not silent.
    pub fn is_silent(&self, flow: &Flow, now: Time) -> bool {
        flow.kind == TransportType::Udp
            && self.count.load(Ordering::Relaxed) > 0
            && self.flows.read().get(&(flow.transport, flow.peer)).is_some_and(|heard| heard.is_silent(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ConnectionId;

    fn flow(number: u32) -> Flow {
        let [_, a, b, c] = number.to_be_bytes();
        let peer = SocketAddr::from(([10, a, b, c], 5060));
        Flow { transport: TransportId(0), kind: TransportType::Udp, connection: ConnectionId(0), peer, local: None }
    }

    const WITHIN: Duration = Duration::from_secs(40);

    #[test]
    fn a_flow_is_silent_without_keep_alives() {
        let (flows, at) = (HeardFlows::default(), |s: u64| Time::from_millis(s * 1000));
        flows.keep_alive(&flow(1), at(0));
        flows.expect(&flow(1), WITHIN, at(0));
        flows.keep_alive(&flow(1), at(30));
        flows.keep_alive(&flow(2), at(60));
        assert!(!flows.is_silent(&flow(1), at(70)) && flows.is_silent(&flow(1), at(71)));
        assert!(!flows.is_silent(&flow(2), at(1000)), "it has promised nothing");
        // It is heard again.
        flows.keep_alive(&flow(1), at(100));
        assert!(!flows.is_silent(&flow(1), at(101)));
        // Somebody else has the address, who has promised nothing.
        flows.forget(&flow(2));
        flows.forget(&flow(1));
        assert!(!flows.is_silent(&flow(1), at(1000)) && flows.count.load(Ordering::Relaxed) == 0);
    }

    #[test]
    fn a_full_table_has_room_when_some_are_silent() {
        let flows = HeardFlows::default();
        for number in 0..MOST as u32 {
            flows.expect(&flow(number), WITHIN, Time::from_millis(u64::from(number)));
        }
        let known = |number| flows.is_silent(&flow(number), Time::MAX);
        flows.expect(&flow(1_000_000), WITHIN, Time::ZERO);
        assert!(!known(1_000_000), "all of them live");
        flows.expect(&flow(1_000_002), WITHIN, Time::from_millis(9_000));
        flows.expect(&flow(1_000_003), WITHIN, Time::from_millis(41_000));
        assert!(known(1_000_003) && !known(0) && known(2_000) && !known(1_000_002));
    }
}
