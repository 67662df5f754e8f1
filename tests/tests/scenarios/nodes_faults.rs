//! Several nodes under load, of which one is killed, frozen or cut off, or whose Redis or database goes: what is lost is what
//! was in progress at a node that is gone, and nobody whom a node said yes to.

use crate::accounting_redis::{events, stream_of};
use crate::cluster::{self, Device, until};
use crate::end::signal;
use crate::networks::Networks;
use crate::repro::{File, address};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tests::callers::{Callers, Rates};
use tests::peers::{Postgres, Process, Redis, Repro, available, has_postgres, repro_binary};

pub(crate) const PASSWORD: &str = "geheim";
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub(crate) const DOMAIN: &str = "test.example";
/// What a build for debugging takes on a machine that does other things as well; the bench `proxy -- faults` has 500 and 100.
const RATES: Rates = Rates { calls: 60, registrations: 12 };
/// Users who are called.
const CALLED: u64 = 20;

/// What a node is configured with, and `more`.
pub(crate) fn configuration(name: &str, redis: SocketAddr, more: &str) -> String {
    format!(
        "domains = [\"{DOMAIN}\"]\nrecord_route_name = \"nodes.{DOMAIN}\"\npin_runners = false\n{more}\
         [overload]\nmax_wait_ms = 0\n[log]\nfilter = \"info\"\n\
         [cluster]\nnode = \"{name}\"\nredis = [\"redis://{redis}\"]\npassword = \"{PASSWORD}\"\nsecret = \"{SECRET}\"\n"
    )
}

/// Several nodes on the loopback.
struct Site {
    redis: Redis,
    more: String,
    files: Vec<File>,
}

impl Site {
    fn start(more: &str) -> Option<Self> {
        if !available("redis-server") || !available("redis-cli") {
            return None;
        }
        let keeps = ["--appendonly", "yes", "--appendfsync", "no"];
        let redis = Redis::start_at(tests::peers::loopback(), Some(PASSWORD), &keeps).expect("it starts");
        Some(Site { redis, more: more.to_owned(), files: Vec::new() })
    }

    fn node(&mut self, name: &str) -> Repro {
        let text = configuration(name, self.redis.address(), "") + &self.more;
        let file = File::new(&format!("faults-{}-{name}", self.redis.address().ip()), &text);
        let node = Repro::start(&["--config", file.name(), "--listen", "udp:127.0.0.1:0"], 1).expect("it starts");
        self.files.push(file);
        node
    }
}

/// Callers at these nodes, and who is called.
fn callers(nodes: &[&Repro]) -> Callers {
    let nodes: Vec<SocketAddr> = nodes.iter().map(|node| address(node, "udp")).collect();
    let mut callers = Callers::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &nodes, DOMAIN).expect("sockets");
    callers.prepare(CALLED);
    callers.set_rates(RATES);
    callers
}

/// Calls begin and end until a node says something.
pub(crate) fn until_said(callers: &mut Callers, process: &mut Process, what: &str) {
    callers.run_until(what, |_| process.output().contains(what));
}

/// Ends the load, and says what is wrong unless what failed is what may: `may` is asked with node, request and reason.
pub(crate) fn judge(what: &str, callers: &mut Callers, may: impl Fn(usize, &str, &str) -> bool) {
    callers.finish();
    let tally = &callers.tally;
    println!("{what}: {tally}");
    assert!(tally.failures.keys().all(|(node, of, why)| may(*node, of, why)), "{tally}");
    assert_eq!((tally.lost, tally.first + tally.again, tally.ended), (0, tally.calls, tally.calls), "{tally}");
    let asked = callers.acknowledged().len() as u64;
    assert!(asked > CALLED && tally.registered == asked, "{tally}");
}

/// A node that says nothing: its transactions have come to nothing, ringing calls with them.
fn silence(why: &str) -> bool {
    why.starts_with("silence")
}

