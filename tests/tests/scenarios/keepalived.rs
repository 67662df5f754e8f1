//! One address for two machines, as the guide has it: keepalived moves it, with the guide's own configuration, when a process or a
//! link dies; calls that stand are ended, and phones are called again.

use crate::end::signal;
use crate::networks::Networks;
use crate::phone::{Call, Phone};
use crate::repro::LIMIT;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use tests::peers::{PATIENT, Process, Redis, available, repro_binary};

const PASSWORD: &str = "geheim";

/// The first two blocks of the guide's section: repro's configuration, and that of keepalived.
fn configurations() -> [String; 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/run-repro.md");
    let guide = fs::read_to_string(path).expect("it is there");
    let (_, section) = guide.split_once("\n### One address for two machines\n").expect("it has the section");
    let mut blocks = section.split("\n```").skip(1).step_by(2);
    ["toml", "text"].map(|kind| {
        let block = blocks.next().and_then(|block| block.strip_prefix(kind));
        block.unwrap_or_else(|| panic!("expected a block of {kind}")).to_owned()
    })
}

/// Two machines at one switch, and what both have in their files.
struct Site {
    networks: Networks,
    folder: PathBuf,
    redis: Redis,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Site {
    fn new(networks: Networks) -> Self {
        let redis = Redis::start_at(networks.here(0), Some(PASSWORD), &[]).expect("it starts");
        let folder = std::env::temp_dir().join(format!("keepalived-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a directory");
        let site = Site { networks, folder, redis };
        let at = |text: String| {
            let (shared, redis) = (site.networks.spare().to_string(), site.redis.address().ip().to_string());
            let own = text.replace("10.0.0.100/24", &format!("{shared}/28")).replace("10.0.0.100", &shared);
            let own = own.replace("10.0.0.9", &redis);
            assert!(!own.contains("10.0.0."), "{own}");
            own
        };
        let [repro, keepalived] = configurations().map(at);
        // What the guide has said before: who may register and call.
        let first = format!("pin_runners = false\ntrusted_peers = [\"{}\"]\n", site.networks.here(0));
        site.write("repro.toml", &format!("{first}{repro}\n[log]\nfilter = \"info\"\n{PATIENT}"));
        site.write("keepalived.conf", &keepalived);
        site.write("redis.password", PASSWORD);
        site.write("cluster.secret", &"0123456789abcdef".repeat(4));
        site
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("a file");
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Starts repro on a machine that does not have the address.
    fn repro(&self, machine: usize) -> Process {
        let mut command = self.networks.command(machine, &repro_binary().expect("it can be built"));
        command.args(["--config", &self.path("repro.toml")]);
        let mut process = Process::start(&mut command).expect("it can be run");
        process.wait_for(LIMIT, |line| line.starts_with("listening on udp").then_some(())).expect("it starts");
        assert!(process.output().contains("passive=true"), "{}", process.output());
        process
    }

    fn keepalived(&self, machine: usize) -> Process {
        let mut command = self.networks.command(machine, Path::new("keepalived"));
        command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file", &self.path("keepalived.conf")]);
        for file in ["pid", "vrrp_pid"] {
            command.args([&format!("--{file}"), &self.path(&format!("{file}{machine}"))]);
        }
        Process::start(&mut command).expect("it can be run")
    }
}

fn says(process: &mut Process, what: &str) {
    if let Err(unfinished) = process.wait_for(LIMIT, |line| line.contains(what).then_some(())) {
        panic!("nothing says {what}:\n{}", unfinished.output);
    }
}

/// A phone at `example.com`.
fn register(phone: &Phone, count: u32) {
    let text = String::from_utf8(phone.register(count, 600)).expect("it is UTF-8");
    phone.send(text.replace(&phone.proxy().to_string(), "example.com").as_bytes());
    phone.hear("SIP/2.0 200 ");
}

/// Hangs up, and hears that it is so.
fn end(from: &Phone, to: &Phone, bye: &[u8]) {
    from.send(bye);
    let heard = to.hear("BYE ");
    to.answer(&heard, 200);
    from.hear("SIP/2.0 200 ");
}

#[test]
fn keepalived_moves_the_address_as_the_guide_says() {
    if !["keepalived", "curl", "redis-server", "ip"].into_iter().all(available) {
        return;
    }
    let networks = match Networks::at_a_switch(2) {
        Ok(networks) => networks,
        Err(why) => return tests::skip(&format!("machines of their own cannot be made here: {why}")),
    };
    let site = Site::new(networks);
    let shared = SocketAddr::from((site.networks.spare(), 5060));
    let mut first = site.repro(0);
    let mut first_vrrp = site.keepalived(0);
    says(&mut first_vrrp, "Entering MASTER STATE");
    says(&mut first, "this process takes over");
    let mut second = site.repro(1);
    let mut second_vrrp = site.keepalived(1);
    says(&mut second_vrrp, "Entering BACKUP STATE");

    let phone = |name| Phone::on(name, UdpSocket::bind((site.networks.here(0), 0)).expect("a free port"), shared);
    let (alice, bob) = (phone("alice"), phone("bob"));
    register(&alice, 1);
    register(&bob, 1);
    let call = |id| {
        let mut call = Call::ring_at(&alice, &bob, "sip:bob@example.com", id);
        call.pick_up();
        call.acknowledge();
        call
    };
    // The process dies, and its machine lives.
    let standing = call("one");
    drop(first);
    says(&mut first_vrrp, "Entering FAULT STATE");
    says(&mut second, "this process takes over");
    end(&alice, &bob, &standing.by_caller("BYE", 2));
    let standing = call("two");
    let mut first = site.repro(0);
    says(&mut first_vrrp, "Entering BACKUP STATE");
    // The machine is cut off, and comes back: then it stands by.
    site.networks.plug(1, "down");
    says(&mut first, "this process takes over");
    says(&mut second, "this process stands by");
    end(&bob, &alice, &standing.by_called("BYE", 2));
    let standing = call("three");
    site.networks.plug(1, "up");
    says(&mut second_vrrp, "Entering BACKUP STATE");
    says(&mut second, "connected to Redis");
    end(&alice, &bob, &standing.by_caller("BYE", 2));
    end(&bob, &alice, &call("four").by_called("BYE", 2));

    for mut process in [first_vrrp, second_vrrp] {
        signal(&process, "TERM");
        let said = process.output();
        assert!(!said.contains("SECURITY VIOLATION") && !said.contains("Unknown keyword"), "{said}");
        process.finish(LIMIT).expect("it ends");
    }
    for process in [first, second] {
        signal(&process, "TERM");
        process.finish(LIMIT).expect("it ends");
    }
}
