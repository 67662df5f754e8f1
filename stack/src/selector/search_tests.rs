//! Zones as tables: URI in, questions asked, targets out.

use super::*;
use crate::uri::Uri;
use proptest::prelude::*;
use rutil::Rng;
use std::collections::BTreeSet;

/// URI, the transports of the stack, targets.
type Case = (&'static str, &'static str, Result<&'static [&'static str], NoResponse>);

/// A line of a zone: `name TYPE data`.
type Zone = &'static [&'static str];

fn records(zone: Zone, query: &Query) -> Records {
    let wanted = match query.record {
        RecordType::Naptr => "NAPTR",
        RecordType::Srv => "SRV",
        RecordType::A => "A",
        RecordType::Aaaa => "AAAA",
    };
    let lines = zone.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let data = lines.filter(|words| words[0] == query.name && words[1] == wanted).map(|words| words[2..].to_vec());
    let dotless = |name: &str| name.trim_end_matches('.').into();
    match query.record {
        RecordType::Naptr => Records::Naptr(
            data.map(|w| Naptr {
                order: w[0].parse().unwrap(),
                preference: w[1].parse().unwrap(),
                flags: w[2].into(),
                services: w[3].into(),
                regexp: if w[4] == "-" { "".into() } else { w[4].into() },
                replacement: dotless(w[5]),
            })
            .collect(),
        ),
        RecordType::Srv => Records::Srv(
            data.map(|w| Srv {
                priority: w[0].parse().unwrap(),
                weight: w[1].parse().unwrap(),
                port: w[2].parse().unwrap(),
                target: dotless(w[3]),
            })
            .collect(),
        ),
        _ => Records::Addresses(data.map(|w| w[0].parse().unwrap()).collect()),
    }
}

fn reach(transports: &str) -> Reach {
    let mut reach = Reach::default();
    for name in transports.split_whitespace() {
        let (kind, bits) = match name.strip_suffix('6') {
            Some(kind) => (kind, &mut reach.v6),
            None => (name, &mut reach.v4),
        };
        *bits |= 1 << TransportType::from_name(kind).unwrap() as u8;
    }
    reach
}

/// What was asked, step by step, and the end.
fn run(uri: &str, transports: &str, zone: Zone) -> (Vec<String>, Step) {
    let reach = reach(transports);
    let mut search = match Uri::parse(uri).unwrap() {
        Uri::Sip(sip) => match locate_uri(&sip).unwrap() {
            Located::Name(place) => Search::place(place, reach),
            other => panic!("{other:?}"),
        },
        Uri::Tel(tel) => Search::number(tel.digits(), "e164.arpa", reach),
        other => panic!("{other:?}"),
    };
    let (mut asked, mut rng) = (Vec::new(), Rng::from_seed(1));
    let mut step = search.start();
    loop {
        let Step::Ask(queries) = step else { return (asked, step) };
        asked.push(queries.iter().map(|q| format!("{:?} {}", q.record, q.name)).collect::<Vec<_>>().join(", "));
        let unique: BTreeSet<String> = queries.iter().map(|q| format!("{q:?}")).collect();
        assert_eq!(unique.len(), queries.len(), "asked twice: {queries:?}");
        // The answers come in another order, with one that nobody asked for.
        let stray = Query::new("stray.example", RecordType::A);
        assert_eq!(search.step(&stray, &Records::none(RecordType::A), &mut rng), Step::Wait);
        step = Step::Wait;
        for query in queries.iter().rev() {
            assert_eq!(step, Step::Wait, "it goes on before all answers are there");
            step = search.step(query, &records(zone, query), &mut rng);
        }
    }
}

fn targets(uri: &str, transports: &str, zone: Zone) -> Result<Vec<String>, NoResponse> {
    match run(uri, transports, zone).1 {
        Step::Found(found) => Ok(found.targets.iter().map(|t| format!("{} {}", t.kind, t.address)).collect()),
        Step::Failed(reason) => Err(reason),
        other => panic!("{uri}: {other:?}"),
    }
}

