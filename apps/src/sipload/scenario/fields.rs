//! Lines of fields, as SIPp's injection files: what differs from call to call.

use super::error::ScenarioError;
use super::program::Program;
use super::text::{Names, Text};
use super::text_of;
use rutil::Rng;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Lines of fields.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// A call has any line; else one after the other.
    random: bool,
    pub(crate) lines: Vec<Vec<Text>>,
}

impl Table {
    /// The line of the call with this number.
    pub(super) fn line_of(&self, number: u64, rng: &mut Rng) -> usize {
        let number = if self.random { rng.next_u64() } else { number };
        (number % self.lines.len().max(1) as u64) as usize
    }

    /// Reads a file: the first line says how it is used, SEQUENTIAL or RANDOM; fields are separated by semicolons.
    ///
    /// # Errors
    /// [`ScenarioError`], with file and line.
    fn read(file: &Path, program: &mut Program) -> Result<Self, ScenarioError> {
        let text = text_of(file)?;
        let name = file.display().to_string();
        let at = |line: usize, what: String| ScenarioError::At { file: name.clone(), line, what };
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let random = match lines.next().map(|(nth, first)| (nth, first.trim())) {
            Some((_, "SEQUENTIAL")) => false,
            Some((_, "RANDOM")) => true,
            Some((nth, first)) => return Err(at(nth + 1, format!("{first:?}: expected SEQUENTIAL or RANDOM"))),
            None => return Err(at(1, "expected SEQUENTIAL or RANDOM, and lines of fields".into())),
        };
        let keys = HashMap::new();
        let mut all = Vec::new();
        for (nth, line) in lines {
            if line.contains("[field") {
                return Err(at(nth + 1, "a field may not name another".into()));
            }
            let mut names = Names { keys: &keys, program };
            let fields: Result<_, _> = line.split(';').map(|field| Text::of_line(field, &mut names)).collect();
            all.push(fields.map_err(|what| at(nth + 1, what))?);
        }
        match all.is_empty() {
            true => Err(at(1, "expected lines of fields behind its first".into())),
            false => Ok(Table { random, lines: all }),
        }
    }
}

/// Reads the files of the command line: the first, which the scenario need not name, then those that it names.
///
/// # Errors
/// [`ScenarioError`]; also when the scenario names one that is not there, or needs one and there is none.
pub(crate) fn read_all(files: &[PathBuf], program: &mut Program) -> Result<Vec<Table>, ScenarioError> {
    if program.needs_fields && files.is_empty() {
        let why = "[field…]: expected --fields FILE, whose lines have them";
        return Err(ScenarioError::Arguments(format!("{}: {why}", program.file)));
    }
    let mut tables = Vec::new();
    if let Some(first) = files.first() {
        tables.push(Table::read(first, program)?);
    }
    for name in program.tables.clone() {
        // By the whole path, or by the file's own name.
        let is_it = |file: &&PathBuf| file.as_os_str() == name.as_str() || file.file_name() == Some(name.as_ref());
        let file = files.iter().find(is_it).ok_or_else(|| {
            ScenarioError::Arguments(format!("{}: file={name:?}: expected --fields {name}", program.file))
        })?;
        tables.push(Table::read(file, program)?);
    }
    Ok(tables)
}
