//! Session descriptions: SDP (RFC 8866) and its offer/answer model (RFC 3264).
//!
//! A description is its lines: all of them stay in their order, with the line ends that they came with, so what nobody
//! touches prints byte for byte. Typed values are read from the lines on demand; the lines that have them are checked
//! when the description is parsed.

mod attribute;
mod error;
mod field;
mod negotiate;
mod section;

use bytes::{Bytes, BytesMut};

pub use attribute::{Attribute, Direction, Fmtp, RtpMap};
pub use error::{SdpError, SdpRule};
pub use field::{Address, Bandwidth, Connection, MediaLine, Origin, Timing};
pub use negotiate::{Format, Local, Stream};
pub use section::{Line, Section};

/// Most lines of a description.
pub const MAX_LINES: usize = 2000;
/// Most media descriptions.
pub const MAX_MEDIA: usize = 64;

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp {
    session: Section,
    media: Vec<Section>,
    /// Empty lines at the end, which some senders leave.
    tail: Bytes,
}

/// One media description, read together with the session-level lines that it inherits from.
#[derive(Clone, Copy, Debug)]
pub struct Media<'a> {
    session: &'a Section,
    section: &'a Section,
    line: MediaLine<'a>,
}

impl Sdp {
    /// Parses a description. Lines end with CRLF; a bare LF is tolerated (RFC 8866 §9), as are empty lines at the end
    /// and lines out of order, except that `v=` comes first and `m=` opens a media description.
    pub fn parse(body: &Bytes) -> Result<Sdp, SdpError> {
        let mut sdp = Sdp { session: Section::default(), media: Vec::new(), tail: Bytes::new() };
        let (mut at, mut number) = (0, 0);
        while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
            number += 1;
            if rest.iter().all(|b| matches!(b, b'\r' | b'\n')) {
                sdp.tail = body.slice(at..);
                break;
            }
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
            let fail = |rule| SdpError { line: number, rule };
            if number > MAX_LINES {
                return Err(fail(SdpRule::TooManyLines));
            }
            let line = Line::read(body.slice(at..at + end)).map_err(fail)?;
            sdp.take(line).map_err(fail)?;
            at += end;
        }
        sdp.check_session().map_err(|rule| SdpError { line: number + 1, rule })?;
        Ok(sdp)
    }

    /// Takes the next line into the section where it belongs.
    fn take(&mut self, line: Line) -> Result<(), SdpRule> {
        let kind = line.kind();
        if self.session.lines().is_empty() && kind != 'v' {
            return Err(SdpRule::Missing('v'));
        }
        if kind == 'm' {
            if self.media.is_empty() {
                self.check_session()?;
            }
            if self.media.len() == MAX_MEDIA {
                return Err(SdpRule::TooManyMedia);
            }
            self.media.push(Section::default());
        }
        match self.media.last_mut() {
            Some(_) if !"micbka".contains(kind) => return Err(SdpRule::Misplaced(kind)),
            Some(media) => media.push(line),
            None if "vos".contains(kind) && self.session.lines_of(kind).next().is_some() => {
                return Err(SdpRule::Repeated(kind));
            }
            None => self.session.push(line),
        }
        Ok(())
    }

    /// RFC 8866 §5: these lines are not optional.
    fn check_session(&self) -> Result<(), SdpRule> {
        let missing = |kind: &char| self.session.lines_of(*kind).next().is_none();
        ['v', 'o', 's', 't'].into_iter().find(missing).map_or(Ok(()), |kind| Err(SdpRule::Missing(kind)))
    }

    /// The description's octets: for an untouched one, those that were parsed.
    pub fn print(&self) -> Bytes {
        let mut out = BytesMut::new();
        for line in self.all_lines() {
            out.extend_from_slice(line.octets());
        }
        out.extend_from_slice(&self.tail);
        out.freeze()
    }

    /// All lines, session and media, in their order.
    fn all_lines(&self) -> impl Iterator<Item = &Line> {
        std::iter::once(&self.session).chain(&self.media).flat_map(Section::lines)
    }

    /// The session-level lines.
    pub fn session(&self) -> &Section {
        &self.session
    }

    /// The session-level lines, to change them.
    pub fn session_mut(&mut self) -> &mut Section {
        &mut self.session
    }

    /// Who made the description, and its version; there always is one.
    pub fn origin(&self) -> Option<Origin<'_>> {
        self.session.text('o').and_then(field::origin)
    }

    /// The session's name (`s=`); `None` if it is not UTF-8.
    pub fn name(&self) -> Option<&str> {
        self.session.text('s')
    }

    /// When the session is; at least one.
    pub fn timings(&self) -> impl Iterator<Item = Timing> {
        self.session.lines_of('t').filter_map(|line| line.text().and_then(field::timing))
    }

    /// The media descriptions in their order, rejected ones included.
    pub fn media(&self) -> impl Iterator<Item = Media<'_>> {
        self.media.iter().filter_map(|section| {
            let line = section.text('m').and_then(field::media)?;
            Some(Media { session: &self.session, section, line })
        })
    }

    /// The lines of the media description at `index`, to change them.
    pub fn media_mut(&mut self, index: usize) -> Option<&mut Section> {
        self.media.get_mut(index)
    }

    /// Sets the port of the media description at `index`; 0 rejects or removes the stream (RFC 3264 §6, §8.2). False
    /// if there is no such description.
    pub fn set_port(&mut self, index: usize, port: u16) -> bool {
        let Some(section) = self.media.get_mut(index) else { return false };
        let Some(mut line) = section.text('m').and_then(field::media) else { return false };
        line.port = port;
        let changed = line.to_string();
        section.replace('m', &changed).is_ok()
    }
}

impl<'a> Media<'a> {
    /// The `m=` line.
    pub fn line(&self) -> MediaLine<'a> {
        self.line
    }

    /// The lines of this media description alone.
    pub fn section(&self) -> &'a Section {
        self.section
    }

    /// Where the media go: the own `c=` line, else that of the session (RFC 8866 §5.7).
    pub fn connection(&self) -> Option<Connection<'a>> {
        self.section.connection().or_else(|| self.session.connection())
    }

    /// The own direction, else that of the session, else `sendrecv` (RFC 8866 §6.7).
    pub fn direction(&self) -> Direction {
        self.section.direction().or_else(|| self.session.direction()).unwrap_or_default()
    }

    /// Whether the stream is rejected or removed.
    pub fn is_rejected(&self) -> bool {
        self.line.port == 0
    }
}

#[cfg(test)]
mod tests;
