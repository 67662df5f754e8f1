//! Where requests go, and what becomes of them when they cannot go there.

use crate::bench::{Bench, PEER, TCP, UDP, answer, first_line, line, request, request_to, told};
use stack::StackOptions;
use stack::message::Message;
use stack::transport::{ConnectionId, Flow, TransportError, TransportId, TransportType};
use stack::tu::{NextHop, SendOptions, TuOptions};
use std::time::Duration;

fn large(uri: &str) -> Message {
    let mut msg = request_to("MESSAGE", uri);
    msg.set_body(Some("text/plain"), vec![b'x'; 1300]);
    msg
}

fn branch(via: &str) -> String {
    via.split("branch=").nth(1).unwrap().to_owned()
}

/// RFC 3261 §18.1.1: over 1300 octets to TCP; if nobody listens there, UDP all the same.
#[test]
fn a_large_request_goes_by_tcp_and_falls_back() {
    let mut bench = Bench::new();
    bench.send(large("sip:bob@192.0.2.9"));
    let first = bench.one_sent();
    assert_eq!((first.transport.0, first.kind, first.peer), (TCP, TransportType::Tcp, PEER.parse().unwrap()));
    assert!(line(&first, "Via").starts_with("SIP/2.0/TCP "));
    bench.run_to(100);
    bench.fail(first.notify.unwrap(), TransportError::Refused);
    let second = bench.one_sent();
    assert_eq!((second.transport.0, second.peer), (UDP, first.peer));
    assert!(line(&second, "Via").starts_with("SIP/2.0/UDP "));
    assert_eq!(branch(&line(&second, "Via")), branch(&line(&first, "Via")));
    assert_eq!(bench.told(0), []);
    // From here on it is a UDP transaction like any other; Timer F counts from the first try.
    bench.run_to(1700);
    assert_eq!(bench.sent().iter().map(|s| s.at.as_millis()).collect::<Vec<_>>(), [600, 1600]);
    bench.run_to(40_000);
    assert_eq!((bench.told(0), bench.alive()), (vec![told(32_000, "timeout")], (0, 0)));
}

#[test]
fn after_the_fall_back_an_answer_ends_it() {
    let mut bench = Bench::new();
    bench.send(large("sip:bob@192.0.2.9"));
    let first = bench.one_sent();
    bench.fail(first.notify.unwrap(), TransportError::ConnectTimeout);
    let second = bench.one_sent();
    bench.receive(answer(&second, 200));
    bench.run_to(5000);
    bench.nothing_sent();
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "200")], (0, 0)));
}

/// RFC 5626 §4.4: the transport is told how long its peer may be silent.
#[test]
fn a_promise_of_keep_alives_reaches_its_connection() {
    let mut bench = Bench::new();
    let (peer, connection) = (PEER.parse().unwrap(), ConnectionId(7));
    let flow = Flow { transport: TransportId(TCP), kind: TransportType::Tcp, connection, peer, local: None };
    bench.act(0, move |stack| stack.expect_keep_alives(&flow, Duration::from_secs(130)));
    bench.nothing_sent();
    assert_eq!(bench.stack.expected, [(flow.transport, connection, Duration::from_secs(130))]);
}

/// Over UDP there is nothing to close: the stack knows who is silent.
#[test]
fn keep_alives_in_datagrams_are_heard() {
    let mut bench = Bench::new();
    let (peer, connection) = (PEER.parse().unwrap(), ConnectionId(0));
    let flow = Flow { transport: TransportId(UDP), kind: TransportType::Udp, connection, peer, local: None };
    bench.act(0, move |stack| stack.expect_keep_alives(&flow, Duration::from_secs(40)));
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], b"twelveoctets"].concat();
    let silent_at = |bench: &mut Bench, seconds: u64| {
        bench.run_to(seconds * 1000);
        bench.act(0, move |stack| stack.transports().heard().is_silent(&flow, stack.now()))
    };
    for (seconds, keep_alive) in [(30, &stun[..]), (60, b"\r\n\r\n")] {
        assert!(!silent_at(&mut bench, seconds));
        bench.receive(keep_alive.to_vec());
    }
    // Another device, and what is no keep-alive.
    bench.receive_on(UDP, "192.0.2.77:5060", 0, stun.clone());
    bench.receive(b"\x01\x02garbage".to_vec());
    assert!(!silent_at(&mut bench, 100) && silent_at(&mut bench, 101));
}

