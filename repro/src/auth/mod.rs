//! Who the sender of a request is, as far as it can show that: what the processors for it share.
//!
//! Passwords are asked for and checked by [`dum`]'s `ServerAuthManager`; whoever guesses is slowed, and banned at last.

mod guard;

use crate::config::Auth;
use dum::auth::{ServerAuthManager, ServerAuthOptions};
use guard::{Guard, GuardLimits};
use parking_lot::Mutex;
use rutil::{Rng, Time};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Challenges and checks, for all shards.
#[derive(Debug)]
pub struct Authentication {
    manager: ServerAuthManager,
    guard: Mutex<Guard>,
    /// Somebody has given a wrong password: before that, nobody needs to look who is slowed.
    suspects: AtomicBool,
    ban_for: Duration,
}

impl Authentication {
    /// What the configuration asks for; none when passwords are not.
    pub(crate) fn new(config: &Auth, rng: &mut Rng) -> Option<Self> {
        config.required.then(|| {
            let options = ServerAuthOptions {
                algorithms: config.algorithms.iter().map(|name| name.0).collect(),
                qops: config.qop.iter().map(|name| name.0).collect(),
                lifetime: Duration::from_secs(config.nonce_seconds),
                nonces: config.nonces,
            };
            let limits = GuardLimits { failures: config.failures, ban_after: config.ban_after };
            Authentication {
                manager: ServerAuthManager::new(options, rng),
                guard: Mutex::new(Guard::new(limits, rng)),
                suspects: AtomicBool::new(false),
                ban_for: Duration::from_secs(config.ban_seconds),
            }
        })
    }

    /// What challenges and checks.
    pub fn manager(&self) -> &ServerAuthManager {
        &self.manager
    }

    /// Whether another answer of a source for a user counts as wrong without a look: too many were.
    pub(crate) fn is_slowed(&self, source: IpAddr, user: &str, now: Time) -> bool {
        self.suspects.load(Ordering::Relaxed) && self.guard.lock().is_slowed(source, user, now)
    }

    /// A source has given a wrong password for a user; for how long it is to be banned, if it is.
    pub(crate) fn failed(&self, source: IpAddr, user: &str, now: Time) -> Option<Duration> {
        self.suspects.store(true, Ordering::Relaxed);
        self.guard.lock().failed(source, user, now).then_some(self.ban_for)
    }

    /// What a source has guessed counts no more: an operator has let it in again.
    pub(crate) fn forgive(&self, source: IpAddr) {
        self.guard.lock().forgive(source);
    }
}
