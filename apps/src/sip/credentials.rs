//! Who we are to those who ask: from the environment or a file, never from the command line, and never printed.

use super::verdict::Failure;
use dum::auth::Credential;
use stack::auth::Secret;
use stack::header::NameAddr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const USER: &str = "SIP_USER";
const PASSWORD: &str = "SIP_PASSWORD";
const REALM: &str = "SIP_REALM";

/// What a file of credentials may be long.
const MOST: u64 = 64 * 1024;

/// What was given.
#[derive(Default)]
struct Given {
    user: Option<String>,
    password: Option<String>,
    realm: Option<String>,
}

/// The credentials of a file, else of the environment; none where there is no password. Without a user's name it is that of
/// `from`.
///
/// # Errors
/// When the file cannot be read, others can read it, or it is not what it should be.
pub(super) fn read(file: Option<&Path>, from: Option<&NameAddr<'_>>) -> Result<Option<Credential>, Failure> {
    let given = match file {
        Some(file) => of_file(file)?,
        None => {
            let of = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
            Given { user: of(USER), password: of(PASSWORD), realm: of(REALM) }
        }
    };
    let own = from.and_then(|from| from.uri.sip()?.user_decoded().map(|user| user.into_owned()));
    let user = given.user.or_else(|| own.and_then(|user| String::from_utf8(user).ok()));
    match (user, given.password) {
        (_, None) => Ok(None),
        (None, Some(_)) => Err(Failure::Argument(format!("a password for whom? Set {USER}, or use --from"))),
        (Some(user), Some(password)) => {
            Ok(Some(Credential { realm: given.realm, user, secret: Secret::password(&password) }))
        }
    }
}

fn of_file(path: &Path) -> Result<Given, Failure> {
    let failed = |source| Failure::File { file: path.to_owned(), source };
    // Of the file that was opened, not of whatever has the name by then.
    let mut file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(Failure::Readable(path.to_owned()));
    }
    let mut text = String::new();
    file.by_ref().take(MOST).read_to_string(&mut text).map_err(failed)?;
    lines(&text).map_err(|(line, what)| Failure::Credentials { file: path.to_owned(), line, what })
}

/// Lines of `NAME=value`; empty ones and those with `#` are left out. What is wrong never repeats what stands there.
fn lines(text: &str) -> Result<Given, (usize, &'static str)> {
    let mut given = Given::default();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let wrong = (at + 1, "expected SIP_USER=name, SIP_PASSWORD=secret or SIP_REALM=realm");
        let (name, value) = line.split_once('=').ok_or(wrong)?;
        let place = match name.trim() {
            USER => &mut given.user,
            PASSWORD => &mut given.password,
            REALM => &mut given.realm,
            _ => return Err(wrong),
        };
        if place.replace(value.to_owned()).is_some() {
            return Err((at + 1, "the name stands there twice"));
        }
    }
    match given.password {
        Some(_) => Ok(given),
        None => Err((text.lines().count().max(1), "there is no SIP_PASSWORD=secret")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_names_and_values() {
        let given = lines("# mine\nSIP_USER=alice\n\nSIP_PASSWORD= pass=word \n").expect("well formed");
        assert_eq!((given.user.as_deref(), given.password.as_deref()), (Some("alice"), Some(" pass=word ")));
        assert!(given.realm.is_none());
        for (text, line) in
            [("secret", 1), ("SIP_USER=a\n\nPASSWORD=b", 3), ("SIP_PASSWORD=a\nSIP_PASSWORD=b", 2), ("", 1)]
        {
            let (at, what) = lines(text).err().expect("wrong");
            assert_eq!(at, line, "{text}");
            assert!(!what.contains("secret,"), "nothing is repeated");
        }
    }
}
