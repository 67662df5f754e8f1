//! Who diverted a call, why, and how often (Diversion, RFC 5806).

use crate::proxy::aor_key;
use stack::header::{NameAddr, h, p};
use stack::message::Message;
use stack::uri::Uri;
use std::sync::Arc;

/// Why a call was diverted (RFC 5806 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiversionReason {
    /// All calls are.
    Unconditional,
    /// The user is busy.
    UserBusy,
    /// The user has not answered.
    NoAnswer,
    /// The user is not registered, or cannot be reached.
    Unavailable,
    /// The user's phone has redirected it.
    Deflection,
}

impl DiversionReason {
    /// As it stands in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            DiversionReason::Unconditional => "unconditional",
            DiversionReason::UserBusy => "user-busy",
            DiversionReason::NoAnswer => "no-answer",
            DiversionReason::Unavailable => "unavailable",
            DiversionReason::Deflection => "deflection",
        }
    }
}

/// One turn on the way of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// Who diverted it, a URI.
    pub by: Arc<str>,
    /// Why.
    pub reason: DiversionReason,
    /// The status that it failed with there, or that stands for the reason.
    pub cause: u16,
    /// Where it went, a URI.
    pub to: Arc<str>,
}

/// How a call has come to a target that is not what its Request-URI says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retarget {
    /// The Request-URI that it came with.
    pub asked: Arc<str>,
    /// The turns, the first first; none when the target is a member of the group that was called.
    pub diversions: Vec<Diversion>,
    /// Whose contact the target is, an address-of-record; empty: nobody's.
    pub aor: String,
}

/// The turns of a call so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(super) asked: Arc<str>,
    pub(super) diversions: Vec<Diversion>,
}

/// A call has turned too often, or comes back to who diverted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a diversion loop")]
pub(crate) struct Loop;

impl Chain {
    /// No turn yet; `asked` is the Request-URI.
    pub(crate) fn new(asked: &[u8]) -> Self {
        Chain { asked: String::from_utf8_lossy(asked).into(), diversions: Vec::new() }
    }

    /// The chain that led to a target.
    pub(crate) fn of(retarget: &Retarget) -> Self {
        Chain { asked: retarget.asked.clone(), diversions: retarget.diversions.clone() }
    }

    /// What a target keeps of it that is a contact of `aor`.
    pub(crate) fn retarget(&self, aor: &str) -> Arc<Retarget> {
        Arc::new(Retarget { asked: self.asked.clone(), diversions: self.diversions.clone(), aor: aor.to_owned() })
    }

    /// Whether somebody has diverted the call already.
    pub(super) fn diverted_by(&self, by: &str) -> bool {
        self.diversions.iter().any(|turn| &*turn.by == by)
    }

    /// Takes another turn; `most` of them, with those that the request came with, are allowed.
    pub(crate) fn divert(&mut self, turn: Diversion, request: &Message, most: u32) -> Result<(), Loop> {
        let before = Before::read(request, &turn.by);
        let taken = before.count.saturating_add(self.diversions.len() as u32);
        if taken >= most.min(before.limit) || before.has_it || self.diverted_by(&turn.by) {
            tracing::debug!(by = &*turn.by, taken, "diversion loop");
            return Err(Loop);
        }
        self.diversions.push(turn);
        Ok(())
    }
}

/// What the Diversions say that a request came with.
struct Before {
    /// How many turns they stand for.
    count: u32,
    /// The least limit that one of them names.
    limit: u32,
    /// Whether one of them is of the same user.
    has_it: bool,
}

impl Before {
    fn read(request: &Message, by: &str) -> Before {
        let key = |uri: &Uri<'_>| uri.sip().map(|sip| aor_key(sip.clone()));
        let own = Uri::parse(by).ok().as_ref().and_then(key);
        let mut before = Before { count: 0, limit: u32::MAX, has_it: false };
        for value in request.header(h::DIVERSIONS) {
            // What cannot be read is a turn all the same.
            let (counter, limit, is_it) = value.map_or((None, None, false), |value: NameAddr<'_>| {
                (value.param(p::COUNTER), value.param(p::LIMIT), own.is_some() && key(&value.uri) == own)
            });
            before.count = before.count.saturating_add(counter.unwrap_or(1).max(1));
            before.limit = before.limit.min(limit.unwrap_or(u32::MAX));
            before.has_it |= is_it;
        }
        before
    }
}

/// Writes the turns of a call into its copy for a target, the last on top (RFC 5806 §5).
pub(crate) fn write_diversions(request: &mut Message, retarget: &Retarget) {
    for Diversion { by, reason, .. } in &retarget.diversions {
        request.push_front(h::DIVERSIONS, &format_args!("<{by}>;reason={};counter=1", reason.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &str) -> Message {
        let text = format!("INVITE sip:bob@h SIP/2.0\r\n{lines}Content-Length: 0\r\n\r\n");
        Message::parse(text.as_bytes()).unwrap()
    }

    fn turn(by: &str) -> Diversion {
        let (reason, to) = (DiversionReason::UserBusy, "sip:carol@h".into());
        Diversion { by: by.into(), reason, cause: 486, to }
    }

    /// Who has diverted after so many turns.
    fn diverts(lines: &str, by: &[&str]) -> Result<usize, Loop> {
        let (mut chain, request) = (Chain::new(b"sip:bob@h"), request(lines));
        by.iter().try_for_each(|by| chain.divert(turn(by), &request, 3))?;
        Ok(chain.diversions.len())
    }

    #[test]
    fn turns_are_counted_with_those_of_others() {
        let (a, b, c, d) = ("sip:a@h", "sip:b@h", "sip:c@h", "sip:d@h");
        for (lines, by, result) in [
            ("", &[a, b, c][..], Ok(3)),
            ("", &[a, b, c, d], Err(Loop)),
            ("", &[a, b, a], Err(Loop)),
            ("Diversion: <sip:x@y>;reason=unknown\r\nDiversion: <tel:+1>, <sip:b@h:5060>\r\n", &[a], Err(Loop)),
            ("Diversion: <sip:x@y>;counter=2\r\n", &[a], Ok(1)),
            ("Diversion: <sip:x@y>;counter=4294967295, <sip:x@y>;counter=9\r\n", &[a], Err(Loop)),
            ("Diversion: <sip:x@y>;counter=0;limit=2\r\n", &[a], Ok(1)),
            ("Diversion: <sip:x@y>;counter=0;limit=2\r\n", &[a, b], Err(Loop)),
            ("Diversion: <sip:%61@H;x=y>;reason=no-answer\r\n", &[a], Err(Loop)),
            ("Diversion: <<<\r\n", &[a, b], Ok(2)),
            ("Diversion: <<<\r\n", &[a, b, c], Err(Loop)),
        ] {
            assert_eq!(diverts(lines, by), result, "{lines} {by:?}");
        }
    }

    #[test]
    fn the_last_turn_is_on_top() {
        let mut request = request("Diversion: <sip:x@y>;reason=unknown\r\n");
        let mut chain = Chain::new(b"sip:bob@h");
        for by in ["sip:a@h", "sip:b@h"] {
            chain.divert(turn(by), &request, 5).unwrap();
        }
        write_diversions(&mut request, &chain.retarget(""));
        let values: Vec<_> = request.header(h::DIVERSIONS).texts().map(Result::unwrap).collect();
        let [b, a] = ["<sip:b@h>;reason=user-busy;counter=1", "<sip:a@h>;reason=user-busy;counter=1"];
        assert_eq!(values, [b, a, "<sip:x@y>;reason=unknown"]);
    }
}
