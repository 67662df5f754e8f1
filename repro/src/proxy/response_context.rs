//! What the proxy keeps of a request that it forwarded (RFC 3261 §16.7): its branches, the best response so far, and
//! what is still to be tried.

use super::accounts::Tracked;
use super::best::{Best, better};
use super::target::{Ended, truncate};
use super::view::Upstream;
use super::{Server, Step, Steps, Target, TargetView};
use crate::cluster::HOP_SILENCE;
use crate::events::CallKey;
use crate::forwarding::{Onward, Resolved};
use crate::location::{By, Located};
use crate::processors::TargetResult;
use rutil::Time;
use smallvec::{SmallVec, smallvec};
use stack::header::h;
use stack::message::Message;
use stack::transport::Flow;
use stack::tu::{ClientTransaction, NextHop, SendOptions, ServerTransaction, TuContext};
use std::sync::Arc;
use std::time::Duration;

/// Why a phone stops ringing whose time is over (RFC 3326).
const NOT_ANSWERED: &str = "SIP;cause=408;text=\"Not answered in time\"";

/// Why it does so when the proxy ends.
const ENDING: &str = "SIP;cause=503;text=\"The proxy ends\"";

/// How a branch stands to the step that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The step waits for it.
    Current,
    /// The next step has begun; the answer waits for it.
    RingsOn,
    /// Given up: only a 2xx of it means something.
    GivenUp,
}

/// One client transaction.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) client: ClientTransaction,
    pub(super) role: Role,
    /// A provisional response came.
    pub(super) proceeding: bool,
    /// The status that a transport error counts as.
    pub(super) if_lost: u16,
    /// When Timer C fires; moved on by each provisional response.
    pub(super) timer_c: Time,
    pub(super) fallback: Option<Box<Fallback>>,
    /// Of a request that is watched, or that somebody is told of.
    pub(super) target: Option<Box<Target>>,
    /// It was given up as silent, and that was noted of its target.
    pub(super) noted: bool,
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
    /// It is an INVITE outside of any dialog.
    pub(super) counted: bool,
    /// A final response was sent.
    pub(super) answered: bool,
    /// No new branch begins: the caller gave up, or a 6xx came.
    pub(super) closed: bool,
    /// The caller gave up.
    pub(super) cancelled: bool,
    /// The proxy ends before anybody has answered.
    withdrawn: bool,
    pub(super) best: Best,
    /// How the step under way ends.
    pub(super) ended: Ended,
    /// How all steps have ended of who is called now.
    pub(super) so_far: Ended,
    /// Names the step under way, if it has a time.
    pub(super) step: u64,
    /// Names who is called now, if he may let ring for so long and no longer.
    pub(super) stage: u64,
    pub(super) rings_on: bool,
    /// Where the request came from, if it is watched.
    pub(super) upstream: Option<Box<Upstream>>,
    pub(super) branches: SmallVec<[Branch; 1]>,
    /// The flow of a device that registers in another domain, and is reached by it through us (RFC 5626 §5.1).
    pub(super) device: Option<Box<Flow>>,
    /// The steps that are left.
    pub(super) rest: Option<Box<Forwarding>>,
    /// What is told of it, if somebody is.
    pub(super) tracked: Option<Box<Tracked>>,
    /// Names the call, if it is told of.
    pub(super) call: Option<Box<CallKey>>,
}

/// A request and the targets that it has not been sent to.
#[derive(Debug)]
pub(super) struct Forwarding {
    pub(super) request: Box<Message>,
    /// The first is the next; none: the Request-URI as it stands.
    pub(super) steps: Steps,
    /// Where it goes when they have failed.
    pub(super) onward: Option<Box<Onward>>,
    /// How many targets may be added.
    pub(super) room: usize,
    /// The URIs that it was sent to, its own first, if targets may be added.
    pub(super) tried: Vec<Arc<str>>,
    /// The address-of-record that they belong to.
    pub(super) aor: String,
    pub(super) options: SendOptions,
    pub(super) max_breadth: u32,
    /// How many targets were tried that ring on beside those of the next step.
    pub(super) ringing: usize,
    pub(super) watched: bool,
    pub(super) recurses: bool,
    /// Somebody is told where it went.
    pub(super) accounted: bool,
}

/// A branch that a [`Forwarding`] began.
pub(super) struct Begun {
    pub(super) client: ClientTransaction,
    /// The status that a transport error counts as.
    pub(super) if_lost: u16,
    pub(super) fallback: Option<Box<Fallback>>,
    pub(super) target: Option<Box<Target>>,
}

