//! The proxy's certificates: what it shows, what it says of bad files, and SIGHUP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use stack::auth::{Hash, ha1};
use stack::message::Message;

use crate::end::signal;
use crate::idle::resident;
use crate::passwords::credentials;
use crate::repro::{LIMIT, address, refusal};
use tests::peers::Repro;

/// A directory with a configuration, certificate and key, and the CA; removed afterwards.
pub(crate) struct Site {
    directory: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Site {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("repro-tls-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        let site = Site { directory: env::temp_dir().join(name), ca };
        fs::create_dir(&site.directory).expect("a new directory");
        site.write("ca.pem", &site.ca.pem());
        site.write(
            "repro.toml",
            "[log]\nfilter = \"info\"\n[tls]\ntrust = [\"ca.pem\"]\n\
             [[tls.identities]]\ncertificate = \"own.pem\"\nprivate_key = \"own.key\"\n",
        );
        site
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.directory.join(name);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        file.expect("a file").write_all(text.as_bytes()).expect("room");
    }

    /// A new certificate and key for these domains.
    pub(crate) fn issue(&self, domains: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let names: Vec<String> = domains.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        self.write("own.pem", &params.signed_by(&key, &self.ca).expect("a certificate").pem());
        self.write("own.key", &key.serialize_pem());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn config(&self) -> String {
        self.path("repro.toml").display().to_string()
    }

    fn start(&self) -> Repro {
        Repro::start(&["--config", &self.config(), "--listen", "tls:127.0.0.1:0"], 1).expect("it starts")
    }

    /// Connects and shakes hands with the proxy as `domain`.
    fn connect(&self, proxy: SocketAddr, domain: &str) -> Phone {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).expect("a CA");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("both");
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let name = ServerName::try_from(domain.to_owned()).expect("a name");
        let socket = TcpStream::connect(proxy).expect("it listens");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut stream = StreamOwned::new(ClientConnection::new(config, name).expect("a client"), socket);
        stream.flush().expect("a handshake");
        Phone { stream }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A connection to the proxy.
struct Phone {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Phone {
    fn certificate(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().expect("it showed one")[0].clone().into_owned()
    }

    /// Asks what the proxy can do; its answer's first line.
    fn options(&mut self, call: &str) -> String {
        let proxy = self.stream.sock.peer_addr().expect("connected");
        let request = format!(
            "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@example.com>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: {call}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        );
        self.send(&request);
        self.receive().lines().next().unwrap_or_default().to_owned()
    }

    fn send(&mut self, message: &str) {
        self.stream.write_all(message.as_bytes()).expect("it reads");
    }

    /// The next message, which has no body.
    fn receive(&mut self) -> String {
        let mut message = Vec::new();
        while !message.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            self.stream.read_exact(&mut octet).expect("a message");
            message.extend(octet);
        }
        String::from_utf8_lossy(&message).into_owned()
    }

    fn address(&self) -> SocketAddr {
        self.stream.sock.local_addr().expect("connected")
    }
}

/// The values of a header, each a line.
fn values<'m>(message: &'m str, name: &str) -> Vec<&'m str> {
    message.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

/// A request to a sips URI reaches a registered phone on the connection that it opened, with a sips Record-Route, and
/// nobody who would get it in clear (RFC 3261 §16.6 step 4, RFC 5630 §5.3).
#[test]
fn a_sips_call_stays_on_tls() {
    let site = Site::new();
    site.issue(&["example.com"], |_| {});
    let config = site.config();
    let listen = ["--config", config.as_str(), "--listen", "tls:127.0.0.1:0", "--listen", "udp:127.0.0.1:0"];
    let repro = Repro::start(&listen, 2).expect("it starts");
    let proxy = address(&repro, "tls");
    let [mut bob, mut alice] = ["bob", "alice"].map(|_| site.connect(proxy, "example.com"));
    let head = |from: &Phone, method: &str, uri: &str, call: &str| {
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TLS {};branch=z9hG4bK{call};rport\r\nMax-Forwards: 70\r\n\
             From: <sips:a@example.com>;tag=1\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n",
            from.address()
        )
    };
    for (user, contact) in [("bob", format!("sips:bob@{}", bob.address())), ("carol", "sip:carol@127.0.0.1:9".into())] {
        let register = head(&bob, "REGISTER", &format!("sips:{proxy}"), user);
        bob.send(&format!("{register}To: <sips:{user}@{proxy}>\r\nContact: <{contact}>\r\n\r\n"));
        assert!(bob.receive().starts_with("SIP/2.0 200 "));
    }
    let uri = format!("sips:bob@{proxy}");
    alice.send(&format!("{}To: <{uri}>\r\n\r\n", head(&alice, "MESSAGE", &uri, "to-carol").replace("bob", "carol")));
    assert!(alice.receive().starts_with("SIP/2.0 480 "), "she would get it in clear");
    alice.send(&format!("{}To: <{uri}>\r\nContact: <sips:a@a.example>\r\n\r\n", head(&alice, "INVITE", &uri, "call")));
    assert!(alice.receive().starts_with("SIP/2.0 100 "));
    let invite = bob.receive();
    assert!(invite.starts_with(&format!("INVITE sips:bob@{} SIP/2.0", bob.address())), "{invite}");
    let route = format!("<sips:{proxy};transport=tls;lr>");
    assert_eq!(values(&invite, "Record-Route"), [&route]);
    assert!(values(&invite, "Via")[0].starts_with(&format!("SIP/2.0/TLS {proxy};alias;branch=")), "{invite}");
    let copied: Vec<&str> = invite.lines().skip(1).filter(|line| !line.starts_with("Max-Forwards")).collect();
    let copied: Vec<&str> = copied.into_iter().filter(|line| !line.starts_with("To: ") && !line.is_empty()).collect();
    bob.send(&format!("SIP/2.0 200 OK\r\n{}\r\nTo: <{uri}>;tag=2\r\n\r\n", copied.join("\r\n")));
    let answer = alice.receive();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert_eq!(values(&answer, "Record-Route"), [&route]);
}

#[test]
fn a_phone_registers_over_tls_with_its_password_and_no_other() {
    let site = Site::new();
    site.issue(&["example.com"], |_| {});
    let digits = ha1(Hash::Sha256, "alice", "example.com", "wonderland");
    site.write(
        "repro.toml",
        &format!(
            "[auth]\nrequired = true\n[tls]\ntrust = [\"ca.pem\"]\n\
             [[tls.identities]]\ncertificate = \"own.pem\"\nprivate_key = \"own.key\"\n\
             [[domain]]\nname = \"example.com\"\n[[user]]\naor = \"alice@example.com\"\nsha256 = \"{digits}\"\n"
        ),
    );
    let repro = site.start();
    let proxy = address(&repro, "tls");
    for (count, password) in (0..).zip(["guess", "wonderland", "guess", "wonderland"]) {
        let mut phone = site.connect(proxy, "example.com");
        let mut register = |number: u32, more: &str| {
            let own = phone.address();
            phone.send(&format!(
                "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/TLS {own};branch=z9hG4bK{count}-{number}\r\nMax-Forwards: 70\r\n\
                 From: <sip:alice@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: tls-{count}\r\n\
                 CSeq: {number} REGISTER\r\nContact: <sip:alice@{own};transport=tls>\r\n{more}Content-Length: 0\r\n\r\n"
            ));
            phone.receive()
        };
        let challenge = register(1, "");
        assert!(challenge.starts_with("SIP/2.0 401 "), "{challenge}");
        let challenge = Message::parse(challenge.as_bytes()).expect("a response");
        let answer = register(2, &credentials(&challenge, password, 1));
        let expected = if password == "wonderland" { "SIP/2.0 200 " } else { "SIP/2.0 401 " };
        assert!(answer.starts_with(expected), "{password}: {answer}");
    }
}

#[test]
fn certificates_are_read_again_on_sighup() {
    let site = Site::new();
    site.issue(&["example.com"], |_| {});
    let mut repro = site.start();
    let proxy = address(&repro, "tls");
    let mut old = site.connect(proxy, "example.com");
    assert_eq!(old.options("first"), "SIP/2.0 200 OK");
    let hang_up = |repro: &mut Repro, said: &str| {
        signal(repro.process(), "HUP");
        repro.process().wait_for(LIMIT, |line| line.contains(said).then_some(())).expect("it says so");
    };
    site.issue(&["example.com", "example.org"], |_| {});
    hang_up(&mut repro, "are read again");
    let mut new = site.connect(proxy, "example.org");
    assert!(new.certificate() != old.certificate());
    assert_eq!((old.options("second").as_str(), new.options("third").as_str()), ("SIP/2.0 200 OK", "SIP/2.0 200 OK"));
    // Bad files: it says so, and goes on with what it has.
    site.write("own.key", &KeyPair::generate().expect("a key").serialize_pem());
    hang_up(&mut repro, "own.key is not the key of");
    assert!(site.connect(proxy, "example.org").certificate() == new.certificate());
    signal(repro.process(), "TERM");
    let (status, _) = repro.into_process().finish(LIMIT).expect("it ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn bad_certificates_keep_it_from_starting() {
    let site = Site::new();
    let config = site.config();
    let listen = ["--config", config.as_str(), "--listen", "tls:127.0.0.1:0"];
    let said = refusal(&listen);
    assert!(said.contains(":6: tls.identities.certificate: ") && said.contains("own.pem cannot be read"), "{said}");
    site.issue(&["example.com"], |_| {});
    site.write("own.key", &KeyPair::generate().expect("a key").serialize_pem());
    let said = refusal(&listen);
    assert!(said.contains(":7: tls.identities.private_key: ") && said.contains("is not the key of"), "{said}");
    let said = refusal(&listen[2..]);
    assert!(said.contains("tls:127.0.0.1:0") && said.contains("[[tls.identities]]"), "{said}");
}

#[test]
fn odd_certificates_are_warned_of() {
    let site = Site::new();
    site.issue(&["example.com"], |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 3, 4);
    });
    let key = site.directory.join("own.key");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("it is ours");
    let mut repro = site.start();
    signal(repro.process(), "TERM");
    let (_, output) = repro.into_process().finish(LIMIT).expect("it ends");
    assert!(output.contains("expired") && output.contains("2002-03-04"), "{output}");
    assert!(output.contains("private key") && output.contains("own.key"), "{output}");
    assert!(!output.contains("BEGIN"), "{output}");
}

/// A TLS connection that has agreed and said nothing costs less than 24 KiB.
#[test]
fn idle_connections_cost_little() {
    let site = Site::new();
    site.issue(&["example.com"], |_| {});
    let mut repro = site.start();
    let (proxy, process) = (address(&repro, "tls"), repro.process().id());
    let mut phones: Vec<Phone> = (0..50).map(|_| site.connect(proxy, "example.com")).collect();
    phones.iter_mut().enumerate().for_each(|(n, phone)| drop(phone.options(&format!("first{n}"))));
    let before = resident(process);
    let mut idle: Vec<Phone> = (0..500).map(|_| site.connect(proxy, "example.com")).collect();
    // The last is accepted after all others, and has agreed after them.
    assert_eq!(idle.last_mut().expect("some").options("last"), "SIP/2.0 200 OK");
    let octets = resident(process).saturating_sub(before) * 1024 / 500;
    println!("an idle TLS connection: {octets} octets");
    assert!(octets < 24 * 1024, "{octets} octets for an idle connection");
}
