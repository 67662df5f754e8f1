//! What the application is to be told, and by which handler.
//!
//! While a message is worked on nothing calls the application: what it is to hear is queued, and delivered when the step
//! is done. So a handler finds everything in order, may use any handle, and nothing it does happens in mid-step.

use crate::application::Application;
use crate::dum::Dum;
use crate::invite;
use crate::out_of_dialog;
use crate::pager;
use crate::publication;
use crate::refer;
use crate::registration;
use crate::subscription;

/// Something to be told. A new kind of usage adds a variant with an enum of its own, and its `deliver`.
pub(crate) enum Callback {
    Invite(invite::Callback),
    OutOfDialog(out_of_dialog::Callback),
    Refer(refer::Callback),
    Subscription(subscription::Callback),
    Pager(pager::Callback),
    Publication(publication::Callback),
    Registration(registration::Callback),
}

impl From<pager::Callback> for Callback {
    fn from(callback: pager::Callback) -> Self {
        Callback::Pager(callback)
    }
}

impl From<subscription::Callback> for Callback {
    fn from(callback: subscription::Callback) -> Self {
        Callback::Subscription(callback)
    }
}

impl From<refer::Callback> for Callback {
    fn from(callback: refer::Callback) -> Self {
        Callback::Refer(callback)
    }
}

impl From<registration::Callback> for Callback {
    fn from(callback: registration::Callback) -> Self {
        Callback::Registration(callback)
    }
}

impl From<publication::Callback> for Callback {
    fn from(callback: publication::Callback) -> Self {
        Callback::Publication(callback)
    }
}

impl From<invite::Callback> for Callback {
    fn from(callback: invite::Callback) -> Self {
        Callback::Invite(callback)
    }
}

impl From<out_of_dialog::Callback> for Callback {
    fn from(callback: out_of_dialog::Callback) -> Self {
        Callback::OutOfDialog(callback)
    }
}

impl Callback {
    pub(crate) fn deliver(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        match self {
            Callback::Invite(callback) => callback.deliver(dum, app),
            Callback::Refer(callback) => callback.deliver(dum, app),
            Callback::Registration(callback) => callback.deliver(dum, app),
            Callback::Publication(callback) => callback.deliver(dum, app),
            Callback::Subscription(callback) => callback.deliver(dum, app),
            Callback::Pager(callback) => callback.deliver(dum, app),
            Callback::OutOfDialog(callback) => callback.deliver(dum, app),
        }
    }
}
