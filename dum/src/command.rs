//! Commands from other threads: reSIProcate's `DumCommand`.

use crate::dum::Dum;
use stack::tu::TuPoster;
use std::fmt;
use std::marker::PhantomData;
use tokio::sync::oneshot;

type What<A> = dyn FnOnce(&mut A, &mut Dum<'_>) + Send;

/// What is to be done with an application and its user agent.
pub(crate) struct Command<A>(Box<What<A>>);

impl<A> Command<A> {
    pub(crate) fn new(what: impl FnOnce(&mut A, &mut Dum<'_>) + Send + 'static) -> Self {
        Command(Box::new(what))
    }

    pub(crate) fn run(self, app: &mut A, dum: &mut Dum<'_>) {
        (self.0)(app, dum);
    }
}

/// A command was not taken: the user agent is behind, or its stack has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user agent takes no command now")]
pub struct Congested;

/// The way to a running user agent, from any thread. Clones are cheap.
pub struct DumHandle<A> {
    poster: TuPoster,
    application: PhantomData<fn(A)>,
}

impl<A> Clone for DumHandle<A> {
    fn clone(&self) -> Self {
        DumHandle { poster: self.poster.clone(), application: PhantomData }
    }
}

impl<A> fmt::Debug for DumHandle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DumHandle")
    }
}

impl<A: 'static> DumHandle<A> {
    /// The way to the [`crate::DialogUsageManager`] of an application `A` that was registered with a stack
    /// ([`stack::Stack::poster`]).
    pub fn new(poster: TuPoster) -> Self {
        DumHandle { poster, application: PhantomData }
    }

    /// Has something done by the user agent's runner, after what came before. It does not wait for that.
    ///
    /// # Errors
    /// [`Congested`]: it will not be done.
    pub fn command(&self, what: impl FnOnce(&mut A, &mut Dum<'_>) + Send + 'static) -> Result<(), Congested> {
        self.poster.post(0, Box::new(Command::new(what))).map_err(|_| Congested)
    }

    /// The same, and what came of it. It may be awaited on any executor, or blocked on by a thread that is not the user agent's.
    ///
    /// # Errors
    /// [`Congested`]: it was not done, or the stack has stopped before it was.
    pub async fn ask<R: Send + 'static>(
        &self,
        what: impl FnOnce(&mut A, &mut Dum<'_>) -> R + Send + 'static,
    ) -> Result<R, Congested> {
        let (answer, answered) = oneshot::channel();
        self.command(move |app, dum| {
            // Who does not wait for it any more does not want it.
            let _ = answer.send(what(app, dum));
        })?;
        answered.await.map_err(|_| Congested)
    }
}

/// A command as an item to be posted, for a stack in virtual time.
#[doc(hidden)]
pub fn posted<A: 'static>(what: impl FnOnce(&mut A, &mut Dum<'_>) + Send + 'static) -> Box<dyn std::any::Any + Send> {
    Box::new(Command::new(what))
}
