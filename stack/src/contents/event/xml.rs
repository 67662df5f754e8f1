//! XML as event packages use it: a tree of elements, with limits, without document types and entities.

use super::DocumentError;
use bytes::Bytes;
use quick_xml::XmlVersion;
use quick_xml::escape::{escape, resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;
use std::fmt::Write;

/// Most elements of a document.
pub const MAX_ELEMENTS: usize = 10_000;
/// Most elements within each other.
pub const MAX_DEPTH: usize = 24;
/// Most attributes of an element.
pub const MAX_ATTRIBUTES: usize = 32;
/// Most octets of the URI of a namespace: each element has its own copy.
pub const MAX_NAMESPACE: usize = 256;

/// An element. Prefixes are resolved; comments and processing instructions are gone, as is white space around texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// The URI of its namespace; empty for none.
    pub namespace: String,
    /// Its name, without a prefix.
    pub name: String,
    /// Names and values. Of those with a prefix only `xml:lang` and its like are kept.
    pub attributes: Vec<(String, String)>,
    /// All text that is directly in it.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
}

impl Element {
    /// An element with nothing in it.
    pub fn new(namespace: &str, name: &str) -> Self {
        Element { namespace: namespace.into(), name: name.into(), ..Element::default() }
    }

    /// The same with an attribute, if there is a value.
    pub fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.attributes.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    /// The same with a text.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// The same with more elements in it.
    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// The same with an element in it that has nothing but a text, if there is one; in the same namespace.
    pub fn with_leaf(self, name: &str, text: Option<impl ToString>) -> Self {
        let leaf = text.map(|text| Element::new(&self.namespace, name).with_text(text.to_string()));
        self.with_children(leaf)
    }

    /// Whether it is this one.
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Elements in it by name, of its own namespace.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.is(&self.namespace, name))
    }

    /// The first of them.
    pub fn child<'a>(&'a self, name: &'a str) -> Option<&'a Element> {
        self.all(name).next()
    }

    /// Elements in it but for those with these names and its own namespace: extensions.
    pub fn others(&self, known: &[&str]) -> Vec<Element> {
        let other = |child: &&Element| child.namespace != self.namespace || !known.contains(&child.name.as_str());
        self.children.iter().filter(other).cloned().collect()
    }

    /// Reads a document in UTF-8.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(octets: &[u8]) -> Result<Element, DocumentError> {
        let text = std::str::from_utf8(octets).map_err(|_| DocumentError::Encoding)?;
        let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut tree = Tree::default();
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(|_| DocumentError::Syntax)?;
            match event {
                Event::Start(start) => tree.open(element(&namespace, &start)?)?,
                Event::Empty(start) => {
                    tree.open(element(&namespace, &start)?)?;
                    tree.close()?;
                }
                Event::End(_) => tree.close()?,
                Event::Text(text) => tree.text(&text.xml10_content())?,
                Event::CData(text) => tree.text(&text.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let char = reference.resolve_char_ref().map_err(|_| DocumentError::Syntax)?;
                    match (char, resolve_predefined_entity(&reference)) {
                        (Some(char), _) => tree.text(char.encode_utf8(&mut [0; 4]))?,
                        (None, Some(known)) => tree.text(known)?,
                        (None, None) => return Err(DocumentError::Entity),
                    }
                }
                Event::DocType(_) => return Err(DocumentError::Entity),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => return tree.root(),
            }
        }
    }

    /// The document that has it as its root.
    pub fn print(&self) -> Bytes {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut out, "");
        out.into()
    }

    /// `outer` is the default namespace where it stands.
    fn write(&self, out: &mut String, outer: &str) {
        // Writing to a text does not fail.
        let _ = write!(out, "<{}", self.name);
        if self.namespace != outer {
            let _ = write!(out, " xmlns=\"{}\"", escaped(&self.namespace));
        }
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{}\"", escaped(value));
        }
        if self.text.is_empty() && self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        let _ = write!(out, ">{}", escaped(&self.text));
        self.children.iter().for_each(|child| child.write(out, &self.namespace));
        let _ = write!(out, "</{}>", self.name);
    }
}

