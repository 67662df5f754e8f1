//! Where a request goes (RFC 3261 §16.5): a target set in steps. The targets of a step are tried at the same time, the steps
//! one after the other.

use crate::config::{Fork, Forking};
use crate::forwarding::Retarget;
use crate::location::{By, Found, Located};
use crate::routing::trunk::Hop;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;
use std::time::Duration;

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its URI, and the way there.
    pub contact: Located,
    /// The trunk that it goes by.
    pub hop: Option<Box<Hop>>,
    /// How the request has come to it, when it is not what the Request-URI says.
    pub retarget: Option<Arc<Retarget>>,
}

impl Target {
    /// A contact of a trunk.
    pub fn by_trunk(hop: Hop) -> Self {
        let contact = Located { uri: hop.uri.clone(), q: 1000, by: By::Uri, older: None };
        Target { contact, hop: Some(Box::new(hop)), retarget: None }
    }

    /// The same by another way.
    pub(super) fn with(&self, contact: Located) -> Self {
        let mut other = self.clone();
        other.contact = contact;
        other
    }
}

impl From<Located> for Target {
    fn from(contact: Located) -> Self {
        Target { contact, hop: None, retarget: None }
    }
}

/// What the end of the step before must be for a step to be tried; one that is not is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Any, but a success or a 6xx.
    #[default]
    Always,
    /// Nobody could be reached: 408, 503, or what counts as one of them.
    Unavailable,
    /// 486.
    Busy,
    /// Nobody answered: 408, 480, or the step's time was over.
    NoAnswer,
}

/// How a step has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The best status of its targets; 0: there was none.
    pub(crate) code: u16,
    /// Its time was over.
    pub(crate) timed_out: bool,
}

impl When {
    pub(crate) fn holds(self, ended: Ended) -> bool {
        match self {
            When::Always => true,
            When::Unavailable => matches!(ended.code, 408 | 503) && !ended.timed_out,
            When::Busy => ended.code == 486,
            When::NoAnswer => ended.timed_out || matches!(ended.code, 408 | 480),
        }
    }
}

/// Targets that are tried at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The targets.
    pub targets: SmallVec<[Target; 1]>,
    /// After this the next step is tried; without it when all targets have failed.
    pub timeout: Option<Duration>,
    /// Whether those that have not answered then ring on beside the next step; else they are cancelled.
    pub rings_on: bool,
    /// When it is tried, if it is not the first.
    pub when: When,
}

impl Step {
    /// A step with one target.
    pub fn to(target: impl Into<Target>) -> Self {
        Step { targets: smallvec![target.into()], ..Step::default() }
    }
}

/// A target set.
pub type Steps = SmallVec<[Step; 1]>;

/// The contacts of a user, the most preferred first, as steps.
pub fn by_preference(found: Found, forking: &Forking) -> Steps {
    let mut steps = Steps::new();
    let mut last = None;
    for contact in found {
        let joins = match forking.fork {
            Fork::EqualQParallel => last == Some(contact.q),
            Fork::Parallel => last.is_some(),
            Fork::Sequential => false,
        };
        last = Some(contact.q);
        match steps.last_mut() {
            Some(step) if joins => step.targets.push(contact.into()),
            _ => steps.push(Step::to(contact)),
        }
    }
    let (timeout, others) = (forking.step_timeout(), steps.len().saturating_sub(1));
    for step in steps.iter_mut().take(others) {
        (step.timeout, step.rings_on) = (timeout, !forking.cancel_between_steps);
    }
    steps
}

/// Keeps so many targets, the first ones.
pub(super) fn truncate(steps: &mut Steps, mut most: usize) {
    for step in steps.iter_mut() {
        step.targets.truncate(most);
        most -= step.targets.len();
    }
    steps.retain(|step| !step.targets.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(qs: &[u16]) -> Found {
        qs.iter().map(|&q| Located { uri: "sip:a".into(), q, by: By::Uri, older: None }).collect()
    }

    #[test]
    fn steps_follow_preference() {
        let sizes = |fork, qs: &[u16]| {
            let forking = Forking { fork, step_seconds: 9, ..Forking::default() };
            let steps = by_preference(found(qs), &forking);
            steps.iter().map(|s| (s.targets.len(), s.timeout.map(|t| t.as_secs()))).collect::<Vec<_>>()
        };
        let qs = [900, 900, 500];
        assert_eq!(sizes(Fork::EqualQParallel, &qs), [(2, Some(9)), (1, None)]);
        assert_eq!(sizes(Fork::Sequential, &qs), [(1, Some(9)), (1, Some(9)), (1, None)]);
        assert_eq!(sizes(Fork::Parallel, &qs), [(3, None)]);
        assert_eq!(sizes(Fork::EqualQParallel, &[]), []);
    }

    #[test]
    fn the_first_targets_are_kept() {
        let left = |most| {
            let mut steps = by_preference(found(&[900, 900, 500, 400]), &Forking::default());
            truncate(&mut steps, most);
            steps.iter().map(|step| step.targets.len()).collect::<Vec<_>>()
        };
        assert_eq!((left(9), left(3), left(1)), (vec![2, 1, 1], vec![2, 1], vec![1]));
    }

    #[test]
    fn when_a_step_is_tried() {
        let holds = |when: When| {
            let at = |code, timed_out| when.holds(Ended { code, timed_out });
            ([408, 480, 486, 503, 404].map(|code| at(code, false)), at(0, true))
        };
        assert_eq!(holds(When::Always), ([true; 5], true));
        assert_eq!(holds(When::Unavailable), ([true, false, false, true, false], false));
        assert_eq!(holds(When::Busy), ([false, false, true, false, false], false));
        assert_eq!(holds(When::NoAnswer), ([true, true, false, false, false], true));
    }
}
