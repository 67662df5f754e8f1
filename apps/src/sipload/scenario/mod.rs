//! Scenarios of one's own, in TOML, and SIPp's, in XML: both become one program of steps (`program.rs`), which one machine
//! runs (`machine.rs`). The driver (`driver.rs`) is the transaction user around it, on a stack without transactions: Via,
//! branch and what is sent again are the scenario's.

mod acting;
mod action;
mod call;
mod document;
mod driver;
mod ending;
mod error;
mod helper;
mod machine;
mod own;
mod program;
mod render;
mod text;
mod third;
mod xml;

#[cfg(test)]
mod tests;

pub(super) use driver::{Command, Driver, DriverOptions};
pub(super) use error::ScenarioError;
pub(super) use machine::Setup;
pub(super) use program::Program;
pub(super) use third::{Commands, ThirdError, open};

use std::collections::HashMap;
use std::path::Path;
use text::Names;
pub(super) use text::Text;

/// Lines of fields.
pub(super) type Fields = Vec<Vec<Text>>;

/// Reads a file, whatever it is encoded in.
fn text_of(file: &Path) -> Result<String, ScenarioError> {
    let octets = std::fs::read(file).map_err(|source| ScenarioError::File { file: file.to_owned(), source })?;
    // What is no UTF-8 is ISO-8859-1, as SIPp's scenarios say they are.
    Ok(String::from_utf8(octets).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect()))
}

/// Reads a scenario: TOML if it is called so, else XML. `keys` are filled in where they are named.
///
/// # Errors
/// [`ScenarioError`], with file, line and what was expected.
pub(super) fn read(file: &Path, keys: &HashMap<String, String>) -> Result<Program, ScenarioError> {
    let text = text_of(file)?;
    let name = file.display().to_string();
    let is_toml = file.extension().is_some_and(|extension| extension == "toml");
    let program = if is_toml { own::read(&text, &name, keys) } else { xml::read(&text, &name, keys) };
    program.map_err(|wrong| wrong.of(&name, &text))
}

/// Reads lines of fields, as SIPp's injection files: the first line says how they are used, which must be SEQUENTIAL; fields
/// are separated by semicolons.
///
/// # Errors
/// [`ScenarioError`], with file and line.
pub(super) fn read_fields(file: &Path, program: &mut Program) -> Result<Fields, ScenarioError> {
    let text = text_of(file)?;
    let name = file.display().to_string();
    let at = |line: usize, what: String| ScenarioError::At { file: name.clone(), line, what };
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    match lines.next() {
        Some((_, first)) if first.trim() == "SEQUENTIAL" => {}
        Some((nth, first)) => return Err(at(nth + 1, format!("{first:?}: expected SEQUENTIAL"))),
        None => return Err(at(1, "expected SEQUENTIAL, and lines of fields".into())),
    }
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
    if all.is_empty() { Err(at(1, "expected lines of fields behind SEQUENTIAL".into())) } else { Ok(all) }
}