/// The example of RFC 3263 §4.1 and §4.2, with addresses.
const EXAMPLE: Zone = &[
    "example.com NAPTR 50 50 s SIPS+D2T - _sips._tcp.example.com.",
    "example.com NAPTR 90 50 s SIP+D2T - _sip._tcp.example.com.",
    "example.com NAPTR 100 50 s SIP+D2U - _sip._udp.example.com.",
    "_sip._tcp.example.com SRV 0 1 5060 server1.example.com.",
    "_sip._tcp.example.com SRV 1 2 5070 server2.example.com.",
    "_sip._udp.example.com SRV 0 1 5060 server1.example.com.",
    "_sips._tcp.example.com SRV 0 1 5061 server1.example.com.",
    "server1.example.com A 192.0.2.1",
    "server2.example.com A 192.0.2.2",
    "server2.example.com A 192.0.2.3",
];

#[test]
fn the_example_of_the_rfc() {
    let (asked, end) = run("sip:user@example.com", "udp tcp", EXAMPLE);
    assert_eq!(
        asked,
        ["Naptr example.com", "Srv _sip._tcp.example.com", "A server1.example.com, A server2.example.com"]
    );
    let at = |text: &str| Target { kind: TransportType::Tcp, address: text.parse().unwrap() };
    let targets = vec![at("192.0.2.1:5060"), at("192.0.2.2:5070"), at("192.0.2.3:5070")];
    assert_eq!(end, Step::Found(Found { targets, hosts: vec![0, 1, 1], uri: None }));
}

