//! Calls: INVITE sessions of both sides (reSIProcate's `ClientInviteSession` and `ServerInviteSession`).
//!
//! A call is one [`Handle`] from its INVITE to its end. What differs before it is answered is in the types
//! [`ClientInviteSession`] and [`ServerInviteSession`]; what both can do is in [`Session`]. Three machines, each in a file
//! with its figure: the call (`machine.rs`), its offers and answers (`offer_answer.rs`), and what changes it afterwards
//! (`modify.rs`).
//!
//! Bodies are session descriptions ([`stack::contents::sdp::Sdp`]). Where an offer came, [`Session::provide_answer`] or
//! [`Session::reject_offer`] is due; where one is asked for, [`Session::provide_offer`].
//!
//! A callee, complete, that answers every call with the audio that it is offered:
//! ```
//! use dum::invite::{InviteSession, InviteSessionHandler, ServerInviteSession, Session};
//! use dum::{Application, DialogUsageManager, Dum, DumOptions, Handle};
//! use rutil::Rng;
//! use stack::contents::sdp::{Direction, Format, Local, Sdp, Stream};
//! use stack::{Stack, TransportSpec, message::Message};
//!
//! struct Answerer;
//! impl Application for Answerer {
//!     fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
//!         Some(self)
//!     }
//! }
//!
//! impl InviteSessionHandler for Answerer {
//!     fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, _: &Message) {
//!         let _ = call.provisional(dum, 180);
//!     }
//!
//!     fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp, _: &Message) {
//!         let here = Local { username: "-", session_id: 1, version: 1, address: [127, 0, 0, 1].into(), name: "" };
//!         let pcmu = [Format { format: "0", rtpmap: None, fmtp: None }];
//!         let direction = Direction::SendRecv;
//!         let audio = Stream { kind: "audio", port: 40_000, proto: "RTP/AVP", formats: &pcmu, direction };
//!         let Ok(answer) = Sdp::answer_to(offer, &here, &[audio]) else { return };
//!         let _ = call.provide_answer(dum, &answer);
//!         // A later offer is answered by now; the first one waits for this.
//!         let _ = call.as_server().accept(dum);
//!     }
//! }
//!
//! let (mut builder, mut rng) = (Stack::builder(), Rng::from_os()?);
//! builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
//! builder.register_tu(DialogUsageManager::<Answerer>::tu_options(), move |_| {
//!     DialogUsageManager::new(Answerer, DumOptions::default(), &mut rng)
//! });
//! let stack = builder.start()?;
//! # let callee = stack.transports().iter().next().expect("one transport").bound;
//! # let caller = std::net::UdpSocket::bind("127.0.0.1:0")?;
//! # caller.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
//! # let own = caller.local_addr()?;
//! # let body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0 8\r\n";
//! # let invite = format!("INVITE sip:{callee} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
//! #     From: <sip:me@{own}>;tag=1\r\nTo: <sip:{callee}>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:me@{own}>\r\n\
//! #     Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len());
//! # caller.send_to(invite.as_bytes(), callee)?;
//! # let mut buffer = [0; 4096];
//! # let mut answer = String::new();
//! # while !answer.starts_with("SIP/2.0 200 OK") {
//! #     let (len, _) = caller.recv_from(&mut buffer)?;
//! #     answer = String::from_utf8_lossy(&buffer[..len]).into_owned();
//! # }
//! # assert!(answer.contains("m=audio 40000 RTP/AVP 0\r\n"), "{answer}");
//! # drop(stack);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A caller, complete, that hangs up as soon as somebody answers:
//! ```
//! use dum::invite::{EndReason, InviteSession, InviteSessionHandler, Session};
//! use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle};
//! use rutil::Rng;
//! use stack::header::{HeaderValue, NameAddr};
//! use stack::{Stack, TransportSpec, contents::sdp::Sdp, message::Message};
//! use std::sync::mpsc::{Sender, channel};
//!
//! struct Caller(Sender<EndReason>);
//! impl Application for Caller {
//!     fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
//!         Some(self)
//!     }
//! }
//!
//! impl InviteSessionHandler for Caller {
//!     fn on_answer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Sdp, _: &Message) {
//!         let _ = call.end(dum);
//!     }
//!
//!     fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
//!         let _ = self.0.send(why);
//!     }
//! }
//!
//! let (ends, end) = channel();
//! let (mut builder, mut rng) = (Stack::builder(), Rng::from_os()?);
//! builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
//! let user = builder.register_tu(DialogUsageManager::<Caller>::tu_options(), move |_| {
//!     DialogUsageManager::new(Caller(ends.clone()), DumOptions::default(), &mut rng)
//! });
//! let stack = builder.start()?;
//! # // The callee: it answers with a canned description.
//! # let callee = std::net::UdpSocket::bind("127.0.0.1:0")?;
//! # let bob = format!("<sip:bob@{}>", callee.local_addr()?);
//! # let contact = bob.clone();
//! # callee.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
//! let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0 8\r\n";
//! DumHandle::<Caller>::new(stack.poster(user)).command(move |_, dum| {
//!     let profile = dum.master_profile().user().clone();
//!     let target = NameAddr::parse(&bob).expect("a URI");
//!     let offer = Sdp::parse(&offer.into()).expect("a description");
//!     let invite = dum.make_invite(&profile, &target, Some(&offer));
//!     dum.send_invite(&profile, invite).expect("there is room for one");
//! })?;
//! # let mut buffer = [0; 4096];
//! # loop {
//! #     let (len, from) = callee.recv_from(&mut buffer)?;
//! #     let request = Message::parse(&buffer[..len])?;
//! #     let Some(method) = request.method() else { continue };
//! #     if method.as_str() == "ACK" { continue }
//! #     let mut response = request.make_response(200, None, Some("bob"));
//! #     response.push_back(stack::header::h::CONTACTS, &contact);
//! #     if method.as_str() == "INVITE" { response.set_body(Some("application/sdp"), offer) }
//! #     callee.send_to(&response.to_bytes(), from)?;
//! #     if method.as_str() == "BYE" { break }
//! # }
//! assert_eq!(end.recv()?, EndReason::LocalBye);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ack;
#[cfg(test)]
mod agreed_tests;
mod api;
#[cfg(test)]
mod attempt_tests;
mod body;
pub(crate) mod call;
mod callback;
#[cfg(test)]
mod cancel_tests;
#[cfg(test)]
mod crossing_tests;
#[cfg(test)]
mod default_tests;
#[cfg(test)]
mod ears;
#[cfg(test)]
mod edit_tests;
mod glare;
#[cfg(test)]
mod glare_tests;
pub(crate) mod in_dialog;
mod join;
#[cfg(test)]
mod join_tests;
#[cfg(test)]
mod late_tests;
#[cfg(test)]
mod least_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod lost_tests;
mod machine;
mod modify;
mod offer_answer;
#[cfg(test)]
mod prack_tests;
#[cfg(test)]
mod reason_tests;
mod redirect;
mod reliable;
mod remote_control;
pub(crate) mod server;
pub(crate) mod session;
mod session_timer;
#[cfg(test)]
mod streams_tests;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod target_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unruly_tests;
#[cfg(test)]
mod withdraw_tests;
#[cfg(test)]
mod within_tests;

