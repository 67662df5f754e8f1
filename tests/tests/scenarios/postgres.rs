//! Records in a PostgreSQL database that several proxies share.

use crate::admin::{self, TOKEN};
use crate::end::signal;
use crate::repro::{ANY_PORT, LIMIT, address, refusal};
use crate::sipload::{counts, sipload, summary, uas};
use crate::store::{Site, by_the_command_line};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use tests::peers::{Postgres, Repro, has_postgres};

const PASSWORD: &str = "s3cret of the database";

/// A server with a database `repro`; nothing where there is no PostgreSQL.
fn server() -> Option<Postgres> {
    let server = has_postgres().then(|| Postgres::start(PASSWORD).expect("it starts"))?;
    server.sql("postgres", "CREATE DATABASE repro").expect("there is none");
    Some(server)
}

/// Where the records are, for a configuration.
fn place(server: &Postgres, database: &str) -> String {
    format!("[database]\nurl = \"{}\"\npassword = \"{PASSWORD}\"\n", server.url(database))
}

/// A proxy on the database, with its API.
struct Node {
    repro: Repro,
    site: Site,
}

impl Node {
    fn start(name: &str, text: &str) -> Self {
        let site = Site::new(name, &format!("{text}[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n"));
        let config = site.config();
        let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", &config, "--log", "info"]).collect();
        Node { repro: Repro::start(&args, 3).expect("it starts"), site }
    }

    /// Waits for a line of the log.
    fn hears(&mut self, what: &str) -> String {
        let found = self.repro.process().wait_for(LIMIT, |line| line.contains(what).then(|| line.to_owned()));
        found.unwrap_or_else(|error| panic!("{what:?} is not in\n{}", error.output))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let lines = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = admin::ask(address(&self.repro, "http"), method, &format!("/api/v1{path}"), &lines, &body);
        (answer.status, serde_json::from_str(&answer.body).expect("JSON"))
    }

    fn metric(&self, name: &str) -> String {
        let lines = format!("Authorization: Bearer {TOKEN}\r\n");
        let metrics = admin::ask(address(&self.repro, "http"), "GET", "/metrics", &lines, "").body;
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.expect("it is counted").to_owned()
    }

    /// How many users the proxies know.
    fn users(&self) -> String {
        self.metric("repro_users")
    }

    /// Whether they work with what they had.
    fn is_stale(&self) -> bool {
        // The line of the log comes a moment before.
        (0..100).any(|_| self.metric("repro_provisioning_stale") == "1")
    }
}

const ANEW: &str = "what is provisioned is put together anew";
const STAYS: &str = "what is provisioned stays as it was: ";

#[test]
fn the_command_line_writes_to_a_database() {
    let Some(server) = server() else { return };
    server.sql("postgres", "CREATE DATABASE other").expect("there is none");
    by_the_command_line("pg-records", &place(&server, "repro"), &place(&server, "other"));
}

/// What a man with bad intentions would provision is kept as it is, or refused by name; the tables stay.
#[test]
fn hostile_records_are_data() {
    let Some(server) = server() else { return };
    let site = Site::new("pg-hostile", &place(&server, "repro"));
    let realms = ["'; DROP TABLE provisioning; --", "\"$1\\ \r\n<script>", "{\"a\": \"\\\\u0000\"}", "\u{202e}💥"];
    let mut lines: Vec<String> = (0..)
        .zip(realms)
        .map(|(n, realm)| json!({"kind": "domain", "name": format!("d{n}.example"), "realm": realm}).to_string())
        .collect();
    lines.push(json!({"kind": "domain", "name": "long.example", "realm": "x".repeat(65_536)}).to_string());
    lines.push(json!({"kind": "user", "aor": "%27%00%22;drop@example.com"}).to_string());
    assert_eq!(site.done(&["import", "-"], &lines.join("\n")), "6 records, 6 of them new or changed\n");
    assert_eq!(site.done(&["import", "-"], &lines.join("\n")), "6 records, 0 of them new or changed\n");
    let exported: Vec<Value> =
        site.done(&["export"], "").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let is_there = |line: &String| {
        let written: Value = serde_json::from_str(line).expect("JSON");
        exported.iter().any(|record| record["name"] == written["name"] && record["realm"] == written["realm"])
    };
    assert!(exported.len() == 6 && lines.iter().all(is_there), "{exported:?}");
    let said = site.refused(&["set", "domain", &json!({"name": "n.example", "realm": "a\u{0}b"}).to_string()], "");
    assert!(said.contains("store: domain n.example realm: expected a text without NUL"), "{said}");
    let name = "t".repeat(2_001);
    let said = site.refused(&["set", "trunk", &json!({"name": name, "contacts": ["sip:h"]}).to_string()], "");
    assert!(said.contains("expected a key of 2000 octets at most"), "{said}");
    for key in ["'; DROP TABLE provisioning; --", "%00", "x\n\"'"] {
        assert!(site.refused(&["remove", "domain", key], "").contains("is not in the store"));
    }
    site.done(&["remove", "user", "'%00%22;drop@example.com"], "");
    assert_eq!(site.done(&["export"], "").lines().count(), 5);
}

