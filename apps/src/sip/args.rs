//! The command line.

use super::verdict::Failure;
use crate::arguments::{path, sip_uri, token};
use crate::tls::TlsArgs;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use repro::config::Listen;
use stack::header::{HeaderValue as _, NameAddr, p};
use stack::transport::TransportType;
use stack::uri::{SipUri, Uri};
use std::path::PathBuf;
use std::time::Duration;

const EXIT_CODES: &str = "\
Exit codes:
  0    it was done; of torture: each file was answered
  1    the peer refused (a final response from 300 to 699); of parse: the message is malformed
  2    the command line or a file is not as it should be
  3    nobody answered in time
  4    the network, the transport or TLS failed
  5    the credentials were refused, or there are none
  70   a thread of the program died
  130  interrupted before there was an outcome

Credentials come from SIP_USER (else the user of --from) and SIP_PASSWORD, for the realm SIP_REALM or any, or from a
file with lines as SIP_PASSWORD=secret (--credentials), which nobody else may be able to read.";

/// A SIP user agent at the command line, for tests and scripts.
#[derive(Debug, Parser)]
#[command(name = "sip", version, after_help = EXIT_CODES)]
pub struct Args {
    /// What it does.
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Args {
    /// Whether programs are to read what is said.
    pub(super) fn is_json(&self) -> bool {
        match &self.command {
            Command::Options(args) => args.common.json,
            Command::Register(args) => args.common.json,
            Command::Call(args) => args.common.json,
            Command::Answer(args) => args.common.json,
            Command::Message(args) => args.common.json,
            Command::Subscribe(args) => args.common.json,
            Command::Publish(args) => args.common.json,
            Command::Trace(args) => args.common.json,
            Command::Torture(args) => args.json,
            Command::Parse(args) => args.json,
        }
    }
}

/// What it does.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Asks what a peer can do: OPTIONS.
    Options(Box<OptionsArgs>),
    /// Adds, removes and lists the bindings of an address-of-record: REGISTER.
    Register(Box<RegisterArgs>),
    /// Calls, without media, and hangs up: INVITE, BYE. Ctrl-C ends the call.
    Call(Box<CallArgs>),
    /// Takes calls, without media, or refuses them. Ctrl-C ends it.
    Answer(Box<AnswerArgs>),
    /// Sends a text, or with --receive shows those that come: MESSAGE.
    Message(Box<MessageArgs>),
    /// Follows an event package: SUBSCRIBE. Ctrl-C ends it.
    Subscribe(Box<SubscribeArgs>),
    /// Publishes the state of an event package: PUBLISH.
    Publish(Box<PublishArgs>),
    /// Shows the proxies on the way of a request, by Max-Forwards 0, 1, 2 and so on.
    Trace(Box<TraceArgs>),
    /// Sends files as they are, octet by octet, and shows the answers.
    Torture(TortureArgs),
    /// Shows how a message is made up, and what is wrong with it.
    Parse(ParseArgs),
}

