//! Transports that are bound to all addresses. On Linux every 127.x.y.z is an address of this machine.

use super::*;
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn peer(addr: &str) -> UdpSocket {
    let socket = UdpSocket::bind(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn from(local: Option<&str>, bytes: &'static str, to: SocketAddr) -> Wire {
    Wire::Send {
        bytes: bytes.into(),
        peer: to,
        local: local.map(ip),
        domain: None,
        connection: ConnectionId::default(),
        connect: true,
        notify: Some(Notify { shard: 0, key: 1 }),
    }
}

#[test]
fn a_datagram_says_which_address_it_came_to_and_leaves_from_the_one_it_is_told() {
    let mut bench = Bench::new(64);
    let (bound, wire) = bench.udp(0, "0.0.0.0:0", &UdpOptions::default());
    let peer = peer("127.0.0.9:0");
    let to = peer.local_addr().unwrap();
    for local in ["127.0.0.2", "127.0.0.3", "127.0.0.1"] {
        peer.send_to(local.as_bytes(), (ip(local), bound.port())).unwrap();
        let (bytes, flow) = bench.bytes();
        assert_eq!((&bytes[..], flow.local, flow.peer), (local.as_bytes(), Some(ip(local)), to));
    }
    // One batch, in which the addresses change.
    let locals = [Some("127.0.0.2"), Some("127.0.0.3"), Some("127.0.0.3"), None, Some("127.0.0.2")];
    for local in locals {
        bench.push(&wire, from(local, local.unwrap_or("any"), to));
    }
    bench.until("an empty wire", |b| b.group.drained());
    for local in locals {
        let mut buffer = [0; 16];
        let (size, source) = peer.recv_from(&mut buffer).unwrap();
        let expected = SocketAddr::new(ip(local.unwrap_or("127.0.0.1")), bound.port());
        assert_eq!((&buffer[..size], source), (local.unwrap_or("any").as_bytes(), expected));
    }
    assert!(bench.failed.lock().unwrap().is_empty());
}

#[test]
fn what_is_not_ours_is_no_address_to_send_from() {
    let mut bench = Bench::new(64);
    let (_, wire) = bench.udp(0, "0.0.0.0:0", &UdpOptions::default());
    let peer = peer("127.0.0.1:0");
    bench.push(&wire, from(Some("192.0.2.1"), "x", peer.local_addr().unwrap()));
    assert_eq!(bench.failure(1), TransportError::Unreachable);
    bench.push(&wire, from(Some("127.0.0.2"), "y", peer.local_addr().unwrap()));
    let mut buffer = [0; 4];
    bench.until("an empty wire", |b| b.group.drained());
    assert_eq!(peer.recv_from(&mut buffer).unwrap().1.ip(), ip("127.0.0.2"));
}

#[test]
fn a_socket_with_an_address_has_no_choice() {
    let mut bench = Bench::new(64);
    let (bound, wire) = bench.udp(0, "127.0.0.2:0", &UdpOptions::default());
    let peer = peer("127.0.0.1:0");
    peer.send_to(b"x", bound).unwrap();
    assert_eq!(bench.bytes().1.local, None);
    bench.push(&wire, from(Some("127.0.0.3"), "y", peer.local_addr().unwrap()));
    bench.until("an empty wire", |b| b.group.drained());
    assert_eq!(peer.recv_from(&mut [0; 4]).unwrap().1, bound);
}

#[test]
fn ipv6_too() {
    if !has_v6() {
        return;
    }
    let mut bench = Bench::new(64);
    let (bound, wire) = bench.udp(0, "[::]:0", &UdpOptions::default());
    let peer = peer("[::1]:0");
    peer.send_to(b"x", (ip("::1"), bound.port())).unwrap();
    let (bytes, flow) = bench.bytes();
    assert_eq!((&bytes[..], flow.local), (&b"x"[..], Some(ip("::1"))));
    bench.push(&wire, from(Some("::1"), "y", flow.peer));
    bench.until("an empty wire", |b| b.group.drained());
    assert_eq!(peer.recv_from(&mut [0; 4]).unwrap().1, SocketAddr::new(ip("::1"), bound.port()));
}

#[test]
fn a_connection_knows_its_address() {
    let mut bench = Bench::new(64);
    let (bound, wire) = bench.tcp(0, "0.0.0.0:0", &TcpOptions::default());
    let mut stream = TcpStream::connect((ip("127.0.0.2"), bound.port())).unwrap();
    std::io::Write::write_all(&mut stream, b"x").unwrap();
    let (bytes, flow) = bench.bytes();
    assert_eq!((&bytes[..], flow.local), (&b"x"[..], Some(ip("127.0.0.2"))));
    // And one that is opened begins where it is told.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    bench.push(&wire, from(Some("127.0.0.3"), "y", listener.local_addr().unwrap()));
    let mut came_from = None;
    bench.until("a connection", |_| {
        came_from = listener.accept().ok();
        came_from.is_some()
    });
    assert_eq!(came_from.unwrap().1.ip(), ip("127.0.0.3"));
}
