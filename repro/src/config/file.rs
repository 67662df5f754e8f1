//! From TOML to a valid [`Config`]. Every error says where: file, line and key.

use super::error::{NO_CERTIFICATE, TWICE};
use super::source::Source;
use super::{Accounting, Admin, Config, ConfigError, admin};
use crate::events::MOST_OCTETS_OF_USER;
use crate::routing::dial::is_emergency_service;
use std::io::ErrorKind;
use std::path::Path;

/// What stands in a file, if there is one, and its name in errors.
pub(super) fn text_of(path: Option<&Path>) -> Result<(String, String), ConfigError> {
    let file = path.map_or_else(String::new, |path| path.display().to_string());
    match path.map(std::fs::read_to_string).transpose() {
        Ok(text) => Ok((text.unwrap_or_default(), file)),
        Err(source) if source.kind() == ErrorKind::InvalidData => Err(ConfigError::Encoding { file }),
        Err(source) => Err(ConfigError::Read { file, source }),
    }
}

impl Config {
    /// Reads a file, if there is one, and the variables above it: `REPRO_REGISTRAR__MIN_EXPIRES` is
    /// `registrar.min_expires`; its value is written as in the file, and texts need no quotes.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, has an unknown key or a value that is not allowed. The files that it names
    /// are read by [`Config::tls`].
    pub fn read(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let (text, file) = text_of(path)?;
        Config::from_source(&Source::new(&text, &file, environment))
    }

