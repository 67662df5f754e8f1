//! What is published for users, among the nodes: what a [`Sharer`] does with it beside bindings.

use super::Job;
use super::change::{Change, Value, What};
use super::sharer::Sharer;
use crate::events::{Found, Package, Published, Resource};
use crate::provisioning::one_line;
use crate::store::Waits;
use rutil::Time;

impl Sharer {
    /// How much may stand in an entry: contacts of an address-of-record, or publications. Each node has counted those; calls
    /// stand beside what telephones publish, and those of nodes that are gone until they expire.
    pub(super) fn most_of(&self, name: &str) -> usize {
        match Resource::of_shared_name(name).map(|resource| resource.package) {
            Some(Package::Dialog) => 8 * self.server.config().events.publications_per_user,
            Some(_) => self.server.config().events.publications_per_user,
            None => self.server.location().limits().contacts,
        }
    }

    /// What was published or removed here, and the others have not heard.
    pub(super) fn next_untold(&self) -> Option<Job> {
        let (resource, change) = self.server.compositor().next_untold()?;
        Some(Job { aor: resource.shared_name().into(), changes: vec![change], waits: Waits::Nobody })
    }

    /// Something is gone for all: what was read before that was written is gone too.
    pub(super) fn is_forgotten(&self, name: &str, field: &str, version: u64, now: Time) {
        if let Some(resource) = Resource::of_shared_name(name) {
            self.server.compositor().take_over(&resource, (field, version), None, now);
        }
    }

    pub(super) fn acknowledge(&self, name: &str, published: &Published, version: u64) {
        if let Some(resource) = Resource::of_shared_name(name) {
            self.server.compositor().acknowledge(&resource, (&published.field, published.turn), version);
        }
    }

    pub(super) fn withdraw(&self, name: &str, published: &Published) {
        if let Some(resource) = Resource::of_shared_name(name) {
            self.server.compositor().withdraw(&resource, (&published.field, published.turn));
        }
    }

    /// Takes over a publication as it is in Redis; whether that changes something here.
    pub(super) fn adopt_published(&mut self, resource: &Resource, field: &str, value: &Value<'_>, now: Time) -> bool {
        let (epoch, own) = (self.notation.epoch, self.cluster.own());
        let new = match value.gone {
            true => None,
            false => match Published::read(value.json, (field, value.cseq, value.expires), (epoch, own.nodes)) {
                Ok(published) => Some(published),
                Err(error) => {
                    tracing::warn!(aor = one_line(&resource.aor), %error, "a publication in Redis cannot be read");
                    return false;
                }
            },
        };
        // A call of this node that stands is here. This one does not, or it belonged to the process before.
        let is_own = |published: &Published| published.teller.as_ref().is_some_and(|by| *by.node.name() == *own.node);
        let is_over =
            !self.passive && new.as_ref().is_some_and(is_own) && !self.server.compositor().has(resource, field);
        if is_over {
            self.forget(&resource.shared_name(), field, value, None);
            return false;
        }
        self.server.compositor().take_over(resource, (field, value.version), new, now)
    }

    /// Looks at what is here of a resource, and what is there.
    pub(super) fn compare_published(&mut self, resource: &Resource, there: &[(String, String)], now: Time) {
        for Found { published, version, since } in self.server.compositor().shared(resource, now) {
            let (field, turn) = (published.field.clone(), published.turn);
            let value = there.iter().find(|(other, _)| **other == *field).and_then(|(_, text)| Value::read(text));
            let what = if version != 0 {
                if value.is_some_and(|value| value.version >= version) {
                    continue;
                }
                What::Republish(Box::new(published), version)
            } else if self.is_settled(since, now) {
                if value.is_some_and(|value| value.cseq > turn) {
                    // Another node has had a later turn.
                    self.server.compositor().withdraw(resource, (&field, turn));
                    continue;
                }
                // Perhaps it was written, and only the answer was lost: then this changes nothing.
                What::Publish(Box::new(published))
            } else {
                continue;
            };
            let change = Change { field: field.to_string(), call_id: field, cseq: turn, what, before: None };
            // One by one: a refusal of one is not that of the others.
            self.own.push_back(Job { aor: resource.shared_name().into(), changes: vec![change], waits: Waits::Nobody });
        }
    }

    /// Forgets the calls of nodes that have gone, or begun anew, since the last look. Not with the first signs of life after
    /// a connection: they are as old as Redis was away.
    pub(super) fn look_at_lives(&mut self) {
        if std::mem::take(&mut self.is_first_beat) {
            return;
        }
        let nodes = self.cluster.own().nodes.all();
        let lives: Vec<_> = nodes.iter().map(|node| (node.name().into(), node.is_alive(), node.life())).collect();
        if self.lives != lives {
            self.lives = lives;
            self.server.compositor().forget_calls_of_the_gone();
        }
    }
}
