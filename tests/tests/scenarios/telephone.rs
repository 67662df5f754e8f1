//! A telephone built on dum, beside which others' telephones are: it takes every call, goes where it is sent, and is the
//! registrar of one user.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use dum::auth::{ServerAuthHandler, ServerAuthManager, ServerAuthOptions};
use dum::invite::{EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session, SessionError};
use dum::refer::{ClientRefer, ReferHandler, ServerRefer};
use dum::registration::{MemoryRegistrations, RegistrationPersistence, ServerRegistration, ServerRegistrationHandler};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle, UserProfile};
use rutil::Rng;
use stack::auth::{Algorithm, Secret};
use stack::contents::sdp::{Direction, Format, Local, Sdp, Stream};
use stack::header::{HeaderValue, Method, NameAddr};
use stack::message::Message;
use stack::{Stack, TransportSpec};
use tests::peers;

use crate::repro::LIMIT;

/// A stream of audio, as an offer or as the answer to one.
pub(crate) fn audio(offer: Option<&Sdp>) -> Sdp {
    let here = Local { username: "-", session_id: 1, version: 1, address: [127, 0, 0, 1].into(), name: "" };
    let formats = [Format { format: "0", rtpmap: None, fmtp: None }];
    let direction = Direction::SendRecv;
    let audio = [Stream { kind: "audio", port: 40_004, proto: "RTP/AVP", formats: &formats, direction }];
    let sdp = offer.map_or_else(|| Sdp::offer(&here, &audio), |offer| Sdp::answer_to(offer, &here, &audio));
    sdp.expect("a description")
}

/// Takes every call, goes where it is sent, and is Bob's registrar.
pub(crate) struct Phone {
    heard: Sender<&'static str>,
    profile: Arc<UserProfile>,
    /// In the order in which they began.
    pub(crate) calls: Vec<Handle<InviteSession>>,
    registrations: MemoryRegistrations,
    auth: ServerAuthManager,
}

impl Phone {
    fn hear(&self, what: &'static str) {
        // The test may have heard enough.
        let _ = self.heard.send(what);
    }
}

impl Application for Phone {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
    fn refers(&mut self) -> Option<&mut dyn ReferHandler> {
        Some(self)
    }
    fn server_auth(&mut self) -> Option<&mut dyn ServerAuthHandler> {
        Some(self)
    }
    fn server_registrations(&mut self) -> Option<&mut dyn ServerRegistrationHandler> {
        Some(self)
    }
}

impl ServerAuthHandler for Phone {
    fn manager(&self) -> &ServerAuthManager {
        &self.auth
    }
    fn realm(&self, _: &Message) -> String {
        // Its own address, where Bob registers.
        self.profile.from().uri.sip().map_or_else(String::new, |uri| uri.host.to_string())
    }
    fn secret(&self, user: &str, _: Algorithm) -> Option<Secret> {
        (user == "bob").then(|| Secret::password("builder"))
    }
    fn requires_challenge(&mut self, _: &Dum<'_>, request: &Message) -> bool {
        request.method() == Some(Method::Register)
    }
}

impl ServerRegistrationHandler for Phone {
    fn persistence(&mut self) -> &mut dyn RegistrationPersistence {
        &mut self.registrations
    }
    fn on_add(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.hear("registered");
        registration.accept(dum, |_| {}).expect("it has just come");
    }
    fn on_remove(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.hear("unregistered");
        registration.accept(dum, |_| {}).expect("it has just come");
    }
}

impl InviteSessionHandler for Phone {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, _: &Message) {
        self.hear(if call.replaced_call(dum).is_some() { "new, in place of another" } else { "new" });
        self.calls.push(call.session());
        call.provisional(dum, 180).expect("it has just come");
    }
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp, _: &Message) {
        let before = call.is_connected(dum).then(|| call.is_held(dum));
        call.provide_answer(dum, &audio(Some(offer))).expect("an offer");
        match (before, call.is_held(dum)) {
            (None, _) => call.as_server().accept(dum).expect("it rings"),
            (Some(false), true) => self.hear("held"),
            (Some(true), false) => self.hear("taken back"),
            _ => {}
        }
    }
    fn on_offer_required(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        call.provide_offer(dum, &audio(None)).expect("it is asked for");
    }
    fn on_answer(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Sdp, _: &Message) {
        self.hear("answer");
    }
    fn on_confirmed(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Message) {
        self.hear("confirmed");
    }
    fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.hear(match why {
            EndReason::LocalBye => "we hung up",
            EndReason::RemoteBye => "they hung up",
            EndReason::Replaced => "replaced",
            _ => "it failed",
        });
    }
}

impl ReferHandler for Phone {
    fn on_refer(
        &mut self,
        dum: &mut Dum<'_>,
        refer: Handle<ServerRefer>,
        _: Option<Handle<InviteSession>>,
        _: &Message,
    ) {
        self.hear("sent elsewhere");
        let profile = self.profile.clone();
        let call = refer.follow(dum, &profile, Some(&audio(None))).expect("it leads somewhere");
        self.calls.push(call.session());
    }
    fn on_refer_ended(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, status: Option<u16>, _: Option<&Message>) {
        self.hear(if status == Some(200) { "transferred" } else { "not transferred" });
    }
}

