//! Records: what stands in the configuration is shown, what stands in the store may be changed.

use super::{Call, Method, Outcome, Refused, page};
use crate::provisioning::{Place, Provisioning, ProvisioningError, Record as _, Records, Row, UserRecord, one_line};
use crate::routing::health::State;
use crate::store::{Change, RecordStore, StoreError};
use rutil::Rng;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a change may take until all proxies have it.
const PATIENCE: Duration = Duration::from_secs(30);
/// What clients may write instead of hashes.
const PASSWORD: &str = "password";

/// The kind of records of a part of a path: `users` are of `user`.
pub(super) fn kind(name: &str) -> Option<&'static str> {
    let kind = name.strip_suffix('s')?;
    Records::KINDS.iter().copied().find(|known| *known == kind)
}

/// Whether a field is one that nobody is shown.
fn is_secret(kind: &str, field: &str) -> bool {
    Records::secrets_of(kind).contains(&field) || field.contains(PASSWORD) || field.contains("secret")
}

fn failed(error: StoreError) -> Refused {
    match error {
        StoreError::Record(error) => unfit(&error),
        error => Refused::new(503, error.to_string()),
    }
}

/// A record that cannot be used, or does not go with the others.
fn unfit(error: &ProvisioningError) -> Refused {
    let field = error.field.as_str();
    Refused::field(422, if field == "." { "" } else { field }, error.to_string())
}

/// Where records can be changed, if there is such a place: by a connection of its own, so that nobody waits for the threads
/// of the store.
fn open(call: &Call<'_>) -> Result<Option<RecordStore>, Refused> {
    RecordStore::open(call.parts.server.config(), false).map_err(failed)
}

fn open_to_write(call: &Call<'_>) -> Result<RecordStore, Refused> {
    let what = "there is no store: records stand in the configuration alone. Add [store] or [database], or change the \
                file and reload";
    open(call)?.ok_or_else(|| Refused::new(405, what))
}

/// The rows of a kind that stand in the configuration, by key.
fn of_file(call: &Call<'_>, kind: &str) -> Result<BTreeMap<String, (Row, Place)>, Refused> {
    let Some(published) = call.parts.journal.published() else { return Ok(BTreeMap::new()) };
    let rows = published.file.rows_of(kind).map_err(|error| Refused::new(500, error.to_string()))?;
    Ok(rows.into_iter().map(|(row, place)| (row.key.clone(), (row, place))).collect())
}

/// A record as it is shown: with its key and its place, without what serves as a password.
fn shown(call: &Call<'_>, kind: &str, key: &str, body: &str, place: &str) -> Value {
    let mut record: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let hidden: Vec<String> = record.keys().filter(|field| is_secret(kind, field)).cloned().collect();
    hidden.iter().for_each(|field| drop(record.remove(field)));
    let mut item = json!({"key": key, "place": place, "record": record});
    if kind == UserRecord::KIND {
        item["credentials"] = hidden.into();
    }
    if kind == "trunk" {
        item["contacts"] = health(call, key);
    }
    item
}

/// The contacts of a trunk, and whether they are in service.
fn health(call: &Call<'_>, name: &str) -> Value {
    let (now, published) = (call.parts.now(), call.parts.journal.published());
    let Some(published) = published else { return Value::Null };
    let Some(trunk) = published.provisioning.trunks.iter().find(|trunk| trunk.record.name == name) else {
        return json!([]);
    };
    let contacts = trunk.contacts.iter().map(|contact| {
        let state = match contact.health.state(now) {
            State::InService => "in_service",
            State::OutOfService => "out_of_service",
            State::Recovering => "recovering",
            State::Trial => "trial",
        };
        json!({"contact": contact.uri().to_string(), "state": state, "forced_out": contact.health.is_forced_out()})
    });
    contacts.collect()
}

pub(super) fn list(call: &Call<'_>) -> Outcome {
    let (kind, limit) = (call.name(0), call.limit()?);
    let (after, search) = (call.param("after"), call.param("search"));
    let file = of_file(call, kind)?;
    let of_store =
        open(call)?.map(|mut store| store.page(kind, after, search, limit + 1)).transpose().map_err(failed)?;
    let (rows, in_store) = of_store.unwrap_or_default();
    let total = file.len() + in_store;
    let wanted = |key: &str| key > after && (search.is_empty() || key.contains(search));
    let mut all: Vec<(String, String, String)> =
        rows.into_iter().map(|(key, body)| (key, body, Place::Store.to_string())).collect();
    let from_file = file.into_iter().filter(|(key, _)| wanted(key));
    all.extend(from_file.map(|(key, (row, place))| (key, row.body, place.to_string())));
    all.sort();
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|(key, ..)| key.clone());
    let items = all.iter().map(|(key, body, place)| shown(call, kind, key, body, place)).collect();
    Ok((200, page(items, next.as_deref(), total)))
}

/// A record by its key: its body and its place.
fn find(call: &Call<'_>, kind: &str, key: &str) -> Result<(String, String), Refused> {
    if let Some((row, place)) = of_file(call, kind)?.remove(key) {
        return Ok((row.body, place.to_string()));
    }
    let body = open(call)?.map(|mut store| store.body(kind, key)).transpose().map_err(failed)?.flatten();
    body.map(|body| (body, Place::Store.to_string())).ok_or_else(|| Refused::not_found(kind, key))
}

