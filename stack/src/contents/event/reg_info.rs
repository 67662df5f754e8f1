//! Registrations of somebody: `application/reginfo+xml`, the body of the package `reg` (RFC 3680).

use super::{DocumentError, DocumentState, Element, EventDocument, leaf, need, root, value};
use bytes::Bytes;

/// The namespace of its elements.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:reginfo";

/// Registrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegInfo {
    /// One more than in the document before; from 0.
    pub version: u32,
    /// All registrations, or those that changed.
    pub state: DocumentState,
    /// The registrations.
    pub registrations: Vec<Registration>,
}

/// The registration of an address-of-record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Whose.
    pub aor: String,
    /// Its name in these documents.
    pub id: String,
    /// Whether there are contacts.
    pub state: RegistrationState,
    /// The contacts.
    pub contacts: Vec<Contact>,
    /// Elements of extensions.
    pub extensions: Vec<Element>,
}

/// Whether an address-of-record has contacts (RFC 3680 §4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// There were none yet.
    Init,
    /// There are.
    Active,
    /// There are none any more.
    Terminated,
}

names!(RegistrationState { Init "init", Active "active", Terminated "terminated" });

/// A contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Its name in these documents.
    pub id: String,
    /// Whether it is valid.
    pub active: bool,
    /// What brought it there.
    pub event: Event,
    /// For how many seconds it is valid.
    pub expires: Option<u32>,
    /// Since how many seconds it is registered.
    pub duration_registered: Option<u32>,
    /// When to register again, in seconds.
    pub retry_after: Option<u32>,
    /// Its preference, as it is written.
    pub q: Option<String>,
    /// Call-ID of its last REGISTER.
    pub call_id: Option<String>,
    /// CSeq of its last REGISTER.
    pub cseq: Option<u32>,
    /// The URI.
    pub uri: String,
    /// The display name.
    pub display_name: Option<String>,
    /// Elements of extensions, and `unknown-param`.
    pub extensions: Vec<Element>,
}

/// What brought a contact where it is (RFC 3680 §4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// REGISTER.
    Registered,
    /// By configuration.
    Created,
    /// REGISTER once more.
    Refreshed,
    /// The registrar made it shorter.
    Shortened,
    /// It was not refreshed.
    Expired,
    /// The registrar removed it; it may register at once.
    Deactivated,
    /// The registrar removed it; it may register later.
    Probation,
    /// REGISTER with Expires 0.
    Unregistered,
    /// The registrar removed it for good.
    Rejected,
}

names!(Event {
    Registered "registered", Created "created", Refreshed "refreshed", Shortened "shortened", Expired "expired",
    Deactivated "deactivated", Probation "probation", Unregistered "unregistered", Rejected "rejected",
});

impl Contact {
    /// A contact of which only this is known.
    pub fn new(id: impl Into<String>, active: bool, event: Event, uri: impl Into<String>) -> Self {
        let (expires, duration_registered, retry_after, cseq) = (None, None, None, None);
        let (q, call_id, display_name, extensions) = (None, None, None, Vec::new());
        let (id, uri) = (id.into(), uri.into());
        Contact {
            id,
            active,
            event,
            expires,
            duration_registered,
            retry_after,
            q,
            call_id,
            cseq,
            uri,
            display_name,
            extensions,
        }
    }

    fn read(element: &Element) -> Result<Self, DocumentError> {
        let active = match element.attribute("state") {
            Some("active") => true,
            Some("terminated") => false,
            Some(_) => return Err(DocumentError::Value("state")),
            None => return Err(DocumentError::Missing("state")),
        };
        let uri = leaf(element, "uri").ok_or(DocumentError::Missing("uri"))?;
        let text = |name| element.attribute(name).map(str::to_owned);
        Ok(Contact {
            expires: value(element.attribute("expires"), "expires")?,
            duration_registered: value(element.attribute("duration-registered"), "duration-registered")?,
            retry_after: value(element.attribute("retry-after"), "retry-after")?,
            q: text("q"),
            call_id: text("callid"),
            cseq: value(element.attribute("cseq"), "cseq")?,
            display_name: leaf(element, "display-name"),
            extensions: element.others(&["uri", "display-name"]),
            ..Contact::new(need(element, "id")?, active, need(element, "event")?.parse()?, uri)
        })
    }

    fn element(&self) -> Element {
        Element::new(NAMESPACE, "contact")
            .with("id", Some(&self.id))
            .with("state", Some(if self.active { "active" } else { "terminated" }))
            .with("event", Some(self.event))
            .with("expires", self.expires)
            .with("duration-registered", self.duration_registered)
            .with("retry-after", self.retry_after)
            .with("q", self.q.as_ref())
            .with("callid", self.call_id.as_ref())
            .with("cseq", self.cseq)
            .with_leaf("uri", Some(&self.uri))
            .with_leaf("display-name", self.display_name.as_ref())
            .with_children(self.extensions.iter().cloned())
    }
}

impl Registration {
    fn read(element: &Element) -> Result<Self, DocumentError> {
        Ok(Registration {
            aor: need(element, "aor")?,
            id: need(element, "id")?,
            state: need(element, "state")?.parse()?,
            contacts: element.all("contact").map(Contact::read).collect::<Result<_, _>>()?,
            extensions: element.others(&["contact"]),
        })
    }

    fn element(&self) -> Element {
        Element::new(NAMESPACE, "registration")
            .with("aor", Some(&self.aor))
            .with("id", Some(&self.id))
            .with("state", Some(self.state))
            .with_children(self.contacts.iter().map(Contact::element))
            .with_children(self.extensions.iter().cloned())
    }
}

impl EventDocument for RegInfo {
    const MEDIA_TYPE: (&'static str, &'static str) = ("application", "reginfo+xml");

    fn parse(octets: &[u8]) -> Result<Self, DocumentError> {
        let root = root(octets, NAMESPACE, "reginfo")?;
        Ok(RegInfo {
            version: value(root.attribute("version"), "version")?.ok_or(DocumentError::Missing("version"))?,
            state: need(&root, "state")?.parse()?,
            registrations: root.all("registration").map(Registration::read).collect::<Result<_, _>>()?,
        })
    }

    fn print(&self) -> Bytes {
        Element::new(NAMESPACE, "reginfo")
            .with("version", Some(self.version))
            .with("state", Some(self.state))
            .with_children(self.registrations.iter().map(Registration::element))
            .print()
    }
}
