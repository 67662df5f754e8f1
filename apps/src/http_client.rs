//! Asks the service of `[http]`: an actix actor on the control thread, with connections that are used again.
//!
//! Bounded: `http.in_flight` questions under way, as many idle connections, 64 KiB of an answer, `http.timeout_ms`.

use actix::{Actor, Addr, Handler, Message};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use repro::config::{Config, Http};
use repro::processors::http::{BadDecision, Busy, Decision, HttpService, Inquiry};
use repro::provisioning::one_line;
use rustls::{ClientConfig, RootCertStore};
use stack::transport::tls::{TlsError, roots};
use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most octets of an answer.
const MOST_ANSWER: usize = 64 * 1024;

/// How long an answer waits that the proxy cannot take, before it is given again, and how often.
const RETRY: Duration = Duration::from_millis(20);
const RETRIES: usize = 50;

const JSON: &str = "application/json";

/// The client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("http.url: {0}")]
    Trust(#[from] TlsError),
    #[error("http.url: {0}")]
    Tls(#[from] rustls::Error),
}

/// There is no decision.
#[derive(Debug, thiserror::Error)]
enum NoDecision {
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Failed(String),
    #[error("status {0}, expected 200")]
    Status(StatusCode),
    #[error("{0}")]
    Bad(#[from] BadDecision),
}

impl NoDecision {
    /// An error with its causes: the outermost alone says little.
    fn of(error: &(dyn Error + 'static)) -> Self {
        let (mut causes, mut next) = (error.to_string(), error.source());
        while let Some(cause) = next {
            causes = format!("{causes}: {cause}");
            next = cause.source();
        }
        NoDecision::Failed(causes)
    }
}

/// Where the proxies ask.
pub(crate) struct HttpHandle {
    client: Addr<HttpClient>,
    room: Arc<Semaphore>,
}

impl HttpService for HttpHandle {
    fn ask(&self, inquiry: Inquiry) -> Result<(), Busy> {
        let place = self.room.clone().try_acquire_owned().map_err(|_| Busy)?;
        self.client.try_send(Ask { inquiry, _place: place }).map_err(|_| Busy)
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ask {
    inquiry: Inquiry,
    /// It is given back when the question has its answer.
    _place: OwnedSemaphorePermit,
}

/// The client.
struct HttpClient {
    desk: Rc<Desk>,
    in_flight: usize,
}

struct Desk {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    timeout: Duration,
    /// Whether the last question had no decision: the log says when that begins and ends.
    failing: Cell<bool>,
}

/// Starts the client, on the actix system of this thread.
///
/// # Errors
/// When the CAs that it is to trust cannot be read.
pub(crate) fn start(http: &Http, config: &Config) -> Result<HttpHandle, HttpError> {
    let cas = if http.url.is_secure() { roots(&config.tls.options().trust)? } else { RootCertStore::empty() };
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(cas)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let in_flight = http.in_flight.get() as usize;
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(in_flight)
        .build(connector);
    let desk = Desk { client, url: http.url.0.clone(), timeout: http.timeout(), failing: Cell::new(false) };
    let client = HttpClient { desk: Rc::new(desk), in_flight }.start();
    Ok(HttpHandle { client, room: Arc::new(Semaphore::new(in_flight)) })
}

impl Actor for HttpClient {
    type Context = actix::Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.in_flight);
    }
}

impl Handler<Ask> for HttpClient {
    type Result = ();

    fn handle(&mut self, mut ask: Ask, _: &mut Self::Context) {
        let desk = self.desk.clone();
        actix::spawn(async move {
            let question = std::mem::take(&mut ask.inquiry.question);
            let limited = actix::clock::timeout(desk.timeout, desk.ask(question));
            let decision = limited.await.unwrap_or(Err(NoDecision::Timeout));
            desk.note(decision.as_ref().err());
            desk.deliver(&ask.inquiry, decision.ok()).await;
        });
    }
}

impl Desk {
    async fn ask(&self, question: Vec<u8>) -> Result<Decision, NoDecision> {
        let request = Request::post(self.url.clone()).header(CONTENT_TYPE, JSON).header(ACCEPT, JSON);
        let request = request.body(Full::new(question.into())).map_err(|error| NoDecision::of(&error))?;
        let response = self.client.request(request).await.map_err(|error| NoDecision::of(&error))?;
        if response.status() != StatusCode::OK {
            return Err(NoDecision::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
        let body = body.map_err(|error| NoDecision::of(&*error))?.to_bytes();
        Ok(Decision::parse(&body)?)
    }

    /// Says in the log when the service begins to fail, and when that is over.
    fn note(&self, failure: Option<&NoDecision>) {
        let failing = self.failing.replace(failure.is_some());
        match failure {
            Some(failure) if !failing => {
                tracing::warn!(url = %self.url, "the HTTP service fails: {}", one_line(&failure.to_string()));
            }
            Some(failure) => {
                tracing::debug!(url = %self.url, "the HTTP service fails: {}", one_line(&failure.to_string()));
            }
            None if failing => tracing::warn!(url = %self.url, "the HTTP service answers again"),
            None => {}
        }
    }

    async fn deliver(&self, inquiry: &Inquiry, decision: Option<Decision>) {
        for _ in 0..RETRIES {
            if inquiry.answer(decision.clone()).is_ok() {
                return;
            }
            actix::clock::sleep(RETRY).await;
        }
        tracing::debug!("the proxy takes no decision");
    }
}
