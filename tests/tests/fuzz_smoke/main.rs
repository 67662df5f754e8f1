//! A short run of every fuzz target: its seeds as they are, then changed at random. `FUZZ_SEED` sets the number that the
//! randomness begins with.

use fuzz_targets::{TARGETS, mutate::mutate, seeds};
use rutil::Rng;
use std::panic;

/// The randomness of a run that nobody set.
const SEED: u64 = 3261;

fn smoke(target: &str, rounds: u64) {
    let (_, run) = *TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    let seeds = seeds::of(target);
    let seed = std::env::var("FUZZ_SEED").map_or(SEED, |text| text.parse().expect("FUZZ_SEED is a number"));
    let mut rng = Rng::from_seed(seed);
    let any = |rng: &mut Rng| &seeds[rng.range(seeds.len() as u64) as usize];
    for input in &seeds {
        try_one(target, run, input, seed);
    }
    for _ in 0..rounds {
        let (input, other) = (any(&mut rng), any(&mut rng));
        try_one(target, run, &mutate(&mut rng, input, other), seed);
    }
}

fn try_one(target: &str, run: fn(&[u8]), input: &[u8], seed: u64) {
    if let Err(panic) = panic::catch_unwind(|| run(input)) {
        eprintln!("target {target}, FUZZ_SEED={seed}, input of {} octets:\n\"{}\"", input.len(), input.escape_ascii());
        panic::resume_unwind(panic);
    }
}

#[test]
fn datagram() {
    smoke("datagram", 10_000);
}

#[test]
fn stream() {
    smoke("stream", 8_000);
}

#[test]
fn header() {
    smoke("header", 150_000);
}

#[test]
fn uri() {
    smoke("uri", 80_000);
}

#[test]
fn sdp() {
    smoke("sdp", 30_000);
}

#[test]
fn contents() {
    smoke("contents", 60_000);
}

#[test]
fn transactions() {
    smoke("transactions", 1_500);
}

#[test]
fn every_target_is_run() {
    assert_eq!(
        TARGETS.map(|(name, _)| name),
        ["datagram", "stream", "header", "uri", "sdp", "contents", "transactions"]
    );
    assert!(TARGETS.iter().all(|(name, _)| !seeds::of(name).is_empty()));
}
