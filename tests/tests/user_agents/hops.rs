//! What RFC 3261 demands of the headers that carry a flow, whatever the flow is: judged of each message that
//! [`crate::world::World::flow`] and [`crate::world::World::trace`] show.
//!
//! | | |
//! |---|---|
//! | a request that somebody makes | one Via, of his own, with a branch (§8.1.1.7); Max-Forwards 70; From with a tag; the CSeq of its method (§8.1.1) |
//! | the same in a dialog | Request-URI and Route are the remote target and the route set, CSeq is higher than before (§12.2.1.1) |
//! | a request that comes to somebody and is forwarded | one Via more, Max-Forwards one less, Route without the one who forwards, Record-Route with him or not, and all else as it was (§16.4, §16.6) |
//! | a CANCEL, and the ACK of a failure | Request-URI, Via, Route, From, Call-ID and number of the INVITE of that hop; To of the INVITE, or of its response (§9.1, §17.1.1.3) |
//! | a request sent again | the same octets |
//! | a response | Vias, From, To, Call-ID and CSeq of the request, as it came there; a tag where there was none (§8.2.6.2); `received` and `rport` (§18.2.1, RFC 3581 §4) |
//! | a response that is forwarded | one Via less, and all else as it was (§16.7) |
//! | a response to INVITE that makes a dialog | Record-Route of the request, and Contact (§12.1.1) |
//! | credentials | by a nonce that one was given, for this Request-URI, counted up by one, with a cnonce; in the ACK of a 2xx those of the INVITE (§22.1, RFC 7616 §3.4) |

use crate::world::{PHONES, Shown, address};
use stack::header::{Auth, MaxForwards, Method, NameAddr, Via, h, p};
use stack::message::Message;
use stack::uri::Host;
use std::collections::HashMap;
use std::net::SocketAddr;

struct Hop {
    from: usize,
    to: Option<usize>,
    /// Where it came from.
    source: SocketAddr,
    msg: Message,
}

/// One side of a dialog.
#[derive(Default)]
struct Leg {
    routes: Vec<String>,
    target: String,
    cseq: u32,
}

/// What was sent in a world, and what follows from that.
#[derive(Default)]
pub(crate) struct Judge {
    seen: Vec<Hop>,
    /// By Call-ID, tag of this side, of the other.
    legs: HashMap<(String, String, String), Leg>,
    /// How often somebody has used a nonce.
    nonces: HashMap<(usize, String), u32>,
}

impl Judge {
    /// Judges what was sent, in the order in which it was, and behind what it has seen before.
    ///
    /// # Panics
    /// When a message breaks a rule; it says which.
    pub(crate) fn judge(&mut self, trace: &[Shown]) {
        for shown in trace {
            if shown.bytes.trim_ascii().is_empty() {
                // It keeps a flow alive.
                continue;
            }
            let msg = Message::parse(shown.bytes.clone()).expect("a message");
            let hop = Hop { from: shown.from, to: shown.to, source: shown.source, msg };
            if hop.msg.status().is_some() {
                self.response(&hop, shown.lost)
            } else {
                self.request(&hop, shown.lost)
            }
            self.seen.push(hop);
        }
    }

    fn request(&mut self, hop: &Hop, lost: bool) {
        let (msg, method) = (&hop.msg, method(&hop.msg));
        hop.has_frame();
        let vias = vias(msg);
        let left = msg.header(h::MAX_FORWARDS).map(|MaxForwards(left)| left).expect("Max-Forwards");
        hop.must(sent_by(&vias[0]) == address(hop.from).to_string(), "the first Via is the sender's");
        hop.must(vias[0].rfc3261_branch().is_some(), "a branch with the cookie");
        let mut again = self.seen.iter().filter(|seen| seen.from == hop.from && seen.msg.status().is_none());
        if let Some(before) = again.rfind(|seen| is_of(&seen.msg, msg) && self::method(&seen.msg) == method) {
            hop.must(before.msg.to_bytes() == msg.to_bytes(), "what is sent again is the same");
        } else if let Some(invite) = self.invite_of(hop) {
            self.beside(hop, invite);
        } else if let [_, rest @ ..] = &vias[..]
            && !rest.is_empty()
        {
            let came = self.came(hop).unwrap_or_else(|| panic!("nobody has sent it what is forwarded:\n{}", text(msg)));
            hop.must(left + 1 == max_forwards(&came.msg), "Max-Forwards is one less");
            hop.is_forwarded(came);
        } else {
            hop.must(hop.from < PHONES, "a proxy makes no request");
            hop.must(left == 70, "Max-Forwards is 70");
            self.is_in_dialog(hop);
            self.has_credentials(hop);
        }
        if let (Some(_), false, Method::Invite | Method::Update) = (hop.to.filter(|to| *to < PHONES), lost, method) {
            let (call, from, other) = names(msg);
            if let Some(leg) = self.legs.get_mut(&(call, other, from)) {
                leg.target = contact(msg);
            }
        }
    }

