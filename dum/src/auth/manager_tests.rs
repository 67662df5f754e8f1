//! What credentials prove, and what they do not.

use super::*;
use rutil::{Rng, Time};
use stack::auth::{Algorithm, Answer, Challenge, Hash, Qop};
use stack::header::{Auth, h};
use stack::message::{Message, Source};
use stack::transport::{ConnectionId, Flow, TransportId, TransportType};
use std::time::Duration;

const HERE: &str = "192.0.2.7:5060";

struct Bench {
    manager: ServerAuthManager,
    rng: Rng,
    now: Time,
}

fn bench(options: ServerAuthOptions) -> Bench {
    let mut rng = Rng::from_seed(6);
    Bench { manager: ServerAuthManager::new(options, &mut rng), rng, now: Time::from_millis(1) }
}

/// An INVITE as it came from a place.
fn invite(from: &str) -> Message {
    let mut msg = Message::request(&stack::header::Method::Invite, "sip:bob@example.com");
    let (kind, peer) = (TransportType::Udp, from.parse().unwrap());
    let flow = Flow { transport: TransportId(0), kind, connection: ConnectionId(0), peer, local: None };
    msg.set_source(Source { flow, at: Time::ZERO });
    msg
}

fn alice(user: &str, _: Algorithm) -> Option<stack::auth::Secret> {
    (user == "alice").then(|| stack::auth::Secret::password("wonderland"))
}

impl Bench {
    fn check(&self, msg: &Message) -> Result<String, Refusal> {
        self.manager.check(msg, Asker::Proxy, "example.com", self.now, alice)
    }

    fn challenge(&mut self, from: &str) -> Challenge {
        let challenges =
            self.manager.challenges(source(&invite(from)), "example.com", &Refusal::Missing, self.now, &mut self.rng);
        challenges[0].clone()
    }
}

fn answer(challenge: &Challenge, user: &str, password: &str, count: u32) -> Auth<'static> {
    let answer = Answer { user, method: "INVITE", uri: "sip:bob@example.com", body: b"", cnonce: "c", count };
    challenge.answer(&stack::auth::Secret::password(password), &answer).unwrap()
}

fn with(auth: &Auth<'_>, from: &str) -> Message {
    let mut msg = invite(from);
    msg.push_back(h::PROXY_AUTHORIZATIONS, auth);
    msg
}

fn wrong(user: &str) -> Result<String, Refusal> {
    Err(Refusal::Wrong { user: user.to_owned() })
}

#[test]
fn a_user_proves_who_he_is_in_either_header() {
    let mut bench = bench(ServerAuthOptions::default());
    assert_eq!(bench.check(&invite(HERE)), Err(Refusal::Missing));
    let challenge = bench.challenge(HERE);
    assert_eq!(bench.check(&with(&answer(&challenge, "alice", "wonderland", 1), HERE)), Ok("alice".into()));
    let mut msg = invite(HERE);
    msg.push_back(h::AUTHORIZATIONS, &answer(&challenge, "alice", "wonderland", 2));
    assert_eq!(bench.check(&msg), Ok("alice".into()));
    // That of the asker comes first, and what the other has is not looked at.
    msg.push_back(h::PROXY_AUTHORIZATIONS, &answer(&challenge, "alice", "guess", 3));
    assert_eq!(bench.check(&msg), wrong("alice"));
}

#[test]
fn a_recorded_request_is_stale() {
    let mut bench = bench(ServerAuthOptions::default());
    let challenge = bench.challenge(HERE);
    let first = with(&answer(&challenge, "alice", "wonderland", 1), HERE);
    assert_eq!(bench.check(&first), Ok("alice".into()));
    assert_eq!(bench.check(&first), Err(Refusal::Stale));
    assert_eq!(bench.check(&with(&answer(&challenge, "alice", "wonderland", 2), HERE)), Ok("alice".into()));
    // From elsewhere not even what was never used.
    let unused = answer(&challenge, "alice", "wonderland", 3);
    assert_eq!(bench.check(&with(&unused, "192.0.2.8:5060")), Err(Refusal::Stale));
    assert_eq!(bench.check(&with(&unused, "192.0.2.7:6000")), Ok("alice".into()), "a NAT may change the port");
    bench.now += Duration::from_secs(301);
    assert_eq!(bench.check(&with(&answer(&challenge, "alice", "wonderland", 4), HERE)), Err(Refusal::Stale));
}

