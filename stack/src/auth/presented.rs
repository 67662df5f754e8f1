//! Authorization and Proxy-Authorization, as a server sees them.

use super::algorithm::{Input, response};
use super::{Algorithm, AuthError, Qop, Secret};
use crate::header::Auth;

/// Credentials that a client presents.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// Who it says it is.
    pub user: String,
    /// For which realm.
    pub realm: String,
    /// The nonce that it answers.
    pub nonce: String,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The nonce count; none with a client of RFC 2069's age.
    pub count: Option<u32>,
    uri: String,
    response: String,
    /// qop, and nc and cnonce as they stand.
    protection: Option<(Qop, String, String)>,
}

impl Presented {
    /// Reads credentials.
    ///
    /// # Errors
    /// [`AuthError`]: they prove nothing.
    pub fn read(header: &Auth<'_>) -> Result<Self, AuthError> {
        if !header.is_digest() {
            return Err(AuthError::Scheme);
        }
        let text = |name| header.get(name).map(|value| value.into_owned()).ok_or(AuthError::Missing(name));
        let algorithm = match header.get("algorithm") {
            Some(name) => Algorithm::from_name(&name).ok_or(AuthError::Algorithm)?,
            None => Algorithm::MD5,
        };
        let protection = match header.get("qop") {
            Some(name) => Some((Qop::from_name(&name).ok_or(AuthError::Qop)?, text("nc")?, text("cnonce")?)),
            None => None,
        };
        let count = match &protection {
            Some((_, nc, _)) if nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Some(u32::from_str_radix(nc, 16).map_err(|_| AuthError::Count)?)
            }
            Some(_) => return Err(AuthError::Count),
            None => None,
        };
        Ok(Presented {
            user: text("username")?,
            realm: text("realm")?,
            nonce: text("nonce")?,
            algorithm,
            count,
            uri: text("uri")?,
            response: text("response")?,
            protection,
        })
    }

    /// What is protected, if it is said.
    pub fn qop(&self) -> Option<Qop> {
        self.protection.as_ref().map(|(qop, ..)| *qop)
    }

    /// The URI that they were made for: the Request-URI, as long as no proxy on the way has rewritten that.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether the client knows the secret. The comparison takes as long for a wrong response as for a right one.
    pub fn is_right(&self, secret: &Secret, method: &str, body: &[u8]) -> bool {
        let expected = response(
            secret,
            &Input {
                algorithm: self.algorithm,
                user: &self.user,
                realm: &self.realm,
                nonce: &self.nonce,
                method,
                uri: &self.uri,
                body,
                protection: self.protection.as_ref().map(|(qop, nc, cnonce)| (*qop, nc.as_str(), cnonce.as_str())),
            },
        );
        expected.is_some_and(|expected| same(expected.as_bytes(), self.response.as_bytes()))
    }
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b.to_ascii_lowercase())) == 0
}

/// Names only: what proves an identity does not belong in logs.
impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("user", &self.user).field("realm", &self.realm).finish_non_exhaustive()
    }
}