    /// The INVITE of this hop that a CANCEL or ACK is for.
    fn invite_of(&self, hop: &Hop) -> Option<&Hop> {
        let of_it = |seen: &&Hop| seen.from == hop.from && seen.msg.status().is_none() && is_of(&seen.msg, &hop.msg);
        let invite = self.seen.iter().rev().filter(of_it).find(|seen| method(&seen.msg) == Method::Invite);
        invite.filter(|_| matches!(method(&hop.msg), Method::Cancel | Method::Ack))
    }

    fn beside(&self, hop: &Hop, invite: &Hop) {
        let (own, of) = (&hop.msg, &invite.msg);
        hop.must(own.request_uri_text() == of.request_uri_text(), "the Request-URI of the INVITE");
        hop.must(values(own, "Via") == values(of, "Via")[..1], "the Via of the INVITE, and no other");
        hop.same(of, &["From", "Call-ID", "Route"]);
        hop.must(number(own) == number(of), "the number of the INVITE");
        let mut responses = self.seen.iter().filter(|seen| seen.to == Some(hop.from) && is_of(&seen.msg, own));
        let fits =
            values(own, "To") == values(of, "To") || responses.any(|seen| values(&seen.msg, "To") == values(own, "To"));
        hop.must(fits, "To is that of the INVITE, or of its response");
    }

    /// What came to a proxy, of what it forwards: a request, or with all its Vias a response.
    fn came(&self, hop: &Hop) -> Option<&Hop> {
        let own = vias(&hop.msg);
        self.seen.iter().rev().find(|seen| {
            let came = vias(&seen.msg);
            seen.to == Some(hop.from)
                && seen.msg.status().is_none()
                && (number(&seen.msg), method(&seen.msg)) == (number(&hop.msg), method(&hop.msg))
                && own.len() == came.len() + 1
                && is_received(&came[0], &own[1], seen.source)
                && values(&seen.msg, "Via")[1..] == values(&hop.msg, "Via")[2..]
        })
    }

    fn response(&mut self, hop: &Hop, lost: bool) {
        let (msg, status) = (&hop.msg, hop.msg.status().expect("a response"));
        hop.has_frame();
        let asked = self.seen.iter().rev().find(|seen| {
            (Some(seen.from), seen.to) == (hop.to, Some(hop.from))
                && seen.msg.status().is_none()
                && is_of(&seen.msg, msg)
                && method(&seen.msg) == method(msg)
        });
        let asked = asked.unwrap_or_else(|| panic!("nobody has asked for it:\n{}", text(msg)));
        let ([own, ..], [of, ..]) = (&vias(msg)[..], &vias(&asked.msg)[..]) else { panic!("no Via:\n{}", text(msg)) };
        hop.must(is_received(of, own, asked.source), "the first Via of the request, as it came");
        hop.must(values(msg, "Via")[1..] == values(&asked.msg, "Via")[1..], "the other Vias of the request");
        hop.same(&asked.msg, &["From", "Call-ID", "CSeq"]);
        let (to, of) = (msg.header(h::TO).unwrap(), asked.msg.header(h::TO).unwrap());
        let tag = of.param(p::TAG).or(to.param(p::TAG));
        hop.must(to.uri == of.uri && to.param(p::TAG) == tag, "To of the request");
        hop.must(tag.is_some() || status == 100, "a tag in To");
        let forwarded = self.seen.iter().rev().find(|seen| {
            seen.to == Some(hop.from)
                && seen.msg.status() == Some(status)
                && values(&seen.msg, "Via")[1..] == values(msg, "Via")
        });
        let makes_dialog = method(msg) == Method::Invite && (101..300).contains(&status);
        if let Some(came) = forwarded {
            hop.same(&came.msg, &["To", "Record-Route", "Contact", "Content-Type"]);
            hop.must(msg.body() == came.msg.body(), "the body as it came");
        } else if makes_dialog {
            hop.must(hop.from < PHONES, "a proxy takes no call");
            hop.same(&asked.msg, &["Record-Route"]);
            hop.must(msg.header(h::CONTACTS).count() == 1, "one Contact");
        }
        let routes = values(msg, "Record-Route");
        let (call, from, to) = names(msg);
        let refreshes = makes_dialog || method(msg) == Method::Update && status == 200;
        if refreshes && hop.from < PHONES && forwarded.is_none() {
            let (target, cseq) = (contact(&asked.msg), 0);
            let leg = Leg { routes: routes.clone(), target, cseq };
            self.legs.entry((call.clone(), to.clone(), from.clone())).or_insert(leg);
        }
        if refreshes && vias(msg).len() == 1 && !lost {
            let leg = Leg { routes: routes.into_iter().rev().collect(), ..Leg::default() };
            let leg = self.legs.entry((call, from, to)).or_insert(leg);
            (leg.target, leg.cseq) = (contact(msg), leg.cseq.max(number(msg).1));
        }
        if let (Some(to), 401 | 407) = (hop.to, status) {
            let all = msg.header(h::WWW_AUTHENTICATES).chain(msg.header(h::PROXY_AUTHENTICATES)).flatten();
            let nonces: Vec<_> = all.map(|auth| nonce(&auth)).collect();
            hop.must(!nonces.is_empty(), "a challenge");
            for nonce in nonces {
                self.nonces.entry((to, nonce)).or_default();
            }
        }
    }

