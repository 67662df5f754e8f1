//! Who gets what the stack says.

use crate::auth::client as auth;
use crate::dum::Dum;
use crate::effect::{self, Effect};
use crate::flow;
use crate::invite;
use crate::out_of_dialog;
use crate::outcome::Outcome;
use crate::publication;
use crate::refer;
use crate::registration;
use crate::subscription;
use crate::validate::{self, Refusal};
use stack::header::Method;
use stack::message::Message;
use stack::tu::{ClientTransaction, ServerTransaction, TuEvent};
use std::sync::Arc;

/// A request with the name that it is answered by.
pub(crate) struct Request {
    pub(crate) transaction: ServerTransaction,
    pub(crate) msg: Arc<Message>,
}

/// One event of the stack.
pub(crate) fn event(dum: &mut Dum<'_>, event: TuEvent) {
    match event {
        TuEvent::Request { transaction, msg } => request(dum, transaction, msg),
        TuEvent::Response { transaction, msg } => outcome(dum, transaction, Outcome::of(msg)),
        TuEvent::NoResponse { transaction, reason } => outcome(dum, transaction, Outcome::none(reason)),
        TuEvent::ClientEnded { transaction } => {
            dum.core.client_auth.forget(transaction);
            if let Some(usage) = dum.core.clients.remove(&transaction) {
                usage.transaction_ended(dum, transaction);
            }
        }
        TuEvent::ServerEnded { transaction } => drop(dum.core.servers.remove(&transaction)),
        TuEvent::Ack { msg } => ack(dum, *msg),
        TuEvent::Cancelled { transaction, cancel } => {
            if let Some(usage) = dum.core.servers.get(&transaction).copied() {
                usage.cancelled(dum, transaction, &cancel);
            }
        }
        // A 2xx is repeated until its ACK comes or the usage gives up; a failure response, by the stack.
        TuEvent::NotDelivered { .. } | TuEvent::Silent { .. } | TuEvent::Posted(_) => {}
        TuEvent::FlowEnded { flow } => flow::ended(dum, &flow),
        TuEvent::Binding { name, mapped } => flow::bound(dum, name, mapped.map(|mapped| *mapped)),
        TuEvent::Raw { .. } | TuEvent::RawFailed { .. } => {}
    }
}

fn outcome(dum: &mut Dum<'_>, transaction: ClientTransaction, outcome: Outcome) {
    let Some(usage) = dum.core.clients.get(&transaction).copied() else { return };
    // A 2xx to an INVITE may come again, from other forks too, until the transaction ends (RFC 3261 §13.2.2.4).
    let invite = outcome.response.as_ref().is_some_and(|msg| msg.method() == Some(Method::Invite));
    let more = outcome.is_provisional() || invite && outcome.is_success();
    if !more {
        dum.core.clients.remove(&transaction);
    }
    if let (401 | 407, Some(response)) = (outcome.status, &outcome.response)
        && auth::answered(dum, transaction, usage, response)
    {
        return;
    }
    if let Some(response) = outcome.response.as_ref().filter(|_| outcome.is_success()) {
        auth::succeeded(dum, response);
    }
    let last = !outcome.is_provisional();
    let lost = outcome.response.clone().filter(|response| effect::of(response) == Effect::Dialog);
    let lost = lost.zip(usage.dialog(dum.core));
    usage.outcome(dum, transaction, outcome);
    if let Some((response, dialog)) = lost {
        let others = dum.core.dialogs.get(dialog).map(|entry| entry.usages.clone()).unwrap_or_default();
        others.into_iter().for_each(|usage| usage.dialog_lost(dum, &response));
    }
    if last {
        dum.core.client_auth.forget(transaction);
    }
}

fn request(dum: &mut Dum<'_>, transaction: ServerTransaction, msg: Box<Message>) {
    if let Err(refusal) = validate::check(&msg, &dum.core.master) {
        // RFC 3261 §12.2.2: what is asked in a dialog that is gone is not looked at.
        if msg.has_to_tag() && !is_known(dum, &msg) {
            return dum.refuse(transaction, &msg, 481);
        }
        return refused(dum, transaction, &msg, &refusal);
    }
    let in_dialog = msg.has_to_tag();
    let request = Request { transaction, msg: Arc::new(*msg) };
    if in_dialog { within_dialog(dum, request) } else { out_of_dialog(dum, request) }
}

