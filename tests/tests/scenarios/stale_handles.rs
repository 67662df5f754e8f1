//! Handles of a user agent in the hands of other threads: used at any time, twice, after the end, and when the stack has
//! stopped. What leads nowhere any more is an error, and nothing else is harmed.

use crate::repro::LIMIT;
use crate::telephone::audio;
use dum::invite::{EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session};
use dum::out_of_dialog::{OutOfDialogHandler, ServerOutOfDialogRequest};
use dum::pager::{ClientPagerMessage, PagerMessageHandler, ServerPagerMessage};
use dum::publication::{
    ClientPublication, ClientPublicationHandler, MemoryPublications, PublicationPersistence, ServerPublication,
    ServerPublicationHandler,
};
use dum::refer::{ClientRefer, ReferHandler, ServerRefer};
use dum::registration::{
    ClientRegistration, ClientRegistrationHandler, MemoryRegistrations, RegistrationPersistence, ServerRegistration,
    ServerRegistrationHandler,
};
use dum::subscription::{
    ClientSubscription, ClientSubscriptionHandler, ClientSubscriptionSet, ServerSubscription,
    ServerSubscriptionHandler, SubscriptionState, TerminateReason,
};
use dum::{
    Application, DialogUsage, DialogUsageManager, Dum, DumHandle, DumOptions, EventPackage, Handle, UsageEnded,
    UserProfile,
};
use rutil::Rng;
use stack::contents::sdp::Sdp;
use stack::contents::{Contents, Text};
use stack::header::{HeaderValue, MediaType, Method, NameAddr};
use stack::message::Message;
use stack::overload::OverloadOptions;
use stack::transaction::TimerValues;
use stack::{Stack, StackOptions, TransportSpec};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A handle of any kind.
#[derive(Clone, Copy, Debug)]
enum Any {
    Call(Handle<InviteSession>),
    Set(Handle<ClientSubscriptionSet>),
    Watch(Handle<ClientSubscription>),
    Watched(Handle<ServerSubscription>),
    Refer(Handle<ClientRefer>),
    Referred(Handle<ServerRefer>),
    Register(Handle<ClientRegistration>),
    Registered(Handle<ServerRegistration>),
    Publish(Handle<ClientPublication>),
    Published(Handle<ServerPublication>),
    Page(Handle<ClientPagerMessage>),
    Paged(Handle<ServerPagerMessage>),
    Asked(Handle<ServerOutOfDialogRequest>),
}

type Used = Result<(), Box<dyn Error>>;

impl Any {
    const KINDS: usize = 13;

    fn kind(self) -> usize {
        match self {
            Any::Call(_) => 0,
            Any::Set(_) => 1,
            Any::Watch(_) => 2,
            Any::Watched(_) => 3,
            Any::Refer(_) => 4,
            Any::Referred(_) => 5,
            Any::Register(_) => 6,
            Any::Registered(_) => 7,
            Any::Publish(_) => 8,
            Any::Published(_) => 9,
            Any::Page(_) => 10,
            Any::Paged(_) => 11,
            Any::Asked(_) => 12,
        }
    }

