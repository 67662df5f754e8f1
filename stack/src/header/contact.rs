//! Contact (RFC 3261 §20.10): an address, or `*` to remove all bindings.

use super::{HeaderValue, NameAddr, ParseError};
use crate::grammar::trim;
use std::fmt;

/// One value of Contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact<'a> {
    /// `*`
    Star,
    /// An address with parameters.
    Addr(NameAddr<'a>),
}

impl<'a> Contact<'a> {
    /// The address, if it is one.
    pub fn addr(&self) -> Option<&NameAddr<'a>> {
        if let Contact::Addr(addr) = self { Some(addr) } else { None }
    }

    /// The address, if it is one.
    pub fn into_addr(self) -> Option<NameAddr<'a>> {
        if let Contact::Addr(addr) = self { Some(addr) } else { None }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Contact<'static> {
        match self {
            Contact::Star => Contact::Star,
            Contact::Addr(addr) => Contact::Addr(addr.into_owned()),
        }
    }
}

impl<'a> From<NameAddr<'a>> for Contact<'a> {
    fn from(addr: NameAddr<'a>) -> Self {
        Contact::Addr(addr)
    }
}

impl HeaderValue for Contact<'static> {
    type Value<'a> = Contact<'a>;

    fn parse(text: &str) -> Result<Contact<'_>, ParseError> {
        if trim(text) == "*" {
            return Ok(Contact::Star);
        }
        NameAddr::parse(text).map(Contact::Addr)
    }
}

impl fmt::Display for Contact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contact::Star => f.write_str("*"),
            Contact::Addr(addr) => addr.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{QValue, p};
    use super::*;

    #[test]
    fn star_and_addresses() {
        assert_eq!(Contact::parse(" * "), Ok(Contact::Star));
        assert_eq!(Contact::Star.to_string(), "*");
        assert!(Contact::parse("*;expires=0").is_err());
        let text = "\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33";
        let contact = Contact::parse(text).unwrap();
        let addr = contact.addr().unwrap();
        assert_eq!((addr.param(p::Q), addr.params.get("newparam")), (Some(QValue::new(330)), Some("newvalue")));
        assert!(addr.params.contains("secondparam"));
        assert_eq!(Contact::parse(&contact.to_string()).unwrap().to_string(), contact.to_string());
        assert_eq!(contact.clone().into_owned(), contact);
    }

    #[test]
    fn outbound_parameters() {
        let text =
            "<sip:a@192.0.2.2;ob>;+sip.instance=\"<urn:uuid:0C67446E-F1A1-11D9-94D3-000A95A0E128>\";reg-id=1;expires=x";
        let contact = Contact::parse(text).unwrap().into_addr().unwrap();
        assert_eq!(contact.param(p::INSTANCE).as_deref(), Some("<urn:uuid:0C67446E-F1A1-11D9-94D3-000A95A0E128>"));
        assert_eq!((contact.param(p::REG_ID), contact.param(p::EXPIRES)), (Some(1), None));
        assert!(contact.uri.sip().unwrap().param(p::OB));
    }
}
