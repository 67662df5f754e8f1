//! The proxy on several interfaces: every side is told the address towards it, and calls stand on that.

use nix::cmsg_space;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use std::fs::File as Handle;
use std::io::{IoSliceMut, Read as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::process::Command;

use tests::peers::{self, PATIENT, Repro, repro_binary};
use tests::raw;

use crate::end::signal;
use crate::networks;
use crate::phone::{Call, Phone, record_routes};
use crate::repro::{File, LIMIT};

/// Everybody may use it, wherever it listens.
const OPEN: &str = "domains = [\"example.com\"]\ntrusted_peers = [\"0.0.0.0/0\", \"::/0\"]\n";

fn text(message: &[u8], name: &str) -> String {
    String::from_utf8(raw::first(message, name).unwrap_or_default()).expect("it is UTF-8")
}

/// What the called side is told: the way back through the address towards it, and both sides' ways into the dialog.
fn check_invite(invite: &[u8], caller: SocketAddr, called: SocketAddr) {
    let via = text(invite, "via");
    assert!(via.starts_with(&format!("SIP/2.0/UDP {called};branch=")), "{via}");
    let mut ways = vec![format!("<sip:{called};lr>"), format!("<sip:{caller};lr>")];
    ways.dedup();
    assert_eq!(record_routes(invite), ways);
}

/// One side hangs up: the other hears it from its own address of the proxy, with no Route left, and answers.
fn hang_up(from: &Phone, to: &Phone, bye: &[u8]) {
    // Along the route set the next hop is the proxy as that side knows it (RFC 5658).
    assert!(text(bye, "route").starts_with(&format!("<sip:{};lr>", from.proxy())), "{}", text(bye, "route"));
    from.send(bye);
    let heard = to.hear("BYE ");
    assert_eq!((to.heard_from(), raw::first(&heard, "route")), (Some(to.proxy()), None));
    to.answer(&heard, 200);
    from.hear("SIP/2.0 200 ");
    assert_eq!(from.heard_from(), Some(from.proxy()));
}

/// Two calls: one that the caller ends, one that the called side ends.
fn calls(caller: &Phone, called: &Phone, [one, two]: [&'static str; 2]) {
    for id in [one, two] {
        let mut call = Call::ring(caller, called, id);
        check_invite(call.invite(), caller.proxy(), called.proxy());
        assert_eq!((caller.heard_from(), called.heard_from()), (Some(caller.proxy()), Some(called.proxy())));
        call.pick_up();
        call.acknowledge();
        if id == one {
            hang_up(caller, called, &call.by_caller("BYE", 2));
        } else {
            hang_up(called, caller, &call.by_called("BYE", 2));
        }
    }
}

/// All of 127.0.0.0/8 is this machine: the caller asks an address that the kernel would not choose, and is answered from
/// there; the called side is told the one that the kernel chooses.
#[test]
fn a_wildcard_answers_where_it_was_asked_and_tells_the_address_of_the_route() {
    let config = File::new("wildcard", OPEN);
    for placement in ["inline", "sharded:2", "staged"] {
        let args = ["--config", config.name(), "--listen", "udp:0.0.0.0:0", "--placement", placement];
        let repro = Repro::start(&args, 1).expect("it starts");
        let port = repro.address("udp").expect("it said so").port();
        let asked = SocketAddr::from((peers::loopback(), port));
        let routed = SocketAddr::from(([127, 0, 0, 1], port));
        let phone = |name, proxy| Phone::on(name, UdpSocket::bind((peers::loopback(), 0)).expect("a port"), proxy);
        let (alice, bob) = (phone("alice", asked), phone("bob", routed));
        for id in ["one", "two"] {
            let mut call = Call::ring(&alice, &bob, id);
            check_invite(call.invite(), asked, routed);
            assert_eq!(alice.heard_from(), Some(asked));
            call.pick_up();
            call.acknowledge();
            assert_eq!(bob.heard_from(), Some(routed));
            // What goes to the caller leaves as the route says, whatever address it once asked.
            let (from, to, bye) = match id {
                "one" => (&alice, &bob, call.by_caller("BYE", 2)),
                _ => (&bob, &alice, call.by_called("BYE", 2)),
            };
            from.send(&bye);
            let heard = to.hear("BYE ");
            assert_eq!((to.heard_from(), raw::first(&heard, "route")), (Some(routed), None));
            to.answer(&heard, 200);
            from.hear("SIP/2.0 200 ");
            assert_eq!(from.heard_from(), Some(from.proxy()));
        }
    }
}

/// What the proxy sends bears the mark that it was told to set.
#[test]
fn what_is_sent_is_marked() {
    let config = File::new("dscp", "dscp = 40\n");
    let repro = Repro::start(&["--config", config.name(), "--listen", "udp:127.0.0.1:0"], 1).expect("it starts");
    let proxy = repro.address("udp").expect("it said so");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    setsockopt(&socket, sockopt::IpRecvTos, &true).expect("Linux tells the mark");
    let asker = Phone::on("asker", socket.try_clone().expect("a descriptor"), proxy);
    asker.send(&asker.request("OPTIONS", &asker, "marked", 1));
    let (mut buffer, mut control) = ([0; 4096], cmsg_space!(u8));
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty());
    let message = message.expect("an answer, or the request itself");
    let mark = message.cmsgs().expect("room").find_map(|item| match item {
        ControlMessageOwned::Ipv4Tos(tos) => Some(tos),
        _ => None,
    });
    assert_eq!(mark, Some(40 << 2));
}

/// Network namespaces of a test, gone with it.
pub(crate) struct Namespaces {
    id: String,
}

/// A proxy between two others: by 10.77.1.0/24 to A, by 10.77.2.0/24 to B. A is the proxy's default route, and has an
/// address behind it.
const PLAN: &[&str] = &[
    "netns add P",
    "netns add A",
    "netns add B",
    "-n P link add pa type veth peer name va netns A",
    "-n P link add pb type veth peer name vb netns B",
    "-n P addr add 10.77.1.1/24 dev pa",
    "-n P addr add 10.77.2.1/24 dev pb",
    "-n P addr add 2001:db8:77:1::1/64 dev pa nodad",
    "-n P addr add 2001:db8:77:2::1/64 dev pb nodad",
    "-n A addr add 10.77.1.2/24 dev va",
    "-n A addr add 198.51.100.7/32 dev lo",
    "-n A addr add 2001:db8:77:1::2/64 dev va nodad",
    "-n B addr add 10.77.2.2/24 dev vb",
    "-n B addr add 2001:db8:77:2::2/64 dev vb nodad",
    "-n P link set lo up",
    "-n P link set pa up",
    "-n P link set pb up",
    "-n A link set lo up",
    "-n A link set va up",
    "-n B link set vb up",
    "-n P route add default via 10.77.1.2",
];

impl Namespaces {
    /// The namespaces of a plan, or why there are none.
    pub(crate) fn new(plan: &[&str]) -> Result<Self, String> {
        let new = Namespaces { id: networks::new_id().0 };
        plan.iter().try_for_each(|line| new.ip(line))?;
        Ok(new)
    }

    fn name(&self, short: &str) -> String {
        format!("{}{short}", self.id)
    }

    /// Runs `ip` with these words; P, A and B are the namespaces.
    fn ip(&self, line: &str) -> Result<(), String> {
        let words = line.split(' ').map(|word| match word {
            "P" | "A" | "B" => self.name(word),
            _ => word.to_owned(),
        });
        let output = Command::new("ip").args(words).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(format!("ip {line}: {said}")) }
    }

    /// Does something in a namespace; its sockets stay there.
    pub(crate) fn within<R: Send>(&self, short: &str, what: impl FnOnce() -> R + Send) -> R {
        let handle = Handle::open(format!("/run/netns/{}", self.name(short))).expect("it was made");
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&handle, CloneFlags::CLONE_NEWNET).expect("whoever makes namespaces may enter them");
                what()
            });
            there.join().expect("it does not panic")
        })
    }

    fn phone(&self, name: &'static str, short: &str, address: &str, proxy: &str) -> Phone {
        let [address, proxy] = [address, proxy].map(|text| text.parse::<IpAddr>().expect("an address"));
        let socket = self.within(short, || UdpSocket::bind((address, 0)).expect("the address is there"));
        Phone::on(name, socket, (proxy, 5060).into())
    }

    fn repro(&self, config: &File, listen: &[&str]) -> Repro {
        let binary = repro_binary().expect("it can be built");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name("P")]).arg(binary).args(["--config", config.name()]);
        listen.iter().for_each(|listen| {
            command.args(["--listen", listen]);
        });
        Repro::start_command(&mut command, listen.len()).expect("it starts")
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for short in ["P", "A", "B"] {
            // One that was not made is no loss.
            let _ = self.ip(&format!("netns del {short}"));
        }
    }
}

