//! What is agreed with a peer: which requests it may send and get, and how they are written.

use super::{Processor, ProcessorResult, ResponseProcessor, ResponseResult, TargetProcessor, TargetResult};
use crate::peers::Peer;
use crate::proxy::{RequestContext, ResponseView, TargetView};
use stack::header::{MaxForwards, Method, h};
use stack::message::Message;
use stack::selector::{Located, locate};
use stack::uri::{Host, Uri};

/// Refuses what a peer may not send, and what others send in its name.
pub(super) struct FromPeer;

impl Processor for FromPeer {
    fn name(&self) -> &'static str {
        "peer"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let peers = &context.server.provisioning().peers;
        if peers.is_empty() {
            return ProcessorResult::Continue;
        }
        let peer = context.request.source().and_then(|source| peers.at(source.flow.peer.ip()));
        let named = context.request.header(h::FROM).ok().and_then(|from| match from.uri {
            Uri::Sip(sip) => match &sip.host {
                Host::Name(name) => peers.with_domain(&Host::Name(name.strip_suffix('.').unwrap_or(name).into())),
                address => peers.with_domain(address),
            },
            _ => None,
        });
        if named.is_some_and(|named| !peer.is_some_and(|peer| std::ptr::eq(peer, named))) {
            return context.respond_reason(403, "Not From There");
        }
        let Some(peer) = peer else { return ProcessorResult::Continue };
        let method = context.request.method();
        let known = !matches!(method, Some(Method::Other(_)) | None);
        if !method.is_some_and(|method| peer.allows(method.as_str())) {
            let allow = peer.allow();
            return context.respond_with(if known { 405 } else { 501 }, |msg| msg.append_line("Allow", &allow));
        }
        let by_stream = context.request.source().is_some_and(|source| source.flow.kind.is_reliable());
        let most = peer.most_octets().filter(|_| by_stream);
        if most.is_some_and(|most| context.request.to_bytes().len() > most as usize) {
            return context.respond(513);
        }
        cap(peer, &mut context.request);
        context.watched |= peer.edits();
        ProcessorResult::Continue
    }
}

/// The request has no more Max-Forwards left than the peer allows.
fn cap(peer: &Peer, request: &mut Message) {
    let most = peer.record.max_forwards;
    if let (Some(most), Ok(MaxForwards(left))) = (most, request.header(h::MAX_FORWARDS))
        && left > most
    {
        request.set_number(h::MAX_FORWARDS, most.into());
    }
}

/// Writes what goes to a peer.
pub(super) struct ToPeer;

/// The peer that a request goes to: that of its trunk, else that of the address of its next hop.
pub(super) fn peer_of<'a>(view: &TargetView<'a, '_>) -> Option<&'a Peer> {
    let peers = &view.server.provisioning().peers;
    if peers.is_empty() {
        return None;
    }
    let hop = view.target.as_deref().and_then(|target| target.hop.as_deref());
    hop.and_then(|hop| peers.of_trunk(&hop.trunk.record.name)).or_else(|| {
        match locate(view.request, view.options.next_hop, None) {
            Ok(Located::At(next)) => peers.at(next.address.ip()),
            _ => None,
        }
    })
}

impl TargetProcessor for ToPeer {
    fn name(&self) -> &'static str {
        "peer"
    }

    fn process(&self, view: &mut TargetView<'_, '_>) -> TargetResult {
        let Some(peer) = peer_of(view) else { return TargetResult::Continue };
        if !view.request.method().is_some_and(|method| peer.allows(method.as_str())) {
            return TargetResult::Skip(405);
        }
        cap(peer, view.request);
        peer.edit(view.request);
        view.options.most_octets = peer.most_octets();
        TargetResult::Continue
    }
}

/// Writes what goes back to a peer.
pub(super) struct BackToPeer;

impl ResponseProcessor for BackToPeer {
    fn name(&self) -> &'static str {
        "peer"
    }

    fn process(&self, view: &mut ResponseView<'_, '_>) -> ResponseResult {
        let peers = &view.server.provisioning().peers;
        let peer = view.upstream.source.and_then(|flow| peers.at(flow.peer.ip()));
        if let (Some(peer), Some(response)) = (peer, view.response.as_deref_mut()) {
            peer.edit(response);
        }
        ResponseResult::Continue
    }
}
