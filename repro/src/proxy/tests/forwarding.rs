//! Calls to users who forward them.

use super::provisioned::post;
use super::*;
use crate::config::{Fork, Forking, Forwarding, HistoryInfo, Limits};
use serde_json::{Value, json};

const BOB: &str = "sip:bob@127.0.0.1";
const VOICEMAIL: &str = "sip:vm@127.0.0.1:5090";

/// A proxy that knows bob, with these forwards, on the phone of port 9001, carol on 9002 and dave on 9003.
fn bench(config: Config, users: &[(&str, Value)]) -> Bench {
    let mut bench = Bench::with("127.0.0.1:5060", config);
    let users: Vec<(&str, Value)> = users
        .iter()
        .map(|(name, forwards)| {
            let mut user = json!({"aor": format!("{name}@127.0.0.1")});
            user.as_object_mut().unwrap().extend(forwards.as_object().unwrap().clone());
            ("user", user)
        })
        .collect();
    post(&mut bench, &users);
    for (user, port) in [("bob", 9001), ("carol", 9002), ("dave", 9003)] {
        bench.register_as(user, &format!("sip:{user}@127.0.0.1:{port}"));
    }
    bench
}

fn of_bob(forwards: Value) -> Bench {
    bench(Config::default(), &[("bob", forwards)])
}

fn call(bench: &mut Bench) -> (ClientTransaction, Box<Message>) {
    let mut branches = sent(bench.request(request("INVITE", BOB, "")));
    assert_eq!(branches.len(), 1);
    branches.remove(0)
}

/// The values of a header.
fn values(msg: &Message, name: &str) -> Vec<String> {
    msg.raw_values(name).map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
}

fn only(outs: Vec<Out>) -> (ClientTransaction, Box<Message>) {
    let mut branches = sent(outs);
    assert_eq!(branches.len(), 1, "{branches:?}");
    branches.remove(0)
}

#[test]
fn all_calls_are_forwarded_and_nothing_else() {
    let mut bench = of_bob(json!({"forward_always": "sip:carol@127.0.0.1"}));
    let (carol, msg) = call(&mut bench);
    assert_eq!(uri(&msg), "sip:carol@127.0.0.1:9002");
    assert_eq!(values(&msg, "Diversion"), ["<sip:bob@127.0.0.1>;reason=unconditional;counter=1"]);
    assert_eq!(values(&msg, "To"), ["<sip:bob@example.com>"]);
    assert_eq!(codes(&bench.respond(carol, &msg, 200)), [200]);
    bench.assert_forgotten();
    let (_, msg, _) = bench.forwarded(request("MESSAGE", BOB, ""));
    assert_eq!(uri(&msg), "sip:bob@127.0.0.1:9001");
    let (_, msg, _) = bench.forwarded(request("INVITE", BOB, "To: <sip:bob@127.0.0.1>;tag=b\r\n"));
    assert_eq!((uri(&msg), values(&msg, "Diversion").len()), ("sip:bob@127.0.0.1:9001", 0));
}

#[test]
fn a_busy_users_call_is_forwarded() {
    let mut bench = of_bob(json!({"forward_busy": "sip:carol@127.0.0.1"}));
    let (bob, msg) = call(&mut bench);
    assert_eq!((uri(&msg), values(&msg, "Diversion").len()), ("sip:bob@127.0.0.1:9001", 0));
    let (carol, second) = only(bench.respond(bob, &msg, 486));
    assert_eq!(uri(&second), "sip:carol@127.0.0.1:9002");
    assert_eq!(values(&second, "Diversion"), ["<sip:bob@127.0.0.1>;reason=user-busy;counter=1"]);
    assert_eq!(codes(&bench.respond(carol, &second, 180)), [180]);
    assert_eq!(codes(&bench.respond(carol, &second, 200)), [200]);
    bench.assert_forgotten();
}