/// Answers a request that cannot be taken.
pub(crate) fn refused(dum: &mut Dum<'_>, transaction: ServerTransaction, msg: &Message, refusal: &Refusal) {
    let mut response = dum.make_response(msg, refusal.status(), None);
    refusal.describe(msg, &mut response, &dum.core.master);
    dum.respond(transaction, response);
}

/// Whether there is the dialog that a request is in, or a set that it may make one in.
fn is_known(dum: &Dum<'_>, msg: &Message) -> bool {
    let dialogs = &dum.core.dialogs;
    dialogs.of_request(msg).is_some() || dialogs.set_of_request(msg).is_some()
}

/// A request in a dialog (RFC 3261 §12.2.2): 481 if we do not know it, 500 if its CSeq is out of order.
fn within_dialog(dum: &mut Dum<'_>, request: Request) {
    let Some(dialog) = dum.core.dialogs.of_request(&request.msg) else { return first_in_dialog(dum, request) };
    let Ok(entry) = dum.core.dialogs.get_mut(dialog) else { return };
    if let Err(error) = entry.dialog.receive_request(&request.msg) {
        return match error.status() {
            500 => dum.refuse_for_now(request.transaction, &request.msg),
            status => dum.refuse(request.transaction, &request.msg, status),
        };
    }
    let usages = entry.usages.clone();
    match usages.into_iter().find(|usage| usage.takes(dum.core, &request.msg)) {
        Some(usage) => usage.request(dum, dialog, request),
        // Its usage has ended: a call or a transfer does not begin in the dialog of another.
        None if matches!(request.msg.method(), Some(Method::Invite | Method::Refer)) => {
            dum.refuse(request.transaction, &request.msg, 481);
        }
        // Who believes in a subscription that is over hears so (RFC 6665 §4.1.2.2).
        None if begins_refer_events(&request.msg) => dum.refuse(request.transaction, &request.msg, 481),
        None => out_of_dialog(dum, request),
    }
}

/// A request in a dialog that it makes itself: the NOTIFY that overtakes the answer to its SUBSCRIBE, or comes from another
/// fork (RFC 6665 §4.1.2.4).
fn first_in_dialog(dum: &mut Dum<'_>, request: Request) {
    let set = dum.core.dialogs.set_of_request(&request.msg);
    let creator = set.and_then(|set| dum.core.dialogs.set(set).ok()?.creator);
    match creator.filter(|usage| usage.takes(dum.core, &request.msg)) {
        Some(usage) => usage.first_request(dum, request),
        None => dum.refuse(request.transaction, &request.msg, 481),
    }
}

/// The ACK for a 2xx; one in no dialog is nobody's.
fn ack(dum: &mut Dum<'_>, msg: Message) {
    let Some(dialog) = dum.core.dialogs.of_request(&msg) else { return };
    let Ok(entry) = dum.core.dialogs.get(dialog) else { return };
    if let Some(usage) = entry.usages.iter().copied().find(|usage| usage.takes(dum.core, &msg)) {
        usage.ack(dum, msg);
    }
}

/// A request that no usage takes: it begins one. A new kind of server usage adds a line.
fn out_of_dialog(dum: &mut Dum<'_>, request: Request) {
    match request.msg.method() {
        // They exist in dialogs only; a CANCEL comes here when there is nothing that it could cancel (RFC 3261 §9.2).
        Some(Method::Bye | Method::Prack | Method::Update | Method::Cancel | Method::Notify) => {
            dum.refuse(request.transaction, &request.msg, 481);
        }
        Some(Method::Invite) => invite::server::request(dum, request),
        // RFC 3515 §2.4.4: REFER alone makes such a subscription.
        Some(Method::Subscribe) if begins_refer_events(&request.msg) => {
            dum.refuse(request.transaction, &request.msg, 403);
        }
        Some(Method::Subscribe) => subscription::server::request(dum, request),
        Some(Method::Refer) => {
            let call = dum.core.find_target_call(&request.msg);
            refer::server::request(dum, None, call, request);
        }
        Some(Method::Publish) => publication::server::request(dum, request),
        Some(Method::Register) => registration::server::request(dum, request),
        _ => out_of_dialog::server::request(dum, request),
    }
}

/// Whether a request wants a subscription that only a REFER can make.
fn begins_refer_events(msg: &Message) -> bool {
    msg.method() == Some(Method::Subscribe) && refer::id_of(msg).is_some()
}
