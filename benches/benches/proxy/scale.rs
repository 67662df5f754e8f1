//! Rows of several nodes with one Redis: what a call and a registration cost with one, two and four of them, and what is lost
//! under load when one of two is killed or frozen.

use crate::Args;
use crate::site::Site;
use crate::subject::Subject;
use benches::{median, process};
use stack::transport::TransportType;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;
use tests::callers::{Callers, Rates};
use tests::peers::{Redis, available};

const UDP: TransportType = TransportType::Udp;
const DOMAIN: &str = "example.com";
/// What the nodes show each other, of this measurement alone.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Users who are called.
const CALLED: u64 = 100;

/// Nodes on one Redis, and callers who know all of them.
struct Cluster {
    redis: Redis,
    nodes: Vec<Subject>,
    callers: Callers,
    _sites: Vec<Site>,
}

impl Cluster {
    fn start(args: &Args, count: usize) -> Self {
        let redis = Redis::start(None).expect("it starts");
        let sites: Vec<Site> = (0..count).map(|_| Site::new()).collect();
        let node = |(at, site): (usize, &Site)| {
            let more = format!(
                "domains = [\"{DOMAIN}\"]\nrecord_route_name = \"nodes.{DOMAIN}\"\n[overload]\nmax_wait_ms = 0\n\
                 [cluster]\nnode = \"n{at}\"\nredis = [\"redis://{}\"]\nsecret = \"{SECRET}\"\n",
                redis.address()
            );
            Subject::start(&args.repro, site, &[UDP], &more, "inline")
        };
        let nodes: Vec<Subject> = sites.iter().enumerate().map(node).collect();
        let places: Vec<SocketAddr> = nodes.iter().map(|node| node.address(UDP)).collect();
        let mut callers = Callers::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &places, DOMAIN).expect("sockets");
        callers.prepare(CALLED);
        Cluster { redis, nodes, callers, _sites: sites }
    }

    /// CPU of all nodes, and of Redis.
    fn cpu(&self) -> [Duration; 2] {
        let redis = self.redis.process().map_or(0, |process| process.id());
        [self.nodes.iter().map(Subject::cpu).sum(), process::cpu(redis)]
    }

    /// CPU of all nodes and of Redis while callers work at these rates, until all they began is over, and how long that was.
    fn work(&mut self, rates: Rates, time: Duration) -> ([Duration; 2], Duration) {
        let before = self.cpu();
        self.callers.set_rates(rates);
        self.callers.run_until("the time is over", |all| all.elapsed() >= time);
        let elapsed = self.callers.elapsed();
        self.callers.finish();
        let after = self.cpu();
        ([after[0] - before[0], after[1] - before[1]], elapsed)
    }
}

/// What a call and a registration cost all nodes together, and Redis, µs; and a second in which nothing happens.
pub(crate) fn costs(args: &Args) {
    if !available("redis-server") {
        return;
    }
    let (rate, time) = (args.rate.unwrap_or(500), Duration::from_secs(args.seconds));
    for count in [1, 2, 4] {
        let mut figures: [Vec<f64>; 6] = Default::default();
        for _ in 0..args.rounds {
            let mut cluster = Cluster::start(args, count);
            let micros = |cpu: Duration, what: f64| cpu.as_secs_f64() * 1e6 / what;
            let (idle, elapsed) = cluster.work(Rates::default(), time);
            let idle = idle.map(|cpu| micros(cpu, elapsed.as_secs_f64()));
            let before = cluster.callers.tally.clone();
            let (calls, _) = cluster.work(Rates { calls: rate, registrations: 0 }, time);
            let between = cluster.callers.tally.clone();
            let (registrations, _) = cluster.work(Rates { calls: 0, registrations: rate }, time);
            let after = cluster.callers.tally.clone();
            if !after.failures.is_empty() {
                eprintln!("{count} nodes: {after}");
                continue;
            }
            let calls = calls.map(|cpu| micros(cpu, (between.ended - before.ended) as f64));
            let registrations = registrations.map(|cpu| micros(cpu, (after.registered - between.registered) as f64));
            let round = [calls, registrations, idle].concat();
            figures.iter_mut().zip(round).for_each(|(all, figure)| all.push(figure));
        }
        let rounds = figures[0].len();
        let [call, _, registration, of_redis, idle, redis_idle] = figures.each_ref().map(|all| median(all));
        println!(
            "{count} nodes at {rate}/s, {rounds} rounds | a call: {call:.0} µs | a registration: {registration:.0} µs, \
             {:.0} of each node, Redis {of_redis:.0} µs | idle: {:.0} µs/s of each node, Redis {redis_idle:.0} µs/s",
            registration / count as f64,
            idle / count as f64
        );
    }
}

/// What is lost at 500 calls and 100 registrations a second when one of two nodes is killed, or frozen and let go on.
pub(crate) fn faults(args: &Args) {
    if !available("redis-server") {
        return;
    }
    let rates = Rates { calls: args.rate.unwrap_or(500), registrations: args.rate.unwrap_or(500) / 5 };
    let some = u64::from(rates.calls) * args.seconds;
    for what in ["killed", "frozen"] {
        let mut cluster = Cluster::start(args, 2);
        let signal = |name: &str, process: u32| {
            let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status().expect("kill runs");
            assert!(sent.success());
        };
        let victim = cluster.nodes[0].process;
        cluster.callers.set_rates(rates);
        cluster.callers.run_calls(some);
        match what {
            "killed" => drop(cluster.nodes.remove(0)),
            _ => signal("STOP", victim),
        }
        cluster.callers.run_until("the callers notice", |all| all.is_down(0));
        let noticed = cluster.callers.tally.failures.clone();
        cluster.callers.run_calls(some);
        let later = cluster.callers.tally.failures == noticed;
        if what == "frozen" {
            signal("CONT", victim);
            cluster.callers.run_until("the callers come back", |all| !all.is_down(0));
            cluster.callers.run_calls(some);
        }
        let rate = cluster.callers.tally.calls as f64 / cluster.callers.elapsed().as_secs_f64();
        cluster.callers.finish();
        let missing = cluster.callers.missing(1).len();
        println!(
            "one of two nodes {what} at {rate:.0} calls/s: {} | acknowledged bindings that the other does not know: {missing} \
             (must 0) | nothing failed once the callers had gone on: {later}",
            cluster.callers.tally
        );
    }
}
