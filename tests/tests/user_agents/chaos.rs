//! Three user agents whose people do anything at any time, on a network that loses, repeats and delays, some of whose calls
//! and subscriptions a proxy forks, and with a registrar and event server that refuses, forgets and is out of reach at times.
//! Some calls are sent elsewhere, where most callers follow (`redirects.rs`), and everybody asks for passwords (`challenges.rs`).
//! Now and then somebody cannot be reached, which the transport says at once, or by a name that leads nowhere (`unsent.rs`).
//! Each of them lacks something that others can do, and each call has reliable responses and a session time of its own.
//! Whatever happens, both sides agree on which calls and subscriptions there are, on what was agreed and told in them, on where
//! the other side is found and on how calls have ended (`ends.rs`); the registrar has what its users have there; each usage
//! ends once on each side, and nothing is left.
//!
//! A seed that fails is run again with `SIM_SEED=<seed> cargo test -p tests --test user_agents chaos`, and
//! `SIM_CALLS=<calls>` says how many calls one seed has.

use crate::challenges::{Gate, Guard, credentials};
use crate::desk::{Desk, EVENT};
use crate::ends;
use crate::people::{Habits, act, fitting, next_document, refuse};
use crate::unsent::{self, Goodbye};
use crate::world::{ALICE, BOB, CAROL, DAVE, PROXY, World};
use dum::invite::{InviteSession, Session};
use dum::subscription::{SubscriptionState, TerminateReason};
use dum::{DialogUsage, DumOptions, EventPackage, Handle};
use repro::processors::Processors;
use rutil::Rng;
use stack::contents::event::EventDocument;
use stack::contents::sdp::Sdp;
use stack::header::{MediaType, Method, p};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A call that is answered, as one side of it knows it: Call-ID, tag and description of this side, of the other.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    call_id: String,
    local: (String, Option<String>),
    remote: (String, Option<String>),
}

impl Known {
    /// As the other side is to know it.
    fn other(&self) -> Known {
        Known { call_id: self.call_id.clone(), local: self.remote.clone(), remote: self.local.clone() }
    }
}

