//! Records, and what is made of them.

use super::*;
use rutil::Rng;
use serde_json::{Value, json};
use stack::auth::{Algorithm, Hash, Secret};
use stack::uri::Host;

fn records(lines: &[(&str, Value)]) -> Result<Records, ProvisioningError> {
    let mut records = Records::default();
    for (at, (kind, body)) in lines.iter().enumerate() {
        records.add(kind, body.clone(), Place::File { file: "f".into(), line: at + 1 })?;
    }
    Ok(records)
}

fn compile(lines: &[(&str, Value)]) -> Result<Provisioning, ProvisioningError> {
    Provisioning::compile(&records(lines)?, &mut Rng::from_seed(1))
}

const MD5: &str = "939e7578ed9e3c518a452acee763bce9";
const SHA256: &str = "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232";

#[test]
fn an_address_of_record_is_the_key_that_the_proxy_makes() {
    for (text, key) in [
        ("alice@example.com", "alice@example.com"),
        ("sip:Alice@EXAMPLE.com", "Alice@example.com"),
        ("%61lice@example.com", "alice@example.com"),
        ("a%22%00'--@[2001:DB8::1]", "a%22%00'--@[2001:db8::1]"),
    ] {
        let aor: Aor = text.parse().unwrap();
        assert_eq!((aor.as_str(), aor.as_str().parse().as_ref()), (key, Ok(&aor)), "{text}");
    }
    let long = format!("{}@example.com", "a".repeat(65_536));
    for text in ["", "example.com", "@example.com", "a@b:5060", "a:pw@b", "a@b;x=y", "a b@c", "a\"@c", "a\0@c", &long] {
        let error = text.parse::<Aor>().unwrap_err().to_string();
        assert!(error.contains("alice@example.com") && error.len() < 1000, "{error}");
    }
}

#[test]
fn a_user_has_the_secrets_that_were_written_down() {
    let all = compile(&[("user", json!({"aor": "alice@example.com", "md5": MD5, "sha256": SHA256}))]).unwrap();
    let user = all.user("alice@example.com").unwrap();
    let [md5, sha256] = [Secret::a1(Hash::Md5, MD5), Secret::a1(Hash::Sha256, SHA256)];
    assert!(user.secret(Algorithm::MD5) == Some(md5) && user.secret(Algorithm::SHA_256) == Some(sha256));
    assert!(user.secret(Algorithm::SHA_512_256).is_none() && all.user("bob@example.com").is_none());
    assert!(user.realm().is_none() && !user.may_register("bob@example.com"));
    assert!(!format!("{all:?}").contains("939e"));
}

#[test]
fn a_disabled_user_has_no_secret() {
    let all = compile(&[("user", json!({"aor": "a@h", "md5": MD5, "enabled": false, "third_party": ["*"]}))]).unwrap();
    let user = all.user("a@h").unwrap();
    assert!(!user.enabled && user.secret(Algorithm::MD5).is_none() && !user.may_register("b@h"));
}

#[test]
fn who_may_register_others_is_written_down() {
    let all = compile(&[
        ("user", json!({"aor": "some@h", "third_party": ["b@H"]})),
        ("user", json!({"aor": "all@h", "third_party": ["*"]})),
    ]);
    let all = all.unwrap();
    let may = |who: &str, whom: &str| all.user(who).unwrap().may_register(whom);
    assert!(may("some@h", "b@h") && !may("some@h", "c@h") && may("all@h", "c@h"));
}

#[test]
fn a_user_is_asked_for_the_realm_of_its_domain() {
    let all = compile(&[
        ("domain", json!({"name": "Example.com", "realm": "Acme"})),
        ("domain", json!({"name": "example.net"})),
        ("user", json!({"aor": "a@example.com"})),
        ("user", json!({"aor": "b@example.com", "realm": "own"})),
        ("user", json!({"aor": "a@example.net"})),
    ])
    .unwrap();
    let realm = |aor: &str| all.user(aor).unwrap().realm();
    assert_eq!(
        [realm("a@example.com"), realm("b@example.com"), realm("a@example.net")],
        [Some("Acme"), Some("own"), None]
    );
    assert_eq!(all.domain("example.net").map(|domain| &*domain.realm), Some("example.net"));
    assert_eq!(all.domains().count(), 2);
    let serves = |host: &str| all.serves(&Host::parse(host).unwrap());
    assert!(serves("EXAMPLE.com") && serves("example.net") && !serves("example.org") && !serves("192.0.2.1"));
    let all = compile(&[("domain", json!({"name": "192.0.2.1"}))]).unwrap();
    assert!(all.serves(&Host::parse("192.0.2.1").unwrap()) && !all.serves(&Host::parse("192.0.2.2").unwrap()));
}

