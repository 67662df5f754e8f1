//! Dial rules: from what was dialled to a number that trunks are chosen by.

use super::prefix::{EXPECTED_PREFIX, PrefixTable, is_prefix};
use crate::provisioning::{Fault, Record};
use serde::{Deserialize, Serialize};
use stack::uri::Uri;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The longest number that is treated as one, in octets; one of E.164 has 15 digits.
const LONGEST: usize = 64;

/// Whether the name of a service, in small letters, is `sos` or a part of it (RFC 5031 §4.2).
pub fn is_emergency_service(name: &str) -> bool {
    let mut labels = name.split('.');
    labels.next() == Some("sos")
        && labels.all(|label| !label.is_empty() && !label.bytes().any(|b| b.is_ascii_uppercase()))
}

/// How numbers are dialled here. Empty: there is no such thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DialConfig {
    /// What E.164 numbers of this country begin with, without `+`.
    pub country_code: String,
    /// What is dialled before a country code, as `00`.
    pub international_prefix: String,
    /// What is dialled before a number of this country, as `0`.
    pub national_prefix: String,
    /// Numbers that go the emergency way, as `112`. `urn:service:sos` (RFC 5031) is the first of them.
    pub emergency: Vec<String>,
    /// Numbers of emergency services, by the names that they have in `urn:service:` (RFC 5031), as `sos.police`.
    pub services: BTreeMap<String, String>,
}

/// `[[dial_rule]]`: what becomes of numbers that begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialRuleRecord {
    /// What a number begins with; the longest counts. Empty: any number.
    pub prefix: String,
    /// How many of its first characters go.
    #[serde(default)]
    pub strip: usize,
    /// What comes before the rest.
    #[serde(default)]
    pub prepend: String,
    /// The fewest digits that it has; with fewer it is incomplete (484).
    #[serde(default)]
    pub min_length: usize,
}

impl Record for DialRuleRecord {
    const KIND: &'static str = "dial_rule";

    fn key(&self) -> String {
        self.prefix.clone()
    }

    fn check(&self) -> Result<(), Fault> {
        let fields = [("prefix", &self.prefix), ("prepend", &self.prepend)];
        match fields.into_iter().find(|(_, text)| !is_prefix(text)) {
            Some((field, text)) => Err(Fault { field, expected: format!("{text:?}: {EXPECTED_PREFIX}") }),
            None => Ok(()),
        }
    }
}

/// Dial rules by the prefix that they are for.
pub type DialRules = PrefixTable<DialRuleRecord>;

/// Dial rules with the settings that they are used with.
#[derive(Clone, Copy, Debug)]
pub struct DialPlan<'a> {
    /// How numbers are dialled here.
    pub config: &'a DialConfig,
    /// The rules.
    pub rules: &'a DialRules,
}

/// Where a number leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// To the trunks for it: a number of E.164 with `+`, or a short one.
    Number(String),
    /// The emergency way.
    Emergency(String),
    /// Nowhere: digits are missing (484).
    Incomplete,
}

