//! What has expired and is to be told for billing: once, though each node has it, and also when the node dies that would have.
//!
//! Of the nodes that live each has a rank for an address-of-record, by [`worth`](super::change::worth). The first tells what
//! expires when it drops it, and says so to the others with its next sign of life, when it is written. The others keep it
//! until they hear that; each tells it itself when it has waited for as many turns as there are nodes before it. So the next
//! one tells it when the first is dead, or has never known it.

use super::change::{field, worth};
use super::{Cluster, Node};
use crate::location::Binding;
use rutil::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a node waits for each one before it. All that has expired is dropped within 64 s, at each node.
const TURN: Duration = Duration::from_secs(75);
/// After this nobody will say any more that it was told: what a process that stands by has kept.
const NEVER: Duration = Duration::from_secs(750);
/// Most that are kept, or that are to be said; of what is more the first node alone decides.
const MOST: usize = 65_536;
/// Most that are said with one sign of life.
const MOST_SAID: usize = 4_096;

/// Names what has expired, at each node in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Expired {
    /// The address-of-record.
    pub(crate) aor: Box<str>,
    /// The contact, as [`field`] names it.
    pub(crate) field: String,
    /// The version of its last state.
    pub(crate) version: u64,
}

impl Expired {
    pub(crate) fn new(aor: &str, binding: &Binding) -> Self {
        Expired { aor: aor.into(), field: field(binding), version: binding.version() }
    }
}

/// What is published.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) told: Vec<Expired>,
}

/// What is not told yet, and what the others do not know yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// Since when, and as it was.
    waiting: BTreeMap<Expired, (Time, Box<Binding>)>,
    told: Vec<Expired>,
    /// So many of these are being said.
    saying: usize,
    /// Whether this process stood by at the last look, and which other nodes lived.
    seen: (bool, Vec<Arc<Node>>),
}

impl Cluster {
    /// The other nodes that live.
    fn living(&self) -> Vec<Arc<Node>> {
        let mut living = self.nodes.all();
        living.retain(|node| node.is_alive() && *node != self.me);
        living
    }

    /// How many of these nodes come before this one: all of them when it leaves, as they see it.
    fn rank(&self, aor: &str, living: &[Arc<Node>]) -> u32 {
        if self.is_leaving() {
            return living.len() as u32;
        }
        let own = worth(aor, self.me.name());
        living.iter().filter(|node| worth(aor, node.name()) > own).count() as u32
    }

    /// Whether what expires here is to be told here, and now. Else it is kept: [`Cluster::untold`].
    pub(crate) fn tells_expired(&self, aor: &str, binding: &Binding, now: Time) -> bool {
        let is_known = binding.version() != 0;
        if !self.is_passive() && (!is_known || self.rank(aor, &self.living()) == 0) {
            return true;
        }
        if !is_known {
            return false;
        }
        let mut untold = self.untold.lock();
        if untold.waiting.len() < MOST {
            untold.waiting.insert(Expired::new(aor, binding), (now, Box::new(binding.clone())));
        }
        false
    }

    /// What was kept and is to be told here after all, for a node that hears the others since `connected`.
    pub(super) fn untold(&self, connected: Time, now: Time) -> Vec<(Box<str>, Box<Binding>)> {
        let (living, passive) = (self.living(), self.is_passive());
        let mut untold = self.untold.lock();
        let Untold { waiting, seen, .. } = &mut *untold;
        let is_new = *seen != (passive, living.clone());
        let mut due = Vec::new();
        waiting.retain(|name, (since, binding)| {
            // Who stands by has heard long enough that nobody tells it.
            if passive {
                return *since + NEVER > now;
            }
            let since = (*since).max(connected);
            // Before its turn a node tells only what those left that came before it.
            let is_due = (is_new || since + TURN <= now) && since + TURN * self.rank(&name.aor, &living) <= now;
            if is_due {
                due.push((name.aor.clone(), binding.clone()));
            }
            !is_due
        });
        *seen = (passive, living);
        due
    }

    /// These are told for good: the others hear of it.
    pub(crate) fn has_told(&self, mut names: Vec<Expired>) {
        // What nobody else knows nobody else tells.
        names.retain(|name| name.version != 0);
        let mut untold = self.untold.lock();
        let room = MOST - untold.told.len();
        untold.told.extend(names.into_iter().take(room));
    }

