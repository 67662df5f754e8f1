//! `repro ctl`: a running proxy from the command line, by its HTTP API.
//!
//! Exit codes: 0 done; 1 refused, or not there; 2 wrong arguments.

use super::tables::{self, Shown};
use super::{Args, PROGRAM, environment};
use crate::percent::escaped;
use crate::terminal::say;
use clap::Subcommand;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use repro::config::{AdminAddress, AdminToken, ConfigError};
use repro::provisioning::one_line;
use serde_json::{Value, json};
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// Most octets of an answer.
const MOST_ANSWER: usize = 64 << 20;
/// How long an answer may take: a reload with very many users takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks at a running proxy, or changes it.
///
/// The address and the token are those of [admin] in the file of --config, or of REPRO_ADMIN__LISTEN and
/// REPRO_ADMIN__TOKEN. The rest of the file does not count: it may be wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Ctl {
    /// Where the proxy answers, instead of what the configuration says: http://127.0.0.1:8080
    #[arg(long, value_name = "URL", global = true)]
    url: Option<Uri>,
    /// Write the answer as JSON, as the API has it.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum What {
    /// Show whether it is ready, and what it has.
    Status,
    /// Show what was counted.
    Statistics,
    /// Show the transactions that wait for something, the oldest first.
    Transactions {
        /// No more than these.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Those as well that only absorb what comes again.
        #[arg(long)]
        retired: bool,
        /// How many are in which state instead.
        #[arg(long)]
        states: bool,
    },
    /// Show the messages of a call as they come and go: `trace ID --begin`, then `trace ID`; without an ID what there is.
    Trace {
        /// The Call-ID.
        call_id: Option<String>,
        /// Record them from now on.
        #[arg(long, requires = "call_id", conflicts_with = "stop")]
        begin: bool,
        /// For so long: 300 unless it is said, 3600 at most.
        #[arg(long, requires = "begin")]
        seconds: Option<u64>,
        /// Record no more, and forget them.
        #[arg(long, requires = "call_id")]
        stop: bool,
    },
    /// Show the nodes of [cluster], and which of them live.
    Nodes,
    /// Show who is registered.
    Registrations {
        /// Only those with this in the address-of-record or in a contact.
        search: Option<String>,
    },
    /// Remove the contacts of an address-of-record, or one.
    Unregister {
        /// alice@example.com
        aor: String,
        /// Only this contact.
        #[arg(long)]
        contact: Option<String>,
    },
    /// Show records: users, domains, trunks, static_routes, …
    List {
        /// user, domain, acl, …
        kind: String,
        /// Only those with this in their keys.
        search: Option<String>,
    },
    /// Show one record.
    Get {
        /// user, domain, acl, …
        kind: String,
        /// Its key, as `list` shows it.
        key: String,
    },
    /// Write a record: set trunk '{"name": "carrier", "contacts": ["sip:192.0.2.20"]}'; - reads standard input.
    Set {
        /// user, domain, acl, …
        kind: String,
        /// Its fields. A user may have "password", which is kept as a hash.
        record: String,
    },
    /// Remove a record.
    Remove {
        /// user, domain, acl, …
        kind: String,
        /// Its key, as `list` shows it.
        key: String,
    },
    /// Show the trunks and whether they are in service, or take one out or put it back.
    Trunks {
        /// Out of service, by hand.
        #[arg(long, value_name = "NAME", conflicts_with = "into")]
        out: Option<String>,
        /// Into service, whatever was heard of it.
        #[arg(long, value_name = "NAME")]
        into: Option<String>,
        /// Only this contact of it.
        #[arg(long)]
        contact: Option<String>,
    },
    /// Show who is banned.
    Bans,
    /// Ban a source.
    Ban {
        /// An IP address.
        address: String,
        /// For how long.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
    },
    /// Lift a ban.
    Unban {
        /// An IP address.
        address: String,
    },
    /// Show the filter of the log, or put another in its place.
    Log {
        /// info, or warn,stack::transport=debug.
        filter: Option<String>,
    },
    /// Have the configuration and the certificates read again.
    Reload,
    /// Have it finish what is under way, and end.
    Drain,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum CtlError {
    #[error(
        "{0}; without --config, --url http://127.0.0.1:8080 reaches it, with the token, if it has one, in REPRO_ADMIN__TOKEN"
    )]
    Config(#[from] ConfigError),
    #[error("where is it? expected [admin] with listen in the file of --config, or --url http://127.0.0.1:8080")]
    NoAddress,
    #[error("--url: expected http://, as http://127.0.0.1:8080")]
    NoHttp,
    #[error("{url}: {error}: is it running, with [admin]?")]
    Unreachable { url: String, error: String },
    #[error("{url}: this is not the API of repro: {what}")]
    Strange { url: String, what: String },
    #[error("{0}")]
    Refused(String),
    #[error("{0}: expected a JSON object")]
    Json(String),
    #[error("standard input or output: {0}")]
    Io(#[from] io::Error),
}

/// Does it, and gives the exit code.
pub(super) fn main(ctl: Ctl, args: &Args) -> ExitCode {
    let done = actix::System::new().block_on(async { Caller::new(&ctl, args)?.perform(&ctl).await });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads only the first lines is no error.
        Err(CtlError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            say(PROGRAM, format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

/// Who asks.
struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    token: Option<AdminToken>,
}

impl Caller {
    fn new(ctl: &Ctl, args: &Args) -> Result<Self, CtlError> {
        let AdminAddress { listen, token } = AdminAddress::read(args.config.as_deref(), environment())?;
        let base = match (&ctl.url, listen) {
            (Some(url), _) if url.scheme_str() != Some("http") => return Err(CtlError::NoHttp),
            (Some(url), _) => url.to_string().trim_end_matches('/').to_owned(),
            (None, Some(mut address)) => {
                if address.ip().is_unspecified() {
                    let v4 = address.is_ipv4();
                    address.set_ip(if v4 { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
                }
                format!("http://{address}")
            }
            (None, None) => return Err(CtlError::NoAddress),
        };
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Ok(Caller { client, base, token })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CtlError> {
        let url = format!("{}/api/v1{path}", self.base);
        let unreachable = |error: String| CtlError::Unreachable { url: self.base.clone(), error };
        let strange = |what: String| CtlError::Strange { url: self.base.clone(), what };
        let mut request = Request::builder().method(method).uri(&url).header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| strange(error.to_string()))?;
        let answered = async {
            let answer = self.client.request(request).await.map_err(|error| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                unreachable(format!("{error}{cause}"))
            })?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MOST_ANSWER).collect().await;
            let body = body.map_err(|error| strange(error.to_string()))?.to_bytes();
            let json: Value = serde_json::from_slice(&body).map_err(|_| strange(format!("status {status}")))?;
            let message = json["error"]["message"].as_str();
            match (status.is_success(), message) {
                (true, _) => Ok(json),
                (false, None) => Err(strange(format!("status {status}"))),
                (false, Some(message)) => {
                    let field = json["error"]["field"].as_str().filter(|field| !message.contains(field));
                    let field = field.map(|field| format!("{}: ", one_line(field))).unwrap_or_default();
                    Err(CtlError::Refused(format!("{field}{}", one_line(message))))
                }
            }
        };
        let late = || unreachable(format!("no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, answered).await.map_err(|_| late())?
    }

    /// All pages of a list.
    async fn all(&self, path: &str, search: Option<&str>) -> Result<Value, CtlError> {
        let search = search.map(|search| format!("&search={}", escaped(search))).unwrap_or_default();
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("{path}?limit=1000&after={}{search}", escaped(&after));
            let mut page = self.ask(Method::GET, &path, None).await?;
            if let Value::Array(more) = page["items"].take() {
                items.extend(more);
            }
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => return Ok(json!({"items": items, "total": page["total"]})),
            }
        }
    }

    async fn perform(&self, ctl: &Ctl) -> Result<(), CtlError> {
        let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
        let record = |kind: &str, key: &str| format!("/{}s/{}", escaped(kind), escaped(key));
        let (answer, shown): (Value, fn(&Value) -> Shown) = match &ctl.what {
            What::Status => (self.ask(get, "/status", None).await?, tables::fields),
            What::Statistics => (self.ask(get, "/statistics", None).await?, tables::fields),
            What::Transactions { states: true, .. } => {
                (self.ask(get, "/transactions?limit=1", None).await?, tables::states)
            }
            What::Transactions { limit, retired, .. } => {
                let path = format!("/transactions?limit={limit}&retired={retired}");
                (self.ask(get, &path, None).await?, tables::transactions)
            }
            What::Trace { call_id: None, .. } => (self.ask(get, "/traces", None).await?, tables::traces),
            What::Trace { call_id: Some(call_id), begin: true, seconds, .. } => {
                let body = json!({"call_id": call_id, "seconds": seconds});
                (self.ask(post, "/traces", Some(&body)).await?, tables::fields)
            }
            What::Trace { call_id: Some(call_id), stop, .. } => {
                let path = format!("/traces/{}", escaped(call_id));
                match stop {
                    true => (self.ask(delete, &path, None).await?, tables::fields),
                    false => (self.ask(get, &path, None).await?, tables::recording),
                }
            }
            What::Nodes => (self.ask(get, "/nodes", None).await?, tables::nodes),
            What::Registrations { search } => {
                (self.all("/registrations", search.as_deref()).await?, tables::registrations)
            }
            What::Unregister { aor, contact } => {
                let contact = contact.as_ref().map(|uri| format!("?contact={}", escaped(uri))).unwrap_or_default();
                (self.ask(delete, &format!("/registrations/{}{contact}", escaped(aor)), None).await?, tables::fields)
            }
            What::List { kind, search } => {
                (self.all(&format!("/{}s", escaped(kind)), search.as_deref()).await?, tables::records)
            }
            What::Get { kind, key } => (self.ask(get, &record(kind, key), None).await?, tables::fields),
            What::Set { kind, record } => {
                (self.ask(put, &format!("/{}s", escaped(kind)), Some(&object(record)?)).await?, tables::fields)
            }
            What::Remove { kind, key } => (self.ask(delete, &record(kind, key), None).await?, tables::fields),
            What::Trunks { out: None, into: None, .. } => (self.all("/trunks", None).await?, tables::trunks),
            What::Trunks { out, into, contact } => {
                let name = out.as_ref().or(into.as_ref()).map_or("", String::as_str);
                let body = json!({"in_service": into.is_some(), "contact": contact});
                (self.ask(put, &format!("/trunks/{}/service", escaped(name)), Some(&body)).await?, tables::fields)
            }
            What::Bans => (self.ask(get, "/bans", None).await?, tables::bans),
            What::Ban { address, seconds } => {
                (self.ask(post, "/bans", Some(&json!({"address": address, "seconds": seconds}))).await?, tables::fields)
            }
            What::Unban { address } => {
                (self.ask(delete, &format!("/bans/{}", escaped(address)), None).await?, tables::fields)
            }
            What::Log { filter: None } => (self.ask(get, "/log", None).await?, tables::fields),
            What::Log { filter } => (self.ask(put, "/log", Some(&json!({"filter": filter}))).await?, tables::fields),
            What::Reload => (self.ask(post, "/reload", None).await?, tables::fields),
            What::Drain => (self.ask(post, "/drain", None).await?, tables::fields),
        };
        let mut out = io::stdout().lock();
        if ctl.json {
            writeln!(out, "{answer}")?;
        } else {
            shown(&answer).write(&mut out)?;
        }
        Ok(())
    }
}

fn object(text: &str) -> Result<Value, CtlError> {
    let mut read = String::new();
    if text == "-" {
        io::stdin().read_to_string(&mut read)?;
    }
    let text = if text == "-" { &read } else { text };
    let value: Value = serde_json::from_str(text).map_err(|error| CtlError::Json(error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(CtlError::Json(one_line(text))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_do_not_get_in_each_others_way() {
        Args::command().debug_assert();
    }

    #[test]
    fn names_are_one_segment_of_a_path() {
        assert_eq!(escaped("10.0.0.0/8 tls:a?b&c"), "10.0.0.0%2F8%20tls%3Aa%3Fb%26c");
        assert_eq!(object("[1]").unwrap_err().to_string(), "[1]: expected a JSON object");
    }
}
