//! `[accounting]`: what became of calls and registrations, as lines of a file or entries of a stream of Redis.

use super::cluster::RedisUrl;
use super::secret::{Password, one_of};
use super::{ConfigError, FileName};
use serde::Deserialize;

/// The fewest octets of a file before the next one is begun: what is written at once fits into one.
pub(super) const SMALLEST: u64 = 128 * 1024;

/// What is written of calls and registrations, for billing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounting {
    /// The file; a relative path begins at the configuration's directory. What is not there is made.
    pub file: Option<FileName>,
    /// A stream of Redis, in the place of the file.
    pub redis: Option<Stream>,
    /// Whether sessions are written: calls that were answered, failed, were cancelled, ended.
    #[serde(default = "yes")]
    pub sessions: bool,
    /// Whether registrations are written: contacts that came, went, expired.
    #[serde(default = "yes")]
    pub registrations: bool,
    /// Whether a contact that is registered again is written too.
    #[serde(default)]
    pub refreshes: bool,
    /// The most octets of the file: with more the next one is begun. 0: any.
    #[serde(default = "max_octets")]
    pub max_octets: u64,
    /// Whether a new file is begun each day, by UTC.
    #[serde(default = "yes")]
    pub daily: bool,
    /// How many older files are kept. 0: no file is ever left behind, whoever rotates it does that.
    #[serde(default = "keep")]
    pub keep: u32,
}

/// A stream of Redis.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The server.
    pub url: RedisUrl,
    /// The key of the stream.
    #[serde(default = "stream")]
    pub stream: String,
    /// About how many entries are kept; the oldest go. 0: all.
    #[serde(default = "max_entries")]
    pub max_entries: u64,
    /// The user that Redis knows this proxy as; none: its default one.
    pub username: Option<String>,
    /// A file whose first line is the password.
    pub password_file: Option<FileName>,
    /// The password itself, before that of the file.
    pub password: Option<Password>,
    /// A file of CA certificates for `rediss`. None: the system's store.
    pub ca: Option<FileName>,
}

impl Stream {
    /// The password, if there is one.
    ///
    /// # Errors
    /// When its file cannot be read, or holds none.
    pub fn redis_password(&self) -> Result<Option<Password>, ConfigError> {
        one_of(self.password.as_ref(), self.password_file.as_ref())
    }
}

fn stream() -> String {
    "repro:accounting".to_owned()
}

fn max_entries() -> u64 {
    1_000_000
}

fn yes() -> bool {
    true
}

fn max_octets() -> u64 {
    100 << 20
}

fn keep() -> u32 {
    30
}

impl Accounting {
    /// Whether nothing says where to.
    pub(super) fn leads_nowhere(&self) -> bool {
        self.file.is_none() && self.redis.is_none()
    }

    /// Whether the stream has no name.
    pub(super) fn has_no_stream(&self) -> bool {
        self.redis.as_ref().is_some_and(|redis| redis.stream.is_empty())
    }

    /// The files that it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut FileName> {
        let of_redis = self.redis.iter_mut().flat_map(|redis| [&mut redis.password_file, &mut redis.ca]);
        std::iter::once(&mut self.file).chain(of_redis).flatten()
    }

    /// Whether a file is too small for what is written at once.
    pub(super) fn is_too_small(&self) -> bool {
        (1..SMALLEST).contains(&self.max_octets)
    }
}
