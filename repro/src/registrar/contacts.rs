//! The Contacts of a REGISTER: what it wants, and whether a request could be sent there.

use super::{RegisterError, Registrar};
use stack::header::{Contact, NameAddr, Params, h, p};
use stack::message::Message;
use stack::selector::search::Reach;
use stack::selector::{self, Located, Place};
use stack::transport::Flow;
use stack::tu::NoResponse;
use stack::uri::Uri;

/// What a REGISTER wants.
pub(super) enum Wish<'m> {
    /// No Contact: only to know.
    Query,
    /// `*`
    RemoveAll,
    Contacts(Vec<(NameAddr<'m>, u32)>),
}

impl Registrar<'_> {
    /// Reads the Contact headers: nothing is changed before all are understood.
    /// A request may replace as many contacts as there can be, and no more: each is compared with each binding.
    pub(super) fn wish<'m>(&self, request: &'m Message) -> Result<Wish<'m>, RegisterError> {
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

/// The parameters of a Contact that its binding keeps: all but `expires`.
pub(super) fn kept_params(params: &Params<'_>) -> String {
    let mut params = params.clone();
    params.remove("expires");
    params.to_string()
}
