//! What is right for a message, and the judgement on what an element did with it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a bare parser does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parse {
    /// It must be understood.
    Accept,
    /// It must be refused.
    Reject,
    /// Both are right.
    Either,
}

/// What an element does with the message when it comes over a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The same as with a datagram.
    #[default]
    Same,
    /// It waits for octets that never come.
    Wait,
    /// It cannot find the end: at most one response, then it closes the connection.
    Close,
    /// It finds two requests.
    Two,
    /// The RFC does not say; the element has to survive.
    Any,
}

/// The role in which an element receives a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// RFC 3261 §16.
    Proxy,
    /// RFC 3261 §8.2.
    Uas,
    /// RFC 3261 §10.3.
    Registrar,
}

/// One right reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "StatusOrWord")]
pub enum Reaction {
    /// This final response.
    Status(u16),
    /// The request is sent on.
    Forward,
    /// What the element does with any request of this kind.
    Normal,
    /// Neither answered nor sent on.
    Discard,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StatusOrWord {
    Status(u16),
    Word(String),
}

impl TryFrom<StatusOrWord> for Reaction {
    type Error = String;

    fn try_from(value: StatusOrWord) -> Result<Self, String> {
        match value {
            StatusOrWord::Status(code @ 100..=699) => Ok(Reaction::Status(code)),
            StatusOrWord::Status(code) => Err(format!("{code} is no status code")),
            StatusOrWord::Word(word) => Reaction::from_word(&word).ok_or(format!("`{word}` is no reaction")),
        }
    }
}

impl Reaction {
    /// Reads `forward`, `normal`, `discard` and their longer spellings (`forward normalised`, `lenient`).
    pub fn from_word(word: &str) -> Option<Self> {
        match word.split(' ').next() {
            Some("forward") => Some(Reaction::Forward),
            Some("normal" | "lenient") => Some(Reaction::Normal),
            Some("discard") => Some(Reaction::Discard),
            _ => None,
        }
    }
}

/// What is right for one message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Verdict {
    /// The RFC that makes the point: 4475 or 5118, or none for a message that no RFC describes.
    pub rfc: Option<u16>,
    /// The section of that RFC.
    pub section: String,
    /// What the message is about.
    pub point: String,
    /// The bare parser.
    pub parse: Parse,
    /// The right reactions of a proxy.
    pub proxy: Vec<Reaction>,
    /// The right reactions of a user agent server.
    pub uas: Vec<Reaction>,
    /// The right reactions of a registrar; empty if the message is not for one.
    pub registrar: Vec<Reaction>,
    /// Over a stream.
    #[serde(default)]
    pub stream: Stream,
    /// Why this differs from the list of expectations beside the originals, if it does.
    pub differs: Option<String>,
    /// What a parser reads out of the message.
    ///
    /// Keys: `method`, `status`, `reason`, `call-id`, `max-forwards`, `cseq.number`, `cseq.method`, `body.len` ·
    /// `request-uri.`, `to.`, `from.` and `contact.N.` with `scheme`, `user` (unescaped once), `host`, `port` (empty:
    /// none), `uri-param.NAME` (unescaped once; empty: no value), and for the last three `display` (unquoted) and
    /// `tag` · `via.count`, `via.N.transport`, `host`, `port`, `branch` · `contact.count` · `header.NAME` for the
    /// unfolded value of any header.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

impl Verdict {
    /// The right reactions of `role`; empty if the message is not for that role.
    pub fn reactions(&self, role: Role) -> &[Reaction] {
        match role {
            Role::Proxy => &self.proxy,
            Role::Uas => &self.uas,
            Role::Registrar => &self.registrar,
        }
    }

    /// Whether a proxy may send the message on. Then [`Verdict::judge`] is not all: what arrives at the next hop decides,
    /// and `wire` has a check for that.
    pub fn goes_on(&self, role: Role) -> bool {
        role == Role::Proxy && self.proxy.iter().any(|r| matches!(r, Reaction::Forward | Reaction::Normal))
    }

    /// Whether what came back to the sender is right for `role`, as [`judge`] says. But where a proxy may send the
    /// message on, the host that the message names is out of reach: then there may be nothing to say yet, and all that
    /// is asked is that the message was not refused as malformed.
    ///
    /// # Errors
    /// What was seen and what was wanted.
    pub fn judge(&self, role: Role, seen: &Seen) -> Result<(), String> {
        if self.goes_on(role) && seen.is_ordinary() { Ok(()) } else { judge(self.reactions(role), seen) }
    }

