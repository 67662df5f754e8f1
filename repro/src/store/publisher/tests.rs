//! The work of the thread, done by hand and in virtual time.

use super::*;
use crate::location::Notation;
use crate::provisioning::Place;
use crate::store::journal::Job;
use crate::store::service::tests::{EPOCH, binding, contacts, records, server};
use crate::store::tests::{Folder, logged};
use crate::store::{Change, Service};
use crossbeam_channel::Receiver;
use rutil::VirtualClock;
use serde_json::json;

struct Bench {
    wait: Wait,
    folder: Folder,
    server: Server,
    publisher: Publisher,
    /// What the store is to write.
    jobs: Receiver<Job>,
}

fn publisher(folder: &Folder, file: Records) -> Result<(Publisher, Receiver<Job>), StoreError> {
    let (journal, jobs, orders) = Journal::new();
    let journal = (Arc::new(journal), orders);
    let (source, clock, rng) = (Some(Source::Sqlite(folder.open())), Box::new(VirtualClock::new()), Rng::from_seed(2));
    let publisher = Publisher::new(source, file, 2, clock, rng, journal, &Wait::new().unwrap())?;
    Ok((publisher, jobs))
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let (publisher, jobs) = publisher(&folder, Records::default()).unwrap();
        let server = server();
        server.set_journal(publisher.journal.clone());
        Bench { wait: Wait::new().unwrap(), folder, server, publisher, jobs }
    }

    /// One look, and how much the proxies are told.
    fn tick(&mut self) -> usize {
        self.wait.on(self.publisher.tick(&self.server));
        self.publisher.outbox.0.drain(..).count()
    }

    /// Another process changes the store.
    fn change(&self, changes: &[Change<'_>]) {
        self.folder.open().change(changes, |_| Ok(())).unwrap();
    }

    fn put(&self, kind: &str, body: serde_json::Value) {
        let row = Records::default().add(kind, body, Place::Store).unwrap();
        self.change(&[Change::Put(&row)]);
    }

    /// An order that an operator gives, and what comes of it.
    fn order(&mut self, file: Option<Records>) -> Outcome {
        let outcome = self.server.journal().unwrap().publish(file).unwrap();
        self.obey();
        self.publisher.tell();
        if !self.publisher.outbox.is_empty() {
            assert!(outcome.try_recv().is_err(), "not before the proxies have it");
        }
        self.publisher.outbox.0.clear();
        self.publisher.tell();
        outcome.try_recv().unwrap()
    }

    /// Carries out the orders that wait.
    fn obey(&mut self) {
        let first = self.publisher.orders.try_recv().unwrap();
        let orders = self.publisher.waiting(first);
        self.wait.on(self.publisher.obey(orders, &self.server));
    }

    fn register(&self, aor: &str) {
        let put = |own: &mut Vec<Binding>| -> Result<(), StoreFull> {
            *own = vec![binding("sip:x@192.0.2.1", rutil::Time::from_millis(100_000))];
            Ok(())
        };
        self.server.location().update(aor, rutil::Time::ZERO, put).unwrap();
    }

    fn contacts(&self, aors: &[&str]) -> Vec<usize> {
        aors.iter().map(|aor| contacts(&self.server, aor).len()).collect()
    }
}

#[test]
fn changes_of_records_reach_every_shard() {
    let mut bench = Bench::new("records");
    assert_eq!(bench.tick(), 0);
    bench.put("user", json!({"aor": "a@h"}));
    bench.wait.on(bench.publisher.tick(&bench.server));
    let shards: Vec<u16> = bench.publisher.outbox.0.iter().map(|(shard, _)| *shard).collect();
    assert_eq!(shards, [0, 1]);
    let (_, item) = bench.publisher.outbox.0.pop_back().unwrap();
    let provisioning = item.downcast::<Arc<Provisioning>>().unwrap();
    assert!(provisioning.user("a@h").is_some());
    bench.publisher.outbox.0.clear();
    // The old ones are freed here, when nobody has them any more.
    assert_eq!(bench.publisher.former.len(), 1);
    assert_eq!((bench.tick(), bench.publisher.former.len()), (0, 0));
    drop(provisioning);
    // The same key in the file: what is there stays.
    let outcome = bench.order(Some(records(&[("user", json!({"aor": "a@h"}))])));
    assert!(outcome.unwrap_err().contains("is also in"));
    assert!(bench.publisher.current.user("a@h").is_some() && bench.publisher.former.is_empty());
    assert_eq!(bench.order(Some(records(&[("user", json!({"aor": "b@h"}))]))), Ok(2));
}

/// What a shard drops is never the last of its kind, however late it takes what is new.
#[test]
fn a_proxy_frees_nothing() {
    let mut bench = Bench::new("frees");
    let of_proxy = bench.publisher.current.clone();
    for number in 0..3 {
        bench.put("user", json!({"aor": format!("{number}@h")}));
        assert_eq!(bench.tick(), 2);
    }
    assert_eq!(bench.publisher.former.len(), 2, "what is still used, and what was used until the last look");
    assert_eq!(Arc::strong_count(&of_proxy), 2);
    drop(of_proxy);
    bench.tick();
    assert!(bench.publisher.former.is_empty());
}

#[test]
fn records_that_cannot_be_read_are_read_later() {
    let mut bench = Bench::new("later-read");
    assert_eq!(bench.tick(), 0);
    bench.put("user", json!({"aor": "a@h"}));
    let other = bench.folder.open();
    other.connection.execute_batch("ALTER TABLE provisioning RENAME TO away").unwrap();
    let logged = logged(|| assert_eq!([bench.tick(), bench.tick()], [0, 0]));
    assert_eq!(logged, 1, "each second is too often");
    other.connection.execute_batch("ALTER TABLE away RENAME TO provisioning").unwrap();
    assert_eq!(bench.tick(), 2, "a message for each shard");
    assert!(bench.publisher.current.user("a@h").is_some());
    assert_eq!(bench.tick(), 0);
}

