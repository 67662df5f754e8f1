//! What a subscriber makes of notifiers that a test plays.

use super::*;
use stack::header::p;
use stack::tu::NoResponse;
use std::time::Duration;

const OK: (&str, &str) = ("Expires", "600");

fn counts(bench: &Bench<App>) -> (usize, usize) {
    (bench.dum.counts().subscriptions, bench.dum.counts().dialogs)
}

#[test]
fn the_subscribe_says_what_is_understood() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (_, msg) = bench.request();
    let said = ["Event", "Accept", "Expires", "Allow-Events"].map(|name| value(&msg, name));
    assert_eq!(said, ["presence", "text/plain", "600", "presence, dialog"]);
    assert!(msg.exists(h::CONTACTS));
}

#[test]
fn the_first_notify_may_overtake_the_answer() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (transaction, request) = bench.request();
    assert_eq!(ask(&mut bench, notify(&request, "one", 7, "active;expires=300")), 200);
    assert_eq!(heard(&mut bench), ["new", "active "]);
    answer(&mut bench, (transaction, &request), 200, OK);
    assert_eq!((heard(&mut bench).len(), counts(&bench)), (0, (2, 1)));
    // The refresh goes to the NOTIFY's Contact, in its dialog, before the 300 s that the NOTIFY said.
    while bench.sent.is_empty() {
        bench.run(Duration::from_secs(1));
    }
    assert!((216..=270).contains(&(bench.stack.now.as_millis() / 1000)));
    let (_, refresh) = bench.request();
    assert_eq!(refresh.request_uri().unwrap().to_string(), "sip:one@192.0.2.9");
    assert_eq!(refresh.header(h::TO).unwrap().param(p::TAG), Some("one"));
    assert_eq!((value(&refresh, "CSeq"), value(&refresh, "Event")), ("2 SUBSCRIBE".into(), "presence".into()));
    bench.nothing_sent();
}

/// RFC 6665 §4.1.2.1: the answer says how long it lasts, also when the NOTIFY that overtakes it does not.
#[test]
fn an_answer_after_the_notify_says_how_long_it_lasts() {
    let mut bench = bench();
    subscribe(&mut bench, 3600);
    let (transaction, request) = bench.request();
    assert_eq!(ask(&mut bench, notify(&request, "one", 7, "active")), 200);
    answer(&mut bench, (transaction, &request), 200, ("Expires", "100"));
    bench.run(Duration::from_secs(91));
    assert_eq!(value(&bench.request().1, "CSeq"), "2 SUBSCRIBE");
    // A NOTIFY overtakes that answer as well: the old end is none.
    assert_eq!(ask(&mut bench, notify(&request, "one", 8, "active;expires=100")), 200);
    bench.run(Duration::from_secs(60));
    assert_eq!(heard(&mut bench), ["new", "active ", "active "]);
    bench.run(Duration::from_secs(60));
    assert_eq!(heard(&mut bench), ["over Timeout -", "retry Some(0)"]);
}

#[test]
fn a_notifier_that_wants_to_be_left_alone_is_not_asked_anew_before() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (transaction, request) = bench.request();
    answer(&mut bench, (transaction, &request), 200, OK);
    ask(&mut bench, notify(&request, "one", 1, "active;expires=600"));
    while bench.sent.is_empty() {
        bench.run(Duration::from_secs(1));
    }
    let (transaction, refresh) = bench.request();
    answer(&mut bench, (transaction, &refresh), 503, ("Retry-After", "1000"));
    let refused = bench.stack.now;
    bench.run(Duration::from_secs(900));
    assert!(heard(&mut bench).contains(&"over Timeout -".to_owned()));
    bench.nothing_sent();
    while bench.sent.is_empty() {
        bench.run(Duration::from_secs(1));
    }
    assert!((998..=1002).contains(&(bench.stack.now - refused).as_secs()));
}

#[test]
fn who_ended_it_asks_for_no_longer_time() {
    let mut bench = bench();
    let set = subscribe(&mut bench, 30);
    let (transaction, request) = bench.request();
    bench.with(|_, dum| set.end(dum)).unwrap();
    answer(&mut bench, (transaction, &request), 423, ("Min-Expires", "60"));
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["failure Refused(423)", "ended"]);
}

