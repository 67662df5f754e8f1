//! Which requests a user agent asks a password for, and what it then lets pass.

use super::{Asker, ServerAuthManager, source};
use crate::application::Application;
use crate::dum::Dum;
use stack::auth::{Algorithm, Secret};
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::TuEvent;

/// Says who must authenticate, and knows the secrets.
pub trait ServerAuthHandler {
    /// What challenges and checks.
    fn manager(&self) -> &ServerAuthManager;

    /// The realm whose users a request is to be from.
    fn realm(&self, request: &Message) -> String;

    /// The secret of a user, for an algorithm; none if there is no such user. It must not block: what is far away is kept
    /// here as a copy.
    fn secret(&self, user: &str, algorithm: Algorithm) -> Option<Secret>;

    /// Whether the sender of a request must authenticate. By default for all that can (RFC 3261 §22.1: ACK and CANCEL
    /// cannot be challenged, and are not asked for).
    fn requires_challenge(&mut self, _request: &Message) -> bool {
        true
    }

    /// Whether an authenticated user may send this; if not it is answered 403. By default From must be the user's: a
    /// user name `alice` or `alice@example.com` for `sip:alice@example.com`; and To of a REGISTER too (RFC 3261 §10.3
    /// step 4).
    fn authorizes(&self, request: &Message, user: &str) -> bool {
        let is_user = |addr: Result<stack::header::NameAddr<'_>, _>| {
            let addr = addr.ok();
            addr.as_ref().and_then(|addr| addr.uri.sip()).is_some_and(|uri| {
                let name = uri.user_decoded().unwrap_or_default();
                let whole = [&*name, b"@", uri.host.to_string().as_bytes()].concat();
                *name == *user.as_bytes() || whole == user.as_bytes()
            })
        };
        is_user(request.header(h::FROM))
            && (request.method() != Some(Method::Register) || is_user(request.header(h::TO)))
    }
}

/// Whether an event goes on to the usages. A request that does not is answered here.
pub(crate) fn admit(app: &mut impl Application, dum: &mut Dum<'_>, event: &TuEvent) -> bool {
    let TuEvent::Request { transaction, msg } = event else { return true };
    if matches!(msg.method(), Some(Method::Ack | Method::Cancel)) {
        return true;
    }
    let Some(handler) = app.server_auth() else { return true };
    if !handler.requires_challenge(msg) {
        return true;
    }
    let (now, realm, handler) = (dum.now(), handler.realm(msg), &*handler);
    let manager = handler.manager();
    let known = |user: &str, algorithm| handler.secret(user, algorithm);
    match manager.check(msg, Asker::Server, &realm, now, known) {
        Ok(user) if handler.authorizes(msg, &user) => return true,
        Ok(_) => dum.refuse(*transaction, msg, 403),
        Err(refusal) => {
            let challenges = manager.challenges(source(msg), &realm, &refusal, now, dum.rng());
            let mut response = dum.make_response(msg, Asker::Server.status(), None);
            Asker::Server.write(&challenges, &mut response);
            dum.respond(*transaction, response);
        }
    }
    false
}
