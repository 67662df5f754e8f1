//! Forwarding, seen at the next hop.

use std::net::{SocketAddr, TcpStream, UdpSocket};

use super::compare::{compare, first_line};
use super::framed::Framed;
use super::next_hop::NextHop;
use super::{LIMIT, Outcome, TICK, client};
use crate::corpus::Case;
use crate::verdict::{Reaction, Role, Stream};
use crate::{now, raw};

/// The status with which the next hop ends the transaction.
const ANSWER: u16 = 480;

/// Whether [`check_forwarded_over_udp`] applies: a request that a proxy may send on.
pub fn can_be_forwarded(case: &Case) -> bool {
    case.verdict.goes_on(Role::Proxy)
        && !case.verdict.proxy.contains(&Reaction::Discard)
        && raw::status(&case.bytes).is_none()
}

/// Whether [`check_forwarded_over_tcp`] applies as well: a stream has to know where the request ends.
pub fn can_be_forwarded_over_tcp(case: &Case) -> bool {
    can_be_forwarded(case) && matches!(case.verdict.stream, Stream::Same | Stream::Two)
}

/// Sends a copy of the message whose Request-URI and Route lead to sockets of our own, compares what arrives there
/// with what was sent, and sees that the final answer finds its way back.
///
/// All header fields that a proxy has no business with must arrive in order and byte for byte (a fold may be one
/// space), and so must the body; there must be one more Via and one hop less; what is large must arrive over TCP. Where
/// the verdict has a status as well, that status is right, too.
///
/// # Errors
/// The first difference, or what did not arrive.
pub fn check_forwarded_over_udp(server: SocketAddr, case: &Case) -> Result<Outcome, String> {
    let told = |e| format!("{} forwarded from UDP: {e}", case.name);
    let mut next_hop = NextHop::bind().map_err(|e| told(format!("bind: {e}")))?;
    let bytes = redirect(&raw::with_transport(&case.bytes, "UDP"), next_hop.address()?).map_err(told)?;
    let socket = match client::bind_for(&bytes)? {
        Ok(socket) => socket,
        Err(skipped) => return Ok(skipped),
    };
    // What follows the body in a datagram is not part of the message; without a length, all of it is body.
    let message = match raw::first(&bytes, "content-length") {
        Some(_) => raw::take_message(&mut bytes.clone()).unwrap_or_else(|| bytes.clone()),
        None => bytes.clone(),
    };
    let mut client = Client::Udp(socket, server);
    client.send(&bytes).map_err(told)?;
    pass_through(&mut client, &mut next_hop, vec![message], &case.verdict.proxy).map_err(told)
}

/// As [`check_forwarded_over_udp`], over a stream; there, a second request in the message is sent on as well.
///
/// # Errors
/// The first difference, or what did not arrive.
pub fn check_forwarded_over_tcp(server: SocketAddr, case: &Case) -> Result<Outcome, String> {
    let told = |e| format!("{} forwarded from TCP: {e}", case.name);
    let mut next_hop = NextHop::bind().map_err(|e| told(format!("bind: {e}")))?;
    let (address, mut rest) = (next_hop.address()?, case.bytes.clone());
    let mut messages = Vec::new();
    let wanted = if case.verdict.stream == Stream::Two { 2 } else { 1 };
    while messages.len() < wanted {
        let message = raw::take_message(&mut rest).ok_or_else(|| told("there is no end of it".to_owned()))?;
        messages.push(redirect(&raw::with_transport(&message, "TCP"), address).map_err(told)?);
    }
    let stream = TcpStream::connect_timeout(&server, LIMIT).map_err(|e| told(format!("connect: {e}")))?;
    let mut client = Client::Tcp(Framed::new(stream));
    client.send(&messages.concat()).map_err(told)?;
    pass_through(&mut client, &mut next_hop, messages, &case.verdict.proxy).map_err(told)
}

/// Who sends the message.
enum Client {
    Udp(UdpSocket, SocketAddr),
    Tcp(Framed),
}

impl Client {
    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Client::Udp(socket, server) => socket.send_to(bytes, *server).map(drop).map_err(|e| format!("send: {e}")),
            Client::Tcp(stream) => stream.send(bytes),
        }
    }

    /// What has arrived, or arrives in a moment.
    fn poll(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self {
            Client::Udp(socket, _) => Ok(client::receive(socket, now() + TICK)?.map(|(bytes, _)| bytes)),
            Client::Tcp(stream) => stream.next(now() + TICK),
        }
    }
}

/// Waits until each of `sent` has arrived at the next hop, and until the client has the answers to all.
fn pass_through(
    client: &mut Client,
    next_hop: &mut NextHop,
    mut sent: Vec<Vec<u8>>,
    right: &[Reaction],
) -> Result<Outcome, String> {
    let deadline = now() + LIMIT;
    let mut unanswered: Vec<_> = sent.iter().map(|message| raw::first(message, "call-id")).collect();
    let mut heard = Vec::new();
    while !unanswered.is_empty() {
        if let Some(arrived) = next_hop.poll()? {
            let call = raw::first(&arrived.bytes, "call-id");
            // Any other is a repetition, or the ACK for the answer.
            if let Some(at) = sent.iter().position(|message| raw::first(message, "call-id") == call) {
                compare(&sent.swap_remove(at), &arrived)?;
                next_hop.answer(&arrived, ANSWER)?;
            }
        }
        if let Some(message) = client.poll()? {
            match raw::status(&message) {
                Some(ANSWER) => unanswered.retain(|call| *call != raw::first(&message, "call-id")),
                Some(status) if right.contains(&Reaction::Status(status)) => return Ok(Outcome::Right(None)),
                _ => heard.push(first_line(&message)),
            }
        }
        if now() >= deadline {
            return Err(match sent.len() {
                0 => format!("the next hop's answer did not come back; the sender got {heard:?}"),
                missing => format!("{missing} did not arrive at the next hop; the sender got {heard:?}"),
            });
        }
    }
    if sent.is_empty() { Ok(Outcome::Right(None)) } else { Err("answered, but not by the next hop".to_owned()) }
}

