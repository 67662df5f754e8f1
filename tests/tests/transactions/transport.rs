//! Where requests go, and what becomes of them when they cannot go there.

use crate::bench::{Bench, PEER, TCP, UDP, answer, first_line, line, request, request_to, told};
use stack::StackOptions;
use stack::message::Message;
use stack::transport::{ConnectionId, Flow, TransportError, TransportId, TransportType};
use stack::tu::{NextHop, SendOptions, TuOptions};

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
    };
    let options = SendOptions { next_hop: NextHop::Flow(flow), ..SendOptions::default() };
    bench.act(0, move |stack| stack.send(request("OPTIONS"), options));
    let sent = bench.one_sent();
    assert_eq!((sent.transport, sent.connection, sent.peer), (flow.transport, flow.connection, flow.peer));
    assert_eq!(first_line(&sent), "OPTIONS sip:bob@192.0.2.9");
}
