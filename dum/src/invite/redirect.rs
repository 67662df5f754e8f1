//! Calls that are sent elsewhere: the targets of 3xx responses, tried one after the other (RFC 3261 §8.1.3.4;
//! reSIProcate's `RedirectManager`).

use super::call::{self, Call};
use super::callback::What;
use super::machine::Event;
use super::session::InviteSession;
use crate::dum::Dum;
use crate::handle::Handle;
use stack::header::{Contact, QValue, h, p};
use stack::helper;
use stack::message::Message;
use stack::uri::Uri;
use std::sync::Arc;

/// Targets of a call, those that were tried included.
const MAX_TARGETS: usize = 16;

/// Headers of a target's URI that are looked at.
const MAX_HEADERS: usize = 16;

/// Where a call may still go.
#[derive(Default)]
pub(super) struct Redirect {
    /// Best last.
    targets: Vec<(QValue, Uri<'static>)>,
    tried: Vec<Uri<'static>>,
    /// What the headers of the last target's URI have overwritten: names with the values before.
    overwritten: Vec<(String, Vec<String>)>,
}

/// Headers that a URI does not set, with their compact forms: those that are the request's own, and what RFC 3261 §19.1.5 warns
/// of.
#[rustfmt::skip]
const NOT_FROM_URI: [&str; 38] = [
    "from", "f", "to", "t", "call-id", "i", "cseq", "via", "v", "max-forwards", "record-route", "route", "contact", "m",
    "accept", "accept-encoding", "accept-language", "allow", "allow-events", "u", "organization", "supported", "k",
    "user-agent", "require", "proxy-require", "authorization", "proxy-authorization", "content-disposition",
    "content-encoding", "e", "content-language", "content-length", "l", "content-type", "c", "session-expires", "x",
];

/// The same, and the pseudo header of the body; and who we are, and to whom we show it: that is not for who sends us elsewhere
/// to say.
fn may_set(name: &str) -> bool {
    let others = ["min-se", "date", "mime-version", "timestamp", "body"];
    let identity = ["p-asserted-identity", "p-preferred-identity", "remote-party-id", "privacy", "reply-to"];
    !NOT_FROM_URI.iter().chain(&others).chain(&identity).any(|own| own.eq_ignore_ascii_case(name))
}

impl Redirect {
    /// Takes the Contacts of a response, but for targets that were tried or are known, and for those that would be called in
    /// the clear where the call was to be secure (§8.1.3.4).
    fn add(&mut self, response: &Message) {
        let secure = self.tried.first().is_some_and(|first| first.scheme() == "sips");
        for contact in response.header(h::CONTACTS).flatten() {
            let Contact::Addr(contact) = contact else { continue };
            let known = self.tried.iter().chain(self.targets.iter().map(|(_, uri)| uri));
            let again = known.into_iter().any(|uri| uri.equivalent(&contact.uri));
            let unfit = contact.uri.sip().is_none() || secure && contact.uri.scheme() != "sips";
            if again || unfit || self.tried.len() + self.targets.len() == MAX_TARGETS {
                continue;
            }
            let q = contact.param(p::Q).unwrap_or(QValue::new(1000));
            // Equal ones keep their order.
            let at = self.targets.partition_point(|(known, _)| *known < q);
            self.targets.insert(at, (q, contact.uri.into_owned()));
        }
    }

    /// Makes the INVITE one for this target: its URI without `method` and headers, and the headers of the URI as headers of the
    /// request (§8.1.3.4).
    fn direct(&mut self, invite: &mut Message, target: &Uri<'_>) {
        for (name, values) in self.overwritten.drain(..) {
            invite.remove_lines(&name);
            values.iter().for_each(|value| invite.append_line(&name, value));
        }
        invite.set_request_uri(helper::request_uri(target).as_ref());
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        for (name, value) in target.sip().iter().flat_map(|uri| uri.headers.iter()).take(MAX_HEADERS) {
            let name = text(&name);
            if !may_set(&name) {
                continue;
            }
            if !self.overwritten.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                self.overwritten.push((name.clone(), invite.raw_values(&name).map(text).collect()));
                invite.remove_lines(&name);
            }
            invite.append_line(&name, &text(&value));
        }
    }

    fn next(&mut self) -> Option<Uri<'static>> {
        let (_, uri) = self.targets.pop()?;
        self.tried.push(uri.clone());
        Some(uri)
    }
}

