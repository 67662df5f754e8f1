//! SUBSCRIBE for what a REFER has made (RFC 3515 §2.4.4), of both sides.

use super::tests::{App, bench, heard, notify, refer, with_room};
use super::*;
use crate::auth::tests::{addr, profile};
use crate::invite::SessionError;
use crate::testing::Bench;
use crate::{Counts, UsageEnded, UserProfile};
use stack::auth::{Algorithm, Challenge};
use stack::header::Method;
use stack::tu::{ClientTransaction, TuEvent};

/// A request of the peer, in the dialog with our tag.
fn request(method: &Method<'static>, cseq: u32, tag: &str) -> Message {
    let mut msg = Message::request(method, "sip:alice@192.0.2.1");
    msg.set(h::FROM, "<sip:bob@b>;tag=peer");
    msg.set(h::TO, &addr(&format!("<sip:alice@a>{}{tag}", if tag.is_empty() { "" } else { ";tag=" })));
    msg.set(h::CALL_ID, "transfer");
    msg.set(h::CSEQ, &format_args!("{cseq} {}", method.as_str()));
    msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    msg
}

/// The status by which a SUBSCRIBE is answered, and the Expires.
fn subscribe(
    bench: &mut Bench<App>,
    (tag, cseq): (&str, u32),
    event: &str,
    expires: Option<u32>,
) -> (u16, Option<u32>) {
    let mut msg = request(&Method::Subscribe, cseq, tag);
    msg.set(h::EVENT, event);
    if let Some(seconds) = expires {
        msg.set(h::EXPIRES, &seconds);
    }
    bench.ask(cseq, Message::parse(msg.to_bytes()).unwrap());
    let response = bench.response().1;
    (response.status().unwrap(), response.header(h::EXPIRES).ok().map(|expires| expires.0))
}

/// The NOTIFY that was sent, which is answered with that: Event, Subscription-State, body.
fn told(bench: &mut Bench<App>, code: u16) -> (String, String, String) {
    let (transaction, msg) = bench.request();
    let value = |name: &str| String::from_utf8_lossy(msg.raw_values(name).next().unwrap()).into_owned();
    let body = String::from_utf8_lossy(msg.body()).trim_end().to_owned();
    let told = (value("Event"), value("Subscription-State"), body);
    bench.respond(transaction, &msg, code);
    told
}

fn said(event: &str, state: &str, body: &str) -> (String, String, String) {
    (event.into(), state.into(), body.into())
}

/// A REFER with that CSeq was accepted: its tag of ours.
fn referred(bench: &mut Bench<App>, cseq: u32, tag: &str) -> String {
    let mut msg = request(&Method::Refer, cseq, tag);
    msg.set(h::REFER_TO, "<sip:carol@c>");
    bench.ask(cseq, Message::parse(msg.to_bytes()).unwrap());
    let asked = *bench.dum.application().asked.last().unwrap();
    bench.with(|_, dum| asked.accept(dum)).unwrap();
    let (_, response) = bench.response();
    assert_eq!(response.status(), Some(202));
    let expected = said(&format!("refer;id={cseq}"), "active;expires=180", "SIP/2.0 100 Trying");
    assert_eq!(told(bench, 200), expected);
    response.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned()
}

