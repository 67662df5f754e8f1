//! The secret that nodes share.

use sha2::{Digest as _, Sha256};
use stack::flow_token::FlowKey;
use std::fmt;

/// What the keys are made of that are the same at each node, or at one node from start to start.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(Box<[u8]>);

impl ClusterSecret {
    /// From the text of the configuration.
    pub fn new(text: &str) -> Self {
        ClusterSecret(text.as_bytes().into())
    }

    /// A key for one purpose.
    pub(crate) fn key(&self, purpose: &str) -> (u64, u64) {
        let mut hash = Sha256::new();
        for part in [b"repro cluster".as_slice(), purpose.as_bytes(), &self.0] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let (mut one, mut two) = ([0; 8], [0; 8]);
        let digest = hash.finalize();
        one.iter_mut().chain(&mut two).zip(digest.iter()).for_each(|(to, from)| *to = *from);
        (u64::from_be_bytes(one), u64::from_be_bytes(two))
    }

    /// The key of a node's flow tokens for UDP. They name transports by number, so it is another when those are others.
    pub fn flow_key(&self, node: &str, transports: &str) -> FlowKey {
        let (one, two) = self.key(&format!("flows of {node} by {transports}"));
        FlowKey(one, two)
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_its_key_and_nothing_is_shown() {
        let secret = ClusterSecret::new("0123456789abcdef");
        assert_eq!(secret.key("a"), ClusterSecret::new("0123456789abcdef").key("a"));
        assert_ne!(secret.key("a"), secret.key("b"));
        assert_ne!(secret.key("a"), ClusterSecret::new("0123456789abcdeg").key("a"));
        assert!(secret.flow_key("a", "udp:1") != secret.flow_key("b", "udp:1"));
        assert_eq!(format!("{secret:?}"), "ClusterSecret");
    }
}
