//! The way of a call as History-Info tells it (RFC 7044).
//!
//! ```text
//!   History-Info: <sip:bob@example.com?Reason=SIP%3Bcause%3D486>;index=1
//!   History-Info: <sip:carol@example.com>;index=1.1;mp=1
//!   History-Info: <sip:carol@192.0.2.6>;index=1.1.1;rc=1.1
//! ```
//!
//! An address that a call went on from has the status in its Reason; the contacts that were tried there stand for it, and
//! have no entries of their own.

use super::Retarget;
use stack::header::{HeaderValue, NameAddr, h, p};
use stack::message::Message;
use stack::uri::Uri;

/// What stands for an address that nobody may see (RFC 7044 §10.1.2).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

/// Writes the way of a call into its copy for a target, whose URI is `contact`.
pub(crate) fn write_history(request: &mut Message, retarget: &Retarget, contact: &str) {
    let mut history = History {
        entries: request.header(h::HISTORY_INFOS).texts().flatten().map(str::to_owned).collect(),
        last: String::new(),
        hidden: is_hidden(request),
    };
    history.begin(&retarget.asked);
    let mut at: &str = &retarget.asked;
    for turn in &retarget.diversions {
        history.went_on_from(turn.cause);
        history.add(&turn.to, "mp");
        at = &turn.to;
    }
    if !same(at, contact) {
        history.add(contact, "rc");
    }
    request.remove(h::HISTORY_INFOS);
    for entry in &history.entries {
        request.push_back(h::HISTORY_INFOS, entry.as_str());
    }
}

/// Whether the caller wants nobody to see where its request has been (RFC 7044 §10.1.1, RFC 3323 §4.2).
fn is_hidden(request: &Message) -> bool {
    request.header(h::PRIVACY).is_ok_and(|privacy| privacy.contains("history") || privacy.contains("header"))
}

fn same(one: &str, other: &str) -> bool {
    matches!((Uri::parse(one), Uri::parse(other)), (Ok(one), Ok(other)) if one.equivalent(&other))
}

struct History {
    /// The values.
    entries: Vec<String>,
    /// The index of the last.
    last: String,
    /// Whether what is added is anonymous.
    hidden: bool,
}

impl History {
    /// The first entry that counts is that of the Request-URI; who sent the request may have written it already.
    fn begin(&mut self, asked: &str) {
        let last = self.entries.last().and_then(|text| NameAddr::parse(text).ok());
        let index = last.as_ref().and_then(|last| last.param(p::INDEX)).map(str::to_owned);
        let has_it = last.is_some_and(|last| {
            let mut uri = last.uri;
            if let Some(sip) = uri.sip_mut() {
                sip.headers = Default::default();
            }
            matches!(Uri::parse(asked), Ok(asked) if uri.equivalent(&asked))
        });
        match index {
            Some(index) if has_it => self.last = index,
            before => {
                self.last = before.map_or_else(|| "1".to_owned(), |before| format!("{before}.1"));
                self.push(asked, "");
            }
        }
    }

    /// Another target, which came from the last one in this way: `mp` or `rc` (RFC 7044 §10.4).
    fn add(&mut self, uri: &str, how: &str) {
        let from = std::mem::take(&mut self.last);
        self.last = format!("{from}.1");
        self.push(uri, &format!(";{how}={from}"));
    }

    fn push(&mut self, uri: &str, how: &str) {
        let uri = if self.hidden { ANONYMOUS } else { uri };
        self.entries.push(format!("<{uri}>;index={}{how}", self.last));
    }

    /// The last target has failed with this status (RFC 7044 §10.2). Only a SIP URI can say so, and only once.
    fn went_on_from(&mut self, cause: u16) {
        let Some(last) = self.entries.last_mut().filter(|_| !self.hidden) else { return };
        let Ok(entry) = NameAddr::parse(last) else { return };
        let Some(sip) = entry.uri.sip().filter(|sip| !sip.headers.as_str().contains("Reason=")) else { return };
        let mark = if sip.headers.is_empty() { '?' } else { '&' };
        let written = format!("<{}{mark}Reason=SIP%3Bcause%3D{cause}>{}", entry.uri, entry.params);
        *last = written;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Diversion, DiversionReason};
    use super::*;

    /// What is written for a call to bob who is busy, to carol who has one contact.
    fn written(lines: &str, asked: &str, to: &str, contact: &str) -> Vec<String> {
        let text = format!("INVITE {contact} SIP/2.0\r\n{lines}Content-Length: 0\r\n\r\n");
        let mut request = Message::parse(text.as_bytes()).unwrap();
        let by = "sip:bob@h".into();
        let turn = Diversion { by, reason: DiversionReason::UserBusy, cause: 486, to: to.into() };
        let retarget = Retarget { asked: asked.into(), diversions: vec![turn], aor: String::new() };
        write_history(&mut request, &retarget, contact);
        request.header(h::HISTORY_INFOS).texts().map(|text| text.unwrap().to_owned()).collect()
    }

    #[test]
    fn each_target_has_an_entry() {
        let entries = written("", "sip:bob@h;x=y", "sip:carol@h", "sip:carol@192.0.2.6");
        assert_eq!(
            entries,
            [
                "<sip:bob@h;x=y?Reason=SIP%3Bcause%3D486>;index=1",
                "<sip:carol@h>;index=1.1;mp=1",
                "<sip:carol@192.0.2.6>;index=1.1.1;rc=1.1"
            ]
        );
        let entries = written("", "sip:bob@h", "tel:+1", "tel:+1");
        assert_eq!(entries, ["<sip:bob@h?Reason=SIP%3Bcause%3D486>;index=1", "<tel:+1>;index=1.1;mp=1"]);
    }

    #[test]
    fn what_the_request_has_been_through_comes_first() {
        let before = "History-Info: <sip:office@x>;index=1, \"B\" <sip:bob@h?a=b>;index=1.2;rc=1\r\n";
        assert_eq!(
            written(before, "sip:bob@h", "sip:c@h", "sip:c@h"),
            [
                "<sip:office@x>;index=1",
                "<sip:bob@h?a=b&Reason=SIP%3Bcause%3D486>;index=1.2;rc=1",
                "<sip:c@h>;index=1.2.1;mp=1.2"
            ]
        );
        let entries = written("History-Info: <sip:x@x>;index=1\r\n", "sip:bob@h", "sip:c@h", "sip:c@h");
        assert_eq!(entries[1], "<sip:bob@h?Reason=SIP%3Bcause%3D486>;index=1.1");
        assert_eq!(entries[2], "<sip:c@h>;index=1.1.1;mp=1.1");
        // What cannot be read is passed on.
        let entries = written("History-Info: <<\r\n", "sip:bob@h", "sip:c@h", "sip:c@h");
        assert_eq!(entries[..2], ["<<", "<sip:bob@h?Reason=SIP%3Bcause%3D486>;index=1"]);
    }

    #[test]
    fn who_asks_for_privacy_gets_it() {
        let hidden = ["<sip:anonymous@anonymous.invalid>;index=1", "<sip:anonymous@anonymous.invalid>;index=1.1;mp=1"];
        for privacy in ["history", "id;header"] {
            let entries = written(&format!("Privacy: {privacy}\r\n"), "sip:bob@h", "sip:c@h", "sip:c@h");
            assert_eq!(entries, hidden);
        }
        assert!(written("Privacy: id\r\n", "sip:bob@h", "sip:c@h", "sip:c@h")[0].contains("bob"));
    }
}
