//! A message for somebody who is not there, and comes later.

use crate::phone::Phone;
use crate::repro::{File, address, start};

fn text(message: Vec<u8>) -> String {
    String::from_utf8(message).expect("it is UTF-8")
}

/// A MESSAGE to Bob at the proxy.
fn page(alice: &Phone, body: &str, count: u32) -> Vec<u8> {
    let request = text(alice.request("MESSAGE", alice, "page", count));
    let request =
        request.replacen(&format!("MESSAGE {}", alice.uri()), &format!("MESSAGE sip:bob@{}", alice.proxy()), 1);
    let body = format!("Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    request.replacen("Content-Length: 0\r\n\r\n", &body, 1).into_bytes()
}

#[test]
fn messages_wait_for_who_registers() {
    let config = File::new("silo", "[silo]");
    let repro = start(&["--config", config.name()]);
    let at = address(&repro, "udp");
    let (alice, bob) = (Phone::new("alice", at), Phone::new("bob", at));
    alice.send(&page(&alice, "to nobody", 1));
    assert!(text(alice.hear("SIP/2.0 ")).starts_with("SIP/2.0 404 "));
    // Bob was there once.
    for (count, expires) in [(1, 60), (2, 0)] {
        bob.send(&bob.register(count, expires));
        bob.hear("SIP/2.0 200 ");
    }
    for (count, body) in [(2, "one"), (3, "two")] {
        alice.send(&page(&alice, body, count));
        alice.hear("SIP/2.0 202 ");
    }
    bob.send(&bob.register(3, 60));
    bob.hear("SIP/2.0 200 ");
    for body in ["one", "two"] {
        let message = text(bob.hear("MESSAGE "));
        assert!(message.ends_with(&format!("\r\n\r\n{body}")) && message.contains("\r\nDate: "), "{message}");
        assert!(message.contains(&format!("From: <{}>;tag=", alice.uri())), "{message}");
        bob.answer(message.as_bytes(), 200);
    }
    bob.send(&bob.register(4, 60));
    bob.hear("SIP/2.0 200 ");
    assert_eq!(bob.overhear().map(text), None);
}
