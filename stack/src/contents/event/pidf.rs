//! Presence: `application/pidf+xml` (RFC 3863), the body of the package `presence` (RFC 3856).

use super::{DocumentError, Element, EventDocument, leaf, need, root, value};
use bytes::Bytes;

const NAMESPACE: &str = "urn:ietf:params:xml:ns:pidf";

/// The presence of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pidf {
    /// Whose: a `pres:` or `sip:` URI.
    pub entity: String,
    /// One for each way to reach them.
    pub tuples: Vec<Tuple>,
    /// Texts about all.
    pub notes: Vec<Note>,
    /// Elements of extensions, as `person` (RFC 4479).
    pub extensions: Vec<Element>,
}

/// One way to reach somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// Its name, unique in the document.
    pub id: String,
    /// Whether it can be used now.
    pub basic: Option<Basic>,
    /// Elements of extensions within `status`.
    pub status: Vec<Element>,
    /// Elements of extensions (RFC 4480).
    pub extensions: Vec<Element>,
    /// Where.
    pub contact: Option<Contact>,
    /// Texts about it.
    pub notes: Vec<Note>,
    /// When this was so, as RFC 3339 writes it.
    pub timestamp: Option<String>,
}

/// Whether a way can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basic {
    /// It can.
    Open,
    /// It cannot.
    Closed,
}

names!(Basic { Open "open", Closed "closed" });

/// Where somebody can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// The URI.
    pub uri: String,
    /// Its rank among others, from 0 to 1, as it is written.
    pub priority: Option<String>,
}

/// A text for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The text.
    pub text: String,
    /// Its language.
    pub lang: Option<String>,
}

impl Tuple {
    /// A way that can be used, or cannot.
    pub fn new(id: impl Into<String>, basic: Basic) -> Self {
        Tuple { id: id.into(), basic: Some(basic), ..Tuple::default() }
    }

    fn read(element: &Element) -> Result<Self, DocumentError> {
        let status = element.child("status").ok_or(DocumentError::Missing("status"))?;
        let contact = element.child("contact").map(|contact| Contact {
            uri: contact.text.clone(),
            priority: contact.attribute("priority").map(str::to_owned),
        });
        Ok(Tuple {
            id: need(element, "id")?,
            basic: value(leaf(status, "basic").as_deref(), "basic")?,
            status: status.others(&["basic"]),
            extensions: element.others(&["status", "contact", "note", "timestamp"]),
            contact,
            notes: notes(element),
            timestamp: leaf(element, "timestamp"),
        })
    }

    fn element(&self) -> Element {
        let status = Element::new(NAMESPACE, "status").with_leaf("basic", self.basic);
        let contact = self.contact.as_ref().map(|contact| {
            let element = Element::new(NAMESPACE, "contact").with_text(&contact.uri);
            element.with("priority", contact.priority.as_ref())
        });
        // The order of the schema.
        Element::new(NAMESPACE, "tuple")
            .with("id", Some(&self.id))
            .with_children([status.with_children(self.status.iter().cloned())])
            .with_children(self.extensions.iter().cloned())
            .with_children(contact)
            .with_children(self.notes.iter().map(Note::element))
            .with_leaf("timestamp", self.timestamp.as_ref())
    }
}

impl Note {
    fn element(&self) -> Element {
        Element::new(NAMESPACE, "note").with_text(&self.text).with("xml:lang", self.lang.as_ref())
    }
}

fn notes(element: &Element) -> Vec<Note> {
    let note = |note: &Element| Note { text: note.text.clone(), lang: note.attribute("xml:lang").map(str::to_owned) };
    element.all("note").map(note).collect()
}

impl EventDocument for Pidf {
    const MEDIA_TYPE: (&'static str, &'static str) = ("application", "pidf+xml");

    fn parse(octets: &[u8]) -> Result<Self, DocumentError> {
        let root = root(octets, NAMESPACE, "presence")?;
        Ok(Pidf {
            entity: need(&root, "entity")?,
            tuples: root.all("tuple").map(Tuple::read).collect::<Result<_, _>>()?,
            notes: notes(&root),
            extensions: root.others(&["tuple", "note"]),
        })
    }

    fn print(&self) -> Bytes {
        Element::new(NAMESPACE, "presence")
            .with("entity", Some(&self.entity))
            .with_children(self.tuples.iter().map(Tuple::element))
            .with_children(self.notes.iter().map(Note::element))
            .with_children(self.extensions.iter().cloned())
            .print()
    }
}
