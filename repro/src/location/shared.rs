//! Bindings that nodes share: as one writes them for the others, and as these take them over.

use super::stored::{Stored, StoredHop};
use super::{Binding, By, Change, LocationStore, Notation, Origin, PARTS, Record, StoreFull};
use crate::cluster::{Expired, Hop, Nodes, field};
use rutil::Time;
use stack::contents::event::reg_info::Event;
use stack::selector::{self, Target};
use stack::transport::TransportType;
use stack::uri::Uri;
use std::borrow::Cow;
use std::time::Duration;

/// The node that writes and reads.
#[derive(Clone, Copy, Debug)]
pub struct Own<'n> {
    /// Its name.
    pub node: &'n str,
    /// The life that it lives.
    pub life: u64,
    /// All nodes.
    pub nodes: &'n Nodes,
}

/// What another node has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A binding.
    Binding(Box<Binding>),
    /// A flow of this node that has ended, as it was.
    Ended(Option<Box<Binding>>),
}

impl Notation {
    /// Writes a binding for other nodes, as JSON; with the second that it expires in, of Unix time. None for a flow that
    /// others have no way to.
    pub fn write_shared(&self, binding: &Binding, own: Own<'_>) -> Option<(String, u64)> {
        let mut stored = self.without_flow(binding);
        match binding.by() {
            By::Uri | By::Path(_) => {}
            By::Flow(flow) => {
                let life = if flow.kind.is_reliable() { own.life } else { 0 };
                stored.flow = self.stored_flow(flow);
                stored.hop = Some(StoredHop { node: own.node.into(), life, route: (&**binding.route()?).into() });
            }
            By::Node(hop) => {
                let Hop { node, life, route } = &**hop;
                stored.hop = Some(StoredHop { node: node.name().into(), life: *life, route: (&**route).into() });
            }
        }
        let expires = stored.expires;
        // It has texts and numbers only.
        Some((serde_json::to_string(&stored).ok()?, expires))
    }

    /// Reads what a node has written.
    ///
    /// # Errors
    /// When it is not what [`Notation::write_shared`] writes.
    pub fn read_shared(&self, json: &str, own: Own<'_>) -> Result<Read, serde_json::Error> {
        let mut stored: Stored<'_> = serde_json::from_str(json)?;
        let since = self.since(stored.since);
        let ended = |stored: &Stored<'_>| Read::Ended(self.binding_by(stored, By::Uri, since).map(Box::new));
        let (by, route) = match (&stored.hop, &stored.path) {
            (None, Some(path)) => (By::Path((&**path).into()), None),
            (None, None) => (By::Uri, None),
            (Some(hop), _) if *hop.node == *own.node && hop.life != 0 => return Ok(ended(&stored)),
            (Some(hop), _) if *hop.node == *own.node && stored.flow.is_some() => {
                let flow = stored.flow.as_ref().and_then(|flow| self.flow(flow));
                let Some(flow) = flow else { return Ok(ended(&stored)) };
                (By::Flow(flow.into()), Some((&*hop.route).into()))
            }
            (Some(hop), _) => {
                let node = own.nodes.node(&hop.node);
                (By::Node(Hop { node, life: hop.life, route: (&*hop.route).into() }.into()), None)
            }
        };
        if let By::Node(hop) = &by {
            // We send to the node, as to a proxy on a Path.
            stored.neighbour = first(&hop.route).map(|at| at.into());
        }
        let binding = self.binding_by(&stored, by, since).map(|binding| Box::new(binding.routed(route)));
        Ok(binding.map_or(Read::Ended(None), Read::Binding))
    }

    /// When a registration was, of Unix milliseconds. Those before time zero keep their order: a second is a nanosecond.
    fn since(&self, unix_millis: u64) -> Time {
        const ALL: u64 = 1_000_000;
        let at = Duration::from_millis(unix_millis);
        match at.checked_sub(self.epoch) {
            Some(since) => Time::ZERO + since + Duration::from_nanos(ALL),
            None => Time::from_nanos(ALL.saturating_sub((self.epoch - at).as_secs())),
        }
    }
}

/// Where a Route leads first, unless that has a name.
fn first(route: &str) -> Option<Target> {
    let text = route.trim_start_matches('<').split('>').next()?;
    match selector::locate_uri(Uri::parse(text).ok()?.sip()?) {
        Ok(selector::Located::At(target)) => Some(target),
        _ => None,
    }
}

