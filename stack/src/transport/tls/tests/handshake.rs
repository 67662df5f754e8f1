//! Handshakes between `server()` and `client()`.

use super::{Ca, Dir, Pair, ask, name, names};
use crate::transport::tls::{ClientAuth, TlsContext, TlsOptions, TlsTrust};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose as Usage, date_time_ymd};
use rustls::CertificateError as Bad;
use rustls::{ClientConfig, Error, ProtocolVersion, RootCertStore};
use std::sync::Arc;

/// A server with the certificate that a CA issued for `params`.
fn server(dir: &Dir, ca: &Ca, params: &CertificateParams) -> TlsContext {
    let identity = ca.issue(params).save(dir, "server");
    TlsContext::new(&TlsOptions { identities: vec![identity], ..trusting(dir, ca) }).unwrap()
}

/// What example.com would have issued, but for a change.
fn changed(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = names("dns=example.com");
    change(&mut params);
    params
}

fn trusting(dir: &Dir, ca: &Ca) -> TlsOptions {
    TlsOptions { trust: TlsTrust::Paths(vec![dir.write("trusted.pem", &ca.pem())]), ..TlsOptions::default() }
}

#[test]
fn a_good_server_is_trusted() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let context = ca.context(&dir, &["uri=sip:example.com dns=sip.example.com"], |_| {});
    let pair = Pair::connect(&context, &context, "Example.COM").unwrap();
    assert_eq!(pair.client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert!(pair.server_is(&context, "example.com") && !pair.is_resumed());
    assert!(pair.server.peer_certificates().is_none() && context.peer_identities(&[]).is_empty());
}

#[test]
fn a_bad_server_is_refused() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let client = TlsContext::new(&trusting(&dir, &ca)).unwrap();
    let refused =
        |params: &CertificateParams, domain: &str| match Pair::connect(&client, &server(&dir, &ca, params), domain) {
            Err(Error::InvalidCertificate(why)) => why,
            other => panic!("{other:?}"),
        };
    let expired = changed(|params| params.not_after = date_time_ymd(2001, 1, 1));
    assert!(matches!(refused(&expired, "example.com"), Bad::ExpiredContext { .. }));
    let early = changed(|params| params.not_before = date_time_ymd(4000, 1, 1));
    assert!(matches!(refused(&early, "example.com"), Bad::NotValidYetContext { .. }));
    for (certificate, domain) in [
        ("dns=example.com", "example.org"),
        ("dns=*.example.com", "a.example.com"),
        ("cn=example.com", "example.com"),
        ("uri=sip:example.com dns=a.example", "a.example"),
        ("ip=192.0.2.1", "192.0.2.2"),
    ] {
        let why = refused(&names(certificate), domain);
        assert!(matches!(&why, Bad::NotValidForNameContext { expected, .. } if *expected == name(domain)), "{why:?}");
    }
    // The server shows a certificate of a CA that has the same name and another key, or another name.
    for other in ["ca", "another"] {
        let theirs = server(&dir, &Ca::new(other), &names("dns=example.com"));
        let why = Pair::connect(&client, &theirs, "example.com").unwrap_err();
        assert!(matches!(why, Error::InvalidCertificate(Bad::BadSignature | Bad::UnknownIssuer)), "{why:?}");
    }
}

#[test]
fn the_common_name_is_accepted_when_asked_for() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let context = ca.context(&dir, &["cn=example.com"], |options| options.accept_common_name = true);
    assert!(Pair::connect(&context, &context, "example.com").unwrap().server_is(&context, "example.com"));
}

#[test]
fn a_numeric_host_is_found_in_the_certificate() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let context = ca.context(&dir, &["ip=192.0.2.1"], |_| {});
    Pair::connect(&context, &context, "192.0.2.1").unwrap();
}

#[test]
fn extended_key_usage_must_fit() {
    let sip = Usage::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 20]);
    for (usages, as_server, as_client) in [
        (vec![], true, true),
        (vec![Usage::ServerAuth], true, true),
        (vec![Usage::ClientAuth], false, true),
        (vec![sip.clone()], true, true),
        (vec![Usage::CodeSigning, sip], true, true),
        (vec![Usage::Any], true, true),
        (vec![Usage::CodeSigning], false, false),
    ] {
        let (dir, ca) = (Dir::new(), Ca::new("ca"));
        let params = changed(|params| params.extended_key_usages = usages.clone());
        let (its, plain) = (server(&dir, &ca, &params), TlsContext::new(&trusting(&dir, &ca)).unwrap());
        let asks = ca.context(&dir, &["dns=example.com"], ask(ClientAuth::Required));
        for (outcome, fits) in [
            (Pair::connect(&plain, &its, "example.com"), as_server),
            (Pair::connect(&its, &asks, "example.com"), as_client),
        ] {
            let unfit = matches!(outcome, Err(Error::InvalidCertificate(Bad::InvalidPurpose)));
            assert_eq!((outcome.is_ok(), unfit), (fits, !fits), "{usages:?}");
        }
    }
}

