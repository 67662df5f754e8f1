//! An application that writes down all that it is told of calls, and leaves the rest to the test.

use super::tests::{SDP, call_bob};
use super::*;
use crate::testing::Bench;
use crate::{Application, DumOptions, Reliability, UserProfile};
use stack::header::h;
use stack::tu::{ClientTransaction, TuEvent};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Ears {
    pub(super) heard: Vec<String>,
    pub(super) calls: Vec<Handle<InviteSession>>,
    /// The message by which the last description came, or was asked for.
    pub(super) brought: String,
    /// What it offers as soon as it is answered, with the PRACK.
    pub(super) with_prack: Option<Sdp>,
    /// It goes where it is sent.
    pub(super) follows: bool,
    /// It takes calls from who knows nothing of reliable provisional responses.
    pub(super) lenient: bool,
}

impl Ears {
    fn hear(&mut self, what: impl Into<String>) {
        self.heard.push(what.into());
    }
    fn note(&mut self, msg: &Message) {
        let status = msg.status().map_or_else(String::new, |status| format!("{status} "));
        self.brought = format!("{status}{}", msg.method().unwrap().as_str());
    }
}

impl Application for Ears {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

impl InviteSessionHandler for Ears {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, _: &Message) {
        self.calls.push(call.session());
        if self.lenient {
            let mut profile = UserProfile::on(dum.master_profile().user());
            profile.set_reliability(Reliability::Supported);
            call.set_profile(dum, &Arc::new(profile)).unwrap();
        }
    }
    fn on_fork(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientInviteSession>,
        fork: Handle<ClientInviteSession>,
        _: &Message,
    ) {
        self.calls.push(fork.session());
    }
    fn on_redirected(&mut self, _: &mut Dum<'_>, _: Handle<ClientInviteSession>, _: &Message) -> bool {
        self.follows
    }
    fn on_connected(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Message) {
        self.hear("connected");
    }
    fn on_offer(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, offer: &Sdp, msg: &Message) {
        self.note(msg);
        self.hear(format!("offer {}", port_of(offer)));
    }
    fn on_offer_required(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, msg: &Message) {
        self.note(msg);
        self.hear("offer required");
    }
    fn on_answer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, answer: &Sdp, msg: &Message) {
        self.note(msg);
        self.hear(format!("answer {}", port_of(answer)));
        if let Some(offer) = self.with_prack.take() {
            let done = call.as_client().offer_with_prack(dum, &offer);
            self.hear(format!("{done:?}"));
        }
    }
    fn on_offer_rejected(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, outcome: &Outcome) {
        self.hear(format!("rejected {}", outcome.status));
    }
    fn on_offer_withdrawn(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, cancel: Option<&Message>) {
        let by = cancel.map_or_else(String::new, |msg| format!(" by {}", msg.method().unwrap().as_str()));
        self.hear(format!("withdrawn{by}"));
    }
    fn on_request_answered(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, method: &Method<'_>, how: &Outcome) {
        self.hear(format!("{} {}", how.status, method.as_str()));
    }
    fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.hear(format!("{why:?}"));
    }
}

/// A description with this port.
pub(super) fn sdp(port: u16) -> Sdp {
    Sdp::parse(&SDP.replace("4000", &port.to_string()).into()).unwrap()
}

pub(super) fn port_of(sdp: &Sdp) -> u16 {
    sdp.media().next().unwrap().line().port
}

/// With reliable provisional responses and session timers.
pub(super) fn options() -> DumOptions {
    let mut options = DumOptions::default();
    options.master.add_100rel().add_option_tag("timer");
    options.master.user_mut().set_reliability(Reliability::Supported);
    options
}

pub(super) fn heard(bench: &mut Bench<Ears>) -> Vec<String> {
    std::mem::take(&mut bench.dum.application_mut().heard)
}

/// The call that began last.
pub(super) fn call(bench: &Bench<Ears>) -> Handle<InviteSession> {
    *bench.dum.application().calls.last().unwrap()
}

/// A call of ours with an offer of port 1000, or without one, and its INVITE.
pub(super) fn calling(options: DumOptions, offer: bool) -> (Bench<Ears>, ClientTransaction, Message) {
    let mut bench = Bench::with_options(Ears::default(), options);
    let (call, transaction, invite) = call_bob(&mut bench, offer.then(|| sdp(1000)).as_ref());
    bench.dum.application_mut().calls.push(call);
    (bench, transaction, invite)
}

/// The peer answers a request of ours: with this tag, port and number of a reliable response, if they are not 0.
pub(super) fn respond(
    bench: &mut Bench<Ears>,
    (transaction, request): (ClientTransaction, &Message),
    code: u16,
    (tag, port, rseq): (&str, u16, u32),
    edit: impl FnOnce(&mut Message),
) {
    let mut msg = request.make_response(code, None, Some(tag));
    msg.push_back(h::CONTACTS, &format!("<sip:{tag}@192.0.2.9>"));
    msg.push_back(h::ALLOWS, "INVITE, ACK, BYE, CANCEL, UPDATE, PRACK");
    if rseq > 0 {
        msg.set(h::RSEQ, &rseq);
        msg.push_back(h::REQUIRES, "100rel");
    }
    if port > 0 {
        msg.set_body(Some("application/sdp"), sdp(port).print());
    }
    edit(&mut msg);
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
}