#[test]
fn a_node_that_is_killed_under_load_takes_along_what_it_was_doing() {
    let Some(mut site) = Site::start("") else { return };
    let (victim, mut other) = (site.node("a"), site.node("b"));
    let mut callers = callers(&[&victim, &other]);
    callers.run_calls(150);
    assert_eq!(callers.tally.failures.len(), 0, "{}", callers.tally);
    drop(victim);
    callers.run_until("the callers notice", |all| all.is_down(0));
    let noticed = callers.tally.failures.clone();
    callers.run_calls(150);
    until_said(&mut callers, other.process(), "a node is gone");
    assert_eq!(callers.tally.failures, noticed, "what began when the callers had gone on succeeds");
    judge("one of two nodes killed", &mut callers, |node, _, why| node == 0 && silence(why));
    assert!(callers.tally.again > 0, "calls were in progress there");
    assert_eq!(callers.missing(1), Vec::<u64>::new());
}

#[test]
fn a_node_that_is_frozen_under_load_comes_back_and_knows_everybody() {
    let Some(mut site) = Site::start("") else { return };
    let (mut victim, mut other) = (site.node("a"), site.node("b"));
    let mut callers = callers(&[&victim, &other]);
    callers.run_calls(100);
    signal(victim.process(), "STOP");
    callers.run_until("the callers notice", |all| all.is_down(0));
    let noticed = callers.tally.failures.clone();
    until_said(&mut callers, other.process(), "a node is gone");
    callers.run_calls(100);
    assert_eq!(callers.tally.failures, noticed, "what began when the callers had gone on succeeds");
    signal(victim.process(), "CONT");
    until_said(&mut callers, other.process(), "a node is back");
    callers.run_until("the callers come back", |all| !all.is_down(0));
    callers.run_calls(100);
    // Until it has its connection to Redis again it takes no REGISTER.
    let may = |node, of: &str, why: &str| node == 0 && (silence(why) || of == "REGISTER" && why == "503");
    judge("one of two nodes frozen", &mut callers, may);
    for node in 0..2 {
        assert_eq!(callers.missing(node), Vec::<u64>::new(), "node {node}");
    }
}

/// Nobody calls in vain whatever becomes of Redis; who registers meanwhile comes again.
#[test]
fn redis_is_stopped_started_and_emptied_under_load() {
    let Some(mut site) = Site::start("") else { return };
    let mut nodes = [site.node("a"), site.node("b")];
    let mut callers = callers(&nodes.each_ref());
    callers.run_calls(60);
    for (times, empty) in [(1, false), (2, true)] {
        site.redis.stop();
        for node in &mut nodes {
            let process = node.process();
            callers.run_until("it is noticed", |_| process.output().matches("Redis is lost").count() == times);
        }
        // What was answered before is heard meanwhile.
        callers.run_calls(20);
        let before = callers.tally.registered;
        callers.run_calls(60);
        assert_eq!(callers.tally.registered, before, "who said yes to them?");
        match empty {
            true => site.redis.restart().expect("it starts"),
            false => site.redis.resume().expect("it starts"),
        }
        let registered = callers.tally.registered;
        callers.run_until("it heals", |all| all.tally.registered > registered + 30);
        callers.run_calls(60);
    }
    judge("Redis killed, with its file and without", &mut callers, |_, of, why| of == "REGISTER" && why == "503");
    // Who has never heard of them knows everybody.
    let third = site.node("c");
    callers.add_node(address(&third, "udp"));
    for node in 0..3 {
        assert_eq!(callers.missing(node), Vec::<u64>::new(), "node {node}");
    }
}

