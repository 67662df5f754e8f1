//! The user agent: a stack with dum on it, for as long as a command lasts.

use super::args::Common;
use super::credentials;
use super::ladder;
use super::output::{Output, PROGRAM};
use super::verdict::{Failure, Verdict};
use super::wire::Recorder;
use crate::hop;
use crate::terminal::died;
use dum::auth::Credential;
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, UserProfile};
use repro::config::Listen;
use rutil::Rng;
use rutil::log::Format;
use serde_json::json;
use stack::header::NameAddr;
use stack::transport::{TransportType, WsOptions, system_route};
use stack::uri::{SipUri, Uri};
use stack::{Stack, TransportSpec};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is logged.
const QUIET: &str = "warn";
const VERBOSE: &str = "info,stack::transport=debug";

/// The most addresses of a first hop that are listened for.
const ADDRESSES: usize = 4;

/// Addresses that lead to the world (RFC 5737, RFC 3849).
const WORLD_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const WORLD_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// A running user agent.
pub(super) struct Agent<A> {
    stack: Stack,
    user: DumHandle<A>,
    recorder: Recorder,
    ladder: bool,
}

/// Whose requests these are, and how they go out.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    from: Option<NameAddr<'static>>,
    route: Option<SipUri<'static>>,
    credential: Option<Credential>,
}

impl Identity {
    /// What the command line says; as `default`, where it does not say who.
    ///
    /// # Errors
    /// When the credentials cannot be read, or the proxy's URI says another transport than is asked for.
    pub(super) fn new(common: &Common, default: Option<&NameAddr<'static>>) -> Result<Self, Failure> {
        let from = common.from.as_ref().or(default).cloned();
        let credential = credentials::read(common.credentials.as_deref(), from.as_ref())?;
        Ok(Identity { from, route: common.route()?, credential })
    }

    /// The profile of its requests.
    pub(super) fn profile(&self, dum: &Dum<'_>) -> Arc<UserProfile> {
        let mut profile = dum.master_profile().user_profile();
        profile.set_user_agent(Some(concat!("sip/", env!("CARGO_PKG_VERSION")).into()));
        if let Some(from) = &self.from {
            profile.set_from(Arc::new(from.clone()));
        }
        let route = self.route.clone().map(|route| Arc::new(NameAddr::new(Uri::Sip(route))));
        profile.set_outbound_proxy(route).set_credentials(self.credential.iter().cloned().collect());
        Arc::new(profile)
    }
}

impl<A: Application> Agent<A> {
    /// Starts one. `first` is where requests go first; `default` is where it listens if that says nothing.
    ///
    /// # Errors
    /// [`Failure`]; nothing is left running.
    pub(super) fn start(
        common: &Common,
        first: Option<&SipUri<'static>>,
        default: &[Listen],
        options: DumOptions,
        app: A,
    ) -> Result<Self, Failure> {
        Self::start_with(common, first, default, options, |_| app)
    }

    /// The same with an application that must know the address of its media.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub(super) fn start_with(
        common: &Common,
        first: Option<&SipUri<'static>>,
        default: &[Listen],
        options: DumOptions,
        app: impl FnOnce(IpAddr) -> A,
    ) -> Result<Self, Failure> {
        let listen = match (&common.listen[..], first) {
            ([], Some(first)) => towards(first)?,
            ([], None) => default.to_vec(),
            (listen, first) => {
                check(listen, first)?;
                listen.to_vec()
            }
        };
        let app = app(own_address(&listen));
        // Who waits for others must show a certificate; the others prove to be the domain that they are asked for by.
        let tls = common.tls.context(listen.iter().map(|listen| listen.kind), None, first.is_none())?;
        // What is not a message, as why a TLS handshake failed.
        let filter = if common.verbose { VERBOSE } else { QUIET };
        rutil::log::init(Format::Human, filter).map_err(|error| Failure::Argument(error.to_string()))?;
        let recorder = Recorder::start(common.verbose);
        let connect = Some(common.ws_path.clone());
        let mut builder = Stack::builder()
            .ws_options(WsOptions { connect, ..WsOptions::default() })
            .on_panic(|thread| died(PROGRAM, thread))
            .on_message(recorder.tell());
        if let Some(context) = tls {
            builder = builder.tls(context);
        }
        for listen in &listen {
            builder.add_transport(TransportSpec::new(listen.kind, listen.address));
        }
        let (mut rng, mut app) = (Rng::from_os()?, Some((app, options)));
        let user = builder.register_tu(DialogUsageManager::<A>::tu_options(), move |_| {
            // There is one shard.
            let Some((app, options)) = app.take() else { unreachable!("a user agent has one shard") };
            DialogUsageManager::new(app, options, &mut rng)
        });
        let stack = builder.start()?;
        let user = DumHandle::new(stack.poster(user));
        Ok(Agent { stack, user, recorder, ladder: common.ladder })
    }

    /// One line for each transport, for whoever waits for the start or wants to know the port.
    pub(super) fn announce(&self, output: Output) {
        for transport in self.stack.transports().iter() {
            let (kind, bound) = (transport.kind.as_param(), transport.bound.to_string());
            let text = format!("listening on {kind} {bound}");
            output.event("listening", format_args!("{text}"), json!({"transport": kind, "address": bound}));
        }
    }

    /// The way to the user agent, for a task of its own.
    pub(super) fn user(&self) -> DumHandle<A> {
        self.user.clone()
    }

    /// Has something done by the user agent.
    ///
    /// # Errors
    /// [`Failure::Congested`]: it will not be done.
    pub(super) fn command(&self, what: impl FnOnce(&mut A, &mut Dum<'_>) + Send + 'static) -> Result<(), Failure> {
        self.user.command(what).map_err(|_| Failure::Congested)
    }

    /// Ends it when all that is under way has ended, `limit` later at the latest, and draws the ladder.
    pub(super) async fn finish(self, limit: Duration) {
        self.stack.shutdown(limit);
        let trace = self.recorder.finish().await;
        if self.ladder {
            let _ = io::stderr().lock().write_all(ladder::draw(&trace).as_bytes());
        }
    }
}