    fn is_in_dialog(&mut self, hop: &Hop) {
        let (call, from, to) = names(&hop.msg);
        let Some(leg) = self.legs.get_mut(&(call, from, to)) else { return };
        let cseq = number(&hop.msg).1;
        let uri = String::from_utf8_lossy(hop.msg.request_uri_text()).into_owned();
        hop.must(uri == leg.target, &format!("Request-URI is the remote target, {}", leg.target));
        hop.must(values(&hop.msg, "Route") == leg.routes, &format!("Route is the route set, {:?}", leg.routes));
        hop.must(cseq > leg.cseq || method(&hop.msg) == Method::Ack, "CSeq is higher than before");
        leg.cseq = leg.cseq.max(cseq);
    }

    fn has_credentials(&mut self, hop: &Hop) {
        let msg = &hop.msg;
        if method(msg) == Method::Ack {
            let mut sent =
                self.seen.iter().rev().filter(|seen| seen.from == hop.from && number(&seen.msg) == number(msg));
            let invite = sent.find(|seen| seen.msg.status().is_none()).expect("it acknowledges an INVITE");
            return hop.same(&invite.msg, &["Authorization", "Proxy-Authorization"]);
        }
        for auth in msg.header(h::AUTHORIZATIONS).chain(msg.header(h::PROXY_AUTHORIZATIONS)).flatten() {
            let given = self.nonces.get_mut(&(hop.from, nonce(&auth)));
            let count = given.unwrap_or_else(|| panic!("a nonce that it was not given:\n{}", text(msg)));
            *count += 1;
            let get = |name| auth.get(name).unwrap_or_default().into_owned();
            hop.must(get("uri").as_bytes() == msg.request_uri_text(), "credentials for this Request-URI");
            hop.must(get("nc") == format!("{count:08x}"), &format!("the nonce is used the {count}. time"));
            hop.must(!get("cnonce").is_empty() && !get("qop").is_empty(), "cnonce and qop");
        }
    }
}

impl Hop {
    #[track_caller]
    fn must(&self, holds: bool, rule: &str) {
        assert!(holds, "{rule}; it is sent from {} to {:?}:\n{}", self.from, self.to, text(&self.msg));
    }

    /// What every message has.
    fn has_frame(&self) {
        let (msg, length) = (&self.msg, self.msg.body().len().to_string());
        self.must(values(msg, "Content-Length") == [length], "Content-Length is the body's");
        self.must(msg.header(h::FROM).is_ok_and(|from| from.param(p::TAG).is_some()), "a tag in From");
        let method = msg.header(h::CSEQ).unwrap().method;
        self.must(msg.status().is_some() || msg.method() == Some(method), "CSeq is of the method");
    }

    #[track_caller]
    fn same(&self, as_in: &Message, names: &[&str]) {
        for name in names {
            let (own, other) = (values(&self.msg, name), values(as_in, name));
            self.must(own == other, &format!("{name} is as it was, {other:?}"));
        }
    }

