//! What the application is told of a call.

use super::{EndReason, InviteSession, InviteSessionHandler, RemoteControl, ServerInviteSession, Session};
use super::{in_dialog, redirect, reliable, server};
use crate::application::Application;
use crate::dum::Dum;
use crate::handle::Handle;
use crate::outcome::Outcome;
use stack::contents::sdp::Sdp;
use stack::header::Method;
use stack::message::Message;
use stack::tu::ServerTransaction;
use std::sync::Arc;

/// Something to be told of a call.
pub(crate) struct Callback {
    pub(super) call: Handle<InviteSession>,
    pub(super) what: What,
    pub(super) msg: Option<Arc<Message>>,
}

pub(super) enum What {
    New,
    Provisional,
    EarlyMedia(Box<Sdp>),
    Fork(Handle<InviteSession>),
    Redirected,
    Connected,
    Confirmed,
    Offer(Box<Sdp>),
    OfferRequired,
    Answer(Box<Sdp>),
    Refresh,
    OfferRejected(Outcome),
    OfferWithdrawn,
    /// INFO, MESSAGE or a remote control's NOTIFY, and where its answer goes.
    Request(ServerTransaction),
    Answered(Method<'static>, Outcome),
    /// Nothing: behind what is told of a reliable provisional response its PRACK goes out.
    Acknowledge,
    Terminated(EndReason),
}

impl Callback {
    pub(crate) fn deliver(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        if matches!(self.what, What::Acknowledge) {
            return reliable::acknowledge_now(dum, self.call);
        }
        match app.invite_sessions() {
            Some(handler) => self.tell(dum, handler),
            // Nobody takes calls: RFC 3261 §8.2.1.
            None if matches!(self.what, What::New) => {
                let _ = Handle::<ServerInviteSession>::reject(self.call.cast(), dum, 405, |_| {});
            }
            None => self.default(dum),
        }
    }

    /// Nobody hears of the call.
    fn default(self, dum: &mut Dum<'_>) {
        let Callback { call, what, msg } = self;
        match (what, msg) {
            // Nor is anybody against it.
            (What::Redirected, Some(response)) => redirect::follow(dum, call, &response),
            (What::Request(transaction), Some(msg)) => {
                dum.refuse(transaction, &msg, if call.is_alive(dum) { 405 } else { 481 });
            }
            (What::Offer(_) | What::OfferRequired, _) => drop(call.reject_offer(dum, 488)),
            _ => {}
        }
    }

    fn tell(self, dum: &mut Dum<'_>, handler: &mut dyn InviteSessionHandler) {
        let Callback { call, what, msg } = self;
        if let (What::Redirected, Some(response)) = (&what, &msg) {
            return match handler.on_redirected(dum, call.cast(), response) {
                true => redirect::follow(dum, call, response),
                false => redirect::decline(dum, call, response),
            };
        }
        let msg = msg.as_deref();
        // What a handler did may have ended the call before the rest of the same message is told.
        if !matches!(what, What::Terminated(_)) && !call.is_alive(dum) {
            if let (What::Request(transaction), Some(msg)) = (what, msg) {
                dum.refuse(transaction, msg, 481);
            }
            return;
        }
        match (what, msg) {
            (What::New, Some(invite)) => {
                handler.on_new_session(dum, call.cast(), invite);
                let _ = server::insist(dum, call.cast());
            }
            (What::Provisional, Some(msg)) => handler.on_provisional(dum, call.cast(), msg),
            (What::EarlyMedia(sdp), Some(msg)) => handler.on_early_media(dum, call.cast(), &sdp, msg),
            (What::Fork(original), Some(msg)) => handler.on_fork(dum, original.cast(), call.cast(), msg),
            (What::Connected, Some(msg)) => handler.on_connected(dum, call, msg),
            (What::Confirmed, Some(ack)) => handler.on_confirmed(dum, call, ack),
            (What::Offer(sdp), Some(msg)) => handler.on_offer(dum, call, &sdp, msg),
            (What::OfferRequired, Some(msg)) => handler.on_offer_required(dum, call, msg),
            (What::Answer(sdp), Some(msg)) => handler.on_answer(dum, call, &sdp, msg),
            (What::Refresh, Some(msg)) => handler.on_refresh(dum, call, msg),
            (What::OfferWithdrawn, cancel) => handler.on_offer_withdrawn(dum, call, cancel),
            (What::OfferRejected(outcome), _) => handler.on_offer_rejected(dum, call, &outcome),
            (What::Request(transaction), Some(msg)) => {
                let status = match msg.method() {
                    Some(Method::Info) => handler.on_info(dum, call, msg),
                    Some(Method::Notify) => {
                        let control = RemoteControl::of(msg);
                        control.map_or(489, |control| handler.on_remote_control(dum, call, control, msg))
                    }
                    _ => handler.on_message(dum, call, msg),
                };
                let status = status.clamp(200, 699);
                if status < 300 {
                    in_dialog::accepts(dum, call, msg);
                }
                dum.refuse(transaction, msg, status);
            }
            (What::Answered(method, outcome), _) => handler.on_request_answered(dum, call, &method, &outcome),
            (What::Terminated(reason), msg) => handler.on_terminated(dum, call, reason, msg),
            (What::Redirected | What::Acknowledge, _) => {}
            // These come with a message.
            (_, None) => {}
        }
    }
}
