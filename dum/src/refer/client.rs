//! A REFER that we sent, and what the peer tells of it.

use super::{BODY, Callback, EVENT, EXPIRES, id_of};
use crate::core::Core;
use crate::dialog::Dialog;
use crate::dialogs::{DialogEntry, DialogSet};
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::effect::{self, Effect};
use crate::handle::{Handle, NoRoom, NotSent};
use crate::invite::{InviteSession, SessionError};
use crate::outcome::Outcome;
use crate::profile::UserProfile;
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use stack::contents::sipfrag::SipFrag;
use stack::header::{DialogRef, Method, NameAddr, h, p};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions};
use stack::uri::Uri;
use std::sync::Arc;
use std::time::Duration;

/// A REFER that we sent, as long as something may be told of it.
#[derive(Debug)]
pub struct ClientRefer {
    /// One that was sent out of a dialog has it from the first NOTIFY on.
    pub(crate) dialog: Option<Handle<DialogEntry>>,
    /// What it began itself.
    own: Option<Own>,
    /// Its CSeq: the `id` of its events (RFC 3515 §2.4.6).
    cseq: u32,
    subscribe: bool,
    /// The REFER, as long as it is not answered.
    asking: Option<ClientTransaction>,
    /// A SUBSCRIBE under way, and whether it is to be the last.
    subscribing: Option<ClientTransaction>,
    ending: bool,
    /// A NOTIFY or a 2xx has come: there is a subscription.
    accepted: bool,
    /// The peer's events have the id, so ours are to have it too.
    named: bool,
    status: Option<u16>,
    patience: Alarm,
}

impl ClientRefer {
    /// The dialog set of one out of a dialog.
    pub(crate) fn set(&self) -> Option<Handle<DialogSet>> {
        self.own.as_ref().map(|own| own.set)
    }

    fn new(dialog: Option<Handle<DialogEntry>>, own: Option<Own>, cseq: u32, subscribe: bool) -> Self {
        ClientRefer {
            dialog,
            own,
            cseq,
            subscribe,
            asking: None,
            subscribing: None,
            ending: false,
            accepted: false,
            named: true,
            status: None,
            patience: Alarm::OFF,
        }
    }
}

/// What belongs to a REFER out of a dialog.
#[derive(Debug)]
struct Own {
    set: Handle<DialogSet>,
    /// What its dialog is made from; not needed once it is there.
    request: Option<Box<Message>>,
}

impl Dum<'_> {
    /// A REFER out of a dialog: asks somebody to make a request elsewhere. With `Refer-Sub: false` nothing is told of it but
    /// whether it will be done (RFC 4488).
    pub fn make_refer(&mut self, profile: &UserProfile, target: &NameAddr<'_>, refer_to: &NameAddr<'_>) -> Message {
        let mut msg = self.make_request(profile, &Method::Refer, target);
        describe(&mut msg, refer_to);
        msg
    }

    /// Sends a REFER that [`Dum::make_refer`] made. What comes of it is told to [`super::ReferHandler`], as of one in a call.
    /// Where it forks, the first that tells something is heard.
    ///
    /// # Errors
    /// [`NotSent`]: there is no room, or the message is no REFER with a Refer-To, or was sent before.
    pub fn send_refer(&mut self, profile: &Arc<UserProfile>, msg: Message) -> Result<Handle<ClientRefer>, NotSent> {
        const UNFIT: NotSent = NotSent::Unfit("a REFER with Refer-To is expected, as Dum::make_refer makes it");
        if !self.is_request_of(&msg, &Method::Refer) || msg.header(h::REFER_TO).is_err() {
            return Err(UNFIT);
        }
        let call_id = msg.header(h::CALL_ID).map_err(|_| UNFIT)?.as_str().to_owned();
        let tag = msg.header(h::FROM).map_err(|_| UNFIT)?.param(p::TAG).ok_or(UNFIT)?.to_owned();
        if self.core.dialogs.is_known(&msg) {
            return Err(NotSent::Unfit("this REFER was sent before: each has a Call-ID of its own"));
        }
        let set = self.core.dialogs.open(&call_id, &tag, profile.clone(), None)?;
        let subscribe = !msg.header(h::REFER_SUB).is_ok_and(|sub| sub.is("false"));
        let own = Some(Own { set, request: Some(Box::new(msg.clone())) });
        let cseq = msg.header(h::CSEQ).map_or(0, |cseq| cseq.number);
        let refer = self.core.client_refers.insert(ClientRefer::new(None, own, cseq, subscribe));
        let Ok(refer) = refer else {
            self.core.dialogs.close(set);
            return Err(NoRoom.into());
        };
        if let Ok(set) = self.core.dialogs.set_mut(set) {
            set.creator = Some(Usage::ClientRefer(refer));
        }
        ask(self, refer, msg);
        Ok(refer)
    }
}

