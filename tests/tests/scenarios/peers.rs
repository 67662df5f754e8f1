//! Each rule of `[[peer]]` on the wire, with SIPp as the peer and as who talks to it.

use std::net::SocketAddr;

use tests::peers::{self, Repro, Sipp, loopback};

use crate::repro::{File, LIMIT, address, start};

/// The lines of a request, with what SIPp fills in.
fn head(method: &str, uri: &str, from: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number]\r\n\
         To: <{uri}>\r\nCall-ID: [call_id]\r\nCSeq: 1 {method}\r\nFrom: {from};tag=caller\r\n"
    )
}

fn scenario(steps: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n<scenario>\n{steps}</scenario>\n"
    )
}

/// What one side sends, and which final status it expects.
struct Ask<'a> {
    method: &'a str,
    uri: &'a str,
    from: &'a str,
    lines: &'a str,
    body: usize,
    status: u16,
}

impl Ask<'_> {
    /// As a scenario; with what the answer must say.
    fn scenario(&self, check: Option<&str>) -> String {
        let Ask { method, uri, from, lines, body, status } = *self;
        let head = |method: &str| head(method, uri, from).replace('\r', "");
        let ack = match method {
            "INVITE" => format!("<send><![CDATA[\n\n{}Content-Length: 0\n\n]]></send>\n", head("ACK")),
            _ => String::new(),
        };
        let body = "x".repeat(body);
        let send = format!(
            "<send retrans=\"500\"><![CDATA[\n\n{}Max-Forwards: 70\n{lines}Content-Length: [len]\n\n{body}\n]]></send>\n\
             <recv response=\"100\" optional=\"true\"/>\n",
            head(method)
        );
        let check = check.map_or(String::new(), |check| checks(&[(check, true)]));
        scenario(&format!("{send}<recv response=\"{status}\">{check}</recv>\n{ack}{}", used(check.is_empty())))
    }

    fn run(&self, local: SocketAddr, remote: SocketAddr, transport: &str, check: Option<&str>) -> bool {
        let file = File::new(&format!("ask-{}-{}", local.ip(), local.port()), &self.scenario(check));
        let side = Sipp {
            scenario: file.name(),
            local,
            remote: Some(remote),
            calls: 1,
            rate: 1,
            transport,
            more: &["-timeout", "8s", "-max_retrans", "3"],
        };
        let stats = side.run(LIMIT).expect("it ends");
        stats.successful == 1 && stats.failed == 0
    }
}

/// That a message has each of these, as regular expressions of POSIX, or has it not.
fn checks(wanted: &[(&str, bool)]) -> String {
    let one = |(expression, there): &(&str, bool)| {
        // A line end within an attribute would be a space.
        let escaped = expression
            .replace("\r\n", "[[:cntrl:]]")
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        let how = if *there { "check_it" } else { "check_it_inverse" };
        format!("<ereg regexp=\"{escaped}\" search_in=\"msg\" {how}=\"true\" assign_to=\"found\"/>")
    };
    format!("<action>{}</action>", wanted.iter().map(one).collect::<String>())
}

fn used(nothing: bool) -> &'static str {
    if nothing { "" } else { "<Reference variables=\"found\"/>\n" }
}

/// Somebody who is busy, and looks at the INVITE first.
fn busy(wanted: &[(&str, bool)]) -> String {
    let lines = "[last_Via:]\n[last_From:]\n[last_To:];tag=busy\n[last_Call-ID:]\n[last_CSeq:]\n";
    scenario(&format!(
        "<recv request=\"INVITE\">{}</recv>\n\
         <send retrans=\"500\"><![CDATA[\n\nSIP/2.0 486 Busy Here\n{lines}Content-Length: 0\n\n]]></send>\n\
         <recv request=\"ACK\"/>\n{}",
        checks(wanted),
        used(false)
    ))
}

/// A proxy with a peer at an address, which a trunk leads to, and somebody who is trusted.
struct Site {
    repro: Repro,
    peer: SocketAddr,
    friend: SocketAddr,
}

