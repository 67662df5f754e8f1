//! What the application adds to responses of a call that it is asked to take.

use super::ears::{Ears, call, options, sdp};
use super::tests::{asked, within};
use super::*;
use crate::testing::Bench;
use stack::header::{h, p};
use std::time::Duration;

/// What a response says of whom it came from, in a header of the application's.
fn said(msg: &Message) -> Vec<String> {
    msg.raw_values("Alert-Info").map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

fn say(what: &'static str) -> impl FnOnce(&mut Message) + Send + 'static {
    move |msg| msg.append_line("Alert-Info", what)
}

/// The response that was sent: its status and what it says.
fn sent(bench: &mut Bench<Ears>) -> (u16, Vec<String>) {
    let (_, msg) = bench.response();
    (msg.status().unwrap(), said(&msg))
}

#[test]
fn each_has_what_was_added_to_it() {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(|_| {}));
    let call = call(&bench).as_server();
    bench.with(|_, dum| call.provisional_with(dum, 180, say("<urn:1>"))).unwrap();
    assert_eq!(sent(&mut bench), (180, vec!["<urn:1>".to_owned()]));
    // RFC 3261 §13.3.1.1: it is the one that is repeated.
    bench.run(Duration::from_secs(61));
    assert_eq!(sent(&mut bench), (180, vec!["<urn:1>".to_owned()]));
    bench.with(|_, dum| call.provide_answer(dum, &sdp(2000))).unwrap();
    bench.with(|_, dum| call.early_media_with(dum, 183, say("<urn:2>"))).unwrap();
    assert_eq!(sent(&mut bench), (183, vec!["<urn:2>".to_owned()]));
    bench.with(|_, dum| call.provisional(dum, 180)).unwrap();
    assert_eq!(sent(&mut bench), (180, vec![]));
    bench
        .with(|_, dum| {
            call.accept_with(dum, |msg| {
                // All is there that will be.
                assert!(!msg.body().is_empty() && msg.exists(h::SESSION_EXPIRES));
                msg.append_line("Alert-Info", "<urn:3>");
            })
        })
        .unwrap();
    for _ in 0..2 {
        assert_eq!(sent(&mut bench), (200, vec!["<urn:3>".to_owned()]));
        bench.run(Duration::from_millis(600));
    }
}

/// What has to wait for a PRACK is changed when it leaves.
#[test]
fn what_waits_has_it_too() {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(|msg| msg.push_back(h::SUPPORTEDS, "100rel")));
    let call = call(&bench).as_server();
    bench.with(|_, dum| call.provide_answer(dum, &sdp(2000))).unwrap();
    bench
        .with(|_, dum| {
            call.early_media_with(dum, 183, say("<urn:1>"))?;
            call.provisional_with(dum, 180, say("<urn:2>"))?;
            call.provisional(dum, 182)
        })
        .unwrap();
    let mut tag = String::new();
    for (number, expected) in (2..).zip([(183, "<urn:1>"), (180, "<urn:2>"), (182, "")]) {
        let (_, response) = bench.response();
        assert_eq!((response.status(), said(&response).concat()), (Some(expected.0), expected.1.to_owned()));
        if expected.0 == 182 {
            bench.with(|_, dum| call.accept_with(dum, say("<urn:3>"))).unwrap();
            assert_eq!(bench.with(|_, dum| call.accept_with(dum, say("<urn:4>"))), Err(SessionError::NotNow));
        }
        bench.nothing_sent();
        tag = response.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
        let mut prack = within(&Method::Prack, number, &tag);
        prack.set(h::RACK, &format!("{} 1 INVITE", response.header(h::RSEQ).unwrap().0));
        bench.ask(number, prack);
        assert_eq!(sent(&mut bench), (200, vec![]), "the PRACK");
    }
    assert_eq!(sent(&mut bench), (200, vec!["<urn:3>".to_owned()]));
    bench.event(stack::tu::TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    assert!(bench.with(|_, dum| call.is_connected(dum)));
}
