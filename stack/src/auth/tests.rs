//! Answers that the RFCs print, and both sides against each other.

use super::*;
use crate::header::{Auth, HeaderValue};
use rutil::{Rng, Time};
use std::time::Duration;

/// RFC 7616 §3.9.1.
#[test]
fn the_answers_of_rfc_7616() {
    let secret = Secret::password("Circle of Life");
    for (algorithm, expected) in [
        (Algorithm::MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm::SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let mut challenge =
            Challenge::new("http-auth@example.org", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", algorithm);
        challenge.opaque = Some("FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS".into());
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let answer = Answer { user: "Mufasa", method: "GET", uri: "/dir/index.html", body: b"", cnonce, count: 1 };
        let auth = challenge.answer(&secret, &answer).unwrap();
        assert_eq!(auth.get("response").as_deref(), Some(expected), "{}", algorithm.name());
        assert_eq!(
            (auth.get("nc").as_deref(), auth.get("opaque").as_deref()),
            (Some("00000001"), challenge.opaque.as_deref())
        );
    }
}

/// RFC 2069's form, as RFC 3261 §22.4 still takes it; the numbers are RFC 2617 §3.5's with no qop.
#[test]
fn a_challenge_without_qop_is_answered_without_nc() {
    let header =
        Auth::parse("Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"").unwrap();
    let challenge = Challenge::read(&header).unwrap();
    let answer = Answer { user: "Mufasa", method: "GET", uri: "/dir/index.html", body: b"", cnonce: "x", count: 1 };
    let auth = challenge.answer(&Secret::password("Circle Of Life"), &answer).unwrap();
    assert_eq!(auth.get("response").as_deref(), Some("670fd8c2df070c60b045671b8b24ff02"));
    assert_eq!((auth.get("nc"), auth.get("cnonce"), auth.get("qop")), (None, None, None));
    assert!(Presented::read(&auth).unwrap().is_right(&Secret::password("Circle Of Life"), "GET", b""));
}

#[test]
fn both_sides_agree_in_every_form_and_on_nothing_else() {
    let (right, wrong) = (Secret::password("secret"), Secret::password("Secret"));
    for name in ["MD5", "md5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-SESS"] {
        for qop in [None, Some(Qop::Auth), Some(Qop::AuthInt)] {
            let algorithm = Algorithm::from_name(name).unwrap();
            let challenge = Challenge { qops: qop.into_iter().collect(), ..Challenge::new("a \"b\"", "n", algorithm) };
            let challenge = Challenge::read(&Auth::parse(&challenge.to_auth().to_string()).unwrap()).unwrap();
            let answer =
                Answer { user: "al\"ice", method: "INVITE", uri: "sip:b@c", body: b"v=0", cnonce: "c", count: 26 };
            let auth = challenge.answer(&right, &answer).unwrap();
            let text = auth.to_string();
            let header = Auth::parse(&text).unwrap();
            let presented = Presented::read(&header).unwrap();
            assert_eq!((&*presented.user, presented.qop()), ("al\"ice", qop));
            assert_eq!(presented.count, qop.map(|_| 26));
            assert!(presented.is_right(&right, "INVITE", b"v=0"), "{name} {qop:?}");
            assert!(!presented.is_right(&wrong, "INVITE", b"v=0"));
            assert!(!presented.is_right(&right, "BYE", b"v=0"));
            assert_eq!(presented.is_right(&right, "INVITE", b"v=1"), qop != Some(Qop::AuthInt));
            // A server that keeps hashes needs that of the algorithm.
            let hashed = Secret::hashed(algorithm.hash, "al\"ice", "a \"b\"", "secret");
            assert!(presented.is_right(&hashed, "INVITE", b"v=0"));
            let other = if algorithm.hash == Hash::Md5 { Hash::Sha256 } else { Hash::Md5 };
            let hashed = Secret::hashed(other, "al\"ice", "a \"b\"", "secret");
            assert!(!hashed.serves(algorithm.hash) && !presented.is_right(&hashed, "INVITE", b"v=0"));
            assert_eq!(challenge.answer(&hashed, &answer), None);
        }
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let challenge = |text: &str| Challenge::read(&Auth::parse(text).unwrap()).map(|challenge| challenge.qop());
    assert_eq!(challenge("Basic realm=\"a\""), Err(AuthError::Scheme));
    assert_eq!(challenge("Digest realm=\"a\", nonce=\"b\", algorithm=SHA-3"), Err(AuthError::Algorithm));
    assert_eq!(challenge("Digest realm=\"a\", nonce=\"b\", qop=\"conf\""), Err(AuthError::Qop));
    assert_eq!(challenge("Digest realm=\"a\""), Err(AuthError::Missing("nonce")));
    assert_eq!(challenge("Digest realm=\"a\", nonce=\"b\", qop=\"x, auth-int, auth\""), Ok(Some(Qop::Auth)));
    assert_eq!(challenge("Digest realm=\"a\", nonce=\"b\", qop=auth-int"), Ok(Some(Qop::AuthInt)));
    let presented = |more: &str| {
        let text = format!("Digest username=\"a\", realm=\"b\", nonce=\"c\", uri=\"d\", response=\"e\"{more}");
        Presented::read(&Auth::parse(&text).unwrap()).map(|presented| presented.count)
    };
    assert_eq!(presented(""), Ok(None));
    assert_eq!(presented(", qop=auth, nc=0000000A, cnonce=\"\""), Ok(Some(10)));
    assert_eq!(presented(", qop=auth, cnonce=\"x\""), Err(AuthError::Missing("nc")));
    for nc in ["1", "+0000001", "000000001", "0000000g"] {
        assert_eq!(presented(&format!(", qop=auth, nc={nc}, cnonce=\"x\"")), Err(AuthError::Count), "{nc}");
    }
    assert!(!format!("{:?} {:?}", Secret::password("geheim"), Secret::a1(Hash::Md5, "beef")).contains("e\""));
}

#[test]
fn several_qops_are_offered_and_auth_is_taken() {
    let challenge = Challenge { qops: vec![Qop::AuthInt, Qop::Auth], ..Challenge::new("a", "n", Algorithm::MD5) };
    let text = challenge.to_auth().to_string();
    assert!(text.contains("qop=\"auth-int,auth\""), "{text}");
    let read = Challenge::read(&Auth::parse(&text).unwrap()).unwrap();
    assert_eq!((&read, read.qop()), (&challenge, Some(Qop::Auth)));
}

#[test]
fn of_a_parameter_that_comes_twice_the_first_counts() {
    let text = "Digest username=\"a\", UserName=\"b\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"x\"";
    let header = Auth::parse(text).unwrap();
    assert_eq!(Presented::read(&header).unwrap().user, "a");
}

#[test]
fn a_nonce_is_ours_and_young_or_it_is_nothing() {
    let mut rng = Rng::from_seed(4);
    let (nonces, others) = (Nonces::new(&mut rng), Nonces::new(&mut rng));
    let (made, source) = (Time::from_millis(1_000), "192.0.2.7".parse().ok());
    let nonce = nonces.issue(source, made, &mut rng);
    assert_ne!(nonce, nonces.issue(source, made, &mut rng));
    let minute = Duration::from_secs(60);
    assert_eq!(nonces.check(&nonce, source, made + minute, minute).map(|nonce| nonce.at), Ok(made));
    let late = made + minute + Duration::from_millis(1);
    assert_eq!(nonces.check(&nonce, source, late, minute), Err(BadNonce::Stale));
    assert_eq!(others.check(&nonce, source, late, minute), Err(BadNonce::Foreign));
    for at in 0..nonce.len() {
        let mut forged = nonce.clone().into_bytes();
        forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(nonces.check(&forged, source, made, minute), Err(BadNonce::Foreign), "{at}");
    }
    for text in ["", "x", "ä", &nonce[1..], &format!("{nonce}0"), &"ä".repeat(32), &"é".repeat(33)] {
        assert_eq!(nonces.check(text, source, made, minute), Err(BadNonce::Foreign));
    }
}

#[test]
fn a_nonce_is_for_one_address_or_one_prefix_of_ipv6() {
    let mut rng = Rng::from_seed(4);
    let nonces = Nonces::new(&mut rng);
    let mut serves = |made: &str, presented: &str| {
        let nonce = nonces.issue(made.parse().ok(), Time::ZERO, &mut rng);
        nonces.check(&nonce, presented.parse().ok(), Time::ZERO, Duration::from_secs(60)).is_ok()
    };
    assert!(serves("192.0.2.7", "192.0.2.7") && serves("192.0.2.7", "::ffff:192.0.2.7"));
    assert!(serves("2001:db8::1", "2001:db8::2:3") && serves("", ""));
    for (made, presented) in [("192.0.2.7", "192.0.2.8"), ("2001:db8::1", "2001:db8:0:1::1"), ("192.0.2.7", "")] {
        assert!(!serves(made, presented) && !serves(presented, made), "{made} {presented}");
    }
}
