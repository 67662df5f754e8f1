//! A connection for who asks or changes something and has done.

use super::schema::{Later, lacks_table, migrate};
use super::{ASK, Address, CONNECT, LOCKED_MARK, Mark, WORK, all, mark, records, within};
use crate::provisioning::{Place, ProvisioningError, Records, Row};
use crate::store::change::{ATTEMPTS, Change, Overlay};
use crate::store::{StoreError, Wait};
use serde_json::Value;
use sqlx_core::Error;
use sqlx_core::connection::Connection as _;
use sqlx_core::query::query;
use sqlx_core::query_as::query_as;
use sqlx_core::query_scalar::query_scalar;
use sqlx_postgres::{PgConnection, Postgres};

/// Most octets of a key: an index takes no more.
const MOST_KEY: usize = 2_000;
/// Rows that are written by one statement.
const AT_ONCE: usize = 10_000;

/// A connection. It blocks, so it belongs to a thread that may wait, and not to one that drives futures.
pub struct Database {
    wait: Wait,
    address: Address,
    connection: PgConnection,
}

impl Database {
    /// Connects; with `prepare` tables that are not there are made.
    ///
    /// # Errors
    /// When the database cannot be reached, or is of a later version.
    pub fn open(address: Address, prepare: bool) -> Result<Self, StoreError> {
        let wait = Wait::new()?;
        let options = address.options().map_err(|error| Error::Configuration(Box::new(error)));
        let connected = wait.on(async { within(CONNECT, PgConnection::connect_with(&options?)).await });
        let mut connection = connected.map_err(address.failed("cannot be reached"))?;
        if prepare {
            let migrated = wait.on(within(WORK, migrate(&mut connection)));
            let migrated = migrated.map_err(address.failed("tables cannot be made"))?;
            migrated.map_err(|Later { found, known }| {
                let file = address.to_string();
                StoreError::Version { file, found, known }
            })?;
        }
        Ok(Database { wait, address, connection })
    }

    /// All records; none where there are no tables yet.
    ///
    /// # Errors
    /// When they cannot be read, or one is wrong.
    pub fn records(&mut self) -> Result<Records, StoreError> {
        match self.wait.on(within(WORK, records(&mut self.connection))) {
            Ok((_, records)) => Ok(records?),
            Err(error) if lacks_table(&error) => Ok(Records::default()),
            Err(error) => Err(self.address.failed("records cannot be read")(error)),
        }
    }

    /// As [`crate::store::Store::page`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn page(
        &mut self,
        kind: &str,
        after: &str,
        search: &str,
        most: usize,
    ) -> Result<(Vec<(String, String)>, usize), StoreError> {
        let sql = "SELECT key, body::text FROM provisioning WHERE kind = $1 AND key > $2
                   AND ($3 = '' OR strpos(key, $3) > 0) ORDER BY key LIMIT $4";
        let page = query_as::<Postgres, (String, String)>(sql).bind(kind).bind(before_nul(after)).bind(search);
        let page = page.bind(i64::try_from(most).unwrap_or(i64::MAX));
        let count = query_scalar::<Postgres, i64>("SELECT count(*) FROM provisioning WHERE kind = $1").bind(kind);
        let connection = &mut self.connection;
        let read = self.wait.on(within(ASK, async {
            // No key has a NUL.
            let page = if search.contains('\0') { Vec::new() } else { page.fetch_all(&mut *connection).await? };
            Ok((page, count.fetch_one(connection).await?))
        }));
        let (page, total) = read.map_err(self.address.failed("records cannot be read"))?;
        Ok((page, usize::try_from(total).unwrap_or_default()))
    }

    /// The body of a record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn body(&mut self, kind: &str, key: &str) -> Result<Option<String>, StoreError> {
        if key.contains('\0') {
            return Ok(None);
        }
        let sql = "SELECT body::text FROM provisioning WHERE kind = $1 AND key = $2";
        let body = query_scalar(sql).bind(kind).bind(key).fetch_optional(&mut self.connection);
        self.wait.on(within(ASK, body)).map_err(self.address.failed("records cannot be read"))
    }

    /// As [`crate::store::Store::change`].
    ///
    /// # Errors
    /// When it cannot be written, or `check` refuses it.
    pub fn change(
        &mut self,
        changes: &[Change<'_>],
        mut check: impl FnMut(Records) -> Result<(), ProvisioningError>,
    ) -> Result<usize, StoreError> {
        let overlay = Overlay::new(changes);
        overlay.puts().try_for_each(fits)?;
        for _ in 0..ATTEMPTS {
            let mut records = Records::default();
            let read = all(&mut self.connection, |kind, key, body| overlay.add(&mut records, kind, key, body));
            let read = self.wait.on(within(WORK, read));
            let looked_at = read.map_err(self.address.failed("records cannot be read"))??;
            check(overlay.finish(records)?)?;
            let written = self.wait.on(within(WORK, write(&mut self.connection, looked_at, &overlay)));
            if let Some(changed) = written.map_err(self.address.failed("records cannot be written"))? {
                return Ok(changed);
            }
        }
        Err(StoreError::Contended { store: self.address.to_string() })
    }
}