#[test]
fn static_contacts_come_in_the_order_of_preference() {
    let all = compile(&[
        ("static_registration", json!({"aor": "a@h", "contact": "sip:1@gw", "q": 0.3})),
        ("static_registration", json!({"aor": "a@h", "contact": "sip:2@gw"})),
    ])
    .unwrap();
    let contacts: Vec<_> = all.static_contacts("a@h").iter().map(|c| (&*c.contact, c.q)).collect();
    assert_eq!(contacts, [("sip:2@gw", 1000), ("sip:1@gw", 300)]);
    assert!(all.static_contacts("b@h").is_empty());
}

#[test]
fn errors_name_place_kind_key_field_and_what_was_expected() {
    for (kind, body, parts) in [
        ("usr", json!({}), &["f:1: usr: expected one of user, domain"][..]),
        ("user", json!({}), &["f:1: user: missing field `aor`"]),
        ("user", json!({"aor": "a"}), &["f:1: user aor: \"a\": expected an address-of-record"]),
        ("user", json!({"aor": "a@h", "md5": "geheim"}), &["f:1: user md5: expected 32 hexadecimal digits"]),
        ("user", json!({"aor": "a@h", "enabled": 1}), &["f:1: user enabled: ", "expected a boolean"]),
        ("user", json!({"aor": "a@h", "pass\nword": "x"}), &["unknown field `pass\\nword`"]),
        ("acl", json!({"register": false}), &["f:1: acl network: expected network or tls_identity"]),
        ("acl", json!({"network": "10.0.0.0/40"}), &["acl network: ", "10.0.0.0/8"]),
        ("static_registration", json!({"aor": "a@h", "contact": "tel:1"}), &["contact: \"tel:1\": expected a sip"]),
        ("static_registration", json!({"aor": "a@h", "contact": "sip:a@b", "q": 2}), &["q: \"2\": expected"]),
        ("user", json!(5), &["f:1: user: "]),
    ] {
        let error = compile(&[(kind, body.clone())]).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{kind} {body}: {error}");
        assert!(!error.contains("geheim") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn the_same_key_twice_names_both_places() {
    let user = || json!({"aor": "a@h"});
    let error = compile(&[("user", user()), ("domain", json!({"name": "h"})), ("user", user())]).unwrap_err();
    assert_eq!(error.to_string(), "f:3: user a@h: is also in f:1: expected in one place");
}

#[test]
fn what_is_written_is_read_again() {
    let all = records(&[
        (
            "user",
            json!({"aor": "alice@h", "md5": MD5, "sha256": SHA256, "third_party": ["*", "b@h"], "enabled": false}),
        ),
        ("domain", json!({"name": "h", "realm": "<b>\"'; DROP TABLE provisioning; --\u{0}\n"})),
        ("acl", json!({"network": "10.0.0.0/8", "tls_identity": "peer.example.com", "relay": false})),
        ("static_registration", json!({"aor": "a@h", "contact": "sip:x@y", "q": 0.25})),
        ("user", json!({"aor": "bob@h", "forward_busy": "tel:+1", "voicemail": "sip:vm@h", "no_answer_seconds": 9})),
        ("group", json!({"aor": "g@h", "members": ["sip:a@h"], "mode": "parallel", "fallback": "sips:f@h"})),
    ]);
    let all = all.unwrap();
    let mut again = Records::default();
    for (row, place) in all.rows().unwrap() {
        let line = row.json_line();
        assert!(!line.contains('\n'));
        let mut fields: serde_json::Map<String, Value> = serde_json::from_str(&line).unwrap();
        assert_eq!(fields.remove("kind"), Some(row.kind.into()));
        assert_eq!(again.add(row.kind, Value::Object(fields), place).unwrap(), row);
    }
    assert!(again == all && all.len() == 6);
}

#[test]
fn forwards_are_those_of_the_record_and_voicemail_is_for_the_rest() {
    let all = compile(&[
        ("user", json!({"aor": "a@h", "forward_busy": "tel:+1", "voicemail": "sip:vm@h", "no_answer_seconds": 7})),
        ("user", json!({"aor": "b@h", "forward_always": "sips:x@y", "enabled": false})),
        ("user", json!({"aor": "c@h"})),
    ]);
    let all = all.unwrap();
    let forwards = all.user("a@h").unwrap().forwards().unwrap();
    let texts = [&forwards.always, &forwards.busy, &forwards.no_answer, &forwards.not_registered]
        .map(|to| to.as_ref().map(|to| to.text().to_string()).unwrap_or_default());
    assert_eq!(texts, ["", "tel:+1", "sip:vm@h", "sip:vm@h"]);
    assert_eq!(forwards.no_answer_after.as_secs(), 7);
    assert!(all.forwards() && all.user("b@h").unwrap().forwards().is_none());
    assert!(all.user("c@h").unwrap().forwards().is_none());
    assert!(!compile(&[("user", json!({"aor": "c@h"}))]).unwrap().forwards());
}

#[test]
fn forwards_and_groups_that_mean_nothing_are_errors() {
    let group = |fields: Value| {
        let mut body = json!({"aor": "g@h", "members": ["sip:a@h"]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let many = vec!["sip:a@h"; 33];
    for (kind, body, expected) in [
        (
            "user",
            json!({"aor": "a@h", "forward_always": "a"}),
            "forward_always: \"a\": expected a sip, sips or tel URI",
        ),
        ("user", json!({"aor": "a@h", "forward_busy": "sip:%61@H"}), "forward_busy: expected somebody else"),
        ("user", json!({"aor": "a@h", "no_answer_seconds": 9}), "no_answer_seconds: means nothing without"),
        ("user", json!({"aor": "a@h", "voicemail": "sip:v@h", "no_answer_seconds": 171}), "expected 1 to 170"),
        ("group", json!({"aor": "g@h"}), "missing field `members`"),
        ("group", group(json!({"members": []})), "members: expected at least one"),
        ("group", group(json!({"members": many})), "members: expected 32 at most"),
        ("group", group(json!({"members": ["sip:g@h"]})), "members: expected others than the group"),
        ("group", group(json!({"fallback": "sip:g@h"})), "fallback: expected somebody else"),
        ("group", group(json!({"step_seconds": 0})), "step_seconds: expected 1 to 170"),
        ("group", group(json!({"mode": "random"})), "mode: unknown variant `random`"),
    ] {
        let error = compile(&[(kind, body.clone())]).unwrap_err().to_string();
        assert!(error.contains(expected.split(": ").last().unwrap()) && error.starts_with("f:1: "), "{body}: {error}");
        assert!(expected.split(": ").all(|part| error.contains(part)), "{body}: {error}");
    }
    let error = compile(&[("user", json!({"aor": "g@h"})), ("group", group(json!({})))]).unwrap_err();
    assert_eq!(error.to_string(), "f:2: group g@h aor: expected an address that no user has");
    let other = json!({"aor": "x@h", "members": ["sip:g@h"]});
    let error = compile(&[("group", other), ("group", group(json!({})))]).unwrap_err().to_string();
    assert!(error.contains("f:1: group x@h members: g@h is a group"), "{error}");
}

/// Each kind of routing record goes to the store and back, and into the table that is looked up in.
#[test]
fn routing_records_are_compiled() {
    let lines = [
        ("filter", json!({"name": "f", "conditions": [{"of": "uri", "matches": "x"}], "action": "accept"})),
        ("static_route", json!({"name": "r", "uri": "^sip:1@", "method": "INVITE", "rewrite": "sip:2@h"})),
        ("dial_rule", json!({"prefix": "0", "strip": 1, "prepend": "+49", "min_length": 3})),
        ("trunk", json!({"name": "t", "contacts": ["sip:h"], "redirects": "follow", "priority": 2})),
    ];
    let written = records(&lines).unwrap();
    let mut again = Records::default();
    for (row, place) in written.rows().unwrap() {
        let body: Value = serde_json::from_str(&row.body).unwrap();
        again.add(row.kind, body, place).unwrap();
    }
    assert_eq!(again, written);
    let all = compile(&lines).unwrap();
    assert!(!all.filters.is_empty() && !all.trunks.is_empty());
    assert_eq!(all.static_routes.choose(b"sip:1@h", "INVITE", None)[0].uri, "sip:2@h");
    assert_eq!(all.dial_rules.longest("030").unwrap().1.prepend, "+49");
    let error = compile(&[("static_route", json!({"name": "r", "uri": "(", "rewrite": ""}))]).unwrap_err().to_string();
    assert!(error.contains("f:1: static_route") && error.contains("regular expression"), "{error}");
}
