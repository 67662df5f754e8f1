//! A request on its way through the processors.

use super::parked::{Waiter, Waiting};
use super::{Server, Steps};
use crate::accounting::{Account, Accounting};
use crate::cluster::Change;
use crate::events::Parties;
use crate::forwarding::Onward;
use crate::gruu_token::GruuTokens;
use crate::processors::ProcessorResult;
use crate::provisioning::Trust;
use crate::registrar::{Registered, Registrar};
use stack::flow_token::Purpose;
use stack::header::{HeaderValue, Many, Method, h, p};
use stack::message::Message;
use stack::selector::{Located, Target, locate};
use stack::transport::Flow;
use stack::tu::{AddPath, NextHop, ServerTransaction, TuContext};
use stack::uri::{Host, SipUri, Uri};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// A method, as far as a proxy distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// INVITE
    Invite,
    /// ACK for a 2xx
    Ack,
    /// A CANCEL that matches no INVITE
    Cancel,
    /// REGISTER
    Register,
    /// OPTIONS
    Options,
    /// SUBSCRIBE, REFER, NOTIFY: they may begin a dialog, as INVITE does
    DialogForming,
    /// Any other
    Other,
}

impl Verb {
    fn of(request: &Message) -> Self {
        match request.method() {
            Some(Method::Invite) => Verb::Invite,
            Some(Method::Ack) => Verb::Ack,
            Some(Method::Cancel) => Verb::Cancel,
            Some(Method::Register) => Verb::Register,
            Some(Method::Options) => Verb::Options,
            Some(Method::Subscribe | Method::Refer | Method::Notify) => Verb::DialogForming,
            _ => Verb::Other,
        }
    }
}

/// What the proxy knows of the Request-URI, read once.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestUri {
    /// `sip` or `sips`.
    pub is_sip: bool,
    /// Host and port are in one of our domains.
    pub ours: bool,
    /// There is a user.
    pub has_user: bool,
    /// It is a value that we put into Record-Route: ours, `lr`, and no user but a flow token.
    pub is_own_record_route: bool,
    /// There is an `maddr`.
    pub has_maddr: bool,
}

/// A request, and what the processors have found out about it.
pub struct RequestState {
    /// The request, from now on the proxy's copy (RFC 3261 §16.6 step 1).
    pub request: Box<Message>,
    /// Its method.
    pub verb: Verb,
    /// Its Request-URI.
    pub uri: RequestUri,
    /// The topmost Route that is not ours: whether it is a loose router. `None`: no Route is left.
    pub route: Option<bool>,
    /// What its sender may do without a password.
    pub trust: Trust,
    /// The address-of-record of the user that has shown to be its sender.
    pub user: Option<Box<str>>,
    /// The topmost Route was ours.
    pub came_by_own_route: bool,
    /// The flow that it goes by: the last Route of ours named it (RFC 5626 §5.3.1).
    pub flow: Option<Flow>,
    /// That flow is one that the other end of a dialog knows.
    pub is_flow_of_dialog: bool,
    /// The Path that a REGISTER for another domain gets.
    pub path: AddPath,
    /// Where it goes; none: to its Request-URI.
    pub steps: Steps,
    /// Where it goes when they have failed.
    pub(crate) onward: Option<Box<Onward>>,
    /// The address-of-record that the targets belong to.
    pub aor: String,
    /// Whether the response chain sees its responses.
    pub watched: bool,
    /// Whether the response chain may add targets: a copy of the request is kept for them.
    pub recurses: bool,
    /// The loop-detection part of its branch.
    pub loop_hash: u64,
    pub(super) transaction: Option<ServerTransaction>,
    /// What is told of it, if somebody is.
    pub(super) account: Option<Account>,
}

/// A request on its way through the chain: reSIProcate's `RequestContext` before the forwarding.
pub struct RequestContext<'s, 'c> {
    pub(super) state: RequestState,
    /// Configuration and stores.
    pub server: &'s Server,
    /// The stack.
    pub stack: &'s mut TuContext<'c>,
    /// Names this request if it waits.
    pub(super) ticket: u64,
    pub(super) shard: u16,
    pub(super) waiting: Option<Waiting>,
    /// An answer that waits.
    pub(super) unkept: Option<Unkept>,
}

/// An answer that waits until what its address-of-record has is kept.
pub(super) struct Unkept {
    pub(super) aor: String,
    pub(super) response: Box<Message>,
    /// What has changed, where nodes share their bindings.
    pub(super) changes: Option<Vec<Change>>,
}

