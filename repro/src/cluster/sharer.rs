//! What a node says to Redis, and what it makes of the answers: a machine without a socket.
//!
//! Who runs it connects, subscribes to [`Sharer::channel`], says [`Sharer::on_connected`], and then again and again: gives it
//! what was published, carries out [`Sharer::take`], and when that is nothing [`Sharer::reads`]; each second [`Sharer::beat`].
//! Without a connection [`Sharer::refuse`] answers who waits.

use super::change::{Change, PARTS, Value, What, part_of};
use super::command::{Command, Entry, Posts, Reply, Script, tell};
use super::expired::Told;
use super::{Cluster, Job, field};
use crate::events::Resource;
use crate::location::{Binding, Notation, Read};
use crate::provisioning::one_line;
use crate::proxy::Server;
use crate::store::Waits;
use crossbeam_channel::Receiver;
use rutil::{HashMap, HashSet, Keyed, Rng, Time};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most changes that are written at the same time.
const MOST_AT_ONCE: usize = 256;
/// Most publications that are written with them.
const MOST_PUBLISHED: usize = 64;
/// Partitions that are read at the same time, after a connection.
const READS_AT_ONCE: u16 = 16;
/// How often a partition is read when there was no trouble: a change that was published and not heard is found in minutes.
const READ_EVERY: Duration = Duration::from_millis(100);
/// After this a change is not on its way any more.
pub(super) const SETTLED: Duration = Duration::from_secs(5);
/// Most flows that have ended while Redis could not be reached, and that are told later.
const MOST_GONE: usize = 16_384;

/// The machine.
pub struct Sharer {
    pub(super) cluster: Arc<Cluster>,
    pub(super) server: Server,
    pub(super) notation: Notation,
    /// How all keys begin.
    pub(super) name: String,
    jobs: Receiver<Job>,
    /// What the machine itself has to write.
    pub(super) own: VecDeque<Job>,
    /// What it has to write when Redis takes something again.
    pub(super) later: VecDeque<Job>,
    /// The first of the next batch.
    next: Option<Job>,
    sent: Vec<Job>,
    pub(super) connected_at: Time,
    /// The next partition to be read.
    part: u16,
    /// All partitions were read since the connection.
    synced: bool,
    read_at: Time,
    /// Whose bindings are here, by partition, since this round of reading began.
    names: HashMap<u16, Vec<Box<str>>>,
    /// A partition of this round of reading could not be read.
    gap: bool,
    hasher: Keyed,
    full: bool,
    /// Something could not be written or read, and nothing could since.
    failing: bool,
    /// As [`Cluster::is_passive`] was at the last look.
    pub(super) passive: bool,
    /// As [`Cluster::is_draining`] was at the last look.
    pub(super) draining: bool,
    /// As [`Cluster::is_leaving`] was at the last look.
    pub(super) leaving: bool,
    /// Which nodes live which life, as of their last sign of life.
    pub(super) lives: Vec<(Box<str>, bool, u64)>,
    /// No sign of life was seen since the connection.
    pub(super) is_first_beat: bool,
    /// A node is back: what was passed over of it is read soon.
    pub(super) is_back: bool,
}

impl Sharer {
    /// For the node of `cluster`, whose `jobs` it takes. Keys begin with `name`.
    pub fn new(
        (cluster, jobs): (Arc<Cluster>, Receiver<Job>),
        server: Server,
        notation: Notation,
        name: &str,
        rng: &mut Rng,
    ) -> Self {
        let (hasher, passive) = (Keyed::new(rng), cluster.is_passive());
        Sharer {
            passive,
            draining: false,
            leaving: false,
            cluster,
            server,
            notation,
            name: name.to_owned(),
            jobs,
            own: VecDeque::new(),
            later: VecDeque::new(),
            next: None,
            sent: Vec::new(),
            connected_at: Time::ZERO,
            part: 0,
            synced: false,
            read_at: Time::ZERO,
            names: HashMap::with_hasher(hasher.clone()),
            gap: false,
            hasher,
            full: false,
            failing: false,
            lives: Vec::new(),
            is_first_beat: true,
            is_back: false,
        }
    }

    /// Takes over where the wall clock stands; [`Notation::follow`].
    pub fn follow(&mut self, epoch: Duration) {
        if self.notation.follow(epoch) {
            tracing::warn!("the system's clock was set: what the other nodes hear from now on expires by that");
        }
    }

    /// Where changes are published.
    pub fn channel(&self) -> String {
        format!("{}:changes", self.name)
    }

