//! What passes between a node and Redis: scripts, their answers, and what those mean to who waits.

use super::Written;
use crate::store::{NotKept, Waits};

/// A script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// Changes an address-of-record.
    Change,
    /// Reads a partition.
    Read,
    /// A sign of life.
    Beat,
}

impl Script {
    /// All of them.
    pub const ALL: [Script; 3] = [Script::Change, Script::Read, Script::Beat];

    /// Its text.
    pub fn text(self) -> &'static str {
        match self {
            Script::Change => include_str!("change.lua"),
            Script::Read => include_str!("read.lua"),
            Script::Beat => include_str!("beat.lua"),
        }
    }
}

/// A script to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Which.
    pub script: Script,
    /// Its keys, all of the same hash tag.
    pub keys: Vec<String>,
    /// Its arguments.
    pub args: Vec<String>,
}

/// What a script that changes or beats has given; an error is the server's, on a connection that lives.
pub type Reply = Result<Vec<String>, String>;

/// An address-of-record with its fields and values.
pub type Entry = (String, Vec<(String, String)>);

/// Answers for the proxies, with the shard.
pub type Posts = Vec<(u16, Written)>;

/// Says what became of a change to who waits for it.
pub(super) fn tell(posts: &mut Posts, waits: Waits, status: Option<u16>) {
    let (shard, number) = match waits {
        Waits::Nobody => return,
        Waits::Register(shard, number) => (shard, number),
        Waits::Told(told) => {
            let outcome = match status {
                None => Ok(()),
                Some(500) => Err(NotKept::Overtaken),
                Some(_) => Err(NotKept::Failing),
            };
            // Who does not wait any more need not be told.
            let _ = told.try_send(outcome);
            return;
        }
    };
    let at = posts.iter().position(|(other, _)| *other == shard).unwrap_or_else(|| {
        posts.push((shard, Written { up_to: 0, refused: Vec::new() }));
        posts.len() - 1
    });
    let Some((_, written)) = posts.get_mut(at) else { return };
    written.up_to = written.up_to.max(number);
    written.refused.extend(status.map(|status| (number, status)));
}
