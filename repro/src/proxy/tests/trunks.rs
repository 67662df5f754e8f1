//! Calls to telephone numbers, and the trunks that carry them.

use super::*;
use crate::Provisioning;
use stack::transport::TransportError;

const TWO: &str = r#"
[dial]
country_code = "49"
national_prefix = "0"
emergency = ["112"]
[[dial_rule]]
prefix = "0"
min_length = 6
[[trunk]]
name = "one"
contacts = ["sip:192.0.2.1"]
prefixes = ["+49"]
recovery_timeout = 60
q850 = true
redirects = "follow"
[[trunk]]
name = "two"
contacts = ["sip:192.0.2.2"]
prefixes = ["+49"]
priority = 1
recovery_timeout = 60
[[trunk]]
name = "sos"
contacts = ["sip:192.0.2.112"]
prefixes = []
emergency = true
"#;

const ONE: &str = "sip:+4930123@192.0.2.1;user=phone";
const OTHER: &str = "sip:+4930123@192.0.2.2;user=phone";

pub(super) fn provisioned(address: &str, toml: &str) -> Bench {
    let config = Config::parse(toml, "my.toml").unwrap();
    let provisioning = Provisioning::compile(&config.records, &mut Rng::from_seed(2)).unwrap();
    let mut bench = Bench::with(address, config);
    bench.event(TuEvent::Posted(Box::new(Arc::new(provisioning))));
    bench
}

fn bench() -> Bench {
    provisioned("127.0.0.1:5060", TWO)
}

fn call(bench: &mut Bench) -> (ClientTransaction, Box<Message>) {
    let (client, msg, _) = bench.forwarded(request("INVITE", "sip:030123@127.0.0.1", ""));
    (client, msg)
}

/// The one request that goes out.
fn next(outs: Vec<Out>) -> (ClientTransaction, Box<Message>) {
    let mut branches = sent(outs);
    assert_eq!(branches.len(), 1, "{branches:?}");
    branches.remove(0)
}

#[test]
fn a_trunk_that_says_503_is_followed_by_the_next_and_passed_over_by_later_calls() {
    let mut bench = bench();
    let (client, msg) = call(&mut bench);
    assert_eq!(uri(&msg), ONE);
    let (second, msg) = next(bench.respond(client, &msg, 503));
    assert_eq!(uri(&msg), OTHER);
    assert_eq!(codes(&bench.respond(second, &msg, 200)), [200]);
    assert_eq!(uri(&call(&mut bench).1), OTHER);
    // After its time one call tries whether it is back; meanwhile the others do not.
    bench.pass(60);
    let (client, msg) = call(&mut bench);
    assert_eq!((uri(&msg), uri(&call(&mut bench).1)), (ONE, OTHER));
    bench.respond(client, &msg, 180);
    assert_eq!(uri(&call(&mut bench).1), ONE);
}

#[test]
fn whoever_cannot_be_reached_is_followed_by_the_next() {
    for reason in [NoResponse::Timeout, NoResponse::NotFound, NoResponse::Transport(TransportError::Refused)] {
        let mut bench = bench();
        let (client, _) = call(&mut bench);
        assert_eq!(uri(&next(bench.no_response(client, reason)).1), OTHER, "{reason}");
        assert_eq!(uri(&call(&mut bench).1), OTHER);
    }
    // 408 leads on as well, but it is an answer.
    let mut bench = bench();
    let (client, msg) = call(&mut bench);
    assert_eq!(uri(&next(bench.respond(client, &msg, 408)).1), OTHER);
    assert_eq!(uri(&call(&mut bench).1), ONE);
}

