//! User agents built on dum, on real sockets: through the proxy, and with SIPp on the other side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use dum::invite::{EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle, UserProfile};
use rutil::Rng;
use stack::contents::sdp::{Direction, Format, Local, Sdp, Stream};
use stack::header::{HeaderValue, NameAddr};
use stack::message::Message;
use stack::{Stack, TransportSpec};
use tests::peers::{self, Sipp};

use crate::repro::{LIMIT, address, start};

/// A phone that takes every call, and tells what it hears with the number of the call.
struct Phone {
    heard: Sender<&'static str>,
    /// Whether it ends its calls as soon as they are answered.
    hangs_up: bool,
}

impl Phone {
    fn hear(&self, what: &'static str) {
        // The test may have heard enough.
        let _ = self.heard.send(what);
    }
}

/// A stream of audio, as an offer or as the answer to one.
pub(crate) fn audio(offer: Option<&Sdp>) -> Sdp {
    let here = Local { username: "-", session_id: 1, version: 1, address: [127, 0, 0, 1].into(), name: "" };
    let formats = [Format { format: "0", rtpmap: None, fmtp: None }];
    let direction = Direction::SendRecv;
    let audio = [Stream { kind: "audio", port: 40_004, proto: "RTP/AVP", formats: &formats, direction }];
    let sdp = offer.map_or_else(|| Sdp::offer(&here, &audio), |offer| Sdp::answer_to(offer, &here, &audio));
    sdp.expect("a description")
}

impl Application for Phone {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

impl InviteSessionHandler for Phone {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, _: &Message) {
        self.hear("new");
        call.provisional(dum, 180).expect("it has just come");
    }
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp) {
        call.provide_answer(dum, &audio(Some(offer))).expect("an offer");
        call.as_server().accept(dum).expect("it rings");
    }
    fn on_confirmed(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        self.hear("confirmed");
        if self.hangs_up {
            call.end(dum).expect("it is up");
        }
    }
    fn on_answer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Sdp) {
        self.hear("answer");
        if self.hangs_up {
            call.end(dum).expect("it is up");
        }
    }
    fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.hear(match why {
            EndReason::LocalBye => "we hung up",
            EndReason::RemoteBye => "they hung up",
            _ => "it failed",
        });
    }
}

/// A user agent that runs.
struct Agent {
    stack: Stack,
    dum: DumHandle<Phone>,
    heard: Receiver<&'static str>,
}

impl Agent {
    fn start(hangs_up: bool) -> Self {
        let (tell, heard) = channel();
        let mut rng = Rng::from_os().expect("randomness");
        let mut builder = Stack::builder();
        builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
        let user = builder.register_tu(DialogUsageManager::<Phone>::tu_options(), move |_| {
            DialogUsageManager::new(Phone { heard: tell.clone(), hangs_up }, DumOptions::default(), &mut rng)
        });
        let stack = builder.start().expect("it starts");
        let dum = DumHandle::new(stack.poster(user));
        Agent { stack, dum, heard }
    }

    fn address(&self) -> SocketAddr {
        self.stack.transports().iter().next().expect("one transport").bound
    }

    /// Calls somebody, by a proxy if there is one.
    fn call(&self, to: SocketAddr, proxy: Option<SocketAddr>) {
        let own = self.address();
        self.dum
            .command(move |_, dum| {
                let owned = |text: String| NameAddr::parse(&text).expect("a name-addr").into_owned();
                let mut profile = UserProfile::on(dum.master_profile().user());
                profile.set_from(Arc::new(owned(format!("<sip:alice@{own}>"))));
                profile.set_outbound_proxy(proxy.map(|proxy| Arc::new(owned(format!("<sip:{proxy};lr>")))));
                let profile = Arc::new(profile);
                let invite = dum.make_invite(&profile, &owned(format!("<sip:bob@{to}>")), Some(&audio(None)));
                dum.send_invite(&profile, invite).expect("there is room");
            })
            .expect("it is not congested");
    }

    fn hears(&self, expected: &[&'static str]) {
        for expected in expected {
            assert_eq!(self.heard.recv_timeout(LIMIT).as_ref(), Ok(expected));
        }
    }
}

#[test]
fn a_call_between_two_user_agents_through_the_proxy() {
    let repro = start(&[]);
    let (alice, bob) = (Agent::start(true), Agent::start(false));
    alice.call(bob.address(), Some(address(&repro, "udp")));
    alice.hears(&["answer", "we hung up"]);
    // Its BYE may overtake the ACK, over UDP.
    bob.hears(&["new"]);
    let end = bob.heard.recv_timeout(LIMIT).expect("it hears more");
    assert!(
        end == "they hung up" || end == "confirmed" && bob.heard.recv_timeout(LIMIT) == Ok("they hung up"),
        "{end}"
    );
}

#[test]
fn sipp_calls_a_user_agent() {
    if !peers::available("sipp") {
        return;
    }
    let agent = Agent::start(false);
    let local = SocketAddr::from((peers::loopback(), 5060));
    let remote = Some(agent.address());
    let more = &["-s", "bob"];
    let caller = Sipp { scenario: "uac_call.xml", local, remote, calls: 25, rate: 50, transport: "u1", more };
    let stats = caller.run(LIMIT).expect("it ends");
    assert_eq!((stats.successful, stats.failed), (25, 0));
    let mut ends = 0;
    while ends < 25 {
        let heard = agent.heard.recv_timeout(LIMIT).expect("it hears of each call");
        assert_ne!(heard, "it failed");
        ends += usize::from(heard == "they hung up");
    }
}

#[test]
fn a_user_agent_calls_sipp() {
    if !peers::available("sipp") {
        return;
    }
    let local = SocketAddr::from((peers::loopback(), 5060));
    let called =
        Sipp { scenario: "uas_call.xml", local, remote: None, calls: 25, rate: 50, transport: "u1", more: &[] };
    let called = called.start().expect("it starts");
    let agent = Agent::start(true);
    for _ in 0..25 {
        agent.call(local, None);
        agent.hears(&["answer", "we hung up"]);
    }
    let stats = called.finish(LIMIT).expect("it ends");
    assert_eq!((stats.successful, stats.failed), (25, 0));
}
