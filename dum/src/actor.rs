//! A user agent as an actix actor: its handlers run on the arbiter that the actor is started on, so they may ask other actors
//! and futures of the program, and go on with what those say.
//!
//! Messages reach it by the same bounded FIFO as on the stack's own thread, and while it is behind the stack answers new
//! requests with 503. Commands come by a [`DumHandle`], from any thread. A message crosses a thread on its way in and one on
//! its way out: that is the price.
//!
//! [`Stack::shutdown`] and the drop of a [`Stack`] block. On the actor's own arbiter the first waits in vain for the actor,
//! which cannot run meanwhile; let another thread do it: `tokio::task::spawn_blocking(move || stack.shutdown(limit))`.
//!
//! A callee whose directory is another actor, and is asked while the call rings:
//! ```
//! use actix::{Actor, Addr, Context, Handler, System};
//! use dum::invite::{InviteSession, InviteSessionHandler, ServerInviteSession, Session};
//! use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle};
//! use rutil::Rng;
//! use stack::contents::sdp::Sdp;
//! use stack::header::h;
//! use stack::message::Message;
//! use stack::{Stack, TransportSpec};
//!
//! #[derive(actix::Message)]
//! #[rtype(result = "bool")]
//! struct Knows(String);
//!
//! struct Directory;
//! impl Actor for Directory {
//!     type Context = Context<Self>;
//! }
//! impl Handler<Knows> for Directory {
//!     type Result = bool;
//!     fn handle(&mut self, Knows(caller): Knows, _: &mut Context<Self>) -> bool {
//!         caller == "sip:alice@example.com"
//!     }
//! }
//!
//! struct Callee {
//!     directory: Addr<Directory>,
//!     own: Option<DumHandle<Callee>>,
//! }
//!
//! impl Application for Callee {
//!     fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
//!         Some(self)
//!     }
//! }
//!
//! impl InviteSessionHandler for Callee {
//!     fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, invite: &Message) {
//!         let (Ok(from), Some(own)) = (invite.header(h::FROM), self.own.clone()) else { return };
//!         let _ = call.provisional(dum, 180);
//!         let known = self.directory.send(Knows(from.uri.to_string()));
//!         actix::spawn(async move {
//!             let status = if known.await == Ok(true) { 486 } else { 403 };
//!             let _ = own.command(move |_, dum| drop(call.reject(dum, status, |_| {})));
//!         });
//!     }
//!     // What it is offered, or asked for, can wait for the directory.
//!     fn on_offer(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Sdp, _: &Message) {}
//!     fn on_offer_required(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, _: &Message) {}
//! }
//!
//! # let caller = std::net::UdpSocket::bind("127.0.0.1:0")?;
//! # let own = caller.local_addr()?;
//! let system = System::new();
//! let statuses: Vec<String> = system.block_on(async {
//!     let (mut builder, mut rng) = (Stack::builder(), Rng::from_os()?);
//!     builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
//!     let directory = Directory.start();
//!     let seat = dum::actor::register(&mut builder, move || {
//!         let callee = Callee { directory: directory.clone(), own: None };
//!         DialogUsageManager::new(callee, DumOptions::default(), &mut rng)
//!     });
//!     let stack = builder.start()?;
//!     let (actor, callee) = seat.take(&stack)?;
//!     let _address = actor.start();
//!     let handle = callee.clone();
//!     callee.ask(move |callee, _| callee.own = Some(handle)).await?;
//! #   // A caller, on a thread of its own.
//! #   let to = stack.transports().iter().next().expect("one transport").bound;
//! #   let heard = std::thread::Builder::new().spawn(move || {
//! #       caller.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a socket");
//! #       let calls = ["alice", "mallory"].into_iter().map(|user| {
//! #           let invite = format!("INVITE sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{user}\r\n\
//! #               Max-Forwards: 70\r\nFrom: <sip:{user}@example.com>;tag=1\r\nTo: <sip:{to}>\r\nCall-ID: {user}\r\n\
//! #               CSeq: 1 INVITE\r\nContact: <sip:me@{own}>\r\nContent-Length: 0\r\n\r\n");
//! #           caller.send_to(invite.as_bytes(), to).expect("a socket");
//! #           let mut buffer = [0; 4096];
//! #           loop {
//! #               let len = caller.recv(&mut buffer).expect("an answer in time");
//! #               let msg = Message::parse(&buffer[..len]).expect("a response");
//! #               let final_one = msg.status().is_some_and(|status| status >= 200);
//! #               if final_one && msg.header(h::CALL_ID).is_ok_and(|id| id.as_str() == user) {
//! #                   return format!("{user} {}", msg.status().expect("it is a response"));
//! #               }
//! #           }
//! #       });
//! #       calls.collect()
//! #   })?;
//! #   let (done, wait) = tokio::sync::oneshot::channel();
//! #   std::thread::Builder::new().spawn(move || done.send(heard.join().expect("it does not panic")))?;
//! #   let statuses = wait.await?;
//!     // …
//!     Ok::<_, Box<dyn std::error::Error>>(statuses)
//! })?;
//! assert_eq!(statuses, ["alice 486", "mallory 403"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::application::Application;
use crate::command::DumHandle;
use crate::manager::DialogUsageManager;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, SpawnHandle, WrapFuture};
use stack::tu::{Rest, TuApart};
use stack::{Stack, StackBuilder, TuId};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Drives a user agent. Start it where its handlers are to run, with [`Actor::start`] or
/// [`Actor::start_in_arbiter`]. It stops with its stack; when its arbiter ends before, what comes for the user agent is
/// answered 503.
#[derive(Debug)]
pub struct DumActor {
    apart: TuApart,
    woken: Arc<Notify>,
    timer: Option<SpawnHandle>,
}

