//! A running proxy's view of the database: it hears of changes, and when the database is away it comes back by itself.

use super::{ASK, Address, CONNECT, MARK, Mark, WORK, mark, records, within};
use crate::provisioning::Records;
use crate::store::StoreError;
use rutil::{Clock, Time};
use sqlx_postgres::{PgListener, PgPoolOptions};
use std::future::pending;
use std::time::Duration;

/// What is told when records change.
const CHANNEL: &str = "repro_provisioning";
/// Of many changes in a row not each is looked at.
const QUIET: Duration = Duration::from_millis(300);
/// How long the first and the longest pause between attempts to connect is.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// One connection that stays, and what was seen by it.
pub struct Watch {
    address: Address,
    clock: Box<dyn Clock>,
    link: Option<PgListener>,
    /// The state that was read last, be it right or wrong.
    seen: Option<Mark>,
    /// The database whose records are in use.
    used: Option<i64>,
    /// No change is listened for until then.
    quiet_until: Option<Time>,
    /// When to connect again, and the pause after that.
    again: Option<(Time, Duration)>,
}

impl Watch {
    /// Looks at this database, from the first question on.
    pub fn new(address: Address, clock: impl Clock + 'static) -> Self {
        let clock = Box::new(clock);
        Watch { address, clock, link: None, seen: None, used: None, quiet_until: None, again: None }
    }

    /// Waits until it hears that something may have changed.
    pub(in crate::store) async fn wait(&mut self) {
        if let Some(until) = self.quiet_until {
            tokio::time::sleep(until.since(self.clock.now())).await;
        }
        let Some(link) = &mut self.link else { return pending().await };
        let heard = link.try_recv().await;
        self.quiet_until = Some(self.clock.now() + QUIET);
        if !matches!(heard, Ok(Some(_))) {
            self.link = None;
        }
    }

    /// Whether the records are others than those that were read last. While the database is away it is asked more and more
    /// seldom.
    pub(in crate::store) async fn changed(&mut self) -> Result<bool, StoreError> {
        if let Some((again, _)) = self.again.filter(|(again, _)| self.clock.now() < *again) {
            let seconds = again.since(self.clock.now()).as_secs() + 1;
            return Err(StoreError::Away { database: self.address.to_string(), seconds });
        }
        let failed = self.address.failed("cannot be asked");
        let link = self.link().await?;
        match within(ASK, mark(link, MARK)).await {
            Ok(mark) => Ok(self.seen != Some(mark)),
            Err(error) => Err(self.lost(failed(error))),
        }
    }

    /// All records. Another database than the one whose records are in use counts only if somebody wants that (`anyhow`),
    /// and never if it is empty: that is one that was set up anew, and not what an operator has provisioned.
    pub(in crate::store) async fn news(&mut self, anyhow: bool) -> Result<Records, StoreError> {
        let failed = self.address.failed("records cannot be read");
        let link = self.link().await?;
        let (mark, records) = match within(WORK, records(link)).await {
            Ok(read) => read,
            Err(error) => return Err(self.lost(failed(error))),
        };
        self.seen = Some(mark);
        let records = records?;
        if self.used.is_some_and(|used| used != mark.database) && (records.is_empty() || !anyhow) {
            return Err(StoreError::Replaced { database: self.address.to_string(), records: records.len() });
        }
        self.used = Some(mark.database);
        Ok(records)
    }

    /// The connection, a new one if there is none. What it was told until then it has not heard; it is asked instead.
    async fn link(&mut self) -> Result<&mut PgListener, StoreError> {
        let link = match self.link.take() {
            Some(link) => link,
            None => match within(CONNECT, self.connect()).await {
                Ok(link) => link,
                Err(error) => {
                    let failed = self.address.failed("cannot be reached");
                    return Err(self.lost(failed(error)));
                }
            },
        };
        self.again = None;
        Ok(self.link.insert(link))
    }

    async fn connect(&self) -> Result<PgListener, sqlx_core::Error> {
        let options = self.address.options().map_err(|error| sqlx_core::Error::Configuration(Box::new(error)))?;
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let mut link = PgListener::connect_with(&pool.connect_lazy_with(options)).await?;
        link.eager_reconnect(false);
        // A standby lets nobody listen, but it answers.
        match link.listen(CHANNEL).await {
            Err(sqlx_core::Error::Database(error)) => {
                tracing::debug!(%error, "changes are asked for each second, not told");
                Ok(link)
            }
            heard => heard.map(|()| link),
        }
    }

    /// The connection is good for nothing any more, or there is none.
    fn lost(&mut self, error: StoreError) -> StoreError {
        self.link = None;
        let pause = self.again.map_or(PAUSES.0, |(_, pause)| (2 * pause).min(PAUSES.1));
        self.again = Some((self.clock.now() + pause, pause));
        error
    }
}
