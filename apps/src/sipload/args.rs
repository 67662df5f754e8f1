//! The command line.

use super::criteria::Criteria;
use clap::{Args as ClapArgs, Parser, Subcommand};
use repro::config::Listen;
use stack::uri::{SipUri, Uri};
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

/// A load generator for SIP.
///
/// Exit codes: 0 the criteria held, 1 they did not, 2 it could not run.
#[derive(Debug, Parser)]
#[command(name = "sipload", version)]
pub struct Args {
    /// What it does.
    #[command(subcommand)]
    pub(super) role: Role,
}

/// What it does.
#[derive(Debug, Subcommand)]
pub(super) enum Role {
    /// Answers calls: 180, 200, and 200 to BYE. Ctrl-C ends it.
    Uas(UasArgs),
    /// Makes calls: INVITE, ACK, BYE.
    Call(Box<CallArgs>),
}

/// `sipload uas`
#[derive(Debug, ClapArgs)]
pub(super) struct UasArgs {
    /// Listen here: udp:127.0.0.1:5070. May be repeated.
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT", required = true)]
    pub(super) listen: Vec<Listen>,
    /// Runners, each with sockets of its own.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) shards: NonZeroU8,
    /// Write the summary as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// `sipload call`
#[derive(Debug, ClapArgs)]
pub(super) struct CallArgs {
    /// How long a call lasts from its answer to its BYE.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    pub(super) hold: Duration,
    #[command(flatten)]
    pub(super) load: LoadArgs,
}

/// Where the load goes, how much of it there is, and what is to be true of it.
#[derive(Debug, ClapArgs)]
pub(super) struct LoadArgs {
    /// Whom to call. A parameter transport=tcp chooses the transport. A name is looked up once, for its addresses alone.
    #[arg(long, value_name = "SIP-URI", value_parser = sip_uri)]
    pub(super) target: SipUri<'static>,
    /// Send through this proxy, as it is, without a Route.
    #[arg(long, value_name = "SIP-URI", value_parser = sip_uri)]
    pub(super) via: Option<SipUri<'static>>,
    /// Send from this address; without it from the one that leads to the peer, from any free port.
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT")]
    pub(super) listen: Option<Listen>,
    /// Calls started a second, whether or not those before are answered.
    #[arg(long, value_name = "CALLS/S", required_unless_present = "concurrent", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Keep so many calls in progress, instead of a rate: the next starts when one ends.
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    pub(super) concurrent: Option<NonZeroU32>,
    /// How long calls are started.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) duration: Duration,
    /// The most calls in progress; what would be more is not started, and counted.
    #[arg(long, value_name = "N", default_value = "100000")]
    pub(super) limit: NonZeroU32,
    /// Runners, each with sockets of its own and its share of the load.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) shards: NonZeroU8,
    /// The share of the scheduled calls that must succeed, 0 to 1. Without criteria one success is enough.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(super) min_success: Option<f64>,
    /// The 99th percentile of the time to the final response may not be longer.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) max_p99: Option<Duration>,
    /// Write the summary as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl LoadArgs {
    pub(super) fn criteria(&self) -> Criteria {
        Criteria { min_success: self.min_success, max_p99: self.max_p99 }
    }
}

/// A time with its unit: `200ms`, `10s`, `1.5m`, `1h`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?}: expected a number and ms, s, m or h, as 200ms or 10s");
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(bad()),
    };
    let number: f64 = number.parse().map_err(|_| bad())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| bad())
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

fn sip_uri(text: &str) -> Result<SipUri<'static>, String> {
    match Uri::parse_request(text) {
        Ok(Uri::Sip(uri)) => Ok(uri.into_owned()),
        Ok(_) => Err(format!("{text:?}: expected a SIP URI, as sip:service@127.0.0.1:5070")),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(time("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        for wrong in ["10", "s", "-1s", "5d", "1e400s", "NaNs"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_and_shares_have_limits() {
        assert_eq!(rate("0.5"), Ok(0.5));
        for wrong in ["0", "-5", "fast", "NaN", "inf", "1000001"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert!(share("0.99").is_ok() && share("1.1").is_err() && share("NaN").is_err());
    }

    #[test]
    fn a_load_needs_a_rate_or_calls_in_progress_but_not_both() {
        let parse =
            |more: &[&str]| Args::try_parse_from(["sipload", "call", "--target", "sip:a@192.0.2.1"].iter().chain(more));
        assert!(parse(&["--rate", "500"]).is_ok() && parse(&["--concurrent", "10"]).is_ok());
        assert!(parse(&[]).is_err() && parse(&["--rate", "5", "--concurrent", "10"]).is_err());
        assert!(Args::try_parse_from(["sipload", "call", "--target", "tel:+1", "--rate", "1"]).is_err());
        let Role::Call(call) = parse(&["--rate", "500"]).expect("well formed").role else { panic!("a call") };
        assert_eq!((call.hold, call.load.duration), (Duration::ZERO, Duration::from_secs(10)));
    }
}
