//! reSIProcate's `ClientAuthManager`: answers to 401 and 407, for every usage.
//!
//! ```text
//!   request ──► with what the last challenge of its Call-ID asked for ──► sent (kept, as long as it is not answered)
//!                                                                          │ 401, 407
//!            nobody has a secret, or it was refused ◄── challenges ◄───────┘
//!                            │                              │ answered
//!                            ▼                              ▼
//!                      usage: failure             sent again, next CSeq number
//! ```
//!
//! Nothing is kept for profiles without credentials.

use super::{Credential, of_realm};
use crate::dum::Dum;
use crate::profile::UserProfile;
use crate::usage::Usage;
use rutil::{HashMap, Keyed, Rng};
use smallvec::SmallVec;
use stack::auth::{Answer, Challenge};
use stack::header::{Auth, h, p};
use stack::message::Message;
use stack::tu::{ClientTransaction, NextHop, SendOptions};
use std::sync::Arc;

/// So often one request is sent again for challenges: one of the registrar, one of a proxy, and stale nonces of both.
const MAX_ANSWERS: u8 = 4;

/// Realms that are answered on one Call-ID.
const MAX_REALMS: usize = 8;

/// What was asked of a Call-ID, by one realm.
struct Realm {
    proxy: bool,
    challenge: Challenge,
    /// Answers to its nonce.
    count: u32,
}

/// A request that may be challenged.
struct Sent {
    msg: Box<Message>,
    options: SendOptions,
    profile: Arc<UserProfile>,
    answers: u8,
}

/// What is remembered for answers.
pub(crate) struct ClientAuth {
    /// By Call-ID and From tag. When one generation is full it becomes the older one, and what was not used since goes.
    young: HashMap<u128, SmallVec<[Realm; 1]>>,
    old: HashMap<u128, SmallVec<[Realm; 1]>>,
    limit: usize,
    sent: HashMap<ClientTransaction, Sent>,
}

