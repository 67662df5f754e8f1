//! How a stack behaves.

use crate::flow_token::FlowKey;
use crate::hep::HepOptions;
use crate::message::Limits;
use crate::overload::{OverloadOptions, SourceLimits};
use crate::transaction::TimerValues;
use crate::uri::SipUri;
use std::net::SocketAddr;
use std::time::Duration;

/// How a stack behaves, apart from its transports and transaction users.
#[derive(Clone, Debug)]
pub struct StackOptions {
    /// The transactions' timers.
    pub timers: TimerValues,
    /// Bounds on messages.
    pub limits: Limits,
    /// Most client and most server transactions of a shard, those included that only absorb retransmissions.
    pub transactions: usize,
    /// Octets of messages that the transactions of a shard keep at most: requests until their final response, and what
    /// may have to be sent again. Above it new transactions are refused as above [`StackOptions::transactions`], and a
    /// response that does not fit is sent but not kept for a retransmission. 1 GiB. The memory behind is at most twice
    /// that, and a few hundred octets a transaction.
    pub transaction_octets: usize,
    /// Octets of incomplete messages that the streams of a shard hold at most. Above it the connection whose message is
    /// incomplete longest is closed. 64 MiB; less than [`Limits::message`] and 64 KiB keeps large messages out.
    pub partial_octets: usize,
    /// Requests with more octets leave UDP for TCP where the next hop was not told otherwise (RFC 3261 §18.1.1: 1300,
    /// or the path's MTU less 200).
    pub udp_limit: usize,
    /// Where messages are exported to (HEPv3); `None`: nowhere.
    pub hep: Option<HepOptions>,
    /// Where requests without a Route go; `None`: to their Request-URI.
    pub outbound_proxy: Option<SipUri<'static>>,
    /// The name servers to ask; none: the system's. [`crate::Stack::set_name_servers`] changes them later.
    pub name_servers: Vec<SocketAddr>,
    /// How long a connection to one address of a host may take before the next address is tried beside it, where a host
    /// has addresses of both families (RFC 8305 §5, Connection Attempt Delay); 10 ms at least. 250 ms.
    pub connection_attempt_delay: Duration,
    /// Where `tel` URIs are looked up (ENUM, RFC 6116): `e164.arpa`, or a suffix of one's own. `None`: nowhere.
    pub enum_suffix: Option<String>,
    /// The key of flow tokens for UDP, if they are to outlive the process; `None`: one is drawn.
    pub flow_key: Option<FlowKey>,
    /// Without transactions, for tools that write Via and branch themselves: every message goes to the first transaction user
    /// as it came ([`crate::tu::TuEvent::Raw`]), on the shard that its Call-ID says ([`crate::tu::raw_shard`]), and what that
    /// sends goes out as it is ([`crate::tu::TuContext::send_raw`]).
    pub raw: bool,
    /// When new work is refused.
    pub overload: OverloadOptions,
    /// What one source may ask for. By default nothing is limited.
    pub source_limits: SourceLimits,
}

impl Default for StackOptions {
    fn default() -> Self {
        StackOptions {
            timers: TimerValues::default(),
            limits: Limits::default(),
            transactions: 1_000_000,
            transaction_octets: 1 << 30,
            partial_octets: 64 << 20,
            udp_limit: 1300,
            hep: None,
            outbound_proxy: None,
            name_servers: Vec::new(),
            connection_attempt_delay: Duration::from_millis(250),
            enum_suffix: None,
            flow_key: None,
            raw: false,
            overload: OverloadOptions::default(),
            source_limits: SourceLimits::default(),
        }
    }
}
