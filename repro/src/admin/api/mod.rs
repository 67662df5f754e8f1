//! The JSON API, `/api/v1`: a request in, an answer out. Who may ask has been decided before.
//!
//! It may wait for the disk and walks tables, so it belongs to a thread that may. What is changed in the store is in use
//! when the answer comes.

mod nodes;
mod openapi;
mod records;
mod registrations;
mod running;
mod schemas;
#[cfg(test)]
mod tests;
mod traces;

use super::{Operation, Parts};
use crate::provisioning::one_line;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stack::uri::decode;

/// Where the API begins.
pub const PREFIX: &str = "/api/v1";
/// Most octets of the body of a request.
pub const MOST_BODY: usize = 1 << 20;
/// Items of a page, unless the request says how many; and the most that it may want.
const PAGE: usize = 100;
const MOST_PAGE: usize = 1000;

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
    /// One that nothing is done by.
    Other,
}

impl Method {
    /// As in HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Other => "",
        }
    }
}

/// What only the program can do.
pub trait Control: Send + Sync {
    /// Reads configuration and certificates again, as SIGHUP has it: what was read, or why everything stays as it was.
    ///
    /// # Errors
    /// Why nothing was changed.
    fn reload(&self) -> Result<String, String>;

    /// Begins the end, as SIGTERM has it.
    fn drain(&self);
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What is to be done.
    pub method: Method,
    /// The path, with its escapes.
    pub path: &'a str,
    /// What stands behind the `?`, with its escapes; empty without.
    pub query: &'a str,
    /// The body; empty without.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The methods that there are, with 405.
    pub allow: Option<String>,
    /// The body.
    pub body: Value,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    status: u16,
    /// What is wrong, and what was expected.
    message: String,
    /// The field or parameter that is wrong, or empty.
    field: String,
}

impl Refused {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Refused { status, message: message.into(), field: String::new() }
    }

    fn field(status: u16, field: &str, message: impl Into<String>) -> Self {
        Refused { field: field.to_owned(), ..Self::new(status, message) }
    }

    fn not_found(what: &str, name: &str) -> Self {
        Self::new(404, format!("there is no {what} {}", one_line(name)))
    }
}

type Outcome = Result<(u16, Value), Refused>;

/// A request, as those who carry it out see it.
struct Call<'a> {
    operation: &'a Operation,
    parts: &'a Parts,
    control: &'a dyn Control,
    method: Method,
    /// What stands in the places of `{…}` of the path.
    names: Vec<String>,
    query: Vec<(String, String)>,
    body: &'a [u8],
}

impl Call<'_> {
    fn name(&self, at: usize) -> &str {
        self.names.get(at).map_or("", String::as_str)
    }

    fn given(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A parameter; empty without.
    fn param(&self, name: &str) -> &str {
        self.given(name).unwrap_or_default()
    }

    /// How many items are wanted.
    fn limit(&self) -> Result<usize, Refused> {
        let Some(text) = self.given("limit") else { return Ok(PAGE) };
        text.parse()
            .ok()
            .filter(|limit| (1..=MOST_PAGE).contains(limit))
            .ok_or_else(|| Refused::field(400, "limit", format!("{}: expected 1 to {MOST_PAGE}", one_line(text))))
    }

    /// Whether something is wanted.
    fn flag(&self, name: &str) -> Result<bool, Refused> {
        match self.given(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => Err(Refused::field(400, name, format!("{}: expected true or false", one_line(text)))),
        }
    }

    /// The body as JSON of this form.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(self.body)).map_err(|error| {
            let field = error.path().to_string();
            Refused::field(400, if field == "." { "" } else { &field }, one_line(&error.inner().to_string()))
        })
    }
}

type Handler = fn(&Call<'_>) -> Outcome;

/// One thing that can be done.
struct Route {
    method: Method,
    /// Behind [`PREFIX`]; `{…}` stands for any name.
    path: &'static str,
    summary: &'static str,
    /// The parameters of the query.
    query: &'static [&'static str],
    /// The statuses of what was done.
    done: &'static [u16],
    /// The schema of the answer then: one of [`schemas`].
    gives: &'static str,
    /// Statuses of refusals, besides those that everything may be refused with.
    refused: &'static [u16],
    handler: Handler,
}

