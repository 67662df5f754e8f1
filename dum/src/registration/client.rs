//! Bindings that this side keeps alive at a registrar.

use super::flows::{self, OwnFlow};
use super::gruu::Gruus;
use super::machine::{Action, Event, Op, State, step};
use super::{Callback, RegistrationError, nat, times};
use crate::core::Core;
use crate::dialog::MAX_ROUTES;
use crate::dum::Dum;
use crate::handle::{Handle, NoRoom, UsageEnded};
use crate::outcome::Outcome;
use crate::profile::UserProfile;
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use rutil::Time;
use stack::header::{Contact, HeaderValue, Method, NameAddr, h, p};
use stack::helper;
use stack::message::Message;
use stack::tu::ClientTransaction;
use stack::uri::{SipUri, Uri};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bindings of one registration, and bindings in an answer that are read.
pub const MAX_BINDINGS: usize = 64;

/// REGISTERs of one registration that are left to their time because [`Handle::flow_failed`] says that their way is gone.
pub const MOST_LEFT: u8 = 4;

/// One address-of-record at one registrar, with the bindings of this side. All its requests have one Call-ID and one line
/// of CSeq numbers (RFC 3261 §10.2.4).
#[derive(Debug)]
pub struct ClientRegistration {
    pub(super) profile: Arc<UserProfile>,
    /// The From tag.
    tag: Box<str>,
    call_id: Box<str>,
    cseq: u32,
    state: State,
    queued: Option<Op>,
    pub(crate) transaction: Option<ClientTransaction>,
    pub(super) mine: Vec<NameAddr<'static>>,
    /// What is to be removed, and whether the REGISTER under way says so.
    pub(super) leaving: Vec<(NameAddr<'static>, bool)>,
    /// What the registrar said last, as it stood: of a hundred thousand registrations few are asked.
    known: Box<[Box<str>]>,
    pub(super) service_route: Option<Arc<[NameAddr<'static>]>>,
    pub(super) gruus: Gruus,
    /// Asked for, in seconds: the profile's, or more after a 423.
    expires: u32,
    /// The request under way is the answer to a 423.
    raised: bool,
    /// How many were left since one had its answer or its time.
    left: u8,
    granted: u32,
    /// Until when the bindings of this side last, as far as it was heard; of a REGISTER that is not answered, as it was asked
    /// for.
    until: Time,
    pub(super) failures: u32,
    pub(super) flow: OwnFlow,
    /// What its bindings name instead of an address of this side ([`UserProfile::contact_rewrite`]).
    pub(super) public: Option<SocketAddr>,
    /// The last answer has moved them, or wants another flow.
    moved: bool,
    /// It has its place among many ([`times::first_refresh_of_many`]).
    placed: bool,
    alarm: Alarm,
}

impl Dum<'_> {
    /// Registers the profile's user at the registrar of its domain (RFC 3261 §10.2), and keeps the binding alive until
    /// [`Handle::end`]. What comes of it is told to [`super::ClientRegistrationHandler`].
    ///
    /// The Contact is the profile's ([`UserProfile::contact`]), else the address of the transport; with
    /// [`UserProfile::instance_id`] and [`UserProfile::reg_id`] it is one of RFC 5626. The same profile may register more
    /// than once: over several flows with a `reg_id` each ([`Dum::register_flows`]).
    ///
    /// The way to the registrar is kept open with keep-alives ([`UserProfile::keep_alive_time_stream`] and
    /// [`UserProfile::keep_alive_time_datagram`]). When its connection ends, or a registrar that supports outbound does not
    /// answer them, the binding is registered anew by another way, at once or after a pause (RFC 5626 §4.5).
    ///
    /// # Errors
    /// [`RegistrationError`]: nothing was sent.
    pub fn register(&mut self, profile: &Arc<UserProfile>) -> Result<Handle<ClientRegistration>, RegistrationError> {
        let registration = self.begin_registration(profile)?;
        command(self, registration, Op::Register)?;
        Ok(registration)
    }

    /// Asks the registrar which bindings there are (RFC 3261 §10.2.3), without adding one. [`Handle::refresh`] adds this
    /// side's later.
    ///
    /// # Errors
    /// [`RegistrationError`]: nothing was sent.
    pub fn query_registrations(
        &mut self,
        profile: &Arc<UserProfile>,
    ) -> Result<Handle<ClientRegistration>, RegistrationError> {
        let registration = self.begin_registration(profile)?;
        self.core.client_registrations.get_mut(registration)?.mine.clear();
        command(self, registration, Op::Query)?;
        Ok(registration)
    }

    pub(super) fn begin_registration(
        &mut self,
        profile: &Arc<UserProfile>,
    ) -> Result<Handle<ClientRegistration>, RegistrationError> {
        let registrar = registrar(profile).ok_or(RegistrationError::NotSip)?;
        let contact = self.contact_of_registration(profile, &registrar);
        let expires = u32::try_from(profile.registration_time().as_secs()).unwrap_or(u32::MAX);
        let rng = self.stack.rng();
        let registration = ClientRegistration {
            profile: profile.clone(),
            tag: rng.token::<12>().as_str().into(),
            call_id: rng.token::<24>().as_str().into(),
            cseq: 0,
            state: State::Idle,
            queued: None,
            transaction: None,
            mine: vec![contact],
            leaving: Vec::new(),
            known: Box::default(),
            service_route: None,
            gruus: Gruus::default(),
            expires,
            raised: false,
            left: 0,
            granted: 0,
            until: Time::ZERO,
            failures: 0,
            flow: OwnFlow::default(),
            public: None,
            moved: false,
            placed: false,
            alarm: Alarm::OFF,
        };
        Ok(self.core.client_registrations.insert(registration)?)
    }

    fn contact_of_registration(&self, profile: &UserProfile, registrar: &Uri<'_>) -> NameAddr<'static> {
        let proxy = profile.outbound_proxy();
        let first = proxy.as_deref().map_or(registrar, |proxy| &proxy.uri);
        let contact = self.contact_towards(profile, first, registrar.scheme() == "sips");
        with_instance(profile, flows::are_wanted(profile), contact)
    }
}

/// The registrar of the profile's user (RFC 3261 §10.2: the domain alone).
fn registrar(profile: &UserProfile) -> Option<Uri<'static>> {
    let aor = profile.from();
    let domain = aor.uri.sip()?;
    Some(Uri::Sip(SipUri { user: None, password: None, ..domain.clone() }))
}

/// RFC 5626 §4.2, RFC 5627 §4.2: which device it is, and which of its flows.
fn with_instance(profile: &UserProfile, by_flow: bool, contact: NameAddr<'static>) -> NameAddr<'static> {
    let Some(instance) = profile.instance_id() else { return contact };
    let contact = contact.with(p::INSTANCE, format_args!("\"<{instance}>\""));
    if by_flow { contact.with(p::REG_ID, profile.reg_id()) } else { contact }
}

impl Handle<ClientRegistration> {
    /// Adds a binding to those of this side, and refreshes all in one REGISTER: a registrar that refuses it refuses them all, as it
    /// would a refresh ([`super::ClientRegistrationHandler::on_request_retry`], then `on_failure`).
    ///
    /// # Errors
    /// [`RegistrationError`]: the usage has ended, or has [`MAX_BINDINGS`], or is one by flow.
    pub fn add_binding(self, dum: &mut Dum<'_>, contact: NameAddr<'static>) -> Result<(), RegistrationError> {
        let this = dum.core.client_registrations.get_mut(self)?;
        // RFC 5626 §6.
        if this.is_by_flow() && !this.mine.is_empty() {
            return Err(RegistrationError::OneFlow);
        }
        if this.mine.len() == MAX_BINDINGS {
            return Err(RegistrationError::NoRoom);
        }
        let contact = with_instance(&this.profile, this.is_by_flow(), contact);
        this.bind(contact);
        Ok(command(dum, self, Op::Register)?)
    }

    /// Removes one binding of this side (RFC 3261 §10.2.2); the others stay, and if the registrar refuses it this one until it
    /// expires.
    ///
    /// # Errors
    /// [`RegistrationError`]: the usage has ended, or [`MAX_BINDINGS`] are to be removed already, as the registrar has not
    /// answered.
    pub fn remove_binding(self, dum: &mut Dum<'_>, contact: &Uri<'_>) -> Result<(), RegistrationError> {
        let this = dum.core.client_registrations.get_mut(self)?;
        let Some(at) = this.mine.iter().position(|known| known.uri.equivalent(contact)) else { return Ok(()) };
        if this.leaving.len() == MAX_BINDINGS {
            return Err(RegistrationError::NoRoom);
        }
        let gone = this.mine.remove(at);
        this.leaving.push((gone, false));
        Ok(command(dum, self, Op::Remove)?)
    }

    /// Refreshes the bindings of this side now; after a query it adds the one that the profile says.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn refresh(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        let this = dum.core.client_registrations.get(self)?;
        if this.mine.is_empty() {
            let profile = this.profile.clone();
            let registrar = registrar(&profile).ok_or(UsageEnded)?;
            let contact = dum.contact_of_registration(&profile, &registrar);
            dum.core.client_registrations.get_mut(self)?.bind(contact);
        }
        command(dum, self, Op::Register)
    }

    /// Asks which bindings there are; the answer is told as a success, or as a refusal that leaves them as they are.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn query(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        command(dum, self, Op::Query)
    }

