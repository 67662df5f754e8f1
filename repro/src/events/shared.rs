//! What is published, as nodes share it: as one writes it for the others, and as these take it over.
//!
//! For the others a resource is an entry beside the addresses-of-record: its package, a space, and the address-of-record,
//! in which there is none. A publication keeps its name in it as long as it is refreshed or changed; its turn says how often
//! that was.

use super::compositor::{Compositor, Publication, Resource, Shared};
use super::package::Package;
use super::written::Written;
use crate::cluster::{Change, Cluster, Node, Nodes};
use crate::location::{from_unix, to_unix};
use dum::publication::Document;
use rutil::Time;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A state of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Names the publication.
    pub field: Box<str>,
    /// How often it was refreshed or changed.
    pub turn: u32,
    /// What is published.
    pub document: Document,
    /// Who tells a call by it; what a client has published is nobody's.
    pub teller: Option<Teller>,
}

/// A node that tells its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Teller {
    /// The node.
    pub node: Arc<Node>,
    /// The life of the node that has the call.
    pub life: u64,
}

impl Teller {
    /// Whether nobody will tell how its calls end.
    pub fn is_gone(&self) -> bool {
        let life = self.node.life();
        !self.node.is_alive() || life != 0 && life != self.life
    }
}

/// As it stands in Redis.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(flatten, borrow)]
    document: Written<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Cow<'a, str>>,
    #[serde(default)]
    life: u64,
}

impl Published {
    /// Writes it for other nodes, as JSON, with the second of Unix time in which it ends; `epoch` is how long after 1970
    /// time zero is. None for what is no text.
    pub fn write(&self, epoch: Duration) -> Option<(String, u64)> {
        let node = self.teller.as_ref().map(|teller| teller.node.name().into());
        let life = self.teller.as_ref().map_or(0, |teller| teller.life);
        let stored = Stored { document: Written::of(&self.document)?, node, life };
        Some((serde_json::to_string(&stored).ok()?, to_unix(self.document.expires, epoch)))
    }

    /// Reads what a node has written; `expires` is the second in which it ends.
    ///
    /// # Errors
    /// When it is not what [`Published::write`] writes.
    pub fn read(
        json: &str,
        (field, turn, expires): (&str, u32, u64),
        (epoch, nodes): (Duration, &Nodes),
    ) -> Result<Self, serde_json::Error> {
        let Stored { document, node, life } = serde_json::from_str(json)?;
        let document = document.document(from_unix(expires, epoch));
        let teller = node.map(|node| Teller { node: nodes.node(&node), life });
        Ok(Published { field: field.into(), turn, document, teller })
    }
}

impl Resource {
    /// As the other nodes know it.
    pub(crate) fn shared_name(&self) -> String {
        format!("{} {}", self.package.name(), self.aor)
    }

    /// The resource of a name that other nodes know; none for an address-of-record.
    pub(crate) fn of_shared_name(name: &str) -> Option<Self> {
        let (package, aor) = name.split_once(' ')?;
        Some(Resource { package: Package::of(package)?, aor: aor.into() })
    }
}

impl Shared {
    /// What becomes of a publication with its next version, or with its first.
    pub(super) fn next(
        old: Option<&Shared>,
        field: impl FnOnce() -> Box<str>,
        teller: Option<Teller>,
        now: Time,
    ) -> Self {
        let (field, turn) = old.map_or_else(|| (field(), 1), |old| (old.field.clone(), old.turn.saturating_add(1)));
        Shared { field, turn, version: 0, since: now, teller }
    }
}

impl Publication {
    fn published(&self) -> Option<(Published, u64, Time)> {
        let Shared { field, turn, version, since, teller } = self.shared.as_deref()?;
        let (field, document, teller) = (field.clone(), self.document.clone(), teller.clone());
        Some((Published { field, turn: *turn, document, teller }, *version, *since))
    }

    fn is(&self, field: &str) -> bool {
        self.shared.as_ref().is_some_and(|shared| *shared.field == *field)
    }
}

/// What a node finds of its own when it compares it with what the others know.
pub(crate) struct Found {
    pub(crate) published: Published,
    /// The version that the others know; 0: they do not.
    pub(crate) version: u64,
    /// Since when it is so.
    pub(crate) since: Time,
}

impl Compositor {
    /// Says that other nodes are to have what is published here.
    pub(crate) fn set_cluster(&self, cluster: Arc<Cluster>) {
        // A second one would be of another process.
        let _ = self.cluster.set(cluster);
    }

