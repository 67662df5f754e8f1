use super::super::Written;
use super::*;
use crate::cluster::changes;
use crate::config::Config;
use crate::location::{Binding, By, NewBinding};
use crate::processors::Processors;
use crate::store::NotKept;
use stack::transport::{ConnectionId, Flow, TransportId, TransportType};
use stack::uri::Uri;
use std::collections::BTreeMap;

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// What the scripts do, as far as a test needs it: values by address-of-record and field, and what is published.
#[derive(Default)]
struct Redis {
    values: BTreeMap<String, BTreeMap<String, String>>,
    published: Vec<String>,
    version: u64,
}

impl Redis {
    fn change(&mut self, command: &Command) -> Reply {
        let [aor, _channel, node, _most] = command.args.first_chunk::<4>().unwrap();
        self.version += 10;
        let (have, version) = (self.values.entry(aor.clone()).or_default(), self.version);
        let (mut told, mut stands) = (vec![node.clone(), aor.clone()], Vec::new());
        for change in command.args[4..].as_chunks::<6>().0 {
            let [kind, field, call, cseq, expires, text] = change;
            let old = have.get(field).map(|old| Value::read(old).unwrap());
            let number: u64 = cseq.parse().unwrap();
            let new = match (&**kind, old) {
                ("restore", Some(old)) if old.version >= number => {
                    stands.push("0".to_owned());
                    continue;
                }
                ("restore", _) => text.clone(),
                ("forget", Some(old)) if !old.gone && old.call_id == call && u64::from(old.cseq) <= number => {
                    format!("{version} {} g {cseq} {call}\n", old.expires)
                }
                ("forget", _) => {
                    stands.push("0".to_owned());
                    continue;
                }
                ("put", Some(old))
                    if !old.gone && old.call_id == call && old.json == text && u64::from(old.cseq) == number =>
                {
                    stands.push(old.version.to_string());
                    continue;
                }
                (_, Some(old)) if old.call_id == call && u64::from(old.cseq) >= number => {
                    let as_it_is = have.iter().flat_map(|(field, value)| [field.clone(), value.clone()]);
                    return Ok(std::iter::once(String::new()).chain(as_it_is).collect());
                }
                ("put", _) => format!("{version} {expires} b {cseq} {call}\n{text}"),
                (_, Some(old)) => format!("{version} {} g {cseq} {call}\n", old.expires),
                _ => {
                    stands.push("0".to_owned());
                    continue;
                }
            };
            stands.push(if kind == "restore" { cseq.clone() } else { version.to_string() });
            told.extend([field.clone(), new.clone()]);
            have.insert(field.clone(), new);
        }
        self.published.push(serde_json::to_string(&told).unwrap());
        Ok(stands)
    }

    fn read(&self, part: u16) -> Vec<Entry> {
        let of = self.values.iter().filter(|(aor, _)| part_of(aor) == part);
        of.map(|(aor, fields)| (aor.clone(), fields.clone().into_iter().collect())).collect()
    }
}

struct Bench {
    sharer: Sharer,
    cluster: Arc<Cluster>,
    server: Server,
    number: u64,
}

impl Bench {
    fn new(name: &str, life: u64) -> Self {
        let mut rng = Rng::from_seed(life);
        let chains = Processors::standard().chains(&Config::default().chains).unwrap();
        let server = Server::new(Config::default(), chains, &mut rng);
        let (cluster, jobs) = Cluster::new(name, life);
        let cluster = Arc::new(cluster);
        cluster.set_address("sip:192.0.2.1:5060".to_owned());
        server.compositor().set_cluster(cluster.clone());
        let listen = vec!["udp:127.0.0.1:5060".parse().unwrap(), "tcp:127.0.0.1:5060".parse().unwrap()];
        let notation = Notation { epoch: EPOCH, listen, shards: 1 };
        let sharer = Sharer::new((cluster.clone(), jobs), server.clone(), notation, "x", &mut rng);
        Bench { sharer, cluster, server, number: 0 }
    }

    fn connect(&mut self, redis: &mut Redis, now: Time) {
        self.sharer.on_connected(now);
        self.read(redis, now);
    }

