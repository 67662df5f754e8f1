//! The work of the thread, done by hand and in virtual time.

use super::*;
use crate::config::Config;
use crate::events::{Package, Resource};
use crate::location::{Binding, By, NewBinding, StoreFull};
use crate::processors::Processors;
use crate::provisioning::Place;
use crate::store::NotKept;
use crate::store::tests::{Folder, logged};
use dum::publication::Document;
use rutil::VirtualClock;
use serde_json::json;
use stack::uri::Uri;

pub(crate) const EPOCH: Duration = Duration::from_secs(1_700_000_000);

struct Bench {
    folder: Folder,
    clock: VirtualClock,
    server: Server,
    service: Service,
}

fn config() -> Config {
    let mut config = Config { silo: Some(crate::config::Silo::default()), ..Config::default() };
    config.events.packages = Package::ALL.into();
    config
}

pub(crate) fn server() -> Server {
    with(config())
}

fn with(config: Config) -> Server {
    let chains = Processors::standard().chains(&config.chains).unwrap();
    Server::new(config, chains, &mut Rng::from_seed(1))
}

/// A process that begins `after` the epoch.
fn service(folder: &Folder, clock: &VirtualClock, file: Records, after: Duration) -> Result<Service, StoreError> {
    let store = folder.open();
    store.connection.busy_timeout(Duration::ZERO).unwrap();
    clock.set_epoch(EPOCH + after);
    let notation = Notation { epoch: clock.epoch(), listen: Vec::new(), shards: 2 };
    let source = Some(Source::Sqlite(folder.open()));
    Service::new(Some(store), source, file, notation, clock.clone(), &mut Rng::from_seed(2))
}

pub(crate) fn records(lines: &[(&str, serde_json::Value)]) -> Records {
    let mut records = Records::default();
    for (kind, body) in lines {
        records.add(kind, body.clone(), Place::File { file: "f".into(), line: 1 }).unwrap();
    }
    records
}

impl Service {
    /// One round of the thread, and what it tells.
    pub(crate) fn work_once(&mut self, server: &Server) -> Vec<(u16, Saved)> {
        let (first, mut outbox) = (self.jobs.try_recv().unwrap(), Outbox::default());
        assert!(!self.work(first, server, &mut outbox));
        let told = outbox.0.drain(..).map(|(shard, item)| (shard, *item.downcast::<Saved>().unwrap()));
        told.collect()
    }

    /// Whose bindings are to be written with nobody waiting, without doing it.
    pub(crate) fn noted(&self) -> Vec<Box<str>> {
        let noted = |job| match job {
            Job::Save { aor, waits: Waits::Nobody } => Some(aor),
            _ => None,
        };
        self.jobs.try_iter().filter_map(noted).collect()
    }
}

impl Bench {
    fn new(name: &str) -> Self {
        let (folder, clock) = (Folder::new(name), VirtualClock::new());
        let service = service(&folder, &clock, Records::default(), Duration::ZERO).unwrap();
        let server = server();
        server.set_journal(service.journal());
        Bench { folder, clock, server, service }
    }

    /// What a REGISTER does: the number is what it waits for.
    fn register(&mut self, aor: &str, contact: Option<&str>, seconds: u64, number: u64) -> Result<(), NotKept> {
        let journal = self.server.journal().unwrap();
        journal.reserve()?;
        let now = self.clock.now();
        let put = |own: &mut Vec<Binding>| -> Result<(), StoreFull> {
            *own = contact.into_iter().map(|contact| binding(contact, now + Duration::from_secs(seconds))).collect();
            Ok(())
        };
        self.server.location().update(aor, now, put).unwrap();
        journal.save(aor, 1, number)
    }

    /// One round of the thread, and what it tells.
    fn work(&mut self) -> Vec<(u16, Saved)> {
        self.service.work_once(&self.server)
    }

    fn tick(&mut self) {
        self.service.tick(&self.server);
    }

    fn rows(&self) -> Vec<(i64, String)> {
        let mut rows = Vec::new();
        self.folder.open().bindings(|id, aor, _, _| rows.push((id, aor.to_owned()))).unwrap();
        rows
    }

    /// Another process with the same database, `after` so many seconds.
    fn next(&self, after: u64) -> (Server, usize) {
        let clock = VirtualClock::new();
        let mut next = service(&self.folder, &clock, Records::default(), Duration::from_secs(after)).unwrap();
        let server = server();
        let count = next.restore(&server).unwrap();
        next.restore_messages(&server).unwrap();
        (server, count)
    }
}

