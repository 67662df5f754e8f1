//! Waits that grow: what is refused, what is dropped, and what is served all the same.

use crate::bench::{
    Bench, OURS, PEER, TCP, WS, answer, first_line, incoming, incoming_call, line, parse, request, told,
};
use stack::StackOptions;
use stack::header::{h, p};
use stack::overload::{OverloadOptions, SourceLimits};
use stack::transport::TransportType;
use stack::tu::{TuEvent, TuOptions};
use std::time::Duration;
use tests::played::Sent;

/// The longest wait that is tolerated by default, ms.
const MOST: u64 = 100;

fn invite(n: usize) -> String {
    incoming_call("INVITE", &format!("192.0.2.9;branch=z9hG4bK{n}"), "", &format!("call-{n}"))
}

fn register(n: usize) -> String {
    incoming_call("REGISTER", &format!("192.0.2.9;branch=z9hG4bKreg{n}"), "", "registration")
}

/// A 503 as it must be (RFC 3261 §8.2.6, §21.5.4); its To tag.
fn refused(sent: &Sent) -> String {
    assert_eq!(first_line(sent), "503 Service Unavailable");
    assert!(line(sent, "Retry-After").parse::<u32>().is_ok_and(|s| (1..=10).contains(&s)));
    parse(sent).header(h::TO).unwrap().param(p::TAG).expect("a tag").to_owned()
}

/// What belongs to a call that stands, or to one that is being set up, in whatever zone: all of it is heard.
fn carries_on(bench: &mut Bench, n: usize) {
    let dialog = |method: &str| incoming_call(method, &format!("192.0.2.9;branch=z9hG4bK{method}{n}"), "a1", "call-2");
    let methods = ["ACK", "BYE", "PRACK", "INFO", "UPDATE", "INVITE", "OPTIONS"];
    methods.iter().for_each(|method| bench.receive(dialog(method)));
    let heard = bench.told(0).into_iter().map(|(_, what)| what).collect::<Vec<_>>();
    assert_eq!(heard, methods, "in their order");
    assert!(bench.sent().iter().all(|sent| first_line(sent) == "100 Trying"), "nothing of it is refused");
}

/// A transaction user that is slow: the wait of what it was given grows, so new calls are refused, and what belongs to
/// calls is not; and all is well as soon as it goes on.
#[test]
fn a_slow_transaction_user() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bKcall", ""));
    let (call, _) = bench.request();
    bench.send(request("MESSAGE"));
    let message = bench.one_sent();
    bench.stack.stalled = Some("first");
    bench.receive(invite(1));
    bench.run_to(MOST * 80 / 100);
    bench.receive(invite(2));
    bench.run_to(MOST * 80 / 100 + 1);
    bench.sent();
    // Above 80 %: a call no more, a registration still.
    bench.receive(invite(3));
    let tag = refused(&bench.one_sent());
    bench.receive(register(1));
    bench.nothing_sent();
    // Above 100 %: neither.
    bench.run_to(MOST + 1);
    bench.sent();
    bench.receive(register(2));
    refused(&bench.one_sent());
    // The ACK for the refusal ends here. The rest of what is under way goes in.
    bench.receive(incoming_call("ACK", "192.0.2.9;branch=z9hG4bK3", &tag, "call-3"));
    bench.receive(incoming_call("BYE", "192.0.2.9;branch=z9hG4bKbye", "a1", "call-9"));
    bench.receive(incoming("CANCEL", "192.0.2.9;branch=z9hG4bKcall", ""));
    assert_eq!(first_line(&bench.one_sent()), "200 OK", "the CANCEL is answered");
    bench.receive(answer(&message, 200));
    bench.stack.stalled = None;
    let heard = bench.heard(0);
    let words: Vec<String> = heard.iter().map(crate::bench::word).collect();
    assert_eq!(words, ["INVITE", "INVITE", "REGISTER", "BYE", "cancelled", "200"]);
    assert!(matches!(&heard[4], TuEvent::Cancelled { transaction, .. } if *transaction == call));
    let scanner = bench.stack.scanner();
    assert_eq!((scanner.overload, scanner.dropped, bench.stack.transactions().refused), (2, 0, 0));
    assert_eq!(bench.alive().1, 6, "what was refused has no transaction");
    // Nothing waits any more.
    bench.receive(invite(4));
    assert_eq!(bench.told(0), [told(MOST + 1, "INVITE")]);
}

