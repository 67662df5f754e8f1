//! How calls end: by what nobody expected, by a failure, or in good order.

use super::machine::{Machine, Out, cseq_method};
use stack::message::{Message, reason_phrase};

impl Machine<'_> {
    /// A message that no step expects.
    pub(super) fn unexpected(&mut self, message: &Message) {
        let place = self.setup.program.place(self.call.at);
        let method = cseq_method(message).unwrap_or_default();
        if let Some(code) = message.status() {
            let strict = self.setup.program.strict;
            // The answer to a BYE that crossed the peer's, or to a request that is no longer of interest.
            if !strict && (code < 200 || self.call.is_ended) {
                return;
            }
            let cause = format!("{place}: {method}: {code} {}", reason_phrase(code));
            self.clean_up(Some(message));
            return self.end(Out::Failed(cause));
        }
        match method.as_str() {
            "ACK" => {}
            "BYE" => {
                self.answer(message, 200);
                let ours = self.call.bye_at.is_some();
                self.call.is_ended = true;
                if !ours {
                    self.end(Out::HungUp);
                }
            }
            "CANCEL" => {
                self.answer(message, 200);
                if let Some(invite) = self.call.request.clone().filter(|_| !self.call.is_answered) {
                    self.answer(&invite, 487);
                    self.end(Out::Failed(format!("{place}: CANCEL")));
                }
            }
            "OPTIONS" | "INFO" | "UPDATE" | "NOTIFY" | "MESSAGE" if !self.setup.program.strict => {
                self.answer(message, 200)
            }
            _ => {
                self.answer(message, 500);
                self.fail(format!("{place}: {method} is not expected"));
            }
        }
    }

    /// Answers a request beside the scenario.
    pub(super) fn answer(&mut self, request: &Message, code: u16) {
        let tag = self.call.local_tag(self.setup);
        let tag = Some(tag.trim_start_matches(";tag=")).filter(|_| !request.has_to_tag());
        let octets = request.make_response(code, None, tag).to_bytes();
        self.call.note_sent(&octets);
        self.out.push(Out::Send(octets));
    }

    pub(super) fn fail(&mut self, cause: String) {
        self.clean_up(None);
        self.end(Out::Failed(cause));
    }

    /// Leaves nothing behind at the peer: acknowledges the failure of an INVITE, cancels one that is not answered, ends a call.
    pub(super) fn clean_up(&mut self, refusal: Option<&Message>) {
        let call = &*self.call;
        if call.is_done || call.is_ended || call.bye_at.is_some() {
            return;
        }
        let invite = call.sent_invite();
        let last = refusal.or(call.last.as_deref());
        let refused = last.filter(|last| {
            last.status().is_some_and(|code| code >= 300) && cseq_method(last).as_deref() == Some("INVITE")
        });
        match (invite, refused) {
            (Some(invite), Some(refused)) => self.out.push(Out::Send(invite.make_failure_ack(refused).to_bytes())),
            (Some(_), None) | (None, None) if call.is_answered => self.end_dialog(),
            (Some(invite), None) if call.noted_ringing => self.out.push(Out::Send(invite.make_cancel().to_bytes())),
            _ => {}
        }
    }

    /// A BYE of our own making.
    pub(super) fn end_dialog(&mut self) {
        let text = super::helper::bye();
        self.call.cseq += 1;
        let octets = self.renderer(self.setup.program.steps.len()).message(&text);
        self.out.push(Out::Send(octets));
    }

    /// The call counts from now on, once.
    pub(super) fn done(&mut self, what: Out) {
        if !std::mem::replace(&mut self.call.is_done, true) {
            self.out.push(what);
        }
        self.call.again = None;
    }

    pub(super) fn end(&mut self, what: Out) {
        self.done(what);
        self.call.at = usize::MAX;
        (self.call.waits, self.call.until) = (false, None);
        self.out.push(Out::Over);
    }
}
