//! TLS: whose certificates are shown and whose are trusted (RFC 3261 §26.3.1, RFC 5922).
//!
//! [`TlsContext`] holds what rustls needs for a connection. A connection takes it once, when it begins, and keeps it:
//! [`TlsContext::reload`] changes what the next ones get. Chains are verified by rustls-webpki; names are compared as
//! SIP has it, not as HTTPS: `sip` URIs before DNS names, no wildcards, the domain that was looked up and not the host
//! that was found.
//!
//! Sessions are resumed (RFC 8446 §2.2, RFC 5077): 256 servers are remembered with at most eight tickets each, and
//! what a client may resume is in its ticket, whose keys are replaced every six hours; 256 more sessions are kept for
//! clients without tickets. A resumed session is not verified again, so a reload that changes the trusted CAs forgets
//! them all.

mod error;
mod identities;
mod load;
mod names;
mod options;
mod verify;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{mutual_tls_context, tls_context};

pub use error::{TlsError, TlsFault, TlsSetting};
pub use load::roots;
pub use options::{ClientAuth, TlsIdentity, TlsOptions, TlsTrust};

use identities::Identities;
use names::Names;
use parking_lot::RwLock;
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::server::{ProducesTickets, ServerConfig, ServerSessionMemoryCache, StoresServerSessions};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider as _};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};
use std::fmt;
use std::sync::Arc;
use verify::{Chains, SipClientVerifier, SipServerVerifier};

/// TLS 1.2 and 1.3.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Sessions that are kept for clients without tickets, and servers whose tickets are kept.
const SESSIONS: usize = 256;

/// What TLS connections are made with. A clone is the same context.
#[derive(Clone)]
pub struct TlsContext {
    shared: Arc<Shared>,
}

struct Shared {
    options: TlsOptions,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

/// What new connections get.
#[derive(Clone)]
struct Current {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    identities: Arc<Identities>,
    trust: Trust,
}

/// Whom to trust, and the sessions of those who were.
#[derive(Clone)]
struct Trust {
    roots: Arc<RootCertStore>,
    verifier: Arc<SipServerVerifier>,
    tickets: Arc<dyn ProducesTickets>,
    server_sessions: Arc<dyn StoresServerSessions>,
    client_sessions: Resumption,
}

impl TlsContext {
    /// Reads all files.
    ///
    /// # Errors
    /// When a file is missing or not what it should be; the text says which and what to do.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let current = Current::load(options, &provider, None)?;
        Ok(TlsContext {
            shared: Arc::new(Shared { options: options.clone(), provider, current: RwLock::new(current) }),
        })
    }

    /// For a connection that was accepted.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.shared.current.read().server.clone()
    }

    /// For a connection that is opened. The server must prove that it is the
    /// [`ServerName`](rustls::pki_types::ServerName) that the connection is made with: the domain of the URI that led
    /// there, not the host that was found for it (RFC 5922 §7.3).
    pub fn client(&self) -> Arc<ClientConfig> {
        self.shared.current.read().client.clone()
    }

    /// Who a server must prove to be where only its address is known.
    pub fn server_name(&self) -> Option<&str> {
        self.shared.options.server_name.as_deref()
    }

    /// Reads all files again, for the connections to come; those that are there keep what they have. It reads files:
    /// for a thread that may wait.
    ///
    /// # Errors
    /// As [`TlsContext::new`]; then nothing has changed.
    pub fn reload(&self) -> Result<(), TlsError> {
        let shared = &*self.shared;
        let before = shared.current.read().clone();
        let next = Current::load(&shared.options, &shared.provider, Some(&before))?;
        *shared.current.write() = next;
        Ok(())
    }

    /// The SIP domain identities of a peer whose certificates a handshake has verified, end entity first (RFC 5922
    /// §7.1): hosts in lower case, 100 at most; none if it showed no certificate or one that is not for a SIP domain.
    pub fn peer_identities(&self, certificates: &[CertificateDer<'_>]) -> Vec<String> {
        let names = certificates.first().and_then(|certificate| Names::read(certificate).ok());
        names.map_or_else(Vec::new, |names| names.hosts(self.shared.options.accept_common_name))
    }
}

/// The options: never a key.
impl fmt::Debug for TlsContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsContext").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Current {
    /// Reads all files. What has not changed since `before` is taken from there, for sessions belong to it.
    fn load(options: &TlsOptions, provider: &Arc<CryptoProvider>, before: Option<&Self>) -> Result<Self, TlsError> {
        // Certificates have dates of the calendar: that is the one wall clock of the stack, and it is rustls's.
        let now = DefaultTimeProvider.current_time().ok_or(rustls::Error::FailedToGetCurrentTime)?;
        let identities = options.identities.iter().enumerate();
        let loaded: Result<_, _> =
            identities.map(|(at, identity)| load::identity(at, identity, provider, now)).collect();
        let identities = Identities::new(loaded?);
        let identities = match before {
            Some(before) if before.identities.same(&identities) => before.identities.clone(),
            _ => Arc::new(identities),
        };
        let roots = load::roots(&options.trust)?;
        if roots.is_empty() && options.client_auth != ClientAuth::Off {
            return Err(TlsFault::NoRoots.at(TlsSetting::ClientAuth));
        }
        let trust = match before {
            Some(before) if before.trust.roots.roots == roots.roots => before.trust.clone(),
            _ => Trust::new(Arc::new(roots), options, provider)?,
        };
        let server = Arc::new(server(options, provider, &identities, &trust)?);
        let client = Arc::new(client(provider, &identities, &trust)?);
        Ok(Current { server, client, identities, trust })
    }
}

impl Trust {
    fn new(roots: Arc<RootCertStore>, options: &TlsOptions, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let chains = Chains { roots: roots.clone(), algorithms: provider.signature_verification_algorithms };
        Ok(Trust {
            roots,
            verifier: Arc::new(SipServerVerifier { chains, accept_common_name: options.accept_common_name }),
            tickets: ring::Ticketer::new()?,
            server_sessions: ServerSessionMemoryCache::new(SESSIONS),
            client_sessions: Resumption::in_memory_sessions(SESSIONS),
        })
    }
}

fn server(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
    identities: &Arc<Identities>,
    trust: &Trust,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(VERSIONS)?;
    let builder = match options.client_auth {
        ClientAuth::Off => builder.with_no_client_auth(),
        asked => builder.with_client_cert_verifier(Arc::new(SipClientVerifier {
            chains: trust.verifier.chains.clone(),
            subjects: trust.roots.subjects(),
            required: asked == ClientAuth::Required,
        })),
    };
    let mut config = builder.with_cert_resolver(identities.clone());
    config.ticketer = trust.tickets.clone();
    config.session_storage = trust.server_sessions.clone();
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    identities: &Arc<Identities>,
    trust: &Trust,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(trust.verifier.clone())
        .with_client_cert_resolver(identities.clone());
    config.resumption = trust.client_sessions.clone();
    Ok(config)
}
