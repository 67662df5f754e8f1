//! Redirections that the proxy follows, and constant targets.

use super::provisioned::post;
use super::*;
use crate::config::{Forwarding, Limits};
use serde_json::json;

const BOB: &str = "sip:bob@127.0.0.1";

fn config() -> Config {
    let forwarding = Forwarding { follow_redirects: true, ..Forwarding::default() };
    Config { forwarding, ..Config::default() }
}

/// A proxy that follows, and knows bob on the phone of port 9001 and carol on 9002.
fn bench(config: Config) -> Bench {
    let mut bench = Bench::with("127.0.0.1:5060", config);
    bench.register_as("bob", "sip:bob@127.0.0.1:9001");
    bench.register_as("carol", "sip:carol@127.0.0.1:9002");
    bench
}

/// A redirection as it comes back.
fn redirect(bench: &mut Bench, client: ClientTransaction, msg: &Message, contacts: &[&str]) -> Vec<Out> {
    let mut response = response(msg, 302);
    contacts.iter().for_each(|contact| response.append_line("Contact", contact));
    let msg = bench.stamped(*response);
    bench.event(TuEvent::Response { transaction: client, msg })
}

fn uris(outs: Vec<Out>) -> Vec<String> {
    sent(outs).iter().map(|(_, msg)| uri(msg).to_owned()).collect()
}

/// Where a call to bob goes when his phone redirects it; nothing when the caller is told.
fn leads_to(bench: &mut Bench, asked: &str, contacts: &[&str]) -> Vec<String> {
    let (client, msg) = sent(bench.request(request("INVITE", asked, ""))).remove(0);
    let outs = redirect(bench, client, &msg, contacts);
    match codes(&outs).as_slice() {
        [] => uris(outs),
        codes => {
            assert_eq!(codes, [302]);
            Vec::new()
        }
    }
}

#[test]
fn a_redirection_goes_back_unless_it_is_to_be_followed() {
    assert!(leads_to(&mut bench(Config::default()), BOB, &["<sip:x@127.0.0.1:9009>"]).is_empty());
    let mut bench = bench(config());
    let (bob, msg) = sent(bench.request(request("INVITE", BOB, ""))).remove(0);
    let (other, msg) =
        sent(redirect(&mut bench, bob, &msg, &["<sip:x@127.0.0.1:9009;method=BYE?Subject=s>"])).remove(0);
    assert_eq!(uri(&msg), "sip:x@127.0.0.1:9009");
    assert!(text(&msg).contains("Diversion: <sip:bob@127.0.0.1>;reason=deflection;counter=1\r\n"));
    assert_eq!(codes(&bench.respond(other, &msg, 180)), [180]);
    assert_eq!(codes(&bench.respond(other, &msg, 200)), [200]);
    bench.assert_forgotten();
}

#[test]
fn contacts_are_followed_by_preference() {
    let contacts = ["<sip:1@127.0.0.1:9011>;q=0.2", "<sip:2@127.0.0.1:9012>;q=0.9, <sip:3@127.0.0.1:9013>;q=0.9"];
    let mut bench = bench(config());
    let (bob, msg) = sent(bench.request(request("INVITE", BOB, ""))).remove(0);
    let first = sent(redirect(&mut bench, bob, &msg, &contacts));
    assert_eq!(
        first.iter().map(|(_, msg)| uri(msg)).collect::<Vec<_>>(),
        ["sip:2@127.0.0.1:9012", "sip:3@127.0.0.1:9013"]
    );
    assert!(bench.respond(first[0].0, &first[0].1, 404).is_empty());
    assert_eq!(uris(bench.respond(first[1].0, &first[1].1, 404)), ["sip:1@127.0.0.1:9011"]);
}

