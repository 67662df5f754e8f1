//! The registrar.

use crate::fixture::play_with;
use crate::play;
use repro::config::{Config, Registrar};

const REGISTER: &str = "REGISTER sip:example.com";

/// A registers with what each line says, and must get what stands behind the arrow.
fn registers(exchanges: &[(&str, &str)]) {
    let script: Vec<String> = exchanges.iter().map(|(sent, got)| format!("A {REGISTER}: {sent}\nA< {got}")).collect();
    play(&script.join("\n"));
}

#[test]
fn register_basic() {
    registers(&[("Contact: <sip:a@192.0.2.64>", "200: Contact: <sip:a@192.0.2.64>;expires=3600")]);
}

#[test]
fn multiple_and_mixed_expires() {
    registers(&[(
        "Contact: <sip:a@192.0.2.64>;expires=100, <sip:b@192.0.2.64>;expires=200",
        "200: Contact: <sip:a@192.0.2.64>;expires=100 / Contact: <sip:b@192.0.2.64>;expires=200",
    )]);
}

#[test]
fn details_of_q_and_expires() {
    registers(&[
        ("Contact: <sip:a@192.0.2.64>;q=0.3;expires=100", "200: Contact: <sip:a@192.0.2.64>;q=0.3;expires=100"),
        ("Contact: <sip:a@192.0.2.64>;q=0.9;expires=100", "200: Contact: <sip:a@192.0.2.64>;q=0.9;expires=100"),
    ]);
}

#[test]
fn refresh_and_refresh_of_several() {
    registers(&[
        ("Contact: <sip:a@192.0.2.64>;expires=100", "200: Contact: <sip:a@192.0.2.64>;expires=100"),
        ("Contact: <sip:a@192.0.2.64>;expires=300", "200: Contact: <sip:a@192.0.2.64>;expires=300"),
        (
            "Contact: <sip:a@192.0.2.64>;expires=400, <sip:b@192.0.2.64>;expires=500",
            "200: Contact: <sip:a@192.0.2.64>;expires=400 / Contact: <sip:b@192.0.2.64>;expires=500",
        ),
    ]);
}

#[test]
fn set_then_remove_specific() {
    registers(&[
        ("Contact: <sip:a@192.0.2.64>, <sip:b@192.0.2.64>", "200"),
        ("Contact: <sip:a@192.0.2.64>;expires=0", "200: Contact: <sip:b@192.0.2.64>;expires=3600"),
    ]);
}

#[test]
fn unregister_all() {
    play(&format!(
        "B registers
        B {REGISTER}: Contact: *
        B< 400
        B {REGISTER}: Contact: *;expires=0
        B< 400
        B is gone
        A MESSAGE B
        A< 500"
    ));
    play(&format!(
        "B {REGISTER}: Contact: <sip:B@192.0.2.65>
        B< 200
        B {REGISTER}: Contact: <sip:B@192.0.2.65>;expires=0
        B< 200
        A MESSAGE B
        A< 480
        B registers
        B {REGISTER}: Contact: * / Expires: 0
        B< 200
        A MESSAGE B
        A< 480"
    ));
}

#[test]
fn fetch() {
    registers(&[
        ("Contact: <sip:a@192.0.2.64>;expires=100", "200"),
        ("Subject: nothing", "200: Contact: <sip:a@192.0.2.64>;expires=100"),
    ]);
}

#[test]
fn unregister_expired_and_expiry_clean_up() {
    play(&format!(
        "B {REGISTER}: Contact: <sip:B@192.0.2.65>;expires=60
        B< 200
        +61 s
        A MESSAGE B
        A< 480
        B {REGISTER}: Contact: <sip:B@192.0.2.65>;expires=0
        B< 200
        B registers
        A MESSAGE B
        B< MESSAGE
        B 200
        A< 200"
    ));
}

#[test]
fn third_party_registration() {
    // By whom it is allowed is the configuration's: here every source is trusted.
    play(
        "C registers as B
        A MESSAGE B
        C< MESSAGE
        C 200
        A< 200",
    );
}

#[test]
fn register_client_retransmits() {
    play(&format!(
        "A {REGISTER}: Contact: <sip:a@192.0.2.64>
        A< 200
        A again
        A< 200"
    ));
}

#[test]
fn oversize_call_id_and_contact() {
    registers(&[(&format!("Call-ID: {}", "x".repeat(300)), "400")]);
    registers(&[(&format!("Contact: <sip:{}@192.0.2.64>", "x".repeat(2000)), "400")]);
}

#[test]
fn too_brief_and_too_many() {
    let registrar = Registrar { min_expires: 60, max_contacts: 1, ..Registrar::default() };
    let config = Config { registrar, ..Config::default() };
    play_with(
        config,
        &format!(
            "A {REGISTER}: Contact: <sip:a@192.0.2.64>;expires=10
            A< 423: Min-Expires: 60
            A {REGISTER}: Contact: <sip:a@192.0.2.64>, <sip:b@192.0.2.64>
            A< 403"
        ),
    );
}

#[test]
fn what_is_not_ours_is_not_registered() {
    play(
        "A REGISTER sip:192.0.2.1
        A< 200
        A REGISTER sip:192.0.2.1: To: <sip:A@elsewhere.example>
        A< 404
        A REGISTER sip:192.0.2.1: To: <tel:+1>
        A< 400",
    );
}