/// Who asked for TCP does not get UDP, whatever the Request-URI would have allowed.
#[test]
fn only_the_size_falls_back() {
    let to =
        SendOptions { next_hop: NextHop::Address(TransportType::Tcp, PEER.parse().unwrap()), ..SendOptions::default() };
    let cases = [
        (request_to("OPTIONS", "sip:bob@192.0.2.9;transport=tcp"), SendOptions::default()),
        (large("sip:bob@192.0.2.9;transport=tcp"), SendOptions::default()),
        (request("OPTIONS"), to),
        (large("sip:bob@192.0.2.9"), to),
    ];
    for (msg, options) in cases {
        let mut bench = Bench::new();
        bench.act(0, move |stack| stack.send(msg, options));
        let sent = bench.one_sent();
        bench.fail(sent.notify.unwrap(), TransportError::Refused);
        bench.nothing_sent();
        assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "connection refused")], (0, 0)));
    }
}

/// What is counted is what goes out, to the octet, and on connections alone.
#[test]
fn a_request_that_is_larger_than_it_may_be_is_not_sent() {
    for (transport, at_most, goes_out) in
        [(TransportType::Tcp, 0, true), (TransportType::Tcp, 1, false), (TransportType::Udp, 1, true)]
    {
        let mut bench = Bench::new();
        let next_hop = NextHop::Address(transport, PEER.parse().unwrap());
        let options = SendOptions { next_hop, ..SendOptions::default() };
        let msg = large("sip:bob@192.0.2.9");
        bench.act(0, move |stack| stack.send(msg, options));
        let octets = bench.one_sent().bytes.len() as u32;
        let (msg, options) =
            (large("sip:bob@192.0.2.9"), SendOptions { most_octets: Some(octets - at_most), ..options });
        bench.act(0, move |stack| stack.send(msg, options));
        if goes_out {
            assert_eq!(bench.one_sent().bytes.len() as u32, octets);
        } else {
            bench.nothing_sent();
            assert_eq!(bench.told(0), [told(0, "message too large")]);
        }
    }
}

/// Nobody would hear that TCP is refused, so nobody could fall back: the peer might never get its ACK.
#[test]
fn a_large_request_without_a_transaction_stays_on_udp() {
    let mut bench = Bench::new();
    let mut ack = request("ACK");
    ack.set_body(Some("text/plain"), vec![b'x'; 1300]);
    bench.act(0, |stack| stack.send_stateless(ack, SendOptions::default()));
    let sent = bench.one_sent();
    assert_eq!((sent.transport.0, line(&sent, "Via").starts_with("SIP/2.0/UDP ")), (UDP, true));
}

/// Only a flow and an address are taken as they are; towards a strict router size counts as elsewhere.
#[test]
fn a_large_request_to_a_strict_router_goes_by_tcp() {
    for (next_hop, transport) in
        [(NextHop::RequestUri, TCP), (NextHop::Address(TransportType::Udp, PEER.parse().unwrap()), UDP)]
    {
        let mut bench = Bench::new();
        let options = SendOptions { next_hop, ..SendOptions::default() };
        bench.act(0, move |stack| stack.send(large("sip:bob@192.0.2.9"), options));
        assert_eq!(bench.one_sent().transport.0, transport, "{next_hop:?}");
    }
}

#[test]
fn what_is_not_large_or_has_no_tcp_stays_on_udp() {
    let mut bench = Bench::new();
    bench.send(request("MESSAGE"));
    assert_eq!(bench.one_sent().transport.0, UDP);
    let ours = (TransportType::Udp, "192.0.2.1:5060".parse().unwrap());
    let mut bench = Bench::on(&StackOptions::default(), &[TuOptions::default()], &[ours]);
    bench.send(large("sip:bob@192.0.2.9"));
    assert_eq!(bench.one_sent().transport.0, UDP);
}

#[test]
fn a_dead_target_answers_at_once() {
    for (error, text) in [
        (TransportError::Unreachable, "unreachable"),
        (TransportError::Refused, "connection refused"),
        (TransportError::ConnectionLost, "connection lost"),
    ] {
        for method in ["INVITE", "OPTIONS"] {
            let mut bench = Bench::new();
            bench.send(request(method));
            let sent = bench.one_sent();
            bench.run_to(10);
            bench.fail(sent.notify.unwrap(), error);
            assert_eq!((bench.told(0), bench.alive()), (vec![told(10, text)], (0, 0)), "{method}");
            bench.fail(sent.notify.unwrap(), error);
            bench.run_to(60_000);
            bench.nothing_sent();
            assert_eq!((bench.told(0), bench.stack.transactions().transport_failures), (vec![], 1));
        }
    }
}

