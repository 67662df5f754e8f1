//! The resolver: an actix actor that looks up the addresses of names (RFC 3263 §4.2), on the control thread.
//!
//! The selector holds a [`ResolverHandle`] and hands it [`Lookup`]s; the [`Answer`] comes through the `dns_done` FIFO
//! of the shard that asked, whose bell wakes the runner. When that FIFO is full the answer is held and tried again.
//! At most [`MOST_LOOKUPS`] are under way, whatever their stage, so nothing here grows; more are refused.

use actix::{Actor, Addr, Handler, Message, System, SystemRunner};
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as ServerError, NetError};
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{Resolver as Client, TokioResolver};
use parking_lot::Mutex;
use rutil::{Class, Clock, FifoSender};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Look-ups under way at once.
pub const MOST_LOOKUPS: usize = 1024;
/// How long a held answer waits before its FIFO is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// What crosses `dns`: a name whose addresses are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Lookup {
    /// The host name; an address literal is answered as it is.
    pub name: String,
    /// Comes back in the answer.
    pub token: u64,
    /// Whose `dns_done` FIFO gets the answer: its index in what [`serve`] was given.
    pub shard: u16,
}

/// What crosses `dns_done`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The look-up's.
    pub token: u64,
    /// The addresses, IPv4 before IPv6, never none.
    pub result: Result<Vec<IpAddr>, DnsError>,
    /// How long the result may be kept; zero when the servers did not say.
    pub ttl: Duration,
}

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist, or has no addresses.
    #[error("no such name")]
    NotFound,
    /// It cannot be a host name.
    #[error("not a host name")]
    BadName,
    /// No server answered in time.
    #[error("the name servers did not answer in time")]
    Timeout,
    /// The servers failed, or cannot be reached.
    #[error("look-up failed: {0}")]
    Failed(String),
}

/// The look-up was refused: too many are under way, or the resolver has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resolver is busy")]
pub struct Busy;

/// How the resolver is set up; the name servers are the system's (`/etc/resolv.conf`, after `/etc/hosts`).
#[derive(Clone, Debug)]
pub struct ResolverOptions {
    /// How long one look-up may take in all.
    pub timeout: Duration,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        ResolverOptions { timeout: Duration::from_secs(5) }
    }
}

type Start = Box<dyn Fn(ResolverHandle) -> io::Result<()> + Send + Sync>;

/// How the selectors reach the resolver. Clones are cheap and reach the same one.
#[derive(Clone)]
pub struct ResolverHandle {
    shared: Arc<Shared>,
}

struct Shared {
    start: Start,
    under_way: AtomicUsize,
    stage: Mutex<Stage>,
}

enum Stage {
    /// Nobody has asked yet: there is no thread.
    Idle,
    /// The thread is coming up; what was asked meanwhile.
    Starting(Vec<Lookup>),
    Running(Addr<Resolver>, System),
    Stopped,
}

impl ResolverHandle {
    /// A resolver that does not run yet. At the first look-up `start` is called: it starts the thread that calls
    /// [`serve`] with the handle it is given.
    pub fn new(start: impl Fn(ResolverHandle) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let stage = Mutex::new(Stage::Idle);
        ResolverHandle { shared: Arc::new(Shared { start: Box::new(start), under_way: AtomicUsize::new(0), stage }) }
    }

    /// Asks for the addresses of a name. Never blocks on the network.
    ///
    /// # Errors
    /// [`Busy`] when too many look-ups are under way, or none can be made any more.
    pub fn try_lookup(&self, lookup: Lookup) -> Result<(), Busy> {
        if self.shared.under_way.fetch_add(1, Ordering::AcqRel) >= MOST_LOOKUPS {
            self.done();
            return Err(Busy);
        }
        let taken = self.enter(lookup);
        if taken.is_err() {
            self.done();
        }
        taken
    }

    /// Ends the resolver: look-ups under way get no answer, later ones are refused, and [`serve`] returns.
    pub fn stop(&self) {
        let stage = std::mem::replace(&mut *self.shared.stage.lock(), Stage::Stopped);
        if let Stage::Running(_, system) = stage {
            system.stop();
        }
    }

    fn enter(&self, lookup: Lookup) -> Result<(), Busy> {
        let mut stage = self.shared.stage.lock();
        match &mut *stage {
            Stage::Running(addr, _) => return addr.try_send(lookup).map_err(|_| Busy),
            Stage::Starting(waiting) => {
                waiting.push(lookup);
                return Ok(());
            }
            Stage::Stopped => return Err(Busy),
            Stage::Idle => *stage = Stage::Starting(vec![lookup]),
        }
        drop(stage);
        (self.shared.start)(self.clone()).map_err(|e| {
            tracing::error!(error = %e, "cannot start the resolver's thread");
            self.reset(1);
            Busy
        })
    }

