//! What is told of publications.

use super::{ClientPublication, ServerPublication, client, server};
use crate::application::Application;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use crate::outcome::Outcome;
use stack::message::Message;
use std::sync::Arc;
use std::time::Duration;

/// What the application is to be told.
pub(crate) enum Callback {
    Success { publication: Handle<ClientPublication>, response: Arc<Message> },
    Removed { publication: Handle<ClientPublication>, response: Option<Arc<Message>> },
    Refused { publication: Handle<ClientPublication>, outcome: Outcome, suggested: Option<Duration> },
    Received { publication: Handle<ServerPublication>, msg: Arc<Message> },
    Accepted { publication: Handle<ServerPublication> },
}

impl Callback {
    pub(crate) fn deliver(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        match self {
            Callback::Received { publication, msg } => match app.server_publications() {
                Some(handler) => server::received(dum, handler, publication, &msg),
                None => drop(publication.reject(dum, 405, |_| {})),
            },
            Callback::Accepted { publication } => {
                if let Some(handler) = app.server_publications() {
                    server::accepted(dum, handler, publication);
                }
            }
            Callback::Success { publication, response } => {
                if let Some(handler) = app.client_publications() {
                    handler.on_success(dum, publication, &response);
                }
            }
            Callback::Removed { publication, response } => {
                if let Some(handler) = app.client_publications() {
                    handler.on_removed(dum, publication, response.as_deref());
                }
            }
            Callback::Refused { publication, outcome, suggested } => match app.client_publications() {
                Some(handler) => {
                    let retry = handler.on_request_retry(dum, publication, &outcome, suggested);
                    let goes_on = client::decided(dum, publication, retry);
                    match dum.core.client_publications.get(publication) {
                        _ if goes_on => {}
                        Ok(_) => handler.on_refused(dum, publication, &outcome),
                        Err(UsageEnded) => handler.on_failure(dum, publication, &outcome),
                    }
                }
                None => {
                    client::decided(dum, publication, suggested);
                }
            },
        }
    }
}
