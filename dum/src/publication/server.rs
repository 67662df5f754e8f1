//! A PUBLISH that an event state compositor answers (RFC 3903 §6).
//!
//! ```text
//!   received ──► handler ──accept──► read, change, write ──► 200 with SIP-ETag and Expires
//!          \            \──reject──► 3xx to 6xx
//!           \──unknown event, entity-tag that is not there, too brief, too large, malformed──► 489, 412, 423, 413, 400
//! ```

use super::store::{Document, NotPublished, Resource};
use super::{Callback, ServerPublicationHandler};
use crate::asked;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use rutil::Time;
use stack::header::h;
use stack::message::Message;
use std::time::Duration;

/// When to come back who finds no room, seconds.
const RETRY_AFTER: &str = "60";

/// A PUBLISH that was received, until it is answered.
#[derive(Debug)]
pub enum ServerPublication {}

/// What a PUBLISH asks for (RFC 3903 §4, table 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Initial,
    Refresh,
    Modify,
    Remove,
}

/// For how long something is published, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicationLimits {
    /// Less is refused with 423: 60 s.
    pub min_expires: Duration,
    /// What a client gets that does not say: an hour.
    pub default_expires: Duration,
    /// What a client gets that asks for more: an hour.
    pub max_expires: Duration,
    /// Octets of a document: 64 KiB. A larger one is refused with 413.
    pub octets: usize,
}

impl Default for PublicationLimits {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        let min_expires = Duration::from_secs(60);
        PublicationLimits { min_expires, default_expires: hour, max_expires: hour, octets: 65_536 }
    }
}

impl Handle<ServerPublication> {
    /// Does what the PUBLISH asks for, and answers with 200; `edit` adds what else it is to say. The usage ends.
    ///
    /// # Errors
    /// [`UsageEnded`]: it was answered, or nobody waits for an answer any more.
    pub fn accept(self, dum: &mut Dum<'_>, edit: impl FnOnce(&mut Message)) -> Result<(), UsageEnded> {
        asked::accept(dum, self.cast(), edit)?;
        dum.call_back(Callback::Accepted { publication: self });
        Ok(())
    }

    /// Answers with a 3xx to 6xx; the usage ends.
    ///
    /// # Errors
    /// [`UsageEnded`]: it was answered, or nobody waits for an answer any more.
    pub fn reject(self, dum: &mut Dum<'_>, status: u16, edit: impl FnOnce(&mut Message)) -> Result<(), UsageEnded> {
        asked::respond(dum, self.cast(), status.clamp(300, 699), |_, _, msg| edit(msg))
    }
}

/// A PUBLISH came.
pub(crate) fn request(dum: &mut Dum<'_>, request: Request) {
    let msg = request.msg.clone();
    if let Some(asked) = asked::receive(dum, request) {
        dum.call_back(Callback::Received { publication: asked.cast(), msg });
    }
}

/// What becomes of the documents.
struct Plan {
    kind: Kind,
    resource: Resource,
    documents: Vec<Document>,
    /// How long the one that was changed lives.
    expires: Duration,
}

/// What a PUBLISH makes of the documents of its resource, or the status that refuses it (RFC 3903 §6 steps 2 to 6). `etag`
/// is that of the new version.
fn plan(dum: &Dum<'_>, handler: &mut dyn ServerPublicationHandler, msg: &Message, etag: &str) -> Result<Plan, u16> {
    let event = msg.header(h::EVENT).map_err(|_| 489u16)?;
    if !dum.core.master.has_event(&event.value) {
        return Err(489);
    }
    let aor = msg.request_uri().map_err(|_| 400u16)?.aor_key();
    let resource = Resource { aor, event: event.value.into_owned() };
    let (limits, now) = (handler.limits(), dum.now());
    let asked = if msg.exists(h::EXPIRES) { msg.header(h::EXPIRES).ok() } else { None };
    let expires = asked.map_or(limits.default_expires, |asked| Duration::from_secs(asked.0.into()));
    let mut documents = handler.persistence().read(&resource, now);
    let old = match msg.exists(h::SIP_IF_MATCH) {
        true => {
            let named = msg.header(h::SIP_IF_MATCH).map_err(|_| 400u16)?.value;
            Some(documents.iter().position(|document| document.etag == *named).ok_or(412u16)?)
        }
        false => None,
    };
    // For no time, and without an entity-tag: nothing is published, as it is wanted. A 423 would have it published.
    if expires.is_zero() {
        old.map(|at| documents.remove(at));
        return Ok(Plan { kind: Kind::Remove, resource, documents, expires });
    }
    if expires < limits.min_expires {
        return Err(423);
    }
    // RFC 3261 §21.4.11.
    if msg.body().len() > limits.octets {
        return Err(413);
    }
    let expires = expires.min(limits.max_expires);
    let kind = change(&mut documents, old, msg, etag, now + expires)?;
    Ok(Plan { kind, resource, documents, expires })
}

