//! The caller in virtual time, its commands read by hand.

use super::super::pace::LEAD;
use super::super::schedule::Stretch;
use super::*;
use stack::header::h;
use stack::message::Source;
use stack::transaction::Command;
use stack::transport::{TransportId, TransportInfo, TransportTable};
use stack::tu::SendOptions;
use stack::tu::testing::Harness;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A caller with nothing behind it.
struct Bench {
    harness: Harness,
    caller: Caller,
    stats: Arc<Stats>,
}

fn bench(shape: Shape, hold: Duration, limit: u32) -> Bench {
    doing(Job::Call(hold), None, shape, limit)
}

fn doing(job: Job, users: Option<Users>, shape: Shape, limit: u32) -> Bench {
    let at = "192.0.2.1:5080".parse().expect("an address");
    let table = TransportTable::new(vec![TransportInfo::new(TransportId(0), TransportType::Udp, 0, at, at)]);
    let address = "192.0.2.9:5060".parse().expect("an address");
    let hop = Hop { kind: TransportType::Udp, address, name: None };
    let target = "sip:service@192.0.2.9".to_owned();
    let options = Arc::new(CallerOptions { shape, job, users, target, hop, limit, shards: 1 });
    let stats = Arc::<Stats>::default();
    let caller = Caller::new(options, 0, stats.clone(), &mut Rng::from_seed(1));
    Bench { harness: Harness::new(table), caller, stats }
}

fn open(rate: f64) -> Shape {
    Shape::Open(vec![Stretch::constant(rate, SECOND)])
}

impl Bench {
    fn wake_at(&mut self, at: Duration) -> Vec<Command> {
        self.harness.now = Time::ZERO + at;
        let Bench { harness, caller, .. } = self;
        harness.call(|stack| caller.wake(stack));
        harness.commands().into_iter().map(read).collect()
    }

    /// One INVITE and its transaction, sent at `at`.
    fn invite(&mut self, at: Duration) -> (ClientTransaction, Message) {
        match <[Command; 1]>::try_from(self.wake_at(at)) {
            Ok([Command::Send { transaction, msg, .. }]) => (transaction, *msg),
            other => panic!("not one INVITE: {other:?}"),
        }
    }

    fn event(&mut self, event: TuEvent) -> Vec<Command> {
        let Bench { harness, caller, .. } = self;
        harness.call(|stack| caller.process(event, stack));
        harness.commands().into_iter().map(read).collect()
    }

    fn answer(&mut self, (transaction, request): &(ClientTransaction, Message), code: u16, tag: &str) -> Vec<Command> {
        let msg = Box::new(request.make_response(code, None, Some(tag)));
        self.event(TuEvent::Response { transaction: *transaction, msg })
    }

    fn is_done(&self) -> bool {
        self.stats.done.load(Ordering::Acquire)
    }
}

/// What is written is read again, and is what it says: of its transaction, from here, on the way.
fn read(command: Command) -> Command {
    let options = Box::new(SendOptions::default());
    match command {
        Command::SendWritten(written) => {
            let msg = message(written.bytes).expect("well formed");
            let branch = msg.first(h::VIAS).expect("ours").branch().map(ToOwned::to_owned);
            let bytes = msg.first(h::VIAS).expect("ours").to_string();
            assert!(bytes.starts_with("SIP/2.0/UDP 192.0.2.1:5080;"), "{bytes}");
            assert!(format!("{:?}", written.transaction).contains(&branch.expect("one")[9..]));
            assert_eq!((msg.method(), written.flow.peer.port()), (Some(written.method), 5060));
            Command::Send { transaction: written.transaction, tu: written.tu, msg, options }
        }
        Command::SendRaw(sent) => {
            let msg = message(sent.bytes).expect("well formed");
            Command::SendStateless { transaction: ClientTransaction::new(0, 0), msg, options }
        }
        other => other,
    }
}