/// A 3xx came, or a target failed, by a response or without one: whether there is another one to try (§8.1.3.4). The
/// application is asked first.
pub(super) fn offer(dum: &mut Dum<'_>, call: Handle<Call>, response: Option<&Arc<Message>>) -> bool {
    let redirected = response.filter(|response| response.status().is_some_and(|code| code < 400));
    let Ok(this) = dum.core.calls.get_mut(call) else { return false };
    let Some(request) = &this.request else { return false };
    if let Some(response) = redirected {
        let redirect = this.redirect.get_or_insert_default();
        if redirect.tried.is_empty()
            && let Ok(uri) = request.request_uri()
        {
            redirect.tried.push(uri.into_owned());
        }
        redirect.add(response);
    }
    let more = this.redirect.as_ref().is_some_and(|redirect| !redirect.targets.is_empty());
    let Some(session) = call::going_on(dum, call).filter(|_| more) else { return false };
    match redirected {
        Some(response) => dum.tell(session, What::Redirected, Some(response.clone())),
        None => drop(try_next(dum, call)),
    }
    true
}

/// Sends the call to the next target; false: there is none.
fn try_next(dum: &mut Dum<'_>, call: Handle<Call>) -> bool {
    let redirect = dum.core.calls.get_mut(call).ok().and_then(|this| this.redirect.take());
    let Some(mut redirect) = redirect else { return false };
    let next = redirect.next();
    if let Some(target) = &next {
        call::resend(dum, call, Event::Redirected, |invite| redirect.direct(invite, target));
    }
    if let Ok(this) = dum.core.calls.get_mut(call) {
        this.redirect = Some(redirect);
    }
    next.is_some()
}

/// Tries the next target, as the same call, unless the application has ended it meanwhile.
pub(super) fn follow(dum: &mut Dum<'_>, session: Handle<InviteSession>, response: &Arc<Message>) {
    let Some(call) = dum.session(session).ok().and_then(|this| this.call) else { return };
    if !call::is_wanted(dum, call) || !try_next(dum, call) {
        decline(dum, session, response);
    }
}