    /// The thread did not come up: the next look-up tries again. What waited is lost; `counted` of it is counted off
    /// elsewhere.
    fn reset(&self, counted: usize) {
        let mut stage = self.shared.stage.lock();
        if let Stage::Starting(waiting) = &*stage {
            self.shared.under_way.fetch_sub(waiting.len().saturating_sub(counted), Ordering::AcqRel);
            *stage = Stage::Idle;
        }
    }

    /// The actor is there: hands it what waits. False when it is no longer wanted.
    fn run(&self, addr: Addr<Resolver>) -> bool {
        let mut stage = self.shared.stage.lock();
        if matches!(&*stage, Stage::Stopped) {
            return false;
        }
        let before = std::mem::replace(&mut *stage, Stage::Running(addr.clone(), System::current()));
        if let Stage::Starting(waiting) = before {
            for lookup in waiting {
                if addr.try_send(lookup).is_err() {
                    self.done();
                }
            }
        }
        true
    }

    fn done(&self) {
        self.shared.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs the resolver's actix system on this thread until [`ResolverHandle::stop`]. `answers` are the `dns_done` FIFOs
/// by shard.
///
/// # Errors
/// What the system says when the runtime cannot be made.
pub fn serve(
    handle: &ResolverHandle,
    options: &ResolverOptions,
    answers: Vec<FifoSender<Answer>>,
    clock: impl Clock + 'static,
) -> io::Result<()> {
    start(handle, options, answers, clock).inspect_err(|_| handle.reset(0))?.map_or(Ok(()), |system| system.run())
}

/// The system with the actor in it; none when it is no longer wanted.
fn start(
    handle: &ResolverHandle,
    options: &ResolverOptions,
    answers: Vec<FifoSender<Answer>>,
    clock: impl Clock + 'static,
) -> io::Result<Option<SystemRunner>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let system = System::with_tokio_rt(|| runtime);
    let wanted = system.block_on(async {
        let client = client(options)?;
        let desk = Desk { client, timeout: options.timeout, answers, clock: Box::new(clock), handle: handle.clone() };
        let addr = Resolver::create(|ctx| {
            ctx.set_mailbox_capacity(MOST_LOOKUPS);
            Resolver { desk: Rc::new(desk) }
        });
        Ok::<bool, io::Error>(handle.run(addr))
    })?;
    Ok(wanted.then_some(system))
}

fn client(options: &ResolverOptions) -> io::Result<TokioResolver> {
    let mut builder = Client::builder_tokio().unwrap_or_else(|e| {
        tracing::warn!(error = %e, "no name servers are configured: only /etc/hosts is asked");
        let none = ResolverConfig::from_name_servers(Vec::new());
        Client::builder_with_config(none, TokioRuntimeProvider::default())
    });
    let settings = builder.options_mut();
    settings.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    settings.timeout = settings.timeout.min(options.timeout);
    builder.build().map_err(io::Error::other)
}

/// The actor.
struct Resolver {
    desk: Rc<Desk>,
}

/// What every look-up needs.
struct Desk {
    client: TokioResolver,
    timeout: Duration,
    answers: Vec<FifoSender<Answer>>,
    clock: Box<dyn Clock>,
    handle: ResolverHandle,
}

impl Actor for Resolver {
    type Context = actix::Context<Self>;
}

impl Handler<Lookup> for Resolver {
    type Result = ();

    fn handle(&mut self, lookup: Lookup, _: &mut Self::Context) {
        let desk = self.desk.clone();
        actix::spawn(async move {
            let (result, ttl) = desk.look_up(&lookup.name).await;
            if let Err(e) = &result {
                tracing::debug!(name = lookup.name, error = %e, "look-up");
            }
            desk.deliver(lookup.shard, Answer { token: lookup.token, result, ttl }).await;
            desk.handle.done();
        });
    }
}

impl Desk {
    async fn look_up(&self, name: &str) -> (Result<Vec<IpAddr>, DnsError>, Duration) {
        if let Ok(literal) = name.parse() {
            return (Ok(vec![literal]), Duration::MAX);
        }
        let Ok(name) = Name::from_utf8(name) else { return (Err(DnsError::BadName), Duration::ZERO) };
        match actix::clock::timeout(self.timeout, self.client.lookup_ip(name)).await {
            Err(_) | Ok(Err(NetError::Timeout)) => (Err(DnsError::Timeout), Duration::ZERO),
            Ok(Err(e)) => failure(&e),
            Ok(Ok(found)) => {
                let addresses: Vec<IpAddr> = found.iter().collect();
                let ttl = found.as_lookup().answers().iter().map(|r| r.ttl).min().unwrap_or(0);
                let ttl = Duration::from_secs(ttl.into());
                if addresses.is_empty() { (Err(DnsError::NotFound), ttl) } else { (Ok(addresses), ttl) }
            }
        }
    }

