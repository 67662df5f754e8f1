//! Passwords: who must show who he is, and what that opens.

use super::*;
use crate::provisioning::{Place, Provisioning, Records};
use serde_json::{Value, json};
use stack::auth::{Algorithm, Answer, Challenge, Hash, Secret, ha1};
use stack::header::Auth;

const HERE: &str = "203.0.113.9:5060";
const FAR: &str = "sip:carol@198.51.100.1";

/// A proxy on the net that asks for passwords. Those of alice, bob and admin are their names.
pub(super) fn asking(change: impl FnOnce(&mut Config)) -> Bench {
    let mut config = Config::default();
    config.auth.required = true;
    change(&mut config);
    let mut bench = Bench::with("192.0.2.1:5060", config);
    bench.peer = HERE;
    post(&mut bench, &[]);
    bench
}

pub(super) fn post(bench: &mut Bench, more: &[(&str, Value)]) {
    let mut records = Records::default();
    let domains = [json!({"name": "example.com"}), json!({"name": "example.org", "realm": "org users"})];
    domains.into_iter().for_each(|body| drop(records.add("domain", body, Place::Store).unwrap()));
    for (aor, realm, more) in [
        ("alice@example.com", "example.com", json!([])),
        ("bob@example.com", "example.com", json!([])),
        ("dora@example.org", "org users", json!([])),
        ("admin@example.com", "example.com", json!(["bob@example.com"])),
    ] {
        let name = aor.split('@').next().unwrap();
        let digits = |hash| ha1(hash, name, realm, name);
        let body = json!({"aor": aor, "md5": digits(Hash::Md5), "sha256": digits(Hash::Sha256), "third_party": more});
        records.add("user", body, Place::Store).unwrap();
    }
    more.iter().for_each(|(kind, body)| drop(records.add(kind, body.clone(), Place::Store).unwrap()));
    let provisioning = Provisioning::compile(&records, &mut Rng::from_seed(3)).unwrap();
    bench.event(TuEvent::Posted(Box::new(Arc::new(provisioning))));
}

/// A request of alice's, or of whom `lines` say.
pub(super) fn of(method: &str, uri: &str, lines: &str) -> Message {
    request(method, uri, lines)
}

pub(super) fn register(who: &str) -> Message {
    let domain = who.split('@').nth(1).unwrap();
    let lines = format!(
        "From: <sip:{who}>;tag=a\r\nTo: <sip:{who}>\r\nContact: <sip:x@203.0.113.9:5060>\r\nContact-Note: x\r\n"
    );
    of("REGISTER", &format!("sip:{domain}"), &lines)
}

/// The challenges of an answer, and its status.
fn challenges(outs: &[Out]) -> (u16, Vec<Challenge>) {
    let [Out::Answer(_, code, Some(msg))] = outs else { panic!("not answered: {outs:?}") };
    let name = if *code == 407 { h::PROXY_AUTHENTICATES } else { h::WWW_AUTHENTICATES };
    (*code, msg.header(name).map(|auth| Challenge::read(&auth.unwrap()).unwrap()).collect())
}

fn credentials(challenge: &Challenge, msg: &Message, user: &str, password: &str, count: u32) -> Auth<'static> {
    let (method, uri) = (msg.method().unwrap().as_str().to_owned(), uri(msg).to_owned());
    let answer = Answer { user, method: &method, uri: &uri, body: msg.body(), cnonce: "c", count };
    challenge.answer(&Secret::password(password), &answer).unwrap()
}

/// Sends a request, and again with an answer to the first challenge.
pub(super) fn prove(bench: &mut Bench, msg: Message, user: &str, password: &str) -> Vec<Out> {
    let outs = bench.request(msg.clone());
    let (code, asked) = challenges(&outs);
    bench.request(with(&asked[0], code, msg, user, password, 1))
}

fn with(challenge: &Challenge, code: u16, mut msg: Message, user: &str, password: &str, count: u32) -> Message {
    let method = msg.method().unwrap().as_str().to_owned();
    msg.set(h::CSEQ, &format_args!("{} {method}", count + 1));
    let auth = credentials(challenge, &msg, user, password, count);
    let name = if code == 407 { h::PROXY_AUTHORIZATIONS } else { h::AUTHORIZATIONS };
    msg.push_back(name, &auth);
    msg
}

fn status(outs: &[Out]) -> u16 {
    match outs {
        [Out::Answer(_, code, _)] => *code,
        _ => panic!("not answered: {outs:?}"),
    }
}

