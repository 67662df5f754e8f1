//! Trunks: which of them carry a call, in which order.

use super::health::{Event, Health, State};
use super::prefix::{EXPECTED_PREFIX, PrefixTable, is_prefix};
use crate::provisioning::{ContactUri, Fault, Record};
use rutil::Time;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use stack::uri::{SipUri, Uri, escape_user};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The most contacts that one call is tried at.
pub const MOST_ATTEMPTS: usize = 8;
/// The most contacts of a trunk.
const MOST_CONTACTS: usize = 16;

/// `[[trunk]]`: a way to other networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkRecord {
    /// Its name.
    pub name: String,
    /// Where its calls go: sip or sips URIs without a user, tried in this order. The addresses of a name that SRV
    /// resolves are tried one after the other as well, and are one contact.
    pub contacts: Vec<ContactUri>,
    /// What the numbers begin with that it carries; of all trunks those with the longest prefix of a number get it.
    /// Without it every number; with an empty list none but emergency calls.
    #[serde(default = "any")]
    pub prefixes: Vec<String>,
    /// What the prefix becomes; without it, it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_prefix: Option<String>,
    /// Of trunks with the same prefix that of the smallest number is tried first.
    #[serde(default)]
    pub priority: u32,
    /// Its share of the calls among those with the same prefix and priority, from 1.
    #[serde(default = "one")]
    pub weight: u32,
    /// Seconds from one OPTIONS to each contact to the next; 0: none is sent.
    #[serde(default)]
    pub oos_check: u32,
    /// Seconds after which a contact is out of service that has not answered an OPTIONS.
    #[serde(default = "oos_force")]
    pub oos_force: u32,
    /// Seconds that a contact stays out of service at least; then an answered OPTIONS, or a call that tries it where no
    /// OPTIONS are sent, brings it back.
    #[serde(default = "recovery_timeout")]
    pub recovery_timeout: u32,
    /// Seconds that a contact, and each address behind its name, may say nothing at all to an INVITE, not even 100: then
    /// the next one gets the call, and the contact is out of service. A later 2xx still counts. 0: 32 s over UDP.
    #[serde(default = "silence_timeout")]
    pub silence_timeout: u32,
    /// What becomes of a call that it redirects (3xx).
    #[serde(default)]
    pub redirects: Redirects,
    /// Whether emergency calls go to it before all others.
    #[serde(default)]
    pub emergency: bool,
    /// Whether causes of the telephone network are read in its answers and written into them (RFC 3398): the cause of a
    /// 5xx decides what it means.
    #[serde(default)]
    pub q850: bool,
}

/// What becomes of a redirected call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redirects {
    /// It goes to the contacts of the 3xx.
    Follow,
    /// It is refused.
    #[default]
    Reject,
}

fn any() -> Vec<String> {
    vec![String::new()]
}

fn one() -> u32 {
    1
}

fn oos_force() -> u32 {
    8
}

fn silence_timeout() -> u32 {
    5
}

fn recovery_timeout() -> u32 {
    30
}

impl Record for TrunkRecord {
    const KIND: &'static str = "trunk";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn check(&self) -> Result<(), Fault> {
        let fault = |field, expected: &str| Err(Fault { field, expected: expected.to_owned() });
        if self.contacts.is_empty() || self.contacts.len() > MOST_CONTACTS {
            return fault("contacts", &format!("expected 1 to {MOST_CONTACTS}"));
        }
        if let Some(contact) = self.contacts.iter().find(|contact| Contact::new(contact).is_none()) {
            return fault("contacts", &format!("{contact}: expected no user and no password"));
        }
        let twice = |at: usize, contact| self.contacts.iter().take(at).any(|other: &ContactUri| other == contact);
        if let Some((_, contact)) = self.contacts.iter().enumerate().find(|(at, contact)| twice(*at, *contact)) {
            return fault("contacts", &format!("{contact}: expected each once"));
        }
        if let Some(prefix) = self.prefixes.iter().find(|prefix| !is_prefix(prefix)) {
            return fault("prefixes", &format!("{prefix:?}: {EXPECTED_PREFIX}"));
        }
        if self.replace_prefix.as_ref().is_some_and(|prefix| !is_prefix(prefix)) {
            return fault("replace_prefix", EXPECTED_PREFIX);
        }
        for (field, value) in
            [("weight", self.weight), ("oos_force", self.oos_force), ("recovery_timeout", self.recovery_timeout)]
        {
            if value == 0 {
                return fault(field, "expected at least 1");
            }
        }
        if self.oos_check > 0 && self.oos_force > self.oos_check {
            return fault("oos_force", "expected at most oos_check: one OPTIONS at a time");
        }
        Ok(())
    }
}

/// A trunk, ready for use.
#[derive(Debug)]
pub struct Trunk {
    /// As it was written.
    pub record: TrunkRecord,
    /// Where its calls go.
    pub contacts: Box<[Contact]>,
}

