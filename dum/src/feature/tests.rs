//! Features between a user agent and what a test plays.

use super::*;
use crate::auth::tests::{addr, profile};
use crate::auth::{Asker, ServerAuthManager, ServerAuthOptions, source};
use crate::invite::{EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session};
use crate::out_of_dialog::{ClientOutOfDialogRequest, OutOfDialogHandler, ServerOutOfDialogRequest};
use crate::testing::Bench;
use crate::{Application, Counts, DumOptions, Outcome, UsageEnded};
use stack::auth::{Algorithm, Challenge, Secret};
use stack::header::{Method, h};
use stack::tu::TuEvent;
use stack::tu::testing::Harness;
use std::sync::Mutex;

/// Writes down what it hears, and answers what it is asked.
#[derive(Default)]
struct App(Vec<String>, Vec<Handle<ServerInviteSession>>);

impl Application for App {
    fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
        Some(self)
    }
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

impl OutOfDialogHandler for App {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.0.push(format!("success {}", outcome.status));
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.0.push(format!("failure {} {}", outcome.status, outcome.response.is_some()));
    }
    fn on_received_request(&mut self, dum: &mut Dum<'_>, asked: Handle<ServerOutOfDialogRequest>, msg: &Message) {
        self.0.push(format!("asked {}", trail(msg)));
        asked.accept(dum, 200, |_| {}).unwrap();
    }
}

impl InviteSessionHandler for App {
    fn on_new_session(&mut self, _: &mut Dum<'_>, call: Handle<ServerInviteSession>, invite: &Message) {
        self.0.push(format!("new {}", trail(invite)));
        self.1.push(call);
    }
    // It rings, and is left at that.
    fn on_offer_required(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Message) {}
    fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.0.push(format!("{why:?}"));
    }
}

/// What it does with the next messages; then it lets all pass.
type Script = Arc<Mutex<Vec<Do>>>;

/// The names by which its requests wait.
type Waits = Arc<Mutex<Vec<Handle<Waiting>>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Do {
    Pass,
    Done,
    Take,
    Answer(u16),
    Wait(u64),
    /// A name that is not the one it was given.
    WaitForOther,
}

/// Writes its name into all that it sees.
struct Probe {
    name: &'static str,
    script: Script,
    waits: Waits,
    resumed: Arc<Mutex<Vec<Option<&'static str>>>>,
}

fn probe(name: &'static str) -> (Probe, Script) {
    let script = Script::default();
    (Probe { name, script: script.clone(), waits: Arc::default(), resumed: Arc::default() }, script)
}

impl Probe {
    fn next(&self, msg: &mut Message) -> Do {
        msg.append_line("X-Trail", self.name);
        let mut script = self.script.lock().unwrap();
        if script.is_empty() { Do::Pass } else { script.remove(0) }
    }

    fn request(&mut self, msg: &mut Message, context: &mut FeatureContext<'_, '_>) -> Verdict {
        match self.next(msg) {
            Do::Pass => Verdict::Pass,
            Do::Done => Verdict::Done,
            Do::Take => Verdict::Take,
            Do::Answer(status) => Verdict::Answer(context.make_response(msg, status).into()),
            Do::Wait(seconds) => match context.wait(Duration::from_secs(seconds)) {
                Ok(waiting) => {
                    self.waits.lock().unwrap().push(waiting);
                    Verdict::Wait(waiting)
                }
                Err(NoRoom) => Verdict::Answer(context.make_response(msg, 503).into()),
            },
            Do::WaitForOther => {
                let other = context.wait(Duration::from_secs(1)).unwrap();
                let _own = context.wait(Duration::from_secs(1)).unwrap();
                Verdict::Wait(other)
            }
        }
    }

    fn other(&self, msg: &mut Message) -> Passage {
        match self.next(msg) {
            Do::Take => Passage::Take,
            Do::Done => Passage::Done,
            _ => Passage::Pass,
        }
    }
}

impl DumFeature for Probe {
    fn name(&self) -> &'static str {
        self.name
    }
    fn incoming_request(&mut self, request: &mut Message, context: &mut FeatureContext<'_, '_>) -> Verdict {
        self.request(request, context)
    }
    fn incoming(&mut self, msg: &mut Message, _: &mut FeatureContext<'_, '_>) -> Passage {
        self.other(msg)
    }
    fn outgoing_request(&mut self, request: &mut Message, context: &mut FeatureContext<'_, '_>) -> Verdict {
        self.request(request, context)
    }
    fn outgoing(&mut self, msg: &mut Message, _: &mut FeatureContext<'_, '_>) -> Passage {
        self.other(msg)
    }
    fn resumed(
        &mut self,
        request: &mut Message,
        answer: Option<Answer>,
        context: &mut FeatureContext<'_, '_>,
    ) -> Verdict {
        let said = answer.and_then(|answer| answer.downcast_ref::<&'static str>().copied());
        self.resumed.lock().unwrap().push(said);
        match said {
            Some("no") => Verdict::Answer(context.make_response(request, 403).into()),
            Some(_) => Verdict::Pass,
            None => Verdict::Answer(context.make_response(request, 504).into()),
        }
    }
}

