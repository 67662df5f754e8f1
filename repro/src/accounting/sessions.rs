//! The sessions that stand, for the lines of their ends: who was the caller, and for how long they spoke.
//!
//! It is the only place that knows of calls that stand, and nothing but a line depends on it: the proxies keep nothing of
//! them. Bounded: beyond [`MOST_SESSIONS`], or [`MOST_OCTETS`] of what they say, the oldest are forgotten.
//!
//! A call whose INVITE passes twice (a spiral, RFC 5393 §3) is one dialog and two sessions: each pass has a source and a target
//! of its own, and whoever bills needs both. A BYE ends all of them, whether it passes as often or not.

use super::event::{Bye, Call};
use hashlink::LinkedHashMap;
use rutil::hash::Keyed;
use rutil::{Rng, Time};
use smallvec::SmallVec;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Weak};
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
    /// Its call, of which nothing is kept but which one it is.
    call: Weak<Call>,
    pub(super) invited: Time,
    pub(super) answered: Time,
    /// What the line of its answer says of the call: fields of JSON.
    pub(super) told: Box<[u8]>,
    octets: usize,
}

/// The sessions of a dialog, in the order in which they were answered.
type Dialog = SmallVec<[Session; 1]>;

/// What a BYE ends.
#[derive(Debug)]
pub(super) enum Ended {
    /// Those that stood, and whether their caller has sent the BYE.
    Sessions(Dialog, bool),
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
    /// Where names are put together.
    name: String,
}

/// The name of a dialog, written into `name`.
fn named<'n>(name: &'n mut String, texts: [&str; 3]) -> &'n str {
    name.clear();
    for text in texts {
        // None of them has a space.
        name.push_str(text);
        name.push(' ');
    }
    name
}

