//! The actor that owns all transactions of one shard: reSIProcate's TransactionController.

use super::client::Client;
use super::kept::Kept;
use super::server::Server;
use super::stats::count;
use super::{
    Arm, Binding, ClientTransaction, Command, Doors, Incoming, Input, KeyMaker, Outgoing, ServerKey, Timer, TimerKey,
    TimerValues, TransactionStats, Transmission,
};
use crate::message::Message;
use crate::overload::Intake;
use crate::statistics::Tally;
use crate::transport::{Flow, Notify, TransportError};
use crate::tu::{SendOptions, TuEvent, TuOptions};
use bytes::Bytes;
use rutil::{
    Actor, Class, CongestionManager, FifoReceiver, FifoSender, Full, HashMap, Keyed, Rng, Slab, Time, Turn, Zone,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Items of each FIFO a turn.
const BATCH: usize = 64;

/// How long to wait for room before looking again.
const HOLD: Duration = Duration::from_millis(1);

/// Nobody hears of this transaction: a CANCEL that the stack sent, or one that it answered.
pub(super) const NO_TU: u8 = u8::MAX;

/// Who hears of everything where there are no transactions: the first.
const RAW_TU: u8 = 0;

/// A transaction user as the controller sees it.
pub(crate) struct TuPort {
    pub(crate) options: TuOptions,
    pub(crate) events: FifoSender<TuEvent>,
}

impl TuPort {
    /// What comes back is to be held until there is room. One that is gone hears of nothing, and holds up nobody.
    fn tell(&self, event: TuEvent, now: Time) -> Option<TuEvent> {
        let Full(event) = self.events.push(event, Class::Internal, now).err()?;
        (!self.events.is_closed()).then_some(event)
    }
}

/// What a controller is made of.
pub(crate) struct ControllerParts {
    pub(crate) shard: u16,
    pub(crate) from_scanner: FifoReceiver<Incoming>,
    pub(crate) inputs: FifoReceiver<Input>,
    pub(crate) out: FifoSender<Outgoing>,
    pub(crate) timers: FifoSender<Arm>,
    pub(crate) tus: Vec<TuPort>,
    pub(crate) values: TimerValues,
    /// Most client and most server transactions alive, retired ones included.
    pub(crate) limit: usize,
    /// Most octets that they keep.
    pub(crate) octets: usize,
    pub(crate) keys: KeyMaker,
    /// For the tables' hash keys.
    pub(crate) rng: Rng,
    pub(crate) stats: Arc<TransactionStats>,
    pub(crate) tally: Arc<Tally>,
    /// What may begin a transaction.
    pub(crate) doors: Arc<Doors>,
    pub(crate) congestion: Arc<CongestionManager>,
    /// For RFC 7339: what neighbours are asked to send.
    pub(crate) control: Option<Arc<Intake>>,
    /// There are no transactions.
    pub(crate) raw: bool,
}

/// All transactions of one shard. A client table entry leaves with Timer B, D, F, K or M, a server's with H, I, J, L or
/// Abandoned; both tables are bounded by [`ControllerParts::limit`], what their entries keep by
/// [`ControllerParts::octets`].
pub(crate) struct TransactionController {
    pub(super) shard: u16,
    from_scanner: FifoReceiver<Incoming>,
    inputs: FifoReceiver<Input>,
    pub(super) out: FifoSender<Outgoing>,
    timers: FifoSender<Arm>,
    tus: Vec<TuPort>,
    pub(super) values: TimerValues,
    pub(super) limit: usize,
    pub(super) kept: Kept,
    pub(super) keys: KeyMaker,
    pub(super) stats: Arc<TransactionStats>,
    pub(super) tally: Arc<Tally>,
    pub(super) doors: Arc<Doors>,
    congestion: Arc<CongestionManager>,
    /// What may be taken on in this turn.
    pub(super) zone: Zone,
    pub(super) control: Option<Arc<Intake>>,
    raw: bool,
    pub(super) clients: Slab<Client>,
    pub(super) client_slots: HashMap<u64, u32>,
    pub(super) servers: Slab<Server>,
    pub(super) server_slots: HashMap<ServerKey, u32>,
    pub(super) merges: HashMap<u128, u32>,
    /// Events that a transaction user had no room for. While there are any, nothing is taken from the scanner.
    held_events: VecDeque<(u8, TuEvent)>,
    /// Timers that the timer queue had no room for: they fire late.
    held_timers: VecDeque<Arm>,
    /// Transactions whose octets found no room in `out`: told when the step that sent them is complete.
    not_sent: VecDeque<Notify>,
    retry_at: Time,
}

impl TransactionController {
    pub(crate) fn new(mut parts: ControllerParts) -> Self {
        let state = Keyed::new(&mut parts.rng);
        TransactionController {
            shard: parts.shard,
            from_scanner: parts.from_scanner,
            inputs: parts.inputs,
            out: parts.out,
            timers: parts.timers,
            tus: parts.tus,
            values: parts.values,
            limit: parts.limit,
            kept: Kept::new(parts.octets),
            keys: parts.keys,
            stats: parts.stats,
            tally: parts.tally,
            doors: parts.doors,
            congestion: parts.congestion,
            zone: Zone::Normal,
            control: parts.control,
            raw: parts.raw,
            clients: Slab::new(),
            client_slots: HashMap::with_hasher(state.clone()),
            servers: Slab::new(),
            server_slots: HashMap::with_hasher(state.clone()),
            merges: HashMap::with_hasher(state),
            held_events: VecDeque::new(),
            held_timers: VecDeque::new(),
            not_sent: VecDeque::new(),
            retry_at: Time::ZERO,
        }
    }

    fn on_incoming(&mut self, incoming: Incoming, now: Time) {
        match incoming {
            Incoming::Request { msg, key, cancels, reply_to } => {
                // Every message from the wire has a source.
                let Some(flow) = msg.source().map(|source| source.flow) else { return };
                self.on_request(msg, key, cancels.map(|key| *key), Flow { peer: reply_to, ..flow }, now);
            }
            Incoming::Response { msg, transaction } => self.on_response(transaction, msg, now),
            Incoming::Raw(msg) => self.tell_tu(RAW_TU, TuEvent::Raw { msg }, now),
            Incoming::Lost(failed) if self.raw => self.raw_failed(failed.notify, failed.error, now),
            Incoming::Lost(failed) => self.client_lost(failed.notify.key, failed.error, now),
            Incoming::FlowEnded(flow) => self.flow_ended(*flow, now),
            Incoming::Binding(binding) => {
                // Anybody can write one: it holds up nobody.
                let Binding { tu, name, mapped } = *binding;
                if self.tu_has_room(tu, Class::New) {
                    self.tell_tu(tu, TuEvent::Binding { name, mapped: mapped.map(Box::new) }, now);
                }
            }
        }
    }

    fn on_input(&mut self, input: Input, now: Time) {
        match input {
            Input::Command(command) => self.on_command(command, now),
            Input::Fired(key) if key.client => self.client_timer(key, now),
            Input::Fired(key) => self.server_timer(key, now),
            Input::Sent(sent) => self.client_sent(*sent, now),
            Input::NotSent { key, reason } => self.client_not_sent(key, reason, now),
            Input::Failed(failed) if self.raw => self.raw_failed(failed.notify, failed.error, now),
            Input::Failed(failed) if Self::is_server_key(failed.notify.key) => {
                self.server_failed(failed.notify.key, now);
            }
            Input::Failed(failed) => self.client_failed(failed.notify.key, failed.error, now),
            Input::Look(look) => self.look(&look),
        }
    }

    fn on_command(&mut self, command: Command, now: Time) {
        match command {
            Command::Send { transaction, tu, msg, options } => self.start_client(transaction, tu, msg, options, now),
            Command::SendStateless { transaction, msg, options } => self.stateless(transaction, msg, options, now),
            Command::Respond { transaction, msg } => self.respond(transaction, &msg, now),
            Command::RespondStatus { transaction, code } => self.respond_status(transaction, code, now),
            Command::SendWritten(written) => self.start_written(*written, now),
            Command::SendRaw(message) => {
                let Transmission { bytes, flow, domain, notify } = *message;
                self.transmit(bytes, (flow, domain), notify, now);
            }
            // What finds no room is asked for again with the next REGISTER.
            Command::Expect { transport, connection, within } => {
                let expect = Outgoing::Expect { transport, connection, within };
                drop(self.out.push(expect, Class::Internal, now));
            }
            // The same: the next one does as well.
            Command::Ping { transport, connection, within } => {
                let ping = Outgoing::Ping { transport, connection, within };
                drop(self.out.push(ping, Class::Internal, now));
            }
            Command::Cancel { transaction, added } => self.cancel_client(transaction, added, now),
        }
    }

    fn stateless(&mut self, transaction: ClientTransaction, msg: Box<Message>, options: Box<SendOptions>, now: Time) {
        let request = Outgoing::Request { transaction, msg, options, stateless: true };
        if self.out.push(request, Class::Internal, now).is_err() {
            count(&self.stats.shed);
        }
    }

    /// Sends octets on a flow that is known. What finds no room on an unreliable transport is lost like any datagram;
    /// on a reliable one nobody would repeat it, so its transaction is told, once the step that it is in is complete.
    pub(super) fn transmit(
        &mut self,
        bytes: Bytes,
        (flow, domain): (Flow, Option<Arc<str>>),
        notify: Option<Notify>,
        now: Time,
    ) {
        if bytes.is_empty() {
            return;
        }
        if self
            .out
            .push(Outgoing::Bytes(Box::new(Transmission { bytes, flow, domain, notify })), Class::Internal, now)
            .is_ok()
        {
            return;
        }
        count(&self.stats.shed);
        self.not_sent.extend(notify.filter(|_| flow.kind.is_reliable()));
    }

    fn flow_ended(&mut self, flow: Flow, now: Time) {
        for tu in 0..self.tus.len() {
            if self.tus[tu].options.flows {
                self.tell_tu(tu as u8, TuEvent::FlowEnded { flow: Box::new(flow) }, now);
            }
        }
    }

    fn raw_failed(&mut self, notify: Notify, error: TransportError, now: Time) {
        self.tell_tu(RAW_TU, TuEvent::RawFailed { name: notify.key, error }, now);
    }

    fn tell_not_sent(&mut self, now: Time) {
        while let Some(notify) = self.not_sent.pop_front() {
            if self.raw {
                self.raw_failed(notify, TransportError::Congested, now);
                continue;
            }
            match Self::is_server_key(notify.key) {
                true => self.server_failed(notify.key, now),
                false => self.client_not_sent(notify.key, TransportError::Congested.into(), now),
            }
        }
    }

    pub(super) fn arm(&mut self, at: (u32, u32), client: bool, timer: Timer, when: Time, now: Time) {
        let arm = Arm { at: when, key: TimerKey { slot: at.0, generation: at.1, client, timer } };
        if !self.held_timers.is_empty() {
            self.held_timers.push_back(arm);
        } else if let Err(Full(arm)) = self.timers.push(arm, Class::Internal, now) {
            self.held_timers.push_back(arm);
            self.retry_at = now + HOLD;
        }
    }

    pub(super) fn tell_tu(&mut self, tu: u8, event: TuEvent, now: Time) {
        let Some(port) = self.tus.get(usize::from(tu)) else { return };
        if !self.held_events.is_empty() {
            self.held_events.push_back((tu, event));
        } else if let Some(event) = port.tell(event, now) {
            self.held_events.push_back((tu, event));
            self.retry_at = now + HOLD;
        }
    }

    pub(super) fn tu_has_room(&self, tu: u8, class: Class) -> bool {
        self.held_events.is_empty() && self.tus.get(usize::from(tu)).is_some_and(|port| port.events.has_room(class))
    }

    pub(super) fn select_tu(&self, msg: &Message) -> Option<u8> {
        self.tus.iter().position(|port| port.options.rule.matches(msg)).map(|at| at as u8)
    }

    pub(super) fn wants_terminations(&self, tu: u8) -> bool {
        self.tus.get(usize::from(tu)).is_some_and(|port| port.options.terminations)
    }

    pub(super) fn refuses_merged(&self, tu: u8) -> bool {
        self.tus.get(usize::from(tu)).is_some_and(|port| port.options.refuse_merged)
    }

    /// Gives what was held to whoever has room now.
    fn release(&mut self, now: Time) -> bool {
        let before = self.held_events.len() + self.held_timers.len();
        if before == 0 {
            return false;
        }
        while let Some(arm) = self.held_timers.front() {
            if self.timers.push(*arm, Class::Internal, now).is_err() {
                break;
            }
            self.held_timers.pop_front();
        }
        while let Some((tu, event)) = self.held_events.pop_front() {
            if let Some(event) = self.tus[usize::from(tu)].tell(event, now) {
                self.held_events.push_front((tu, event));
                break;
            }
        }
        self.retry_at = now + HOLD;
        before != self.held_events.len() + self.held_timers.len()
    }
}

impl Actor for TransactionController {
    fn name(&self) -> &'static str {
        "transactions"
    }

    fn turn(&mut self, now: Time) -> Turn {
        let mut worked = self.release(now);
        // No more than the selector takes in its turn: a burst of commands must not overrun `out`.
        for _ in 0..BATCH {
            let Some(input) = self.inputs.pop() else { break };
            self.on_input(input, now);
            self.tell_not_sent(now);
            worked = true;
        }
        if !self.from_scanner.is_empty() {
            self.zone = self.congestion.zone(now);
        }
        for _ in 0..BATCH {
            // Nothing new from outside while a transaction user is behind.
            if !self.held_events.is_empty() {
                break;
            }
            let Some(incoming) = self.from_scanner.pop() else { break };
            self.on_incoming(incoming, now);
            self.tell_not_sent(now);
            worked = true;
        }
        if !worked {
            return Turn::Idle;
        }
        self.stats.clients_alive.set(self.clients.len() as u64);
        self.stats.servers_alive.set(self.servers.len() as u64);
        self.stats.octets_kept.set(self.kept.octets() as u64);
        debug_assert!(
            self.clients.len() + self.servers.len() > 0 || self.kept.octets() == 0,
            "octets of no transaction"
        );
        Turn::Worked
    }

    fn wants_turn(&self) -> bool {
        let held = !self.held_events.is_empty() || !self.held_timers.is_empty();
        held || !self.inputs.is_empty() || !self.from_scanner.is_empty()
    }

    fn deadline(&self) -> Option<Time> {
        (!self.held_events.is_empty() || !self.held_timers.is_empty()).then_some(self.retry_at)
    }

    /// Retired transactions do not hold up a shutdown; those that wait for an answer do.
    fn drained(&self) -> bool {
        self.held_events.is_empty()
            && self.inputs.is_empty()
            && self.from_scanner.is_empty()
            && !self.clients.iter().any(Client::is_pending)
            && !self.servers.iter().any(Server::is_pending)
    }
}
