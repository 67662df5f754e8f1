//! Digest authentication (RFC 3261 §22): challenges are answered for every usage by the profile's [`Credential`]s, and a
//! [`ServerAuthManager`] makes them, here for a [`ServerAuthHandler`], or for a proxy.

pub(crate) mod client;
mod counts;
mod manager;
#[cfg(test)]
mod manager_tests;
pub(crate) mod server;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
pub(crate) mod tests;

pub use manager::{Asker, Refusal, ServerAuthManager, ServerAuthOptions, source};
pub use server::ServerAuthHandler;

use stack::auth::Secret;

/// A user name and its secret for a realm: a setting of the profile ([`crate::UserProfile::credentials`]). The secret
/// never appears in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The realm; none for whichever asks.
    pub realm: Option<String>,
    /// The user name.
    pub user: String,
    /// The secret.
    pub secret: Secret,
}

impl Credential {
    /// A password for a realm.
    pub fn new(realm: &str, user: &str, password: &str) -> Self {
        Credential { realm: Some(realm.into()), user: user.into(), secret: Secret::password(password) }
    }

    /// A password for whichever realm asks. A server that the user does not know can so ask for it too, in a challenge by
    /// MD5: prefer [`Credential::new`].
    pub fn for_any_realm(user: &str, password: &str) -> Self {
        Credential { realm: None, user: user.into(), secret: Secret::password(password) }
    }
}

/// The one for a realm: one that names it comes first.
fn of_realm<'c>(credentials: &'c [Credential], realm: &str) -> Option<&'c Credential> {
    let named = credentials.iter().find(|credential| credential.realm.as_deref() == Some(realm));
    named.or_else(|| credentials.iter().find(|credential| credential.realm.is_none()))
}
