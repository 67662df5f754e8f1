//! Statistics for people: a few lines, without what is zero.

use super::{FifoStatistics, Statistics, TransportStatistics};
use rutil::stats::Snapshot;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// A line of `name value` pairs that leaves out zeros.
struct Line {
    text: String,
    told: bool,
}

impl Line {
    fn new(title: impl fmt::Display) -> Self {
        Line { text: format!("{title}:"), told: false }
    }

    fn add(&mut self, what: fmt::Arguments<'_>) -> &mut Self {
        self.told = true;
        // A String takes everything.
        let _ = write!(self.text, " {what}");
        self
    }

    fn count(&mut self, name: &str, value: u64) -> &mut Self {
        if value > 0 { self.add(format_args!("{name} {value}")) } else { self }
    }

    fn times(&mut self, name: &str, times: &Snapshot) -> &mut Self {
        let of = |q| Milliseconds(times.quantile(q));
        match times.count() {
            0 => self,
            _ => self.add(format_args!("{name} p50 {} p99 {} most {}", of(0.5), of(0.99), Milliseconds(times.max()))),
        }
    }

    /// Unless there is nothing to say.
    fn end(self) -> Option<String> {
        self.told.then_some(self.text)
    }
}

/// A duration as an operator compares it with others.
struct Milliseconds(Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}ms", self.0.as_secs_f64() * 1000.0)
    }
}

impl Statistics {
    /// A few lines for a log: what came and went, transactions, what was refused or lost, look-ups, and each transport.
    /// What is zero is left out.
    pub fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![self.messages(true), self.messages(false), self.transactions(), self.load(), self.lookups()];
        lines.extend(self.transports.iter().map(transport));
        lines.into_iter().flatten().collect()
    }

    fn messages(&self, received: bool) -> Option<String> {
        let mut line = Line::new(if received { "received" } else { "sent" });
        for count in &self.requests {
            line.count(&count.method, if received { count.received } else { count.sent });
        }
        for class in 1..=6 {
            let [invite, other] = [true, false].map(|to_invite| self.responses_of_class(class, to_invite));
            let [invite, other] = [invite, other].map(|(came, went)| if received { came } else { went });
            line.count(&format!("{class}xx"), invite + other);
        }
        line.end()
    }

    fn transactions(&self) -> Option<String> {
        let t = &self.transactions;
        let mut line = Line::new("transactions");
        line.count("clients", t.clients).count("servers", t.servers);
        for count in &self.states {
            line.add(format_args!("{}/{} {}", count.kind.replace(' ', "-"), count.state, count.alive));
        }
        line.count("retransmitted", t.retransmitted).count("absorbed", t.absorbed + t.absorbed_responses);
        line.count("timeouts", t.timeouts).count("transport-failures", t.transport_failures);
        line.count("failovers", t.failovers).count("no-ack", t.no_ack).count("stray-responses", t.stray_responses);
        line.count("refused", t.refused).count("merged", t.merged).count("shed", t.shed).count("not-kept", t.not_kept);
        line.times("invite-final", &self.invite_times).times("other-final", &self.non_invite_times);
        line.end()
    }

    fn load(&self) -> Option<String> {
        let (s, o) = (&self.scanner, &self.overload);
        let mut line = Line::new("load");
        line.add(format_args!("{:?} {}%", o.zone, o.load));
        if let Some(worst) = self.fifos.iter().max_by_key(|fifo| (fifo.waits.quantile(0.99), fifo.peak)) {
            fifo(&mut line, worst);
        }
        line.count("overload-503", s.overload).count("dropped", s.dropped).count("excess", s.excess);
        line.count("kernel-drops", self.transports.iter().filter_map(|t| t.kernel_drops).sum());
        if o.share < crate::overload::ALL {
            line.add(format_args!("let-through {}%", o.share * 100 / crate::overload::ALL));
        }
        line.count("malformed", s.refused).count("garbage", s.garbage).count("shed", s.shed);
        line.count("bans", s.bans).count("banned-now", self.banned as u64).count("not-read", s.banned);
        line.count("late-partials", s.late_partials).count("shed-partials", s.shed_partials);
        line.count("hep-exported", self.hep_exported).count("hep-shed", self.hep_shed);
        line.end()
    }

    fn lookups(&self) -> Option<String> {
        let d = &self.dns;
        let mut line = Line::new("dns");
        line.count("asked", d.asked).count("answered", d.answered).count("not-found", d.not_found);
        line.count("failed", d.failed).count("timed-out", d.timed_out).count("cached", d.cached);
        line.count("greylisted", d.greylisted).times("time", &self.dns_times);
        line.end()
    }
}

fn fifo(line: &mut Line, fifo: &FifoStatistics) {
    let (wait, most) = (Milliseconds(fifo.waits.quantile(0.99)), Milliseconds(fifo.waits.max()));
    line.add(format_args!("slowest-fifo {} p99 {wait} most {most} peak {}/{}", fifo.name, fifo.peak, fifo.capacity));
}

fn transport(of: &TransportStatistics) -> Option<String> {
    let c = &of.counters;
    let mut line = Line::new(format_args!("{} {}", of.kind.as_param(), of.bound));
    line.count("in", c.received).count("octets-in", c.received_octets);
    line.count("out", c.sent).count("octets-out", c.sent_octets);
    line.count("open", of.open()).count("accepted", c.accepted).count("connected", c.connected);
    line.count("refused", c.refused).count("closed", c.closed);
    line.count("handshakes", c.handshakes).count("handshakes-failed", c.handshakes_failed);
    line.count("shed-in", c.shed_received).count("shed-out", c.shed_sent).count("undelivered", c.undelivered);
    line.count("errors", c.errors).count("kernel-drops", of.kernel_drops.unwrap_or_default());
    line.end()
}
