//! The driver on the wire, tried on small elements that are right or wrong in known ways.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tests::corpus::{self, Case};
use tests::raw;
use tests::verdict::{Reaction, Role, Stream};
use tests::wire::{
    Outcome, can_be_forwarded, can_be_forwarded_over_tcp, check_forwarded_over_tcp, check_forwarded_over_udp,
    check_over_tcp, check_over_udp,
};

fn case(name: &str) -> Case {
    corpus::own().into_iter().find(|c| c.name == name).expect("it is in the corpus")
}

fn assert_right(checked: Result<Outcome, String>) {
    assert!(matches!(checked, Ok(Outcome::Right(_))), "{checked:?}");
}

fn is_probe(message: &[u8]) -> bool {
    raw::first(message, "call-id").is_some_and(|id| id.starts_with(b"probe-"))
}

/// Ends the thread of [`with_udp`], also if the test fails.
struct Stop<'a>(&'a UdpSocket, SocketAddr);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        let _ = self.0.send_to(b"", self.1);
    }
}

/// Runs `test` against an element that does with each datagram what `react` says.
fn with_udp(react: impl Fn(&UdpSocket, &[u8], SocketAddr) + Sync, test: impl FnOnce(SocketAddr)) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    let other = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    thread::scope(|scope| {
        let _stop = Stop(&other, address);
        scope.spawn(|| {
            let mut buffer = vec![0; 65_536];
            while let Ok((length @ 1.., from)) = socket.recv_from(&mut buffer) {
                react(&socket, &buffer[..length], from);
            }
        });
        test(address);
    });
}

/// An element that answers probes, and everything else with `statuses`.
fn answering(statuses: &'static [u16]) -> impl Fn(&UdpSocket, &[u8], SocketAddr) {
    move |socket, message, from| {
        for status in if is_probe(message) { &[200][..] } else { statuses } {
            socket.send_to(&raw::response(message, *status), from).expect("loopback");
        }
    }
}

#[test]
fn over_udp_the_right_reaction_passes() {
    with_udp(answering(&[400]), |server| {
        for name in ["badinv01", "ncl", "quotbal", "mcl01", "ltgtruri"] {
            assert_right(check_over_udp(server, &case(name), Role::Proxy));
        }
    });
    with_udp(answering(&[100, 404]), |server| {
        for name in ["wsinv", "intmeth", "ipv4-mapped-ipv6", "mult-ip-in-header", "bext01"] {
            let expected = name != "bext01";
            assert_eq!(check_over_udp(server, &case(name), Role::Proxy).is_ok(), expected, "{name}");
        }
    });
    with_udp(answering(&[]), |server| {
        for name in ["bigcode", "scalarlg", "bcast", "wsinv"] {
            assert_right(check_over_udp(server, &case(name), Role::Proxy));
        }
    });
}

#[test]
fn over_udp_a_wrong_reaction_is_told() {
    with_udp(answering(&[400]), |server| {
        for name in ["wsinv", "badvers", "bigcode", "unkscm"] {
            let error = check_over_udp(server, &case(name), Role::Proxy).expect_err(name);
            assert!(error.contains(name) && error.contains("400"), "{error}");
        }
    });
    with_udp(answering(&[]), |server| {
        check_over_udp(server, &case("badinv01"), Role::Proxy).expect_err("silence is no 400");
    });
}

#[test]
fn an_element_that_dies_of_a_message_is_told() {
    let dead = AtomicBool::new(false);
    let react = |socket: &UdpSocket, message: &[u8], from: SocketAddr| {
        dead.fetch_or(!is_probe(message), Ordering::Relaxed);
        if !dead.load(Ordering::Relaxed) {
            socket.send_to(&raw::response(message, 200), from).expect("loopback");
        }
    };
    with_udp(react, |server| {
        let error = check_over_udp(server, &case("wsinv"), Role::Proxy).expect_err("it answers no more");
        assert!(error.contains("no answer to the probe"), "{error}");
    });
}

/// A proxy of few words: it sends requests where the Request-URI says and responses where the second Via came from.
fn proxying(damage: fn(String) -> String) -> impl Fn(&UdpSocket, &[u8], SocketAddr) {
    let client = Mutex::new(None);
    move |socket, message, from| {
        let text = String::from_utf8(message.to_vec()).expect("these messages are UTF-8");
        let mut client = client.lock().expect("nobody panicked");
        if text.starts_with("SIP/2.0 ") {
            let own = text.lines().find(|l| l.starts_with("Via: ")).expect("it has a Via");
            let back = text.replacen(&format!("{own}\r\n"), "", 1);
            socket.send_to(back.as_bytes(), client.expect("a request came before")).expect("loopback");
            return;
        }
        *client = Some(from);
        let uri = text.split(' ').nth(1).expect("a request line");
        let host = uri.rsplit('@').next().expect("a host").trim_start_matches("sip:");
        let next_hop: SocketAddr = host.parse().expect("an address and port");
        let own = socket.local_addr().expect("it is bound");
        let on = text.replacen("Via:", &format!("Via: SIP/2.0/UDP {own};branch=z9hG4bKp\r\nVia:"), 1);
        let on = damage(on.replace("Max-Forwards: 44", "Max-Forwards: 43"));
        socket.send_to(on.as_bytes(), next_hop).expect("loopback");
    }
}

#[test]
fn forwarding_is_seen_at_the_next_hop() {
    with_udp(proxying(|message| message), |server| {
        assert_right(check_forwarded_over_udp(server, &case("esc01")));
    });
}

