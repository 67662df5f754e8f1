//! Speaks to Redis for `[cluster]`: what the machine of `repro::cluster::sharer` says, on a thread of its own.
//!
//! One connection for what is asked, to each server of a Redis cluster one, and one that hears what is published. What is
//! asked goes out together and is waited for together, so that a hundred changes cost one round trip.

mod stream;

pub(crate) use stream::Stream as AccountingStream;

use futures_util::future::join_all;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, Msg,
    RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind, TlsCertificates, Value,
};
use repro::cluster::address_of;
use repro::cluster::command::{Command, Entry, Posts, Script};
use repro::cluster::sharer::Sharer;
use repro::config::{Cluster as Settings, ConfigError, FileName, Password, RedisUrl};
use repro::{OnPanic, Server};
use rutil::{Clock as _, RealClock};
use stack::transport::TransportTable;
use stack::tu::TuPoster;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long an answer may take; then the connection counts as lost.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(2);
/// How long nothing may be heard that is published: each node gives a sign of life every second.
const SILENCE: Duration = Duration::from_secs(4);
/// How often a sign of life is given.
const BEAT: Duration = Duration::from_secs(1);
/// How long to wait before the next attempt to connect, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long to wait for a proxy whose inbox is full.
const BUSY: Duration = Duration::from_millis(1);
/// Messages that are worked on before something else is done.
const MOST_MESSAGES: usize = 1_000;
/// How long a start waits for the bindings of the others.
const START: Duration = Duration::from_secs(5);

/// It cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedisSetupError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{place}: {path} cannot be read: {source}: expected CA certificates in PEM")]
    Ca { place: String, path: String, source: std::io::Error },
    #[error("Redis: {0}")]
    Client(#[from] RedisError),
    #[error("cluster.virtual_address: expected a transport of listen on {0}")]
    NoTransport(std::net::IpAddr),
    #[error("the addresses of this machine cannot be read: {0}")]
    Interfaces(std::io::Error),
    #[error(
        "cluster.address: expected where other nodes get here, as sip:10.0.0.1:5060: no UDP or TCP address says it"
    )]
    NoAddress,
}

/// What is running.
pub(crate) struct Running {
    /// Where the proxies' answers are posted to, once they run.
    poster: Arc<OnceLock<TuPoster>>,
    synced: Receiver<()>,
}

impl Running {
    /// Waits until the bindings of the others are here, or for a few seconds: Redis may be down.
    pub(crate) fn wait(&self) {
        if self.synced.recv_timeout(START).is_err() {
            tracing::warn!(
                "Redis is not there: nobody is known who has registered, and REGISTER is refused until it is"
            );
        }
    }

    /// The stack has started: devices may register.
    ///
    /// # Errors
    /// When nothing says where other nodes get here.
    pub(crate) fn begin(
        &self,
        server: &Server,
        poster: TuPoster,
        transports: &TransportTable,
    ) -> Result<(), RedisSetupError> {
        // It is set once.
        let _ = self.poster.set(poster);
        let (Some(settings), Some(cluster)) = (&server.config().cluster, server.cluster()) else { return Ok(()) };
        let address = settings.address.as_ref().map(|uri| uri.0.clone()).or_else(|| address_of(transports));
        let address = address.ok_or(RedisSetupError::NoAddress)?;
        tracing::info!(node = settings.node.0, address, "a node of the cluster");
        cluster.set_address(address);
        Ok(())
    }
}

/// How to get to Redis.
struct Way {
    infos: Vec<ConnectionInfo>,
    urls: Vec<RedisUrl>,
    tls: TlsCertificates,
    cluster: bool,
}

/// A connection for what is asked.
#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    async fn ask(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        // What the server refuses comes as a value, of one server at least.
        match self {
            Connection::One(connection) => connection.req_packed_command(cmd).await?.extract_error(),
            Connection::Cluster(connection) => connection.req_packed_command(cmd).await?.extract_error(),
        }
    }
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("nothing was published for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the subscription has ended")]
    Unsubscribed,
    #[error("no answer for {} s", ANSWER.as_secs())]
    NoAnswer,
    #[error("it takes no sign of life: {0}")]
    Refused(String),
}