#[test]
fn what_says_nothing_of_the_user_forwards_nothing() {
    let all = json!({"forward_busy": VOICEMAIL, "forward_no_answer": VOICEMAIL, "forward_not_registered": VOICEMAIL});
    for code in [487, 600, 603, 404, 500, 302, 401] {
        let mut bench = of_bob(all.clone());
        let (bob, msg) = call(&mut bench);
        let outs = bench.respond(bob, &msg, code);
        assert_eq!((codes(&outs), outs.len()), (vec![code], 1));
        bench.assert_forgotten();
    }
    // Who hangs up is not connected with a voicemail, whatever the phone says.
    for code in [487, 486, 480] {
        let mut bench = of_bob(all.clone());
        let (bob, msg) = call(&mut bench);
        bench.respond(bob, &msg, 180);
        assert_eq!(cancels(&bench.cancelled()), [bob]);
        let outs = bench.respond(bob, &msg, code);
        assert_eq!((codes(&outs), outs.len()), (vec![code], 1));
        assert!(bench.pass(60).is_empty());
        bench.assert_forgotten();
    }
}

#[test]
fn a_phone_rings_so_long() {
    let mut bench = of_bob(json!({"forward_no_answer": VOICEMAIL, "no_answer_seconds": 10}));
    let (bob, msg) = call(&mut bench);
    bench.respond(bob, &msg, 180);
    assert!(bench.pass(9).is_empty());
    let outs = bench.pass(2);
    let reason = outs.iter().find_map(|out| if let Out::Cancel(_, reason) = out { reason.clone() } else { None });
    assert_eq!(reason.as_deref(), Some("SIP;cause=408;text=\"Not answered in time\""));
    assert_eq!(cancels(&outs), [bob]);
    let (vm, second) = only(outs);
    assert_eq!(uri(&second), VOICEMAIL);
    assert_eq!(values(&second, "Diversion"), ["<sip:bob@127.0.0.1>;reason=no-answer;counter=1"]);
    assert!(bench.respond(bob, &msg, 487).is_empty());
    // The voicemail has all the time that it wants.
    assert!(bench.pass(100).is_empty());
    assert_eq!(codes(&bench.respond(vm, &second, 200)), [200]);
    bench.assert_forgotten();
    for code in [480, 408] {
        let (bob, msg) = call(&mut bench);
        let (vm, second) = only(bench.respond(bob, &msg, code));
        assert!(values(&second, "Diversion")[0].contains("no-answer"));
        assert_eq!(codes(&bench.respond(vm, &second, 200)), [200]);
    }
    assert!(bench.pass(60).is_empty());
}

#[test]
fn a_phone_that_answers_at_the_last_moment_has_the_call() {
    let mut bench = of_bob(json!({"forward_no_answer": VOICEMAIL}));
    let (bob, msg) = call(&mut bench);
    bench.respond(bob, &msg, 180);
    let (vm, second) = only(bench.pass(21));
    let outs = bench.respond(bob, &msg, 200);
    assert_eq!((codes(&outs), cancels(&outs)), (vec![200], vec![vm]));
    bench.respond(vm, &second, 487);
    bench.assert_forgotten();
    // And one that answers in time keeps it.
    let (bob, msg) = call(&mut bench);
    bench.respond(bob, &msg, 200);
    assert!(bench.pass(60).is_empty());
}

#[test]
fn who_is_not_registered_is_forwarded() {
    let mut bench = bench(Config::default(), &[("eve", json!({"voicemail": VOICEMAIL}))]);
    let (vm, msg) = only(bench.request(request("INVITE", "sip:eve@127.0.0.1", "")));
    assert_eq!(uri(&msg), VOICEMAIL);
    assert_eq!(values(&msg, "Diversion"), ["<sip:eve@127.0.0.1>;reason=unavailable;counter=1"]);
    assert_eq!(codes(&bench.respond(vm, &msg, 200)), [200]);
    // A phone that cannot be reached is as good as none.
    bench.register_as("eve", "sip:eve@127.0.0.1:9005");
    let (eve, _) = only(bench.request(request("INVITE", "sip:eve@127.0.0.1", "")));
    let unreachable = NoResponse::Transport(stack::transport::TransportError::Unreachable);
    let (_, msg) = only(bench.no_response(eve, unreachable));
    assert!(values(&msg, "Diversion")[0].contains("unavailable"));
    // Other requests wait for the user.
    bench.pass(4000);
    assert_eq!(bench.status(request("MESSAGE", "sip:eve@127.0.0.1", "")), 480);
}

