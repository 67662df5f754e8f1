//! A request, and its answer: what `options`, `register`, `message`, `publish` and `trace` have in common.

use super::agent::{Agent, Ends};
use super::output::Output;
use super::verdict::{Failure, Verdict};
use super::wire::since_start;
use dum::out_of_dialog::{ClientOutOfDialogRequest, OutOfDialogHandler};
use dum::{Application, Dum, Handle, Outcome, UserProfile};
use rutil::{Clock, RealClock};
use stack::header::Method;
use stack::message::Message;
use stack::tu::NoResponse;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// One request is under way at a time.
const UNDER_WAY: usize = 4;

/// A user agent that sends requests out of dialogs.
pub(super) struct Asker {
    /// No answer: there was no room for the request.
    told: Sender<Option<Outcome>>,
}

impl Application for Asker {
    fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
        Some(self)
    }
}

impl OutOfDialogHandler for Asker {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        let _ = self.told.try_send(Some(outcome.clone()));
    }

    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        let _ = self.told.try_send(Some(outcome.clone()));
    }
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Answered {
    /// A final response, and after how long.
    Response(Arc<Message>, Duration),
    /// None in time.
    Silent,
    /// It could not be sent, or its connection failed: why, if the stack says it.
    Unsent(Option<NoResponse>),
    /// A signal came first.
    Interrupted,
}

impl Answered {
    /// What it means.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Answered::Response(response, _) => Verdict::of(response),
            Answered::Silent => Verdict::Silent,
            Answered::Unsent(_) => Verdict::Network,
            Answered::Interrupted => Verdict::Interrupted,
        }
    }

    /// Says what came of it, where it is no response.
    pub(super) fn tell(&self, peer: &str, output: Output) {
        match self {
            Answered::Response(response, took) => output.response(response, *took),
            Answered::Silent => output.problem(&format!("{peer} does not answer")),
            Answered::Unsent(why) => {
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                output.problem(&format!("{peer} cannot be reached{why}"));
            }
            Answered::Interrupted => {}
        }
    }
}

/// The answers, at this end.
pub(super) struct Answers(Receiver<Option<Outcome>>);

/// The application, and where its answers come out.
pub(super) fn asker() -> (Asker, Answers) {
    let (told, answers) = channel(UNDER_WAY);
    (Asker { told }, Answers(answers))
}

/// Sends the request that `make` makes, and waits for its answer.
pub(super) async fn ask(
    agent: &Agent<Asker>,
    answers: &mut Answers,
    ends: &mut Ends,
    limit: Duration,
    make: impl FnOnce(&mut Dum<'_>) -> (Arc<UserProfile>, Message) + Send + 'static,
) -> Result<Answered, Failure> {
    // What came too late for the request before.
    while answers.0.try_recv().is_ok() {}
    let clock = RealClock::new();
    agent.command(move |asker, dum| {
        let (profile, msg) = make(dum);
        if dum.send_request_as(&profile, msg).is_err() {
            let _ = asker.told.try_send(None);
        }
    })?;
    let outcome = tokio::select! {
        outcome = answers.0.recv() => outcome.flatten(),
        () = tokio::time::sleep(limit) => return Ok(Answered::Silent),
        () = ends.next() => return Ok(Answered::Interrupted),
    };
    Ok(match outcome {
        Some(Outcome { response: Some(response), .. }) => Answered::Response(response, since_start(clock.now())),
        Some(Outcome { status: 408, .. }) => Answered::Silent,
        other => Answered::Unsent(other.and_then(|outcome| outcome.failure)),
    })
}
