//! Changes of records, and what the records are with them.

use crate::provisioning::{Place, ProvisioningError, Records, Row};
use std::collections::BTreeMap;

/// How often a change is looked at anew because others have changed records meanwhile.
pub(super) const ATTEMPTS: usize = 10;

/// A change of the records in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'r> {
    /// Writes a record, in the place of the one with its key.
    Put(&'r Row),
    /// Removes a record, if there is one.
    Remove {
        /// Its kind.
        kind: &'r str,
        /// Its key.
        key: &'r str,
    },
}

/// What changes come to: of two of the same key the later one counts. In the order of their names, so that of several that
/// are wrong the same is told each time.
pub(super) struct Overlay<'r>(BTreeMap<(&'r str, &'r str), Option<&'r Row>>);

impl<'r> Overlay<'r> {
    pub(super) fn new(changes: &[Change<'r>]) -> Self {
        let entry = |change: &Change<'r>| match change {
            Change::Put(row) => ((row.kind, row.key.as_str()), Some(*row)),
            Change::Remove { kind, key } => ((*kind, *key), None),
        };
        Overlay(changes.iter().map(entry).collect())
    }

    /// Adds a record that is there already, unless it is changed.
    pub(super) fn add(
        &self,
        records: &mut Records,
        kind: &str,
        key: &str,
        body: &str,
    ) -> Result<(), ProvisioningError> {
        if self.0.contains_key(&(kind, key)) { Ok(()) } else { read(records, kind, key, body) }
    }

    /// Adds what is new, behind those that are there already.
    pub(super) fn finish(&self, mut records: Records) -> Result<Records, ProvisioningError> {
        for row in self.puts() {
            read(&mut records, row.kind, &row.key, &row.body)?;
        }
        Ok(records)
    }

    /// What is to be written.
    pub(super) fn puts(&self) -> impl Iterator<Item = &'r Row> {
        self.0.values().filter_map(|row| *row)
    }

    /// What is to be removed, by kind and key.
    pub(super) fn removals(&self) -> impl Iterator<Item = (&'r str, &'r str)> {
        self.0.iter().filter(|(_, row)| row.is_none()).map(|(name, _)| *name)
    }
}

/// Adds a record of a store.
pub(super) fn read(records: &mut Records, kind: &str, key: &str, body: &str) -> Result<(), ProvisioningError> {
    // What was written by other means is named by its key as well.
    let wrong = |field: &str, what: &str| ProvisioningError::new(&Place::Store, kind, key, field, what);
    let mut from = serde_json::Deserializer::from_str(body);
    let row = records.add(kind, &mut from, Place::Store).map_err(|error| wrong(&error.field, error.what()))?;
    if row.key == key { Ok(()) } else { Err(wrong("", &format!("expected {} as its key", row.key))) }
}
