//! REFER out of a call, to what a test plays.

use super::*;
use crate::auth::tests::{addr, profile};
use crate::testing::Bench;
use crate::{Counts, DumOptions, Limits, NotSent};
use stack::auth::{Algorithm, Challenge};
use stack::contents::sipfrag::SipFrag;
use stack::header::{Method, h};
use stack::tu::{ClientTransaction, TuEvent};

/// Writes down what it hears, and keeps what it is asked.
#[derive(Default)]
pub(super) struct App {
    heard: Vec<String>,
    pub(super) asked: Vec<Handle<ServerRefer>>,
}

impl Application for App {
    fn refers(&mut self) -> Option<&mut dyn ReferHandler> {
        Some(self)
    }
}

impl ReferHandler for App {
    fn on_refer(&mut self, _: &mut Dum<'_>, refer: Handle<ServerRefer>, _: Option<Handle<InviteSession>>, _: &Message) {
        self.asked.push(refer);
    }
    fn on_refer_accepted(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, _: &Message) {
        self.heard.push("accepted".into());
    }
    fn on_refer_rejected(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, outcome: &Outcome) {
        self.heard.push(format!("rejected {}", outcome.status));
    }
    fn on_refer_progress(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, status: u16, notify: &Message) {
        assert_eq!(SipFrag::parse(&notify.body_bytes()).unwrap().status_line().unwrap().code, status);
        self.heard.push(format!("{status}"));
    }
    fn on_refer_ended(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, status: Option<u16>, msg: Option<&Message>) {
        let by = msg.map(|msg| msg.status().map_or("a request".to_owned(), |status| status.to_string()));
        self.heard.push(format!("ended {status:?} by {}", by.as_deref().unwrap_or("nothing")));
    }
}

pub(super) fn bench() -> Bench<App> {
    with_room(1)
}

/// One that has so many dialogs and transfers at most.
pub(super) fn with_room(dialog_sets: usize) -> Bench<App> {
    let limits = Limits { dialog_sets, ..Limits::default() };
    let mut options = DumOptions { limits, ..DumOptions::default() };
    options.master.add_transfer();
    Bench::with_options(App::default(), options)
}

pub(super) fn refer(
    bench: &mut Bench<App>,
    edit: impl FnOnce(&mut Message),
) -> Result<(ClientTransaction, Message), NotSent> {
    let sent = bench.with(|_, dum| {
        let mut msg = dum.make_refer(&profile(), &addr("<sip:bob@b>"), &addr("<sip:carol@c>"));
        edit(&mut msg);
        dum.send_refer(&profile(), msg)
    });
    sent.map(|_| bench.request())
}

/// The status by which a NOTIFY for a REFER is answered.
pub(super) fn notify(
    bench: &mut Bench<App>,
    refer: &Message,
    (tag, cseq): (&str, u32),
    event: &str,
    state: &str,
) -> u16 {
    let mut msg = Message::request(&Method::Notify, "sip:alice@192.0.2.1");
    msg.set(h::FROM, &addr(&format!("<sip:bob@b>;tag={tag}")));
    msg.set(h::TO, &refer.header(h::FROM).unwrap());
    msg.set(h::CALL_ID, refer.header(h::CALL_ID).unwrap().as_str());
    msg.set(h::CSEQ, &format_args!("{cseq} NOTIFY"));
    msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    msg.set(h::EVENT, event);
    msg.set(h::SUBSCRIPTION_STATE, state);
    let status = if state.starts_with("active") { "100 Trying" } else { "200 OK" };
    msg.set_body(Some(BODY), format!("SIP/2.0 {status}\r\n"));
    bench.ask(cseq, Message::parse(msg.to_bytes()).unwrap());
    bench.response().1.status().unwrap()
}

pub(super) fn heard(bench: &mut Bench<App>) -> Vec<String> {
    std::mem::take(&mut bench.dum.application_mut().heard)
}

