//! What it costs to say no: a 503 before there is a transaction.

use crate::site::Site;
use crate::subject::Subject;
use crate::{Args, Cases, compare};
use benches::process::on_processor;
use stack::transport::TransportType;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const UDP: TransportType = TransportType::Udp;

/// As long as what the proxy answers.
const ANSWER: &[u8] = &{
    let mut answer = [b' '; 300];
    answer.split_at_mut(12).0.copy_from_slice(b"SIP/2.0 503 ");
    answer
};

/// CPU of the proxy for each 503, beside what the kernel takes to bring in and send out as many octets (a server that
/// looks at nothing). All INVITEs but one a second are above what their source may send: that is asked at the same place
/// as the zones of the congestion manager, before the message is parsed, and refuses as steadily as one likes.
pub(crate) fn cost(args: &Args) {
    for rate in args.rate.map_or(vec![5_000, 20_000], |rate| vec![rate]) {
        let what = format!("a 503 for an INVITE over UDP at {rate}/s (must: 4 µs)");
        let cases: Cases<'_> = [("the kernel alone", &|| of_kernel(args, rate)), ("repro", &|| of_proxy(args, rate))];
        compare(&what, "µs", None, args, cases);
    }
}

fn of_proxy(args: &Args, rate: u32) -> f64 {
    let site = Site::new();
    let more = "[overload]\nmax_wait_ms = 0\n[limits]\nsource_rate = 1\n";
    let proxy = Subject::start(&args.repro, &site, &[UDP], more, "inline");
    measure(args, rate, proxy.address(UDP), || proxy.cpu())
}

fn of_kernel(args: &Args, rate: u32) -> f64 {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    server.set_read_timeout(Some(Duration::from_millis(100))).expect("a limit");
    let address = server.local_addr().expect("it is bound");
    let (told, thread) = mpsc::channel();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            told.send(nix::unistd::gettid()).expect("somebody waits");
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                if let Ok((_, from)) = server.recv_from(&mut buffer) {
                    // What the sender does not take in is not counted.
                    let _ = server.send_to(ANSWER, from);
                }
            }
        });
        let schedstat = format!("/proc/self/task/{}/schedstat", thread.recv().expect("it runs"));
        let each = measure(args, rate, address, || on_processor(&schedstat));
        over.store(true, Ordering::Relaxed);
        each
    })
}

/// µs of the server's CPU for each request that was answered; NaN when not all were.
fn measure(args: &Args, rate: u32, server: SocketAddr, cpu: impl Fn() -> Duration) -> f64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_nonblocking(true).expect("non-blocking");
    flood(&socket, server, rate, Duration::from_millis(500));
    let before = cpu();
    let (sent, refused) = flood(&socket, server, rate, Duration::from_secs(args.seconds));
    if refused * 100 < sent * 95 {
        eprintln!("{rate}/s: {refused} of {sent} answered");
        return f64::NAN;
    }
    (cpu() - before).as_secs_f64() * 1e6 / f64::from(refused)
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