/// An INVITE that comes in over UDP by one interface and leaves over TCP by the other.
fn to_tcp(net: &Namespaces) {
    let alice = net.phone("alice", "A", "10.77.1.2", "10.77.1.1");
    let listener = net.within("B", || TcpListener::bind("10.77.2.2:0").expect("the address is there"));
    let bob = listener.local_addr().expect("it is bound");
    let invite = String::from_utf8(alice.request("INVITE", &alice, "tcp", 1)).expect("it is UTF-8");
    let invite = invite.replacen(&format!("INVITE {}", alice.uri()), &format!("INVITE sip:bob@{bob};transport=tcp"), 1);
    alice.send(invite.as_bytes());
    let (mut stream, from) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    assert_eq!(from.ip(), "10.77.2.1".parse::<IpAddr>().expect("an address"));
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    let invite = loop {
        let length = stream.read(&mut buffer).expect("the INVITE");
        heard.extend_from_slice(&buffer[..length]);
        if let Some(invite) = raw::take_message(&mut heard) {
            break invite;
        }
    };
    assert!(text(&invite, "via").starts_with("SIP/2.0/TCP 10.77.2.1:5060;branch="), "{}", text(&invite, "via"));
    assert_eq!(record_routes(&invite), ["<sip:10.77.2.1:5060;transport=tcp;lr>", "<sip:10.77.1.1:5060;lr>"]);
}

