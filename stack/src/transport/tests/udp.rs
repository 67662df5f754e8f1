use super::*;
use std::net::UdpSocket;

fn peer(addr: &str) -> UdpSocket {
    let socket = UdpSocket::bind(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // The default of 200 kB holds fewer than 300 small datagrams.
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    socket
}

fn echo(addr: &str) {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.udp(3, addr, &UdpOptions::default());
    let peer = peer(addr);
    peer.send_to(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", local).unwrap();
    let (bytes, flow) = bench.bytes();
    assert_eq!(&bytes[..], b"OPTIONS sip:a@b SIP/2.0\r\n\r\n");
    assert_eq!(
        flow,
        Flow {
            transport: TransportId(3),
            kind: TransportType::Udp,
            connection: ConnectionId(0),
            peer: peer.local_addr().unwrap(),
            local: None,
        }
    );
    bench.push(&wire, send(bytes, flow.peer, 1));
    bench.until("an empty wire", |b| b.group.drained());
    let mut buffer = [0; 100];
    let (size, from) = peer.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..size], from), (&b"OPTIONS sip:a@b SIP/2.0\r\n\r\n"[..], local));
}

#[test]
fn echo_v4() {
    echo("127.0.0.1:0");
}

#[test]
fn echo_v6() {
    if !has_v6() {
        return;
    }
    echo("[::1]:0");
}

#[test]
fn the_kernel_says_when_a_datagram_came() {
    for (addr, timestamps) in [("127.0.0.1:0", true), ("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let mut bench = Bench::new(64);
        let (local, _wire) = bench.udp(0, addr, &UdpOptions { timestamps, ..UdpOptions::default() });
        let local = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), local.port());
        peer("127.0.0.1:0").send_to(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", local).unwrap();
        // Read as if an hour later: with the kernel's word it came before that.
        bench.group.sleep(Some(PATIENCE));
        let now = bench.clock.now() + Duration::from_secs(3600);
        assert_eq!(bench.group.turn(now), Turn::Worked);
        let Some(Received::Datagram { at, flow, .. }) = bench.rx.pop() else { panic!("nothing came") };
        assert_eq!(at < now, timestamps, "{addr}");
        assert_eq!(flow.local.is_some(), addr.starts_with("0."), "{addr}");
    }
}

