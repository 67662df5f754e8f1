//! `[admin]`: the HTTP server for whoever operates the proxy.

use super::file::text_of;
use super::net::socket_address;
use super::secret::{first_line, hidden};
use super::source::Source;
use super::{Config, ConfigError, FileName};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

/// The fewest characters of a token: nobody guesses as many.
const SHORTEST_TOKEN: usize = 16;

const TOKEN: &str =
    "expected 16 characters or more, of A-Z a-z 0-9 - . _ ~ + / =, as `openssl rand -hex 32` makes them";

pub(super) const NO_TOKEN: &str = "others than this machine reach it: set admin.token_file, or REPRO_ADMIN__TOKEN, or \
                                   listen on 127.0.0.1";

/// The HTTP server for whoever operates the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where it listens, as `127.0.0.1:8080`. Beyond the loopback it needs a token.
    #[serde(deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// A file whose first line is the token that clients have to show.
    pub token_file: Option<FileName>,
    /// The token itself, before that of the file.
    pub token: Option<AdminToken>,
}

/// What clients of the HTTP server have to show (RFC 6750). It is never shown itself.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(Box<str>);

/// A text is no token. It is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{TOKEN}")]
pub struct BadToken;

impl AdminToken {
    /// Takes a text for a token.
    ///
    /// # Errors
    /// When it is too short, or has characters that a header cannot carry.
    pub fn new(text: &str) -> Result<Self, BadToken> {
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet);
        if text.len() >= SHORTEST_TOKEN && text.bytes().all(fits) { Ok(AdminToken(text.into())) } else { Err(BadToken) }
    }

    /// The token.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken")
    }
}

impl<'de> Deserialize<'de> for AdminToken {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        hidden(from, TOKEN, AdminToken::new)
    }
}

impl Admin {
    /// Whether others than this machine reach it, and nothing says who they have to be.
    pub(super) fn is_unguarded(&self) -> bool {
        !self.listen.ip().is_loopback() && self.token.is_none() && self.token_file.is_none()
    }
}

impl Config {
    /// What clients of the HTTP server have to show; nothing without a token, or without the server.
    ///
    /// # Errors
    /// When its file cannot be read, or holds none.
    pub fn admin_token(&self) -> Result<Option<AdminToken>, ConfigError> {
        self.admin.as_ref().map_or(Ok(None), |admin| one_of(admin.token.as_ref(), admin.token_file.as_ref()))
    }
}

/// What a client of the HTTP server has to know: where it is, and what to show.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AdminAddress {
    /// Where it listens, if that is configured.
    pub listen: Option<SocketAddr>,
    /// What it has to be shown.
    pub token: Option<AdminToken>,
}

/// `[admin]` as a client reads it: without `listen` it may be told where the server is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ForClients {
    #[serde(deserialize_with = "some_socket_address")]
    listen: Option<SocketAddr>,
    token_file: Option<FileName>,
    token: Option<AdminToken>,
}

fn some_socket_address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    socket_address(from).map(Some)
}

impl AdminAddress {
    /// Reads `[admin]` of a file, if there is one, and the variables above it, as [`Config::read`] does. The rest of the
    /// configuration may be wrong: the proxy that runs has read it when it was another.
    ///
    /// # Errors
    /// When the file cannot be read or is no TOML, or `[admin]` or the file with the token is not what it has to be.
    pub fn read(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let (text, file) = text_of(path)?;
        let source = Source::new(&text, &file, environment);
        let ForClients { listen, mut token_file, token } = source.read_table("admin")?;
        token_file.iter_mut().for_each(|token| token.find(Path::new(&file), |at| source.place(at)));
        Ok(AdminAddress { listen, token: one_of(token.as_ref(), token_file.as_ref())? })
    }
}

/// The token that is configured, before that of a file.
fn one_of(token: Option<&AdminToken>, file: Option<&FileName>) -> Result<Option<AdminToken>, ConfigError> {
    match (token, file) {
        (None, Some(file)) => first_line(file, AdminToken::new).map(Some),
        (token, _) => Ok(token.cloned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(&format!("[admin]\n{text}"), "my.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn beyond_the_loopback_there_is_a_token() {
        for open in ["127.0.0.1:8080", "[::1]:0"] {
            let config = parse(&format!("listen = \"{open}\"")).unwrap();
            assert_eq!(config.admin_token().unwrap(), None);
        }
        let error = parse("listen = \"localhost\"").unwrap_err();
        assert!(
            error.starts_with("my.toml:2: admin.listen: \"localhost\": expected an address with a port"),
            "{error}"
        );
        let error = parse("listen = \"0.0.0.0:8080\"").unwrap_err();
        assert!(error.starts_with("my.toml:2: admin.listen: others than this machine"), "{error}");
        let config = parse("listen = \"0.0.0.0:8080\"\ntoken = \"0123456789abcdef\"").unwrap();
        assert_eq!(config.admin_token().unwrap().unwrap().secret(), "0123456789abcdef");
        assert!(!format!("{config:?}").contains("0123456789"), "{config:?}");
    }

    #[test]
    fn a_wrong_token_is_not_shown() {
        for secret in ["\"short-s3cret\"", "\"a s3cret with spaces in it\"", "83838383838383838", "8.25e17", "true"] {
            let error = parse(&format!("listen = \"127.0.0.1:1\"\ntoken = {secret}")).unwrap_err();
            assert!(error.contains("admin.token: expected 16 characters") && !error.contains("s3cret"), "{error}");
            assert!(!error.contains("8383") && !error.contains("8.25") && !error.contains("true"), "{error}");
        }
    }

    #[test]
    fn a_token_stands_in_a_file() {
        let path = std::env::temp_dir().join(format!("repro-token-{}", std::process::id()));
        let line = format!("listen = \"0.0.0.0:1\"\ntoken_file = \"{}\"", path.display());
        std::fs::write(&path, "fedcba9876543210\nnote\n").unwrap();
        assert_eq!(parse(&line).unwrap().admin_token().unwrap().unwrap().secret(), "fedcba9876543210");
        std::fs::write(&path, "s3cret\n").unwrap();
        let error = parse(&line).unwrap().admin_token().unwrap_err().to_string();
        assert!(
            error.starts_with("my.toml:3: admin.token_file: ") && error.contains("first line: expected 16"),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = parse(&line).unwrap().admin_token().unwrap_err().to_string();
        assert!(error.contains("cannot be read: "), "{error}");
    }
}
