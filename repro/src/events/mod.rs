//! The event server: subscriptions to what the proxy knows itself, and to what is published here (RFC 6665, RFC 3903), one
//! for each shard.
//!
//! It is a user agent ([`dum`]) within the proxy. Its SUBSCRIBEs and PUBLISHs come by the request chain, so what holds there
//! for every request holds for them too (trust, authentication, filters); the processor `event-server` hands them over. An
//! event package is a handler in `Packages`: `reg` tells of bindings, the others of what is published in the [`Compositor`],
//! which all shards share.

mod calls;
mod compositor;
mod document;
mod package;
mod publisher;
mod reg;
mod shared;
mod state;
mod stored;
mod subscriber;
mod written;

pub(crate) use calls::{CallKey, Parties};
pub use compositor::{Compositor, EventCounts};
pub(crate) use compositor::{MOST_OCTETS_OF_USER, Resource};
pub use package::Package;
pub use reg::REG;
pub(crate) use shared::Found;
pub use shared::{Published, Teller};

use crate::proxy::Server;
use dum::publication::ServerPublicationHandler;
use dum::subscription::ServerSubscriptionHandler;
use dum::{Application, DialogUsageManager, Dum, DumOptions, EventPackage, Limits, MasterProfile};
use publisher::Publisher;
use reg::RegPackage;
use rutil::{Rng, Time};
use stack::header::{HeaderValue, MediaType, Method, NameAddr};
use stack::tu::{TransactionUser, TuContext, TuEvent};
use state::StatePackage;
use std::sync::Arc;

/// The user part of the address that subscribers send refreshes to.
pub(crate) const USER: &str = "event-server";

/// How long subscriptions last, seconds; RFC 3680 §4.3 has 3761 by default.
const DEFAULT_EXPIRES: u32 = 3761;
const LEAST_EXPIRES: u32 = 60;
const MOST_EXPIRES: u32 = 86_400;

/// The event packages, each with its handler.
struct Packages {
    server: Arc<Server>,
    shard: u16,
    reg: RegPackage,
    states: Vec<(Package, StatePackage)>,
    publisher: Publisher,
}

impl Application for Packages {
    fn server_subscriptions(&mut self, package: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        match package {
            REG => Some(&mut self.reg),
            name => {
                let (_, state) = self.states.iter_mut().find(|(package, _)| package.name() == name)?;
                Some(state)
            }
        }
    }

    fn server_publications(&mut self) -> Option<&mut dyn ServerPublicationHandler> {
        (!self.states.is_empty()).then_some(&mut self.publisher)
    }
}

impl Packages {
    fn is_idle(&self) -> bool {
        self.reg.is_idle() && self.states.iter().all(|(_, state)| state.is_idle())
    }

    /// Whether something has changed that somebody watches.
    fn is_ready(&self) -> bool {
        let published = || !self.states.is_empty() && self.server.compositor().is_ready(self.shard);
        !self.is_idle() && (self.server.location().watch().is_ready(self.shard) || published())
    }

    fn deadline(&self) -> Option<Time> {
        if self.is_ready() {
            return Some(Time::ZERO);
        }
        let states = self.states.iter().filter_map(|(_, state)| state.deadline());
        states.chain(self.reg.deadline()).min()
    }

    fn wake(&mut self, dum: &mut Dum<'_>) {
        self.reg.wake(dum);
        self.states.iter_mut().for_each(|(_, state)| state.wake(dum));
    }

    /// Takes what has changed, and tells it.
    fn tell(&mut self, dum: &mut Dum<'_>) {
        let now = dum.now();
        for (aor, changes) in self.server.location().watch().take(self.shard) {
            self.reg.changed(&aor, &changes, dum);
            for (_, state) in self.states.iter_mut().filter(|(package, _)| *package == Package::Presence) {
                state.changed(&aor, now);
            }
        }
        for resource in self.server.compositor().take(self.shard) {
            for (_, state) in self.states.iter_mut().filter(|(package, _)| *package == resource.package) {
                state.changed(&resource.aor, now);
            }
        }
        self.states.iter_mut().for_each(|(_, state)| state.tell(dum));
    }