const fn route(method: Method, path: &'static str, summary: &'static str, handler: Handler) -> Route {
    Route { method, path, summary, query: &[], done: &[200], gives: "", refused: &[], handler }
}

const fn listing(path: &'static str, summary: &'static str, handler: Handler) -> Route {
    route(Method::Get, path, summary, handler).query(&["search", "after", "limit"])
}

impl Route {
    const fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }

    const fn done(mut self, statuses: &'static [u16]) -> Self {
        self.done = statuses;
        self
    }

    const fn gives(mut self, schema: &'static str) -> Self {
        self.gives = schema;
        self
    }

    const fn refused(mut self, statuses: &'static [u16]) -> Self {
        self.refused = statuses;
        self
    }
}

/// Everything that can be done. The first that fits counts; those of `{records}` are for each kind of records.
const ROUTES: &[Route] = &[
    route(Method::Get, "/openapi.json", "This description.", |_| Ok((200, openapi::document()))).gives("object"),
    route(Method::Get, "/status", "Whether the proxy is ready, and what it has.", running::status).gives("status"),
    route(Method::Get, "/statistics", "Everything that is counted, since the start.", running::statistics)
        .gives("object"),
    route(
        Method::Get,
        "/transactions",
        "Transactions that are alive: how many in which state, and the oldest of those that wait for something, or with \
         `retired` of all.",
        running::transactions,
    )
    .query(&["limit", "retired"])
    .gives("transactions"),
    listing("/registrations", "Registered contacts, by address-of-record.", registrations::list).gives("registrations"),
    route(Method::Get, "/registrations/{aor}", "The contacts of an address-of-record.", registrations::show)
        .gives("registration")
        .refused(&[404]),
    route(
        Method::Delete,
        "/registrations/{aor}",
        "Removes the contacts of an address-of-record, or the one that `contact` names. Answers when that is kept.",
        registrations::remove,
    )
    .query(&["contact"])
    .gives("unregistered")
    .refused(&[404, 409]),
    route(
        Method::Put,
        "/trunks/{name}/service",
        "Takes a trunk, or one contact, out of service, or puts it back.",
        running::service,
    )
    .gives("service")
    .refused(&[404]),
    route(Method::Get, "/nodes", "The nodes of [cluster], and which of them live.", nodes::list).gives("nodes"),
    route(Method::Get, "/traces", "Calls whose messages are recorded, or were.", traces::list).gives("traces"),
    route(
        Method::Post,
        "/traces",
        "Records the messages with a Call-ID from now on, for 300 seconds or as said; at the latest after an hour it ends by \
         itself. Of one that is there: changes how long it lasts.",
        traces::begin,
    )
    .done(&[200, 201])
    .gives("trace")
    .refused(&[409]),
    route(
        Method::Get,
        "/traces/{call_id}",
        "What was recorded: at most the latest 500 messages and 1 MiB, without credentials, keys and passwords.",
        traces::read,
    )
    .gives("recording")
    .refused(&[404]),
    route(Method::Delete, "/traces/{call_id}", "Ends a recording, and forgets it.", traces::end)
        .gives("removed")
        .refused(&[404]),
    route(Method::Get, "/bans", "Sources of which nothing is read.", running::bans).gives("bans"),
    route(Method::Post, "/bans", "Bans a source for some seconds.", running::ban).done(&[201]).gives("ban"),
    route(Method::Delete, "/bans/{address}", "Lifts a ban.", running::lift).gives("removed").refused(&[404]),
    route(Method::Get, "/log", "The filter of the log.", running::log).gives("log"),
    route(Method::Put, "/log", "Another filter of the log, as `info,stack::transport=debug`.", running::set_log)
        .gives("log"),
    route(Method::Post, "/reload", "Reads configuration and certificates again, all or nothing.", running::reload)
        .gives("reloaded")
        .refused(&[409]),
    route(Method::Post, "/drain", "Refuses what is new, finishes what is under way, and ends.", running::drain)
        .done(&[202])
        .gives("draining"),
    listing("/{records}", "Records of a kind, of configuration and store.", records::list).gives("records"),
    route(Method::Post, "/{records}", "Adds a record to the store.", records::add)
        .done(&[201])
        .gives("record")
        .refused(&[405, 409]),
    route(Method::Put, "/{records}", "Writes a record of the store, whether or not it is there.", records::add)
        .done(&[200, 201])
        .gives("record")
        .refused(&[405, 409]),
    route(Method::Get, "/{records}/{key}", "One record.", records::show).gives("record").refused(&[404]),
    route(Method::Put, "/{records}/{key}", "Writes a record of the store.", records::put)
        .done(&[200, 201])
        .gives("record")
        .refused(&[405, 409]),
    route(Method::Delete, "/{records}/{key}", "Removes a record from the store.", records::remove)
        .gives("removed")
        .refused(&[404, 405, 409]),
];