/// `ACK`, `BYE sent`, …
fn names(commands: &[Command]) -> Vec<String> {
    let method = |msg: &Message| msg.method().expect("a request").to_string();
    commands
        .iter()
        .map(|command| match command {
            Command::Send { msg, .. } | Command::SendStateless { msg, .. } => method(msg),
            other => format!("{other:?}").chars().take_while(char::is_ascii_alphanumeric).collect(),
        })
        .collect()
}

fn sent(commands: Vec<Command>) -> (ClientTransaction, Message) {
    let found = commands.into_iter().find_map(|command| match command {
        Command::Send { transaction, msg, .. } => Some((transaction, *msg)),
        _ => None,
    });
    found.expect("something was sent")
}

#[test]
fn a_call_from_invite_to_bye_with_its_times() {
    let mut bench = bench(open(1.0), Duration::ZERO, 10);
    let invite = bench.invite(Duration::ZERO);
    bench.harness.now = Time::ZERO + 20 * MS;
    assert!(bench.answer(&invite, 100, "").is_empty() && bench.answer(&invite, 180, "t").is_empty());
    bench.harness.now = Time::ZERO + 50 * MS;
    let commands = bench.answer(&invite, 200, "t");
    assert_eq!(names(&commands), ["ACK", "BYE"]);
    let bye = sent(commands);
    assert!(!bench.is_done());
    bench.harness.now = Time::ZERO + 53 * MS;
    assert!(bench.answer(&bye, 200, "").is_empty());
    assert_eq!((bench.stats.succeeded.get(), bench.stats.in_progress.get(), bench.is_done()), (1, 0, true));
    for (times, ms) in [(&bench.stats.ringing, 20), (&bench.stats.answered, 50), (&bench.stats.bye, 3)] {
        let seen = times.snapshot();
        assert!(seen.count() == 1 && seen.max().abs_diff(MS * ms) < MS / 2, "{ms} ms: {:?}", seen.max());
    }
    assert!(bench.caller.transactions.is_empty());
}

/// An answer that lay in the socket until the beat was over came before that.
#[test]
fn times_are_those_of_the_wire() {
    let mut bench = bench(open(1.0), Duration::ZERO, 10);
    let mut call = bench.invite(Duration::ZERO);
    for (code, came, read) in [(180, 20, 29), (200, 40, 49), (200, 60, 69)] {
        bench.harness.now = Time::ZERO + MS * read;
        let mut msg = Box::new(call.1.make_response(code, None, Some("t")));
        let flow = bench.caller.ways[0].flow;
        msg.set_source(Source { flow, at: Time::ZERO + MS * came });
        let commands = bench.event(TuEvent::Response { transaction: call.0, msg });
        if !commands.is_empty() {
            call = sent(commands);
        }
    }
    // BYE leaves when the answer is read.
    for (times, ms) in [(&bench.stats.ringing, 20), (&bench.stats.answered, 40), (&bench.stats.bye, 60 - 49)] {
        let seen = times.snapshot();
        assert!(seen.count() == 1 && seen.max().abs_diff(MS * ms) < MS / 2, "{ms} ms: {:?}", seen.max());
    }
}

#[test]
fn what_is_late_counts_from_when_it_was_due() {
    let mut bench = bench(open(10.0), Duration::ZERO, 100);
    bench.invite(Duration::ZERO);
    assert_eq!(bench.caller.deadline(), Some(Time::ZERO + (100 * MS - LEAD)));
    // The runner was away for 250 ms after the second call was due.
    let commands = bench.wake_at(350 * MS);
    assert_eq!(names(&commands), ["INVITE"; 3]);
    assert_eq!((bench.stats.late.get(), bench.stats.started.get()), (3, 4));
    let second = sent(commands);
    bench.answer(&second, 200, "t");
    assert!(bench.stats.answered.snapshot().max() > 240 * MS);
    assert!(bench.stats.schedule.snapshot().max() > 240 * MS);
}