/// Through which features a message has come.
fn trail(msg: &Message) -> String {
    let names: Vec<_> = msg.raw_values("X-Trail").map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.join(" ")
}

fn incoming(method: &Method<'_>) -> Message {
    let mut msg =
        stack::helper::make_initial(method, &addr("<sip:alice@a>"), &addr("<sip:bob@b>"), &mut Rng::from_seed(3));
    msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    msg
}

/// A user agent with the features `one` and `two`.
fn bench() -> (Bench<App>, Script, Script, Waits) {
    let mut options = DumOptions::default();
    options.limits.requests = 3;
    let mut bench = Bench::with_options(App::default(), options);
    let ((one, first), (two, second)) = (probe("one"), probe("two"));
    let waits = two.waits.clone();
    bench.dum.add_feature(one);
    bench.with(|_, dum| dum.add_feature(two));
    (bench, first, second, waits)
}

fn heard(bench: &mut Bench<App>) -> Vec<String> {
    std::mem::take(&mut bench.dum.application_mut().0)
}

fn ask(bench: &mut Bench<App>) -> Handle<ClientOutOfDialogRequest> {
    bench.with(|_, dum| {
        let msg = dum.make_request(&profile(), &Method::Options, &addr("<sip:bob@192.0.2.9>"));
        dum.send_request_as(&profile(), msg).unwrap()
    })
}

fn call(bench: &mut Bench<App>) -> Handle<InviteSession> {
    bench.with(|_, dum| {
        let invite = dum.make_invite(&profile(), &addr("<sip:bob@192.0.2.9>"), None);
        dum.send_invite(&profile(), invite).unwrap().session()
    })
}

#[test]
fn messages_meet_features_in_order_and_each_once() {
    let (mut bench, one, two, _) = bench();
    bench.ask(1, incoming(&Method::Options));
    assert_eq!(heard(&mut bench), ["asked one two"]);
    assert_eq!(trail(&bench.response().1), "two one");
    // Past those that follow, each way.
    one.lock().unwrap().push(Do::Done);
    two.lock().unwrap().push(Do::Done);
    bench.ask(2, incoming(&Method::Options));
    assert_eq!((heard(&mut bench), trail(&bench.response().1)), (vec!["asked one".to_owned()], "two".to_owned()));
    // A request of ours, the one that answers a challenge, and its answer.
    ask(&mut bench);
    let (transaction, msg) = bench.request();
    assert_eq!(trail(&msg), "two one");
    let mut challenge = msg.make_response(401, None, Some("peer"));
    challenge.push_back(h::WWW_AUTHENTICATES, &Challenge::new("example.com", "n1", Algorithm::MD5).to_auth());
    bench.event(TuEvent::Response { transaction, msg: challenge.into() });
    let (transaction, again) = bench.request();
    assert!(again.exists(h::AUTHORIZATIONS));
    assert_eq!(trail(&again), "two one", "what a feature adds is there once");
    bench.respond(transaction, &again, 200);
    assert_eq!(heard(&mut bench), ["success 200"]);
    assert_eq!(bench.dum.counts(), Counts::default());
}

#[test]
fn a_feature_answers_what_came() {
    let (mut bench, one, two, _) = bench();
    for (what, status) in [(Do::Answer(603), 603), (Do::Answer(100), 500), (Do::WaitForOther, 500)] {
        one.lock().unwrap().push(what);
        bench.ask(1, incoming(&Method::Options));
        let (_, response) = bench.response();
        assert_eq!((response.status(), trail(&response).as_str()), (Some(status), "two one"), "{what:?}");
    }
    // A call is more than a 200.
    two.lock().unwrap().push(Do::Answer(200));
    bench.ask(2, incoming(&Method::Invite));
    assert_eq!((bench.response().1.status(), heard(&mut bench)), (Some(500), Vec::new()));
    assert_eq!(bench.dum.counts(), Counts::default());
}

