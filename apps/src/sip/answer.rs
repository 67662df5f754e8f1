//! `sip answer`: takes calls, without media, or refuses them.

use super::agent::{Agent, Ends, Identity, end_limit};
use super::args::AnswerArgs;
use super::call::in_words;
use super::escape;
use super::media::{answer, offer};
use super::output::Output;
use super::verdict::{Failure, Verdict};
use dum::invite::{EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session as _};
use dum::{Application, Dum, DumOptions, Handle};
use repro::config::Listen;
use serde_json::json;
use stack::contents::sdp::Sdp;
use stack::header::h;
use stack::message::Message;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};

/// News that wait; who calls when there is no room gets 486.
const WAITING: usize = 1024;
/// Calls at the same time; each may have three pieces of news.
const CALLS: usize = 256;

/// What happens to calls.
enum News {
    Came(u64, Handle<InviteSession>, String),
    Answered(u64),
    Ended(u64, EndReason),
}

impl News {
    fn tell(&self, output: Output) {
        match self {
            News::Came(number, _, from) => {
                let text = format!("call {number}: from {}", escape::line(from));
                output.event("call", format_args!("{text}"), json!({"call": number, "from": from}));
            }
            News::Answered(number) => {
                output.event("answered", format_args!("call {number}: answered"), json!({"call": number}));
            }
            News::Ended(number, why) => {
                let what = in_words(*why);
                output.event("ended", format_args!("call {number}: {what}"), json!({"call": number, "what": what}));
            }
        }
    }
}

struct Answerer {
    told: Sender<News>,
    address: IpAddr,
    reject: Option<u16>,
    rings: bool,
    /// The calls by their numbers. At most [`CALLS`].
    calls: HashMap<Handle<InviteSession>, u64>,
    count: u64,
}

impl Application for Answerer {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

impl Answerer {
    /// Takes the call if there is a description for its 200, and it need not ring.
    fn described(&self, dum: &mut Dum<'_>, call: Handle<InviteSession>, done: Result<(), String>) {
        if done.is_err() {
            let _ = call.reject_offer(dum, 488);
        } else if !self.rings {
            // In a re-INVITE the description was all, and there is nothing to be taken.
            let _ = call.as_server().accept(dum);
        }
    }
}

impl InviteSessionHandler for Answerer {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, invite: &Message) {
        if self.calls.len() == CALLS || self.told.capacity() < 3 * CALLS {
            let _ = call.reject(dum, 486, |_| {});
            return;
        }
        self.count += 1;
        self.calls.insert(call.session(), self.count);
        let from = invite.header(h::FROM).map_or_else(|_| String::new(), |from| from.uri.to_string());
        let _ = self.told.try_send(News::Came(self.count, call.session(), from));
        let _ = match self.reject {
            Some(status) => call.reject(dum, status, |_| {}),
            None => call.provisional(dum, 180),
        };
    }

    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp, _: &Message) {
        let done = answer(self.address, dum, call, offer);
        self.described(dum, call, done);
    }

    fn on_offer_required(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        let offered = offer(self.address).map_err(|error| error.to_string());
        let done = offered.and_then(|sdp| call.provide_offer(dum, &sdp).map_err(|error| error.to_string()));
        self.described(dum, call, done);
    }

    fn on_confirmed(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        if let Some(number) = self.calls.get(&call) {
            let _ = self.told.try_send(News::Answered(*number));
        }
    }

    fn on_terminated(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        if let Some(number) = self.calls.remove(&call) {
            let _ = self.told.try_send(News::Ended(number, why));
        }
    }
}

/// Answers.
pub(super) async fn run(args: AnswerArgs, default: &[Listen], output: Output) -> Result<Verdict, Failure> {
    let mut ends = Ends::watch()?;
    let identity = Identity::new(&args.common, None)?;
    let (told, mut news) = channel(WAITING);
    let (reject, rings) = (args.reject, args.ring > Duration::ZERO);
    let app = |address| Answerer { told, address, reject, rings, calls: HashMap::new(), count: 0 };
    let agent = Agent::start_with(&args.common, None, default, DumOptions::default(), app)?;
    // What answers say of us.
    agent.command(move |_, dum| {
        let profile = identity.profile(dum);
        let mut master = (**dum.master_profile()).clone();
        master.user_mut().set_user_agent(profile.user_agent());
        if profile.has_from() {
            master.user_mut().set_from(profile.from());
        }
        dum.set_master_profile(master);
    })?;
    agent.announce(output);
    let mut left = args.count;
    while left != Some(0) {
        let news = tokio::select! {
            news = news.recv() => news,
            () = ends.next() => break,
        };
        let Some(news) = news else { break };
        news.tell(output);
        match news {
            News::Came(_, call, _) if rings && reject.is_none() => {
                let (user, ring) = (agent.user(), args.ring);
                // One for each call that rings.
                tokio::spawn(async move {
                    tokio::time::sleep(ring).await;
                    // If the caller has given up meanwhile, the handle leads nowhere.
                    let _ = user.command(move |_, dum| {
                        let _ = call.as_server().accept(dum);
                    });
                });
            }
            News::Ended(..) => left = left.map(|left| left - 1),
            News::Came(..) | News::Answered(_) => {}
        }
    }
    // BYE for those that stand, 480 for those that ring; their answers are waited for.
    agent.command(|answerer, dum| {
        for call in answerer.calls.keys() {
            let _ = call.end(dum);
        }
    })?;
    agent.finish(end_limit(Verdict::Done)).await;
    while let Ok(news) = news.try_recv() {
        news.tell(output);
    }
    Ok(Verdict::Done)
}
