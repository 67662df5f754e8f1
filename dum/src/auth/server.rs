//! reSIProcate's `ServerAuthManager`: who sends a request must show that it knows the user's secret.
//!
//! ```text
//!   request ──no credentials, nonce of another process──► 401 with a challenge for each algorithm
//!           ──nonce too old, or used with this count─────► the same with stale=true
//!           ──wrong response, unknown user───────────────► the same
//!           ──right, but another's From──────────────────► 403
//!           ──right──────────────────────────────────────► the usages
//! ```
//!
//! A nonce says itself when it was made and proves it ([`stack::auth::Nonces`]): challenges cost no memory, however many
//! are asked for. What is remembered is the highest count of nonces that were answered rightly.

use crate::application::Application;
use crate::dum::Dum;
use rutil::{HashMap, Keyed, Rng, Time};
use stack::auth::{Algorithm, BadNonce, Challenge, Nonces, Presented, Qop, Secret};
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::TuEvent;
use std::time::Duration;

/// How a server authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAuthOptions {
    /// Whose passwords are asked for.
    pub realm: String,
    /// A challenge for each of them, in this order (RFC 8760 §2.3: the strongest first). By default SHA-256 and MD5.
    pub algorithms: Vec<Algorithm>,
    /// What is protected: by default [`Qop::Auth`].
    pub qop: Qop,
    /// How long a nonce may be used: 300 s.
    pub lifetime: Duration,
    /// Nonces whose counts are remembered: 100,000. When there are more, the oldest half is forgotten, and a request that
    /// was recorded could be sent again until its nonce is too old.
    pub nonces: usize,
}

impl ServerAuthOptions {
    /// The defaults for a realm.
    pub fn new(realm: &str) -> Self {
        let algorithms = vec![Algorithm::SHA_256, Algorithm::MD5];
        let (qop, lifetime) = (Qop::Auth, Duration::from_secs(300));
        ServerAuthOptions { realm: realm.to_owned(), algorithms, qop, lifetime, nonces: 100_000 }
    }
}

/// Challenges requests and checks their credentials.
#[derive(Debug)]
pub struct ServerAuthManager {
    options: ServerAuthOptions,
    nonces: Nonces,
    young: HashMap<String, u32>,
    old: HashMap<String, u32>,
}

/// What the credentials of a request prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sender is this user.
    User(String),
    /// Nothing: these are to be answered. With `stale` the secret was right.
    Challenge(Vec<Challenge>),
}

impl ServerAuthManager {
    /// A manager with a key of its own.
    pub fn new(options: ServerAuthOptions, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        let (young, old) = (HashMap::with_hasher(hasher.clone()), HashMap::with_hasher(hasher));
        ServerAuthManager { nonces: Nonces::new(rng), options, young, old }
    }

    /// Checks the credentials for the realm in Authorization. `secret` knows the users of the realm.
    pub fn check(
        &mut self,
        request: &Message,
        now: Time,
        rng: &mut Rng,
        secret: impl FnMut(&str, Algorithm) -> Option<Secret>,
    ) -> Verdict {
        match self.user_of(request, now, secret) {
            Ok(user) => Verdict::User(user),
            Err(stale) => Verdict::Challenge(self.challenges(stale, now, rng)),
        }
    }

    /// The user that a request is from, or whether only its nonce was too old.
    fn user_of(
        &mut self,
        request: &Message,
        now: Time,
        mut secret: impl FnMut(&str, Algorithm) -> Option<Secret>,
    ) -> Result<String, bool> {
        let all = request.header(h::AUTHORIZATIONS).flatten().filter_map(|auth| Presented::read(&auth).ok());
        let mut ours = all.filter(|presented| presented.realm == self.options.realm);
        let Some(presented) = ours.find(|presented| self.options.algorithms.contains(&presented.algorithm)) else {
            return Err(false);
        };
        // What a challenge asked for is not to be left out by who has heard another's answer.
        if presented.qop() != Some(self.options.qop) {
            return Err(false);
        }
        let fresh = match self.nonces.check(&presented.nonce, now, self.options.lifetime) {
            Ok(_) => true,
            Err(BadNonce::Stale) => false,
            Err(BadNonce::Foreign) => return Err(false),
        };
        let known = secret(&presented.user, presented.algorithm);
        let method = request.method();
        let right = known
            .zip(method.as_ref())
            .is_some_and(|(secret, method)| presented.is_right(&secret, method.as_str(), request.body()));
        if !right {
            return Err(false);
        }
        if !fresh || !self.is_new(&presented.nonce, presented.count.unwrap_or(0)) {
            return Err(true);
        }
        Ok(presented.user)
    }