#[test]
fn its_first_notify_makes_its_dialog() {
    let mut bench = bench();
    let (transaction, msg) = refer(&mut bench, |_| {}).unwrap();
    assert_eq!(msg.header(h::REFER_TO).unwrap().to_string(), "<sip:carol@c>");
    assert_eq!(msg.header(h::REFERRED_BY).unwrap().to_string(), "<sip:alice@example.com>");
    assert_eq!(refer(&mut bench, |_| {}).map(drop), Err(NotSent::NoRoom(crate::NoRoom)));
    // Before the answer, and from another fork too, which nobody listens to.
    assert_eq!(notify(&mut bench, &msg, ("one", 1), "presence", "active"), 481);
    assert_eq!(notify(&mut bench, &msg, ("one", 1), "refer", "active"), 200);
    assert_eq!(notify(&mut bench, &msg, ("two", 1), "refer", "active"), 481);
    bench.respond(transaction, &msg, 202);
    assert_eq!(notify(&mut bench, &msg, ("one", 2), "refer;id=1", "terminated;reason=noresource"), 200);
    assert_eq!(heard(&mut bench), ["100", "accepted", "200", "ended Some(200) by a request"]);
    assert_eq!(bench.dum.counts(), Counts::default());
    assert_eq!(notify(&mut bench, &msg, ("one", 3), "refer", "active"), 481);
}

#[test]
fn it_is_refused_challenged_quiet_or_never_told() {
    let mut bench = bench();
    let (transaction, msg) = refer(&mut bench, |_| {}).unwrap();
    bench.respond(transaction, &msg, 403);
    assert_eq!(heard(&mut bench), ["rejected 403"]);
    // The answer to a challenge has another number, which its events have too.
    let (transaction, msg) = refer(&mut bench, |_| {}).unwrap();
    let mut challenge = msg.make_response(401, None, Some("peer"));
    challenge.push_back(h::WWW_AUTHENTICATES, &Challenge::new("example.com", "n1", Algorithm::MD5).to_auth());
    bench.event(TuEvent::Response { transaction, msg: challenge.into() });
    let (transaction, msg) = bench.request();
    assert!(msg.exists(h::AUTHORIZATIONS));
    bench.respond(transaction, &msg, 202);
    assert_eq!(notify(&mut bench, &msg, ("peer", 1), "refer;id=1", "active"), 481);
    assert_eq!(notify(&mut bench, &msg, ("peer", 1), "refer;id=2", "terminated"), 200);
    assert_eq!(heard(&mut bench), ["accepted", "200", "ended Some(200) by a request"]);
    // RFC 4488.
    let (transaction, msg) = refer(&mut bench, |msg| msg.set(h::REFER_SUB, "false")).unwrap();
    bench.respond(transaction, &msg, 202);
    assert_eq!((heard(&mut bench), bench.dum.counts()), (vec!["accepted".to_owned()], Counts::default()));
    // Timer N.
    let (transaction, msg) = refer(&mut bench, |_| {}).unwrap();
    bench.respond(transaction, &msg, 202);
    bench.run(Duration::from_secs(33));
    assert_eq!(
        (heard(&mut bench), bench.dum.counts()),
        (vec!["accepted".into(), "ended None by nothing".into()], Counts::default())
    );
}

/// What is no REFER of its own is not sent, and leaves nothing: the NOTIFYs of one that was sent before stay its own.
#[test]
fn only_a_refer_that_was_not_sent_before_is_sent() {
    let mut bench = with_room(2);
    let (transaction, sent) = refer(&mut bench, |_| {}).unwrap();
    let counts = bench.dum.counts();
    let mut elsewhere = sent.clone();
    elsewhere.remove(h::REFER_TO);
    let mut untagged = sent.clone();
    untagged.set(h::FROM, "<sip:alice@example.com>");
    for (msg, said) in [
        (elsewhere, "a REFER with Refer-To is expected"),
        (untagged, "a REFER with Refer-To is expected"),
        (sent.clone(), "this REFER was sent before"),
    ] {
        let refused = bench.with(|_, dum| dum.send_refer(&profile(), msg)).unwrap_err();
        assert!(refused.to_string().starts_with(said), "{refused}");
        bench.nothing_sent();
    }
    assert_eq!(bench.dum.counts(), counts);
    bench.respond(transaction, &sent, 202);
    assert_eq!(notify(&mut bench, &sent, ("one", 1), "refer", "terminated;reason=noresource"), 200);
    assert_eq!(heard(&mut bench), ["accepted", "200", "ended Some(200) by a request"]);
    assert_eq!(bench.dum.counts(), Counts::default());
}
