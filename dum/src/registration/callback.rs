//! What is told of registrations.

use super::{ClientRegistration, ServerRegistration, client, server};
use crate::application::Application;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use crate::outcome::Outcome;
use stack::message::Message;
use std::sync::Arc;
use std::time::Duration;

/// What the application is to be told.
pub(crate) enum Callback {
    Success { registration: Handle<ClientRegistration>, response: Arc<Message> },
    Received { registration: Handle<ServerRegistration>, msg: Arc<Message> },
    Accepted { registration: Handle<ServerRegistration> },
    Removed { registration: Handle<ClientRegistration>, response: Arc<Message> },
    FlowFailed { registration: Handle<ClientRegistration> },
    NoOutbound { registration: Handle<ClientRegistration>, response: Arc<Message> },
    Refused { registration: Handle<ClientRegistration>, outcome: Outcome, suggested: Option<Duration> },
}

impl Callback {
    pub(crate) fn deliver(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        match self {
            Callback::Received { registration, msg } => match app.server_registrations() {
                Some(handler) => server::received(dum, handler, registration, &msg),
                None => drop(registration.reject(dum, 405, |_| {})),
            },
            Callback::Accepted { registration } => {
                if let Some(handler) = app.server_registrations() {
                    server::accepted(dum, handler, registration);
                }
            }
            Callback::Success { registration, response } => {
                if let Some(handler) = app.client_registrations() {
                    handler.on_success(dum, registration, &response);
                }
            }
            Callback::Removed { registration, response } => {
                if let Some(handler) = app.client_registrations() {
                    handler.on_removed(dum, registration, &response);
                }
            }
            Callback::FlowFailed { registration } => {
                if let Some(handler) = app.client_registrations() {
                    handler.on_flow_failed(dum, registration);
                }
            }
            Callback::NoOutbound { registration, response } => {
                if let Some(handler) = app.client_registrations() {
                    handler.on_no_outbound(dum, registration, &response);
                }
            }
            Callback::Refused { registration, outcome, suggested } => match app.client_registrations() {
                Some(handler) => {
                    let retry = handler.on_request_retry(dum, registration, &outcome, suggested);
                    let goes_on = client::decided(dum, registration, retry);
                    match registration.expires(dum) {
                        _ if goes_on => {}
                        Ok(_) => handler.on_refused(dum, registration, &outcome),
                        Err(UsageEnded) => handler.on_failure(dum, registration, &outcome),
                    }
                }
                None => drop(client::decided(dum, registration, suggested)),
            },
        }
    }
}
