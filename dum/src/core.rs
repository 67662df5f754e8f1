//! What the user agent knows: tables, timers, and what is to be told.

use crate::asked::Asked;
use crate::auth::client::ClientAuth;
use crate::callback::Callback;
use crate::dialogs::Dialogs;
use crate::feature::{DumFeature, Waiting};
use crate::flow::Flows;
use crate::handle::{Handle, Usages};
use crate::invite::InviteSession;
use crate::invite::call::Call;
use crate::out_of_dialog::ClientOutOfDialogRequest;
use crate::pager::ClientPagerMessage;
use crate::profile::MasterProfile;
use crate::publication::ClientPublication;
use crate::refer::{ClientRefer, ServerRefer};
use crate::registration::ClientRegistration;
use crate::subscription::{ClientSubscription, ClientSubscriptionSet, ServerSubscription};
use crate::timers::Timers;
use crate::usage::Usage;
use rutil::{HashMap, Keyed, Rng};
use stack::transaction::TimerValues;
use stack::tu::{ClientTransaction, ServerTransaction, TuEvent};
use std::collections::VecDeque;
use std::sync::Arc;

/// How much the user agent takes on. What is beyond is refused: with 503 if it came from outside, with
/// [`crate::NoRoom`] if the application asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Dialog sets, and so calls and subscriptions: 100,000.
    pub dialog_sets: usize,
    /// Usages of one kind that have no dialog, and requests that wait for a feature: 100,000.
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { dialog_sets: 100_000, requests: 100_000 }
    }
}

/// What a user agent is made of.
#[derive(Clone, Debug, Default)]
pub struct DumOptions {
    /// What it can do.
    pub master: MasterProfile,
    /// How much it takes on.
    pub limits: Limits,
    /// T1 and what follows from it: as the stack's.
    pub timers: TimerValues,
}

/// The state.
pub(crate) struct Core {
    pub(crate) master: Arc<MasterProfile>,
    pub(crate) values: TimerValues,
    pub(crate) dialogs: Dialogs,
    /// Whose request it was. An entry leaves with the final response; of an INVITE that was accepted, with its transaction.
    pub(crate) clients: HashMap<ClientTransaction, Usage>,
    /// Who answers an INVITE. An entry leaves with its transaction.
    pub(crate) servers: HashMap<ServerTransaction, Usage>,
    pub(crate) client_auth: ClientAuth,
    /// Who has authenticated for the request that is worked on, which is known by Call-ID, From tag and CSeq.
    pub(crate) authenticated: Option<(u128, u32, String)>,
    pub(crate) timers: Timers,
    pub(crate) callbacks: VecDeque<Callback>,
    pub(crate) features: Vec<Box<dyn DumFeature>>,
    pub(crate) waiting: Usages<Waiting>,
    pub(crate) most_waiting: usize,
    /// Requests of ours that have not left, since a feature waits.
    pub(crate) held: HashMap<ClientTransaction, Handle<Waiting>>,
    /// What has passed the features and is to be worked on when the present step is done.
    pub(crate) passed: VecDeque<TuEvent>,
    pub(crate) calls: Usages<Call>,
    pub(crate) sessions: Usages<InviteSession>,
    pub(crate) client_refers: Usages<ClientRefer>,
    pub(crate) server_refers: Usages<ServerRefer>,
    pub(crate) client_registrations: Usages<ClientRegistration>,
    pub(crate) flows: Flows,
    pub(crate) client_publications: Usages<ClientPublication>,
    pub(crate) subscription_sets: Usages<ClientSubscriptionSet>,
    pub(crate) client_subscriptions: Usages<ClientSubscription>,
    pub(crate) server_subscriptions: Usages<ServerSubscription>,
    pub(crate) pagers: Usages<ClientPagerMessage>,
    pub(crate) client_requests: Usages<ClientOutOfDialogRequest>,
    pub(crate) asked: Usages<Asked>,
}

impl Core {
    pub(crate) fn new(options: DumOptions, rng: &mut Rng) -> Self {
        let DumOptions { master, limits, timers } = options;
        let hasher = Keyed::new(rng);
        Core {
            master: Arc::new(master),
            values: timers,
            dialogs: Dialogs::new(limits.dialog_sets, rng),
            clients: HashMap::with_hasher(hasher.clone()),
            servers: HashMap::with_hasher(hasher.clone()),
            client_auth: ClientAuth::new(limits.requests, rng),
            authenticated: None,
            timers: Timers::new(),
            callbacks: VecDeque::new(),
            features: Vec::new(),
            waiting: Usages::new(usize::MAX),
            most_waiting: limits.requests,
            held: HashMap::with_hasher(hasher.clone()),
            passed: VecDeque::new(),
            calls: Usages::new(limits.dialog_sets),
            sessions: Usages::new(limits.dialog_sets.saturating_mul(2)),
            client_refers: Usages::new(limits.dialog_sets),
            server_refers: Usages::new(limits.dialog_sets),
            client_registrations: Usages::new(limits.requests),
            flows: Flows::new(limits.requests, &hasher),
            client_publications: Usages::new(limits.requests),
            subscription_sets: Usages::new(limits.dialog_sets),
            client_subscriptions: Usages::new(limits.dialog_sets.saturating_mul(2)),
            server_subscriptions: Usages::new(limits.dialog_sets),
            pagers: Usages::new(limits.requests),
            client_requests: Usages::new(limits.requests),
            asked: Usages::new(limits.requests),
        }
    }
}
