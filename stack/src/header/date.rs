//! Date (RFC 3261 §20.17): `Sat, 13 Nov 2010 23:29:00 GMT`, in GMT and nothing else.

use super::{HeaderValue, ParseError};
use crate::grammar::rules::{Fault, Parsed, lws1, whole};
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take, take_while_m_n};
use nom::character::complete::char;
use nom::combinator::{map_opt, verify};
use nom::error::context;
use std::fmt;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A date and time, to the second, in GMT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// The year, 1970 to 9999.
    pub year: u16,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 60 (a leap second).
    pub second: u8,
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first day of a year, from 1970.
fn days_before(year: u64) -> u64 {
    let whole = year - 1;
    whole * 365 + whole / 4 - whole / 100 + whole / 400 - 719_162
}

impl Date {
    /// The date that is this many seconds after 1970-01-01 00:00:00; the last of 9999 for what is later.
    pub fn from_unix(seconds: u64) -> Date {
        let seconds = seconds.min(253_402_300_799);
        let (mut days, time) = (seconds / 86_400, seconds % 86_400);
        // No year is longer than 366 days, so this is at most a few too early.
        let mut year = 1970 + days / 366;
        while days >= days_before(year + 1) {
            year += 1;
        }
        days -= days_before(year);
        let (year, mut month) = (u16::try_from(year).unwrap_or(9999), 1);
        while days >= u64::from(days_in_month(year, month)) {
            days -= u64::from(days_in_month(year, month));
            month += 1;
        }
        let small = |n: u64| n as u8;
        let (hour, minute, second) = (small(time / 3600), small(time / 60 % 60), small(time % 60));
        Date { year, month, day: small(days) + 1, hour, minute, second }
    }

    /// How many seconds after 1970-01-01 00:00:00 this is.
    pub fn to_unix(self) -> u64 {
        let time = u64::from(self.hour) * 3600 + u64::from(self.minute) * 60 + u64::from(self.second);
        self.days() * 86_400 + time
    }

    /// Days since 1970-01-01.
    fn days(self) -> u64 {
        let years = days_before(self.year.max(1970).into());
        let months: u64 = (1..self.month).map(|month| u64::from(days_in_month(self.year, month))).sum();
        years + months + u64::from(self.day.max(1)) - 1
    }
}

/// `n` digits.
fn fixed<'a>(n: usize) -> impl Parser<&'a str, Output = u16, Error = Fault<'a>> {
    map_opt(take_while_m_n(n, n, |c: char| c.is_ascii_digit()), |text: &str| text.parse().ok())
}

/// Two digits up to `most`.
fn two<'a>(most: u16) -> impl Parser<&'a str, Output = u8, Error = Fault<'a>> {
    map_opt(fixed(2), move |n| u8::try_from(n).ok().filter(|_| n <= most))
}

fn time(input: &str) -> Parsed<'_, (u8, u8, u8)> {
    let colon = || char(':');
    let rule = (two(23), colon(), two(59), colon(), two(60)).map(|(hour, _, minute, _, second)| (hour, minute, second));
    context("time expected", rule).parse(input)
}

fn date(input: &str) -> Parsed<'_, Date> {
    let three = || take(3usize);
    let weekday = verify(three(), |name: &str| DAYS.iter().any(|day| day.eq_ignore_ascii_case(name)));
    let month = map_opt(three(), |name: &str| MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name)));
    let rule = (
        (context("day of the week expected", weekday), char(','), lws1),
        (context("day expected", alt((two(31), fixed(1).map(|n| n as u8)))), lws1),
        (context("month expected", month), lws1),
        (context("year from 1970 expected", verify(fixed(4), |year| *year >= 1970)), lws1),
        (time, lws1),
        context("zone is not GMT", tag_no_case("GMT")),
    );
    rule.map(|(_, (day, _), (month, _), (year, _), ((hour, minute, second), _), _)| Date {
        year,
        month: month as u8 + 1,
        day,
        hour,
        minute,
        second,
    })
    .parse(input)
}

impl HeaderValue for Date {
    type Value<'a> = Date;

    fn parse(text: &str) -> Result<Date, ParseError> {
        let exists = |date: &Date| (1..=days_in_month(date.year, date.month)).contains(&date.day);
        whole(text, "Date", context("no such day", verify(date, exists)))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weekday = DAYS[(self.days() % 7) as usize];
        let month = MONTHS.get(usize::from(self.month).wrapping_sub(1)).unwrap_or(&"Jan");
        write!(f, "{weekday}, {:02} {month} {:04} ", self.day, self.year)?;
        write!(f, "{:02}:{:02}:{:02} GMT", self.hour, self.minute, self.second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for (text, unix) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940),
            ("Thu, 29 Feb 2024 12:00:01 GMT", 1_709_208_001),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ] {
            let date = Date::parse(text).unwrap();
            assert_eq!((date.to_unix(), date.to_string().as_str()), (unix, text));
            assert_eq!(Date::from_unix(unix), date);
        }
        assert_eq!(Date::from_unix(u64::MAX).year, 9999);
        assert_eq!(Date::parse("sat,  3 nov 2010\r\n 23:29:00 gmt").unwrap().day, 3);
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset, rule) in [
            ("Fri, 01 Jan 2010 16:00:00 EST", 26, "zone is not GMT"),
            ("Xri, 01 Jan 2010 16:00:00 GMT", 0, "day of the week expected"),
            ("Fri, 01 Foo 2010 16:00:00 GMT", 8, "month expected"),
            ("Fri, 30 Feb 2010 16:00:00 GMT", 0, "no such day"),
            ("Fri, 01 Jan 2010 24:00:00 GMT", 17, "time expected"),
            ("Fri, 01 Jan 1969 16:00:00 GMT", 12, "year from 1970 expected"),
            ("Fri, 01 Jan 2010 16:00:00 GMT+1", 29, "nothing may follow the value"),
        ] {
            assert_eq!(Date::parse(text), Err(ParseError { offset, rule }), "{text}");
        }
        assert!(Date::parse("").is_err());
    }
}