    fn set_server(&mut self, server: Arc<Server>, dum: &mut Dum<'_>) {
        self.reg.set_server(server.clone(), dum);
        self.states.iter_mut().for_each(|(_, state)| state.set_server(server.clone(), dum));
        self.publisher.set_server(server.clone());
        self.server = server;
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
            master: master(&server.config().events.packages),
            limits: Limits { dialog_sets, requests: dialog_sets },
            ..DumOptions::default()
        };
        let kept = Package::ALL.into_iter().filter(|package| server.config().events.keeps(*package));
        let states = kept.map(|package| (package, StatePackage::new(package, server.clone(), shard, rng))).collect();
        let (reg, publisher) = (RegPackage::new(server.clone(), shard, rng), Publisher::new(server.clone()));
        let packages = Packages { server, shard, reg, states, publisher };
        EventServer { dum: DialogUsageManager::new(packages, options, rng) }
    }

    /// Whether it has nothing under way, and nobody has subscribed.
    pub fn is_idle(&self) -> bool {
        self.dum.application().is_idle() && self.drained()
    }

    /// Whether no request of it waits for its answer, and none that it has to answer.
    pub fn drained(&self) -> bool {
        let counts = self.dum.counts();
        counts.transactions + counts.requests + counts.waiting == 0
    }

    /// Takes an event that is its own.
    pub fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        self.dum.process(event, stack);
        self.tell(stack);
    }

    /// Something else is provisioned.
    pub fn set_server(&mut self, server: Arc<Server>, stack: &mut TuContext<'_>) {
        self.dum.with(stack, |packages, dum| packages.set_server(server, dum));
    }

    /// When [`EventServer::wake`] wants to be called.
    pub fn deadline(&self) -> Option<Time> {
        let own = self.dum.application().deadline();
        [self.dum.deadline(), own].into_iter().flatten().min()
    }

    /// Called when the deadline has passed.
    pub fn wake(&mut self, stack: &mut TuContext<'_>) {
        self.dum.wake(stack);
        self.dum.with(stack, |packages, dum| packages.wake(dum));
        self.tell(stack);
    }

    /// Tells what has changed, if anything has.
    pub fn tell(&mut self, stack: &mut TuContext<'_>) {
        if self.dum.application().is_ready() {
            self.dum.with(stack, Packages::tell);
        }
    }

    /// Timers of `reg`, and of the other packages.
    #[cfg(test)]
    pub(crate) fn timers(&self) -> (usize, usize) {
        let packages = self.dum.application();
        (packages.reg.timers(), packages.states.iter().map(|(_, state)| state.timers()).sum())
    }

    #[cfg(test)]
    pub(crate) fn counts(&self) -> dum::Counts {
        self.dum.counts()
    }
}

fn master(kept: &[Package]) -> MasterProfile {
    let reg = EventPackage::new(REG)
        .with_type(MediaType::new("application", "reginfo+xml"))
        .with_default_expires(DEFAULT_EXPIRES)
        .with_expires(LEAST_EXPIRES..=MOST_EXPIRES);
    let mut master = MasterProfile::default();
    master.add_package(reg);
    for package in kept {
        let (main, sub) = package.media_type();
        let media = MediaType::new(main, sub);
        master.add_package(
            EventPackage::new(package.name()).with_type(media.clone()).with_expires(LEAST_EXPIRES..=MOST_EXPIRES),
        );
        master.add_method(Method::Publish).add_mime_type(Method::Publish, media);
    }
    let name = format!("<sip:{USER}@invalid>");
    if let Ok(from) = NameAddr::parse(&name) {
        master.user_mut().set_from(Arc::new(from.into_owned()));
    }
    master
}