/// The time for each attempt is told to the stack, and what is not heard of by then is given up as if it were not there.
#[test]
fn whoever_is_silent_is_followed_by_the_next_and_may_still_answer() {
    for late in [true, false] {
        let mut bench = bench();
        let (first, msg, options) = bench.forwarded(request("INVITE", "sip:030123@127.0.0.1", ""));
        assert_eq!((uri(&msg), options.silence), (ONE, Some(Duration::from_secs(5))));
        let mut outs = bench.event(TuEvent::Silent { transaction: first });
        assert_eq!(cancels(&outs), [first], "once it says something");
        outs.retain(|out| !matches!(out, Out::Cancel(..)));
        let (second, other) = next(outs);
        assert_eq!((uri(&other), uri(&call(&mut bench).1)), (OTHER, OTHER), "out of service");
        assert_eq!(codes(&bench.respond(second, &other, 180)), [180]);
        if late {
            let outs = bench.respond(first, &msg, 200);
            assert_eq!((codes(&outs), cancels(&outs)), (vec![200], vec![second]));
            assert!(bench.respond(second, &other, 487).is_empty());
        } else {
            assert_eq!(codes(&bench.respond(second, &other, 486)), [486]);
            // When it ends at last that is nothing new: the trunk comes back when it would have.
            bench.pass(27);
            assert!(bench.no_response(first, NoResponse::Timeout).is_empty());
            bench.pass(33);
            assert_eq!(uri(&call(&mut bench).1), ONE);
        }
    }
    // Nobody is left: the caller hears it now, and not after 32 s.
    let mut bench = bench();
    let (first, _) = call(&mut bench);
    let outs = bench.event(TuEvent::Silent { transaction: first });
    let second = sent(outs).remove(0).0;
    assert_eq!(codes(&bench.event(TuEvent::Silent { transaction: second })), [408]);
    [first, second].into_iter().for_each(|client| drop(bench.no_response(client, NoResponse::Timeout)));
    bench.assert_forgotten();
}

#[test]
fn an_emergency_call_waits_for_the_last_one() {
    let mut bench = bench();
    let (client, _, options) = bench.forwarded(request("INVITE", "sip:112@127.0.0.1", ""));
    assert!(options.silence.is_some());
    let mut outs = bench.event(TuEvent::Silent { transaction: client });
    outs.retain(|out| !matches!(out, Out::Cancel(..)));
    let (client, msg) = next(outs);
    let outs = bench.respond(client, &msg, 503);
    assert!(matches!(outs.as_slice(), [Out::Sent(_, _, SendOptions { silence: None, .. })]), "{outs:?}");
}

/// The last one is the last that is left: what may not get the call, or is one too many, was never in its way.
#[test]
fn an_emergency_call_waits_for_the_last_one_that_may_have_it() {
    let secure = TWO.replace("sip:192.0.2.112", "sips:192.0.2.112");
    let mut bench = provisioned("127.0.0.1:5060", &secure);
    let (_, msg, options) = bench.forwarded(request("INVITE", "sips:112@127.0.0.1", ""));
    assert_eq!((uri(&msg), options.silence), ("sips:112@192.0.2.112;user=phone", None));
    let mut bench = provisioned("127.0.0.1:5060", &format!("[limits]\nmax_targets = 2\n{TWO}"));
    let (client, msg, options) = bench.forwarded(request("INVITE", "sip:112@127.0.0.1", ""));
    assert_eq!(options.silence, Some(Duration::from_secs(5)));
    let outs = bench.respond(client, &msg, 503);
    let [Out::Sent(last, msg, SendOptions { silence: None, .. })] = outs.as_slice() else { panic!("{outs:?}") };
    assert_eq!(codes(&bench.respond(*last, msg, 404)), [404], "nobody is left");
}

#[test]
fn an_emergency_service_goes_the_emergency_way() {
    let mut bench = provisioned(
        "127.0.0.1:5060",
        &TWO.replace("emergency = [\"112\"]", "emergency = [\"112\"]\nservices = {\"sos.police\" = \"110\"}"),
    );
    for (urn, number) in
        [("urn:service:sos", "112"), ("urn:service:sos.fire", "112"), ("urn:service:SOS.police", "110")]
    {
        let (client, msg, _) = bench.forwarded(request("INVITE", urn, &format!("To: <{urn}>\r\n")));
        assert_eq!(uri(&msg), format!("sip:{number}@192.0.2.112;user=phone"), "{urn}");
        assert_eq!(uri(&next(bench.respond(client, &msg, 404)).1), format!("sip:{number}@192.0.2.1;user=phone"));
    }
    for urn in ["urn:service:counseling", "urn:isbn:1"] {
        assert_eq!(bench.status(request("INVITE", urn, "")), 416, "{urn}");
    }
    // Without emergency numbers there is no such way, and strangers do not get it.
    let mut bench = provisioned("127.0.0.1:5060", &TWO.replace("emergency = [\"112\"]", ""));
    assert_eq!(bench.status(request("INVITE", "urn:service:sos", "")), 416);
    let domains = "domains = [\"example.com\"]\ntrusted_peers = [\"192.0.2.77\"]\n";
    let mut bench = provisioned("192.0.2.100:5060", &format!("{domains}{TWO}"));
    bench.peer = "198.51.100.1:5060";
    assert_eq!(bench.status(request("INVITE", "urn:service:sos", "")), 403);
    bench.peer = "192.0.2.77:5060";
    assert_eq!(uri(&bench.forwarded(request("INVITE", "urn:service:sos", "")).1), "sip:112@192.0.2.112;user=phone");
}

