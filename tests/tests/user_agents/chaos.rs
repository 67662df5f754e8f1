//! Three user agents whose people do anything at any time, on a network that loses, repeats and delays, some of whose calls
//! and subscriptions a proxy forks: whatever happens, both sides agree on which calls and subscriptions there are and on what
//! was agreed and told in them, each ends once on each side, and nothing is left.
//!
//! A seed that fails is run again with `SIM_SEED=<seed> cargo test -p tests --test user_agents chaos`, and
//! `SIM_CALLS=<calls>` says how many calls one seed has.

use crate::people::{Habits, act, next_document, refuse};
use crate::world::{ALICE, BOB, CAROL, World};
use dum::invite::{EndReason, InviteSession, Session};
use dum::subscription::{SubscriptionState, TerminateReason};
use dum::{EventPackage, Handle, Reliability};
use rutil::Rng;
use stack::contents::event::EventDocument;
use stack::contents::sdp::Sdp;
use stack::header::{MediaType, Method, p};
use std::collections::BTreeMap;
use std::time::Duration;

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
    for node in [ALICE, BOB, CAROL] {
        world.act(node, |phone, dum| {
            for call in phone.calls.clone() {
                let _ = call.end(dum);
            }
            for set in phone.watching.sets.clone() {
                let _ = set.end(dum);
            }
            for watcher in phone.watchers.clone() {
                let ended = watcher.terminate(dum, TerminateReason::NoResource, None, None);
                let _ = ended.or_else(|_| refuse(phone, dum, watcher));
            }
        });
    }
}

/// Calls that were answered on both sides end because one of them has ended them, and no other way: by each dialog the reasons
/// that its sides were told. How many there were.
fn ends_agree(world: &mut World, seed: u64) -> u32 {
    let mut dialogs = BTreeMap::<String, Vec<EndReason>>::new();
    for node in [ALICE, BOB, CAROL] {
        for (dialog, reason) in world.act(node, |phone, _| std::mem::take(&mut phone.ends)) {
            dialogs.entry(dialog).or_default().push(reason);
        }
    }
    let both = dialogs.values().filter(|reasons| reasons.len() > 1);
    for reasons in both.clone() {
        let own = |reason: &EndReason| {
            use EndReason::{Gone, IllegalNegotiation, LocalBye, NoAck, OtherFork, Replaced, SessionExpired, Timeout};
            matches!(
                reason,
                LocalBye | Replaced | NoAck | SessionExpired | Timeout | Gone | OtherFork | IllegalNegotiation
            )
        };
        let peers = |reason: &EndReason| *reason == EndReason::RemoteBye;
        assert_eq!(reasons.len(), 2, "seed {seed}: a dialog has two sides: {reasons:?}");
        assert!(reasons.iter().all(|reason| own(reason) || peers(reason)), "seed {seed}: {reasons:?}");
        assert!(reasons.iter().any(own), "seed {seed}: nobody has sent the BYE that both have heard: {reasons:?}");
    }
    both.count() as u32
}

/// The network is well again, and what was lost has its time: what one side has the other has too.
fn agree(world: &mut World, seed: u64, tally: &mut Tally) {
    let mut count = |what: &str, found: usize| *tally.entry(what.to_owned()).or_default() += found as u32;
    world.calm();
    world.run(100_000);
    let calls = known(world);
    let mut others: Vec<_> = calls.iter().map(Known::other).collect();
    others.sort();
    if let Some(alone) = calls.iter().find(|call| !others.contains(call)) {
        panic!("seed {seed}: both sides agree, but not on {alone:?}:\n{}", world.said(&alone.call_id));
    }
    assert_eq!(calls.len(), others.len(), "seed {seed}: both sides agree");
    count("calls agreed", calls.len());
    let [told, heard] = told(world);
    assert_eq!(told, heard, "seed {seed}: what is told is heard");
    count("documents agreed", told.len());
}

/// What was heard, and how often.
type Tally = BTreeMap<String, u32>;

/// Runs for so many steps, or until so many calls were made.
fn run(seed: u64, (steps, calls): (u32, usize), habits: Habits, tally: &mut Tally) {
    let mut rng = Rng::from_seed(seed);
    let reliability = [Reliability::Never, Reliability::Supported][rng.range(2) as usize];
    let timer = rng.chance(0.5);
    let mut world = World::with(move |options| {
        let master = &mut options.master;
        master.add_transfer().add_100rel().add_method(Method::Info).add_method(Method::Message);
        master.add_mime_type(Method::Message, MediaType::new("text", "plain"));
        master.add_package(EventPackage::new("dialog").with_type(MediaType::new("application", "dialog-info+xml")));
        if timer {
            master.add_option_tag("timer");
        }
        master.user_mut().set_reliability(reliability).set_session_time(Duration::from_secs(90));
    });
    world.disturb(rng.split());
    if habits.forks > 0.0 {
        world.add_proxy(|_| {});
    }
    let mut made = 0;
    for step in 0..steps {
        if habits.forks > 0.0 && step % 1000 == 0 {
            agree(&mut world, seed, tally);
            world.disturb(rng.split());
            world.register_both(step + 1);
            drop(world.trace());
            made = [ALICE, BOB, CAROL].map(|node| world.act(node, |phone, _| phone.calls.len())).iter().sum();
        }
        if made >= calls {
            break;
        }
        let (node, mut own) = (rng.range(3) as usize, rng.split());
        world.act(node, move |phone, dum| act(phone, dum, &mut own, habits));
        let most = if rng.chance(0.02) { 40_000 } else { 400 };
        world.run(rng.range(most));
    }
    assert!(calls == usize::MAX || made >= calls, "seed {seed}: {made} calls in {steps} steps");
    agree(&mut world, seed, tally);
    for _ in 0..3 {
        end_all(&mut world);
        world.run(100_000);
    }
    *tally.entry("ended for both".to_owned()).or_default() += ends_agree(&mut world, seed);
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
        assert_eq!(count("terminated"), calls, "seed {seed}: each call ends once: {heard:?}");
        assert!(count("confirmed") <= count("connected"), "seed {seed}");
        for heard in heard {
            // Ports are at random.
            let what =
                if heard.starts_with("terminated") { &heard } else { heard.split(' ').next().unwrap_or_default() };
            *tally.entry(what.to_owned()).or_default() += 1;
        }
    }
    world.ends_clean();
}

/// Calls that last, with much done in each.
const FEW: Habits = Habits { calls: 0.04, forks: 0.0, things: 18 };

/// Calls that come one after the other, many of them forked.
const MANY: Habits = Habits { calls: 0.12, forks: 0.4, things: 32 };

/// What is to be seen in any case.
const RARE: [&str; 7] = [
    "calls agreed",
    "confirmed",
    "documents agreed",
    "refer",
    "subscriptions",
    "terminated RemoteBye",
    "terminated RemoteCancel",
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

/// As seen by each side, so that a call counts twice, and one that was forked four times.
const CALLS: usize = 20_000;

#[test]
fn ten_thousand_calls_with_forks_end_once_each_and_leave_nothing() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, calls) = (number("SIM_SEED").unwrap_or(1), number("SIM_CALLS").map_or(CALLS, |calls| calls as usize));
    let mut tally = Tally::new();
    run(seed, (u32::MAX, calls), MANY, &mut tally);
    for what in
        RARE.into_iter().chain(["ended for both", "fork", "holds", "terminated OtherFork", "terminated Replaced"])
    {
        assert!(tally.get(what).is_some_and(|count| *count > 2), "{what}: {tally:?}");
    }
    eprintln!("{tally:?}");
}
