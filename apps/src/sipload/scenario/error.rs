//! What is wrong in a scenario, and where.

use std::io;
use std::path::PathBuf;

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    /// The file cannot be read.
    #[error("{}: {source}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is not what it should be.
    #[error("{file}:{line}: {what}")]
    At {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// Element, attribute or key, and what was expected.
        what: String,
    },
    /// It is fine, but not with these arguments.
    #[error("{0}")]
    Arguments(String),
}

/// What is wrong at an offset of a text.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) offset: usize,
    pub(crate) what: String,
}

/// Something is wrong here.
pub(crate) fn wrong(offset: usize, what: impl Into<String>) -> Wrong {
    Wrong { offset, what: what.into() }
}

impl Wrong {
    /// With its file, and its line in the file's text.
    pub(crate) fn of(self, file: &str, text: &str) -> ScenarioError {
        ScenarioError::At { file: file.to_owned(), line: line_of(text, self.offset), what: self.what }
    }
}

/// The line that an offset is in.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset.min(text.len())).unwrap_or_default();
    before.iter().filter(|octet| **octet == b'\n').count() + 1
}
