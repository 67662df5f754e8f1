//! Calls through the proxy, from stacks of our own: callers that begin calls at their time, whatever became of those
//! before (an open loop), and callees that answer at once. INVITE, 180, 200, ACK, BYE, 200, along the recorded route.

use crate::edge::Edge;
use crate::registrations::DOMAIN;
use crate::site::Site;
use rutil::Time;
use stack::header::{CSeq, Contact, Method, NameAddr, h};
use stack::message::Message;
use stack::transport::TransportType;
use stack::tu::{NextHop, SendOptions, ServerTransaction, TransactionUser, TuContext, TuEvent, TuOptions};
use stack::uri::Uri;
use stack::{Stack, TransportSpec};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Calls that are begun at once when the caller is late.
const BURST: usize = 64;

const SDP: &str =
    "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

/// What became of the calls so far.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) completed: AtomicU64,
    /// Answered 503: the machine was so busy that the proxy was in overload.
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    stopped: AtomicBool,
}

/// Callers and callees at work.
pub(crate) struct Load {
    pub(crate) progress: Arc<Progress>,
    stacks: Vec<Stack>,
}

impl Load {
    /// `count` callers, each with one connection to `proxy`, begin `rate` calls a second all together; `count` callees
    /// have one connection from it each. With `edge` they are users of the proxy, who register with passwords, are called by
    /// their names, and show their credentials with each call.
    pub(crate) fn start(
        kind: TransportType,
        proxy: SocketAddr,
        (rate, count): (u32, usize),
        site: &Site,
        edge: bool,
    ) -> Self {
        let progress = Arc::<Progress>::default();
        let mut stacks = Vec::new();
        let callees: Vec<SocketAddr> = (0..count)
            .map(|_| {
                stacks.push(begin(kind, site, |own| Callee { contact: contact(kind, own) }));
                own_address(&stacks[stacks.len() - 1])
            })
            .collect();
        let known = |at: usize, address| edge.then(|| Edge::register(proxy, at, &contact(kind, address)));
        let users: Vec<Option<Edge>> =
            callees.iter().enumerate().map(|(at, callee)| known(count + at, *callee)).collect();
        let callees: Vec<String> = callees
            .iter()
            .zip(users)
            .map(|(callee, user)| match user {
                Some(Edge { user, .. }) => format!("sip:{user}@{DOMAIN}"),
                None => format!("sip:callee@{}", contact(kind, *callee).trim_start_matches("sip:")),
            })
            .collect();
        for at in 0..count {
            let interval = Duration::from_secs(1) * count as u32 / rate;
            let (callees, progress) = (callees.clone(), progress.clone());
            stacks.push(begin(kind, site, |own| Caller {
                at,
                edge: known(at, own),
                own: contact(kind, own),
                callees,
                options: SendOptions { next_hop: NextHop::Address(kind, proxy), ..SendOptions::default() },
                interval,
                // Not all at the same moment.
                next: Time::ZERO + interval / count as u32 * at as u32,
                begun: 0,
                progress,
            }));
        }
        Load { progress, stacks }
    }

    /// Begins no further call, and ends when the last ones are over.
    pub(crate) fn stop(self) {
        self.progress.stopped.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(200));
        for stack in self.stacks {
            stack.shutdown(Duration::ZERO);
        }
    }
}

fn begin<T: TransactionUser + 'static>(kind: TransportType, site: &Site, make: impl FnOnce(SocketAddr) -> T) -> Stack {
    // The address must be known before the transaction user is made: a free port is found with a socket of the kind.
    let own = match kind {
        TransportType::Udp => std::net::UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()),
        _ => std::net::TcpListener::bind("127.0.0.1:0").and_then(|s| s.local_addr()),
    };
    let own = own.expect("a free port");
    let spec = match kind {
        TransportType::Udp => TransportSpec::udp,
        TransportType::Tls => TransportSpec::tls,
        _ => TransportSpec::tcp,
    };
    let mut builder = Stack::builder().tls(site.tls());
    builder.add_transport(spec(own));
    let mut user = Some(make(own));
    builder.register_tu(TuOptions::default(), move |_| user.take().expect("one shard"));
    builder.start().expect("the stack starts")
}

fn own_address(stack: &Stack) -> SocketAddr {
    stack.transports().iter().next().expect("one transport").bound
}

fn contact(kind: TransportType, own: SocketAddr) -> String {
    format!("sip:{own};transport={}", kind.as_param())
}

struct Callee {
    contact: String,
}