#[test]
fn all_phones_of_a_user_are_waited_for() {
    let mut bench = of_bob(json!({"forward_busy": VOICEMAIL, "forward_no_answer": "sip:carol@127.0.0.1"}));
    bench.register_as("bob", "sip:bob@127.0.0.1:9011");
    let branches = sent(bench.request(request("INVITE", BOB, "")));
    let [(desk, first), (mobile, second)] = branches.as_slice() else { panic!("{branches:?}") };
    assert!(bench.respond(*desk, first, 486).is_empty());
    assert_eq!(codes(&bench.respond(*mobile, second, 180)), [180]);
    assert_eq!(uri(&only(bench.respond(*mobile, second, 486)).1), VOICEMAIL);
    // One that rings while the other is busy has not answered.
    let branches = sent(bench.request(request("INVITE", BOB, "")));
    let [(desk, first), (mobile, _)] = branches.as_slice() else { panic!("{branches:?}") };
    bench.respond(*desk, first, 486);
    let outs = bench.pass(21);
    assert_eq!(cancels(&outs), [*mobile]);
    assert_eq!(uri(&only(outs).1), "sip:carol@127.0.0.1:9002");
}

#[test]
fn steps_of_a_user_share_his_time() {
    for cancel_between_steps in [true, false] {
        let forking = Forking { fork: Fork::Sequential, step_seconds: 8, cancel_between_steps };
        let mut bench =
            bench(Config { forking, ..Config::default() }, &[("bob", json!({"forward_no_answer": VOICEMAIL}))]);
        for port in [9011, 9012] {
            bench.register_as("bob", &format!("sip:bob@127.0.0.1:{port}"));
        }
        let (one, first) = call(&mut bench);
        bench.respond(one, &first, 180);
        let (two, second) = only(bench.pass(9));
        bench.respond(two, &second, 180);
        let (three, third) = only(bench.pass(8));
        bench.respond(three, &third, 180);
        // Twenty seconds in all: the third has four.
        let outs = bench.pass(4);
        let given_up = if cancel_between_steps { vec![three] } else { vec![one, two, three] };
        assert_eq!(cancels(&outs), given_up);
        assert_eq!(uri(&only(outs).1), VOICEMAIL);
    }
}

#[test]
fn a_forward_waits_for_phones_that_ring_on() {
    let forking = Forking { fork: Fork::Sequential, step_seconds: 8, cancel_between_steps: false };
    let mut bench = bench(Config { forking, ..Config::default() }, &[("bob", json!({"forward_busy": VOICEMAIL}))]);
    bench.register_as("bob", "sip:bob@127.0.0.1:9011");
    let (one, first) = call(&mut bench);
    bench.respond(one, &first, 180);
    let (two, second) = only(bench.pass(9));
    assert!(bench.respond(two, &second, 486).is_empty());
    assert_eq!(uri(&only(bench.respond(one, &first, 486)).1), VOICEMAIL);
}