#[test]
fn only_what_can_be_called_and_was_not_is_followed() {
    for contacts in [
        &["<http://127.0.0.1/>, <mailto:bob@127.0.0.1>"][..],
        &["<tel:+15550100>"],
        &["<sip:bob@127.0.0.1:9001>", "<sip:%62ob@127.0.0.1:9001;x=y>"],
        &["<sip:bob@127.0.0.1>"],
        &["<sip:nobody@127.0.0.1>"],
        &["*"],
        &["<<<"],
        &[],
    ] {
        assert!(leads_to(&mut bench(config()), BOB, contacts).is_empty(), "{contacts:?}");
    }
    let known = ["<sip:bob@127.0.0.1:9001>, <sip:carol@127.0.0.1>"];
    assert_eq!(leads_to(&mut bench(config()), BOB, &known), ["sip:carol@127.0.0.1:9002"]);
}

#[test]
fn a_secure_call_is_redirected_to_secure_places() {
    let mut bench = bench(config());
    let eve = json!({"aor": "eve@127.0.0.1", "contact": "sips:eve@127.0.0.1:9003"});
    post(&mut bench, &[("static_registration", eve)]);
    let contacts = ["<sip:x@127.0.0.1:9009>, <sip:carol@127.0.0.1>, <sips:y@127.0.0.1:9008>"];
    for asked in ["sips:eve@127.0.0.1", "sip:eve@127.0.0.1"] {
        assert_eq!(leads_to(&mut bench, asked, &contacts), ["sips:y@127.0.0.1:9008"], "{asked}");
    }
}

#[test]
fn a_redirection_to_a_user_finds_his_forwards() {
    let mut bench = bench(config());
    let forwards = json!({"aor": "carol@127.0.0.1", "forward_busy": "sip:vm@127.0.0.1:5090"});
    let own = json!({"aor": "bob@127.0.0.1", "voicemail": "sip:own@127.0.0.1:5090", "no_answer_seconds": 5});
    post(&mut bench, &[("user", forwards), ("user", own)]);
    let (bob, msg) = sent(bench.request(request("INVITE", BOB, ""))).remove(0);
    let (carol, msg) = sent(redirect(&mut bench, bob, &msg, &["<sip:carol@127.0.0.1>"])).remove(0);
    bench.respond(carol, &msg, 180);
    // What the one who has redirected would do with calls does not count any more.
    assert!(bench.pass(30).is_empty());
    let (_, msg) = sent(bench.respond(carol, &msg, 486)).remove(0);
    assert_eq!(uri(&msg), "sip:vm@127.0.0.1:5090");
    let [first, second] =
        ["<sip:carol@127.0.0.1>;reason=user-busy;counter=1", "<sip:bob@127.0.0.1>;reason=deflection;counter=1"];
    assert!(text(&msg).contains(&format!("Diversion: {first}\r\nDiversion: {second}\r\n")), "{}", text(&msg));
}

#[test]
fn phones_that_redirect_to_each_other_are_a_loop() {
    let mut bench = bench(config());
    let (bob, msg) = sent(bench.request(request("INVITE", BOB, ""))).remove(0);
    let (carol, msg) = sent(redirect(&mut bench, bob, &msg, &["<sip:carol@127.0.0.1>"])).remove(0);
    assert_eq!(codes(&redirect(&mut bench, carol, &msg, &["<sip:bob@127.0.0.1;x=y>, <sip:x@127.0.0.1>"])), [302]);
    let (bob, msg) = sent(bench.request(request("INVITE", "sip:b@127.0.0.1:9008", ""))).remove(0);
    let (carol, msg) = sent(redirect(&mut bench, bob, &msg, &["<sip:carol@127.0.0.1>"])).remove(0);
    let (bob, msg) = sent(redirect(&mut bench, carol, &msg, &["<sip:bob@127.0.0.1>"])).remove(0);
    assert_eq!(codes(&redirect(&mut bench, bob, &msg, &["<sip:carol@127.0.0.1;user=phone>"])), [482]);
    bench.assert_forgotten();
}