#[test]
fn who_referred_prolongs_what_is_told_and_ends_it() {
    let mut bench = bench();
    let tag = referred(&mut bench, 1, "");
    let asked = bench.dum.application().asked[0];
    assert_eq!(subscribe(&mut bench, (&tag, 2), "refer;id=1", Some(600)), (200, Some(600)));
    assert_eq!(told(&mut bench, 200), said("refer;id=1", "active;expires=600", "SIP/2.0 100 Trying"));
    // What is told meanwhile makes it no shorter.
    bench.run(Duration::from_secs(100));
    bench.with(|_, dum| asked.notify(dum, 180)).unwrap();
    assert_eq!(told(&mut bench, 200), said("refer;id=1", "active;expires=500", "SIP/2.0 180 Ringing"));
    // Another id is another one's; none means the only one that there is.
    for (cseq, event) in [(3, "refer;id=9"), (4, "refer;id=x"), (5, "refer;id=4294967296")] {
        assert_eq!(subscribe(&mut bench, (&tag, cseq), event, Some(60)), (481, None), "{event}");
    }
    assert_eq!(subscribe(&mut bench, (&tag, 6), "refer", None), (200, Some(180)));
    assert_eq!(told(&mut bench, 200), said("refer;id=1", "active;expires=180", "SIP/2.0 180 Ringing"));
    // One that comes late is out of order.
    assert_eq!(subscribe(&mut bench, (&tag, 5), "refer;id=1", Some(0)).0, 500);
    assert_eq!(subscribe(&mut bench, (&tag, 7), "refer;id=1", Some(0)), (200, Some(0)));
    assert_eq!(told(&mut bench, 200), said("refer;id=1", "terminated;reason=timeout", "SIP/2.0 180 Ringing"));
    assert_eq!(bench.with(|_, dum| asked.notify(dum, 200)), Err(SessionError::Ended(UsageEnded)));
    assert_eq!(bench.dum.counts(), Counts::default());
    assert_eq!(subscribe(&mut bench, (&tag, 8), "refer;id=1", Some(60)), (481, None));
    bench.nothing_sent();
}

/// RFC 3515 §2.4.4: REFER is the only way to make one.
#[test]
fn no_subscribe_makes_one() {
    let mut bench = bench();
    assert_eq!(subscribe(&mut bench, ("", 1), "refer", Some(60)), (403, None));
    assert_eq!(subscribe(&mut bench, ("", 2), "refer;id=1", Some(60)), (403, None));
    assert_eq!(subscribe(&mut bench, ("unknown", 3), "refer;id=1", Some(60)), (481, None));
    assert_eq!(bench.dum.counts(), Counts::default());
}

#[test]
fn of_several_in_a_dialog_each_is_known_by_its_id() {
    let mut bench = with_room(2);
    let tag = referred(&mut bench, 1, "");
    // A second transfer does not begin in the dialog of another: those of a call are many.
    let mut msg = request(&Method::Refer, 2, &tag);
    msg.set(h::REFER_TO, "<sip:dave@d>");
    bench.ask(2, msg.clone());
    assert_eq!(bench.response().1.status(), Some(481));
    let second = Arc::new(msg);
    let dialog = bench.dum.application().asked[0];
    bench.with(|_, dum| {
        let dialog = dum.core.server_refers.get(dialog).unwrap().dialog;
        let transaction = stack::tu::testing::Harness::server(2);
        server::request(dum, dialog, None, crate::dispatch::Request { transaction, msg: second });
    });
    let second = bench.dum.application().asked[1];
    // As long as it is not answered it is not there.
    assert_eq!(subscribe(&mut bench, (&tag, 3), "refer;id=2", Some(60)), (500, None));
    bench.with(|_, dum| second.accept(dum)).unwrap();
    assert_eq!(bench.response().1.status(), Some(202));
    assert_eq!(told(&mut bench, 200).0, "refer;id=2");
    assert_eq!(subscribe(&mut bench, (&tag, 4), "refer", Some(60)), (481, None), "which one?");
    assert_eq!(subscribe(&mut bench, (&tag, 5), "refer;id=1", Some(0)), (200, Some(0)));
    assert_eq!(told(&mut bench, 200), said("refer;id=1", "terminated;reason=timeout", "SIP/2.0 100 Trying"));
    assert_eq!(bench.dum.counts().refers, 1);
    bench.with(|_, dum| second.notify(dum, 200)).unwrap();
    assert_eq!(told(&mut bench, 200), said("refer;id=2", "terminated;reason=noresource", "SIP/2.0 200 OK"));
    assert_eq!(bench.dum.counts(), Counts::default());
}

#[test]
fn it_ends_by_itself_when_nobody_prolongs_it_or_listens() {
    let mut bench = bench();
    let tag = referred(&mut bench, 1, "");
    assert_eq!(subscribe(&mut bench, (&tag, 2), "refer;id=1", Some(30)), (200, Some(30)));
    told(&mut bench, 200);
    bench.run(Duration::from_secs(29));
    bench.nothing_sent();
    bench.run(Duration::from_secs(2));
    assert_eq!(told(&mut bench, 200), said("refer;id=1", "terminated;reason=timeout", "SIP/2.0 100 Trying"));
    assert_eq!(bench.dum.counts(), Counts::default());
    // RFC 6665 §4.2.2: any refusal of a NOTIFY says so.
    referred(&mut bench, 1, "");
    let asked = bench.dum.application().asked[1];
    bench.with(|_, dum| asked.notify(dum, 183)).unwrap();
    assert_eq!(told(&mut bench, 403).2, "SIP/2.0 183 Session Progress");
    assert_eq!(bench.dum.counts(), Counts::default());
}

