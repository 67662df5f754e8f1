//! Forks, and what comes that should not.

use super::*;
use crate::dialogs::MAX_FORKS;
use crate::refer::{ReferHandler, ServerRefer};
use crate::subscription::{ServerSubscription, ServerSubscriptionEnd, ServerSubscriptionHandler, SubscriptionState};
use crate::testing::Bench;
use crate::{Application, Counts, DumOptions, EventPackage};
use stack::header::{HeaderValue, Method, NameAddr, h, p};
use stack::transaction::Command;
use stack::tu::testing::Harness;
use stack::tu::{ClientTransaction, TuEvent};

/// Writes down what it hears, with the number of the call.
#[derive(Default)]
pub(super) struct App {
    heard: Vec<String>,
    pub(super) calls: Vec<Handle<InviteSession>>,
    subscription: Option<Handle<ServerSubscription>>,
    pub(super) refer: Option<Handle<ServerRefer>>,
    /// It ends a call that is sent elsewhere.
    pub(super) gives_up: bool,
}

impl App {
    fn hear(&mut self, call: Handle<InviteSession>, what: &str) {
        let at = self.calls.iter().position(|known| *known == call).unwrap_or_else(|| {
            self.calls.push(call);
            self.calls.len() - 1
        });
        self.heard.push(format!("{at} {what}"));
    }
}

impl Application for App {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
    fn refers(&mut self) -> Option<&mut dyn ReferHandler> {
        Some(self)
    }
    fn server_subscriptions(&mut self, _: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        Some(self)
    }
}

impl ReferHandler for App {
    fn on_refer(&mut self, _: &mut Dum<'_>, refer: Handle<ServerRefer>, _: Option<Handle<InviteSession>>, _: &Message) {
        self.refer = Some(refer);
    }
}

impl ServerSubscriptionHandler for App {
    fn on_new_subscription(&mut self, dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, _: &Message) {
        sub.accept(dum, SubscriptionState::Active, None).unwrap();
        self.subscription = Some(sub);
    }
    fn on_terminated(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ServerSubscription>,
        end: ServerSubscriptionEnd,
        _: Option<&Message>,
    ) {
        self.heard.push(format!("{end:?}"));
    }
}

impl InviteSessionHandler for App {
    fn on_new_session(&mut self, _: &mut Dum<'_>, call: Handle<ServerInviteSession>, _: &Message) {
        self.hear(call.session(), "new");
    }
    fn on_provisional(&mut self, _: &mut Dum<'_>, call: Handle<ClientInviteSession>, msg: &Message) {
        self.hear(call.session(), &msg.status().unwrap().to_string());
    }
    fn on_fork(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientInviteSession>,
        fork: Handle<ClientInviteSession>,
        _: &Message,
    ) {
        self.hear(fork.session(), "fork");
    }
    fn on_redirected(&mut self, dum: &mut Dum<'_>, call: Handle<ClientInviteSession>, _: &Message) -> bool {
        if self.gives_up {
            call.end(dum).unwrap();
        }
        true
    }
    /// The test answers.
    fn on_offer(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Sdp, _: &Message) {}
    fn on_offer_required(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Message) {}
    fn on_refresh(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, msg: &Message) {
        let contact = call.remote_contact(dum).unwrap().uri.sip().unwrap().user.as_deref().unwrap().to_owned();
        self.hear(call, &format!("{} of {contact}", msg.method().unwrap().as_str()));
    }
    /// A click answers the call.
    fn on_remote_control(
        &mut self,
        dum: &mut Dum<'_>,
        call: Handle<InviteSession>,
        control: RemoteControl,
        notify: &Message,
    ) -> u16 {
        self.hear(call, &format!("{control:?} by {}", notify.method().unwrap().as_str()));
        let answered = call.provide_answer(dum, &Sdp::parse(&SDP.into()).unwrap());
        if answered.and_then(|()| call.as_server().accept(dum)).is_ok() { 200 } else { 480 }
    }
    fn on_connected(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        self.hear(call, "connected");
    }
    fn on_terminated(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.hear(call, &format!("{why:?}"));
    }
}

