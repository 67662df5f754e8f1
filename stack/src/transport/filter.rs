//! A filter that the kernel runs on what comes to a UDP socket, before it takes room in the receive buffer: a chosen
//! share of what may begin new work passes, what surely does not passes always. A datagram that does not pass costs its
//! sender's side (over the loopback) or the interface's interrupt, not us.

use crate::overload::{ALL, Gate};
use socket2::{SockFilter, SockRef};
use std::io;

/// Instructions of the classic packet filter: load a word at an offset (what is too short is dropped), the length, a
/// number into X; arithmetic; jumps.
const LOAD: u16 = 0x20;
const LENGTH: u16 = 0x80;
const SET_X: u16 = 0x01;
const XOR_X: u16 = 0xac;
const MULTIPLY: u16 = 0x24;
const TO_X: u16 = 0x07;
const FROM_X: u16 = 0x87;
const SHIFT_RIGHT: u16 = 0x74;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
/// Let so many octets pass; none drops the datagram.
const RETURN: u16 = 0x06;
/// Where the payload begins: the data begins with the UDP header.
const PAYLOAD: u32 = 8;
/// How begins what mostly belongs to work in progress. Four octets do not tell a re-INVITE from an INVITE: it is lost as
/// any datagram may be. All else is taken for new work, also what has line ends before it, or an unknown method: else
/// whoever floods us would choose that.
const EXEMPT: [&[u8; 4]; 9] = [b"SIP/", b"ACK ", b"BYE ", b"CANC", b"PRAC", b"INFO", b"UPDA", b"NOTI", b"REFE"];
/// Behind the first four octets: the magic cookie of STUN (RFC 5389), whose Binding requests keep flows alive.
const STUN: u32 = 0x2112_a442;
/// The octets of the payload that decide, in groups; of a short one those groups that it has. The topmost Via is among
/// them, with a branch that no two requests share.
const FROM: u32 = 16;
const TO: u32 = 240;
const GROUP: u32 = 32;
/// Instructions for a word, and for a group with what looks whether the payload has it.
const WORD_CODE: u32 = 8;
const GROUP_CODE: u32 = 3 + GROUP / 4 * WORD_CODE;
/// An odd number with bits all over (2^32 divided by the golden ratio).
const SPREAD: u32 = 0x9e37_79b1;

/// Whether the filter, where there is one, decides by lot about this payload.
pub(crate) fn decides(payload: &[u8]) -> bool {
    let exempt = EXEMPT.iter().any(|start| payload.starts_with(*start));
    !exempt && payload.get(4..8) != Some(&STUN.to_be_bytes())
}

/// Lets a share of the requests with new work pass; all of them takes the filter off. A request that comes again has
/// the fate of the first time, as long as the key is the same: one that was dropped must not be served half a second
/// later, when others are refused.
pub(super) fn narrow(socket: &mio::net::UdpSocket, gate: Gate) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if gate.share >= ALL {
        return socket.detach_filter();
    }
    socket.attach_filter(&program(gate))
}

