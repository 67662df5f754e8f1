//! Responses, and what stands for those that do not come (RFC 3261 §16.7, §16.9).

use super::best::Best;
use super::response_context::{Branch, Role};
use super::{ACK_WAIT, Accepted, Proxy, ResponseView, Steps};
use crate::forwarding::Onward;
use crate::location::By;
use crate::processors::ResponseResult;
use crate::registrar;
use stack::header::h;
use stack::message::Message;
use stack::transport::TransportError;
use stack::tu::{ClientTransaction, NoResponse, TuContext};

impl Proxy {
    /// §16.7: the response comes with our Via on top, which is taken off.
    pub(super) fn on_response(&mut self, client: ClientTransaction, mut msg: Box<Message>, stack: &mut TuContext<'_>) {
        let Some(code) = msg.status() else { return };
        if self.is_own(client, code, Some(&msg), stack) {
            return;
        }
        msg.pop_front(h::VIAS);
        if !msg.exists(h::VIAS) {
            tracing::debug!(code, "response without a Via of its sender");
            // Nobody is waiting for it; for its context it counts as a bad gateway's.
            return if code >= 200 {
                self.end_branch(client, Best::Local(502), stack)
            };
        }
        let Some(&slot) = self.branches.get(&client) else {
            return self.on_late_success(client, code, msg, stack);
        };
        if code < 300 {
            self.look_at(slot, client, code, (Some(&mut msg), false), stack);
        }
        match code {
            ..=199 => self.on_provisional(slot, client, code, msg, stack),
            200..=299 => self.on_success(slot, client, msg, stack),
            // RFC 5626 §7: only this says that it is the flow, and not the device.
            430 if self.try_next_flow(client, true, stack) => {}
            _ => match self.look_at(slot, client, code, (Some(&mut msg), false), stack) {
                Outcome::Counts(code) if Some(code) != msg.status() => {
                    self.end_branch(client, Best::Local(code), stack)
                }
                Outcome::Counts(_) => self.end_branch(client, Best::Received(msg), stack),
                Outcome::Recursed => self.replace_branch(slot, client, stack),
            },
        }
    }

    /// A 2xx whose context has ended.
    fn on_late_success(
        &mut self,
        client: ClientTransaction,
        code: u16,
        mut msg: Box<Message>,
        stack: &mut TuContext<'_>,
    ) {
        let (Some(accepted), 200..=299) = (self.accepted.get_mut(&client), code) else { return };
        if let (Some(told), Some(accounting)) = (&mut accepted.told, self.server.accounting()) {
            told.again(code, &msg, accounting, stack.now());
        }
        if let Some(call) = &accepted.call {
            self.server.compositor().call_stands(call, &msg, stack.now());
        }
        if let Some(upstream) = &accepted.upstream {
            let (target, more) = (accepted.target.as_deref(), Steps::new());
            let response = Some(&mut *msg);
            run(&mut ResponseView {
                code,
                response,
                ours: false,
                target,
                noted: true,
                aor: "",
                upstream,
                request: None,
                tried: &[],
                more,
                may_add: false,
                onward: None,
                server: &self.server,
                stack,
            });
        }
        self.acks_until = Some(stack.now() + ACK_WAIT);
        stack.respond(accepted.server, msg);
    }

    /// Whether a response, or what stands for it, is to a request of an agent.
    fn is_own(
        &mut self,
        client: ClientTransaction,
        code: u16,
        msg: Option<&Message>,
        stack: &mut TuContext<'_>,
    ) -> bool {
        if self.own.is_empty() {
            return false;
        }
        let Some(&index) = self.own.get(&client) else { return false };
        if code >= 200 {
            self.own.remove(&client);
            self.with_agent(index, stack, |agent, context| agent.on_response(client, code, msg, context));
        }
        true
    }

