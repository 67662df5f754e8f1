//! The event server: subscriptions to what the proxy knows itself (RFC 6665), one for each shard.
//!
//! It is a user agent ([`dum`]) within the proxy. Its SUBSCRIBEs come by the request chain, so what holds there for every
//! request holds for them too (trust, authentication, filters); the processor `event-server` hands them over. An event
//! package is a handler in `Packages`; the processor knows its name.

mod document;
mod reg;

pub use reg::REG;

use crate::proxy::Server;
use dum::subscription::ServerSubscriptionHandler;
use dum::{Application, DialogUsageManager, DumOptions, EventPackage, Limits, MasterProfile};
use reg::RegPackage;
use rutil::{Rng, Time};
use stack::header::{HeaderValue, MediaType, NameAddr};
use stack::tu::{TransactionUser, TuContext, TuEvent};
use std::sync::Arc;

/// The user part of the address that subscribers send refreshes to.
pub(crate) const USER: &str = "event-server";

/// How long subscriptions last, seconds; RFC 3680 §4.3 has 3761 by default.
const DEFAULT_EXPIRES: u32 = 3761;
const LEAST_EXPIRES: u32 = 60;
const MOST_EXPIRES: u32 = 86_400;

/// The event packages, each with its handler.
struct Packages {
    reg: RegPackage,
}

impl Application for Packages {
    fn server_subscriptions(&mut self, package: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        match package {
            REG => Some(&mut self.reg),
            _ => None,
        }
    }
}

/// The event server of a shard.
pub struct EventServer {
    dum: DialogUsageManager<Packages>,
}

impl EventServer {
    /// The event server of a shard; `rng` gives the secrets of its tables.
    pub fn new(server: Arc<Server>, shard: u16, rng: &mut Rng) -> Self {
        let dialog_sets = server.config().limits.subscriptions;
        let options = DumOptions {
            master: master(),
            limits: Limits { dialog_sets, requests: dialog_sets },
            ..DumOptions::default()
        };
        let packages = Packages { reg: RegPackage::new(server, shard, rng) };
        EventServer { dum: DialogUsageManager::new(packages, options, rng) }
    }

    /// Whether it has nothing under way, and nobody has subscribed.
    pub fn is_idle(&self) -> bool {
        self.dum.application().reg.is_idle() && self.dum.drained()
    }

    /// Whether no request of it waits for its answer.
    pub fn drained(&self) -> bool {
        self.dum.drained()
    }

    /// Takes an event that is its own.
    pub fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        self.dum.process(event, stack);
        self.tell(stack);
    }

    /// Something else is provisioned.
    pub fn set_server(&mut self, server: Arc<Server>, stack: &mut TuContext<'_>) {
        self.dum.with(stack, |packages, dum| packages.reg.set_server(server, dum));
    }

    /// When [`EventServer::wake`] wants to be called.
    pub fn deadline(&self) -> Option<Time> {
        let own = self.dum.application().reg.deadline();
        [self.dum.deadline(), own].into_iter().flatten().min()
    }

    /// Called when the deadline has passed.
    pub fn wake(&mut self, stack: &mut TuContext<'_>) {
        self.dum.wake(stack);
        self.dum.with(stack, |packages, dum| packages.reg.wake(dum));
        self.tell(stack);
    }

    /// Tells what has changed, if anything has.
    pub fn tell(&mut self, stack: &mut TuContext<'_>) {
        if self.dum.application().reg.is_ready() {
            self.dum.with(stack, |packages, dum| packages.reg.tell(dum));
        }
    }

    #[cfg(test)]
    pub(crate) fn counts(&self) -> dum::Counts {
        self.dum.counts()
    }
}

fn master() -> MasterProfile {
    let reg = EventPackage::new(REG)
        .with_type(MediaType::new("application", "reginfo+xml"))
        .with_default_expires(DEFAULT_EXPIRES)
        .with_expires(LEAST_EXPIRES..=MOST_EXPIRES);
    let mut master = MasterProfile::default();
    master.add_package(reg);
    let name = format!("<sip:{USER}@invalid>");
    if let Ok(from) = NameAddr::parse(&name) {
        master.user_mut().set_from(Arc::new(from.into_owned()));
    }
    master
}
