//! Passwords: every user agent, the registrar and the proxy ask for them now and then, in dialogs and out of them, and soon
//! take no nonce for fresh any more. Everybody has the right one, but for strangers, who have a wrong one or none: those are
//! always asked, and so are never let in.

use crate::world::NAMES;
use dum::auth::{Asker, Credential, ServerAuthHandler, ServerAuthManager, ServerAuthOptions, source};
use dum::{Dum, UserProfile};
use repro::processors::{Processor, ProcessorResult};
use repro::proxy::RequestContext;
use rutil::Rng;
use stack::auth::{Algorithm, Qop, Secret};
use stack::header::{Auth, HeaderValue, Many, Method, NameAddr, h};
use stack::message::Message;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a nonce serves: most calls outlast it.
const LIFETIME: Duration = Duration::from_secs(20);

/// What the names of strangers begin with.
pub(crate) const STRANGER: &str = "mallory";

fn password(user: &str) -> String {
    format!("the secret of {user}")
}

/// The right password of a user agent.
pub(crate) fn credentials(node: usize) -> Arc<[Credential]> {
    let user = NAMES[node];
    Arc::new([Credential::for_any_realm(user, &password(user))])
}

/// Makes somebody a stranger.
pub(crate) fn stranger(base: &Arc<UserProfile>, rng: &mut Rng) -> Arc<UserProfile> {
    let mut profile = UserProfile::on(base);
    let wrong = rng.chance(0.5).then(|| Credential::for_any_realm("alice", "a guess"));
    profile.set_credentials(wrong.into_iter().collect());
    let name = base.from().to_string().replacen("sip:", &format!("sip:{STRANGER}-"), 1);
    profile.set_from(Arc::new(NameAddr::parse(&name).unwrap().into_owned()));
    Arc::new(profile)
}

/// Whether a message belongs to what a stranger has begun, or asks for.
pub(crate) fn is_strange(msg: &Message) -> bool {
    let from = msg.header(h::FROM).expect("a From");
    from.uri.sip().is_some_and(|uri| uri.user_decoded().unwrap_or_default().starts_with(STRANGER.as_bytes()))
}

/// Who asks, by one realm.
pub(crate) struct Guard {
    manager: ServerAuthManager,
    realm: &'static str,
    rng: Rng,
}

impl Guard {
    pub(crate) fn new(node: usize, mut rng: Rng) -> Self {
        let qops = vec![if rng.chance(0.5) { Qop::Auth } else { Qop::AuthInt }];
        // Few are remembered: of some that serve still it is not known how often they were used.
        let options = ServerAuthOptions { qops, lifetime: LIFETIME, nonces: 200, ..ServerAuthOptions::default() };
        Guard { manager: ServerAuthManager::new(options, &mut rng), realm: NAMES[node], rng }
    }

    /// Whether a request is asked for a password. One that has some is looked at in any case.
    fn asks(&mut self, request: &Message, credentials: Many<Auth<'static>>) -> bool {
        let mut presented = request.header(credentials).flatten();
        presented.any(|auth| auth.get("realm").as_deref() == Some(self.realm))
            || is_strange(request) && !request.has_to_tag()
            || self.rng.chance(0.1)
    }
}

fn secret(user: &str) -> Option<Secret> {
    NAMES.contains(&user).then(|| Secret::password(&password(user)))
}

impl ServerAuthHandler for Guard {
    fn manager(&self) -> &ServerAuthManager {
        &self.manager
    }
    fn realm(&self, _: &Message) -> String {
        self.realm.to_owned()
    }
    fn secret(&self, user: &str, _: Algorithm) -> Option<Secret> {
        secret(user)
    }
    fn requires_challenge(&mut self, _: &Dum<'_>, request: &Message) -> bool {
        self.asks(request, h::AUTHORIZATIONS)
    }
    fn authorizes(&self, _: &Message, _: &str) -> bool {
        // From is also the name by which somebody was called.
        true
    }
}

/// The same in the proxy.
pub(crate) struct Gate(pub(crate) Mutex<Guard>);

impl Processor for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let mut guard = self.0.lock().unwrap();
        let (method, now) = (context.request.method(), context.stack.now());
        // Who is found where is not what this is about.
        if matches!(method, Some(Method::Ack | Method::Cancel | Method::Register))
            || !guard.asks(&context.request, h::PROXY_AUTHORIZATIONS)
        {
            return ProcessorResult::Continue;
        }
        let checked = guard.manager.check(&context.request, Asker::Proxy, guard.realm, now, |user, _| secret(user));
        let Err(refusal) = checked else { return ProcessorResult::Continue };
        let source = source(&context.request);
        let challenges = guard.manager.challenges(source, guard.realm, &refusal, now, context.stack.rng());
        context.respond_with(Asker::Proxy.status(), |response| Asker::Proxy.write(&challenges, response))
    }
}
