//! Regular expressions of the configuration, with limits, and which of many may match a text.

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The longest expression, in octets.
const LONGEST: usize = 1024;
/// The largest one when it is compiled, in octets.
const LARGEST: usize = 256 * 1024;
/// The most texts of which one must occur, of an expression that is looked for by them.
const MOST_LITERALS: usize = 64;

/// A regular expression, searched for anywhere in a text unless it says `^` and `$`. Its running time grows with the
/// text only, not with what it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

/// A text is no regular expression, or too large a one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: expected a regular expression of at most {LONGEST} octets, as \"^sip:00(\\\\d+)@\"")]
pub struct BadPattern(String);

impl Pattern {
    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.0
    }

    /// Whether a replacement names only groups that it has: `$1`, `${name}`.
    ///
    /// # Errors
    /// The group that it does not have.
    pub fn check_replacement(&self, replacement: &str) -> Result<(), String> {
        let mut rest = replacement;
        while let Some((_, after)) = rest.split_once('$') {
            rest = after.strip_prefix('$').unwrap_or(after);
            if rest.len() < after.len() {
                continue;
            }
            let name = match after.strip_prefix('{') {
                Some(braced) => braced.split_once('}').map_or(braced, |(name, _)| name),
                None => after.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default(),
            };
            let known = match name.parse::<usize>() {
                Ok(number) => number < self.0.captures_len(),
                Err(_) => self.0.capture_names().flatten().any(|known| known == name),
            };
            if !known {
                return Err(format!("${name}: expected a group of the expression {}, as $1 or ${{1}}", self.0));
            }
        }
        Ok(())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;
    fn from_str(text: &str) -> Result<Self, BadPattern> {
        if text.len() > LONGEST {
            return Err(BadPattern(format!("{} octets", text.len())));
        }
        let built = RegexBuilder::new(text).size_limit(LARGEST).dfa_size_limit(LARGEST).build();
        built.map(Pattern).map_err(|error| BadPattern(error.to_string()))
    }
}

impl TryFrom<String> for Pattern {
    type Error = BadPattern;
    fn try_from(text: String) -> Result<Self, BadPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0.as_str().to_owned()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Finds those of many patterns that may match a text, by the texts of which one must occur in it: one pass over the
/// text, whatever their count. A pattern that says no text of its own may always match.
#[derive(Clone, Debug, Default)]
pub struct Prefilter {
    literals: Option<AhoCorasick>,
    /// The patterns of each literal.
    patterns: Vec<SmallVec<[u32; 2]>>,
    always: Vec<u32>,
}

/// Patterns by their place in the list, ascending.
pub type Candidates = SmallVec<[u32; 16]>;

impl Prefilter {
    /// A filter for these patterns.
    pub fn new<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Self {
        let (mut by_literal, mut always) = (BTreeMap::<Vec<u8>, SmallVec<[u32; 2]>>::new(), Vec::new());
        for (at, pattern) in (0..).zip(patterns) {
            match literals(pattern) {
                Some(literals) => literals.into_iter().for_each(|one| by_literal.entry(one).or_default().push(at)),
                None => always.push(at),
            }
        }
        let literals = (!by_literal.is_empty()).then(|| AhoCorasick::new(by_literal.keys()).ok()).flatten();
        if literals.is_none() {
            always.extend(by_literal.values().flatten());
            always.sort_unstable();
            always.dedup();
        }
        Prefilter { literals, patterns: by_literal.into_values().collect(), always }
    }

