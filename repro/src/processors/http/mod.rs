//! Asks an external service over HTTP what becomes of a request.
//!
//! ```text
//!   request ──► question (JSON) ──► HttpService ──► the service
//!      │ parked                                         │
//!      └──◄── decision ◄── Inquiry::answer ◄── JSON ◄───┘
//! ```
//!
//! The sockets are the program's: it gives an [`HttpService`].

mod decision;
mod question;

pub use decision::{BadDecision, Decision, Edits};

use super::{Processor, ProcessorResult};
use crate::config;
use crate::location::is_sips;
use crate::proxy::{NotTaken, RequestContext, Verb, Waiter};
use stack::header::h;
use std::any::Any;
use std::time::Duration;

/// How much longer a request waits than the client: the client's time-out is an answer too, and says more.
const MARGIN: Duration = Duration::from_secs(1);

/// Where questions are asked.
pub trait HttpService: Send + Sync {
    /// Asks. It must not block, and gives the answer later, from any thread.
    ///
    /// # Errors
    /// When too many questions are under way.
    fn ask(&self, inquiry: Inquiry) -> Result<(), Busy>;
}

/// Too many questions are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many questions are under way")]
pub struct Busy;

/// A question on its way. Who drops it without an answer leaves the request to its time.
pub struct Inquiry {
    /// What is sent: a JSON object.
    pub question: Vec<u8>,
    waiter: Waiter,
}

impl Inquiry {
    /// Gives the answer, or none when the service has failed.
    ///
    /// # Errors
    /// When the proxy is too busy to take it, or has stopped; later it may be given again.
    pub fn answer(&self, decision: Option<Decision>) -> Result<(), NotTaken> {
        self.waiter.answer(decision)
    }
}

/// Asks the service about each request outside of dialogs, but ACK and CANCEL.
pub struct HttpProcessor {
    service: Box<dyn HttpService>,
    headers: Box<[String]>,
    fail_open: bool,
    patience: Duration,
}

impl HttpProcessor {
    /// Asks `service` in the way that the configuration says.
    pub fn new(config: &config::Http, service: impl HttpService + 'static) -> Self {
        HttpProcessor {
            service: Box::new(service),
            headers: config.headers.as_slice().into(),
            fail_open: config.fail_open,
            patience: config.timeout() + MARGIN,
        }
    }

    /// There is no decision.
    fn without(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if self.fail_open {
            return ProcessorResult::Continue;
        }
        context.respond_with(503, |response| response.append_line("Retry-After", "5"))
    }
}

impl Processor for HttpProcessor {
    fn name(&self) -> &'static str {
        "http"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if !context.is_initial() || matches!(context.verb, Verb::Ack | Verb::Cancel) {
            return ProcessorResult::Continue;
        }
        let question = question::write(context, &self.headers);
        let waiter = context.wait(self.patience);
        match self.service.ask(Inquiry { question, waiter }) {
            Ok(()) => ProcessorResult::WaitingForEvent,
            Err(busy) => {
                tracing::debug!(%busy, open = self.fail_open, "the HTTP service is not asked");
                self.without(context)
            }
        }
    }

    fn resume(&self, context: &mut RequestContext<'_, '_>, answer: Option<Box<dyn Any + Send>>) -> ProcessorResult {
        let decision = answer.and_then(|answer| answer.downcast::<Option<Decision>>().ok());
        match decision.and_then(|decision| *decision) {
            Some(decision) => carry_out(decision, context),
            None => self.without(context),
        }
    }
}

fn carry_out(decision: Decision, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
    match decision {
        Decision::Continue(edits) => {
            edits.apply(&mut context.request);
            ProcessorResult::Continue
        }
        Decision::Reject { code, reason: Some(reason) } => context.respond_reason(code, &reason),
        Decision::Reject { code, reason: None } => context.respond(code),
        Decision::Redirect(contacts) => context.respond_with(302, |response| {
            contacts.iter().for_each(|contact| response.push_back(h::CONTACTS, &format_args!("<{contact}>")));
        }),
        Decision::Targets(mut steps, edits) => {
            // RFC 5630 §5.3: what was sent to a sips URI goes to nobody who would get it in clear.
            if context.request.is_sips() {
                steps.iter_mut().for_each(|step| step.targets.retain(|target| is_sips(&target.contact.uri)));
                steps.retain(|step| !step.targets.is_empty());
            }
            if steps.is_empty() {
                tracing::info!("the HTTP service has sent a request for a sips URI to others only");
                return context.respond(480);
            }
            edits.apply(&mut context.request);
            // It goes there, whatever way its sender wanted.
            context.request.remove(h::ROUTES);
            (context.steps, context.flow, context.route) = (steps, None, None);
            ProcessorResult::SkipThisChain
        }
    }
}
