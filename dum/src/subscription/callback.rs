//! What the application is to be told of subscriptions.

use super::{
    ClientSubscription, ClientSubscriptionSet, ServerSubscription, ServerSubscriptionEnd, SubscriptionEnd,
    SubscriptionState, server, set,
};
use crate::application::Application;
use crate::dum::Dum;
use crate::handle::Handle;
use stack::message::Message;
use std::sync::Arc;
use std::time::Duration;

/// What is to be told, with the package whose handler is meant.
pub(crate) enum Callback {
    New { package: Arc<str>, set: Handle<ClientSubscriptionSet>, sub: Handle<ClientSubscription>, msg: Arc<Message> },
    Update { package: Arc<str>, sub: Handle<ClientSubscription>, state: Option<SubscriptionState>, msg: Arc<Message> },
    Terminated { package: Arc<str>, sub: Handle<ClientSubscription>, end: SubscriptionEnd, msg: Option<Arc<Message>> },
    Failure { package: Arc<str>, set: Handle<ClientSubscriptionSet>, end: SubscriptionEnd, msg: Option<Arc<Message>> },
    Retry { package: Arc<str>, set: Handle<ClientSubscriptionSet>, end: SubscriptionEnd, retry: Option<Duration> },
    Ended { package: Arc<str>, set: Handle<ClientSubscriptionSet> },
    Subscribed { package: Arc<str>, sub: Handle<ServerSubscription>, msg: Arc<Message> },
    Refreshed { package: Arc<str>, sub: Handle<ServerSubscription>, msg: Arc<Message> },
    Accepted { package: Arc<str>, sub: Handle<ServerSubscription>, msg: Arc<Message> },
    Over { package: Arc<str>, sub: Handle<ServerSubscription>, end: ServerSubscriptionEnd, msg: Option<Arc<Message>> },
}

impl Callback {
    pub(crate) fn deliver(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        match self {
            Callback::Subscribed { package, sub, msg } => match app.server_subscriptions(&package) {
                Some(handler) => handler.on_new_subscription(dum, sub, &msg),
                None => server::reject_unknown(dum, sub),
            },
            Callback::Refreshed { package, sub, msg } => {
                if let Some(handler) = app.server_subscriptions(&package) {
                    handler.on_refresh(dum, sub, &msg);
                }
                server::settle(dum, sub);
            }
            Callback::Accepted { package, sub, msg } => {
                if let Some(handler) = app.server_subscriptions(&package) {
                    handler.on_accepted(dum, sub, &msg);
                }
            }
            Callback::Over { package, sub, end, msg } => {
                if let Some(handler) = app.server_subscriptions(&package) {
                    handler.on_terminated(dum, sub, end, msg.as_deref());
                }
            }
            Callback::Retry { package, set, end, retry } => {
                let after = match app.client_subscriptions(&package) {
                    Some(handler) => handler.on_request_retry(dum, set, end, retry),
                    None => retry,
                };
                set::retry(dum, set, after);
            }
            told => told.tell_subscriber(dum, app),
        }
    }

    fn tell_subscriber(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        let (Callback::New { package, .. }
        | Callback::Update { package, .. }
        | Callback::Terminated { package, .. }
        | Callback::Failure { package, .. }
        | Callback::Ended { package, .. }) = &self
        else {
            return;
        };
        let Some(handler) = app.client_subscriptions(package) else { return };
        match self {
            Callback::New { set, sub, msg, .. } => handler.on_new_subscription(dum, set, sub, &msg),
            Callback::Update { sub, state, msg, .. } => match state {
                Some(SubscriptionState::Active) => handler.on_update_active(dum, sub, &msg),
                Some(SubscriptionState::Pending) => handler.on_update_pending(dum, sub, &msg),
                None => handler.on_update_extension(dum, sub, &msg),
            },
            Callback::Terminated { sub, end, msg, .. } => handler.on_terminated(dum, sub, end, msg.as_deref()),
            Callback::Failure { set, end, msg, .. } => handler.on_failure(dum, set, end, msg.as_deref()),
            Callback::Ended { set, .. } => handler.on_ended(dum, set),
            _ => {}
        }
    }
}
