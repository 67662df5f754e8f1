//! Reading headers: `msg.header(h::TO)`, `msg.header(h::VIAS)`, unknown headers by name.

use super::{Field, Message, StartKind};
use crate::grammar::{ListIter, split_list};
use crate::header::{HeaderError, HeaderId, HeaderValue, Many, Method, NameAddr, One, Params, ParseError};

/// A header constant of [`crate::header::h`]: what [`Message::header`] takes, and what comes of it.
pub trait Access {
    /// `Result<value>` for a single header, an iterator over values for a list.
    type Out<'m>;
    /// Which header.
    fn id(&self) -> HeaderId;
    /// Reads it.
    fn read<'m>(&self, msg: &'m Message) -> Self::Out<'m>;
}

impl<T: HeaderValue> Access for One<T> {
    type Out<'m> = Result<T::Value<'m>, HeaderError>;
    fn id(&self) -> HeaderId {
        self.id
    }
    #[inline]
    fn read<'m>(&self, msg: &'m Message) -> Self::Out<'m> {
        let field = msg.field(self.id).ok_or_else(|| missing(self.id))?;
        parse_value::<T>(self.id, text_of(self.id, msg.value(field))?)
    }
}

impl<T: HeaderValue> Access for Many<T> {
    type Out<'m> = Values<'m, T>;
    fn id(&self) -> HeaderId {
        self.id
    }
    fn read<'m>(&self, msg: &'m Message) -> Self::Out<'m> {
        // Most of those that are asked for are not there.
        let next_field = if msg.seen & (1 << self.id.0) == 0 { usize::MAX } else { 0 };
        Values { msg, id: self.id, next_field, split: None, value: std::marker::PhantomData }
    }
}

fn missing(id: HeaderId) -> HeaderError {
    HeaderError { header: id.name(), offset: 0, rule: "header is missing" }
}

fn text_of(id: HeaderId, value: &[u8]) -> Result<&str, HeaderError> {
    std::str::from_utf8(value).map_err(|e| HeaderError {
        header: id.name(),
        offset: e.valid_up_to(),
        rule: "not UTF-8",
    })
}

fn parse_value<T: HeaderValue>(id: HeaderId, text: &str) -> Result<T::Value<'_>, HeaderError> {
    T::parse(text).map_err(|e: ParseError| HeaderError { header: id.name(), offset: e.offset, rule: e.rule })
}

/// The values of a list header, over all its lines, split at commas as they are asked for.
pub struct Values<'m, T> {
    msg: &'m Message,
    id: HeaderId,
    next_field: usize,
    split: Option<ListIter<'m>>,
    value: std::marker::PhantomData<fn() -> T>,
}

impl<'m, T: HeaderValue> Values<'m, T> {
    /// The next value's text, unparsed.
    fn next_text(&mut self) -> Option<Result<&'m str, HeaderError>> {
        loop {
            if let Some(split) = &mut self.split {
                match split.next() {
                    Some(text) => return Some(Ok(text)),
                    None => self.split = None,
                }
            }
            let left = self.msg.fields.get(self.next_field..)?;
            let at = left.iter().position(|f| f.id == self.id)?;
            let field = left.get(at)?;
            self.next_field += at + 1;
            match text_of(self.id, self.msg.value(field)) {
                // An empty line of a list header has no values (RFC 3261 §7.3.1 allows none, wire practice does).
                Ok("") => {}
                // The commas of credentials and challenges are part of the value (RFC 3261 §7.3.1).
                Ok(text) if !self.id.is_list() => return Some(Ok(text)),
                Ok(text) => self.split = Some(split_list(text)),
                Err(e) => return Some(Err(e)),
            }
        }
    }

    /// The text of each value, without parsing it.
    pub fn texts(mut self) -> impl Iterator<Item = Result<&'m str, HeaderError>> {
        std::iter::from_fn(move || self.next_text())
    }
}

impl<'m, T: HeaderValue> Iterator for Values<'m, T> {
    type Item = Result<T::Value<'m>, HeaderError>;
    fn next(&mut self) -> Option<Self::Item> {
        let text = self.next_text()?;
        Some(text.and_then(|text| parse_value::<T>(self.id, text)))
    }
}

