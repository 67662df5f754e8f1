//! Messages without a session: MESSAGE out of a dialog (RFC 3428; reSIProcate's `ClientPagerMessage` and
//! `ServerPagerMessage`).
//!
//! ```text
//!   client:  Idle ──page──► Sending ──any final response, or none──► the next of the queue, or Idle
//!                              └──page──► one more in the queue
//!   server:  received ──accept, reject──► ended
//! ```
//!
//! One MESSAGE of a [`ClientPagerMessage`] is under way at a time (RFC 3428 §8), so they arrive in order.

pub(crate) mod client;
#[cfg(test)]
mod tests;

pub use client::{ClientPagerMessage, MAX_PAGES, PagerError};

use crate::application::Application;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use crate::out_of_dialog::ServerOutOfDialogRequest;
use crate::outcome::Outcome;
use stack::contents::Contents;
use stack::message::Message;

/// A MESSAGE that was received out of a dialog, until it is answered.
#[derive(Debug)]
pub enum ServerPagerMessage {}

/// Hears of messages out of a dialog.
pub trait PagerMessageHandler {
    /// A page was accepted; the next one is under way already.
    fn on_success(&mut self, _dum: &mut Dum<'_>, _pager: Handle<ClientPagerMessage>, _outcome: &Outcome) {}

    /// A page was refused, or not answered (408, 503): what it said comes back. The next one is under way already; whoever
    /// gives up on the target calls [`Handle::end`].
    fn on_failure(
        &mut self,
        _dum: &mut Dum<'_>,
        _pager: Handle<ClientPagerMessage>,
        _outcome: &Outcome,
        _page: &Contents,
    ) {
    }

    /// A message came. It is to be answered by [`Handle::accept`] or [`Handle::reject`], now or within 32 s. By default
    /// it is rejected with 405.
    fn on_message_arrived(&mut self, dum: &mut Dum<'_>, pager: Handle<ServerPagerMessage>, _msg: &Message) {
        let _ = pager.reject(dum, 405, |_| {});
    }
}

impl Handle<ServerPagerMessage> {
    /// Answers with a 2xx: 200 if somebody has it, 202 if somebody will (RFC 3428 §7). The usage ends.
    ///
    /// # Errors
    /// [`UsageEnded`]: it was answered, or nobody waits for an answer any more.
    pub fn accept(self, dum: &mut Dum<'_>, status: u16) -> Result<(), UsageEnded> {
        self.cast::<ServerOutOfDialogRequest>().accept(dum, status, |_| {})
    }

    /// Answers with a 3xx to 6xx, to which `edit` adds what it is to say; the usage ends.
    ///
    /// # Errors
    /// [`UsageEnded`]: it was answered, or nobody waits for an answer any more.
    pub fn reject(self, dum: &mut Dum<'_>, status: u16, edit: impl FnOnce(&mut Message)) -> Result<(), UsageEnded> {
        self.cast::<ServerOutOfDialogRequest>().reject(dum, status, edit)
    }
}

/// What the application is to be told.
pub(crate) enum Callback {
    Ended { pager: Handle<ClientPagerMessage>, outcome: Outcome, page: Contents },
}

impl Callback {
    pub(crate) fn deliver(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        let (Some(handler), Callback::Ended { pager, outcome, page }) = (app.pager_messages(), self) else { return };
        if outcome.is_success() {
            handler.on_success(dum, pager, &outcome);
        } else {
            handler.on_failure(dum, pager, &outcome, &page);
        }
    }
}
