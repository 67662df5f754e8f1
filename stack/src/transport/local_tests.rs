//! Which transport leads to a peer, what it is told, and what is ours.

use super::*;
use crate::transport::InterfaceAddress;
use TransportType::{Tcp, Udp};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Transports on one shard, by type and address.
fn table(all: &[(TransportType, &str)]) -> TransportTable {
    let describe = |(at, (kind, address)): (usize, &(TransportType, &str))| {
        let address: SocketAddr = address.parse().unwrap();
        TransportInfo::new(TransportId(at as u16), *kind, 0, address, address)
    };
    TransportTable::new(all.iter().enumerate().map(describe).collect())
}

/// A machine with two subnets, a second address on the first, and a default route by the first.
fn machine(table: &mut TransportTable) {
    let address = |ip: IpAddr, prefix, name: &str| InterfaceAddress { ip, prefix, interface: name.into() };
    table.latest().publish(Interfaces::new(vec![
        address(ip("127.0.0.1"), 8, "lo"),
        address(ip("::1"), 128, "lo"),
        address(ip("10.0.0.1"), 8, "eth0"),
        address(ip("10.0.0.2"), 8, "eth0"),
        address(ip("192.168.1.1"), 24, "eth1"),
        address(ip("172.16.0.1"), 16, "eth2"),
        address(ip("2001:db8:1::1"), 64, "eth1"),
    ]));
    assert!(table.refresh() && !table.refresh());
}

/// What its kernel says: 203.0.113.0/24 lies behind a gateway on eth1, 198.51.100.0/24 nowhere.
fn route(peer: IpAddr) -> Option<IpAddr> {
    let IpAddr::V4(v4) = peer else { return Some(ip("2001:db8:1::1")) };
    match v4.octets() {
        [127, ..] => Some(ip("127.0.0.1")),
        [192, 168, 1, _] | [203, 0, 113, _] => Some(ip("192.168.1.1")),
        [172, 16, ..] => Some(ip("172.16.0.1")),
        [198, 51, 100, _] => None,
        _ => Some(ip("10.0.0.1")),
    }
}

