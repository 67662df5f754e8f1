//! Where actors run, as a value.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

/// How the actors are spread over runners. The actors are the same in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Placement {
    /// All on one runner: tests, simulation, boxes with one core. Written `inline`.
    #[default]
    Inline,
    /// So many runners, each with a whole chain (its own sockets, scanner, transactions, timers and transaction
    /// users). What belongs to another shard is handed over once. Written `sharded:4`.
    Sharded(NonZeroU16),
    /// Network and core on different runners, as reSIProcate's multithreaded stack: for measurement, and for a slow
    /// transaction user. Each message crosses threads. Written `staged`.
    Staged,
}

/// Not a placement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no placement: say inline, sharded:N with N from 1 to 65535, or staged")]
pub struct PlacementError(String);

impl Placement {
    /// How many chains of actors there are: N for `Sharded(N)`, otherwise 1.
    pub const fn shards(self) -> u16 {
        match self {
            Placement::Inline | Placement::Staged => 1,
            Placement::Sharded(n) => n.get(),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placement::Inline => f.write_str("inline"),
            Placement::Sharded(n) => write!(f, "sharded:{n}"),
            Placement::Staged => f.write_str("staged"),
        }
    }
}

impl FromStr for Placement {
    type Err = PlacementError;
    fn from_str(s: &str) -> Result<Self, PlacementError> {
        match s {
            "inline" => Ok(Placement::Inline),
            "staged" => Ok(Placement::Staged),
            _ => s
                .strip_prefix("sharded:")
                .and_then(|n| n.parse().ok())
                .map(Placement::Sharded)
                .ok_or_else(|| PlacementError(s.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, shards) in [("inline", 1), ("sharded:1", 1), ("sharded:65535", 65535), ("staged", 1)] {
            let placement: Placement = text.parse().unwrap();
            assert_eq!((placement.to_string().as_str(), placement.shards()), (text, shards));
        }
    }

    #[test]
    fn refuses_the_rest_and_names_it() {
        for text in ["", "Inline", "sharded", "sharded:", "sharded:0", "sharded:65536", "sharded:-1", "staged:2"] {
            let error = text.parse::<Placement>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
