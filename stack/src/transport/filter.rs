//! A filter that the kernel runs on what comes to a UDP socket, before it takes room in the receive buffer: a chosen
//! share of what begins new work passes, everything else passes always. A datagram that does not pass costs its sender's
//! side (over the loopback) or the interface's interrupt, not us.

use socket2::{SockFilter, SockRef};
use std::io;

/// Instructions of the classic packet filter: load a word at an offset, the length, a number into X; arithmetic; jumps.
const LOAD: u16 = 0x20;
const LENGTH: u16 = 0x80;
const SET_X: u16 = 0x01;
const XOR_X: u16 = 0xac;
const MULTIPLY: u16 = 0x24;
const TO_X: u16 = 0x07;
const SHIFT_RIGHT: u16 = 0x74;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
/// Let so many octets pass; none drops the datagram.
const RETURN: u16 = 0x06;
/// Where the payload begins: the data begins with the UDP header.
const PAYLOAD: u32 = 8;
/// How methods begin that mostly begin something new. Four octets do not tell a re-INVITE from an INVITE: it is lost as
/// any datagram may be, and its sender repeats it.
const NEW: [&[u8; 4]; 6] = [b"INVI", b"REGI", b"OPTI", b"MESS", b"SUBS", b"PUBL"];
/// The octets of the payload that decide: the topmost Via is among them, with a branch that no two requests share.
const FROM: u32 = 16;
const TO: u32 = 240;
/// An odd number with bits all over (2^32 divided by the golden ratio).
const SPREAD: u32 = 0x9e37_79b1;

/// Lets `share` of `all` requests with new work pass; all of them takes the filter off. A request that comes again has
/// the fate of the first time: one that was dropped must not be served half a second later, when others are refused.
pub(super) fn narrow(socket: &mio::net::UdpSocket, share: u32, all: u32) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if share >= all {
        return socket.detach_filter();
    }
    socket.attach_filter(&program(share, all))
}

fn program(share: u32, all: u32) -> Vec<SockFilter> {
    let op = |code, k| SockFilter::new(code, 0, 0, k);
    let bound = (u64::from(u32::MAX) * u64::from(share) / u64::from(all.max(1))) as u32;
    let mut program = vec![op(LOAD, PAYLOAD)];
    let jumps = NEW.len() as u8;
    program.extend((0..jumps).zip(NEW).map(|(at, start)| {
        // Over the jumps that follow and over what lets the rest pass.
        SockFilter::new(IF_EQUAL, jumps - at, 0, u32::from_be_bytes(*start))
    }));
    // Too short to be decided upon.
    program.extend([op(RETURN, u32::MAX), op(LENGTH, 0), SockFilter::new(IF_AT_LEAST, 1, 0, PAYLOAD + TO)]);
    program.extend([op(RETURN, u32::MAX), op(SET_X, 0)]);
    for at in (FROM..TO).step_by(4) {
        program.extend([op(LOAD, PAYLOAD + at), op(XOR_X, 0), op(MULTIPLY, SPREAD), op(TO_X, 0)]);
    }
    program.extend([op(SHIFT_RIGHT, 15), op(XOR_X, 0), op(MULTIPLY, SPREAD)]);
    program.extend([SockFilter::new(IF_AT_LEAST, 1, 0, bound), op(RETURN, u32::MAX), op(RETURN, 0)]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// Which of these datagrams come through.
    fn through(to: &mio::net::UdpSocket, texts: &[String]) -> Vec<bool> {
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (address, mut buffer) = (to.local_addr().unwrap(), [0; 2048]);
        // Over the loopback a datagram is in the buffer, or dropped, when `send_to` returns.
        let mut pass = |text: &String| {
            from.send_to(text.as_bytes(), address).unwrap();
            to.recv_from(&mut buffer).is_ok_and(|(size, _)| size == text.len())
        };
        texts.iter().map(&mut pass).collect()
    }

    fn requests(method: &str, count: u32) -> Vec<String> {
        let more = "X: ".to_owned() + &"x".repeat(200);
        let request = |n| format!("{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{n}\r\n{more}\r\n\r\n");
        (0..count).map(request).collect()
    }

    #[test]
    fn only_new_work_is_filtered_and_a_repetition_has_the_same_fate() {
        let socket = mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let new = ["INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "PUBLISH"].map(|m| requests(m, 3)).concat();
        let old = ["SIP/2.0", "ACK", "BYE", "CANCEL", "INFO", "UPDATE", "PRACK", "NOTIFY"].map(|m| requests(m, 3));
        let old = [old.concat(), vec!["\r\n\r\n".to_owned(), "INVITE sip:short".to_owned()]].concat();
        narrow(&socket, 0, 1024).unwrap();
        assert!(through(&socket, &new).iter().all(|through| !through));
        assert!(through(&socket, &old).iter().all(|through| *through));
        narrow(&socket, 256, 1024).unwrap();
        let many = requests("INVITE", 2000);
        let quarter = through(&socket, &many);
        let count = quarter.iter().filter(|through| **through).count();
        assert!((400..600).contains(&count), "{count} of 2000");
        assert_eq!(through(&socket, &many), quarter);
        assert!(through(&socket, &old).iter().all(|through| *through));
        // Who had passed a narrow filter passes a wider one.
        narrow(&socket, 512, 1024).unwrap();
        let half = through(&socket, &many);
        assert!(quarter.iter().zip(&half).all(|(quarter, half)| !quarter || *half));
        narrow(&socket, 1024, 1024).unwrap();
        assert!(through(&socket, &new).iter().all(|through| *through));
    }
}
