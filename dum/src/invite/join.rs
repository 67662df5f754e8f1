//! INVITEs that name a call: to take its place (RFC 3891), or to join it (RFC 3911).

use super::machine::State;
use super::{InviteSession, ServerInviteSession};
use crate::DialogId;
use crate::dum::Dum;
use crate::handle::Handle;
use stack::header::{DialogRef, h, p};
use stack::message::Message;

/// The call that an INVITE is to take the place of (RFC 3891 §3).
///
/// # Errors
/// The status that refuses it.
pub(super) fn replaced(dum: &Dum<'_>, invite: &Message) -> Result<Option<Handle<InviteSession>>, u16> {
    if !invite.exists(h::REPLACES) || !dum.core.master.has_option_tag("replaces") {
        return Ok(None);
    }
    let replaces = invite.header(h::REPLACES).map_err(|_| 400u16)?;
    match named(dum, &replaces)? {
        (_, State::Answering | State::Accepted | State::Connected) if replaces.param(p::EARLY_ONLY) => Err(486),
        (call, _) => Ok(Some(call)),
    }
}

/// The call that an INVITE is to join. Who takes such INVITEs says so by the option tag `join`: else they are refused, with
/// 488 where the call is there (RFC 3911 §4).
///
/// # Errors
/// The status that refuses it.
pub(super) fn joined(dum: &Dum<'_>, invite: &Message) -> Result<Option<Handle<InviteSession>>, u16> {
    if !invite.exists(h::JOIN) {
        return Ok(None);
    }
    let (call, _) = named(dum, &invite.header(h::JOIN).map_err(|_| 400u16)?)?;
    if dum.core.master.has_option_tag("join") { Ok(Some(call)) } else { Err(488) }
}

/// The call of a dialog, and where it is: answered, or early and ours (RFC 3891 §3, RFC 3911 §4).
fn named(dum: &Dum<'_>, dialog: &DialogRef<'_>) -> Result<(Handle<InviteSession>, State), u16> {
    let id = DialogId::of_reference(dialog).ok_or(400u16)?;
    let call = dum.find_invite_session(&id).ok_or(481u16)?;
    match dum.core.sessions.get(call).map_err(|_| 481u16)?.state {
        State::Ending | State::Terminated => Err(603),
        state if can_go(state) => Ok((call, state)),
        _ => Err(481),
    }
}

/// Whether another call can take its place, or join it.
const fn can_go(state: State) -> bool {
    matches!(state, State::Answering | State::Accepted | State::Connected | State::Early)
}

/// Whether the call that an INVITE was to take the place of has ended before that was accepted, or another one has its place.
pub(super) fn is_gone(dum: &Dum<'_>, replaced: Handle<InviteSession>) -> bool {
    !dum.core.sessions.get(replaced).is_ok_and(|this| can_go(this.state))
}

impl Handle<ServerInviteSession> {
    /// The call that this one is to join (RFC 3911), as long as both are there and this one is not answered. Whether its
    /// caller may, and how the media are mixed, is for the application to say.
    ///
    /// There is one only where the user agent says that it understands Join: `add_option_tag("join")` of
    /// [`crate::MasterProfile`]. Else an INVITE with Join is refused with 488, and nobody hears of it. One that names no call
    /// is refused in any case: 481, or 603 when the call is just ending.
    pub fn joined_call(self, dum: &Dum<'_>) -> Option<Handle<InviteSession>> {
        let asked = dum.core.sessions.get(self.cast()).ok()?.asked.as_ref()?;
        joined(dum, &asked.msg).ok().flatten()
    }
}