/// A contact of a trunk.
#[derive(Debug)]
pub struct Contact {
    uri: SipUri<'static>,
    /// Scheme, and what stands behind the number, of the Request-URI of a call.
    around: (Box<str>, Box<str>),
    /// Whether it is in service.
    pub health: Health,
}

impl Contact {
    fn new(contact: &ContactUri) -> Option<Contact> {
        let Ok(Uri::Sip(uri)) = Uri::parse_request(contact.as_str()) else { return None };
        let plain = uri.user.is_none() && uri.password.is_none();
        let phone = uri.clone().with_param("user", "phone").to_string();
        let (scheme, rest) = phone.split_once(':').filter(|_| plain)?;
        let around = (format!("{scheme}:").into(), format!("@{rest}").into());
        Some(Contact { uri: uri.into_owned(), around, health: Health::default() })
    }

    /// The Request-URI of an OPTIONS to it.
    pub fn uri(&self) -> &SipUri<'static> {
        &self.uri
    }

    /// The Request-URI of a call to a number, as a user part has it: with escapes.
    fn uri_for(&self, number: &str) -> Arc<str> {
        let (scheme, rest) = &self.around;
        // What is left of a number may be nothing; there is no empty user (RFC 3261 §25.1).
        let rest = if number.is_empty() { rest.trim_start_matches('@') } else { rest };
        [scheme, number, rest].concat().into()
    }
}

impl Trunk {
    fn new(record: TrunkRecord) -> Trunk {
        let contacts = record.contacts.iter().filter_map(Contact::new).collect();
        Trunk { record, contacts }
    }

    /// How long a contact stays out of service.
    pub fn recovery(&self) -> Duration {
        Duration::from_secs(self.record.recovery_timeout.into())
    }

    /// How long a contact may say nothing at all to an INVITE.
    fn silence(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.record.silence_timeout.into())).filter(|silence| !silence.is_zero())
    }

    /// Whether OPTIONS are sent to its contacts.
    pub fn is_probed(&self) -> bool {
        self.record.oos_check > 0
    }

    fn number(&self, number: &str, prefix: &str) -> String {
        match (&self.record.replace_prefix, number.strip_prefix(prefix)) {
            (Some(replaced), Some(rest)) => format!("{replaced}{rest}"),
            _ => number.to_owned(),
        }
    }
}

/// One attempt of a call.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The trunk.
    pub trunk: Arc<Trunk>,
    /// The place of the contact in it.
    pub contact: usize,
    /// The Request-URI.
    pub uri: Arc<str>,
    /// Whether it is tried whatever its health.
    pub emergency: bool,
    /// How long it may say nothing at all.
    pub silence: Option<Duration>,
}

impl PartialEq for Hop {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.trunk, &other.trunk) && (self.contact, &self.uri) == (other.contact, &other.uri)
    }
}

impl Eq for Hop {}

impl Hop {
    /// Has parameters stand behind the number, as a part of the user.
    pub fn add_params(&mut self, params: &str) {
        // The number has no `@`: where it is empty there is none.
        if let Some((user, rest)) = self.uri.split_once('@').filter(|_| !params.is_empty()) {
            self.uri = [user, params, "@", rest].concat().into();
        }
    }

    /// Whether a call may be sent to it.
    pub fn takes_calls(&self, now: Time) -> bool {
        let contact = self.trunk.contacts.get(self.contact);
        contact.is_some_and(|contact| contact.health.takes_calls(now, self.trunk.is_probed()))
    }

    /// Notes what was heard of the contact, and logs when it goes out of service or comes back.
    pub fn note(&self, event: Event, now: Time) {
        if let Some(contact) = self.trunk.contacts.get(self.contact) {
            contact.note(&self.trunk, event, now);
        }
    }
}

impl Contact {
    /// Notes what was heard of it, and logs when it goes out of service or comes back.
    pub fn note(&self, trunk: &Trunk, event: Event, now: Time) {
        let (before, after) = self.health.note(event, now, trunk.recovery());
        match (before, after) {
            (State::InService, State::OutOfService) => {
                tracing::warn!(trunk = trunk.record.name, contact = %self.uri, "out of service");
            }
            (State::Recovering | State::Trial, State::InService) => {
                tracing::info!(trunk = trunk.record.name, contact = %self.uri, "in service again");
            }
            _ => {}
        }
    }
}

/// The attempts of a call, in their order.
pub type Hops = SmallVec<[Hop; 2]>;

/// All trunks, ready for use.
#[derive(Debug, Default)]
pub struct Trunks {
    /// By name.
    all: BTreeMap<String, Arc<Trunk>>,
    prefixes: PrefixTable<Vec<Arc<Trunk>>>,
    /// Those for emergency calls first.
    emergency: Vec<Arc<Trunk>>,
}

