//! Authorization and Proxy-Authorization, as a server sees them.

use super::algorithm::{Input, response};
use super::{Algorithm, AuthError, Qop, Secret};
use crate::grammar::unquote;
use crate::header::Auth;
use std::borrow::Cow;
use subtle::ConstantTimeEq;

/// Credentials that a client presents. They borrow from the header value.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented<'a> {
    /// Who it says it is.
    pub user: Cow<'a, str>,
    /// For which realm.
    pub realm: Cow<'a, str>,
    /// The nonce that it answers.
    pub nonce: Cow<'a, str>,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The nonce count; none with a client of RFC 2069's age.
    pub count: Option<u32>,
    uri: Cow<'a, str>,
    response: Cow<'a, str>,
    /// qop, and nc and cnonce as they stand.
    protection: Option<(Qop, Cow<'a, str>, Cow<'a, str>)>,
}

/// The parameters of credentials, in the order of [`Values`].
const NAMES: [&str; 9] = ["username", "realm", "nonce", "uri", "response", "algorithm", "qop", "nc", "cnonce"];

/// Of each parameter the first value, without quotes.
struct Values<'a>([Option<Cow<'a, str>>; NAMES.len()]);

impl<'a> Values<'a> {
    /// One way through the header: each look-up by name would be another.
    fn read(header: &'a Auth<'_>) -> Self {
        let mut values = [const { None }; NAMES.len()];
        for (name, value) in header.params.iter() {
            let known = NAMES.iter().zip(&mut values).find(|(known, _)| known.eq_ignore_ascii_case(name));
            if let Some((_, place @ None)) = known {
                *place = Some(unquote(value));
            }
        }
        Values(values)
    }
}

impl<'a> Presented<'a> {
    /// Reads credentials.
    ///
    /// # Errors
    /// [`AuthError`]: they prove nothing.
    pub fn read(header: &'a Auth<'_>) -> Result<Self, AuthError> {
        if !header.is_digest() {
            return Err(AuthError::Scheme);
        }
        let Values([user, realm, nonce, uri, response, algorithm, qop, nc, cnonce]) = Values::read(header);
        let algorithm = match algorithm {
            Some(name) => Algorithm::from_name(&name).ok_or(AuthError::Algorithm)?,
            None => Algorithm::MD5,
        };
        let protection = match qop {
            Some(name) => {
                let nc = nc.ok_or(AuthError::Missing("nc"))?;
                let cnonce = cnonce.ok_or(AuthError::Missing("cnonce"))?;
                Some((Qop::from_name(&name).ok_or(AuthError::Qop)?, nc, cnonce))
            }
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
            user: user.ok_or(AuthError::Missing("username"))?,
            realm: realm.ok_or(AuthError::Missing("realm"))?,
            nonce: nonce.ok_or(AuthError::Missing("nonce"))?,
            algorithm,
            count,
            uri: uri.ok_or(AuthError::Missing("uri"))?,
            response: response.ok_or(AuthError::Missing("response"))?,
            protection,
        })
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Presented<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        Presented {
            user: own(self.user),
            realm: own(self.realm),
            nonce: own(self.nonce),
            uri: own(self.uri),
            response: own(self.response),
            protection: self.protection.map(|(qop, nc, cnonce)| (qop, own(nc), own(cnonce))),
            ..self
        }
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
                protection: self.protection.as_ref().map(|(qop, nc, cnonce)| (*qop, &**nc, &**cnonce)),
            },
        );
        expected.is_some_and(|expected| expected.as_bytes().ct_eq(self.response.to_ascii_lowercase().as_bytes()).into())
    }
}

/// Names only: what proves an identity does not belong in logs.
impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("user", &self.user).field("realm", &self.realm).finish_non_exhaustive()
    }
}
