//! The calls that the proxy relays, told as dialogs of the users who have them (RFC 4235), with `events.dialogs_from_calls`.
//!
//! ```text
//!   INVITE ── 18x ──► early ── 2xx ──► confirmed ── BYE, or events.calls_seconds ──► over
//!                       └── any other final answer ──────────────────────────────────► over
//! ```
//!
//! The proxy keeps nothing else of calls that stand. What it does not see it does not know: a BYE that goes another way, a
//! telephone that loses its power; that is why a call is forgotten after a time. What it tells are publications of its own,
//! whose names nobody can write into SIP-If-Match. Neither Call-ID nor tags are told: with them a call could be taken over.

use super::compositor::{Compositor, Resource};
use super::package::Package;
use crate::proxy::aor_key;
use dum::publication::Document;
use parking_lot::Mutex;
use rutil::{HashMap, Keyed, Rng, Time};
use smallvec::SmallVec;
use stack::contents::event::dialog_info::{DialogElement, Direction, Participant, State};
use stack::contents::event::{DialogInfo, DocumentState, EventDocument};
use stack::header::{HeaderError, NameAddr, h, p};
use stack::message::Message;
use stack::uri::Uri;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// How long it is told that a call is over, beside the pause between NOTIFYs.
const OVER: Duration = Duration::from_secs(10);
/// Most who can have taken one call.
const MOST_TAKERS: usize = 16;
/// Most octets that are told of who is called or calls.
const MOST_IDENTITY: usize = 512;

/// Names a call: its Call-ID and the tag of who has called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallKey {
    call_id: Box<str>,
    tag: Box<str>,
}

/// A user who has a call.
#[derive(Clone, Debug)]
struct Party {
    aor: Arc<str>,
    direction: Direction,
    /// Whom he speaks with, if that is to be told.
    remote: Option<Box<str>>,
}

#[derive(Debug)]
struct Call {
    name: u64,
    parties: SmallVec<[Party; 2]>,
    /// The tags of those who have taken it and not hung up: several, where a call that was forked is taken twice.
    taken_by: SmallVec<[Box<str>; 1]>,
    /// What was told last.
    state: State,
    until: Time,
}

#[derive(Debug)]
struct Known {
    calls: HashMap<CallKey, Call>,
    ends: BTreeMap<(Time, u64), CallKey>,
    last: u64,
}

/// The calls that stand, or are being made.
#[derive(Debug)]
pub(super) struct Calls(Mutex<Known>);

/// Who is in a call, as its INVITE says.
#[derive(Debug)]
pub(crate) struct Parties {
    key: CallKey,
    parties: SmallVec<[Party; 2]>,
}

impl Parties {
    /// The users of ours in a call: who calls, and whom the call goes to; none when neither is one.
    pub(crate) fn of(invite: &Message, caller: Option<&str>, called: Option<&str>) -> Option<Self> {
        let (from, to) = (invite.header(h::FROM).ok()?, invite.header(h::TO).ok()?);
        let key =
            CallKey { call_id: (&*invite.header(h::CALL_ID).ok()?.value).into(), tag: from.param(p::TAG)?.into() };
        // RFC 3323: who wants to be nobody is nobody to those who watch either.
        let private = invite.raw_values("Privacy").any(|value| !value.eq_ignore_ascii_case(b"none"));
        let party = |aor: &str, direction, remote| Party { aor: aor.into(), direction, remote };
        let caller = caller.map(|aor| party(aor, Direction::Initiator, identity(&to)));
        let called = called.map(|aor| party(aor, Direction::Recipient, identity(&from).filter(|_| !private)));
        let parties: SmallVec<[Party; 2]> = caller.into_iter().chain(called).collect();
        (!parties.is_empty()).then_some(Parties { key, parties })
    }
}

fn tag_of(header: Result<NameAddr<'_>, HeaderError>) -> Option<Box<str>> {
    header.ok()?.param(p::TAG).map(Into::into)
}

/// Whether the proxy itself has published something. What a client names in SIP-If-Match has no space.
pub(super) fn is_of_call(document: &Document) -> bool {
    names_call(&document.etag)
}

/// Whether an entity-tag is that of a call that the proxy tells.
pub(super) fn names_call(etag: &str) -> bool {
    etag.starts_with(' ')
}

/// Whom a header names, as it is told.
fn identity(addr: &NameAddr<'_>) -> Option<Box<str>> {
    let text = match &addr.uri {
        Uri::Sip(uri) => format!("sip:{}", aor_key(uri.clone())),
        other => other.aor_key(),
    };
    (text.len() <= MOST_IDENTITY).then(|| text.into())
}

impl CallKey {
    /// The calls that a request within a dialog may belong to, each with the tag of who was called: who sends it has called,
    /// or was called.
    fn of_request(request: &Message) -> Option<[(CallKey, Box<str>); 2]> {
        let call_id: Box<str> = (&*request.header(h::CALL_ID).ok()?.value).into();
        let (from, to) = (tag_of(request.header(h::FROM))?, tag_of(request.header(h::TO))?);
        let key = |tag: &str| CallKey { call_id: call_id.clone(), tag: tag.into() };
        Some([(key(&from), to.clone()), (key(&to), from)])
    }
}

