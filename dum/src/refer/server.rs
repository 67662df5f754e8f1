//! A REFER that we received.

use super::{BODY, Callback, EVENT, EXPIRES, id_of};
use crate::core::Core;
use crate::dialog::Dialog;
use crate::dialogs::DialogEntry;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::effect::{self, Effect};
use crate::handle::{Handle, UsageEnded};
use crate::invite::{ClientInviteSession, InviteSession, SessionError, follow};
use crate::outcome::Outcome;
use crate::profile::{EventPackage, UserProfile};
use crate::subscription::{Notice, Outbox, TerminateReason, server as notifier};
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use rutil::Time;
use stack::contents::sdp::Sdp;
use stack::contents::sipfrag::SipFrag;
use stack::header::{Method, NameAddr, h};
use stack::message::{Message, reason_phrase};
use stack::tu::{SendOptions, ServerTransaction};
use std::sync::Arc;
use std::time::Duration;

/// A REFER that we received, until its last NOTIFY.
#[derive(Debug)]
pub struct ServerRefer {
    /// As long as it is not answered.
    asked: Option<ServerTransaction>,
    msg: Arc<Message>,
    /// By which it is answered out of a dialog, and told.
    profile: Arc<UserProfile>,
    pub(crate) dialog: Option<Handle<DialogEntry>>,
    /// The peer wants to be told (RFC 4488).
    subscribe: bool,
    /// What was told last.
    status: u16,
    /// Until when it lasts if nothing more is told.
    until: Time,
    patience: Alarm,
    /// Why it is over, as soon as it is; the last NOTIFY says so.
    end: Option<TerminateReason>,
    outbox: Outbox,
    /// The peer wants to be told later.
    later: Alarm,
}

/// The profile by which its NOTIFYs are sent.
pub(crate) fn profile(core: &Core, refer: Handle<ServerRefer>) -> Option<Arc<UserProfile>> {
    core.dialogs.profile_of(core.server_refers.get(refer).ok()?.dialog?).ok().cloned()
}

/// A REFER came, in a call or in no dialog; one in no dialog may name a call.
pub(crate) fn request(
    dum: &mut Dum<'_>,
    dialog: Option<Handle<DialogEntry>>,
    call: Option<Handle<InviteSession>>,
    request: Request,
) {
    let Request { transaction, msg } = request;
    if msg.header(h::REFER_TO).is_err() || dialog.is_none() && Dialog::check(&msg).is_err() {
        // RFC 3515 §2.4.2: exactly one; and out of a dialog it is to make one.
        return dum.refuse(transaction, &msg, 400);
    }
    let subscribe = !msg.header(h::REFER_SUB).is_ok_and(|sub| sub.is("false"));
    let usage = ServerRefer {
        asked: Some(transaction),
        msg: msg.clone(),
        profile: dum.core.master.user().clone(),
        dialog: None,
        subscribe,
        status: 100,
        until: dum.now(),
        patience: Alarm::OFF,
        end: None,
        outbox: Outbox::Idle,
        later: Alarm::OFF,
    };
    let Ok(refer) = dum.core.server_refers.insert(usage) else { return dum.refuse_new(transaction, &msg) };
    if let Some(dialog) = dialog {
        if dum.core.dialogs.join(dialog, Usage::ServerRefer(refer)).is_err() {
            let _ = dum.core.server_refers.remove(refer);
            return dum.refuse(transaction, &msg, 503);
        }
        if let Ok(this) = dum.core.server_refers.get_mut(refer) {
            this.dialog = Some(dialog);
        }
    }
    wait(dum, refer, dum.core.values.long());
    dum.call_back(Callback::Asked { refer, call, msg });
}

impl Handle<ServerRefer> {
    /// Accepts it: 202 and, if the peer wants to be told, a first NOTIFY with 100. [`Handle::notify`] tells the rest.
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: it is answered already. [`SessionError::NoRoom`]: it is refused with 503, and the usage ends.
    /// [`SessionError::Ended`].
    pub fn accept(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        let this = dum.core.server_refers.get_mut(self)?;
        let transaction = this.asked.ok_or(SessionError::NotNow)?;
        let (msg, subscribe, dialog, profile) = (this.msg.clone(), this.subscribe, this.dialog, this.profile.clone());
        let mut response = dum.make_response(&msg, 202, None);
        dum.write_contact(&mut response, (dialog, &profile), &msg);
        if !subscribe {
            if let Some(dialog) = dum.core.server_refers.get(self)?.dialog {
                dum.core.dialogs.accepted(dialog, &msg);
            }
            response.set(h::REFER_SUB, "false");
            dum.respond(transaction, response);
            end(dum, self);
            return Ok(());
        }
        if let Err(error) = enter_dialog(dum, self, &msg, &response) {
            dum.refuse_new(transaction, &msg);
            end(dum, self);
            return Err(error);
        }
        dum.core.server_refers.get_mut(self)?.asked = None;
        dum.respond(transaction, response);
        self.notify(dum, 100)
    }

