//! What a transaction user may say.

use super::{ClientTransaction, ServerTransaction};
use crate::flow_token::{BadFlowToken, FlowTokens, NamedFlow, Purpose};
use crate::header::Method;
use crate::message::Message;
use crate::overload::{Bans, Cause};
use crate::scanner::stun;
use crate::transaction::{Command, Transmission, Written};
use crate::transport::{Flow, Notify, TransportTable};
use bytes::Bytes;
use rutil::{Rng, Time};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::transport::TransportType;

/// Where a request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextHop {
    /// To the topmost Route, else the Request-URI (RFC 3261 §8.1.2).
    #[default]
    Route,
    /// To the Request-URI although there is a Route: the next hop is a strict router (RFC 3261 §16.6 step 7).
    RequestUri,
    /// Back on a flow, or nowhere: when its connection is gone the request fails with
    /// [`crate::transport::TransportError::NoConnection`].
    Flow(Flow),
    /// To an address.
    Address(TransportType, SocketAddr),
    /// As [`NextHop::Flow`], but where no connection is named, or the named one is gone, another is opened: so the transport is
    /// chosen, where there are several.
    From(Flow),
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// Where it goes.
    pub next_hop: NextHop,
    /// Add a Record-Route for the way that the request leaves, and one for the flow that it came by where that has
    /// another address of ours or another transport (RFC 3261 §16.6 step 4, RFC 5658). Those for WebSocket clients name their
    /// flows ([`TuContext::flow_of`]).
    pub record_route: Option<Flow>,
    /// The Record-Route towards where it came from names its flow: its sender is reached by that, whatever its Contact says.
    pub back_by_flow: bool,
    /// The loop-detection part of the branch (RFC 3261 §16.6 step 8).
    pub loop_hash: Option<u64>,
    /// Whether a Path is added to a REGISTER, for the way that it leaves (RFC 3327 §5.2).
    pub path: AddPath,
    /// Do not ask for an answer to the port that it comes from: no `rport` in our Via (RFC 3581).
    pub no_rport: bool,
    /// Over a connection of its own, not one that stands (RFC 5626 §4.2). For requests that are sent once and no CANCEL or ACK
    /// follows.
    pub new_connection: bool,
    /// How long a target of an INVITE may say nothing at all before the next one gets it; when the last one is silent for so
    /// long, [`super::TuEvent::Silent`] tells that, and the transaction goes on to Timer B. None, or not less than that: Timer
    /// B alone counts.
    pub silence: Option<Duration>,
    /// The most octets that it may have as it goes out on a connection; a larger one fails with
    /// [`crate::transport::TransportError::TooLarge`]. A datagram has the bounds of its own.
    pub most_octets: Option<u32>,
}

/// What a Path value of ours leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddPath {
    /// There is none.
    #[default]
    None,
    /// To us, and on from there as the request says.
    Here,
    /// To us, and back on the flow that the REGISTER came by, which it names with a token, and says `ob`
    /// (RFC 5626 §5.1).
    Flow,
}

/// The stack as a transaction user sees it during one call: time, randomness, its own addresses, and commands.
pub struct TuContext<'a> {
    pub(crate) now: Time,
    pub(crate) rng: &'a mut Rng,
    pub(crate) tokens: &'a FlowTokens,
    pub(crate) bans: &'a Bans,
    pub(crate) tu: u8,
    pub(crate) shard: u16,
    pub(crate) transports: &'a TransportTable,
    pub(crate) commands: &'a mut Vec<Command>,
}

