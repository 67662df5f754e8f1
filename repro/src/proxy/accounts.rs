//! What is told of sessions (`[accounting]`) as the requests get their answers that begin and end them.

use super::Target;
use super::best::Best;
use crate::accounting::{Account, Accounting, Call, Destination, Event, is_challenge, reason_of, to_tag};
use rutil::Time;
use smallvec::{SmallVec, smallvec};
use stack::message::Message;
use std::sync::Arc;

/// Most answers to one branch that are told: who forks behind us may bring more than one.
const MOST_ANSWERS: usize = 16;

/// A request that was forwarded, and is told of when it has its answer.
#[derive(Debug)]
pub(super) struct Tracked {
    account: Account,
    /// Where it went last.
    destination: Option<Destination>,
    /// The Reason of the CANCEL.
    reason: Option<Box<str>>,
}

/// An INVITE that was answered with 2xx and may be answered by others yet.
pub(super) struct Answered {
    call: Arc<Call>,
    destination: Option<Destination>,
    tags: SmallVec<[Box<str>; 1]>,
}

impl Tracked {
    pub(super) fn new(account: Account) -> Self {
        Tracked { account, destination: None, reason: None }
    }

    /// The caller has given up.
    pub(super) fn cancelled(&mut self, cancel: &Message) {
        self.reason = reason_of(cancel);
    }

    /// A branch to this target has ended.
    pub(super) fn went_to(&mut self, target: Option<&Target>) {
        if let Some(target) = target {
            self.destination = Some(target.into());
        }
    }

    /// A 2xx has come; `answered`: not the first one. What further ones of the same branch need.
    pub(super) fn success(
        &mut self,
        (response, answered): (&Message, bool),
        target: Option<&Target>,
        accounting: &Accounting,
        now: Time,
    ) -> Option<Box<Answered>> {
        let code = response.status().unwrap_or(200);
        match &mut self.account {
            Account::Invite(call) => {
                let (call, destination, tag) = (call.clone(), target.map(Destination::from), to_tag(response));
                let told =
                    Answered { call: call.clone(), destination: destination.clone(), tags: smallvec![tag.clone()] };
                accounting.tell(Event::Established { call, to_tag: tag, code, destination }, now);
                Some(Box::new(told))
            }
            Account::Bye(bye) => {
                if let Some(bye) = bye.take_if(|_| !answered) {
                    accounting.tell(Event::Ended { bye, code }, now);
                }
                None
            }
        }
    }

    /// The caller gets another final answer, or nothing.
    pub(super) fn failure(&mut self, (code, best, cancelled): (u16, &Best, bool), accounting: &Accounting, now: Time) {
        if is_challenge(code) {
            return;
        }
        match &mut self.account {
            Account::Invite(call) => {
                let received = || match best {
                    Best::Received(response) => reason_of(response),
                    _ => None,
                };
                let reason = if cancelled { self.reason.take() } else { received() };
                let destination = self.destination.take();
                accounting.tell(Event::Failed { call: call.clone(), code, cancelled, reason, destination }, now);
            }
            // RFC 3261 §15.1.1: for who has sent the BYE it is over whatever the answer is.
            Account::Bye(bye) => {
                if let Some(bye) = bye.take() {
                    accounting.tell(Event::Ended { bye, code }, now);
                }
            }
        }
    }
}

impl Answered {
    /// A further 2xx: the same one once more, or that of somebody else.
    pub(super) fn again(&mut self, code: u16, response: &Message, accounting: &Accounting, now: Time) {
        let tag = to_tag(response);
        if self.tags.contains(&tag) || self.tags.len() >= MOST_ANSWERS {
            return;
        }
        let (call, destination) = (self.call.clone(), self.destination.clone());
        self.tags.push(tag.clone());
        accounting.tell(Event::Established { call, to_tag: tag, code, destination }, now);
    }
}
