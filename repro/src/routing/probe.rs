//! OPTIONS to the contacts of trunks (`oos_check`), by one shard for all.

use super::health::Event;
use super::trunk::{Trunk, Trunks};
use crate::proxy::{Agent, AgentContext};
use rutil::Time;
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions};
use std::sync::Arc;
use std::time::Duration;

/// The first OPTIONS are sent within this time, so that not all contacts get theirs at once.
const SPREAD_MILLIS: u64 = 500;

/// Asks each contact whether it is there, and notes the answer in its health.
#[derive(Debug)]
pub struct Probe {
    contacts: Vec<Probed>,
    deadline: Option<Time>,
}

#[derive(Debug)]
struct Probed {
    trunk: Arc<Trunk>,
    /// The place of the contact in it.
    at: usize,
    next: Time,
    /// The OPTIONS under way, and until when it is waited for.
    pending: Option<(ClientTransaction, Time)>,
}

impl Probed {
    fn note(&self, event: Event, now: Time) {
        if let Some(contact) = self.trunk.contacts.get(self.at) {
            contact.note(&self.trunk, event, now);
        }
    }
}

impl Probe {
    /// Begins as soon as it runs, if there is anything to ask.
    pub fn new(trunks: &Trunks) -> Self {
        let any = trunks.iter().any(|trunk| trunk.is_probed());
        Probe { contacts: Vec::new(), deadline: any.then_some(Time::ZERO) }
    }

    /// Begins anew when there are other trunks than before.
    fn read(&mut self, trunks: &Trunks, context: &mut AgentContext<'_, '_>) {
        let wanted = || {
            let probed = trunks.iter().filter(|trunk| trunk.is_probed());
            probed.flat_map(|trunk| (0..trunk.contacts.len()).map(move |at| (trunk, at)))
        };
        let mut known = self.contacts.iter();
        let same = wanted().all(|(trunk, _)| known.next().is_some_and(|known| Arc::ptr_eq(&known.trunk, trunk)));
        if same && known.next().is_none() {
            return;
        }
        let now = context.stack.now();
        let contacts = wanted().map(|(trunk, at)| {
            let next = now + Duration::from_millis(context.stack.rng().range(SPREAD_MILLIS));
            Probed { trunk: trunk.clone(), at, next, pending: None }
        });
        self.contacts = contacts.collect();
    }

    fn set_deadline(&mut self) {
        let times = self.contacts.iter().flat_map(|one| [Some(one.next), one.pending.map(|(_, until)| until)]);
        self.deadline = times.flatten().min();
    }
}

impl Agent for Probe {
    fn name(&self) -> &'static str {
        "trunk-probe"
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    fn wake(&mut self, context: &mut AgentContext<'_, '_>) {
        let (server, now) = (context.server, context.stack.now());
        self.read(&server.provisioning().trunks, context);
        for one in &mut self.contacts {
            if one.pending.take_if(|(_, until)| *until <= now).is_some() {
                one.note(Event::Failed, now);
            }
            if one.next > now {
                continue;
            }
            let record = &one.trunk.record;
            one.next = now + Duration::from_secs(record.oos_check.into());
            if let Some(request) = one.trunk.contacts.get(one.at).and_then(|contact| options(contact.uri(), context)) {
                let client = context.send(request, SendOptions::default());
                one.pending = Some((client, now + Duration::from_secs(record.oos_force.into())));
            }
        }
        self.set_deadline();
    }

    fn on_response(
        &mut self,
        request: ClientTransaction,
        code: u16,
        response: Option<&Message>,
        context: &mut AgentContext<'_, '_>,
    ) {
        let is_it = |one: &&mut Probed| one.pending.is_some_and(|(client, _)| client == request);
        // One that is late is not waited for any more.
        let Some(one) = self.contacts.iter_mut().find(is_it) else { return };
        one.pending = None;
        let event = if response.is_some() && code != 503 { Event::Answered } else { Event::Failed };
        one.note(event, context.stack.now());
        self.set_deadline();
    }
}

/// An OPTIONS out of any dialog (RFC 3261 §11.1); none while there is no transport.
fn options(to: &impl std::fmt::Display, context: &mut AgentContext<'_, '_>) -> Option<Message> {
    let own = context.stack.transports().iter().next()?.advertised;
    let from = match context.server.config().domains.first() {
        Some(domain) => domain.to_string(),
        None => own.to_string(),
    };
    let (tag, call_id) = (context.stack.new_tag(), context.stack.rng().token::<22>());
    let mut request = Message::request(&Method::Options, to);
    request.set(h::FROM, &format_args!("<sip:{from}>;tag={tag}"));
    request.set(h::TO, &format_args!("<{to}>"));
    request.set(h::CALL_ID, call_id.as_str());
    request.set(h::CSEQ, "1 OPTIONS");
    request.set_number(h::MAX_FORWARDS, 70);
    request.set_number(h::CONTENT_LENGTH, 0);
    Some(request)
}