/// A REFER of ours that was accepted, and its handle.
fn accepted(bench: &mut Bench<App>) -> (Handle<ClientRefer>, Message) {
    let (transaction, msg) = refer(bench, |_| {}).unwrap();
    let Some(crate::usage::Usage::ClientRefer(handle)) =
        bench.with(|_, dum| dum.core.clients.get(&transaction).copied())
    else {
        panic!("a REFER is under way");
    };
    assert_eq!(bench.with(|_, dum| handle.refresh(dum)), Err(SessionError::NotNow));
    assert_eq!(bench.with(|_, dum| handle.end(dum)), Err(SessionError::NotNow));
    bench.respond(transaction, &msg, 202);
    (handle, msg)
}

/// The SUBSCRIBE that was sent: CSeq, Event and Expires.
fn subscribes(bench: &mut Bench<App>) -> ((ClientTransaction, Message), (u32, String, u32)) {
    let (transaction, msg) = bench.request();
    assert_eq!(msg.method(), Some(Method::Subscribe));
    let event = String::from_utf8_lossy(msg.raw_values("Event").next().unwrap()).into_owned();
    let shown = (msg.header(h::CSEQ).unwrap().number, event, msg.header(h::EXPIRES).unwrap().0);
    ((transaction, msg), shown)
}

fn grant(bench: &mut Bench<App>, (transaction, msg): &(ClientTransaction, Message), seconds: u32) {
    let mut response = msg.make_response(200, None, None);
    response.set(h::EXPIRES, &seconds);
    bench.event(TuEvent::Response { transaction: *transaction, msg: response.into() });
}

#[test]
fn what_we_asked_for_is_prolonged_and_ended() {
    let mut bench = bench();
    let (handle, msg) = accepted(&mut bench);
    assert_eq!(notify(&mut bench, &msg, ("one", 1), "refer;id=1", "active;expires=60"), 200);
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    let (sent, shown) = subscribes(&mut bench);
    assert_eq!(shown, (2, "refer;id=1".into(), 3600));
    assert_eq!(sent.1.request_uri().unwrap().to_string(), "sip:bob@192.0.2.9");
    // One at a time.
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    bench.nothing_sent();
    grant(&mut bench, &sent, 600);
    bench.run(Duration::from_secs(500));
    assert_eq!(heard(&mut bench), ["accepted", "100"]);
    bench.with(|_, dum| handle.end(dum)).unwrap();
    let (sent, shown) = subscribes(&mut bench);
    assert_eq!(shown, (3, "refer;id=1".into(), 0));
    assert_eq!(bench.with(|_, dum| (handle.end(dum), handle.refresh(dum))), (Ok(()), Err(SessionError::NotNow)));
    grant(&mut bench, &sent, 0);
    assert_eq!(heard(&mut bench), [""; 0]);
    assert_eq!(notify(&mut bench, &msg, ("one", 2), "refer;id=1", "terminated;reason=timeout"), 200);
    assert_eq!(
        (heard(&mut bench), bench.dum.counts()),
        (vec!["200".into(), "ended Some(200) by a request".into()], Counts::default())
    );
    let ended = SessionError::Ended(UsageEnded);
    assert_eq!(bench.with(|_, dum| (handle.refresh(dum), handle.end(dum))), (Err(ended), Err(ended)));
    bench.nothing_sent();
}

