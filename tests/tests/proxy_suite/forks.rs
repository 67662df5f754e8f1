//! Calls to a user with several phones: in parallel, one after the other, and round a corner.

use crate::play;

/// Two phones of B, tried at the same time, and the call.
fn both(rest: &str) {
    play(&format!(
        "B registers
        C registers as B
        A INVITE B
        B< INVITE
        C< INVITE
        {rest}"
    ));
}

/// Two phones of B, the second when the first has failed.
fn one_by_one(rest: &str) {
    play(&format!(
        "B registers
        C registers as B q=0.5
        A INVITE B
        B< INVITE
        quiet
        {rest}"
    ));
}

#[test]
fn invite_fork_one_answers() {
    both(
        "B 180
        A< 180
        C 180
        A< 180
        B 200
        A< 200
        C< CANCEL: Reason: SIP;cause=200
        C 200
        C 487 INVITE
        C< ACK
        A ACK
        B< ACK",
    );
}

#[test]
fn invite_fork_all_answer_no_1xx() {
    both(
        "B 200
        A< 200
        A ACK
        B< ACK
        C 200
        A< 200
        A ACK
        C< ACK",
    );
}

#[test]
fn invite_fork_one_busy() {
    both(
        "B 486
        B< ACK
        C 180
        A< 180
        C 200
        A< 200
        A ACK
        C< ACK",
    );
}

#[test]
fn invite_fork_both_busy() {
    both(
        "B 486
        B< ACK
        C 486
        C< ACK
        A< 486",
    );
}

#[test]
fn invite_fork_three_caller_cancels() {
    play(
        "B registers
        C registers as B
        D registers as B
        A INVITE B
        B< INVITE
        C< INVITE
        D< INVITE
        B 180
        A< 180
        C 180
        A< 180
        D 180
        A< 180
        A CANCEL
        A< 200
        B< CANCEL
        C< CANCEL
        D< CANCEL
        B 200
        B 487 INVITE
        B< ACK
        C 200
        C 487 INVITE
        C< ACK
        D 200
        D 487 INVITE
        D< ACK
        A< 487",
    );
}

#[test]
fn invite_fork_caller_hangs_up() {
    both(
        "C 486
        C< ACK
        B 200
        A< 200
        A ACK
        B< ACK
        A BYE
        B< BYE
        B 200
        A< 200",
    );
}

#[test]
fn invite_fork_callee_hangs_up() {
    both(
        "C 486
        C< ACK
        B 200
        A< 200
        A ACK
        B< ACK
        B BYE
        A< BYE
        A 200
        B< 200",
    );
}

#[test]
fn forked_invite_client_late_ack() {
    both(
        "C 486
        C< ACK
        B 200
        A< 200
        +2 s
        B answers again
        A< 200
        A ACK
        B< ACK",
    );
}

/// Which of two failures goes back (RFC 3261 §16.7 step 6), in whichever order they come.
#[test]
fn invite_fork_failures() {
    for (one, other, told) in [
        (486, 404, 486),
        (500, 501, 500),
        (486, 500, 486),
        (500, 486, 486),
        (486, 408, 486),
        (404, 503, 404),
        (503, 503, 500),
        (486, 407, 407),
    ] {
        both(&format!(
            "B {one}
            B< ACK
            C {other}
            C< ACK
            A< {told}"
        ));
    }
}

#[test]
fn invite_fork_6xx_wins_over_what_rings() {
    both(
        "C 180
        A< 180
        B 603
        B< ACK
        C< CANCEL
        C 200
        C 487 INVITE
        C< ACK
        A< 603",
    );
}

#[test]
fn invite_fork_all_6xx() {
    both(
        "B 603
        B< ACK
        C 600
        C< ACK
        A< 603",
    );
}

#[test]
fn invite_fork_6xx_beats_200_only_by_coming_first() {
    // A 2xx that crosses the CANCEL goes back (§16.7 step 5).
    both(
        "C 180
        A< 180
        B 603
        B< ACK
        C< CANCEL
        C 481
        C 200 INVITE
        A< 200
        A ACK
        C< ACK",
    );
}

#[test]
fn invite_fork_200_beats_failures() {
    for code in [404, 500, 603] {
        both(&format!(
            "C 180
            A< 180
            B 200
            A< 200
            A ACK
            B< ACK
            C< CANCEL
            C 481
            C {code} INVITE
            C< ACK"
        ));
    }
}