    /// Reads everything, if everything is to be read.
    fn read(&mut self, redis: &mut Redis, now: Time) {
        loop {
            for (part, command) in self.sharer.reads(now) {
                assert_eq!(command.script, Script::Read);
                self.sharer.on_read(part, Ok(redis.read(part)), now);
            }
            self.work(redis, now);
            if self.sharer.is_synced() {
                return;
            }
        }
    }

    fn work(&mut self, redis: &mut Redis, now: Time) -> Posts {
        let mut posts = Posts::new();
        while let Some(commands) = self.sharer.take() {
            let replies = commands.iter().map(|command| redis.change(command)).collect();
            posts.extend(self.sharer.on_written(replies, now));
        }
        posts
    }

    fn hear(&mut self, redis: &Redis, now: Time) {
        redis.published.iter().for_each(|text| self.sharer.on_message(text, now));
    }

    /// What the registrar does.
    fn register(&mut self, new: Option<Binding>, now: Time) -> Result<(), NotKept> {
        self.cluster.reserve()?;
        let mut before = Vec::new();
        let (call_id, cseq) = new.as_ref().map_or(("c".into(), 99), |new| (new.call_id.clone(), new.cseq));
        let change = |own: &mut Vec<Binding>| {
            before = own.clone();
            own.clear();
            own.extend(new);
            Ok::<(), crate::location::StoreFull>(())
        };
        let after = self.server.location().update(AOR, now, change).unwrap();
        self.number += 1;
        self.cluster.write(AOR, changes(&before, &after, (&call_id, cseq)), (0, self.number))
    }

    fn uris(&self, now: Time) -> Vec<String> {
        self.server.location().bindings(AOR, now).iter().map(|one| one.uri().to_owned()).collect()
    }
}

const AOR: &str = "bob@test.example";

fn by(uri: &str, by: By, call_id: &str, cseq: u32, now: Time) -> Binding {
    Binding::new(NewBinding {
        uri: &Uri::parse(uri).unwrap(),
        text: uri.into(),
        params: "",
        q: 1000,
        expires_at: now + Duration::from_secs(600),
        call_id,
        cseq,
        neighbour: None,
        by,
        device: None,
        reg_id: 0,
        now,
    })
}

fn binding(call_id: &str, cseq: u32, now: Time) -> Binding {
    by(URI, By::Uri, call_id, cseq, now)
}

const URI: &str = "sip:bob@192.0.2.9";

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1000)
}

fn kept(up_to: u64) -> Posts {
    vec![(0, Written { up_to, refused: Vec::new() })]
}

fn two() -> (Bench, Bench, Redis) {
    let (mut one, mut other, mut redis) = (Bench::new("a", 1), Bench::new("b", 2), Redis::default());
    one.connect(&mut redis, at(1));
    other.connect(&mut redis, at(1));
    (one, other, redis)
}

#[test]
fn what_one_registers_the_other_knows_and_what_goes_is_gone() {
    let (mut one, mut other, mut redis) = two();
    one.register(Some(binding("c", 1, at(2))), at(2)).unwrap();
    assert_eq!(one.work(&mut redis, at(2)), kept(1));
    other.hear(&redis, at(2));
    assert_eq!(other.uris(at(2)), [URI]);
    assert_eq!(one.server.location().bindings(AOR, at(2))[0].version(), 10);
    // The other takes it away, and what was published before does not bring it back.
    other.register(None, at(3)).unwrap();
    assert_eq!(other.work(&mut redis, at(3)), kept(1));
    one.hear(&redis, at(3));
    one.hear(&redis, at(3));
    assert!(one.uris(at(3)).is_empty() && other.uris(at(3)).is_empty());
}

#[test]
fn of_two_that_come_at_once_the_later_request_holds_at_both() {
    let (mut one, mut other, mut redis) = two();
    one.register(Some(binding("c", 5, at(2))), at(2)).unwrap();
    other.register(Some(binding("c", 6, at(2))), at(2)).unwrap();
    assert_eq!(other.work(&mut redis, at(2)), kept(1));
    assert_eq!(one.work(&mut redis, at(2)), [(0, Written { up_to: 1, refused: vec![(1, 500)] })]);
    one.hear(&redis, at(2));
    other.hear(&redis, at(2));
    let cseq = |bench: &Bench| bench.server.location().bindings(AOR, at(2)).iter().map(|b| b.cseq).collect::<Vec<_>>();
    assert_eq!((cseq(&one), cseq(&other)), (vec![6], vec![6]));
}