/// A guess is judged only where it answers a nonce that its source was sent, and a user that does not exist is as wrong as
/// a password.
#[test]
fn nobody_learns_which_users_there_are() {
    let mut bench = bench(ServerAuthOptions::default());
    let challenge = bench.challenge(HERE);
    for user in ["alice", "nobody"] {
        assert_eq!(bench.check(&with(&answer(&challenge, user, "guess", 1), HERE)), wrong(user));
        let mut own = challenge.clone();
        own.nonce = "mine".into();
        for password in ["wonderland", "guess"] {
            assert_eq!(bench.check(&with(&answer(&own, user, password, 1), HERE)), Err(Refusal::Stale));
        }
    }
    let told = |bench: &mut Bench, user: &str| {
        let refusal = bench.check(&with(&answer(&challenge, user, "guess", 2), HERE)).unwrap_err();
        let told = bench.manager.challenges(source(&invite(HERE)), "example.com", &refusal, bench.now, &mut bench.rng);
        told.into_iter().map(|challenge| Challenge { nonce: String::new(), ..challenge }).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut bench, "alice"), told(&mut bench, "nobody"));
    // Whose secret is kept by another hash function is nobody.
    let md5 = |user: &str, _| Some(stack::auth::Secret::hashed(Hash::Md5, user, "example.com", "wonderland"));
    let msg = with(&answer(&challenge, "alice", "wonderland", 3), HERE);
    assert_eq!(bench.manager.check(&msg, Asker::Proxy, "example.com", bench.now, md5), wrong("alice"));
}

#[test]
fn only_what_was_asked_for_counts() {
    let options = ServerAuthOptions { qops: vec![Qop::Auth, Qop::AuthInt], ..ServerAuthOptions::default() };
    let mut bench = bench(options);
    let challenge = bench.challenge(HERE);
    assert_eq!((challenge.algorithm, challenge.qops.as_slice()), (Algorithm::SHA_256, &[Qop::Auth, Qop::AuthInt][..]));
    for (qops, algorithm, realm, expected) in [
        (vec![Qop::AuthInt], Algorithm::SHA_256, "example.com", Ok("alice".to_owned())),
        (vec![Qop::Auth], Algorithm::MD5, "example.com", Ok("alice".to_owned())),
        (vec![], Algorithm::SHA_256, "example.com", Err(Refusal::Missing)),
        (vec![Qop::Auth], Algorithm::SHA_512_256, "example.com", Err(Refusal::Missing)),
        (vec![Qop::Auth], Algorithm { session: true, ..Algorithm::SHA_256 }, "example.com", Err(Refusal::Missing)),
        (vec![Qop::Auth], Algorithm::SHA_256, "example.org", Err(Refusal::Missing)),
    ] {
        let asked = Challenge { qops, algorithm, realm: realm.to_owned(), ..bench.challenge(HERE) };
        let mut msg = with(&answer(&asked, "alice", "wonderland", 1), HERE);
        assert_eq!(bench.check(&msg), expected, "{asked:?}");
        // A body that was put in on the way is noticed by auth-int.
        msg = with(&answer(&asked, "alice", "wonderland", 2), HERE);
        msg.set_body(Some("text/plain"), "changed");
        let integrity = asked.qop() == Some(Qop::AuthInt);
        assert_eq!(bench.check(&msg), if integrity { wrong("alice") } else { expected });
    }
}

#[test]
fn the_answer_says_who_asks() {
    let mut bench = bench(ServerAuthOptions::default());
    let challenges =
        bench.manager.challenges(source(&invite(HERE)), "example.com", &Refusal::Stale, bench.now, &mut bench.rng);
    for (asker, status, name) in [(Asker::Server, 401, "WWW-Authenticate"), (Asker::Proxy, 407, "Proxy-Authenticate")] {
        let mut response = invite(HERE).make_response(asker.status(), None, None);
        asker.write(&challenges, &mut response);
        let all: Vec<_> = response.raw_values(name).map(String::from_utf8_lossy).collect();
        assert_eq!((response.status(), all.len()), (Some(status), 2));
        assert!(all[0].contains("SHA-256") && all[1].contains("MD5") && all.iter().all(|c| c.contains("stale=TRUE")));
    }
}