/// The place of a user agent that was registered, until its stack has started.
#[derive(Debug)]
pub struct Seat<A> {
    user: TuId,
    woken: Arc<Notify>,
    application: PhantomData<fn(A)>,
}

/// A user agent has its seat in the stack that was started from the builder that it was registered with, and in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this user agent was registered with the builder of another stack: take its seat there")]
pub struct OtherStack;

/// Registers a user agent that an actor is to drive, in the place of [`StackBuilder::register_tu`]. `make` is called once,
/// when the stack starts.
pub fn register<A: Application>(
    builder: &mut StackBuilder,
    mut make: impl FnMut() -> DialogUsageManager<A> + 'static,
) -> Seat<A> {
    let woken = Arc::new(Notify::new());
    let bell = woken.clone();
    let options = DialogUsageManager::<A>::tu_options();
    let user = builder.register_tu_apart(options, move || bell.notify_one(), move |_| make());
    Seat { user, woken, application: PhantomData }
}

impl<A: Application> Seat<A> {
    /// The actor, which is still to be started, and the way to the user agent.
    ///
    /// # Errors
    /// [`OtherStack`]: it has no seat in this stack.
    pub fn take(self, stack: &Stack) -> Result<(DumActor, DumHandle<A>), OtherStack> {
        let apart = stack.take_apart(self.user).ok_or(OtherStack)?;
        Ok((DumActor { apart, woken: self.woken, timer: None }, DumHandle::new(stack.poster(self.user))))
    }
}

