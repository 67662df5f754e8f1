//! Who hears of a message or a timer. A new kind of usage adds a variant here, and a line to each `match` that means it.

use crate::asked::{self, Asked};
use crate::core::Core;
use crate::dialogs::DialogEntry;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::feature::waiting::{self, Waiting};
use crate::flow::{self, KeptFlow};
use crate::handle::Handle;
use crate::invite::call::{self, Call};
use crate::invite::{InviteSession, in_dialog, server as invited, session};
use crate::out_of_dialog::{ClientOutOfDialogRequest, client};
use crate::outcome::Outcome;
use crate::pager::{self, ClientPagerMessage};
use crate::profile::UserProfile;
use crate::publication::{self, ClientPublication};
use crate::refer::{self, ClientRefer, ServerRefer};
use crate::registration::ClientRegistration;
use crate::registration::client as registering;
use crate::subscription::client::{self as subscribed, ClientSubscription};
use crate::subscription::server::{self as notifier, ServerSubscription};
use crate::subscription::set::{self as subscribing, ClientSubscriptionSet};
use crate::timers::Fire;
use stack::message::Message;
use stack::tu::{ClientTransaction, ServerTransaction};
use std::sync::Arc;

/// Any usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Usage {
    /// An INVITE that we sent, before and beside its forks.
    Call(Handle<Call>),
    Invite(Handle<InviteSession>),
    ClientRefer(Handle<ClientRefer>),
    ServerRefer(Handle<ServerRefer>),
    ClientRegistration(Handle<ClientRegistration>),
    ClientPublication(Handle<ClientPublication>),
    /// A SUBSCRIBE that we sent, before and beside its forks.
    Subscribing(Handle<ClientSubscriptionSet>),
    ClientSubscription(Handle<ClientSubscription>),
    ServerSubscription(Handle<ServerSubscription>),
    Pager(Handle<ClientPagerMessage>),
    ClientOutOfDialog(Handle<ClientOutOfDialogRequest>),
    Asked(Handle<Asked>),
    /// No usage, but it has a timer.
    Flow(Handle<KeptFlow>),
    /// A request that a feature has: no usage, but it has a timer, and a CANCEL.
    Waiting(Handle<Waiting>),
}

impl Usage {
    /// Whether a request in its dialog is its own, by method and, where there may be several, by Event and the like.
    pub(crate) fn takes(&self, core: &Core, request: &Message) -> bool {
        match self {
            Usage::Invite(_) => in_dialog::takes(request),
            Usage::ClientRefer(handle) => refer::client::takes(core, *handle, request),
            Usage::ServerRefer(handle) => refer::server::takes(core, *handle, request),
            Usage::Subscribing(handle) => subscribing::takes(core, *handle, request),
            Usage::ClientSubscription(handle) => subscribed::takes(core, *handle, request),
            Usage::ServerSubscription(handle) => notifier::takes(core, *handle, request),
            _ => false,
        }
    }

    /// A request in its dialog that it takes. CSeq has been checked; with its 2xx it refreshes the remote target
    /// ([`crate::dialogs::Dialogs::accepted`]).
    pub(crate) fn request(self, dum: &mut Dum<'_>, _dialog: Handle<DialogEntry>, request: Request) {
        match self {
            Usage::Invite(handle) => in_dialog::request(dum, handle, request),
            Usage::ClientRefer(handle) => refer::client::notified(dum, handle, &request),
            Usage::ServerRefer(handle) => refer::server::subscribed(dum, handle, &request),
            Usage::ClientSubscription(handle) => subscribed::notified(dum, handle, request),
            Usage::ServerSubscription(handle) => notifier::refreshed(dum, handle, request),
            _ => dum.refuse(request.transaction, &request.msg, 481),
        }
    }

    /// A request that it takes, in its dialog set, but in a dialog that is not there: it may make that.
    pub(crate) fn first_request(self, dum: &mut Dum<'_>, request: Request) {
        match self {
            Usage::Subscribing(handle) => subscribing::notified(dum, handle, request),
            Usage::ClientRefer(handle) => refer::client::first_notified(dum, handle, &request),
            _ => dum.refuse(request.transaction, &request.msg, 481),
        }
    }