#[test]
fn forwarding_that_changes_or_loses_something_is_told() {
    with_udp(proxying(|message| message.replace("%6Dir%61", "mira")), |server| {
        let error = check_forwarded_over_udp(server, &case("esc01")).expect_err("an escape was undone");
        assert!(error.contains("%6Dir%61"), "{error}");
    });
    with_udp(answering(&[400]), |server| {
        let error = check_forwarded_over_udp(server, &case("esc01")).expect_err("it was refused");
        assert!(error.contains("1 did not arrive") && error.contains("400"), "{error}");
    });
}

/// What the sender of a message hears says little of a proxy; but the final answer must come back.
#[test]
fn forwarding_without_the_answer_is_told() {
    let one_way = proxying(|message| message);
    let react = move |socket: &UdpSocket, message: &[u8], from| {
        if !message.starts_with(b"SIP/2.0 ") {
            one_way(socket, message, from);
        }
    };
    with_udp(react, |server| {
        let error = check_forwarded_over_udp(server, &case("esc01")).expect_err("the answer is lost");
        assert!(error.contains("answer did not come back"), "{error}");
    });
}

/// Where the RFC leaves it open, a refusal is right as well; where it does not, it is wrong.
#[test]
fn what_may_be_refused_need_not_arrive() {
    with_udp(answering(&[400]), |server| assert_right(check_forwarded_over_udp(server, &case("baddate"))));
    with_udp(answering(&[480]), |server| {
        let error = check_forwarded_over_udp(server, &case("esc01")).expect_err("it did not arrive");
        assert!(error.contains("not by the next hop"), "{error}");
    });
}

/// Runs `test` against an element that serves each connection with `serve`.
fn with_tcp(serve: fn(TcpStream), test: impl FnOnce(SocketAddr)) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    // The threads of connections end with their connections, that of the listener with the process.
    let accept = move || {
        for stream in listener.incoming().flatten() {
            thread::Builder::new().spawn(move || serve(stream)).expect("a thread");
        }
    };
    thread::Builder::new().spawn(accept).expect("a thread");
    test(address);
}

/// Frames as RFC 3261 §18.3 says, answers zero hops with 483 and all else with 404.
fn serve_well(mut stream: TcpStream) {
    let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..length]);
        let mut lengths = raw::fields(&buffer).into_iter().filter(|f| f.name == "content-length").map(|f| f.value);
        let framed = lengths.next().is_none_or(|v| v.iter().all(u8::is_ascii_digit)) && lengths.next().is_none();
        if !framed {
            let _ = stream.write_all(&raw::response(&buffer, 400));
            return;
        }
        while let Some(message) = raw::take_message(&mut buffer) {
            let spent = raw::first(&message, "max-forwards").is_some_and(|v| v == b"0");
            let _ = stream.write_all(&raw::response(&message, if spent { 483 } else { 404 }));
        }
    }
}

/// Takes every header section for a whole message, whatever Content-Length says.
fn serve_without_framing(mut stream: TcpStream) {
    let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..length]);
        let start = raw::body_start(&buffer);
        let message: Vec<u8> = buffer.drain(..start).collect();
        let _ = stream.write_all(&raw::response(&message, 200));
    }
}

#[test]
fn over_tcp_the_right_reaction_passes() {
    with_tcp(serve_well, |server| {
        for name in ["zeromf", "wsinv", "longreq", "clerr", "ncl", "mcl01", "dblreq", "inv2543"] {
            assert_right(check_over_tcp(server, &case(name), Role::Proxy));
        }
    });
}

#[test]
fn over_tcp_a_wrong_reaction_is_told() {
    with_tcp(serve_well, |server| {
        check_over_tcp(server, &case("badvers"), Role::Proxy).expect_err("404 is no 505");
    });
    with_tcp(serve_without_framing, |server| {
        for name in ["clerr", "ncl"] {
            check_over_tcp(server, &case(name), Role::Proxy).expect_err(name);
        }
    });
}

/// Answers probes, and drops everything else.
fn serve_probes(mut stream: TcpStream) {
    let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..length]);
        while let Some(message) = raw::take_message(&mut buffer) {
            if is_probe(&message) {
                let _ = stream.write_all(&raw::response(&message, 200));
            }
        }
    }
}

/// What a proxy that drops everything gets away with: only what is to be dropped, and over a stream what has no end.
#[test]
fn a_proxy_that_drops_everything_is_told() {
    let by_datagram = |server, case: &Case| {
        check_over_udp(server, case, Role::Proxy)?;
        if can_be_forwarded(case) { check_forwarded_over_udp(server, case).map(drop) } else { Ok(()) }
    };
    let by_stream = |server, case: &Case| {
        check_over_tcp(server, case, Role::Proxy)?;
        if can_be_forwarded_over_tcp(case) { check_forwarded_over_tcp(server, case).map(drop) } else { Ok(()) }
    };
    // All at the same time: each waits in vain for seconds.
    thread::scope(|scope| {
        for case in corpus::own() {
            let to_be_dropped = case.verdict.proxy == [Reaction::Discard];
            let endless = matches!(case.verdict.stream, Stream::Wait | Stream::Any);
            scope.spawn(move || {
                with_udp(answering(&[]), |server| {
                    let passed: Result<(), String> = by_datagram(server, &case);
                    assert_eq!(passed.is_ok(), to_be_dropped, "{}", case.name);
                });
                with_tcp(serve_probes, |server| {
                    let passed: Result<(), String> = by_stream(server, &case);
                    assert_eq!(passed.is_ok(), to_be_dropped || endless, "{}", case.name);
                });
            });
        }
    });
}
