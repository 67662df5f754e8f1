//! User agents built on dum, on real sockets: through the proxy, and with SIPp on the other side.

use std::net::SocketAddr;

use tests::peers::{self, Sipp};

use crate::agent::Agent;
use crate::repro::{LIMIT, address, start};
use crate::telephone::named;

#[test]
fn a_call_between_two_user_agents_through_the_proxy() {
    let repro = start(&[]);
    let alice = Agent::start(Some(&format!("sip:{}", address(&repro, "udp"))));
    let bob = Agent::start(None);
    alice.call(named("bob", bob.address()));
    bob.hears(&["they hung up"]);
}

#[test]
fn sipp_calls_a_user_agent() {
    if !peers::available("sipp") {
        return;
    }
    let agent = Agent::start(None);
    let local = SocketAddr::from((peers::loopback(), 5060));
    let remote = Some(agent.address());
    let more = &["-s", "bob"];
    let caller = Sipp { scenario: "uac_call.xml", local, remote, calls: 25, rate: 50, transport: "u1", more };
    let stats = caller.run(LIMIT).expect("it ends");
    assert_eq!((stats.successful, stats.failed), (25, 0));
    agent.hears(&["they hung up"; 25]);
}

#[test]
fn a_user_agent_calls_sipp() {
    if !peers::available("sipp") {
        return;
    }
    let local = SocketAddr::from((peers::loopback(), 5060));
    let called =
        Sipp { scenario: "uas_call.xml", local, remote: None, calls: 25, rate: 50, transport: "u1", more: &[] };
    let called = called.start().expect("it starts");
    let agent = Agent::start(None);
    for _ in 0..25 {
        agent.call(named("bob", local));
    }
    let stats = called.finish(LIMIT).expect("it ends");
    assert_eq!((stats.successful, stats.failed), (25, 0));
}
