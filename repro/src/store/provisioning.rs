//! Records in the store.

use super::change::{ATTEMPTS, Change, Overlay, read};
use super::{Store, StoreError};
use crate::provisioning::{ProvisioningError, Records, Row};
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior};

impl Store {
    /// All records.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that is no record of its kind.
    pub fn records(&self) -> Result<Records, StoreError> {
        let mut records = Records::default();
        self.each_record(|kind, key, body| read(&mut records, kind, key, body))?;
        Ok(records)
    }

    /// Records of a kind in the order of their keys: at most `most` of those behind `after` that have `search` in their
    /// keys, each as key and body; and how many there are of the kind. Bodies are not searched: that would tell hashes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn page(
        &self,
        kind: &str,
        after: &str,
        search: &str,
        most: usize,
    ) -> Result<(Vec<(String, String)>, usize), StoreError> {
        let failed = || self.failed("records cannot be read");
        let sql = "SELECT key, body FROM provisioning WHERE kind = ?1 AND key > ?2
                   AND (?3 = '' OR instr(key, ?3) > 0) ORDER BY key LIMIT ?4";
        let mut statement = self.connection.prepare_cached(sql).map_err(failed())?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = statement.query_map((kind, after, search, most), |row| Ok((row.get(0)?, row.get(1)?)));
        let page = rows.and_then(Iterator::collect).map_err(failed())?;
        let count = "SELECT count(*) FROM provisioning WHERE kind = ?1";
        let total: i64 = self.connection.query_row(count, [kind], |row| row.get(0)).map_err(failed())?;
        Ok((page, usize::try_from(total).unwrap_or_default()))
    }

    /// The body of a record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn body(&self, kind: &str, key: &str) -> Result<Option<String>, StoreError> {
        let failed = || self.failed("records cannot be read");
        let sql = "SELECT body FROM provisioning WHERE kind = ?1 AND key = ?2";
        self.connection.query_row(sql, (kind, key), |row| row.get(0)).optional().map_err(failed())
    }

    fn each_record(
        &self,
        mut take: impl FnMut(&str, &str, &str) -> Result<(), ProvisioningError>,
    ) -> Result<(), StoreError> {
        let failed = || self.failed("records cannot be read");
        let sql = "SELECT kind, key, body FROM provisioning ORDER BY kind, key";
        let mut statement = self.connection.prepare_cached(sql).map_err(failed())?;
        let mut rows = statement.query([]).map_err(failed())?;
        while let Some(row) = rows.next().map_err(failed())? {
            let text = |column| row.get_ref(column).and_then(|value| Ok(value.as_str()?));
            let (kind, key, body) =
                (text(0).map_err(failed())?, text(1).map_err(failed())?, text(2).map_err(failed())?);
            take(kind, key, body)?;
        }
        Ok(())
    }

    /// Changes records: all of this, or nothing. `check` sees what all records would be then, and may refuse it; it is
    /// asked again when others change records meanwhile. The database is locked for the writing alone, since registrations
    /// wait for that lock, and looking at many records takes time. Gives how many rows are others than before.
    ///
    /// # Errors
    /// When it cannot be written, or `check` refuses it.
    pub fn change(
        &mut self,
        changes: &[Change<'_>],
        mut check: impl FnMut(Records) -> Result<(), ProvisioningError>,
    ) -> Result<usize, StoreError> {
        let overlay = Overlay::new(changes);
        for _ in 0..ATTEMPTS {
            let (generation, records) = self.records_with(&overlay)?;
            check(records)?;
            if let Some(changed) = self.write(generation, &overlay).map_err(self.failed("records cannot be written"))? {
                return Ok(changed);
            }
        }
        Err(StoreError::Contended { store: self.path.display().to_string() })
    }

    /// What all records would be, and what they are made of: in one transaction, which sees one moment.
    fn records_with(&self, overlay: &Overlay<'_>) -> Result<(i64, Records), StoreError> {
        let failed = || self.failed("records cannot be read");
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred);
        let transaction = transaction.map_err(failed())?;
        let generation = self.generation().map_err(failed())?;
        let mut records = Records::default();
        self.each_record(|kind, key, body| overlay.add(&mut records, kind, key, body))?;
        transaction.finish().map_err(failed())?;
        Ok((generation, overlay.finish(records)?))
    }

    /// Writes changes, unless the records are others than those that were looked at.
    fn write(&self, looked_at: i64, overlay: &Overlay<'_>) -> rusqlite::Result<Option<usize>> {
        // What is dropped before its commit is rolled back.
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        if self.generation()? != looked_at {
            return Ok(None);
        }
        let mut put = self.connection.prepare_cached(
            "INSERT INTO provisioning (kind, key, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body WHERE body <> excluded.body",
        )?;
        let mut remove = self.connection.prepare_cached("DELETE FROM provisioning WHERE kind = ?1 AND key = ?2")?;
        let mut changed = 0;
        for Row { kind, key, body } in overlay.puts() {
            changed += put.execute((kind, key, body))?;
        }
        for name in overlay.removals() {
            changed += remove.execute(name)?;
        }
        transaction.commit()?;
        Ok(Some(changed))
    }

    /// Counts changes of records.
    fn generation(&self) -> rusqlite::Result<i64> {
        self.connection.prepare_cached("SELECT value FROM generation")?.query_row([], |row| row.get(0))
    }

    /// Whether the records are others than at the last call: those of the first call are.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn changed(&mut self) -> Result<bool, StoreError> {
        let failed = || self.failed("cannot be read");
        let by_others: i64 =
            self.connection.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(failed())?;
        // Without another process nothing has changed, and this costs no look into the file.
        if by_others == self.seen.0 {
            return Ok(false);
        }
        let generation = self.generation().map_err(failed())?;
        let changed = generation != self.seen.1;
        self.seen = (by_others, generation);
        Ok(changed)
    }

    /// All records, which [`Store::changed`] takes for known then, unless they cannot be read.
    ///
    /// # Errors
    /// As of [`Store::records`].
    pub fn news(&mut self) -> Result<Records, StoreError> {
        let records = self.changed().and_then(|_| self.records());
        if let Err(StoreError::Database { .. }) = records {
            self.seen = (-1, -1);
        }
        records
    }
}
