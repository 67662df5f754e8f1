//! Who uses a user agent: an application that writes down what it hears.

use crate::challenges::{Guard, is_strange};
use crate::desk::{Desk, Kept};
use crate::ends::End;
use crate::people::{self, directed_answer};
use crate::redirects;
use crate::world::{port, sdp};
use dum::auth::ServerAuthHandler;
use dum::invite::{ClientInviteSession, EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session};
use dum::out_of_dialog::{ClientOutOfDialogRequest, OutOfDialogHandler, ServerOutOfDialogRequest};
use dum::publication::{ClientPublicationHandler, ServerPublicationHandler};
use dum::refer::{ClientRefer, ReferHandler, ServerRefer};
use dum::registration::{ClientRegistrationHandler, ServerRegistrationHandler};
use dum::subscription::{
    ClientSubscription, ClientSubscriptionHandler, ClientSubscriptionSet, ServerSubscription, ServerSubscriptionEnd,
    ServerSubscriptionHandler, SubscriptionEnd, SubscriptionState,
};
use dum::{Application, Dum, Handle, Outcome, UserProfile};
use rutil::Rng;
use stack::contents::event::{ConferenceInfo, DialogInfo, EventDocument};
use stack::contents::sdp::{Direction, Sdp};
use stack::header::{Method, h, p};
use stack::message::Message;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

/// Who walks through them walks the same way each time: a seed repeats what it did.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
pub(crate) type HashSet<T> = std::collections::HashSet<T, BuildHasherDefault<DefaultHasher>>;

/// An application that writes down what it hears, and leaves all decisions to the test.
pub(crate) struct Phone {
    pub(crate) name: &'static str,
    heard: Vec<String>,
    /// Calls in the order in which they began.
    pub(crate) calls: Vec<Handle<InviteSession>>,
    /// Transfers that it was asked for, and in which calls.
    pub(crate) refers: Vec<Handle<ServerRefer>>,
    pub(crate) referred_in: Vec<Option<Handle<InviteSession>>>,
    /// How many it has made: the INVITEs that it has sent out of a dialog.
    pub(crate) made: usize,
    /// Those that others have made, with their Call-IDs.
    pub(crate) taken: HashMap<Handle<InviteSession>, String>,
    /// The Call-IDs of those that it has sent elsewhere.
    pub(crate) redirected: HashSet<String>,
    /// The Call-IDs of its own that were refused, and by what.
    pub(crate) refused: Vec<(String, Message)>,
    /// Who asks for passwords, if somebody does.
    pub(crate) guard: Option<Guard>,
    /// The dialogs of the calls that are answered, by Call-ID and tags, and how those ended that were.
    pub(crate) answered: HashMap<Handle<InviteSession>, (String, [String; 2])>,
    pub(crate) ends: Vec<End>,
    /// Who watches its calls.
    pub(crate) watchers: Vec<Handle<ServerSubscription>>,
    /// What it was told of the calls of others.
    pub(crate) told: Vec<DialogInfo>,
    pub(crate) profile: Arc<UserProfile>,
    /// The same by way of the proxy.
    pub(crate) by_proxy: Arc<UserProfile>,
    /// It goes where it is sent.
    pub(crate) follows: bool,
    /// What it offers as soon as its offer is answered, with the PRACK.
    pub(crate) with_prack: Option<u16>,
    /// What it was offered last in a call.
    pub(crate) offered: HashMap<Handle<InviteSession>, Direction>,
    /// So often the peer has agreed to be held.
    pub(crate) holds: u32,
    pub(crate) watching: Watching,
    /// What it decides by while it is told something, if by anything.
    pub(crate) whims: Option<Rng>,
    /// It answers offers at once.
    pub(crate) agreeable: bool,
    /// Calls in which it is found elsewhere now, and the peer may not know.
    pub(crate) moved: HashSet<Handle<InviteSession>>,
    /// The Call-IDs of those in which the peer cannot reach it.
    pub(crate) away: HashSet<String>,
    /// Calls of its own that were to join others.
    pub(crate) joining: HashSet<Handle<InviteSession>>,
    /// What it has registered and published.
    pub(crate) kept: Kept,
    /// What it is the registrar and event server by, if it is.
    pub(crate) desk: Option<Desk>,
}