impl DialPlan<'_> {
    /// Applies the rule of the longest prefix, then makes what is national or international a number of E.164. A number
    /// is an emergency before the rules, or after them: behind a digit for an outside line, too.
    pub fn dial(&self, digits: &str) -> Dialled {
        if self.is_emergency(digits) {
            return Dialled::Emergency(digits.to_owned());
        }
        let number = match self.rules.longest(digits) {
            Some((_, rule)) => {
                let rest = digits.get(rule.strip.min(digits.len())..).unwrap_or_default();
                let number = format!("{}{rest}", rule.prepend);
                if self.is_emergency(&number) {
                    return Dialled::Emergency(number);
                }
                let length = digits.trim_start_matches('+').len();
                if length < rule.min_length || number.is_empty() {
                    return Dialled::Incomplete;
                }
                Cow::Owned(number)
            }
            None => Cow::Borrowed(digits),
        };
        if self.is_begun(&number) {
            return Dialled::Incomplete;
        }
        Dialled::Number(self.e164(&number))
    }

    /// Whether it is nothing but the prefix for another country, or the code of ours.
    fn is_begun(&self, number: &str) -> bool {
        let DialConfig { country_code, international_prefix, .. } = self.config;
        let code = number.strip_prefix('+').filter(|_| !country_code.is_empty());
        (!international_prefix.is_empty() && number == international_prefix) || code == Some(country_code.as_str())
    }

    fn is_emergency(&self, digits: &str) -> bool {
        self.config.emergency.iter().any(|number| number == digits)
    }

    /// The number of an emergency service (RFC 5031): `urn:service:sos` is the first of the emergency numbers, what is more
    /// special has a number of its own or that of the service it belongs to. None for any other URI, and where there are no
    /// emergency numbers.
    pub fn service_in(&self, uri: &Uri<'_>) -> Option<&str> {
        let Uri::Other(uri) = uri else { return None };
        let (namespace, service) = uri.opaque.split_once(':')?;
        if !uri.scheme.eq_ignore_ascii_case("urn") || !namespace.eq_ignore_ascii_case("service") {
            return None;
        }
        let service = service.to_ascii_lowercase();
        let sos = self.config.emergency.first()?;
        if !is_emergency_service(&service) {
            return None;
        }
        let mut name = service.as_str();
        loop {
            if let Some(number) = self.config.services.get(name) {
                return Some(number);
            }
            match name.rsplit_once('.') {
                Some((parent, _)) => name = parent,
                None => return Some(sos),
            }
        }
    }

    fn e164(&self, number: &str) -> String {
        let DialConfig { country_code, international_prefix, national_prefix, .. } = self.config;
        let after = |prefix: &str| number.strip_prefix(prefix).filter(|rest| !prefix.is_empty() && !rest.is_empty());
        if let Some(rest) = after(international_prefix) {
            return format!("+{rest}");
        }
        match after(national_prefix) {
            Some(rest) if !country_code.is_empty() => format!("+{country_code}{rest}"),
            _ => number.to_owned(),
        }
    }

    /// Whether a local number with this `phone-context` is dialled as here (RFC 3966 §5.1.5): a country code is ours, a
    /// domain is `ours` or not.
    fn is_context_ours(&self, context: &str, ours: impl Fn(&str) -> bool) -> bool {
        match context.strip_prefix('+') {
            Some(code) => !self.config.country_code.is_empty() && code.starts_with(&self.config.country_code),
            None => ours(context),
        }
    }

    /// The number in a URI, without visual separators: of a `tel` URI, or of a SIP URI whose user is one, `user=phone`
    /// or not (RFC 3261 §19.1.6). None when there is none, or it is local to somewhere else; `ours` says which domains
    /// are here.
    pub fn number_in(&self, uri: &Uri<'_>, ours: impl Fn(&str) -> bool) -> Option<String> {
        match uri {
            Uri::Tel(tel) => self.number_of(&tel.number, tel.params.get("phone-context"), ours),
            Uri::Sip(sip) => {
                let user = sip.user_decoded()?;
                let user = std::str::from_utf8(&user).ok()?;
                // The parameters of a telephone-subscriber are part of the user.
                let (number, params) = user.split_once(';').unwrap_or((user, ""));
                let context = params.split(';').find_map(|param| {
                    let (name, value) = param.split_once('=')?;
                    name.eq_ignore_ascii_case("phone-context").then_some(value)
                });
                self.number_of(number, context, ours)
            }
            Uri::Other(_) => None,
        }
    }

    fn number_of(&self, number: &str, context: Option<&str>, ours: impl Fn(&str) -> bool) -> Option<String> {
        let digits: String = number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).take(LONGEST + 1).collect();
        let some = digits.bytes().any(|b| b != b'+');
        let local = || context.is_none_or(|context| self.is_context_ours(context, ours));
        let good = some && digits.len() <= LONGEST && is_prefix(&digits) && (digits.starts_with('+') || local());
        good.then_some(digits)
    }
}

/// Parameters that anybody's number may have (RFC 3966 §5.3).
const OF_ANYBODY: [&str; 2] = ["ext", "isub"];
/// What is known of a ported number, and of carriers (RFC 4694): whoever is not trusted could choose who pays.
const OF_THE_TRUSTED: [&str; 5] = ["rn", "npdi", "rn-context", "cic", "cic-context"];

