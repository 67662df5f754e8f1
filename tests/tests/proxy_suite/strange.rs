//! Messages that no phone should send: reflected, colliding, with other Vias, garbled.

use crate::play;

/// A calls B, who has been asked.
fn asked(method: &str, rest: &str) {
    play(&format!(
        "B registers
        A {method} B
        B< {method}
        {rest}"
    ));
}

/// The callee sends back what it got. Once is a spiral, for its own address stands there now; then it is a loop.
#[test]
fn reflected() {
    asked(
        "MESSAGE",
        "B reflects
        B< MESSAGE
        B reflects
        B< 482",
    );
    asked(
        "INVITE",
        "B is silent
        B reflects
        B< INVITE
        B reflects
        B< 482",
    );
}

#[test]
fn uas_removes_proxy_via() {
    for method in ["INVITE", "MESSAGE"] {
        asked(
            method,
            "B edits: first Via:
            B 200
            quiet",
        );
    }
}

#[test]
fn uas_adds_via() {
    for method in ["INVITE", "MESSAGE"] {
        asked(
            method,
            "B edits: more Via: SIP/2.0/UDP 192.0.2.99:5060;branch=z9hG4bKx
            B 200
            quiet",
        );
    }
}

#[test]
fn uas_changes_proxy_branch() {
    for method in ["INVITE", "MESSAGE"] {
        asked(
            method,
            "B edits: first Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKchanged
            B 200
            quiet",
        );
    }
}

/// What comes second does not matter, but a 2xx.
#[test]
fn two_finals() {
    for (one, other) in [(200, 180), (486, 180), (200, 486), (486, 404), (603, 486)] {
        asked(
            "MESSAGE",
            &format!(
                "B {one}
                A< {one}
                B {other}
                quiet"
            ),
        );
    }
    for code in [486, 603] {
        asked(
            "INVITE",
            &format!(
                "B {code}
                B< ACK
                A< {code}
                B 200 INVITE
                quiet"
            ),
        );
    }
    asked(
        "INVITE",
        "B 200
        A< 200
        A ACK
        B< ACK
        B 180 INVITE
        B 486 INVITE
        B 603 INVITE
        quiet",
    );
}

#[test]
fn malformed_1xx_and_timeout() {
    asked(
        "MESSAGE",
        "B edits: first Via: monkey
        B 180
        +33 s
        B< MESSAGE*
        quiet",
    );
}

#[test]
fn branch_case_altered() {
    // Branches are compared without case (RFC 3261 §7.3.1, §8.1.1.7).
    play(
        "B registers
        A MESSAGE B: Via: SIP/2.0/UDP 192.0.2.64:5060;branch=z9hG4bKcase
        B< MESSAGE
        A MESSAGE B: Via: SIP/2.0/UDP 192.0.2.64:5060;branch=Z9HG4BKCASE
        quiet
        B 200
        A< 200",
    );
}

/// Requests of the same branch and another method are other transactions.
#[test]
fn methods_with_one_branch() {
    let via = "Via: SIP/2.0/UDP 192.0.2.64:5060;branch=z9hG4bKsame";
    for (one, other) in [("MESSAGE", "OPTIONS"), ("INVITE", "MESSAGE"), ("MESSAGE", "INVITE")] {
        play(
            &format!(
                "A is silent
            B registers
            A {one} B: {via}
            B< {one}
            A {other} B: {via}
            B< {other}
            B 486
            A< 486: CSeq: 2 {other}"
            )
            .replace("A< 486", if other == "INVITE" { "B< ACK\nA< 486" } else { "A< 486" }),
        );
    }
    // An ACK with the branch of what is no INVITE goes the way of an ACK for a 2xx.
    play(&format!(
        "B registers
        A MESSAGE B: {via}
        B< MESSAGE
        A ACK sip:B@example.com: {via}
        B< ACK
        B 200
        A< 200"
    ));
}

/// What the callee got comes back as another method: a request of its own, and the one before goes on.
#[test]
fn reflected_as_another_method() {
    for other in ["MESSAGE", "ACK"] {
        asked(
            "INVITE",
            &format!(
                "B reflects as {other}
                B< {other}
                B 200 INVITE
                A< 200
                A ACK
                B< ACK"
            ),
        );
    }
    asked(
        "MESSAGE",
        "B 200
        A< 200
        B is silent
        B reflects as INVITE
        B< INVITE
        B 486
        B< ACK
        B< 486",
    );
    // An ACK of a failure that comes back belongs to no transaction.
    asked(
        "INVITE",
        "B 486
        B< ACK
        A< 486
        B reflects as ACK
        B< ACK",
    );
}

#[test]
fn responses_of_another_method() {
    for (method, other) in [("INVITE", "MESSAGE"), ("INVITE", "ACK"), ("MESSAGE", "INVITE"), ("MESSAGE", "OPTIONS")] {
        let rest = if method == "INVITE" { "A ACK\nB< ACK" } else { "quiet" };
        asked(
            method,
            &format!(
                "B edits: CSeq: 1 {other}
                B 200
                quiet
                B 200
                A< 200
                {rest}"
            ),
        );
    }
}

/// A client that answers itself: its answer has no Via of ours.
#[test]
fn a_request_and_its_response_at_once() {
    for method in ["INVITE", "MESSAGE"] {
        let rest = if method == "INVITE" { "A ACK\nB< ACK" } else { "quiet" };
        asked(
            method,
            &format!(
                "A answers itself 180
                A answers itself 200
                A answers itself 486
                quiet
                B 200
                A< 200
                {rest}"
            ),
        );
    }
}

#[test]
fn a_response_that_nobody_asked_for() {
    asked(
        "MESSAGE",
        "B 200
        A< 200
        +40 s
        B answers again
        quiet",
    );
}

#[test]
fn c_seq_of_another_method() {
    play(
        "B registers
        A is silent
        A INVITE B: CSeq: 1 MESSAGE
        A< 400
        A CANCEL sip:B@example.com: CSeq: 1 INVITE
        A< 400
        A MONKEY B
        B< MONKEY
        B 501
        A< 501",
    );
}

#[test]
fn requests_of_old_clients() {
    // RFC 2543: no magic cookie in the branch, or none at all.
    for via in ["SIP/2.0/UDP 192.0.2.64:5060;branch=1", "SIP/2.0/UDP 192.0.2.64:5060"] {
        play(&format!(
            "B registers
            A is silent
            A INVITE B: Via: {via}
            B< INVITE
            B 486
            B< ACK
            A< 486
            A ACK: Via: {via}
            +40 s
            quiet
            A MESSAGE B: Via: {via}
            B< MESSAGE
            B 200
            A< 200"
        ));
    }
}

#[test]
fn upper_case_branch() {
    play(
        "B registers
        A INVITE B: Via: SIP/2.0/UDP 192.0.2.64:5060;branch=Z9HG4BKUPPER
        B< INVITE
        B 200
        A< 200
        A ACK
        B< ACK",
    );
}

#[test]
fn bad_ack_tid() {
    // An ACK for a failure with another branch matches nothing; it is taken for one of a 2xx, and the failure is repeated.
    play(
        "B registers
        A is silent
        A INVITE B
        B< INVITE
        B 486
        B< ACK
        A< 486
        A ACK: Via: SIP/2.0/UDP 192.0.2.64:5060;branch=z9hG4bKother
        B< ACK
        +600 ms
        A< 486
        A ACK
        +33 s
        quiet",
    );
}

#[test]
fn ack_with_a_response() {
    asked(
        "INVITE",
        "B 200
        A< 200
        A ACK
        B< ACK
        B 200 INVITE
        A< 200",
    );
}
