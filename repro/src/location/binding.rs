//! One binding of an address-of-record.

use super::{Found, Located, Place};
use crate::cluster::Hop;
use rutil::Time;
use smallvec::SmallVec;
use stack::selector::{self, Target};
use stack::transport::Flow;
use stack::uri::Uri;
use std::sync::Arc;

/// How a request gets to a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Its URI says it.
    Uri,
    /// On the flow that it was registered by: it cannot be connected to, or asked for that.
    Flow(Arc<Flow>),
    /// Through the proxies that its REGISTER came through (RFC 3327): a Route set, with commas between its values.
    Path(Arc<str>),
    /// Through the node that has its flow.
    Node(Arc<Hop>),
}

/// A contact of an address-of-record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The URI as it was registered.
    uri: Arc<str>,
    /// The URI without headers; shares `uri` where it has none.
    target: Arc<str>,
    /// The parameters of the Contact except `expires`: empty, or starting with `;`.
    params: Box<str>,
    /// Preference, in thousandths.
    pub q: u16,
    /// When it ends.
    pub expires_at: Time,
    /// The Call-ID of the REGISTER that wrote it last.
    pub call_id: Box<str>,
    /// The CSeq number of that REGISTER.
    pub cseq: u32,
    /// Where `target` leads, unless it has a name or there is a flow.
    contact: Option<Target>,
    neighbour: Option<Target>,
    by: By,
    /// Which device it is: `+sip.instance`.
    device: Option<Box<str>>,
    /// Which of its flows (RFC 5626 §6): `reg-id`; 0 for a contact that is none.
    reg_id: u32,
    /// When it was registered last.
    since: Time,
    /// Names it as long as it is refreshed; 0 before it is in a store.
    pub(super) id: u32,
    /// Behind a NAT: its flow leads there as long as the NAT hears something.
    natted: bool,
    /// How many pings it has not answered.
    pub(super) missed: u8,
    /// Where nodes share the location service.
    shared: Option<Box<Shared>>,
}

/// What nodes that share the location service know of a binding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shared {
    /// Of the state that the others know; 0: they do not know of it.
    version: u64,
    /// How others get to its flow.
    route: Option<Arc<str>>,
}

/// What a [`Binding`] is made from.
#[derive(Clone, Debug)]
pub struct NewBinding<'a> {
    /// The Contact's URI.
    pub uri: &'a Uri<'a>,
    /// The same as text.
    pub text: Arc<str>,
    /// Its parameters except `expires`: empty, or starting with `;`.
    pub params: &'a str,
    /// Preference, in thousandths.
    pub q: u16,
    /// When it ends.
    pub expires_at: Time,
    /// The Call-ID.
    pub call_id: &'a str,
    /// The CSeq number.
    pub cseq: u32,
    /// Where the REGISTER came from; with a Path, where that leads first, unless it has a name.
    pub neighbour: Option<Target>,
    /// How requests get there.
    pub by: By,
    /// `+sip.instance`.
    pub device: Option<&'a str>,
    /// `reg-id` of a contact that is a flow of its device (RFC 5626 §6), else 0.
    pub reg_id: u32,
    /// The time of the registration.
    pub now: Time,
}

impl Binding {
    /// Makes a binding.
    pub fn new(new: NewBinding<'_>) -> Self {
        let uri = new.text;
        let target = match new.uri.sip().filter(|sip| !sip.is_request_uri()) {
            Some(sip) => Uri::Sip(sip.clone().into_request_uri()).to_string().into(),
            None => uri.clone(),
        };
        // The selector says it, so that both always agree.
        let contact = match new.uri.sip().map(selector::locate_uri) {
            Some(Ok(selector::Located::At(place))) if !matches!(new.by, By::Flow(_)) => Some(place),
            _ => None,
        };
        Binding {
            uri,
            target,
            params: new.params.into(),
            q: new.q,
            expires_at: new.expires_at,
            call_id: new.call_id.into(),
            cseq: new.cseq,
            contact,
            neighbour: new.neighbour,
            by: new.by,
            device: new.device.map(Into::into),
            reg_id: new.reg_id,
            since: new.now,
            id: 0,
            natted: false,
            missed: 0,
            shared: None,
        }
    }

    /// Says how other nodes get to its flow.
    pub fn routed(mut self, route: Option<Arc<str>>) -> Self {
        if route.is_some() {
            self.shared.get_or_insert_default().route = route;
        }
        self
    }

    /// How other nodes get to its flow.
    pub fn route(&self) -> Option<&Arc<str>> {
        self.shared.as_ref()?.route.as_ref()
    }

