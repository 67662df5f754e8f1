//! Client transactions: retransmissions, timeouts, what is absorbed and what is passed up.

use crate::bench::{Bench, PEER, TCP, answer, first_line, line, parse, request, request_to, times, told};
use stack::header::h;
use stack::tu::{SendOptions, TuOptions};
use std::collections::VecDeque;
use tests::played::capacity;

#[test]
fn timer_a_doubles_until_timer_b() {
    let mut bench = Bench::new();
    bench.send(request("INVITE"));
    bench.run_to(40_000);
    let sent = bench.sent();
    assert_eq!(times(&sent), [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
    assert!(sent.iter().all(|s| s.bytes == sent[0].bytes && s.peer == PEER.parse().unwrap()));
    assert_eq!(bench.told(0), [told(32_000, "timeout")]);
    assert_eq!((bench.alive(), bench.stack.transactions().timeouts), ((0, 0), 1));
}

#[test]
fn timer_e_doubles_to_t2_until_timer_f() {
    let mut bench = Bench::new();
    bench.send(request("OPTIONS"));
    bench.run_to(40_000);
    let all = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(times(&bench.sent()), all);
    assert_eq!(bench.told(0), [told(32_000, "timeout")]);
    assert_eq!(bench.alive(), (0, 0));
}

/// Of the two timers of a request that is answered before T1 only that of its repetition was armed.
#[test]
fn what_is_answered_at_once_arms_no_timeout() {
    for method in ["INVITE", "OPTIONS"] {
        let mut bench = Bench::new();
        let armed = |bench: &Bench| bench.stack.meters().find(|m| m.name() == "timer").unwrap().passed();
        bench.send(request(method));
        let sent = bench.one_sent();
        bench.run_to(100);
        assert_eq!(armed(&bench), 1, "{method}: A or E");
        bench.receive(answer(&sent, 200));
        bench.run_to(200);
        assert_eq!(armed(&bench), 2, "{method}: M or K");
    }
}

/// RFC 3261 §17.1.2.2: what is armed fires when it was to fire; from then on at intervals of T2.
#[test]
fn in_proceeding_timer_e_runs_at_t2() {
    let mut bench = Bench::new();
    bench.send(request("OPTIONS"));
    let sent = bench.one_sent();
    bench.run_to(600);
    bench.receive(answer(&sent, 100));
    bench.run_to(40_000);
    assert_eq!(times(&bench.sent()), [500, 1500, 5500, 9500, 13_500, 17_500, 21_500, 25_500, 29_500]);
    assert_eq!(bench.told(0), [told(600, "100"), told(32_000, "timeout")]);
}

#[test]
fn a_provisional_response_ends_timers_a_and_b() {
    let mut bench = Bench::new();
    bench.send(request("INVITE"));
    let sent = bench.one_sent();
    bench.run_to(100);
    bench.receive(answer(&sent, 180));
    bench.run_to(400_000);
    bench.nothing_sent();
    assert_eq!(bench.told(0), [told(100, "180")]);
    assert_eq!(bench.alive(), (1, 0), "Timer C is the proxy's");
}

#[test]
fn over_a_stream_nothing_is_repeated() {
    for method in ["INVITE", "OPTIONS"] {
        let mut bench = Bench::new();
        bench.send(request_to(method, "sip:bob@192.0.2.9;transport=tcp"));
        bench.run_to(40_000);
        assert_eq!(times(&bench.sent()), [0], "{method}");
        assert_eq!(bench.told(0), [told(32_000, "timeout")], "{method}");
        assert_eq!(bench.alive(), (0, 0));
    }
}

#[test]
fn timer_d_absorbs_and_the_ack_is_repeated() {
    let mut bench = Bench::new();
    let mut invite = request("INVITE");
    invite.append_line("Route", "<sip:192.0.2.9;lr>");
    bench.send(invite);
    let sent = bench.one_sent();
    bench.receive(answer(&sent, 486));
    let ack = bench.one_sent();
    assert_eq!(first_line(&ack), "ACK sip:bob@192.0.2.9");
    for same in ["Via", "From", "Call-ID", "Route"] {
        assert_eq!(line(&ack, same), line(&sent, same), "{same}");
    }
    assert_eq!((line(&ack, "To").as_str(), line(&ack, "CSeq").as_str()), ("<sip:bob@192.0.2.9>;tag=b2", "7 ACK"));
    assert_eq!((parse(&ack).header(h::VIAS).count(), parse(&ack).body().len()), (1, 0));
    bench.run_to(31_999);
    bench.receive(answer(&sent, 486));
    assert_eq!(bench.one_sent().bytes, ack.bytes);
    // Only a 300–699 is answered there.
    bench.receive(answer(&sent, 180));
    bench.receive(answer(&sent, 200));
    bench.nothing_sent();
    assert_eq!(bench.told(0), [told(0, "486")]);
    bench.run_to(32_000);
    assert_eq!(bench.alive(), (0, 0));
    bench.receive(answer(&sent, 486));
    bench.nothing_sent();
    assert_eq!((bench.told(0), bench.stack.transactions().stray_responses), (vec![], 1));
}

#[test]
fn over_a_stream_timers_d_and_k_are_zero() {
    for (method, code) in [("INVITE", 486), ("OPTIONS", 200)] {
        let mut bench = Bench::new();
        bench.send(request_to(method, "sip:bob@192.0.2.9;transport=tcp"));
        let sent = bench.one_sent();
        bench.receive_on(TCP, PEER, 1, answer(&sent, code));
        assert_eq!((bench.told(0), bench.alive()), (vec![told(0, &code.to_string())], (0, 0)), "{method}");
        assert_eq!(bench.sent().len(), usize::from(method == "INVITE"), "the ACK");
    }
}

#[test]
fn timer_k_absorbs_for_t4() {
    let mut bench = Bench::new();
    bench.send(request("OPTIONS"));
    let sent = bench.one_sent();
    bench.receive(answer(&sent, 200));
    bench.run_to(4999);
    bench.receive(answer(&sent, 200));
    bench.receive(answer(&sent, 404));
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "200")], (1, 0)));
    bench.run_to(5000);
    assert_eq!(bench.alive(), (0, 0));
    bench.nothing_sent();
}

