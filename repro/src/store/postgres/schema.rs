//! The tables, and how a database of an older version gets those of this.

use sqlx_core::Error;
use sqlx_core::migrate::{Migration, MigrationType, Migrator};
use sqlx_core::query_scalar::query_scalar;
use sqlx_postgres::{PgConnection, Postgres};

/// What each version adds to the one before it, with what it is about.
const MIGRATIONS: &[(&str, &str)] = &[("provisioning", include_str!("0001_provisioning.sql"))];

/// A later version has been there.
pub(super) struct Later {
    pub(super) found: u32,
    pub(super) known: u32,
}

/// Whether something asked for a table that is not there.
pub(super) fn lacks_table(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("42P01")
}

/// Makes the tables that are not there. Of several processes one does it.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<Result<(), Later>, Error> {
    // Who may not make tables need not, if they are there.
    let sql = "SELECT max(version) FROM _sqlx_migrations WHERE success";
    let found = match query_scalar::<Postgres, Option<i64>>(sql).fetch_one(&mut *connection).await {
        Ok(version) => version.unwrap_or_default(),
        Err(error) if lacks_table(&error) => 0,
        Err(error) => return Err(error),
    };
    let (found, known) = (u32::try_from(found).unwrap_or(u32::MAX), MIGRATIONS.len() as u32);
    if found < known {
        migrator().run(connection).await?;
    }
    Ok(if found > known { Err(Later { found, known }) } else { Ok(()) })
}

fn migrator() -> Migrator {
    let migration = |(number, (about, sql)): (i64, &(&'static str, &'static str))| {
        Migration::new(number, (*about).into(), MigrationType::Simple, (*sql).into(), false)
    };
    Migrator { migrations: (1..).zip(MIGRATIONS).map(migration).collect(), ..Migrator::DEFAULT }
}
