//! What the proxy does of its own accord: requests that nobody sent to it.

use super::response_context::{direct, write};
use super::{Server, Target};
use crate::location::{By, Located};
use rutil::{HashMap, Time};
use stack::message::Message;
use stack::tu::{ClientTransaction, NextHop, SendOptions, TuContext};

/// Something that sends requests of its own, one for each shard. It must not block.
pub trait Agent: Send {
    /// Its name in logs.
    fn name(&self) -> &'static str;

    /// When [`Agent::wake`] wants to be called.
    fn deadline(&self) -> Option<Time>;

    /// Called when the deadline has passed, and when something else is provisioned.
    fn wake(&mut self, context: &mut AgentContext<'_, '_>);

    /// The final response to a request of its own has come, or with none its status instead.
    fn on_response(
        &mut self,
        request: ClientTransaction,
        code: u16,
        response: Option<&Message>,
        context: &mut AgentContext<'_, '_>,
    );
}

/// What an agent works with.
pub struct AgentContext<'a, 'c> {
    /// Configuration and stores.
    pub server: &'a Server,
    /// The stack. Requests are sent with [`AgentContext::send`].
    pub stack: &'a mut TuContext<'c>,
    pub(super) own: &'a mut HashMap<ClientTransaction, usize>,
    pub(super) index: usize,
}

impl AgentContext<'_, '_> {
    /// Sends a request whose final response comes to [`Agent::on_response`].
    pub fn send(&mut self, request: Message, options: SendOptions) -> ClientTransaction {
        let client = self.stack.send(request, options);
        self.own.insert(client, self.index);
        client
    }

    /// Sends a request to a contact of a user, as one that is proxied; nothing when the target chain lets nothing through.
    pub fn send_to(&mut self, mut request: Message, contact: Located) -> Option<ClientTransaction> {
        let mut target = Target::from(contact);
        let next_hop = match &target.contact.by {
            By::Flow(flow) => NextHop::Flow(**flow),
            By::Uri | By::Path(_) | By::Node(_) => NextHop::Route,
        };
        let mut options = SendOptions { next_hop, ..SendOptions::default() };
        direct(&mut request, Some(&target));
        write(&mut request, Some(&mut target), &mut options, self.server, self.stack).ok()?;
        Some(self.send(request, options))
    }
}
