//! What the command line does besides running the proxy: it checks the configuration, and changes what is provisioned in
//! the store. A running proxy notices within two seconds.

use super::{PROGRAM, StartError};
use crate::terminal::say;
use clap::Subcommand;
use repro::config::Config;
use repro::provisioning::{
    Aor, Place, Placed, Provisioning, ProvisioningError, Record, Records, Row, UserRecord, one_line, read_lines,
};
use repro::store::{Change, RecordStore, StoreError};
use rutil::Rng;
use serde_json::{Map, Value};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

/// Has the password of a user, for who does not want to type it.
pub(super) const PASSWORD: &str = "REPRO_PASSWORD";

/// What to do instead of running the proxy.
#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Say whether the configuration, its files and the store are right.
    Check,
    /// Put the records of a file into the store, in the place of those with the same keys: all or nothing.
    Import {
        /// JSON lines, each with "kind" and the keys of a table of that name; - for standard input.
        file: PathBuf,
    },
    /// Write the records of the store to standard output, as JSON lines.
    Export,
    /// Put one record into the store: set domain '{"name": "example.com"}'.
    Set {
        /// user, domain, acl, …
        kind: String,
        /// The keys of its table.
        json: String,
    },
    /// Remove a record from the store.
    Remove {
        /// user, domain, acl, …
        kind: String,
        /// Its key, as `list` shows it.
        key: String,
    },
    /// Show kind, key and place of the records, of configuration and store.
    List {
        /// Only those of this kind.
        kind: Option<String>,
    },
    /// Users and their passwords.
    #[command(subcommand)]
    User(UserTask),
    /// Look at a running proxy and change it, by the HTTP server of [admin].
    Ctl(super::ctl::Ctl),
}

