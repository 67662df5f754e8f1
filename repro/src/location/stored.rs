//! Bindings as they outlive the process: JSON, with wall-clock times.
//!
//! What only a connection leads to is left out: it is gone with the process. A flow over UDP stays, if the transport is
//! still there that it came by.

use super::binding::{Binding, By, NewBinding};
use crate::config::Listen;
use rutil::Time;
use serde::{Deserialize, Serialize, Serializer};
use stack::selector::Target;
use stack::transport::{ConnectionId, Flow, TransportId, TransportType};
use stack::uri::{Uri, v4_text};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What is needed to write bindings down and to read them again.
#[derive(Clone, Debug)]
pub struct Notation {
    /// How long after the Unix epoch time zero is.
    pub epoch: Duration,
    /// The transports of a shard.
    pub listen: Vec<Listen>,
    /// How many shards there are.
    pub shards: u16,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Stored<'a> {
    uri: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_empty")]
    params: Cow<'a, str>,
    q: u16,
    /// Unix seconds.
    pub(super) expires: u64,
    call_id: Cow<'a, str>,
    cseq: u32,
    /// Unix milliseconds of the registration.
    pub(super) since: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) neighbour: Option<StoredTarget>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) flow: Option<StoredFlow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    reg_id: u32,
    #[serde(default, skip_serializing_if = "is_false")]
    natted: bool,
    /// The node that has its flow, and how others get there; where nodes share the location service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hop: Option<StoredHop<'a>>,
}

/// What other nodes need for a flow.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredHop<'a> {
    pub(super) node: Cow<'a, str>,
    /// The life of the node that the flow ends with; 0 for one that outlives the process.
    pub(super) life: u64,
    pub(super) route: Cow<'a, str>,
}

/// Transport and address.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredTarget(pub(super) Cow<'static, str>, #[serde(serialize_with = "socket")] pub(super) SocketAddr);

#[derive(Serialize, Deserialize)]
pub(super) struct StoredFlow {
    #[serde(serialize_with = "socket")]
    listen: SocketAddr,
    shard: u16,
    #[serde(serialize_with = "socket")]
    peer: SocketAddr,
    local: Option<IpAddr>,
}

/// An address and its port, as serde writes them: that takes more time than all else of a binding.
fn socket<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        SocketAddr::V4(v4) => {
            let mut text = String::with_capacity("255.255.255.255:65535".len());
            text.push_str(v4_text(*v4.ip(), &mut [0; 15]));
            text.push(':');
            text.push_str(&v4.port().to_string());
            serializer.serialize_str(&text)
        }
        SocketAddr::V6(_) => address.serialize(serializer),
    }
}

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_false(truth: &bool) -> bool {
    !truth
}

/// The second of Unix time in which something ends, rounded up: nothing expires early. `epoch` is how long after 1970 time
/// zero is.
pub(crate) fn to_unix(at: Time, epoch: Duration) -> u64 {
    (epoch + at.since(Time::ZERO)).as_nanos().div_ceil(1_000_000_000) as u64
}

/// The time of a second of Unix time; zero for what was before.
pub(crate) fn from_unix(second: u64, epoch: Duration) -> Time {
    Time::ZERO + Duration::from_secs(second).saturating_sub(epoch)
}

impl Notation {
    /// Takes over where the wall clock stands now, if somebody has set it. Whether that is so: what is off by less than a
    /// second is none of it, so that what is written twice reads the same.
    pub fn follow(&mut self, epoch: Duration) -> bool {
        let is_set = self.epoch.abs_diff(epoch) >= Duration::from_secs(1);
        if is_set {
            self.epoch = epoch;
        }
        is_set
    }

    /// Writes the bindings that outlive the process into `text`, which is emptied first, and gives the time of the last
    /// of them to expire, in Unix seconds; none when there are none.
    ///
    /// # Errors
    /// When one cannot be written as JSON.
    pub fn write(&self, bindings: &[Binding], now: Time, text: &mut Vec<u8>) -> Result<Option<u64>, serde_json::Error> {
        text.clear();
        let mut last = None;
        for binding in bindings.iter().filter(|binding| binding.expires_at > now) {
            let Some(stored) = self.stored(binding) else { continue };
            text.push(if last.is_none() { b'[' } else { b',' });
            last = last.max(Some(stored.expires));
            serde_json::to_writer(&mut *text, &stored)?;
        }
        if last.is_some() {
            text.push(b']');
        }
        Ok(last)
    }