    /// What the others are to hear with this sign of life, if there is something and they listen; [`Cluster::is_said`] when
    /// it was given.
    pub(super) fn say_told(&self, they_listen: bool) -> Option<String> {
        let mut untold = self.untold.lock();
        untold.saying = if they_listen { untold.told.len().min(MOST_SAID) } else { 0 };
        let told = untold.told[..untold.saying].to_vec();
        // It has texts and numbers only.
        (!told.is_empty()).then(|| serde_json::to_string(&Told { told }).ok()).flatten()
    }

    /// They have heard it.
    pub(super) fn is_said(&self) {
        let mut untold = self.untold.lock();
        let said = std::mem::take(&mut untold.saying);
        untold.told.drain(..said);
    }

    /// Another node has told this.
    pub(super) fn was_told(&self, name: &Expired) {
        self.untold.lock().waiting.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::DEAD_AFTER_MS;
    use crate::location::{By, NewBinding};
    use stack::uri::Uri;

    #[test]
    fn one_of_the_nodes_that_live_is_the_first_for_each_address_of_record() {
        const NAMES: [&str; 3] = ["a", "b", "c"];
        let clusters = NAMES.map(|name| Cluster::new(name, 7).0);
        clusters.iter().for_each(|cluster| NAMES.iter().for_each(|name| drop(cluster.nodes().node(name))));
        let rank = |one: &Cluster, number: usize| one.rank(&format!("u{number}@h"), &one.living());
        let firsts: Vec<usize> = (0..300)
            .map(|number| {
                let ranks = [0, 1, 2].map(|at| rank(&clusters[at], number));
                assert!((0..3).all(|each| ranks.contains(&each)), "u{number}: {ranks:?}");
                ranks.iter().position(|rank| *rank == 0).unwrap()
            })
            .collect();
        let shares = [0, 1, 2].map(|one| firsts.iter().filter(|first| **first == one).count());
        assert!(shares.iter().all(|share| (60..140).contains(share)), "{shares:?}");
        // Of one that is dead the others take the share, and nothing else changes.
        clusters[..2].iter().for_each(|cluster| assert!(cluster.nodes().node("c").note(DEAD_AFTER_MS, 7)));
        for number in 0..300 {
            let ranks = [0, 1].map(|at| rank(&clusters[at], number));
            assert!(ranks == [0, 1] || ranks == [1, 0]);
            assert!(firsts[number] == 2 || ranks[firsts[number]] == 0);
        }
    }

    fn known() -> Binding {
        let uri = Uri::parse("sip:a@192.0.2.1").unwrap();
        let mut known = Binding::new(NewBinding {
            uri: &uri,
            text: uri.to_string().into(),
            params: "",
            q: 1000,
            expires_at: Time::ZERO,
            call_id: "c",
            cseq: 1,
            neighbour: None,
            by: By::Uri,
            device: None,
            reg_id: 0,
            now: Time::ZERO,
        });
        known.set_version(7);
        known
    }

    #[test]
    fn what_is_kept_and_what_is_to_be_said_is_bounded() {
        let (cluster, known) = (Cluster::new("a", 1).0, known());
        cluster.set_passive(true);
        for number in 0..MOST + 10 {
            assert!(!cluster.tells_expired(&format!("u{number}@h"), &known, Time::ZERO));
        }
        assert!(cluster.untold(Time::ZERO, Time::ZERO).is_empty());
        cluster.set_passive(false);
        let due = cluster.untold(Time::ZERO, Time::ZERO);
        assert_eq!(due.len(), MOST);
        let told = due.iter().chain(&due[..10]).map(|(aor, binding)| Expired::new(aor, binding));
        cluster.has_told(told.collect());
        let mut said = Vec::new();
        while let Some(text) = cluster.say_told(true) {
            said.push(serde_json::from_str::<Told>(&text).unwrap().told.len());
            cluster.is_said();
        }
        assert_eq!(said, [MOST_SAID; MOST / MOST_SAID]);
    }

    #[test]
    fn who_stands_by_forgets_what_nobody_will_tell_any_more() {
        let (cluster, known) = (Cluster::new("a", 1).0, known());
        cluster.set_passive(true);
        for (number, since) in [Time::ZERO, Time::ZERO + TURN].into_iter().enumerate() {
            assert!(!cluster.tells_expired(&format!("u{number}@h"), &known, since));
        }
        let now = Time::ZERO + NEVER;
        assert!(cluster.untold(Time::ZERO, now).is_empty());
        cluster.set_passive(false);
        let due = cluster.untold(now, now);
        assert_eq!(due.iter().map(|(aor, _)| &**aor).collect::<Vec<_>>(), ["u1@h"]);
    }
}
