//! What the proxy itself is doing, as metrics.

use super::exposition::Exposition;
use super::{Operation, Parts, stack_metrics};
use crate::cluster::Cluster;
use crate::events::{Compositor, Package, REG};
use crate::proxy::Counters;
use crate::routing::health::State;
use crate::store::Published;
use rutil::{Counter, Time};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the process uses of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessUsage {
    /// CPU time, of all threads.
    pub cpu: Duration,
    /// Memory that is resident, octets.
    pub resident: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// As many as it may have.
    pub most_files: Option<u64>,
}

pub(super) fn render(operation: &Operation, usage: &ProcessUsage) -> String {
    let mut to = Exposition::default();
    to.gauge("repro_build_info", "1, with the version.").add(&[("version", &env!("CARGO_PKG_VERSION"))], 1);
    to.gauge("repro_ready", "Whether the proxy should get new work.").add(&[], u8::from(operation.ready().is_ok()));
    process(usage, &mut to);
    if let Some(parts) = operation.parts() {
        proxy(parts, &mut to);
        calls(parts, &mut to);
        accounting(parts, &mut to);
        events(parts.server.compositor(), &mut to);
        trunks(parts, &mut to);
        stack_metrics::render(&parts.stack.statistics(), &mut to);
    }
    to.end()
}

/// By the names that Prometheus has for them.
fn process(usage: &ProcessUsage, to: &mut Exposition) {
    to.counter("process_cpu_seconds_total", "CPU time, of all threads.").add(&[], usage.cpu.as_secs_f64());
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory that is resident.", usage.resident),
        ("process_open_fds", "Open files.", usage.open_files),
        ("process_max_fds", "As many as it may have.", usage.most_files),
    ] {
        if let Some(value) = value {
            to.gauge(name, help).add(&[], value);
        }
    }
}

fn proxy(parts: &Parts, to: &mut Exposition) {
    let (server, journal) = (&parts.server, &parts.journal);
    if let Some(start) = server.unix_seconds(Time::ZERO) {
        to.gauge("process_start_time_seconds", "When it started, since the Unix epoch.").add(&[], start);
    }
    let location = server.location();
    to.gauge("repro_bindings", "Contacts that are registered; expired ones count for a minute.")
        .add(&[], location.len_of_bindings());
    to.gauge("repro_addresses_of_record", "Addresses-of-record that have, or had, a contact.").add(&[], location.len());
    if let Some(Published { provisioning, .. }) = journal.published() {
        to.gauge("repro_users", "Users that are provisioned.").add(&[], provisioning.users());
    }
    let stale = "Whether what is provisioned now is not in use, because it cannot be read or is wrong.";
    to.gauge("repro_provisioning_stale", stale).add(&[], u8::from(journal.is_stale()));
    if let Some(silo) = server.silo() {
        to.gauge("repro_silo_messages", "Messages that are kept for who is not there.").add(&[], silo.len());
    }
    if let Some(cluster) = server.cluster() {
        shared(cluster, to);
    }
    if parts.has_store() {
        to.gauge("repro_store_writable", "Whether the store can write; without that registrations are refused.")
            .add(&[], u8::from(!journal.is_failing()));
        to.gauge("repro_store_waiting", "REGISTERs that wait until their bindings are kept.")
            .add(&[], journal.waiting());
    }
}

fn calls(parts: &Parts, to: &mut Exposition) {
    let all = parts.server.all_counters();
    let sum = |of: fn(&Counters) -> &Counter| all.iter().map(|counters| of(counters).get()).sum::<u64>();
    to.counter("repro_calls_attempted_total", "INVITEs outside of any dialog.").add(&[], sum(|all| &all.attempted));
    to.counter("repro_calls_answered_total", "Calls that were answered with 2xx.").add(&[], sum(|all| &all.answered));
    to.counter("repro_calls_cancelled_total", "Calls that their callers have given up.")
        .add(&[], sum(|all| &all.cancelled));
    to.counter("repro_calls_challenged_total", "Calls that were answered with 401 or 407.")
        .add(&[], sum(|all| &all.challenged));
    let mut failed = to.counter("repro_calls_failed_total", "Calls that had another final answer.");
    for (at, class) in ["3xx", "4xx", "5xx", "6xx"].iter().enumerate() {
        let count: u64 = all.iter().filter_map(|counters| counters.failed.get(at)).map(Counter::get).sum();
        failed.add(&[("class", class)], count);
    }
    to.counter("repro_requests_relayed_total", "Requests that were sent on.").add(&[], sum(|all| &all.relayed));
    to.counter("repro_requests_forked_total", "Requests, or steps of them, that went to several targets at once.")
        .add(&[], sum(|all| &all.forked));
    to.counter("repro_requests_parked_total", "Requests that waited for an answer from elsewhere.")
        .add(&[], sum(|all| &all.parked));
    let mut ended = to.counter("repro_requests_ended_total", "Requests that went no further than this processor.");
    for (at, processor) in parts.server.chains().request.iter().enumerate() {
        let count: u64 = all.iter().filter_map(|counters| counters.ended.get(at)).map(Counter::get).sum();
        ended.add(&[("processor", &processor.name())], count);
    }
}

