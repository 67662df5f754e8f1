//! Processors of a program's own: requests that wait, targets that are written or left out, and agents.

use super::*;
use crate::config::Limits;
use crate::processors::{Processor, ProcessorResult, TargetProcessor, TargetResult};
use crate::proxy::parked::Answer;
use crate::proxy::{Agent, AgentContext, RequestContext, TargetView};
use parking_lot::Mutex;
use std::any::Any;

const U: &str = "sip:bob@127.0.0.1:5090";

/// Asks somebody who answers with a status, 200 to go on.
struct Ask;

impl Processor for Ask {
    fn name(&self) -> &'static str {
        "ask"
    }
    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        context.wait(Duration::from_secs(2));
        ProcessorResult::WaitingForEvent
    }
    fn resume(&self, context: &mut RequestContext<'_, '_>, answer: Option<Box<dyn Any + Send>>) -> ProcessorResult {
        match answer.map(|answer| *answer.downcast::<u16>().unwrap()) {
            Some(200) => ProcessorResult::Continue,
            Some(code) => context.respond(code),
            None => context.respond(504),
        }
    }
}

fn asking(waiting: usize) -> Bench {
    let mut processors = Processors::standard();
    processors.add_before("am-i-responsible", Ask);
    let limits = Limits { waiting, ..Limits::default() };
    Bench::with_processors("127.0.0.1:5060", Config { limits, ..Config::default() }, &processors)
}

fn answer(bench: &mut Bench, ticket: u64, code: u16) -> Vec<Out> {
    bench.event(TuEvent::Posted(Box::new(Answer { ticket, item: Box::new(code) })))
}

#[test]
fn a_request_waits_for_an_answer() {
    let mut bench = asking(10);
    assert!(bench.request(request("INVITE", U, "")).is_empty() && !bench.proxy.drained());
    let outs = answer(&mut bench, 1, 200);
    let (client, msg) = sent(outs).remove(0);
    assert_eq!((uri(&msg), msg.header(h::MAX_FORWARDS).unwrap().0), (U, 69));
    assert_eq!(codes(&bench.respond(client, &msg, 486)), [486]);
    // A second answer finds nothing.
    assert!(answer(&mut bench, 1, 200).is_empty());
    assert!(bench.request(request("INVITE", U, "")).is_empty());
    assert_eq!(codes(&answer(&mut bench, 3, 403)), [403]);
    assert!(bench.proxy.drained());
}

#[test]
fn who_waits_is_patient_for_so_long() {
    let mut bench = asking(10);
    bench.request(request("MESSAGE", U, ""));
    assert!(bench.pass(1).is_empty());
    assert_eq!(codes(&bench.pass(2)), [504]);
    assert!(bench.proxy.drained());
}

#[test]
fn a_caller_may_give_up_waiting() {
    let mut bench = asking(10);
    bench.request(request("INVITE", U, ""));
    assert_eq!(codes(&bench.cancelled()), [487]);
    assert!(answer(&mut bench, 1, 200).is_empty() && bench.pass(9).is_empty());
}

#[test]
fn so_many_wait() {
    let mut bench = asking(2);
    for _ in 0..2 {
        assert!(bench.request(request("MESSAGE", U, "")).is_empty());
    }
    let outs = bench.request(request("MESSAGE", U, ""));
    let [Out::Answer(_, 503, Some(refused))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(refused).contains("Retry-After: 5\r\n"));
}

#[test]
fn an_ack_waits_too() {
    let mut bench = asking(10);
    assert!(bench.ack(request("ACK", U, "")).is_empty());
    assert!(matches!(answer(&mut bench, 1, 200).as_slice(), [Out::Stateless(..)]));
}

/// Marks what is sent, and sends nothing to port 9001.
struct Mark;

impl TargetProcessor for Mark {
    fn name(&self) -> &'static str {
        "mark"
    }
    fn process(&self, view: &mut TargetView<'_, '_>) -> TargetResult {
        let target = view.target.as_ref().map_or("none", |target| &target.contact.uri);
        if target.ends_with(":9001") {
            return TargetResult::Skip(405);
        }
        view.request.append_line("Target", target);
        TargetResult::Continue
    }
}

#[test]
fn the_target_chain_writes_each_copy() {
    let mut processors = Processors::standard();
    processors.add_target(Mark);
    let mut bench = Bench::with_processors("127.0.0.1:5060", Config::default(), &processors);
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>"]);
    let branches = sent(bench.request(request("INVITE", "sip:bob@127.0.0.1", "")));
    let [(two, second)] = branches.as_slice() else { panic!("{branches:?}") };
    assert!(text(second).contains("Target: sip:2@127.0.0.1:9002\r\n"));
    assert_eq!(codes(&bench.respond(*two, second, 503)), [405]);
    // Where nothing is left the request ends, and what has no target is written too.
    let mut bench = Bench::with_processors("127.0.0.1:5060", Config::default(), &processors);
    bench.register(&["<sip:1@127.0.0.1:9001>"]);
    assert_eq!(bench.status(request("MESSAGE", "sip:bob@127.0.0.1", "")), 405);
    bench.assert_forgotten();
    let (_, msg, _) = bench.forwarded(request("BYE", U, ""));
    assert!(text(&msg).contains("Target: none\r\n"));
    let outs = bench.ack(request("ACK", U, ""));
    assert!(matches!(outs.as_slice(), [Out::Stateless(msg, _)] if text(msg).contains("Target: none\r\n")));
}

/// Sends an OPTIONS each ten seconds, and writes down what it hears.
struct Pinger(Time, Arc<Mutex<Vec<u16>>>);

impl Agent for Pinger {
    fn name(&self) -> &'static str {
        "pinger"
    }
    fn deadline(&self) -> Option<Time> {
        Some(self.0)
    }
    fn wake(&mut self, context: &mut AgentContext<'_, '_>) {
        self.0 = context.stack.now() + Duration::from_secs(10);
        context.send(request("OPTIONS", U, ""), SendOptions::default());
    }
    fn on_response(&mut self, _: ClientTransaction, code: u16, _: Option<&Message>, _: &mut AgentContext<'_, '_>) {
        self.1.lock().push(code);
    }
}

#[test]
fn an_agent_hears_of_its_requests() {
    let (mut bench, heard) = (Bench::new(), Arc::new(Mutex::new(Vec::new())));
    bench.proxy.agents.push(Box::new(Pinger(Time::ZERO, heard.clone())));
    let pings = sent(bench.pass(15));
    let [(one, first), (two, _)] = pings.as_slice() else { panic!("{pings:?}") };
    assert!(bench.respond(*one, first, 100).is_empty() && bench.respond(*one, first, 200).is_empty());
    assert!(bench.no_response(*two, NoResponse::Timeout).is_empty());
    assert_eq!((heard.lock().as_slice(), bench.proxy.own.len()), (&[200, 408][..], 0));
}
