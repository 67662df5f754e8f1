//! Messages that we send to somebody, one after the other.

use super::Callback;
use crate::core::Core;
use crate::dum::Dum;
use crate::handle::{Handle, NoRoom, UsageEnded};
use crate::outcome::Outcome;
use crate::profile::UserProfile;
use crate::usage::Usage;
use stack::contents::Contents;
use stack::header::{Method, NameAddr, h};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions};
use std::collections::VecDeque;
use std::sync::Arc;

/// Messages that wait in one [`ClientPagerMessage`], with the one under way.
pub const MAX_PAGES: usize = 32;

/// Messages to somebody, until the application ends it.
#[derive(Debug)]
pub struct ClientPagerMessage {
    pub(crate) profile: Arc<UserProfile>,
    /// What all of them have; CSeq is that of the last.
    request: Box<Message>,
    cseq: u32,
    transaction: Option<ClientTransaction>,
    /// The first one is under way.
    pages: VecDeque<Contents>,
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PagerError {
    /// The usage has ended.
    #[error(transparent)]
    Ended(#[from] UsageEnded),
    /// [`MAX_PAGES`] wait already.
    #[error("too many messages wait")]
    Full,
}

impl Dum<'_> {
    /// Somebody to send messages to; nothing is sent yet. It is there until [`Handle::end`]: who sends one message ends it when
    /// that is answered.
    ///
    /// # Errors
    /// [`NoRoom`]: [`crate::Limits::requests`] of them are there.
    pub fn make_pager(
        &mut self,
        profile: &Arc<UserProfile>,
        target: &NameAddr<'_>,
    ) -> Result<Handle<ClientPagerMessage>, NoRoom> {
        let request = Box::new(self.make_request(profile, &Method::Message, target));
        let (transaction, pages) = (None, VecDeque::new());
        self.core.pagers.insert(ClientPagerMessage { profile: profile.clone(), request, cseq: 0, transaction, pages })
    }
}

/// The message under way was sent once more, with another number.
pub(crate) fn resent(core: &mut Core, pager: Handle<ClientPagerMessage>, new: ClientTransaction, cseq: u32) {
    if let Ok(this) = core.pagers.get_mut(pager) {
        (this.transaction, this.cseq) = (Some(new), cseq);
    }
}

impl Handle<ClientPagerMessage> {
    /// Sends a message, after those before it are answered. What comes of it is told to [`super::PagerMessageHandler`].
    ///
    /// # Errors
    /// [`PagerError::Full`]: [`MAX_PAGES`] wait already. [`PagerError::Ended`].
    pub fn page(self, dum: &mut Dum<'_>, page: Contents) -> Result<(), PagerError> {
        let this = dum.core.pagers.get_mut(self)?;
        if this.pages.len() >= MAX_PAGES {
            return Err(PagerError::Full);
        }
        this.pages.push_back(page);
        send_next(dum, self);
        Ok(())
    }

    /// Ends it. What waits is not sent; of what is under way nothing more is heard.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn end(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        dum.core.pagers.remove(self).map(drop)
    }
}

/// Sends the first of the queue, if none is under way.
fn send_next(dum: &mut Dum<'_>, pager: Handle<ClientPagerMessage>) {
    let Ok(this) = dum.core.pagers.get_mut(pager) else { return };
    let (Some(page), None) = (this.pages.front(), this.transaction) else { return };
    this.cseq = this.cseq.saturating_add(1);
    let mut msg = (*this.request).clone();
    msg.set(h::CSEQ, &format_args!("{} MESSAGE", this.cseq));
    msg.set_body(Some(&page.media_type().to_string()), page.print());
    let transaction = dum.send(Usage::Pager(pager), msg, SendOptions::default());
    if let Ok(this) = dum.core.pagers.get_mut(pager) {
        this.transaction = Some(transaction);
    }
}

/// A response, or none.
pub(crate) fn outcome(dum: &mut Dum<'_>, pager: Handle<ClientPagerMessage>, outcome: Outcome) {
    let Ok(this) = dum.core.pagers.get_mut(pager) else { return };
    if outcome.is_provisional() {
        return;
    }
    this.transaction = None;
    let Some(page) = this.pages.pop_front() else { return };
    dum.call_back(Callback::Ended { pager, outcome, page });
    send_next(dum, pager);
}