pub(crate) fn binding(uri: &str, expires_at: Time) -> Binding {
    Binding::new(NewBinding {
        uri: &Uri::parse(uri).unwrap(),
        text: uri.into(),
        params: "",
        q: 1000,
        expires_at,
        call_id: "c",
        cseq: 1,
        neighbour: None,
        by: By::Uri,
        device: None,
        reg_id: 0,
        now: Time::ZERO,
    })
}

pub(crate) fn contacts(server: &Server, aor: &str) -> Vec<String> {
    let found = server.location().lookup(aor, Time::ZERO).unwrap_or_default();
    found.iter().map(|located| located.uri.to_string()).collect()
}

const AOR: &str = "'; DROP TABLE binding; --%00%22<b>@example.com";

#[test]
fn what_is_told_to_be_kept_is_there_for_the_next_process() {
    let mut bench = Bench::new("kept");
    bench.register(AOR, Some("sip:a@192.0.2.1"), 100, 7).unwrap();
    bench.register("b@h", Some("sip:b@192.0.2.2"), 50, 8).unwrap();
    bench.register(AOR, Some("sip:a@192.0.2.3"), 100, 9).unwrap();
    assert_eq!(bench.work(), [(1, Saved { up_to: 9, kept: true })]);
    let (next, count) = bench.next(10);
    assert_eq!((count, contacts(&next, AOR), contacts(&next, "b@h").len()), (2, vec!["sip:a@192.0.2.3".into()], 1));
    let (next, _) = bench.next(60);
    assert_eq!((contacts(&next, AOR).len(), contacts(&next, "b@h").len()), (1, 0), "the expired is gone");
}

/// As after a start with a wall clock that was a month ahead before.
#[test]
fn what_is_restored_lives_no_longer_than_anybody_may() {
    let mut bench = Bench::new("clock");
    let month = 30 * 86_400;
    bench.register("a@h", Some("sip:a@192.0.2.1"), month, 1).unwrap();
    bench.work();
    let (next, count) = bench.next(0);
    let longest = u64::from(next.config().registrar.max_expires);
    assert!(count == 1 && longest < month);
    assert_eq!(next.location().bindings("a@h", Time::ZERO)[0].seconds_left(Time::ZERO), longest);
}

#[test]
fn what_is_removed_leaves_no_row() {
    let mut bench = Bench::new("removed");
    bench.register("a@h", Some("sip:a@192.0.2.1"), 100, 1).unwrap();
    bench.register("b@h", Some("sip:b@192.0.2.1"), 100, 2).unwrap();
    bench.work();
    assert_eq!(bench.rows().len(), 2);
    bench.register("a@h", None, 0, 3).unwrap();
    bench.work();
    assert_eq!(bench.rows().into_iter().map(|(_, aor)| aor).collect::<Vec<_>>(), ["b@h"]);
    // Again, in the same process: a new row.
    bench.register("a@h", Some("sip:a@192.0.2.1"), 100, 4).unwrap();
    bench.register("b@h", Some("sip:b@192.0.2.9"), 100, 5).unwrap();
    bench.work();
    assert_eq!(bench.rows().len(), 2);
}

#[test]
fn what_expires_leaves_its_row_in_time() {
    let mut bench = Bench::new("expires");
    bench.register("a@h", Some("sip:a@192.0.2.1"), 100, 1).unwrap();
    bench.register("b@h", Some("sip:b@192.0.2.1"), 300, 2).unwrap();
    bench.work();
    bench.clock.advance(Duration::from_secs(101));
    bench.tick();
    assert_eq!(bench.rows().into_iter().map(|(_, aor)| aor).collect::<Vec<_>>(), ["b@h"]);
    assert_eq!(bench.service.rows.len(), 1);
}

#[test]
fn a_row_keeps_its_number_over_processes() {
    let mut bench = Bench::new("number");
    bench.register("a@h", Some("sip:a@192.0.2.1"), 100, 1).unwrap();
    bench.work();
    let before = bench.rows();
    bench.service = service(&bench.folder, &bench.clock, Records::default(), Duration::ZERO).unwrap();
    bench.server = server();
    bench.server.set_journal(bench.service.journal());
    bench.service.restore(&bench.server).unwrap();
    bench.register("a@h", Some("sip:a@192.0.2.2"), 100, 1).unwrap();
    bench.work();
    assert_eq!(bench.rows(), before);
    bench.register("b@h", Some("sip:a@192.0.2.2"), 100, 2).unwrap();
    bench.work();
    assert_eq!(bench.rows().len(), 2);
}