pub(super) fn show(call: &Call<'_>) -> Outcome {
    let (kind, key) = (call.name(0), call.name(1));
    let (body, place) = find(call, kind, key)?;
    Ok((200, shown(call, kind, key, &body, &place)))
}

pub(super) fn add(call: &Call<'_>) -> Outcome {
    write(call, None)
}

pub(super) fn put(call: &Call<'_>) -> Outcome {
    write(call, Some(call.name(1)))
}

/// Writes a record: with PUT it takes the place of the one with its key, which must be that of the path, if that has one.
fn write(call: &Call<'_>, named: Option<&str>) -> Outcome {
    let kind = call.name(0);
    let mut store = open_to_write(call)?;
    let _alone = call.operation.changes();
    let mut fields: Map<String, Value> = call.read()?;
    let password = match (kind == UserRecord::KIND).then(|| fields.remove(PASSWORD)).flatten() {
        None => None,
        Some(Value::String(password)) if !password.is_empty() => Some(password),
        Some(_) => return Err(Refused::field(422, PASSWORD, "expected a text that is not empty")),
    };
    let says_nothing = password.is_none() && !fields.keys().any(|field| is_secret(kind, field));
    let (mut row, mut new) = read(kind, fields.clone())?;
    if let Some(key) = named.filter(|key| **key != *row.key) {
        let what = format!("this is the record {}, expected {} as in the path", one_line(&row.key), one_line(key));
        return Err(Refused::new(422, what));
    }
    if let Some((_, (_, place))) = of_file(call, kind)?.remove_entry(&row.key) {
        return Err(stands_in_file(&place));
    }
    let before = store.body(kind, &row.key).map_err(failed)?;
    if before.is_some() && call.method == Method::Post {
        let what = format!("{kind} {} is there already: PUT writes another in its place", one_line(&row.key));
        return Err(Refused::new(409, what));
    }
    if let Some(before) = before.as_deref().filter(|_| says_nothing) {
        keep_secrets(kind, before, &mut fields)?;
        (row, new) = read(kind, fields)?;
    }
    if let (Some(password), Some(mut user)) = (password, new.users.pop()) {
        user.record.set_password(&password, &all(call, &mut store)?);
        let body = serde_json::to_string(&user.record).map_err(|error| Refused::new(500, error.to_string()))?;
        row = Row { body, ..row };
    }
    change(call, &mut store, Change::Put(&row))?;
    let status = if before.is_some() { 200 } else { 201 };
    Ok((status, shown(call, kind, &row.key, &row.body, &Place::Store.to_string())))
}

/// A record of these fields, as the store has it and as it is.
fn read(kind: &str, fields: Map<String, Value>) -> Result<(Row, Records), Refused> {
    let mut new = Records::default();
    let place = Place::File { file: "request".into(), line: 1 };
    let row = new.add(kind, Value::Object(fields), place).map_err(|error| unfit(&error))?;
    Ok((row, new))
}

/// Who does not say what serves as a password keeps it.
fn keep_secrets(kind: &str, before: &str, fields: &mut Map<String, Value>) -> Result<(), Refused> {
    let before: Map<String, Value> = serde_json::from_str(before).unwrap_or_default();
    let kept: Vec<(String, Value)> =
        before.iter().filter(|(field, _)| is_secret(kind, field)).map(|(f, v)| (f.clone(), v.clone())).collect();
    if kind == UserRecord::KIND && !kept.is_empty() && before.get("realm") != fields.get("realm") {
        let what = "the hashes of the password were made with the realm before: give password as well";
        return Err(Refused::field(422, "realm", what));
    }
    fields.extend(kept);
    Ok(())
}

fn stands_in_file(place: &Place) -> Refused {
    Refused::new(409, format!("it stands in {place}: change it there, and reload"))
}

pub(super) fn remove(call: &Call<'_>) -> Outcome {
    let (kind, key) = (call.name(0), call.name(1));
    let mut store = open_to_write(call)?;
    let _alone = call.operation.changes();
    if let Some((_, (_, place))) = of_file(call, kind)?.remove_entry(key) {
        return Err(stands_in_file(&place));
    }
    match change(call, &mut store, Change::Remove { kind, key })? {
        0 => Err(Refused::not_found(kind, key)),
        _ => Ok((200, json!({"removed": key}))),
    }
}

/// All records as they are now.
fn all(call: &Call<'_>, store: &mut RecordStore) -> Result<Records, Refused> {
    let mut records = call.parts.journal.published().map(|published| (*published.file).clone()).unwrap_or_default();
    records.extend(store.records().map_err(failed)?);
    Ok(records)
}

/// Changes the store, if everything goes together then, and waits until all proxies have it.
fn change(call: &Call<'_>, store: &mut RecordStore, change: Change<'_>) -> Result<usize, Refused> {
    let file = call.parts.journal.published().map(|published| (*published.file).clone()).unwrap_or_default();
    let check = |kept: Records| {
        let mut records = file.clone();
        records.extend(kept);
        // Nobody looks anything up in it: the keys of its tables need not be secret.
        Provisioning::compile(&records, &mut Rng::from_seed(0)).map(drop)
    };
    let changed = store.change(&[change], check).map_err(failed)?;
    if changed > 0 {
        let outcome = call.parts.journal.publish(None).map_err(|error| Refused::new(503, error.to_string()))?;
        let late = "it is written; the proxies get it within seconds";
        let outcome = outcome.recv_timeout(PATIENCE).map_err(|_| Refused::new(503, late))?;
        outcome.map_err(|error| Refused::new(409, error))?;
    }
    Ok(changed)
}
