//! Identities of certificates (RFC 5922 §7.1 and §7.2), as a table.

use super::super::names::{MAX_IDENTITIES, Names};
use super::{Ca, der, name, names};
use proptest::prelude::*;
use std::sync::LazyLock;

/// One CA for all: keys take time.
static CA: LazyLock<Ca> = LazyLock::new(|| Ca::new("names"));

fn issued(text: &str) -> Vec<u8> {
    der(&CA.issue(&names(text)).certificate)[0].to_vec()
}

#[test]
fn a_certificate_is_its_owners_and_nobody_elses() {
    const YES: bool = true;
    const NO: bool = false;
    for (certificate, reference, expected) in [
        // A sip URI.
        ("uri=sip:example.com", "example.com", YES),
        ("uri=sip:example.com", "EXAMPLE.com", YES),
        ("uri=SIP:Example.COM", "example.com", YES),
        ("uri=sip:example.com.", "example.com", YES),
        ("uri=sip:example.com", "example.com.", YES),
        ("uri=sip:example.com", "sip.example.com", NO),
        ("uri=sip:sip.example.com", "example.com", NO),
        ("uri=sip:example.com:5061", "example.com", YES),
        ("uri=sip:example.com;transport=tls", "example.com", YES),
        ("uri=sip:a.example uri=sip:b.example", "b.example", YES),
        // Users and other schemes are no domains.
        ("uri=sip:alice@example.com", "example.com", NO),
        ("uri=sips:example.com", "example.com", NO),
        ("uri=https://example.com", "example.com", NO),
        ("uri=sip:example.com;x=a@b", "example.com", NO),
        ("mail=example.com", "example.com", NO),
        // DNS names count only where there is no such URI.
        ("dns=example.com", "example.com", YES),
        ("dns=Example.Com", "eXAMPLE.cOM", YES),
        ("dns=example.com", "example.com.", YES),
        ("dns=example.com", "b.example.com", NO),
        ("uri=sip:a.example dns=b.example", "a.example", YES),
        ("uri=sip:a.example dns=b.example", "b.example", NO),
        ("dns=b.example uri=sip:a.example", "b.example", NO),
        ("uri=sip:alice@a.example dns=b.example", "b.example", YES),
        ("uri=https://a.example dns=b.example", "b.example", YES),
        // Wildcards are like nothing, and keep DNS names out as any sip URI does.
        ("dns=*.example.com", "a.example.com", NO),
        ("dns=*.example.com", "example.com", NO),
        ("dns=.example.com", "a.example.com", NO),
        ("uri=sip:*.example.com", "a.example.com", NO),
        ("uri=sip:*.example.com dns=a.example.com", "a.example.com", NO),
        // Addresses.
        ("ip=192.0.2.1", "192.0.2.1", YES),
        ("ip=192.0.2.1", "192.0.2.2", NO),
        ("ip=2001:db8::1", "2001:db8:0::1", YES),
        ("dns=192.0.2.1", "192.0.2.1", NO),
        ("ip=192.0.2.1 dns=example.com", "192.0.2.1", YES),
        ("ip=192.0.2.1 uri=sip:example.com", "192.0.2.1", NO),
        ("uri=sip:192.0.2.1", "192.0.2.1", YES),
        ("uri=sip:[2001:db8::1]:5061", "2001:db8::1", YES),
        ("uri=sip:[2001:db8::1", "2001:db8::1", NO),
        // The common name only when asked for: see below.
        ("cn=example.com", "example.com", NO),
        ("", "example.com", NO),
    ] {
        let der = issued(certificate);
        let matches = Names::read(&der).unwrap().matches(&name(reference), false);
        assert_eq!(matches, expected, "{certificate} for {reference}");
    }
}

#[test]
fn the_common_name_counts_when_asked_for_and_nothing_else_is_there() {
    for (certificate, reference, expected) in [
        ("cn=example.com", "EXAMPLE.com", true),
        ("cn=example.com", "a.example.com", false),
        ("cn=*.example.com", "a.example.com", false),
        ("cn=192.0.2.1", "192.0.2.1", false),
        ("cn=example.com dns=other.example", "example.com", false),
        ("cn=example.com mail=a@other.example", "example.com", false),
    ] {
        let der = issued(certificate);
        let names = Names::read(&der).unwrap();
        assert_eq!(names.matches(&name(reference), true), expected, "{certificate} for {reference}");
        assert!(!names.matches(&name(reference), false), "{certificate} for {reference}");
    }
}

#[test]
fn a_peer_is_told_by_its_hosts() {
    for (certificate, hosts, domains) in [
        ("uri=sip:B.example:5061 uri=sip:b.example. dns=c.example", vec!["b.example"], vec!["b.example", "c.example"]),
        ("dns=A.example dns=*.a.example ip=192.0.2.1", vec!["a.example"], vec!["a.example"]),
        ("uri=sip:[::1] uri=sip:alice@a.example", vec!["[::1]"], vec!["[::1]"]),
        ("uri=sip:*.a.example dns=a.example", vec![], vec!["a.example"]),
        ("dns=a<b>.example", vec![], vec![]),
        ("cn=old.example", vec![], vec!["old.example"]),
    ] {
        let der = issued(certificate);
        let names = Names::read(&der).unwrap();
        assert_eq!((names.hosts(false), names.domains()), (to_strings(&hosts), to_strings(&domains)), "{certificate}");
    }
    let many: Vec<_> = (0..300).map(|n| format!("dns=d{n}.example")).collect();
    let der = issued(&many.join(" "));
    let names = Names::read(&der).unwrap();
    assert_eq!((names.hosts(false).len(), names.domains().len()), (MAX_IDENTITIES, 300));
    assert!(names.matches(&name("d299.example"), false), "all are compared");
}

fn to_strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

proptest! {
    /// Any octets: an error or names, never a panic.
    #[test]
    fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Names::read(&octets).map(|names| (names.hosts(true), names.domains()));
    }

    /// A certificate with octets that were changed, cut or put in.
    #[test]
    fn damaged_certificates_are_read(damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8), cut in any::<usize>()) {
        static GOOD: LazyLock<Vec<u8>> =
            LazyLock::new(|| issued("uri=sip:example.com dns=b.example ip=192.0.2.1 cn=c.example mail=d@example"));
        let mut octets = GOOD.clone();
        for (at, octet) in damage {
            let at = at % octets.len();
            octets[at] = octet;
        }
        if cut % 4 == 0 {
            octets.truncate(cut % octets.len());
        }
        if let Ok(names) = Names::read(&octets) {
            let _ = (names.matches(&name("example.com"), true), names.hosts(true), names.domains());
        }
    }
}
