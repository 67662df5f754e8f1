//! `sip publish`: the state of an event package, published, refreshed, changed and removed (RFC 3903).

use super::agent::{Agent, Ends, Identity, end_limit};
use super::args::{PublishArgs, Status};
use super::asker::{Answered, ask, asker};
use super::escape;
use super::output::Output;
use super::verdict::{Failure, Verdict};
use dum::DumOptions;
use serde_json::json;
use stack::contents::event::pidf::{Basic, Note, Tuple};
use stack::contents::event::{EventDocument as _, Pidf};
use stack::header::{Method, h};

/// Publishes.
pub(super) async fn run(args: PublishArgs, output: Output) -> Result<Verdict, Failure> {
    let (common, mut ends) = (&args.common, Ends::watch()?);
    let target = common.towards(&args.target)?;
    let first = common.first_hop(&target)?;
    let identity = Identity::new(common, Some(&args.target))?;
    let document = document(&args)?;
    let expires = if args.remove { 0 } else { args.expires };
    let (app, mut answers) = asker();
    let agent = Agent::start(common, Some(&first), &[], DumOptions::default(), app)?;
    let (event, etag) = (args.event.clone(), args.etag.clone());
    let answered = ask(&agent, &mut answers, &mut ends, common.timeout, move |dum| {
        let profile = identity.profile(dum);
        let mut msg = dum.make_request(&profile, &Method::Publish, &target);
        msg.set(h::EVENT, &event);
        msg.set(h::EXPIRES, &expires);
        if let Some(etag) = &etag {
            msg.set(h::SIP_IF_MATCH, etag);
        }
        if let Some((media, body)) = document {
            msg.set_body(Some(&media), body);
        }
        (profile, msg)
    })
    .await?;
    answered.tell(&first.to_string(), output);
    if let (Answered::Response(response, _), Verdict::Done, false) = (&answered, answered.verdict(), args.remove) {
        let etag = response.header(h::SIP_ETAG).ok().map(|etag| etag.to_string());
        let granted = response.header(h::EXPIRES).ok().map(|expires| expires.to_string());
        let shown = etag.as_deref().map_or("none".into(), escape::line);
        let seconds = granted.as_deref().unwrap_or("unknown");
        let members = json!({"etag": etag, "expires": granted.as_ref().and_then(|text| text.parse::<u32>().ok())});
        output.event("published", format_args!("ETag: {shown}, for {seconds} s"), members);
    }
    agent.finish(end_limit(answered.verdict())).await;
    Ok(answered.verdict())
}

/// What is published, with its type; none to refresh or remove.
fn document(args: &PublishArgs) -> Result<Option<(String, Vec<u8>)>, Failure> {
    if let Some(file) = &args.file {
        let body = std::fs::read(file).map_err(|source| Failure::File { file: file.clone(), source })?;
        return Ok(Some((args.content_type.clone(), body)));
    }
    let Some(status) = args.status else { return Ok(None) };
    let basic = match status {
        Status::Open => Basic::Open,
        Status::Closed => Basic::Closed,
    };
    let mut tuple = Tuple::new("sip", basic);
    tuple.notes = args.note.iter().map(|text| Note { text: text.clone(), lang: None }).collect();
    let pidf = Pidf { entity: args.target.uri.to_string(), tuples: vec![tuple], ..Pidf::default() };
    Ok(Some(("application/pidf+xml".to_owned(), pidf.print().to_vec())))
}
