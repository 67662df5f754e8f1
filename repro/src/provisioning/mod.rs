//! What an operator provisions (users, domains, access lists, static registrations, …), and what the proxy looks up in it.
//!
//! [`Records`] are what is written down, in the configuration and in the store; [`Provisioning`] is made of all of them
//! at once, or not at all. It is immutable: the proxies of all shards share one, and get another in its place when
//! something has changed. So a look-up takes no lock.

mod access;
mod field;
mod fields;
mod forwarding;
mod lines;
mod record;
mod records;
#[cfg(test)]
mod tests;
mod user;

pub use access::{AccessList, Listed, Trust};
pub use field::{Aor, BadHa1, ContactUri, ForwardUri, Ha1, MOST_AOR, Quality};
#[cfg(test)]
pub(crate) use fields::fields_of;
pub use forwarding::{Forwards, GroupMode, GroupRecord};
pub use lines::read_lines;
pub use record::{AclRecord, DomainRecord, Fault, Record, StaticRegistration, ThirdParty, UserRecord};
pub use records::{Place, Placed, Records, Row};
pub use user::{MayRegister, User};

use crate::config::Domain;
use crate::peers::{PeerRecord, Peers};
use crate::routing::dial::DialRules;
use crate::routing::filter::Filters;
use crate::routing::static_route::StaticRoutes;
use crate::routing::trunk::Trunks;
use rutil::{HashMap, HashSet, Keyed, Rng};
use smallvec::SmallVec;
use stack::selector::{self, Located, Target};
use stack::uri::{Host, Uri};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Records that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {subject}: {what}")]
pub struct ProvisioningError {
    /// Where it stands.
    pub place: Place,
    /// The field that is wrong, or empty.
    pub field: String,
    /// Kind, key and field, as far as they are known.
    subject: String,
    what: String,
}

impl ProvisioningError {
    /// `key` and `field` may be empty. What cannot be printed is escaped: this becomes one line of a log.
    pub fn new(place: &Place, kind: &str, key: &str, field: &str, what: &str) -> Self {
        let parts = [kind, key, field].into_iter().filter(|part| !part.is_empty());
        let subject = parts.map(one_line).collect::<Vec<_>>().join(" ");
        ProvisioningError { place: place.clone(), field: field.to_owned(), subject, what: one_line(what) }
    }

    /// What is wrong, and what was expected, without the place.
    pub fn what(&self) -> &str {
        &self.what
    }
}

/// Most characters of a text that somebody else wrote, in a message.
const SHOWN: usize = 200;

/// A text without control characters and of a length for a log.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(SHOWN));
    for character in text.chars().take(SHOWN) {
        match character {
            character if character.is_control() => line.extend(character.escape_default()),
            character => line.push(character),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        line.push('…');
    }
    line
}

/// A domain that we answer for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedDomain {
    /// Its name.
    pub name: Domain,
    /// The realm that its users are asked for.
    pub realm: Box<str>,
}

/// A contact that nobody registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticContact {
    /// Where its calls go.
    pub contact: Arc<str>,
    /// Preference, in thousandths.
    pub q: u16,
}

/// Everything that is provisioned, ready for look-ups.
#[derive(Debug)]
pub struct Provisioning {
    users: HashMap<Box<str>, User>,
    /// Realms that users have of their own.
    realms: BTreeSet<Box<str>>,
    /// The domains, by name.
    domains: HashMap<Box<str>, ServedDomain>,
    /// Those of them that are addresses.
    addresses: Vec<Host<'static>>,
    /// Who is trusted without a password.
    pub access: AccessList,
    static_contacts: HashMap<Box<str>, SmallVec<[StaticContact; 1]>>,
    /// Request filters.
    pub filters: Filters,
    /// Static routes.
    pub static_routes: StaticRoutes,
    /// Dial rules.
    pub dial_rules: DialRules,
    /// Trunks.
    pub trunks: Trunks,
    /// Peers.
    pub peers: Peers,
    groups: HashMap<Box<str>, Arc<GroupRecord>>,
    /// Whether any user has forwards.
    any_forwards: bool,
    /// Where those lead that have no name.
    static_places: HashSet<Target>,
}

impl Provisioning {
    /// Nothing; `rng` gives the keys of its tables.
    pub fn empty(rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        Provisioning {
            users: HashMap::with_hasher(hasher.clone()),
            realms: BTreeSet::new(),
            domains: HashMap::with_hasher(hasher.clone()),
            addresses: Vec::new(),
            access: AccessList::empty(rng),
            filters: Filters::default(),
            static_routes: StaticRoutes::default(),
            dial_rules: DialRules::default(),
            trunks: Trunks::default(),
            peers: Peers::default(),
            static_contacts: HashMap::with_hasher(hasher.clone()),
            groups: HashMap::with_hasher(hasher.clone()),
            any_forwards: false,
            static_places: HashSet::with_hasher(hasher),
        }
    }

