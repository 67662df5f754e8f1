//! Networks of their own (`ip netns`) that programs can be started in, with links to this one.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

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
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let key = process.wrapping_mul(4).wrapping_add(count) % (1 << 13);
        let base = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + key * 16;
        let networks = Networks { id: format!("st{process}x{count}"), links: links.to_vec(), base, switched };
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
