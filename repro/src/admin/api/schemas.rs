//! The forms of requests and answers, for the description of the API.

use crate::provisioning::Records;
use serde_json::{Map, Value, json};

/// An object with these properties, all of which are there.
fn object(properties: Value) -> Value {
    let required: Vec<String> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn maybe(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn of(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list_of(item: Value) -> Value {
    json!({"type": "array", "items": item})
}

/// A list with `more` beside it.
fn items(item: Value, more: Value) -> Value {
    let mut total = count();
    total["description"] = "All that there are, on this page or not, whatever is searched".into();
    let mut properties = json!({"items": list_of(item), "total": total});
    let all = properties.as_object_mut();
    all.into_iter().for_each(|all| all.extend(more.as_object().cloned().unwrap_or_default()));
    object(properties)
}

/// A page of a longer list.
fn page(item: Value) -> Value {
    items(item, json!({"next": maybe("string")}))
}

/// The same without some of what is required.
fn without_required(mut schema: Value) -> Value {
    schema.as_object_mut().into_iter().for_each(|schema| drop(schema.remove("required")));
    schema
}

/// What answers look like, by the names that routes give.
pub(super) fn answers() -> Map<String, Value> {
    let all = json!({
        "object": {"type": "object"},
        "error": object(json!({"error": {
            "type": "object", "required": ["status", "message"],
            "properties": {"status": {"type": "integer"}, "message": text(), "field": text()},
        }})),
        "status": object(json!({
            "version": text(), "ready": flag(), "why_not": maybe("string"), "started_at": maybe("integer"),
            "uptime_seconds": count(), "transports": list_of(object(json!({"transport": text(), "address": text()}))),
            "bindings": count(), "addresses_of_record": count(), "users": maybe("integer"),
            "silo_messages": maybe("integer"), "publications": count(), "store": maybe("object"),
            "accounting": maybe("object"), "cluster": maybe("object"),
        })),
        "transactions": items(of("transaction"), json!({
            "clients_alive": count(), "servers_alive": count(),
            "states": list_of(object(json!({"kind": text(), "state": text(), "alive": count()}))),
        })),
        "transaction": object(json!({
            "shard": count(), "kind": {"enum": ["client INVITE", "client non-INVITE", "server INVITE", "server non-INVITE"]},
            "state": text(), "pending": flag(), "method": maybe("string"), "call_id": maybe("string"),
            "branch": maybe("string"), "transport": maybe("string"), "peer": maybe("string"),
            "age_seconds": {"type": "number", "minimum": 0},
        })),
        "registrations": page(of("registration")),
        "registration": object(json!({"aor": text(), "contacts": list_of(of("contact"))})),
        "contact": object(json!({
            "contact": text(), "params": text(), "q": {"type": "number"}, "expires_seconds": count(), "call_id": text(),
            "cseq": count(), "reached_by": {}, "instance": maybe("string"), "reg_id": {}, "behind_nat": flag(),
        })),
        "unregistered": object(json!({"removed": count(), "left": count()})),
        "service": object(json!({"trunk": text(), "contacts": count(), "in_service": flag()})),
        "nodes": items(of("node"), json!({
            "node": maybe("string"), "connected": maybe("boolean"), "waiting": count(), "counts": {"type": "object"},
        })),
        "node": object(json!({
            "node": text(), "own": flag(), "alive": flag(), "draining": flag(),
            "silent_seconds": {"type": "number", "minimum": 0},
        })),
        "traces": items(of("trace"), json!({"lost": count()})),
        "trace": trace(None),
        "recording": trace(Some(list_of(of("traced_message")))),
        "traced_message": object(json!({
            "at": maybe("string"), "direction": {"enum": ["received", "sent"]}, "transport": text(), "peer": text(),
            "local": text(), "text": text(),
        })),
        "bans": items(of("ban"), json!({})),
        "ban": object(json!({"address": text(), "seconds": count()})),
        "removed": without_required(object(json!({"removed": text(), "messages": count()}))),
        "log": object(json!({"filter": maybe("string")})),
        "reloaded": object(json!({"reloaded": text()})),
        "draining": object(json!({"draining": flag(), "most_seconds": count()})),
    });
    if let Value::Object(all) = all { all } else { Map::new() }
}

fn trace(items: Option<Value>) -> Value {
    let mut properties = json!({
        "call_id": text(), "began_at": maybe("string"), "ends_at": maybe("string"), "recording": flag(),
        "seconds_left": count(), "messages": count(), "left_out": count(),
    });
    items.into_iter().for_each(|items| properties["items"] = items);
    object(properties)
}

/// A record of a kind as it is answered: with its key and its place, and what a kind has besides.
pub(super) fn record(kind: &str) -> Value {
    let mut schema = object(json!({"key": text(), "place": text(), "record": of(kind)}));
    match kind {
        "user" => schema["properties"]["credentials"] = list_of(text()),
        "trunk" => schema["properties"]["contacts"] = json!({"type": ["array", "null"]}),
        _ => {}
    }
    schema
}

/// A page of records of a kind.
pub(super) fn records(kind: &str) -> Value {
    page(record(kind))
}

/// A record of each kind, as it is written.
pub(super) fn of_kinds() -> Map<String, Value> {
    let mut schemas = Map::new();
    for (kind, fields) in Records::kinds_with_fields() {
        let mut properties: Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), json!({}))).collect();
        for secret in Records::secrets_of(kind) {
            properties.insert((*secret).to_owned(), json!({"type": "string", "writeOnly": true}));
        }
        if kind == "user" {
            let what = "Taken instead of the hashes, and kept as those.";
            let password = json!({"type": "string", "minLength": 1, "writeOnly": true, "description": what});
            properties.insert("password".to_owned(), password);
        }
        let what = format!("As [[{kind}]] in repro.toml.");
        let schema =
            json!({"type": "object", "additionalProperties": false, "description": what, "properties": properties});
        schemas.insert(kind.to_owned(), schema);
    }
    schemas
}