    /// Makes everything of its records.
    ///
    /// # Errors
    /// The first record that does not go with the others.
    pub fn compile(records: &Records, rng: &mut Rng) -> Result<Self, ProvisioningError> {
        records.unique()?;
        let mut all = Self::empty(rng);
        for Placed { record, .. } in &records.domains {
            let name = record.key();
            let realm = record.realm.as_deref().unwrap_or(&name).into();
            if !matches!(record.name.0, Host::Name(_)) {
                all.addresses.push(record.name.0.clone());
            }
            all.domains.insert(name.as_str().into(), ServedDomain { name: record.name.clone(), realm });
        }
        all.users.reserve(records.users.len());
        for Placed { record, .. } in &records.users {
            let realm = record.realm.as_deref().or_else(|| Some(&*all.domain(record.aor.domain())?.realm));
            let user = User::new(record, realm);
            if let Some(own) = &record.realm {
                all.realms.insert(own.as_str().into());
            }
            all.any_forwards |= user.forwards().is_some();
            all.users.insert(record.aor.as_str().into(), user);
        }
        records.acl.iter().for_each(|placed| all.access.add(&placed.record));
        for Placed { record, .. } in &records.static_registrations {
            let contact = StaticContact { contact: record.contact.as_str().into(), q: record.q.thousandths() };
            if let Ok(Uri::Sip(sip)) = Uri::parse(&contact.contact)
                && let Ok(Located::At(place)) = selector::locate_uri(&sip)
            {
                all.static_places.insert(place);
            }
            all.static_contacts.entry(record.aor.as_str().into()).or_default().push(contact);
        }
        all.filters = Filters::new(owned(&records.filters));
        all.static_routes = StaticRoutes::new(owned(&records.static_routes));
        all.dial_rules = DialRules::new(owned(&records.dial_rules).map(|rule| (rule.key(), rule)).collect());
        all.trunks = Trunks::new(owned(&records.trunks));
        for Placed { record, place } in &records.peers {
            let unknown = |name: &&String| !records.trunks.iter().any(|trunk| trunk.record.name == **name);
            if let Some(name) = record.trunks.iter().find(unknown) {
                let what = format!("there is no trunk {name:?}: expected the names of trunks");
                return Err(ProvisioningError::new(place, PeerRecord::KIND, &record.name, "trunks", &what));
            }
        }
        all.peers = Peers::new(owned(&records.peers));
        for contacts in all.static_contacts.values_mut() {
            contacts.sort_by_key(|contact| std::cmp::Reverse(contact.q));
        }
        all.add_groups(records)?;
        Ok(all)
    }

    /// A group has an address of its own, and no group among its members: so a call of one is never one of another.
    fn add_groups(&mut self, records: &Records) -> Result<(), ProvisioningError> {
        for Placed { record, .. } in &records.groups {
            self.groups.insert(record.aor.as_str().into(), Arc::new(record.clone()));
        }
        for Placed { record, place } in &records.groups {
            let key = record.aor.as_str();
            let wrong =
                |field: &str, what: &str| Err(ProvisioningError::new(place, GroupRecord::KIND, key, field, what));
            if self.users.contains_key(key) {
                return wrong("aor", "expected an address that no user has");
            }
            let member = record.members.iter().filter_map(ForwardUri::aor_key);
            if let Some(other) = member.into_iter().find(|member| self.groups.contains_key(member.as_str())) {
                return wrong("members", &format!("{other} is a group, expected users or places elsewhere"));
            }
        }
        Ok(())
    }

    /// The group with this address-of-record.
    pub fn group(&self, aor: &str) -> Option<&Arc<GroupRecord>> {
        self.groups.get(aor)
    }

    /// Whether calls may go to somebody else than their address says: some user has forwards, or there are groups.
    pub fn forwards(&self) -> bool {
        self.any_forwards || !self.groups.is_empty()
    }

    /// The user with this address-of-record, unless it is disabled.
    pub fn user(&self, aor: &str) -> Option<&User> {
        self.users.get(aor)
    }

    /// The addresses-of-record of the users who may do anything.
    pub fn enabled_users(&self) -> impl Iterator<Item = &str> {
        self.users.iter().filter(|(_, user)| user.enabled).map(|(aor, _)| &**aor)
    }

    /// Whether users have passwords for a realm that is not their domain's.
    pub fn is_realm_of_users(&self, realm: &str) -> bool {
        self.realms.contains(realm)
    }

    /// How many users there are.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// A domain by its name, in lower case.
    pub fn domain(&self, name: &str) -> Option<&ServedDomain> {
        self.domains.get(name)
    }

    /// Whether a host is a domain of ours.
    pub fn serves(&self, host: &Host<'_>) -> bool {
        match host {
            _ if self.domains.is_empty() => false,
            Host::Name(name) if name.bytes().any(|octet| octet.is_ascii_uppercase()) => {
                self.domains.contains_key(name.to_ascii_lowercase().as_str())
            }
            Host::Name(name) => self.domains.contains_key(&**name),
            Host::V4(_) | Host::V6(_) => self.addresses.contains(host),
        }
    }

    /// All domains.
    pub fn domains(&self) -> impl Iterator<Item = &ServedDomain> {
        self.domains.values()
    }

    /// Whether a contact that nobody registers is at this place.
    pub fn is_static_place(&self, place: Target) -> bool {
        !self.static_places.is_empty() && self.static_places.contains(&place)
    }

    /// The contacts of an address-of-record that nobody registers, the most preferred first.
    pub fn static_contacts(&self, aor: &str) -> &[StaticContact] {
        self.static_contacts.get(aor).map_or(&[], SmallVec::as_slice)
    }
}

fn owned<R: Clone>(placed: &[Placed<R>]) -> impl Iterator<Item = R> {
    placed.iter().map(|placed| placed.record.clone())
}
