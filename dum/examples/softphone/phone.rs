//! What a telephone does when it hears something, and when a key is pressed.

use dum::invite::{ClientInviteSession, EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session};
use dum::pager::{ClientPagerMessage, PagerMessageHandler, ServerPagerMessage};
use dum::refer::{ClientRefer, ReferHandler, ServerRefer};
use dum::registration::{ClientRegistration, ClientRegistrationHandler};
use dum::{Application, Dum, Handle, Outcome};
use stack::contents::sdp::{Direction, Format, Local, Sdp, SdpError, Stream};
use stack::contents::{Contents, Text};
use stack::header::{HeaderValue, NameAddr, h};
use stack::message::{Message, reason_phrase};
use std::error::Error;
use std::net::IpAddr;
use std::sync::mpsc::Sender;

/// A line on standard output. Nothing that a peer has written does anything to the terminal. If nobody reads it any more, the
/// call goes on all the same.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), "{}", format!($($what)*).replace(char::is_control, " "));
    }};
}
pub(crate) use say;

/// Whether something was done, or why not.
type Done = Result<(), Box<dyn Error>>;

/// What the main thread waits for.
pub(crate) enum News {
    /// A call is answered.
    Connected,
    /// There is no call any more.
    Ended,
    /// The registrar has refused us, or there was nothing to begin with.
    Failed,
    /// The user has had enough.
    Quit,
}

/// The telephone: what the program does when it hears something.
pub(crate) struct Phone {
    /// The main thread takes each at once, so the FIFO does not grow.
    pub(crate) news: Sender<News>,
    address: IpAddr,
    registration: Option<Handle<ClientRegistration>>,
    /// The registrar has taken us once.
    registered: bool,
    /// The keys are about the last. There is one, but for forks, and while a call takes the place of another.
    calls: Vec<Handle<InviteSession>>,
    /// We hold the call: what the peer offers meanwhile does not take it back.
    holds: bool,
    /// The call that we transfer, and by what: it ends when that is done.
    transferring: Option<(Handle<ClientRefer>, Handle<InviteSession>)>,
}

// One object hears everything. What it did not implement would be answered as the RFCs want.
impl Application for Phone {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
    fn refers(&mut self) -> Option<&mut dyn ReferHandler> {
        Some(self)
    }
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
    fn pager_messages(&mut self) -> Option<&mut dyn PagerMessageHandler> {
        Some(self)
    }
}

impl InviteSessionHandler for Phone {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, invite: &Message) {
        // One call at a time, unless this one is to take its place (Replaces).
        if !self.calls.is_empty() && call.replaced_call(dum).is_none() {
            let _ = call.reject(dum, 486, |_| {});
            return;
        }
        say!("a call from {}: a answers, r refuses", from(invite));
        self.calls.push(call.session());
        let _ = call.provisional(dum, 180);
    }

    // Behind on_new_session, and again for each change. The first answer waits until the call is accepted.
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp, _: &Message) {
        let holds = self.holds && call.is_connected(dum);
        let direction = if holds { Direction::SendOnly } else { Direction::SendRecv };
        let answer =
            with_audio(self.address, |here, audio| Sdp::answer_to(offer, here, &[Stream { direction, ..audio }]));
        if answer.is_err() || answer.is_ok_and(|answer| call.provide_answer(dum, &answer).is_err()) {
            let _ = call.reject_offer(dum, 488);
        } else if call.is_connected(dum) {
            say_audio(dum, call);
        }
    }

    // Behind on_new_session, where the caller wants our offer, and for changes of that kind.
    fn on_offer_required(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        let offer = call.local_sdp(dum).or_else(|| self.offer().ok());
        if offer.is_none_or(|offer| call.provide_offer(dum, &offer).is_err()) {
            let _ = call.reject_offer(dum, 488);
        }
    }

    fn on_provisional(&mut self, _: &mut Dum<'_>, _: Handle<ClientInviteSession>, response: &Message) {
        say!("{} {}", response.status().unwrap_or_default(), response.reason());
    }

    // To hang up is to end all of them.
    fn on_fork(
        &mut self,
        dum: &mut Dum<'_>,
        _: Handle<ClientInviteSession>,
        fork: Handle<ClientInviteSession>,
        _: &Message,
    ) {
        self.calls.push(fork.session());
        let _ = fork.end_together(dum);
    }

    fn on_connected(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Message) {
        say!("answered");
        let _ = self.news.send(News::Connected);
    }

    // Of the first offer, and of each change of ours.
    fn on_answer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Sdp, _: &Message) {
        self.holds = is_held_here(dum, call);
        say_audio(dum, call);
    }

    fn on_offer_rejected(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, outcome: &Outcome) {
        say!("not changed: {}", reason(outcome));
    }

    fn on_terminated(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, why: EndReason, msg: Option<&Message>) {
        // One that was refused beside another was never here.
        let Some(at) = self.calls.iter().position(|known| *known == call) else { return };
        self.calls.remove(at);
        match msg.and_then(|msg| Some((msg.status()?, msg.reason()))) {
            Some((status, reason)) => say!("ended, {why:?}: {status} {reason}"),
            None => say!("ended, {why:?}"),
        }
        if self.calls.is_empty() {
            let _ = self.news.send(News::Ended);
        }
    }
}

