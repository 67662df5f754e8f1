//! The callee in virtual time, its commands read by hand.

use super::*;
use stack::header::{h, p};
use stack::message::Source;
use stack::transaction::Command;
use stack::transport::{ConnectionId, Flow, TransportId, TransportInfo, TransportTable};
use stack::tu::testing::Harness;

const ADDRESS: &str = "192.0.2.9:5070";

/// A callee with nothing behind it.
struct Bench {
    harness: Harness,
    callee: Callee,
    stats: Arc<Stats>,
    requests: u32,
}

fn bench() -> Bench {
    let at = ADDRESS.parse().expect("an address");
    let table = TransportTable::new(vec![TransportInfo::new(TransportId(0), TransportType::Udp, 0, at, at)]);
    let stats = Arc::<Stats>::default();
    let callee = Callee::new(stats.clone(), &mut Rng::from_seed(1));
    Bench { harness: Harness::new(table), callee, stats, requests: 0 }
}

fn request(method: &str, call: &str, to_tag: &str) -> Box<Message> {
    let text = format!(
        "{method} sip:b@{ADDRESS} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nRecord-Route: <sip:p1;lr>\r\n\
         From: <sip:a@x>;tag=1\r\nTo: <sip:b@y>{to_tag}\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\r\n"
    );
    let mut message = Message::parse(text.into_bytes()).expect("well formed");
    let peer = "192.0.2.1:5060".parse().expect("an address");
    let (kind, connection) = (TransportType::Udp, ConnectionId::default());
    let flow = Flow { transport: TransportId(0), kind, connection, peer, local: None };
    message.set_source(Source { flow, at: Time::ZERO });
    Box::new(message)
}

impl Bench {
    /// The answers to a request: statuses and messages.
    fn ask(&mut self, msg: Box<Message>) -> Vec<(u16, Option<Message>)> {
        self.requests += 1;
        let transaction = Harness::server(self.requests);
        let event = match msg.method() {
            Some(Method::Ack) => TuEvent::Ack { msg },
            _ => TuEvent::Request { transaction, msg },
        };
        let Bench { harness, callee, .. } = self;
        harness.call(|stack| callee.process(event, stack));
        self.answers()
    }

    fn wake_at(&mut self, at: Duration) -> Vec<(u16, Option<Message>)> {
        self.harness.now = Time::ZERO + at;
        let Bench { harness, callee, .. } = self;
        harness.call(|stack| callee.wake(stack));
        self.answers()
    }

    fn answers(&mut self) -> Vec<(u16, Option<Message>)> {
        let read = |command| match command {
            Command::Respond { msg, .. } => (msg.status().expect("a response"), Some(*msg)),
            Command::RespondStatus { code, .. } => (code, None),
            other => panic!("{other:?}"),
        };
        self.harness.commands().into_iter().map(read).collect()
    }
}

fn codes(answers: &[(u16, Option<Message>)]) -> Vec<u16> {
    answers.iter().map(|(code, _)| *code).collect()
}

#[test]
fn a_call_is_answered_and_ended() {
    let mut bench = bench();
    let answers = bench.ask(request("INVITE", "1", ""));
    assert_eq!(codes(&answers), [180, 200]);
    let ok = answers[1].1.as_ref().expect("the message");
    let tag = ok.header(h::TO).expect("one").param(p::TAG).expect("a tag").to_owned();
    assert_eq!(ok.first(h::CONTACTS).expect("one").to_string(), format!("<sip:{ADDRESS}>"));
    assert!(ok.exists(h::RECORD_ROUTES) && ok.body().starts_with(b"v=0"));
    assert_eq!(bench.stats.in_progress.get(), 1);
    assert!(bench.ask(request("ACK", "1", &format!(";tag={tag}"))).is_empty());
    assert_eq!(codes(&bench.ask(request("BYE", "1", &format!(";tag={tag}")))), [200]);
    assert_eq!((bench.stats.succeeded.get(), bench.stats.in_progress.get()), (1, 0));
    assert_eq!(codes(&bench.ask(request("BYE", "1", &format!(";tag={tag}")))), [481]);
}

#[test]
fn the_200_is_repeated_until_its_ack() {
    let mut bench = bench();
    bench.ask(request("INVITE", "1", ""));
    bench.ask(request("INVITE", "2", ""));
    bench.ask(request("ACK", "2", ";tag=x"));
    assert_eq!(codes(&bench.wake_at(Duration::from_millis(510))), [200]);
    assert!(bench.wake_at(Duration::from_millis(1400)).is_empty());
    assert_eq!(codes(&bench.wake_at(Duration::from_millis(1520))), [200]);
    bench.ask(request("ACK", "1", ";tag=x"));
    assert!(bench.wake_at(Duration::from_secs(40)).is_empty());
    assert_eq!((bench.stats.in_progress.get(), bench.callee.deadline()), (2, None));
}

#[test]
fn a_call_without_an_ack_is_given_up() {
    let mut bench = bench();
    bench.ask(request("INVITE", "1", ""));
    let repeated = (1..400).map(|n| bench.wake_at(Duration::from_millis(n * 100)).len()).sum::<usize>();
    assert_eq!((repeated, bench.stats.failed.get(), bench.stats.in_progress.get()), (usize::from(REPETITIONS), 1, 0));
    assert_eq!(bench.callee.deadline(), None);
}

#[test]
fn a_session_may_change_within_a_call_alone() {
    let mut bench = bench();
    assert_eq!(codes(&bench.ask(request("INVITE", "1", ";tag=elsewhere"))), [481]);
    bench.ask(request("INVITE", "1", ""));
    assert_eq!(codes(&bench.ask(request("INVITE", "1", ""))), [482]);
    assert_eq!(codes(&bench.ask(request("INVITE", "1", ";tag=x"))), [200]);
    assert_eq!(bench.stats.started.get(), 1);
}

#[test]
fn other_requests_are_answered() {
    let mut bench = bench();
    for method in ["OPTIONS", "MESSAGE", "REGISTER", "INFO"] {
        let answers = bench.ask(request(method, "7", ""));
        assert_eq!(codes(&answers), [200], "{method}");
        assert!(answers[0].1.as_ref().expect("the message").has_to_tag());
    }
    assert_eq!(bench.stats.requests.get(), 4);
}