/// Nodes that share their users in PostgreSQL and their bindings in Redis: either goes, comes back, and comes back empty.
#[test]
fn nodes_with_a_database_go_on_without_it_and_without_redis() {
    let Some(mut server) = has_postgres().then(|| Postgres::start(PASSWORD).expect("it starts")) else { return };
    server.sql("postgres", "CREATE DATABASE repro").expect("there is none");
    let more = format!("[database]\nurl = \"{}\"\npassword = \"{PASSWORD}\"\n", server.url("repro"));
    let Some(mut site) = Site::start(&more) else { return };
    let mut nodes = [site.node("a"), site.node("b")];
    let of_user = |number: u64, enabled: bool| {
        let aor = format!("u{number}@{DOMAIN}");
        format!(
            "INSERT INTO provisioning VALUES ('user', '{aor}', '{{\"aor\": \"{aor}\", \"enabled\": {enabled}}}') \
             ON CONFLICT (kind, key) DO UPDATE SET body = EXCLUDED.body"
        )
    };
    let mut callers = callers(&nodes.each_ref());
    let hear = |callers: &mut Callers, nodes: &mut [Repro; 2], what: &str| {
        nodes.iter_mut().for_each(|node| until_said(callers, node.process(), what));
    };
    server.sql("repro", &of_user(1, true)).expect("it is right");
    hear(&mut callers, &mut nodes, "users=1");
    callers.run_calls(30);
    server.stop().expect("it stops");
    hear(&mut callers, &mut nodes, "what is provisioned stays as it was");
    // Both at the same time.
    site.redis.stop();
    callers.run_calls(60);
    site.redis.restart().expect("it starts");
    let registered = callers.tally.registered;
    callers.run_until("it heals", |all| all.tally.registered > registered + 20);
    server.resume().expect("it starts");
    hear(&mut callers, &mut nodes, "what is provisioned can be read again");
    server.sql("repro", &of_user(2, true)).expect("it is right");
    hear(&mut callers, &mut nodes, "users=2");
    // It comes back with nothing: whoever is there stays.
    server.restart_empty().expect("it starts");
    server.sql("postgres", "CREATE DATABASE repro").expect("it is empty");
    callers.run_calls(60);
    judge("PostgreSQL and Redis gone", &mut callers, |_, of, why| of == "REGISTER" && why == "503");
    for node in 0..2 {
        assert_eq!(callers.missing(node), Vec::<u64>::new(), "node {node}");
    }
}

/// Who is no user any more is known nowhere, also not in Redis.
#[test]
fn who_is_disabled_in_the_database_is_gone_at_all_nodes() {
    let Some(server) = has_postgres().then(|| Postgres::start(PASSWORD).expect("it starts")) else { return };
    server.sql("postgres", "CREATE DATABASE repro").expect("there is none");
    let more = format!("[database]\nurl = \"{}\"\npassword = \"{PASSWORD}\"\n", server.url("repro"));
    let Some(mut site) = Site::start(&more) else { return };
    let nodes = [site.node("a"), site.node("b")];
    let at = nodes.each_ref().map(|node| address(node, "udp"));
    let aor = format!("u1@{DOMAIN}");
    let insert = format!("INSERT INTO provisioning VALUES ('user', '{aor}', '{{\"aor\": \"{aor}\"}}')");
    server.sql("repro", &insert).expect("it is right");
    let mut callers = Callers::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &at, DOMAIN).expect("sockets");
    callers.prepare(2);
    let disable = format!("UPDATE provisioning SET body = body || '{{\"enabled\": false}}' WHERE key = '{aor}'");
    server.sql("repro", &disable).expect("it is right");
    let third = site.node("c");
    callers.add_node(address(&third, "udp"));
    for node in 0..3 {
        callers.run_until("he is gone", |all| all.missing(node) == [1]);
    }
}

