//! What it costs to say no: a 503 before there is a transaction.

use crate::site::Site;
use crate::subject::Subject;
use crate::{Args, median};
use stack::transport::TransportType;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const UDP: TransportType = TransportType::Udp;

/// CPU of the proxy for each 503, at a rate and as fast as they can be sent. All INVITEs but one a second are above what
/// their source may send: that is asked at the same place as the zones of the congestion manager, before the message is
/// parsed, and refuses as steadily as one likes.
pub(crate) fn cost(args: &Args) {
    for rate in args.rate.map_or(vec![5_000, 20_000, 50_000], |rate| vec![rate]) {
        let mut figures = Vec::new();
        let mut answered = Vec::new();
        for _ in 0..args.rounds {
            let (each, share) = refused(args, rate);
            figures.push(each);
            answered.push(share);
        }
        let (low, high) = figures.iter().fold((f64::MAX, 0.0_f64), |(low, high), f| (low.min(*f), high.max(*f)));
        println!(
            "a 503 for an INVITE over UDP at {rate}/s, {} rounds | {:.3} ({low:.3} to {high:.3}) µs | answered {:.3} | must 4",
            args.rounds,
            median(&figures),
            median(&answered)
        );
    }
}

/// µs for each 503, and which share of the requests got one.
fn refused(args: &Args, rate: u32) -> (f64, f64) {
    let site = Site::new();
    let proxy =
        Subject::start(args, &site, &[UDP], "[overload]\nmax_wait_ms = 0\n[limits]\nsource_rate = 1\n", "inline");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_nonblocking(true).expect("non-blocking");
    flood(&socket, proxy.address(UDP), rate, Duration::from_millis(500));
    let cpu = proxy.cpu();
    let (sent, refused) = flood(&socket, proxy.address(UDP), rate, Duration::from_secs(args.seconds));
    ((proxy.cpu() - cpu).as_secs_f64() * 1e6 / f64::from(refused), f64::from(refused) / f64::from(sent))
}

/// Sends INVITEs at a rate; how many were sent, and how many were answered 503.
fn flood(socket: &UdpSocket, proxy: SocketAddr, rate: u32, length: Duration) -> (u32, u32) {
    let own = socket.local_addr().expect("it is bound");
    let began = Instant::now();
    let (mut sent, mut refused, mut buffer) = (0, 0, [0; 2048]);
    loop {
        let elapsed = began.elapsed();
        let due = (elapsed.min(length).as_secs_f64() * f64::from(rate)) as u32;
        for _ in 0..(due - sent).min(32) {
            let invite = invite(proxy, own, sent);
            sent += u32::from(socket.send_to(invite.as_bytes(), proxy).is_ok());
        }
        let before = refused;
        while let Ok(size) = socket.recv(&mut buffer) {
            refused += u32::from(buffer[..size].starts_with(b"SIP/2.0 503"));
        }
        if elapsed > length + Duration::from_millis(100) {
            return (sent, refused);
        }
        if before == refused && sent == due {
            std::thread::park_timeout(Duration::from_micros(50));
        }
    }
}

fn invite(proxy: SocketAddr, own: SocketAddr, number: u32) -> String {
    let sdp = "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
    format!(
        "INVITE sip:callee@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number:08x};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:caller@{own}>;tag={number:08x}\r\nTo: <sip:callee@{proxy}>\r\n\
         Call-ID: {number:08x}@{own}\r\nCSeq: 1 INVITE\r\nContact: <sip:caller@{own}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}
