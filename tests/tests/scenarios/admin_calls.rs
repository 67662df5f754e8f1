//! What an operator sees of calls: transactions that are alive, the messages of one call, and the nodes.

use crate::admin_api::Api;
use crate::cluster::until;
use crate::phone::{Call, Phone};
use crate::repro::LIMIT;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::time::Duration;

fn items(json: &Value) -> &[Value] {
    json["items"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn transactions_that_are_alive_are_listed() {
    for placement in ["inline", "sharded:2"] {
        let api = Api::start("calls-transactions", &format!("placement = \"{placement}\"\n"));
        let (caller, called) = (Phone::new("caller", api.sip()), Phone::new("called", api.sip()));
        assert_eq!(api.get("/transactions")["total"], 0);
        let calls = ["first", "second", "third"].map(|id| Call::ring(&caller, &called, id));
        let all = api.get("/transactions");
        assert_eq!((&all["total"], items(&all).len()), (&json!(6), 6), "{all}");
        for kind in ["server INVITE", "client INVITE"] {
            let own: Vec<&Value> = items(&all).iter().filter(|one| one["kind"] == kind).collect();
            let ids: Vec<&str> = own.iter().filter_map(|one| one["call_id"].as_str()).collect();
            assert_eq!(ids, ["first", "second", "third"], "the oldest first: {all}");
            let phone = if kind == "server INVITE" { &caller } else { &called };
            let peer = phone.uri().split_once('@').map(|(_, peer)| peer.to_owned());
            for one in own {
                assert_eq!((&one["method"], &one["state"]), (&json!("INVITE"), &json!("Proceeding")), "{one}");
                assert_eq!((&one["transport"], one["peer"].as_str()), (&json!("udp"), peer.as_deref()), "{one}");
                assert!(one["pending"] == true && one["age_seconds"].as_f64() < Some(LIMIT.as_secs_f64()), "{one}");
            }
        }
        let client = items(&all).iter().find(|one| one["kind"] == "client INVITE").expect("there are three");
        let branch = client["branch"].as_str().expect("it has one");
        let invite = String::from_utf8_lossy(calls[0].invite()).into_owned();
        assert!(invite.contains(&format!("branch={branch}")), "{client} {invite}");
        let one = api.get("/transactions?limit=1");
        assert_eq!((items(&one).len(), &one["total"], &one["items"][0]["call_id"]), (1, &json!(6), &json!("first")));
        let told = api.ctl_done(&["transactions", "--limit", "2"]);
        assert!(told.starts_with("AGE ") && told.lines().count() == 3 && told.contains(" first "), "{told}");
        // What has its answer only absorbs repetitions: nothing is known of it but what it was for.
        for mut call in calls {
            call.pick_up();
            call.acknowledge();
        }
        assert_eq!(api.get("/transactions")["total"], 0);
        let retired = api.get("/transactions?retired=true");
        assert_eq!(retired["total"], 6, "{retired}");
        for one in items(&retired) {
            assert_eq!(
                (&one["state"], &one["pending"], &one["call_id"]),
                (&json!("Accepted"), &json!(false), &Value::Null)
            );
            let named = one["branch"].as_str().is_some_and(|branch| branch.starts_with("z9hG4bK"));
            assert!(one["kind"] == "server INVITE" || named, "{one}");
        }
        assert!(api.ctl_done(&["transactions", "--states"]).contains("Accepted  3"));
        assert_eq!(api.refused("GET", "/transactions?retired=perhaps", &Value::Null).0, 400);
        assert_eq!(api.refused("GET", "/transactions?limit=1001", &Value::Null).1, "limit");
    }
}

/// The messages of a trace, once there are as many.
fn recorded(api: &Api, call_id: &str, count: usize) -> Value {
    let path = format!("/traces/{call_id}");
    until("the messages", || Some(api.get(&path)).filter(|trace| items(trace).len() >= count))
}

#[test]
fn a_trace_has_the_messages_of_one_call_without_its_secrets() {
    for placement in ["inline", "sharded:2"] {
        let api = Api::start("calls-trace", &format!("placement = \"{placement}\"\n"));
        let (caller, called) = (Phone::new("caller", api.sip()), Phone::new("called", api.sip()));
        // What was before is not seen.
        caller.send(&caller.request("MESSAGE", &called, "wanted%host", 1));
        called.answer(&called.hear("MESSAGE "), 200);
        caller.hear("SIP/2.0 200 ");
        let (status, begun) = api.ask("POST", "/traces", &json!({"call_id": "wanted%host", "seconds": 60}));
        assert_eq!((status, &begun["recording"], &begun["messages"]), (201, &json!(true), &json!(0)), "{begun}");
        for (call, count) in [("other%host", 1), ("wanted%host", 2)] {
            let request = String::from_utf8(caller.request("MESSAGE", &called, call, count)).expect("UTF-8");
            let secret = "Proxy-Authorization: Digest username=\"alice\",\r\n response=\"s3cret\"\r\nContent-Length";
            caller.send(request.replacen("Content-Length", secret, 1).as_bytes());
            called.answer(&called.hear("MESSAGE "), 486);
            caller.hear("SIP/2.0 486 ");
        }
        let trace = recorded(&api, "wanted%25host", 4);
        let seen: Vec<(&str, String, &str)> = (items(&trace).iter())
            .map(|one| {
                let first = one["text"].as_str().and_then(|text| text.split(' ').next()).unwrap_or_default();
                (one["direction"].as_str().unwrap_or_default(), one["peer"].to_string(), first)
            })
            .collect();
        let peer = |phone: &Phone| format!("\"{}\"", phone.uri().split_once('@').expect("a URI").1);
        let expected = [
            ("received", peer(&caller), "MESSAGE"),
            ("sent", peer(&called), "MESSAGE"),
            ("received", peer(&called), "SIP/2.0"),
            ("sent", peer(&caller), "SIP/2.0"),
        ];
        assert_eq!(seen, expected, "{trace}");
        let text = trace.to_string();
        assert!(!text.contains("s3cret") && !text.contains("alice") && text.contains("(taken out)"), "{text}");
        assert!(!text.contains("other%host") && text.contains("wanted%host"), "{text}");
        let at: Vec<&str> = items(&trace).iter().filter_map(|one| one["at"].as_str()).collect();
        assert!(at.is_sorted() && at.iter().all(|at| at.len() == 24 && at.ends_with('Z')), "{at:?}");
        let listed = api.get("/traces");
        assert_eq!((&listed["total"], &listed["items"][0]["messages"]), (&json!(1), &json!(4)), "{listed}");
        assert_eq!(api.ask("DELETE", "/traces/wanted%25host", &Value::Null).0, 200);
        assert_eq!(api.refused("GET", "/traces/wanted%25host", &Value::Null).0, 404);
        let mut repro = api.repro;
        let output = repro.process().output();
        assert!(output.contains("an operator traces a call") && !output.contains("s3cret"), "{output}");
    }
}

#[test]
fn a_trace_ends_by_itself_and_the_command_line_has_it_too() {
    let api = Api::start("calls-trace-end", "");
    let (caller, called) = (Phone::new("caller", api.sip()), Phone::new("called", api.sip()));
    let message = |call, count| {
        caller.send(&caller.request("MESSAGE", &called, call, count));
        called.answer(&called.hear("MESSAGE "), 200);
        caller.hear("SIP/2.0 200 ");
    };
    assert_eq!(api.ask("POST", "/traces", &json!({"call_id": "short", "seconds": 1})).0, 201);
    until("its end", || (api.get("/traces/short")["recording"] == false).then_some(()));
    let before = items(&api.get("/traces/short")).len();
    message("short", 1);
    assert!(api.ctl_done(&["trace", "long", "--begin", "--seconds", "600"]).contains("seconds_left"));
    message("long", 1);
    recorded(&api, "long", 4);
    assert_eq!(items(&api.get("/traces/short")).len(), before, "it has ended");
    let told = api.ctl_done(&["trace", "long"]);
    assert_eq!((told.matches("---- ").count(), told.matches("CSeq: 1 MESSAGE").count()), (4, 4), "{told}");
    let list = api.ctl_done(&["trace"]);
    assert!(list.contains("short    ended") && list.contains("long     recording"), "{list}");
    api.ctl_done(&["trace", "long", "--stop"]);
    assert!(api.ctl_refused(&["trace", "long"]).contains("there is no trace of long"));
    for (body, field) in [
        (json!({"call_id": ""}), "call_id"),
        (json!({"call_id": "a b"}), "call_id"),
        (json!({"call_id": "x".repeat(257)}), "call_id"),
        (json!({"call_id": "a", "seconds": 0}), "seconds"),
        (json!({"call_id": "a", "seconds": 3_601}), "seconds"),
    ] {
        let (status, said, _) = api.refused("POST", "/traces", &body);
        assert_eq!((status, &*said), (422, field), "{body}");
    }
    // One has ended, and makes room for one more.
    let begin = |number: u32| api.ask("POST", "/traces", &json!({"call_id": format!("call-{number}")})).0;
    assert!((0..8).all(|number| begin(number) == 201));
    let (status, _, said) = api.refused("POST", "/traces", &json!({"call_id": "more"}));
    assert!(status == 409 && said.contains("there are 8 traces"), "{said}");
}

#[test]
fn without_a_cluster_there_are_no_nodes() {
    let api = Api::start("calls-nodes", "");
    assert_eq!(api.get("/nodes")["items"], json!([]));
    assert_eq!(api.get("/status")["cluster"], Value::Null);
    assert_eq!(api.ctl_done(&["nodes"]).lines().count(), 1);
}

/// What is removed by hand is gone when the answer comes: of the store as well, or the answer says that it is not.
#[test]
fn an_operator_who_removes_a_registration_waits_for_the_store() {
    let api = Api::start("calls-store", "[store]\npath = \"repro.db\"\n");
    let database = Connection::open(api.site.path("repro.db")).expect("a database");
    database.busy_timeout(Duration::from_secs(10)).expect("a limit");
    let kept = || database.query_row("SELECT count(*) FROM binding", [], |row| row.get::<_, u32>(0)).expect("a count");
    let phones = ["alice", "bob"].map(|user| Phone::new(user, api.sip()));
    for phone in &phones {
        phone.send(&phone.register(1, 600));
        phone.hear("SIP/2.0 200 ");
    }
    assert_eq!(kept(), 2);
    let path = |user: &str| format!("/registrations/{user}%40{}", api.sip().ip());
    assert_eq!(api.ask("DELETE", &path("alice"), &Value::Null), (200, json!({"removed": 1, "left": 0})));
    assert_eq!(kept(), 1);
    // Somebody else writes, and does not stop.
    database.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let (status, _, said) = api.refused("DELETE", &path("bob"), &Value::Null);
    assert!(status == 503 && said.contains("the store cannot write"), "{status} {said}");
    database.execute_batch("ROLLBACK").expect("it stops");
    until("the store goes on", || (kept() == 0).then_some(()));
}
