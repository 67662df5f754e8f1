//! A user as the proxy looks it up: small, because there may be 100,000.

use super::Aor;
use super::forwarding::Forwards;
use super::record::{ThirdParty, UserRecord};
use stack::auth::{Algorithm, Hash, Secret};
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// A user that may be authenticated. The hashes are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// MD5 (16 octets), SHA-256 (32) and SHA-512/256 (32), those that it has, one after the other.
    hashes: Box<[u8]>,
    /// What most users do not have.
    rare: Option<Box<Rare>>,
    has: Has,
    /// Whether it may do anything at all.
    pub enabled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Has {
    md5: bool,
    sha256: bool,
    sha512_256: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Rare {
    realm: Option<Box<str>>,
    third_party: MayRegister,
    forwards: Option<Arc<Forwards>>,
}

/// Whom a user may register besides itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayRegister {
    /// Everybody.
    Everybody,
    /// These.
    These(Box<[Aor]>),
}

impl User {
    /// `realm` is what its hashes were made with; none: its domain.
    pub(super) fn new(record: &UserRecord, realm: Option<&str>) -> Self {
        let hashes = [
            record.md5.as_ref().map(|hash| hash.octets().as_slice()),
            record.sha256.as_ref().map(|hash| hash.octets().as_slice()),
            record.sha512_256.as_ref().map(|hash| hash.octets().as_slice()),
        ];
        let has = Has { md5: hashes[0].is_some(), sha256: hashes[1].is_some(), sha512_256: hashes[2].is_some() };
        let realm = realm.filter(|realm| *realm != record.aor.domain()).map(Into::into);
        let everybody = record.third_party.contains(&ThirdParty::Everybody);
        let these = record.third_party.iter().filter_map(|whom| match whom {
            ThirdParty::One(aor) => Some(aor.clone()),
            ThirdParty::Everybody => None,
        });
        let third_party = if everybody { MayRegister::Everybody } else { MayRegister::These(these.collect()) };
        let forwards = Forwards::of(record).map(Arc::new);
        let common = realm.is_none() && third_party == MayRegister::These(Box::default()) && forwards.is_none();
        User {
            hashes: hashes.into_iter().flatten().flatten().copied().collect(),
            rare: (!common).then(|| Box::new(Rare { realm, third_party, forwards })),
            has,
            enabled: record.enabled,
        }
    }

    /// Its secret for an algorithm, if it has one for that hash function and is enabled.
    pub fn secret(&self, algorithm: Algorithm) -> Option<Secret> {
        let Has { md5, sha256, sha512_256 } = self.has;
        let (start, len, has) = match algorithm.hash {
            Hash::Md5 => (0, 16, md5),
            Hash::Sha256 => (16 * usize::from(md5), 32, sha256),
            Hash::Sha512_256 => (16 * usize::from(md5) + 32 * usize::from(sha256), 32, sha512_256),
        };
        let octets = self.hashes.get(start..start + len).filter(|_| has && self.enabled)?;
        let mut digits = String::with_capacity(2 * len);
        for octet in octets {
            let _ = write!(digits, "{octet:02x}");
        }
        Some(Secret::a1(algorithm.hash, &digits))
    }

    /// The realm that its hashes were made with; none: the domain of its address-of-record.
    pub fn realm(&self) -> Option<&str> {
        self.rare.as_ref()?.realm.as_deref()
    }

    /// Where its calls go, if it is enabled and they may go elsewhere.
    pub fn forwards(&self) -> Option<&Arc<Forwards>> {
        self.rare.as_ref()?.forwards.as_ref().filter(|_| self.enabled)
    }

    /// Whether it may register this address-of-record, which is not its own.
    pub fn may_register(&self, aor: &str) -> bool {
        match self.rare.as_ref().map(|rare| &rare.third_party) {
            Some(MayRegister::Everybody) => self.enabled,
            Some(MayRegister::These(these)) => self.enabled && these.iter().any(|one| one.as_str() == aor),
            None => false,
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}