    /// Does one of the things that can be done with it; with 0 what ends it.
    fn act(self, phone: &Phone, dum: &mut Dum<'_>, which: u64) -> Used {
        let sdp = || audio(None);
        match self {
            Any::Call(call) => match which {
                0 => call.end(dum)?,
                1 => call.hold(dum)?,
                2 => call.resume(dum)?,
                3 => call.info(dum, "text/plain", "x")?,
                4 => phone.keep(Any::Refer(call.refer(dum, &phone.own, true)?)),
                5 => call.provide_answer(dum, &sdp())?,
                6 => call.as_server().accept(dum)?,
                7 => call.as_server().reject(dum, 486, |_| {})?,
                8 => call.update(dum, &sdp())?,
                9 => call.request_offer(dum)?,
                10 => call.reject_offer(dum, 488)?,
                11 => call.as_server().provisional(dum, 180)?,
                12 => phone.keep(Any::Refer(call.refer_to_call(dum, call)?)),
                13 => *call.app_dialog(dum).ok_or(UsageEnded)? = Some(Box::new(which)),
                _ => drop(call.dialog(dum).ok_or(UsageEnded)?.data(dum)?.take()),
            },
            Any::Set(set) => match which {
                0 => set.end(dum)?,
                _ => drop(set.dialog_set(dum).ok_or(UsageEnded)?.dialogs(dum)?.len()),
            },
            Any::Watch(sub) => match which {
                0 => sub.end(dum)?,
                1..5 => sub.refresh(dum)?,
                _ => drop(sub.set(dum)?),
            },
            Any::Watched(sub) => match which {
                0 => sub.terminate(dum, TerminateReason::NoResource, None, None)?,
                1 => sub.accept(dum, SubscriptionState::Active, None)?,
                2 => sub.reject(dum, 403, |_| {})?,
                3 => drop(sub.package(dum)?.len()),
                _ => sub.notify(dum, SubscriptionState::Active, None)?,
            },
            Any::Refer(refer) => match which {
                0 => refer.end(dum)?,
                _ => refer.refresh(dum)?,
            },
            Any::Referred(refer) => match which {
                0 => refer.reject(dum, 603).or_else(|_| refer.notify(dum, 200))?,
                1..4 => refer.accept(dum)?,
                4 => {
                    let profile = dum.master_profile().user().clone();
                    phone.keep(Any::Call(refer.follow(dum, &profile, Some(&sdp()))?.session()));
                }
                _ => refer.notify(dum, 180)?,
            },
            Any::Register(registration) => match which {
                0 => registration.stop(dum)?,
                1 => registration.end(dum)?,
                2 => registration.query(dum)?,
                3 => registration.add_binding(dum, phone.own.clone())?,
                4 => registration.flow_failed(dum)?,
                _ => registration.refresh(dum)?,
            },
            Any::Registered(registration) => match which {
                0..4 => registration.reject(dum, 403, |_| {})?,
                _ => registration.accept(dum, |_| {})?,
            },
            Any::Publish(publication) => match which {
                0 => publication.stop(dum)?,
                1 => publication.end(dum)?,
                2..6 => publication.update(dum, "text/plain", "busy")?,
                _ => publication.refresh(dum)?,
            },
            Any::Published(publication) => match which {
                0..4 => publication.reject(dum, 403, |_| {})?,
                _ => publication.accept(dum, |_| {})?,
            },
            Any::Page(pager) => match which {
                0 => pager.end(dum)?,
                _ => pager.page(dum, Contents::Text(Text::new("hello")))?,
            },
            Any::Paged(pager) => match which {
                0..4 => pager.reject(dum, 403, |_| {})?,
                _ => pager.accept(dum, 200)?,
            },
            Any::Asked(asked) => match which {
                0..4 => asked.reject(dum, 403, |_| {})?,
                _ => asked.accept(dum, 200, |_| {})?,
            },
        }
        Ok(())
    }
}

/// Somebody who calls himself, watches himself, and so on; every handle that he gets, others have too.
struct Phone {
    own: NameAddr<'static>,
    known: Arc<Mutex<Vec<Any>>>,
    bindings: MemoryRegistrations,
    documents: MemoryPublications,
}

impl Phone {
    fn keep(&self, handle: Any) {
        self.known.lock().expect("nobody panics").push(handle);
    }

    /// Begins one of each.
    fn begin(&self, dum: &mut Dum<'_>) -> Used {
        let mut profile = UserProfile::on(dum.master_profile().user());
        profile.set_from(Arc::new(self.own.clone()));
        let profile = Arc::new(profile);
        let invite = dum.make_invite(&profile, &self.own, Some(&audio(None)));
        self.keep(Any::Call(dum.send_invite(&profile, invite)?.session()));
        let subscribe = dum.make_subscribe(&profile, &self.own, "presence");
        self.keep(Any::Set(dum.send_subscribe(&profile, subscribe)?));
        let refer = dum.make_refer(&profile, &self.own, &self.own);
        self.keep(Any::Refer(dum.send_refer(&profile, refer)?));
        self.keep(Any::Register(dum.register(&profile)?));
        self.keep(Any::Publish(dum.publish(&profile, &self.own, "presence", "text/plain", "at my desk")?));
        let pager = dum.make_pager(&profile, &self.own)?;
        pager.page(dum, Contents::Text(Text::new("hello")))?;
        self.keep(Any::Page(pager));
        let options = dum.make_request(&profile, &Method::Options, &self.own);
        dum.send_request(options)?;
        Ok(())
    }
}

