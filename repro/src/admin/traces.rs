//! Traces: the messages of a call as they come and go, for an operator who has asked for its Call-ID.
//!
//! The stack tells of messages of these calls alone, by the way of the HEP export, and while there is no trace of none. Its
//! runners never wait here: what finds somebody else at the traces lies in a FIFO until the next one takes it.
//!
//! Bounded: [`MOST_TRACES`] of them, each an hour at most, with [`MOST_MESSAGES`] and [`MOST_OCTETS`], of which the oldest make
//! room for the latest. One that has ended is kept until somebody ends it, or another needs its place.

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use regex::Regex;
use rutil::Time;
use stack::header::h;
use stack::hep::{OnWire, WatchedCalls};
use stack::message::Message;
use stack::transport::TransportType;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Most traces.
pub const MOST_TRACES: usize = 8;
/// Most messages of one.
pub const MOST_MESSAGES: usize = 500;
/// Most octets of the messages of one.
pub const MOST_OCTETS: usize = 1 << 20;
/// The longest.
pub const LONGEST: Duration = Duration::from_secs(3_600);
/// Messages that wait until somebody is not at the traces.
const MOST_WAITING: usize = 256;
/// What stands where a secret stood.
const TAKEN_OUT: &str = "(taken out)";

/// A message of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// When it was found among what was read, or handed to the transport.
    pub at: Time,
    /// Whether it went out; else it came in.
    pub sent: bool,
    /// By which transport.
    pub transport: TransportType,
    /// Who sent it.
    pub source: SocketAddr,
    /// Who got it.
    pub destination: SocketAddr,
    /// The message, without credentials, keys and passwords.
    pub text: Arc<str>,
}

/// What is known of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Whose messages.
    pub call_id: Box<str>,
    /// Since when.
    pub began: Time,
    /// Until when.
    pub until: Time,
    /// How many there are.
    pub messages: usize,
    /// How many made room for later ones.
    pub left_out: u64,
}

struct Trace {
    call_id: Box<str>,
    began: Time,
    until: Time,
    messages: VecDeque<Traced>,
    octets: usize,
    left_out: u64,
}

/// No more traces at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {MOST_TRACES} traces: end one of them")]
pub struct TooMany;

/// All traces.
pub struct Traces {
    calls: WatchedCalls,
    waiting: (Sender<OnWire>, Receiver<OnWire>),
    lost: AtomicU64,
    all: Mutex<Vec<Trace>>,
}

impl Default for Traces {
    fn default() -> Self {
        Traces {
            calls: WatchedCalls::default(),
            waiting: bounded(MOST_WAITING),
            lost: AtomicU64::new(0),
            all: Mutex::default(),
        }
    }
}

impl Traces {
    /// Whose messages the stack should tell of.
    pub fn calls(&self) -> WatchedCalls {
        self.calls.clone()
    }

    /// Takes a message, and waits for nobody.
    pub fn take(&self, message: OnWire) {
        if self.waiting.0.try_send(message).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(mut all) = self.all.try_lock() {
            self.sort(&mut all);
        }
    }

    /// Puts what waits where it belongs.
    fn sort(&self, all: &mut [Trace]) {
        for message in self.waiting.1.try_iter() {
            let own = Message::parse(message.bytes.clone()).ok();
            let own = own.as_ref().and_then(|msg| msg.header(h::CALL_ID).ok());
            let Some(own) = own else { continue };
            if let Some(trace) = all.iter_mut().find(|trace| *trace.call_id == *own.as_str()) {
                trace.keep(&message);
            }
        }
    }

