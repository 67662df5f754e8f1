//! Calls between two phones.

use crate::play;

const CALL: &str = "B registers
    A INVITE B
    B< INVITE
    B 180
    A< 180
    B 200
    A< 200
    A ACK
    B< ACK";

fn after_call(rest: &str) {
    play(&format!("{CALL}\n{rest}"));
}

#[test]
fn invite_basic() {
    after_call("quiet");
}

#[test]
fn invite_caller_hangs_up() {
    after_call(
        "A BYE
        B< BYE
        B 200
        A< 200",
    );
}

#[test]
fn invite_callee_hangs_up() {
    after_call(
        "B BYE
        A< BYE
        A 200
        B< 200",
    );
}

#[test]
fn info() {
    after_call(
        "A INFO
        B< INFO
        B 200
        A< 200",
    );
}

/// Each pair of transports, hung up by either side.
#[test]
fn invite_udp_tcp_tls_either_hangs_up() {
    for caller in ["udp", "tcp", "tls"] {
        for callee in ["udp", "tcp", "tls"] {
            for (one, other) in [("A", "B"), ("B", "A")] {
                let uri = if callee == "tls" { "sips:B@example.com" } else { "B" };
                if callee == "tls" && caller != "tls" {
                    // A sips URI is not for a caller in clear.
                    continue;
                }
                play(&format!(
                    "B/{callee} registers
                    A/{caller} INVITE {uri}
                    B< INVITE
                    B 200
                    A< 200
                    A ACK
                    B< ACK
                    {one} BYE
                    {other}< BYE
                    {other} 200
                    {one}< 200"
                ));
            }
        }
    }
}

#[test]
fn invite_caller_cancels() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 180
        A< 180
        A CANCEL
        A< 200
        B< CANCEL
        B 200
        B 487 INVITE
        A< 487
        B< ACK",
    );
}

#[test]
fn invite_caller_cancels_no_487() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 180
        A< 180
        A CANCEL
        A< 200
        B< CANCEL
        B 200
        +33 s
        A< 487",
    );
}

#[test]
fn invite_cancel_before_1xx() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        A CANCEL
        A< 200
        quiet
        B 180
        A< 180
        B< CANCEL
        B 200
        B 487 INVITE
        A< 487
        B< ACK",
    );
}

#[test]
fn invite_cancel_before_1xx_no_487_or_1xx() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        A CANCEL
        A< 200
        +33 s
        B< INVITE*
        A< 487",
    );
}

#[test]
fn invite_200_beats_cancel() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 180
        A< 180
        B 200
        A CANCEL
        A< 200
        A< 200
        A ACK
        B< ACK",
    );
}

#[test]
fn invite_200_beats_cancel_on_its_way_to_the_callee() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 180
        A< 180
        A CANCEL
        A< 200
        B< CANCEL
        B 481
        B 200 INVITE
        A< 200
        A ACK
        B< ACK",
    );
}

#[test]
fn invite_failure_beats_cancel() {
    for code in [486, 503] {
        let told = if code == 503 { 500 } else { code };
        play(&format!(
            "B registers
            A INVITE B
            B< INVITE
            B 180
            A< 180
            B {code}
            B< ACK
            A CANCEL
            A< {told}
            A< 200"
        ));
        play(&format!(
            "B registers
            A INVITE B
            B< INVITE
            B 180
            A< 180
            A CANCEL
            A< 200
            B< CANCEL
            B 481
            B {code} INVITE
            B< ACK
            A< {told}"
        ));
    }
}

/// Each failure goes back as it is, but a 503, which would say that the proxy is overloaded.
#[test]
fn invite_failures() {
    for (code, told) in [(486, 486), (404, 404), (488, 488), (480, 480), (500, 500), (503, 500), (600, 600), (603, 603)]
    {
        play(&format!(
            "B registers
            A INVITE B
            B< INVITE
            B 180
            A< 180
            B {code}
            B< ACK
            A< {told}"
        ));
    }
}

#[test]
fn invite_not_found() {
    play(
        "A INVITE B
        A< 404",
    );
}

#[test]
fn invite_server_dead() {
    play(
        "B registers
        B is gone
        A INVITE B
        A< 500",
    );
    play(
        "B registers
        A INVITE B
        +33 s
        B< INVITE*
        A< 408",
    );
}

