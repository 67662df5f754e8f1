//! Challenges, and a server that a test plays.

use super::*;
use crate::invite::{EndReason, InviteSession, InviteSessionHandler, Session};
use crate::out_of_dialog::{ClientOutOfDialogRequest, OutOfDialogHandler};
use crate::testing::Bench;
use crate::{Application, Dum, DumOptions, EventPackage, Handle, Outcome, UserProfile};
use stack::auth::{Algorithm, Challenge, Presented, Qop};
use stack::contents::sdp::Sdp;
use stack::contents::{Contents, Text};
use stack::header::{Auth, HeaderValue, Method, NameAddr, h};
use stack::message::Message;
use stack::transaction::Command;
use stack::tu::{ClientTransaction, TuEvent};
use std::sync::Arc;

#[derive(Default)]
struct App(Vec<String>);

impl Application for App {
    fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
        Some(self)
    }
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

impl OutOfDialogHandler for App {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.0.push(format!("success {}", outcome.status));
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.0.push(format!("failure {}", outcome.status));
    }
}

impl InviteSessionHandler for App {
    fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.0.push(format!("{why:?}"));
    }
}

pub(crate) fn addr(text: &str) -> NameAddr<'_> {
    NameAddr::parse(text).unwrap()
}

pub(crate) fn profile() -> Arc<UserProfile> {
    let mut profile = UserProfile::default();
    profile.set_from(Arc::new(addr("<sip:alice@example.com>").into_owned()));
    let credentials = [Credential::new("example.com", "alice", "wonderland"), Credential::new("proxy", "al", "p")];
    profile.set_credentials(credentials.into());
    Arc::new(profile)
}

fn refuse(
    bench: &mut Bench<App>,
    (transaction, request): (ClientTransaction, Message),
    status: u16,
    challenges: &[Challenge],
) {
    let mut msg = request.make_response(status, None, Some("peer"));
    for challenge in challenges {
        match status {
            401 => msg.push_back(h::WWW_AUTHENTICATES, &challenge.to_auth()),
            _ => msg.push_back(h::PROXY_AUTHENTICATES, &challenge.to_auth()),
        }
    }
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
}

fn ask(bench: &mut Bench<App>) -> (ClientTransaction, Message) {
    bench.with(|_, dum| {
        let msg = dum.make_request(&profile(), &Method::Message, &addr("<sip:bob@example.com>"));
        dum.send_request_as(&profile(), msg).unwrap();
    });
    bench.request()
}

fn only(msg: &Message) -> Presented<'static> {
    let mut all = msg.header(h::AUTHORIZATIONS);
    let first = Presented::read(&all.next().unwrap().unwrap()).unwrap().into_owned();
    assert!(all.next().is_none());
    first
}

