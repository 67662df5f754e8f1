//! What a notifier makes of subscribers that a test plays.

use super::*;
use std::time::Duration;

fn incoming(event: &str, expires: Option<u32>) -> Message {
    let (bob, alice) = (NameAddr::parse("<sip:bob@b>").unwrap(), NameAddr::parse("<sip:alice@a>").unwrap());
    let mut msg = stack::helper::make_initial(&Method::Subscribe, &bob, &alice, &mut rutil::Rng::from_seed(3));
    msg.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
    if !event.is_empty() {
        msg.set(h::EVENT, event);
    }
    if let Some(seconds) = expires {
        msg.set(h::EXPIRES, &seconds);
    }
    msg
}

/// A SUBSCRIBE in the dialog that an answer made.
fn again(answered: &Message, cseq: u32, expires: u32) -> Message {
    let mut msg = incoming("presence", Some(expires));
    let to = answered.header(h::TO).unwrap().to_string();
    msg.set(h::TO, &to);
    msg.set(h::CSEQ, &format_args!("{cseq} SUBSCRIBE"));
    msg
}

fn serve(bench: &mut Bench<App>, number: usize, state: SubscriptionState, words: &str) {
    let told = bench.with(|app, dum| app.served[number].notify(dum, state, Some(&text(words))));
    told.unwrap();
}

/// A subscription that was accepted: its answer, and its first NOTIFY is answered too.
fn accepted() -> (Bench<App>, Message) {
    let mut bench = bench();
    bench.ask(1, incoming("presence", Some(600)));
    bench.with(|app, dum| app.served[0].accept(dum, SubscriptionState::Active, Some(&text("one")))).unwrap();
    let (_, answered) = bench.response();
    let (transaction, first) = bench.request();
    bench.respond(transaction, &first, 200);
    (bench, answered)
}

