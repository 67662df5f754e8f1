//! How a request of ours was answered.

use stack::message::Message;
use stack::tu::NoResponse;
use std::sync::Arc;

/// A response, or what stands for one that never came (RFC 3261 §8.1.3.1).
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The status: 408 when no answer came in time, 503 when the request could not be sent, 487 when the
    /// early dialog that it is of is over before.
    pub status: u16,
    /// The response; none when none came.
    pub response: Option<Arc<Message>>,
    /// Why none came, where the stack says it.
    pub failure: Option<NoResponse>,
}

impl Outcome {
    pub(crate) fn of(response: impl Into<Arc<Message>>) -> Self {
        let response = response.into();
        Outcome { status: response.status().unwrap_or(500), response: Some(response), failure: None }
    }

    pub(crate) fn none(reason: NoResponse) -> Self {
        Outcome { status: reason.status(), response: None, failure: Some(reason) }
    }

    /// Whether more is to come: 1xx.
    pub fn is_provisional(&self) -> bool {
        self.status < 200
    }

    /// Whether it is a 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
