//! Why a configuration cannot be used.

use super::Listen;
use crate::provisioning::ProvisioningError;
use stack::transport::tls::TlsError;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file} cannot be read: {source}: name a file that this user may read with --config")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no text.
    #[error("{file} is not UTF-8: write it anew in that, or name another file with --config")]
    Encoding {
        /// The file.
        file: String,
    },
    /// A line is not what it has to be.
    #[error("{file}:{line}: {key}: {what}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The key, with its table: `registrar.min_expires`.
        key: String,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A variable of the environment is not what its key has to be.
    #[error("{variable}: {what}")]
    Environment {
        /// The variable.
        variable: String,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A record is not what it has to be.
    #[error(transparent)]
    Record(#[from] ProvisioningError),
    /// A file that `[tls]` names cannot be used.
    #[error("{place}: {source}")]
    Tls {
        /// File, line and key.
        place: String,
        /// What is wrong with it.
        source: TlsError,
    },
    /// There is no token or password where the configuration says.
    #[error("{place}: {what}")]
    Token {
        /// File, line and key.
        place: String,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A secure transport was asked for on the command line, and no certificate is configured.
    #[error("--listen {0}: {NO_CERTIFICATE}")]
    NoCertificate(Listen),
    /// An address and port was named twice on the command line.
    #[error("--listen {0}: {TWICE}")]
    ListensTwice(Listen),
}

pub(super) const TWICE: &str = "names an address and port twice: UDP may have it once, and one of tcp, tls, ws and wss";

pub(super) const NO_CERTIFICATE: &str = "tls and wss need a certificate: name it in a configuration file, in [[tls.identities]] \
                              with certificate and private_key";
