//! Who is trusted without a password, by address and by what a TLS certificate proves.

use super::Provisioning;
use super::record::AclRecord;
use crate::config::Network;
use crate::config::net::{Prefix, prefix_of};
use rutil::{HashMap, Keyed, Rng};
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// What a sender may do without a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// It is known, and never asked for a password.
    pub listed: bool,
    /// It may register users of ours.
    pub register: bool,
    /// It may send requests to any address.
    pub relay: bool,
}

impl Trust {
    /// What one of both may do.
    #[must_use]
    pub fn or(self, other: Trust) -> Trust {
        Trust {
            listed: self.listed || other.listed,
            register: self.register || other.register,
            relay: self.relay || other.relay,
        }
    }
}

/// An entry of a network, with the domain that must be proved too, if one must.
#[derive(Debug)]
struct Entry {
    identity: Option<Box<str>>,
    trust: Trust,
}

/// A list of networks and TLS identities. A look-up costs one probe for each length of prefix that there is, however many
/// entries.
#[derive(Debug)]
pub struct AccessList {
    lengths: Vec<(bool, u8)>,
    networks: HashMap<Prefix, SmallVec<[Entry; 1]>>,
    identities: HashMap<Box<str>, Trust>,
    /// An entry has a TLS identity.
    asks_identity: bool,
}

impl AccessList {
    /// An empty list; `rng` gives the keys of its tables.
    pub fn empty(rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        AccessList {
            lengths: Vec::new(),
            networks: HashMap::with_hasher(hasher.clone()),
            identities: HashMap::with_hasher(hasher),
            asks_identity: false,
        }
    }

    /// Networks that may do everything.
    pub fn of_networks(networks: &[Network], rng: &mut Rng) -> Self {
        let mut list = Self::empty(rng);
        let trust = Trust { listed: true, register: true, relay: true };
        networks.iter().for_each(|network| list.add_network(network, Entry { identity: None, trust }));
        list
    }

    /// Adds a record.
    pub(super) fn add(&mut self, record: &AclRecord) {
        let trust = Trust { listed: true, register: record.register, relay: record.relay };
        let identity = record.tls_identity.as_ref().map(|domain| domain.to_string().to_ascii_lowercase().into());
        self.asks_identity |= identity.is_some();
        match (&record.network, identity) {
            (Some(network), identity) => self.add_network(network, Entry { identity, trust }),
            (None, Some(identity)) => {
                let known = self.identities.entry(identity).or_default();
                *known = known.or(trust);
            }
            (None, None) => {}
        }
    }

    fn add_network(&mut self, network: &Network, entry: Entry) {
        let prefix @ (v4, bits, _) = network.prefix();
        if !self.lengths.contains(&(v4, bits)) {
            self.lengths.push((v4, bits));
        }
        self.networks.entry(prefix).or_default().push(entry);
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.identities.is_empty()
    }

    /// What an address may do, with all entries that it fits. `proved` says which domains its certificate proves, in lower
    /// case, and is asked only where that may matter.
    pub fn trust<P: AsRef<[String]>>(&self, address: IpAddr, proved: impl FnOnce() -> Option<P>) -> Trust {
        if self.is_empty() {
            return Trust::default();
        }
        let proved = if self.asks_identity { proved() } else { None };
        let names = proved.as_ref().map_or(&[][..], AsRef::as_ref);
        let is_proved = |identity: &str| names.iter().any(|name| name == identity);
        let address = address.to_canonical();
        let prefixes = self.lengths.iter().filter_map(|(v4, bits)| prefix_of(address, *v4, *bits));
        let entries = prefixes.filter_map(|prefix| self.networks.get(&prefix)).flatten();
        let fitting = entries.filter(|entry| entry.identity.as_deref().is_none_or(is_proved)).map(|entry| entry.trust);
        let known = names.iter().filter_map(|name| self.identities.get(name.as_str()).copied());
        fitting.chain(known).fold(Trust::default(), Trust::or)
    }
}

/// Who is in the access list that counts now, for who has no [`Provisioning`] of his own: the limits by source.
#[derive(Clone, Debug, Default)]
pub struct Listed(Arc<RwLock<Option<Arc<Provisioning>>>>);

