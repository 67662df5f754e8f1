//! Load that does not wait: calls begin at their time, whatever became of those before. Both sides repeat what is not
//! answered as RFC 3261 says (T1 500 ms, doubling).

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tests::raw;

const T1: Duration = Duration::from_millis(500);
/// A call counts when its BYE is answered within so long after its INVITE; so long is waited after the last one.
pub(crate) const IN_TIME: Duration = Duration::from_secs(2);
const SDP: &str =
    "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

/// What became of the calls of one run.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Calls begun.
    pub(crate) offered: u32,
    /// INVITE, 200, ACK, BYE and 200 within [`IN_TIME`].
    pub(crate) completed: u32,
    /// Answered 503.
    pub(crate) refused: u32,
    /// INVITEs sent again.
    pub(crate) repeated: u32,
    /// From INVITE to 200, of those that were completed, in order.
    pub(crate) setup: Vec<Duration>,
    /// When the last call began that was not completed, since the beginning.
    pub(crate) last_failure: Option<Duration>,
}

impl Outcome {
    /// The 99th percentile of the set-up time.
    pub(crate) fn p99(&self) -> Duration {
        self.setup.get(self.setup.len() * 99 / 100).copied().unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Calling,
    Proceeding,
    Talking,
    Over,
}

struct Call {
    began: Instant,
    state: State,
    setup: Duration,
    completed: bool,
    bye: Vec<u8>,
}

/// A repetition that is due.
struct Repeat {
    at: Instant,
    after: Duration,
    call: usize,
}

struct Caller<'a> {
    run: &'a str,
    socket: UdpSocket,
    proxy: SocketAddr,
    callee: SocketAddr,
    calls: Vec<Call>,
    repeats: VecDeque<Repeat>,
    outcome: Outcome,
}

impl Caller<'_> {
    fn invite(&self, call: usize) -> Vec<u8> {
        let (run, own, callee) = (self.run, self.own(), self.callee);
        format!(
            "INVITE sip:bob@{callee} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{run}.{call};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@{own}>;tag=a{call}\r\nTo: <sip:bob@{callee}>\r\n\
             Call-ID: {run}.{call}\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@{own}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        )
        .into_bytes()
    }

    fn own(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    fn send(&self, octets: &[u8]) {
        // What the loopback does not take is lost as on any way.
        let _ = self.socket.send_to(octets, self.proxy);
    }

    /// A request that follows a response; in the dialog, along its route set.
    fn follow(&self, response: &[u8], call: usize, method: &str, cseq: u32, branch: &str) -> Vec<u8> {
        let text = |name| String::from_utf8(raw::first(response, name).unwrap_or_default()).unwrap_or_default();
        let (run, own) = (self.run, self.own());
        let fields = raw::fields(response);
        let mut routes: Vec<String> = fields
            .into_iter()
            .filter(|f| f.name == "record-route")
            .map(|f| format!("Route: {}\r\n", String::from_utf8_lossy(&f.value)))
            .collect();
        routes.reverse();
        format!(
            "{method} sip:bob@{} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{run}.{call}{branch};rport\r\n\
             Max-Forwards: 70\r\n{}From: {}\r\nTo: {}\r\nCall-ID: {run}.{call}\r\nCSeq: {cseq} {method}\r\n\
             Content-Length: 0\r\n\r\n",
            self.callee,
            routes.concat(),
            text("from"),
            text("to")
        )
        .into_bytes()
    }

    fn begin(&mut self, now: Instant) {
        let call = self.calls.len();
        self.send(&self.invite(call));
        self.calls.push(Call {
            began: now,
            state: State::Calling,
            setup: Duration::ZERO,
            completed: false,
            bye: Vec::new(),
        });
        self.repeats.push_back(Repeat { at: now + T1, after: T1, call });
    }

    fn hear(&mut self, response: &[u8], now: Instant) {
        let Some(call) = number(response, self.run).filter(|call| *call < self.calls.len()) else { return };
        let status = response.get(8..11).unwrap_or_default();
        let is_bye = raw::first(response, "cseq").is_some_and(|cseq| cseq.ends_with(b"BYE"));
        let state = self.calls[call].state;
        match (status.first(), is_bye) {
            (Some(b'1'), false) if state == State::Calling => self.calls[call].state = State::Proceeding,
            (Some(b'2'), false) => {
                let ack = self.follow(response, call, "ACK", 1, "ack");
                self.send(&ack);
                if state < State::Talking {
                    let bye = self.follow(response, call, "BYE", 2, "bye");
                    self.send(&bye);
                    let known = &mut self.calls[call];
                    (known.state, known.setup, known.bye) = (State::Talking, now - known.began, bye);
                    self.repeats.push_back(Repeat { at: now + T1, after: T1, call });
                }
            }
            (Some(b'2'), true) if state == State::Talking => {
                let known = &mut self.calls[call];
                (known.state, known.completed) = (State::Over, now - known.began <= IN_TIME);
            }
            (Some(b'3'..=b'6'), false) => {
                let ack = self.follow(response, call, "ACK", 1, "");
                self.send(&ack);
                if state < State::Talking {
                    self.calls[call].state = State::Over;
                    self.outcome.refused += u32::from(status == b"503");
                }
            }
            _ => {}
        }
    }

    /// Sends again what is due; INVITEs only when that is asked for.
    fn repeat(&mut self, now: Instant, invites: bool) {
        // Not in order where intervals differ: what is behind a later one is a little late.
        while self.repeats.front().is_some_and(|repeat| repeat.at <= now) {
            let Some(Repeat { after, call, .. }) = self.repeats.pop_front() else { return };
            match self.calls[call].state {
                State::Calling if !invites => continue,
                State::Calling => {
                    self.outcome.repeated += 1;
                    self.send(&self.invite(call));
                }
                State::Talking => self.send(&self.calls[call].bye),
                State::Proceeding | State::Over => continue,
            }
            self.repeats.push_back(Repeat { at: now + after * 2, after: after * 2, call });
        }
    }

    fn finish(mut self, began: Instant) -> Outcome {
        self.outcome.offered = self.calls.len() as u32;
        let done = self.calls.iter().filter(|call| call.completed);
        self.outcome.setup = done.map(|call| call.setup).collect();
        self.outcome.setup.sort();
        self.outcome.completed = self.outcome.setup.len() as u32;
        self.outcome.last_failure = self.calls.iter().rev().find(|c| !c.completed).map(|c| c.began - began);
        self.outcome
    }
}

impl PartialOrd for State {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (*self as u8).partial_cmp(&(*other as u8))
    }
}

