//! The lines of the session or of one media description, kept in their order and with their own line ends.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use super::attribute::{Attribute, Direction, Fmtp, RtpMap, milliseconds};
use super::error::SdpRule;
use super::field::{self, Bandwidth, Connection};

/// The order in which lines of a new description stand (RFC 8866 §9). `m` opens a media description.
const ORDER: &[u8] = b"vmosiuepcbtrzka";

/// Most formats of one `m=` line: RTP has 128 payload types.
const MAX_FORMATS: usize = 256;

/// One line, `<type>=<value>`, with its line end as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    kind: u8,
    end: u8,
    octets: Bytes,
}

impl Line {
    /// Makes a line that ends with CRLF and checks it by the rules of its type.
    pub(super) fn new(kind: char, value: &str) -> Result<Line, SdpRule> {
        Line::read(format!("{kind}={value}\r\n").into())
    }

    /// Checks one line, its line end (CRLF, LF or none at the end of a body) included.
    pub(super) fn read(octets: Bytes) -> Result<Line, SdpRule> {
        let text = match octets.strip_suffix(b"\n") {
            Some(text) => text.strip_suffix(b"\r").unwrap_or(text),
            None => &octets,
        };
        let [kind, b'=', value @ ..] = text else { return Err(SdpRule::NotALine) };
        if value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
            return Err(SdpRule::NotALine);
        }
        check(*kind, value)?;
        let (kind, end) = (*kind, (octets.len() - text.len()) as u8);
        Ok(Line { kind, end, octets })
    }

    /// The type: `c` of `c=IN IP4 192.0.2.1`.
    pub fn kind(&self) -> char {
        self.kind.into()
    }

    /// The octets after `=`, without the line end.
    pub fn value(&self) -> &[u8] {
        self.octets.get(2..self.octets.len() - usize::from(self.end)).unwrap_or_default()
    }

    /// The value, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.value()).ok()
    }

    /// The whole line with its line end.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    fn complete(&mut self) {
        if self.end == 0 {
            self.octets = [&self.octets[..], b"\r\n"].concat().into();
            self.end = 2;
        }
    }
}

/// Checks the values of the types that have typed access; the others are free text.
fn check(kind: u8, value: &[u8]) -> Result<(), SdpRule> {
    let text = std::str::from_utf8(value).ok();
    let (good, rule) = match kind {
        b'v' => (text.map(|text| text.trim_end_matches(' ')) == Some("0"), SdpRule::Version),
        b'o' => (text.and_then(field::origin).is_some(), SdpRule::Origin),
        b'c' => (text.and_then(field::connection).is_some(), SdpRule::Connection),
        b'b' => (text.and_then(field::bandwidth).is_some(), SdpRule::Bandwidth),
        b't' => (text.and_then(field::timing).is_some(), SdpRule::Timing),
        b'a' => (field::attribute_name(value).is_some(), SdpRule::Attribute),
        b'm' => {
            let line = text.and_then(field::media);
            (line.is_some_and(|line| line.formats().count() <= MAX_FORMATS), SdpRule::Media)
        }
        _ => (ORDER.contains(&kind), SdpRule::UnknownType(kind.into())),
    };
    if good { Ok(()) } else { Err(rule) }
}

/// The lines that describe the session, or one of its media (its `m=` line first).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    lines: Vec<Line>,
}

