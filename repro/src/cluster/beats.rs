//! Signs of life: what each node says of itself each second, and who is gone by what it hears of the others.

use super::DEAD_AFTER_MS;
use super::command::{Command, Script};
use super::sharer::{SETTLED, Sharer};
use rutil::Time;

/// What stands behind the life of a node that drains.
const DRAINS: &str = " drains";

impl Sharer {
    /// A sign of life, each second; [`Sharer::on_beaten`] gets what the others gave. Those that stand by give it to each
    /// other: the channel is not silent, and nobody takes them for nodes. One that leaves gives it as from so long ago that
    /// it counts as gone, and one that drains says that with it.
    pub fn beat(&self, now: Time) -> Command {
        let own = self.cluster.own();
        // Those that lost Redis with this node hear it again by then.
        let they_listen = self.cluster.is_connected() && self.connected_at + SETTLED <= now;
        let told = self.cluster.say_told(they_listen).unwrap_or_else(|| "[]".to_owned());
        let nodes = if self.passive { "standby" } else { "nodes" };
        let ago = if self.leaving { DEAD_AFTER_MS } else { 0 };
        let life = format!("{}{}", own.life, if self.draining { DRAINS } else { "" });
        let args = vec![own.node.to_owned(), life, self.channel(), told, ago.to_string()];
        Command { script: Script::Beat, keys: vec![format!("{}:{nodes}", self.name)], args }
    }

    /// What all nodes gave. That a sign of life was written says that Redis takes something.
    pub fn on_beaten(&mut self, told: &[String], now: Time) {
        self.cluster.is_said();
        if self.leaving {
            self.cluster.has_left();
        }
        if self.passive {
            self.tell_untold(now);
            return;
        }
        self.own.append(&mut self.later);
        let triples = told.as_chunks::<3>().0;
        let own = self.cluster.own();
        for node in own.nodes.all() {
            let known = triples.iter().find(|[name, ..]| **name == *node.name());
            let (silent, life) = match known {
                Some([_, silent, life]) => {
                    let draining = life.strip_suffix(DRAINS);
                    node.set_draining(draining.is_some());
                    (silent.parse().unwrap_or(u64::MAX), draining.unwrap_or(life).parse().unwrap_or(0))
                }
                // A Redis that was emptied has forgotten it; if it lives it says so.
                None => (node.silent_ms().saturating_add(1_000), node.life()),
            };
            if *node.name() == *own.node {
                if life != own.life && life != 0 {
                    tracing::error!(node = own.node, "another node has the same name: cluster.node must differ");
                }
                node.note(0, own.life);
            } else if node.note(silent, life) {
                match node.is_alive() {
                    true => {
                        tracing::info!(node = node.name(), "a node is back");
                        self.is_back = true;
                    }
                    false => tracing::warn!(node = node.name(), silent_ms = silent, "a node is gone"),
                }
            }
        }
        for [name, ..] in triples {
            own.nodes.node(name);
        }
        own.nodes.forget();
        self.look_at_lives();
        self.tell_untold(now);
    }

    /// Tells what has expired and nobody has told.
    fn tell_untold(&self, now: Time) {
        for (aor, binding) in self.cluster.untold(self.connected_at, now) {
            if let Some(accounting) = self.server.accounting() {
                accounting.tell_expired(&aor, binding, now);
            }
        }
    }
}
