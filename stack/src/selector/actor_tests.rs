//! Requests that wait for a name.

use super::*;
use crate::header::Method;
use crate::transport::TransportId;
use rutil::{Bell, fifo};

struct Bench {
    selector: TransportSelector,
    out: FifoSender<Outgoing>,
    answers: FifoSender<Answer>,
    news: FifoReceiver<Input>,
    wire: FifoReceiver<Wire>,
}

/// One UDP transport, and a resolver that never answers by itself.
fn bench() -> Bench {
    let (to_out, out) = fifo("out", 16, Bell::silent());
    let (to_answers, answers) = fifo("dns_done", 16, Bell::silent());
    let (news, from_news) = fifo("cmd", 16, Bell::silent());
    let (to_wire, wire) = fifo("wire", 16, Bell::silent());
    let ours = "192.0.2.1:5060".parse().unwrap();
    let transport = TransportInfo::new(TransportId(0), TransportType::Udp, 0, ours, ours);
    let selector = TransportSelector::new(SelectorParts {
        shard: 0,
        out,
        answers,
        resolver: ResolverHandle::new(|_| Ok(())),
        news,
        wires: vec![to_wire],
        transports: Arc::new(TransportTable::new(vec![transport])),
        outbound_proxy: None,
        udp_limit: 1300,
        rng: Rng::from_seed(1),
        tap: Tap::none(),
    });
    Bench { selector, out: to_out, answers: to_answers, news: from_news, wire }
}

impl Bench {
    fn send(&mut self, number: u64, uri: &str) {
        let request = Outgoing::Request {
            transaction: ClientTransaction::new(0, number << 1),
            msg: Box::new(Message::request(&Method::Options, uri)),
            options: Box::default(),
            stateless: false,
        };
        assert!(self.out.push(request, Class::Internal, Time::ZERO).is_ok());
        self.selector.turn(Time::ZERO);
    }

    /// What the name server says; where the requests then went.
    fn answer(&mut self, token: u64, addresses: &[&str]) -> Vec<String> {
        let result = Ok(addresses.iter().map(|text| text.parse().unwrap()).collect());
        let answer = Answer { token, result, ttl: Duration::ZERO };
        assert!(self.answers.push(answer, Class::Internal, Time::ZERO).is_ok());
        self.selector.turn(Time::ZERO);
        let sent = std::iter::from_fn(|| self.wire.pop());
        sent.map(|item| match item {
            Wire::Send { peer, .. } => peer.to_string(),
            Wire::Close { .. } => "closed".to_owned(),
        })
        .collect()
    }
}

#[test]
fn requests_to_one_name_share_a_look_up() {
    let mut bench = bench();
    bench.send(1, "sip:a@one.example.com");
    bench.send(2, "sip:a@two.example.com");
    bench.send(3, "sip:b@ONE.example.com:5070");
    assert_eq!((bench.selector.waiting.len(), bench.selector.waiting_requests), (2, 3));
    assert_eq!(bench.answer(0, &["192.0.2.7"]), ["192.0.2.7:5060", "192.0.2.7:5070"]);
    assert_eq!(bench.answer(0, &["192.0.2.7"]), [""; 0]);
    assert_eq!(bench.answer(1, &["192.0.2.8"]), ["192.0.2.8:5060"]);
    assert!(bench.selector.waiting.is_empty() && bench.selector.tokens.is_empty() && bench.selector.drained());
}

#[test]
fn no_record_sends_us_to_a_group_or_to_everybody() {
    const HARMFUL: [&str; 6] =
        ["224.0.1.75", "255.255.255.255", "0.0.0.0", "ff02::1", "::ffff:224.0.1.75", "::ffff:0.0.0.0"];
    let mut bench = bench();
    bench.send(1, "sip:a@one.example.com");
    let mixed: Vec<&str> = HARMFUL.into_iter().chain(["192.0.2.7"]).collect();
    assert_eq!(bench.answer(0, &mixed), ["192.0.2.7:5060"]);
    assert!(matches!(bench.news.pop(), Some(Input::Sent(_))));
    bench.send(2, "sip:a@two.example.com");
    assert_eq!(bench.answer(1, &HARMFUL), [""; 0]);
    assert!(matches!(bench.news.pop(), Some(Input::NotSent { reason: NoResponse::NotFound, .. })));
}

/// A resolver that has died answers nothing; what waits for it must not wait for ever, nor keep the name from being
/// asked for again.
#[test]
fn a_look_up_without_an_answer_ends() {
    let mut bench = bench();
    bench.send(1, "sip:a.example");
    bench.send(2, "sip:a.example");
    let due = bench.selector.deadline().expect("it has its time");
    bench.selector.turn(Time::from_nanos(due.as_nanos() - 1));
    assert!(bench.news.pop().is_none());
    bench.selector.turn(due);
    for number in [1, 2] {
        let Some(Input::NotSent { key, reason }) = bench.news.pop() else { panic!("no news of {number}") };
        assert_eq!((key, reason), (number << 1, NoResponse::NotFound));
    }
    assert!(bench.selector.drained() && bench.selector.deadline().is_none());
    // The next request asks again, and its answer is its own.
    bench.send(3, "sip:a.example");
    assert_eq!(bench.answer(0, &["192.0.2.7"]), Vec::<String>::new());
    assert_eq!(bench.answer(1, &["192.0.2.7"]), ["192.0.2.7:5060"]);
}
