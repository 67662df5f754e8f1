//! Calls that a program on a desk controls: NOTIFY with the events `talk` and `hold`, within a call and without a
//! subscription, as call centres and operators' consoles send it.

use crate::profile::MasterProfile;
use stack::header::h;
use stack::message::Message;

/// What a peer asks us to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteControl {
    /// To answer it, or to take it back from hold.
    Talk,
    /// To hold it.
    Hold,
}

impl RemoteControl {
    const fn event(self) -> &'static str {
        match self {
            RemoteControl::Talk => "talk",
            RemoteControl::Hold => "hold",
        }
    }

    /// What a NOTIFY asks for, if it is of this kind.
    pub(super) fn of(notify: &Message) -> Option<Self> {
        let event = notify.header(h::EVENT).ok()?;
        [RemoteControl::Talk, RemoteControl::Hold].into_iter().find(|control| event.value == control.event())
    }

    /// Whether that is understood here.
    pub(super) fn is_known(notify: &Message, master: &MasterProfile) -> bool {
        RemoteControl::of(notify).is_some_and(|control| master.has_event(control.event()))
    }

    /// Writes what a NOTIFY says.
    pub(super) fn describe(self, notify: &mut Message) {
        notify.set(h::EVENT, self.event());
        // RFC 6665 §8.2.3: it stands in every NOTIFY.
        notify.set(h::SUBSCRIPTION_STATE, "active");
    }
}
