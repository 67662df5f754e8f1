//! What the four transaction machines share: events' results as actions, and the timers with their durations.

use std::time::Duration;

/// What a machine asks its transaction's owner to do. The machines know no bytes, clocks or FIFOs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Start a timer; on a transport where its duration is zero it fires at once.
    Arm(Timer),
    /// Send the kept message once more: the request (client), the last response (server).
    Resend,
    /// Give the message that was received to the transaction user.
    PassUp,
    /// Send the response that the transaction user gave, and keep it.
    Send,
    /// Send a 100 Trying.
    SendTrying,
    /// Build the ACK for this final response, or repeat the one that was built (RFC 3261 §17.1.1.3).
    SendAck,
    /// Drop the kept message: it will not be repeated.
    Forget,
    /// Tell the transaction user that no answer came in time.
    Timeout,
    /// Tell the transaction user that the transport failed.
    TransportFailed,
    /// Destroy the transaction.
    Terminate,
}

/// The timers of RFC 3261 Table 4 and RFC 6026, and three without a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// INVITE request retransmit, unreliable only: T1, doubling.
    A,
    /// INVITE client timeout: 64·T1.
    B,
    /// How long a client absorbs repeated final responses other than 2xx: 32 s, 0 if reliable.
    D,
    /// Non-INVITE request retransmit, unreliable only: T1, doubling to T2.
    E,
    /// Non-INVITE client timeout: 64·T1.
    F,
    /// INVITE response retransmit, unreliable only (RFC 3261: T1, doubling to T2).
    G,
    /// How long an INVITE server waits for the ACK: 64·T1.
    H,
    /// How long an INVITE server absorbs repeated ACKs: T4, 0 if reliable.
    I,
    /// How long a non-INVITE server absorbs repeated requests: 64·T1, 0 if reliable.
    J,
    /// How long a non-INVITE client absorbs repeated responses: T4, 0 if reliable.
    K,
    /// How long an INVITE server stays Accepted (RFC 6026): 64·T1.
    L,
    /// How long an INVITE client stays Accepted (RFC 6026): 64·T1.
    M,
    /// When a server sends 100 by itself: for INVITE within 200 ms (RFC 3261 §17.2.1); for others not before a
    /// client's Timer E has reached T2 (RFC 4320 §4.1).
    Trying,
    /// A cancelled INVITE that got no final response: 64·T1 after the CANCEL (RFC 3261 §9.1).
    Cancelled,
    /// A non-INVITE server that was given no answer: its client has timed out by then, and a late answer or a 408 is
    /// forbidden (RFC 4320 §4.2).
    Abandoned,
}

/// The base values of all timers (RFC 3261 Table 4); a stack has one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerValues {
    /// Round-trip time estimate; 500 ms.
    pub t1: Duration,
    /// Longest interval between retransmissions; 4 s.
    pub t2: Duration,
    /// Longest life of a message in the network; 5 s.
    pub t4: Duration,
    /// Timer D, at least 32 s.
    pub d: Duration,
    /// When an INVITE server sends 100 by itself, at most 200 ms; 80 ms as in reSIProcate.
    pub trying: Duration,
    /// Timer C of a proxy, more than 3 minutes (RFC 3261 §16.6 step 11).
    pub c: Duration,
}

impl Default for TimerValues {
    fn default() -> Self {
        TimerValues {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            d: Duration::from_secs(32),
            trying: Duration::from_millis(80),
            c: Duration::from_secs(185),
        }
    }
}

impl TimerValues {
    /// 64·T1: Timers B, F, H, J, L, M, and N of RFC 6665 §4.1.2.4 (how long a subscriber waits for its first NOTIFY).
    pub fn long(&self) -> Duration {
        self.t1 * 64
    }

    /// How long a timer runs; `round` counts the firings of a retransmission timer from zero. `None`: on this kind
    /// of transport the timer is not started at all.
    pub fn duration(&self, timer: Timer, reliable: bool, round: u8) -> Option<Duration> {
        let zero_if_reliable = |d| Some(if reliable { Duration::ZERO } else { d });
        let doubled = self.t1 * 2u32.saturating_pow(u32::from(round.min(16)));
        match timer {
            Timer::A => (!reliable).then_some(doubled),
            Timer::E | Timer::G => (!reliable).then_some(doubled.min(self.t2)),
            Timer::D => zero_if_reliable(self.d),
            Timer::I | Timer::K => zero_if_reliable(self.t4),
            Timer::J => zero_if_reliable(self.long()),
            Timer::B | Timer::F | Timer::H | Timer::L | Timer::M | Timer::Cancelled | Timer::Abandoned => {
                Some(self.long())
            }
            Timer::Trying => Some(self.trying),
        }
    }

    /// When a non-INVITE server may send 100: the sum of Timer E's intervals until T2 is reached, 3.5 s by default
    /// (RFC 4320 §4.1).
    pub fn non_invite_trying(&self) -> Duration {
        let (mut sum, mut next) = (Duration::ZERO, self.t1.max(Duration::from_millis(1)));
        while next < self.t2 {
            sum += next;
            next *= 2;
        }
        sum
    }
}
