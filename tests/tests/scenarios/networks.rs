//! Networks of their own (`ip netns`) that programs can be started in, with links to this one.

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rutil::{Clock as _, RealClock};
use tests::peers::Process;

use crate::repro::LIMIT;

/// Networks and the links to them; all of it is gone with this.
pub(crate) struct Networks {
    id: String,
    /// The network that each link leads to.
    links: Vec<usize>,
    /// The first of 16 addresses of 198.18.0.0/15, which is for tests (RFC 2544).
    base: u32,
    /// They are one network for all machines, with a switch here.
    switched: bool,
}

fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", args.join(" "), told.trim())) }
}

/// What the names of a test's networks and links begin with, and how many there were before: the process number is in it,
/// so what a test that was killed has left behind is known for that, and is removed first.
pub(crate) fn new_id() -> (String, u32) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    remove_left_behind();
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    (format!("st{}x{count}", std::process::id()), count)
}

/// Removes the networks and links whose process is gone. Another test may do so at the same time: what fails is no matter.
fn remove_left_behind() {
    for (folder, kind) in [("/run/netns", "netns"), ("/sys/class/net", "link")] {
        let left = |name: &String| owner(name).is_some_and(|process| !runs(process));
        for name in names(folder).into_iter().filter(left) {
            let _ = ip(&[kind, "del", &name]);
        }
    }
}

/// What is in a folder.
fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The process that has made what has this name, if a test has.
fn owner(name: &str) -> Option<&str> {
    let (process, _) = name.strip_prefix("st")?.split_once('x')?;
    process.parse::<u32>().is_ok().then_some(process)
}

/// Whether there is such a process that has not ended.
fn runs(process: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

impl Networks {
    /// Makes a link for each number, to the network of this number.
    ///
    /// # Errors
    /// The reason, where that may not be done.
    pub(crate) fn new(links: &[usize]) -> Result<Self, String> {
        let networks = Self::apart(links, false)?;
        for (link, at) in links.iter().enumerate() {
            let (name, [here, there]) = (networks.name(*at), networks.ends(link));
            ip(&["link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &name])?;
            ip(&["addr", "add", &format!("{}/30", networks.here(link)), "dev", &here])?;
            ip(&["link", "set", &here, "up"])?;
            ip(&["-n", &name, "addr", "add", &format!("{}/30", networks.there(link)), "dev", &there])?;
            ip(&["-n", &name, "link", "set", &there, "up"])?;
            // Each network gets to our end of the first link.
            if *at != links[0] {
                let (first, own) = (networks.here(0).to_string(), networks.here(link).to_string());
                ip(&["-n", &name, "route", "add", &first, "via", &own])?;
            }
        }
        Ok(networks)
    }

    /// Makes machines whose `eth0` hangs on one switch, at which we have an address as well.
    ///
    /// # Errors
    /// The reason, where that may not be done.
    pub(crate) fn at_a_switch(machines: usize) -> Result<Self, String> {
        let links: Vec<usize> = (0..machines).collect();
        let networks = Self::apart(&links, true)?;
        let switch = networks.switch();
        ip(&["link", "add", &switch, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/28", networks.here(0)), "dev", &switch])?;
        ip(&["link", "set", &switch, "up"])?;
        for link in links {
            let (name, [here, there]) = (networks.name(link), networks.ends(link));
            ip(&["link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &name])?;
            ip(&["link", "set", &here, "master", &switch, "up"])?;
            ip(&["-n", &name, "addr", "add", &format!("{}/28", networks.there(link)), "dev", &there])?;
            ip(&["-n", &name, "link", "set", &there, "up"])?;
        }
        Ok(networks)
    }

    /// The networks without their links.
    fn apart(links: &[usize], switched: bool) -> Result<Self, String> {
        let (id, count) = new_id();
        let key = std::process::id().wrapping_mul(4).wrapping_add(count) % (1 << 13);
        let base = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + key * 16;
        let networks = Networks { id, links: links.to_vec(), base, switched };
        for at in 0..=links.iter().copied().max().unwrap_or(0) {
            let name = networks.name(at);
            ip(&["netns", "add", &name])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
        }
        Ok(networks)
    }

    fn switch(&self) -> String {
        format!("{}s", self.id)
    }

    fn name(&self, at: usize) -> String {
        format!("{}n{at}", self.id)
    }

    fn ends(&self, link: usize) -> [String; 2] {
        let [here, there] = ["h", "t"].map(|end| format!("{}{end}{link}", self.id));
        [here, if self.switched { "eth0".to_owned() } else { there }]
    }

    /// Our end of a link.
    pub(crate) fn here(&self, link: usize) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 1 + if self.switched { 0 } else { link as u32 * 4 })
    }

    /// The other end.
    pub(crate) fn there(&self, link: usize) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 2 + link as u32 * if self.switched { 1 } else { 4 })
    }

    /// An address that nobody has.
    pub(crate) fn spare(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 14)
    }

    /// A command that runs a program in the network that a link leads to.
    pub(crate) fn command(&self, link: usize, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(self.links[link])]).arg(program);
        command
    }

    /// Takes a link down, or up again, at the other end.
    pub(crate) fn set(&self, link: usize, state: &str) {
        let [_, there] = self.ends(link);
        ip(&["-n", &self.name(self.links[link]), "link", "set", &there, state]).expect("it was made");
    }

    /// Pulls the plug of a machine out of the switch, or puts it in again.
    pub(crate) fn plug(&self, link: usize, state: &str) {
        let [here, _] = self.ends(link);
        ip(&["link", "set", &here, state]).expect("it was made");
    }

    /// Gives an address to the other end of a link, and has what is sent there go by it.
    pub(crate) fn give(&self, link: usize, address: Ipv4Addr) {
        let (name, [here, there]) = (self.name(self.links[link]), self.ends(link));
        let via = self.there(link).to_string();
        ip(&["-n", &name, "addr", "add", &format!("{address}/32"), "dev", &there]).expect("it was made");
        ip(&["route", "replace", &format!("{address}/32"), "via", &via, "dev", &here]).expect("it was made");
    }

    /// Takes an address away from there.
    pub(crate) fn take(&self, link: usize, address: Ipv4Addr) {
        let [_, there] = self.ends(link);
        let name = self.name(self.links[link]);
        ip(&["-n", &name, "addr", "del", &format!("{address}/32"), "dev", &there]).expect("it had it");
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // The ends of links go with a network, and ours with them.
        for at in 0..=self.links.iter().copied().max().unwrap_or(0) {
            let _ = ip(&["netns", "del", &self.name(at)]);
        }
        if self.switched {
            let _ = ip(&["link", "del", &self.switch()]);
        }
    }
}

