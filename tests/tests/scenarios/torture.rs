//! The torture messages themselves: complete, exact and in accord with the RFCs' lists.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::Path;

use tests::corpus::{self, Origin};
use tests::raw;
use tests::verdict::{Parse, Reaction, Role, Stream};

#[test]
fn every_message_has_a_verdict_and_the_other_way_round() {
    let files: BTreeSet<_> = fs::read_dir(corpus::folder())
        .expect("the corpus is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter_map(|name| name.strip_suffix(".sip").map(str::to_owned))
        .collect();
    let cases: Vec<_> = corpus::own().into_iter().map(|c| c.name).collect();
    assert_eq!(cases.iter().cloned().collect::<BTreeSet<_>>(), files);
    assert_eq!(cases.len(), files.len(), "no verdict twice");
}

#[test]
fn the_corpus_is_as_large_as_the_rfcs() {
    let mut by_rfc = BTreeMap::new();
    for case in corpus::own() {
        *by_rfc.entry(case.verdict.rfc).or_insert(0) += 1;
    }
    assert_eq!(by_rfc, BTreeMap::from([(Some(4475), 49), (Some(5118), 12)]));
}

#[test]
fn messages_are_wire_exact() {
    for case in corpus::own() {
        let head = &case.bytes[..raw::body_start(&case.bytes)];
        assert!(head.ends_with(b"\r\n\r\n"), "{}: no empty line", case.name);
        let feeds = head.iter().filter(|b| **b == b'\n').count();
        let pairs = head.windows(2).filter(|w| w == b"\r\n").count();
        assert_eq!(feeds, pairs, "{}: a line end is not CRLF", case.name);
    }
}

/// All lengths agree, except where the wrong length is the point.
#[test]
fn lengths_are_true_unless_they_are_the_point() {
    for case in corpus::own() {
        let declared = raw::first(&case.bytes, "content-length").map(|v| String::from_utf8_lossy(&v).into_owned());
        let body = case.bytes.len() - raw::body_start(&case.bytes);
        match case.name.as_str() {
            "clerr" => assert!(declared.and_then(|d| d.parse::<usize>().ok()).is_some_and(|d| d > body)),
            "ncl" => assert!(declared.is_some_and(|d| d.starts_with('-'))),
            "mcl01" => assert!(declared.is_some_and(|d| d != body.to_string())),
            "inv2543" => assert_eq!(declared, None),
            "dblreq" => assert!(declared.as_deref() == Some("0") && body > 0),
            name => assert_eq!(declared, Some(body.to_string()), "{name}"),
        }
    }
}

#[test]
fn verdicts_make_sense() {
    for case in corpus::own() {
        let (name, v) = (&case.name, &case.verdict);
        assert!(!v.proxy.is_empty() && !v.uas.is_empty(), "{name}: all messages reach proxies and user agents");
        let refused =
            |role| v.reactions(role).iter().all(|r| matches!(r, Reaction::Status(400..=699) | Reaction::Discard));
        if v.parse == Parse::Reject {
            assert!(refused(Role::Proxy) && refused(Role::Uas), "{name}: malformed, so it goes nowhere");
        }
        if raw::status(&case.bytes).is_some() {
            assert_eq!(v.proxy, [Reaction::Discard], "{name}: a response that nobody waits for");
        }
        let register = case.bytes.starts_with(b"REGISTER ");
        assert!(!register || !v.registrar.is_empty() || v.parse != Parse::Accept, "{name}: registrars get REGISTER");
    }
}

#[test]
fn streams_differ_where_framing_does() {
    let odd: BTreeMap<_, _> = corpus::own()
        .into_iter()
        .filter(|c| c.verdict.stream != Stream::Same)
        .map(|c| (c.name, format!("{:?}", c.verdict.stream)))
        .collect();
    let want = [("clerr", "Wait"), ("dblreq", "Two"), ("inv2543", "Any"), ("mcl01", "Close"), ("ncl", "Close")];
    assert_eq!(odd, want.map(|(n, s)| (n.to_owned(), s.to_owned())).into());
}

#[test]
fn originals_have_verdicts() {
    let cases = corpus::all();
    let originals = cases.iter().filter(|c| c.origin == Origin::Original).count();
    match env::var_os("TORTURE_DIR") {
        Some(_) => assert!(originals >= 61, "only {originals} originals"),
        None => assert_eq!(originals, 0),
    }
    for case in &cases {
        assert!(!case.bytes.is_empty() && !case.verdict.proxy.is_empty(), "{}", case.name);
        if case.origin == Origin::Original {
            let ours = cases.iter().find(|c| c.origin == Origin::Own && c.name == case.name);
            assert!(ours.is_none_or(|c| c.bytes != case.bytes), "{}: ours is a copy", case.name);
        }
    }
}

/// Two lists that were written apart: where they differ, ours says why.
#[test]
fn our_verdicts_agree_with_the_expectations_beside_the_originals() {
    let Some(dir) = env::var_os("TORTURE_DIR") else {
        eprintln!("TORTURE_DIR not set: our verdicts are not compared with the expectations there");
        return;
    };
    let ours: BTreeMap<_, _> = corpus::own().into_iter().map(|c| (c.name, c.verdict)).collect();
    let sorted = |list: &[Reaction]| list.iter().copied().collect::<BTreeSet<_>>();
    for (name, _, theirs) in corpus::expected(Path::new(&dir)) {
        let Some(ours) = ours.get(&name) else { continue };
        let same = ours.parse == theirs.parse
            && [Role::Proxy, Role::Uas, Role::Registrar]
                .iter()
                .all(|role| sorted(ours.reactions(*role)) == sorted(theirs.reactions(*role)));
        assert_eq!(same, ours.differs.is_none(), "{name}: a difference needs a reason, and a reason a difference");
    }
}