impl ClientAuth {
    pub(crate) fn new(limit: usize, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        let map = || HashMap::with_hasher(hasher.clone());
        ClientAuth { young: map(), old: map(), limit: limit / 2, sent: HashMap::with_hasher(hasher.clone()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// The request was answered for good.
    pub(crate) fn forget(&mut self, transaction: ClientTransaction) {
        // Most user agents have no credentials: not even a hash is computed for them.
        if !self.sent.is_empty() {
            self.sent.remove(&transaction);
        }
    }

    /// The request as it was sent last.
    pub(crate) fn request(&self, transaction: ClientTransaction) -> Option<&Message> {
        self.sent.get(&transaction).map(|sent| &*sent.msg)
    }

    fn realms(&mut self, key: u128) -> &mut SmallVec<[Realm; 1]> {
        if self.young.len() >= self.limit && !self.young.contains_key(&key) {
            let empty = HashMap::with_hasher(self.old.hasher().clone());
            self.old = std::mem::replace(&mut self.young, empty);
        }
        let kept = self.old.remove(&key);
        self.young.entry(key).or_insert_with(|| kept.unwrap_or_default())
    }

    fn knows(&self, key: u128) -> bool {
        self.young.contains_key(&key) || self.old.contains_key(&key)
    }

    /// Writes the credentials for all realms that have asked on this Call-ID.
    fn authorize(&mut self, key: u128, credentials: &[Credential], msg: &mut Message, rng: &mut Rng) {
        if !self.knows(key) {
            return;
        }
        msg.remove(h::AUTHORIZATIONS);
        msg.remove(h::PROXY_AUTHORIZATIONS);
        for realm in self.realms(key) {
            let Some(credential) = of_realm(credentials, &realm.challenge.realm) else { continue };
            realm.count = realm.count.saturating_add(1);
            if let Some(auth) = realm.answer(credential, msg, rng) {
                match realm.proxy {
                    true => msg.push_back(h::PROXY_AUTHORIZATIONS, &auth),
                    false => msg.push_back(h::AUTHORIZATIONS, &auth),
                }
            }
        }
    }

    /// A request was refused with 401 or 407: takes note of what is asked. False: there is no answer.
    fn learn(&mut self, key: u128, credentials: &[Credential], msg: &Message, response: &Message, again: bool) -> bool {
        let mut some = false;
        for (proxy, challenge) in challenges(response, credentials) {
            let sent = presented(msg, proxy, &challenge.realm);
            if !may_answer(sent.as_deref(), again, &challenge) {
                return false;
            }
            let realms = self.realms(key);
            realms.retain(|realm| (realm.proxy, &realm.challenge.realm) != (proxy, &challenge.realm));
            if realms.len() < MAX_REALMS {
                realms.push(Realm { proxy, challenge, count: 0 });
                some = true;
            }
        }
        some
    }

    /// The nonce to use next, which a server may name in its 2xx (RFC 7616 §3.5).
    fn next_nonce(&mut self, key: u128, response: &Message) {
        let www = response.header(h::AUTHENTICATION_INFOS).next();
        let proxy = response.header(h::PROXY_AUTHENTICATION_INFOS).next();
        for (proxy, info) in [(false, www), (true, proxy)] {
            let Some(Ok(info)) = info else { continue };
            let Some(nonce) = info.get("nextnonce") else { continue };
            // It names no realm: with several of a kind nobody can tell which one's it is.
            let mut of_kind = self.realms(key).iter_mut().filter(|realm| realm.proxy == proxy);
            if let (Some(realm), None) = (of_kind.next(), of_kind.next()) {
                realm.challenge.nonce = nonce.into_owned();
                realm.count = 0;
            }
        }
    }
}

impl Realm {
    fn answer(&self, credential: &Credential, msg: &Message, rng: &mut Rng) -> Option<Auth<'static>> {
        let method = msg.method()?;
        let uri = std::str::from_utf8(msg.request_uri_text()).ok()?;
        let cnonce = rng.token::<16>();
        let answer = Answer {
            user: &credential.user,
            method: method.as_str(),
            uri,
            body: msg.body(),
            cnonce: cnonce.as_str(),
            count: self.count,
        };
        self.challenge.answer(&credential.secret, &answer)
    }
}

/// Of each realm that has a secret the strongest challenge (RFC 8760 §2.4 leaves the choice to the client). What cannot be
/// read is ignored.
fn challenges(response: &Message, credentials: &[Credential]) -> SmallVec<[(bool, Challenge); 1]> {
    let www = response.header(h::WWW_AUTHENTICATES).map(|auth| (false, auth));
    let proxy = response.header(h::PROXY_AUTHENTICATES).map(|auth| (true, auth));
    let mut best: SmallVec<[(bool, Challenge); 1]> = SmallVec::new();
    for (proxy, auth) in www.chain(proxy) {
        if best.len() == MAX_REALMS {
            break;
        }
        let Some(challenge) = auth.ok().and_then(|auth| Challenge::read(&auth).ok()) else { continue };
        let credential = of_realm(credentials, &challenge.realm);
        if !credential.is_some_and(|credential| credential.secret.serves(challenge.algorithm.hash)) {
            continue;
        }
        match best.iter_mut().find(|(p, known)| *p == proxy && known.realm == challenge.realm) {
            Some((_, known)) if known.algorithm.hash < challenge.algorithm.hash => *known = challenge,
            Some(_) => {}
            None => best.push((proxy, challenge)),
        }
    }
    best
}

/// The nonce that a request answered to a realm. An answer for another Request-URI, before a redirection, is none.
fn presented(msg: &Message, proxy: bool, realm: &str) -> Option<String> {
    let ours = |auth: Auth<'_>| {
        let uri = auth.get("uri").is_some_and(|uri| uri.as_bytes() == msg.request_uri_text());
        (uri && auth.get("realm").as_deref() == Some(realm)).then(|| auth.get("nonce").unwrap_or_default().into_owned())
    };
    match proxy {
        true => msg.header(h::PROXY_AUTHORIZATIONS).filter_map(Result::ok).find_map(ours),
        false => msg.header(h::AUTHORIZATIONS).filter_map(Result::ok).find_map(ours),
    }
}

/// Whether a challenge is answered. `sent` is the nonce that the refused request answered already; `again`, that this
/// request was sent for a challenge and not with the nonce of an earlier one.
fn may_answer(sent: Option<&str>, again: bool, challenge: &Challenge) -> bool {
    match sent {
        None => true,
        // The same nonce twice: the secret is wrong, whatever `stale` says.
        Some(nonce) if nonce == challenge.nonce => false,
        // RFC 7616 §3.3: with `stale` the secret was right. Not all servers say so of a nonce that was used for long.
        Some(_) => challenge.stale || !again,
    }
}

/// Before a request is sent: it gets the credentials of the last challenge, and is to be kept if it may be challenged.
pub(crate) fn prepare(dum: &mut Dum<'_>, usage: Usage, msg: &mut Message) -> Option<Arc<UserProfile>> {
    let profile = usage.profile(dum.core).filter(|profile| !profile.credentials().is_empty())?;
    let key = dum.core.dialogs.key_of_request(msg)?;
    dum.core.client_auth.authorize(key, &profile.credentials(), msg, dum.stack.rng());
    Some(profile)
}

/// It was sent: what it takes to send it again.
pub(crate) fn keep(
    dum: &mut Dum<'_>,
    transaction: ClientTransaction,
    msg: Box<Message>,
    options: SendOptions,
    profile: Arc<UserProfile>,
) {
    dum.core.client_auth.sent.insert(transaction, Sent { msg, options, profile, answers: 0 });
}

/// A request was refused with 401 or 407: it is sent again, if there is an answer.
pub(crate) fn answered(dum: &mut Dum<'_>, transaction: ClientTransaction, usage: Usage, response: &Message) -> bool {
    if let Usage::Call(call) = usage
        && let Some(done) = crate::invite::call::challenged(dum, call, transaction, response)
    {
        return done;
    }
    if !usage.awaits(dum.core, transaction) {
        return false;
    }
    let Some(mut sent) = dum.core.client_auth.sent.remove(&transaction) else { return false };
    let Some(key) = dum.core.dialogs.key_of_request(&sent.msg) else { return false };
    let credentials = sent.profile.credentials();
    let auth = &mut dum.core.client_auth;
    let again = sent.answers > 0;
    if sent.answers == MAX_ANSWERS || !auth.learn(key, &credentials, &sent.msg, response, again) {
        return false;
    }
    auth.authorize(key, &credentials, &mut sent.msg, dum.stack.rng());
    let Some(cseq) = next_cseq(dum, &mut sent.msg) else { return false };
    if let Some(source) = response.source().filter(|_| sent.options.new_connection) {
        // What has a connection of its own keeps it.
        sent.options = SendOptions { next_hop: NextHop::Flow(source.flow), new_connection: false, ..sent.options };
    }
    let new = dum.transmit(sent.msg.clone(), sent.options);
    dum.core.clients.insert(new, usage);
    usage.resent(dum.core, transaction, new, cseq);
    sent.answers += 1;
    dum.core.client_auth.sent.insert(new, sent);
    true
}

/// A call's INVITE was refused with 401 or 407, for the time `answers`: whether it may be sent once more.
pub(crate) fn learn(dum: &mut Dum<'_>, profile: &UserProfile, msg: &Message, response: &Message, answers: u8) -> bool {
    let Some(key) = dum.core.dialogs.key_of_request(msg) else { return false };
    let auth = &mut dum.core.client_auth;
    answers < MAX_ANSWERS && auth.learn(key, &profile.credentials(), msg, response, answers > 0)
}

/// A call's INVITE is sent once more, for whatever reason: what it answers is answered anew.
pub(crate) fn authorize(dum: &mut Dum<'_>, profile: &UserProfile, msg: &mut Message) {
    if let Some(key) = dum.core.dialogs.key_of_request(msg) {
        dum.core.client_auth.authorize(key, &profile.credentials(), msg, dum.stack.rng());
    }
}

/// A 2xx: it may say what the next request is to answer.
pub(crate) fn succeeded(dum: &mut Dum<'_>, response: &Message) {
    if (response.exists(h::AUTHENTICATION_INFOS) || response.exists(h::PROXY_AUTHENTICATION_INFOS))
        && let Some(key) = dum.core.dialogs.key_of_request(response)
        && dum.core.client_auth.knows(key)
    {
        dum.core.client_auth.next_nonce(key, response);
    }
}

/// Gives a request the next number: of its dialog, or after its own.
fn next_cseq(dum: &mut Dum<'_>, msg: &mut Message) -> Option<u32> {
    let cseq = msg.header(h::CSEQ).ok()?;
    let (number, method) = (cseq.number, cseq.method.into_owned());
    let tag =
        |addr: Result<stack::header::NameAddr<'_>, _>| addr.ok().and_then(|addr| addr.param(p::TAG).map(str::to_owned));
    let (local, remote) = (tag(msg.header(h::FROM))?, tag(msg.header(h::TO)));
    let call_id = msg.header(h::CALL_ID).ok()?;
    let dialog = remote.and_then(|remote| dum.core.dialogs.find(call_id.as_str(), &local, &remote));
    let number = match dialog.map(|dialog| dum.core.dialogs.get_mut(dialog)) {
        Some(Ok(entry)) => entry.dialog.next_cseq(),
        _ => number.saturating_add(1),
    };
    msg.set(h::CSEQ, &format_args!("{number} {}", method.as_str()));
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::auth::Algorithm;

    #[test]
    fn what_was_refused_once_is_not_tried_again() {
        let fresh = Challenge::new("a", "new", Algorithm::MD5);
        let stale = Challenge { stale: true, ..fresh.clone() };
        for (sent, again, challenge, expected) in [
            (None, false, &fresh, true),
            // Another realm was answered.
            (None, true, &fresh, true),
            (Some("old"), false, &fresh, true),
            (Some("old"), false, &stale, true),
            (Some("old"), true, &fresh, false),
            (Some("old"), true, &stale, true),
            (Some("new"), false, &fresh, false),
            (Some("new"), false, &stale, false),
            (Some("new"), true, &stale, false),
        ] {
            assert_eq!(may_answer(sent, again, challenge), expected, "{sent:?} {again} {}", challenge.stale);
        }
    }
}
