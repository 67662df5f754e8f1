//! Server transactions: what is sent when, what is repeated, what is absorbed.

use crate::bench::{Bench, PEER, TCP, answer, first_line, incoming, line, times, told};
use stack::StackOptions;
use stack::transport::TransportError;
use stack::tu::TuOptions;

const VIA: &str = "192.0.2.9;branch=z9hG4bKserver;rport";

fn tcp(text: String) -> String {
    text.replace("SIP/2.0/UDP", "SIP/2.0/TCP")
}

#[test]
fn the_stack_sends_100_after_80_ms() {
    let mut bench = Bench::new();
    bench.receive_on(0, "192.0.2.9:6789", 0, incoming("INVITE", VIA, ""));
    bench.run_to(79);
    bench.nothing_sent();
    bench.run_to(10_000);
    let trying = bench.one_sent();
    assert_eq!((trying.at.as_millis(), first_line(&trying).as_str()), (80, "100 Trying"));
    assert_eq!(line(&trying, "To"), "<sip:alice@192.0.2.1>", "a 100 has no tag");
    assert!(line(&trying, "Via").ends_with("192.0.2.9;branch=z9hG4bKserver;rport=6789;received=192.0.2.9"));
    assert_eq!(trying.peer, "192.0.2.9:6789".parse().unwrap());
}

#[test]
fn no_100_when_the_user_was_faster() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, msg) = bench.request();
    bench.run_to(50);
    bench.respond(invite, msg.make_response(180, None, Some("a1")));
    bench.run_to(10_000);
    assert_eq!((bench.sent().iter().map(first_line).collect::<Vec<_>>()), ["180 Ringing"]);
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_response() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, msg) = bench.request();
    bench.run_to(10);
    bench.receive(incoming("INVITE", VIA, ""));
    assert_eq!(first_line(&bench.one_sent()), "100 Trying");
    bench.respond(invite, msg.make_response(180, None, Some("a1")));
    let ringing = bench.one_sent();
    bench.receive(incoming("INVITE", VIA, ""));
    assert_eq!(bench.one_sent().bytes, ringing.bytes);
    assert_eq!((bench.told(0), bench.stack.transactions().absorbed), (vec![], 2));
}

#[test]
fn timer_g_doubles_to_t2_until_timer_h() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, msg) = bench.request();
    bench.respond(invite, msg.make_response(486, None, Some("a1")));
    bench.run_to(40_000);
    let sent = bench.sent();
    let all = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(times(&sent), all);
    assert!(sent.iter().all(|s| s.bytes == sent[0].bytes));
    assert_eq!(bench.told(0), [told(32_000, "not delivered")]);
    assert_eq!((bench.alive(), bench.stack.transactions().no_ack), ((0, 0), 1));
}

#[test]
fn the_ack_ends_timer_g_and_timer_i_absorbs_more() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, msg) = bench.request();
    bench.respond(invite, msg.make_response(486, None, Some("a1")));
    bench.receive(incoming("INVITE", VIA, ""));
    assert_eq!(bench.sent().len(), 2, "the response, and once more for the repeated INVITE");
    bench.run_to(200);
    bench.receive(incoming("ACK", VIA, "a1"));
    bench.run_to(5199);
    bench.receive(incoming("ACK", VIA, "a1"));
    bench.receive(incoming("INVITE", VIA, ""));
    bench.nothing_sent();
    assert_eq!((bench.told(0), bench.alive()), (vec![], (0, 1)));
    bench.run_to(5200);
    assert_eq!(bench.alive(), (0, 0));
    bench.run_to(60_000);
    bench.nothing_sent();
}