impl Deref for RequestContext<'_, '_> {
    type Target = RequestState;

    fn deref(&self) -> &RequestState {
        &self.state
    }
}

impl DerefMut for RequestContext<'_, '_> {
    fn deref_mut(&mut self) -> &mut RequestState {
        &mut self.state
    }
}

impl RequestState {
    /// A request before the first processor; `transaction` is what answers go to: an ACK has none.
    pub(super) fn new(request: Box<Message>, transaction: Option<ServerTransaction>) -> Self {
        RequestState {
            verb: Verb::of(&request),
            request,
            uri: RequestUri::default(),
            route: None,
            trust: Trust::default(),
            user: None,
            came_by_own_route: false,
            flow: None,
            is_flow_of_dialog: false,
            path: AddPath::None,
            steps: Steps::new(),
            onward: None,
            aor: String::new(),
            watched: false,
            recurses: false,
            loop_hash: 0,
            transaction,
            account: None,
        }
    }
}

impl RequestContext<'_, '_> {
    /// Asks for an answer from elsewhere: whoever has the [`Waiter`] gives it, within `patience`. The processor then says
    /// [`ProcessorResult::WaitingForEvent`], and gets the answer in [`crate::processors::Processor::resume`].
    pub fn wait(&mut self, patience: Duration) -> Waiter {
        self.waiting = Some(Waiting { ticket: self.ticket, patience });
        Waiter::new(self.server.poster().cloned(), self.shard, self.ticket)
    }

    /// Reads the Request-URI, again after it was replaced.
    pub fn read_uri(&mut self) {
        self.state.uri = match self.request.request_uri() {
            Ok(Uri::Sip(sip)) => {
                let (ours, has_user) = (self.is_ours(&sip.host, sip.port), sip.user.is_some());
                let plain = sip.params.is_empty();
                let no_user_but_token = || sip.user.as_deref().is_none_or(|user| self.stack.flow_of(user).is_some());
                RequestUri {
                    is_sip: true,
                    ours,
                    has_user,
                    is_own_record_route: ours && !plain && sip.param(p::LR) && no_user_but_token(),
                    has_maddr: !plain && sip.params.contains("maddr"),
                }
            }
            _ => RequestUri::default(),
        };
    }

    /// Whether host and port belong to one of our domains.
    pub fn is_ours(&self, host: &Host<'_>, port: Option<u16>) -> bool {
        self.server.is_ours(host, port, self.stack.transports())
    }

    /// Whether a flow over UDP has brought none of the keep-alives that were promised (RFC 5626 §4.4).
    pub fn is_silent(&self, flow: &Flow) -> bool {
        self.stack.transports().heard().is_silent(flow, self.stack.now())
    }

    /// Whether the Request-URI names the proxy itself.
    pub fn is_to_proxy(&self) -> bool {
        self.uri.ours && !self.uri.has_user
    }

    /// Whether it is for a telephone number that can be looked up (ENUM).
    pub fn is_enum(&self) -> bool {
        let wanted = self.server.config().enum_suffix.is_some();
        wanted && matches!(self.request.request_uri(), Ok(Uri::Tel(tel)) if tel.is_global())
    }

    /// Whether it is for a telephone number that can be looked up, or for a number or an emergency service that a trunk may
    /// carry.
    pub fn is_number(&self) -> bool {
        let trunks = !self.server.provisioning().trunks.is_empty() && self.wants_targets();
        let carried = || match self.request.request_uri() {
            Ok(Uri::Tel(_)) => true,
            Ok(uri) => self.server.dial_plan().service_in(&uri).is_some(),
            Err(_) => false,
        };
        trunks && carried() || self.is_enum()
    }

    /// Whether targets have to be chosen for it: it is outside any dialog, and no Route or flow says where it goes. A
    /// REGISTER goes where it says.
    pub fn wants_targets(&self) -> bool {
        let chosen = self.route.is_some() || self.flow.is_some();
        !chosen && self.is_initial() && !matches!(self.verb, Verb::Register | Verb::Ack | Verb::Cancel)
    }

    /// Whether its sender may register: as whom, the password has decided, if one was asked for.
    pub fn may_register(&self) -> bool {
        self.trust.register || self.user.is_some() || self.is_open()
    }

