//! Records of all kinds together, each with the place where it stands.

use super::ProvisioningError;
use super::fields::fields_of;
use super::forwarding::GroupRecord;
use super::record::{AclRecord, DomainRecord, Record, StaticRegistration, UserRecord};
use crate::peers::PeerRecord;
use crate::routing::dial::DialRuleRecord;
use crate::routing::filter::FilterRecord;
use crate::routing::static_route::StaticRouteRecord;
use crate::routing::trunk::TrunkRecord;
use serde::Deserializer;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a line of a file, from 1.
    File {
        /// The file.
        file: Arc<str>,
        /// The line.
        line: usize,
    },
    /// In the store.
    Store,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file, line } => write!(f, "{file}:{line}"),
            Place::Store => f.write_str("store"),
        }
    }
}

/// A record and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<R> {
    /// The record.
    pub record: R,
    /// Where it stands.
    pub place: Place,
}

/// A record as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its kind.
    pub kind: &'static str,
    /// Its key.
    pub key: String,
    /// The record as JSON.
    pub body: String,
}

impl Row {
    /// The line of an export: the body with its kind in front.
    pub fn json_line(&self) -> String {
        format!("{{\"kind\":\"{}\",{}", self.kind, self.body.trim_start_matches('{'))
    }
}

fn row<R: Record>(record: &R) -> Result<Row, serde_json::Error> {
    Ok(Row { kind: R::KIND, key: record.key(), body: serde_json::to_string(record)? })
}

/// Reads a record of one kind.
fn read<'de, R: Record, D: Deserializer<'de>>(from: D, place: Place) -> Result<Placed<R>, ProvisioningError> {
    let record: R = serde_path_to_error::deserialize(from).map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { "" } else { &field };
        // TOML says the path again, on lines of its own.
        let what = error.inner().to_string();
        let what = what.split("\nin `").next().unwrap_or_default().trim_end();
        ProvisioningError::new(&place, R::KIND, "", field, what)
    })?;
    match record.check() {
        Ok(()) => Ok(Placed { record, place }),
        Err(fault) => Err(ProvisioningError::new(&place, R::KIND, &record.key(), fault.field, &fault.expected)),
    }
}

/// A key that two records of one kind have is an error that names both places.
fn unique<R: Record>(all: &[Placed<R>]) -> Result<(), ProvisioningError> {
    let mut places: HashMap<String, &Place> = HashMap::with_capacity(all.len());
    for Placed { record, place } in all {
        let key = record.key();
        if let Some(other) = places.get(&key) {
            let what = format!("is also in {other}: expected in one place");
            return Err(ProvisioningError::new(place, R::KIND, &key, "", &what));
        }
        places.insert(key, place);
    }
    Ok(())
}

/// A new kind is one line here, and what [`super::Provisioning::compile`] makes of it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $field:ident: $record:ty,)*) => {
        /// Records of all kinds.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Records {
            $($(#[$doc])* pub $field: Vec<Placed<$record>>,)*
        }

        impl Records {
            /// The kinds that there are.
            pub const KINDS: &'static [&'static str] = &[$(<$record as Record>::KIND),*];

            /// The kinds with the names of their fields.
            pub fn kinds_with_fields() -> [(&'static str, &'static [&'static str]); Records::KINDS.len()] {
                [$((<$record as Record>::KIND, fields_of::<$record>())),*]
            }

            /// Adds a record, and gives it as the store has it.
            ///
            /// # Errors
            /// When there is no such kind, or it is no record of that kind.
            pub fn add<'de, D: Deserializer<'de>>(
                &mut self,
                kind: &str,
                from: D,
                place: Place,
            ) -> Result<Row, ProvisioningError> {
                let wrong = |place: &Place, what: &str| ProvisioningError::new(place, kind, "", "", what);
                $(if kind == <$record as Record>::KIND {
                    let placed = read::<$record, D>(from, place)?;
                    let row = row(&placed.record).map_err(|error| wrong(&placed.place, &error.to_string()))?;
                    self.$field.push(placed);
                    return Ok(row);
                })*
                Err(wrong(&place, &format!("expected one of {}", Self::KINDS.join(", "))))
            }

            /// Adds all of others.
            pub fn extend(&mut self, more: Records) {
                $(self.$field.extend(more.$field);)*
            }

            /// Whether no two records of a kind have the same key.
            ///
            /// # Errors
            /// The two.
            pub fn unique(&self) -> Result<(), ProvisioningError> {
                $(unique(&self.$field)?;)*
                Ok(())
            }

            /// How many there are.
            pub fn len(&self) -> usize {
                0 $(+ self.$field.len())*
            }

            /// Those of a kind as the store has it, with their places.
            ///
            /// # Errors
            /// When one is not fit for JSON.
            pub fn rows_of(&self, kind: &str) -> Result<Vec<(Row, Place)>, serde_json::Error> {
                $(if kind == <$record as Record>::KIND {
                    return self.$field.iter().map(|placed| Ok((row(&placed.record)?, placed.place.clone()))).collect();
                })*
                Ok(Vec::new())
            }

            /// The fields of a kind that are never shown.
            pub fn secrets_of(kind: &str) -> &'static [&'static str] {
                $(if kind == <$record as Record>::KIND {
                    return <$record as Record>::SECRETS;
                })*
                &[]
            }
        }
    };
}

kinds! {
    /// `[[user]]`
    users: UserRecord,
    /// `[[domain]]`
    domains: DomainRecord,
    /// `[[acl]]`
    acl: AclRecord,
    /// `[[static_registration]]`
    static_registrations: StaticRegistration,
    /// `[[filter]]`
    filters: FilterRecord,
    /// `[[static_route]]`
    static_routes: StaticRouteRecord,
    /// `[[dial_rule]]`
    dial_rules: DialRuleRecord,
    /// `[[trunk]]`
    trunks: TrunkRecord,
    /// `[[peer]]`
    peers: PeerRecord,
    /// `[[group]]`
    groups: GroupRecord,
}

impl Records {
    /// Each as the store has it, with its place, sorted by kind.
    ///
    /// # Errors
    /// When one is not fit for JSON.
    pub fn rows(&self) -> Result<Vec<(Row, Place)>, serde_json::Error> {
        let mut rows = Vec::with_capacity(self.len());
        for kind in Self::KINDS {
            rows.extend(self.rows_of(kind)?);
        }
        Ok(rows)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
