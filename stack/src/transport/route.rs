//! What the system's routing says: which address of ours leads to another one.
//!
//! Only the kernel knows: rules, several tables, preferred sources (RFC 6724) are its. It is asked by connecting a UDP
//! socket, which sends nothing and waits for nothing, and costs some microseconds; so the answers are kept for five
//! seconds.

use rutil::hash::{HashMap, Keyed};
use rutil::{Rng, Time};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Destinations kept at most; when they are as many, those whose time is up go, and if that is none, all.
const DESTINATIONS: usize = 4096;
/// How long an answer is believed.
const LIFE: Duration = Duration::from_secs(5);
/// RFC 863: any port would do.
const DISCARD: u16 = 9;

/// Asks which address of ours leads to another one; `None` when there is no route.
pub type RouteQuery = fn(IpAddr) -> Option<IpAddr>;

/// Asks the kernel.
pub fn system_route(peer: IpAddr) -> Option<IpAddr> {
    let to = SocketAddr::new(peer, DISCARD);
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP)).ok()?;
    if to.is_ipv6() {
        socket.set_only_v6(true).ok()?;
    }
    socket.connect(&to.into()).ok()?;
    let local = socket.local_addr().ok()?.as_socket()?.ip();
    Some(local).filter(|ip| !ip.is_unspecified())
}

/// For a wildcard address, the one that leads to the world: to documentation addresses, which have no route of their own.
pub(crate) fn towards_world(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let (far, loopback): (IpAddr, IpAddr) = match bound {
        SocketAddr::V4(_) => (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(_) => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::LOCALHOST.into()),
    };
    SocketAddr::new(system_route(far).unwrap_or(loopback), bound.port())
}

/// Answers that were had. Bounded by [`DESTINATIONS`]; an entry leaves when it is asked for after its time, when the
/// table is full, or when the machine's addresses change.
pub(crate) struct Routes {
    query: RouteQuery,
    known: HashMap<IpAddr, (Option<IpAddr>, Time)>,
}

impl Routes {
    pub(crate) fn new(query: RouteQuery, rng: &mut Rng) -> Self {
        Routes { query, known: HashMap::with_hasher(Keyed::new(rng)) }
    }

    /// The address of ours that leads to `peer`.
    pub(crate) fn source(&mut self, peer: IpAddr, now: Time) -> Option<IpAddr> {
        if let Some((source, until)) = self.known.get(&peer)
            && *until > now
        {
            return *source;
        }
        if self.known.len() >= DESTINATIONS && !self.known.contains_key(&peer) {
            self.known.retain(|_, (_, until)| *until > now);
            if self.known.len() >= DESTINATIONS {
                self.known.clear();
            }
        }
        let source = (self.query)(peer);
        self.known.insert(peer, (source, now + LIFE));
        source
    }

    /// The machine's addresses have changed.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static ASKED: Cell<u32> = const { Cell::new(0) };
    }

    fn counting(peer: IpAddr) -> Option<IpAddr> {
        ASKED.set(ASKED.get() + 1);
        peer.is_ipv4().then_some([10, 0, 0, 1].into())
    }

    #[test]
    fn each_destination_is_asked_for_once_in_its_time() {
        let mut routes = Routes::new(counting, &mut Rng::from_seed(1));
        let (peer, none) = (IpAddr::from([192, 0, 2, 1]), "2001:db8::1".parse().unwrap());
        for (at, asked) in [(0, 2), (1, 2), (4_999, 2), (5_000, 4), (9_999, 4)] {
            let now = Time::from_millis(at);
            assert_eq!(routes.source(peer, now), Some([10, 0, 0, 1].into()));
            assert_eq!(routes.source(none, now), None);
            assert_eq!(ASKED.get(), asked, "{at}");
        }
        routes.forget();
        routes.source(peer, Time::from_millis(9_999));
        assert_eq!(ASKED.get(), 5);
        for n in 0..3 * DESTINATIONS as u32 {
            routes.source(IpAddr::V4(n.into()), Time::from_millis(u64::from(n / 100)));
            assert!(routes.known.len() <= DESTINATIONS);
        }
    }

    #[test]
    fn the_kernel_knows_the_way_to_the_loopback_and_none_to_nowhere() {
        assert_eq!(system_route([127, 0, 0, 1].into()), Some([127, 0, 0, 1].into()));
        // No datagram may go to everybody, nor over IPv6 to an IPv4 address.
        assert_eq!(system_route([255, 255, 255, 255].into()), None);
        assert_eq!(system_route("::ffff:127.0.0.1".parse().unwrap()), None);
    }
}
