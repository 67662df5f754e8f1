//! A store on a real file.

use super::*;
use crate::provisioning::{Place, ProvisioningError, Records, Row};
use serde_json::json;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory of its own, gone with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("repro-store-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.0.join("repro.db")
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(&self.db(), false).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn rows(lines: &[(&str, serde_json::Value)]) -> Vec<Row> {
    let mut records = Records::default();
    lines.iter().map(|(kind, body)| records.add(kind, body.clone(), Place::Store).unwrap()).collect()
}

fn put(store: &mut Store, rows: &[Row]) -> Result<usize, StoreError> {
    store.change(&rows.iter().map(Change::Put).collect::<Vec<_>>(), |_| Ok(()))
}

fn remove(store: &mut Store, kind: &str, key: &str) -> usize {
    store.change(&[Change::Remove { kind, key }], |_| Ok(())).unwrap()
}

/// What a man with bad intentions would provision.
const NASTY: [&str; 4] =
    ["'; DROP TABLE provisioning; --", "\"\u{0}\r\nINFO repro: all is well", "<script>alert(1)</script>", "\u{202e}💥"];

#[test]
fn records_outlive_the_process() {
    let folder = Folder::new("outlive");
    let nasty = NASTY.map(|realm| ("domain", json!({"name": format!("d{}.example", realm.len()), "realm": realm})));
    let long = json!({"name": "long.example", "realm": "x".repeat(65_536)});
    let user = json!({"aor": "%27%00%22@example.com", "md5": "939e7578ed9e3c518a452acee763bce9", "enabled": false});
    let rows = rows(&[nasty.as_slice(), &[("domain", long), ("user", user)]].concat());
    assert_eq!(put(&mut folder.open(), &rows).unwrap(), 6);
    let mut store = folder.open();
    let mut kept: Vec<Row> = store.records().unwrap().rows().unwrap().into_iter().map(|(row, _)| row).collect();
    let mut written = rows.clone();
    kept.sort_by(|a, b| a.key.cmp(&b.key));
    written.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(kept, written);
    let key = "'%00%22@example.com";
    assert_eq!([remove(&mut store, "user", key), remove(&mut store, "user", key)], [1, 0]);
    assert_eq!(store.records().unwrap().len(), 5);
}

#[test]
fn what_goes_wrong_changes_nothing() {
    let folder = Folder::new("nothing");
    let mut store = folder.open();
    let mut rows = rows(&[("user", json!({"aor": "a@h"})), ("user", json!({"aor": "b@h"}))]);
    let refuse =
        |records: Records| Err(ProvisioningError::new(&Place::Store, "user", "b@h", "", &records.len().to_string()));
    let changes: Vec<Change<'_>> = rows.iter().map(Change::Put).collect();
    assert_eq!(store.change(&changes, refuse).unwrap_err().to_string(), "store: user b@h: 2");
    assert!(store.records().unwrap().is_empty());
    rows[1].body = "no json".to_owned();
    assert!(put(&mut store, &rows).is_err());
    assert!(store.records().unwrap().is_empty());
}

/// While records are looked at others may write; when what they write are records, those are looked at too.
#[test]
fn nobody_waits_while_records_are_looked_at() {
    let folder = Folder::new("looked-at");
    let (mut store, mut other) = (folder.open(), folder.open());
    other.connection.busy_timeout(Duration::ZERO).unwrap();
    let own = rows(&[("user", json!({"aor": "a@h"}))]);
    let (mut looks, theirs) = (Vec::new(), rows(&[("user", json!({"aor": "b@h"}))]));
    let changed = store.change(&[Change::Put(&own[0])], |records| {
        // A registration, each time; a record, the first time.
        other.save(|batch| batch.put(1, "a@h", 9, "[]", false)).expect("it is not locked");
        if looks.is_empty() {
            put(&mut other, &theirs).expect("it is not locked");
        }
        looks.push(records.users.iter().map(|user| user.record.aor.to_string()).collect::<Vec<_>>());
        Ok(())
    });
    assert_eq!((changed.unwrap(), looks), (1, vec![vec!["a@h".to_owned()], vec!["b@h".into(), "a@h".into()]]));
    assert_eq!(store.records().unwrap().len(), 2);
    // Who never comes to an end gives up, and has changed nothing.
    let (mut number, remove) = (0, [Change::Remove { kind: "user", key: "a@h" }]);
    let restless = store.change(&remove, |_| {
        number += 1;
        put(&mut other, &rows(&[("user", json!({"aor": format!("{number}@h")}))])).map(drop).map_err(|_| unreachable!())
    });
    let told = restless.unwrap_err().to_string();
    assert!(told.contains("others keep changing what is provisioned") && number == 10, "{told}");
    assert!(store.body("user", "a@h").unwrap().is_some());
}

#[test]
fn changes_by_another_process_are_noticed() {
    let folder = Folder::new("noticed");
    let (mut own, mut other) = (folder.open(), folder.open());
    assert!(own.changed().unwrap() && !own.changed().unwrap());
    let rows = rows(&[("user", json!({"aor": "a@h"}))]);
    put(&mut other, &rows).unwrap();
    assert!(own.changed().unwrap() && !own.changed().unwrap());
    put(&mut other, &rows).unwrap();
    assert!(!own.changed().unwrap(), "the same again is no change");
    other.connection.execute("INSERT INTO binding VALUES (1, 'a@h', 0, '[]', 0)", []).unwrap();
    assert!(!own.changed().unwrap(), "a binding is no record");
    assert_eq!(remove(&mut other, "user", "a@h"), 1);
    assert!(own.changed().unwrap());
}

#[test]
fn the_views_show_the_fields() {
    let folder = Folder::new("views");
    let mut store = folder.open();
    put(&mut store, &rows(&[("user", json!({"aor": "a@h", "realm": "Acme"}))])).unwrap();
    let row = store.connection.query_row("SELECT key, aor, realm, md5 FROM user", [], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, Option<String>>(3)?,
        ))
    });
    assert_eq!(row.unwrap(), ("a@h".to_owned(), "a@h".to_owned(), "Acme".to_owned(), None));
    // A view of an older version is made anew.
    store.connection.execute_batch("DROP VIEW user; CREATE VIEW user AS SELECT 1 AS x").unwrap();
    drop(store);
    assert!(folder.open().connection.prepare("SELECT third_party FROM user").is_ok());
}

