//! The hash functions, and what is hashed (RFC 7616 §3.4).

use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// MD5: broken, and what RFC 3261 has.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512/256.
    Sha512_256,
}

impl Hash {
    /// The hash of all parts, one after the other, in hexadecimal digits.
    pub(super) fn hex(self, parts: &[&[u8]]) -> String {
        match self {
            Hash::Md5 => hex::<Md5>(parts),
            Hash::Sha256 => hex::<Sha256>(parts),
            Hash::Sha512_256 => hex::<Sha512_256>(parts),
        }
    }
}

fn hex<D: Digest>(parts: &[&[u8]]) -> String {
    let mut hash = D::new();
    parts.iter().for_each(|part| hash.update(part));
    let octets = hash.finalize();
    octets.iter().flat_map(|octet| [octet >> 4, octet & 15]).map(digit).collect()
}

fn digit(nibble: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble })
}

/// The value of `algorithm`. Ordered by strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Algorithm {
    /// The hash function.
    pub hash: Hash,
    /// `-sess`: the key is bound to nonce and cnonce (RFC 7616 §3.4.2).
    pub session: bool,
}

impl Algorithm {
    /// `MD5`: what is meant where none is named.
    pub const MD5: Algorithm = Algorithm { hash: Hash::Md5, session: false };
    /// `SHA-256`
    pub const SHA_256: Algorithm = Algorithm { hash: Hash::Sha256, session: false };
    /// `SHA-512-256`
    pub const SHA_512_256: Algorithm = Algorithm { hash: Hash::Sha512_256, session: false };

    /// The algorithm with this name in any case, if it is known.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Hash::Md5, Hash::Sha256, Hash::Sha512_256];
        let both = all.iter().flat_map(|hash| [false, true].map(|session| Algorithm { hash: *hash, session }));
        both.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match (self.hash, self.session) {
            (Hash::Md5, false) => "MD5",
            (Hash::Md5, true) => "MD5-sess",
            (Hash::Sha256, false) => "SHA-256",
            (Hash::Sha256, true) => "SHA-256-sess",
            (Hash::Sha512_256, false) => "SHA-512-256",
            (Hash::Sha512_256, true) => "SHA-512-256-sess",
        }
    }
}

/// What both sides know: a password, or a hash of user, realm and password. It never appears in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Password(Arc<str>),
    A1(Hash, Arc<str>),
}

impl Secret {
    /// A password: it serves all algorithms.
    pub fn password(password: &str) -> Self {
        Secret(Kind::Password(password.into()))
    }

    /// The hash of `user:realm:password` in hexadecimal digits, `HA1`: it serves the algorithms of that hash function.
    pub fn a1(hash: Hash, digits: &str) -> Self {
        Secret(Kind::A1(hash, digits.to_ascii_lowercase().into()))
    }

    /// The secret of a user in a realm without the password itself: what a server should keep.
    pub fn hashed(hash: Hash, user: &str, realm: &str, password: &str) -> Self {
        Secret(Kind::A1(hash, ha1(hash, user, realm, password).into()))
    }

    /// `HA1` by a hash function, unless it is kept by another.
    pub(super) fn key(&self, hash: Hash, user: &str, realm: &str) -> Option<Cow<'_, str>> {
        match &self.0 {
            Kind::Password(password) => Some(ha1(hash, user, realm, password).into()),
            Kind::A1(kept, digits) => (*kept == hash).then_some(Cow::Borrowed(&**digits)),
        }
    }

    /// Whether it serves a hash function.
    pub fn serves(&self, hash: Hash) -> bool {
        !matches!(&self.0, Kind::A1(kept, _) if *kept != hash)
    }
}

/// `HA1`: the hash of `user:realm:password` in hexadecimal digits, which serves as the password does
/// (RFC 7616 §3.4.2).
pub fn ha1(hash: Hash, user: &str, realm: &str, password: &str) -> String {
    hash.hex(&[user.as_bytes(), b":", realm.as_bytes(), b":", password.as_bytes()])
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a response is computed from.
pub(super) struct Input<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) user: &'a str,
    pub(super) realm: &'a str,
    pub(super) nonce: &'a str,
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) body: &'a [u8],
    /// qop as it stands in the header, nc and cnonce; none as RFC 2069 had it.
    pub(super) protection: Option<(super::Qop, &'a str, &'a str)>,
}

/// The value of `response` (RFC 7616 §3.4.1), unless the secret is kept by another hash function.
pub(super) fn response(secret: &Secret, input: &Input<'_>) -> Option<String> {
    let hash = input.algorithm.hash;
    let colon = b":".as_slice();
    let mut key = secret.key(hash, input.user, input.realm)?;
    if input.algorithm.session {
        let cnonce = input.protection.map_or("", |(.., cnonce)| cnonce);
        key = hash.hex(&[key.as_bytes(), colon, input.nonce.as_bytes(), colon, cnonce.as_bytes()]).into();
    }
    let (method, uri) = (input.method.as_bytes(), input.uri.as_bytes());
    let a2 = match input.protection {
        Some((super::Qop::AuthInt, ..)) => {
            let body = hash.hex(&[input.body]);
            hash.hex(&[method, colon, uri, colon, body.as_bytes()])
        }
        _ => hash.hex(&[method, colon, uri]),
    };
    let (key, nonce, a2) = (key.as_bytes(), input.nonce.as_bytes(), a2.as_bytes());
    Some(match input.protection {
        Some((qop, nc, cnonce)) => {
            let (nc, cnonce, qop) = (nc.as_bytes(), cnonce.as_bytes(), qop.name().as_bytes());
            hash.hex(&[key, colon, nonce, colon, nc, colon, cnonce, colon, qop, colon, a2])
        }
        None => hash.hex(&[key, colon, nonce, colon, a2]),
    })
}
