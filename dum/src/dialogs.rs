//! Dialog sets and their dialogs: which there are, and how they are found.
//!
//! A set is what one request made: the forks of an INVITE or SUBSCRIBE that we sent, the one dialog of a request that we
//! received. It stays as long as its creator or a dialog of it; a dialog stays as long as a usage is in it (RFC 5057).

use crate::dialog::Dialog;
use crate::handle::{Handle, NoRoom, UsageEnded, Usages};
use crate::profile::UserProfile;
use crate::usage::Usage;
use rutil::{HashMap, Keyed, Rng};
use siphasher::sip128::{Hasher128, SipHasher13};
use smallvec::SmallVec;
use stack::header::{h, p};
use stack::message::Message;
use std::any::Any;
use std::hash::Hasher;
use std::sync::Arc;

/// Dialogs of one set: a request that forks further is answered to nobody (its 2xx are ended, RFC 3261 §13.2.2.4).
pub(crate) const MAX_FORKS: usize = 32;

/// Usages of one dialog.
pub(crate) const MAX_USAGES: usize = 32;

/// What the application keeps with a [`crate::AppDialog`] or a [`crate::AppDialogSet`]: nothing at first, then whatever it
/// puts there. It is dropped with its dialog or set.
pub type AppData = Option<Box<dyn Any + Send>>;

/// All dialogs that one request made, and what the application keeps with them: the forks of an INVITE, SUBSCRIBE or REFER
/// of ours, the one dialog of a request that came.
pub struct DialogSet {
    key: u128,
    pub(crate) profile: Arc<UserProfile>,
    /// Who hears of what is in none of its dialogs: the usage that sent the request, as long as it waits for more.
    pub(crate) creator: Option<Usage>,
    pub(crate) dialogs: SmallVec<[Handle<DialogEntry>; 1]>,
    pub(crate) data: AppData,
}

/// A dialog with its usages, and what the application keeps with it.
pub struct DialogEntry {
    key: u128,
    pub(crate) set: Handle<DialogSet>,
    pub(crate) dialog: Dialog,
    pub(crate) usages: SmallVec<[Usage; 2]>,
    pub(crate) data: AppData,
}

/// The tables. Dialogs are found by a keyed hash of what they are known by: sixteen octets instead of three texts, and no
/// peer can make two that meet.
pub(crate) struct Dialogs {
    secret: (u64, u64),
    sets: Usages<DialogSet>,
    dialogs: Usages<DialogEntry>,
    by_set: HashMap<u128, Handle<DialogSet>>,
    by_dialog: HashMap<u128, Handle<DialogEntry>>,
}

impl Dialogs {
    pub(crate) fn new(limit: usize, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        Dialogs {
            secret: (rng.next_u64(), rng.next_u64()),
            sets: Usages::new(limit),
            dialogs: Usages::new(limit.saturating_mul(2)),
            by_set: HashMap::with_hasher(hasher.clone()),
            by_dialog: HashMap::with_hasher(hasher),
        }
    }

    /// Begins a set: for a request that is sent (its From tag is the local tag), or that was received.
    pub(crate) fn open(
        &mut self,
        call_id: &str,
        local_tag: &str,
        profile: Arc<UserProfile>,
        creator: Option<Usage>,
    ) -> Result<Handle<DialogSet>, NoRoom> {
        let key = self.key(call_id, local_tag, None);
        let set = self.sets.insert(DialogSet { key, profile, creator, dialogs: SmallVec::new(), data: None })?;
        self.by_set.insert(key, set);
        Ok(set)
    }

    /// Whether another set may begin.
    pub(crate) fn have_room(&self) -> bool {
        !self.sets.is_full()
    }