/// RFC 3261 §18.2.2: what ends is the connection; the other side has the INVITE and may answer over another one. Of
/// other requests figure 6 says the opposite.
#[test]
fn after_a_provisional_response_an_invite_survives_errors() {
    const URI: &str = "sip:bob@192.0.2.9;transport=tcp";
    let mut bench = Bench::new();
    bench.send(request_to("INVITE", URI));
    let invite = bench.one_sent();
    bench.receive_on(TCP, PEER, 1, answer(&invite, 180));
    bench.unanswered(&[&invite]);
    bench.fail(invite.notify.unwrap(), TransportError::ConnectionLost);
    bench.run_to(1000);
    assert_eq!((bench.told(0), bench.stack.transactions().transport_failures), (vec![told(0, "180")], 0));
    bench.receive_on(TCP, PEER, 2, answer(&invite, 200));
    bench.unanswered(&[&invite]);
    assert_eq!((bench.told(0), bench.alive()), (vec![told(1000, "200")], (1, 0)));

    bench.send(request_to("OPTIONS", URI));
    let options = bench.one_sent();
    bench.receive_on(TCP, PEER, 3, answer(&options, 100));
    bench.unanswered(&[&options]);
    assert_eq!(bench.told(0), [told(1000, "100"), told(1000, "connection lost")]);
}

/// It still ends when it is cancelled, and the CANCEL is a transaction of its own.
#[test]
fn an_invite_that_survived_an_error_can_be_cancelled() {
    let mut bench = Bench::new();
    let transaction = bench.send(request("INVITE"));
    let invite = bench.one_sent();
    bench.receive(answer(&invite, 180));
    bench.undelivered(&invite, 548);
    bench.act(0, move |stack| stack.cancel(transaction, None));
    let cancel = bench.one_sent();
    assert_eq!(first_line(&cancel), "CANCEL sip:bob@192.0.2.9");
    assert_eq!(bench.alive(), (2, 0));
    bench.undelivered(&cancel, 548);
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "180")], (1, 0)));
    bench.run_to(32_000);
    assert_eq!((bench.told(0), bench.alive()), (vec![told(32_000, "timeout")], (0, 0)));
}

/// Whom an ICMP error speaks of is seen from what it quotes.
#[test]
fn an_icmp_error_ends_the_transaction_that_it_quotes() {
    for method in ["INVITE", "OPTIONS"] {
        let mut bench = Bench::new();
        let mut msg = request(method);
        msg.set_body(Some("text/plain"), vec![b'x'; 900]);
        bench.send(msg);
        let sent = bench.one_sent();
        bench.send(request(method));
        bench.one_sent();
        bench.run_to(600);
        assert_eq!(bench.sent().len(), 2, "Timer A or E");
        // From the UDP header alone nothing is seen.
        bench.undelivered(&sent, 0);
        bench.undelivered(&sent, 60);
        assert_eq!((bench.told(0), bench.alive()), (vec![], (2, 0)));
        bench.undelivered(&sent, 520);
        assert_eq!((bench.told(0), bench.alive()), (vec![told(600, "connection refused")], (1, 0)), "{method}");
        bench.undelivered(&sent, 520);
        assert_eq!((bench.told(0), bench.stack.transactions().transport_failures), (vec![], 1));
    }
}

#[test]
fn an_icmp_error_that_quotes_something_else_ends_nothing() {
    let mut bench = Bench::new();
    bench.send(request("INVITE"));
    let invite = bench.one_sent();
    // The branch of ours in a response, in an ACK, with another number, with a shard that is not there.
    let branch = branch(&line(&invite, "Via")).split(';').next().unwrap().to_owned();
    let text = String::from_utf8(invite.bytes.to_vec()).unwrap();
    let (start, rest) = text.split_once("\r\n").unwrap();
    let nobody = format!("{}0000000000000002", &branch[..9]);
    let others = [
        format!("SIP/2.0 200 OK\r\n{rest}"),
        format!("ACK{}\r\n{rest}", start.trim_start_matches("INVITE")),
        text.replace(&branch, &nobody),
        text.replace(&branch, &branch.replacen("z9hG4bK00", "z9hG4bKff", 1)),
    ];
    for other in others {
        assert_ne!(other, text);
        let mut sent = invite.clone();
        sent.bytes = other.into();
        bench.undelivered(&sent, 1300);
        assert_eq!((bench.told(0), bench.alive()), (vec![], (1, 0)));
    }
    bench.receive(answer(&invite, 486));
    let ack = bench.one_sent();
    // A late error for the INVITE or its ACK: the ACK is still repeated for who asks for it.
    bench.undelivered(&invite, 1300);
    bench.undelivered(&ack, 1300);
    bench.receive(answer(&invite, 486));
    assert_eq!((bench.one_sent().bytes, bench.told(0)), (ack.bytes, vec![told(0, "486")]));
}