#[test]
fn what_is_taken_is_not_answered_and_ends() {
    let (mut bench, _, two, _) = bench();
    two.lock().unwrap().extend([Do::Take, Do::Take, Do::Take]);
    bench.ask(1, incoming(&Method::Options));
    bench.ask(2, incoming(&Method::Invite));
    bench.ask(3, incoming(&Method::Invite));
    assert_eq!((bench.dum.counts().waiting, bench.dum.counts().transactions), (2, 2));
    bench.nothing_sent();
    let cancel = Message::request(&Method::Cancel, "sip:alice@a");
    bench.event(TuEvent::Cancelled { transaction: Harness::server(2), cancel: cancel.into() });
    let (transaction, response) = bench.response();
    assert_eq!((transaction, response.status()), (Harness::server(2), Some(487)));
    bench.run(Duration::from_secs(31));
    bench.nothing_sent();
    bench.run(Duration::from_secs(2));
    let (transaction, response) = bench.response();
    assert_eq!((transaction, response.status()), (Harness::server(3), Some(480)));
    for number in [2, 3] {
        bench.event(TuEvent::ServerEnded { transaction: Harness::server(number) });
    }
    assert_eq!((heard(&mut bench), bench.dum.counts()), (Vec::new(), Counts::default()));
    // There is no room for more of them than for others that wait.
    two.lock().unwrap().extend([Do::Take; 4]);
    (1..=4).for_each(|number| bench.ask(number, incoming(&Method::Invite)));
    assert_eq!(bench.response().1.status(), Some(503));
    assert_eq!(bench.dum.counts().waiting, 3);
}

#[test]
fn a_request_waits_for_an_answer_from_elsewhere() {
    let (mut bench, one, two, waits) = bench();
    two.lock().unwrap().extend([Do::Wait(5), Do::Wait(5), Do::Wait(100)]);
    (1..=3).for_each(|number| bench.ask(number, incoming(&Method::Invite)));
    // There is no room for a fourth; what does not wait passes by.
    two.lock().unwrap().push(Do::Wait(5));
    bench.ask(4, incoming(&Method::Invite));
    assert_eq!(bench.response().1.status(), Some(503));
    bench.ask(5, incoming(&Method::Options));
    assert_eq!((bench.response().1.status(), heard(&mut bench)), (Some(200), vec!["asked one two".to_owned()]));
    let waits = waits.lock().unwrap().clone();
    // The first goes on; a feature that was passed is not asked again.
    bench.with(|_, dum| assert_eq!(waits[0].resume(dum, "yes"), Ok(())));
    assert_eq!(heard(&mut bench), ["new one two"]);
    bench.with(|_, dum| assert_eq!(waits[0].resume(dum, "yes"), Err(UsageEnded)));
    bench.with(|_, dum| assert_eq!(waits[1].resume(dum, "no"), Ok(())));
    assert_eq!(bench.response().1.status(), Some(403));
    // The third has its time, which is 64·T1.
    bench.run(Duration::from_secs(31));
    bench.nothing_sent();
    bench.run(Duration::from_secs(2));
    assert_eq!(bench.response().1.status(), Some(504));
    bench.with(|_, dum| assert_eq!(waits[2].resume(dum, "yes"), Err(UsageEnded)));
    // A CANCEL for who waits.
    two.lock().unwrap().push(Do::Wait(5));
    bench.ask(6, incoming(&Method::Invite));
    let cancel = Message::request(&Method::Cancel, "sip:alice@a");
    bench.event(TuEvent::Cancelled { transaction: Harness::server(6), cancel: cancel.into() });
    assert_eq!((bench.response().1.status(), heard(&mut bench)), (Some(487), Vec::new()));
    assert_eq!((bench.dum.counts().waiting, one.lock().unwrap().len()), (0, 0));
}

#[test]
fn a_request_of_ours_is_answered_kept_or_put_off() {
    let (mut bench, one, two, waits) = bench();
    for (what, expected) in
        [(Do::Answer(488), "failure 488 true"), (Do::Answer(202), "success 202"), (Do::Take, "failure 408 false")]
    {
        two.lock().unwrap().push(what);
        ask(&mut bench);
        bench.nothing_sent();
        assert!(heard(&mut bench).is_empty(), "not while it is sent");
        bench.run(Duration::ZERO);
        assert_eq!(heard(&mut bench), [expected]);
    }
    two.lock().unwrap().push(Do::Wait(5));
    ask(&mut bench);
    bench.nothing_sent();
    let waiting = waits.lock().unwrap()[0];
    bench.with(|_, dum| waiting.resume(dum, "yes").unwrap());
    let (transaction, msg) = bench.request();
    assert_eq!(trail(&msg), "two one");
    bench.respond(transaction, &msg, 200);
    assert_eq!(heard(&mut bench), ["success 200"]);
    // Who hangs up meanwhile has not called.
    two.lock().unwrap().push(Do::Wait(5));
    let first = call(&mut bench);
    bench.with(|_, dum| first.end(dum).unwrap());
    bench.run(Duration::ZERO);
    assert_eq!(heard(&mut bench), ["LocalCancel"]);
    // Nor who is refused by a feature.
    one.lock().unwrap().push(Do::Answer(403));
    call(&mut bench);
    bench.run(Duration::ZERO);
    assert_eq!(heard(&mut bench), ["Refused"]);
    bench.nothing_sent();
    assert_eq!(bench.dum.counts(), Counts::default());
}

