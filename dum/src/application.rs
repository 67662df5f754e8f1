//! What a program that uses dum looks like from here.

use crate::auth::ServerAuthHandler;
use crate::invite::InviteSessionHandler;
use crate::out_of_dialog::OutOfDialogHandler;
use crate::pager::PagerMessageHandler;
use crate::publication::{ClientPublicationHandler, ServerPublicationHandler};
use crate::refer::ReferHandler;
use crate::registration::{ClientRegistrationHandler, ServerRegistrationHandler};
use crate::subscription::{ClientSubscriptionHandler, ServerSubscriptionHandler};
use stack::header::Method;

/// The program: it says which handlers it has, and usually is all of them itself (`Some(self)`).
///
/// A handler that it does not have is answered for as the RFCs want it, never with silence: each method here says how. It is
/// asked each time something is to be told. What the [`crate::MasterProfile`] does not take is refused before, and no handler
/// hears of it.
///
/// Handlers are called one at a time, on the runner of the stack or the arbiter of the actor ([`crate::actor`]): they must not
/// block. They may do anything with the [`crate::Dum`] that they get, and with any handle; what comes of that is told when they
/// have returned, never within.
pub trait Application: Send + 'static {
    /// Who hears of calls. Without one, INVITE is answered 405, and in a call that is there INFO and MESSAGE with 405, an offer
    /// with 488.
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        None
    }

    /// Who hears of transfers. Without one, REFER is answered 405. [`crate::MasterProfile::add_transfer`] comes first.
    fn refers(&mut self) -> Option<&mut dyn ReferHandler> {
        None
    }

    /// Who says which requests are to be authenticated. Without one, none is.
    fn server_auth(&mut self) -> Option<&mut dyn ServerAuthHandler> {
        None
    }

    /// Who hears of documents that this side publishes. Without one they are kept published all the same, and given up
    /// where another try would be refused again.
    fn client_publications(&mut self) -> Option<&mut dyn ClientPublicationHandler> {
        None
    }

    /// Who is the server of event packages. Without one, PUBLISH is answered 405. [`crate::MasterProfile::add_method`] and
    /// [`crate::MasterProfile::add_event`] come first.
    fn server_publications(&mut self) -> Option<&mut dyn ServerPublicationHandler> {
        None
    }

    /// Who hears of registrations that this side keeps. Without one they are kept all the same, and given up where another
    /// try would be refused again.
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        None
    }

    /// Who is the registrar. Without one, REGISTER is answered 405. [`crate::MasterProfile::add_method`] comes first.
    fn server_registrations(&mut self) -> Option<&mut dyn ServerRegistrationHandler> {
        None
    }

    /// Who hears of subscriptions of ours to an event package. Without one they are kept all the same, and their NOTIFYs are
    /// answered 200. [`crate::MasterProfile::add_package`] comes first.
    fn client_subscriptions(&mut self, _package: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        None
    }

    /// Who hears of subscriptions of others to an event package. Without one, SUBSCRIBE is answered 489 with
    /// Allow-Events (RFC 6665 §4.2.1.1). [`crate::MasterProfile::add_package`] comes first.
    fn server_subscriptions(&mut self, _package: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        None
    }

    /// Who hears of messages out of a dialog, sent and received. Without one, MESSAGE goes to
    /// [`Application::out_of_dialog`]. For those that are received [`crate::MasterProfile::add_method`] and
    /// [`crate::MasterProfile::add_mime_type`] come first.
    fn pager_messages(&mut self) -> Option<&mut dyn PagerMessageHandler> {
        None
    }

    /// Who hears of requests with this method that belong to no dialog and to no other handler: OPTIONS, INFO and those of
    /// extensions. Without one, OPTIONS is answered 200 with what the user agent can do (RFC 3261 §11.2), other methods
    /// 405. For methods other than OPTIONS [`crate::MasterProfile::add_method`] comes first.
    fn out_of_dialog(&mut self, _method: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
        None
    }
}