/// Offers `rate` calls a second for so long; then waits for what is under way, while those who have heard nothing yet do
/// not ask again: what they would get is no part of the load. `run` names the calls, `at_end` is called at the end of the
/// load.
pub(crate) fn call(
    run: &str,
    proxy: SocketAddr,
    callee: SocketAddr,
    (rate, length): (u32, Duration),
    at_end: impl FnOnce(),
) -> Outcome {
    let socket = open();
    let (calls, repeats, outcome) = (Vec::new(), VecDeque::new(), Outcome::default());
    let mut caller = Caller { run, socket, proxy, callee, calls, repeats, outcome };
    let began = Instant::now();
    let mut buffer = [0; 2048];
    let mut at_end = Some(at_end);
    loop {
        let now = Instant::now();
        let loaded = now - began <= length;
        if let Some(at_end) = at_end.take_if(|_| !loaded) {
            at_end();
        }
        let due = ((now - began).min(length).as_secs_f64() * f64::from(rate)) as usize;
        // A burst of what is late, and then ears again.
        for _ in 0..due.saturating_sub(caller.calls.len()).min(64) {
            caller.begin(Instant::now());
        }
        for _ in 0..256 {
            let Ok(size) = caller.socket.recv(&mut buffer) else { break };
            caller.hear(&buffer[..size], Instant::now());
        }
        caller.repeat(now, loaded);
        let over = caller.calls.iter().all(|call| call.state == State::Over);
        if now - began > length + IN_TIME || (!loaded && over) {
            return caller.finish(began);
        }
        std::thread::park_timeout(Duration::from_micros(300));
    }
}

fn open() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_nonblocking(true).expect("non-blocking");
    socket
}

/// The call that a Call-ID of this run names.
fn number(message: &[u8], run: &str) -> Option<usize> {
    let id = String::from_utf8(raw::first(message, "call-id")?).ok()?;
    id.strip_prefix(run)?.strip_prefix('.')?.parse().ok()
}

/// Answers what comes until it is told to stop: INVITE with 180 and 200, the 200 again until its ACK; BYE with 200.
pub(crate) fn answer(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = [0; 4096];
    let mut unacknowledged: HashMap<Vec<u8>, (Vec<u8>, SocketAddr)> = HashMap::new();
    let mut repeats: VecDeque<(Instant, Duration, Vec<u8>)> = VecDeque::new();
    let contact = format!("Contact: <sip:bob@{}>\r\nContent-Length", socket.local_addr().expect("it is bound"));
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..256 {
            let Ok((size, from)) = socket.recv_from(&mut buffer) else { break };
            let message = &buffer[..size];
            let id = raw::first(message, "call-id").unwrap_or_default();
            if message.starts_with(b"ACK ") {
                unacknowledged.remove(&id);
                continue;
            }
            let respond = |status| {
                let routes: String = raw::fields(message)
                    .into_iter()
                    .filter(|f| f.name == "record-route")
                    .map(|f| format!("Record-Route: {}\r\n", String::from_utf8_lossy(&f.value)))
                    .collect();
                let text = String::from_utf8_lossy(&raw::response(message, status)).into_owned();
                let response = text.replacen("Content-Length", &(routes + &contact), 1).into_bytes();
                let _ = socket.send_to(&response, from);
                response
            };
            if message.starts_with(b"INVITE ") {
                respond(180);
                let success = respond(200);
                unacknowledged.insert(id.clone(), (success, from));
                repeats.push_back((Instant::now() + T1, T1, id));
            } else {
                respond(200);
            }
        }
        let now = Instant::now();
        while repeats.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, after, id)) = repeats.pop_front() else { break };
            if let Some((success, to)) = unacknowledged.get(&id) {
                let _ = socket.send_to(success, to);
                repeats.push_back((now + after * 2, after * 2, id));
            }
        }
        std::thread::park_timeout(Duration::from_micros(300));
    }
}

/// A socket for [`answer`].
pub(crate) fn callee() -> UdpSocket {
    open()
}
