//! reSIProcate's `DumFeature`: what is done with messages between the stack and the usages.
//!
//! ```text
//!   stack ──► feature 1 ──► feature 2 ──► … ──► passwords ──► usages      incoming
//!   stack ◄── feature 1 ◄── feature 2 ◄── … ◄──────────────── usages      outgoing
//! ```
//!
//! A [`DumFeature`] sees messages in both directions, in the order in which features were added
//! ([`crate::DialogUsageManager::add_feature`], [`Dum::add_feature`]): incoming ones the first feature first, outgoing ones
//! the last one first. It lets them pass, changed or not, and of requests more: it may refuse them, keep them, or wait for an
//! answer from elsewhere and go on then, while others pass by.
//!
//! Each message that leaves passes once, those too that are sent again for a challenge, and responses that the user agent
//! repeats: what a feature adds is not there twice. What the stack does by itself (retransmissions, 100, CANCEL, ACKs of
//! failures) is not seen. A feature leaves alone what messages are known by (Via, Call-ID, tags, CSeq), and, with `auth-int`,
//! the body: credentials are written before.
//!
//! One feature refuses callers of a list, another says in each request who runs the user agent:
//! ```
//! use dum::feature::{DumFeature, FeatureContext, Verdict};
//! # use dum::out_of_dialog::{ClientOutOfDialogRequest, OutOfDialogHandler};
//! # use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle, Outcome, UserProfile};
//! # use rutil::Rng;
//! # use stack::header::{HeaderValue, Method, NameAddr};
//! use stack::header::h;
//! use stack::message::Message;
//! # use stack::{Stack, TransportSpec};
//! # use std::sync::Arc;
//! # use std::sync::mpsc::{Sender, channel};
//!
//! /// Who is on the list is told 603.
//! struct Screening(Vec<String>);
//!
//! impl DumFeature for Screening {
//!     fn name(&self) -> &'static str {
//!         "screening"
//!     }
//!     fn incoming_request(&mut self, request: &mut Message, context: &mut FeatureContext<'_, '_>) -> Verdict {
//!         let from = request.header(h::FROM).map(|from| from.uri.to_string());
//!         match from {
//!             Ok(from) if self.0.contains(&from) => Verdict::Answer(context.make_response(request, 603).into()),
//!             _ => Verdict::Pass,
//!         }
//!     }
//! }
//!
//! /// Each request says whose it is.
//! struct Organization(&'static str);
//!
//! impl DumFeature for Organization {
//!     fn name(&self) -> &'static str {
//!         "organization"
//!     }
//!     fn outgoing_request(&mut self, request: &mut Message, _: &mut FeatureContext<'_, '_>) -> Verdict {
//!         request.append_line("Organization", self.0);
//!         Verdict::Pass
//!     }
//! }
//!
//! # struct Asker(Sender<u16>);
//! # impl Application for Asker {
//! #     fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
//! #         Some(self)
//! #     }
//! # }
//! # impl OutOfDialogHandler for Asker {
//! #     fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
//! #         self.0.send(outcome.status).expect("somebody waits");
//! #     }
//! #     fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
//! #         self.0.send(outcome.status).expect("somebody waits");
//! #     }
//! #     fn on_received_request(
//! #         &mut self,
//! #         dum: &mut Dum<'_>,
//! #         asked: Handle<dum::out_of_dialog::ServerOutOfDialogRequest>,
//! #         request: &Message,
//! #     ) {
//! #         let known = request.raw_values("Organization").eq([&b"Example"[..]]);
//! #         asked.accept(dum, if known { 200 } else { 299 }, |_| {}).expect("it has just come");
//! #     }
//! # }
//! # let (answers, answer) = channel();
//! # let (mut builder, mut rng) = (Stack::builder(), Rng::from_os()?);
//! # builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
//! let user = builder.register_tu(DialogUsageManager::<Asker>::tu_options(), move |_| {
//!     let mut dum = DialogUsageManager::new(Asker(answers.clone()), DumOptions::default(), &mut rng);
//!     dum.add_feature(Screening(vec!["sip:mallory@example.com".into()]));
//!     dum.add_feature(Organization("Example"));
//!     dum
//! });
//! # let stack = builder.start()?;
//! # let own = format!("<sip:{}>", stack.transports().iter().next().expect("one transport").bound);
//! # let mut statuses = Vec::new();
//! # for who in ["<sip:alice@example.com>", "<sip:mallory@example.com>"] {
//! #     let own = own.clone();
//! #     DumHandle::<Asker>::new(stack.poster(user)).command(move |_, dum| {
//! #         let mut profile = UserProfile::on(dum.master_profile().user());
//! #         profile.set_from(Arc::new(NameAddr::parse(who).expect("a name-addr").into_owned()));
//! #         let own = NameAddr::parse(&own).expect("a URI");
//! #         let options = dum.make_request(&profile, &Method::Options, &own);
//! #         dum.send_request(options).expect("there is room for one");
//! #     })?;
//! #     statuses.push(answer.recv()?);
//! # }
//! # assert_eq!(statuses, [200, 603]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod chain;
#[cfg(test)]
mod tests;
pub(crate) mod waiting;

