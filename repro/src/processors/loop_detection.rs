//! Loop detection (RFC 5393 §4.2): a request that comes back unchanged is refused, one that comes back with another
//! target is a spiral and goes on.

use super::{Processor, ProcessorResult};
use crate::proxy::RequestContext;
use memchr::memchr_iter;
use stack::header::{HeaderId, h};
use stack::message::Message;
use stack::transaction::loop_hash;
use std::hash::{BuildHasher, Hash, Hasher};

/// What decides where a request goes, besides the Request-URI; and what tells requests apart.
fn is_hashed(id: HeaderId) -> bool {
    matches!(
        id,
        HeaderId::ROUTE
            | HeaderId::FROM
            | HeaderId::TO
            | HeaderId::CALL_ID
            | HeaderId::CSEQ
            | HeaderId::PROXY_REQUIRE
            | HeaderId::PROXY_AUTHORIZATION
    )
}

/// Compares the request with what our own Vias in it say they were made for.
pub(super) struct LoopDetection;

impl Processor for LoopDetection {
    fn name(&self) -> &'static str {
        "loop-detection"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let hash = hash(&context.request, context.server.hasher());
        context.loop_hash = hash;
        if is_looped(context, hash) { context.respond(482) } else { ProcessorResult::Continue }
    }
}

/// The hash of what decides over a request's way. With one key for the whole process, any shard finds its own.
fn hash(request: &Message, hasher: &impl BuildHasher) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(request.request_uri_text());
    for (id, value) in request.fields().filter(|(id, _)| is_hashed(*id)) {
        id.hash(&mut state);
        state.write(value);
    }
    state.finish()
}

fn is_looped(context: &RequestContext<'_, '_>, hash: u64) -> bool {
    // Beside a Via of ours there is that of whoever sent it here before.
    let vias = || context.request.fields().filter(|(id, _)| *id == HeaderId::VIA).map(|(_, value)| value);
    if vias().nth(1).is_none() && vias().all(|value| !value.contains(&b',')) {
        return false;
    }
    // Almost no request comes back: look for the text of the hash before any Via is read.
    let mut text = [0; 16];
    for (at, digit) in text.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(hash >> (60 - 4 * at)) as usize & 15];
    }
    // In a branch of ours it stands behind a dot.
    let marked = |value: &[u8]| memchr_iter(b'.', value).any(|dot| value.get(dot + 1..dot + 17) == Some(&text));
    if !vias().any(marked) {
        return false;
    }
    context.request.header(h::VIAS).flatten().any(|via| {
        via.branch().and_then(loop_hash) == Some(hash) && context.stack.transports().is_local(&via.host, via.port)
    })
}
