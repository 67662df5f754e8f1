//! Calls, subscriptions and transfers by their dialogs, and what is kept with these.

use super::*;
use crate::auth::tests::{addr, profile};
use crate::invite::{InviteSessionHandler, Session};
use crate::refer::ReferHandler;
use crate::subscription::{ClientSubscriptionHandler, ServerSubscriptionHandler, SubscriptionState, TerminateReason};
use crate::testing::Bench;
use crate::{Application, Counts, DumOptions, EventPackage};
use stack::contents::sdp::Sdp;
use stack::header::{Method, h, p};
use stack::message::Message;
use stack::tu::{ClientTransaction, TuEvent};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Keeps the handles that it gets.
#[derive(Default)]
struct App {
    watched: Vec<Handle<ServerSubscription>>,
    watches: Vec<Handle<ClientSubscription>>,
    asked: Vec<Handle<ServerRefer>>,
    /// The calls that this was about.
    about: Vec<Option<Handle<InviteSession>>>,
}

impl Application for App {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
    fn refers(&mut self) -> Option<&mut dyn ReferHandler> {
        Some(self)
    }
    fn client_subscriptions(&mut self, _: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        Some(self)
    }
    fn server_subscriptions(&mut self, _: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        Some(self)
    }
}

impl InviteSessionHandler for App {}

impl ReferHandler for App {
    fn on_refer(
        &mut self,
        _: &mut Dum<'_>,
        refer: Handle<ServerRefer>,
        call: Option<Handle<InviteSession>>,
        _: &Message,
    ) {
        self.asked.push(refer);
        self.about.push(call);
    }
}

impl ClientSubscriptionHandler for App {
    fn on_new_subscription(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        sub: Handle<ClientSubscription>,
        _: &Message,
    ) {
        self.watches.push(sub);
    }
}

impl ServerSubscriptionHandler for App {
    fn on_new_subscription(&mut self, dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, _: &Message) {
        sub.accept(dum, SubscriptionState::Active, None).unwrap();
        self.watched.push(sub);
    }
}

fn bench() -> Bench<App> {
    let mut options = DumOptions::default();
    options.master.add_transfer().add_package(EventPackage::new("dialog"));
    Bench::with_options(App::default(), options)
}

/// A call of ours, and its INVITE.
fn calling(bench: &mut Bench<App>) -> (Handle<ClientInviteSession>, (ClientTransaction, Message)) {
    let call = bench.with(|_, dum| {
        let offer = Sdp::parse(&SDP.into()).unwrap();
        let invite = dum.make_invite(&profile(), &addr("<sip:bob@b>"), Some(&offer));
        dum.send_invite(&profile(), invite).unwrap()
    });
    (call, bench.request())
}

/// A fork answers: the name of its dialog.
fn answers(
    bench: &mut Bench<App>,
    (transaction, invite): &(ClientTransaction, Message),
    tag: &str,
    code: u16,
) -> DialogId {
    let mut msg = invite.make_response(code, None, Some(tag));
    msg.push_back(h::CONTACTS, &format_args!("<sip:{tag}@192.0.2.9>"));
    if code == 200 {
        msg.set_body(Some("application/sdp"), SDP);
    }
    let id = DialogId::of_response(&msg).unwrap();
    bench.event(TuEvent::Response { transaction: *transaction, msg: msg.into() });
    id
}

