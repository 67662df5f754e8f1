//! Answers every call, without media, and says on standard output what happens. Ctrl-C ends the calls and the program.
//!
//! ```text
//! cargo run -p dum --example auto_answer -- --listen 127.0.0.1:5070
//! ```
#![forbid(unsafe_code)]

use clap::Parser;
use dum::invite::{EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle};
use rutil::Rng;
use stack::contents::sdp::{Direction, Format, Local, Sdp, Stream};
use stack::header::h;
use stack::message::Message;
use stack::{Stack, TransportSpec};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Answers every call, without media.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen, over UDP.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

struct Answerer {
    address: IpAddr,
    /// To end them with the program. Limited by dum's own limit of calls.
    calls: HashSet<Handle<InviteSession>>,
}

impl Application for Answerer {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

impl InviteSessionHandler for Answerer {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, invite: &Message) {
        // dum has looked at From already: who sends a broken one never comes this far.
        if let Ok(from) = invite.header(h::FROM) {
            say(format_args!("{:?}: a call from {}", call.session(), from.uri));
        }
        self.calls.insert(call.session());
        let _ = call.provisional(dum, 180);
    }

    // Behind on_new_session, if the INVITE brought an offer; and again for each re-INVITE.
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp, _: &Message) {
        let answered = with_audio(self.address, |here, audio| {
            let answer = Sdp::answer_to(offer, here, &[audio]).map_err(|error| error.to_string())?;
            call.provide_answer(dum, &answer).map_err(|error| error.to_string())
        });
        self.take(dum, call, answered);
    }

    // Behind on_new_session, if the INVITE brought none: then the 200 brings ours, and the ACK the answer.
    fn on_offer_required(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        let offered = with_audio(self.address, |here, audio| {
            let offer = Sdp::offer(here, &[audio]).map_err(|error| error.to_string())?;
            call.provide_offer(dum, &offer).map_err(|error| error.to_string())
        });
        self.take(dum, call, offered);
    }

    fn on_confirmed(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, _: &Message) {
        say(format_args!("{call:?}: answered"));
    }

    fn on_terminated(&mut self, _: &mut Dum<'_>, call: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.calls.remove(&call);
        say(format_args!("{call:?}: ended, {why:?}"));
    }
}

impl Answerer {
    /// Takes the call if there is a description for its 200.
    fn take(&self, dum: &mut Dum<'_>, call: Handle<InviteSession>, described: Result<(), String>) {
        if let Err(error) = described {
            say(format_args!("{call:?}: {error}"));
            let _ = call.reject_offer(dum, 488);
            return;
        }
        // In a re-INVITE the description was all, and there is nothing to be taken.
        let _ = call.as_server().accept(dum);
    }
}

/// This side's description: one audio stream, at the port that throws away (RFC 863), as there are no media here.
fn with_audio<R>(address: IpAddr, what: impl FnOnce(&Local<'_>, Stream<'_>) -> R) -> R {
    let local = Local { username: "-", session_id: 1, version: 1, address, name: "" };
    let formats = ["0", "8"].map(|format| Format { format, rtpmap: None, fmtp: None });
    let direction = Direction::SendRecv;
    what(&local, Stream { kind: "audio", port: 9, proto: "RTP/AVP", formats: &formats, direction })
}

/// If nobody reads it any more, calls are answered all the same.
fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{what}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let (mut builder, mut rng) = (Stack::builder(), Rng::from_os()?);
    builder.add_transport(TransportSpec::udp(args.listen));
    let user = builder.register_tu(DialogUsageManager::<Answerer>::tu_options(), move |_| {
        let answerer = Answerer { address: args.listen.ip(), calls: HashSet::new() };
        DialogUsageManager::new(answerer, DumOptions::default(), &mut rng)
    });
    let stack = builder.start()?;
    for transport in stack.transports().iter() {
        say(format_args!("listening on udp {}", transport.bound));
    }
    // SIP runs on the stack's own threads; this one only waits.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(tokio::signal::ctrl_c())?;
    DumHandle::<Answerer>::new(stack.poster(user)).command(|answerer, dum| {
        for call in &answerer.calls {
            let _ = call.end(dum);
        }
    })?;
    // As long as it takes the peers to answer the BYEs.
    stack.shutdown(Duration::from_secs(5));
    Ok(())
}