fn change(
    documents: &mut Vec<Document>,
    old: Option<usize>,
    msg: &Message,
    etag: &str,
    expires: Time,
) -> Result<Kind, u16> {
    let body = msg.body_bytes();
    let content_type = msg.header(h::CONTENT_TYPE).ok().map(|media| media.to_string());
    let old = old.and_then(|at| documents.get_mut(at));
    let (kind, document) = match (old, content_type.filter(|_| !body.is_empty())) {
        (Some(old), None) => {
            (old.etag, old.expires) = (etag.to_owned(), expires);
            return Ok(Kind::Refresh);
        }
        // §6 step 4: what is published for the first time has a body.
        (None, None) => return Err(400),
        (old, Some(content_type)) => {
            let document = Document { etag: etag.to_owned(), content_type, body: body.to_vec().into(), expires };
            match old {
                Some(old) => {
                    *old = document;
                    return Ok(Kind::Modify);
                }
                None => (Kind::Initial, document),
            }
        }
    };
    documents.push(document);
    Ok(kind)
}

/// Tells the handler what a PUBLISH is about.
pub(super) fn received(
    dum: &mut Dum<'_>,
    handler: &mut dyn ServerPublicationHandler,
    publication: Handle<ServerPublication>,
    msg: &Message,
) {
    match plan(dum, handler, msg, "") {
        Ok(plan) => match plan.kind {
            Kind::Initial => handler.on_initial(dum, publication, msg),
            Kind::Refresh => handler.on_refresh(dum, publication, msg),
            Kind::Modify => handler.on_update(dum, publication, msg),
            Kind::Remove => handler.on_removed(dum, publication, msg),
        },
        Err(status) => refuse(dum, handler, publication, status),
    }
}

fn refuse(
    dum: &mut Dum<'_>,
    handler: &mut dyn ServerPublicationHandler,
    publication: Handle<ServerPublication>,
    status: u16,
) {
    let (least, events) = (handler.limits().min_expires.as_secs(), dum.core.master.allow_events());
    let _ = publication.reject(dum, status, |msg| match (status, events) {
        (423, _) => msg.set(h::MIN_EXPIRES, &least),
        (500, _) => msg.append_line("Retry-After", RETRY_AFTER),
        (489, Some(events)) => msg.push_back(h::ALLOW_EVENTS, &events),
        _ => {}
    });
}

/// The handler accepts: the change is made.
pub(super) fn accepted(
    dum: &mut Dum<'_>,
    handler: &mut dyn ServerPublicationHandler,
    publication: Handle<ServerPublication>,
) {
    let Some((msg, mut response)) = asked::take(dum, publication.cast()) else { return };
    let now = dum.now();
    let etag = dum.rng().token::<16>();
    let written = plan(dum, handler, &msg, etag.as_str()).and_then(|plan| {
        let result = handler.persistence().write(&plan.resource, plan.documents, now);
        result.map(|()| plan.expires).map_err(NotPublished::status)
    });
    match written {
        Ok(expires) => {
            // §6 step 7: a removed one has a tag too, of something that is not there.
            response.set(h::SIP_ETAG, etag.as_str());
            response.set(h::EXPIRES, &expires.as_secs());
            asked::answer(dum, publication.cast(), response);
        }
        Err(status) => refuse(dum, handler, publication, status),
    }
}
