//! One core, its transports played, in virtual time.

use super::peer;
use super::script::Script;
use super::user::{Order, User};
use bytes::Bytes;
use rutil::{Bell, Class, Clock, FifoReceiver, FifoSender, ParkSleeper, Rng, Runner, Time, VirtualClock, fifo};
use stack::StackOptions;
use stack::header::{Method, h};
use stack::message::Message;
use stack::selector::records::{Records, Srv};
use stack::selector::resolver::{Answer, DnsError, ResolverHandle};
use stack::transaction::{Door, Doors, Input, TransactionStats};
use stack::transport::{
    Flow, Notify, Received, TransportError, TransportFailed, TransportId, TransportInfo, TransportTable, TransportType,
    Wire,
};
use stack::tu::{NextHop, SendOptions, TransactionUser, TuOptions};
use stack::wiring::{Plan, TuFactory, cores};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Passes of the runner in which everything must have come to rest.
const PASSES: u32 = 10_000;
/// Requests that went out of which responses are made.
const REMEMBERED: usize = 8;
const DOORS: [Door; 4] = [Door::Open, Door::Dialogs, Door::Dialogs, Door::Shut];
const STEPS: [u64; 10] = [1, 10, 80, 200, 500, 1_000, 4_000, 5_000, 32_000, 64_000];
const TARGETS: [&str; 12] = [
    "sip:b@192.0.2.1",
    "sip:b@192.0.2.2:5070;transport=tcp",
    "sip:b@[2001:db8::1]",
    "sips:b@192.0.2.1",
    "sip:b@name.example.com",
    "sip:b@farm.example.com:5060",
    "sip:b@farm.example.com:5060;transport=tcp",
    "sip:b@other.example.com;transport=tcp",
    "sip:b@224.0.0.1",
    "tel:+1",
    "sip:b@x;maddr=192.0.2.3",
    "b",
];
const ERRORS: [TransportError; 4] = [
    TransportError::Refused,
    TransportError::ConnectTimeout,
    TransportError::ConnectionLost,
    TransportError::Congested,
];

/// See the module.
pub(super) struct World {
    runner: Runner<ParkSleeper, VirtualClock>,
    clock: VirtualClock,
    user: User,
    rx: FifoSender<Received>,
    wires: Vec<FifoReceiver<Wire>>,
    commands: FifoSender<Input>,
    answers: FifoSender<Answer>,
    transactions: Arc<TransactionStats>,
    doors: Arc<Doors>,
    /// Requests that went out and the flows that they went by, the latest last.
    sent: Vec<(Bytes, TransportId, SocketAddr)>,
    notify: Vec<Notify>,
    /// Requests that the transaction user sent.
    lookups: u64,
}

fn table() -> TransportTable {
    let address = SocketAddr::from(([192, 0, 2, 100], 5060));
    let info = |(id, kind)| TransportInfo::new(TransportId(id), kind, 0, address, address);
    TransportTable::new([(0, TransportType::Udp), (1, TransportType::Tcp)].map(info).into())
}

