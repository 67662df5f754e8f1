//! The façade: builder, transports, transaction users, commands from outside, and a shutdown that drains.

mod builder;
mod spec;

pub use builder::StackBuilder;
pub use spec::{StackError, TransportSpec};

use crate::hep::HepStats;
use crate::message::Message;
use crate::overload::{BanList, Bans};
use crate::scanner::{ScannerSnapshot, ScannerStats};
use crate::selector::resolver::ResolverHandle;
use crate::statistics::{FifoStatistics, Statistics, TransportStatistics};
use crate::transaction::{
    Alive, ClientTransaction, Command, Door, Input, Look, Looked, ServerTransaction, TransactionInfo,
    TransactionSnapshot, TransactionStats,
};
use crate::transport::{TransportId, TransportInfo, TransportStats, TransportTable};
use crate::tu::{SendOptions, TuApart, TuPoster};
use crate::wiring::{self, Core, CoreActors, OnPanic};
use parking_lot::Mutex;
use rutil::{Bell, Class, Clock, Control, Meter, RealClock, Rng, Runner, Sleeper, Time};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// Names a transaction user of a stack: what [`StackBuilder::register_tu`] gave. To another stack it names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TuId {
    /// Its number there.
    at: u8,
    /// The number of the builder.
    stack: u32,
}

/// A running stack. Dropping it stops it at once; [`Stack::shutdown`] drains first.
///
/// A user agent that answers OPTIONS:
/// ```
/// use stack::header::{Method, h};
/// use stack::tu::{TransactionUser, TuContext, TuEvent, TuOptions};
/// use stack::{Stack, TransportSpec};
/// use std::net::UdpSocket;
/// use std::time::Duration;
///
/// /// Answers OPTIONS with 200 and what it can do, everything else with 405 (RFC 3261 §11.2).
/// struct Answerer;
///
/// impl TransactionUser for Answerer {
///     fn name(&self) -> &'static str {
///         "answerer"
///     }
///
///     fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
///         // An ACK, or the news that a response did not arrive, needs no answer.
///         let TuEvent::Request { transaction, msg } = event else { return };
///         let code = if msg.method() == Some(Method::Options) { 200 } else { 405 };
///         let mut response = msg.make_response(code, None, Some(&stack.new_tag()));
///         response.push_back(h::ALLOWS, "OPTIONS");
///         response.push_back(h::ACCEPTS, "application/sdp");
///         stack.respond(transaction, response);
///     }
/// }
///
/// // One UDP transport on a free port, one transaction user that takes every request.
/// let mut builder = Stack::builder();
/// builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
/// builder.register_tu(TuOptions::default(), |_shard| Answerer);
/// let stack = builder.start()?;
/// let server = stack.transports().iter().next().expect("one transport").bound;
///
/// // A client of a few lines asks it.
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.set_read_timeout(Some(Duration::from_secs(5)))?;
/// let request = format!(
///     "OPTIONS sip:{server} SIP/2.0\r\n\
///      Via: SIP/2.0/UDP {client};branch=z9hG4bK74bf9\r\n\
///      Max-Forwards: 70\r\n\
///      From: <sip:alice@example.com>;tag=9fxced76sl\r\n\
///      To: <sip:{server}>\r\n\
///      Call-ID: 3848276298220188511\r\n\
///      CSeq: 1 OPTIONS\r\n\
///      Content-Length: 0\r\n\r\n",
///     client = client.local_addr()?,
/// );
/// client.send_to(request.as_bytes(), server)?;
/// let mut buffer = [0; 2048];
/// let (len, _) = client.recv_from(&mut buffer)?;
/// let answer = std::str::from_utf8(&buffer[..len])?;
/// assert!(answer.starts_with("SIP/2.0 200 OK\r\n"), "{answer}");
/// assert!(answer.contains("Allow: OPTIONS\r\n"), "{answer}");
///
/// // Finish what is under way, for at most a second.
/// assert!(stack.shutdown(Duration::from_secs(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stack {
    /// That of its builder.
    number: u32,
    /// A shutdown has begun.
    ending: AtomicBool,
    transports: TransportTable,
    cores: Vec<Core>,
    bans: Arc<Bans>,
    controls: Vec<(Arc<Control>, Bell)>,
    /// Transaction users that the program drives, until it takes them.
    apart: Mutex<Vec<(TuId, TuApart)>>,
    /// Until they are stopped.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The processor of the first runner.
    pin: Option<usize>,
    resolver: ResolverHandle,
    clock: RealClock,
    rng: Mutex<Rng>,
    transport_stats: Vec<(TransportId, Arc<TransportStats>)>,
    /// By transport.
    wire_meters: Vec<Arc<Meter>>,
    hep: Arc<HepStats>,
}

