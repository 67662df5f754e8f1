//! Certificates and configuration files, in a directory that goes away.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use stack::transport::tls::{TlsContext, TlsIdentity, TlsOptions, TlsTrust};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the files are. Proxy and load show the same certificate, for 127.0.0.1 (ECDSA, P-256).
pub(crate) struct Site(PathBuf);

impl Site {
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::DirBuilderExt as _;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("proxy-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let site = Site(std::env::temp_dir().join(name));
        fs::DirBuilder::new().mode(0o700).create(&site.0).expect("a new directory");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let own = params.signed_by(&key, &ca).expect("a certificate");
        for (name, text) in [("ca.pem", ca.pem()), ("own.pem", own.pem()), ("own.key", key.serialize_pem())] {
            site.write(name, &text);
        }
        site
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("room");
        path
    }

    /// A configuration of the proxy with these certificates, and `more`.
    pub(crate) fn configuration(&self, more: &str) -> PathBuf {
        let tls =
            "[tls]\ntrust = [\"ca.pem\"]\n[[tls.identities]]\ncertificate = \"own.pem\"\nprivate_key = \"own.key\"\n";
        self.write("repro.toml", &format!("{more}{tls}"))
    }

    /// The same for a stack in this process.
    pub(crate) fn tls(&self) -> TlsContext {
        let [certificate, private_key, ca] = ["own.pem", "own.key", "ca.pem"].map(|name| self.0.join(name));
        let identity = TlsIdentity { certificate, private_key, domains: Vec::new() };
        let trust = TlsTrust::Paths(vec![ca]);
        TlsContext::new(&TlsOptions { identities: vec![identity], trust, ..TlsOptions::default() }).expect("good files")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