#[test]
fn over_a_stream_the_final_response_goes_once() {
    let mut bench = Bench::new();
    bench.receive_on(TCP, PEER, 7, tcp(incoming("INVITE", VIA, "")));
    let (invite, msg) = bench.request();
    bench.respond(invite, msg.make_response(486, None, Some("a1")));
    let sent = bench.one_sent();
    assert_eq!(sent.connection.0, 7, "on the request's connection");
    bench.run_to(31_999);
    bench.nothing_sent();
    bench.receive_on(TCP, PEER, 7, tcp(incoming("ACK", VIA, "a1")));
    assert_eq!((bench.alive(), bench.told(0)), ((0, 0), vec![]), "Timer I is zero");
}

/// RFC 3581 §4: `rport` is the port that the request came from, also when the response may go elsewhere.
#[test]
fn over_a_stream_100_says_where_the_request_came_from() {
    let mut bench = Bench::new();
    bench.receive_on(TCP, "192.0.2.9:40123", 7, tcp(incoming("INVITE", VIA, "")));
    bench.run_to(80);
    assert!(line(&bench.one_sent(), "Via").contains(";rport=40123;"));
}

/// RFC 6026 §7.1: 2xx belong to the transaction user, and the INVITE is absorbed until Timer L.
#[test]
fn the_user_repeats_2xx_until_timer_l() {
    let options = TuOptions { terminations: true, ..TuOptions::default() };
    let mut bench = Bench::with(&StackOptions::default(), &[options]);
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, msg) = bench.request();
    let ok = msg.make_response(200, None, Some("a1"));
    bench.respond(invite, ok.clone());
    bench.receive(incoming("INVITE", VIA, ""));
    bench.respond(invite, msg.make_response(180, None, Some("a1")));
    bench.respond(invite, msg.make_response(500, None, Some("a1")));
    bench.run_to(500);
    bench.respond(invite, ok.clone());
    let sent = bench.sent();
    assert_eq!((times(&sent), first_line(&sent[0]).as_str()), (vec![0, 500], "200 OK"));
    bench.receive(incoming("ACK", "192.0.2.9;branch=z9hG4bKanother", "a1"));
    // The wrong branch of old user agents: the ACK has the INVITE's.
    bench.receive(incoming("ACK", VIA, "a1"));
    bench.run_to(40_000);
    assert_eq!(bench.told(0), [told(500, "ACK"), told(500, "ACK"), told(32_000, "server ended")]);
    bench.respond(invite, ok);
    bench.nothing_sent();
    assert_eq!(bench.alive(), (0, 0));
}

/// RFC 4320 §4.1: not before Timer E has reached T2, whatever the transaction user says; then in any case.
#[test]
fn a_non_invite_gets_100_at_3500_ms() {
    for offers in [false, true] {
        let mut bench = Bench::new();
        bench.receive(incoming("OPTIONS", VIA, ""));
        let (options, msg) = bench.request();
        if offers {
            bench.respond(options, msg.make_response(100, None, None));
            bench.respond(options, msg.make_response(183, None, Some("a1")));
        }
        bench.run_to(3499);
        bench.receive(incoming("OPTIONS", VIA, ""));
        bench.nothing_sent();
        bench.run_to(3600);
        let trying = bench.one_sent();
        assert_eq!((trying.at.as_millis(), first_line(&trying).as_str()), (3500, "100 Trying"));
        bench.receive(incoming("OPTIONS", VIA, ""));
        assert_eq!(bench.one_sent().bytes, trying.bytes);
        bench.respond(options, msg.make_response(200, None, Some("a1")));
        assert_eq!(first_line(&bench.one_sent()), "200 OK");
    }
}

#[test]
fn timer_j_answers_repetitions_with_the_same_octets() {
    let mut bench = Bench::new();
    bench.receive(incoming("OPTIONS", VIA, ""));
    let (options, msg) = bench.request();
    bench.respond(options, msg.make_response(200, None, Some("a1")));
    let ok = bench.one_sent();
    bench.respond(options, msg.make_response(500, None, Some("a1")));
    bench.nothing_sent();
    bench.run_to(31_999);
    bench.receive(incoming("OPTIONS", VIA, ""));
    assert_eq!(bench.one_sent().bytes, ok.bytes);
    assert_eq!(bench.told(0), []);
    bench.run_to(32_000);
    assert_eq!(bench.alive(), (0, 0));
    bench.receive(incoming("OPTIONS", VIA, ""));
    assert_eq!(bench.told(0), [told(32_000, "OPTIONS")], "a new transaction");
}

