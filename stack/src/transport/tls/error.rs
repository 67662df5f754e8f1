//! Why TLS could not be set up.

use std::path::PathBuf;
use std::{fmt, io};

/// Why TLS could not be set up. The text says what, in which file and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct TlsError {
    /// The part of [`super::TlsOptions`] that names what is wrong.
    pub setting: TlsSetting,
    /// What is wrong with it.
    pub fault: TlsFault,
}

/// A part of [`super::TlsOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsSetting {
    /// The certificate of the identity with this index.
    Certificate(usize),
    /// The private key of the identity with this index.
    PrivateKey(usize),
    /// The path with this index in [`super::TlsTrust::Paths`].
    Trust(usize),
    /// Which clients are let in.
    ClientAuth,
    /// None in particular.
    General,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}: name a PEM file that this user may read", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file has no certificate.
    #[error("{} has no certificate in PEM: expected -----BEGIN CERTIFICATE-----", .file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// What is between the lines of a PEM file is no certificate.
    #[error("{}: certificate {number} cannot be read: export it again as X.509 in PEM", .file.display())]
    BadCertificate {
        /// The file.
        file: PathBuf,
        /// Its place in the file, from 1.
        number: usize,
    },
    /// A file has no private key.
    #[error("{} has no private key in PEM: expected -----BEGIN PRIVATE KEY-----", .file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The private key is encrypted.
    #[error("{} holds an encrypted private key: decrypt it with `openssl pkey`", .file.display())]
    EncryptedKey {
        /// The file.
        file: PathBuf,
    },
    /// The private key is of a kind or size that is not supported.
    #[error("{} cannot be used: expected RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519", .file.display())]
    BadKey {
        /// The file.
        file: PathBuf,
    },
    /// The private key belongs to another certificate.
    #[error(
        "{} is not the key of the first certificate in {}: name the key that it was requested with, and put the \
         server's own certificate before those of its CAs", .key.display(), .certificate.display()
    )]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// Something in a file or directory of CA certificates cannot be read.
    #[error("{}: {reason}: name PEM files of CA certificates, or directories of them alone", .path.display())]
    Trust {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong there.
        reason: String,
    },
    /// Clients are to be verified, and there is no CA.
    #[error("no client can be verified without a CA certificate: install those of the system, or name files to trust")]
    NoRoots,
    /// The TLS library refuses.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

impl TlsFault {
    /// The error of which this is the fault.
    pub(super) fn at(self, setting: TlsSetting) -> TlsError {
        TlsError { setting, fault: self }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        TlsFault::Library(error).at(TlsSetting::General)
    }
}

/// The name of the field.
impl fmt::Display for TlsSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsSetting::Certificate(_) => "certificate",
            TlsSetting::PrivateKey(_) => "private_key",
            TlsSetting::Trust(_) => "trust",
            TlsSetting::ClientAuth => "client_auth",
            TlsSetting::General => "identities",
        })
    }
}
