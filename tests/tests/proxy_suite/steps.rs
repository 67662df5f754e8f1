//! One phone after the other, each for so long.

use crate::fixture::play_with;
use repro::config::{Config, Fork, Forking};

fn forking(cancel_between_steps: bool) -> Config {
    let forking = Forking { fork: Fork::Sequential, step_seconds: 10, cancel_between_steps };
    Config { forking, ..Config::default() }
}

#[test]
fn a_phone_that_rings_too_long_is_cancelled() {
    play_with(
        forking(true),
        "B registers
        C registers as B q=0.5
        A INVITE B
        B< INVITE
        B 180
        A< 180
        +10200 ms
        B< CANCEL
        C< INVITE
        B 200
        B 487 INVITE
        B< ACK
        C 200
        A< 200
        A ACK
        C< ACK",
    );
}

#[test]
fn a_phone_may_ring_on() {
    play_with(
        forking(false),
        "B registers
        C registers as B q=0.5
        A INVITE B
        B< INVITE
        B 180
        A< 180
        +10200 ms
        C< INVITE
        C 180
        A< 180
        B 200 INVITE
        A< 200
        C< CANCEL
        C 200
        C 487 INVITE
        C< ACK
        A ACK
        B< ACK",
    );
}

#[test]
fn a_caller_may_give_up_in_the_second_step() {
    play_with(
        forking(true),
        "B registers
        C registers as B q=0.5
        A INVITE B
        B< INVITE
        B 180
        A< 180
        +10200 ms
        B< CANCEL
        B 200
        B 487 INVITE
        B< ACK
        C< INVITE
        C 180
        A< 180
        A CANCEL
        A< 200
        C< CANCEL
        C 200
        C 487 INVITE
        C< ACK
        A< 487",
    );
}
