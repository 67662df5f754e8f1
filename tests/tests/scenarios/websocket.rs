//! Clients over WebSocket (RFC 7118), through a running proxy.

use std::net::{SocketAddr, TcpStream, UdpSocket};

use tests::peers::Repro;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use crate::repro::{LIMIT, address};

/// A place that exists nowhere, as browsers name themselves.
const NOWHERE: &str = "df7jal23ls0d.invalid";

/// What a message goes by: WebSocket, or datagrams to the proxy.
enum Wire {
    Ws(Box<WebSocket<TcpStream>>),
    Udp(UdpSocket),
}

/// A user agent that says what it is told to.
struct Agent {
    wire: Wire,
    name: &'static str,
    /// Via without its branch.
    via: String,
    contact: String,
    proxy: SocketAddr,
}

impl Agent {
    fn ws(repro: &Repro, name: &'static str) -> Self {
        let proxy = address(repro, "ws");
        let stream = TcpStream::connect(proxy).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut request = format!("ws://{proxy}/").into_client_request().expect("a request");
        request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().expect("a value"));
        let (ws, _) = tungstenite::client::client(request, stream).expect("the upgrade");
        let (via, contact) = (format!("SIP/2.0/WS {NOWHERE}"), format!("<sip:{name}@{NOWHERE};transport=ws>"));
        Agent { wire: Wire::Ws(Box::new(ws)), name, via, contact, proxy }
    }

    fn udp(repro: &Repro, name: &'static str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        let proxy = address(repro, "udp");
        socket.connect(proxy).expect("loopback");
        let own = socket.local_addr().expect("it is bound");
        let (via, contact) = (format!("SIP/2.0/UDP {own}"), format!("<sip:{name}@{own}>"));
        Agent { wire: Wire::Udp(socket), name, via, contact, proxy }
    }

    fn send(&mut self, text: String) {
        match &mut self.wire {
            Wire::Ws(ws) => ws.send(Message::text(text)).expect("it reads"),
            Wire::Udp(socket) => assert_eq!(socket.send(text.as_bytes()).ok(), Some(text.len())),
        }
    }

    /// The next message that is no provisional response.
    fn next(&mut self) -> String {
        loop {
            let text = match &mut self.wire {
                Wire::Ws(ws) => ws.read().expect("a message").into_text().expect("text").as_str().to_owned(),
                Wire::Udp(socket) => {
                    let mut buffer = [0; 4096];
                    let size = socket.recv(&mut buffer).expect("a message");
                    String::from_utf8_lossy(&buffer[..size]).into_owned()
                }
            };
            if !text.starts_with("SIP/2.0 1") {
                return text;
            }
        }
    }

    fn request(&mut self, method: &str, uri: &str, to: &str, call: &str, lines: &str) {
        let Agent { name, via, contact, .. } = self;
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: {via};branch=z9hG4bK{method}{call}{name}\r\nMax-Forwards: 70\r\n\
             From: <sip:{name}@example.com>;tag={name}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\
             Contact: {contact}\r\n{lines}\r\n"
        );
        self.send(text);
    }

    /// Registers with the proxy, over its WebSocket or not.
    fn register(&mut self) {
        let (uri, to) = (format!("sip:{}", self.proxy), format!("<sip:{}@{}>", self.name, self.proxy));
        self.request("REGISTER", &uri, &to, &format!("register-{}", self.name), "");
        let answer = self.next();
        assert!(answer.starts_with("SIP/2.0 200 ") && answer.contains(&self.contact), "{answer}");
    }

    /// Waits for a request and answers it with 200; the request.
    fn serve(&mut self, method: &str) -> String {
        let request = self.next();
        assert!(request.starts_with(&format!("{method} ")), "{method} expected: {request}");
        if method != "ACK" {
            let copied = ["Via:", "Record-Route:", "From:", "Call-ID:", "CSeq:"];
            let lines: String = request
                .lines()
                .filter(|line| copied.iter().any(|name| line.starts_with(name)))
                .map(|line| format!("{line}\r\n"))
                .collect();
            let to = value(&request, "To");
            let tag = if to.contains(";tag=") { String::new() } else { format!(";tag={}", self.name) };
            let contact = &self.contact;
            self.send(format!(
                "SIP/2.0 200 OK\r\n{lines}To: {to}{tag}\r\nContact: {contact}\r\nContent-Length: 0\r\n\r\n"
            ));
        }
        request
    }

    fn expect(&mut self, status: &str) -> String {
        let answer = self.next();
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{status} expected: {answer}");
        answer
    }

    fn close(self) {
        if let Wire::Ws(mut ws) = self.wire {
            ws.close(None).expect("it is open");
            while ws.read().is_ok() {}
        }
    }
}

