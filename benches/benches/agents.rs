//! What a user agent of dum costs that keeps much: registrations of its own, and subscriptions of others.
//!
//! `cargo bench -p benches --bench agents`, or one of them: `... -- subscriptions`.
//!
//! * *Registrations* are held by dum alone, in virtual time: a registrar that grants an hour is played. Memory is resident
//!   memory with all of them registered and nothing under way. Of three hours the third is shown, minute by minute: how many
//!   REGISTERs leave, when all began together.
//! * *Subscriptions* are of one user agent to another, over UDP on loopback: notifier and subscriber in one process, each with a
//!   stack of its own. CPU is user and system time, for each NOTIFY and its 200: of the notifier's threads, and of the whole
//!   process; medians of five runs.

use benches::process::on_processor;
use benches::{cpu, median, resident};
use dum::registration::ClientRegistrationHandler;
use dum::subscription::{
    ClientSubscription, ClientSubscriptionHandler, ClientSubscriptionSet, ServerSubscription,
    ServerSubscriptionHandler, SubscriptionState,
};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, EventPackage, Handle, UserProfile};
use rutil::{Rng, Time};
use stack::contents::{Contents, Text};
use stack::header::{HeaderValue, MediaType, NameAddr, h};
use stack::message::Message;
use stack::overload::OverloadOptions;
use stack::transaction::Command;
use stack::transport::{TransportId, TransportInfo, TransportTable, TransportType};
use stack::tu::testing::Harness;
use stack::tu::{TransactionUser, TuEvent};
use stack::{Stack, StackOptions, TransportSpec};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const RUNS: usize = 5;
const REGISTRATIONS: usize = 100_000;
/// Granted, seconds.
const EXPIRES: u64 = 3600;
const SUBSCRIPTIONS: u64 = 20_000;
/// SUBSCRIBEs, or NOTIFYs, under way.
const WINDOW: u64 = 50;

/// Who registers, with a registrar that is played.
struct Lines;

impl Application for Lines {
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
}

impl ClientRegistrationHandler for Lines {}

struct Registrar {
    stack: Harness,
    dum: DialogUsageManager<Lines>,
}

impl Registrar {
    fn new() -> Self {
        let address = SocketAddr::from(([192, 0, 2, 1], 5060));
        let transport = TransportInfo::new(TransportId(0), TransportType::Udp, 0, address, address);
        let stack = Harness::new(TransportTable::new(vec![transport]));
        let dum = DialogUsageManager::new(Lines, DumOptions::default(), &mut Rng::from_seed(1));
        Registrar { stack, dum }
    }

    fn register(&mut self, line: usize) {
        let dum = &mut self.dum;
        self.stack.call(|stack| {
            dum.with(stack, |_, dum| {
                let from = format!("<sip:line{line:06}@example.com>");
                let mut profile = UserProfile::on(dum.master_profile().user());
                profile.set_from(Arc::new(NameAddr::parse(&from).expect("a name-addr").into_owned()));
                dum.register(&Arc::new(profile)).expect("there is room");
            });
        });
        assert_eq!(self.answer(), 1, "one REGISTER each");
    }

    /// Grants all that was asked for, as often as that leads to more.
    fn answer(&mut self) -> u64 {
        let mut answered = 0;
        loop {
            let commands = self.stack.commands();
            if commands.is_empty() {
                return answered;
            }
            for command in commands {
                let Command::Send { transaction, msg, .. } = command else { continue };
                let mut granted = msg.make_response(200, None, Some("registrar"));
                let contact = msg.raw_values("Contact").next().map(String::from_utf8_lossy);
                let contact = contact.expect("REGISTER has a Contact");
                let uri = contact.split('>').next().unwrap_or_default();
                granted.append_line("Contact", &format!("{uri}>;expires={EXPIRES}"));
                granted.set(h::EXPIRES, &EXPIRES);
                answered += 1;
                // As it comes from the wire.
                let msg = Message::parse(granted.to_bytes()).expect("a response");
                let dum = &mut self.dum;
                self.stack.call(|stack| dum.process(TuEvent::Response { transaction, msg: msg.into() }, stack));
            }
        }
    }

