//! What is refused and with which status, by messages in the manner of RFC 4475 and RFC 5118.

use super::*;
use crate::message::Limits;
use crate::transport::{ConnectionId, TransportId};
use bytes::Bytes;
use rutil::Rng;

fn flow(kind: TransportType) -> Flow {
    let peer = "127.0.0.1:5090".parse().unwrap();
    Flow { transport: TransportId(0), kind, connection: ConnectionId(3), peer, local: None }
}

/// `ok`, or the status with what is wrong.
fn verdict(octets: &[u8]) -> String {
    let mut msg = match Message::parse_datagram(Bytes::copy_from_slice(octets), &Limits::default()) {
        Ok(msg) => msg,
        Err(fault) => return format!("no message: {fault}"),
    };
    match check_request(&mut msg, &flow(TransportType::Udp), &KeyMaker::new(&mut Rng::from_seed(1))) {
        Ok(_) => "ok".to_string(),
        Err(refusal) => format!("{} {refusal}", refusal.status()),
    }
}

macro_rules! torture {
    ($($name:literal $verdict:literal;)*) => {
        [$(($name, verdict(include_bytes!(concat!("../../../tests/torture/", $name, ".sip"))), $verdict)),*]
    };
}

#[test]
fn what_breaks_the_grammar_or_a_rule_is_refused() {
    let cases = torture! {
        // RFC 4475 §3.1.2
        "badinv01" "400 Via: parameter: name expected (offset 23)";
        "clerr" "400 body shorter than Content-Length";
        "ncl" "400 Content-Length is not a number";
        "scalar02" "400 Max-Forwards: above 255 (offset 0)";
        "quotbal" "400 To: display name: quoted string without closing quote (offset 0)";
        "ltgtruri" "400 malformed Request-URI";
        "lwsruri" "400 malformed Request-URI";
        "lwsstart" "400 malformed Request-URI";
        "trws" "400 request line is not Method SP Request-URI SP SIP-Version";
        "escruri" "400 Request-URI: SIP URI: character that is not allowed here (offset 50)";
        "badaspec" "400 To: URI: scheme expected (offset 14)";
        "baddn" "400 To: name-addr: neither display name and `<` nor a URI (offset 4)";
        "badvers" "505 SIP version not supported";
        "mismatch01" "400 CSeq names another method than the request line";
        "mismatch02" "400 CSeq names another method than the request line";
        // RFC 4475 §3.3
        "insuf" "400 To: header is missing (offset 0)";
        "multi01" "400 To came more than once";
        "mcl01" "400 conflicting Content-Length headers";
        // RFC 5118
        "ipv6-bad" "400 Request-URI: port: digits expected (offset 9)";
    };
    for (name, seen, right) in cases {
        assert_eq!(seen, right, "{name}");
    }
}

/// Strange, or for others to refuse: an unknown scheme is 416 and an unknown option 420 at whoever has to act on it.
#[test]
fn what_is_legal_or_none_of_our_business_passes() {
    let cases = torture! {
        "wsinv" "ok"; "intmeth" "ok"; "esc01" "ok"; "esc02" "ok"; "escnull" "ok"; "lwsdisp" "ok"; "longreq" "ok";
        "dblreq" "ok"; "semiuri" "ok"; "transports" "ok"; "mpart01" "ok"; "badbranch" "ok"; "baddate" "ok";
        "regbadct" "ok"; "unkscm" "ok"; "novelsc" "ok"; "unksm2" "ok"; "bext01" "ok"; "invut" "ok"; "regaut01" "ok";
        "zeromf" "ok"; "cparam01" "ok"; "cparam02" "ok"; "regescrt" "ok"; "sdp01" "ok"; "inv2543" "ok";
        "ipv6-good" "ok"; "port-ambiguous" "ok"; "port-unambiguous" "ok"; "via-received-param-with-delim" "ok";
        "via-received-param-no-delim" "ok"; "ipv6-in-sdp" "ok"; "mult-ip-in-header" "ok"; "mult-ip-in-sdp" "ok";
        "ipv4-mapped-ipv6" "ok"; "ipv6-bug-abnf-3-colons" "ok"; "ipv6-correct-abnf-2-colons" "ok";
    };
    for (name, seen, right) in cases {
        assert_eq!(seen, right, "{name}");
    }
}

const GOOD: &str = "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5090;branch=z9hG4bKa\r\n\
    To: <sip:bob@example.com>\r\nFrom: <sip:alice@example.com>;tag=1\r\nCall-ID: c\r\nCSeq: 7 OPTIONS\r\n\
    Max-Forwards: 70\r\nContent-Type: text/plain\r\n\r\n";

