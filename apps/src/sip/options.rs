//! `sip options`: what a peer can do.

use super::agent::{Agent, Ends, Identity, end_limit};
use super::args::OptionsArgs;
use super::asker::{Answered, ask, asker};
use super::output::{Output, header_lines};
use super::verdict::{Failure, Verdict};
use dum::DumOptions;
use serde_json::Value;
use stack::header::{Method, h};

/// What is shown of the answer.
const SHOWN: [&str; 9] =
    ["Server", "User-Agent", "Contact", "Allow", "Accept", "Supported", "Allow-Events", "Warning", "Retry-After"];

/// Asks.
pub(super) async fn run(args: OptionsArgs, output: Output) -> Result<Verdict, Failure> {
    let (common, mut ends) = (&args.common, Ends::watch()?);
    let (target, first) = (common.towards(&args.target)?, common.first_hop(&common.towards(&args.target)?)?);
    let identity = Identity::new(common, None)?;
    let (app, mut answers) = asker();
    let agent = Agent::start(common, Some(&first), &[], DumOptions::default(), app)?;
    let answered = ask(&agent, &mut answers, &mut ends, common.timeout, move |dum| {
        let profile = identity.profile(dum);
        let mut msg = dum.make_request(&profile, &Method::Options, &target);
        msg.push_back(h::ACCEPTS, "application/sdp");
        (profile, msg)
    })
    .await?;
    answered.tell(&first.to_string(), output);
    if let (Answered::Response(response, _), false) = (&answered, output.json) {
        let lines = header_lines(response, &SHOWN);
        if !lines.is_empty() {
            output.event("", format_args!("{lines}"), Value::Null);
        }
    }
    agent.finish(end_limit(answered.verdict())).await;
    Ok(answered.verdict())
}
