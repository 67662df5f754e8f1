//! The thread that puts together what is provisioned, and gives it to the proxies: at the start, when records have
//! changed, and when it is told to.
//!
//! It is not the thread of the bindings: looking at 100,000 users takes a second, and registrations do not wait for that.
//! Neither does it do anything on a proxy's runner but post a pointer there: what is no longer used is freed here.

use super::StoreError;
use super::journal::{Journal, Order, Outcome, Published, Told};
use super::outbox::Outbox;
use super::service::begins;
use super::source::{Source, Wait};
use crate::location::{Binding, StoreFull};
use crate::provisioning::{Listed, Provisioning, Records};
use crate::proxy::Server;
use rutil::{Clock, Rng};
use stack::tu::TuPoster;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often to look for changes by other processes, and to try again.
const TICK: Duration = Duration::from_secs(1);
/// How long to wait when nothing is to be done.
const IDLE: Duration = Duration::from_secs(3_600);
/// How soon to try again when a proxy has taken no news.
const AGAIN: Duration = Duration::from_millis(1);

/// What the thread works with.
pub(super) struct Publisher {
    source: Option<Source>,
    file: Arc<Records>,
    current: Arc<Provisioning>,
    listed: Listed,
    /// What was published before, until nobody else has it any more: the last to have it frees it, and that takes time.
    former: Vec<Arc<Provisioning>>,
    shards: u16,
    clock: Box<dyn Clock>,
    rng: Rng,
    journal: Arc<Journal>,
    orders: mpsc::Receiver<Order>,
    outbox: Outbox,
    /// What is told when the proxies have what they were to get.
    told: Vec<(Told, Outcome)>,
    /// What users had that are no more, and that found no room with whoever keeps bindings.
    unnoted: Vec<(Box<str>, Vec<Binding>)>,
    troubles: Troubles,
}

/// What goes wrong and is tried again each second; it is logged when it begins.
#[derive(Default)]
struct Troubles {
    look: bool,
    read: bool,
    /// What was put together last was refused.
    refused: bool,
}

impl Publisher {
    /// Compiles what is provisioned: in the configuration, and where `source` keeps it.
    ///
    /// # Errors
    /// When that cannot be read, or does not go together.
    pub(super) fn new(
        mut source: Option<Source>,
        file: Records,
        shards: u16,
        clock: Box<dyn Clock>,
        mut rng: Rng,
        (journal, orders): (Arc<Journal>, mpsc::Receiver<Order>),
        wait: &Wait,
    ) -> Result<Self, StoreError> {
        let file = Arc::new(file);
        let current = Arc::new(wait.on(compile(&mut source, &file, false, &mut rng))?.0);
        let listed = Listed::default();
        listed.set(current.clone());
        journal.set_published(Published { provisioning: current.clone(), file: file.clone() });
        Ok(Publisher {
            source,
            file,
            current,
            listed,
            former: Vec::new(),
            shards,
            clock,
            rng,
            journal,
            orders,
            outbox: Outbox::default(),
            told: Vec::new(),
            unnoted: Vec::new(),
            troubles: Troubles::default(),
        })
    }

    /// Who is in the access list, now and later.
    pub(super) fn listed(&self) -> Listed {
        self.listed.clone()
    }

    /// Works until the journal says that it is over.
    pub(super) async fn run(mut self, server: Server, poster: TuPoster) {
        let journal = self.journal.clone();
        tokio::select! {
            () = journal.ended() => {}
            () = self.work(&server, &poster) => {}
        }
    }

    async fn work(&mut self, server: &Server, poster: &TuPoster) {
        let mut tick = self.clock.now() + TICK;
        loop {
            let patience = match self.outbox.is_empty() {
                false => AGAIN,
                true if self.source.is_none() && self.former.is_empty() && self.unnoted.is_empty() => IDLE,
                true => tick.since(self.clock.now()),
            };
            let mut heard = false;
            tokio::select! {
                Some(order) = self.orders.recv() => {
                    let orders = self.waiting(order);
                    self.obey(orders, server).await;
                }
                () = wait(&mut self.source) => heard = true,
                () = tokio::time::sleep(patience) => {}
            }
            if heard || self.clock.now() >= tick {
                self.tick(server).await;
                tick = self.clock.now() + TICK;
            }
            self.journal.set_stale(self.troubles.look || self.troubles.refused);
            self.outbox.post(poster);
            self.tell();
        }
    }

    /// An order, and those behind it.
    fn waiting(&mut self, first: Order) -> Vec<Order> {
        let mut orders = vec![first];
        while let Ok(order) = self.orders.try_recv() {
            orders.push(order);
        }
        orders
    }

