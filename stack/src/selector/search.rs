//! From a name to the places to try, in order (RFC 3263 §4.1 and §4.2, RFC 6116): a pure machine. It says what to ask the
//! DNS, is told the answers in any order, and ends with targets or without.
//!
//! ```text
//!   number ── NAPTR of E.164 ──> URI ─┐
//!                                     v
//!   name ──┬── no transport, no port ── NAPTR ──> services ──┐ (none: SRV of each transport)
//!          ├── transport, no port ───────────────────────────┴─ SRV ──> hosts ──┐ (none: the name itself)
//!          └── port ────────────────────────────────────────────────────────────┴─ A, AAAA ──> targets
//! ```
//!
//! It goes forward only, so no chain of records is longer than that; CNAMEs are the resolver's business. A question that
//! fails counts as one that has no records: where NAPTR or SRV are broken on the way, the addresses are still found.

use super::e164;
use super::locate::{Located, Place, Target, locate_uri, reachable};
use super::records::{Naptr, Query, RecordType, Records, Srv};
use super::srv;
use crate::transport::{TransportError, TransportTable, TransportType};
use crate::tu::NoResponse;
use rutil::Rng;
use std::net::{IpAddr, SocketAddr};

/// Services of a domain that are looked at: the first in their order.
const MOST_SERVICES: usize = 4;
/// Hosts whose addresses are asked for: the first in their order.
const MOST_HOSTS: usize = 8;
/// Targets of one request; as many attempts a branch can number.
pub(super) const MOST_TARGETS: usize = 16;

/// Which transports a stack has, by address family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach {
    v4: u8,
    v6: u8,
}

impl Reach {
    /// Those of a table.
    pub fn of(transports: &TransportTable) -> Self {
        let mut reach = Reach::default();
        for transport in transports.iter() {
            let bits = if transport.bound.is_ipv4() { &mut reach.v4 } else { &mut reach.v6 };
            *bits |= 1 << transport.kind as u8;
        }
        reach
    }

    /// Whether there is a transport of this kind.
    pub fn has(self, kind: TransportType) -> bool {
        (self.v4 | self.v6) >> kind as u8 & 1 != 0
    }

    /// Whether a request could leave for this place, wherever the DNS leads.
    pub fn allows(self, place: &Place) -> bool {
        use TransportType::{Tcp, Tls, Udp, Ws, Wss};
        match place.transport {
            Some(kind) => self.has(kind),
            None if place.secure => [Tls, Wss].iter().any(|kind| self.has(*kind)),
            None => [Udp, Tcp, Tls, Ws, Wss].iter().any(|kind| self.has(*kind)),
        }
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These questions, all at the same time.
    Ask(Vec<Query>),
    /// The answers that are still missing.
    Wait,
    /// Nothing: these are the places.
    Found(Found),
    /// Nothing: there is no place.
    Failed(NoResponse),
}

/// The end of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The places in the order in which they are to be tried; one at least.
    pub targets: Vec<Target>,
    /// Of which host each is: the addresses of one may race.
    pub hosts: Vec<u8>,
    /// What a telephone number became: the new Request-URI.
    pub uri: Option<String>,
}

/// A search under way.
#[derive(Debug)]
pub struct Search {
    reach: Reach,
    stage: Stage,
    uri: Option<String>,
}

#[derive(Debug)]
enum Stage {
    Number { number: String, name: String },
    Naptr(Place),
    Services { place: Place, services: Vec<Service>, otherwise: TransportType },
    Hosts(Vec<Host>),
}

/// One transport to the domain.
#[derive(Debug)]
struct Service {
    kind: TransportType,
    /// What its SRV records belong to.
    name: String,
    found: Option<Vec<Srv>>,
    /// There are records, and they say that there is no such service.
    refused: bool,
}

/// One server; `None`: not answered yet.
#[derive(Debug)]
struct Host {
    kind: TransportType,
    name: String,
    port: u16,
    v4: Option<Vec<IpAddr>>,
    v6: Option<Vec<IpAddr>>,
}

impl Search {
    /// A search for the servers of a place.
    pub fn place(place: Place, reach: Reach) -> Self {
        Search { reach, stage: Stage::Naptr(place), uri: None }
    }

    /// A search for a telephone number (`+` and digits) under an ENUM suffix.
    pub fn number(number: String, suffix: &str, reach: Reach) -> Self {
        let name = e164::domain(&number, suffix);
        Search { reach, stage: Stage::Number { number, name }, uri: None }
    }

    /// The first questions.
    pub fn start(&mut self) -> Step {
        match &self.stage {
            Stage::Number { name, .. } => Step::Ask(vec![Query::new(name.as_str(), RecordType::Naptr)]),
            Stage::Naptr(place) => {
                let place = place.clone();
                self.begin(place)
            }
            Stage::Services { .. } | Stage::Hosts(_) => Step::Wait,
        }
    }

