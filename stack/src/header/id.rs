//! Which header a name means (RFC 3261 §7.3.1, §7.3.3): without regard to case, compact forms included.

use super::table::{COMPACT, COUNT, NAMES, SHAPES};
use std::fmt;

/// A header that the stack knows, or [`HeaderId::UNKNOWN`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderId(pub(crate) u8);

/// How often a header may stand in a message, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Once.
    One,
    /// Values separated by commas, on any number of lines.
    List,
    /// One value on each line, because commas belong to the value (RFC 3261 §7.3.1).
    Lines,
}

impl HeaderId {
    /// Any header that is not in the table; its name is in the message.
    pub const UNKNOWN: HeaderId = HeaderId(0);
    /// How many ids there are; all are below this.
    pub const COUNT: usize = COUNT;

    /// The header with this name; [`HeaderId::UNKNOWN`] if the table has none.
    #[inline]
    pub fn lookup(name: &[u8]) -> HeaderId {
        let len = name.len();
        if let [letter] = name {
            return HeaderId(SHORT[(letter | 0x20) as usize] * u8::from(letter.is_ascii_alphabetic()));
        }
        if len > MAX_LEN {
            return HeaderId::UNKNOWN;
        }
        let words = words(name);
        let mut slot = slot(&words, len);
        // Linear probing; the table has free slots, so this ends.
        loop {
            let id = TABLE[slot];
            let entry = &ENTRIES[usize::from(id)];
            // Without a branch for each word.
            let other = |at: usize| (words[at] | entry.fold[at]) ^ entry.lower[at];
            let same = other(0) | other(1) | other(2) | other(3) == 0;
            if id == 0 || (same && entry.len as usize == len) {
                return HeaderId(id);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The name in canonical form, `Call-ID`; empty for [`HeaderId::UNKNOWN`].
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// The compact form of the name, if it has one (RFC 3261 §7.3.3).
    pub fn compact(self) -> Option<u8> {
        COMPACT.iter().find(|(_, id)| *id == self).map(|(letter, _)| *letter)
    }

    /// Whether the value is a list with commas.
    #[inline]
    pub fn is_list(self) -> bool {
        SHAPES.get(usize::from(self.0)) == Some(&Shape::List)
    }

    /// Whether a message may have only one such header with only one value (RFC 4475 §3.3.8).
    pub fn is_single(self) -> bool {
        self != HeaderId::UNKNOWN && SHAPES.get(usize::from(self.0)) == Some(&Shape::One)
    }

    /// All known headers.
    pub fn all() -> impl Iterator<Item = HeaderId> {
        (1..COUNT as u8).map(HeaderId)
    }
}

impl fmt::Debug for HeaderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.name().is_empty() { "UNKNOWN" } else { self.name() })
    }
}

/// The longest name, in octets, that fits in an [`Entry`].
const MAX_LEN: usize = 32;
const SLOTS: usize = 1024;
const EMPTY: Entry = Entry { lower: [0; 4], fold: [0; 4], len: 0 };

/// A name as words: with `fold` or-ed in, a name in any case equals `lower`.
#[derive(Clone, Copy)]
struct Entry {
    lower: [u64; 4],
    fold: [u64; 4],
    len: u8,
}

static ENTRIES: [Entry; COUNT] = entries();
static TABLE: [u8; SLOTS] = table();
static SHORT: [u8; 256] = short();

/// The number that the octets from `at` on make.
macro_rules! load {
    ($number:ty, $bytes:expr, $at:expr) => {
        match $bytes.split_at($at).1.first_chunk() {
            Some(octets) => <$number>::from_le_bytes(*octets) as u64,
            None => 0,
        }
    };
}

/// The octets of a name of 2 to 32 in four words. The words overlap, so that no length needs a loop over octets.
#[inline]
const fn words(name: &[u8]) -> [u64; 4] {
    let len = name.len();
    match len {
        16.. => {
            let middle = if len >= 24 { load!(u64, name, 16) } else { 0 };
            [load!(u64, name, 0), load!(u64, name, 8), middle, load!(u64, name, len - 8)]
        }
        8.. => [load!(u64, name, 0), 0, 0, load!(u64, name, len - 8)],
        4.. => [load!(u32, name, 0), 0, 0, load!(u32, name, len - 4)],
        2.. => [load!(u16, name, 0), 0, 0, load!(u16, name, len - 2)],
        _ => [0; 4],
    }
}

