//! Where in a message an octet lies.

/// The lines of a text that is no longer than a message may be.
#[derive(Debug)]
pub(super) struct Places {
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Places {
    pub(super) fn new(octets: &[u8]) -> Self {
        let ends = octets.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at + 1);
        Places { lines: std::iter::once(0).chain(ends).collect() }
    }

    /// Line and column of an octet, both from 1; a column is an octet.
    pub(super) fn of(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|begin| *begin <= offset).max(1);
        (line, offset - self.lines.get(line - 1).copied().unwrap_or_default() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_line_and_a_column() {
        let places = Places::new(b"ab\r\nc\n\nd");
        assert_eq!(
            [0, 1, 3, 4, 5, 6, 7, 8].map(|at| places.of(at)),
            [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (3, 1), (4, 1), (4, 2)]
        );
        assert_eq!(Places::new(b"").of(0), (1, 1));
    }
}