impl Section {
    /// All lines in their order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The lines of one type.
    pub fn lines_of(&self, kind: char) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.kind() == kind)
    }

    /// The text of the first line of one type; `None` if there is none or it is not UTF-8.
    pub fn text(&self, kind: char) -> Option<&str> {
        self.lines_of(kind).next().and_then(Line::text)
    }

    /// This section's own `c=` line.
    pub fn connection(&self) -> Option<Connection<'_>> {
        self.text('c').and_then(field::connection)
    }

    /// The `b=` lines.
    pub fn bandwidths(&self) -> impl Iterator<Item = Bandwidth<'_>> {
        self.lines_of('b').filter_map(|line| line.text().and_then(field::bandwidth))
    }

    /// The `a=` lines.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        let split = |line| field::attribute_name(Line::value(line)).map(|(name, value)| Attribute { name, value });
        self.lines_of('a').filter_map(split)
    }

    /// The first attribute of a name. Names are case-sensitive (RFC 8866 §5.13).
    pub fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        self.attributes().find(|attribute| attribute.name == name)
    }

    /// The `a=rtpmap` lines; malformed ones are left out, as attributes that are not understood are (RFC 8866 §5.13).
    pub fn rtpmaps(&self) -> impl Iterator<Item = RtpMap<'_>> {
        self.texts("rtpmap").filter_map(RtpMap::parse)
    }

    /// The `a=fmtp` lines.
    pub fn fmtps(&self) -> impl Iterator<Item = Fmtp<'_>> {
        self.texts("fmtp").filter_map(Fmtp::parse)
    }

    /// How much media time one packet holds.
    pub fn ptime(&self) -> Option<Duration> {
        self.texts("ptime").next().and_then(milliseconds)
    }

    /// This section's own direction attribute.
    pub fn direction(&self) -> Option<Direction> {
        self.attributes().filter(|a| a.value.is_none()).find_map(|a| Direction::from_name(a.name))
    }

    /// Adds an attribute at the end.
    pub fn add_attribute(&mut self, name: &str, value: Option<&str>) -> Result<(), SdpRule> {
        match value {
            Some(value) => self.add('a', &format!("{name}:{value}")),
            None => self.add('a', name),
        }
    }

    /// Removes all attributes of a name.
    pub fn remove_attributes(&mut self, name: &str) {
        self.lines.retain(|line| {
            let attribute = field::attribute_name(line.value());
            line.kind != b'a' || attribute.is_none_or(|(known, _)| known != name)
        });
    }

    /// Replaces the direction of this section.
    pub fn set_direction(&mut self, direction: Direction) {
        // As `direction` reads them: white space behind a name does not count.
        let names = |line: &Line| matches!(field::attribute_name(line.value()), Some((name, None)) if Direction::from_name(name).is_some());
        self.lines.retain(|line| line.kind != b'a' || !names(line));
        // A direction's name is a legal attribute.
        let _ = self.add_attribute(direction.name(), None);
    }

    /// Replaces the `c=` lines of this section with one unicast address.
    pub fn set_connection(&mut self, address: IpAddr) {
        self.lines.retain(|line| line.kind != b'c');
        // An address prints as the grammar of `c=` wants it.
        let _ = self.add('c', &in_address(address));
    }

    fn texts(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.attributes().filter(move |attribute| attribute.name == name).filter_map(|attribute| attribute.text())
    }

    pub(super) fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Puts a new line where its type belongs, after those of the same type.
    pub(super) fn add(&mut self, kind: char, value: &str) -> Result<(), SdpRule> {
        let line = Line::new(kind, value)?;
        let place = rank(line.kind);
        let at = self.lines.iter().position(|line| rank(line.kind) > place).unwrap_or(self.lines.len());
        if let Some(last) = self.lines.last_mut() {
            last.complete();
        }
        self.lines.insert(at, line);
        Ok(())
    }

    /// Replaces the first line of a type in its place.
    pub(super) fn replace(&mut self, kind: char, value: &str) -> Result<(), SdpRule> {
        let new = Line::new(kind, value)?;
        if let Some(line) = self.lines.iter_mut().find(|line| line.kind() == kind) {
            *line = new;
        }
        Ok(())
    }
}

fn rank(kind: u8) -> Option<usize> {
    ORDER.iter().position(|known| *known == kind)
}

/// `IN IP4 192.0.2.1` or `IN IP6 2001:db8::1`.
pub(super) fn in_address(address: IpAddr) -> String {
    format!("IN IP{} {address}", if address.is_ipv4() { 4 } else { 6 })
}
