//! Attributes (RFC 8866 §5.13, §6) and the direction of media.

use std::fmt;
use std::time::Duration;

/// One `a=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What stands before the colon.
    pub name: &'a str,
    /// What follows the colon; not UTF-8 if `a=charset` says so.
    pub value: Option<&'a [u8]>,
}

impl<'a> Attribute<'a> {
    /// The value as text; `None` if there is none or it is not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        self.value.and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// The value of `a=rtpmap` (RFC 8866 §6.6): what a payload type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpMap<'a> {
    /// The payload type as in the `m=` line.
    pub format: &'a str,
    /// The encoding's name, compared without regard to case.
    pub encoding: &'a str,
    /// Clock rate in Hz.
    pub clock_rate: u32,
    /// What follows; for audio, the number of channels.
    pub parameters: Option<&'a str>,
}

impl<'a> RtpMap<'a> {
    /// Reads `format encoding/clock[/parameters]`.
    pub(super) fn parse(text: &'a str) -> Option<RtpMap<'a>> {
        let (format, encoding) = text.trim_end_matches(' ').split_once(' ')?;
        Self::of(format, encoding)
    }

    /// Reads `encoding/clock[/parameters]`, the map of a format.
    pub(super) fn of(format: &'a str, encoding: &'a str) -> Option<RtpMap<'a>> {
        let mut pieces = encoding.splitn(3, '/');
        let encoding = pieces.next().filter(|name| !name.is_empty())?;
        let clock_rate = pieces.next()?.parse().ok()?;
        Some(RtpMap { format, encoding, clock_rate, parameters: pieces.next() })
    }

    /// Whether both name one codec. No channel count is one channel.
    pub fn same_codec(&self, other: &RtpMap<'_>) -> bool {
        self.encoding.eq_ignore_ascii_case(other.encoding)
            && self.clock_rate == other.clock_rate
            && self.parameters.unwrap_or("1") == other.parameters.unwrap_or("1")
    }

    /// What a static payload type stands for (RFC 3551 §6).
    pub fn of_static(format: &'a str) -> Option<RtpMap<'a>> {
        let encoding = match format {
            "0" => "PCMU/8000",
            "3" => "GSM/8000",
            "4" => "G723/8000",
            "5" => "DVI4/8000",
            "6" => "DVI4/16000",
            "7" => "LPC/8000",
            "8" => "PCMA/8000",
            "9" => "G722/8000",
            "10" => "L16/44100/2",
            "11" => "L16/44100",
            "12" => "QCELP/8000",
            "13" => "CN/8000",
            "14" => "MPA/90000",
            "15" => "G728/8000",
            "16" => "DVI4/11025",
            "17" => "DVI4/22050",
            "18" => "G729/8000",
            "25" => "CelB/90000",
            "26" => "JPEG/90000",
            "28" => "nv/90000",
            "31" => "H261/90000",
            "32" => "MPV/90000",
            "33" => "MP2T/90000",
            "34" => "H263/90000",
            _ => return None,
        };
        Self::of(format, encoding)
    }
}

impl fmt::Display for RtpMap<'_> {
    /// Prints `encoding/clock[/parameters]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.encoding, self.clock_rate)?;
        self.parameters.map_or(Ok(()), |parameters| write!(f, "/{parameters}"))
    }
}

/// The value of `a=fmtp` (RFC 8866 §6.15): parameters of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fmtp<'a> {
    /// The format as in the `m=` line.
    pub format: &'a str,
    /// The parameters, as the format defines them.
    pub parameters: &'a str,
}

impl<'a> Fmtp<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Fmtp<'a>> {
        text.split_once(' ').map(|(format, parameters)| Fmtp { format, parameters })
    }
}

/// Reads the milliseconds of `a=ptime`, a whole or a decimal number (RFC 8866 §6.4).
pub(super) fn milliseconds(text: &str) -> Option<Duration> {
    let text = text.trim_end_matches(' ');
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let seconds = text.parse::<f64>().ok()? / 1000.0;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
}

/// Who sends, seen from the party whose description it is (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both send.
    #[default]
    SendRecv,
    /// The describing party sends, and does not receive.
    SendOnly,
    /// The describing party receives, and does not send.
    RecvOnly,
    /// Nobody sends.
    Inactive,
}

impl Direction {
    /// The direction of a party that does, or does not, send and receive.
    pub fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// The direction that an attribute names.
    pub fn from_name(name: &str) -> Option<Direction> {
        let all = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
        all.into_iter().find(|direction| direction.name().eq_ignore_ascii_case(name))
    }

    /// The attribute's name.
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// Whether the describing party sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the describing party receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same direction seen by the other party.
    pub fn reversed(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    /// The answer to this offered direction by a party that wants `wanted` (RFC 3264 §6.1): never more than was
    /// offered.
    pub fn answer(self, wanted: Direction) -> Direction {
        Direction::new(self.receives() && wanted.sends(), self.sends() && wanted.receives())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_part_of_the_reversed_offer_that_is_wanted() {
        use Direction::*;
        let table = [
            (SendRecv, [SendRecv, SendOnly, RecvOnly, Inactive]),
            (SendOnly, [RecvOnly, Inactive, RecvOnly, Inactive]),
            (RecvOnly, [SendOnly, SendOnly, Inactive, Inactive]),
            (Inactive, [Inactive; 4]),
        ];
        for (offered, answers) in table {
            for (wanted, answer) in [SendRecv, SendOnly, RecvOnly, Inactive].into_iter().zip(answers) {
                assert_eq!(offered.answer(wanted), answer, "{offered:?} offered, {wanted:?} wanted");
            }
            assert_eq!(offered.reversed().reversed(), offered);
            assert_eq!(Direction::from_name(offered.name()), Some(offered));
        }
    }

    #[test]
    fn maps_and_parameters() {
        let opus = RtpMap::parse("96 opus/48000/2").unwrap();
        assert_eq!((opus.format, opus.encoding, opus.clock_rate, opus.parameters), ("96", "opus", 48_000, Some("2")));
        assert!(RtpMap::parse("97 pcmu/8000/1").unwrap().same_codec(&RtpMap::of_static("0").unwrap()));
        assert!(!opus.same_codec(&RtpMap::parse("96 opus/48000").unwrap()));
        for bad in ["31 LPC", "96", "96 /8000", "96 x/y", ""] {
            assert_eq!(RtpMap::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Fmtp::parse("101 0-15"), Some(Fmtp { format: "101", parameters: "0-15" }));
    }

    #[test]
    fn packet_times() {
        assert_eq!(milliseconds("20"), Some(Duration::from_millis(20)));
        assert_eq!(milliseconds("2.5"), Some(Duration::from_micros(2500)));
        for bad in ["", "0", "-1", "1e3", "inf", "1.2.3", "99999999999999999999999999"] {
            assert_eq!(milliseconds(bad), None, "{bad:?}");
        }
    }
}
