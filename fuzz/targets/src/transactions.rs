//! Sequences of events for the transactions of one shard, in virtual time.

mod peer;
mod script;
mod user;
mod world;

use script::Script;
use world::World;

/// Most steps of one input.
const MOST_STEPS: usize = 200;

/// The octets are a script: requests, responses, garbage, transport failures, commands of the transaction user and
/// time, in any order, for a core whose transports are played here. Each client transaction ends with one final
/// answer (an INVITE with any number of 2xx), nothing is heard of a transaction after its end, all that goes out is
/// well formed, and when all timers have fired nothing is left.
pub fn transactions(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&mut script);
    for _ in 0..MOST_STEPS {
        if script.is_empty() {
            break;
        }
        world.step(&mut script);
    }
    world.finish();
}
