//! The addresses of this machine, for transports that are bound to all of them and for the choice between several.
//!
//! [`AddressWatch`] reads them every two seconds, on a thread of its own: the system call may wait for a lock of the
//! kernel. It publishes what has changed, and each actor takes note at its next turn ([`Latest::since`]): a look at one
//! atomic number, and a lock only when there is something new.

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use parking_lot::Mutex;
use rutil::{Actor, Time, Turn};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the addresses are read.
const EVERY: Duration = Duration::from_secs(2);

/// One address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceAddress {
    /// The address.
    pub ip: IpAddr,
    /// How many of its upper bits all addresses on the link share.
    pub prefix: u32,
    /// The interface's name.
    pub interface: String,
}

/// The addresses of all interfaces. As many as the machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Sorted.
    all: Vec<InterfaceAddress>,
}

impl Interfaces {
    /// Interfaces with these addresses.
    pub fn new(mut all: Vec<InterfaceAddress>) -> Self {
        all.sort();
        Interfaces { all }
    }

    /// Those that this machine has now. It may wait for the kernel: not for an actor under a message.
    ///
    /// # Errors
    /// What the system says.
    pub fn read() -> io::Result<Self> {
        let addresses = getifaddrs()?.filter_map(|found| {
            let ip = ip_of(&found.address?)?;
            let prefix = found.netmask.as_ref().and_then(ip_of).map_or(width(ip), leading_ones);
            Some(InterfaceAddress { ip, prefix, interface: found.interface_name })
        });
        Ok(Self::new(addresses.collect()))
    }

    /// Whether an address is one of this machine. All of 127.0.0.0/8 is, listed or not.
    pub fn contains(&self, ip: IpAddr) -> bool {
        matches!(ip, IpAddr::V4(v4) if v4.is_loopback()) || self.of(ip).next().is_some()
    }

    /// Whether `peer` is on the link that our address `own` belongs to.
    pub(super) fn on_link(&self, own: IpAddr, peer: IpAddr) -> bool {
        self.of(own).any(|a| same(own, peer, a.prefix))
    }

    /// Whether two addresses of ours belong to one interface.
    pub(super) fn share_interface(&self, one: IpAddr, other: IpAddr) -> bool {
        self.of(one).any(|a| self.of(other).any(|b| a.interface == b.interface))
    }