/// How long before the end of its patience a stack that never comes to rest takes nothing more on.
const LAST: Duration = Duration::from_millis(500);

/// How long the doors are shut before dialogs go on, when something has still begun: well within the half second after which
/// what came meanwhile is repeated.
const SHUT: Duration = Duration::from_millis(100);

/// How long a shard may take to answer whoever looks at its transactions.
const PATIENCE: Duration = Duration::from_secs(2);

/// The stack took no command: its `cmd` FIFO is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stack is congested")]
pub struct Congested;

impl Stack {
    /// An empty builder: one runner, no transports, no transaction users.
    pub fn builder() -> StackBuilder {
        StackBuilder::new()
    }

    /// The transports with the addresses that they got; in each shard in the order of `add_transport`. It knows the
    /// machine's addresses as they were at the start; a [`crate::tu::TuContext`] has the present ones.
    pub fn transports(&self) -> &TransportTable {
        &self.transports
    }

    /// Sends a request for a transaction user, from any thread; what becomes of it is told to that transaction user.
    ///
    /// # Errors
    /// [`Congested`]: nothing was sent. So it is where `tu` is another stack's.
    pub fn send(
        &self,
        tu: TuId,
        msg: impl Into<Box<Message>>,
        options: SendOptions,
    ) -> Result<ClientTransaction, Congested> {
        if tu.stack != self.number {
            return Err(Congested);
        }
        let random = self.rng.lock().next_u64();
        let shard = (random >> 32) as usize % self.cores.len();
        let transaction = ClientTransaction::new(shard as u16, random);
        self.command(shard, Command::Send { transaction, tu: tu.at, msg: msg.into(), options: Box::new(options) })?;
        Ok(transaction)
    }

    /// Sends a request without a transaction, from any thread: the ACK for a 2xx.
    ///
    /// # Errors
    /// [`Congested`]: nothing was sent.
    pub fn send_stateless(&self, msg: impl Into<Box<Message>>, options: SendOptions) -> Result<(), Congested> {
        let random = self.rng.lock().next_u64();
        let shard = (random >> 32) as usize % self.cores.len();
        let transaction = ClientTransaction::new(shard as u16, random);
        let options = Box::new(options);
        self.command(shard, Command::SendStateless { transaction, msg: msg.into(), options })
    }

    /// Cancels an INVITE that was sent, from any thread: as [`crate::tu::TuContext::cancel`].
    ///
    /// # Errors
    /// [`Congested`]: nothing was cancelled.
    pub fn cancel(&self, transaction: ClientTransaction, reason: Option<&str>) -> Result<(), Congested> {
        let shard = usize::from(transaction.shard());
        self.command(shard, Command::cancel(transaction, reason))
    }

    /// Answers a request from any thread.
    ///
    /// # Errors
    /// [`Congested`]: the request was not answered.
    pub fn reply(&self, transaction: ServerTransaction, msg: impl Into<Box<Message>>) -> Result<(), Congested> {
        let shard = usize::from(transaction.shard());
        self.command(shard, Command::Respond { transaction, msg: msg.into() })
    }

    /// The way into the FIFO of a transaction user, from any thread. Where `tu` is another stack's it takes nothing.
    pub fn poster(&self, tu: TuId) -> TuPoster {
        let own = self.cores.iter().filter(|_| tu.stack == self.number);
        let fifos = own.filter_map(|core| core.users.get(usize::from(tu.at)).cloned()).collect();
        TuPoster::new(fifos, self.clock.clone())
    }

