//! Offers and answers (RFC 3264).

use std::net::IpAddr;

use super::attribute::{Direction, RtpMap};
use super::section::in_address;
use super::{Media, Sdp, SdpError, SdpRule, Section};
use crate::contents::media_type::is_token;

/// What a description says about the party that makes it.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// The user in `o=`; `-` for none.
    pub username: &'a str,
    /// Names the session; a 63-bit number (RFC 3264 §5).
    pub session_id: u64,
    /// Version of the description; below 2^62 at first (RFC 3264 §5).
    pub version: u64,
    /// Where media are received.
    pub address: IpAddr,
    /// The session's name; empty is printed as `-`.
    pub name: &'a str,
}

/// One stream that can be offered, or accepted from an offer.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// `audio`, `video`, …
    pub kind: &'a str,
    /// Where it is received.
    pub port: u16,
    /// The protocol, `RTP/AVP`.
    pub proto: &'a str,
    /// The formats in order of preference.
    pub formats: &'a [Format<'a>],
    /// What this party wants.
    pub direction: Direction,
}

/// One format of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Format<'a> {
    /// What stands in the `m=` line: for RTP, the payload type.
    pub format: &'a str,
    /// `encoding/clock[/channels]`; not needed for static payload types and outside RTP.
    pub rtpmap: Option<&'a str>,
    /// Parameters.
    pub fmtp: Option<&'a str>,
}

impl<'a> Format<'a> {
    fn map(&self) -> Option<RtpMap<'a>> {
        match self.rtpmap {
            Some(text) => RtpMap::of(self.format, text),
            None => RtpMap::of_static(self.format),
        }
    }
}

impl Sdp {
    /// Makes an offer (RFC 3264 §5). An error names the first line that an argument spoils.
    pub fn offer(local: &Local<'_>, streams: &[Stream<'_>]) -> Result<Sdp, SdpError> {
        let mut draft = Draft::new(local, &["0 0"])?;
        for stream in streams {
            let formats: Vec<_> = stream.formats.iter().map(|f| (f.format, f.map(), f.fmtp)).collect();
            draft.add_stream(stream, &formats, stream.direction)?;
        }
        Ok(draft.sdp)
    }

    /// Answers an offer (RFC 3264 §6): for each offered stream, in the offer's order, the first of `streams` of the
    /// same media and protocol that is not taken yet and has a format in common; else the stream is rejected with
    /// port 0. Formats stand in the offer's order under the offer's payload types, directions are those of the offer
    /// reversed and cut to what the stream wants, and times are the offer's. Session attributes (groups, ICE, DTLS)
    /// are not negotiated.
    pub fn answer_to(offer: &Sdp, local: &Local<'_>, streams: &[Stream<'_>]) -> Result<Sdp, SdpError> {
        let times: Vec<_> = offer.session.lines_of('t').filter_map(|line| line.text()).collect();
        let mut draft = Draft::new(local, &times)?;
        let mut taken = vec![false; streams.len()];
        for offered in offer.media() {
            let fitting = streams.iter().zip(&mut taken).find_map(|(stream, taken)| {
                let formats = if *taken { Vec::new() } else { common_formats(&offered, stream) };
                (!formats.is_empty()).then(|| {
                    *taken = true;
                    (stream, formats)
                })
            });
            match fitting {
                Some((stream, formats)) => {
                    let direction = offered_direction(&offered).answer(stream.direction);
                    draft.add_stream(stream, &formats, direction)?;
                }
                None => draft.reject(&offered)?,
            }
        }
        Ok(draft.sdp)
    }

    /// Makes this description the successor of `previous`, which the same party sent before in the session: takes over
    /// its origin, with the version incremented by one if any other line differs (RFC 3264 §8). There must not be
    /// fewer media than before.
    pub fn continue_from(&mut self, previous: &Sdp) -> Result<(), SdpError> {
        let line = self.all_lines().count() + 1;
        if self.media.len() < previous.media.len() {
            return Err(SdpError { line, rule: SdpRule::FewerMedia });
        }
        let Some(before) = previous.origin() else { return Ok(()) };
        let changed =
            !self.all_lines().filter(|l| l.kind() != 'o').eq(previous.all_lines().filter(|l| l.kind() != 'o'));
        let version = before.version.saturating_add(changed.into());
        let (user, id, address) = (before.username, before.session_id, before.address);
        let origin = format!("{user} {id} {version} {} {} {}", address.network, address.kind, address.host);
        self.session.replace('o', &origin).map_err(|rule| SdpError { line: 2, rule })
    }
}

