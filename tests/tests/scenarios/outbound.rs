//! A device behind a NAT, its edge proxy, and the registrar of its domain (RFC 5626, RFC 3327).

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};

use crate::keep_alive::{header, next};
use crate::repro::{LIMIT, address, start};

/// A place of documentation: nobody is there.
const CONTACT: &str = "sip:bob@192.0.2.1:9;transport=tcp;ob";

/// A flow of bob's device: a connection to an edge proxy.
struct Device {
    stream: TcpStream,
    home: SocketAddr,
}

impl Device {
    fn connect(edge: SocketAddr, home: SocketAddr) -> Self {
        let stream = TcpStream::connect(edge).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        Device { stream, home }
    }

    /// Registers as one flow; the answer.
    fn register(&mut self, reg_id: u32, cseq: u32) -> String {
        let home = self.home;
        let register = format!(
            "REGISTER sip:{home} SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:9;branch=z9hG4bKr{reg_id}{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bob@{home}>;tag=1\r\nTo: <sip:bob@{home}>\r\nCall-ID: r{reg_id}\r\n\
             CSeq: {cseq} REGISTER\r\nSupported: outbound, path\r\n\
             Contact: <{CONTACT}>;reg-id={reg_id};+sip.instance=\"<urn:uuid:1>\"\r\nContent-Length: 0\r\n\r\n"
        );
        self.stream.write_all(register.as_bytes()).expect("it reads");
        let answer = next(&mut self.stream);
        assert!(answer.starts_with("SIP/2.0 200 ") && header(&answer, "Require") == ["outbound"], "{answer}");
        answer
    }
}

/// RFC 5626 §7: one of two edge proxies has lost its flow, and says so; the call takes the other.
#[test]
fn a_call_takes_another_flow_when_one_has_failed() {
    let (edges, home) = ([start(&[]), start(&[])], start(&[]));
    let domain = address(&home, "udp");
    let [mut first, mut second] = edges.each_ref().map(|edge| Device::connect(address(edge, "tcp"), domain));
    first.register(1, 1);
    second.register(2, 1);
    drop(second);
    let alice = alice();
    call(&alice, domain, "INVITE", (&format!("sip:bob@{domain}"), ""), "");
    let invite = next(&mut first.stream);
    assert!(invite.starts_with(&format!("INVITE {CONTACT} SIP/2.0")), "{invite}");
    // The one that failed is no longer registered.
    let answer = first.register(1, 2);
    assert_eq!(header(&answer, "Contact").len(), 1, "{answer}");
}

/// A request of alice to bob's domain.
fn call(alice: &UdpSocket, home: SocketAddr, method: &str, (uri, to): (&str, &str), lines: &str) {
    let own = alice.local_addr().expect("bound");
    let request = format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n{lines}\
         From: <sip:a@127.0.0.1>;tag=a\r\nTo: <sip:bob@{home}>{to}\r\nCall-ID: call\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:a@{own}>\r\nContent-Length: 0\r\n\r\n"
    );
    alice.send_to(request.as_bytes(), home).expect("loopback");
}

fn alice() -> UdpSocket {
    let alice = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    alice.set_read_timeout(Some(LIMIT)).expect("a limit");
    alice
}

/// The route set of a caller, from the request that the called side got.
fn routes(request: &str) -> String {
    let mut routes = header(request, "Record-Route");
    routes.reverse();
    routes.into_iter().map(|route| format!("Route: {route}\r\n")).collect()
}

#[test]
fn a_device_is_called_through_its_edge_proxy() {
    let (edge, home) = (start(&[]), start(&[]));
    let domain = address(&home, "udp");
    let mut bob = Device::connect(address(&edge, "tcp"), domain);
    let answer = bob.register(1, 1);
    let path = header(&answer, "Path");
    assert!(path.len() == 1 && path[0].starts_with("<sip:flow-") && path[0].ends_with(";ob>"), "{answer}");
    let alice = alice();
    call(&alice, domain, "INVITE", (&format!("sip:bob@{domain}"), ""), "");
    let invite = next(&mut bob.stream);
    assert!(invite.starts_with(&format!("INVITE {CONTACT} SIP/2.0")) && !invite.contains("\r\nRoute:"), "{invite}");
    call(&alice, domain, "BYE", (CONTACT, ";tag=b"), &routes(&invite));
    let bye = next(&mut bob.stream);
    assert!(bye.starts_with(&format!("BYE {CONTACT} SIP/2.0")), "{bye}");
}

/// RFC 5627: of two devices the one that a GRUU names is called, and the dialog finds it when its flow is another.
#[test]
fn a_device_is_called_by_its_name() {
    let repro = start(&[]);
    let (over_tcp, domain) = (address(&repro, "tcp"), address(&repro, "udp"));
    let mut phones = [1, 2].map(|_| TcpStream::connect(over_tcp).expect("it listens"));
    let register = |stream: &mut TcpStream, device: usize, call_id: &str| {
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let register = format!(
            "REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:9;branch=z9hG4bK{call_id};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bob@{domain}>;tag=1\r\nTo: <sip:bob@{domain}>\r\nCall-ID: {call_id}\r\n\
             CSeq: 1 REGISTER\r\nSupported: outbound, gruu\r\n\
             Contact: <{CONTACT}>;reg-id=1;+sip.instance=\"<urn:uuid:{device}>\"\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(register.as_bytes()).expect("it reads");
        let answer = next(stream);
        let instance = format!("+sip.instance=\"<urn:uuid:{device}>\"");
        let own = header(&answer, "Contact").into_iter().find(|contact| contact.contains(&instance));
        let own = own.unwrap_or_else(|| panic!("{answer}"));
        ["pub-gruu", "temp-gruu"].map(|name| {
            let (_, value) = own.split_once(&format!("{name}=\"")).expect("a name");
            value.split('"').next().unwrap_or_default().to_owned()
        })
    };
    register(&mut phones[1], 2, "second");
    let names = register(&mut phones[0], 1, "first");
    assert_eq!(names[0], format!("sip:bob@{domain};gr=urn:uuid:1"));
    let alice = alice();
    for (method, name) in ["MESSAGE", "OPTIONS"].into_iter().zip(&names) {
        call(&alice, domain, method, (name, ""), "");
        let request = next(&mut phones[0]);
        assert!(request.starts_with(&format!("{method} {CONTACT} SIP/2.0")), "{request}");
    }
    // The device comes back on another connection.
    let mut back = TcpStream::connect(over_tcp).expect("it listens");
    register(&mut back, 1, "third");
    call(&alice, domain, "INFO", (&names[0], ";tag=b"), &format!("Route: <sip:{domain};lr>\r\n"));
    let request = next(&mut back);
    assert!(request.starts_with(&format!("INFO {CONTACT} SIP/2.0")), "{request}");
}