#[test]
fn events_that_nobody_serves_are_489() {
    let mut bench = bench();
    for (event, deaf, status) in
        [("weather", false, 489), ("dialog", false, 489), ("presence", true, 489), ("", false, 489), ("@", false, 400)]
    {
        bench.dum.application_mut().deaf = deaf;
        let mut msg = incoming("", Some(600));
        if !event.is_empty() {
            msg.append_line("Event", event);
        }
        bench.ask(1, msg);
        let (_, answered) = bench.response();
        assert_eq!(answered.status(), Some(status), "{event}");
        let events = if status == 489 { "presence, dialog" } else { "" };
        assert_eq!(value(&answered, "Allow-Events"), events);
    }
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn the_answer_says_how_long_and_the_notify_follows() {
    for (asked, granted) in [(None, 3600), (Some(600), 600), (Some(100_000), 3600)] {
        let mut bench = bench();
        bench.ask(1, incoming("presence;id=4", asked));
        bench.with(|app, dum| app.served[0].accept(dum, SubscriptionState::Pending, None)).unwrap();
        let (_, answered) = bench.response();
        assert_eq!((answered.status(), value(&answered, "Expires")), (Some(200), granted.to_string()));
        assert!(answered.exists(h::CONTACTS));
        let (_, first) = bench.request();
        assert_eq!(value(&first, "Event"), "presence;id=4");
        assert_eq!(value(&first, "Subscription-State"), format!("pending;expires={granted}"));
    }
    let mut bench = bench();
    bench.ask(1, incoming("presence", Some(59)));
    let (_, answered) = bench.response();
    assert_eq!((answered.status(), value(&answered, "Min-Expires")), (Some(423), "60".into()));
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn one_notify_is_under_way_and_the_last_state_follows() {
    let (mut bench, _) = accepted();
    serve(&mut bench, 0, SubscriptionState::Active, "two");
    serve(&mut bench, 0, SubscriptionState::Active, "three");
    serve(&mut bench, 0, SubscriptionState::Active, "four");
    let (transaction, msg) = bench.request();
    assert_eq!(body(&msg), "two");
    bench.nothing_sent();
    bench.run(Duration::from_secs(10));
    bench.respond(transaction, &msg, 200);
    let (transaction, msg) = bench.request();
    assert_eq!((body(&msg), value(&msg, "Subscription-State")), ("four".into(), "active;expires=590".into()));
    // After the first one, and not while there is another to tell.
    assert_eq!(bench.dum.application_mut().accepted, 1);
    bench.respond(transaction, &msg, 200);
    assert_eq!(bench.dum.application_mut().accepted, 2);
    bench.nothing_sent();
    // The last one waits for its turn as well.
    serve(&mut bench, 0, SubscriptionState::Active, "five");
    let end = |app: &mut App, dum: &mut Dum<'_>| app.served[0].terminate(dum, TerminateReason::NoResource, None, None);
    bench.with(end).unwrap();
    assert_eq!(bench.with(end), Err(UsageEnded.into()));
    let (transaction, msg) = bench.request();
    assert!(heard(&mut bench).iter().all(|what| what == "asked"));
    bench.respond(transaction, &msg, 200);
    assert_eq!(value(&bench.request().1, "Subscription-State"), "terminated;reason=noresource");
    assert_eq!(heard(&mut bench), ["end Local(NoResource)"]);
    assert_eq!((bench.dum.counts().subscriptions, bench.dum.counts().dialogs), (0, 0));
}

#[test]
fn a_refused_notify_ends_it_unless_it_says_when_to_come_back() {
    let (mut bench, _) = accepted();
    serve(&mut bench, 0, SubscriptionState::Active, "two");
    let (transaction, msg) = bench.request();
    answer(&mut bench, (transaction, &msg), 503, ("Retry-After", "30"));
    serve(&mut bench, 0, SubscriptionState::Active, "three");
    bench.run(Duration::from_secs(29));
    bench.nothing_sent();
    bench.run(Duration::from_secs(2));
    let (transaction, msg) = bench.request();
    assert_eq!(body(&msg), "three");
    answer(&mut bench, (transaction, &msg), 500, ("X", "y"));
    assert_eq!(heard(&mut bench), ["asked", "end NotifyFailed(500)"]);
    // 481 is the end whatever it says; so is silence.
    let (mut bench, _) = accepted();
    serve(&mut bench, 0, SubscriptionState::Active, "two");
    let (transaction, msg) = bench.request();
    answer(&mut bench, (transaction, &msg), 481, ("Retry-After", "30"));
    assert_eq!(heard(&mut bench), ["asked", "end NotifyFailed(481)"]);
    let (mut bench, answered) = accepted();
    serve(&mut bench, 0, SubscriptionState::Active, "two");
    let (transaction, _) = bench.request();
    bench.event(TuEvent::NoResponse { transaction, reason: stack::tu::NoResponse::Timeout });
    assert_eq!(heard(&mut bench), ["asked", "end NotifyFailed(408)"]);
    // A refresh of what is gone.
    assert_eq!(ask(&mut bench, again(&answered, 2, 600)), 481);
    // One that wants to be left alone for longer than it lasts.
    let (mut bench, _) = accepted();
    serve(&mut bench, 0, SubscriptionState::Active, "two");
    let (transaction, msg) = bench.request();
    answer(&mut bench, (transaction, &msg), 503, ("Retry-After", "4000000000"));
    bench.run(Duration::from_secs(601));
    assert_eq!(heard(&mut bench), ["asked", "end Expired"]);
    bench.nothing_sent();
}

/// RFC 6665 §4.2.2 leaves a subscriber alone that says so with Retry-After, but not for ever and not in a loop.
#[test]
fn who_wants_to_be_left_alone_keeps_nothing_alive() {
    // It unsubscribes meanwhile: it wants its last NOTIFY.
    let (mut bench, answered) = accepted();
    serve(&mut bench, 0, SubscriptionState::Active, "two");
    let (transaction, msg) = bench.request();
    answer(&mut bench, (transaction, &msg), 503, ("Retry-After", "4000000000"));
    assert_eq!(ask(&mut bench, again(&answered, 2, 0)), 200);
    assert_eq!(value(&bench.request().1, "Subscription-State"), "terminated;reason=timeout");
    assert_eq!(heard(&mut bench), ["asked", "end ByClient"]);
    // It unsubscribes, then refuses the NOTIFY that was under way; the same when it has expired.
    for unsubscribes in [true, false] {
        let (mut bench, answered) = accepted();
        bench.run(Duration::from_secs(590));
        serve(&mut bench, 0, SubscriptionState::Active, "two");
        let (transaction, msg) = bench.request();
        if unsubscribes {
            assert_eq!(ask(&mut bench, again(&answered, 2, 0)), 200);
        } else {
            bench.run(Duration::from_secs(11));
        }
        answer(&mut bench, (transaction, &msg), 503, ("Retry-After", "4000000000"));
        assert_eq!(heard(&mut bench), ["asked", if unsubscribes { "end ByClient" } else { "end Expired" }]);
        assert_eq!((bench.dum.counts().subscriptions, bench.dum.counts().dialogs), (0, 0));
    }
    // For no time at all: that is a second.
    let (mut bench, _) = accepted();
    serve(&mut bench, 0, SubscriptionState::Active, "two");
    let (transaction, msg) = bench.request();
    answer(&mut bench, (transaction, &msg), 500, ("Retry-After", "0"));
    bench.run(Duration::from_millis(900));
    bench.nothing_sent();
    bench.run(Duration::from_millis(200));
    assert_eq!(body(&bench.request().1), "two");
}

/// Neither silence nor a refusal of the NOTIFY under way takes its place, unless the subscriber knows of no subscription.
#[test]
fn what_ends_it_is_told_whatever_becomes_of_the_notify_before() {
    for (code, unsubscribes, last) in
        [(408, false, true), (408, true, true), (500, false, true), (481, false, false), (481, true, false)]
    {
        let (mut bench, answered) = accepted();
        serve(&mut bench, 0, SubscriptionState::Active, "two");
        let (transaction, msg) = bench.request();
        if unsubscribes {
            assert_eq!(ask(&mut bench, again(&answered, 2, 0)), 200);
        } else {
            let end =
                |app: &mut App, dum: &mut Dum<'_>| app.served[0].terminate(dum, TerminateReason::Timeout, None, None);
            bench.with(end).unwrap();
        }
        match code {
            408 => bench.event(TuEvent::NoResponse { transaction, reason: stack::tu::NoResponse::Timeout }),
            _ => bench.respond(transaction, &msg, code),
        }
        if last {
            assert_eq!(value(&bench.request().1, "Subscription-State"), "terminated;reason=timeout");
        }
        bench.nothing_sent();
        let end = if unsubscribes { "end ByClient" } else { "end Local(Timeout)" };
        assert_eq!(heard(&mut bench), ["asked", end], "{code}");
        assert_eq!((bench.dum.counts().subscriptions, bench.dum.counts().dialogs), (0, 0));
    }
}

#[test]
fn every_refresh_has_its_notify() {
    let (mut bench, answered) = accepted();
    bench.run(Duration::from_secs(300));
    assert_eq!(ask(&mut bench, again(&answered, 2, 60)), 200);
    let (_, msg) = bench.request();
    assert_eq!((body(&msg), value(&msg, "Subscription-State")), ("one".into(), "active;expires=60".into()));
    // It comes once more before that is answered: one NOTIFY for both, afterwards.
    assert_eq!(ask(&mut bench, again(&answered, 3, 90)), 200);
    bench.nothing_sent();
    bench.ask(1, again(&answered, 4, 30));
    assert_eq!(value(&bench.response().1, "Min-Expires"), "60");
    assert_eq!(ask(&mut bench, again(&answered, 1, 600)), 500, "out of order");
    assert_eq!(heard(&mut bench), ["asked", "refreshed", "refreshed"]);
}

#[test]
fn what_nobody_answers_and_what_makes_no_dialog() {
    let mut bench = bench();
    bench.ask(1, incoming("presence", Some(600)));
    bench.run(Duration::from_secs(33));
    assert_eq!(heard(&mut bench), ["asked", "end Unanswered"]);
    bench.nothing_sent();
    let mut homeless = incoming("presence", Some(600));
    homeless.remove(h::CONTACTS);
    bench.ask(2, homeless);
    let accepted = bench.with(|app, dum| app.served[1].accept(dum, SubscriptionState::Active, None));
    assert!(matches!(accepted, Err(SubscriptionError::Dialog(_))));
    assert_eq!(bench.response().1.status(), Some(400));
    // Rejected, and what may not be done before and after.
    bench.ask(3, incoming("presence", Some(600)));
    let results = bench.with(|app, dum| {
        let sub = app.served[2];
        let early = sub.notify(dum, SubscriptionState::Active, None);
        let refused = sub.reject(dum, 403, |msg| msg.set(h::SUBJECT, "no"));
        (early, refused, sub.accept(dum, SubscriptionState::Active, None))
    });
    assert_eq!(results, (Err(SubscriptionError::NotNow), Ok(()), Err(UsageEnded.into())));
    assert_eq!(bench.response().1.status(), Some(403));
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn two_subscriptions_in_a_dialog_end_independently() {
    let (mut bench, answered) = accepted();
    let mut second = again(&answered, 2, 600);
    second.set(h::EVENT, "presence;id=2");
    bench.ask(1, second.clone());
    bench.with(|app, dum| app.served[1].accept(dum, SubscriptionState::Active, None)).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
    let (transaction, msg) = bench.request();
    assert_eq!((value(&msg, "Event"), bench.dum.counts().dialogs), ("presence;id=2".into(), 1));
    bench.respond(transaction, &msg, 200);
    // The first one ends; the second goes on in the same dialog.
    assert_eq!(ask(&mut bench, again(&answered, 3, 0)), 200);
    assert_eq!(value(&bench.request().1, "Subscription-State"), "terminated;reason=timeout");
    second.set(h::CSEQ, "4 SUBSCRIBE");
    assert_eq!(ask(&mut bench, second), 200);
    let (_, msg) = bench.request();
    assert_eq!((value(&msg, "Event"), bench.dum.counts().subscriptions), ("presence;id=2".into(), 1));
}

#[test]
fn subscriptions_have_limits() {
    let limits = crate::Limits { dialog_sets: 1, ..Default::default() };
    let mut bench = Bench::with_options(App::default(), DumOptions { limits, ..options() });
    bench.ask(1, incoming("presence", Some(600)));
    bench.nothing_sent();
    assert_eq!(ask(&mut bench, incoming("presence", Some(600))), 503);
}

/// RFC 5057 §4: what else ends in the dialog is nothing to it.
#[test]
fn a_subscribe_may_be_accepted_when_all_else_in_its_dialog_is_over() {
    let (mut bench, answered) = accepted();
    let mut second = again(&answered, 2, 600);
    second.set(h::EVENT, "presence;id=2");
    bench.ask(1, second.clone());
    assert_eq!(ask(&mut bench, again(&answered, 3, 0)), 200);
    let (transaction, last) = bench.request();
    bench.respond(transaction, &last, 200);
    assert_eq!((bench.dum.counts().subscriptions, bench.dum.counts().dialogs), (1, 1));
    // Another SUBSCRIBE of that id refreshes nothing that there is yet: it is to come again.
    second.set(h::CSEQ, "4 SUBSCRIBE");
    bench.ask(2, second);
    let (_, later) = bench.response();
    assert_eq!((later.status(), later.exists(h::RETRY_AFTER)), (Some(500), true));
    assert_eq!(bench.dum.counts().subscriptions, 1);
    bench.with(|app, dum| app.served[1].accept(dum, SubscriptionState::Active, None)).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
    let (transaction, told) = bench.request();
    assert_eq!((value(&told, "Event"), value(&told, "CSeq")), ("presence;id=2".into(), "3 NOTIFY".into()));
    bench.respond(transaction, &told, 200);
    // Nobody answers the next one in time: then the dialog is over with the rest.
    let mut third = again(&answered, 5, 600);
    third.set(h::EVENT, "presence;id=3");
    bench.ask(3, third);
    bench.with(|app, dum| app.served[1].terminate(dum, TerminateReason::NoResource, None, None)).unwrap();
    let (transaction, last) = bench.request();
    bench.respond(transaction, &last, 200);
    assert_eq!(bench.dum.counts().dialogs, 1);
    bench.run(Duration::from_secs(33));
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn a_profile_of_its_own_answers_and_notifies() {
    let own = {
        let mut own = crate::UserProfile::on(&crate::auth::tests::profile());
        own.set_contact(Some(std::sync::Arc::new(NameAddr::parse("<sip:own@192.0.2.7>").unwrap())));
        std::sync::Arc::new(own)
    };
    let mut bench = bench();
    bench.ask(1, incoming("presence", Some(600)));
    let sub = bench.dum.application().served[0];
    bench.with(|_, dum| {
        sub.set_profile(dum, &own).unwrap();
        sub.accept(dum, SubscriptionState::Active, None).unwrap();
        assert_eq!(sub.set_profile(dum, &own), Err(SubscriptionError::NotNow), "it is answered");
    });
    let answered = bench.response().1;
    let (transaction, first) = bench.request();
    assert_eq!([&answered, &first].map(|msg| value(msg, "Contact")), ["<sip:own@192.0.2.7>"; 2]);
    // A proxy on the way asks for its password.
    let mut asks = first.make_response(407, None, None);
    let challenge = stack::auth::Challenge::new("example.com", "n1", stack::auth::Algorithm::MD5);
    asks.push_back(h::PROXY_AUTHENTICATES, &challenge.to_auth());
    bench.event(TuEvent::Response { transaction, msg: asks.into() });
    let (transaction, credible) = bench.request();
    assert!(credible.exists(h::PROXY_AUTHORIZATIONS));
    bench.respond(transaction, &credible, 200);
    // Another in the dialog has that one's.
    let mut second = again(&answered, 2, 600);
    second.set(h::EVENT, "presence;id=2");
    bench.ask(2, second);
    let sub = bench.dum.application().served[1];
    let refused = bench.with(|_, dum| (sub.set_profile(dum, &own), sub.accept(dum, SubscriptionState::Active, None)));
    assert_eq!(refused, (Err(SubscriptionError::NotNow), Ok(())));
    assert_eq!(value(&bench.response().1, "Contact"), "<sip:own@192.0.2.7>");
}
