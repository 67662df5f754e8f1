//! The user agent as the application and its usages see it during one call: state, time, and the stack.

use crate::auth::client as auth;
use crate::callback::Callback;
use crate::core::Core;
use crate::dialogs::DialogEntry;
use crate::handle::{Handle, UsageEnded};
use crate::profile::{MasterProfile, UserProfile};
use crate::usage::Usage;
use rutil::{Rng, Time};
use stack::header::{Contact, Method, NameAddr, RetryAfter, h, p};
use stack::helper;
use stack::message::Message;
use stack::transport::{TransportInfo, TransportType};
use stack::tu::{ClientTransaction, SendOptions, ServerTransaction, TuContext};
use stack::uri::{Host, SipUri, Uri};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The user agent during one call: what handlers and commands get, and what handles are used with. Whatever is done
/// with it is done at once; what it causes to be told is told when the present callback has returned.
pub struct Dum<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) stack: TuContext<'a>,
}

impl Dum<'_> {
    /// The present.
    pub fn now(&self) -> Time {
        self.stack.now()
    }

    /// Randomness.
    pub fn rng(&mut self) -> &mut Rng {
        self.stack.rng()
    }

    /// What the user agent can do.
    pub fn master_profile(&self) -> &Arc<MasterProfile> {
        &self.core.master
    }

    /// From now on it can do this. Profiles that lie on the one before keep lying on that.
    pub fn set_master_profile(&mut self, master: MasterProfile) {
        self.core.master = Arc::new(master);
    }

    /// Tells the application, after the present step.
    pub(crate) fn call_back(&mut self, callback: impl Into<Callback>) {
        self.core.callbacks.push_back(callback.into());
    }

    /// Sends a request in a transaction of its own; what comes of it is told to the usage.
    pub(crate) fn send(&mut self, usage: Usage, mut msg: Message, options: SendOptions) -> ClientTransaction {
        let profile = usage.profile(self.core);
        let options = self.options_by(profile.as_deref(), options);
        let kept = auth::prepare(self, usage, &mut msg).map(|profile| (profile, Box::new(msg.clone())));
        let transaction = self.transmit(msg, options);
        self.core.clients.insert(transaction, usage);
        if let Some((profile, msg)) = kept {
            auth::keep(self, transaction, msg, options, profile);
        }
        transaction
    }

    /// Whether a message is a request of a method as a transaction carries it: with From and its tag, To, Call-ID, and a CSeq
    /// of the same method (RFC 3261 §8.1.1).
    pub(crate) fn is_request_of(&self, msg: &Message, method: &Method<'_>) -> bool {
        msg.is_request()
            && msg.method().as_ref() == Some(method)
            && msg.header(h::CSEQ).is_ok_and(|cseq| cseq.method == *method)
            && self.core.dialogs.key_of_request(msg).is_some()
    }

    /// What a profile says of how its requests are sent; without one the master profile's.
    pub(crate) fn options_by(&self, profile: Option<&UserProfile>, options: SendOptions) -> SendOptions {
        let rport = profile.map_or_else(|| self.core.master.user().rport(), UserProfile::rport);
        SendOptions { no_rport: !rport, ..options }
    }

    /// Answers a request with a status and no more than what every response of ours says.
    pub(crate) fn refuse(&mut self, transaction: ServerTransaction, request: &Message, status: u16) {
        let response = self.make_response(request, status, None);
        self.respond(transaction, response);
    }

    /// Answers a request that may come again in a moment: 500 with a Retry-After of 0 to 10 s (RFC 3261 §14.2).
    pub(crate) fn refuse_for_now(&mut self, transaction: ServerTransaction, request: &Message) {
        let mut response = self.make_response(request, 500, None);
        response.set(h::RETRY_AFTER, &RetryAfter::new(self.rng().range(11) as u32));
        self.respond(transaction, response);
    }

    /// Answers what would begin something that there is no room for: it may come again, or go elsewhere (RFC 3261 §21.5.4).
    pub(crate) fn refuse_new(&mut self, transaction: ServerTransaction, request: &Message) {
        let mut response = self.make_response(request, 503, None);
        self.come_later(&mut response);
        self.respond(transaction, response);
    }

    /// Writes Retry-After into a 503: not all come back at once.
    pub(crate) fn come_later(&mut self, response: &mut Message) {
        response.set(h::RETRY_AFTER, &RetryAfter::new(5 + self.rng().range(6) as u32));
    }

    /// A response with Server, Allow if it is a 405, and a To tag where the request has none. Responses that are to have the same tag bring it.
    pub(crate) fn make_response(&mut self, request: &Message, status: u16, tag: Option<&str>) -> Message {
        let new = if tag.is_none() && !request.has_to_tag() { self.stack.new_tag() } else { String::new() };
        let mut response = request.make_response(status, None, Some(tag.unwrap_or(&new)));
        if let Some(name) = self.core.master.user().user_agent() {
            response.set(h::SERVER, &*name);
        }
        // RFC 3261 §8.2.1; what nobody takes here is not among them, whatever the profile says.
        if status == 405 {
            let method = request.method();
            let others = self.core.master.methods().iter().filter(|known| Some(*known) != method.as_ref());
            response.push_back(h::ALLOWS, &others.map(Method::as_str).collect::<Vec<_>>().join(", "));
        }
        response
    }

    /// A request in a dialog with the next CSeq, and User-Agent as the dialog set's profile has it.
    pub(crate) fn make_in_dialog(
        &mut self,
        dialog: Handle<DialogEntry>,
        method: &Method<'_>,
    ) -> Result<Message, UsageEnded> {
        let entry = self.core.dialogs.get_mut(dialog)?;
        let mut msg = entry.dialog.make_request(method);
        if let Some(name) = self.core.dialogs.profile_of(dialog)?.user_agent() {
            msg.set(h::USER_AGENT, &*name);
        }
        Ok(msg)
    }

    /// A request out of a dialog: From, routes and User-Agent as the profile has them, a new Call-ID and From tag, CSeq
    /// 1; with Contact, Allow and Supported if the method makes a dialog or announces what this side can do. The body, and
    /// whatever else it is to say, is up to the caller.
    pub fn make_request(&mut self, profile: &UserProfile, method: &Method<'_>, target: &NameAddr<'_>) -> Message {
        let mut msg = helper::make_initial(method, target, &profile.from(), self.stack.rng());
        let proxy = profile.outbound_proxy();
        let routes = profile.service_route();
        for route in proxy.iter().map(|proxy| &**proxy).chain(routes.iter()) {
            msg.push_back(h::ROUTES, route);
        }
        if let Some(name) = profile.user_agent() {
            msg.set(h::USER_AGENT, &*name);
        }
        if let Method::Invite | Method::Subscribe | Method::Refer | Method::Options = method {
            let first = proxy.as_deref().or(routes.first()).map_or(&target.uri, |route| &route.uri);
            // RFC 3261 §8.1.1.8.
            let contact = self.contact_towards(profile, first, target.uri.scheme() == "sips");
            msg.push_back(h::CONTACTS, &contact);
            self.advertise(&mut msg);
        }
        msg
    }

    /// Writes Allow, Supported and Allow-Events (RFC 3261 §13.2.1, RFC 6665 §4.1.1).
    pub(crate) fn advertise(&self, msg: &mut Message) {
        let master = &self.core.master;
        msg.push_back(h::ALLOWS, master.allow());
        if let Some(tags) = master.supported() {
            msg.push_back(h::SUPPORTEDS, tags);
        }
        if let Some(events) = master.allow_events() {
            msg.push_back(h::ALLOW_EVENTS, &events);
        }
    }

    /// The Contact of a request that goes to a URI first: at the first transport that leads to its kind. `sips`: the request
    /// is to go by secure transports all the way.
    pub(crate) fn contact_towards(&self, profile: &UserProfile, first: &Uri<'_>, sips: bool) -> NameAddr<'static> {
        use TransportType::{Tls, Udp, Ws, Wss};
        let sips = sips || first.scheme() == "sips";
        let kind = first.sip().and_then(|sip| sip.param(p::TRANSPORT)).and_then(TransportType::from_name);
        let kind = match kind {
            Some(Ws | Wss) if sips => Wss,
            _ if sips => Tls,
            Some(kind) => kind,
            None => Udp,
        };
        let transports = self.stack.transports();
        let transport = transports.iter().find(|t| t.kind == kind).or_else(|| transports.iter().next());
        contact(profile, transport, None, sips)
    }

    /// Writes the Contact of an answer: in a dialog the one that this side has there.
    pub(crate) fn write_contact(
        &self,
        response: &mut Message,
        (dialog, profile): (Option<Handle<DialogEntry>>, &UserProfile),
        request: &Message,
    ) {
        let known = dialog.and_then(|dialog| self.core.dialogs.get(dialog).ok()?.dialog.contact());
        match known {
            Some(contact) => response.push_back(h::CONTACTS, contact),
            None => response.push_back(h::CONTACTS, &self.contact_in_answer(profile, request)),
        }
    }

    /// The Contact of an answer: at the transport that the request came by. Where the dialog is to be secure it is a sips
    /// URI (RFC 3261 §12.1.1), at a transport that is.
    pub(crate) fn contact_in_answer(&self, profile: &UserProfile, request: &Message) -> NameAddr<'static> {
        let (sips, source) = (wants_sips(request), request.source());
        let flow = source.map(|source| source.flow).filter(|flow| flow.kind.is_secure() || !sips);
        match (flow, request.request_uri()) {
            (Some(flow), _) => contact(profile, self.stack.transports().get(flow.transport), flow.local, sips),
            (None, Ok(uri)) => self.contact_towards(profile, &uri, sips),
            (None, Err(_)) => self.contact_towards(profile, &profile.from().uri, sips),
        }
    }
}