pub use api::{Session, SessionError};
pub(crate) use callback::Callback;
pub use machine::EndReason;
pub use remote_control::RemoteControl;
pub use session::InviteSession;

use crate::dialogs::{DialogEntry, DialogSet};
use crate::dum::Dum;
use crate::handle::Handle;
use crate::outcome::Outcome;
use crate::refer::ServerRefer;
use stack::contents::sdp::Sdp;
use stack::header::Method;
use stack::message::Message;

/// A call that we make.
#[derive(Debug)]
pub enum ClientInviteSession {}

/// A call that we are asked to take.
#[derive(Debug)]
pub enum ServerInviteSession {}

/// The dialog of a call.
pub(crate) fn dialog_of(dum: &Dum<'_>, call: Handle<InviteSession>) -> Option<Handle<DialogEntry>> {
    dum.core.sessions.get(call).ok()?.dialog
}

/// The dialog set of a call.
pub(crate) fn set_of(dum: &Dum<'_>, call: Handle<InviteSession>) -> Option<Handle<DialogSet>> {
    let this = dum.core.sessions.get(call).ok()?;
    match (this.dialog, this.call) {
        (Some(dialog), _) => Some(dum.core.dialogs.get(dialog).ok()?.set),
        (None, Some(call)) => Some(dum.core.calls.get(call).ok()?.set),
        (None, None) => None,
    }
}

/// From now on a REFER is told how a call goes.
pub(crate) fn follow(dum: &mut Dum<'_>, call: Handle<ClientInviteSession>, refer: Handle<ServerRefer>) {
    if let Ok(this) = dum.session(call.cast()) {
        this.refer = Some(refer);
    }
}