#[test]
fn redirections_have_a_bound() {
    let limits = Limits { max_targets: 3, ..Limits::default() };
    let mut bench = bench(Config { limits, ..config() });
    let (mut client, mut msg) = sent(bench.request(request("INVITE", BOB, ""))).remove(0);
    for port in [9011, 9012] {
        let contact = format!("<sip:x@127.0.0.1:{port}>");
        (client, msg) = sent(redirect(&mut bench, client, &msg, &[&contact])).remove(0);
    }
    assert_eq!(codes(&redirect(&mut bench, client, &msg, &["<sip:x@127.0.0.1:9013>"])), [302]);
}

#[test]
fn other_branches_ring_on() {
    let mut bench = bench(config());
    bench.register_as("bob", "sip:bob@127.0.0.1:9011");
    let branches = sent(bench.request(request("INVITE", BOB, "")));
    let [(desk, first), (mobile, second)] = branches.as_slice() else { panic!("{branches:?}") };
    assert!(redirect(&mut bench, *desk, first, &["<sip:x@127.0.0.1:9009>"]).is_empty());
    assert_eq!(uris(bench.respond(*mobile, second, 486)), ["sip:x@127.0.0.1:9009"]);
}

#[test]
fn a_stranger_cannot_send_a_call_elsewhere() {
    let forwarding = Forwarding { follow_redirects: true, ..Forwarding::default() };
    let config = Config {
        domains: vec!["example.com".parse().unwrap()],
        trusted_peers: vec!["10.0.0.0/8".parse().unwrap()],
        forwarding,
        ..Config::default()
    };
    let mut bench = Bench::with("192.0.2.1:5060", config);
    bench.peer = "10.1.2.3:5060";
    let lines = "To: <sip:bob@example.com>\r\nContact: <sip:bob@203.0.113.7>\r\n";
    assert_eq!(bench.status(request("REGISTER", "sip:example.com", lines)), 200);
    let premium = ["<sip:+1900@198.51.100.9>"];
    let (stranger, msg) = sent(bench.request(request("INVITE", "sip:x@198.51.100.1", ""))).remove(0);
    bench.peer = "198.51.100.1:5060";
    assert_eq!(codes(&redirect(&mut bench, stranger, &msg, &premium)), [302]);
    // A trusted peer could send it there himself, and so could a user of ours.
    bench.peer = "10.1.2.3:5060";
    let (peer, msg) = sent(bench.request(request("INVITE", "sip:x@10.1.2.4", ""))).remove(0);
    assert_eq!(uris(redirect(&mut bench, peer, &msg, &premium)), ["sip:+1900@198.51.100.9"]);
    let (bob, msg) = sent(bench.request(request("INVITE", "sip:bob@example.com", ""))).remove(0);
    bench.peer = "203.0.113.7:5060";
    let (stranger, msg) = sent(redirect(&mut bench, bob, &msg, &["<sip:x@198.51.100.1>"])).remove(0);
    // Where he has sent it is a stranger again.
    bench.peer = "198.51.100.1:5060";
    assert_eq!(codes(&redirect(&mut bench, stranger, &msg, &premium)), [302]);
}

#[test]
fn all_requests_go_to_a_constant_place() {
    let constant_location = ["sip:core@127.0.0.1:9007", "sip:127.0.0.1:9008"].map(|uri| uri.parse().unwrap()).to_vec();
    let forwarding = Forwarding { constant_location, ..Forwarding::default() };
    let mut bench = bench(Config { forwarding, ..Config::default() });
    for method in ["INVITE", "MESSAGE"] {
        let outs = bench.request(request(method, BOB, ""));
        assert_eq!(uris(outs), ["sip:core@127.0.0.1:9007", "sip:127.0.0.1:9008"]);
    }
    let (_, msg, _) = bench.forwarded(request("INVITE", "sip:x@127.0.0.1:9009", ""));
    assert_eq!(uri(&msg), "sip:x@127.0.0.1:9009");
    assert_eq!(bench.status(request("INVITE", "sips:bob@127.0.0.1", "")), 480);
}