#[test]
fn over_a_stream_timer_j_is_zero() {
    let mut bench = Bench::new();
    bench.receive_on(TCP, PEER, 7, tcp(incoming("OPTIONS", VIA, "")));
    let (options, msg) = bench.request();
    bench.respond(options, msg.make_response(200, None, Some("a1")));
    assert_eq!((bench.sent().len(), bench.alive()), (1, (0, 0)));
}

/// RFC 4320 §4.2: no 408, and no answer at all when it would be too late.
#[test]
fn what_nobody_answers_ends_in_silence() {
    let mut bench = Bench::new();
    bench.receive(incoming("OPTIONS", VIA, ""));
    let (options, msg) = bench.request();
    bench.run_to(20_000);
    bench.sent();
    bench.respond(options, msg.make_response(408, None, Some("a1")));
    bench.act(0, move |stack| stack.respond_status(options, 408));
    bench.run_to(32_000);
    assert_eq!(bench.alive(), (0, 0));
    bench.respond(options, msg.make_response(200, None, Some("a1")));
    bench.nothing_sent();
    assert_eq!(bench.told(0), []);
}

#[test]
fn a_response_that_cannot_be_sent() {
    // In Proceeding an INVITE goes on (RFC 6026 §7.1).
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, msg) = bench.request();
    bench.respond(invite, msg.make_response(180, None, Some("a1")));
    let ringing = bench.one_sent();
    bench.fail(ringing.notify.unwrap(), TransportError::Unreachable);
    bench.respond(invite, msg.make_response(486, None, Some("a1")));
    let busy = bench.one_sent();
    // In Completed it is over.
    bench.fail(busy.notify.unwrap(), TransportError::Unreachable);
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "not delivered"), told(0, "not delivered")], (0, 0)));
    // A non-INVITE is over at once (RFC 3261 figure 8).
    bench.receive(incoming("OPTIONS", VIA, ""));
    bench.told(0);
    bench.run_to(3500);
    let trying = bench.one_sent();
    bench.fail(trying.notify.unwrap(), TransportError::Unreachable);
    assert_eq!((bench.told(0), bench.alive()), (vec![told(3500, "not delivered")], (0, 0)));
}

/// A stale name, and a stale notification, find nothing.
#[test]
fn an_ended_transaction_hears_nothing() {
    let mut bench = Bench::new();
    bench.receive_on(TCP, PEER, 7, tcp(incoming("OPTIONS", VIA, "")));
    let (old, msg) = bench.request();
    bench.respond(old, msg.make_response(200, None, Some("a1")));
    let ok = bench.one_sent();
    // The next takes the same slot.
    bench.receive(incoming("OPTIONS", VIA, ""));
    let (new, msg) = bench.request();
    bench.fail(ok.notify.unwrap(), TransportError::ConnectionLost);
    bench.respond(old, msg.make_response(500, None, Some("a1")));
    bench.nothing_sent();
    bench.respond(new, msg.make_response(200, None, Some("a1")));
    assert_eq!(first_line(&bench.one_sent()), "200 OK");
    assert_eq!(bench.told(0), []);
    let client = bench.send(crate::bench::request("OPTIONS"));
    let sent = bench.one_sent();
    bench.receive(answer(&sent, 200));
    bench.run_to(10_000);
    bench.fail(sent.notify.unwrap(), TransportError::Unreachable);
    bench.act(0, move |stack| stack.cancel(client, None));
    assert_eq!(bench.told(0).len(), 1);
}
