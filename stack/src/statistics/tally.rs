//! What the actors of one shard count beside their own: its runner alone writes, anyone reads.

use super::counters::{Counter, counters};
use super::{MethodCount, ResponseCount};
use crate::header::{KNOWN_METHODS, Method};
use crate::transaction::{client_invite, client_non_invite, server_invite, server_non_invite};
use rutil::Histogram;
use std::time::Duration;

/// Methods that are told apart: the known ones, and all others together.
const METHODS: usize = KNOWN_METHODS.len() + 1;
/// Status codes: 100 to 699.
const CODES: usize = 600;
/// States of one kind of transaction.
const STATES: usize = 6;

/// Numbers that differ by what is counted.
#[derive(Debug)]
struct Row(Box<[Counter]>);

impl Row {
    fn new(length: usize) -> Self {
        Row((0..length).map(|_| Counter::default()).collect())
    }
    #[inline]
    fn inc(&self, at: usize) {
        if let Some(counter) = self.0.get(at) {
            counter.inc();
        }
    }
    #[inline]
    fn dec(&self, at: usize) {
        if let Some(counter) = self.0.get(at) {
            counter.dec();
        }
    }
    fn get(&self, at: usize) -> u64 {
        self.0.get(at).map_or(0, Counter::get)
    }
}

/// The state of one transaction, as a place in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

impl Place {
    pub(crate) const fn client_invite(state: client_invite::State) -> Self {
        Place(state as usize)
    }
    pub(crate) const fn client_non_invite(state: client_non_invite::State) -> Self {
        Place(STATES + state as usize)
    }
    pub(crate) const fn server_invite(state: server_invite::State) -> Self {
        Place(2 * STATES + state as usize)
    }
    pub(crate) const fn server_non_invite(state: server_non_invite::State) -> Self {
        Place(3 * STATES + state as usize)
    }
}

counters! {
    /// Counters of the look-ups of one shard.
    pub struct DnsStats => /// The values of [`DnsStats`] at one moment.
    DnsSnapshot;
    /// Questions to the name servers.
    asked,
    /// Questions that were answered with records.
    answered,
    /// Questions to which the answer was that there are no such records.
    not_found,
    /// Questions that the name servers could not answer, or that were none.
    failed,
    /// Questions that no name server answered in time.
    timed_out,
    /// Questions that were not asked, because the answer was known.
    cached,
    /// Targets that were put behind others because they failed or asked for a rest.
    greylisted,
}

/// Counters of one shard.
#[derive(Debug)]
pub(crate) struct Tally {
    requests_received: Row,
    requests_sent: Row,
    /// Those to INVITE, then those to other requests.
    responses_received: Row,
    responses_sent: Row,
    states: Row,
    /// From request to final response: of INVITE, of other requests.
    pub(crate) finals: [Histogram; 2],
    /// From question to answer.
    pub(crate) dns_time: Histogram,
    pub(crate) dns: DnsStats,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            requests_received: Row::new(METHODS),
            requests_sent: Row::new(METHODS),
            responses_received: Row::new(2 * CODES),
            responses_sent: Row::new(2 * CODES),
            states: Row::new(4 * STATES),
            finals: Default::default(),
            dns_time: Histogram::new(),
            dns: DnsStats::default(),
        }
    }
}

impl Tally {
    /// A request goes to the transactions.
    #[inline]
    pub(crate) fn request_received(&self, method: Option<&Method<'_>>) {
        self.requests_received.inc(method.map_or(METHODS - 1, Method::place));
    }

    /// A message goes to a transport: of a request, the method is read.
    #[inline]
    pub(crate) fn sent(&self, octets: &[u8]) {
        if octets.starts_with(b"SIP/2.0 ") {
            return;
        }
        let name = octets.iter().position(|b| *b == b' ').and_then(|end| octets.get(..end));
        let method = name.and_then(Method::known);
        self.requests_sent.inc(method.map_or(METHODS - 1, |method| method.place()));
    }

    /// A response goes to the transactions.
    #[inline]
    pub(crate) fn response_received(&self, to: Option<&Method<'_>>, code: Option<u16>) {
        Self::response(&self.responses_received, to == Some(&Method::Invite), code);
    }

    /// A response of this code goes out, for the first time or again.
    #[inline]
    pub(crate) fn response_sent(&self, to_invite: bool, code: u16) {
        Self::response(&self.responses_sent, to_invite, Some(code));
    }

    /// The same of the octets of a response.
    #[inline]
    pub(crate) fn octets_sent(&self, to_invite: bool, octets: &[u8]) {
        let Some(&[a, b, c]) = octets.get(8..11) else { return };
        let code = [a, b, c].iter().fold(0, |code, digit| code * 10 + u16::from(digit.wrapping_sub(b'0')));
        self.response_sent(to_invite, code);
    }

