//! A name server on the loopback: a real one, over UDP and TCP, that can be told to misbehave.

use hickory_server::Server;
use hickory_server::net::runtime::{Time, TokioRuntimeProvider};
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::rdata::{A, AAAA, CNAME, NAPTR, SOA, SRV};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;

/// Every zone of the tests is below this name.
const ORIGIN: &str = "test.example.";

/// What the server does with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Answers,
    /// Nothing ever comes back.
    Silent,
    Fails,
}

/// What the server was asked: `TYPE name protocol`.
type Asked = Arc<Mutex<Vec<String>>>;

/// A running server; it ends when dropped.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Asked,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Lines `name TTL TYPE data`, names without the origin `test.example`.
    pub(crate) fn start(mood: Mood, zone: &[&str]) -> Self {
        let (asked, (ready, started)) = (Asked::default(), channel());
        let (stop, stopped) = oneshot::channel::<()>();
        let desk = Desk { mood, catalog: catalog(zone), asked: asked.clone() };
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (udp, tcp) = sockets().await;
                ready.send(udp.local_addr().expect("it is bound")).expect("the test waits");
                let mut server = Server::new(desk);
                server.register_socket(udp);
                server.register_listener(tcp, Duration::from_secs(5), 64);
                let _ = stopped.await;
                let _ = server.shutdown_gracefully().await;
            });
        };
        let thread = std::thread::Builder::new().name("name-server".into()).spawn(run).expect("a thread");
        let address = started.recv_timeout(Duration::from_secs(10)).expect("it starts");
        NameServer { address, asked, stop: Some(stop), thread: Some(thread) }
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("nobody panicked"))
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends in good order");
        }
    }
}

/// UDP and TCP on the same free port.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("it is bound")).await {
            return (udp, tcp);
        }
    }
}

struct Desk {
    mood: Mood,
    catalog: Catalog,
    asked: Asked,
}

#[async_trait::async_trait]
impl RequestHandler for Desk {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut reply: R) -> ResponseInfo {
        let info = request.request_info().expect("one question");
        let name = info.query.name().to_string().trim_end_matches('.').to_owned();
        let line = format!("{} {name} {:?}", info.query.query_type(), info.protocol).to_lowercase();
        self.asked.lock().expect("nobody panicked").push(line);
        let builder = MessageResponseBuilder::from_message_request(request);
        match self.mood {
            Mood::Answers => self.catalog.handle_request::<R, T>(request, reply).await,
            Mood::Silent => std::future::pending().await,
            Mood::Fails => {
                let failed = builder.error_msg(&request.metadata, ResponseCode::ServFail);
                reply.send_response(failed).await.expect("it goes out")
            }
        }
    }
}

fn catalog(zone: &[&str]) -> Catalog {
    let origin: Name = ORIGIN.parse().expect("a name");
    let mut handler: InMemoryZoneHandler<TokioRuntimeProvider> =
        InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
    let soa = SOA::new(name("ns"), name("admin"), 1, 3600, 600, 86400, 60);
    handler.upsert_mut(Record::from_rdata(origin.clone(), 60, RData::SOA(soa)), 1);
    for line in zone {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse().expect("a number");
        let data = match words[2] {
            "A" => RData::A(A(words[3].parse().expect("an address"))),
            "AAAA" => RData::AAAA(AAAA(words[3].parse().expect("an address"))),
            "CNAME" => RData::CNAME(CNAME(name(words[3]))),
            "SRV" => RData::SRV(SRV::new(number(3), number(4), number(5), name(words[6]))),
            "NAPTR" => {
                let text = |at: usize| words[at].trim_matches('-').as_bytes().into();
                RData::NAPTR(NAPTR::new(number(3), number(4), text(5), text(6), text(7), name(words[8])))
            }
            other => panic!("{other}"),
        };
        let ttl = words[1].parse().expect("seconds");
        assert!(handler.upsert_mut(Record::from_rdata(name(words[0]), ttl, data), 1), "{line}");
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::new(&origin), vec![Arc::new(handler)]);
    catalog
}

fn name(text: &str) -> Name {
    match text {
        "." => Name::root(),
        "@" => ORIGIN.parse().expect("a name"),
        text => format!("{text}.{ORIGIN}").parse().expect("a name"),
    }
}
