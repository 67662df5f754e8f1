//! What an operator may ask a running proxy for, by signal or by HTTP: to read its files again, and to end.

use super::{environment, service_manager};
use crate::admin::Guard;
use repro::Server;
use repro::accounting::Accounting;
use repro::admin::Operation;
use repro::admin::api::Control;
use repro::config::Config;
use repro::store::Journal;
use stack::transport::tls::{TlsContext, TlsOptions};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;

/// How long the thread of the store may take to put together what is provisioned.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can be asked for.
pub(super) struct Levers {
    tls: Option<(TlsContext, TlsOptions)>,
    file: Option<PathBuf>,
    running: OnceLock<(Arc<Journal>, Arc<Server>)>,
    operation: Arc<Operation>,
    /// What clients of the HTTP server have to show.
    guard: Arc<Guard>,
    end: Notify,
}

impl Levers {
    pub(super) fn new(
        tls: Option<TlsContext>,
        config: &Config,
        file: Option<PathBuf>,
        operation: Arc<Operation>,
        guard: Arc<Guard>,
    ) -> Self {
        let tls = tls.map(|tls| (tls, config.tls.options()));
        Levers { tls, file, running: OnceLock::new(), operation, guard, end: Notify::new() }
    }

    /// The proxy has started.
    pub(super) fn started(&self, journal: Arc<Journal>, server: Arc<Server>) {
        // A second one would be of another process.
        let _ = self.running.set((journal, server));
    }

    /// Waits until somebody asks for the end.
    pub(super) async fn end(&self) {
        self.end.notified().await;
    }

    /// Nothing is changed before everything has been looked at.
    fn read_again(&self) -> Result<String, String> {
        let _alone = self.operation.changes();
        let stays = |error: String| {
            tracing::error!("what is provisioned stays as it was: {error}");
            error
        };
        let (journal, server) = self.running.get().ok_or("the proxy is starting")?;
        // Whoever has renamed the file means it, whatever the configuration says now.
        server.accounting().into_iter().for_each(Accounting::reopen);
        let config = Config::read(self.file.as_deref(), environment()).map_err(|error| stays(error.to_string()))?;
        if let Some((_, options)) = &self.tls {
            TlsContext::new(options).map_err(|error| {
                tracing::error!("certificates and keys stay as they were: {error}");
                stays(format!("tls: {error}"))
            })?;
        }
        let token = config.admin_token().map_err(|error| stays(error.to_string()))?;
        let outcome = journal.publish(Some(config.records)).map_err(|error| stays(error.to_string()))?;
        let late = || "the store is busy: the log says what comes of it".to_owned();
        let records = outcome.recv_timeout(PATIENCE).map_err(|_| late())??;
        self.guard.change(token);
        let Some((tls, _)) = &self.tls else { return Ok(format!("{records} records")) };
        match tls.reload() {
            Ok(()) => tracing::info!("certificates and keys are read again: new connections use them"),
            // They were good a moment ago.
            Err(error) => {
                tracing::error!("certificates and keys stay as they were: {error}");
                return Err(format!("{records} records were reloaded; certificates and keys stay: {error}"));
            }
        }
        Ok(format!("{records} records, certificates and keys"))
    }
}

impl Control for Levers {
    fn reload(&self) -> Result<String, String> {
        service_manager::reloading();
        let outcome = self.read_again();
        service_manager::reloaded(&outcome);
        outcome
    }

    fn drain(&self) {
        self.end.notify_one();
    }
}
