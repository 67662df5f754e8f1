//! Traces of calls.

use super::{Call, Outcome, Refused};
use crate::admin::traces::{LONGEST, Traced, Traces, Tracing};
use crate::provisioning::one_line;
use rutil::Time;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long one lasts unless the request says so, seconds.
const USUAL: u64 = 300;
/// Most octets of a Call-ID.
const MOST_CALL_ID: usize = 256;

fn known(call: &Call<'_>, trace: &Tracing) -> Value {
    let (now, at) = (call.parts.now(), |at: Time| call.parts.server.timestamp(at));
    json!({
        "call_id": trace.call_id,
        "began_at": at(trace.began),
        "ends_at": at(trace.until),
        "recording": trace.until > now,
        "seconds_left": trace.until.since(now).as_secs_f64().ceil() as u64,
        "messages": trace.messages,
        "left_out": trace.left_out,
    })
}

fn shown(call: &Call<'_>, traced: &Traced) -> Value {
    let (peer, own) = match traced.sent {
        true => (traced.destination, traced.source),
        false => (traced.source, traced.destination),
    };
    json!({
        "at": call.parts.server.timestamp(traced.at),
        "direction": if traced.sent { "sent" } else { "received" },
        "transport": traced.transport.as_param(),
        "peer": peer.to_string(),
        "local": own.to_string(),
        "text": &*traced.text,
    })
}

fn traces<'a>(call: &'a Call<'_>) -> &'a Arc<Traces> {
    &call.parts.traces
}

pub(super) fn list(call: &Call<'_>) -> Outcome {
    let items: Vec<Value> = traces(call).list().iter().map(|trace| known(call, trace)).collect();
    Ok((200, json!({"total": items.len(), "items": items, "lost": traces(call).lost()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    call_id: String,
    seconds: Option<u64>,
}

pub(super) fn begin(call: &Call<'_>) -> Outcome {
    let Wanted { call_id, seconds } = call.read()?;
    let is_word = |c: char| !c.is_control() && !c.is_whitespace();
    if !(1..=MOST_CALL_ID).contains(&call_id.len()) || !call_id.chars().all(is_word) {
        let what = format!("expected a Call-ID: 1 to {MOST_CALL_ID} octets without spaces");
        return Err(Refused::field(422, "call_id", what));
    }
    let (seconds, most) = (seconds.unwrap_or(USUAL), LONGEST.as_secs());
    if !(1..=most).contains(&seconds) {
        return Err(Refused::field(422, "seconds", format!("expected 1 to {most}")));
    }
    let begun = traces(call).begin(&call_id, Duration::from_secs(seconds), call.parts.now());
    let (trace, is_new) = begun.map_err(|error| Refused::new(409, error.to_string()))?;
    tracing::warn!(call_id = one_line(&call_id), seconds, "an operator traces a call");
    Ok((if is_new { 201 } else { 200 }, known(call, &trace)))
}

pub(super) fn read(call: &Call<'_>) -> Outcome {
    let call_id = call.name(0);
    let (trace, messages) = traces(call).read(call_id).ok_or_else(|| Refused::not_found("trace of", call_id))?;
    let mut told = known(call, &trace);
    told["items"] = messages.iter().map(|traced| shown(call, traced)).collect();
    Ok((200, told))
}

pub(super) fn end(call: &Call<'_>) -> Outcome {
    let call_id = call.name(0);
    let ended = traces(call).end(call_id).ok_or_else(|| Refused::not_found("trace of", call_id))?;
    tracing::warn!(call_id = one_line(call_id), "an operator has ended a trace");
    Ok((200, json!({"removed": call_id, "messages": ended.messages})))
}
