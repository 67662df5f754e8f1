//! Who requests are said to be from: RFC 3325, and the privacy of RFC 3323 as far as a proxy goes.

use super::auth::{asking, of, post, prove, register};
use super::*;
use serde_json::json;

const FRIEND: &str = "10.1.2.3:5060";
const STRANGER: &str = "198.51.100.77:5060";

/// A proxy in a trust domain with 10.0.0.0/8; bob is registered there, and `carol` at a stranger's.
fn domain() -> Bench {
    let mut bench = asking(|config| config.identity.trust_domain = true);
    post(&mut bench, &[("acl", json!({"network": "10.0.0.0/8"}))]);
    bench.peer = FRIEND;
    for (who, at) in [("bob", "sip:bob@10.9.9.9"), ("alice", "sip:alice@203.0.113.50")] {
        let lines = format!("To: <sip:{who}@example.com>\r\nContact: <{at}>\r\n");
        assert_eq!(bench.status(of("REGISTER", "sip:example.com", &lines)), 200);
    }
    bench
}

fn line(msg: &Message, name: &str) -> Vec<String> {
    msg.raw_values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

const CLAIMED: &str = "P-Asserted-Identity: <sip:king@example.com>\r\nRemote-Party-ID: <sip:king@example.com>\r\n";

#[test]
fn what_a_stranger_asserts_is_removed_and_a_friend_is_believed() {
    let mut bench = domain();
    let lines = format!("From: <sip:x@example.net>;tag=a\r\nP-Preferred-Identity: <sip:x@y>\r\n{CLAIMED}");
    for (peer, believed) in [(STRANGER, false), (FRIEND, true)] {
        bench.peer = peer;
        let (_, msg, _) = bench.forwarded(of("INVITE", "sip:bob@example.com", &lines));
        assert_eq!(line(&msg, "P-Asserted-Identity").len(), usize::from(believed), "{peer}");
        assert_eq!(line(&msg, "Remote-Party-ID").len(), usize::from(believed));
        assert_eq!(line(&msg, "P-Preferred-Identity").len(), usize::from(believed));
    }
    // Without a trust domain nothing is touched.
    let mut bench = Bench::new();
    let (_, msg, _) = bench.forwarded(of("INVITE", "sip:bob@198.51.100.1", &lines));
    assert_eq!(line(&msg, "P-Asserted-Identity"), ["<sip:king@example.com>"]);
}

#[test]
fn who_has_proved_who_he_is_is_asserted() {
    let mut bench = domain();
    bench.peer = STRANGER;
    for (preferred, asserted) in [
        ("", "<sip:alice@example.com>"),
        ("\"Alice L.\" <sip:alice@example.com>", "\"Alice L.\" <sip:alice@example.com>"),
        ("<sip:king@example.com>", "<sip:alice@example.com>"),
    ] {
        let preferred =
            if preferred.is_empty() { String::new() } else { format!("P-Preferred-Identity: {preferred}\r\n") };
        let msg = of("INVITE", "sip:bob@example.com", &format!("{preferred}{CLAIMED}"));
        let sent = sent(prove(&mut bench, msg, "alice", "alice"));
        assert_eq!(line(&sent[0].1, "P-Asserted-Identity"), [asserted]);
        assert!(line(&sent[0].1, "P-Preferred-Identity").is_empty() && line(&sent[0].1, "Remote-Party-ID").is_empty());
    }
}

#[test]
fn what_is_private_goes_to_friends_alone() {
    let mut bench = domain();
    for (wish, to_friend, to_stranger) in [
        ("none", true, true),
        ("user", true, true),
        ("id", true, false),
        ("id;user", true, false),
        ("header", true, false),
    ] {
        bench.peer = FRIEND;
        let lines = format!("{CLAIMED}Privacy: {wish}\r\nSubject: secret\r\nUser-Agent: mine\r\n");
        for (to, told) in [("bob", to_friend), ("alice", to_stranger)] {
            let (_, msg, _) = bench.forwarded(of("INVITE", &format!("sip:{to}@example.com"), &lines));
            assert_eq!(line(&msg, "P-Asserted-Identity").len(), usize::from(told), "{wish} {to}");
            assert_eq!(line(&msg, "Remote-Party-ID").len(), usize::from(told), "{wish} {to}");
            let hidden = to == "alice" && wish.contains("user");
            assert_eq!(line(&msg, "Subject").len() + line(&msg, "User-Agent").len(), if hidden { 0 } else { 2 });
            assert_eq!(line(&msg, "From")[0].contains("anonymous@anonymous.invalid"), hidden, "{wish} {to}");
        }
    }
}

#[test]
fn the_caller_gets_his_own_from_back() {
    let mut bench = domain();
    let lines = "From: \"Alice\" <sip:alice@example.com>;tag=a\r\nPrivacy: user\r\n";
    let (client, msg, _) = bench.forwarded(of("INVITE", "sip:alice@example.com", lines));
    assert_eq!(line(&msg, "From"), ["\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=a"]);
    for code in [180, 486] {
        let outs = bench.respond(client, &msg, code);
        let [Out::Answer(_, sent, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
        assert_eq!((*sent, line(answer, "From")), (code, vec!["\"Alice\" <sip:alice@example.com>;tag=a".to_owned()]));
    }
}

#[test]
fn what_cannot_be_hidden_is_not_sent() {
    let mut bench = domain();
    let lines = "Privacy: header;critical\r\n";
    assert_eq!(codes(&bench.request(of("INVITE", "sip:alice@example.com", lines))), [500]);
    bench.forwarded(of("INVITE", "sip:bob@example.com", lines));
}

/// Responses: of a stranger nothing is believed, and to a stranger nothing is told that is private.
#[test]
fn responses_assert_too() {
    for (from, to, privacy, told) in [
        (STRANGER, FRIEND, "", false),
        (FRIEND, FRIEND, "Privacy: id\r\n", true),
        (FRIEND, STRANGER, "", true),
        (FRIEND, STRANGER, "Privacy: id\r\n", false),
    ] {
        let mut bench = domain();
        bench.peer = to;
        let lines = "From: <sip:x@example.net>;tag=a\r\n";
        let (client, msg, _) = bench.forwarded(of("INVITE", "sip:bob@example.com", lines));
        bench.peer = from;
        let mut response = response(&msg, 200);
        response.append_line("P-Asserted-Identity", "<sip:bob@example.com>");
        if !privacy.is_empty() {
            response.append_line("Privacy", "id");
        }
        let msg = bench.stamped(*response);
        let outs = bench.event(TuEvent::Response { transaction: client, msg });
        let [Out::Answer(_, 200, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
        assert_eq!(line(answer, "P-Asserted-Identity").len(), usize::from(told), "{from} {to} {privacy}");
    }
}

#[test]
fn a_registration_asserts_nothing() {
    let mut bench = domain();
    bench.peer = STRANGER;
    let outs = prove(&mut bench, register("bob@example.com"), "bob", "bob");
    assert_eq!(codes(&outs), [200]);
}