#[test]
fn the_strongest_challenge_is_answered_as_another_attempt_at_the_same_request() {
    let mut bench = Bench::new(App::default());
    let first = ask(&mut bench);
    assert!(!first.1.exists(h::AUTHORIZATIONS));
    let (call_id, from) =
        (first.1.header(h::CALL_ID).unwrap().to_string(), first.1.header(h::FROM).unwrap().to_string());
    let md5 = Challenge::new("example.com", "n1", Algorithm::MD5);
    let sha = Challenge::new("example.com", "n2", Algorithm::SHA_256);
    let foreign = Challenge::new("elsewhere", "n3", Algorithm::SHA_512_256);
    refuse(&mut bench, first, 401, &[foreign, md5, sha]);
    let (transaction, msg) = bench.request();
    assert_eq!(msg.header(h::CSEQ).unwrap().to_string(), "2 MESSAGE");
    assert_eq!(msg.header(h::CALL_ID).unwrap().to_string(), call_id);
    assert_eq!(msg.header(h::FROM).unwrap().to_string(), from);
    let presented = only(&msg);
    assert_eq!((presented.algorithm, &*presented.nonce, presented.count), (Algorithm::SHA_256, "n2", Some(1)));
    assert!(presented.is_right(&Secret::password("wonderland"), "MESSAGE", b""));
    bench.respond(transaction, &msg, 200);
    assert_eq!(bench.dum.application().0, ["success 200"]);
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn a_proxy_and_a_server_are_both_answered_and_stale_nonces_too() {
    let mut bench = Bench::new(App::default());
    let first = ask(&mut bench);
    refuse(&mut bench, first, 407, &[Challenge::new("proxy", "p1", Algorithm::MD5)]);
    let second = bench.request();
    assert!(second.1.exists(h::PROXY_AUTHORIZATIONS) && !second.1.exists(h::AUTHORIZATIONS));
    let integrity = Challenge { qops: vec![Qop::AuthInt], ..Challenge::new("example.com", "n1", Algorithm::MD5) };
    refuse(&mut bench, second, 401, &[integrity]);
    let third = bench.request();
    assert_eq!(only(&third.1).qop(), Some(Qop::AuthInt));
    let auth = third.1.header(h::PROXY_AUTHORIZATIONS).next().unwrap().unwrap();
    assert_eq!(Presented::read(&auth).unwrap().count, Some(2), "the second use of the proxy's nonce");
    let stale = Challenge { stale: true, ..Challenge::new("example.com", "n2", Algorithm::MD5) };
    refuse(&mut bench, third, 401, &[stale]);
    let (transaction, msg) = bench.request();
    assert_eq!((&*only(&msg).nonce, only(&msg).count), ("n2", Some(1)));
    bench.respond(transaction, &msg, 202);
    assert_eq!(bench.dum.application().0, ["success 202"]);
}

#[test]
fn what_cannot_be_answered_is_passed_up() {
    let stale = |nonce: &str| Challenge { stale: true, ..Challenge::new("example.com", nonce, Algorithm::MD5) };
    let plain = |nonce: &str| Challenge::new("example.com", nonce, Algorithm::MD5);
    for (refusals, sent) in [
        // Nobody has a secret for it.
        (vec![Challenge::new("elsewhere", "n", Algorithm::MD5)], 1),
        (vec![], 1),
        // The secret is wrong: the same nonce, or a new one that is not for a stale one.
        (vec![plain("n1"), plain("n1")], 2),
        (vec![stale("n1"), stale("n1")], 2),
        (vec![plain("n1"), plain("n2")], 2),
        // A server that is never content.
        ((1..9).map(|n| stale(&format!("n{n}"))).collect(), 5),
    ] {
        let mut bench = Bench::new(App::default());
        let mut last = ask(&mut bench);
        let mut count = 1;
        for refusal in refusals.iter().map(std::slice::from_ref).chain([[].as_slice()]) {
            refuse(&mut bench, last, 401, refusal);
            if bench.sent.is_empty() {
                break;
            }
            last = bench.request();
            count += 1;
        }
        assert_eq!((count, bench.dum.application().0.as_slice()), (sent, ["failure 401".to_owned()].as_slice()));
        assert_eq!(bench.dum.counts(), Default::default());
    }
    // Without credentials nothing is kept for an answer.
    let mut bench = Bench::new(App::default());
    bench.with(|_, dum| {
        let msg = dum.make_request(&UserProfile::default(), &Method::Message, &addr("<sip:bob@example.com>"));
        dum.send_request(msg).unwrap();
    });
    let first = bench.request();
    refuse(&mut bench, first, 401, &[plain("n1")]);
    assert_eq!(bench.dum.application().0, ["failure 401"]);
}

/// A call is challenged; what follows in its dialog has credentials at once, and the ACK has those of the INVITE.
#[test]
fn a_call_is_answered_and_so_is_what_follows_in_it() {
    let mut bench = Bench::new(App::default());
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n";
    let call = bench.with(|_, dum| {
        let offer = Sdp::parse(&sdp.into()).unwrap();
        let msg = dum.make_invite(&profile(), &addr("<sip:bob@example.com>"), Some(&offer));
        dum.send_invite(&profile(), msg).unwrap()
    });
    let first = bench.request();
    refuse(&mut bench, first, 407, &[Challenge::new("proxy", "p1", Algorithm::SHA_256)]);
    let (transaction, invite) = bench.request();
    assert_eq!(invite.header(h::CSEQ).unwrap().to_string(), "2 INVITE");
    let mut ok = invite.make_response(200, None, Some("peer"));
    ok.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    ok.set_body(Some("application/sdp"), sdp);
    bench.event(TuEvent::Response { transaction, msg: ok.into() });
    let Some(Command::SendStateless { msg: ack, .. }) = bench.sent.pop_front() else { panic!("an ACK") };
    assert_eq!(proxied(&ack), proxied(&invite), "RFC 3261 §22.1");
    bench.with(|_, dum| call.end(dum)).unwrap();
    let bye = bench.request();
    assert_eq!((proxied(&bye.1).count, &*proxied(&bye.1).nonce), (Some(2), "p1"));
    // The nonce has become too old meanwhile: the BYE takes the next number of its dialog.
    let stale = Challenge { stale: true, ..Challenge::new("proxy", "p2", Algorithm::SHA_256) };
    let (call_id, cseq) = (bye.1.header(h::CALL_ID).unwrap().to_string(), bye.1.header(h::CSEQ).unwrap().number);
    refuse(&mut bench, bye, 407, &[stale]);
    let (transaction, bye) = bench.request();
    assert_eq!(bye.header(h::CSEQ).unwrap().to_string(), format!("{} BYE", cseq + 1));
    assert_eq!(bye.header(h::CALL_ID).unwrap().to_string(), call_id);
    bench.respond(transaction, &bye, 200);
    assert_eq!(bench.dum.application().0, ["LocalBye"]);
    assert_eq!(bench.dum.counts().kept, 0);
}

/// A call of ours, with its INVITE.
fn calling(bench: &mut Bench<App>) -> (ClientTransaction, Message) {
    bench.with(|_, dum| {
        let msg = dum.make_invite(&profile(), &addr("<sip:bob@example.com>"), None);
        dum.send_invite(&profile(), msg).unwrap();
    });
    bench.request()
}

/// The INVITE is answered so, and sent once more.
fn once_more(
    bench: &mut Bench<App>,
    (transaction, invite): (ClientTransaction, Message),
    status: u16,
    edit: impl FnOnce(&mut Message),
) -> (ClientTransaction, Message) {
    let mut msg = invite.make_response(status, None, Some("peer"));
    edit(&mut msg);
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
    bench.request()
}

/// RFC 7616 §3.4: the count of a nonce says how often it was answered, and the digest is that of the Request-URI.
#[test]
fn each_attempt_at_a_call_answers_anew() {
    let mut bench = Bench::new(App::default());
    let first = calling(&mut bench);
    refuse(&mut bench, first, 407, &[Challenge::new("proxy", "p1", Algorithm::SHA_256)]);
    let mut last = bench.request();
    let uri = |msg: &Message| msg.first(h::PROXY_AUTHORIZATIONS).unwrap().get("uri").map(|uri| uri.into_owned());
    assert_eq!((proxied(&last.1).count, uri(&last.1).as_deref()), (Some(1), Some("sip:bob@example.com")));
    last = once_more(&mut bench, last, 422, |msg| msg.set(h::MIN_SE, &7200));
    assert_eq!((proxied(&last.1).count, uri(&last.1).as_deref()), (Some(2), Some("sip:bob@example.com")));
    last = once_more(&mut bench, last, 302, |msg| msg.push_back(h::CONTACTS, "<sip:carol@example.com>"));
    assert_eq!((proxied(&last.1).count, uri(&last.1).as_deref()), (Some(3), Some("sip:carol@example.com")));
    assert!(proxied(&last.1).is_right(&Secret::password("p"), "INVITE", b""));
}

/// Another attempt is another request: it may be asked as often, by those who are content with each nonce once.
#[test]
fn what_was_asked_of_an_attempt_before_is_no_reason_to_give_up() {
    let mut bench = Bench::new(App::default());
    let mut last = calling(&mut bench);
    for target in 0..3 {
        for asked in 0..4 {
            let stale = asked > 0;
            let nonce = format!("{target}{asked}");
            let challenge = Challenge { stale, ..Challenge::new("example.com", &nonce, Algorithm::MD5) };
            refuse(&mut bench, last, 401, &[challenge]);
            last = bench.request();
            assert_eq!((&*only(&last.1).nonce, only(&last.1).count), (&*nonce, Some(1)));
        }
        let contact = format!("<sip:{target}@example.com>");
        last = once_more(&mut bench, last, 302, |msg| msg.push_back(h::CONTACTS, &contact));
    }
    assert_eq!(bench.dum.application().0, [""; 0]);
}

fn proxied(msg: &Message) -> Presented<'static> {
    Presented::read(&msg.first(h::PROXY_AUTHORIZATIONS).unwrap()).unwrap().into_owned()
}

