//! Where records are kept beside the configuration: in the store, or in a database that several proxies share.

use super::postgres::{Address, Database, Watch};
use super::{Change, Store, StoreError};
use crate::config::Config;
use crate::provisioning::{ProvisioningError, Records};
use rutil::Clock;
use std::future::{Future, pending};
use tokio::runtime::{Builder, Runtime};

/// Records, for who asks or changes something and has done. It blocks.
pub enum RecordStore {
    /// In the store.
    Sqlite(Store),
    /// In a database.
    Postgres(Box<Database>),
}

impl RecordStore {
    /// Opens what the configuration names; nothing if that is nothing. A database counts before the store. With `prepare`
    /// tables are made where there are none.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(config: &Config, prepare: bool) -> Result<Option<Self>, StoreError> {
        if let Some(address) = Address::of(config)? {
            return Ok(Some(RecordStore::Postgres(Box::new(Database::open(address, prepare)?))));
        }
        let open = |store: &crate::config::Store| Store::open(&store.path, store.synchronous_full);
        Ok(config.store.as_ref().map(open).transpose()?.map(RecordStore::Sqlite))
    }

    /// All records.
    ///
    /// # Errors
    /// When they cannot be read, or one is wrong.
    pub fn records(&mut self) -> Result<Records, StoreError> {
        match self {
            RecordStore::Sqlite(store) => store.records(),
            RecordStore::Postgres(database) => database.records(),
        }
    }

    /// As [`Store::page`].
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
        match self {
            RecordStore::Sqlite(store) => store.page(kind, after, search, most),
            RecordStore::Postgres(database) => database.page(kind, after, search, most),
        }
    }

    /// The body of a record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn body(&mut self, kind: &str, key: &str) -> Result<Option<String>, StoreError> {
        match self {
            RecordStore::Sqlite(store) => store.body(kind, key),
            RecordStore::Postgres(database) => database.body(kind, key),
        }
    }

    /// As [`Store::change`].
    ///
    /// # Errors
    /// When it cannot be written, or `check` refuses it.
    pub fn change(
        &mut self,
        changes: &[Change<'_>],
        check: impl FnMut(Records) -> Result<(), ProvisioningError>,
    ) -> Result<usize, StoreError> {
        match self {
            RecordStore::Sqlite(store) => store.change(changes, check),
            RecordStore::Postgres(database) => database.change(changes, check),
        }
    }
}

/// Records, for a running proxy: it notices changes.
pub enum Source {
    /// In the store, by a connection of its own: it reads while bindings are written.
    Sqlite(Store),
    /// In a database.
    Postgres(Box<Watch>),
}

impl Source {
    /// What the configuration names, as [`RecordStore::open`].
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(config: &Config, clock: impl Clock + 'static) -> Result<Option<Self>, StoreError> {
        Ok(match RecordStore::open(config, true)? {
            Some(RecordStore::Sqlite(store)) => Some(Source::Sqlite(store)),
            Some(RecordStore::Postgres(_)) => {
                Address::of(config)?.map(|address| Source::Postgres(Box::new(Watch::new(address, clock))))
            }
            None => None,
        })
    }

    /// Waits until it hears that something may have changed; who is told nothing must ask.
    pub(super) async fn wait(&mut self) {
        match self {
            Source::Sqlite(_) => pending().await,
            Source::Postgres(watch) => watch.wait().await,
        }
    }

    /// Whether the records are others than those that were read last.
    pub(super) async fn changed(&mut self) -> Result<bool, StoreError> {
        match self {
            Source::Sqlite(store) => store.changed(),
            Source::Postgres(watch) => watch.changed().await,
        }
    }

    /// All records, which count as read then, be they right or wrong. `anyhow`: also if they are in another database now.
    pub(super) async fn news(&mut self, anyhow: bool) -> Result<Records, StoreError> {
        match self {
            Source::Sqlite(store) => store.news(),
            Source::Postgres(watch) => watch.news(anyhow).await,
        }
    }
}

/// Drives futures on the thread that waits for them. What is still going on at its end is left alone.
pub(super) struct Wait(Option<Runtime>);

impl Wait {
    pub(super) fn new() -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(2).build();
        Ok(Wait(Some(runtime.map_err(StoreError::Wait)?)))
    }

    pub(super) fn on<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            Some(runtime) => runtime.block_on(work),
            // Until it is dropped there is one.
            None => unreachable!("the runtime is gone"),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
