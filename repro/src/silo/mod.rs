//! The message silo (reSIProcate's `MessageSilo`): messages for users who are not there, shared by all shards.
//!
//! ```text
//!   MESSAGE ──► processor message-silo ──► Silo::keep ──► 202
//!   REGISTER ──► Silo::registered ──► due on its shard ──► Courier ──► the contact ──► 2xx: Silo::remove
//! ```
//!
//! Bounded by `[silo]`, for one user, for one sender and in all; a message leaves when it was delivered, or has expired. Who
//! is due is there once, so no more are than have messages.
//!
//! What is here is the truth. With a store the thread of that writes down what is new ([`Silo::take_new`]) and removes what has
//! left ([`Silo::gone`]), and the next process begins with it ([`Silo::restore`]).

mod courier;

pub use courier::Courier;

use crate::config;
use bytes::Bytes;
use parking_lot::Mutex;
use rutil::{HashMap, Keyed, Rng, Time};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a message costs beside its text and the name of its user.
const OVERHEAD: usize = 128;

/// How often all of a full silo is looked through for what has expired.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// There is no room for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiloFull {
    /// Its user has as many as one may have.
    #[error("too many messages for one user")]
    User,
    /// Its sender has as many there as one may have, in all or with this user.
    #[error("too many messages of one sender")]
    Sender,
    /// All have.
    #[error("too many messages")]
    All,
}

/// All messages.
pub struct Silo {
    config: config::Silo,
    kept: Mutex<Kept>,
    /// How many there are: without any, a REGISTER does not look.
    messages: AtomicUsize,
    due: Box<[Due]>,
}

/// Whose messages a shard is to deliver.
#[derive(Default)]
struct Due {
    users: Mutex<VecDeque<Box<str>>>,
    number: AtomicUsize,
}

struct Kept {
    users: HashMap<Box<str>, Mailbox>,
    counts: Counts,
    last: u64,
    sweep_at: Time,
}

/// What is there in all.
struct Counts {
    octets: usize,
    /// How many messages each sender has there.
    senders: HashMap<Arc<str>, usize>,
    /// Those that were written down, and have left since. While nothing can be written nothing new is taken either, so there
    /// are no more than once were kept.
    gone: Vec<u64>,
}

impl Counts {
    fn add(&mut self, aor: &str, stored: &Stored) {
        self.octets += stored.cost(aor);
        *self.senders.entry(stored.sender.clone()).or_default() += 1;
    }

    fn remove(&mut self, aor: &str, stored: &Stored) {
        self.octets -= stored.cost(aor);
        if let Some(left) = self.senders.get_mut(&stored.sender) {
            *left -= 1;
            if *left == 0 {
                self.senders.remove(&stored.sender);
            }
        }
        if stored.written {
            self.gone.push(stored.id);
        }
    }
}

#[derive(Default)]
struct Mailbox {
    messages: VecDeque<Stored>,
    delivery: Delivery,
}

struct Stored {
    id: u64,
    sender: Arc<str>,
    text: Bytes,
    until: Time,
    /// The thread of the store has it.
    written: bool,
}

impl Stored {
    fn cost(&self, aor: &str) -> usize {
        aor.len() + self.sender.len() + self.text.len() + OVERHEAD
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Delivery {
    #[default]
    Idle,
    /// A shard delivers.
    Running,
    /// And somebody has registered meanwhile.
    Again,
}

/// A message as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Names it.
    pub id: u64,
    /// In whose share it counts.
    pub sender: Arc<str>,
    /// The MESSAGE, without what belongs to a transaction.
    pub text: Bytes,
    /// When it expires.
    pub until: Time,
}

/// A message that is to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Names it.
    pub id: u64,
    /// The MESSAGE, without what belongs to a transaction.
    pub text: Bytes,
}

impl Silo {
    /// An empty silo for so many shards.
    pub fn new(config: config::Silo, shards: u16, rng: &mut Rng) -> Self {
        let users = HashMap::with_hasher(Keyed::new(rng));
        let counts = Counts { octets: 0, senders: HashMap::with_hasher(Keyed::new(rng)), gone: Vec::new() };
        let kept = Mutex::new(Kept { users, counts, last: 0, sweep_at: Time::ZERO });
        let due = (0..shards).map(|_| Due::default()).collect();
        Silo { config, kept, messages: AtomicUsize::new(0), due }
    }