    /// Begins a trace, or has one that is there go on, for so long. Gives what is known of it, and whether it is new.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn begin(&self, call_id: &str, lasts: Duration, now: Time) -> Result<(Tracing, bool), TooMany> {
        let mut all = self.all.lock();
        self.sort(&mut all);
        let until = now + lasts.min(LONGEST);
        let known = all.iter().position(|trace| *trace.call_id == *call_id);
        let at = match known {
            Some(at) => at,
            None => {
                if all.len() >= MOST_TRACES {
                    let ended = all.iter().enumerate().filter(|(_, trace)| trace.until <= now);
                    let oldest = ended.min_by_key(|(_, trace)| trace.until).map(|(at, _)| at);
                    all.remove(oldest.ok_or(TooMany)?);
                }
                let (messages, octets, left_out) = Default::default();
                all.push(Trace { call_id: call_id.into(), began: now, until, messages, octets, left_out });
                all.len() - 1
            }
        };
        all[at].until = until;
        self.watch(&all);
        Ok((all[at].known(), known.is_none()))
    }

    /// All traces, in the order in which they began.
    pub fn list(&self) -> Vec<Tracing> {
        let mut all = self.all.lock();
        self.sort(&mut all);
        all.iter().map(Trace::known).collect()
    }

    /// What was seen of a call, if there is a trace of it.
    pub fn read(&self, call_id: &str) -> Option<(Tracing, Vec<Traced>)> {
        let mut all = self.all.lock();
        self.sort(&mut all);
        let trace = all.iter().find(|trace| *trace.call_id == *call_id)?;
        Some((trace.known(), trace.messages.iter().cloned().collect()))
    }

    /// Ends a trace and forgets it. Gives what was known of it.
    pub fn end(&self, call_id: &str) -> Option<Tracing> {
        let mut all = self.all.lock();
        self.sort(&mut all);
        let at = all.iter().position(|trace| *trace.call_id == *call_id)?;
        let ended = all.remove(at);
        self.watch(&all);
        Some(ended.known())
    }

    /// Messages that are in no trace because too many came while somebody was at them.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn watch(&self, all: &[Trace]) {
        self.calls.set(all.iter().map(|trace| (trace.call_id.clone(), trace.until)).collect());
    }
}

impl Trace {
    fn known(&self) -> Tracing {
        Tracing {
            call_id: self.call_id.clone(),
            began: self.began,
            until: self.until,
            messages: self.messages.len(),
            left_out: self.left_out,
        }
    }

    fn keep(&mut self, message: &OnWire) {
        let OnWire { bytes, transport, source, destination, at, sent } = message;
        let text: Arc<str> = without_secrets(&String::from_utf8_lossy(bytes)).into();
        let (sent, transport, source, destination) = (*sent, *transport, *source, *destination);
        self.octets += text.len();
        // Each shard tells of its own, and what waited comes later.
        let place = self.messages.partition_point(|other| other.at <= *at);
        self.messages.insert(place, Traced { at: *at, sent, transport, source, destination, text });
        while self.messages.len() > MOST_MESSAGES || (self.octets > MOST_OCTETS && self.messages.len() > 1) {
            let Some(oldest) = self.messages.pop_front() else { return };
            self.octets -= oldest.text.len();
            self.left_out += 1;
        }
    }
}

