//! Bindings in the store: a row for each address-of-record that has some.

use super::messages::MessageBatch;
use super::{Store, StoreError};
use rusqlite::{CachedStatement, Transaction, TransactionBehavior};
use std::fs::File;
use std::path::PathBuf;

/// Rows that [`Store::drop_expired`] looks at.
const SLICE: i64 = 2_000;

/// Changes of bindings and messages that are written together or not at all.
pub struct Batch<'s> {
    put: CachedStatement<'s>,
    remove: CachedStatement<'s>,
    pub(super) messages: MessageBatch<'s>,
}

impl Batch<'_> {
    /// Writes what an address-of-record has; `provisioned`: it is a provisioned user's.
    ///
    /// # Errors
    /// What the database says.
    pub fn put(&mut self, id: i64, aor: &str, expires: u64, contacts: &str, provisioned: bool) -> rusqlite::Result<()> {
        self.put.execute((id, aor, expires as i64, contacts, provisioned)).map(drop)
    }

    /// Removes the row of one that has nothing.
    ///
    /// # Errors
    /// What the database says.
    pub fn remove(&mut self, id: i64) -> rusqlite::Result<()> {
        self.remove.execute([id]).map(drop)
    }
}

impl Store {
    /// Changes bindings and messages: when it returns, a process that dies has lost nothing of it.
    ///
    /// # Errors
    /// When it cannot be written; then nothing is.
    pub fn save(&mut self, write: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        let save = || {
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let put = self.connection.prepare_cached(
                "INSERT INTO binding (id, aor, expires, contacts, provisioned) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET aor = excluded.aor, expires = excluded.expires,
                 contacts = excluded.contacts, provisioned = excluded.provisioned",
            )?;
            let remove = self.connection.prepare_cached("DELETE FROM binding WHERE id = ?1")?;
            let messages = MessageBatch::new(&self.connection)?;
            let mut batch = Batch { put, remove, messages };
            write(&mut batch)?;
            drop(batch);
            transaction.commit()
        };
        save().map_err(self.failed("bindings and messages cannot be written"))?;
        self.unsynced = true;
        Ok(())
    }

    /// Gives each row: number, address-of-record, contacts, and whether it was a provisioned user's when it was written.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bindings(&self, mut each: impl FnMut(i64, &str, &str, bool)) -> Result<(), StoreError> {
        let mut read = || {
            let mut statement =
                self.connection.prepare("SELECT id, aor, contacts, provisioned FROM binding ORDER BY id")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                each(row.get(0)?, row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?, row.get(3)?);
            }
            Ok(())
        };
        read().map_err(self.failed("bindings cannot be read"))
    }

    /// Drops what has expired (`now` in Unix seconds) of the next rows after `from`, and tells what was dropped. Gives the
    /// row to go on from.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn drop_expired(&mut self, from: i64, now: u64, mut dropped: impl FnMut(i64, &str)) -> Result<i64, StoreError> {
        let mut drop_them = || {
            let (last, earliest): (Option<i64>, Option<i64>) = self
                .connection
                .prepare_cached(
                    "SELECT max(id), min(expires) FROM
                     (SELECT id, expires FROM binding WHERE id > ?1 ORDER BY id LIMIT ?2)",
                )?
                .query_row([from, SLICE], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let last = last.unwrap_or(0);
            if earliest.is_none_or(|earliest| earliest > now as i64) {
                return Ok(last);
            }
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let mut statement = self
                .connection
                .prepare_cached("DELETE FROM binding WHERE id > ?1 AND id <= ?2 AND expires <= ?3 RETURNING id, aor")?;
            let mut rows = statement.query((from, last, now as i64))?;
            while let Some(row) = rows.next()? {
                dropped(row.get(0)?, row.get_ref(1)?.as_str()?);
            }
            drop(rows);
            drop(statement);
            transaction.commit().map(|()| last)
        };
        drop_them().map_err(self.failed("expired bindings cannot be dropped"))
    }

    /// Brings what was written to the disk itself, so that a power failure does not lose it either.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&mut self) -> std::io::Result<()> {
        if !self.unsynced {
            return Ok(());
        }
        // SQLite writes to this file as long as the database is open; it has no locks on it that closing could lose.
        if self.wal.is_none() {
            let mut name = self.path.clone().into_os_string();
            name.push("-wal");
            self.wal = Some(File::open(PathBuf::from(name))?);
        }
        self.wal.as_ref().map_or(Ok(()), File::sync_data)?;
        self.unsynced = false;
        Ok(())
    }
}
