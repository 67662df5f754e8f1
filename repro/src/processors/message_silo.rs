//! Keeps messages for users who are not there (reSIProcate's `MessageSilo`), with `[silo]`.

use super::location_server::look_up;
use super::{Processor, ProcessorResult};
use crate::proxy::{RequestContext, aor_key};
use crate::registrar::RETRY_AFTER;
use crate::store::Journal;
use bytes::Bytes;
use stack::header::{Date, Method, NameAddr, Params, h};
use stack::message::Message;
use stack::transport::source_of;
use stack::uri::Uri;

/// What is kept of a message besides From, To, Date and its body.
const KEPT: [&str; 7] =
    ["Content-Encoding", "Content-Disposition", "Content-Language", "Subject", "In-Reply-To", "Priority", "Reply-To"];

/// Most octets of what is kept beside the body.
const MOST_LINES: usize = 4096;

/// Keeps a MESSAGE out of any dialog for a user of ours who has no contact. Who may send to the user was decided before;
/// whoever is no user, and has never registered, gets nothing kept, so that nobody fills the silo with strangers.
pub(super) struct MessageSilo;

impl Processor for MessageSilo {
    fn name(&self) -> &'static str {
        "message-silo"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let server = context.server;
        let Some(silo) = server.silo() else { return ProcessorResult::Continue };
        if !matches!(context.request.method(), Some(Method::Message)) || !context.uri.ours || !context.wants_targets() {
            return ProcessorResult::Continue;
        }
        let now = context.stack.now();
        let aor = match context.request.request_uri() {
            Ok(Uri::Sip(sip)) if sip.user.is_some() && !sip.params.contains("gr") => aor_key(sip),
            _ => return ProcessorResult::Continue,
        };
        match look_up(server, &aor, now) {
            Some(found) if found.is_empty() => {}
            _ => return ProcessorResult::Continue,
        }
        let media_type = context.request.header(h::CONTENT_TYPE).ok();
        if media_type.is_some_and(|own| silo.config().drop.iter().any(|name| is_type(&own.main, &own.sub, name))) {
            return context.respond(200);
        }
        let wish = context.request.header(h::EXPIRES).ok().map(|expires| u64::from(expires.0));
        let expires = silo.config().expires().min(std::time::Duration::from_secs(wish.unwrap_or(u64::MAX)));
        if expires.is_zero() {
            return ProcessorResult::Continue;
        }
        if context.request.body().len() > silo.config().max_body {
            return context.respond(413);
        }
        let Some(text) = text(&context.request, server.unix_seconds(now)) else { return context.respond(400) };
        if text.len() > context.request.body().len() + MOST_LINES {
            return context.respond(513);
        }
        // Before it is kept: who is refused may send it again.
        if let Err(error) = server.journal().map_or(Ok(()), Journal::reserve) {
            tracing::debug!(%error, "a message is not kept");
            return context.respond_with(503, |response| response.append_line("Retry-After", RETRY_AFTER));
        }
        match silo.keep(&aor, &sender(context), text, now + expires, now) {
            Ok(()) => context.respond_when_kept(&aor, 202),
            Err(full) => {
                tracing::debug!(%full, "a message is not kept");
                server.journal().into_iter().for_each(|journal| journal.release(1));
                ProcessorResult::Continue
            }
        }
    }
}

/// In whose share a message counts: of the user who has shown to be its sender; of whom From names, if it comes from who is
/// trusted; else of the address that it comes from, since anybody can write a From.
fn sender(context: &RequestContext<'_, '_>) -> String {
    if let Some(user) = &context.user {
        return user.to_string();
    }
    let from = context.request.header(h::FROM).ok().filter(|_| context.trust.listed);
    match (from, context.request.source()) {
        (Some(from), _) => from.uri.aor_key(),
        (None, Some(source)) => source_of(source.flow.peer.ip()).to_string(),
        (None, None) => String::new(),
    }
}

/// Whether a body's type is this one.
fn is_type(main: &str, sub: &str, name: &str) -> bool {
    name.split_once('/').is_some_and(|(m, s)| m.eq_ignore_ascii_case(main) && s.eq_ignore_ascii_case(sub))
}

/// The message as it is kept: without what belongs to its transaction, with the Date of its arrival if it has none.
fn text(request: &Message, unix_seconds: Option<u64>) -> Option<Bytes> {
    let bare = |address: NameAddr<'_>| NameAddr { params: Params::none(), ..address }.to_string();
    let uri = std::str::from_utf8(request.request_uri_text()).ok()?;
    let mut kept = Message::request(&Method::Message, uri);
    kept.set(h::FROM, &bare(request.header(h::FROM).ok()?));
    kept.set(h::TO, &bare(request.header(h::TO).ok()?));
    match (request.header(h::DATE), unix_seconds) {
        (Ok(date), _) => kept.set(h::DATE, &date),
        (Err(_), Some(seconds)) => kept.set(h::DATE, &Date::from_unix(seconds)),
        (Err(_), None) => {}
    }
    for name in KEPT {
        for value in request.raw_values(name).filter_map(|value| std::str::from_utf8(value).ok()) {
            kept.append_line(name, value);
        }
    }
    let media_type = request.header(h::CONTENT_TYPE).ok().map(|media_type| media_type.to_string());
    kept.set_body(media_type.as_deref(), request.body().to_vec());
    Some(kept.to_bytes())
}
