//! SIP and SIPS URIs (RFC 3261 §19.1).

use super::escape::{check, decode, encode, escape_user, octets};
use super::host::{Host, read_port, v4_text};
use super::params::{UriHeaders, UriParams};
use crate::grammar::{Cursor, PASSWORD, USER, is};
use crate::header::param::{Param, ParamKind};
use crate::header::{ParseError, p};
use crate::message::decimal;
use std::borrow::Cow;
use std::fmt;

/// A `sip:` or `sips:` URI. User and password are kept as they stand, with escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipUri<'a> {
    /// Whether the scheme is `sips`.
    pub secure: bool,
    /// The user, escaped; it may contain `;`, `?` and `/`.
    pub user: Option<Cow<'a, str>>,
    /// The password, escaped.
    pub password: Option<Cow<'a, str>>,
    /// The host.
    pub host: Host<'a>,
    /// The port, if there is one.
    pub port: Option<u16>,
    /// The parameters.
    pub params: UriParams<'a>,
    /// The headers.
    pub headers: UriHeaders<'a>,
}

impl<'a> SipUri<'a> {
    /// `sip:host`
    pub const fn new(host: Host<'a>) -> Self {
        SipUri {
            secure: false,
            user: None,
            password: None,
            host,
            port: None,
            params: UriParams::none(),
            headers: UriHeaders::none(),
        }
    }

    /// Sets the user; escapes what must be escaped.
    pub fn with_user(mut self, user: &str) -> Self {
        self.user = (!user.is_empty()).then(|| Cow::Owned(escape_user(user)));
        self
    }

    /// Sets the port.
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Adds a parameter.
    pub fn with_param(mut self, name: impl AsRef<str>, value: impl fmt::Display) -> Self {
        self.params.set(name, value);
        self
    }

    /// Adds a parameter without a value: `with_flag(p::LR)`.
    pub fn with_flag(mut self, name: impl AsRef<str>) -> Self {
        self.params.set_flag(name);
        self
    }

    /// Reads what follows the scheme.
    #[inline]
    pub(crate) fn read(at: &mut Cursor<'a>, secure: bool) -> Result<Self, ParseError> {
        let (mut user, mut password) = (None, None);
        // An `@` that does not end the user part has to be escaped, wherever it stands.
        if let Some(end) = at.find(b'@') {
            user = Some(Cow::Borrowed(user_part(at, USER, "user: character that needs an escape")?));
            if user.as_deref() == Some("") {
                return Err(at.fail("user: empty"));
            }
            if at.eat(b':') {
                password = Some(Cow::Borrowed(user_part(at, PASSWORD, "password: character that needs an escape")?));
            }
            if at.pos() != end {
                return Err(at.fail("user: character that needs an escape"));
            }
            at.eat(b'@');
        }
        let host = Host::read(at)?;
        let port = if at.eat(b':') { Some(read_port(at)?) } else { None };
        let params = UriParams::read(at)?;
        let headers = UriHeaders::read(at)?;
        if !at.at_end() {
            return Err(at.fail("SIP URI: character that is not allowed here"));
        }
        Ok(SipUri { secure, user, password, host, port, params, headers })
    }

    /// The user with escapes undone: octets, for an escaped NUL is data.
    pub fn user_decoded(&self) -> Option<Cow<'_, [u8]>> {
        self.user.as_deref().map(decode)
    }

    /// The value of a URI parameter.
    pub fn param<K: ParamKind>(&self, key: Param<K>) -> K::Value<'_> {
        self.params.param(key)
    }

    /// Whether it can be a Request-URI as it is: it has neither headers nor `method` (RFC 3261 §19.1.1, table 1).
    pub fn is_request_uri(&self) -> bool {
        self.headers.is_empty() && !self.params.contains(p::METHOD.name)
    }

    /// Without what cannot stand in a Request-URI (RFC 3261 §16.6 step 2): headers and `method`.
    pub fn into_request_uri(mut self) -> Self {
        self.headers = UriHeaders::none();
        self.params.remove(p::METHOD);
        self
    }

    /// The key under which a registrar knows this address-of-record: canonical user, host in lower case and the port if
    /// there is one; no parameters, no password (RFC 3261 §10.3, step 5). `sip` and `sips` have the same key.
    pub fn aor_key(&self) -> String {
        let mut key = String::with_capacity(64);
        if let Some(user) = &self.user {
            // Most users are canonical as they stand.
            match user.bytes().all(|b| is(b, USER) && !matches!(b, b'%' | b'#')) {
                true => key.push_str(user),
                false => key.push_str(&encode(octets(user), USER)),
            }
            key.push('@');
        }
        let host = key.len();
        match &self.host {
            Host::Name(name) => key.push_str(name),
            Host::V4(address) => key.push_str(v4_text(*address, &mut [0; 15])),
            address => key.push_str(&address.to_string()),
        }
        key[host..].make_ascii_lowercase();
        if let Some(port) = self.port {
            key.push(':');
            key.push_str(decimal(port.into(), &mut [0; 20]));
        }
        key
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> SipUri<'static> {
        SipUri {
            secure: self.secure,
            user: self.user.map(|user| Cow::Owned(user.into_owned())),
            password: self.password.map(|password| Cow::Owned(password.into_owned())),
            host: self.host.into_owned(),
            port: self.port,
            params: self.params.into_owned(),
            headers: self.headers.into_owned(),
        }
    }
}

/// Reads user or password up to `:` or `@`.
#[inline]
fn user_part<'a>(at: &mut Cursor<'a>, class: u16, rule: &'static str) -> Result<&'a str, ParseError> {
    let start = at.pos();
    let part = at.take(class);
    match at.peek() {
        Some(b':' | b'@') => check(part, start).map(|()| part),
        _ => Err(at.fail(rule)),
    }
}

impl SipUri<'_> {
    /// Prints it.
    pub(super) fn print(&self, f: &mut impl fmt::Write) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                f.write_str(":")?;
                f.write_str(password)?;
            }
            f.write_str("@")?;
        }
        self.host.print(f)?;
        if let Some(port) = self.port {
            f.write_str(":")?;
            f.write_str(decimal(port.into(), &mut [0; 20]))?;
        }
        f.write_str(self.params.as_str())?;
        f.write_str(self.headers.as_str())
    }
}

impl fmt::Display for SipUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f)
    }
}
