//! User agents built on dum register at the proxy, on real sockets, and are reached by their addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use dum::out_of_dialog::{ClientOutOfDialogRequest, OutOfDialogHandler};
use dum::registration::{ClientRegistration, ClientRegistrationHandler};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle, Outcome, UserProfile};
use rutil::Rng;
use stack::header::{HeaderValue, Method, NameAddr};
use stack::message::Message;
use stack::{Stack, TransportSpec};

use crate::repro::{LIMIT, address, start};

struct Phone {
    heard: Sender<String>,
    registration: Option<Handle<ClientRegistration>>,
}

impl Application for Phone {
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
    fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
        Some(self)
    }
}

impl Phone {
    fn hear(&self, what: String) {
        // The test may have heard enough.
        let _ = self.heard.send(what);
    }
}

impl ClientRegistrationHandler for Phone {
    fn on_success(&mut self, dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, _: &Message) {
        self.hear(format!("{} bound", registration.bindings(dum).expect("it is there").len()));
    }
    fn on_removed(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, _: &Message) {
        self.hear("removed".into());
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, outcome: &Outcome) {
        self.hear(format!("not registered: {}", outcome.status));
    }
}

impl OutOfDialogHandler for Phone {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.hear(outcome.status.to_string());
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.hear(outcome.status.to_string());
    }
}

struct Agent {
    _stack: Stack,
    dum: DumHandle<Phone>,
    heard: Receiver<String>,
    profile: Arc<UserProfile>,
}

fn owned(text: &str) -> Arc<NameAddr<'static>> {
    Arc::new(NameAddr::parse(text).expect("a name-addr").into_owned())
}

impl Agent {
    fn start(user: &'static str, home: SocketAddr) -> Self {
        let (tell, heard) = channel();
        let mut rng = Rng::from_os().expect("randomness");
        let mut builder = Stack::builder();
        builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
        let tu = builder.register_tu(DialogUsageManager::<Phone>::tu_options(), move |_| {
            let phone = Phone { heard: tell.clone(), registration: None };
            DialogUsageManager::new(phone, DumOptions::default(), &mut rng)
        });
        let stack = builder.start().expect("it starts");
        let mut profile = UserProfile::default();
        profile.set_from(owned(&format!("<sip:{user}@{home}>")));
        let dum = DumHandle::new(stack.poster(tu));
        Agent { _stack: stack, dum, heard, profile: Arc::new(profile) }
    }

    fn act(&self, what: impl FnOnce(&mut Phone, &mut Dum<'_>, &Arc<UserProfile>) + Send + 'static) {
        let profile = self.profile.clone();
        self.dum.command(move |phone, dum| what(phone, dum, &profile)).expect("it is not congested");
    }

    /// What bob's address answers.
    fn asks(&self, home: SocketAddr) -> String {
        self.act(move |_, dum, profile| {
            let options = dum.make_request(profile, &Method::Options, &owned(&format!("<sip:bob@{home}>")));
            dum.send_request(options).expect("there is room");
        });
        self.hears()
    }

    fn hears(&self) -> String {
        self.heard.recv_timeout(LIMIT).expect("it hears something")
    }
}

#[test]
fn a_user_agent_is_reached_as_long_as_it_is_registered() {
    let repro = start(&[]);
    let home = address(&repro, "udp");
    let (alice, bob, desk) = (Agent::start("alice", home), Agent::start("bob", home), Agent::start("bob", home));
    assert_ne!(alice.asks(home), "200");
    for (agent, expected) in [(&bob, "1 bound"), (&desk, "2 bound")] {
        agent.act(|phone, dum, profile| phone.registration = dum.register(profile).ok());
        assert_eq!(agent.hears(), expected);
    }
    assert_eq!(alice.asks(home), "200");
    // A refresh adds nothing; an end takes what is its own.
    bob.act(|phone, dum, _| phone.registration.expect("it is there").refresh(dum).expect("it is there"));
    assert_eq!(bob.hears(), "2 bound");
    desk.act(|phone, dum, _| phone.registration.expect("it is there").end(dum).expect("it is there"));
    assert_eq!(desk.hears(), "removed");
    bob.act(|phone, dum, _| phone.registration.expect("it is there").query(dum).expect("it is there"));
    assert_eq!(bob.hears(), "1 bound");
    bob.act(|phone, dum, _| phone.registration.expect("it is there").remove_all(dum).expect("it is there"));
    assert_eq!(bob.hears(), "removed");
    assert_ne!(alice.asks(home), "200");
}
