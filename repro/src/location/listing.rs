//! Bindings as an operator lists them.

use super::{Binding, LocationStore, Record};
use rutil::Time;
use std::collections::BTreeMap;

impl LocationStore {
    /// Addresses-of-record with their bindings, in the order of their names: at most `most` of those behind `after` that
    /// have a contact now and of which `search` is a part of the name or of a contact. It looks at all there are, a part of
    /// sixteen at a time, as [`LocationStore::sweep`] does: for an operator, not for a message.
    pub fn list(&self, after: &str, search: &str, most: usize, now: Time) -> Vec<(Box<str>, Record)> {
        let mut first = BTreeMap::<Box<str>, Record>::new();
        for part in &self.parts {
            for (aor, record) in part.read().iter().filter(|(aor, _)| ***aor > *after) {
                let full = first.len() >= most;
                if full && first.last_key_value().is_none_or(|(last, _)| aor >= last) {
                    continue;
                }
                let fits = |binding: &&Binding| binding.expires_at > now;
                let named = aor.contains(search);
                if !record.iter().filter(fits).any(|binding| named || binding.uri().contains(search)) {
                    continue;
                }
                first.insert(aor.clone(), record.iter().filter(fits).cloned().collect());
                if full {
                    first.pop_last();
                }
            }
        }
        first.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::{By, Limits, NewBinding, StoreFull};
    use rutil::Rng;

    #[test]
    fn pages_follow_each_other_and_hold_what_was_looked_for() {
        let store = LocationStore::new(Limits { aors: 1000, contacts: 10 }, &mut Rng::from_seed(1));
        for n in 0..200_u64 {
            let uri = format!("sip:phone@192.0.2.{n}");
            let uri = stack::uri::Uri::parse(&uri).unwrap();
            let binding = Binding::new(NewBinding {
                text: uri.to_string().into(),
                uri: &uri,
                params: "",
                q: 1000,
                expires_at: Time::from_millis(if n % 10 == 9 { 1 } else { 9_000 }),
                call_id: "c",
                cseq: 1,
                neighbour: None,
                by: By::Uri,
                device: None,
                reg_id: 0,
                now: Time::ZERO,
            });
            let add = |own: &mut Vec<Binding>| -> Result<(), StoreFull> {
                own.push(binding);
                Ok(())
            };
            store.update(&format!("u{n:03}@h"), Time::ZERO, add).unwrap();
        }
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = store.list(&after, "", 7, Time::from_millis(5));
            let Some((last, _)) = page.last() else { break };
            after = last.to_string();
            assert!(page.len() <= 7 && page.iter().all(|(_, record)| record.len() == 1));
            all.extend(page.into_iter().map(|(aor, _)| aor.to_string()));
        }
        let expected: Vec<String> = (0..200).filter(|n| n % 10 != 9).map(|n| format!("u{n:03}@h")).collect();
        assert_eq!(all, expected);
        let found = |search: &str| -> Vec<String> {
            store.list("", search, 100, Time::from_millis(5)).into_iter().map(|(aor, _)| aor.into()).collect()
        };
        assert_eq!(found("u01").len(), 9);
        assert_eq!(found("192.0.2.123"), ["u123@h"]);
        assert!(found("nobody").is_empty() && store.list("", "", 0, Time::ZERO).is_empty());
    }
}
