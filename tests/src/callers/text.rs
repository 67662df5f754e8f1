//! The messages of callers and called.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// The value of the first line of this name.
pub(super) fn line<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.split("\r\n").find_map(|line| line.strip_prefix(name))
}

/// A request within the dialog that a 2xx began.
pub(super) fn within(ok: &str, method: &str, cseq: u32, own: SocketAddr, branch: u64) -> String {
    let target = line(ok, "Contact: ").and_then(|contact| contact.split(['<', '>']).nth(1)).unwrap_or_default();
    let [from, to, call_id] = ["From: ", "To: ", "Call-ID: "].map(|name| line(ok, name).unwrap_or_default());
    let mut routes: Vec<&str> = ok.split("\r\n").filter_map(|line| line.strip_prefix("Record-Route: ")).collect();
    routes.reverse();
    let routes = routes.iter().fold(String::new(), |mut text, route| {
        // Writing to a String cannot fail.
        let _ = write!(text, "Route: {route}\r\n");
        text
    });
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n{routes}\
         From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A response that keeps the headers of its request.
pub(super) fn response(request: &str, status: u16, contact: &str) -> String {
    let mut text = format!("SIP/2.0 {status} As Asked\r\n");
    for line in request.split("\r\n").skip(1) {
        let tag = match line.split(':').next().unwrap_or_default() {
            "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => "",
            "To" if line.contains(";tag=") => "",
            "To" => ";tag=called",
            _ => continue,
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "{line}{tag}\r\n");
    }
    let _ = write!(text, "Contact: {contact}\r\nContent-Length: 0\r\n\r\n");
    text
}
