//! Accepted connections that have yet to agree on TLS or WebSocket.

use super::super::ConnectionId;
use super::super::table::source_of;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// One source may have this part of all: else it would push out those of others, as only the oldest go.
const SHARE: usize = 8;

/// Bounded by `most`; an entry leaves when its connection has agreed or ended.
pub(super) struct HalfOpen {
    /// A connection's id is larger than those before it.
    order: BTreeSet<(ConnectionId, IpAddr)>,
    sources: HashMap<IpAddr, usize>,
    most: usize,
}

impl HalfOpen {
    pub(super) fn new(most: usize) -> Self {
        HalfOpen { order: BTreeSet::new(), sources: HashMap::new(), most: most.max(1) }
    }

    /// Takes note of a new connection; which one is too many now, if any: the new one when its source has its share,
    /// else the oldest.
    pub(super) fn insert(&mut self, id: ConnectionId, peer: IpAddr) -> Option<ConnectionId> {
        let source = source_of(peer);
        self.order.insert((id, source));
        let count = self.sources.entry(source).or_default();
        *count += 1;
        if *count > self.most.div_ceil(SHARE) {
            return Some(id);
        }
        let full = self.order.len() > self.most;
        self.order.first().filter(|_| full).map(|(oldest, _)| *oldest)
    }

    pub(super) fn remove(&mut self, id: ConnectionId, peer: IpAddr) {
        let source = source_of(peer);
        if !self.order.remove(&(id, source)) {
            return;
        }
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_has_its_share_and_of_all_the_oldest_goes() {
        let mut half_open = HalfOpen::new(16);
        let source = |n: u8| IpAddr::from([192, 0, 2, n]);
        let (one, other) = (source(1), "2001:db8::1".parse().unwrap());
        assert_eq!([1, 2, 3].map(|id| half_open.insert(ConnectionId(id), one).map(|id| id.0)), [None, None, Some(3)]);
        half_open.remove(ConnectionId(3), one);
        // A customer's addresses of IPv6 are one source.
        let same: IpAddr = "2001:db8::2".parse().unwrap();
        assert_eq!(half_open.insert(ConnectionId(4), other), None);
        assert_eq!(half_open.insert(ConnectionId(5), same), None);
        assert_eq!(half_open.insert(ConnectionId(6), same), Some(ConnectionId(6)));
        half_open.remove(ConnectionId(6), same);
        for n in 10..22 {
            assert_eq!(half_open.insert(ConnectionId(n), source(n as u8)), None);
        }
        assert_eq!(half_open.insert(ConnectionId(30), source(30)), Some(ConnectionId(1)));
        half_open.remove(ConnectionId(1), one);
        half_open.remove(ConnectionId(1), one);
        assert_eq!(half_open.insert(ConnectionId(31), one), Some(ConnectionId(2)));
    }
}