/// A store that cannot write by `break_it` refuses, and heals by `heal_it`.
fn refuses_and_heals(name: &str, break_it: impl Fn(&Store, &Store), heal_it: impl Fn(&Store, &Store)) {
    let mut bench = Bench::new(name);
    let other = bench.folder.open();
    bench.register("a@h", Some("sip:a@192.0.2.1"), 100, 1).unwrap();
    assert_eq!(bench.work(), [(1, Saved { up_to: 1, kept: true })]);
    break_it(bench.service.store.as_ref().unwrap(), &other);
    let long = format!("sip:{}@192.0.2.2", "x".repeat(100_000));
    bench.register("a@h", Some(&long), 100, 2).unwrap();
    assert_eq!(bench.work(), [(1, Saved { up_to: 2, kept: false })]);
    assert_eq!(bench.register("b@h", Some("sip:b@192.0.2.1"), 100, 3), Err(NotKept::Failing));
    bench.tick();
    assert_eq!(bench.register("b@h", Some("sip:b@192.0.2.1"), 100, 3), Err(NotKept::Failing));
    heal_it(bench.service.store.as_ref().unwrap(), &other);
    bench.tick();
    bench.register("b@h", Some("sip:b@192.0.2.1"), 100, 3).unwrap();
    assert_eq!(bench.work(), [(1, Saved { up_to: 3, kept: true })]);
    let (next, _) = bench.next(10);
    assert_eq!((contacts(&next, "a@h"), contacts(&next, "b@h").len()), (vec![long], 1), "what failed is made up for");
}

#[test]
fn a_full_disk_refuses_and_heals() {
    let most =
        |pages: i64| move |own: &Store, _: &Store| own.connection.pragma_update(None, "max_page_count", pages).unwrap();
    refuses_and_heals("full", most(1), most(1 << 30));
}

#[test]
fn a_database_that_another_process_holds_refuses_and_heals() {
    let say = |sql: &'static str| move |_: &Store, other: &Store| other.connection.execute_batch(sql).unwrap();
    refuses_and_heals("held", say("BEGIN IMMEDIATE"), say("ROLLBACK"));
}

#[test]
fn a_database_that_may_not_be_written_refuses_and_heals() {
    let only = |on: bool| move |own: &Store, _: &Store| own.connection.pragma_update(None, "query_only", on).unwrap();
    refuses_and_heals("read-only", only(true), only(false));
}

#[test]
fn what_cannot_be_dropped_is_said_once() {
    let mut bench = Bench::new("once");
    bench.register("a@h", Some("sip:a@192.0.2.1"), 100, 1).unwrap();
    bench.work();
    bench.clock.advance(Duration::from_secs(101));
    let only = |bench: &Bench, on: bool| {
        let store = bench.service.store.as_ref().unwrap();
        store.connection.pragma_update(None, "query_only", on).unwrap();
    };
    only(&bench, true);
    assert_eq!(logged(|| (0..3).for_each(|_| bench.tick())), 1);
    only(&bench, false);
    assert_eq!(logged(|| bench.tick()), 0);
    assert!(bench.rows().is_empty());
}

/// What a MESSAGE does that is kept: the number is what it waits for.
fn keep(bench: &Bench, aor: &str, text: &'static str, seconds: u64, number: u64) {
    let (journal, now) = (bench.server.journal().unwrap(), bench.clock.now());
    journal.reserve().unwrap();
    let until = now + Duration::from_secs(seconds);
    bench.server.silo().unwrap().keep(aor, "s@h", text.into(), until, now).unwrap();
    journal.save(aor, 1, number).unwrap();
}

/// The messages that a user has.
fn messages(server: &Server, aor: &str, now: Time) -> Vec<String> {
    let silo = server.silo().unwrap();
    let next = |last: u64| silo.next(aor, last, now);
    let all = std::iter::successors(next(0), |before| next(before.id));
    all.map(|next| String::from_utf8(next.text.to_vec()).unwrap()).collect()
}