    /// Whether its sender may send to any address: it is trusted, or one of our users, or known as the device of one. With
    /// passwords a source alone does outside of dialogs not count as a device: anybody can write that address.
    pub fn may_relay(&self) -> bool {
        let by_place = self.server.auth().is_none() || !self.is_initial();
        self.trust.relay || self.user.is_some() || self.is_open() || by_place && self.comes_from_endpoint()
    }

    /// Whether nobody is asked who reaches the proxy.
    pub(crate) fn is_open(&self) -> bool {
        self.server.is_open() && self.server.auth().is_none()
    }

    /// Whether its sender is a registered user's device, or the proxy that requests to one go through.
    pub fn comes_from_endpoint(&self) -> bool {
        let Some(flow) = self.request.source().map(|source| source.flow) else { return false };
        let place = Target { kind: flow.kind, address: flow.peer };
        self.is_endpoint(place) || self.server.location().is_proxy(place)
    }

    /// Whether a contact of a user is there.
    fn is_endpoint(&self, place: Target) -> bool {
        self.server.location().is_endpoint(place) || self.server.provisioning().is_static_place(place)
    }

    /// Whether it belongs to a dialog that we recorded, and goes to a registered user's device. What counts is where its
    /// Request-URI leads, `maddr` and transport included, and the next hop if there is another: the proxy that a Path
    /// begins with. A name could lead anywhere.
    pub fn goes_to_endpoint(&self) -> bool {
        // What begins a dialog has no Route of ours in it: a device would take that call, where it refuses a forged dialog.
        if !self.came_by_own_route || self.is_initial() {
            return false;
        }
        let (store, request) = (self.server.location(), &self.request);
        let at = |next_hop| match locate(request, next_hop, None) {
            Ok(Located::At(target)) => Some(target),
            Ok(Located::Name(_) | Located::Number(_)) | Err(_) => None,
        };
        match self.route {
            None => at(NextHop::RequestUri).is_some_and(|place| self.is_endpoint(place)),
            Some(_) => {
                // A name of ours, as a GRUU is, leads back here from wherever it is sent; with an `maddr` it does not.
                let ours = self.uri.ours && !self.uri.has_maddr;
                let user = ours || at(NextHop::RequestUri).is_some_and(|place| store.is_behind_proxy(place));
                // That proxy trusts us: what it sent on to another Route would go there in our name.
                let last = request.header(h::ROUTES).nth(1).is_none();
                user && last && at(NextHop::Route).is_some_and(|next| store.is_proxy(next))
            }
        }
    }

    /// Answers the request. A response to an ACK is never sent.
    pub fn respond(&mut self, code: u16) -> ProcessorResult {
        self.respond_with(code, |_| {})
    }

    /// Answers with a reason phrase of one's own.
    pub fn respond_reason(&mut self, code: u16, reason: &str) -> ProcessorResult {
        let tag = self.stack.rng().token::<13>();
        self.send(self.request.make_response(code, Some(reason), Some(&tag)))
    }

    /// Answers with more than a status.
    pub fn respond_with(&mut self, code: u16, complete: impl FnOnce(&mut Message)) -> ProcessorResult {
        let tag = self.stack.rng().token::<13>();
        let mut response = self.request.make_response(code, None, Some(&tag));
        complete(&mut response);
        self.send(response)
    }

    /// Takes note of a request that begins or ends a session, if that is told.
    pub(super) fn begin_account(&mut self) {
        if self.server.accounting().is_some_and(Accounting::wants_sessions) {
            let peers = &self.server.provisioning().peers;
            let peer = self.request.source().and_then(|source| peers.at(source.flow.peer.ip()));
            let name = peer.map(|peer| &*peer.record.name);
            self.state.account = Account::of(&self.state.request, self.stack.now(), name);
        }
    }

    /// The users of ours in a call that begins, if calls are told as dialogs; of one that ends that is told at once.
    pub(super) fn parties_of_call(&mut self) -> Option<Parties> {
        if !self.server.config().events.tells_calls() {
            return None;
        }
        match (self.verb, self.request.method()) {
            (Verb::Invite, _) if self.is_initial() => {
                let caller = self.user.as_deref().map(str::to_owned).or_else(|| self.sender_at_home());
                let called = Some(&*self.aor).filter(|aor| !aor.is_empty());
                Parties::of(&self.request, caller.as_deref(), called)
            }
            (Verb::Other, Some(Method::Bye)) => {
                self.server.compositor().call_ends(&self.request, self.stack.now());
                None
            }
            _ => None,
        }
    }