    /// An ACK for a 2xx of its own.
    pub(crate) fn ack(self, dum: &mut Dum<'_>, ack: Message) {
        if let Usage::Invite(handle) = self {
            in_dialog::ack(dum, handle, ack);
        }
    }

    /// The client gave up an INVITE that it has not answered.
    pub(crate) fn cancelled(self, dum: &mut Dum<'_>, _invite: ServerTransaction, cancel: &Message) {
        match self {
            Usage::Invite(handle) => invited::cancelled(dum, handle, cancel),
            Usage::Waiting(handle) => waiting::cancelled(dum, handle),
            _ => {}
        }
    }

    /// A response to one of its requests, or the news that there will be none.
    pub(crate) fn outcome(self, dum: &mut Dum<'_>, transaction: ClientTransaction, outcome: Outcome) {
        match self {
            Usage::Call(handle) => call::outcome(dum, handle, transaction, outcome),
            Usage::Invite(handle) => in_dialog::outcome(dum, handle, transaction, outcome),
            Usage::ClientRefer(handle) => refer::client::outcome(dum, handle, transaction, outcome),
            Usage::ServerRefer(handle) => refer::server::outcome(dum, handle, &outcome),
            Usage::ClientPublication(handle) => publication::client::outcome(dum, handle, transaction, outcome),
            Usage::ClientRegistration(handle) => registering::outcome(dum, handle, transaction, outcome),
            Usage::Subscribing(handle) => subscribing::outcome(dum, handle, transaction, &outcome),
            Usage::ClientSubscription(handle) => subscribed::outcome(dum, handle, transaction, &outcome),
            Usage::ServerSubscription(handle) => notifier::outcome(dum, handle, &outcome),
            Usage::Pager(handle) => pager::client::outcome(dum, handle, outcome),
            Usage::ClientOutOfDialog(handle) => client::outcome(dum, handle, outcome),
            Usage::Asked(_) | Usage::Waiting(_) | Usage::Flow(_) => {}
        }
    }

    /// The dialog that it is in. One that has none of its own, as that of an INVITE or SUBSCRIBE before its forks, is in none.
    pub(crate) fn dialog(&self, core: &Core) -> Option<Handle<DialogEntry>> {
        match self {
            Usage::Invite(handle) => core.sessions.get(*handle).ok()?.dialog,
            Usage::ClientRefer(handle) => core.client_refers.get(*handle).ok()?.dialog,
            Usage::ServerRefer(handle) => core.server_refers.get(*handle).ok()?.dialog,
            Usage::ClientSubscription(handle) => Some(core.client_subscriptions.get(*handle).ok()?.dialog),
            Usage::ServerSubscription(handle) => core.server_subscriptions.get(*handle).ok()?.dialog,
            _ => None,
        }
    }

    /// The answer to a request in its dialog, of its own or of another usage, says that the dialog leads nowhere
    /// ([`crate::effect`]).
    pub(crate) fn dialog_lost(self, dum: &mut Dum<'_>, response: &Arc<Message>) {
        match self {
            Usage::Invite(handle) => in_dialog::lost(dum, handle, response),
            Usage::ClientRefer(handle) => refer::client::lost(dum, handle, response),
            Usage::ServerRefer(handle) => refer::server::lost(dum, handle),
            Usage::ClientSubscription(handle) => subscribed::lost(dum, handle, response),
            Usage::ServerSubscription(handle) => notifier::lost(dum, handle, response),
            _ => {}
        }
    }

    /// The profile by which it sends.
    pub(crate) fn profile(&self, core: &Core) -> Option<Arc<UserProfile>> {
        match self {
            Usage::Call(handle) => call::profile(core, *handle),
            Usage::Invite(handle) => core.sessions.get(*handle).ok().map(|this| this.profile().clone()),
            Usage::ClientRefer(handle) => refer::client::profile(core, *handle),
            Usage::ServerRefer(handle) => refer::server::profile(core, *handle),
            Usage::ClientRegistration(handle) => registering::profile(core, *handle),
            Usage::ClientOutOfDialog(handle) => core.client_requests.get(*handle).ok()?.profile.clone(),
            Usage::ClientPublication(handle) => publication::client::profile(core, *handle),
            Usage::Subscribing(handle) => subscribing::profile(core, *handle),
            Usage::ClientSubscription(handle) => subscribed::profile(core, *handle),
            Usage::ServerSubscription(handle) => notifier::profile(core, *handle),
            Usage::Pager(handle) => core.pagers.get(*handle).ok().map(|this| this.profile.clone()),
            Usage::Asked(_) | Usage::Waiting(_) | Usage::Flow(_) => None,
        }
    }

