//! How a peer writes who somebody is. Within the proxy that is a P-Asserted-Identity: what comes from a peer becomes one,
//! and what goes to a peer is made of it.

use serde::{Deserialize, Serialize};
use stack::header::{NameAddr, Params, h, p};
use stack::message::Message;
use stack::uri::Uri;

/// The header that says who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityForm {
    /// P-Asserted-Identity (RFC 3325).
    Pai,
    /// Remote-Party-ID (draft-ietf-sip-privacy-04).
    Rpid,
    /// From, of requests; responses say nothing.
    From,
    /// Nothing is said and nothing believed.
    None,
}

/// Makes what somebody says who is trusted into a P-Asserted-Identity; without a form that is his own, or else his
/// Remote-Party-ID. A Remote-Party-ID that is to be private becomes a Privacy (RFC 3323), one that says `screen=no` was not
/// looked at by who sent it and is none.
pub fn read(form: Option<IdentityForm>, msg: &mut Message) {
    match form {
        None if msg.exists(h::REMOTE_PARTY_IDS) => {
            let private = is_private_rpid(msg);
            match msg.exists(h::P_ASSERTED_IDENTITIES) {
                true => msg.remove(h::REMOTE_PARTY_IDS),
                false => assert(msg, &screened(msg)),
            }
            if private {
                keep_private(msg);
            }
        }
        None => {}
        Some(IdentityForm::Pai) => msg.remove(h::REMOTE_PARTY_IDS),
        Some(IdentityForm::Rpid) => {
            msg.remove(h::P_ASSERTED_IDENTITIES);
            read(None, msg);
        }
        Some(IdentityForm::From) => {
            let from = msg.header(h::FROM).ok().filter(|from| msg.is_request() && !is_anonymous(from));
            let from = from.map(|from| NameAddr { params: Params::none(), ..from.into_owned() });
            assert(msg, from.as_slice());
        }
        Some(IdentityForm::None) => unassert(msg),
    }
}

impl IdentityForm {
    /// Writes the identity that a message asserts as a peer wants it. A From changes in requests that begin something
    /// alone: within a dialog it tells nothing but its tag (RFC 3261 §12.2). It has no way to say that a name is private, so
    /// one that is to be does not get there, whoever is told.
    pub fn write(self, msg: &mut Message) {
        if self == IdentityForm::None {
            return unassert(msg);
        }
        read(None, msg);
        if self == IdentityForm::Pai {
            return;
        }
        let ids = msg.header(h::P_ASSERTED_IDENTITIES).flatten().map(NameAddr::into_owned).collect::<Vec<_>>();
        unassert(msg);
        let first = ids.iter().position(|id| matches!(id.uri, Uri::Sip(_))).unwrap_or(0);
        let Some(id) = ids.into_iter().nth(first) else { return };
        let private = wants_privacy(msg);
        if self == IdentityForm::Rpid {
            let party = if msg.is_request() { "calling" } else { "called" };
            let privacy = if private { "full" } else { "off" };
            let id = id.with(p::PARTY, party).with(p::SCREEN, "yes").with(p::PRIVACY, privacy);
            msg.push_back(h::REMOTE_PARTY_IDS, &id);
        } else if msg.is_request() && !msg.has_to_tag() && !private && !wishes(msg, "user") {
            let Ok(params) = msg.header(h::FROM).map(|from| from.params.into_owned()) else { return };
            msg.set(h::FROM, &NameAddr { params, ..id });
        }
    }
}

/// Takes away what somebody asserts.
pub fn unassert(msg: &mut Message) {
    msg.remove(h::P_ASSERTED_IDENTITIES);
    msg.remove(h::REMOTE_PARTY_IDS);
}

fn assert(msg: &mut Message, ids: &[NameAddr<'_>]) {
    unassert(msg);
    ids.iter().for_each(|id| msg.push_back(h::P_ASSERTED_IDENTITIES, id));
}

/// The identities of the Remote-Party-IDs, without parameters, and without a name that is to be private.
fn screened(msg: &Message) -> Vec<NameAddr<'static>> {
    let meant = |id: &NameAddr<'_>| !says(id.param(p::SCREEN), &["no"]) && !says(id.param(p::PARTY), &["redirect"]);
    let ids = msg.header(h::REMOTE_PARTY_IDS).flatten().filter(meant);
    ids.map(|id| {
        let display = id.display.clone().filter(|_| !says(id.param(p::PRIVACY), &["full", "name"]));
        NameAddr { params: Params::none(), ..NameAddr { display, ..id }.into_owned() }
    })
    .collect()
}