#[test]
fn a_call_is_found_by_its_dialog_and_by_what_names_it_to_its_peer() {
    let mut bench = bench();
    let (call, invite) = calling(&mut bench);
    let call = call.session();
    // Before anybody answers there is a set alone.
    let set = bench.with(|_, dum| {
        assert_eq!((call.dialog(dum), call.app_dialog(dum).is_some()), (None, false));
        call.dialog_set(dum).unwrap()
    });
    let one = answers(&mut bench, &invite, "one", 180);
    let two = answers(&mut bench, &invite, "two", 180);
    assert_eq!(bench.dum.find_invite_session(&one), Some(call));
    bench.with(|_, dum| {
        let other = dum.find_invite_session(&two).unwrap();
        assert_ne!(other, call);
        let dialogs = [dum.find_dialog(&one).unwrap(), dum.find_dialog(&two).unwrap()];
        assert_eq!([call.dialog(dum), other.dialog(dum)], dialogs.map(Some));
        assert_eq!((dum.find_dialog_set(&one.set_id()), one.set_id()), (Some(set), two.set_id()));
        assert_eq!((set.dialogs(dum), dialogs[1].set(dum)), (Ok(&dialogs[..]), Ok(set)));
        assert_eq!(dialogs[1].invite_session(dum), Some(other));
        assert_eq!(dialogs[1].dialog(dum).unwrap().id(), &two);
        assert_eq!(set.profile(dum).unwrap().from().uri, profile().from().uri);
        // What its peer sends in Replaces, or would in Join, has our tag in to-tag.
        let named = call.replaces(dum).unwrap();
        let theirs = DialogId::of_reference(&named).unwrap();
        assert_eq!((theirs.local_tag, theirs.remote_tag), (one.remote_tag.clone(), one.local_tag.clone()));
        // No part may be missing or another one.
        for id in [
            DialogId { call_id: "x".into(), ..one.clone() },
            DialogId { local_tag: two.remote_tag.clone(), ..one.clone() },
            DialogId { remote_tag: String::new(), ..one.clone() },
        ] {
            assert_eq!((dum.find_invite_session(&id), dum.find_dialog(&id)), (None, None), "{id:?}");
        }
    });
    answers(&mut bench, &invite, "one", 486);
    assert_eq!((bench.dum.find_invite_session(&one), bench.dum.find_dialog(&two)), (None, None));
    assert_eq!(bench.with(|_, dum| (set.dialogs(dum).is_err(), dum.find_dialog_set(&one.set_id()))), (true, None));
}

/// RFC 4538: the tags are as the one sees them who is asked.
#[test]
fn a_refer_out_of_a_call_says_which_it_is_about() {
    let mut bench = bench();
    let (call, invite) = calling(&mut bench);
    let id = answers(&mut bench, &invite, "one", 200);
    bench.sent.clear();
    let target = |call_id: &str, local: &str, remote: &str| format!("{call_id};local-tag={local};remote-tag={remote}");
    let named = target(&id.call_id, &id.local_tag, &id.remote_tag);
    let mirrored = target(&id.call_id, &id.remote_tag, &id.local_tag);
    let half = format!("{};local-tag={}", id.call_id, id.local_tag);
    for (number, value, found) in
        [(1, Some(named), true), (2, Some(mirrored), false), (3, Some(half), false), (4, None, false)]
    {
        let (us, them) = (addr("<sip:alice@192.0.2.1>"), addr("<sip:bob@192.0.2.9>"));
        let mut msg =
            stack::helper::make_initial(&Method::Refer, &us, &them, &mut rutil::Rng::from_seed(number.into()));
        msg.set(h::REFER_TO, "<sip:carol@192.0.2.8>");
        msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
        msg.push_back(h::REQUIRES, "tdialog");
        if let Some(value) = &value {
            msg.append_line("Target-Dialog", value);
        }
        let msg = Message::parse(msg.to_bytes()).unwrap();
        let dialogs = bench.with(|_, dum| (dum.find_target_dialog(&msg), call.session().dialog(dum)));
        assert_eq!(dialogs.0, dialogs.1.filter(|_| found));
        bench.ask(number, msg);
        assert_eq!(bench.dum.application_mut().about.pop().unwrap(), found.then_some(call.session()), "{value:?}");
    }
}