    /// What drives a transaction user of [`StackBuilder::register_tu_apart`]; none when it was taken before, or is another
    /// stack's.
    pub fn take_apart(&self, tu: TuId) -> Option<TuApart> {
        let mut apart = self.apart.lock();
        let at = apart.iter().position(|(known, _)| *known == tu)?;
        Some(apart.swap_remove(at).1)
    }

    fn command(&self, shard: usize, command: Command) -> Result<(), Congested> {
        let core = self.cores.get(shard).ok_or(Congested)?;
        core.commands.push(Input::Command(command), Class::Essential, self.clock.now()).map_err(|_| Congested)
    }

    /// The transactions that are alive, the oldest first: those that wait for something, or with `retired` also those that
    /// only absorb what comes again. At most `limit` are given, with how many there are.
    ///
    /// Each shard is asked for some slots at a time, between two messages, and this waits for its answers: it is for a
    /// thread that may wait, and none of the stack's.
    ///
    /// # Errors
    /// [`Congested`]: a shard has taken no question, or does not answer any more.
    pub fn transactions(&self, limit: usize, retired: bool) -> Result<(Vec<TransactionInfo>, usize), Congested> {
        let (mut all, mut total) = (Vec::new(), 0);
        let oldest = |all: &mut Vec<(u16, Alive)>| {
            all.sort_by_key(|(_, alive)| alive.began);
            all.truncate(limit);
        };
        for (shard, core) in self.cores.iter().enumerate() {
            let mut from = Some(0);
            while let Some(slot) = from {
                let (told, answer) = sync_channel(1);
                let look = Input::Look(Box::new(Look { from: slot, retired, told }));
                // What calls need goes before it.
                core.commands.push(look, Class::New, self.clock.now()).map_err(|_| Congested)?;
                let Looked { found, next } = answer.recv_timeout(PATIENCE).map_err(|_| Congested)?;
                total += found.len();
                all.extend(found.into_iter().map(|alive| (shard as u16, alive)));
                // What is not shown is not held on to.
                if all.len() > limit.saturating_mul(2) {
                    oldest(&mut all);
                }
                from = next;
            }
        }
        oldest(&mut all);
        let now = self.clock.now();
        Ok((all.into_iter().map(|(shard, alive)| alive.info(shard, now)).collect(), total))
    }

    /// From now on asks these name servers; none: the system's, which are read again. What the servers before have said
    /// is forgotten, and what is being looked up is asked once more.
    pub fn set_name_servers(&self, servers: Vec<SocketAddr>) {
        self.resolver.set_name_servers(servers);
    }

    /// Everything that was counted since the start, at this moment. It walks histograms and reads files of the kernel's:
    /// for every second, not for every message.
    pub fn statistics(&self) -> Statistics {
        let now = self.clock.now();
        let mut all = Statistics::of_cores(&self.cores, &self.bans, now);
        for ((transport, (_, stats)), wire) in self.transports.iter().zip(&self.transport_stats).zip(&self.wire_meters)
        {
            let TransportInfo { id, kind, shard, bound, .. } = *transport;
            let (counters, kernel_drops) = (stats.snapshot(), stats.kernel_drops());
            all.transports.push(TransportStatistics { id, kind, shard, bound, counters, kernel_drops });
            all.fifos.push(FifoStatistics::of(wire, shard, now));
        }
        (all.hep_exported, all.hep_shed) = (self.hep.exported.get(), self.hep.shed.get());
        all
    }

    /// What the transactions of all shards have counted.
    pub fn transaction_stats(&self) -> TransactionSnapshot {
        let mut sum = TransactionSnapshot::default();
        for core in &self.cores {
            sum.add(&TransactionStats::snapshot(&core.transactions));
        }
        sum
    }

    /// What the scanner of each shard has counted.
    pub fn scanner_stats(&self) -> Vec<ScannerSnapshot> {
        self.cores.iter().map(|core| ScannerStats::snapshot(&core.scanner)).collect()
    }

    /// Who is banned, to be read and changed.
    pub fn bans(&self) -> BanList {
        BanList::new(self.bans.clone(), self.clock.clone())
    }

