//! The actor between `out` and `wire[t]`: finds the next hop, fills the Via, prints, and picks the transport.

use super::domain::domain_to_prove;
use super::failover::{Cause, Failover, Retry};
use super::greylist::Greylist;
use super::locate::{Candidate, Located, Target, locate};
use super::lookups::{Lookups, Outcome};
use super::racing::Races;
use super::resolver::{Answer, ResolverHandle};
use super::search::{Found, Reach, Search};
use crate::flow_token::{FlowTokens, Purpose};
use crate::header::{Contact, HeaderId, h, p};
use crate::hep::Tap;
use crate::message::Message;
use crate::overload::NextHops;
use crate::statistics::Tally;
use crate::transaction::{ClientTransaction, Downgrade, Input, Outgoing, Sent, Transmission};
use crate::transport::{
    Connected, ConnectionId, Flow, Notify, RouteQuery, Routes, Text, TransportError, TransportInfo, TransportTable,
    TransportType, Wire,
};
use crate::tu::{AddPath, NextHop, NoResponse, SendOptions};
use crate::uri::{SipUri, Uri};
use bytes::Bytes;
use rutil::{Actor, Class, FifoReceiver, FifoSender, Full, Rng, Time, Turn};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Items a turn: more than the transactions pass on in one pass, or `out` would fill in a burst.
const BATCH: usize = 256;

/// How long to wait for room before looking again.
const HOLD: Duration = Duration::from_millis(1);

/// What a selector is made of.
pub(crate) struct SelectorParts {
    pub(crate) shard: u16,
    pub(crate) out: FifoReceiver<Outgoing>,
    pub(crate) answers: FifoReceiver<Answer>,
    /// What became of the connections of races.
    pub(crate) connected: FifoReceiver<Connected>,
    /// How long an address has before the next one of its host is tried beside it (RFC 8305 §5).
    pub(crate) attempt_delay: Duration,
    pub(crate) resolver: ResolverHandle,
    pub(crate) news: FifoSender<Input>,
    /// One a transport of the stack, by [`TransportId`].
    pub(crate) wires: Vec<FifoSender<Wire>>,
    pub(crate) transports: TransportTable,
    /// Which address of ours leads to another.
    pub(crate) route: RouteQuery,
    pub(crate) outbound_proxy: Option<SipUri<'static>>,
    /// Where telephone numbers are looked up (RFC 6116).
    pub(crate) enum_suffix: Option<String>,
    /// Requests larger than this leave UDP (RFC 3261 §18.1.1).
    pub(crate) udp_limit: usize,
    /// RFC 7339: what next hops want to be left out.
    pub(crate) next_hops: Option<NextHops>,
    pub(crate) rng: Rng,
    pub(crate) tokens: FlowTokens,
    pub(crate) tap: Tap,
    pub(crate) tally: Arc<Tally>,
}

/// A request on its way out.
pub(super) struct Request {
    pub(super) transaction: ClientTransaction,
    pub(super) msg: Box<Message>,
    pub(super) options: Box<SendOptions>,
    pub(super) stateless: bool,
}

/// reSIProcate's TransportSelector.
pub(crate) struct TransportSelector {
    pub(super) parts: SelectorParts,
    routes: Routes,
    reach: Reach,
    lookups: Lookups<Request>,
    pub(super) races: Races,
    pub(super) greylist: Greylist,
    /// News that found no room: while there is any, nothing is sent.
    held: VecDeque<Input>,
    retry_at: Time,
}

impl TransportSelector {
    pub(crate) fn new(mut parts: SelectorParts) -> Self {
        let routes = Routes::new(parts.route, &mut parts.rng);
        TransportSelector {
            routes,
            reach: Reach::of(&parts.transports),
            lookups: Lookups::new(parts.shard, parts.resolver.clone(), parts.tally.clone(), parts.rng.split()),
            races: Races::new(&mut parts.rng),
            greylist: Greylist::new(&mut parts.rng),
            held: VecDeque::new(),
            retry_at: Time::ZERO,
            parts,
        }
    }