    /// Reads a text; `file` names it in errors.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
        Config::from_source(&Source::new(text, file, []))
    }

    fn from_source(source: &Source<'_>) -> Result<Config, ConfigError> {
        let (mut config, records) = source.read::<Config>()?;
        config.records = records;
        config.tls.place(Path::new(source.file), |at| source.place(at));
        if let Some(token) = config.admin.as_mut().and_then(|admin| admin.token_file.as_mut()) {
            token.find(Path::new(source.file), |at| source.place(at));
        }
        for file in config.accounting.iter_mut().flat_map(Accounting::files) {
            file.find(Path::new(source.file), |at| source.place(at));
        }
        for file in config.cluster.iter_mut().flat_map(super::Cluster::files) {
            file.find(Path::new(source.file), |at| source.place(at));
        }
        if let Some(password) = config.database.as_mut().and_then(|database| database.password_file.as_mut()) {
            password.find(Path::new(source.file), |at| source.place(at));
        }
        if let Some(store) = &mut config.store {
            store.path = Path::new(source.file).parent().unwrap_or(Path::new("")).join(&store.path);
        }
        match config.contradiction() {
            Some((table, key, what)) => Err(source.fault(source.find(table, key), what)),
            None => Ok(config),
        }
    }

    /// What no single value can tell: the first pair of values that do not go together, as table, key and fault.
    fn contradiction(&self) -> Option<(&'static str, &'static str, &'static str)> {
        let registrar = &self.registrar;
        let checks = [
            (self.first_without_certificate().is_some(), "", "listen", NO_CERTIFICATE),
            (self.first_taken().is_some(), "", "listen", TWICE),
            (self.dscp > 63, "", "dscp", "expected 0 to 63"),
            (self.events.max_body < 512, "events", "max_body", "expected at least 512"),
            (
                self.events.max_publication > MOST_OCTETS_OF_USER,
                "events",
                "max_publication",
                "expected at most 49152: all that is published for a user has to fit into one NOTIFY",
            ),
            (
                self.events.tells_calls() && !self.record_route,
                "events",
                "dialogs_from_calls",
                "expected record_route = true beside it: else no BYE comes through here, and no call ends",
            ),
            (self.nat.pings_per_second == 0, "nat", "pings_per_second", "expected at least 1"),
            (
                self.websocket.path.as_ref().is_some_and(|path| !path.starts_with('/')),
                "websocket",
                "path",
                "expected a path that begins with /",
            ),
            (
                self.websocket.origins.iter().any(|origin| !is_origin(origin)),
                "websocket",
                "origins",
                "expected origins as browsers write them: https://phone.example.com, without a path",
            ),
            (self.auth.algorithms.is_empty(), "auth", "algorithms", "expected at least one, as \"SHA-256\""),
            (self.auth.qop.is_empty(), "auth", "qop", "expected \"auth\" or \"auth-int\" or both"),
            (self.auth.nonce_seconds == 0, "auth", "nonce_seconds", "expected at least 1"),
            (self.auth.nonces == 0, "auth", "nonces", "expected at least 1"),
            (self.auth.failures == 0, "auth", "failures", "expected at least 1: nobody could ever be right"),
            (self.auth.ban_seconds == 0, "auth", "ban_seconds", "expected at least 1: ban_after = 0 bans nobody"),
            (registrar.min_expires == 0, "registrar", "min_expires", "expected at least 1"),
            (
                registrar.max_expires < registrar.min_expires,
                "registrar",
                "max_expires",
                "expected at least registrar.min_expires",
            ),
            (
                !(registrar.min_expires..=registrar.max_expires).contains(&registrar.default_expires),
                "registrar",
                "default_expires",
                "expected between registrar.min_expires and registrar.max_expires",
            ),
            (registrar.max_contacts == 0, "registrar", "max_contacts", "expected at least 1"),
            (registrar.max_aors == 0, "registrar", "max_aors", "expected at least 1"),
            (self.limits.transactions == 0, "limits", "transactions", "expected at least 1"),
            (self.limits.connections == 0, "limits", "connections", "expected at least 1"),
            (self.limits.connections_per_source == 0, "limits", "connections_per_source", "expected at least 1"),
            (self.limits.max_targets == 0, "limits", "max_targets", "expected at least 1"),
            (self.limits.max_breadth == 0, "limits", "max_breadth", "expected at least 1"),
            (!(1..=20).contains(&self.forwarding.max_diversions), "forwarding", "max_diversions", "expected 1 to 20"),
            (
                self.limits.source_burst > 0 && self.limits.source_rate == 0,
                "limits",
                "source_burst",
                "means nothing without limits.source_rate: set that too",
            ),
            (!is_digits(&self.dial.country_code), "dial", "country_code", "expected digits, as \"49\""),
            (!is_digits(&self.dial.international_prefix), "dial", "international_prefix", "expected digits, as \"00\""),
            (!is_digits(&self.dial.national_prefix), "dial", "national_prefix", "expected digits, as \"0\""),
            (
                self.dial.emergency.iter().any(|number| number.is_empty() || !is_digits(number)),
                "dial",
                "emergency",
                "expected numbers, as [\"112\"]",
            ),
            (
                self.dial
                    .services
                    .iter()
                    .any(|(name, number)| !is_emergency_service(name) || number.is_empty() || !is_digits(number)),
                "dial",
                "services",
                "expected names that begin with sos, in small letters, with numbers, as {\"sos.police\" = \"110\"}",
            ),
            (
                !self.dial.services.is_empty() && self.dial.emergency.is_empty(),
                "dial",
                "services",
                "means nothing without dial.emergency: set that too",
            ),
            (self.admin.as_ref().is_some_and(Admin::is_unguarded), "admin", "listen", admin::NO_TOKEN),
            (
                self.accounting.as_ref().is_some_and(Accounting::leads_nowhere),
                "accounting",
                "file",
                "expected where to: file = \"accounting.jsonl\", or a table [accounting.redis] with url",
            ),
            (
                self.accounting.as_ref().is_some_and(Accounting::has_no_stream),
                "accounting",
                "redis",
                "stream: expected the key of a stream, as \"repro:accounting\"",
            ),
            (
                self.accounting.as_ref().is_some_and(Accounting::is_too_small),
                "accounting",
                "max_octets",
                "expected at least 131072, or 0 for no limit",
            ),
            (
                self.cluster.as_ref().is_some_and(|cluster| cluster.redis.is_empty()),
                "cluster",
                "redis",
                "expected at least one server, as [\"redis://127.0.0.1:6379\"]",
            ),
            (
                self.cluster.as_ref().is_some_and(super::Cluster::mixes_tls),
                "cluster",
                "redis",
                "expected all redis or all rediss",
            ),
            (
                self.cluster.as_ref().is_some_and(super::Cluster::has_no_secret),
                "cluster",
                "secret",
                "nodes need a secret that they share: set cluster.secret_file, or REPRO_CLUSTER__SECRET",
            ),
            (self.limits.ban_seconds == 0, "limits", "ban_seconds", "expected at least 1: ban_after = 0 bans nobody"),
            (
                (1..10).contains(&self.overload.max_wait_ms),
                "overload",
                "max_wait_ms",
                "expected at least 10, or 0 for no limit: a shorter wait is no overload",
            ),
        ];
        checks.into_iter().find(|check| check.0).map(|(_, table, key, what)| (table, key, what))
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a browser could send this as an Origin (RFC 6454 §6.2): scheme, host and port.
fn is_origin(text: &str) -> bool {
    text == "null"
        || text
            .split_once("://")
            .is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' ', '*']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Auth, Fork, Forking, Forwarding, HistoryInfo, Listen, Nat, NatDetection, Network, Store};
    use crate::provisioning::Listed;
    use rutil::Placement;
    use rutil::log::Format;
    use stack::transport::tls::{ClientAuth, TlsIdentity, TlsOptions, TlsTrust};

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("", "x").unwrap(), Config::default());
        assert!(Config::default().contradiction().is_none());
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
listen = ["udp:127.0.0.1:5060", "tcp:[::1]:5070"]
domains = ["example.com", "192.0.2.1"]
dscp = 40
record_route = false
record_route_name = "sip.example.com"
path = false
placement = "sharded:2"
pin_runners = false
trusted_peers = ["10.0.0.0/8"]
name_servers = ["192.0.2.53", "[::1]:5353"]
enum_suffix = "e164.arpa"
drain_seconds = 3
[tls]
trust = ["ca.pem", "/etc/ssl/certs"]
client_auth = "required"
accept_common_name = true
[[tls.identities]]
certificate = "example.com.pem"
private_key = "/keys/example.com.key"
domains = ["example.com"]
[websocket]
path = "/ws"
origins = ["https://phone.example.com"]
ping_seconds = 30
[log]
filter = "info"
format = "json"
[identity]
trust_domain = true

