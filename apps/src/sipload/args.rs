//! The command line.

use super::criteria::Criteria;
use super::job::Job;
use super::schedule::{Shape, Stretch};
use super::users::{Users, UsersError};
use crate::arguments::{path, sip_uri, time, token};
use crate::tls::TlsArgs;
use clap::{Args as ClapArgs, Parser, Subcommand};
use repro::config::Listen;
use stack::uri::SipUri;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

/// A load generator for SIP.
///
/// Exit codes: 0 the criteria held, 1 they did not, 2 it could not run.
#[derive(Parser)]
#[command(name = "sipload", version)]
pub struct Args {
    /// What it does.
    #[command(subcommand)]
    pub(super) role: Role,
}

/// What it does.
#[derive(Subcommand)]
pub(super) enum Role {
    /// Answers calls: 180, 200, and 200 to BYE. Ctrl-C ends it.
    Uas(UasArgs),
    /// Makes calls: INVITE, ACK, BYE.
    Call(Box<CallArgs>),
    /// Registers users at the target: REGISTER.
    Register(Box<RegisterArgs>),
    /// Asks what the target can do: OPTIONS.
    Options(Box<LoadArgs>),
    /// Sends texts: MESSAGE.
    Message(Box<MessageArgs>),
    /// Subscribes to events, and answers NOTIFY: SUBSCRIBE.
    Subscribe(Box<SubscribeArgs>),
    /// Runs a scenario of one's own (TOML), or one of SIPp's (XML); one that waits for calls listens until Ctrl-C.
    Scenario(Box<ScenarioArgs>),
}