    /// The counters of each transport.
    pub fn transport_stats(&self) -> &[(TransportId, Arc<TransportStats>)] {
        &self.transport_stats
    }

    /// What became of the messages that were to be exported.
    pub fn hep_stats(&self) -> &HepStats {
        &self.hep
    }

    /// The meters of all FIFOs, shard by shard.
    pub fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.cores.iter().flat_map(|core| &core.meters)
    }

    /// Whether what begins something new is refused with 503, from now on: of a machine that stands by for another one.
    /// [`Stack::shutdown`] has the last word.
    pub fn set_passive(&self, passive: bool) {
        if !self.ending.load(Ordering::Acquire) {
            self.set_doors(if passive { Door::Dialogs } else { Door::Open });
        }
    }

    /// Refuses what begins something new with 503, waits until every pending transaction has ended, at most `limit`,
    /// and stops. True when all had ended. Transactions that only absorb retransmissions are not waited for. What was
    /// counted can still be read then.
    ///
    /// Dialogs go on until the last moment, in which nothing begins any more: a request over UDP is not answered then, so
    /// that it is repeated to who comes after this stack, or fails over; one over a connection is answered 503. So whatever a
    /// transaction user was told of has had its answer when this is true; what is pending when `limit` has passed has none.
    ///
    /// It blocks its thread. Where that thread drives a transaction user ([`StackBuilder::register_tu_apart`]), that one
    /// cannot end anything meanwhile, and `limit` passes: on an executor, give the call to a thread of its own, as by
    /// `tokio::task::spawn_blocking(move || stack.shutdown(limit))`.
    pub fn shutdown(&self, limit: Duration) -> bool {
        self.ending.store(true, Ordering::Release);
        // Nobody drives them.
        self.apart.lock().clear();
        let until = self.clock.now() + limit;
        let last = until.before(LAST.min(limit / 2));
        let drained = loop {
            // Dialogs may go on and on; in the end they have to do without.
            self.set_doors(Door::Dialogs);
            let ending = !self.drained_by(last);
            // What began since the runners said that nothing is left has its end too.
            self.set_doors(Door::Shut);
            let drained = self.drained_by(if ending { until } else { until.min(self.clock.now() + SHUT) });
            if drained || self.clock.now() >= until {
                break drained;
            }
        };
        self.stop();
        drained
    }

    fn set_doors(&self, door: Door) {
        self.cores.iter().for_each(|core| core.doors.set(door));
    }

    /// Waits until all runners say that they have nothing left, at most until then; whether they did.
    fn drained_by(&self, until: Time) -> bool {
        loop {
            for (control, bell) in &self.controls {
                control.drained.store(false, Ordering::Release);
                control.drain.store(true, Ordering::Relaxed);
                bell.ring();
            }
            // A runner that has nothing to do says so before it sleeps; a busy one is asked again.
            std::thread::park_timeout(Duration::from_millis(10));
            // One that the program has dropped has nothing that is to be waited for.
            let done =
                |control: &Control| control.drained.load(Ordering::Acquire) || control.stop.load(Ordering::Relaxed);
            if self.controls.iter().all(|(control, _)| done(control)) {
                return true;
            }
            if self.clock.now() >= until {
                return false;
            }
        }
    }

    fn run<S: Sleeper + 'static>(
        &mut self,
        name: String,
        sleeper: S,
        CoreActors { actors, order, .. }: CoreActors,
        on_panic: &OnPanic,
    ) -> Result<(), StackError> {
        let control = Arc::<Control>::default();
        let mut runner = Runner::new(sleeper, self.clock.clone(), control.clone());
        for actor in actors {
            runner.add(actor);
        }
        runner.order(order);
        self.controls.push((control, runner.bell()));
        let threads = self.threads.get_mut();
        let pin = self.pin.map(|first| first + threads.len());
        threads.push(wiring::spawn_runner(name, runner, pin, on_panic.clone())?);
        Ok(())
    }

    fn stop(&self) {
        for (control, bell) in &self.controls {
            control.stop.store(true, Ordering::Relaxed);
            bell.ring();
        }
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A runner that panicked has already been reported.
            let _ = thread.join();
        }
        self.resolver.stop();
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop();
    }
}