    /// Answers and tells by a profile of its own: Contact, User-Agent, passwords and what else it sets. By default it is the
    /// master profile's; in a call, the call's.
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: it is answered already, or came in a call. [`SessionError::Ended`].
    pub fn set_profile(self, dum: &mut Dum<'_>, profile: &Arc<UserProfile>) -> Result<(), SessionError> {
        let this = dum.core.server_refers.get_mut(self)?;
        if this.asked.is_none() || this.dialog.is_some() {
            return Err(SessionError::NotNow);
        }
        this.profile = profile.clone();
        Ok(())
    }

    /// Refuses it; the usage ends.
    ///
    /// # Errors
    /// [`SessionError`]: it is answered already, or has ended.
    pub fn reject(self, dum: &mut Dum<'_>, status: u16) -> Result<(), SessionError> {
        let this = dum.core.server_refers.get_mut(self)?;
        let transaction = this.asked.take().ok_or(SessionError::NotNow)?;
        let msg = this.msg.clone();
        dum.refuse(transaction, &msg, status.clamp(300, 699));
        end(dum, self);
        Ok(())
    }

    /// Tells the peer how what it asked for was answered: at once, or when the NOTIFY under way is answered; then the last
    /// status that was given. A final status is the last that is told, and ends the usage.
    ///
    /// # Errors
    /// [`SessionError::Ended`]: nobody is told any more, or only the last NOTIFY is still to be sent.
    /// [`SessionError::NotNow`]: it is not accepted yet.
    pub fn notify(self, dum: &mut Dum<'_>, status: u16) -> Result<(), SessionError> {
        let now = dum.now();
        let this = dum.core.server_refers.get_mut(self)?;
        if this.asked.is_some() {
            return Err(SessionError::NotNow);
        }
        if this.end.is_some() {
            return Err(UsageEnded.into());
        }
        this.status = status;
        // As long as something is told, it lasts.
        this.until = this.until.max(now + EXPIRES);
        this.end = (status >= 200).then_some(TerminateReason::NoResource);
        arm(dum, self);
        happen(dum, self, Notice::State);
        Ok(())
    }

    /// Does what the peer asks for: accepts, calls where Refer-To says, with its Replaces and our offer, and tells the
    /// peer by itself how that goes.
    ///
    /// # Errors
    /// [`SessionError`]: it is answered already, has ended, or leads nowhere that can be called, as one that wants another
    /// method than INVITE; then it is not answered. [`SessionError::NoRoom`]: as for [`Handle::accept`]; or where there is
    /// none for the call alone, it is accepted, and the peer is told 503.
    pub fn follow(
        self,
        dum: &mut Dum<'_>,
        profile: &Arc<UserProfile>,
        offer: Option<&Sdp>,
    ) -> Result<Handle<ClientInviteSession>, SessionError> {
        let this = dum.core.server_refers.get(self)?;
        let (msg, false) = (this.msg.clone(), this.asked.is_none()) else { return Err(SessionError::NotNow) };
        let refer_to = msg.header(h::REFER_TO).map_err(|_| SessionError::NotNow)?;
        let Some(uri) = refer_to.uri.sip() else { return Err(SessionError::NotNow) };
        // What else the peer may want sent is for the application to send.
        if uri.params.get("method").is_some_and(|method| method != "INVITE") {
            return Err(SessionError::NotNow);
        }
        let replaces = uri.headers.get("Replaces").map(|value| String::from_utf8_lossy(&value).into_owned());
        let target = NameAddr { display: refer_to.display.clone(), ..NameAddr::new(refer_to.uri.clone()) };
        let mut invite = dum.make_invite(profile, &target, offer);
        if let Some(replaces) = replaces {
            invite.set(h::REPLACES, &replaces);
            invite.push_back(h::REQUIRES, "replaces");
        }
        // RFC 3892 §2.1.
        for value in msg.raw_values("Referred-By") {
            invite.append_line("Referred-By", &String::from_utf8_lossy(value));
        }
        self.accept(dum)?;
        let call = match dum.send_invite(profile, invite) {
            Ok(call) => call,
            Err(_) => {
                // Who does not listen need not hear of it.
                let _ = self.notify(dum, 503);
                return Err(SessionError::NoRoom);
            }
        };
        follow(dum, call, self);
        Ok(call)
    }
}