    /// Pushes the answer, however long the FIFO stays full.
    async fn deliver(&self, shard: u16, answer: Answer) {
        let Some(fifo) = self.answers.get(usize::from(shard)) else {
            tracing::error!(shard, "a look-up of a shard that does not exist");
            return;
        };
        let mut held = answer;
        while let Err(full) = fifo.push(held, Class::Internal, self.clock.now()) {
            held = full.0;
            actix::clock::sleep(RETRY).await;
        }
    }
}

/// Sorts what the client says; a negative answer may be kept as long as its zone allows (RFC 2308 §5).
fn failure(e: &NetError) -> (Result<Vec<IpAddr>, DnsError>, Duration) {
    match e {
        NetError::Dns(ServerError::NoRecordsFound(none)) => {
            (Err(DnsError::NotFound), Duration::from_secs(none.negative_ttl.unwrap_or(0).into()))
        }
        other => (Err(DnsError::Failed(other.to_string())), Duration::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rutil::time::RealClock;
    use rutil::{Bell, FifoReceiver, fifo};
    use std::sync::mpsc;
    use std::thread::JoinHandle;

    struct Bench {
        handle: ResolverHandle,
        threads: mpsc::Receiver<JoinHandle<io::Result<()>>>,
        answers: FifoReceiver<Answer>,
        bell: Bell,
        rung: mpsc::Receiver<()>,
    }

    fn bench(capacity: usize) -> Bench {
        let (ring, rung) = mpsc::channel();
        let bell = Bell::new(move || ring.send(()).unwrap());
        let (tx, answers) = fifo("dns_done", capacity, bell.clone());
        let (born, threads) = mpsc::channel();
        let handle = ResolverHandle::new(move |handle| {
            let (answers, clock) = (vec![tx.clone()], RealClock::new());
            let options = ResolverOptions { timeout: Duration::from_millis(500) };
            let thread = std::thread::Builder::new().name("sip-control".into());
            let thread = thread.spawn(move || serve(&handle, &options, answers, clock))?;
            born.send(thread).map_err(io::Error::other)
        });
        Bench { handle, threads, answers, bell, rung }
    }

    impl Bench {
        fn ask(&self, name: &str, token: u64) -> Result<(), Busy> {
            self.handle.try_lookup(Lookup { name: name.into(), token, shard: 0 })
        }

        fn answer(&mut self) -> Answer {
            loop {
                self.bell.doze();
                if let Some(answer) = self.answers.pop() {
                    self.bell.awake();
                    return answer;
                }
                self.rung.recv_timeout(Duration::from_secs(10)).expect("the bell rings");
            }
        }

        fn end(self) {
            self.handle.stop();
            let thread = self.threads.recv_timeout(Duration::from_secs(10)).unwrap();
            thread.join().unwrap().unwrap();
            assert!(self.threads.try_recv().is_err(), "one thread only");
            assert_eq!(self.ask("localhost", 0), Err(Busy));
        }
    }

    #[test]
    fn localhost_is_loopback_and_names_that_are_none_fail() {
        let mut bench = bench(8);
        bench.ask("localhost", 7).unwrap();
        let answer = bench.answer();
        assert_eq!(answer.token, 7);
        let addresses = answer.result.unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        bench.ask("nonexistent.invalid", 8).unwrap();
        let answer = bench.answer();
        assert_eq!(answer.token, 8);
        answer.result.unwrap_err();
        bench.ask("two..dots", 9).unwrap();
        assert_eq!(bench.answer(), Answer { token: 9, result: Err(DnsError::BadName), ttl: Duration::ZERO });
        bench.ask("2001:db8::1", 10).unwrap();
        assert_eq!(bench.answer().result, Ok(vec!["2001:db8::1".parse().unwrap()]));
        bench.end();
    }

    #[test]
    fn answers_are_held_while_their_fifo_is_full() {
        let mut bench = bench(1);
        for token in 0..50 {
            bench.ask("127.0.0.1", token).unwrap();
        }
        let mut tokens: Vec<u64> = (0..50).map(|_| bench.answer().token).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, (0..50).collect::<Vec<u64>>());
        bench.end();
    }

    #[test]
    fn more_than_the_most_are_refused_until_some_are_done() {
        let mut bench = bench(1);
        let taken = (0..2 * MOST_LOOKUPS as u64).take_while(|&token| bench.ask("127.0.0.1", token).is_ok()).count();
        // One may be in the FIFO already and counted off.
        assert!((MOST_LOOKUPS..=MOST_LOOKUPS + 1).contains(&taken), "{taken}");
        for _ in 0..taken {
            bench.answer().result.unwrap();
        }
        bench.ask("127.0.0.1", 1).unwrap();
        bench.answer();
        bench.end();
    }

    #[test]
    fn a_thread_that_does_not_start_is_tried_again() {
        let handle = ResolverHandle::new(|_| Err(io::Error::other("no threads left")));
        for token in 0..2 * MOST_LOOKUPS as u64 {
            assert_eq!(handle.try_lookup(Lookup { name: "a".into(), token, shard: 0 }), Err(Busy));
        }
        assert_eq!(handle.shared.under_way.load(Ordering::Acquire), 0);
        assert!(matches!(&*handle.shared.stage.lock(), Stage::Idle));
    }
}