#[test]
fn invite_server_spams_180() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 180
        A< 180
        B answers again
        A< 180
        B answers again
        A< 180
        B 200
        A< 200
        A ACK
        B< ACK",
    );
}

#[test]
fn invite_server_sends_180_after_200() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 200
        A< 200
        A ACK
        B< ACK
        B 180
        quiet",
    );
}

#[test]
fn invite_server_spams_200() {
    after_call(
        "B answers again
        A< 200
        A ACK
        B< ACK
        B answers again
        A< 200
        A ACK
        B< ACK",
    );
}

#[test]
fn invite_server_retransmits_failure() {
    for (code, told) in [(486, 486), (503, 500), (603, 603)] {
        play(&format!(
            "B registers
            A INVITE B
            B< INVITE
            B {code}
            B< ACK
            A< {told}
            B answers again
            B< ACK
            B answers again
            B< ACK"
        ));
    }
}

#[test]
fn invite_client_spams_invite() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        A again INVITE
        A again INVITE
        B 180
        A< 180
        A again INVITE
        A< 180
        B 200
        A< 200
        A ACK
        B< ACK
        A again INVITE",
    );
}

#[test]
fn invite_client_missed_ack() {
    play(
        "B registers
        A is silent
        A INVITE B
        B< INVITE
        B 486
        B< ACK
        A< 486
        +600 ms
        A< 486
        +1 s
        A< 486
        A ACK
        +32 s
        quiet",
    );
}

#[test]
fn invite_client_late_ack() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 200
        A< 200
        +2 s
        B answers again
        A< 200
        A ACK
        B< ACK",
    );
}

#[test]
fn invite_client_spams_ack_200() {
    after_call(
        "A again
        B< ACK
        A again
        B< ACK",
    );
}

#[test]
fn invite_1xx_dropped() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        +600 ms
        B< INVITE
        B 200
        A< 200
        A ACK
        B< ACK",
    );
}

#[test]
fn invite_no_answer_timer_c() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 180
        A< 180
        +186 s
        B< CANCEL*
        B 200
        B 487 INVITE
        B< ACK
        A< 487",
    );
}

#[test]
fn invite_client_dies_after_first_invite() {
    // Nobody acknowledges: the proxy repeats the failure for 64·T1 and gives up.
    play(
        "B registers
        A is silent
        A INVITE B
        B< INVITE
        B 486
        B< ACK
        +33 s
        A< 486*
        +40 s
        quiet",
    );
}

#[test]
fn supported_and_unsupported_proxy_require() {
    play(
        "B registers
        A INVITE B: Proxy-Require: monkey
        A< 420: Unsupported: monkey
        A INVITE B: Supported: monkey
        B< INVITE: Supported: monkey
        B 486
        B< ACK
        A< 486",
    );
}

#[test]
fn invite_for_rport() {
    play(
        "B registers
        A is silent
        A INVITE B: Via: SIP/2.0/UDP 10.1.1.1:9999;rport;branch=z9hG4bKnat
        B< INVITE: Via: SIP/2.0/UDP 192.0.2.1:5060
        B 486
        B< ACK
        A< 486: Via: SIP/2.0/UDP 10.1.1.1:9999;rport=5060;received=192.0.2.64;branch=z9hG4bKnat
        A ACK: Via: SIP/2.0/UDP 10.1.1.1:9999;rport;branch=z9hG4bKnat",
    );
}

#[test]
fn early_media() {
    play(
        "B registers
        A INVITE B
        B< INVITE
        B 183
        A< 183
        A PRACK
        B< PRACK
        B 200
        A< 200
        B 200 INVITE
        A< 200
        A ACK
        B< ACK",
    );
}

#[test]
fn routing_basic() {
    play(
        "A INVITE sip:x@192.0.2.65: Route: <sip:192.0.2.1;lr>, <sip:192.0.2.66;lr>
        C< INVITE: Route: <sip:192.0.2.66;lr>
        C 486
        C< ACK
        A< 486",
    );
}

#[test]
fn spiral() {
    play(
        "C registers
        B registers
        A INVITE sip:B@example.com: Route: <sip:192.0.2.1;lr>, <sip:192.0.2.66;lr>
        C< INVITE
        C 486
        C< ACK
        A< 486",
    );
}