    /// Lets time pass until then; how many requests were sent.
    fn run(&mut self, until: Time) -> u64 {
        let mut sent = 0;
        while let Some(at) = self.dum.deadline().filter(|at| *at <= until) {
            self.stack.now = self.stack.now.max(at);
            let dum = &mut self.dum;
            self.stack.call(|stack| dum.wake(stack));
            sent += self.answer();
        }
        self.stack.now = until;
        sent
    }
}

fn registrations() {
    let before = resident();
    let mut registrar = Registrar::new();
    (0..REGISTRATIONS).for_each(|line| registrar.register(line));
    assert_eq!(registrar.dum.counts().registrations, REGISTRATIONS);
    let memory = resident() - before;
    println!("{REGISTRATIONS} registrations: {:.1} MB, {:.0} octets each", memory / 1e6, memory / REGISTRATIONS as f64);
    let (mut all, begin) = (0, cpu());
    let minutes: Vec<u64> = (0..180)
        .map(|minute| registrar.run(Time::ZERO + Duration::from_secs(60 * (minute + 1))))
        .inspect(|sent| all += sent)
        .collect();
    let each = (cpu() - begin).as_secs_f64() * 1e6 / all as f64;
    assert_eq!(registrar.dum.counts().registrations, REGISTRATIONS, "all are still registered");
    println!("{all} refreshes in three hours: {each:.1} µs CPU each, by dum and the registrar that is played");
    let held = resident() - before;
    println!("after three hours: {:.1} MB", held / 1e6);
    let third = &minutes[120..];
    let most = third.iter().max().copied().unwrap_or_default();
    for (minute, sent) in (121..).zip(third) {
        println!("  minute {minute}: {sent:6} {}", "#".repeat((sent * 60 / most.max(1)) as usize));
    }
    let least = third.iter().min().copied().unwrap_or_default();
    let mean = third.iter().sum::<u64>() as f64 / third.len() as f64;
    println!("refreshes in a minute of the third hour: {least} at least, {mean:.0} on average, {most} at most");
}