impl Handle<ClientRefer> {
    /// Asks the peer to tell on, and how far it is now: a SUBSCRIBE in the dialog, which prolongs the subscription that the
    /// REFER has made (RFC 3515 §2.4.4) for the profile's time of subscriptions. While one is under way nothing is sent.
    ///
    /// # Errors
    /// [`SessionError`]: it has ended, is to end, or the peer has not accepted it yet.
    pub fn refresh(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        let this = dum.core.client_refers.get(self)?;
        match (this.ending, this.subscribing) {
            (true, _) => Err(SessionError::NotNow),
            (false, Some(_)) => Ok(()),
            (false, None) => {
                let time = profile(dum.core, self).map_or(EXPIRES, |profile| profile.subscription_time());
                subscribe(dum, self, time.as_secs().try_into().unwrap_or(u32::MAX))
            }
        }
    }

    /// Wants to be told no more: a SUBSCRIBE with Expires 0. What the peer was asked to do it goes on doing (RFC 3515
    /// §2.4.4). [`super::ReferHandler::on_refer_ended`] comes with the last NOTIFY.
    ///
    /// # Errors
    /// As [`Handle::refresh`].
    pub fn end(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        if dum.core.client_refers.get(self)?.ending {
            return Ok(());
        }
        subscribe(dum, self, 0)?;
        dum.core.client_refers.get_mut(self)?.ending = true;
        // No NOTIFY may come: Timer N (RFC 6665 §4.1.2.4).
        wait(dum, self, dum.core.values.long());
        Ok(())
    }
}

/// Sends the REFER.
fn ask(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, msg: Message) {
    let transaction = dum.send(Usage::ClientRefer(refer), msg, SendOptions::default());
    if let Ok(this) = dum.core.client_refers.get_mut(refer) {
        this.asking = Some(transaction);
    }
}

/// A SUBSCRIBE for the subscription that the REFER has made, known by its id (RFC 3515 §2.4.6).
fn subscribe(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, seconds: u32) -> Result<(), SessionError> {
    let this = dum.core.client_refers.get(refer)?;
    let dialog = this.dialog.filter(|_| this.accepted).ok_or(SessionError::NotNow)?;
    let event = if this.named { format!("{EVENT};id={}", this.cseq) } else { EVENT.to_owned() };
    let mut msg = dum.make_in_dialog(dialog, &Method::Subscribe)?;
    msg.set(h::EVENT, &event);
    msg.set(h::EXPIRES, &seconds);
    msg.push_back(h::ACCEPTS, BODY);
    let transaction = dum.send(Usage::ClientRefer(refer), msg, SendOptions::default());
    dum.core.client_refers.get_mut(refer)?.subscribing = Some(transaction);
    Ok(())
}

/// Where the peer is to go, and who says so (RFC 3892 §2.1).
fn describe(msg: &mut Message, refer_to: &NameAddr<'_>) {
    msg.set(h::REFER_TO, refer_to);
    let local = msg.header(h::FROM).map(|from| NameAddr::new(from.uri.into_owned()));
    if let Ok(local) = local {
        msg.set(h::REFERRED_BY, &local);
    }
}

/// Sends a REFER in the dialog of a call.
pub(crate) fn send(
    dum: &mut Dum<'_>,
    dialog: Handle<DialogEntry>,
    refer_to: &NameAddr<'_>,
    subscribe: bool,
) -> Result<Handle<ClientRefer>, SessionError> {
    let mut msg = dum.make_in_dialog(dialog, &Method::Refer)?;
    let cseq = msg.header(h::CSEQ).map_or(0, |cseq| cseq.number);
    describe(&mut msg, refer_to);
    if !subscribe {
        msg.set(h::REFER_SUB, "false");
        msg.push_back(h::SUPPORTEDS, "norefersub");
    }
    let refer = dum.core.client_refers.insert(ClientRefer::new(Some(dialog), None, cseq, subscribe))?;
    if let Err(error) = dum.core.dialogs.join(dialog, Usage::ClientRefer(refer)) {
        let _ = dum.core.client_refers.remove(refer);
        return Err(error.into());
    }
    ask(dum, refer, msg);
    Ok(refer)
}

/// The profile by which it is sent.
pub(crate) fn profile(core: &Core, refer: Handle<ClientRefer>) -> Option<Arc<UserProfile>> {
    let this = core.client_refers.get(refer).ok()?;
    match (&this.own, this.dialog) {
        (Some(own), _) => core.dialogs.set(own.set).ok().map(|set| set.profile.clone()),
        (None, dialog) => core.dialogs.profile_of(dialog?).ok().cloned(),
    }
}

