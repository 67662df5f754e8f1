//! The registrar (RFC 3261 §10.3).

mod contacts;
mod error;
mod gruu;
mod listing;
mod outbound;
mod path;

pub use error::RegisterError;
pub use gruu::GRUU;
pub(crate) use gruu::urn;
pub use outbound::{OUTBOUND, keep_alives_through, registers_flow, supports};
pub use path::PATH;

use crate::cluster::{self, Change};
use crate::config;
use crate::location::{Binding, By, NewBinding, Record};
use crate::provisioning::MOST_AOR;
use crate::proxy::{Keeper, Server};
use contacts::{Wanted, Wish};
use gruu::Names;
use listing::{list, listed, octets};
use outbound::{flow_timer, is_outbound, silence};
use path::Path;
use rutil::Time;
use smallvec::SmallVec;
use stack::header::{CallId, Date, h};
use stack::message::Message;
use stack::selector::{self, Target};
use stack::transport::{Flow, TransportTable};
use stack::uri::Uri;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Most octets of a Call-ID that a binding keeps.
const MOST_CALL_ID: usize = 256;
/// Most octets of a Contact: its URI, and its parameters without `expires`.
const MOST_CONTACT: usize = 1024;
/// Most octets of the Contact lines in a response: half a datagram, which leaves the other half to what a response
/// repeats of its request.
const MOST_LISTED: usize = 32 * 1024;
/// When to come back who finds the store full or failing, seconds.
pub(crate) const RETRY_AFTER: &str = "5";
/// Most octets of a response that lists contacts: the payload of a datagram over IPv4.
const MOST_RESPONSE: usize = 65_507;

/// What a REGISTER is carried out with.
#[derive(Clone)]
pub struct Registrar<'a> {
    /// The bindings, and what is granted.
    pub server: &'a Server,
    /// The transports that requests to contacts leave by.
    pub transports: &'a TransportTable,
    /// A random number.
    pub nonce: u128,
    /// How other nodes that share the bindings get to the flow that it came by.
    pub route: Option<Arc<str>>,
}

/// What a REGISTER says besides its Contacts.
struct Registration<'m> {
    call_id: CallId<'m>,
    cseq: u32,
    /// The flow that it came by.
    flow: Option<Flow>,
    path: Option<Path>,
    /// Its device is reached by its flows.
    outbound: bool,
    /// Its device is told its GRUUs.
    names: Option<Names<'m>>,
    route: Option<Arc<str>>,
    now: Time,
}

/// The bindings of an address-of-record while they change: those that stay are where they are.
type Bindings<'b> = SmallVec<[Cow<'b, Binding>; 2]>;

/// What becomes of a REGISTER.
pub struct Registered {
    /// The answer.
    pub response: Box<Message>,
    /// The flow that a device is reached by, and how long it may be silent if it was told to send keep-alives.
    pub reached_by: Option<(Flow, Option<Duration>)>,
    /// Bindings have changed: a place is reserved with what keeps them, and the answer waits until they are kept.
    pub changed: bool,
    /// What has changed, where nodes share their bindings.
    pub changes: Option<Vec<Change>>,
}

