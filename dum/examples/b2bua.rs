//! A back-to-back user agent: each incoming call becomes a call to one target. Offers and answers go through as they are,
//! and so does a refusal; when one side ends, the other does. Ctrl-C ends the calls and the program.
//!
//! ```text
//! cargo run -p dum --example b2bua -- sip:bob@127.0.0.1:5070 --listen 127.0.0.1:5080
//! ```
//!
//! ```text
//!   caller ── INVITE, offer ──► ServerInviteSession │ ClientInviteSession ── INVITE, offer ──► target
//!          ◄── 180 ─────────── provisional          │         on_provisional ◄── 180 ─────────
//!          ◄── 200, answer ─── provide_answer,      │              on_answer ◄── 200, answer ─
//!                              accept               │
//! ```
#![forbid(unsafe_code)]

use clap::Parser;
use dum::invite::{
    ClientInviteSession, EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session, SessionError,
};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle, Outcome};
use rutil::Rng;
use stack::contents::sdp::Sdp;
use stack::header::{HeaderValue, NameAddr, h};
use stack::message::Message;
use stack::{Stack, TransportSpec};
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Each incoming call becomes a call to one target.
#[derive(Debug, Parser)]
struct Args {
    /// Whom to call: sip:bob@example.com.
    #[arg(value_parser = name_addr)]
    target: NameAddr<'static>,
    /// The proxy that calls to the target go to first: <sip:proxy.example.com;lr>.
    #[arg(long, value_parser = name_addr)]
    proxy: Option<NameAddr<'static>>,
    /// Where to listen, over UDP.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn name_addr(text: &str) -> Result<NameAddr<'static>, String> {
    NameAddr::parse(text).map(NameAddr::into_owned).map_err(|error| error.to_string())
}

type Call = Handle<InviteSession>;

/// Which call belongs to which. Limited by dum's own limit of calls, as each entry is one.
struct B2bua {
    target: NameAddr<'static>,
    proxy: Option<Arc<NameAddr<'static>>>,
    /// The calls to the target that an incoming call has become: several only while a fork is still being chosen.
    callees: HashMap<Call, Vec<Call>>,
    /// The incoming call of each of them.
    callers: HashMap<Call, Call>,
    /// The caller's From until the offer is known.
    froms: HashMap<Call, NameAddr<'static>>,
    /// What a caller has to hear as a change, once its call stands: another fork than the one that was taken has answered its
    /// offer first, with early media, and an offer has one answer (RFC 3261 §13.2.1).
    changes: HashMap<Call, Sdp>,
    /// The callers who have been told so.
    changed: HashSet<Call>,
}

impl B2bua {
    /// The other side of a call: of an incoming one the target's, the fork that rang first if there are several.
    fn other(&self, call: Call) -> Option<Call> {
        let callee = || self.callees.get(&call)?.first();
        self.callers.get(&call).or_else(callee).copied()
    }

    /// An incoming call becomes one to the target, with its offer or without one.
    fn call_target(&mut self, dum: &mut Dum<'_>, caller: Call, offer: Option<&Sdp>) {
        let mut profile = dum.master_profile().user_profile();
        profile.set_outbound_proxy(self.proxy.clone());
        if let Some(from) = self.froms.remove(&caller) {
            profile.set_from(Arc::new(from));
        }
        let profile = Arc::new(profile);
        let invite = dum.make_invite(&profile, &self.target, offer);
        match dum.send_invite(&profile, invite) {
            Ok(callee) => {
                say(format_args!("{caller:?}: calling {} as {:?}", self.target.uri, callee.session()));
                self.pair(caller, callee.session());
            }
            Err(_) => drop(caller.as_server().reject(dum, 503, |_| {})),
        }
    }

    fn pair(&mut self, caller: Call, callee: Call) {
        self.callers.insert(callee, caller);
        self.callees.entry(caller).or_default().push(callee);
    }

    /// A call to the target is over: so is the incoming one, if it was the last.
    fn callee_ended(&mut self, dum: &mut Dum<'_>, caller: Call, callee: Call, status: u16) {
        let Some(callees) = self.callees.get_mut(&caller) else { return };
        callees.retain(|other| *other != callee);
        if callees.is_empty() && caller.as_server().reject(dum, status, |_| {}).is_err() {
            // It is answered already.
            let _ = caller.end(dum);
        }
    }
}

/// What a caller is told whose call to the target has ended so, before it was answered.
fn refusal(why: EndReason, msg: Option<&Message>) -> u16 {
    let status = msg.and_then(Message::status).filter(|status| *status >= 400);
    match why {
        EndReason::Timeout => 408,
        EndReason::Transport => 503,
        _ => status.unwrap_or(480),
    }
}

/// A description that cannot be passed on is refused: 491 asks to try again when the other exchange is over.
fn passed(dum: &mut Dum<'_>, from: Call, result: Result<(), SessionError>) {
    if let Err(error) = result {
        let status = if error == SessionError::NotNow { 491 } else { 488 };
        let _ = from.reject_offer(dum, status);
    }
}

impl Application for B2bua {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

impl InviteSessionHandler for B2bua {
    fn on_new_session(&mut self, _: &mut Dum<'_>, call: Handle<ServerInviteSession>, invite: &Message) {
        let caller = call.session();
        self.callees.insert(caller, Vec::new());
        // The new call has a From tag of its own.
        if let Ok(from) = invite.header(h::FROM) {
            say(format_args!("{caller:?}: a call from {}", from.uri));
            self.froms.insert(caller, NameAddr { display: from.display, ..NameAddr::new(from.uri) }.into_owned());
        }
    }

