//! User agents of few words, over UDP: they say what they are told to, and hand over what they hear.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tests::raw;

use crate::repro::LIMIT;

/// How long a phone listens for what may never come.
const MOMENT: Duration = Duration::from_millis(50);

/// A phone that sends all that it has to say to its proxy.
#[derive(Debug)]
pub(crate) struct Phone {
    name: &'static str,
    socket: UdpSocket,
    proxy: SocketAddr,
    heard_from: Cell<Option<SocketAddr>>,
    /// The requests that it has answered, by transaction, with the answers that it gave last.
    answered: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// The transaction of a request (RFC 3261 §17.2.3): its branch and method.
fn transaction(request: &[u8]) -> Option<Vec<u8>> {
    let method = request.split(|octet| *octet == b' ').next().filter(|method| !method.starts_with(b"SIP/"))?;
    Some([method, raw::first(request, "via")?.as_slice()].concat())
}

impl Phone {
    pub(crate) fn new(name: &'static str, proxy: SocketAddr) -> Self {
        Self::on(name, UdpSocket::bind("127.0.0.1:0").expect("a free port"), proxy)
    }

    /// A phone with a socket of its own choice.
    pub(crate) fn on(name: &'static str, socket: UdpSocket, proxy: SocketAddr) -> Self {
        Phone { name, socket, proxy, heard_from: Cell::new(None), answered: RefCell::default() }
    }

    /// Its proxy, as it knows it.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// Who sent what it heard last.
    pub(crate) fn heard_from(&self) -> Option<SocketAddr> {
        self.heard_from.get()
    }

    /// Where it is reached.
    pub(crate) fn uri(&self) -> String {
        format!("sip:{}@{}", self.name, self.socket.local_addr().expect("it is bound"))
    }

    pub(crate) fn send(&self, message: &[u8]) {
        self.socket.send_to(message, self.proxy).expect("loopback");
    }

    /// Sends to somebody else.
    pub(crate) fn send_to(&self, message: &[u8], to: SocketAddr) {
        self.socket.send_to(message, to).expect("loopback");
    }

    /// The next message that begins with `start`. What comes before it is passed over: a 100, or a repetition.
    pub(crate) fn hear(&self, start: &str) -> Vec<u8> {
        let heard = || self.next(LIMIT).unwrap_or_else(|| panic!("{} did not hear {start}", self.name));
        loop {
            let message = heard();
            if message.starts_with(start.as_bytes()) {
                return message;
            }
        }
    }

    /// The next message, if there is one or comes in a moment. What it has answered, and what comes again all the same because
    /// the answer took its time, is answered again and no message.
    pub(crate) fn overhear(&self) -> Option<Vec<u8>> {
        self.next(MOMENT)
    }

    fn next(&self, limit: Duration) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(limit)).expect("a limit");
        loop {
            let mut buffer = vec![0; 65_536];
            let (length, from) = self.socket.recv_from(&mut buffer).ok()?;
            buffer.truncate(length);
            let answered = self.answered.borrow();
            let Some((_, again)) = answered.iter().find(|(known, _)| transaction(&buffer).as_ref() == Some(known))
            else {
                self.heard_from.set(Some(from));
                return Some(buffer);
            };
            self.send(again);
        }
    }

    /// The Call-IDs of all that was not listened to.
    pub(crate) fn unheard_calls(&self) -> Vec<String> {
        let mut calls = Vec::new();
        while let Some(message) = self.overhear() {
            calls.push(text(raw::first(&message, "call-id")));
        }
        calls
    }

    /// Answers a request, with what a response needs that establishes a dialog (RFC 3261 §12.1.1).
    pub(crate) fn answer(&self, request: &[u8], status: u16) {
        let routes = record_routes(request).into_iter().map(|route| format!("Record-Route: {route}\r\n"));
        let more = routes.collect::<String>() + &format!("Contact: <{}>\r\nContent-Length", self.uri());
        let response = String::from_utf8(raw::response(request, status)).expect("it is UTF-8");
        let response = response.replacen("Content-Length", &more, 1).into_bytes();
        self.send(&response);
        if let Some(transaction) = transaction(request) {
            let mut answered = self.answered.borrow_mut();
            answered.retain(|(known, _)| *known != transaction);
            answered.push((transaction, response));
        }
    }

    /// A REGISTER for a user with this phone as contact, for so many seconds.
    pub(crate) fn register(&self, count: u32, expires: u32) -> Vec<u8> {
        let aor = format!("<sip:{}@{}>", self.name, self.proxy);
        let registrar = format!("sip:{}", self.proxy);
        let request = self.write("REGISTER", &registrar, (&format!("{aor};tag=r"), &aor), ("register", count), &[]);
        let request = String::from_utf8(request).expect("it is UTF-8");
        request.replacen("Content-Length", &format!("Expires: {expires}\r\nContent-Length",), 1).into_bytes()
    }

    /// A request outside of any dialog to another phone.
    pub(crate) fn request(&self, method: &str, to: &Phone, call: &str, count: u32) -> Vec<u8> {
        self.request_to(method, &to.uri(), call, count)
    }

    /// The same to a URI.
    pub(crate) fn request_to(&self, method: &str, to: &str, call: &str, count: u32) -> Vec<u8> {
        let to = format!("<{to}>");
        self.write(method, &to, (&format!("<{}>;tag=caller", self.uri()), &to), (call, count), &[])
    }

    fn write(
        &self,
        method: &str,
        target: &str,
        (from, to): (&str, &str),
        (call, count): (&str, u32),
        routes: &[String],
    ) -> Vec<u8> {
        let (target, own) = (target.trim_matches(['<', '>']), self.uri());
        let sent_by = own.rsplit('@').next().unwrap_or_default();
        let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        // A CANCEL has the branch of its INVITE.
        let branch = method.replace("CANCEL", "INVITE");
        let message = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bK{call}{count}{branch}\r\n\
             Max-Forwards: 70\r\n{routes}From: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {count} {method}\r\n\
             Contact: <{own}>\r\nContent-Length: 0\r\n\r\n"
        );
        message.into_bytes()
    }
}