/// RFC 3261 §12.2.1.2: whatever is answered in the dialog says where this side is now.
#[test]
fn who_has_moved_says_so_in_answers_of_other_usages_too() {
    let mut bench = bench();
    let (call, invite) = calling(&mut bench);
    let id = answers(&mut bench, &invite, "one", 200);
    let place = "<sip:alice@198.51.100.7>";
    bench.with(|_, dum| call.session().set_contact(dum, &addr(place))).unwrap();
    bench.sent.clear();
    let within = |method: &Method<'_>, number: u32| {
        let (us, them) = (addr("<sip:alice@192.0.2.1>"), addr("<sip:bob@192.0.2.9>"));
        let mut msg = stack::helper::make_initial(method, &us, &them, &mut rutil::Rng::from_seed(1));
        msg.set(h::TO, &invite.1.header(h::FROM).unwrap());
        msg.set(h::FROM, "<sip:bob@192.0.2.9>;tag=one");
        msg.set(h::CALL_ID, &*id.call_id);
        msg.set(h::CSEQ, &format!("{number} {}", method.as_str()));
        msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
        msg
    };
    let contact = |msg: &Message| msg.first(h::CONTACTS).unwrap().to_string();
    let mut refer = within(&Method::Refer, 1);
    refer.set(h::REFER_TO, "<sip:carol@192.0.2.8>");
    bench.ask(1, refer);
    let asked = *bench.dum.application().asked.last().unwrap();
    bench.with(|_, dum| asked.accept(dum)).unwrap();
    let (_, accepted) = bench.response();
    assert_eq!((accepted.status(), contact(&accepted)), (Some(202), place.to_owned()));
    let (_, notify) = bench.request();
    assert_eq!(contact(&notify), place);
    let mut subscribe = within(&Method::Subscribe, 2);
    subscribe.set(h::EVENT, "refer;id=1");
    bench.ask(2, subscribe);
    let (_, accepted) = bench.response();
    assert_eq!((accepted.status(), contact(&accepted)), (Some(200), place.to_owned()));
}

#[test]
fn what_is_kept_goes_with_the_dialog_and_the_set() {
    let mut bench = bench();
    let (call, invite) = calling(&mut bench);
    let (of_one, of_set) = (Arc::new(1), Arc::new(0));
    let one = answers(&mut bench, &invite, "one", 180);
    let two = answers(&mut bench, &invite, "two", 180);
    let dialog = bench.with(|_, dum| {
        let dialog = dum.find_dialog(&one).unwrap();
        *dialog.data(dum).unwrap() = Some(Box::new(of_one.clone()));
        *dialog.set(dum).unwrap().data(dum).unwrap() = Some(Box::new(of_set.clone()));
        let other = dum.find_dialog(&two).unwrap();
        assert!(other.data(dum).unwrap().is_none());
        // The call's own way leads to the same.
        let number = |kept: Option<&mut AppData>| kept?.as_ref()?.downcast_ref::<Arc<i32>>().map(|kept| **kept);
        assert_eq!((number(call.app_dialog(dum)), number(call.app_dialog_set(dum))), (Some(1), Some(0)));
        dialog
    });
    // One fork takes the call, the others end, the set stays.
    answers(&mut bench, &invite, "two", 200);
    assert_eq!((Arc::strong_count(&of_one), Arc::strong_count(&of_set)), (1, 2));
    assert_eq!(bench.with(|_, dum| dialog.data(dum).err()), Some(UsageEnded));
    bench.with(|_, dum| dum.find_invite_session(&two).unwrap().end(dum)).unwrap();
    while let Some(command) = bench.sent.pop_front() {
        if let stack::transaction::Command::Send { transaction, msg, .. } = command {
            bench.respond(transaction, &msg, 200);
        }
    }
    bench.event(TuEvent::ClientEnded { transaction: invite.0 });
    assert_eq!((Arc::strong_count(&of_set), bench.dum.counts()), (1, Counts::default()));
}

/// A request of the peer in the dialog that we know by that name.
fn within(id: &DialogId, method: &Method<'static>, cseq: u32) -> Message {
    let mut msg = Message::request(method, "sip:alice@192.0.2.1");
    msg.set(h::FROM, &format_args!("<sip:bob@b>;tag={}", id.remote_tag));
    msg.set(h::TO, &format_args!("<sip:alice@example.com>;tag={}", id.local_tag));
    msg.set(h::CALL_ID, &id.call_id);
    msg.set(h::CSEQ, &format_args!("{cseq} {}", method.as_str()));
    msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    msg
}

