//! Requests that are no INVITE.

use crate::play;

/// A MESSAGE from A that has reached B.
fn message(rest: &str) {
    play(&format!(
        "B registers
        A MESSAGE B
        B< MESSAGE
        {rest}"
    ));
}

#[test]
fn non_invite_failures() {
    for (code, told) in [(200, 200), (486, 486), (404, 404), (500, 500), (503, 500), (603, 603), (202, 202)] {
        message(&format!(
            "B {code}
            A< {told}"
        ));
    }
}

#[test]
fn non_invite_no_contacts() {
    play(
        "A MESSAGE B
        A< 404",
    );
}

#[test]
fn non_invite_by_other_transports() {
    for (caller, callee) in [("udp", "tcp"), ("tcp", "udp"), ("tls", "udp"), ("tls", "tcp")] {
        play(&format!(
            "B/{callee} registers
            A/{caller} MESSAGE B
            B< MESSAGE
            B 200
            A< 200"
        ));
    }
}

#[test]
fn non_invite_tls() {
    play(
        "B/tls registers
        A/tls MESSAGE sips:B@example.com
        B< MESSAGE
        B 200
        A< 200",
    );
}

#[test]
fn non_invite_spiral() {
    play(
        "B registers
        E REGISTER sip:example.com: Contact: <sip:B@example.com;maddr=192.0.2.1>
        E< 200
        A MESSAGE E
        B< MESSAGE
        B 200
        A< 200",
    );
}

#[test]
fn non_invite_server_dead() {
    // Nobody tells the client that it timed out (RFC 4320 §4.2).
    play(
        "B registers
        A MESSAGE B
        +33 s
        B< MESSAGE*
        quiet",
    );
}

#[test]
fn non_invite_dropped() {
    message(
        "+600 ms
        B< MESSAGE
        B 200
        A< 200",
    );
}

#[test]
fn non_invite_200_dropped() {
    message(
        "B 200
        A< 200
        A again
        A< 200
        A again
        A< 200",
    );
}

#[test]
fn non_invite_with_180() {
    // No provisional response but 100 goes back to a non-INVITE (RFC 4320 §4.1).
    message(
        "B 180
        B answers again
        quiet
        B 200
        A< 200",
    );
}

#[test]
fn non_invite_200_then_180() {
    message(
        "B 200
        A< 200
        B 180
        quiet",
    );
}

#[test]
fn non_invite_spam_200() {
    message(
        "B 200
        A< 200
        B answers again
        B answers again
        quiet",
    );
}

#[test]
fn non_invite_spam_request() {
    message(
        "A again
        A again
        quiet
        B 200
        A< 200
        A again
        A< 200",
    );
}

#[test]
fn non_invite_with_wrong_method_in_response() {
    message(
        "B edits: CSeq: 1 OPTIONS
        B 200
        quiet
        B 200
        A< 200",
    );
}

/// A CANCEL of what is no INVITE: the transaction goes on as if there were none (RFC 3261 §9.2).
#[test]
fn non_invite_and_cancel() {
    let cancel = "A CANCEL sip:B@example.com: Via: SIP/2.0/UDP 192.0.2.64:5060;branch=z9hG4bKm";
    for before in [true, false] {
        let (early, late) = if before { (cancel, "quiet") } else { ("quiet", cancel) };
        let told = |line: &str| if line == cancel { "A< 481" } else { "quiet" };
        play(&format!(
            "B registers
            A MESSAGE B: Via: SIP/2.0/UDP 192.0.2.64:5060;branch=z9hG4bKm
            B< MESSAGE
            {early}
            {}
            B 200
            A< 200
            {late}
            {}",
            told(early),
            told(late)
        ));
    }
}

/// An ACK of what is no INVITE goes nowhere.
#[test]
fn non_invite_with_ack() {
    play(
        "B registers
        A MESSAGE B: Via: SIP/2.0/UDP 192.0.2.64:5060;branch=z9hG4bKm
        B< MESSAGE
        B 486
        A< 486
        A ACK sip:B@example.com: Via: SIP/2.0/UDP 192.0.2.64:5060;branch=z9hG4bKm
        B< ACK",
    );
}
