//! What the proxy keeps of a request that it forwarded (RFC 3261 §16.7): its branches, the best response so far, and
//! what is still to be tried.

use super::best::Best;
use crate::location::{By, Found, Located};
use rutil::Time;
use smallvec::{SmallVec, smallvec};
use stack::header::h;
use stack::message::Message;
use stack::transport::Flow;
use stack::tu::{ClientTransaction, NextHop, SendOptions, ServerTransaction, TuContext};

/// One client transaction.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) client: ClientTransaction,
    /// A provisional response came.
    pub(super) proceeding: bool,
    /// The status that a transport error counts as.
    pub(super) if_lost: u16,
    /// When Timer C fires; moved on by each provisional response.
    pub(super) timer_c: Time,
    pub(super) fallback: Option<Box<Fallback>>,
}

/// What is known of the flow of a device that a branch goes by, should it be dead.
#[derive(Debug)]
pub(super) struct Fallback {
    pub(super) aor: String,
    pub(super) flow: Located,
    /// The request for the next flow of the device.
    pub(super) next: Option<Forwarding>,
}

/// A forwarded request. It lives until its last branch has ended; a late 2xx finds its way without it.
#[derive(Debug)]
pub(super) struct ResponseContext {
    pub(super) server: ServerTransaction,
    pub(super) invite: bool,
    /// A final response was sent.
    pub(super) answered: bool,
    /// No new branch begins: the caller gave up, or a 6xx came.
    pub(super) closed: bool,
    /// The caller gave up.
    pub(super) cancelled: bool,
    pub(super) best: Best,
    pub(super) branches: SmallVec<[Branch; 1]>,
    /// The flow of a device that registers in another domain, and is reached by it through us (RFC 5626 §5.1).
    pub(super) device: Option<Box<Flow>>,
    /// Targets of lower preference.
    pub(super) rest: Option<Box<Forwarding>>,
}

/// A request and the targets that it has not been sent to.
#[derive(Debug)]
pub(super) struct Forwarding {
    pub(super) request: Box<Message>,
    /// The most preferred first; none: the Request-URI as it stands.
    pub(super) targets: Found,
    /// The address-of-record that they belong to.
    pub(super) aor: String,
    pub(super) options: SendOptions,
    pub(super) max_breadth: u32,
}

/// A branch that a [`Forwarding`] began.
pub(super) struct Begun {
    pub(super) client: ClientTransaction,
    /// The status that a transport error counts as.
    pub(super) if_lost: u16,
    pub(super) fallback: Option<Box<Fallback>>,
}

/// The branches that a [`Forwarding`] began, and what it has left.
pub(super) type Started = (SmallVec<[Begun; 1]>, Option<Box<Forwarding>>);

impl ResponseContext {
    pub(super) fn new(server: ServerTransaction, invite: bool) -> Self {
        ResponseContext {
            server,
            invite,
            answered: false,
            closed: false,
            cancelled: false,
            best: Best::None,
            branches: SmallVec::new(),
            device: None,
            rest: None,
        }
    }

    pub(super) fn branch(&mut self, client: ClientTransaction) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|branch| branch.client == client)
    }

    pub(super) fn remove(&mut self, client: ClientTransaction) {
        self.branches.retain(|branch| branch.client != client);
    }

    /// Cancels what is pending and begins nothing new (§16.10, §16.7 steps 5 and 10). A non-INVITE branch cannot be
    /// cancelled: its response is not waited for any more.
    pub(super) fn close(&mut self, reason: Option<&str>, stack: &mut TuContext<'_>) {
        self.closed = true;
        self.rest = None;
        if self.invite {
            for branch in &self.branches {
                stack.cancel(branch.client, reason);
            }
        }
    }

    /// Sends the best response (§16.7 steps 6 to 9).
    pub(super) fn answer(&mut self, stack: &mut TuContext<'_>) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        let best = std::mem::take(&mut self.best);
        match best.code() {
            // RFC 4320 §4.2: nobody tells a non-INVITE client that it timed out.
            408 if !self.invite => {}
            0 | 408 if self.cancelled => stack.respond_status(self.server, 487),
            // §16.7 step 6: a 503 would say that this proxy is overloaded.
            503 => stack.respond_status(self.server, 500),
            code => match best {
                Best::Received(response) => stack.respond(self.server, response),
                _ => stack.respond_status(self.server, code.max(408)),
            },
        }
    }
}

