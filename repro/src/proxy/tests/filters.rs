//! Request filters and static routes.

use super::trunks::provisioned;
use super::*;

#[test]
fn filters_reject_and_rewrite_before_anything_else_is_done() {
    let mut bench = provisioned(
        "127.0.0.1:5060",
        r#"
[[filter]]
name = "scanner"
conditions = [{ of = "User-Agent", matches = "^friendly" }]
action = { reject = { code = 403, reason = "Not For You" } }
[[filter]]
name = "no messages"
conditions = [{ of = "method", matches = "^MESSAGE$" }, { of = "uri", matches = "@127" }]
action = { reject = { code = 405 } }
[[filter]]
name = "old name"
conditions = [{ of = "uri", matches = '^sip:(\w+)@old\.example$' }]
action = { rewrite = { of = "uri", with = "sip:$1@127.0.0.1" } }
"#,
    );
    bench.register(&["<sip:1@127.0.0.1:9001>"]);
    for method in ["INVITE", "REGISTER", "OPTIONS"] {
        let outs = bench.request(request(method, "sip:127.0.0.1", "User-Agent: friendly-scanner\r\n"));
        let [Out::Answer(_, 403, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
        assert!(text(answer).starts_with("SIP/2.0 403 Not For You\r\n"));
    }
    assert_eq!(bench.status(request("MESSAGE", "sip:bob@127.0.0.1", "")), 405);
    assert_eq!(uri(&bench.forwarded(request("MESSAGE", "sip:bob@old.example", "")).1), "sip:1@127.0.0.1:9001");
    assert!(matches!(bench.ack(request("ACK", "sip:x@127.0.0.9", "User-Agent: friendly\r\n")).as_slice(), [_]));
}

const ROUTES: &str = r#"
[[static_route]]
name = "second"
uri = '^sip:(\d{3})@'
rewrite = "sip:$1@192.0.2.3"
priority = 2
[[static_route]]
name = "first"
uri = '^sip:(\d{3})@'
rewrite = "sip:$1@192.0.2.1"
priority = 1
[[static_route]]
name = "beside the first"
uri = '^sip:(\d{3})@'
method = "INVITE"
rewrite = "sip:$1@192.0.2.2"
priority = 1
[[static_route]]
name = "alias"
uri = '^sip:robert@'
rewrite = "sip:bob@127.0.0.1"
[[static_route]]
name = "presence"
uri = '^sip:bob@'
event = "presence"
rewrite = "sip:presence.example"
"#;

#[test]
fn static_routes_come_by_priority() {
    let mut bench = provisioned("127.0.0.1:5060", ROUTES);
    let branches = sent(bench.request(request("INVITE", "sip:123@127.0.0.1", "")));
    let [(one, first), (two, second)] = branches.as_slice() else { panic!("{branches:?}") };
    assert_eq!((uri(first), uri(second)), ("sip:123@192.0.2.1", "sip:123@192.0.2.2"));
    assert!(bench.respond(*one, first, 486).is_empty());
    let third = sent(bench.respond(*two, second, 404));
    assert_eq!(uri(&third[0].1), "sip:123@192.0.2.3");
    assert_eq!(codes(&bench.respond(third[0].0, &third[0].1, 480)), [486]);
    bench.assert_forgotten();
    assert_eq!(uri(&bench.forwarded(request("MESSAGE", "sip:123@127.0.0.1", "")).1), "sip:123@192.0.2.1");
}

/// RFC 5630 §5.3: neither a static route nor a filter takes what was sent to a sips URI off TLS.
#[test]
fn what_was_sent_to_sips_is_rewritten_to_sips_only() {
    let mut bench = provisioned(
        "127.0.0.1:5060",
        r#"
[[static_route]]
name = "in clear"
uri = '^sips?:(\d{3})@'
rewrite = "sip:$1@192.0.2.1"
priority = 1
[[static_route]]
name = "secure"
uri = '^sips?:1(\d{2})@'
rewrite = "sips:1$1@192.0.2.2"
priority = 2
[[static_route]]
name = "another name"
uri = '^sips?:robert@'
rewrite = "sip:bob@127.0.0.1"
[[filter]]
name = "old name"
conditions = [{ of = "uri", matches = '^sips?:(\w+)@old\.example$' }]
action = { rewrite = { of = "uri", with = "sip:$1@127.0.0.1" } }
"#,
    );
    bench.register(&["<sip:1@127.0.0.1:9001>"]);
    let mut called = |to: &str| uri(&bench.forwarded(request("MESSAGE", to, "")).1).to_owned();
    assert_eq!(called("sip:123@127.0.0.1"), "sip:123@192.0.2.1");
    assert_eq!(called("sips:123@127.0.0.1"), "sips:123@192.0.2.2");
    assert_eq!(called("sip:robert@127.0.0.1"), "sip:1@127.0.0.1:9001");
    assert_eq!(called("sip:bob@old.example"), "sip:1@127.0.0.1:9001");
    assert_eq!(called("sips:bob@old.example"), "sips:bob@old.example");
    for nobody in ["sips:234@127.0.0.1", "sips:robert@127.0.0.1"] {
        assert_eq!(bench.status(request("MESSAGE", nobody, "")), 404, "{nobody}");
    }
}

#[test]
fn a_static_route_may_be_another_name_or_for_an_event() {
    let mut bench = provisioned("127.0.0.1:5060", ROUTES);
    bench.register(&["<sip:1@127.0.0.1:9001>"]);
    assert_eq!(uri(&bench.forwarded(request("INVITE", "sip:robert@127.0.0.1", "")).1), "sip:1@127.0.0.1:9001");
    let subscribe = |event: &str| request("SUBSCRIBE", "sip:bob@127.0.0.1", &format!("Event: {event}\r\n"));
    assert_eq!(uri(&bench.forwarded(subscribe("presence;id=1")).1), "sip:presence.example");
    assert_eq!(uri(&bench.forwarded(subscribe("dialog")).1), "sip:1@127.0.0.1:9001");
    // Within a dialog a request goes where it says.
    let to = "To: <sip:b@127.0.0.1>;tag=b\r\n";
    assert_eq!(uri(&bench.forwarded(request("BYE", "sip:123@192.0.2.50", to)).1), "sip:123@192.0.2.50");
}