pub(super) const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

pub(super) fn addr(text: &str) -> NameAddr<'_> {
    NameAddr::parse(text).unwrap()
}

/// A call with an offer, and its INVITE.
pub(super) fn calling() -> (Bench<App>, ClientTransaction, Message) {
    calling_with(DumOptions::default())
}

pub(super) fn calling_with(options: DumOptions) -> (Bench<App>, ClientTransaction, Message) {
    let mut bench = Bench::with_options(App::default(), options);
    let (call, transaction, invite) = call_bob(&mut bench, Some(&Sdp::parse(&SDP.into()).unwrap()));
    bench.dum.application_mut().calls.push(call);
    (bench, transaction, invite)
}

/// The application makes a call, with this offer or without one: its INVITE.
pub(super) fn call_bob<A: Application>(
    bench: &mut Bench<A>,
    offer: Option<&Sdp>,
) -> (Handle<InviteSession>, ClientTransaction, Message) {
    let call = bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        let invite = dum.make_invite(&profile, &addr("<sip:bob@192.0.2.9>"), offer);
        dum.send_invite(&profile, invite).unwrap().session()
    });
    let (transaction, invite) = bench.request();
    (call, transaction, invite)
}

/// A response of a fork.
pub(super) fn fork(bench: &mut Bench<App>, (transaction, invite): (ClientTransaction, &Message), code: u16, tag: &str) {
    let mut msg = invite.make_response(code, None, Some(tag));
    msg.push_back(h::CONTACTS, &format!("<sip:{tag}@192.0.2.9>"));
    if code == 200 {
        msg.set_body(Some("application/sdp"), SDP);
    }
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
}

/// What was sent, with the user part that it was sent to.
pub(super) fn sent<A>(bench: &mut Bench<A>) -> Vec<String> {
    let shown = |msg: &Message| {
        let user = msg.request_uri().ok().and_then(|uri| uri.sip()?.user.as_deref().map(str::to_owned));
        format!("{} {}", msg.method().unwrap().as_str(), user.unwrap_or_default())
    };
    let all = std::mem::take(&mut bench.sent);
    let text = |command: Command| match command {
        Command::Send { msg, .. } | Command::SendStateless { msg, .. } => shown(&msg),
        Command::Respond { msg, .. } => msg.status().unwrap().to_string(),
        other => format!("{other:?}").chars().take_while(|c| c.is_alphabetic()).collect(),
    };
    all.into_iter().map(text).collect()
}

pub(super) fn heard(bench: &mut Bench<App>) -> Vec<String> {
    std::mem::take(&mut bench.dum.application_mut().heard)
}

#[test]
fn the_first_fork_that_answers_has_the_call_and_others_are_ended() {
    let (mut bench, transaction, invite) = calling();
    let to = (transaction, &invite);
    fork(&mut bench, to, 180, "one");
    fork(&mut bench, to, 183, "two");
    fork(&mut bench, to, 180, "one");
    assert_eq!(heard(&mut bench), ["0 180", "1 fork", "1 183", "0 180"]);
    assert_eq!(
        bench.dum.counts(),
        Counts { dialog_sets: 1, dialogs: 2, sessions: 3, transactions: 1, ..Counts::default() }
    );
    fork(&mut bench, to, 200, "two");
    assert_eq!(
        (heard(&mut bench), sent(&mut bench)),
        (vec!["1 connected".into(), "0 OtherFork".into()], vec!["ACK two".to_owned()])
    );
    // The 2xx again, and that of the fork that lost, and of one that nobody has heard of: each is acknowledged as often
    // as it comes and ended once.
    fork(&mut bench, to, 200, "two");
    assert_eq!(sent(&mut bench), ["ACK two"]);
    for tag in ["one", "three"] {
        fork(&mut bench, to, 200, tag);
        fork(&mut bench, to, 200, tag);
        assert_eq!(sent(&mut bench), [format!("ACK {tag}"), format!("BYE {tag}"), format!("ACK {tag}")]);
    }
    assert_eq!(heard(&mut bench), [""; 0]);
    bench.event(TuEvent::ClientEnded { transaction });
    let call = bench.dum.application().calls[1];
    bench.with(|_, dum| call.end(dum)).unwrap();
    let (bye, msg) = bench.request();
    bench.respond(bye, &msg, 200);
    assert_eq!(heard(&mut bench), ["1 LocalBye"]);
    let counts = bench.dum.counts();
    assert_eq!((counts.dialog_sets, counts.dialogs, counts.sessions), (0, 0, 0));
}

