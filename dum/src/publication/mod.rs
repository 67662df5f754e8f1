//! Publications (RFC 3903): a [`ClientPublication`] keeps a document published, a [`ServerPublication`] is a PUBLISH that
//! the server of an event package answers.

mod callback;
pub(crate) mod client;
mod machine;
pub(crate) mod server;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use callback::Callback;
pub use client::ClientPublication;
pub use server::{PublicationLimits, ServerPublication};
pub use store::{Document, MemoryPublications, NotPublished, PublicationPersistence, Resource};

use crate::dum::Dum;
use crate::handle::Handle;
use crate::outcome::Outcome;
use stack::message::Message;
use std::time::Duration;

/// Hears of documents that this side publishes.
pub trait ClientPublicationHandler {
    /// The server has answered with 2xx: to the first PUBLISH, to each refresh and each update.
    fn on_success(&mut self, _dum: &mut Dum<'_>, _publication: Handle<ClientPublication>, _response: &Message) {}

    /// What [`Handle::end`] asked for is done; the usage has ended. `response` is what says so, a 2xx or 412, if anything had
    /// been published.
    fn on_removed(&mut self, _dum: &mut Dum<'_>, _publication: Handle<ClientPublication>, _response: Option<&Message>) {
    }

    /// A request was refused or not answered, or is granted for no time: after how long it is tried again, and none to give up. `suggested` is as with
    /// [`crate::registration::ClientRegistrationHandler::on_request_retry`], and taken by default. A 412 is not told: what
    /// the server has forgotten is published anew.
    fn on_request_retry(
        &mut self,
        _dum: &mut Dum<'_>,
        _publication: Handle<ClientPublication>,
        _outcome: &Outcome,
        suggested: Option<Duration>,
    ) -> Option<Duration> {
        suggested
    }

    /// An update was given up alone: what was published before is kept as it is (`Handle<ClientPublication>::document`).
    fn on_refused(&mut self, _dum: &mut Dum<'_>, _publication: Handle<ClientPublication>, _outcome: &Outcome) {}

    /// It was given up; the usage has ended.
    fn on_failure(&mut self, _dum: &mut Dum<'_>, _publication: Handle<ClientPublication>, _outcome: &Outcome) {}
}

/// Is the server of event packages (RFC 3903 §6): those that the master profile knows
/// ([`crate::MasterProfile::add_event`]). Each method is called with a PUBLISH that may be accepted, and is to answer by
/// [`Handle::accept`] or [`Handle::reject`], now or within 32 s; the default accepts.
pub trait ServerPublicationHandler {
    /// Where the documents are kept.
    fn persistence(&mut self) -> &mut dyn PublicationPersistence;

    /// For how long a document is published, and how large it may be.
    fn limits(&self) -> PublicationLimits {
        PublicationLimits::default()
    }

    /// A document is published for the first time.
    fn on_initial(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>, _publish: &Message) {
        let _ = publication.accept(dum, |_| {});
    }

    /// A document stays as it is, for longer.
    fn on_refresh(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>, _publish: &Message) {
        let _ = publication.accept(dum, |_| {});
    }

    /// A document takes the place of the one before.
    fn on_update(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>, _publish: &Message) {
        let _ = publication.accept(dum, |_| {});
    }

    /// A document is removed.
    fn on_removed(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>, _publish: &Message) {
        let _ = publication.accept(dum, |_| {});
    }
}