    /// Whether a nonce was not used with this count, or a higher one, before (RFC 7616 §3.4.5).
    fn is_new(&mut self, nonce: &str, count: u32) -> bool {
        let last = self.young.get(nonce).or_else(|| self.old.get(nonce)).copied().unwrap_or(0);
        if count <= last {
            return false;
        }
        if self.young.len() >= self.options.nonces / 2 && !self.young.contains_key(nonce) {
            let empty = HashMap::with_hasher(self.old.hasher().clone());
            self.old = std::mem::replace(&mut self.young, empty);
        }
        self.young.insert(nonce.to_owned(), count);
        true
    }

    fn challenges(&self, stale: bool, now: Time, rng: &mut Rng) -> Vec<Challenge> {
        let nonce = self.nonces.issue(now, rng);
        let (qop, realm) = (Some(self.options.qop), &self.options.realm);
        let challenge = |algorithm| Challenge { stale, qop, ..Challenge::new(realm, &nonce, algorithm) };
        self.options.algorithms.iter().copied().map(challenge).collect()
    }
}

/// Says who must authenticate, and knows the secrets.
pub trait ServerAuthHandler {
    /// What challenges and checks.
    fn manager(&mut self) -> &mut ServerAuthManager;

    /// The secret of a user, for an algorithm; none if there is no such user. It must not block: what is far away is kept
    /// here as a copy.
    fn secret(&mut self, user: &str, algorithm: Algorithm) -> Option<Secret>;

    /// Whether the sender of a request must authenticate. By default for all that can (RFC 3261 §22.1: ACK and CANCEL
    /// cannot be challenged, and are not asked for).
    fn requires_challenge(&mut self, _request: &Message) -> bool {
        true
    }

    /// Whether an authenticated user may send this; if not it is answered 403. By default From must be the user's: a
    /// user name `alice` or `alice@example.com` for `sip:alice@example.com`; and To of a REGISTER too (RFC 3261 §10.3
    /// step 4).
    fn authorizes(&mut self, request: &Message, user: &str) -> bool {
        let is_user = |addr: Result<stack::header::NameAddr<'_>, _>| {
            let addr = addr.ok();
            addr.as_ref().and_then(|addr| addr.uri.sip()).is_some_and(|uri| {
                let name = uri.user_decoded().unwrap_or_default();
                let whole = [&*name, b"@", uri.host.to_string().as_bytes()].concat();
                *name == *user.as_bytes() || whole == user.as_bytes()
            })
        };
        is_user(request.header(h::FROM))
            && (request.method() != Some(Method::Register) || is_user(request.header(h::TO)))
    }
}

/// Whether an event goes on to the usages. A request that does not is answered here.
pub(crate) fn admit(app: &mut impl Application, dum: &mut Dum<'_>, event: &TuEvent) -> bool {
    let TuEvent::Request { transaction, msg } = event else { return true };
    if matches!(msg.method(), Some(Method::Ack | Method::Cancel)) {
        return true;
    }
    let Some(handler) = app.server_auth() else { return true };
    if !handler.requires_challenge(msg) {
        return true;
    }
    let now = dum.now();
    // The secret is the handler's and the manager too: what it knows is asked for first.
    let mut known = Vec::new();
    for auth in msg.header(h::AUTHORIZATIONS).flatten().take(MAX_CREDENTIALS) {
        if let Ok(presented) = Presented::read(&auth) {
            let secret = handler.secret(&presented.user, presented.algorithm);
            known.push((presented.user, presented.algorithm, secret));
        }
    }
    let secret = |user: &str, algorithm| {
        known.iter().find(|(known, by, _)| known == user && *by == algorithm).and_then(|(.., secret)| secret.clone())
    };
    match handler.manager().check(msg, now, dum.rng(), secret) {
        Verdict::User(user) if handler.authorizes(msg, &user) => true,
        Verdict::User(_) => {
            dum.refuse(*transaction, msg, 403);
            false
        }
        Verdict::Challenge(challenges) => {
            let mut response = dum.make_response(msg, 401, None);
            challenges.iter().for_each(|c| response.push_back(h::WWW_AUTHENTICATES, &c.to_auth()));
            dum.stack.respond(*transaction, response);
            false
        }
    }
}

/// Credentials of a request that are looked at.
const MAX_CREDENTIALS: usize = 8;
