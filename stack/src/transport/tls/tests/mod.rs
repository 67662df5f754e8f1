//! Certificates that are made in the test, and handshakes through memory.

mod files;
mod handshake;
mod names;
mod reload;

use super::{ClientAuth, TlsContext, TlsIdentity, TlsOptions, TlsTrust};
use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConnectionCommon, HandshakeKind, ServerConnection};
use std::io::Write as _;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

/// A directory that goes with its last use.
pub(super) struct Dir(PathBuf);

impl Dir {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tls-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Dir(path)
    }

    /// Writes a file that only its owner may read.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.0.join(name);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
        path
    }
}

impl Deref for Dir {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A certification authority.
pub(super) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// What it issued, in PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ca(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn issue(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// A context that trusts this CA, with one identity for each text of [`names`].
    fn context(&self, dir: &Dir, identities: &[&str], change: impl FnOnce(&mut TlsOptions)) -> TlsContext {
        let mut options =
            TlsOptions { trust: TlsTrust::Paths(vec![dir.write("ca.pem", &self.pem())]), ..Default::default() };
        for (at, text) in identities.iter().enumerate() {
            options.identities.push(self.issue(&names(text)).save(dir, &at.to_string()));
        }
        change(&mut options);
        TlsContext::new(&options).unwrap()
    }
}

impl Issued {
    pub(super) fn save(&self, dir: &Dir, name: &str) -> TlsIdentity {
        TlsIdentity {
            certificate: dir.write(&format!("{name}.pem"), &self.certificate),
            private_key: dir.write(&format!("{name}.key"), &self.key),
            domains: Vec::new(),
        }
    }
}

/// A context that trusts the CA of its own certificate, which has these [`names`].
pub(crate) fn tls_context(names: &str) -> TlsContext {
    Ca::new("ca").context(&Dir::new(), &[names], |_| {})
}

/// As [`tls_context`], for peers that show each other their certificates.
pub(crate) fn mutual_tls_context(names: &str) -> TlsContext {
    Ca::new("ca").context(&Dir::new(), &[names], |options| options.client_auth = ClientAuth::Required)
}

/// The names of a certificate: `uri=sip:a.example dns=a.example ip=192.0.2.1 cn=a.example`.
pub(super) fn names(text: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in text.split_whitespace().map(|name| name.split_once('=').unwrap()) {
        let ia5 = || Ia5String::try_from(value).unwrap();
        match kind {
            "uri" => params.subject_alt_names.push(SanType::URI(ia5())),
            "dns" => params.subject_alt_names.push(SanType::DnsName(ia5())),
            "mail" => params.subject_alt_names.push(SanType::Rfc822Name(ia5())),
            "ip" => params.subject_alt_names.push(SanType::IpAddress(value.parse().unwrap())),
            "cn" => params.distinguished_name.push(DnType::CommonName, value),
            other => panic!("{other}"),
        }
    }
    params
}

fn name(text: &str) -> ServerName<'static> {
    ServerName::try_from(text.to_owned()).unwrap()
}

/// Two ends that have shaken hands.
#[derive(Debug)]
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

impl Pair {
    /// Connects to `domain`; the first error of either end.
    fn connect(client: &TlsContext, server: &TlsContext, domain: &str) -> Result<Pair, rustls::Error> {
        Pair::with(client.client(), server, domain)
    }

    fn with(client: Arc<ClientConfig>, server: &TlsContext, domain: &str) -> Result<Pair, rustls::Error> {
        let client = ClientConnection::new(client, name(domain))?;
        let mut pair = Pair { client, server: ServerConnection::new(server.server())? };
        pair.carry()?;
        assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
        Ok(pair)
    }

    /// Carries octets until neither end has any.
    fn carry(&mut self) -> Result<(), rustls::Error> {
        while carry(&mut self.client, &mut self.server)? || carry(&mut self.server, &mut self.client)? {}
        Ok(())
    }

    /// Whether the first certificate of the server names `identity`.
    fn server_is(&self, context: &TlsContext, identity: &str) -> bool {
        context.peer_identities(self.client.peer_certificates().unwrap()) == [identity]
    }

    fn is_resumed(&self) -> bool {
        let kinds = (self.client.handshake_kind(), self.server.handshake_kind());
        assert_eq!(kinds.0, kinds.1);
        kinds.0 == Some(HandshakeKind::Resumed)
    }
}

fn carry<A, B, S, T>(from: &mut A, to: &mut B) -> Result<bool, rustls::Error>
where
    A: DerefMut<Target = ConnectionCommon<S>>,
    B: DerefMut<Target = ConnectionCommon<T>>,
{
    let mut octets = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut octets).unwrap();
    }
    let mut rest = octets.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(!octets.is_empty())
}

/// The certificates of a PEM text.
fn der(pem: &str) -> Vec<CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject as _;
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
}

/// Asks clients for certificates.
fn ask(auth: ClientAuth) -> impl FnOnce(&mut TlsOptions) {
    move |options| options.client_auth = auth
}
