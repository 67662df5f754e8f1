//! What there is in a dialog, by its name or from another usage of it, and what the application keeps with it.
//!
//! [`Dum::find_invite_session`] and its like have the names of dialogs: [`DialogId`], from a message, or from the value of
//! Replaces or Join. They answer in handlers and commands; from other threads by [`crate::DumHandle::ask`], and
//! [`crate::DialogUsageManager`] has them too. Every usage says which dialog it is in ([`DialogUsage`]), and a dialog which
//! usages are in it.
//!
//! [`AppDialog`] and [`AppDialogSet`] keep what the application puts there ([`AppData`]) until they go, which is when their
//! last usage has ended. A program that counts what it is asked in each dialog:
//! ```
//! use dum::{AppDialog, DialogUsage, Dum, Handle, UsageEnded};
//!
//! fn count(dum: &mut Dum<'_>, usage: impl DialogUsage) -> Result<u32, UsageEnded> {
//!     let dialog: Handle<AppDialog> = usage.dialog(dum).ok_or(UsageEnded)?;
//!     let data = dialog.data(dum)?.get_or_insert_with(|| Box::new(0u32));
//!     let count = data.downcast_mut::<u32>().expect("nothing else is kept here");
//!     *count += 1;
//!     Ok(*count)
//! }
//! ```

use crate::core::Core;
use crate::dialogs::{AppData, DialogEntry as AppDialog, DialogSet as AppDialogSet};
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use crate::invite::{self, ClientInviteSession, InviteSession, ServerInviteSession};
use crate::profile::UserProfile;
use crate::refer::{ClientRefer, ServerRefer};
use crate::subscription::{ClientSubscription, ClientSubscriptionSet, ServerSubscription};
use crate::usage::Usage;
use crate::{Dialog, DialogId, DialogSetId};
use stack::header::{h, p};
use stack::message::Message;
use std::sync::Arc;

impl Core {
    pub(crate) fn find_invite_session(&self, id: &DialogId) -> Option<Handle<InviteSession>> {
        calls(self, self.find_dialog(id)?).next()
    }

    pub(crate) fn find_dialog(&self, id: &DialogId) -> Option<Handle<AppDialog>> {
        self.dialogs.find(&id.call_id, &id.local_tag, &id.remote_tag)
    }

    pub(crate) fn find_target_dialog(&self, request: &Message) -> Option<Handle<AppDialog>> {
        let target = request.header(h::TARGET_DIALOG).ok()?;
        let (local, remote) = (target.param(p::LOCAL_TAG)?, target.param(p::REMOTE_TAG)?);
        self.dialogs.find(target.call_id.as_str(), local, remote)
    }

    pub(crate) fn find_target_call(&self, request: &Message) -> Option<Handle<InviteSession>> {
        calls(self, self.find_target_dialog(request)?).next()
    }
}

impl Dum<'_> {
    /// The call in a dialog: reSIProcate's `findInviteSession`. It is found until it has ended on both sides; whether that is
    /// so on this one is for [`crate::invite::Session::is_alive`] to say.
    pub fn find_invite_session(&self, id: &DialogId) -> Option<Handle<InviteSession>> {
        self.core.find_invite_session(id)
    }

    /// A dialog, for all its usages.
    pub fn find_dialog(&self, id: &DialogId) -> Option<Handle<AppDialog>> {
        self.core.find_dialog(id)
    }

    /// The dialog that a request out of it names in Target-Dialog (RFC 4538), with the tags as this side sees them. Who names
    /// it is its other side, or was told by that: it may be let do what it may do in the dialog itself (§4).
    pub fn find_target_dialog(&self, request: &Message) -> Option<Handle<AppDialog>> {
        self.core.find_target_dialog(request)
    }

    /// Whether this side has begun what a request of the other one belongs to: its dialog, or, as for a NOTIFY in a dialog that the
    /// other side began, the subscription.
    pub fn has_begun(&self, request: &Message) -> bool {
        let dialogs = &self.core.dialogs;
        match dialogs.of_request(request).and_then(|dialog| dialogs.get(dialog).ok()) {
            Some(entry) => {
                let is_subscription =
                    |usage: &&Usage| matches!(usage, Usage::ClientSubscription(_) | Usage::ClientRefer(_));
                entry.dialog.is_ours()
                    || entry.usages.iter().filter(is_subscription).any(|usage| usage.takes(self.core, request))
            }
            // What overtakes the answer to a request of ours, or comes from another fork.
            None => {
                let set = dialogs.set_of_request(request).and_then(|set| dialogs.set(set).ok());
                set.is_some_and(|set| set.creator.is_some())
            }
        }
    }

    /// What a request made: the set of its dialogs.
    pub fn find_dialog_set(&self, id: &DialogSetId) -> Option<Handle<AppDialogSet>> {
        self.core.dialogs.find_set(&id.call_id, &id.local_tag)
    }
}