impl<'a> Registrar<'a> {
    fn rules(&self) -> &'a config::Registrar {
        &self.server.config().registrar
    }

    /// Carries out a REGISTER for an address-of-record, and makes the response: all that it asks, or nothing.
    pub fn register(&self, aor: &str, request: &Message, to_tag: &str, now: Time) -> Registered {
        let error = match self.accept(aor, request, to_tag, now) {
            Ok(registered) => return registered,
            Err(error) => error,
        };
        tracing::debug!(aor, %error, "REGISTER refused");
        let mut response = Box::new(request.make_response(error.status(), error.reason().as_deref(), Some(to_tag)));
        match error {
            RegisterError::TooBrief(least) => response.append_line("Min-Expires", &least.to_string()),
            RegisterError::Full(_) => response.append_line("Retry-After", "60"),
            RegisterError::NotKept(_) => response.append_line("Retry-After", RETRY_AFTER),
            RegisterError::NoPathSupport => response.append_line("Unsupported", PATH),
            _ => {}
        }
        Registered { response, reached_by: None, changed: false, changes: None }
    }

    fn accept(&self, aor: &str, request: &Message, to_tag: &str, now: Time) -> Result<Registered, RegisterError> {
        let registration = self.read(aor, request, now)?;
        let wish = self.wish(request, &registration)?;
        let mut response = Box::new(request.make_response(200, None, Some(to_tag)));
        if let Some(second) = self.server.unix_seconds(now) {
            response.append_line("Date", &Date::from_unix(second).to_string());
        }
        if let Some(path) = &registration.path {
            response.append_line("Path", &path.text);
        }
        if registration.outbound && wish.has_flows() {
            response.append_line("Require", OUTBOUND);
        }
        let keeps = registration.outbound && wish.registers_flows();
        let flow = registration.flow.filter(|_| registration.path.is_none() && (keeps || wish.registers_natted()));
        let timer = flow.filter(|_| keeps).and_then(|flow| flow_timer(&flow, self.rules().flow_timer));
        if let Some(timer) = timer {
            response.append_line("Flow-Timer", &timer.to_string());
        }
        for route in &self.rules().service_route {
            response.append_line("Service-Route", &format!("<{}>", route.0));
        }
        let room = MOST_RESPONSE.saturating_sub(response.octets());
        let changes = !matches!(wish, Wish::Query);
        let keeper = self.server.keeper().filter(|_| changes);
        // Before anything is changed: who is refused has changed nothing.
        keeper.map_or(Ok(()), Keeper::reserve)?;
        let applied = self.apply(aor, &registration, wish, room, |before, after| {
            list(&mut response, after, registration.names.as_ref(), now);
            let shared = matches!(keeper, Some(Keeper::Cluster(_)));
            shared.then(|| {
                let before: Vec<Binding> = before.iter().filter(|binding| binding.expires_at > now).cloned().collect();
                cluster::changes(&before, after, (registration.call_id.as_str(), registration.cseq))
            })
        });
        if applied.is_err() {
            keeper.into_iter().for_each(Keeper::release);
        }
        let changes = applied?;
        let reached_by = flow.map(|flow| (flow, timer.map(silence)));
        Ok(Registered { response, reached_by, changed: keeper.is_some(), changes })
    }

    fn read<'m>(&self, aor: &'m str, request: &'m Message, now: Time) -> Result<Registration<'m>, RegisterError>
    where
        'a: 'm,
    {
        let (call_id, cseq) = (request.header(h::CALL_ID)?, request.header(h::CSEQ)?.number);
        if aor.len() > MOST_AOR {
            return Err(RegisterError::TooLong("Address-of-record"));
        }
        if call_id.as_str().len() > MOST_CALL_ID {
            return Err(RegisterError::TooLong("Call-ID"));
        }
        let path = self.path(request)?;
        let outbound = is_outbound(request, path.as_ref())?;
        let to = || request.header(h::TO).ok();
        let names = supports(request, GRUU).then(to).flatten().and_then(|to| match to.uri {
            Uri::Sip(to) => Some(Names { tokens: self.server.gruus(), aor, to, nonce: self.nonce }),
            _ => None,
        });
        let flow = request.source().map(|source| source.flow);
        Ok(Registration { call_id, cseq, flow, path, outbound, names, route: self.route.clone(), now })
    }

    /// What `look` sees in the bindings before and afterwards, which are no longer than `room` when they are listed.
    fn apply<R>(
        &self,
        aor: &str,
        registration: &Registration<'_>,
        wish: Wish<'_>,
        room: usize,
        look: impl FnOnce(&[Binding], &[Binding]) -> R,
    ) -> Result<R, RegisterError> {
        let (now, store) = (registration.now, self.server.location());
        match wish {
            Wish::Query => {
                let bindings = store.bindings(aor, now);
                if registration.listed(&bindings) > room {
                    return Err(RegisterError::NoRoom);
                }
                Ok(look(&bindings, &bindings))
            }
            Wish::RemoveAll => {
                let none = |live: &[&Binding]| registration.is_later_than(live).map(|()| Record::new());
                store.replace(aor, now, none, look)
            }
            Wish::Contacts(contacts) => {
                let make = |live: &[&Binding]| {
                    let record = registration.changed(live, &contacts)?;
                    self.within_bounds(&record)?;
                    if registration.listed(&record) <= room { Ok(record) } else { Err(RegisterError::NoRoom) }
                };
                store.replace(aor, now, make, look)
            }
        }
    }

    /// What is kept for one address-of-record is bounded in number and in octets.
    fn within_bounds(&self, bindings: &[Binding]) -> Result<(), RegisterError> {
        if bindings.iter().any(|binding| octets(binding) > MOST_CONTACT) {
            return Err(RegisterError::TooLong("Contact"));
        }
        let many = bindings.len() > self.server.location().limits().contacts || listed(bindings) > MOST_LISTED;
        if many { Err(RegisterError::TooManyContacts) } else { Ok(()) }
    }
}

