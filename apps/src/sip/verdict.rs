//! What came of a command, and its exit code.

use crate::hop::HopError;
use crate::tls::CertificateError;
use rutil::rng::EntropyError;
use stack::StackError;
use stack::message::Message;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was done.
    Done,
    /// The peer refused: a final response from 300 to 699. Of `parse`: the message is malformed.
    Refused,
    /// The command line or a file is not as it should be.
    Usage,
    /// Nobody answered in time.
    Silent,
    /// The network, the transport or TLS failed.
    Network,
    /// The credentials were refused, or there are none.
    Unauthorized,
    /// A signal came before there was an outcome.
    Interrupted,
}

impl Verdict {
    /// The exit code.
    pub(super) const fn code(self) -> u8 {
        match self {
            Verdict::Done => 0,
            Verdict::Refused => 1,
            Verdict::Usage => 2,
            Verdict::Silent => 3,
            Verdict::Network => 4,
            Verdict::Unauthorized => 5,
            Verdict::Interrupted => 130,
        }
    }

    /// Its name in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Verdict::Done => "done",
            Verdict::Refused => "refused",
            Verdict::Usage => "usage",
            Verdict::Silent => "silent",
            Verdict::Network => "network",
            Verdict::Unauthorized => "unauthorized",
            Verdict::Interrupted => "interrupted",
        }
    }

    /// What a final response means.
    pub(super) fn of(response: &Message) -> Self {
        match response.status() {
            Some(200..300) => Verdict::Done,
            Some(401 | 407) => Verdict::Unauthorized,
            _ => Verdict::Refused,
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        ExitCode::from(verdict.code())
    }
}

/// Why a command could not be begun, or not be brought to an end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Hop(#[from] HopError),
    #[error("{0}")]
    Argument(String),
    #[error("{}: {source}", .file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("standard input: {0}")]
    Input(io::Error),
    #[error("{}, line {line}: {what}", .file.display())]
    Credentials { file: PathBuf, line: usize, what: &'static str },
    #[error("{}: others may read it: chmod 600 it", .0.display())]
    Readable(PathBuf),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("{peer}: {source}")]
    Peer { peer: SocketAddr, source: io::Error },
    #[error("cannot watch for signals: {0}")]
    System(#[from] io::Error),
    #[error("the user agent takes no command")]
    Congested,
}

impl Failure {
    /// What it comes to.
    pub(super) const fn verdict(&self) -> Verdict {
        match self {
            Failure::Hop(HopError::Transport(..) | HopError::Differs(..)) => Verdict::Usage,
            Failure::Argument(_) | Failure::File { .. } | Failure::Input(_) => Verdict::Usage,
            Failure::Credentials { .. } | Failure::Readable(_) | Failure::Certificate(_) => Verdict::Usage,
            Failure::Hop(_) | Failure::Stack(_) | Failure::Peer { .. } => Verdict::Network,
            Failure::Entropy(_) | Failure::System(_) | Failure::Congested => Verdict::Network,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_have_verdicts() {
        let of = |status| Verdict::of(&Message::status_line(status, None)).code();
        assert_eq!([200, 202, 302, 404, 486, 603].map(of), [0, 0, 1, 1, 1, 1]);
        assert_eq!([401, 407].map(of), [5, 5]);
    }
}