impl Site {
    fn new(name: &str, rules: &str) -> Self {
        let [peer, friend] = [(); 2].map(|()| SocketAddr::from((loopback(), 5060)));
        let text = format!(
            "[identity]\ntrust_domain = true\n[[acl]]\nnetwork = \"{}\"\n[[domain]]\nname = \"example.com\"\n\
             [[trunk]]\nname = \"carrier\"\ncontacts = [\"sip:{peer}\"]\n\
             [[peer]]\nname = \"carrier\"\nnetworks = [\"{}\"]\ntrunks = [\"carrier\"]\n{rules}\n",
            friend.ip(),
            peer.ip(),
        );
        let file = File::new(&format!("peer-{name}"), &text);
        Site { repro: start(&["--config", file.name()]), peer, friend }
    }

    /// A call of the friend's to a number: whether what the peer gets is as it wants it, and both sides went through.
    fn gets(&self, lines: &str, wanted: &[(&str, bool)]) -> bool {
        let number = format!("sip:+4930123@{}", address(&self.repro, "udp"));
        let from = "\"Alice\" <sip:alice@example.com>";
        let ask = Ask { method: "INVITE", uri: &number, from, lines, body: 0, status: 486 };
        self.meets(self.peer, self.friend, &ask, wanted)
    }

    /// A call of the peer's to somebody else.
    fn says(&self, from: &str, lines: &str, wanted: &[(&str, bool)]) -> bool {
        let called = SocketAddr::from((loopback(), 5060));
        let uri = format!("sip:bob@{called}");
        self.meets(called, self.peer, &Ask { method: "INVITE", uri: &uri, from, lines, body: 0, status: 486 }, wanted)
    }

    fn meets(&self, called: SocketAddr, caller: SocketAddr, ask: &Ask<'_>, wanted: &[(&str, bool)]) -> bool {
        let file = File::new(&format!("busy-{}", called.ip()), &busy(wanted));
        let more = ["-timeout", "8s"];
        let side = Sipp {
            scenario: file.name(),
            local: called,
            remote: None,
            calls: 1,
            rate: 1,
            transport: "u1",
            more: &more,
        };
        let running = side.start().expect("the called side starts");
        let asked = ask.run(caller, address(&self.repro, "udp"), "u1", None);
        let stats = running.finish(LIMIT).expect("the called side ends");
        asked && (stats.successful, stats.failed) == (1, 0)
    }
}

#[test]
fn a_peer_sends_the_methods_and_names_that_were_agreed() {
    if !peers::available("sipp") {
        return;
    }
    let site = Site::new("methods", "methods = [\"INVITE\", \"ACK\", \"BYE\"]\ndomains = [\"carrier.example\"]");
    let proxy = address(&site.repro, "udp");
    let uri = format!("sip:bob@{proxy}");
    let (own, other) = ("<sip:x@carrier.example>", "<sip:x@example.net>");
    for (local, method, from, status, check) in [
        (site.peer, "MESSAGE", own, 405, Some("Allow: INVITE, ACK, BYE")),
        (site.peer, "PUBLISH", own, 405, None),
        (site.peer, "MONKEY", own, 501, None),
        (site.peer, "INVITE", own, 404, None),
        (site.peer, "INVITE", other, 404, None),
        (site.friend, "INVITE", own, 403, None),
        (site.friend, "MESSAGE", other, 404, None),
    ] {
        let ask = Ask { method, uri: &uri, from, lines: "", body: 0, status };
        assert!(ask.run(local, proxy, "u1", check), "{method} {from} {status}");
    }
    // What it may not send, nobody sends to it.
    let to_peer = format!("sip:bob@{}", site.peer);
    let ask = Ask { method: "MESSAGE", uri: &to_peer, from: other, lines: "", body: 0, status: 405 };
    assert!(ask.run(site.friend, proxy, "u1", None));
}

#[test]
fn a_peer_gets_headers_and_names_as_it_wants_them() {
    if !peers::available("sipp") {
        return;
    }
    let rules = "names = \"compact\"\nremove = [\"X-Secret\", \"Organization\"]\nadd = [\"X-Account: 4711\"]\nmax_forwards = 20";
    let site = Site::new("headers", rules);
    let lines = "X-Secret: 1\nX-Account: mine\nOrganization: us\nSubject: hello\n";
    let wanted = [
        ("\r\nf: \"Alice\" <sip:alice@example.com>", true),
        ("\r\ns: hello\r\n", true),
        ("\r\nX-Account: 4711\r\n", true),
        ("\r\nMax-Forwards: 20\r\n", true),
        ("Secret|Organization|mine|Subject", false),
    ];
    assert!(site.gets(lines, &wanted));
    // The test can fail: this is not so.
    assert!(!site.gets(lines, &[("\r\nSubject: hello\r\n", true)]));
    let site = Site::new("full", "names = \"full\"");
    assert!(site.gets("s: hello\n", &[("\r\nSubject: hello\r\n", true), ("\r\nX-Account", false)]));
}

