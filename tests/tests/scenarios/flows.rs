//! Telephones built on dum behind NATs that lose their connections: at the real proxy, by a relay that a test owns and cuts.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::agent::Agent;
use crate::repro::{File, LIMIT, address, start};
use crate::telephone::named;

/// What a wire carried, and which way.
#[derive(Debug)]
enum Seen {
    FromPhone(Vec<u8>),
    ToPhone(Vec<u8>),
}

/// A connection to the relay goes on to the proxy, until it is cut.
struct Relay {
    at: SocketAddr,
    seen: Receiver<Seen>,
    standing: Arc<Mutex<Vec<Standing>>>,
    over: Arc<AtomicBool>,
}

/// Both halves of a connection, and whether what comes on it is swallowed.
struct Standing(TcpStream, TcpStream, Arc<AtomicBool>);

impl Relay {
    fn start(proxy: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (at, (tell, seen)) = (listener.local_addr().expect("bound"), channel());
        let (standing, over) = (Arc::<Mutex<Vec<Standing>>>::default(), Arc::<AtomicBool>::default());
        let (entered, ends) = (standing.clone(), over.clone());
        let serve = move || {
            for phone in listener.incoming() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                let (phone, proxy) = (phone.expect("a connection"), TcpStream::connect(proxy).expect("it listens"));
                let (dead, clone) =
                    (Arc::<AtomicBool>::default(), |stream: &TcpStream| stream.try_clone().expect("one more"));
                entered.lock().expect("no panic").push(Standing(clone(&phone), clone(&proxy), dead.clone()));
                pump(clone(&phone), clone(&proxy), dead.clone(), tell.clone(), Seen::FromPhone);
                pump(proxy, phone, dead, tell.clone(), Seen::ToPhone);
            }
        };
        thread::Builder::new().spawn(serve).expect("a thread");
        Relay { at, seen, standing, over }
    }

    /// Waits until the wire has carried this.
    fn sees(&self, what: impl Fn(&Seen) -> bool) {
        while !what(&self.seen.recv_timeout(LIMIT).expect("it comes")) {}
    }

    /// A ping of the telephone's, and its answer.
    fn sees_a_keep_alive(&self) {
        self.sees(|seen| matches!(seen, Seen::FromPhone(octets) if octets == b"\r\n\r\n"));
        self.sees(|seen| matches!(seen, Seen::ToPhone(octets) if octets == b"\r\n"));
    }

    /// Closes the connections that stand.
    fn cut(&self) {
        for Standing(phone, proxy, _) in self.standing.lock().expect("no panic").drain(..) {
            // Either may be closed by the other side.
            let _ = (phone.shutdown(Shutdown::Both), proxy.shutdown(Shutdown::Both));
        }
    }

    /// From now on the connections that stand carry nothing, and nobody is told.
    fn swallow(&self) {
        for Standing(.., dead) in self.standing.lock().expect("no panic").iter() {
            dead.store(true, Ordering::Release);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.at);
        self.cut();
    }
}

