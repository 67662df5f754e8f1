//! baresip beside a telephone built on dum: it registers with a password, calls and is called, both sides hold, each side
//! transfers, and each hangs up. It makes no Replaces of a Refer-To: transfers by a second call are Linphone's.

use std::net::SocketAddr;

use dum::auth::ServerAuthOptions;
use dum::invite::Session;
use stack::auth::Algorithm;
use tests::peers::{self, Baresip};

use crate::repro::LIMIT;
use crate::telephone::Telephone;

/// What baresip says when the other side has sent BYE.
const HUNG_UP: &str = "session closed: Connection reset by peer";

#[test]
fn baresip_registers_calls_holds_transfers_and_hangs_up() {
    if !peers::available("baresip") {
        return;
    }
    // It gives up at a challenge whose algorithm it does not know.
    let auth = ServerAuthOptions { algorithms: vec![Algorithm::MD5], ..ServerAuthOptions::default() };
    let (alice, carol) = (Telephone::with("alice", auth), Telephone::start("carol"));
    let local = SocketAddr::from((peers::loopback(), 5060));
    let registrar = alice.address;
    let account = format!("<sip:bob@{registrar}>;auth_user=bob;auth_pass=builder;regint=600");
    let mut baresip = Baresip::with(local, &account, "", &[], &[]).expect("it starts");
    alice.hears(&["registered"]);
    let mut tell = |what: &str| baresip.tell(what).expect("it does so");
    tell(&format!("dial sip:alice@{}", alice.address));
    alice.hears(&["new", "confirmed"]);
    tell("hold");
    alice.hears(&["held"]);
    tell("resume");
    alice.hears(&["taken back"]);
    // The other side holds as well.
    alice.holds(|| ());
    // It sends Alice to Carol, and goes when that has come about.
    tell(&format!("transfer sip:carol@{}", carol.address));
    alice.hears(&["sent elsewhere", "answer"]);
    carol.hears(&["new", "confirmed"]);
    alice.hears(&["they hung up"]);
    // Another call, which it hangs up.
    tell(&format!("dial sip:carol@{}", carol.address));
    carol.hears(&["new", "confirmed"]);
    tell("hangup");
    carol.hears(&["they hung up"]);
    tell("quit");
    alice.hears(&["unregistered"]);
}

#[test]
fn baresip_is_called_held_transferred_and_hung_up() {
    if !peers::available("baresip") {
        return;
    }
    let (alice, carol) = (Telephone::start("alice"), Telephone::start("carol"));
    let local = SocketAddr::from((peers::loopback(), 5060));
    let mut baresip = Baresip::start(local, &[]).expect("it starts");
    // Who calls hangs up.
    alice.calls(local);
    alice.hears(&["answer"]);
    baresip.says("Call established", LIMIT).expect("it takes our ACK");
    alice.does(|call, dum| call.end(dum).expect("it is up"));
    alice.hears(&["we hung up"]);
    baresip.says(HUNG_UP, LIMIT).expect("it takes our BYE");
    alice.calls(local);
    alice.hears(&["answer"]);
    alice.holds(|| ());
    // The called side holds as well.
    baresip.tell("hold").expect("it does so");
    alice.hears(&["held"]);
    baresip.tell("resume").expect("it does so");
    alice.hears(&["taken back"]);
    // Alice sends it to Carol.
    alice.refers_to(&carol);
    alice.has_transferred_to(&carol);
    baresip.says(HUNG_UP, LIMIT).expect("it takes our BYE");
}