    fn send(&mut self, outgoing: Outgoing, now: Time) {
        match outgoing {
            Outgoing::Bytes(transmission) => {
                let Transmission { bytes, flow, domain, notify } = *transmission;
                if let (Err(error), Some(notify)) = (self.wire(bytes, (flow, domain), true, notify, now), notify) {
                    self.tell(Input::Failed(crate::transport::TransportFailed { notify, error }), now);
                }
            }
            Outgoing::Request { transaction, msg, options, stateless } => {
                self.select(Request { transaction, msg, options, stateless }, now);
            }
            Outgoing::Retry(retry) => self.retry(*retry, now),
            Outgoing::Load(load) => {
                let (from, report) = *load;
                if let Some(hops) = &mut self.parts.next_hops {
                    hops.heard(from, report, now);
                }
            }
            Outgoing::Expect { transport, connection, within } => {
                if let Some(wire) = self.parts.wires.get(usize::from(transport.0)) {
                    drop(wire.push(Wire::Expect { connection, within }, Class::Internal, now));
                }
            }
            Outgoing::Ping { transport, connection, within } => {
                if let Some(wire) = self.parts.wires.get(usize::from(transport.0)) {
                    drop(wire.push(Wire::Ping { connection, within }, Class::Internal, now));
                }
            }
            Outgoing::Downgrade(downgrade) => self.downgrade(*downgrade, now),
        }
    }

    fn select(&mut self, request: Request, now: Time) {
        let located = locate(&request.msg, request.options.next_hop, self.parts.outbound_proxy.as_ref());
        let search = match (located, &self.parts.enum_suffix) {
            (Ok(Located::At(target)), _) => return self.send_to(request, target, ConnectionId::default(), None, now),
            (Ok(Located::Name(place)), _) => Search::place(place, self.reach),
            (Ok(Located::Number(number)), Some(suffix)) => Search::number(number, suffix, self.reach),
            (Ok(Located::Number(_)), None) => return self.not_sent(&request, NoResponse::NotFound, now),
            (Err(reason), _) => return self.not_sent(&request, reason, now),
        };
        if let Some(outcome) = self.lookups.begin(request, search, now) {
            self.located(outcome, now);
        }
    }

    /// The end of a search. Whoever wrote the records, only what a transport of ours reaches is tried.
    fn located(&mut self, (mut request, result): Outcome<Request>, now: Time) {
        let Found { targets, hosts, uri } = match result {
            Ok(found) => found,
            Err(reason) => {
                let uri = String::from_utf8_lossy(request.msg.request_uri_text());
                tracing::info!(%uri, %reason, "no next hop");
                return self.not_sent(&request, reason, now);
            }
        };
        let all = targets.into_iter().zip(hosts).map(|(target, host)| Candidate { target, host });
        let reaches = |target: &Target| self.parts.transports.reaches(target.kind, target.address.ip());
        let mut candidates: Vec<Candidate> = all.filter(|one| reaches(&one.target)).collect();
        if let Some(uri) = uri {
            request.msg.set_request_uri(&uri);
        }
        self.greylist.sort(&mut candidates, now);
        self.try_targets(request, candidates, now);
    }

    /// RFC 3263 §4.3: sends to the first, or to the one that wins where several may race.
    pub(super) fn try_targets(&mut self, request: Request, left: Vec<Candidate>, now: Time) {
        if left.is_empty() {
            return self.not_sent(&request, TransportError::NoTransport.into(), now);
        }
        // A race may be won by a connection that stands.
        let ready =
            if request.options.new_connection { Some((request, left)) } else { self.begin_race(request, left, now) };
        if let Some((request, left)) = ready {
            self.send_first(request, left, ConnectionId::default(), now);
        }
    }

    /// Sends to the first, and keeps what another attempt needs. A request without a transaction has one attempt: nobody
    /// would hear that it failed.
    pub(super) fn send_first(
        &mut self,
        request: Request,
        mut left: Vec<Candidate>,
        connection: ConnectionId,
        now: Time,
    ) {
        let tried = left.remove(0).target;
        let again = !left.is_empty() && !request.stateless;
        let failover = again
            .then(|| Box::new(Failover { msg: request.msg.clone(), options: request.options.clone(), tried, left }));
        self.send_to(request, tried, connection, failover, now);
    }

