//! The HTTP server of `[admin]`, on a thread of its own beside the control thread: it answers while the proxy starts and
//! while it ends. Whatever walks tables or waits for the disk is done on threads that may.
//!
//! Bounded: 64 connections, sixteen from one address, each fifteen seconds, and five minutes where somebody has asked for
//! what not everybody is told; 16 KiB of a request's head, ten seconds for it; 1 MiB of a body, ten seconds for that; four
//! requests at work.

mod access;
mod guests;
mod page;
mod usage;

use access::Denied;
pub(crate) use access::Guard;
use guests::Guests;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::HeaderMap;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use repro::admin::Operation;
use repro::admin::api::{self, Control};
use repro::config::Config;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Most connections at once; further ones wait to be accepted.
const CONNECTIONS: usize = 64;
/// Most of them from one address, so that there are places for others.
const CONNECTIONS_PER_SOURCE: usize = 16;
/// How long a connection may be used by who has shown that he may ask for everything, how long by others, and how long after
/// that a request on it may take to end.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);
const STRANGERS_LIFE: Duration = Duration::from_secs(15);
const LAST_REQUEST: Duration = Duration::from_secs(10);
/// How long the head of a request may take to come, and how long a connection may be silent between two.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a body may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// Most octets of the head of a request.
const HEAD_OCTETS: usize = 16 * 1024;
/// Requests at work.
const AT_WORK: usize = 4;
/// How long to wait before the next connection when one could not be accepted: files may be short for a moment.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The server cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("admin.listen: {address}: {source}")]
    Bind { address: SocketAddr, source: io::Error },
}

/// What answers.
struct Desk {
    operation: Arc<Operation>,
    control: Arc<dyn Control>,
    guard: Arc<Guard>,
    at_work: Arc<Semaphore>,
}

type Answer = Response<Full<Bytes>>;

/// Starts the server, if one is configured, and gives its address.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) fn start(
    config: &Config,
    operation: Arc<Operation>,
    control: Arc<dyn Control>,
    guard: Arc<Guard>,
) -> Result<Option<SocketAddr>, AdminError> {
    let Some(admin) = &config.admin else { return Ok(None) };
    let failed = |source| AdminError::Bind { address: admin.listen, source };
    let listener = TcpListener::bind(admin.listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let desk = Arc::new(Desk { operation, control, guard, at_work: Arc::new(Semaphore::new(AT_WORK)) });
    // It lives as long as the process.
    actix::Arbiter::new().spawn(async move {
        rutil::give_way();
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => serve(listener, desk).await,
            Err(error) => tracing::error!(%error, "the HTTP server does not run"),
        }
    });
    Ok(Some(address))
}

async fn serve(listener: tokio::net::TcpListener, desk: Arc<Desk>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let guests = Guests::new(CONNECTIONS_PER_SOURCE);
    // It is never closed.
    while let Ok(place) = room.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(guest) = guests.enter(peer.ip()) else { continue };
                let desk = desk.clone();
                actix::spawn(async move {
                    meet(stream, desk).await;
                    drop((place, guest));
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection to the HTTP server was not accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn meet(stream: TcpStream, desk: Arc<Desk>) {
    let known = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| {
        let (desk, known) = (desk.clone(), known.clone());
        async move { Ok::<_, Infallible>(desk.answer(request, &known).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_OCTETS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let life = async {
        tokio::time::sleep(STRANGERS_LIFE).await;
        if known.load(Ordering::Relaxed) {
            tokio::time::sleep(CONNECTION_LIFE.saturating_sub(STRANGERS_LIFE)).await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = life => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_REQUEST, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the HTTP server has failed");
    }
}

impl Desk {
    /// Answers a request; `known` is set when it shows that its sender may ask for everything.
    async fn answer(self: Arc<Self>, request: Request<Incoming>, known: &AtomicBool) -> Answer {
        let path = request.uri().path().to_owned();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        // These say nothing that is secret, and orchestrators and browsers have no token yet.
        match &*path {
            "/healthz" if reads => return text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if reads => return self.ready(),
            "/" if reads => return page::answer(),
            _ => {}
        }
        if let Err(denied) = self.guard.check(request.headers()) {
            return refusal(denied);
        }
        known.store(true, Ordering::Relaxed);
        match &*path {
            "/metrics" if reads => self.metrics().await,
            "/metrics" | "/healthz" | "/readyz" | "/" => not_allowed("GET"),
            _ if path.starts_with(api::PREFIX) => self.api(&path, request).await,
            _ => text(StatusCode::NOT_FOUND, "expected /, /metrics, /healthz, /readyz or /api/v1\n".to_owned()),
        }
    }

    fn ready(&self) -> Answer {
        match self.operation.ready() {
            Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    }

    async fn metrics(self: &Arc<Self>) -> Answer {
        let operation = self.operation.clone();
        match self.work(move || operation.metrics(&usage::of_this_process())).await {
            Some(metrics) => with_type(StatusCode::OK, METRICS, metrics),
            None => failed(),
        }
    }

    async fn api(self: &Arc<Self>, path: &str, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let method = match head.method {
            Method::GET | Method::HEAD => api::Method::Get,
            Method::POST => api::Method::Post,
            Method::PUT => api::Method::Put,
            Method::DELETE => api::Method::Delete,
            _ => api::Method::Other,
        };
        let body = Limited::new(body, api::MOST_BODY).collect();
        let body = match tokio::time::timeout(BODY_LIMIT, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return error(StatusCode::PAYLOAD_TOO_LARGE, "the body is cut short, or has more than 1 MiB"),
            Err(_) => return error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
        };
        if !body.is_empty() && !is_json(&head.headers) {
            return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected Content-Type: application/json");
        }
        let (path, query) = (path.to_owned(), head.uri.query().unwrap_or_default().to_owned());
        let (operation, control) = (self.operation.clone(), self.control.clone());
        let answered = self.work(move || {
            let request = api::Request { method, path: &path, query: &query, body: &body };
            api::answer(&operation, &*control, &request)
        });
        let Some(answered) = answered.await else { return failed() };
        let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = with_type(status, JSON, format!("{}\n", answered.body));
        if let Some(allow) = answered.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            answer.headers_mut().insert(ALLOW, allow);
        }
        answer
    }

    /// Does something on a thread that may wait; nothing when it panics.
    async fn work<T: Send + 'static>(&self, what: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // It keeps its place to its end, also when nobody waits for it any more.
        let place = self.at_work.clone().acquire_owned().await.ok()?;
        let work = move || {
            rutil::give_way();
            let done = what();
            drop(place);
            done
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON))
}

fn failed() -> Answer {
    error(StatusCode::INTERNAL_SERVER_ERROR, "it did not work: the log says more")
}

fn not_allowed(allow: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("expected {allow}\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// As the API says what is wrong.
fn error(status: StatusCode, message: &str) -> Answer {
    let body = serde_json::json!({"error": {"status": status.as_u16(), "message": message}});
    with_type(status, JSON, format!("{body}\n"))
}

fn refusal(denied: Denied) -> Answer {
    let (status, challenge) = match denied {
        Denied::NoToken | Denied::WrongToken => (StatusCode::UNAUTHORIZED, Some("Bearer realm=\"repro\"")),
        Denied::Host | Denied::Origin => (StatusCode::FORBIDDEN, None),
    };
    let mut answer = error(status, &denied.to_string());
    if let Some(challenge) = challenge {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    answer
}

fn text(status: StatusCode, body: String) -> Answer {
    with_type(status, TEXT, body)
}

fn with_type(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
