//! SIPp against SIPp: the scenarios agree with each other before they are turned on the stack.

use std::net::SocketAddr;
use std::time::Duration;

use tests::peers::{self, Sipp, SippError};

const LIMIT: Duration = Duration::from_secs(30);

fn side(scenario: &str, calls: u32, remote: Option<SocketAddr>) -> Sipp<'_> {
    let local = (peers::loopback(), 5060).into();
    Sipp { scenario, local, remote, calls, rate: 20, transport: "u1", more: &[] }
}

#[test]
fn calls_between_two_sipps_all_succeed() {
    if !peers::available("sipp") {
        return;
    }
    let called = side("uas_call.xml", 10, None);
    let caller = side("uac_call.xml", 10, Some(called.local));
    let called = called.start().expect("the called side starts");
    let stats = caller.run(LIMIT).expect("the caller ends");
    assert_eq!((stats.successful, stats.failed), (10, 0));
    let stats = called.finish(LIMIT).expect("the called side ends");
    assert_eq!((stats.successful, stats.failed), (10, 0));
}

/// The count can be wrong: nobody listens, so no call may be counted as a success.
#[test]
fn calls_to_nobody_do_not_succeed() {
    if !peers::available("sipp") {
        return;
    }
    let nobody = SocketAddr::from((peers::loopback(), 5060));
    let mut caller = side("uac_call.xml", 1, Some(nobody));
    caller.more = &["-max_retrans", "1"];
    match caller.run(LIMIT) {
        Ok(stats) => assert_eq!((stats.successful, stats.failed), (0, 1)),
        Err(error) => assert!(!matches!(error, SippError::Start(_)), "{error:?}"),
    }
}
