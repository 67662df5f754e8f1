//! The web page, in a browser.

use crate::admin::{TOKEN, ask, get};
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
    let Some(process) = browser("page.js", &[&format!("http://{http}/"), TOKEN]) else { return };
    let (status, output) =
        process.expect("it starts").finish(LIMIT * 2).unwrap_or_else(|late| panic!("{}", late.output));
    assert!(status.success(), "{output}");
    let lines: Vec<&str> = output.lines().collect();
    for line in
        ["it wants a token", "ready", "found: second", "charts", "taken out", "user added", "strange nodes: 0", "done"]
    {
        assert!(lines.contains(&line), "{line}: {output}");
    }
    assert!(lines.contains(&"trunk: <img src=x onerror=alert(1)> is added"), "{output}");
    assert!(output.contains("contact: sip:&lt;b&gt;first@") && output.contains("refused: aor: "), "{output}");
    assert!(!output.contains("error: ") && !output.contains("exception: ") && !output.contains("dialog: "), "{output}");
}
