//! The description of the API (OpenAPI 3.1), made of the table of routes and of the kinds of records.

use super::{Method, PREFIX, ROUTES, Route};
use crate::provisioning::Records;
use serde_json::{Map, Value, json};

pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        if route.path.contains("{records}") {
            for (kind, fields) in Records::kinds_with_fields() {
                let path = route.path.replace("{records}", &format!("{kind}s"));
                add(&mut paths, &path, route, Some((kind, fields)));
            }
        } else {
            add(&mut paths, route.path, route, None);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "repro",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What an operator sees and changes of a running proxy. Errors are \
                            {\"error\": {\"status\", \"message\", \"field\"}}, with the field that is wrong.",
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    })
}

fn schemas() -> Value {
    let mut schemas = Map::new();
    for (kind, fields) in Records::kinds_with_fields() {
        let mut properties: Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), json!({}))).collect();
        for secret in Records::secrets_of(kind) {
            properties.insert((*secret).to_owned(), json!({"type": "string", "writeOnly": true}));
        }
        if kind == "user" {
            let what = "Taken instead of the hashes, and kept as those.";
            properties.insert("password".to_owned(), json!({"type": "string", "writeOnly": true, "description": what}));
        }
        let what = format!("As [[{kind}]] in repro.toml.");
        let schema =
            json!({"type": "object", "additionalProperties": false, "description": what, "properties": properties});
        schemas.insert(kind.to_owned(), schema);
    }
    schemas.into()
}

fn add(paths: &mut Map<String, Value>, path: &str, route: &Route, record: Option<(&str, &[&str])>) {
    let mut parameters: Vec<Value> = (path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    parameters
        .extend(route.query.iter().map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}})));
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "done", "content": {"application/json": {}}},
            "default": {"description": "refused, and why", "content": {"application/json": {}}},
        },
    });
    let schema = match (record, route.path) {
        (Some((kind, _)), _) => Some(json!({"$ref": format!("#/components/schemas/{kind}")})),
        (None, "/bans") => Some(json!({"type": "object", "required": ["address", "seconds"], "properties": {
            "address": {"type": "string"}, "seconds": {"type": "integer"}}})),
        (None, "/log") => {
            Some(json!({"type": "object", "required": ["filter"], "properties": {"filter": {"type": "string"}}}))
        }
        (None, "/trunks/{name}/service") => Some(json!({"type": "object", "required": ["in_service"], "properties": {
            "in_service": {"type": "boolean"}, "contact": {"type": "string"}}})),
        _ => None,
    };
    if let (Some(schema), Method::Post | Method::Put) = (schema, route.method) {
        operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    let of_path = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
    of_path[route.method.as_str().to_ascii_lowercase()] = operation;
}
