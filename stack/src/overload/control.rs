//! Overload control by loss between neighbours (RFC 7339): what the `oc` parameters of a Via say.

use super::Work;
use super::intake::ALL;
use crate::header::Via;
use crate::header::h;
use crate::message::Message;
use rutil::{HashMap, Keyed, Rng, Time};
use std::net::SocketAddr;
use std::time::Duration;

/// How long what a server says is valid when it does not say how long (§4.2), and what we say.
const VALIDITY: Duration = Duration::from_millis(500);
/// The longest validity that is believed.
const VALIDITY_MAX: Duration = Duration::from_secs(60);
/// The largest share that is told, percent.
const LOSS_MAX: u32 = 99;
/// Next hops whose wishes are remembered.
const NEXT_HOPS: usize = 4096;

/// What a next hop asks for in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// The share of new work to leave out, percent.
    pub loss: u32,
    /// For how long.
    pub validity: Duration,
    /// A later report has a greater one (§4.3): the numbers before and behind the point.
    pub sequence: (u64, u32),
}

impl LoadReport {
    /// Reads what the Via says that we sent a request with. `None`: nothing, or not what was offered.
    pub(crate) fn of(via: &Via<'_>) -> Option<LoadReport> {
        let loss = via.params.get("oc")?.parse::<u32>().ok().filter(|loss| *loss <= 100)?;
        let algorithm = via.params.get("oc-algo").unwrap_or("loss").trim_matches('"');
        if !algorithm.eq_ignore_ascii_case("loss") {
            return None;
        }
        let validity =
            via.params.get("oc-validity").and_then(|text| text.parse().ok()).map_or(VALIDITY, Duration::from_millis);
        let (whole, part) = via.params.get("oc-seq").and_then(|text| text.split_once('.')).unwrap_or(("0", "0"));
        let sequence = (whole.parse().unwrap_or(0), part.parse().unwrap_or(0));
        Some(LoadReport { loss, validity: validity.min(VALIDITY_MAX), sequence })
    }
}

/// Whether a request that is not to be parsed may be one of a neighbour that offers control.
pub(crate) fn seems_to_offer(octets: &[u8]) -> bool {
    memchr::memmem::find(octets, b";oc-algo=").is_some()
}

/// Writes into the topmost Via of a response how much its sender should leave out, if it offered control by loss: `share`
/// of [`ALL`] is wanted. Whether it did. Never all: who sends nothing does not hear when the rush is over.
pub(crate) fn report(response: &mut Message, share: u32, now: Time) -> bool {
    let Ok(via) = response.first(h::VIAS) else { return false };
    let offers = via.params.contains("oc") && via.params.get("oc").is_none();
    let algorithms = via.params.get("oc-algo").unwrap_or_default();
    if !offers || !algorithms.trim_matches('"').split(',').any(|name| name.trim().eq_ignore_ascii_case("loss")) {
        return false;
    }
    let loss = (100 - 100 * share.min(ALL) / ALL).min(LOSS_MAX);
    let sequence = format!("{}.{:05}", now.as_millis() / 1000, now.as_nanos() / 10_000 % 100_000);
    let mut via = via.into_owned();
    via.params.remove("oc-algo");
    via.params.remove("oc-validity");
    via.params.remove("oc-seq");
    via.params.set("oc", loss);
    let validity = VALIDITY.as_millis();
    let text = format!("{via};oc-algo=\"loss\";oc-validity={validity};oc-seq={sequence}");
    response.replace_first_raw(h::VIAS, &[text.as_bytes()]);
    true
}

/// What the next hops of a shard want. At most 4,096 are remembered; an entry leaves when it is no longer valid and room
/// is needed, and where there is none, nothing is left out for a new one.
pub(crate) struct NextHops {
    reports: HashMap<SocketAddr, (LoadReport, Time)>,
    rng: Rng,
}

