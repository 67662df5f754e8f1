//! The kinds of records: each is a TOML table of the configuration, a JSON line of an import, and a row of the store.

use super::field::{Aor, ContactUri, ForwardUri, Ha1, Quality};
use super::forwarding;
use super::records::{Placed, Records};
use crate::config::{Domain, Network};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stack::auth::{Hash, ha1};

/// One thing that an operator provisions.
pub trait Record: Serialize + DeserializeOwned + Clone + PartialEq {
    /// The name of its table in the configuration, as `user`.
    const KIND: &'static str;

    /// The fields that serve as passwords do: they are written, and never shown to an operator.
    const SECRETS: &'static [&'static str] = &[];

    /// What tells it from others of its kind.
    fn key(&self) -> String;

    /// What no single field can tell.
    ///
    /// # Errors
    /// The field that is wrong, and what was expected.
    fn check(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected}")]
pub struct Fault {
    /// The field.
    pub field: &'static str,
    /// What was expected.
    pub expected: String,
}

/// `[[user]]`: who may register, and how it proves who it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRecord {
    /// The address-of-record; its user part is the user name of the digest.
    pub aor: Aor,
    /// What the hashes were made with; without it the realm of its domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// MD5 of `user:realm:password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<Ha1<16>>,
    /// SHA-256 of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Ha1<32>>,
    /// SHA-512/256 of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512_256: Option<Ha1<32>>,
    /// Whom else it may register: addresses-of-record, or `*` for everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub third_party: Vec<ThirdParty>,
    /// Whether it may do anything at all.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// Where all its calls go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_always: Option<ForwardUri>,
    /// Where its calls go when it is busy (486).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_busy: Option<ForwardUri>,
    /// Where its calls go that nobody answers (`no_answer_seconds`, or 480 or 408).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_no_answer: Option<ForwardUri>,
    /// How long its phones ring before nobody has answered, seconds; without it 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer_seconds: Option<u32>,
    /// Where its calls go while no phone is registered, or none can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_not_registered: Option<ForwardUri>,
    /// Where its calls go when it is busy, does not answer or is not registered, and nothing is said for that case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voicemail: Option<ForwardUri>,
}

impl UserRecord {
    /// Takes the hashes of a password; `records` say which realm its domain has.
    pub fn set_password(&mut self, password: &str, records: &Records) {
        let of_domain = |placed: &&Placed<DomainRecord>| placed.record.key() == self.aor.domain();
        let domain = records.domains.iter().find(of_domain).and_then(|placed| placed.record.realm.as_deref());
        let realm = self.realm.as_deref().or(domain).unwrap_or(self.aor.domain());
        let name = self.aor.user_name();
        let hashed = |hash| ha1(hash, &name, realm, password);
        // Digits are what a hash is written in.
        (self.md5, self.sha256) = (hashed(Hash::Md5).parse().ok(), hashed(Hash::Sha256).parse().ok());
        self.sha512_256 = hashed(Hash::Sha512_256).parse().ok();
    }
}

/// Whom a user may register besides itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ThirdParty {
    /// `*`
    Everybody,
    /// One address-of-record.
    One(Aor),
}

/// `[[domain]]`: a domain to answer for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainRecord {
    /// Its name, or an address.
    pub name: Domain,
    /// The realm that its users are asked for; without it its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
}

/// `[[acl]]`: who is trusted without being asked for a password. With a network and a TLS identity both must fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclRecord {
    /// Where it sends from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// A domain that its certificate proves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_identity: Option<Domain>,
    /// Whether it may register users of ours.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub register: bool,
    /// Whether it may send requests to any address.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub relay: bool,
}

/// `[[static_registration]]`: a contact that nobody registers, for a device that cannot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticRegistration {
    /// The address-of-record.
    pub aor: Aor,
    /// Where its calls go.
    pub contact: ContactUri,
    /// Preference, 0 to 1.
    #[serde(default)]
    pub q: Quality,
}

impl Record for UserRecord {
    const KIND: &'static str = "user";
    const SECRETS: &'static [&'static str] = &["md5", "sha256", "sha512_256"];

    fn key(&self) -> String {
        self.aor.to_string()
    }

    fn check(&self) -> Result<(), Fault> {
        forwarding::check(self)
    }
}

impl Record for DomainRecord {
    const KIND: &'static str = "domain";

    fn key(&self) -> String {
        self.name.to_string().to_ascii_lowercase()
    }
}

impl Record for AclRecord {
    const KIND: &'static str = "acl";

    fn key(&self) -> String {
        let identity = self.tls_identity.as_ref().map(|name| format!("tls:{}", name.to_string().to_ascii_lowercase()));
        let parts: Vec<String> = self.network.map(|network| network.to_string()).into_iter().chain(identity).collect();
        parts.join(" ")
    }

    fn check(&self) -> Result<(), Fault> {
        match (self.network, &self.tls_identity) {
            (None, None) => Err(Fault { field: "network", expected: "expected network or tls_identity".to_owned() }),
            _ => Ok(()),
        }
    }
}

impl Record for StaticRegistration {
    const KIND: &'static str = "static_registration";

    fn key(&self) -> String {
        format!("{} {}", self.aor, self.contact)
    }
}

impl TryFrom<String> for ThirdParty {
    type Error = crate::config::BadText;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "*" { Ok(ThirdParty::Everybody) } else { text.parse().map(ThirdParty::One) }
    }
}

impl From<ThirdParty> for String {
    fn from(whom: ThirdParty) -> String {
        match whom {
            ThirdParty::Everybody => "*".to_owned(),
            ThirdParty::One(aor) => aor.to_string(),
        }
    }
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}