/// Hears of calls.
///
/// Of a call that we make: `on_provisional` and `on_early_media` any number of times, for each fork that answers;
/// `on_connected` and, with the answer, `on_answer`; `on_terminated`. Of one that we are asked to take: `on_new_session`,
/// then `on_offer` or `on_offer_required`; after [`Handle::accept`] `on_connected`, and `on_confirmed` when the ACK has
/// come; `on_terminated`. After `on_terminated` the handle leads nowhere.
///
/// `on_terminated` comes once for each call, and for each fork, whoever ends it: after [`Session::end`] and [`Handle::reject`]
/// as well, and of a call that `on_new_session` has refused. What a message says beside is not told of a call that a handler
/// has just ended.
///
/// Who takes calls needs `on_offer` too: what it offers is [answered](Session::provide_answer) before the call is accepted,
/// and by default refused.
pub trait InviteSessionHandler {
    /// A call came. [`Handle::provisional`], [`Handle::accept`], [`Handle::reject`] or [`Handle::redirect`] answer it, now
    /// or later. By default it is refused with 480.
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, _invite: &Message) {
        let _ = call.reject(dum, 480, |_| {});
    }

    /// A provisional response with a To tag: an early dialog. 100 is not told, nor one without a tag.
    fn on_provisional(&mut self, _dum: &mut Dum<'_>, _call: Handle<ClientInviteSession>, _response: &Message) {}

    /// A provisional response brought a description: what is heard before the call is answered. It may come again, and
    /// counts as the answer if the 2xx brings none.
    fn on_early_media(
        &mut self,
        _dum: &mut Dum<'_>,
        _call: Handle<ClientInviteSession>,
        _sdp: &Sdp,
        _response: &Message,
    ) {
    }

    /// The INVITE of `original` was forked: another peer answers it, in a call of its own. When one of them takes the call,
    /// the others end ([`EndReason::OtherFork`]). [`Session::end`] of one that is not answered ends that one alone, with BYE
    /// (RFC 3261 §15); by default `fork` is bound to `original` ([`Handle::end_together`]): to end either gives up the whole
    /// INVITE, with CANCEL.
    fn on_fork(
        &mut self,
        dum: &mut Dum<'_>,
        _original: Handle<ClientInviteSession>,
        fork: Handle<ClientInviteSession>,
        _response: &Message,
    ) {
        let _ = fork.end_together(dum);
    }

    /// The call is sent elsewhere: a 3xx with targets. By default they are tried, best first, as the same call (RFC 3261
    /// §8.1.3.4); with `false` the call ends ([`EndReason::Redirected`]). A call to a `sips` URI goes to such targets only:
    /// where there is none it ends without a question, and whether another call is made in the clear is for the application
    /// to say.
    fn on_redirected(&mut self, _dum: &mut Dum<'_>, _call: Handle<ClientInviteSession>, _response: &Message) -> bool {
        true
    }

    /// The call is answered: `msg` is the 2xx, the peer's or ours. Once for each call, before [`Self::on_answer`].
    fn on_connected(&mut self, _dum: &mut Dum<'_>, _call: Handle<InviteSession>, _msg: &Message) {}

    /// The ACK for the 2xx by which we took the call has come: the peer has it. Before, this side makes no
    /// re-INVITE ([`SessionError::NotNow`]).
    fn on_confirmed(&mut self, _dum: &mut Dum<'_>, _call: Handle<InviteSession>, _ack: &Message) {}

    /// The peer offers a session, behind [`Self::on_new_session`] or in its 2xx, or a change of it: with re-INVITE, UPDATE or
    /// PRACK; `msg` is what brought it. [`Session::provide_answer`] or [`Session::reject_offer`] is due, now or later, of an
    /// UPDATE or PRACK soon. By default it is refused with 488,
    /// and a call that is not answered yet with it.
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _offer: &Sdp, _msg: &Message) {
        let _ = call.reject_offer(dum, 488);
    }

    /// The peer's INVITE `msg`, the first or one of a change, brought no offer: it asks for ours. [`Session::provide_offer`] or
    /// [`Session::reject_offer`] is due, now or later. By default it is refused with 488.
    fn on_offer_required(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _msg: &Message) {
        let _ = call.reject_offer(dum, 488);
    }

    /// What [`Self::on_offer`] or [`Self::on_offer_required`] has told of a change is not to be answered any more: the peer
    /// has cancelled its re-INVITE (`cancel`), the time that [`Session::provide_answer`] names is over, or it came in the early dialog of an
    /// INVITE of ours that is sent elsewhere, or once more. It is refused by now (487, 488 or 504), and what was agreed before still
    /// counts. [`Session::provide_answer`] and [`Session::reject_offer`] are
    /// [`SessionError::NotNow`]; a change of our own may be offered. It is not told of an offer that ends with its call, as that of
    /// the first INVITE.
    fn on_offer_withdrawn(&mut self, _dum: &mut Dum<'_>, _call: Handle<InviteSession>, _cancel: Option<&Message>) {}

    /// The peer has sent `msg`, an UPDATE without an offer, or a re-INVITE, UPDATE or PRACK that offers what was agreed already:
    /// what is agreed stays as it is, and it is answered with 200 by now. It refreshes the session (RFC 4028 §7.4), may say where
    /// the peer is from now on ([`Session::remote_contact`], RFC 3311 §5.2), or who it is by now (RFC 4916). A re-INVITE
    /// without an offer is told by [`Self::on_offer_required`].
    fn on_refresh(&mut self, _dum: &mut Dum<'_>, _call: Handle<InviteSession>, _msg: &Message) {}

    /// Our offer is answered: that of our INVITE, of our 2xx, or of a change that we have asked for. From now on
    /// [`Session::local_sdp`] and [`Session::remote_sdp`] are what was agreed. `msg` brought it: a response, PRACK or ACK.
    fn on_answer(&mut self, _dum: &mut Dum<'_>, _call: Handle<InviteSession>, _answer: &Sdp, _msg: &Message) {}

    /// Our offer of a change is refused, or nobody answers it: what was agreed before still counts. It is not told where that ends
    /// the call ([`EndReason::Gone`], [`EndReason::Refused`]). A re-INVITE is cancelled
    /// 185 s after its last provisional response: it is told here with its final response, or with 408 when none has come
    /// 64·T1 (32 s) later (RFC 3261 §9.1). One that meets another
    /// on its way (491) is made once more after a while, and told here when that is in vain: ten times in a row, when
    /// what was agreed meanwhile does not fit it, or when a newer one has overtaken it. One in the early dialog of an INVITE that
    /// is sent elsewhere, or once more, is told here with 487, or with the 491 that has put it off.
    fn on_offer_rejected(&mut self, _dum: &mut Dum<'_>, _call: Handle<InviteSession>, _outcome: &Outcome) {}

    /// INFO came in the call (RFC 6086); what is returned is the status that it is answered with. By default 405: without
    /// a handler there is no package that it could be of. [`crate::MasterProfile::add_method`] comes first, and
    /// [`crate::MasterProfile::add_mime_type`] for its bodies.
    fn on_info(&mut self, _dum: &mut Dum<'_>, _call: Handle<InviteSession>, _info: &Message) -> u16 {
        405
    }

    /// MESSAGE came in the call (RFC 3428); what is returned is the status that it is answered with. By default 405. What
    /// comes first is as with [`Self::on_info`].
    fn on_message(&mut self, _dum: &mut Dum<'_>, _call: Handle<InviteSession>, _message: &Message) -> u16 {
        405
    }

    /// The peer asks us to do something with the call, as who clicks in a program does: to answer it or take it back, or
    /// to hold it. What is returned is the status that it is answered with. By default 489.
    /// [`crate::MasterProfile::add_remote_control`] comes first.
    fn on_remote_control(
        &mut self,
        _dum: &mut Dum<'_>,
        _call: Handle<InviteSession>,
        _control: RemoteControl,
        _notify: &Message,
    ) -> u16 {
        489
    }

    /// INFO or MESSAGE of ours was answered, or will never be. Of a PRACK that brought no offer it is told when it was
    /// refused; silence ends the call, and where it cannot be sent that does ([`EndReason::Transport`]). So do 481, 480, and what
    /// says that the dialog leads nowhere ([`EndReason::Gone`], RFC 5057 §5.1), but for two cases: the caller has not been heard
    /// in the dialog yet, and may know nothing of it (481); or the INVITE waits for its final response, which then says what
    /// becomes of it.
    fn on_request_answered(
        &mut self,
        _dum: &mut Dum<'_>,
        _call: Handle<InviteSession>,
        _method: &Method<'_>,
        _outcome: &Outcome,
    ) {
    }

    /// The call is over. `msg` is what ended it, if a message did: the final response, the BYE, the CANCEL. A BYE of ours is
    /// sent by now, and its answer is not told.
    fn on_terminated(
        &mut self,
        _dum: &mut Dum<'_>,
        _call: Handle<InviteSession>,
        _reason: EndReason,
        _msg: Option<&Message>,
    ) {
    }
}