    /// Adds a dialog with its first usage to a set.
    pub(crate) fn add(
        &mut self,
        set: Handle<DialogSet>,
        dialog: Dialog,
        usage: Usage,
    ) -> Result<Handle<DialogEntry>, NoRoom> {
        let id = dialog.id();
        let key = self.key(&id.call_id, &id.local_tag, Some(&id.remote_tag));
        if self.sets.get(set).map_err(|_| NoRoom)?.dialogs.len() == MAX_FORKS || self.by_dialog.contains_key(&key) {
            return Err(NoRoom);
        }
        let usages = SmallVec::from_iter([usage]);
        let entry = self.dialogs.insert(DialogEntry { key, set, dialog, usages, data: None })?;
        self.by_dialog.insert(key, entry);
        if let Ok(set) = self.sets.get_mut(set) {
            set.dialogs.push(entry);
        }
        Ok(entry)
    }

    /// A further usage in a dialog (RFC 5057).
    pub(crate) fn join(&mut self, dialog: Handle<DialogEntry>, usage: Usage) -> Result<(), NoRoom> {
        let entry = self.dialogs.get_mut(dialog).map_err(|_| NoRoom)?;
        if entry.usages.len() == MAX_USAGES {
            return Err(NoRoom);
        }
        entry.usages.push(usage);
        Ok(())
    }

    /// A usage ends: the dialog goes with its last one, and the set with its last dialog and its creator.
    pub(crate) fn leave(&mut self, dialog: Handle<DialogEntry>, usage: Usage) {
        let Ok(entry) = self.dialogs.get_mut(dialog) else { return };
        entry.usages.retain(|u| *u != usage);
        if !entry.usages.is_empty() {
            return;
        }
        let (key, set) = (entry.key, entry.set);
        let _ = self.dialogs.remove(dialog);
        self.by_dialog.remove(&key);
        if let Ok(set) = self.sets.get_mut(set) {
            set.dialogs.retain(|d| *d != dialog);
        }
        self.sweep(set);
    }

    /// The creator of a set waits for nothing more.
    pub(crate) fn close(&mut self, set: Handle<DialogSet>) {
        if let Ok(entry) = self.sets.get_mut(set) {
            entry.creator = None;
        }
        self.sweep(set);
    }

    fn sweep(&mut self, handle: Handle<DialogSet>) {
        let Ok(set) = self.sets.get(handle) else { return };
        if set.creator.is_none() && set.dialogs.is_empty() {
            let key = set.key;
            let _ = self.sets.remove(handle);
            if self.by_set.get(&key) == Some(&handle) {
                self.by_set.remove(&key);
            }
        }
    }

    /// The dialog that a request came in; none for one without a To tag.
    pub(crate) fn of_request(&self, request: &Message) -> Option<Handle<DialogEntry>> {
        self.by_dialog.get(&self.key_of(request, true, true)?).copied()
    }

    /// The dialog that a response is in.
    pub(crate) fn of_response(&self, response: &Message) -> Option<Handle<DialogEntry>> {
        self.by_dialog.get(&self.key_of(response, false, true)?).copied()
    }

    /// The set that a request is meant for: its To tag is ours, its From tag may be one that we have not heard of.
    pub(crate) fn set_of_request(&self, request: &Message) -> Option<Handle<DialogSet>> {
        self.by_set.get(&self.key_of(request, true, false)?).copied()
    }

    /// A dialog by what it is known by.
    pub(crate) fn find(&self, call_id: &str, local_tag: &str, remote_tag: &str) -> Option<Handle<DialogEntry>> {
        self.by_dialog.get(&self.key(call_id, local_tag, Some(remote_tag))).copied()
    }

    /// A set by what it is known by.
    pub(crate) fn find_set(&self, call_id: &str, local_tag: &str) -> Option<Handle<DialogSet>> {
        self.by_set.get(&self.key(call_id, local_tag, None)).copied()
    }

    /// Whether a request of ours would begin a set that is there.
    pub(crate) fn is_known(&self, request: &Message) -> bool {
        self.key_of_request(request).is_some_and(|key| self.by_set.contains_key(&key))
    }

    pub(crate) fn set(&self, set: Handle<DialogSet>) -> Result<&DialogSet, UsageEnded> {
        self.sets.get(set)
    }

