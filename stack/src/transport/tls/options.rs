//! How TLS is set up.

use std::path::PathBuf;

/// How TLS is set up: whose certificates to show, whose to trust. TLS 1.2 and 1.3, nothing older (RFC 8996).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The certificates of this machine. The first is shown to a client that names no server or one that is not here,
    /// and to a server that asks for a certificate. None: connections can be opened only.
    pub identities: Vec<TlsIdentity>,
    /// Whose certificates are good.
    pub trust: TlsTrust,
    /// Whether clients must show a certificate.
    pub client_auth: ClientAuth,
    /// Whether the common name of a certificate without a subjectAltName counts as its identity. RFC 5922 §7.1 allows
    /// it for old certificates; off by default.
    pub accept_common_name: bool,
    /// Who a server must prove to be that is reached by its address alone ([`NextHop::Address`](crate::tu::NextHop)); none:
    /// that it has the address.
    pub server_name: Option<String>,
}

/// A certificate, its private key and the domains that it is shown for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsIdentity {
    /// PEM file with the certificate, and behind it those that lead to a CA.
    pub certificate: PathBuf,
    /// PEM file with the private key: PKCS #8, PKCS #1 (RSA) or SEC 1 (elliptic curve), not encrypted.
    pub private_key: PathBuf,
    /// The domains that it serves, compared with the name that a client asks for (SNI, RFC 6066 §3) without regard to
    /// case. None: all names of the certificate that have no wildcard.
    pub domains: Vec<String>,
}

/// Whose certificates are good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsTrust {
    /// Those that lead to a CA of the system's store.
    #[default]
    System,
    /// Those that lead to a CA in one of these PEM files, or of the files in one of these directories.
    Paths(Vec<PathBuf>),
}

/// Whether clients must show a certificate when they connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked; a certificate that is not good ends the connection, none does not.
    Optional,
    /// Without a good certificate there is no connection (mutual TLS, RFC 3261 §26.3.1).
    Required,
}
