//! Redirections (3xx) that the proxy follows itself (RFC 3261 §16.7 step 4).

use super::{Processor, ProcessorResult, ResponseProcessor, ResponseResult};
use crate::config::Fork;
use crate::forwarding::{Chain, Diversion, DiversionReason, Resolved, Resolver, at_once};
use crate::location::is_sips;
use crate::proxy::{RequestContext, ResponseView, Step, Steps, Verb};
use stack::header::{Contact, h, p};
use stack::message::Message;
use stack::uri::Uri;
use std::sync::Arc;

/// The most contacts of a 3xx that are looked at.
const MOST_CONTACTS: usize = 16;

/// With `forwarding.follow_redirects` it goes on with a request where a 3xx says, in the name of who redirected it: a user
/// of ours, or a trusted peer. The 3xx of a stranger goes back to the caller, who may follow it at his own risk: else
/// whoever is called could have us call anywhere, and at a user's expense. What a 3xx leads to counts as a diversion of who
/// redirected. A URI that was tried is not tried again, and what was sent to a sips URI goes to no sip URI.
pub(super) struct RecursiveRedirect;

impl Processor for RecursiveRedirect {
    fn name(&self) -> &'static str {
        "recursive-redirect"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let follows = context.server.config().forwarding.follow_redirects;
        if follows && context.is_initial() && !matches!(context.verb, Verb::Ack | Verb::Register) {
            (context.watched, context.recurses) = (true, true);
        }
        ProcessorResult::Continue
    }
}

impl ResponseProcessor for RecursiveRedirect {
    fn name(&self) -> &'static str {
        "recursive-redirect"
    }

    fn process(&self, view: &mut ResponseView<'_, '_>) -> ResponseResult {
        if !matches!(view.code, 300..=399) || !view.server.config().forwarding.follow_redirects || !view.may_add {
            return ResponseResult::Continue;
        }
        let (Some(response), Some(request)) = (view.response.as_deref(), view.request) else {
            return ResponseResult::Continue;
        };
        let target_uri: Arc<str> = match view.target {
            Some(target) => target.contact.uri.clone(),
            None => String::from_utf8_lossy(request.request_uri_text()).into(),
        };
        let by: Arc<str> = match view.aor {
            "" if is_peer(view, response) => target_uri.clone(),
            "" => return ResponseResult::Continue,
            aor => format!("sip:{aor}").into(),
        };
        let (secure, draw) = (request.is_sips() || is_sips(&target_uri), view.stack.rng().next_u64());
        let resolver = Resolver {
            server: view.server,
            transports: view.stack.transports(),
            now: view.stack.now(),
            request,
            secure,
            draw,
        };
        let chain = match view.target.and_then(|target| target.retarget.as_deref()) {
            Some(retarget) => Chain::of(retarget),
            None => Chain::new(request.request_uri_text()),
        };
        let contacts = contacts(response, view.tried);
        match follow(&resolver, &by, view.code, &chain, &contacts) {
            Ok(Some(resolved)) => {
                view.go_on_with(resolved);
                ResponseResult::Recurse
            }
            Ok(None) => ResponseResult::Continue,
            Err(code) => ResponseResult::CountAs(code),
        }
    }
}

/// Whether a response came from somebody who may send requests anywhere himself.
fn is_peer(view: &ResponseView<'_, '_>, response: &Message) -> bool {
    let (server, source) = (view.server, response.source());
    let open = server.is_open() && server.auth().is_none();
    open || source.is_some_and(|source| server.trust(&source.flow, view.stack.transports()).relay)
}

/// The URIs of a 3xx that may be tried, with their preference in thousandths, the most preferred first.
pub(super) fn contacts(response: &Message, tried: &[Arc<str>]) -> Vec<(u16, Arc<str>)> {
    let mut contacts: Vec<(u16, Arc<str>)> = Vec::new();
    for contact in response.header(h::CONTACTS).flatten().filter_map(Contact::into_addr).take(MOST_CONTACTS) {
        let q = contact.param(p::Q).map_or(1000, |q| q.thousandths());
        let uri = match contact.uri {
            // What the URI wants to be written into headers is the redirecting party's, in a request that is the caller's.
            Uri::Sip(sip) => Uri::Sip(sip.into_request_uri()),
            Uri::Tel(tel) => Uri::Tel(tel),
            Uri::Other(_) => continue,
        };
        let known = |other: &Arc<str>| Uri::parse(other).is_ok_and(|other| other.equivalent(&uri));
        if !tried.iter().any(known) && !contacts.iter().any(|(_, other)| known(other)) {
            contacts.push((q, uri.to_string().into()));
        }
    }
    contacts.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    contacts
}

/// What contacts lead to; `None`: nowhere. What comes after a user who does not answer is known when there is only one.
fn follow(
    resolver: &Resolver<'_>,
    by: &Arc<str>,
    code: u16,
    chain: &Chain,
    contacts: &[(u16, Arc<str>)],
) -> Result<Option<Resolved>, u16> {
    let forking = &resolver.server.config().forking;
    let (mut steps, mut last, mut refused) = (Steps::new(), None, None);
    for (q, uri) in contacts {
        let mut chain = chain.clone();
        let turn = Diversion { by: by.clone(), reason: DiversionReason::Deflection, cause: code, to: uri.clone() };
        let resolved = resolver.divert(&mut chain, turn).and_then(|()| resolver.resolve(uri, chain));
        let Resolved { steps: found, onward } = match resolved {
            Ok(resolved) => resolved,
            Err(482) => {
                refused = Some(482);
                continue;
            }
            Err(_) => continue,
        };
        if contacts.len() == 1 {
            return Ok(Some(Resolved { steps: found, onward }));
        }
        let joins = match forking.fork {
            Fork::EqualQParallel => last == Some(q),
            Fork::Parallel => last.is_some(),
            Fork::Sequential => false,
        };
        last = Some(q);
        let targets = at_once(found);
        match steps.last_mut() {
            Some(step) if joins => step.targets.extend(targets),
            _ => steps.push(Step { targets: targets.collect(), ..Step::default() }),
        }
    }
    let others = steps.len().saturating_sub(1);
    for step in steps.iter_mut().take(others) {
        (step.timeout, step.rings_on) = (forking.step_timeout(), !forking.cancel_between_steps);
    }
    match (steps.is_empty(), refused) {
        (false, _) => Ok(Some(Resolved { steps, onward: None })),
        (true, Some(code)) => Err(code),
        (true, None) => Ok(None),
    }
}
