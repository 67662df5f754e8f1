//! The file that lines go to, and those that it leaves behind: `accounting.jsonl`, `accounting.jsonl.1`, …
//!
//! Lines are written whole or not at all: where the disk is full in the middle of some, what stands there of them is cut off
//! again, and they are written when there is room.

use super::Sink;
use crate::config;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const DAY: u64 = 86_400;

/// A file that is followed by another when it is large or old enough.
pub(super) struct RotatingFile {
    path: PathBuf,
    /// 0: any.
    max_octets: u64,
    daily: bool,
    keep: u32,
    file: Option<File>,
    /// Says that nobody else may write to it.
    claim: Option<File>,
    /// The day of the last write, since 1970, by UTC.
    day: Option<u64>,
    /// It could not be rotated: that was told.
    stuck: bool,
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl RotatingFile {
    /// The file that the settings name.
    pub(super) fn new(settings: &config::Accounting) -> Option<Self> {
        Some(RotatingFile {
            path: settings.file.as_ref()?.path.clone(),
            max_octets: settings.max_octets,
            daily: settings.daily,
            keep: settings.keep,
            file: None,
            claim: None,
            day: None,
            stuck: false,
        })
    }

    /// Opens it, or makes it.
    fn reopen(&mut self) -> io::Result<()> {
        self.file = None;
        // To open a pipe would wait for its reader.
        if std::fs::metadata(&self.path).is_ok_and(|there| there.file_type().is_fifo()) {
            return Err(named(&self.path, io::Error::other("this is a pipe: expected a file")));
        }
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o640).open(&self.path);
        let file = file.map_err(|error| named(&self.path, error))?;
        let there = file.metadata()?;
        if there.is_file() {
            self.claim()?;
        }
        self.day = (there.is_file() && there.len() > 0).then(|| u64::try_from(there.mtime()).unwrap_or(0) / DAY);
        self.file = Some(file);
        Ok(())
    }

    /// Has it for itself, as long as this lives: two that write to one file would rotate it under each other. A file of its
    /// own is locked, since this one is left and made anew.
    fn claim(&mut self) -> io::Result<()> {
        if self.claim.is_some() {
            return Ok(());
        }
        let mut name = self.path.canonicalize().unwrap_or_else(|_| self.path.clone()).into_os_string();
        name.push(".lock");
        let mut options = OpenOptions::new();
        // Not every folder may be written to, nor has every file system locks.
        let Ok(lock) = options.write(true).create(true).truncate(false).mode(0o600).open(&name) else { return Ok(()) };
        if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            let what = "another repro writes to it: expected a file of its own for each";
            return Err(named(&self.path, io::Error::other(what)));
        }
        self.claim = Some(lock);
        Ok(())
    }

    /// The file that the next lines go to, open.
    fn current(&mut self, more: u64, day: u64) -> io::Result<Metadata> {
        // Who has removed it wants a new one.
        let there = self.file.as_ref().map(File::metadata).transpose()?.filter(|there| there.nlink() > 0);
        let there = match there {
            Some(there) => there,
            None => self.opened()?,
        };
        let large = self.max_octets > 0 && there.len() + more > self.max_octets;
        let old = self.daily && self.day.is_some_and(|last| last != day);
        if self.keep == 0 || !there.is_file() || there.len() == 0 || !(large || old) {
            return Ok(there);
        }
        match self.rotate() {
            Ok(()) => {
                self.stuck = false;
                self.opened()
            }
            Err(error) => {
                if !std::mem::replace(&mut self.stuck, true) {
                    tracing::error!("the accounting file grows on, since it cannot be renamed: {error}");
                }
                Ok(there)
            }
        }
    }

    fn opened(&mut self) -> io::Result<Metadata> {
        self.reopen()?;
        self.file.as_ref().map_or_else(|| Err(io::ErrorKind::NotFound.into()), File::metadata)
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Each older file gets the next number; the oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        // What is not there leaves a place: behind it everything stays.
        let free = (1..self.keep).find(|number| !self.older(*number).exists()).unwrap_or(self.keep);
        for number in (1..free).rev() {
            let (from, to) = (self.older(number), self.older(number + 1));
            std::fs::rename(&from, to).map_err(|error| named(&from, error))?;
        }
        std::fs::rename(&self.path, self.older(1)).map_err(|error| named(&self.path, error))
    }
}

impl Sink for RotatingFile {
    fn open(&mut self) -> io::Result<()> {
        self.reopen()
    }

    fn close(&mut self) {
        self.file = None;
    }

