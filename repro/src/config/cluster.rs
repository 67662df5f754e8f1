//! `[cluster]`: several nodes with one location service, which they share by Redis.

use super::net::{BadText, bad, from_string};
use super::secret::{Password, first_line, hidden, one_of};
use super::{Config, ConfigError, FileName};
use crate::cluster::ClusterSecret;
use serde::{Deserialize, Deserializer};
use stack::uri::Uri;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Hexadecimal digits of the secret: 256 bits, which nobody guesses, whatever they see that was made with them.
const SECRET_DIGITS: usize = 64;

const SECRET: &str = "expected 64 hexadecimal digits, the same at each node: make them with `openssl rand -hex 32`";

/// Several nodes that share their bindings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The name that all keys in Redis begin with: nodes with the same one belong together.
    #[serde(default = "name")]
    pub name: Name,
    /// The name of this node, and of no other.
    pub node: Name,
    /// Where other nodes send what is for a device whose connection ends here. None: the first of `listen`, UDP before TCP.
    pub address: Option<NodeUri>,
    /// An address that moves between this machine and another one, as VRRP does: while this machine does not have it, this
    /// process stands by, in the place of the process there, which has the same `node`.
    pub virtual_address: Option<IpAddr>,
    /// The Redis server; or some of a Redis cluster, which name the others.
    pub redis: Vec<RedisUrl>,
    /// Whether that is a Redis cluster.
    #[serde(default)]
    pub redis_cluster: bool,
    /// The user that Redis knows this node as; none: its default one.
    pub username: Option<String>,
    /// A file whose first line is the password for Redis.
    pub password_file: Option<FileName>,
    /// The password itself, before that of the file.
    pub password: Option<Password>,
    /// A file of CA certificates for `rediss`. None: the system's store.
    pub ca: Option<FileName>,
    /// A file whose first line is the secret that all nodes share.
    pub secret_file: Option<FileName>,
    /// The secret itself, before that of the file.
    pub secret: Option<Secret>,
}

fn name() -> Name {
    Name("repro".to_owned())
}

/// A name that may be part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(pub String);

impl FromStr for Name {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        match (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            true => Ok(Name(text.to_owned())),
            false => Err(bad(text, "1 to 64 of A-Z a-z 0-9 - _ .")),
        }
    }
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NodeUri(pub String);

impl FromStr for NodeUri {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        match Uri::parse_request(text) {
            Ok(uri) if uri.sip().is_some_and(|sip| sip.user.is_none() && sip.headers.as_str().is_empty()) => {
                Ok(NodeUri(text.to_owned()))
            }
            _ => Err(bad(text, "a sip or sips URI without a user, as sip:10.0.0.1:5060 or sip:10.0.0.1;transport=tcp")),
        }
    }
}

/// Where a Redis server is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RedisUrl {
    /// Over TLS: `rediss`.
    pub secure: bool,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl FromStr for RedisUrl {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        const EXPECTED: &str = "redis://HOST:PORT, or rediss for TLS; the password is cluster.password_file's";
        // It may have a password in it.
        let wrong = || bad(text.rsplit('@').next().unwrap_or_default(), EXPECTED);
        let (scheme, place) = text.split_once("://").ok_or_else(wrong)?;
        let secure = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err(wrong()),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && !place.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (place, 6379),
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        if host.is_empty() || host.contains(['/', '@', '?', '[', ' ']) || bracketed.is_none() && host.contains(':') {
            return Err(wrong());
        }
        Ok(RedisUrl { secure, host: host.to_owned(), port })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "redis{}://{open}{}{close}:{}", if self.secure { "s" } else { "" }, self.host, self.port)
    }
}

from_string! { Name NodeUri RedisUrl }

/// The secret that nodes share. It is never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret(ClusterSecret);

impl Secret {
    fn new(text: &str) -> Result<Self, &'static str> {
        match text.len() == SECRET_DIGITS && text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            true => Ok(Secret(ClusterSecret::new(&text.to_ascii_lowercase()))),
            false => Err(SECRET),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        hidden(from, SECRET, Secret::new)
    }
}

impl Cluster {
    /// Whether nothing says what the secret is.
    pub(super) fn has_no_secret(&self) -> bool {
        self.secret.is_none() && self.secret_file.is_none()
    }

    /// Whether some servers are spoken to over TLS and others are not.
    pub(super) fn mixes_tls(&self) -> bool {
        self.redis.iter().any(|one| Some(one.secure) != self.redis.first().map(|first| first.secure))
    }