/// One step of its NOTIFYs: one is under way at a time, so none overtakes another.
fn happen(dum: &mut Dum<'_>, refer: Handle<ServerRefer>, notice: Notice) {
    let Ok(this) = dum.core.server_refers.get_mut(refer) else { return };
    let (next, send) = this.outbox.step(notice);
    this.outbox = next;
    if send {
        send_notify(dum, refer);
    }
}

/// A NOTIFY with the last status; after the last one the usage is over.
fn send_notify(dum: &mut Dum<'_>, refer: Handle<ServerRefer>) {
    let now = dum.now();
    let Ok(this) = dum.core.server_refers.get(refer) else { return };
    let (status, id, left, over) = (this.status, this.id(), (this.until - now).as_secs(), this.end);
    let Some(dialog) = this.dialog else { return };
    let Ok(mut msg) = dum.make_in_dialog(dialog, &Method::Notify) else { return };
    msg.set(h::EVENT, &format_args!("{EVENT};id={id}"));
    match over.map(|reason| reason.as_str().unwrap_or_default()) {
        None => msg.set(h::SUBSCRIPTION_STATE, &format_args!("active;expires={left}")),
        Some(reason) => msg.set(h::SUBSCRIPTION_STATE, &format_args!("terminated;reason={reason}")),
    }
    if let Ok(frag) = SipFrag::status(status.clamp(100, 699), reason_phrase(status)) {
        msg.set_body(Some(&format!("{BODY};version=2.0")), frag.print());
    }
    dum.send(Usage::ServerRefer(refer), msg, SendOptions::default());
    if over.is_some() {
        end(dum, refer);
    }
}

impl ServerRefer {
    /// The id of its events (RFC 3515 §2.4.6).
    fn id(&self) -> u32 {
        self.msg.header(h::CSEQ).map_or(0, |cseq| cseq.number)
    }
}

/// Whether a request in the dialog is a SUBSCRIBE for it: by the id, which may be left out where there is no other.
pub(crate) fn takes(core: &Core, refer: Handle<ServerRefer>, request: &Message) -> bool {
    let Ok(this) = core.server_refers.get(refer) else { return false };
    let usages = || this.dialog.and_then(|dialog| core.dialogs.get(dialog).ok()).map(|entry| entry.usages.iter());
    let others = || usages().into_iter().flatten().filter(|usage| matches!(usage, Usage::ServerRefer(_))).count() > 1;
    request.method() == Some(Method::Subscribe)
        && id_of(request).is_some_and(|id| id.map_or_else(|| !others(), |id| id == this.id()))
}

/// A SUBSCRIBE for it: it lasts on, or with Expires 0 it ends. What the peer asked for is done all the same (RFC 3515 §2.4.4).
pub(crate) fn subscribed(dum: &mut Dum<'_>, refer: Handle<ServerRefer>, request: &Request) {
    let Request { transaction, msg } = request;
    let now = dum.now();
    let Ok(this) = dum.core.server_refers.get(refer) else { return };
    if this.asked.is_some() {
        // As long as the REFER is not answered, there is nothing to prolong.
        return dum.refuse_for_now(*transaction, msg);
    }
    let asked = msg.header(h::EXPIRES).map_or(EXPIRES.as_secs() as u32, |expires| expires.0);
    let package = dum.core.master.package(EVENT).cloned().unwrap_or_else(|| EventPackage::new(EVENT));
    let granted = match package.grant(Some(asked)) {
        Ok(granted) => granted,
        Err(least) => return notifier::too_brief(dum, *transaction, msg, least),
    };
    let profile = this.profile.clone();
    let response = notifier::answer(dum, msg, granted, &profile);
    dum.respond(*transaction, response);
    let Ok(this) = dum.core.server_refers.get_mut(refer) else { return };
    this.until = now + Duration::from_secs(granted.into());
    if granted == 0 {
        this.end.get_or_insert(TerminateReason::Timeout);
    }
    if let Some(dialog) = this.dialog {
        dum.core.dialogs.accepted(dialog, msg);
    }
    arm(dum, refer);
    // Who wanted to be left alone wants to be told now.
    happen(dum, refer, Notice::Asked);
    happen(dum, refer, Notice::State);
}

/// Out of a dialog the 202 makes one (RFC 3515 §2.4.2, RFC 6665 §4.4.1).
fn enter_dialog(
    dum: &mut Dum<'_>,
    refer: Handle<ServerRefer>,
    msg: &Message,
    response: &Message,
) -> Result<(), SessionError> {
    if let Some(dialog) = dum.core.server_refers.get(refer)?.dialog {
        dum.core.dialogs.accepted(dialog, msg);
        return Ok(());
    }
    let dialog = Dialog::uas(msg, response).map_err(|_| SessionError::NotNow)?;
    let (id, profile) = (dialog.id().clone(), dum.core.server_refers.get(refer)?.profile.clone());
    let set = dum.core.dialogs.open(&id.call_id, &id.local_tag, profile, None)?;
    let added = dum.core.dialogs.add(set, dialog, Usage::ServerRefer(refer));
    if added.is_err() {
        dum.core.dialogs.close(set);
    }
    dum.core.server_refers.get_mut(refer)?.dialog = Some(added?);
    Ok(())
}

