//! A REGISTER that a registrar answers.
//!
//! ```text
//!   received ──► handler ──accept──► read, change, write ──► 200 with all bindings
//!          \            \──reject──► 3xx to 6xx
//!           \──malformed, too brief, out of order──► 400, 423, 500
//! ```
//!
//! The change is computed twice: to tell the handler what it is about, and when it is accepted. In between others may have
//! been.

use super::bindings::{Kind, RegisterRefusal, apply};
use super::{Binding, Callback, RegistrarLimits, ServerRegistrationHandler};
use crate::asked;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use stack::header::{h, p};
use stack::message::Message;

/// A REGISTER that was received, until it is answered.
#[derive(Debug)]
pub enum ServerRegistration {}

impl Handle<ServerRegistration> {
    /// Does what the REGISTER asks for, and answers with 200 and all bindings; `edit` adds what else it is to say, as
    /// Service-Route. The usage ends.
    ///
    /// # Errors
    /// [`UsageEnded`]: it was answered, or nobody waits for an answer any more.
    pub fn accept(self, dum: &mut Dum<'_>, edit: impl FnOnce(&mut Message)) -> Result<(), UsageEnded> {
        asked::accept(dum, self.cast(), edit)?;
        dum.call_back(Callback::Accepted { registration: self });
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

/// A REGISTER came.
pub(crate) fn request(dum: &mut Dum<'_>, request: Request) {
    let msg = request.msg.clone();
    if let Some(asked) = asked::receive(dum, request) {
        dum.call_back(Callback::Received { registration: asked.cast(), msg });
    }
}

/// The key of the address that a REGISTER is about.
pub(super) fn aor(msg: &Message) -> Option<String> {
    msg.header(h::TO).ok().map(|to| to.uri.aor_key())
}

/// Tells the handler what a REGISTER is about.
pub(super) fn received(
    dum: &mut Dum<'_>,
    handler: &mut dyn ServerRegistrationHandler,
    registration: Handle<ServerRegistration>,
    msg: &Message,
) {
    match planned(dum, handler, msg) {
        Ok((_, kind, _)) => match kind {
            Kind::Query => handler.on_query(dum, registration, msg),
            Kind::Add => handler.on_add(dum, registration, msg),
            Kind::Refresh => handler.on_refresh(dum, registration, msg),
            Kind::Remove => handler.on_remove(dum, registration, msg),
            Kind::RemoveAll => handler.on_remove_all(dum, registration, msg),
        },
        Err(refusal) => refuse(dum, registration, refusal, handler.limits()),
    }
}

fn planned(
    dum: &Dum<'_>,
    handler: &mut dyn ServerRegistrationHandler,
    msg: &Message,
) -> Result<(String, Kind, Vec<Binding>), RegisterRefusal> {
    let (aor, limits, now) = (aor(msg).ok_or(RegisterRefusal::Malformed)?, handler.limits(), dum.now());
    let known = handler.persistence().read(&aor, now);
    let (kind, bindings) = apply(msg, known, &limits, now)?;
    Ok((aor, kind, bindings))
}

fn refuse(
    dum: &mut Dum<'_>,
    registration: Handle<ServerRegistration>,
    refusal: RegisterRefusal,
    limits: RegistrarLimits,
) {
    let least = limits.min_expires.as_secs();
    let _ = registration.reject(dum, refusal.status(), |msg| {
        if refusal == RegisterRefusal::TooBrief {
            msg.set(h::MIN_EXPIRES, &least);
        }
    });
}

/// The handler accepts: the change is made.
pub(super) fn accepted(
    dum: &mut Dum<'_>,
    handler: &mut dyn ServerRegistrationHandler,
    registration: Handle<ServerRegistration>,
) {
    let Some((msg, mut response)) = asked::take(dum, registration.cast()) else { return };
    let now = dum.now();
    let written = planned(dum, handler, &msg).map_err(Some).and_then(|(aor, kind, bindings)| {
        let change = kind != Kind::Query;
        let result = if change { handler.persistence().write(&aor, bindings.clone(), now) } else { Ok(()) };
        result.map(|()| bindings).map_err(|_| None)
    });
    match written {
        Ok(bindings) => {
            for binding in &bindings {
                let left = binding.expires.since(now).as_millis().div_ceil(1000);
                response.push_back(h::CONTACTS, &binding.contact.clone().with(p::EXPIRES, left));
            }
            // RFC 3327 §5.3, RFC 5626 §6.
            for path in msg.header(h::PATHS).flatten().take(crate::MAX_ROUTES) {
                response.push_back(h::PATHS, &path);
            }
            if bindings.iter().any(|binding| binding.device.is_some() && is_of(binding, &msg)) {
                response.push_back(h::REQUIRES, "outbound");
            }
            asked::answer(dum, registration.cast(), response);
        }
        Err(Some(refusal)) => refuse(dum, registration, refusal, handler.limits()),
        Err(None) => drop(asked::respond(dum, registration.cast(), 503, |dum, _, response| dum.come_later(response))),
    }
}

/// Whether a binding was made by this REGISTER.
fn is_of(binding: &Binding, msg: &Message) -> bool {
    msg.header(h::CSEQ).is_ok_and(|cseq| cseq.number == binding.cseq)
        && msg.header(h::CALL_ID).is_ok_and(|id| id.as_str() == binding.call_id)
}
