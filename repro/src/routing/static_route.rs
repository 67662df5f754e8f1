//! Static routes: reSIProcate's `StaticRoute`.

use super::pattern::{Pattern, Prefilter};
use crate::provisioning::{Fault, Record};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use stack::uri::Uri;

/// The most targets that static routes give a request.
const MOST_TARGETS: usize = 8;

/// `[[static_route]]`: where requests go whose Request-URI looks so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticRouteRecord {
    /// Its name, in logs.
    pub name: String,
    /// What the Request-URI looks like.
    pub uri: Pattern,
    /// The method; without it any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The event package; without it any, and none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The new Request-URI; `$1` and `${name}` stand for the groups of `uri`.
    pub rewrite: String,
    /// Routes of the smallest number are tried first, those of the same one at the same time.
    #[serde(default)]
    pub priority: u32,
    /// Whether strangers may use it too, although it leads out of our domains. Of several that lead to our domains they get
    /// the first alone.
    #[serde(default)]
    pub open: bool,
}

impl Record for StaticRouteRecord {
    const KIND: &'static str = "static_route";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn check(&self) -> Result<(), Fault> {
        self.uri.check_replacement(&self.rewrite).map_err(|expected| Fault { field: "rewrite", expected })
    }
}

/// Static routes, ready for use.
#[derive(Debug, Default)]
pub struct StaticRoutes {
    /// By priority.
    routes: Vec<StaticRouteRecord>,
    prefilter: Prefilter,
}

/// Where a static route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The new Request-URI.
    pub uri: String,
    /// The smallest is tried first.
    pub priority: u32,
    /// Strangers may go there too.
    pub open: bool,
}

impl StaticRoutes {
    /// The table of these routes.
    pub fn new(routes: impl Iterator<Item = StaticRouteRecord>) -> Self {
        let mut routes: Vec<StaticRouteRecord> = routes.collect();
        routes.sort_by_key(|route| route.priority);
        let prefilter = Prefilter::new(routes.iter().map(|route| &route.uri));
        StaticRoutes { routes, prefilter }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The new Request-URIs of the routes that fit, by priority; eight at most. What is no URI after it was rewritten is
    /// left out.
    pub fn choose(&self, uri: &[u8], method: &str, event: Option<&str>) -> SmallVec<[Chosen; 2]> {
        let fits = |route: &&StaticRouteRecord| {
            route.method.as_deref().is_none_or(|wanted| wanted == method)
                && route.event.as_deref().is_none_or(|wanted| event.is_some_and(|is| is.eq_ignore_ascii_case(wanted)))
        };
        let routes = self.prefilter.candidates(uri).into_iter().filter_map(|at| self.routes.get(at as usize));
        routes.filter(fits).filter_map(|route| route.rewrite(uri)).take(MOST_TARGETS).collect()
    }
}

impl StaticRouteRecord {
    fn rewrite(&self, uri: &[u8]) -> Option<Chosen> {
        let groups = self.uri.regex().captures(uri)?;
        let mut new = Vec::new();
        groups.expand(self.rewrite.as_bytes(), &mut new);
        let new = String::from_utf8(new).ok().filter(|new| Uri::parse_request(new).is_ok());
        if new.is_none() {
            tracing::warn!(route = self.name, "the rewritten Request-URI is none");
        }
        new.map(|uri| Chosen { uri, priority: self.priority, open: self.open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, uri: &str, rewrite: &str, priority: u32) -> StaticRouteRecord {
        let (name, uri, rewrite) = (name.to_owned(), uri.parse().unwrap(), rewrite.to_owned());
        StaticRouteRecord { name, uri, method: None, event: None, rewrite, priority, open: false }
    }

    fn chosen(routes: &StaticRoutes, uri: &str, method: &str, event: Option<&str>) -> Vec<(String, u32)> {
        routes.choose(uri.as_bytes(), method, event).into_iter().map(|one| (one.uri, one.priority)).collect()
    }

    #[test]
    fn routes_rewrite_in_the_order_of_their_priority() {
        let routes = StaticRoutes::new(
            [
                route("second", r"^sip:(\d+)@", "sip:$1@two.example", 20),
                route("first", r"^sip:(?P<number>\d{4})@([^;]+)", "sip:${number}x@one.example;from=$2", 10),
                route("other", "^sip:alice@", "sip:a@b", 0),
            ]
            .into_iter(),
        );
        let two = |number| format!("sip:{number}@two.example");
        let both = [("sip:1234x@one.example;from=a.example".to_owned(), 10), (two("1234"), 20)];
        assert_eq!(chosen(&routes, "sip:1234@a.example;x", "INVITE", None), both);
        assert_eq!(chosen(&routes, "sip:12@a.example", "INVITE", None), [(two("12"), 20)]);
        assert!(chosen(&routes, "sip:bob@a.example", "INVITE", None).is_empty());
    }

    #[test]
    fn method_and_event_must_fit() {
        let mut subscribe = route("presence", "^sip:", "sip:presence.example", 0);
        (subscribe.method, subscribe.event) = (Some("SUBSCRIBE".to_owned()), Some("presence".to_owned()));
        let routes = StaticRoutes::new([subscribe].into_iter());
        let count = |method, event| chosen(&routes, "sip:a@b", method, event).len();
        assert_eq!((count("SUBSCRIBE", Some("Presence")), count("INVITE", Some("presence"))), (1, 0));
        assert_eq!((count("SUBSCRIBE", Some("dialog")), count("SUBSCRIBE", None)), (0, 0));
    }

    #[test]
    fn what_is_no_uri_leads_nowhere_and_there_is_a_limit() {
        let routes = StaticRoutes::new([route("bad", "^sip:(.*)@", "$1", 0)].into_iter());
        assert!(chosen(&routes, "sip:a@b", "INVITE", None).is_empty());
        let many = (0..20).map(|at| route(&at.to_string(), "^sip:", "sip:x", at));
        let priorities: Vec<u32> =
            chosen(&StaticRoutes::new(many), "sip:a@b", "INVITE", None).iter().map(|c| c.1).collect();
        assert_eq!(priorities, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_group_that_is_not_there_is_a_fault() {
        let fault = route("r", "^sip:(.*)@", "sip:$2@x", 0).check().unwrap_err();
        assert_eq!(fault.field, "rewrite");
        assert!(fault.expected.contains("$2"), "{fault}");
    }
}