#[test]
fn what_redis_refuses_is_taken_back_and_what_has_ended_is_told_later() {
    let (mut one, mut other, mut redis) = two();
    let refuse = |one: &mut Bench| {
        let commands = one.sharer.take().unwrap();
        one.sharer.on_written(vec![Err("OOM".to_owned()); commands.len()], at(3))
    };
    let refused = |number| vec![(0, Written { up_to: number, refused: vec![(number, 503)] })];
    let cseqs = |one: &Bench| one.server.location().bindings(AOR, at(3)).iter().map(|b| b.cseq).collect::<Vec<_>>();
    // The first is none, and a refresh or an end leave what was there.
    one.register(Some(binding("c", 1, at(2))), at(2)).unwrap();
    assert_eq!((refuse(&mut one), cseqs(&one)), (refused(1), vec![]));
    one.register(Some(binding("c", 2, at(2))), at(2)).unwrap();
    assert_eq!((one.work(&mut redis, at(2)), cseqs(&one)), (kept(2), vec![2]));
    one.register(Some(binding("c", 3, at(3))), at(3)).unwrap();
    assert_eq!((refuse(&mut one), cseqs(&one)), (refused(3), vec![2]));
    one.register(None, at(3)).unwrap();
    assert_eq!((refuse(&mut one), cseqs(&one)), (refused(4), vec![2]));
    // A connection that has ended is no less gone: it is told when there is a Redis that takes it.
    other.hear(&redis, at(3));
    let ended = one.server.location().bindings(AOR, at(3));
    let end = |own: &mut Vec<Binding>| {
        own.clear();
        Ok::<(), crate::location::StoreFull>(())
    };
    one.server.location().update(AOR, at(3), end).unwrap();
    one.cluster.note(AOR, ended.iter().map(crate::cluster::change::forget).collect()).unwrap();
    refuse(&mut one);
    assert!(one.sharer.take().is_none(), "not again and again");
    one.sharer.on_beaten(&[], at(3));
    refuse(&mut one);
    assert!(one.sharer.take().is_none(), "with each sign of life, once");
    redis.published.clear();
    one.sharer.on_lost();
    one.connect(&mut redis, at(4));
    other.hear(&redis, at(4));
    assert!(one.uris(at(4)).is_empty() && other.uris(at(4)).is_empty());
}

#[test]
fn what_is_on_its_way_is_not_overtaken_by_what_came_before() {
    let (mut one, mut other, mut redis) = two();
    other.register(Some(binding("old", 1, at(2))), at(2)).unwrap();
    other.work(&mut redis, at(2));
    // The device was restarted, and has come to the other node; that has not written it yet when it hears of the first.
    one.register(Some(binding("new", 1, at(3))), at(3)).unwrap();
    one.hear(&redis, at(3));
    let call_id = |bench: &Bench| bench.server.location().bindings(AOR, at(3))[0].call_id.to_string();
    assert_eq!(call_id(&one), "new");
    assert_eq!(one.work(&mut redis, at(3)), kept(1));
    other.hear(&redis, at(3));
    assert_eq!((call_id(&one), call_id(&other)), ("new".into(), "new".into()));
}

#[test]
fn without_redis_nothing_is_taken_and_everything_is_put_back_into_an_empty_one() {
    let (mut one, mut other, mut redis) = two();
    one.register(Some(binding("c", 1, at(2))), at(2)).unwrap();
    one.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    // One is on its way when the connection is lost.
    one.register(Some(binding("c", 2, at(3))), at(3)).unwrap();
    let sent = one.sharer.take().unwrap();
    assert_eq!(sent.len(), 1);
    one.number += 1;
    let refused = vec![(0, Written { up_to: 1 + 1, refused: vec![(2, 503)] })];
    assert_eq!(one.sharer.on_lost(), refused);
    assert_eq!(one.register(Some(binding("c", 3, at(4))), at(4)), Err(NotKept::Failing));
    assert_eq!(one.uris(at(4)), [URI], "who is known is reached");
    other.sharer.on_lost();
    // It comes back with nothing.
    let mut redis = Redis { version: 1_000, ..Redis::default() };
    other.connect(&mut redis, at(20));
    assert_eq!(redis.values[AOR].len(), 1);
    assert_eq!(other.cluster.counts.restored.load(Ordering::Relaxed), 1);
    one.connect(&mut redis, at(20));
    let mut third = Bench::new("c", 3);
    third.connect(&mut redis, at(21));
    assert_eq!(third.uris(at(21)), [URI]);
    assert!(one.register(Some(binding("c", 3, at(22))), at(22)).is_ok());
}

