//! What concerns a request that goes to a trunk, and what the trunk answers.

use super::recursive_redirect::contacts;
use super::{ResponseProcessor, ResponseResult, TargetProcessor, TargetResult};
use crate::location::{By, Found, Located, is_sips};
use crate::proxy::{ResponseView, TargetView, by_preference};
use crate::routing::cause::{add_cause, cause_in, status_of};
use crate::routing::health::Event;
use crate::routing::trunk::Redirects;
use stack::message::Message;
use stack::uri::Uri;
use std::sync::Arc;

/// Sends nothing to a contact that has gone out of service since it was chosen, but emergency calls, notes that it is
/// tried, and says how long it may be silent.
pub(super) struct ToTrunk;

impl TargetProcessor for ToTrunk {
    fn name(&self) -> &'static str {
        "trunk"
    }

    fn process(&self, view: &mut TargetView<'_, '_>) -> TargetResult {
        let Some(hop) = view.target.as_deref().and_then(|target| target.hop.as_deref()) else {
            return TargetResult::Continue;
        };
        let now = view.stack.now();
        if !hop.emergency && !hop.takes_calls(now) {
            return TargetResult::Skip(503);
        }
        hop.note(Event::Tried, now);
        view.options.silence = hop.silence;
        TargetResult::Continue
    }
}

/// Marks a contact by what it answers, reads and writes causes of the telephone network, and treats a redirection as the
/// trunk's configuration says.
pub(super) struct FromTrunk;

impl ResponseProcessor for FromTrunk {
    fn name(&self) -> &'static str {
        "trunk"
    }

    fn process(&self, view: &mut ResponseView<'_, '_>) -> ResponseResult {
        let Some(hop) = view.target.and_then(|target| target.hop.as_deref()) else {
            return ResponseResult::Continue;
        };
        let record = &hop.trunk.record;
        let mut code = view.code;
        if let Some(response) = view.response.as_deref_mut().filter(|_| record.q850 && code >= 300) {
            code = by_cause(response, code);
        }
        match (code, view.response.is_some()) {
            _ if view.noted => {}
            (_, false) if view.ours => {}
            (503, _) | (_, false) => hop.note(Event::Failed, view.stack.now()),
            // The stack of the trunk has it; whether there is room for it is not said.
            (100, true) => {}
            (_, true) => hop.note(Event::Answered, view.stack.now()),
        }
        match code {
            300..=399 if record.redirects == Redirects::Follow && view.may_add => {
                let follow = |response: &Message| redirected_to(response, view.tried, is_sips(&hop.uri));
                let found = view.response.as_deref().map(follow).unwrap_or_default();
                if found.is_empty() {
                    return ResponseResult::CountAs(REFUSED);
                }
                view.more = by_preference(found, &view.server.config().forking);
                ResponseResult::Recurse
            }
            300..=399 => ResponseResult::CountAs(REFUSED),
            code if code != view.code => ResponseResult::CountAs(code),
            _ => ResponseResult::Continue,
        }
    }
}

/// What a redirection counts as that is not followed.
const REFUSED: u16 = 403;

/// The status that a failure means: of a 5xx with a cause the cause's, since 503 with *user busy* is no trouble of the
/// trunk. One without a cause gets the one of its status.
fn by_cause(response: &mut Message, code: u16) -> u16 {
    let meant = cause_in(response).filter(|_| (500..600).contains(&code)).and_then(status_of).unwrap_or(code);
    if meant != code {
        response.set_status(meant);
    }
    add_cause(response, meant);
    meant
}

/// Where a trunk sends a call on to: the SIP URIs that were not tried, and after a sips URI no sip URI (RFC 5630 §5.3).
fn redirected_to(response: &Message, tried: &[Arc<str>], secure: bool) -> Found {
    let wanted = |uri: &str| is_sips(uri) || !secure && matches!(Uri::parse(uri), Ok(Uri::Sip(_)));
    let all = contacts(response, tried).into_iter().filter(|(_, uri)| wanted(uri));
    all.map(|(q, uri)| Located { uri, q, by: By::Uri, older: None }).collect()
}
