//! The answer to a challenge (RFC 3261 §22, RFC 8760).

use super::users::User;
use rutil::Rng;
use stack::auth::{Answer, Challenge, Presented, Secret};
use stack::header::h;
use stack::message::Message;

/// The header lines that answer what a 401 or 407 asks for: of each server the strongest challenge that can be answered.
/// None when nothing can be.
pub(super) fn answer(refusal: &Message, request: &Message, user: &User, rng: &mut Rng) -> Option<String> {
    let secret = user.secret.as_ref()?;
    let (method, uri) = (request.method()?, std::str::from_utf8(request.request_uri_text()).ok()?);
    let mut best: Vec<(&str, Challenge)> = Vec::new();
    let www = refusal.header(h::WWW_AUTHENTICATES).map(|auth| ("Authorization", auth));
    let proxy = refusal.header(h::PROXY_AUTHENTICATES).map(|auth| ("Proxy-Authorization", auth));
    for (name, auth) in www.chain(proxy).take(MOST) {
        let Some(challenge) = auth.ok().and_then(|auth| Challenge::read(&auth).ok()) else { continue };
        if !secret.serves(challenge.algorithm.hash) {
            continue;
        }
        match best.iter_mut().find(|(of, known)| *of == name && known.realm == challenge.realm) {
            Some((_, known)) if known.algorithm.hash < challenge.algorithm.hash => *known = challenge,
            Some(_) => {}
            None => best.push((name, challenge)),
        }
    }
    let lines: Option<String> = best
        .iter()
        .map(|(name, challenge)| {
            let cnonce = rng.token::<16>();
            let (user, method, body) = (user.name.as_str(), method.as_str(), request.body());
            let answer = Answer { user, method, uri, body, cnonce: &cnonce, count: 1 };
            Some(format!("{name}: {}\r\n", challenge.answer(secret, &answer)?))
        })
        .collect();
    lines.filter(|lines| !lines.is_empty())
}

/// Whether a request has an Authorization of this name and password. Which nonce it answers does not count.
pub(super) fn is_right(request: &Message, name: &str, password: &str) -> bool {
    let (Some(method), secret) = (request.method(), Secret::password(password)) else { return false };
    request.header(h::AUTHORIZATIONS).take(MOST).filter_map(Result::ok).any(|auth| {
        let presented = Presented::read(&auth);
        presented.is_ok_and(|one| one.user == name && one.is_right(&secret, method.as_str(), request.body()))
    })
}

/// The most challenges of one refusal that are looked at.
const MOST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.replace('\n', "\r\n").into_bytes()).expect("well formed")
    }

    fn user(password: Option<&str>) -> User {
        User { name: "bob".into(), domain: "x".into(), secret: password.map(Secret::password) }
    }

    const REQUEST: &str =
        "REGISTER sip:x SIP/2.0\nTo: <sip:bob@x>\nFrom: <sip:bob@x>\nCall-ID: 1\nCSeq: 1 REGISTER\n\n";

    #[test]
    fn each_server_gets_the_strongest_answer() {
        let refusal = message(
            "SIP/2.0 401 Unauthorized\nWWW-Authenticate: Digest realm=\"a\", nonce=\"1\", qop=\"auth\"\n\
             WWW-Authenticate: Digest realm=\"a\", nonce=\"2\", algorithm=SHA-256, qop=\"auth\"\n\
             WWW-Authenticate: Digest realm=\"a\", nonce=\"3\", algorithm=TOMORROW\n\
             Proxy-Authenticate: Digest realm=\"p\", nonce=\"4\", qop=\"auth\"\nCSeq: 1 REGISTER\n\n",
        );
        let (request, mut rng) = (message(REQUEST), Rng::from_seed(1));
        let lines = answer(&refusal, &request, &user(Some("zanzibar")), &mut rng).expect("a password");
        let answered = message(&REQUEST.replace("\n\n", &format!("\n{}\n", lines.replace("\r\n", "\n"))));
        let own = answered.header(h::AUTHORIZATIONS).next().expect("one").expect("well formed");
        let proxy = answered.header(h::PROXY_AUTHORIZATIONS).next().expect("one").expect("well formed");
        assert_eq!(lines.lines().count(), 2, "{lines}");
        for (auth, nonce) in [(own, "2"), (proxy, "4")] {
            let presented = Presented::read(&auth).expect("well formed");
            assert_eq!(presented.nonce, nonce);
            assert!(presented.is_right(&Secret::password("zanzibar"), "REGISTER", b""));
        }
    }

    #[test]
    fn who_has_the_password_is_right() {
        let refusal =
            message("SIP/2.0 401 No\nWWW-Authenticate: Digest realm=\"a\", nonce=\"1\"\nCSeq: 1 REGISTER\n\n");
        let (request, mut rng) = (message(REQUEST), Rng::from_seed(1));
        let lines = answer(&refusal, &request, &user(Some("zanzibar")), &mut rng).expect("a password");
        let answered = REQUEST.replace("\n\n", &format!("\n{}\n", lines.replace("\r\n", "\n")));
        assert!(is_right(&message(&answered), "bob", "zanzibar"));
        for (text, name, password) in [
            (&*answered, "bob", "carioca"),
            (&answered, "alice", "zanzibar"),
            (&answered.replace("REGISTER sip", "OPTIONS sip"), "bob", "zanzibar"),
            (&answered.replace("Digest", "Basic"), "bob", "zanzibar"),
            (REQUEST, "bob", "zanzibar"),
        ] {
            assert!(!is_right(&message(text), name, password), "{text} {name} {password}");
        }
    }

    #[test]
    fn without_a_password_or_a_challenge_there_is_no_answer() {
        let (request, mut rng) = (message(REQUEST), Rng::from_seed(1));
        let asks = message("SIP/2.0 401 No\nWWW-Authenticate: Digest realm=\"a\", nonce=\"1\"\nCSeq: 1 REGISTER\n\n");
        let asks_not = message("SIP/2.0 401 No\nCSeq: 1 REGISTER\n\n");
        assert!(answer(&asks, &request, &user(None), &mut rng).is_none());
        assert!(answer(&asks_not, &request, &user(Some("x")), &mut rng).is_none());
    }
}
