//! Plain text: `text/plain` with its character set.

use std::borrow::Cow;

use bytes::Bytes;

use super::media_type::MediaType;

/// Why a text cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The character set is none of UTF-8, US-ASCII and ISO-8859-1.
    #[error("character set is not known")]
    UnknownCharset,
    /// The octets are not in the character set that is declared.
    #[error("octets are not in the declared character set")]
    NotInCharset,
}

/// A text, kept as octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    media_type: MediaType<'static>,
    octets: Bytes,
}

impl Text {
    /// Makes a text, in UTF-8, which needs no `charset` parameter (RFC 3261 §7.4.1).
    pub fn new(text: &str) -> Text {
        Text { media_type: MediaType::TEXT, octets: Bytes::copy_from_slice(text.as_bytes()) }
    }

    /// Keeps a body as text.
    pub fn parse(media_type: &MediaType<'_>, body: &Bytes) -> Text {
        Text { media_type: media_type.clone().into_owned(), octets: body.clone() }
    }

    /// The octets, as they came.
    pub fn print(&self) -> Bytes {
        self.octets.clone()
    }

    /// The media type with its parameters.
    pub fn media_type(&self) -> &MediaType<'static> {
        &self.media_type
    }

    /// The declared character set, else UTF-8 (RFC 3261 §7.4.1).
    pub fn charset(&self) -> &str {
        self.media_type.parameter("charset").unwrap_or("UTF-8")
    }

    /// The text.
    pub fn text(&self) -> Result<Cow<'_, str>, TextError> {
        match self.charset().to_ascii_uppercase().as_str() {
            "UTF-8" | "UTF8" => self.utf8(),
            "US-ASCII" if self.octets.is_ascii() => self.utf8(),
            "US-ASCII" => Err(TextError::NotInCharset),
            // The first 256 characters of Unicode are those of ISO-8859-1.
            "ISO-8859-1" => Ok(self.octets.iter().map(|octet| char::from(*octet)).collect()),
            _ => Err(TextError::UnknownCharset),
        }
    }

    fn utf8(&self) -> Result<Cow<'_, str>, TextError> {
        std::str::from_utf8(&self.octets).map(Cow::Borrowed).map_err(|_| TextError::NotInCharset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_its_character_set() {
        let read = |content_type, octets: &'static [u8]| {
            let text = Text::parse(&MediaType::parse(content_type).unwrap(), &Bytes::from_static(octets));
            assert_eq!(text.print(), octets);
            text.text().map(Cow::into_owned)
        };
        assert_eq!(read("text/plain", b"caf\xc3\xa9"), Ok("café".into()));
        assert_eq!(read("text/plain;charset=\"utf-8\"", b"caf\xe9"), Err(TextError::NotInCharset));
        assert_eq!(read("text/plain;Charset=iso-8859-1", b"caf\xe9"), Ok("café".into()));
        assert_eq!(read("text/plain;charset=us-ascii", b"caf\xe9"), Err(TextError::NotInCharset));
        assert_eq!(read("text/plain;charset=us-ascii", b"cafe"), Ok("cafe".into()));
        assert_eq!(read("text/plain;charset=koi8-r", b"x"), Err(TextError::UnknownCharset));
        assert_eq!(Text::new("é").text(), Ok("é".into()));
    }
}
