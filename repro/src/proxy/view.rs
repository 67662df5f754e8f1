//! What processors see of a target and of a response.

use super::{Server, Steps, Target};
use crate::forwarding::{Onward, Resolved};
use stack::header::h;
use stack::message::Message;
use stack::transport::Flow;
use stack::tu::{SendOptions, TuContext};
use std::sync::Arc;

/// A target and its copy of a request, just before that is sent.
pub struct TargetView<'a, 'c> {
    /// The copy, with the target as Request-URI.
    pub request: &'a mut Message,
    /// The target; none when the request goes to its Request-URI, or where a Route leads.
    pub target: Option<&'a mut Target>,
    /// How it is sent.
    pub options: &'a mut SendOptions,
    /// Configuration and stores.
    pub server: &'a Server,
    /// The stack.
    pub stack: &'a mut TuContext<'c>,
}

/// Where a request that is watched has come from.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The flow.
    pub source: Option<Flow>,
    /// Its From, if a target may have got another: it has a Privacy header, or a peer is told by From who calls.
    pub from: Option<Box<str>>,
}

impl Upstream {
    pub(super) fn of(request: &Message) -> Self {
        Upstream { source: request.source().map(|source| source.flow), from: None }
    }

    /// Keeps the From of a request that goes to targets now; `rewrites_from`: some peer gets another one. That may have
    /// changed since the targets before.
    pub(super) fn keep_from(&mut self, request: &Message, rewrites_from: bool) {
        if self.from.is_none() && (rewrites_from || request.exists(h::PRIVACY)) {
            self.from = request.header(h::FROM).ok().map(|from| from.to_string().into());
        }
    }
}

/// A response of a target, before it counts.
pub struct ResponseView<'a, 'c> {
    /// Its status, or the status that stands for a response which did not come.
    pub code: u16,
    /// The response, without our Via; none when there was none.
    pub response: Option<&'a mut Message>,
    /// Whether the request never went out, for a reason of ours: it says nothing of the target.
    pub ours: bool,
    /// Who answered; none when the request went to its Request-URI, or where a Route leads.
    pub target: Option<&'a Target>,
    /// Whether it was noted already what is to be known of the target: it was silent for too long, or has answered.
    pub noted: bool,
    /// Whose contact that is, an address-of-record; empty: nobody's. Known when the request is kept for other targets.
    pub aor: &'a str,
    /// Where the request came from.
    pub upstream: &'a Upstream,
    /// The request, when it is kept for other targets.
    pub request: Option<&'a Message>,
    /// The URIs that it was sent to, its own first, when it is kept for other targets.
    pub tried: &'a [Arc<str>],
    /// Targets to try next, before the steps that are left. They count only when the request is kept for them
    /// ([`super::RequestState::recurses`]), nobody has answered, and the caller has not given up.
    pub more: Steps,
    /// Whether such targets count.
    pub may_add: bool,
    /// What comes after them, in the place of what would come.
    pub(super) onward: Option<Option<Box<Onward>>>,
    /// Configuration and stores.
    pub server: &'a Server,
    /// The stack.
    pub stack: &'a mut TuContext<'c>,
}

impl ResponseView<'_, '_> {
    /// Adds what an address leads to, and what comes when nobody there takes the call.
    pub(crate) fn go_on_with(&mut self, resolved: Resolved) {
        self.more = resolved.steps;
        self.onward = Some(resolved.onward);
    }
}
