//! What became of calls, registrations, and what was asked of each node.

use std::collections::BTreeMap;
use std::fmt;

/// What became of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that were begun.
    pub calls: u64,
    /// Calls that were answered at the first attempt, and that needed more.
    pub first: u64,
    /// As said.
    pub again: u64,
    /// Calls that nobody answered, however often they were tried.
    pub lost: u64,
    /// Calls whose BYE was answered.
    pub ended: u64,
    /// Users whose REGISTER was answered 200.
    pub registered: u64,
    /// Attempts that failed: the number of the node, what was asked, and what came of it.
    pub failures: BTreeMap<(usize, &'static str, String), u64>,
    /// Calls that were answered when their caller had gone on.
    pub late: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { calls, first, again, lost, ended, registered, failures, late } = self;
        write!(
            f,
            "{calls} calls: {first} answered at once, {again} by another attempt, {lost} never, {ended} ended, {late} answered \
             too late; {registered} users registered; attempts that failed:"
        )?;
        if failures.is_empty() {
            return f.write_str(" none");
        }
        failures.iter().try_for_each(|((node, what, why), count)| write!(f, " node {node} {what} {why}: {count};"))
    }
}