    /// It is what came, on its way onwards.
    fn is_forwarded(&self, came: &Hop) {
        let (msg, came) = (&self.msg, &came.msg);
        let is_own = |route: &NameAddr<'_>| self.is_at(route, self.from);
        let first = came.header(h::ROUTES).next().and_then(Result::ok);
        let popped = usize::from(first.as_ref().is_some_and(is_own));
        self.must(values(msg, "Route") == values(came, "Route")[popped..], "Route without the one who forwards");
        let (own, before) = (values(msg, "Record-Route"), values(came, "Record-Route"));
        let first = msg.header(h::RECORD_ROUTES).next().and_then(Result::ok);
        let recorded = own.len() == before.len() + 1 && own[1..] == before && first.as_ref().is_some_and(is_own);
        self.must(own == before || recorded, "Record-Route with the one who forwards, or as it was");
        let to = msg.request_uri().ok().and_then(|uri| Some(uri.sip()?.host.to_string()));
        let found =
            !msg.has_to_tag() && to.is_some_and(|host| self.to.is_some_and(|to| host == address(to).ip().to_string()));
        self.must(
            found || msg.request_uri_text() == came.request_uri_text(),
            "Request-URI as it was, or of whom it is sent to",
        );
        self.same(came, &["From", "To", "Call-ID", "CSeq", "Contact", "Content-Type", "Authorization"]);
        self.must(msg.body() == came.body(), "the body as it was");
        let credentials = values(came, "Proxy-Authorization");
        let left = values(msg, "Proxy-Authorization");
        self.must(left.iter().all(|left| credentials.contains(left)), "no credentials that did not come");
    }

    fn is_at(&self, addr: &NameAddr<'_>, node: usize) -> bool {
        // A name of its own domain is as good.
        addr.uri.sip().is_some_and(|uri| match &uri.host {
            Host::Name(_) => node >= PHONES,
            host => host.to_string() == address(node).ip().to_string(),
        })
    }
}

fn values(msg: &Message, name: &str) -> Vec<String> {
    msg.raw_values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

fn vias(msg: &Message) -> Vec<Via<'static>> {
    msg.header(h::VIAS).map(|via| via.expect("a Via").into_owned()).collect()
}

fn sent_by(via: &Via<'_>) -> String {
    format!("{}:{}", via.host, via.port.unwrap_or(5060))
}

/// Whether this is a Via as it was sent from there, with what the receiver notes in it.
fn is_received(sent: &Via<'_>, noted: &Via<'_>, source: SocketAddr) -> bool {
    let rport = sent.param(p::RPORT).is_some();
    let elsewhere = sent.host.to_string() != source.ip().to_string();
    (sent_by(sent), sent.branch()) == (sent_by(noted), noted.branch())
        && (!(rport || elsewhere) || noted.received() == Some(source.ip()))
        && (!rport || noted.to_string().contains(&format!("rport={}", source.port())))
}

/// Whether both have the same first branch, and one number.
fn is_of(one: &Message, other: &Message) -> bool {
    let branch = |msg: &Message| vias(msg)[0].branch().map(str::to_owned);
    branch(one) == branch(other) && number(one) == number(other)
}

fn method(msg: &Message) -> Method<'static> {
    msg.header(h::CSEQ).expect("CSeq").method.into_owned()
}

fn number(msg: &Message) -> (String, u32) {
    (msg.header(h::CALL_ID).expect("Call-ID").as_str().to_owned(), msg.header(h::CSEQ).expect("CSeq").number)
}

fn max_forwards(msg: &Message) -> u8 {
    msg.header(h::MAX_FORWARDS).map(|MaxForwards(left)| left).expect("Max-Forwards")
}

/// Call-ID, and the tags of From and To.
fn names(msg: &Message) -> (String, String, String) {
    let tag = |tag: Option<&str>| tag.unwrap_or_default().to_owned();
    let (from, to) = (msg.header(h::FROM).expect("From"), msg.header(h::TO).expect("To"));
    (number(msg).0, tag(from.param(p::TAG)), tag(to.param(p::TAG)))
}

fn contact(msg: &Message) -> String {
    let contact = msg.header(h::CONTACTS).next().expect("a Contact").expect("a Contact");
    contact.addr().expect("no star").uri.to_string()
}

fn nonce(auth: &Auth<'_>) -> String {
    auth.get("nonce").expect("a nonce").into_owned()
}

fn text(msg: &Message) -> String {
    String::from_utf8_lossy(&msg.to_bytes()).into_owned()
}