#[test]
fn a_notifier_that_wants_more_each_time_is_not_asked_without_end() {
    let mut bench = bench();
    subscribe(&mut bench, 30);
    for least in ["60", "61"] {
        let (transaction, request) = bench.request();
        answer(&mut bench, (transaction, &request), 423, ("Min-Expires", least));
    }
    bench.nothing_sent();
    assert_eq!(heard(&mut bench)[0], "failure Refused(423)");
}

#[test]
fn each_fork_is_a_subscription_until_timer_n() {
    let mut bench = bench();
    let set = subscribe(&mut bench, 600);
    let (transaction, request) = bench.request();
    for (tag, state) in [("one", "active"), ("two", "pending"), ("three", "asleep")] {
        assert_eq!(ask(&mut bench, notify(&request, tag, 1, state)), 200);
    }
    answer(&mut bench, (transaction, &request), 200, OK);
    assert_eq!(heard(&mut bench), ["new", "active ", "new", "pending", "new", "extension"]);
    let subs = bench.dum.application().subs.clone();
    bench.with(|_, dum| assert_eq!(set.subscriptions(dum).unwrap(), subs));
    // One of them ends; the others stay.
    assert_eq!(ask(&mut bench, notify(&request, "two", 2, "terminated;reason=rejected")), 200);
    assert_eq!(heard(&mut bench), ["over Terminated(Rejected) "]);
    // What it sent before and comes late is not another fork.
    assert_eq!(ask(&mut bench, notify(&request, "two", 1, "pending")), 481);
    assert!(heard(&mut bench).is_empty());
    bench.run(Duration::from_secs(33));
    assert_eq!(ask(&mut bench, notify(&request, "four", 1, "active")), 481);
    assert_eq!(ask(&mut bench, notify(&request, "one", 2, "active")), 200);
    assert_eq!(counts(&bench), (3, 2));
}

#[test]
fn what_nobody_asked_for_is_481_and_what_is_unreadable_400() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (_, request) = bench.request();
    assert_eq!(ask(&mut bench, notify(&request, "one", 1, "")), 400, "no Subscription-State");
    let mut other = notify(&request, "one", 1, "active");
    other.set(h::EVENT, "dialog");
    assert_eq!(ask(&mut bench, other.clone()), 481);
    let mut stray = notify(&request, "one", 1, "active");
    stray.set(h::CALL_ID, "nobody");
    assert_eq!(ask(&mut bench, stray.clone()), 481);
    stray.set(h::TO, "<sip:alice@a>");
    assert_eq!(ask(&mut bench, stray), 481);
    let mut homeless = notify(&request, "one", 1, "active");
    homeless.remove(h::CONTACTS);
    assert_eq!(ask(&mut bench, homeless), 400);
    let mut html = notify(&request, "one", 1, "active");
    html.set_body(Some("text/html"), "<p>");
    assert_eq!(ask(&mut bench, html), 415);
    assert_eq!((counts(&bench), heard(&mut bench).len()), ((1, 0), 0));
    // In the dialog the same counts.
    assert_eq!(ask(&mut bench, notify(&request, "one", 5, "active")), 200);
    assert_eq!(ask(&mut bench, notify(&request, "one", 6, "")), 400);
    assert_eq!(ask(&mut bench, other), 500, "its CSeq is out of order");
    assert_eq!(counts(&bench), (2, 1));
}

#[test]
fn a_notify_out_of_order_is_not_told() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (_, request) = bench.request();
    assert_eq!(ask(&mut bench, notify(&request, "one", 9, "active")), 200);
    heard(&mut bench);
    bench.ask(1, notify(&request, "one", 8, "terminated"));
    let (_, refused) = bench.response();
    assert_eq!(refused.status(), Some(500));
    assert!(refused.header(h::RETRY_AFTER).unwrap().seconds <= 10);
    assert_eq!(ask(&mut bench, notify(&request, "one", 20, "active")), 200);
    assert_eq!(heard(&mut bench), ["active "]);
}

