//! Publications among nodes; the others' part of the bench is with the tests of bindings.

use super::*;
use crate::cluster::DEAD_AFTER_MS;
use crate::events::{Package, Published, Resource, Teller};
use dum::publication::{Document, NotPublished};

fn resource(package: Package) -> Resource {
    Resource { package, aor: AOR.into() }
}

fn document(etag: &str, body: &str, now: Time) -> Document {
    let expires = now + Duration::from_secs(600);
    Document {
        etag: etag.to_owned(),
        content_type: "application/pidf+xml".to_owned(),
        body: body.to_owned().into(),
        expires,
    }
}

impl Bench {
    fn publish(&self, gone: Option<&str>, new: Option<Document>, now: Time) -> Result<(), NotPublished> {
        self.server.compositor().replace(&resource(Package::Presence), gone, new, now)
    }

    /// Entity-tags and texts of what is published.
    fn published(&self, now: Time) -> Vec<(String, String)> {
        let all = self.server.compositor().documents(&resource(Package::Presence), now).into_iter();
        all.map(|(_, one)| (one.etag, String::from_utf8(one.body.to_vec()).unwrap())).collect()
    }
}

fn is(etag: &str, body: &str) -> Vec<(String, String)> {
    vec![(etag.to_owned(), body.to_owned())]
}

#[test]
fn what_is_published_at_one_node_is_changed_at_another_and_removed_at_a_third() {
    let (mut one, mut other, mut redis) = two();
    let mut third = Bench::new("c", 3);
    third.connect(&mut redis, at(1));
    one.publish(None, Some(document("e1", "open", at(2))), at(2)).unwrap();
    one.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    assert_eq!(other.published(at(2)), is("e1", "open"));
    other.publish(Some("e1"), Some(document("e2", "closed", at(3))), at(3)).unwrap();
    other.work(&mut redis, at(3));
    // What was published before is heard again, and changes nothing.
    for bench in [&mut one, &mut third] {
        bench.hear(&redis, at(3));
        bench.hear(&redis, at(3));
        assert_eq!(bench.published(at(3)), is("e2", "closed"));
    }
    assert_eq!(one.publish(Some("e1"), None, at(4)), Err(NotPublished::Gone));
    third.publish(Some("e2"), None, at(4)).unwrap();
    third.work(&mut redis, at(4));
    one.hear(&redis, at(4));
    other.hear(&redis, at(4));
    assert!([&one, &other, &third].iter().all(|bench| bench.published(at(4)).is_empty()));
    // It ends by itself at each of them.
    one.publish(None, Some(document("e3", "open", at(5))), at(5)).unwrap();
    one.work(&mut redis, at(5));
    other.hear(&redis, at(5));
    assert_eq!((other.published(at(604)), other.published(at(605))), (is("e3", "open"), Vec::new()));
}

#[test]
fn of_two_that_change_the_same_at_once_one_holds_at_both() {
    let (mut one, mut other, mut redis) = two();
    one.publish(None, Some(document("e1", "open", at(2))), at(2)).unwrap();
    one.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    one.publish(Some("e1"), Some(document("e2", "closed", at(3))), at(3)).unwrap();
    other.publish(Some("e1"), Some(document("e3", "away", at(3))), at(3)).unwrap();
    other.work(&mut redis, at(3));
    one.hear(&redis, at(3));
    assert_eq!(one.published(at(3)), is("e2", "closed"), "what is on its way is not overtaken");
    one.work(&mut redis, at(3));
    other.hear(&redis, at(3));
    assert_eq!((one.published(at(3)), other.published(at(3))), (is("e3", "away"), is("e3", "away")));
}

