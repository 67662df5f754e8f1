//! Subscriptions to what is published: `presence`, `message-summary` and `dialog` (RFC 3856, RFC 3842, RFC 4235).
//!
//! What is told of an address-of-record is written once for all who watch it in a shard. When it changes, each of them is
//! due: at most [`AT_ONCE`] are told in one turn, so that nobody else waits for them. One NOTIFY of a subscription is under
//! way at a time, and after one there is none for `events.throttle_seconds`; what is told then is what is so then, whatever
//! was so meanwhile.

use super::compositor::{Counted, Resource};
use super::package::{Composed, Package, Registered, compose};
use super::subscriber::{lead, resource_of, subscriber, takes};
use crate::location::Watcher as By;
use crate::proxy::Server;
use dum::subscription::{ServerSubscription, ServerSubscriptionEnd, ServerSubscriptionHandler, SubscriptionState};
use dum::{Dum, Handle};
use rutil::{HashMap, Keyed, Rng, Time, Wheel};
use slab::Slab;
use stack::header::h;
use stack::message::Message;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most NOTIFYs in one turn.
const AT_ONCE: usize = 64;
/// How exact times are, nanoseconds.
const TICK: u64 = 100_000_000;

type Sub = Handle<ServerSubscription>;

/// One subscription.
struct Watcher {
    /// What it watches, and its place there.
    watched: usize,
    place: usize,
    subscriber: Arc<str>,
    /// Of the next document.
    version: u32,
    /// What it was told is not so any more.
    stale: bool,
    /// It is among those that are due.
    due: bool,
    /// A NOTIFY is under way.
    busy: bool,
    not_before: Time,
    /// A timer comes back to it.
    armed: bool,
}

/// What somebody watches.
struct Watched {
    resource: Resource,
    composed: Composed,
    watchers: Vec<Sub>,
    /// When something may have expired.
    ends: Option<Time>,
}

/// What a timer is for.
#[derive(Clone, Copy)]
enum Timer {
    /// A subscription may be told again.
    Watcher(Sub),
    /// Something may have expired at this place, if this is when it is to be looked at still.
    Watched(usize, Time),
}

/// The subscriptions of a shard to one package.
pub(super) struct StatePackage {
    package: Package,
    server: Arc<Server>,
    shard: u16,
    watchers: HashMap<Sub, Watcher>,
    watched: Slab<Watched>,
    /// When each place of `watched` is looked at. What leaves a place leaves its timer to who comes there: so there are not
    /// more timers the more come and go.
    armed: Vec<Time>,
    by_aor: HashMap<Arc<str>, usize>,
    /// How many each subscriber has.
    subscribers: HashMap<Arc<str>, usize>,
    due: VecDeque<Sub>,
    timers: Wheel<Timer, TICK>,
}

