//! Target sets in steps: their times, what the end of one means for the next, and targets that are added on the way.

use super::*;
use crate::config::{Fork, Forking, Limits};
use crate::location::{By, Located};
use crate::processors::{Processor, ProcessorResult, ResponseProcessor, ResponseResult};
use crate::proxy::{RequestContext, ResponseView, Step, When};

const U: &str = "sip:bob@127.0.0.1";

fn step(port: u16, when: When, seconds: u64) -> Step {
    let contact = Located { uri: format!("sip:{port}@127.0.0.1:{port}").into(), q: 1000, by: By::Uri, older: None };
    let timeout = (seconds > 0).then(|| Duration::from_secs(seconds));
    Step { timeout, when, ..Step::to(contact) }
}

/// Sends every request along these steps.
struct Along(Vec<Step>, bool);

impl Processor for Along {
    fn name(&self) -> &'static str {
        "along"
    }
    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        context.steps = self.0.iter().cloned().collect();
        (context.watched, context.recurses) = (self.1, self.1);
        ProcessorResult::SkipThisChain
    }
}

/// Follows every 302 to the port 9302, and counts 404 as 480.
struct Follow;

impl ResponseProcessor for Follow {
    fn name(&self) -> &'static str {
        "follow"
    }
    fn process(&self, view: &mut ResponseView<'_, '_>) -> ResponseResult {
        assert_eq!(view.upstream.source.map(|flow| flow.peer.port()), Some(7000));
        match view.code {
            302 if view.may_add => {
                view.more.push(step(9302, When::Always, 0));
                ResponseResult::Recurse
            }
            404 => ResponseResult::CountAs(480),
            180 => {
                let response = view.response.as_mut().unwrap();
                response.append_line("Seen", view.target.map_or("nobody", |target| &target.contact.uri));
                ResponseResult::Continue
            }
            _ => ResponseResult::Continue,
        }
    }
}

fn bench(steps: Vec<Step>, watched: bool, config: Config) -> Bench {
    let mut processors = Processors::standard();
    processors.add_before("location-server", Along(steps, watched));
    processors.add_response(Follow);
    Bench::with_processors("127.0.0.1:5060", config, &processors)
}

fn plain(steps: Vec<Step>) -> Bench {
    bench(steps, false, Config::default())
}

fn bench_of(steps: Vec<Step>) -> Bench {
    bench(steps, true, Config::default())
}