fn accounting(parts: &Parts, to: &mut Exposition) {
    let Some(accounting) = parts.server.accounting() else { return };
    to.counter("repro_accounting_events_written_total", "Events that accounting has written.")
        .add(&[], accounting.written());
    to.counter("repro_accounting_events_shed_total", "Events that are lost: they came faster than they were written.")
        .add(&[], accounting.shed());
    to.gauge("repro_accounting_events_waiting", "Events that wait to be written.").add(&[], accounting.waiting());
    to.gauge("repro_accounting_writable", "Whether what accounting tells can be written.")
        .add(&[], u8::from(!accounting.is_failing()));
    to.gauge("repro_accounting_sessions", "Sessions that were answered here and have not ended.")
        .add(&[], accounting.standing());
}

/// What the event server does.
fn events(compositor: &Compositor, to: &mut Exposition) {
    let counts = compositor.counts();
    let mut family = to.gauge("repro_subscriptions", "Subscriptions to what the proxy tells, by event package.");
    for package in std::iter::once(None).chain(Package::ALL.map(Some)) {
        let name = package.map_or(REG, Package::name);
        family.add(&[("package", &name)], counts.subscriptions(package));
    }
    to.gauge("repro_publications", "Documents that are published; expired ones count until another one is.")
        .add(&[], compositor.len());
    to.gauge("repro_publication_bytes", "Memory that they take.").add(&[], compositor.octets());
    for (name, help, value) in [
        ("repro_event_notifies_total", "NOTIFYs with what is published.", counts.notifies()),
        ("repro_event_documents_total", "Documents written for them, each for all who watch.", counts.composed()),
        (
            "repro_subscriptions_refused_total",
            "Subscriptions refused for want of room.",
            counts.refused_subscriptions(),
        ),
        (
            "repro_publications_refused_total",
            "Publications that could not be read, or found no room.",
            counts.refused_publications(),
        ),
    ] {
        to.counter(name, help).add(&[], value);
    }
}

fn shared(cluster: &Cluster, to: &mut Exposition) {
    let counts = &cluster.counts;
    to.gauge("repro_cluster_connected", "Whether Redis can be reached; without that registrations are refused.")
        .add(&[], u8::from(cluster.is_connected()));
    to.gauge("repro_cluster_active", "Whether this process is the node; 0: it stands by.")
        .add(&[], u8::from(!cluster.is_passive()));
    to.gauge("repro_cluster_waiting", "REGISTERs that wait until Redis has their bindings.")
        .add(&[], cluster.waiting());
    let mut family = to.gauge("repro_cluster_node_alive", "Whether a node gives signs of life.");
    for node in cluster.nodes().all() {
        family.add(&[("node", &node.name())], u8::from(node.is_alive()));
    }
    for (name, help, count) in [
        ("repro_cluster_written_total", "Changes of bindings and publications that were written.", &counts.written),
        ("repro_cluster_taken_over_total", "Changes of other nodes that were taken over.", &counts.taken_over),
        ("repro_cluster_refused_total", "Changes that came too late: another node had a later one.", &counts.refused),
        (
            "repro_cluster_restored_total",
            "Bindings and publications that were written again: Redis had lost them.",
            &counts.restored,
        ),
        ("repro_cluster_lost_total", "How often Redis could not be reached any more.", &counts.lost),
    ] {
        to.counter(name, help).add(&[], count.load(Ordering::Relaxed));
    }
}

fn trunks(parts: &Parts, to: &mut Exposition) {
    let (Some(Published { provisioning, .. }), now) = (parts.journal.published(), parts.now()) else { return };
    if provisioning.trunks.is_empty() {
        return;
    }
    let mut family = to.gauge("repro_trunk_contact_in_service", "Whether a contact of a trunk gets calls.");
    for trunk in provisioning.trunks.iter() {
        for contact in &trunk.contacts {
            let labels: [(&str, &dyn std::fmt::Display); 2] =
                [("trunk", &trunk.record.name), ("contact", contact.uri())];
            family.add(&labels, u8::from(contact.health.state(now) == State::InService));
        }
    }
}
