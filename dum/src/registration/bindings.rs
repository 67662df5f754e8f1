//! What a REGISTER makes of the bindings of an address (RFC 3261 §10.3): steps 6 to 8, without a store.

use rutil::Time;
use stack::header::{Contact, NameAddr, h, p};
use stack::message::Message;
use stack::transport::Flow;
use std::time::Duration;

/// Where an address-of-record can be reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The Contact, without `expires`.
    pub contact: NameAddr<'static>,
    /// When it ends.
    pub expires: Time,
    /// The Call-ID of the REGISTER that made or refreshed it.
    pub call_id: String,
    /// Its CSeq number.
    pub cseq: u32,
    /// The proxies on the way back (RFC 3327), nearest to the registrar first.
    pub path: Vec<NameAddr<'static>>,
    /// How the REGISTER came.
    pub flow: Option<Flow>,
    /// Device and flow of a client that supports outbound (RFC 5626 §6): a binding with the same takes its place.
    pub device: Option<(String, u32)>,
}

/// For how long, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrarLimits {
    /// Less is refused with 423, unless it is an hour or more (RFC 3261 §10.3): 60 s.
    pub min_expires: Duration,
    /// What a client gets that does not say: an hour.
    pub default_expires: Duration,
    /// What a client gets that asks for more: an hour.
    pub max_expires: Duration,
    /// Bindings of an address: 32. A REGISTER may put as many new ones in the place of all, and no more.
    pub bindings: usize,
}

impl Default for RegistrarLimits {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        let min_expires = Duration::from_secs(60);
        RegistrarLimits { min_expires, default_expires: hour, max_expires: hour, bindings: 32 }
    }
}

/// Octets of a Contact.
const MAX_CONTACT: usize = 1024;

/// Octets of a Path as a whole.
const MAX_PATH: usize = 4096;

/// Octets of a Call-ID that is remembered.
const MAX_CALL_ID: usize = 256;

/// What a REGISTER asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Add,
    Refresh,
    Remove,
    RemoveAll,
}

/// Why a REGISTER is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterRefusal {
    /// 400: a header cannot be read, or `*` with other Contacts or without `Expires: 0`.
    #[error("malformed")]
    Malformed,
    /// 423 with Min-Expires.
    #[error("too brief")]
    TooBrief,
    /// 500: a request of the same Call-ID with a higher CSeq number was there before.
    #[error("out of order")]
    OutOfOrder,
    /// 403: more bindings than an address may have, or more Contacts than it takes to replace all of them.
    #[error("too many bindings")]
    TooMany,
}

impl RegisterRefusal {
    /// The status that answers the request.
    pub const fn status(self) -> u16 {
        match self {
            RegisterRefusal::Malformed => 400,
            RegisterRefusal::TooBrief => 423,
            RegisterRefusal::OutOfOrder => 500,
            RegisterRefusal::TooMany => 403,
        }
    }
}

