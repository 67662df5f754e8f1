//! The record `[[peer]]`.

use super::IdentityForm;
use crate::config::net::{BadText, bad};
use crate::config::{Domain, Network};
use crate::provisioning::{Fault, Record};
use serde::{Deserialize, Serialize};
use stack::header::{HeaderId, Method};
use stack::message::Names;

/// Headers that no rule may touch: a message without them, or with other ones, is no message or leads elsewhere.
const NOT_THESE: [HeaderId; 12] = [
    HeaderId::VIA,
    HeaderId::FROM,
    HeaderId::TO,
    HeaderId::CALL_ID,
    HeaderId::CSEQ,
    HeaderId::MAX_FORWARDS,
    HeaderId::ROUTE,
    HeaderId::RECORD_ROUTE,
    HeaderId::CONTACT,
    HeaderId::CONTENT_LENGTH,
    HeaderId::CONTENT_TYPE,
    HeaderId::MAX_BREADTH,
];

/// `[[peer]]`: another network, as a carrier, and what is agreed with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRecord {
    /// Its name.
    pub name: String,
    /// Where it sends from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    /// Domains that it alone may name in From: from other addresses that is refused with 403.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
    /// Trunks that lead to it. What goes to an address of its networks goes to it as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trunks: Vec<String>,
    /// The methods that go to and from it, in and outside of dialogs; others are refused, known ones with 405, unknown
    /// ones with 501. ACK and CANCEL always pass.
    #[serde(default = "usual")]
    pub methods: Vec<MethodName>,
    /// How the names of headers to it are written; without it as they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<NamesOut>,
    /// Headers that messages to it do not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<HeaderName>,
    /// Headers that requests to it have, in the place of those with the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HeaderLine>,
    /// How it is told who calls and who answers, and what it says of that; without it a P-Asserted-Identity, and a
    /// Remote-Party-ID is believed as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityForm>,
    /// Whether it is in the trust domain; without it as who is trusted without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<bool>,
    /// The most TCP segments, of 1428 octets each, that a request to or from it may take on a connection; a larger one is
    /// refused with 513.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_segments: Option<u16>,
    /// The most Max-Forwards that a request to or from it has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_forwards: Option<u8>,
}

/// What calls need: no registrations, no events, no messages.
fn usual() -> Vec<MethodName> {
    ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY"]
        .map(|name| MethodName(name.into()))
        .into()
}

impl Record for PeerRecord {
    const KIND: &'static str = "peer";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn check(&self) -> Result<(), Fault> {
        let fault = |field, expected: &str| Err(Fault { field, expected: expected.to_owned() });
        if self.networks.is_empty() && self.trunks.is_empty() {
            return fault("networks", "expected networks or trunks: nothing would be known of this peer");
        }
        if !self.domains.is_empty() && self.networks.is_empty() {
            return fault("networks", "expected the networks that its domains may send from");
        }
        if self.max_forwards == Some(0) {
            return fault("max_forwards", "expected at least 1");
        }
        if self.max_segments == Some(0) {
            return fault("max_segments", "expected at least 1");
        }
        Ok(())
    }
}

/// How names of headers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamesOut {
    /// One letter where there is a compact form.
    Compact,
    /// In full.
    Full,
}

impl From<NamesOut> for Names {
    fn from(names: NamesOut) -> Names {
        match names {
            NamesOut::Compact => Names::Compact,
            NamesOut::Full => Names::Full,
        }
    }
}

/// A method, in upper case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MethodName(pub Box<str>);

impl TryFrom<String> for MethodName {
    type Error = BadText;
    fn try_from(text: String) -> Result<Self, BadText> {
        match Method::from_token(&text) {
            Method::Other(_) => Err(bad(&text, "a method of SIP in capitals, as INVITE")),
            _ => Ok(MethodName(text.into())),
        }
    }
}

impl From<MethodName> for String {
    fn from(method: MethodName) -> String {
        method.0.into()
    }
}

/// The name of a header that a rule may touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(Box<str>);

impl HeaderName {
    /// The same as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderName {
    type Error = BadText;
    fn try_from(text: String) -> Result<Self, BadText> {
        let token = |octet: u8| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet);
        if text.is_empty() || text.len() > 64 || !text.bytes().all(token) {
            return Err(bad(&text.chars().take(64).collect::<String>(), "the name of a header, as X-Account"));
        }
        if NOT_THESE.contains(&HeaderId::lookup(text.as_bytes())) {
            return Err(bad(&text, "a header that the way of a message does not depend on"));
        }
        Ok(HeaderName(text.into()))
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> String {
        name.0.into()
    }
}

/// A line that is added to messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderLine {
    name: HeaderName,
    value: Box<str>,
}

impl HeaderLine {
    /// The name of the header.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl TryFrom<String> for HeaderLine {
    type Error = BadText;
    fn try_from(text: String) -> Result<Self, BadText> {
        let expected = || bad(&text.chars().take(128).collect::<String>(), "a line, as \"X-Account: 4711\"");
        let (name, value) = text.split_once(':').ok_or_else(expected)?;
        let (name, value) = (HeaderName::try_from(name.trim().to_owned())?, value.trim());
        if value.is_empty() || value.len() > 512 || value.chars().any(char::is_control) {
            return Err(expected());
        }
        Ok(HeaderLine { name, value: value.into() })
    }
}

impl From<HeaderLine> for String {
    fn from(line: HeaderLine) -> String {
        format!("{}: {}", line.name.0, line.value)
    }
}
