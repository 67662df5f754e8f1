//! Calls that are sent elsewhere: the targets of 3xx responses, tried one after the other (RFC 3261 §8.1.3.4;
//! reSIProcate's `RedirectManager`).

use super::call::{self, Call};
use super::callback::What;
use super::machine::Event;
use super::session::InviteSession;
use crate::dum::Dum;
use crate::handle::Handle;
use stack::header::{Contact, QValue, h, p};
use stack::message::Message;
use stack::uri::Uri;
use std::sync::Arc;

/// Targets of a call, those that were tried included.
const MAX_TARGETS: usize = 16;

/// Where a call may still go.
#[derive(Default)]
pub(super) struct Redirect {
    /// Best last.
    targets: Vec<(QValue, Uri<'static>)>,
    tried: Vec<Uri<'static>>,
}

impl Redirect {
    /// Takes the Contacts of a response, but for targets that were tried or are known (§8.1.3.4).
    fn add(&mut self, response: &Message) {
        for contact in response.header(h::CONTACTS).flatten() {
            let Contact::Addr(contact) = contact else { continue };
            let known = self.tried.iter().chain(self.targets.iter().map(|(_, uri)| uri));
            let again = known.into_iter().any(|uri| uri.equivalent(&contact.uri));
            if again || contact.uri.sip().is_none() || self.tried.len() + self.targets.len() == MAX_TARGETS {
                continue;
            }
            let q = contact.param(p::Q).unwrap_or(QValue::new(1000));
            // Equal ones keep their order.
            let at = self.targets.partition_point(|(known, _)| *known < q);
            self.targets.insert(at, (q, contact.uri.into_owned()));
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
    let Some(&session) = this.sessions.first().filter(|_| more) else { return false };
    if !call::is_wanted(dum, call) {
        return false;
    }
    match redirected {
        Some(response) => dum.tell(session, What::Redirected, Some(response.clone())),
        None => drop(try_next(dum, call)),
    }
    true
}

/// Sends the call to the next target; false: there is none.
fn try_next(dum: &mut Dum<'_>, call: Handle<Call>) -> bool {
    let next = dum.core.calls.get_mut(call).ok().and_then(|this| this.redirect.as_mut()?.next());
    let Some(target) = next else { return false };
    call::resend(dum, call, Event::Redirected, |invite| invite.set_request_uri(&target));
    true
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
    use crate::invite::tests::{App, calling, heard};
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