#[test]
fn what_is_published_without_redis_and_what_redis_loses_is_written_when_it_is_back() {
    let (mut one, mut other, mut redis) = two();
    one.publish(None, Some(document("e1", "open", at(2))), at(2)).unwrap();
    one.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    drop((one.sharer.on_lost(), other.sharer.on_lost()));
    one.publish(None, Some(document("e2", "away", at(3))), at(3)).unwrap();
    one.sharer.refuse();
    redis = Redis::default();
    other.connect(&mut redis, at(4));
    one.connect(&mut redis, at(4));
    other.hear(&redis, at(4));
    let both = [is("e1", "open"), is("e2", "away")].concat();
    assert_eq!((one.published(at(4)), other.published(at(4))), (both.clone(), both));
    // What went without Redis does not come back with it.
    drop(one.sharer.on_lost());
    one.publish(Some("e2"), None, at(5)).unwrap();
    one.sharer.refuse();
    one.connect(&mut redis, at(6));
    one.sharer.on_beaten(&[], at(3));
    one.work(&mut redis, at(6));
    other.hear(&redis, at(6));
    assert_eq!((one.published(at(6)), other.published(at(6))), (is("e1", "open"), is("e1", "open")));
    // One that begins has it too.
    let mut third = Bench::new("c", 3);
    third.connect(&mut redis, at(7));
    assert_eq!(third.published(at(7)), is("e1", "open"));
}

#[test]
fn an_answer_of_redis_that_is_lost_loses_nothing() {
    let (mut one, mut other, mut redis) = two();
    one.publish(None, Some(document("e1", "open", at(2))), at(2)).unwrap();
    // It is written, and the connection ends.
    let commands = one.sharer.take().unwrap();
    commands.iter().for_each(|command| drop(redis.change(command)));
    drop(one.sharer.on_lost());
    one.connect(&mut redis, at(3));
    assert_eq!(one.published(at(3)), is("e1", "open"));
    one.publish(Some("e1"), Some(document("e2", "away", at(4))), at(4)).unwrap();
    one.work(&mut redis, at(4));
    other.hear(&redis, at(4));
    assert_eq!((one.published(at(4)), other.published(at(4))), (is("e2", "away"), is("e2", "away")));
}

#[test]
fn what_is_changed_and_removed_while_redis_is_away_is_gone_at_all_when_it_is_back() {
    let (mut one, mut other, mut redis) = two();
    one.publish(None, Some(document("e1", "open", at(2))), at(2)).unwrap();
    one.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    drop(one.sharer.on_lost());
    one.publish(Some("e1"), Some(document("e2", "away", at(3))), at(3)).unwrap();
    one.publish(Some("e2"), None, at(3)).unwrap();
    one.connect(&mut redis, at(4));
    other.hear(&redis, at(4));
    assert!(one.published(at(4)).is_empty() && other.published(at(4)).is_empty());
    // What was read before the removal was written does not bring it back.
    one.publish(None, Some(document("e3", "open", at(5))), at(5)).unwrap();
    one.work(&mut redis, at(5));
    let before = redis.read(part_of("presence bob@test.example"));
    one.publish(Some("e3"), None, at(6)).unwrap();
    one.sharer.on_read(part_of("presence bob@test.example"), Ok(before), at(6));
    assert_eq!(one.published(at(6)), is("e3", "open"));
    one.work(&mut redis, at(6));
    assert!(one.published(at(6)).is_empty());
}

#[test]
fn what_is_published_again_and_again_is_told_once_and_holds_up_no_registration() {
    let (mut one, _, mut redis) = two();
    let mut etag = None;
    for turn in 0..1000 {
        let new = format!("e{turn}");
        one.publish(etag.as_deref(), Some(document(&new, &new, at(2))), at(2)).unwrap();
        etag = Some(new);
    }
    one.register(Some(binding("c", 1, at(2))), at(2)).unwrap();
    let commands = one.sharer.take().unwrap();
    assert_eq!(
        commands.iter().map(|command| &*command.args[0]).collect::<Vec<_>>(),
        [AOR, "presence bob@test.example"]
    );
    let replies = commands.iter().map(|command| redis.change(command)).collect();
    one.sharer.on_written(replies, at(2));
    assert!(one.sharer.take().is_none());
}

