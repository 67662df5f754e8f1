//! What is told of what expires, and by which node.

use super::*;
use crate::accounting::tests::Desk;
use crate::cluster::DEAD_AFTER_MS;
use crate::cluster::change::worth;

/// A node that tells of registrations.
struct Node {
    bench: Bench,
    desk: Desk,
}

impl Node {
    fn new(test: &str, name: &str, life: u64) -> Self {
        let (bench, desk) = (Bench::new(name, life), Desk::new(&format!("{test}-{name}-{life}"), ""));
        desk.accounting().set_cluster(bench.cluster.clone());
        bench.server.set_accounting(desk.accounting());
        Node { bench, desk }
    }

    /// Drops what has expired.
    fn drop_expired(&self, now: Time) {
        self.bench.server.location().expire(AOR, now);
    }

    /// What was told, and is written: event and cause of each.
    fn told(&mut self, now: Time) -> Vec<(String, String)> {
        let of = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let lines = self.desk.lines(now).into_iter();
        lines
            .map(|line| (of(&line, "event"), of(&line, "cause")))
            .filter(|(event, _)| event != "registration_added")
            .collect()
    }
}

fn expired() -> Vec<(String, String)> {
    vec![("registration_expired".to_owned(), "expired".to_owned())]
}

/// Three nodes, the first for [`AOR`] first, that have seen each other; and a contact of the second that all of them know.
fn three(test: &str) -> ([Node; 3], Redis) {
    let mut names = ["a", "b", "c"];
    names.sort_by_key(|name| std::cmp::Reverse(worth(AOR, name)));
    let (mut nodes, mut redis) = (names.map(|name| Node::new(test, name, 1)), Redis::default());
    nodes.iter_mut().for_each(|node| node.bench.connect(&mut redis, at(1)));
    beat(&mut nodes, 3, at(1));
    beat(&mut nodes, 3, at(2));
    let bench = &mut nodes[1].bench;
    bench.register(Some(binding("c", 1, at(2))), at(2)).unwrap();
    bench.work(&mut redis, at(2));
    nodes.iter_mut().for_each(|node| node.bench.hear(&redis, at(2)));
    (nodes, redis)
}

/// Each of the last `living` nodes gives a sign of life, and hears those of the others.
fn beat(nodes: &mut [Node], living: usize, now: Time) {
    let dead = nodes.len() - living;
    let silent = |at: usize| if at < dead { DEAD_AFTER_MS } else { 0 };
    let of = |(at, node): (usize, &Node)| {
        let own = node.bench.cluster.own();
        [own.node.to_owned(), silent(at).to_string(), own.life.to_string()]
    };
    let told: Vec<String> = nodes.iter().enumerate().flat_map(of).collect();
    for at in dead..nodes.len() {
        // What is in the FIFO is written long before.
        nodes[at].told(now);
        let message = nodes[at].bench.sharer.beat(now).args[3].clone();
        nodes[dead..].iter_mut().for_each(|node| node.bench.sharer.on_message(&message, now));
        nodes[at].bench.sharer.on_beaten(&told, now);
    }
}

/// All that was told by each node, when nothing more comes.
fn finally(nodes: &mut [Node], living: usize, from: u64) -> Vec<usize> {
    (from..from + 1_000).step_by(20).for_each(|second| beat(nodes, living, at(second)));
    nodes.iter_mut().map(|node| node.told(at(from + 1_000)).len()).collect()
}

#[test]
fn the_first_node_tells_it_and_the_others_hear_that() {
    let (mut nodes, _) = three("first");
    for at_second in [603, 620, 660] {
        nodes[(at_second % 3) as usize].drop_expired(at(at_second));
    }
    assert_eq!(nodes[0].told(at(660)), expired());
    assert_eq!(finally(&mut nodes, 3, 661), [1, 0, 0]);
}

#[test]
fn who_hears_it_before_he_has_dropped_it_drops_it_untold() {
    let (mut nodes, _) = three("before");
    // Its clock is ahead.
    nodes[0].drop_expired(at(603));
    beat(&mut nodes, 3, at(600));
    assert!(nodes[1..].iter().all(|node| node.bench.server.location().inspect(AOR, <[_]>::is_empty)));
    nodes.iter().for_each(|node| node.drop_expired(at(604)));
    assert_eq!(finally(&mut nodes, 3, 604), [1, 0, 0]);
}

#[test]
fn a_contact_that_was_registered_anew_stays_when_its_former_state_is_told() {
    let (mut nodes, mut redis) = three("anew");
    nodes[0].drop_expired(at(603));
    let bench = &mut nodes[1].bench;
    bench.register(Some(binding("c", 2, at(601))), at(601)).unwrap();
    bench.work(&mut redis, at(601));
    beat(&mut nodes, 3, at(603));
    assert_eq!(nodes[1].bench.uris(at(603)), [URI]);
}

/// The first node tells what expires, but one that leaves is not there any more for the others.
#[test]
fn a_node_that_leaves_tells_the_others_and_comes_after_them() {
    let (mut nodes, _) = three("leaves");
    let left = nodes[0].bench.cluster.leave();
    let sharer = &mut nodes[0].bench.sharer;
    assert_eq!(sharer.beat(at(3)).args[4], "0");
    sharer.on_beaten(&[], at(3));
    assert!(left.try_recv().is_err(), "that sign of life was of one who stays");
    assert!(sharer.look(at(3)).is_some(), "it does not wait for the next second");
    assert!(sharer.look(at(3)).is_none());
    assert_eq!(sharer.beat(at(3)).args[4], DEAD_AFTER_MS.to_string());
    sharer.on_beaten(&[], at(3));
    assert!(left.try_recv().is_ok());
    nodes.iter().for_each(|node| node.drop_expired(at(603)));
    beat(&mut nodes, 2, at(603));
    assert_eq!(nodes.each_mut().map(|node| node.told(at(603)).len()), [0, 1, 0]);
}

