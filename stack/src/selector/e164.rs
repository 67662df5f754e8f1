//! Telephone numbers as names (ENUM, RFC 6116).

use super::records::Naptr;
use crate::uri::{SipUri, Uri};
use regex::RegexBuilder;

/// Most octets of memory that a rule may need: rules come from anybody who has a number.
const MOST_MEMORY: usize = 1 << 16;

/// Most octets of a URI that a rule makes.
const MOST_URI: usize = 1024;

/// The name of a number (RFC 6116 §3.2): its digits in reverse, with dots, before the suffix.
pub(super) fn domain(number: &str, suffix: &str) -> String {
    let mut name = String::with_capacity(2 * number.len() + suffix.len());
    for digit in number.chars().rev().filter(char::is_ascii_digit) {
        name.extend([digit, '.']);
    }
    name.push_str(suffix.trim_matches('.'));
    name
}

/// The SIP URI of a number: of the services that lead to SIP, the one of lowest order and preference whose rule makes a
/// URI.
pub(super) fn uri(number: &str, records: &[Naptr]) -> Option<SipUri<'static>> {
    let mut fit: Vec<&Naptr> = records.iter().filter(|naptr| is_sip(naptr)).collect();
    fit.sort_by_key(|naptr| (naptr.order, naptr.preference));
    fit.into_iter().find_map(|naptr| {
        let text = substitute(number, &naptr.regexp)?;
        match Uri::parse(&text) {
            Ok(Uri::Sip(sip)) => Some(sip.into_owned()),
            _ => None,
        }
    })
}

/// `E2U+sip`, alone or among others (RFC 6116 §3.4.3); only the terminal flag is for us.
fn is_sip(naptr: &Naptr) -> bool {
    let mut services = naptr.services.split('+');
    naptr.flags.eq_ignore_ascii_case("u")
        && services.next().is_some_and(|first| first.eq_ignore_ascii_case("E2U"))
        && services.any(|service| service.eq_ignore_ascii_case("sip"))
}

/// Applies `!pattern!replacement!flags` (RFC 3402 §3.2).
fn substitute(number: &str, rule: &str) -> Option<String> {
    let [pattern, replacement, flags] = split(rule)?;
    let ignore_case = match flags.as_str() {
        "" => false,
        flags => flags.eq_ignore_ascii_case("i").then_some(true)?,
    };
    let mut pattern = RegexBuilder::new(&pattern);
    pattern.case_insensitive(ignore_case).size_limit(MOST_MEMORY).dfa_size_limit(MOST_MEMORY);
    let pattern = pattern.build().ok()?;
    let found = pattern.captures(number)?;
    let mut made = String::new();
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                digit @ '1'..='9' => made.push_str(found.get(digit as usize - '0' as usize)?.as_str()),
                other => made.push(other),
            },
            c => made.push(c),
        }
        if made.len() > MOST_URI {
            return None;
        }
    }
    Some(made)
}

/// The three parts of a rule. The delimiter is what stands first; one that is escaped is itself.
fn split(rule: &str) -> Option<[String; 3]> {
    let mut chars = rule.chars();
    let delimiter = chars.next().filter(|c| !c.is_ascii_digit() && *c != 'i' && *c != '\\')?;
    let mut parts = [const { String::new() }; 3];
    let mut at = 0;
    while let Some(c) = chars.next() {
        if c == delimiter {
            at += 1;
            continue;
        }
        let part = parts.get_mut(at)?;
        if c == '\\' {
            let next = chars.next()?;
            if next != delimiter {
                part.push('\\');
            }
            part.push(next);
        } else {
            part.push(c);
        }
    }
    (at == 2).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naptr(order: u16, preference: u16, services: &str, regexp: &str) -> Naptr {
        Naptr {
            order,
            preference,
            flags: "u".into(),
            services: services.into(),
            regexp: regexp.into(),
            replacement: "".into(),
        }
    }

    #[test]
    fn digits_in_reverse() {
        assert_eq!(domain("+442079460148", "e164.arpa"), "8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa");
        assert_eq!(domain("+1", ".enum.example.com."), "1.enum.example.com");
    }

    #[test]
    fn rules_of_rfc_3402() {
        for (rule, made) in [
            ("!^.*$!sip:info@example.com!", Some("sip:info@example.com")),
            (r"!^\+44(.*)$!sip:\1@uk.example.com!", Some("sip:2079460148@uk.example.com")),
            (r"!^(\+)(44)(.*)$!sip:\3.\2@example.com!i", Some("sip:2079460148.44@example.com")),
            (r"/.*/sip:a\/b@example.com/", Some("sip:a/b@example.com")),
            (r"!^\+1(.*)$!sip:\1@us.example.com!", None),
            (r"!.*!sip:\1@example.com!", None),
            ("!(!sip:a@b!", None),
            ("!.*!sip:a@b!x", None),
            ("!.*!sip:a@b", None),
            ("!.*", None),
            ("", None),
            ("1.*1sip:a@b1", None),
            (r"!.*!sip:a@b\", None),
            ("!((((((((((a{99}){99}){99}){99}){99}){99}){99}){99}){99}){99})!x!", None),
        ] {
            assert_eq!(substitute("+442079460148", rule).as_deref(), made, "{rule}");
        }
        let long = format!("!(.*)!sip:{}@b!", r"\1".repeat(200));
        assert_eq!(substitute("+442079460148", &long), None);
    }

    #[test]
    fn the_first_that_leads_to_sip() {
        let records = [
            naptr(10, 5, "E2U+mailto", "!.*!mailto:a@example.com!"),
            naptr(20, 1, "E2U+sip", "!.*!sip:c@example.com!"),
            naptr(10, 20, "e2u+SIP", "!.*!sip:b@example.com!"),
            naptr(10, 10, "E2U+pstn+sip", "!.*!sip:a@example.com!"),
            naptr(10, 1, "E2U+sip", "!.*!http:no!"),
            Naptr { flags: "".into(), ..naptr(1, 1, "E2U+sip", "!.*!sip:x@example.com!") },
        ];
        let user = |records: &[Naptr]| uri("+44", records).map(|uri| uri.to_string());
        assert_eq!(user(&records).as_deref(), Some("sip:a@example.com"));
        assert_eq!(user(&records[..3]).as_deref(), Some("sip:b@example.com"));
        assert_eq!(user(&records[..1]), None);
    }
}