/// RFC 3264 §8.4: a peer of RFC 2543 that puts a stream on hold gives 0.0.0.0 as its address; it does not receive.
fn offered_direction(offered: &Media<'_>) -> Direction {
    let direction = offered.direction();
    let address = offered.connection().and_then(|connection| connection.address.ip());
    let on_hold = address.is_some_and(|ip| ip.is_unspecified());
    Direction::new(direction.sends(), direction.receives() && !on_hold)
}

type Shared<'a> = (&'a str, Option<RtpMap<'a>>, Option<&'a str>);

/// The offered formats that the stream has too: (offered format, its map, our parameters).
fn common_formats<'a>(offered: &Media<'a>, stream: &Stream<'a>) -> Vec<Shared<'a>> {
    let line = offered.line();
    // RFC 3264 §6: a stream that is offered with port 0 is answered with port 0.
    if line.port == 0 || stream.port == 0 || !line.kind.eq_ignore_ascii_case(stream.kind) || line.proto != stream.proto
    {
        return Vec::new();
    }
    let maps: Vec<_> = offered.section().rtpmaps().collect();
    let find = |format: &'a str| {
        let map = maps.iter().find(|map| map.format == format).copied().or_else(|| RtpMap::of_static(format));
        let same = |ours: &&Format<'_>| match (&map, ours.map()) {
            (Some(theirs), Some(ours)) => theirs.same_codec(&ours),
            (None, None) => ours.format == format,
            _ => false,
        };
        stream.formats.iter().find(same).map(|ours| (format, map, ours.fmtp))
    };
    line.formats().filter_map(find).collect()
}

/// A description in the making; counts its lines, so that an error can name the one that an argument spoils.
struct Draft {
    sdp: Sdp,
    lines: usize,
}

impl Draft {
    fn new(local: &Local<'_>, times: &[&str]) -> Result<Draft, SdpError> {
        let sdp = Sdp { session: Section::default(), media: Vec::new(), tail: bytes::Bytes::new() };
        let mut draft = Draft { sdp, lines: 0 };
        let address = in_address(local.address);
        let origin = format!("{} {} {} {address}", local.username, local.session_id, local.version);
        draft.add('v', "0")?;
        draft.add('o', &origin)?;
        draft.add('s', if local.name.is_empty() { "-" } else { local.name })?;
        draft.add('c', &address)?;
        times.iter().try_for_each(|time| draft.add('t', time))?;
        Ok(draft)
    }

    /// Adds a line to the section that was begun last.
    fn add(&mut self, kind: char, value: &str) -> Result<(), SdpError> {
        self.lines += 1;
        let section = self.sdp.media.last_mut().unwrap_or(&mut self.sdp.session);
        let added = if self.lines > super::MAX_LINES { Err(SdpRule::TooManyLines) } else { section.add(kind, value) };
        added.map_err(|rule| SdpError { line: self.lines, rule })
    }

    fn begin_media(&mut self, kind: &str, port: u16, proto: &str, formats: &[&str]) -> Result<(), SdpError> {
        let fail = |rule| Err(SdpError { line: self.lines + 1, rule });
        if self.sdp.media.len() == super::MAX_MEDIA {
            return fail(SdpRule::TooManyMedia);
        }
        if ![kind].iter().chain(formats).all(|text| is_token(text)) {
            return fail(SdpRule::Media);
        }
        self.sdp.media.push(Section::default());
        self.add('m', &format!("{kind} {port} {proto} {}", formats.join(" ")))
    }

    fn add_stream(&mut self, of: &Stream<'_>, formats: &[Shared<'_>], direction: Direction) -> Result<(), SdpError> {
        let names: Vec<_> = formats.iter().map(|(format, ..)| *format).collect();
        self.begin_media(of.kind, of.port, of.proto, &names)?;
        for (format, map, fmtp) in formats {
            if let Some(map) = map {
                self.add('a', &format!("rtpmap:{format} {map}"))?;
            }
            if let Some(parameters) = fmtp {
                self.add('a', &format!("fmtp:{format} {parameters}"))?;
            }
        }
        self.add('a', direction.name())
    }

    /// RFC 3264 §6: port 0; the formats are there because the grammar wants one.
    fn reject(&mut self, offered: &Media<'_>) -> Result<(), SdpError> {
        let line = offered.line();
        self.begin_media(line.kind, 0, line.proto, &line.formats().collect::<Vec<_>>())
    }
}
