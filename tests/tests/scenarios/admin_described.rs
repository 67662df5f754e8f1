//! The description of the API, and the API: Schemathesis asks for what it says, and for what it says is wrong.

use crate::admin::TOKEN;
use crate::admin_api::Api;
use crate::repro::LIMIT;
use tests::peers::schemathesis;

/// It would end the proxy.
const ENDS: &str = "/drain";

#[test]
fn the_api_is_as_it_is_described() {
    let api = Api::start("api-described", "[store]\npath = \"repro.db\"\n");
    let more = [
        "--exclude-path",
        ENDS,
        // What the fields of records may be is said where they are refused: the description has their names alone.
        "--exclude-checks",
        "positive_data_acceptance",
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "10",
    ];
    let Some(run) = schemathesis(api.http, "/api/v1/openapi.json", TOKEN, &more) else { return };
    let run = run.expect("it starts");
    let (status, output) = run.process.finish(LIMIT * 4).unwrap_or_else(|late| panic!("{}", late.output));
    assert!(status.success(), "{output}");
    // It has had something to do.
    assert!(output.contains("Operations:") && !output.contains("0 selected"), "{output}");
    assert_eq!(api.get("/status")["ready"], true);
    let mut repro = api.repro;
    let log = repro.process().output();
    assert!(!log.contains("panicked") && !log.contains(TOKEN), "{log}");
}
