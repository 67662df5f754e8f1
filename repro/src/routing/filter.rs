//! Request filters: reSIProcate's `RequestFilter`.

use super::pattern::Pattern;
use crate::location::is_sips;
use crate::provisioning::{Fault, Record};
use serde::{Deserialize, Serialize};
use stack::header::HeaderId;
use stack::message::Message;
use stack::uri::Uri;

/// The most conditions of a filter.
const MOST_CONDITIONS: usize = 16;

/// Headers that the transaction or the dialog is known by, and those that the proxy itself writes.
const FIXED: [HeaderId; 11] = [
    HeaderId::VIA,
    HeaderId::FROM,
    HeaderId::TO,
    HeaderId::CALL_ID,
    HeaderId::CSEQ,
    HeaderId::MAX_FORWARDS,
    HeaderId::MAX_BREADTH,
    HeaderId::ROUTE,
    HeaderId::RECORD_ROUTE,
    HeaderId::CONTENT_LENGTH,
    HeaderId::CONTENT_TYPE,
];

/// `[[filter]]`: what becomes of requests that look so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterRecord {
    /// Its name, in logs.
    pub name: String,
    /// The smallest number is asked first, filters of the same one by name.
    #[serde(default)]
    pub priority: u32,
    /// All have to hold; without any, every request fits: so the last filter says what becomes of all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What becomes of a request that fits.
    pub action: Action,
}

/// What a part of a request looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The part.
    pub of: Part,
    /// What it looks like; of a header one line must.
    pub matches: Pattern,
}

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Part {
    /// `method`
    Method,
    /// `uri`: the Request-URI.
    Uri,
    /// A header by its name.
    Header(String),
}

/// What a filter does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// No other filter is asked.
    Accept,
    /// It is answered.
    Reject {
        /// The status, 400 to 699.
        code: u16,
        /// The reason phrase; without it the usual one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A part of it gets another value; then the next filter is asked.
    Rewrite {
        /// The part.
        of: Part,
        /// Its new value; `$1` and `${name}` stand for the groups of the condition for the same part.
        with: String,
    },
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        match text.as_str() {
            "method" => Part::Method,
            "uri" => Part::Uri,
            _ => Part::Header(text),
        }
    }
}

impl From<Part> for String {
    fn from(part: Part) -> String {
        match part {
            Part::Method => "method".to_owned(),
            Part::Uri => "uri".to_owned(),
            Part::Header(name) => name,
        }
    }
}

impl Record for FilterRecord {
    const KIND: &'static str = "filter";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn check(&self) -> Result<(), Fault> {
        let fault = |field, expected: String| Err(Fault { field, expected });
        if self.conditions.len() > MOST_CONDITIONS {
            return fault("conditions", format!("expected {MOST_CONDITIONS} at most"));
        }
        match &self.action {
            Action::Reject { code, .. } if !(400..700).contains(code) => {
                fault("action", format!("code {code}: expected 400 to 699"))
            }
            Action::Rewrite { of: Part::Method, .. } => {
                fault("action", "a method cannot be rewritten: expected \"uri\" or a header".to_owned())
            }
            Action::Rewrite { of: Part::Header(name), .. } if FIXED.contains(&HeaderId::lookup(name.as_bytes())) => {
                fault("action", format!("{name} cannot be rewritten: requests are known by it"))
            }
            Action::Rewrite { of, with } => match self.condition(of) {
                Some(condition) => {
                    condition.matches.check_replacement(with).or_else(|expected| fault("action", expected))
                }
                None => fault("conditions", "expected one for the part that is rewritten".to_owned()),
            },
            Action::Accept | Action::Reject { .. } => Ok(()),
        }
    }
}

/// What filters say of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It goes on.
    Pass,
    /// It is answered.
    Reject {
        /// The status.
        code: u16,
        /// The reason phrase; without it the usual one.
        reason: Option<&'a str>,
    },
}

/// Filters, ready for use.
#[derive(Debug, Default)]
pub struct Filters(Vec<FilterRecord>);

impl Filters {
    /// The table of these filters.
    pub fn new(filters: impl Iterator<Item = FilterRecord>) -> Self {
        let mut filters: Vec<FilterRecord> = filters.collect();
        filters.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
        Filters(filters)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks one filter after the other, and rewrites what they say.
    pub fn apply(&self, request: &mut Message) -> Verdict<'_> {
        for filter in &self.0 {
            if !filter.conditions.iter().all(|condition| condition.holds(request)) {
                continue;
            }
            tracing::debug!(filter = filter.name, "request fits");
            match &filter.action {
                Action::Accept => return Verdict::Pass,
                Action::Reject { code, reason } => {
                    return Verdict::Reject { code: *code, reason: reason.as_deref() };
                }
                Action::Rewrite { of, with } => filter.rewrite(request, of, with),
            }
        }
        Verdict::Pass
    }
}

impl Condition {
    fn holds(&self, request: &Message) -> bool {
        let regex = self.matches.regex();
        match &self.of {
            Part::Method => request.method().is_some_and(|method| regex.is_match(method.as_str().as_bytes())),
            Part::Uri => regex.is_match(request.request_uri_text()),
            Part::Header(name) => request.raw_values(name).any(|value| regex.is_match(value)),
        }
    }
}