/// Writes changes, unless the records are others than those that were looked at.
async fn write(connection: &mut PgConnection, looked_at: Mark, overlay: &Overlay<'_>) -> Result<Option<usize>, Error> {
    // What is dropped before its commit is rolled back.
    let mut transaction = connection.begin().await?;
    query("SET LOCAL lock_timeout = '5s'").execute(&mut *transaction).await?;
    if mark(&mut *transaction, LOCKED_MARK).await? != looked_at {
        transaction.rollback().await?;
        return Ok(None);
    }
    let (rows, mut changed) = (overlay.puts().collect::<Vec<_>>(), 0);
    for rows in rows.chunks(AT_ONCE) {
        let column = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
        let sql = "INSERT INTO provisioning (kind, key, body)
                   SELECT kind, key, body::jsonb FROM unnest($1::text[], $2::text[], $3::text[]) AS new (kind, key, body)
                   ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body WHERE provisioning.body <> excluded.body";
        let put = query(sql).bind(column(|row| row.kind)).bind(column(|row| &row.key)).bind(column(|row| &row.body));
        changed += put.execute(&mut *transaction).await?.rows_affected();
    }
    let (kinds, keys): (Vec<&str>, Vec<&str>) = overlay.removals().filter(|(_, key)| !key.contains('\0')).unzip();
    if !keys.is_empty() {
        let sql = "DELETE FROM provisioning USING unnest($1::text[], $2::text[]) AS old (kind, key)
                   WHERE provisioning.kind = old.kind AND provisioning.key = old.key";
        changed += query(sql).bind(kinds).bind(keys).execute(&mut *transaction).await?.rows_affected();
    }
    transaction.commit().await?;
    Ok(Some(usize::try_from(changed).unwrap_or(usize::MAX)))
}

/// Whether PostgreSQL can keep a record: it knows no NUL.
fn fits(row: &Row) -> Result<(), ProvisioningError> {
    let wrong = |field: &str, what: &str| Err(ProvisioningError::new(&Place::Store, row.kind, &row.key, field, what));
    if row.key.len() > MOST_KEY {
        return wrong("", &format!("expected a key of {MOST_KEY} octets at most"));
    }
    // A backslash in front of it may make it something else.
    if row.key.contains('\0') || row.body.contains("\\u0000") {
        let fields: serde_json::Map<String, Value> = serde_json::from_str(&row.body).unwrap_or_default();
        if let Some((field, _)) = fields.iter().find(|(_, value)| has_nul(value)) {
            return wrong(field, "expected a text without NUL");
        }
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What comes behind a text with a NUL, which no key has, comes behind what stands before it.
fn before_nul(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}
