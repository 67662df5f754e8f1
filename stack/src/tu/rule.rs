//! Which transaction user gets which request: reSIProcate's `MessageFilterRule`.

use crate::header::h;
use crate::message::Message;
use rutil::Bell;

/// A condition on requests. An empty list means "any"; all lists must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilterRule {
    /// Methods: `INVITE`.
    pub methods: Vec<String>,
    /// Schemes of the Request-URI: `sip`, `sips`, `tel`.
    pub schemes: Vec<String>,
    /// Hosts of the Request-URI, compared without regard to case.
    pub hosts: Vec<String>,
    /// Event packages of SUBSCRIBE, NOTIFY and PUBLISH; other methods match whatever stands here.
    pub events: Vec<String>,
}

/// What a transaction user wants of the stack.
#[derive(Clone, Debug, Default)]
pub struct TuOptions {
    /// Which requests it gets; the first that was registered with a rule that matches gets the request.
    pub rule: MessageFilterRule,
    /// Answer merged requests with 482 (RFC 3261 §8.2.2.2): for user agents. A proxy forwards them (§16.3).
    pub refuse_merged: bool,
    /// Send [`super::TuEvent::ClientEnded`] and [`super::TuEvent::ServerEnded`].
    pub terminations: bool,
    /// Send [`super::TuEvent::FlowEnded`].
    pub flows: bool,
    /// What it keeps is not for several shards: a stack that has more does not start
    /// ([`crate::StackError::OneShard`]).
    pub one_shard: bool,
    /// The bell of who drives it, if that is not the runner of its shard:
    /// [`crate::StackBuilder::register_tu_apart`] writes it.
    #[doc(hidden)]
    pub bell: Option<Bell>,
}

impl MessageFilterRule {
    /// Takes every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Takes requests with these methods.
    pub fn methods(methods: &[&str]) -> Self {
        MessageFilterRule { methods: methods.iter().map(ToString::to_string).collect(), ..Self::default() }
    }

    /// Whether a request matches.
    pub fn matches(&self, msg: &Message) -> bool {
        self.matches_method(msg) && self.matches_uri(msg) && self.matches_event(msg)
    }

    fn matches_method(&self, msg: &Message) -> bool {
        if self.methods.is_empty() {
            return true;
        }
        let Some(method) = msg.method() else { return false };
        // An ACK belongs to whoever takes the INVITE.
        let name = if method.as_str() == "ACK" { "INVITE" } else { method.as_str() };
        self.methods.iter().any(|m| m == name || m == method.as_str())
    }

    fn matches_uri(&self, msg: &Message) -> bool {
        if self.schemes.is_empty() && self.hosts.is_empty() {
            return true;
        }
        let Ok(uri) = msg.request_uri() else { return false };
        let scheme = self.schemes.is_empty() || self.schemes.iter().any(|s| s.eq_ignore_ascii_case(uri.scheme()));
        let host = uri.sip().map(|sip| sip.host.to_string());
        scheme
            && (self.hosts.is_empty()
                || host.is_some_and(|host| self.hosts.iter().any(|h| h.eq_ignore_ascii_case(&host))))
    }

    fn matches_event(&self, msg: &Message) -> bool {
        if self.events.is_empty() {
            return true;
        }
        match msg.header(h::EVENT) {
            Ok(event) => self.events.iter().any(|e| e.eq_ignore_ascii_case(&event.value)),
            Err(_) => !matches!(msg.method().as_ref().map(|m| m.as_str()), Some("SUBSCRIBE" | "NOTIFY" | "PUBLISH")),
        }
    }
}