    /// The user of ours that it is said to be from.
    pub(crate) fn sender(&self) -> Option<String> {
        match self.request.header(h::FROM).map(|from| from.uri) {
            Ok(Uri::Sip(from)) if self.is_ours(&from.host, from.port) => Some(aor_key(from)),
            _ => None,
        }
    }

    /// The same, if it comes from a device that is registered for him.
    pub(crate) fn sender_at_home(&self) -> Option<String> {
        let flow = self.request.source()?.flow;
        let place = Target { kind: flow.kind, address: flow.peer };
        self.sender().filter(|aor| self.server.location().has_endpoint(aor, place, self.stack.now()))
    }

    /// Whether it is an INVITE outside of any dialog.
    pub(super) fn begins_call(&self) -> bool {
        self.verb == Verb::Invite && self.is_initial()
    }

    /// What is told of it when it has its answer.
    pub(super) fn take_account(&mut self) -> Option<Account> {
        let mut account = self.state.account.take()?;
        account.set_user(self.state.user.as_deref());
        Some(account)
    }

    fn send(&mut self, response: impl Into<Box<Message>>) -> ProcessorResult {
        let response = response.into();
        let code = response.status().unwrap_or(0);
        if self.begins_call() {
            self.server.counters(self.shard).ended_with(code, false);
        }
        if let (Some(accounting), Some(Account::Invite(call))) = (self.server.accounting(), self.take_account()) {
            accounting.refused(call, code, false, self.stack.now());
        }
        if let Some(transaction) = self.transaction {
            self.stack.respond(transaction, response);
        }
        ProcessorResult::SkipAllChains
    }

    /// Answers once what an address-of-record has is kept; without a store, at once. With one, a place in its journal was
    /// reserved.
    pub(crate) fn respond_when_kept(&mut self, aor: &str, code: u16) -> ProcessorResult {
        let tag = self.stack.rng().token::<13>();
        let response = self.request.make_response(code, None, Some(&tag));
        self.unkept = Some(Unkept { aor: aor.to_owned(), response: Box::new(response), changes: None });
        ProcessorResult::SkipAllChains
    }

    /// Answers 420 with the extensions in `header` that are not `supported` (RFC 3261 §8.2.2.3, §16.3 step 5).
    pub fn bad_extension<T: HeaderValue>(&mut self, header: Many<T>, supported: &[&str]) -> ProcessorResult {
        let is_known = |tag: &str| supported.iter().any(|known| tag.eq_ignore_ascii_case(known));
        let wanted = self.request.header(header).texts().map(|tag| tag.unwrap_or("?"));
        let wanted = wanted.filter(|tag| !is_known(tag)).collect::<Vec<_>>().join(", ");
        self.respond_with(420, |response| response.append_line("Unsupported", &wanted))
    }

    /// Lets the registrar answer.
    pub fn register(&mut self, aor: &str) -> ProcessorResult {
        let (tag, now) = (self.stack.rng().token::<13>(), self.stack.now());
        let nonce = GruuTokens::nonce(self.stack.rng());
        let route = self.server.cluster().and_then(|cluster| {
            let flow = self.request.source()?.flow;
            cluster.route(&self.stack.flow_token(&flow, Purpose::Device))
        });
        let registrar = Registrar { server: self.server, transports: self.stack.transports(), nonce, route };
        let Registered { response, reached_by, changed, changes } = registrar.register(aor, &self.request, &tag, now);
        match reached_by {
            Some((flow, Some(silence))) => self.stack.expect_keep_alives(&flow, silence),
            Some((flow, None)) => self.stack.expect_no_keep_alives(&flow),
            None => {}
        }
        let bound = response.status() == Some(200) && response.exists(h::CONTACTS);
        if let Some(silo) = self.server.silo().filter(|_| bound) {
            silo.registered(aor, self.shard);
        }
        if changed {
            self.unkept = Some(Unkept { aor: aor.to_owned(), response, changes });
            return ProcessorResult::SkipAllChains;
        }
        self.send(response)
    }

    /// Whether it is outside any dialog: its To has no tag.
    pub fn is_initial(&self) -> bool {
        !self.request.has_to_tag()
    }
}

/// The key of an address-of-record in one of our domains: canonical user and host. The port, if any, is one of ours and
/// means nothing.
pub fn aor_key(uri: SipUri<'_>) -> String {
    SipUri { port: None, ..uri }.aor_key()
}
