//! What systemd is told (sd_notify(3)): that the proxy is ready, reads its files again, ends, and that its shards work.
//! Where there is no NOTIFY_SOCKET nobody is told anything.

use repro::admin::Operation;
use repro::proxy::Beat;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager is not told");
    }
}

/// It listens, and has read its store. From now on the watchdog is told, if it wants to be.
pub(super) fn started(operation: &Arc<Operation>) {
    tell(&[NotifyState::Ready, NotifyState::Status("it takes requests")]);
    if let Some(limit) = sd_notify::watchdog_enabled() {
        actix::spawn(keep_alive(operation.clone(), limit / 4));
    }
}

/// It reads its files again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("it reads its files again")]),
        Err(error) => tracing::warn!(%error, "the service manager is not told"),
    }
}

/// What has come of that.
pub(super) fn reloaded(outcome: &Result<String, String>) {
    let status = match outcome {
        Ok(said) => format!("it takes requests; read again: {said}"),
        Err(error) => format!("it takes requests; not read again: {error}"),
    };
    // A line ends a state.
    tell(&[NotifyState::Ready, NotifyState::Status(&status.replace('\n', " "))]);
}

/// It finishes what is under way, and ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("it finishes what is under way")]);
}

/// Tells the watchdog four times in its time that all shards work, as long as they do.
async fn keep_alive(operation: Arc<Operation>, every: Duration) {
    let mut pulse = Pulse::default();
    let Some(parts) = operation.parts() else { return };
    let shards = parts.server.config().placement.shards();
    loop {
        let fifos = parts.stack.statistics().fifos;
        let passed = |shard: u16| {
            let own = fifos.iter().filter(|fifo| fifo.name == "tu" && fifo.shard == shard);
            own.map(|fifo| fifo.passed).sum()
        };
        if pulse.beats((0..shards).map(passed).collect()) {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::warn!("a shard takes nothing of what it is given: the watchdog is not told");
        }
        for shard in 0..shards {
            // One that is full has enough to do.
            let _ = parts.server.poster().map(|poster| poster.post(shard.into(), Box::new(Beat)));
        }
        tokio::time::sleep(every).await;
    }
}

/// Whether shards take what they are given: how much has passed through the FIFO of each when it was looked at last.
#[derive(Default)]
struct Pulse(Vec<u64>);

impl Pulse {
    /// Whether in each more has passed than the last time.
    fn beats(&mut self, passed: Vec<u64>) -> bool {
        let before = std::mem::replace(&mut self.0, passed);
        before.iter().zip(&self.0).all(|(before, now)| now > before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_that_stands_still_is_enough() {
        let mut pulse = Pulse::default();
        assert!(pulse.beats(vec![0, 0]) && pulse.beats(vec![1, 5]));
        assert!(!pulse.beats(vec![2, 5]) && !pulse.beats(vec![3, 5]));
        assert!(pulse.beats(vec![4, 6]));
    }
}
