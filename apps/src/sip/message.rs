//! `sip message`: texts, sent and received out of dialogs (RFC 3428).

use super::agent::{Agent, Ends, Identity, end_limit};
use super::args::MessageArgs;
use super::asker::{ask, asker};
use super::escape;
use super::output::{Output, body};
use super::verdict::{Failure, Verdict};
use dum::pager::{PagerMessageHandler, ServerPagerMessage};
use dum::{Application, Dum, DumOptions, Handle};
use repro::config::Listen;
use serde_json::json;
use stack::header::{MediaType, Method, h};
use stack::message::Message;
use std::io::Read as _;
use tokio::sync::mpsc::{Sender, channel};

/// The longest text that is sent; more belongs into a session (RFC 3428 §8).
const MOST: u64 = 64 * 1024;
/// Texts that wait to be shown; of more the sender is told to come back.
const WAITING: usize = 256;

/// Sends or receives.
pub(super) async fn run(args: MessageArgs, default: &[Listen], output: Output) -> Result<Verdict, Failure> {
    match &args.target {
        Some(target) => {
            let target = target.clone();
            send(args, &target, output).await
        }
        None => receive(args, default, output).await,
    }
}

async fn send(
    args: MessageArgs,
    target: &stack::header::NameAddr<'static>,
    output: Output,
) -> Result<Verdict, Failure> {
    let (common, mut ends) = (&args.common, Ends::watch()?);
    let target = common.towards(target)?;
    let first = common.first_hop(&target)?;
    let identity = Identity::new(common, None)?;
    let text = match args.text {
        Some(text) => text.into_bytes(),
        None => standard_input()?,
    };
    let (app, mut answers) = asker();
    let agent = Agent::start(common, Some(&first), &[], DumOptions::default(), app)?;
    let answered = ask(&agent, &mut answers, &mut ends, common.timeout, move |dum| {
        let profile = identity.profile(dum);
        let mut msg = dum.make_request(&profile, &Method::Message, &target);
        msg.set_body(Some(&args.content_type), text);
        (profile, msg)
    })
    .await?;
    answered.tell(&first.to_string(), output);
    agent.finish(end_limit(answered.verdict())).await;
    Ok(answered.verdict())
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    std::io::stdin().lock().take(MOST + 1).read_to_end(&mut text).map_err(Failure::Input)?;
    match text.len() as u64 > MOST {
        true => Err(Failure::Argument(format!("standard input: a text has at most {MOST} octets"))),
        false => Ok(text),
    }
}

/// Takes what comes.
struct Inbox {
    told: Sender<Box<Message>>,
}

impl Application for Inbox {
    fn pager_messages(&mut self) -> Option<&mut dyn PagerMessageHandler> {
        Some(self)
    }
}

impl PagerMessageHandler for Inbox {
    fn on_message_arrived(&mut self, dum: &mut Dum<'_>, pager: Handle<ServerPagerMessage>, msg: &Message) {
        let _ = match self.told.try_send(Box::new(msg.clone())) {
            Ok(()) => pager.accept(dum, 200),
            Err(_) => pager.reject(dum, 503, |response| response.append_line("Retry-After", "1")),
        };
    }
}

async fn receive(args: MessageArgs, default: &[Listen], output: Output) -> Result<Verdict, Failure> {
    let mut ends = Ends::watch()?;
    let mut options = DumOptions::default();
    options.master.add_method(Method::Message).add_mime_type(Method::Message, MediaType::new("*", "*"));
    let (told, mut texts) = channel(WAITING);
    let agent = Agent::start(&args.common, None, default, options, Inbox { told })?;
    agent.announce(output);
    let mut left = args.count;
    while left != Some(0) {
        let msg = tokio::select! {
            msg = texts.recv() => msg,
            () = ends.next() => break,
        };
        let Some(msg) = msg else { break };
        let from = msg.header(h::FROM).map_or_else(|_| String::new(), |from| from.uri.to_string());
        let media = msg.header(h::CONTENT_TYPE).map_or_else(|_| String::new(), |media| media.to_string());
        let text = format!("{}: {}", escape::line(&from), escape::lines(msg.body()));
        output.event(
            "message",
            format_args!("{text}"),
            json!({"from": from, "content_type": media, "body": body(&msg)}),
        );
        left = left.map(|left| left - 1);
    }
    agent.finish(end_limit(Verdict::Done)).await;
    Ok(Verdict::Done)
}
