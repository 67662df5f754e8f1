//! What outlives the process: provisioned records and bindings, in an SQLite database beside the configuration, or the
//! records in a PostgreSQL database that several proxies share ([`postgres`]).
//!
//! A [`Store`] blocks: it belongs to a thread that may wait, or to the command line. Several processes may
//! have the same database open (write-ahead log): the command line changes records while a proxy runs, and the proxy
//! notices ([`Store::changed`]). Only one of them is a proxy ([`Store::claim`]): bindings are written from what that one
//! has in memory.
//!
//! Everything that a peer or an operator wrote is bound as a parameter, never put into SQL.

mod bindings;
mod change;
mod journal;
mod messages;
mod outbox;
pub mod postgres;
mod provisioning;
mod publisher;
mod schema;
mod service;
mod source;
#[cfg(test)]
pub(crate) mod tests;

pub use bindings::Batch;
pub use change::Change;
pub use journal::{Journal, MOST_UNSAVED, NotKept, NotOrdered, Outcome, Published, Saved, Waits};
pub(crate) use journal::{MOST_NOTES, Places};
pub use messages::MessageRow;
pub use service::{Running, Service};
pub use source::{RecordStore, Source};

use crate::provisioning::one_line;
use rusqlite::{Connection, ErrorCode};
use source::Wait;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long another process may hold the database before that is an error: longer than the import of 100,000 users takes.
const BUSY: Duration = Duration::from_secs(5);
/// Octets of a page: a binding that is refreshed costs a page of the write-ahead log, and most bindings have 300.
const PAGE: u32 = 1024;
/// KiB of pages that are kept in memory.
const CACHE: u32 = 8 * 1024;
/// Pages in the write-ahead log before they are moved into the database.
const CHECKPOINT: u32 = 8 * 1024;

/// The store cannot do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database says no.
    #[error("{file}: {what}: {source}{}", hint(source))]
    Database {
        /// The database.
        file: String,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: rusqlite::Error,
    },
    /// Made by a later version.
    #[error("{file}: schema version {found}, expected at most {known}: it was written by a later version of repro")]
    Version {
        /// The database.
        file: String,
        /// Its version.
        found: u32,
        /// The latest that is known here.
        known: u32,
    },
    /// Another proxy has it.
    #[error("{file}: another repro runs on it: expected a database of its own for each")]
    Claimed {
        /// The database.
        file: String,
    },
    /// Whether another proxy has it cannot be found out.
    #[error("{file}: cannot be locked: {source}")]
    Lock {
        /// The file beside the database.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The database of the records says no.
    #[error("{database}: {what}: {}{}", one_line(&source.to_string()), postgres::hint(source))]
    Postgres {
        /// Where it is.
        database: String,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: Box<sqlx_core::Error>,
    },
    /// The database of the records was away a moment ago.
    #[error("{database}: it is away; the next attempt is in {seconds} s")]
    Away {
        /// Where it is.
        database: String,
        /// When it is tried again, seconds.
        seconds: u64,
    },
    /// Where the database of the records was is another one.
    #[error(
        "{database}: this is another database than before, with {records} records: restore the one from before, or import \
         the records and have them taken with `repro ctl reload` or SIGHUP"
    )]
    Replaced {
        /// Where it is.
        database: String,
        /// How many records it has.
        records: usize,
    },
    /// The configuration names what cannot be read.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The system has nothing to wait with.
    #[error("cannot wait for the network: {0}")]
    Wait(std::io::Error),
    /// Others change records all the time.
    #[error("{store}: others keep changing what is provisioned: try again")]
    Contended {
        /// The database.
        store: String,
    },
    /// A record in it cannot be used.
    #[error(transparent)]
    Record(#[from] crate::provisioning::ProvisioningError),
}

impl StoreError {
    /// Whether it may be otherwise in a moment, with nobody changing what is provisioned.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Database { .. } | Self::Postgres { .. } | Self::Away { .. } | Self::Config(_))
    }
}

fn hint(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            ": move the file away and repro makes another, or restore a copy"
        }
        Some(ErrorCode::CannotOpen) => ": expected a directory that this user may write to",
        Some(ErrorCode::ReadOnly) => ": expected a file and a directory that this user may write to",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ": another process holds it",
        Some(ErrorCode::DiskFull) => ": make room",
        _ => "",
    }
}

/// An open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// What [`Store::changed`] saw last.
    seen: (i64, i64),
    /// The write-ahead log, once it was brought to the disk.
    wal: Option<File>,
    /// Something was written since.
    unsynced: bool,
    /// A locked file while this is the store of a running proxy; the system frees it when the process ends.
    claim: Option<File>,
}

impl Store {
    /// Opens a database, makes what is not there, and brings an older one up to date. `full`: a commit waits for the disk.
    ///
    /// # Errors
    /// When the file is no database, may not be written, or is of a later version.
    pub fn open(path: &Path, full: bool) -> Result<Self, StoreError> {
        let file = path.display().to_string();
        let failed = |what| {
            let file = file.clone();
            move |source| StoreError::Database { file, what, source }
        };
        // It holds what serves as passwords do. Whether it could be made SQLite says better.
        drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
        let connection = Connection::open(path).map_err(failed("cannot be opened"))?;
        let synchronous = if full { "FULL" } else { "NORMAL" };
        connection.busy_timeout(BUSY).map_err(failed("cannot be opened"))?;
        // The size of a page counts for a new file only.
        connection
            .execute_batch(&format!(
                "PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
                 PRAGMA cache_size = -{CACHE}; PRAGMA wal_autocheckpoint = {CHECKPOINT};
                 PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 67108864;"
            ))
            .map_err(failed("cannot be used"))?;
        let path = path.to_owned();
        let mut store = Store { connection, path, seen: (-1, -1), wal: None, unsynced: false, claim: None };
        store.migrate()?;
        Ok(store)
    }

    /// Makes it the store of a running proxy, as long as it is open: no other has it then. Who only changes records claims
    /// nothing. What is locked is a file of its own beside the database, since SQLite has locks on that.
    ///
    /// # Errors
    /// When another proxy has it, or the file cannot be locked.
    pub fn claim(&mut self) -> Result<(), StoreError> {
        // By whichever link it was named.
        let mut name = self.path.canonicalize().unwrap_or_else(|_| self.path.clone()).into_os_string();
        name.push(".lock");
        let path = PathBuf::from(name);
        let lock = |source| StoreError::Lock { file: path.display().to_string(), source };
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(lock)?;
        match file.try_lock() {
            Ok(()) => self.claim = Some(file),
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Claimed { file: self.path.display().to_string() });
            }
            Err(TryLockError::Error(source)) => return Err(lock(source)),
        }
        Ok(())
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error of this database.
    fn failed(&self, what: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError + use<> {
        let file = self.path.display().to_string();
        move |source| StoreError::Database { file, what, source }
    }
}