#[test]
fn a_dialog_knows_all_its_usages_and_each_its_dialog() {
    let mut bench = bench();
    let (call, invite) = calling(&mut bench);
    let id = answers(&mut bench, &invite, "one", 200);
    let mut subscribe = within(&id, &Method::Subscribe, 2);
    subscribe.set(h::EVENT, "dialog");
    bench.ask(2, subscribe);
    let mut refer = within(&id, &Method::Refer, 3);
    refer.set(h::REFER_TO, "<sip:carol@c>");
    bench.ask(3, refer);
    let (watched, asked) = (bench.dum.application().watched[0], bench.dum.application().asked[0]);
    let ours = bench.with(|_, dum| call.refer(dum, &addr("<sip:dave@d>"), true)).unwrap();
    bench.with(|_, dum| {
        let dialog = dum.find_dialog(&id).unwrap();
        assert_eq!(dialog.invite_session(dum), Some(call.session()));
        assert_eq!(dialog.server_subscriptions(dum).collect::<Vec<_>>(), [watched]);
        assert_eq!(dialog.server_refers(dum).collect::<Vec<_>>(), [asked]);
        assert_eq!(dialog.client_refers(dum).collect::<Vec<_>>(), [ours]);
        assert_eq!(dialog.client_subscriptions(dum).count(), 0);
        let of_each = [call.dialog(dum), watched.dialog(dum), asked.dialog(dum), ours.dialog(dum)];
        assert_eq!(of_each, [Some(dialog); 4]);
        let set = dialog.set(dum).ok();
        assert_eq!([call.dialog_set(dum), watched.dialog_set(dum), ours.dialog_set(dum)], [set; 3]);
        // What has ended is not in it.
        watched.terminate(dum, TerminateReason::NoResource, None, None).unwrap();
        asked.reject(dum, 603).unwrap();
    });
    bench.with(|_, dum| {
        let dialog = dum.find_dialog(&id).unwrap();
        assert_eq!(dialog.server_refers(dum).count(), 0);
        assert_eq!(asked.dialog(dum), None);
    });
}

#[test]
fn subscriptions_and_transfers_of_ours_have_sets_before_they_have_dialogs() {
    let mut bench = bench();
    let set = bench.with(|_, dum| {
        let msg = dum.make_subscribe(&profile(), &addr("<sip:bob@b>"), "dialog");
        dum.send_subscribe(&profile(), msg).unwrap()
    });
    let (_, subscribe) = bench.request();
    let ours = DialogId::of_response(&subscribe).unwrap();
    let dialogs = bench.with(|_, dum| {
        assert_eq!(set.dialog(dum), None);
        set.dialog_set(dum).unwrap()
    });
    assert_eq!(bench.with(|_, dum| dum.find_dialog_set(&ours.set_id())), Some(dialogs));
    let id = DialogId { remote_tag: "one".into(), ..ours };
    let mut notify = within(&id, &Method::Notify, 1);
    notify.set(h::EVENT, "dialog");
    notify.set(h::SUBSCRIPTION_STATE, "active;expires=600");
    bench.ask(1, notify);
    let sub = bench.dum.application().watches[0];
    bench.with(|_, dum| {
        let dialog = dum.find_dialog(&id).unwrap();
        assert_eq!((sub.dialog(dum), sub.dialog_set(dum)), (Some(dialog), Some(dialogs)));
        assert_eq!((dialog.client_subscriptions(dum).next(), dialog.invite_session(dum)), (Some(sub), None));
        let refer = dum.make_refer(&profile(), &addr("<sip:bob@b>"), &addr("<sip:carol@c>"));
        let tag = refer.header(h::FROM).unwrap().param(p::TAG).unwrap().to_owned();
        let call_id = refer.header(h::CALL_ID).unwrap().as_str().to_owned();
        let refer = dum.send_refer(&profile(), refer).unwrap();
        let set = dum.find_dialog_set(&DialogSetId { call_id, local_tag: tag }).unwrap();
        assert_eq!((refer.dialog(dum), refer.dialog_set(dum)), (None, Some(set)));
    });
}
