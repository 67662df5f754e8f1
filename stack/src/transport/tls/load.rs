//! From PEM files to certificates, keys and CAs. What is odd but can be used is a warning in the log.

use super::names::{Names, absolute};
use super::{TlsError, TlsFault, TlsIdentity, TlsSetting, TlsTrust};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A certificate that is ready to be shown, and the domains that it is shown for, in lower case.
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) domains: Vec<String>,
}

/// Reads one identity, that with index `at`.
pub(super) fn identity(
    at: usize,
    identity: &TlsIdentity,
    provider: &CryptoProvider,
    now: UnixTime,
) -> Result<Loaded, TlsError> {
    let setting = TlsSetting::Certificate(at);
    let file = &identity.certificate;
    let chain = certificates(file).map_err(|fault| fault.at(setting))?;
    let own = chain.first().ok_or_else(|| TlsFault::NoCertificate { file: file.clone() }.at(setting))?;
    let bad = |number| TlsFault::BadCertificate { file: file.clone(), number }.at(setting);
    let names = Names::read(own).map_err(|_| bad(1))?;
    for (at, certificate) in chain.iter().enumerate() {
        warn_of_date(file, certificate, now).ok_or_else(|| bad(at + 1))?;
    }
    let domains = if identity.domains.is_empty() { names.domains() } else { given_domains(identity, &names) };
    let of_key = |fault: TlsFault| fault.at(TlsSetting::PrivateKey(at));
    let key = private_key(&identity.private_key).map_err(of_key)?;
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| of_key(unfit(identity, &error)))?;
    Ok(Loaded { key: Arc::new(key), domains })
}

fn unfit(identity: &TlsIdentity, error: &rustls::Error) -> TlsFault {
    let key = identity.private_key.clone();
    match error {
        rustls::Error::InconsistentKeys(_) => TlsFault::Mismatch { key, certificate: identity.certificate.clone() },
        _ => TlsFault::BadKey { file: key },
    }
}

fn given_domains(identity: &TlsIdentity, names: &Names<'_>) -> Vec<String> {
    let own = names.hosts(true);
    let given: Vec<_> = identity.domains.iter().map(|domain| absolute(domain).to_ascii_lowercase()).collect();
    for domain in given.iter().filter(|domain| !own.contains(domain)) {
        tracing::warn!(
            certificate = %identity.certificate.display(), domain,
            "the certificate does not name this domain: SIP clients will refuse it (RFC 5922)"
        );
    }
    given
}

fn read(file: &Path) -> Result<Vec<u8>, TlsFault> {
    fs::read(file).map_err(|source| TlsFault::Read { file: file.to_owned(), source })
}

/// The certificates of a file in their order.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let text = read(file)?;
    let bad = |at| TlsFault::BadCertificate { file: file.to_owned(), number: at + 1 };
    CertificateDer::pem_slice_iter(&text).enumerate().map(|(at, item)| item.map_err(|_| bad(at))).collect()
}

/// The first private key of a file. What the PEM reader says of a fault is not told: it might quote the key.
fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let text = read(file)?;
    warn_of_readers(file);
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let encrypted = memchr::memmem::find(&text, b"ENCRYPTED").is_some();
        let file = file.to_owned();
        if encrypted { TlsFault::EncryptedKey { file } } else { TlsFault::NoKey { file } }
    })
}

/// Whoever reads the key can pose as this machine.
fn warn_of_readers(file: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    const OTHERS: u32 = 0o007;
    if fs::metadata(file).is_ok_and(|about| about.mode() & OTHERS != 0) {
        tracing::warn!(file = %file.display(), "all users of this machine can get at this private key: chmod o= it");
    }
}

/// Warns of a certificate that is not valid now; `None` if its dates cannot be read.
fn warn_of_date(file: &Path, certificate: &CertificateDer<'_>, now: UnixTime) -> Option<()> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let (validity, subject) = (&certificate.validity, &certificate.subject);
    let now = i64::try_from(now.as_secs()).ok()?;
    let file = file.display();
    if validity.not_after.timestamp() < now {
        let since = validity.not_after.to_datetime();
        tracing::warn!(certificate = %file, %subject, %since, "expired: peers will refuse it, renew it and reload");
    } else if now < validity.not_before.timestamp() {
        let until = validity.not_before.to_datetime();
        tracing::warn!(certificate = %file, %subject, %until, "not valid yet: peers will refuse it");
    }
    Some(())
}

/// The CAs that are trusted. A store of the system without any is a warning, for a server needs none.
///
/// # Errors
/// When a file or directory cannot be read or has no CA.
pub fn roots(trust: &TlsTrust) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        TlsTrust::System => {
            let found = load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "in the system's store of CA certificates");
            }
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                tracing::warn!("the system has no CA certificates: no TLS server will be trusted");
            }
        }
        TlsTrust::Paths(paths) => {
            for (at, path) in paths.iter().enumerate() {
                add(&mut roots, path)
                    .map_err(|reason| TlsFault::Trust { path: path.clone(), reason }.at(TlsSetting::Trust(at)))?;
            }
        }
    }
    Ok(roots)
}

/// Adds all CAs of a file or directory.
fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let found =
        if path.is_dir() { load_certs_from_paths(None, Some(path)) } else { load_certs_from_paths(Some(path), None) };
    if let Some(error) = found.errors.first() {
        return Err(error.to_string());
    }
    if found.certs.is_empty() {
        return Err("no certificate in PEM".to_owned());
    }
    for (at, certificate) in found.certs.into_iter().enumerate() {
        roots.add(certificate).map_err(|_| format!("certificate {} cannot be read", at + 1))?;
    }
    Ok(())
}