fn value<'m>(message: &'m str, name: &str) -> &'m str {
    let lines = message.lines().filter_map(|line| line.split_once(": "));
    lines.clone().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
}

/// The Record-Routes of a message from its top, as Route lines in this or the other order.
fn route_set(message: &str, reversed: bool) -> String {
    let mut routes: Vec<&str> = message.lines().filter_map(|line| line.strip_prefix("Record-Route: ")).collect();
    if reversed {
        routes.reverse();
    }
    routes.into_iter().map(|route| format!("Route: {route}\r\n")).collect()
}

fn start(placement: &str) -> Repro {
    let listen = ["--listen", "udp:127.0.0.1:0", "--listen", "ws:127.0.0.1:0", "--placement", placement];
    Repro::start(&listen, 2).expect("it starts")
}

/// A call from `caller` to `called`, who then ends it, or not.
fn call(caller: &mut Agent, called: &mut Agent, id: &str, called_ends: bool) {
    let target = format!("sip:{}@{}", called.name, called.proxy);
    caller.request("INVITE", &target, &format!("<{target}>"), id, "");
    let invite = called.serve("INVITE");
    let answer = caller.expect("200");
    let (to, routes) = (value(&answer, "To").to_owned(), route_set(&answer, true));
    let remote = value(&answer, "Contact").trim_matches(['<', '>']).to_owned();
    caller.request("ACK", &remote, &to, id, &routes);
    called.serve("ACK");
    if called_ends {
        let (routes, peer) = (route_set(&invite, false), value(&invite, "From").to_owned());
        let remote = value(&invite, "Contact").trim_matches(['<', '>']).to_owned();
        called.request("BYE", &remote, &peer, id, &routes);
        caller.serve("BYE");
        called.expect("200");
    } else {
        caller.request("BYE", &remote, &to, id, &routes);
        called.serve("BYE");
        caller.expect("200");
    }
}

/// Every pair of shards that a call and a connection may be on, by chance: 24 calls on three connections.
fn calls(placement: &str) {
    let repro = start(placement);
    let (mut alice, mut carol) = (Agent::ws(&repro, "alice"), Agent::ws(&repro, "carol"));
    let mut bob = Agent::udp(&repro, "bob");
    for agent in [&mut alice, &mut carol, &mut bob] {
        agent.register();
    }
    for round in 0..4 {
        for called_ends in [false, true] {
            let id = |pair: &str| format!("{pair}-{round}-{called_ends}");
            call(&mut bob, &mut alice, &id("ba"), called_ends);
            call(&mut carol, &mut bob, &id("cb"), called_ends);
            call(&mut alice, &mut carol, &id("ac"), called_ends);
        }
    }
}

#[test]
fn calls_inline() {
    calls("inline");
}

#[test]
fn calls_sharded() {
    calls("sharded:3");
}

#[test]
fn calls_staged() {
    calls("staged");
}

#[test]
fn a_client_that_has_gone() {
    let repro = start("inline");
    let (mut alice, mut bob) = (Agent::ws(&repro, "alice"), Agent::udp(&repro, "bob"));
    alice.register();
    let target = format!("sip:alice@{}", alice.proxy);
    bob.request("INVITE", &target, &format!("<{target}>"), "before", "");
    alice.serve("INVITE");
    let answer = bob.expect("200");
    let (to, routes) = (value(&answer, "To").to_owned(), route_set(&answer, true));
    alice.close();
    // Its dialog has lost its flow, its user is not there, and its Route cannot be forged.
    let remote = format!("sip:alice@{NOWHERE};transport=ws");
    bob.request("BYE", &remote, &to, "before", &routes);
    bob.expect("430");
    bob.request("INVITE", &target, &format!("<{target}>"), "after", "");
    bob.expect("480");
    let forged = routes.replace("flow-8", "flow-0");
    assert_ne!(forged, routes);
    bob.request("INFO", &remote, &to, "before", &forged);
    bob.expect("403");
}