    /// Removes all bindings of the address, those of other devices too (`Contact: *`); the usage ends with the answer, or is
    /// given up for want of one when bindings that are made now will have expired.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn remove_all(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        let now = dum.now();
        dum.core.client_registrations.get_mut(self)?.may_last(now);
        command(dum, self, Op::RemoveAll)
    }

    /// Removes the bindings of this side; the usage ends with the answer, or is given up for want of one when the bindings
    /// will have expired. One whose removal was refused is no longer among them.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn end(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        command(dum, self, Op::End)
    }

    /// Ends the usage and sends nothing: the bindings expire by themselves.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn stop(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        dum.core.client_registrations.get(self)?;
        flows::forget(dum, self);
        Ok(())
    }

    /// The flow to the registrar is gone (RFC 5626 §4.5), as the application knows by itself, because an interface has another
    /// address: the bindings are registered anew at once, over whatever flow leads there now. A request under way is not waited
    /// for, and a pause is over; only where the last [`MOST_LEFT`] have come to nothing so, the next one waits for an answer, or
    /// for the time in which one may come.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn flow_failed(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        let this = dum.core.client_registrations.get_mut(self)?;
        this.failures = 0;
        let (bound, sending) = (!this.mine.is_empty(), matches!(this.state, State::Sending(_)));
        if sending && this.left == MOST_LEFT {
            return command(dum, self, Op::Register);
        }
        this.left += u8::from(sending);
        flows::release(dum, self);
        happen(dum, self, Event::OtherWay { bound });
        Ok(())
    }

    /// The bindings of the address, of all devices, as the registrar listed them last ([`MAX_BINDINGS`] at most).
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn bindings(self, dum: &Dum<'_>) -> Result<Vec<NameAddr<'static>>, UsageEnded> {
        let known = &dum.core.client_registrations.get(self)?.known;
        Ok(known.iter().filter_map(|text| NameAddr::parse(text).ok().map(NameAddr::into_owned)).collect())
    }

    /// How long the bindings of this side live, as the registrar said last.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn expires(self, dum: &Dum<'_>) -> Result<Duration, UsageEnded> {
        dum.core.client_registrations.get(self).map(|this| Duration::from_secs(this.granted.into()))
    }
}