#[test]
fn messages_are_there_for_the_next_process() {
    let mut bench = Bench::new("messages");
    for (number, text, seconds) in [(1, "one", 100), (2, "two", 50), (3, "three \u{0}'; DROP TABLE message", 200)] {
        keep(&bench, AOR, text, seconds, number);
    }
    keep(&bench, "b@h", "other", 100, 4);
    assert_eq!(bench.work(), [(1, Saved { up_to: 4, kept: true })]);
    let (next, _) = bench.next(10);
    assert_eq!(messages(&next, AOR, Time::ZERO), ["one", "two", "three \u{0}'; DROP TABLE message"]);
    // Each has the time that it had.
    assert_eq!(messages(&next, AOR, Time::from_millis(40_000)).len(), 2);
    let (next, _) = bench.next(60);
    assert_eq!((messages(&next, AOR, Time::ZERO).len(), messages(&next, "b@h", Time::ZERO).len()), (2, 1));
    // What was delivered is not there again, at once or within a second.
    bench.server.silo().unwrap().remove(AOR, 1);
    bench.server.journal().unwrap().note(AOR).unwrap();
    bench.work();
    bench.server.silo().unwrap().remove("b@h", 4);
    bench.tick();
    let (next, _) = bench.next(0);
    let left = ["two", "three \u{0}'; DROP TABLE message"];
    assert_eq!(
        (messages(&next, AOR, Time::ZERO), messages(&next, "b@h", Time::ZERO).len()),
        (left.map(Into::into).into(), 0)
    );
    // What has expired leaves its row.
    bench.clock.advance(Duration::from_secs(51));
    bench.tick();
    let count = |bench: &Bench| -> u32 {
        let store = bench.folder.open();
        store.connection.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&bench), 1);
    bench.clock.advance(Duration::from_secs(150));
    bench.tick();
    assert_eq!(count(&bench), 0);
}

#[test]
fn a_message_that_cannot_be_written_is_refused_and_written_later() {
    let mut bench = Bench::new("messages-held");
    let other = bench.folder.open();
    keep(&bench, "a@h", "one", 100, 1);
    bench.work();
    other.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    keep(&bench, "a@h", "two", 100, 2);
    bench.server.silo().unwrap().remove("a@h", 1);
    assert_eq!(bench.work(), [(1, Saved { up_to: 2, kept: false })]);
    other.connection.execute_batch("ROLLBACK").unwrap();
    bench.tick();
    assert_eq!(messages(&bench.next(0).0, "a@h", Time::ZERO), ["two"]);
    assert!(bench.server.silo().unwrap().gone().is_empty());
}

fn presence(aor: &str) -> Resource {
    Resource { package: Package::Presence, aor: aor.into() }
}

/// Publishes something that lasts so many seconds, as the next version of something else if there is that.
fn publish(bench: &Bench, resource: &Resource, before: Option<&str>, etag: &str, body: &'static str, seconds: u64) {
    let now = bench.clock.now();
    let document = Document {
        etag: etag.into(),
        content_type: "application/pidf+xml".into(),
        body: body.as_bytes().into(),
        expires: now + Duration::from_secs(seconds),
    };
    bench.server.compositor().replace(resource, before, Some(document), now).unwrap();
}

/// Entity-tags, bodies, and when each ends, of what is published.
fn published(server: &Server, resource: &Resource) -> Vec<(String, String, Time)> {
    let all = server.compositor().documents(resource, Time::ZERO).into_iter().map(|(_, document)| document);
    all.map(|one| (one.etag, String::from_utf8(one.body.to_vec()).unwrap(), one.expires)).collect()
}

