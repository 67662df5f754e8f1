//! The registrar (RFC 3261 §10.3).

use crate::config;
use crate::location::{Binding, LocationStore, NewBinding, StoreFull};
use rutil::Time;
use stack::header::{Contact, HeaderError, NameAddr, Params, h, p};
use stack::message::Message;
use stack::selector::Target;
use std::time::Duration;

/// Most octets of an address-of-record.
const MOST_AOR: usize = 512;
/// Most octets of a Call-ID that a binding keeps.
const MOST_CALL_ID: usize = 256;
/// Most octets of a Contact: its URI, and its parameters without `expires`.
const MOST_CONTACT: usize = 1024;
/// Most octets of the Contact lines in a response, so that it fits into a datagram.
const MOST_LISTED: usize = 32 * 1024;

/// Why a REGISTER changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// A header is malformed.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// A Contact `*` beside others, or without `Expires: 0` (§10.3 step 6).
    #[error("Contact: * must stand alone and with Expires: 0")]
    Wildcard,
    /// Something is longer than a binding keeps.
    #[error("{0} too long")]
    TooLong(&'static str),
    /// A Contact that no request can be sent to.
    #[error("Contact: sip or sips URI expected")]
    Scheme,
    /// A registration shorter than the registrar allows (§10.3 step 7).
    #[error("registration too brief: at least {0} s")]
    TooBrief(u32),
    /// More contacts than one address-of-record may have, or than fit into the response.
    #[error("too many contacts")]
    TooManyContacts,
    /// The request is older than what it would change (§10.3 steps 6 and 7).
    #[error("out of order: its CSeq is not above that of the binding")]
    OutOfOrder,
    /// The store is full.
    #[error(transparent)]
    Full(#[from] StoreFull),
}

impl RegisterError {
    /// The status that says so.
    pub const fn status(&self) -> u16 {
        match self {
            RegisterError::Header(_) | RegisterError::Wildcard | RegisterError::TooLong(_) | RegisterError::Scheme => {
                400
            }
            RegisterError::TooBrief(_) => 423,
            RegisterError::TooManyContacts => 403,
            RegisterError::OutOfOrder => 500,
            RegisterError::Full(_) => 503,
        }
    }
}

/// What a REGISTER wants.
enum Wish<'m> {
    /// No Contact: only to know.
    Query,
    /// `*`
    RemoveAll,
    Contacts(Vec<(NameAddr<'m>, u32)>),
}

/// Carries out a REGISTER for an address-of-record, and makes the response: all that it asks, or nothing.
pub fn register(
    store: &LocationStore,
    rules: &config::Registrar,
    aor: &str,
    request: &Message,
    to_tag: &str,
    now: Time,
) -> Message {
    match apply(store, rules, aor, request, now) {
        Ok(()) => {
            let mut response = request.make_response(200, None, Some(to_tag));
            store.read(aor, now, |bindings| list(&mut response, bindings, now));
            response
        }
        Err(error) => {
            tracing::debug!(aor, %error, "REGISTER refused");
            let reason = match error {
                RegisterError::TooLong(_) | RegisterError::Scheme => Some(error.to_string()),
                _ => None,
            };
            let mut response = request.make_response(error.status(), reason.as_deref(), Some(to_tag));
            match error {
                RegisterError::TooBrief(least) => response.append_line("Min-Expires", &least.to_string()),
                RegisterError::Full(_) => response.append_line("Retry-After", "60"),
                _ => {}
            }
            response
        }
    }
}

/// §10.3 step 8: all current bindings, each with the time that is left to it.
fn list(response: &mut Message, bindings: &[Binding], now: Time) {
    for binding in bindings {
        let left = binding.seconds_left(now);
        response.append_line("Contact", &format!("<{}>{};expires={left}", binding.uri(), binding.params()));
    }
}

/// At most how long the line of a binding is in that list.
fn listed(binding: &Binding) -> usize {
    "Contact: <>;expires=4294967295\r\n".len() + octets(binding)
}

fn octets(binding: &Binding) -> usize {
    binding.uri().len() + binding.params().len()
}

fn apply(
    store: &LocationStore,
    rules: &config::Registrar,
    aor: &str,
    request: &Message,
    now: Time,
) -> Result<(), RegisterError> {
    let (call_id, cseq) = (request.header(h::CALL_ID)?, request.header(h::CSEQ)?.number);
    if aor.len() > MOST_AOR {
        return Err(RegisterError::TooLong("Address-of-record"));
    }
    if call_id.as_str().len() > MOST_CALL_ID {
        return Err(RegisterError::TooLong("Call-ID"));
    }
    let source = request.source().map(|source| Target { kind: source.flow.kind, address: source.flow.peer });
    let most = store.limits().contacts;
    match wish(request, rules, most)? {
        Wish::Query => Ok(()),
        Wish::RemoveAll => store.update(aor, now, |bindings| {
            in_order(bindings.iter(), call_id.as_str(), cseq)?;
            bindings.clear();
            Ok(())
        }),
        Wish::Contacts(contacts) => store.update(aor, now, |bindings| {
            // All are checked against what was there before: of two equal contacts in one request the last holds.
            for (contact, _) in &contacts {
                in_order(bindings.iter().filter(|binding| binding.is(&contact.uri)), call_id.as_str(), cseq)?;
            }
            for (contact, expires) in &contacts {
                change(bindings, contact, *expires, (call_id.as_str(), cseq), source, now);
            }
            within_bounds(bindings, most)
        }),
    }
}

/// What is kept for one address-of-record is bounded in number and in octets.
fn within_bounds(bindings: &[Binding], most: usize) -> Result<(), RegisterError> {
    if bindings.iter().any(|binding| octets(binding) > MOST_CONTACT) {
        return Err(RegisterError::TooLong("Contact"));
    }
    let fits = bindings.len() <= most && bindings.iter().map(listed).sum::<usize>() <= MOST_LISTED;
    if fits { Ok(()) } else { Err(RegisterError::TooManyContacts) }
}

/// Reads the Contact headers: nothing is changed before all are understood.
/// A request may replace as many contacts as there can be, and no more: each is compared with each binding.
fn wish<'m>(request: &'m Message, rules: &config::Registrar, most: usize) -> Result<Wish<'m>, RegisterError> {
    // A malformed Expires counts as absent (§20.19 through §10.3: the registrar's own choice).
    let header = request.header(h::EXPIRES).ok().map(|seconds| seconds.0);
    let mut contacts = Vec::new();
    let mut star = false;
    for contact in request.header(h::CONTACTS) {
        match contact? {
            Contact::Star => star = true,
            Contact::Addr(addr) if addr.uri.sip().is_none() => return Err(RegisterError::Scheme),
            Contact::Addr(addr) => {
                let wanted = addr.param(p::EXPIRES).or(header).unwrap_or(rules.default_expires);
                if wanted > 0 && wanted < rules.min_expires {
                    return Err(RegisterError::TooBrief(rules.min_expires));
                }
                contacts.push((addr, wanted.min(rules.max_expires)));
                if contacts.len() > 2 * most {
                    return Err(RegisterError::TooManyContacts);
                }
            }
        }
    }
    match (star, contacts.is_empty()) {
        (true, true) if header == Some(0) => Ok(Wish::RemoveAll),
        (true, _) => Err(RegisterError::Wildcard),
        (false, true) => Ok(Wish::Query),
        (false, false) => Ok(Wish::Contacts(contacts)),
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
    contact: &NameAddr<'_>,
    expires: u32,
    (call_id, cseq): (&str, u32),
    source: Option<Target>,
    now: Time,
) {
    let at = bindings.iter().position(|binding| binding.is(&contact.uri));
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
        source,
    });
    match at.and_then(|at| bindings.get_mut(at)) {
        Some(old) => *old = new,
        None => bindings.push(new),
    }
}

/// The parameters of a Contact that its binding keeps: all but `expires`.
fn kept_params(params: &Params<'_>) -> String {
    let mut params = params.clone();
    params.remove("expires");
    params.to_string()
}