/// What a [`Forwarding`] has begun.
#[derive(Default)]
pub(super) struct Started {
    pub(super) begun: SmallVec<[Begun; 1]>,
    /// What targets count as that the target chain let nothing go to.
    pub(super) skipped: Vec<u16>,
    /// What is left.
    pub(super) rest: Option<Box<Forwarding>>,
}

impl ResponseContext {
    pub(super) fn new(server: ServerTransaction, invite: bool) -> Self {
        ResponseContext {
            server,
            invite,
            counted: false,
            answered: false,
            closed: false,
            cancelled: false,
            withdrawn: false,
            best: Best::None,
            ended: Ended::default(),
            so_far: Ended::default(),
            step: 0,
            stage: 0,
            rings_on: false,
            upstream: None,
            branches: SmallVec::new(),
            device: None,
            rest: None,
            tracked: None,
            call: None,
        }
    }

    pub(super) fn branch(&mut self, client: ClientTransaction) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|branch| branch.client == client)
    }

    pub(super) fn remove(&mut self, client: ClientTransaction) {
        self.branches.retain(|branch| branch.client != client);
    }

    /// Whether there is nothing to be done before a branch ends.
    pub(super) fn is_waiting(&self) -> bool {
        match self.answered {
            true => self.invite && !self.branches.is_empty(),
            false => self.branches.iter().any(|branch| branch.role == Role::Current),
        }
    }

    /// The steps that are left, from the next one on; none when there is none that the end of the last one asks for.
    pub(super) fn take_next(&mut self) -> Option<Box<Forwarding>> {
        let mut rest = self.rest.take()?;
        match rest.steps.iter().position(|step| step.when.holds(self.ended)) {
            Some(next) => {
                rest.steps.drain(..next);
                return Some(rest);
            }
            // What comes after all steps waits for those that ring on.
            None if rest.onward.is_some() => {
                rest.steps.clear();
                self.rest = Some(rest);
            }
            None => {}
        }
        None
    }

    /// Where the request goes when nobody has taken it who was called. A loop is what the caller is told of.
    pub(super) fn take_onward(&mut self, server: &Server, stack: &mut TuContext<'_>) -> Option<Box<Forwarding>> {
        let mut rest = self.rest.take()?;
        let onward = rest.onward.take()?;
        match onward.next(self.so_far, &rest.request, server, stack)? {
            Ok(Resolved { steps, onward }) => {
                rest.onward = onward;
                rest.add(steps).then_some(rest)
            }
            Err(code) => {
                if code == 482 {
                    self.best = Best::Local(code);
                }
                None
            }
        }
    }

    /// Takes a final response of a branch into account.
    pub(super) fn consider(&mut self, outcome: Best, role: Role) {
        if role == Role::Current {
            self.ended.code = better(self.ended.code, outcome.code());
        }
        if role != Role::GivenUp {
            self.so_far.code = better(self.so_far.code, outcome.code());
        }
        self.best.consider(outcome);
    }

    /// The time of the step under way is over: its branches are given up, or ring on.
    pub(super) fn pass_over(&mut self, stack: &mut TuContext<'_>) {
        (self.ended.timed_out, self.so_far.timed_out) = (true, true);
        for branch in self.branches.iter_mut().filter(|branch| branch.role == Role::Current) {
            match self.rings_on {
                true => branch.role = Role::RingsOn,
                false => branch.give_up(self.invite, stack),
            }
        }
    }

    /// The time is over of who is called now: no step of his is left.
    pub(super) fn give_up(&mut self, stack: &mut TuContext<'_>) {
        (self.ended.timed_out, self.so_far.timed_out) = (true, true);
        for branch in self.branches.iter_mut().filter(|branch| branch.role != Role::GivenUp) {
            branch.give_up(self.invite, stack);
        }
        if let Some(rest) = &mut self.rest {
            rest.steps.clear();
        }
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

    /// Nobody is waited for any more.
    pub(super) fn withdraw(&mut self, stack: &mut TuContext<'_>) {
        self.close(Some(ENDING), stack);
        self.withdrawn = !self.cancelled;
        self.best = Best::None;
        self.branches.iter_mut().for_each(|branch| branch.role = Role::GivenUp);
    }

    /// Sends the best response (§16.7 steps 6 to 9).
    pub(super) fn answer(&mut self, stack: &mut TuContext<'_>) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        let code = self.final_code();
        match std::mem::take(&mut self.best) {
            // RFC 4320 §4.2: nobody tells a non-INVITE client that it timed out.
            best if best.code() == 408 && !self.invite => {}
            Best::Received(response) if response.status() == Some(code) => stack.respond(self.server, response),
            _ => stack.respond_status(self.server, code),
        }
    }

    /// What the best response comes to.
    pub(super) fn final_code(&self) -> u16 {
        match self.best.code() {
            0 | 408 if self.cancelled => 487,
            // Another proxy may do what this one does not any more.
            _ if self.withdrawn => 503,
            // §16.7 step 6: a 503 would say that this proxy is overloaded.
            503 => 500,
            // Nobody was there in time.
            0 => 408,
            code => code,
        }
    }
}