#[test]
fn timer_c_forked() {
    both(
        "B 180
        A< 180
        C 180
        A< 180
        +186 s
        B< CANCEL*
        C< CANCEL*
        B 200
        C 200
        B 487 INVITE
        B< ACK
        C 487 INVITE
        C< ACK
        A< 487",
    );
}

#[test]
fn sequential_q_value_invite() {
    one_by_one(
        "B 486
        B< ACK
        C< INVITE
        C 200
        A< 200
        A ACK
        C< ACK",
    );
}

#[test]
fn invite_seq_all_busy_contacts() {
    one_by_one(
        "B 486
        B< ACK
        C< INVITE
        C 486
        C< ACK
        A< 486",
    );
}

#[test]
fn invite_seq_fork_failures() {
    for (one, other, told) in [(486, 404, 486), (500, 486, 486), (486, 500, 486), (500, 501, 500)] {
        one_by_one(&format!(
            "B {one}
            B< ACK
            C< INVITE
            C {other}
            C< ACK
            A< {told}"
        ));
    }
}

#[test]
fn invite_seq_fork_6xx_ends_it() {
    one_by_one(
        "B 603
        B< ACK
        A< 603",
    );
}

#[test]
fn invite_seq_fork_caller_cancels() {
    one_by_one(
        "B 180
        A< 180
        A CANCEL
        A< 200
        B< CANCEL
        B 200
        B 487 INVITE
        B< ACK
        A< 487",
    );
}

#[test]
fn invite_seq_fork_caller_hangs_up() {
    one_by_one(
        "B 486
        B< ACK
        C< INVITE
        C 200
        A< 200
        A ACK
        C< ACK
        A BYE
        C< BYE
        C 200
        A< 200",
    );
}

#[test]
fn invite_seq_fork_callee_hangs_up() {
    one_by_one(
        "B 200
        A< 200
        A ACK
        B< ACK
        B BYE
        A< BYE
        A 200
        B< 200",
    );
}

#[test]
fn timer_c_forked_sequential() {
    one_by_one(
        "B 180
        A< 180
        +186 s
        B< CANCEL*
        B 200
        B 487 INVITE
        B< ACK
        C< INVITE
        C 486
        C< ACK
        A< 486",
    );
}

#[test]
fn spiral_and_fork() {
    // A calls E, whose contact is the address of B, who has two phones.
    play(
        "B registers
        C registers as B
        E REGISTER sip:example.com: Contact: <sip:B@example.com;maddr=192.0.2.1>
        E< 200
        A INVITE E
        B< INVITE
        C< INVITE
        B 486
        B< ACK
        C 200
        A< 200
        A ACK
        C< ACK
        A BYE
        C< BYE
        C 200
        A< 200",
    );
}

#[test]
fn spiral_and_sequence() {
    play(
        "B registers
        C registers as B q=0.5
        E REGISTER sip:example.com: Contact: <sip:B@example.com;maddr=192.0.2.1>
        E< 200
        A INVITE E
        B< INVITE
        B 486
        B< ACK
        C< INVITE
        C 200
        A< 200
        A ACK
        C< ACK",
    );
}

#[test]
fn spiral_with_cancel() {
    play(
        "B registers
        E REGISTER sip:example.com: Contact: <sip:B@example.com;maddr=192.0.2.1>
        E< 200
        A INVITE E
        B< INVITE
        B 180
        A< 180
        A CANCEL
        A< 200
        B< CANCEL
        B 200
        B 487 INVITE
        B< ACK
        A< 487",
    );
}

#[test]
fn a_loop_is_found() {
    play(
        "B REGISTER sip:example.com: Contact: <sip:C@example.com;maddr=192.0.2.1>
        B< 200
        C REGISTER sip:example.com: Contact: <sip:B@example.com;maddr=192.0.2.1>
        C< 200
        A INVITE B
        A< 482",
    );
}

#[test]
fn basic_302() {
    // Without recursion a redirection is for the caller.
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 302
        B< ACK
        A< 302: Contact: <sip:D@example.com>",
    );
}

#[test]
fn a_merged_request_is_no_loop() {
    // The same request by two ways has two branches: a proxy forwards both (only a user agent refuses it, §8.2.2.2).
    play(
        "B registers
        A MESSAGE B: Via: SIP/2.0/UDP 192.0.2.64:5060;branch=z9hG4bKone
        B< MESSAGE
        A again
        B< MESSAGE
        B 200
        A< 200",
    );
}
