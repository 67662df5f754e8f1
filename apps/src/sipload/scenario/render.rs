//! Messages of texts: what stands in the places of one call.

use super::super::credentials;
use super::super::template::message;
use super::super::users::User;
use super::call::Call;
use super::machine::Setup;
use super::program::{At, Value};
use super::text::{Keyword, Piece, Text};
use bytes::Bytes;
use rutil::{Rng, Time};
use stack::auth::Secret;
use stack::header::{Date, HeaderId, h};
use stack::message::Message;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a text is rendered with.
pub(super) struct Renderer<'a> {
    pub(super) setup: &'a Setup,
    pub(super) call: &'a Call,
    pub(super) rng: &'a mut Rng,
    pub(super) now: Time,
    /// The step whose text it is.
    pub(super) at: At,
}

/// What is known only when the rest stands.
#[derive(Default)]
struct Later {
    lengths: Vec<(usize, i64)>,
    credentials: Option<(usize, User)>,
}

/// A line is not written: what it is for is not there.
struct Left;

impl Renderer<'_> {
    /// One text without lines of its own.
    pub(super) fn line(&mut self, text: &Text) -> String {
        let mut out = Vec::new();
        for (nth, line) in text.lines.iter().enumerate() {
            if nth > 0 {
                out.push(b'\n');
            }
            // What is not there is nothing.
            line.iter().for_each(|piece| drop(self.piece(piece, &mut out, &mut Later::default())));
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// A whole message: CRLF behind each line, an empty line behind the header, and the length of what follows.
    pub(super) fn message(&mut self, text: &Text) -> Bytes {
        let (mut out, mut later) = (Vec::with_capacity(1024), Later::default());
        for line in &text.lines {
            let begin = out.len();
            let mut leaves = false;
            for piece in line {
                // SIPp leaves out a line that begins with what is not there; elsewhere it is nothing.
                if self.piece(piece, &mut out, &mut later).is_err()
                    && (out.len() == begin || !self.setup.program.strict)
                {
                    leaves = true;
                    break;
                }
            }
            // Nor is a line written that is nothing but keywords of which nothing comes: it would end the header.
            let is_length = later.lengths.last().is_some_and(|(at, _)| *at == begin);
            let all_keywords = !line.is_empty() && line.iter().all(|piece| matches!(piece, Piece::Keyword(_)));
            if leaves || out.len() == begin && all_keywords && !is_length {
                out.truncate(begin);
                later.lengths.retain(|(at, _)| *at < begin);
                later.credentials.iter_mut().for_each(|(at, _)| *at = begin.min(*at));
                continue;
            }
            // One that holds several, or the whole rest of a message, ends with its own.
            if !(out.len() > begin && out.ends_with(b"\r\n")) {
                out.extend_from_slice(b"\r\n");
            }
        }
        let body = match memchr::memmem::find(&out, b"\r\n\r\n") {
            Some(at) => at + 4,
            None => {
                out.extend_from_slice(b"\r\n");
                out.len()
            }
        };
        let length = (out.len() - body) as i64;
        // From the last to the first, so that the places before stay where they are.
        let (mut moved, credentials) = (0, later.credentials);
        for (at, plus) in later.lengths.into_iter().rev() {
            let number = (length + plus).max(0).to_string();
            if credentials.as_ref().is_some_and(|(place, _)| *place > at) {
                moved += number.len();
            }
            out.splice(at..at, number.into_bytes());
        }
        if let Some((at, user)) = credentials {
            let lines = self.credentials(&out, &user);
            let at = at + moved;
            out.splice(at..at, lines.into_bytes());
        }
        Bytes::from(out)
    }

    /// The lines that answer the challenge of the call, or none.
    fn credentials(&mut self, octets: &[u8], user: &User) -> String {
        let request = message(Bytes::copy_from_slice(octets));
        let challenge = self.call.challenge.as_deref();
        challenge
            .zip(request)
            .and_then(|(challenge, request)| credentials::answer(challenge, &request, user, self.rng))
            .unwrap_or_default()
    }

    fn piece(&mut self, piece: &Piece, out: &mut Vec<u8>, later: &mut Later) -> Result<(), Left> {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Keyword(keyword) => self.keyword(keyword, out, later)?,
        }
        Ok(())
    }

    fn keyword(&mut self, keyword: &Keyword, out: &mut Vec<u8>, later: &mut Later) -> Result<(), Left> {
        let (setup, call) = (self.setup, self.call);
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        let port = |port: u16, plus: &i64| i64::from(port).saturating_add(*plus).to_string();
        match keyword {
            Keyword::Service => put(&setup.service),
            Keyword::RemoteIp => match &setup.remote {
                Some((host, _)) => put(host),
                None => put(&bracketed(call.peer.ip())),
            },
            Keyword::RemotePort(plus) => {
                put(&port(setup.remote.as_ref().map_or(call.peer.port(), |(_, port)| *port), plus));
            }
            Keyword::Transport => put(&setup.kind.to_string()),
            Keyword::LocalIp => put(&bracketed(call.local.ip())),
            Keyword::LocalIpType => put(family(call.local.ip())),
            Keyword::LocalPort(plus) => put(&port(call.local.port(), plus)),
            Keyword::MediaIp => put(&call.local.ip().to_string()),
            Keyword::MediaIpType => put(family(call.local.ip())),
            Keyword::MediaPort(plus) => put(&port(MEDIA_PORT, plus)),
            Keyword::CallNumber => put(&(call.number + 1).to_string()),
            Keyword::Branch(plus) => put(&call.branch(setup, self.at, *plus)),
            Keyword::CallId => put(&call.call_id),
            Keyword::Cseq(plus) => put(&i64::from(call.cseq).saturating_add(*plus).to_string()),
            Keyword::Len(plus) => later.lengths.push((out.len(), *plus)),
            Keyword::Pid => put(&setup.pid.to_string()),
            Keyword::MsgIndex => put(&self.at.to_string()),
            Keyword::ClockTick => put(&(self.now.as_nanos() / 1_000_000).to_string()),
            Keyword::Timestamp => put(&timestamp(setup.epoch + self.now.since(Time::ZERO))),
            Keyword::Version => put(env!("CARGO_PKG_VERSION")),
            Keyword::Fill(var, text) => {
                let wanted = call.vars.get(*var).and_then(Value::number).unwrap_or(0.0).clamp(0.0, MOST_FILLED);
                out.extend(text.bytes().cycle().take(wanted as usize));
            }
            Keyword::File(text) => put(text),
            Keyword::PeerTagParam => {
                if let Some(tag) = &call.peer_tag {
                    put(&format!(";tag={tag}"));
                }
            }
            Keyword::Routes if call.routes.is_empty() => return Err(Left),
            Keyword::Routes => put(&format!("Route: {}", call.routes.join(","))),
            Keyword::NextUrl => put(call.remote_target.as_deref().unwrap_or(&setup.target)),
            Keyword::Last(name) => put_lines(out, call.last.as_deref(), name, "")?,
            Keyword::Answered(name) => {
                let tag = if name == "To" { call.local_tag(setup) } else { String::new() };
                put_lines(out, call.request.as_deref(), name, &tag)?;
            }
            Keyword::LastMessage => out.extend_from_slice(&call.last.as_ref().ok_or(Left)?.to_bytes()),
            // SIPp has it of To, whatever its name says.
            Keyword::LastRequestUri => {
                let to = call.last.as_ref().and_then(|last| last.header(h::TO).ok().map(|to| to.uri.to_string()));
                put(&to.unwrap_or_default());
            }
            Keyword::LastCseqNumber(plus) => {
                let cseq = call.last.as_ref().and_then(|last| last.header(h::CSEQ).ok().map(|cseq| cseq.number));
                put(&i64::from(cseq.unwrap_or(0)).saturating_add(*plus).to_string());
            }
            Keyword::Variable(var) => {
                let text = if setup.program.strict { Value::text_of_sipp } else { Value::text };
                put(&call.vars.get(*var).map(text).unwrap_or_default());
            }
            Keyword::Field { table, nth, line } => {
                let at = match line {
                    None => call.lines.get(*table).copied(),
                    // A variable is a number with a point, and nothing where it is 0.
                    Some(text) => match self.line(text).trim() {
                        "" => Some(0),
                        text => text.parse().ok().filter(|line: &f64| *line >= 0.0).map(|line| line as usize),
                    },
                };
                let line = setup.fields.get(*table).zip(at).and_then(|(table, at)| table.lines.get(at));
                if let Some(text) = line.and_then(|line| line.get(*nth)) {
                    text.lines.iter().flatten().try_for_each(|piece| self.piece(piece, out, later))?;
                }
            }
            Keyword::Authentication(user, password) => {
                let mut of = |text: &Option<Box<Text>>| text.as_ref().map(|text| self.line(text));
                let (name, password) = (of(user), of(password));
                later.credentials = Some((out.len(), self.user(name, password)));
                // The lines come with their own ends, or there are none.
                return Err(Left);
            }
            Keyword::Credentials => {
                later.credentials = Some((out.len(), self.user(None, None)));
                // The lines come with their own ends.
                return Err(Left);
            }
            Keyword::LastValue(name) => {
                let value = call.last.as_ref().and_then(|last| last.raw_values(name).next()).ok_or(Left)?;
                out.extend_from_slice(value);
            }
            Keyword::InviteCseq => {
                let invite = self.call.sent_invite();
                let cseq = invite.as_ref().and_then(|invite| invite.header(h::CSEQ).ok().map(|cseq| cseq.number));
                put(&cseq.unwrap_or(call.cseq).to_string());
            }
            Keyword::InviteBranch => {
                let invite = self.call.sent_invite();
                let branch = invite.as_ref().and_then(|invite| Some(invite.first(h::VIAS).ok()?.branch()?.to_owned()));
                put(&branch.unwrap_or_else(|| call.branch(setup, self.at, 0)));
            }
            Keyword::Target => put(&setup.target),
            Keyword::RemoteTarget => put(call.remote_target.as_deref().unwrap_or(&setup.target)),
            Keyword::User => put(&self.user(None, None).name),
            Keyword::Domain => put(&self.user(None, None).domain),
            Keyword::LocalParty => put(&call.local_party(setup, &self.user(None, None))),
            Keyword::RemoteParty => put(&call.remote_party(setup)),
            Keyword::LocalTag => put(call.local_tag(setup).trim_start_matches(";tag=")),
            Keyword::ContactUri => put(&contact(setup, call.local, &self.user(None, None))),
        }
        Ok(())
    }

    /// The call's user, or one with this name and password.
    fn user(&self, name: Option<String>, password: Option<String>) -> User {
        let own = self.setup.users.as_ref().map(|users| users.get(self.call.number));
        let mut user = own.unwrap_or_else(|| User {
            name: if name.is_some() { String::new() } else { "sipload".to_owned() },
            domain: self.call.local.to_string(),
            secret: None,
        });
        if let Some(name) = name {
            user.name = name;
        }
        if let Some(password) = password {
            user.secret = Some(Secret::password(&password));
        }
        user
    }
}