    /// Shows a response to the response chain, if the request is watched; says what it counts as.
    fn look_at(
        &mut self,
        slot: usize,
        client: ClientTransaction,
        code: u16,
        (response, ours): (Option<&mut Message>, bool),
        stack: &mut TuContext<'_>,
    ) -> Outcome {
        let Some(context) = self.contexts.get_mut(slot) else { return Outcome::Counts(code) };
        let Some(upstream) = &context.upstream else { return Outcome::Counts(code) };
        let branch = context.branches.iter().find(|branch| branch.client == client);
        // Whoever was given up leads nowhere any more.
        let open = !context.closed && !context.answered && branch.is_none_or(|branch| branch.role != Role::GivenUp);
        let mut rest = context.rest.as_mut().filter(|rest| rest.recurses && open);
        let target = branch.and_then(|branch| branch.target.as_deref());
        let kept = rest.as_deref().map(|rest| &**rest);
        let mut view = ResponseView {
            code,
            response,
            ours,
            target,
            noted: branch.is_some_and(|branch| branch.noted),
            aor: kept.map_or("", |kept| target.map_or(&kept.aor, |target| kept.aor_of(target))),
            upstream,
            request: kept.map(|kept| &*kept.request),
            tried: kept.map_or(&[], |kept| &kept.tried),
            more: Steps::new(),
            may_add: kept.is_some_and(|kept| kept.room > 0),
            onward: None,
            server: &self.server,
            stack,
        };
        let result = run(&mut view);
        let (mut more, onward) = (std::mem::take(&mut view.more), view.onward.take());
        // Where a trunk redirects a diverted call, it is as diverted as before, and nobody's contact.
        if let Some(retarget) = target.and_then(|target| target.retarget.as_ref()) {
            for target in more.iter_mut().flat_map(|step| step.targets.iter_mut()) {
                target.retarget.get_or_insert_with(|| retarget.clone());
            }
        }
        let added = rest.as_mut().is_some_and(|rest| rest.add(more));
        if let (Some(rest), Some(onward), true) = (rest, onward, added) {
            let patience = onward.as_deref().and_then(Onward::patience);
            rest.onward = onward;
            self.time_stage(slot, patience, stack);
        }
        match result {
            ResponseResult::Continue => Outcome::Counts(code),
            ResponseResult::CountAs(code) => Outcome::Counts(code),
            ResponseResult::Recurse if added => Outcome::Recursed,
            ResponseResult::Recurse => Outcome::Counts(code),
        }
    }

    /// A branch has ended, and others are tried in its place.
    fn replace_branch(&mut self, slot: usize, client: ClientTransaction, stack: &mut TuContext<'_>) {
        self.branches.remove(&client);
        if let Some(context) = self.contexts.get_mut(slot) {
            context.remove(client);
        }
        self.settle(slot, stack);
    }

    /// A branch has ended without a response, which counts as this status.
    pub(super) fn failed(&mut self, client: ClientTransaction, code: u16, stack: &mut TuContext<'_>) {
        self.failed_here(client, code, false, stack);
    }

    /// The same; whether it never went out, for a reason of ours.
    fn failed_here(&mut self, client: ClientTransaction, code: u16, ours: bool, stack: &mut TuContext<'_>) {
        let Some(&slot) = self.branches.get(&client) else { return };
        match self.look_at(slot, client, code, (None, ours), stack) {
            Outcome::Counts(code) => self.end_branch(client, Best::Local(code), stack),
            Outcome::Recursed => self.replace_branch(slot, client, stack),
        }
    }

    /// Nothing was heard of a target for as long as it may be silent: it counts as one that cannot be reached, and is given
    /// up. A 2xx of it that comes late still counts.
    pub(super) fn on_silent(&mut self, client: ClientTransaction, stack: &mut TuContext<'_>) {
        let Some(&slot) = self.branches.get(&client) else { return };
        // A node that is gone is no reason to say that the device did not answer; another way to it may be left.
        let by_node = |branch: &Branch| matches!(&branch.fallback, Some(it) if matches!(it.flow.by, By::Node(_)));
        let status = if self.branch(client).is_some_and(|branch| by_node(branch)) { 480 } else { 408 };
        let outcome = self.look_at(slot, client, status, (None, false), stack);
        let Some(context) = self.contexts.get_mut(slot) else { return };
        let invite = context.invite;
        let Some(branch) = context.branch(client) else { return };
        // What becomes of it later is no news of the target.
        branch.noted = true;
        let role = branch.role;
        branch.give_up(invite, stack);
        if let (Outcome::Counts(code), Role::Current | Role::RingsOn) = (outcome, role) {
            context.consider(Best::Local(code), role);
        }
        self.settle(slot, stack);
    }