#[test]
fn nothing_comes_of_it() {
    // Refused; with Retry-After it is tried again.
    for (status, line, expected) in [
        (489, ("Allow-Events", "dialog"), vec!["failure Refused(489)", "retry None", "ended"]),
        (503, ("Retry-After", "40"), vec!["failure Refused(503)", "retry Some(40)"]),
        (423, ("Min-Expires", "300"), vec!["failure Refused(423)", "retry None", "ended"]),
    ] {
        let mut bench = bench();
        subscribe(&mut bench, 600);
        let (transaction, request) = bench.request();
        answer(&mut bench, (transaction, &request), status, line);
        assert_eq!(heard(&mut bench), expected);
        bench.nothing_sent();
        bench.run(Duration::from_secs(41));
        assert_eq!((bench.sent.len(), counts(&bench).0), if status == 503 { (1, 1) } else { (0, 0) });
    }
    // Not answered; answered, but no NOTIFY comes (Timer N).
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (transaction, _) = bench.request();
    bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
    assert_eq!(heard(&mut bench), ["failure Refused(408)", "retry None", "ended"]);
    subscribe(&mut bench, 600);
    let (transaction, request) = bench.request();
    answer(&mut bench, (transaction, &request), 200, OK);
    bench.run(Duration::from_secs(31));
    assert!(heard(&mut bench).is_empty());
    bench.run(Duration::from_secs(2));
    assert_eq!(heard(&mut bench), ["failure Timeout", "retry None", "ended"]);
    assert_eq!(bench.dum.counts(), Default::default());
    // Nothing has failed where none is wanted any more.
    let set = subscribe(&mut bench, 600);
    let (transaction, request) = bench.request();
    answer(&mut bench, (transaction, &request), 200, OK);
    bench.with(|_, dum| set.end(dum)).unwrap();
    bench.run(Duration::from_secs(33));
    assert_eq!(heard(&mut bench), ["ended"]);
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn no_notifier_puts_off_the_next_attempt_for_more_than_a_day() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let first = bench.request();
    answer(&mut bench, (first.0, &first.1), 503, ("Retry-After", "4294967295"));
    bench.run(Duration::from_secs(86_400));
    let (_, again) = bench.request();
    assert_eq!(ask(&mut bench, notify(&again, "one", 1, "terminated;reason=giveup;retry-after=4294967295")), 200);
    let told = heard(&mut bench).into_iter().filter(|told| told.starts_with("retry")).collect::<Vec<_>>();
    assert_eq!(told, ["retry Some(86400)", "retry Some(86400)"]);
}

#[test]
fn an_answer_after_the_end_changes_nothing() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (transaction, request) = bench.request();
    let over = notify(&request, "one", 1, "terminated;reason=probation;retry-after=30");
    assert_eq!(ask(&mut bench, over), 200);
    assert_eq!(heard(&mut bench), ["new", "over Terminated(Probation) ", "retry Some(30)"]);
    answer(&mut bench, (transaction, &request), 500, OK);
    assert!(heard(&mut bench).is_empty());
    bench.run(Duration::from_secs(31));
    assert_eq!((bench.sent.len(), counts(&bench)), (1, (1, 0)));
}

#[test]
fn a_notifier_that_always_deactivates_makes_no_loop() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (mut asked, mut ids) = (Vec::new(), Vec::new());
    for _ in 0..600 {
        while !bench.sent.is_empty() {
            let (transaction, request) = bench.request();
            asked.push(bench.stack.now.as_millis() / 1000);
            ids.push((value(&request, "Call-ID"), value(&request, "From"), value(&request, "CSeq")));
            answer(&mut bench, (transaction, &request), 200, OK);
            assert_eq!(ask(&mut bench, notify(&request, "one", 1, "terminated;reason=deactivated")), 200);
        }
        bench.run(Duration::from_secs(1));
    }
    // At once, then after 1 s, 2 s, 4 s and so on, each as a request of its own.
    assert!((9..=12).contains(&asked.len()), "{asked:?}");
    ids.sort();
    ids.dedup();
    assert!(ids.len() == asked.len() && ids.iter().all(|(_, _, cseq)| cseq == "1 SUBSCRIBE"));
    assert_eq!(counts(&bench), (1, 0));
    // While it waits it can be ended at once.
    let set = bench.dum.application().sets[0];
    bench.with(|_, dum| set.end(dum)).unwrap();
    assert_eq!(heard(&mut bench).last().unwrap(), "ended");
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn a_refresh_that_fails_for_now_is_repeated_until_the_end() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (transaction, request) = bench.request();
    answer(&mut bench, (transaction, &request), 200, OK);
    ask(&mut bench, notify(&request, "one", 1, "active;expires=600"));
    heard(&mut bench);
    let mut tries = 0;
    for _ in 0..620 {
        bench.run(Duration::from_secs(1));
        while !bench.sent.is_empty() && heard_nothing(&bench) {
            let (transaction, refresh) = bench.request();
            answer(&mut bench, (transaction, &refresh), 500, ("Retry-After", "20"));
            tries += 1;
        }
    }
    // From 480 s at the earliest, half of what is left each time, but not sooner than the notifier wants.
    assert!((3..=7).contains(&tries), "{tries}");
    // Nor is it asked anew sooner.
    let told = heard(&mut bench);
    assert!(
        told[0] == "over Timeout -" && told[1].starts_with("retry Some(") && told[1] != "retry Some(0)",
        "{told:?}"
    );
}

