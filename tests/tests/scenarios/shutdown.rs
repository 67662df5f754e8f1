//! A stack ends while a dialog goes on.

use crate::repro::LIMIT;
use rutil::Time;
use stack::message::Message;
use stack::tu::{ServerTransaction, TransactionUser, TuContext, TuEvent, TuOptions};
use stack::{Stack, TransportSpec};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Thinks for a moment before it answers.
struct Thinker {
    asked: Vec<(Time, ServerTransaction, Box<Message>)>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    answered: AtomicU64,
}

impl TransactionUser for Thinker {
    fn name(&self) -> &'static str {
        "thinker"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        let TuEvent::Request { transaction, msg } = event else { return };
        self.counts.asked.fetch_add(1, Ordering::SeqCst);
        self.asked.push((stack.now() + Duration::from_millis(5), transaction, msg));
    }

    fn deadline(&self) -> Option<Time> {
        self.asked.first().map(|(due, ..)| *due)
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        let now = stack.now();
        for (_, transaction, msg) in self.asked.extract_if(.., |(due, ..)| *due <= now) {
            stack.respond(transaction, msg.make_response(200, None, None));
            self.counts.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Asks within a dialog, with pauses in which nothing is under way, until it is told to end.
fn ask(proxy: SocketAddr, over: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let own = socket.local_addr().expect("it is bound");
    // Longer than the thinking, and the pause after the answer.
    socket.set_read_timeout(Some(Duration::from_millis(8))).expect("a limit");
    let mut buffer = [0; 2048];
    for number in 1.. {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let request = format!(
            "INFO sip:bob@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@{own}>;tag=a\r\nTo: <sip:bob@{proxy}>;tag=b\r\nCall-ID: call@{own}\r\nCSeq: {number} INFO\r\n\
             Content-Length: 0\r\n\r\n"
        );
        // It may be gone by now.
        let _ = socket.send_to(request.as_bytes(), proxy);
        let _ = socket.recv(&mut buffer);
    }
}

/// Whatever a transaction user was told of is answered before the stack ends, also what comes when the end has begun.
#[test]
fn what_begins_in_the_last_moment_is_answered() {
    for _ in 0..10 {
        let counts = Arc::<Counts>::default();
        let mut builder = Stack::builder();
        builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
        let of_user = counts.clone();
        builder.register_tu(TuOptions::default(), move |_| Thinker { asked: Vec::new(), counts: of_user.clone() });
        let stack = builder.start().expect("it starts");
        let proxy = stack.transports().iter().next().expect("one").bound;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| ask(proxy, &over));
            // Whoever lets it serve does not open what the end has shut.
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    stack.set_passive(false);
                    std::thread::yield_now();
                }
            });
            while counts.answered.load(Ordering::SeqCst) < 3 {
                std::thread::yield_now();
            }
            assert!(stack.shutdown(LIMIT), "it is drained");
            over.store(true, Ordering::SeqCst);
        });
        assert_eq!(counts.asked.load(Ordering::SeqCst), counts.answered.load(Ordering::SeqCst));
    }
}