/// The profile by which it sends.
pub(crate) fn profile(core: &Core, registration: Handle<ClientRegistration>) -> Option<Arc<UserProfile>> {
    core.client_registrations.get(registration).ok().map(|this| this.profile.clone())
}

/// It was sent once more, for a challenge.
pub(crate) fn resent(core: &mut Core, registration: Handle<ClientRegistration>, new: ClientTransaction, cseq: u32) {
    if let Ok(this) = core.client_registrations.get_mut(registration) {
        (this.transaction, this.cseq) = (Some(new), cseq);
    }
}

fn command(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, op: Op) -> Result<(), UsageEnded> {
    dum.core.client_registrations.get(registration)?;
    happen(dum, registration, Event::Command(op));
    Ok(())
}

pub(super) fn happen(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, event: Event) {
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    let (state, action) = step(this.state, event);
    this.state = state;
    match action {
        Action::None | Action::AskRetry | Action::Failed => {}
        Action::Queue(op) => this.queued = this.queued.max(Some(op)),
        Action::Send(op) => send(dum, registration, op),
        Action::Succeeded => set_alarm(dum, registration, None),
        Action::Removed => flows::forget(dum, registration),
        Action::Pause => {
            let after = flows::back_off(dum, registration);
            set_alarm(dum, registration, Some(after));
        }
    }
}

