//! Trunks behind the proxy as a program: gateways that refuse, die and come back.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rutil::{Clock, RealClock};
use stack::header::{Method, h};
use stack::message::Message;
use tests::peers::{self, Repro, Sipp, loopback};

use crate::dead_target::{closed_port, through};
use crate::repro::{File, LIMIT, address, start};

/// What ends a gateway.
const STOP: &[u8] = b"stop";

/// What a gateway has seen.
#[derive(Debug, Default)]
struct Seen {
    /// INVITEs, without repetitions.
    calls: usize,
    /// Calls that it took and that were not ended.
    open: usize,
}

/// A gateway on a thread of its own: it answers INVITE with `code`, everything else with 200.
struct Gateway {
    address: SocketAddr,
    thread: JoinHandle<Seen>,
}

impl Gateway {
    /// Begins at an address where nobody else listens.
    fn at(address: SocketAddr, code: u16, most: usize) -> Self {
        let socket = UdpSocket::bind(address).expect("nobody is there");
        let address = socket.local_addr().expect("it is bound");
        let named = thread::Builder::new().name("gateway".to_owned());
        Gateway { address, thread: named.spawn(move || serve(&socket, code, most)).expect("a thread") }
    }

    fn new(code: u16) -> Self {
        Self::at((loopback(), 0).into(), code, usize::MAX)
    }

    /// Ends it, if it still lives, and says what it has seen.
    fn stop(self) -> Seen {
        let socket = UdpSocket::bind((IpAddr::from([127, 0, 0, 1]), 0)).expect("a free port");
        socket.send_to(STOP, self.address).expect("loopback");
        self.thread.join().expect("it ends in good order")
    }
}

/// Serves until it is told to stop, or so many calls have ended: then it dies with what it has not read yet.
fn serve(socket: &UdpSocket, code: u16, most: usize) -> Seen {
    let (mut buffer, mut seen, mut ended) = ([0; 65_536], Seen::default(), 0);
    let (mut calls, contact) = (Vec::new(), format!("<sip:{}>", socket.local_addr().expect("it is bound")));
    while ended < most {
        let (size, from) = socket.recv_from(&mut buffer).expect("a datagram");
        if &buffer[..size] == STOP {
            break;
        }
        let request = Message::parse(&buffer[..size]).expect("a request");
        let code = match request.method() {
            Some(Method::Ack) => continue,
            Some(Method::Invite) => {
                let call = request.header(h::CALL_ID).expect("it has one").to_string();
                if !calls.contains(&call) {
                    calls.push(call);
                }
                code
            }
            Some(Method::Bye) => {
                ended += 1;
                200
            }
            _ => 200,
        };
        let mut response = request.make_response(code, None, Some("gateway"));
        response.append_line("Contact", &contact);
        response.set_number(h::CONTENT_LENGTH, 0);
        socket.send_to(&response.to_bytes(), from).expect("loopback");
    }
    seen.calls = calls.len();
    seen.open = calls.len().saturating_sub(ended);
    seen
}

/// A proxy with two trunks for all numbers, the first before the second.
fn proxy(one: SocketAddr, two: SocketAddr, more: &str) -> Repro {
    let text = format!(
        "[dial]\nemergency = [\"112\"]\n\
         [[dial_rule]]\nprefix = \"\"\nmin_length = 3\n\
         [[trunk]]\nname = \"one\"\ncontacts = [\"sip:{one}\"]\n{more}\n\
         [[trunk]]\nname = \"two\"\ncontacts = [\"sip:{two}\"]\npriority = 1\n{more}\n"
    );
    let file = File::new(&format!("trunks-{}", one.port()), &text);
    start(&["--config", file.name()])
}

/// Calls a number of the proxy's own domain; the final status.
fn call(repro: &Repro, number: &str) -> u16 {
    through(repro, "INVITE", &format!("sip:{number}@{}", address(repro, "udp")))
}

#[test]
fn a_trunk_with_no_room_is_followed_by_the_next_and_one_that_refuses_is_not() {
    let (full, busy) = (Gateway::new(503), Gateway::new(486));
    let repro = proxy(full.address, busy.address, "");
    assert_eq!(call(&repro, "12345"), 486);
    assert_eq!(call(&repro, "12345"), 486);
    // The second call passed over the trunk that had no room.
    assert_eq!((full.stop().calls, busy.stop().calls), (1, 2));
    let (busy, other) = (Gateway::new(486), Gateway::new(200));
    let repro = proxy(busy.address, other.address, "");
    assert_eq!(call(&repro, "12345"), 486);
    assert_eq!((call(&repro, "12"), call(&repro, "alice")), (484, 404));
    assert_eq!((busy.stop().calls, other.stop().calls), (1, 0));
}