    fn index(&self, part: u16) -> String {
        format!("{}:{{{part}}}:index", self.name)
    }

    fn prefix(&self, part: u16) -> String {
        format!("{}:{{{part}}}:aor:", self.name)
    }

    /// There is a connection, and the channel is heard: changes are taken, and everything is read.
    pub fn on_connected(&mut self, now: Time) {
        self.connected_at = now;
        self.is_first_beat = true;
        self.own.append(&mut self.later);
        self.read_all(now);
        self.cluster.set_connected(true);
    }

    fn read_all(&mut self, now: Time) {
        (self.read_at, self.synced, self.is_back) = (now, false, false);
        // Nodes that begin together begin at different places: what is lost is restored once.
        self.part = part_of(self.cluster.own().node);
        self.begin_round(now);
    }

    /// The connection is gone. Who waits is refused; what could not be written is found when everything is read again.
    pub fn on_lost(&mut self) -> Posts {
        if self.cluster.set_connected(false) {
            self.cluster.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.give_all_up()
    }

    fn give_all_up(&mut self) -> Posts {
        let sent = std::mem::take(&mut self.sent);
        let mut posts = Posts::new();
        let own: Vec<Job> = self.own.drain(..).collect();
        for job in sent.into_iter().chain(self.next.take()).chain(own) {
            self.give_up(job, &mut posts);
        }
        posts.append(&mut self.refuse());
        posts
    }

    /// Whether the node drains or leaves, or has begun or ceased to stand by, since the last look: then a sign of life
    /// tells that at once. Who stands by now, or does not any more, reads everything anew and refuses who waits.
    pub fn look(&mut self, now: Time) -> Option<Posts> {
        let passive = self.cluster.is_passive();
        if std::mem::replace(&mut self.passive, passive) == passive {
            let stage = (self.cluster.is_draining(), self.cluster.is_leaving());
            let before = std::mem::replace(&mut self.draining, stage.0);
            return ((before, std::mem::replace(&mut self.leaving, stage.1)) != stage).then(Posts::new);
        }
        let mut posts = self.give_all_up();
        self.on_connected(now);
        // Each proxy wakes up: what it does of its own accord begins.
        (0..self.server.config().placement.shards())
            .for_each(|shard| tell(&mut posts, Waits::Register(shard, 0), None));
        Some(posts)
    }

    /// While there is no connection: refuses what has come.
    pub fn refuse(&mut self) -> Posts {
        let mut posts = Posts::new();
        for job in self.jobs.try_iter().collect::<Vec<_>>() {
            self.cluster.taken(&job);
            self.give_up(job, &mut posts);
        }
        posts
    }

    fn give_up(&mut self, Job { aor, mut changes, waits }: Job, posts: &mut Posts) {
        tell(posts, waits, Some(503));
        // Nothing else would find these again: they are in Redis, and a node that reads takes them for living.
        changes.retain(|change| change.what == What::Forget);
        if !changes.is_empty() && self.later.len() < MOST_GONE {
            self.later.push_back(Job { aor, changes, waits: Waits::Nobody });
        }
    }

    /// The changes that are to be written now, all at once; [`Sharer::on_written`] gets what comes of them, also when they
    /// are none because nothing of what was told has changed anything. `None`: there is nothing to do.
    pub fn take(&mut self) -> Option<Vec<Command>> {
        if self.passive {
            return None;
        }
        let mut aors: HashSet<Box<str>> = HashSet::with_hasher(self.hasher.clone());
        let mut commands = Vec::new();
        while self.sent.len() < MOST_AT_ONCE + MOST_PUBLISHED {
            let for_others = self.sent.len() < MOST_AT_ONCE;
            let from_outside = || {
                let job = self.jobs.try_recv().ok()?;
                self.cluster.taken(&job);
                Some(job)
            };
            let first = self.next.take();
            let first = first.or_else(|| for_others.then(|| self.own.pop_front().or_else(from_outside)).flatten());
            let Some(mut job) = first.or_else(|| self.next_untold()) else { break };
            // What belongs to one comes one after the other.
            if !aors.insert(job.aor.clone()) {
                self.next = Some(job);
                break;
            }
            let args = self.arguments(&mut job);
            if !job.changes.is_empty() {
                let part = part_of(&job.aor);
                let keys = vec![format!("{}{}", self.prefix(part), job.aor), self.index(part)];
                commands.push(Command { script: Script::Change, keys, args });
            }
            self.sent.push(job);
        }
        (!self.sent.is_empty()).then_some(commands)
    }

    /// What the script gets; changes that cannot be told are left out.
    fn arguments(&self, job: &mut Job) -> Vec<String> {
        let (own, most) = (self.cluster.own(), self.most_of(&job.aor));
        let mut args = vec![String::from(&*job.aor), self.channel(), own.node.to_owned(), most.to_string()];
        job.changes.retain(|Change { field, call_id, cseq, what, .. }| {
            let call_id = call_id.replace('\n', " ");
            let (kind, number, expires, text) = match what {
                What::Remove => ("remove", u64::from(*cseq), 0, String::new()),
                What::Forget => ("forget", u64::from(*cseq), 0, String::new()),
                What::Put(binding) | What::Restore(binding) => {
                    let Some((json, expires)) = self.notation.write_shared(binding, own) else { return false };
                    match what {
                        What::Put(_) => ("put", u64::from(*cseq), expires, json),
                        _ => {
                            let version = binding.version();
                            ("restore", version, expires, format!("{version} {expires} b {cseq} {call_id}\n{json}"))
                        }
                    }
                }
                What::Publish(published) | What::Republish(published, _) => {
                    let Some((json, expires)) = published.write(self.notation.epoch) else { return false };
                    match what {
                        What::Republish(_, version) => {
                            ("restore", *version, expires, format!("{version} {expires} b {cseq} {call_id}\n{json}"))
                        }
                        _ => ("put", u64::from(*cseq), expires, json),
                    }
                }
            };
            args.extend([kind.to_owned(), field.clone(), call_id, number.to_string(), expires.to_string(), text]);
            true
        });
        args
    }

    /// What has come of the changes that were taken last, in their order.
    pub fn on_written(&mut self, replies: Vec<Reply>, now: Time) -> Posts {
        let (mut posts, mut replies) = (Posts::new(), replies.into_iter());
        let counts = self.cluster.clone();
        for job in std::mem::take(&mut self.sent) {
            let reply = if job.changes.is_empty() { Ok(Vec::new()) } else { replies.next().unwrap_or_else(none) };
            let status = match reply {
                Ok(told) => match told.split_first() {
                    Some((version, fields)) if version.is_empty() => {
                        counts.counts.refused.fetch_add(1, Ordering::Relaxed);
                        self.on_refused(&job, fields, now);
                        // RFC 3261 §10.3 step 7: another node had a later one.
                        Some(500)
                    }
                    _ => {
                        self.failing &= told.is_empty();
                        self.on_kept(&job, &told, now);
                        None
                    }
                },
                Err(error) => {
                    // Once: it is likely the same for each.
                    match std::mem::replace(&mut self.failing, true) {
                        false => tracing::warn!(aor = one_line(&job.aor), %error, "a change is not written"),
                        true => tracing::debug!(aor = one_line(&job.aor), %error, "a change is not written"),
                    }
                    self.undo(&job, now);
                    self.give_up(job, &mut posts);
                    continue;
                }
            };
            tell(&mut posts, job.waits, status);
        }
        posts
    }

    /// What Redis refuses is taken back, all of it (RFC 3261 §10.3 step 7): whoever asked is answered 503.
    fn undo(&mut self, job: &Job, now: Time) {
        for Change { field, what, before, .. } in &job.changes {
            match what {
                What::Put(binding) => self.server.location().withdraw(&job.aor, binding, now),
                What::Remove => {}
                // What is published goes out again when all of it is compared.
                What::Restore(_) | What::Forget | What::Publish(_) | What::Republish(..) => continue,
            }
            if let Some(before) = before {
                self.take_over(&job.aor, (field, before.version()), Some((**before).clone()), now);
            }
        }
    }

    /// `versions` are those that stand now, for each change; 0 where there was nothing to do.
    fn on_kept(&self, job: &Job, versions: &[String], now: Time) {
        for (change, version) in job.changes.iter().zip(versions) {
            let version = version.parse().unwrap_or(0);
            if version == 0 {
                continue;
            }
            let count = match &change.what {
                What::Put(binding) => {
                    self.server.location().acknowledge(&job.aor, binding, version);
                    &self.cluster.counts.written
                }
                What::Publish(published) => {
                    self.acknowledge(&job.aor, published, version);
                    &self.cluster.counts.written
                }
                What::Restore(_) | What::Republish(..) => &self.cluster.counts.restored,
                What::Remove | What::Forget => {
                    self.is_forgotten(&job.aor, &change.field, version, now);
                    // What a REGISTER removes was told when it came; who lost this is a process that was here before.
                    if let (What::Forget, Some(was)) = (&change.what, &change.before) {
                        self.server.location().tell_ended(&job.aor, was, now);
                    }
                    &self.cluster.counts.written
                }
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Here it becomes as it is in `fields`, which say what Redis has.
    fn on_refused(&mut self, job: &Job, fields: &[String], now: Time) {
        let fields = fields.as_chunks::<2>().0;
        for change in &job.changes {
            match &change.what {
                What::Put(binding) => self.server.location().withdraw(&job.aor, binding, now),
                What::Publish(published) => self.withdraw(&job.aor, published),
                _ => {}
            }
            let Some(before) = &change.before else { continue };
            let there = fields.iter().find(|[name, _]| *name == change.field).and_then(|[_, text]| Value::read(text));
            // A connection of this node is known here alone: what was read of it would count as ended.
            if let Some(there) = there
                && !there.gone
                && (there.call_id, there.cseq) == (&*before.call_id, before.cseq)
            {
                self.take_over(&job.aor, (&change.field, there.version), Some((**before).clone()), now);
            }
        }
        for [name, text] in fields {
            self.adopt(&job.aor, name, text, now);
        }
    }

    /// What was published: `["node","address-of-record","field","value",…]`; or what a node has told that has expired, as an
    /// object.
    pub fn on_message(&mut self, text: &str, now: Time) {
        if text.starts_with('{') {
            let Ok(Told { told }) = serde_json::from_str(text) else {
                return tracing::warn!("what was published is nothing that a node says");
            };
            for name in told {
                self.cluster.was_told(&name);
                self.server.location().expire_told(&name, now);
            }
            return;
        }
        let Ok(told) = serde_json::from_str::<Vec<String>>(text) else {
            return tracing::warn!("what was published is nothing that a node says");
        };
        let Some(([node, aor], fields)) = told.split_first_chunk::<2>() else { return };
        // What it has written itself it knows by the answer. Who stands by has written nothing.
        if !self.passive && **node == *self.cluster.own().node {
            return;
        }
        for pair in fields.as_chunks::<2>().0 {
            if self.adopt(aor, &pair[0], &pair[1], now) {
                self.cluster.counts.taken_over.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes over a contact as it is in Redis; whether that changes something here.
    fn adopt(&mut self, aor: &str, name: &str, text: &str, now: Time) -> bool {
        let Some(value) = Value::read(text) else {
            tracing::warn!(aor = one_line(aor), "a value in Redis is nothing that a node writes");
            return false;
        };
        if let Some(resource) = Resource::of_shared_name(aor) {
            return self.adopt_published(&resource, name, &value, now);
        }
        let new = match value.gone {
            true => None,
            false => match self.notation.read_shared(value.json, self.cluster.own()) {
                Ok(Read::Binding(binding)) => Some(*binding),
                Ok(Read::Ended(was)) => {
                    // A connection of ours that lives is here. This one is not, or it belonged to the process before.
                    let here = self.server.location().inspect(aor, |own| own.iter().any(|one| field(one) == name));
                    if !here {
                        self.forget(aor, name, &value, was);
                    }
                    return false;
                }
                Err(error) => {
                    tracing::warn!(aor = one_line(aor), %error, "a binding in Redis cannot be read");
                    return false;
                }
            },
        };
        self.take_over(aor, (name, value.version), new, now)
    }

    /// Tells the others that something of this node has ended; a contact as it was, of which that is told for billing.
    pub(super) fn forget(&mut self, aor: &str, name: &str, value: &Value<'_>, was: Option<Box<Binding>>) {
        if !self.passive && self.own.len() < MOST_GONE {
            let (call_id, cseq) = (value.call_id.into(), value.cseq);
            let change = Change { field: name.to_owned(), call_id, cseq, what: What::Forget, before: was };
            self.own.push_back(Job { aor: aor.into(), changes: vec![change], waits: Waits::Nobody });
        }
    }

    /// What a contact has become; whether that changes something here.
    fn take_over(&mut self, aor: &str, state: (&str, u64), new: Option<Binding>, now: Time) -> bool {
        match self.server.location().take_over(aor, state, new, now) {
            Ok(changed) => changed,
            Err(error) => {
                if !std::mem::replace(&mut self.full, true) {
                    tracing::error!(%error, "a binding of another node has no room: registrar.max_aors must be the same");
                }
                false
            }
        }
    }

    /// The partitions to be read now; [`Sharer::on_read`] gets what is in them.
    pub fn reads(&mut self, now: Time) -> Vec<(u16, Command)> {
        if self.is_back && self.synced {
            self.read_all(now);
        }
        if now < self.read_at {
            return Vec::new();
        }
        let count = if self.synced { 1 } else { READS_AT_ONCE };
        let end = part_of(self.cluster.own().node);
        let mut commands = Vec::new();
        for _ in 0..count {
            let part = self.part;
            let command = Command { script: Script::Read, keys: vec![self.index(part)], args: vec![self.prefix(part)] };
            commands.push((part, command));
            self.part = (part + 1) % PARTS;
            if self.part == end {
                break;
            }
        }
        commands
    }

    /// When the next partition is to be read.
    pub fn read_at(&self) -> Time {
        self.read_at
    }

    /// Whether everything was read since the connection.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// What is in a partition, as an answer to [`Sharer::reads`]: it is taken over, and what is missing there is written.
    /// An error is the server's: nothing is known of the partition, and it is read again in the next round.
    pub fn on_read(&mut self, part: u16, entries: Result<Vec<Entry>, String>, now: Time) {
        match &entries {
            Ok(entries) => self.on_entries(part, entries, now),
            Err(error) => {
                self.gap = true;
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(part, "bindings in Redis cannot be read: {error}");
                }
            }
        }
        // The last one of a round.
        if (part + 1) % PARTS == part_of(self.cluster.own().node) {
            self.synced |= !self.gap;
            self.begin_round(now);
        }
        self.read_at = if self.synced || entries.is_err() { now + READ_EVERY } else { now };
    }

    fn on_entries(&mut self, part: u16, entries: &[Entry], now: Time) {
        // Who stands by puts nothing back: the other process does.
        for aor in self.names.remove(&part).filter(|_| !self.passive).unwrap_or_default() {
            let there = entries.iter().find(|(other, _)| **other == *aor).map_or(&[][..], |(_, fields)| fields);
            self.compare(&aor, there, now);
        }
        for (aor, fields) in entries {
            let mut fields: Vec<_> = fields.iter().collect();
            // Of what is published the last counts.
            fields.sort_by_key(|(_, text)| Value::read(text).map(|value| value.version));
            for (name, text) in fields {
                self.adopt(aor, name, text, now);
            }
        }
    }

    fn begin_round(&mut self, now: Time) {
        self.gap = false;
        self.names.clear();
        for sixteenth in 0..crate::location::PARTS {
            for aor in self.server.location().names(sixteenth, now) {
                self.names.entry(part_of(&aor)).or_default().push(aor);
            }
        }
        for resource in self.server.compositor().shared_resources() {
            let name = Box::from(resource.shared_name());
            self.names.entry(part_of(&name)).or_default().push(name);
        }
    }

    /// Looks at what is here of an address-of-record, and what is there.
    fn compare(&mut self, aor: &str, there: &[(String, String)], now: Time) {
        if let Some(resource) = Resource::of_shared_name(aor) {
            return self.compare_published(&resource, there, now);
        }
        let own = self.server.location().bindings(aor, now);
        let mut changes = Vec::new();
        for binding in own {
            let name = field(&binding);
            let value = there.iter().find(|(other, _)| *other == name).and_then(|(_, text)| Value::read(text));
            let (call_id, cseq) = (binding.call_id.clone(), binding.cseq);
            let change = |what| Change { field: name, call_id, cseq, what, before: None };
            let version = binding.version();
            if version != 0 {
                if value.is_none_or(|value| value.version < version) {
                    changes.push(change(What::Restore(Box::new(binding.clone()))));
                }
            } else if self.is_settled(binding.registered().0, now) {
                let is_later = |value: Value<'_>| *value.call_id == *binding.call_id && value.cseq < binding.cseq;
                match value.is_none_or(is_later) {
                    true => changes.push(change(What::Put(Box::new(binding.clone())))),
                    // Who sent it was told that it was not taken.
                    false => self.server.location().withdraw(aor, &binding, now),
                }
            }
        }
        if !changes.is_empty() {
            self.own.push_back(Job { aor: aor.into(), changes, waits: Waits::Nobody });
        }
    }

    /// Whether what the others do not know, and is so since then, is not on its way to them.
    pub(super) fn is_settled(&self, since: Time, now: Time) -> bool {
        since < self.connected_at || since + SETTLED < now
    }
}

fn none() -> Reply {
    Err("no answer".to_owned())
}

#[cfg(test)]
#[path = "sharer_tests.rs"]
mod tests;