impl World {
    pub(super) fn new(script: &mut Script<'_>) -> Self {
        let shape = script.octet();
        let clock = VirtualClock::new();
        let user = User::default();
        let factory: TuFactory = {
            let user = user.clone();
            Box::new(move |_| Box::new(user.clone()) as Box<dyn TransactionUser>)
        };
        let options = TuOptions { refuse_merged: shape & 1 != 0, terminations: true, ..TuOptions::default() };
        let (wires, played): (Vec<_>, Vec<_>) = (0..2).map(|_| fifo("wire", 4096, Bell::silent())).unzip();
        let (rx, scanner) = fifo("rx", 64, Bell::silent());
        let transactions = if shape & 2 != 0 { 3 } else { 1_000 };
        let transaction_octets = if shape & 4 != 0 { 2_000 } else { 1 << 30 };
        let partial_octets = if shape & 8 != 0 { 300 } else { 64 << 20 };
        let bounds = StackOptions {
            transactions,
            transaction_octets,
            partial_octets,
            udp_limit: 400,
            ..StackOptions::default()
        };
        let plan = Plan {
            hep: Vec::new(),
            options: &bounds,
            transports: table(),
            route: |_| None,
            wires,
            users: &mut [(options, factory)],
            resolver: ResolverHandle::new(|_| Ok(())),
            rng: &mut Rng::from_seed(u64::from(shape)),
        };
        let (actors, core) = cores(plan, vec![(scanner, Bell::silent())]).pop().expect("one shard");
        let mut runner = Runner::new(ParkSleeper::new(), clock.clone(), Arc::default());
        actors.actors.into_iter().for_each(|actor| runner.add(actor));
        World {
            runner,
            clock,
            user,
            rx,
            wires: played,
            commands: core.commands,
            answers: core.answers,
            transactions: core.transactions,
            doors: core.doors,
            sent: Vec::new(),
            notify: Vec::new(),
            lookups: 0,
        }
    }

