//! The streams of a shard, and what bounds their partial messages: octets in all, and time.
//!
//! A message that is not complete takes memory for as long as its sender likes. So each has its time, and when all
//! together take more than their budget, the one that is incomplete longest is given up: an honest peer completes a
//! message within a few round trips, and only who sends the whole budget within that time can have it given up.

use super::stream::StreamScanner;
use crate::message::Limits;
use crate::transport::{ConnectionId, Flow, TransportId};
use rutil::{HashMap, Rng, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// Connections of different transports may have the same id.
type Name = (TransportId, ConnectionId);

fn name(flow: &Flow) -> Name {
    (flow.transport, flow.connection)
}

/// One [`StreamScanner`] a connection, from the first octets until the transport says that the connection is closed;
/// the transports bound the number of connections.
pub(super) struct Streams {
    limits: Limits,
    /// Octets that all partial messages may take.
    most: usize,
    /// How long a message may be incomplete.
    patience: Duration,
    streams: HashMap<Name, Stream>,
    /// When the time of each partial message is up, the oldest first: one entry for each stream that has one.
    due: BTreeSet<(Time, Name)>,
    /// Octets that all partial messages take.
    octets: usize,
}

/// One stream, taken out of the table while it is fed.
pub(super) struct Stream {
    pub(super) scanner: StreamScanner,
    flow: Flow,
    /// Octets of it in the sum.
    counted: usize,
    /// The partial message that it waits for, and when that one's time is up.
    waits: Option<(u32, Time)>,
}

impl Streams {
    pub(super) fn new(limits: Limits, most: usize, patience: Duration, rng: &mut Rng) -> Self {
        let streams = HashMap::with_hasher(rutil::Keyed::new(rng));
        Streams { limits, most, patience, streams, due: BTreeSet::new(), octets: 0 }
    }

    /// The stream of a flow, a new one at its first octets.
    pub(super) fn take(&mut self, flow: Flow) -> Stream {
        let fresh = || Stream { scanner: StreamScanner::new(self.limits), flow, counted: 0, waits: None };
        self.streams.remove(&name(&flow)).unwrap_or_else(fresh)
    }

    /// Puts a stream back that was fed.
    pub(super) fn put(&mut self, mut stream: Stream, now: Time) {
        self.recount(&mut stream, now);
        self.streams.insert(name(&stream.flow), stream);
    }

    /// The connection is closed.
    pub(super) fn remove(&mut self, flow: &Flow) {
        if let Some(mut stream) = self.streams.remove(&name(flow)) {
            stream.scanner.stop();
            self.recount(&mut stream, Time::ZERO);
        }
    }

    fn recount(&mut self, stream: &mut Stream, now: Time) {
        let held = stream.scanner.held();
        self.octets = self.octets - stream.counted + held;
        stream.counted = held;
        let partial = stream.scanner.partial();
        if partial == stream.waits.map(|(partial, _)| partial) {
            return;
        }
        if let Some((_, due)) = stream.waits {
            self.due.remove(&(due, name(&stream.flow)));
        }
        stream.waits = partial.map(|partial| (partial, now + self.patience));
        if let Some((_, due)) = stream.waits {
            self.due.insert((due, name(&stream.flow)));
        }
    }

    /// Octets that all partial messages take.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// When the time of the oldest partial message is up.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Gives the oldest partial message up if its time is up; its stream gives nothing more.
    pub(super) fn late(&mut self, now: Time) -> Option<Flow> {
        self.deadline().filter(|due| *due <= now).and_then(|_| self.give_up())
    }

    /// Gives the oldest partial message up if all take more than they may; its stream gives nothing more.
    pub(super) fn crowded(&mut self) -> Option<Flow> {
        if self.octets > self.most { self.give_up() } else { None }
    }

    fn give_up(&mut self) -> Option<Flow> {
        let (_, name) = self.due.first()?;
        let mut stream = self.streams.remove(name)?;
        stream.scanner.stop();
        let flow = stream.flow;
        self.put(stream, Time::ZERO);
        Some(flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::TransportType;
    use bytes::Bytes;

    const LIMITS: Limits = Limits { start_line: 64, header_line: 64, headers: 8, message: 4096 };
    const HEAD: &str = "OPTIONS sip:a SIP/2.0\r\nl: 1000\r\n\r\n";

    fn flow(transport: u16, connection: u64) -> Flow {
        let (transport, connection) = (TransportId(transport), ConnectionId(connection));
        Flow { transport, kind: TransportType::Tcp, connection, peer: "192.0.2.9:5060".parse().unwrap(), local: None }
    }

    struct Bench {
        streams: Streams,
        flows: Vec<Flow>,
    }

    impl Bench {
        fn new(most: usize) -> Self {
            let streams = Streams::new(LIMITS, most, Duration::from_millis(1000), &mut Rng::from_seed(1));
            Bench { streams, flows: Vec::new() }
        }

        /// Feeds octets at a time, and checks the sums; how many messages came out.
        fn feed(&mut self, flow: Flow, text: &str, ms: u64) -> usize {
            let mut stream = self.streams.take(flow);
            let mut messages = 0;
            stream.scanner.feed(Bytes::copy_from_slice(text.as_bytes()), |_| messages += 1);
            self.streams.put(stream, Time::from_millis(ms));
            self.flows.push(flow);
            self.check();
            messages
        }

        fn check(&self) {
            let streams = &self.streams.streams;
            assert_eq!(self.streams.octets, streams.values().map(|s| s.scanner.held()).sum::<usize>());
            let waiting = streams.values().filter(|s| s.scanner.partial().is_some());
            let due: BTreeSet<_> = waiting.map(|s| (s.waits.unwrap().1, name(&s.flow))).collect();
            assert_eq!(self.streams.due, due);
        }

        fn late(&mut self, ms: u64) -> Vec<Flow> {
            let late: Vec<Flow> = std::iter::from_fn(|| self.streams.late(Time::from_millis(ms))).collect();
            self.check();
            late
        }

        fn crowded(&mut self) -> Vec<Flow> {
            let crowded: Vec<Flow> = std::iter::from_fn(|| self.streams.crowded()).collect();
            self.check();
            crowded
        }

        /// All connections close; nothing is left.
        fn end(mut self) {
            for flow in std::mem::take(&mut self.flows) {
                self.streams.remove(&flow);
                self.check();
            }
            assert_eq!((self.streams.streams.len(), self.streams.octets, self.streams.deadline()), (0, 0, None));
        }
    }

    #[test]
    fn each_partial_message_has_its_time() {
        let mut bench = Bench::new(1 << 20);
        let (slow, busy) = (flow(0, 1), flow(0, 2));
        let message = format!("{HEAD}{}", "x".repeat(1000));
        assert_eq!(bench.feed(slow, "OPT", 0), 0);
        assert_eq!(bench.feed(busy, &format!("{message}OPT"), 500), 1);
        // An octet now and then earns no time.
        assert_eq!(bench.feed(slow, "I", 900), 0);
        assert_eq!(bench.late(999), []);
        // The end of one message and the beginning of the next does.
        assert_eq!(bench.feed(busy, &format!("{}OPT", &message[3..]), 999), 1);
        assert_eq!(bench.late(1500), [slow]);
        assert_eq!(bench.feed(slow, &message, 1501), 0, "nothing more is read");
        assert_eq!(bench.streams.deadline(), Some(Time::from_millis(1999)));
        // What is complete has no time, nor have line ends.
        assert_eq!(bench.feed(busy, &format!("{}\r\n", &message[3..]), 1998), 1);
        assert_eq!((bench.streams.deadline(), bench.streams.octets()), (None, 0));
        bench.end();
    }

    #[test]
    fn when_all_take_too_much_the_oldest_goes() {
        let mut bench = Bench::new(5000);
        let large = format!("{HEAD}{}", "x".repeat(900));
        for (connection, text) in [(1, &large), (2, &large), (3, &HEAD.to_owned()), (4, &large), (5, &large)] {
            bench.feed(flow(0, connection), text, connection);
        }
        assert_eq!(bench.crowded(), []);
        bench.feed(flow(0, 6), &large, 6);
        bench.feed(flow(0, 7), &large, 7);
        // Who is older goes first, whatever it holds.
        assert_eq!(bench.crowded(), [flow(0, 1)]);
        bench.feed(flow(0, 8), &large.repeat(2), 8);
        assert_eq!(bench.crowded(), [flow(0, 2)]);
        assert!(bench.streams.octets() <= 5000);
        bench.end();
    }

    /// Each transport counts its connections for itself.
    #[test]
    fn connections_of_two_transports_with_one_id_are_two() {
        let mut bench = Bench::new(1 << 20);
        let (first, rest) = HEAD.split_at(20);
        assert_eq!(bench.feed(flow(0, 1), first, 0), 0);
        assert_eq!(bench.feed(flow(1, 1), &HEAD.replace("1000", "0"), 0), 1);
        assert_eq!(bench.feed(flow(0, 1), &rest.replace("1000", "0"), 0), 1);
        bench.end();
    }
}