/// Subscriptions of both sides, and what they last said.
#[derive(Default)]
pub(crate) struct Watching {
    pub(crate) sets: Vec<Handle<ClientSubscriptionSet>>,
    pub(crate) sets_ended: usize,
    /// Those that have had a NOTIFY, with the entity and version that the last one told.
    pub(crate) subscriptions: HashMap<Handle<ClientSubscription>, (String, u32)>,
    pub(crate) subscriptions_ended: usize,
    pub(crate) watchers_ended: usize,
    /// How many documents it has told.
    pub(crate) documents: u32,
}

impl Phone {
    pub(crate) fn new(name: &'static str, profile: Arc<UserProfile>, by_proxy: Arc<UserProfile>) -> Self {
        Phone {
            name,
            heard: Vec::new(),
            calls: Vec::new(),
            refers: Vec::new(),
            referred_in: Vec::new(),
            made: 0,
            taken: HashMap::default(),
            redirected: HashSet::default(),
            refused: Vec::new(),
            guard: None,
            answered: HashMap::default(),
            ends: Vec::new(),
            watchers: Vec::new(),
            told: Vec::new(),
            profile,
            by_proxy,
            follows: false,
            with_prack: None,
            offered: HashMap::default(),
            holds: 0,
            watching: Watching::default(),
            whims: None,
            agreeable: false,
            moved: HashSet::default(),
            away: HashSet::default(),
            joining: HashSet::default(),
            kept: Kept::default(),
            desk: None,
        }
    }

    pub(crate) fn take_heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard)
    }

    pub(crate) fn hear(&mut self, what: impl Into<String>) {
        self.heard.push(what.into());
    }

    pub(crate) fn last(&self) -> Handle<InviteSession> {
        *self.calls.last().expect("a call")
    }

    /// Some have something to offer as soon as a provisional response has come.
    fn may_offer_with_prack(&mut self, dum: &mut Dum<'_>, call: Handle<ClientInviteSession>) {
        if self.whims.as_mut().is_some_and(|whims| whims.chance(0.6)) && call.offer_with_prack(dum, &sdp(2998)).is_ok()
        {
            self.hear("offered with PRACK");
        }
    }

    pub(crate) fn incoming(&self) -> Handle<ServerInviteSession> {
        self.last().as_server()
    }
}

impl Application for Phone {
    fn server_auth(&mut self) -> Option<&mut dyn ServerAuthHandler> {
        self.guard.as_mut().map(|guard| guard as _)
    }
    fn client_subscriptions(&mut self, _: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        Some(self)
    }
    fn server_subscriptions(&mut self, _: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        Some(self)
    }
    fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
        Some(self)
    }
    fn refers(&mut self) -> Option<&mut dyn ReferHandler> {
        Some(self)
    }
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
    fn client_publications(&mut self) -> Option<&mut dyn ClientPublicationHandler> {
        Some(self)
    }
    fn server_registrations(&mut self) -> Option<&mut dyn ServerRegistrationHandler> {
        self.desk.as_mut().map(|desk| desk as _)
    }
    fn server_publications(&mut self) -> Option<&mut dyn ServerPublicationHandler> {
        self.desk.as_mut().map(|desk| desk as _)
    }
}

impl ClientSubscriptionHandler for Phone {
    fn on_new_subscription(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        subscription: Handle<ClientSubscription>,
        _: &Message,
    ) {
        let known = self.watching.subscriptions.insert(subscription, (String::new(), 0));
        assert_eq!(known, None, "it begins once");
    }
    fn on_terminated(
        &mut self,
        _: &mut Dum<'_>,
        subscription: Handle<ClientSubscription>,
        _: SubscriptionEnd,
        _: Option<&Message>,
    ) {
        assert!(self.watching.subscriptions.remove(&subscription).is_some(), "it has begun, and ends once");
        self.watching.subscriptions_ended += 1;
    }
    fn on_ended(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscriptionSet>) {
        self.watching.sets_ended += 1;
    }
    fn on_update_pending(&mut self, dum: &mut Dum<'_>, subscription: Handle<ClientSubscription>, notify: &Message) {
        self.on_update_active(dum, subscription, notify);
    }
    fn on_update_active(&mut self, _: &mut Dum<'_>, subscription: Handle<ClientSubscription>, notify: &Message) {
        let Ok(info) = DialogInfo::parse(&notify.body_bytes()) else {
            let conference = ConferenceInfo::parse(&notify.body_bytes()).expect("its calls, or a conference");
            let states = conference.users.iter().filter_map(|user| Some(user.endpoints.first()?.status?.as_str()));
            return self.hear(format!("told {}", states.collect::<Vec<_>>().join(" ")));
        };
        self.watching.subscriptions.insert(subscription, (info.entity.clone(), info.version));
        let states = info.dialogs.iter().map(|dialog| dialog.state.as_str());
        self.hear(format!("told {}", states.collect::<Vec<_>>().join(" ")));
        self.told.push(info);
    }
}

