//! Conferences: `application/conference-info+xml`, the body of the package `conference` (RFC 4575): its state and users;
//! what else it says is kept as elements.

use super::{DocumentError, Element, EventDocument, leaf, need, root, value};
use bytes::Bytes;

const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";

/// A conference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceInfo {
    /// Which: a URI.
    pub entity: String,
    /// How this document goes with the one before.
    pub state: Change,
    /// One more than in the document before.
    pub version: Option<u32>,
    /// How many users there are.
    pub user_count: Option<u32>,
    /// Whether it takes place.
    pub active: Option<bool>,
    /// Whether nobody else may come in.
    pub locked: Option<bool>,
    /// Its users.
    pub users: Vec<User>,
    /// Further elements: `conference-description`, `host-info` and those of extensions.
    pub extensions: Vec<Element>,
}

/// How an element goes with the document before (RFC 4575 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// It takes its place.
    #[default]
    Full,
    /// What is in it has changed.
    Partial,
    /// It is gone.
    Deleted,
}

names!(Change { Full "full", Partial "partial", Deleted "deleted" });

/// Somebody in a conference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Who: a URI.
    pub entity: Option<String>,
    /// How this goes with the document before.
    pub state: Change,
    /// The name.
    pub display_text: Option<String>,
    /// The devices.
    pub endpoints: Vec<Endpoint>,
    /// Further elements: `roles`, `languages` and those of extensions.
    pub extensions: Vec<Element>,
}

/// A device of somebody in a conference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Which: a URI.
    pub entity: Option<String>,
    /// How this goes with the document before.
    pub state: Change,
    /// Where it is.
    pub status: Option<Status>,
    /// Further elements: `media`, `joining-info` and those of extensions.
    pub extensions: Vec<Element>,
}

/// Where a device is (RFC 4575 §5.7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is in the conference.
    Connected,
    /// It is not.
    Disconnected,
    /// It is on hold.
    OnHold,
    /// Its focus has muted it.
    MutedViaFocus,
    /// It waits to be let in.
    Pending,
    /// It rings.
    Alerting,
    /// It calls in.
    DialingIn,
    /// It is called.
    DialingOut,
    /// It leaves.
    Disconnecting,
}

names!(Status {
    Connected "connected", Disconnected "disconnected", OnHold "on-hold", MutedViaFocus "muted-via-focus",
    Pending "pending", Alerting "alerting", DialingIn "dialing-in", DialingOut "dialing-out",
    Disconnecting "disconnecting",
});

fn change(element: &Element) -> Result<Change, DocumentError> {
    Ok(value(element.attribute("state"), "state")?.unwrap_or_default())
}

/// An attribute that is left out as long as it is what it is anyway.
fn stated(change: Change) -> Option<Change> {
    Some(change).filter(|change| *change != Change::Full)
}

fn boolean(text: Option<String>, name: &'static str) -> Result<Option<bool>, DocumentError> {
    match text.as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(DocumentError::Value(name)),
    }
}

impl Endpoint {
    fn read(element: &Element) -> Result<Self, DocumentError> {
        Ok(Endpoint {
            entity: element.attribute("entity").map(str::to_owned),
            state: change(element)?,
            status: value(leaf(element, "status").as_deref(), "status")?,
            extensions: element.others(&["status"]),
        })
    }

    fn element(&self) -> Element {
        Element::new(NAMESPACE, "endpoint")
            .with("entity", self.entity.as_ref())
            .with("state", stated(self.state))
            .with_leaf("status", self.status)
            .with_children(self.extensions.iter().cloned())
    }
}

impl User {
    fn read(element: &Element) -> Result<Self, DocumentError> {
        Ok(User {
            entity: element.attribute("entity").map(str::to_owned),
            state: change(element)?,
            display_text: leaf(element, "display-text"),
            endpoints: element.all("endpoint").map(Endpoint::read).collect::<Result<_, _>>()?,
            extensions: element.others(&["display-text", "endpoint"]),
        })
    }

    fn element(&self) -> Element {
        Element::new(NAMESPACE, "user")
            .with("entity", self.entity.as_ref())
            .with("state", stated(self.state))
            .with_leaf("display-text", self.display_text.as_ref())
            .with_children(self.endpoints.iter().map(Endpoint::element))
            .with_children(self.extensions.iter().cloned())
    }
}

impl EventDocument for ConferenceInfo {
    const MEDIA_TYPE: (&'static str, &'static str) = ("application", "conference-info+xml");

    fn parse(octets: &[u8]) -> Result<Self, DocumentError> {
        let root = root(octets, NAMESPACE, "conference-info")?;
        let state = root.child("conference-state");
        let of = |name| state.and_then(|state| leaf(state, name));
        let users = root.child("users");
        let users = users.into_iter().flat_map(|users| users.all("user").map(User::read));
        Ok(ConferenceInfo {
            entity: need(&root, "entity")?,
            state: change(&root)?,
            version: value(root.attribute("version"), "version")?,
            user_count: value(of("user-count").as_deref(), "user-count")?,
            active: boolean(of("active"), "active")?,
            locked: boolean(of("locked"), "locked")?,
            users: users.collect::<Result<_, _>>()?,
            extensions: root.others(&["conference-state", "users"]),
        })
    }

    fn print(&self) -> Bytes {
        let state = Element::new(NAMESPACE, "conference-state")
            .with_leaf("user-count", self.user_count)
            .with_leaf("active", self.active)
            .with_leaf("locked", self.locked);
        let users = Element::new(NAMESPACE, "users").with_children(self.users.iter().map(User::element));
        Element::new(NAMESPACE, "conference-info")
            .with("entity", Some(&self.entity))
            .with("state", stated(self.state))
            .with("version", self.version)
            .with_children(self.extensions.iter().cloned())
            .with_children([state, users].into_iter().filter(|element| !element.children.is_empty()))
            .print()
    }
}
