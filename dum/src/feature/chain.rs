//! The way of a message through the features.

use super::waiting::{self, Answer, Name, Request};
use super::{DumFeature, FeatureContext, Passage, Verdict};
use crate::dum::Dum;
use stack::header::Method;
use stack::message::Message;
use stack::tu::{ClientTransaction, NoResponse, SendOptions, ServerTransaction, TuEvent};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Incoming,
    Outgoing,
}

impl Direction {
    fn first(self, features: usize) -> Option<usize> {
        match self {
            Direction::Incoming => (features > 0).then_some(0),
            Direction::Outgoing => features.checked_sub(1),
        }
    }

    fn after(self, at: usize, features: usize) -> Option<usize> {
        match self {
            Direction::Incoming => Some(at + 1).filter(|at| *at < features),
            Direction::Outgoing => at.checked_sub(1),
        }
    }
}

impl Dum<'_> {
    /// Sends a request in a transaction of its own, by way of the features.
    pub(crate) fn transmit(&mut self, msg: impl Into<Box<Message>>, options: SendOptions) -> ClientTransaction {
        if self.core.features.is_empty() {
            return self.stack.send(msg, options);
        }
        let transaction = self.stack.new_transaction();
        let name = Name::Outgoing(transaction, options);
        let first = Direction::Outgoing.first(self.core.features.len());
        let nobody = go_on(self, Request { msg: msg.into(), name }, first, None);
        debug_assert!(nobody.is_none(), "what leaves is no event");
        transaction
    }

    /// Answers a request, by way of the features.
    pub(crate) fn respond(&mut self, transaction: ServerTransaction, msg: impl Into<Box<Message>>) {
        let mut msg = msg.into();
        let last = msg.status().is_some_and(|status| status >= 200);
        if through(self, Direction::Outgoing, &mut msg) || last {
            self.stack.respond(transaction, msg);
        }
    }

    /// Sends the ACK of a 2xx, by way of the features.
    pub(crate) fn acknowledge(&mut self, mut ack: Message) {
        if through(self, Direction::Outgoing, &mut ack) {
            self.stack.send_stateless(ack, SendOptions::default());
        }
    }

    /// Cancels an INVITE of ours (RFC 3261 §9.1), with what `edit` adds to the CANCEL; one that still waits for a feature does
    /// not leave.
    pub(crate) fn cancel(&mut self, transaction: ClientTransaction, edit: Option<&dyn Fn(&mut Message)>) {
        if !self.core.held.is_empty() && waiting::cancel(self, transaction) {
            return;
        }
        match edit {
            Some(edit) => self.stack.cancel_with(transaction, edit),
            None => self.stack.cancel(transaction, None),
        }
    }
}

/// What the usages hear of an event, if anything.
pub(crate) fn incoming(dum: &mut Dum<'_>, event: TuEvent) -> Option<TuEvent> {
    if dum.core.features.is_empty() {
        return Some(event);
    }
    match event {
        TuEvent::Request { transaction, msg } => {
            let request = Request { msg, name: Name::Incoming(transaction) };
            let first = Direction::Incoming.first(dum.core.features.len());
            go_on(dum, request, first, None)
        }
        TuEvent::Response { transaction, mut msg } => match through(dum, Direction::Incoming, &mut msg) {
            true => Some(TuEvent::Response { transaction, msg }),
            false if msg.status().is_some_and(|status| status < 200) => None,
            false => Some(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout }),
        },
        TuEvent::Ack { mut msg } => through(dum, Direction::Incoming, &mut msg).then_some(TuEvent::Ack { msg }),
        TuEvent::Cancelled { transaction, mut cancel } => {
            let passes = through(dum, Direction::Incoming, &mut cancel);
            passes.then_some(TuEvent::Cancelled { transaction, cancel })
        }
        other => Some(other),
    }
}

/// A request that waited goes on at its feature.
pub(super) fn resume(dum: &mut Dum<'_>, request: Request, feature: usize, answer: Option<Answer>) {
    let passed = go_on(dum, request, Some(feature), Some(answer));
    dum.core.passed.extend(passed);
}