impl DumActor {
    /// Does a part of what there is to do, and sees to it that this goes on.
    fn work(&mut self, context: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            context.cancel_future(timer);
        }
        match self.apart.work() {
            // Others of the arbiter have their turn first; the shortest timer would be a whole millisecond.
            Rest::Again => self.timer = Some(context.spawn(tokio::task::yield_now().into_actor(self).map(Self::go_on))),
            Rest::Until(Some(after)) => self.after(after, context),
            Rest::Until(None) => {}
            Rest::Over => context.stop(),
        }
    }

    fn after(&mut self, after: Duration, context: &mut Context<Self>) {
        self.timer = Some(context.run_later(after, |this, context| Self::go_on((), this, context)));
    }

    fn go_on((): (), this: &mut Self, context: &mut Context<Self>) {
        this.timer = None;
        this.work(context);
    }

    /// Waits for the bell.
    fn listen(&mut self, context: &mut Context<Self>) {
        let woken = self.woken.clone();
        let rung = async move { woken.notified().await };
        context.spawn(rung.into_actor(self).map(|(), this, context| {
            this.work(context);
            this.listen(context);
        }));
    }
}

impl Actor for DumActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.work(context);
        self.listen(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Congested, DumOptions};
    use rutil::Rng;
    use stack::TransportSpec;
    use std::net::UdpSocket;
    use std::task::{Poll, Waker};

    struct App;
    impl Application for App {}

    #[test]
    fn what_is_asked_of_an_actor_that_goes_is_answered() {
        let (mut builder, mut rng) = (Stack::builder(), Rng::from_seed(1));
        builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().unwrap()));
        let seat = register(&mut builder, move || DialogUsageManager::new(App, DumOptions::default(), &mut rng));
        let stack = builder.start().unwrap();
        let (actor, handle) = seat.take(&stack).unwrap();
        let mut answer = std::pin::pin!(handle.ask(|_, _| 1));
        let mut context = std::task::Context::from_waker(Waker::noop());
        assert_eq!(answer.as_mut().poll(&mut context), Poll::Pending, "it is not driven");
        drop(actor);
        assert_eq!(answer.as_mut().poll(&mut context), Poll::Ready(Err(Congested)));
        assert_eq!(handle.command(|_, _| {}), Err(Congested));
        // So is who is outside, more than once.
        let (to, peer) = (stack.transports().iter().next().unwrap().bound, UdpSocket::bind("127.0.0.1:0").unwrap());
        peer.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let own = peer.local_addr().unwrap();
        for branch in ["one", "two"] {
            let options = format!(
                "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
                 From: <sip:{own}>;tag=1\r\nTo: <sip:{to}>\r\nCall-ID: {branch}\r\nCSeq: 1 OPTIONS\r\n\r\n"
            );
            peer.send_to(options.as_bytes(), to).unwrap();
            let mut buffer = [0; 2048];
            let len = peer.recv(&mut buffer).unwrap();
            assert!(buffer[..len].starts_with(b"SIP/2.0 503 "), "{}", buffer[..len].escape_ascii());
        }
    }
    #[test]
    fn a_seat_is_in_one_stack() {
        let stacks = [1, 2].map(|seed| {
            let (mut builder, mut rng) = (Stack::builder(), Rng::from_seed(seed));
            let seat = register(&mut builder, move || DialogUsageManager::new(App, DumOptions::default(), &mut rng));
            (builder.start().unwrap(), seat)
        });
        let [(first, of_first), (second, of_second)] = stacks;
        // Both are the first transaction user of their stacks.
        assert_eq!(of_first.take(&second).err(), Some(OtherStack));
        assert!(OtherStack.to_string().contains("another stack"));
        assert!(of_second.take(&first).is_err_and(|error| error == OtherStack));
    }

    #[test]
    fn a_name_of_another_stack_names_nobody() {
        let (mut builder, mut rng) = (Stack::builder(), Rng::from_seed(1));
        let user = builder.register_tu(DialogUsageManager::<App>::tu_options(), move |_| {
            DialogUsageManager::new(App, DumOptions::default(), &mut rng)
        });
        let (own, other) = (builder.start().unwrap(), Stack::builder().start().unwrap());
        assert_eq!(DumHandle::<App>::new(own.poster(user)).command(|_, _| {}), Ok(()));
        assert_eq!(DumHandle::<App>::new(other.poster(user)).command(|_, _| {}), Err(Congested));
    }
}
