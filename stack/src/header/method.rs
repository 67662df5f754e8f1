//! Methods (RFC 3261 §7.1). They are case-sensitive; those of extensions are kept as they are.

use super::{HeaderValue, ParseError};
use crate::grammar::{Cursor, TOKEN};
use std::borrow::Cow;
use std::fmt;

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal),* $(,)?) => {
        /// The method of a request.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Method<'a> {
            $($(#[$doc])* $variant,)*
            /// Any other method: a `token`.
            Other(Cow<'a, str>),
        }

        impl<'a> Method<'a> {
            /// The method with this name; the name is not checked.
            #[inline]
            pub fn from_token(name: &'a str) -> Self {
                match name {
                    $($name => Method::$variant,)*
                    _ => Method::Other(Cow::Borrowed(name)),
                }
            }

            /// The method with this name, if it has a variant.
            #[inline]
            pub(crate) fn known(name: &[u8]) -> Option<Self> {
                $(if name == $name.as_bytes() {
                    return Some(Method::$variant);
                })*
                None
            }

            /// The name, as in the request line.
            #[inline]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Method::$variant => $name,)*
                    Method::Other(name) => name,
                }
            }

            /// Its place in [`KNOWN_METHODS`]; behind them for any other.
            #[inline]
            pub(crate) fn place(&self) -> usize {
                enum Place {
                    $($variant,)*
                }
                match self {
                    $(Method::$variant => Place::$variant as usize,)*
                    Method::Other(_) => KNOWN_METHODS.len(),
                }
            }

            /// The same without a borrow.
            pub fn into_owned(self) -> Method<'static> {
                match self {
                    $(Method::$variant => Method::$variant,)*
                    Method::Other(name) => Method::Other(Cow::Owned(name.into_owned())),
                }
            }
        }

        /// All methods that have a variant.
        pub const KNOWN_METHODS: &[Method<'static>] = &[$(Method::$variant),*];
    };
}

methods! {
    /// INVITE
    Invite "INVITE",
    /// ACK
    Ack "ACK",
    /// BYE
    Bye "BYE",
    /// CANCEL
    Cancel "CANCEL",
    /// OPTIONS
    Options "OPTIONS",
    /// REGISTER
    Register "REGISTER",
    /// PRACK (RFC 3262)
    Prack "PRACK",
    /// SUBSCRIBE (RFC 6665)
    Subscribe "SUBSCRIBE",
    /// NOTIFY (RFC 6665)
    Notify "NOTIFY",
    /// PUBLISH (RFC 3903)
    Publish "PUBLISH",
    /// INFO (RFC 6086)
    Info "INFO",
    /// REFER (RFC 3515)
    Refer "REFER",
    /// MESSAGE (RFC 3428)
    Message "MESSAGE",
    /// UPDATE (RFC 3311)
    Update "UPDATE",
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl HeaderValue for Method<'static> {
    type Value<'a> = Method<'a>;

    fn parse(text: &str) -> Result<Method<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let name = at.need(TOKEN, "token expected")?;
        at.skip_ws();
        if !at.at_end() {
            return Err(at.fail("not a token character"));
        }
        Ok(Method::from_token(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Method<'_>, ParseError> {
        <Method<'static> as HeaderValue>::parse(text)
    }

    #[test]
    fn known_methods_round_trip() {
        for method in KNOWN_METHODS {
            assert_eq!(parse(method.as_str()).as_ref(), Ok(method));
        }
    }

    #[test]
    fn case_and_percent_are_kept() {
        for name in ["invite", "RE%47IST%45R", "!interesting-Method0123456789_*+`.%indeed'~"] {
            assert_eq!(parse(name), Ok(Method::Other(name.into())));
        }
        assert_eq!(parse("IN VITE").map_err(|e| e.offset), Err(3));
        assert!(parse("").is_err());
    }
}