impl Message {
    /// Reads a header: one value, or an iterator over a list's values.
    ///
    /// # Errors
    /// A [`HeaderError`] when it is missing or malformed; the other headers can be read all the same.
    #[inline]
    pub fn header<A: Access>(&self, header: A) -> A::Out<'_> {
        header.read(self)
    }

    /// The parameters of From or To alone: a tag costs little to read, the address before it is not looked at where nothing
    /// is quoted.
    ///
    /// # Errors
    /// As [`Message::header`], but for a malformed address.
    pub fn params_of(&self, header: One<NameAddr<'static>>) -> Result<Params<'_>, HeaderError> {
        let field = self.field(header.id).ok_or_else(|| missing(header.id))?;
        let params = NameAddr::read_params(text_of(header.id, self.value(field))?);
        params.map_err(|e| HeaderError { header: header.id.name(), offset: e.offset, rule: e.rule })
    }

    /// Whether the header is there.
    pub fn exists<A: Access>(&self, header: A) -> bool {
        self.has(header.id())
    }

    /// Whether a header with this id is there.
    #[inline]
    pub fn has(&self, id: HeaderId) -> bool {
        self.field(id).is_some()
    }

    /// Whether the header came on more than one line.
    pub fn is_repeated(&self, id: HeaderId) -> bool {
        // The bit says that it may be; lines may have gone since.
        self.repeated & (1 << id.0) != 0 && self.fields.iter().filter(|f| f.id == id).nth(1).is_some()
    }

    /// The first value of a list.
    ///
    /// # Errors
    /// As [`Message::header`].
    pub fn first<T: HeaderValue>(&self, header: Many<T>) -> Result<T::Value<'_>, HeaderError> {
        self.header(header).next().unwrap_or_else(|| Err(missing(header.id)))
    }

    /// The method of a request, or of the request that a response answers (its CSeq); `None` where that is malformed.
    pub fn method(&self) -> Option<Method<'_>> {
        match self.start.kind {
            StartKind::Request { method_end, .. } => {
                let text = self.span(self.start.buffer, self.start.start, self.start.start + method_end);
                Method::known(text).or_else(|| std::str::from_utf8(text).ok().map(Method::from_token))
            }
            StartKind::Status { .. } => self.header(crate::header::h::CSEQ).ok().map(|cseq| cseq.method),
        }
    }

    /// The text of the Request-URI; empty for a response.
    pub fn request_uri_text(&self) -> &[u8] {
        match self.start.kind {
            StartKind::Request { uri, .. } => self.span(self.start.buffer, uri.0, uri.1),
            StartKind::Status { .. } => &[],
        }
    }

    /// Whether the Request-URI is a sips URI: the request is to leave by secure transports only (RFC 3261 §26.2.2).
    pub fn is_sips(&self) -> bool {
        self.request_uri_text().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"))
    }

    /// All header lines in order: name as it came, value with white space trimmed (folds are left in).
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|f| (self.span(f.buffer, f.start, f.start + u32::from(f.name_len)), self.value(f)))
    }

    /// All header lines in order: which header, and the value with white space trimmed (folds are left in).
    pub fn fields(&self) -> impl Iterator<Item = (HeaderId, &[u8])> {
        self.fields.iter().map(|f| (f.id, self.value(f)))
    }

    /// The values of a header by its name in any case, one a line: for headers that the stack does not know.
    pub fn raw_values<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m [u8]> {
        let id = HeaderId::lookup(name.as_bytes());
        self.fields.iter().filter(move |f| f.id == id).filter_map(move |f| {
            let its = self.span(f.buffer, f.start, f.start + u32::from(f.name_len));
            (id != HeaderId::UNKNOWN || its.eq_ignore_ascii_case(name.as_bytes())).then(|| self.value(f))
        })
    }

    /// The first line of a header, unparsed.
    pub(crate) fn raw_value(&self, id: HeaderId) -> Option<&[u8]> {
        self.field(id).map(|field| self.value(field))
    }

    #[inline]
    pub(super) fn field(&self, id: HeaderId) -> Option<&Field> {
        if self.seen & (1 << id.0) == 0 {
            return None;
        }
        self.fields.iter().find(|f| f.id == id)
    }

    #[inline]
    pub(super) fn value(&self, field: &Field) -> &[u8] {
        self.span(field.buffer, field.value, field.value_end)
    }
}
