//! What a connection keeps resident: when it has said nothing, right after a request, and when that is long over.

use crate::Args;
use crate::site::Site;
use crate::subject::Subject;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use stack::transport::TransportType;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Connections that are measured: so many that what a table or the allocator takes at once is little for each.
const COUNT: usize = 5000;
/// When a transaction is surely over (64·T1 and a look at the timers).
const OVER: Duration = Duration::from_secs(34);

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// Octets for each connection, one proxy a round.
pub(crate) fn of_connections(args: &Args) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("Linux says");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit is allowed");
    for (kind, must) in [(TransportType::Tcp, 4096), (TransportType::Tls, 24 * 1024)] {
        let rounds: Vec<[u64; 3]> = (0..args.rounds).map(|_| measure(args, kind)).collect();
        let middle = |at: usize| {
            let mut all: Vec<u64> = rounds.iter().map(|round| round[at]).collect();
            all.sort_unstable();
            all[all.len() / 2]
        };
        println!(
            "an idle {} connection, {COUNT} of them, {} rounds | silent {} octets | right after a request {} | \
             {} s later {} | must {must}",
            kind.as_param(),
            rounds.len(),
            middle(0),
            middle(1),
            OVER.as_secs(),
            middle(2),
        );
    }
}

fn measure(args: &Args, kind: TransportType) -> [u64; 3] {
    let site = Site::new();
    let proxy = Subject::start(&args.repro, &site, &[kind], "[limits]\nconnections_per_source = 10000\n", "inline");
    let address = proxy.address(kind);
    let client = site.tls().client();
    let connect = || -> Box<dyn Both> {
        let socket = TcpStream::connect(address).expect("it listens");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
        if kind == TransportType::Tcp {
            return Box::new(socket);
        }
        let session = ClientConnection::new(client.clone(), ServerName::from(address.ip())).expect("a client");
        let mut stream = StreamOwned::new(session, socket);
        stream.flush().expect("a handshake");
        Box::new(stream)
    };
    // What the first ones make grow is there for all.
    let mut first: Vec<_> = (0..100).map(|_| connect()).collect();
    first.iter_mut().enumerate().for_each(|(n, stream)| ask(stream, (address, kind), &format!("first{n}")));
    let before = proxy.resident();
    let mut all: Vec<_> = (0..COUNT).map(|_| connect()).collect();
    // The last is accepted after all others.
    ask(&mut first[0], (address, kind), "between");
    let each = || proxy.resident().saturating_sub(before) / COUNT as u64;
    let silent = each();
    all.iter_mut().enumerate().for_each(|(n, stream)| ask(stream, (address, kind), &format!("request{n}")));
    let after = each();
    std::thread::sleep(OVER);
    [silent, after, each()]
}

/// Asks what the proxy can do, and reads the answer.
fn ask(stream: &mut impl Both, (proxy, kind): (SocketAddr, TransportType), call: &str) {
    let protocol = kind.as_param().to_ascii_uppercase();
    let request = format!(
        "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/{protocol} 127.0.0.1;branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: {call}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).expect("an answer");
        answer.extend(octet);
    }
    assert!(answer.starts_with(b"SIP/2.0 200 "), "{}", String::from_utf8_lossy(&answer));
}