    /// Compares all facts with what `read` finds for each key. The error lists every difference.
    pub fn check_facts(&self, mut read: impl FnMut(&str) -> Option<String>) -> Result<(), String> {
        let wrong: Vec<_> = self
            .facts
            .iter()
            .filter_map(|(key, want)| {
                let got = read(key);
                (got.as_deref() != Some(want)).then(|| format!("{key}: want {want:?}, got {got:?}"))
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

/// What an element did, as far as the other side of the wire can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The status codes of its responses, in order, retransmissions included.
    pub statuses: Vec<u16>,
    /// Whether it closed the connection.
    pub closed: bool,
}

impl Seen {
    /// Whether a final response has come. Others after it would not make a wrong reaction right.
    pub fn is_final(&self) -> bool {
        self.finals().next().is_some()
    }

    fn finals(&self) -> impl Iterator<Item = u16> {
        self.statuses.iter().copied().filter(|s| *s >= 200)
    }

    /// Whether no response says that the message is malformed.
    fn is_ordinary(&self) -> bool {
        self.finals().all(is_ordinary)
    }
}

/// Whether `seen` is one of the `right` reactions. The error says what was seen and what was wanted. Silence is right
/// only where the message is to be discarded.
pub fn judge(right: &[Reaction], seen: &Seen) -> Result<(), String> {
    let fits = |reaction: &Reaction| match *reaction {
        Reaction::Status(code) => seen.is_final() && seen.finals().all(|s| s == code),
        Reaction::Forward | Reaction::Normal => seen.is_final() && seen.is_ordinary(),
        Reaction::Discard => seen.statuses.is_empty(),
    };
    if right.iter().any(fits) { Ok(()) } else { Err(format!("want one of {right:?}, saw {seen:?}")) }
}

/// A final response to a request that was understood: it was served, or is not for here, or led nowhere.
const fn is_ordinary(status: u16) -> bool {
    matches!(
        status,
        200..=299 | 401 | 403 | 404 | 405 | 407 | 408 | 478 | 480 | 481 | 486 | 500 | 501 | 502 | 503 | 504 | 513
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reaction::{Discard, Forward, Normal, Status};

    fn example() -> Verdict {
        Verdict {
            rfc: Some(4475),
            section: "3.1.1.1".into(),
            point: String::new(),
            parse: Parse::Accept,
            proxy: vec![],
            uas: vec![],
            registrar: vec![],
            stream: Stream::Same,
            differs: None,
            facts: BTreeMap::new(),
        }
    }

    fn seen(statuses: &[u16]) -> Seen {
        Seen { statuses: statuses.to_vec(), closed: false }
    }

    #[test]
    fn a_status_is_that_status_and_no_other() {
        assert!(judge(&[Status(400)], &seen(&[400])).is_ok());
        assert!(judge(&[Status(400)], &seen(&[100, 400, 400])).is_ok());
        assert!(judge(&[Status(501), Status(400)], &seen(&[400])).is_ok());
        assert!(judge(&[Status(400)], &seen(&[404])).is_err());
        assert!(judge(&[Status(400)], &seen(&[400, 404])).is_err());
        assert!(judge(&[Status(400)], &seen(&[100])).is_err());
        assert!(judge(&[Status(400)], &seen(&[])).is_err());
    }

    #[test]
    fn forwarding_shows_as_a_final_response_that_is_no_refusal() {
        for ordinary in [&[100, 404][..], &[200], &[503], &[408]] {
            assert!(judge(&[Forward], &seen(ordinary)).is_ok(), "{ordinary:?}");
        }
        for pending in [&[][..], &[100], &[180, 183]] {
            assert!(judge(&[Forward, Normal], &seen(pending)).is_err(), "{pending:?}");
        }
        for refusal in [400, 413, 414, 415, 416, 420, 482, 483, 485, 505, 600] {
            assert!(judge(&[Forward, Normal], &seen(&[refusal])).is_err(), "{refusal}");
        }
        assert!(judge(&[Status(400), Forward], &seen(&[400])).is_ok());
    }

    #[test]
    fn a_proxy_may_be_silent_towards_the_sender_of_what_it_sends_on() {
        let verdict = |right: Vec<Reaction>| Verdict { proxy: right.clone(), registrar: right, ..example() };
        for (right, goes_on) in [
            (vec![Forward], true),
            (vec![Status(400), Normal], true),
            (vec![Status(400)], false),
            (vec![Discard], false),
        ] {
            let verdict = verdict(right);
            assert_eq!((verdict.goes_on(Role::Proxy), verdict.goes_on(Role::Registrar)), (goes_on, false));
            let silent = goes_on || verdict.proxy == [Discard];
            assert_eq!(verdict.judge(Role::Proxy, &seen(&[])).is_ok(), silent, "{verdict:?}");
        }
        let normal = verdict(vec![Normal]);
        assert!(normal.judge(Role::Proxy, &seen(&[400])).is_err());
        assert!(normal.judge(Role::Registrar, &seen(&[])).is_err());
        assert!(normal.judge(Role::Registrar, &seen(&[100])).is_err());
        assert!(normal.judge(Role::Registrar, &seen(&[404])).is_ok());
    }

    #[test]
    fn discard_is_silence() {
        assert!(judge(&[Discard], &seen(&[])).is_ok());
        assert!(judge(&[Discard], &seen(&[100])).is_err());
        assert!(judge(&[Discard], &seen(&[400])).is_err());
    }

    #[test]
    fn no_right_reaction_is_an_error() {
        assert!(judge(&[], &seen(&[200])).is_err());
    }

    #[test]
    fn facts_list_every_difference() {
        let facts = [("a", "1"), ("b", "2"), ("c", "3")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let verdict = Verdict { facts: facts.into(), ..example() };
        let error = verdict.check_facts(|key| (key == "a").then(|| "1".to_owned())).expect_err("b and c are unknown");
        assert!(!error.contains("a:") && error.contains("b: want \"2\"") && error.contains("c: want"), "{error}");
    }
}
