//! `[admin]`: the HTTP server for whoever operates the proxy.

use super::secret::{first_line, hidden};
use super::{Config, ConfigError, FileName};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::net::SocketAddr;

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
        let Some(admin) = &self.admin else { return Ok(None) };
        let (Some(file), None) = (&admin.token_file, &admin.token) else { return Ok(admin.token.clone()) };
        first_line(file, AdminToken::new).map(Some)
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
