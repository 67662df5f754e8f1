//! What the stack has counted, as metrics. Structs of counters are taken apart whole, so that a new counter is not
//! forgotten here.

use super::exposition::{Exposition, Family, RESPONSE_TIMES, WAITS};
use rutil::Zone;
use rutil::stats::Snapshot;
use stack::scanner::ScannerSnapshot;
use stack::statistics::{DnsSnapshot, Statistics};
use stack::transaction::TransactionSnapshot;
use stack::transport::TransportSnapshot;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

pub(super) fn render(all: &Statistics, to: &mut Exposition) {
    messages(all, to);
    transactions(all, to);
    scanner(all, to);
    dns(all, to);
    overload(all, to);
    fifos(all, to);
    transports(all, to);
}

fn messages(all: &Statistics, to: &mut Exposition) {
    let mut family =
        to.counter("sip_requests_received_total", "Requests given to the transactions, repetitions included.");
    for one in &all.requests {
        family.add(&[("method", &one.method)], one.received);
    }
    let mut family = to.counter("sip_requests_sent_total", "Requests given to a transport, repetitions included.");
    for one in &all.requests {
        family.add(&[("method", &one.method)], one.sent);
    }
    let of = |to_invite: bool| if to_invite { "INVITE" } else { "other" };
    let mut family =
        to.counter("sip_responses_received_total", "Responses given to the transactions, by what they answer.");
    for one in &all.responses {
        family.add(&[("to", &of(one.to_invite)), ("code", &one.code)], one.received);
    }
    let mut family = to.counter("sip_responses_sent_total", "Responses given to a transport, by what they answer.");
    for one in &all.responses {
        family.add(&[("to", &of(one.to_invite)), ("code", &one.code)], one.sent);
    }
    to.histogram("sip_final_response_seconds", "Time from a request that was sent to its final response.")
        .add_times(&[("to", &"INVITE")], &all.invite_times, RESPONSE_TIMES)
        .add_times(&[("to", &"other")], &all.non_invite_times, RESPONSE_TIMES);
    to.counter("sip_hep_messages_total", "Messages for the capture server, exported or shed.")
        .add(&[("outcome", &"exported")], all.hep_exported)
        .add(&[("outcome", &"shed")], all.hep_shed);
}

fn transactions(all: &Statistics, to: &mut Exposition) {
    let TransactionSnapshot {
        clients,
        servers,
        clients_alive,
        servers_alive,
        octets_kept,
        retransmitted,
        absorbed,
        absorbed_responses,
        stray_responses,
        refused,
        merged,
        timeouts,
        transport_failures,
        failovers,
        no_ack,
        shed,
        not_kept,
    } = all.transactions;
    to.counter("sip_transactions_begun_total", "Transactions begun.")
        .add(&[("side", &"client")], clients)
        .add(&[("side", &"server")], servers);
    to.gauge(
        "sip_transactions_alive",
        "Transactions that have not ended, those that only absorb repetitions included.",
    )
    .add(&[("side", &"client")], clients_alive)
    .add(&[("side", &"server")], servers_alive);
    let mut family = to.gauge("sip_transactions", "Transactions by kind and state; those of which there are some.");
    for one in &all.states {
        family.add(&[("kind", &one.kind), ("state", &one.state)], one.alive);
    }
    to.gauge("sip_transaction_bytes", "Messages that the transactions keep.").add(&[], octets_kept);
    to.counter("sip_messages_retransmitted_total", "Messages that were sent again.").add(&[], retransmitted);
    to.counter("sip_messages_absorbed_total", "Messages that came again and were absorbed.")
        .add(&[("message", &"request")], absorbed)
        .add(&[("message", &"response")], absorbed_responses);
    to.counter("sip_responses_stray_total", "Responses that matched no transaction.").add(&[], stray_responses);
    to.counter("sip_transaction_failures_total", "Transactions without what they waited for.")
        .add(&[("cause", &"timeout")], timeouts)
        .add(&[("cause", &"transport")], transport_failures)
        .add(&[("cause", &"no_ack")], no_ack);
    to.counter("sip_failovers_total", "Further attempts of requests whose target failed.").add(&[], failovers);
    to.counter(
        "sip_transaction_messages_not_kept_total",
        "Messages that were sent once, for want of room to keep them.",
    )
    .add(&[], not_kept);
    let scanner = &all.scanner;
    to.counter("sip_requests_refused_total", "Requests that were answered before anybody looked at what they want.")
        .add(&[("cause", &"malformed")], scanner.refused)
        .add(&[("cause", &"overload")], scanner.overload)
        .add(&[("cause", &"source_rate")], scanner.excess)
        .add(&[("cause", &"no_room")], refused)
        .add(&[("cause", &"merged")], merged);
    to.counter("sip_messages_shed_total", "Messages that were dropped inside because a FIFO was full.")
        .add(&[("at", &"txn")], scanner.shed)
        .add(&[("at", &"out")], shed);
}

