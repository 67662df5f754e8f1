//! Linphone beside a telephone built on dum: it registers with a password, calls and is called, both sides hold, each side
//! transfers, also by a second call, and it hangs up.

use std::net::SocketAddr;

use dum::invite::Session;
use tests::peers::{self, Linphone};

use crate::repro::LIMIT;
use crate::telephone::{Telephone, named};

/// Alice, Carol and Linphone, and where that is.
fn there(args: &[&str]) -> (Telephone, Telephone, Linphone, SocketAddr) {
    let local = SocketAddr::from((peers::loopback(), 5060));
    let linphone = Linphone::start(local, args).expect("it starts");
    (Telephone::start("alice"), Telephone::start("carol"), linphone, local)
}

/// Alice has called Linphone, which answers by itself.
fn called() -> (Telephone, Telephone, Linphone) {
    let (alice, carol, mut linphone, local) = there(&["-a"]);
    alice.calls(local);
    alice.hears(&["answer"]);
    linphone.says("connected", LIMIT).expect("it is up");
    (alice, carol, linphone)
}

/// It is told to do something, and says that it does so.
fn tell(linphone: &mut Linphone, what: &str, says: &str) {
    linphone.tell(what).expect("it reads");
    if !says.is_empty() {
        linphone.says(says, LIMIT).expect(says);
    }
}

#[test]
fn linphone_registers_calls_holds_transfers_and_hangs_up() {
    if !peers::available("linphonec") {
        return;
    }
    let (alice, carol, mut linphone, _) = there(&[]);
    let mut tell = |what: String, says: &str| tell(&mut linphone, &what, says);
    let (to, elsewhere) = (alice.address.ip(), carol.address.ip());
    tell(format!("register sip:bob@{to} sip:{to} builder"), "");
    alice.hears(&["registered"]);
    tell(format!("call sip:alice@{to}"), "connected");
    alice.hears(&["new", "confirmed"]);
    tell("pause".into(), "is now paused");
    alice.hears(&["held"]);
    tell("resume".into(), "Resuming call");
    alice.hears(&["taken back"]);
    // The other side holds as well.
    alice.holds(|| ());
    // It sends Alice to Carol, and goes.
    tell(format!("transfer sip:carol@{elsewhere}"), "");
    alice.hears(&["sent elsewhere", "answer"]);
    carol.hears(&["new", "confirmed"]);
    tell("quit".into(), "");
    alice.hears(&["they hung up", "unregistered"]);
}

#[test]
fn linphone_is_called_held_transferred_and_hung_up() {
    if !peers::available("linphonec") {
        return;
    }
    let (alice, carol, mut linphone) = called();
    alice.holds(|| linphone.says("paused by", LIMIT).expect("it hears of the hold"));
    // Alice sends it to Carol.
    alice.refers_to(&carol);
    // It holds the call while it makes the other one.
    alice.hears(&["held"]);
    alice.has_transferred_to(&carol);
    linphone.says("ended", LIMIT).expect("it takes our BYE");
}

/// Linphone is asked to take our place in another call (RFC 5589 §7): its INVITE names that one in Replaces.
#[test]
fn linphone_takes_our_place_in_another_call() {
    if !peers::available("linphonec") {
        return;
    }
    let (alice, carol, _linphone) = called();
    alice.changes(|call, dum| call.hold(dum));
    alice.hears(&["answer"]);
    alice.calls_other(named("carol", carol.address));
    carol.hears(&["new", "confirmed"]);
    alice.hears(&["answer"]);
    alice.does_with_calls(|calls, dum| {
        calls[0].refer_to_call(dum, calls[1]).expect("both have dialogs");
    });
    carol.hears(&["new, in place of another", "replaced", "confirmed"]);
}

/// Linphone gives us its place in another call, and is replaced in one itself.
#[test]
fn linphone_gives_us_its_place_in_another_call() {
    if !peers::available("linphonec") {
        return;
    }
    let (alice, carol, mut linphone, _) = there(&[]);
    let mut tell = |what: String, says: &str| tell(&mut linphone, &what, says);
    tell(format!("call sip:alice@{}", alice.address.ip()), "connected");
    alice.hears(&["new", "confirmed"]);
    tell("pause".into(), "is now paused");
    alice.hears(&["held"]);
    tell(format!("call sip:carol@{}", carol.address.ip()), "connected");
    carol.hears(&["new", "confirmed"]);
    tell("transfer 1 --to-call 2".into(), "");
    alice.hears(&["sent elsewhere"]);
    carol.hears(&["new, in place of another", "replaced", "confirmed"]);
}
