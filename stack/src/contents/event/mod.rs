//! Bodies of event packages: what NOTIFY and PUBLISH carry.
//!
//! A document keeps what it knows as fields, and elements of extensions as they are. What is read is limited: octets by
//! the message, elements by [`xml`].

/// Names of the values of a field, in both directions.
macro_rules! names {
    ($type:ident { $($variant:ident $name:literal),* $(,)? }) => {
        impl $type {
            /// Its name in a document.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)*
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::contents::event::DocumentError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok($type::$variant),)*
                    _ => Err($crate::contents::event::DocumentError::Value(stringify!($type))),
                }
            }
        }
    };
}
pub mod conference_info;
pub mod dialog_info;
pub mod message_summary;
pub mod pidf;
pub mod reg_info;
pub mod xml;

pub use conference_info::ConferenceInfo;
pub use dialog_info::DialogInfo;
pub use message_summary::MessageSummary;
pub use pidf::Pidf;
pub use reg_info::RegInfo;
pub use xml::Element;

use super::{Contents, MediaType};
use bytes::Bytes;

/// Why a document cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not UTF-8.
    #[error("not in UTF-8")]
    Encoding,
    /// Not well-formed.
    #[error("not well-formed")]
    Syntax,
    /// A document type, or an entity that is not of XML itself: they could stand for anything.
    #[error("a document type or an unknown entity")]
    Entity,
    /// More than [`xml::MAX_DEPTH`] elements within each other.
    #[error("more than {} elements within each other", xml::MAX_DEPTH)]
    TooDeep,
    /// More than [`xml::MAX_ELEMENTS`] elements, or as many lines of a summary.
    #[error("more than {} elements", xml::MAX_ELEMENTS)]
    TooManyElements,
    /// More than [`xml::MAX_ATTRIBUTES`] attributes of an element.
    #[error("an element with more than {} attributes", xml::MAX_ATTRIBUTES)]
    TooManyAttributes,
    /// More than [`xml::MAX_NAMESPACE`] octets of a namespace's URI.
    #[error("a namespace of more than {} octets", xml::MAX_NAMESPACE)]
    NamespaceTooLong,
    /// Another document.
    #[error("the root is another element")]
    Root,
    /// An element, attribute or line that has to be there.
    #[error("no {0}")]
    Missing(&'static str),
    /// A value that its field does not have.
    #[error("{0} has a value that it does not have")]
    Value(&'static str),
}

impl DocumentError {
    /// The status code for a request with this body: 413 for what goes over a limit (RFC 3261 §21.4.11), else 400.
    pub fn status(self) -> u16 {
        match self {
            DocumentError::TooDeep
            | DocumentError::TooManyElements
            | DocumentError::TooManyAttributes
            | DocumentError::NamespaceTooLong => 413,
            _ => 400,
        }
    }
}

/// A body of an event package.
pub trait EventDocument: Sized {
    /// Type and subtype.
    const MEDIA_TYPE: (&'static str, &'static str);

    /// Reads a body.
    ///
    /// # Errors
    /// [`DocumentError`].
    fn parse(octets: &[u8]) -> Result<Self, DocumentError>;

    /// The body.
    fn print(&self) -> Bytes;

    /// The body with its type, for a message.
    fn to_contents(&self) -> Contents {
        let (kind, subtype) = Self::MEDIA_TYPE;
        Contents::Octets { media_type: MediaType::known(kind, subtype), octets: self.print() }
    }
}

/// Whether a document says all, or what has changed since the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentState {
    /// All.
    Full,
    /// What has changed.
    Partial,
}

names!(DocumentState { Full "full", Partial "partial" });

/// The root of a document, if it is this one.
fn root(octets: &[u8], namespace: &str, name: &str) -> Result<Element, DocumentError> {
    Some(Element::parse(octets)?).filter(|root| root.is(namespace, name)).ok_or(DocumentError::Root)
}

/// An attribute that has to be there.
fn need(element: &Element, name: &'static str) -> Result<String, DocumentError> {
    element.attribute(name).map(str::to_owned).ok_or(DocumentError::Missing(name))
}

/// A value, if there is a text for it.
fn value<T: std::str::FromStr>(text: Option<&str>, name: &'static str) -> Result<Option<T>, DocumentError> {
    text.map(|text| text.parse().map_err(|_| DocumentError::Value(name))).transpose()
}

/// The text of an element in another one.
fn leaf(element: &Element, name: &str) -> Option<String> {
    element.child(name).map(|child| child.text.clone())
}

#[cfg(test)]
mod tests;