#[test]
fn a_credential_that_names_the_realm_comes_first() {
    let credentials = [Credential::for_any_realm("any", "x"), Credential::new("a", "named", "y")];
    assert_eq!(of_realm(&credentials, "a").unwrap().user, "named");
    assert_eq!(of_realm(&credentials, "b").unwrap().user, "any");
    assert_eq!(of_realm(&credentials[1..], "b"), None);
    let text = format!("{credentials:?} {:?}", Auth::new("Digest"));
    assert!(!text.contains("\"x\"") && !text.contains("\"y\""));
}

#[test]
fn messages_to_somebody_answer_and_go_on_with_the_nonce() {
    let mut bench = Bench::new(App::default());
    bench.with(|_, dum| {
        let pager = dum.make_pager(&profile(), &addr("<sip:bob@example.com>")).unwrap();
        for words in ["one", "two"] {
            pager.page(dum, Contents::Text(Text::new(words))).unwrap();
        }
    });
    let first = bench.request();
    refuse(&mut bench, first, 401, &[Challenge::new("example.com", "n1", Algorithm::MD5)]);
    for (words, cseq, count) in [("one", 2, 1), ("two", 3, 2)] {
        let (transaction, msg) = bench.request();
        assert_eq!((msg.body(), msg.header(h::CSEQ).unwrap().number), (words.as_bytes(), cseq));
        assert_eq!(only(&msg).count, Some(count));
        bench.respond(transaction, &msg, 200);
    }
    bench.nothing_sent();
}

