//! The interpreter of scenarios: a pure machine. Time and randomness are arguments, and what it wants done it says.

use super::super::users::Users;
use super::call::{Again, Call};
use super::fields::Table;
use super::program::{At, Expect, Next, Pattern, Program, Send, Step, Value, What};
use bytes::Bytes;
use rutil::{Rng, Time};
use stack::header::{HeaderId, h};
use stack::message::Message;
use stack::transport::TransportType;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Duration;

/// The longest time between two repetitions of what is no INVITE (RFC 3261 §17.1.2.2).
const T2: Duration = Duration::from_secs(4);
/// How often a message is sent again at most: with T1 these are 64·T1 (RFC 3261 §17.1.1.2, §17.1.2.2).
const REPETITIONS: (u8, u8) = (6, 10);
/// Steps that may follow each other without a wait: what goes round more often does so for ever.
const MOST_STEPS: usize = 10_000;
/// Messages that may wait for their step.
const MOST_EARLY: usize = 8;

/// What all calls have in common.
pub(crate) struct Setup {
    pub(crate) program: Program,
    pub(crate) service: String,
    pub(crate) target: String,
    pub(crate) kind: TransportType,
    /// The run's name, in tags and branches.
    pub(crate) run: String,
    pub(crate) pid: u32,
    /// How long a pause is that does not say it.
    pub(crate) hold: Duration,
    pub(crate) users: Option<Users>,
    /// Files of fields: the first of the command line, then those that the scenario names.
    pub(crate) fields: Vec<Table>,
    /// What stands for the peer's address and port, where that is not where messages go.
    pub(crate) remote: Option<(String, u16)>,
    /// How long after 1970 the clock's origin was.
    pub(crate) epoch: Duration,
}

/// What happens to a call.
pub(crate) enum Event {
    /// It begins; called, with the first message.
    Begin,
    Message(Box<Message>),
    /// A command of the other controller.
    Command(String),
    /// Its deadline has come.
    Time,
    /// What was sent is lost, for this reason.
    Lost(String),
    /// The run is to end.
    Stop,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Out {
    Send(Bytes),
    /// The same once more.
    Again(Bytes),
    Command(Vec<u8>),
    /// What is sent from now on goes there.
    Destination(SocketAddr),
    Log(String),
    NoteRinging,
    NoteAnswer,
    /// The time from BYE to its 2xx.
    NoteBye(Duration),
    /// A message came again.
    Absorbed,
    Succeeded,
    Failed(String),
    Stopped,
    HungUp,
    /// Nothing more is known of it.
    Over,
    /// No more calls are started.
    StopAll,
}

/// One call in one moment.
pub(crate) struct Machine<'a> {
    pub(super) setup: &'a Setup,
    pub(super) call: &'a mut Call,
    pub(super) now: Time,
    pub(super) rng: &'a mut Rng,
    pub(super) out: &'a mut Vec<Out>,
}

