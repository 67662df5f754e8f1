//! A way on which sessions leave. Where all is known beforehand, the octets of a request go out as they were written.

use super::template::{Template, message};
use bytes::Bytes;
use stack::header::Method;
use stack::transport::{Flow, TransportType};
use stack::tu::{ClientTransaction, NextHop, SendOptions, TuContext};

/// One way.
pub(super) struct Way {
    pub(super) flow: Flow,
    /// The first request of a session that leaves so.
    pub(super) first: Template,
    /// Requests are written here to the end. Over TLS the stack has to know whom the peer must prove to be.
    writes: bool,
    /// The Via of the request that is being written.
    via: Vec<u8>,
}

impl Way {
    pub(super) fn new(flow: Flow, first: Template) -> Self {
        Way { flow, first, writes: flow.kind == TransportType::Udp, via: Vec::new() }
    }

    /// Sends a request: what `write` writes, of the template or not, around the Via that it is given, which may be empty. None
    /// when that is no message.
    pub(super) fn send(
        &mut self,
        method: Method<'static>,
        next_hop: NextHop,
        write: impl FnOnce(&mut Template, &[u8]) -> Bytes,
        stack: &mut TuContext<'_>,
    ) -> Option<ClientTransaction> {
        let transaction = stack.new_transaction();
        if self.writes_via(transaction, next_hop, stack) {
            stack.send_written(transaction, method, write(&mut self.first, &self.via), &self.flow);
        } else {
            stack.send_as(
                transaction,
                message(write(&mut self.first, &[]))?,
                SendOptions { next_hop, ..SendOptions::default() },
            );
        }
        Some(transaction)
    }

    /// As [`Way::send`], the ACK of a 2xx.
    pub(super) fn send_ack(
        &mut self,
        next_hop: NextHop,
        write: impl FnOnce(&[u8]) -> Bytes,
        stack: &mut TuContext<'_>,
    ) {
        let transaction = stack.new_transaction();
        if self.writes_via(transaction, next_hop, stack) {
            stack.send_written_stateless(write(&self.via), &self.flow);
        } else if let Some(ack) = message(write(&[])) {
            stack.send_stateless(ack, SendOptions { next_hop, ..SendOptions::default() });
        }
    }

    /// Whether the request is to be written to the end; its Via is there then.
    fn writes_via(&mut self, transaction: ClientTransaction, next_hop: NextHop, stack: &TuContext<'_>) -> bool {
        self.via.clear();
        self.writes && next_hop == NextHop::From(self.flow) && stack.write_via(transaction, &self.flow, &mut self.via)
    }
}
