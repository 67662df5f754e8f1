//! The message silo (reSIProcate's `MessageSilo`): messages for users who are not there, in memory, shared by all shards.
//!
//! ```text
//!   MESSAGE ──► processor message-silo ──► Silo::keep ──► 202
//!   REGISTER ──► Silo::registered ──► due on its shard ──► Courier ──► the contact ──► 2xx: Silo::remove
//! ```
//!
//! Bounded by `[silo]`, for one user and in all; a message leaves when it was delivered, or has expired. Who is due is
//! there once, so no more are than have messages.

mod courier;

pub use courier::Courier;

use crate::config;
use bytes::Bytes;
use parking_lot::Mutex;
use rutil::{HashMap, Keyed, Rng, Time};
use std::collections::VecDeque;
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
    octets: usize,
    last: u64,
    sweep_at: Time,
}

#[derive(Default)]
struct Mailbox {
    messages: VecDeque<Stored>,
    delivery: Delivery,
}

struct Stored {
    id: u64,
    text: Bytes,
    until: Time,
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
        let kept = Mutex::new(Kept { users, octets: 0, last: 0, sweep_at: Time::ZERO });
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

    /// Keeps a message for an address-of-record.
    ///
    /// # Errors
    /// When there is no room.
    pub fn keep(&self, aor: &str, text: Bytes, until: Time, now: Time) -> Result<(), SiloFull> {
        let mut kept = self.kept.lock();
        let cost = cost(aor, &text);
        let has_room = |kept: &Kept| {
            self.len() < self.config.max_messages && kept.octets.saturating_add(cost) <= self.config.max_octets
        };
        if !has_room(&kept) && kept.sweep_at <= now {
            kept.sweep_at = now + SWEEP_EVERY;
            self.sweep(&mut kept, now);
        }
        if !has_room(&kept) {
            return Err(SiloFull::All);
        }
        self.drop_expired(&mut kept, aor, now);
        if kept.users.get(aor).map_or(0, |mailbox| mailbox.messages.len()) >= self.config.max_per_user {
            return Err(SiloFull::User);
        }
        kept.last += 1;
        kept.octets += cost;
        let stored = Stored { id: kept.last, text, until };
        kept.users.entry(aor.into()).or_default().messages.push_back(stored);
        self.messages.fetch_add(1, Ordering::Relaxed);
        Ok(())
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
        let Some(mailbox) = kept.users.get_mut(aor) else { return };
        let octets = self.thin(mailbox, aor, wanted);
        if mailbox.messages.is_empty() && mailbox.delivery == Delivery::Idle {
            kept.users.remove(aor);
        }
        kept.octets -= octets;
    }

    /// Drops messages of a mailbox; how many octets that are.
    fn thin(&self, mailbox: &mut Mailbox, aor: &str, wanted: impl Fn(&Stored) -> bool) -> usize {
        let (before, mut octets) = (mailbox.messages.len(), 0);
        mailbox.messages.retain(|stored| {
            let stays = wanted(stored);
            octets += if stays { 0 } else { cost(aor, &stored.text) };
            stays
        });
        self.messages.fetch_sub(before - mailbox.messages.len(), Ordering::Relaxed);
        octets
    }

    fn sweep(&self, kept: &mut Kept, now: Time) {
        let mut octets = 0;
        kept.users.retain(|aor, mailbox| {
            octets += self.thin(mailbox, aor, |stored| stored.until > now);
            !mailbox.messages.is_empty() || mailbox.delivery != Delivery::Idle
        });
        kept.octets -= octets;
    }
}

fn cost(aor: &str, text: &Bytes) -> usize {
    aor.len() + text.len() + OVERHEAD
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
        silo.keep(aor, Bytes::from_static(text.as_bytes()), at(until), at(now))
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
        assert!(kept.octets == 0 && kept.users.is_empty());
    }

    #[test]
    fn one_user_and_all_have_so_much_room() {
        let limits = config::Silo { max_per_user: 2, max_messages: 3, ..config::Silo::default() };
        let silo = silo(limits);
        keep(&silo, "u@h", "1", 100, 0).unwrap();
        keep(&silo, "u@h", "2", 20, 0).unwrap();
        assert_eq!(keep(&silo, "u@h", "3", 100, 0), Err(SiloFull::User));
        keep(&silo, "v@h", "4", 20, 0).unwrap();
        assert_eq!(keep(&silo, "w@h", "5", 100, 19), Err(SiloFull::All));
        // What has expired makes room, but it is not looked for at each message.
        assert_eq!(keep(&silo, "w@h", "5", 100, 30), Err(SiloFull::All));
        assert_eq!((keep(&silo, "w@h", "6", 100, 80), silo.len()), (Ok(()), 2));
        let octets = config::Silo { max_octets: 2 * (OVERHEAD + 4), ..config::Silo::default() };
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
