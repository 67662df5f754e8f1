//! Dialogs of somebody: `application/dialog-info+xml`, the body of the package `dialog` (RFC 4235).

use super::{DocumentError, DocumentState, Element, EventDocument, leaf, need, root, value};
use bytes::Bytes;

const NAMESPACE: &str = "urn:ietf:params:xml:ns:dialog-info";

/// The dialogs of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogInfo {
    /// One more than in the document before; from 0.
    pub version: u32,
    /// All dialogs, or those that changed.
    pub state: DocumentState,
    /// Whose: a URI.
    pub entity: String,
    /// The dialogs.
    pub dialogs: Vec<DialogElement>,
}

/// A dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogElement {
    /// Its name in these documents.
    pub id: String,
    /// Call-ID.
    pub call_id: Option<String>,
    /// The tag of the entity.
    pub local_tag: Option<String>,
    /// The tag of the other side.
    pub remote_tag: Option<String>,
    /// Whether the entity called.
    pub direction: Option<Direction>,
    /// How far it is.
    pub state: State,
    /// What brought it there.
    pub event: Option<Event>,
    /// The status that brought it there.
    pub code: Option<u16>,
    /// Since how many seconds it exists.
    pub duration: Option<u32>,
    /// The entity in it.
    pub local: Option<Participant>,
    /// The other side.
    pub remote: Option<Participant>,
    /// Further elements: `replaces`, `referred-by`, `route-set` and those of extensions.
    pub extensions: Vec<Element>,
}

/// Who called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The entity.
    Initiator,
    /// The other side.
    Recipient,
}

names!(Direction { Initiator "initiator", Recipient "recipient" });

/// How far a dialog is (RFC 4235 §3.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The INVITE is sent.
    Trying,
    /// A provisional response without a tag.
    Proceeding,
    /// A provisional response with a tag.
    Early,
    /// A 2xx.
    Confirmed,
    /// It is over.
    Terminated,
}

names!(State {
    Trying "trying", Proceeding "proceeding", Early "early", Confirmed "confirmed", Terminated "terminated",
});

/// What brought a dialog where it is (RFC 4235 §3.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// CANCEL.
    Cancelled,
    /// A failure response.
    Rejected,
    /// Another dialog took its place.
    Replaced,
    /// BYE of the entity.
    LocalBye,
    /// BYE of the other side.
    RemoteBye,
    /// An error: 408, 481.
    Error,
    /// No answer.
    Timeout,
}

names!(Event {
    Cancelled "cancelled", Rejected "rejected", Replaced "replaced", LocalBye "local-bye", RemoteBye "remote-bye",
    Error "error", Timeout "timeout",
});

/// One side of a dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Participant {
    /// From or To: the URI.
    pub identity: Option<String>,
    /// Its display name.
    pub display: Option<String>,
    /// The URI of its Contact.
    pub target: Option<String>,
    /// Further elements.
    pub extensions: Vec<Element>,
}

impl DialogElement {
    /// A dialog of which only this is known.
    pub fn new(id: impl Into<String>, state: State) -> Self {
        let (call_id, local_tag, remote_tag) = (None, None, None);
        let (direction, event, code, duration, local, remote) = (None, None, None, None, None, None);
        let (id, extensions) = (id.into(), Vec::new());
        DialogElement {
            id,
            call_id,
            local_tag,
            remote_tag,
            direction,
            state,
            event,
            code,
            duration,
            local,
            remote,
            extensions,
        }
    }

    fn read(element: &Element) -> Result<Self, DocumentError> {
        let state = element.child("state").ok_or(DocumentError::Missing("state"))?;
        let text = |name| element.attribute(name).map(str::to_owned);
        Ok(DialogElement {
            call_id: text("call-id"),
            local_tag: text("local-tag"),
            remote_tag: text("remote-tag"),
            direction: value(element.attribute("direction"), "direction")?,
            event: value(state.attribute("event"), "event")?,
            code: value(state.attribute("code"), "code")?,
            duration: value(leaf(element, "duration").as_deref(), "duration")?,
            local: element.child("local").map(Participant::read),
            remote: element.child("remote").map(Participant::read),
            extensions: element.others(&["state", "duration", "local", "remote"]),
            ..DialogElement::new(need(element, "id")?, state.text.parse()?)
        })
    }

    fn element(&self) -> Element {
        let state = Element::new(NAMESPACE, "state").with_text(self.state.as_str());
        let side = |name, side: &Option<Participant>| side.as_ref().map(|side| side.element(name));
        Element::new(NAMESPACE, "dialog")
            .with("id", Some(&self.id))
            .with("call-id", self.call_id.as_ref())
            .with("local-tag", self.local_tag.as_ref())
            .with("remote-tag", self.remote_tag.as_ref())
            .with("direction", self.direction)
            .with_children([state.with("event", self.event).with("code", self.code)])
            .with_leaf("duration", self.duration)
            .with_children(self.extensions.iter().cloned())
            .with_children(side("local", &self.local))
            .with_children(side("remote", &self.remote))
    }
}

impl Participant {
    fn read(element: &Element) -> Self {
        let identity = element.child("identity");
        Participant {
            identity: identity.map(|identity| identity.text.clone()),
            display: identity.and_then(|identity| identity.attribute("display")).map(str::to_owned),
            target: element.child("target").and_then(|target| target.attribute("uri")).map(str::to_owned),
            extensions: element.others(&["identity", "target"]),
        }
    }

    fn element(&self, name: &str) -> Element {
        let identity = self
            .identity
            .as_ref()
            .map(|uri| Element::new(NAMESPACE, "identity").with_text(uri).with("display", self.display.as_ref()));
        let target = self.target.as_ref().map(|uri| Element::new(NAMESPACE, "target").with("uri", Some(uri)));
        Element::new(NAMESPACE, name)
            .with_children(identity)
            .with_children(target)
            .with_children(self.extensions.iter().cloned())
    }
}

impl EventDocument for DialogInfo {
    const MEDIA_TYPE: (&'static str, &'static str) = ("application", "dialog-info+xml");

    fn parse(octets: &[u8]) -> Result<Self, DocumentError> {
        let root = root(octets, NAMESPACE, "dialog-info")?;
        Ok(DialogInfo {
            version: value(root.attribute("version"), "version")?.ok_or(DocumentError::Missing("version"))?,
            state: need(&root, "state")?.parse()?,
            entity: need(&root, "entity")?,
            dialogs: root.all("dialog").map(DialogElement::read).collect::<Result<_, _>>()?,
        })
    }

    fn print(&self) -> Bytes {
        Element::new(NAMESPACE, "dialog-info")
            .with("version", Some(self.version))
            .with("state", Some(self.state))
            .with("entity", Some(&self.entity))
            .with_children(self.dialogs.iter().map(DialogElement::element))
            .print()
    }
}