    /// The flow of a device is dead, or not to be had: the next one gets the request, in the place of the branch that
    /// failed. One that is dead is forgotten. Whether that settles it.
    fn try_next_flow(&mut self, client: ClientTransaction, dead: bool, stack: &mut TuContext<'_>) -> bool {
        let Some(&slot) = self.branches.get(&client) else { return false };
        let Some(context) = self.contexts.get_mut(slot) else { return false };
        let Some(branch) = context.branch(client) else { return false };
        let role = branch.role;
        let Some(fallback) = branch.fallback.take() else { return false };
        if dead {
            tracing::debug!(aor = fallback.aor, contact = &*fallback.flow.uri, "flow failed");
            self.server.forget(&fallback.aor, &fallback.flow, stack.now());
        }
        // A device that was given up is not called by another way.
        match fallback.next.filter(|_| !context.closed && !context.answered && role == Role::Current) {
            Some(next) => {
                context.remove(client);
                self.branches.remove(&client);
                self.begin(slot, next, stack);
            }
            None if dead => self.failed(client, 480, stack),
            None => return false,
        }
        true
    }

    fn on_provisional(
        &mut self,
        slot: usize,
        client: ClientTransaction,
        code: u16,
        msg: Box<Message>,
        stack: &mut TuContext<'_>,
    ) {
        let timer_c = stack.now() + self.c;
        let Some(context) = self.contexts.get_mut(slot) else { return };
        if let Some(branch) = context.branch(client) {
            branch.proceeding = true;
            // Step 2: each but 100 sets Timer C back.
            if code > 100 {
                branch.timer_c = timer_c;
            }
        }
        // Step 5; RFC 4320 §4.1 allows a non-INVITE client nothing but the 100 that the stack sends.
        if code > 100 && context.invite && !context.answered {
            if let Some(call) = &context.call {
                self.server.compositor().call_rings(call, stack.now());
            }
            stack.respond(context.server, msg);
        }
    }

    /// Steps 5 and 10: a 2xx is forwarded at once, and ends the other branches.
    fn on_success(&mut self, slot: usize, client: ClientTransaction, mut msg: Box<Message>, stack: &mut TuContext<'_>) {
        self.branches.remove(&client);
        let Some(context) = self.contexts.get_mut(slot) else { return };
        let target = context.branch(client).and_then(|branch| branch.target.take());
        context.remove(client);
        if let Some(call) = &context.call {
            self.server.compositor().call_stands(call, &msg, stack.now());
        }
        let told = match (&mut context.tracked, self.server.accounting()) {
            (Some(tracked), Some(accounting)) => {
                tracked.success((&msg, context.answered), target.as_deref(), accounting, stack.now())
            }
            _ => None,
        };
        if context.invite {
            let (upstream, call) = (context.upstream.clone(), context.call.clone());
            self.accepted.insert(client, Accepted { server: context.server, upstream, target, told, call });
            self.acks_until = Some(stack.now() + ACK_WAIT);
        }
        if let Some(flow) = context.device.take() {
            let timer = self.server.config().registrar.flow_timer;
            registrar::keep_alives_through(&mut msg, &flow, timer, stack);
        }
        if context.counted && !context.answered {
            self.server.counters(self.shard).answered.inc();
        }
        if context.invite || !context.answered {
            stack.respond(context.server, msg);
        }
        context.answered = true;
        context.close(Some("SIP;cause=200;text=\"Call completed elsewhere\""), stack);
        self.settle(slot, stack);
    }