#[test]
fn the_transport_is_what_scheme_stack_and_domain_have() {
    let no_transport = || Err(NoResponse::Transport(TransportError::NoTransport));
    let cases: &[Case] = &[
        ("sip:example.com", "udp", Ok(&["UDP 192.0.2.1:5060"])),
        ("sip:example.com", "udp tcp tls", Ok(&["TLS 192.0.2.1:5061"])),
        ("sips:example.com", "udp tcp tls", Ok(&["TLS 192.0.2.1:5061"])),
        ("sips:example.com", "udp tcp", no_transport()),
        ("sips:example.com;transport=tcp", "tls", Ok(&["TLS 192.0.2.1:5061"])),
        ("sip:example.com;transport=tls", "udp tcp", no_transport()),
        ("sip:example.com;transport=udp", "udp tcp", Ok(&["UDP 192.0.2.1:5060"])),
        // A port: no NAPTR, no SRV; UDP for sip and TLS for sips.
        ("sip:server1.example.com:5080", "udp tcp", Ok(&["UDP 192.0.2.1:5080"])),
        ("sip:server1.example.com:5080", "tcp", Ok(&["TCP 192.0.2.1:5080"])),
        ("sip:server1.example.com:5080;transport=tcp", "udp tcp", Ok(&["TCP 192.0.2.1:5080"])),
        ("sips:server1.example.com:5080", "udp tcp tls", Ok(&["TLS 192.0.2.1:5080"])),
        // No NAPTR, no SRV: the name itself, at the default port.
        ("sip:server1.example.com", "udp tcp", Ok(&["UDP 192.0.2.1:5060"])),
        ("sip:server1.example.com", "tcp", Ok(&["TCP 192.0.2.1:5060"])),
        ("sips:server1.example.com", "tls", Ok(&["TLS 192.0.2.1:5061"])),
        ("sip:server1.example.com;transport=ws", "ws", Ok(&["WS 192.0.2.1:80"])),
        ("sips:server1.example.com;transport=ws", "wss", Ok(&["WSS 192.0.2.1:443"])),
        ("sip:a@nobody.example.com", "udp", Err(NoResponse::NotFound)),
        ("sip:a@x;maddr=server1.example.com", "udp", Ok(&["UDP 192.0.2.1:5060"])),
        ("sip:server1.example.com:0", "udp", Err(NoResponse::NotFound)),
    ];
    for (uri, transports, want) in cases {
        let want = want.map(|all| all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(targets(uri, transports, EXAMPLE), want, "{uri} over {transports}");
    }
}

#[test]
fn without_naptr_every_transport_is_asked_for() {
    const ZONE: Zone = &[
        "_sip._tcp.example.com SRV 1 0 5070 a.example.com",
        "_sips._tcp.example.com SRV 1 0 5071 a.example.com",
        "a.example.com A 192.0.2.1",
    ];
    let (asked, _) = run("sip:example.com", "udp tcp tls ws", ZONE);
    assert_eq!(asked[1], "Srv _sip._udp.example.com, Srv _sip._tcp.example.com");
    assert_eq!(targets("sip:example.com", "udp tcp tls", ZONE), Ok(vec!["TCP 192.0.2.1:5070".into()]));
    let (asked, _) = run("sips:example.com", "udp tcp tls wss", ZONE);
    assert_eq!(asked[1], "Srv _sips._tcp.example.com");
    assert_eq!(targets("sips:example.com", "udp tcp tls", ZONE), Ok(vec!["TLS 192.0.2.1:5071".into()]));
}

#[test]
fn naptr_records_that_do_not_fit_are_passed_over() {
    const ZONE: Zone = &[
        "example.com NAPTR 1 1 s SIP+D2S - _sip._sctp.example.com",
        "example.com NAPTR 1 1 s SIPS+D2U - _sips._udp.example.com",
        "example.com NAPTR 1 1 u SIP+D2U !.*!sip:x@y! .",
        "example.com NAPTR 1 1 s SIP+D2U - .",
        "example.com NAPTR 2 20 S sip+d2u - u.example.com",
        "example.com NAPTR 2 10 a SIP+D2T - t.example.com",
        "example.com NAPTR 2 30 s SIP+D2W - w.example.com",
        "example.com NAPTR 3 1 s SIP+D2U - never.example.com",
        "u.example.com SRV 1 1 5062 u.example.com",
        "w.example.com SRV 1 1 8080 u.example.com",
        "u.example.com A 192.0.2.1",
        "t.example.com A 192.0.2.2",
    ];
    let want = ["TCP 192.0.2.2:5060", "UDP 192.0.2.1:5062", "WS 192.0.2.1:8080"].map(str::to_owned);
    assert_eq!(targets("sip:example.com", "udp tcp ws", ZONE), Ok(want.to_vec()));
    assert_eq!(targets("sip:example.com", "udp tcp", ZONE), Ok(want[..2].to_vec()));
}

#[test]
fn a_service_that_is_named_twice_is_asked_for_once() {
    const ZONE: Zone = &[
        "example.com NAPTR 1 1 s SIPS+D2T - _sip._tcp.example.com",
        "example.com NAPTR 1 2 s SIP+D2U - _sip._udp.example.com",
        "example.com NAPTR 1 3 s SIP+D2T - _sip._tcp.example.com",
        "_sip._tcp.example.com SRV 1 1 5070 a.example.com",
        "_sip._udp.example.com SRV 1 1 5071 a.example.com",
        "a.example.com A 192.0.2.1",
    ];
    let (asked, _) = run("sip:example.com", "udp tcp tls", ZONE);
    assert_eq!(asked[1], "Srv _sip._tcp.example.com, Srv _sip._udp.example.com");
    let want = ["TLS 192.0.2.1:5070", "UDP 192.0.2.1:5071", "TCP 192.0.2.1:5070"].map(str::to_owned);
    assert_eq!(targets("sip:example.com", "udp tcp tls", ZONE), Ok(want.to_vec()));
}

#[test]
fn naptr_that_leads_to_no_srv_gives_the_transport_at_least() {
    const ZONE: Zone = &["example.com NAPTR 1 1 s SIP+D2T - _sip._tcp.example.com", "example.com A 192.0.2.1"];
    assert_eq!(targets("sip:example.com", "udp tcp", ZONE), Ok(vec!["TCP 192.0.2.1:5060".into()]));
}

#[test]
fn a_dot_says_that_there_is_no_such_service() {
    const ZONE: Zone = &["_sip._udp.example.com SRV 0 0 0 .", "example.com A 192.0.2.1"];
    assert_eq!(targets("sip:example.com", "udp tcp", ZONE), Err(NoResponse::NotFound));
    const OTHER: Zone = &["_sip._udp.example.com SRV 0 0 0 .", "_sip._tcp.example.com SRV 0 0 5060 a", "a A 192.0.2.1"];
    assert_eq!(targets("sip:example.com", "udp tcp", OTHER), Ok(vec!["TCP 192.0.2.1:5060".into()]));
}

#[test]
fn families_take_turns_and_only_those_are_asked_that_we_have() {
    const ZONE: Zone = &["a A 192.0.2.1", "a A 192.0.2.2", "a A 192.0.2.3", "a AAAA 2001:db8::1", "a AAAA ff02::1"];
    // Over TCP the second family can begin beside the first; over UDP only Timer B tells that one leads nowhere.
    for (kind, order) in [
        ("tcp", ["[2001:db8::1]", "192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ("udp", ["192.0.2.1", "[2001:db8::1]", "192.0.2.2", "192.0.2.3"]),
    ] {
        let both = order.map(|ip| format!("{} {ip}:5060", kind.to_uppercase()));
        let uri = format!("sip:a;transport={kind}");
        assert_eq!(targets(&uri, "tcp tcp6 udp udp6", ZONE), Ok(both.to_vec()));
    }
    let (asked, end) = run("sip:a:5060", "udp tcp tcp6", ZONE);
    assert_eq!(asked, ["A a"]);
    assert!(matches!(end, Step::Found(found) if found.targets.len() == 3));
    assert_eq!(targets("sip:a:5060", "udp6", ZONE), Ok(vec!["UDP [2001:db8::1]:5060".into()]));
}

/// Who writes the records may not send us to a group, nor make us ask or try for ever.
#[test]
fn it_is_bounded() {
    let place = Place { name: "a".into(), transport: Some(TransportType::Udp), port: None, secure: false };
    let mut search = Search::place(place, reach("udp udp6"));
    let mut rng = Rng::from_seed(1);
    assert!(matches!(search.start(), Step::Ask(queries) if queries.len() == 1));
    let many = (0..32).map(|n| Srv { priority: n, weight: 0, port: 5060, target: format!("h{n}").into() });
    let step = search.step(&Query::new("_sip._udp.a", RecordType::Srv), &Records::Srv(many.collect()), &mut rng);
    let Step::Ask(queries) = step else { panic!("{step:?}") };
    assert_eq!(queries.len(), 2 * MOST_HOSTS);
    let mut last = Step::Wait;
    for (at, query) in queries.iter().enumerate() {
        let addresses = (0..32u8).map(|n| match query.record {
            RecordType::A => IpAddr::from([198, 51, at as u8, n]),
            _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, at as u16, n.into()]),
        });
        last = search.step(query, &Records::Addresses(addresses.collect()), &mut rng);
    }
    assert!(matches!(last, Step::Found(found) if found.targets.len() == MOST_TARGETS));
    let naptr = (0..32u16).map(|n| Naptr {
        order: 1,
        preference: n,
        flags: "s".into(),
        services: "SIP+D2U".into(),
        regexp: "".into(),
        replacement: format!("s{n}").into(),
    });
    let place = Place { name: "a".into(), transport: None, port: None, secure: false };
    let mut search = Search::place(place, reach("udp"));
    search.start();
    let step = search.step(&Query::new("a", RecordType::Naptr), &Records::Naptr(naptr.collect()), &mut rng);
    assert!(matches!(step, Step::Ask(queries) if queries.len() == MOST_SERVICES));
}

#[test]
fn numbers_become_uris() {
    const ZONE: Zone = &[
        r"3.2.1.e164.arpa NAPTR 10 1 u E2U+sip !^\+(.*)$!sip:\1@example.com! .",
        r"4.e164.arpa NAPTR 10 1 u E2U+sip !.*!sip:four@192.0.2.4;transport=tcp! .",
        "5.e164.arpa NAPTR 10 1 u E2U+mailto !.*!mailto:five@example.com! .",
        "_sip._udp.example.com SRV 1 1 5090 a",
        "a A 192.0.2.1",
    ];
    let (asked, end) = run("tel:+1-2-3", "udp", ZONE);
    assert_eq!(asked[..2], ["Naptr 3.2.1.e164.arpa", "Naptr example.com"]);
    let target = Target { kind: TransportType::Udp, address: "192.0.2.1:5090".parse().unwrap() };
    assert_eq!(
        end,
        Step::Found(Found { targets: vec![target], hosts: vec![0], uri: Some("sip:123@example.com".into()) })
    );
    assert_eq!(targets("tel:+4", "tcp", ZONE), Ok(vec!["TCP 192.0.2.4:5060".into()]));
    assert_eq!(targets("tel:+5", "udp", ZONE), Err(NoResponse::NotFound));
    assert_eq!(targets("tel:+6", "udp", ZONE), Err(NoResponse::NotFound));
}

fn any_records() -> impl Strategy<Value = Records> {
    let name = || prop::sample::select(&["", "a", "b", "_sip._udp.a", "_sips._tcp.a", "192.0.2.1"]);
    let service = prop::sample::select(&["SIP+D2U", "SIP+D2T", "SIPS+D2T", "SIP+D2W", "E2U+sip", ""]);
    let rule =
        prop::sample::select(&["", "!.*!sip:a@b!", "!(.*)!sip:\\1@b:5070!", "!(!x!", "!.*!sips:c!", "!.*!tel:+1!"]);
    let flags = prop::sample::select(&["s", "a", "u", "", "S"]);
    let naptr = (0..3u16, 0..3u16, flags, service, rule, name()).prop_map(|(order, preference, f, s, r, n)| Naptr {
        order,
        preference,
        flags: f.into(),
        services: s.into(),
        regexp: r.into(),
        replacement: n.into(),
    });
    let srv = (0..3u16, any::<u16>(), any::<u16>(), name()).prop_map(|(priority, weight, port, n)| Srv {
        priority,
        weight,
        port,
        target: n.into(),
    });
    prop_oneof![
        prop::collection::vec(naptr, 0..5).prop_map(|all| Records::Naptr(all.into())),
        prop::collection::vec(srv, 0..12).prop_map(|all| Records::Srv(all.into())),
        prop::collection::vec(any::<IpAddr>(), 0..5).prop_map(|all| Records::Addresses(all.into())),
    ]
}

proptest! {
    /// Whatever is answered, it ends after four rounds of questions at most, asks nothing twice at once, and what it finds
    /// can be reached with what the stack has.
    #[test]
    fn every_search_ends(
        uri in prop::sample::select(&["sip:a", "sips:a", "sip:a:5070", "sip:a;transport=tcp", "tel:+1"]),
        answers in prop::collection::vec(any_records(), 1..40),
        seed: u64,
    ) {
        let reach = reach("udp tcp tls udp6");
        let mut search = match Uri::parse(uri).unwrap() {
            Uri::Sip(sip) => match locate_uri(&sip).unwrap() {
                Located::Name(place) => Search::place(place, reach),
                other => panic!("{other:?}"),
            },
            _ => Search::number("+1".into(), "arpa", reach),
        };
        let (mut rng, mut answers, mut rounds) = (Rng::from_seed(seed), answers.iter().cycle(), 0);
        let mut step = search.start();
        while let Step::Ask(queries) = step {
            rounds += 1;
            prop_assert!(rounds <= 4 && !queries.is_empty() && queries.len() <= 2 * MOST_HOSTS);
            step = Step::Wait;
            for query in &queries {
                // What fits the question; if there is none, nothing.
                let fits = |records: &&&Records| std::mem::discriminant(**records) == std::mem::discriminant(&Records::none(query.record));
                let none = Records::none(query.record);
                let records = answers.by_ref().take(8).collect::<Vec<_>>().iter().find(fits).copied().unwrap_or(&none);
                prop_assert!(step == Step::Wait);
                step = search.step(query, records, &mut rng);
            }
        }
        match step {
            Step::Found(found) => {
                prop_assert!((1..=MOST_TARGETS).contains(&found.targets.len()));
                let fits = |t: &Target| reachable(t.address.ip()) && (t.kind.is_secure() || !uri.starts_with("sips"));
                prop_assert!(found.targets.iter().all(fits), "{found:?}");
            }
            Step::Failed(_) => {}
            other => prop_assert!(false, "it neither asks nor ends: {other:?}"),
        }
    }
}
