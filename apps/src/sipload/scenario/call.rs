//! What is known of one call, and what follows from it: tags, routes, branches.

use super::super::users::User;
use super::machine::Setup;
use super::program::{At, Value};
use bytes::Bytes;
use rutil::Time;
use stack::header::{HeaderId, h, p};
use stack::message::Message;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The latest messages that are known again when they come again.
const RECENT: usize = 4;

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) number: u64,
    pub(super) call_id: String,
    /// Our address and the peer's.
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    /// The step that it is at, and whether it waits there.
    pub(super) at: At,
    pub(super) waits: bool,
    /// Until when it waits.
    pub(super) until: Option<Time>,
    pub(super) vars: Vec<Value>,
    /// Its line of each file of fields.
    pub(super) lines: Vec<usize>,
    /// The branch of each transaction that has a name, as it went out.
    pub(super) transactions: Vec<Option<String>>,
    pub(super) cseq: u32,
    /// How often each step has sent: so that each message has a branch of its own.
    pub(super) passes: Vec<u16>,
    /// The latest message, and the latest request, of the peer; and the one that began the call.
    pub(super) last: Option<Box<Message>>,
    pub(super) request: Option<Box<Message>>,
    pub(super) first: Option<Box<Message>>,
    pub(super) challenge: Option<Box<Message>>,
    pub(super) peer_tag: Option<String>,
    pub(super) routes: Vec<String>,
    pub(super) remote_target: Option<String>,
    /// The methods of our requests, the latest last.
    pub(super) sent: Vec<String>,
    /// Our INVITE as it went out.
    pub(super) invite: Option<Bytes>,
    /// A 2xx to an INVITE has come, or has gone out.
    pub(super) is_answered: bool,
    /// BYE has gone out, at this time; or has come.
    pub(super) bye_at: Option<Time>,
    pub(super) is_ended: bool,
    pub(super) noted_ringing: bool,
    pub(super) noted_answer: bool,
    pub(super) again: Option<Again>,
    recent: VecDeque<(u64, Option<Bytes>)>,
    /// What came while nothing was expected.
    pub(super) early: VecDeque<Box<Message>>,
    /// Success was told; what is left is to answer what comes again.
    pub(super) is_done: bool,
}

/// A message that is sent again until something comes.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) octets: Bytes,
    pub(super) at: Time,
    pub(super) wait: Duration,
    pub(super) left: u8,
    pub(super) most: Duration,
    /// Its method, or status.
    pub(super) what: String,
}

impl Call {
    pub(crate) fn new(number: u64, call_id: String, (local, peer): (SocketAddr, SocketAddr), vars: Vec<Value>) -> Self {
        Call {
            number,
            call_id,
            local,
            peer,
            at: 0,
            waits: false,
            until: None,
            vars,
            lines: Vec::new(),
            transactions: Vec::new(),
            cseq: 0,
            passes: Vec::new(),
            last: None,
            request: None,
            first: None,
            challenge: None,
            peer_tag: None,
            routes: Vec::new(),
            remote_target: None,
            sent: Vec::new(),
            invite: None,
            is_answered: false,
            bye_at: None,
            is_ended: false,
            noted_ringing: false,
            noted_answer: false,
            again: None,
            recent: VecDeque::new(),
            early: VecDeque::new(),
            is_done: false,
        }
    }

    /// When it must be looked at.
    pub(crate) fn deadline(&self) -> Option<Time> {
        [self.until, self.again.as_ref().map(|again| again.at)].into_iter().flatten().min()
    }

    /// The branch of a step's message, or of one so many steps before.
    pub(super) fn branch(&self, setup: &Setup, at: At, plus: i64) -> String {
        let at = usize::try_from(at as i64 + plus).unwrap_or(0);
        let pass = self.passes.get(at).copied().unwrap_or(0);
        // A pass is counted when its message is rendered; the first has no number.
        let pass = if pass > 1 { format!("-{pass}") } else { String::new() };
        format!("z9hG4bK-{}-{}-{at}{pass}", setup.run, self.number + 1)
    }

    /// Our INVITE as it went out.
    pub(super) fn sent_invite(&self) -> Option<Message> {
        self.invite.clone().and_then(|octets| Message::parse(octets).ok())
    }

    /// `;tag=` and our tag.
    pub(super) fn local_tag(&self, setup: &Setup) -> String {
        format!(";tag={}-{}", self.number + 1, setup.run)
    }

    /// From of our requests: who was called, or who calls.
    pub(super) fn local_party(&self, setup: &Setup, user: &User) -> String {
        match self.first.as_deref().and_then(|first| value(first, HeaderId::TO)) {
            Some(to) => to + &self.local_tag(setup),
            None => format!("<sip:{}@{}>{}", user.name, user.domain, self.local_tag(setup)),
        }
    }

    /// To of our requests.
    pub(super) fn remote_party(&self, setup: &Setup) -> String {
        match self.first.as_deref().and_then(|first| value(first, HeaderId::FROM)) {
            Some(from) => from,
            None => {
                let tag = self.peer_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
                format!("<{}>{tag}", setup.target)
            }
        }
    }

    /// Whether this very message came before, and what then went out for it.
    pub(super) fn came_before(&self, hash: u64) -> Option<Option<Bytes>> {
        self.recent.iter().find(|(known, _)| *known == hash).map(|(_, answer)| answer.clone())
    }

    pub(super) fn note_came(&mut self, hash: u64) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((hash, None));
    }

    /// What goes out now answers what came last.
    pub(super) fn note_sent(&mut self, octets: &Bytes) {
        if let Some((_, answer)) = self.recent.back_mut() {
            *answer = Some(octets.clone());
        }
    }

    /// A message went out that begins the transaction with this name.
    pub(super) fn begin_transaction(&mut self, name: usize, octets: &Bytes) {
        if self.transactions.len() <= name {
            self.transactions.resize(name + 1, None);
        }
        if let Some(place) = self.transactions.get_mut(name) {
            *place = Message::parse(octets.clone()).ok().and_then(|message| branch(&message));
        }
    }

    /// Whether a message has the branch of the transaction with this name.
    pub(super) fn is_in_transaction(&self, name: usize, message: &Message) -> bool {
        self.transactions.get(name).is_some_and(|own| own.is_some() && *own == branch(message))
    }

    /// Keeps what a message says of the dialog.
    pub(super) fn learn(&mut self, message: &Message, routes: bool) {
        let party = if message.is_request() { h::FROM } else { h::TO };
        if let Some(tag) = message.header(party).ok().and_then(|party| party.param(p::TAG).map(str::to_owned)) {
            self.peer_tag = Some(tag);
        }
        if !routes {
            return;
        }
        if let Some(contact) = message.first(h::CONTACTS).ok().and_then(|contact| contact.into_addr()) {
            self.remote_target = Some(contact.uri.to_string());
        }
        let values: Vec<String> =
            message.header(h::RECORD_ROUTES).texts().filter_map(Result::ok).map(str::to_owned).collect();
        // RFC 3261 §12.1.1, §12.1.2
        self.routes = if message.is_request() { values } else { values.into_iter().rev().collect() };
    }
}

fn branch(message: &Message) -> Option<String> {
    message.first(h::VIAS).ok()?.branch().map(str::to_owned)
}

/// A header's value as it came.
fn value(message: &Message, id: HeaderId) -> Option<String> {
    let (_, value) = message.fields().find(|(found, _)| *found == id)?;
    Some(String::from_utf8_lossy(value).into_owned())
}
