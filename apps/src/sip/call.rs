//! `sip call`: a call without media, from INVITE to BYE.

use super::agent::{Agent, Ends, Identity, end_limit};
use super::args::CallArgs;
use super::escape;
use super::media::offer;
use super::output::{Output, milliseconds};
use super::verdict::{Failure, Verdict};
use super::wire::since_start;
use dum::invite::{ClientInviteSession, EndReason, InviteSession, InviteSessionHandler, Session as _};
use dum::{Application, Dum, DumOptions, Handle};
use rutil::{Clock, RealClock};
use serde_json::json;
use stack::contents::sdp::Sdp;
use stack::message::Message;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};

/// News that wait. A call has few; provisional responses leave room for the others.
const WAITING: usize = 64;
const RESERVED: usize = 8;
/// How long a call may take to end when it was told to: the CANCEL or BYE, and its answer.
const END_LIMIT: Duration = Duration::from_secs(5);

/// What happens to the call.
enum News {
    /// A provisional response.
    Progress(u16, String),
    /// It is answered.
    Answered(u16, String),
    /// It is over: why, and the status and reason that said so.
    Ended(EndReason, Option<(u16, String)>),
    /// It could not be begun.
    Failed(String),
}

struct Caller {
    told: Sender<News>,
    address: IpAddr,
    /// The call, to hang up.
    call: Option<Handle<InviteSession>>,
}

impl Application for Caller {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

fn said(msg: &Message) -> Option<(u16, String)> {
    Some((msg.status()?, msg.reason().to_owned()))
}

impl InviteSessionHandler for Caller {
    fn on_provisional(&mut self, _: &mut Dum<'_>, _: Handle<ClientInviteSession>, response: &Message) {
        if let Some((status, reason)) = said(response).filter(|_| self.told.capacity() > RESERVED) {
            let _ = self.told.try_send(News::Progress(status, reason));
        }
    }

    fn on_connected(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, msg: &Message) {
        // If the call was forked, this is the fork that goes on.
        self.call = Some(call);
        let (status, reason) = said(msg).unwrap_or((200, String::new()));
        let _ = self.told.try_send(News::Answered(status, reason));
    }

    // The peer may change the session, as who holds a call does: there are no media to change.
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp, _: &Message) {
        if super::media::answer(self.address, dum, call, offer).is_err() {
            let _ = call.reject_offer(dum, 488);
        }
    }

    fn on_terminated(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, why: EndReason, msg: Option<&Message>) {
        if self.call == Some(call) {
            let _ = self.told.try_send(News::Ended(why, msg.and_then(said)));
        }
    }
}

/// What the command waits for.
enum Step {
    News(Option<News>),
    Time,
    Signal,
}

/// Calls.
pub(super) async fn run(args: CallArgs, output: Output) -> Result<Verdict, Failure> {
    let (common, mut ends) = (&args.common, Ends::watch()?);
    let target = common.towards(&args.target)?;
    let first = common.first_hop(&target)?;
    let identity = Identity::new(common, None)?;
    let (told, mut news) = channel(WAITING);
    let app = |address| Caller { told, address, call: None };
    let agent = Agent::start_with(common, Some(&first), &[], DumOptions::default(), app)?;
    let clock = RealClock::new();
    agent.command(move |caller, dum| {
        let profile = identity.profile(dum);
        let begun = offer(caller.address).map_err(|error| error.to_string()).and_then(|offer| {
            let invite = dum.make_invite(&profile, &target, Some(&offer));
            dum.send_invite(&profile, invite).map_err(|error| error.to_string())
        });
        match begun {
            Ok(call) => caller.call = Some(call.session()),
            Err(error) => drop(caller.told.try_send(News::Failed(error))),
        }
    })?;
    let mut course = Course { output, peer: first.to_string(), answered: false, asked_to_end: None };
    let mut left = common.timeout;
    let verdict = loop {
        let began = clock.now();
        let waits = left < Duration::MAX;
        let step = tokio::select! {
            news = news.recv() => Step::News(news),
            () = tokio::time::sleep(left), if waits => Step::Time,
            () = ends.next() => Step::Signal,
        };
        left = if waits { left.saturating_sub(clock.now().since(began)) } else { left };
        let hang_up = match step {
            Step::News(None) => break Verdict::Network,
            Step::News(Some(news)) => {
                let (answered, verdict) = course.take(news, since_start(clock.now()));
                if let Some(verdict) = verdict {
                    break verdict;
                }
                if answered {
                    left = args.seconds.unwrap_or(Duration::MAX);
                }
                continue;
            }
            // The end was asked for, and nobody answers.
            Step::Time | Step::Signal if course.asked_to_end.is_some() => break course.unfinished(),
            Step::Time => {
                if course.answered {
                    Verdict::Done
                } else {
                    Verdict::Silent
                }
            }
            Step::Signal => {
                if course.answered {
                    Verdict::Done
                } else {
                    Verdict::Interrupted
                }
            }
        };
        course.asked_to_end = Some(hang_up);
        left = END_LIMIT;
        agent.command(|caller, dum| {
            let _ = caller.call.map(|call| call.end(dum));
        })?;
    };
    if verdict == Verdict::Silent {
        output.problem(&format!("{first} does not answer"));
    }
    agent.finish(end_limit(verdict)).await;
    Ok(verdict)
}

