//! Messages of the silo in the store: a row for each.

use super::{Store, StoreError};
use rusqlite::{CachedStatement, Connection};

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRow<'a> {
    /// Names it.
    pub id: u64,
    /// Whom it is for, an address-of-record.
    pub aor: &'a str,
    /// In whose share it counts.
    pub sender: &'a str,
    /// Unix seconds.
    pub expires: u64,
    /// The MESSAGE.
    pub text: &'a [u8],
}

/// The part of a [`super::Batch`] that is for messages.
pub(super) struct MessageBatch<'s> {
    put: CachedStatement<'s>,
    remove: CachedStatement<'s>,
}

impl<'s> MessageBatch<'s> {
    pub(super) fn new(connection: &'s Connection) -> rusqlite::Result<Self> {
        Ok(MessageBatch {
            put: connection.prepare_cached(
                "INSERT OR REPLACE INTO message (id, aor, sender, expires, text) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            remove: connection.prepare_cached("DELETE FROM message WHERE id = ?1")?,
        })
    }
}

impl super::Batch<'_> {
    /// Writes a message.
    ///
    /// # Errors
    /// What the database says.
    pub fn put_message(&mut self, row: MessageRow<'_>) -> rusqlite::Result<()> {
        let MessageRow { id, aor, sender, expires, text } = row;
        self.messages.put.execute((id as i64, aor, sender, expires as i64, text)).map(drop)
    }

    /// Removes one.
    ///
    /// # Errors
    /// What the database says.
    pub fn remove_message(&mut self, id: u64) -> rusqlite::Result<()> {
        self.messages.remove.execute([id as i64]).map(drop)
    }
}

impl Store {
    /// Gives each message that has not expired (`now` in Unix seconds), in the order of their numbers.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn messages(&self, now: u64, mut each: impl FnMut(MessageRow<'_>)) -> Result<(), StoreError> {
        let mut read = || {
            let sql = "SELECT id, aor, sender, expires, text FROM message WHERE expires > ?1 ORDER BY id";
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query([now as i64])?;
            while let Some(row) = rows.next()? {
                let (id, expires): (i64, i64) = (row.get(0)?, row.get(3)?);
                each(MessageRow {
                    id: id as u64,
                    aor: row.get_ref(1)?.as_str()?,
                    sender: row.get_ref(2)?.as_str()?,
                    expires: expires as u64,
                    text: row.get_ref(4)?.as_blob()?,
                });
            }
            Ok(())
        };
        read().map_err(self.failed("messages cannot be read"))
    }

    /// Drops messages that have expired (`now` in Unix seconds).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn drop_messages(&mut self, now: u64) -> Result<(), StoreError> {
        let drop_them = || {
            let any = "SELECT EXISTS (SELECT 1 FROM message WHERE expires <= ?1)";
            // Nothing is written when there is nothing to drop.
            if self.connection.prepare_cached(any)?.query_row([now as i64], |row| row.get::<_, bool>(0))? {
                self.connection.prepare_cached("DELETE FROM message WHERE expires <= ?1")?.execute([now as i64])?;
            }
            Ok(())
        };
        drop_them().map_err(self.failed("expired messages cannot be dropped"))
    }
}