impl Application for Phone {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
    fn refers(&mut self) -> Option<&mut dyn ReferHandler> {
        Some(self)
    }
    fn client_subscriptions(&mut self, _: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        Some(self)
    }
    fn server_subscriptions(&mut self, _: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        Some(self)
    }
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
    fn server_registrations(&mut self) -> Option<&mut dyn ServerRegistrationHandler> {
        Some(self)
    }
    fn client_publications(&mut self) -> Option<&mut dyn ClientPublicationHandler> {
        Some(self)
    }
    fn server_publications(&mut self) -> Option<&mut dyn ServerPublicationHandler> {
        Some(self)
    }
    fn pager_messages(&mut self) -> Option<&mut dyn PagerMessageHandler> {
        Some(self)
    }
    fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
        Some(self)
    }
}

impl ClientRegistrationHandler for Phone {}
impl ClientPublicationHandler for Phone {}

impl InviteSessionHandler for Phone {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, _: &Message) {
        self.keep(Any::Call(call.session()));
        let _ = call.provisional(dum, 180);
    }
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, offer: &Sdp, _: &Message) {
        let _ = call.provide_answer(dum, &audio(Some(offer)));
        let _ = call.as_server().accept(dum);
    }
    /// What has just ended is used once more.
    fn on_terminated(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: EndReason, _: Option<&Message>) {
        assert!(call.end(dum).is_err());
    }
}

impl ReferHandler for Phone {
    fn on_refer(&mut self, _: &mut Dum<'_>, refer: Handle<ServerRefer>, _: Option<Handle<InviteSession>>, _: &Message) {
        self.keep(Any::Referred(refer));
    }
}

impl ClientSubscriptionHandler for Phone {
    fn on_new_subscription(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        sub: Handle<ClientSubscription>,
        _: &Message,
    ) {
        self.keep(Any::Watch(sub));
    }
    fn on_request_retry(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        _: dum::subscription::SubscriptionEnd,
        _: Option<Duration>,
    ) -> Option<Duration> {
        None
    }
}

impl ServerSubscriptionHandler for Phone {
    fn on_new_subscription(&mut self, _: &mut Dum<'_>, sub: Handle<ServerSubscription>, _: &Message) {
        self.keep(Any::Watched(sub));
    }
}

impl ServerRegistrationHandler for Phone {
    fn persistence(&mut self) -> &mut dyn RegistrationPersistence {
        &mut self.bindings
    }
    /// Others answer.
    fn on_add(&mut self, _: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.keep(Any::Registered(registration));
    }
}

impl ServerPublicationHandler for Phone {
    fn persistence(&mut self) -> &mut dyn PublicationPersistence {
        &mut self.documents
    }
    fn on_initial(&mut self, _: &mut Dum<'_>, publication: Handle<ServerPublication>, _: &Message) {
        self.keep(Any::Published(publication));
    }
}

impl PagerMessageHandler for Phone {
    fn on_message_arrived(&mut self, _: &mut Dum<'_>, pager: Handle<ServerPagerMessage>, _: &Message) {
        self.keep(Any::Paged(pager));
    }
}

impl OutOfDialogHandler for Phone {
    fn on_received_request(&mut self, _: &mut Dum<'_>, asked: Handle<ServerOutOfDialogRequest>, _: &Message) {
        self.keep(Any::Asked(asked));
    }
}

fn start(known: &Arc<Mutex<Vec<Any>>>) -> (Stack, DumHandle<Phone>) {
    // What nobody answers is given up after 0.6 s.
    let timers = TimerValues { t1: Duration::from_millis(10), ..TimerValues::default() };
    let overload = OverloadOptions { max_wait: None, ..OverloadOptions::default() };
    let mut builder = Stack::builder().options(StackOptions { timers, overload, ..StackOptions::default() });
    builder.add_transport(TransportSpec::udp(([127, 0, 0, 1], 0).into()));
    let (known, mut rng) = (known.clone(), Rng::from_os().expect("randomness"));
    let user = builder.register_tu(DialogUsageManager::<Phone>::tu_options(), move |_| {
        let mut options = DumOptions { timers, ..DumOptions::default() };
        let text = MediaType::new("text", "plain");
        options.master.add_transfer().add_100rel().add_package(EventPackage::new("presence"));
        for method in [Method::Register, Method::Publish, Method::Message, Method::Info] {
            options.master.add_method(method.clone()).add_mime_type(method, text.clone());
        }
        let phone = Phone {
            own: NameAddr::parse("<sip:own@127.0.0.1>").expect("a name-addr").into_owned(),
            known: known.clone(),
            bindings: MemoryRegistrations::new(1000, &mut rng),
            documents: MemoryPublications::new(1000, &mut rng),
        };
        DialogUsageManager::new(phone, options, &mut rng)
    });
    let stack = builder.start().expect("it starts");
    let handle = DumHandle::new(stack.poster(user));
    (stack, handle)
}