fn scanner(all: &Statistics, to: &mut Exposition) {
    let ScannerSnapshot {
        requests,
        responses,
        refused: _,
        garbage,
        overload: _,
        dropped,
        excess: _,
        banned,
        bans,
        shed: _,
        late_partials,
        shed_partials,
        partial_octets,
    } = all.scanner;
    to.counter("sip_messages_scanned_total", "Messages given to the transactions.")
        .add(&[("message", &"request")], requests)
        .add(&[("message", &"response")], responses);
    to.counter("sip_messages_dropped_total", "What was dropped without an answer.")
        .add(&[("cause", &"garbage")], garbage)
        .add(&[("cause", &"overload")], dropped)
        .add(&[("cause", &"banned")], banned);
    to.counter("sip_bans_total", "Bans of sources that sent too much.").add(&[], bans);
    to.gauge("sip_banned_sources", "Sources that are banned now.").add(&[], all.banned);
    to.counter("sip_connections_cut_total", "Connections that were closed because of an incomplete message.")
        .add(&[("cause", &"late")], late_partials)
        .add(&[("cause", &"no_room")], shed_partials);
    to.gauge("sip_partial_message_bytes", "Incomplete messages of all streams.").add(&[], partial_octets);
}

fn dns(all: &Statistics, to: &mut Exposition) {
    let DnsSnapshot { asked, answered, not_found, failed, timed_out, cached, greylisted } = all.dns;
    to.counter("sip_dns_queries_total", "Questions to the name servers.").add(&[], asked);
    to.counter("sip_dns_answers_total", "What came of them.")
        .add(&[("outcome", &"answered")], answered)
        .add(&[("outcome", &"not_found")], not_found)
        .add(&[("outcome", &"failed")], failed)
        .add(&[("outcome", &"timed_out")], timed_out);
    to.counter("sip_dns_cached_total", "Questions that were not asked, because the answer was known.").add(&[], cached);
    to.counter("sip_greylisted_total", "Targets that were put behind others, for a time.").add(&[], greylisted);
    to.histogram("sip_dns_query_seconds", "Time from a question to its answer.").add_times(
        &[],
        &all.dns_times,
        RESPONSE_TIMES,
    );
}

fn overload(all: &Statistics, to: &mut Exposition) {
    let overload = &all.overload;
    let mut family = to.gauge("sip_overload_zone", "1 for the zone that the most loaded shard is in.");
    for (zone, name) in [
        (Zone::Normal, "normal"),
        (Zone::RejectNewWork, "reject_new_work"),
        (Zone::RejectNonEssential, "reject_non_essential"),
        (Zone::Drop, "drop"),
    ] {
        family.add(&[("zone", &name)], u8::from(overload.zone == zone));
    }
    to.gauge("sip_overload_load_ratio", "The longest wait there is, as a part of what is tolerated.")
        .add(&[], f64::from(overload.load) / 100.0);
    to.gauge("sip_overload_admitted_ratio", "Part of the datagrams with new work that the kernel lets through.")
        .add(&[], overload.admitted());
}

/// FIFOs of one name on one shard, together: each transport has a `wire`.
#[derive(Default)]
struct Fifo {
    capacity: usize,
    depth: usize,
    peak: usize,
    passed: u64,
    refused: u64,
    oldest: Duration,
    waits: Snapshot,
}

fn fifos(all: &Statistics, to: &mut Exposition) {
    let mut fifos = BTreeMap::<(&str, u16), Fifo>::new();
    for one in &all.fifos {
        let sum = fifos.entry((one.name, one.shard)).or_default();
        (sum.capacity, sum.depth, sum.peak) =
            (sum.capacity + one.capacity, sum.depth + one.depth, sum.peak.max(one.peak));
        (sum.passed, sum.refused) = (sum.passed + one.passed, sum.refused + one.refused);
        sum.oldest = sum.oldest.max(one.oldest_age);
        sum.waits.merge(&one.waits);
    }
    let each = |mut family: Family<'_>, value: fn(&Fifo) -> f64| {
        for ((name, shard), fifo) in &fifos {
            family.add(&[("fifo", name), ("shard", shard)], value(fifo));
        }
    };
    each(to.gauge("sip_fifo_capacity", "Items that a FIFO can hold."), |fifo| fifo.capacity as f64);
    each(to.gauge("sip_fifo_depth", "Items in a FIFO."), |fifo| fifo.depth as f64);
    each(to.gauge("sip_fifo_peak", "The most items that were in a FIFO at once."), |fifo| fifo.peak as f64);
    each(to.gauge("sip_fifo_oldest_age_seconds", "Age of the oldest item in a FIFO."), |fifo| {
        fifo.oldest.as_secs_f64()
    });
    each(to.counter("sip_fifo_passed_total", "Items that went through a FIFO."), |fifo| fifo.passed as f64);
    each(to.counter("sip_fifo_refused_total", "Items that found no room in a FIFO."), |fifo| fifo.refused as f64);
    let mut family = to.histogram("sip_fifo_wait_seconds", "How long items waited in a FIFO.");
    for ((name, shard), fifo) in &fifos {
        family.add_times(&[("fifo", name), ("shard", shard)], &fifo.waits, WAITS);
    }
}

