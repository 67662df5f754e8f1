//! What a target hears of who a request is from (RFC 3325 §5 and §7, RFC 3323 §5).

use super::peer::peer_of;
use super::{TargetProcessor, TargetResult};
use crate::peers::identity::{unassert, wants_privacy, wishes};
use crate::proxy::TargetView;
use stack::header::{h, p};
use stack::message::Message;
use stack::selector::{Located, locate};
use stack::tu::NextHop;
use std::net::IpAddr;

/// Whoever says nothing of himself (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// Tells strangers no more than the sender wants. A target whose address is not known before it is searched for is a
/// stranger.
pub(super) struct IdentityOut;

impl TargetProcessor for IdentityOut {
    fn name(&self) -> &'static str {
        "identity-out"
    }

    fn process(&self, view: &mut TargetView<'_, '_>) -> TargetResult {
        if !view.server.config().identity.trust_domain {
            return TargetResult::Continue;
        }
        let peer = peer_of(view);
        let form = peer.and_then(|peer| peer.record.identity);
        if form.is_some() || view.request.exists(h::PRIVACY) || view.request.exists(h::REMOTE_PARTY_IDS) {
            let listed = || address(view).is_some_and(|address| view.server.trusts_address(address));
            let trusted = peer.and_then(|peer| peer.record.trust_domain).unwrap_or_else(listed);
            if !trusted && let Err(code) = keep_back(view.request) {
                return TargetResult::Skip(code);
            }
            if let Some(form) = form {
                form.write(view.request);
            }
        }
        TargetResult::Continue
    }
}

/// Takes out what the sender does not want strangers to know.
///
/// # Errors
/// The status of a request that must not go out with what is left in it.
fn keep_back(request: &mut Message) -> Result<(), u16> {
    let wish = |kind: &str| wishes(request, kind);
    // RFC 3323 §5: Via, Contact and Route are needed here, and a session is not ours to hide.
    if wish("critical") && (wish("header") || wish("session")) {
        return Err(500);
    }
    if wants_privacy(request) {
        unassert(request);
    }
    if wishes(request, "user") {
        hide(request);
    }
    Ok(())
}

/// Where the request goes, if that is an address.
fn address(view: &TargetView<'_, '_>) -> Option<IpAddr> {
    match view.options.next_hop {
        NextHop::Flow(flow) => Some(flow.peer.ip()),
        NextHop::Address(_, address) => Some(address.ip()),
        next_hop => match locate(view.request, next_hop, None) {
            Ok(Located::At(target)) => Some(target.address.ip()),
            Ok(Located::Name(_) | Located::Number(_)) | Err(_) => None,
        },
    }
}

/// The From goes but for its tag, and what else tells who it is (RFC 3323 §5.3, RFC 5379 §5.1). The responses get the From of the request again.
fn hide(request: &mut Message) {
    let tag = request.header(h::FROM).ok().and_then(|from| from.param(p::TAG).map(str::to_owned));
    let tag = tag.map_or(String::new(), |tag| format!(";tag={tag}"));
    request.set(h::FROM, &format_args!("{ANONYMOUS}{tag}"));
    request.remove(h::SUBJECT);
    request.remove(h::CALL_INFOS);
    request.remove(h::ORGANIZATION);
    request.remove(h::USER_AGENT);
    request.remove(h::REPLY_TO);
    request.remove(h::IN_REPLY_TOS);
}
