//! What is told of registrations.

use super::{ClientRegistration, client};
use crate::application::Application;
use crate::dum::Dum;
use crate::handle::Handle;
use crate::outcome::Outcome;
use stack::message::Message;
use std::sync::Arc;
use std::time::Duration;

/// What the application is to be told.
pub(crate) enum Callback {
    Success { registration: Handle<ClientRegistration>, response: Arc<Message> },
    Removed { registration: Handle<ClientRegistration> },
    Refused { registration: Handle<ClientRegistration>, outcome: Outcome, suggested: Option<Duration> },
}

impl Callback {
    pub(crate) fn deliver(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        let handler = app.client_registrations();
        match (self, handler) {
            (Callback::Success { registration, response }, Some(handler)) => {
                handler.on_success(dum, registration, &response);
            }
            (Callback::Removed { registration }, Some(handler)) => handler.on_removed(dum, registration),
            (Callback::Refused { registration, outcome, suggested }, Some(handler)) => {
                let retry = handler.on_request_retry(dum, registration, &outcome, suggested);
                if !client::decided(dum, registration, retry) {
                    handler.on_failure(dum, registration, &outcome);
                }
            }
            (Callback::Refused { registration, suggested, .. }, None) => {
                client::decided(dum, registration, suggested);
            }
            (_, None) => {}
        }
    }
}
