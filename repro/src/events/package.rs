//! The event packages whose state is published, and what is told when several publish.

use dum::publication::Document;
use rutil::{HashMap, Keyed};
use serde::Deserialize;
use stack::contents::Contents;
use stack::contents::event::dialog_info::DialogElement;
use stack::contents::event::pidf::{Basic, Contact, Tuple};
use stack::contents::event::{DialogInfo, DocumentError, DocumentState, Element, EventDocument, MessageSummary, Pidf};
use std::hash::Hash;

/// An event package whose state is published (RFC 3903).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Package {
    /// Whether somebody can be reached (RFC 3856).
    Presence,
    /// Whether messages wait for somebody (RFC 3842).
    MessageSummary,
    /// Which calls somebody has (RFC 4235).
    Dialog,
}

impl Package {
    /// All that there are.
    pub const ALL: [Package; 3] = [Package::Presence, Package::MessageSummary, Package::Dialog];

    /// Its name in Event.
    pub const fn name(self) -> &'static str {
        match self {
            Package::Presence => "presence",
            Package::MessageSummary => "message-summary",
            Package::Dialog => "dialog",
        }
    }

    /// The package with this name; names are compared octet by octet (RFC 6665 §8.2.1).
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|package| package.name() == name)
    }

    /// Type and subtype of its documents.
    pub const fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Package::Presence => Pidf::MEDIA_TYPE,
            Package::MessageSummary => MessageSummary::MEDIA_TYPE,
            Package::Dialog => DialogInfo::MEDIA_TYPE,
        }
    }

    /// Checks a document that is to be published; how many octets it has when it is told.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn check(self, body: &[u8]) -> Result<usize, DocumentError> {
        Ok(match self {
            Package::Presence => Pidf::parse(body)?.print().len(),
            Package::MessageSummary => MessageSummary::parse(body)?.print().len(),
            Package::Dialog => DialogInfo::parse(body)?.print().len(),
        })
    }

    /// Whether a document tells only what has changed since another one. None are kept that it would be a change of.
    pub(super) fn is_partial(self, body: &[u8]) -> bool {
        self == Package::Dialog && DialogInfo::parse(body).is_ok_and(|info| info.state == DocumentState::Partial)
    }
}

/// A document that is told: it is written once for all who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Composed {
    contents: Contents,
    /// Where the number of its version stands, one digit, if it has one: each subscription counts for itself.
    version_at: Option<usize>,
}

/// What stands before the number of a version.
const VERSION: &[u8] = b" version=\"";

impl Composed {
    fn of(contents: Contents) -> Self {
        Composed { contents, version_at: None }
    }

    fn versioned(contents: Contents) -> Self {
        let text = contents.print();
        // Behind the declaration of XML, which has a version too.
        let root = text.iter().position(|octet| *octet == b'\n').unwrap_or(0);
        let found = text.get(root..).and_then(|text| text.windows(VERSION.len()).position(|part| part == VERSION));
        Composed { version_at: found.map(|at| root + at + VERSION.len()), contents }
    }

    /// The body of a NOTIFY.
    pub(super) fn contents(&self, version: u32) -> Contents {
        match (&self.contents, self.version_at) {
            (Contents::Octets { media_type, octets }, Some(at)) => {
                let (before, after) = octets.split_at_checked(at).unwrap_or((octets, &[]));
                let number = version.to_string();
                let octets = [before, number.as_bytes(), after.get(1..).unwrap_or_default()].concat().into();
                Contents::Octets { media_type: media_type.clone(), octets }
            }
            (contents, _) => contents.clone(),
        }
    }
}

/// What is known of somebody beside what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registered {
    /// Whether he is registered.
    Is(bool),
    /// It does not count.
    Unknown,
}

/// What a package tells of an address-of-record, whose documents these are, the oldest first, each with its name.
pub(super) fn compose<'d>(
    package: Package,
    aor: &str,
    documents: impl Iterator<Item = (u64, &'d Document)>,
    registered: Registered,
    hasher: &Keyed,
) -> Composed {
    match package {
        Package::Presence => Composed::of(presence(aor, documents, registered, hasher).to_contents()),
        Package::MessageSummary => Composed::of(summary(documents).to_contents()),
        Package::Dialog => Composed::versioned(dialogs(aor, documents).to_contents()),
    }
}

/// All that is published, where ways with the same name count as last published (RFC 3903 §6, RFC 3863 §4.1). Where nothing
/// is, whether somebody is registered.
fn presence<'d>(
    aor: &str,
    documents: impl Iterator<Item = (u64, &'d Document)>,
    registered: Registered,
    hasher: &Keyed,
) -> Pidf {
    let mut all = Pidf { entity: format!("sip:{aor}"), ..Pidf::default() };
    let mut any = false;
    // They could be read when they were published.
    for document in documents.filter_map(|(_, document)| Pidf::parse(&document.body).ok()) {
        any = true;
        all.tuples.extend(document.tuples);
        all.notes.extend(document.notes);
        all.extensions.extend(document.extensions);
    }
    if let (false, Registered::Is(is)) = (any, registered) {
        let basic = if is { Basic::Open } else { Basic::Closed };
        let contact = Some(Contact { uri: format!("sip:{aor}"), priority: None });
        all.tuples.push(Tuple { contact, ..Tuple::new("registration", basic) });
    }
    let id = |element: &Element| element.attribute("id").map(str::to_owned);
    all.tuples = last_of_each(all.tuples, |tuple| tuple.id.clone(), hasher);
    let key = |element: &Element| (element.namespace.clone(), element.name.clone(), id(element));
    all.extensions = last_of_each(all.extensions, key, hasher);
    all
}

/// Of those with the same key the last, in the place of the first.
fn last_of_each<T, K: Eq + Hash>(all: Vec<T>, key: impl Fn(&T) -> K, hasher: &Keyed) -> Vec<T> {
    let mut places: HashMap<K, usize> = HashMap::with_hasher(hasher.clone());
    let mut kept: Vec<T> = Vec::with_capacity(all.len());
    for one in all {
        let place = *places.entry(key(&one)).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(old) => *old = one,
            None => kept.push(one),
        }
    }
    kept
}

/// What was published last; without anything no messages wait.
fn summary<'d>(documents: impl Iterator<Item = (u64, &'d Document)>) -> MessageSummary {
    documents.last().and_then(|(_, document)| MessageSummary::parse(&document.body).ok()).unwrap_or_default()
}

/// The dialogs of all who publish. Each names them for itself, so their names get that of the publication.
fn dialogs<'d>(aor: &str, documents: impl Iterator<Item = (u64, &'d Document)>) -> DialogInfo {
    let each = documents.flat_map(|(name, document)| {
        let dialogs = DialogInfo::parse(&document.body).map(|info| info.dialogs).unwrap_or_default();
        dialogs.into_iter().map(move |dialog| DialogElement { id: format!("{name:x}-{}", dialog.id), ..dialog })
    });
    DialogInfo { version: 0, state: DocumentState::Full, entity: format!("sip:{aor}"), dialogs: each.collect() }
}
