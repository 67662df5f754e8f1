//! TLS handshakes: the proxy beside the plainest server that rustls can be.

use crate::site::Site;
use crate::subject::Subject;
use crate::{Args, Cases, compare};
use benches::process::{cpu as cpu_of, on_processor};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};
use stack::transport::TransportType;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// Handshakes that are measured in a round, and before.
const COUNT: u32 = 1000;
const WARMING: u32 = 100;

/// The processors of the accepting side and of the client.
const SERVER: usize = 0;
const CLIENT: usize = 1;

const TLS: TransportType = TransportType::Tls;

/// CPU of the accepting side for one handshake of a connection that stays, with accepting it, beside rustls alone. Server
/// and client have a processor each.
pub(crate) fn beside_rustls(args: &Args) {
    for (name, resumed) in [("a full handshake", false), ("a resumed handshake", true)] {
        let cases: Cases<'_> = [("rustls alone", &|| of_rustls(resumed)), ("repro", &|| of_proxy(args, resumed))];
        compare(name, "µs", Some(1.2), args, cases);
    }
}

fn of_proxy(args: &Args, resumed: bool) -> f64 {
    let site = Site::new();
    let start = || {
        // The process inherits it.
        keep_to(SERVER);
        Subject::start(&args.repro, &site, &[TLS], "[limits]\nconnections_per_source = 10000\n", "inline")
    };
    let proxy = std::thread::scope(|scope| scope.spawn(start).join().expect("it starts"));
    let process = proxy.process;
    measure(proxy.address(TLS), &site, resumed, || cpu_of(process))
}

fn of_rustls(resumed: bool) -> f64 {
    let site = Site::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (address, config) = (listener.local_addr().expect("it is bound"), site.tls().server());
    let ((told, thread), (over, until)) = (mpsc::channel(), mpsc::channel::<()>());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            keep_to(SERVER);
            told.send(nix::unistd::gettid()).expect("somebody waits");
            let all: Vec<_> = (0..WARMING + COUNT).map(|_| serve(&listener, &config).expect("a handshake")).collect();
            // All stay, until what they cost is read.
            let _ = until.recv();
            drop(all);
        });
        let schedstat = format!("/proc/self/task/{}/schedstat", thread.recv().expect("it runs"));
        let each = measure(address, &site, resumed, || on_processor(&schedstat));
        drop(over);
        each
    })
}

/// Shakes hands so often; µs of the server's CPU each.
fn measure(server: SocketAddr, site: &Site, resumed: bool, cpu: impl Fn() -> Duration + Sync) -> f64 {
    let config = client(site, resumed);
    let mut connections = Vec::new();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            keep_to(CLIENT);
            let mut before = Duration::ZERO;
            for at in 0..WARMING + COUNT {
                if at == WARMING {
                    before = cpu();
                }
                connections.push(shake_hands(server, &config, resumed && at > 0));
            }
            // The server may still be at the end of the last one.
            std::thread::sleep(Duration::from_millis(20));
            (cpu() - before).as_secs_f64() * 1e6 / f64::from(COUNT)
        });
        client.join().expect("all handshakes")
    })
}

/// Keeps this thread on one processor.
fn keep_to(processor: usize) {
    let mut one = CpuSet::new();
    one.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &one)).expect("two processors");
}

/// One connection: the handshake, and nothing more.
fn serve(listener: &TcpListener, config: &Arc<ServerConfig>) -> io::Result<(TcpStream, ServerConnection)> {
    let (mut socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    let mut session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
    session.complete_io(&mut socket)?;
    Ok((socket, session))
}

fn client(site: &Site, resumed: bool) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&site.tls().client());
    if !resumed {
        config.resumption = Resumption::disabled();
    }
    Arc::new(config)
}

/// A new connection to the server.
fn shake_hands(server: SocketAddr, config: &Arc<ClientConfig>, resumed: bool) -> TcpStream {
    let mut socket = TcpStream::connect(server).expect("it listens");
    socket.set_nodelay(true).expect("no delay");
    let mut session = ClientConnection::new(config.clone(), ServerName::from(server.ip())).expect("a client");
    while session.is_handshaking() {
        session.complete_io(&mut socket).expect("a handshake");
    }
    let kind = session.handshake_kind();
    assert!(!resumed || kind == Some(HandshakeKind::Resumed), "{kind:?}");
    // The tickets, one of which the next connection may need.
    session.read_tls(&mut socket).expect("tickets");
    session.process_new_packets().expect("tickets");
    socket
}