fn ports(sent: &[(ClientTransaction, Box<Message>)]) -> Vec<u16> {
    sent.iter().map(|(_, msg)| uri(msg).rsplit(':').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn the_end_of_a_step_decides_which_is_next() {
    for (code, next) in [(486, Some(9002)), (480, Some(9003)), (503, Some(9004)), (408, Some(9003)), (404, None)] {
        let mut bench = plain(vec![
            step(9001, When::Always, 0),
            step(9002, When::Busy, 0),
            step(9003, When::NoAnswer, 0),
            step(9004, When::Unavailable, 0),
        ]);
        let (client, msg) = sent(bench.request(request("INVITE", U, ""))).remove(0);
        let outs = bench.respond(client, &msg, code);
        match next {
            Some(port) => assert_eq!(ports(&sent(outs)), [port], "{code}"),
            None => assert_eq!(codes(&outs), [code]),
        }
    }
    // What could not be reached at all counts as unavailable.
    let mut bench = plain(vec![step(9001, When::Always, 0), step(9004, When::Unavailable, 0)]);
    let (client, _) = sent(bench.request(request("INVITE", U, ""))).remove(0);
    assert_eq!(ports(&sent(bench.no_response(client, NoResponse::NotFound))), [9004]);
}

#[test]
fn a_step_whose_time_is_over_is_cancelled() {
    let mut bench = plain(vec![step(9001, When::Always, 10), step(9002, When::NoAnswer, 0)]);
    let (one, first) = sent(bench.request(request("INVITE", U, ""))).remove(0);
    bench.respond(one, &first, 180);
    assert!(bench.pass(9).is_empty());
    let outs = bench.pass(2);
    assert_eq!(cancels(&outs), [one]);
    let (two, second) = sent(outs).remove(0);
    assert_eq!(ports(&[(two, second.clone())]), [9002]);
    assert!(bench.respond(one, &first, 487).is_empty());
    assert_eq!(codes(&bench.respond(two, &second, 200)), [200]);
    bench.assert_forgotten();
    assert!(bench.pass(300).is_empty());
}

#[test]
fn the_last_step_may_have_a_time_too() {
    let mut bench = plain(vec![step(9001, When::Always, 10)]);
    let (one, first) = sent(bench.request(request("INVITE", U, ""))).remove(0);
    bench.respond(one, &first, 180);
    let outs = bench.pass(11);
    assert_eq!((cancels(&outs), codes(&outs)), (vec![one], vec![408]));
    bench.respond(one, &first, 487);
    bench.assert_forgotten();
}

#[test]
fn a_200_of_a_step_that_was_given_up_wins() {
    let mut bench = plain(vec![step(9001, When::Always, 10), step(9002, When::NoAnswer, 0)]);
    let (one, first) = sent(bench.request(request("INVITE", U, ""))).remove(0);
    bench.respond(one, &first, 180);
    let (two, second) = sent(bench.pass(11)).remove(0);
    let outs = bench.respond(one, &first, 200);
    assert_eq!((codes(&outs), cancels(&outs)), (vec![200], vec![two]));
    bench.respond(two, &second, 487);
    bench.assert_forgotten();
}

#[test]
fn a_step_may_ring_on() {
    let forking = Forking { fork: Fork::Sequential, step_seconds: 5, cancel_between_steps: false };
    let mut bench = Bench::with("127.0.0.1:5060", Config { forking, ..Config::default() });
    bench.register(&["<sip:1@127.0.0.1:9001>;q=0.9", "<sip:2@127.0.0.1:9002>;q=0.8"]);
    let (one, first) = sent(bench.request(request("INVITE", U, ""))).remove(0);
    bench.respond(one, &first, 180);
    let outs = bench.pass(6);
    assert!(cancels(&outs).is_empty());
    let (two, second) = sent(outs).remove(0);
    // The answer waits for both.
    assert!(codes(&bench.respond(two, &second, 500)).is_empty());
    assert_eq!(codes(&bench.respond(one, &first, 486)), [486]);
    bench.assert_forgotten();
}

#[test]
fn a_request_that_is_no_invite_is_given_up_without_cancel() {
    let mut bench = plain(vec![step(9001, When::Always, 10), step(9002, When::Always, 0)]);
    sent(bench.request(request("MESSAGE", U, "")));
    let outs = bench.pass(11);
    assert!(cancels(&outs).is_empty());
    let (two, second) = sent(outs).remove(0);
    assert_eq!(codes(&bench.respond(two, &second, 200)), [200]);
    bench.assert_forgotten();
}

#[test]
fn nothing_is_begun_for_a_caller_who_has_gone() {
    let mut bench = plain(vec![step(9001, When::Always, 10), step(9002, When::Always, 0)]);
    let (one, first) = sent(bench.request(request("INVITE", U, ""))).remove(0);
    bench.respond(one, &first, 180);
    assert_eq!(cancels(&bench.cancelled()), [one]);
    assert!(bench.pass(11).is_empty());
    assert_eq!(codes(&bench.respond(one, &first, 487)), [487]);
    bench.assert_forgotten();
}

#[test]
fn a_response_may_lead_to_other_targets() {
    let mut bench = bench(vec![step(9001, When::Always, 0)], true, Config::default());
    let (one, first) = sent(bench.request(request("INVITE", U, ""))).remove(0);
    let outs = bench.respond(one, &first, 180);
    let [Out::Answer(_, 180, Some(ringing))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(ringing).contains("Seen: sip:9001@127.0.0.1:9001\r\n"));
    let (two, second) = sent(bench.respond(one, &first, 302)).remove(0);
    assert_eq!(ports(&[(two, second.clone())]), [9302]);
    assert_eq!(codes(&bench.respond(two, &second, 404)), [480]);
    bench.assert_forgotten();
}

#[test]
fn who_was_given_up_ends_nothing() {
    let mut bench = plain(vec![step(9001, When::Always, 10), step(9002, When::NoAnswer, 0)]);
    let (one, first) = sent(bench.request(request("INVITE", U, ""))).remove(0);
    bench.respond(one, &first, 180);
    let (two, second) = sent(bench.pass(11)).remove(0);
    // He declines while the CANCEL is on its way.
    assert!(bench.respond(one, &first, 603).is_empty());
    assert_eq!(codes(&bench.respond(two, &second, 486)), [486]);
    bench.assert_forgotten();
    // Nor does he lead elsewhere.
    let mut bench = bench_of(vec![step(9001, When::Always, 10), step(9002, When::NoAnswer, 0)]);
    let (one, first) = sent(bench.request(request("INVITE", U, ""))).remove(0);
    bench.respond(one, &first, 180);
    assert_eq!(ports(&sent(bench.pass(11))), [9002]);
    assert!(bench.respond(one, &first, 302).is_empty());
}

#[test]
fn redirections_end() {
    let limits = Limits { max_targets: 3, ..Limits::default() };
    let mut bench = bench(vec![step(9001, When::Always, 0)], true, Config { limits, ..Config::default() });
    let mut outs = bench.request(request("INVITE", U, ""));
    for _ in 0..3 {
        let (client, msg) = sent(outs).remove(0);
        outs = bench.respond(client, &msg, 302);
    }
    assert_eq!(codes(&outs), [302]);
    bench.assert_forgotten();
}