/// What waits in the kernel is old when it is read: its age counts from when the sockets were last empty.
#[test]
fn a_backlog_in_the_sockets() {
    let mut bench = Bench::new();
    bench.stack.behind(true, bench.now);
    for (ms, new, preferred) in [(80, true, true), (90, false, true), (101, false, false), (400, false, false)] {
        bench.run_to(ms);
        bench.sent();
        bench.receive(invite(ms as usize));
        bench.receive(register(ms as usize));
        let sent = bench.sent();
        sent.iter().for_each(|sent| drop(refused(sent)));
        assert_eq!(
            (bench.told(0).len(), sent.len()),
            match (new, preferred) {
                (true, _) => (2, 0),
                (false, true) => (1, 1),
                (false, false) => (0, 2),
            }
        );
        carries_on(&mut bench, ms as usize);
    }
    // Four times as long: not even an answer. What comes on a stream gets one, for nobody would send it again.
    bench.run_to(4 * MOST + 1);
    bench.sent();
    (0..3).for_each(|n| bench.receive(invite(1000 + n)));
    bench.nothing_sent();
    assert_eq!(bench.stack.scanner().dropped, 3);
    bench.receive_on(TCP, PEER, 7, invite(2000));
    let sent = bench.one_sent();
    refused(&sent);
    assert_eq!(sent.connection.0, 7);
    carries_on(&mut bench, 1000);
    // Empty once: all is well at once.
    bench.stack.behind(false, bench.now);
    bench.stack.behind(true, bench.now);
    bench.receive(invite(3000));
    assert_eq!(bench.told(0).len(), 1);
}

/// A stack with UDP, TCP and WebSocket that has to refuse what is new.
fn overloaded(options: StackOptions) -> Bench {
    let on = [TransportType::Udp, TransportType::Tcp, TransportType::Ws].map(|kind| (kind, OURS.parse().unwrap()));
    let mut bench = Bench::on(&options, &[TuOptions::default()], &on);
    bench.run_to(1000);
    bench.stack.behind(true, bench.now);
    bench.run_to(1000 + MOST);
    bench.sent();
    bench
}

/// When even answers take too long, they are given on connections alone: a WebSocket message is repeated by nobody, a
/// datagram is, also one above its source's rate.
#[test]
fn what_is_dropped_and_what_is_not() {
    let source_limits = SourceLimits { rate: 1, ..SourceLimits::default() };
    let mut bench = overloaded(StackOptions { source_limits, ..StackOptions::default() });
    bench.run_to(1000 + 4 * MOST + 1);
    bench.receive_on(WS, PEER, 8, invite(1).replace("SIP/2.0/UDP", "SIP/2.0/WS"));
    let sent = bench.one_sent();
    refused(&sent);
    assert_eq!(sent.connection.0, 8);
    (10..13).for_each(|n| bench.receive(invite(n)));
    bench.nothing_sent();
    assert_eq!((bench.stack.scanner().dropped, bench.stack.scanner().excess), (3, 2));
}

