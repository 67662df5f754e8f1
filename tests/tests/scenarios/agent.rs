//! A user agent of few words built on dum, for tests of what is between two of them: what it does not tell is not asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use dum::invite::{EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session};
use dum::registration::{ClientRegistration, ClientRegistrationHandler};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle, UserProfile};
use rutil::Rng;
use stack::contents::sdp::Sdp;
use stack::header::NameAddr;
use stack::message::Message;
use stack::uri::Uri;
use stack::{Stack, StackOptions, TransportSpec};

use crate::repro::LIMIT;
use crate::telephone::{audio, named};

/// A telephone that takes every call; a caller hangs up when he is answered.
pub(crate) struct Phone {
    heard: Sender<&'static str>,
    /// As whom it is registered.
    pub(crate) profile: Option<Arc<UserProfile>>,
}

impl Phone {
    pub(crate) fn hear(&self, what: &'static str) {
        // The test may have heard enough.
        let _ = self.heard.send(what);
    }
}

impl Application for Phone {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
}

impl ClientRegistrationHandler for Phone {
    fn on_success(&mut self, dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, _: &Message) {
        self.profile = registration.profile(dum).ok();
        self.hear("registered");
    }
    fn on_flow_failed(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>) {
        self.hear("flow failed");
    }
}

impl InviteSessionHandler for Phone {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, _: &Message) {
        call.provisional(dum, 180).expect("it has just come");
    }
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp, _: &Message) {
        call.provide_answer(dum, &audio(Some(offer))).expect("an offer");
        call.as_server().accept(dum).expect("it rings");
    }
    fn on_answer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Sdp, _: &Message) {
        call.end(dum).expect("it is up");
    }
    fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.hear(match why {
            EndReason::LocalBye => "we hung up",
            EndReason::RemoteBye => "they hung up",
            _ => "it failed",
        });
    }
}

/// One that runs, at an address of its own.
pub(crate) struct Agent {
    stack: Stack,
    pub(crate) dum: DumHandle<Phone>,
    heard: Receiver<&'static str>,
}

impl Agent {
    /// Everything that it sends goes this way first, if there is one.
    pub(crate) fn start(way: Option<&str>) -> Self {
        let (tell, heard) = channel();
        let mut rng = Rng::from_os().expect("randomness");
        let sip = |way| match Uri::parse(way).map(Uri::into_owned) {
            Ok(Uri::Sip(sip)) => sip,
            other => panic!("no SIP URI: {other:?}"),
        };
        let options = StackOptions { outbound_proxy: way.map(sip), ..StackOptions::default() };
        let mut builder = Stack::builder().options(options);
        let any = "127.0.0.1:0".parse().expect("an address");
        builder.add_transport(TransportSpec::udp(any)).add_transport(TransportSpec::tcp(any));
        let user = builder.register_tu(DialogUsageManager::<Phone>::tu_options(), move |_| {
            let phone = Phone { heard: tell.clone(), profile: None };
            DialogUsageManager::new(phone, DumOptions::default(), &mut rng)
        });
        let stack = builder.start().expect("it starts");
        let dum = DumHandle::new(stack.poster(user));
        Agent { stack, dum, heard }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.stack.transports().iter().next().expect("one transport").bound
    }

    /// Registers as bob; with a flow, if that is wanted.
    pub(crate) fn register(&self, home: SocketAddr, outbound: bool) {
        self.dum
            .command(move |_, dum| {
                let mut profile = dum.master_profile().user_profile();
                profile.set_from(Arc::new(named("bob", home)));
                if outbound {
                    profile.set_instance_id(Some("urn:uuid:1".into())).set_reg_id(1);
                }
                dum.register(&Arc::new(profile)).expect("there is room");
            })
            .expect("it is not congested");
        self.hears(&["registered"]);
    }

    /// Calls somebody as whoever it is, until both have hung up.
    pub(crate) fn call(&self, to: NameAddr<'static>) {
        self.dum
            .command(move |phone, dum| {
                let anonymous = Arc::new(dum.master_profile().user_profile());
                let profile = phone.profile.clone().unwrap_or(anonymous);
                let invite = dum.make_invite(&profile, &to, Some(&audio(None)));
                dum.send_invite(&profile, invite).expect("there is room");
            })
            .expect("it is not congested");
        self.hears(&["we hung up"]);
    }

    pub(crate) fn hears(&self, expected: &[&'static str]) {
        for expected in expected {
            assert_eq!(self.heard.recv_timeout(LIMIT).as_ref(), Ok(expected));
        }
    }
}