    fn write(&mut self, lines: &[u8], wall: u64) -> io::Result<()> {
        let there = self.current(lines.len() as u64, wall / DAY)?;
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        self.day = Some(wall / DAY);
        let Err(error) = file.write_all(lines) else { return Ok(()) };
        if there.is_file() {
            // Where this fails too, the line that was begun ends where the next one begins.
            let _ = file.set_len(there.len());
        }
        self.file = None;
        Err(named(&self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("accounting-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn file(&self, max_octets: u64, keep: u32) -> RotatingFile {
            let path = self.0.join("a.jsonl");
            RotatingFile { path, max_octets, daily: true, keep, file: None, claim: None, day: None, stuck: false }
        }

        /// What stands in the file and in those before it.
        fn texts(&self) -> Vec<String> {
            let older = (1..9).map(|number| format!("a.jsonl.{number}"));
            let names = std::iter::once("a.jsonl".to_owned()).chain(older);
            names.map_while(|name| fs::read_to_string(self.0.join(name)).ok()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_that_is_full_is_followed_by_the_next_and_the_oldest_goes() {
        let folder = Folder::new("size");
        let mut file = folder.file(8, 2);
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            file.write(line.as_bytes(), 5).unwrap();
        }
        assert_eq!(folder.texts(), ["five\n", "four\n", "three\n"]);
        drop(file);
        let mut alone = folder.file(8, 0);
        alone.write(b"six\nseven\n", 5).unwrap();
        assert_eq!(folder.texts()[0], "five\nsix\nseven\n", "whoever rotates it does that");
    }

    #[test]
    fn each_day_has_its_file() {
        let folder = Folder::new("day");
        let mut file = folder.file(0, 9);
        for (line, wall) in [("a\n", DAY - 1), ("b\n", DAY), ("c\n", DAY + 1), ("d\n", 3 * DAY)] {
            file.write(line.as_bytes(), wall).unwrap();
        }
        assert_eq!(folder.texts(), ["d\n", "b\nc\n", "a\n"]);
        drop(file);
        // Another process goes on where the one before has ended: today, by the clock of the file system.
        let today = fs::metadata(folder.0.join("a.jsonl")).unwrap().mtime() as u64;
        folder.file(0, 9).write(b"e\n", today).unwrap();
        assert_eq!(folder.texts()[0], "d\ne\n");
        folder.file(0, 9).write(b"f\n", today + DAY).unwrap();
        assert_eq!(folder.texts()[..2], ["f\n", "d\ne\n"]);
    }

    #[test]
    fn who_moves_or_removes_it_gets_a_new_one() {
        let folder = Folder::new("moved");
        let (path, moved) = (folder.0.join("a.jsonl"), folder.0.join("moved"));
        let mut file = folder.file(0, 9);
        file.write(b"a\n", 1).unwrap();
        fs::rename(&path, &moved).unwrap();
        file.write(b"b\n", 1).unwrap();
        file.close();
        file.write(b"c\n", 1).unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "a\nb\n");
        fs::remove_file(&path).unwrap();
        file.write(b"d\n", 1).unwrap();
        assert_eq!(folder.texts(), ["d\n"]);
    }

    #[test]
    fn one_alone_writes_to_it() {
        let folder = Folder::new("lock");
        let (mut one, mut other) = (folder.file(0, 9), folder.file(0, 9));
        let mut refused = || {
            let error = other.open().unwrap_err().to_string();
            error.ends_with("a.jsonl: another repro writes to it: expected a file of its own for each")
        };
        one.open().unwrap();
        assert!(refused());
        // Neither while it is closed for a moment nor when it has become another file.
        one.close();
        assert!(refused());
        one.write(b"a\n", 1).unwrap();
        one.write(b"b\n", 1 + DAY).unwrap();
        assert!(refused() && folder.texts().len() == 2);
        drop(one);
        other.write(b"a\n", 1).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_told_with_its_name() {
        let folder = Folder::new("full");
        let mut full = folder.file(0, 9);
        full.path = "/dev/full".into();
        let error = full.write(b"a\n", 1).unwrap_err();
        assert!(error.to_string().starts_with("/dev/full: No space left"), "{error}");
        full.path = folder.0.join("nowhere/a.jsonl");
        let error = full.write(b"a\n", 1).unwrap_err();
        assert!(error.to_string().contains("nowhere/a.jsonl: No such file"), "{error}");
        full.path = folder.0.join("a.jsonl");
        full.write(b"a\n", 1).unwrap();
        assert_eq!(folder.texts(), ["a\n"], "it heals");
    }
}