#[inline]
const fn slot(words: &[u64; 4], len: usize) -> usize {
    const CASE: u64 = 0x2020_2020_2020_2020;
    let mixed = (words[0] | CASE) ^ (words[3] | CASE).rotate_left(29) ^ (len as u64);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as usize
}

const fn entries() -> [Entry; COUNT] {
    let mut entries = [EMPTY; COUNT];
    let mut id = 1;
    while id < COUNT {
        let name = NAMES[id].as_bytes();
        assert!(name.len() >= 2 && name.len() <= MAX_LEN);
        let (mut lower, mut fold) = ([0u8; MAX_LEN], [0u8; MAX_LEN]);
        let mut i = 0;
        while i < name.len() {
            lower[i] = name[i].to_ascii_lowercase();
            fold[i] = if name[i].is_ascii_alphabetic() { 0x20 } else { 0 };
            i += 1;
        }
        let (lower, fold) = (lower.split_at(name.len()).0, fold.split_at(name.len()).0);
        entries[id] = Entry { lower: words(lower), fold: words(fold), len: name.len() as u8 };
        id += 1;
    }
    entries
}

const fn table() -> [u8; SLOTS] {
    let entries = entries();
    let mut table = [0; SLOTS];
    let mut id = 1;
    while id < COUNT {
        let mut at = slot(&entries[id].lower, entries[id].len as usize);
        while table[at] != 0 {
            at = (at + 1) % SLOTS;
        }
        table[at] = id as u8;
        id += 1;
    }
    table
}

const fn short() -> [u8; 256] {
    let mut short = [0; 256];
    let mut i = 0;
    while i < COMPACT.len() {
        let (letter, id) = COMPACT[i];
        short[letter as usize] = id.0;
        i += 1;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_every_case() {
        const { assert!(COUNT <= 128) };
        for id in HeaderId::all() {
            let name = id.name();
            for spelling in [name.to_string(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
                assert_eq!(HeaderId::lookup(spelling.as_bytes()), id, "{spelling}");
            }
            for at in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                other[at] ^= 0x01;
                assert_ne!(HeaderId::lookup(&other), id);
                other[at] = name.as_bytes()[at] ^ 0x80;
                assert_ne!(HeaderId::lookup(&other), id);
                // `-` and CR differ in the bit that makes the case of letters.
                other[at] = name.as_bytes()[at] ^ 0x20;
                assert_eq!(HeaderId::lookup(&other) == id, name.as_bytes()[at].is_ascii_alphabetic());
            }
            assert_ne!(HeaderId::lookup(&name.as_bytes()[1..]), id);
            assert_ne!(HeaderId::lookup(format!("{name}x").as_bytes()), id);
        }
    }

    #[test]
    fn compact_forms() {
        for (letter, name) in "i:Call-ID m:Contact e:Content-Encoding l:Content-Length c:Content-Type f:From s:Subject \
            k:Supported t:To v:Via o:Event u:Allow-Events r:Refer-To b:Referred-By x:Session-Expires a:Accept-Contact \
            j:Reject-Contact d:Request-Disposition y:Identity n:Identity-Info"
            .split_whitespace()
            .map(|pair| pair.split_once(':').unwrap())
        {
            assert_eq!(HeaderId::lookup(letter.as_bytes()).name(), name);
            assert_eq!(HeaderId::lookup(letter.to_ascii_uppercase().as_bytes()).name(), name);
        }
        for name in ["q", "\x16", "", "C%6Fntact", "NewFangledHeader", "\x0d", "@", "[", "X-Whatever"] {
            assert_eq!(HeaderId::lookup(name.as_bytes()), HeaderId::UNKNOWN, "{name:?}");
        }
        assert_eq!(HeaderId::lookup(&[b'a'; 400]), HeaderId::UNKNOWN);
    }

    #[test]
    fn few_names_need_a_second_probe() {
        let moved = HeaderId::all().filter(|id| {
            let entry = &ENTRIES[id.0 as usize];
            TABLE[slot(&entry.lower, entry.len as usize)] != id.0
        });
        assert!(moved.count() <= 12);
    }
}