/// The calls that are answered, as all sides know them.
fn known(world: &mut World) -> Vec<Known> {
    let all = [ALICE, BOB, CAROL].into_iter().flat_map(|node| {
        world.act(node, |phone, dum| {
            let answered = phone.calls.iter().filter(|call| call.is_connected(dum));
            let known = |call: &Handle<InviteSession>| {
                let names = call.replaces(dum).expect("it has a dialog");
                let tag = |tag: Option<&str>| tag.unwrap_or_default().to_owned();
                let text = |sdp: Option<Sdp>| sdp.map(|sdp| String::from_utf8_lossy(&sdp.print()).into_owned());
                Known {
                    call_id: names.call_id.as_str().to_owned(),
                    local: (tag(names.param(p::FROM_TAG)), text(call.local_sdp(dum))),
                    remote: (tag(names.param(p::TO_TAG)), text(call.remote_sdp(dum))),
                }
            };
            answered.map(known).collect::<Vec<_>>()
        })
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// What is told in subscriptions: by those who tell it, and to those who are told. All of it is told anew, and all who are told
/// ask whether they still are.
fn told(world: &mut World) -> [Vec<(String, u32)>; 2] {
    let all = [ALICE, BOB, CAROL];
    let watchers = |world: &mut World| all.map(|node| world.act(node, |phone, _| phone.watchers.len()));
    let before = watchers(world);
    let mut told: Vec<_> = all
        .map(|node| {
            world.act(node, |phone, dum| {
                let mut told = Vec::new();
                for watcher in phone.watchers.clone() {
                    let document = next_document(phone, watcher);
                    if watcher.notify(dum, SubscriptionState::Active, Some(&document.to_contents())).is_ok() {
                        told.push((watcher, (document.entity, document.version)));
                    }
                }
                for subscription in phone.watching.subscriptions.keys() {
                    let _ = subscription.refresh(dum);
                }
                told
            })
        })
        .into();
    world.run(100_000);
    if watchers(world) != before {
        // Who was refused for a while has asked once more.
        return self::told(world);
    }
    let mut heard = Vec::new();
    for node in all {
        let told = std::mem::take(&mut told[node]);
        let left = world.act(node, move |phone, dum| {
            let left = told.into_iter().filter(|(watcher, _)| watcher.package(dum).is_ok());
            (
                left.map(|(_, what)| what).collect::<Vec<_>>(),
                phone.watching.subscriptions.values().cloned().collect::<Vec<_>>(),
            )
        });
        heard.push(left);
    }
    let (told, heard): (Vec<_>, Vec<_>) = heard.into_iter().unzip();
    let mut both = [told.concat(), heard.concat()];
    both.iter_mut().for_each(|side| side.sort());
    both
}

/// Everybody hangs up and watches nobody any more.
fn end_all(world: &mut World) {
    world.act(DAVE, |dave, _| dave.desk.as_mut().expect("the registrar").ready = true);
    for node in [ALICE, BOB, CAROL] {
        // Some of what one ends crosses what another ends.
        world.run(8);
        world.act(node, |phone, dum| {
            for call in phone.calls.clone() {
                let _ = call.end(dum);
            }
            for set in phone.watching.sets.clone() {
                let _ = set.end(dum);
            }
            for (registration, _) in phone.kept.registrations.clone() {
                let _ = registration.end(dum);
            }
            for (publication, ..) in phone.kept.publications.clone() {
                let _ = publication.end(dum);
            }
            for watcher in phone.watchers.clone() {
                let ended = watcher.terminate(dum, TerminateReason::NoResource, None, None);
                let _ = ended.or_else(|_| refuse(phone, dum, watcher));
            }
        });
    }
}

/// The network is well again, and what was lost has its time: what one side has the other has too.
fn agree(world: &mut World, seed: u64, tally: &mut Tally) {
    let mut count = |what: &str, found: usize| *tally.entry(what.to_owned()).or_default() += found as u32;
    world.calm();
    world.act(DAVE, |dave, dum| {
        let desk = dave.desk.as_mut().expect("the registrar");
        desk.ready = true;
        desk.act(dum);
    });
    world.run(100_000);
    make_agreeable(world, true);
    unsent::ask(world);
    make_agreeable(world, false);
    let calls = known(world);
    let mut others: Vec<_> = calls.iter().map(Known::other).collect();
    others.sort();
    if let Some(alone) = calls.iter().find(|call| !others.contains(call)) {
        panic!("seed {seed}: both sides agree, but not on {alone:?}:\n{}", world.said(&alone.call_id));
    }
    assert_eq!(calls.len(), others.len(), "seed {seed}: both sides agree");
    count("calls agreed", calls.len());
    count("answered calls ended", ends::check(world, seed));
    let [told, heard] = told(world);
    assert_eq!(told, heard, "seed {seed}: what is told is heard");
    count("documents agreed", told.len());
    count("registrations and publications agreed", kept(world, seed));
    count("contacts agreed", moved(world, seed));
    for response in world.responses(&["401", "407"]) {
        count(&response, 1);
    }
    world.forget();
    world.act(DAVE, |dave, _| dave.desk.as_mut().expect("the registrar").ready = false);
}

/// What the registrar and event server has of each name is what its user has there, and nothing of what has ended. How much
/// there is.
fn kept(world: &mut World, seed: u64) -> usize {
    let all = [ALICE, BOB, CAROL];
    for node in all {
        world.act(node, |phone, dum| {
            for (registration, _) in &phone.kept.registrations {
                registration.refresh(dum).expect("it has not ended");
            }
            for (publication, ..) in &phone.kept.publications {
                publication.refresh(dum).expect("it has not ended");
            }
        });
    }
    world.run(5_000);
    let mut found = 0;
    for node in all {
        let here = world.act(node, |phone, dum| {
            let contacts = |name: &String| {
                let of_it = phone.kept.registrations.iter().find(|(_, known)| known == name);
                let all = of_it.map(|(registration, _)| registration.bindings(dum).expect("it has not ended"));
                all.into_iter().flatten().map(|contact| contact.uri.to_string()).collect::<Vec<_>>()
            };
            let documents = |name: &String| {
                let of_it = phone.kept.publications.iter().filter(|(_, known, _)| known == name);
                of_it.map(|(_, _, body)| body.clone()).collect::<Vec<_>>()
            };
            phone.kept.names.iter().map(|name| (name.clone(), contacts(name), documents(name))).collect::<Vec<_>>()
        });
        let there = here.clone();
        let there = world.act(DAVE, |dave, dum| {
            let (desk, now) = (dave.desk.as_mut().expect("the registrar"), dum.now());
            there
                .into_iter()
                .map(|(name, ..)| (name.clone(), desk.contacts(&name, now), desk.documents(&name, now)))
                .collect::<Vec<_>>()
        });
        assert_eq!(here, there, "seed {seed}: what is kept is there, and nothing else");
        found += here.iter().filter(|(_, contacts, documents)| !contacts.is_empty() || !documents.is_empty()).count();
    }
    found
}

/// From now on everybody answers each offer at once, those too that wait; or nobody does any more.
fn make_agreeable(world: &mut World, agreeable: bool) {
    for node in [ALICE, BOB, CAROL] {
        world.act(node, move |phone, dum| {
            phone.agreeable = agreeable;
            for call in phone.offered.keys().copied().filter(|_| agreeable).collect::<Vec<_>>() {
                let _ = call.provide_answer(dum, &fitting(phone, call, &mut Rng::from_seed(0)));
            }
        });
    }
    world.run(10_000);
}

/// Who is found elsewhere says so with a change of the session, and then the other side knows. How many there were.
fn moved(world: &mut World, seed: u64) -> usize {
    let all = [ALICE, BOB, CAROL];
    make_agreeable(world, true);
    let mut found = 0;
    for node in all {
        let moved = world.act(node, |phone, dum| {
            let offered = phone.moved.iter().filter(|call| call.resume(dum).is_ok());
            offered.copied().collect::<Vec<_>>()
        });
        world.run(2_000);
        let places = world.act(node, move |phone, dum| {
            let settled = moved.into_iter().filter(|call| call.is_alive(dum) && !phone.moved.contains(call));
            let place = |call: Handle<InviteSession>| {
                let dialog = call.dialog(dum)?.dialog(dum).ok()?;
                let id = dialog.id();
                Some(((id.call_id.to_string(), id.local_tag.to_string()), dialog.contact()?.to_owned()))
            };
            settled.filter_map(place).collect::<BTreeMap<_, _>>()
        });
        found += places.len();
        for other in all {
            let places = places.clone();
            world.act(other, move |phone, dum| {
                for call in phone.calls.iter().filter(|call| call.is_connected(dum)) {
                    let dialog = call.dialog(dum).expect("it has one").dialog(dum).expect("it is there");
                    let id = dialog.id();
                    let place = places.get(&(id.call_id.to_string(), id.remote_tag.to_string()));
                    let target = format!("<{}>", dialog.remote_target());
                    assert!(place.is_none_or(|place| *place == target), "seed {seed}: {place:?} is not {target}");
                }
            });
        }
    }
    make_agreeable(world, false);
    found
}

/// What each can do: one of three lacks something.
fn abilities(node: usize, lacks: [usize; 5], options: &mut DumOptions) {
    let master = &mut options.master;
    master.user_mut().set_credentials(credentials(node));
    master.add_transfer().add_method(Method::Message);
    master.add_mime_type(Method::Message, MediaType::new("text", "plain"));
    master.add_package(EventPackage::new("dialog").with_type(MediaType::new("application", "dialog-info+xml")));
    let [reliable, timer, update, info, join] = lacks.map(|who| who != node);
    if reliable {
        master.add_100rel();
    }
    if timer {
        master.add_option_tag("timer");
    }
    if !update {
        master.remove_method(&Method::Update);
    }
    if info {
        master.add_method(Method::Info);
    }
    if !join {
        master.add_option_tag("join");
    }
    if node == DAVE {
        master.add_method(Method::Register).add_method(Method::Publish);
        master.add_package(EventPackage::new(EVENT.0).with_type(MediaType::new("text", "plain")));
        master.add_mime_type(Method::Publish, MediaType::new("text", "plain"));
    }
}

/// What was heard, and how often.
type Tally = BTreeMap<String, u32>;

/// Runs for so many steps, or until so many calls were made.
fn run(seed: u64, (steps, calls): (u32, usize), habits: Habits, tally: &mut Tally) {
    let mut rng = Rng::from_seed(seed);
    let lacks = std::array::from_fn(|_| rng.range(3) as usize);
    let mut world = World::of(move |node, options| abilities(node, lacks, options));
    let desk = Desk::new(rng.split());
    world.act(DAVE, |dave, _| dave.desk = Some(desk));
    for node in [ALICE, BOB, CAROL] {
        let (whims, goodbye) = (rng.split(), Goodbye(rng.split()));
        world.act(node, |phone, dum| {
            phone.whims = Some(whims);
            dum.add_feature(goodbye);
        });
    }
    for node in [ALICE, BOB, CAROL, DAVE] {
        let guard = Guard::new(node, rng.split());
        world.act(node, |phone, _| phone.guard = Some(guard));
    }
    agree(&mut world, seed, tally);
    world.disturb(rng.split());
    if habits.forks > 0.0 {
        let mut processors = Processors::standard();
        processors.add_before("digest-authenticator", Gate(Mutex::new(Guard::new(PROXY, rng.split()))));
        world.add_proxy_of(&processors, |_| {});
    }
    let mut made = 0;
    for step in 0..steps {
        if habits.forks > 0.0 && step % 1500 == 0 {
            agree(&mut world, seed, tally);
            world.disturb(rng.split());
            world.register_both(step + 1);
            made = [ALICE, BOB, CAROL].map(|node| world.act(node, |phone, _| phone.made)).iter().sum();
        }
        if made >= calls {
            break;
        }
        let (node, mut own) = (rng.range(3) as usize, rng.split());
        world.act(node, move |phone, dum| act(phone, dum, &mut own, habits));
        if rng.chance(0.02) {
            // The registrar answers late, or nobody reaches it for a while.
            world.cut(rng.chance(0.15).then_some(DAVE));
            world.act(DAVE, |dave, dum| dave.desk.as_mut().expect("the registrar").act(dum));
        }
        if rng.chance(0.02) {
            world.refuse(rng.chance(0.1).then(|| rng.range(3) as usize));
        }
        let most = if rng.chance(0.02) { 40_000 } else { 400 };
        world.run(rng.range(most));
    }
    assert!(calls == usize::MAX || made >= calls, "seed {seed}: {made} calls in {steps} steps");
    agree(&mut world, seed, tally);
    for _ in 0..3 {
        end_all(&mut world);
        world.run(100_000);
    }
    *tally.entry("made".to_owned()).or_default() += made as u32;
    *tally.entry("answered calls ended".to_owned()).or_default() += ends::check(&mut world, seed) as u32;
    for node in [ALICE, BOB, CAROL] {
        let heard = world.heard(node);
        let count = |what: &str| heard.iter().filter(|heard| heard.starts_with(what)).count();
        let (calls, watching, watchers) =
            world.act(node, |phone, _| (phone.calls.len(), std::mem::take(&mut phone.watching), phone.watchers.len()));
        assert_eq!(watching.sets_ended, watching.sets.len(), "seed {seed}: each SUBSCRIBE comes to an end");
        assert_eq!(watching.watchers_ended, watchers, "seed {seed}: each subscription of others ends once");
        assert!(watching.subscriptions.is_empty(), "seed {seed}: {:?}", watching.subscriptions);
        *tally.entry("holds".to_owned()).or_default() += world.act(node, |phone, _| phone.holds);
        *tally.entry("subscriptions".to_owned()).or_default() += watching.subscriptions_ended as u32;
        world.act(node, |phone, dum| unsent::none_dangles(phone, dum));
        let kept = world.act(node, |phone, _| std::mem::take(&mut phone.kept));
        assert!(kept.registrations.is_empty() && kept.publications.is_empty(), "seed {seed}: each ends once");
        assert_eq!(count("terminated"), calls, "seed {seed}: each call ends once: {heard:?}");
        assert!(count("confirmed") <= count("connected"), "seed {seed}");
        for heard in heard {
            // Ports are at random.
            let whole =
                ["terminated", "joined", "offer rejected", "offered", "not "].iter().any(|it| heard.starts_with(it));
            let what = if whole { &heard } else { heard.split(' ').next().unwrap_or_default() };
            *tally.entry(what.to_owned()).or_default() += 1;
        }
    }
    world.ends_clean();
}

/// Calls that last, with much done in each.
const FEW: Habits = Habits { calls: 0.04, forks: 0.0, things: 18 };

/// Calls that come one after the other, many of them forked.
const MANY: Habits = Habits { calls: 0.16, forks: 0.4, things: 30 };

/// What is to be seen in any case.
const RARE: [&str; 11] = [
    "calls agreed",
    "confirmed",
    "documents agreed",
    "goodbye",
    "inactive",
    "redirected",
    "refer",
    "subscriptions",
    "terminated RemoteBye",
    "terminated RemoteCancel",
    "terminated Transport",
];

#[test]
fn whatever_happens_every_call_ends_once_and_nothing_is_left() {
    let mut tally = Tally::new();
    match std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => run(seed, (600, usize::MAX), FEW, &mut tally),
        None => {
            (0..12).for_each(|seed| run(seed, (500, usize::MAX), FEW, &mut tally));
            // It has seen the rarer ways too.
            for what in RARE.into_iter().chain(["early"]) {
                assert!(tally.get(what).is_some_and(|count| *count > 2), "{what}: {tally:?}");
            }
        }
    }
    eprintln!("{tally:?}");
}

#[test]
fn a_seed_repeats_what_it_did() {
    let told = || {
        let mut tally = Tally::new();
        run(9002, (600, usize::MAX), FEW, &mut tally);
        tally
    };
    assert_eq!(told(), told());
}

/// What is to be seen where there are many calls.
const RARER: [&str; 18] = [
    "401 INVITE",
    "401 UPDATE",
    "407 BYE",
    "407 INVITE",
    "407 PRACK",
    "answered calls ended",
    "contacts agreed",
    "fork",
    "holds",
    "joined Refused 481",
    "offer rejected 504",
    "offered with PRACK",
    "registrations and publications agreed",
    "terminated OtherFork",
    "terminated Redirected",
    "terminated Replaced",
    "unpublished",
    "unregistered",
];

/// INVITEs that somebody sends out of a dialog: one that is forked is one.
const CALLS: usize = 10_000;

#[test]
fn ten_thousand_calls_with_forks_end_once_each_and_leave_nothing() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, calls) = (number("SIM_SEED"), number("SIM_CALLS").map_or(CALLS, |calls| calls as usize));
    let mut tally = Tally::new();
    run(seed.unwrap_or(1), (u32::MAX, calls), MANY, &mut tally);
    // This seed has seen the rarest ways too.
    for what in RARE.into_iter().chain(RARER).filter(|_| seed.is_none()) {
        assert!(tally.get(what).is_some_and(|count| *count > 2), "{what}: {tally:?}");
    }
    eprintln!("{tally:?}");
}
