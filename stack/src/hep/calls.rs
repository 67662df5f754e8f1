//! Whose messages the program wants to be told of, and until when.

use crate::header::h;
use crate::message::Message;
use bytes::Bytes;
use memchr::memmem;
use parking_lot::RwLock;
use rutil::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The Call-IDs whose messages are wanted, each until its time; they may be changed from any thread while the stack runs.
/// While there are none, or all have ended, a message costs one look at a number.
#[derive(Clone, Debug, Default)]
pub struct WatchedCalls(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// When the last of them ends, in nanoseconds.
    until: AtomicU64,
    calls: RwLock<Vec<(Box<str>, Time)>>,
}

impl WatchedCalls {
    /// From now on these, and no others. They are few: a message is looked through for each.
    pub fn set(&self, calls: Vec<(Box<str>, Time)>) {
        let until = calls.iter().map(|(_, until)| until.as_nanos()).max().unwrap_or(0);
        let before = std::mem::replace(&mut *self.0.calls.write(), calls);
        drop(before);
        self.0.until.store(until, Ordering::Relaxed);
    }

    /// Whether there are any at this time.
    #[inline]
    pub(super) fn any(&self, at: Time) -> bool {
        at.as_nanos() < self.0.until.load(Ordering::Relaxed)
    }

    /// Whether a message belongs to one of them.
    pub(super) fn has(&self, message: &Bytes, at: Time) -> bool {
        if !self.any(at) {
            return false;
        }
        let calls = self.0.calls.read();
        // The text may stand elsewhere too: in a Replaces, or in a body.
        let mut possible = calls
            .iter()
            .filter(|(call_id, until)| at < *until && memmem::find(message, call_id.as_bytes()).is_some())
            .peekable();
        if possible.peek().is_none() {
            return false;
        }
        let own = Message::parse_again(message.clone());
        let own = own.as_ref().and_then(|msg| msg.header(h::CALL_ID).ok());
        own.is_some_and(|own| possible.any(|(call_id, _)| **call_id == *own.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(call_id: &str, more: &str) -> Bytes {
        format!("INVITE sip:a@b SIP/2.0\r\n{more}{call_id}\r\nContent-Length: 0\r\n\r\n").into_bytes().into()
    }

    #[test]
    fn only_messages_of_the_calls_and_only_until_their_time() {
        let (calls, at) = (WatchedCalls::default(), Time::from_millis);
        let own = message("Call-ID: one@h", "");
        assert!(!calls.any(at(0)) && !calls.has(&own, at(0)));
        calls.set(vec![("one@h".into(), at(10)), ("two@h".into(), at(20))]);
        assert!(calls.any(at(0)) && calls.has(&own, at(9)));
        assert!(!calls.has(&own, at(10)) && calls.any(at(19)) && !calls.any(at(20)));
        for (call_id, more, is_its) in [
            ("i: two@h", "", true),
            ("CALL-ID :\r\n two@h", "", true),
            ("Call-ID: two@h2", "", false),
            ("Call-ID: TWO@h", "", false),
            ("Call-ID: three@h", "Replaces: two@h;to-tag=1;from-tag=2\r\n", false),
            ("Subject: two@h", "", false),
        ] {
            assert_eq!(calls.has(&message(call_id, more), at(11)), is_its, "{call_id} {more}");
        }
        assert!(!calls.has(&Bytes::from_static(b"two@h"), at(11)), "this is no message");
        calls.set(Vec::new());
        assert!(!calls.any(at(0)) && !calls.has(&own, at(0)));
    }
}
