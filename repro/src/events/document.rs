//! What a NOTIFY of the package `reg` says (RFC 3680 §5, RFC 5628).

use crate::location::{Binding, Change};
use crate::provisioning::StaticContact;
use crate::proxy::Server;
use crate::registrar::urn;
use rutil::Time;
use stack::contents::event::reg_info::{Contact, Event, NAMESPACE, Registration, RegistrationState};
use stack::contents::event::{DocumentState, Element, EventDocument, RegInfo};
use stack::header::{Params, QValue, p};
use stack::uri::SipUri;
use std::hash::BuildHasher;

/// The namespace of GRUUs in documents (RFC 5628 §6).
const GRUU_NAMESPACE: &str = "urn:ietf:params:xml:ns:gruuinfo";

/// Writes documents about one address-of-record.
pub(super) struct Writer<'a> {
    pub(super) server: &'a Server,
    pub(super) aor: &'a str,
    pub(super) now: Time,
    /// Of the first temporary GRUU; the others count on from there.
    pub(super) nonce: u128,
}

impl Writer<'_> {
    /// All contacts: those that are registered, and those that are provisioned.
    pub(super) fn all(&mut self) -> Vec<Contact> {
        let bindings = self.server.location().bindings(self.aor, self.now);
        let registered: Vec<Contact> = bindings.iter().map(|one| self.contact(Event::Registered, one)).collect();
        let provisioned = self.server.provisioning().static_contacts(self.aor);
        registered.into_iter().chain(provisioned.iter().map(|one| self.provisioned(one))).collect()
    }

    /// One of which something is to be told.
    pub(super) fn changed(&mut self, change: &Change) -> Contact {
        self.contact(change.event, &change.binding)
    }

    fn contact(&mut self, event: Event, binding: &Binding) -> Contact {
        let active = matches!(event, Event::Registered | Event::Refreshed | Event::Created | Event::Shortened);
        let mut contact = Contact::new(format!("{:x}", binding.id()), active, event, binding.uri());
        contact.expires = active.then(|| binding.seconds_left(self.now).min(u32::MAX.into()) as u32);
        contact.q = preference(binding.q);
        contact.call_id = Some(binding.call_id.to_string());
        contact.cseq = Some(binding.cseq);
        if active {
            contact.extensions = self.names(binding);
        }
        contact.extensions.extend(unknown_params(binding));
        contact
    }

    fn provisioned(&self, one: &StaticContact) -> Contact {
        let id = self.server.hasher().hash_one(&*one.contact);
        let mut contact = Contact::new(format!("s{id:x}"), true, Event::Created, &*one.contact);
        contact.q = preference(one.q);
        contact
    }

    /// The GRUUs of a device (RFC 5628 §5). Of the temporary ones that it was told before, those of its last REGISTER are
    /// known to be valid.
    fn names(&mut self, binding: &Binding) -> Vec<Element> {
        let uri = format!("sip:{}", self.aor);
        let (Some(device), Ok(stack::uri::Uri::Sip(aor))) = (binding.device(), stack::uri::Uri::parse(&uri)) else {
            return Vec::new();
        };
        let base = SipUri { secure: binding.is_sips(), ..SipUri::new(aor.host.clone()) };
        let public = SipUri { user: aor.user.clone(), ..base.clone() }.with_param(p::GR, urn(device));
        self.nonce = self.nonce.wrapping_add(1);
        let token = self.server.gruus().token(self.aor, device, &binding.call_id, self.nonce);
        let temporary = base.with_user(&token).with_flag(p::GR);
        vec![
            Element::new(GRUU_NAMESPACE, "pub-gruu").with("uri", Some(public)),
            Element::new(GRUU_NAMESPACE, "temp-gruu")
                .with("uri", Some(temporary))
                .with("first-cseq", Some(binding.cseq)),
        ]
    }

    /// As many of the contacts as fit into `room` octets, one at least: the first of `contacts`, which are taken out.
    pub(super) fn document(
        &self,
        version: u32,
        state: DocumentState,
        contacts: &mut Vec<Contact>,
        room: usize,
    ) -> RegInfo {
        let with =
            |contacts: Vec<Contact>| RegInfo { version, state, registrations: vec![self.registration(contacts)] };
        let bare = with(Vec::new()).print().len();
        let (mut size, mut fit) = (bare, 0);
        for contact in contacts.iter() {
            size += with(vec![contact.clone()]).print().len() - bare;
            if fit > 0 && size > room {
                break;
            }
            fit += 1;
        }
        with(contacts.drain(..fit).collect())
    }

    fn registration(&self, contacts: Vec<Contact>) -> Registration {
        let known = self.server.location().lookup(self.aor, self.now);
        let provisioned = !self.server.provisioning().static_contacts(self.aor).is_empty();
        let state = match known {
            _ if provisioned => RegistrationState::Active,
            Some(found) if !found.is_empty() => RegistrationState::Active,
            Some(_) => RegistrationState::Terminated,
            None => RegistrationState::Init,
        };
        let id = format!("{:x}", self.server.hasher().hash_one(self.aor));
        Registration { aor: format!("sip:{}", self.aor), id, state, contacts, extensions: Vec::new() }
    }
}

fn preference(q: u16) -> Option<String> {
    (q < 1000).then(|| QValue::new(q).to_string())
}

/// The parameters of a Contact that the document has no attribute for.
fn unknown_params(binding: &Binding) -> Vec<Element> {
    let Ok(params) = Params::parse(binding.params()) else { return Vec::new() };
    let others = params.iter().filter(|param| !param.name.eq_ignore_ascii_case("q"));
    let element = |name: &str, value: Option<&str>| {
        Element::new(NAMESPACE, "unknown-param").with("name", Some(name)).with_text(value.unwrap_or_default())
    };
    others.map(|param| element(param.name, param.value)).collect()
}
