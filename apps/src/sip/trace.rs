//! `sip trace`: the way of a request, hop by hop. Max-Forwards counts down at each proxy, and the one at which it is over
//! answers 483 (RFC 3261 §16.3 step 3), so requests with 0, 1, 2 … show one proxy after the other.

use super::agent::{Agent, Ends, Identity, end_limit};
use super::args::TraceArgs;
use super::asker::{Answered, Answers, Asker, ask, asker};
use super::escape;
use super::output::{Output, milliseconds};
use super::verdict::{Failure, Verdict};
use dum::DumOptions;
use serde_json::json;
use stack::header::{Method, NameAddr, h};
use stack::message::Message;
use std::time::Duration;

/// Max-Forwards of the request that shows how the target itself answers.
const FAR: u8 = 70;
/// What the answer of a request that came too far says.
const TOO_MANY_HOPS: u16 = 483;

/// Shows the way.
pub(super) async fn run(args: TraceArgs, output: Output) -> Result<Verdict, Failure> {
    let (common, ends) = (&args.common, Ends::watch()?);
    let target = common.towards(&args.target)?;
    let first = common.first_hop(&target)?;
    let (app, answers) = asker();
    let identity = Identity::new(common, None)?;
    let agent = Agent::start(common, Some(&first), &[], DumOptions::default(), app)?;
    let mut probe = Probe { agent: &agent, answers, ends, identity, target, limit: common.timeout };
    let verdict = follow(&mut probe, &args, &first.to_string(), output).await;
    agent.finish(end_limit(*verdict.as_ref().unwrap_or(&Verdict::Network))).await;
    verdict
}

async fn follow(probe: &mut Probe<'_>, args: &TraceArgs, first: &str, output: Output) -> Result<Verdict, Failure> {
    // A proxy may answer OPTIONS for itself when Max-Forwards is over: so the target's own answer must be known.
    let end = match probe.send(FAR).await? {
        Answered::Response(response, _) => Some(Mark::of(&response)),
        Answered::Silent => None,
        other => {
            other.tell(first, output);
            return Ok(other.verdict());
        }
    };
    let mut silent = 0;
    for hop in 0..=args.max_hops {
        match probe.send(hop).await? {
            Answered::Response(response, took) => {
                silent = 0;
                tell(hop, &response, took, output);
                let over = response.status() != Some(TOO_MANY_HOPS) || end.is_none();
                if over && end.as_ref().is_none_or(|end| *end == Mark::of(&response)) {
                    return Ok(Verdict::of(&response));
                }
                if matches!(response.status(), Some(401 | 407)) {
                    return Ok(Verdict::Unauthorized);
                }
            }
            Answered::Silent => {
                silent += 1;
                output.event("hop", format_args!("{hop:>3}  *"), json!({"hop": hop, "status": null}));
                if silent == 2 {
                    return Ok(Verdict::Silent);
                }
            }
            other => return Ok(other.verdict()),
        }
    }
    output.problem(&format!("more than {} hops", args.max_hops));
    Ok(Verdict::Silent)
}

/// What sends the requests.
struct Probe<'a> {
    agent: &'a Agent<Asker>,
    answers: Answers,
    ends: Ends,
    identity: Identity,
    target: NameAddr<'static>,
    limit: Duration,
}

impl Probe<'_> {
    async fn send(&mut self, hops: u8) -> Result<Answered, Failure> {
        let (identity, target) = (self.identity.clone(), self.target.clone());
        ask(self.agent, &mut self.answers, &mut self.ends, self.limit, move |dum| {
            let profile = identity.profile(dum);
            let mut msg = dum.make_request(&profile, &Method::Options, &target);
            msg.set(h::MAX_FORWARDS, &hops);
            (profile, msg)
        })
        .await
    }
}

/// What tells who answered from others.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    status: Option<u16>,
    who: Option<String>,
    says: Vec<Vec<u8>>,
}

impl Mark {
    fn of(response: &Message) -> Self {
        let lines = ["Contact", "Allow", "Supported", "Accept"];
        let says = lines.iter().flat_map(|name| response.raw_values(name).map(<[u8]>::to_vec)).collect();
        Mark { status: response.status(), who: server(response), says }
    }
}

/// Server, or User-Agent, which some put there.
fn server(response: &Message) -> Option<String> {
    ["Server", "User-Agent"].iter().find_map(|name| response.raw_values(name).next().map(escape::octets))
}

fn tell(hop: u8, response: &Message, took: Duration, output: Output) {
    let (status, ms) = (response.status().unwrap_or_default(), milliseconds(took));
    let list = |name: &str| response.raw_values(name).map(escape::octets).collect::<Vec<_>>();
    let (vias, warnings, who) = (list("Via"), list("Warning"), server(response));
    let mut text = format!("{hop:>3}  {status} {}  {ms:.1} ms", escape::line(response.reason()));
    let named = [("Server", who.iter().cloned().collect()), ("Via", vias.clone()), ("Warning", warnings.clone())];
    for (name, values) in named {
        values.iter().for_each(|value: &String| text.push_str(&format!("\n     {name}: {value}")));
    }
    let members = json!({
        "hop": hop, "status": status, "reason": response.reason(), "ms": ms, "server": who, "via": vias,
        "warning": warnings,
    });
    output.event("hop", format_args!("{text}"), members);
}
