//! Requests that an HTTP service decides about.

use super::*;
use crate::processors::http::{Busy, Decision, HttpProcessor, HttpService, Inquiry};
use crate::proxy::parked::Answer;
use parking_lot::Mutex;
use serde_json::{Value, json};

const U: &str = "sip:bob@127.0.0.1:5090";

/// Writes down what it is asked, and has room for so many questions.
#[derive(Clone)]
struct Service {
    asked: Arc<Mutex<Vec<Value>>>,
    room: usize,
}

impl HttpService for Service {
    fn ask(&self, inquiry: Inquiry) -> Result<(), Busy> {
        let mut asked = self.asked.lock();
        if asked.len() >= self.room {
            return Err(Busy);
        }
        asked.push(serde_json::from_slice(&inquiry.question).unwrap());
        Ok(())
    }
}

fn asking(more: &str, room: usize) -> (Bench, Service) {
    let service = Service { asked: Arc::default(), room };
    let config = Config::parse(&format!("[http]\nurl = \"http://127.0.0.1:9\"\n{more}"), "x").unwrap();
    let mut processors = Processors::standard();
    let http = config.http.clone().unwrap();
    processors.add_before("location-server", HttpProcessor::new(&http, service.clone()));
    (Bench::with_processors("127.0.0.1:5060", config, &processors), service)
}

/// The service answers the request with this ticket; nothing stands for its failure.
fn decide(bench: &mut Bench, ticket: u64, decision: Option<Value>) -> Vec<Out> {
    let decision = decision.map(|json| Decision::parse(json.to_string().as_bytes()).unwrap());
    bench.event(TuEvent::Posted(Box::new(Answer { ticket, item: Box::new(decision) })))
}

#[test]
fn the_service_is_told_about_the_request() {
    let (mut bench, service) = asking("headers = [\"User-Agent\", \"x-none\", \"Subject\"]", 9);
    let lines = "User-Agent: a\r\nuser-agent: \"b\"\r\nSubject: \u{1}<script>\r\n";
    assert!(bench.request(request("INVITE", U, lines)).is_empty());
    let expected = json!({
        "method": "INVITE", "uri": U, "from": "sip:alice@example.com", "to": "sip:bob@example.com", "call_id": "call",
        "source": {"transport": "udp", "address": "127.0.0.1:7000"},
        "headers": {"User-Agent": ["a", "\"b\""], "Subject": ["\u{1}<script>"]},
    });
    assert_eq!(*service.asked.lock(), [expected]);
    // What belongs to a dialog, and an ACK, is nobody's business.
    bench.forwarded(request("BYE", U, "To: <sip:bob@example.com>;tag=b\r\n"));
    assert!(matches!(bench.ack(request("ACK", U, "")).as_slice(), [Out::Stateless(..)]));
    assert_eq!(service.asked.lock().len(), 1);
}

#[test]
fn it_lets_go_on_refuses_and_redirects() {
    let (mut bench, _) = asking("", 9);
    bench.request(request("INVITE", U, "X-Debug: 1\r\n"));
    let edits = json!({"decision": "continue", "add": [{"name": "X-Account", "value": "7"}], "remove": ["x-debug"]});
    let (_, msg) = sent(decide(&mut bench, 1, Some(edits))).remove(0);
    assert!(uri(&msg) == U && text(&msg).contains("X-Account: 7\r\n") && !text(&msg).contains("X-Debug"));
    bench.request(request("INVITE", U, ""));
    let outs = decide(&mut bench, 3, Some(json!({"decision": "reject", "code": 402, "reason": "No Money"})));
    assert!(matches!(outs.as_slice(), [Out::Answer(_, 402, Some(msg))] if msg.reason() == "No Money"), "{outs:?}");
    bench.request(request("INVITE", U, ""));
    let outs = decide(&mut bench, 5, Some(json!({"decision": "redirect", "contacts": ["sip:a@192.0.2.1"]})));
    let [Out::Answer(_, 302, Some(moved))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(moved).contains("Contact: <sip:a@192.0.2.1>\r\n"));
}

/// Where the service sends it, it goes, whatever way its sender wanted.
#[test]
fn its_targets_count_for_more_than_a_route() {
    let (mut bench, _) = asking("", 9);
    for (ticket, route) in [(1, "<sip:192.0.2.9;lr>"), (3, "<sip:192.0.2.9>")] {
        bench.request(request("INVITE", U, &format!("Route: {route}\r\n")));
        let targets = json!([{"uri": "sip:1@192.0.2.1"}]);
        let (_, msg) =
            sent(decide(&mut bench, ticket, Some(json!({"decision": "targets", "targets": targets})))).remove(0);
        assert_eq!((uri(&msg), msg.exists(h::ROUTES)), ("sip:1@192.0.2.1", false));
    }
}

/// RFC 5630 §5.3.
#[test]
fn it_sends_nothing_that_was_sent_to_sips_on_in_clear() {
    let (mut bench, _) = asking("", 9);
    for (ticket, targets, expected) in [
        (1, json!([{"uri": "sip:1@192.0.2.1"}, {"uri": "sips:2@192.0.2.2", "priority": 2}]), Some("sips:2@192.0.2.2")),
        (3, json!([{"uri": "sip:1@192.0.2.1"}]), None),
    ] {
        bench.request(request("INVITE", "sips:nobody@127.0.0.1", ""));
        let outs = decide(&mut bench, ticket, Some(json!({"decision": "targets", "targets": targets})));
        match expected {
            Some(to) => assert_eq!(uri(&sent(outs).remove(0).1), to),
            None => assert_eq!(codes(&outs), [480]),
        }
    }
}

#[test]
fn it_names_targets_that_are_tried_by_priority() {
    let (mut bench, _) = asking("", 9);
    bench.request(request("INVITE", "sip:nobody@127.0.0.1", ""));
    let targets = json!([{"uri": "sip:2@192.0.2.2", "priority": 2}, {"uri": "sip:1@192.0.2.1", "timeout": 5}]);
    let first = sent(decide(&mut bench, 1, Some(json!({"decision": "targets", "targets": targets}))));
    assert_eq!((first.len(), uri(&first[0].1)), (1, "sip:1@192.0.2.1"));
    let then = bench.pass(5);
    assert_eq!(cancels(&then), [first[0].0]);
    let then = sent(then);
    assert_eq!(uri(&then[0].1), "sip:2@192.0.2.2");
}

#[test]
fn without_a_decision_a_request_goes_on_or_is_refused() {
    for (more, open) in [("", false), ("fail_open = true", true)] {
        let (mut bench, service) = asking(&format!("timeout_ms = 1000\n{more}"), 2);
        let check = |outs: Vec<Out>| match open {
            true => assert!(matches!(outs.as_slice(), [Out::Sent(..)]), "{outs:?}"),
            false => {
                let [Out::Answer(_, 503, Some(refused))] = outs.as_slice() else { panic!("{outs:?}") };
                assert!(text(refused).contains("Retry-After: 5\r\n"));
            }
        };
        // It has failed; it says nothing; there is no room for another question.
        bench.request(request("MESSAGE", U, ""));
        check(decide(&mut bench, 1, None));
        bench.request(request("MESSAGE", U, ""));
        assert!(bench.pass(1).is_empty());
        check(bench.pass(2));
        let full = bench.request(request("MESSAGE", U, ""));
        check(full);
        assert_eq!(service.asked.lock().len(), 2);
    }
}