#[test]
fn the_same_key_in_file_and_store_names_both_places() {
    let folder = Folder::new("both");
    let row = Records::default().add("user", json!({"aor": "a@h"}), Place::Store).unwrap();
    folder.open().change(&[Change::Put(&row)], |_| Ok(())).unwrap();
    let file = records(&[("user", json!({"aor": "a@H"}))]);
    let error = publisher(&folder, file).map(drop).unwrap_err().to_string();
    assert_eq!(error, "store: user a@h: is also in f:1: expected in one place");
}

/// A proxy that takes nothing gets the newest when it does, and of orders in a row the records are looked at once.
#[test]
fn what_waits_is_replaced_and_orders_are_merged() {
    let mut bench = Bench::new("merged");
    for number in 0..3 {
        bench.put("user", json!({"aor": format!("{number}@h")}));
        bench.wait.on(bench.publisher.tick(&bench.server));
    }
    let newest = |bench: &Bench| {
        let of = |(shard, item): &(u16, Box<dyn std::any::Any + Send>)| {
            (*shard, Arc::ptr_eq(item.downcast_ref::<Arc<Provisioning>>().unwrap(), &bench.publisher.current))
        };
        bench.publisher.outbox.0.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(newest(&bench), [(0, true), (1, true)]);
    let journal = bench.publisher.journal.clone();
    let file = || Some(records(&[("user", json!({"aor": "file@h"}))]));
    let (before, wrong) = (bench.publisher.former.len(), records(&[("user", json!({"aor": "1@h"}))]));
    let orders = [None, None, Some(wrong), None, None, file(), None];
    let outcomes: Vec<_> = orders.into_iter().map(|order| journal.publish(order).unwrap()).collect();
    bench.obey();
    assert_eq!(bench.publisher.former.len() - before, 4, "the two, the two behind what was wrong, and one each");
    assert_eq!(newest(&bench), [(0, true), (1, true)]);
    bench.publisher.tell();
    assert!(outcomes.iter().all(|outcome| outcome.try_recv().is_err()), "not before the proxies have it");
    bench.publisher.outbox.0.clear();
    bench.publisher.tell();
    let counts: Vec<_> = outcomes.iter().map(|outcome| outcome.try_recv().unwrap().ok()).collect();
    assert_eq!(counts, [Some(3), Some(3), None, Some(3), Some(3), Some(4), Some(4)]);
}

/// Bindings of removed users that the store has no room for are noted when it has.
#[test]
fn who_is_removed_with_many_is_noted_later() {
    let mut bench = Bench::new("removed-many");
    bench.put("user", json!({"aor": "a@h"}));
    bench.tick();
    bench.register("a@h");
    let journal = bench.publisher.journal.clone();
    while journal.note("x@h").is_ok() {}
    let noted = |bench: &Bench| {
        let all = bench.jobs.try_iter().inspect(|job| journal.taken(job));
        all.filter(|job| matches!(job, Job::Save { aor, .. } if **aor == *"a@h")).count()
    };
    bench.change(&[Change::Remove { kind: "user", key: "a@h" }]);
    bench.tick();
    assert_eq!(bench.contacts(&["a@h"]), [0]);
    bench.tick();
    assert_eq!((noted(&bench), bench.publisher.unnoted.len()), (0, 1));
    bench.tick();
    assert_eq!((noted(&bench), bench.publisher.unnoted.len()), (1, 0));
}

/// Whoever is removed, or disabled, has no contacts from then on; who never was a user keeps his.
#[test]
fn who_is_removed_loses_his_bindings() {
    let mut bench = Bench::new("removed-now");
    let aors = ["a@h", "b@h", "c@h", "guest@h"];
    aors[..3].iter().for_each(|aor| bench.put("user", json!({"aor": aor})));
    bench.tick();
    aors.iter().for_each(|aor| bench.register(aor));
    // A proxy works with what was there before.
    let of_proxy = bench.publisher.current.clone();
    bench.change(&[Change::Remove { kind: "user", key: "b@h" }]);
    bench.put("user", json!({"aor": "c@h", "enabled": false}));
    bench.tick();
    assert_eq!(bench.contacts(&aors), [1, 0, 0, 1]);
    // It has let him in again meanwhile.
    bench.register("b@h");
    bench.tick();
    assert_eq!(bench.contacts(&aors), [1, 1, 0, 1]);
    drop(of_proxy);
    bench.tick();
    assert_eq!(bench.contacts(&aors), [1, 0, 0, 1]);
}

/// Registrations do not wait until thousands of records have been looked at: that is another thread's work.
#[test]
fn a_registration_is_kept_while_an_order_waits() {
    let (folder, clock) = (Folder::new("beside"), VirtualClock::new());
    let notation = Notation { epoch: EPOCH, listen: Vec::new(), shards: 2 };
    let (store, source) = (Some(folder.open()), Some(Source::Sqlite(folder.open())));
    let service = Service::new(store, source, Records::default(), notation, clock, &mut Rng::from_seed(2));
    let mut service = service.unwrap();
    let (journal, server) = (service.journal(), server());
    let outcome = journal.publish(None).unwrap();
    journal.reserve().unwrap();
    journal.save("a@h", 1, 7).unwrap();
    assert_eq!(service.work_once(&server), [(1, crate::store::Saved { up_to: 7, kept: true })]);
    assert!(outcome.try_recv().is_err(), "nobody has looked at it");
}