    /// Reads bindings; those that have expired, or whose transport is no longer there, are left out.
    ///
    /// # Errors
    /// When it is not what [`Notation::write`] writes.
    pub fn read(&self, text: &str, now: Time) -> Result<Vec<Binding>, serde_json::Error> {
        let mut all: Vec<Stored<'_>> = serde_json::from_str(text)?;
        // Which of them registered last counts, and they all did before time zero: so they keep their order by it.
        let mut order: Vec<u64> = all.iter().map(|stored| stored.since).collect();
        order.sort_unstable();
        let mut bindings = Vec::with_capacity(all.len());
        for stored in &mut all {
            let rank = order.partition_point(|since| *since < stored.since) as u64;
            bindings.extend(self.binding(stored, Time::from_nanos(rank)).filter(|binding| binding.expires_at > now));
        }
        Ok(bindings)
    }

    fn stored<'b>(&self, binding: &'b Binding) -> Option<Stored<'b>> {
        match binding.by() {
            By::Flow(flow) => Some(Stored { flow: Some(self.stored_flow(flow)?), ..self.without_flow(binding) }),
            // It is the other node's to write down.
            By::Node(_) => None,
            By::Uri | By::Path(_) => Some(self.without_flow(binding)),
        }
    }

    pub(super) fn without_flow<'b>(&self, binding: &'b Binding) -> Stored<'b> {
        let path = match binding.by() {
            By::Path(path) => Some(Cow::Borrowed(&**path)),
            _ => None,
        };
        let since = self.epoch + binding.registered().0.since(Time::ZERO);
        Stored {
            uri: binding.uri().into(),
            params: binding.params().into(),
            q: binding.q,
            expires: to_unix(binding.expires_at, self.epoch),
            call_id: (&*binding.call_id).into(),
            cseq: binding.cseq,
            since: since.as_millis() as u64,
            neighbour: binding.neighbour().map(|at| StoredTarget(at.kind.as_param().into(), at.address)),
            path,
            flow: None,
            device: binding.device().map(Into::into),
            reg_id: binding.reg_id(),
            natted: binding.is_natted(),
            hop: None,
        }
    }

    /// A flow that does not end with the process.
    pub(super) fn stored_flow(&self, flow: &Flow) -> Option<StoredFlow> {
        let each = self.listen.len();
        let number = usize::from(flow.transport.0);
        let listen = self.listen.get(number.checked_rem(each)?)?;
        (listen.kind == TransportType::Udp).then_some(StoredFlow {
            listen: listen.address,
            shard: (number / each) as u16,
            peer: flow.peer,
            local: flow.local,
        })
    }

    fn binding(&self, stored: &Stored<'_>, since: Time) -> Option<Binding> {
        let by = match (&stored.flow, &stored.path) {
            (Some(flow), _) => By::Flow(self.flow(flow)?.into()),
            (None, Some(path)) => By::Path((&**path).into()),
            (None, None) => By::Uri,
        };
        self.binding_by(stored, by, since)
    }

    /// The binding, reached in this way.
    pub(super) fn binding_by(&self, stored: &Stored<'_>, by: By, since: Time) -> Option<Binding> {
        let uri = Uri::parse(&stored.uri).ok()?;
        let neighbour = stored.neighbour.as_ref().and_then(|StoredTarget(kind, address)| {
            Some(Target { kind: TransportType::from_name(kind)?, address: *address })
        });
        let binding = Binding::new(NewBinding {
            uri: &uri,
            text: (&*stored.uri).into(),
            params: &stored.params,
            q: stored.q,
            expires_at: from_unix(stored.expires, self.epoch),
            call_id: &stored.call_id,
            cseq: stored.cseq,
            neighbour,
            by,
            device: stored.device.as_deref(),
            reg_id: stored.reg_id,
            now: since,
        });
        Some(binding.behind_nat(stored.natted))
    }

    pub(super) fn flow(&self, stored: &StoredFlow) -> Option<Flow> {
        let kind = TransportType::Udp;
        let at = self.listen.iter().position(|listen| listen.kind == kind && listen.address == stored.listen)?;
        // Another shard has the same socket addresses.
        let shard = if stored.shard < self.shards { usize::from(stored.shard) } else { 0 };
        let transport = TransportId((shard * self.listen.len() + at) as u16);
        Some(Flow { transport, kind, connection: ConnectionId::default(), peer: stored.peer, local: stored.local })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Duration = Duration::from_secs(1_700_000_000);

    fn notation(listen: &[&str], shards: u16, epoch: Duration) -> Notation {
        Notation { epoch, listen: listen.iter().map(|text| text.parse().unwrap()).collect(), shards }
    }

    fn flow(transport: u16, kind: TransportType, connection: u64) -> Flow {
        let peer = "192.0.2.9:7000".parse().unwrap();
        Flow { transport: TransportId(transport), kind, connection: ConnectionId(connection), peer, local: None }
    }

    fn binding(uri: &str, by: By, reg_id: u32, since: u64) -> Binding {
        at((60_000, Time::from_millis(since)), uri, by, reg_id)
    }

    fn at((expires, since): (u64, Time), uri: &str, by: By, reg_id: u32) -> Binding {
        Binding::new(NewBinding {
            uri: &Uri::parse(uri).unwrap(),
            text: uri.into(),
            params: ";methods=\"INVITE\"",
            q: 300,
            expires_at: Time::from_millis(expires),
            call_id: "<script>'\"--",
            cseq: 7,
            neighbour: Some(Target { kind: TransportType::Tcp, address: "[2001:db8::1]:5060".parse().unwrap() }),
            by,
            device: (reg_id > 0).then_some("<urn:uuid:1>"),
            reg_id,
            now: since,
        })
    }

    #[test]
    fn what_is_written_is_read_by_the_next_process() {
        let listen = ["tcp:127.0.0.1:5060", "udp:127.0.0.1:5060"];
        let mut text = Vec::new();
        let bindings = [
            binding("sip:a@192.0.2.1?Subject=x", By::Uri, 0, 9),
            binding("sip:a@192.0.2.2", By::Path("<sip:p1;lr>, <sip:p2;lr>".into()), 0, 9),
            binding("sip:a@192.0.2.3", By::Flow(flow(3, TransportType::Udp, 0).into()), 1, 8).behind_nat(true),
        ];
        let last = notation(&listen, 2, EPOCH).write(&bindings, Time::ZERO, &mut text).unwrap();
        assert_eq!(last, Some(EPOCH.as_secs() + 60));
        // Ten seconds later, and configured otherwise.
        let next = notation(&["udp:127.0.0.1:5060"], 1, EPOCH + Duration::from_secs(10));
        let read = next.read(std::str::from_utf8(&text).unwrap(), Time::ZERO).unwrap();
        // Who registered last still did.
        let (first, last) = ((50_000, Time::from_nanos(0)), (50_000, Time::from_nanos(1)));
        let expected = [
            at(last, "sip:a@192.0.2.1?Subject=x", By::Uri, 0),
            at(last, "sip:a@192.0.2.2", By::Path("<sip:p1;lr>, <sip:p2;lr>".into()), 0),
            at(first, "sip:a@192.0.2.3", By::Flow(flow(0, TransportType::Udp, 0).into()), 1).behind_nat(true),
        ];
        assert_eq!(read, expected);
        assert!(next.read(std::str::from_utf8(&text).unwrap(), Time::from_millis(50_000)).unwrap().is_empty());
    }

    #[test]
    fn addresses_are_written_as_serde_writes_them() {
        for text in ["192.0.2.10:5060", "0.0.0.0:0", "255.255.255.255:65535", "[2001:db8::1]:5061", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let written = serde_json::to_string(&StoredTarget("udp".into(), address)).unwrap();
            assert_eq!(written, serde_json::to_string(&("udp", address)).unwrap());
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_counts_from_then_on() {
        let (mut own, mut text) = (notation(&[], 1, EPOCH), Vec::new());
        let bindings = [binding("sip:a@192.0.2.1", By::Uri, 0, 9)];
        let mut last = |own: &Notation| own.write(&bindings, Time::ZERO, &mut text).unwrap().unwrap();
        let before = last(&own);
        assert!(!own.follow(EPOCH + Duration::from_millis(999)));
        assert_eq!(last(&own), before, "nobody has set it");
        assert!(own.follow(EPOCH + Duration::from_secs(3_600)));
        assert_eq!(last(&own), before + 3_600);
        assert!(own.follow(EPOCH) && !own.follow(EPOCH), "it may go back");
        assert_eq!(last(&own), before);
    }

    #[test]
    fn connections_and_transports_that_are_gone_lead_nowhere() {
        let (mut text, own) = (Vec::new(), notation(&["tcp:127.0.0.1:1", "udp:127.0.0.1:1"], 1, EPOCH));
        let by_connection = binding("sip:a@192.0.2.1", By::Flow(flow(0, TransportType::Tcp, 5).into()), 1, 1);
        assert_eq!(own.write(&[by_connection], Time::ZERO, &mut text).unwrap(), None);
        assert!(text.is_empty());
        let by_datagrams = binding("sip:a@192.0.2.1", By::Flow(flow(1, TransportType::Udp, 0).into()), 1, 1);
        own.write(&[by_datagrams], Time::ZERO, &mut text).unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        assert_eq!(own.read(text, Time::ZERO).unwrap().len(), 1);
        assert!(notation(&["udp:127.0.0.1:2"], 1, EPOCH).read(text, Time::ZERO).unwrap().is_empty());
    }
}