#[test]
fn calls_between_two_networks() {
    if !peers::available("ip") {
        return;
    }
    let net = match Namespaces::new(PLAN) {
        Ok(net) => net,
        Err(why) => return tests::skip(&format!("no network namespaces can be made here: {why}")),
    };
    let config = File::new("networks", &format!("{OPEN}{PATIENT}"));
    let alice = net.phone("alice", "A", "10.77.1.2", "10.77.1.1");
    let far = net.phone("far", "A", "198.51.100.7", "10.77.1.1");
    let [bob, carol] = ["bob", "carol"].map(|name| net.phone(name, "B", "10.77.2.2", "10.77.2.1"));
    {
        let _repro = net.repro(&config, &["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060", "udp:[::]:5060"]);
        calls(&alice, &bob, ["a1", "a2"]);
        calls(&bob, &alice, ["b1", "b2"]);
        // By the default route, and from one phone to another on the same side.
        calls(&bob, &far, ["c1", "c2"]);
        calls(&far, &bob, ["d1", "d2"]);
        calls(&bob, &carol, ["e1", "e2"]);
        let erin = net.phone("erin", "A", "2001:db8:77:1::2", "2001:db8:77:1::1");
        let frank = net.phone("frank", "B", "2001:db8:77:2::2", "2001:db8:77:2::1");
        calls(&erin, &frank, ["f1", "f2"]);
        to_tcp(&net);
        // An address that comes later.
        net.ip("-n P addr add 10.77.3.1/24 dev pb").expect("a third network");
        net.ip("-n B addr add 10.77.3.2/24 dev vb").expect("a third network");
        let late = net.phone("late", "B", "10.77.3.2", "10.77.3.1");
        calls(&alice, &late, ["g1", "g2"]);
        calls(&late, &alice, ["h1", "h2"]);
    }
    // Several addresses instead of all: the second is the first in the list.
    let _repro = net.repro(&config, &["udp:10.77.2.1:5060", "udp:10.77.1.1:5060"]);
    calls(&alice, &bob, ["i1", "i2"]);
    calls(&bob, &far, ["j1", "j2"]);
    calls(&bob, &carol, ["k1", "k2"]);
}

/// Anybody may relay there to any address: here back to who asks.
fn asks(net: &Namespaces, address: SocketAddr) {
    let phone = net.within("P", || {
        let socket = UdpSocket::bind((address.ip(), 0)).expect("a free port");
        Phone::on("newcomer", socket, address)
    });
    phone.send(&phone.request("OPTIONS", &phone, "first", 1));
    let heard = phone.hear("OPTIONS ");
    phone.answer(&heard, 200);
    phone.hear("SIP/2.0 200 ");
}

/// Without arguments and configuration: UDP and TCP on the loopback, by IPv6 too where there is any.
#[test]
fn without_arguments_it_listens_on_the_loopback() {
    if !peers::available("ip") {
        return;
    }
    let both = ["127.0.0.1:5060", "[::1]:5060"].map(|text| text.parse::<SocketAddr>().expect("an address"));
    for addresses in [&both[..], &both[..1]] {
        let net = match Namespaces::new(&["netns add P", "-n P link set lo up"]) {
            Ok(net) => net,
            Err(why) => return tests::skip(&format!("no network namespaces can be made here: {why}")),
        };
        if addresses.len() == 1 {
            net.ip("-n P addr del ::1/128 dev lo").expect("it has one");
        }
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &net.name("P")]).arg(repro_binary().expect("it can be built"));
        let repro = Repro::start_command(&mut command, addresses.len() * 2).expect("it starts");
        addresses.iter().for_each(|address| asks(&net, *address));
        let process = repro.into_process();
        signal(&process, "TERM");
        let (status, output) = process.finish(LIMIT).expect("it ends");
        assert!(status.success(), "{output}");
        let mut told: Vec<&str> = output.lines().filter_map(|line| line.strip_prefix("listening on ")).collect();
        told.sort_unstable();
        let mut wanted: Vec<String> =
            ["tcp", "udp"].iter().flat_map(|kind| addresses.iter().map(move |at| format!("{kind} {at}"))).collect();
        wanted.sort_unstable();
        assert_eq!(told, wanted, "{output}");
    }
}