#[test]
fn it_is_over_when_the_peer_says_nothing_or_knows_nothing_of_it() {
    // What the SUBSCRIBE is answered with, whether it was to end it, and what becomes of it.
    for (code, ending, lasts) in [
        (481, false, false),
        (403, false, false),
        (503, false, true),
        (503, true, false),
        (200, true, true),
        (200, false, true),
    ] {
        let mut bench = bench();
        let (handle, msg) = accepted(&mut bench);
        assert_eq!(notify(&mut bench, &msg, ("one", 1), "refer;id=1", "active;expires=20"), 200);
        bench.with(|_, dum| if ending { handle.end(dum) } else { handle.refresh(dum) }).unwrap();
        let (sent, _) = subscribes(&mut bench);
        bench.respond(sent.0, &sent.1, code);
        assert_eq!(bench.dum.counts().refers, usize::from(lasts), "{code} {ending}");
        // Not prolonged it ends when it would have; what was to end has 64·T1 for its last NOTIFY.
        bench.run(Duration::from_secs(if ending { 33 } else { 21 }));
        let by = if lasts { "nothing".to_owned() } else { code.to_string() };
        assert_eq!(heard(&mut bench), ["accepted", "100", &format!("ended Some(100) by {by}")], "{code} {ending}");
        assert_eq!(bench.dum.counts(), Counts::default());
    }
}

#[test]
fn a_peer_whose_events_have_no_id_is_asked_without_one() {
    let mut bench = bench();
    let (handle, msg) = accepted(&mut bench);
    assert_eq!(notify(&mut bench, &msg, ("one", 1), "refer", "active;expires=60"), 200);
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    assert_eq!(subscribes(&mut bench).1.1, "refer");
}

#[test]
fn a_challenge_leaves_the_id_as_it_is() {
    let mut bench = bench();
    let (handle, msg) = accepted(&mut bench);
    assert_eq!(notify(&mut bench, &msg, ("one", 1), "refer;id=1", "active;expires=60"), 200);
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    let ((transaction, subscribe), _) = subscribes(&mut bench);
    let mut challenge = subscribe.make_response(401, None, None);
    challenge.push_back(h::WWW_AUTHENTICATES, &Challenge::new("example.com", "n1", Algorithm::MD5).to_auth());
    bench.event(TuEvent::Response { transaction, msg: challenge.into() });
    let (again, shown) = subscribes(&mut bench);
    assert_eq!((shown.0, shown.1.as_str()), (3, "refer;id=1"));
    assert!(again.1.exists(h::AUTHORIZATIONS));
    grant(&mut bench, &again, 300);
    bench.run(Duration::from_secs(299));
    assert_eq!(notify(&mut bench, &msg, ("one", 2), "refer;id=1", "terminated;reason=noresource"), 200);
    assert_eq!(heard(&mut bench), ["accepted", "100", "200", "ended Some(200) by a request"]);
}

/// As long as the profile asks for, which may be more than an hour; not as long as the peer pleases.
#[test]
fn it_lasts_as_long_as_was_asked_for() {
    for (asked, granted, lasts) in [(None, 7200, 3600), (Some(7200), 7200, 7200), (Some(7200), u32::MAX, 7200)] {
        let mut bench = bench();
        let mut profile = UserProfile::on(&profile());
        if let Some(seconds) = asked {
            profile.set_subscription_time(Duration::from_secs(seconds));
        }
        let handle = bench.with(|_, dum| {
            let msg = dum.make_refer(&profile, &addr("<sip:bob@b>"), &addr("<sip:carol@c>"));
            dum.send_refer(&Arc::new(profile), msg).unwrap()
        });
        let (transaction, msg) = bench.request();
        bench.respond(transaction, &msg, 202);
        assert_eq!(notify(&mut bench, &msg, ("one", 1), "refer;id=1", "active;expires=60"), 200);
        bench.with(|_, dum| handle.refresh(dum)).unwrap();
        let (sent, _) = subscribes(&mut bench);
        grant(&mut bench, &sent, granted);
        bench.run(Duration::from_secs(lasts - 1));
        assert_eq!(bench.dum.counts().refers, 1, "{asked:?}");
        bench.run(Duration::from_secs(2));
        assert_eq!(bench.dum.counts(), Counts::default(), "{asked:?}");
    }
}

/// A REFER that was accepted, and the NOTIFY under way says 180.
fn ringing(bench: &mut Bench<App>) -> (Handle<ServerRefer>, ClientTransaction, Message) {
    referred(bench, 1, "");
    let asked = *bench.dum.application().asked.last().unwrap();
    bench.with(|_, dum| asked.notify(dum, 180)).unwrap();
    let (transaction, msg) = bench.request();
    (asked, transaction, msg)
}

