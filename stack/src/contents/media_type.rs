//! The media type of a body: the value of `Content-Type` (RFC 3261 §20.15, §25.1).

use std::borrow::Cow;
use std::fmt;

use nom::bytes::complete::{take_while, take_while1};
use nom::character::complete::char;
use nom::sequence::delimited;
use nom::{IResult, Parser};

/// Most parameters of one media type.
pub const MAX_PARAMETERS: usize = 16;

/// What is wrong with a media type. Offsets are in octets from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaTypeError {
    /// The text does not begin with `token "/" token`.
    #[error("media type is not type/subtype")]
    NotTypeAndSubtype,
    /// What follows is not `";" token "=" (token | quoted-string)`.
    #[error("media type parameter at offset {0} is not ;name=value")]
    Parameter(usize),
    /// Two parameters have one name: which one counts would depend on the reader.
    #[error("media type parameter at offset {0} occurs twice")]
    Repeated(usize),
    /// More than [`MAX_PARAMETERS`].
    #[error("media type has more than {MAX_PARAMETERS} parameters")]
    TooManyParameters,
}

/// A media type with its parameters. Type, subtype and parameter names compare without regard to case, parameter
/// values with it; the order of parameters does not matter.
#[derive(Clone, Debug)]
pub struct MediaType<'a> {
    kind: Cow<'a, str>,
    subtype: Cow<'a, str>,
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> MediaType<'a> {
    /// `application/sdp` (RFC 8866).
    pub const SDP: MediaType<'static> = MediaType::known("application", "sdp");
    /// `message/sipfrag` (RFC 3420).
    pub const SIPFRAG: MediaType<'static> = MediaType::known("message", "sipfrag");
    /// `text/plain` (RFC 2046 §4.1).
    pub const TEXT: MediaType<'static> = MediaType::known("text", "plain");
    /// `application/octet-stream` (RFC 2046 §4.5.1).
    pub const OCTETS: MediaType<'static> = MediaType::known("application", "octet-stream");

    pub(super) const fn known(kind: &'static str, subtype: &'static str) -> MediaType<'static> {
        MediaType { kind: Cow::Borrowed(kind), subtype: Cow::Borrowed(subtype), parameters: Vec::new() }
    }

    /// Makes a media type without parameters. Both texts must be tokens.
    pub fn new(kind: &'a str, subtype: &'a str) -> Result<MediaType<'a>, MediaTypeError> {
        if !is_token(kind) || !is_token(subtype) {
            return Err(MediaTypeError::NotTypeAndSubtype);
        }
        Ok(MediaType { kind: kind.into(), subtype: subtype.into(), parameters: Vec::new() })
    }

    /// Parses `type/subtype` and its parameters. White space, folded or not, may stand around `/`, `;` and `=`.
    pub fn parse(text: &'a str) -> Result<MediaType<'a>, MediaTypeError> {
        let (mut rest, (kind, subtype)) = type_and_subtype(text).map_err(|_| MediaTypeError::NotTypeAndSubtype)?;
        let mut media_type = MediaType { kind: kind.into(), subtype: subtype.into(), parameters: Vec::new() };
        while !rest.is_empty() {
            let offset = text.len() - rest.len();
            let (after, (name, value)) = parameter(rest).map_err(|_| MediaTypeError::Parameter(offset))?;
            if media_type.parameter(name).is_some() {
                return Err(MediaTypeError::Repeated(offset));
            }
            if media_type.parameters.len() == MAX_PARAMETERS {
                return Err(MediaTypeError::TooManyParameters);
            }
            media_type.parameters.push((name.into(), value));
            rest = after;
        }
        Ok(media_type)
    }

    /// Sets a parameter, replacing one of that name. The name must be a token, the value printable.
    pub fn with(mut self, name: &str, value: &str) -> Result<MediaType<'a>, MediaTypeError> {
        if !is_token(name) || value.chars().any(is_control) {
            return Err(MediaTypeError::Parameter(0));
        }
        self.parameters.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        if self.parameters.len() == MAX_PARAMETERS {
            return Err(MediaTypeError::TooManyParameters);
        }
        self.parameters.push((name.to_owned().into(), value.to_owned().into()));
        Ok(self)
    }

    /// The type: `multipart` of `multipart/mixed`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The subtype: `mixed` of `multipart/mixed`.
    pub fn subtype(&self) -> &str {
        &self.subtype
    }

    /// Whether type and subtype are these, without regard to case or parameters.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// The value of a parameter, unquoted.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_ref())
    }

    /// The parameters in the order in which they stood, values unquoted.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Copies what is borrowed.
    pub fn into_owned(self) -> MediaType<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        MediaType {
            kind: own(self.kind),
            subtype: own(self.subtype),
            parameters: self.parameters.into_iter().map(|(name, value)| (own(name), own(value))).collect(),
        }
    }
}

impl PartialEq<MediaType<'_>> for MediaType<'_> {
    fn eq(&self, other: &MediaType<'_>) -> bool {
        self.is(&other.kind, &other.subtype)
            && self.parameters.len() == other.parameters.len()
            && self.parameters().all(|(name, value)| other.parameter(name) == Some(value))
    }
}
impl Eq for MediaType<'_> {}