impl From<Target> for super::stored::StoredTarget {
    fn from(at: Target) -> Self {
        let kind: Cow<'static, str> = TransportType::as_param(at.kind).into();
        super::stored::StoredTarget(kind, at.address)
    }
}

impl LocationStore {
    /// Takes over what a contact has become, as all nodes see it: a binding, or nothing. What is here and has a higher
    /// version stays, and so does what the others do not know yet: it is on its way to them. Whether something has changed.
    ///
    /// # Errors
    /// [`StoreFull`].
    pub fn take_over(
        &self,
        aor: &str,
        (name, version): (&str, u64),
        new: Option<Binding>,
        now: Time,
    ) -> Result<bool, StoreFull> {
        let is_older = |binding: &Binding| binding.version() != 0 && binding.version() < version;
        let own = |bindings: &[Binding]| bindings.iter().position(|binding| field(binding) == name);
        if new.is_none() && self.inspect(aor, |bindings| own(bindings).is_none()) {
            return Ok(false);
        }
        let mut changed = false;
        let change = |bindings: &mut Vec<Binding>| {
            let at = own(bindings);
            let old = at.and_then(|at| bindings.get(at));
            if old.is_some_and(|old| !is_older(old)) {
                return Ok(());
            }
            changed = true;
            let new = new.filter(|new| new.expires_at > now).map(|mut new| {
                new.set_version(version);
                old.map_or(new.clone(), |old| new.following(old))
            });
            match (at, new) {
                (Some(at), Some(new)) => bindings[at] = new,
                (Some(at), None) => drop(bindings.remove(at)),
                (None, Some(new)) => bindings.push(new),
                (None, None) => changed = false,
            }
            Ok::<(), StoreFull>(())
        };
        self.update_by(Origin::Elsewhere, aor, now, change)?;
        Ok(changed)
    }

    /// Tells for billing that a flow has ended with the process that had it.
    pub(crate) fn tell_ended(&self, aor: &str, was: &Binding, now: Time) {
        if let Some(accounting) = self.accounting.get() {
            accounting.tell_changes(aor, [Change::new(Event::Deactivated, was)].iter(), now);
        }
    }

    /// Drops a contact that has expired, as another node has told by now. The clocks of nodes differ a little.
    pub(crate) fn expire_told(&self, Expired { aor, field: name, version }: &Expired, now: Time) {
        const APART: Duration = Duration::from_secs(5);
        let is_it = |binding: &Binding| {
            binding.version() == *version && binding.expires_at <= now + APART && field(binding) == *name
        };
        let mut part = self.part(aor).write();
        let Some(record) = part.get_mut(&**aor) else { return };
        let gone: Record = record.iter().filter(|binding| is_it(binding)).cloned().collect();
        self.watch.note(aor, || gone.iter().map(|binding| Change::new(Event::Expired, binding)).collect());
        self.leave(gone.iter());
        record.retain(|binding| !is_it(binding));
    }

    /// The other nodes know this state of a contact, by this version.
    pub fn acknowledge(&self, aor: &str, state: &Binding, version: u64) {
        let is_it = |own: &&mut Binding| own.registered() == state.registered() && own.is_same_state(state);
        if let Some(record) = self.part(aor).write().get_mut(aor) {
            record.iter_mut().filter(is_it).for_each(|binding| binding.set_version(version));
        }
    }

    /// Takes back a state of a contact that the other nodes do not take.
    pub fn withdraw(&self, aor: &str, state: &Binding, now: Time) {
        let is_it = |own: &Binding| own.version() == 0 && own.is_same_state(state);
        let withdraw = |bindings: &mut Vec<Binding>| {
            bindings.retain(|own| !is_it(own));
            Ok::<(), StoreFull>(())
        };
        // Nothing is added.
        let _ = self.update(aor, now, withdraw);
    }

    /// The addresses-of-record of a sixteenth of the store that have a contact now.
    pub fn names(&self, part: usize, now: Time) -> Vec<Box<str>> {
        let part = self.parts[part % PARTS].read();
        let lives = |record: &Record| record.iter().any(|binding| binding.expires_at > now);
        part.iter().filter(|(_, record)| lives(record)).map(|(aor, _)| aor.clone()).collect()
    }
}