/// A record of a kind, as it may be written.
pub(super) fn example(kind: &str) -> Value {
    match kind {
        "domain" => json!({"name": "example.com"}),
        "user" => {
            json!({"aor": "alice@example.com", "password": "wonderland", "voicemail": "sip:alice@voicemail.example.com"})
        }
        "group" => json!({"aor": "sales@example.com", "members": ["sip:alice@example.com"], "mode": "parallel"}),
        "acl" => json!({"network": "10.0.0.0/8", "register": false}),
        "static_registration" => json!({"aor": "gate@example.com", "contact": "sip:gate@192.0.2.7"}),
        "filter" => json!({
            "name": "no-scanners", "conditions": [{"of": "User-Agent", "matches": "friendly-scanner"}],
            "action": {"reject": {"code": 403}},
        }),
        "static_route" => json!({
            "name": "conference", "uri": "^sip:conf-([0-9]+)@example\\.com", "rewrite": "sip:$1@focus.example.com",
        }),
        "dial_rule" => json!({"prefix": "9", "strip": 1, "prepend": "+49"}),
        "trunk" => json!({"name": "carrier", "contacts": ["sip:192.0.2.20", "sip:192.0.2.21"], "prefixes": ["+49"]}),
        "peer" => json!({"name": "carrier", "networks": ["192.0.2.16/28"], "names": "full"}),
        _ => Value::Null,
    }
}

/// What a request has to bring, where it brings anything but a record.
pub(super) fn body(path: &str) -> Option<Value> {
    let schema = |required: &[&str], properties: Value| {
        Some(json!({
            "type": "object", "additionalProperties": false, "required": required, "properties": properties,
        }))
    };
    match path {
        "/bans" => schema(
            &["address", "seconds"],
            json!({
                "address": {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]},
                "seconds": {"type": "integer", "minimum": 1, "maximum": 31_536_000},
            }),
        ),
        "/log" => schema(&["filter"], json!({"filter": text()})),
        "/trunks/{name}/service" => schema(&["in_service"], json!({"in_service": flag(), "contact": maybe("string")})),
        "/traces" => schema(
            &["call_id"],
            json!({
                "call_id": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
                "seconds": {"type": ["integer", "null"], "minimum": 1, "maximum": 3600},
            }),
        ),
        _ => None,
    }
}

/// A parameter of a query.
pub(super) fn parameter(name: &str) -> Value {
    match name {
        "limit" => json!({"type": "integer", "minimum": 1, "maximum": super::MOST_PAGE, "default": super::PAGE}),
        "retired" => json!({"type": "boolean", "default": false}),
        _ => text(),
    }
}