#[test]
fn what_was_removed_meanwhile_is_not_put_back() {
    let (mut one, mut other, mut redis) = two();
    one.register(Some(binding("c", 1, at(2))), at(2)).unwrap();
    one.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    other.sharer.on_lost();
    one.register(None, at(3)).unwrap();
    one.work(&mut redis, at(3));
    assert_eq!(other.uris(at(4)), [URI]);
    other.connect(&mut redis, at(20));
    assert!(other.uris(at(20)).is_empty());
    assert_eq!(other.cluster.counts.restored.load(Ordering::Relaxed), 0);
}

fn flow(kind: TransportType) -> By {
    let transport = TransportId(u16::from(kind != TransportType::Udp));
    let peer = "192.0.2.77:4000".parse().unwrap();
    By::Flow(Flow { transport, kind, connection: ConnectionId(7), peer, local: None }.into())
}

#[test]
fn a_flow_is_a_hop_for_the_others_and_ends_with_its_process() {
    let (mut one, mut other, mut redis) = two();
    for (kind, outlives) in [(TransportType::Tcp, false), (TransportType::Udp, true)] {
        let route = one.cluster.route("flow-77");
        let bound = by(URI, flow(kind), "c", if outlives { 2 } else { 1 }, at(2)).routed(route);
        one.register(Some(bound), at(2)).unwrap();
        one.work(&mut redis, at(2));
        other.hear(&redis, at(2));
        let found = other.server.location().lookup(AOR, at(2)).unwrap();
        let By::Node(hop) = &found[0].by else { panic!("{found:?}") };
        assert_eq!((hop.node.name(), &*hop.route), ("a", "<sip:flow-77@192.0.2.1:5060;lr>"));
        assert!(hop.is_alive());
        // The node is started again: who it is it says by a sign of life.
        let beat = ["a", "0", "9"].map(str::to_owned);
        other.sharer.on_beaten(&beat, at(2));
        other.sharer.on_beaten(&beat, at(2));
        assert_eq!(hop.is_alive(), outlives);
        let mut again = Bench::new("a", 9);
        again.connect(&mut redis, at(30));
        other.hear(&redis, at(30));
        let kinds = |bench: &Bench| {
            let found = bench.server.location().lookup(AOR, at(30)).unwrap_or_default();
            found.iter().map(|one| matches!(one.by, By::Flow(_))).collect::<Vec<_>>()
        };
        match outlives {
            true => assert_eq!((kinds(&again), kinds(&other)), (vec![true], vec![false])),
            false => assert_eq!((kinds(&again), kinds(&other)), (vec![], vec![])),
        }
    }
}

#[test]
fn a_silent_node_is_dead_and_one_that_redis_has_forgotten_too() {
    let mut bench = Bench::new("a", 1);
    let told = |silent: &str| ["a", "0", "1", "b", silent, "2"].map(str::to_owned);
    bench.sharer.on_beaten(&told("100"), at(2));
    bench.sharer.on_beaten(&told("100"), at(2));
    let b = bench.cluster.nodes().node("b");
    assert!(b.is_alive());
    bench.sharer.on_beaten(&told("3600"), at(2));
    assert!(!b.is_alive() && bench.cluster.nodes().node("a").is_alive());
    bench.sharer.on_beaten(&told("0"), at(2));
    assert!(b.is_alive());
    (0..4).for_each(|_| bench.sharer.on_beaten(&told("0")[..3], at(2)));
    assert!(!b.is_alive());
}