impl NextHops {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        NextHops { reports: HashMap::with_hasher(Keyed::new(rng)), rng: rng.split() }
    }

    /// A next hop has said what it wants. What is older than what it said last counts no more (§5.3).
    pub(crate) fn heard(&mut self, from: SocketAddr, report: LoadReport, now: Time) {
        if let Some((last, until)) = self.reports.get(&from)
            && *until > now
            && last.sequence > report.sequence
        {
            return;
        }
        if report.validity.is_zero() || report.loss == 0 {
            self.reports.remove(&from);
            return;
        }
        if self.reports.len() >= NEXT_HOPS && !self.reports.contains_key(&from) {
            self.reports.retain(|_, (_, until)| *until > now);
        }
        if self.reports.len() < NEXT_HOPS || self.reports.contains_key(&from) {
            self.reports.insert(from, (report, now + report.validity));
        }
    }

    /// Whether a request to this next hop is among those that it wants left out, by lot. Only new work is (§5.10.1).
    pub(crate) fn leaves_out(&mut self, request: &Message, to: SocketAddr, now: Time) -> bool {
        let Some((report, until)) = self.reports.get(&to) else { return false };
        *until > now && Work::of_message(request) == Work::New && self.rng.range(100) < u64::from(report.loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(method: &str, via: &str, to: &str) -> Message {
        let text = format!("{method} sip:a@b SIP/2.0\r\nVia: {via}\r\nTo: <sip:a@b>{to}\r\n\r\n");
        Message::parse(text.as_bytes()).unwrap()
    }

    fn heard(params: &str) -> Option<LoadReport> {
        let via = format!("SIP/2.0/UDP a;branch=z9hG4bK1{params}");
        LoadReport::of(&message("INVITE", &via, "").first(h::VIAS).unwrap())
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let now = Time::from_millis(12_345);
        for (offer, said) in [
            (";oc;oc-algo=\"loss\"", true),
            (";oc-algo=\"rate, LOSS\";oc;rport=5", true),
            (";oc;oc-algo=\"rate\"", false),
            (";oc", false),
            (";rport", false),
            (";oc=5;oc-algo=\"loss\"", false),
        ] {
            let mut response = message("INVITE", &format!("SIP/2.0/UDP a;branch=z9hG4bK1{offer}, SIP/2.0/UDP b"), "");
            let before = response.to_bytes();
            assert_eq!(report(&mut response, ALL / 4, now), said, "{offer}");
            assert_eq!(response.to_bytes() != before, said, "{offer}");
            if said {
                let response = Message::parse(response.to_bytes()).unwrap();
                let via = response.first(h::VIAS).unwrap();
                let expected = LoadReport { loss: 75, validity: VALIDITY, sequence: (12, 34_500) };
                assert_eq!(LoadReport::of(&via), Some(expected), "{via}");
                assert_eq!(via.params.get("oc-algo"), Some("\"loss\""));
                assert_eq!(response.header(h::VIAS).count(), 2);
            }
        }
    }

    #[test]
    fn nothing_but_the_offer_is_changed_and_never_all_is_asked_for() {
        let mut response = message("INVITE", "SIP/2.0/UDP loss.example;branch=z9hG4bKloss;oc;oc-algo=loss;x=loss", "");
        assert!(report(&mut response, 0, Time::ZERO));
        let response = Message::parse(response.to_bytes()).unwrap();
        let text = response.first(h::VIAS).unwrap().to_string();
        assert!(text.starts_with("SIP/2.0/UDP loss.example;branch=z9hG4bKloss;"), "{text}");
        assert!(text.contains(";x=loss;") && text.matches("oc-algo=\"loss\"").count() == 1, "{text}");
        assert_eq!(LoadReport::of(&response.first(h::VIAS).unwrap()).map(|report| report.loss), Some(99));
    }

    #[test]
    fn what_was_not_offered_is_not_heeded() {
        assert_eq!(heard(";oc=20;oc-validity=1000;oc-seq=7.9").map(|r| (r.loss, r.sequence)), Some((20, (7, 9))));
        assert_eq!(heard(";oc=20;oc-validity=4000000000").map(|r| r.validity), Some(VALIDITY_MAX));
        for bad in ["", ";oc", ";oc=101", ";oc=-1", ";oc=x", ";oc=20;oc-algo=\"rate\""] {
            assert_eq!(heard(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_share_is_left_out_as_long_as_it_is_valid() {
        let mut hops = NextHops::new(&mut Rng::from_seed(1));
        let (to, other): (SocketAddr, SocketAddr) =
            ("192.0.2.1:5060".parse().unwrap(), "192.0.2.2:5060".parse().unwrap());
        let at = Time::from_millis;
        let report = |loss, sequence| LoadReport { loss, validity: VALIDITY, sequence: (sequence, 0) };
        let invite = message("INVITE", "SIP/2.0/UDP a", "");
        let out = |hops: &mut NextHops, to, ms| (0..1000).filter(|_| hops.leaves_out(&invite, to, at(ms))).count();
        assert_eq!(out(&mut hops, to, 0), 0);
        hops.heard(to, report(30, 5), at(0));
        assert!((250..350).contains(&out(&mut hops, to, 499)) && out(&mut hops, other, 0) == 0);
        hops.heard(to, report(90, 4), at(1));
        assert!((250..350).contains(&out(&mut hops, to, 2)), "an older report");
        for (method, tag) in [("BYE", ";tag=1"), ("INVITE", ";tag=1"), ("REGISTER", ""), ("ACK", "")] {
            hops.heard(to, report(100, 6), at(3));
            assert!(!hops.leaves_out(&message(method, "SIP/2.0/UDP a", tag), to, at(4)), "{method}");
        }
        assert_eq!((out(&mut hops, to, 502), out(&mut hops, to, 503)), (1000, 0));
        hops.heard(to, report(100, 1), at(600));
        assert_eq!(out(&mut hops, to, 601), 1000, "it began anew");
        hops.heard(to, report(0, 7), at(602));
        assert_eq!(out(&mut hops, to, 603), 0);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut hops = NextHops::new(&mut Rng::from_seed(1));
        let report = LoadReport { loss: 50, validity: VALIDITY, sequence: (0, 0) };
        let hop = |n: u32| SocketAddr::from((std::net::Ipv4Addr::from(n), 5060));
        (0..NEXT_HOPS as u32 + 9).for_each(|n| hops.heard(hop(n), report, Time::ZERO));
        assert_eq!(hops.reports.len(), NEXT_HOPS);
        hops.heard(hop(u32::MAX), report, Time::from_millis(501));
        assert_eq!(hops.reports.len(), 1, "what is no longer valid makes room");
    }
}