    /// The attempt before has failed.
    fn retry(&mut self, retry: Retry, now: Time) {
        let Retry { transaction, failover, cause } = retry;
        let Failover { msg, options, tried, mut left } = *failover;
        self.put_last(tried, cause, now);
        self.greylist.sort(&mut left, now);
        self.try_targets(Request { transaction, msg, options, stateless: false }, left, now);
    }

    pub(super) fn put_last(&mut self, target: Target, cause: Cause, now: Time) {
        if self.greylist.put(target, cause, now) {
            self.parts.tally.dns.greylisted.inc();
        }
    }

    /// The way to a peer by the transport that the routes say.
    pub(super) fn towards(&mut self, kind: TransportType, peer: SocketAddr, now: Time) -> Option<Flow> {
        let TransportSelector { parts, routes, .. } = self;
        let way = parts.transports.towards(kind, peer.ip(), parts.shard, |ip| routes.source(ip, now))?;
        parts.transports.learn(way.local);
        Some(way.flow(peer))
    }

    /// A flow whose maker did not know which address of ours leads to its peer.
    fn local_of(&mut self, flow: Flow, now: Time) -> Flow {
        let by_route = self.parts.transports.get(flow.transport).is_some_and(TransportInfo::is_by_route);
        match flow.local {
            None if by_route => Flow { local: self.routes.source(flow.peer.ip(), now), ..flow },
            _ => flow,
        }
    }

    /// `connection`: the one that won a race, or none.
    fn send_to(
        &mut self,
        mut request: Request,
        target: Target,
        connection: ConnectionId,
        failover: Option<Box<Failover>>,
        now: Time,
    ) {
        let flow = match request.options.next_hop {
            NextHop::Flow(flow) | NextHop::From(flow) => Some(self.local_of(flow, now)),
            _ => self.towards(target.kind, target.address, now).map(|flow| {
                let own = request.options.new_connection && flow.kind.is_reliable();
                Flow { connection: if own { ConnectionId::NEW } else { connection }, ..flow }
            }),
        };
        if flow.is_some_and(|flow| self.leaves_out(&request, flow.peer, now)) {
            return self.not_sent(&request, TransportError::Congested.into(), now);
        }
        let Some((flow, transport)) = flow.and_then(|flow| Some((flow, self.parts.transports.get(flow.transport)?)))
        else {
            return self.not_sent(&request, TransportError::NoTransport.into(), now);
        };
        // RFC 3261 §26.2.2: whatever named the flow.
        if !flow.kind.is_secure() && request.msg.is_sips() {
            return self.not_sent(&request, TransportError::NoTransport.into(), now);
        }
        self.record_route(&mut request, transport, flow);
        self.add_path(&mut request.msg, request.options.path, transport, flow);
        let branch = request.transaction.branch(request.options.loop_hash);
        request.msg.push_front_raw(
            HeaderId::VIA,
            &[&transport.via(flow.local), branch.as_bytes(), self.via_end(request.options.no_rport)],
        );
        let mut bytes = request.msg.to_bytes();
        let (mut flow, mut for_size) = (flow, false);
        if let Some(stream) = self.too_large(&bytes, &request, flow, now) {
            self.replace_via(&mut request.msg, stream, branch.as_bytes(), request.options.no_rport);
            bytes = request.msg.to_bytes();
            (flow, for_size) = (stream, true);
        }
        let most = request.options.most_octets.filter(|_| flow.kind.is_reliable());
        if most.is_some_and(|most| bytes.len() > most as usize) {
            return self.not_sent(&request, TransportError::TooLarge.into(), now);
        }
        self.dispatch(&request, bytes, (flow, for_size), failover, now);
    }

    /// Whether the next hop wants less new work, and this request is among what is left out.
    fn leaves_out(&mut self, request: &Request, peer: SocketAddr, now: Time) -> bool {
        let hops = self.parts.next_hops.as_mut().filter(|_| !request.stateless);
        hops.is_some_and(|hops| hops.leaves_out(&request.msg, peer, now))
    }

