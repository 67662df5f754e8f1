//! The commented example (`repro/repro.toml`) documents each key: it is what the program does without it.

use super::{
    Accounting, Admin, Asserted, Auth, Chains, Cluster, Config, Database, Events, Forking, Forwarding, Hep, Http,
    Identity, Limits, Log, Nat, Overload, Registrar, Silo, Statistics, Store, Tls, WebSocket,
};
use crate::provisioning::{Records, fields_of};
use crate::routing::dial::DialConfig;
use std::collections::HashSet;

const EXAMPLE: &str = include_str!("../../repro.toml");

/// The example with all keys set: what begins with `#` and no space is a key.
fn with_all_keys() -> String {
    let set = |line: &'static str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
    EXAMPLE.lines().flat_map(|line| [set(line), "\n"]).collect()
}

#[test]
fn the_example_is_what_happens_without_it() {
    assert_eq!(Config::parse(EXAMPLE, "repro.toml").unwrap(), Config::default());
}

#[test]
fn each_key_of_the_example_can_be_set() {
    let config = Config::parse(&with_all_keys(), "repro.toml").unwrap();
    assert_eq!(config.records.len(), Records::KINDS.len(), "one of each kind");
    crate::Provisioning::compile(&config.records, &mut rutil::Rng::from_seed(1)).unwrap();
    crate::processors::Processors::standard().chains(&config.chains).unwrap();
}

#[test]
fn the_chains_of_the_example_are_what_they_are_without_it() {
    let processors = crate::processors::Processors::standard();
    let names = |config: &Chains| {
        let chains = processors.chains(config).unwrap();
        [
            chains.request.iter().map(|one| one.name()).collect::<Vec<_>>(),
            chains.target.iter().map(|one| one.name()).collect(),
            chains.response.iter().map(|one| one.name()).collect(),
        ]
    };
    let config = Config::parse(&with_all_keys(), "repro.toml").unwrap();
    assert!(config.chains.request.is_some() && config.chains.target.is_some() && config.chains.response.is_some());
    assert_eq!(names(&config.chains), names(&Chains::default()));
}

/// Each key that there is, as `table.key`, or `table` alone.
fn documented() -> HashSet<String> {
    let (mut table, mut all) = (String::new(), HashSet::new());
    for line in with_all_keys().lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_owned();
            all.insert(table.clone());
        } else if let Some((key, _)) = line.split_once(" = ") {
            all.insert(if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") });
        }
    }
    all
}

#[test]
fn each_key_is_documented() {
    let tables = [
        ("tls", fields_of::<Tls>()),
        ("tls.identities", fields_of::<Identity>()),
        ("websocket", fields_of::<WebSocket>()),
        ("log", fields_of::<Log>()),
        ("auth", fields_of::<Auth>()),
        ("identity", fields_of::<Asserted>()),
        ("registrar", fields_of::<Registrar>()),
        ("limits", fields_of::<Limits>()),
        ("chains", fields_of::<Chains>()),
        ("forking", fields_of::<Forking>()),
        ("dial", fields_of::<DialConfig>()),
        ("forwarding", fields_of::<Forwarding>()),
        ("events", fields_of::<Events>()),
        ("nat", fields_of::<Nat>()),
        ("silo", fields_of::<Silo>()),
        ("overload", fields_of::<Overload>()),
        ("statistics", fields_of::<Statistics>()),
        ("hep", fields_of::<Hep>()),
        ("store", fields_of::<Store>()),
        ("cluster", fields_of::<Cluster>()),
        ("database", fields_of::<Database>()),
        ("http", fields_of::<Http>()),
        ("admin", fields_of::<Admin>()),
        ("accounting", fields_of::<Accounting>()),
        ("accounting.redis", fields_of::<super::Stream>()),
    ];
    let documented = documented();
    let in_tables = tables.into_iter().chain(Records::kinds_with_fields());
    let keys = in_tables.flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table}.{key}")));
    let all: Vec<String> = keys.chain(fields_of::<Config>().iter().map(|key| (*key).to_owned())).collect();
    assert!(all.len() > 100);
    let missing: Vec<&String> = all.iter().filter(|key| !documented.contains(*key)).collect();
    assert!(missing.is_empty(), "not in repro.toml: {missing:?}");
}
