//! A user agent without a stack: a test hands it events and reads what it sends.

use crate::application::Application;
use crate::core::DumOptions;
use crate::dum::Dum;
use crate::manager::DialogUsageManager;
use rutil::Rng;
use stack::message::Message;
use stack::transaction::Command;
use stack::transport::{TransportId, TransportInfo, TransportTable, TransportType};
use stack::tu::testing::Harness;
use stack::tu::{ClientTransaction, ServerTransaction, TransactionUser, TuEvent};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The address of the user agent.
pub(crate) const OURS: &str = "192.0.2.1:5060";

pub(crate) struct Bench<A> {
    pub(crate) dum: DialogUsageManager<A>,
    pub(crate) stack: Harness,
    pub(crate) sent: VecDeque<Command>,
    requests: u32,
}

impl<A: Application> Bench<A> {
    pub(crate) fn new(app: A) -> Self {
        Self::with_options(app, DumOptions::default())
    }

    pub(crate) fn with_options(app: A, options: DumOptions) -> Self {
        Self::with_transports(app, options, &[TransportType::Udp])
    }

    /// The same with these transports, each at the next port.
    pub(crate) fn with_transports(app: A, options: DumOptions, kinds: &[TransportType]) -> Self {
        let transports = kinds.iter().zip(0u16..).map(|(kind, at)| {
            let mut address: SocketAddr = OURS.parse().unwrap();
            address.set_port(address.port() + at);
            TransportInfo::new(TransportId(at), *kind, 0, address, address)
        });
        let stack = Harness::new(TransportTable::new(transports.collect()));
        let dum = DialogUsageManager::new(app, options, &mut Rng::from_seed(7));
        Bench { dum, stack, sent: VecDeque::new(), requests: 0 }
    }

    /// The application does something.
    pub(crate) fn with<R>(&mut self, what: impl FnOnce(&mut A, &mut Dum<'_>) -> R) -> R {
        let result = self.stack.call(|stack| self.dum.with(stack, what));
        self.collect();
        result
    }

    pub(crate) fn event(&mut self, event: TuEvent) {
        self.stack.call(|stack| self.dum.process(event, stack));
        self.collect();
    }

    /// A request comes in the server transaction of that number.
    pub(crate) fn ask(&mut self, number: u32, msg: Message) {
        self.event(TuEvent::Request { transaction: Harness::server(number), msg: msg.into() });
    }

    /// A request of ours is answered, with a To tag.
    pub(crate) fn respond(&mut self, transaction: ClientTransaction, request: &Message, code: u16) {
        let msg = request.make_response(code, None, Some("peer"));
        self.event(TuEvent::Response { transaction, msg: msg.into() });
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, by: Duration) {
        let end = self.stack.now + by;
        while let Some(at) = self.dum.deadline().filter(|at| *at <= end) {
            self.stack.now = self.stack.now.max(at);
            self.stack.call(|stack| self.dum.wake(stack));
        }
        self.stack.now = end;
        self.collect();
    }

    fn collect(&mut self) {
        self.sent.extend(self.stack.commands());
    }

    /// The request that was sent.
    pub(crate) fn request(&mut self) -> (ClientTransaction, Message) {
        self.requests += 1;
        match self.sent.pop_front() {
            Some(Command::Send { transaction, msg, .. }) => (transaction, *msg),
            other => panic!("no request: {other:?}"),
        }
    }

    /// How many requests were read before the last one.
    pub(crate) fn generation(&self) -> u32 {
        self.requests - 1
    }

    /// The response that was sent.
    pub(crate) fn response(&mut self) -> (ServerTransaction, Message) {
        match self.sent.pop_front() {
            Some(Command::Respond { transaction, msg }) => (transaction, *msg),
            other => panic!("no response: {other:?}"),
        }
    }

    pub(crate) fn nothing_sent(&self) {
        assert!(self.sent.is_empty(), "{:?}", self.sent);
    }
}