/// Passwords come from REPRO_PASSWORD or from standard input, never from the command line, and only their hashes are kept.
#[derive(Debug, Subcommand)]
pub(super) enum UserTask {
    /// Add a user, with a password.
    Add {
        /// alice@example.com
        aor: String,
        /// What its password is hashed with, if that is not the realm of its domain.
        #[arg(long)]
        realm: Option<String>,
        /// Whom else it may register: an address-of-record, or * for everybody. May be repeated.
        #[arg(long, value_name = "AOR")]
        third_party: Vec<String>,
    },
    /// Give a user another password.
    Passwd {
        /// alice@example.com
        aor: String,
    },
    /// Remove a user.
    Remove {
        /// alice@example.com
        aor: String,
    },
    /// Show the users.
    List,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Record(#[from] ProvisioningError),
    #[error("no store: expected [store] with path, or [database] with url, in the configuration, named with --config")]
    NoStore,
    #[error("{file}: {source}")]
    File { file: String, source: io::Error },
    #[error("{key}: there is no folder {}: make it, and let the user of the proxy write to it", .folder.display())]
    Folder { key: &'static str, folder: PathBuf },
    #[error("no password: set REPRO_PASSWORD, or write it to standard input")]
    NoPassword,
    #[error("{kind} {key}: {what}")]
    Key { kind: String, key: String, what: &'static str },
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

type Done = Result<(), TaskError>;

/// Carries out a task.
pub(super) fn perform(task: Task, config: Config) -> Done {
    match task {
        Task::Check => check(&config),
        Task::Import { file } => import(&config, &file),
        Task::Export => {
            let rows = rows(&open(&config)?.records()?)?;
            rows.iter().try_for_each(|(row, _)| print(&row.json_line()))
        }
        Task::Set { kind, json } => {
            let place = Place::File { file: "command line".into(), line: 1 };
            let fields: Map<String, Value> = serde_json::from_str(&json).map_err(|error| {
                ProvisioningError::new(&place, &kind, "", "", &format!("{error}: expected a JSON object"))
            })?;
            let row = Records::default().add(&kind, Value::Object(fields), place)?;
            change(&config, &[Change::Put(&row)]).map(drop)
        }
        Task::Remove { kind, key } => remove(&config, &kind, &key),
        Task::List { kind } => list(&config, kind.as_deref()),
        // It needs no store.
        Task::Ctl(_) => Ok(()),
        Task::User(UserTask::List) => list(&config, Some(UserRecord::KIND)),
        Task::User(UserTask::Remove { aor }) => {
            let aor = address(&aor)?;
            remove(&config, UserRecord::KIND, aor.as_str())
        }
        Task::User(UserTask::Add { aor, realm, third_party }) => add_user(&config, &aor, realm, third_party),
        Task::User(UserTask::Passwd { aor }) => change_password(&config, &aor),
    }
}

fn check(config: &Config) -> Done {
    config.tls().map_err(StartError::from)?;
    rutil::log::check_filter(&config.log.filter).map_err(StartError::from)?;
    config.admin_token().map_err(StartError::from)?;
    // A processor may need what the program runs on.
    let chains = async { super::processors(config)?.chains(&config.chains).map_err(StartError::from) };
    actix::System::new().block_on(chains)?;
    // What is not there is not made.
    let is_there = config.database.is_some() || config.store.as_ref().is_some_and(|store| store.path.exists());
    let mut records = config.records.clone();
    if let Some(mut store) = is_there.then(|| RecordStore::open(config, false)).transpose()?.flatten() {
        records.extend(store.records()?);
    }
    compile(&records)?;
    folders_are_there(config)?;
    for what in config.unheeded(&records) {
        say(PROGRAM, format_args!("warning: {what}"));
    }
    print(&format!("the configuration is right: {} records", records.len()))
}

/// Whether the folders are there in which the proxy makes files.
fn folders_are_there(config: &Config) -> Done {
    let store = config.store.as_ref().map(|store| ("store.path", store.path.as_path()));
    let accounting = config.accounting.as_ref().filter(|accounting| accounting.redis.is_none());
    let accounting = accounting.and_then(|accounting| accounting.file.as_ref());
    let accounting = accounting.map(|file| ("accounting.file", file.path.as_path()));
    for (key, file) in store.into_iter().chain(accounting) {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(TaskError::Folder { key, folder: folder.to_owned() });
        }
    }
    Ok(())
}

fn compile(records: &Records) -> Result<Provisioning, ProvisioningError> {
    // Nobody looks anything up in it: the keys of its tables need not be secret.
    Provisioning::compile(records, &mut Rng::from_seed(0))
}

fn open(config: &Config) -> Result<RecordStore, TaskError> {
    RecordStore::open(config, true)?.ok_or(TaskError::NoStore)
}

/// Changes the store, if what is in the configuration and in the store goes together then.
fn change(config: &Config, changes: &[Change<'_>]) -> Result<usize, TaskError> {
    let check = |kept: Records| {
        let mut records = config.records.clone();
        records.extend(kept);
        compile(&records).map(drop)
    };
    Ok(open(config)?.change(changes, check)?)
}

fn import(config: &Config, file: &std::path::Path) -> Done {
    let name = file.display().to_string();
    let mut text = String::new();
    let read = match name.as_str() {
        "-" => io::stdin().read_to_string(&mut text).map(drop),
        _ => std::fs::read_to_string(file).map(|read| text = read),
    };
    read.map_err(|source| TaskError::File { file: name.clone(), source })?;
    let (_, rows) = read_lines(&text, &name)?;
    let changed = change(config, &rows.iter().map(Change::Put).collect::<Vec<_>>())?;
    print(&format!("{} records, {changed} of them new or changed", rows.len()))
}

fn remove(config: &Config, kind: &str, key: &str) -> Done {
    match change(config, &[Change::Remove { kind, key }])? {
        0 => Err(no(kind, key, "is not in the store: `repro list` shows what is")),
        _ => Ok(()),
    }
}

fn no(kind: &str, key: &str, what: &'static str) -> TaskError {
    TaskError::Key { kind: one_line(kind), key: one_line(key), what }
}

fn list(config: &Config, kind: Option<&str>) -> Done {
    let mut records = config.records.clone();
    if let Some(mut store) = RecordStore::open(config, true)? {
        records.extend(store.records()?);
    }
    let shown = |(row, _): &(Row, Place)| kind.is_none_or(|kind| kind == row.kind);
    rows(&records)?
        .iter()
        .filter(|row| shown(row))
        .try_for_each(|(row, place)| print(&format!("{}\t{}\t{place}", row.kind, one_line(&row.key))))
}

fn rows(records: &Records) -> Result<Vec<(Row, Place)>, TaskError> {
    Ok(records.rows().map_err(io::Error::other)?)
}

fn address(text: &str) -> Result<Aor, TaskError> {
    let place = Place::File { file: "command line".into(), line: 1 };
    let wrong = |error| ProvisioningError::new(&place, UserRecord::KIND, "", "aor", &format!("{error}"));
    Ok(text.parse().map_err(wrong)?)
}

fn add_user(config: &Config, aor: &str, realm: Option<String>, third_party: Vec<String>) -> Done {
    let aor = address(aor)?;
    let mut records = config.records.clone();
    records.extend(open(config)?.records()?);
    if find(&records, &aor).is_some() {
        return Err(no(UserRecord::KIND, aor.as_str(), "is there already: `repro user passwd` changes its password"));
    }
    let mut fields = Map::new();
    fields.insert("aor".to_owned(), aor.as_str().into());
    realm.into_iter().for_each(|realm| drop(fields.insert("realm".to_owned(), realm.into())));
    fields.insert("third_party".to_owned(), third_party.into());
    let mut new = Records::default();
    let place = Place::File { file: "command line".into(), line: 1 };
    new.add(UserRecord::KIND, Value::Object(fields), place)?;
    let Some(Placed { record: user, .. }) = new.users.pop() else { return Ok(()) };
    write_user(config, user, &records)
}

fn change_password(config: &Config, aor: &str) -> Done {
    let aor = address(aor)?;
    let kept = open(config)?.records()?;
    let Some(user) = find(&kept, &aor).cloned() else {
        return Err(no(UserRecord::KIND, aor.as_str(), "is not in the store: `repro user list` shows who is"));
    };
    let mut records = config.records.clone();
    records.extend(kept);
    write_user(config, user, &records)
}

fn find<'r>(records: &'r Records, aor: &Aor) -> Option<&'r UserRecord> {
    records.users.iter().map(|placed| &placed.record).find(|user| user.aor == *aor)
}

/// Hashes the password of a user, and writes the record.
fn write_user(config: &Config, mut user: UserRecord, records: &Records) -> Done {
    user.set_password(&password()?, records);
    let body = serde_json::to_value(&user).map_err(io::Error::other)?;
    let row = Records::default().add(UserRecord::KIND, body, Place::Store)?;
    change(config, &[Change::Put(&row)]).map(drop)
}

/// The password: of the environment, else the first line of standard input.
fn password() -> Result<String, TaskError> {
    let mut line = String::new();
    match std::env::var(PASSWORD) {
        Ok(password) => line = password,
        Err(_) => {
            if io::stdin().is_terminal() {
                io::stderr().write_all(b"password (it is shown): ")?;
            }
            io::stdin().lock().read_line(&mut line)?;
        }
    }
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() { Err(TaskError::NoPassword) } else { Ok(password.to_owned()) }
}

fn print(line: &str) -> Done {
    Ok(writeln!(io::stdout(), "{line}")?)
}
