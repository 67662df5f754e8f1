//! What can be told without a proxy that runs: paths, and the description.

use super::*;
use crate::provisioning::{Place, Provisioning, Records};
use rutil::Rng;

struct Nothing;

impl Control for Nothing {
    fn reload(&self) -> Result<String, String> {
        Err("nothing".to_owned())
    }
    fn drain(&self) {}
}

fn ask(method: Method, path: &str) -> Answer {
    let request = Request { method, path: &format!("{PREFIX}{path}"), query: "", body: b"" };
    answer(&Operation::default(), &Nothing, &request)
}

#[test]
fn paths_that_are_not_there_and_methods_that_are() {
    assert_eq!(ask(Method::Get, "/nothing").status, 404);
    assert_eq!(ask(Method::Get, "").status, 404);
    assert_eq!(ask(Method::Get, "/users/a/b").status, 404);
    let wrong = ask(Method::Delete, "/bans");
    assert_eq!((wrong.status, wrong.allow.as_deref()), (405, Some("GET, POST")));
    assert_eq!(wrong.body["error"]["message"], "expected GET, POST");
    // What is there wants a proxy.
    for path in ["/users", "/static_routes/a%20b", "/acls", "/registrations", "/log", "/openapi.json"] {
        assert_eq!(ask(Method::Get, path).status, 503, "{path}");
    }
}

#[test]
fn each_kind_has_a_path() {
    for kind in crate::provisioning::Records::KINDS {
        assert_eq!(records::kind(&format!("{kind}s")), Some(*kind));
    }
    assert_eq!((records::kind("user"), records::kind("userss"), records::kind("s")), (None, None, None));
}

#[test]
fn the_examples_of_the_description_can_be_written() {
    let (mut records, mut rng) = (Records::default(), Rng::from_seed(1));
    for kind in Records::KINDS {
        let Value::Object(mut example) = schemas::example(kind) else { panic!("there is none of {kind}") };
        // It is kept as hashes.
        example.remove("password");
        let place = Place::File { file: "example".into(), line: 1 };
        records.add(kind, Value::Object(example), place).unwrap();
    }
    Provisioning::compile(&records, &mut rng).unwrap();
}

#[test]
fn each_answer_has_a_schema() {
    let schemas = schemas::answers();
    for route in ROUTES.iter().filter(|route| !matches!(route.gives, "record" | "records")) {
        assert!(schemas.contains_key(route.gives), "{}", route.path);
    }
    assert!(schemas.keys().all(|name| !Records::KINDS.contains(&name.as_str())), "no record has the name of an answer");
}

#[test]
fn the_description_has_all_routes() {
    let document = openapi::document();
    for route in ROUTES {
        let path = route.path.replace("{records}", "users");
        let operation = &document["paths"][&path][route.method.as_str().to_ascii_lowercase()];
        assert_eq!(operation["summary"], route.summary, "{path}");
    }
    let user = &document["components"]["schemas"]["user"]["properties"];
    assert_eq!(user["md5"]["writeOnly"], true);
    assert!(
        user["aor"].is_object() && document["components"]["schemas"]["trunk"]["properties"]["contacts"].is_object()
    );
}