/// Has something done, and waits for it.
fn ask<R: Send + 'static>(
    dum: &DumHandle<Phone>,
    what: impl FnOnce(&mut Phone, &mut Dum<'_>) -> R + Send + Clone + 'static,
) -> R {
    let (done, answer) = channel();
    let command = move |phone: &mut Phone, dum: &mut Dum<'_>| drop(done.send(what(phone, dum)));
    // It is behind: later.
    while dum.command(command.clone()).is_err() {
        std::thread::yield_now();
    }
    drop(command);
    answer.recv_timeout(LIMIT).expect("the user agent lives")
}

const THREADS: u64 = 4;
/// What each thread does: so much, and more where of some kind nothing was possible yet, or everything.
const ACTS: usize = 3000;
const MOST_ACTS: usize = 20 * ACTS;

#[test]
fn handles_that_other_threads_use_at_any_time_are_errors_at_worst() {
    let known: Arc<Mutex<Vec<Any>>> = Arc::default();
    let (stack, dum) = start(&known);
    let own = stack.transports().iter().next().expect("one transport").bound;
    ask(&dum, move |phone, dum| {
        phone.own = NameAddr::parse(&format!("<sip:own@{own}>")).expect("a name-addr").into_owned();
        phone.begin(dum).expect("there is room");
    });
    // How often it was possible, and how often not, of each kind.
    let counts: Arc<[[AtomicUsize; 2]; Any::KINDS]> = Arc::default();
    let seen_all = || counts.iter().flatten().all(|count| count.load(Ordering::Relaxed) > 0);
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (dum, known, counts, seen_all) = (&dum, &known, &counts, &seen_all);
            scope.spawn(move || {
                let mut rng = Rng::from_seed(seed);
                for act in 0..MOST_ACTS {
                    if act >= ACTS && seen_all() {
                        break;
                    }
                    if act % 100 == 0 {
                        ask(dum, |phone, dum| phone.begin(dum).is_ok());
                    }
                    let handle = {
                        let known = known.lock().expect("nobody panics");
                        // The newest, or any that there ever was.
                        let near = if rng.range(2) == 0 { known.len().min(40) } else { known.len() };
                        known[known.len() - 1 - rng.range(near as u64) as usize]
                    };
                    let (first, second, counts) = (rng.range(15), rng.range(15), counts.clone());
                    ask(dum, move |phone, dum| {
                        for which in [first, second] {
                            let result = handle.act(phone, dum, which);
                            counts[handle.kind()][usize::from(result.is_err())].fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
        }
    });
    for (kind, [done, refused]) in counts.iter().enumerate() {
        let (done, refused) = (done.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
        println!("kind {kind}: {done} done, {refused} refused");
        assert!(done > 0 && refused > 0, "kind {kind}: {done} done, {refused} refused");
    }
    // All are ended, and then each leads nowhere.
    let all = std::mem::take(&mut *known.lock().expect("nobody panics"));
    println!("{} handles", all.len());
    for handle in all {
        // What is ending has its dialog until it has ended, in 64·T1 at most.
        let used =
            move |phone: &mut Phone, dum: &mut Dum<'_>| (0..15).any(|which| handle.act(phone, dum, which).is_ok());
        let mut left = 200_000;
        while ask(&dum, used) {
            left -= 1;
            assert!(left > 0, "{handle:?} does not end");
        }
        assert!(!ask(&dum, used), "{handle:?} came back");
    }
    drop(stack);
    assert!(dum.command(|_, _| {}).is_err(), "nobody is there");
}