/// Whether it waits for the answer to a request of it.
pub(crate) fn awaits(core: &Core, refer: Handle<ClientRefer>, transaction: ClientTransaction) -> bool {
    core.client_refers.get(refer).is_ok_and(|this| [this.asking, this.subscribing].contains(&Some(transaction)))
}

/// A request of it was sent once more, with another number: if it is the REFER, that of its events now.
pub(crate) fn resent(
    core: &mut Core,
    refer: Handle<ClientRefer>,
    old: ClientTransaction,
    new: ClientTransaction,
    cseq: u32,
) {
    let Ok(this) = core.client_refers.get_mut(refer) else { return };
    if this.subscribing == Some(old) {
        this.subscribing = Some(new);
    } else if this.asking == Some(old) {
        (this.asking, this.cseq) = (Some(new), cseq);
        // Its dialog counts on from there.
        if let Some(request) = this.own.as_mut().and_then(|own| own.request.as_mut()) {
            request.set(h::CSEQ, &format_args!("{cseq} REFER"));
        }
    }
}

/// Whether a request is a NOTIFY for it: by the id of its event, or without one.
pub(crate) fn takes(core: &Core, refer: Handle<ClientRefer>, request: &Message) -> bool {
    let this = core.client_refers.get(refer);
    request.method() == Some(Method::Notify)
        && this.is_ok_and(|this| id_of(request).is_some_and(|id| id.is_none_or(|id| id == this.cseq)))
}

/// A request of it was answered, or not.
pub(crate) fn outcome(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, transaction: ClientTransaction, outcome: Outcome) {
    let Ok(this) = dum.core.client_refers.get_mut(refer) else { return };
    if outcome.is_provisional() {
        return;
    }
    if this.asking == Some(transaction) {
        this.asking = None;
        answered(dum, refer, outcome);
    } else if this.subscribing == Some(transaction) {
        this.subscribing = None;
        subscribed(dum, refer, &outcome);
    }
}

/// The REFER was answered.
fn answered(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, outcome: Outcome) {
    let Some(response) = outcome.response.clone().filter(|_| outcome.is_success()) else {
        end(dum, refer);
        return dum.call_back(Callback::Rejected { refer, outcome });
    };
    let Ok(this) = dum.core.client_refers.get_mut(refer) else { return };
    this.accepted = true;
    if let Some(dialog) = this.dialog {
        dum.core.dialogs.answered(dialog, &response);
    }
    let quiet = response.header(h::REFER_SUB).is_ok_and(|sub| sub.is("false"));
    let over = quiet || !this.subscribe;
    let untold = this.status.is_none() && !this.ending;
    dum.call_back(Callback::Accepted { refer, msg: response });
    if over {
        end(dum, refer);
    } else if untold {
        // RFC 6665 §4.1.2.4: Timer N.
        wait(dum, refer, dum.core.values.long());
    }
}

/// A SUBSCRIBE was answered: how long it lasts, or that it is over (RFC 6665 §4.1.2.2; 403 is RFC 3515's for one that is
/// not there).
fn subscribed(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, outcome: &Outcome) {
    let Ok(this) = dum.core.client_refers.get(refer) else { return };
    let (status, ending, dialog) = (this.status, this.ending, this.dialog);
    if let Some(response) = outcome.response.as_deref().filter(|_| outcome.is_success()) {
        if let Some(dialog) = dialog {
            dum.core.dialogs.answered(dialog, response);
        }
        if let Ok(expires) = response.header(h::EXPIRES)
            && !ending
        {
            last(dum, refer, expires.0);
        }
    } else if ending || outcome.status == 403 || outcome.response.as_deref().is_some_and(ends_usage) {
        end(dum, refer);
        dum.call_back(Callback::Ended { refer, status, msg: outcome.response.clone() });
    }
}

fn ends_usage(response: &Message) -> bool {
    effect::of(response) != Effect::Transaction
}

/// Its dialog is lost, as the answer to a request of another usage says.
pub(crate) fn lost(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, response: &Arc<Message>) {
    let Ok(this) = dum.core.client_refers.get(refer) else { return };
    let (asking, status) = (this.asking.is_some(), this.status);
    end(dum, refer);
    dum.call_back(match asking {
        true => Callback::Rejected { refer, outcome: Outcome::of(response.clone()) },
        false => Callback::Ended { refer, status, msg: Some(response.clone()) },
    });
}

