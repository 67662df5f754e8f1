//! A notifier that floods: each NOTIFY is answered, and nothing grows.

use super::*;
use crate::Counts;
use stack::header::p;

const FLOOD: u32 = 10_000;

/// A subscription that one notifier has, and the SUBSCRIBE.
fn subscribed() -> (Bench<App>, Message) {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (transaction, msg) = bench.request();
    answer(&mut bench, (transaction, &msg), 200, ("Expires", "600"));
    assert_eq!(ask(&mut bench, notify(&msg, "one", 1, "active;expires=600")), 200);
    heard(&mut bench);
    (bench, msg)
}

/// What is alive, timers included.
fn alive(bench: &Bench<App>) -> (Counts, usize) {
    (bench.dum.counts(), bench.dum.timers())
}

#[test]
fn within_its_subscription_each_is_told_and_none_stays() {
    let (mut bench, msg) = subscribed();
    let (counts, timers) = alive(&bench);
    let mut most = 0;
    for at in 0..FLOOD {
        // Now longer, now shorter, from another place each time.
        let mut notify = notify(&msg, "one", 2 + at, &format!("active;expires={}", 3600 - at * 7 % 3600));
        notify.remove(h::CONTACTS);
        notify.push_back(h::CONTACTS, &format_args!("<sip:{at}@192.0.2.9>"));
        assert_eq!(ask(&mut bench, notify), 200);
        assert_eq!(heard(&mut bench), ["active "]);
        bench.run(Duration::from_millis(1));
        while !bench.sent.is_empty() {
            let (transaction, refresh) = bench.request();
            answer(&mut bench, (transaction, &refresh), 200, ("Expires", "600"));
        }
        most = most.max(bench.dum.timers());
    }
    // Some that an earlier time has overtaken, each for a minute at most.
    assert!(most < timers + 300, "{most} timers");
    // One of them has said that the end is near.
    while bench.sent.is_empty() {
        bench.run(Duration::from_secs(1));
    }
    let (transaction, refresh) = bench.request();
    answer(&mut bench, (transaction, &refresh), 200, ("Expires", "600"));
    assert_eq!(ask(&mut bench, notify(&msg, "one", 2 + FLOOD, "active;expires=600")), 200);
    bench.run(Duration::from_secs(60));
    assert_eq!(bench.dum.counts(), counts);
    assert!(bench.dum.timers() <= timers, "{} timers", bench.dum.timers());
}

#[test]
fn out_of_order_they_are_500_with_retry_after_and_mean_nothing() {
    let (mut bench, msg) = subscribed();
    assert_eq!(ask(&mut bench, notify(&msg, "one", FLOOD + 1, "active;expires=600")), 200);
    heard(&mut bench);
    let before = alive(&bench);
    for cseq in 1..=FLOOD {
        bench.ask(cseq, notify(&msg, "one", cseq, "terminated;reason=rejected"));
        let (_, response) = bench.response();
        assert_eq!(response.status(), Some(500));
        assert!(response.header(h::RETRY_AFTER).unwrap().seconds <= 10);
    }
    assert_eq!((alive(&bench), heard(&mut bench)), (before, Vec::new()));
}

#[test]
fn in_no_subscription_they_are_481_and_leave_nothing() {
    let (mut bench, msg) = subscribed();
    let before = alive(&bench);
    for at in 0..FLOOD {
        let mut stray = notify(&msg, "one", 100, "active;expires=600");
        match at % 5 {
            0 => stray.set(h::CALL_ID, &format_args!("{at}@elsewhere")),
            1 => stray.set(h::TO, &format_args!("<sip:alice@a>;tag={at}")),
            2 => stray.set(h::TO, "<sip:alice@a>"),
            3 => stray.set(h::EVENT, &format_args!("presence;id={at}")),
            _ => stray.set(h::EVENT, "dialog"),
        }
        assert_eq!(ask(&mut bench, stray), 481, "{at}");
    }
    assert_eq!((alive(&bench), heard(&mut bench)), (before, Vec::new()));
}

#[test]
fn what_cannot_be_read_is_400_and_leaves_nothing() {
    let (mut bench, msg) = subscribed();
    let before = alive(&bench);
    for at in 0..FLOOD / 10 {
        let mut bad = notify(&msg, if at % 2 == 0 { "one" } else { "two" }, 2 + at, "active;expires=600");
        match at % 4 {
            0 => bad.remove(h::SUBSCRIPTION_STATE),
            1 => bad.remove(h::CONTACTS),
            2 => bad.set(h::SUBSCRIPTION_STATE, ";;"),
            _ => bad.append_line("Record-Route", "<<"),
        }
        assert_eq!(ask(&mut bench, bad), 400, "{at}");
    }
    assert_eq!((alive(&bench), heard(&mut bench)), (before, Vec::new()));
}

#[test]
fn forks_have_a_limit_those_that_are_over_too() {
    for state in ["active;expires=600", "terminated;reason=noresource"] {
        let (mut bench, msg) = subscribed();
        let answered: Vec<u16> =
            (0..FLOOD).map(|at| ask(&mut bench, notify(&msg, &format!("fork{at}"), 1, state))).collect();
        let taken = answered.iter().filter(|status| **status == 200).count();
        assert!((31..=32).contains(&taken), "{taken} forks: {state}");
        assert!(answered[taken..].iter().all(|status| *status == 481), "{state}");
        assert!(bench.dum.counts().dialogs <= 32 && bench.dum.counts().subscriptions <= 34, "{state}");
        // All ends.
        let set = bench.dum.application().sets[0];
        bench.with(|_, dum| set.end(dum)).unwrap();
        let unsubscribes: Vec<_> = (0..bench.sent.len()).map(|_| bench.request()).collect();
        for (transaction, unsubscribe) in unsubscribes {
            answer(&mut bench, (transaction, &unsubscribe), 200, ("Expires", "0"));
            let tag = unsubscribe.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
            assert_eq!(ask(&mut bench, notify(&msg, &tag, 2, "terminated;reason=timeout")), 200);
        }
        bench.run(Duration::from_secs(100));
        assert_eq!((bench.dum.counts(), bench.dum.timers()), (Counts::default(), 0), "{state}");
        // And then it is 481 for all of them.
        let late = (0..100).map(|at| ask(&mut bench, notify(&msg, &format!("fork{at}"), 3, state)));
        assert!(late.collect::<Vec<_>>().iter().all(|status| *status == 481));
    }
}

#[test]
fn forks_that_end_together_leave_no_room_for_others() {
    let (mut bench, msg) = subscribed();
    let mut fork = |tag: u32, cseq, state| ask(&mut bench, notify(&msg, &format!("fork{tag}"), cseq, state));
    // Nearly as many are over as may be, and then as many more as are alive.
    assert!((0..31).all(|tag| fork(tag, 1, "terminated") == 200));
    let live: Vec<u32> = (31..100).filter(|tag| fork(*tag, 1, "active") == 200).collect();
    assert_eq!(live.len(), 31);
    assert!(live.iter().all(|tag| fork(*tag, 2, "terminated") == 200));
    assert!((100..FLOOD).all(|tag| fork(tag, 1, "terminated") == 481));
}