/// Starts it, on a thread of its own; `on_panic` is called when that panics: nothing is shared any more then.
///
/// # Errors
/// When a file of the configuration cannot be read, or Redis cannot be spoken to at all.
pub(crate) fn start(
    settings: &Settings,
    cluster: &repro::cluster::Cluster,
    sharer: Sharer,
    clock: RealClock,
    on_panic: impl Fn() + Send + 'static,
) -> Result<Running, RedisSetupError> {
    let way = Way::new(settings)?;
    let (poster, (told, synced)) = (Arc::<OnceLock<TuPoster>>::default(), sync_channel(1));
    let bell = Arc::new(Notify::new());
    let ring = bell.clone();
    cluster.set_bell(move || ring.notify_one());
    let runner = Runner { sharer, clock, bell, poster: poster.clone(), told: Some(told), hashes: HashMap::new() };
    // It lives as long as the process.
    actix::Arbiter::new().spawn(async move {
        let _guard = OnPanic(on_panic);
        runner.run(way).await;
    });
    Ok(Running { poster, synced })
}

impl Way {
    fn new(settings: &Settings) -> Result<Self, RedisSetupError> {
        let password = settings.redis_password()?;
        let info = |url| information(url, settings.username.as_deref(), password.as_ref());
        let infos = settings.redis.iter().map(info).collect::<RedisResult<_>>()?;
        let (tls, urls) = (certificates(settings.ca.as_ref())?, settings.redis.clone());
        Ok(Way { infos, urls, tls, cluster: settings.redis_cluster })
    }

    /// Connects to the server of this number, which is heard, and to all that are asked.
    async fn connect(
        &self,
        number: usize,
        channel: &str,
    ) -> Result<(Connection, impl Stream<Item = Msg> + Unpin + use<>), Lost> {
        let at = number % self.infos.len();
        let client = client(&self.infos[at], &self.tls)?;
        let late = |_| Lost::NoAnswer;
        let mut subscription = timeout(CONNECT, client.get_async_pubsub()).await.map_err(late)??;
        timeout(ANSWER, subscription.subscribe(channel)).await.map_err(late)??;
        let asked = match self.cluster {
            false => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT))
                    .set_response_timeout(Some(ANSWER));
                Connection::One(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            true => {
                let mut builder = ClusterClientBuilder::new(self.infos.clone());
                // To say whom to trust is to ask for TLS.
                if self.urls.iter().any(|url| url.secure) {
                    builder = builder.certs(self.tls.clone());
                }
                let builder = builder.connection_timeout(CONNECT).response_timeout(ANSWER);
                Connection::Cluster(builder.build()?.get_async_connection().await?)
            }
        };
        Ok((asked, subscription.into_on_message()))
    }
}

/// Where a server is, and who is to be let in there.
fn information(url: &RedisUrl, username: Option<&str>, password: Option<&Password>) -> RedisResult<ConnectionInfo> {
    let (host, port) = (url.host.clone(), url.port);
    let address = match url.secure {
        true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host, port),
    };
    let mut redis = RedisConnectionInfo::default();
    if let Some(name) = username {
        redis = redis.set_username(name);
    }
    if let Some(password) = password {
        redis = redis.set_password(password.secret());
    }
    Ok(address.into_connection_info()?.set_redis_settings(redis))
}

/// Whom to trust over TLS.
fn certificates(ca: Option<&FileName>) -> Result<TlsCertificates, RedisSetupError> {
    let read = |file: &FileName| {
        let (place, path) = (file.place().to_owned(), file.path.display().to_string());
        std::fs::read(&file.path).map_err(|source| RedisSetupError::Ca { place, path, source })
    };
    Ok(TlsCertificates { client_tls: None, root_cert: ca.map(read).transpose()? })
}

fn client(info: &ConnectionInfo, tls: &TlsCertificates) -> RedisResult<Client> {
    match info.addr() {
        ConnectionAddr::TcpTls { .. } => Client::build_with_tls(info.clone(), tls.clone()),
        _ => Client::open(info.clone()),
    }
}