/// The message with `address` for the hosts in its Request-URI and in its Routes.
fn redirect(message: &[u8], address: SocketAddr) -> Result<Vec<u8>, String> {
    replace_hosts(message, address).ok_or_else(|| "the Request-URI has no host".to_owned())
}

fn replace_hosts(message: &[u8], address: SocketAddr) -> Option<Vec<u8>> {
    let mut spans = Vec::new();
    let line = &message[..message.iter().position(|b| *b == b'\r')?];
    let start = line.iter().position(|b| *b == b' ')? + 1;
    let end = line.windows(8).rposition(|w| w == b" SIP/2.0")?;
    spans.push(host_span(message, start, end)?);
    for route in raw::fields(message).into_iter().filter(|f| f.name == "route") {
        let open = route.span.start + message[route.span.clone()].iter().position(|b| *b == b'<')?;
        spans.push(host_span(message, open + 1, route.span.end)?);
    }
    let mut copy = message.to_vec();
    for (start, end) in spans.into_iter().rev() {
        copy.splice(start..end, address.to_string().into_bytes());
    }
    Some(copy)
}

/// Where host and port stand in the sip URI at `start`: after the last `@`, up to a parameter, a header, a blank or the
/// end.
fn host_span(message: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let uri = &message[start..end];
    let host = match uri.iter().rposition(|b| *b == b'@') {
        Some(at) => at + 1,
        None => uri.iter().position(|b| *b == b':')? + 1,
    };
    let length = uri[host..].iter().position(|b| matches!(b, b';' | b'?' | b'>' | b' ')).unwrap_or(uri.len() - host);
    Some((start + host, start + host + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;
    use crate::verdict::Seen;

    fn own(name: &str) -> Vec<u8> {
        corpus::own().into_iter().find(|c| c.name == name).expect("it is in the corpus").bytes
    }

    fn redirected(name: &str) -> String {
        let address = "127.0.0.9:5061".parse().expect("an address");
        String::from_utf8_lossy(&redirect(&own(name), address).expect("it has a host")).into_owned()
    }

    #[test]
    fn only_the_next_hop_is_rewritten() {
        assert!(redirected("wsinv").starts_with("INVITE sip:mira@127.0.0.9:5061;berth SIP/2.0\r\n"));
        assert!(redirected("wsinv").contains("route:\r\n <sip:127.0.0.9:5061;lr;depth=9;unmarked>\r\n"));
        assert!(redirected("intmeth").contains(".(it-too)@127.0.0.9:5061 SIP/2.0\r\n"));
        assert!(redirected("ipv6-in-sdp").starts_with("INVITE sip:mira@127.0.0.9:5061 SIP/2.0\r\n"));
        assert!(redirected("regaut01").starts_with("REGISTER sip:127.0.0.9:5061 SIP/2.0\r\n"));
        assert!(redirected("ltgtruri").starts_with("INVITE <sip:mira@127.0.0.9:5061> SIP/2.0\r\n"));
        assert!(redirected("lwsruri").starts_with("INVITE sip:mira@127.0.0.9:5061 ;lr SIP/2.0\r\n"));
        assert!(redirected("lwsstart").starts_with("INVITE   sip:mira@127.0.0.9:5061   SIP/2.0\r\n"));
        assert!(redirected("trws").starts_with("OPTIONS sip:mira@127.0.0.9:5061 SIP/2.0   \r\n"));
        assert!(redirected("port-unambiguous").starts_with("REGISTER sip:127.0.0.9:5061 SIP/2.0\r\n"));
    }

    /// No verdict is right for a proxy that drops everything: where the sender may hear nothing, the next hop hears it.
    #[test]
    fn silence_is_wrong_somewhere() {
        for case in corpus::own() {
            let dropped = case.verdict.judge(Role::Proxy, &Seen::default()).is_ok();
            let seen_at_the_next_hop = can_be_forwarded(&case);
            assert!(!dropped || seen_at_the_next_hop || case.verdict.proxy == [Reaction::Discard], "{}", case.name);
        }
        let names = |can: fn(&Case) -> bool| corpus::own().into_iter().filter(can).map(|c| c.name).collect::<Vec<_>>();
        let (udp, tcp) = (names(can_be_forwarded), names(can_be_forwarded_over_tcp));
        assert!(udp.contains(&"longreq".to_owned()) && !udp.contains(&"badinv01".to_owned()));
        let datagrams_only: Vec<_> = udp.iter().filter(|name| !tcp.contains(name)).collect();
        assert_eq!(datagrams_only, ["inv2543"]);
    }
}
