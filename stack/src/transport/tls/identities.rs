//! Which certificate is shown to whom.

use super::load::Loaded;
use super::names::absolute;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

/// The certificates of this machine. Bounded by the configuration.
pub(super) struct Identities {
    all: Vec<Arc<CertifiedKey>>,
    /// Domains in lower case, each with its index in `all`.
    by_domain: HashMap<String, usize>,
}

impl Identities {
    pub(super) fn new(loaded: Vec<Loaded>) -> Self {
        let (mut all, mut by_domain) = (Vec::new(), HashMap::new());
        for (at, identity) in loaded.into_iter().enumerate() {
            for domain in identity.domains {
                match by_domain.entry(domain) {
                    Entry::Vacant(free) => drop(free.insert(at)),
                    Entry::Occupied(taken) => {
                        tracing::debug!(domain = taken.key(), "several certificates: the first is shown");
                    }
                }
            }
            all.push(identity.key);
        }
        Identities { all, by_domain }
    }

    /// Whether both show the same certificates for the same domains.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.by_domain == other.by_domain
            && self.all.len() == other.all.len()
            && self.all.iter().zip(&other.all).all(|(a, b)| a.cert == b.cert)
    }

    /// The certificate for the domain that a client asks for: exactly that domain, without regard to case and the dot
    /// of the root. Otherwise the first: the client decides whether it will do.
    fn find(&self, domain: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let at = domain.and_then(|name| self.by_domain.get(&absolute(name).to_ascii_lowercase()).copied());
        self.all.get(at.unwrap_or(0)).cloned()
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

impl ResolvesClientCert for Identities {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.find(None)
    }

    fn has_certs(&self) -> bool {
        !self.all.is_empty()
    }
}

/// The domains: never a key.
impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("domains", &self.by_domain).finish_non_exhaustive()
    }
}