/// Whether a parameter has one of these values.
fn says(param: Option<&str>, values: &[&str]) -> bool {
    param.is_some_and(|is| values.iter().any(|value| is.eq_ignore_ascii_case(value)))
}

fn is_private_rpid(msg: &Message) -> bool {
    msg.header(h::REMOTE_PARTY_IDS).flatten().any(|id| says(id.param(p::PRIVACY), &["full", "uri"]))
}

/// Whether the sender wants not to be asserted to strangers (RFC 3325 §9.3, RFC 5379 §5).
pub fn wants_privacy(msg: &Message) -> bool {
    wishes(msg, "id") || wishes(msg, "header") || msg.exists(h::REMOTE_PARTY_IDS) && is_private_rpid(msg)
}

/// Whether the sender wants this kind of privacy (RFC 3323 §4.2).
pub fn wishes(msg: &Message, kind: &str) -> bool {
    msg.exists(h::PRIVACY) && msg.header(h::PRIVACY).is_ok_and(|wish| wish.contains(kind))
}

/// Adds the wish for that.
fn keep_private(msg: &mut Message) {
    let wishes = msg.header(h::PRIVACY).ok().filter(|wish| !wish.contains("none")).map(|wish| wish.to_string());
    match wishes {
        Some(_) if wants_privacy(msg) => {}
        Some(wishes) => msg.set(h::PRIVACY, &format_args!("{wishes};id")),
        None => msg.set(h::PRIVACY, "id"),
    }
}

