//! reSIProcate's `ServerAuthManager`: who sends a request must show that it knows the user's secret.
//!
//! ```text
//!   request ──no credentials for the realm───────────────► Missing   a challenge for each algorithm
//!           ──nonce too old, of another process or source─► Stale     the same with stale=true
//!           ──wrong response, unknown user────────────────► Wrong     as Missing
//!           ──right, but the nonce was used with this count► Stale
//!           ──right───────────────────────────────────────► the user
//! ```
//!
//! A nonce says itself when it was made and for whom, and proves it ([`stack::auth::Nonces`]): challenges cost no memory,
//! however many are asked for. What is remembered is how often nonces were answered rightly. As a nonce serves only the
//! address that it was sent to, a wrong answer to one comes from where it says: nobody can have another blamed for it.

use super::counts::NonceCounts;
use rutil::{Rng, Time};
use stack::auth::{Algorithm, Challenge, Hash, Nonces, Presented, Qop, Secret};
use stack::header::{Method, h};
use stack::message::Message;
use std::net::IpAddr;
use std::time::Duration;

/// How a server authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAuthOptions {
    /// A challenge for each of them, in this order (RFC 8760 §2.3: the strongest first). By default SHA-256 and MD5. There are
    /// clients that give up at one that they do not know instead of taking the next, as baresip 1.0 does: for those, MD5 alone.
    pub algorithms: Vec<Algorithm>,
    /// What may be protected, in the order in which it is offered: by default [`Qop::Auth`] alone. Credentials without any
    /// prove nothing, since they could be used again.
    pub qops: Vec<Qop>,
    /// How long a nonce may be used: 300 s.
    pub lifetime: Duration,
    /// Nonces whose counts are remembered: 100,000. When there are more, the oldest half is forgotten, and a nonce of that
    /// age is stale before its time.
    pub nonces: usize,
}

impl Default for ServerAuthOptions {
    fn default() -> Self {
        ServerAuthOptions {
            algorithms: vec![Algorithm::SHA_256, Algorithm::MD5],
            qops: vec![Qop::Auth],
            lifetime: Duration::from_secs(300),
            nonces: 100_000,
        }
    }
}

/// Who asks for a password, and so by which status and headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A user agent server or registrar: 401, WWW-Authenticate and Authorization (RFC 3261 §22.2).
    Server,
    /// A proxy: 407, Proxy-Authenticate and Proxy-Authorization (RFC 3261 §22.3).
    Proxy,
}

impl Asker {
    /// The status of its challenges.
    pub const fn status(self) -> u16 {
        match self {
            Asker::Server => 401,
            Asker::Proxy => 407,
        }
    }

    /// Writes its challenges into a response.
    pub fn write(self, challenges: &[Challenge], response: &mut Message) {
        for challenge in challenges {
            match self {
                Asker::Server => response.push_back(h::WWW_AUTHENTICATES, &challenge.to_auth()),
                Asker::Proxy => response.push_back(h::PROXY_AUTHENTICATES, &challenge.to_auth()),
            }
        }
    }
}

/// Why a request does not show who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no credentials that were asked for.
    Missing,
    /// They answer a nonce that serves no more: the client is to answer another, and its user is not to be asked.
    Stale,
    /// The password is wrong, or there is no such user: nobody is told which.
    Wrong {
        /// The user name that it has.
        user: String,
    },
}

/// Challenges requests and checks their credentials, of any number of realms. It may be shared by threads: a lock is
/// taken for requests that are rightly authenticated, and no other.
#[derive(Debug)]
pub struct ServerAuthManager {
    options: ServerAuthOptions,
    nonces: Nonces,
    counts: NonceCounts,
    /// What a user that does not exist is compared with: the work is the same.
    nobody: [Secret; 3],
}

impl ServerAuthManager {
    /// A manager with a key of its own.
    pub fn new(options: ServerAuthOptions, rng: &mut Rng) -> Self {
        let password = rng.token::<16>();
        let nobody =
            [Hash::Md5, Hash::Sha256, Hash::Sha512_256].map(|hash| Secret::hashed(hash, "", "", password.as_str()));
        ServerAuthManager { nonces: Nonces::new(rng), counts: NonceCounts::new(options.nonces, rng), options, nobody }
    }