/// A NOTIFY that makes its dialog: the first, which may come before the response. Another fork's is nobody's.
pub(crate) fn first_notified(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, request: &Request) {
    let own = dum.core.client_refers.get_mut(refer).ok().and_then(|this| this.own.as_mut());
    let Some((set, sent)) = own.and_then(|own| Some((own.set, own.request.take()?))) else {
        return dum.refuse(request.transaction, &request.msg, 481);
    };
    let dialog = Dialog::of_notify(&sent, &request.msg).map_err(|_| 400);
    let added = dialog.and_then(|dialog| dum.core.dialogs.add(set, dialog, Usage::ClientRefer(refer)).map_err(|_| 481));
    let Ok(this) = dum.core.client_refers.get_mut(refer) else { return };
    match added {
        Ok(dialog) => {
            this.dialog = Some(dialog);
            notified(dum, refer, request);
        }
        Err(status) => {
            this.own = Some(Own { set, request: Some(sent) });
            dum.refuse(request.transaction, &request.msg, status);
        }
    }
}

/// A NOTIFY of it.
pub(crate) fn notified(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, request: &Request) {
    let msg = &request.msg;
    let Ok(state) = msg.header(h::SUBSCRIPTION_STATE) else { return dum.refuse(request.transaction, msg, 400) };
    let frag = SipFrag::parse(&msg.body_bytes()).ok();
    let status = frag.as_ref().and_then(|frag| frag.status_line().map(|line| line.code));
    dum.refuse(request.transaction, msg, 200);
    let Ok(this) = dum.core.client_refers.get_mut(refer) else { return };
    if let Some(dialog) = this.dialog {
        dum.core.dialogs.accepted(dialog, msg);
    }
    this.accepted = true;
    this.named = id_of(msg).flatten().is_some();
    this.status = status.or(this.status);
    let (told, ending) = (this.status, this.ending);
    if let Some(status) = status {
        dum.call_back(Callback::Progress { refer, status, msg: msg.clone() });
    }
    if state.is("terminated") {
        end(dum, refer);
        dum.call_back(Callback::Ended { refer, status: told, msg: Some(msg.clone()) });
    } else if !ending {
        last(dum, refer, state.param(p::EXPIRES).unwrap_or(EXPIRES.as_secs() as u32));
    }
}

/// It lasts for that many seconds from now on if nothing more comes; at most as long as was asked for, or an hour.
fn last(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, seconds: u32) {
    let asked = profile(dum.core, refer).map_or(Duration::ZERO, |profile| profile.subscription_time());
    wait(dum, refer, Duration::from_secs(seconds.into()).min(asked.max(EXPIRES * 20)));
}

fn wait(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, patience: Duration) {
    let now = dum.now();
    let fire = Fire { usage: Usage::ClientRefer(refer), kind: TimerKind::Subscription };
    if let Ok(this) = dum.core.client_refers.get_mut(refer) {
        dum.core.timers.set(&mut this.patience, fire, now, patience);
    }
}

/// Nothing was told in time.
pub(crate) fn timer(dum: &mut Dum<'_>, refer: Handle<ClientRefer>, fire: Fire) {
    let now = dum.now();
    let Ok(this) = dum.core.client_refers.get_mut(refer) else { return };
    if dum.core.timers.is_due(&mut this.patience, fire, now) {
        let status = this.status;
        end(dum, refer);
        dum.call_back(Callback::Ended { refer, status, msg: None });
    }
}

fn end(dum: &mut Dum<'_>, refer: Handle<ClientRefer>) {
    let Ok(this) = dum.core.client_refers.remove(refer) else { return };
    if let Some(dialog) = this.dialog {
        dum.core.dialogs.leave(dialog, Usage::ClientRefer(refer));
    }
    if let Some(own) = this.own {
        dum.core.dialogs.close(own.set);
    }
}

/// Where a call leads, with what takes its place (RFC 3891 §4): the Refer-To of an attended transfer.
pub(crate) fn replacing(dum: &Dum<'_>, call: Handle<InviteSession>) -> Option<NameAddr<'static>> {
    let dialog = crate::invite::dialog_of(dum, call)?;
    let entry = dum.core.dialogs.get(dialog).ok()?;
    let mut target = entry.dialog.remote_target().clone();
    let Uri::Sip(uri) = &mut target else { return None };
    uri.headers.push("Replaces", &replaces(dum, call)?.to_string());
    Some(NameAddr::new(target))
}

/// The value of Replaces that names a call to its peer.
pub(crate) fn replaces(dum: &Dum<'_>, call: Handle<InviteSession>) -> Option<DialogRef<'static>> {
    let dialog = crate::invite::dialog_of(dum, call)?;
    let id = dum.core.dialogs.get(dialog).ok()?.dialog.id();
    let call_id = stack::header::CallId::new(id.call_id.clone());
    Some(DialogRef::new(call_id).with(p::TO_TAG, &id.remote_tag).with(p::FROM_TAG, &id.local_tag))
}