#[test]
fn of_other_messages_what_would_never_end_is_told() {
    let (mut bench, one, two, _) = bench();
    ask(&mut bench);
    let (transaction, msg) = bench.request();
    one.lock().unwrap().extend([Do::Take, Do::Take]);
    bench.respond(transaction, &msg, 183);
    assert!(heard(&mut bench).is_empty());
    bench.respond(transaction, &msg, 200);
    assert_eq!(heard(&mut bench), ["failure 408 false"]);
    // Provisional responses of ours may be kept, final ones not.
    bench.ask(1, incoming(&Method::Invite));
    let call = bench.dum.application().1[0];
    two.lock().unwrap().extend([Do::Take, Do::Take]);
    bench.with(|_, dum| call.provisional(dum, 180).unwrap());
    bench.nothing_sent();
    bench.with(|_, dum| call.reject(dum, 486, |_| {}).unwrap());
    assert_eq!(bench.response().1.status(), Some(486));
}

/// Digest whose users are known elsewhere.
struct Passwords {
    manager: ServerAuthManager,
    asked: Waits,
}

impl Passwords {
    fn check(&mut self, msg: &Message, secret: Option<Secret>, context: &mut FeatureContext<'_, '_>) -> Verdict {
        let now = context.now();
        let Err(refusal) = self.manager.check(msg, Asker::Server, "example.com", now, |_, _| secret) else {
            return Verdict::Pass;
        };
        let challenges = self.manager.challenges(source(msg), "example.com", &refusal, now, context.rng());
        let mut response = context.make_response(msg, Asker::Server.status());
        Asker::Server.write(&challenges, &mut response);
        Verdict::Answer(response.into())
    }
}

impl DumFeature for Passwords {
    fn name(&self) -> &'static str {
        "passwords"
    }
    fn incoming_request(&mut self, request: &mut Message, context: &mut FeatureContext<'_, '_>) -> Verdict {
        if !request.exists(h::AUTHORIZATIONS) {
            return self.check(request, None, context);
        }
        let Ok(waiting) = context.wait(Duration::from_secs(5)) else {
            return Verdict::Answer(context.make_response(request, 503).into());
        };
        self.asked.lock().unwrap().push(waiting);
        Verdict::Wait(waiting)
    }
    fn resumed(
        &mut self,
        request: &mut Message,
        answer: Option<Answer>,
        context: &mut FeatureContext<'_, '_>,
    ) -> Verdict {
        let secret = answer.and_then(|answer| answer.downcast::<Secret>().ok());
        self.check(request, secret.map(|secret| *secret), context)
    }
}

#[test]
fn server_authentication_may_be_a_feature_that_asks_elsewhere() {
    let mut bench = Bench::new(App::default());
    let asked = Arc::<Mutex<Vec<_>>>::default();
    let manager = ServerAuthManager::new(ServerAuthOptions::default(), &mut Rng::from_seed(1));
    bench.dum.add_feature(Passwords { manager, asked: asked.clone() });
    bench.ask(1, incoming(&Method::Options));
    let (_, challenged) = bench.response();
    assert_eq!(challenged.status(), Some(401));
    // A client with the right password, and one with a wrong one.
    for (nth, (password, expected)) in [("wonderland", 200), ("looking-glass", 401)].into_iter().enumerate() {
        let challenge = Challenge::read(&challenged.header(h::WWW_AUTHENTICATES).next().unwrap().unwrap()).unwrap();
        let mut msg = incoming(&Method::Options);
        let uri = std::str::from_utf8(msg.request_uri_text()).unwrap().to_owned();
        let answer = stack::auth::Answer {
            user: "alice",
            method: "OPTIONS",
            uri: &uri,
            body: b"",
            cnonce: "c",
            count: 1 + nth as u32,
        };
        let auth = challenge.answer(&Secret::password(password), &answer).unwrap();
        msg.push_back(h::AUTHORIZATIONS, &auth);
        bench.ask(2, msg);
        bench.nothing_sent();
        let waiting = asked.lock().unwrap()[nth];
        bench.with(|_, dum| waiting.resume(dum, Secret::password("wonderland")).unwrap());
        assert_eq!(bench.response().1.status(), Some(expected), "{password}");
    }
}