#[test]
fn a_call_is_half_a_millisecond_early_at_most() {
    let mut bench = bench(open(1000.0), Duration::ZERO, 100);
    assert_eq!(names(&bench.wake_at(Duration::ZERO)), ["INVITE"]);
    assert!(bench.wake_at(MS / 4).is_empty());
    assert_eq!(names(&bench.wake_at(MS / 2)), ["INVITE"]);
    assert_eq!(bench.stats.late.get(), 0);
}

#[test]
fn what_finds_no_room_is_counted_and_not_made_up_for() {
    let mut bench = bench(open(10.0), Duration::ZERO, 2);
    bench.wake_at(Duration::ZERO);
    assert_eq!(names(&bench.wake_at(SECOND)).len(), 1);
    assert_eq!((bench.stats.started.get(), bench.stats.not_started.get()), (2, 8));
    assert!(bench.caller.pace.is_over() && !bench.is_done());
}

#[test]
fn so_many_calls_are_in_progress() {
    let mut bench = bench(Shape::Closed(3, SECOND), Duration::ZERO, 10);
    let commands = bench.wake_at(Duration::ZERO);
    assert_eq!(names(&commands), ["INVITE"; 3]);
    let first = sent(commands);
    assert_eq!(bench.caller.deadline(), Some(Time::ZERO + SECOND));
    assert_eq!(names(&bench.answer(&first, 503, "t")).len(), 0);
    assert_eq!(bench.caller.deadline(), Some(Time::ZERO));
    assert_eq!(names(&bench.wake_at(10 * MS)), ["INVITE"]);
    assert!(bench.wake_at(SECOND).is_empty());
    assert_eq!(bench.caller.deadline(), None);
}

#[test]
fn no_more_calls_are_in_progress_than_the_limit_allows() {
    let mut bench = bench(Shape::Closed(5, SECOND), Duration::ZERO, 2);
    assert_eq!(names(&bench.wake_at(Duration::ZERO)), ["INVITE"; 2]);
    // There is no room for more, so it sleeps.
    assert_eq!((bench.stats.not_started.get(), bench.caller.deadline()), (0, Some(Time::ZERO + SECOND)));
}

#[test]
fn a_failure_names_its_cause() {
    let mut bench = bench(open(3.0), Duration::ZERO, 10);
    let refused = bench.invite(Duration::ZERO);
    bench.answer(&refused, 503, "t");
    let (silent, _) = bench.invite(SECOND / 3);
    bench.event(TuEvent::NoResponse { transaction: silent, reason: NoResponse::Timeout });
    let answered = bench.invite(SECOND * 2 / 3);
    let bye = sent(bench.answer(&answered, 200, "t"));
    bench.answer(&bye, 481, "");
    let causes: Vec<(String, u64)> = bench.stats.causes.lock().clone().into_iter().collect();
    let wanted =
        ["BYE: 481 Call/Transaction Does Not Exist", "INVITE: 503 Service Unavailable", "INVITE: no response in time"];
    assert_eq!(causes, wanted.map(|cause| (cause.to_owned(), 1)));
    assert!(bench.is_done());
}

#[test]
fn calls_are_held() {
    let mut bench = bench(open(1.0), 5 * SECOND, 10);
    let invite = bench.invite(Duration::ZERO);
    assert_eq!(names(&bench.answer(&invite, 200, "t")), ["ACK"]);
    let deadline = bench.caller.deadline().expect("the hold");
    assert!(deadline <= Time::ZERO + 5 * SECOND + 10 * MS, "{deadline:?}");
    assert!(bench.wake_at(4990 * MS).is_empty());
    assert_eq!(names(&bench.wake_at(5010 * MS)), ["BYE"]);
}

#[test]
fn the_end_of_the_run_ends_calls_as_they_stand() {
    let mut bench = bench(open(3.0), 60 * SECOND, 10);
    let talking = bench.invite(Duration::ZERO);
    bench.answer(&talking, 200, "t");
    let ringing = bench.invite(SECOND / 3);
    bench.answer(&ringing, 180, "t");
    let commands = bench.event(TuEvent::Posted(Box::new(Stop)));
    let mut what = names(&commands);
    what.sort();
    assert_eq!(what, ["BYE", "Cancel"]);
    let bye = sent(commands);
    bench.answer(&bye, 200, "");
    assert!(!bench.is_done());
    bench.answer(&ringing, 487, "t");
    assert!(bench.is_done());
    assert_eq!((bench.stats.succeeded.get(), bench.stats.stopped.get()), (1, 1));
}