impl Callee {
    fn answer(&self, transaction: ServerTransaction, msg: &Message, stack: &mut TuContext<'_>) {
        if msg.method() != Some(Method::Invite) {
            stack.respond(transaction, msg.make_response(200, None, Some("callee")));
            return;
        }
        stack.respond(transaction, msg.make_response(180, None, Some("callee")));
        let mut ok = msg.make_response(200, None, Some("callee"));
        ok.push_back(h::CONTACTS, &format_args!("<{}>", self.contact));
        ok.set_body(Some("application/sdp"), SDP);
        stack.respond(transaction, ok);
    }
}

impl TransactionUser for Callee {
    fn name(&self) -> &'static str {
        "callee"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        if let TuEvent::Request { transaction, msg } = event {
            self.answer(transaction, &msg, stack);
        }
    }
}

struct Caller {
    at: usize,
    own: String,
    edge: Option<Edge>,
    callees: Vec<String>,
    options: SendOptions,
    interval: Duration,
    next: Time,
    begun: u64,
    progress: Arc<Progress>,
}

impl Caller {
    fn request(&self, method: &Method<'static>, uri: &str, call_id: &str, cseq: u32) -> Message {
        let mut msg = Message::request(method, uri);
        let from = match &self.edge {
            Some(edge) => format!("sip:{}@{DOMAIN}", edge.user),
            None => "sip:caller@127.0.0.1".to_owned(),
        };
        let from = NameAddr::new(Uri::parse(&from).expect("a URI")).with("tag", call_id.to_owned());
        msg.set(h::MAX_FORWARDS, &70);
        msg.set(h::FROM, &from);
        msg.set(h::TO, &NameAddr::new(Uri::parse("sip:callee@127.0.0.1").expect("a URI")));
        msg.set(h::CALL_ID, call_id);
        msg.set(h::CSEQ, &CSeq { number: cseq, method: method.clone() });
        msg
    }

    fn begin(&mut self, stack: &mut TuContext<'_>) {
        self.begun += 1;
        let uri = self.callees[(self.at + self.begun as usize) % self.callees.len()].clone();
        let mut invite = self.request(&Method::Invite, &uri, &format!("{:016x}", stack.rng().next_u64()), 1);
        let own = NameAddr::new(Uri::parse(&self.own).expect("a URI"));
        invite.push_back(h::CONTACTS, &Contact::Addr(own));
        if let Some(edge) = &mut self.edge {
            invite.push_back(h::PROXY_AUTHORIZATIONS, &edge.answer("INVITE", &uri));
        }
        invite.set_body(Some("application/sdp"), SDP);
        stack.send(invite, self.options);
    }

    /// A request within the dialog that a 200 began.
    fn follow(&self, method: &Method<'static>, ok: &Message, cseq: u32) -> Option<Message> {
        let Ok(Contact::Addr(target)) = ok.first(h::CONTACTS) else { return None };
        let call_id = ok.header(h::CALL_ID).ok()?;
        let mut msg = self.request(method, &target.uri.to_string(), call_id.as_str(), cseq);
        msg.set(h::TO, &ok.header(h::TO).ok()?);
        // The route set is the other way round (RFC 3261 §12.1.2).
        for route in ok.raw_values("Record-Route") {
            msg.push_front(h::ROUTES, std::str::from_utf8(route).ok()?);
        }
        Some(msg)
    }

    fn response(&mut self, msg: &Message, stack: &mut TuContext<'_>) {
        match (msg.status(), msg.method()) {
            (Some(200), Some(Method::Invite)) => {
                let requests = (self.follow(&Method::Ack, msg, 1), self.follow(&Method::Bye, msg, 2));
                let (Some(ack), Some(bye)) = requests else { return self.fail() };
                stack.send_stateless(ack, self.options);
                stack.send(bye, self.options);
            }
            (Some(200), _) => {
                self.progress.completed.fetch_add(1, Ordering::Relaxed);
            }
            (Some(..200), _) => {}
            (Some(503), Some(Method::Invite)) => {
                self.progress.refused.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.fail(),
        }
    }

    fn fail(&self) {
        self.progress.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl TransactionUser for Caller {
    fn name(&self) -> &'static str {
        "caller"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        match event {
            TuEvent::Response { msg, .. } => self.response(&msg, stack),
            TuEvent::NoResponse { .. } => self.fail(),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        (!self.progress.stopped.load(Ordering::Relaxed)).then_some(self.next)
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        for _ in 0..BURST {
            if self.next > stack.now() {
                return;
            }
            self.begin(stack);
            self.next += self.interval;
        }
    }
}
