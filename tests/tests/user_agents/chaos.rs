//! Three user agents whose people do anything at any time, on a network that loses, repeats and delays, some of whose calls
//! a proxy forks: whatever happens, both sides agree on which calls there are and on what was agreed in them, every call ends
//! once on each side, and nothing is left.
//!
//! A seed that fails is run again with `SIM_SEED=<seed> cargo test -p tests --test user_agents chaos`, and
//! `SIM_CALLS=<calls>` says how many calls one seed has.

use crate::world::{ALICE, BOB, CAROL, Phone, World, aor, both, directed, port, sdp};
use dum::invite::{EndReason, InviteSession, Session};
use dum::{Dum, Handle, Reliability};
use rutil::Rng;
use stack::contents::sdp::Direction;
use stack::header::{MediaType, Method, p};
use std::collections::BTreeMap;
use std::time::Duration;

/// How busy people are, and by whom their calls go.
#[derive(Clone, Copy)]
struct Habits {
    /// How likely one makes a call instead of doing something else.
    calls: f64,
    /// How likely that one is forked.
    forks: f64,
    /// How many of the things that can be done are done: the last ones bring calls to their ends.
    things: u64,
}

/// What one person does, with any call that there ever was.
fn act(phone: &mut Phone, dum: &mut Dum<'_>, rng: &mut Rng, habits: Habits) {
    let profile = phone.profile.clone();
    let offer = sdp(1000 + rng.range(1000) as u16);
    if phone.calls.is_empty() || rng.chance(habits.calls) {
        let forked = habits.forks > 0.0 && rng.chance(habits.forks);
        let (target, profile) =
            if forked { (both(), phone.by_proxy.clone()) } else { (aor(rng.range(3) as usize), profile) };
        let invite = dum.make_invite(&profile, &target, rng.chance(0.8).then_some(&offer));
        return phone.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    }
    if habits.forks > 0.0 {
        // Calls that last for ever would refresh their sessions for ever.
        let old = phone.calls.len().saturating_sub(OLD);
        for call in &phone.calls[old.saturating_sub(8)..old] {
            let _ = call.end(dum);
        }
    }
    // Mostly a late one: those are alive.
    let back = if rng.chance(0.7) { 3 } else { phone.calls.len() as u64 };
    let at = phone.calls.len() - 1 - (rng.range(back) as usize).min(phone.calls.len() - 1);
    let (call, server) = (phone.calls[at], phone.calls[at].as_server());
    // All that a handle can do; most of it is an error most of the time.
    let _ = match rng.range(habits.things) {
        0 => server.provisional(dum, 180),
        1 => server.early_media(dum, 183),
        2..=4 => server.accept(dum),
        5 if rng.chance(0.3) => server.reject(dum, 486, |_| {}),
        6..=8 => call.provide_answer(dum, &offer),
        9 => call.provide_offer(dum, &offer),
        10 => call.update(dum, &directed(3000, Direction::SendOnly)),
        11 => call.request_offer(dum),
        12 if rng.chance(0.2) => call.reject_offer(dum, 488),
        13 => call.info(dum, "text/plain", "x"),
        14 => call.message(dum, "text/plain", "x"),
        15 => call.refer(dum, &aor(rng.range(3) as usize), rng.chance(0.8)).map(drop),
        16 => match phone.refers.last().copied() {
            Some(refer) if rng.chance(0.5) => {
                refer.follow(dum, &profile, Some(&offer)).map(|call| phone.calls.push(call.session()))
            }
            Some(refer) if rng.chance(0.5) => refer.accept(dum),
            Some(refer) => refer.reject(dum, 603),
            None => Ok(()),
        },
        17 if rng.chance(0.3) => call.end(dum),
        18..=23 => {
            let provided = call.provide_answer(dum, &offer);
            let _ = provided.or_else(|_| call.provide_offer(dum, &offer));
            server.accept(dum)
        }
        24 | 25 => call.end(dum),
        26.. => server.provisional(dum, 180),
        _ => Ok(()),
    };
}

/// A call that is answered, as one side of it knows it: Call-ID, tag and description of this side, of the other.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    call_id: String,
    local: (String, Option<u16>),
    remote: (String, Option<u16>),
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
                Known {
                    call_id: names.call_id.as_str().to_owned(),
                    local: (tag(names.param(p::FROM_TAG)), call.local_sdp(dum).as_ref().map(port)),
                    remote: (tag(names.param(p::TO_TAG)), call.remote_sdp(dum).as_ref().map(port)),
                }
            };
            answered.map(known).collect::<Vec<_>>()
        })
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
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
        if timer {
            master.add_option_tag("timer");
        }
        master.user_mut().set_reliability(reliability).set_session_time(Duration::from_secs(90));
    });
    world.disturb(rng.split());
    if habits.forks > 0.0 {
        world.add_proxy();
    }
    let mut made = 0;
    for step in 0..steps {
        if habits.forks > 0.0 && step % 1000 == 0 {
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
    // The network is well again, and what was lost has its time: what one side has the other has too.
    world.calm();
    world.run(100_000);
    let calls = known(&mut world);
    let mut others: Vec<_> = calls.iter().map(Known::other).collect();
    others.sort();
    assert_eq!(calls, others, "seed {seed}: both sides agree");
    *tally.entry("agreed".to_owned()).or_default() += calls.len() as u32;
    // Everybody hangs up.
    for _ in 0..3 {
        for node in [ALICE, BOB, CAROL] {
            world.act(node, |phone, dum| {
                for call in phone.calls.clone() {
                    let _ = call.end(dum);
                }
            });
        }
        world.run(100_000);
    }
    *tally.entry("ended for both".to_owned()).or_default() += ends_agree(&mut world, seed);
    for node in [ALICE, BOB, CAROL] {
        let heard = world.heard(node);
        let count = |what: &str| heard.iter().filter(|heard| heard.starts_with(what)).count();
        let calls = world.act(node, |phone, _| phone.calls.len());
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

/// So many calls later a call is ended, where there are many.
const OLD: usize = 40;

/// Calls that last, with much done in each.
const FEW: Habits = Habits { calls: 0.04, forks: 0.0, things: 18 };

/// Calls that come one after the other, many of them forked.
const MANY: Habits = Habits { calls: 0.12, forks: 0.4, things: 32 };

#[test]
fn whatever_happens_every_call_ends_once_and_nothing_is_left() {
    let mut tally = Tally::new();
    match std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => run(seed, (600, usize::MAX), FEW, &mut tally),
        None => {
            (0..12).for_each(|seed| run(seed, (500, usize::MAX), FEW, &mut tally));
            // It has seen the rarer ways too.
            for what in ["agreed", "confirmed", "early", "refer", "terminated RemoteCancel", "terminated RemoteBye"] {
                assert!(tally.get(what).is_some_and(|count| *count > 5), "{what}: {tally:?}");
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
    for what in [
        "confirmed",
        "ended for both",
        "fork",
        "terminated OtherFork",
        "terminated RemoteCancel",
        "terminated RemoteBye",
    ] {
        assert!(tally.get(what).is_some_and(|count| *count > 5), "{what}: {tally:?}");
    }
    eprintln!("{tally:?}");
}
