//! The tables `[chains]` and `[forking]`.

use serde::Deserialize;
use std::time::Duration;

/// Which processors are asked, in this order. A chain that is not named has all processors there are, in their own order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chains {
    /// For requests.
    pub request: Option<Vec<String>>,
    /// For each target of a request.
    pub target: Option<Vec<String>>,
    /// For responses.
    pub response: Option<Vec<String>>,
}

impl Chains {
    /// Whether passwords are asked for where they are required.
    pub(super) fn asks_for_passwords(&self) -> bool {
        self.request.as_ref().is_none_or(|names| names.iter().any(|name| name == "digest-authenticator"))
    }
}

/// Which of a user's contacts are tried at the same time (RFC 3261 §16.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fork {
    /// Those of equal preference.
    #[default]
    EqualQParallel,
    /// One after the other.
    Sequential,
    /// All.
    Parallel,
}

/// How a request goes to several contacts of a user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Forking {
    /// Which are tried at the same time.
    pub fork: Fork,
    /// After how long without an answer the next are tried, seconds. 0: when all of those before have failed.
    pub step_seconds: u64,
    /// Whether those that have not answered are cancelled then, or ring on.
    pub cancel_between_steps: bool,
}

impl Default for Forking {
    fn default() -> Self {
        Forking { fork: Fork::default(), step_seconds: 0, cancel_between_steps: true }
    }
}

impl Forking {
    /// After how long the next targets are tried.
    pub fn step_timeout(&self) -> Option<Duration> {
        (self.step_seconds > 0).then(|| Duration::from_secs(self.step_seconds))
    }
}
