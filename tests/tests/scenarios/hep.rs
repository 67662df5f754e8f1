//! Export of messages to a capture server.

use std::net::{SocketAddr, UdpSocket};

use crate::repro::{File, LIMIT, address, start};

/// What a packet says: who sent, who received, and the message.
fn read(packet: &[u8]) -> (SocketAddr, SocketAddr, String) {
    assert!(packet.starts_with(b"HEP3"));
    let (mut ips, mut ports, mut payload) = ([[0_u8; 4]; 2], [0_u16; 2], String::new());
    let mut rest = &packet[6..];
    while let [_, _, _, kind, high, low, ..] = rest {
        let (value, next) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        let value = &value[6..];
        match kind {
            3 | 4 => ips[usize::from(kind - 3)] = value.try_into().expect("an IPv4 address"),
            7 | 8 => ports[usize::from(kind - 7)] = u16::from_be_bytes(value.try_into().expect("a port")),
            15 => payload = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
        rest = next;
    }
    ((ips[0], ports[0]).into(), (ips[1], ports[1]).into(), payload)
}

/// A request and its answer are exported, each with the addresses as they were on the wire; also one that is refused
/// unread because its source asks for too much.
#[test]
fn what_comes_and_goes_is_exported() {
    let collector = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    collector.set_read_timeout(Some(LIMIT)).expect("a limit");
    let file = File::new(
        "hep",
        &format!("[limits]\nsource_rate = 1\n[hep]\ncollector = \"{}\"\n", collector.local_addr().expect("bound")),
    );
    let repro = start(&["--config", file.name()]);
    let proxy = address(&repro, "udp");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let own = client.local_addr().expect("bound");
    let request = |n| {
        format!(
            "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKhep{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: hep\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
        )
    };
    let mut buffer = [0; 4096];
    let mut next = || {
        let size = collector.recv(&mut buffer).expect("a packet");
        read(&buffer[..size])
    };
    // The second is above the rate, or one of those behind it where a second is short.
    let answers = (0..20).map(|n| {
        client.send_to(request(n).as_bytes(), proxy).expect("loopback");
        assert_eq!(next(), (own, proxy, request(n)));
        let (from, to, answer) = next();
        assert_eq!((from, to), (proxy, own));
        assert!(n > 0 || answer.starts_with("SIP/2.0 200 OK\r\n"), "{answer}");
        answer
    });
    assert!(answers.into_iter().any(|answer| answer.starts_with("SIP/2.0 503 ")));
}
