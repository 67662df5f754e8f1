//! Who hears of a message or a timer. A new kind of usage adds a variant here, and a line to each `match`.

use crate::dialogs::DialogEntry;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::Handle;
use crate::out_of_dialog::{ClientOutOfDialogRequest, ServerOutOfDialogRequest, client, server};
use crate::outcome::Outcome;
use crate::timers::Fire;
use stack::message::Message;
use stack::tu::{ClientTransaction, ServerTransaction};

/// Any usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Usage {
    ClientOutOfDialog(Handle<ClientOutOfDialogRequest>),
    ServerOutOfDialog(Handle<ServerOutOfDialogRequest>),
}

impl Usage {
    /// Whether a request in its dialog is its own, by method and, where there may be several, by Event and the like.
    pub(crate) fn takes(&self, _request: &Message) -> bool {
        match self {
            Usage::ClientOutOfDialog(_) | Usage::ServerOutOfDialog(_) => false,
        }
    }

    /// A request in its dialog that it takes. CSeq has been checked, the remote target refreshed.
    pub(crate) fn request(self, dum: &mut Dum<'_>, _dialog: Handle<DialogEntry>, request: Request) {
        match self {
            Usage::ClientOutOfDialog(_) | Usage::ServerOutOfDialog(_) => {
                dum.refuse(request.transaction, &request.msg, 481);
            }
        }
    }

    /// A request that it takes, in its dialog set, but in a dialog that is not there: it may make that.
    pub(crate) fn first_request(self, dum: &mut Dum<'_>, request: Request) {
        match self {
            Usage::ClientOutOfDialog(_) | Usage::ServerOutOfDialog(_) => {
                dum.refuse(request.transaction, &request.msg, 481);
            }
        }
    }

    /// An ACK for a 2xx of its own.
    pub(crate) fn ack(self, _dum: &mut Dum<'_>, _ack: Message) {
        match self {
            Usage::ClientOutOfDialog(_) | Usage::ServerOutOfDialog(_) => {}
        }
    }

    /// The client gave up an INVITE that it has not answered.
    pub(crate) fn cancelled(self, _dum: &mut Dum<'_>, _invite: ServerTransaction, _cancel: &Message) {
        match self {
            Usage::ClientOutOfDialog(_) | Usage::ServerOutOfDialog(_) => {}
        }
    }

    /// A response to one of its requests, or the news that there will be none.
    pub(crate) fn outcome(self, dum: &mut Dum<'_>, _transaction: ClientTransaction, outcome: Outcome) {
        match self {
            Usage::ClientOutOfDialog(handle) => client::outcome(dum, handle, outcome),
            Usage::ServerOutOfDialog(_) => {}
        }
    }

    /// One of its timers has fired; whether its alarm means it is for the usage to ask ([`crate::timers::Timers::is_due`]).
    pub(crate) fn timer(dum: &mut Dum<'_>, fire: Fire) {
        match fire.usage {
            Usage::ServerOutOfDialog(handle) => server::timer(dum, handle, fire),
            Usage::ClientOutOfDialog(_) => {}
        }
    }
}
