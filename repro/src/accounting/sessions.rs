//! The sessions that stand, for the lines of their ends: who was the caller, and for how long they spoke.
//!
//! It is the only place that knows of calls that stand, and nothing but a line depends on it: the proxies keep nothing of
//! them. Bounded: beyond [`MOST_SESSIONS`], or [`MOST_OCTETS`] of what they say, the oldest are forgotten.

use super::event::{Bye, Call, Destination};
use hashlink::LinkedHashMap;
use rutil::hash::Keyed;
use rutil::{Rng, Time};
use std::sync::Arc;

/// Most sessions.
const MOST_SESSIONS: usize = 100_000;
/// Most octets of all of them.
const MOST_OCTETS: usize = 128 << 20;
/// What a session costs beside its texts.
const OVERHEAD: usize = 512;

/// A session that stands.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) call: Arc<Call>,
    pub(super) to_tag: Box<str>,
    pub(super) answered: Time,
    pub(super) destination: Option<Destination>,
}

/// Those that stand, the oldest first, by Call-ID and the tags of caller and callee.
pub(super) struct Sessions {
    by_dialog: LinkedHashMap<Box<str>, Session, Keyed>,
    octets: usize,
    most: usize,
    most_octets: usize,
}

impl Session {
    fn octets(&self) -> usize {
        let Call { call_id, from, from_tag, to, request_uri, user, peer, diversions, .. } = &*self.call;
        let uri = self.destination.as_ref().map_or(0, |to| to.uri.len());
        let optional: usize = [user, peer].into_iter().flatten().map(|text| text.len()).sum();
        let diverted: usize = diversions.iter().map(|text| text.len()).sum();
        // Call-ID and tags are in its key as well.
        let named = call_id.len() + from_tag.len() + self.to_tag.len();
        OVERHEAD + 2 * named + from.len() + to.len() + request_uri.len() + optional + diverted + uri
    }
}

fn key(call_id: &str, caller: &str, callee: &str) -> Box<str> {
    // None of them has a space.
    [call_id, caller, callee].join(" ").into()
}

impl Sessions {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let by_dialog = LinkedHashMap::with_hasher(Keyed::new(rng));
        Sessions { by_dialog, octets: 0, most: MOST_SESSIONS, most_octets: MOST_OCTETS }
    }

    pub(super) fn begin(&mut self, session: Session) {
        let key = key(&session.call.call_id, &session.call.from_tag, &session.to_tag);
        self.octets += session.octets();
        self.octets -= self.by_dialog.insert(key, session).map_or(0, |old| old.octets());
        while self.by_dialog.len() > self.most || self.octets > self.most_octets {
            let Some((_, oldest)) = self.by_dialog.pop_front() else { return };
            self.octets -= oldest.octets();
        }
    }

    /// The session that a BYE ends, if it is known, and whether its caller has sent it.
    pub(super) fn end(&mut self, bye: &Bye) -> Option<(Session, bool)> {
        let mut take = |caller, callee| {
            let session = self.by_dialog.remove(&key(&bye.call_id, caller, callee))?;
            self.octets -= session.octets();
            Some(session)
        };
        let by_caller = take(&bye.from_tag, &bye.to_tag).map(|session| (session, true));
        by_caller.or_else(|| take(&bye.to_tag, &bye.from_tag).map(|session| (session, false)))
    }

    pub(super) fn len(&self) -> usize {
        self.by_dialog.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(call_id: &str) -> Session {
        let call = Call { call_id: call_id.into(), from_tag: "a".into(), ..Call::default() };
        Session { call: Arc::new(call), to_tag: "b".into(), answered: Time::ZERO, destination: None }
    }

    fn bye(call_id: &str, from: &str, to: &str) -> Bye {
        Bye { call_id: call_id.into(), from_tag: from.into(), to_tag: to.into(), ..Bye::default() }
    }

    #[test]
    fn either_side_ends_it_once_and_nobody_else() {
        let mut sessions = Sessions::new(&mut Rng::from_seed(1));
        sessions.begin(session("1"));
        sessions.begin(session("2"));
        assert!(sessions.end(&bye("1", "a", "x")).is_none() && sessions.end(&bye("3", "a", "b")).is_none());
        assert_eq!(sessions.end(&bye("1", "a", "b")).map(|(_, by_caller)| by_caller), Some(true));
        assert_eq!(sessions.end(&bye("2", "b", "a")).map(|(_, by_caller)| by_caller), Some(false));
        assert!(sessions.end(&bye("1", "a", "b")).is_none() && sessions.len() == 0);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut sessions = Sessions { most: 2, ..Sessions::new(&mut Rng::from_seed(1)) };
        ["1", "2", "3"].into_iter().for_each(|call_id| sessions.begin(session(call_id)));
        assert!(sessions.end(&bye("1", "a", "b")).is_none() && sessions.end(&bye("2", "a", "b")).is_some());
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn what_they_say_is_bounded_too() {
        let new = || Sessions { most_octets: 10_000, ..Sessions::new(&mut Rng::from_seed(1)) };
        let mut sessions = new();
        let begin = |sessions: &mut Sessions, id: u32, octets: usize| {
            let call = Call { from: "x".repeat(octets).into(), ..Call::default() };
            let call = Call { call_id: id.to_string().into(), from_tag: "a".into(), ..call };
            let (to_tag, answered) = ("b".into(), Time::ZERO);
            sessions.begin(Session { call: Arc::new(call), to_tag, answered, destination: None });
        };
        // The second says the same dialog again; the large one takes the place of several.
        [1, 1, 2, 3, 4].into_iter().for_each(|id| begin(&mut sessions, id, 1_000));
        assert_eq!(sessions.len(), 4);
        begin(&mut sessions, 5, 7_000);
        assert!(sessions.end(&bye("3", "a", "b")).is_none() && sessions.end(&bye("4", "a", "b")).is_some());
        assert!(sessions.end(&bye("5", "a", "b")).is_some());
        assert_eq!((sessions.len(), sessions.octets), (0, 0));
    }
}