/// How the call goes.
struct Course {
    output: Output,
    peer: String,
    answered: bool,
    /// We end it: what that comes to.
    asked_to_end: Option<Verdict>,
}

impl Course {
    /// Tells of news. Whether the call is answered by them, and what it came to when it is over.
    fn take(&mut self, news: News, at: Duration) -> (bool, Option<Verdict>) {
        let ms = milliseconds(at);
        let event = |name: &str, what: &str, said: Option<(u16, &str)>| {
            let told = said.map_or_else(String::new, |(status, reason)| format!("{status} {}", escape::line(reason)));
            let text = [what, &told].iter().filter(|part| !part.is_empty()).map(|s| s.to_string()).collect::<Vec<_>>();
            let (status, reason) = said.unzip();
            let members = json!({"ms": ms, "status": status, "reason": reason, "what": what});
            self.output.event(name, format_args!("{} ({ms:.1} ms)", text.join(": ")), members);
        };
        match news {
            News::Progress(status, reason) => event("progress", "", Some((status, &reason))),
            News::Answered(status, reason) => {
                event("answered", "answered", Some((status, &reason)));
                self.answered = true;
                return (true, None);
            }
            News::Failed(error) => {
                self.output.problem(&error);
                return (false, Some(Verdict::Network));
            }
            News::Ended(why, said) => {
                let shown = said.as_ref().map(|(status, reason)| (*status, reason.as_str()));
                event("ended", in_words(why), shown);
                return (false, Some(self.outcome(why, said.map(|(status, _)| status))));
            }
        }
        (false, None)
    }

    fn outcome(&self, why: EndReason, status: Option<u16>) -> Verdict {
        match (why, status) {
            _ if self.answered => Verdict::Done,
            (EndReason::LocalCancel, _) => self.asked_to_end.unwrap_or(Verdict::Interrupted),
            (_, Some(401 | 407)) => Verdict::Unauthorized,
            (EndReason::Timeout, _) => Verdict::Silent,
            (EndReason::Transport, _) => {
                self.output.problem(&format!("{} cannot be reached: --verbose shows more", self.peer));
                Verdict::Network
            }
            _ => self.asked_to_end.unwrap_or(Verdict::Refused),
        }
    }

    /// It did not end in time.
    fn unfinished(&self) -> Verdict {
        if self.answered { Verdict::Done } else { self.asked_to_end.unwrap_or(Verdict::Silent) }
    }
}

/// Why a call has ended.
pub(super) const fn in_words(why: EndReason) -> &'static str {
    match why {
        EndReason::LocalBye => "hung up",
        EndReason::RemoteBye => "the peer hung up",
        EndReason::LocalCancel => "given up",
        EndReason::RemoteCancel => "the caller gave up",
        EndReason::Rejected => "rejected",
        EndReason::Refused => "refused",
        EndReason::Redirected => "redirected",
        EndReason::Timeout => "no answer",
        EndReason::Transport => "not delivered",
        EndReason::OtherFork => "answered elsewhere",
        EndReason::NoAck => "never acknowledged",
        EndReason::SessionExpired => "not refreshed in time",
        EndReason::Gone => "gone",
        EndReason::IllegalNegotiation => "offer and answer do not fit",
        EndReason::Malformed => "answered without an address",
        EndReason::Replaced => "replaced",
    }
}