#[test]
fn a_fork_is_acknowledged_and_ended_beside_the_call() {
    let mut bench = bench(open(1.0), 60 * SECOND, 10);
    let invite = bench.invite(Duration::ZERO);
    assert_eq!(names(&bench.answer(&invite, 200, "one")), ["ACK"]);
    assert_eq!(names(&bench.answer(&invite, 200, "one")), ["ACK"]);
    let commands = bench.answer(&invite, 200, "two");
    assert_eq!(names(&commands), ["ACK", "BYE"]);
    let bye = sent(commands);
    assert_eq!(bye.1.header(stack::header::h::TO).expect("one").param(stack::header::p::TAG), Some("two"));
    bench.answer(&bye, 200, "");
    assert_eq!((bench.stats.in_progress.get(), bench.stats.answered.snapshot().count()), (1, 1));
}

#[test]
fn what_others_ask_is_answered() {
    let mut bench = bench(open(1.0), 60 * SECOND, 10);
    let (_, invite) = bench.invite(Duration::ZERO);
    let msg = Box::new(invite);
    let commands = bench.event(TuEvent::Request { transaction: Harness::server(1), msg });
    assert!(matches!(commands[..], [Command::RespondStatus { code: 486, .. }]), "{commands:?}");
    assert_eq!(bench.stats.requests.get(), 1);
}

/// BYE of the peer of a call, whose tag is `tag`.
fn peer_bye((_, invite): &(ClientTransaction, Message), tag: &str) -> TuEvent {
    let call_id = invite.header(stack::header::h::CALL_ID).expect("one");
    let text = format!(
        "BYE sip:sipload@192.0.2.1:5080 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:service@192.0.2.9>;tag={tag}\r\nTo: <sip:x>;tag={call_id}\r\nCall-ID: {call_id}\r\nCSeq: 1 BYE\r\n\r\n"
    );
    let msg = Box::new(Message::parse(text.into_bytes()).expect("well formed"));
    TuEvent::Request { transaction: Harness::server(1), msg }
}

#[test]
fn a_call_that_the_peer_ends_is_over_and_no_failure() {
    let mut bench = bench(open(1.0), 60 * SECOND, 10);
    let invite = bench.invite(Duration::ZERO);
    bench.answer(&invite, 200, "t");
    // That of a fork matches no call, and ends none.
    let commands = bench.event(peer_bye(&invite, "other"));
    assert!(matches!(commands[..], [Command::RespondStatus { code: 481, .. }]), "{commands:?}");
    assert_eq!(bench.stats.in_progress.get(), 1);
    let commands = bench.event(peer_bye(&invite, "t"));
    assert!(matches!(commands[..], [Command::RespondStatus { code: 200, .. }]), "{commands:?}");
    assert_eq!((bench.stats.hung_up.get(), bench.stats.in_progress.get(), bench.is_done()), (1, 0, true));
    assert!(bench.wake_at(61 * SECOND).is_empty() && bench.caller.by_id.is_empty());
    assert_eq!((bench.stats.succeeded.get(), bench.stats.failed.get()), (0, 0));
    let commands = bench.event(peer_bye(&invite, "t"));
    assert!(matches!(commands[..], [Command::RespondStatus { code: 481, .. }]), "{commands:?}");
}

#[test]
fn two_byes_that_cross_end_the_call_as_it_should() {
    let mut bench = bench(open(1.0), Duration::ZERO, 10);
    let invite = bench.invite(Duration::ZERO);
    let bye = sent(bench.answer(&invite, 200, "t"));
    bench.event(peer_bye(&invite, "t"));
    bench.answer(&bye, 481, "");
    assert_eq!((bench.stats.succeeded.get(), bench.stats.failed.get(), bench.is_done()), (1, 0, true));
}

