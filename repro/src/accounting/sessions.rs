//! The sessions that stand, for the lines of their ends: who was the caller, and for how long they spoke.
//!
//! It is the only place that knows of calls that stand, and nothing but a line depends on it: the proxies keep nothing of
//! them. Bounded: beyond [`MOST_SESSIONS`], or [`MOST_OCTETS`] of what they say, the oldest are forgotten.
//!
//! A call whose INVITE passes twice (a spiral, RFC 5393 §3) is one dialog and two sessions: each pass has a source and a target
//! of its own, and whoever bills needs both. A BYE ends all of them, whether it passes as often or not.

use super::event::{Bye, Call, Destination};
use hashlink::LinkedHashMap;
use rutil::hash::Keyed;
use rutil::{Rng, Time};
use smallvec::SmallVec;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

/// Most sessions.
const MOST_SESSIONS: usize = 100_000;
/// Most octets of all of them.
const MOST_OCTETS: usize = 128 << 20;
/// Most sessions of a dialog: an INVITE passes no more often than its Max-Forwards has it, 70 as a rule (RFC 3261 §8.1.1.6).
const MOST_PASSES: usize = 70;
/// What a session costs beside its texts.
const OVERHEAD: usize = 512;

/// How long another BYE of a session that has ended is none: both sides hang up at once. A transaction lasts as long
/// (RFC 3261 §17.1.2.2).
const CROSSING: Duration = Duration::from_secs(32);
/// Most sessions whose end is remembered.
const MOST_OVER: usize = 65_536;

/// A session that stands.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) call: Arc<Call>,
    pub(super) to_tag: Box<str>,
    pub(super) answered: Time,
    pub(super) destination: Option<Destination>,
}

/// The sessions of a dialog, in the order in which they were answered.
type Dialog = SmallVec<[Session; 1]>;

/// What a BYE ends.
#[derive(Debug)]
pub(super) enum Ended {
    /// Those that stood, and whether their caller has sent the BYE.
    Sessions(Box<Dialog>, bool),
    /// One that has ended a moment ago.
    Again,
    /// One that nothing is known of.
    Unknown,
}