    /// A branch has ended without success.
    fn end_branch(&mut self, client: ClientTransaction, outcome: Best, stack: &mut TuContext<'_>) {
        let Some(slot) = self.branches.remove(&client) else { return };
        let Some(context) = self.contexts.get_mut(slot) else { return };
        let branch = context.branch(client);
        let (role, target) = branch.map_or((Role::GivenUp, None), |branch| (branch.role, branch.target.take()));
        context.remove(client);
        if let Some(tracked) = &mut context.tracked {
            tracked.went_to(target.as_deref());
        }
        // Of who was given up only a 2xx means something.
        let global = outcome.code() >= 600 && role != Role::GivenUp;
        if role != Role::GivenUp {
            context.consider(outcome, role);
        }
        if global {
            context.close(None, stack);
        }
        self.settle(slot, stack);
    }

    /// When nothing is waited for: the next step, or the answer; when no branch is left, the end.
    pub(super) fn settle(&mut self, slot: usize, stack: &mut TuContext<'_>) {
        let Some(context) = self.contexts.get_mut(slot) else { return };
        if context.is_waiting() {
            return;
        }
        if !context.answered {
            if let Some(rest) = context.take_next() {
                if rest.fits() {
                    return self.start(slot, *rest, stack);
                }
                context.best.consider(Best::Local(440));
            }
            if context.branches.iter().any(|branch| branch.role == Role::RingsOn) {
                return;
            }
            if let Some(rest) = context.take_onward(&self.server, stack) {
                if rest.fits() {
                    return self.start_stage(slot, *rest, stack);
                }
                context.best.consider(Best::Local(440));
            }
            if let Some(call) = context.call.take() {
                self.server.compositor().call_failed(&call, stack.now());
            }
            let (code, cancelled) = (context.final_code(), context.cancelled);
            if context.counted {
                self.server.counters(self.shard).ended_with(code, cancelled);
            }
            if let (Some(tracked), Some(accounting)) = (&mut context.tracked, self.server.accounting()) {
                tracked.failure((code, &context.best, cancelled), accounting, stack.now());
            }
            context.answer(stack);
            if context.is_waiting() {
                return;
            }
        }
        let (server, invite) = (context.server, context.invite);
        for branch in &context.branches {
            self.branches.remove(&branch.client);
        }
        if invite {
            self.invites.remove(&server);
        }
        self.contexts.remove(slot);
    }

    pub(super) fn on_no_response(&mut self, client: ClientTransaction, reason: NoResponse, stack: &mut TuContext<'_>) {
        tracing::debug!(?client, %reason, "no response");
        if self.is_own(client, reason.status(), None, stack) {
            return;
        }
        let Some(branch) = self.branch(client) else { return };
        let (if_lost, by) = (branch.if_lost, branch.fallback.as_ref().map(|fallback| &fallback.flow.by));
        // Where a Path begins may be away for a moment, or the way there; what names a connection ends with it.
        let (dead, next) = match by {
            Some(By::Flow(_)) if reason.is_dead_flow() => (true, true),
            Some(By::Flow(_)) => (false, reason == NoResponse::Transport(TransportError::Unreachable)),
            Some(By::Path(_) | By::Node(_)) => (false, reason != NoResponse::Timeout),
            Some(By::Uri) | None => (false, false),
        };
        if next && self.try_next_flow(client, dead, stack) {
            return;
        }
        // Who is told 430 forgets the flow (RFC 5626 §5.3.1): our own trouble is no reason for that.
        let lost = matches!(reason, NoResponse::Transport(_)) && (if_lost != 430 || reason.is_dead_flow());
        let ours = matches!(
            reason,
            NoResponse::Transport(TransportError::TooLarge | TransportError::Congested | TransportError::NoTransport)
        );
        let code = match reason {
            // Another way would not make it smaller.
            NoResponse::Transport(TransportError::TooLarge) => 513,
            _ if lost => if_lost,
            _ => reason.status(),
        };
        self.failed_here(client, code, ours, stack);
    }
}

/// What a failure of a branch comes to.
enum Outcome {
    Counts(u16),
    /// Others are tried in its place.
    Recursed,
}

/// Gives a response to the response chain.
fn run(view: &mut ResponseView<'_, '_>) -> ResponseResult {
    let server = view.server;
    for processor in server.chains().response.iter() {
        let result = processor.process(view);
        if result != ResponseResult::Continue {
            tracing::trace!(processor = processor.name(), code = view.code, ?result, "response");
            return result;
        }
    }
    ResponseResult::Continue
}