/// So many are kept; one more is a fork all the same.
#[test]
fn a_fork_too_many_that_answers_ends_the_others_as_any_does() {
    let (mut bench, transaction, invite) = calling();
    for number in 0..MAX_FORKS {
        fork(&mut bench, (transaction, &invite), 180, &format!("f{number}"));
    }
    heard(&mut bench);
    fork(&mut bench, (transaction, &invite), 200, "late");
    assert_eq!(sent(&mut bench), ["ACK late", "BYE late"]);
    let ends: Vec<_> = (0..MAX_FORKS).map(|number| format!("{number} OtherFork")).collect();
    assert_eq!(heard(&mut bench), ends);
}

#[test]
fn one_early_dialog_of_several_is_ended_by_bye_and_the_last_by_cancel() {
    let (mut bench, transaction, invite) = calling();
    let to = (transaction, &invite);
    fork(&mut bench, to, 180, "one");
    fork(&mut bench, to, 180, "two");
    let [one, two] = bench.dum.application().calls[..] else { panic!("two calls") };
    bench.with(|_, dum| two.end(dum)).unwrap();
    let (bye, msg) = bench.request();
    assert_eq!(msg.request_uri_text(), b"sip:two@192.0.2.9");
    bench.respond(bye, &msg, 200);
    bench.with(|_, dum| one.end(dum)).unwrap();
    assert_eq!(sent(&mut bench), ["Cancel"]);
    // What comes from further forks now is not told; their 2xx are ended.
    fork(&mut bench, to, 180, "three");
    fork(&mut bench, to, 200, "three");
    assert_eq!(sent(&mut bench), ["ACK three", "BYE three"]);
    assert_eq!(heard(&mut bench), ["0 180", "1 fork", "1 180", "1 LocalBye", "0 LocalCancel"]);
    bench.event(TuEvent::ClientEnded { transaction });
    assert_eq!(bench.dum.counts().sessions, 0);
}

#[test]
fn a_422_is_asked_again_with_what_it_wants() {
    let mut bench = Bench::new(App::default());
    let handle = bench.with(|_, dum| {
        let mut master = (**dum.master_profile()).clone();
        master.add_option_tag("timer");
        dum.set_master_profile(master);
        let profile = dum.master_profile().user().clone();
        let invite = dum.make_invite(&profile, &addr("<sip:bob@192.0.2.9>"), None);
        dum.send_invite(&profile, invite).unwrap()
    });
    let (transaction, invite) = bench.request();
    assert_eq!(invite.header(h::SESSION_EXPIRES).unwrap().seconds, 1800);
    let mut small = invite.make_response(422, None, Some("proxy"));
    small.set(h::MIN_SE, &3600);
    bench.event(TuEvent::Response { transaction, msg: small.into() });
    let (second, again) = bench.request();
    let (expires, least) =
        (again.header(h::SESSION_EXPIRES).unwrap().seconds, again.header(h::MIN_SE).unwrap().seconds);
    assert_eq!((expires, least, again.header(h::CSEQ).unwrap().number), (3600, 3600, 2));
    assert_eq!(again.header(h::CALL_ID).unwrap(), invite.header(h::CALL_ID).unwrap());
    // The call is the same one; a second 422 is a refusal.
    fork(&mut bench, (second, &again), 180, "one");
    assert!(bench.with(|_, dum| handle.is_alive(dum)));
    fork(&mut bench, (second, &again), 422, "one");
    assert_eq!(heard(&mut bench), ["0 180", "0 Refused"]);
    assert_eq!(bench.dum.counts(), Counts::default());
}

