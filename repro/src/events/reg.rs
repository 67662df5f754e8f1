//! The event package `reg` (RFC 3680): who is registered, and what becomes of it.
//!
//! A subscriber is told everything first, then what has changed. One NOTIFY is under way at a time: what changes
//! meanwhile is kept, of each contact the last. After a NOTIFY there is none for five seconds (RFC 3680 §4.10), but the
//! rest of what did not fit into it.

use super::compositor::Counted;
use super::document::Writer;
use super::subscriber::{is_fetch, lead, resource_of};
use crate::gruu_token::GruuTokens;
use crate::location::{Changes, Watcher as By};
use crate::proxy::Server;
use dum::subscription::{ServerSubscription, ServerSubscriptionEnd, ServerSubscriptionHandler, SubscriptionState};
use dum::{Dum, Handle};
use rutil::{HashMap, Keyed, Rng, Time, Wheel};
use smallvec::SmallVec;
use stack::contents::event::reg_info::Contact;
use stack::contents::event::{DocumentState, EventDocument, RegInfo};
use stack::message::Message;
use std::sync::Arc;
use std::time::Duration;

/// The name of the package.
pub const REG: &str = "reg";

/// Most subscriptions of a shard to one address-of-record: one REGISTER makes so many NOTIFYs.
const MOST_WATCHERS: usize = 64;
/// Most contacts that wait to be told; then everything is told instead.
const MOST_WAITING: usize = 64;
/// Most subscriptions that are looked at in one turn.
const AT_ONCE: usize = 64;
/// How long there is no further NOTIFY after one.
const PAUSE: Duration = Duration::from_secs(5);
/// How exact that is, and how late an expiry may be told, nanoseconds.
const TICK: u64 = 100_000_000;

type Sub = Handle<ServerSubscription>;

/// One subscription.
struct Watcher {
    aor: Arc<str>,
    /// Of the next document.
    version: u32,
    /// What is to be told.
    waiting: Vec<Contact>,
    /// Everything is to be told.
    all: bool,
    /// The last document had no room for what waits: it goes on at once.
    rest: bool,
    /// A NOTIFY is under way.
    busy: bool,
    not_before: Time,
    /// When it is looked at; never, if it is told once.
    armed: Time,
}

/// The subscriptions of a shard.
pub(super) struct RegPackage {
    server: Arc<Server>,
    shard: u16,
    watchers: HashMap<Sub, Watcher>,
    by_aor: HashMap<Arc<str>, SmallVec<[Sub; 1]>>,
    /// When a subscription is looked at: something may be told again, or a contact expires.
    /// That it is the time that counts for the subscription still.
    timers: Wheel<(Sub, Time), TICK>,
}

