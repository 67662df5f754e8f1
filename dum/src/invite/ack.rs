//! The ACKs of a call's 2xx responses, of the first INVITE and of later ones: a 2xx that comes again has its own once more (RFC
//! 3261 §13.2.2.4).

use super::body;
use super::session::{Credentials, InviteSession, SDP};
use crate::dum::Dum;
use crate::handle::Handle;
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::ClientTransaction;

/// So many are kept, the last ones: a 2xx of an INVITE before those is not acknowledged again.
const MOST: usize = 4;

/// What an ACK is made of, as long as its 2xx may come again.
pub(super) struct Acked {
    pub(super) transaction: ClientTransaction,
    pub(super) cseq: u32,
    /// Whether the 2xx brought an offer, which the ACK is to answer.
    pub(super) answers: bool,
    pub(super) body: Option<bytes::Bytes>,
    pub(super) credentials: Credentials,
}

impl Acked {
    /// Whether it waits for the answer that it is to bring.
    pub(super) fn is_open(&self) -> bool {
        self.answers && self.body.is_none()
    }
}

impl InviteSession {
    /// A 2xx came, and is to be acknowledged.
    pub(super) fn owe_ack(&mut self, acked: Acked) {
        let mut all = std::mem::take(&mut self.acked).into_vec();
        if all.len() == MOST {
            all.remove(0);
        }
        all.push(acked);
        self.acked = all.into();
    }

    /// Of these transactions no 2xx comes any more. An ACK that waits for its answer is due however late.
    pub(super) fn forget_acks(&mut self, over: impl Fn(ClientTransaction) -> bool) {
        let mut all = std::mem::take(&mut self.acked).into_vec();
        all.retain(|acked| !over(acked.transaction) || acked.is_open());
        self.acked = all.into();
    }
}

/// The CSeq number of a 2xx to INVITE.
pub(super) fn number_of(msg: &Message) -> Option<u32> {
    let success = msg.method() == Some(Method::Invite) && matches!(msg.status(), Some(200..300));
    msg.header(h::CSEQ).ok().filter(|_| success).map(|cseq| cseq.number)
}

/// The ACK of the 2xx with this CSeq number, or of the last one.
pub(super) fn send(dum: &mut Dum<'_>, call: Handle<InviteSession>, number: Option<u32>) {
    let Ok(this) = dum.core.sessions.get(call) else { return };
    let at = number
        .map_or_else(|| this.acked.len().checked_sub(1), |cseq| this.acked.iter().position(|acked| acked.cseq == cseq));
    let Some(at) = at else { return };
    refuse_streams(dum, call, at);
    let Ok(this) = dum.core.sessions.get(call) else { return };
    let (Some(acked), Some(dialog)) = (this.acked.get(at), this.dialog) else { return };
    let Ok(entry) = dum.core.dialogs.get(dialog) else { return };
    let mut ack = entry.dialog.make_ack_of(acked.cseq);
    acked.credentials.iter().for_each(|(name, value)| ack.append_line(name, value));
    if let Some(body) = &acked.body {
        ack.set_body(Some(SDP), body.clone());
    }
    dum.acknowledge(ack);
}

/// A 2xx whose offer was not answered, and never will be, is acknowledged with an answer all the same: the call ends.
fn refuse_streams(dum: &mut Dum<'_>, call: Handle<InviteSession>, at: usize) {
    let Ok(this) = dum.core.sessions.get(call) else { return };
    if !this.acked.get(at).is_some_and(Acked::is_open) {
        return;
    }
    let (offer, agreed) = (this.media.offer.clone(), this.media.local.clone());
    let answer = offer.and_then(|offer| body::refusal(dum, &offer, agreed.as_ref()));
    if let Some(acked) = dum.session(call).ok().and_then(|this| this.acked.get_mut(at)) {
        acked.body = answer;
    }
}
