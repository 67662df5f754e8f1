//! The thread that writes. It may wait for the disk, as that of the store; nobody waits for it.

use super::Sink;
use super::file::RotatingFile;
use super::line::{Lines, Stamps};
use super::sessions::Sessions;
use super::{Accounting, Entry, Event, MOST_WAITING, RegistrationEvent};
use crate::cluster::Expired;
use crate::{OnPanic, config};
use rutil::fifo::{FifoReceiver, fifo};
use rutil::{Bell, Clock as _, ParkSleeper, RealClock, Rng, Sleeper as _, Time};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long to gather: events that come meanwhile are written at once, and need not wake this thread.
const GATHER: Duration = Duration::from_millis(50);
/// How soon to try again when the file cannot be written.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is told at most that events are shed.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// What is written at once, octets, and one line more.
const AT_ONCE: usize = 64 * 1024;

/// What the thread works with.
pub struct Service {
    writer: Writer,
    sleeper: ParkSleeper,
}

/// The running thread.
pub struct Running {
    accounting: Arc<Accounting>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Has everything written that is there, and waits for the end.
    pub fn stop(self) {
        self.accounting.stop.store(true, Ordering::Release);
        self.accounting.bell.ring();
        let _ = self.thread.join();
    }
}

impl Service {
    /// For the file that the settings name, or for what `elsewhere` is. It is opened.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn new(settings: &config::Accounting, elsewhere: Option<Box<dyn Sink>>, rng: &mut Rng) -> io::Result<Self> {
        let sleeper = ParkSleeper::new();
        let file = || RotatingFile::new(settings).map(|file| -> Box<dyn Sink> { Box::new(file) });
        let mut sink = elsewhere.or_else(file).ok_or_else(|| io::Error::other("nothing says where to"))?;
        sink.open()?;
        let writer = Writer::new(settings, sink, sleeper.bell(), rng);
        Ok(Service { writer, sleeper })
    }

    /// Where the proxies say what has happened.
    pub fn accounting(&self) -> Arc<Accounting> {
        self.writer.accounting.clone()
    }

    /// Starts the thread; `on_panic` is called when it panics: nothing is written any more then.
    ///
    /// # Errors
    /// When the system has none.
    pub fn start(self, clock: RealClock, on_panic: impl Fn() + Send + 'static) -> io::Result<Running> {
        let accounting = self.accounting();
        // Born outside of the stack's wiring, as the store's: it may wait for the disk.
        let work = move || {
            let _guard = OnPanic(on_panic);
            self.run(&clock);
        };
        let thread = std::thread::Builder::new().name("accounting".to_owned()).spawn(work)?;
        Ok(Running { accounting, thread })
    }

    fn run(mut self, clock: &RealClock) {
        let bell = self.sleeper.bell();
        loop {
            bell.doze();
            if self.writer.is_idle() {
                self.sleeper.sleep(None);
            }
            bell.awake();
            let stops = self.writer.is_stopped();
            if !stops {
                // Awake: nobody rings, so this ends when its time is over.
                self.sleeper.sleep(Some(if self.writer.accounting.is_failing() { AGAIN } else { GATHER }));
            }
            self.writer.turn(clock.now(), clock.epoch());
            if stops {
                // What is there is written, or it never is.
                return self.writer.end();
            }
        }
    }
}

/// Takes events and writes them.
pub(super) struct Writer {
    accounting: Arc<Accounting>,
    inbox: FifoReceiver<Box<Entry>>,
    lines: Lines,
    sink: Box<dyn Sink>,
    /// Lines that are not written yet, and how many.
    text: Vec<u8>,
    count: u64,
    /// What in them has expired: the other nodes hear that it is written.
    expired: Vec<Expired>,
    /// How many were shed when that was told last, and when.
    told: (u64, Option<Time>),
}

impl Writer {
    pub(super) fn new(settings: &config::Accounting, sink: Box<dyn Sink>, bell: Bell, rng: &mut Rng) -> Self {
        let (sender, inbox) = fifo("accounting", MOST_WAITING, bell.clone());
        Writer {
            accounting: Arc::new(Accounting::new(settings, sender, bell)),
            inbox,
            lines: Lines { sessions: Sessions::new(rng), stamps: Stamps::default() },
            sink,
            text: Vec::new(),
            count: 0,
            expired: Vec::new(),
            told: (0, None),
        }
    }

    #[cfg(test)]
    pub(super) fn accounting(&self) -> Arc<Accounting> {
        self.accounting.clone()
    }

    /// Whether nothing is to be done before the bell rings.
    fn is_idle(&self) -> bool {
        let asked = self.accounting.reopen.load(Ordering::Acquire) || self.is_stopped();
        self.inbox.is_empty() && self.text.is_empty() && !asked
    }

    fn is_stopped(&self) -> bool {
        self.accounting.stop.load(Ordering::Acquire)
    }

    /// Writes what is there, at `now`; `epoch` is how long after 1970 time zero is.
    pub(super) fn turn(&mut self, now: Time, epoch: Duration) {
        if self.accounting.reopen.swap(false, Ordering::AcqRel) {
            self.sink.close();
        }
        let wall = (epoch + now.since(Time::ZERO)).as_secs();
        loop {
            // What was put together and could not be written comes first, and stays whole.
            while self.text.len() < AT_ONCE
                && let Some(entry) = self.inbox.pop()
            {
                if let Some(expired) = self.expired_at_each_node(&entry) {
                    self.expired.push(expired);
                }
                let before = self.text.len();
                self.lines.write(*entry, epoch, &mut self.text);
                self.count += u64::from(self.text.len() > before);
            }
            if self.text.is_empty() || !self.write(wall) {
                break;
            }
        }
        self.accounting.standing.set(i64::try_from(self.lines.sessions.len()).unwrap_or(i64::MAX));
        self.tell_shed(now);
    }

    /// Whether all that was put together is written.
    fn write(&mut self, wall: u64) -> bool {
        let written = self.sink.write(&self.text, wall);
        let failed = self.accounting.failing.swap(written.is_err(), Ordering::Relaxed);
        match written {
            Ok(()) => {
                if failed {
                    tracing::warn!("accounting is written again");
                }
                self.accounting.written.add(std::mem::take(&mut self.count));
                self.text.clear();
                let expired = std::mem::take(&mut self.expired);
                if let Some(cluster) = self.accounting.cluster.get().filter(|_| !expired.is_empty()) {
                    cluster.has_told(expired);
                }
                true
            }
            Err(error) => {
                if !failed {
                    tracing::error!("accounting waits, {MOST_WAITING} events at most, and is tried again: {error}");
                }
                false
            }
        }
    }

    fn expired_at_each_node(&self, entry: &Entry) -> Option<Expired> {
        self.accounting.cluster.get()?;
        match &entry.event {
            Event::Registration { aor, event: RegistrationEvent::Expired, binding } => Some(Expired::new(aor, binding)),
            _ => None,
        }
    }

    fn tell_shed(&mut self, now: Time) {
        let (shed, (before, at)) = (self.accounting.shed(), self.told);
        if shed > before && at.is_none_or(|at| now.since(at) >= TELL_EVERY) {
            tracing::error!(events = shed - before, "accounting has lost events: it cannot write as fast as they come");
            self.told = (shed, Some(now));
        }
    }

    fn end(mut self) {
        self.tell_shed(Time::MAX);
        let lost = self.inbox.len() as u64 + self.count;
        if lost > 0 {
            tracing::error!(events = lost, "accounting has lost events: they cannot be written");
        }
    }
}
