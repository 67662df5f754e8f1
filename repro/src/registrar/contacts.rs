//! The Contacts of a REGISTER: what it wants, and whether a request could be sent there.

use super::{RegisterError, Registrar, Registration};
use crate::config::NatDetection;
use crate::location::Binding;
use crate::nat;
use stack::header::{Contact, NameAddr, Params, QValue, h, p};
use stack::message::Message;
use stack::selector::search::Reach;
use stack::selector::{self, Located, Place};
use stack::transport::Flow;
use stack::tu::NoResponse;
use stack::uri::{SipUri, Uri};
use std::borrow::Cow;
use std::sync::Arc;

/// What a REGISTER wants.
pub(super) enum Wish<'m> {
    /// No Contact: only to know.
    Query,
    /// `*`
    RemoveAll,
    Contacts(Vec<Wanted<'m>>),
}

/// A Contact.
pub(super) struct Wanted<'m> {
    pub(super) uri: Uri<'m>,
    /// The same as text.
    pub(super) text: Arc<str>,
    /// The parameters that its binding keeps.
    pub(super) params: String,
    pub(super) q: QValue,
    /// Which device it is.
    pub(super) device: Option<String>,
    /// Which of its flows, where that counts; else 0.
    pub(super) reg_id: u32,
    /// Seconds; 0 removes it.
    pub(super) expires: u32,
    /// It is behind a NAT: only the flow that it came by leads there.
    pub(super) natted: bool,
}

impl Wish<'_> {
    /// Whether it names flows of a device.
    pub(super) fn has_flows(&self) -> bool {
        self.any(|wanted| wanted.reg_id > 0)
    }

    /// Whether it registers flows of a device.
    pub(super) fn registers_flows(&self) -> bool {
        self.any(|wanted| wanted.reg_id > 0 && wanted.expires > 0)
    }

    /// Whether it registers a device without flows of its own that is reached by the way its REGISTER came.
    pub(super) fn registers_natted(&self) -> bool {
        self.any(|wanted| wanted.natted && wanted.expires > 0)
    }

    fn any(&self, is: impl Fn(&Wanted<'_>) -> bool) -> bool {
        matches!(self, Wish::Contacts(contacts) if contacts.iter().any(is))
    }
}

impl Wanted<'_> {
    fn flow(&self) -> Option<(&str, u32)> {
        Some((self.device.as_deref()?, self.reg_id)).filter(|(_, flow)| *flow > 0)
    }

    pub(super) fn replaces(&self, binding: &Binding) -> bool {
        binding.is_replaced_by((&self.uri, &self.text), self.flow())
    }
}

impl Registrar<'_> {
    /// Reads the Contact headers: nothing is changed before all are understood.
    /// A request may replace as many contacts as there can be, and no more: each is compared with each binding.
    pub(super) fn wish<'m>(
        &self,
        request: &'m Message,
        registration: &Registration<'_>,
    ) -> Result<Wish<'m>, RegisterError> {
        let rules = self.rules();
        // A malformed Expires counts as absent (§20.19 through §10.3: the registrar's own choice).
        let header = request.header(h::EXPIRES).ok().map(|seconds| seconds.0);
        let finds_nats = registration.path.is_none() && self.server.config().nat.detect == NatDetection::Auto;
        let mut contacts = Vec::new();
        let mut star = false;
        for contact in request.header(h::CONTACTS) {
            match contact? {
                Contact::Star => star = true,
                Contact::Addr(NameAddr { uri, params, .. }) => {
                    match &registration.path {
                        // Where it leads is for the last proxy to say.
                        Some(_) if uri.sip().is_some() => {}
                        _ => self.check_reachable(&uri, registration.flow.as_ref())?,
                    }
                    if self.is_own_gruu(&uri) {
                        return Err(RegisterError::OwnGruu);
                    }
                    let names = [p::EXPIRES.name, p::Q.name, p::INSTANCE.name, p::REG_ID.name];
                    let [expires, q, device, reg_id] = params.several(names);
                    let wanted = p::EXPIRES.of(expires).or(header).unwrap_or(rules.default_expires);
                    if wanted > 0 && wanted < rules.min_expires {
                        return Err(RegisterError::TooBrief(rules.min_expires));
                    }
                    // Who takes a flow away may name it without the option tag.
                    let flows = registration.outbound || wanted == 0;
                    let device = p::INSTANCE.of(device).map(Cow::into_owned);
                    let reg_id = p::REG_ID.of(reg_id).filter(|_| flows && device.is_some()).unwrap_or(0);
                    let q = p::Q.of(q).unwrap_or(QValue::new(1000));
                    let natted = finds_nats && nat::is_behind(request, &uri);
                    let expires = wanted.min(rules.max_expires);
                    let (text, params) = (uri.text().into(), kept_params(&params));
                    contacts.push(Wanted { uri, text, params, q, device, reg_id, expires, natted });
                    if contacts.len() > 2 * self.server.location().limits().contacts {
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

    fn is_own_gruu(&self, uri: &Uri<'_>) -> bool {
        let own = |sip: &SipUri<'_>| self.server.is_ours(&sip.host, sip.port, self.transports);
        uri.sip().is_some_and(|sip| sip.params.contains("gr") && own(sip))
    }

    /// Whether a request to this contact could ever leave. Where a name leads is for the resolver to say when there is
    /// a request; and an address of another family than ours may stand beside one that can be reached.
    pub(super) fn check_reachable(&self, uri: &Uri<'_>, flow: Option<&Flow>) -> Result<(), RegisterError> {
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

/// The parameters of a Contact that its binding keeps: all but `expires`, and what only a registrar may say.
fn kept_params(params: &Params<'_>) -> String {
    params.without(&[p::EXPIRES.name, p::PUB_GRUU.name, p::TEMP_GRUU.name])
}
