//! The web page, in a browser.

use crate::admin::{TOKEN, ask, get};
use crate::phone::Phone;
use crate::repro::{ANY_PORT, LIMIT, address};
use crate::store::Site;
use std::net::UdpSocket;
use tests::peers::{Repro, browser};

/// Registers a contact whose URI would be markup, if somebody took it for that.
fn register(proxy: std::net::SocketAddr, user: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let own = socket.local_addr().expect("bound");
    let request = format!(
        "REGISTER sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{user}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{proxy}>;tag=1\r\nTo: <sip:{user}@{proxy}>\r\nCall-ID: {user}\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:&lt;b&gt;{user}@{own};x='&amp>\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), proxy).expect("loopback");
    let mut octets = [0; 2048];
    let length = socket.recv(&mut octets).expect("an answer");
    let answer = String::from_utf8_lossy(&octets[..length]);
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
}

#[test]
fn a_browser_shows_it_and_changes_things() {
    let admin = format!("[store]\npath = \"repro.db\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n");
    let site = Site::new("page", &admin);
    let config = site.config();
    let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", &config]).collect();
    let repro = Repro::start(&args, 3).expect("it starts");
    let (http, sip) = (address(&repro, "http"), address(&repro, "udp"));
    let page = ask(http, "GET", "/", "", "");
    let head = page.head.to_lowercase();
    assert!(
        page.status == 200 && head.contains("content-security-policy: default-src 'none'; script-src 'nonce-"),
        "{head}"
    );
    assert!(!page.body.contains("NONCE") && get(http, "/").1 != page.body, "a nonce is used once");
    register(sip, "first");
    register(sip, "second");
    // A call that nobody answers.
    let (caller, called) = (Phone::new("caller", sip), Phone::new("called", sip));
    caller.send(&caller.request("INVITE", &called, "i-call", 1));
    called.answer(&called.hear("INVITE "), 180);
    let Some(process) = browser("page.js", &[&format!("http://{http}/"), TOKEN]) else { return };
    let mut process = process.expect("it starts");
    process
        .wait_for(LIMIT * 2, |line| (line == "tracing").then_some(()))
        .unwrap_or_else(|late| panic!("{}", late.output));
    register(sip, "traced");
    let (status, output) = process.finish(LIMIT * 2).unwrap_or_else(|late| panic!("{}", late.output));
    assert!(status.success(), "{output}");
    let lines: Vec<&str> = output.lines().collect();
    for line in [
        "it wants a token",
        "ready",
        "found: second",
        "charts",
        "taken out",
        "user added",
        "transactions: i-call",
        "notice: sip:192.0.2.20 of <img src=x onerror=alert(1)> is out of service",
        "notices: there is no ban of 192.0.2.1 / well done",
        "notices left: 0",
        "messages: REGISTER sip:*, SIP/2.0 200 OK",
        "too wide: 0",
        "strange nodes: 0",
        "done",
    ] {
        let line = line.replace("sip:*,", &format!("sip:{sip} SIP/2.0,"));
        let line = line.as_str();
        assert!(lines.contains(&line), "{line}: {output}");
    }
    assert!(lines.contains(&"trunk: <img src=x onerror=alert(1)> is added"), "{output}");
    assert!(output.contains("contact: sip:&lt;b&gt;first@") && output.contains("refused: aor: "), "{output}");
    assert!(!output.contains("error: ") && !output.contains("exception: ") && !output.contains("dialog: "), "{output}");
}

#[test]
fn a_page_that_is_opened_while_the_proxy_starts_fills_itself() {
    let site = Site::new("page-early", "[admin]\nlisten = \"127.0.0.1:0\"\n");
    let config = site.config();
    let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", &config]).collect();
    let repro = Repro::start(&args, 3).expect("it starts");
    let url = format!("http://{}/", address(&repro, "http"));
    let Some(process) = browser("starting.js", &[&url]) else { return };
    let (status, output) =
        process.expect("it starts").finish(LIMIT * 2).unwrap_or_else(|late| panic!("{}", late.output));
    let lines: Vec<&str> = output.lines().collect();
    assert!(status.success() && lines == ["trouble: the proxy is starting", "kinds: 0", "filled"], "{output}");
}