impl Registration<'_> {
    /// A request with the Call-ID of a binding must come after the request that wrote it.
    fn is_later_than<'b>(&self, bindings: impl IntoIterator<Item = &'b &'b Binding>) -> Result<(), RegisterError> {
        let own = self.call_id.as_str();
        let late = bindings.into_iter().any(|binding| *binding.call_id == *own && self.cseq <= binding.cseq);
        if late { Err(RegisterError::OutOfOrder) } else { Ok(()) }
    }

    /// Whether the very same request was carried out before: its answer was lost, perhaps with a process that died before it
    /// could send it. Who repeats it gets that answer, and nothing changes: nobody prolongs a binding with a recorded
    /// request, nor brings back what was removed since, which is out of order.
    fn is_repeated(&self, contacts: &[Wanted<'_>], bindings: &[&Binding]) -> Result<bool, RegisterError> {
        let replaced = |wanted: &Wanted<'_>, is: &dyn Fn(&Binding) -> bool| {
            bindings.iter().filter(|binding| wanted.replaces(binding)).any(|binding| is(binding))
        };
        let repeated = |wanted: &Wanted<'_>| replaced(wanted, &|binding| self.repeats(wanted, binding));
        let is_gone = |wanted: &Wanted<'_>| wanted.expires == 0 && !replaced(wanted, &|_| true);
        if !contacts.iter().any(repeated) {
            return Ok(false);
        }
        let whole = contacts.iter().all(|wanted| repeated(wanted) || is_gone(wanted));
        if whole { Ok(true) } else { Err(RegisterError::OutOfOrder) }
    }

    /// Whether this binding is what this request writes, reached the same way.
    fn repeats(&self, wanted: &Wanted<'_>, binding: &Binding) -> bool {
        wanted.expires > 0
            && self.cseq == binding.cseq
            && *binding.call_id == *self.call_id.as_str()
            && *binding.uri() == *wanted.text
            && *binding.params() == *wanted.params
            && binding.is_reached_as(&self.binding(wanted))
    }

    /// At most how long the list of contacts is.
    fn listed(&self, bindings: &[Binding]) -> usize {
        let names = |names: &Names<'_>| bindings.iter().map(|binding| names.octets(binding)).sum();
        listed(bindings) + self.names.as_ref().map_or(0, names)
    }

    /// What the bindings become.
    fn changed(&self, live: &[&Binding], contacts: &[Wanted<'_>]) -> Result<Record, RegisterError> {
        let mut bindings: Bindings<'_> = live.iter().copied().map(Cow::Borrowed).collect();
        if !self.is_repeated(contacts, live)? {
            // All are checked against what was there before: of two equal contacts in one request the last holds.
            for wanted in contacts {
                self.is_later_than(live.iter().filter(|binding| wanted.replaces(binding)))?;
            }
            contacts.iter().for_each(|wanted| self.change(&mut bindings, wanted));
        }
        Ok(bindings.into_iter().map(Cow::into_owned).collect())
    }

    /// Replaces or removes what a contact stands for: of several flows with the same URI that may be more than one.
    fn change(&self, bindings: &mut Bindings<'_>, wanted: &Wanted<'_>) {
        let Some(at) = bindings.iter().position(|binding| wanted.replaces(binding)) else {
            if wanted.expires > 0 {
                bindings.push(Cow::Owned(self.binding(wanted)));
            }
            return;
        };
        let new = bindings.get(at).filter(|_| wanted.expires > 0).map(|old| self.binding(wanted).following(old));
        bindings.retain(|binding| !wanted.replaces(binding));
        if let Some(new) = new {
            bindings.insert(at, Cow::Owned(new));
        }
    }

    fn binding(&self, wanted: &Wanted<'_>) -> Binding {
        let uri = &wanted.uri;
        let by_flow = || self.outbound && wanted.reg_id > 0 || uri.sip().is_some_and(selector::needs_flow);
        let by = match (&self.path, self.flow) {
            (Some(path), _) => By::Path(path.text.clone()),
            (None, Some(flow)) if wanted.natted || by_flow() => By::Flow(flow.into()),
            _ => By::Uri,
        };
        let route = self.route.clone().filter(|_| matches!(by, By::Flow(_)));
        let source = || self.flow.map(|flow| Target { kind: flow.kind, address: flow.peer });
        Binding::new(NewBinding {
            uri,
            text: wanted.text.clone(),
            params: &wanted.params,
            q: wanted.q.thousandths(),
            expires_at: self.now + Duration::from_secs(wanted.expires.into()),
            call_id: self.call_id.as_str(),
            cseq: self.cseq,
            neighbour: self.path.as_ref().map_or_else(source, |path| path.first),
            by,
            device: wanted.device.as_deref(),
            reg_id: wanted.reg_id,
            now: self.now,
        })
        .behind_nat(wanted.natted)
        .routed(route)
    }
}