fn registrations() -> Bench {
    let users = Users::pattern("u{0..9}@example.com", Some("pw-{user}".into())).expect("well formed");
    doing(Job::Register(60), Some(users), open(2.0), 10)
}

/// A 401.
fn challenge(request: &Message) -> Box<Message> {
    let mut refusal = request.make_response(401, None, Some("t"));
    refusal.append_line("WWW-Authenticate", "Digest realm=\"r\", nonce=\"1\", qop=\"auth\"");
    Box::new(refusal)
}

/// Whether a request has answered a challenge rightly.
fn is_right(request: &Message, secret: &str) -> bool {
    let auth = request.header(stack::header::h::AUTHORIZATIONS).next().expect("one").expect("well formed");
    let presented = stack::auth::Presented::read(&auth).expect("well formed");
    let method = request.method().expect("a request");
    presented.is_right(&stack::auth::Secret::password(secret), method.as_str(), b"")
}

#[test]
fn a_call_answers_challenges_to_its_invite_and_to_its_bye() {
    let users = || Some(Users::pattern("u{0..9}@example.com", Some("pw-{user}".into())).expect("well formed"));
    for answers in [true, false] {
        let users = users().filter(|_| answers);
        let mut bench = doing(Job::Call(Duration::ZERO), users, open(1.0), 10);
        let mut invite = bench.invite(Duration::ZERO);
        if answers {
            let (transaction, request) = &invite;
            invite = sent(bench.event(TuEvent::Response { transaction: *transaction, msg: challenge(request) }));
            assert!(is_right(&invite.1, "pw-u0"));
        }
        let commands = bench.answer(&invite, 200, "t");
        let ack = match &commands[..] {
            [Command::SendStateless { msg, .. }, _] => msg.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(ack.header(stack::header::h::AUTHORIZATIONS).count(), usize::from(answers), "RFC 3261 §22.1");
        let (bye, request) = sent(commands);
        let number = |request: &Message| request.header(stack::header::h::CSEQ).expect("one").number;
        let commands = bench.event(TuEvent::Response { transaction: bye, msg: challenge(&request) });
        if !answers {
            assert_eq!((bench.stats.failed.get(), commands.len(), bench.is_done()), (1, 0, true));
            continue;
        }
        let again = sent(commands);
        assert!(is_right(&again.1, "pw-u0"));
        assert_eq!(number(&again.1), number(&request) + 1);
        bench.answer(&again, 200, "");
        assert_eq!((bench.stats.succeeded.get(), bench.is_done()), (1, true));
        assert!(bench.caller.transactions.is_empty());
    }
}

#[test]
fn a_registration_answers_a_challenge_once() {
    let mut bench = registrations();
    let (first, request) = bench.invite(Duration::ZERO);
    assert_eq!(request.header(stack::header::h::TO).expect("one").uri.to_string(), "sip:u0@example.com");
    let commands = bench.event(TuEvent::Response { transaction: first, msg: challenge(&request) });
    let (second, again) = sent(commands);
    assert_eq!(again.header(stack::header::h::CSEQ).expect("one").to_string(), "2 REGISTER");
    assert!(is_right(&again, "pw-u0"));
    // What comes late for the first is nobody's.
    bench.event(TuEvent::Response { transaction: first, msg: challenge(&request) });
    let refused = (second, again.clone());
    let msg = challenge(&refused.1);
    assert!(bench.event(TuEvent::Response { transaction: second, msg }).is_empty());
    assert_eq!(bench.stats.causes.lock().keys().collect::<Vec<_>>(), ["REGISTER: 401 Unauthorized"]);
    let answered = bench.invite(SECOND / 2);
    assert_eq!(answered.1.header(stack::header::h::TO).expect("one").uri.to_string(), "sip:u1@example.com");
    bench.answer(&answered, 200, "t");
    assert_eq!((bench.stats.succeeded.get(), bench.stats.failed.get(), bench.is_done()), (1, 1, true));
}
