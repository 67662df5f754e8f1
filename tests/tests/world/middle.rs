//! In the middle: passes requests on statefully, one target each, as a small proxy would (RFC 3261 §16).

use crate::MIDDLE;
use crate::agenda::Agenda;
use crate::ledger::Ledger;
use rutil::Time;
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::{ClientTransaction, NoResponse, SendOptions, ServerTransaction, TransactionUser, TuContext, TuEvent};
use std::collections::HashMap;
use std::time::Duration;

/// Timer C, shorter than the RFC's so that a run ends sooner.
const TIMER_C: Duration = Duration::from_secs(120);

pub(crate) struct Middle {
    ledger: Ledger,
    /// Timer C of each INVITE.
    agenda: Agenda<ClientTransaction>,
    /// Which request a response belongs to, and whether that is an INVITE.
    upstream: HashMap<ClientTransaction, (ServerTransaction, bool)>,
    downstream: HashMap<ServerTransaction, ClientTransaction>,
}

impl Middle {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Middle { ledger, agenda: Agenda::new(), upstream: HashMap::new(), downstream: HashMap::new() }
    }

    fn request(&mut self, from: ServerTransaction, msg: Message, stack: &mut TuContext<'_>) {
        let method = msg.method();
        if method == Some(Method::Cancel) {
            return stack.respond_status(from, 481);
        }
        let invite = method == Some(Method::Invite);
        let to = stack.send(msg, SendOptions::default());
        self.ledger.begun(MIDDLE, to, invite);
        self.upstream.insert(to, (from, invite));
        self.downstream.insert(from, to);
        if invite {
            self.agenda.put(stack.now() + TIMER_C, to);
        }
    }

    fn response(&mut self, from: ClientTransaction, mut msg: Message, stack: &mut TuContext<'_>) {
        let Some((to, invite)) = self.upstream.get(&from).copied() else { return };
        let code = msg.status().unwrap_or(0);
        if code == 100 {
            return;
        }
        msg.pop_front(h::VIAS);
        stack.respond(to, msg);
        if code >= 200 && !invite {
            self.forget(from);
        }
    }

    fn no_response(&mut self, from: ClientTransaction, reason: NoResponse, stack: &mut TuContext<'_>) {
        let Some((to, invite)) = self.upstream.get(&from).copied() else { return };
        // The stack drops a 408 to anything but an INVITE.
        stack.respond_status(to, reason.status());
        if !invite {
            self.forget(from);
        }
    }

    fn forget(&mut self, client: ClientTransaction) {
        if let Some((server, _)) = self.upstream.remove(&client) {
            self.downstream.remove(&server);
        }
    }
}

impl TransactionUser for Middle {
    fn name(&self) -> &'static str {
        "middle"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        self.ledger.heard(MIDDLE, &event, stack.now());
        match event {
            TuEvent::Request { transaction, msg } => self.request(transaction, *msg, stack),
            TuEvent::Response { transaction, msg } => self.response(transaction, *msg, stack),
            TuEvent::NoResponse { transaction, reason } => self.no_response(transaction, reason, stack),
            TuEvent::Ack { msg } => stack.send_stateless(msg, SendOptions::default()),
            TuEvent::Cancelled { transaction, .. } => {
                if let Some(to) = self.downstream.get(&transaction) {
                    stack.cancel(*to, None);
                }
            }
            TuEvent::ClientEnded { transaction } => self.forget(transaction),
            TuEvent::ServerEnded { .. }
            | TuEvent::NotDelivered { .. }
            | TuEvent::Silent { .. }
            | TuEvent::Posted(_) => {}
            TuEvent::FlowEnded { .. } | TuEvent::Binding { .. } => {}
            TuEvent::Raw { .. } | TuEvent::RawFailed { .. } => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.agenda.next()
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        while let Some(client) = self.agenda.take(stack.now()) {
            stack.cancel(client, None);
        }
    }
}