/// A text as it stands in a document. What cannot stand in any is replaced, and white space that would be lost is written
/// by number.
fn escaped(text: &str) -> String {
    let text: String = text.chars().map(|c| if is_legal(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
    escape(text).replace('\r', "&#13;").replace('\n', "&#10;").replace('\t', "&#9;")
}

/// Whether a character may stand in a document, by number or as it is (XML 1.0 §2.2).
fn is_legal(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// A text that was read.
fn legal(text: &str) -> Result<&str, DocumentError> {
    if text.chars().all(is_legal) { Ok(text) } else { Err(DocumentError::Syntax) }
}

/// A name that was read, without a prefix (XML 1.0 §2.3, with all characters beyond ASCII). The reader takes whatever stands
/// where a name is to stand.
fn name(text: &str) -> Result<&str, DocumentError> {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let goes_on = |c: char| begins(c) || c.is_ascii_digit() || matches!(c, '-' | '.');
    if text.starts_with(begins) && text.chars().all(goes_on) { legal(text) } else { Err(DocumentError::Syntax) }
}

/// An element by its start tag.
fn element(namespace: &ResolveResult<'_>, start: &BytesStart<'_>) -> Result<Element, DocumentError> {
    let namespace = match namespace {
        ResolveResult::Bound(uri) => unescape(uri.as_ref()).map_err(|_| DocumentError::Entity)?.into_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => return Err(DocumentError::Syntax),
    };
    if namespace.len() > MAX_NAMESPACE {
        return Err(DocumentError::NamespaceTooLong);
    }
    let mut element = Element::new(legal(&namespace)?, name(start.local_name().as_ref())?);
    let mut attributes = start.attributes();
    // Finding one that is there twice takes time by the square of their number.
    attributes.with_checks(false);
    for (n, attribute) in attributes.enumerate() {
        let attribute = attribute.map_err(|_| DocumentError::Syntax)?;
        if n == MAX_ATTRIBUTES {
            return Err(DocumentError::TooManyAttributes);
        }
        let key = attribute.key.as_ref();
        if key == "xmlns" || key.contains(':') && !key.starts_with("xml:") {
            continue;
        }
        name(key.strip_prefix("xml:").unwrap_or(key))?;
        if element.attribute(key).is_some() {
            return Err(DocumentError::Syntax);
        }
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|_| DocumentError::Entity)?;
        element.attributes.push((key.to_owned(), legal(&value)?.to_owned()));
    }
    Ok(element)
}

/// What has been read: the elements that are open, outermost first, and the root once it is closed.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn open(&mut self, element: Element) -> Result<(), DocumentError> {
        self.elements += 1;
        if self.open.is_empty() && self.root.is_some() {
            return Err(DocumentError::Syntax);
        }
        if self.open.len() == MAX_DEPTH {
            return Err(DocumentError::TooDeep);
        }
        if self.elements > MAX_ELEMENTS {
            return Err(DocumentError::TooManyElements);
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), DocumentError> {
        let mut element = self.open.pop().ok_or(DocumentError::Syntax)?;
        let trimmed = element.text.trim_matches([' ', '\t', '\r', '\n']);
        if trimmed.len() < element.text.len() {
            element.text = trimmed.to_owned();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), DocumentError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(legal(text)?),
            None if text.trim().is_empty() => {}
            None => return Err(DocumentError::Syntax),
        }
        Ok(())
    }

    fn root(self) -> Result<Element, DocumentError> {
        self.root.filter(|_| self.open.is_empty()).ok_or(DocumentError::Syntax)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Element, DocumentError> {
        Element::parse(text.as_bytes())
    }

    #[test]
    fn prefixes_are_resolved_and_texts_gathered() {
        let root = parse(
            "\u{feff}<?xml version=\"1.0\"?><!-- c --><p:a xmlns:p='urn:p' xmlns='urn:d' x=\"1 &amp; &#x32;\" p:y='z' \
             xml:lang='de'>\n <b> t&lt;&#65;<![CDATA[<raw>]]> <?pi?></b><c xmlns=''/></p:a>\n",
        )
        .unwrap();
        assert!(root.is("urn:p", "a") && root.children[0].is("urn:d", "b") && root.children[1].is("", "c"));
        let attributes = [("x", "1 & 2"), ("xml:lang", "de")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!((root.attributes.as_slice(), root.text.as_str()), (&attributes[..], ""));
        assert_eq!(root.children[0].text, "t<A<raw>");
        assert_eq!(Element::parse(&root.print()), Ok(root));
    }

    #[test]
    fn what_is_hostile_or_broken_is_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY x \"xx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
        let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        let wide = |n: usize| format!("<a>{}</a>", "<b/>".repeat(n));
        let attributes = |n: usize| format!("<a{}/>", (0..n).map(|n| format!(" x{n}=''")).collect::<String>());
        for (text, error) in [
            (bomb.to_owned(), DocumentError::Entity),
            ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>".into(), DocumentError::Entity),
            ("<a><b<t/></a>".into(), DocumentError::Syntax),
            ("<p:!a xmlns:p='urn:p'/>".into(), DocumentError::Syntax),
            ("<a b<c='1'/>".into(), DocumentError::Syntax),
            ("<a xml:2='1'/>".into(), DocumentError::Syntax),
            ("<a>&unknown;</a>".into(), DocumentError::Entity),
            ("<a x='&unknown;'/>".into(), DocumentError::Entity),
            (deep(MAX_DEPTH + 1), DocumentError::TooDeep),
            ("<a>".repeat(100_000), DocumentError::TooDeep),
            (wide(MAX_ELEMENTS), DocumentError::TooManyElements),
            (attributes(MAX_ATTRIBUTES + 1), DocumentError::TooManyAttributes),
            ("".into(), DocumentError::Syntax),
            ("text".into(), DocumentError::Syntax),
            ("<a>".into(), DocumentError::Syntax),
            ("<a></b>".into(), DocumentError::Syntax),
            ("</a>".into(), DocumentError::Syntax),
            ("<a/><b/>".into(), DocumentError::Syntax),
            ("<a/>text".into(), DocumentError::Syntax),
            ("<a>\u{1d}</a>".into(), DocumentError::Syntax),
            ("<a x='\u{1d}'/>".into(), DocumentError::Syntax),
            ("<a x='&#1;'/>".into(), DocumentError::Syntax),
            ("<a xmlns='urn:\u{1}'/>".into(), DocumentError::Syntax),
            ("<p:a/>".into(), DocumentError::Syntax),
            ("<a x='1' x='2'/>".into(), DocumentError::Syntax),
            ("<a>&#0;</a>".into(), DocumentError::Syntax),
        ] {
            assert_eq!(parse(&text), Err(error), "{}", text.chars().take(60).collect::<String>());
        }
        let inherited = |octets| format!("<a xmlns='{}'>{}</a>", "n".repeat(octets), "<a/>".repeat(9_000));
        assert_eq!(parse(&inherited(MAX_NAMESPACE + 1)), Err(DocumentError::NamespaceTooLong));
        assert!(parse(&inherited(MAX_NAMESPACE)).is_ok());
        assert_eq!(Element::parse(b"<a>\xff</a>"), Err(DocumentError::Encoding));
        assert!(parse(&deep(MAX_DEPTH)).is_ok() && parse(&wide(MAX_ELEMENTS - 1)).is_ok());
        assert!(parse(&attributes(MAX_ATTRIBUTES)).is_ok());
    }

    fn elements() -> impl Strategy<Value = Element> {
        let leaf =
            ("[a-z]{1,3}", "(urn:[a-z<&\"]{0,2})?", "([!-~é\u{1f600}][ -~\t\r\n]{0,5}[!-~])?", "[ -~\r\n\t]{0,6}")
                .prop_map(|(name, namespace, text, value)| {
                    Element::new(&namespace, &name).with_text(text).with("x", Some(value))
                });
        leaf.prop_recursive(4, 20, 4, |inner| {
            (inner.clone(), proptest::collection::vec(inner, 0..4))
                .prop_map(|(element, children)| element.with_children(children))
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_the_same(element in elements()) {
            prop_assert_eq!(Element::parse(&element.print()), Ok(element));
        }

        #[test]
        fn nothing_panics(octets in proptest::collection::vec(any::<u8>(), 0..60), text in "[<>&;/!a-c\"'=:#x0-9 \\[\\]?-]{0,60}") {
            for octets in [octets, text.into_bytes()] {
                if let Ok(element) = Element::parse(&octets) {
                    prop_assert_eq!(Element::parse(&element.print()), Ok(element));
                }
            }
        }
    }
}
