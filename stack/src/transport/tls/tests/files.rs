//! What is wrong with files, and how it is told.

use super::{Ca, Dir, names};
use crate::transport::tls::{ClientAuth, TlsContext, TlsIdentity, TlsOptions, TlsSetting, TlsTrust};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use std::path::PathBuf;

/// What is said of options, and of which part.
fn refusal(options: &TlsOptions) -> (TlsSetting, String) {
    let error = TlsContext::new(options).unwrap_err();
    (error.setting, error.to_string())
}

fn with(identity: TlsIdentity) -> TlsOptions {
    TlsOptions { identities: vec![identity], trust: TlsTrust::Paths(Vec::new()), ..TlsOptions::default() }
}

#[test]
fn a_bad_identity_is_told_with_file_and_remedy() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let (good, other) = (ca.issue(&names("dns=a.example")), ca.issue(&names("dns=b.example")));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let odd = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let short = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let (certificate, key) = (TlsSetting::Certificate(0), TlsSetting::PrivateKey(0));
    for (pem, key_pem, setting, parts) in [
        (&*good.certificate, &*other.key, key, &["x.key is not the key of", "x.pem", "put the"][..]),
        ("", &good.key, certificate, &["x.pem has no certificate", "BEGIN CERTIFICATE"]),
        (&good.key, &good.key, certificate, &["x.pem has no certificate"]),
        (odd, &good.key, certificate, &["x.pem: certificate 1 cannot be read", "PEM"]),
        (&(good.certificate.clone() + odd), &good.key, certificate, &["x.pem: certificate 2 cannot be read"]),
        (&good.certificate, &good.certificate, key, &["x.key has no private key", "BEGIN PRIVATE KEY"]),
        (&good.certificate, encrypted, key, &["x.key holds an encrypted", "openssl pkey"]),
        (&good.certificate, short, key, &["x.key cannot be used", "P-256"]),
    ] {
        let identity = TlsIdentity {
            certificate: dir.write("x.pem", pem),
            private_key: dir.write("x.key", key_pem),
            domains: Vec::new(),
        };
        let (at, text) = refusal(&with(identity));
        assert!(at == setting && parts.iter().all(|part| text.contains(part)), "{at:?} {text}");
        assert!(!text.contains('\n') && !text.contains("MAA="), "{text}");
    }
}

#[test]
fn missing_files_are_named() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let good = ca.issue(&names("dns=a.example")).save(&dir, "good");
    let nowhere = PathBuf::from("/nowhere/x.pem");
    let without_certificate = TlsIdentity { certificate: nowhere.clone(), ..good.clone() };
    let without_key = TlsIdentity { private_key: nowhere.clone(), ..good.clone() };
    let both = |second: TlsIdentity| TlsOptions { identities: vec![good.clone(), second], ..with(good.clone()) };
    for (options, setting) in [
        (both(without_certificate), TlsSetting::Certificate(1)),
        (both(without_key), TlsSetting::PrivateKey(1)),
        (TlsOptions { trust: TlsTrust::Paths(vec![nowhere.clone()]), ..with(good.clone()) }, TlsSetting::Trust(0)),
    ] {
        let (at, text) = refusal(&options);
        assert!(at == setting && text.contains("/nowhere/x.pem") && text.contains("o such file"), "{at:?} {text}");
    }
}

#[test]
fn cas_are_read_from_files_and_directories() {
    let (dir, cas, one, two) = (Dir::new(), Dir::new(), Ca::new("one"), Ca::new("two"));
    cas.write("two.pem", &two.pem());
    let mut options = with(two.issue(&names("dns=two.example")).save(&dir, "two"));
    options.identities.push(one.issue(&names("dns=one.example")).save(&dir, "one"));
    options.trust = TlsTrust::Paths(vec![dir.write("one-ca.pem", &one.pem()), cas.to_path_buf()]);
    let context = TlsContext::new(&options).unwrap();
    for domain in ["one.example", "two.example"] {
        super::Pair::connect(&context, &context, domain).unwrap();
    }
    for (text, reason) in
        [("", "no certificate"), ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "certificate 1")]
    {
        dir.write("one-ca.pem", text);
        let (at, text) = refusal(&options);
        assert!(at == TlsSetting::Trust(0) && text.contains("one-ca.pem") && text.contains(reason), "{text}");
    }
}

/// Whatever the system's store holds, even nothing.
#[test]
fn the_default_trusts_the_system() {
    let context = TlsContext::new(&TlsOptions::default()).unwrap();
    context.reload().unwrap();
}

#[test]
fn clients_cannot_be_verified_without_cas() {
    let options =
        TlsOptions { client_auth: ClientAuth::Optional, trust: TlsTrust::Paths(Vec::new()), ..Default::default() };
    let (at, text) = refusal(&options);
    assert!(at == TlsSetting::ClientAuth && text.contains("without a CA certificate"), "{text}");
}

#[test]
fn keys_of_other_kinds_are_read() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = names("dns=a.example").signed_by(&key, &ca.0).unwrap().pem();
        let identity = super::Issued { certificate, key: key.serialize_pem() }.save(&dir, "x");
        let trust = TlsTrust::Paths(vec![dir.write("ca.pem", &ca.pem())]);
        let context = TlsContext::new(&TlsOptions { trust, ..with(identity) }).unwrap();
        super::Pair::connect(&context, &context, "a.example").unwrap();
    }
}

#[test]
fn a_certificate_that_nobody_issued_can_be_trusted_itself() {
    let (dir, key) = (Dir::new(), KeyPair::generate().unwrap());
    let certificate = names("cn=a.example dns=a.example").self_signed(&key).unwrap().pem();
    let identity = super::Issued { certificate, key: key.serialize_pem() }.save(&dir, "x");
    let trust = TlsTrust::Paths(vec![identity.certificate.clone()]);
    let context = TlsContext::new(&TlsOptions { trust, ..with(identity) }).unwrap();
    super::Pair::connect(&context, &context, "a.example").unwrap();
}

#[test]
fn no_key_is_printed() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let issued = ca.issue(&names("dns=a.example"));
    let context = TlsContext::new(&with(issued.save(&dir, "x"))).unwrap();
    let printed = format!("{context:?} {:?} {:?}", context.server(), context.client());
    let secret = KeyPair::from_pem(&issued.key).unwrap().serialize_der();
    // The private number of a P-256 key in PKCS #8 as rcgen writes it: any run of it would do.
    let run = |octets: &[u8]| octets.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    assert!(secret.windows(16).all(|octets| !printed.contains(&run(octets))), "{printed}");
    assert!(printed.contains("a.example") && issued.key.lines().all(|line| !printed.contains(line)));
}