    /// An address may be on several interfaces, as link-local ones are.
    fn of(&self, ip: IpAddr) -> impl Iterator<Item = &InterfaceAddress> {
        let start = self.all.partition_point(|a| a.ip < ip);
        self.all.iter().skip(start).take_while(move |a| a.ip == ip)
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

fn width(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn leading_ones(mask: IpAddr) -> u32 {
    match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    }
}

/// Whether the upper `prefix` bits of two addresses are the same.
fn same(one: IpAddr, other: IpAddr, prefix: u32) -> bool {
    let common = match (one, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    common >= prefix
}

/// Where the latest [`Interfaces`] are.
#[derive(Debug, Default)]
pub struct Latest {
    version: AtomicU64,
    interfaces: Mutex<Arc<Interfaces>>,
}

impl Latest {
    /// Replaces them where they have changed.
    pub fn publish(&self, interfaces: Interfaces) {
        let mut latest = self.interfaces.lock();
        if **latest != interfaces {
            *latest = Arc::new(interfaces);
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Adds an address that was met before it was read.
    pub(super) fn learn(&self, ip: IpAddr) {
        let mut latest = self.interfaces.lock();
        if !latest.contains(ip) {
            let mut all = latest.all.clone();
            all.push(InterfaceAddress { ip, prefix: width(ip), interface: String::new() });
            *latest = Arc::new(Interfaces::new(all));
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// The latest, when their version is another than `seen`.
    pub(super) fn since(&self, seen: u64) -> Option<(u64, Arc<Interfaces>)> {
        let version = self.version.load(Ordering::Acquire);
        (version != seen).then(|| (version, self.interfaces.lock().clone()))
    }
}

/// Publishes the machine's addresses as they change.
pub(crate) struct AddressWatch<R> {
    latest: Arc<Latest>,
    read: R,
    due: Time,
    failed: bool,
}

impl<R: FnMut() -> io::Result<Interfaces> + Send> AddressWatch<R> {
    pub(crate) fn new(latest: Arc<Latest>, read: R) -> Self {
        AddressWatch { latest, read, due: Time::ZERO, failed: false }
    }
}

impl<R: FnMut() -> io::Result<Interfaces> + Send> Actor for AddressWatch<R> {
    fn name(&self) -> &'static str {
        "address watch"
    }

    fn turn(&mut self, now: Time) -> Turn {
        if now < self.due {
            return Turn::Idle;
        }
        self.due = now + EVERY;
        match (self.read)() {
            Ok(interfaces) => {
                self.failed = false;
                self.latest.publish(interfaces);
            }
            // The old ones stay.
            Err(error) => {
                if !self.failed {
                    tracing::warn!(%error, "the addresses of this machine cannot be read");
                }
                self.failed = true;
            }
        }
        Turn::Idle
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn interfaces(all: &[(&str, u32, &str)]) -> Interfaces {
        let address =
            |&(text, prefix, name): &(&str, _, &str)| InterfaceAddress { ip: ip(text), prefix, interface: name.into() };
        Interfaces::new(all.iter().map(address).collect())
    }

    #[test]
    fn links_and_interfaces() {
        let all = interfaces(&[
            ("192.168.1.1", 24, "eth1"),
            ("10.0.0.2", 8, "eth0"),
            ("10.0.0.1", 8, "eth0"),
            ("fe80::1", 64, "eth0"),
            ("fe80::1", 64, "eth1"),
            ("2001:db8::1", 64, "eth1"),
        ]);
        for (own, peer, expected) in [
            ("10.0.0.1", "10.200.0.9", true),
            ("10.0.0.1", "11.0.0.1", false),
            ("192.168.1.1", "192.168.1.255", true),
            ("192.168.1.1", "192.168.2.1", false),
            ("192.168.1.1", "::ffff:192.168.1.2", false),
            ("2001:db8::1", "2001:db8::ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("203.0.113.1", "203.0.113.1", false),
        ] {
            assert_eq!(all.on_link(ip(own), ip(peer)), expected, "{own} {peer}");
        }
        for (one, other, expected) in [
            ("10.0.0.1", "10.0.0.2", true),
            ("10.0.0.1", "192.168.1.1", false),
            ("10.0.0.1", "fe80::1", true),
            ("2001:db8::1", "fe80::1", true),
            ("10.0.0.1", "10.0.0.9", false),
        ] {
            assert_eq!(all.share_interface(ip(one), ip(other)), expected, "{one} {other}");
        }
        assert!(all.contains(ip("10.0.0.2")) && all.contains(ip("127.9.9.9")) && !all.contains(ip("10.0.0.3")));
    }

    #[test]
    fn this_machine_has_its_loopback() {
        let all = Interfaces::read().unwrap();
        assert!(all.all.iter().any(|a| a.ip == ip("127.0.0.1") && a.prefix == 8), "{all:?}");
    }

    #[test]
    fn the_watch_publishes_changes_and_keeps_what_it_has_when_it_cannot_read() {
        let (one, two) = (interfaces(&[("10.0.0.1", 8, "eth0")]), interfaces(&[("10.0.0.2", 8, "eth0")]));
        let mut script = vec![Ok(one.clone()), Ok(one.clone()), Err(io::ErrorKind::OutOfMemory), Ok(two.clone())];
        let latest = Arc::new(Latest::default());
        let mut watch = AddressWatch::new(latest.clone(), || script.remove(0).map_err(io::Error::from));
        let mut seen = 0;
        for expected in [Some(&one), None, None, Some(&two)] {
            let now = watch.deadline().unwrap();
            watch.turn(now);
            // Nothing happens before its time.
            watch.turn(now);
            let change = latest.since(seen);
            assert_eq!(change.as_ref().map(|(_, all)| &**all), expected);
            seen = change.map_or(seen, |(version, _)| version);
        }
        // An address that is met is known at once, until the next reading says what it is.
        latest.learn(ip("10.0.0.3"));
        latest.learn(ip("10.0.0.3"));
        let (version, all) = latest.since(seen).unwrap();
        assert_eq!((version, all.contains(ip("10.0.0.3"))), (seen + 1, true));
    }
}
