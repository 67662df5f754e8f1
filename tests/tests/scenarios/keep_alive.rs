//! Keep-alives of devices behind a NAT (RFC 5626 §4.4), at a running proxy.

use std::net::{SocketAddr, UdpSocket};

use crate::repro::{LIMIT, address, start};

/// A STUN Binding request on the SIP socket is answered with the address that it came from.
#[test]
fn a_stun_request_learns_its_own_address() {
    let repro = start(&[]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], b"twelveoctets"].concat();
    socket.send_to(&request, address(&repro, "udp")).expect("loopback");
    let mut buffer = [0; 128];
    let size = socket.recv(&mut buffer).expect("an answer");
    assert_eq!(buffer[..4], [1, 1, 0, 12], "a Binding success of one attribute");
    assert_eq!(buffer[4..20], request[4..]);
    assert_eq!((size, &buffer[20..26]), (32, &[0, 0x20, 0, 8, 0, 1][..]));
    let port = u16::from_be_bytes([buffer[26] ^ 0x21, buffer[27] ^ 0x12]);
    let ip = [buffer[28] ^ 0x21, buffer[29] ^ 0x12, buffer[30] ^ 0xa4, buffer[31] ^ 0x42];
    assert_eq!(socket.local_addr().expect("it is bound"), SocketAddr::from((ip, port)));
}
