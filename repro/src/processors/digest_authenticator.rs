//! Passwords (RFC 3261 §22): 401 for who registers, 407 for who sends in the name of one of our domains, 403 for who has
//! shown to be somebody else.

use super::{Processor, ProcessorResult};
use crate::auth::Authentication;
use crate::provisioning::{Provisioning, one_line};
use crate::proxy::{RequestContext, Verb, aor_key};
use dum::auth::{Asker, Refusal, source};
use stack::header::{NameAddr, h};
use stack::uri::{Host, SipUri, Uri};
use std::borrow::Cow;

/// The host of a From that says nothing (RFC 3323 §4.1).
const ANONYMOUS: &str = "anonymous.invalid";

/// Asks for passwords where the configuration requires them, of everybody who is not trusted. ACK and CANCEL are never
/// asked (RFC 3261 §22.1), nor what follows our own Route within a dialog: that must lead to a user or come from one
/// (`am-i-responsible`).
pub(super) struct DigestAuthenticator;

impl Processor for DigestAuthenticator {
    fn name(&self) -> &'static str {
        "digest-authenticator"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let Some(auth) = context.server.auth() else { return ProcessorResult::Continue };
        let asks = match context.verb {
            _ if context.trust.listed => false,
            Verb::Ack | Verb::Cancel => false,
            _ => context.is_initial() || !context.came_by_own_route || names_a_user(context),
        };
        if asks { authenticate(context, auth, Anonymous::Passes) } else { ProcessorResult::Continue }
    }
}

/// Whether it goes to an address-of-record of ours, and not to a device, as what belongs to a dialog does (a GRUU is one):
/// a To tag and a Route of ours can be forged.
fn names_a_user(context: &RequestContext<'_, '_>) -> bool {
    let goes_on = context.route.is_some() || context.flow.is_some();
    !goes_on
        && matches!(context.request.request_uri(), Ok(Uri::Sip(uri)) if context.uri.ours && !uri.params.contains("gr"))
}

/// Who a request says that it is from, one of ours.
struct Claim<'s> {
    /// The user part, without escapes.
    user: Vec<u8>,
    domain: String,
    /// None: whoever it is.
    aor: Option<String>,
    realm: Cow<'s, str>,
}

/// What becomes of a request whose From says nothing, and which prefers no identity of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anonymous {
    /// It is a stranger's.
    Passes,
    /// Any user of our first domain may have sent it.
    Asked,
}

impl Claim<'_> {
    /// The address-of-record of the user that has this name in the credentials.
    fn aor_of(&self, name: &str) -> String {
        match &self.aor {
            Some(aor) if *name.as_bytes() == *self.user => aor.clone(),
            _ => format!("{name}@{}", self.domain),
        }
    }
}

/// Whom a header names, if that is one of ours.
fn claim<'s>(context: &RequestContext<'s, '_>, addr: Option<NameAddr<'_>>) -> Option<Claim<'s>> {
    let Uri::Sip(mut uri) = addr?.uri else { return None };
    // Whoever looks at a telephone sees the name alone: neither a port nor a dot behind it makes another of it.
    if let Host::Name(name) = &uri.host {
        uri.host = Host::Name(name.strip_suffix('.').unwrap_or(name).to_owned().into());
        uri.port = None;
    }
    if !context.is_ours(&uri.host, uri.port) {
        return None;
    }
    let provisioning = context.server.provisioning();
    let (user, domain) =
        (uri.user_decoded().unwrap_or_default().into_owned(), uri.host.to_string().to_ascii_lowercase());
    let aor = aor_key(uri);
    let realm = realm_of(provisioning, &aor, &domain);
    Some(Claim { user, domain, aor: Some(aor), realm })
}

fn realm_of<'s>(provisioning: &'s Provisioning, aor: &str, domain: &str) -> Cow<'s, str> {
    let of_user = provisioning.user(aor).and_then(|user| user.realm());
    let known = of_user.or_else(|| provisioning.domain(domain).map(|domain| &*domain.realm));
    known.map_or_else(|| Cow::Owned(domain.to_owned()), Cow::Borrowed)
}