/// Passes octets on until one side closes.
fn pump(mut from: TcpStream, mut to: TcpStream, dead: Arc<AtomicBool>, tell: Sender<Seen>, seen: fn(Vec<u8>) -> Seen) {
    let run = move || {
        let mut buffer = [0; 65_536];
        while let Ok(size @ 1..) = from.read(&mut buffer) {
            if dead.load(Ordering::Acquire) {
                continue;
            }
            // The test may have seen enough.
            let _ = tell.send(seen(buffer[..size].to_vec()));
            if to.write_all(&buffer[..size]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    };
    thread::Builder::new().spawn(run).expect("a thread");
}

/// A NAT for datagrams: what comes inside leaves from an outer address, and answers come back the same way.
struct Nat {
    inside: Arc<UdpSocket>,
    outside: Arc<Mutex<Arc<UdpSocket>>>,
    phone: Arc<Mutex<Option<SocketAddr>>>,
    over: Arc<AtomicBool>,
}

impl Nat {
    fn start(proxy: SocketAddr) -> Self {
        let (inside, outside) = (Arc::new(socket()), Arc::new(Mutex::new(Arc::new(socket()))));
        let nat = Nat { inside, outside, phone: Arc::default(), over: Arc::default() };
        let (inside, outside, phone, over) =
            (nat.inside.clone(), nat.outside.clone(), nat.phone.clone(), nat.over.clone());
        let run = move || {
            let mut buffer = [0; 65_536];
            while !over.load(Ordering::Acquire) {
                let Ok((size, from)) = inside.recv_from(&mut buffer) else { continue };
                *phone.lock().expect("no panic") = Some(from);
                let outside = outside.lock().expect("no panic").clone();
                outside.send_to(&buffer[..size], proxy).expect("loopback");
            }
        };
        thread::Builder::new().spawn(run).expect("a thread");
        nat.back();
        nat
    }

    fn at(&self) -> SocketAddr {
        self.inside.local_addr().expect("bound")
    }

    /// Forgets the address that the telephone had, and has another one for it.
    fn forget(&self) {
        *self.outside.lock().expect("no panic") = Arc::new(socket());
        self.back();
    }

    fn back(&self) {
        let current = self.outside.lock().expect("no panic").clone();
        let (inside, outside, phone, over) =
            (self.inside.clone(), self.outside.clone(), self.phone.clone(), self.over.clone());
        let run = move || {
            let mut buffer = [0; 65_536];
            let stands = || Arc::ptr_eq(&outside.lock().expect("no panic"), &current);
            while !over.load(Ordering::Acquire) && stands() {
                let Ok(size) = current.recv(&mut buffer) else { continue };
                if let Some(phone) = phone.lock().expect("no panic").filter(|_| stands()) {
                    inside.send_to(&buffer[..size], phone).expect("loopback");
                }
            }
        };
        thread::Builder::new().spawn(run).expect("a thread");
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    // So often it looks whether the test is over.
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a limit");
    socket
}

/// Devices are to send keep-alives every two seconds.
fn often(name: &str) -> File {
    File::new(name, "[registrar]\nflow_timer = 2\n")
}

/// RFC 5626 §4.4.1 and §4.5: the connection is closed, and then one carries nothing more; each time another one is made, and
/// calls come by that.
#[test]
fn a_telephone_that_has_lost_its_connection_is_called_again() {
    let config = often("flows-tcp");
    let repro = start(&["--config", config.name()]);
    let home = address(&repro, "udp");
    let relay = Relay::start(address(&repro, "tcp"));
    let bob = Agent::start(Some(&format!("sip:{};transport=tcp", relay.at)));
    let alice = Agent::start(Some(&format!("sip:{home}")));
    bob.register(home, true);
    for end in [Relay::cut, Relay::swallow] {
        // What an earlier connection has carried.
        while relay.seen.try_recv().is_ok() {}
        alice.call(named("bob", home));
        bob.hears(&["they hung up"]);
        // So many that the time of the first is up: until then the flow is not a good one.
        (0..8).for_each(|_| relay.sees_a_keep_alive());
        end(&relay);
        bob.hears(&["flow failed", "registered"]);
    }
    alice.call(named("bob", home));
    bob.hears(&["they hung up"]);
    // He calls, too.
    let carol = Agent::start(Some(&format!("sip:{home}")));
    bob.call(named("carol", carol.address()));
    carol.hears(&["they hung up"]);
}

/// RFC 5626 §4.4.2: a NAT has forgotten the telephone, which its keep-alive notices.
#[test]
fn a_telephone_whose_nat_forgets_it_is_called_again() {
    let config = often("flows-udp");
    let repro = start(&["--config", config.name()]);
    let home = address(&repro, "udp");
    let nat = Nat::start(home);
    let bob = Agent::start(Some(&format!("sip:{}", nat.at())));
    let alice = Agent::start(Some(&format!("sip:{home}")));
    bob.register(home, true);
    alice.call(named("bob", home));
    bob.hears(&["they hung up"]);
    nat.forget();
    bob.hears(&["flow failed", "registered"]);
    alice.call(named("bob", home));
    bob.hears(&["they hung up"]);
}

/// RFC 3581 §4: a telephone that knows nothing of outbound registers the address that the proxy has seen.
#[test]
fn a_telephone_behind_a_nat_registers_its_outer_address() {
    let repro = start(&[]);
    let home = address(&repro, "udp");
    let nat = Nat::start(home);
    let bob = Agent::start(Some(&format!("sip:{}", nat.at())));
    bob.register(home, false);
    bob.hears(&["registered"]);
    let outer = nat.outside.lock().expect("no panic").local_addr().expect("bound");
    let bound = bob.dum.command(move |phone, _| {
        let contact = phone.profile.as_ref().and_then(|profile| profile.contact()).map(|contact| contact.to_string());
        phone.hear(if contact == Some(format!("<sip:bob@{outer}>")) { "outer" } else { "other" });
    });
    bound.expect("it is not congested");
    bob.hears(&["outer"]);
    let alice = Agent::start(Some(&format!("sip:{home}")));
    alice.call(named("bob", home));
    bob.hears(&["they hung up"]);
}