#[test]
fn forwards_of_forwards_count() {
    let mut bench = bench(
        Config::default(),
        &[
            ("bob", json!({"forward_busy": "sip:carol@127.0.0.1"})),
            ("carol", json!({"forward_no_answer": "sip:dave@127.0.0.1", "no_answer_seconds": 5})),
            ("dave", json!({"forward_always": VOICEMAIL})),
        ],
    );
    let (bob, msg) = call(&mut bench);
    let (carol, msg) = only(bench.respond(bob, &msg, 486));
    bench.respond(carol, &msg, 180);
    let outs = bench.pass(6);
    assert_eq!(cancels(&outs), [carol]);
    let (vm, msg) = only(outs);
    assert_eq!(uri(&msg), VOICEMAIL);
    assert_eq!(
        values(&msg, "Diversion"),
        [
            "<sip:dave@127.0.0.1>;reason=unconditional;counter=1",
            "<sip:carol@127.0.0.1>;reason=no-answer;counter=1",
            "<sip:bob@127.0.0.1>;reason=user-busy;counter=1",
        ]
    );
    // The caller hears the best of all answers.
    assert_eq!(codes(&bench.respond(vm, &msg, 503)), [486]);
}

#[test]
fn loops_are_refused() {
    let to = |name: &str| json!({"forward_always": format!("sip:{name}@127.0.0.1")});
    let mut bench = bench(
        Config::default(),
        &[
            ("bob", to("carol")),
            ("carol", to("bob")),
            ("eve", json!({"forward_busy": "sip:dave@127.0.0.1"})),
            ("dave", json!({"forward_busy": "sip:eve@127.0.0.1"})),
        ],
    );
    assert_eq!(bench.status(request("INVITE", BOB, "")), 482);
    bench.register_as("eve", "sip:eve@127.0.0.1:9005");
    let (eve, msg) = only(bench.request(request("INVITE", "sip:eve@127.0.0.1", "")));
    let (dave, msg) = only(bench.respond(eve, &msg, 486));
    assert_eq!(codes(&bench.respond(dave, &msg, 486)), [482]);
    bench.assert_forgotten();
}

#[test]
fn so_many_diversions_are_a_loop() {
    let forwarding = Forwarding { max_diversions: 2, ..Forwarding::default() };
    let config = || Config { forwarding: forwarding.clone(), ..Config::default() };
    let mut bench = bench(config(), &[("bob", json!({"forward_always": VOICEMAIL, "enabled": true}))]);
    let mut with = |lines: &str| bench.request(request("INVITE", BOB, lines));
    let outs = with("Diversion: <sip:x@example.net>;reason=unknown\r\n");
    let [Out::Sent(_, msg, _)] = outs.as_slice() else { panic!("{outs:?}") };
    assert_eq!(values(msg, "Diversion").len(), 2);
    for lines in [
        "Diversion: <sip:x@example.net>;counter=2\r\n",
        "Diversion: <sip:x@example.net>\r\nDiversion: <tel:+1>\r\n",
        "Diversion: <sip:bob@127.0.0.1>;reason=user-busy\r\n",
        "Diversion: <sip:x@example.net>;limit=1\r\n",
    ] {
        assert_eq!(codes(&with(lines)), [482], "{lines}");
    }
    // Who would not divert is called all the same.
    let lines = "Diversion: <sip:x@example.net>;counter=9\r\n";
    let (_, msg, _) = bench.forwarded(request("INVITE", "sip:carol@127.0.0.1", lines));
    assert_eq!(uri(&msg), "sip:carol@127.0.0.1:9002");
}

#[test]
fn a_secure_call_stays_secure() {
    let to = |uri: &str| json!({"forward_always": uri});
    let mut bench = bench(
        Config::default(),
        &[
            ("bob", to(VOICEMAIL)),
            ("carol", to("sips:vm@127.0.0.1:5090")),
            ("dave", json!({"forward_not_registered": "sips:vm@127.0.0.1:5090"})),
        ],
    );
    assert_eq!(bench.status(request("INVITE", "sips:bob@127.0.0.1", "")), 480);
    for user in ["carol", "dave"] {
        let (_, msg, _) = bench.forwarded(request("INVITE", &format!("sips:{user}@127.0.0.1"), ""));
        assert_eq!(uri(&msg), "sips:vm@127.0.0.1:5090");
    }
}