/// Whether a From says nothing (RFC 3323 §4.1.1.3).
fn is_anonymous(from: &NameAddr<'_>) -> bool {
    let Uri::Sip(uri) = &from.uri else { return false };
    uri.host.to_string().eq_ignore_ascii_case("anonymous.invalid")
        || uri.user.as_deref().is_none_or(|user| user.eq_ignore_ascii_case("anonymous"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lines: &str) -> Message {
        let text = format!(
            "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: \"Desk\" <sip:desk@example.com>;tag=a;x=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c\r\n\
             CSeq: 1 INVITE\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        Message::parse(text.as_bytes()).unwrap()
    }

    fn lines(msg: &Message) -> Vec<String> {
        let of = |name: &'static str| {
            msg.raw_values(name).map(move |value| format!("{name}: {}", String::from_utf8_lossy(value)))
        };
        of("P-Asserted-Identity").chain(of("Remote-Party-ID")).chain(of("Privacy")).collect()
    }

    fn read(form: impl Into<Option<IdentityForm>>, said: &str) -> Vec<String> {
        let mut msg = message(said);
        super::read(form.into(), &mut msg);
        lines(&msg)
    }

    const PAI: &str = "P-Asserted-Identity: \"K\" <sip:king@example.com>, <tel:+4930>\r\n";

    #[test]
    fn what_a_peer_says_becomes_an_asserted_identity() {
        let rpid = |rest: &str| format!("{PAI}Remote-Party-ID: \"R\" <sip:r@x>{rest}\r\n");
        assert_eq!(
            read(IdentityForm::Pai, &rpid("")),
            ["P-Asserted-Identity: \"K\" <sip:king@example.com>, <tel:+4930>"]
        );
        assert_eq!(read(IdentityForm::None, &rpid("")), [""; 0]);
        assert_eq!(
            read(IdentityForm::From, &rpid("")),
            ["P-Asserted-Identity: \"Desk\" <sip:desk@example.com>"],
            "without the tag"
        );
        for (rest, read_as) in [
            ("", &["P-Asserted-Identity: \"R\" <sip:r@x>"][..]),
            (";party=calling;screen=yes;privacy=off", &["P-Asserted-Identity: \"R\" <sip:r@x>"]),
            (";screen=no", &[]),
            (";party=redirect", &[]),
            (";privacy=name", &["P-Asserted-Identity: <sip:r@x>"]),
            (";privacy=uri", &["P-Asserted-Identity: \"R\" <sip:r@x>", "Privacy: id"]),
            (";privacy=Full", &["P-Asserted-Identity: <sip:r@x>", "Privacy: id"]),
        ] {
            assert_eq!(read(IdentityForm::Rpid, &rpid(rest)), read_as, "{rest}");
        }
        let mut with_privacy = message(&format!("{}Privacy: user\r\n", rpid(";privacy=full")));
        super::read(Some(IdentityForm::Rpid), &mut with_privacy);
        assert_eq!(lines(&with_privacy)[1], "Privacy: user;id");
    }

    #[test]
    fn who_has_no_form_is_read_in_both() {
        let rpid = "Remote-Party-ID: \"R\" <sip:r@x>;privacy=full\r\n";
        assert_eq!(read(None, rpid), ["P-Asserted-Identity: <sip:r@x>", "Privacy: id"]);
        let king = "P-Asserted-Identity: \"K\" <sip:king@example.com>, <tel:+4930>";
        assert_eq!(read(None, &format!("{PAI}{rpid}Privacy: user\r\n")), [king, "Privacy: user;id"]);
        assert_eq!(read(None, PAI), [king]);
        assert_eq!(read(None, "Remote-Party-ID: <sip:r@x>;screen=no\r\n"), [""; 0]);
    }

    #[test]
    fn who_is_anonymous_is_nobody() {
        for from in ["\"Anonymous\" <sip:anonymous@anonymous.invalid>", "<sip:Anonymous@x>", "<sip:carrier.example>"] {
            let mut msg = message("");
            msg.set(h::FROM, &format_args!("{from};tag=a"));
            super::read(Some(IdentityForm::From), &mut msg);
            assert!(lines(&msg).is_empty(), "{from}");
        }
    }

    #[test]
    fn what_is_asserted_is_written_as_a_peer_wants_it() {
        let write = |form: IdentityForm, said: &str| {
            let mut msg = message(said);
            form.write(&mut msg);
            (lines(&msg), msg.header(h::FROM).unwrap().to_string())
        };
        let own = "\"Desk\" <sip:desk@example.com>;tag=a;x=1";
        let (said, from) = write(IdentityForm::Rpid, PAI);
        let king = "\"K\" <sip:king@example.com>";
        assert_eq!(said, [format!("Remote-Party-ID: {king};party=calling;screen=yes;privacy=off")]);
        assert_eq!(from, own);
        let (said, _) = write(IdentityForm::Rpid, &format!("{PAI}Privacy: id\r\n"));
        assert!(said[0].ends_with(";privacy=full"), "{said:?}");
        let (said, from) = write(IdentityForm::From, PAI);
        assert_eq!((said, from), (Vec::new(), format!("{king};tag=a;x=1")));
        // Who wants to be private stays so, whatever he said it with.
        let private = "Remote-Party-ID: \"R\" <sip:r@x>;privacy=full\r\n";
        let (said, from) = write(IdentityForm::Rpid, private);
        assert_eq!(said, ["Remote-Party-ID: <sip:r@x>;party=calling;screen=yes;privacy=full", "Privacy: id"]);
        assert_eq!(from, own);
        let (said, _) = write(IdentityForm::Pai, private);
        assert_eq!(said, ["P-Asserted-Identity: <sip:r@x>", "Privacy: id"]);
        assert_eq!(write(IdentityForm::From, private), (vec!["Privacy: id".to_owned()], own.to_owned()));
        for wish in ["id", "user", "header"] {
            let (_, from) = write(IdentityForm::From, &format!("{PAI}Privacy: {wish}\r\n"));
            assert_eq!(from, own, "{wish}");
        }
        assert_eq!(write(IdentityForm::None, PAI), (Vec::new(), own.to_owned()));
        assert_eq!(write(IdentityForm::From, ""), (Vec::new(), own.to_owned()));
        let (said, _) = write(IdentityForm::Pai, "Remote-Party-ID: <sip:r@x>;screen=yes\r\n");
        assert_eq!(said, ["P-Asserted-Identity: <sip:r@x>"]);
        let mut inside = message(PAI);
        inside.set(h::TO, "<sip:bob@example.com>;tag=b");
        IdentityForm::From.write(&mut inside);
        assert_eq!(inside.header(h::FROM).unwrap().to_string(), own);
    }
}