impl RegPackage {
    pub(super) fn new(server: Arc<Server>, shard: u16, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        RegPackage {
            server,
            shard,
            watchers: HashMap::with_hasher(hasher.clone()),
            by_aor: HashMap::with_hasher(hasher),
            timers: Wheel::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.watchers.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.timers.next_deadline()
    }

    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Something else is provisioned: who watches what it changes is told everything.
    pub(super) fn set_server(&mut self, server: Arc<Server>, dum: &mut Dum<'_>) {
        let contacts = |server: &Server, aor: &str| server.provisioning().static_contacts(aor).to_vec();
        let differs = |aor: &&Arc<str>| contacts(&self.server, aor) != contacts(&server, aor);
        let changed: Vec<Arc<str>> = self.by_aor.keys().filter(differs).cloned().collect();
        self.server = server;
        for aor in changed {
            for sub in self.by_aor.get(&aor).cloned().unwrap_or_default() {
                if let Some(watcher) = self.watchers.get_mut(&sub) {
                    watcher.all = true;
                }
                self.advance(sub, dum);
            }
        }
    }

    /// Tells what has changed.
    pub(super) fn changed(&mut self, aor: &str, changes: &Changes, dum: &mut Dum<'_>) {
        for sub in self.by_aor.get(aor).cloned().unwrap_or_default() {
            self.add(sub, changes, dum);
            self.advance(sub, dum);
        }
    }

    pub(super) fn wake(&mut self, dum: &mut Dum<'_>) {
        let now = dum.now();
        for _ in 0..AT_ONCE {
            let Some((sub, at)) = self.timers.pop(now) else { return };
            let Some(watcher) = self.watchers.get_mut(&sub).filter(|watcher| watcher.armed == at) else { continue };
            watcher.armed = Time::MAX;
            self.server.location().expire(&watcher.aor, now);
            self.advance(sub, dum);
        }
    }

    /// What has changed waits to be told; of a contact that waits already the last counts.
    fn add(&mut self, sub: Sub, changes: &Changes, dum: &mut Dum<'_>) {
        let (now, nonce) = (dum.now(), GruuTokens::nonce(dum.rng()));
        let Some(watcher) = self.watchers.get_mut(&sub) else { return };
        // Then nothing but the store tells the rest, and everything is told.
        watcher.all |= changes.lost || watcher.waiting.len() + changes.list.len() > MOST_WAITING;
        if watcher.all {
            watcher.waiting.clear();
            return;
        }
        let mut writer = Writer { server: &self.server, aor: &watcher.aor, now, nonce };
        for change in &changes.list {
            let contact = writer.changed(change);
            watcher.waiting.retain(|known| known.id != contact.id);
            watcher.waiting.push(contact);
        }
    }

    /// Tells what is to be told, if it may be now; else a timer comes back to it.
    fn advance(&mut self, sub: Sub, dum: &mut Dum<'_>) {
        let now = dum.now();
        let Some(watcher) = self.watchers.get(&sub) else { return };
        let anything = watcher.all || !watcher.waiting.is_empty();
        if anything && !watcher.busy && (watcher.rest || watcher.not_before <= now) {
            let Some(document) = self.next(sub, self.room(), dum) else { return };
            // One that has ended is told of by `on_terminated`.
            let _ = sub.notify(dum, SubscriptionState::Active, Some(&document.to_contents()));
        }
        self.arm(sub, now);
    }

    /// How many octets a document may have.
    fn room(&self) -> usize {
        self.server.config().events.max_body
    }

    /// The next document.
    fn next(&mut self, sub: Sub, room: usize, dum: &mut Dum<'_>) -> Option<RegInfo> {
        let (now, nonce) = (dum.now(), GruuTokens::nonce(dum.rng()));
        let watcher = self.watchers.get_mut(&sub)?;
        let mut writer = Writer { server: &self.server, aor: &watcher.aor, now, nonce };
        let state = if watcher.all { DocumentState::Full } else { DocumentState::Partial };
        if std::mem::take(&mut watcher.all) {
            watcher.waiting = writer.all();
        }
        let document = writer.document(watcher.version, state, &mut watcher.waiting, room);
        watcher.version = watcher.version.wrapping_add(1);
        watcher.rest = !watcher.waiting.is_empty();
        (watcher.busy, watcher.not_before) = (true, now + PAUSE);
        Some(document)
    }

    /// Looks at a subscription again when it may be told more, or when a contact expires.
    fn arm(&mut self, sub: Sub, now: Time) {
        let Some(watcher) = self.watchers.get_mut(&sub) else { return };
        let waits = (watcher.all || !watcher.waiting.is_empty()) && !watcher.busy;
        let bindings = self.server.location().bindings(&watcher.aor, now);
        let expiry = bindings.iter().map(|binding| binding.expires_at).min();
        let Some(at) = waits.then_some(watcher.not_before).into_iter().chain(expiry).min() else { return };
        if at < watcher.armed {
            watcher.armed = at;
            self.timers.arm(at, (sub, at));
        }
    }

    fn forget(&mut self, sub: Sub) {
        let Some(watcher) = self.watchers.remove(&sub) else { return };
        self.server.compositor().counts().ended(None);
        let Some(subs) = self.by_aor.get_mut(&watcher.aor) else { return };
        subs.retain(|other| *other != sub);
        if subs.is_empty() {
            self.by_aor.remove(&watcher.aor);
            self.server.location().watch().clear(&watcher.aor, self.shard, By::Registrations);
        }
    }
}

impl ServerSubscriptionHandler for RegPackage {
    fn on_new_subscription(&mut self, dum: &mut Dum<'_>, sub: Sub, subscribe: &Message) {
        let Some(aor) = resource_of(subscribe) else {
            let _ = sub.reject(dum, 404, |_| {});
            return;
        };
        let subs = self.by_aor.entry(aor.clone()).or_default();
        if subs.len() >= MOST_WATCHERS {
            self.server.compositor().counts().count(Counted::RefusedSubscription);
            // Of one user: 503 would be for all (RFC 3261 §21.5.4).
            let _ = sub.reject(dum, 403, |_| {});
            return;
        }
        subs.push(sub);
        // Before anything is read, so that nothing is missed.
        self.server.location().watch().set(&aor, self.shard, By::Registrations);
        let fetch = is_fetch(subscribe);
        let (version, waiting) = (0, Vec::new());
        // No time is before that: nothing is left of who is told once.
        let armed = if fetch { Time::ZERO } else { Time::MAX };
        let (all, rest, busy, not_before) = (true, false, false, Time::ZERO);
        self.server.compositor().counts().begun(None);
        self.watchers.insert(sub, Watcher { aor, version, waiting, all, rest, busy, not_before, armed });
        lead(&self.server, dum, sub, subscribe);
        let room = if fetch { usize::MAX } else { self.room() };
        let Some(document) = self.next(sub, room, dum) else { return };
        match sub.accept(dum, SubscriptionState::Active, Some(&document.to_contents())) {
            Ok(()) => self.arm(sub, dum.now()),
            Err(error) => {
                tracing::debug!(%error, "subscription refused");
                self.forget(sub);
            }
        }
    }

    /// RFC 3680 §4.7: everything is told again.
    fn on_refresh(&mut self, dum: &mut Dum<'_>, sub: Sub, subscribe: &Message) {
        lead(&self.server, dum, sub, subscribe);
        if let Some(watcher) = self.watchers.get_mut(&sub) {
            watcher.all = true;
        }
        // At once, also while another NOTIFY is under way: what that said is in it as well.
        if let Some(document) = self.next(sub, self.room(), dum) {
            let _ = sub.notify(dum, SubscriptionState::Active, Some(&document.to_contents()));
        }
    }

    fn on_accepted(&mut self, dum: &mut Dum<'_>, sub: Sub, _: &Message) {
        if let Some(watcher) = self.watchers.get_mut(&sub) {
            watcher.busy = false;
        }
        self.advance(sub, dum);
    }

    fn on_terminated(&mut self, _: &mut Dum<'_>, sub: Sub, end: ServerSubscriptionEnd, _: Option<&Message>) {
        tracing::debug!(?end, "subscription ended");
        self.forget(sub);
    }
}