    #[inline]
    fn response(row: &Row, to_invite: bool, code: Option<u16>) {
        if let Some(at) = code.and_then(|code| usize::from(code).checked_sub(100)).filter(|at| *at < CODES) {
            row.inc(if to_invite { at } else { CODES + at });
        }
    }

    /// A transaction begins in this state.
    #[inline]
    pub(crate) fn enters(&self, place: Place) {
        self.states.inc(place.0);
    }

    /// A transaction goes from one state to another, or stays.
    #[inline]
    pub(crate) fn moves(&self, from: Place, to: Place) {
        if from != to {
            self.states.dec(from.0);
            self.states.inc(to.0);
        }
    }

    /// A transaction ends in this state.
    #[inline]
    pub(crate) fn leaves(&self, place: Place) {
        self.states.dec(place.0);
    }

    /// A client transaction has its final response.
    #[inline]
    pub(crate) fn final_after(&self, invite: bool, took: Duration) {
        self.finals[usize::from(!invite)].record(took);
    }

    /// How many transactions are in a state.
    pub(super) fn in_state(&self, place: Place) -> u64 {
        self.states.get(place.0)
    }

    /// What was counted of each method.
    pub(super) fn methods(&self) -> impl Iterator<Item = MethodCount> {
        let names = KNOWN_METHODS.iter().map(|method| method.as_str()).chain(["other"]);
        names.zip(0..).map(|(method, at)| MethodCount {
            method: method.to_owned(),
            received: self.requests_received.get(at),
            sent: self.requests_sent.get(at),
        })
    }

    /// What was counted of each status code that was seen.
    pub(super) fn responses(&self) -> impl Iterator<Item = ResponseCount> {
        let counts = (0..2 * CODES).map(|at| ResponseCount {
            to_invite: at < CODES,
            code: (at % CODES) as u16 + 100,
            received: self.responses_received.get(at),
            sent: self.responses_sent.get(at),
        });
        counts.filter(|count| count.received + count.sent > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_codes_have_places_of_their_own() {
        let tally = Tally::default();
        for (n, method) in KNOWN_METHODS.iter().enumerate() {
            (0..=n).for_each(|_| tally.sent(format!("{} sip:a SIP/2.0\r\n", method.as_str()).as_bytes()));
            tally.request_received(Some(method));
        }
        for octets in [&b"ZAP sip:a SIP/2.0"[..], b"SIP/2.0 200 OK", b"", b"INVITE"] {
            tally.sent(octets);
        }
        tally.request_received(None);
        let counts: Vec<_> = tally.methods().collect();
        let sent: Vec<u64> = counts.iter().map(|count| count.sent).collect();
        assert_eq!(sent, (1..=KNOWN_METHODS.len() as u64).chain([3]).collect::<Vec<_>>());
        assert!(counts.iter().all(|count| count.received == 1), "{counts:?}");
    }

    #[test]
    fn responses_count_by_code_and_what_they_answer() {
        let tally = Tally::default();
        for octets in [&b"SIP/2.0 180 Ringing"[..], b"SIP/2.0 180", b"SIP/2.0 99", b"SIP/2.0 9", b"SIP/2.0 x00 ", b""] {
            tally.octets_sent(true, octets);
        }
        tally.response_sent(false, 699);
        tally.response_sent(false, 700);
        tally.response_received(Some(&Method::Invite), Some(180));
        tally.response_received(None, Some(100));
        tally.response_received(None, None);
        let count = |to_invite, code, received, sent| ResponseCount { to_invite, code, received, sent };
        let expected = [count(true, 180, 1, 2), count(false, 100, 1, 0), count(false, 699, 0, 1)];
        assert_eq!(tally.responses().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn states_balance() {
        let tally = Tally::default();
        let places = client_invite::STATES.map(Place::client_invite).into_iter();
        let places = places.chain(client_non_invite::STATES.map(Place::client_non_invite));
        let places = places.chain(server_invite::STATES.map(Place::server_invite));
        let mut places: Vec<Place> = places.chain(server_non_invite::STATES.map(Place::server_non_invite)).collect();
        places.iter().for_each(|place| tally.enters(*place));
        assert!(places.iter().all(|place| tally.in_state(*place) == 1), "no two share a place");
        let last = places.pop().unwrap();
        places.iter().for_each(|place| tally.moves(*place, last));
        tally.moves(last, last);
        assert_eq!(tally.in_state(last), places.len() as u64 + 1);
        tally.leaves(last);
        assert_eq!(tally.in_state(last), places.len() as u64);
    }
}
