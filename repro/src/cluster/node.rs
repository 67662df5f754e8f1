//! The nodes that share the location service, and which of them live.

use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Most nodes that are known at a time; those that are more are taken for dead.
const MOST_NODES: usize = 256;

/// How long after its last sign of life a node is forgotten, milliseconds: a day, as in Redis.
const FORGOTTEN_AFTER_MS: u64 = 86_400_000;

/// How long after its last sign of life a node counts as dead, milliseconds. They give one each second.
pub const DEAD_AFTER_MS: u64 = 3_500;

/// A node.
#[derive(Debug)]
pub struct Node {
    name: Box<str>,
    alive: AtomicBool,
    /// It lives, and takes nothing new.
    draining: AtomicBool,
    /// The life that it lives: another one after each start; 0 before that is known.
    life: AtomicU64,
    /// Milliseconds since its last sign of life.
    silent: AtomicU64,
}

impl Node {
    /// A node of which nothing is known but its name: it gets the benefit of the doubt.
    pub fn new(name: &str) -> Self {
        let (life, silent) = (AtomicU64::new(0), AtomicU64::new(0));
        Node { name: name.into(), alive: AtomicBool::new(true), draining: AtomicBool::new(false), life, silent }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it gives signs of life.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// Whether it finishes what it has, and refuses what is new.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }

    /// The life that it lives, if that is known.
    pub fn life(&self) -> u64 {
        self.life.load(Ordering::Relaxed)
    }

    /// Milliseconds between its last sign of life and the last look.
    pub fn silent_ms(&self) -> u64 {
        self.silent.load(Ordering::Relaxed)
    }

    /// Notes when it gave its last sign of life, and says whether it is alive now and was not, or the other way round.
    pub(super) fn note(&self, silent_ms: u64, life: u64) -> bool {
        self.life.store(life, Ordering::Relaxed);
        self.silent.store(silent_ms, Ordering::Relaxed);
        let alive = silent_ms < DEAD_AFTER_MS;
        self.alive.swap(alive, Ordering::Relaxed) != alive
    }
}

/// Nodes are told apart by their names.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.name == other.name
    }
}

impl Eq for Node {}

/// The way to a device whose flow ends at another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// That node.
    pub node: Arc<Node>,
    /// The life of the node that the flow ends with; 0: it outlives the process, as one over UDP does.
    pub life: u64,
    /// The Route that leads to it, with a token for the flow.
    pub route: Arc<str>,
}

impl Hop {
    /// Whether the node lives, and the flow may be there.
    pub fn is_alive(&self) -> bool {
        let life = self.node.life();
        self.node.is_alive() && (self.life == 0 || life == 0 || self.life == life)
    }

    /// Whether a request gets there that belongs to no dialog: a node that drains refuses it.
    pub fn takes_new(&self) -> bool {
        self.is_alive() && !self.node.is_draining()
    }
}

/// All nodes that are known.
#[derive(Debug, Default)]
pub struct Nodes(RwLock<Vec<Arc<Node>>>);

impl Nodes {
    /// The node of a name.
    pub fn node(&self, name: &str) -> Arc<Node> {
        if let Some(node) = self.0.read().iter().find(|node| *node.name == *name) {
            return node.clone();
        }
        let (mut all, new) = (self.0.write(), Arc::new(Node::new(name)));
        if all.len() < MOST_NODES {
            all.push(new.clone());
        } else {
            new.note(DEAD_AFTER_MS, 0);
        }
        new
    }

    /// Forgets those that have been silent for a day and that no binding leads to.
    pub(super) fn forget(&self) {
        // The one count is the list's own.
        let is_used = |node: &Arc<Node>| node.silent_ms() < FORGOTTEN_AFTER_MS || Arc::strong_count(node) > 1;
        self.0.write().retain(is_used);
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> Vec<Arc<Node>> {
        let mut all = self.0.read().clone();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_alive_with_its_node_and_the_life_of_its_flow() {
        let nodes = Nodes::default();
        let hop = |life| Hop { node: nodes.node("a"), life, route: "<sip:a;lr>".into() };
        assert!(hop(7).is_alive() && hop(0).is_alive(), "nothing is known of it");
        assert!(!nodes.node("a").note(0, 7));
        assert!(hop(7).is_alive() && hop(0).is_alive());
        assert!(!nodes.node("a").note(0, 8));
        assert!(!hop(7).is_alive() && hop(0).is_alive(), "its connections ended with the process");
        assert!(nodes.node("a").note(DEAD_AFTER_MS, 8));
        assert!(!hop(8).is_alive() && !hop(0).is_alive());
    }

    #[test]
    fn a_node_that_drains_lives_and_takes_nothing_new() {
        let hop = Hop { node: Nodes::default().node("a"), life: 7, route: "<sip:a;lr>".into() };
        assert!(hop.is_alive() && hop.takes_new());
        hop.node.set_draining(true);
        assert!(hop.is_alive() && !hop.takes_new());
        hop.node.set_draining(false);
        hop.node.note(DEAD_AFTER_MS, 7);
        assert!(!hop.takes_new());
    }

    #[test]
    fn nodes_are_bounded() {
        let nodes = Nodes::default();
        (0..MOST_NODES).for_each(|n| assert!(nodes.node(&n.to_string()).is_alive()));
        assert!(!nodes.node("more").is_alive());
        assert_eq!(nodes.all().len(), MOST_NODES);
        // Those that are gone for good make room, but for one that a binding leads to.
        let held = nodes.node("0");
        for node in nodes.all().iter().take(100) {
            node.note(FORGOTTEN_AFTER_MS, 1);
        }
        nodes.forget();
        assert_eq!(nodes.all().len(), MOST_NODES - 99);
        assert!(nodes.node("more").is_alive() && !held.is_alive());
    }
}
