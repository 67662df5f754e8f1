//! What the proxy does at this moment, and the levers that are no records.

use super::{Call, Outcome, Refused};
use crate::provisioning::one_line;
use rutil::stats::Snapshot;
use serde::Deserialize;
use serde_json::{Value, json};
use stack::transaction::TransactionInfo;
use stack::uri::Uri;
use std::net::IpAddr;
use std::time::Duration;

/// The longest ban: a year.
const LONGEST_BAN: u64 = 365 * 86_400;

pub(super) fn status(call: &Call<'_>) -> Outcome {
    let (parts, ready) = (call.parts, call.operation.ready());
    let (server, location) = (&parts.server, parts.server.location());
    let published = parts.journal.published();
    let transports: Vec<Value> = (parts.stack.transports().iter().filter(|one| one.shard == 0))
        .map(|one| json!({"transport": one.kind.as_param(), "address": one.bound.to_string()}))
        .collect();
    let store = parts.has_store().then(|| {
        json!({
            "path": server.config().store.as_ref().map(|store| store.path.display().to_string()),
            "writable": !parts.journal.is_failing(),
            "waiting": parts.journal.waiting(),
        })
    });
    let accounting = server.accounting().map(|accounting| {
        json!({
            "writable": !accounting.is_failing(),
            "written": accounting.written(),
            "shed": accounting.shed(),
            "waiting": accounting.waiting(),
        })
    });
    let cluster = server.cluster().map(|cluster| {
        let nodes = cluster.nodes().all();
        json!({
            "node": cluster.own().node,
            "connected": cluster.is_connected(),
            "nodes": nodes.len(),
            "alive": nodes.iter().filter(|node| node.is_alive()).count(),
        })
    });
    Ok((
        200,
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": ready.is_ok(),
            "why_not": ready.err().map(|why| why.to_string()),
            "started_at": server.unix_seconds(rutil::Time::ZERO),
            "uptime_seconds": parts.now().since(rutil::Time::ZERO).as_secs(),
            "transports": transports,
            "bindings": location.len_of_bindings(),
            "addresses_of_record": location.len(),
            "users": published.map(|published| published.provisioning.users()),
            "silo_messages": server.silo().map(|silo| silo.len()),
            "publications": server.compositor().len(),
            "store": store,
            "accounting": accounting,
            "cluster": cluster,
        }),
    ))
}

/// A distribution of times, in seconds.
fn times(of: &Snapshot) -> Value {
    let at = |q| of.quantile(q).as_secs_f64();
    json!({
        "count": of.count(), "sum": of.sum().as_secs_f64(), "mean": of.mean().as_secs_f64(),
        "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": of.max().as_secs_f64(),
    })
}

pub(super) fn statistics(call: &Call<'_>) -> Outcome {
    let all = call.parts.stack.statistics();
    let requests: Vec<Value> = (all.requests.iter())
        .map(|one| json!({"method": one.method, "received": one.received, "sent": one.sent}))
        .collect();
    let responses: Vec<Value> = (all.responses.iter())
        .map(|one| {
            let to = if one.to_invite { "INVITE" } else { "other" };
            json!({"to": to, "code": one.code, "received": one.received, "sent": one.sent})
        })
        .collect();
    let transports: Vec<Value> = (all.transports.iter())
        .map(|one| {
            json!({
                "transport": one.kind.as_param(), "address": one.bound.to_string(), "shard": one.shard,
                "received": one.counters.received, "sent": one.counters.sent, "open": one.open(),
                "kernel_drops": one.kernel_drops, "errors": one.counters.errors,
            })
        })
        .collect();
    let fifos: Vec<Value> = (all.fifos.iter())
        .map(|one| {
            json!({
                "fifo": one.name, "shard": one.shard, "depth": one.depth, "peak": one.peak, "capacity": one.capacity,
                "passed": one.passed, "refused": one.refused, "wait_p99": one.waits.quantile(0.99).as_secs_f64(),
            })
        })
        .collect();
    let (t, s, d) = (&all.transactions, &all.scanner, &all.dns);
    Ok((
        200,
        json!({
            "uptime_seconds": all.uptime.as_secs_f64(),
            "requests": requests,
            "responses": responses,
            "invite_times": times(&all.invite_times),
            "other_times": times(&all.non_invite_times),
            "transactions": {
                "clients": t.clients, "servers": t.servers, "clients_alive": t.clients_alive,
                "servers_alive": t.servers_alive, "retransmitted": t.retransmitted, "timeouts": t.timeouts,
                "transport_failures": t.transport_failures, "failovers": t.failovers, "no_ack": t.no_ack,
            },
            "refused": {
                "malformed": s.refused, "overload": s.overload, "source_rate": s.excess, "no_room": t.refused,
                "merged": t.merged,
            },
            "dropped": {"garbage": s.garbage, "overload": s.dropped, "banned": s.banned},
            "overload": {
                "zone": format!("{:?}", all.overload.zone), "load_percent": all.overload.load,
                "admitted": all.overload.admitted(),
            },
            "dns": {"asked": d.asked, "answered": d.answered, "not_found": d.not_found, "failed": d.failed,
                "timed_out": d.timed_out, "times": times(&all.dns_times)},
            "banned": all.banned,
            "transports": transports,
            "fifos": fifos,
        }),
    ))
}

