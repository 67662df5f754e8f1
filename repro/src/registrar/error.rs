//! Why a REGISTER is refused.

use crate::location::StoreFull;
use crate::store::NotKept;
use stack::header::HeaderError;

/// Why a REGISTER changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// A header is malformed.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// A Contact `*` beside others, or without `Expires: 0` (§10.3 step 6).
    #[error("Contact: * must stand alone and with Expires: 0")]
    Wildcard,
    /// Something is longer than a binding keeps.
    #[error("{0} too long")]
    TooLong(&'static str),
    /// A Path, and a device that does not know what it is (RFC 3327 §5.3).
    #[error("the device does not support Path")]
    NoPathSupport,
    /// A Path that no request can be sent by, and why.
    #[error("Path: {0}")]
    BadPath(&'static str),
    /// A device that insists on outbound, behind a proxy that does not support it (RFC 5626 §6).
    #[error("the first proxy does not support outbound")]
    NoOutbound,
    /// A Contact that leads back here: a GRUU of ours (RFC 5627 §5.1).
    #[error("Contact: a GRUU")]
    OwnGruu,
    /// A Contact that no request can be sent to, and why.
    #[error("Contact: {0}")]
    Unreachable(&'static str),
    /// A registration shorter than the registrar allows (§10.3 step 7).
    #[error("registration too brief: at least {0} s")]
    TooBrief(u32),
    /// More contacts than one address-of-record may have, or than fit into the response.
    #[error("too many contacts")]
    TooManyContacts,
    /// The list of contacts, with what the response repeats of the request, does not fit into a datagram.
    #[error("no room for the contacts beside its Via, From and To")]
    NoRoom,
    /// The request is older than what it would change (§10.3 steps 6 and 7).
    #[error("out of order: its CSeq is not above that of the binding")]
    OutOfOrder,
    /// The store is full.
    #[error(transparent)]
    Full(#[from] StoreFull),
    /// What outlives the process takes nothing now.
    #[error(transparent)]
    NotKept(#[from] NotKept),
}

impl RegisterError {
    /// The status that says so.
    pub const fn status(&self) -> u16 {
        match self {
            RegisterError::Header(_)
            | RegisterError::Wildcard
            | RegisterError::TooLong(_)
            | RegisterError::BadPath(_)
            | RegisterError::Unreachable(_) => 400,
            RegisterError::NoPathSupport => 420,
            RegisterError::TooBrief(_) => 423,
            RegisterError::TooManyContacts | RegisterError::OwnGruu => 403,
            RegisterError::NoOutbound => 439,
            RegisterError::OutOfOrder => 500,
            RegisterError::Full(_) | RegisterError::NotKept(_) => 503,
            RegisterError::NoRoom => 513,
        }
    }

    /// The reason phrase, where the usual one does not say what is wrong.
    pub(super) fn reason(&self) -> Option<String> {
        match self {
            RegisterError::TooLong(_) | RegisterError::BadPath(_) | RegisterError::Unreachable(_) => {
                Some(self.to_string())
            }
            _ => None,
        }
    }
}