#[test]
fn a_peer_is_told_who_calls_and_says_it_in_its_own_form() {
    if !peers::available("sipp") {
        return;
    }
    let open = "P-Asserted-Identity: \"King\" <sip:king@example.com>\n";
    let private = format!("{open}Privacy: id\n");
    let private = private.as_str();
    let (pai, rpid) = ("\r\nP-Asserted-Identity: \"King\" <sip:king@example.com>\r\n", "Remote-Party-ID");
    let own = "\r\nFrom: \"Alice\" <sip:alice@example.com>;tag=caller\r\n";
    for (rules, lines, wanted) in [
        ("identity = \"pai\"\ntrust_domain = true", private, &[(pai, true), (rpid, false), (own, true)][..]),
        ("identity = \"pai\"", private, &[("king", false), (own, true)]),
        (
            "identity = \"rpid\"\ntrust_domain = true",
            private,
            &[
                (
                    "\r\nRemote-Party-ID: \"King\" <sip:king@example.com>;party=calling;screen=yes;privacy=full\r\n",
                    true,
                ),
                ("P-Asserted-Identity", false),
                (own, true),
            ],
        ),
        (
            "identity = \"from\"\ntrust_domain = true",
            open,
            &[("\r\nFrom: \"King\" <sip:king@example.com>;tag=caller\r\n", true), ("P-Asserted|Remote-Party", false)],
        ),
        // Who wants to stay private is not written where nobody takes it off again.
        ("identity = \"from\"\ntrust_domain = true", private, &[("king", false), (own, true)]),
        ("identity = \"none\"\ntrust_domain = true", private, &[("king", false), (own, true)]),
    ] {
        assert!(Site::new("told", rules).gets(lines, wanted), "{rules}");
    }
    let lines = "P-Asserted-Identity: <sip:p@carrier.example>\nRemote-Party-ID: <sip:r@carrier.example>;screen=yes\n";
    let asserted = |who: &str| format!("\r\nP-Asserted-Identity: <sip:{who}@carrier.example>\r\n");
    for (rules, who) in [
        ("identity = \"pai\"\ntrust_domain = true", Some("p")),
        ("identity = \"rpid\"\ntrust_domain = true", Some("r")),
        ("identity = \"from\"\ntrust_domain = true", Some("f")),
        ("identity = \"none\"\ntrust_domain = true", None),
        ("identity = \"pai\"", None),
    ] {
        let expected = who.map(asserted);
        let wanted = match &expected {
            Some(line) => [(line.as_str(), true), ("Remote-Party-ID", false)],
            None => [("P-Asserted-Identity", false), ("Remote-Party-ID", false)],
        };
        assert!(Site::new("says", rules).says("<sip:f@carrier.example>", lines, &wanted), "{rules}");
    }
}

#[test]
fn a_request_of_too_many_segments_is_refused() {
    if !peers::available("sipp") {
        return;
    }
    let site = Site::new("segments", "max_segments = 2\nmethods = [\"MESSAGE\"]");
    let proxy = address(&site.repro, "tcp");
    let uri = format!("sip:bob@{proxy}");
    for (body, status) in [(2_000, 404), (3_000, 513)] {
        let lines = "Content-Type: text/plain\n";
        let ask = Ask { method: "MESSAGE", uri: &uri, from: "<sip:x@example.net>", lines, body, status };
        assert!(ask.run(site.peer, proxy, "t1", None), "{body}");
        // Others have no such bound, but what goes to the peer has.
        let to_peer = format!("sip:bob@{};transport=tcp", site.peer);
        let ask = Ask { method: "MESSAGE", uri: &uri, from: "<sip:x@example.net>", lines, body, status: 404 };
        assert!(ask.run(site.friend, proxy, "t1", None), "{body}");
        let status = if status == 404 { 500 } else { 513 };
        // Nobody listens there: what may be sent fails otherwise.
        let ask = Ask { method: "MESSAGE", uri: &to_peer, from: "<sip:x@example.net>", lines, body, status };
        assert!(ask.run(site.friend, proxy, "t1", None), "{body}");
    }
}