/// The peer answers and closes; both are read at once, even before it is known that the request went out.
#[test]
fn an_answer_before_the_end_of_its_connection_counts() {
    const CALLS: usize = 300;
    for code in [200, 486] {
        let mut bench = Bench::new();
        bench.todo(0, |stack| {
            for _ in 0..CALLS {
                stack.send(request_to("INVITE", "sip:bob@192.0.2.9;transport=tcp"), SendOptions::default());
            }
        });
        loop {
            let (worked, sent) = bench.pass();
            let sent: Vec<_> = sent.iter().filter(|sent| first_line(sent).starts_with("INVITE")).collect();
            for sent in &sent {
                assert!(bench.stack.receive(TCP, PEER.parse().unwrap(), 1, answer(sent, code), bench.now));
            }
            if !sent.is_empty() {
                bench.ends(&sent);
            }
            if !worked && sent.is_empty() {
                break;
            }
        }
        let told = bench.told(0);
        assert_eq!(told.iter().filter(|(_, what)| *what == code.to_string()).count(), CALLS);
        assert_eq!(told.len(), CALLS);
    }
}

/// A connection that many requests have used takes with it those that are not answered.
#[test]
fn the_end_of_a_connection_ends_what_waits_on_it() {
    let mut bench = Bench::new();
    let sent: Vec<_> = (0..3)
        .map(|_| {
            bench.send(request_to("OPTIONS", "sip:bob@192.0.2.9;transport=tcp"));
            bench.one_sent()
        })
        .collect();
    bench.receive_on(TCP, PEER, 1, answer(&sent[1], 200));
    bench.run_to(70);
    bench.unanswered(&[&sent[0], &sent[1], &sent[2]]);
    let lost = told(70, "connection lost");
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "200"), lost.clone(), lost], (0, 0)));
}

/// A transport error after a final response is nobody's news.
#[test]
fn after_the_final_response_an_error_is_silent() {
    let mut bench = Bench::new();
    bench.send(request("INVITE"));
    let sent = bench.one_sent();
    bench.receive(answer(&sent, 486));
    let ack = bench.one_sent();
    bench.fail(ack.notify.unwrap(), TransportError::Unreachable);
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "486")], (0, 0)));
}

#[test]
fn what_leads_nowhere_is_answered_at_once() {
    let nowhere = Flow {
        transport: TransportId(9),
        kind: TransportType::Udp,
        connection: ConnectionId(0),
        peer: PEER.parse().unwrap(),
        local: None,
    };
    let by_flow = SendOptions { next_hop: NextHop::Flow(nowhere), ..SendOptions::default() };
    let cases = [
        (request_to("OPTIONS", "sips:bob@192.0.2.9"), SendOptions::default(), "no such transport"),
        (request_to("OPTIONS", "sip:bob@[2001:db8::9]"), SendOptions::default(), "no such transport"),
        (request_to("OPTIONS", "tel:+1234"), SendOptions::default(), "next hop not found"),
        (request_to("OPTIONS", "sip:bob@example.com"), SendOptions::default(), "congested"),
        (request("OPTIONS"), by_flow, "no such transport"),
    ];
    for (msg, options, why) in cases {
        let mut bench = Bench::new();
        bench.stack.resolver.stop();
        bench.act(0, move |stack| stack.send(msg, options));
        bench.nothing_sent();
        assert_eq!((bench.told(0), bench.alive()), (vec![told(0, why)], (0, 0)));
    }
}

#[test]
fn a_flow_is_used_as_it_is() {
    let mut bench = Bench::new();
    let flow = Flow {
        transport: TransportId(TCP),
        kind: TransportType::Tcp,
        connection: ConnectionId(77),
        peer: "192.0.2.55:40000".parse().unwrap(),
        local: None,
    };
    let options = SendOptions { next_hop: NextHop::Flow(flow), ..SendOptions::default() };
    bench.act(0, move |stack| stack.send(request("OPTIONS"), options));
    let sent = bench.one_sent();
    assert_eq!((sent.transport, sent.connection, sent.peer), (flow.transport, flow.connection, flow.peer));
    assert_eq!(first_line(&sent), "OPTIONS sip:bob@192.0.2.9");
}
