//! What an operator may ask a running proxy for, by signal or by HTTP: to read its files again, and to end.

use super::{Above, environment, service_manager};
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
    above: Above,
    /// The configuration that the process has begun with, without its records.
    began: Config,
    running: OnceLock<(Arc<Journal>, Arc<Server>)>,
    operation: Arc<Operation>,
    /// What clients of the HTTP server have to show.
    guard: Arc<Guard>,
    end: Notify,
}

impl Levers {
    pub(super) fn new(
        tls: Option<TlsContext>,
        config: &mut Config,
        (file, above): (Option<PathBuf>, Above),
        operation: Arc<Operation>,
        guard: Arc<Guard>,
    ) -> Self {
        let tls = tls.map(|tls| (tls, config.tls.options()));
        // There may be very many.
        let records = std::mem::take(&mut config.records);
        let began = without_token(config.clone());
        config.records = records;
        Levers { tls, file, above, began, running: OnceLock::new(), operation, guard, end: Notify::new() }
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
        let mut config = self.above.over(config);
        if let Some((_, options)) = &self.tls {
            TlsContext::new(options).map_err(|error| {
                tracing::error!("certificates and keys stay as they were: {error}");
                stays(format!("tls: {error}"))
            })?;
        }
        let token = config.admin_token().map_err(|error| stays(error.to_string()))?;
        let outcome =
            journal.publish(Some(std::mem::take(&mut config.records))).map_err(|error| stays(error.to_string()))?;
        let late = || "the store is busy: the log says what comes of it".to_owned();
        let records = outcome.recv_timeout(PATIENCE).map_err(|_| late())??;
        self.guard.change(token);
        let mut told = format!("{records} records");
        if let Some((tls, _)) = &self.tls {
            Self::reload_tls(tls).map_err(|error| format!("{records} records were reloaded; {error}"))?;
            told += ", certificates and keys";
        }
        let later = self.began.keys_that_differ(&without_token(config)).join(", ");
        if !later.is_empty() {
            tracing::warn!(keys = later, "changed in the configuration, and not used before a restart");
            told += &format!("; not before a restart: {later}");
        }
        Ok(told)
    }

    fn reload_tls(tls: &TlsContext) -> Result<(), String> {
        // They were good a moment ago.
        tls.reload().map_err(|error| {
            let error = format!("certificates and keys stay as they were: {error}");
            tracing::error!("{error}");
            error
        })?;
        tracing::info!("certificates and keys are read again: new connections use them");
        Ok(())
    }
}

/// Another token counts at once.
fn without_token(mut config: Config) -> Config {
    config.admin.iter_mut().for_each(|admin| admin.token = None);
    config
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
