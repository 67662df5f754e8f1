//! An XML document with the place of each element, as SIPp's scenarios are.

use super::error::{Wrong, wrong};
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// Elements within each other, at most.
const MOST_DEEP: usize = 16;

/// The text with its attributes as SIPp reads them: a backslash stands before a quote or itself, or makes a line's end or a
/// tab. Line ends stay where they are.
pub(super) fn unescaped(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let whole = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">")];
        let end = match whole.iter().find(|(begin, _)| rest.starts_with(begin)) {
            Some((_, end)) => rest.find(end).map_or(rest.len(), |at| at + end.len()),
            None => 0,
        };
        out.push_str(&rest[..end]);
        rest = &rest[end..];
        if end == 0 {
            rest = &rest[tag(rest, &mut out)..];
        }
    }
    out + rest
}

/// Copies a tag; how long it was.
fn tag(text: &str, out: &mut String) -> usize {
    let (mut quoted, mut chars) = (false, text.char_indices().peekable());
    while let Some((at, c)) = chars.next() {
        match (c, quoted) {
            ('>', false) => {
                out.push('>');
                return at + 1;
            }
            ('\\', true) => {
                let known = |(_, next): &(usize, char)| {
                    let escapes = [('"', "&quot;"), ('\\', "\\"), ('n', "&#10;"), ('t', "&#9;"), ('r', "&#13;")];
                    escapes.into_iter().find(|(escape, _)| escape == next).map(|(_, stands)| stands)
                };
                let stands = chars.peek().and_then(known);
                out.push_str(stands.unwrap_or("\\"));
                stands.and_then(|_| chars.next());
            }
            _ => {
                quoted ^= c == '"';
                out.push(c);
            }
        }
    }
    text.len()
}

/// An element.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    /// Where it begins.
    pub(super) offset: usize,
    attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

impl Element {
    /// Reads a document; its root.
    pub(super) fn parse(text: &str) -> Result<Element, Wrong> {
        let mut reader = Reader::from_str(text);
        let mut open = vec![Element::default()];
        loop {
            let offset = reader.buffer_position() as usize;
            let event =
                reader.read_event().map_err(|error| wrong(reader.error_position() as usize, error.to_string()))?;
            let syntax = |error: &dyn std::fmt::Display| wrong(offset, error.to_string());
            match event {
                Event::Start(start) => {
                    if open.len() > MOST_DEEP {
                        return Err(wrong(offset, "elements are too deep"));
                    }
                    open.push(element(&start, offset)?);
                }
                Event::Empty(start) => {
                    let element = element(&start, offset)?;
                    if let Some(outer) = open.last_mut() {
                        outer.children.push(element);
                    }
                }
                Event::End(_) => {
                    if let Some(done) = open.pop()
                        && let Some(outer) = open.last_mut()
                    {
                        outer.children.push(done);
                    }
                }
                Event::Text(more) => push(&mut open, &more.xml10_content()),
                Event::CData(more) => push(&mut open, &more.xml10_content()),
                Event::GeneralRef(reference) => {
                    let char = reference.resolve_char_ref().map_err(|e| syntax(&e))?;
                    match (char, resolve_predefined_entity(&reference)) {
                        (Some(char), _) => push(&mut open, char.encode_utf8(&mut [0; 4])),
                        (None, Some(known)) => push(&mut open, known),
                        (None, None) => return Err(wrong(offset, "an entity that is not known")),
                    }
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
                Event::Eof => {
                    let mut root = open.pop().map(|outer| outer.children).unwrap_or_default();
                    return match (open.is_empty(), root.len()) {
                        (true, 1) => Ok(root.remove(0)),
                        _ => Err(wrong(offset, "the document ends before its elements")),
                    };
                }
            }
        }
    }

    /// An attribute, which is then looked at no more.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.attributes.iter().position(|(known, _)| known == name)?;
        Some(self.attributes.remove(at).1)
    }

    /// The attribute that it must have.
    pub(super) fn need(&mut self, name: &str, expected: &str) -> Result<String, Wrong> {
        let (offset, element) = (self.offset, self.name.clone());
        self.take(name).ok_or_else(|| wrong(offset, format!("<{element}>: {name} is missing: expected {expected}")))
    }

    /// What an attribute is not.
    pub(super) fn bad(&self, name: &str, value: &str, expected: &str) -> Wrong {
        wrong(self.offset, format!("<{}> {name}={value:?}: expected {expected}", self.name))
    }

    /// An attribute that is a number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, Wrong> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        number.map(Some).ok_or_else(|| self.bad(name, &text, "a number"))
    }

    /// An attribute that is `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Wrong> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(self.bad(name, other, "true or false")),
        }
    }

    /// Nothing is left that was not looked at.
    pub(super) fn done(&self) -> Result<(), Wrong> {
        match self.attributes.first() {
            None => Ok(()),
            Some((name, _)) => Err(wrong(self.offset, format!("<{}>: attribute {name} is not supported", self.name))),
        }
    }

    /// It is not supported as a whole.
    pub(super) fn unsupported(&self, within: &str) -> Wrong {
        wrong(self.offset, format!("<{}> is not supported in <{within}>", self.name))
    }
}

fn push(open: &mut [Element], text: &str) {
    if let Some(outer) = open.last_mut() {
        outer.text.push_str(text);
    }
}

fn element(start: &BytesStart<'_>, offset: usize) -> Result<Element, Wrong> {
    let name = start.name().as_ref().to_owned();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| wrong(offset, format!("<{name}>: {error}")))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| wrong(offset, format!("<{name}>: {error}")))?;
        attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(Element { name, offset, attributes, ..Element::default() })
}