/// The password of a SIP URI, with what stands before it. A test reads it.
static PASSWORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?i)(\bsips?:[^\s:@<>"]*):[^\s@<>"]*@"#).expect("it is one"));

/// A message without credentials (Authorization, Proxy-Authorization), passwords of URIs and keys of media (RFC 4568, RFC 4567,
/// RFC 4566 §5.12), in its headers or in a message that its body carries.
fn without_secrets(text: &str) -> String {
    let (mut out, mut hides) = (String::with_capacity(text.len()), false);
    for line in text.split_inclusive('\n') {
        // A line that begins with a space belongs to the one before it.
        if hides && line.starts_with([' ', '\t']) {
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let is = |secret: &str| name.trim().eq_ignore_ascii_case(secret);
        hides = is("Authorization") || is("Proxy-Authorization");
        let end = if line.ends_with("\r\n") { "\r\n" } else { "\n" };
        if hides {
            out.extend([name, ": ", TAKEN_OUT, end]);
        } else if ["a=crypto", "a=key-mgmt", "k=clear", "k=base64", "k=uri"].into_iter().any(is) && !value.is_empty() {
            out.extend([name, ":", TAKEN_OUT, end]);
        } else {
            out.push_str(line);
        }
    }
    match PASSWORD.is_match(&out) {
        true => PASSWORD.replace_all(&out, format!("$1:{TAKEN_OUT}@")).into_owned(),
        false => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn message(call_id: &str, body: &str, millis: u64) -> OnWire {
        let text = format!("MESSAGE sip:a@b SIP/2.0\r\nCall-ID: {call_id}\r\n\r\n{body}");
        let [source, destination] = ["192.0.2.1:5060", "192.0.2.2:5060"].map(|text| text.parse().unwrap());
        let bytes = text.into_bytes().into();
        OnWire { bytes, transport: TransportType::Udp, source, destination, at: at(millis), sent: false }
    }

    #[test]
    fn messages_belong_to_their_trace_and_the_latest_stay() {
        let traces = Traces::default();
        let (one, is_new) = traces.begin("one", Duration::from_secs(1), at(0)).unwrap();
        assert_eq!((is_new, one.until, one.messages), (true, at(1_000), 0));
        traces.begin("two", LONGEST * 2, at(0)).unwrap();
        for number in 0..MOST_MESSAGES as u64 + 3 {
            traces.take(message("one", &number.to_string(), number));
        }
        traces.take(message("two", "x", 1));
        traces.take(message("three", "x", 1));
        let (known, messages) = traces.read("one").unwrap();
        assert_eq!((known.messages, known.left_out, messages.len()), (MOST_MESSAGES, 3, MOST_MESSAGES));
        assert!(messages[0].text.ends_with("\r\n\r\n3") && messages[0].at == at(3), "{:?}", messages[0]);
        let two = traces.read("two").unwrap();
        assert_eq!((two.1.len(), two.0.until), (1, Time::ZERO + LONGEST));
        assert!(traces.read("three").is_none() && traces.end("three").is_none());
        assert_eq!(traces.end("one").unwrap().messages, MOST_MESSAGES);
        assert_eq!(traces.list().iter().map(|one| &*one.call_id).collect::<Vec<_>>(), ["two"]);
        assert_eq!(traces.lost(), 0);
    }

    /// The one that caused it may be told of later, by another shard.
    #[test]
    fn messages_are_in_the_order_of_time() {
        let traces = Traces::default();
        traces.begin("one", LONGEST, at(0)).unwrap();
        [3, 1, 2, 2].into_iter().for_each(|millis| traces.take(message("one", "", millis)));
        let (_, messages) = traces.read("one").unwrap();
        assert_eq!(messages.iter().map(|one| one.at).collect::<Vec<_>>(), [1, 2, 2, 3].map(at));
    }

    #[test]
    fn octets_are_bounded() {
        let traces = Traces::default();
        traces.begin("one", LONGEST, at(0)).unwrap();
        let body = "x".repeat(60_000);
        (0..30).for_each(|number| traces.take(message("one", &body, number)));
        let (known, messages) = traces.read("one").unwrap();
        // One more would be too much.
        assert_eq!((known.messages, known.left_out, messages[0].at), (17, 13, at(13)));
    }

    #[test]
    fn only_so_many_and_those_that_have_ended_make_room() {
        let traces = Traces::default();
        for number in 0..MOST_TRACES as u64 {
            traces.begin(&number.to_string(), Duration::from_secs(10 - number), at(0)).unwrap();
        }
        assert_eq!(traces.begin("more", LONGEST, at(0)), Err(TooMany));
        // One that is there goes on.
        assert!(!traces.begin("7", LONGEST, at(0)).unwrap().1);
        assert!(traces.begin("more", LONGEST, at(4_000)).unwrap().1);
        let left = traces.list();
        assert_eq!(left.len(), MOST_TRACES);
        assert!(left.iter().all(|one| &*one.call_id != "6"), "that one had ended: {left:?}");
    }

    #[test]
    fn who_cannot_get_at_the_traces_leaves_it_for_the_next() {
        let traces = Traces::default();
        traces.begin("one", LONGEST, at(0)).unwrap();
        let held = traces.all.lock();
        (0..MOST_WAITING as u64 + 2).for_each(|number| traces.take(message("one", "x", number)));
        drop(held);
        assert_eq!((traces.list()[0].messages, traces.lost()), (MOST_WAITING, 2));
    }

    #[test]
    fn no_secret_is_kept() {
        let text = "INVITE sip:bob:s3cret@h SIP/2.0\r\nFrom: <sip:alice@h:5060>;tag=1\r\n\
                    Proxy-authorization : Digest username=\"alice\",\r\n response=\"s3cret\"\r\nTo: <SIPS:b:s3cret@h>\r\n\
                    Authorization: Digest s3cret\r\nCall-ID: 1\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 \
                    inline:s3cret\r\na=key-mgmt:mikey s3cret\r\nk=clear:s3cret\r\nk=base64:s3cret\r\nk=prompt\r\n\
                    a=sendrecv\r\n";
        let expected = "INVITE sip:bob:(taken out)@h SIP/2.0\r\nFrom: <sip:alice@h:5060>;tag=1\r\n\
                        Proxy-authorization : (taken out)\r\nTo: <SIPS:b:(taken out)@h>\r\n\
                        Authorization: (taken out)\r\nCall-ID: 1\r\n\r\nv=0\r\na=crypto:(taken out)\r\na=key-mgmt:(taken out)\r\n\
                        k=clear:(taken out)\r\nk=base64:(taken out)\r\nk=prompt\r\na=sendrecv\r\n";
        assert_eq!(without_secrets(text), expected);
        for plain in ["", "\n", "SIP/2.0 200 OK\r\nWWW-Authenticate: Digest realm=\"r\"\r\n\r\n", "a\rb:c"] {
            assert_eq!(without_secrets(plain), plain);
        }
    }
}