/// Who must prove to be whom: the sender (RFC 3261 §10.2: who registers is in From), for an anonymous one the identity
/// that it prefers (RFC 3325 §6), and for a REGISTER of a stranger the address-of-record.
fn claim_of<'s>(context: &RequestContext<'s, '_>, nameless: Anonymous) -> Option<Claim<'s>> {
    let request = &context.request;
    let from = request.header(h::FROM).ok();
    let anonymous = from.as_ref().and_then(|from| from.uri.sip()).is_some_and(is_anonymous);
    if let Some(claim) = claim(context, from) {
        return Some(claim);
    }
    match context.verb {
        Verb::Register => claim(context, request.header(h::TO).ok()),
        _ if !anonymous => None,
        _ => claim(context, request.header(h::P_PREFERRED_IDENTITIES).flatten().next())
            .or_else(|| whoever(context).filter(|_| nameless == Anonymous::Asked)),
    }
}

/// A user of our first domain.
fn whoever<'s>(context: &RequestContext<'s, '_>) -> Option<Claim<'s>> {
    let domain = context.server.first_domain()?;
    let realm = realm_of(context.server.provisioning(), "", &domain);
    Some(Claim { user: Vec::new(), domain, aor: None, realm })
}

fn is_anonymous(uri: &SipUri<'_>) -> bool {
    matches!(&uri.host, Host::Name(name) if name.eq_ignore_ascii_case(ANONYMOUS))
}

/// Whether a request shows who sent it, if it must. Then [`crate::proxy::RequestState::user`] is known.
pub(super) fn authenticate(
    context: &mut RequestContext<'_, '_>,
    auth: &Authentication,
    nameless: Anonymous,
) -> ProcessorResult {
    let Some(claim) = claim_of(context, nameless) else { return ProcessorResult::Continue };
    let asker = if context.verb == Verb::Register { Asker::Server } else { Asker::Proxy };
    let (server, now) = (context.server, context.stack.now());
    let source = source(&context.request);
    let mut aor = String::new();
    let secret = |name: &str, algorithm| {
        aor = claim.aor_of(name);
        let slowed = source.is_some_and(|source| auth.is_slowed(source, &aor, now));
        server.provisioning().user(&aor).filter(|_| !slowed)?.secret(algorithm)
    };
    match auth.manager().check(&context.request, asker, &claim.realm, now, secret) {
        Ok(_) if may(context, &claim, &aor) => {
            context.user = Some(aor.into());
            ProcessorResult::Continue
        }
        Ok(_) => context.respond(403),
        Err(refusal) => {
            if let (Refusal::Wrong { .. }, Some(source)) = (&refusal, source) {
                tracing::info!(peer = %source, aor = one_line(&aor), "wrong password");
                if let Some(length) = auth.failed(source, &aor, now)
                    && context.stack.ban(source, length)
                {
                    tracing::warn!(peer = %source, seconds = length.as_secs(), "banned: it guesses passwords");
                }
            }
            challenge(context, auth, asker, &claim.realm, &refusal)
        }
    }
}

fn challenge(
    context: &mut RequestContext<'_, '_>,
    auth: &Authentication,
    asker: Asker,
    realm: &str,
    refusal: &Refusal,
) -> ProcessorResult {
    let (source, now) = (source(&context.request), context.stack.now());
    let challenges = auth.manager().challenges(source, realm, refusal, now, context.stack.rng());
    context.respond_with(asker.status(), |response| asker.write(&challenges, response))
}

/// Whether a user may send this: in his own name, and REGISTER for himself and for those that are allowed to him
/// (RFC 3261 §10.3 step 4). That there is no such address-of-record is the registrar's to say.
fn may(context: &RequestContext<'_, '_>, claim: &Claim<'_>, user: &str) -> bool {
    if context.verb != Verb::Register {
        return claim.aor.as_deref().is_none_or(|aor| aor == user);
    }
    match context.request.header(h::TO).map(|to| to.uri) {
        Ok(Uri::Sip(to)) if context.is_ours(&to.host, to.port) => {
            let aor = aor_key(to);
            let known = context.server.provisioning().user(user);
            aor == user || known.is_some_and(|known| known.may_register(&aor))
        }
        _ => true,
    }
}
