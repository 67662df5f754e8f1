//! Rows whose cases are proxied calls.

use crate::load::{Load, Progress};
use crate::registrations::{DOMAIN, users};
use crate::site::Site;
use crate::subject::Subject;
use crate::{Args, compare};
use stack::transport::TransportType;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is not measured: connections come up, caches and tables fill.
const WARMING: Duration = Duration::from_secs(1);

/// How the proxy is started.
struct Setting<'a> {
    repro: &'a Path,
    kind: TransportType,
    more: &'a str,
    placement: &'a str,
    /// Callers and callees are users with passwords.
    edge: bool,
}

impl<'a> Setting<'a> {
    fn of(args: &'a Args, kind: TransportType) -> Self {
        Setting { repro: &args.repro, kind, more: "", placement: "inline", edge: false }
    }
}

/// CPU of the proxy, µs a call; NaN when not all calls were what they should be.
fn call(args: &Args, rate: u32, setting: &Setting<'_>) -> f64 {
    let Setting { repro, kind, more, placement, edge } = *setting;
    let site = Site::new();
    let proxy = Subject::start(repro, &site, &[kind], more, placement);
    let watched = proxy.http().map(Watcher::start);
    let load = Load::start(kind, proxy.address(kind), (rate, args.connections), &site, edge);
    std::thread::sleep(WARMING);
    let sum = |progress: &Progress| progress.completed.load(Ordering::Relaxed);
    let (calls, cpu) = (sum(&load.progress), proxy.cpu());
    std::thread::sleep(Duration::from_secs(args.seconds));
    let (calls, cpu) = (sum(&load.progress) - calls, proxy.cpu() - cpu);
    let [refused, failed] = [&load.progress.refused, &load.progress.failed].map(|count| count.load(Ordering::Relaxed));
    load.stop();
    drop(watched);
    let offered = u64::from(rate) * args.seconds;
    if failed + refused > 0 || calls * 100 < offered * 98 {
        let kind = kind.as_param();
        eprintln!("{kind} {rate}/s: {calls} calls of {offered}, {refused} refused, {failed} failed otherwise");
        return f64::NAN;
    }
    cpu.as_secs_f64() * 1e6 / calls as f64
}

/// Over standing TLS connections against the same over TCP.
pub(crate) fn over_tls(args: &Args) {
    let rate = args.rate.unwrap_or(1000);
    let what = format!("a proxied call at {rate}/s, {} connections a side", args.connections);
    let of = |kind| move || call(args, rate, &Setting::of(args, kind));
    compare(&what, "µs", Some(1.4), args, [("TCP", &of(TransportType::Tcp)), ("TLS", &of(TransportType::Tls))]);
}

/// With the congestion manager at work, and the counters, against without.
pub(crate) fn without_accounting(args: &Args) {
    let rate = args.rate.unwrap_or(2000);
    let off = || {
        let more = "[overload]\nmax_wait_ms = 0\n";
        let repro = args.off.as_ref().unwrap_or(&args.repro);
        call(args, rate, &Setting { repro, more, ..Setting::of(args, TransportType::Udp) })
    };
    // Watches, and refuses nothing however busy the machine is.
    let more = "[overload]\nmax_wait_ms = 60000\n";
    let on = || call(args, rate, &Setting { more, ..Setting::of(args, TransportType::Udp) });
    let name = if args.off.is_some() { "counts and watches nothing" } else { "watches nothing" };
    compare(&format!("a proxied call at {rate}/s over UDP"), "µs", Some(1.03), args, [(name, &off), ("as it is", &on)]);
}

/// On two shards against one, both processors there for either.
pub(crate) fn on_two_shards(args: &Args) {
    let rate = args.rate.unwrap_or(2000);
    let of = |placement| move || call(args, rate, &Setting { placement, ..Setting::of(args, TransportType::Udp) });
    let what = format!("a proxied call at {rate}/s over UDP, {} callers", args.connections);
    compare(&what, "µs", Some(1.15), args, [("one shard", &of("inline")), ("two", &of("sharded:2"))]);
}

/// With passwords, location and accounting against a relay by Request-URI.
pub(crate) fn with_everything(args: &Args) {
    let rate = args.rate.unwrap_or(2000);
    let open = "[overload]\nmax_wait_ms = 60000\n";
    let bare = || call(args, rate, &Setting { more: open, ..Setting::of(args, TransportType::Udp) });
    let more = format!(
        "domains = [\"{DOMAIN}\"]\n{open}[auth]\nrequired = true\nalgorithms = [\"SHA-256\"]\n\
         [accounting]\nfile = \"accounting.jsonl\"\n{}",
        users()
    );
    let all = || call(args, rate, &Setting { more: &more, edge: true, ..Setting::of(args, TransportType::Udp) });
    compare(
        &format!("a proxied call at {rate}/s over UDP"),
        "µs",
        Some(1.4),
        args,
        [("by Request-URI", &bare), ("with digest, location and accounting", &all)],
    );
}

/// With accounting, metrics that are read each second and a page that is open, against without.
pub(crate) fn observed(args: &Args) {
    let rate = args.rate.unwrap_or(2000);
    let open = "[overload]\nmax_wait_ms = 60000\n";
    let bare = || call(args, rate, &Setting { more: open, ..Setting::of(args, TransportType::Udp) });
    let more = format!("{open}[accounting]\nfile = \"accounting.jsonl\"\n[admin]\nlisten = \"127.0.0.1:0\"\n");
    let seen = || call(args, rate, &Setting { more: &more, ..Setting::of(args, TransportType::Udp) });
    let what = format!("a proxied call at {rate}/s over UDP");
    compare(&what, "µs", Some(1.03), args, [("by itself", &bare), ("with accounting, metrics and page", &seen)]);
}

/// Asks each second for what Prometheus and an open page ask for.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let ask = move || {
            while !stopped.load(Ordering::Relaxed) {
                for path in ["/metrics", "/api/v1/status", "/api/v1/statistics"] {
                    let mut answer = Vec::new();
                    let mut stream = TcpStream::connect(address).expect("it listens");
                    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
                        .expect("it reads");
                    stream.read_to_end(&mut answer).expect("an answer");
                    assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        };
        let thread = std::thread::Builder::new().name("watcher".into()).spawn(ask).expect("a thread");
        Watcher { stop, thread: Some(thread) }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join).expect("it was started").expect("all was answered");
    }
}