/// What is in the places of `{…}`, if the path is one of these.
fn fits(route: &Route, path: &[String]) -> Option<Vec<String>> {
    let wanted: Vec<&str> = route.path.split('/').skip(1).collect();
    if wanted.len() != path.len() {
        return None;
    }
    let mut names = Vec::new();
    for (wanted, own) in wanted.into_iter().zip(path) {
        match wanted {
            "{records}" => names.push(records::kind(own)?.to_owned()),
            _ if wanted.starts_with('{') => names.push(own.clone()),
            _ if wanted == own => {}
            _ => return None,
        }
    }
    Some(names)
}

fn unescaped(text: &str) -> String {
    String::from_utf8_lossy(&decode(text)).into_owned()
}

/// Carries out a request.
pub fn answer(operation: &Operation, control: &dyn Control, request: &Request<'_>) -> Answer {
    match carry_out(operation, control, request) {
        Ok((status, body)) => Answer { status, allow: None, body },
        Err((refused, allow)) => {
            let mut error = json!({"status": refused.status, "message": refused.message});
            if !refused.field.is_empty() {
                error["field"] = refused.field.into();
            }
            Answer { status: refused.status, allow, body: json!({"error": error}) }
        }
    }
}

fn carry_out(
    operation: &Operation,
    control: &dyn Control,
    request: &Request<'_>,
) -> Result<(u16, Value), (Refused, Option<String>)> {
    let path = request.path.strip_prefix(PREFIX).unwrap_or_default();
    let path: Vec<String> = path.split('/').skip(1).map(unescaped).collect();
    let of_path: Vec<(&Route, Vec<String>)> =
        ROUTES.iter().filter_map(|route| Some((route, fits(route, &path)?))).collect();
    let Some((route, names)) = of_path.iter().find(|(route, _)| route.method == request.method) else {
        if of_path.is_empty() {
            let message = format!("there is nothing at this path: {PREFIX}/openapi.json says what there is");
            return Err((Refused::new(404, message), None));
        }
        let allow: Vec<&str> = of_path.iter().map(|(route, _)| route.method.as_str()).collect();
        let allow = allow.join(", ");
        return Err((Refused::new(405, format!("expected {allow}")), Some(allow)));
    };
    let Some(parts) = operation.parts() else { return Err((Refused::new(503, "the proxy is starting"), None)) };
    let pairs = request.query.split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query: Vec<(String, String)> = query.map(|(name, value)| (unescaped(name), unescaped(value))).collect();
    if let Some((name, _)) = query.iter().find(|(name, _)| !route.query.contains(&name.as_str())) {
        let expected = if route.query.is_empty() { "no parameters".to_owned() } else { route.query.join(", ") };
        return Err((Refused::field(400, &one_line(name), format!("expected {expected}")), None));
    }
    let (names, body) = (names.clone(), request.body);
    let call = Call { operation, parts, control, method: request.method, names, query, body };
    (route.handler)(&call).map_err(|refused| {
        let allow = (refused.status == 405).then(|| "GET".to_owned());
        (refused, allow)
    })
}

/// A page of items: `next` is what `after` has to be for the following one.
fn page(items: Vec<Value>, next: Option<&str>, total: usize) -> Value {
    json!({"items": items, "next": next, "total": total})
}