/// The refresh, or another try after a time.
fn set_alarm(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, retry: Option<Duration>) {
    let (now, many) = (dum.now(), dum.core.client_registrations.len() >= times::MANY);
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    let after = match (retry, this.state) {
        (_, State::Registered) => {
            let left = u32::try_from((this.until - now).as_secs()).unwrap_or(u32::MAX);
            let refresh = match many && !std::mem::replace(&mut this.placed, true) {
                true => times::first_refresh_of_many(left, dum.stack.rng()),
                false => times::refresh(left, dum.stack.rng()),
            };
            retry.map_or(refresh, |after| after.min(refresh))
        }
        (Some(after), _) => after,
        _ => return this.alarm.clear(),
    };
    let fire = Fire { usage: Usage::ClientRegistration(registration), kind: TimerKind::Registration };
    dum.core.timers.set(&mut this.alarm, fire, now, after);
}

fn send(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, op: Op) {
    let now = dum.now();
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    this.alarm.clear();
    if op == Op::Register {
        this.may_last(now);
    }
    this.cseq = this.cseq.saturating_add(1);
    let Some(mut msg) = this.request(op) else { return };
    this.leaving.iter_mut().for_each(|(_, sent)| *sent = op != Op::Query);
    if let Some(proxy) = this.profile.outbound_proxy() {
        msg.push_back(h::ROUTES, &*proxy);
    }
    if let Some(name) = this.profile.user_agent() {
        msg.set(h::USER_AGENT, &*name);
    }
    let options = flows::options(dum.core, registration);
    let transaction = dum.send(Usage::ClientRegistration(registration), msg, options);
    if let Ok(this) = dum.core.client_registrations.get_mut(registration) {
        this.transaction = Some(transaction);
    }
}

impl ClientRegistration {
    /// Takes a binding among those of this side.
    pub(super) fn bind(&mut self, contact: NameAddr<'static>) {
        self.leaving.retain(|(gone, _)| !gone.uri.equivalent(&contact.uri));
        self.mine.retain(|known| !known.uri.equivalent(&contact.uri));
        self.mine.push(contact);
    }

    /// Bindings may last as long as they would if they were made now.
    fn may_last(&mut self, now: Time) {
        self.until = self.until.max(now + Duration::from_secs(self.expires.into()));
    }

