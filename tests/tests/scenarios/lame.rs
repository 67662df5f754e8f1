//! A first server that takes connections and cannot shake hands: the next one gets the request (RFC 3263 §4.3).

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;

use stack::header::Method;
use stack::message::Message;
use stack::transport::tls::{TlsContext, TlsIdentity, TlsOptions, TlsTrust};
use stack::tu::{SendOptions, TransactionUser, TuContext, TuEvent, TuOptions};
use stack::{Stack, StackOptions, TransportSpec};

use crate::dead_target::Listener;
use crate::name_server::{Mood, NameServer};
use crate::repro::LIMIT;
use crate::tls::Site;

/// Answers everything with 200.
struct Good;

impl TransactionUser for Good {
    fn name(&self) -> &'static str {
        "good"
    }
    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        if let TuEvent::Request { transaction, .. } = event {
            stack.respond_status(transaction, 200);
        }
    }
}

/// What `site` trusts, and its certificate.
pub(crate) fn context(site: &Site) -> TlsContext {
    let (certificate, private_key) = (site.path("own.pem"), site.path("own.key"));
    let identity = TlsIdentity { certificate, private_key, domains: Vec::new() };
    let trust = TlsTrust::Paths(vec![site.path("ca.pem")]);
    TlsContext::new(&TlsOptions { identities: vec![identity], trust, ..TlsOptions::default() }).expect("good files")
}

/// A server with the certificate of a site; its port.
fn server(site: &Site) -> (Stack, u16) {
    let mut builder = Stack::builder().tls(context(site));
    builder.add_transport(TransportSpec::tls("127.0.0.1:0".parse().expect("an address")));
    builder.register_tu(TuOptions::default(), |_| Good);
    let stack = builder.start().expect("it starts");
    let port = stack.transports().iter().next().expect("one").bound.port();
    (stack, port)
}

/// A listener that does something else than to shake hands; its port.
fn listener(what: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let run = move || {
        // It ends with the test's process.
        while let Ok((mut stream, _)) = listener.accept() {
            let mut hello = [0; 64];
            let _ = stream.read_exact(&mut hello);
            let _ = stream.write_all(what);
        }
    };
    thread::Builder::new().name("lame server".into()).spawn(run).expect("a thread");
    port
}

#[test]
fn a_server_that_fails_the_handshake_is_passed_over() {
    let [site, other] = [Site::new(), Site::new()];
    site.issue(&["farm.test.example"], |_| {});
    other.issue(&["farm.test.example"], |_| {});
    let (_good, good) = server(&site);
    // Its certificate is of a CA that nobody trusts.
    let (_unknown, unknown) = server(&other);
    // One resets, as it leaves octets unread; one speaks something else; one has another name.
    site.issue(&["else.test.example"], |_| {});
    let (_somebody, somebody) = server(&site);
    for lame in [listener(b""), listener(b"220 mail.example ESMTP\r\n"), unknown, somebody] {
        let srv = [(1, lame), (2, good)].map(|(n, port)| format!("_sips._tcp.farm 60 SRV {n} 1 {port} host"));
        let names = NameServer::start(Mood::Answers, &[&srv[0], &srv[1], "host 60 A 127.0.0.1"]);
        let (sender, heard) = channel();
        let options = StackOptions { name_servers: vec![names.address], ..StackOptions::default() };
        let mut builder = Stack::builder().options(options).tls(context(&site));
        builder.add_transport(TransportSpec::tls("127.0.0.1:0".parse().expect("an address")));
        let tu = builder.register_tu(TuOptions::default(), move |_| Listener(sender.clone()));
        let stack = builder.start().expect("it starts");
        let mut msg = Message::request(&Method::Message, "sips:bob@farm.test.example");
        for (name, value) in [
            ("Max-Forwards", "70"),
            ("From", "<sips:alice@example.com>;tag=a1"),
            ("To", "<sips:bob@farm.test.example>"),
            ("Call-ID", "call"),
            ("CSeq", "1 MESSAGE"),
        ] {
            msg.append_line(name, value);
        }
        stack.send(tu, msg, SendOptions::default()).expect("there is room");
        match heard.recv_timeout(LIMIT) {
            Ok(TuEvent::Response { msg, .. }) => assert_eq!(msg.status(), Some(200)),
            other => panic!("{other:?}"),
        }
        let seen = stack.statistics();
        let counted = seen.transports[0].counters;
        assert_eq!((seen.transactions.failovers, counted.handshakes_failed, counted.handshakes), (1, 1, 1));
        // What it could not prove says nothing of other names there, so it is no reason to put it last.
        assert_eq!((seen.dns.greylisted, seen.dns.answered >= 2), (0, true));
    }
}
