//! Where calls go that somebody does not take: the forwards of a user, and groups.

use super::field::{Aor, ForwardUri};
use super::record::{Fault, Record, UserRecord};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a phone rings before its call is forwarded, seconds, when the user's record does not say.
const NO_ANSWER_SECONDS: u32 = 20;
/// The longest time that a phone may ring, seconds: Timer C (RFC 3261 §16.6) ends any call after three minutes.
const MOST_SECONDS: u32 = 170;
/// The most members of a group.
const MOST_MEMBERS: usize = 32;

/// Where the calls of a user go, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwards {
    /// All calls.
    pub always: Option<ForwardUri>,
    /// When it is busy (486).
    pub busy: Option<ForwardUri>,
    /// When nobody answers in time.
    pub no_answer: Option<ForwardUri>,
    /// When no phone is registered, or none can be reached.
    pub not_registered: Option<ForwardUri>,
    /// How long its phones ring before nobody has answered.
    pub no_answer_after: Duration,
}

impl Forwards {
    /// Those of a user; `voicemail` takes what has no place of its own but is not answered.
    pub(super) fn of(user: &UserRecord) -> Option<Forwards> {
        let or_voicemail = |own: &Option<ForwardUri>| own.as_ref().or(user.voicemail.as_ref()).cloned();
        let forwards = Forwards {
            always: user.forward_always.clone(),
            busy: or_voicemail(&user.forward_busy),
            no_answer: or_voicemail(&user.forward_no_answer),
            not_registered: or_voicemail(&user.forward_not_registered),
            no_answer_after: Duration::from_secs(user.no_answer_seconds.unwrap_or(NO_ANSWER_SECONDS).into()),
        };
        let Forwards { always, busy, no_answer, not_registered, .. } = &forwards;
        let any = [always, busy, no_answer, not_registered].into_iter().any(Option::is_some);
        any.then_some(forwards)
    }
}

/// Whether what a user's record says of forwarding goes together.
pub(super) fn check(user: &UserRecord) -> Result<(), Fault> {
    let forwards = [
        ("forward_always", &user.forward_always),
        ("forward_busy", &user.forward_busy),
        ("forward_no_answer", &user.forward_no_answer),
        ("forward_not_registered", &user.forward_not_registered),
        ("voicemail", &user.voicemail),
    ];
    for (field, to) in forwards {
        if to.as_ref().is_some_and(|to| to.is(&user.aor)) {
            return Err(Fault { field, expected: "expected somebody else than the user".to_owned() });
        }
    }
    let Some(seconds) = user.no_answer_seconds else { return Ok(()) };
    let wrong = |expected: &str| Err(Fault { field: "no_answer_seconds", expected: expected.to_owned() });
    match (&user.forward_no_answer, &user.voicemail) {
        _ if !(1..=MOST_SECONDS).contains(&seconds) => wrong("expected 1 to 170"),
        (None, None) => wrong("means nothing without forward_no_answer or voicemail: set one of them too"),
        _ => Ok(()),
    }
}

/// How a group rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupMode {
    /// One member after the other.
    #[default]
    Sequential,
    /// All at once.
    Parallel,
}

/// `[[group]]`: an address whose calls go to several people. Their own forwards do not count for these calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRecord {
    /// Its address-of-record; no user has the same.
    pub aor: Aor,
    /// Who belongs to it, in the order in which they are called: users, or places elsewhere.
    pub members: Vec<ForwardUri>,
    /// How it rings.
    #[serde(default)]
    pub mode: GroupMode,
    /// How long a member rings before the next one does, and all of them before the call goes to `fallback`, seconds.
    #[serde(default = "step_seconds")]
    pub step_seconds: u32,
    /// Where its calls go that nobody took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<ForwardUri>,
}

fn step_seconds() -> u32 {
    NO_ANSWER_SECONDS
}

impl GroupRecord {
    /// How long a member rings.
    pub fn step(&self) -> Duration {
        Duration::from_secs(self.step_seconds.into())
    }
}

impl Record for GroupRecord {
    const KIND: &'static str = "group";

    fn key(&self) -> String {
        self.aor.to_string()
    }

    fn check(&self) -> Result<(), Fault> {
        let own = |uri: &ForwardUri| uri.is(&self.aor);
        let checks = [
            (self.members.is_empty(), "members", "expected at least one"),
            (self.members.len() > MOST_MEMBERS, "members", "expected 32 at most"),
            (self.members.iter().any(own), "members", "expected others than the group itself"),
            (self.fallback.as_ref().is_some_and(own), "fallback", "expected somebody else than the group itself"),
            (!(1..=MOST_SECONDS).contains(&self.step_seconds), "step_seconds", "expected 1 to 170"),
        ];
        match checks.into_iter().find(|check| check.0) {
            Some((_, field, expected)) => Err(Fault { field, expected: expected.to_owned() }),
            None => Ok(()),
        }
    }
}