#[test]
fn every_2xx_passes_until_timer_m() {
    let options = TuOptions { terminations: true, ..TuOptions::default() };
    let mut bench = Bench::with(&stack::StackOptions::default(), &[options]);
    bench.send(request("INVITE"));
    let sent = bench.one_sent();
    for at in [0, 500, 31_999] {
        bench.run_to(at);
        bench.receive(answer(&sent, 200));
    }
    bench.receive(answer(&sent, 486));
    bench.receive(answer(&sent, 180));
    bench.nothing_sent();
    bench.run_to(32_000);
    let all = [told(0, "200"), told(500, "200"), told(31_999, "200"), told(32_000, "client ended")];
    assert_eq!((bench.told(0).as_slice(), bench.alive()), (&all[..], (0, 0)));
    bench.receive(answer(&sent, 200));
    assert_eq!((bench.told(0), bench.stack.transactions().stray_responses), (vec![], 1));
}

#[test]
fn strange_responses_are_counted_and_dropped() {
    let mut bench = Bench::new();
    bench.send(request("OPTIONS"));
    let sent = bench.one_sent();
    let text = String::from_utf8(answer(&sent, 200).to_vec()).unwrap();
    // Another method than the transaction's (RFC 3261 §17.1.3), and a CANCEL that was never sent.
    bench.receive(text.replace("7 OPTIONS", "7 INVITE"));
    bench.receive(text.replace("7 OPTIONS", "7 CANCEL"));
    assert_eq!((bench.told(0), bench.stack.transactions().stray_responses), (vec![], 2));
    // A branch that has our shape and was never given, one that has not, no branch at all.
    let branch = parse(&sent).first(h::VIAS).unwrap().branch().unwrap().to_owned();
    bench.receive(text.replace(&branch, "z9hG4bK000000000000000002"));
    assert_eq!(bench.stack.transactions().stray_responses, 3);
    bench.receive(text.replace(&branch, "z9hG4bKtheirs"));
    bench.receive(text.replace(&format!(";branch={branch}"), ""));
    assert_eq!((bench.told(0), bench.stack.scanner().garbage), (vec![], 2));
    bench.receive(text);
    assert_eq!(bench.told(0), [told(0, "200")]);
}

/// Many requests at once: the answers to the first come while the news that they were sent still waits in `cmd`.
#[test]
fn an_answer_may_overtake_the_news_that_the_request_went_out() {
    const CALLS: usize = 300;
    let mut bench = Bench::new();
    bench.todo(0, |stack| {
        for _ in 0..CALLS {
            stack.send(request_to("INVITE", "sip:bob@192.0.2.9;transport=tcp"), SendOptions::default());
        }
    });
    let (mut invites, mut acks) = (0, 0);
    let mut answers = VecDeque::new();
    loop {
        let (worked, sent) = bench.pass();
        for sent in &sent {
            if first_line(sent).starts_with("ACK") {
                acks += 1;
                continue;
            }
            invites += 1;
            answers.extend([100, 486].map(|code| answer(sent, code)));
        }
        // What finds no room in `rx` is read later.
        while let Some(octets) = answers.front() {
            if !bench.stack.receive(TCP, PEER.parse().unwrap(), 1, octets.clone(), bench.now) {
                break;
            }
            answers.pop_front();
        }
        if !worked && sent.is_empty() && answers.is_empty() {
            break;
        }
    }
    assert_eq!((invites, acks), (CALLS, CALLS));
    let finals = bench.told(0).into_iter().filter(|(_, what)| what == "486").count();
    assert_eq!((finals, bench.alive()), (CALLS, (0, 0)));
}

/// A burst is not refused because it is larger than the next FIFO: who passes it on does so as fast as it is taken.
#[test]
fn a_burst_larger_than_out_is_sent() {
    let burst = 4 * capacity("cmd");
    let mut bench = Bench::new();
    bench.todo(0, move |stack| {
        for _ in 0..burst {
            stack.send(request("OPTIONS"), SendOptions::default());
        }
    });
    let mut sent = 0;
    loop {
        let (worked, now) = bench.pass();
        sent += now.len();
        if !worked {
            break;
        }
    }
    assert_eq!((sent, bench.told(0).len(), bench.stack.transactions().shed), (burst, 0, 0));
}