#[test]
fn who_registers_shows_who_he_is() {
    let mut bench = asking(|_| {});
    let (code, asked) = challenges(&bench.request(register("alice@example.com")));
    let offered: Vec<_> = asked.iter().map(|c| (c.algorithm, c.realm.as_str(), c.stale)).collect();
    let expected = [(Algorithm::SHA_256, "example.com", false), (Algorithm::MD5, "example.com", false)];
    assert_eq!((code, offered.as_slice()), (401, &expected[..]));
    for (n, challenge) in (1..).zip(&asked) {
        let msg = with(challenge, 401, register("alice@example.com"), "alice", "alice", n);
        assert_eq!(bench.status(msg), 200, "{}", challenge.algorithm.name());
    }
    // A domain has a realm of its own.
    let (_, asked) = challenges(&bench.request(register("dora@example.org")));
    assert_eq!(asked[0].realm, "org users");
    let msg = with(&asked[0], 407, register("dora@example.org"), "dora", "dora", 1);
    assert_eq!(bench.status(msg), 200, "in Proxy-Authorization too");
    // What is not ours is for nobody to register.
    assert_eq!(bench.status(of("REGISTER", "sip:example.com", "From: <sip:a@b>;tag=a\r\nTo: <sip:a@b>\r\n")), 403);
}

#[test]
fn a_wrong_password_and_a_user_who_is_none_get_the_same_answer() {
    let mut bench = asking(|_| {});
    let answers: Vec<_> = ["alice", "nobody"]
        .map(|who| {
            let outs = prove(&mut bench, register(&format!("{who}@example.com")), who, "guess");
            let (code, asked) = challenges(&outs);
            (code, asked.into_iter().map(|c| Challenge { nonce: String::new(), ..c }).collect::<Vec<_>>())
        })
        .into();
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].0 == 401 && !answers[0].1[0].stale);
}

#[test]
fn a_recorded_request_is_refused_on_every_shard() {
    let mut bench = asking(|_| {});
    let (_, asked) = challenges(&bench.request(register("alice@example.com")));
    let msg = with(&asked[0], 401, register("alice@example.com"), "alice", "alice", 1);
    assert_eq!(bench.status(msg.clone()), 200);
    let (code, again) = challenges(&bench.request(msg.clone()));
    assert_eq!((code, again[0].stale), (401, true));
    // Another shard has the same server.
    bench.proxy = Proxy::new(bench.server.clone(), 1, &mut Rng::from_seed(9));
    post(&mut bench, &[]);
    let (code, again) = challenges(&bench.request(msg));
    assert_eq!((code, again[0].stale), (401, true));
    let msg = with(&asked[0], 401, register("alice@example.com"), "alice", "alice", 2);
    assert_eq!(bench.status(msg), 200, "its nonces serve here too");
    // From elsewhere the next one does not.
    let msg = with(&asked[0], 401, register("alice@example.com"), "alice", "alice", 3);
    bench.peer = "203.0.113.10:5060";
    assert!(challenges(&bench.request(msg)).1[0].stale);
}

#[test]
fn nobody_registers_another() {
    let mut bench = asking(|_| {});
    // By name, by To alone, and by From alone.
    let to_bob = "From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nContact: <sip:x@203.0.113.9>\r\n";
    assert_eq!(status(&prove(&mut bench, of("REGISTER", "sip:example.com", to_bob), "alice", "alice")), 403);
    assert_eq!(status(&prove(&mut bench, register("bob@example.com"), "alice", "alice")), 403);
    // With permission.
    let admin = to_bob.replace("alice", "admin");
    assert_eq!(status(&prove(&mut bench, of("REGISTER", "sip:example.com", &admin), "admin", "admin")), 200);
    assert_eq!(status(&prove(&mut bench, register("bob@example.com"), "admin", "admin")), 200);
    assert_eq!(status(&prove(&mut bench, register("alice@example.com"), "admin", "admin")), 403);
    // Nobody else's password serves.
    assert_eq!(status(&prove(&mut bench, register("bob@example.com"), "bob", "alice")), 401);
}

#[test]
fn a_call_is_asked_for_and_its_credentials_stay_here() {
    let mut bench = asking(|_| {});
    assert_eq!(status(&prove(&mut bench, register("bob@example.com"), "bob", "bob")), 200);
    let invite = || of("INVITE", "sip:bob@example.com", "Proxy-Authorization: Digest realm=\"other\", nonce=\"x\"\r\n");
    assert_eq!(challenges(&bench.request(invite())).0, 407);
    let sent = sent(prove(&mut bench, invite(), "alice", "alice"));
    let text = text(&sent[0].1);
    assert!(text.contains("realm=\"other\"") && !text.contains("username"), "{text}");
    // In another's name.
    assert_eq!(status(&prove(&mut bench, invite(), "bob", "bob")), 403);
    // And to whom it does not concern: a stranger calls a user.
    let lines = "From: <sip:carol@example.net>;tag=a\r\n";
    bench.forwarded(of("INVITE", "sip:bob@example.com", lines));
}