/// `sip options`
#[derive(Debug, ClapArgs)]
pub(super) struct OptionsArgs {
    /// Whom to ask: sip:bob@example.com, or sip:proxy.example.com.
    #[arg(value_name = "URI", value_parser = name_addr)]
    pub(super) target: NameAddr<'static>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `sip register`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Without --contact and --remove it lists the bindings.")]
pub(super) struct RegisterArgs {
    /// Whose: sip:alice@example.com.
    #[arg(value_name = "AOR", value_parser = name_addr)]
    pub(super) aor: NameAddr<'static>,
    /// Add or refresh this binding; '<sip:alice@192.0.2.1>;q=0.5' with its parameters. May be repeated.
    #[arg(long, value_name = "URI", value_parser = name_addr)]
    pub(super) contact: Vec<NameAddr<'static>>,
    /// Remove this binding. May be repeated.
    #[arg(long, value_name = "URI", value_parser = name_addr)]
    pub(super) remove: Vec<NameAddr<'static>>,
    /// Remove all bindings, those of others too.
    #[arg(long, conflicts_with_all = ["contact", "remove"])]
    pub(super) remove_all: bool,
    /// For how many seconds; where the registrar wants it longer, for so long.
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    pub(super) expires: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `sip call`
#[derive(Debug, ClapArgs)]
pub(super) struct CallArgs {
    /// Whom to call: sip:bob@example.com.
    #[arg(value_name = "URI", value_parser = name_addr)]
    pub(super) target: NameAddr<'static>,
    /// Hang up so long after the answer. Without it the peer does, or Ctrl-C.
    #[arg(long, value_name = "SECONDS", value_parser = time)]
    pub(super) seconds: Option<Duration>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `sip answer`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Without --listen it listens on udp:0.0.0.0:5060 and tcp:0.0.0.0:5060.")]
pub(super) struct AnswerArgs {
    /// Refuse calls with this status.
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(300..=699))]
    pub(super) reject: Option<u16>,
    /// Ring so long before the answer.
    #[arg(long, value_name = "SECONDS", default_value = "0s", value_parser = time, conflicts_with = "reject")]
    pub(super) ring: Duration,
    /// End after so many calls have ended.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `sip message`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Without --listen, --receive listens on udp:0.0.0.0:5060 and tcp:0.0.0.0:5060.")]
pub(super) struct MessageArgs {
    /// To whom: sip:bob@example.com.
    #[arg(value_name = "URI", value_parser = name_addr, required_unless_present = "receive")]
    pub(super) target: Option<NameAddr<'static>>,
    /// The text; without it, what standard input says.
    #[arg(value_name = "TEXT")]
    pub(super) text: Option<String>,
    /// Its type.
    #[arg(long, value_name = "TYPE", default_value = "text/plain", value_parser = media_type)]
    pub(super) content_type: String,
    /// Show the texts that come, until Ctrl-C.
    #[arg(long, conflicts_with = "target")]
    pub(super) receive: bool,
    /// End after so many texts.
    #[arg(long, value_name = "N", requires = "receive", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `sip subscribe`
#[derive(Debug, ClapArgs)]
pub(super) struct SubscribeArgs {
    /// Whom to watch: sip:bob@example.com.
    #[arg(value_name = "URI", value_parser = name_addr)]
    pub(super) target: NameAddr<'static>,
    /// The event package: presence, message-summary, dialog, reg or another.
    #[arg(long, value_name = "PACKAGE", default_value = "presence", value_parser = token)]
    pub(super) event: String,
    /// For how many seconds at a time; 0 asks once.
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    pub(super) expires: u32,
    /// End after so many NOTIFYs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `sip publish`
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The ETag that is printed names what was published: --etag with it changes that, refreshes it if there \
    is nothing new, or removes it."
)]
pub(super) struct PublishArgs {
    /// Whose state: sip:alice@example.com.
    #[arg(value_name = "URI", value_parser = name_addr)]
    pub(super) target: NameAddr<'static>,
    /// The event package.
    #[arg(long, value_name = "PACKAGE", default_value = "presence", value_parser = token)]
    pub(super) event: String,
    /// Publish presence: whether one can be reached.
    #[arg(long, value_name = "STATUS", conflicts_with = "file")]
    #[arg(required_unless_present_any = ["file", "etag"])]
    pub(super) status: Option<Status>,
    /// A text about it.
    #[arg(long, value_name = "TEXT", requires = "status")]
    pub(super) note: Option<String>,
    /// Publish this document.
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Its type.
    #[arg(long, value_name = "TYPE", default_value = "application/pidf+xml", value_parser = media_type)]
    pub(super) content_type: String,
    /// What was published before.
    #[arg(long, value_name = "ETAG", value_parser = token)]
    pub(super) etag: Option<String>,
    /// Remove what was published before.
    #[arg(long, requires = "etag", conflicts_with_all = ["status", "file"])]
    pub(super) remove: bool,
    /// For how many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) expires: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Whether somebody can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Status {
    Open,
    Closed,
}

/// `sip trace`
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "OPTIONS are sent with Max-Forwards 0, 1, 2 and so on: each proxy in turn answers 483, at last the target \
    itself. A proxy that answers for itself instead, as RFC 3261 allows, is known by other headers than the target's."
)]
pub(super) struct TraceArgs {
    /// Where to: sip:bob@example.com.
    #[arg(value_name = "URI", value_parser = name_addr)]
    pub(super) target: NameAddr<'static>,
    /// How far at most.
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u8).range(1..=69))]
    pub(super) max_hops: u8,
    #[command(flatten)]
    pub(super) common: Common,
}

/// `sip torture`
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Answers over UDP come to the port that the Via of the file names, unless it has rport: that port is \
    bound where it is free. Without a Via nobody answers."
)]
pub(super) struct TortureArgs {
    /// Where to send them: sip:127.0.0.1:5060, or with ;transport=tcp over TCP.
    #[arg(value_name = "SIP-URI", value_parser = sip_uri)]
    pub(super) target: SipUri<'static>,
    /// What to send.
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// Send from here.
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT")]
    pub(super) listen: Option<Listen>,
    /// How long to wait for a final answer to each.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = time)]
    pub(super) timeout: Duration,
    /// Write JSON lines.
    #[arg(long)]
    pub(super) json: bool,
}

