//! Calls a URI, without media, says on standard output how that goes, and hangs up: on Enter, or some seconds after the
//! answer. Exit code 1 if there was no call.
//!
//! ```text
//! cargo run -p dum --example softphone -- sip:bob@127.0.0.1:5070 --proxy '<sip:127.0.0.1:5060;lr>' --seconds 5
//! ```
#![forbid(unsafe_code)]

use clap::Parser;
use dum::invite::{ClientInviteSession, EndReason, InviteSession, InviteSessionHandler, Session};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle};
use rutil::Rng;
use stack::contents::sdp::{Direction, Format, Local, Sdp, Stream};
use stack::header::{HeaderValue, NameAddr};
use stack::message::Message;
use stack::{Stack, TransportSpec};
use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Calls a URI, without media.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Whom to call: sip:bob@example.com.
    #[arg(value_parser = name_addr)]
    target: NameAddr<'static>,
    /// Who calls.
    #[arg(long, value_parser = name_addr, default_value = "sip:alice@localhost")]
    from: NameAddr<'static>,
    /// The proxy that the call goes to first: <sip:proxy.example.com;lr>.
    #[arg(long, value_parser = name_addr)]
    proxy: Option<NameAddr<'static>>,
    /// Hang up so long after the answer; without it, on Enter alone.
    #[arg(long)]
    seconds: Option<u64>,
    /// Where to listen, over UDP.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn name_addr(text: &str) -> Result<NameAddr<'static>, String> {
    NameAddr::parse(text).map(NameAddr::into_owned).map_err(|error| error.to_string())
}

/// What the main thread waits for.
enum News {
    Connected,
    Ended,
    Enter,
}

struct Phone {
    /// A call has each of them once, so the FIFO does not grow.
    news: Sender<News>,
    /// The call, to hang up.
    call: Option<Handle<InviteSession>>,
}

impl Application for Phone {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

// Who calls us is refused with 480, and whoever offers a change with 488: the defaults.
impl InviteSessionHandler for Phone {
    fn on_provisional(&mut self, _: &mut Dum<'_>, _: Handle<ClientInviteSession>, response: &Message) {
        say(format_args!("{} {}", response.status().unwrap_or_default(), response.reason()));
    }

    fn on_connected(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        say(format_args!("answered"));
        // If the call was forked, this is the fork that goes on.
        self.call = Some(call);
        let _ = self.news.send(News::Connected);
    }

    fn on_terminated(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, why: EndReason, msg: Option<&Message>) {
        if self.call != Some(call) {
            return;
        }
        match msg.and_then(|msg| Some((msg.status()?, msg.reason()))) {
            Some((status, reason)) => say(format_args!("ended, {why:?}: {status} {reason}")),
            None => say(format_args!("ended, {why:?}")),
        }
        let _ = self.news.send(News::Ended);
    }
}

/// Sends the INVITE.
fn call(phone: &mut Phone, dum: &mut Dum<'_>, args: Args) -> Result<(), Box<dyn Error>> {
    let mut profile = dum.master_profile().user_profile();
    profile.set_from(Arc::new(args.from)).set_outbound_proxy(args.proxy.map(Arc::new));
    let profile = Arc::new(profile);
    let invite = dum.make_invite(&profile, &args.target, Some(&offer(args.listen.ip())?));
    phone.call = Some(dum.send_invite(&profile, invite)?.session());
    Ok(())
}

/// One audio stream that nobody sends on, as there are no media here.
fn offer(address: IpAddr) -> Result<Sdp, Box<dyn Error>> {
    let local = Local { username: "-", session_id: 1, version: 1, address, name: "" };
    let formats = ["0", "8"].map(|format| Format { format, rtpmap: None, fmtp: None });
    let direction = Direction::Inactive;
    Ok(Sdp::offer(&local, &[Stream { kind: "audio", port: 9, proto: "RTP/AVP", formats: &formats, direction }])?)
}

/// If nobody reads it any more, the call goes on all the same.
fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{what}");
}

/// Waits for the end of the call, and brings it about when it is time. True if there was a call.
fn follow(news: &Receiver<News>, phone: &DumHandle<Phone>, talk: Option<Duration>) -> Result<bool, Box<dyn Error>> {
    let mut connected = false;
    let mut left = None;
    loop {
        // News are few: the time that is left begins with the answer, and what comes behind it is the end.
        let next = match left.take() {
            Some(time) => news.recv_timeout(time),
            None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(News::Connected) => {
                connected = true;
                left = talk;
            }
            Ok(News::Ended) => return Ok(connected),
            // BYE, or CANCEL if there is no answer yet.
            Ok(News::Enter) | Err(RecvTimeoutError::Timeout) => phone.command(|phone, dum| {
                let _ = phone.call.map(|call| call.end(dum));
            })?,
            Err(RecvTimeoutError::Disconnected) => return Err("the stack has stopped".into()),
        }
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    let (news, receiver) = channel();
    let (mut builder, mut rng) = (Stack::builder(), Rng::from_os()?);
    builder.add_transport(TransportSpec::udp(args.listen));
    let told = news.clone();
    let user = builder.register_tu(DialogUsageManager::<Phone>::tu_options(), move |_| {
        let phone = Phone { news: told.clone(), call: None };
        DialogUsageManager::new(phone, DumOptions::default(), &mut rng)
    });
    let stack = builder.start()?;
    let phone = DumHandle::<Phone>::new(stack.poster(user));
    let talk = args.seconds.map(Duration::from_secs);
    say(format_args!("calling {}", args.target.uri));
    let enter = news.clone();
    phone.command(move |phone, dum| {
        if let Err(error) = call(phone, dum, args) {
            say(format_args!("{error}"));
            let _ = news.send(News::Ended);
        }
    })?;
    // It ends with the program, so that nobody need press Enter for that.
    thread::Builder::new().name("enter".into()).spawn(move || {
        if io::stdin().read_line(&mut String::new()).is_ok_and(|octets| octets > 0) {
            let _ = enter.send(News::Enter);
        }
    })?;
    let connected = follow(&receiver, &phone, talk)?;
    stack.shutdown(Duration::from_secs(5));
    Ok(if connected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
