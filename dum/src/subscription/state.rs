//! What Event and Subscription-State say (RFC 6665 §8.2).

use stack::header::{HeaderError, Token, h, p};
use stack::message::Message;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Which events: a package and, where one dialog has several subscriptions to it, an id. Both are compared octet by octet
/// (RFC 6665 §8.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) package: Arc<str>,
    id: Option<Box<str>>,
}

impl EventId {
    /// The events of a message.
    pub(crate) fn of(msg: &Message) -> Result<Self, HeaderError> {
        let event = msg.header(h::EVENT)?;
        Ok(EventId { package: (&*event.value).into(), id: event.param(p::ID).map(Into::into) })
    }

    /// Whether a message is about the same events.
    pub(crate) fn matches(&self, msg: &Message) -> bool {
        msg.header(h::EVENT)
            .is_ok_and(|event| *event.value == *self.package && event.param(p::ID) == self.id.as_deref())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.package)?;
        self.id.as_ref().map_or(Ok(()), |id| write!(f, ";id={id}"))
    }
}

/// Whether a subscription is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionState {
    /// It waits for somebody to allow it.
    Pending,
    /// It is allowed.
    Active,
}

impl SubscriptionState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            SubscriptionState::Pending => "pending",
            SubscriptionState::Active => "active",
        }
    }
}

/// Why a notifier ends a subscription (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TerminateReason {
    /// The notifier cannot keep it; another one may be asked at once.
    Deactivated,
    /// Not now; after the given time.
    Probation,
    /// It is not allowed.
    Rejected,
    /// It was not refreshed.
    Timeout,
    /// Nobody has said in time whether it is allowed.
    Giveup,
    /// What was subscribed to is not there any more.
    NoResource,
    /// What was subscribed to will not change any more.
    Invariant,
    /// No reason, or one that nobody knows.
    Unknown,
}

/// Reasons with their names.
const REASONS: [(TerminateReason, &str); 7] = [
    (TerminateReason::Deactivated, "deactivated"),
    (TerminateReason::Probation, "probation"),
    (TerminateReason::Rejected, "rejected"),
    (TerminateReason::Timeout, "timeout"),
    (TerminateReason::Giveup, "giveup"),
    (TerminateReason::NoResource, "noresource"),
    (TerminateReason::Invariant, "invariant"),
];

/// How long a subscriber waits when it is told to wait and not for how long.
const SOME_TIME: Duration = Duration::from_secs(60);

impl TerminateReason {
    /// Its name in Subscription-State; none for an unknown one.
    pub fn as_str(self) -> Option<&'static str> {
        REASONS.iter().find(|(reason, _)| *reason == self).map(|(_, name)| *name)
    }

    /// When a subscriber may try once more, and whether (RFC 6665 §4.1.3).
    pub(crate) fn retry(self, retry_after: Option<u32>) -> Option<Duration> {
        let told = retry_after.map(|seconds| Duration::from_secs(seconds.into()));
        match self {
            TerminateReason::Deactivated | TerminateReason::Timeout => Some(Duration::ZERO),
            TerminateReason::Probation | TerminateReason::Giveup => Some(told.unwrap_or(SOME_TIME)),
            TerminateReason::Unknown => Some(told.unwrap_or_default()),
            TerminateReason::Rejected | TerminateReason::NoResource | TerminateReason::Invariant => None,
        }
    }
}

/// What a NOTIFY says of its subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notified {
    Live { state: Option<SubscriptionState>, expires: Option<u32> },
    Terminated { reason: TerminateReason, retry_after: Option<u32> },
}

impl Notified {
    /// Reads Subscription-State; a state that nobody knows is live (RFC 6665 §4.1.3: as active as can be).
    pub(crate) fn of(msg: &Message) -> Result<Self, HeaderError> {
        let value: Token<'_> = msg.header(h::SUBSCRIPTION_STATE)?;
        if value.is("terminated") {
            let name = value.param(p::REASON).unwrap_or_default();
            let known = REASONS.iter().find(|(_, known)| name.eq_ignore_ascii_case(known));
            let reason = known.map_or(TerminateReason::Unknown, |(reason, _)| *reason);
            return Ok(Notified::Terminated { reason, retry_after: value.param(p::RETRY_AFTER) });
        }
        let states = [SubscriptionState::Pending, SubscriptionState::Active];
        let state = states.into_iter().find(|state| value.is(state.as_str()));
        Ok(Notified::Live { state, expires: value.param(p::EXPIRES) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::header::Method;

    fn notify(event: &str, state: &str) -> Message {
        let mut msg = Message::request(&Method::Notify, "sip:a");
        msg.set(h::EVENT, event);
        msg.set(h::SUBSCRIPTION_STATE, state);
        msg
    }

    #[test]
    fn events_match_octet_by_octet_and_an_id_matches_no_missing_one() {
        let id = |event: &str| EventId::of(&notify(event, "active")).unwrap();
        let matches = |one: &str, other: &str| id(one).matches(&notify(other, "active"));
        assert!(matches("presence", "presence;x=y") && matches("dialog;id=7", "dialog;id=7"));
        let others = [("presence", "Presence"), ("presence", "presence.winfo"), ("dialog;id=7", "dialog")];
        assert!(others.iter().all(|(one, other)| !matches(one, other) && !matches(other, one)));
        assert_eq!(id("dialog;x;id=7").to_string(), "dialog;id=7");
        assert!(EventId::of(&Message::request(&Method::Notify, "sip:a")).is_err());
    }

    #[test]
    fn each_state_and_reason_is_told_apart() {
        use TerminateReason::*;
        let live = |state, expires| Notified::Live { state, expires };
        let over = |reason, retry_after| Notified::Terminated { reason, retry_after };
        for (text, expected) in [
            ("Active;expires=60", live(Some(SubscriptionState::Active), Some(60))),
            ("pending", live(Some(SubscriptionState::Pending), None)),
            ("waiting;expires=x", live(None, None)),
            ("terminated", over(Unknown, None)),
            ("terminated;reason=whim;retry-after=5", over(Unknown, Some(5))),
            ("terminated;reason=Probation;retry-after=99999999999", over(Probation, Some(u32::MAX))),
            ("terminated;reason=noresource", over(NoResource, None)),
        ] {
            assert_eq!(Notified::of(&notify("x", text)), Ok(expected), "{text}");
        }
        assert!(Notified::of(&Message::request(&Method::Notify, "sip:a")).is_err());
    }

    #[test]
    fn reasons_say_whether_to_try_again() {
        use TerminateReason::*;
        let wait = |reason: TerminateReason| reason.retry(Some(7)).map(|wait| wait.as_secs());
        let all = [Deactivated, Probation, Rejected, Timeout, Giveup, NoResource, Invariant, Unknown];
        let expected = [Some(0), Some(7), None, Some(0), Some(7), None, None, Some(7)];
        assert_eq!(all.map(wait), expected);
        assert_eq!(Probation.retry(None), Some(SOME_TIME));
        assert_eq!(all.map(TerminateReason::as_str)[6..], [Some("invariant"), None]);
    }
}
