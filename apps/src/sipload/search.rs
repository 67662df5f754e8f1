//! The highest rate that meets the criteria: a pure machine.

/// How close two rates are when the search ends: 5 %.
const CLOSE: f64 = 0.05;
/// The highest rate that is tried, in sessions a second.
const MOST: f64 = 1e6;

/// A binary search. It doubles the rate until one is too much, or halves it until one is not, and then halves the space
/// between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Search {
    /// The highest rate that was good.
    good: Option<f64>,
    /// The lowest that was not.
    bad: Option<f64>,
    /// What is tried.
    rate: f64,
}

impl Search {
    /// Begins with `rate`.
    pub(super) fn new(rate: f64) -> Self {
        Search { good: None, bad: None, rate }
    }

    /// What to try.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// The highest rate that was good.
    pub(super) fn best(&self) -> Option<f64> {
        self.good
    }

    /// What became of it; true when there is more to try.
    pub(super) fn tried(&mut self, good: bool) -> bool {
        let side = if good { &mut self.good } else { &mut self.bad };
        *side = Some(self.rate);
        self.rate = match (self.good, self.bad) {
            (Some(good), None) => (good * 2.0).min(MOST),
            (None, Some(bad)) => bad / 2.0,
            (Some(good), Some(bad)) => f64::midpoint(good, bad),
            (None, None) => self.rate,
        };
        match (self.good, self.bad) {
            (Some(good), Some(bad)) => bad - good > good * CLOSE,
            (Some(good), None) => good < MOST,
            (None, _) => self.rate >= 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found where up to `capacity` is good, and after how many tries.
    fn find(from: f64, capacity: f64) -> (Option<f64>, u32) {
        let mut search = Search::new(from);
        let mut tries = 1;
        while search.tried(search.rate() <= capacity) {
            tries += 1;
        }
        (search.best(), tries)
    }

    #[test]
    fn it_ends_close_below_the_capacity() {
        for (from, capacity) in [(100.0, 1234.0), (5000.0, 1234.0), (10.0, 10.0), (1.0, 900_000.0)] {
            let (found, tries) = find(from, capacity);
            let found = found.expect("something is good");
            assert!(found <= capacity && found >= capacity / (1.0 + CLOSE) - 1.0, "{from} {capacity}: {found}");
            assert!(tries <= 28, "{from} {capacity}: {tries} tries");
        }
    }

    #[test]
    fn where_nothing_is_good_or_all_it_ends_too() {
        assert_eq!(find(100.0, 0.0).0, None);
        assert_eq!(find(100.0, f64::INFINITY).0, Some(MOST));
    }
}
