//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): what a client answers to a challenge, and how a server makes
//! one and checks the answer. All is computation: time and randomness are arguments, and nothing is kept.
//!
//! ```
//! use rutil::{Rng, Time};
//! use stack::auth::{Algorithm, Answer, Challenge, Nonces, Presented, Secret};
//! use stack::header::Auth;
//! use std::time::Duration;
//!
//! let mut rng = Rng::from_seed(1);
//! let nonces = Nonces::new(&mut rng);
//! // The server asks,
//! let (now, source) = (Time::from_millis(5_000), "192.0.2.7".parse().ok());
//! let header = Challenge::new("example.com", &nonces.issue(source, now, &mut rng), Algorithm::SHA_256).to_auth();
//! // the client answers,
//! let challenge = Challenge::read(&header)?;
//! let secret = Secret::password("zanzibar");
//! let answer = Answer { user: "bob", method: "REGISTER", uri: "sip:example.com", body: b"", cnonce: "0a4f113b", count: 1 };
//! let credentials = challenge.answer(&secret, &answer).expect("a password serves all algorithms");
//! // the server looks.
//! let presented = Presented::read(&credentials)?;
//! assert!(presented.is_right(&secret, "REGISTER", b""));
//! assert!(!presented.is_right(&Secret::password("guess"), "REGISTER", b""));
//! assert!(nonces.check(&presented.nonce, source, now + Duration::from_secs(9), Duration::from_secs(60)).is_ok());
//! # Ok::<(), stack::auth::AuthError>(())
//! ```

mod algorithm;
mod challenge;
mod nonce;
mod presented;
#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, Hash, Secret, ha1};
pub use challenge::{Answer, Challenge, Qop};
pub use nonce::{BadNonce, Nonce, Nonces};
pub use presented::Presented;

/// Why a challenge or credentials cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The scheme is not `Digest`.
    #[error("not the Digest scheme")]
    Scheme,
    /// An algorithm that is not known here (RFC 8760 §2.4: such a challenge is to be ignored).
    #[error("unknown algorithm")]
    Algorithm,
    /// No quality of protection that is known here.
    #[error("unknown qop")]
    Qop,
    /// A parameter is missing.
    #[error("no {0} parameter")]
    Missing(&'static str),
    /// `nc` is not eight hexadecimal digits.
    #[error("malformed nc")]
    Count,
}