/// `sip parse`
#[derive(Debug, ClapArgs)]
pub(super) struct ParseArgs {
    /// The message; - is standard input.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Write one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

/// How requests are sent, and what is shown.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct Common {
    /// Who asks, calls or sends: sip:alice@example.com.
    #[arg(long, value_name = "URI", value_parser = name_addr)]
    pub(super) from: Option<NameAddr<'static>>,
    /// Send through this proxy: sip:proxy.example.com;transport=tcp.
    #[arg(long, value_name = "SIP-URI", value_parser = sip_uri)]
    pub(super) proxy: Option<SipUri<'static>>,
    /// By which transport, where neither the proxy's URI nor the target's says it.
    #[arg(long, value_name = "TRANSPORT")]
    pub(super) transport: Option<Transport>,
    /// Listen and send here: udp:192.0.2.1:5060. May be repeated. Without it the address that leads to the peer, any port.
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT")]
    pub(super) listen: Vec<Listen>,
    /// A file with credentials.
    #[arg(long, value_name = "FILE")]
    pub(super) credentials: Option<PathBuf>,
    /// How long to wait for the final answer.
    #[arg(long, value_name = "TIME", default_value = "32s", value_parser = time)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) tls: TlsArgs,
    /// The path that a WebSocket server is asked for.
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    pub(super) ws_path: String,
    /// Write JSON lines.
    #[arg(long)]
    pub(super) json: bool,
    /// Draw on standard error, at the end, which messages went where and when.
    #[arg(long)]
    pub(super) ladder: bool,
    /// Show on standard error each message that is sent or received, and what goes on in the transports.
    #[arg(short, long)]
    pub(super) verbose: bool,
}

/// The transports that requests are sent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl From<Transport> for TransportType {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Udp => TransportType::Udp,
            Transport::Tcp => TransportType::Tcp,
            Transport::Tls => TransportType::Tls,
            Transport::Ws => TransportType::Ws,
            Transport::Wss => TransportType::Wss,
        }
    }
}

impl Common {
    /// The target with the transport that is asked for, where it says none and there is no proxy to say it.
    ///
    /// # Errors
    /// [`Failure::Argument`]: the URI says another.
    pub(super) fn towards(&self, target: &NameAddr<'static>) -> Result<NameAddr<'static>, Failure> {
        let mut target = target.clone();
        if let (None, Some(uri)) = (&self.proxy, target.uri.sip_mut()) {
            self.choose(uri)?;
        }
        Ok(target)
    }

    /// The first hop: the proxy, else the target.
    ///
    /// # Errors
    /// [`Failure::Argument`]: it is no SIP URI, or says another transport.
    pub(super) fn first_hop(&self, target: &NameAddr<'static>) -> Result<SipUri<'static>, Failure> {
        match (self.route()?, &target.uri) {
            (Some(proxy), _) => Ok(proxy),
            (None, Uri::Sip(uri)) => Ok(uri.clone()),
            (None, other) => Err(Failure::Argument(format!("{other} is no SIP URI: name a --proxy to send it to"))),
        }
    }

    /// The proxy as a Route: with the transport that is asked for, and `lr`.
    pub(super) fn route(&self) -> Result<Option<SipUri<'static>>, Failure> {
        let Some(proxy) = &self.proxy else { return Ok(None) };
        let mut proxy = proxy.clone();
        self.choose(&mut proxy)?;
        if !proxy.params.contains("lr") {
            proxy.params.set_flag("lr");
        }
        Ok(Some(proxy))
    }

    fn choose(&self, uri: &mut SipUri<'static>) -> Result<(), Failure> {
        let Some(wanted) = self.transport.map(TransportType::from) else { return Ok(()) };
        match uri.param(p::TRANSPORT).map(str::to_owned) {
            Some(said) if !said.eq_ignore_ascii_case(wanted.as_param()) => {
                Err(Failure::Argument(format!("--transport is {}, but {uri} says {said}", wanted.as_param())))
            }
            Some(_) => Ok(()),
            None => {
                uri.params.set(p::TRANSPORT, wanted.as_param());
                Ok(())
            }
        }
    }
}

/// A time with its unit: `200ms`, `10s`, `1.5m`, `1h`; a number alone is seconds.
fn time(text: &str) -> Result<Duration, String> {
    let with_unit = if text.ends_with(|c: char| c.is_ascii_digit()) { format!("{text}s") } else { text.to_owned() };
    crate::arguments::time(&with_unit)
}

/// A URI, or one with a name: `"Bob" <sip:bob@example.com>`. Without `<>` all parameters are the URI's, as nobody means
/// those of a header here.
fn name_addr(text: &str) -> Result<NameAddr<'static>, String> {
    let addr = match text.contains('<') {
        true => NameAddr::parse(text).map(NameAddr::into_owned),
        false => Uri::parse_request(text).map(|uri| NameAddr::new(uri.into_owned())),
    };
    addr.map_err(|error| format!("{error}: expected a URI, as sip:bob@example.com"))
}