    /// The version of it that other nodes know; 0: they do not know of it.
    pub fn version(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.version)
    }

    /// Says which version of it other nodes know.
    pub fn set_version(&mut self, version: u64) {
        self.shared.get_or_insert_default().version = version;
    }

    /// Whether the same REGISTER has written it.
    pub(super) fn is_same_state(&self, other: &Binding) -> bool {
        self.cseq == other.cseq && self.call_id == other.call_id && self.uri == other.uri
    }

    /// Says whether it is behind a NAT.
    pub fn behind_nat(self, natted: bool) -> Self {
        Binding { natted, ..self }
    }

    /// Whether it is behind a NAT.
    pub fn is_natted(&self) -> bool {
        self.natted
    }

    /// Whether it is behind a NAT that forgets it without pings: those keep connections themselves.
    pub(super) fn wants_pings(&self) -> bool {
        self.natted && matches!(&self.by, By::Flow(flow) if !flow.kind.is_reliable())
    }

    /// Takes the place of another: it is that one, refreshed.
    pub fn following(self, old: &Binding) -> Self {
        Binding { id: old.id, ..self }
    }

    /// Names it among those of its address-of-record, as long as it is refreshed.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether a Contact with this URI and this flow of a device replaces it (RFC 3261 §10.3 step 7, RFC 5626 §6).
    pub fn is_replaced_by(&self, (uri, text): (&Uri<'_>, &str), flow: Option<(&str, u32)>) -> bool {
        match (self.flow_of_device(), flow) {
            (Some(own), Some(new)) => own == new,
            // A refresh repeats what it was mostly.
            _ => *self.uri == *text || self.is(uri),
        }
    }

    /// Which flow of which device it is; none for a contact that is no flow.
    pub fn flow_of_device(&self) -> Option<(&str, u32)> {
        Some((self.device()?, self.reg_id)).filter(|(_, flow)| *flow > 0)
    }

    /// Which device it is: `+sip.instance`.
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// Whether requests get to it as to another, which its device has registered from the same place.
    pub(crate) fn is_reached_as(&self, other: &Binding) -> bool {
        self.by == other.by
            && self.neighbour == other.neighbour
            && self.device == other.device
            && self.reg_id == other.reg_id
            && self.natted == other.natted
    }

    /// Which of its flows it is; 0 for a contact that is none.
    pub fn reg_id(&self) -> u32 {
        self.reg_id
    }

    /// How a request gets there.
    pub fn by(&self) -> &By {
        &self.by
    }

    /// Where the REGISTER came from, or the Path leads first.
    pub(crate) fn neighbour(&self) -> Option<Target> {
        self.neighbour
    }

    /// Whether its URI is a sips URI.
    pub fn is_sips(&self) -> bool {
        super::is_sips(&self.uri)
    }

    /// Whether `other` is a later flow of the same device: of several, one is used (RFC 5626 §6).
    pub(super) fn is_older_flow_than(&self, other: &Binding) -> bool {
        match (self.flow_of_device(), other.flow_of_device()) {
            (Some((own, _)), Some((others, _))) => own == others && self.registered() < other.registered(),
            _ => false,
        }
    }

    /// The URI as it was registered.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether its URI is this one (RFC 3261 §19.1.4).
    pub fn is(&self, uri: &Uri<'_>) -> bool {
        Uri::parse(&self.uri).is_ok_and(|own| own.equivalent(uri))
    }

    /// The parameters of the Contact except `expires`: empty, or starting with `;`.
    pub fn params(&self) -> &str {
        &self.params
    }

    /// Whole seconds left, rounded up.
    pub fn seconds_left(&self, now: Time) -> u64 {
        self.expires_at.since(now).as_nanos().div_ceil(1_000_000_000) as u64
    }

    /// Where it leads, with the older flows of its device among `others`.
    pub(super) fn located_before<'b>(&self, others: impl Iterator<Item = &'b Binding>) -> Located {
        if self.reg_id == 0 {
            return self.located();
        }
        let mut older: SmallVec<[&Binding; 4]> = others.filter(|other| other.is_older_flow_than(self)).collect();
        older.sort_by_key(|binding| std::cmp::Reverse(binding.registered()));
        let older: Found = older.into_iter().map(Binding::located).collect();
        Located { older: (!older.is_empty()).then(|| Box::new(older)), ..self.located() }
    }

    /// When it was registered last; at the same time the higher flow counts as later.
    pub fn registered(&self) -> (Time, u32) {
        (self.since, self.reg_id)
    }

    pub(super) fn located(&self) -> Located {
        Located { uri: self.target.clone(), q: self.q, by: self.by.clone(), older: None }
    }

    /// Whether it is what a look-up has given.
    pub(super) fn gave(&self, located: &Located) -> bool {
        self.target == located.uri && self.by == located.by
    }

    /// Whether we send to it there, or its REGISTER came from there directly.
    pub(super) fn is_at(&self, target: Target) -> bool {
        self.places().contains(&Place::Near(target))
    }

    /// Whether it has the same places as another.
    pub(super) fn is_where(&self, other: &Binding) -> bool {
        let through = |binding: &Binding| matches!(binding.by, By::Path(_) | By::Node(_));
        self.contact == other.contact && self.neighbour == other.neighbour && through(self) == through(other)
    }

    pub(super) fn places(&self) -> SmallVec<[Place; 2]> {
        let through = matches!(self.by, By::Path(_) | By::Node(_));
        let contact = self.contact.map(|at| if through { Place::Behind(at) } else { Place::Near(at) });
        let neighbour = self.neighbour.map(|at| if through { Place::Proxy(at) } else { Place::Near(at) });
        contact.into_iter().chain(neighbour).collect()
    }
}