#[test]
fn what_is_published_is_there_for_the_next_process() {
    let mut bench = Bench::new("published");
    let (bob, carol) = (presence("bob@example.com"), presence("carol@example.com"));
    publish(&bench, &bob, None, "one", "<a>\u{0}'; DROP TABLE binding</a>", 100);
    publish(&bench, &bob, None, "two", "<b>ä</b>", 50);
    publish(&bench, &carol, None, "three", "<c/>", 100);
    bench.work();
    assert_eq!(bench.rows().len(), 2);
    let (next, count) = bench.next(10);
    assert_eq!((count, next.compositor().len()), (0, 3));
    let [one, two] = [
        ("one".to_owned(), "<a>\u{0}'; DROP TABLE binding</a>".to_owned(), Time::from_millis(90_000)),
        ("two".to_owned(), "<b>ä</b>".to_owned(), Time::from_millis(40_000)),
    ];
    assert_eq!(published(&next, &bob), [one, two]);
    assert_eq!(published(&bench.next(60).0, &bob).len(), 1, "what has expired is left out");
    // What is refreshed has its next entity-tag, and what is removed leaves no row.
    publish(&bench, &bob, Some("one"), "four", "<a/>", 100);
    bench.server.compositor().replace(&carol, Some("three"), None, bench.clock.now()).unwrap();
    bench.work();
    let etags: Vec<_> = published(&bench.next(0).0, &bob).into_iter().map(|(etag, ..)| etag).collect();
    assert_eq!((etags, bench.rows().len()), (vec!["two".to_owned(), "four".to_owned()], 1));
    // What nobody refreshes leaves its row in time.
    bench.clock.advance(Duration::from_secs(101));
    bench.tick();
    assert_eq!(bench.rows(), []);
}

#[test]
fn what_is_restored_keeps_to_the_limits_of_this_process() {
    let mut bench = Bench::new("published-limits");
    let bob = presence("bob@example.com");
    let lamp = Resource { package: Package::Dialog, aor: "bob@example.com".into() };
    publish(&bench, &bob, None, "one", "<a/>", 100);
    publish(&bench, &bob, None, "two", "<b/>", 1_000_000);
    publish(&bench, &lamp, None, "three", "<c/>", 100);
    bench.work();
    // A call that the proxy tells itself: who knows how that ends?
    publish(&bench, &lamp, None, " call", "<d/>", 100);
    assert!(bench.service.noted().is_empty());
    let mut other = service(&bench.folder, &VirtualClock::new(), Records::default(), Duration::ZERO).unwrap();
    let mut config = config();
    config.events.packages = vec![Package::Presence];
    config.events.publications_per_user = 1;
    let full = with(config);
    assert_eq!(logged(|| assert_eq!(other.restore(&full).unwrap(), 0)), 1, "what has no room is said once");
    assert_eq!((published(&full, &bob).len(), published(&full, &lamp).len()), (1, 0));
    let (next, _) = bench.next(0);
    let longest = Time::ZERO + Duration::from_secs(next.config().events.max_expires.into());
    assert_eq!(published(&next, &bob)[1].2, longest);
    assert_eq!(published(&next, &lamp).len(), 1);
}

/// A user who is removed, or disabled, while no proxy runs has no contacts when one runs again, and has published nothing; who
/// never was one has them.
#[test]
fn who_is_removed_meanwhile_is_not_restored() {
    let mut bench = Bench::new("removed-user");
    let users = |lines: &[serde_json::Value]| {
        let lines: Vec<_> = lines.iter().map(|body| ("user", body.clone())).collect();
        records(&lines)
    };
    let both = users(&[json!({"aor": "a@h"}), json!({"aor": "b@h"}), json!({"aor": "c@h"})]);
    bench.service = service(&bench.folder, &bench.clock, both, Duration::ZERO).unwrap();
    bench.server = server();
    bench.server.set_journal(bench.service.journal());
    for (number, aor) in (1..).zip(["a@h", "b@h", "c@h", "guest@h"]) {
        bench.register(aor, Some("sip:x@192.0.2.1"), 100, number).unwrap();
    }
    bench.work();
    ["a@h", "b@h", "c@h"].iter().for_each(|aor| publish(&bench, &presence(aor), None, aor, "<a/>", 100));
    bench.work();
    let left = users(&[json!({"aor": "a@h"}), json!({"aor": "b@h", "enabled": false})]);
    let mut next = service(&bench.folder, &VirtualClock::new(), left, Duration::from_secs(1)).unwrap();
    let server = server();
    assert_eq!(next.restore(&server).unwrap(), 2);
    let found = ["a@h", "b@h", "c@h", "guest@h"].map(|aor| contacts(&server, aor).len());
    assert_eq!(found, [1, 0, 0, 1]);
    assert_eq!(["a@h", "b@h", "c@h"].map(|aor| published(&server, &presence(aor)).len()), [1, 0, 0]);
    let rows: Vec<_> = bench.rows().into_iter().map(|(_, aor)| aor).collect();
    assert_eq!(rows, ["a@h", "guest@h", "presence a@h"]);
}
