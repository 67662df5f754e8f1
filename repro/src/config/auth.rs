//! The tables `[auth]` and `[identity]`.

use super::net::{BadText, bad};
use serde::Deserialize;
use stack::auth::{Algorithm, Qop};

/// Passwords (RFC 3261 §22, RFC 8760).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Whether passwords are asked for: of who registers, and of who sends in the name of one of our domains. Who is
    /// trusted is never asked.
    pub required: bool,
    /// The algorithms that are offered, the strongest first: `SHA-512-256`, `SHA-256`, `MD5`, and with `-sess`. A user
    /// needs a hash for each.
    pub algorithms: Vec<AlgorithmName>,
    /// What may be protected: `auth`, `auth-int`.
    pub qop: Vec<QopName>,
    /// How long a nonce may be used, seconds.
    pub nonce_seconds: u64,
    /// Nonces whose use is remembered; of more the oldest must be asked for anew.
    pub nonces: usize,
    /// Wrong answers for one user from one address, one /64 of IPv6, that are looked at in a minute; further ones count as
    /// wrong without a look.
    pub failures: u32,
    /// After so many wrong answers from an address within a minute nothing more is read from it. 0: never.
    pub ban_after: u32,
    /// For how long, seconds.
    pub ban_seconds: u64,
}

/// Who requests are said to be from (RFC 3325), and what is kept to oneself (RFC 3323).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asserted {
    /// Whether this proxy is in a trust domain, with all who are trusted without a password: who has shown to be a user of
    /// ours is asserted (P-Asserted-Identity), what strangers assert is removed, and what a sender wants to keep private
    /// does not go to strangers. Without it identities pass as they are.
    pub trust_domain: bool,
}

impl Default for Auth {
    fn default() -> Self {
        Auth {
            required: false,
            algorithms: vec![AlgorithmName(Algorithm::SHA_256), AlgorithmName(Algorithm::MD5)],
            qop: vec![QopName(Qop::Auth)],
            nonce_seconds: 300,
            nonces: 100_000,
            failures: 5,
            ban_after: 30,
            ban_seconds: 300,
        }
    }
}

/// An algorithm by its name (RFC 8760 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AlgorithmName(pub Algorithm);

/// A quality of protection by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct QopName(pub Qop);

impl TryFrom<String> for AlgorithmName {
    type Error = BadText;
    fn try_from(text: String) -> Result<Self, BadText> {
        const EXPECTED: &str = "\"SHA-512-256\", \"SHA-256\" or \"MD5\", or one of them with -sess";
        Algorithm::from_name(&text).map(AlgorithmName).ok_or_else(|| bad(&text, EXPECTED))
    }
}

impl TryFrom<String> for QopName {
    type Error = BadText;
    fn try_from(text: String) -> Result<Self, BadText> {
        Qop::from_name(&text).map(QopName).ok_or_else(|| bad(&text, "\"auth\" or \"auth-int\""))
    }
}