/// What runs the machine.
struct Runner {
    sharer: Sharer,
    clock: RealClock,
    bell: Arc<Notify>,
    poster: Arc<OnceLock<TuPoster>>,
    /// Who waits for the first bindings.
    told: Option<SyncSender<()>>,
    /// What the server calls the scripts.
    hashes: HashMap<Script, String>,
}

impl Runner {
    async fn run(mut self, way: Way) {
        let (mut patience, mut number, mut was_lost) = (AGAIN.0, 0, false);
        loop {
            let server = &way.urls[number % way.urls.len()];
            let channel = self.sharer.channel();
            let lost = match way.connect(number, &channel).await {
                Ok((connection, messages)) => match self.load(connection).await {
                    Ok(connection) => {
                        tracing::info!(%server, "connected to Redis");
                        (patience, was_lost) = (AGAIN.0, false);
                        let Err(lost) = self.share(connection, messages).await;
                        lost
                    }
                    Err(lost) => lost,
                },
                Err(lost) => lost,
            };
            let posts = self.sharer.on_lost();
            self.post(posts).await;
            if !std::mem::replace(&mut was_lost, true) {
                tracing::error!(%server, "Redis is lost, and REGISTER is refused until it is back: {lost}");
            } else {
                tracing::debug!(%server, "Redis is not there: {lost}");
            }
            let until = Instant::now() + patience;
            patience = (patience * 2).min(AGAIN.1);
            number = number.wrapping_add(1);
            loop {
                tokio::select! {
                    () = sleep_until(until) => break,
                    () = self.bell.notified() => {
                        let posts = self.sharer.refuse();
                        self.post(posts).await;
                    }
                }
            }
        }
    }

    /// Has the scripts known to the server, and gives a sign of life.
    async fn load(&mut self, mut connection: Connection) -> Result<Connection, Lost> {
        for script in Script::ALL {
            // A Redis cluster is asked at each of its masters.
            let mut cmd = redis::cmd("SCRIPT");
            cmd.arg("LOAD").arg(script.text());
            if let Value::BulkString(hash) = connection.ask(&cmd).await? {
                self.hashes.insert(script, String::from_utf8_lossy(&hash).into_owned());
            }
        }
        self.beat(&mut connection).await?;
        Ok(connection)
    }

    /// Gives a sign of life. A server that does not take it takes no change either: it is a replica, it is full, or it
    /// cannot write its file.
    async fn beat(&mut self, connection: &mut Connection) -> Result<(), Lost> {
        self.sharer.follow(self.clock.epoch());
        let told = self.ask(connection, vec![self.sharer.beat(self.clock.now())]).await?;
        match told.into_iter().next() {
            Some(Ok(told)) => self.sharer.on_beaten(&texts(vec![told]), self.clock.now()),
            Some(Err(error)) => return Err(Lost::Refused(error)),
            None => {}
        }
        Ok(())
    }