impl Sessions {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        let (by_dialog, over) = (LinkedHashMap::with_hasher(hasher.clone()), LinkedHashMap::with_hasher(hasher));
        Sessions {
            by_dialog,
            over,
            count: 0,
            octets: 0,
            most: MOST_SESSIONS,
            most_octets: MOST_OCTETS,
            name: String::new(),
        }
    }

    /// A call has been `answered` by whoever has this tag; `told` is what its line says of it.
    pub(super) fn begin(&mut self, call: &Arc<Call>, to_tag: &str, (answered, told): (Time, Box<[u8]>)) {
        let key = named(&mut self.name, [call.call_id(), call.from().1, to_tag]);
        let octets = OVERHEAD + told.len() + key.len();
        let session = Session { call: Arc::downgrade(call), invited: call.at, answered, told, octets };
        self.count += 1;
        self.octets += octets;
        let mut dialog = self.by_dialog.remove(key).unwrap_or_default();
        // Two branches of one INVITE that lead to the same callee are one session.
        if let Some(again) = dialog.iter().position(|old| old.call.ptr_eq(&session.call)) {
            self.forget(&[dialog.remove(again)]);
        }
        // What passes more often begins anew again and again: it takes the place of its oldest, which is told no end.
        if dialog.len() == MOST_PASSES {
            self.forget(&[dialog.remove(0)]);
        }
        dialog.push(session);
        self.by_dialog.insert(self.name.as_str().into(), dialog);
        while self.count > self.most || self.octets > self.most_octets {
            let Some((_, oldest)) = self.by_dialog.pop_front() else { return };
            self.forget(&oldest);
        }
    }

    /// These are no longer there.
    fn forget(&mut self, sessions: &[Session]) {
        self.count -= sessions.len();
        self.octets -= sessions.iter().map(|session| session.octets).sum::<usize>();
    }

    /// What a BYE ends.
    pub(super) fn end(&mut self, bye: &Bye) -> Ended {
        while self.over.front().is_some_and(|(_, at)| bye.at.since(*at) > CROSSING) || self.over.len() > MOST_OVER {
            self.over.pop_front();
        }
        let (from, to) = (bye.from().1, bye.to().1);
        let mut hashes = [0; 2];
        for (hash, (caller, callee)) in hashes.iter_mut().zip([(from, to), (to, from)]) {
            let key = named(&mut self.name, [bye.call_id(), caller, callee]);
            *hash = self.by_dialog.hasher().hash_one(key);
            if let Some(dialog) = self.by_dialog.remove(key) {
                self.forget(&dialog);
                self.over.insert(*hash, bye.at);
                return Ended::Sessions(dialog, caller == from);
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

    fn call(call_id: &str) -> Arc<Call> {
        Arc::new(Call::new(Time::ZERO, [call_id, "sip:a@h", "a", "sip:b@h", "sip:b@h"]))
    }

    fn begin(sessions: &mut Sessions, call: &Arc<Call>, at: u64) {
        sessions.begin(call, "b", (Time::from_millis(at), Box::default()));
    }

    fn bye(call_id: &str, from: &str, to: &str) -> Bye {
        Bye::new(Time::ZERO, [call_id, "sip:a@h", from, "sip:b@h", to])
    }

    /// Whether its caller has sent the BYE that ends it; none when it ends nothing.
    fn by_caller(ended: &Ended) -> Option<bool> {
        if let Ended::Sessions(_, by_caller) = ended { Some(*by_caller) } else { None }
    }

    #[test]
    fn either_side_ends_it_once_and_nobody_else() {
        let mut sessions = Sessions::new(&mut Rng::from_seed(1));
        begin(&mut sessions, &call("1"), 0);
        begin(&mut sessions, &call("2"), 0);
        assert!(matches!(sessions.end(&bye("1", "a", "x")), Ended::Unknown));
        assert!(matches!(sessions.end(&bye("3", "a", "b")), Ended::Unknown));
        assert_eq!(by_caller(&sessions.end(&bye("1", "a", "b"))), Some(true));
        assert_eq!(by_caller(&sessions.end(&bye("2", "b", "a"))), Some(false));
        assert!(matches!(sessions.end(&bye("1", "a", "b")), Ended::Again) && sessions.len() == 0);
    }

    #[test]
    fn two_who_hang_up_at_once_end_it_once() {
        let mut sessions = Sessions::new(&mut Rng::from_seed(1));
        begin(&mut sessions, &call("1"), 0);
        let at = |seconds: u64, mut bye: Bye| {
            bye.at = Time::from_millis(seconds * 1000);
            bye
        };
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
        let [first, second] = [(); 2].map(|()| call("1"));
        [(&second, 0), (&first, 0), (&first, 1)].iter().for_each(|(call, at)| begin(&mut sessions, call, *at));
        assert_eq!(sessions.len(), 2);
        let Ended::Sessions(ended, true) = sessions.end(&bye("1", "a", "b")) else { panic!("they stood") };
        assert_eq!(ended.iter().map(|session| session.answered).collect::<Vec<_>>(), [0, 1].map(Time::from_millis));
        assert!(matches!(sessions.end(&bye("1", "a", "b")), Ended::Again), "it passes twice as well");
        assert_eq!((sessions.len(), sessions.octets), (0, 0));
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut sessions = Sessions { most: 2, ..Sessions::new(&mut Rng::from_seed(1)) };
        ["1", "2", "3"].into_iter().for_each(|call_id| begin(&mut sessions, &call(call_id), 0));
        let ended = ["1", "2"].map(|call_id| by_caller(&sessions.end(&bye(call_id, "a", "b"))));
        assert_eq!(ended, [None, Some(true)]);
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn a_dialog_that_begins_again_and_again_keeps_its_latest_sessions() {
        let mut sessions = Sessions::new(&mut Rng::from_seed(1));
        for number in 0..1000 {
            begin(&mut sessions, &call("1"), number);
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
            sessions.begin(&call(&id.to_string()), "b", (Time::ZERO, vec![b'x'; octets].into()));
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