impl Branch {
    pub(super) fn give_up(&mut self, invite: bool, stack: &mut TuContext<'_>) {
        self.role = Role::GivenUp;
        if invite {
            stack.cancel(self.client, Some(NOT_ANSWERED));
        }
    }
}

impl Forwarding {
    /// How many targets the next step has.
    fn group(&self) -> usize {
        self.steps.first().map_or(0, |step| step.targets.len())
    }

    /// How long the next step may take, and whether it rings on after that.
    pub(super) fn time_of_step(&self) -> (Option<Duration>, bool) {
        self.steps.first().map_or((None, false), |step| (step.timeout, step.rings_on))
    }

    /// Puts steps before those that are left, as many as there is room for; whether there was any.
    pub(super) fn add(&mut self, mut more: Steps) -> bool {
        truncate(&mut more, self.room);
        self.room -= more.iter().map(|step| step.targets.len()).sum::<usize>();
        let any = !more.is_empty();
        self.steps.insert_many(0, more);
        self.fit_breadth();
        any
    }

    /// Whether Max-Breadth allows the next step (RFC 5393 §5.3.3).
    pub(super) fn fits(&self) -> bool {
        self.max_breadth as usize >= self.group().max(1)
    }

    /// How many branches may run at the same time from the next step on: its own, those that ring on, and those of the steps
    /// that begin while it rings on.
    fn at_once(&self) -> usize {
        let last = self.steps.iter().position(|step| !step.rings_on).unwrap_or(self.steps.len());
        self.ringing + self.steps.iter().take(last + 1).map(|step| step.targets.len()).sum::<usize>()
    }

    /// Lets no step ring on where Max-Breadth has no room for that (RFC 5393 §5.3.3): they are tried one after the other.
    pub(super) fn fit_breadth(&mut self) {
        if self.at_once() > self.max_breadth as usize {
            self.steps.iter_mut().for_each(|step| step.rings_on = false);
        }
    }

    /// Divides Max-Breadth among branches that run at the same time. A step that is tried later begins when those of
    /// the one before have ended, or are given up, and so has all of it again; but where one rings on, they share it.
    pub(super) fn set_breadth(&mut self, branches: usize) {
        let share = self.max_breadth / branches.max(1) as u32;
        self.request.set_number(h::MAX_BREADTH, share);
    }

    /// How a request to a contact is sent, and the status that a transport error counts as: a user who cannot be reached
    /// but by a flow is not there when that is gone, and who named the flow is told so (RFC 5626 §5.3.1).
    pub(super) fn way(&self, target: Option<&Target>) -> (SendOptions, u16) {
        let (next_hop, if_lost) = match (target.map(|target| &target.contact.by), self.options.next_hop) {
            (Some(By::Flow(flow)), _) => (NextHop::Flow(**flow), 480),
            (Some(By::Node(_)), next_hop) => {
                let silence = Some(HOP_SILENCE);
                return (SendOptions { next_hop, silence, ..self.options }, 480);
            }
            (_, next_hop @ NextHop::Flow(_)) => (next_hop, 430),
            (_, next_hop) => (next_hop, 503),
        };
        (SendOptions { next_hop, ..self.options }, if_lost)
    }