#[test]
fn a_forward_that_leads_nowhere_says_so() {
    let mut bench = bench(
        Config::default(),
        &[
            ("bob", json!({"forward_always": "sip:nobody@127.0.0.1", "forward_busy": VOICEMAIL})),
            ("carol", json!({"forward_busy": "tel:+15550100"})),
            ("eve", json!({})),
            ("dave", json!({"forward_always": "sip:eve@127.0.0.1"})),
        ],
    );
    assert_eq!(bench.status(request("INVITE", BOB, "")), 404);
    assert_eq!(bench.status(request("INVITE", "sip:dave@127.0.0.1", "")), 480);
    let (carol, msg) = only(bench.request(request("INVITE", "sip:carol@127.0.0.1", "")));
    assert_eq!(codes(&bench.respond(carol, &msg, 486)), [486]);
    bench.assert_forgotten();
}

#[test]
fn targets_are_bounded() {
    let limits = Limits { max_targets: 1, ..Limits::default() };
    let mut bench = bench(Config { limits, ..Config::default() }, &[("bob", json!({"forward_busy": VOICEMAIL}))]);
    let (bob, msg) = call(&mut bench);
    assert_eq!(codes(&bench.respond(bob, &msg, 486)), [486]);
    bench.assert_forgotten();
}

#[test]
fn a_number_goes_to_the_trunks() {
    let mut bench = Bench::new();
    let trunk = json!({"name": "a", "contacts": ["sip:127.0.0.1:9101", "sip:127.0.0.1:9102"]});
    let bob = json!({"aor": "bob@127.0.0.1", "forward_busy": "tel:+15550100"});
    let carol = json!({"aor": "carol@127.0.0.1", "forward_always": "sip:+15550100@127.0.0.1"});
    post(&mut bench, &[("trunk", trunk), ("user", bob), ("user", carol)]);
    bench.register(&["<sip:bob@127.0.0.1:9001>"]);
    let (bob, msg) = call(&mut bench);
    let (first, msg) = only(bench.respond(bob, &msg, 486));
    assert_eq!(uri(&msg), "sip:+15550100@127.0.0.1:9101;user=phone");
    assert_eq!(values(&msg, "Diversion"), ["<sip:bob@127.0.0.1>;reason=user-busy;counter=1"]);
    // It fails over as any call to it.
    let (second, msg) = only(bench.respond(first, &msg, 503));
    assert_eq!(uri(&msg), "sip:+15550100@127.0.0.1:9102;user=phone");
    assert_eq!(values(&msg, "Diversion").len(), 1);
    assert_eq!(codes(&bench.respond(second, &msg, 200)), [200]);
    // What has answered 503 is out of service for the next call.
    let (_, msg) = only(bench.request(request("INVITE", "sip:carol@127.0.0.1", "")));
    assert_eq!(uri(&msg), "sip:+15550100@127.0.0.1:9102;user=phone");
}

#[test]
fn history_is_written_for_who_wants_it() {
    let history = |history_info, lines: &str| {
        let forwarding = Forwarding { history_info, ..Forwarding::default() };
        let config = Config { forwarding, ..Config::default() };
        let mut bench = bench(config, &[("bob", json!({"forward_busy": "sip:carol@127.0.0.1"}))]);
        let (bob, msg) = only(bench.request(request("INVITE", BOB, lines)));
        assert!(!msg.exists(h::HISTORY_INFOS));
        values(&only(bench.respond(bob, &msg, 486)).1, "History-Info")
    };
    let all = [
        "<sip:bob@127.0.0.1?Reason=SIP%3Bcause%3D486>;index=1",
        "<sip:carol@127.0.0.1>;index=1.1;mp=1",
        "<sip:carol@127.0.0.1:9002>;index=1.1.1;rc=1.1",
    ];
    let wanted = "Supported: timer, HistInfo\r\n";
    assert_eq!(history(HistoryInfo::Supported, wanted), all);
    assert_eq!(history(HistoryInfo::Always, ""), all);
    assert!(history(HistoryInfo::Supported, "").is_empty() && history(HistoryInfo::Never, wanted).is_empty());
}