/// A request meets its features from one on, which hears the answer that it waited for, if it did. What comes of it is what the
/// usages are to hear.
fn go_on(
    dum: &mut Dum<'_>,
    mut request: Request,
    from: Option<usize>,
    mut resumed: Option<Option<Answer>>,
) -> Option<TuEvent> {
    let direction = request.name.direction();
    let mut features = std::mem::take(&mut dum.core.features);
    let (mut next, mut verdict) = (from, Verdict::Done);
    while let Some(at) = next {
        verdict = ask(dum, &mut *features[at], &mut request, resumed.take());
        if !matches!(verdict, Verdict::Pass) {
            break;
        }
        next = direction.after(at, features.len());
    }
    dum.core.features = features;
    match (verdict, request.name) {
        (Verdict::Pass | Verdict::Done, Name::Incoming(transaction)) => {
            return Some(TuEvent::Request { transaction, msg: request.msg });
        }
        (Verdict::Pass | Verdict::Done, Name::Outgoing(transaction, options)) => {
            dum.stack.send_as(transaction, request.msg, options);
        }
        (Verdict::Take, _) => kept(dum, request),
        (Verdict::Answer(response), Name::Incoming(transaction)) => dum.respond(transaction, response),
        (Verdict::Answer(response), Name::Outgoing(transaction, _)) => {
            waiting::answered(dum, transaction, Some(response));
        }
        (Verdict::Wait(waiting), _) => waiting::hold(dum, waiting, request, next),
    }
    None
}

/// What a feature says of a request; what it may not say is mended.
fn ask(
    dum: &mut Dum<'_>,
    feature: &mut dyn DumFeature,
    request: &mut Request,
    resumed: Option<Option<Answer>>,
) -> Verdict {
    let mut context = FeatureContext { dum, waiting: None };
    let msg = &mut *request.msg;
    let verdict = match (resumed, request.name) {
        (Some(answer), _) => feature.resumed(msg, answer, &mut context),
        (None, Name::Incoming(_)) => feature.incoming_request(msg, &mut context),
        (None, Name::Outgoing(..)) => feature.outgoing_request(msg, &mut context),
    };
    let reserved = context.waiting;
    match &verdict {
        Verdict::Wait(waiting) if reserved == Some(*waiting) => return verdict,
        Verdict::Answer(response) if !is_fit(msg, response) => {}
        Verdict::Wait(_) => {}
        _ => {
            reserved.map(|reserved| dum.core.waiting.remove(reserved));
            return verdict;
        }
    }
    tracing::warn!(feature = feature.name(), "answered with what is no answer, or waits by another name: 500");
    reserved.map(|reserved| dum.core.waiting.remove(reserved));
    Verdict::Answer(dum.make_response(msg, 500, None).into())
}

/// Whether this can be the answer to a request.
fn is_fit(request: &Message, response: &Message) -> bool {
    let least = if request.method() == Some(Method::Invite) { 300 } else { 200 };
    response.status().is_some_and(|status| status >= least)
}

/// Nobody goes on with a request.
fn kept(dum: &mut Dum<'_>, request: Request) {
    match request.name {
        // The stack forgets it (RFC 4320 §4.2).
        Name::Incoming(_) if request.msg.method() != Some(Method::Invite) => {}
        Name::Incoming(transaction) => match waiting::reserve(dum.core, dum.core.values.long()) {
            Ok(waiting) => waiting::hold(dum, waiting, request, None),
            Err(_) => dum.refuse_new(transaction, &request.msg),
        },
        Name::Outgoing(transaction, _) => waiting::answered(dum, transaction, None),
    }
}

/// Another message meets its features: whether it goes on.
fn through(dum: &mut Dum<'_>, direction: Direction, msg: &mut Message) -> bool {
    let Some(first) = direction.first(dum.core.features.len()) else { return true };
    let mut features = std::mem::take(&mut dum.core.features);
    let (mut next, mut passage) = (Some(first), Passage::Pass);
    while let (Some(at), Passage::Pass) = (next, passage) {
        let mut context = FeatureContext { dum, waiting: None };
        passage = match direction {
            Direction::Incoming => features[at].incoming(msg, &mut context),
            Direction::Outgoing => features[at].outgoing(msg, &mut context),
        };
        // There is nothing here that could wait.
        if let Some(reserved) = context.waiting {
            let _ = dum.core.waiting.remove(reserved);
        }
        next = direction.after(at, features.len());
    }
    dum.core.features = features;
    passage != Passage::Take
}