#[test]
fn a_beat_is_slept_whatever_has_come() {
    let mut bench = Bench::new(64);
    let (local, _wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let beat = Duration::from_millis(20);
    bench.group.sleep_by(Some(beat));
    peer("127.0.0.1:0").send_to(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", local).unwrap();
    let before = bench.clock.now();
    bench.group.sleep(None);
    assert!(bench.clock.now().since(before) >= beat);
    assert_eq!(bench.group.turn(bench.clock.now()), Turn::Worked);
}

#[test]
fn what_is_due_before_the_next_beat_but_one_is_slept_for() {
    let mut bench = Bench::new(64);
    let (local, _wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let beat = Duration::from_millis(20);
    bench.group.sleep_by(Some(beat));
    for (due, least) in [(beat / 2, beat), (beat * 3 / 2, beat * 3 / 2)] {
        peer("127.0.0.1:0").send_to(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", local).unwrap();
        let before = bench.clock.now();
        bench.group.sleep(Some(due));
        assert!(bench.clock.now().since(before) >= least, "{due:?}");
        assert_eq!(bench.group.turn(bench.clock.now()), Turn::Worked);
    }
}

#[test]
fn a_burst_of_a_thousand_comes_through_both_ways() {
    let mut bench = Bench::new(2048);
    let (local, wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let peer = peer("127.0.0.1:0");
    for i in 0..1000u32 {
        peer.send_to(&i.to_be_bytes(), local).unwrap();
    }
    for i in 0..1000u32 {
        let (bytes, flow) = bench.bytes();
        assert_eq!(&bytes[..], &i.to_be_bytes());
        bench.push(&wire, send(bytes, flow.peer, u64::from(i)));
    }
    bench.until("an empty wire", |b| b.group.drained());
    for i in 0..1000u32 {
        let mut buffer = [0; 8];
        assert_eq!(peer.recv(&mut buffer).unwrap(), 4, "datagram {i}");
        assert_eq!(&buffer[..4], &i.to_be_bytes());
    }
    let stats = bench.group.stats(TransportId(0)).unwrap();
    assert_eq!((stats.received.get(), stats.sent.get(), stats.sent_octets.get()), (1000, 1000, 4000));
    assert_eq!((stats.shed_received.get(), stats.errors.get()), (0, 0));
    assert!(bench.failed.lock().unwrap().is_empty());
}

#[test]
fn one_batch_exactly_leaves_nothing_behind() {
    let mut bench = Bench::new(2048);
    let (local, _wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let peer = peer("127.0.0.1:0");
    for round in 0..3 {
        for i in 0..32u8 {
            peer.send_to(&[round, i], local).unwrap();
        }
        for i in 0..32u8 {
            assert_eq!(&bench.bytes().0[..], [round, i]);
        }
    }
}

#[test]
fn the_largest_datagram_passes_and_a_larger_one_fails() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let large: Vec<u8> = (0..65_507u32).map(|i| i as u8).collect();
    let peer = peer("127.0.0.1:0");
    peer.send_to(&large, local).unwrap();
    assert_eq!(&bench.bytes().0[..], &large[..]);
    // An empty datagram passes too: what it means is for the scanner to say.
    peer.send_to(b"", local).unwrap();
    assert_eq!(bench.bytes().0.len(), 0);
    let to = peer.local_addr().unwrap();
    bench.push(&wire, send("before", to, 1));
    bench.push(&wire, send(vec![b'x'; 65_508], to, 2));
    bench.push(&wire, send("after", to, 3));
    assert_eq!(bench.failure(2), TransportError::TooLarge);
    bench.until("an empty wire", |b| b.group.drained());
    let mut buffer = [0; 100];
    for expected in ["before", "after"] {
        let size = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..size], expected.as_bytes());
    }
    assert_eq!(bench.failed.lock().unwrap().len(), 1);
}

/// An address where nobody listens.
fn dead(addr: &str) -> SocketAddr {
    UdpSocket::bind(addr).unwrap().local_addr().unwrap()
}

fn refused(addr: &str, loopback: &str) {
    let mut bench = Bench::new(64);
    let (_, wire) = bench.udp(3, addr, &UdpOptions::default());
    let (dead, text) = (dead(loopback), [&b"INVITE sip:a@b SIP/2.0\r\n"[..], &[b'x'; 900]].concat());
    bench.push(&wire, send(text.clone(), dead, 1));
    let Received::Undelivered { quote, flow, error } = bench.next() else { panic!("something else") };
    // As much of it as a host quotes (RFC 1812 §4.3.2.3: 576 octets with all headers).
    assert!(quote.len() >= 500 && text.starts_with(&quote), "{} octets", quote.len());
    assert_eq!((flow.transport, flow.peer, error), (TransportId(3), dead, TransportError::Refused));
    let stats = bench.group.stats(TransportId(3)).unwrap();
    assert_eq!((stats.undelivered.get(), stats.sent.get(), stats.errors.get()), (1, 1, 0));
    assert!(bench.failed.lock().unwrap().is_empty());
}

#[test]
fn a_closed_port_returns_the_first_octets() {
    refused("127.0.0.1:0", "127.0.0.1:0");
    refused("0.0.0.0:0", "127.0.0.1:0");
}

#[test]
fn a_closed_port_returns_the_first_octets_v6() {
    if !has_v6() {
        return;
    }
    refused("[::1]:0", "[::1]:0");
    refused("[::]:0", "[::1]:0");
}

/// The kernel tells an error to whichever call comes next: one that sends to somebody else, or that receives.
#[test]
fn a_call_that_is_told_an_error_is_made_again() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let (dead, live) = (dead("127.0.0.1:0"), peer("127.0.0.1:0"));
    let now = bench.clock.now();
    for message in [send("SIP/2.0 200", dead, 1), send("to the living", live.local_addr().unwrap(), 2)] {
        bench.push(&wire, message);
        // It does not look at the socket in between.
        bench.group.turn(now);
    }
    assert_eq!(live.recv(&mut [0; 64]).unwrap(), 13);
    bench.push(&wire, send("SIP/2.0 200", dead, 3));
    bench.group.turn(now);
    live.send_to(b"from the living", local).unwrap();
    bench.until(
        "a datagram",
        |b| matches!(b.rx.pop(), Some(Received::Datagram { bytes, .. }) if bytes == b"from the living"[..]),
    );
    assert!(bench.failed.lock().unwrap().is_empty());
}

#[test]
fn errors_of_a_dead_peer_do_not_disturb_a_live_one() {
    const MESSAGES: u64 = 100;
    let mut bench = Bench::new(1024);
    let (local, wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let (dead, live) = (dead("127.0.0.1:0"), peer("127.0.0.1:0"));
    let to = live.local_addr().unwrap();
    let stats = bench.group.stats(TransportId(0)).unwrap();
    let (mut returned, mut received) = (0, Vec::new());
    // Alone and in batches of all sizes.
    for number in 0..MESSAGES {
        for _ in 0..number % 3 {
            bench.push(&wire, send("SIP/2.0 dead", dead, 1000));
        }
        bench.push(&wire, send(number.to_be_bytes().to_vec(), to, number));
        live.send_to(&number.to_be_bytes(), local).unwrap();
        if number % 5 == 0 {
            bench.pass();
        }
    }
    bench.until("all that was sent", |b| {
        while let Some(item) = b.rx.pop() {
            match item {
                Received::Datagram { bytes, .. } => received.push(u64::from_be_bytes(bytes[..].try_into().unwrap())),
                Received::Undelivered { flow, .. } if flow.peer == dead => returned += 1,
                other => panic!("{other:?}"),
            }
        }
        received.len() as u64 == MESSAGES && returned == 99 && b.group.drained()
    });
    assert_eq!(received, (0..MESSAGES).collect::<Vec<_>>());
    for number in 0..MESSAGES {
        let mut buffer = [0; 16];
        assert_eq!(live.recv(&mut buffer).unwrap(), 8);
        assert_eq!(&buffer[..8], number.to_be_bytes());
    }
    assert_eq!((stats.sent.get(), stats.undelivered.get(), stats.errors.get()), (MESSAGES + 99, 99, 0));
    assert!(bench.failed.lock().unwrap().is_empty());
}

#[test]
fn a_flood_of_errors_leaves_time_for_messages() {
    const FLOOD: u64 = 200;
    let mut bench = Bench::new(1024);
    let (_, wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let dead = dead("127.0.0.1:0");
    let stats = bench.group.stats(TransportId(0)).unwrap();
    for key in 0..FLOOD {
        bench.push(&wire, send("OPTIONS sip:a@b", dead, key));
    }
    let (mut before, mut most) = (0, 0);
    bench.until("all errors", |_| {
        most = most.max(stats.undelivered.get() - before);
        before = stats.undelivered.get();
        before == FLOOD
    });
    assert!(most <= 32, "{most} in one turn");
}

/// Nothing that anybody can send us takes the headroom.
#[test]
fn a_full_rx_sheds_errors() {
    let mut bench = Bench::new(10);
    let (_, wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let dead = dead("127.0.0.1:0");
    let stats = bench.group.stats(TransportId(0)).unwrap();
    for key in 0..20 {
        bench.push(&wire, send("OPTIONS sip:a@b", dead, key));
    }
    bench.until("all errors", |_| stats.undelivered.get() == 20);
    assert_eq!((bench.rx.len(), stats.shed_received.get()), (8, 12));
}

#[test]
fn a_full_rx_sheds_new_work_first() {
    let mut bench = Bench::new(10);
    let (local, _wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let stats = bench.group.stats(TransportId(0)).unwrap();
    let peer = peer("127.0.0.1:0");
    for _ in 0..10 {
        peer.send_to(b"INVITE sip:a@b SIP/2.0\r\n", local).unwrap();
    }
    peer.send_to(b"ACK sip:a@b SIP/2.0\r\n", local).unwrap();
    bench.until("all read", |_| stats.received.get() + stats.shed_received.get() == 11);
    assert_eq!(stats.shed_received.get(), 2);
    let got: Vec<Bytes> = (0..9).map(|_| bench.bytes().0).collect();
    assert!(got[8].starts_with(b"ACK"));
}

#[test]
fn the_other_address_family_is_no_transport() {
    let mut bench = Bench::new(10);
    let (_, wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    bench.push(&wire, send("x", "[::1]:5060".parse().unwrap(), 9));
    assert_eq!(bench.failure(9), TransportError::NoTransport);
}

#[test]
fn bind_errors_say_what_where_and_what_to_do() {
    let mut bench = Bench::new(10);
    let (local, _wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let mut bind = |addr: SocketAddr, options: &UdpOptions| {
        let (_, rx) = fifo("wire", 1, Bell::silent());
        bench.group.add_udp(TransportId(1), addr, rx, options).map_err(|e| e.to_string())
    };
    let text = bind(local, &UdpOptions::default()).unwrap_err();
    assert_eq!(text, format!("udp {local} is in use: stop the other program or choose another port with --listen"));
    let text = bind("192.0.2.200:5060".parse().unwrap(), &UdpOptions::default()).unwrap_err();
    assert!(text.starts_with("udp 192.0.2.200:5060 is not an address of this machine"), "{text}");
}

#[test]
fn shards_share_an_address() {
    let options = UdpOptions { reuse_port: true, ..UdpOptions::default() };
    let mut bench = Bench::new(64);
    let (local, _wire) = bench.udp(0, "127.0.0.1:0", &options);
    let (_, rx) = fifo("wire", 1, Bell::silent());
    assert_eq!(bench.group.add_udp(TransportId(1), local, rx, &options).unwrap(), local);
    for i in 0..20u8 {
        peer("127.0.0.1:0").send_to(&[i], local).unwrap();
    }
    let mut got: Vec<u8> = (0..20).map(|_| bench.bytes().0[0]).collect();
    got.sort_unstable();
    assert_eq!(got, (0..20).collect::<Vec<u8>>());
}

#[test]
fn a_push_from_another_thread_wakes_the_sleeper() {
    let mut bench = Bench::new(64);
    let (_, wire) = bench.udp(0, "127.0.0.1:0", &UdpOptions::default());
    let peer = peer("127.0.0.1:0");
    let message = send("wake", peer.local_addr().unwrap(), 1);
    let bell = bench.group.bell();
    bell.doze();
    std::thread::scope(|scope| {
        scope.spawn(|| wire.push(message, rutil::Class::New, Time::ZERO).unwrap());
        // Sleeps without a timeout: only the bell ends it.
        bench.group.sleep(None);
    });
    bench.until("an empty wire", |b| b.group.drained());
    assert_eq!(peer.recv(&mut [0; 8]).unwrap(), 4);
}
