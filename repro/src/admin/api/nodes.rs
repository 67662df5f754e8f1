//! The nodes that share their bindings.

use super::{Call, Outcome};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) fn list(call: &Call<'_>) -> Outcome {
    let Some(cluster) = call.parts.server.cluster() else {
        return Ok((
            200,
            json!({"node": null, "connected": null, "waiting": 0, "counts": {}, "total": 0, "items": []}),
        ));
    };
    let own = cluster.own();
    let items: Vec<Value> = (own.nodes.all().iter())
        .map(|node| {
            json!({
                "node": node.name(),
                "own": node.name() == own.node,
                "alive": node.is_alive(),
                "draining": node.is_draining(),
                "silent_seconds": node.silent_ms() as f64 / 1000.0,
            })
        })
        .collect();
    let (count, counts) = (|counter: &AtomicU64| counter.load(Ordering::Relaxed), &cluster.counts);
    Ok((
        200,
        json!({
            "node": own.node,
            "connected": cluster.is_connected(),
            "waiting": cluster.waiting(),
            "counts": {
                "written": count(&counts.written), "taken_over": count(&counts.taken_over),
                "refused": count(&counts.refused), "restored": count(&counts.restored), "lost": count(&counts.lost),
            },
            "total": items.len(),
            "items": items,
        }),
    ))
}