impl StatePackage {
    pub(super) fn new(package: Package, server: Arc<Server>, shard: u16, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        StatePackage {
            package,
            server,
            shard,
            watchers: HashMap::with_hasher(hasher.clone()),
            watched: Slab::new(),
            armed: Vec::new(),
            by_aor: HashMap::with_hasher(hasher.clone()),
            subscribers: HashMap::with_hasher(hasher),
            due: VecDeque::new(),
            timers: Wheel::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.watchers.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        if self.due.is_empty() { self.timers.next_deadline() } else { Some(Time::ZERO) }
    }

    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Whether registrations count.
    fn derives(&self) -> bool {
        self.package == Package::Presence && self.server.config().events.presence_from_registrations
    }

    /// Something else is provisioned: a contact that nobody registers may be there, or gone.
    pub(super) fn set_server(&mut self, server: Arc<Server>, dum: &mut Dum<'_>) {
        let contacts = |server: &Server, aor: &str| server.provisioning().static_contacts(aor).to_vec();
        let differs =
            |(aor, at): (&Arc<str>, &usize)| (contacts(&self.server, aor) != contacts(&server, aor)).then_some(*at);
        let changed: Vec<usize> = self.by_aor.iter().filter_map(differs).collect();
        self.server = server;
        changed.into_iter().for_each(|at| self.look(at, dum.now()));
        self.tell(dum);
    }

    /// Something else may be so of an address-of-record.
    pub(super) fn changed(&mut self, aor: &str, now: Time) {
        if let Some(&at) = self.by_aor.get(aor) {
            self.look(at, now);
        }
    }

    pub(super) fn wake(&mut self, dum: &mut Dum<'_>) {
        let now = dum.now();
        for _ in 0..AT_ONCE {
            let Some(timer) = self.timers.pop(now) else { break };
            match timer {
                Timer::Watcher(sub) => {
                    if let Some(watcher) = self.watchers.get_mut(&sub) {
                        watcher.armed = false;
                    }
                    self.stir(sub, now);
                }
                Timer::Watched(at, when) => {
                    let Some(armed) = self.armed.get_mut(at).filter(|armed| **armed == when) else { continue };
                    *armed = Time::MAX;
                    let Some(watched) = self.watched.get(at) else { continue };
                    if watched.ends.is_none_or(|ends| ends > now) {
                        self.arm(at);
                        continue;
                    }
                    let aor = watched.resource.aor.clone();
                    self.server.compositor().expire(now);
                    if self.derives() {
                        self.server.location().expire(&aor, now);
                    }
                    self.look(at, now);
                }
            }
        }
        self.tell(dum);
    }

    /// What is so now of what somebody watches.
    fn compose(&self, resource: &Resource, now: Time) -> (Composed, Option<Time>) {
        let documents = self.server.compositor().documents(resource, now);
        let mut ends = documents.iter().map(|(_, document)| document.expires).min();
        let mut registered = Registered::Unknown;
        if self.derives() {
            let bindings = self.server.location().bindings(&resource.aor, now);
            let provisioned = self.server.provisioning().static_contacts(&resource.aor);
            registered = Registered::Is(!bindings.is_empty() || !provisioned.is_empty());
            // As long as anything is bound it is so.
            let last = bindings.iter().map(|binding| binding.expires_at).max();
            ends = ends.into_iter().chain(last).min();
        }
        self.server.compositor().counts().count(Counted::Composed);
        let documents = documents.iter().map(|(name, document)| (*name, document));
        (compose(self.package, &resource.aor, documents, registered, self.server.hasher()), ends)
    }

    /// Looks at a place when something there may have expired, unless that is looked at before.
    fn arm(&mut self, at: usize) {
        let Some(ends) = self.watched.get(at).and_then(|watched| watched.ends) else { return };
        if let Some(armed) = self.armed.get_mut(at).filter(|armed| ends < **armed) {
            *armed = ends;
            self.timers.arm(ends, Timer::Watched(at, ends));
        }
    }

    /// Finds out what is so now; if it is not what was told, all who watch are due.
    fn look(&mut self, at: usize, now: Time) {
        let Some(watched) = self.watched.get(at) else { return };
        let (composed, ends) = self.compose(&watched.resource, now);
        let Some(watched) = self.watched.get_mut(at) else { return };
        watched.ends = ends;
        self.arm(at);
        let Some(watched) = self.watched.get_mut(at) else { return };
        if watched.composed == composed {
            return;
        }
        watched.composed = composed;
        for place in 0..self.watched.get(at).map_or(0, |watched| watched.watchers.len()) {
            let Some(&sub) = self.watched.get(at).and_then(|watched| watched.watchers.get(place)) else { return };
            if let Some(watcher) = self.watchers.get_mut(&sub) {
                watcher.stale = true;
            }
            self.stir(sub, now);
        }
    }

    /// Makes a subscription due if it may be told something now; else a timer, or the answer to its NOTIFY, comes back to it.
    fn stir(&mut self, sub: Sub, now: Time) {
        let Some(watcher) = self.watchers.get_mut(&sub) else { return };
        if !watcher.stale || watcher.due || watcher.busy {
            return;
        }
        if watcher.not_before <= now {
            watcher.due = true;
            self.due.push_back(sub);
        } else if !watcher.armed {
            watcher.armed = true;
            self.timers.arm(watcher.not_before, Timer::Watcher(sub));
        }
    }

    /// Tells some of those that are due.
    pub(super) fn tell(&mut self, dum: &mut Dum<'_>) {
        for _ in 0..AT_ONCE {
            let Some(sub) = self.due.pop_front() else { return };
            if let Some(watcher) = self.watchers.get_mut(&sub) {
                watcher.due = false;
                self.notify(sub, dum);
            }
        }
    }

    fn notify(&mut self, sub: Sub, dum: &mut Dum<'_>) {
        if let Some(contents) = self.next(sub, dum.now()) {
            // One that has ended is told of by `on_terminated`.
            let _ = sub.notify(dum, SubscriptionState::Active, Some(&contents));
        }
    }

    /// What a subscription is told now.
    fn next(&mut self, sub: Sub, now: Time) -> Option<stack::contents::Contents> {
        let watcher = self.watchers.get_mut(&sub)?;
        let contents = self.watched.get(watcher.watched)?.composed.contents(watcher.version);
        watcher.version = watcher.version.wrapping_add(1);
        (watcher.stale, watcher.busy) = (false, true);
        watcher.not_before = now + self.server.config().events.throttle();
        self.server.compositor().counts().count(Counted::Notify);
        Some(contents)
    }

    /// What is watched from now on, if there is room for one more who watches it.
    fn watch(&mut self, aor: Arc<str>, now: Time) -> Option<usize> {
        let most = self.server.config().events.subscriptions_per_user;
        if let Some(&at) = self.by_aor.get(&aor) {
            let has_room = self.watched.get(at).is_some_and(|watched| watched.watchers.len() < most);
            return has_room.then_some(at);
        }
        if most == 0 {
            return None;
        }
        let resource = Resource { package: self.package, aor: aor.clone() };
        // Before anything is read, so that nothing is missed.
        self.server.compositor().mark(&resource, self.shard);
        if self.derives() {
            self.server.location().watch().set(&aor, self.shard, By::Presence);
        }
        let (composed, ends) = self.compose(&resource, now);
        let at = self.watched.insert(Watched { resource, composed, watchers: Vec::new(), ends });
        if at == self.armed.len() {
            self.armed.push(Time::MAX);
        }
        self.arm(at);
        self.by_aor.insert(aor, at);
        Some(at)
    }

    /// A subscription is added to those who watch.
    fn add(&mut self, sub: Sub, at: usize, subscriber: Arc<str>) {
        let Some(watched) = self.watched.get_mut(at) else { return };
        let place = watched.watchers.len();
        watched.watchers.push(sub);
        *self.subscribers.entry(subscriber.clone()).or_default() += 1;
        let (version, not_before) = (0, Time::ZERO);
        let (stale, due, busy, armed) = (false, false, false, false);
        let watcher = Watcher { watched: at, place, subscriber, version, stale, due, busy, not_before, armed };
        self.watchers.insert(sub, watcher);
        self.server.compositor().counts().begun(Some(self.package));
    }

    fn forget(&mut self, sub: Sub) {
        let Some(watcher) = self.watchers.remove(&sub) else { return };
        self.server.compositor().counts().ended(Some(self.package));
        if let Some(left) = self.subscribers.get_mut(&watcher.subscriber) {
            *left -= 1;
            if *left == 0 {
                self.subscribers.remove(&watcher.subscriber);
            }
        }
        let Some(watched) = self.watched.get_mut(watcher.watched) else { return };
        if watcher.place < watched.watchers.len() {
            watched.watchers.swap_remove(watcher.place);
        }
        if let Some(moved) = watched.watchers.get(watcher.place).and_then(|moved| self.watchers.get_mut(moved)) {
            moved.place = watcher.place;
        }
        self.leave(watcher.watched);
    }

    /// What nobody watches any more is forgotten.
    fn leave(&mut self, at: usize) {
        if self.watched.get(at).is_none_or(|watched| !watched.watchers.is_empty()) {
            return;
        }
        let Watched { resource, .. } = self.watched.remove(at);
        self.by_aor.remove(&resource.aor);
        self.server.compositor().clear(&resource, self.shard);
        if self.derives() {
            self.server.location().watch().clear(&resource.aor, self.shard, By::Presence);
        }
    }

    /// A user or a subscriber has no room left. That is 403: with 503 an edge proxy would leave this server alone for
    /// everybody (RFC 3261 §21.5.4).
    fn refuse(&self, sub: Sub, dum: &mut Dum<'_>) {
        self.server.compositor().counts().count(Counted::RefusedSubscription);
        let _ = sub.reject(dum, 403, |_| {});
    }
}

impl ServerSubscriptionHandler for StatePackage {
    fn on_new_subscription(&mut self, dum: &mut Dum<'_>, sub: Sub, subscribe: &Message) {
        let Some(aor) = resource_of(subscribe) else {
            let _ = sub.reject(dum, 404, |_| {});
            return;
        };
        let (main, kind) = self.package.media_type();
        if !takes(subscribe, (main, kind)) {
            let _ = sub.reject(dum, 406, |response| response.push_back(h::ACCEPTS, &*format!("{main}/{kind}")));
            return;
        }
        let subscriber = subscriber(&self.server, subscribe);
        let most = self.server.config().events.subscriptions_per_subscriber;
        if self.subscribers.get(&subscriber).is_some_and(|own| *own >= most) {
            return self.refuse(sub, dum);
        }
        let now = dum.now();
        let Some(at) = self.watch(aor, now) else { return self.refuse(sub, dum) };
        self.add(sub, at, subscriber);
        lead(&self.server, dum, sub, subscribe);
        let Some(contents) = self.next(sub, now) else { return };
        if let Err(error) = sub.accept(dum, SubscriptionState::Active, Some(&contents)) {
            tracing::debug!(%error, "subscription refused");
            self.forget(sub);
        }
    }

    /// What is so is told again, at once (RFC 6665 §4.2.1.2).
    fn on_refresh(&mut self, dum: &mut Dum<'_>, sub: Sub, subscribe: &Message) {
        lead(&self.server, dum, sub, subscribe);
        self.notify(sub, dum);
    }

    fn on_accepted(&mut self, dum: &mut Dum<'_>, sub: Sub, _: &Message) {
        if let Some(watcher) = self.watchers.get_mut(&sub) {
            watcher.busy = false;
        }
        self.stir(sub, dum.now());
        self.tell(dum);
    }

    fn on_terminated(&mut self, _: &mut Dum<'_>, sub: Sub, end: ServerSubscriptionEnd, _: Option<&Message>) {
        tracing::debug!(?end, "subscription ended");
        self.forget(sub);
    }
}