fn heard_nothing(bench: &Bench<App>) -> bool {
    bench.dum.application().heard.is_empty()
}

#[test]
fn a_refresh_without_a_notify_ends_it() {
    let mut bench = bench();
    bench.dum.application_mut().patient = true;
    subscribe(&mut bench, 600);
    let (transaction, request) = bench.request();
    answer(&mut bench, (transaction, &request), 200, OK);
    ask(&mut bench, notify(&request, "one", 1, "active;expires=600"));
    heard(&mut bench);
    let sub = bench.dum.application().subs[0];
    bench.with(|_, dum| sub.refresh(dum).and(sub.refresh(dum))).unwrap();
    let (transaction, refresh) = bench.request();
    bench.nothing_sent();
    answer(&mut bench, (transaction, &refresh), 200, OK);
    bench.run(Duration::from_secs(33));
    assert_eq!(heard(&mut bench), ["over Timeout -", "retry Some(0)", "ended"]);
    assert_eq!(bench.dum.counts().dialogs, 0);
}

#[test]
fn the_end_comes_before_the_first_notify() {
    let mut bench = bench();
    let set = subscribe(&mut bench, 600);
    let (transaction, request) = bench.request();
    bench.with(|_, dum| set.end(dum)).unwrap();
    bench.nothing_sent();
    answer(&mut bench, (transaction, &request), 200, OK);
    // Each notifier that turns up is told.
    assert_eq!(ask(&mut bench, notify(&request, "one", 1, "active")), 200);
    let (_, end) = bench.request();
    assert_eq!(value(&end, "Expires"), "0");
    // It never answers.
    bench.run(Duration::from_secs(70));
    assert_eq!(heard(&mut bench), ["new", "active ", "over Local -", "ended"]);
    assert_eq!((counts(&bench), bench.dum.counts().dialog_sets), ((0, 0), 0));
}

#[test]
fn forks_and_subscriptions_have_limits() {
    let limits = crate::Limits { dialog_sets: 20, ..Default::default() };
    let mut bench = Bench::with_options(App::default(), DumOptions { limits, ..options() });
    subscribe(&mut bench, 600);
    let (_, request) = bench.request();
    let mut forks = |n: usize| ask(&mut bench, notify(&request, &format!("t{n}"), 1, "active"));
    assert!((0..32).all(|n| forks(n) == 200));
    assert_eq!(forks(32), 481);
    assert_eq!(counts(&bench), (33, 32));
    for _ in 1..20 {
        subscribe(&mut bench, 600);
    }
    let refused = bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        let msg = dum.make_subscribe(&profile, &NameAddr::parse("<sip:bob@b>").unwrap(), "presence");
        dum.send_subscribe(&profile, msg)
    });
    assert_eq!(refused, Err(NoRoom.into()));
}