/// The filter in the kernel is narrowed by what it would have dropped, and by nothing else: who finds a way past it must
/// not have others shut out.
#[test]
fn only_what_the_kernel_could_drop_narrows_its_filter() {
    let mut bench = overloaded(StackOptions::default());
    for n in 0..50 {
        bench.receive(incoming_call("REFER", &format!("192.0.2.9;branch=z9hG4bKr{n}"), "", &format!("refer-{n}")));
        bench.receive_on(TCP, PEER, 7, invite(n).replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
        bench.receive_on(WS, PEER, 8, invite(n).replace("SIP/2.0/UDP", "SIP/2.0/WS"));
    }
    bench.run_to(1350);
    bench.receive(invite(1000));
    assert_eq!((bench.sent().iter().map(refused).count(), bench.stack.share()), (151, 1024));
    (2000..2050).for_each(|n| bench.receive(format!("\r\n{}", invite(n))));
    bench.run_to(1650);
    bench.receive(invite(3000));
    assert!(bench.stack.share() < 1024);
}

/// An INVITE that comes again while its call is being set up is not a new one, whatever the zone.
#[test]
fn what_was_taken_on_is_not_refused_when_it_comes_again() {
    let mut bench = Bench::new();
    bench.receive(invite(1));
    let (call, msg) = bench.request();
    bench.respond(call, msg.make_response(180, None, Some("a1")));
    assert_eq!(first_line(&bench.one_sent()), "180 Ringing");
    bench.stack.behind(true, bench.now);
    bench.run_to(MOST + 50);
    bench.receive(invite(1));
    assert_eq!(first_line(&bench.one_sent()), "180 Ringing");
    bench.receive(invite(2));
    refused(&bench.one_sent());
    assert_eq!((bench.heard(0).len(), bench.stack.transactions().absorbed), (0, 1));
}

/// A BYE behind calls that are refused is served in the same pass.
#[test]
fn a_bye_does_not_wait_for_refusals() {
    let mut bench = Bench::new();
    bench.stack.behind(true, bench.now);
    bench.run_to(MOST);
    let bye = incoming_call("BYE", "192.0.2.9;branch=z9hG4bKbye", "a1", "call-1");
    for text in (0..50).map(invite).chain([bye]) {
        assert!(bench.stack.receive(0, PEER.parse().unwrap(), 0, text.into(), bench.now));
    }
    let (_, sent) = bench.pass();
    assert_eq!(sent.iter().map(refused).count(), 50);
    assert_eq!(bench.told(0), [told(MOST, "BYE")]);
}

fn limited(source_limits: SourceLimits) -> Bench {
    let options = StackOptions { source_limits, ..StackOptions::default() };
    Bench::with(&options, &[TuOptions::default()])
}

/// A source that sends too much: what is above is refused, what belongs to calls is not; another source is not touched.
#[test]
fn a_source_has_a_rate() {
    let mut bench = limited(SourceLimits { rate: 10, burst: 5, ..SourceLimits::default() });
    (0..8).for_each(|n| bench.receive(invite(n)));
    assert_eq!(bench.told(0).len(), 5);
    assert_eq!(bench.sent().iter().map(refused).count(), 3);
    carries_on(&mut bench, 0);
    bench.receive_on(0, "192.0.2.10:5060", 0, invite(100).replace("192.0.2.9", "192.0.2.10"));
    assert_eq!(bench.told(0).len(), 1, "the other's");
    bench.nothing_sent();
    (200..206).for_each(|n| bench.receive_on(TCP, PEER, 7, invite(n)));
    assert_eq!(bench.told(0).len(), 5, "its connections' own");
    refused(&bench.one_sent());
    bench.run_to(100);
    bench.sent();
    (10..13).for_each(|n| bench.receive(invite(n)));
    assert_eq!((bench.told(0).len(), bench.sent().len(), bench.stack.scanner().excess), (1, 2, 6));
}

/// A To tag that anybody can write is no way round the rate: four times as many pass, and what ends calls always does.
#[test]
fn a_source_has_a_rate_within_dialogs_too() {
    let mut bench = limited(SourceLimits { rate: 1, ..SourceLimits::default() });
    let within = |n: usize, method: &str| {
        incoming_call(method, &format!("192.0.2.9;branch=z9hG4bK{method}{n}"), "forged", &format!("call-{n}"))
    };
    (0..6).for_each(|n| bench.receive(within(n, "INVITE")));
    assert_eq!(bench.told(0).len(), 4);
    assert!(bench.sent().iter().all(|sent| refused(sent) == "forged"));
    // One of those that were taken on comes again.
    bench.receive(within(0, "INVITE"));
    assert_eq!((first_line(&bench.one_sent()).as_str(), bench.stack.transactions().absorbed), ("100 Trying", 1));
    (0..9).for_each(|n| bench.receive(within(n, "BYE")));
    assert_eq!(bench.told(0).len(), 9);
    bench.nothing_sent();
}

/// Who sends garbage again and again is not heard until the ban has ended. A request that is refused as malformed is SIP.
/// Datagrams whose source anybody may have written do no harm to connections.
#[test]
fn garbage_leads_to_a_ban_that_ends() {
    let ban_for = Duration::from_secs(30);
    let mut bench = limited(SourceLimits { ban_after: 3, ban_for, ..SourceLimits::default() });
    let bad = incoming("OPTIONS", "192.0.2.9;branch=z9hG4bKbad", "").replace("CSeq: 3", "CSeq: x");
    for _ in 0..4 {
        bench.receive(bad.clone());
        assert_eq!(first_line(&bench.one_sent()), "400 Bad Request (CSeq: number expected (offset 0))");
    }
    bench.receive("no SIP at all");
    bench.receive("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    bench.receive(invite(1));
    assert_eq!(bench.told(0).len(), 1, "two offences are none");
    bench.receive("again");
    bench.receive(invite(2));
    assert_eq!(bench.told(0).len(), 0);
    assert_eq!((bench.stack.scanner().banned, bench.stack.scanner().bans), (1, 1));
    bench.receive_on(TCP, PEER, 7, invite(3));
    assert_eq!((bench.told(0).len(), bench.stack.closed.len()), (1, 0), "a connection");
    bench.receive_on(0, "192.0.2.10:5060", 0, invite(4));
    assert_eq!(bench.told(0).len(), 1, "another source");
    bench.run_to(30_000);
    bench.receive(invite(5));
    assert_eq!(bench.told(0).len(), 1);
}

/// Garbage on connections: nothing of its source is read, and what it has is closed when more comes on it.
#[test]
fn garbage_on_connections_bans_all_of_a_source() {
    let on = [TransportType::Udp, TransportType::Tcp, TransportType::Ws].map(|kind| (kind, OURS.parse().unwrap()));
    let source_limits = SourceLimits { ban_after: 2, ban_for: Duration::from_secs(30), ..SourceLimits::default() };
    let options = StackOptions { source_limits, ..StackOptions::default() };
    let mut bench = Bench::on(&options, &[TuOptions::default()], &on);
    bench.receive_on(WS, PEER, 8, "no SIP");
    bench.receive_on(TCP, PEER, 7, "\u{1}\r\n\r\n");
    assert_eq!(bench.stack.scanner().bans, 1);
    bench.receive(invite(1));
    bench.receive_on(TCP, PEER, 9, invite(2));
    bench.receive_on(WS, PEER, 8, invite(3));
    bench.nothing_sent();
    assert_eq!((bench.told(0).len(), bench.stack.scanner().banned), (0, 3));
    assert_eq!(bench.stack.closed.iter().map(|(_, connection)| connection.0).collect::<Vec<_>>(), [7, 9, 8]);
}

/// A ban by hand needs no limits.
#[test]
fn a_ban_by_hand() {
    let mut bench = Bench::new();
    bench.stack.ban("192.0.2.9".parse().unwrap(), Duration::from_secs(1), bench.now);
    bench.receive(invite(1));
    assert_eq!((bench.told(0).len(), bench.stack.scanner().banned), (0, 1));
    bench.run_to(1000);
    bench.receive(invite(2));
    assert_eq!(bench.told(0).len(), 1);
}

fn controlled() -> Bench {
    let overload = OverloadOptions { control: true, ..OverloadOptions::default() };
    Bench::with(&StackOptions { overload, ..StackOptions::default() }, &[TuOptions::default()])
}

fn oc(sent: &Sent) -> Option<u32> {
    parse(sent).first(h::VIAS).unwrap().params.get("oc").and_then(|oc| oc.parse().ok())
}

/// RFC 7339 as a server: who offers it is told what to leave out, when we are in overload; who does not is told nothing.
#[test]
fn a_neighbour_is_told_what_to_leave_out() {
    let mut bench = controlled();
    let offer = |n: usize| invite(n).replace(&format!("z9hG4bK{n}"), &format!("z9hG4bK{n};oc;oc-algo=\"loss\""));
    let (plain, offering) = (invite(1), offer(2));
    for (text, expected) in [(plain, None), (offering, Some(0))] {
        bench.receive(text);
        let (call, msg) = bench.request();
        bench.respond(call, msg.make_response(180, None, Some("a1")));
        assert_eq!(oc(&bench.one_sent()), expected);
    }
    bench.run_to(1000);
    bench.stack.behind(true, bench.now);
    bench.run_to(1000 + MOST);
    bench.sent();
    (10..60).for_each(|n| bench.receive(offer(n)));
    assert_eq!(bench.sent().iter().map(refused).count(), 50);
    // At the next look, all that came was refused.
    bench.run_to(1300);
    bench.sent();
    bench.receive(offer(100));
    let told = bench.one_sent();
    refused(&told);
    assert!(oc(&told).is_some_and(|loss| loss > 50), "{:?}", oc(&told));
    bench.receive(invite(101));
    assert_eq!(oc(&bench.one_sent()), None);
    // All is well again: less and less is to be left out, then nothing.
    bench.stack.behind(false, bench.now);
    bench.run_to(10_000);
    bench.sent();
    bench.receive(offer(102));
    let (call, msg) = bench.request();
    bench.respond(call, msg.make_response(180, None, Some("a1")));
    assert_eq!(oc(&bench.one_sent()), Some(0));
}

/// What strangers are refused, or lose, is not what a neighbour should leave out; what it loses itself is.
#[test]
fn a_neighbour_does_not_pay_for_strangers() {
    let mut bench = controlled();
    let offer = |n: usize| invite(n).replace(&format!("z9hG4bK{n}"), &format!("z9hG4bK{n};oc;oc-algo=\"loss\""));
    bench.run_to(1000);
    bench.stack.behind(true, bench.now);
    bench.run_to(1000 + MOST);
    (10..60).for_each(|n| bench.receive(invite(n)));
    bench.run_to(1300);
    bench.sent();
    bench.receive(offer(100));
    assert_eq!(oc(&bench.one_sent()), Some(0));
    bench.run_to(1000 + 4 * MOST + 1);
    (200..250).for_each(|n| bench.receive(offer(n)));
    assert_eq!(bench.stack.scanner().dropped, 50);
    bench.run_to(1700);
    bench.receive_on(TCP, PEER, 7, offer(300).replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    assert!(bench.sent().iter().filter_map(oc).any(|loss| loss > 50));
}

/// RFC 7339 as a client: what the next hop wants left out is answered here, and what belongs to calls still goes there.
#[test]
fn what_the_next_hop_wants_is_left_out() {
    let mut bench = controlled();
    bench.send(request("OPTIONS"));
    let sent = bench.one_sent();
    assert!(line(&sent, "Via").ends_with(";rport;oc;oc-algo=\"loss\""), "{}", line(&sent, "Via"));
    let reply = String::from_utf8(answer(&sent, 200).to_vec()).unwrap();
    bench.receive(reply.replace(";oc;", ";oc=100;oc-validity=2000;oc-seq=1.1;"));
    assert_eq!(bench.told(0), [told(0, "200")]);
    bench.send(request("INVITE"));
    assert_eq!(bench.told(0), [told(0, "congested")]);
    bench.nothing_sent();
    let mut bye = request("BYE");
    bye.add_to_tag("b2");
    bench.send(bye);
    assert_eq!(first_line(&bench.one_sent()), "BYE sip:bob@192.0.2.9");
    bench.run_to(400);
    bench.sent();
    bench.now = rutil::Time::from_millis(2000);
    bench.send(request("INVITE"));
    assert!(bench.sent().iter().any(|sent| first_line(sent).starts_with("INVITE")), "it is no longer valid");
}

/// Off, nothing is asked.
#[test]
fn it_can_be_switched_off() {
    let overload = OverloadOptions { max_wait: None, ..OverloadOptions::default() };
    let options = StackOptions { overload, ..StackOptions::default() };
    let mut bench = Bench::with(&options, &[TuOptions::default()]);
    bench.stack.behind(true, bench.now);
    bench.run_to(60_000);
    bench.receive(invite(1));
    assert_eq!(bench.told(0), [told(60_000, "INVITE")]);
}
