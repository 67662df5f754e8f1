//! Nodes that get to Redis and PostgreSQL over TLS, and to a Redis cluster.

use crate::cluster::{Device, PASSWORD, Site, until};
use crate::repro::address;
use crate::store;
use crate::tls;
use std::process::Command;
use tests::peers::{Postgres, Redis, available, has_postgres, loopback};

/// Users register at one node, and the other knows them.
fn share(site: &mut Site) {
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, b) = (address(&first, "udp"), address(&second, "udp"));
    let mut device = Device::new();
    for user in 0..30 {
        let user = format!("u{user}");
        // The script that does it is loaded by then.
        until("it is taken", || (device.bind(a, &user) == Some(200)).then_some(()));
        until("b knows him", || (device.contacts(b, &user) == 1).then_some(()));
    }
    // Whoever comes later reads everything.
    let third = site.node("c");
    let c = address(&third, "udp");
    for user in 0..30 {
        until("c knows him", || (device.contacts(c, &format!("u{user}")) == 1).then_some(()));
    }
}

#[test]
fn nodes_get_to_redis_over_tls_and_to_no_other_server() {
    if !available("redis-server") {
        return;
    }
    let certificates = tls::Site::new();
    let at = loopback();
    certificates.issue(&[&at.to_string()], |_| ());
    let path = |name: &str| certificates.path(name).display().to_string();
    let (own, key, ca) = (path("own.pem"), path("own.key"), path("ca.pem"));
    let more = ["--port", "0", "--tls-port", "6379", "--tls-cert-file", &own, "--tls-key-file", &key];
    let more = [&more[..], &["--tls-ca-cert-file", &ca, "--tls-auth-clients", "no"]].concat();
    let redis = Redis::start_at(at, Some(PASSWORD), &more).expect("it starts");
    let place = |ca: &str| format!("redis = [\"rediss://{at}:6379\"]\nca = \"{ca}\"\n");
    let mut site = Site::on(redis, place(&ca));
    share(&mut site);
    // With another CA it is not that server.
    let others = tls::Site::new();
    let redis = Redis::start_at(loopback(), None, &[]).expect("it starts");
    let mut wrong = Site::on(redis, place(&others.path("ca.pem").display().to_string()));
    let mut node = wrong.node("d");
    let said = node.process().output();
    let said = said.lines().find(|line| line.contains("Redis is lost")).expect("it says so");
    assert!(said.to_lowercase().contains("certificate") && !said.contains(PASSWORD), "{said}");
}

#[test]
fn nodes_share_a_redis_cluster() {
    if !available("redis-server") || !available("redis-cli") {
        return;
    }
    let servers = [(); 3].map(|()| {
        let at = loopback();
        let own = at.to_string();
        let more = ["--cluster-enabled", "yes", "--masterauth", PASSWORD, "--bind-source-addr", &own];
        let more = [&more[..], &["--cluster-announce-ip", &own]].concat();
        Redis::start_at(at, Some(PASSWORD), &more).expect("it starts")
    });
    let places = servers.each_ref().map(|server| server.address().to_string());
    // It waits for as long as the servers do not see each other.
    let mut command = Command::new("timeout");
    command
        .env("REDISCLI_AUTH", PASSWORD)
        .args(["60", "redis-cli", "--cluster", "create"])
        .args(&places)
        .arg("--cluster-yes");
    let output = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("[OK] All 16384 slots covered"), "{told}");
    for server in &servers {
        let info = || server.ask(&["CLUSTER", "INFO"]).ok();
        until("the cluster is up", || info()?.contains("cluster_state:ok").then_some(()));
    }
    let [one, two, three] = servers;
    let place =
        format!("redis = [\"redis://{}\", \"redis://{}\"]\nredis_cluster = true\n", one.address(), two.address());
    let mut site = Site::on(one, place);
    share(&mut site);
    // Each has some of it.
    for server in [site.redis(), &two, &three] {
        let count: usize = server.ask(&["DBSIZE"]).expect("it answers").parse().expect("a number");
        assert!(count > 0, "{}", server.address());
    }
}

#[test]
fn a_proxy_gets_to_its_database_over_tls_and_to_no_other_server() {
    if !has_postgres() {
        return;
    }
    let mut server = Postgres::start(PASSWORD).expect("it starts");
    server.sql("postgres", "CREATE DATABASE repro").expect("there is none");
    let certificates = tls::Site::new();
    certificates.issue(&[&server.host().to_string()], |_| ());
    let text = |name: &str| std::fs::read_to_string(certificates.path(name)).expect("it is there");
    server.stop().expect("it stops");
    server.secure(&text("own.pem"), &text("own.key")).expect("it is written");
    server.resume().expect("it starts");
    let others = tls::Site::new();
    let place = |mode: &str, ca: &tls::Site| {
        let url = format!("{}?sslmode={mode}&sslrootcert={}", server.url("repro"), ca.path("ca.pem").display());
        format!("[database]\nurl = \"{url}\"\npassword = \"{PASSWORD}\"\n")
    };
    let site = store::Site::new("pg-tls", &place("verify-full", &certificates));
    assert_eq!(site.done(&["set", "user", "{\"aor\": \"a@example.com\"}"], ""), "");
    assert!(site.done(&["list"], "").contains("a@example.com"));
    // A running proxy listens and asks by it.
    let repro = site.start();
    let secure = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND datname = 'repro'";
    let count: usize = server.sql("postgres", secure).expect("it answers").parse().expect("a number");
    assert!(count > 0);
    drop(repro);
    let wrong = store::Site::new("pg-tls-ca", &place("verify-full", &others));
    let said = wrong.refused(&["list"], "");
    assert!(said.contains("cannot be reached: ") && said.to_lowercase().contains("certificate"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    let plain = store::Site::new("pg-tls-plain", &place("disable", &certificates));
    assert!(plain.refused(&["list"], "").contains("no encryption"), "the server speaks to nobody without");
}