[auth]
required = true
algorithms = ["SHA-512-256", "md5-sess"]
qop = ["auth-int", "auth"]
nonce_seconds = 60
nonces = 1000
failures = 3
ban_after = 9
ban_seconds = 30

[registrar]
min_expires = 10
max_expires = 100
default_expires = 50
max_contacts = 3
max_aors = 4
flow_timer = 90
service_route = ["sip:192.0.2.1;lr"]
[limits]
transactions = 7
connections = 8
connections_per_source = 9
max_targets = 5
max_breadth = 6
subscriptions = 12
waiting = 11
source_rate = 50
source_burst = 100
ban_after = 30
ban_seconds = 60
[chains]
request = ["loop-detection", "digest-authenticator"]
target = []
response = []
[forking]
fork = "sequential"
step_seconds = 20
cancel_between_steps = false
[dial]
country_code = "49"
international_prefix = "00"
national_prefix = "0"
emergency = ["112", "110"]
[forwarding]
max_diversions = 3
history_info = "always"
follow_redirects = true
constant_location = ["sip:core.example.com"]
[events]
max_body = 2000
[nat]
detect = "auto"
ping_seconds = 20
pings_per_second = 30
give_up_after = 4
[overload]
max_wait_ms = 200
control = true
[statistics]
interval_seconds = 15
[store]
path = "repro.db"
synchronous_full = true
[hep]
collector = "192.0.2.9:9060"
agent = 2001
auth_key = "geheim"
[silo]
expires_seconds = 60
max_per_user = 1
max_messages = 2
max_octets = 3
max_body = 4
drop = ["text/html"]
[http]
url = "https://policy.example.com:8443/sip?v=1"
timeout_ms = 500
fail_open = true
in_flight = 20
headers = ["User-Agent"]
"#;
        let config = Config::parse(text, "/etc/repro/x.toml").unwrap();
        let listen: Vec<Listen> = ["udp:127.0.0.1:5060", "tcp:[::1]:5070"].map(|l| l.parse().unwrap()).into();
        assert_eq!(config.listen, listen);
        assert_eq!(config.trusted_peers, ["10.0.0.0/8".parse::<Network>().unwrap()]);
        assert_eq!((config.record_route, config.pin_runners, config.dscp), (false, false, 40));
        assert_eq!(config.record_route_name.as_ref().map(ToString::to_string).as_deref(), Some("sip.example.com"));
        assert_eq!((config.path, config.placement), (false, "sharded:2".parse::<Placement>().unwrap()));
        let servers: Vec<String> = config.name_servers.iter().map(|server| server.0.to_string()).collect();
        assert_eq!((servers.join(" ").as_str(), config.enum_suffix.is_some()), ("192.0.2.53:53 [::1]:5353", true));
        assert_eq!((config.domains.len(), config.drain().as_secs()), (2, 3));
        assert_eq!((config.log.filter.as_str(), config.log.format), ("info", Format::Json));
        let identity = TlsIdentity {
            certificate: "/etc/repro/example.com.pem".into(),
            private_key: "/keys/example.com.key".into(),
            domains: vec!["example.com".to_owned()],
        };
        let trust = TlsTrust::Paths(vec!["/etc/repro/ca.pem".into(), "/etc/ssl/certs".into()]);
        let client_auth = ClientAuth::Required;
        let tls =
            TlsOptions { identities: vec![identity], trust, client_auth, accept_common_name: true, server_name: None };
        assert_eq!(config.tls.options(), tls);
        let websocket = config.ws_options();
        assert_eq!((websocket.path.as_deref(), websocket.ping.map(|p| p.as_secs())), (Some("/ws"), Some(30)));
        assert_eq!(websocket.origins, ["https://phone.example.com"]);
        let names: Vec<_> = config.auth.algorithms.iter().map(|name| name.0.name()).collect();
        assert_eq!(names, ["SHA-512-256", "MD5-sess"]);
        let Auth { required, qop, nonce_seconds, nonces, failures, ban_after, ban_seconds, .. } = &config.auth;
        let read = (required, qop.len(), nonce_seconds, nonces, failures, ban_after, ban_seconds);
        assert_eq!(read, (&true, 2, &60, &1000, &3, &9, &30));
        assert!(config.identity.trust_domain);
        let registrar = &config.registrar;
        let expires = [registrar.min_expires, registrar.max_expires, registrar.default_expires];
        assert_eq!((expires, registrar.max_contacts, registrar.max_aors), ([10, 100, 50], 3, 4));
        let route: Vec<String> = registrar.service_route.iter().map(|route| route.0.to_string()).collect();
        assert_eq!((route, registrar.flow_timer), (vec!["sip:192.0.2.1;lr".to_owned()], 90));
        let limits = &config.limits;
        assert_eq!((limits.transactions, limits.max_targets, limits.max_breadth, limits.waiting), (7, 5, 6, 11));
        let lengths = [&config.chains.request, &config.chains.target, &config.chains.response]
            .map(|names| names.as_ref().map(Vec::len));
        assert_eq!(lengths, [Some(2), Some(0), Some(0)]);
        let forking = Forking { fork: Fork::Sequential, step_seconds: 20, cancel_between_steps: false };
        assert_eq!(config.forking, forking);
        let forwarding = Forwarding {
            max_diversions: 3,
            history_info: HistoryInfo::Always,
            follow_redirects: true,
            constant_location: vec!["sip:core.example.com".parse().unwrap()],
        };
        assert_eq!(config.forwarding, forwarding);
        assert_eq!((config.events.max_body, limits.subscriptions), (2000, 12));
        let nat = Nat { detect: NatDetection::Auto, ping_seconds: 20, pings_per_second: 30, give_up_after: 4 };
        assert_eq!(config.nat, nat);
        assert_eq!((limits.connections, limits.connections_per_source), (8, 9));
        let hep = config.hep.as_ref().unwrap();
        assert_eq!((hep.collector, hep.agent), ("192.0.2.9:9060".parse().unwrap(), 2001));
        assert!(hep.auth_key.as_deref() == Some("geheim") && !format!("{config:?}").contains("geheim"));
        let silo = config.silo.as_ref().unwrap();
        let numbers = [silo.max_per_user, silo.max_messages, silo.max_octets, silo.max_body];
        assert_eq!((silo.expires().as_secs(), numbers, silo.drop.len()), (60, [1, 2, 3, 4], 1));
        let http = config.http.as_ref().unwrap();
        let (in_flight, headers) = (http.in_flight.get(), vec!["User-Agent".to_owned()]);
        assert_eq!((http.timeout().as_millis(), http.fail_open, in_flight, &http.headers), (500, true, 20, &headers));
        assert!(http.url.is_secure() && http.url.0.host() == Some("policy.example.com"));
        let store = Store { path: "/etc/repro/repro.db".into(), synchronous_full: true };
        assert_eq!(config.store, Some(store));
        let dial = &config.dial;
        let prefixes = [&dial.country_code, &dial.international_prefix, &dial.national_prefix];
        assert_eq!((prefixes.map(String::as_str), dial.emergency.len()), (["49", "00", "0"], 2));
        let options = config.stack_options(Listed::default());
        assert_eq!((options.transactions, options.overload.max_wait.map(|w| w.as_millis())), (7, Some(200)));
        let sources = options.source_limits;
        assert_eq!((sources.rate, sources.burst, sources.ban_after, sources.ban_for.as_secs()), (50, 100, 30, 60));
        assert!(options.overload.control);
        assert_eq!(config.statistics_interval().map(|interval| interval.as_secs()), Some(15));
    }

    #[test]
    fn errors_name_file_line_key_and_what_was_expected() {
        for (text, parts) in [
            ("record_route = 5", &["my.toml:1: record_route:", "expected a boolean"][..]),
            ("\nlistn = []", &["my.toml:2: listn:", "unknown field `listn`", "`listen`"]),
            ("# a\nlisten = [\"udp:1\"]", &["my.toml:2: listen:", "udp:ADDRESS:PORT"]),
            ("placement = \"both\"", &["my.toml:1: placement:", "inline", "sharded:N"]),
            ("[log]\nformat = \"xml\"", &["my.toml:2: log.format:", "\"json\""]),
            ("[registrar]\nmin_expires = -1", &["my.toml:2: registrar.min_expires:", "expected u32"]),
            ("[registrar]\n\nmax_expires = 5", &["my.toml:3: registrar.max_expires:", "registrar.min_expires"]),
            ("[registrar]\nservice_route = [\"sip:a.example\"]", &["my.toml:2: registrar.service_route:", ";lr"]),
            ("[limits]\nmax_targets = 0", &["my.toml:2: limits.max_targets:", "at least 1"]),
            ("[forwarding]\nmax_diversions = 0", &["my.toml:2: forwarding.max_diversions:", "1 to 20"]),
            ("[forwarding]\nhistory_info = \"on\"", &["my.toml:2: forwarding.history_info:", "`supported`"]),
            ("[events]\nmax_body = 9", &["my.toml:2: events.max_body:", "at least 512"]),
            ("[events]\nmax_publication = 49153", &["my.toml:2: events.max_publication:", "at most 49152"]),
            (
                "record_route = false\n[events]\npackages = [\"dialog\"]\ndialogs_from_calls = true",
                &["my.toml:4: events.dialogs_from_calls:", "record_route = true"],
            ),
            ("[nat]\ndetect = \"on\"", &["my.toml:2: nat.detect:", "`auto`"]),
            ("[nat]\npings_per_second = 0", &["my.toml:2: nat.pings_per_second:", "at least 1"]),
            ("domains = []\ndscp = 64", &["my.toml:2: dscp:", "0 to 63"]),
            ("dscp = -1", &["my.toml:1: dscp:", "expected u8"]),
            ("[limits]\nsource_burst = 9", &["my.toml:2: limits.source_burst:", "limits.source_rate"]),
            ("[limits]\nban_seconds = 0", &["my.toml:2: limits.ban_seconds:", "at least 1"]),
            ("[dial]\ncountry_code = \"+49\"", &["my.toml:2: dial.country_code:", "digits"]),
            ("[dial]\nemergency = [\"\"]", &["my.toml:2: dial.emergency:", "112"]),
            ("[[trunk]]\nname = \"t\"\ncontacts = []", &["my.toml:3: trunk t contacts:", "expected 1 to 16"]),
            ("[overload]\nmax_wait_ms = 5", &["my.toml:2: overload.max_wait_ms:", "at least 10"]),
            ("[statistics]\ninterval = 5", &["my.toml:2: statistics.interval:", "`interval_seconds`"]),
            ("[overload]\ncontrol = 1", &["my.toml:2: overload.control:", "expected a boolean"]),
            ("trusted_peers = [\"10.0.0.0/99\"]", &["my.toml:1: trusted_peers:", "10.0.0.0/8"]),
            ("[auth]\nalgorithms = []", &["my.toml:2: auth.algorithms:", "SHA-256"]),
            ("[auth]\nalgorithms = [\"SHA-1\"]", &["my.toml:2: auth.algorithms:", "\"SHA-1\"", "-sess"]),
            ("[auth]\nqop = [\"conf\"]", &["my.toml:2: auth.qop:", "auth-int"]),
            ("[auth]\nfailures = 0", &["my.toml:2: auth.failures:", "at least 1"]),
            ("[hep]\ncollector = \"here\"", &["my.toml:2: hep.collector:", "an address with a port"]),
            ("name_servers = [\"dns\"]", &["my.toml:1: name_servers:", "192.0.2.53:53"]),
            ("listen = [", &["my.toml:1: listen:"]),
            ("record_route = true\nlisten = [\"tls:127.0.0.1:1\"]", &["my.toml:2: listen:", "[[tls.identities]]"]),
            ("[websocket]\npath = \"ws\"", &["my.toml:2: websocket.path:", "begins with /"]),
            ("[websocket]\norigins = [\"*\"]", &["my.toml:2: websocket.origins:", "https://phone.example.com"]),
            ("[websocket]\nping_seconds = 0", &["my.toml:2: websocket.ping_seconds:", "nonzero"]),
            ("[tls]\nclient_auth = \"on\"", &["my.toml:2: tls.client_auth:", "\"required\""]),
            ("dscp = 1\nlisten = [\"udp:127.0.0.1:5060\", \"udp:127.0.0.1:5060\"]", &["my.toml:2: listen:", "twice"]),
            ("listen = [\"tcp:127.0.0.1:5060\", \"ws:127.0.0.1:5060\"]", &["my.toml:1: listen:", "twice"]),
            ("[http]\nfail_open = true", &["my.toml:1: http:", "missing field `url`"]),
            ("[http]\nurl = \"ftp://a\"", &["my.toml:2: http.url:", "https://policy.example.com/sip"]),
            ("[http]\nurl = \"http://a:b@c/\"", &["my.toml:2: http.url:", "without a user"]),
            ("[http]\nurl = \"http://a\"\ntimeout_ms = 0", &["my.toml:3: http.timeout_ms:", "nonzero"]),
            ("[[tls.identities]]\ncertificate = \"x\"", &["my.toml:1: tls.identities:", "private_key"]),
        ] {
            let error = Config::parse(text, "my.toml").unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }

    #[test]
    fn records_are_tables_and_their_errors_name_the_line() {
        let text = "dscp = 1\n[[user]]\naor = \"a@h\"\nmd5 = \"939e7578ed9e3c518a452acee763bce9\"\n[[user]]\naor = \"b@h\"\n\
                    [[acl]]\nnetwork = \"10.0.0.0/8\"\n";
        let config = Config::parse(text, "my.toml").unwrap();
        let places: Vec<String> = config.records.users.iter().map(|user| user.place.to_string()).collect();
        assert_eq!((config.dscp, places, config.records.len()), (1, vec!["my.toml:2".into(), "my.toml:5".into()], 3));
        for (text, expected) in [
            ("[[user]]\n", "my.toml:1: user: missing field `aor`"),
            ("[[user]]\n\n# x\naor = \"a\"", "my.toml:4: user aor: \"a\": expected an address-of-record"),
            ("[[user]]\naor = \"a@h\"\nsha256 = \"ab\"", "my.toml:3: user sha256: expected 64 hexadecimal digits"),
            ("[[user]]\naor = \"a@h\"\n[[user]]\nx = 1\naor = \"b@h\"", "my.toml:4: user x: unknown field `x`"),
            ("[[acl]]\nrelay = true", "my.toml:1: acl network: expected network or tls_identity"),
            ("user = 5", "my.toml:1: user: expected [[user]]"),
        ] {
            let error = Config::parse(text, "my.toml").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_environment_is_above_the_file() {
        let read = |text: &str, variables: &[(&str, &str)]| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Config::from_source(&Source::new(text, "my.toml", variables.iter().map(own)))
        };
        let text = "dscp = 1\n[registrar]\nmin_expires = 90\n";
        let config = read(
            text,
            &[
                ("REPRO_REGISTRAR__MIN_EXPIRES", "61"),
                ("REPRO_LISTEN", "[\"udp:127.0.0.1:1\"]"),
                ("REPRO_LOG__FILTER", "info,stack=debug"),
                ("REPRO_STORE__PATH", "x.db"),
                ("REPRO_TLS__IDENTITIES", "[{certificate = \"a.pem\", private_key = \"a.key\"}]"),
                ("OTHER_DSCP", "7"),
            ],
        )
        .unwrap();
        assert_eq!((config.dscp, config.registrar.min_expires, config.listen.len()), (1, 61, 1));
        assert_eq!((config.log.filter.as_str(), config.tls.identities.len()), ("info,stack=debug", 1));
        assert_eq!(config.store.unwrap().path, Path::new("x.db"));
        for (variable, value, expected) in [
            ("REPRO_REGISTRAR__MIN_EXPIRES", "soon", "invalid type: string \"soon\", expected u32"),
            ("REPRO_REGISTRAR__MAX_EXPIRES", "80", "expected at least registrar.min_expires"),
            ("REPRO_REGISTRAR__MINEXPIRES", "80", "unknown field `minexpires`"),
            ("REPRO_DSCP__X", "80", "dscp is no table"),
            ("REPRO_LISTN", "[]", "unknown field `listn`"),
            ("REPRO_LISTEN", "[\"udp:1\"]", "\"udp:1\": expected udp:ADDRESS:PORT"),
        ] {
            let error = read(text, &[("REPRO_DSCP", "3"), (variable, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{variable}: {expected}")), "{error}");
        }
        assert!(read("dscp = x", &[("REPRO_DSCP", "3")]).unwrap_err().to_string().starts_with("my.toml:1: dscp:"));
    }

    #[test]
    fn what_differs_is_named_by_its_key() {
        let parse = |text: &str| Config::parse(text, "x").unwrap();
        let (one, other) = (parse("dscp = 3\n[registrar]\nmin_expires = 20"), parse("[registrar]\nmin_expires = 30"));
        assert_eq!(one.keys_that_differ(&other), ["dscp", "registrar"]);
        let records = parse("dscp = 3\n[registrar]\nmin_expires = 20\n[[domain]]\nname = \"example.com\"");
        assert!(one.keys_that_differ(&records).is_empty() && one != records);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::read(Some(Path::new("/nowhere/repro.toml")), []).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/repro.toml cannot be read: "), "{error}");
        let latin = std::env::temp_dir().join(format!("repro-latin-{}.toml", std::process::id()));
        std::fs::write(&latin, b"# caf\xe9\n").unwrap();
        let error = Config::read(Some(&latin), []).unwrap_err().to_string();
        std::fs::remove_file(&latin).unwrap();
        assert!(error.contains(" is not UTF-8: "), "{error}");
    }

    #[test]
    fn only_loopback_is_open() {
        let listens = |texts: &[&str]| Config {
            listen: texts.iter().map(|text| text.parse().unwrap()).collect(),
            ..Config::default()
        };
        assert!(Config::default().is_open() && listens(&["udp:127.0.0.2:1", "tcp:[::1]:1"]).is_open());
        assert!(!listens(&["udp:127.0.0.1:1", "udp:0.0.0.0:1"]).is_open());
    }
}