/// The first NOTIFY for a SUBSCRIBE of ours.
fn notify(subscribe: &Message) -> Message {
    let mut msg = Message::request(&Method::Notify, "sip:alice@192.0.2.1");
    msg.set(h::FROM, "<sip:bob@example.com>;tag=bob");
    msg.set(h::TO, &subscribe.header(h::FROM).unwrap().to_string());
    msg.set(h::CALL_ID, subscribe.header(h::CALL_ID).unwrap().as_str());
    msg.set(h::CSEQ, "1 NOTIFY");
    msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    msg.set(h::EVENT, "presence");
    msg.set(h::SUBSCRIPTION_STATE, "active;expires=600");
    msg
}

#[test]
fn a_subscription_answers_and_its_refreshes_have_credentials_at_once() {
    let mut options = DumOptions::default();
    options.master.add_package(EventPackage::new("presence"));
    let mut bench = Bench::with_options(App::default(), options);
    bench.with(|_, dum| {
        let msg = dum.make_subscribe(&profile(), &addr("<sip:bob@example.com>"), "presence");
        dum.send_subscribe(&profile(), msg).unwrap();
    });
    let first = bench.request();
    refuse(&mut bench, first, 401, &[Challenge::new("example.com", "n1", Algorithm::MD5)]);
    let (transaction, msg) = bench.request();
    assert_eq!((msg.header(h::CSEQ).unwrap().number, only(&msg).count), (2, Some(1)));
    bench.ask(1, notify(&msg));
    assert_eq!(bench.response().1.status(), Some(200));
    let mut success = msg.make_response(200, None, Some("bob"));
    success.append_line("Expires", "600");
    bench.event(TuEvent::Response { transaction, msg: success.into() });
    while bench.sent.is_empty() {
        bench.run(std::time::Duration::from_secs(1));
    }
    let (_, refresh) = bench.request();
    assert_eq!((refresh.header(h::CSEQ).unwrap().number, only(&refresh).count), (3, Some(2)));
}

/// Of what has ended, or was overtaken by its end, nothing is sent any more.
#[test]
fn what_nobody_waits_for_is_not_sent_once_more() {
    let options = || {
        let mut options = DumOptions::default();
        options.master.add_package(EventPackage::new("presence"));
        options
    };
    let challenge = [Challenge::new("example.com", "n1", Algorithm::MD5)];
    let bob = addr("<sip:bob@example.com>");
    let mut bench = Bench::with_options(App::default(), options());
    let registration = bench.with(|_, dum| dum.register(&profile())).unwrap();
    let register = bench.request();
    bench.with(|_, dum| registration.stop(dum)).unwrap();
    let publication = bench.with(|_, dum| dum.publish(&profile(), &bob, "presence", "a/b", "c")).unwrap();
    let publish = bench.request();
    bench.with(|_, dum| publication.stop(dum)).unwrap();
    for stopped in [register, publish] {
        refuse(&mut bench, stopped, 401, &challenge);
        bench.nothing_sent();
    }
    let subscribe = |bench: &mut Bench<App>| {
        let set = bench.with(|_, dum| {
            let msg = dum.make_subscribe(&profile(), &bob, "presence");
            dum.send_subscribe(&profile(), msg).unwrap()
        });
        (set, bench.request())
    };
    let (set, first) = subscribe(&mut bench);
    bench.with(|_, dum| set.end(dum)).unwrap();
    refuse(&mut bench, first, 401, &challenge);
    bench.nothing_sent();
    assert_eq!(bench.dum.counts(), Default::default());
    let (set, (_, first)) = subscribe(&mut bench);
    bench.ask(1, notify(&first));
    bench.response();
    let refresh = |dum: &mut Dum<'_>| set.subscriptions(dum).unwrap()[0].refresh(dum);
    bench.with(|_, dum| refresh(dum)).unwrap();
    let overtaken = bench.request();
    bench.with(|_, dum| set.end(dum)).unwrap();
    let end = bench.request();
    refuse(&mut bench, overtaken, 401, &challenge);
    bench.nothing_sent();
    // The end itself is to arrive.
    refuse(&mut bench, end, 401, &challenge);
    assert_eq!(bench.request().1.header(h::EXPIRES).unwrap().0, 0);
}