/// One of its NOTIFYs was answered: a refusal says that nobody listens, unless it is for a while (RFC 6665 §4.2.2).
pub(crate) fn outcome(dum: &mut Dum<'_>, refer: Handle<ServerRefer>, outcome: &Outcome) {
    if outcome.is_provisional() {
        return;
    }
    if !outcome.is_success() {
        let after =
            outcome.response.as_ref().and_then(|msg| msg.header(h::RETRY_AFTER).ok()).map(|after| after.seconds);
        // RFC 5057 §5.1: a 480 may say when, too.
        let over = |msg: &Arc<Message>| outcome.status != 480 && effect::of(msg) != Effect::Transaction;
        let over = outcome.response.as_ref().is_some_and(over);
        let Some(seconds) = after.filter(|_| !over) else {
            // The last NOTIFY, which has the result, is sent to whom may still listen.
            return match dum.core.server_refers.get(refer) {
                Ok(this) if this.end.is_some() && !over => happen(dum, refer, Notice::Accepted),
                _ => end(dum, refer),
            };
        };
        let (now, after) = (dum.now(), notifier::LEAST_WAIT.max(Duration::from_secs(seconds.into())));
        let fire = Fire { usage: Usage::ServerRefer(refer), kind: TimerKind::Notify };
        let Ok(this) = dum.core.server_refers.get_mut(refer) else { return };
        // Only the last NOTIFY is left: longer than the subscription would have lasted nobody waits for that.
        if this.end.is_some() && after > this.until - now {
            return end(dum, refer);
        }
        dum.core.timers.set(&mut this.later, fire, now, after);
        return happen(dum, refer, Notice::Later);
    }
    let dialog = dum.core.server_refers.get(refer).ok().and_then(|this| this.dialog);
    if let (Some(dialog), Some(response)) = (dialog, &outcome.response) {
        dum.core.dialogs.answered(dialog, response);
    }
    happen(dum, refer, Notice::Accepted);
}

/// Its dialog is lost, as the answer to a request of another usage says.
pub(crate) fn lost(dum: &mut Dum<'_>, refer: Handle<ServerRefer>) {
    let Ok(this) = dum.core.server_refers.get_mut(refer) else { return };
    let (asked, msg) = (this.asked.take(), this.msg.clone());
    if let Some(transaction) = asked {
        dum.refuse(transaction, &msg, 481);
    }
    end(dum, refer);
}

/// Waits for as long as it lasts.
fn arm(dum: &mut Dum<'_>, refer: Handle<ServerRefer>) {
    let now = dum.now();
    if let Ok(this) = dum.core.server_refers.get(refer) {
        wait(dum, refer, this.until - now);
    }
}

fn wait(dum: &mut Dum<'_>, refer: Handle<ServerRefer>, patience: Duration) {
    let now = dum.now();
    let fire = Fire { usage: Usage::ServerRefer(refer), kind: TimerKind::Subscription };
    if let Ok(this) = dum.core.server_refers.get_mut(refer) {
        dum.core.timers.set(&mut this.patience, fire, now, patience);
    }
}

/// It was not answered, or told no end; or the peer wants to be told now.
pub(crate) fn timer(dum: &mut Dum<'_>, refer: Handle<ServerRefer>, fire: Fire) {
    let now = dum.now();
    let Ok(this) = dum.core.server_refers.get_mut(refer) else { return };
    if fire.kind == TimerKind::Notify {
        if dum.core.timers.is_due(&mut this.later, fire, now) {
            happen(dum, refer, Notice::Due);
        }
    } else if dum.core.timers.is_due(&mut this.patience, fire, now) {
        // RFC 6665 §4.2.2: who subscribed hears of its end. Of a REFER that was not answered nobody does, nor who wants to
        // be left alone for longer.
        if this.asked.is_some() || this.outbox == Outbox::Waiting {
            return end(dum, refer);
        }
        this.end.get_or_insert(TerminateReason::Timeout);
        happen(dum, refer, Notice::State);
    }
}

fn end(dum: &mut Dum<'_>, refer: Handle<ServerRefer>) {
    if let Ok(ServerRefer { dialog: Some(dialog), .. }) = dum.core.server_refers.remove(refer) {
        dum.core.dialogs.leave(dialog, Usage::ServerRefer(refer));
    }
}