/// Whoever changes it, and wherever: each proxy has it, or keeps what it had and says why.
#[test]
fn every_proxy_has_what_anybody_changes() {
    let Some(server) = server() else { return };
    let mut nodes = ["pg-one", "pg-two"].map(|name| Node::start(name, &place(&server, "repro")));
    let sql = |sql: &str| server.sql("repro", sql).expect("it is right");
    // By hand.
    sql("INSERT INTO provisioning VALUES ('user', 'a@h', '{\"aor\": \"a@h\"}')");
    nodes.iter_mut().for_each(|node| assert!(node.hears(ANEW).contains("users=1")));
    // By one of them.
    let (status, answer) = nodes[0].ask("PUT", "/users/b@h", &json!({"aor": "b@h", "password": "geheim"}));
    assert_eq!(status, 201, "{answer}");
    assert_eq!(nodes[0].users(), "2", "it is in use when it is answered");
    nodes.iter_mut().for_each(|node| assert!(node.hears(ANEW).contains("users=2")));
    assert_eq!(nodes[1].ask("GET", "/users/b@h", &Value::Null).1["record"], json!({"aor": "b@h"}));
    // By the command line.
    nodes[1].site.done(&["set", "user", "{\"aor\": \"c@h\"}"], "");
    nodes.iter_mut().for_each(|node| assert!(node.hears(ANEW).contains("users=3")));
    // What is wrong is refused whole.
    for (wrong, right, parts) in [
        (
            "UPDATE provisioning SET body = body || '{\"enabled\": 7}' WHERE key = 'a@h'",
            "UPDATE provisioning SET body = body - 'enabled' WHERE key = 'a@h'",
            "store: user a@h enabled: invalid type: integer `7`, expected a boolean",
        ),
        (
            "INSERT INTO provisioning VALUES ('usr', 'x', '{}')",
            "DELETE FROM provisioning WHERE kind = 'usr'",
            "store: usr x: expected one of user, domain",
        ),
        (
            "INSERT INTO provisioning VALUES ('user', 'x@h', '{\"aor\": \"y@h\"}')",
            "DELETE FROM provisioning WHERE key = 'x@h'",
            "store: user x@h: expected y@h as its key",
        ),
    ] {
        sql(wrong);
        for node in &mut nodes {
            let line = node.hears(STAYS);
            assert!(line.contains(parts), "{line}");
            assert!(node.users() == "3" && node.is_stale());
        }
        sql(right);
        nodes.iter_mut().for_each(|node| drop(node.hears(ANEW)));
    }
    // Who is gone is gone everywhere, also without a notification.
    sql("BEGIN; ALTER TABLE provisioning DISABLE TRIGGER USER; TRUNCATE provisioning; \
         UPDATE generation SET value = value + 1; ALTER TABLE provisioning ENABLE TRIGGER USER; COMMIT");
    nodes.iter_mut().for_each(|node| assert!(node.hears(ANEW).contains("users=0")));
    for node in nodes {
        let process = node.repro.into_process();
        signal(&process, "TERM");
        let (_, log) = process.finish(LIMIT).expect("it ends");
        assert!(!log.contains("s3cret") && !log.contains("geheim"), "{log}");
    }
}

