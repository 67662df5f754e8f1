//! What the service is asked.

use crate::proxy::RequestContext;
use serde::{Serialize, Serializer};
use stack::header::h;
use stack::message::Message;

/// A request, as the service sees it.
#[derive(Serialize)]
struct Question<'q> {
    method: &'q str,
    /// The Request-URI.
    uri: String,
    /// The URI in From.
    from: String,
    /// The URI in To.
    to: String,
    call_id: &'q str,
    source: Option<Source>,
    /// The lines of the headers that were asked for, without those that the request does not have.
    headers: Headers<'q>,
}

/// Where it came from.
#[derive(Serialize)]
struct Source {
    transport: &'static str,
    address: String,
}

struct Headers<'q> {
    request: &'q Message,
    names: &'q [String],
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let values = |name| -> Vec<_> { self.request.raw_values(name).map(String::from_utf8_lossy).collect() };
        to.collect_map(self.names.iter().map(|name| (name, values(name))).filter(|(_, values)| !values.is_empty()))
    }
}

/// Writes the question; what is not UTF-8 becomes U+FFFD.
pub(super) fn write(context: &RequestContext<'_, '_>, headers: &[String]) -> Vec<u8> {
    let request = &*context.request;
    let (method, call_id) = (request.method(), request.header(h::CALL_ID).ok());
    let question = Question {
        method: method.as_ref().map_or("", |method| method.as_str()),
        uri: String::from_utf8_lossy(request.request_uri_text()).into_owned(),
        from: request.header(h::FROM).map(|from| from.uri.to_string()).unwrap_or_default(),
        to: request.header(h::TO).map(|to| to.uri.to_string()).unwrap_or_default(),
        call_id: call_id.as_ref().map_or("", |call_id| call_id.as_str()),
        source: request
            .source()
            .map(|source| Source { transport: source.flow.kind.as_param(), address: source.flow.peer.to_string() }),
        headers: Headers { request, names: headers },
    };
    // Texts and maps of texts: there is nothing that cannot be written.
    serde_json::to_vec(&question).unwrap_or_default()
}