    pub(crate) fn set_mut(&mut self, set: Handle<DialogSet>) -> Result<&mut DialogSet, UsageEnded> {
        self.sets.get_mut(set)
    }

    pub(crate) fn get(&self, dialog: Handle<DialogEntry>) -> Result<&DialogEntry, UsageEnded> {
        self.dialogs.get(dialog)
    }

    pub(crate) fn get_mut(&mut self, dialog: Handle<DialogEntry>) -> Result<&mut DialogEntry, UsageEnded> {
        self.dialogs.get_mut(dialog)
    }

    /// A request in a dialog is accepted: it may bring a new remote target.
    pub(crate) fn accepted(&mut self, dialog: Handle<DialogEntry>, request: &Message) {
        if let Ok(entry) = self.get_mut(dialog) {
            entry.dialog.refresh_target(request);
        }
    }

    /// A response to a request of ours in a dialog: it may bring a new remote target. A Contact that cannot be read leaves
    /// the target as it is.
    pub(crate) fn answered(&mut self, dialog: Handle<DialogEntry>, response: &Message) {
        if let Ok(entry) = self.get_mut(dialog) {
            let _ = entry.dialog.receive_response(response);
        }
    }

    /// The profile of a dialog's set.
    pub(crate) fn profile_of(&self, dialog: Handle<DialogEntry>) -> Result<&Arc<UserProfile>, UsageEnded> {
        Ok(&self.set(self.get(dialog)?.set)?.profile)
    }

    /// By what a request of ours and its responses are known, in a dialog or out of one: Call-ID and From tag.
    pub(crate) fn key_of_request(&self, msg: &Message) -> Option<u128> {
        self.key_of(msg, false, false)
    }