    /// The patterns that may match a text; the others do not.
    pub fn candidates(&self, text: &[u8]) -> Candidates {
        let mut found = Candidates::from_slice(&self.always);
        if let Some(literals) = &self.literals {
            for literal in literals.find_overlapping_iter(text) {
                let its = self.patterns.get(literal.pattern().as_usize());
                found.extend(its.into_iter().flatten().copied());
            }
            found.sort_unstable();
            found.dedup();
        }
        found
    }
}

/// Texts of which one is in whatever a pattern matches: those that the match begins with, or ends with, or some within
/// it, whichever are longest. None when it has no such.
fn literals(pattern: &Pattern) -> Option<Vec<Vec<u8>>> {
    let hir = ParserBuilder::new().utf8(false).build().parse(pattern.0.as_str()).ok()?;
    let at_end = |kind| -> Option<Vec<Vec<u8>>> {
        let found: Seq = Extractor::new().kind(kind).limit_total(MOST_LITERALS).extract(&hir);
        Some(found.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect())
    };
    let all = [at_end(ExtractKind::Prefix), at_end(ExtractKind::Suffix), within(&hir)];
    all.into_iter().flatten().filter(|literals| shortest(literals) > 0).max_by_key(|literals| shortest(literals))
}

fn shortest(literals: &[Vec<u8>]) -> usize {
    literals.iter().map(Vec::len).min().unwrap_or(0)
}

fn within(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => within(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => within(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(within).max_by_key(|literals| shortest(literals)),
        HirKind::Alternation(parts) => {
            let all = parts.iter().map(within).collect::<Option<Vec<_>>>()?.concat();
            (all.len() <= MOST_LITERALS).then_some(all)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rutil::Rng;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn limits() {
        assert!("(".parse::<Pattern>().unwrap_err().to_string().contains("regular expression"));
        assert!("a".repeat(LONGEST + 1).parse::<Pattern>().unwrap_err().to_string().contains("1025 octets"));
        assert!(r"(\w{100}){100}".parse::<Pattern>().is_err());
        assert_eq!(pattern("^sip:").to_string(), "^sip:");
    }

    #[test]
    fn a_replacement_names_groups_that_there_are() {
        let two = pattern("^sip:(?P<user>[^@]+)@(.*)$");
        for good in ["sip:$1@x", "sip:${user}1@$2", "$$5", "$0", "plain"] {
            assert_eq!(two.check_replacement(good), Ok(()), "{good}");
        }
        for bad in ["$3", "${host}", "$1x", "a$"] {
            assert!(two.check_replacement(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_pattern_is_looked_for_by() {
        let of = |text: &str| literals(&pattern(text)).map(|all| String::from_utf8(all.join(&b'|')).unwrap());
        for (text, found) in [
            (r"^sip:(?:\+|00)49(\d+)@", Some("sip:+49|sip:0049")),
            (r"^sip:.*@carrier-(a|b)\.net$", Some("@carrier-a.net|@carrier-b.net")),
            (r"^sip:[^@]+@gw7\.example\.com(:\d+)?(;.*)?$", Some("@gw7.example.com")),
            (r"(alice|robert)x?", Some("alice|robert")),
            (r"\d+", None),
            ("", None),
            (".*", None),
        ] {
            assert_eq!(of(text).as_deref(), found, "{text}");
        }
    }

    /// No pattern that matches is left out, whatever it looks like.
    #[test]
    fn candidates_are_a_superset_of_what_matches() {
        let mut rng = Rng::from_seed(3);
        let parts = ["a", "b", "ab", "(a|b)", "(ab|ba)?", "a*", "(ba)+", ".", "[ab]", "^", "$", "(?i)a", "x{2}"];
        let mut texts = |parts: &[&'static str], most: u64| -> String {
            let length = rng.range(most) + 1;
            (0..length).map(|_| parts[rng.range(parts.len() as u64) as usize]).collect()
        };
        let patterns: Vec<Pattern> = (0..300).map(|_| pattern(&texts(&parts, 5))).collect();
        let prefilter = Prefilter::new(patterns.iter());
        let mut fewer = 0;
        for _ in 0..300 {
            let text = texts(&["a", "b", "A", "xx", "ab"], 6);
            let candidates = prefilter.candidates(text.as_bytes());
            assert!(candidates.is_sorted());
            fewer += patterns.len() - candidates.len();
            let matching = (0..).zip(&patterns).filter(|(_, p)| p.regex().is_match(text.as_bytes()));
            for (at, pattern) in matching {
                assert!(candidates.contains(&at), "{pattern} in {text}");
            }
        }
        assert!(fewer > 0);
    }
}
