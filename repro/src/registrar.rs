//! The registrar (RFC 3261 §10.3).

use crate::config;
use crate::location::{Binding, LocationStore, NewBinding, Record, StoreFull};
use rutil::Time;
use stack::header::{Contact, HeaderError, NameAddr, Params, Token, h, p};
use stack::message::Message;
use stack::selector::search::Reach;
use stack::selector::{self, Located, Place, Target};
use stack::transport::{Flow, TransportTable};
use stack::tu::NoResponse;
use stack::uri::Uri;
use std::time::Duration;

/// The option tag of RFC 5626.
pub const OUTBOUND: &str = "outbound";
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
    /// A Contact that no request can be sent to, and why.
    #[error("Contact: {0}")]
    Unreachable(&'static str),
    /// A registration shorter than the registrar allows (§10.3 step 7).
    #[error("registration too brief: at least {0} s")]
    TooBrief(u32),
    /// More contacts than one address-of-record may have, or than fit into the response.
    #[error("too many contacts")]
    TooManyContacts,
    /// The list of contacts, with what the response repeats of the request, does not fit into a datagram.
    #[error("no room for the contacts beside its Via, From and To")]
    NoRoom,
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
            RegisterError::Header(_)
            | RegisterError::Wildcard
            | RegisterError::TooLong(_)
            | RegisterError::Unreachable(_) => 400,
            RegisterError::TooBrief(_) => 423,
            RegisterError::TooManyContacts => 403,
            RegisterError::OutOfOrder => 500,
            RegisterError::Full(_) => 503,
            RegisterError::NoRoom => 513,
        }
    }

    /// The reason phrase, where the usual one does not say what is wrong.
    fn reason(&self) -> Option<String> {
        match self {
            RegisterError::TooLong(_) | RegisterError::Unreachable(_) => Some(self.to_string()),
            _ => None,
        }
    }
}

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

/// What a REGISTER wants.
enum Wish<'m> {
    /// No Contact: only to know.
    Query,
    /// `*`
    RemoveAll,
    Contacts(Vec<(NameAddr<'m>, u32)>),
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

    /// Reads the Contact headers: nothing is changed before all are understood.
    /// A request may replace as many contacts as there can be, and no more: each is compared with each binding.
    fn wish<'m>(&self, request: &'m Message) -> Result<Wish<'m>, RegisterError> {
        let rules = self.rules;
        // A malformed Expires counts as absent (§20.19 through §10.3: the registrar's own choice).
        let header = request.header(h::EXPIRES).ok().map(|seconds| seconds.0);
        let mut contacts = Vec::new();
        let mut star = false;
        for contact in request.header(h::CONTACTS) {
            match contact? {
                Contact::Star => star = true,
                Contact::Addr(addr) => {
                    self.check_reachable(&addr.uri, request.source().map(|source| &source.flow))?;
                    let wanted = addr.param(p::EXPIRES).or(header).unwrap_or(rules.default_expires);
                    if wanted > 0 && wanted < rules.min_expires {
                        return Err(RegisterError::TooBrief(rules.min_expires));
                    }
                    contacts.push((addr, wanted.min(rules.max_expires)));
                    if contacts.len() > 2 * self.store.limits().contacts {
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

    /// Whether a request to this contact could ever leave. Where a name leads is for the resolver to say when there is
    /// a request; and an address of another family than ours may stand beside one that can be reached.
    fn check_reachable(&self, uri: &Uri<'_>, flow: Option<&Flow>) -> Result<(), RegisterError> {
        let unreachable = |why| Err(RegisterError::Unreachable(why));
        let Some(sip) = uri.sip() else { return unreachable("sip or sips URI expected") };
        if selector::needs_flow(sip) {
            let fits = |flow: &Flow| flow.kind.is_reliable() && (flow.kind.is_secure() || !sip.secure);
            let has_one = flow.is_some_and(fits);
            return if has_one { Ok(()) } else { unreachable("nothing but a connection of its own leads there") };
        }
        let place = match selector::locate_uri(sip) {
            Ok(Located::At(place)) => Place {
                name: String::new(),
                transport: Some(place.kind),
                port: Some(place.address.port()),
                secure: sip.secure,
            },
            Ok(Located::Name(place)) => place,
            Err(NoResponse::Transport(_)) => return unreachable("its transport is not supported"),
            Ok(Located::Number(_)) | Err(_) => return unreachable("its host is not the address of one device"),
        };
        if place.port == Some(0) {
            return unreachable("port 0");
        }
        if !Reach::of(self.transports).allows(&place) {
            return unreachable("its transport is not supported");
        }
        Ok(())
    }
}

/// §10.3 step 8: all current bindings, each with the time that is left to it.
fn list(response: &mut Message, bindings: &[Binding], now: Time) {
    for binding in bindings {
        let left = binding.seconds_left(now);
        response.append_line("Contact", &format!("<{}>{};expires={left}", binding.uri(), binding.params()));
    }
}

/// At most how long that list is.
fn listed(bindings: &[Binding]) -> usize {
    let around = "Contact: <>;expires=4294967295\r\n".len();
    bindings.iter().map(|binding| around + octets(binding)).sum()
}

fn octets(binding: &Binding) -> usize {
    binding.uri().len() + binding.params().len()
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

/// Whether the device asks to be reached by its flows (RFC 5626 §6) and we are the first that it sends to: only then do we
/// have them.
fn is_outbound(request: &Message) -> bool {
    let named = |tag: Result<Token<'_>, HeaderError>| tag.is_ok_and(|tag| tag.is(OUTBOUND));
    let asked = request.header(h::SUPPORTEDS).any(named) || request.header(h::REQUIRES).any(named);
    asked && request.header(h::VIAS).texts().count() == 1
}

/// Which flow of which device a contact is.
fn instance(contact: &NameAddr<'_>) -> Option<(String, u32)> {
    let device = contact.param(p::INSTANCE)?;
    let flow = contact.param(p::REG_ID).filter(|flow| *flow > 0)?;
    Some((device.into_owned(), flow))
}

/// The parameters of a Contact that its binding keeps: all but `expires`.
fn kept_params(params: &Params<'_>) -> String {
    let mut params = params.clone();
    params.remove("expires");
    params.to_string()
}