impl TuContext<'_> {
    /// The same context for a part of the call: what wraps one can have it by value.
    pub fn reborrow(&mut self) -> TuContext<'_> {
        TuContext { rng: &mut *self.rng, commands: &mut *self.commands, ..*self }
    }

    /// The present.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Randomness: for tags and Call-IDs.
    pub fn rng(&mut self) -> &mut Rng {
        self.rng
    }

    /// A new tag: 64 random bits (RFC 3261 §19.3).
    pub fn new_tag(&mut self) -> String {
        format!("{:016x}", self.rng.next_u64())
    }

    /// The stack's transports and their addresses.
    pub fn transports(&self) -> &TransportTable {
        self.transports
    }

    /// The flow that the user part of a URI names, of one that came back to us (RFC 5626 §5.3.1); none when it is no
    /// flow token.
    ///
    /// # Errors
    /// [`BadFlowToken`]: it is not one that this stack made.
    pub fn flow_of(&self, user: &str) -> Option<Result<NamedFlow, BadFlowToken>> {
        self.tokens.flow(user, self.transports)
    }

    /// The token by which [`TuContext::flow_of`] knows a flow again, and what it was made for.
    pub fn flow_token(&self, flow: &Flow, purpose: Purpose) -> String {
        self.tokens.token(flow, purpose)
    }

    /// Expects to hear from the peer of a flow at least so often, as it has promised with keep-alives (RFC 5626 §4.4): a
    /// connection that is silent for longer is closed (but a WebSocket, which has pings), and of a flow over UDP [`TransportTable::heard`] says so.
    pub fn expect_keep_alives(&mut self, flow: &Flow, within: Duration) {
        if flow.kind.is_reliable() {
            let Flow { transport, connection, .. } = *flow;
            self.commands.push(Command::Expect { transport, connection, within });
        } else {
            self.transports.heard().expect(flow, within, self.now);
        }
    }

    /// Expects no keep-alives by a flow over UDP any more: who is reached by it now has promised none, whatever somebody
    /// with the same address had promised before.
    pub fn expect_no_keep_alives(&mut self, flow: &Flow) {
        self.transports.heard().forget(flow);
    }

    /// Sends a double CRLF on a flow, so that NATs remember it (RFC 5626 §4.4.1). A connection is closed when nothing has come
    /// on it `within` this time, which [`super::TuEvent::FlowEnded`] tells; with none, nothing is expected. Over UDP nothing
    /// ever is ([`TuContext::send_binding`]); a WebSocket has its own pings.
    pub fn ping(&mut self, flow: &Flow, within: Option<Duration>) {
        if flow.kind.is_reliable() {
            let Flow { transport, connection, .. } = *flow;
            self.commands.push(Command::Ping { transport, connection, within });
        } else {
            self.send_datagram(Bytes::from_static(b"\r\n\r\n"), flow);
        }
    }

    /// Sends a STUN Binding request on a flow over UDP (RFC 5626 §4.4.2); [`super::TuEvent::Binding`] has its `name` and what
    /// came of it, if anything did: one that is lost is to be repeated with the same name.
    pub fn send_binding(&mut self, flow: &Flow, name: u64) {
        self.send_datagram(stun::request(self.shard, self.tu, name), flow);
    }

    /// Writes the line of our Via for a request of this transaction that leaves on a flow. False, and nothing is written, where
    /// it is not known yet from which address that is.
    pub fn write_via(&self, transaction: ClientTransaction, flow: &Flow, out: &mut Vec<u8>) -> bool {
        let transport = self.transports.get(flow.transport);
        let Some(transport) = transport.filter(|own| flow.local.is_some() || !own.is_by_route()) else { return false };
        for part in [b"Via: ", &*transport.via(flow.local), transaction.branch(None).as_bytes(), b";rport\r\n"] {
            out.extend_from_slice(part);
        }
        true
    }

    /// Sends a request in a new client transaction as [`TuContext::send_as`], but as octets that are written already, with the
    /// Via of [`TuContext::write_via`] on top. They go out on the flow as they are: no next hop is looked for, nobody has to
    /// prove to be somebody (over TLS), and no overload control is offered. It is for who sends many of a kind.
    pub fn send_written(&mut self, transaction: ClientTransaction, method: Method<'static>, bytes: Bytes, flow: &Flow) {
        let written = Written { transaction, tu: self.tu, method, bytes, flow: *flow };
        self.commands.push(Command::SendWritten(Box::new(written)));
    }

    /// Sends a request without a transaction as [`TuContext::send_stateless`], but as octets like those of
    /// [`TuContext::send_written`]. Nobody hears whether they went out.
    pub fn send_written_stateless(&mut self, bytes: Bytes, flow: &Flow) {
        self.send_datagram(bytes, flow);
    }

    fn send_datagram(&mut self, bytes: Bytes, flow: &Flow) {
        let transmission = Transmission { bytes, flow: *flow, domain: None, notify: None };
        self.commands.push(Command::SendRaw(Box::new(transmission)));
    }

    /// Reads nothing more that comes from an address, or from its /64 of IPv6, for so long. It must be proved that what it
    /// is banned for came from there: anybody can write another's address into a datagram. False when there are too many
    /// bans.
    pub fn ban(&self, address: IpAddr, length: Duration) -> bool {
        self.bans.set(address, Cause::Connections, length, self.now)
    }

    /// Sends a request in a new client transaction. The stack adds the Via. The answer, or the news that there will
    /// be none, comes as an event with the name that is returned. An ACK belongs to [`TuContext::send_stateless`].
    pub fn send(&mut self, msg: impl Into<Box<Message>>, options: SendOptions) -> ClientTransaction {
        let transaction = self.new_transaction();
        self.send_as(transaction, msg, options);
        transaction
    }

    /// A name for a client transaction that may begin later, by [`TuContext::send_as`].
    pub fn new_transaction(&mut self) -> ClientTransaction {
        ClientTransaction::new(self.shard, self.rng.next_u64())
    }

    /// As [`TuContext::send`], by a name of [`TuContext::new_transaction`] that was not used before.
    pub fn send_as(&mut self, transaction: ClientTransaction, msg: impl Into<Box<Message>>, options: SendOptions) {
        self.commands.push(Command::Send { transaction, tu: self.tu, msg: msg.into(), options: Box::new(options) });
    }

    /// Sends a request without a transaction: the ACK for a 2xx, and what a stateless proxy forwards.
    pub fn send_stateless(&mut self, msg: impl Into<Box<Message>>, options: SendOptions) {
        let transaction = ClientTransaction::new(self.shard, self.rng.next_u64());
        self.commands.push(Command::SendStateless { transaction, msg: msg.into(), options: Box::new(options) });
    }

    /// Sends octets as they are, in a stack without transactions ([`crate::StackOptions::raw`]); a connection that is not there
    /// is opened. When a transport tells that it could not, `name` comes back with [`super::TuEvent::RawFailed`].
    pub fn send_raw(&mut self, bytes: Bytes, flow: Flow, name: u64) {
        let notify = Some(Notify { shard: self.shard, key: name });
        self.commands.push(Command::SendRaw(Box::new(Transmission { bytes, flow, domain: None, notify })));
    }

    /// Answers a request: any number of provisional responses, then one final one; a 2xx to an INVITE may be
    /// repeated.
    pub fn respond(&mut self, transaction: ServerTransaction, msg: impl Into<Box<Message>>) {
        self.commands.push(Command::Respond { transaction, msg: msg.into() });
    }

    /// Answers a request that is no longer at hand, with a status and nothing else: the stack knows its Via, From,
    /// To, Call-ID and CSeq.
    pub fn respond_status(&mut self, transaction: ServerTransaction, code: u16) {
        self.commands.push(Command::RespondStatus { transaction, code });
    }

    /// Cancels an INVITE (RFC 3261 §9.1): at once when a provisional response has come, else when one comes. The
    /// final response still comes as an event. `reason` becomes the Reason header (RFC 3326).
    pub fn cancel(&mut self, transaction: ClientTransaction, reason: Option<&str>) {
        self.commands.push(Command::cancel(transaction, reason));
    }

    /// The same, with the header fields that `edit` gives the CANCEL beside those that it has of the INVITE: to `edit` it has
    /// none yet, and what it has of the INVITE stays as it is.
    pub fn cancel_with(&mut self, transaction: ClientTransaction, edit: impl FnOnce(&mut Message)) {
        self.commands.push(Command::cancel_with(transaction, edit));
    }
}