    /// Sets and dialogs.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.sets.len(), self.dialogs.len())
    }

    /// The key of a message: `received` requests have our tag in To, responses in From.
    fn key_of(&self, msg: &Message, received: bool, whole: bool) -> Option<u128> {
        let (from, to) = (msg.params_of(h::FROM).ok()?, msg.params_of(h::TO).ok()?);
        let (local, remote) = if received { (&to, &from) } else { (&from, &to) };
        let call_id = msg.header(h::CALL_ID).ok()?;
        // A peer of RFC 2543 gives no tag; we always do.
        let remote = whole.then(|| remote.param(p::TAG).unwrap_or_default());
        Some(self.key(call_id.as_str(), local.param(p::TAG)?, remote))
    }

    fn key(&self, call_id: &str, local_tag: &str, remote_tag: Option<&str>) -> u128 {
        let mut hash = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        for part in [Some(call_id), Some(local_tag), remote_tag].into_iter().flatten() {
            hash.write_usize(part.len());
            hash.write(part.as_bytes());
        }
        hash.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out_of_dialog::tests::client;
    use stack::header::{HeaderValue, NameAddr};
    use stack::helper;

    fn addr(text: &str) -> NameAddr<'_> {
        NameAddr::parse(text).unwrap()
    }

    fn invite() -> Message {
        let (bob, alice, contact) = (addr("<sip:bob@b>"), addr("<sip:alice@a>"), addr("<sip:alice@192.0.2.1>"));
        helper::make_invite(&bob, &alice, &contact, &mut Rng::from_seed(1))
    }

    fn ringing(invite: &Message, tag: &str) -> Message {
        let mut msg = helper::make_response(invite, 180, tag);
        msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
        msg
    }

    /// Tables with the set of an INVITE.
    fn calling(limit: usize) -> (Dialogs, Message, Handle<DialogSet>, Usage) {
        let mut dialogs = Dialogs::new(limit, &mut Rng::from_seed(2));
        let usage = Usage::ClientOutOfDialog(Usages::new(1).insert(client()).unwrap());
        let invite = invite();
        let tag = invite.header(h::FROM).unwrap().param(p::TAG).unwrap().to_owned();
        let id = invite.header(h::CALL_ID).unwrap().to_string();
        let set = dialogs.open(&id, &tag, Arc::default(), Some(usage)).unwrap();
        (dialogs, invite, set, usage)
    }

    #[test]
    fn forks_are_dialogs_of_one_set_and_found_by_both_directions() {
        let (mut dialogs, invite, set, usage) = calling(10);
        let mut both = Vec::new();
        for tag in ["fork1", "fork2"] {
            let mut dialog = Dialog::uac(&invite, &ringing(&invite, tag)).unwrap();
            let request = dialog.make_request(&stack::header::Method::Bye);
            let entry = dialogs.add(set, dialog, usage).unwrap();
            assert_eq!(dialogs.of_response(&ringing(&invite, tag)), Some(entry));
            both.push((entry, request));
        }
        assert_eq!(dialogs.of_response(&ringing(&invite, "fork3")), None);
        assert_eq!(dialogs.len(), (1, 2));
        // What the other side sends has the tags the other way round.
        let mut bye = both[0].1.clone();
        let (from, to) = (bye.header(h::FROM).unwrap().into_owned(), bye.header(h::TO).unwrap().into_owned());
        bye.set(h::FROM, &to);
        bye.set(h::TO, &from);
        assert_eq!(dialogs.of_request(&bye), Some(both[0].0));
        bye.set(h::FROM, "<sip:bob@b>;tag=fork3");
        assert_eq!((dialogs.of_request(&bye), dialogs.set_of_request(&bye)), (None, Some(set)));
        bye.set(h::TO, "<sip:alice@a>");
        assert_eq!((dialogs.of_request(&bye), dialogs.set_of_request(&bye)), (None, None));
    }

    #[test]
    fn a_dialog_goes_with_its_last_usage_and_the_set_with_the_last_dialog() {
        let (mut dialogs, invite, set, usage) = calling(10);
        let other = Usage::ClientOutOfDialog({
            let mut usages = Usages::new(2);
            usages.insert(client()).unwrap();
            usages.insert(client()).unwrap()
        });
        let entry = dialogs.add(set, Dialog::uac(&invite, &ringing(&invite, "x")).unwrap(), usage).unwrap();
        dialogs.join(entry, other).unwrap();
        dialogs.leave(entry, usage);
        assert!(dialogs.get(entry).is_ok() && dialogs.of_response(&ringing(&invite, "x")).is_some());
        dialogs.leave(entry, other);
        assert_eq!((dialogs.get(entry).err(), dialogs.len()), (Some(UsageEnded), (1, 0)));
        assert_eq!(dialogs.of_response(&ringing(&invite, "x")), None);
        dialogs.close(set);
        assert_eq!((dialogs.set(set).err(), dialogs.len()), (Some(UsageEnded), (0, 0)));
        // Twice does nothing.
        dialogs.close(set);
        dialogs.leave(entry, other);
    }

    #[test]
    fn what_a_peer_can_make_grow_has_a_limit() {
        let (mut dialogs, invite, set, usage) = calling(1);
        assert_eq!(dialogs.open("other", "tag", Arc::default(), None), Err(NoRoom));
        let (mut dialogs, invite, set, usage) = (Dialogs { dialogs: Usages::new(100), ..dialogs }, invite, set, usage);
        let mut fork = |n: usize| {
            let tag = format!("fork{n}");
            dialogs.add(set, Dialog::uac(&invite, &ringing(&invite, &tag)).unwrap(), usage)
        };
        let first = fork(0).unwrap();
        assert_eq!(fork(0), Err(NoRoom), "the same dialog");
        assert!((1..MAX_FORKS).all(|n| fork(n).is_ok()));
        assert_eq!(fork(MAX_FORKS), Err(NoRoom));
        assert!((1..MAX_USAGES).all(|_| dialogs.join(first, usage).is_ok()));
        assert_eq!(dialogs.join(first, usage), Err(NoRoom));
    }
}