    /// What it keeps.
    pub fn config(&self) -> &config::Silo {
        &self.config
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a message for an address-of-record, in the share of a sender.
    ///
    /// # Errors
    /// When there is no room.
    pub fn keep(&self, aor: &str, sender: &str, text: Bytes, until: Time, now: Time) -> Result<(), SiloFull> {
        let mut kept = self.kept.lock();
        let stored = Stored { id: kept.last + 1, sender: sender.into(), text, until, written: false };
        let cost = stored.cost(aor);
        let has_room = |kept: &Kept| {
            self.len() < self.config.max_messages && kept.counts.octets.saturating_add(cost) <= self.config.max_octets
        };
        let has_share = |kept: &Kept| kept.counts.senders.get(sender).is_none_or(|n| *n < self.config.max_per_sender);
        if !(has_room(&kept) && has_share(&kept)) && kept.sweep_at <= now {
            kept.sweep_at = now + SWEEP_EVERY;
            self.sweep(&mut kept, now);
        }
        if !has_room(&kept) {
            return Err(SiloFull::All);
        }
        self.drop_expired(&mut kept, aor, now);
        let (all, own) = kept.users.get(aor).map_or((0, 0), |mailbox| {
            let own = mailbox.messages.iter().filter(|stored| *stored.sender == *sender).count();
            (mailbox.messages.len(), own)
        });
        if all >= self.config.max_per_user {
            return Err(SiloFull::User);
        }
        // Nobody takes a user's place from all others.
        if !has_share(&kept) || own >= self.config.max_per_user.div_ceil(2) {
            return Err(SiloFull::Sender);
        }
        self.insert(&mut kept, aor, stored);
        Ok(())
    }

    fn insert(&self, kept: &mut Kept, aor: &str, stored: Stored) {
        kept.last = kept.last.max(stored.id);
        kept.counts.add(aor, &stored);
        kept.users.entry(aor.into()).or_default().messages.push_back(stored);
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts a message back that an earlier process kept, in the order of their numbers; whether there was room for it.
    pub fn restore(&self, aor: &str, letter: Letter) -> bool {
        let mut kept = self.kept.lock();
        // Its number is not given again, even when there is no room for it.
        kept.last = kept.last.max(letter.id);
        let Letter { id, sender, text, until } = letter;
        let stored = Stored { id, sender, text, until, written: true };
        let octets = kept.counts.octets.saturating_add(stored.cost(aor));
        if self.len() >= self.config.max_messages || octets > self.config.max_octets {
            return false;
        }
        self.insert(&mut kept, aor, stored);
        true
    }

    /// The messages for an address-of-record that are to be written down. They count as written now: what is not must be told
    /// to [`Silo::not_written`].
    pub fn take_new(&self, aor: &str) -> Vec<Letter> {
        let mut kept = self.kept.lock();
        let Some(mailbox) = kept.users.get_mut(aor) else { return Vec::new() };
        let new = mailbox.messages.iter_mut().filter(|stored| !stored.written).map(|stored| {
            stored.written = true;
            let Stored { id, sender, text, until, .. } = &*stored;
            Letter { id: *id, sender: sender.clone(), text: text.clone(), until: *until }
        });
        new.collect()
    }

    /// Those could not be written down.
    pub fn not_written(&self, aor: &str, letters: &[Letter]) {
        let mut kept = self.kept.lock();
        let Some(mailbox) = kept.users.get_mut(aor) else { return };
        for stored in &mut mailbox.messages {
            stored.written &= !letters.iter().any(|letter| letter.id == stored.id);
        }
    }

    /// The numbers of messages that were written down and have left.
    pub fn gone(&self) -> Vec<u64> {
        self.kept.lock().counts.gone.clone()
    }

    /// The first so many of those are removed.
    pub fn forget_gone(&self, number: usize) {
        let mut kept = self.kept.lock();
        let number = number.min(kept.counts.gone.len());
        kept.counts.gone.drain(..number);
    }

    /// A user has registered, by this shard: it delivers what there is.
    pub fn registered(&self, aor: &str, shard: u16) {
        if self.is_empty() {
            return;
        }
        let mut kept = self.kept.lock();
        let Some(mailbox) = kept.users.get_mut(aor) else { return };
        mailbox.delivery = match mailbox.delivery {
            Delivery::Idle => {
                self.push_due(aor.into(), shard);
                Delivery::Running
            }
            Delivery::Running | Delivery::Again => Delivery::Again,
        };
    }

    /// Whether a shard has something to deliver.
    pub fn is_due(&self, shard: u16) -> bool {
        self.due.get(usize::from(shard)).is_some_and(|due| due.number.load(Ordering::Relaxed) > 0)
    }

    /// Whose messages a shard delivers next.
    pub fn take_due(&self, shard: u16) -> Option<Box<str>> {
        let due = self.due.get(usize::from(shard))?;
        let aor = due.users.lock().pop_front()?;
        due.number.fetch_sub(1, Ordering::Relaxed);
        Some(aor)
    }

    fn push_due(&self, aor: Box<str>, shard: u16) {
        let Some(due) = self.due.get(usize::from(shard)) else { return };
        due.users.lock().push_back(aor);
        due.number.fetch_add(1, Ordering::Relaxed);
    }

    /// The first message of a user behind that with this number, if there is one.
    pub fn next(&self, aor: &str, after: u64, now: Time) -> Option<Next> {
        let mut kept = self.kept.lock();
        self.drop_expired(&mut kept, aor, now);
        let next = kept.users.get(aor)?.messages.iter().find(|stored| stored.id > after)?;
        Some(Next { id: next.id, text: next.text.clone() })
    }

    /// Forgets a message: it was delivered.
    pub fn remove(&self, aor: &str, id: u64) {
        let mut kept = self.kept.lock();
        self.retain(&mut kept, aor, |stored| stored.id != id);
    }

    /// A shard delivers no more to this user; who has registered meanwhile is due again.
    pub fn rest(&self, aor: &str, shard: u16) {
        let mut kept = self.kept.lock();
        let Some(mailbox) = kept.users.get_mut(aor) else { return };
        if mailbox.messages.is_empty() {
            kept.users.remove(aor);
        } else if mailbox.delivery == Delivery::Again {
            mailbox.delivery = Delivery::Running;
            self.push_due(aor.into(), shard);
        } else {
            mailbox.delivery = Delivery::Idle;
        }
    }

    fn drop_expired(&self, kept: &mut Kept, aor: &str, now: Time) {
        self.retain(kept, aor, |stored| stored.until > now);
    }

    /// Keeps some of a user's messages; who has none left, and waits for none, is forgotten.
    fn retain(&self, kept: &mut Kept, aor: &str, wanted: impl Fn(&Stored) -> bool) {
        let Kept { users, counts, .. } = kept;
        let Some(mailbox) = users.get_mut(aor) else { return };
        self.thin(mailbox, counts, aor, wanted);
        if mailbox.messages.is_empty() && mailbox.delivery == Delivery::Idle {
            users.remove(aor);
        }
    }

    /// Drops messages of a mailbox.
    fn thin(&self, mailbox: &mut Mailbox, counts: &mut Counts, aor: &str, wanted: impl Fn(&Stored) -> bool) {
        let before = mailbox.messages.len();
        mailbox.messages.retain(|stored| {
            let stays = wanted(stored);
            if !stays {
                counts.remove(aor, stored);
            }
            stays
        });
        self.messages.fetch_sub(before - mailbox.messages.len(), Ordering::Relaxed);
    }

    fn sweep(&self, kept: &mut Kept, now: Time) {
        let Kept { users, counts, .. } = kept;
        users.retain(|aor, mailbox| {
            self.thin(mailbox, counts, aor, |stored| stored.until > now);
            !mailbox.messages.is_empty() || mailbox.delivery != Delivery::Idle
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silo(config: config::Silo) -> Silo {
        Silo::new(config, 2, &mut Rng::from_seed(1))
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    fn keep(silo: &Silo, aor: &str, text: &'static str, until: u64, now: u64) -> Result<(), SiloFull> {
        from(silo, aor, text, "s@h", until, now)
    }

    fn from(silo: &Silo, aor: &str, text: &'static str, sender: &str, until: u64, now: u64) -> Result<(), SiloFull> {
        silo.keep(aor, sender, Bytes::from_static(text.as_bytes()), at(until), at(now))
    }

    #[test]
    fn messages_come_in_order_and_expire() {
        let silo = silo(config::Silo::default());
        for (text, until) in [("1", 90), ("2", 10), ("3", 90)] {
            keep(&silo, "u@h", text, until, 0).unwrap();
        }
        let next = |after, now| silo.next("u@h", after, at(now)).map(|next| (next.id, next.text));
        assert_eq!((next(0, 9), next(1, 9)), (Some((1, "1".into())), Some((2, "2".into()))));
        assert_eq!((next(1, 10), silo.len()), (Some((3, "3".into())), 2));
        silo.remove("u@h", 1);
        assert_eq!((next(0, 11), next(3, 11), next(0, 90), silo.len()), (Some((3, "3".into())), None, None, 0));
        let kept = silo.kept.lock();
        assert!(kept.counts.octets == 0 && kept.users.is_empty() && kept.counts.senders.is_empty());
        assert!(kept.counts.gone.is_empty(), "nothing was written");
    }

    #[test]
    fn a_sender_has_a_share() {
        let limits = config::Silo { max_per_user: 4, max_per_sender: 3, ..config::Silo::default() };
        let silo = silo(limits);
        let eve = |aor, until, now| from(&silo, aor, "spam", "203.0.113.9", until, now);
        assert_eq!([eve("u@h", 90, 0), eve("u@h", 90, 0), eve("u@h", 90, 0)], [Ok(()), Ok(()), Err(SiloFull::Sender)]);
        // With others it is as before, and the user has room for those who are not the same.
        assert_eq!([eve("v@h", 50, 0), eve("w@h", 90, 0)], [Ok(()), Err(SiloFull::Sender)]);
        assert_eq!([keep(&silo, "u@h", "1", 90, 0), keep(&silo, "u@h", "2", 90, 0)], [Ok(()), Ok(())]);
        assert_eq!(keep(&silo, "u@h", "3", 90, 0), Err(SiloFull::User));
        // What was delivered or has expired makes room.
        silo.remove("u@h", 1);
        assert_eq!(eve("w@h", 90, 1), Ok(()));
        assert_eq!([eve("w@h", 90, 1), eve("w@h", 90, 61)], [Err(SiloFull::Sender), Ok(())]);
    }

    #[test]
    fn what_is_written_down_is_told_when_it_leaves() {
        let silo = silo(config::Silo::default());
        keep(&silo, "u@h", "1", 90, 0).unwrap();
        keep(&silo, "u@h", "2", 90, 0).unwrap();
        let new = silo.take_new("u@h");
        assert_eq!(
            new.iter().map(|letter| (letter.id, &*letter.text)).collect::<Vec<_>>(),
            [(1, &b"1"[..]), (2, b"2")]
        );
        assert!(silo.take_new("u@h").is_empty() && silo.take_new("v@h").is_empty());
        silo.not_written("u@h", &new[1..]);
        // The one was written and has left, the other was not.
        silo.remove("u@h", 1);
        silo.remove("u@h", 2);
        assert_eq!(silo.gone(), [1]);
        silo.forget_gone(1);
        assert!(silo.gone().is_empty());
        // Another process begins with it, and with what comes after.
        let next = self::silo(config::Silo { max_messages: 1, ..config::Silo::default() });
        let letter = |id| Letter { id, ..new[0].clone() };
        assert!(next.restore("u@h", letter(7)) && !next.restore("u@h", letter(9)));
        next.remove("u@h", 7);
        keep(&next, "u@h", "3", 90, 0).unwrap();
        assert_eq!((next.next("u@h", 0, at(0)).unwrap().id, next.gone()), (10, vec![7]));
    }

    #[test]
    fn one_user_and_all_have_so_much_room() {
        let limits = config::Silo { max_per_user: 2, max_messages: 3, ..config::Silo::default() };
        let silo = silo(limits);
        keep(&silo, "u@h", "1", 100, 0).unwrap();
        from(&silo, "u@h", "2", "t@h", 20, 0).unwrap();
        assert_eq!(keep(&silo, "u@h", "3", 100, 0), Err(SiloFull::User));
        keep(&silo, "v@h", "4", 20, 0).unwrap();
        assert_eq!(keep(&silo, "w@h", "5", 100, 19), Err(SiloFull::All));
        // What has expired makes room, but it is not looked for at each message.
        assert_eq!(keep(&silo, "w@h", "5", 100, 30), Err(SiloFull::All));
        assert_eq!((keep(&silo, "w@h", "6", 100, 80), silo.len()), (Ok(()), 2));
        let octets = config::Silo { max_octets: 2 * (OVERHEAD + 4 + 3), ..config::Silo::default() };
        let silo = self::silo(octets);
        keep(&silo, "u@h", "1", 100, 0).unwrap();
        keep(&silo, "v@h", "2", 100, 0).unwrap();
        assert_eq!(keep(&silo, "w@h", "3", 100, 0), Err(SiloFull::All));
    }

    #[test]
    fn who_registers_is_due_once() {
        let silo = silo(config::Silo::default());
        silo.registered("u@h", 1);
        assert!(!silo.is_due(1));
        keep(&silo, "u@h", "1", 100, 0).unwrap();
        silo.registered("v@h", 1);
        silo.registered("u@h", 1);
        silo.registered("u@h", 0);
        assert!(silo.is_due(1) && !silo.is_due(0));
        assert_eq!((silo.take_due(1).as_deref(), silo.take_due(1)), (Some("u@h"), None));
        // Again, because it has registered meanwhile; then not before it registers once more.
        silo.rest("u@h", 1);
        assert_eq!(silo.take_due(1).as_deref(), Some("u@h"));
        silo.rest("u@h", 1);
        assert!(!silo.is_due(1));
        silo.registered("u@h", 0);
        assert_eq!(silo.take_due(0).as_deref(), Some("u@h"));
        silo.remove("u@h", 1);
        silo.rest("u@h", 0);
        assert!(silo.kept.lock().users.is_empty());
    }
}