impl fmt::Display for MediaType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype)?;
        for (name, value) in self.parameters() {
            // Readers disagree on which characters a bare boundary may hold; all of them take a quoted one.
            if is_token(value) && !name.eq_ignore_ascii_case("boundary") {
                write!(f, ";{name}={value}")?;
            } else {
                write!(f, ";{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

/// The characters of a token: those of RFC 3261 §25.1 and those that only MIME allows (RFC 2045 §5.1), as the types
/// of body parts come from MIME software.
pub(super) fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-.!%*_+`'~#$&^{|}".contains(c)
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_control(c: char) -> bool {
    c.is_control() && c != '\t'
}

fn white_space(text: &str) -> IResult<&str, &str> {
    take_while(|c: char| " \t\r\n".contains(c)).parse(text)
}

fn token(text: &str) -> IResult<&str, &str> {
    take_while1(is_token_char).parse(text)
}

fn type_and_subtype(text: &str) -> IResult<&str, (&str, &str)> {
    let slash = delimited(white_space, char('/'), white_space);
    let (rest, (_, kind, _, subtype, _)) = (white_space, token, slash, token, white_space).parse(text)?;
    Ok((rest, (kind, subtype)))
}

fn parameter(text: &str) -> IResult<&str, (&str, Cow<'_, str>)> {
    let (rest, _) = (char(';'), white_space).parse(text)?;
    let (rest, name) = token(rest)?;
    let (rest, _) = (white_space, char('='), white_space).parse(rest)?;
    let (rest, value) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_string(quoted)?,
        None => token.map(Cow::Borrowed).parse(rest)?,
    };
    let (rest, _) = white_space(rest)?;
    Ok((rest, (name, value)))
}

/// The rest of a quoted string after its opening quote, unescaped; it borrows unless something was escaped.
fn quoted_string(text: &str) -> IResult<&str, Cow<'_, str>> {
    let wrong = || nom::Err::Error(nom::error::Error::new(text, nom::error::ErrorKind::Escaped));
    let mut unescaped: Option<String> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let c = match c {
            '"' => {
                // A quote is one octet, so both cuts are at character boundaries.
                let value = unescaped.map_or(Cow::Borrowed(&text[..at]), Cow::Owned);
                return Ok((&text[at + 1..], value));
            }
            '\\' => {
                unescaped.get_or_insert_with(|| text[..at].to_owned());
                chars.next().ok_or_else(wrong)?.1
            }
            c => c,
        };
        if is_control(c) {
            return Err(wrong());
        }
        if let Some(value) = &mut unescaped {
            value.push(c);
        }
    }
    Err(wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn types_and_names_compare_without_case_and_values_with_it() {
        let a = MediaType::parse("Multipart/MIXED ; Boundary=\"a b\" ;type=\"text/plain\"").unwrap();
        let b = MediaType::parse("multipart/mixed;TYPE=\"text/plain\";boundary=\"a b\"").unwrap();
        assert_eq!(a, b);
        assert_eq!(a.parameter("BOUNDARY"), Some("a b"));
        assert_ne!(a, MediaType::parse("multipart/mixed;boundary=\"A b\";type=\"text/plain\"").unwrap());
        assert_ne!(a, MediaType::parse("multipart/mixed;boundary=\"a b\"").unwrap());
    }

    #[test]
    fn display_quotes_what_is_no_token_and_every_boundary() {
        let parsed = MediaType::parse("text/plain \r\n ; charset = UTF-8;x=\"a\\\"\\\\b\"").unwrap();
        assert_eq!(parsed.parameter("x"), Some("a\"\\b"));
        assert_eq!(parsed.to_string(), r#"text/plain;charset=UTF-8;x="a\"\\b""#);
        let mixed = MediaType::new("multipart", "mixed").unwrap().with("boundary", "b1").unwrap();
        assert_eq!(mixed.to_string(), r#"multipart/mixed;boundary="b1""#);
    }

    #[test]
    fn what_is_wrong_is_named() {
        use MediaTypeError::*;
        for (text, error) in [
            ("", NotTypeAndSubtype),
            ("text", NotTypeAndSubtype),
            ("text/", NotTypeAndSubtype),
            ("a b/c", NotTypeAndSubtype),
            ("text/plain charset=x", Parameter(11)),
            ("text/plain;", Parameter(10)),
            ("text/plain;a=\"x", Parameter(10)),
            ("text/plain;a=\"x\\", Parameter(10)),
            ("text/plain;a=\"x\0\"", Parameter(10)),
            ("text/plain;a=1;A=2", Repeated(14)),
        ] {
            assert_eq!(MediaType::parse(text), Err(error), "{text:?}");
        }
        let many: String = (0..=MAX_PARAMETERS).map(|i| format!(";p{i}=1")).collect();
        assert_eq!(MediaType::parse(&format!("a/b{many}")), Err(TooManyParameters));
        assert_eq!(MediaType::new("a", "b\r\nX: y"), Err(NotTypeAndSubtype));
        assert_eq!(MediaType::TEXT.with("x", "a\r\nb"), Err(Parameter(0)));
    }

    proptest! {
        #[test]
        fn what_parses_prints_to_its_equal(text in "[a-z/;=\" \\\\\r\n\u{0}é]{0,40}|a/b(;[a-z]{1,3}=(\"([ -!#-\\[]|\\\\.)*\"|[a-z]+))*") {
            if let Ok(parsed) = MediaType::parse(&text) {
                let printed = parsed.to_string();
                prop_assert_eq!(MediaType::parse(&printed), Ok(parsed));
            }
        }
    }
}
