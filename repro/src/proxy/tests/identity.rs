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
        assert!(line(&msg, "Remote-Party-ID").is_empty(), "one form is enough");
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

const CARRIER: &str = "192.0.2.77:5060";

/// The same, with a carrier beside it, which is trusted without a password only as `peer` says.
fn with_carrier(peer: serde_json::Value) -> Bench {
    let mut bench = domain();
    let mut record = json!({"name": "carrier", "networks": ["192.0.2.77"], "trunks": ["gw"]});
    record.as_object_mut().unwrap().extend(peer.as_object().unwrap().clone());
    let trunk = json!({"name": "gw", "contacts": ["sip:gw.carrier.example"]});
    post(&mut bench, &[("acl", json!({"network": "10.0.0.0/8"})), ("trunk", trunk), ("peer", record)]);
    bench
}

const ASSERTED: &str = "P-Asserted-Identity: \"King\" <sip:king@example.com>\r\n";

/// As an exchange says it that knows no P-Asserted-Identity.
const PRIVATE: &str = "Remote-Party-ID: \"King\" <sip:king@example.com>;privacy=full\r\n";

#[test]
fn a_peer_is_told_in_its_own_form() {
    let own = "<sip:alice@example.com>;tag=a";
    for (identity, pai, rpid, from) in [
        ("pai", Some("\"King\" <sip:king@example.com>"), None, own),
        ("rpid", None, Some("\"King\" <sip:king@example.com>;party=calling;screen=yes;privacy=off"), own),
        ("from", None, None, "\"King\" <sip:king@example.com>;tag=a"),
        ("none", None, None, own),
    ] {
        let mut bench = with_carrier(json!({"identity": identity}));
        bench.peer = FRIEND;
        // By its trunk, whose address nobody knows yet, and by the address of its network.
        for uri in ["tel:+4930", "sip:x@192.0.2.77"] {
            let (client, msg, _) = bench.forwarded(of("INVITE", uri, ASSERTED));
            let told = (line(&msg, "P-Asserted-Identity"), line(&msg, "Remote-Party-ID"), line(&msg, "From"));
            let expected = |value: Option<&str>| value.map(str::to_owned).into_iter().collect::<Vec<_>>();
            assert_eq!(told, (expected(pai), expected(rpid), vec![from.to_owned()]), "{identity} {uri}");
            // Whoever called has the From that he sent.
            let outs = bench.respond(client, &msg, 180);
            let [Out::Answer(_, 180, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
            assert_eq!(line(answer, "From"), [own], "{identity}");
        }
    }
}

#[test]
fn what_is_private_goes_to_a_peer_of_the_trust_domain_alone() {
    for (identity, trusted, told) in [
        ("rpid", true, true),
        ("rpid", false, false),
        ("pai", true, true),
        ("pai", false, false),
        ("from", true, false),
        ("from", false, false),
    ] {
        let mut bench = with_carrier(json!({"identity": identity, "trust_domain": trusted}));
        bench.peer = FRIEND;
        // Somebody without a form may say it with either header.
        for said in [&format!("{ASSERTED}Privacy: id\r\n"), PRIVATE] {
            let (_, msg, _) = bench.forwarded(of("INVITE", "tel:+4930", said));
            let sent = text(&msg);
            assert_eq!(sent.contains("king"), told, "{identity} {sent}");
            assert_eq!(sent.contains("privacy=full"), told && identity == "rpid", "{sent}");
            assert!(!sent.contains("privacy=off") && line(&msg, "Privacy") == ["id"], "{sent}");
        }
    }
    // An anonymous From is not made into a name again, not even for who would be told it otherwise.
    for (trusted, wish) in [(false, "user"), (true, "user"), (true, "id")] {
        let mut bench = with_carrier(json!({"identity": "from", "trust_domain": trusted}));
        bench.peer = FRIEND;
        let lines = "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=a\r\n";
        let lines = format!("{lines}{ASSERTED}Privacy: {wish}\r\n");
        let (_, msg, _) = bench.forwarded(of("INVITE", "tel:+4930", &lines));
        assert!(
            line(&msg, "From")[0].contains("anonymous.invalid") && !text(&msg).contains("king"),
            "{trusted} {wish}"
        );
    }
}

/// The same in a response: of somebody without a form, for a peer that has one.
#[test]
fn a_private_answer_stays_private() {
    for (identity, told) in [
        ("rpid", "Remote-Party-ID: <sip:king@example.com>;party=called;screen=yes;privacy=full\r\n"),
        ("pai", "P-Asserted-Identity: <sip:king@example.com>\r\n"),
    ] {
        for trusted in [true, false] {
            let mut bench = with_carrier(json!({"identity": identity, "trust_domain": trusted}));
            bench.peer = CARRIER;
            let (client, msg, _) =
                bench.forwarded(of("INVITE", "sip:bob@example.com", "From: <sip:x@example.net>;tag=a\r\n"));
            bench.peer = FRIEND;
            let mut response = response(&msg, 200);
            response.append_line("Remote-Party-ID", "\"King\" <sip:king@example.com>;privacy=full");
            let msg = bench.stamped(*response);
            let outs = bench.event(TuEvent::Response { transaction: client, msg });
            let [Out::Answer(_, 200, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
            let answer = text(answer);
            assert_eq!(answer.contains(told), trusted, "{answer}");
            assert_eq!(answer.contains("king"), trusted, "{answer}");
            assert!(answer.contains("Privacy: id\r\n"), "{answer}");
        }
    }
}

#[test]
fn what_a_peer_says_is_read_in_its_own_form_if_it_is_trusted() {
    let said = "From: <sip:+4930@carrier.example>;tag=a\r\nP-Asserted-Identity: <sip:p@carrier.example>\r\n\
                Remote-Party-ID: <sip:r@carrier.example>;screen=yes;privacy=full\r\n";
    for (identity, trusted, asserted) in [
        ("pai", true, Some("<sip:p@carrier.example>")),
        ("rpid", true, Some("<sip:r@carrier.example>")),
        ("from", true, Some("<sip:+4930@carrier.example>")),
        ("none", true, None),
        ("pai", false, None),
        ("rpid", false, None),
        ("from", false, None),
    ] {
        let mut bench = with_carrier(json!({"identity": identity, "trust_domain": trusted}));
        bench.peer = CARRIER;
        let (_, msg, _) = bench.forwarded(of("INVITE", "sip:bob@example.com", said));
        let expected: Vec<String> = asserted.map(str::to_owned).into_iter().collect();
        assert_eq!(line(&msg, "P-Asserted-Identity"), expected, "{identity} {trusted}");
        assert!(line(&msg, "Remote-Party-ID").is_empty());
        assert_eq!(line(&msg, "Privacy").len(), usize::from(identity == "rpid" && trusted));
    }
}

/// Who was given up as silent is known again by its trunk when it takes the call after all, whatever it sends from; and so
/// is who has answered once.
#[test]
fn a_late_answer_is_still_its_trunks() {
    let mut bench = with_carrier(json!({"identity": "rpid", "trust_domain": true}));
    bench.peer = FRIEND;
    let (client, msg, _) = bench.forwarded(of("INVITE", "tel:+4930", "From: <sip:x@example.net>;tag=a\r\n"));
    assert_eq!(codes(&bench.event(TuEvent::Silent { transaction: client })), [408]);
    bench.peer = STRANGER;
    for tag in ["b", "c"] {
        let mut response = msg.make_response(200, None, Some(tag));
        response.push_front(h::VIAS, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKown");
        response.append_line("Remote-Party-ID", "<sip:x@y>;party=called;privacy=full");
        let msg = bench.stamped(response);
        let outs = bench.event(TuEvent::Response { transaction: client, msg });
        let [Out::Answer(_, 200, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
        assert_eq!(line(answer, "P-Asserted-Identity"), ["<sip:x@y>"], "{tag}");
        assert_eq!((line(answer, "Remote-Party-ID").len(), line(answer, "Privacy")), (0, vec!["id".to_owned()]));
    }
    bench.assert_forgotten();
}

/// That a peer is told by From who calls may be provisioned between one target and the next.
#[test]
fn the_caller_gets_his_own_from_back_whatever_is_provisioned_meanwhile() {
    let mut bench = domain();
    let trunk = |name: &str, priority: u32| {
        ("trunk", json!({"name": name, "contacts": [format!("sip:{name}.example")], "priority": priority}))
    };
    let records = vec![("acl", json!({"network": "10.0.0.0/8"})), trunk("one", 1), trunk("two", 2)];
    post(&mut bench, &records);
    bench.peer = FRIEND;
    let (client, msg, _) = bench.forwarded(of("INVITE", "tel:+4930", ASSERTED));
    let peer = json!({"name": "carrier", "networks": ["192.0.2.77"], "trunks": ["two"], "identity": "from"});
    post(&mut bench, &[records, vec![("peer", peer)]].concat());
    let branches = sent(bench.respond(client, &msg, 503));
    let [(second, msg)] = branches.as_slice() else { panic!("{branches:?}") };
    assert_eq!(line(msg, "From"), ["\"King\" <sip:king@example.com>;tag=a"]);
    let outs = bench.respond(*second, msg, 180);
    let [Out::Answer(_, 180, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert_eq!(line(answer, "From"), ["<sip:alice@example.com>;tag=a"]);
}

#[test]
fn a_peer_says_who_answers_and_is_told_it() {
    let mut bench = with_carrier(json!({"identity": "rpid", "trust_domain": true}));
    for (caller, uri, answerer, answered) in [
        (FRIEND, "tel:+4930", CARRIER, "P-Asserted-Identity: <sip:x@y>\r\n"),
        (CARRIER, "sip:bob@example.com", FRIEND, "Remote-Party-ID: <sip:x@y>;party=called;screen=yes;privacy=off\r\n"),
    ] {
        bench.peer = caller;
        let (client, msg, _) = bench.forwarded(of("INVITE", uri, "From: <sip:x@example.net>;tag=a\r\n"));
        bench.peer = answerer;
        let mut response = response(&msg, 200);
        let (name, value) = match answerer {
            CARRIER => ("Remote-Party-ID", "<sip:x@y>;party=called"),
            _ => ("P-Asserted-Identity", "<sip:x@y>"),
        };
        response.append_line(name, value);
        let msg = bench.stamped(*response);
        let outs = bench.event(TuEvent::Response { transaction: client, msg });
        let [Out::Answer(_, 200, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
        assert!(text(answer).contains(answered), "{}", text(answer));
    }
}