    /// One event, and all that follows from it at once.
    pub(super) fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0..=3 => {
                let octets = peer::request(script);
                self.receive(octets, script);
            }
            4..=6 => self.respond_to_sent(script),
            7 | 8 => self.order_send(script),
            9 | 10 => self.order_response(script),
            11 => {
                let reason = script.one_in(2).then(|| "SIP;cause=200\r\nX: forged".to_owned());
                let client = script.below(8);
                self.user.notes().orders.push(Order::Cancel(client, reason));
            }
            12 => self.fail(script),
            13 => self.answer(script),
            14 => {
                let octets = script.octets(40).to_vec();
                self.receive(octets, script);
            }
            _ if script.one_in(32) => self.doors.set(script.pick(&DOORS)),
            _ => self.pass_time(Duration::from_millis(script.pick(&STEPS))),
        }
        // Some events meet others that are under way.
        if !script.one_in(4) {
            self.settle();
        }
    }

    fn receive(&mut self, octets: Vec<u8>, script: &mut Script<'_>) {
        let (flow, at, bytes) = (peer::flow(script), self.clock.now(), Bytes::from(octets));
        let received = match (flow.kind, script.one_in(16)) {
            (TransportType::Udp, _) => Received::Datagram { bytes, flow, at },
            (_, false) => Received::Chunk { bytes, flow, at },
            (_, true) => Received::Closed { flow },
        };
        // A full FIFO sheds.
        let _ = self.rx.push(received, Class::Internal, at);
    }

    fn respond_to_sent(&mut self, script: &mut Script<'_>) {
        let which = script.below(REMEMBERED);
        let Some((request, transport, peer)) = self.sent.iter().rev().nth(which).cloned() else { return };
        let octets = peer::response(script, &request);
        let at = self.clock.now();
        let flow = match transport {
            TransportId(0) => {
                Flow { transport, kind: TransportType::Udp, connection: Default::default(), peer, local: None }
            }
            _ => Flow {
                transport,
                kind: TransportType::Tcp,
                connection: stack::transport::ConnectionId(9),
                peer,
                local: None,
            },
        };
        let bytes = Bytes::from(octets);
        let received = match flow.kind {
            TransportType::Udp => Received::Datagram { bytes, flow, at },
            _ => Received::Chunk { bytes, flow, at },
        };
        let _ = self.rx.push(received, Class::Internal, at);
    }

    fn order_send(&mut self, script: &mut Script<'_>) {
        let method = Method::from_token(script.pick(&["INVITE", "INVITE", "INVITE", "OPTIONS", "BYE", "MESSAGE"]));
        let mut msg = Message::request(&method, script.pick(&TARGETS));
        msg.append_line("To", "<sip:b@x>");
        msg.append_line("From", "<sip:a@x>;tag=1");
        msg.append_line("Call-ID", "ours");
        msg.append_line("CSeq", &format!("1 {method}"));
        if script.one_in(8) {
            msg.push_front(h::ROUTES, script.pick(&["<sip:192.0.2.5;lr>", "<sip:name.example.com>", "bad"]));
        }
        if script.one_in(4) {
            msg.set_body(Some("text/plain"), vec![b'x'; 400]);
        }
        let next_hop = match script.below(6) {
            0 => NextHop::Flow(Flow { transport: TransportId(script.below(3) as u16), ..peer::flow(script) }),
            1 => NextHop::RequestUri,
            2 => NextHop::Address(TransportType::Tls, SocketAddr::from(([192, 0, 2, 1], 5061))),
            _ => NextHop::Route,
        };
        let inbound = TransportId(script.below(3) as u16);
        let record_route = script.one_in(8).then(|| Flow { transport: inbound, ..peer::flow(script) });
        let loop_hash = script.one_in(4).then_some(7);
        let silence = script.one_in(4).then_some(Duration::from_secs(5));
        let options = SendOptions { next_hop, record_route, loop_hash, silence, ..SendOptions::default() };
        self.lookups += 1;
        let order = match script.one_in(8) {
            true => Order::SendStateless(msg.into(), options),
            false => Order::Send(msg.into(), options),
        };
        self.user.notes().orders.push(order);
    }

    fn order_response(&mut self, script: &mut Script<'_>) {
        let (server, code) = (script.below(16), script.pick(&peer::CODES));
        let order = match script.one_in(3) {
            true => Order::RespondStatus(server, code),
            false => Order::Respond(server, code),
        };
        self.user.notes().orders.push(order);
    }

    fn fail(&mut self, script: &mut Script<'_>) {
        match script.below(4) {
            0 => self.return_quote(script),
            1 => {
                let (flow, requests) = (peer::flow(script), self.notify.clone());
                let _ = self.rx.push(Received::Unanswered { flow, requests }, Class::Internal, self.clock.now());
            }
            _ => {
                let which = script.below(REMEMBERED);
                let Some(notify) = self.notify.iter().rev().nth(which).copied() else { return };
                let failed = TransportFailed { notify, error: script.pick(&ERRORS) };
                let _ = self.commands.push(Input::Failed(failed), Class::Internal, self.clock.now());
            }
        }
    }

    /// An ICMP error quotes the beginning of what was sent, or anything.
    fn return_quote(&mut self, script: &mut Script<'_>) {
        let Some((request, ..)) = self.sent.iter().rev().nth(script.below(REMEMBERED)).cloned() else { return };
        let quote = match script.one_in(8) {
            true => Bytes::from(script.octets(40).to_vec()),
            false => request.slice(..script.below(256).min(request.len())),
        };
        let undelivered = Received::Undelivered { quote, flow: peer::flow(script), error: script.pick(&ERRORS) };
        let _ = self.rx.push(undelivered, Class::Internal, self.clock.now());
    }

    fn answer(&mut self, script: &mut Script<'_>) {
        let first = script.below(16) as u64;
        let addresses = |all: &[&str]| Ok(Records::Addresses(all.iter().filter_map(|ip| ip.parse().ok()).collect()));
        let srv = |priority, target: &str| Srv { priority, weight: 1, port: 5060, target: target.into() };
        let result = match script.below(6) {
            0 => Err(DnsError::NotFound),
            1 => Err(DnsError::Timeout),
            2 => addresses(&["192.0.2.4"]),
            3 => Ok(Records::Srv(Box::new([srv(1, "host.example.com"), srv(2, "other.example.com")]))),
            _ => addresses(&["2001:db8::4", "192.0.2.4", "192.0.2.5", "192.0.2.6"]),
        };
        let ttl = Some(Duration::from_secs(script.below(60) as u64));
        // Some of these numbers are questions, if any are.
        for token in first..first + 4 {
            self.push_answer(Answer { token, result: result.clone(), ttl });
        }
    }

    fn push_answer(&mut self, answer: Answer) {
        self.answers.push(answer, Class::Internal, self.clock.now()).expect("room for an answer");
    }

    /// Lets everything come to rest, and looks at what goes out.
    fn settle(&mut self) {
        assert!(self.runner.settle(self.clock.now(), PASSES), "two actors feed each other for ever");
        let mut out = Vec::new();
        for (id, wire) in self.wires.iter_mut().enumerate() {
            while let Some(item) = wire.pop() {
                out.push((TransportId(id as u16), item));
            }
        }
        out.into_iter().for_each(|(id, item)| self.sent_on(id, item));
    }

    fn sent_on(&mut self, id: TransportId, item: Wire) {
        let Wire::Send { bytes, peer, notify, .. } = item else { return };
        if &bytes[..] == b"\r\n" {
            return;
        }
        let msg = Message::parse(bytes.clone()).unwrap_or_else(|e| panic!("{e}: {bytes:?}"));
        assert_eq!(msg.fault(), None, "{bytes:?}");
        assert!(msg.has(h::VIAS.id), "{bytes:?}");
        self.notify.extend(notify);
        if msg.is_request() {
            assert!(msg.first(h::VIAS).is_ok_and(|via| via.branch().is_some()), "{bytes:?}");
            assert!(!msg.lines().any(|(name, _)| name == b"X"), "a forged header: {bytes:?}");
            self.sent.push((bytes, id, peer));
        }
        for excess in [self.sent.len().saturating_sub(64), self.notify.len().saturating_sub(64)] {
            self.sent.drain(..excess.min(self.sent.len().saturating_sub(REMEMBERED)));
            self.notify.drain(..excess.min(self.notify.len().saturating_sub(REMEMBERED)));
        }
    }

    /// Time passes, and every deadline in it is met.
    fn pass_time(&mut self, by: Duration) {
        let until = self.clock.now() + by;
        self.meet_deadlines(until);
        self.clock.advance_to(until);
    }

    fn meet_deadlines(&mut self, until: Time) {
        self.settle();
        while let Some(at) = self.runner.deadline().filter(|at| *at <= until) {
            self.clock.advance_to(at.max(self.clock.now()));
            self.settle();
        }
    }

    /// Answers all that waits for the transaction user or the resolver, and lets every timer fire.
    pub(super) fn finish(mut self) {
        self.settle();
        for token in 0..self.lookups {
            self.push_answer(Answer { token, result: Err(DnsError::NotFound), ttl: None });
        }
        self.settle();
        let hour = self.clock.now() + Duration::from_secs(3600);
        self.order_the_end();
        self.meet_deadlines(hour);
        // What was cancelled before a provisional response, or asked for while the first answers were given.
        self.order_the_end();
        self.meet_deadlines(hour);
        assert_eq!(self.runner.deadline(), None, "a timer for more than an hour");
        assert!(self.runner.drained());
        let count = self.transactions.snapshot();
        assert_eq!((count.clients_alive, count.servers_alive), (0, 0), "something is left");
        assert_eq!(count.octets_kept, 0, "octets of no transaction");
        let notes = self.user.notes();
        for client in &notes.clients {
            let answered = client.finals == 1 || (client.invite && client.finals == 0 && client.successes > 0);
            assert!(answered && client.ended == client.invite, "{client:?} has no one end");
        }
        assert!(notes.servers.iter().all(|server| server.ended == server.invite));
        let cancelled = notes.clients.iter().filter(|client| client.invite && client.cancelled).count();
        // An attempt that was given up may have to be cancelled.
        let most = (notes.clients.len() + cancelled) as u64 + 2 * count.failovers;
        assert!(count.clients <= most, "an INVITE was cancelled twice");
    }

    fn order_the_end(&mut self) {
        let mut notes = self.user.notes();
        let cancels = (0..notes.clients.len()).map(|client| Order::Cancel(client, None));
        let answers = (0..notes.servers.len()).map(|server| Order::RespondStatus(server, 500));
        let orders: Vec<Order> = cancels.chain(answers).collect();
        notes.orders.extend(orders);
    }
}
