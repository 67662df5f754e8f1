//! Which requests a user agent asks a password for, and what it then lets pass.

use super::{Asker, ServerAuthManager, source};
use crate::application::Application;
use crate::dum::Dum;
use stack::auth::{Algorithm, Secret};
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::TuEvent;
use stack::uri::Host;

/// Says who must authenticate, and knows the secrets.
pub trait ServerAuthHandler {
    /// What challenges and checks.
    fn manager(&self) -> &ServerAuthManager;

    /// The realm whose users a request is to be from: best the name of their domain (RFC 3261 §22.1), which
    /// [`ServerAuthHandler::authorizes`] compares with.
    fn realm(&self, request: &Message) -> String;

    /// The secret of a user, for an algorithm; none if there is no such user. It must not block: what is far away is kept
    /// here as a copy.
    fn secret(&self, user: &str, algorithm: Algorithm) -> Option<Secret>;

    /// Whether the sender of a request must authenticate. It is not asked for ACK and CANCEL, which cannot be challenged (RFC
    /// 3261 §22.1). By default all others must, but for two: a BYE has ended the session whatever it is answered (§15.1.1);
    /// and who sends within what this side has begun ([`Dum::has_begun`]), as whom we have called or subscribed to, has no password
    /// here.
    fn requires_challenge(&mut self, dum: &Dum<'_>, request: &Message) -> bool {
        request.method() != Some(Method::Bye) && !dum.has_begun(request)
    }

    /// Whether an authenticated user may send this; if not it is answered 403. By default From must be the user's, and To of a
    /// REGISTER too (RFC 3261 §10.3 step 4): a user name `alice@example.com` is that of `sip:alice@example.com`, in whatever
    /// realm; `alice` is that of `sip:alice@example.com` in the realm `example.com`. The host must be the realm as soon as that
    /// can be a host, as `phones` can, whatever port follows it; in a realm that cannot, as `our phones`, any host will do.
    fn authorizes(&self, request: &Message, user: &str) -> bool {
        let realm = self.realm(request);
        let domain = Host::parse(&realm).ok();
        let whole = user.rsplit_once('@').and_then(|(name, host)| Some((name, Host::parse(host).ok()?)));
        let is_user = |addr: Result<stack::header::NameAddr<'_>, _>| {
            let addr = addr.ok();
            addr.as_ref().and_then(|addr| addr.uri.sip()).is_some_and(|uri| {
                let name = uri.user_decoded().unwrap_or_default();
                *name == *user.as_bytes() && domain.as_ref().is_none_or(|domain| *domain == uri.host)
                    || whole.as_ref().is_some_and(|(user, host)| *name == *user.as_bytes() && *host == uri.host)
            })
        };
        is_user(request.header(h::FROM))
            && (request.method() != Some(Method::Register) || is_user(request.header(h::TO)))
    }
}

impl Dum<'_> {
    /// The user who has shown that he sent a request ([`ServerAuthHandler`]), in the callbacks that it causes; none if nobody
    /// was asked, and none later on.
    pub fn authenticated_user(&self, request: &Message) -> Option<&str> {
        let (key, cseq, user) = self.core.authenticated.as_ref()?;
        (name_of(self, request)? == (*key, *cseq)).then_some(user)
    }
}

/// What a request is known by among those of its sender.
fn name_of(dum: &Dum<'_>, request: &Message) -> Option<(u128, u32)> {
    Some((dum.core.dialogs.key_of_request(request)?, request.header(h::CSEQ).ok()?.number))
}

/// Whether an event goes on to the usages. A request that does not is answered here.
pub(crate) fn admit(app: &mut impl Application, dum: &mut Dum<'_>, event: &TuEvent) -> bool {
    let TuEvent::Request { transaction, msg } = event else { return true };
    if matches!(msg.method(), Some(Method::Ack | Method::Cancel)) {
        return true;
    }
    let Some(handler) = app.server_auth() else { return true };
    if !handler.requires_challenge(dum, msg) {
        return true;
    }
    let (now, realm, handler) = (dum.now(), handler.realm(msg), &*handler);
    let manager = handler.manager();
    let known = |user: &str, algorithm| handler.secret(user, algorithm);
    match manager.check(msg, Asker::Server, &realm, now, known) {
        Ok(user) if handler.authorizes(msg, &user) => {
            let known_by = name_of(dum, msg);
            dum.core.authenticated = known_by.map(|(key, cseq)| (key, cseq, user));
            return true;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ServerAuthOptions;
    use rutil::Rng;

    struct Realm(ServerAuthManager, &'static str);

    impl ServerAuthHandler for Realm {
        fn manager(&self) -> &ServerAuthManager {
            &self.0
        }
        fn realm(&self, _: &Message) -> String {
            self.1.to_owned()
        }
        fn secret(&self, _: &str, _: Algorithm) -> Option<Secret> {
            None
        }
    }

    #[test]
    fn a_user_sends_what_is_from_him_in_his_domain() {
        let authorizes = |realm, user, method: &Method<'static>, from: &str, to: &str| {
            let mut msg = Message::request(method, "sip:example.com");
            msg.append_line("From", &format!("<{from}>;tag=x"));
            msg.append_line("To", &format!("<{to}>"));
            let manager = ServerAuthManager::new(ServerAuthOptions::default(), &mut Rng::from_seed(1));
            Realm(manager, realm).authorizes(&msg, user)
        };
        for (realm, user, from, may) in [
            ("example.com", "alice", "sip:alice@example.com", true),
            ("example.com", "alice", "sips:%61lice@EXAMPLE.com:5070", true),
            ("example.com", "alice", "sip:alice@any.domain", false),
            ("example.com", "alice", "sip:alice@sub.example.com", false),
            ("example.com", "alice", "sip:mallory@example.com", false),
            ("example.com", "alice", "sip:example.com", false),
            ("example.com", "alice", "tel:+1", false),
            ("phones", "alice", "sip:alice@example.com", false),
            ("192.0.2.1", "alice", "sip:alice@192.0.2.1:5070", true),
            ("192.0.2.1", "alice", "sip:alice@192.0.2.2", false),
            ("[2001:db8::1]", "alice", "sip:alice@[2001:db8:0::1]", true),
            // What can be no host names no domain.
            ("our phones", "alice", "sip:alice@any.domain", true),
            ("our phones", "alice", "sip:mallory@any.domain", false),
            // A user name may be a whole address.
            ("phones", "alice@example.com", "sip:alice@Example.com", true),
            ("our phones", "alice@example.com", "sip:alice@any.domain", false),
            ("example.com", "alice@any.domain", "sip:alice@example.com", false),
        ] {
            assert_eq!(authorizes(realm, user, &Method::Register, from, from), may, "{realm} {user} {from}");
            // Whom others call is not asked; where they register is.
            let to = "sip:bob@any.domain";
            assert_eq!(authorizes(realm, user, &Method::Invite, from, to), may, "{realm} {user} {from}");
            assert!(!authorizes(realm, user, &Method::Register, from, to), "{realm} {user} {from}");
        }
        let elsewhere = ("sip:alice@example.com", "sip:alice@any.domain");
        assert!(!authorizes("example.com", "alice", &Method::Register, elsewhere.0, elsewhere.1));
    }
}
