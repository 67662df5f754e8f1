//! The actor on its own thread, with the system's own names.

use super::super::records::RecordType;
use super::*;
use rutil::time::RealClock;
use rutil::{Bell, FifoReceiver, fifo};
use std::net::IpAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

fn lookup(name: &str, token: u64) -> Lookup {
    Lookup { query: Query::new(name, RecordType::A), token, shard: 0 }
}

struct Bench {
    handle: ResolverHandle,
    threads: mpsc::Receiver<JoinHandle<io::Result<()>>>,
    answers: FifoReceiver<Answer>,
    bell: Bell,
    rung: mpsc::Receiver<()>,
}

fn bench(capacity: usize) -> Bench {
    let (ring, rung) = mpsc::channel();
    let bell = Bell::new(move || ring.send(()).unwrap());
    let (tx, answers) = fifo("dns_done", capacity, bell.clone());
    let (born, threads) = mpsc::channel();
    let handle = ResolverHandle::new(move |handle| {
        let (answers, clock) = (vec![tx.clone()], RealClock::new());
        let options = ResolverOptions { timeout: Duration::from_millis(500) };
        let thread = std::thread::Builder::new().name("sip-control".into());
        let thread = thread.spawn(move || serve(&handle, &options, answers, clock))?;
        born.send(thread).map_err(io::Error::other)
    });
    Bench { handle, threads, answers, bell, rung }
}

impl Bench {
    fn ask(&self, name: &str, token: u64) -> Result<(), Busy> {
        self.handle.try_lookup(lookup(name, token))
    }

    fn answer(&mut self) -> Answer {
        loop {
            self.bell.doze();
            if let Some(answer) = self.answers.pop() {
                self.bell.awake();
                return answer;
            }
            self.rung.recv_timeout(Duration::from_secs(10)).expect("the bell rings");
        }
    }

    fn end(self) {
        self.handle.stop();
        let thread = self.threads.recv_timeout(Duration::from_secs(10)).unwrap();
        thread.join().unwrap().unwrap();
        assert!(self.threads.try_recv().is_err(), "one thread only");
        assert_eq!(self.ask("localhost", 0), Err(Busy));
    }
}

#[test]
fn localhost_is_loopback_and_names_that_are_none_fail() {
    let mut bench = bench(8);
    bench.ask("localhost", 7).unwrap();
    let answer = bench.answer();
    assert_eq!(answer.token, 7);
    let Ok(Records::Addresses(addresses)) = answer.result else { panic!("{answer:?}") };
    assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    bench.ask("nonexistent.invalid", 8).unwrap();
    let answer = bench.answer();
    assert_eq!(answer.token, 8);
    answer.result.unwrap_err();
    bench.ask("two..dots", 9).unwrap();
    assert_eq!(bench.answer(), Answer { token: 9, result: Err(DnsError::BadName), ttl: None });
    bench.ask("192.0.2.1", 10).unwrap();
    assert_eq!(bench.answer().result, Ok(Records::Addresses(["192.0.2.1".parse().unwrap()].into())));
    bench.end();
}

#[test]
fn answers_are_held_while_their_fifo_is_full() {
    let mut bench = bench(1);
    for token in 0..50 {
        bench.ask("127.0.0.1", token).unwrap();
    }
    let mut tokens: Vec<u64> = (0..50).map(|_| bench.answer().token).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, (0..50).collect::<Vec<u64>>());
    bench.end();
}

#[test]
fn more_than_the_most_are_refused_until_some_are_done() {
    let mut bench = bench(1);
    let taken = (0..2 * MOST_LOOKUPS as u64).take_while(|&token| bench.ask("127.0.0.1", token).is_ok()).count();
    // One may be in the FIFO already and counted off.
    assert!((MOST_LOOKUPS..=MOST_LOOKUPS + 1).contains(&taken), "{taken}");
    for _ in 0..taken {
        bench.answer().result.unwrap();
    }
    bench.ask("127.0.0.1", 1).unwrap();
    bench.answer();
    bench.end();
}

#[test]
fn a_thread_that_does_not_start_is_tried_again() {
    let handle = ResolverHandle::new(|_| Err(io::Error::other("no threads left")));
    for token in 0..2 * MOST_LOOKUPS as u64 {
        assert_eq!(handle.try_lookup(lookup("a", token)), Err(Busy));
    }
    assert_eq!(handle.shared.under_way.load(Ordering::Acquire), 0);
    assert!(matches!(&*handle.shared.stage.lock(), Stage::Idle));
}