#[test]
fn a_failure_ends_all_forks() {
    let (mut bench, transaction, invite) = calling();
    for tag in ["one", "two"] {
        fork(&mut bench, (transaction, &invite), 180, tag);
    }
    fork(&mut bench, (transaction, &invite), 486, "one");
    assert_eq!(heard(&mut bench)[3..], ["0 Refused", "1 Refused"]);
    assert_eq!(bench.dum.counts(), Counts::default());
    // Nobody is left to hear of what comes late.
    fork(&mut bench, (transaction, &invite), 200, "one");
    assert_eq!((sent(&mut bench), bench.dum.counts()), (Vec::new(), Counts::default()));
}

#[test]
fn answers_that_break_the_rules_end_the_call() {
    type Edit = fn(&mut Message);
    let cases: [(Edit, &[&str], &str); 5] = [
        (|msg| msg.remove(h::CONTACTS), &["ACK bob", "BYE bob"], "0 Malformed"),
        (|msg| msg.set_body(Some("application/sdp"), "v=nonsense"), &["ACK x", "BYE x"], "0 IllegalNegotiation"),
        (|msg| msg.set_body(None, ""), &["ACK x", "BYE x"], "0 IllegalNegotiation"),
        (|msg| msg.set_body(Some("text/plain"), "hello"), &["ACK x", "BYE x"], "0 IllegalNegotiation"),
        // Of RFC 2543, without a tag: that is a dialog.
        (|msg| msg.set(h::TO, "<sip:bob@192.0.2.9>"), &["ACK x"], "0 connected"),
    ];
    for (edit, expected, told) in cases {
        let (mut bench, transaction, invite) = calling();
        let mut msg = invite.make_response(200, None, Some("x"));
        msg.push_back(h::CONTACTS, "<sip:x@192.0.2.9>");
        msg.set_body(Some("application/sdp"), SDP);
        edit(&mut msg);
        for _ in 0..2 {
            bench.event(TuEvent::Response { transaction, msg: msg.clone().into() });
        }
        // The second one finds what the first has left.
        let first: Vec<_> = sent(&mut bench).into_iter().take(expected.len()).collect();
        assert_eq!(
            (heard(&mut bench), first),
            (vec![told.to_owned()], expected.iter().map(ToString::to_string).collect())
        );
        bench.event(TuEvent::ClientEnded { transaction });
        assert!(bench.dum.counts().sessions <= 1, "the BYE is not answered yet");
    }
}

/// An INVITE that comes, with changes.
pub(super) fn asked(edit: impl FnOnce(&mut Message)) -> Message {
    let mut msg = stack::helper::make_invite(
        &addr("<sip:bob@192.0.2.1>"),
        &addr("<sip:alice@192.0.2.9>"),
        &addr("<sip:alice@192.0.2.9>"),
        &mut rutil::Rng::from_seed(9),
    );
    msg.set_body(Some("application/sdp"), SDP);
    edit(&mut msg);
    msg
}

#[test]
fn an_invite_that_cannot_be_read_is_refused_and_leaves_nothing() {
    let mut bench = Bench::new(App::default());
    type Edit = (fn(&mut Message), u16);
    let edits: [Edit; 7] = [
        (|msg| msg.set_body(Some("application/sdp"), "nonsense"), 400),
        (|msg| msg.set_body(Some("text/plain"), "hello"), 415),
        (|msg| msg.remove(h::CONTACTS), 400),
        (|msg| (0..65).for_each(|n| msg.push_back(h::RECORD_ROUTES, &format!("<sip:p{n}@192.0.2.8;lr>"))), 400),
        (|msg| msg.append_line("Record-Route", "<<"), 400),
        (|msg| msg.push_back(h::REQUIRES, "magic"), 420),
        (|msg| msg.set(h::TO, "<sip:bob@192.0.2.1>;tag=unknown"), 481),
    ];
    for (at, (edit, status)) in edits.into_iter().enumerate() {
        bench.ask(at as u32, asked(edit));
        assert_eq!(bench.response().1.status(), Some(status), "{at}");
    }
    assert_eq!((heard(&mut bench), bench.dum.counts()), (Vec::new(), Counts::default()));
}

