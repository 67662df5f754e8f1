//! Requests that wait for a race between the addresses of one host (RFC 8305), and the connections that run in it.

use super::actor::{Request, TransportSelector};
use super::locate::Candidate;
use super::race::{Event, Race, Step};
use crate::transport::{Attempt, Connected, ConnectionId, TransportError, TransportType, Wire};
use crate::tu::NoResponse;
use rutil::{Class, HashMap, Keyed, Rng, Time};
use std::collections::BTreeSet;

/// Races under way at most; a request beyond that goes to its first address.
const MOST: usize = 1024;

/// A request, and the race that it waits for.
struct Running {
    request: Request,
    /// The addresses of one host, in the order of the attempts.
    racing: Vec<Candidate>,
    /// Where else it can go.
    left: Vec<Candidate>,
    race: Race,
}

/// Bounded by [`MOST`]; one leaves with its end, after 15 s at most.
pub(super) struct Races {
    running: HashMap<u64, Running>,
    due: BTreeSet<(Time, u64)>,
    next: u64,
}

impl Races {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Races { running: HashMap::with_hasher(Keyed::new(rng)), due: BTreeSet::new(), next: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    fn put(&mut self, id: u64, running: Running) {
        self.due.insert((running.race.deadline(), id));
        self.running.insert(id, running);
    }

    fn take(&mut self, id: u64) -> Option<Running> {
        let running = self.running.remove(&id)?;
        self.due.remove(&(running.race.deadline(), id));
        Some(running)
    }
}

/// How many of the first candidates may race: the addresses of one host over connections, where they are of both families.
fn racers(candidates: &[Candidate]) -> usize {
    let Some(first) = candidates.first().filter(|one| can_connect(one.target.kind)) else { return 0 };
    let same = |one: &&Candidate| (one.host, one.target.kind) == (first.host, first.target.kind);
    let count = candidates.iter().take_while(same).count();
    let v4 = |one: &Candidate| one.target.address.is_ipv4();
    if candidates.iter().take(count).any(|one| v4(one) != v4(first)) { count } else { 0 }
}

fn can_connect(kind: TransportType) -> bool {
    matches!(kind, TransportType::Tcp | TransportType::Tls)
}

impl TransportSelector {
    /// Begins a race, if there is something to race; else gives back what it was given.
    pub(super) fn begin_race(
        &mut self,
        request: Request,
        mut left: Vec<Candidate>,
        now: Time,
    ) -> Option<(Request, Vec<Candidate>)> {
        let count = racers(&left);
        if count == 0 || self.races.running.len() >= MOST {
            return Some((request, left));
        }
        let rest = left.split_off(count);
        self.races.next += 1;
        let race = Race::new(count, self.parts.attempt_delay, now);
        let running = Running { request, racing: left, left: rest, race };
        self.advance(self.races.next, running, Event::Due, ConnectionId::default(), now);
        None
    }

    /// Takes what the transports say, and what is due.
    pub(super) fn run_races(&mut self, now: Time) -> bool {
        let mut worked = false;
        while let Some(Connected { attempt, result }) = self.parts.connected.pop() {
            worked = true;
            // Else the race is over.
            if let Some(running) = self.races.take(attempt.race) {
                let at = usize::from(attempt.number);
                let event = result.map_or_else(|error| Event::Failed(at, error), |_| Event::Up(at));
                self.advance(attempt.race, running, event, result.unwrap_or_default(), now);
            }
        }
        while let Some((_, id)) = self.races.due.first().copied().filter(|(at, _)| *at <= now) {
            let Some(running) = self.races.take(id) else { break };
            self.advance(id, running, Event::Due, ConnectionId::default(), now);
            worked = true;
        }
        worked
    }

    /// Tells a race something, and does what it says. `connection`: of the attempt that is up.
    fn advance(&mut self, id: u64, mut running: Running, mut event: Event, connection: ConnectionId, now: Time) {
        loop {
            match running.race.step(event, now) {
                Step::Connect(at) => match self.connect(id, &running, at, now) {
                    Ok(()) => return self.races.put(id, running),
                    Err(error) => event = Event::Failed(at, error),
                },
                Step::Wait => return self.races.put(id, running),
                Step::Won(at) => return self.won(id, running, at, connection, now),
                Step::Lost(error) => return self.lost(id, running, error, now),
            }
        }
    }

    fn connect(&mut self, race: u64, running: &Running, at: usize, now: Time) -> Result<(), TransportError> {
        let target = running.racing[at].target;
        let flow = self.towards(target.kind, target.address, now).ok_or(TransportError::NoTransport)?;
        let domain = self.domain_of(&running.request, target.kind);
        let wire = self.parts.wires.get(usize::from(flow.transport.0)).ok_or(TransportError::NoTransport)?;
        let attempt = Attempt { race, number: at as u8 };
        let connect = Wire::Connect { peer: flow.peer, local: flow.local, domain, attempt };
        wire.push(connect, Class::Internal, now).map_err(|_| TransportError::Congested)
    }

    /// Gives up the connections of a race that are not its winner's. Without room one stays until it idles.
    fn give_up(&mut self, race: u64, running: &Running, winner: Option<usize>, now: Time) {
        for at in running.race.under_way().filter(|at| Some(*at) != winner) {
            let target = running.racing[at].target;
            let Some(flow) = self.towards(target.kind, target.address, now) else { continue };
            if let Some(wire) = self.parts.wires.get(usize::from(flow.transport.0)) {
                let attempt = Attempt { race, number: at as u8 };
                let _ = wire.push(Wire::GiveUp { peer: flow.peer, attempt }, Class::Internal, now);
            }
        }
    }

    /// One is up: the request goes there. Those before it had more time and did not come up: they are last for a while.
    fn won(&mut self, id: u64, running: Running, winner: usize, connection: ConnectionId, now: Time) {
        self.give_up(id, &running, Some(winner), now);
        let Running { request, racing, left, race } = running;
        for (at, one) in racing.iter().enumerate() {
            if at < winner || race.has_failed(at) {
                self.hold_against(&race, at, one, now);
            }
        }
        let Some(first) = racing.get(winner).copied() else { return self.try_targets(request, left, now) };
        let others = (0..racing.len()).filter(|at| *at != winner && !race.has_failed(*at)).map(|at| racing[at]);
        let order = std::iter::once(first).chain(others).chain(left).collect();
        self.send_first(request, order, connection, now);
    }

    fn hold_against(&mut self, race: &Race, at: usize, one: &Candidate, now: Time) {
        if let Some(cause) = race.cause(at) {
            self.put_last(one.target, cause, now);
        }
    }

    fn lost(&mut self, id: u64, running: Running, error: TransportError, now: Time) {
        self.give_up(id, &running, None, now);
        let Running { request, racing, left, race } = running;
        racing.iter().enumerate().for_each(|(at, one)| self.hold_against(&race, at, one, now));
        match left.is_empty() {
            true => self.not_sent(&request, NoResponse::Transport(error), now),
            false => self.try_targets(request, left, now),
        }
    }
}
