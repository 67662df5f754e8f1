//! Delivers what was kept to who has registered: one message of a user after the other, few users at a time.

use super::Silo;
use crate::location::{Located, is_sips};
use crate::proxy::{Agent, AgentContext};
use rutil::hash::Keyed;
use rutil::{HashMap, Rng, Time};
use stack::header::h;
use stack::message::Message;
use stack::tu::ClientTransaction;
use std::sync::Arc;

/// Most messages of a shard under way: thousands who register at the same time wait for each other.
const UNDER_WAY: usize = 32;

/// The courier of one shard.
pub struct Courier {
    silo: Arc<Silo>,
    shard: u16,
    under_way: HashMap<ClientTransaction, Errand>,
}

/// A message on its way.
struct Errand {
    aor: Box<str>,
    id: u64,
}

impl Courier {
    /// The courier of a shard; `rng` gives the secret of its table.
    pub fn new(silo: Arc<Silo>, shard: u16, rng: &mut Rng) -> Self {
        Courier { silo, shard, under_way: HashMap::with_hasher(Keyed::new(rng)) }
    }

    /// Sends the next message that can be sent, behind one that was.
    fn go_on(&mut self, aor: Box<str>, mut after: u64, context: &mut AgentContext<'_, '_>) {
        let now = context.stack.now();
        while let Some(next) = self.silo.next(&aor, after, now) {
            after = next.id;
            let Ok(message) = Message::parse(next.text) else { continue };
            let Some(contact) = contact(&aor, &message, context) else { continue };
            let Some(request) = request(message, context) else { continue };
            if let Some(client) = context.send_to(request, contact) {
                self.under_way.insert(client, Errand { aor, id: next.id });
                return;
            }
        }
        self.silo.rest(&aor, self.shard);
    }
}

impl Agent for Courier {
    fn name(&self) -> &'static str {
        "message-silo"
    }

    fn deadline(&self) -> Option<Time> {
        (self.under_way.len() < UNDER_WAY && self.silo.is_due(self.shard)).then_some(Time::ZERO)
    }

    fn wake(&mut self, context: &mut AgentContext<'_, '_>) {
        while self.under_way.len() < UNDER_WAY
            && let Some(aor) = self.silo.take_due(self.shard)
        {
            self.go_on(aor, 0, context);
        }
    }

    fn on_response(
        &mut self,
        request: ClientTransaction,
        code: u16,
        response: Option<&Message>,
        context: &mut AgentContext<'_, '_>,
    ) {
        let Some(Errand { aor, id }) = self.under_way.remove(&request) else { return };
        match code {
            200..=299 => {
                self.silo.remove(&aor, id);
                if let Some(journal) = context.server.journal() {
                    // Without room they are given once more after a restart.
                    let _ = journal.note(&aor);
                }
            }
            // The device cannot be reached, or not now: nothing more is tried before it registers again.
            408 | 410 | 430 | 480 | 486 | 500..=599 => return self.silo.rest(&aor, self.shard),
            _ if response.is_none() => return self.silo.rest(&aor, self.shard),
            // It does not want this one, which stays; it does not stand in the way of the others.
            _ => tracing::debug!(code, "a kept message is refused"),
        }
        self.go_on(aor, id, context);
    }
}

/// The most preferred contact of a user, and for what was sent to a sips URI one that is as safe (RFC 5630 §5.3).
fn contact(aor: &str, message: &Message, context: &AgentContext<'_, '_>) -> Option<Located> {
    let found = context.server.location().lookup(aor, context.stack.now())?;
    found.into_iter().find(|contact| !message.is_sips() || is_sips(&contact.uri))
}

/// A request out of any dialog, from the sender of the message.
fn request(mut message: Message, context: &mut AgentContext<'_, '_>) -> Option<Message> {
    let (tag, call_id) = (context.stack.new_tag(), context.stack.rng().token::<22>());
    let from = message.header(h::FROM).ok()?.to_string();
    message.set(h::FROM, &format_args!("{from};tag={tag}"));
    message.set(h::CALL_ID, call_id.as_str());
    message.set(h::CSEQ, "1 MESSAGE");
    message.set_number(h::MAX_FORWARDS, 70);
    Some(message)
}