#[test]
fn clients_show_certificates_when_asked() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let phone = ca.context(&dir, &["uri=sip:phone.example"], |_| {});
    let nobody = TlsContext::new(&trusting(&dir, &ca)).unwrap();
    let stranger_dir = Dir::new();
    let stranger = Ca::new("other").issue(&names("dns=phone.example")).save(&stranger_dir, "stranger");
    let stranger = TlsContext::new(&TlsOptions { identities: vec![stranger], ..trusting(&dir, &ca) }).unwrap();
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let dir = Dir::new();
        let server = ca.context(&dir, &["dns=example.com"], ask(auth));
        let pair = Pair::connect(&phone, &server, "example.com").unwrap();
        assert_eq!(server.peer_identities(pair.server.peer_certificates().unwrap()), ["phone.example"]);
        match (auth, Pair::connect(&nobody, &server, "example.com")) {
            (ClientAuth::Required, Err(Error::NoCertificatesPresented)) => {}
            (ClientAuth::Optional, Ok(pair)) => assert!(pair.server.peer_certificates().is_none()),
            (_, other) => panic!("{auth:?}: {other:?}"),
        }
        let refused = Pair::connect(&stranger, &server, "example.com").unwrap_err();
        assert_eq!(refused, Error::InvalidCertificate(Bad::UnknownIssuer), "{auth:?}");
    }
}

#[test]
fn the_certificate_is_chosen_by_domain() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let identities = ["uri=sip:one.example", "dns=two.example dns=*.two.example", "dns=three.example"];
    let context =
        ca.context(&dir, &identities, |options| options.identities[2].domains = vec!["Four.example.".to_owned()]);
    for (domain, shown) in
        [("one.example", "one.example"), ("two.example", "two.example"), ("TWO.example", "two.example")]
    {
        assert!(Pair::connect(&context, &context, domain).unwrap().server_is(&context, shown), "{domain}");
    }
    // What is not here gets the first, and so does a wildcard's domain: the client says no.
    for (domain, shown) in
        [("a.two.example", "one.example"), ("five.example", "one.example"), ("four.example", "three.example")]
    {
        match Pair::connect(&context, &context, domain) {
            Err(Error::InvalidCertificate(Bad::NotValidForNameContext { presented, .. })) => {
                assert_eq!(presented, [shown], "{domain}");
            }
            other => panic!("{domain}: {other:?}"),
        }
    }
}

/// A client of rustls's own, with TLS 1.2 only.
fn old_client(ca: &Ca) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(super::der(&ca.pem()).remove(0)).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

#[test]
fn sessions_are_resumed() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let context = ca.context(&dir, &["dns=a.example dns=b.example"], |_| {});
    for (client, version) in [(context.client(), ProtocolVersion::TLSv1_3), (old_client(&ca), ProtocolVersion::TLSv1_2)]
    {
        let connect = |domain: &str| Pair::with(client.clone(), &context, domain).unwrap();
        let first = connect("a.example");
        assert_eq!((first.client.protocol_version(), first.is_resumed()), (Some(version), false));
        assert!(connect("a.example").is_resumed(), "{version:?}");
        // One who was verified as one domain is not therefore another.
        assert!(!connect("b.example").is_resumed(), "{version:?}");
    }
}

#[test]
fn a_resumed_client_is_still_known() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let context = ca.context(&dir, &["dns=example.com"], ask(ClientAuth::Required));
    Pair::connect(&context, &context, "example.com").unwrap();
    let pair = Pair::connect(&context, &context, "example.com").unwrap();
    assert!(pair.is_resumed());
    assert_eq!(context.peer_identities(pair.server.peer_certificates().unwrap()), ["example.com"]);
}

#[test]
fn without_an_identity_it_connects_but_serves_nobody() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let context = TlsContext::new(&trusting(&dir, &ca)).unwrap();
    let refused = Pair::connect(&context, &context, "example.com").unwrap_err();
    assert!(matches!(refused, Error::General(_)), "{refused:?}");
}