/// The database is stopped, started, frozen, and comes back with nothing, while calls go on.
#[test]
fn calls_go_on_whatever_becomes_of_the_database() {
    let Some(mut server) = server() else { return };
    let callee = uas("udp:127.0.0.1:0", &[]);
    let to = address(&callee, "udp");
    // A burst on a busy machine is not what this is about.
    let text = place(&server, "repro");
    let mut node = Node::start("pg-load", &text);
    let (domain, contact) =
        (json!({"name": "example.com"}), json!({"aor": "gw@example.com", "contact": format!("sip:{to}")}));
    for (path, body) in [("/domains", domain), ("/static_registrations", contact)] {
        assert_eq!(node.ask("POST", path, &body).0, 201);
    }
    let exported = node.site.done(&["export"], "");
    let sip = address(&node.repro, "udp");
    let load = caller(sip);
    let user = json!({"aor": "a@example.com"});
    // Stopped: nothing is written, and said so.
    server.stop().expect("it stops");
    node.hears("what is provisioned stays as it was: postgres://");
    let (status, answer) = node.ask("POST", "/users", &user);
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(status == 503 && message.contains("cannot be reached") && message.contains("see that it runs"), "{answer}");
    let said = node.site.refused(&["set", "user", "{\"aor\": \"a@example.com\"}"], "");
    assert!(said.contains("cannot be reached") && !said.contains("s3cret"), "{said}");
    let other = Site::new("pg-start", &place(&server, "repro"));
    let said = refusal(&["--listen", "udp:127.0.0.1:0", "--config", &other.config()]);
    assert!(said.contains("/repro: cannot be reached: ") && !said.contains("s3cret"), "{said}");
    // Started: it heals by itself.
    server.resume().expect("it starts");
    node.hears("what is provisioned can be read again");
    assert_eq!(node.ask("POST", "/users", &user).0, 201);
    assert_eq!(node.users(), "1");
    // Frozen: as stopped, but it takes a while to see.
    signal(server.process().expect("it runs"), "STOP");
    frozen(&server, "STOP");
    node.hears("what is provisioned stays as it was: postgres://");
    frozen(&server, "CONT");
    signal(server.process().expect("it runs"), "CONT");
    node.hears("what is provisioned can be read again");
    // Back with nothing: what was there stays, whoever makes the tables.
    server.restart_empty().expect("it starts");
    server.sql("postgres", "CREATE DATABASE repro").expect("it is empty");
    node.hears(STAYS);
    assert_eq!(node.site.done(&["list"], ""), "", "it makes the tables");
    assert!(node.hears(STAYS).contains("this is another database than before, with 0 records"));
    assert_eq!(node.users(), "1");
    signal(node.repro.process(), "HUP");
    assert!(node.hears(STAYS).contains("with 0 records"), "not even if somebody wants everything read again");
    node.site.done(&["import", "-"], &exported);
    assert!(node.hears(STAYS).contains("with 2 records"));
    signal(node.repro.process(), "HUP");
    node.hears(ANEW);
    assert_eq!(node.users(), "0");
    let (code, run) = summary(load);
    let [started, succeeded, failed] = counts(&run);
    assert!(code == Some(0) && failed == 0 && succeeded == started && started > 0, "{run}");
}

/// Calls through the proxy, twenty a second, as long as the rest takes and no longer than half a minute.
fn caller(proxy: SocketAddr) -> tests::peers::Process {
    let via = format!("sip:{proxy}");
    sipload(&["call", "--json", "--target", "sip:gw@example.com", "--via", &via, "--rate", "20", "--duration", "25s"])
}

/// Stops or continues the processes of the server that serve connections.
fn frozen(server: &Postgres, name: &str) {
    let id = server.process().expect("it runs").id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("it has some");
    for child in children.split_whitespace() {
        let _ = std::process::Command::new("kill").args(["-s", name, child]).status();
    }
}

#[test]
fn a_database_that_lets_nobody_in_is_a_clear_error() {
    let Some(server) = server() else { return };
    let url = server.url("repro");
    for (text, parts) in [
        (
            format!("[database]\nurl = \"{url}\"\npassword = \"wr0ng\"\n"),
            &["cannot be reached: ", "password authentication failed", "database.password_file"][..],
        ),
        (
            format!("[database]\nurl = \"{}\"\npassword = \"{PASSWORD}\"\n", server.url("none")),
            &["cannot be reached: ", "make it with createdb"],
        ),
        (
            format!("[database]\nurl = \"{url}?sslmode=require\"\npassword = \"{PASSWORD}\"\n"),
            &["cannot be reached: ", "see sslmode"],
        ),
        (
            format!("[database]\nurl = \"{url}\"\npassword_file = \"none\"\n"),
            &["repro.toml:3: database.password_file: ", "cannot be read"],
        ),
    ] {
        let site = Site::new("pg-in", &text);
        for args in [&["check"][..], &["list"], &["--listen", "udp:127.0.0.1:0"]] {
            let said = site.refused(args, "");
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
            assert!(!said.contains("wr0ng") && !said.contains("s3cret"), "{said}");
        }
    }
    // A later version has been there.
    let site = Site::new("pg-later", &place(&server, "repro"));
    assert_eq!(site.done(&["list"], ""), "");
    server.sql("repro", "INSERT INTO _sqlx_migrations VALUES (99, 'x', now(), true, '', 0)").expect("it is there");
    assert!(site.refused(&["list"], "").contains("schema version 99, expected at most 1"));
}
