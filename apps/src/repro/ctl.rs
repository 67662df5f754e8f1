//! `repro ctl`: a running proxy from the command line, by its HTTP API.
//!
//! Exit codes: 0 done; 1 refused, or not there; 2 wrong arguments.

use super::{Args, PROGRAM, configure};
use crate::terminal::say;
use clap::Subcommand;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use repro::config::{AdminToken, ConfigError};
use repro::provisioning::one_line;
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// Most octets of an answer.
const MOST_ANSWER: usize = 64 << 20;
/// How long an answer may take: a reload with very many users takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);
/// Most characters of a column.
const WIDEST: usize = 60;

/// Looks at a running proxy, or changes it.
///
/// The address and the token are those of [admin] in the file of --config, or of REPRO_ADMIN__LISTEN and
/// REPRO_ADMIN__TOKEN.
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
    /// Show the transactions that are alive.
    Transactions,
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
    #[error(transparent)]
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

/// One segment of a path, or one value of a query.
fn escaped(text: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    text.bytes()
        .map(|octet| if plain(octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") })
        .collect()
}

impl Caller {
    fn new(ctl: &Ctl, args: &Args) -> Result<Self, CtlError> {
        let config = configure(args)?;
        let base = match (&ctl.url, &config.admin) {
            (Some(url), _) if url.scheme_str() != Some("http") => return Err(CtlError::NoHttp),
            (Some(url), _) => url.to_string().trim_end_matches('/').to_owned(),
            (None, Some(admin)) => {
                let mut address = admin.listen;
                if address.ip().is_unspecified() {
                    let v4 = address.is_ipv4();
                    address.set_ip(if v4 { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
                }
                format!("http://{address}")
            }
            (None, None) => return Err(CtlError::NoAddress),
        };
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Ok(Caller { client, base, token: config.admin_token()? })
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
        let (answer, table): (Value, fn(&Value) -> Table) = match &ctl.what {
            What::Status => (self.ask(get, "/status", None).await?, fields),
            What::Statistics => (self.ask(get, "/statistics", None).await?, fields),
            What::Transactions => (self.ask(get, "/transactions", None).await?, transactions),
            What::Registrations { search } => (self.all("/registrations", search.as_deref()).await?, registrations),
            What::Unregister { aor, contact } => {
                let contact = contact.as_ref().map(|uri| format!("?contact={}", escaped(uri))).unwrap_or_default();
                (self.ask(delete, &format!("/registrations/{}{contact}", escaped(aor)), None).await?, fields)
            }
            What::List { kind, search } => {
                (self.all(&format!("/{}s", escaped(kind)), search.as_deref()).await?, records)
            }
            What::Get { kind, key } => (self.ask(get, &record(kind, key), None).await?, fields),
            What::Set { kind, record } => {
                (self.ask(put, &format!("/{}s", escaped(kind)), Some(&object(record)?)).await?, fields)
            }
            What::Remove { kind, key } => (self.ask(delete, &record(kind, key), None).await?, fields),
            What::Trunks { out: None, into: None, .. } => (self.all("/trunks", None).await?, trunks),
            What::Trunks { out, into, contact } => {
                let name = out.as_ref().or(into.as_ref()).map_or("", String::as_str);
                let body = json!({"in_service": into.is_some(), "contact": contact});
                (self.ask(put, &format!("/trunks/{}/service", escaped(name)), Some(&body)).await?, fields)
            }
            What::Bans => (self.ask(get, "/bans", None).await?, bans),
            What::Ban { address, seconds } => {
                (self.ask(post, "/bans", Some(&json!({"address": address, "seconds": seconds}))).await?, fields)
            }
            What::Unban { address } => (self.ask(delete, &format!("/bans/{}", escaped(address)), None).await?, fields),
            What::Log { filter: None } => (self.ask(get, "/log", None).await?, fields),
            What::Log { filter } => (self.ask(put, "/log", Some(&json!({"filter": filter}))).await?, fields),
            What::Reload => (self.ask(post, "/reload", None).await?, fields),
            What::Drain => (self.ask(post, "/drain", None).await?, fields),
        };
        let mut out = io::stdout().lock();
        if ctl.json {
            writeln!(out, "{answer}")?;
        } else {
            table(&answer).write(&mut out)?;
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

/// Rows of columns.
struct Table {
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let shown = |text: &str| text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
        let head: Vec<String> = self.head.iter().map(|name| name.to_uppercase()).collect();
        let width = |at: usize| {
            let of_rows = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            of_rows.chain(head.get(at).map(String::len)).max().unwrap_or(0).min(WIDEST)
        };
        let widths: Vec<usize> = (0..self.head.len().max(2)).map(width).collect();
        let is_told = io::stdout().is_terminal() || !self.head.is_empty();
        let lines = (is_told && !head.is_empty()).then_some(&head).into_iter().chain(&self.rows);
        for line in lines {
            let last = line.len().saturating_sub(1);
            for (at, cell) in line.iter().enumerate() {
                let width = widths.get(at).copied().unwrap_or(0);
                if at < last { write!(out, "{:width$}  ", shown(cell))? } else { writeln!(out, "{}", shown(cell))? }
            }
        }
        Ok(())
    }
}

/// A value as one cell.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Each leaf on a line, by its path.
fn fields(answer: &Value) -> Table {
    fn walk(path: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
        match value {
            Value::Object(inner) => inner.iter().for_each(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(&path, value, rows);
            }),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for item in items.iter().filter_map(Value::as_object) {
                    let pairs: Vec<String> =
                        item.iter().map(|(name, value)| format!("{name}={}", cell(value))).collect();
                    rows.push(vec![path.to_owned(), pairs.join(" ")]);
                }
            }
            Value::Array(items) => {
                rows.push(vec![path.to_owned(), items.iter().map(cell).collect::<Vec<_>>().join(", ")])
            }
            leaf => rows.push(vec![path.to_owned(), cell(leaf)]),
        }
    }
    let mut rows = Vec::new();
    walk("", answer, &mut rows);
    Table { head: &[], rows }
}

fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().into_iter().flatten()
}

fn registrations(answer: &Value) -> Table {
    let rows = items(answer).flat_map(|item| {
        let contacts = item["contacts"].as_array().into_iter().flatten();
        contacts.map(|contact| {
            let by = match &contact["reached_by"] {
                Value::String(uri) => uri.clone(),
                other if other["flow"].is_object() => {
                    format!("flow {} {}", cell(&other["flow"]["transport"]), cell(&other["flow"]["peer"]))
                }
                other => format!("path {}", cell(&other["path"])),
            };
            vec![
                cell(&item["aor"]),
                cell(&contact["contact"]),
                cell(&contact["expires_seconds"]),
                cell(&contact["q"]),
                by,
            ]
        })
    });
    Table { head: &["address-of-record", "contact", "expires", "q", "reached by"], rows: rows.collect() }
}

fn records(answer: &Value) -> Table {
    let rows = items(answer).map(|item| vec![cell(&item["key"]), cell(&item["place"]), cell(&item["record"])]);
    Table { head: &["key", "place", "record"], rows: rows.collect() }
}

fn trunks(answer: &Value) -> Table {
    let rows = items(answer).flat_map(|item| {
        let contacts = item["contacts"].as_array().into_iter().flatten();
        contacts.map(|contact| {
            let by_hand = if contact["forced_out"] == true { "by hand" } else { "" };
            vec![cell(&item["key"]), cell(&contact["contact"]), cell(&contact["state"]), by_hand.to_owned()]
        })
    });
    Table { head: &["trunk", "contact", "state", ""], rows: rows.collect() }
}

fn bans(answer: &Value) -> Table {
    let rows = items(answer).map(|item| vec![cell(&item["address"]), cell(&item["seconds"])]);
    Table { head: &["address", "seconds"], rows: rows.collect() }
}

fn transactions(answer: &Value) -> Table {
    let states = answer["states"].as_array().into_iter().flatten();
    let rows = states.map(|one| vec![cell(&one["kind"]), cell(&one["state"]), cell(&one["alive"])]);
    Table { head: &["kind", "state", "alive"], rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_do_not_get_in_each_others_way() {
        Args::command().debug_assert();
    }

    fn written(table: Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_have_columns_and_no_control_characters() {
        let answer = json!({"items": [
            {"aor": "a@h", "contacts": [
                {"contact": "sip:a@192.0.2.1", "expires_seconds": 60, "q": 1.0, "reached_by": "uri"},
                {"contact": "sip:\u{1b}[2J@h", "expires_seconds": 7, "q": 0.5,
                 "reached_by": {"flow": {"transport": "tcp", "peer": "192.0.2.2:5060"}}},
            ]},
        ]});
        let expected = "ADDRESS-OF-RECORD  CONTACT          EXPIRES  Q    REACHED BY\n\
                        a@h                sip:a@192.0.2.1  60       1.0  uri\n\
                        a@h                sip:\u{fffd}[2J@h       7        0.5  flow tcp 192.0.2.2:5060\n";
        assert_eq!(written(registrations(&answer)), expected);
        assert_eq!(written(fields(&json!({"a": {"b": 1, "c": null}, "d": ["x", "y"]}))), "a.b  1\na.c  -\nd    x, y\n");
    }

    #[test]
    fn names_are_one_segment_of_a_path() {
        assert_eq!(escaped("10.0.0.0/8 tls:a?b&c"), "10.0.0.0%2F8%20tls%3Aa%3Fb%26c");
        assert_eq!(object("[1]").unwrap_err().to_string(), "[1]: expected a JSON object");
    }
}