    /// Runs until the connection is lost.
    async fn share(
        &mut self,
        mut connection: Connection,
        mut messages: impl Stream<Item = Msg> + Unpin,
    ) -> Result<std::convert::Infallible, Lost> {
        self.sharer.on_connected(self.clock.now());
        let (mut beat_at, mut heard) = (Instant::now() + BEAT, Instant::now());
        loop {
            let mut idle = true;
            for _ in 0..MOST_MESSAGES {
                match messages.next().now_or_never() {
                    Some(Some(message)) => self.hear(&message),
                    Some(None) => return Err(Lost::Unsubscribed),
                    None => break,
                }
                heard = Instant::now();
            }
            if let Some(posts) = self.sharer.look(self.clock.now()) {
                self.post(posts).await;
                beat_at = Instant::now();
            }
            if heard.elapsed() > SILENCE {
                return Err(Lost::Silent);
            }
            if beat_at <= Instant::now() {
                beat_at = Instant::now() + BEAT;
                self.beat(&mut connection).await?;
            }
            if let Some(commands) = self.sharer.take() {
                idle = false;
                let replies = self.ask(&mut connection, commands).await?;
                let replies = replies.into_iter().map(|reply| reply.map(|value| texts(vec![value]))).collect();
                let posts = self.sharer.on_written(replies, self.clock.now());
                self.post(posts).await;
            } else {
                let (parts, commands): (Vec<_>, Vec<_>) = self.sharer.reads(self.clock.now()).into_iter().unzip();
                for (part, reply) in parts.into_iter().zip(self.ask(&mut connection, commands).await?) {
                    idle = false;
                    self.sharer.on_read(part, reply.map(entries), self.clock.now());
                }
                if self.sharer.is_synced()
                    && let Some(told) = self.told.take()
                {
                    // Nobody may wait any more.
                    let _ = told.try_send(());
                }
            }
            if idle {
                let read_at = Instant::now() + self.sharer.read_at().since(self.clock.now());
                tokio::select! {
                    message = messages.next() => match message {
                        Some(message) => {
                            heard = Instant::now();
                            self.hear(&message);
                        }
                        None => return Err(Lost::Unsubscribed),
                    },
                    () = self.bell.notified() => {}
                    () = sleep_until(beat_at.min(read_at)) => {}
                }
            }
        }
    }

    fn hear(&mut self, message: &Msg) {
        if let Ok(text) = std::str::from_utf8(message.get_payload_bytes()) {
            self.sharer.on_message(text, self.clock.now());
        }
    }

    /// Runs scripts at the same time. An error of the server's is an answer; one of the connection's is not.
    async fn ask(
        &self,
        connection: &mut Connection,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Value, String>>, Lost> {
        let asked = commands.into_iter().map(|command| {
            let (mut connection, hash) =
                (connection.clone(), self.hashes.get(&command.script).cloned().unwrap_or_default());
            async move {
                let run = |name: &str, script: &str| {
                    let mut cmd = redis::cmd(name);
                    cmd.arg(script).arg(command.keys.len()).arg(&command.keys).arg(&command.args);
                    cmd
                };
                match connection.ask(&run("EVALSHA", &hash)).await {
                    // It was restarted, or is another one.
                    Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                        connection.ask(&run("EVAL", command.script.text())).await
                    }
                    answer => answer,
                }
            }
        });
        let answers = timeout(2 * ANSWER, join_all(asked)).await.map_err(|_| Lost::NoAnswer)?;
        let answer = |answer: RedisResult<Value>| match answer {
            Ok(value) => Ok(Ok(value)),
            Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(Lost::Redis(error)),
        };
        answers.into_iter().map(answer).collect()
    }

    /// Gives answers to the proxies.
    async fn post(&self, posts: Posts) {
        for (shard, written) in posts {
            let mut item: Box<dyn std::any::Any + Send> = Box::new(written);
            // Before the stack has started nobody has asked anything.
            let Some(poster) = self.poster.get() else { return };
            while let Err(back) = poster.post(shard.into(), item) {
                item = back;
                sleep(BUSY).await;
            }
        }
    }
}

/// The texts in values, and in lists of them.
fn texts(values: Vec<Value>) -> Vec<String> {
    let mut all = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::BulkString(octets) => all.push(String::from_utf8_lossy(&octets).into_owned()),
            Value::SimpleString(text) => all.push(text),
            Value::Int(number) => all.push(number.to_string()),
            Value::Array(values) => all.extend(texts(values)),
            _ => {}
        }
    }
    all
}

/// What a partition has: names, each with a list behind it.
fn entries(value: Value) -> Vec<Entry> {
    let Value::Array(all) = value else { return Vec::new() };
    let (mut entries, mut all) = (Vec::new(), all.into_iter());
    while let (Some(aor), Some(fields)) = (all.next(), all.next()) {
        let (Some(aor), fields) = (texts(vec![aor]).pop(), texts(vec![fields])) else { continue };
        let pairs = fields.as_chunks::<2>().0.iter().map(|[field, value]| (field.clone(), value.clone()));
        entries.push((aor, pairs.collect()));
    }
    entries
}