/// An address for descriptions: the first, or of all addresses the one that leads to the world.
fn own_address(listen: &[Listen]) -> IpAddr {
    let first = listen.first().map_or(Ipv4Addr::LOCALHOST.into(), |listen| listen.address.ip());
    // Of the documentation: it has no route of its own, and nothing is sent there.
    let world = if first.is_ipv4() { WORLD_V4 } else { WORLD_V6 };
    if first.is_unspecified() { system_route(world).unwrap_or(first) } else { first }
}

/// Where to listen for a way to a first hop: the addresses that lead there, any port. Over UDP there is TCP as well, for
/// what is too large for a datagram (RFC 3261 §18.1.1).
fn towards(first: &SipUri<'static>) -> Result<Vec<Listen>, Failure> {
    let kind = hop::kind_of(first)?;
    let kinds: &[_] = if kind == TransportType::Udp { &[TransportType::Udp, TransportType::Tcp] } else { &[kind] };
    let mut addresses: Vec<IpAddr> = Vec::new();
    // A name may lead somewhere by SRV alone, which the stack will ask for.
    for peer in hop::addresses(first, kind).unwrap_or_default().into_iter().take(ADDRESSES) {
        if let Some(own) = system_route(peer.ip()).filter(|own| !addresses.contains(own)) {
            addresses.push(own);
        }
    }
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::UNSPECIFIED.into());
    }
    let all = addresses.iter().flat_map(|ip| kinds.iter().map(move |kind| (*kind, *ip)));
    Ok(all.map(|(kind, ip)| Listen { kind, address: SocketAddr::new(ip, 0) }).collect())
}

/// Whether one of the transports leads to the first hop.
fn check(listen: &[Listen], first: Option<&SipUri<'static>>) -> Result<(), Failure> {
    let Some(first) = first else { return Ok(()) };
    Ok(hop::leads(listen, hop::kind_of(first)?, first.host.ip())?)
}

/// The signals that ask for the end.
pub(super) struct Ends {
    term: Signal,
    int: Signal,
}

impl Ends {
    pub(super) fn watch() -> Result<Self, Failure> {
        Ok(Ends { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// How long what is under way may take to end, after an outcome.
pub(super) const fn end_limit(verdict: Verdict) -> Duration {
    match verdict {
        // Nobody answers: there is nothing to wait for.
        Verdict::Silent | Verdict::Network => Duration::ZERO,
        _ => Duration::from_secs(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::sip_uri;

    #[test]
    fn it_listens_where_the_first_hop_is_reached() {
        let listen = |uri: &str| {
            let all = towards(&sip_uri(uri).expect("well formed"));
            all.map(|all| all.iter().map(Listen::to_string).collect::<Vec<_>>()).map_err(|e| e.to_string())
        };
        assert_eq!(listen("sip:127.0.0.1:5070"), Ok(vec!["udp:127.0.0.1:0".into(), "tcp:127.0.0.1:0".into()]));
        assert_eq!(listen("sips:a@127.0.0.1"), Ok(vec!["tls:127.0.0.1:0".into()]));
        assert_eq!(listen("sip:no.such.host.invalid;transport=tcp"), Ok(vec!["tcp:0.0.0.0:0".into()]));
        assert_eq!(listen("sip:127.0.0.1;transport=ws"), Ok(vec!["ws:127.0.0.1:0".into()]));
        assert!(listen("sip:127.0.0.1;transport=sctp").is_err_and(|e| e.contains("sctp")));
    }

    #[test]
    fn listening_elsewhere_is_refused() {
        let udp = ["udp:127.0.0.1:0".parse().expect("well formed")];
        let tcp = sip_uri("sip:127.0.0.1;transport=tcp").expect("well formed");
        assert_eq!(check(&udp, Some(&tcp)).map_err(|e| e.verdict()), Err(Verdict::Usage));
        let [v4, v6] = ["sip:127.0.0.1", "sip:[::1]"].map(|uri| sip_uri(uri).expect("well formed"));
        assert!(check(&udp, None).is_ok() && check(&udp, Some(&v4)).is_ok());
        let error = check(&udp, Some(&v6)).expect_err("nothing leads there").to_string();
        assert_eq!(error, "--listen is IPv4, but the peer is reached by IPv6");
    }
}