/// Where media would come to; none does.
const MEDIA_PORT: u16 = 6000;

/// The most octets of [fill]: more fits into no datagram.
const MOST_FILLED: f64 = 65_535.0;

/// A wall clock's time as SIPp writes it, in UTC.
fn timestamp(since_1970: Duration) -> String {
    let (seconds, micros) = (since_1970.as_secs(), since_1970.subsec_micros());
    let date = Date::from_unix(seconds);
    format!(
        "{:04}-{:02}-{:02}\t{:02}:{:02}:{:02}.{micros:06}\t{seconds}.{micros:06}",
        date.year, date.month, date.day, date.hour, date.minute, date.second
    )
}

/// An address as it stands in a URI.
fn bracketed(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "4" } else { "6" }
}

fn contact(setup: &Setup, local: SocketAddr, user: &User) -> String {
    let transport = super::super::job::transport(setup.kind);
    format!("sip:{}@{}{transport}", user.name, local)
}

/// All lines of a header, the last without its end; `tag` goes to the last, where it has none.
fn put_lines(out: &mut Vec<u8>, of: Option<&Message>, name: &str, tag: &str) -> Result<(), Left> {
    let of = of.ok_or(Left)?;
    let (mut any, id) = (false, HeaderId::lookup(name.as_bytes()));
    let shown = if id == HeaderId::UNKNOWN { name } else { id.name() };
    for value in of.raw_values(name) {
        if any {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(shown.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        any = true;
    }
    if !any {
        return Err(Left);
    }
    if !tag.is_empty() && !of.has_to_tag() {
        out.extend_from_slice(tag.as_bytes());
    }
    Ok(())
}