#[test]
fn each_header_that_everybody_needs_is_checked() {
    assert_eq!(verdict(GOOD.as_bytes()), "ok");
    let lines: Vec<&str> = GOOD.split_inclusive("\r\n").collect();
    for line in &lines[1..8] {
        let name = line.split(':').next().unwrap();
        let without = verdict(GOOD.replacen(line, "", 1).as_bytes());
        let broken = verdict(GOOD.replacen(line, &format!("{name}: ?\"\r\n"), 1).as_bytes());
        let twice = verdict(GOOD.replacen(line, &line.repeat(2), 1).as_bytes());
        match name {
            "Max-Forwards" => assert_eq!(without, "ok"),
            "Content-Type" => {
                assert_eq!(
                    (&without[..], &broken[..], &twice[..]),
                    ("ok", "ok", "400 Content-Type came more than once")
                );
                continue;
            }
            _ => assert_eq!(without, format!("400 {name}: header is missing (offset 0)")),
        }
        // A Call-ID is what the peer calls it.
        assert!(broken.starts_with(&format!("400 {name}: ")) || (name == "Call-ID" && broken == "ok"), "{broken}");
        let allowed = if name == "Via" { "ok".to_string() } else { format!("400 {name} came more than once") };
        assert_eq!(twice, allowed);
    }
    assert_eq!(
        verdict(GOOD.replacen("tag=1\r\n", "tag=1, <sip:c>\r\n", 1).as_bytes()).split(':').next(),
        Some("400 From")
    );
    assert_eq!(verdict(b"GET / HTTP/1.1\r\n\r\n"), "400 request line is not Method SP Request-URI SP SIP-Version");
    assert_eq!(verdict(b"\0\0\0\0"), "no message: start line is neither a request line nor a status line");
}

#[test]
fn the_response_goes_where_the_via_says() {
    let to = |via: &str, kind| {
        let mut msg = Message::parse(GOOD.replacen("SIP/2.0/UDP 127.0.0.1:5090", via, 1).as_bytes()).unwrap();
        let keys = KeyMaker::new(&mut Rng::from_seed(1));
        let reply_to = check_request(&mut msg, &flow(kind), &keys).unwrap().reply_to;
        assert_eq!((reply_to.connection, reply_to.kind), (ConnectionId(3), kind));
        reply_to.peer.to_string()
    };
    let udp = TransportType::Udp;
    assert_eq!(to("SIP/2.0/UDP a.example.com", udp), "127.0.0.1:5060");
    assert_eq!(to("SIP/2.0/UDP a.example.com:5099", udp), "127.0.0.1:5099");
    assert_eq!(to("SIP/2.0/UDP a.example.com:5099;rport", udp), "127.0.0.1:5090");
    assert_eq!(to("SIP/2.0/UDP a.example.com;maddr=127.0.0.1", udp), "127.0.0.1:5060");
    // A third party is not made to hear of it.
    assert_eq!(to("SIP/2.0/UDP a.example.com;maddr=127.0.0.9", udp), "127.0.0.1:5060");
    assert_eq!(to("SIP/2.0/UDP a.example.com:5099;maddr=127.0.0.9;rport", udp), "127.0.0.1:5090");
    assert_eq!(to("SIP/2.0/UDP a.example.com;maddr=224.0.0.1", udp), "127.0.0.1:5060");
    assert_eq!(to("SIP/2.0/UDP a.example.com;maddr=0.0.0.0", udp), "127.0.0.1:5060");
    assert_eq!(to("SIP/2.0/TLS a.example.com;rport", TransportType::Tls), "127.0.0.1:5061");
}