    /// Whether it waits for the answer to a request of its own: one that nobody waits for is not sent once more for a
    /// challenge. A usage that ends with its last request, as a BYE or a NOTIFY, does not wait, but that request is to arrive.
    pub(crate) fn awaits(self, core: &Core, transaction: ClientTransaction) -> bool {
        let awaited = match self {
            Usage::Invite(handle) => return !in_dialog::is_given_up(core, handle, transaction),
            Usage::ClientRefer(handle) => return refer::client::awaits(core, handle, transaction),
            Usage::ClientRegistration(handle) => {
                core.client_registrations.get(handle).ok().and_then(|this| this.transaction)
            }
            Usage::ClientPublication(handle) => {
                core.client_publications.get(handle).ok().and_then(|this| this.transaction)
            }
            Usage::Subscribing(handle) => return subscribing::awaits(core, handle, transaction),
            Usage::ClientSubscription(handle) => {
                core.client_subscriptions.get(handle).ok().and_then(|this| this.transaction)
            }
            _ => return true,
        };
        awaited == Some(transaction)
    }

    /// A request of its own was sent once more, with another number.
    pub(crate) fn resent(self, core: &mut Core, old: ClientTransaction, new: ClientTransaction, cseq: u32) {
        match self {
            Usage::Invite(handle) => session::resent(core, handle, old, new),
            Usage::ClientRefer(handle) => refer::client::resent(core, handle, old, new, cseq),
            Usage::ClientPublication(handle) => publication::client::resent(core, handle, new, cseq),
            Usage::ClientRegistration(handle) => registering::resent(core, handle, new, cseq),
            Usage::Subscribing(handle) => subscribing::resent(core, handle, new, cseq),
            Usage::ClientSubscription(handle) => subscribed::resent(core, handle, new),
            Usage::Pager(handle) => pager::client::resent(core, handle, new, cseq),
            _ => {}
        }
    }

    /// A client transaction whose 2xx may have been repeated is over.
    pub(crate) fn transaction_ended(self, dum: &mut Dum<'_>, transaction: ClientTransaction) {
        match self {
            Usage::Call(handle) => call::transaction_ended(dum, handle, transaction),
            Usage::Invite(handle) => in_dialog::transaction_ended(dum, handle, transaction),
            _ => {}
        }
    }

    /// One of its timers has fired; whether its alarm means it is for the usage to ask ([`crate::timers::Timers::is_due`]).
    pub(crate) fn timer(dum: &mut Dum<'_>, fire: Fire) {
        match fire.usage {
            Usage::Invite(handle) => session::timer(dum, handle, fire),
            Usage::ClientRefer(handle) => refer::client::timer(dum, handle, fire),
            Usage::ServerRefer(handle) => refer::server::timer(dum, handle, fire),
            Usage::ClientPublication(handle) => publication::client::timer(dum, handle, fire),
            Usage::ClientRegistration(handle) => registering::timer(dum, handle, fire),
            Usage::Subscribing(handle) => subscribing::timer(dum, handle, fire),
            Usage::ClientSubscription(handle) => subscribed::timer(dum, handle, fire),
            Usage::ServerSubscription(handle) => notifier::timer(dum, handle, fire),
            Usage::Asked(handle) => asked::timer(dum, handle, fire),
            Usage::Flow(handle) => flow::timer(dum, handle, fire),
            Usage::Waiting(handle) => waiting::timer(dum, handle, fire),
            Usage::Call(_) | Usage::Pager(_) | Usage::ClientOutOfDialog(_) => {}
        }
    }
}