/// Those that stand, the oldest first, by Call-ID and the tags of caller and callee.
pub(super) struct Sessions {
    by_dialog: LinkedHashMap<Box<str>, Dialog, Keyed>,
    /// When those have ended that ended last, by the hash of their names.
    over: LinkedHashMap<u64, Time, Keyed>,
    count: usize,
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
        let hasher = Keyed::new(rng);
        let (by_dialog, over) = (LinkedHashMap::with_hasher(hasher.clone()), LinkedHashMap::with_hasher(hasher));
        Sessions { by_dialog, over, count: 0, octets: 0, most: MOST_SESSIONS, most_octets: MOST_OCTETS }
    }

    pub(super) fn begin(&mut self, session: Session) {
        let key = key(&session.call.call_id, &session.call.from_tag, &session.to_tag);
        self.count += 1;
        self.octets += session.octets();
        let mut dialog = self.by_dialog.remove(&key).unwrap_or_default();
        // Two branches of one INVITE that lead to the same callee are one session.
        if let Some(again) = dialog.iter().position(|old| Arc::ptr_eq(&old.call, &session.call)) {
            self.forget(&[dialog.remove(again)]);
        }
        // What passes more often begins anew again and again: it takes the place of its oldest, which is told no end.
        if dialog.len() == MOST_PASSES {
            self.forget(&[dialog.remove(0)]);
        }
        dialog.push(session);
        self.by_dialog.insert(key, dialog);
        while self.count > self.most || self.octets > self.most_octets {
            let Some((_, oldest)) = self.by_dialog.pop_front() else { return };
            self.forget(&oldest);
        }
    }

    /// These are no longer there.
    fn forget(&mut self, sessions: &[Session]) {
        self.count -= sessions.len();
        self.octets -= sessions.iter().map(Session::octets).sum::<usize>();
    }

    /// What a BYE ends.
    pub(super) fn end(&mut self, bye: &Bye) -> Ended {
        let keys = [(&bye.from_tag, &bye.to_tag), (&bye.to_tag, &bye.from_tag)];
        let keys = keys.map(|(caller, callee)| key(&bye.call_id, caller, callee));
        while self.over.front().is_some_and(|(_, at)| bye.at.since(*at) > CROSSING) || self.over.len() > MOST_OVER {
            self.over.pop_front();
        }
        let hashes = [0, 1].map(|side: usize| self.by_dialog.hasher().hash_one(&keys[side]));
        for ((key, hash), by_caller) in keys.iter().zip(hashes).zip([true, false]) {
            if let Some(dialog) = self.by_dialog.remove(key) {
                self.forget(&dialog);
                self.over.insert(hash, bye.at);
                return Ended::Sessions(Box::new(dialog), by_caller);
            }
        }
        if hashes.iter().any(|hash| self.over.contains_key(hash)) {
            return Ended::Again;
        }
        self.over.insert(hashes[0], bye.at);
        Ended::Unknown
    }

    pub(super) fn len(&self) -> usize {
        self.count
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

    /// Whether its caller has sent the BYE that ends it; none when it ends nothing.
    fn by_caller(ended: &Ended) -> Option<bool> {
        if let Ended::Sessions(_, by_caller) = ended { Some(*by_caller) } else { None }
    }

    #[test]
    fn either_side_ends_it_once_and_nobody_else() {
        let mut sessions = Sessions::new(&mut Rng::from_seed(1));
        sessions.begin(session("1"));
        sessions.begin(session("2"));
        assert!(matches!(sessions.end(&bye("1", "a", "x")), Ended::Unknown));
        assert!(matches!(sessions.end(&bye("3", "a", "b")), Ended::Unknown));
        assert_eq!(by_caller(&sessions.end(&bye("1", "a", "b"))), Some(true));
        assert_eq!(by_caller(&sessions.end(&bye("2", "b", "a"))), Some(false));
        assert!(matches!(sessions.end(&bye("1", "a", "b")), Ended::Again) && sessions.len() == 0);
    }

    #[test]
    fn two_who_hang_up_at_once_end_it_once() {
        let mut sessions = Sessions::new(&mut Rng::from_seed(1));
        sessions.begin(session("1"));
        let at = |seconds: u64, bye| Bye { at: Time::from_millis(seconds * 1000), ..bye };
        assert_eq!(by_caller(&sessions.end(&at(1, bye("1", "b", "a")))), Some(false));
        assert!(matches!(sessions.end(&at(1, bye("1", "a", "b"))), Ended::Again));
        // Of one that nothing is known of there is one line too.
        assert!(matches!(sessions.end(&at(2, bye("2", "b", "a"))), Ended::Unknown));
        assert!(matches!(sessions.end(&at(3, bye("2", "a", "b"))), Ended::Again));
        assert!(matches!(sessions.end(&at(34, bye("1", "a", "b"))), Ended::Unknown), "it is long over");
        assert_eq!(sessions.over.len(), 2);
    }

    #[test]
    fn a_call_that_passes_twice_is_two_sessions_and_a_callee_of_two_branches_is_one() {
        let mut sessions = Sessions::new(&mut Rng::from_seed(1));
        let [first, second] = [(); 2].map(|()| session("1"));
        let again = Session { call: first.call.clone(), answered: Time::from_millis(1), ..session("1") };
        [second, first, again].into_iter().for_each(|session| sessions.begin(session));
        assert_eq!(sessions.len(), 2);
        let Ended::Sessions(ended, true) = sessions.end(&bye("1", "a", "b")) else { panic!("they stood") };
        assert_eq!(ended.iter().map(|session| session.answered).collect::<Vec<_>>(), [0, 1].map(Time::from_millis));
        assert!(matches!(sessions.end(&bye("1", "a", "b")), Ended::Again), "it passes twice as well");
        assert_eq!((sessions.len(), sessions.octets), (0, 0));
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut sessions = Sessions { most: 2, ..Sessions::new(&mut Rng::from_seed(1)) };
        ["1", "2", "3"].into_iter().for_each(|call_id| sessions.begin(session(call_id)));
        let ended = ["1", "2"].map(|call_id| by_caller(&sessions.end(&bye(call_id, "a", "b"))));
        assert_eq!(ended, [None, Some(true)]);
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn a_dialog_that_begins_again_and_again_keeps_its_latest_sessions() {
        let mut sessions = Sessions::new(&mut Rng::from_seed(1));
        for number in 0..1000 {
            sessions.begin(Session { answered: Time::from_millis(number), ..session("1") });
        }
        assert_eq!(sessions.len(), MOST_PASSES);
        let Ended::Sessions(ended, _) = sessions.end(&bye("1", "a", "b")) else { panic!("they stood") };
        assert_eq!(ended.first().map(|first| first.answered), Some(Time::from_millis(1000 - MOST_PASSES as u64)));
        assert_eq!((sessions.len(), sessions.octets), (0, 0));
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
        // The second has passed once more; the large one takes the place of several.
        [1, 1, 2, 3, 4].into_iter().for_each(|id| begin(&mut sessions, id, 1_000));
        assert_eq!(sessions.len(), 5);
        begin(&mut sessions, 5, 7_000);
        let ended = ["3", "4", "5"].map(|call_id| by_caller(&sessions.end(&bye(call_id, "a", "b"))));
        assert_eq!(ended, [None, Some(true), Some(true)]);
        assert_eq!((sessions.len(), sessions.octets), (0, 0));
    }
}