impl ReferHandler for Phone {
    // Who talks to us may send us elsewhere. Others are refused, as a stranger could have us call anybody.
    fn on_refer(
        &mut self,
        dum: &mut Dum<'_>,
        refer: Handle<ServerRefer>,
        call: Option<Handle<InviteSession>>,
        msg: &Message,
    ) {
        let (profile, offer) = (dum.master_profile().user().clone(), self.offer().ok());
        let ours = call.is_some_and(|call| self.calls.contains(&call));
        let followed = ours.then(|| refer.follow(dum, &profile, offer.as_ref()));
        let (Some(Ok(call)), Ok(to)) = (followed, msg.header(h::REFER_TO)) else {
            let _ = refer.reject(dum, 603);
            return;
        };
        say!("transferred to {}", to.uri);
        self.calls.push(call.session());
    }

    fn on_refer_rejected(&mut self, _: &mut Dum<'_>, _: Handle<ClientRefer>, outcome: &Outcome) {
        say!("not transferred: {}", reason(outcome));
    }

    fn on_refer_ended(
        &mut self,
        dum: &mut Dum<'_>,
        refer: Handle<ClientRefer>,
        status: Option<u16>,
        _: Option<&Message>,
    ) {
        let Some(200..300) = status else {
            let status = status.unwrap_or(408);
            return say!("not transferred: {status} {}", reason_phrase(status));
        };
        say!("the transfer is done");
        // Of several the call may be under way by another one.
        if let Some((_, call)) = self.transferring.take_if(|(known, _)| *known == refer) {
            let _ = call.end(dum);
        }
    }
}

impl ClientRegistrationHandler for Phone {
    // Again with each refresh; those happen by themselves.
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, _: &Message) {
        say!("registered");
        self.registered = true;
    }

    fn on_removed(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, _: &Message) {
        say!("not registered any more");
    }

    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, outcome: &Outcome) {
        say!("not registered: {}", reason(outcome));
        // One that was refused later ends no call.
        self.registration = None;
        if !self.registered {
            let _ = self.news.send(News::Failed);
        }
    }
}

impl PagerMessageHandler for Phone {
    fn on_message_arrived(&mut self, dum: &mut Dum<'_>, pager: Handle<ServerPagerMessage>, msg: &Message) {
        say!("{} writes: {}", from(msg), String::from_utf8_lossy(msg.body()));
        let _ = pager.accept(dum, 200);
    }

    fn on_success(&mut self, dum: &mut Dum<'_>, pager: Handle<ClientPagerMessage>, _: &Outcome) {
        say!("the text has arrived");
        let _ = pager.end(dum);
    }

    fn on_failure(&mut self, dum: &mut Dum<'_>, pager: Handle<ClientPagerMessage>, outcome: &Outcome, _: &Contents) {
        say!("the text has not arrived: {}", reason(outcome));
        let _ = pager.end(dum);
    }
}

impl Phone {
    pub(crate) fn new(news: Sender<News>, address: IpAddr) -> Self {
        Phone {
            news,
            address,
            registration: None,
            registered: false,
            calls: Vec::new(),
            holds: false,
            transferring: None,
        }
    }

    fn offer(&self) -> Result<Sdp, SdpError> {
        with_audio(self.address, |here, audio| Sdp::offer(here, &[audio]))
    }