/// A gateway dies while calls come in: none is lost but those that it had taken, and had not ended.
#[test]
fn a_trunk_that_is_killed_in_mid_run_loses_no_call_that_was_not_its_own() {
    const CALLS: u32 = 90;
    if !peers::available("sipp") {
        return;
    }
    let (one, two) = (Gateway::at((loopback(), 0).into(), 200, 30), Gateway::new(200));
    let repro = proxy(one.address, two.address, "");
    let caller = Sipp {
        scenario: "uac_call.xml",
        local: (loopback(), 5060).into(),
        remote: Some(address(&repro, "udp")),
        calls: CALLS,
        rate: 60,
        transport: "u1",
        more: &["-s", "12345"],
    };
    let stats = caller.run(LIMIT).expect("the caller ends");
    let (one, two) = (one.stop(), two.stop());
    assert_eq!(stats.successful + stats.failed, u64::from(CALLS), "{stats:?} {one:?} {two:?}");
    assert!(stats.failed <= one.open as u64, "{stats:?} {one:?} {two:?}");
    assert!(two.calls + one.calls >= CALLS as usize && two.calls > 0, "{stats:?} {one:?} {two:?}");
}

#[test]
fn an_answer_to_options_brings_a_trunk_back() {
    let (gone, two) = (closed_port(loopback().into()), Gateway::new(486));
    let repro = proxy(gone, two.address, "oos_check = 1\noos_force = 1\nrecovery_timeout = 1");
    assert_eq!(call(&repro, "12345"), 486);
    let back = Gateway::at(gone, 480, usize::MAX);
    let clock = RealClock::new();
    let until = clock.now() + LIMIT;
    while call(&repro, "12345") != 480 {
        assert!(clock.now() < until, "it does not come back");
        thread::park_timeout(Duration::from_millis(50));
    }
    back.stop();
    two.stop();
}

#[test]
fn an_emergency_call_is_tried_although_all_trunks_are_out_of_service() {
    let dead = [(); 2].map(|()| closed_port(loopback().into()));
    let repro = proxy(dead[0], dead[1], "recovery_timeout = 3600");
    assert_eq!(call(&repro, "12345"), 500);
    let back = Gateway::at(dead[1], 486, usize::MAX);
    assert_eq!((call(&repro, "12345"), call(&repro, "112")), (500, 486));
    assert_eq!(back.stop().calls, 1);
}

/// A gateway that is there and says nothing: the call is the next one's after a second, and later ones at once.
#[test]
fn a_silent_trunk_holds_nobody() {
    let (silent, two) = (UdpSocket::bind("127.0.0.1:0").expect("a free port"), Gateway::new(486));
    let repro = proxy(silent.local_addr().expect("it is bound"), two.address, "silence_timeout = 1");
    let clock = RealClock::new();
    let began = clock.now();
    assert_eq!(call(&repro, "12345"), 486);
    // Timer B would be 32 s: what is bounded here is a tenth of that on a slow machine too.
    assert!(clock.now().since(began) < Duration::from_secs(20), "it waited for Timer B");
    assert_eq!(call(&repro, "12345"), 486);
    assert_eq!(two.stop().calls, 2);
    // The first call alone was sent there: an INVITE, and what Timer A repeats of it.
    silent.set_nonblocking(true).expect("a socket");
    let (mut buffer, mut branches) = ([0; 65_536], Vec::new());
    while let Ok((size, _)) = silent.recv_from(&mut buffer) {
        let invite = Message::parse(&buffer[..size]).expect("a request");
        branches.push(invite.first(h::VIAS).expect("a Via").branch().expect("a branch").to_owned());
    }
    branches.dedup();
    assert_eq!(branches.len(), 1);
}

#[test]
fn an_emergency_service_is_called_by_its_name() {
    let (one, two) = (Gateway::new(503), Gateway::new(486));
    let repro = proxy(one.address, two.address, "");
    let own = address(&repro, "udp");
    assert_eq!(through(&repro, "INVITE", "urn:service:sos.ambulance"), 486);
    assert_eq!(through(&repro, "INVITE", &format!("sip:112@{own}")), 486);
    assert_eq!(through(&repro, "INVITE", "urn:service:counseling"), 416);
    assert_eq!((one.stop().calls, two.stop().calls), (2, 2));
}
