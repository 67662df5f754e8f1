//! When a registration or publication is refreshed, and when one that was refused is tried again.

use crate::outcome::Outcome;
use rutil::Rng;
use stack::header::h;
use std::time::Duration;

/// RFC 5626 §4.5: what waits grow from where no flow is left, and where there are others; and the longest.
const BASE: Duration = Duration::from_secs(30);
const BASE_WITH_OTHERS: Duration = Duration::from_secs(90);
const LONGEST: Duration = Duration::from_secs(1800);

/// No server puts off another try for longer, whatever its Retry-After says.
pub(crate) const LONGEST_TOLD: Duration = Duration::from_secs(24 * 3600);

/// How long after an answer that grants `expires` seconds the refresh is sent: at 85 to 90 % of the time, so that those
/// who came together do not come back together, and not less than 5 s before the end.
pub(crate) fn refresh(expires: u32, rng: &mut Rng) -> Duration {
    let whole = Duration::from_secs(expires.into());
    let jitter = Duration::from_millis(rng.range(u64::from(expires) * 50 + 1));
    let soon = (whole * 9 / 10).saturating_sub(jitter);
    soon.min(whole.saturating_sub(Duration::from_secs(5))).max(Duration::from_secs(1).min(whole)).max(MIN)
}

/// A user agent with so many registrations has each refreshed at its own time.
pub(crate) const MANY: usize = 100;

/// How long after its first answer a registration of many is refreshed: anywhere in the time that [`refresh`] takes. So those
/// who began together, as after a restart, come evenly from then on, for one REGISTER more each.
pub(crate) fn first_refresh_of_many(expires: u32, rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.range(u64::from(expires) * 875 + 1)).max(MIN)
}

/// A server that grants nothing is not asked without end.
const MIN: Duration = Duration::from_secs(1);

/// After how long a refused request is worth another try: what Retry-After says; for a server or network that fails, or a
/// server that grants no time, a time that doubles with each of `failures` in a row (RFC 5626 §4.5); none for what will be
/// refused again.
pub(crate) fn retry(outcome: &Outcome, failures: u32, rng: &mut Rng) -> Option<Duration> {
    retry_after(outcome).or_else(|| is_worth_it(outcome).then(|| grown(BASE, failures, rng)))
}

/// The same for a registration by flow; `others`: the device has flows that have not failed. 30 to 60 s after the first
/// failure, 90 to 180 s where there are others, as in the table of RFC 5626 §4.5.
pub(super) fn retry_by_flow(outcome: &Outcome, failures: u32, others: bool, rng: &mut Rng) -> Option<Duration> {
    let again =
        || (is_worth_it(outcome) || outcome.status == 430).then(|| back_off(failures.saturating_add(1), others, rng));
    retry_after(outcome).or_else(again)
}

/// How long no new flow is made to where so many have failed in a row.
pub(super) fn back_off(failures: u32, others: bool, rng: &mut Rng) -> Duration {
    grown(if others { BASE_WITH_OTHERS } else { BASE }, failures, rng)
}

fn retry_after(outcome: &Outcome) -> Option<Duration> {
    let after = outcome.response.as_ref()?.header(h::RETRY_AFTER).ok()?;
    Some(Duration::from_secs(after.seconds.into()).clamp(MIN, LONGEST_TOLD))
}

fn is_worth_it(outcome: &Outcome) -> bool {
    matches!(outcome.status, 200..300 | 408 | 500..600)
}

/// A half to the whole of what has doubled so often.
fn grown(base: Duration, doublings: u32, rng: &mut Rng) -> Duration {
    let upper = (base * 2u32.saturating_pow(doublings.min(10))).min(LONGEST);
    upper / 2 + Duration::from_millis(rng.range(upper.as_millis() as u64 / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::message::Message;
    use std::sync::Arc;

    #[test]
    fn refreshes_come_before_the_end_and_not_together() {
        let mut rng = Rng::from_seed(2);
        for expires in [0, 1, 3, 6, 30, 60, 600, 3600, u32::MAX] {
            let all: Vec<_> = (0..200).map(|_| refresh(expires, &mut rng)).collect();
            let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            let whole = Duration::from_secs(expires.into());
            assert!(*most <= whole.max(MIN) && *least >= MIN, "{expires}: {most:?}");
            if expires >= 60 {
                assert!(*most <= whole * 9 / 10 && *least >= whole * 84 / 100, "{expires}: {least:?} {most:?}");
                assert!(*most - *least > whole / 25, "{expires}: spread");
            }
        }
    }

    #[test]
    fn retries_wait_as_they_are_told_or_longer_and_longer() {
        let mut rng = Rng::from_seed(2);
        let status = |status| Outcome { status, response: None, failure: None };
        for (says, waits) in [(7, 7), (0, 1), (90_000, 86_400), (u32::MAX, 86_400)] {
            let mut told = Message::status_line(404, None);
            told.set(h::RETRY_AFTER, &says);
            let told = Outcome { status: 404, response: Some(Arc::new(told)), failure: None };
            assert_eq!(retry(&told, 9, &mut rng), Some(Duration::from_secs(waits)));
            assert_eq!(retry_by_flow(&told, 9, true, &mut rng), Some(Duration::from_secs(waits)));
        }
        for code in [300, 400, 401, 403, 404, 423, 600] {
            assert_eq!(retry(&status(code), 0, &mut rng), None, "{code}");
        }
        for (code, failures, upper) in
            [(503, 0, 30), (200, 0, 30), (503, 1, 60), (200, 3, 240), (503, 6, 1800), (408, u32::MAX, 1800)]
        {
            for _ in 0..50 {
                let wait = retry(&status(code), failures, &mut rng).unwrap();
                let upper = Duration::from_secs(upper);
                assert!(wait >= upper / 2 && wait <= upper, "{failures}: {wait:?}");
            }
        }
    }

    /// The table of RFC 5626 §4.5, in seconds.
    #[test]
    fn flows_that_fail_wait_as_the_table_has_it() {
        let mut rng = Rng::from_seed(2);
        let refused = Outcome { status: 408, response: None, failure: None };
        for (failures, alone, with_others) in [
            (1, 30..=60, 90..=180),
            (2, 60..=120, 180..=360),
            (3, 120..=240, 360..=720),
            (4, 240..=480, 720..=1440),
            (5, 480..=960, 900..=1800),
            (6, 900..=1800, 900..=1800),
            (u32::MAX, 900..=1800, 900..=1800),
        ] {
            for (others, range) in [(false, alone), (true, with_others)] {
                for _ in 0..50 {
                    let wait = back_off(failures, others, &mut rng).as_secs_f64();
                    assert!(wait >= f64::from(*range.start()) && wait <= f64::from(*range.end()), "{failures} {wait}");
                    let wait = retry_by_flow(&refused, failures - 1, others, &mut rng).unwrap().as_secs_f64();
                    assert!(wait >= f64::from(*range.start()) && wait <= f64::from(*range.end()), "{failures} {wait}");
                }
            }
        }
    }
}