    /// Does what the command line says.
    pub(crate) fn begin(&mut self, dum: &mut Dum<'_>, register: bool, target: Option<&NameAddr<'_>>) -> Done {
        if register {
            let profile = dum.master_profile().user().clone();
            self.registration = Some(dum.register(&profile)?);
        }
        target.map_or(Ok(()), |target| self.call(dum, target))
    }

    fn call(&mut self, dum: &mut Dum<'_>, target: &NameAddr<'_>) -> Done {
        say!("calling {}", target.uri);
        let profile = dum.master_profile().user().clone();
        let invite = dum.make_invite(&profile, target, Some(&self.offer()?));
        self.calls.push(dum.send_invite(&profile, invite)?.session());
        Ok(())
    }

    pub(crate) fn hang_up(&mut self, dum: &mut Dum<'_>) {
        for call in &self.calls {
            let _ = call.end(dum);
        }
    }

    /// Before the program ends.
    pub(crate) fn end(&mut self, dum: &mut Dum<'_>) {
        self.hang_up(dum);
        let _ = self.registration.map(|registration| registration.end(dum));
    }

    /// Does what a line says.
    pub(crate) fn key(&mut self, dum: &mut Dum<'_>, line: &str) -> Done {
        let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (key, self.calls.last().copied()) {
            ("c", None) => self.call(dum, &name_addr(rest)?)?,
            ("m", _) => {
                let (target, text) = rest.split_once(' ').ok_or("m URI TEXT")?;
                let profile = dum.master_profile().user().clone();
                let pager = dum.make_pager(&profile, &name_addr(target)?)?;
                pager.page(dum, Contents::Text(Text::new(text)))?;
            }
            ("c", Some(_)) => return Err("there is a call".into()),
            ("q", _) => self.news.send(News::Quit)?,
            ("a", Some(call)) => call.as_server().accept(dum)?,
            ("r", Some(call)) => call.as_server().reject(dum, 603, |_| {})?,
            ("h", Some(call)) => call.hold(dum)?,
            ("b", Some(call)) => call.resume(dum)?,
            ("t", Some(call)) => {
                self.transferring = Some((call.refer(dum, &name_addr(rest)?, true)?, call));
            }
            // BYE, or CANCEL if there is no answer yet, or 480 if we have not answered.
            ("", Some(call)) => call.end(dum)?,
            ("a" | "r" | "h" | "b" | "t" | "", None) => return Err("there is no call".into()),
            _ => return Err("the keys are c URI, a, r, h, b, t URI, m URI TEXT, q, and Enter alone".into()),
        }
        Ok(())
    }
}

/// This side's description: one audio stream, at the port that throws away (RFC 863), as there are no media here.
fn with_audio<R>(address: IpAddr, what: impl FnOnce(&Local<'_>, Stream<'_>) -> R) -> R {
    let local = Local { username: "-", session_id: 1, version: 1, address, name: "" };
    let formats = ["0", "8"].map(|format| Format { format, rtpmap: None, fmtp: None });
    let direction = Direction::SendRecv;
    what(&local, Stream { kind: "audio", port: 9, proto: "RTP/AVP", formats: &formats, direction })
}

fn is_held_here(dum: &Dum<'_>, call: Handle<InviteSession>) -> bool {
    call.local_sdp(dum).is_some_and(|sdp| sdp.media().all(|media| !media.direction().receives()))
}

/// Who holds the call.
fn say_audio(dum: &Dum<'_>, call: Handle<InviteSession>) {
    say!(
        "{}",
        match (is_held_here(dum, call), call.is_held(dum)) {
            (false, false) => "audio both ways",
            (true, false) => "held",
            (false, true) => "held by the other side",
            (true, true) => "held by both sides",
        }
    );
}

fn from(msg: &Message) -> String {
    // dum has looked at From already: who sends a broken one never comes this far.
    msg.header(h::FROM).map_or_else(|_| String::new(), |from| from.uri.to_string())
}

fn reason(outcome: &Outcome) -> String {
    format!("{} {}", outcome.status, reason_phrase(outcome.status))
}

pub(crate) fn name_addr(text: &str) -> Result<NameAddr<'static>, String> {
    NameAddr::parse(text).map(NameAddr::into_owned).map_err(|error| error.to_string())
}