    /// What stands behind our branch.
    fn via_end(&self, no_rport: bool) -> &'static [u8] {
        match (self.parts.next_hops.is_some(), no_rport) {
            (true, false) => b";rport;oc;oc-algo=\"loss\"",
            (true, true) => b";oc;oc-algo=\"loss\"",
            (false, false) => b";rport",
            (false, true) => b"",
        }
    }

    /// Names another way in our Via.
    fn replace_via(&self, msg: &mut Message, flow: Flow, branch: &[u8], no_rport: bool) {
        if let Some(transport) = self.parts.transports.get(flow.transport) {
            msg.replace_first_raw(h::VIAS, &[&transport.via(flow.local), branch, self.via_end(no_rport)]);
        }
    }

    /// RFC 3261 §18.1.1: a large request leaves UDP for a transport with congestion control, where there is one. One
    /// without a transaction (the ACK for a 2xx) stays on the transport that its URI says: nobody hears when it cannot
    /// be delivered, so the step back to UDP that the same section asks for could not happen.
    fn too_large(&mut self, bytes: &Bytes, request: &Request, flow: Flow, now: Time) -> Option<Flow> {
        let free = !request.stateless && matches!(request.options.next_hop, NextHop::Route | NextHop::RequestUri);
        let large = flow.kind == TransportType::Udp && bytes.len() > self.parts.udp_limit;
        if free && large { self.towards(TransportType::Tcp, flow.peer, now) } else { None }
    }

    fn dispatch(
        &mut self,
        request: &Request,
        bytes: Bytes,
        (flow, for_size): (Flow, bool),
        failover: Option<Box<Failover>>,
        now: Time,
    ) {
        let key = request.transaction.key(false);
        let notify = Notify { shard: self.parts.shard, key };
        let connect = !matches!(request.options.next_hop, NextHop::Flow(_));
        let notify = (!request.stateless).then_some(notify);
        let domain = self.domain_of(request, flow.kind);
        match (self.wire(bytes.clone(), (flow, domain.clone()), connect, notify, now), failover) {
            (Ok(()), failover) if !request.stateless => {
                self.tell(Input::Sent(Box::new(Sent { key, bytes, flow, domain, for_size, failover })), now);
            }
            (Ok(()), _) => {}
            (Err(_), Some(failover)) => {
                let Failover { msg, options, left, .. } = *failover;
                self.try_targets(
                    Request { transaction: request.transaction, msg, options, stateless: false },
                    left,
                    now,
                );
            }
            (Err(error), None) => self.not_sent(request, error.into(), now),
        }
    }

    /// Whom the peer has to prove to be.
    pub(super) fn domain_of(&self, request: &Request, kind: TransportType) -> Option<Arc<str>> {
        let secure = kind.is_secure();
        let domain = || domain_to_prove(&request.msg, request.options.next_hop, self.parts.outbound_proxy.as_ref());
        if secure { domain() } else { None }
    }

    /// RFC 3261 §16.6 step 4; where inbound and outbound side differ in address or transport, one Record-Route for each
    /// (RFC 5658): the outbound one above, so that each side meets its own first. A side that is a WebSocket client, or a
    /// device that asks to be reached by its flow, has that in it (RFC 5626 §5.3). A secure side of a sips request has a sips URI.
    fn record_route(&self, request: &mut Request, outbound: &TransportInfo, flow: Flow) {
        let Some(inbound) = request.options.record_route else { return };
        let token = |flow: &Flow, asked: bool| match flow.kind {
            TransportType::Ws | TransportType::Wss => format!("{}@", self.parts.tokens.token(flow, Purpose::Dialog)),
            _ if asked => format!("{}@", self.parts.tokens.token(flow, Purpose::Dialog)),
            _ => String::new(),
        };
        let by_flow = matches!(request.options.next_hop, NextHop::Flow(_));
        let back_by_flow = request.options.back_by_flow || asks_for_flow(&request.msg);
        let (caller, called) = (token(&inbound, back_by_flow), token(&flow, by_flow));
        let towards_called = route_by(outbound, &called, flow.local);
        let inside = self.parts.transports.get(inbound.transport);
        let towards_caller = inside.map(|transport| route_by(transport, &caller, inbound.local));
        let differs = |text: &Text<'_>| !caller.is_empty() || **text != *towards_called;
        let sips = (flow.kind.is_secure() || inbound.kind.is_secure()) && leads_by_sips(&request.msg);
        let scheme = |kind: TransportType| if sips && kind.is_secure() { &b"<sips:"[..] } else { b"<sip:" };
        let (near, far) = (scheme(inbound.kind), scheme(flow.kind));
        if let Some(towards_caller) = towards_caller.filter(|text| near != far || differs(text)) {
            request.msg.push_front_raw(HeaderId::RECORD_ROUTE, &[near, caller.as_bytes(), &towards_caller]);
        }
        request.msg.push_front_raw(HeaderId::RECORD_ROUTE, &[far, called.as_bytes(), &towards_called]);
    }

    /// RFC 3327 §5.2: the way back to us from where a REGISTER goes, and from here the flow that it came by.
    fn add_path(&self, msg: &mut Message, path: AddPath, outbound: &TransportInfo, flow: Flow) {
        let by_flow = match path {
            AddPath::None => return,
            AddPath::Here => None,
            AddPath::Flow => msg.source().map(|source| self.parts.tokens.token(&source.flow, Purpose::Device)),
        };
        let scheme = if flow.kind.is_secure() && msg.is_sips() { "<sips:" } else { "<sip:" };
        let (token, at, end) = match &by_flow {
            Some(token) => (token.as_str(), "@", ";ob>"),
            None => ("", "", ">"),
        };
        let here = outbound.record_route(flow.local);
        let here = here.strip_suffix(b">").unwrap_or(&here);
        let value = [scheme.as_bytes(), token.as_bytes(), at.as_bytes(), here, end.as_bytes()];
        msg.push_front_raw(HeaderId::PATH, &value);
    }

    /// A request went to a stream for its size alone, and nobody listens there: once more over UDP.
    fn downgrade(&mut self, downgrade: Downgrade, now: Time) {
        let Downgrade { bytes, flow, key } = downgrade;
        let refused = NoResponse::Transport(TransportError::Refused);
        let parsed = Message::parse_again(bytes);
        let udp = self.towards(TransportType::Udp, flow.peer, now);
        let (Some(mut msg), Some(udp)) = (parsed, udp) else {
            return self.tell(Input::NotSent { key, reason: refused }, now);
        };
        let top = msg.first(h::VIAS).ok();
        let top = top.and_then(|via| Some((via.branch()?.to_owned(), via.param(p::RPORT).is_none())));
        let (branch, no_rport) = match top {
            Some(top) => top,
            None => return self.tell(Input::NotSent { key, reason: refused }, now),
        };
        self.replace_via(&mut msg, udp, branch.as_bytes(), no_rport);
        let (bytes, flow) = (msg.to_bytes(), udp);
        let notify = Some(Notify { shard: self.parts.shard, key });
        match self.wire(bytes.clone(), (flow, None), true, notify, now) {
            Ok(()) => self.tell(
                Input::Sent(Box::new(Sent { key, bytes, flow, domain: None, for_size: false, failover: None })),
                now,
            ),
            Err(error) => self.tell(Input::NotSent { key, reason: error.into() }, now),
        }
    }

    /// Hands octets to a transport. Over UDP what finds no room is as good as lost on the way.
    fn wire(
        &mut self,
        bytes: Bytes,
        (flow, domain): (Flow, Option<Arc<str>>),
        connect: bool,
        notify: Option<Notify>,
        now: Time,
    ) -> Result<(), TransportError> {
        let wire = self.parts.wires.get(usize::from(flow.transport.0)).ok_or(TransportError::NoTransport)?;
        self.parts.tap.sent(&bytes, flow, now);
        self.parts.tally.sent(&bytes);
        let Flow { peer, local, connection, .. } = flow;
        let send = Wire::Send { bytes, peer, local, domain, connection, connect, notify };
        match wire.push(send, Class::Internal, now) {
            Err(Full(_)) if flow.kind.is_reliable() => Err(TransportError::Congested),
            _ => Ok(()),
        }
    }

    pub(super) fn not_sent(&mut self, request: &Request, reason: NoResponse, now: Time) {
        if request.stateless {
            tracing::debug!(%reason, "a request without a transaction was not sent");
        } else {
            self.tell(Input::NotSent { key: request.transaction.key(false), reason }, now);
        }
    }

    fn tell(&mut self, news: Input, now: Time) {
        if !self.held.is_empty() {
            self.held.push_back(news);
        } else if let Err(Full(news)) = self.parts.news.push(news, Class::Internal, now) {
            self.held.push_back(news);
            self.retry_at = now + HOLD;
        }
    }
}

