//! OPTIONS to devices behind NATs that are reached over UDP.
//!
//! The location store is looked through part by part, all of it once an interval, and what is found in a part is pinged
//! until the next part is due, evenly. When that is more than the configured rate allows, the next part waits. Of several
//! shards each has parts of its own.

use crate::config::Config;
use crate::location::{By, Natted, PARTS};
use crate::proxy::{Agent, AgentContext};
use rutil::{HashMap, Keyed, Rng, Time};
use stack::header::{HeaderValue, Method, NameAddr};
use stack::helper;
use stack::message::Message;
use stack::tu::{ClientTransaction, NextHop, SendOptions};
use std::collections::VecDeque;
use std::time::Duration;

/// Most pings that wait for their answer; then there are no further ones.
const MOST_UNDER_WAY: usize = 20_000;
/// How often a batch is sent, if the rate allows.
const TICK: Duration = Duration::from_millis(100);

/// Pings the natted contacts of a shard's parts of the store.
pub struct NatPings {
    parts: Vec<usize>,
    /// Which of them is next.
    next: usize,
    /// From the beginning of one part to that of the next.
    step: Duration,
    look_at: Time,
    /// What is left of the present part.
    queue: VecDeque<Natted>,
    /// How many are sent at a time, how often, and when.
    batch: usize,
    gap: Duration,
    send_at: Time,
    most: usize,
    give_up_after: u8,
    under_way: HashMap<ClientTransaction, Natted>,
}

impl NatPings {
    /// Those of a shard, if the configuration asks for pings and the shard has parts.
    pub fn new(config: &Config, shard: u16, rng: &mut Rng) -> Option<Self> {
        let interval = config.nat.ping_interval()?;
        let shards = usize::from(config.placement.shards().max(1));
        let parts: Vec<usize> = (0..PARTS).filter(|part| part % shards == usize::from(shard)).collect();
        let step = interval / u32::try_from(parts.len()).ok().filter(|parts| *parts > 0)?;
        let a_second = config.nat.pings_per_second.max(1);
        let gap = TICK.max(Duration::from_secs(1) / a_second);
        let most = (f64::from(a_second) * gap.as_secs_f64()) as usize;
        Some(NatPings {
            parts,
            next: 0,
            step,
            look_at: Time::ZERO,
            queue: VecDeque::new(),
            batch: 0,
            gap,
            send_at: Time::ZERO,
            most: most.max(1),
            give_up_after: config.nat.give_up_after,
            under_way: HashMap::with_hasher(Keyed::new(rng)),
        })
    }

    /// Begins the next part.
    fn look(&mut self, context: &AgentContext<'_, '_>) {
        let now = context.stack.now();
        let Some(part) = self.parts.get(self.next) else { return };
        self.queue = context.server.location().natted(*part, now).into();
        self.next = (self.next + 1) % self.parts.len();
        self.look_at = now + self.step;
        let batches = (self.step.as_nanos() / self.gap.as_nanos()).max(1) as usize;
        self.batch = self.queue.len().div_ceil(batches).clamp(1, self.most);
        self.send_at = now;
    }

    fn send(&mut self, context: &mut AgentContext<'_, '_>) {
        let now = context.stack.now();
        for _ in 0..self.batch {
            if self.under_way.len() >= MOST_UNDER_WAY {
                break;
            }
            let Some(ping) = self.queue.pop_front() else { break };
            let (By::Flow(flow), Some(request)) = (&ping.contact.by, options(&ping, context)) else { continue };
            let way = SendOptions { next_hop: NextHop::Flow(**flow), ..SendOptions::default() };
            self.under_way.insert(context.send(request, way), ping);
        }
        self.send_at = now + self.gap;
    }
}

/// The request: from the domain of its user.
fn options(ping: &Natted, context: &mut AgentContext<'_, '_>) -> Option<Message> {
    let domain = ping.aor.split_once('@').map_or(&*ping.aor, |(_, domain)| domain);
    let (from, to) = (format!("<sip:{domain}>"), format!("<{}>", ping.contact.uri));
    let (from, to) = (NameAddr::parse(&from).ok()?, NameAddr::parse(&to).ok()?);
    Some(helper::make_initial(&Method::Options, &to, &from, context.stack.rng()))
}

impl Agent for NatPings {
    fn name(&self) -> &'static str {
        "nat-pings"
    }

    fn deadline(&self) -> Option<Time> {
        Some(if self.queue.is_empty() { self.look_at } else { self.send_at })
    }

    fn wake(&mut self, context: &mut AgentContext<'_, '_>) {
        let now = context.stack.now();
        if self.queue.is_empty() && self.look_at <= now {
            self.look(context);
        }
        if !self.queue.is_empty() && self.send_at <= now {
            self.send(context);
        }
    }

    fn on_response(
        &mut self,
        request: ClientTransaction,
        _code: u16,
        response: Option<&Message>,
        context: &mut AgentContext<'_, '_>,
    ) {
        let Some(ping) = self.under_way.remove(&request) else { return };
        let location = context.server.location();
        match response {
            // Whatever it says: it is there.
            Some(_) if ping.missed == 0 => {}
            Some(_) => location.answered(&ping),
            None => {
                let gone = location.missed(&ping, self.give_up_after, context.stack.now());
                if !gone.is_empty() {
                    tracing::debug!(aor = &*ping.aor, contact = &*ping.contact.uri, "does not answer: removed");
                    context.server.note_gone(&ping.aor, &gone);
                }
            }
        }
    }
}