pub use waiting::{Answer, Waiting};

use crate::dum::Dum;
use crate::handle::{Handle, NoRoom};
use crate::profile::MasterProfile;
use rutil::{Rng, Time};
use stack::message::Message;
use stack::transport::TransportTable;
use std::sync::Arc;
use std::time::Duration;

/// Sees messages before the usages do, or before they leave. It must not block; what takes time is asked elsewhere, and
/// waited for ([`FeatureContext::wait`]).
pub trait DumFeature: Send {
    /// The name in logs.
    fn name(&self) -> &'static str;

    /// A request that wants an answer has come, in a dialog or out of one.
    fn incoming_request(&mut self, _request: &mut Message, _context: &mut FeatureContext<'_, '_>) -> Verdict {
        Verdict::Pass
    }

    /// A response has come, the ACK of a 2xx, or a CANCEL of an INVITE (which the stack has answered).
    fn incoming(&mut self, _msg: &mut Message, _context: &mut FeatureContext<'_, '_>) -> Passage {
        Passage::Pass
    }

    /// A request is about to leave, without our Via.
    fn outgoing_request(&mut self, _request: &mut Message, _context: &mut FeatureContext<'_, '_>) -> Verdict {
        Verdict::Pass
    }

    /// A response or the ACK of a 2xx is about to leave.
    fn outgoing(&mut self, _msg: &mut Message, _context: &mut FeatureContext<'_, '_>) -> Passage {
        Passage::Pass
    }

    /// The answer that a request waited for ([`Handle::resume`]), or none when its time is over. By default the request
    /// goes on with any answer, and without one it is refused with 503.
    fn resumed(
        &mut self,
        request: &mut Message,
        answer: Option<Answer>,
        context: &mut FeatureContext<'_, '_>,
    ) -> Verdict {
        match answer {
            Some(_) => Verdict::Pass,
            None => Verdict::Answer(context.make_response(request, 503).into()),
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// The next feature sees it.
    Pass,
    /// It goes on past the other features.
    Done,
    /// Nobody else sees it. One that came is not answered (an INVITE with 480 in the end, since its transaction would stay for
    /// ever); of one that was to leave the usage hears that nobody has answered in time.
    Take,
    /// This is its answer: sent to its client, or told to the usage that wanted to send it, as if it had come. It is final,
    /// and for an INVITE no 2xx, as a call is more than an answer; another is taken for a 500.
    Answer(Box<Message>),
    /// It waits for [`Handle::resume`], by the name that [`FeatureContext::wait`] gave.
    Wait(Handle<Waiting>),
}

/// What becomes of another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// The next feature sees it.
    Pass,
    /// It goes on past the other features.
    Done,
    /// Nobody else sees it. Of a final response that came the usage hears that nobody has answered in time. A final response
    /// that is to leave leaves all the same: its request could have no other end.
    Take,
}

/// What a feature may know and do while it has a message.
pub struct FeatureContext<'a, 'b> {
    dum: &'a mut Dum<'b>,
    waiting: Option<Handle<Waiting>>,
}

impl FeatureContext<'_, '_> {
    /// The present.
    pub fn now(&self) -> Time {
        self.dum.now()
    }

    /// Randomness.
    pub fn rng(&mut self) -> &mut Rng {
        self.dum.rng()
    }

    /// The stack's transports and their addresses.
    pub fn transports(&self) -> &TransportTable {
        self.dum.stack.transports()
    }

    /// What the user agent can do.
    pub fn master_profile(&self) -> &Arc<MasterProfile> {
        self.dum.master_profile()
    }

    /// A response as the user agent makes them, with a To tag and Server: for [`Verdict::Answer`].
    pub fn make_response(&mut self, request: &Message, status: u16) -> Message {
        self.dum.make_response(request, status, None)
    }

    /// The name by which the request is resumed, within so long; then [`DumFeature::resumed`] is told that there is no answer.
    /// 64·T1 is the most, as clients wait no longer for what is no INVITE. The request waits if the verdict says so.
    ///
    /// # Errors
    /// [`NoRoom`]: [`crate::Limits::requests`] wait already.
    pub fn wait(&mut self, within: Duration) -> Result<Handle<Waiting>, NoRoom> {
        if let Some(waiting) = self.waiting.take() {
            let _ = self.dum.core.waiting.remove(waiting);
        }
        let waiting = waiting::reserve(self.dum.core, within)?;
        self.waiting = Some(waiting);
        Ok(waiting)
    }
}

impl Dum<'_> {
    /// Adds a feature behind those that there are, nearest to the usages; messages meet it from now on.
    pub fn add_feature(&mut self, feature: impl DumFeature + 'static) {
        self.core.features.push(Box::new(feature));
    }
}