/// Whether the caller wants what follows in the dialog on the flow that the request came by: `ob` in its Contact, put there
/// by a device that sends to us directly (RFC 5626 §4.3 and §5.3).
fn asks_for_flow(msg: &Message) -> bool {
    let Some(contact) = msg.raw_value(HeaderId::CONTACT) else { return false };
    memchr::memmem::find(contact, b";ob").is_some()
        && msg.header(h::VIAS).texts().count() == 1
        && msg.header(h::CONTACTS).next().is_some_and(|contact| match contact {
            Ok(Contact::Addr(addr)) => addr.uri.sip().is_some_and(|sip| sip.param(p::OB)),
            _ => false,
        })
}

/// Whether a request is to stay on secure transports: its Request-URI or topmost Route is a sips URI (RFC 3261 §16.6
/// step 4). The Record-Route of a secure side is then one too.
fn leads_by_sips(msg: &Message) -> bool {
    let sips = |uri: &Uri<'_>| uri.sip().is_some_and(|sip| sip.secure);
    msg.is_sips() || msg.header(h::ROUTES).next().is_some_and(|r| r.is_ok_and(|r| sips(&r.uri)))
}

impl Actor for TransportSelector {
    fn name(&self) -> &'static str {
        "selector"
    }

    fn turn(&mut self, now: Time) -> Turn {
        if self.parts.transports.refresh() {
            self.routes.forget();
        }
        let mut worked = false;
        while let Some(news) = self.held.pop_front() {
            if let Err(Full(news)) = self.parts.news.push(news, Class::Internal, now) {
                self.held.push_front(news);
                self.retry_at = now + HOLD;
                break;
            }
            worked = true;
        }
        for outcome in self.lookups.expire(now) {
            self.located(outcome, now);
            worked = true;
        }
        worked |= self.run_races(now);
        for _ in 0..BATCH {
            if !self.held.is_empty() {
                break;
            }
            if let Some(answer) = self.parts.answers.pop() {
                for outcome in self.lookups.answer(answer, now) {
                    self.located(outcome, now);
                }
            } else if let Some(outgoing) = self.parts.out.pop() {
                self.send(outgoing, now);
            } else {
                break;
            }
            worked = true;
        }
        if worked { Turn::Worked } else { Turn::Idle }
    }

    fn wants_turn(&self) -> bool {
        !self.held.is_empty() || !self.parts.out.is_empty() || !self.parts.answers.is_empty()
    }

    fn deadline(&self) -> Option<Time> {
        match self.held.is_empty() {
            true => [self.lookups.deadline(), self.races.deadline()].into_iter().flatten().min(),
            false => Some(self.retry_at),
        }
    }

    fn drained(&self) -> bool {
        self.held.is_empty() && self.parts.out.is_empty() && self.lookups.is_empty() && self.races.is_empty()
    }
}

/// What a Record-Route says behind a token: that means something to this machine alone, so only without one it may lead to
/// others as well.
fn route_by<'t>(transport: &'t TransportInfo, token: &str, local: Option<IpAddr>) -> Text<'t> {
    if token.is_empty() { transport.shared_route(local) } else { transport.record_route(local) }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
