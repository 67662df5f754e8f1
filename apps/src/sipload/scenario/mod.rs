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
mod fields;
mod helper;
mod machine;
mod own;
mod program;
mod render;
mod text;
mod third;
mod xml;

#[cfg(test)]
mod sipp_tests;
#[cfg(test)]
mod tests;

pub(super) use driver::{Command, Driver, DriverOptions, Shared};
pub(super) use error::ScenarioError;
pub(super) use fields::{Table, read_all as read_fields};
pub(super) use machine::Setup;
pub(super) use program::Program;
pub(super) use third::{Commands, ThirdError, open};

use std::collections::HashMap;
use std::path::Path;

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
    let text = if is_toml { text } else { document::unescaped(&text) };
    let program = if is_toml { own::read(&text, &name, keys) } else { xml::read(&text, &name, keys) };
    program.map_err(|wrong| wrong.of(&name, &text))
}