impl ServerSubscriptionHandler for Phone {
    fn on_new_subscription(&mut self, dum: &mut Dum<'_>, watcher: Handle<ServerSubscription>, subscribe: &Message) {
        assert!(!is_strange(subscribe), "strangers are not let in");
        self.hear("watched");
        self.watchers.push(watcher);
        if self.whims.as_mut().is_some_and(|whims| whims.chance(0.7)) {
            let document = people::next_document(self, watcher).to_contents();
            watcher.accept(dum, SubscriptionState::Active, Some(&document)).unwrap();
        }
    }
    fn on_terminated(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ServerSubscription>,
        _: ServerSubscriptionEnd,
        _: Option<&Message>,
    ) {
        self.watching.watchers_ended += 1;
    }
}

impl OutOfDialogHandler for Phone {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.hear(format!("{}", outcome.status));
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.hear(format!("{}", outcome.status));
    }
    fn on_received_request(&mut self, dum: &mut Dum<'_>, asked: Handle<ServerOutOfDialogRequest>, msg: &Message) {
        self.hear(format!("text {}", String::from_utf8_lossy(msg.body())));
        asked.accept(dum, 200, |_| {}).unwrap();
    }
}

impl InviteSessionHandler for Phone {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, invite: &Message) {
        self.hear("new");
        assert!(!is_strange(invite), "strangers are not let in");
        self.calls.push(call.session());
        self.taken.insert(call.session(), invite.header(h::CALL_ID).unwrap().as_str().to_owned());
        assert!(
            !invite.exists(h::JOIN) || dum.master_profile().has_option_tag("join"),
            "who cannot be joined is not asked"
        );
        if let Some(mut whims) = self.whims.take() {
            call.set_profile(dum, &people::mood(dum, &self.profile, &mut whims, false)).unwrap();
            match whims.range(10) {
                0 => redirects::redirect(self, dum, &mut whims, call).unwrap(),
                // A reliable one waits for the offer.
                1..=4 => drop(call.provisional(dum, 180)),
                _ => {}
            }
            self.whims = Some(whims);
        }
    }
    fn on_provisional(&mut self, dum: &mut Dum<'_>, call: Handle<ClientInviteSession>, response: &Message) {
        self.hear(format!("provisional {}", response.status().unwrap()));
        self.may_offer_with_prack(dum, call);
    }
    fn on_redirected(&mut self, dum: &mut Dum<'_>, call: Handle<ClientInviteSession>, _: &Message) -> bool {
        let Some(whims) = &mut self.whims else { return self.follows };
        if whims.chance(0.05) {
            call.session().end(dum).expect("it has not ended");
        }
        let follows = whims.chance(0.8);
        self.hear("redirected");
        follows
    }
    fn on_early_media(&mut self, _: &mut Dum<'_>, _: Handle<ClientInviteSession>, sdp: &Sdp, _: &Message) {
        self.hear(format!("early media {}", port(sdp)));
    }
    fn on_fork(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientInviteSession>,
        fork: Handle<ClientInviteSession>,
        _: &Message,
    ) {
        self.hear("fork");
        self.calls.push(fork.session());
    }
    fn on_connected(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        let names = call.replaces(dum).expect("it has a dialog");
        let tag = |tag: Option<&str>| tag.unwrap_or_default().to_owned();
        let mut tags = [tag(names.param(p::TO_TAG)), tag(names.param(p::FROM_TAG))];
        tags.sort();
        self.answered.insert(call, (names.call_id.as_str().to_owned(), tags));
        self.hear("connected");
    }
    fn on_confirmed(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Message) {
        self.hear("confirmed");
    }
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp, _: &Message) {
        let direction = offer.media().next().map_or(Direction::SendRecv, |media| media.direction());
        self.offered.insert(call, direction);
        self.hear(format!("offer {}", port(offer)));
        if self.agreeable {
            let _ = call.provide_answer(dum, &directed_answer(direction, 2999));
        }
    }
    fn on_offer_required(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Message) {
        self.hear("offer required");
    }
    fn on_refresh(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, msg: &Message) {
        self.hear(format!("refreshed by {}", msg.method().unwrap().as_str()));
    }
    fn on_answer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, answer: &Sdp, msg: &Message) {
        let own = call.local_sdp(dum).expect("it is agreed");
        let [own, said] = [&own, answer].map(|sdp| sdp.media().next().filter(|media| !media.is_rejected()));
        if let (Some(own), Some(said)) = (own, said) {
            let (own, said) = (own.direction(), said.direction());
            self.holds += u32::from(!own.receives());
            // RFC 3264 §6.1.
            let fits = (own.sends() || !said.receives()) && (own.receives() || !said.sends());
            assert!(fits || self.whims.is_none(), "{said:?} is no answer to {own:?}: {msg:?}");
            if self.whims.is_some() && own == Direction::Inactive {
                self.hear("inactive");
            }
        }
        self.hear(format!("answer {}", port(answer)));
        if let Some(offer) = self.with_prack.take() {
            call.as_client().offer_with_prack(dum, &sdp(offer)).unwrap();
        }
        if self.agreeable {
            self.moved.remove(&call);
        }
        self.may_offer_with_prack(dum, call.as_client());
    }
    fn on_message(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, message: &Message) -> u16 {
        self.hear(format!("message {}", String::from_utf8_lossy(message.body())));
        200
    }
    fn on_request_answered(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<InviteSession>,
        method: &Method<'_>,
        outcome: &Outcome,
    ) {
        assert!(!matches!(outcome.status, 401 | 407), "the password is right: {} {}", outcome.status, method.as_str());
        self.hear(format!("{} {}", outcome.status, method.as_str()));
    }
    fn on_offer_rejected(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, outcome: &Outcome) {
        assert!(!matches!(outcome.status, 401 | 407), "the password is right");
        self.hear(format!("offer rejected {}", outcome.status));
    }
    fn on_terminated(
        &mut self,
        dum: &mut Dum<'_>,
        call: Handle<InviteSession>,
        reason: EndReason,
        msg: Option<&Message>,
    ) {
        assert!(!call.is_alive(dum), "it has ended");
        if msg.is_some_and(|msg| msg.method() == Some(Method::Bye) && !msg.body().is_empty()) {
            assert_eq!(reason, EndReason::RemoteBye);
            self.hear("goodbye");
        }
        self.offered.remove(&call);
        self.moved.remove(&call);
        let callee = self.taken.remove(&call).is_some();
        if let (EndReason::Redirected | EndReason::Refused, Some(msg)) = (reason, msg) {
            let status = msg.status().expect("a response");
            assert_eq!(reason == EndReason::Redirected, status < 400, "{status}");
            self.refused.push((msg.header(h::CALL_ID).unwrap().as_str().to_owned(), msg.clone()));
        }
        if let Some((call_id, tags)) = self.answered.remove(&call) {
            self.ends.push(End { call_id, tags, callee, at: dum.now(), reason });
        }
        if self.joining.remove(&call) {
            let status = msg.and_then(Message::status).unwrap_or_default();
            self.hear(format!("joined {reason:?} {status}"));
        }
        self.hear(format!("terminated {reason:?}"));
    }
}

impl ReferHandler for Phone {
    fn on_refer(
        &mut self,
        dum: &mut Dum<'_>,
        refer: Handle<ServerRefer>,
        call: Option<Handle<InviteSession>>,
        msg: &Message,
    ) {
        let to = msg.header(h::REFER_TO).unwrap();
        self.hear(format!("refer to {to}"));
        self.refers.push(refer);
        self.referred_in.push(call);
        if let Some(mut whims) = self.whims.take() {
            // Most know at once whether they go.
            let _ = match whims.range(4) {
                0 => people::follow(self, dum, &mut whims, refer),
                1 => refer.accept(dum),
                2 => refer.reject(dum, 603),
                _ => Ok(()),
            };
            self.whims = Some(whims);
        }
    }
    fn on_refer_accepted(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, _: &Message) {
        self.hear("refer accepted");
    }
    fn on_refer_rejected(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, outcome: &Outcome) {
        self.hear(format!("refer rejected {}", outcome.status));
    }
    fn on_refer_progress(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, status: u16, _: &Message) {
        self.hear(format!("refer {status}"));
    }
    fn on_refer_ended(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, status: Option<u16>, _: Option<&Message>) {
        self.hear(format!("refer ended {status:?}"));
    }
}