impl Forwarding {
    /// How many targets share the highest preference: they are tried at the same time.
    fn group(&self) -> usize {
        let first = self.targets.first().map(|target| target.q);
        self.targets.iter().take_while(|target| Some(target.q) == first).count()
    }

    /// Whether Max-Breadth allows the next group of branches (RFC 5393 §5.3.3).
    pub(super) fn fits(&self) -> bool {
        self.max_breadth as usize >= self.group().max(1)
    }

    /// Divides Max-Breadth among branches that run at the same time. A group that is tried later begins when those of
    /// the one before have ended, and so has all of it again.
    pub(super) fn set_breadth(&mut self, branches: usize) {
        let share = self.max_breadth / branches.max(1) as u32;
        self.request.set_number(h::MAX_BREADTH, share);
    }

    /// How a request to a contact is sent, and the status that a transport error counts as: a user who cannot be reached
    /// but by a flow is not there when that is gone, and who named the flow is told so (RFC 5626 §5.3.1).
    pub(super) fn way(&self, target: Option<&Located>) -> (SendOptions, u16) {
        let (next_hop, if_lost) = match (target.map(|target| &target.by), self.options.next_hop) {
            (Some(By::Flow(flow)), _) => (NextHop::Flow(*flow), 480),
            (_, next_hop @ NextHop::Flow(_)) => (next_hop, 430),
            (_, next_hop) => (next_hop, 503),
        };
        (SendOptions { next_hop, ..self.options }, if_lost)
    }

    /// Sends the request to the targets of the highest preference.
    pub(super) fn start(mut self, stack: &mut TuContext<'_>) -> Started {
        let group = self.group();
        let mut clients = SmallVec::new();
        self.set_breadth(group);
        let more = self.targets.len() > group;
        for at in 0..group.max(1) {
            let last = !more && at + 1 >= group;
            if last {
                break;
            }
            let mut copy = self.request.clone();
            let target = self.targets.get(at);
            direct(&mut copy, target);
            let (options, if_lost) = self.way(target);
            let fallback = self.fallback(target);
            clients.push(Begun { client: stack.send(copy, options), if_lost, fallback });
        }
        if more {
            self.targets.drain(..group);
            return (clients, Some(Box::new(self)));
        }
        // The last target takes the request itself.
        let target = self.targets.last();
        let (options, if_lost) = self.way(target);
        let fallback = self.fallback(target);
        direct(&mut self.request, target);
        clients.push(Begun { client: stack.send(self.request, options), if_lost, fallback });
        (clients, None)
    }

    /// What a branch to a target that has a flow keeps; nothing for one that has none. Its request has the share of
    /// Max-Breadth of the branch that it takes the place of.
    fn fallback(&self, target: Option<&Located>) -> Option<Box<Fallback>> {
        let target = target.filter(|target| target.by != By::Uri)?;
        let next = target.older.as_deref().and_then(|older| Located::of_flows(older.clone()));
        let next = next.map(|next| Forwarding {
            request: self.request.clone(),
            targets: smallvec![next],
            aor: self.aor.clone(),
            options: self.options,
            max_breadth: self.request.header(h::MAX_BREADTH).map_or(1, |breadth| breadth.0),
        });
        let flow = Located { older: None, ..target.clone() };
        Some(Box::new(Fallback { aor: self.aor.clone(), flow, next }))
    }
}

/// Writes into a request where it goes: the contact, and the Path that it was registered with (RFC 3327 §5.3). No other
/// Route is left: who has one has no targets.
pub(super) fn direct(request: &mut Message, target: Option<&Located>) {
    let Some(target) = target else { return };
    request.set_request_uri(&*target.uri);
    if let By::Path(path) = &target.by {
        request.push_back(h::ROUTES, &**path);
    }
}