#[test]
fn the_route_decides_between_addresses() {
    type Case<'t> = (&'t [&'t str], &'t [(&'t str, u16)]);
    let cases: &[Case<'_>] = &[
        // The link or the route of the peer, wherever it stands in the list.
        (
            &["10.0.0.1:5060", "192.168.1.1:5060", "172.16.0.1:5060"],
            &[
                ("10.9.9.9", 0),
                ("192.168.1.77", 1),
                ("172.16.3.4", 2),
                ("8.8.8.8", 0),
                ("203.0.113.5", 1),
                ("198.51.100.1", 0),
            ],
        ),
        // Not the address that the kernel prefers, but one on the same interface: on the link, and behind it.
        (&["192.168.1.1:5060", "10.0.0.2:5060"], &[("10.9.9.9", 1), ("8.8.8.8", 1), ("203.0.113.5", 0)]),
        // None of them is on the way: the first.
        (&["192.168.1.1:5060", "172.16.0.1:5060"], &[("8.8.8.8", 0)]),
        // The loopback is for the loopback, and the other way round.
        (
            &["127.0.0.1:5060", "10.0.0.1:5060"],
            &[("127.0.0.1", 0), ("127.0.0.9", 0), ("10.0.0.1", 1), ("8.8.8.8", 1), ("198.51.100.1", 1)],
        ),
        (&["10.0.0.1:5060", "127.0.0.2:5060"], &[("127.0.0.1", 1)]),
        // One that has all addresses has the right one too: the first of the right ones.
        (&["192.168.1.1:5060", "0.0.0.0:5070"], &[("192.168.1.9", 0), ("8.8.8.8", 1), ("127.0.0.1", 1)]),
        (&["0.0.0.0:5070", "192.168.1.1:5060"], &[("192.168.1.9", 0), ("8.8.8.8", 0)]),
    ];
    for (bound, peers) in cases {
        let mut table = table(&bound.iter().map(|address| (Udp, *address)).collect::<Vec<_>>());
        machine(&mut table);
        for (peer, expected) in *peers {
            let way = table.towards(Udp, ip(peer), 0, route).unwrap();
            let local = if way.transport.is_wildcard() { route(ip(peer)) } else { None };
            assert_eq!((way.transport.id, way.local), (TransportId(*expected), local), "{bound:?} to {peer}");
        }
        assert!(table.towards(Tcp, ip("10.0.0.9"), 0, route).is_none());
        assert!(table.towards(Udp, ip("::1"), 0, route).is_none() && !table.reaches(Udp, ip("::1")));
    }
}

#[test]
fn who_has_no_choice_does_not_ask() {
    let all = [(Udp, "10.0.0.1:5060"), (Tcp, "10.0.0.1:5060"), (Udp, "[::1]:5060"), (Udp, "10.0.0.1:5070")];
    let table = table(&all);
    assert!(!table.needs_interfaces());
    for (kind, peer, id) in [(Udp, "8.8.8.8", 0), (Tcp, "8.8.8.8", 1), (Udp, "2001:db8::1", 2)] {
        let way = table.towards(kind, ip(peer), 0, |_| panic!("it asked")).unwrap();
        assert_eq!((way.transport.id, way.local), (TransportId(id), None));
    }
}

#[test]
fn another_shard_helps_only_where_the_own_has_none() {
    let at = |id, shard, address: &str| {
        let address = address.parse().unwrap();
        TransportInfo::new(TransportId(id), Udp, shard, address, address)
    };
    let both = [(0, "10.0.0.1:5060"), (0, "192.168.1.1:5060"), (1, "10.0.0.1:5060"), (1, "192.168.1.1:5060")];
    let mut both = TransportTable::new(both.iter().zip(0..).map(|((shard, at_), id)| at(id, *shard, at_)).collect());
    machine(&mut both);
    for (shard, id) in [(0, 1), (1, 3), (7, 1)] {
        assert_eq!(both.towards(Udp, ip("192.168.1.9"), shard, route).unwrap().transport.id, TransportId(id));
    }
}

fn text(octets: Text<'_>) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

#[test]
fn a_wildcard_tells_each_peer_the_address_towards_it() {
    let bound = "0.0.0.0:5070".parse().unwrap();
    let open = TransportInfo::new(TransportId(0), Udp, 0, bound, "10.0.0.1:5070".parse().unwrap());
    assert_eq!(text(open.via(Some(ip("192.168.1.1")))), "SIP/2.0/UDP 192.168.1.1:5070;branch=");
    assert_eq!(text(open.record_route(Some(ip("192.168.1.1")))), "192.168.1.1:5070;lr>");
    assert_eq!(text(open.via(None)), "SIP/2.0/UDP 10.0.0.1:5070;branch=");
    // Behind a NAT it says what it was told to say.
    let natted = TransportInfo::new(TransportId(0), Tcp, 0, bound, "203.0.113.1:5060".parse().unwrap());
    let natted = natted.always_advertised();
    assert_eq!(text(natted.via(Some(ip("192.168.1.1")))), "SIP/2.0/TCP 203.0.113.1:5060;branch=");
    assert_eq!(text(natted.record_route(None)), "203.0.113.1:5060;transport=tcp;lr>");
    let longest = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff";
    let v6 = TransportInfo::new(TransportId(0), Tcp, 0, "[::]:65535".parse().unwrap(), "[::1]:65535".parse().unwrap());
    assert_eq!(text(v6.record_route(Some(ip(longest)))), format!("[{longest}]:65535;transport=tcp;lr>"));
}

#[test]
fn all_addresses_of_the_machine_are_ours_where_one_has_all() {
    let mut table = table(&[(Udp, "0.0.0.0:5070"), (Tcp, "192.168.1.1:5060"), (Udp, "[2001:db8:1::1]:5060")]);
    assert!(table.needs_interfaces());
    let is_local = |table: &TransportTable, host: &str, port| table.is_local(&Host::parse(host).unwrap(), port);
    // Nothing is known yet but the loopback.
    assert!(!is_local(&table, "10.0.0.2", Some(5070)) && is_local(&table, "127.0.0.7", Some(5070)));
    machine(&mut table);
    for (host, port, expected) in [
        ("10.0.0.1", Some(5070), true),
        ("10.0.0.2", Some(5070), true),
        ("192.168.1.1", Some(5070), true),
        ("192.168.1.1", Some(5060), true),
        ("192.168.1.1", None, true),
        ("127.0.0.1", Some(5070), true),
        ("10.0.0.1", Some(5060), false),
        ("10.0.0.1", None, false),
        ("10.0.0.3", Some(5070), false),
        ("[2001:db8:1::1]", None, true),
        ("[2001:db8:1::1]", Some(5070), false),
        ("[::1]", Some(5060), false),
        ("example.com", Some(5070), false),
    ] {
        assert_eq!(is_local(&table, host, port), expected, "{host} {port:?}");
    }
    // What the kernel chose is ours before it was read, for every clone at its next turn.
    let mut other = table.clone();
    table.learn(Some(ip("10.0.0.3")));
    table.learn(Some(ip("10.0.0.1")));
    assert!(other.refresh() && is_local(&other, "10.0.0.3", Some(5070)));
}