#[test]
fn the_way_out_is_open_to_users_alone() {
    let mut bench = asking(|_| {});
    assert_eq!(status(&prove(&mut bench, register("bob@example.com"), "bob", "bob")), 200);
    assert_eq!(sent(prove(&mut bench, of("INVITE", FAR, ""), "alice", "alice")).len(), 1);
    let stranger = "From: <sip:carol@example.net>;tag=a\r\n";
    assert_eq!(bench.status(of("INVITE", FAR, stranger)), 403, "from where a user has registered");
    // Without a name of his own he names himself, or is asked all the same.
    let anonymous = "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=a\r\n";
    assert_eq!(sent(prove(&mut bench, of("INVITE", FAR, anonymous), "alice", "alice")).len(), 1);
    let preferred = format!("{anonymous}P-Preferred-Identity: <sip:dora@example.org>\r\n");
    assert_eq!(challenges(&bench.request(of("INVITE", FAR, &preferred))).1[0].realm, "org users");
    bench.forwarded(of("INVITE", "sip:bob@example.com", anonymous));
}

/// What is forged: a To tag, a Route, a From.
#[test]
fn a_forged_dialog_opens_nothing() {
    let mut bench = asking(|_| {});
    assert_eq!(status(&prove(&mut bench, register("bob@example.com"), "bob", "bob")), 200);
    bench.peer = "198.51.100.77:5060";
    let (tag, own) = ("To: <sip:bob@example.com>;tag=b\r\n", "Route: <sip:192.0.2.1;lr>\r\n");
    let stranger = "From: <sip:carol@example.net>;tag=a\r\n";
    assert_eq!(bench.status(of("INVITE", FAR, &format!("{tag}{own}{stranger}"))), 403);
    assert_eq!(challenges(&bench.request(of("INVITE", FAR, &format!("{tag}{own}")))).0, 407);
    assert_eq!(challenges(&bench.request(of("INVITE", FAR, tag))).0, 407);
    assert_eq!(challenges(&bench.request(of("MESSAGE", "sip:bob@example.com", tag))).0, 407);
    assert!(bench.ack(of("ACK", FAR, &format!("{tag}{own}"))).is_empty());
    // Nor is a user of ours asked for less who is named with a forged dialog, a port or a dot.
    assert_eq!(challenges(&bench.request(of("MESSAGE", "sip:bob@example.com", &format!("{tag}{own}")))).0, 407);
    for from in ["alice@example.com:9", "alice@example.com."] {
        let from = format!("From: <sip:{from}>;tag=a\r\n");
        assert_eq!(challenges(&bench.request(of("INVITE", "sip:bob@example.com", &from))).0, 407, "{from}");
    }
    // What leads to a registered contact is asked for nothing, nor what comes from one.
    bench.forwarded(of("BYE", "sip:x@203.0.113.9:5060", &format!("{tag}{own}")));
    bench.peer = HERE;
    bench.forwarded(of("BYE", FAR, &format!("{tag}{own}")));
    assert_eq!(bench.ack(of("ACK", FAR, &format!("{tag}{own}"))).len(), 1);
}

/// The device that a call began on may have gone from the location service: then it is asked.
#[test]
fn who_is_not_registered_may_prove_himself_within_a_dialog() {
    let mut bench = asking(|_| {});
    let own = "To: <sip:carol@198.51.100.1>;tag=b\r\nRoute: <sip:192.0.2.1;lr>\r\n";
    assert_eq!(sent(prove(&mut bench, of("BYE", FAR, own), "alice", "alice")).len(), 1);
    // Nobody can ask an ACK: it has the credentials of its INVITE.
    let (_, asked) = challenges(&bench.request(of("INVITE", FAR, "")));
    let invite = with(&asked[0], 407, of("INVITE", FAR, ""), "alice", "alice", 1);
    let acks = |bench: &mut Bench, auth: Option<Auth<'_>>| {
        let mut ack = of("ACK", FAR, own);
        auth.iter().for_each(|auth| ack.push_back(h::PROXY_AUTHORIZATIONS, auth));
        bench.ack(ack).len()
    };
    let right = invite.first(h::PROXY_AUTHORIZATIONS).unwrap().into_owned();
    let wrong = credentials(&asked[0], &of("INVITE", FAR, ""), "alice", "guess", 1);
    let of_ack = credentials(&asked[0], &of("ACK", FAR, ""), "alice", "alice", 1);
    assert_eq!(sent(bench.request(invite)).len(), 1);
    let passed = [None, Some(right), Some(wrong), Some(of_ack)].map(|auth| acks(&mut bench, auth));
    assert_eq!(passed, [0, 1, 0, 0]);
}

