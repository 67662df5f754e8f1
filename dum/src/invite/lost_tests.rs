//! Answers that end more than their transaction (RFC 5057 §5.1), in a dialog with usages of all kinds.

use super::ears::sdp;
use super::tests::{asked, within};
use super::*;
use crate::refer::{ClientRefer, ReferHandler};
use crate::subscription::{
    ServerSubscription, ServerSubscriptionEnd, ServerSubscriptionHandler, SubscriptionState as Active,
};
use crate::testing::Bench;
use crate::{Application, Counts, DumOptions, EventPackage, Handle};
use stack::header::{HeaderValue, NameAddr, h, p};
use stack::tu::{ClientTransaction, TuEvent};
use std::time::Duration;

#[derive(Default)]
struct App {
    heard: Vec<String>,
    call: Option<Handle<InviteSession>>,
    served: Vec<Handle<ServerSubscription>>,
    asked: Vec<Handle<ServerRefer>>,
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

impl InviteSessionHandler for App {
    fn on_new_session(&mut self, _: &mut Dum<'_>, call: Handle<ServerInviteSession>, _: &Message) {
        self.call = Some(call.session());
    }
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Sdp, _: &Message) {
        call.provide_answer(dum, &sdp(2000)).unwrap();
    }
    fn on_offer_rejected(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, outcome: &Outcome) {
        self.heard.push(format!("offer {}", outcome.status));
    }
    fn on_request_answered(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, method: &Method<'_>, how: &Outcome) {
        self.heard.push(format!("{} {}", method.as_str(), how.status));
    }
    fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, msg: Option<&Message>) {
        self.heard.push(format!("call {why:?} {:?}", msg.and_then(Message::status)));
    }
}

impl ReferHandler for App {
    fn on_refer(&mut self, _: &mut Dum<'_>, refer: Handle<ServerRefer>, _: Option<Handle<InviteSession>>, _: &Message) {
        self.asked.push(refer);
    }
    fn on_refer_rejected(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, outcome: &Outcome) {
        self.heard.push(format!("refer rejected {}", outcome.status));
    }
    fn on_refer_ended(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, status: Option<u16>, _: Option<&Message>) {
        self.heard.push(format!("refer ended {status:?}"));
    }
}

impl ServerSubscriptionHandler for App {
    fn on_new_subscription(&mut self, _: &mut Dum<'_>, sub: Handle<ServerSubscription>, _: &Message) {
        self.served.push(sub);
    }
    fn on_terminated(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ServerSubscription>,
        end: ServerSubscriptionEnd,
        _: Option<&Message>,
    ) {
        self.heard.push(format!("subscriber {end:?}"));
    }
}

fn heard(bench: &mut Bench<App>) -> Vec<String> {
    std::mem::take(&mut bench.dum.application_mut().heard)
}

fn status(bench: &mut Bench<App>) -> u16 {
    bench.response().1.status().unwrap()
}

/// The next request of ours: its method is this, and it is answered so.
fn answer(bench: &mut Bench<App>, method: &Method<'_>, code: u16) {
    let (transaction, msg) = bench.request();
    assert_eq!(msg.method().as_ref(), Some(method));
    bench.respond(transaction, &msg, code);
}

/// A call that came and is confirmed; who called watches us in its dialog, and has two transfers with us: one of ours and
/// one of its own, which is followed. The last number of the caller's.
fn all_in_one() -> (Bench<App>, String) {
    let mut options = DumOptions::default();
    options.master.add_transfer().add_package(EventPackage::new("presence"));
    let mut bench = Bench::with_options(App::default(), options);
    bench.ask(1, asked(|_| {}));
    let call = bench.dum.application().call.unwrap();
    bench.with(|_, dum| call.as_server().accept(dum)).unwrap();
    let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    let mut subscribe = within(&Method::Subscribe, 2, &tag);
    subscribe.set(h::EVENT, "presence");
    bench.ask(2, subscribe);
    let served = bench.dum.application().served[0];
    bench.with(|_, dum| served.accept(dum, Active::Active, None)).unwrap();
    assert_eq!(status(&mut bench), 200);
    answer(&mut bench, &Method::Notify, 200);
    let mut refer = within(&Method::Refer, 3, &tag);
    refer.set(h::REFER_TO, "<sip:carol@c>");
    bench.ask(3, refer);
    let asked = bench.dum.application().asked[0];
    bench.with(|_, dum| asked.accept(dum)).unwrap();
    assert_eq!(status(&mut bench), 202);
    answer(&mut bench, &Method::Notify, 200);
    bench.with(|_, dum| call.refer(dum, &NameAddr::parse("<sip:dave@d>").unwrap(), true)).unwrap();
    answer(&mut bench, &Method::Refer, 202);
    heard(&mut bench);
    (bench, tag)
}