    /// An answer; one that nobody waits for changes nothing.
    pub fn step(&mut self, query: &Query, records: &Records, rng: &mut Rng) -> Step {
        match (&mut self.stage, records) {
            (Stage::Number { number, name }, Records::Naptr(naptr)) if *name == query.name => {
                match e164::uri(number, naptr) {
                    Some(uri) => {
                        self.uri = Some(uri.to_string());
                        match locate_uri(&uri) {
                            Ok(Located::Name(place)) => self.begin(place),
                            Ok(Located::At(target)) => self.end(vec![target], vec![0]),
                            Ok(Located::Number(_)) => Step::Failed(NoResponse::NotFound),
                            Err(reason) => Step::Failed(reason),
                        }
                    }
                    None => Step::Failed(NoResponse::NotFound),
                }
            }
            (Stage::Naptr(place), Records::Naptr(naptr)) if place.name == query.name => {
                let place = place.clone();
                let services = services(naptr, &place, self.reach);
                let otherwise = services.first().map(|service| service.kind);
                let services = if services.is_empty() { self.usual(&place) } else { services };
                self.ask_services(place, services, otherwise)
            }
            (Stage::Services { services, .. }, Records::Srv(all)) => {
                for service in services.iter_mut().filter(|service| service.name == query.name) {
                    let ordered = srv::order(all, rng);
                    service.refused = ordered.is_empty() && !all.is_empty();
                    service.found = Some(ordered);
                }
                self.after_services()
            }
            (Stage::Hosts(hosts), Records::Addresses(all)) => {
                for host in hosts.iter_mut().filter(|host| host.name == query.name) {
                    let slot = if query.record == RecordType::A { &mut host.v4 } else { &mut host.v6 };
                    *slot = Some(all.iter().copied().filter(|ip| reachable(*ip)).collect());
                }
                self.after_hosts()
            }
            _ => Step::Wait,
        }
    }

    /// RFC 3263 §4.1: what decides the transport.
    fn begin(&mut self, place: Place) -> Step {
        if !self.reach.allows(&place) {
            return Step::Failed(NoResponse::Transport(TransportError::NoTransport));
        }
        match (place.port, place.transport) {
            (Some(port), _) => {
                let kind = self.default_transport(&place);
                self.ask_hosts(vec![(kind, place.name, port)])
            }
            (None, Some(kind)) => {
                let services = srv_name(kind, &place.name).map(|name| service(kind, name)).into_iter().collect();
                self.ask_services(place, services, Some(kind))
            }
            (None, None) => {
                let query = Query::new(place.name.as_str(), RecordType::Naptr);
                self.stage = Stage::Naptr(place);
                Step::Ask(vec![query])
            }
        }
    }

    /// Without NAPTR: SRV of each transport that the scheme allows and the stack has.
    fn usual(&self, place: &Place) -> Vec<Service> {
        use TransportType::{Tcp, Tls, Udp};
        let kinds: &[TransportType] = if place.secure { &[Tls] } else { &[Udp, Tcp] };
        let had = kinds.iter().filter(|kind| self.reach.has(**kind));
        had.filter_map(|kind| Some(service(*kind, srv_name(*kind, &place.name)?))).collect()
    }

    /// UDP for sip and TLS for sips; where there is no UDP, TCP.
    fn default_transport(&self, place: &Place) -> TransportType {
        match place.default_transport() {
            TransportType::Udp if place.transport.is_none() && !self.reach.has(TransportType::Udp) => {
                TransportType::Tcp
            }
            kind => kind,
        }
    }

    fn ask_services(&mut self, place: Place, services: Vec<Service>, otherwise: Option<TransportType>) -> Step {
        let asked = services.iter().filter(|service| service.found.is_none());
        let mut queries: Vec<Query> = Vec::new();
        for query in asked.map(|service| Query::new(service.name.as_str(), RecordType::Srv)) {
            // NAPTR records may name one more than once, for different ways to it.
            if !queries.contains(&query) {
                queries.push(query);
            }
        }
        let otherwise = otherwise.unwrap_or_else(|| self.default_transport(&place));
        self.stage = Stage::Services { place, services, otherwise };
        if queries.is_empty() { self.after_services() } else { Step::Ask(queries) }
    }

    /// §4.2: the hosts of all services; without any, the name itself.
    fn after_services(&mut self) -> Step {
        let Stage::Services { place, services, otherwise } = &mut self.stage else { return Step::Wait };
        if services.iter().any(|service| service.found.is_none()) {
            return Step::Wait;
        }
        let mut hosts = Vec::new();
        for service in services.iter_mut() {
            let found = service.found.take().unwrap_or_default();
            hosts.extend(found.into_iter().map(|srv| (service.kind, String::from(srv.target), srv.port)));
        }
        hosts.truncate(MOST_HOSTS);
        if hosts.is_empty() {
            // RFC 2782: a target of "." says that there is none, so nobody looks further.
            if services.iter().any(|service| service.refused) {
                return Step::Failed(NoResponse::NotFound);
            }
            hosts.push((*otherwise, std::mem::take(&mut place.name), otherwise.default_port()));
        }
        self.ask_hosts(hosts)
    }

