//! A filter that the kernel runs on what comes to a UDP socket, before it takes room in the receive buffer: a chosen
//! share of what begins new work passes, everything else passes always. A datagram that does not pass costs its sender's
//! side (over the loopback) or the interface's interrupt, not us.

use socket2::{SockFilter, SockRef};
use std::io;

/// Load the word at an offset; the data begins with the UDP header.
const LOAD: u16 = 0x20;
/// Jump if equal, if greater or equal.
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
/// Let so many octets pass; none drops it.
const RETURN: u16 = 0x06;
/// Where the payload begins.
const PAYLOAD: u32 = 8;
/// What loads a random number (`SKF_AD_OFF + SKF_AD_RANDOM`).
const RANDOM: u32 = 0xffff_f000 + 56;
/// How methods begin that mostly begin something new. Four octets do not tell a re-INVITE from an INVITE: it is lost as
/// any datagram may be, and its sender repeats it.
const NEW: [&[u8; 4]; 6] = [b"INVI", b"REGI", b"OPTI", b"MESS", b"SUBS", b"PUBL"];

/// Lets `share` of `all` datagrams with new work pass; all of them takes the filter off.
pub(super) fn narrow(socket: &mio::net::UdpSocket, share: u32, all: u32) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if share >= all {
        return socket.detach_filter();
    }
    socket.attach_filter(&program(share, all))
}

fn program(share: u32, all: u32) -> Vec<SockFilter> {
    // Behind the jumps: let it pass; draw; drop or let it pass.
    let jumps = NEW.len() as u8;
    let bound = (u64::from(u32::MAX) * u64::from(share) / u64::from(all.max(1))) as u32;
    let mut program = vec![SockFilter::new(LOAD, 0, 0, PAYLOAD)];
    program.extend((0..jumps).zip(NEW).map(|(at, start)| {
        // Over the jumps that follow and over what lets the rest pass.
        SockFilter::new(IF_EQUAL, jumps - at, 0, u32::from_be_bytes(*start))
    }));
    program.extend([
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(LOAD, 0, 0, RANDOM),
        SockFilter::new(IF_AT_LEAST, 1, 0, bound),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// How many of so many datagrams with this text come through.
    fn through(to: &mio::net::UdpSocket, text: &str, sent: usize) -> usize {
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut buffer = [0; 2048];
        // Over the loopback a datagram is in the buffer, or dropped, when `send_to` returns.
        (0..sent)
            .filter(|_| {
                from.send_to(text.as_bytes(), to.local_addr().unwrap()).unwrap();
                to.recv_from(&mut buffer).is_ok_and(|(size, _)| size == text.len())
            })
            .count()
    }

    #[test]
    fn only_new_work_is_filtered() {
        let socket = mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let new = ["INVITE sip:a@b SIP/2.0", "REGISTER sip:b SIP/2.0", "OPTIONS sip:b", "MESSAGE sip:b", "SUBSCRIBE x"];
        let old =
            ["SIP/2.0 200 OK", "ACK sip:a@b", "BYE sip:a@b", "CANCEL sip:a", "INFO sip:a", "UPDATE a", "\r\n\r\n"];
        narrow(&socket, 0, 1024).unwrap();
        assert!(new.iter().all(|text| through(&socket, text, 3) == 0));
        assert!(old.iter().all(|text| through(&socket, text, 3) == 3));
        narrow(&socket, 256, 1024).unwrap();
        let quarter = through(&socket, new[0], 2000);
        assert!((350..650).contains(&quarter), "{quarter} of 2000");
        assert!(old.iter().all(|text| through(&socket, text, 3) == 3));
        narrow(&socket, 1024, 1024).unwrap();
        assert!(new.iter().all(|text| through(&socket, text, 3) == 3));
    }
}
