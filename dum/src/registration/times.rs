//! When a registration or publication is refreshed, and when one that was refused is tried again.

use crate::outcome::Outcome;
use rutil::Rng;
use stack::header::h;
use std::time::Duration;

/// RFC 5626 §4.5: the first wait, when no flow is left, and the longest.
const BASE: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(1800);

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
    if let Some(Ok(after)) = outcome.response.as_ref().map(|response| response.header(h::RETRY_AFTER)) {
        return Some(Duration::from_secs(after.seconds.into()).max(MIN));
    }
    matches!(outcome.status, 200..300 | 408 | 500..600).then(|| {
        let upper = (BASE * 2u32.saturating_pow(failures.min(10))).min(LONGEST);
        upper / 2 + Duration::from_millis(rng.range(upper.as_millis() as u64 / 2 + 1))
    })
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
        let status = |status| Outcome { status, response: None };
        let mut told = Message::status_line(404, None);
        told.set(h::RETRY_AFTER, &7);
        let told = Outcome { status: 404, response: Some(Arc::new(told)) };
        assert_eq!(retry(&told, 9, &mut rng), Some(Duration::from_secs(7)));
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
}
