//! Users of a proxy that asks for passwords: they register, and make calls with the nonce that they were told.

use crate::registrations::{DOMAIN, name, password};
use stack::auth::{Answer, Challenge, Secret};
use stack::header::{Auth, h};
use stack::message::Message;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// A user who has been told a nonce.
pub(crate) struct Edge {
    pub(crate) user: String,
    challenge: Challenge,
    secret: Secret,
    count: u32,
}

impl Edge {
    /// User `at` registers `contact` with `proxy`.
    pub(crate) fn register(proxy: SocketAddr, at: usize, contact: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
        let own = socket.local_addr().expect("it is bound");
        let (user, uri) = (name(at), format!("sip:{DOMAIN}"));
        let ask = |cseq: u32, credentials: &str| {
            let request = format!(
                "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKedge{at}.{cseq};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:{user}@{DOMAIN}>;tag=edge\r\nTo: <sip:{user}@{DOMAIN}>\r\n\
                 Call-ID: edge{at}\r\nCSeq: {cseq} REGISTER\r\nContact: <{contact}>;expires=3600\r\n{credentials}\
                 Content-Length: 0\r\n\r\n"
            );
            socket.send_to(request.as_bytes(), proxy).expect("loopback");
            let mut buffer = [0; 4096];
            let size = socket.recv(&mut buffer).expect("an answer");
            Message::parse(&buffer[..size]).expect("a response")
        };
        let refusal = ask(1, "");
        let challenge = Challenge::read(&refusal.first(h::WWW_AUTHENTICATES).expect("a challenge")).expect("of digest");
        let mut edge = Edge { user: user.clone(), challenge, secret: Secret::password(&password(at)), count: 0 };
        let answer = ask(2, &format!("Authorization: {}\r\n", edge.answer("REGISTER", &uri)));
        assert_eq!(answer.status(), Some(200), "user {at} is registered");
        edge
    }

    /// Credentials for a request, with the nonce that was used before (RFC 7616 §3.3).
    pub(crate) fn answer(&mut self, method: &str, uri: &str) -> Auth<'static> {
        self.count += 1;
        let (user, count) = (self.user.as_str(), self.count);
        let answer = Answer { user, method, uri, body: b"", cnonce: "f2a4c6e8", count };
        self.challenge.answer(&self.secret, &answer).expect("an algorithm of ours")
    }
}