    /// Does what operators want: of those in a row that bring no records of their own all have what is in the store now.
    async fn obey(&mut self, orders: Vec<Order>, server: &Server) {
        let mut same: Option<Outcome> = None;
        for Order { file, told } in orders {
            // Who only changed a record does not mean another database; who has everything read again does.
            let outcome = match (file, same.take()) {
                (None, Some(outcome)) => outcome,
                (None, None) => self.publish(None, false, server).await,
                (Some(records), _) => {
                    let outcome = self.publish(Some(Arc::new(*records)), true, server).await;
                    self.told.push((told, outcome));
                    continue;
                }
            };
            self.told.push((told, same.insert(outcome).clone()));
        }
    }

    /// What is to be done now and then.
    async fn tick(&mut self, server: &Server) {
        let all = std::mem::take(&mut self.former);
        let (unused, used): (Vec<_>, Vec<_>) = all.into_iter().partition(|former| Arc::strong_count(former) == 1);
        self.former = used;
        // Whom a proxy let in by the former one until a moment ago is gone as well.
        unused.iter().for_each(|former| self.drop_bindings(former, server));
        drop(unused);
        self.unnoted.retain(|(aor, gone)| server.try_note_gone(aor, gone).is_err());
        let Some(source) = &mut self.source else { return };
        let changed = source.changed().await;
        let (failing, failed) = (changed.is_err(), self.troubles.look);
        let new = begins(&mut self.troubles.look, failing);
        if failed && !failing {
            tracing::warn!("what is provisioned can be read again");
        }
        match changed {
            Ok(true) => drop(self.publish(None, false, server).await),
            Err(error) if new => tracing::error!("what is provisioned stays as it was: {error}"),
            Ok(false) | Err(_) => {}
        }
    }

    /// Puts together what is provisioned, and gives it to all proxies; when it is wrong they keep what they have, and
    /// the records of the configuration are those from before.
    async fn publish(&mut self, file: Option<Arc<Records>>, anyhow: bool, server: &Server) -> Outcome {
        let file = file.unwrap_or_else(|| self.file.clone());
        let compiled = compile(&mut self.source, &file, anyhow, &mut self.rng).await;
        // What cannot be read is tried again; what is wrong is not.
        let again = compiled.as_ref().is_err_and(StoreError::is_passing);
        let new = begins(&mut self.troubles.read, again) || !again;
        let (provisioning, records) = match compiled {
            Ok((provisioning, records)) => (Arc::new(provisioning), records),
            Err(error) => {
                if new {
                    tracing::error!("what is provisioned stays as it was: {error}");
                }
                self.troubles.refused = true;
                return Err(error.to_string());
            }
        };
        self.troubles.refused = false;
        self.file = file.clone();
        // What the proxies note until they have it they take over themselves.
        provisioning.trunks.keep_health(&self.current.trunks);
        for shard in 0..self.shards {
            self.outbox.replace(shard, provisioning.clone());
        }
        self.listed.set(provisioning.clone());
        self.journal.set_published(Published { provisioning: provisioning.clone(), file });
        tracing::info!(users = provisioning.users(), "what is provisioned is put together anew");
        let former = std::mem::replace(&mut self.current, provisioning);
        self.drop_bindings(&former, server);
        self.former.push(former);
        Ok(records)
    }

    /// Who may do nothing any more has no bindings any more.
    fn drop_bindings(&mut self, former: &Provisioning, server: &Server) {
        let (location, now, mut users) = (server.location(), self.clock.now(), 0);
        let mut unnoted = Vec::new();
        let gone = |aor: &&str| self.current.user(aor).is_none_or(|user| !user.enabled);
        for aor in former.enabled_users().filter(gone) {
            if location.inspect(aor, <[Binding]>::is_empty) {
                continue;
            }
            let mut gone = Vec::new();
            let clear = |own: &mut Vec<Binding>| -> Result<(), StoreFull> {
                gone.append(own);
                Ok(())
            };
            // There is room for none.
            if location.update(aor, now, clear).is_ok() {
                users += 1;
                if server.try_note_gone(aor, &gone).is_err() {
                    unnoted.push((aor.into(), gone));
                }
            }
        }
        self.unnoted.append(&mut unnoted);
        if users > 0 {
            tracing::info!(users, "bindings of users that are no more are dropped");
        }
    }

    /// Tells what has become of orders, once the proxies have all that they were to get.
    fn tell(&mut self) {
        if self.outbox.is_empty() {
            for (told, outcome) in self.told.drain(..) {
                // Who does not wait any more does not want to know.
                let _ = told.try_send(outcome);
            }
        }
    }
}

/// Waits until something may have changed.
async fn wait(source: &mut Option<Source>) {
    match source {
        Some(source) => source.wait().await,
        None => pending().await,
    }
}

/// Compiles the records of the configuration and of where others are; how many that are.
async fn compile(
    source: &mut Option<Source>,
    file: &Records,
    anyhow: bool,
    rng: &mut Rng,
) -> Result<(Provisioning, usize), StoreError> {
    let mut records = file.clone();
    if let Some(source) = source {
        records.extend(source.news(anyhow).await?);
    }
    Ok((Provisioning::compile(&records, rng)?, records.len()))
}

#[cfg(test)]
mod tests;