    // The first one of an incoming call begins the other call; it comes right behind on_new_session.
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Call, offer: &Sdp, _: &Message) {
        let Some(other) = self.other(call) else { return self.call_target(dum, call, Some(offer)) };
        let result = other.provide_offer(dum, offer);
        // The 200 of the target brought the offer that the caller has asked for.
        let _ = other.as_server().accept(dum);
        passed(dum, call, result);
    }

    fn on_offer_required(&mut self, dum: &mut Dum<'_>, call: Call, _: &Message) {
        let Some(other) = self.other(call) else { return self.call_target(dum, call, None) };
        let result = other.request_offer(dum);
        passed(dum, call, result);
    }

    fn on_answer(&mut self, dum: &mut Dum<'_>, call: Call, answer: &Sdp, _: &Message) {
        let Some(other) = self.other(call) else { return };
        // The side that was taken knows of no change.
        if self.changed.remove(&call) {
            return;
        }
        if other.provide_answer(dum, answer).is_err() {
            if other.as_server().accept(dum).is_ok() {
                self.changes.insert(other, answer.clone());
                return;
            }
            // The sides no longer agree on anything.
            say(format_args!("{other:?}: takes no answer"));
            let _ = other.end(dum);
            return;
        }
        // Of a call that is taken, or is not to be, there is nothing to accept.
        let _ = other.as_server().accept(dum);
    }

    fn on_confirmed(&mut self, dum: &mut Dum<'_>, call: Call, _: &Message) {
        let Some(change) = self.changes.remove(&call) else { return };
        if call.provide_offer(dum, &change).is_ok() {
            self.changed.insert(call);
        }
    }

    fn on_offer_rejected(&mut self, dum: &mut Dum<'_>, call: Call, outcome: &Outcome) {
        if self.changed.remove(&call) {
            // Nobody would hear the other.
            let _ = call.end(dum);
            return;
        }
        let _ = self.other(call).map(|other| other.reject_offer(dum, outcome.status));
    }

    // Who asked no longer wants it; a 200 that is on its way counts all the same.
    fn on_offer_withdrawn(&mut self, dum: &mut Dum<'_>, call: Call, _: Option<&Message>) {
        let _ = self.other(call).map(|other| other.withdraw_offer(dum));
    }

    fn on_provisional(&mut self, dum: &mut Dum<'_>, call: Handle<ClientInviteSession>, response: &Message) {
        // With a description it is passed on by on_early_media.
        if let (Some(status), Some(caller), true) =
            (response.status(), self.other(call.session()), response.body().is_empty())
        {
            let _ = caller.as_server().provisional(dum, status);
        }
    }

    fn on_early_media(&mut self, dum: &mut Dum<'_>, call: Handle<ClientInviteSession>, sdp: &Sdp, _: &Message) {
        let Some(caller) = self.other(call.session()) else { return };
        if caller.provide_answer(dum, sdp).is_ok() {
            let _ = caller.as_server().early_media(dum, 183);
        }
    }

    fn on_fork(
        &mut self,
        _: &mut Dum<'_>,
        original: Handle<ClientInviteSession>,
        fork: Handle<ClientInviteSession>,
        _: &Message,
    ) {
        if let Some(caller) = self.other(original.session()) {
            self.pair(caller, fork.session());
        }
    }

    fn on_connected(&mut self, _: &mut Dum<'_>, call: Call, _: &Message) {
        // This fork has the call. The others end by themselves, and their ends are not the caller's.
        if let Some(callees) = self.callers.get(&call).and_then(|caller| self.callees.get_mut(caller)) {
            *callees = vec![call];
        }
    }

    fn on_terminated(&mut self, dum: &mut Dum<'_>, call: Call, why: EndReason, msg: Option<&Message>) {
        say(format_args!("{call:?}: ended, {why:?}"));
        if let Some(caller) = self.callers.remove(&call) {
            self.callee_ended(dum, caller, call, refusal(why, msg));
        }
        self.froms.remove(&call);
        self.changes.remove(&call);
        self.changed.remove(&call);
        for callee in self.callees.remove(&call).into_iter().flatten() {
            let _ = callee.end(dum);
        }
    }
}

/// If nobody reads it any more, calls go on all the same.
fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{what}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let (mut builder, mut rng) = (Stack::builder(), Rng::from_os()?);
    builder.add_transport(TransportSpec::udp(args.listen));
    let (target, proxy) = (args.target, args.proxy.map(Arc::new));
    let user = builder.register_tu(DialogUsageManager::<B2bua>::tu_options(), move |_| {
        let (callees, callers, froms, changes, changed) = Default::default();
        let (target, proxy) = (target.clone(), proxy.clone());
        let b2bua = B2bua { target, proxy, callees, callers, froms, changes, changed };
        DialogUsageManager::new(b2bua, DumOptions::default(), &mut rng)
    });
    let stack = builder.start()?;
    for transport in stack.transports().iter() {
        say(format_args!("listening on udp {}", transport.bound));
    }
    // SIP runs on the stack's own threads; this one only waits.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(tokio::signal::ctrl_c())?;
    DumHandle::<B2bua>::new(stack.poster(user)).command(|b2bua, dum| {
        for call in b2bua.callees.keys() {
            let _ = call.end(dum);
        }
    })?;
    // As long as it takes the peers to answer the BYEs.
    stack.shutdown(Duration::from_secs(5));
    Ok(())
}
