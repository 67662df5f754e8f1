//! Who is registered.

use super::{Call, Outcome, Refused, page};
use crate::location::{Binding, By, Record, StoreFull};
use crate::proxy::{Keeper, Server};
use crate::store::NotKept;
use rutil::Time;
use serde_json::{Value, json};
use stack::uri::Uri;
use std::time::Duration;

/// How long what keeps bindings may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A place with what keeps bindings, until this is dropped.
struct Place<'s>(Option<Keeper<'s>>);

impl<'s> Place<'s> {
    fn take(server: &'s Server) -> Result<Self, NotKept> {
        let keeper = server.keeper();
        keeper.map_or(Ok(()), Keeper::reserve)?;
        Ok(Place(keeper))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.into_iter().for_each(Keeper::release);
    }
}

/// An address-of-record with its contacts.
fn shown(aor: &str, record: &Record, now: Time) -> Value {
    let contacts: Vec<Value> = record.iter().map(|binding| contact(binding, now)).collect();
    json!({"aor": aor, "contacts": contacts})
}

fn contact(binding: &Binding, now: Time) -> Value {
    let by = match binding.by() {
        By::Uri => json!("uri"),
        By::Flow(flow) => json!({"flow": {"transport": flow.kind.as_param(), "peer": flow.peer.to_string()}}),
        By::Path(path) => json!({"path": **path}),
        By::Node(hop) => json!({"node": {"name": hop.node.name(), "alive": hop.is_alive()}}),
    };
    json!({
        "contact": binding.uri(),
        "params": binding.params(),
        "q": f64::from(binding.q) / 1000.0,
        "expires_seconds": binding.seconds_left(now),
        "call_id": &*binding.call_id,
        "cseq": binding.cseq,
        "reached_by": by,
        "instance": binding.device(),
        "reg_id": binding.reg_id(),
        "behind_nat": binding.is_natted(),
    })
}

pub(super) fn list(call: &Call<'_>) -> Outcome {
    let (location, now, limit) = (call.parts.server.location(), call.parts.now(), call.limit()?);
    let mut found = location.list(call.param("after"), call.param("search"), limit + 1, now);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(aor, _)| aor.clone());
    let items = found.iter().map(|(aor, record)| shown(aor, record, now)).collect();
    Ok((200, page(items, next.as_deref(), location.len_of_bindings())))
}

/// The bindings of the address-of-record that the path names; it must have some.
fn bindings(call: &Call<'_>) -> Result<Record, Refused> {
    let record = call.parts.server.location().bindings(call.name(0), call.parts.now());
    if record.is_empty() { Err(Refused::not_found("registration of", call.name(0))) } else { Ok(record) }
}

pub(super) fn show(call: &Call<'_>) -> Outcome {
    Ok((200, shown(call.name(0), &bindings(call)?, call.parts.now())))
}

pub(super) fn remove(call: &Call<'_>) -> Outcome {
    let (aor, wanted, now) = (call.name(0), call.param("contact"), call.parts.now());
    let before = bindings(call)?;
    let uri = Uri::parse(wanted).ok();
    let is_meant = |binding: &Binding| wanted.is_empty() || uri.as_ref().is_some_and(|uri| binding.is(uri));
    if !before.iter().any(is_meant) {
        return Err(Refused::not_found("contact", wanted));
    }
    let server = &call.parts.server;
    let unable = |error: NotKept| match error {
        NotKept::Overtaken => Refused::new(409, error.to_string()),
        error => Refused::new(503, error.to_string()),
    };
    // Before anything is changed: who is refused has changed nothing.
    let place = Place::take(server).map_err(unable)?;
    let mut gone = Vec::new();
    let remove = |own: &mut Vec<Binding>| -> Result<(), StoreFull> {
        gone.extend(own.extract_if(.., |binding| is_meant(binding)));
        Ok(())
    };
    let left = server.location().update(aor, now, remove).map_err(|error| Refused::new(503, error.to_string()))?;
    let kept = if gone.is_empty() { None } else { server.keep_gone(aor, &gone).map_err(unable)? };
    tracing::info!(aor, contact = wanted, "contacts were removed by an operator");
    if let Some(kept) = kept {
        let late = "it is removed here; it is not yet known whether that is kept";
        kept.recv_timeout(PATIENCE).map_err(|_| Refused::new(503, late))?.map_err(unable)?;
    }
    drop(place);
    Ok((200, json!({"removed": gone.len(), "left": left.len()})))
}