impl Machine<'_> {
    /// Takes an event.
    pub(crate) fn happens(&mut self, event: Event) {
        match event {
            Event::Begin => self.go(),
            Event::Message(message) => self.came(message),
            Event::Command(text) => self.commanded(&text),
            Event::Time => self.time(),
            Event::Lost(why) => self.fail(why),
            Event::Stop => {
                self.clean_up(None);
                self.end(Out::Stopped);
            }
        }
    }

    /// Does the steps that need not wait.
    fn go(&mut self) {
        for _ in 0..MOST_STEPS {
            let setup = self.setup;
            let Some(step) = setup.program.steps.get(self.call.at) else { return self.end(Out::Succeeded) };
            if self.passes_over(step) {
                self.call.at += 1;
                continue;
            }
            match &step.what {
                What::Send(send) => self.send(send),
                What::SendCommand(text) => {
                    let command = self.renderer(self.call.at).message(text);
                    self.out.push(Out::Command(command.to_vec()));
                }
                What::Expect(expect) => {
                    self.call.waits = true;
                    self.call.until = self.timeout(self.call.at, expect).map(|(timeout, _)| self.now + timeout);
                    match self.call.early.pop_front() {
                        Some(message) => {
                            if self.take(message) {
                                continue;
                            }
                            if self.call.is_over() {
                                return;
                            }
                            continue;
                        }
                        None => return,
                    }
                }
                What::ExpectCommand => {
                    self.call.waits = true;
                    self.call.until = None;
                    return;
                }
                What::Pause(pause) => {
                    if pause.after_all {
                        self.done(Out::Succeeded);
                    }
                    let length = self.length(&pause.length);
                    if !length.is_zero() {
                        self.call.waits = true;
                        self.call.until = Some(self.now + length);
                        return;
                    }
                }
                What::Nothing => {}
                What::End(None) => return self.end(Out::Succeeded),
                What::End(Some(cause)) => {
                    let cause = self.render(cause);
                    return self.fail(format!("{}: {cause}", setup.program.place(self.call.at)));
                }
            }
            if !self.leave(None) {
                return;
            }
        }
        let place = self.setup.program.place(self.call.at);
        self.fail(format!("{place}: {MOST_STEPS} steps without a wait"));
    }

    /// Whether a step is not for this call.
    fn passes_over(&self, step: &Step) -> bool {
        step.only.is_some_and(|(var, wanted)| self.call.vars.get(var).is_some_and(Value::is_set) != wanted)
    }

    /// The time that a wait may take, and where it goes on then: of the steps that are waited for, the first that says it.
    fn timeout(&self, from: At, expect: &Expect) -> Option<(Duration, Option<At>)> {
        if let Some(timeout) = expect.timeout {
            return Some((timeout, expect.on_timeout));
        }
        if !expect.optional {
            return None;
        }
        match self.setup.program.steps.get(from + 1).map(|step| &step.what) {
            Some(What::Expect(next)) => self.timeout(from + 1, next),
            _ => None,
        }
    }

    /// The step is done: its actions, and the next step. False when the call is over.
    fn leave(&mut self, message: Option<&Message>) -> bool {
        let setup = self.setup;
        (self.call.waits, self.call.until) = (false, None);
        let Some(step) = setup.program.steps.get(self.call.at) else { return true };
        let here = self.call.at;
        for action in &step.actions {
            match self.act(action, message) {
                Ok(None) => {}
                Ok(Some(to)) if to > setup.program.steps.len() => {
                    self.fail(format!("{}: a jump to a step that is not there", setup.program.place(here)));
                    return false;
                }
                Ok(Some(to)) => {
                    self.call.at = to;
                    return true;
                }
                Err(()) => return false,
            }
        }
        self.call.at = self.next(&step.next).unwrap_or(here + 1);
        true
    }

    fn next(&mut self, next: &[Next]) -> Option<At> {
        for next in next {
            let holds = next.test.is_none_or(|var| self.call.vars.get(var).is_some_and(Value::is_set));
            if holds && (next.chance >= 1.0 || self.rng.chance(next.chance)) {
                return Some(next.to);
            }
        }
        None
    }

    fn send(&mut self, send: &Send) {
        let at = self.call.at;
        let method = send.text.first_word().unwrap_or_default().to_owned();
        let is_request = !method.starts_with("SIP/");
        if is_request && !matches!(method.as_str(), "ACK" | "CANCEL") {
            self.call.cseq += 1;
        }
        if self.call.passes.len() <= at {
            self.call.passes.resize(at + 1, 0);
        }
        if let Some(pass) = self.call.passes.get_mut(at) {
            *pass = pass.saturating_add(1);
        }
        let octets = self.renderer(at).message(&send.text);
        self.note_sent(&method, &octets);
        if let Some(name) = send.transaction {
            self.call.begin_transaction(name, &octets);
        }
        // Of responses only those to INVITE wait for something.
        let waits = is_request
            || self.setup.program.strict
            || self.call.request.as_deref().and_then(cseq_method).as_deref() == Some("INVITE");
        let wait = send.again.filter(|_| waits && !self.setup.kind.is_reliable());
        let what = if is_request {
            method
        } else {
            octets
                .split(|b| *b == b' ')
                .nth(1)
                .map(|code| String::from_utf8_lossy(code).into_owned())
                .unwrap_or_default()
        };
        self.call.again = wait.map(|wait| {
            let invite = what == "INVITE";
            let (left, most) = if invite { (REPETITIONS.0, Duration::MAX) } else { (REPETITIONS.1, T2) };
            Again { octets: octets.clone(), at: self.now + wait, wait, left, most, what }
        });
        self.call.note_sent(&octets);
        if send.lost > 0.0 && self.rng.chance(send.lost) {
            return;
        }
        self.out.push(Out::Send(octets));
    }

    fn note_sent(&mut self, method: &str, octets: &Bytes) {
        match method {
            "INVITE" => self.call.invite = Some(octets.clone()),
            "BYE" => self.call.bye_at = Some(self.now),
            "SIP/2.0" if octets.starts_with(b"SIP/2.0 2") => {
                let to_invite =
                    self.call.request.as_ref().is_some_and(|request| cseq_method(request).as_deref() == Some("INVITE"));
                self.call.is_answered |= to_invite;
            }
            _ => {}
        }
        if !method.starts_with("SIP/") && method != "ACK" {
            self.call.sent.push(method.to_owned());
            let many = self.call.sent.len();
            if many > 16 {
                self.call.sent.drain(..many - 16);
            }
        }
    }

    fn time(&mut self) {
        if self.call.again.as_ref().is_some_and(|again| again.at <= self.now) {
            self.send_again();
        }
        let due = self.call.until.is_some_and(|until| until <= self.now);
        if !due || !self.call.waits || self.call.is_over() {
            return;
        }
        let setup = self.setup;
        match setup.program.steps.get(self.call.at).map(|step| &step.what) {
            Some(What::Expect(expect)) => match self.timeout(self.call.at, expect) {
                Some((_, Some(to))) => {
                    (self.call.at, self.call.waits, self.call.until, self.call.again) = (to, false, None, None);
                    self.go();
                }
                _ => {
                    let place = setup.program.place(self.call.at);
                    self.fail(format!("{place}: no {} in time", expect.what));
                }
            },
            _ => {
                if self.leave(None) {
                    self.go();
                }
            }
        }
    }

    fn send_again(&mut self) {
        let Some(again) = &mut self.call.again else { return };
        if again.left == 0 {
            let what = again.what.clone();
            let what = if what.parse::<u16>().is_ok() {
                format!("no ACK for the {what}")
            } else {
                format!("{what}: no response in time")
            };
            self.call.again = None;
            return self.fail(what);
        }
        again.left -= 1;
        again.wait = (again.wait * 2).min(again.most);
        again.at = self.now + again.wait;
        self.out.push(Out::Again(again.octets.clone()));
    }

    /// A message of the peer.
    fn came(&mut self, message: Box<Message>) {
        let mut hasher = DefaultHasher::new();
        message.to_bytes().hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(answer) = self.call.came_before(hash) {
            self.out.push(Out::Absorbed);
            self.out.extend(answer.filter(|_| self.call.again.is_none()).map(Out::Again));
            return;
        }
        if self.call.is_done {
            return;
        }
        self.call.note_came(hash);
        self.note_came(&message);
        let expects =
            matches!(self.setup.program.steps.get(self.call.at).map(|step| &step.what), Some(What::Expect(_)));
        // What need not come may come late: it was expected before.
        if let Some(at) = self.expected_before(&message) {
            return self.take_at(at, message, false);
        }
        if let Some(at) = self.expected_any_time(&message) {
            return self.take_at(at, message, false);
        }
        if !expects && self.call.waits && self.call.early.len() < MOST_EARLY && self.is_expected_soon(&message) {
            self.call.early.push_back(message);
            return;
        }
        if self.take(message) {
            self.go();
        }
    }

    /// Whether the step behind a pause may expect it.
    fn is_expected_soon(&self, message: &Message) -> bool {
        self.expected(self.call.at + 1, message).is_some()
    }

    /// What the times are made of.
    fn note_came(&mut self, message: &Message) {
        let (method, code) = (cseq_method(message), message.status());
        match (method.as_deref(), code) {
            (Some("INVITE"), Some(101..=199)) if !self.call.noted_ringing => {
                self.call.noted_ringing = true;
                self.out.push(Out::NoteRinging);
            }
            (Some("BYE"), Some(200..=299)) => {
                self.call.is_ended = true;
                self.out.extend(self.call.bye_at.map(|at| Out::NoteBye(self.now.since(at))));
            }
            (Some(method), Some(200..=299)) => {
                self.call.is_answered |= method == "INVITE";
                if !self.call.noted_answer {
                    self.call.noted_answer = true;
                    self.out.push(Out::NoteAnswer);
                }
            }
            _ => {}
        }
    }

    /// The step that expects a message: the one at `from`, or one behind what need not come.
    fn expected(&self, from: At, message: &Message) -> Option<At> {
        for (at, step) in self.setup.program.steps.iter().enumerate().skip(from) {
            if self.passes_over(step) {
                continue;
            }
            let What::Expect(expect) = &step.what else { return None };
            if self.matches(expect, message) {
                return Some(at);
            }
            if !expect.optional {
                return None;
            }
        }
        None
    }

    fn expected_before(&self, message: &Message) -> Option<At> {
        if self.expected(self.call.at, message).is_some() {
            return None;
        }
        for at in (0..self.call.at).rev() {
            match self.setup.program.steps.get(at).map(|step| &step.what) {
                Some(What::Expect(expect)) if expect.optional && self.matches(expect, message) => {
                    return Some(at);
                }
                Some(What::Expect(expect)) if expect.optional || at + 1 == self.call.at => {}
                _ => return None,
            }
        }
        None
    }

    /// The latest step before this one that expects it at any time.
    fn expected_any_time(&self, message: &Message) -> Option<At> {
        let program = &self.setup.program;
        if !program.any_time || self.expected(self.call.at, message).is_some() {
            return None;
        }
        let before = program.steps.iter().enumerate().take(self.call.at).rev();
        let is_it = |step: &Step| match &step.what {
            What::Expect(expect) => expect.any_time && !self.passes_over(step) && self.matches(expect, message),
            _ => false,
        };
        before.filter(|(_, step)| is_it(step)).map(|(at, _)| at).next()
    }

    fn matches(&self, expect: &Expect, message: &Message) -> bool {
        if expect.transaction.is_some_and(|name| !self.call.is_in_transaction(name, message)) {
            return false;
        }
        match (&expect.what, message.status()) {
            (Pattern::Response(from, to), Some(code)) => {
                let method = cseq_method(message);
                let ours = self.call.sent.iter().any(|sent| Some(sent.as_str()) == method.as_deref());
                (*from..=*to).contains(&code) && ours
            }
            (Pattern::Request(wanted), None) => message.method().is_some_and(|method| method.as_str() == wanted),
            (Pattern::RequestLike(regex), None) => {
                message.method().is_some_and(|method| regex.is_match(method.as_str()))
            }
            _ => false,
        }
    }

    /// Takes a message as what is expected; whether the call may go on at once.
    fn take(&mut self, message: Box<Message>) -> bool {
        match self.expected(self.call.at, &message) {
            Some(at) => {
                self.take_at(at, message, true);
                !self.call.is_over() && !self.call.waits
            }
            None => {
                self.unexpected(&message);
                false
            }
        }
    }

    /// Takes a message as what step `at` expects. `moves`: the call is there from now on.
    fn take_at(&mut self, at: At, message: Box<Message>, moves: bool) {
        let setup = self.setup;
        let Some(What::Expect(expect)) = setup.program.steps.get(at).map(|step| &step.what) else { return };
        if expect.lost > 0.0 && self.rng.chance(expect.lost) {
            return;
        }
        if moves {
            self.call.again = None;
        }
        // A refusal says nothing of the dialog.
        self.call.learn(&message, expect.routes && message.status().is_none_or(|code| code < 300));
        self.acknowledge_refusal(&message);
        if expect.challenge {
            self.call.challenge = Some(message.clone());
        }
        if message.is_request() {
            if self.call.first.is_none() && self.call.sent.is_empty() {
                self.call.first = Some(message.clone());
            }
            self.call.is_ended |= message.method().is_some_and(|method| method.as_str() == "BYE");
            // As with SIPp a request of ours has a higher number than those of the peer.
            if setup.program.strict
                && let Ok(cseq) = message.header(h::CSEQ)
            {
                self.call.cseq = self.call.cseq.max(cseq.number & 0x7fff_ffff);
            }
            // An ACK is answered by nothing.
            if message.method().is_some_and(|method| method.as_str() != "ACK") {
                self.call.request = Some(message.clone());
            }
        }
        self.call.last = Some(message.clone());
        let (before, until) = (self.call.at, self.call.until);
        self.call.at = at;
        if !self.leave(Some(&message)) {
            return;
        }
        // What came late changes nothing but by its own next.
        if !moves && self.call.at == at + 1 {
            (self.call.at, self.call.waits, self.call.until) = (before, true, until);
        } else if !moves {
            self.go();
        }
    }

    /// ACK for the final response to an INVITE that is no 2xx (RFC 3261 §17.1.1.3), where the scenario has none for it.
    fn acknowledge_refusal(&mut self, message: &Message) {
        let refused =
            message.status().is_some_and(|code| code >= 300) && cseq_method(message).as_deref() == Some("INVITE");
        if self.setup.program.strict || !refused {
            return;
        }
        if let Some(invite) = self.call.sent_invite() {
            let ack = invite.make_failure_ack(message).to_bytes();
            self.call.note_sent(&ack);
            self.out.push(Out::Send(ack));
        }
    }

    fn commanded(&mut self, text: &str) {
        let expects =
            matches!(self.setup.program.steps.get(self.call.at).map(|step| &step.what), Some(What::ExpectCommand));
        if !expects {
            let place = self.setup.program.place(self.call.at);
            return self.fail(format!("{place}: a command that is not expected"));
        }
        let message =
            Message::parse(Bytes::copy_from_slice(format!("COMMAND sip:command SIP/2.0\r\n{text}").as_bytes())).ok();
        self.call.last = message.map(Box::new);
        let message = self.call.last.clone();
        if self.leave(message.as_deref()) {
            self.go();
        }
    }
}

impl Call {
    pub(super) fn is_over(&self) -> bool {
        self.at == usize::MAX
    }
}

/// The method that a message belongs to.
pub(super) fn cseq_method(message: &Message) -> Option<String> {
    let (_, value) = message.fields().find(|(id, _)| *id == HeaderId::CSEQ)?;
    std::str::from_utf8(value).ok()?.split_whitespace().nth(1).map(str::to_owned)
}