/// A media type: `text/plain;charset=utf-8`.
fn media_type(text: &str) -> Result<String, String> {
    match stack::contents::MediaType::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}: expected a media type, as text/plain")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Command, String> {
        let all = ["sip"].iter().chain(args);
        Args::try_parse_from(all).map(|args| args.command).map_err(|error| error.to_string())
    }

    fn common(args: &[&str]) -> Common {
        match parse(&[&["options", "sip:bob@192.0.2.1"], args].concat()) {
            Ok(Command::Options(args)) => args.common,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (args, said) in [
            (&["options", "bob"][..], "expected a URI, as sip:bob@example.com"),
            (&["options", "sip:x", "--proxy", "tel:1"], "expected a SIP URI"),
            (&["options", "sip:x", "--timeout", "soon"], "expected a number and ms, s, m or h"),
            (&["options", "sip:x", "--listen", "udp:5060"], "expected udp:ADDRESS:PORT"),
            (&["options", "sip:x", "--ws-path", "ws"], "expected a path"),
            (&["options", "sip:x", "--transport", "sctp"], "invalid value 'sctp'"),
            (&["options", "sip:x", "--tls-key", "x.pem"], "--tls-cert"),
            (&["options"], "<URI>"),
            (&["register", "sip:a@b", "--expires", "long"], "invalid value 'long'"),
            (&["register", "sip:a@b", "--remove-all", "--contact", "sip:c"], "cannot be used with"),
            (&["answer", "--reject", "200"], "200 is not in 300..=699"),
            (&["answer", "--reject", "486", "--ring", "2"], "cannot be used with"),
            (&["message"], "<URI>"),
            (&["message", "sip:a", "hi", "--content-type", "text"], "expected a media type, as text/plain"),
            (&["subscribe", "sip:a", "--event", "a b"], "expected an event package"),
            (&["publish", "sip:a"], "--status <STATUS>"),
            (&["publish", "sip:a", "--status", "open", "--remove"], "cannot be used with"),
            (&["trace", "sip:a", "--max-hops", "200"], "200 is not in 1..=69"),
            (&["torture", "sip:127.0.0.1"], "<FILE>"),
            (&["parse"], "<FILE>"),
            (&["options", "sip:x", "--password", "secret"], "unexpected argument '--password'"),
        ] {
            let error = parse(args).expect_err("wrong");
            assert!(error.contains(said), "{args:?}: {error}");
        }
    }

    #[test]
    fn the_transport_is_chosen_where_nothing_says_it() {
        let target = |text: &str| name_addr(text).expect("well formed");
        let tcp = common(&["--transport", "tcp"]);
        let towards = |text: &str| tcp.towards(&target(text)).map(|to| to.uri.to_string()).map_err(|e| e.to_string());
        assert_eq!(towards("sip:b@c").as_deref(), Ok("sip:b@c;transport=tcp"));
        assert_eq!(towards("sip:b@c;transport=TCP").as_deref(), Ok("sip:b@c;transport=TCP"));
        assert!(towards("sip:b@c;transport=udp").is_err_and(|e| e.contains("--transport is tcp")));
        let proxied = common(&["--transport", "tcp", "--proxy", "sip:p"]);
        assert_eq!(proxied.towards(&target("sip:b@c")).expect("good").uri.to_string(), "sip:b@c");
        assert_eq!(proxied.first_hop(&target("tel:+1")).expect("good").to_string(), "sip:p;transport=tcp;lr");
        let error = common(&[]).first_hop(&target("tel:+1")).expect_err("no proxy").to_string();
        assert!(error.contains("--proxy"), "{error}");
    }

    #[test]
    fn times_may_be_seconds() {
        assert_eq!((time("2"), time("500ms")), (Ok(Duration::from_secs(2)), Ok(Duration::from_millis(500))));
    }
}