#[test]
fn a_node_that_drains_says_so_at_once_and_again_with_each_sign_of_life() {
    let (mut one, mut other) = (Bench::new("a", 1), Bench::new("b", 2));
    let is_told = |one: &Bench, other: &mut Bench| {
        let beat = one.sharer.beat(at(2));
        let told = [beat.args[0].clone(), "0".to_owned(), beat.args[1].clone()];
        other.sharer.on_beaten(&told, at(2));
        other.sharer.on_beaten(&told, at(2));
        let a = other.cluster.nodes().node("a");
        assert_eq!((a.is_alive(), a.life()), (true, 1));
        a.is_draining()
    };
    assert!(one.sharer.look(at(2)).is_none() && !is_told(&one, &mut other));
    one.cluster.drain();
    assert!(one.sharer.look(at(2)).is_some() && one.sharer.look(at(2)).is_none());
    assert!(is_told(&one, &mut other));
    // It has started again, under the same name.
    assert!(!is_told(&Bench::new("a", 1), &mut other));
}

#[test]
fn rubbish_in_redis_is_passed_over() {
    let (mut one, _, _) = two();
    for text in [
        "",
        "[]",
        "{}",
        "[1]",
        "[\"b\"]",
        "[\"b\",\"bob@test.example\",\"f\"]",
        "[\"b\",\"bob@test.example\",\"f\",\"x\"]",
        "[\"b\",\"bob@test.example\",\"f\",\"1 1900000000 b 1 c\\n{}\"]",
    ] {
        one.sharer.on_message(text, at(2));
    }
    assert!(one.uris(at(2)).is_empty());
}

#[test]
fn a_refused_register_leaves_the_binding_of_a_connection() {
    let (mut one, mut other, mut redis) = two();
    let connection = |bench: &Bench, cseq| {
        by(URI, flow(TransportType::Tcp), "c", cseq, at(2)).routed(bench.cluster.route("flow-77"))
    };
    let first = connection(&one, 1);
    one.register(Some(first), at(2)).unwrap();
    one.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    // What is refused: a refresh, and a removal, as with too many contacts or by a request that another node had later.
    for new in [Some(connection(&one, 2)), None] {
        one.register(new, at(3)).unwrap();
        let commands = one.sharer.take().unwrap();
        assert_eq!(commands.len(), 1);
        let as_it_is = redis.values[AOR].iter().flat_map(|(field, value)| [field.clone(), value.clone()]);
        let refusal = std::iter::once(String::new()).chain(as_it_is).collect();
        let posts = one.sharer.on_written(vec![Ok(refusal)], at(3));
        assert_eq!(posts, [(0, Written { up_to: one.number, refused: vec![(one.number, 500)] })]);
        let left = one.server.location().bindings(AOR, at(3));
        assert_eq!(left.iter().map(|own| (own.cseq, own.version())).collect::<Vec<_>>(), [(1, 10)]);
        assert!(matches!(left[0].by(), By::Flow(_)));
        // Nor is it said to be gone.
        assert_eq!(one.sharer.take(), None);
    }
}

#[test]
fn a_partition_that_cannot_be_read_is_not_written_anew_and_read_later() {
    let (mut one, _, mut redis) = two();
    one.register(Some(binding("c", 1, at(2))), at(2)).unwrap();
    one.work(&mut redis, at(2));
    one.sharer.on_lost();
    one.sharer.on_connected(at(20));
    let read = |one: &mut Bench, fails: bool| {
        for _ in 0..PARTS {
            for (part, _) in one.sharer.reads(at(30)) {
                let fails = fails && part == part_of(AOR);
                let entries = if fails { Err("CLUSTERDOWN".to_owned()) } else { Ok(redis.read(part)) };
                one.sharer.on_read(part, entries, at(20));
            }
            if one.sharer.part == part_of("a") {
                break;
            }
        }
        assert_eq!(one.sharer.take(), None);
        one.sharer.is_synced()
    };
    assert!(!read(&mut one, true), "who waits for the bindings waits on");
    assert!(read(&mut one, false));
    assert_eq!(one.cluster.counts.restored.load(Ordering::Relaxed), 0);
    // What Redis has lost by the next round is put back, though nobody registers.
    redis.values.clear();
    let mut now = at(40);
    for _ in 0..PARTS {
        for (part, _) in one.sharer.reads(now) {
            one.sharer.on_read(part, Ok(redis.read(part)), now);
        }
        one.work(&mut redis, now);
        now += READ_EVERY;
    }
    assert_eq!(one.cluster.counts.restored.load(Ordering::Relaxed), 1);
}

#[path = "expired_tests.rs"]
mod expired;
#[path = "published_tests.rs"]
mod published;
