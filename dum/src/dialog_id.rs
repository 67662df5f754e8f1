//! What a dialog and a dialog set are known by (RFC 3261 §12).

use stack::header::{DialogRef, HeaderError, h, p};
use stack::message::Message;

/// A dialog: Call-ID, local tag and remote tag. A peer of RFC 2543 may give no tag; then its tag is empty
/// (RFC 3261 §12.1.1, §12.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogId {
    /// The Call-ID.
    pub call_id: String,
    /// The tag of this side.
    pub local_tag: String,
    /// The tag of the other side.
    pub remote_tag: String,
}

/// All dialogs that one request created by forking: Call-ID and local tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogSetId {
    /// The Call-ID.
    pub call_id: String,
    /// The tag of this side.
    pub local_tag: String,
}

impl DialogId {
    /// The dialog that a received request is in: the local tag is that of To (RFC 3261 §12.2.2). A request that is in
    /// none has an empty local tag.
    ///
    /// # Errors
    /// When Call-ID, From or To is missing or malformed.
    pub fn of_request(request: &Message) -> Result<Self, HeaderError> {
        let (call_id, from_tag, to_tag) = read(request)?;
        Ok(DialogId { call_id, local_tag: to_tag, remote_tag: from_tag })
    }

    /// The dialog that a received response makes or belongs to: the local tag is that of From.
    ///
    /// # Errors
    /// When Call-ID, From or To is missing or malformed.
    pub fn of_response(response: &Message) -> Result<Self, HeaderError> {
        let (call_id, from_tag, to_tag) = read(response)?;
        Ok(DialogId { call_id, local_tag: from_tag, remote_tag: to_tag })
    }

    /// The dialog that Replaces or Join names, as who gets the header knows it: to-tag is that of this side (RFC 3891 §3,
    /// RFC 3911 §4). None if a tag is missing.
    pub fn of_reference(reference: &DialogRef<'_>) -> Option<Self> {
        Some(DialogId {
            call_id: reference.call_id.as_str().to_owned(),
            local_tag: reference.param(p::TO_TAG)?.to_owned(),
            remote_tag: reference.param(p::FROM_TAG)?.to_owned(),
        })
    }

    /// The dialog set that it belongs to.
    pub fn set_id(&self) -> DialogSetId {
        DialogSetId { call_id: self.call_id.clone(), local_tag: self.local_tag.clone() }
    }
}

/// Call-ID, From tag, To tag.
fn read(msg: &Message) -> Result<(String, String, String), HeaderError> {
    let call_id = msg.header(h::CALL_ID)?.as_str().to_string();
    let from_tag = msg.header(h::FROM)?.param(p::TAG).unwrap_or_default().to_string();
    let to_tag = msg.header(h::TO)?.param(p::TAG).unwrap_or_default().to_string();
    Ok((call_id, from_tag, to_tag))
}