/// `sipload uas`
#[derive(ClapArgs)]
pub(super) struct UasArgs {
    /// Listen here: udp:127.0.0.1:5070, or tcp, tls, ws or wss. May be repeated.
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT", required = true)]
    pub(super) listen: Vec<Listen>,
    /// Runners, each with sockets of its own.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) shards: NonZeroU8,
    #[command(flatten)]
    pub(super) tls: TlsArgs,
    /// Write the summary as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// `sipload call`
#[derive(ClapArgs)]
pub(super) struct CallArgs {
    /// How long a call lasts from its answer to its BYE.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    pub(super) hold: Duration,
    #[command(flatten)]
    pub(super) load: LoadArgs,
}

/// `sipload register`
#[derive(ClapArgs)]
pub(super) struct RegisterArgs {
    /// For how long, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    pub(super) expires: u32,
    #[command(flatten)]
    pub(super) load: LoadArgs,
}

/// `sipload message`
#[derive(ClapArgs)]
pub(super) struct MessageArgs {
    /// What is sent.
    #[arg(long, default_value = "hello")]
    pub(super) text: String,
    #[command(flatten)]
    pub(super) load: LoadArgs,
}

/// `sipload subscribe`
#[derive(ClapArgs)]
pub(super) struct SubscribeArgs {
    /// The event package.
    #[arg(long, value_name = "PACKAGE", default_value = "presence", value_parser = token)]
    pub(super) event: String,
    /// For how long, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    pub(super) expires: u32,
    #[command(flatten)]
    pub(super) load: LoadArgs,
}

/// `sipload scenario`
#[derive(ClapArgs)]
pub(super) struct ScenarioArgs {
    /// The scenario: TOML if it is named so, else XML.
    pub(super) file: PathBuf,
    /// What stands for NAME in the scenario, as SIPp's -key. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = key)]
    pub(super) key: Vec<(String, String)>,
    /// Lines of fields for [field0] and so on, as SIPp's -inf: SEQUENTIAL or RANDOM, then fields with semicolons between them.
    /// May be repeated: the first needs no name, others are [field0 file="FILE"].
    #[arg(long, value_name = "FILE")]
    pub(super) fields: Vec<PathBuf>,
    /// What stands for [service]; else the target's user, else "service".
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// The other controller of third-party calls: who begins with a command waits for it there, else it is connected to.
    #[arg(long = "3pcc", value_name = "ADDRESS:PORT")]
    pub(super) third: Option<SocketAddr>,
    /// How long a pause is that does not say it.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    pub(super) hold: Duration,
    #[command(flatten)]
    pub(super) load: LoadArgs,
}

/// What the program is to do.
pub(super) enum Task {
    /// Answer calls.
    Uas(UasArgs),
    /// Make calls, or send requests.
    Load(Job, Box<LoadArgs>),
    /// Run a scenario.
    Scenario(Box<ScenarioArgs>),
}

/// Where the load goes, how much of it there is, and what is to be true of it.
#[derive(ClapArgs)]
pub(super) struct LoadArgs {
    /// Whom to call. A parameter transport=tcp, tls, ws or wss chooses the transport; over TLS he must prove to be the name or
    /// address that stands here. A name is looked up once, for its addresses alone.
    #[arg(long, value_name = "SIP-URI", value_parser = sip_uri)]
    pub(super) target: Option<SipUri<'static>>,
    /// Send through this proxy, as it is, without a Route.
    #[arg(long, value_name = "SIP-URI", value_parser = sip_uri)]
    pub(super) via: Option<SipUri<'static>>,
    /// Who calls, one user after the other: alice@example.com, or a range as in u{000..999}@example.com. Without it that is
    /// sipload at our address, and of registrations at the target's.
    #[arg(long, value_name = "NAME@DOMAIN", conflicts_with = "users_file")]
    pub(super) users: Option<String>,
    /// Who calls: a file with lines of user,domain,password.
    #[arg(long, value_name = "FILE")]
    pub(super) users_file: Option<PathBuf>,
    /// The users' password, with {user} for the name: the answer to challenges. Others on this machine may read it here: the
    /// environment's SIPLOAD_PASSWORD serves as well.
    #[arg(long, value_name = "PATTERN")]
    pub(super) password: Option<String>,
    /// Send from this address; without it from the one that leads to the peer, from any free port.
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT")]
    pub(super) listen: Option<Listen>,
    /// So many connections, or sockets, for each shard, which sessions use in turn.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=200))]
    pub(super) connections: u8,
    /// The path that a WebSocket server is asked for.
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    pub(super) ws_path: String,
    #[command(flatten)]
    pub(super) tls: TlsArgs,
    /// Sessions started a second, whether or not those before are answered. Several are steps: 100,200,400.
    #[arg(long, value_name = "N/S", value_delimiter = ',', value_parser = rate, allow_negative_numbers = true)]
    pub(super) rate: Vec<f64>,
    /// Go evenly from one rate to the next; to a single one from nothing.
    #[arg(long, requires = "rate", conflicts_with_all = ["burst", "concurrent"])]
    pub(super) ramp: bool,
    /// Find the highest rate that meets the criteria, from --rate on, to 5 %. Without --min-success 99 % must succeed.
    #[arg(long, requires = "rate", conflicts_with_all = ["ramp", "burst", "concurrent"])]
    pub(super) find_max: bool,
    /// Start so many sessions at once, instead of a rate,
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    pub(super) burst: Option<NonZeroU32>,
    /// and again so much later.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(super) every: Duration,
    /// Keep so many sessions in progress, instead of a rate: the next starts when one ends.
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "burst"])]
    pub(super) concurrent: Option<NonZeroU32>,
    /// How long sessions are started; of each step, each ramp and each attempt to find the highest rate.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = interval)]
    pub(super) duration: Duration,
    /// The most calls in progress; what would be more is not started, and counted.
    #[arg(long, value_name = "N", default_value = "100000")]
    pub(super) limit: NonZeroU32,
    /// Runners, each with sockets of its own and its share of the load.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) shards: NonZeroU8,
    /// The share of the scheduled calls that must succeed, 0 to 1. Without it one success is enough.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(super) min_success: Option<f64>,
    /// The 99th percentile of the time to the 2xx may not be longer.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) max_p99: Option<Duration>,
    /// Write the summary as JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Write a report with pictures.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

impl Role {
    /// What is to be done, and how much of it.
    pub(super) fn task(self) -> Task {
        let (job, load) = match self {
            Role::Uas(args) => return Task::Uas(args),
            Role::Scenario(args) => return Task::Scenario(args),
            Role::Call(args) => (Job::Call(args.hold), args.load),
            Role::Register(mut args) => {
                args.load.have_a_user();
                (Job::Register(args.expires), args.load)
            }
            Role::Options(load) => (Job::Options, *load),
            Role::Message(args) => (Job::Message(args.text), args.load),
            Role::Subscribe(args) => (Job::Subscribe(args.event, args.expires), args.load),
        };
        Task::Load(job, Box::new(load))
    }
}

impl LoadArgs {
    /// Who registers has an address-of-record in a domain of the registrar's: without users it is that of the target.
    fn have_a_user(&mut self) {
        if let (None, None, Some(SipUri { host, port, .. })) = (&self.users, &self.users_file, &self.target) {
            // A domain has no port.
            let port = port.filter(|_| host.ip().is_some()).map(|port| format!(":{port}")).unwrap_or_default();
            self.users = Some(format!("sipload@{host}{port}"));
        }
    }

