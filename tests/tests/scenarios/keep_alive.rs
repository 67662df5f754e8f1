//! Devices behind a NAT at a running proxy (RFC 5626): keep-alives, and flows that are the only way to them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use crate::repro::{LIMIT, address, start};

/// A STUN Binding request on the SIP socket is answered with the address that it came from.
#[test]
fn a_stun_request_learns_its_own_address() {
    let repro = start(&[]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], b"twelveoctets"].concat();
    socket.send_to(&request, address(&repro, "udp")).expect("loopback");
    let mut buffer = [0; 128];
    let size = socket.recv(&mut buffer).expect("an answer");
    assert_eq!(buffer[..4], [1, 1, 0, 12], "a Binding success of one attribute");
    assert_eq!(buffer[4..20], request[4..]);
    assert_eq!((size, &buffer[20..26]), (32, &[0, 0x20, 0, 8, 0, 1][..]));
    let port = u16::from_be_bytes([buffer[26] ^ 0x21, buffer[27] ^ 0x12]);
    let ip = [buffer[28] ^ 0x21, buffer[29] ^ 0x12, buffer[30] ^ 0xa4, buffer[31] ^ 0x42];
    assert_eq!(socket.local_addr().expect("it is bound"), SocketAddr::from((ip, port)));
}

/// The next message of a stream, which has no body.
pub(crate) fn next(stream: &mut TcpStream) -> String {
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).expect("a message");
        message.extend(octet);
    }
    String::from_utf8(message).expect("a text")
}

pub(crate) fn header<'m>(message: &'m str, name: &str) -> Vec<&'m str> {
    message.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

/// RFC 5626 §5.3 and §6: a device that nobody can connect to is called on the connection that it registered by, and what
/// follows in the dialog comes there too.
#[test]
fn a_device_behind_a_nat_is_called_on_its_own_connection() {
    let repro = start(&[]);
    let (proxy, over_udp) = (address(&repro, "tcp"), address(&repro, "udp"));
    let mut bob = TcpStream::connect(proxy).expect("it listens");
    bob.set_read_timeout(Some(LIMIT)).expect("a limit");
    // An address of documentation: nobody is there.
    let contact = "sip:bob@192.0.2.1:9;transport=tcp;ob";
    let register = format!(
        "REGISTER sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:9;branch=z9hG4bKr;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@{proxy}>;tag=1\r\nTo: <sip:bob@{proxy}>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\n\
         Supported: outbound, path\r\nContact: <{contact}>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"\r\n\
         Content-Length: 0\r\n\r\n"
    );
    bob.write_all(register.as_bytes()).expect("it reads");
    let answer = next(&mut bob);
    assert!(answer.starts_with("SIP/2.0 200 ") && header(&answer, "Require") == ["outbound"], "{answer}");
    let alice = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    alice.set_read_timeout(Some(LIMIT)).expect("a limit");
    let own = alice.local_addr().expect("bound");
    let request = |method: &str, uri: &str, to: &str, routes: &str| {
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n{routes}\
             From: <sip:a@127.0.0.1>;tag=a\r\nTo: <sip:bob@{proxy}>{to}\r\nCall-ID: call\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:a@{own}>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    alice.send_to(request("INVITE", &format!("sip:bob@{proxy}"), "", "").as_bytes(), over_udp).expect("loopback");
    let invite = next(&mut bob);
    assert!(invite.starts_with(&format!("INVITE {contact} SIP/2.0")), "{invite}");
    let mut routes: Vec<String> = header(&invite, "Record-Route").into_iter().map(str::to_owned).collect();
    routes.reverse();
    let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
    alice.send_to(request("BYE", contact, ";tag=b", &routes).as_bytes(), over_udp).expect("loopback");
    let bye = next(&mut bob);
    assert!(bye.starts_with(&format!("BYE {contact} SIP/2.0")), "{bye}");
}
