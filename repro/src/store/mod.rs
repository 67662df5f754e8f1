//! What outlives the process: provisioned records and bindings, in an SQLite database beside the configuration.
//!
//! A [`Store`] blocks: it belongs to a thread that may wait, or to the command line. Several processes may
//! have the same database open (write-ahead log): the command line changes records while a proxy runs, and the proxy
//! notices ([`Store::changed`]).
//!
//! Everything that a peer or an operator wrote is bound as a parameter, never put into SQL.

mod bindings;
mod journal;
mod provisioning;
mod schema;
mod service;
#[cfg(test)]
pub(crate) mod tests;

pub use bindings::Batch;
pub use journal::{Journal, MOST_UNSAVED, NotKept, Saved};
pub use provisioning::Change;
pub use service::{Running, Service};

use rusqlite::{Connection, ErrorCode};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long another process may hold the database before that is an error: longer than the import of 100,000 users takes.
const BUSY: Duration = Duration::from_secs(5);
/// Octets of a page: a binding that is refreshed costs a page of the write-ahead log, and most bindings have 300.
const PAGE: u32 = 1024;
/// KiB of pages that are kept in memory.
const CACHE: u32 = 16 * 1024;
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
    /// A record in it cannot be used.
    #[error(transparent)]
    Record(#[from] crate::provisioning::ProvisioningError),
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
        let mut store = Store { connection, path: path.to_owned(), seen: (-1, -1), wal: None, unsynced: false };
        store.migrate()?;
        Ok(store)
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