#[test]
fn what_has_no_room_here_or_lives_too_long_is_not_kept_as_it_was() {
    let (mut one, mut other, mut redis) = two();
    let long = Document { expires: at(1_000_000), ..document("e1", "open", at(2)) };
    one.publish(None, Some(long), at(2)).unwrap();
    one.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    assert_eq!(other.published(at(3)), is("e1", "open"));
    assert!(other.published(at(100_000)).is_empty(), "an hour, or four for calls, is the longest");
    let large = "x".repeat(crate::events::MOST_OCTETS_OF_USER);
    let value =
        |body: &str| Published { field: "f".into(), turn: 9, document: document("e9", body, at(2)), teller: None };
    let resource = resource(Package::Presence);
    assert!(other.server.compositor().take_over(&resource, ("f", 500), Some(value("small")), at(3)));
    assert!(other.server.compositor().take_over(&resource, ("f", 600), Some(value(&format!("{large}x"))), at(3)));
    assert_eq!(other.published(at(3)), is("e1", "open"), "it was changed, and is not what it was");
}

#[test]
fn the_calls_of_a_node_that_is_gone_are_told_no_more() {
    let (mut one, mut other, mut redis) = two();
    let lamp = |bench: &Bench| bench.server.compositor().documents(&resource(Package::Dialog), at(3)).len();
    let call = |bench: &Bench, etag: &str| {
        bench
            .server
            .compositor()
            .replace(&resource(Package::Dialog), None, Some(document(etag, "x", at(2))), at(2))
            .unwrap();
    };
    let beat = |bench: &mut Bench, nodes: [(&str, u64, u64); 2]| {
        let told =
            nodes.iter().flat_map(|(name, silent, life)| [(*name).to_owned(), silent.to_string(), life.to_string()]);
        bench.sharer.on_beaten(&told.collect::<Vec<_>>(), at(2));
    };
    call(&one, " 1 initiator confirmed");
    call(&other, " 2 recipient confirmed");
    one.work(&mut redis, at(2));
    other.work(&mut redis, at(2));
    other.hear(&redis, at(2));
    assert_eq!(lamp(&other), 2);
    beat(&mut other, [("a", 0, 1), ("b", 0, 2)]);
    assert_eq!(lamp(&other), 2);
    beat(&mut other, [("a", DEAD_AFTER_MS, 1), ("b", 0, 2)]);
    assert_eq!(lamp(&other), 1, "its own stands");
    // As long as it is gone Redis does not bring its call back; when it was only cut off everything is read again.
    other.connect(&mut redis, at(3));
    assert_eq!(lamp(&other), 1);
    beat(&mut other, [("a", 0, 1), ("b", 0, 2)]);
    other.read(&mut redis, at(3));
    assert_eq!(lamp(&other), 2);
    other.connect(&mut redis, at(3));
    // The first signs of life after a connection are as old as Redis was away.
    beat(&mut other, [("a", DEAD_AFTER_MS, 1), ("b", 0, 2)]);
    assert_eq!(lamp(&other), 2);
    // Another life has other calls, and tells so.
    beat(&mut other, [("a", 0, 9), ("b", 0, 2)]);
    assert_eq!(lamp(&other), 1);
    let mut again = Bench::new("a", 9);
    again.connect(&mut redis, at(3));
    assert_eq!(lamp(&again), 1);
    other.connect(&mut redis, at(3));
    let gone = redis.values.values().flat_map(BTreeMap::values).filter(|text| Value::read(text).unwrap().gone).count();
    assert_eq!((lamp(&other), gone), (1, 1));
}

#[test]
fn what_is_written_is_read() {
    let nodes = crate::cluster::Nodes::default();
    for teller in [None, Some(Teller { node: nodes.node("a"), life: 7 })] {
        let published = Published { field: "f".into(), turn: 3, document: document("e", "<é/>\"\n", at(2)), teller };
        let (json, expires) = published.write(EPOCH).unwrap();
        assert_eq!(Published::read(&json, ("f", 3, expires), (EPOCH, &nodes)).unwrap(), published);
    }
    assert!(Published::read("{}", ("f", 3, 1), (EPOCH, &nodes)).is_err());
    let binary = Document { body: vec![0xff].into(), ..document("e", "", at(2)) };
    assert_eq!(Published { field: "f".into(), turn: 1, document: binary, teller: None }.write(EPOCH), None);
    assert_eq!(
        Resource::of_shared_name("presence bob@h").map(|one| one.shared_name()).as_deref(),
        Some("presence bob@h")
    );
    assert!(Resource::of_shared_name("bob@h").is_none() && Resource::of_shared_name("strange bob@h").is_none());
}