impl FilterRecord {
    fn condition(&self, part: &Part) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.of == *part)
    }

    /// Writes the new value; of a header into each line that fits. What would be no URI after that stays as it was, and so
    /// does a sips URI that would be none (RFC 5630 §5.3).
    fn rewrite(&self, request: &mut Message, part: &Part, with: &str) {
        let Some(condition) = self.condition(part) else { return };
        let new = |value: &[u8]| {
            let mut new = Vec::new();
            condition.matches.regex().captures(value)?.expand(with.as_bytes(), &mut new);
            String::from_utf8(new).ok()
        };
        match part {
            Part::Method => {}
            Part::Uri => match new(request.request_uri_text()).filter(|uri| Uri::parse_request(uri).is_ok()) {
                Some(uri) if request.is_sips() && !is_sips(&uri) => {
                    tracing::warn!(filter = self.name, uri, "what was sent to a sips URI is not sent on in clear");
                }
                Some(uri) => request.set_request_uri(&uri),
                None => tracing::warn!(filter = self.name, "the rewritten Request-URI is none"),
            },
            Part::Header(name) => request.rewrite_lines(name, new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        Subject: one\r\ns: two\r\nUser-Agent: friendly-scanner\r\nX-Odd: a\r\nX-Odd: b\r\n\r\n";

    fn request() -> Message {
        Message::parse(REQUEST.as_bytes()).unwrap()
    }

    fn filters(text: &str) -> Filters {
        #[derive(Deserialize)]
        struct File {
            filter: Vec<FilterRecord>,
        }
        let file: File = toml::from_str(text).unwrap();
        file.filter.iter().for_each(|filter| filter.check().unwrap());
        Filters::new(file.filter.into_iter())
    }

    #[test]
    fn the_first_that_fits_decides() {
        let all = r#"
[[filter]]
name = "all others"
priority = 9
action = { reject = { code = 403 } }
[[filter]]
name = "scanner"
conditions = [{ of = "User-Agent", matches = "^friendly" }, { of = "method", matches = "^INVITE$" }]
action = { reject = { code = 603, reason = "No" } }
[[filter]]
name = "subjects"
priority = 1
conditions = [{ of = "subject", matches = "two" }, { of = "uri", matches = '@example\.com$' }]
action = "accept"
"#;
        let filters = filters(all);
        let verdict = |from, to| {
            let mut request = Message::parse(REQUEST.replace(from, to).as_bytes()).unwrap();
            filters.apply(&mut request)
        };
        assert_eq!(verdict("", ""), Verdict::Reject { code: 603, reason: Some("No") });
        assert_eq!(verdict("friendly", "usual"), Verdict::Pass);
        assert_eq!(verdict("INVITE", "BYE"), Verdict::Pass);
        assert_eq!(verdict("friendly-scanner\r\n", "x\r\nY: "), Verdict::Pass);
        assert_eq!(verdict("INVITE sip:bob@example.com", "BYE sip:b@x"), Verdict::Reject { code: 403, reason: None });
        assert_eq!(Filters::default().apply(&mut request()), Verdict::Pass);
    }

    #[test]
    fn rewritten_parts_are_what_later_filters_see() {
        let all = r#"
[[filter]]
name = "a"
conditions = [{ of = "uri", matches = "^sip:(.*)@example.com" }]
action = { rewrite = { of = "uri", with = "sip:$1@other.example" } }
[[filter]]
name = "b"
conditions = [{ of = "uri", matches = "other" }, { of = "x-odd", matches = "^(b)$" }]
action = { rewrite = { of = "x-odd", with = "was $1" } }
[[filter]]
name = "c"
conditions = [{ of = "uri", matches = "^.*$" }]
action = { rewrite = { of = "uri", with = "no uri" } }
"#;
        let mut message = request();
        assert_eq!(filters(all).apply(&mut message), Verdict::Pass);
        assert_eq!(message.request_uri_text(), b"sip:bob@other.example");
        assert_eq!(message.raw_values("X-Odd").collect::<Vec<_>>(), [&b"a"[..], b"was b"]);
    }

    #[test]
    fn faults_name_the_field() {
        let fault = |conditions: &str, action: &str| {
            let text = format!("name = \"x\"\nconditions = [{conditions}]\naction = {action}");
            toml::from_str::<FilterRecord>(&text).unwrap().check().map_err(|fault| fault.field)
        };
        let uri = r#"{ of = "uri", matches = "^(.*)$" }"#;
        assert_eq!(fault(uri, r#"{ rewrite = { of = "uri", with = "sip:$1" } }"#), Ok(()));
        assert_eq!(fault("", r#"{ reject = { code = 200 } }"#), Err("action"));
        assert_eq!(fault(uri, r#"{ rewrite = { of = "uri", with = "sip:$2" } }"#), Err("action"));
        assert_eq!(fault(uri, r#"{ rewrite = { of = "Subject", with = "x" } }"#), Err("conditions"));
        assert_eq!(fault(uri, r#"{ rewrite = { of = "method", with = "x" } }"#), Err("action"));
        assert_eq!(fault(uri, r#"{ rewrite = { of = "v", with = "x" } }"#), Err("action"));
        assert_eq!(fault(&format!("{uri},").repeat(17), "\"accept\""), Err("conditions"));
    }
}