fn program(gate: Gate) -> Vec<SockFilter> {
    let op = |code, k| SockFilter::new(code, 0, 0, k);
    let bound = (u64::from(u32::MAX) * u64::from(gate.share) / u64::from(ALL)) as u32;
    let mut program = vec![op(LOAD, PAYLOAD)];
    let jumps = EXEMPT.len() as u8;
    program.extend((0..jumps).zip(EXEMPT).map(|(at, start)| {
        // Over the jumps that follow and the look for STUN, to what lets pass.
        SockFilter::new(IF_EQUAL, jumps + 1 - at, 0, u32::from_be_bytes(*start))
    }));
    program.extend([op(LOAD, PAYLOAD + 4), SockFilter::new(IF_EQUAL, 0, 1, STUN), op(RETURN, u32::MAX)]);
    // Start and factor are secret. Each word is multiplied twice: what cancels a difference in an earlier word depends on
    // the factor then, so nobody can make many payloads of one that passes.
    let (start, factor) = (gate.key as u32, SPREAD ^ (((gate.key >> 32) as u32) << 1));
    program.push(op(SET_X, start));
    let groups = (TO - FROM) / GROUP;
    for group in 0..groups {
        let from = PAYLOAD + FROM + group * GROUP;
        program.extend([op(LENGTH, 0), SockFilter::new(IF_AT_LEAST, 1, 0, from + GROUP)]);
        program.push(op(JUMP, (groups - group) * GROUP_CODE - 3));
        for at in (from..from + GROUP).step_by(4) {
            program.extend([op(LOAD, at), op(XOR_X, 0), op(MULTIPLY, factor), op(TO_X, 0)]);
            program.extend([op(SHIFT_RIGHT, 15), op(XOR_X, 0), op(MULTIPLY, factor), op(TO_X, 0)]);
        }
    }
    program.extend([op(FROM_X, 0), op(SHIFT_RIGHT, 15), op(XOR_X, 0), op(MULTIPLY, factor)]);
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

    fn socket() -> mio::net::UdpSocket {
        mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    fn gate(share: u32) -> Gate {
        Gate { share, key: 0x1f_1234_5678_9abc }
    }

    fn count(through: &[bool]) -> usize {
        through.iter().filter(|through| **through).count()
    }

    #[test]
    fn only_new_work_is_filtered_and_a_repetition_has_the_same_fate() {
        let socket = socket();
        let new = ["INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "PUBLISH"].map(|m| requests(m, 3)).concat();
        let old = ["SIP/2.0", "ACK", "BYE", "CANCEL", "INFO", "UPDATE", "PRACK", "NOTIFY", "REFER"];
        let old = old.map(|m| requests(m, 3)).concat();
        assert!(new.iter().all(|text| decides(text.as_bytes())));
        narrow(&socket, gate(0)).unwrap();
        assert_eq!(count(&through(&socket, &new)), 0);
        narrow(&socket, gate(256)).unwrap();
        let many = requests("INVITE", 2000);
        let quarter = through(&socket, &many);
        assert!((400..600).contains(&count(&quarter)), "{} of 2000", count(&quarter));
        assert_eq!(through(&socket, &many), quarter);
        // Who had passed a narrow filter passes a wider one.
        narrow(&socket, gate(512)).unwrap();
        let half = through(&socket, &many);
        assert!(quarter.iter().zip(&half).all(|(quarter, half)| !quarter || *half));
        narrow(&socket, gate(0)).unwrap();
        assert!(through(&socket, &old).iter().all(|through| *through));
        let stun = *b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl";
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&stun, socket.local_addr().unwrap()).unwrap();
        assert!(socket.recv_from(&mut [0; 20]).is_ok() && !decides(&stun));
        assert!(!old.iter().any(|text| decides(text.as_bytes())));
        narrow(&socket, Gate::OPEN).unwrap();
        assert!(through(&socket, &new).iter().all(|through| *through));
    }

    #[test]
    fn what_does_not_look_like_a_usual_request_is_no_way_round_it() {
        let socket = socket();
        let unknown = requests("SOMETHING", 400);
        let behind_line_ends: Vec<_> =
            requests("INVITE", 400).into_iter().map(|text| "\r\n".to_owned() + &text).collect();
        let short: Vec<_> = (0..400)
            .map(|n| {
                format!("INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK{n:05}\r\nf: <sip:a>;tag=1\r\n\r\n")
            })
            .collect();
        assert!(short.iter().all(|text| text.len() < 120));
        for texts in [unknown, behind_line_ends, short] {
            assert!(texts.iter().all(|text| decides(text.as_bytes())));
            narrow(&socket, gate(256)).unwrap();
            let passed = count(&through(&socket, &texts));
            assert!((60..140).contains(&passed), "{passed} of 400: {}", texts[0]);
            narrow(&socket, gate(0)).unwrap();
            assert_eq!(count(&through(&socket, &texts)), 0);
        }
        let tiny = ["INVITE", "\r\n\r\n", "", "\0"].map(str::to_owned);
        assert_eq!(count(&through(&socket, &tiny)), 0);
    }

    #[test]
    fn what_passes_with_one_key_does_not_with_another() {
        let socket = socket();
        let many = requests("INVITE", 2000);
        let passed = |key| {
            narrow(&socket, Gate { share: 256, key }).unwrap();
            through(&socket, &many)
        };
        let first = passed(1);
        // Both halves of the key count.
        for key in [2, 1 << 32 | 1, 1 << 52 | 1] {
            let second = passed(key);
            let both = first.iter().zip(&second).filter(|(first, second)| **first && **second).count();
            assert!((60..200).contains(&both), "{both} of 2000 with {key:x}");
        }
    }

    #[test]
    fn one_that_passes_does_not_make_others() {
        let socket = socket();
        narrow(&socket, gate(256)).unwrap();
        let many = requests("INVITE", 400);
        let passed: Vec<_> = many.iter().zip(through(&socket, &many)).filter(|(_, passed)| *passed).collect();
        // The highest bits of two words, which a single multiplication does not touch.
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let same = passed.iter().filter(|(text, _)| {
            let mut bytes = text.as_bytes().to_vec();
            (bytes[100], bytes[104]) = (bytes[100] ^ 0x80, bytes[104] ^ 0x80);
            from.send_to(&bytes, socket.local_addr().unwrap()).unwrap();
            socket.recv_from(&mut [0; 2048]).is_ok()
        });
        let same = same.count();
        assert!(same * 2 < passed.len(), "{same} of {}", passed.len());
    }
}
