//! The messages that are sent and received: shown as they come, and kept for the ladder.

use super::escape;
use super::output::milliseconds;
use rutil::Time;
use stack::header::{Method, h};
use stack::hep::OnWire;
use stack::message::Message;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

/// Messages that wait to be shown; of more, some are missing.
const WAITING: usize = 4096;
/// Messages that are kept for the ladder.
const KEPT: usize = 2000;

/// A message as the ladder shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Since the first one.
    pub(super) at: Duration,
    /// The peer.
    pub(super) peer: SocketAddr,
    /// Whether it goes there.
    pub(super) sent: bool,
    /// What it is: `INVITE (sdp)`, `180 Ringing`.
    pub(super) what: String,
    /// The same octets went the same way before.
    pub(super) again: bool,
}

/// What was sent and received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    /// The first [`KEPT`].
    pub(super) steps: Vec<Step>,
    /// How many there were beside them.
    pub(super) more: usize,
}

/// Keeps what the stack tells of, and shows it where that is wanted.
pub(super) struct Recorder {
    told: Sender<OnWire>,
    reader: JoinHandle<Trace>,
}

impl Recorder {
    pub(super) fn start(verbose: bool) -> Self {
        let (told, wire) = channel(WAITING);
        Recorder { told, reader: tokio::spawn(read(wire, verbose)) }
    }

    /// What the stack is to call.
    pub(super) fn tell(&self) -> impl Fn(OnWire) + Send + Sync + 'static {
        let told = self.told.clone();
        move |message| drop(told.try_send(message))
    }

    /// All that was told. The stack must have ended, else more may come for ever.
    pub(super) async fn finish(self) -> Trace {
        drop(self.told);
        self.reader.await.unwrap_or_default()
    }
}

async fn read(mut wire: Receiver<OnWire>, verbose: bool) -> Trace {
    let (mut trace, mut seen, mut first) = (Trace::default(), Vec::new(), None);
    while let Some(message) = wire.recv().await {
        let at = message.at.since(*first.get_or_insert(message.at));
        if verbose {
            let _ = io::stderr().lock().write_all(shown(&message, at).as_bytes());
        }
        if trace.steps.len() == KEPT {
            trace.more += 1;
            continue;
        }
        let peer = if message.sent { message.destination } else { message.source };
        let again = seen.iter().any(|(to, sent, bytes)| (*to, *sent, bytes) == (peer, message.sent, &message.bytes));
        let what = label(&message.bytes);
        trace.steps.push(Step { at, peer, sent: message.sent, what, again });
        seen.push((peer, message.sent, message.bytes));
    }
    trace
}

/// A message with a line above it that says when and where it went.
fn shown(message: &OnWire, at: Duration) -> String {
    let OnWire { bytes, transport, source, destination, sent, .. } = message;
    let way = if *sent { "sent" } else { "received" };
    let mut text = format!("--- {:.3} ms, {way} by {transport}: {source} -> {destination}\n", milliseconds(at));
    for line in escape::lines(bytes).lines() {
        let _ = writeln!(text, "{}", without_proof(line));
    }
    text
}

/// A line of credentials, or of what a server proves to have them with (RFC 7616 §3.5), without what a password could be
/// guessed by.
pub(super) fn without_proof(line: &str) -> String {
    const LINES: [&str; 4] =
        ["authorization", "proxy-authorization", "authentication-info", "proxy-authentication-info"];
    let lower = line.to_ascii_lowercase();
    let name = lower.split(':').next().unwrap_or_default().trim_end();
    let proof = ["response=", "rspauth="].into_iter().find_map(|proof| Some((lower.find(proof)?, proof)));
    match proof.filter(|_| LINES.contains(&name)) {
        Some((from, proof)) => {
            let rest = line.get(from..).and_then(|rest| rest.find(',').and_then(|comma| rest.get(comma..)));
            format!("{}{proof}(hidden){}", line.get(..from).unwrap_or_default(), rest.unwrap_or_default())
        }
        None => line.to_owned(),
    }
}

/// What a message is, in a few words.
fn label(bytes: &[u8]) -> String {
    let Ok(msg) = Message::parse(bytes) else { return format!("{} octets that are no SIP", bytes.len()) };
    let body = msg.header(h::CONTENT_TYPE).ok().filter(|_| !msg.body().is_empty());
    let body = body.map_or_else(String::new, |media| format!(" ({})", media.sub));
    let text = match msg.status() {
        Some(status) => format!("{status} {}{body}", msg.reason()),
        None => format!("{}{body}", msg.method().unwrap_or(Method::Other("?".into())).as_str()),
    };
    escape::line(&text).into_owned()
}

/// The present of a clock that begins with the program.
pub(super) fn since_start(now: Time) -> Duration {
    now.since(Time::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_what_it_is() {
        let invite = "INVITE sip:b@c SIP/2.0\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0";
        assert_eq!(label(invite.as_bytes()), "INVITE (sdp)");
        assert_eq!(label(b"SIP/2.0 180 Ri\x1bng\r\n\r\n"), "180 Ri\\u{1b}ng");
        assert_eq!(label(b"\r\n\r\n"), "4 octets that are no SIP");
    }

    #[test]
    fn no_answer_to_a_challenge_is_shown() {
        let line = "Authorization: Digest username=\"a\", response=\"0123456789abcdef\", qop=auth";
        assert_eq!(without_proof(line), "Authorization: Digest username=\"a\", response=(hidden), qop=auth");
        assert_eq!(without_proof("X: response=\"1\""), "X: response=\"1\"");
        let proxy = without_proof("Proxy-Authorization: Digest response=\"0123\"");
        assert_eq!(proxy, "Proxy-Authorization: Digest response=(hidden)");
    }

    #[tokio::test]
    async fn what_comes_again_is_known() {
        let recorder = Recorder::start(false);
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let (own, peer) = (at("127.0.0.1:5060"), at("127.0.0.2:5060"));
        let message = |sent, bytes: &'static [u8], ms| OnWire {
            bytes: bytes.into(),
            transport: stack::transport::TransportType::Udp,
            source: if sent { own } else { peer },
            destination: if sent { peer } else { own },
            at: Time::ZERO + Duration::from_millis(ms),
            sent,
        };
        let tell = recorder.tell();
        tell(message(true, b"OPTIONS sip:b SIP/2.0\r\n\r\n", 5));
        tell(message(true, b"OPTIONS sip:b SIP/2.0\r\n\r\n", 505));
        tell(message(false, b"SIP/2.0 200 OK\r\n\r\n", 510));
        drop(tell);
        let trace = recorder.finish().await;
        let seen: Vec<_> = trace.steps.iter().map(|s| (s.at.as_millis(), s.sent, &*s.what, s.again)).collect();
        assert_eq!(seen, [(0, true, "OPTIONS", false), (500, true, "OPTIONS", true), (505, false, "200 OK", false)]);
        assert!(trace.steps.iter().all(|step| step.peer == peer) && trace.more == 0);
    }
}
