//! What is right, and means nothing all the same.

use super::Config;
use crate::peers::PeerRecord;
use crate::provisioning::{Placed, Records, UserRecord, one_line};
use stack::uri::Host;
use std::collections::BTreeMap;

impl Config {
    /// What of this and of these records means nothing, a line each: for warnings.
    pub fn unheeded(&self, records: &Records) -> Vec<String> {
        let accounting = self.accounting.as_ref().filter(|accounting| accounting.redis.is_some());
        let file = accounting.and_then(|accounting| accounting.file.as_ref());
        let file = file.map(|file| format!("{}: it means nothing beside [accounting.redis]", file.place()));
        let unasked = self.auth.required && !self.chains.asks_for_passwords();
        let unasked = unasked.then(|| {
            "chains.request is without digest-authenticator: nobody is asked for the password that auth.required wants, but \
             for a way out of our domains"
                .to_owned()
        });
        file.into_iter()
            .chain(unasked)
            .chain(self.unheeded_peers(records))
            .chain(self.users_elsewhere(records))
            .collect()
    }

    fn unheeded_peers<'a>(&self, records: &'a Records) -> impl Iterator<Item = String> + 'a {
        let unheeded = |Placed { record, place }: &Placed<PeerRecord>| {
            let keys = [("identity", record.identity.is_some()), ("trust_domain", record.trust_domain.is_some())];
            let name = one_line(&record.name);
            let what =
                |key| format!("{place}: peer {name} {key}: it means nothing until identity.trust_domain is true");
            keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| what(key)).collect::<Vec<_>>()
        };
        let all = if self.identity.trust_domain { &[][..] } else { &records.peers };
        all.iter().flat_map(unheeded)
    }

    /// Users whose domain is none of ours: one line a domain.
    fn users_elsewhere(&self, records: &Records) -> impl Iterator<Item = String> {
        let mut elsewhere = BTreeMap::new();
        for user in &records.users {
            let domain = user.record.aor.domain();
            let more = elsewhere.get_mut(domain).map(|(_, more)| *more += 1);
            if more.is_none() && Host::parse(domain).is_ok_and(|host| !self.may_serve(&host, records)) {
                elsewhere.insert(domain, (user, 0_usize));
            }
        }
        let line = |(domain, (user, more)): (&str, (&Placed<UserRecord>, usize))| {
            let (place, aor) = (&user.place, one_line(user.record.aor.as_str()));
            let others = if more > 0 { format!(", nor {more} more of that domain") } else { String::new() };
            let domain = one_line(domain);
            format!(
                "{place}: user {aor}: nobody can register or call it{others}: name {domain} in domains or a [[domain]]"
            )
        };
        elsewhere.into_iter().map(line).collect::<Vec<_>>().into_iter()
    }

    /// Whether it is a domain of ours, or an address that we may listen on.
    fn may_serve(&self, host: &Host<'_>, records: &Records) -> bool {
        let listens = self.listen.iter().any(|listen| {
            let ip = listen.address.ip();
            !matches!(host, Host::Name(_)) && (ip.is_unspecified() || Host::from(ip) == *host)
        });
        let named = self.domains.iter().chain(&self.record_route_name);
        listens || named.chain(records.domains.iter().map(|domain| &domain.record.name)).any(|domain| domain.0 == *host)
    }
}
