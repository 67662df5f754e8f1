//! Records in a PostgreSQL database, which several proxies share.
//!
//! [`Database`] is for who asks or changes something and has done: the command line, and a request of the API. [`Watch`] is
//! the running proxy's: it stays connected, hears of changes, and comes back by itself.
//!
//! Everything that an operator wrote is bound as a parameter, never put into SQL.

mod database;
mod schema;
mod watch;

pub use database::Database;
pub use watch::Watch;

use super::StoreError;
use super::change::read;
use crate::config::{self, Config, ConfigError};
use crate::provisioning::{ProvisioningError, Records};
use futures_util::TryStreamExt as _;
use sqlx_core::Error;
use sqlx_core::connection::ConnectOptions as _;
use sqlx_core::executor::Executor;
use sqlx_core::query::query;
use sqlx_core::row::Row as _;
use sqlx_postgres::{PgConnectOptions, Postgres};
use std::fmt;
use std::future::Future;
use std::io;
use std::str::FromStr as _;
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// How long the database may take to say something of its state.
const ASK: Duration = Duration::from_secs(3);
/// How long it may take to give or to write all records.
const WORK: Duration = Duration::from_secs(60);

/// Which database it is, and how one gets in.
#[derive(Clone)]
pub struct Address {
    options: PgConnectOptions,
    /// With the password, or the file that it stands in.
    settings: config::Database,
}

impl Address {
    /// Where the configuration says; nothing if it names no database.
    ///
    /// # Errors
    /// When the file with the password cannot be read.
    pub fn of(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(database) = &config.database else { return Ok(None) };
        let options = PgConnectOptions::from_str(database.url.as_str()).unwrap_or_default();
        let options = options.application_name("repro").disable_statement_logging();
        let address = Address { options, settings: database.clone() };
        address.options()?;
        Ok(Some(address))
    }

    /// The password is read each time: it may have become another one.
    fn options(&self) -> Result<PgConnectOptions, ConfigError> {
        let options = self.options.clone();
        Ok(match self.settings.password()? {
            Some(password) => options.password(password.secret()),
            None => options,
        })
    }

    /// An error of this database.
    fn failed(&self, what: &'static str) -> impl FnOnce(Error) -> StoreError + use<> {
        let database = self.to_string();
        move |source| StoreError::Postgres { database, what, source: Box::new(source) }
    }
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (options, user) = (&self.options, self.options.get_username());
        let name = options.get_database().unwrap_or(user);
        match options.get_socket() {
            Some(socket) => write!(f, "postgres:{}/{name}", socket.display()),
            None => write!(f, "postgres://{}:{}/{name}", options.get_host(), options.get_port()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// What to do about an error.
pub(super) fn hint(error: &Error) -> &'static str {
    let code = error.as_database_error().and_then(|error| error.code());
    match (error, code.as_deref()) {
        (_, Some("42P01")) => {
            ": it has no tables of repro: the start of a proxy makes them, and so does `repro import`"
        }
        (_, Some("28P01" | "28000")) => {
            ": see user in database.url, and database.password_file or REPRO_DATABASE__PASSWORD"
        }
        (_, Some("3D000")) => ": make it with createdb",
        (_, Some("42501")) => ": let this user have the tables provisioning and generation, or make tables",
        (_, Some("25006")) => ": expected the primary server, not a standby",
        (_, Some("53300")) => ": let it have more connections",
        (Error::Io(_), _) => ": see that it runs, and database.url",
        (Error::Tls(_), _) => ": see sslmode and sslrootcert in database.url",
        _ => "",
    }
}

/// Waits, but not for ever.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late =
        |_| Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs())));
    tokio::time::timeout(limit, work).await.map_err(late)?
}

/// Which state of which database something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    database: i64,
    generation: i64,
}

/// Which state the records are in now.
async fn mark<'c>(connection: impl Executor<'c, Database = Postgres>, sql: &'static str) -> Result<Mark, Error> {
    let row = query(sql).fetch_one(connection).await?;
    Ok(Mark { database: row.try_get(0)?, generation: row.try_get(1)? })
}

const MARK: &str = "SELECT database, value FROM generation";
/// With it who wants to change records waits for who does.
const LOCKED_MARK: &str = "SELECT database, value FROM generation FOR UPDATE";

/// All records and their state, in one statement, which sees one moment.
async fn all<'c>(
    connection: impl Executor<'c, Database = Postgres>,
    mut take: impl FnMut(&str, &str, &str) -> Result<(), ProvisioningError>,
) -> Result<Result<Mark, ProvisioningError>, Error> {
    let sql =
        "SELECT database, value, kind, key, body::text FROM generation LEFT JOIN provisioning ON true ORDER BY 3, 4";
    let mut rows = query(sql).fetch(connection);
    let mut mark = None;
    while let Some(row) = rows.try_next().await? {
        mark = Some(Mark { database: row.try_get(0)?, generation: row.try_get(1)? });
        if let Some(kind) = row.try_get::<Option<&str>, _>(2)?
            && let Err(error) = take(kind, row.try_get(3)?, row.try_get(4)?)
        {
            return Ok(Err(error));
        }
    }
    mark.map(Ok).ok_or(Error::RowNotFound)
}

/// All records as they are; with what is wrong with them, if something is, their state is known all the same.
async fn records<'c>(
    connection: impl Executor<'c, Database = Postgres>,
) -> Result<(Mark, Result<Records, ProvisioningError>), Error> {
    let (mut records, mut wrong) = (Records::default(), None);
    let mark = all(connection, |kind, key, body| {
        if wrong.is_none() {
            wrong = read(&mut records, kind, key, body).err();
        }
        Ok(())
    });
    let mark = mark.await?.map_err(|_| Error::RowNotFound)?;
    Ok((mark, wrong.map_or(Ok(records), Err)))
}
