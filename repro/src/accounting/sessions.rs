//! The sessions that stand, for the lines of their ends: who was the caller, and for how long they spoke.
//!
//! It is the only place that knows of calls that stand, and nothing but a line depends on it: the proxies keep nothing of
//! them. Bounded: of [`MOST_SESSIONS`] and one more the oldest is forgotten.

use super::event::{Bye, Call, Destination};
use hashlink::LinkedHashMap;
use rutil::hash::Keyed;
use rutil::{Rng, Time};
use std::sync::Arc;

/// Most sessions.
const MOST_SESSIONS: usize = 100_000;

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
    most: usize,
}

fn key(call_id: &str, caller: &str, callee: &str) -> Box<str> {
    // None of them has a space.
    [call_id, caller, callee].join(" ").into()
}

impl Sessions {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Sessions { by_dialog: LinkedHashMap::with_hasher(Keyed::new(rng)), most: MOST_SESSIONS }
    }

    pub(super) fn begin(&mut self, session: Session) {
        let key = key(&session.call.call_id, &session.call.from_tag, &session.to_tag);
        self.by_dialog.insert(key, session);
        if self.by_dialog.len() > self.most {
            self.by_dialog.pop_front();
        }
    }

    /// The session that a BYE ends, if it is known, and whether its caller has sent it.
    pub(super) fn end(&mut self, bye: &Bye) -> Option<(Session, bool)> {
        let mut take = |caller, callee| self.by_dialog.remove(&key(&bye.call_id, caller, callee));
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
}