#[test]
fn a_record_that_was_written_by_other_means_is_named() {
    let folder = Folder::new("means");
    let store = folder.open();
    let sql = "INSERT INTO provisioning VALUES ('user', 'a@h' || char(10), '{\"aor\": \"a@h\", \"enabled\": 7}')";
    store.connection.execute(sql, []).unwrap();
    let error = store.records().unwrap_err().to_string();
    assert!(error.starts_with("store: user a@h\\n enabled: invalid type: integer `7`, expected a boolean"), "{error}");
}

#[test]
fn what_is_no_database_is_a_clear_error() {
    let folder = Folder::new("clear");
    fs::write(folder.db(), "[store]\n".repeat(200)).unwrap();
    let error = |path: &Path| Store::open(path, false).unwrap_err().to_string();
    let told = error(&folder.db());
    assert!(
        told.contains("repro.db: ") && told.contains("not a database") && told.contains("move the file away"),
        "{told}"
    );
    let told = error(Path::new("/nowhere/repro.db"));
    assert!(told.starts_with("/nowhere/repro.db: cannot be opened: ") && told.contains("directory"), "{told}");
    fs::remove_file(folder.db()).unwrap();
    drop(folder.open());
    // In the middle of a page, where the first look does not see it.
    let mut octets = fs::read(folder.db()).unwrap();
    octets[1024..].fill(0x5a);
    fs::write(folder.db(), octets).unwrap();
    let told = Store::open(&folder.db(), false).and_then(|store| store.records()).unwrap_err().to_string();
    assert!(told.contains("malformed") && told.contains("restore a copy"), "{told}");
}