    /// What is missing for making calls, and what it says.
    pub(super) fn missing(&self) -> Option<&'static str> {
        let has_amount = !self.rate.is_empty() || self.concurrent.is_some() || self.burst.is_some();
        match self.target {
            None => Some("--target SIP-URI: whom to call, as sip:service@127.0.0.1:5070"),
            Some(_) if !has_amount => Some("--rate, --burst or --concurrent: how many calls there are"),
            Some(_) => None,
        }
    }

    /// Who calls, with the password of the environment if there is no other.
    pub(super) fn users(&self, environment: Option<String>) -> Result<Option<Users>, UsersError> {
        let password = self.password.clone().or(environment);
        match (&self.users, &self.users_file) {
            (Some(pattern), _) => Users::pattern(pattern, password).map(Some),
            (None, Some(file)) => Users::file(file, password.as_deref()).map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn criteria(&self) -> Criteria {
        // The p99 is of calls that were answered: by it alone a rate at which nearly all fail would be good.
        Criteria { min_success: self.min_success.or(self.find_max.then_some(0.99)), max_p99: self.max_p99 }
    }

    /// How much load there is, and when.
    pub(super) fn shape(&self) -> Shape {
        let length = self.duration;
        match (self.concurrent, self.burst) {
            (Some(sessions), _) => Shape::Closed(sessions.get(), length),
            (None, Some(sessions)) => Shape::bursts(sessions.get(), self.every, length),
            (None, None) if self.ramp => {
                let before = if self.rate.len() == 1 { &[0.0][..] } else { &[] };
                let rates: Vec<f64> = before.iter().chain(&self.rate).copied().collect();
                let between = rates.iter().zip(rates.iter().skip(1));
                Shape::Open(between.map(|(from, to)| Stretch { length, from: *from, to: *to }).collect())
            }
            (None, None) => Shape::Open(self.rate.iter().map(|rate| Stretch::constant(*rate, length)).collect()),
        }
    }
}

/// A time of a millisecond at least, and of ten days at most.
fn interval(text: &str) -> Result<Duration, String> {
    let length = time(text)?;
    let good = (Duration::from_millis(1)..=Duration::from_secs(864_000)).contains(&length);
    if good { Ok(length) } else { Err(format!("{text:?}: expected a time from 1ms to 240h")) }
}

/// A rate in calls a second, above 0 and at most a million.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate <= 1e6);
    number.ok_or_else(|| format!("{text:?}: expected calls a second, above 0 and at most 1000000"))
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share));
    number.ok_or_else(|| format!("{text:?}: expected a share from 0 to 1, as 0.99"))
}