/// Whether what a request makes is a dialog of sips URIs (RFC 3261 §12.1.1): Request-URI and the first Record-Route say so,
/// without one the Contact.
fn wants_sips(request: &Message) -> bool {
    let sips = |uri: &Uri<'_>| uri.scheme() == "sips";
    let route = request.header(h::RECORD_ROUTES).next();
    let sender = match route {
        Some(route) => route.is_ok_and(|route| sips(&route.uri)),
        None => request.header(h::CONTACTS).flatten().next().and_then(Contact::into_addr).is_some_and(|c| sips(&c.uri)),
    };
    sender || request.request_uri().is_ok_and(|uri| sips(&uri))
}

/// The profile's, or its user at a transport's address; `local` where the transport has all, `secure` for a sips URI.
fn contact(
    profile: &UserProfile,
    transport: Option<&TransportInfo>,
    local: Option<IpAddr>,
    secure: bool,
) -> NameAddr<'static> {
    if let Some(contact) = profile.contact() {
        return (*contact).clone();
    }
    let from = profile.from();
    let user = from.uri.sip().and_then(|sip| sip.user.clone());
    let mut uri = SipUri { user, secure, ..SipUri::new(Host::Name("invalid".into())) };
    if let Some(transport) = transport {
        let address = match local.filter(|_| transport.is_wildcard()) {
            Some(ip) => SocketAddr::new(ip, transport.bound.port()),
            None => transport.advertised,
        };
        uri.host = match address.ip() {
            IpAddr::V4(ip) => Host::V4(ip),
            IpAddr::V6(ip) => Host::V6(ip),
        };
        uri.port = Some(address.port());
        match transport.kind {
            TransportType::Udp => {}
            // What sips says already (RFC 3261 §26.2.2).
            TransportType::Tls if secure => {}
            TransportType::Wss => uri.params.set(p::TRANSPORT, "ws"),
            kind => uri.params.set(p::TRANSPORT, kind.as_param()),
        }
    }
    NameAddr::new(Uri::Sip(uri))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::{addr, profile};
    use crate::testing::Bench;
    use crate::{Application, DumOptions};
    use TransportType::{Tls, Udp, Wss};

    struct App;
    impl Application for App {}

    /// RFC 3261 §8.1.1.8, §12.1.1.
    #[test]
    fn the_contact_is_sips_where_the_request_is() {
        let contacts = |kinds: &[TransportType], target: &str, proxy: Option<&str>, edit: fn(&mut Message)| {
            let mut bench = Bench::with_transports(App, DumOptions::default(), kinds);
            let mut profile = UserProfile::on(&profile());
            profile.set_outbound_proxy(proxy.map(|proxy| Arc::new(addr(proxy).into_owned())));
            bench.with(|_, dum| {
                let mut msg = dum.make_request(&profile, &Method::Invite, &addr(target));
                let asked = msg.first(h::CONTACTS).unwrap().to_string();
                msg.remove(h::CONTACTS);
                edit(&mut msg);
                (asked, dum.contact_in_answer(&profile, &msg).to_string())
            })
        };
        let (udp, tls) = ("<sip:alice@192.0.2.1:5060>", "<sips:alice@192.0.2.1:5061>");
        let keep: fn(&mut Message) = |_| {};
        for (target, proxy, expected) in [
            ("<sip:b@c>", None, udp),
            ("<sips:b@c>", None, tls),
            ("<sips:b@c>", Some("<sip:proxy;lr>"), tls),
            ("<sip:b@c>", Some("<sips:proxy;lr>"), tls),
            ("<sips:b@c;transport=tcp>", None, tls),
        ] {
            assert_eq!(contacts(&[Udp, Tls], target, proxy, keep).0, expected, "{target} {proxy:?}");
        }
        assert_eq!(
            contacts(&[Wss], "<sips:b@c;transport=ws>", None, keep).0,
            "<sips:alice@192.0.2.1:5060;transport=ws>"
        );
        for (target, edit, expected) in [
            ("<sip:b@c>", keep, udp),
            ("<sips:b@c>", keep, tls),
            ("<sip:b@c>", |msg| msg.push_back(h::CONTACTS, "<sips:a@d>"), tls),
            ("<sip:b@c>", |msg| msg.push_back(h::RECORD_ROUTES, "<sips:p;lr>"), tls),
            (
                "<sip:b@c>",
                |msg| {
                    msg.push_back(h::RECORD_ROUTES, "<sip:p;lr>");
                    msg.push_back(h::CONTACTS, "<sips:a@d>");
                },
                udp,
            ),
        ] {
            assert_eq!(contacts(&[Udp, Tls], target, None, edit).1, expected, "{target}");
        }
    }
}