#[test]
fn only_one_proxy_has_it() {
    let folder = Folder::new("one");
    let link = folder.0.join("link.db");
    std::os::unix::fs::symlink(folder.db(), &link).unwrap();
    let (mut own, mut other) = (folder.open(), Store::open(&link, false).unwrap());
    own.claim().unwrap();
    let told = other.claim().unwrap_err().to_string();
    assert!(told.contains("link.db: another repro runs on it"), "{told}");
    // Records are changed all the same.
    assert_eq!(put(&mut other, &rows(&[("user", json!({"aor": "a@h"}))])).unwrap(), 1);
    drop(own);
    other.claim().unwrap();
}

#[test]
fn a_row_says_whose_contacts_it_has() {
    let folder = Folder::new("whose");
    let mut store = folder.open();
    for (aor, contacts) in [("a@h", "[1]"), ("b@h", "[2]")] {
        store.save(|batch| batch.put(1, aor, 9, contacts, true)).unwrap();
    }
    let mut rows = Vec::new();
    store.bindings(|id, aor, contacts, _| rows.push((id, aor.to_owned(), contacts.to_owned()))).unwrap();
    assert_eq!(rows, [(1, "b@h".to_owned(), "[2]".to_owned())]);
}

#[test]
fn what_did_not_reach_the_disk_is_tried_again() {
    let folder = Folder::new("disk");
    let mut store = folder.open();
    store.save(|batch| batch.put(1, "a@h", 9, "[]", false)).unwrap();
    let path = std::mem::replace(&mut store.path, "/nowhere/repro.db".into());
    assert!(store.sync().is_err());
    assert!(store.sync().is_err(), "it is still to be done");
    store.path = path;
    store.sync().unwrap();
    assert!(!store.unsynced);
}

/// A database of the version before has all that it had, and what is new.
#[test]
fn an_older_version_is_brought_up_to_date() {
    let folder = Folder::new("older");
    let mut store = folder.open();
    store.save(|batch| batch.put(1, "a@h", 9, "[]", false)).unwrap();
    store
        .connection
        .execute_batch("DROP TABLE message; ALTER TABLE binding DROP COLUMN provisioned; PRAGMA user_version = 1;")
        .unwrap();
    drop(store);
    let mut store = folder.open();
    let row = MessageRow { id: 7, aor: "a@h", sender: "s@h", expires: 9, text: b"text" };
    store.save(|batch| batch.put_message(row)).unwrap();
    let (mut bindings, mut messages) = (Vec::new(), Vec::new());
    store.bindings(|id, aor, _, _| bindings.push((id, aor.to_owned()))).unwrap();
    store.messages(0, |row| messages.push((row.id, row.aor.to_owned(), row.text.to_vec()))).unwrap();
    assert_eq!((bindings, messages), (vec![(1, "a@h".into())], vec![(7, "a@h".into(), b"text".into())]));
}

#[test]
fn a_later_version_is_left_alone() {
    let folder = Folder::new("later");
    folder.open().connection.pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&folder.db(), false).unwrap_err().to_string();
    assert!(
        error.ends_with("schema version 99, expected at most 3: it was written by a later version of repro"),
        "{error}"
    );
}

#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("else");
    let mut store = folder.open();
    put(&mut store, &rows(&[("user", json!({"aor": "a@h"}))])).unwrap();
    store.claim().unwrap();
    for file in fs::read_dir(&folder.0).unwrap().map(Result::unwrap) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
    }
}

/// Counts what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// How many warnings and errors this logs.
pub(crate) fn logged(work: impl FnOnce()) -> usize {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), work);
    lines.0.load(Ordering::Relaxed)
}
