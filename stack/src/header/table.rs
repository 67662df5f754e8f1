//! The table of headers: name, shape and type of each.

use super::id::Shape;
use super::*;

macro_rules! shape {
    (one) => {
        Shape::One
    };
    (list) => {
        Shape::List
    };
    (lines) => {
        Shape::Lines
    };
}
macro_rules! kind {
    (one $t:ty) => { One<$t> };
    ($many:ident $t:ty) => { Many<$t> };
}
macro_rules! make {
    (one $id:ident) => {
        One::new(HeaderId::$id)
    };
    ($many:ident $id:ident) => {
        Many::new(HeaderId::$id)
    };
}

macro_rules! headers {
    ($($id:ident $name:literal $shape:ident $access:ident $value:ty;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Number_ { UNKNOWN, $($id,)* COUNT }

        pub(super) const COUNT: usize = Number_::COUNT as usize;
        pub(super) const NAMES: [&str; COUNT] = ["", $($name),*];
        pub(super) const SHAPES: [Shape; COUNT] = [Shape::Lines, $(shape!($shape)),*];

        impl HeaderId {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $id: HeaderId = HeaderId(Number_::$id as u8);
            )*
        }

        /// The headers with their types: `msg.header(h::TO)`. Lists have names in the plural.
        pub mod h {
            use super::*;
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $access: kind!($shape $value) = make!($shape $id);
            )*
        }

        /// Parses one value of a header and forgets it: whether the value is well formed. Unknown headers have no rules.
        pub fn check(id: HeaderId, value: &str) -> Result<(), HeaderError> {
            match id {
                $(HeaderId::$id => <$value as HeaderValue>::parse(value).map(drop).map_err(|e| e.of(id)),)*
                _ => Ok(()),
            }
        }

        #[cfg(test)]
        pub(super) fn reprint(id: HeaderId, value: &str) -> Result<String, ParseError> {
            match id {
                $(HeaderId::$id => <$value as HeaderValue>::parse(value).map(|v| v.to_string()),)*
                _ => Ok(value.to_string()),
            }
        }
    };
}

/// The compact forms (RFC 3261 §7.3.3 and the IANA registry).
pub(super) const COMPACT: &[(u8, HeaderId)] = &[
    (b'f', HeaderId::FROM),
    (b'i', HeaderId::CALL_ID),
    (b'l', HeaderId::CONTENT_LENGTH),
    (b'm', HeaderId::CONTACT),
    (b't', HeaderId::TO),
    (b'v', HeaderId::VIA),
];

headers! {
    VIA "Via" list VIAS Via<'static>;
    FROM "From" one FROM NameAddr<'static>;
    TO "To" one TO NameAddr<'static>;
    CALL_ID "Call-ID" one CALL_ID CallId<'static>;
    CSEQ "CSeq" one CSEQ CSeq<'static>;
    MAX_FORWARDS "Max-Forwards" one MAX_FORWARDS MaxForwards;
    ROUTE "Route" list ROUTES NameAddr<'static>;
    RECORD_ROUTE "Record-Route" list RECORD_ROUTES NameAddr<'static>;
    CONTACT "Contact" list CONTACTS Contact<'static>;
    CONTENT_LENGTH "Content-Length" one CONTENT_LENGTH Number;
    EXPIRES "Expires" one EXPIRES DeltaSeconds;
    ALLOW "Allow" list ALLOWS Method<'static>;
    PATH "Path" list PATHS NameAddr<'static>;
    SERVICE_ROUTE "Service-Route" list SERVICE_ROUTES NameAddr<'static>;
}