#[test]
fn when_the_first_node_dies_before_it_has_told_it_the_next_one_does() {
    let (mut nodes, _) = three("dies");
    nodes[1..].iter().for_each(|node| node.drop_expired(at(603)));
    let told = |nodes: &mut [Node; 3]| nodes.each_mut().map(|node| node.told(at(604)).len());
    // It counts as living still.
    beat(&mut nodes, 3, at(604));
    assert_eq!(told(&mut nodes), [0, 0, 0]);
    beat(&mut nodes, 2, at(607));
    assert_eq!(nodes[1].told(at(607)), expired());
    assert_eq!(finally(&mut nodes, 2, 608), [0, 1, 0]);
}

#[test]
fn when_it_dies_before_its_line_is_written_the_next_one_tells_it() {
    let (mut nodes, _) = three("written");
    nodes.iter().for_each(|node| node.drop_expired(at(603)));
    beat(&mut nodes, 2, at(607));
    assert_eq!(nodes[1].told(at(607)), expired());
    assert_eq!(finally(&mut nodes[1..], 2, 608), [1, 0]);
}

#[test]
fn what_the_first_node_has_never_known_the_next_one_tells_in_its_turn() {
    let (mut nodes, redis) = three("known");
    let name = nodes[0].bench.cluster.own().node.to_owned();
    // It was started anew after all had expired.
    nodes[0] = Node::new("known", &name, 2);
    nodes[0].bench.connect(&mut Redis::default(), at(602));
    assert!(!redis.values.is_empty());
    nodes[1..].iter().for_each(|node| node.drop_expired(at(603)));
    for second in 603..678 {
        beat(&mut nodes, 3, at(second));
    }
    assert_eq!(nodes[1].told(at(677)), []);
    beat(&mut nodes, 3, at(678));
    assert_eq!(nodes[1].told(at(678)), expired());
    assert_eq!(finally(&mut nodes, 3, 679), [0, 1, 0]);
}

#[test]
fn what_only_one_node_knows_that_one_tells() {
    let (mut nodes, _) = three("only");
    nodes[2].bench.register(Some(binding("d", 1, at(3))), at(3)).unwrap();
    nodes[2].drop_expired(at(700));
    assert_eq!(nodes[2].told(at(700)).last(), expired().first());
}

#[test]
fn who_hears_redis_again_a_little_later_hears_what_was_told_meanwhile() {
    let (mut nodes, mut redis) = three("later");
    nodes.iter_mut().for_each(|node| drop(node.bench.sharer.on_lost()));
    nodes.iter().for_each(|node| node.drop_expired(at(603)));
    assert_eq!(nodes[0].told(at(603)), expired());
    // What is published goes to two, and to three when the last one is there.
    nodes[2].bench.connect(&mut redis, at(703));
    nodes[0].bench.connect(&mut redis, at(700));
    assert_eq!(nodes[0].bench.sharer.beat(at(701)).args[3], "[]");
    nodes[1].bench.connect(&mut redis, at(702));
    assert_eq!(finally(&mut nodes, 3, 706), [1, 0, 0]);
}

#[test]
fn who_stands_by_tells_what_nobody_has_told_when_he_takes_over() {
    for heard in [false, true] {
        let mut redis = Redis::default();
        let (test, name) = (if heard { "heard" } else { "unheard" }, "a");
        let (mut first, mut second) = (Node::new(test, name, 1), Node::new(test, name, 2));
        second.bench.cluster.set_passive(true);
        second.bench.sharer.passive = true;
        first.bench.connect(&mut redis, at(1));
        second.bench.connect(&mut redis, at(1));
        first.bench.register(Some(binding("c", 1, at(2))), at(2)).unwrap();
        first.bench.work(&mut redis, at(2));
        second.bench.hear(&redis, at(2));
        second.drop_expired(at(603));
        second.bench.sharer.on_beaten(&[], at(603));
        if heard {
            first.drop_expired(at(603));
            assert_eq!(first.told(at(603)), expired());
            let message = first.bench.sharer.beat(at(604)).args[3].clone();
            second.bench.sharer.on_message(&message, at(604));
        }
        assert_eq!(second.told(at(604)), []);
        second.bench.cluster.set_passive(false);
        second.bench.sharer.look(at(605));
        second.bench.sharer.on_beaten(&[], at(605));
        assert_eq!(second.told(at(605)), if heard { vec![] } else { expired() });
    }
}

/// The contact is not in the new process, which removes it for all.
#[test]
fn what_a_node_lost_with_its_former_life_it_tells_when_it_lives_again() {
    let (mut one, mut other, mut redis) = two();
    let route = one.cluster.route("flow-77");
    let bound = by(URI, flow(TransportType::Tcp), "c", 1, at(2)).routed(route);
    one.register(Some(bound), at(2)).unwrap();
    one.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    drop(one);
    let mut again = Node::new("life", "a", 9);
    again.bench.connect(&mut redis, at(30));
    other.hear(&redis, at(30));
    assert!(other.uris(at(30)).is_empty());
    let gone = [("registration_removed".to_owned(), "deactivated".to_owned())];
    assert_eq!(again.told(at(30)), gone);
    // Once.
    again.bench.connect(&mut redis, at(31));
    assert_eq!(again.told(at(31)), gone);
}