impl Handle<AppDialog> {
    /// Its state: names, route set, remote target.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn dialog<'d>(self, dum: &'d Dum<'_>) -> Result<&'d Dialog, UsageEnded> {
        Ok(&dum.core.dialogs.get(self)?.dialog)
    }

    /// The set that it belongs to.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn set(self, dum: &Dum<'_>) -> Result<Handle<AppDialogSet>, UsageEnded> {
        Ok(dum.core.dialogs.get(self)?.set)
    }

    /// What the application keeps with it; dropped with it.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn data<'d>(self, dum: &'d mut Dum<'_>) -> Result<&'d mut AppData, UsageEnded> {
        Ok(&mut dum.core.dialogs.get_mut(self)?.data)
    }

    /// Its call.
    pub fn invite_session(self, dum: &Dum<'_>) -> Option<Handle<InviteSession>> {
        calls(dum.core, self).next()
    }

    /// Subscriptions of ours in it, in the order in which they began.
    pub fn client_subscriptions(self, dum: &Dum<'_>) -> impl Iterator<Item = Handle<ClientSubscription>> {
        usages(dum.core, self)
            .filter_map(|usage| if let Usage::ClientSubscription(it) = usage { Some(*it) } else { None })
    }

    /// Subscriptions of the other side in it.
    pub fn server_subscriptions(self, dum: &Dum<'_>) -> impl Iterator<Item = Handle<ServerSubscription>> {
        usages(dum.core, self)
            .filter_map(|usage| if let Usage::ServerSubscription(it) = usage { Some(*it) } else { None })
    }

    /// Transfers that we have asked for in it.
    pub fn client_refers(self, dum: &Dum<'_>) -> impl Iterator<Item = Handle<ClientRefer>> {
        usages(dum.core, self).filter_map(|usage| if let Usage::ClientRefer(it) = usage { Some(*it) } else { None })
    }

    /// Transfers that the other side has asked for in it.
    pub fn server_refers(self, dum: &Dum<'_>) -> impl Iterator<Item = Handle<ServerRefer>> {
        usages(dum.core, self).filter_map(|usage| if let Usage::ServerRefer(it) = usage { Some(*it) } else { None })
    }
}

impl Handle<AppDialogSet> {
    /// Its dialogs: the forks of a request of ours, one of a request that came.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn dialogs<'d>(self, dum: &'d Dum<'_>) -> Result<&'d [Handle<AppDialog>], UsageEnded> {
        Ok(&dum.core.dialogs.set(self)?.dialogs)
    }

    /// The profile by which its requests are sent.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn profile<'d>(self, dum: &'d Dum<'_>) -> Result<&'d Arc<UserProfile>, UsageEnded> {
        Ok(&dum.core.dialogs.set(self)?.profile)
    }

    /// What the application keeps with it; all its dialogs have it in common, and it is dropped behind the last of them.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn data<'d>(self, dum: &'d mut Dum<'_>) -> Result<&'d mut AppData, UsageEnded> {
        Ok(&mut dum.core.dialogs.set_mut(self)?.data)
    }
}

fn usages(core: &Core, dialog: Handle<AppDialog>) -> impl Iterator<Item = &Usage> {
    core.dialogs.get(dialog).ok().into_iter().flat_map(|entry| &entry.usages)
}

fn calls(core: &Core, dialog: Handle<AppDialog>) -> impl Iterator<Item = Handle<InviteSession>> {
    usages(core, dialog).filter_map(|usage| if let Usage::Invite(call) = usage { Some(*call) } else { None })
}

/// A usage that lives in a dialog: reSIProcate's `DialogUsage`.
pub trait DialogUsage: Copy {
    /// The dialog that it is in; none before there is one, and none when the usage has ended.
    fn dialog(self, dum: &Dum<'_>) -> Option<Handle<AppDialog>>;

    /// The set of its dialog. What we begin has one before there is a dialog.
    fn dialog_set(self, dum: &Dum<'_>) -> Option<Handle<AppDialogSet>> {
        self.dialog(dum)?.set(dum).ok()
    }
}

impl DialogUsage for Handle<InviteSession> {
    fn dialog(self, dum: &Dum<'_>) -> Option<Handle<AppDialog>> {
        invite::dialog_of(dum, self)
    }

    fn dialog_set(self, dum: &Dum<'_>) -> Option<Handle<AppDialogSet>> {
        invite::set_of(dum, self)
    }
}

impl DialogUsage for Handle<ClientInviteSession> {
    fn dialog(self, dum: &Dum<'_>) -> Option<Handle<AppDialog>> {
        invite::dialog_of(dum, self.into())
    }

    fn dialog_set(self, dum: &Dum<'_>) -> Option<Handle<AppDialogSet>> {
        invite::set_of(dum, self.into())
    }
}

impl DialogUsage for Handle<ServerInviteSession> {
    fn dialog(self, dum: &Dum<'_>) -> Option<Handle<AppDialog>> {
        invite::dialog_of(dum, self.into())
    }
}

impl DialogUsage for Handle<ClientSubscription> {
    fn dialog(self, dum: &Dum<'_>) -> Option<Handle<AppDialog>> {
        Some(dum.core.client_subscriptions.get(self).ok()?.dialog)
    }
}

impl DialogUsage for Handle<ServerSubscription> {
    fn dialog(self, dum: &Dum<'_>) -> Option<Handle<AppDialog>> {
        dum.core.server_subscriptions.get(self).ok()?.dialog
    }
}

impl DialogUsage for Handle<ClientSubscriptionSet> {
    /// None: its [`ClientSubscription`]s have dialogs.
    fn dialog(self, _: &Dum<'_>) -> Option<Handle<AppDialog>> {
        None
    }

    fn dialog_set(self, dum: &Dum<'_>) -> Option<Handle<AppDialogSet>> {
        dum.core.subscription_sets.get(self).ok()?.set
    }
}

impl DialogUsage for Handle<ClientRefer> {
    fn dialog(self, dum: &Dum<'_>) -> Option<Handle<AppDialog>> {
        dum.core.client_refers.get(self).ok()?.dialog
    }

    fn dialog_set(self, dum: &Dum<'_>) -> Option<Handle<AppDialogSet>> {
        dum.core.client_refers.get(self).ok()?.set().or_else(|| self.dialog(dum)?.set(dum).ok())
    }
}

impl DialogUsage for Handle<ServerRefer> {
    fn dialog(self, dum: &Dum<'_>) -> Option<Handle<AppDialog>> {
        dum.core.server_refers.get(self).ok()?.dialog
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