pub(super) fn transactions(call: &Call<'_>) -> Outcome {
    let all = call.parts.stack.statistics();
    let states: Vec<Value> =
        (all.states.iter()).map(|one| json!({"kind": one.kind, "state": one.state, "alive": one.alive})).collect();
    let (clients, servers) = (all.transactions.clients_alive, all.transactions.servers_alive);
    let (limit, retired) = (call.limit()?, call.flag("retired")?);
    let busy = |_| Refused::new(503, "a shard has no time to say which transactions it has: try again");
    let (found, total) = call.parts.stack.transactions(limit, retired).map_err(busy)?;
    let items: Vec<Value> = found.iter().map(transaction).collect();
    Ok((
        200,
        json!({
            "clients_alive": clients, "servers_alive": servers, "states": states, "items": items, "total": total,
        }),
    ))
}

fn transaction(one: &TransactionInfo) -> Value {
    json!({
        "shard": one.shard, "kind": one.kind, "state": one.state, "pending": one.pending, "method": one.method,
        "call_id": one.call_id, "branch": one.branch, "transport": one.transport.map(|kind| kind.as_param()),
        "peer": one.peer.map(|peer| peer.to_string()), "age_seconds": one.age.as_secs_f64(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    in_service: bool,
    /// One contact of the trunk; without it all.
    contact: Option<String>,
}

pub(super) fn service(call: &Call<'_>) -> Outcome {
    let Service { in_service, contact } = call.read()?;
    let name = call.name(0);
    let published = call.parts.journal.published();
    let trunks = published.iter().flat_map(|published| published.provisioning.trunks.iter());
    let trunk = trunks.into_iter().find(|trunk| trunk.record.name == name);
    let trunk = trunk.ok_or_else(|| Refused::not_found("trunk", name))?;
    let wanted = contact.as_deref().map(Uri::parse_request).transpose();
    let Ok(wanted) = wanted else {
        return Err(Refused::field(422, "contact", "expected the URI of a contact of this trunk"));
    };
    let meant = |uri: &stack::uri::SipUri<'static>| match (&wanted, &contact) {
        (Some(Uri::Sip(wanted)), _) => uri == wanted,
        (wanted, _) => wanted.is_none(),
    };
    let contacts: Vec<_> = trunk.contacts.iter().filter(|contact| meant(contact.uri())).collect();
    if contacts.is_empty() {
        return Err(Refused::field(404, "contact", "the trunk has no such contact"));
    }
    for contact in &contacts {
        contact.health.force(!in_service);
        tracing::warn!(trunk = name, contact = %contact.uri(), in_service, "an operator has decided");
    }
    Ok((200, json!({"trunk": name, "contacts": contacts.len(), "in_service": in_service})))
}

pub(super) fn bans(call: &Call<'_>) -> Outcome {
    let bans: Vec<Value> = (call.parts.stack.bans().list().into_iter())
        .map(|(address, left)| json!({"address": address.to_string(), "seconds": left.as_secs().max(1)}))
        .collect();
    Ok((200, json!({"total": bans.len(), "items": bans})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBan {
    address: String,
    seconds: u64,
}

/// The address of who is banned.
fn source(text: &str) -> Result<IpAddr, Refused> {
    text.parse().map_err(|_| Refused::field(400, "address", format!("{}: expected an IP address", one_line(text))))
}

pub(super) fn ban(call: &Call<'_>) -> Outcome {
    let NewBan { address, seconds } = call.read()?;
    let address = source(&address)?;
    if !(1..=LONGEST_BAN).contains(&seconds) {
        return Err(Refused::field(422, "seconds", format!("expected 1 to {LONGEST_BAN}")));
    }
    call.parts.stack.bans().ban(address, Duration::from_secs(seconds));
    tracing::warn!(%address, seconds, "banned by an operator");
    Ok((201, json!({"address": address.to_string(), "seconds": seconds})))
}

pub(super) fn lift(call: &Call<'_>) -> Outcome {
    let text = call.name(0);
    let address = source(text)?;
    // Else its next wrong guess, or even a right one, would have it banned again.
    call.parts.server.auth().into_iter().for_each(|auth| auth.forgive(address));
    if !call.parts.stack.bans().lift(address) {
        return Err(Refused::not_found("ban of", text));
    }
    tracing::warn!(%address, "a ban was lifted by an operator");
    Ok((200, json!({"removed": address.to_string()})))
}

pub(super) fn log(_: &Call<'_>) -> Outcome {
    Ok((200, json!({"filter": rutil::log::filter()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFilter {
    filter: String,
}

pub(super) fn set_log(call: &Call<'_>) -> Outcome {
    let NewFilter { filter } = call.read()?;
    rutil::log::set_filter(&filter).map_err(|error| Refused::field(422, "filter", one_line(&error.to_string())))?;
    tracing::warn!(filter = one_line(&filter), "an operator has changed the filter of the log");
    Ok((200, json!({"filter": filter})))
}

pub(super) fn reload(call: &Call<'_>) -> Outcome {
    let said = call.control.reload().map_err(|error| Refused::new(409, error))?;
    Ok((200, json!({"reloaded": said})))
}

pub(super) fn drain(call: &Call<'_>) -> Outcome {
    call.control.drain();
    let most = call.parts.server.config().drain_seconds;
    Ok((202, json!({"draining": true, "most_seconds": most})))
}