    /// Takes over what a publication has become, as all nodes see it: a state, or nothing. What is here with a higher
    /// version stays, and so does what the others do not know yet. Whether something has changed.
    pub(crate) fn take_over(
        &self,
        resource: &Resource,
        (field, version): (&str, u64),
        new: Option<Published>,
        now: Time,
    ) -> bool {
        let mut kept = self.kept.lock();
        self.drop_expired(&mut kept, now);
        let publications = kept.publications(resource);
        let at = publications.iter().position(|one| one.is(field));
        let old = at.and_then(|at| publications.get(at));
        if old.and_then(|old| old.shared.as_ref()).is_some_and(|old| old.version == 0 || old.version >= version) {
            return false;
        }
        // Nothing lives longer than it could have been published here, whatever the clock of another node says.
        let longest = now + Duration::from_secs(self.limits.max_expires.max(self.limits.calls_seconds).into());
        let mut new = new.filter(|new| new.document.expires > now && !new.teller.as_ref().is_some_and(Teller::is_gone));
        if let Some(new) = &mut new {
            new.document.expires = new.document.expires.min(longest);
        }
        if let Some(there) = &new
            && let Err(error) = self.check(&kept, resource, old.map(|old| &old.document), &there.document)
        {
            if !self.full.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, "what another node has published has no room: [events] must be the same at each");
            }
            // What it was before is not so any more.
            new = None;
        }
        if at.is_none() && new.is_none() {
            return false;
        }
        let new = new.map(|Published { field, turn, document, teller }| {
            (document, Some(Box::new(Shared { field, turn, version, since: now, teller })))
        });
        self.put(&mut kept, resource, at, new);
        true
    }

    /// The other nodes know this turn of a publication, by this version.
    pub(crate) fn acknowledge(&self, resource: &Resource, (field, turn): (&str, u32), version: u64) {
        let mut kept = self.kept.lock();
        let Some(publication) = kept.publications_mut(resource).iter_mut().find(|one| one.is(field)) else { return };
        publication.shared.iter_mut().filter(|shared| shared.turn == turn).for_each(|shared| shared.version = version);
    }

    /// Takes back a turn of a publication that the other nodes do not take.
    pub(crate) fn withdraw(&self, resource: &Resource, (field, turn): (&str, u32)) {
        let mut kept = self.kept.lock();
        let is_it = |shared: &Shared| *shared.field == *field && shared.turn == turn && shared.version == 0;
        let at = kept.publications(resource).iter().position(|one| one.shared.as_deref().is_some_and(is_it));
        if at.is_some() {
            self.put(&mut kept, resource, at, None);
        }
    }

    /// The first of what the other nodes are to hear.
    pub(crate) fn next_untold(&self) -> Option<(Resource, Change)> {
        Some(self.kept.lock().untold.pop_front()?.1)
    }

    /// All resources of which the others have something, or are to have.
    pub(crate) fn shared_resources(&self) -> Vec<Resource> {
        let kept = self.kept.lock();
        let of = kept.resources.iter().filter(|(_, entry)| entry.publications.iter().any(|one| one.shared.is_some()));
        of.map(|(resource, _)| resource.clone()).collect()
    }

    /// What the others have of a resource, or are to have.
    pub(crate) fn shared(&self, resource: &Resource, now: Time) -> Vec<Found> {
        let kept = self.kept.lock();
        let all = kept.publications(resource).iter().filter(|one| one.document.expires > now);
        let found = all.filter_map(Publication::published);
        found.map(|(published, version, since)| Found { published, version, since }).collect()
    }

    /// Whether there is a publication of this name.
    pub(crate) fn has(&self, resource: &Resource, field: &str) -> bool {
        self.kept.lock().publications(resource).iter().any(|one| one.is(field))
    }

    /// Forgets the calls of nodes that are gone: nobody tells how they end.
    pub(crate) fn forget_calls_of_the_gone(&self) {
        let mut kept = self.kept.lock();
        let is_gone = |one: &Publication| {
            let teller = one.shared.as_ref().and_then(|shared| shared.teller.as_ref());
            teller.is_some_and(Teller::is_gone)
        };
        let of = kept.resources.iter().filter(|(_, entry)| entry.publications.iter().any(is_gone));
        for resource in of.map(|(resource, _)| resource.clone()).collect::<Vec<_>>() {
            while let Some(at) = kept.publications(&resource).iter().position(is_gone) {
                self.put(&mut kept, &resource, Some(at), None);
            }
        }
    }
}
