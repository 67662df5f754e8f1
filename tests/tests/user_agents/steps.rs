//! What people do in many flows.

use crate::world::{ALICE, BOB, CAROL, DAVE, World, directed, sdp};
use dum::EventPackage;
use dum::invite::Session;
use stack::contents::sdp::Direction;
use stack::header::{MediaType, Method};

/// A world whose people understand transfers, messages, and what they are told of each other's calls.
pub(crate) fn able() -> World {
    World::with(|options| {
        let master = &mut options.master;
        master.add_transfer().add_option_tag("join").add_method(Method::Message);
        master.add_mime_type(Method::Message, MediaType::new("text", "plain"));
        for (package, document) in [("dialog", "dialog-info+xml"), ("conference", "conference-info+xml")] {
            master.add_package(EventPackage::new(package).with_type(MediaType::new("application", document)));
        }
    })
}

/// A call from one to another; the flow begins after it.
pub(crate) fn established(from: usize, to: usize) -> World {
    let mut world = able();
    connect(&mut world, from, to);
    world.flow();
    world
}

pub(crate) fn connect(world: &mut World, from: usize, to: usize) {
    world.call(from, to, Some(1000 * (1 + from as u16)));
    world.run(50);
    world.answer(to, 1000 * (1 + to as u16));
    world.run(100);
}

/// Who was asked last says how he goes on.
pub(crate) fn answer(world: &mut World, node: usize, direction: Direction) {
    world.run(50);
    let own = 1000 * (1 + node as u16);
    world.act(node, move |phone, dum| phone.calls[0].provide_answer(dum, &directed(own, direction))).unwrap();
    world.run(50);
}

pub(crate) fn take(world: &mut World, node: usize) {
    let own = 1000 * (1 + node as u16);
    world.act(node, move |phone, dum| {
        phone.incoming().provide_answer(dum, &sdp(own)).unwrap();
        phone.incoming().accept(dum).unwrap();
    });
    world.run(100);
}

pub(crate) fn follow(world: &mut World, node: usize) {
    let own = 1000 * (1 + node as u16);
    world.act(node, move |phone, dum| {
        let profile = phone.profile.clone();
        phone.calls.push(phone.refers[0].follow(dum, &profile, Some(&sdp(own))).unwrap().session());
    });
    world.run(50);
}

/// What is sent at one moment has no order.
pub(crate) fn sorted(mut flow: Vec<String>) -> Vec<String> {
    flow.sort();
    flow
}

pub(crate) fn all_end(mut world: World) {
    for node in [ALICE, BOB, CAROL, DAVE] {
        world.act(node, |phone, dum| {
            for call in &phone.calls {
                let _ = call.end(dum);
            }
            for watcher in &phone.watchers {
                let _ = watcher.terminate(dum, dum::subscription::TerminateReason::NoResource, None, None);
            }
        });
    }
    world.ends_clean();
}