/// A NOTIFY is refused by who wants to be left alone for so many seconds.
fn later(bench: &mut Bench<App>, transaction: ClientTransaction, msg: &Message, seconds: u32) {
    let mut busy = msg.make_response(503, None, None);
    busy.set(h::RETRY_AFTER, &seconds);
    bench.event(TuEvent::Response { transaction, msg: busy.into() });
}

/// RFC 6665 §4.2.2: a NOTIFY that is refused for a while is sent later, with what there is to tell then.
#[test]
fn who_wants_to_be_told_later_is_told_later() {
    for (newer, expected) in [
        (None, ("active;expires=160", "SIP/2.0 180 Ringing")),
        (Some(183), ("active;expires=179", "SIP/2.0 183 Session Progress")),
        (Some(486), ("terminated;reason=noresource", "SIP/2.0 486 Busy Here")),
    ] {
        let mut bench = bench();
        let (asked, transaction, msg) = ringing(&mut bench);
        later(&mut bench, transaction, &msg, 20);
        bench.run(Duration::from_secs(19));
        if let Some(status) = newer {
            bench.with(|_, dum| asked.notify(dum, status)).unwrap();
        }
        bench.nothing_sent();
        bench.run(Duration::from_secs(2));
        assert_eq!(told(&mut bench, 200), said("refer;id=1", expected.0, expected.1));
        assert_eq!(bench.dum.counts().refers, usize::from(newer != Some(486)));
    }
    // Who asks meanwhile is told at once.
    let mut bench = bench();
    let tag = referred(&mut bench, 1, "");
    let asked = bench.dum.application().asked[0];
    bench.with(|_, dum| asked.notify(dum, 180)).unwrap();
    let (transaction, msg) = bench.request();
    later(&mut bench, transaction, &msg, 20);
    assert_eq!(subscribe(&mut bench, (&tag, 2), "refer;id=1", Some(60)), (200, Some(60)));
    assert_eq!(told(&mut bench, 200).2, "SIP/2.0 180 Ringing");
    bench.run(Duration::from_secs(21));
    bench.nothing_sent();
}

/// Who wants to be left alone for longer than it lasts is not waited for.
#[test]
fn a_last_notify_waits_no_longer_than_the_subscription_lasts() {
    for ended_before in [false, true] {
        let mut bench = bench();
        let (asked, transaction, msg) = ringing(&mut bench);
        if ended_before {
            bench.with(|_, dum| asked.notify(dum, 200)).unwrap();
        }
        later(&mut bench, transaction, &msg, 3600);
        assert_eq!(bench.dum.counts().refers, usize::from(!ended_before));
        bench.run(Duration::from_secs(181));
        assert_eq!(bench.dum.counts(), Counts::default());
        bench.nothing_sent();
    }
}

/// One that was lost would come behind the next, and be refused for that (RFC 3261 §12.2.2).
#[test]
fn one_notify_is_under_way_at_a_time_and_the_result_is_told() {
    let mut bench = bench();
    let (asked, transaction, msg) = ringing(&mut bench);
    for status in [181, 183, 200] {
        bench.with(|_, dum| asked.notify(dum, status)).unwrap();
        bench.nothing_sent();
    }
    assert_eq!(bench.with(|_, dum| asked.notify(dum, 486)), Err(SessionError::Ended(UsageEnded)));
    bench.respond(transaction, &msg, 200);
    assert_eq!(told(&mut bench, 200), said("refer;id=1", "terminated;reason=noresource", "SIP/2.0 200 OK"));
    assert_eq!(bench.dum.counts(), Counts::default());
    bench.nothing_sent();
}

/// Also where nobody has answered what was told before.
#[test]
fn the_result_is_told_whatever_becomes_of_the_notify_before() {
    let mut bench = bench();
    let (asked, transaction, _) = ringing(&mut bench);
    bench.with(|_, dum| asked.notify(dum, 486)).unwrap();
    bench.nothing_sent();
    bench.event(TuEvent::NoResponse { transaction, reason: stack::tu::NoResponse::Timeout });
    assert_eq!(told(&mut bench, 200), said("refer;id=1", "terminated;reason=noresource", "SIP/2.0 486 Busy Here"));
    assert_eq!(bench.dum.counts(), Counts::default());
}

