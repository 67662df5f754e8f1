//! The description of the API (OpenAPI 3.1), made of the table of routes and of the kinds of records.

use super::{Method, PREFIX, ROUTES, Route, schemas};
use crate::provisioning::Records;
use serde_json::{Map, Value, json};

/// What everything may be refused with: a wrong parameter, no token, a page of somebody else, a mistake of ours, a proxy that
/// starts or has too much to do.
const REFUSED: [u16; 5] = [400, 401, 403, 500, 503];
/// And what brings a body: too slow, too large, no JSON, not what is expected.
const BODY_REFUSED: [u16; 4] = [408, 413, 415, 422];

pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        if route.path.contains("{records}") {
            for kind in Records::KINDS {
                let path = route.path.replace("{records}", &format!("{kind}s"));
                add(&mut paths, &path, route, Some(kind));
            }
        } else {
            add(&mut paths, route.path, route, None);
        }
    }
    let mut all = schemas::answers();
    all.extend(schemas::of_kinds());
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
            "schemas": all,
        },
    })
}

fn add(paths: &mut Map<String, Value>, path: &str, route: &Route, kind: Option<&str>) {
    let mut parameters: Vec<Value> = (path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let of_query = route.query.iter();
    parameters.extend(of_query.map(|name| json!({"name": name, "in": "query", "schema": schemas::parameter(name)})));
    let body = match (route.method, kind) {
        (Method::Get | Method::Delete, _) => None,
        (_, Some(kind)) => Some(json!({"$ref": format!("#/components/schemas/{kind}")})),
        (_, None) => schemas::body(route.path),
    };
    let answer = match (route.gives, kind) {
        ("record", Some(kind)) => schemas::record(kind),
        ("records", Some(kind)) => schemas::records(kind),
        (name, _) => json!({"$ref": format!("#/components/schemas/{name}")}),
    };
    let mut responses = Map::new();
    let mut tell = |status: u16, what: &str, schema: &Value| {
        let told = json!({"description": what, "content": {"application/json": {"schema": schema}}});
        responses.insert(status.to_string(), told);
    };
    route.done.iter().for_each(|status| tell(*status, "done", &answer));
    let error = json!({"$ref": "#/components/schemas/error"});
    let with_body = body.iter().flat_map(|_| BODY_REFUSED);
    let refused = REFUSED.into_iter().chain(with_body).chain(route.refused.iter().copied());
    refused.for_each(|status| tell(status, "refused, and why", &error));
    let tag = if kind.is_some() { "records" } else { "operation" };
    let mut operation =
        json!({"tags": [tag], "summary": route.summary, "parameters": parameters, "responses": responses});
    if let Some(schema) = body {
        let mut content = json!({"schema": schema});
        kind.into_iter().for_each(|kind| content["example"] = schemas::example(kind));
        operation["requestBody"] = json!({"required": true, "content": {"application/json": content}});
    }
    let of_path = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
    of_path[route.method.as_str().to_ascii_lowercase()] = operation;
}