    /// The user of a realm that sent a request, by its Authorization or Proxy-Authorization: that of `asker` comes first,
    /// and one alone is looked at. `secret` knows the users of the realm; it is called once at most, and only for what
    /// answers a nonce of ours.
    ///
    /// # Errors
    /// [`Refusal`]: the request is to be answered with [`ServerAuthManager::challenges`].
    pub fn check(
        &self,
        request: &Message,
        asker: Asker,
        realm: &str,
        now: Time,
        secret: impl FnOnce(&str, Algorithm) -> Option<Secret>,
    ) -> Result<String, Refusal> {
        let (first, second) = match asker {
            Asker::Server => (h::AUTHORIZATIONS, h::PROXY_AUTHORIZATIONS),
            Asker::Proxy => (h::PROXY_AUTHORIZATIONS, h::AUTHORIZATIONS),
        };
        let all = request.header(first).chain(request.header(second));
        for auth in all.flatten().take(MAX_CREDENTIALS) {
            let Ok(presented) = Presented::read(&auth) else { continue };
            if presented.realm == realm && self.options.algorithms.contains(&presented.algorithm) {
                return self.judge(presented, request, now, secret);
            }
        }
        Err(Refusal::Missing)
    }

    fn judge(
        &self,
        presented: Presented<'_>,
        request: &Message,
        now: Time,
        secret: impl FnOnce(&str, Algorithm) -> Option<Secret>,
    ) -> Result<String, Refusal> {
        // What a challenge asked for is not to be left out by who has heard another's answer.
        if !presented.qop().is_some_and(|qop| self.options.qops.contains(&qop)) {
            return Err(Refusal::Missing);
        }
        let checked = self.nonces.check(&presented.nonce, source(request), now, self.options.lifetime);
        let nonce = checked.map_err(|_| Refusal::Stale)?;
        if !self.is_right(&presented, request, secret(&presented.user, presented.algorithm)) {
            return Err(Refusal::Wrong { user: presented.user.into_owned() });
        }
        // An ACK has the credentials of its INVITE (RFC 3261 §13.2.2.4): they were used before.
        let ack = request.method() == Some(Method::Ack);
        match ack || self.counts.take(nonce, presented.count.unwrap_or(0)) {
            true => Ok(presented.user.into_owned()),
            false => Err(Refusal::Stale),
        }
    }

    fn is_right(&self, presented: &Presented<'_>, request: &Message, secret: Option<Secret>) -> bool {
        let hash = presented.algorithm.hash;
        let known = secret.filter(|secret| secret.serves(hash));
        let nobody = || self.nobody.iter().find(|secret| secret.serves(hash));
        let Some((secret, method)) = known.as_ref().or_else(nobody).zip(request.method()) else { return false };
        let method = if method == Method::Ack { Method::Invite } else { method };
        presented.is_right(secret, method.as_str(), request.body()) & known.is_some()
    }

    /// What a request that came from `source` is asked to answer, by the strongest algorithm first.
    pub fn challenges(
        &self,
        source: Option<IpAddr>,
        realm: &str,
        refusal: &Refusal,
        now: Time,
        rng: &mut Rng,
    ) -> Vec<Challenge> {
        let nonce = self.nonces.issue(source, now, rng);
        let (qops, stale) = (&self.options.qops, *refusal == Refusal::Stale);
        let challenge = |algorithm| Challenge { stale, qops: qops.clone(), ..Challenge::new(realm, &nonce, algorithm) };
        self.options.algorithms.iter().copied().map(challenge).collect()
    }
}

/// Where a request came from: what its nonces are bound to.
pub fn source(request: &Message) -> Option<IpAddr> {
    request.source().map(|source| source.flow.peer.ip())
}

/// Credentials of a request that are looked for among those of other realms.
const MAX_CREDENTIALS: usize = 8;