#[test]
fn no_other_failure_leads_to_the_next() {
    let mut bench = bench();
    for code in [400, 401, 403, 404, 480, 486, 488, 500, 504, 603] {
        let (client, msg) = call(&mut bench);
        assert_eq!(uri(&msg), ONE);
        assert_eq!(codes(&bench.respond(client, &msg, code)), [code]);
        bench.assert_forgotten();
    }
}

#[test]
fn when_no_trunk_is_left_the_caller_hears_why() {
    let mut bench = bench();
    let (client, msg) = call(&mut bench);
    let (client, msg) = next(bench.respond(client, &msg, 503));
    assert_eq!(codes(&bench.respond(client, &msg, 503)), [500]);
    let outs = bench.request(request("INVITE", "sip:030123@127.0.0.1", ""));
    let [Out::Answer(_, 500, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(answer).contains("Reason: Q.850;cause=34\r\n"));
    // The next contact went out of service after it was chosen: nothing is sent to it.
    bench.pass(60);
    let (late, first) = call(&mut bench);
    let trunks = &bench.proxy.server.provisioning().trunks;
    let two = trunks.iter().find(|trunk| trunk.record.name == "two").unwrap();
    two.contacts[0].note(two, crate::routing::health::Event::Failed, bench.harness.now);
    assert_eq!(codes(&bench.respond(late, &first, 503)), [500]);
    bench.assert_forgotten();
}

#[test]
fn an_emergency_call_goes_on_whatever_is_out_of_service_and_whatever_fails() {
    let mut bench = bench();
    let emergency = || request("INVITE", "sip:112@127.0.0.1", "");
    for _ in 0..2 {
        let (mut client, mut msg, _) = bench.forwarded(emergency());
        let mut tried = vec![uri(&msg).to_owned()];
        for code in [503, 404] {
            (client, msg) = next(bench.respond(client, &msg, code));
            tried.push(uri(&msg).to_owned());
        }
        // All have failed before the second round: each is tried again, in the same order.
        assert_eq!(tried, ["192.0.2.112", "192.0.2.1", "192.0.2.2"].map(|host| format!("sip:112@{host};user=phone")));
        let trunks = &bench.proxy.server.provisioning().trunks;
        trunks.iter().for_each(|t| t.contacts[0].note(t, crate::routing::health::Event::Failed, bench.harness.now));
        assert_eq!(codes(&bench.respond(client, &msg, 200)), [200]);
    }
}

#[test]
fn an_incomplete_number_a_strange_number_and_a_users_number() {
    let mut bench = bench();
    assert_eq!(bench.status(request("INVITE", "sip:0301@127.0.0.1", "")), 484);
    assert_eq!(bench.status(request("INVITE", "sip:+1202@127.0.0.1", "")), 404);
    assert_eq!(bench.status(request("INVITE", "tel:+1-202", "")), 404);
    assert_eq!(bench.status(request("INVITE", "sip:alice@127.0.0.1", "")), 404);
    let from = "From: <sip:alice@127.0.0.1>;tag=a\r\n";
    for to in ["tel:030-123", "tel:+49(30)123;x=5", "sip:+4930.123@127.0.0.1;user=phone"] {
        assert_eq!(uri(&bench.forwarded(request("INVITE", to, from)).1), ONE, "{to}");
    }
    let user = "To: <sip:030123@127.0.0.1>\r\nContact: <sip:a@127.0.0.1:9001>\r\n";
    assert_eq!(bench.status(request("REGISTER", "sip:127.0.0.1", user)), 200);
    for to in ["tel:030-123", "sip:030123@127.0.0.1"] {
        assert_eq!(uri(&bench.forwarded(request("INVITE", to, from)).1), "sip:a@127.0.0.1:9001", "{to}");
    }
    // Somebody else's domain, and within a dialog.
    assert_eq!(uri(&bench.forwarded(request("INVITE", "sip:030123@192.0.2.9", "")).1), "sip:030123@192.0.2.9");
    let to = "To: <sip:030124@127.0.0.1>;tag=b\r\n";
    assert_eq!(bench.status(request("BYE", "sip:030124@127.0.0.1", to)), 404);
}

#[test]
fn a_stranger_gets_no_trunk() {
    let domains = "domains = [\"example.com\"]\ntrusted_peers = [\"192.0.2.77\"]\n";
    let mut bench = provisioned("192.0.2.100:5060", &format!("{domains}{TWO}"));
    bench.peer = "198.51.100.1:5060";
    for to in ["sip:030123@example.com", "sip:112@example.com", "tel:+4930123"] {
        assert_eq!(bench.status(request("INVITE", to, "")), 403, "{to}");
    }
    bench.peer = "192.0.2.77:5060";
    assert_eq!(uri(&bench.forwarded(request("INVITE", "sip:030123@example.com", "")).1), ONE);
}

#[test]
fn some_parameters_of_a_number_go_to_the_trunk() {
    let mut bench = bench();
    let (_, msg, _) = bench.forwarded(request("INVITE", "tel:030-123;phone-context=+49;npdi;rn=+49309;ext=5;x=1", ""));
    assert_eq!(uri(&msg), "sip:+4930123;npdi;rn=+49309;ext=5@192.0.2.1;user=phone");
    // A device that is not trusted, but may call, chooses no carrier.
    let domains = "domains = [\"example.com\"]\ntrusted_peers = [\"192.0.2.77\"]\n";
    let mut bench = provisioned("192.0.2.100:5060", &format!("{domains}{TWO}"));
    bench.peer = "192.0.2.77:5060";
    let device = "To: <sip:alice@example.com>\r\nContact: <sip:a@198.51.100.1:5060>\r\n";
    assert_eq!(bench.status(request("REGISTER", "sip:example.com", device)), 200);
    for (peer, expected) in [("192.0.2.77:5060", ";npdi;rn=+49309;ext=5"), ("198.51.100.1:5060", ";ext=5")] {
        bench.peer = peer;
        let (_, msg, _) = bench.forwarded(request("INVITE", "sip:030123;npdi;rn=+49309;ext=5@example.com", ""));
        assert_eq!(uri(&msg), format!("sip:+4930123{expected}@192.0.2.1;user=phone"));
    }
}

#[test]
fn a_redirection_is_followed_or_refused() {
    let mut bench = bench();
    let (client, msg) = call(&mut bench);
    let redirect = |msg: &Message| {
        let mut redirect = response(msg, 302);
        redirect.append_line("Contact", "<sip:b@192.0.2.8>;q=0.5, <sip:a@192.0.2.9?Subject=x>, <tel:+1>");
        redirect
    };
    let outs = bench.event(TuEvent::Response { transaction: client, msg: redirect(&msg) });
    let (client, msg) = next(outs);
    assert_eq!(uri(&msg), "sip:a@192.0.2.9");
    let (client, msg) = next(bench.respond(client, &msg, 486));
    assert_eq!(uri(&msg), "sip:b@192.0.2.8");
    assert_eq!(codes(&bench.respond(client, &msg, 404)), [486]);
    // The second trunk's are refused.
    let (client, msg) = call(&mut bench);
    let (client, msg) = next(bench.respond(client, &msg, 503));
    assert_eq!(codes(&bench.event(TuEvent::Response { transaction: client, msg: redirect(&msg) })), [403]);
    bench.assert_forgotten();
}

#[test]
fn causes_are_read_and_written() {
    let mut bench = bench();
    let (client, msg) = call(&mut bench);
    let mut busy = response(&msg, 503);
    busy.append_line("Reason", "Q.850;cause=17;text=\"User busy\"");
    let outs = bench.event(TuEvent::Response { transaction: client, msg: busy });
    let [Out::Answer(_, 486, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(answer).starts_with("SIP/2.0 486 Busy Here\r\n") && text(answer).contains("cause=17;text="));
    // It was no trouble of the trunk, but this is: no circuit.
    let (client, msg) = call(&mut bench);
    let mut full = response(&msg, 500);
    full.append_line("Reason", "Q.850;cause=34");
    let (client, msg) = next(bench.event(TuEvent::Response { transaction: client, msg: full }));
    assert_eq!(uri(&msg), OTHER);
    bench.respond(client, &msg, 486);
    // What has no cause gets one, where the trunk is configured so.
    bench.pass(60);
    let (client, msg) = call(&mut bench);
    let outs = bench.respond(client, &msg, 404);
    let [Out::Answer(_, 404, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(answer).contains("Reason: Q.850;cause=1\r\n"), "{}", text(answer));
}

#[test]
fn our_own_trouble_takes_no_trunk_out_of_service() {
    let mut bench = bench();
    // What is too large for one is so for all.
    let (client, _) = call(&mut bench);
    let outs = bench.no_response(client, NoResponse::Transport(TransportError::TooLarge));
    assert_eq!((codes(&outs), sent(outs).len()), (vec![513], 0));
    // What one asked to be left out goes to the next, this time.
    let (client, msg) = call(&mut bench);
    assert_eq!(uri(&msg), ONE);
    let (_, msg) = next(bench.no_response(client, NoResponse::Transport(TransportError::Congested)));
    assert_eq!((uri(&msg), uri(&call(&mut bench).1)), (OTHER, ONE));
}

#[test]
fn what_was_sent_to_sips_goes_to_no_trunk_in_clear() {
    let mut bench = bench();
    assert_eq!(bench.status(request("INVITE", "sips:030123@127.0.0.1", "")), 500);
}

const PROBED: &str = r#"
[[trunk]]
name = "one"
contacts = ["sip:192.0.2.1"]
oos_check = 20
oos_force = 5
recovery_timeout = 30
[[trunk]]
name = "two"
contacts = ["sip:192.0.2.2"]
priority = 1
"#;

#[test]
fn options_find_out_who_is_gone_and_who_is_back() {
    let mut bench = provisioned("127.0.0.1:5060", PROBED);
    let (probe, msg) = next(bench.pass(1));
    assert_eq!((msg.method(), uri(&msg)), (Some(stack::header::Method::Options), "sip:192.0.2.1"));
    for name in ["From: <sip:127.0.0.1:5060>;tag=", "To: <sip:192.0.2.1>", "CSeq: 1 OPTIONS", "Max-Forwards: 70"] {
        assert!(text(&msg).contains(name), "{name}: {}", text(&msg));
    }
    assert!(bench.respond(probe, &msg, 404).is_empty());
    let first = |bench: &mut Bench| uri(&bench.forwarded(request("INVITE", "sip:1@127.0.0.1", "")).1).to_owned();
    assert_eq!(first(&mut bench), "sip:1@192.0.2.1;user=phone");
    // The next one is not answered in time, and its late answer means nothing.
    let (late, msg) = next(bench.pass(20));
    assert_eq!(first(&mut bench), "sip:1@192.0.2.1;user=phone");
    assert!(bench.pass(5).is_empty());
    assert_eq!(first(&mut bench), "sip:1@192.0.2.2;user=phone");
    assert!(bench.respond(late, &msg, 200).is_empty());
    // It stays out of service for its time, although it answers; then the next answer counts.
    let (probe, msg) = next(bench.pass(15));
    bench.respond(probe, &msg, 200);
    assert_eq!(first(&mut bench), "sip:1@192.0.2.2;user=phone");
    let (probe, msg) = next(bench.pass(20));
    bench.respond(probe, &msg, 200);
    assert_eq!(first(&mut bench), "sip:1@192.0.2.1;user=phone");
    // 503 and a transport error are said at once.
    let (probe, msg) = next(bench.pass(20));
    bench.respond(probe, &msg, 503);
    assert_eq!(first(&mut bench), "sip:1@192.0.2.2;user=phone");
}

#[test]
fn what_is_known_of_a_trunk_outlives_another_provisioning() {
    let mut bench = provisioned("127.0.0.1:5060", PROBED);
    let (probe, _) = next(bench.pass(1));
    bench.no_response(probe, NoResponse::Transport(TransportError::Refused));
    let config = Config::parse(&PROBED.replace("oos_check = 20", "oos_check = 40"), "my.toml").unwrap();
    let again = Provisioning::compile(&config.records, &mut Rng::from_seed(2)).unwrap();
    bench.event(TuEvent::Posted(Box::new(Arc::new(again))));
    let (_, msg, _) = bench.forwarded(request("INVITE", "sip:1@127.0.0.1", ""));
    assert_eq!(uri(&msg), "sip:1@192.0.2.2;user=phone");
    // It is asked anew, and then no more once there are no trunks.
    assert_eq!(sent(bench.pass(1)).len(), 1);
    let none = Provisioning::empty(&mut Rng::from_seed(2));
    bench.event(TuEvent::Posted(Box::new(Arc::new(none))));
    assert!(sent(bench.pass(100)).is_empty());
}
