//! WWW-Authenticate and Proxy-Authenticate, and the answer to them.

use super::algorithm::{Input, response};
use super::{Algorithm, AuthError, Secret};
use crate::header::Auth;

/// What is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// Method and Request-URI.
    Auth,
    /// The body too.
    AuthInt,
}

impl Qop {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| qop.name().eq_ignore_ascii_case(name))
    }
}

/// A challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Who asks, and for whose password.
    pub realm: String,
    /// What the answer is bound to.
    pub nonce: String,
    /// What the answer is to repeat.
    pub opaque: Option<String>,
    /// How.
    pub algorithm: Algorithm,
    /// What it may protect, in the order in which it is offered; none for a server of RFC 2069's age.
    pub qops: Vec<Qop>,
    /// Only the nonce was too old; the secret was right.
    pub stale: bool,
}

/// What an answer is made for.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The user name.
    pub user: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// Its Request-URI.
    pub uri: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// A random text of the client.
    pub cnonce: &'a str,
    /// Which answer to this nonce it is, from 1.
    pub count: u32,
}

impl Challenge {
    /// A challenge with `qop="auth"`.
    pub fn new(realm: &str, nonce: &str, algorithm: Algorithm) -> Self {
        let (realm, nonce) = (realm.to_owned(), nonce.to_owned());
        Challenge { realm, nonce, opaque: None, algorithm, qops: vec![Qop::Auth], stale: false }
    }

    /// Reads a challenge.
    ///
    /// # Errors
    /// [`AuthError`]: it is to be ignored.
    pub fn read(header: &Auth<'_>) -> Result<Self, AuthError> {
        if !header.is_digest() {
            return Err(AuthError::Scheme);
        }
        let text = |name| header.get(name).map(|value| value.into_owned());
        let algorithm = match header.get("algorithm") {
            Some(name) => Algorithm::from_name(&name).ok_or(AuthError::Algorithm)?,
            None => Algorithm::MD5,
        };
        let offered = header.get("qop");
        let qops: Vec<Qop> =
            offered.iter().flat_map(|names| names.split(',')).filter_map(|name| Qop::from_name(name.trim())).collect();
        if offered.is_some() && qops.is_empty() {
            return Err(AuthError::Qop);
        }
        Ok(Challenge {
            realm: text("realm").ok_or(AuthError::Missing("realm"))?,
            nonce: text("nonce").ok_or(AuthError::Missing("nonce"))?,
            opaque: text("opaque"),
            algorithm,
            qops,
            stale: header.get("stale").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        })
    }

    /// The header value.
    pub fn to_auth(&self) -> Auth<'static> {
        let mut auth = Auth::new("Digest").with_quoted("realm", &self.realm).with_quoted("nonce", &self.nonce);
        if let Some(opaque) = &self.opaque {
            auth = auth.with_quoted("opaque", opaque);
        }
        auth = auth.with("algorithm", self.algorithm.name());
        if !self.qops.is_empty() {
            let names: Vec<&str> = self.qops.iter().map(|qop| qop.name()).collect();
            auth = auth.with_quoted("qop", &names.join(","));
        }
        if self.stale { auth.with("stale", "TRUE") } else { auth }
    }

    /// What an answer protects: `auth` where there is a choice.
    pub fn qop(&self) -> Option<Qop> {
        self.qops.iter().find(|qop| **qop == Qop::Auth).or(self.qops.first()).copied()
    }

    /// The credentials that answer it (RFC 7616 §3.4); none when the secret is kept by another hash function.
    pub fn answer(&self, secret: &Secret, answer: &Answer<'_>) -> Option<Auth<'static>> {
        let (count, qop) = (format!("{:08x}", answer.count), self.qop());
        let response = response(
            secret,
            &Input {
                algorithm: self.algorithm,
                user: answer.user,
                realm: &self.realm,
                nonce: &self.nonce,
                method: answer.method,
                uri: answer.uri,
                body: answer.body,
                protection: qop.map(|qop| (qop, count.as_str(), answer.cnonce)),
            },
        )?;
        let mut auth = Auth::new("Digest")
            .with_quoted("username", answer.user)
            .with_quoted("realm", &self.realm)
            .with_quoted("nonce", &self.nonce)
            .with_quoted("uri", answer.uri)
            .with_quoted("response", &response)
            .with("algorithm", self.algorithm.name());
        if let Some(qop) = qop {
            auth = auth.with("qop", qop.name()).with("nc", &count).with_quoted("cnonce", answer.cnonce);
        } else if self.algorithm.session {
            auth = auth.with_quoted("cnonce", "");
        }
        if let Some(opaque) = &self.opaque {
            auth = auth.with_quoted("opaque", opaque);
        }
        Some(auth)
    }
}