/// What a REGISTER asks for, and the bindings as they are after it. All changes are made, or none.
pub(super) fn apply(
    request: &Message,
    mut bindings: Vec<Binding>,
    limits: &RegistrarLimits,
    now: Time,
) -> Result<(Kind, Vec<Binding>), RegisterRefusal> {
    let malformed = |_| RegisterRefusal::Malformed;
    let call_id = request.header(h::CALL_ID).map_err(malformed)?.as_str().to_owned();
    let cseq = request.header(h::CSEQ).map_err(malformed)?.number;
    let expires = if request.exists(h::EXPIRES) { request.header(h::EXPIRES).ok().map(|e| e.0) } else { None };
    let in_order = |old: &Binding| old.call_id != call_id || old.cseq < cseq;
    let most = limits.bindings.saturating_mul(2);
    let contacts = request.header(h::CONTACTS).take(most.saturating_add(1));
    let contacts: Vec<_> = contacts.collect::<Result<_, _>>().map_err(malformed)?;
    if contacts.contains(&Contact::Star) {
        if contacts.len() > 1 || expires != Some(0) {
            return Err(RegisterRefusal::Malformed);
        }
        return match bindings.iter().all(in_order) {
            true => Ok((Kind::RemoveAll, Vec::new())),
            false => Err(RegisterRefusal::OutOfOrder),
        };
    }
    if contacts.len() > most {
        return Err(RegisterRefusal::TooMany);
    }
    let mut kind = if contacts.is_empty() { Kind::Query } else { Kind::Remove };
    let path = path_of(request)?;
    if call_id.len() > MAX_CALL_ID || contacts.iter().any(|contact| contact.to_string().len() > MAX_CONTACT) {
        return Err(RegisterRefusal::Malformed);
    }
    let asked = contacts.into_iter().filter_map(Contact::into_addr).map(|contact| {
        let device = device_of(request, &contact);
        (contact, device)
    });
    let asked: Vec<_> = asked.collect();
    // RFC 5626 §6: one device by one flow.
    let bound = asked.iter().filter(|(contact, _)| contact.param(p::EXPIRES).or(expires) != Some(0));
    if bound.count() > 1 && asked.iter().any(|(_, device)| device.is_some()) {
        return Err(RegisterRefusal::Malformed);
    }
    // Before any change: of a contact that is there twice the second is not late.
    let is_late = |(contact, device): &(NameAddr<'_>, Option<_>)| {
        bindings.iter().any(|old| is_same(old, contact, device.as_ref()) && !in_order(old))
    };
    if asked.iter().any(is_late) {
        return Err(RegisterRefusal::OutOfOrder);
    }
    for (contact, device) in asked {
        let time = time_of(&contact, expires, limits)?;
        let old = bindings.iter().position(|old| is_same(old, &contact, device.as_ref()));
        let Some(time) = time else {
            old.map(|at| bindings.remove(at));
            continue;
        };
        let mut contact = contact.into_owned();
        contact.params.remove(p::EXPIRES);
        let (call_id, path) = (call_id.clone(), path.clone());
        let flow = request.source().map(|source| source.flow);
        let new = Binding { contact, expires: now + time, call_id, cseq, path, flow, device };
        match old {
            Some(at) => {
                bindings[at] = new;
                if kind != Kind::Add {
                    kind = Kind::Refresh;
                }
            }
            None => {
                bindings.push(new);
                kind = Kind::Add;
            }
        }
    }
    if bindings.len() > limits.bindings { Err(RegisterRefusal::TooMany) } else { Ok((kind, bindings)) }
}

/// The proxies on the way back.
fn path_of(request: &Message) -> Result<Vec<NameAddr<'static>>, RegisterRefusal> {
    let mut path = Vec::new();
    let mut octets = 0;
    for route in request.header(h::PATHS) {
        let route = route.map_err(|_| RegisterRefusal::Malformed)?;
        octets += route.to_string().len();
        if path.len() == crate::MAX_ROUTES || octets > MAX_PATH {
            return Err(RegisterRefusal::Malformed);
        }
        path.push(route.into_owned());
    }
    Ok(path)
}

/// How long a Contact is bound; none: it is removed.
fn time_of(
    contact: &NameAddr<'_>,
    header: Option<u32>,
    limits: &RegistrarLimits,
) -> Result<Option<Duration>, RegisterRefusal> {
    let asked = contact.param(p::EXPIRES).or(header).map(|seconds| Duration::from_secs(seconds.into()));
    let time = asked.unwrap_or(limits.default_expires);
    if time.is_zero() {
        return Ok(None);
    }
    if time < limits.min_expires && time < Duration::from_secs(3600) {
        return Err(RegisterRefusal::TooBrief);
    }
    Ok(Some(time.min(limits.max_expires)))
}

/// RFC 5626 §6: only of a client that supports outbound, and where whoever it sends to first keeps its flow: we, or the proxy
/// whose Path says so.
fn device_of(request: &Message, contact: &NameAddr<'_>) -> Option<(String, u32)> {
    let instance = contact.param(p::INSTANCE)?.into_owned();
    let reg_id = contact.param(p::REG_ID).filter(|id| *id > 0)?;
    let supported = request.header(h::SUPPORTEDS).flatten().any(|tag| tag.is("outbound"));
    let kept = match request.header(h::PATHS).last() {
        Some(first_hop) => first_hop.is_ok_and(|hop| hop.uri.sip().is_some_and(|uri| uri.param(p::OB))),
        None => request.header(h::VIAS).texts().count() <= 1,
    };
    (supported && kept).then_some((instance, reg_id))
}

fn is_same(old: &Binding, contact: &NameAddr<'_>, device: Option<&(String, u32)>) -> bool {
    match (&old.device, device) {
        (Some(old), Some(device)) => old == device,
        (None, None) => old.contact.uri.equivalent(&contact.uri),
        _ => false,
    }
}
