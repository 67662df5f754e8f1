//! The registrar (RFC 3261 §10.3).

use super::*;
use stack::header::CSeq;
use stack::header::Method;

struct Register {
    cseq: u32,
    call_id: &'static str,
    lines: String,
}

fn contact(text: &str) -> Register {
    Register { cseq: 1, call_id: "call", lines: format!("Contact: {text}\r\n") }
}

impl Register {
    fn cseq(mut self, cseq: u32) -> Self {
        self.cseq = cseq;
        self
    }
    fn call_id(mut self, call_id: &'static str) -> Self {
        self.call_id = call_id;
        self
    }
    fn expires(mut self, expires: &str) -> Self {
        self.lines += &format!("Expires: {expires}\r\n");
        self
    }
    fn msg(&self) -> Message {
        let lines = format!("To: <sip:bob@127.0.0.1>\r\n{}", self.lines);
        let mut msg = request("REGISTER", "sip:127.0.0.1", &lines);
        msg.set(h::CSEQ, &CSeq::new(self.cseq, Method::Register));
        msg.set(h::CALL_ID, self.call_id);
        msg
    }
}

/// Sends it and gives the status and the Contacts of the response.
fn send(bench: &mut Bench, register: Register) -> (u16, Vec<String>) {
    let outs = bench.request(register.msg());
    let [Out::Answer(_, code, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    (*code, answer.header(h::CONTACTS).map(|contact| contact.unwrap().to_string()).collect())
}

fn query(bench: &mut Bench) -> Vec<String> {
    send(bench, Register { cseq: 9, call_id: "query", lines: String::new() }).1
}

#[test]
fn contacts_come_back_with_all_their_parameters() {
    let mut bench = Bench::new();
    let text = "<sip:u%20x@127.0.0.1:9001;method=BYE;unknown=a;lr?Route=%3Csip:x%3E>;q=0.5;+sip.instance=\"<urn:uuid:1>\";reg-id=1";
    let (code, contacts) = send(&mut bench, contact(&format!("{text};expires=600")));
    assert_eq!((code, contacts), (200, vec![format!("{text};expires=600")]));
    bench.pass(100);
    assert_eq!(query(&mut bench), [format!("{text};expires=500")]);
    // As a target it has neither headers nor a method (RFC 3261 §16.6 step 2; RFC 4475 §3.1.2.14's regescrt is data of the registrar).
    let (_, msg, _) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", ""));
    assert_eq!(uri(&msg), "sip:u%20x@127.0.0.1:9001;unknown=a;lr");
}

/// RFC 3261 §10.3 step 8: so that a device without a clock knows the time.
#[test]
fn the_answer_says_the_time() {
    let mut bench = Bench::new();
    bench.server.set_epoch(Duration::from_secs(1_289_690_940));
    bench.pass(75);
    let outs = bench.request(contact("<sip:a@127.0.0.1:9001>").msg());
    let [Out::Answer(_, 200, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(answer).contains("\r\nDate: Sat, 13 Nov 2010 23:30:15 GMT\r\n"), "{}", text(answer));
}

#[test]
fn only_what_is_not_understood_is_unsupported() {
    let mut bench = Bench::new();
    let mut register = contact("<sip:a@127.0.0.1:9001>");
    register.lines += "Require: Path, foo\r\nRequire: gruu, bar\r\n";
    let outs = bench.request(register.msg());
    let [Out::Answer(_, 420, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(answer).contains("\r\nUnsupported: foo, bar\r\n"), "{}", text(answer));
}

#[test]
fn how_long_a_binding_lives() {
    for (expires_param, header, granted) in [
        ("", None, 3600),
        ("", Some("100"), 100),
        (";expires=200", Some("100"), 200),
        (";expires=4294967296", None, 7200),
        ("", Some("99999999999999999999"), 7200),
        (";expires=what", None, 3600),
        ("", Some("what"), 3600),
    ] {
        let mut bench = Bench::new();
        let mut register = contact(&format!("<sip:1@127.0.0.1:9001>{expires_param}"));
        if let Some(header) = header {
            register = register.expires(header);
        }
        let (code, contacts) = send(&mut bench, register);
        assert_eq!((code, contacts), (200, vec![format!("<sip:1@127.0.0.1:9001>;expires={granted}")]));
    }
}

#[test]
fn too_brief_is_423_with_min_expires() {
    let mut bench = Bench::new();
    let outs = bench.request(contact("<sip:1@127.0.0.1:9001>;expires=59").msg());
    let [Out::Answer(_, 423, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert_eq!(answer.header(h::MIN_EXPIRES).unwrap().0, 60);
    assert!(query(&mut bench).is_empty());
}

#[test]
fn a_binding_is_removed_by_zero_and_by_time() {
    let mut bench = Bench::new();
    send(&mut bench, contact("<sip:1@127.0.0.1:9001>, <sip:2@127.0.0.1:9002>"));
    let (code, left) = send(&mut bench, contact("<sip:1@127.0.0.1:9001>;expires=0").cseq(2));
    assert_eq!((code, left), (200, vec!["<sip:2@127.0.0.1:9002>;expires=3600".to_owned()]));
    bench.pass(3600);
    assert!(query(&mut bench).is_empty());
}

#[test]
fn a_refresh_finds_its_binding_by_the_uri() {
    let mut bench = Bench::new();
    send(&mut bench, contact("<sip:%61lice@127.0.0.1:9001;Transport=TCP>;q=0.1"));
    let (_, contacts) = send(&mut bench, contact("<sip:alice@127.0.0.1:9001;transport=tcp>").cseq(2));
    assert_eq!(contacts, ["<sip:alice@127.0.0.1:9001;transport=tcp>;expires=3600"]);
    // A parameter that only one has makes another contact only where it matters.
    let (_, contacts) = send(&mut bench, contact("<sip:alice@127.0.0.1:9001>").cseq(3));
    assert_eq!(contacts.len(), 2);
}

#[test]
fn an_older_request_changes_nothing() {
    let mut bench = Bench::new();
    send(&mut bench, contact("<sip:1@127.0.0.1:9001>").cseq(5));
    for cseq in [4, 5] {
        let both = contact("<sip:2@127.0.0.1:9002>, <sip:1@127.0.0.1:9001>;expires=0").cseq(cseq);
        assert_eq!(send(&mut bench, both).0, 500);
        assert_eq!(send(&mut bench, contact("*").expires("0").cseq(cseq)).0, 500);
        assert_eq!(query(&mut bench).len(), 1);
    }
    let other_call = contact("<sip:1@127.0.0.1:9001>;expires=0").cseq(1).call_id("other");
    assert_eq!(send(&mut bench, other_call), (200, vec![]));
}

/// The answer may have been lost, with the process that was to send it: the same request again has the same answer, and
/// prolongs nothing.
#[test]
fn the_very_same_request_again_changes_nothing_and_is_answered() {
    let mut bench = Bench::new();
    let both = "<sip:1@127.0.0.1:9001>;q=0.5;methods=\"INVITE\", <sip:2@127.0.0.1:9002>";
    send(&mut bench, contact("<sip:3@127.0.0.1:9003>").cseq(4));
    let (_, first) =
        send(&mut bench, contact(&format!("{both}, <sip:3@127.0.0.1:9003>;expires=0")).cseq(5).expires("600"));
    bench.pass(100);
    let again = contact(&format!("{both}, <sip:3@127.0.0.1:9003>;expires=0")).cseq(5).expires("600");
    let (code, contacts) = send(&mut bench, again);
    let left: Vec<String> = first.iter().map(|contact| contact.replace("expires=600", "expires=500")).collect();
    assert_eq!((code, contacts), (200, left));
    // What says something else with that CSeq, or the same with an older one, is no repetition.
    for other in [
        contact("<sip:1@127.0.0.1:9001>;q=0.6;methods=\"INVITE\"").cseq(5),
        contact("<sip:1@127.0.0.1:9001;x=1>;q=0.5;methods=\"INVITE\"").cseq(5),
        contact("<sip:1@127.0.0.1:9001>;q=0.5;methods=\"INVITE\";expires=0").cseq(5),
        contact("*").expires("0").cseq(5),
        contact(both).cseq(4),
    ] {
        let lines = other.lines.clone();
        assert_eq!(send(&mut bench, other).0, 500, "{lines}");
    }
    assert_eq!(query(&mut bench).len(), 2);
    // Nor does it bring back what was removed since, or count where it comes from another place.
    assert_eq!(send(&mut bench, contact("<sip:2@127.0.0.1:9002>;expires=0").cseq(6)).0, 200);
    assert_eq!(send(&mut bench, contact(both).cseq(5).expires("600")).0, 500);
    let one = || contact("<sip:1@127.0.0.1:9001>;q=0.5;methods=\"INVITE\"").cseq(5).expires("600");
    assert_eq!(send(&mut bench, one()).0, 200);
    bench.peer = "127.0.0.1:7009";
    assert_eq!(send(&mut bench, one()).0, 500);
    assert_eq!(query(&mut bench).len(), 1);
}

#[test]
fn a_star_stands_alone_and_with_zero() {
    let mut bench = Bench::new();
    send(&mut bench, contact("<sip:1@127.0.0.1:9001>, <sip:2@127.0.0.1:9002>"));
    for bad in [
        contact("*"),
        contact("*").expires("1"),
        contact("*, <sip:1@127.0.0.1:9001>").expires("0"),
        contact("<sip:1@127.0.0.1:9001>, *").expires("0"),
    ] {
        assert_eq!(send(&mut bench, bad.cseq(2)).0, 400);
    }
    assert_eq!(query(&mut bench).len(), 2);
    assert_eq!(send(&mut bench, contact("*").expires("0").cseq(3)), (200, vec![]));
}

#[test]
fn a_malformed_contact_spoils_all() {
    let mut bench = Bench::new();
    assert_eq!(send_status(&mut bench, "<sip:1@127.0.0.1:9001>, <sip:2@"), 400);
    assert!(query(&mut bench).is_empty());
}

fn send_status(bench: &mut Bench, contacts: &str) -> u16 {
    bench.status(contact(contacts).msg())
}

#[test]
fn contacts_and_records_are_limited() {
    let config = Config {
        registrar: crate::config::Registrar { max_contacts: 2, max_aors: 1, ..Default::default() },
        ..Config::default()
    };
    let mut bench = Bench::with("127.0.0.1:5060", config);
    assert_eq!(send_status(&mut bench, "<sip:1@a>, <sip:2@a>"), 200);
    assert_eq!(send(&mut bench, contact("<sip:3@a>").cseq(2)).0, 403);
    assert_eq!(query(&mut bench).len(), 2);
    let removals = ["<sip:3@a>;expires=0"; 5].join(", ");
    assert_eq!(send(&mut bench, contact(&removals).cseq(2)).0, 403);
    let other = "To: <sip:carol@127.0.0.1>\r\nContact: <sip:3@a>\r\n";
    assert_eq!(bench.status(request("REGISTER", "sip:127.0.0.1", other)), 503);
}

/// The first line of the response.
fn refusal(bench: &mut Bench, msg: Message) -> String {
    let outs = bench.request(msg);
    let [Out::Answer(_, _, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    text(answer).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn what_is_kept_is_limited_in_octets() {
    let mut bench = Bench::new();
    let padded = |octets: usize| {
        let ends = "sip:@127.0.0.1:9001;x=yy".len();
        format!("<sip:{}@127.0.0.1:9001>;x=yy", "u".repeat(octets - ends))
    };
    assert_eq!(refusal(&mut bench, contact(&padded(1025)).msg()), "SIP/2.0 400 Contact too long");
    assert_eq!(send_status(&mut bench, &padded(1024)), 200);
    let mut called = |octets: usize| {
        let mut msg = contact("<sip:1@127.0.0.1:9001>").msg();
        msg.set(h::CALL_ID, &*"c".repeat(octets));
        refusal(&mut bench, msg)
    };
    assert_eq!(called(257), "SIP/2.0 400 Call-ID too long");
    assert_eq!(called(256), "SIP/2.0 200 OK");
    let mut named = |octets: usize| {
        let user = "u".repeat(octets - "sip:@127.0.0.1".len());
        let lines = format!("To: <sip:{user}@127.0.0.1>\r\nContact: <sip:1@127.0.0.1:9001>\r\n");
        refusal(&mut bench, request("REGISTER", "sip:127.0.0.1", &lines))
    };
    assert_eq!(named(600), "SIP/2.0 400 Address-of-record too long");
    assert_eq!(named(500), "SIP/2.0 200 OK");
    assert_eq!(query(&mut bench).len(), 2);
}

#[test]
fn the_list_of_contacts_fits_into_a_datagram() {
    let registrar = crate::config::Registrar { max_contacts: 1000, ..Default::default() };
    let mut bench = Bench::with("127.0.0.1:5060", Config { registrar, ..Config::default() });
    let long = |n: u32| format!("<sip:{n}{}@127.0.0.1:9001>", "u".repeat(900));
    let codes: Vec<u16> = (100..140).map(|n| send(&mut bench, contact(&long(n)).cseq(n)).0).collect();
    let taken = codes.iter().filter(|code| **code == 200).count();
    assert_eq!((taken, codes.iter().skip(taken).all(|code| *code == 403)), (34, true));
    let outs = bench.request(Register { cseq: 1, call_id: "query", lines: String::new() }.msg());
    let [Out::Answer(_, 200, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(answer.header(h::CONTACTS).count() == taken && answer.to_bytes().len() < 34 * 1024);
}

/// The response repeats Via, From and To of the request: they count as well.
#[test]
fn a_response_fits_into_a_datagram_whatever_it_repeats() {
    let registrar = crate::config::Registrar { max_contacts: 1000, ..Default::default() };
    let mut bench = Bench::with("127.0.0.1:5060", Config { registrar, ..Config::default() });
    let long = |n: u32| format!("<sip:{n}{}@127.0.0.1:9001>", "u".repeat(900));
    for n in 100..130 {
        assert_eq!(send(&mut bench, contact(&long(n)).cseq(n)).0, 200);
    }
    let whole = |bench: &mut Bench, pad: usize, lines: &str| {
        // No line of a message is longer than 16 KiB.
        let via = |pad: usize| format!("Via: SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bKc;pad=x{}\r\n", "x".repeat(pad));
        let vias = via(pad / 3) + &via(pad / 3) + &via(pad - pad / 3 * 2);
        let outs = bench.request(Register { cseq: 1, call_id: "whole", lines: vias + lines }.msg());
        let [Out::Answer(_, code, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
        (*code, answer.to_bytes().len())
    };
    let (code, least) = whole(&mut bench, 0, "");
    assert_eq!(code, 200);
    let most = 65_507 - least;
    let mut codes = Vec::new();
    for pad in (most - 500..=most + 100).step_by(50) {
        let (code, octets) = whole(&mut bench, pad, "");
        assert!(octets <= 65_507, "{octets}");
        codes.push(code);
    }
    let fit = codes.iter().take_while(|code| **code == 200).count();
    assert!(fit > 0 && fit < codes.len() && codes.iter().skip(fit).all(|code| *code == 513), "{codes:?}");
    // What cannot be answered with the list changes nothing either.
    let more = format!("Contact: {}\r\n", long(200));
    assert_eq!(whole(&mut bench, most - 500, &more).0, 513);
    assert_eq!(query(&mut bench).len(), 30);
    assert_eq!(whole(&mut bench, most, "Contact: *\r\nExpires: 0\r\n").0, 200);
}

#[test]
fn a_contact_that_no_request_can_be_sent_to_is_400() {
    const SCHEME: &str = "sip or sips URI expected";
    const HOST: &str = "its host is not the address of one device";
    const FLOW: &str = "nothing but a connection of its own leads there";
    const TRANSPORT: &str = "its transport is not supported";
    let mut bench = Bench::new();
    for (bad, why) in [
        ("<tel:+15551234>", SCHEME),
        ("<mailto:bob@example.com>", SCHEME),
        ("<sip:1@127.0.0.1:9001>, <http://127.0.0.1>", SCHEME),
        ("<sip:1@0.0.0.0>", HOST),
        ("<sip:1@0.0.0.0:5060>;expires=0", HOST),
        ("<sip:1@[::]>", HOST),
        ("<sip:1@[::ffff:0.0.0.0]>", HOST),
        ("<sip:1@255.255.255.255>", HOST),
        ("<sip:1@224.0.1.75>", HOST),
        ("<sip:1@[ff02::1]:5060>", HOST),
        ("<sip:1@127.0.0.1;maddr=224.0.1.75>", HOST),
        ("<sip:1@127.0.0.1:0>", "port 0"),
        ("<sip:1@example.com:0>", "port 0"),
        ("<sip:1@127.0.0.1;transport=sctp>", TRANSPORT),
        ("<sip:1@example.com;transport=sctp>", TRANSPORT),
        ("<sip:1@127.0.0.1;transport=ws>", FLOW),
        ("<sip:1@df7jal23ls0d.invalid>", FLOW),
        // The bench has UDP and TCP.
        ("<sips:1@127.0.0.1:9001>", TRANSPORT),
    ] {
        assert_eq!(refusal(&mut bench, contact(bad).msg()), format!("SIP/2.0 400 Contact: {why}"), "{bad}");
    }
    assert!(query(&mut bench).is_empty());
    // Where a name leads is not known yet, nor is what stands in front of an address of another family.
    let good = "<sip:1@example.com>, <sip:1@example.com:9001;transport=tcp>, <sip:1@[2001:db8::1]>, <sip:1@localhost>";
    assert_eq!(send(&mut bench, contact(good)).1.len(), 4);
}

#[test]
fn who_may_be_registered_where() {
    let mut bench = Bench::new();
    let lines = |to: &str| format!("To: <{to}>\r\nContact: <sip:1@127.0.0.1:9001>\r\n");
    for (to, code) in [
        ("sip:bob@127.0.0.1", 200),
        ("sips:carol@127.0.0.1:5060", 200),
        ("sip:bob@example.org", 404),
        ("isbn:2983792873", 400),
        ("tel:+15551234", 400),
    ] {
        assert_eq!(bench.status(request("REGISTER", "sip:127.0.0.1", &lines(to))), code, "{to}");
    }
    let required = "Require: 100rel\r\nTo: <sip:bob@127.0.0.1>\r\n";
    assert_eq!(bench.status(request("REGISTER", "sip:127.0.0.1", required)), 420);
    // For another domain it is a request like any other.
    bench.forwarded(request("REGISTER", "sip:example.org", ""));
}

/// RFC 3608 §6.3.
#[test]
fn devices_are_told_the_service_route() {
    let service_route =
        ["sip:a.example;lr", "sip:b.example:5070;transport=tcp;lr"].map(|uri| uri.parse().unwrap()).into();
    let registrar = crate::config::Registrar { service_route, ..Default::default() };
    let mut bench = Bench::with("127.0.0.1:5060", Config { registrar, ..Config::default() });
    let mut told = |text: &str| {
        let outs = bench.request(contact(text).msg());
        let [Out::Answer(_, code, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
        (*code, answer.header(h::SERVICE_ROUTES).map(|route| route.unwrap().to_string()).collect::<Vec<_>>().join(" "))
    };
    let route = "<sip:a.example;lr> <sip:b.example:5070;transport=tcp;lr>";
    assert_eq!(told("<sip:1@127.0.0.1:9001>"), (200, route.to_owned()));
    assert_eq!(told("<tel:+1234>"), (400, String::new()));
}

#[test]
fn one_record_by_any_spelling_of_its_name() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>"]);
    for uri in ["sip:bob@127.0.0.1:5060", "sip:b%6Fb@127.0.0.1;transport=udp", "sip:bob:secret@127.0.0.1"] {
        bench.forwarded(request("INVITE", uri, ""));
    }
    // He is known, and cannot be reached safely.
    assert_eq!(bench.status(request("INVITE", "sips:bob@127.0.0.1", "")), 480);
    assert_eq!(bench.status(request("INVITE", "sip:Bob@127.0.0.1", "")), 404);
}
