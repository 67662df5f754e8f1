//! `[tls]`: certificates and keys, and whom to trust.

use super::{Config, ConfigError, Domain, Listen};
use serde::{Deserialize, Deserializer};
use stack::transport::tls::{ClientAuth, TlsContext, TlsIdentity, TlsOptions, TlsSetting, TlsTrust};
use std::path::{Path, PathBuf};

/// TLS. What the fields do is said in [`TlsOptions`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificates; the first is for whoever asks for no domain, or one that is not here.
    pub identities: Vec<Identity>,
    /// Files of CA certificates, or directories of them. None: the system's store.
    pub trust: Vec<FileName>,
    /// Whether clients must show a certificate: `off`, `optional`, `required`.
    #[serde(deserialize_with = "client_auth")]
    pub client_auth: ClientAuth,
    /// Whether a common name is an identity where a certificate has no subjectAltName.
    pub accept_common_name: bool,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// PEM file with the certificate, and behind it those that lead to a CA.
    pub certificate: FileName,
    /// PEM file with the private key.
    pub private_key: FileName,
    /// The domains that it is for. None: those that it names.
    #[serde(default)]
    pub domains: Vec<Domain>,
}

/// A file in the configuration, and where it is named there. A relative path begins at the configuration's directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "toml::Spanned<PathBuf>")]
pub struct FileName {
    /// The file.
    pub path: PathBuf,
    at: usize,
    /// File, line and key.
    place: String,
}

impl From<toml::Spanned<PathBuf>> for FileName {
    fn from(named: toml::Spanned<PathBuf>) -> Self {
        FileName { at: named.span().start, path: named.into_inner(), place: String::new() }
    }
}

impl FileName {
    /// Finds it from the configuration that was read from `file`; `place` says where an offset in that is.
    pub(super) fn find(&mut self, file: &Path, place: impl Fn(usize) -> String) {
        self.place = place(self.at);
        if let Some(directory) = file.parent() {
            self.path = directory.join(&self.path);
        }
    }

    /// File, line and key.
    pub fn place(&self) -> &str {
        &self.place
    }
}

impl Tls {
    /// Finds the files of a configuration that was read from `file`; `place` says where an offset in it is.
    pub(super) fn place(&mut self, file: &Path, place: impl Fn(usize) -> String) {
        let identities = self.identities.iter_mut();
        let of_identities = identities.flat_map(|identity| [&mut identity.certificate, &mut identity.private_key]);
        of_identities.chain(&mut self.trust).for_each(|name| name.find(file, &place));
    }

    /// The same for the stack.
    pub fn options(&self) -> TlsOptions {
        let identity = |identity: &Identity| TlsIdentity {
            certificate: identity.certificate.path.clone(),
            private_key: identity.private_key.path.clone(),
            domains: identity.domains.iter().map(|domain| domain.0.to_string()).collect(),
        };
        let trust = match self.trust.as_slice() {
            [] => TlsTrust::System,
            some => TlsTrust::Paths(some.iter().map(|name| name.path.clone()).collect()),
        };
        TlsOptions {
            identities: self.identities.iter().map(identity).collect(),
            trust,
            client_auth: self.client_auth,
            accept_common_name: self.accept_common_name,
            server_name: None,
        }
    }

    /// Where the configuration has a setting.
    fn place_of(&self, setting: TlsSetting) -> String {
        let name = match setting {
            TlsSetting::Certificate(at) => self.identities.get(at).map(|identity| &identity.certificate),
            TlsSetting::PrivateKey(at) => self.identities.get(at).map(|identity| &identity.private_key),
            TlsSetting::Trust(at) => self.trust.get(at),
            TlsSetting::ClientAuth | TlsSetting::General => None,
        };
        name.map_or_else(|| format!("tls.{setting}"), |name| name.place.clone())
    }
}

impl Config {
    /// Reads the certificates and keys; `None` without any.
    ///
    /// # Errors
    /// When one cannot be used, or a secure transport has none.
    pub fn tls(&self) -> Result<Option<TlsContext>, ConfigError> {
        if let Some(listen) = self.first_without_certificate() {
            return Err(ConfigError::NoCertificate(listen));
        }
        if self.tls.identities.is_empty() {
            return Ok(None);
        }
        let context = TlsContext::new(&self.tls.options());
        context.map(Some).map_err(|source| ConfigError::Tls { place: self.tls.place_of(source.setting), source })
    }

    /// The first secure transport, when no certificate is configured.
    pub(super) fn first_without_certificate(&self) -> Option<Listen> {
        let missing = self.tls.identities.is_empty();
        self.listen.iter().find(|listen| missing && listen.kind.is_secure()).copied()
    }
}

fn client_auth<'de, D: Deserializer<'de>>(from: D) -> Result<ClientAuth, D::Error> {
    match String::deserialize(from)?.as_str() {
        "off" => Ok(ClientAuth::Off),
        "optional" => Ok(ClientAuth::Optional),
        "required" => Ok(ClientAuth::Required),
        other => {
            Err(serde::de::Error::custom(format_args!("{other:?}: expected \"off\", \"optional\" or \"required\"")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_told_with_its_line() {
        let text = "[tls]\ntrust = [\"/nowhere/ca.pem\"]\n\n[[tls.identities]]\n# ours\ncertificate = \"a.pem\"\n\
                    private_key = \"/nowhere/a.key\"\n";
        let error = Config::parse(text, "/nowhere/my.toml").unwrap().tls().unwrap_err().to_string();
        let expected = "/nowhere/my.toml:6: tls.identities.certificate: /nowhere/a.pem cannot be read: ";
        assert!(error.starts_with(expected), "{error}");
        let config = Config::parse(text, "my.toml").unwrap();
        assert_eq!(config.tls.place_of(TlsSetting::PrivateKey(0)), "my.toml:7: tls.identities.private_key");
        assert_eq!(config.tls.place_of(TlsSetting::Trust(0)), "my.toml:2: tls.trust");
        assert_eq!(config.tls.place_of(TlsSetting::ClientAuth), "tls.client_auth");
    }

    #[test]
    fn a_secure_transport_needs_a_certificate() {
        let listens = |text: &str| Config { listen: vec![text.parse().unwrap()], ..Config::default() };
        for secure in ["tls:127.0.0.1:0", "wss:127.0.0.1:0"] {
            let error = listens(secure).tls().unwrap_err().to_string();
            assert!(error.starts_with(&format!("--listen {secure}: ")) && error.contains("private_key"), "{error}");
        }
        assert!(listens("ws:127.0.0.1:0").tls().unwrap().is_none());
    }
}
