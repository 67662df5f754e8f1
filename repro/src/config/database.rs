//! `[database]`: a PostgreSQL database with records that several proxies share.

use super::secret::{Password, hidden, one_of};
use super::{ConfigError, FileName};
use serde::{Deserialize, Deserializer};
use sqlx_postgres::PgConnectOptions;
use std::str::FromStr;

/// A PostgreSQL database with records that several proxies share.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Where it is, and as whom one gets in: `postgres://repro@db.example.com/repro?sslmode=verify-full`. It has no
    /// password.
    pub url: DatabaseUrl,
    /// A file whose first line is the password.
    pub password_file: Option<FileName>,
    /// The password itself, before that of the file.
    pub password: Option<Password>,
}

/// The URL of a database, without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl(Box<str>);

/// A text is no URL of a database. It is not shown: it may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabaseUrl {
    /// It is another text.
    #[error("expected the URL of a PostgreSQL database, as postgres://repro@db.example.com/repro?sslmode=verify-full")]
    Form,
    /// Who may read the configuration need not know it.
    #[error("expected no password in it: set database.password_file, or REPRO_DATABASE__PASSWORD")]
    Password,
}

impl DatabaseUrl {
    /// The same as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = BadDatabaseUrl;
    fn from_str(text: &str) -> Result<Self, BadDatabaseUrl> {
        let Some(("postgres" | "postgresql", rest)) = text.split_once("://") else { return Err(BadDatabaseUrl::Form) };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = place.split('/').next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        if user.contains(':') || query.split('&').any(|pair| pair.starts_with("password=")) {
            return Err(BadDatabaseUrl::Password);
        }
        PgConnectOptions::from_str(text).map_err(|_| BadDatabaseUrl::Form)?;
        Ok(DatabaseUrl(text.into()))
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        hidden(from, "expected a text in quotes", DatabaseUrl::from_str)
    }
}

impl Database {
    /// The password, if there is one.
    ///
    /// # Errors
    /// When its file cannot be read, or has none.
    pub fn password(&self) -> Result<Option<Password>, ConfigError> {
        one_of(self.password.as_ref(), self.password_file.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(&format!("[database]\n{text}"), "my.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_has_no_password() {
        for url in ["postgres://repro@db/repro?sslmode=disable", "postgresql:///repro?host=/run/postgresql"] {
            assert_eq!(parse(&format!("url = \"{url}\"")).unwrap().database.unwrap().url.as_str(), url);
        }
        for (url, expected) in [
            ("\"postgres://repro:s3cret@db/repro\"", "expected no password in it"),
            ("\"postgres://repro@db/repro?sslmode=disable&password=s3cret\"", "expected no password in it"),
            ("\"postgres://repro@db:s3cret/repro\"", "expected the URL of a PostgreSQL database"),
            ("\"mysql://s3cret\"", "expected the URL of a PostgreSQL database"),
            ("\"postgres://db/repro?sslmode=s3cret\"", "expected the URL of a PostgreSQL database"),
            ("8383838383", "expected a text in quotes"),
        ] {
            let error = parse(&format!("url = {url}")).unwrap_err();
            assert!(error.starts_with("my.toml:2: database.url: ") && error.contains(expected), "{error}");
            assert!(!error.contains("s3cret") && !error.contains("8383"), "{error}");
        }
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let path = std::env::temp_dir().join(format!("repro-database-{}", std::process::id()));
        let named = format!("url = \"postgres:///x\"\npassword_file = \"{}\"", path.display());
        std::fs::write(&path, "s3cret  \nnote\n").unwrap();
        let read = || parse(&named).unwrap().database.unwrap().password();
        let password = read().unwrap().unwrap();
        assert_eq!((password.secret(), format!("{password:?}").as_str()), ("s3cret", "Password"));
        std::fs::write(&path, "\n").unwrap();
        let error = read().unwrap_err().to_string();
        assert!(error.starts_with("my.toml:3: database.password_file: ") && error.ends_with("the password"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(read().unwrap_err().to_string().contains("cannot be read"));
        let error = parse("url = \"postgres:///x\"\npassword = 83838383").unwrap_err();
        assert!(error.contains("database.password: expected a text in quotes") && !error.contains("8383"), "{error}");
        assert!(!format!("{:?}", parse("url = \"postgres:///x\"\npassword = \"s3cret\"").unwrap()).contains("s3cret"));
    }
}
