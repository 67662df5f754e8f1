//! Linphone beside a user agent built on dum: it registers with a password, calls and is called, both sides hold, each side
//! transfers, and it hangs up.

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
use stack::contents::sdp::Sdp;
use stack::header::{HeaderValue, Method, NameAddr};
use stack::message::Message;
use stack::{Stack, TransportSpec};
use tests::peers::{self, Linphone};

use crate::repro::LIMIT;
use crate::user_agent::audio;

/// Takes every call, goes where it is sent, and is Bob's registrar.
struct Phone {
    heard: Sender<&'static str>,
    profile: Arc<UserProfile>,
    calls: Vec<Handle<InviteSession>>,
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
        "phones".to_owned()
    }
    fn secret(&self, user: &str, _: Algorithm) -> Option<Secret> {
        (user == "bob").then(|| Secret::password("builder"))
    }
    fn requires_challenge(&mut self, request: &Message) -> bool {
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
        self.hear("new");
        self.calls.push(call.session());
        call.provisional(dum, 180).expect("it has just come");
    }
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp) {
        let before = call.is_connected(dum).then(|| call.is_held(dum));
        call.provide_answer(dum, &audio(Some(offer))).expect("an offer");
        match (before, call.is_held(dum)) {
            (None, _) => call.as_server().accept(dum).expect("it rings"),
            (Some(false), true) => self.hear("held"),
            (Some(true), false) => self.hear("taken back"),
            _ => {}
        }
    }
    fn on_offer_required(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>) {
        call.provide_offer(dum, &audio(None)).expect("it is asked for");
    }
    fn on_answer(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Sdp) {
        self.hear("answer");
    }
    fn on_confirmed(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Message) {
        self.hear("confirmed");
    }
    fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.hear(match why {
            EndReason::LocalBye => "we hung up",
            EndReason::RemoteBye => "they hung up",
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
    fn on_refer_ended(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, status: Option<u16>) {
        self.hear(if status == Some(200) { "transferred" } else { "not transferred" });
    }
}

/// So often a change is asked for; each time takes a thread some microseconds.
const TRIES: u32 = 500_000;

/// A user agent that runs.
struct Agent {
    _stack: Stack,
    address: SocketAddr,
    dum: DumHandle<Phone>,
    heard: Receiver<&'static str>,
}

fn named(user: &str, at: SocketAddr) -> NameAddr<'static> {
    NameAddr::parse(&format!("<sip:{user}@{at}>")).expect("an address").into_owned()
}

impl Agent {
    fn start(user: &'static str) -> Self {
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
                auth: ServerAuthManager::new(ServerAuthOptions::default(), &mut rng),
            };
            DialogUsageManager::new(phone, options.clone(), &mut rng)
        });
        let stack = builder.start().expect("it starts");
        let dum = DumHandle::new(stack.poster(user));
        Agent { _stack: stack, address, dum, heard }
    }

    /// Does something with its last call.
    fn does(&self, what: impl FnOnce(Handle<InviteSession>, &mut Dum<'_>) + Send + 'static) {
        let command = self.dum.command(|phone, dum| what(*phone.calls.last().expect("a call"), dum));
        command.expect("it is not congested");
    }

    /// The same with what is possible as soon as a change before it is acknowledged, of which nobody is told.
    fn changes(&self, what: fn(Handle<InviteSession>, &mut Dum<'_>) -> Result<(), SessionError>) {
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

    fn hears(&self, expected: &[&'static str]) {
        for expected in expected {
            assert_eq!(self.heard.recv_timeout(LIMIT).as_ref(), Ok(expected));
        }
    }
}

#[test]
fn linphone_registers_calls_holds_transfers_and_hangs_up() {
    if !peers::available("linphonec") {
        return;
    }
    let (alice, carol) = (Agent::start("alice"), Agent::start("carol"));
    let mut linphone = Linphone::start(SocketAddr::from((peers::loopback(), 5060)), &[]).expect("it starts");
    let mut tell = |what: String, says: &str| {
        linphone.tell(&what).expect("it reads");
        if !says.is_empty() {
            linphone.says(says, LIMIT).expect(says);
        }
    };
    let (to, elsewhere) = (alice.address.ip(), carol.address.ip());
    tell(format!("register sip:bob@{to} sip:{to} builder"), "");
    alice.hears(&["registered"]);
    tell(format!("call sip:alice@{to}"), "connected");
    alice.hears(&["new", "confirmed"]);
    tell("pause".into(), "is now paused");
    alice.hears(&["held"]);
    tell("resume".into(), "Resuming call");
    alice.hears(&["taken back"]);
    // The other side holds as well.
    alice.changes(|call, dum| call.hold(dum));
    alice.hears(&["answer"]);
    alice.changes(|call, dum| call.resume(dum));
    alice.hears(&["answer"]);
    // It sends Alice to Carol, and goes.
    tell(format!("transfer sip:carol@{elsewhere}"), "");
    alice.hears(&["sent elsewhere", "answer"]);
    carol.hears(&["new", "confirmed"]);
    tell("quit".into(), "");
    alice.hears(&["they hung up", "unregistered"]);
}

#[test]
fn linphone_is_called_held_transferred_and_hung_up() {
    if !peers::available("linphonec") {
        return;
    }
    let (alice, carol) = (Agent::start("alice"), Agent::start("carol"));
    let local = SocketAddr::from((peers::loopback(), 5060));
    let mut linphone = Linphone::start(local, &["-a"]).expect("it starts");
    let command = alice.dum.command(move |phone, dum| {
        let profile = phone.profile.clone();
        let invite = dum.make_invite(&profile, &named("bob", local), Some(&audio(None)));
        phone.calls.push(dum.send_invite(&profile, invite).expect("there is room").session());
    });
    command.expect("it is not congested");
    alice.hears(&["answer"]);
    linphone.says("connected", LIMIT).expect("it is up");
    alice.changes(|call, dum| call.hold(dum));
    alice.hears(&["answer"]);
    linphone.says("paused by", LIMIT).expect("it hears of the hold");
    alice.changes(|call, dum| call.resume(dum));
    alice.hears(&["answer"]);
    // Alice sends it to Carol.
    let target = named("carol", carol.address);
    alice.does(move |call, dum| {
        call.refer(dum, &target, true).expect("there is a dialog");
    });
    // It holds the call while it makes the other one.
    alice.hears(&["held"]);
    carol.hears(&["new", "confirmed"]);
    alice.hears(&["transferred"]);
    alice.does(|call, dum| {
        // Linphone may have hung up before.
        let _ = call.end(dum);
    });
    carol.does(|call, dum| call.end(dum).expect("it is up"));
    carol.hears(&["we hung up"]);
    linphone.says("ended", LIMIT).expect("it takes our BYE");
}
