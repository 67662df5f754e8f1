//! `sip torture`: files as they are, and what is answered. No stack is between them and the wire.

use super::args::TortureArgs;
use super::escape;
use super::output::{Output, milliseconds};
use super::verdict::{Failure, Verdict};
use crate::hop::{self, Hop, HopError};
use rutil::{Clock, RealClock, Time};
use serde_json::json;
use stack::header::h;
use stack::message::{Limits, Message};
use stack::scanner::{Scanned, StreamScanner};
use stack::transport::{TransportType, system_route};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The largest datagram.
const DATAGRAM: usize = 65_535;
/// The most octets that fit into one.
const MOST_SENT: usize = 65_507;

/// What became of a file.
struct Reaction {
    answers: Vec<Message>,
    took: Duration,
    /// The peer closed the connection, or refused the datagram.
    ended: Option<&'static str>,
}

/// Sends each file and shows what is answered.
pub(super) fn run(args: &TortureArgs, output: Output) -> Result<Verdict, Failure> {
    let Hop { kind, address: peer, .. } = Hop::of(&args.target)?;
    if !matches!(kind, TransportType::Udp | TransportType::Tcp) {
        return Err(HopError::Transport(kind.as_param().to_owned(), "udp or tcp").into());
    }
    hop::leads(args.listen.as_slice(), kind, Some(peer.ip()))?;
    let mut verdict = Verdict::Done;
    for file in &args.files {
        let octets = std::fs::read(file).map_err(|source| Failure::File { file: file.clone(), source })?;
        if kind == TransportType::Udp && octets.len() > MOST_SENT {
            let (file, many) = (file.display(), octets.len());
            let what = format!("{file}: {many} octets do not fit into a datagram: send it by ;transport=tcp");
            return Err(Failure::Argument(what));
        }
        let listen = args.listen.map(|listen| listen.address);
        let reaction = match kind {
            TransportType::Udp => over_udp(&octets, peer, listen, args.timeout, output),
            _ => over_tcp(&octets, peer, listen, args.timeout),
        };
        let reaction = reaction.map_err(|source| Failure::Peer { peer, source })?;
        tell(file, octets.len(), &reaction, output);
        if reaction.answers.is_empty() {
            verdict = Verdict::Silent;
        }
    }
    Ok(verdict)
}

fn tell(file: &Path, octets: usize, reaction: &Reaction, output: Output) {
    let ms = milliseconds(reaction.took);
    let name = file.display().to_string();
    let answers: Vec<_> = reaction.answers.iter().map(|a| (a.status().unwrap_or_default(), a.reason())).collect();
    let mut shown: Vec<_> =
        answers.iter().map(|(status, reason)| format!("{status} {}", escape::line(reason))).collect();
    if answers.is_empty() {
        shown.push("no answer".to_owned());
    }
    shown.extend(reaction.ended.map(str::to_owned));
    let text = format!("{}: {} ({ms:.1} ms)", escape::line(&name), shown.join(", "));
    let answers: Vec<_> = answers.iter().map(|(status, reason)| json!({"status": status, "reason": reason})).collect();
    let members = json!({"file": name, "octets": octets, "answers": answers, "ms": ms, "ended": reaction.ended});
    output.event("answers", format_args!("{text}"), members);
}

/// Whether nothing more is to come.
fn is_final(answers: &[Message]) -> bool {
    answers.last().and_then(Message::status).is_some_and(|status| status >= 200)
}

fn over_udp(
    octets: &[u8],
    peer: SocketAddr,
    listen: Option<SocketAddr>,
    limit: Duration,
    output: Output,
) -> io::Result<Reaction> {
    let socket = bind(octets, peer, listen, output)?;
    socket.connect(peer)?;
    let clock = RealClock::new();
    socket.send(octets)?;
    let (mut answers, mut ended, mut buffer) = (Vec::new(), None, vec![0; DATAGRAM]);
    while let Some(left) = left(&clock, limit).filter(|_| !is_final(&answers)) {
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut buffer) {
            Ok(length) => answers.extend(response(buffer.get(..length).unwrap_or_default())),
            Err(error) if is_timeout(&error) => {}
            // It may be what became of the peer: the other files are sent all the same.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                ended = Some("refused: nobody listens there");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Reaction { answers, took: clock.now().since(Time::ZERO), ended })
}

/// A socket at the port to which the answer will come: that of the Via, unless it has rport (RFC 3581 §4).
fn bind(octets: &[u8], peer: SocketAddr, listen: Option<SocketAddr>, output: Output) -> io::Result<UdpSocket> {
    if let Some(address) = listen {
        return UdpSocket::bind(address);
    }
    let local = local(peer);
    let any = || UdpSocket::bind((local, 0));
    let msg = Message::parse(octets).ok();
    let Some(via) = msg.as_ref().and_then(|msg| msg.first(h::VIAS).ok()) else { return any() };
    if via.param(stack::header::p::RPORT).is_some() {
        return any();
    }
    let port = via.port.unwrap_or(TransportType::Udp.default_port());
    UdpSocket::bind((local, port)).or_else(|error| {
        output.problem(&format!("port {port}, to which the answer will come, cannot be bound on {local}: {error}"));
        any()
    })
}

fn over_tcp(octets: &[u8], peer: SocketAddr, listen: Option<SocketAddr>, limit: Duration) -> io::Result<Reaction> {
    let mut stream = match listen {
        Some(address) => connect_from(address, peer)?,
        None => TcpStream::connect_timeout(&peer, CONNECT_LIMIT)?,
    };
    // Who does not read holds up nothing.
    stream.set_write_timeout(Some(limit.max(Duration::from_millis(1))))?;
    let clock = RealClock::new();
    let (mut answers, mut ended) = (Vec::new(), None);
    let mut scanner = StreamScanner::new(Limits::default());
    let mut chunk = vec![0; 16 * 1024];
    // The peer may close before all of it is read.
    if stream.write_all(octets).is_err() {
        ended = Some("closed while it was sent");
    }
    while let Some(left) = left(&clock, limit).filter(|_| !is_final(&answers)) {
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => {
                ended = ended.or(Some("closed"));
                break;
            }
            Ok(length) => {
                let read = bytes::Bytes::copy_from_slice(chunk.get(..length).unwrap_or_default());
                scanner.feed(read, |scanned| match scanned {
                    Scanned::Message(msg) | Scanned::Broken(_, Some(msg)) if msg.is_response() => answers.push(msg),
                    _ => {}
                });
            }
            Err(error) if is_timeout(&error) => {}
            Err(_) => {
                ended = Some("reset");
                break;
            }
        }
    }
    Ok(Reaction { answers, took: clock.now().since(Time::ZERO), ended })
}

fn connect_from(address: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.connect_timeout(&peer.into(), CONNECT_LIMIT)?;
    Ok(socket.into())
}

/// The address that leads to a peer.
fn local(peer: SocketAddr) -> IpAddr {
    let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    system_route(peer.ip()).unwrap_or(any)
}

/// What is left of the time; none when it is over.
fn left(clock: &RealClock, limit: Duration) -> Option<Duration> {
    limit.checked_sub(clock.now().since(Time::ZERO)).filter(|left| !left.is_zero())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn response(octets: &[u8]) -> Option<Message> {
    Message::parse(octets).ok().filter(Message::is_response)
}
