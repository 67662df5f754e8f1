//! What a configuration is read from: the text of a file, and environment variables above it. It knows where each key
//! stands.

use super::ConfigError;
use crate::provisioning::{Place, Records};
use serde::Deserialize;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Begins the names of environment variables that stand for keys: `REPRO_REGISTRAR__MIN_EXPIRES`.
pub const PREFIX: &str = "REPRO_";

/// A key that the environment sets.
struct Variable {
    name: String,
    /// Table and key.
    path: Vec<String>,
    /// Where it stands behind the text of the file.
    span: Range<usize>,
    /// The value in TOML, in its place: what stands before it is blank.
    value: String,
}

/// A file with the variables above it.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a str,
    /// Where lines end: each of many records asks for its line.
    ends: Vec<usize>,
    variables: Vec<Variable>,
}

impl<'a> Source<'a> {
    /// Variables that do not begin with [`PREFIX`] do not count.
    pub(super) fn new(text: &'a str, file: &'a str, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at).collect();
        let mut source = Source { text, file, ends, variables: Vec::new() };
        let named =
            |(name, value): (String, String)| Some((name.strip_prefix(PREFIX)?.to_ascii_lowercase(), name, value));
        let mut set: Vec<_> = environment.into_iter().filter_map(named).collect();
        set.sort();
        for (path, name, value) in set {
            // What is no TOML is meant as a text.
            let value = if DeValue::parse(value.trim()).is_ok() { value.trim().to_owned() } else { quoted(&value) };
            let path = path.split("__").map(str::to_owned).collect();
            source.add(name, path, &value);
        }
        source
    }

    fn add(&mut self, name: String, path: Vec<String>, value: &str) {
        let start = self.variables.last().map_or(self.text.len() + 1, |last| last.span.end);
        let value = format!("{}v = {value}", "\n".repeat(start));
        self.variables.push(Variable { name, path, span: start..value.len() + 1, value });
    }

    /// Reads everything: the records apart, the other keys as they are declared.
    pub(super) fn read<T: for<'de> Deserialize<'de>>(&self) -> Result<(T, Records), ConfigError> {
        let whole = DeTable::parse(self.text).map_err(|error| self.wrong(&error))?;
        let (span, mut root) = (whole.span(), whole.into_inner());
        for variable in &self.variables {
            self.lay(&mut root, variable)?;
        }
        let mut records = Records::default();
        for kind in Records::KINDS {
            if let Some(tables) = root.remove(*kind) {
                self.take(kind, tables, &mut records)?;
            }
        }
        let root = Spanned::new(span, DeValue::Table(root));
        let config = T::deserialize(ValueDeserializer::from(root)).map_err(|error| self.wrong(&error))?;
        Ok((config, records))
    }

    /// Reads one table, its default when there is none; what stands elsewhere may be wrong, as long as all of it is TOML.
    pub(super) fn read_table<T: for<'de> Deserialize<'de> + Default>(&self, name: &str) -> Result<T, ConfigError> {
        let mut root = DeTable::parse(self.text).map_err(|error| self.wrong(&error))?.into_inner();
        for variable in self.variables.iter().filter(|variable| variable.path.first().is_some_and(|one| one == name)) {
            self.lay(&mut root, variable)?;
        }
        let Some(table) = root.remove(name) else { return Ok(T::default()) };
        T::deserialize(ValueDeserializer::from(table)).map_err(|error| self.wrong(&error))
    }

    /// Puts the value of a variable in its place, above what the file says.
    fn lay<'v>(&self, root: &mut DeTable<'v>, variable: &'v Variable) -> Result<(), ConfigError> {
        let refuse = |what: String| ConfigError::Environment { variable: variable.name.clone(), what };
        let parsed = DeTable::parse(&variable.value).map_err(|error| refuse(error.message().to_owned()))?;
        let Some(value) = parsed.into_inner().remove("v") else { return Ok(()) };
        let Some((key, tables)) = variable.path.split_last() else { return Ok(()) };
        let mut at = root;
        for table in tables {
            let name = Spanned::new(variable.span.clone(), table.as_str().into());
            let empty = || Spanned::new(variable.span.clone(), DeValue::Table(DeTable::new()));
            match at.entry(name).or_insert_with(empty).get_mut() {
                DeValue::Table(inner) => at = inner,
                _ => return Err(refuse(format!("{table} is no table"))),
            }
        }
        at.insert(Spanned::new(variable.span.clone(), key.as_str().into()), value);
        Ok(())
    }

    /// Takes the tables of a kind of records.
    fn take(&self, kind: &str, tables: Spanned<DeValue<'_>>, records: &mut Records) -> Result<(), ConfigError> {
        let span = tables.span();
        let DeValue::Array(tables) = tables.into_inner() else {
            return Err(self.fault(span.start, format_args!("expected [[{kind}]]")));
        };
        let file: Arc<str> = self.file.into();
        for table in tables {
            let span = table.span();
            let line = self.line_at(span.start);
            let place = Place::File { file: file.clone(), line };
            if let Err(mut error) = records.add(kind, ValueDeserializer::from(table), place) {
                let Some(key) = error.field.split(['.', '[']).next() else { return Err(error.into()) };
                if let Some(offset) = self.text.get(span.start..).and_then(|rest| key_in_table(rest, key)) {
                    error.place = Place::File { file, line: self.line_at(span.start + offset) };
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The line of an offset, from 1.
    fn line_at(&self, at: usize) -> usize {
        self.ends.partition_point(|end| *end < at) + 1
    }

    fn wrong(&self, error: &toml::de::Error) -> ConfigError {
        self.fault(error.span().map_or(0, |span| span.start), error.message().trim_end())
    }

    /// An error about what stands at an offset.
    pub(super) fn fault(&self, at: usize, what: impl Display) -> ConfigError {
        if let Some(variable) = self.variables.iter().find(|variable| variable.span.contains(&at)) {
            return ConfigError::Environment { variable: variable.name.clone(), what: what.to_string() };
        }
        let line = self.line_at(at);
        ConfigError::Line { file: self.file.to_owned(), line, key: key_at(self.text, line), what: what.to_string() }
    }

    /// Where a key stands; the start of the text when it has its default.
    pub(super) fn find(&self, table: &str, key: &str) -> usize {
        let path: Vec<&str> = [table, key].into_iter().filter(|part| !part.is_empty()).collect();
        let set = self.variables.iter().find(|variable| variable.path == path);
        set.map_or_else(|| find(self.text, table, key), |variable| variable.span.start)
    }

    /// File, line and key of an offset, or the variable.
    pub(super) fn place(&self, at: usize) -> String {
        match self.variables.iter().find(|variable| variable.span.contains(&at)) {
            Some(variable) => variable.name.clone(),
            None => {
                let line = self.line_at(at);
                format!("{}:{line}: {}", self.file, key_at(self.text, line))
            }
        }
    }
}

fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

/// The key on a line, or on the last line above that has one, with its table.
fn key_at(text: &str, line: usize) -> String {
    let (mut table, mut key) = ("", "");
    for text in text.lines().take(line) {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('[') {
            (table, key) = (name.trim_matches(['[', ']']), "");
        } else if let Some((name, _)) = text.split_once('=').filter(|_| !text.starts_with('#')) {
            key = name.trim();
        }
    }
    match (table, key) {
        ("", "") => "(top level)".to_owned(),
        ("", key) => key.to_owned(),
        (table, "") => table.to_owned(),
        (table, key) => format!("{table}.{key}"),
    }
}

/// Where a key stands; the start of the text when it has its default.
fn find(text: &str, table: &str, key: &str) -> usize {
    let (mut at, mut inside) = (0, table.is_empty());
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            inside = trimmed.trim_matches(['[', ']']) == table;
        } else if inside && trimmed.split_once('=').is_some_and(|(name, _)| name.trim() == key) {
            return at;
        }
        at += line.len();
    }
    0
}

/// Where a key stands in the table that a text begins with.
fn key_in_table(text: &str, key: &str) -> Option<usize> {
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let trimmed = line.trim();
        if number > 0 && trimmed.starts_with('[') {
            return None;
        }
        if trimmed.split_once('=').is_some_and(|(name, _)| name.trim() == key) {
            return Some(at);
        }
        at += line.len();
    }
    None
}