impl Trunks {
    /// The table of these trunks.
    pub fn new(records: impl Iterator<Item = TrunkRecord>) -> Self {
        let trunks = records.map(|record| (record.name.clone(), Arc::new(Trunk::new(record))));
        let all: BTreeMap<String, Arc<Trunk>> = trunks.collect();
        let mut prefixes = BTreeMap::<String, Vec<Arc<Trunk>>>::new();
        for trunk in all.values() {
            // One that is named twice counts once.
            for prefix in trunk.record.prefixes.iter().collect::<BTreeSet<_>>() {
                prefixes.entry(prefix.clone()).or_default().push(trunk.clone());
            }
        }
        prefixes.values_mut().for_each(|trunks| trunks.sort_by_key(|trunk| trunk.record.priority));
        let mut emergency: Vec<Arc<Trunk>> = all.values().cloned().collect();
        emergency.sort_by_key(|trunk| (!trunk.record.emergency, trunk.record.priority));
        Trunks { all, prefixes: PrefixTable::new(prefixes), emergency }
    }

    /// Takes over what was known of the contacts that were there before.
    pub fn keep_health(&self, before: &Trunks) {
        for (name, trunk) in &self.all {
            let Some(known) = before.all.get(name) else { continue };
            for contact in &trunk.contacts {
                if let Some(known) = known.contacts.iter().find(|known| known.uri == contact.uri) {
                    contact.health.inherit(&known.health);
                }
            }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All trunks, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Trunk>> {
        self.all.values()
    }

    /// Where a call to a number goes: to the trunks with its longest prefix, by priority, those of the same one in an
    /// order that `draw`, a random number, and their weights give; only to what is in service. None: no trunk carries
    /// such numbers.
    pub fn choose(&self, number: &str, draw: u64, now: Time) -> Option<Hops> {
        let (prefix, trunks) = self.prefixes.longest(number)?;
        let mut hops = Hops::new();
        in_order(
            trunks,
            |trunk| trunk.record.priority,
            draw,
            |trunk| {
                add(trunk, (&trunk.number(number, prefix), false), &mut hops, |contact| {
                    contact.health.takes_calls(now, trunk.is_probed())
                });
                hops.len() < MOST_ATTEMPTS
            },
        );
        Some(hops)
    }

    /// Where an emergency call goes: to the trunks for such calls, then to all others, whatever their prefixes. Nothing
    /// keeps it from what is out of service; that only comes last in each of the two.
    pub fn emergency(&self, number: &str, draw: u64, now: Time) -> Hops {
        let mut hops = Hops::new();
        let others = self.emergency.partition_point(|trunk| trunk.record.emergency);
        let (own, others) = self.emergency.split_at(others);
        for trunks in [own, others] {
            for wanted in [true, false] {
                in_order(
                    trunks,
                    |trunk| trunk.record.priority,
                    draw,
                    |trunk| {
                        add(trunk, (number, true), &mut hops, |contact| {
                            (contact.health.state(now) == State::InService) == wanted
                        });
                        hops.len() < MOST_ATTEMPTS
                    },
                );
            }
        }
        hops
    }
}

fn add(trunk: &Arc<Trunk>, (number, emergency): (&str, bool), hops: &mut Hops, wanted: impl Fn(&Contact) -> bool) {
    let room = MOST_ATTEMPTS.saturating_sub(hops.len());
    let user = escape_user(number);
    let contacts = trunk.contacts.iter().enumerate().filter(|(_, contact)| wanted(contact)).take(room);
    hops.extend(contacts.map(|(at, contact)| Hop {
        trunk: trunk.clone(),
        contact: at,
        uri: contact.uri_for(&user),
        emergency,
        silence: trunk.silence(),
    }));
}

/// Goes through trunks that are sorted by priority; within one by weight, as RFC 2782 has it. Ends when `each` says
/// false.
fn in_order(
    trunks: &[Arc<Trunk>],
    priority: impl Fn(&Trunk) -> u32,
    mut draw: u64,
    mut each: impl FnMut(&Arc<Trunk>) -> bool,
) {
    for group in trunks.chunk_by(|a, b| priority(a) == priority(b)) {
        let mut left: SmallVec<[&Arc<Trunk>; 8]> = group.iter().collect();
        let mut sum: u64 = left.iter().map(|trunk| u64::from(trunk.record.weight)).sum();
        while !left.is_empty() {
            let mut at = draw % sum.max(1);
            // What the next draw is, this one says: a step of a linear congruential generator.
            draw = (draw ^ (draw >> 29)).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let chosen = left.iter().position(|trunk| match at.checked_sub(trunk.record.weight.into()) {
                Some(rest) => {
                    at = rest;
                    false
                }
                None => true,
            });
            let trunk = left.remove(chosen.unwrap_or(0));
            sum -= u64::from(trunk.record.weight);
            if !each(trunk) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