/// A counter of a transport, as metric, with a label and its value where there are several of one name.
type Counted = (&'static str, &'static str, Option<(&'static str, &'static str)>, u64);

fn counted(of: &TransportSnapshot) -> [Counted; 14] {
    let TransportSnapshot {
        received,
        received_octets,
        sent,
        sent_octets,
        shed_received,
        undelivered,
        shed_sent,
        errors,
        accepted,
        refused,
        connected,
        handshakes,
        handshakes_failed,
        closed,
    } = *of;
    const READ: &str = "Datagrams, messages of WebSockets, or chunks of streams, that were read.";
    const SHED: (&str, &str) = ("sip_transport_shed_total", "Messages dropped because there was no room for them.");
    const BEGUN: (&str, &str) = ("sip_transport_connections_total", "Connections by how they began.");
    const SHAKEN: (&str, &str) = ("sip_transport_handshakes_total", "TLS and WebSocket handshakes.");
    let closed_connections = "Connections that were closed.";
    [
        ("sip_transport_received_total", READ, None, received),
        ("sip_transport_received_bytes_total", "Octets that were read.", None, received_octets),
        ("sip_transport_sent_total", "Messages given whole to the system.", None, sent),
        ("sip_transport_sent_bytes_total", "Octets of those.", None, sent_octets),
        (SHED.0, SHED.1, Some(("direction", "in")), shed_received),
        (SHED.0, SHED.1, Some(("direction", "out")), shed_sent),
        ("sip_transport_undelivered_total", "ICMP errors that say that a datagram did not arrive.", None, undelivered),
        ("sip_transport_errors_total", "Messages that could not be sent, and errors of the sockets.", None, errors),
        (BEGUN.0, BEGUN.1, Some(("event", "accepted")), accepted),
        (BEGUN.0, BEGUN.1, Some(("event", "connected")), connected),
        (BEGUN.0, BEGUN.1, Some(("event", "refused")), refused),
        ("sip_transport_connections_closed_total", closed_connections, None, closed),
        (SHAKEN.0, SHAKEN.1, Some(("outcome", "agreed")), handshakes),
        (SHAKEN.0, SHAKEN.1, Some(("outcome", "failed")), handshakes_failed),
    ]
}

fn transports(all: &Statistics, to: &mut Exposition) {
    let rows: Vec<_> = all.transports.iter().map(|one| (one, counted(&one.counters))).collect();
    let names = rows.first().map_or(&[][..], |(_, counters)| counters.as_slice());
    // Those of one name stand together.
    for family in names.chunk_by(|one, next| one.0 == next.0) {
        let Some((name, help, ..)) = family.first() else { continue };
        let mut to = to.counter(name, help);
        for (one, counters) in &rows {
            for (.., label, value) in counters.iter().filter(|counter| counter.0 == *name) {
                let kind = one.kind.as_param();
                let (label, of) = label.unwrap_or_default();
                let labels: [(&str, &dyn Display); 4] =
                    [("transport", &kind), ("address", &one.bound), ("shard", &one.shard), (label, &of)];
                to.add(if label.is_empty() { &labels[..3] } else { &labels[..] }, value);
            }
        }
    }
    let mut family = to.gauge("sip_transport_connections_open", "Connections that are open.");
    for one in all.transports.iter().filter(|one| one.kind.is_reliable()) {
        family.add(&[("transport", &one.kind.as_param()), ("address", &one.bound), ("shard", &one.shard)], one.open());
    }
    let help = "Datagrams that the kernel dropped before they were read.";
    let mut family = to.counter("sip_transport_kernel_drops_total", help);
    for one in &all.transports {
        if let Some(drops) = one.kernel_drops {
            family.add(&[("transport", &one.kind.as_param()), ("address", &one.bound), ("shard", &one.shard)], drops);
        }
    }
}