    /// The files that it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut FileName> {
        [&mut self.password_file, &mut self.ca, &mut self.secret_file].into_iter().flatten()
    }

    /// The password for Redis, if there is one.
    ///
    /// # Errors
    /// When its file cannot be read, or holds none.
    pub fn redis_password(&self) -> Result<Option<Password>, ConfigError> {
        one_of(self.password.as_ref(), self.password_file.as_ref())
    }

    /// The secret that all nodes share.
    ///
    /// # Errors
    /// When its file cannot be read, or holds none.
    pub fn shared_secret(&self) -> Result<ClusterSecret, ConfigError> {
        let secret = match (&self.secret, &self.secret_file) {
            (None, Some(file)) => Some(first_line(file, Secret::new)?),
            (secret, _) => secret.clone(),
        };
        secret
            .map(|Secret(secret)| secret)
            .ok_or_else(|| ConfigError::Token { place: "cluster.secret".into(), what: SECRET.into() })
    }
}

impl Config {
    /// The key of flow tokens for UDP, where nodes share their bindings.
    ///
    /// # Errors
    /// When the secret cannot be read.
    pub fn flow_key(&self) -> Result<Option<stack::flow_token::FlowKey>, ConfigError> {
        let Some(cluster) = &self.cluster else { return Ok(None) };
        let transports: Vec<String> = self.listen.iter().map(ToString::to_string).collect();
        let named = format!("{} in {}", transports.join(" "), self.placement.shards());
        Ok(Some(cluster.shared_secret()?.flow_key(&cluster.node.0, &named)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(&format!("[cluster]\n{text}"), "my.toml").map_err(|error| error.to_string())
    }

    const DIGITS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const LEAST: &str = concat!(
        "node = \"a\"\nredis = [\"redis://127.0.0.1\"]\n",
        "secret = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n"
    );

    #[test]
    fn what_a_node_needs() {
        let cluster = parse(LEAST).unwrap().cluster.unwrap();
        assert_eq!(
            (&*cluster.name.0, &*cluster.node.0, cluster.redis[0].to_string().as_str()),
            ("repro", "a", "redis://127.0.0.1:6379")
        );
        for (text, told) in [
            (&*format!("redis = [\"redis://x\"]\nsecret = \"{DIGITS}\""), "missing field `node`"),
            ("node = \"a\"\nredis = [\"redis://x\"]", "cluster.secret"),
            (&format!("node = \"a\"\nredis = []\nsecret = \"{DIGITS}\""), "cluster.redis: expected at least one"),
            ("node = \"a b\"\nredis = [\"redis://x\"]", "A-Z a-z"),
            (
                &format!("node = \"a\"\nredis = [\"redis://x\", \"rediss://y\"]\nsecret = \"{DIGITS}\""),
                "all redis or all rediss",
            ),
            (&format!("{LEAST}address = \"sip:a@b\""), "without a user"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told) && error.starts_with("my.toml"), "{error}");
        }
    }

    #[test]
    fn servers_are_named_without_passwords() {
        let read = |text: &str| text.parse::<RedisUrl>().map(|url| url.to_string()).map_err(|error| error.to_string());
        assert_eq!(read("rediss://redis.example.com:7000").unwrap(), "rediss://redis.example.com:7000");
        assert_eq!(read("redis://[::1]:1").unwrap(), "redis://[::1]:1");
        assert_eq!(read("redis://[::1]").unwrap(), "redis://[::1]:6379");
        for text in ["", "redis", "http://x", "redis://:1", "redis://u:s3cret@x:1", "redis://x:99999", "redis://x/2"] {
            let error = read(text).unwrap_err();
            assert!(error.contains("redis://HOST:PORT") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = parse(&format!("{LEAST}password = \"s3cret\"")).unwrap();
        let as_upper = parse(&LEAST.replace(DIGITS, &DIGITS.to_ascii_uppercase())).unwrap().cluster.unwrap();
        assert!(
            as_upper.shared_secret().unwrap() == config.cluster.as_ref().unwrap().shared_secret().unwrap(),
            "digits are digits"
        );
        assert!(!format!("{config:?}").contains("s3cret") && !format!("{config:?}").contains("0123456789"));
        assert_eq!(config.cluster.unwrap().redis_password().unwrap().unwrap().secret(), "s3cret");
        // A sentence of 64 characters is easier to guess than as many digits.
        let phrase = format!("secret = \"{}\"", "s3cret, s3cret. ".repeat(4));
        let wrong = ["secret = \"s3cret\"", "secret = 8383838383838", "password = 8383838383838", "password = \"\""];
        for text in wrong.into_iter().chain([&*phrase]) {
            let error = parse(&format!("node = \"a\"\nredis = [\"redis://x\"]\n{text}")).unwrap_err();
            assert!(!error.contains("s3cret") && !error.contains("8383") && error.contains("expected"), "{error}");
        }
    }
}
