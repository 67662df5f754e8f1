//! A URI in `<>` with parameters: Alert-Info, Call-Info, Error-Info, Geolocation (RFC 3261 §20.4, RFC 6442).

use super::name_addr::read_enclosed;
use super::param::param_access;
use super::{HeaderValue, Params, ParseError};
use crate::grammar::Cursor;
use crate::uri::Uri;
use std::fmt;

/// A URI in `<>` with parameters: `<http://www.example.com/alice/>;purpose=info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenericUri<'a> {
    /// The URI.
    pub uri: Uri<'a>,
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> GenericUri<'a> {
    /// A URI without parameters.
    pub const fn new(uri: Uri<'a>) -> Self {
        GenericUri { uri, params: Params::none() }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> GenericUri<'static> {
        GenericUri { uri: self.uri.into_owned(), params: self.params.into_owned() }
    }
}

param_access!(GenericUri);

impl HeaderValue for GenericUri<'static> {
    type Value<'a> = GenericUri<'a>;

    fn parse(text: &str) -> Result<GenericUri<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let uri = read_enclosed(&mut at)?;
        Ok(GenericUri { uri, params: Params::read(&mut at)? })
    }
}

impl fmt::Display for GenericUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    #[test]
    fn round_trip() {
        let text = "<http://wwww.example.com/alice/photo.jpg?a=b,c;d>;purpose=icon";
        let info = GenericUri::parse(text).unwrap();
        assert_eq!((info.uri.scheme(), info.param(p::PURPOSE)), ("http", Some("icon")));
        assert_eq!(info.to_string(), text);
        assert_eq!(info.clone().into_owned(), info);
        assert_eq!(GenericUri::new(info.uri.clone()).with(p::PURPOSE, "icon"), info);
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset) in [("", 0), ("http://a", 0), ("<http://a", 1), ("<>", 1), ("<x:y>z", 5)] {
            assert_eq!(GenericUri::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
    }
}
