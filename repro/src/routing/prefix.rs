//! The longest prefix of a number that is in a table.

use std::collections::BTreeMap;

/// Prefixes of numbers with what belongs to them; the longest that a number begins with is found in the logarithm of
/// their count.
///
/// The prefixes are sorted, and each knows the longest other one that it begins with. Whatever prefixes a number has,
/// the last entry that is not greater than the number begins with all of them, so they are on its chain of those.
#[derive(Clone, Debug)]
pub struct PrefixTable<T> {
    entries: Vec<Entry<T>>,
}

impl<T> Default for PrefixTable<T> {
    fn default() -> Self {
        PrefixTable { entries: Vec::new() }
    }
}

#[derive(Clone, Debug)]
struct Entry<T> {
    prefix: Box<str>,
    /// The place of the longest entry that this one begins with.
    parent: Option<usize>,
    value: T,
}

/// Whether a number may begin with it: `+`, digits, `*` and `#`; empty is what every number begins with.
pub fn is_prefix(text: &str) -> bool {
    text.strip_prefix('+').unwrap_or(text).bytes().all(|b| b.is_ascii_digit() || b == b'*' || b == b'#')
}

/// What is said of a text that is none.
pub(super) const EXPECTED_PREFIX: &str = "expected the first characters of a number, as \"+49\" or \"030\"";

impl<T> PrefixTable<T> {
    /// A table of these prefixes.
    pub fn new(prefixes: BTreeMap<String, T>) -> Self {
        let mut entries: Vec<Entry<T>> = Vec::with_capacity(prefixes.len());
        for (prefix, value) in prefixes {
            let mut parent = entries.len().checked_sub(1);
            while let Some(at) =
                parent.and_then(|at| entries.get(at)).filter(|entry| !prefix.starts_with(&*entry.prefix))
            {
                parent = at.parent;
            }
            entries.push(Entry { prefix: prefix.into(), parent, value });
        }
        PrefixTable { entries }
    }

    /// The longest prefix of `number`, and what belongs to it.
    pub fn longest(&self, number: &str) -> Option<(&str, &T)> {
        let mut at = self.entries.partition_point(|entry| &*entry.prefix <= number).checked_sub(1);
        loop {
            let entry = self.entries.get(at?)?;
            if number.starts_with(&*entry.prefix) {
                return Some((&entry.prefix, &entry.value));
            }
            at = entry.parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rutil::Rng;

    fn table(prefixes: &[&str]) -> PrefixTable<String> {
        PrefixTable::new(prefixes.iter().map(|p| ((*p).to_owned(), format!("to {p}"))).collect())
    }

    #[test]
    fn the_longest_wins() {
        let table = table(&["+49", "+4930", "+49301", "+4940", "+1", "0", "112"]);
        for (number, prefix) in [
            ("+4930123", Some("+49301")),
            ("+493", Some("+49")),
            ("+49", Some("+49")),
            ("+4930999", Some("+4930")),
            ("+4940", Some("+4940")),
            ("+4999", Some("+49")),
            ("+4", None),
            ("+2", None),
            ("112", Some("112")),
            ("11", None),
            ("", None),
        ] {
            assert_eq!(table.longest(number).map(|(prefix, _)| prefix), prefix, "{number}");
        }
        assert_eq!(table.longest("00").unwrap().1, "to 0");
    }

    #[test]
    fn an_empty_prefix_is_for_all_others() {
        let table = table(&["", "+1"]);
        assert_eq!((table.longest("+15").unwrap().0, table.longest("7").unwrap().0), ("+1", ""));
        assert!(self::table(&[]).longest("7").is_none());
    }

    #[test]
    fn what_may_be_a_prefix() {
        assert!(["", "+", "+49", "00", "*31#"].into_iter().all(is_prefix));
        assert!(["49+", "+49-30", "a", " 1"].into_iter().all(|text| !is_prefix(text)));
    }

    /// Against the plain search through all prefixes.
    #[test]
    fn ten_thousand_prefixes_give_what_a_search_gives() {
        let mut rng = Rng::from_seed(7);
        let mut digits = |most: u64| -> String {
            let length = rng.range(most) + 1;
            (0..length).map(|_| char::from(b'0' + rng.range(3) as u8)).collect()
        };
        let prefixes: BTreeMap<String, usize> = (0..10_000).map(|at| (digits(9), at)).collect();
        let table = PrefixTable::new(prefixes.clone());
        for _ in 0..2_000 {
            let number = digits(11);
            let plain = (1..=number.len()).rev().find_map(|end| prefixes.get_key_value(&number[..end]));
            assert_eq!(table.longest(&number), plain.map(|(prefix, at)| (prefix.as_str(), at)), "{number}");
        }
    }
}
