//! What became of calls and registrations, for billing: reSIProcate's `AccountingCollector`.
//!
//! The proxies put events into one bounded FIFO and go on; a thread of its own writes them as lines of a file, or as
//! entries of a stream elsewhere ([`Sink`]). When the
//! FIFO is full, because the disk is slow or full, what is new is shed and counted. Without `[accounting]` it costs one
//! look whether there is any.
//!
//! | event | made of |
//! |---|---|
//! | `session_established` | the 2xx to an INVITE without a To tag; one for each To tag |
//! | `session_failed`, `session_redirected`, `session_cancelled` | its other final answer; 401 and 407 are none |
//! | `session_ended` | a final answer to a BYE, other than 401 and 407 |
//! | `registration_added`, `…_refreshed`, `…_removed`, `…_expired` | a change of a contact |

mod event;
mod file;
mod line;
mod object;
mod service;
mod sessions;
mod sink;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use event::{Account, reason_of, to_tag};
pub use event::{Bye, Call, Destination, Entry, Event};
pub(crate) use line::timestamp;
pub use service::{Running, Service};
pub use sink::Sink;

use crate::cluster::Cluster;
use crate::config;
use crate::location::{Binding, Change};
use rutil::fifo::{Class, FifoSender};
use rutil::stats::{Counter, Gauge};
use rutil::{Bell, Time};
use stack::contents::event::reg_info::Event as RegistrationEvent;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// How many events may wait to be written: four seconds of 2,000 calls a second.
const MOST_WAITING: usize = 16_384;

/// The end of the FIFO that the proxies have.
pub struct Accounting {
    sender: FifoSender<Box<Entry>>,
    /// Of the thread that writes.
    bell: Bell,
    sessions: bool,
    registrations: bool,
    refreshes: bool,
    written: Counter,
    standing: Gauge,
    failing: AtomicBool,
    reopen: AtomicBool,
    stop: AtomicBool,
    cluster: OnceLock<Arc<Cluster>>,
}

/// Whether a status asks for a password: who gives it asks again.
pub(crate) fn is_challenge(code: u16) -> bool {
    matches!(code, 401 | 407)
}

impl Accounting {
    fn new(settings: &config::Accounting, sender: FifoSender<Box<Entry>>, bell: Bell) -> Self {
        Accounting {
            sender,
            bell,
            sessions: settings.sessions,
            registrations: settings.registrations,
            refreshes: settings.refreshes,
            written: Counter::default(),
            standing: Gauge::default(),
            failing: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            cluster: OnceLock::new(),
        }
    }

    /// Whether sessions are told.
    pub(crate) fn wants_sessions(&self) -> bool {
        self.sessions
    }

    /// Whether registrations are told.
    pub(crate) fn wants_registrations(&self) -> bool {
        self.registrations
    }

    /// Tells what has happened; when there is no room it is shed, and counted.
    pub(crate) fn tell(&self, event: Event, now: Time) {
        let _ = self.sender.push(Box::new(Entry { at: now, event }), Class::Internal, now);
    }

    /// Tells that a call was refused, or cancelled, before it went anywhere. A challenge is no refusal.
    pub(crate) fn refused(&self, call: Arc<Call>, code: u16, cancelled: bool, now: Time) {
        if !is_challenge(code) {
            self.tell(Event::Failed { call, code, cancelled, reason: None, destination: None }, now);
        }
    }

    /// Says that other nodes have the same contacts.
    pub(crate) fn set_cluster(&self, cluster: Arc<Cluster>) {
        // A second one would be of another process.
        let _ = self.cluster.set(cluster);
    }

    /// Tells what has become of contacts of an address-of-record. What expires does so at each node: one of them tells it,
    /// whichever took the REGISTER, since that one may be gone, or has forgotten with a restart that it was the one.
    pub(crate) fn tell_changes<'c>(&self, aor: &str, changes: impl Iterator<Item = &'c Change>, now: Time) {
        let tells =
            |binding: &Binding| self.cluster.get().is_none_or(|cluster| cluster.tells_expired(aor, binding, now));
        for Change { event, binding } in changes {
            let elsewhere = *event == RegistrationEvent::Expired && !tells(binding);
            if !elsewhere && (self.refreshes || *event != RegistrationEvent::Refreshed) {
                let binding = Box::new(binding.clone());
                self.tell(Event::Registration { aor: aor.into(), event: *event, binding }, now);
            }
        }
    }

    /// Tells what has expired and another node should have told.
    pub(crate) fn tell_expired(&self, aor: &str, binding: Box<Binding>, now: Time) {
        self.tell(Event::Registration { aor: aor.into(), event: RegistrationEvent::Expired, binding }, now);
    }

    /// Has the file opened anew under its name: somebody has renamed it. A connection is made anew.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// How many lines were written.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// How many events were shed.
    pub fn shed(&self) -> u64 {
        self.sender.meter().refused()
    }

    /// How many events wait to be written.
    pub fn waiting(&self) -> usize {
        self.sender.meter().depth()
    }

    /// How many sessions stand whose answer was seen here.
    pub fn standing(&self) -> u64 {
        u64::try_from(self.standing.get()).unwrap_or(0)
    }

    /// Whether what is told cannot be written.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}
