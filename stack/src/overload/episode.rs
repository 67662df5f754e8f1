//! Overload as an operator hears of it: one line when it begins and one when it is over, however many messages it met.

use rutil::{Time, Zone};
use std::time::Duration;

/// How long all must have been well before overload is over, and the shortest time between two lines of one kind.
const CALM: Duration = Duration::from_secs(5);

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Requests refused with 503.
    pub(crate) refused: u64,
    /// Requests dropped unread.
    pub(crate) dropped: u64,
}

/// What an operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Overload begins: in this zone, with a wait of so long.
    Begins(Zone, Duration),
    /// Overload is over.
    Over {
        /// How long it was.
        lasted: Duration,
        /// The longest wait that was seen.
        wait: Duration,
        /// What was lost meanwhile.
        lost: Lost,
    },
}

/// A time of overload: from the first moment at which something is refused until nothing was for [`CALM`]. A machine: it
/// is told the zone while something is to be taken on, and asked at its deadline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Episode {
    /// Since when, and what had been lost by then.
    began: Option<(Time, Lost)>,
    /// The latest moment at which something was refused.
    last: Time,
    wait: Duration,
}

impl Episode {
    /// Whether it must be told even that all is well.
    pub(crate) fn is_on(&self) -> bool {
        self.began.is_some()
    }

    /// When to look again although nothing comes.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.began.map(|_| self.last + CALM)
    }

    /// Takes note of how things stand; `shut`: the kernel keeps new work out.
    pub(crate) fn look(&mut self, zone: Zone, shut: bool, wait: Duration, lost: Lost, now: Time) -> Option<News> {
        if zone != Zone::Normal || shut {
            (self.last, self.wait) = (now, self.wait.max(wait));
        }
        match self.began {
            None if zone != Zone::Normal => {
                self.began = Some((now, lost));
                Some(News::Begins(zone, wait))
            }
            Some((began, before)) if now >= self.last + CALM => {
                let lost = Lost { refused: lost.refused - before.refused, dropped: lost.dropped - before.dropped };
                let over = News::Over { lasted: self.last.since(began), wait: self.wait, lost };
                *self = Episode::default();
                Some(over)
            }
            _ => None,
        }
    }
}

impl News {
    /// Writes the line.
    pub(crate) fn log(self, shard: u16) {
        let whole = |took: Duration| Duration::from_millis(took.as_millis() as u64);
        match self {
            News::Begins(zone, wait) => {
                let refused = match zone {
                    Zone::Normal => "nothing",
                    Zone::RejectNewWork => {
                        "calls and other new work with 503; registrations and priority calls are served"
                    }
                    Zone::RejectNonEssential => "all new work with 503",
                    Zone::Drop => "all new work, datagrams with it unread",
                };
                tracing::warn!(shard, ?zone, wait = ?whole(wait), refused, "overload begins");
            }
            News::Over { lasted, wait, lost: Lost { refused, dropped } } => {
                let (lasted, longest_wait) = (whole(lasted), whole(wait));
                tracing::warn!(shard, ?lasted, ?longest_wait, refused, dropped, "overload is over");
            }
        }
    }
}

/// Lets one line through in [`CALM`], and counts what it holds back: for what others can bring about often.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Throttle {
    next: Time,
    held: u64,
}

impl Throttle {
    /// Whether there may be a line now; then, how many there were not since the last one.
    pub(crate) fn passes(&mut self, now: Time) -> Option<u64> {
        if now < self.next {
            self.held += 1;
            return None;
        }
        self.next = now + CALM;
        Some(std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn one_line_when_it_begins_and_one_when_it_is_over() {
        let mut episode = Episode::default();
        let mut told = Vec::new();
        let lost = |refused| Lost { refused, dropped: refused / 2 };
        for ms in 0..30_000 {
            let zone = match ms {
                1000..2000 if ms % 3 == 0 => Zone::RejectNewWork,
                // Calm for less than it takes.
                6500..8000 => Zone::Drop,
                _ => Zone::Normal,
            };
            // The kernel is shut for a little longer.
            let news = episode.look(zone, (8000..9000).contains(&ms), 90 * MS, lost(ms + 7), at(ms));
            told.extend(news.map(|news| (ms, news)));
            assert_eq!(episode.is_on(), (1002..13_999).contains(&ms), "{ms}");
        }
        let over = News::Over { lasted: 7997 * MS, wait: 90 * MS, lost: Lost { refused: 12_997, dropped: 6499 } };
        assert_eq!(told, [(1002, News::Begins(Zone::RejectNewWork, 90 * MS)), (13_999, over)]);
        assert_eq!(episode.deadline(), None);
    }

    #[test]
    fn its_end_is_due_although_nothing_comes() {
        let mut episode = Episode::default();
        episode.look(Zone::Drop, false, MS, Lost::default(), at(10));
        assert_eq!(episode.deadline(), Some(at(5010)));
        assert!(matches!(episode.look(Zone::Normal, false, MS, Lost::default(), at(5010)), Some(News::Over { .. })));
        // That the kernel is shut alone begins nothing: it is the end of something.
        assert_eq!(episode.look(Zone::Normal, true, MS, Lost::default(), at(5011)), None);
    }

    #[test]
    fn lines_are_counted_that_are_held_back() {
        let mut throttle = Throttle::default();
        let passed: Vec<_> = (0..12).filter_map(|s| throttle.passes(at(s * 1000)).map(|held| (s, held))).collect();
        assert_eq!(passed, [(0, 0), (5, 4), (10, 4)]);
    }
}