/// What is no SUBSCRIBE of its own is not sent, and leaves nothing: the NOTIFYs of one that was sent before stay its own.
#[test]
fn only_a_subscribe_that_was_not_sent_before_is_sent() {
    let mut bench = bench();
    subscribe(&mut bench, 600);
    let (_, sent) = bench.request();
    let counts = bench.dum.counts();
    let mut about_nothing = sent.clone();
    about_nothing.remove(h::EVENT);
    let mut untagged = sent.clone();
    untagged.set(h::FROM, "<sip:alice@a>");
    for (msg, said) in [
        (about_nothing, "a SUBSCRIBE needs an Event"),
        (untagged, "a SUBSCRIBE is expected"),
        (sent.clone(), "this SUBSCRIBE was sent before"),
    ] {
        let refused = bench.with(|_, dum| dum.send_subscribe(&dum.master_profile().user().clone(), msg)).unwrap_err();
        assert!(refused.to_string().starts_with(said), "{refused}");
        bench.nothing_sent();
    }
    assert_eq!(bench.dum.counts(), counts);
    assert_eq!(ask(&mut bench, notify(&sent, "one", 1, "active")), 200);
    assert_eq!(bench.dum.counts().dialogs, 1);
}

/// RFC 6665 §4.1.2.1: the 2xx may grant nothing; §4.1.3 has it tried again at once.
#[test]
fn a_notifier_that_grants_nothing_is_asked_more_and_more_seldom() {
    for state in ["terminated;reason=timeout", "active;expires=0", "active"] {
        let (mut bench, mut asked) = (bench(), Vec::new());
        subscribe(&mut bench, 600);
        for _ in 0..600 {
            while !bench.sent.is_empty() {
                asked.push((bench.stack.now).as_millis() / 1000);
                let (transaction, request) = bench.request();
                answer(&mut bench, (transaction, &request), 200, ("Expires", "0"));
                assert_eq!(ask(&mut bench, notify(&request, "one", 1, state)), 200);
            }
            bench.run(Duration::from_secs(1));
        }
        assert!((6..=12).contains(&asked.len()), "{state}: {asked:?}");
        assert!(asked.windows(3).all(|at| at[2] - at[1] >= at[1] - at[0]), "{state}: {asked:?}");
    }
}

/// What ends the subscription does so, whatever else it says.
#[test]
fn the_last_notify_counts_though_its_body_is_not_understood() {
    let edits: [fn(&mut Message); 2] =
        [|msg| msg.set_body(Some("image/png"), "x"), |msg| msg.push_back(h::REQUIRES, "magic")];
    for edit in edits {
        let mut bench = bench();
        subscribe(&mut bench, 600);
        let (transaction, request) = bench.request();
        answer(&mut bench, (transaction, &request), 200, OK);
        assert_eq!(ask(&mut bench, notify(&request, "one", 1, "active;expires=300")), 200);
        // One that does not end it is refused.
        let mut odd = notify(&request, "one", 2, "active;expires=300");
        edit(&mut odd);
        assert!(matches!(ask(&mut bench, odd), 415 | 420));
        heard(&mut bench);
        let mut last = notify(&request, "one", 3, "terminated;reason=rejected");
        edit(&mut last);
        assert_eq!(ask(&mut bench, last), 200);
        let told = heard(&mut bench);
        assert!(told.iter().any(|told| told.contains("Terminated(Rejected)")), "{told:?}");
        assert_eq!(bench.dum.counts().dialogs, 0);
    }
}

/// However often it is notified, as a busy notifier does it, down to the last second.
#[test]
fn no_notify_puts_the_refresh_off() {
    for every in [100, 1000, 5000] {
        let mut bench = bench();
        subscribe(&mut bench, 600);
        let (transaction, request) = bench.request();
        answer(&mut bench, (transaction, &request), 200, OK);
        let end = bench.stack.now + Duration::from_secs(600);
        for cseq in 1.. {
            let state = format!("active;expires={}", (end - bench.stack.now).as_secs());
            assert_eq!(ask(&mut bench, notify(&request, "one", cseq, &state)), 200);
            bench.run(Duration::from_millis(every));
            if !bench.sent.is_empty() {
                break;
            }
        }
        let left = (end - bench.stack.now).as_secs();
        assert!((55..=168).contains(&left), "each {every} ms: {left} s before the end");
        // It may still end sooner.
        let (transaction, refresh) = bench.request();
        answer(&mut bench, (transaction, &refresh), 200, OK);
        assert_eq!(ask(&mut bench, notify(&request, "one", u32::MAX, "active;expires=30")), 200);
        bench.run(Duration::from_secs(25));
        assert_eq!(value(&bench.request().1, "CSeq"), "3 SUBSCRIBE");
    }
}
