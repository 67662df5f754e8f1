//! The callee: does what the user part of the Request-URI says.

use crate::CALLEE;
use crate::agenda::Agenda;
use crate::ledger::Ledger;
use rutil::{Rng, Time};
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::{ServerTransaction, TransactionUser, TuContext, TuEvent};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

enum Todo {
    Respond(ServerTransaction, u16),
    /// A 2xx once more, until its ACK comes (RFC 3261 §13.3.1.4).
    Repeat(ServerTransaction, Duration),
}

struct Call {
    request: Message,
    tag: String,
    id: String,
    /// The final response, and when it was sent first.
    answered: Option<(Message, Time)>,
}

pub(crate) struct Callee {
    ledger: Ledger,
    rng: Rng,
    agenda: Agenda<Todo>,
    calls: HashMap<ServerTransaction, Call>,
    /// 2xx that wait for their ACK, by Call-ID.
    unacknowledged: HashMap<String, ServerTransaction>,
    /// 2xx whose ACK never came.
    pub(crate) lost: Arc<AtomicU64>,
}

impl Callee {
    pub(crate) fn new(ledger: Ledger, rng: Rng, lost: Arc<AtomicU64>) -> Self {
        Callee { ledger, rng, agenda: Agenda::new(), calls: HashMap::new(), unacknowledged: HashMap::new(), lost }
    }

    fn request(&mut self, id: ServerTransaction, msg: Message, stack: &mut TuContext<'_>) {
        let now = stack.now();
        let user =
            msg.request_uri().ok().and_then(|uri| uri.sip().and_then(|sip| sip.user.as_deref().map(str::to_owned)));
        let mut after = |most: u64| now + Duration::from_millis(self.rng.range(most));
        match (msg.method(), user.as_deref()) {
            (Some(Method::Options), _) => self.agenda.put(after(5000), Todo::Respond(id, 200)),
            (Some(Method::Invite), Some(what)) => {
                let ring = after(1000);
                self.agenda.put(ring, Todo::Respond(id, 180));
                match what {
                    "answer" => self.agenda.put(ring.max(after(4000)), Todo::Respond(id, 200)),
                    "refuse" => self.agenda.put(ring.max(after(4000)), Todo::Respond(id, 486)),
                    // Until the caller gives up; the CANCEL may be lost altogether.
                    _ => self.agenda.put(now + Duration::from_secs(90), Todo::Respond(id, 480)),
                }
            }
            _ => self.agenda.put(now, Todo::Respond(id, 405)),
        }
        let call_id = msg.header(h::CALL_ID).map(|id| id.to_string()).unwrap_or_default();
        self.calls.insert(id, Call { request: msg, tag: stack.new_tag(), id: call_id, answered: None });
    }

    fn respond(&mut self, id: ServerTransaction, code: u16, stack: &mut TuContext<'_>) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.answered.is_none()) else { return };
        let response = call.request.make_response(code, None, Some(&call.tag));
        if code >= 200 {
            call.answered = Some((response.clone(), stack.now()));
            if code < 300 && call.request.method() == Some(Method::Invite) {
                self.unacknowledged.insert(call.id.clone(), id);
                self.agenda.put(stack.now() + T1, Todo::Repeat(id, T1));
            } else if call.request.method() != Some(Method::Invite) {
                self.calls.remove(&id);
            }
        }
        stack.respond(id, response);
    }

    fn repeat(&mut self, id: ServerTransaction, interval: Duration, stack: &mut TuContext<'_>) {
        let Some(Call { answered: Some((ok, since)), id: call, .. }) = self.calls.get(&id) else { return };
        if self.unacknowledged.get(call) != Some(&id) {
            return;
        }
        if stack.now() - *since >= T1 * 64 {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.unacknowledged.remove(call);
            return;
        }
        stack.respond(id, ok.clone());
        let next = (interval * 2).min(T2);
        self.agenda.put(stack.now() + next, Todo::Repeat(id, next));
    }
}

impl TransactionUser for Callee {
    fn name(&self) -> &'static str {
        "callee"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        self.ledger.heard(CALLEE, &event, stack.now());
        match event {
            TuEvent::Request { transaction, msg } => self.request(transaction, *msg, stack),
            TuEvent::Cancelled { transaction, .. } => self.respond(transaction, 487, stack),
            TuEvent::Ack { msg } => {
                if let Ok(id) = msg.header(h::CALL_ID) {
                    self.unacknowledged.remove(&id.to_string());
                }
            }
            TuEvent::ServerEnded { transaction } => {
                if let Some(call) = self.calls.remove(&transaction) {
                    // Timer L comes before or with the last repetition.
                    if self.unacknowledged.remove(&call.id).is_some() {
                        self.lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.agenda.next()
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        while let Some(todo) = self.agenda.take(stack.now()) {
            match todo {
                Todo::Respond(id, code) => self.respond(id, code, stack),
                Todo::Repeat(id, interval) => self.repeat(id, interval, stack),
            }
        }
    }
}