/// A name and what stands for it.
fn key(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?}: expected NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_shares_have_limits() {
        assert_eq!(rate("0.5"), Ok(0.5));
        for wrong in ["0", "-5", "fast", "NaN", "inf", "1000001"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        let negative = Args::try_parse_from(["sipload", "call", "--rate", "-5"]).err().map(|error| error.to_string());
        assert!(negative.is_some_and(|said| said.contains("expected calls a second, above 0")));
        assert!(share("0.99").is_ok() && share("1.1").is_err() && share("NaN").is_err());
    }

    impl Role {
        fn load(self) -> Option<LoadArgs> {
            match self.task() {
                Task::Load(_, load) => Some(*load).filter(|load| load.missing().is_none()),
                _ => None,
            }
        }
    }

    fn load(more: &[&str]) -> Option<LoadArgs> {
        let args = ["sipload", "call", "--target", "sip:x"];
        Args::try_parse_from(args.iter().chain(more)).ok()?.role.load()
    }

    #[test]
    fn rates_are_steps_or_ramps() {
        let shape = |more: &[&str]| load(more).map(|load| load.shape());
        let stretch = |from, to| Stretch { length: Duration::from_secs(5), from, to };
        let five = ["--duration", "5s"];
        let open = |stretches: &[Stretch]| Some(Shape::Open(stretches.to_vec()));
        assert_eq!(shape(&[&["--rate", "9,7"], &five[..]].concat()), open(&[stretch(9.0, 9.0), stretch(7.0, 7.0)]));
        assert_eq!(shape(&[&["--rate", "9", "--ramp"], &five[..]].concat()), open(&[stretch(0.0, 9.0)]));
        let ramps = open(&[stretch(1.0, 9.0), stretch(9.0, 3.0)]);
        assert_eq!(shape(&[&["--rate", "1,9,3", "--ramp"], &five[..]].concat()), ramps);
        assert_eq!(shape(&["--concurrent", "5"]), Some(Shape::Closed(5, Duration::from_secs(10))));
        assert_eq!(shape(&["--burst", "5"]).map(|shape| shape.length()), Some(Duration::from_secs(10)));
        for wrong in [&["--ramp", "--burst", "5"][..], &["--rate", "1,x"], &["--rate", "1", "--duration", "0s"]] {
            assert!(load(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn finding_the_highest_rate_wants_criteria() {
        let criteria = |more: &[&str]| load(more).map(|load| load.criteria());
        let wanted = |min_success, max_p99| Some(Criteria { min_success, max_p99 });
        assert_eq!(criteria(&["--rate", "1"]), wanted(None, None));
        assert_eq!(criteria(&["--rate", "1", "--find-max"]), wanted(Some(0.99), None));
        let p99 = Some(Duration::from_millis(5));
        assert_eq!(criteria(&["--rate", "1", "--max-p99", "5ms"]), wanted(None, p99));
        let find = ["--rate", "1", "--find-max", "--max-p99", "5ms"];
        assert_eq!(criteria(&find), wanted(Some(0.99), p99));
        assert_eq!(criteria(&[&find[..], &["--min-success", "0.5"]].concat()), wanted(Some(0.5), p99));
    }

    #[test]
    fn who_registers_has_an_address_of_record_at_the_target() {
        let users_of = |target, role: &str, more: &[&str]| {
            let args = ["sipload", role, "--target", target, "--rate", "1"];
            Args::try_parse_from(args.iter().chain(more)).ok()?.role.load()?.users
        };
        let users = |role: &str, more: &[&str]| users_of("sip:127.0.0.1:5070", role, more);
        for (target, user) in [
            ("sip:127.0.0.1:5070", "sipload@127.0.0.1:5070"),
            ("sip:[::1]:5070;transport=tcp", "sipload@[::1]:5070"),
            ("sip:example.com:5070", "sipload@example.com"),
        ] {
            assert_eq!(users_of(target, "register", &[]).as_deref(), Some(user));
        }
        assert_eq!(users("register", &["--users", "a@x"]).as_deref(), Some("a@x"));
        assert_eq!((users("options", &[]), users("register", &["--users-file", "f"])), (None, None));
    }

    #[test]
    fn passwords_come_from_the_arguments_else_the_environment() {
        let load = |more: &[&str]| {
            let args = ["sipload", "register", "--target", "sip:x", "--rate", "1"];
            Args::try_parse_from(args.iter().chain(more)).ok()?.role.load()
        };
        let secret = |more: &[&str], environment: Option<&str>| {
            let users = load(more)?.users(environment.map(str::to_owned)).ok()??;
            users.get(0).secret
        };
        let of = |text| Some(stack::auth::Secret::password(text));
        assert!(secret(&["--users", "a@x"], None).is_none());
        assert!(secret(&["--users", "a@x"], Some("from {user}")) == of("from a"));
        assert!(secret(&["--users", "a@x", "--password", "p"], Some("q")) == of("p"));
        assert!(load(&["--users", "a@x", "--users-file", "f"]).is_none());
        let Some(nobody) = load(&["--users", "a b"]) else { panic!("clap takes it") };
        assert!(nobody.users(None).is_err());
    }

    #[test]
    fn a_load_needs_a_rate_or_calls_in_progress_but_not_both() {
        let parse =
            |more: &[&str]| Args::try_parse_from(["sipload", "call", "--target", "sip:a@192.0.2.1"].iter().chain(more));
        assert!(parse(&["--rate", "500"]).is_ok() && parse(&["--concurrent", "10"]).is_ok());
        assert!(parse(&["--rate", "5", "--concurrent", "10"]).is_err());
        let missing = |more: &[&str]| parse(more).ok().map(|args| args.role.load().is_none());
        assert_eq!((missing(&[]), missing(&["--burst", "5"])), (Some(true), Some(false)));
        assert!(Args::try_parse_from(["sipload", "call", "--target", "tel:+1", "--rate", "1"]).is_err());
        let Some(Task::Load(job, load)) = parse(&["--rate", "500"]).ok().map(|args| args.role.task()) else {
            panic!("it is well formed")
        };
        assert_eq!((job, load.duration), (Job::Call(Duration::ZERO), Duration::from_secs(10)));
    }
}