/// Notifier or subscriber.
struct Agent {
    profile: Arc<UserProfile>,
    /// Whom a subscriber subscribes to.
    peer: NameAddr<'static>,
    state: Contents,
    left: u64,
    subscriptions: Vec<Handle<ServerSubscription>>,
    /// The next to be told.
    next: usize,
    told: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl Agent {
    fn subscribe(&mut self, dum: &mut Dum<'_>) {
        if self.left > 0 {
            self.left -= 1;
            let subscribe = dum.make_subscribe(&self.profile, &self.peer, "presence");
            dum.send_subscribe(&self.profile, subscribe).expect("there is room");
        }
    }

    fn notify(&mut self, dum: &mut Dum<'_>) {
        if let Some(subscription) = self.subscriptions.get(self.next) {
            self.next += 1;
            subscription.notify(dum, SubscriptionState::Active, Some(&self.state)).expect("it is active");
        }
    }
}

impl Application for Agent {
    fn client_subscriptions(&mut self, _: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        Some(self)
    }
    fn server_subscriptions(&mut self, _: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        Some(self)
    }
}

impl ClientSubscriptionHandler for Agent {
    /// Somebody is told: the next one subscribes, if there is one.
    fn on_update_active(&mut self, dum: &mut Dum<'_>, _: Handle<ClientSubscription>, _: &Message) {
        self.subscribe(dum);
    }
    fn on_failure(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        end: dum::subscription::SubscriptionEnd,
        _: Option<&Message>,
    ) {
        eprintln!("a subscription failed: {end:?}");
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl ServerSubscriptionHandler for Agent {
    fn on_new_subscription(&mut self, dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, _: &Message) {
        sub.accept(dum, SubscriptionState::Active, Some(&self.state)).expect("it has just come");
        self.subscriptions.push(sub);
    }
    /// A NOTIFY is answered: the next subscription has its turn.
    fn on_accepted(&mut self, dum: &mut Dum<'_>, _: Handle<ServerSubscription>, _: &Message) {
        self.told.fetch_add(1, Ordering::Relaxed);
        if self.next > 0 {
            self.notify(dum);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a measurement waits for its subject")]
fn wait(told: &AtomicU64, count: u64, failed: &AtomicU64) {
    while told.load(Ordering::Relaxed) < count {
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(failed.load(Ordering::Relaxed), 0, "no subscription may fail");
    }
}

/// The threads of this process.
fn threads() -> BTreeSet<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux has it");
    tasks.flatten().map(|task| task.path().join("schedstat").display().to_string()).collect()
}

/// How long these have run.
fn cpu_of(threads: &BTreeSet<String>) -> Duration {
    threads.iter().map(|thread| on_processor(thread)).sum()
}

/// A user agent that runs, with its threads.
struct Running {
    _stack: Stack,
    handle: DumHandle<Agent>,
    bound: SocketAddr,
    threads: BTreeSet<String>,
}

impl Running {
    fn start(told: &Arc<AtomicU64>, failed: &Arc<AtomicU64>) -> Self {
        let (before, mut rng) = (threads(), Rng::from_os().expect("randomness"));
        // All of a window begins at once: nothing is to be refused for that.
        let overload = OverloadOptions { max_wait: None, ..OverloadOptions::default() };
        let mut builder = Stack::builder().options(StackOptions { overload, ..StackOptions::default() });
        builder.add_transport(TransportSpec::udp(([127, 0, 0, 1], 0).into()));
        let (told, failed) = (told.clone(), failed.clone());
        let user = builder.register_tu(DialogUsageManager::<Agent>::tu_options(), move |_| {
            let mut options = DumOptions::default();
            options.master.add_package(EventPackage::new("presence").with_type(MediaType::new("text", "plain")));
            let app = Agent {
                profile: Arc::default(),
                peer: NameAddr::parse("<sip:peer@127.0.0.1>").expect("a name-addr").into_owned(),
                state: Contents::Text(Text::new("open, at my desk")),
                left: 0,
                subscriptions: Vec::new(),
                next: 0,
                told: told.clone(),
                failed: failed.clone(),
            };
            DialogUsageManager::new(app, options, &mut rng)
        });
        let stack = builder.start().expect("the stack starts");
        let bound = stack.transports().iter().next().expect("one transport").bound;
        let handle = DumHandle::<Agent>::new(stack.poster(user));
        Running { _stack: stack, handle, bound, threads: &threads() - &before }
    }
}

fn subscriptions() {
    let before = resident();
    let (told, failed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let [notifier, subscriber] = [(); 2].map(|()| Running::start(&told, &failed));
    let begin = move |app: &mut Agent, dum: &mut Dum<'_>| {
        app.peer = NameAddr::parse(&format!("<sip:peer@{}>", notifier.bound)).expect("a name-addr").into_owned();
        app.left = SUBSCRIPTIONS;
        (0..WINDOW).for_each(|_| app.subscribe(dum));
    };
    subscriber.handle.command(begin).expect("it has nothing to do");
    // Each has been told once, as it subscribed.
    wait(&told, SUBSCRIPTIONS, &failed);
    let memory = (resident() - before) / SUBSCRIPTIONS as f64;
    println!("{SUBSCRIPTIONS} subscriptions: {memory:.0} octets each, both ends, transactions that end included");
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / SUBSCRIPTIONS as f64;
    let costs = (1..=RUNS as u64).map(|round| {
        let (both, own) = (cpu(), cpu_of(&notifier.threads));
        let again = |app: &mut Agent, dum: &mut Dum<'_>| {
            app.next = 0;
            (0..WINDOW).for_each(|_| app.notify(dum));
        };
        notifier.handle.command(again).expect("it has nothing to do");
        wait(&told, SUBSCRIPTIONS * (round + 1), &failed);
        (each(cpu_of(&notifier.threads) - own), each(cpu() - both))
    });
    let (own, both): (Vec<f64>, Vec<f64>) = costs.unzip();
    println!("a NOTIFY to each: {:.2} µs CPU of the notifier, {:.2} µs both ends", median(&own), median(&both));
}

fn main() {
    let rows: [(&str, fn()); 2] = [("registrations", registrations), ("subscriptions", subscriptions)];
    // Cargo adds an option of its own.
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (name, row) in rows {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            row();
        }
    }
}