#[test]
fn the_topmost_via_learns_where_the_request_came_from() {
    let stamped = |via: &str, source: &str| {
        let mut msg =
            Message::parse(format!("A b:c SIP/2.0\r\nVia: {via}, SIP/2.0/TCP next\r\n\r\n").as_bytes()).unwrap();
        stamp_received(&mut msg, source.parse().unwrap());
        let values = msg.header(h::VIAS).texts().map(|text| text.unwrap().to_string()).collect::<Vec<_>>();
        assert_eq!(values[1], "SIP/2.0/TCP next");
        values[0].clone()
    };
    let here = "127.0.0.1:5090";
    assert_eq!(stamped("SIP/2.0/UDP 127.0.0.1", here), "SIP/2.0/UDP 127.0.0.1");
    assert_eq!(stamped("SIP/2.0/UDP a;branch=z9hG4bK1", here), "SIP/2.0/UDP a;branch=z9hG4bK1;received=127.0.0.1");
    assert_eq!(
        stamped("SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK1", here),
        "SIP/2.0/UDP 127.0.0.1;rport=5090;received=127.0.0.1;branch=z9hG4bK1"
    );
    // What is not the usual case says the same in another order.
    for (via, right) in [
        ("a;RPORT;branch=1", "a;rport=5090;branch=1;received=127.0.0.1"),
        ("a ;\r\n rport ;branch=1", "a;rport=5090;branch=1;received=127.0.0.1"),
        ("a;rportx;rport", "a;rportx;rport=5090;received=127.0.0.1"),
        ("a;x=\";rport\";rport", "a;x=\";rport\";rport=5090;received=127.0.0.1"),
        ("a;rport;received=1.1.1.1", "a;rport=5090;received=127.0.0.1"),
    ] {
        assert_eq!(stamped(&format!("SIP/2.0/UDP {via}"), here), format!("SIP/2.0/UDP {right}"));
    }
    // Folds, names in short and empty lines before it change nothing; what stands behind it stays.
    for (lines, right) in [
        ("v: SIP/2.0/UDP a\r\n ;rport;branch=1 , SIP/2.0/UDP b", "a\r\n ;rport=5090;received=127.0.0.1;branch=1"),
        ("Via: \r\nVia: SIP/2.0/UDP a;rport;branch=1 , SIP/2.0/UDP b", "a;rport=5090;branch=1;received=127.0.0.1"),
    ] {
        let mut msg = Message::parse(format!("A b:c SIP/2.0\r\n{lines}\r\nTo: x\r\n\r\nbody").as_bytes()).unwrap();
        stamp_received(&mut msg, here.parse().unwrap());
        let again = Message::parse(msg.to_bytes()).unwrap();
        let values: Vec<_> = again.header(h::VIAS).texts().map(|text| text.unwrap().to_owned()).collect();
        assert_eq!(values, [format!("SIP/2.0/UDP {right}"), "SIP/2.0/UDP b".to_owned()]);
        assert_eq!((again.raw_value(HeaderId::TO), again.body()), (Some(&b"x"[..]), &b"body"[..]));
    }
    // What the peer claims does not stay.
    assert_eq!(stamped("SIP/2.0/UDP a;received=192.0.2.1", here), "SIP/2.0/UDP a;received=127.0.0.1");
    assert_eq!(stamped("SIP/2.0/UDP 127.0.0.1;received=192.0.2.1", here), "SIP/2.0/UDP 127.0.0.1;received=127.0.0.1");
    assert_eq!(stamped("SIP/2.0/TCP [::1];rport=1", "[::1]:5090"), "SIP/2.0/TCP [::1];rport=5090;received=::1");
}

/// Whatever stands in it, and in whatever order, each value says what it is to say, and all else is as it was.
#[test]
fn however_a_via_is_written_it_is_stamped() {
    let parts = [
        ";rport",
        ";rport",
        "; rport",
        ";RPORT",
        ";rport=1",
        ";rport =\"x\"",
        ";received=192.0.2.1",
        ";branch=z9hG4bK1",
        ";x=\";rport;received=1, b\"",
        ";rportx",
        ";x=<;rport>",
        "\r\n ;ttl=1",
        " ; maddr=192.0.2.9",
        ";received=::1",
    ];
    let (mut rng, mut stamped) = (Rng::from_seed(7), 0);
    for _ in 0..5000 {
        let mut text = ["SIP/2.0/UDP a.example", "SIP / 2.0 / TCP [::1]:5061", "SIP/2.0/UDP 127.0.0.1"]
            [rng.range(3) as usize]
            .to_owned();
        (0..rng.range(5)).for_each(|_| text.push_str(parts[rng.range(parts.len() as u64) as usize]));
        let next = ["", ", SIP/2.0/UDP b;rport", "\r\nv: SIP/2.0/UDP b;rport"][rng.range(3) as usize];
        let name = ["Via", "v", "VIA "][rng.range(3) as usize];
        let text = format!("A b:c SIP/2.0\r\n{name}: {text}{next}\r\nTo: x\r\n\r\nbody");
        let mut msg = Message::parse(text.as_bytes()).unwrap();
        let Ok(before) = msg.first(h::VIAS).map(Via::into_owned) else { continue };
        let source: SocketAddr = ["127.0.0.1:5090", "[2001:db8::1]:70"][rng.range(2) as usize].parse().unwrap();
        stamp_received(&mut msg, source);
        let msg = Message::parse(msg.to_bytes()).unwrap();
        let after = msg.first(h::VIAS).unwrap();
        let asked = before.params.contains("rport");
        let noted = asked || before.params.contains("received") || before.host.ip() != Some(source.ip());
        stamped += u32::from(noted);
        assert_eq!(after.received().filter(|_| noted), noted.then(|| source.ip()), "{text}");
        assert_eq!(after.param(p::RPORT), asked.then(|| Some(source.port())), "{text}");
        let others = |via: &Via<'_>| {
            let own = |name: &str| name.eq_ignore_ascii_case("rport") || name.eq_ignore_ascii_case("received");
            let left = via.params.iter().filter(|param| !own(param.name));
            left.map(|param| (param.name.to_owned(), param.value.map(str::to_owned))).collect::<Vec<_>>()
        };
        assert_eq!((&before.host, before.port, others(&before)), (&after.host, after.port, others(&after)), "{text}");
        assert_eq!(msg.header(h::VIAS).count(), 1 + usize::from(!next.is_empty()), "{text}");
        assert_eq!((msg.raw_value(HeaderId::TO), msg.body()), (Some(&b"x"[..]), &b"body"[..]), "{text}");
    }
    assert!(stamped > 3000, "{stamped}");
}
