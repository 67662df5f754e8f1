//! Via (RFC 3261 §20.42).

use super::param::param_access;
use super::{HeaderValue, Params, ParseError, p};
use crate::grammar::{Cursor, TOKEN};
use crate::message::decimal;
use crate::uri::{Host, read_port};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// What a branch of RFC 3261 starts with (§8.1.1.7).
const MAGIC_COOKIE: &str = "z9hG4bK";
const SIP_2_0: &str = "SIP/2.0";

/// One value of Via: `SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// Protocol name and version, `SIP/2.0`.
    pub protocol: Cow<'a, str>,
    /// The transport: an open token; `UDP`, `TCP`, `TLS`, …
    pub transport: Cow<'a, str>,
    /// The host of sent-by.
    pub host: Host<'a>,
    /// The port of sent-by.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// A Via without parameters.
    pub fn new(transport: impl Into<Cow<'a, str>>, host: Host<'a>, port: Option<u16>) -> Self {
        Via { protocol: Cow::Borrowed(SIP_2_0), transport: transport.into(), host, port, params: Params::none() }
    }

    /// The branch.
    pub fn branch(&self) -> Option<&str> {
        self.param(p::BRANCH)
    }

    /// The branch, if it can serve as a transaction's key: cookie and an id after it (RFC 3261 §17.2.3, RFC 4475
    /// §3.2.1).
    pub fn rfc3261_branch(&self) -> Option<&str> {
        let cookie =
            |branch: &&str| branch.get(..MAGIC_COOKIE.len()).is_some_and(|c| c.eq_ignore_ascii_case(MAGIC_COOKIE));
        self.branch().filter(cookie).filter(|branch| branch.len() > MAGIC_COOKIE.len())
    }

    /// Where the request came from, if a server saw that it was not sent-by.
    pub fn received(&self) -> Option<IpAddr> {
        self.param(p::RECEIVED)
    }

    /// Whether the transport has this name.
    pub fn is_transport(&self, name: &str) -> bool {
        self.transport.eq_ignore_ascii_case(name)
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Via<'static> {
        Via {
            protocol: Cow::Owned(self.protocol.into_owned()),
            transport: Cow::Owned(self.transport.into_owned()),
            host: self.host.into_owned(),
            port: self.port,
            params: self.params.into_owned(),
        }
    }
}

param_access!(Via);

impl HeaderValue for Via<'static> {
    type Value<'a> = Via<'a>;

    #[inline]
    fn parse(text: &str) -> Result<Via<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let protocol = read_protocol(&mut at)?;
        at.skip_ws();
        let transport = Cow::Borrowed(at.need(TOKEN, "transport expected")?);
        let space = at.pos();
        at.skip_ws();
        if at.pos() == space {
            return Err(at.fail("white space expected after the transport"));
        }
        let host = Host::read(&mut at)?;
        at.skip_ws();
        let mut port = None;
        if at.eat(b':') {
            at.skip_ws();
            port = Some(read_port(&mut at)?);
        }
        Ok(Via { protocol, transport, host, port, params: Params::read(&mut at)? })
    }
}

/// Name and version and the slash that follows, with white space between them. Other protocols and versions are kept:
/// a reply has to find its way (a 505 too).
#[inline]
fn read_protocol<'a>(at: &mut Cursor<'a>) -> Result<Cow<'a, str>, ParseError> {
    if at.rest().starts_with("SIP/2.0/") {
        at.seek(at.pos() + "SIP/2.0/".len());
        return Ok(Cow::Borrowed(SIP_2_0));
    }
    let name = at.need(TOKEN, "protocol name expected")?;
    at.skip_ws();
    if !at.eat(b'/') {
        return Err(at.fail("`/` expected after the protocol name"));
    }
    at.skip_ws();
    let version = at.need(TOKEN, "protocol version expected")?;
    at.skip_ws();
    if !at.eat(b'/') {
        return Err(at.fail("`/` expected after the protocol version"));
    }
    match name.eq_ignore_ascii_case("SIP") && version == "2.0" {
        true => Ok(Cow::Borrowed(SIP_2_0)),
        false => Ok(Cow::Owned(format!("{name}/{version}"))),
    }
}

impl fmt::Display for Via<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.protocol, self.transport, self.host)?;
        if let Some(port) = self.port {
            f.write_str(":")?;
            f.write_str(decimal(port.into(), &mut [0; 20]))?;
        }
        self.params.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Via<'_> {
        let via = Via::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let printed = via.to_string();
        assert_eq!(Via::parse(&printed).as_ref().map(ToString::to_string), Ok(printed.clone()));
        assert_eq!(via.clone().into_owned(), via);
        via
    }

    #[test]
    fn white_space_and_folds() {
        let via = parse("SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw");
        assert_eq!((via.branch(), via.rfc3261_branch()), (Some("390skdjuw"), None));
        assert_eq!((via.protocol.as_ref(), via.host.ip()), ("SIP/2.0", "192.0.2.2".parse().ok()));
        let via = parse("SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8");
        assert!(via.is_transport("tcp"));
        assert_eq!(via.rfc3261_branch(), Some("z9hG4bK9ikj8"));
        let via =
            parse("SIP / 2.0 / UDP first.example.com: 4000;ttl=16\r\n ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1");
        assert_eq!((via.port, via.param(p::TTL), via.param(p::MADDR)), (Some(4000), Some(16), Some("224.2.0.1")));
    }

    #[test]
    fn addresses() {
        let via = parse("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111");
        assert_eq!((via.received(), via.port), ("2001:db8::9:255".parse().ok(), None));
        let via = parse("SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3");
        assert_eq!(via.received(), "2001:db8::9:255".parse().ok());
        assert_eq!(parse("SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19").port, Some(19823));
        assert_eq!(parse("SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en").transport, "UNKNOWN");
        assert_eq!(parse("SIP/7.0/UDP t7.example.com").protocol, "SIP/7.0");
    }

    #[test]
    fn a_bare_cookie_is_no_key() {
        assert_eq!(parse("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK").rfc3261_branch(), None);
        assert_eq!(parse("SIP/2.0/UDP 192.0.2.1;branch=z9HG4BKa").rfc3261_branch(), Some("z9HG4BKa"));
        assert_eq!(parse("SIP/2.0/UDP 192.0.2.1").branch(), None);
    }

    #[test]
    fn building() {
        let via = Via::new("TLS", Host::parse("a.example").unwrap(), Some(5061))
            .with(p::BRANCH, "z9hG4bKx")
            .with_flag(p::RPORT);
        assert_eq!(via.to_string(), "SIP/2.0/TLS a.example:5061;branch=z9hG4bKx;rport");
        assert_eq!(via.param(p::RPORT), Some(None));
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset, rule) in [
            ("SIP/2.0/UDP 192.0.2.15;;", 23, "parameter: name expected"),
            (";", 0, "protocol name expected"),
            ("", 0, "protocol name expected"),
            ("SIP/2.0 UDP a", 8, "`/` expected after the protocol version"),
            ("SIP/2.0/ a", 10, "white space expected after the transport"),
            ("SIP/2.0/UDP", 11, "white space expected after the transport"),
            ("SIP/2.0/UDP a:70000", 14, "port: above 65535"),
            ("SIP/2.0/UDP a:", 14, "port: digits expected"),
            ("SIP/2.0/UDP a b", 14, "parameter: `;` expected"),
            ("SIP/2.0/UDP 2001:db8::1", 17, "port: digits expected"),
        ] {
            let error = Via::parse(text).unwrap_err();
            assert_eq!((error.offset, error.rule), (offset, rule), "{text}");
        }
    }
}
