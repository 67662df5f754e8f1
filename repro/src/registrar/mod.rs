//! The registrar (RFC 3261 §10.3).

mod contacts;
mod error;
mod listing;
mod outbound;

pub use error::RegisterError;
pub use outbound::OUTBOUND;

use crate::config;
use crate::location::{Binding, LocationStore, NewBinding, Record};
use contacts::{Wish, kept_params};
use listing::{list, listed, octets};
use outbound::{instance, is_outbound};
use rutil::Time;
use stack::header::{Contact, NameAddr, h, p};
use stack::message::Message;
use stack::selector::{self, Target};
use stack::transport::{Flow, TransportTable};
use std::time::Duration;

/// Most octets of an address-of-record.
const MOST_AOR: usize = 512;
/// Most octets of a Call-ID that a binding keeps.
const MOST_CALL_ID: usize = 256;
/// Most octets of a Contact: its URI, and its parameters without `expires`.
const MOST_CONTACT: usize = 1024;
/// Most octets of the Contact lines in a response: half a datagram, which leaves the other half to what a response
/// repeats of its request.
const MOST_LISTED: usize = 32 * 1024;
/// Most octets of a response that lists contacts: the payload of a datagram over IPv4.
const MOST_RESPONSE: usize = 65_507;

/// What a REGISTER is carried out with.
#[derive(Clone, Copy, Debug)]
pub struct Registrar<'a> {
    /// The bindings.
    pub store: &'a LocationStore,
    /// What is granted.
    pub rules: &'a config::Registrar,
    /// The transports that requests to contacts leave by.
    pub transports: &'a TransportTable,
}

impl Registrar<'_> {
    /// Carries out a REGISTER for an address-of-record, and makes the response: all that it asks, or nothing.
    pub fn register(&self, aor: &str, request: &Message, to_tag: &str, now: Time) -> Message {
        let mut response = request.make_response(200, None, Some(to_tag));
        let room = MOST_RESPONSE.saturating_sub(response.to_bytes().len());
        let error = match self.apply(aor, request, room, now) {
            Ok(bindings) => {
                list(&mut response, &bindings, now);
                let of_flow =
                    |c: Result<Contact<'_>, _>| matches!(c, Ok(Contact::Addr(addr)) if instance(&addr).is_some());
                if is_outbound(request) && request.header(h::CONTACTS).any(of_flow) {
                    response.append_line("Require", OUTBOUND);
                }
                return response;
            }
            Err(error) => error,
        };
        tracing::debug!(aor, %error, "REGISTER refused");
        let mut response = request.make_response(error.status(), error.reason().as_deref(), Some(to_tag));
        match error {
            RegisterError::TooBrief(least) => response.append_line("Min-Expires", &least.to_string()),
            RegisterError::Full(_) => response.append_line("Retry-After", "60"),
            _ => {}
        }
        response
    }

    /// The bindings afterwards, which are no longer than `room` when they are listed.
    fn apply(&self, aor: &str, request: &Message, room: usize, now: Time) -> Result<Record, RegisterError> {
        let (call_id, cseq) = (request.header(h::CALL_ID)?, request.header(h::CSEQ)?.number);
        if aor.len() > MOST_AOR {
            return Err(RegisterError::TooLong("Address-of-record"));
        }
        if call_id.as_str().len() > MOST_CALL_ID {
            return Err(RegisterError::TooLong("Call-ID"));
        }
        let flow = request.source().map(|source| source.flow);
        let outbound = is_outbound(request);
        let instance = |contact: &NameAddr<'_>| outbound.then(|| instance(contact)).flatten();
        match self.wish(request)? {
            Wish::Query => {
                let bindings = self.store.bindings(aor, now);
                if listed(&bindings) <= room { Ok(bindings) } else { Err(RegisterError::NoRoom) }
            }
            Wish::RemoveAll => self.store.update(aor, now, |bindings| {
                in_order(bindings.iter(), call_id.as_str(), cseq)?;
                bindings.clear();
                Ok(())
            }),
            Wish::Contacts(contacts) => self.store.update(aor, now, |bindings| {
                // All are checked against what was there before: of two equal contacts in one request the last holds.
                for (contact, _) in &contacts {
                    let own = instance(contact);
                    let own = own.as_ref().map(|(device, flow)| (&**device, *flow));
                    let replaced = bindings.iter().filter(|binding| binding.is_replaced_by(&contact.uri, own));
                    in_order(replaced, call_id.as_str(), cseq)?;
                }
                for (contact, expires) in &contacts {
                    let own = instance(contact);
                    let own = own.as_ref().map(|(device, flow)| (&**device, *flow));
                    change(bindings, (contact, own), *expires, (call_id.as_str(), cseq), flow, now);
                }
                self.within_bounds(bindings, room)
            }),
        }
    }

    /// What is kept for one address-of-record is bounded in number and in octets, and can be listed.
    fn within_bounds(&self, bindings: &[Binding], room: usize) -> Result<(), RegisterError> {
        if bindings.iter().any(|binding| octets(binding) > MOST_CONTACT) {
            return Err(RegisterError::TooLong("Contact"));
        }
        let listed = listed(bindings);
        if bindings.len() > self.store.limits().contacts || listed > MOST_LISTED {
            return Err(RegisterError::TooManyContacts);
        }
        if listed <= room { Ok(()) } else { Err(RegisterError::NoRoom) }
    }
}

/// A request with the Call-ID of a binding must come after the request that wrote it.
fn in_order<'b>(
    bindings: impl IntoIterator<Item = &'b Binding>,
    call_id: &str,
    cseq: u32,
) -> Result<(), RegisterError> {
    let late = bindings.into_iter().any(|binding| *binding.call_id == *call_id && cseq <= binding.cseq);
    if late { Err(RegisterError::OutOfOrder) } else { Ok(()) }
}

fn change(
    bindings: &mut Vec<Binding>,
    (contact, instance): (&NameAddr<'_>, Option<(&str, u32)>),
    expires: u32,
    (call_id, cseq): (&str, u32),
    flow: Option<Flow>,
    now: Time,
) {
    let at = bindings.iter().position(|binding| binding.is_replaced_by(&contact.uri, instance));
    if expires == 0 {
        if let Some(at) = at {
            bindings.remove(at);
        }
        return;
    }
    let new = Binding::new(NewBinding {
        uri: &contact.uri,
        params: kept_params(&contact.params).as_ref(),
        q: contact.param(p::Q).map_or(1000, |q| q.thousandths()),
        expires_at: now + Duration::from_secs(expires.into()),
        call_id,
        cseq,
        source: flow.map(|flow| Target { kind: flow.kind, address: flow.peer }),
        flow: flow.filter(|_| instance.is_some() || contact.uri.sip().is_some_and(selector::needs_flow)),
        instance,
        now,
    });
    match at.and_then(|at| bindings.get_mut(at)) {
        Some(old) => *old = new,
        None => bindings.push(new),
    }
}