    fn request(&self, op: Op) -> Option<Message> {
        let (method, registrar, to) = (&Method::Register, registrar(&self.profile)?, self.profile.from());
        let from = (*to).clone().with(p::TAG, &self.tag);
        let mut msg = helper::make_request(method, &registrar, &from, &to, &self.call_id, self.cseq);
        if let Op::Register | Op::End = op {
            self.mine.iter().for_each(|contact| msg.push_back(h::CONTACTS, contact));
        }
        if let Op::Register | Op::End | Op::Remove = op {
            let gone = self.leaving.iter().map(|(contact, _)| contact.clone().with(p::EXPIRES, 0));
            gone.for_each(|contact| msg.push_back(h::CONTACTS, &contact));
        }
        let expires = match op {
            Op::Register => Some(self.expires),
            Op::End => Some(0),
            Op::RemoveAll => {
                msg.push_back(h::CONTACTS, &Contact::Star);
                Some(0)
            }
            Op::Query | Op::Remove => None,
        };
        if let Some(expires) = expires {
            msg.set(h::EXPIRES, &expires);
        }
        // RFC 5626 §4.2.1, RFC 5627 §4.2.
        msg.push_back(
            h::SUPPORTEDS,
            match self.profile.instance_id() {
                Some(_) if self.is_by_flow() => "path, outbound, gruu",
                Some(_) => "path, gruu",
                None => "path",
            },
        );
        Some(msg)
    }

    /// What a 2xx says.
    fn learn(&mut self, op: Op, response: &Message, now: Time) {
        let contacts = response.header(h::CONTACTS).flatten().filter_map(Contact::into_addr);
        let known: Vec<_> = contacts.take(MAX_BINDINGS).collect();
        let own = |known: &&NameAddr<'_>| self.mine.iter().any(|mine| mine.uri.equivalent(&known.uri));
        self.gruus = Gruus::of(known.iter().filter(own));
        // Of several the one that ends first; one that was taken for no time is not there.
        let listed = known.iter().filter(own).filter_map(|known| known.param(p::EXPIRES));
        let listed = listed.min_by_key(|seconds| (*seconds == 0, *seconds));
        self.known = known.iter().map(|known| known.to_string().into()).collect();
        let routes = response.header(h::SERVICE_ROUTES).flatten().take(MAX_ROUTES);
        let routes: Vec<_> = routes.map(NameAddr::into_owned).collect();
        self.service_route = (!routes.is_empty()).then(|| routes.into());
        let header = response.header(h::EXPIRES).ok();
        // RFC 3261 §10.2.4: what the registrar chose counts. A query grants nothing, it says what is left, if that.
        let granted = match op {
            Op::Register => listed.or(header.map(|expires| expires.0)).or(Some(self.expires)),
            _ => listed,
        };
        if let Some(seconds) = granted {
            (self.granted, self.until) = (seconds, now + Duration::from_secs(seconds.into()));
        }
    }
}

/// A response, or none.
pub(crate) fn outcome(
    dum: &mut Dum<'_>,
    registration: Handle<ClientRegistration>,
    transaction: ClientTransaction,
    outcome: Outcome,
) {
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    let State::Sending(op) = this.state else { return };
    if outcome.is_provisional() || this.transaction != Some(transaction) {
        return;
    }
    (this.transaction, this.left) = (None, 0);
    if flows::is_lost(dum, registration, &outcome) {
        return;
    }
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    let raised = std::mem::take(&mut this.raised);
    match &outcome.response {
        Some(response) if outcome.is_success() => success(dum, registration, op, response.clone()),
        Some(response) if outcome.status == 423 => match response.header(h::MIN_EXPIRES) {
            // RFC 3261 §10.2.8: the same again, for as long as the registrar wants.
            // A registrar that wants more each time is answered as one that refuses.
            Ok(least) if least.0 > this.expires && op == Op::Register && !raised => {
                (this.expires, this.raised) = (least.0, true);
                happen(dum, registration, Event::TooBrief);
            }
            _ => refused(dum, registration, outcome),
        },
        // RFC 5626 §11.6: the same again, not by flow.
        Some(response) if outcome.status == 439 && this.is_by_flow() && op != Op::Query => {
            flows::do_without(dum, registration);
            happen(dum, registration, Event::Again);
            dum.call_back(Callback::NoOutbound { registration, response: response.clone() });
        }
        _ => refused(dum, registration, outcome),
    }
}