#[test]
fn a_node_that_is_cut_off_from_redis_and_the_others_goes_on_with_whom_it_knows() {
    if !available("redis-server") || !available("ip") {
        return;
    }
    // The callers are behind one link, Redis and the other node behind the other one.
    let networks = match Networks::new(&[0, 0]) {
        Ok(networks) => networks,
        Err(why) => return tests::skip(&format!("a network of its own cannot be made here: {why}")),
    };
    let redis = Redis::start_at(networks.here(1), Some(PASSWORD), &[]).expect("it starts");
    let trusted = format!("trusted_peers = [\"{}\", \"{}\"]\n", networks.here(0), networks.here(1));
    let file = |name: &str, place: Ipv4Addr| {
        let text = configuration(name, redis.address(), &trusted) + &format!("address = \"sip:{place}:5060\"\n");
        File::new(&format!("cut-{name}"), &text)
    };
    let [first, second] = [file("a", networks.there(1)), file("b", networks.here(1))];
    let (to_callers, to_nodes) = (format!("udp:{}:5060", networks.there(0)), format!("udp:{}:5060", networks.there(1)));
    let mut command = networks.command(0, &repro_binary().expect("it can be built"));
    command.args(["--config", first.name(), "--listen", &to_callers, "--listen", &to_nodes]);
    let mut victim = Repro::start_command(&mut command, 2).expect("it starts");
    let at = format!("udp:{}:5060", networks.here(1));
    let mut other = Repro::start(&["--config", second.name(), "--listen", &at], 1).expect("it starts");
    let places = [(networks.there(0), 5060).into(), (networks.here(1), 5060).into()];
    let mut callers = Callers::new(IpAddr::V4(networks.here(0)), &places, DOMAIN).expect("sockets");
    callers.prepare(CALLED);
    callers.set_rates(RATES);
    callers.run_calls(60);
    networks.set(1, "down");
    until_said(&mut callers, other.process(), "a node is gone");
    until_said(&mut callers, victim.process(), "Redis is lost");
    let before = callers.tally.registered;
    callers.run_calls(100);
    assert!(callers.tally.registered > before, "the other one takes them");
    networks.set(1, "up");
    until_said(&mut callers, other.process(), "a node is back");
    callers.run_calls(60);
    let may = |node, of: &str, why: &str| node == 0 && of == "REGISTER" && why == "503";
    judge("one of two nodes cut off", &mut callers, may);
    assert!(!callers.tally.failures.is_empty(), "it took registrations that nobody else heard of");
    for node in 0..2 {
        assert_eq!(callers.missing(node), Vec::<u64>::new(), "node {node}");
    }
}

/// What has expired and the dead node would have told another one tells, though it has dropped it while that one seemed to live.
#[test]
fn what_has_expired_is_told_when_the_node_dies_that_would_have() {
    if !available("redis-server") || !available("redis-cli") {
        return;
    }
    const USERS: usize = 40;
    let mut site = cluster::Site::start();
    site.add(&stream_of(site.redis()));
    let (victim, mut other) = (site.node("a"), site.node("b"));
    let (a, b) = (address(&victim, "udp"), address(&other, "udp"));
    let (mut device, name) = (Device::new(), |user: usize| format!("u{user}"));
    for user in 0..USERS {
        let contact = format!("Contact: <sip:u{user}@192.0.2.1:5060>;expires=6\r\n");
        let answer = device.register(b, &name(user), &contact).expect("an answer");
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }
    (0..USERS).for_each(|user| until("a knows him", || (device.contacts(a, &name(user)) == 1).then_some(())));
    (0..USERS).for_each(|user| until("he has expired", || (device.contacts(b, &name(user)) == 0).then_some(())));
    drop(victim);
    // Who comes back has what he had before dropped at once.
    let mut again = Device::new();
    (0..USERS).for_each(|user| assert_eq!(again.bind(b, &name(user)), Some(200)));
    assert!(!other.process().output().contains("a node is gone"), "they came back before that is known");
    let told = until("all is told", || {
        let all = events(site.redis(), "repro:accounting");
        let expired = all.iter().filter(|event| event["event"] == "registration_expired");
        let told: Vec<String> = expired.map(|event| event["aor"].as_str().unwrap_or_default().to_owned()).collect();
        let users: BTreeSet<&String> = told.iter().collect();
        (users.len() == USERS).then_some(told)
    });
    println!("{USERS} contacts expired, a node killed: told {} times", told.len());
    assert!(other.process().output().contains("a node is gone"));
}