/// A request in the dialog of [`asked`], where our tag is this one.
pub(super) fn within(method: &Method<'_>, number: u32, tag: &str) -> Message {
    let invite = asked(|_| {});
    let (bob, anybody) = (addr("<sip:bob@192.0.2.1>"), addr("<sip:x>"));
    let mut msg = stack::helper::make_initial(method, &bob, &anybody, &mut rutil::Rng::from_seed(9));
    msg.set(h::FROM, &invite.header(h::FROM).unwrap());
    msg.set(h::CALL_ID, invite.header(h::CALL_ID).unwrap().as_str());
    msg.set(h::TO, &format!("<sip:bob@192.0.2.1>;tag={tag}"));
    msg.set(h::CSEQ, &format!("{number} {}", method.as_str()));
    msg
}

#[test]
fn requests_out_of_order_or_in_no_dialog_are_refused() {
    let mut bench = Bench::new(App::default());
    bench.ask(1, asked(|_| {}));
    let call = bench.dum.application().calls[0].as_server();
    bench
        .with(|_, dum| call.provide_answer(dum, &Sdp::parse(&SDP.into()).unwrap()).and_then(|()| call.accept(dum)))
        .unwrap();
    let (_, ok) = bench.response();
    let tag = ok.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    // An ACK with another number is not the one that is waited for.
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 7, &tag).into() });
    assert_eq!(heard(&mut bench), ["0 new", "0 connected"]);
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    bench.ask(2, within(&Method::Bye, 5, "elsewhere"));
    assert_eq!(bench.response().1.status(), Some(481));
    bench.ask(3, within(&Method::Update, 5, &tag));
    assert_eq!(bench.response().1.status(), Some(200));
    bench.ask(4, within(&Method::Bye, 4, &tag));
    let (_, refused) = bench.response();
    assert_eq!((refused.status(), refused.header(h::RETRY_AFTER).is_ok()), (Some(500), true));
    // Twice or late, an ACK changes nothing.
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    bench.ask(5, within(&Method::Bye, 6, &tag));
    let (to, msg) = bench.response();
    assert_eq!((to, msg.status()), (Harness::server(5), Some(200)));
    assert_eq!(heard(&mut bench), ["0 UPDATE of alice", "0 RemoteBye"]);
    let counts = bench.dum.counts();
    assert_eq!((counts.dialog_sets, counts.dialogs, counts.sessions), (0, 0, 0));
}

#[test]
fn a_click_answers_the_call_that_rings() {
    let mut options = DumOptions::default();
    options.master.add_remote_control();
    let mut bench = Bench::with_options(App::default(), options);
    bench.ask(1, asked(|_| {}));
    let call = bench.dum.application().calls[0].as_server();
    bench.with(|_, dum| call.provisional(dum, 180)).unwrap();
    let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    let click = |event: &str, number: u32| {
        let mut msg = within(&Method::Notify, number, &tag);
        msg.set(h::EVENT, event);
        msg
    };
    bench.ask(2, click("weather", 2));
    assert_eq!(bench.response().1.status(), Some(481), "there is no such subscription");
    bench.ask(3, click("talk", 3));
    assert_eq!(heard(&mut bench), ["0 new", "0 Talk by NOTIFY", "0 connected"]);
    let answers = [bench.response(), bench.response()].map(|(to, msg)| (to, msg.status()));
    assert_eq!(answers, [(Harness::server(1), Some(200)), (Harness::server(3), Some(200))]);
    // We can click too; the peer's answer is told like those to INFO.
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    bench.with(|_, dum| call.session().remote_control(dum, RemoteControl::Hold)).unwrap();
    let (_, msg) = bench.request();
    assert_eq!((msg.method(), &*msg.header(h::EVENT).unwrap().value), (Some(Method::Notify), "hold"));
    // Who does not understand it says so.
    bench.with(|_, dum| {
        let mut master = crate::MasterProfile::default();
        master.add_method(Method::Notify).add_event("refer");
        dum.set_master_profile(master);
    });
    bench.ask(4, click("hold", 4));
    let (_, refused) = bench.response();
    assert_eq!((refused.status(), refused.raw_values("Allow-Events").next()), (Some(489), Some(&b"refer"[..])));
}