fn success(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, op: Op, response: Arc<Message>) {
    let now = dum.now();
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    this.learn(op, &response, now);
    this.leaving.retain(|(_, sent)| !sent);
    let nothing = op == Op::Register && this.granted == 0;
    if nothing && this.expires > 0 {
        // What is bound for no time is not bound: asking at once would be told the same.
        return refused(dum, registration, Outcome::of(response));
    }
    this.failures = 0;
    let bound = !this.mine.is_empty() && !nothing;
    let mut moved = false;
    if bound && op == Op::Register {
        let again = this.moved;
        moved = flows::follow(dum, registration, &response, again) || nat::moved(dum.core, registration, &response);
    }
    happen(dum, registration, Event::Success { bound });
    let told = match op {
        Op::RemoveAll | Op::End => Callback::Removed { registration, response },
        _ => Callback::Success { registration, response },
    };
    dum.call_back(told);
    // Once: a NAT that has another address each time is not asked without end.
    if let Ok(this) = dum.core.client_registrations.get_mut(registration)
        && !std::mem::replace(&mut this.moved, moved)
        && moved
    {
        happen(dum, registration, Event::Command(Op::Register));
    }
    next(dum, registration);
}

/// What waited for the request before it.
fn next(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>) -> bool {
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return false };
    match this.queued.take() {
        Some(op) => {
            happen(dum, registration, Event::Command(op));
            true
        }
        None => false,
    }
}

pub(super) fn refused(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, outcome: Outcome) {
    let this = dum.core.client_registrations.get(registration);
    let bound = this.is_ok_and(|this| !this.mine.is_empty() && this.granted > 0);
    happen(dum, registration, Event::Refused { bound });
    if next(dum, registration) {
        return;
    }
    let (suggested, now) = (flows::retry(dum, registration, &outcome), dum.now());
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    // What has expired by then need not be removed.
    let ends = matches!(this.state, State::Waiting(Op::End | Op::RemoveAll));
    let suggested = suggested.filter(|after| !ends || now + *after < this.until);
    this.failures = this.failures.saturating_add(1);
    dum.call_back(Callback::Refused { registration, outcome, suggested });
}

/// What the handler decided about another try. False: it is given up, and the usage with it unless its bindings stay.
pub(super) fn decided(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, retry: Option<Duration>) -> bool {
    // It may have given another command instead.
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return true };
    let stays = this.state == State::Registered;
    if !stays && !matches!(this.state, State::Waiting(_)) {
        return true;
    }
    if stays && retry.is_none() {
        this.leaving.retain(|(_, sent)| !sent);
    }
    if stays || retry.is_some() {
        set_alarm(dum, registration, retry);
        return retry.is_some();
    }
    this.leaving.retain(|(_, sent)| !sent);
    happen(dum, registration, Event::GaveUp);
    if dum.core.client_registrations.get(registration).is_ok_and(|this| this.state == State::Ended) {
        flows::forget(dum, registration);
    }
    false
}

/// The refresh is due, or another try.
pub(crate) fn timer(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, fire: Fire) {
    let now = dum.now();
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    if dum.core.timers.is_due(&mut this.alarm, fire, now) {
        happen(dum, registration, Event::Timer);
    }
}

impl From<NoRoom> for RegistrationError {
    fn from(_: NoRoom) -> Self {
        RegistrationError::NoRoom
    }
}

impl From<UsageEnded> for RegistrationError {
    fn from(_: UsageEnded) -> Self {
        RegistrationError::Ended
    }
}
