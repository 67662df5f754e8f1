//! Messages that wait: `application/simple-message-summary`, the body of the package `message-summary` (RFC 3842).

use super::{DocumentError, EventDocument, xml::MAX_ELEMENTS};
use bytes::Bytes;
use std::fmt::Write;

/// Whether messages wait in a mailbox, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageSummary {
    /// Whether any do.
    pub waiting: bool,
    /// Where to call for them.
    pub account: Option<String>,
    /// How many of each class: `Voice-Message`, `Fax-Message`, `Text-Message` and others.
    pub classes: Vec<(String, MessageCount)>,
    /// What is said of single messages, as it is written: headers, with an empty line between messages.
    pub messages: String,
}

/// How many messages of a class there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCount {
    /// New and old ones.
    pub all: (u32, u32),
    /// Urgent ones of them, new and old.
    pub urgent: Option<(u32, u32)>,
}

impl MessageSummary {
    /// How many there are of a class; its name counts without regard to case.
    pub fn class(&self, name: &str) -> Option<MessageCount> {
        self.classes.iter().find(|(class, _)| class.eq_ignore_ascii_case(name)).map(|(_, count)| *count)
    }
}

impl MessageCount {
    /// `2/8 (0/2)`.
    fn read(text: &str) -> Option<Self> {
        let (all, urgent) = match text.split_once('(') {
            Some((all, urgent)) => (all, Some(urgent.trim_end().strip_suffix(')')?)),
            None => (text, None),
        };
        let pair = |text: &str| {
            let (new, old) = text.split_once('/')?;
            Some((count(new)?, count(old)?))
        };
        let urgent = match urgent {
            Some(urgent) => Some(pair(urgent)?),
            None => None,
        };
        Some(MessageCount { all: pair(all)?, urgent })
    }
}

/// Digits alone; more than fit are as many as fit.
fn count(text: &str) -> Option<u32> {
    let digits = Some(text.trim()).filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?;
    Some(digits.parse().unwrap_or(u32::MAX))
}

impl EventDocument for MessageSummary {
    const MEDIA_TYPE: (&'static str, &'static str) = ("application", "simple-message-summary");

    fn parse(octets: &[u8]) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(octets).map_err(|_| DocumentError::Encoding)?;
        let mut rest = text;
        let (mut summary, mut waiting) = (MessageSummary::default(), None);
        while !rest.is_empty() {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            rest = after;
            let line = line.trim_end();
            if line.is_empty() {
                summary.messages = rest.to_owned();
                break;
            }
            if summary.classes.len() == MAX_ELEMENTS {
                return Err(DocumentError::TooManyElements);
            }
            // A CR that ends no line could not be said again.
            let (name, said) = line.split_once(':').filter(|_| !line.contains('\r')).ok_or(DocumentError::Syntax)?;
            let (name, said) = (name.trim(), said.trim());
            if name.eq_ignore_ascii_case("Messages-Waiting") {
                waiting = match said.to_ascii_lowercase().as_str() {
                    "yes" => Some(true),
                    "no" => Some(false),
                    _ => return Err(DocumentError::Value("Messages-Waiting")),
                };
            } else if name.eq_ignore_ascii_case("Message-Account") {
                summary.account = Some(said.to_owned());
            } else {
                let count = MessageCount::read(said).ok_or(DocumentError::Value("Message"))?;
                summary.classes.push((name.to_owned(), count));
            }
        }
        summary.waiting = waiting.ok_or(DocumentError::Missing("Messages-Waiting"))?;
        Ok(summary)
    }

    fn print(&self) -> Bytes {
        // A line end in a value would begin a line of its own.
        let clean = |text: &str| text.replace(['\r', '\n'], " ");
        let mut out = format!("Messages-Waiting: {}\r\n", if self.waiting { "yes" } else { "no" });
        if let Some(account) = &self.account {
            let _ = write!(out, "Message-Account: {}\r\n", clean(account));
        }
        for (class, MessageCount { all: (new, old), urgent }) in &self.classes {
            let _ = write!(out, "{}: {new}/{old}", clean(class));
            if let Some((new, old)) = urgent {
                let _ = write!(out, " ({new}/{old})");
            }
            out.push_str("\r\n");
        }
        if !self.messages.is_empty() {
            out.push_str("\r\n");
            out.push_str(&self.messages);
        }
        out.into()
    }
}
