//! Certificates: whose are trusted, and which is shown.

use clap::Args;
use stack::transport::TransportType;
use stack::transport::tls::{TlsContext, TlsError, TlsIdentity, TlsOptions, TlsSetting, TlsTrust};
use std::path::PathBuf;

/// TLS, as the command line has it.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsArgs {
    /// Trust the CAs in this PEM file, or in the files of this directory, instead of the system's. May be repeated.
    #[arg(long, value_name = "PATH")]
    pub(crate) tls_trust: Vec<PathBuf>,
    /// Show this certificate (PEM), and those behind it that lead to its CA.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// A file that cannot be used, or one that is missing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The file of an argument.
    #[error("{0}{1}")]
    File(&'static str, TlsError),
    /// Who listens must show one.
    #[error("--listen {}: needs a certificate: add --tls-cert FILE and --tls-key FILE", .0.as_param())]
    Missing(TransportType),
}

impl TlsArgs {
    /// What the secure ones of these transports need; none without any. `server`: who is called must prove to be that,
    /// else that he has the address. `listens`: others connect, and must be shown a certificate.
    pub(crate) fn context(
        &self,
        kinds: impl IntoIterator<Item = TransportType>,
        server: Option<String>,
        listens: bool,
    ) -> Result<Option<TlsContext>, CertificateError> {
        let Some(secure) = kinds.into_iter().find(|kind| kind.is_secure()) else { return Ok(None) };
        let identity = self.tls_cert.clone().zip(self.tls_key.clone());
        if listens && identity.is_none() {
            return Err(CertificateError::Missing(secure));
        }
        let identity =
            identity.map(|(certificate, private_key)| TlsIdentity { certificate, private_key, domains: Vec::new() });
        let options = TlsOptions {
            identities: identity.into_iter().collect(),
            trust: match &self.tls_trust[..] {
                [] => TlsTrust::System,
                paths => TlsTrust::Paths(paths.to_vec()),
            },
            server_name: server,
            ..TlsOptions::default()
        };
        TlsContext::new(&options).map(Some).map_err(|error| CertificateError::File(argument(error.setting), error))
    }
}

/// Where a setting comes from.
fn argument(setting: TlsSetting) -> &'static str {
    match setting {
        TlsSetting::Certificate(_) => "--tls-cert: ",
        TlsSetting::PrivateKey(_) => "--tls-key: ",
        TlsSetting::Trust(_) => "--tls-trust: ",
        TlsSetting::ClientAuth | TlsSetting::General => "TLS: ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TransportType::{Tcp, Tls, Udp};

    #[test]
    fn only_secure_transports_need_certificates() {
        let none = TlsArgs::default();
        assert!(none.context([Udp, Tcp], None, true).is_ok_and(|context| context.is_none()));
        let missing = none.context([Udp, Tls], None, true).expect_err("it has none").to_string();
        assert!(missing.contains("tls") && missing.contains("--tls-cert"), "{missing}");
        let nowhere = TlsArgs { tls_trust: vec!["/nowhere/ca.pem".into()], ..TlsArgs::default() };
        let said = nowhere.context([Tls], None, false).expect_err("it is not there").to_string();
        assert!(said.starts_with("--tls-trust: ") && said.contains("/nowhere/ca.pem"), "{said}");
    }
}
