//! Transfer: REFER (RFC 3515) and its implicit subscription, of both sides.
//!
//! ```text
//!   client:  Sent ──2xx──► Subscribed ──NOTIFY: progress──► ... ──NOTIFY terminated──► ended
//!             └──else──► rejected   └──no NOTIFY, time is up──► ended
//!   server:  Asked ──accept: 202──► Active ──NOTIFY for each status──► ... ──final status──► ended
//!             └──reject──► ended       ├──norefersub: 202 and no more (RFC 4488)──► ended
//!                                      ├──SUBSCRIBE with Expires 0: NOTIFY terminated──► ended
//!                                      └──nothing to tell for 180 s, or as long as a SUBSCRIBE
//!                                         was granted: NOTIFY terminated──► ended
//! ```
//!
//! The subscription that a REFER makes is one as any other (RFC 3515 §2.4.4), known by the CSeq of its REFER: who referred
//! may prolong it and end it by SUBSCRIBE ([`Handle::refresh`], [`Handle::end`]), which is answered here by itself. Nothing
//! else makes one: SUBSCRIBE for `refer` out of a dialog is answered 403, and 481 in a dialog where there is none with its id.
//!
//! One NOTIFY is under way at a time, as in [`crate::subscription`]; while it is, the last status takes the place of those
//! before.
//!
//! It is a usage of its own in the call's dialog (RFC 5057): the call may end, and the rest of the transfer is still told. A
//! REFER out of a call ([`crate::Dum::send_refer`]) has a dialog of its own, which its first NOTIFY makes.

pub(crate) mod client;
pub(crate) mod server;
#[cfg(test)]
mod subscribe_tests;
#[cfg(test)]
mod tests;

pub use client::ClientRefer;
pub use server::ServerRefer;

use crate::application::Application;
use crate::dum::Dum;
use crate::handle::Handle;
use crate::invite::InviteSession;
use crate::outcome::Outcome;
use stack::header::{h, p};
use stack::message::Message;
use std::sync::Arc;
use std::time::Duration;

/// How long the implicit subscription lasts if nobody says otherwise.
pub(crate) const EXPIRES: Duration = Duration::from_secs(180);

/// The event package (RFC 3515 §2.4.4).
pub(crate) const EVENT: &str = "refer";

/// The type of its bodies.
const BODY: &str = "message/sipfrag";

/// The REFER whose events a message is about (RFC 3515 §2.4.6), if it names one; none if it is about other events.
pub(crate) fn id_of(msg: &Message) -> Option<Option<u32>> {
    let event = msg.header(h::EVENT).ok().filter(|event| event.is(EVENT))?;
    // What is no number is no CSeq, which stays below 2^31.
    event.param(p::ID).map(|id| id.parse().ok()).map_or(Some(None), |id| Some(Some(id.unwrap_or(u32::MAX))))
}

/// Hears of transfers. [`crate::MasterProfile::add_transfer`] comes first.
///
/// Of one that we ask for: `on_refer_accepted`, `on_refer_progress` for each NOTIFY, the last one included, and
/// `on_refer_ended`; or `on_refer_rejected` alone. The call that it was asked in goes on, whatever is told, unless
/// the dialog is lost: who transfers ends
/// it when the peer has got where it was sent, and keeps its handle for that, as at the end the REFER is no longer in the
/// call's dialog.
pub trait ReferHandler {
    /// The peer asks us to make a request elsewhere; `call` is the call that it asks in, or that it names in Target-Dialog
    /// (RFC 4538). [`Handle::follow`], [`Handle::accept`] or [`Handle::reject`] answer it, now or within 32 s. By default it
    /// is refused with 603. Anybody may send one out of a call: who follows it without asking calls whom strangers want.
    fn on_refer(
        &mut self,
        dum: &mut Dum<'_>,
        refer: Handle<ServerRefer>,
        _call: Option<Handle<InviteSession>>,
        _msg: &Message,
    ) {
        let _ = refer.reject(dum, 603);
    }

    /// Our REFER is accepted. Without a subscription this is all that is heard of it, and its usage has ended.
    fn on_refer_accepted(&mut self, _dum: &mut Dum<'_>, _refer: Handle<ClientRefer>, _response: &Message) {}

    /// Our REFER is refused, or not answered; its usage has ended.
    fn on_refer_rejected(&mut self, _dum: &mut Dum<'_>, _refer: Handle<ClientRefer>, _outcome: &Outcome) {}

    /// How far the peer's request is: the status that it was answered with last; 100 as long as it was not. `notify` is what
    /// says so, with the rest of that response as far as the peer tells it (RFC 3515 §2.4.5).
    fn on_refer_progress(&mut self, _dum: &mut Dum<'_>, _refer: Handle<ClientRefer>, _status: u16, _notify: &Message) {}

    /// The peer tells no more; the usage has ended. `status` is the last that was told: a 2xx if the peer got where it was
    /// sent, and none or a 1xx if that is not known. `msg` is what ended it, if a message did: the last NOTIFY, or a response.
    fn on_refer_ended(
        &mut self,
        _dum: &mut Dum<'_>,
        _refer: Handle<ClientRefer>,
        _status: Option<u16>,
        _msg: Option<&Message>,
    ) {
    }
}

/// What the application is to be told.
pub(crate) enum Callback {
    Asked { refer: Handle<ServerRefer>, call: Option<Handle<InviteSession>>, msg: Arc<Message> },
    Accepted { refer: Handle<ClientRefer>, msg: Arc<Message> },
    Rejected { refer: Handle<ClientRefer>, outcome: Outcome },
    Progress { refer: Handle<ClientRefer>, status: u16, msg: Arc<Message> },
    Ended { refer: Handle<ClientRefer>, status: Option<u16>, msg: Option<Arc<Message>> },
}

impl Callback {
    pub(crate) fn deliver(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        let Some(handler) = app.refers() else {
            if let Callback::Asked { refer, .. } = self {
                // RFC 3261 §8.2.1.
                let _ = refer.reject(dum, 405);
            }
            return;
        };
        match self {
            Callback::Asked { refer, call, msg } => handler.on_refer(dum, refer, call, &msg),
            Callback::Accepted { refer, msg } => handler.on_refer_accepted(dum, refer, &msg),
            Callback::Rejected { refer, outcome } => handler.on_refer_rejected(dum, refer, &outcome),
            Callback::Progress { refer, status, msg } => handler.on_refer_progress(dum, refer, status, &msg),
            Callback::Ended { refer, status, msg } => handler.on_refer_ended(dum, refer, status, msg.as_deref()),
        }
    }
}
