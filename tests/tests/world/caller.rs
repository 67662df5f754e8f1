//! The caller: OPTIONS, calls that are answered, refused, given up, and calls to nobody.

use crate::agenda::Agenda;
use crate::ledger::Ledger;
use crate::{CALLEE, CALLER, FARM, MIDDLE, NOBODY, address};
use rutil::{Rng, Time};
use stack::header::{Method, h};
use stack::message::Message;
use stack::transport::TransportType;
use stack::tu::{ClientTransaction, NextHop, SendOptions, TransactionUser, TuContext, TuEvent};
use std::collections::HashMap;
use std::time::Duration;

/// When a call without a final response is given up.
const PATIENCE: Duration = Duration::from_secs(60);

enum Todo {
    Call(usize),
    Cancel(ClientTransaction),
}

/// What the ACK for a 2xx is made from.
struct Call {
    invite: Message,
    options: SendOptions,
}

pub(crate) struct Caller {
    ledger: Ledger,
    rng: Rng,
    agenda: Agenda<Todo>,
    calls: HashMap<ClientTransaction, Call>,
    farm: bool,
}

impl Caller {
    /// So many requests, spread over so long.
    ///
    /// With `farm` half of those to the callee go to its name.
    pub(crate) fn new(ledger: Ledger, mut rng: Rng, requests: usize, over: Duration, farm: bool) -> Self {
        let mut agenda = Agenda::new();
        for n in 0..requests {
            let at = Duration::from_millis(rng.range(over.as_millis() as u64));
            agenda.put(Time::ZERO + at, Todo::Call(n));
        }
        Caller { ledger, rng, agenda, calls: HashMap::new(), farm }
    }

    fn begin(&mut self, n: usize, stack: &mut TuContext<'_>) {
        // The callee reads in the user part what it is to do.
        let (method, user) = match self.rng.range(100) {
            0..35 => (Method::Options, "options"),
            35..60 => (Method::Invite, "answer"),
            60..80 => (Method::Invite, "refuse"),
            _ => (Method::Invite, "ring"),
        };
        let invite = method == Method::Invite;
        let stream = self.rng.chance(0.3);
        let host = if self.rng.chance(0.01) { NOBODY } else { CALLEE };
        let dead = host == NOBODY;
        // A datagram to nobody would only time out.
        let transport = if stream || dead { ";transport=tcp" } else { "" };
        let place = match self.farm && !dead && self.rng.chance(0.5) {
            true => format!("{FARM}:5060"),
            false => address(host).to_string(),
        };
        let mut msg = Message::request(&method, &format!("sip:{user}@{place}{transport}"));
        msg.append_line("Max-Forwards", "70");
        msg.append_line("From", &format!("<sip:caller@{}>;tag={}", address(CALLER).ip(), stack.new_tag()));
        msg.append_line("To", &format!("<sip:{user}@{}>", address(host).ip()));
        msg.append_line("Call-ID", &format!("call-{n}"));
        msg.append_line("CSeq", &format!("1 {}", method.as_str()));
        let mut options = SendOptions::default();
        if self.rng.chance(0.3) {
            let kind = if self.rng.chance(0.3) { TransportType::Tcp } else { TransportType::Udp };
            options.next_hop = NextHop::Address(kind, address(MIDDLE));
        }
        let transaction = stack.send(msg.clone(), options);
        self.ledger.begun(CALLER, transaction, invite);
        if invite {
            self.calls.insert(transaction, Call { invite: msg, options });
            let after = if user == "ring" { Duration::from_millis(self.rng.range(6000)) } else { PATIENCE };
            self.agenda.put(stack.now() + after, Todo::Cancel(transaction));
        }
    }

    /// Every 2xx gets its ACK (RFC 3261 §13.2.2.4).
    fn acknowledge(&mut self, transaction: ClientTransaction, ok: &Message, stack: &mut TuContext<'_>) {
        let Some(call) = self.calls.get(&transaction) else { return };
        let Ok(to) = ok.header(h::TO) else { return };
        let mut ack = Message::request(&Method::Ack, &String::from_utf8_lossy(call.invite.request_uri_text()));
        ack.append_line("Max-Forwards", "70");
        if let Ok(from) = call.invite.header(h::FROM) {
            ack.set(h::FROM, &from);
        }
        ack.set(h::TO, &to);
        for name in ["Call-ID", "CSeq"] {
            let value = call.invite.raw_values(name).next().unwrap_or_default();
            ack.append_line(name, &String::from_utf8_lossy(value).replace("INVITE", "ACK"));
        }
        stack.send_stateless(ack, call.options);
    }
}

impl TransactionUser for Caller {
    fn name(&self) -> &'static str {
        "caller"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        self.ledger.heard(CALLER, &event, stack.now());
        match event {
            TuEvent::Response { transaction, msg } if msg.status().is_some_and(|code| (200..300).contains(&code)) => {
                self.acknowledge(transaction, &msg, stack);
            }
            TuEvent::ClientEnded { transaction } => {
                self.calls.remove(&transaction);
            }
            TuEvent::Request { .. } | TuEvent::Cancelled { .. } | TuEvent::Ack { .. } => {
                self.ledger.check(false, || format!("the caller was called: {event:?}"));
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
                Todo::Call(n) => self.begin(n, stack),
                Todo::Cancel(transaction) => stack.cancel(transaction, None),
            }
        }
    }
}