/// The application does not want it: the call ends as it would have.
pub(super) fn decline(dum: &mut Dum<'_>, session: Handle<InviteSession>, response: &Arc<Message>) {
    if let Some(call) = dum.session(session).ok().and_then(|this| this.call) {
        call::failure(dum, call, Event::Redirected, Some(response));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counts;
    use crate::invite::Session;
    use crate::invite::tests::{App, addr, calling, heard};
    use crate::testing::Bench;
    use stack::tu::TuEvent;

    #[test]
    fn targets_are_tried_by_preference_and_none_twice() {
        let mut response = Message::status_line(302, None);
        for contact in ["<sip:c@x>;q=0.1", "*", "<sip:a@x>", "<sip:b@x>;q=0.5", "<sip:a2@x>", "<sip:A@X>", "<tel:1>"] {
            response.push_back(h::CONTACTS, contact);
        }
        let mut redirect = Redirect::default();
        redirect.add(&response);
        redirect.add(&response);
        let all: Vec<_> = std::iter::from_fn(|| redirect.next()).map(|uri| uri.to_string()).collect();
        assert_eq!(all, ["sip:a@x", "sip:a2@x", "sip:A@X", "sip:b@x", "sip:c@x"]);
        redirect.add(&response);
        assert!(redirect.next().is_none(), "each was tried");
        let mut many = Message::status_line(300, None);
        (0..100).for_each(|n| many.push_back(h::CONTACTS, &format!("<sip:{n}@x>")));
        redirect.add(&many);
        assert_eq!(redirect.tried.len() + redirect.targets.len(), MAX_TARGETS);
    }

    /// RFC 3261 §8.1.3.4.
    #[test]
    fn a_secure_call_is_not_sent_in_the_clear() {
        use stack::transport::TransportType::{Tls, Udp};
        for contacts in [&["<sip:carol@192.0.2.8>"][..], &["<sip:carol@192.0.2.8>", "<sips:dave@192.0.2.8>;q=0.1"]] {
            let mut bench = Bench::with_transports(App::default(), crate::DumOptions::default(), &[Udp, Tls]);
            bench.with(|app, dum| {
                let profile = dum.master_profile().user().clone();
                let invite = dum.make_invite(&profile, &addr("<sips:bob@192.0.2.9>"), None);
                app.calls.push(dum.send_invite(&profile, invite).unwrap().session());
            });
            let (transaction, invite) = bench.request();
            let mut moved = invite.make_response(302, None, Some("one"));
            contacts.iter().for_each(|contact| moved.push_back(h::CONTACTS, contact));
            bench.event(TuEvent::Response { transaction, msg: moved.into() });
            if contacts.len() > 1 {
                let (dave, invite) = bench.request();
                assert_eq!(invite.request_uri_text(), b"sips:dave@192.0.2.8");
                bench.respond(dave, &invite, 404);
            }
            bench.nothing_sent();
            let why = if contacts.len() > 1 { "0 Refused" } else { "0 Redirected" };
            assert_eq!(heard(&mut bench), [why]);
        }
    }

    /// RFC 3261 §8.1.3.4, §19.1.5.
    #[test]
    fn what_the_uri_of_a_target_says_goes_where_it_belongs() {
        let (mut bench, transaction, invite) = calling();
        let mut moved = invite.make_response(302, None, Some("one"));
        for contact in [
            "<sip:carol@192.0.2.8;x=y;method=INVITE?Subject=for%20her&Identity=abc&To=%3Csip:m%40e%3E&f=%3Csip:m%40e%3E\
             &body=x&Privacy=none&P-Asserted-Identity=%3Csip:m%40e%3E&Via=x&X-A=b%0d%0aRoute:%20%3Csip:e%3E>",
            "<sip:dave@192.0.2.8?subject=his&SUBJECT=own>;q=0.5",
            "<sip:erin@192.0.2.8>;q=0.1",
        ] {
            moved.push_back(h::CONTACTS, contact);
        }
        bench.event(TuEvent::Response { transaction, msg: moved.into() });
        let values = |msg: &Message, name: &str| -> Vec<_> {
            msg.raw_values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
        };
        for (uri, subject, identity) in [
            ("sip:carol@192.0.2.8;x=y", &["for her"][..], &["abc"][..]),
            ("sip:dave@192.0.2.8", &["his", "own"], &[]),
            ("sip:erin@192.0.2.8", &[], &[]),
        ] {
            let (transaction, msg) = bench.request();
            assert_eq!(std::str::from_utf8(msg.request_uri_text()), Ok(uri));
            assert_eq!(
                (&*values(&msg, "Subject"), &*values(&msg, "Identity")),
                (&strings(subject)[..], &strings(identity)[..])
            );
            assert_eq!((values(&msg, "To"), values(&msg, "From")), (values(&invite, "To"), values(&invite, "From")));
            assert_eq!(msg.body(), invite.body());
            for never in ["Privacy", "P-Asserted-Identity", "Route"] {
                assert_eq!(values(&msg, never), [""; 0], "{never}");
            }
            bench.respond(transaction, &msg, 404);
        }
        assert_eq!(heard(&mut bench), ["0 Refused"]);
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// RFC 3261 §8.1.3.4, §21.6.
    #[test]
    fn the_next_target_is_tried_after_silence_and_not_after_a_6xx() {
        let moved = |bench: &mut Bench<App>, transaction, invite: &Message| {
            let mut msg = invite.make_response(302, None, Some("one"));
            for user in ["carol", "dave", "erin"] {
                msg.push_back(h::CONTACTS, &format!("<sip:{user}@192.0.2.8>"));
            }
            bench.event(TuEvent::Response { transaction, msg: msg.into() });
        };
        let (mut bench, transaction, invite) = calling();
        moved(&mut bench, transaction, &invite);
        let (carol, _) = bench.request();
        bench.event(TuEvent::NoResponse { transaction: carol, reason: stack::tu::NoResponse::Timeout });
        let (dave, invite) = bench.request();
        assert_eq!(invite.request_uri_text(), b"sip:dave@192.0.2.8");
        bench.respond(dave, &invite, 503);
        let (erin, invite) = bench.request();
        bench.event(TuEvent::NoResponse { transaction: erin, reason: stack::tu::NoResponse::Timeout });
        bench.nothing_sent();
        assert_eq!((heard(&mut bench), bench.dum.counts()), (vec!["0 Timeout".to_owned()], Counts::default()));
        assert_eq!(invite.request_uri_text(), b"sip:erin@192.0.2.8");
        let (mut bench, transaction, invite) = calling();
        moved(&mut bench, transaction, &invite);
        let (carol, invite) = bench.request();
        bench.respond(carol, &invite, 603);
        bench.nothing_sent();
        assert_eq!((heard(&mut bench), bench.dum.counts()), (vec!["0 Refused".to_owned()], Counts::default()));
    }
}