/// A SUBSCRIBE that crosses the result is accepted, and so answered by a NOTIFY with it.
#[test]
fn who_prolongs_what_is_over_hears_the_result() {
    for expires in [0, 60] {
        let mut bench = bench();
        let tag = referred(&mut bench, 1, "");
        let asked = bench.dum.application().asked[0];
        bench.with(|_, dum| asked.notify(dum, 180)).unwrap();
        let (transaction, msg) = bench.request();
        bench.with(|_, dum| asked.notify(dum, 200)).unwrap();
        assert_eq!(subscribe(&mut bench, (&tag, 2), "refer;id=1", Some(expires)), (200, Some(expires)));
        bench.nothing_sent();
        bench.respond(transaction, &msg, 200);
        assert_eq!(told(&mut bench, 200), said("refer;id=1", "terminated;reason=noresource", "SIP/2.0 200 OK"));
        assert_eq!(bench.dum.counts(), Counts::default());
    }
}

/// Where there is no room for its dialog, the peer hears so; the application need do nothing.
#[test]
fn one_that_there_is_no_room_for_is_refused_when_it_is_accepted() {
    let mut bench = bench();
    refer(&mut bench, |_| {}).unwrap();
    let counts = bench.dum.counts();
    let mut msg = request(&Method::Refer, 1, "");
    msg.set(h::REFER_TO, "<sip:carol@c>");
    for follows in [false, true] {
        bench.ask(1, Message::parse(msg.to_bytes()).unwrap());
        let asked = *bench.dum.application().asked.last().unwrap();
        let result = bench.with(|_, dum| match follows {
            true => asked.follow(dum, &profile(), None).map(drop),
            false => asked.accept(dum),
        });
        assert_eq!(result, Err(SessionError::NoRoom));
        let (_, response) = bench.response();
        assert_eq!((response.status(), response.exists(h::RETRY_AFTER)), (Some(503), true));
        assert_eq!(bench.with(|_, dum| asked.reject(dum, 603)), Err(SessionError::Ended(UsageEnded)));
        bench.nothing_sent();
        assert_eq!(bench.dum.counts(), counts);
    }
}

/// RFC 3261 §19.1.1, table 1: neither the Request-URI nor To says the method.
#[test]
fn who_is_to_be_called_is_called_without_the_method_of_the_uri() {
    let mut bench = with_room(2);
    let mut msg = request(&Method::Refer, 1, "");
    msg.set(h::REFER_TO, "<sip:carol@c;x=y;method=INVITE?Subject=hers>");
    bench.ask(1, msg);
    let asked = bench.dum.application().asked[0];
    bench.with(|_, dum| asked.follow(dum, &profile(), None).map(drop)).unwrap();
    let invite = std::iter::from_fn(|| bench.sent.pop_front()).find_map(|sent| match sent {
        stack::transaction::Command::Send { msg, .. } if msg.method() == Some(Method::Invite) => Some(msg),
        _ => None,
    });
    let invite = invite.expect("a call");
    assert_eq!(invite.request_uri().unwrap().to_string(), "sip:carol@c;x=y");
    assert_eq!(invite.header(h::TO).unwrap().uri.to_string(), "sip:carol@c;x=y");
}

#[test]
fn a_profile_of_its_own_answers_and_tells() {
    let mut own = UserProfile::on(&profile());
    own.set_contact(Some(Arc::new(addr("<sip:own@192.0.2.7>").into_owned())));
    let own = Arc::new(own);
    let mut bench = bench();
    let mut msg = request(&Method::Refer, 1, "");
    msg.set(h::REFER_TO, "<sip:carol@c>");
    bench.ask(1, msg);
    let asked = bench.dum.application().asked[0];
    bench.with(|_, dum| {
        asked.set_profile(dum, &own).unwrap();
        asked.accept(dum).unwrap();
        assert_eq!(asked.set_profile(dum, &own), Err(SessionError::NotNow), "it is answered");
    });
    let (answered, told) = (bench.response().1, bench.request().1);
    let contact = |msg: &Message| msg.first(h::CONTACTS).unwrap().to_string();
    assert_eq!([&answered, &told].map(contact), ["<sip:own@192.0.2.7>"; 2]);
}
