//! Documents that are too large for a datagram, or for a network that would break it: user agents built on dum publish and
//! tell them over TCP, on the port of their UDP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use dum::publication::{
    ClientPublication, ClientPublicationHandler, MemoryPublications, PublicationPersistence, ServerPublicationHandler,
};
use dum::subscription::{
    ClientSubscription, ClientSubscriptionHandler, ServerSubscription, ServerSubscriptionEnd,
    ServerSubscriptionHandler, SubscriptionState,
};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, EventPackage, Handle, Outcome, UserProfile};
use rutil::Rng;
use stack::contents::{Contents, Text};
use stack::header::{HeaderValue, MediaType, Method, NameAddr};
use stack::message::Message;
use stack::{Stack, TransportSpec};
use tests::peers;

use crate::repro::LIMIT;

/// Octets of the documents: what a datagram takes on any network, more than that, more than any datagram takes.
const SIZES: [usize; 4] = [1000, 1500, 60_000, 65_536];

/// Both sides: the server keeps what is published and tells documents, the client publishes and watches.
struct App {
    tell: Sender<Result<usize, String>>,
    store: MemoryPublications,
    /// What is told next, in this order.
    documents: Vec<usize>,
}

impl App {
    fn tell(&self, what: Result<usize, String>) {
        // The test may have heard enough.
        let _ = self.tell.send(what);
    }
}

fn document(octets: usize) -> String {
    "x".repeat(octets)
}

fn contents(octets: usize) -> Contents {
    Contents::Text(Text::new(&document(octets)))
}

impl Application for App {
    fn client_publications(&mut self) -> Option<&mut dyn ClientPublicationHandler> {
        Some(self)
    }
    fn server_publications(&mut self) -> Option<&mut dyn ServerPublicationHandler> {
        Some(self)
    }
    fn client_subscriptions(&mut self, _: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        Some(self)
    }
    fn server_subscriptions(&mut self, _: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        Some(self)
    }
}

impl ClientPublicationHandler for App {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientPublication>, _: &Message) {
        self.tell(Ok(0));
    }
    fn on_request_retry(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientPublication>,
        outcome: &Outcome,
        _: Option<std::time::Duration>,
    ) -> Option<std::time::Duration> {
        self.tell(Err(format!("PUBLISH: {}", outcome.status)));
        None
    }
}

impl ServerPublicationHandler for App {
    fn persistence(&mut self) -> &mut dyn PublicationPersistence {
        &mut self.store
    }
}

impl ClientSubscriptionHandler for App {
    fn on_update_active(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, notify: &Message) {
        self.tell(Ok(notify.body().len()));
    }
}

impl ServerSubscriptionHandler for App {
    fn on_new_subscription(&mut self, dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, _: &Message) {
        self.documents = SIZES.iter().rev().copied().collect();
        let first = self.documents.pop().expect("there are some");
        sub.accept(dum, SubscriptionState::Active, Some(&contents(first))).expect("nobody else answers");
    }
    fn on_accepted(&mut self, dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, _: &Message) {
        if let Some(next) = self.documents.pop() {
            sub.notify(dum, SubscriptionState::Active, Some(&contents(next))).expect("it is active");
        }
    }
    fn on_terminated(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ServerSubscription>,
        end: ServerSubscriptionEnd,
        _: Option<&Message>,
    ) {
        self.tell(Err(format!("{end:?}")));
    }
}

struct Agent {
    address: SocketAddr,
    _stack: Stack,
    dum: DumHandle<App>,
    told: Receiver<Result<usize, String>>,
}

impl Agent {
    fn start(streams: bool) -> Self {
        let (tell, told) = channel();
        let address = SocketAddr::from((peers::loopback(), 5060));
        let (mut builder, mut rng, mut options) =
            (Stack::builder(), Rng::from_os().expect("randomness"), DumOptions::default());
        builder.add_transport(TransportSpec::udp(address));
        if streams {
            builder.add_transport(TransportSpec::tcp(address));
        }
        let text = || MediaType::new("text", "plain");
        options.master.add_package(EventPackage::new("presence").with_type(text()));
        options.master.add_method(Method::Publish).add_event("presence").add_mime_type(Method::Publish, text());
        let user = builder.register_tu(DialogUsageManager::<App>::tu_options(), move |_| {
            let store = MemoryPublications::new(10, &mut rng);
            DialogUsageManager::new(App { tell: tell.clone(), store, documents: Vec::new() }, options.clone(), &mut rng)
        });
        let stack = builder.start().expect("it starts");
        let dum = DumHandle::new(stack.poster(user));
        Agent { address, _stack: stack, dum, told }
    }

    /// Does something with a profile, towards a peer.
    fn does(
        &self,
        peer: SocketAddr,
        what: impl FnOnce(&mut Dum<'_>, &Arc<UserProfile>, &NameAddr<'_>) + Send + 'static,
    ) {
        let own = self.address;
        let command = self.dum.command(move |_, dum| {
            let mut profile = dum.master_profile().user_profile();
            profile
                .set_from(Arc::new(NameAddr::parse(&format!("<sip:alice@{own}>")).expect("an address").into_owned()));
            let target = NameAddr::parse(&format!("<sip:bob@{peer}>")).expect("an address").into_owned();
            what(dum, &Arc::new(profile), &target);
        });
        command.expect("it is not congested");
    }

    fn heard(&self) -> Result<usize, String> {
        self.told.recv_timeout(LIMIT).expect("it hears something")
    }
}

#[test]
fn documents_of_64_kib_are_published_and_told() {
    let (client, server) = (Agent::start(true), Agent::start(true));
    for size in SIZES {
        client.does(server.address, move |dum, profile, target| {
            dum.publish(profile, target, "presence", "text/plain", document(size)).expect("there is room");
        });
        assert_eq!(client.heard(), Ok(0), "PUBLISH with {size} octets");
    }
    client.does(server.address, |dum, profile, target| {
        let subscribe = dum.make_subscribe(profile, target, "presence");
        dum.send_subscribe(profile, subscribe).expect("there is room");
    });
    for size in SIZES {
        assert_eq!(client.heard(), Ok(size), "NOTIFY");
    }
}

/// Where one side has no TCP a document goes by UDP as long as a datagram can take it, and what cannot be sent is told at
/// once.
#[test]
fn without_tcp_what_no_datagram_takes_is_told() {
    for streams in [false, true] {
        let (client, server) = (Agent::start(streams), Agent::start(false));
        for (size, heard) in [(1500, Ok(0)), (60_000, Ok(0)), (65_536, Err("PUBLISH: 503".to_owned()))] {
            client.does(server.address, move |dum, profile, target| {
                dum.publish(profile, target, "presence", "text/plain", document(size)).expect("there is room");
            });
            assert_eq!(client.heard(), heard, "PUBLISH with {size} octets");
        }
    }
}

/// What a server does not want is refused as too large, and not as if it were full.
#[test]
fn what_is_larger_than_the_server_allows_is_413() {
    let (client, server) = (Agent::start(true), Agent::start(true));
    client.does(server.address, |dum, profile, target| {
        dum.publish(profile, target, "presence", "text/plain", document(65_537)).expect("there is room");
    });
    assert_eq!(client.heard(), Err("PUBLISH: 413".to_owned()));
}
