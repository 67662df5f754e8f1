//! INVITEs with Join (RFC 3911 §4).

use super::tests::{App, asked, calling_with, fork, heard, sent, within};
use super::*;
use crate::testing::Bench;
use crate::{Counts, DumOptions};
use stack::header::{h, p};
use stack::tu::TuEvent;

fn options(tags: &[&str]) -> DumOptions {
    let mut options = DumOptions::default();
    for tag in tags {
        options.master.add_option_tag(tag);
    }
    options
}

/// A call of ours that is answered, and the value that names it to somebody else.
fn connected(tags: &[&str]) -> (Bench<App>, String) {
    let (mut bench, transaction, invite) = calling_with(options(tags));
    fork(&mut bench, (transaction, &invite), 200, "one");
    assert_eq!(sent(&mut bench), ["ACK one"]);
    let name = named(&invite, "one");
    heard(&mut bench);
    (bench, name)
}

fn named(invite: &Message, peer: &str) -> String {
    let tag = invite.header(h::FROM).unwrap().param(p::TAG).unwrap().to_owned();
    format!("{};to-tag={tag};from-tag={peer}", invite.header(h::CALL_ID).unwrap().as_str())
}

/// The status by which an INVITE with these lines is refused; none if the application is asked.
fn refused(bench: &mut Bench<App>, lines: &[(&str, &str)]) -> Option<u16> {
    bench.ask(9, asked(|msg| lines.iter().for_each(|(name, value)| msg.append_line(name, value))));
    let status = (!bench.sent.is_empty()).then(|| bench.response().1.status().unwrap());
    assert_eq!(status.is_none(), heard(bench) == ["1 new"]);
    status
}

/// RFC 3891 §3: where the call has ended meanwhile, or another one has its place.
#[test]
fn a_place_is_taken_once() {
    let end: fn(&mut Bench<App>) = |bench| {
        let old = bench.dum.application().calls[0];
        bench.with(|_, dum| old.end(dum)).unwrap();
    };
    let accept = |bench: &mut Bench<App>, at: usize| {
        let call = bench.dum.application().calls[at].as_server();
        let answer = Sdp::parse(&super::tests::SDP.into()).unwrap();
        bench.with(|_, dum| call.provide_answer(dum, &answer).and_then(|()| call.accept(dum)))
    };
    for (over, at) in [(Some(end), 1), (None, 2)] {
        let (mut bench, name) = connected(&["replaces"]);
        for number in 1..=at {
            let invite = |msg: &mut Message| {
                msg.set(h::CALL_ID, format!("another-{number}").as_str());
                msg.append_line("Replaces", &name);
            };
            bench.ask(number, asked(invite));
        }
        match over {
            Some(end) => end(&mut bench),
            None => accept(&mut bench, 1).unwrap(),
        }
        assert_eq!(sent(&mut bench), if over.is_some() { vec!["BYE one"] } else { vec!["200", "BYE one"] });
        heard(&mut bench);
        let second = usize::try_from(at).unwrap();
        assert_eq!(accept(&mut bench, second), Err(SessionError::Ended(crate::UsageEnded)));
        assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["603".to_owned()], vec![format!("{at} Rejected")]));
    }
}

#[test]
fn who_cannot_be_joined_says_so() {
    let (mut bench, name) = connected(&["replaces"]);
    let counts = bench.dum.counts();
    for (value, status) in [
        (&*name, 488),
        ("nobody;to-tag=1;from-tag=2", 481),
        (&*name.replace("from-tag=one", "from-tag=other"), 481),
        // What cannot be read, or names no dialog.
        ("x;to-tag=1", 400),
        (";;", 400),
        (&*format!("{name}, {name}"), 400),
    ] {
        assert_eq!(refused(&mut bench, &[("Join", value)]), Some(status), "{value}");
    }
    assert_eq!(refused(&mut bench, &[("Join", &name), ("Join", &name)]), Some(400), "two");
    assert_eq!(refused(&mut bench, &[("Join", &name), ("Replaces", &name)]), Some(400), "or in its place");
    assert_eq!(refused(&mut bench, &[("Join", &name), ("Require", "join")]), Some(420));
    assert_eq!(refused(&mut bench, &[("Replaces", &name), ("Replaces", &name)]), Some(400));
    for method in [Method::Options, Method::Update] {
        for header in ["Join", "Replaces"] {
            let mut msg = within(&method, 5, "none");
            msg.set(h::TO, "<sip:alice@192.0.2.1>");
            msg.append_line(header, &name);
            bench.ask(10, msg);
            assert_eq!(bench.response().1.status(), Some(400), "{method:?} {header}");
        }
    }
    assert_eq!(bench.dum.counts(), counts);
    // Who does not know Replaces at all goes by it.
    let (mut bench, name) = connected(&[]);
    assert_eq!(refused(&mut bench, &[("Replaces", &name), ("Replaces", &name)]), None);
}

#[test]
fn who_can_be_joined_is_told_of_the_call() {
    let (mut bench, name) = connected(&["join"]);
    assert_eq!(refused(&mut bench, &[("Join", "nobody;to-tag=1;from-tag=2")]), Some(481));
    assert_eq!(refused(&mut bench, &[("Join", &name), ("Require", "join")]), None);
    let [first, second] = bench.dum.application().calls[..] else { panic!("two calls") };
    let joins = |bench: &mut Bench<App>| bench.with(|_, dum| second.as_server().joined_call(dum));
    assert_eq!(joins(&mut bench), Some(first));
    assert_eq!(bench.with(|_, dum| first.as_server().joined_call(dum)), None);
    // The one that is to be joined is ending.
    bench.with(|_, dum| first.end(dum)).unwrap();
    let (transaction, bye) = bench.request();
    assert_eq!(joins(&mut bench), None);
    bench.ask(11, asked(|msg| msg.append_line("Join", &name)));
    assert_eq!(bench.response().1.status(), Some(603));
    bench.respond(transaction, &bye, 200);
    bench.with(|_, dum| second.as_server().reject(dum, 486, |_| {})).unwrap();
    assert_eq!(bench.response().1.status(), Some(486));
    assert_eq!(bench.with(|_, dum| second.as_server().joined_call(dum)), None);
}

#[test]
fn an_early_dialog_can_be_joined_where_it_began() {
    // Ours may be.
    let (mut bench, transaction, invite) = calling_with(options(&["join"]));
    fork(&mut bench, (transaction, &invite), 180, "one");
    heard(&mut bench);
    assert_eq!(refused(&mut bench, &[("Join", &named(&invite, "one"))]), None);
    // One that rings here may not.
    let mut bench = Bench::with_options(App::default(), options(&["join"]));
    bench.ask(1, asked(|msg| msg.set(h::CALL_ID, "ringing")));
    let call = bench.dum.application().calls[0].as_server();
    bench.with(|_, dum| call.provisional(dum, 180)).unwrap();
    let (_, ringing) = bench.response();
    let tag = |value: Option<&str>| value.unwrap().to_owned();
    let (to, from) =
        (tag(ringing.header(h::TO).unwrap().param(p::TAG)), tag(ringing.header(h::FROM).unwrap().param(p::TAG)));
    heard(&mut bench);
    let lines = format!("ringing;to-tag={to};from-tag={from}");
    assert_eq!(refused(&mut bench, &[("Join", &lines)]), Some(481));
    bench.with(|_, dum| call.reject(dum, 486, |_| {})).unwrap();
    bench.response();
    let transaction = stack::tu::testing::Harness::server(1);
    bench.event(TuEvent::ServerEnded { transaction });
    assert_eq!(bench.dum.counts(), Counts::default());
}
