//! Who calls: users of a pattern or of a file.

use stack::auth::Secret;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The most users: what a file may have in lines.
const MOST: u64 = 10_000_000;
/// The place of the user's name in a pattern of passwords.
const USER: &str = "{user}";

/// Why there are no users.
#[derive(Debug, thiserror::Error)]
pub(super) enum UsersError {
    /// The pattern is none.
    #[error("--users {0:?}: expected NAME@DOMAIN, with one range in NAME, as u{{0..999}}@example.com")]
    Pattern(String),
    /// The file cannot be read.
    #[error("{}: {source}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the file is none.
    #[error("{}:{line}: expected user,domain or user,domain,password", .file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file has no lines.
    #[error("{}: no users", .0.display())]
    Empty(PathBuf),
}

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    /// The user part of the address-of-record, and the name in credentials.
    pub(super) name: String,
    /// The domain.
    pub(super) domain: String,
    /// None: challenges are not answered.
    pub(super) secret: Option<Secret>,
}

/// All users. Passwords are shown nowhere.
pub(super) enum Users {
    /// Names with numbers in them, made when they are asked for.
    Pattern {
        /// What stands before and behind the number.
        around: (String, String),
        /// The numbers.
        numbers: RangeInclusive<u64>,
        /// Digits at least.
        width: usize,
        domain: String,
        /// With `{user}` for the name.
        password: Option<String>,
    },
    /// Those of a file.
    List(Vec<User>),
}

impl Users {
    /// `alice@example.com`, or with a range: `u{000..999}@example.com`, where the first number says how many digits there
    /// are at least.
    pub(super) fn pattern(text: &str, password: Option<String>) -> Result<Self, UsersError> {
        let bad = || UsersError::Pattern(text.to_owned());
        let (name, domain) = text.rsplit_once('@').ok_or_else(bad)?;
        let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$".contains(&b));
        let is_domain =
            !domain.is_empty() && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
        let (before, numbers, width, after) = match name.split_once('{') {
            None => (name, 0..=0, 0, ""),
            Some((before, rest)) => {
                let (range, after) = rest.split_once('}').ok_or_else(bad)?;
                let (first, last) = range.split_once("..").ok_or_else(bad)?;
                let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
                let numbers = number(first)?..=number(last)?;
                (before, numbers, first.len(), after)
            }
        };
        let many = numbers.end().checked_sub(*numbers.start()).filter(|more| *more < MOST);
        if !is_name(before) || !is_name(after) || !is_domain || many.is_none() || name.is_empty() {
            return Err(bad());
        }
        let around = (before.to_owned(), after.to_owned());
        Ok(Users::Pattern { around, numbers, width, domain: domain.to_owned(), password })
    }

    /// A file with lines of `user,domain` or `user,domain,password`; empty lines and those that begin with `#` are left
    /// out. A user without a password of his own has that of the pattern.
    pub(super) fn file(file: &Path, password: Option<&str>) -> Result<Self, UsersError> {
        let text = fs::read_to_string(file).map_err(|source| UsersError::File { file: file.to_owned(), source })?;
        let mut users = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = || UsersError::Line { file: file.to_owned(), line: at + 1 };
            let mut fields = line.splitn(3, ',').map(str::trim);
            let (Some(name), Some(domain)) = (fields.next(), fields.next()) else { return Err(bad()) };
            // One of the pattern has no other characters.
            Users::pattern(&format!("{name}@{domain}"), None).map_err(|_| bad())?;
            let secret = fields.next().map(Secret::password).or_else(|| secret(password, name));
            users.push(User { name: name.to_owned(), domain: domain.to_owned(), secret });
        }
        if users.is_empty() { Err(UsersError::Empty(file.to_owned())) } else { Ok(Users::List(users)) }
    }

    /// How many there are; one at least.
    pub(super) fn len(&self) -> u64 {
        match self {
            Users::Pattern { numbers, .. } => numbers.end() - numbers.start() + 1,
            Users::List(users) => users.len() as u64,
        }
    }

    /// User `n`; behind the last the first comes again.
    pub(super) fn get(&self, n: u64) -> User {
        let n = n % self.len();
        match self {
            Users::Pattern { around: (before, after), numbers, width, domain, password } => {
                let number = numbers.start() + n;
                let name = match width {
                    0 => format!("{before}{after}"),
                    width => format!("{before}{number:0width$}{after}"),
                };
                let secret = secret(password.as_deref(), &name);
                User { name, domain: domain.clone(), secret }
            }
            // It is not empty.
            Users::List(users) => users.get(n as usize).cloned().unwrap_or_else(|| User {
                name: String::new(),
                domain: String::new(),
                secret: None,
            }),
        }
    }
}

fn secret(pattern: Option<&str>, name: &str) -> Option<Secret> {
    pattern.map(|pattern| Secret::password(&pattern.replace(USER, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(users: &Users) -> Vec<String> {
        (0..users.len()).map(|n| users.get(n)).map(|user| format!("{}@{}", user.name, user.domain)).collect()
    }

    #[test]
    fn a_pattern_counts() {
        let users = Users::pattern("u{8..11}x@example.com", Some("pw-{user}".into())).expect("well formed");
        assert_eq!(names(&users), ["u8x@example.com", "u9x@example.com", "u10x@example.com", "u11x@example.com"]);
        assert!(users.get(4) == users.get(0) && users.get(1).secret == Some(Secret::password("pw-u9x")));
        let users = Users::pattern("{098..100}@192.0.2.1:5060", None).expect("well formed");
        assert_eq!(names(&users), ["098@192.0.2.1:5060", "099@192.0.2.1:5060", "100@192.0.2.1:5060"]);
        assert!(users.get(0).secret.is_none());
        assert_eq!(names(&Users::pattern("alice@x", None).expect("well formed")), ["alice@x"]);
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let wrong =
            ["alice", "@x", "a@", "u{1..2@x", "u{1-2}@x", "u{2..1}@x", "a b@x", "a@x\r\nVia: y", "{1..2}{1..2}@x"];
        for text in wrong.into_iter().chain(["u{0..10000000}@x", "u{0..99999999999999999999}@x"]) {
            assert!(Users::pattern(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_has_a_user_a_line() {
        let path = std::env::temp_dir().join(format!("sipload-users-{}.csv", std::process::id()));
        let read = |text: &str| {
            fs::write(&path, text).expect("a temporary file");
            Users::file(&path, Some("for {user}"))
        };
        let users = read("# people\nalice,example.com,secret, with comma\n\nbob , example.com\n").expect("well formed");
        assert_eq!(names(&users), ["alice@example.com", "bob@example.com"]);
        assert!(users.get(0).secret == Some(Secret::password("secret, with comma")));
        assert!(users.get(1).secret == Some(Secret::password("for bob")));
        let said = |text: &str| read(text).err().expect("it is not well formed").to_string();
        assert!(said("alice,x\nbob\n").contains(".csv:2: expected user,domain"), "{}", said("alice,x\nbob\n"));
        assert!(said("# nobody\n").ends_with("no users"));
        fs::remove_file(&path).expect("it was there");
        assert!(Users::file(&path, None).err().expect("it is gone").to_string().contains("sipload-users"));
    }
}
