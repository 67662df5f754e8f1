//! The tables, and how a database of an older version becomes one of this.

use super::{Store, StoreError};
use crate::provisioning::Records;
use rusqlite::{Connection, OptionalExtension};

/// What each version adds to the one before it; `user_version` counts them.
const MIGRATIONS: &[&str] = &[
    "
    -- Records of all kinds; the views named after the kinds show their fields.
    CREATE TABLE provisioning (
        kind TEXT NOT NULL,
        key  TEXT NOT NULL,
        body TEXT NOT NULL CHECK (json_valid(body)),
        PRIMARY KEY (kind, key)
    ) STRICT;
    -- Counts changes of records, for whoever waits for one.
    CREATE TABLE generation (value INTEGER NOT NULL) STRICT;
    INSERT INTO generation VALUES (0);
    CREATE TRIGGER provisioning_insert AFTER INSERT ON provisioning BEGIN UPDATE generation SET value = value + 1; END;
    CREATE TRIGGER provisioning_update AFTER UPDATE ON provisioning BEGIN UPDATE generation SET value = value + 1; END;
    CREATE TRIGGER provisioning_delete AFTER DELETE ON provisioning BEGIN UPDATE generation SET value = value + 1; END;
    -- What an address-of-record has; times are Unix seconds. Who registered first has the lowest number: those who
    -- registered together refresh together, and share pages.
    CREATE TABLE binding (
        id       INTEGER PRIMARY KEY,
        aor      TEXT NOT NULL,
        expires  INTEGER NOT NULL,
        contacts TEXT NOT NULL
    ) STRICT;
",
    "
    -- Messages for who is not there, in the order in which they came; a sender is whose share one counts in.
    CREATE TABLE message (
        id      INTEGER PRIMARY KEY,
        aor     TEXT NOT NULL,
        sender  TEXT NOT NULL,
        expires INTEGER NOT NULL,
        text    BLOB NOT NULL
    ) STRICT;
    CREATE INDEX message_expires ON message (expires);
",
    "
    -- Whether the address-of-record was a provisioned user's when its row was written.
    ALTER TABLE binding ADD COLUMN provisioned INTEGER NOT NULL DEFAULT 0;
",
];

impl Store {
    pub(super) fn migrate(&mut self) -> Result<(), StoreError> {
        let known = MIGRATIONS.len() as u32;
        let found = version(&self.connection).map_err(self.failed("cannot be read"))?;
        if found > known {
            return Err(StoreError::Version { file: self.path.display().to_string(), found, known });
        }
        if found < known {
            self.bring_up_to_date().map_err(self.failed("cannot be brought up to date"))?;
        }
        self.views().map_err(self.failed("views cannot be made"))
    }

    fn bring_up_to_date(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Another process may have done it meanwhile.
        let found = version(&transaction)? as usize;
        for migration in MIGRATIONS.iter().skip(found) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
        transaction.commit()
    }

    /// One view for each kind of record, with its fields as columns.
    fn views(&self) -> rusqlite::Result<()> {
        for (kind, fields) in Records::kinds_with_fields() {
            let columns: Vec<String> =
                fields.iter().map(|field| format!("body ->> '$.{field}' AS \"{field}\"")).collect();
            let wanted = format!(
                "CREATE VIEW \"{kind}\" AS SELECT key, {} FROM provisioning WHERE kind = '{kind}'",
                columns.join(", ")
            );
            let sql = "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?1";
            let found: Option<String> = self.connection.query_row(sql, [kind], |row| row.get(0)).optional()?;
            if found.as_ref() != Some(&wanted) {
                self.connection
                    .execute_batch(&format!("BEGIN IMMEDIATE; DROP VIEW IF EXISTS \"{kind}\"; {wanted}; COMMIT"))?;
            }
        }
        Ok(())
    }
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