type Ask = fn(&mut Bench<App>);

/// How a request of each kind is sent, by which usage.
const REQUESTS: [(Method<'static>, Ask); 6] = [
    (Method::Invite, |bench| {
        let call = bench.dum.application().call.unwrap();
        bench.with(|_, dum| call.provide_offer(dum, &sdp(2002))).unwrap();
    }),
    (Method::Update, |bench| {
        let call = bench.dum.application().call.unwrap();
        bench.with(|_, dum| call.update(dum, &sdp(2002))).unwrap();
    }),
    (Method::Info, |bench| {
        let call = bench.dum.application().call.unwrap();
        bench.with(|_, dum| call.info(dum, "text/plain", "?")).unwrap();
    }),
    (Method::Notify, |bench| {
        let served = bench.dum.application().served[0];
        bench.with(|_, dum| served.notify(dum, Active::Active, None)).unwrap();
    }),
    (Method::Refer, |bench| {
        let call = bench.dum.application().call.unwrap();
        bench.with(|_, dum| call.refer(dum, &NameAddr::parse("<sip:erin@e>").unwrap(), true)).unwrap();
    }),
    (Method::Subscribe, |bench| {
        let call = bench.dum.application().call.unwrap();
        bench.with(|_, dum| {
            let dialog = dialog_of(dum, call).unwrap();
            let refer = dialog.client_refers(dum).next().unwrap();
            refer.refresh(dum).unwrap();
        });
    }),
];

#[test]
fn an_answer_that_ends_the_dialog_ends_all_that_is_in_it() {
    for code in [404, 410, 416, 482, 483, 484, 485, 502, 604] {
        for (method, ask) in &REQUESTS {
            let of_refer = *method == Method::Refer;
            if of_refer && !matches!(code, 482 | 483 | 502) {
                continue;
            }
            let (mut bench, _) = all_in_one();
            ask(&mut bench);
            answer(&mut bench, method, code);
            let told = heard(&mut bench);
            for end in [format!("call Gone Some({code})"), format!("subscriber NotifyFailed({code})")] {
                assert_eq!(told.iter().filter(|told| **told == end).count(), 1, "{code} {method:?}: {told:?}");
            }
            assert_eq!(told.iter().filter(|told| *told == "refer ended None").count(), 1, "{method:?}: {told:?}");
            assert_eq!(told.contains(&format!("refer rejected {code}")), of_refer, "{told:?}");
            // The peer may have its half of the call still: it is told, once.
            answer(&mut bench, &Method::Bye, 481);
            bench.nothing_sent();
            bench.run(Duration::from_secs(3600));
            // The stack would have said by now that the transaction of the INVITE is over.
            let left = Counts { transactions: 1, ..Counts::default() };
            assert_eq!(bench.dum.counts(), left, "{code} {method:?}");
        }
    }
}

#[test]
fn an_answer_that_ends_a_usage_leaves_the_others() {
    for (method, ask) in &REQUESTS {
        let end = match method {
            Method::Invite => "call Refused",
            Method::Notify => "subscriber NotifyFailed",
            Method::Subscribe => "refer ended",
            _ => continue,
        };
        for code in [405, 480, 501] {
            let (mut bench, tag) = all_in_one();
            let before = bench.dum.counts();
            ask(&mut bench);
            answer(&mut bench, method, code);
            let told = heard(&mut bench);
            assert_eq!(told.len(), 1, "{code} {method:?}: {told:?}");
            assert!(told[0].starts_with(end), "{code} {method:?}: {told:?}");
            if *method == Method::Invite {
                answer(&mut bench, &Method::Bye, 200);
                assert_eq!(bench.dum.counts().sessions, 0);
            }
            let left = bench.dum.counts();
            let usages = |of: Counts| of.sessions + of.subscriptions + of.refers;
            assert_eq!((left.dialogs, usages(left)), (1, usages(before) - 1), "{code} {method:?}");
            // It is the dialog that it was.
            bench.ask(9, within(&Method::Bye, 9, &tag));
            assert_eq!(status(&mut bench), if *method == Method::Invite { 481 } else { 200 });
        }
    }
}

#[test]
fn an_answer_that_is_about_the_request_ends_nothing() {
    for (method, ask) in &REQUESTS {
        let mut codes = vec![400, 403, 406, 413, 415, 420, 486, 487, 488, 493, 500, 503, 600, 603, 606];
        match method {
            // RFC 6665 §4.2.2: a NOTIFY that fails ends its subscription, RFC 3515 §2.4.4: 403 too.
            Method::Notify => continue,
            Method::Subscribe => codes.retain(|code| *code != 403),
            Method::Refer => codes.extend([404, 405, 410, 416, 480, 484, 485, 501, 604]),
            Method::Update | Method::Info => codes.extend([405, 489, 501]),
            _ => codes.push(489),
        }
        for code in codes {
            let (mut bench, tag) = all_in_one();
            let before = bench.dum.counts();
            ask(&mut bench);
            answer(&mut bench, method, code);
            let told = heard(&mut bench);
            assert!(!told.iter().any(|told| told.contains("ended") || told.contains("call")), "{code} {told:?}");
            assert_eq!(bench.dum.counts(), before, "{code} {method:?}");
            bench.ask(9, within(&Method::Bye, 9, &tag));
            assert_eq!(status(&mut bench), 200, "{code} {method:?}");
        }
    }
}

/// The peer cannot be told what to do with its call: that is no reason to end it.
#[test]
fn a_notify_in_the_call_that_is_no_subscriptions_ends_nothing() {
    for code in [405, 480, 489, 501] {
        let (mut bench, _) = all_in_one();
        let call = bench.dum.application().call.unwrap();
        bench.with(|_, dum| call.remote_control(dum, RemoteControl::Talk)).unwrap();
        answer(&mut bench, &Method::Notify, code);
        assert_eq!(heard(&mut bench), [format!("NOTIFY {code}")]);
        assert!(bench.with(|_, dum| call.is_connected(dum)));
    }
}

/// RFC 3261 §15: our 200 is not acknowledged, and no BYE goes before the ACK.
#[test]
fn a_call_whose_ack_is_on_its_way_ends_behind_it() {
    let mut bench = Bench::new(App::default());
    bench.ask(1, asked(|_| {}));
    let call = bench.dum.application().call.unwrap();
    bench.with(|_, dum| call.as_server().accept(dum)).unwrap();
    let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    bench.with(|_, dum| call.info(dum, "text/plain", "?")).unwrap();
    answer(&mut bench, &Method::Info, 404);
    bench.nothing_sent();
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    assert_eq!(heard(&mut bench), ["INFO 404", "call Gone None"]);
    answer(&mut bench, &Method::Bye, 200);
    assert_eq!(bench.dum.counts().sessions, 0);
}

/// What the callee answers to a request in the only early dialog says nothing of the INVITE, which has its own answer.
#[test]
fn the_invite_that_waits_is_ended_by_its_own_answer() {
    let mut bench = Bench::new(App::default());
    let call = bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        let invite = dum.make_invite(&profile, &NameAddr::parse("<sip:bob@b>").unwrap(), Some(&sdp(1000)));
        dum.send_invite(&profile, invite).unwrap().session()
    });
    let to = bench.request();
    let early = |bench: &mut Bench<App>, (transaction, invite): &(ClientTransaction, Message), tag| {
        let mut msg = invite.make_response(180, None, Some(tag));
        msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
        bench.event(TuEvent::Response { transaction: *transaction, msg: msg.into() });
    };
    early(&mut bench, &to, "one");
    bench.with(|_, dum| call.info(dum, "text/plain", "?")).unwrap();
    answer(&mut bench, &Method::Info, 404);
    assert_eq!(heard(&mut bench), ["INFO 404"]);
    // One of two is ended alone.
    early(&mut bench, &to, "two");
    bench.with(|_, dum| call.info(dum, "text/plain", "?")).unwrap();
    answer(&mut bench, &Method::Info, 404);
    assert_eq!(heard(&mut bench), ["call Gone Some(404)"]);
    answer(&mut bench, &Method::Bye, 200);
    bench.nothing_sent();
    bench.respond(to.0, &to.1, 486);
    assert_eq!(heard(&mut bench), ["call Refused Some(486)"]);
}