impl Calls {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let calls = HashMap::with_hasher(Keyed::new(rng));
        // Other nodes tell calls of the same users.
        Calls(Mutex::new(Known { calls, ends: BTreeMap::new(), last: rng.next_u64() >> 1 }))
    }
}

impl Compositor {
    /// A call is being made; what names it, if there is room to tell of it.
    pub(crate) fn call_begins(&self, parties: Parties, now: Time) -> Option<CallKey> {
        let mut known = self.calls.0.lock();
        let until = now + Duration::from_secs(self.limits.calls_seconds.into());
        let known = &mut *known;
        while let Some(first) = known.ends.first_entry().filter(|first| first.key().0 <= now) {
            known.calls.remove(&first.remove());
        }
        if known.calls.len() >= self.limits.publications || known.calls.contains_key(&parties.key) {
            return None;
        }
        known.last += 1;
        let (name, Parties { key, parties }) = (known.last, parties);
        known.ends.insert((until, name), key.clone());
        known.calls.insert(key.clone(), Call { name, parties, taken_by: SmallVec::new(), state: State::Trying, until });
        Some(key)
    }

    /// Somebody who is called has said something.
    pub(crate) fn call_rings(&self, key: &CallKey, now: Time) {
        self.call_is(key, State::Early, now);
    }

    /// Somebody has taken it, as a 2xx says.
    pub(crate) fn call_stands(&self, key: &CallKey, success: &Message, now: Time) {
        if let (Some(tag), Some(call)) = (tag_of(success.header(h::TO)), self.calls.0.lock().calls.get_mut(key))
            && !call.taken_by.contains(&tag)
            && call.taken_by.len() < MOST_TAKERS
        {
            call.taken_by.push(tag);
        }
        self.call_is(key, State::Confirmed, now);
    }

    /// Nobody has taken it.
    pub(crate) fn call_failed(&self, key: &CallKey, now: Time) {
        self.call_is(key, State::Terminated, now);
    }

    /// A BYE was sent on: it ends a call that nobody else has taken and not hung up.
    pub(crate) fn call_ends(&self, bye: &Message, now: Time) {
        for (key, called) in CallKey::of_request(bye).into_iter().flatten() {
            let is_over = self.calls.0.lock().calls.get_mut(&key).is_some_and(|call| {
                call.taken_by.retain(|tag| *tag != called);
                call.taken_by.is_empty()
            });
            if is_over {
                self.call_is(&key, State::Terminated, now);
            }
        }
    }

    fn call_is(&self, key: &CallKey, state: State, now: Time) {
        // Held while it is told: so what is told last is what was so last.
        let mut known = self.calls.0.lock();
        let known = &mut *known;
        let Some(call) = known.calls.get_mut(key) else { return };
        let old = std::mem::replace(&mut call.state, state);
        // Whoever is called besides rings when it stands already.
        if old == state || old == State::Confirmed && state == State::Early {
            call.state = old;
            return;
        }
        let over = state == State::Terminated;
        let expires = if over { now + self.limits.throttle() + OVER } else { call.until };
        // What was never told is not over either.
        let silent = over && old == State::Trying;
        for party in call.parties.iter().filter(|_| !silent) {
            let resource = Resource { package: Package::Dialog, aor: party.aor.clone() };
            let document = party.document(call.name, state, expires);
            let gone = (old != State::Trying).then(|| party.etag(call.name, old));
            if self.replace(&resource, gone.as_deref(), Some(document), now).is_err() {
                tracing::debug!(aor = &*party.aor, "no room to tell of a call");
            }
        }
        if over && let Some(call) = known.calls.remove(key) {
            known.ends.remove(&(call.until, call.name));
        }
    }
}

impl Party {
    /// No token: what names a publication in SIP-If-Match is one.
    fn etag(&self, call: u64, state: State) -> String {
        let mut etag = String::with_capacity(40);
        // Writing to a text does not fail.
        let _ = write!(etag, " {call:x} {} {state}", self.direction);
        etag
    }

    fn document(&self, call: u64, state: State, expires: Time) -> Document {
        let entity = format!("sip:{}", self.aor);
        let side = |uri: &str| Participant { identity: Some(uri.to_owned()), ..Participant::default() };
        let dialog = DialogElement {
            direction: Some(self.direction),
            local: Some(side(&entity)),
            remote: self.remote.as_deref().map(side),
            ..DialogElement::new(format!("{call:x}"), state)
        };
        let info = DialogInfo { version: 0, state: DocumentState::Full, entity, dialogs: vec![dialog] };
        let (main, sub) = DialogInfo::MEDIA_TYPE;
        let (etag, content_type) = (self.etag(call, state), format!("{main}/{sub}"));
        Document { etag, content_type, body: info.print(), expires }
    }
}