    /// Sends the request to the targets of the next step.
    pub(super) fn start(mut self, server: &Server, stack: &mut TuContext<'_>) -> Started {
        self.set_breadth(self.at_once());
        let step = if self.steps.is_empty() { Step::default() } else { self.steps.remove(0) };
        self.ringing = if step.rings_on { self.ringing + step.targets.len() } else { 0 };
        let mut targets = step.targets;
        if self.steps.is_empty() {
            // Nobody else is left to take an emergency call: it waits for the last one as long as it can.
            let hops = targets.iter_mut().filter_map(|target| target.hop.as_mut());
            hops.filter(|hop| hop.emergency).for_each(|hop| hop.silence = None);
        }
        if self.recurses {
            self.tried.extend(targets.iter().map(|target| target.contact.uri.clone()));
        }
        let keeps = self.recurses || !self.steps.is_empty() || self.onward.is_some();
        let mut started = Started::default();
        // The last target takes the request itself, if nothing else needs it.
        let last = if keeps { None } else { targets.pop() };
        let as_it_stands = targets.is_empty() && last.is_none();
        for target in targets {
            let outgoing = self.outgoing(Some(target));
            outgoing.send(self.request.clone(), &mut started, server, stack);
        }
        if as_it_stands && keeps {
            self.outgoing(None).send(self.request.clone(), &mut started, server, stack);
        } else if !keeps {
            let outgoing = self.outgoing(last);
            outgoing.send(self.request, &mut started, server, stack);
            return started;
        }
        started.rest = Some(Box::new(self));
        started
    }

    fn outgoing(&self, target: Option<Target>) -> Outgoing {
        let (options, if_lost) = self.way(target.as_ref());
        let fallback = self.fallback(target.as_ref());
        Outgoing { target, options, if_lost, fallback, keeps_target: self.watched || self.accounted }
    }

    /// What a branch to a target that has a flow keeps; nothing for one that has none. Its request has the share of
    /// Max-Breadth of the branch that it takes the place of.
    fn fallback(&self, target: Option<&Target>) -> Option<Box<Fallback>> {
        let target = target.filter(|target| target.contact.by != By::Uri)?;
        let next = target.contact.older.as_deref().and_then(|older| Located::of_flows(older.clone()));
        let next = next.map(|next| Forwarding {
            request: self.request.clone(),
            steps: smallvec![Step::to(target.with(next))],
            onward: None,
            room: 0,
            tried: Vec::new(),
            aor: self.aor_of(target).to_owned(),
            options: self.options,
            max_breadth: self.request.header(h::MAX_BREADTH).map_or(1, |breadth| breadth.0),
            ringing: 0,
            watched: self.watched,
            recurses: false,
            accounted: self.accounted,
        });
        let flow = Located { older: None, ..target.contact.clone() };
        Some(Box::new(Fallback { aor: self.aor_of(target).to_owned(), flow, next }))
    }

    /// Whose contact a target is.
    pub(super) fn aor_of<'t>(&'t self, target: &'t Target) -> &'t str {
        target.retarget.as_deref().map_or(&self.aor, |retarget| &retarget.aor)
    }
}

/// What goes to one target.
struct Outgoing {
    target: Option<Target>,
    options: SendOptions,
    if_lost: u16,
    fallback: Option<Box<Fallback>>,
    keeps_target: bool,
}

impl Outgoing {
    fn send(mut self, mut request: Box<Message>, started: &mut Started, server: &Server, stack: &mut TuContext<'_>) {
        direct(&mut request, self.target.as_ref());
        if let Err(code) = write(&mut request, self.target.as_mut(), &mut self.options, server, stack) {
            started.skipped.push(code);
            return;
        }
        let Outgoing { target, options, if_lost, fallback, keeps_target } = self;
        let target = target.filter(|_| keeps_target).map(Box::new);
        started.begun.push(Begun { client: stack.send(request, options), if_lost, fallback, target });
    }
}

/// Lets the target chain write a copy of a request.
///
/// # Errors
/// The status that a target counts as which gets nothing.
pub(super) fn write(
    request: &mut Message,
    target: Option<&mut Target>,
    options: &mut SendOptions,
    server: &Server,
    stack: &mut TuContext<'_>,
) -> Result<(), u16> {
    let chain = &server.chains().target;
    if chain.is_empty() {
        return Ok(());
    }
    let mut view = TargetView { request, target, options, server, stack };
    for processor in chain.iter() {
        if let TargetResult::Skip(code) = processor.process(&mut view) {
            tracing::trace!(processor = processor.name(), code, "target left out");
            return Err(code);
        }
    }
    Ok(())
}

/// Writes into a request where it goes: the contact, and the Path that it was registered with (RFC 3327 §5.3). No other
/// Route is left: who has one has no targets.
pub(super) fn direct(request: &mut Message, target: Option<&Target>) {
    let Some(Target { contact, .. }) = target else { return };
    request.set_request_uri(&*contact.uri);
    match &contact.by {
        By::Path(route) => request.push_back(h::ROUTES, &**route),
        By::Node(hop) => request.push_back(h::ROUTES, &*hop.route),
        By::Uri | By::Flow(_) => {}
    }
}