/// A call between two phones.
#[derive(Debug)]
pub(crate) struct Call<'p> {
    caller: &'p Phone,
    called: &'p Phone,
    id: &'static str,
    /// The INVITE as the called side heard it.
    invite: Vec<u8>,
    /// The 200 as the caller heard it.
    success: Vec<u8>,
}

impl<'p> Call<'p> {
    /// Calls, up to where both hear it ring.
    pub(crate) fn ring(caller: &'p Phone, called: &'p Phone, id: &'static str) -> Self {
        Self::ring_at(caller, called, &called.uri(), id)
    }

    /// The same by an address-of-record of the called side.
    pub(crate) fn ring_at(caller: &'p Phone, called: &'p Phone, aor: &str, id: &'static str) -> Self {
        caller.send(&caller.request_to("INVITE", aor, id, 1));
        let invite = called.hear("INVITE ");
        called.answer(&invite, 180);
        caller.hear("SIP/2.0 180 ");
        Call { caller, called, id, invite, success: Vec::new() }
    }

    /// The INVITE as the called side heard it.
    pub(crate) fn invite(&self) -> &[u8] {
        &self.invite
    }

    /// The called side answers what rings.
    pub(crate) fn pick_up(&self) {
        self.called.answer(&self.invite, 200);
    }

    /// The caller hears that, and says so.
    pub(crate) fn acknowledge(&mut self) {
        self.success = self.caller.hear("SIP/2.0 200 ");
        self.caller.send(&self.by_caller("ACK", 1));
        self.called.hear("ACK ");
    }

    /// The whole beginning of a call.
    pub(crate) fn establish(caller: &'p Phone, called: &'p Phone, id: &'static str) -> Self {
        let mut call = Self::ring(caller, called, id);
        call.pick_up();
        call.acknowledge();
        call
    }

    /// The caller gives up what rings.
    pub(crate) fn cancel(&self) {
        self.caller.send(&self.caller.request("CANCEL", self.called, self.id, 1));
    }

    /// A request of the caller within the dialog: along its route set (RFC 3261 §12.2.1.1).
    pub(crate) fn by_caller(&self, method: &str, count: u32) -> Vec<u8> {
        let routes: Vec<_> = record_routes(&self.success).into_iter().rev().collect();
        let (from, to) = (text(raw::first(&self.success, "from")), text(raw::first(&self.success, "to")));
        self.caller.write(method, &self.called.uri(), (&from, &to), (self.id, count), &routes)
    }

    /// A request of the called side within the dialog.
    pub(crate) fn by_called(&self, method: &str, count: u32) -> Vec<u8> {
        let routes = record_routes(&self.invite);
        let (from, to) = (text(raw::first(&self.success, "to")), text(raw::first(&self.success, "from")));
        self.called.write(method, &self.caller.uri(), (&from, &to), (self.id, count), &routes)
    }
}

pub(crate) fn record_routes(message: &[u8]) -> Vec<String> {
    let lines = raw::fields(message).into_iter().filter(|field| field.name == "record-route");
    lines.map(|field| text(Some(field.value))).collect()
}

fn text(value: Option<Vec<u8>>) -> String {
    String::from_utf8(value.unwrap_or_default()).expect("it is UTF-8")
}
