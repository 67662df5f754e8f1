//! The DNS client: hickory's, without its cache and with its types translated.

use super::records::{MOST_RECORDS, Naptr, Query, RecordType, Records, Srv};
use super::resolver::{DnsError, ResolverOptions};
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as ServerError, NetError};
use hickory_resolver::proto::op::Query as HostQuery;
use hickory_resolver::proto::rr::{Name, RData, RecordType as Type};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, Resolver, TokioResolver};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What comes of a question, and how long it may be believed.
type Said = (Result<Records, DnsError>, Option<Duration>);

/// Asks one set of name servers.
pub(super) struct Client {
    resolver: TokioResolver,
    hosts: Hosts,
    timeout: Duration,
}

impl Client {
    /// A client of these servers; of the system's, when there are none.
    pub(super) fn new(servers: &[SocketAddr], options: &ResolverOptions) -> io::Result<Self> {
        let (mut config, mut settings) = read_system_conf().unwrap_or_else(|e| {
            if servers.is_empty() {
                tracing::warn!(error = %e, "no name servers are configured: only /etc/hosts is asked");
            }
            (ResolverConfig::from_name_servers(Vec::new()), ResolverOpts::default())
        });
        if !servers.is_empty() {
            let (domain, search, _) = config.into_parts();
            config = ResolverConfig::from_parts(domain, search, servers.iter().map(name_server).collect());
        }
        settings.cache_size = 0;
        // One server that is silent leaves time for another.
        settings.timeout = options.timeout / 3;
        settings.attempts = 2;
        let builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(settings);
        let resolver = builder.build().map_err(io::Error::other)?;
        Ok(Client { resolver, hosts: Hosts::from_system().unwrap_or_default(), timeout: options.timeout })
    }

    pub(super) async fn ask(&self, query: &Query) -> Said {
        if let Ok(literal) = query.name.parse::<IpAddr>() {
            return (literals(query.record, &[literal]), None);
        }
        let Ok(mut name) = Name::from_utf8(&query.name) else { return (Err(DnsError::BadName), None) };
        // Names in URIs are whole; only one without a dot is looked for where /etc/resolv.conf says.
        name.set_fqdn(name.num_labels() > 1);
        if let Some(said) = self.in_hosts(&name, query.record) {
            return said;
        }
        match actix::clock::timeout(self.timeout, self.resolver.lookup(name, record_type(query.record))).await {
            Err(_) | Ok(Err(NetError::Timeout)) => (Err(DnsError::Timeout), None),
            Ok(Err(e)) => failure(&e),
            Ok(Ok(found)) => found_records(&found, query.record),
        }
    }

    /// A name of `/etc/hosts` has the addresses that stand there and nothing else: no server is asked, not even for its
    /// services.
    fn in_hosts(&self, name: &Name, record: RecordType) -> Option<Said> {
        let host = match record {
            // _sip._udp before it.
            RecordType::Srv => name.trim_to(usize::from(name.num_labels()).saturating_sub(2)),
            _ => name.clone(),
        };
        let find = |kind| self.hosts.lookup_static_host(&HostQuery::query(host.clone(), kind));
        let (v4, v6) = (find(Type::A), find(Type::AAAA));
        if v4.is_none() && v6.is_none() {
            return None;
        }
        let found = match record {
            RecordType::A => v4,
            RecordType::Aaaa => v6,
            RecordType::Naptr | RecordType::Srv => None,
        };
        Some(match found {
            Some(found) => (found_records(&found, record).0, None),
            None => (Err(DnsError::NotFound), None),
        })
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections.iter_mut().for_each(|connection| connection.port = address.port());
    server
}

fn record_type(record: RecordType) -> Type {
    match record {
        RecordType::Naptr => Type::NAPTR,
        RecordType::Srv => Type::SRV,
        RecordType::A => Type::A,
        RecordType::Aaaa => Type::AAAA,
    }
}

fn found_records(found: &Lookup, record: RecordType) -> Said {
    let ttl = found.answers().iter().map(|r| r.ttl).min().map(|ttl| Duration::from_secs(ttl.into()));
    let data = found.answers().iter().map(|r| &r.data);
    let records = match record {
        RecordType::Naptr => Records::Naptr(data.filter_map(naptr).take(MOST_RECORDS).collect()),
        RecordType::Srv => Records::Srv(data.filter_map(srv).take(MOST_RECORDS).collect()),
        RecordType::A | RecordType::Aaaa => {
            let addresses: Vec<IpAddr> = data.filter_map(RData::ip_addr).take(MOST_RECORDS).collect();
            return (literals(record, &addresses), ttl);
        }
    };
    (if records.is_empty() { Err(DnsError::NotFound) } else { Ok(records) }, ttl)
}

/// Those of the family that was asked for.
fn literals(record: RecordType, addresses: &[IpAddr]) -> Result<Records, DnsError> {
    let wanted = |ip: &&IpAddr| match record {
        RecordType::A => ip.is_ipv4(),
        RecordType::Aaaa => ip.is_ipv6(),
        RecordType::Naptr | RecordType::Srv => false,
    };
    let found: Box<[IpAddr]> = addresses.iter().filter(wanted).copied().collect();
    if found.is_empty() { Err(DnsError::NotFound) } else { Ok(Records::Addresses(found)) }
}

fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(naptr) = data else { return None };
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned().into_boxed_str();
    Some(Naptr {
        order: naptr.order,
        preference: naptr.preference,
        flags: text(&naptr.flags),
        services: text(&naptr.services),
        regexp: text(&naptr.regexp),
        replacement: host_name(&naptr.replacement),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(srv) = data else { return None };
    Some(Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: host_name(&srv.target) })
}

/// In lower case, and without the dot at its end; the root is empty.
fn host_name(name: &Name) -> Box<str> {
    name.to_lowercase().to_utf8().trim_end_matches('.').into()
}

/// Sorts what the client says; a negative answer may be kept as long as its zone allows (RFC 2308 §5).
fn failure(e: &NetError) -> Said {
    match e {
        NetError::Dns(ServerError::NoRecordsFound(none)) => {
            (Err(DnsError::NotFound), none.negative_ttl.map(|ttl| Duration::from_secs(ttl.into())))
        }
        other => (Err(DnsError::Failed(other.to_string())), None),
    }
}