#[test]
fn who_is_trusted_is_not_asked() {
    let acl = |more: Value| {
        let mut body = json!({"network": "203.0.113.0/24"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("acl", body)
    };
    for (record, registers, relays) in [
        (acl(json!({})), true, true),
        (acl(json!({"register": false})), false, true),
        (acl(json!({"relay": false})), true, false),
    ] {
        let mut bench = asking(|_| {});
        post(&mut bench, &[record]);
        assert_eq!(bench.status(register("bob@example.com")), if registers { 200 } else { 403 });
        let outs = bench.request(of("INVITE", FAR, ""));
        assert_eq!((codes(&outs), sent(outs).len()), if relays { (vec![], 1) } else { (vec![403], 0) });
    }
    let mut bench = asking(|config| config.trusted_peers = vec!["203.0.113.0/24".parse().unwrap()]);
    assert_eq!(bench.status(register("bob@example.com")), 200);
}

#[test]
fn guessing_is_slowed_and_then_banned_and_nobody_else_is() {
    let mut bench = asking(|config| {
        (config.auth.failures, config.auth.ban_after, config.auth.ban_seconds) = (3, 6, 120);
    });
    for _ in 0..3 {
        assert_eq!(status(&prove(&mut bench, register("alice@example.com"), "alice", "guess")), 401);
    }
    // Not even the right one is looked at now, and nothing tells that.
    let (code, asked) = challenges(&prove(&mut bench, register("alice@example.com"), "alice", "alice"));
    assert_eq!((code, asked[0].stale), (401, false));
    assert_eq!(status(&prove(&mut bench, register("bob@example.com"), "bob", "bob")), 200);
    bench.peer = "203.0.113.10:5060";
    assert_eq!(status(&prove(&mut bench, register("alice@example.com"), "alice", "alice")), 200, "alice is not locked");
    bench.peer = HERE;
    assert!(bench.harness.banned().is_empty());
    for _ in 0..2 {
        prove(&mut bench, register("bob@example.com"), "bob", "guess");
    }
    let here = "203.0.113.9".parse().unwrap();
    assert_eq!(bench.harness.banned(), [(here, Duration::from_secs(120))]);
    // Who is let in again by an operator has not guessed.
    bench.server.auth().unwrap().forgive(here);
    assert_ne!(status(&prove(&mut bench, register("alice@example.com"), "alice", "alice")), 401);
    prove(&mut bench, register("alice@example.com"), "alice", "guess");
    assert_eq!(bench.harness.banned().len(), 1);
}

/// What answers no nonce that its source was sent says nothing of that source: it may have been written by anybody.
#[test]
fn nobody_has_another_banned() {
    let mut bench = asking(|config| (config.auth.failures, config.auth.ban_after) = (1, 1));
    bench.peer = "198.51.100.77:5060";
    let (_, asked) = challenges(&bench.request(register("alice@example.com")));
    bench.peer = HERE;
    for n in 1..50 {
        let msg = with(&asked[0], 401, register("alice@example.com"), "alice", "guess", n);
        assert!(challenges(&bench.request(msg)).1[0].stale);
    }
    assert!(bench.harness.banned().is_empty());
    assert_eq!(status(&prove(&mut bench, register("alice@example.com"), "alice", "alice")), 200);
}

/// Who is anonymous is asked where it matters: before a call that leaves by a trunk.
#[test]
fn an_anonymous_caller_may_call_a_number() {
    let mut bench = asking(|_| {});
    post(&mut bench, &[("trunk", json!({"name": "gw", "contacts": ["sip:198.51.100.9"]}))]);
    let call = || {
        let lines = "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=a\r\nTo: <sip:112@example.com>\r\n";
        of("INVITE", "sip:+49112@example.com", lines)
    };
    assert_eq!(challenges(&bench.request(call())).0, 407);
    assert_eq!(sent(prove(&mut bench, call(), "alice", "alice")).len(), 1);
}

#[test]
fn without_the_key_nobody_is_asked() {
    let mut bench = asking(|config| config.auth.required = false);
    bench.peer = "127.0.0.1:9";
    assert_eq!(bench.status(register("bob@example.com")), 403, "nor trusted");
    assert_eq!(bench.status(of("INVITE", "sip:bob@example.com", "")), 480);
}

#[test]
fn a_user_is_watched_by_who_shows_to_be_him() {
    let mut bench = asking(|_| {});
    for (who, code) in [("bob", 200), ("alice", 403)] {
        let lines = format!("From: <sip:{who}@example.com>;tag=1\r\nEvent: reg\r\nContact: <sip:x@203.0.113.9>\r\n");
        let mut msg = of("SUBSCRIBE", "sip:bob@example.com", &lines);
        msg.set(h::CALL_ID, who);
        assert_eq!(codes(&prove(&mut bench, msg, who, who)), [code], "{who}");
    }
}