    fn ask_hosts(&mut self, hosts: Vec<(TransportType, String, u16)>) -> Step {
        let (mut queries, mut waiting) = (Vec::new(), Vec::new());
        for (kind, name, port) in hosts {
            let asked = |bits: u8| bits >> kind as u8 & 1 != 0;
            let (v4, v6) = (asked(self.reach.v4), asked(self.reach.v6));
            for (wanted, record) in [(v4, RecordType::A), (v6, RecordType::Aaaa)] {
                let query = Query::new(name.as_str(), record);
                if wanted && !queries.contains(&query) {
                    queries.push(query);
                }
            }
            let (v4, v6) = ((!v4).then(Vec::new), (!v6).then(Vec::new));
            waiting.push(Host { kind, name, port, v4, v6 });
        }
        self.stage = Stage::Hosts(waiting);
        if queries.is_empty() {
            return Step::Failed(NoResponse::Transport(TransportError::NoTransport));
        }
        Step::Ask(queries)
    }

    fn after_hosts(&mut self) -> Step {
        let Stage::Hosts(hosts) = &self.stage else { return Step::Wait };
        let (mut targets, mut of): (Vec<Target>, Vec<u8>) = Default::default();
        for (number, host) in (0..).zip(hosts) {
            let (Some(v4), Some(v6)) = (&host.v4, &host.v6) else { return Step::Wait };
            // RFC 8305 §4: IPv6 first, where another family can begin beside it.
            let (first, second) = if host.kind.is_reliable() { (v6, v4) } else { (v4, v6) };
            for ip in interleaved(first, second) {
                let target = Target { kind: host.kind, address: SocketAddr::new(ip, host.port) };
                if host.port != 0 && targets.len() < MOST_TARGETS && !targets.contains(&target) {
                    targets.push(target);
                    of.push(number);
                }
            }
        }
        if targets.is_empty() { Step::Failed(NoResponse::NotFound) } else { self.end(targets, of) }
    }

    fn end(&mut self, targets: Vec<Target>, hosts: Vec<u8>) -> Step {
        Step::Found(Found { targets, hosts, uri: self.uri.take() })
    }
}

fn service(kind: TransportType, name: String) -> Service {
    Service { kind, name, found: None, refused: false }
}

/// Where the SRV records of a transport are (RFC 3263 §4.1). WebSocket has none (RFC 7118): it is found by NAPTR.
fn srv_name(kind: TransportType, domain: &str) -> Option<String> {
    match kind {
        TransportType::Udp => Some(format!("_sip._udp.{domain}")),
        TransportType::Tcp => Some(format!("_sip._tcp.{domain}")),
        TransportType::Tls => Some(format!("_sips._tcp.{domain}")),
        TransportType::Ws | TransportType::Wss => None,
    }
}

/// What the NAPTR records of a domain offer that the stack has and the scheme allows: of these the lowest order, sorted by
/// preference (RFC 3403 §4.1).
fn services(records: &[Naptr], place: &Place, reach: Reach) -> Vec<Service> {
    let mut fit: Vec<(&Naptr, TransportType)> = records
        .iter()
        .filter_map(|naptr| Some((naptr, kind_of(&naptr.services)?)))
        .filter(|(naptr, kind)| {
            reach.has(*kind) && (kind.is_secure() || !place.secure) && !naptr.replacement.is_empty()
        })
        .filter(|(naptr, _)| naptr.flags.eq_ignore_ascii_case("s") || naptr.flags.eq_ignore_ascii_case("a"))
        .collect();
    let lowest = fit.iter().map(|(naptr, _)| naptr.order).min();
    fit.retain(|(naptr, _)| Some(naptr.order) == lowest);
    fit.sort_by_key(|(naptr, _)| naptr.preference);
    fit.truncate(MOST_SERVICES);
    let made = fit.into_iter().map(|(naptr, kind)| {
        let host = naptr.flags.eq_ignore_ascii_case("a").then(|| {
            vec![Srv { priority: 0, weight: 0, port: kind.default_port(), target: naptr.replacement.clone() }]
        });
        Service { found: host, ..service(kind, naptr.replacement.to_string()) }
    });
    made.collect()
}

/// RFC 3263 §4.1, RFC 7118 §10.
fn kind_of(services: &str) -> Option<TransportType> {
    use TransportType::{Tcp, Tls, Udp, Ws, Wss};
    const NAMES: [(&str, TransportType); 5] =
        [("SIP+D2U", Udp), ("SIP+D2T", Tcp), ("SIPS+D2T", Tls), ("SIP+D2W", Ws), ("SIPS+D2W", Wss)];
    NAMES.iter().find(|(name, _)| services.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

/// The families in turn (RFC 8305 §4), so that a family which does not work costs one attempt.
fn interleaved<'a>(first: &'a [IpAddr], second: &'a [IpAddr]) -> impl Iterator<Item = IpAddr> + 'a {
    (0..first.len().max(second.len())).flat_map(|at| [first.get(at), second.get(at)]).flatten().copied()
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