/// Set for the process that is to be killed.
const IS_KILLED: &str = "NETWORKS_KILLED";

/// A test of its own: has networks and a peer in them, says so, and waits for its end.
#[test]
fn the_one_that_is_killed() {
    if std::env::var_os(IS_KILLED).is_none() {
        return;
    }
    let networks = Networks::at_a_switch(1).expect("whoever started this could");
    let mut command = networks.command(0, Path::new("sh"));
    let mut peer = Process::start(command.args(["-c", "echo up; exec sleep infinity"])).expect("it can be run");
    peer.wait_for(LIMIT, |line| (line == "up").then_some(())).expect("it starts");
    println!("has {} and {}", networks.id, peer.id());
    std::io::stdin().read_line(&mut String::new()).expect("it is killed");
}

#[test]
fn nothing_stays_of_a_test_that_was_killed() {
    if let Err(why) = Networks::new(&[0]) {
        return tests::skip(&format!("no network namespaces can be made here: {why}"));
    }
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "networks::the_one_that_is_killed", "--nocapture"]).env(IS_KILLED, "1");
    let mut test = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it can be run");
    let mut lines = BufReader::new(test.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let said = lines.find_map(|line| Some(line.split_once("has ")?.1.to_owned())).expect("it has them");
    let (id, peer) = said.split_once(" and ").expect("both");
    let of_it = || ["/run/netns", "/sys/class/net"].map(names).concat().into_iter().filter(|name| name.starts_with(id));
    assert_eq!(of_it().count(), 3, "a network, a link to it and a switch");
    test.kill().expect("it runs");
    test.wait().expect("it has ended");
    let clock = RealClock::new();
    let began = clock.now();
    while runs(peer) {
        assert!(clock.now().since(began) < LIMIT, "the peer outlives the test");
        std::thread::yield_now();
    }
    let _next = Networks::new(&[0]).expect("as before");
    assert_eq!(of_it().count(), 0);
}
