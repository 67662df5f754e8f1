//! Look-ups, and what a record may say.

use super::*;
use crate::provisioning::Record as _;
use serde_json::{Value, json};

fn record(fields: Value) -> Result<PeerRecord, String> {
    let record: PeerRecord = serde_json::from_value(fields).map_err(|error| error.to_string())?;
    record.check().map_err(|fault| fault.to_string())?;
    assert_eq!(serde_json::from_str::<PeerRecord>(&serde_json::to_string(&record).unwrap()).unwrap(), record);
    Ok(record)
}

#[test]
fn the_smallest_network_counts() {
    let peers = Peers::new(
        [
            json!({"name": "wide", "networks": ["192.0.2.0/24"]}),
            json!({"name": "narrow", "networks": ["192.0.2.8/29", "2001:db8::/32"], "domains": ["a.example"]}),
            json!({"name": "far", "trunks": ["gw"]}),
        ]
        .into_iter()
        .map(|fields| record(fields).unwrap()),
    );
    let at = |address: &str| peers.at(address.parse().unwrap()).map(|peer| peer.record.name.as_str());
    assert_eq!([at("192.0.2.1"), at("192.0.2.9"), at("198.51.100.1")], [Some("wide"), Some("narrow"), None]);
    assert_eq!(at("2001:db8::1"), Some("narrow"));
    assert_eq!(peers.of_trunk("gw").map(|peer| peer.record.name.as_str()), Some("far"));
    assert!(peers.of_trunk("other").is_none());
    assert!(peers.with_domain(&Host::parse("A.Example").unwrap()).is_some());
}

#[test]
fn a_wrong_record_is_named() {
    for (fields, part) in [
        (json!({"name": "a"}), "networks: expected networks or trunks"),
        (json!({"name": "a", "trunks": ["t"], "domains": ["d.example"]}), "networks: expected the networks"),
        (json!({"name": "a", "trunks": ["t"], "methods": ["invite"]}), "in capitals"),
        (json!({"name": "a", "trunks": ["t"], "remove": ["Via"]}), "the way of a message"),
        (json!({"name": "a", "trunks": ["t"], "remove": ["v"]}), "the way of a message"),
        (json!({"name": "a", "trunks": ["t"], "add": ["X-A"]}), "X-Account: 4711"),
        (json!({"name": "a", "trunks": ["t"], "add": ["X-A: 1\r\nVia: x"]}), "X-Account: 4711"),
        (json!({"name": "a", "trunks": ["t"], "max_forwards": 0}), "max_forwards"),
        (json!({"name": "a", "trunks": ["t"], "max_segments": 0}), "max_segments"),
        (json!({"name": "a", "trunks": ["t"], "identity": "ppi"}), "rpid"),
        (json!({"name": "a", "trunks": ["t"], "names": "short"}), "compact"),
    ] {
        let error = record(fields.clone()).unwrap_err();
        assert!(error.contains(part), "{fields}: {error}");
    }
}