/// The parameters of a number in a URI that go with it to a trunk, as a part of the user: empty, or beginning with `;`.
pub fn number_params(uri: &Uri<'_>, trusted: bool) -> String {
    let params = match uri {
        Uri::Tel(tel) => tel.params.as_str(),
        Uri::Sip(sip) => sip.user.as_deref().and_then(|user| Some(user.split_once(';')?.1)).unwrap_or_default(),
        Uri::Other(_) => "",
    };
    let is_one_of = |names: &[&str], param: &str| {
        let name = param.split_once('=').map_or(param, |(name, _)| name);
        names.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    let goes = |param: &&str| is_one_of(&OF_ANYBODY, param) || trusted && is_one_of(&OF_THE_TRUSTED, param);
    // No escapes: whoever undoes them must not find a parameter in another.
    let fits = |param: &&str| {
        param.len() <= LONGEST && param.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,/".contains(&b))
    };
    params.split(';').filter(goes).filter(fits).flat_map(|param| [";", param]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(prefix: &str, strip: usize, prepend: &str, min_length: usize) -> (String, DialRuleRecord) {
        let rule = DialRuleRecord { prefix: prefix.to_owned(), strip, prepend: prepend.to_owned(), min_length };
        (rule.key(), rule)
    }

    fn config() -> DialConfig {
        DialConfig {
            country_code: "49".to_owned(),
            international_prefix: "00".to_owned(),
            national_prefix: "0".to_owned(),
            emergency: vec!["112".to_owned(), "110".to_owned()],
            services: [("sos.police".to_owned(), "110".to_owned())].into(),
        }
    }

    fn dial(digits: &str) -> Dialled {
        let rules = [
            rule("", 0, "+4930", 3),
            rule("+", 0, "", 8),
            rule("0", 0, "", 6),
            rule("9", 1, "", 2),
            rule("0180", 4, "+49180", 8),
            rule("*31#", 4, "", 0),
            rule("77", 2, "", 2),
        ];
        DialPlan { config: &config(), rules: &DialRules::new(rules.into()) }.dial(digits)
    }

    fn number(text: &str) -> Dialled {
        Dialled::Number(text.to_owned())
    }

    #[test]
    fn what_is_dialled_becomes_a_number_of_e164() {
        for (dialled, is) in [
            ("+493012345", "+493012345"),
            ("0049301234", "+49301234"),
            ("030123456", "+4930123456"),
            ("01805123", "+491805123"),
            ("123456", "+4930123456"),
            ("90301234", "+49301234"),
            ("9001202555", "+1202555"),
            ("*31#030123", "+4930123"),
        ] {
            assert_eq!(dial(dialled), number(is), "{dialled}");
        }
    }

    #[test]
    fn a_number_may_lack_digits() {
        for dialled in ["+49301", "03012", "12", "0180512", "9", "77"] {
            assert_eq!(dial(dialled), Dialled::Incomplete, "{dialled}");
        }
        assert_eq!(dial("123"), number("+4930123"));
        // Without a rule: the prefix for another country is no number of this one.
        let config = config();
        let plain = |digits| DialPlan { config: &config, rules: &DialRules::default() }.dial(digits);
        assert_eq!([plain("00"), plain("+49")], [Dialled::Incomplete, Dialled::Incomplete]);
        assert_eq!([plain("0"), plain("001")], [number("0"), number("+1")]);
    }

    #[test]
    fn an_emergency_needs_no_length_and_no_country() {
        for (dialled, is) in [("112", "112"), ("110", "110"), ("9112", "112")] {
            assert_eq!(dial(dialled), Dialled::Emergency(is.to_owned()), "{dialled}");
        }
        assert_eq!(dial("1120"), number("+49301120"));
    }

    #[test]
    fn an_emergency_service_has_a_number() {
        let config = config();
        let plan = DialPlan { config: &config, rules: &DialRules::default() };
        for (uri, is) in [
            ("urn:service:sos", Some("112")),
            ("URN:Service:SOS", Some("112")),
            ("urn:service:sos.fire", Some("112")),
            ("urn:service:sos.police", Some("110")),
            ("urn:service:sos.Police.highway", Some("110")),
            ("urn:service:sosfire", None),
            ("urn:service:sos.", None),
            ("urn:service:sos..fire", None),
            ("urn:service:counseling", None),
            ("urn:nena:service:sos", None),
            ("uri:service:sos", None),
            ("urn:service", None),
            ("tel:112", None),
            ("sip:sos@example.com", None),
        ] {
            assert_eq!(plan.service_in(&Uri::parse(uri).unwrap()), is, "{uri}");
        }
        let none = DialPlan { config: &DialConfig::default(), rules: &DialRules::default() };
        assert_eq!(none.service_in(&Uri::parse("urn:service:sos").unwrap()), None);
    }

    #[test]
    fn without_settings_a_number_stays() {
        let plan = DialPlan { config: &DialConfig::default(), rules: &DialRules::new([].into()) };
        for dialled in ["0049301", "030", "112", "+1", "5"] {
            assert_eq!(plan.dial(dialled), number(dialled));
        }
    }

    #[test]
    fn a_rule_is_checked() {
        let fault = |prefix, prepend| rule(prefix, 0, prepend, 0).1.check().map_err(|fault| fault.field);
        assert_eq!((fault("+49", "00"), fault("a", ""), fault("", "0-")), (Ok(()), Err("prefix"), Err("prepend")));
    }

    #[test]
    fn numbers_in_uris() {
        let (config, rules) = (config(), DialRules::new([].into()));
        let plan = DialPlan { config: &config, rules: &rules };
        let read = |text: &str| plan.number_in(&Uri::parse(text).unwrap(), |domain| domain == "example.com");
        for (uri, is) in [
            ("tel:+49-30-(12).34", Some("+49301234")),
            ("tel:7042;phone-context=example.com", Some("7042")),
            ("tel:7042;phone-context=other.net", None),
            ("tel:7042;phone-context=+4930", Some("7042")),
            ("tel:7042;phone-context=+1", None),
            ("tel:7042", Some("7042")),
            ("tel:a1", None),
            ("sip:+4930-12@example.com;user=phone", Some("+493012")),
            ("sip:030.12@example.com", Some("03012")),
            ("sip:7042;phone-context=+1@example.com;user=phone", None),
            ("sip:7042;ext=1;Phone-Context=+49@example.com;user=phone", Some("7042")),
            ("sip:*31%23030@example.com", Some("*31#030")),
            ("sip:alice@example.com", None),
            ("sip:+@example.com", None),
            ("sip:4%009@example.com", None),
            ("sip:example.com", None),
            ("urn:service:sos", None),
        ] {
            assert_eq!(read(uri).as_deref(), is, "{uri}");
        }
        let long = |digits: usize| read(&format!("sip:{}@example.com", "1".repeat(digits))).is_some();
        assert_eq!((long(64), long(65), long(60_000)), (true, false, false));
    }

    #[test]
    fn some_parameters_go_with_a_number() {
        let of = |uri: &str, trusted| number_params(&Uri::parse(uri).unwrap(), trusted);
        let ported = "tel:+1-202-555-0100;npdi;rn=+1-202-555-0199;cic=+16789;ext=7;phone-context=x;isub=ab";
        assert_eq!(of(ported, false), ";ext=7;isub=ab");
        assert_eq!(of(ported, true), ";npdi;rn=+1-202-555-0199;cic=+16789;ext=7;isub=ab");
        assert_eq!(of("sip:+12025550100;NPDI;Ext=7;x=y@h;rn=1", true), ";NPDI;Ext=7");
        // Nothing comes with another, nor what a user cannot have.
        assert_eq!(of("tel:+1;ext=1%3Brn%3D9;isub=[1];ext=8", false), ";ext=8");
        assert_eq!(of(&format!("tel:+1;ext={};isub=%0d", "1".repeat(61)), false), "");
        assert_eq!((of("sip:+1@h", true), of("urn:service:sos;rn=1", true)), (String::new(), String::new()));
    }
}
