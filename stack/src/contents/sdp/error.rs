//! What can be wrong with a session description.

use super::{MAX_LINES, MAX_MEDIA};

/// What is wrong with a session description: the line, counted from 1, and the rule that it breaks. While one is
/// being built, it is the line that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SDP line {line}: {rule}")]
pub struct SdpError {
    /// The line's number, from 1.
    pub line: usize,
    /// The rule that it breaks.
    pub rule: SdpRule,
}

/// A rule of RFC 8866 or RFC 3264 that a line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpRule {
    /// `v`, `o`, `s` or `t` is required (RFC 8866 §5); the line is the one where it should have been at the latest.
    #[error("the {0}= line is missing")]
    Missing(char),
    /// Only the version 0 is defined (RFC 8866 §5.1).
    #[error("v= is not 0")]
    Version,
    /// `v`, `o` and `s` occur once.
    #[error("the {0}= line occurs twice")]
    Repeated(char),
    /// A line is `<type>=<value>`, without white space around `=` and without NUL or CR.
    #[error("not <type>=<value>")]
    NotALine,
    /// The type is none of those of RFC 8866 §5.
    #[error("unknown type {0:?}")]
    UnknownType(char),
    /// A session-level line stands in a media description.
    #[error("the {0}= line does not belong in a media description")]
    Misplaced(char),
    /// RFC 8866 §5.2.
    #[error("o= is not username, session id, version, network type, address type, address")]
    Origin,
    /// RFC 8866 §5.7.
    #[error("c= is not network type, address type, address")]
    Connection,
    /// RFC 8866 §5.8.
    #[error("b= is not bandwidth type, colon, number")]
    Bandwidth,
    /// RFC 8866 §5.9.
    #[error("t= is not start time, stop time")]
    Timing,
    /// RFC 8866 §5.13.
    #[error("a= does not begin with a name")]
    Attribute,
    /// RFC 8866 §5.14.
    #[error("m= is not media, port, protocol, formats")]
    Media,
    /// More lines than [`MAX_LINES`].
    #[error("more than {MAX_LINES} lines")]
    TooManyLines,
    /// More media descriptions than [`MAX_MEDIA`].
    #[error("more than {MAX_MEDIA} media descriptions")]
    TooManyMedia,
    /// A later description of a session never has fewer media descriptions (RFC 3264 §8).
    #[error("fewer media descriptions than before")]
    FewerMedia,
}
