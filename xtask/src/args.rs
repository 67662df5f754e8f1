//! The command line.

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print the usage.
    Help,
    /// Build the documentation, warnings denied.
    Docs,
    /// Make the pictures of the web page.
    Pictures,
    /// Run the checks.
    Test(Plan),
}

/// Which steps and peers to leave out. Both lists hold known names only.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// If not empty, only these steps run.
    pub(crate) only: Vec<String>,
    /// Steps and peers left out on request; allowed even where a skip is otherwise a failure.
    pub(crate) skip: Vec<String>,
}

impl Plan {
    /// Whether `name` was left out by `--skip`.
    pub(crate) fn skips(&self, name: &str) -> bool {
        self.skip.iter().any(|s| s == name)
    }

    /// Whether `--only` leaves `name` in.
    pub(crate) fn selects(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|s| s == name)
    }
}

/// The names that the options take.
pub(crate) struct Known<'a> {
    /// For `--only` and `--skip`.
    pub(crate) steps: &'a [&'a str],
    /// For `--skip` alone.
    pub(crate) peers: &'a [&'a str],
}

/// Reads the arguments after the program name.
pub(crate) fn parse(args: impl IntoIterator<Item = String>, known: &Known<'_>) -> Result<Command, String> {
    let mut args = args.into_iter();
    let task = args.next();
    let alone = match task.as_deref() {
        None | Some("help" | "-h" | "--help") => return Ok(Command::Help),
        Some("test") => None,
        Some("docs") => Some(Command::Docs),
        Some("pictures") => Some(Command::Pictures),
        Some(other) => return Err(format!("unknown task `{other}`")),
    };
    if let (Some(command), Some(task)) = (alone, task) {
        return match args.next() {
            None => Ok(command),
            Some(arg) if arg == "-h" || arg == "--help" => Ok(Command::Help),
            Some(arg) => Err(format!("`{task}` takes no arguments, not `{arg}`")),
        };
    }
    let mut plan = Plan::default();
    while let Some(arg) = args.next() {
        let (option, inline) = match arg.split_once('=') {
            Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        let (list, names) = match option.as_str() {
            "--only" => (&mut plan.only, known.steps.to_vec()),
            "--skip" => (&mut plan.skip, [known.steps, known.peers].concat()),
            "-h" | "--help" => return Ok(Command::Help),
            other => return Err(format!("unknown option `{other}`")),
        };
        let value = inline.or_else(|| args.next()).ok_or_else(|| format!("`{option}` needs a name"))?;
        for name in value.split(',') {
            if !names.contains(&name) {
                return Err(format!("`{option}` does not know `{name}`; it takes: {}", names.join(", ")));
            }
            list.push(name.to_owned());
        }
    }
    Ok(Command::Test(plan))
}

/// The help text.
pub(crate) fn usage(known: &Known<'_>) -> String {
    format!(
        "usage: cargo xtask docs\n       \
         cargo xtask pictures\n       \
         cargo xtask test [--only STEP]... [--skip STEP-OR-PEER]...\n\
         steps: {}\n\
         peers: {}\n\
         With CI=true a peer that is missing is a failure unless --skip names it.",
        known.steps.join(", "),
        known.peers.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known<'_> = Known { steps: &["fmt", "deny", "advisories"], peers: &["sipp"] };

    fn parsed(words: &[&str]) -> Result<Command, String> {
        parse(words.iter().map(|w| (*w).to_owned()), &KNOWN)
    }

    fn plan(only: &[&str], skip: &[&str]) -> Plan {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Plan { only: owned(only), skip: owned(skip) }
    }

    #[test]
    fn nothing_asks_for_help() {
        assert_eq!(parsed(&[]), Ok(Command::Help));
        assert_eq!(parsed(&["test", "--help"]), Ok(Command::Help));
    }

    #[test]
    fn docs_stand_alone() {
        assert_eq!(parsed(&["docs"]), Ok(Command::Docs));
        assert_eq!(parsed(&["docs", "--help"]), Ok(Command::Help));
        assert_eq!(parsed(&["pictures"]), Ok(Command::Pictures));
        assert!(parsed(&["docs", "--open"]).is_err_and(|e| e.contains("--open")));
    }

    #[test]
    fn plain_test_runs_all() {
        let Ok(Command::Test(p)) = parsed(&["test"]) else { panic!("not a test run") };
        assert!(p.selects("fmt") && p.selects("deny") && !p.skips("advisories"));
    }

    #[test]
    fn skips_add_up_in_all_spellings() {
        assert_eq!(
            parsed(&["test", "--skip", "advisories", "--skip=sipp,fmt"]),
            Ok(Command::Test(plan(&[], &["advisories", "sipp", "fmt"])))
        );
    }

    #[test]
    fn only_narrows() {
        let Ok(Command::Test(p)) = parsed(&["test", "--only", "deny"]) else { panic!("not a test run") };
        assert!(p.selects("deny") && !p.selects("fmt"));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(parsed(&["tset"]).is_err_and(|e| e.contains("tset")));
        assert!(parsed(&["test", "--fast"]).is_err_and(|e| e.contains("--fast")));
        assert!(parsed(&["test", "--skip"]).is_err_and(|e| e.contains("needs a name")));
        assert!(parsed(&["test", "--only", "sipp"]).is_err_and(|e| e.contains("sipp")));
        assert!(parsed(&["test", "--skip", "frm"]).is_err_and(|e| e.contains("frm") && e.contains("fmt")));
    }
}
