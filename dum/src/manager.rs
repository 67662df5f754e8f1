//! The dialog usage manager: a transaction user with an application above it.

use crate::application::Application;
use crate::auth::server::admit;
use crate::command::Command;
use crate::core::{Core, DumOptions};
use crate::dispatch;
use crate::dum::Dum;
use crate::feature::{self, DumFeature};
use crate::handle::Handle;
use crate::invite::InviteSession;
use crate::usage::Usage;
use crate::{AppDialog, DialogId};
use rutil::{Rng, Time};
use stack::tu::{TransactionUser, TuContext, TuEvent, TuOptions};

/// reSIProcate's `DialogUsageManager`: turns messages into callbacks of the application, and what the application does
/// with its handles into messages. It is pure: messages, commands, time and randomness come in by its methods, and what it
/// sends is in the [`TuContext`] when they return.
///
/// Register it with the stack under [`DialogUsageManager::tu_options`], or by [`crate::actor::register`] to have it run as an
/// actix actor. One serves one shard, as a dialog's requests come to the shard of its Call-ID: a stack on several shards
/// does not start with it. Place it inline or staged ([`rutil::Placement`]).
pub struct DialogUsageManager<A> {
    core: Core,
    app: A,
}

impl<A: Application> DialogUsageManager<A> {
    /// A user agent for an application. `rng` gives the secrets of its tables.
    pub fn new(app: A, options: DumOptions, rng: &mut Rng) -> Self {
        DialogUsageManager { core: Core::new(options, rng), app }
    }

    /// Adds a feature behind those that there are ([`crate::feature`]).
    pub fn add_feature(&mut self, feature: impl DumFeature + 'static) {
        self.core.features.push(Box::new(feature));
    }

    /// How it is registered: all requests, merged ones refused (RFC 3261 §8.2.2.2), ends told.
    pub fn tu_options() -> TuOptions {
        TuOptions { refuse_merged: true, terminations: true, flows: true, one_shard: true, ..TuOptions::default() }
    }

    /// The application.
    pub fn application(&self) -> &A {
        &self.app
    }

    /// The application, to change it.
    pub fn application_mut(&mut self) -> &mut A {
        &mut self.app
    }

    /// Does something with the application and the user agent, as a command from another thread would
    /// ([`crate::DumHandle::command`]).
    pub fn with<R>(&mut self, stack: &mut TuContext<'_>, what: impl FnOnce(&mut A, &mut Dum<'_>) -> R) -> R {
        let mut dum = Dum { core: &mut self.core, stack: stack.reborrow() };
        let result = what(&mut self.app, &mut dum);
        loop {
            while let Some(callback) = dum.core.callbacks.pop_front() {
                callback.deliver(&mut dum, &mut self.app);
            }
            dum.core.authenticated = None;
            let Some(event) = dum.core.passed.pop_front() else { return result };
            if admit(&mut self.app, &mut dum, &event) {
                dispatch::event(&mut dum, event);
            }
        }
    }

    /// The call in a dialog, as [`Dum::find_invite_session`] has it.
    pub fn find_invite_session(&self, id: &DialogId) -> Option<Handle<InviteSession>> {
        self.core.find_invite_session(id)
    }

    /// A dialog, as [`Dum::find_dialog`] has it.
    pub fn find_dialog(&self, id: &DialogId) -> Option<Handle<AppDialog>> {
        self.core.find_dialog(id)
    }

    /// Timers that run.
    #[cfg(test)]
    pub(crate) fn timers(&self) -> usize {
        self.core.timers.len()
    }

    /// What is alive: for tests and statistics.
    pub fn counts(&self) -> Counts {
        let (dialog_sets, dialogs) = self.core.dialogs.len();
        Counts {
            dialog_sets,
            dialogs,
            sessions: self.core.sessions.len() + self.core.calls.len(),
            refers: self.core.client_refers.len() + self.core.server_refers.len(),
            registrations: self.core.client_registrations.len(),
            flows: self.core.flows.len(),
            publications: self.core.client_publications.len(),
            kept: self.core.client_auth.len(),
            subscriptions: self.core.subscription_sets.len()
                + self.core.client_subscriptions.len()
                + self.core.server_subscriptions.len(),
            requests: self.core.pagers.len() + self.core.client_requests.len() + self.core.asked.len(),
            waiting: self.core.waiting.len(),
            transactions: self.core.clients.len() + self.core.servers.len(),
        }
    }
}

/// What is alive in a user agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Dialog sets.
    pub dialog_sets: usize,
    /// Dialogs.
    pub dialogs: usize,
    /// Calls, and INVITEs that were sent and may still be answered.
    pub sessions: usize,
    /// Transfers.
    pub refers: usize,
    /// Publications.
    pub publications: usize,
    /// Registrations.
    pub registrations: usize,
    /// Flows that registrations use.
    pub flows: usize,
    /// Subscriptions of both sides, and SUBSCRIBEs that were sent and may still bring more.
    pub subscriptions: usize,
    /// Requests out of a dialog that are not answered, and who we send messages to.
    pub requests: usize,
    /// Requests that are kept to be sent again if they are challenged.
    pub kept: usize,
    /// Requests that wait for a feature.
    pub waiting: usize,
    /// Transactions that a usage hears of.
    pub transactions: usize,
}

impl<A: Application> TransactionUser for DialogUsageManager<A> {
    fn name(&self) -> &'static str {
        "dum"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        match event {
            TuEvent::Posted(item) => match item.downcast::<Command<A>>() {
                Ok(command) => self.with(stack, |app, dum| command.run(app, dum)),
                Err(_) => tracing::warn!("what was posted is no command of this application"),
            },
            event => self.with(stack, |_, dum| {
                let passed = feature::chain::incoming(dum, event);
                dum.core.passed.extend(passed);
            }),
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.core.timers.deadline()
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        while let Some(fire) = self.core.timers.pop(stack.now()) {
            self.with(stack, |_, dum| Usage::timer(dum, fire));
        }
    }

    /// The stack knows what waits for its answer. Here it is what was not sent yet; who may repeat something is not waited for.
    fn drained(&self) -> bool {
        self.core.asked.len() + self.core.waiting.len() == 0 && !self.core.sessions.iter().any(InviteSession::owes_bye)
    }
}