impl Listed {
    /// This is what counts from now on.
    pub fn set(&self, provisioning: Arc<Provisioning>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(provisioning);
    }

    /// Whether an address alone is trusted: what a certificate must prove besides counts for nothing here.
    pub fn contains(&self, address: IpAddr) -> bool {
        let provisioning = self.0.read().unwrap_or_else(PoisonError::into_inner);
        provisioning.as_ref().is_some_and(|all| all.access.trust(address, || None::<Arc<[String]>>).listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(records: &[serde_json::Value]) -> AccessList {
        let mut list = AccessList::empty(&mut Rng::from_seed(1));
        for record in records {
            list.add(&serde_json::from_value(record.clone()).unwrap());
        }
        list
    }

    fn trust(list: &AccessList, address: &str, proved: &[&str]) -> (bool, bool, bool) {
        let proved: Vec<String> = proved.iter().map(|name| (*name).to_owned()).collect();
        let Trust { listed, register, relay } = list.trust(address.parse().unwrap(), || Some(proved));
        (listed, register, relay)
    }

    #[test]
    fn networks_of_both_families_and_all_that_fit_count() {
        let list = list(&[
            json!({"network": "10.0.0.0/8", "register": false, "relay": false}),
            json!({"network": "10.1.0.0/16", "register": false}),
            json!({"network": "10.1.2.3", "relay": false}),
            json!({"network": "2001:db8::/32"}),
        ]);
        for (address, expected) in [
            ("10.9.9.9", (true, false, false)),
            ("10.1.9.9", (true, false, true)),
            ("10.1.2.3", (true, true, true)),
            ("::ffff:10.1.2.3", (true, true, true)),
            ("11.1.2.3", (false, false, false)),
            ("2001:db8:ffff::1", (true, true, true)),
            ("2001:db9::1", (false, false, false)),
        ] {
            assert_eq!(trust(&list, address, &["example.com"]), expected, "{address}");
        }
    }

    #[test]
    fn all_of_one_family_is_not_all_of_the_other() {
        let (v4, v6) = (list(&[json!({"network": "0.0.0.0/0"})]), list(&[json!({"network": "::/0"})]));
        assert!(trust(&v4, "192.0.2.1", &[]).0 && !trust(&v4, "2001:db8::1", &[]).0);
        assert!(trust(&v6, "2001:db8::1", &[]).0 && !trust(&v6, "192.0.2.1", &[]).0);
    }

    #[test]
    fn who_is_listed_by_address_alone_is_told_from_what_counts_now() {
        let listed = Listed::default();
        let contains = |address: &str| listed.contains(address.parse().unwrap());
        assert!(!contains("10.1.2.3"));
        let set = |acl: &[serde_json::Value]| {
            let mut records = crate::provisioning::Records::default();
            for record in acl {
                records.add("acl", record.clone(), crate::provisioning::Place::Store).unwrap();
            }
            listed.set(Arc::new(Provisioning::compile(&records, &mut Rng::from_seed(1)).unwrap()));
        };
        set(&[
            json!({"network": "10.0.0.0/8", "register": false, "relay": false}),
            json!({"network": "192.0.2.0/24", "tls_identity": "branch.example.com"}),
        ]);
        assert!(contains("10.1.2.3") && contains("::ffff:10.1.2.3"));
        assert!(!contains("192.0.2.1") && !contains("11.1.2.3"), "a certificate was not looked at");
        set(&[]);
        assert!(!contains("10.1.2.3"));
    }

    #[test]
    fn a_certificate_counts_alone_or_with_an_address() {
        let list = list(&[
            json!({"tls_identity": "Carrier.example.net", "register": false}),
            json!({"tls_identity": "branch.example.com", "network": "10.0.0.0/8"}),
        ]);
        assert_eq!(trust(&list, "192.0.2.1", &["other", "carrier.example.net"]), (true, false, true));
        assert_eq!(trust(&list, "192.0.2.1", &["branch.example.com"]), (false, false, false));
        assert_eq!(trust(&list, "10.0.0.1", &["branch.example.com"]), (true, true, true));
        assert_eq!(trust(&list, "10.0.0.1", &[]), (false, false, false));
    }
}