#[test]
fn a_call_and_a_subscription_in_its_dialog_end_independently() {
    let established = || {
        let mut options = DumOptions::default();
        options.master.add_transfer().add_package(EventPackage::new("kpml"));
        let mut bench = Bench::with_options(App::default(), options);
        bench.ask(1, asked(|_| {}));
        let call = bench.dum.application().calls[0].as_server();
        let answer = Sdp::parse(&SDP.into()).unwrap();
        bench.with(|_, dum| call.provide_answer(dum, &answer).and_then(|()| call.accept(dum))).unwrap();
        let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
        bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
        bench.ask(2, subscribe(&tag, 2, 600));
        assert_eq!(bench.response().1.status(), Some(200));
        let (transaction, first) = bench.request();
        bench.respond(transaction, &first, 200);
        assert_eq!((bench.dum.counts().dialogs, bench.dum.counts().subscriptions), (1, 1));
        heard(&mut bench);
        (bench, tag)
    };
    fn subscribe(tag: &str, number: u32, expires: u32) -> Message {
        let mut msg = within(&Method::Subscribe, number, tag);
        msg.set(h::EVENT, "kpml");
        msg.set(h::EXPIRES, &expires);
        msg.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
        msg
    }
    // The call ends; the subscription is still told.
    let (mut bench, tag) = established();
    bench.ask(3, within(&Method::Bye, 3, &tag));
    assert_eq!(bench.response().1.status(), Some(200));
    assert_eq!(heard(&mut bench), ["0 RemoteBye"]);
    for (number, method) in [(4, Method::Invite), (5, Method::Refer)] {
        let mut late = within(&method, number, &tag);
        late.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
        late.set(h::REFER_TO, "<sip:carol@192.0.2.8>");
        bench.ask(number, late);
        assert_eq!((bench.response().1.status(), heard(&mut bench).len()), (Some(481), 0), "{number}");
    }
    let sub = bench.dum.application().subscription.unwrap();
    bench.with(|_, dum| sub.notify(dum, SubscriptionState::Active, None)).unwrap();
    let (transaction, notify) = bench.request();
    assert_eq!(
        notify.header(h::TO).unwrap().param(p::TAG),
        within(&Method::Bye, 1, "").header(h::FROM).unwrap().param(p::TAG)
    );
    bench.respond(transaction, &notify, 481);
    assert_eq!(heard(&mut bench), ["NotifyFailed(481)"]);
    assert_eq!((bench.dum.counts().dialogs, bench.dum.counts().dialog_sets), (0, 0));
    // The subscription ends; the call goes on.
    let (mut bench, tag) = established();
    bench.ask(3, subscribe(&tag, 3, 0));
    assert_eq!(bench.response().1.status(), Some(200));
    assert_eq!(bench.request().1.method(), Some(Method::Notify));
    assert_eq!((heard(&mut bench), bench.dum.counts().dialogs), (vec!["ByClient".to_owned()], 1));
    bench.ask(4, within(&Method::Update, 4, &tag));
    assert_eq!(bench.response().1.status(), Some(200));
}