/// So often a change is asked for; each time takes a thread some microseconds.
const TRIES: u32 = 500_000;

/// One that runs, at an address of its own.
pub(crate) struct Telephone {
    _stack: Stack,
    pub(crate) address: SocketAddr,
    dum: DumHandle<Phone>,
    heard: Receiver<&'static str>,
}

pub(crate) fn named(user: &str, at: SocketAddr) -> NameAddr<'static> {
    NameAddr::parse(&format!("<sip:{user}@{at}>")).expect("an address").into_owned()
}

impl Telephone {
    pub(crate) fn start(user: &'static str) -> Self {
        Self::with(user, ServerAuthOptions::default())
    }

    /// One that challenges Bob in its own way.
    pub(crate) fn with(user: &'static str, auth: ServerAuthOptions) -> Self {
        let (tell, heard) = channel();
        let address = SocketAddr::from((peers::loopback(), 5060));
        let (mut rng, mut options) = (Rng::from_os().expect("randomness"), DumOptions::default());
        options.master.add_transfer().add_100rel().add_method(Method::Register);
        options.master.user_mut().set_from(Arc::new(named(user, address)));
        let mut builder = Stack::builder();
        builder.add_transport(TransportSpec::udp(address));
        let user = builder.register_tu(DialogUsageManager::<Phone>::tu_options(), move |_| {
            let phone = Phone {
                heard: tell.clone(),
                profile: options.master.user().clone(),
                calls: Vec::new(),
                registrations: MemoryRegistrations::new(10, &mut rng),
                auth: ServerAuthManager::new(auth.clone(), &mut rng),
            };
            DialogUsageManager::new(phone, options.clone(), &mut rng)
        });
        let stack = builder.start().expect("it starts");
        let dum = DumHandle::new(stack.poster(user));
        Telephone { _stack: stack, address, dum, heard }
    }

    /// Calls Bob there.
    pub(crate) fn calls(&self, bob: SocketAddr) {
        self.calls_other(named("bob", bob));
    }

    /// Calls somebody.
    pub(crate) fn calls_other(&self, target: NameAddr<'static>) {
        let command = self.dum.command(move |phone, dum| {
            let profile = phone.profile.clone();
            let invite = dum.make_invite(&profile, &target, Some(&audio(None)));
            phone.calls.push(dum.send_invite(&profile, invite).expect("there is room").session());
        });
        command.expect("it is not congested");
    }

    /// Does something with all its calls.
    pub(crate) fn does_with_calls(&self, what: impl FnOnce(&[Handle<InviteSession>], &mut Dum<'_>) + Send + 'static) {
        self.dum.command(|phone, dum| what(&phone.calls, dum)).expect("it is not congested");
    }

    /// Does something with its last call.
    pub(crate) fn does(&self, what: impl FnOnce(Handle<InviteSession>, &mut Dum<'_>) + Send + 'static) {
        let command = self.dum.command(|phone, dum| what(*phone.calls.last().expect("a call"), dum));
        command.expect("it is not congested");
    }

    /// The same with what is possible as soon as a change before it is acknowledged, of which nobody is told.
    pub(crate) fn changes(&self, what: fn(Handle<InviteSession>, &mut Dum<'_>) -> Result<(), SessionError>) {
        for _ in 0..TRIES {
            let (tell, told) = channel();
            self.does(move |call, dum| {
                let _ = tell.send(what(call, dum));
            });
            match told.recv_timeout(LIMIT).expect("it is done") {
                Err(SessionError::NotNow) => std::thread::yield_now(),
                done => return done.expect("it is up"),
            }
        }
        panic!("another change is under way all the time");
    }

    /// Holds its call and takes it back, and `held` sees to it that the other side has noticed.
    pub(crate) fn holds(&self, held: impl FnOnce()) {
        self.changes(|call, dum| call.hold(dum));
        self.hears(&["answer"]);
        held();
        self.changes(|call, dum| call.resume(dum));
        self.hears(&["answer"]);
    }

    /// Sends its peer to another telephone.
    pub(crate) fn refers_to(&self, other: &Telephone) {
        let target = named("carol", other.address);
        self.does(move |call, dum| {
            call.refer(dum, &target, true).expect("there is a dialog");
        });
    }

    /// Its peer has reached the other telephone, which hangs up.
    pub(crate) fn has_transferred_to(&self, other: &Telephone) {
        other.hears(&["new", "confirmed"]);
        self.hears(&["transferred"]);
        self.does(|call, dum| {
            // The peer may have hung up before.
            let _ = call.end(dum);
        });
        other.does(|call, dum| call.end(dum).expect("it is up"));
        other.hears(&["we hung up"]);
    }

    pub(crate) fn hears(&self, expected: &[&'static str]) {
        for expected in expected {
            assert_eq!(self.heard.recv_timeout(LIMIT).as_ref(), Ok(expected));
        }
    }
}
