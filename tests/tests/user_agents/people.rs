//! People who do anything at any time, with any call and any subscription that there ever was: most of it is an error most of
//! the time.

use crate::challenges::stranger;
use crate::desk::keep;
use crate::phone::Phone;
use crate::redirects::redirect;
use crate::unsent::nowhere;
use crate::world::{NAMES, address, aor, both, directed, sdp};
use dum::invite::{InviteSession, Session, SessionError};
use dum::refer::ServerRefer;
use dum::subscription::{ServerSubscription, SubscriptionError, SubscriptionState, TerminateReason};
use dum::{Dum, Handle, Reliability, UserProfile};
use rutil::Rng;
use stack::contents::event::{DialogInfo, DocumentState, EventDocument};
use stack::contents::sdp::{Direction, Sdp};
use stack::header::{HeaderValue, NameAddr, h};
use std::sync::Arc;
use std::time::Duration;

/// How busy people are, and by whom their calls go.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    /// How likely one makes a call instead of doing something else.
    pub(crate) calls: f64,
    /// How likely that one is forked.
    pub(crate) forks: f64,
    /// How many of the things that can be done are done: the last ones bring calls to their ends.
    pub(crate) things: u64,
}

/// So many calls later one is ended, where there are many; a subscription after a quarter of that.
const OLD: usize = 40;

/// What one person does.
pub(crate) fn act(phone: &mut Phone, dum: &mut Dum<'_>, rng: &mut Rng, habits: Habits) {
    if habits.forks > 0.0 {
        end_old(phone, dum);
    }
    if rng.chance(0.15) {
        return watch(phone, dum, rng, habits.forks);
    }
    if rng.chance(0.04) {
        return keep(phone, dum, rng);
    }
    if phone.calls.is_empty() || rng.chance(habits.calls) {
        return call(phone, dum, rng, habits.forks);
    }
    if rng.chance(0.2) {
        return go_on(phone, dum, rng);
    }
    let call = recent(&phone.calls, rng);
    let server = call.as_server();
    let _ = match rng.range(habits.things) {
        0 => server.provisional(dum, 180),
        1 => server.early_media(dum, 183),
        2..=4 => server.accept(dum),
        5 if rng.chance(0.3) => server.reject(dum, 486, |_| {}),
        5 => redirect(phone, dum, rng, server),
        6..=8 => call.provide_answer(dum, &fitting(phone, call, rng)),
        9 if rng.chance(0.7) => call.provide_offer(dum, &offer(rng)),
        9 => call.provide_offer(dum, &directed(2000, Direction::Inactive)),
        10 => call.update(dum, &directed(3000, Direction::SendOnly)),
        11 => call.request_offer(dum),
        12 if rng.chance(0.2) => call.reject_offer(dum, 488),
        12 => call.withdraw_offer(dum),
        13 => call.info(dum, "text/plain", "x"),
        14 => call.message(dum, "text/plain", "x"),
        15 => call.refer(dum, &somebody(rng), rng.chance(0.8)).map(drop),
        16 => match phone.refers.last().copied() {
            Some(refer) if rng.chance(0.5) => follow(phone, dum, rng, refer),
            Some(refer) if rng.chance(0.5) => refer.accept(dum),
            Some(refer) => refer.reject(dum, 603),
            None => Ok(()),
        },
        17 if rng.chance(0.3) => call.end(dum),
        17 if rng.chance(0.5) => call.as_client().cancel(dum),
        18..=23 => {
            let provided = call.provide_answer(dum, &fitting(phone, call, rng));
            let _ = provided.or_else(|_| call.provide_offer(dum, &offer(rng)));
            server.accept(dum)
        }
        24 | 25 => call.end(dum),
        26.. => server.provisional(dum, 180),
        _ => Ok(()),
    };
}

/// Few names lead nowhere.
fn somebody(rng: &mut Rng) -> NameAddr<'static> {
    if rng.chance(0.03) { nowhere("nobody") } else { aor(rng.range(3) as usize) }
}

fn offer(rng: &mut Rng) -> Sdp {
    sdp(1000 + rng.range(1000) as u16)
}

/// Makes a call, that may be meant to join another one.
fn call(phone: &mut Phone, dum: &mut Dum<'_>, rng: &mut Rng, forks: f64) {
    let forked = forks > 0.0 && rng.chance(forks);
    let (target, profile) = match forked {
        true => (both(), phone.by_proxy.clone()),
        false => (somebody(rng), phone.profile.clone()),
    };
    let profile = mood(dum, &profile, rng, true);
    let mut invite = dum.make_invite(&profile, &target, rng.chance(0.8).then(|| offer(rng)).as_ref());
    let joined = rng.chance(0.03).then(|| recent_of(&phone.calls, rng)?.replaces(dum)).flatten();
    if let Some(joined) = &joined {
        // A call of the one who is called, as he sees it.
        invite.set(h::JOIN, joined);
    }
    let call = dum.send_invite(&profile, invite).unwrap().session();
    if joined.is_some() {
        phone.joining.insert(call);
    }
    phone.calls.push(call);
    phone.made += 1;
}

/// By what a call is made or taken: what is reliable in it, and how long it lasts without a refresh. `own`: a call of ours may
/// insist.
pub(crate) fn mood(dum: &Dum<'_>, base: &Arc<UserProfile>, rng: &mut Rng, own: bool) -> Arc<UserProfile> {
    let known = if own && rng.chance(0.05) { stranger(base, rng) } else { base.clone() };
    let mut profile = UserProfile::on(&known);
    if dum.master_profile().has_option_tag("100rel") {
        profile.set_reliability(match rng.range(10) {
            0 if own => Reliability::Required,
            0..=3 => Reliability::Never,
            _ => Reliability::Supported,
        });
    }
    profile.set_session_time(Duration::from_secs([0, 90, 90, 600][rng.range(4) as usize]));
    Arc::new(profile)
}

/// Goes where somebody was sent.
pub(crate) fn follow(
    phone: &mut Phone,
    dum: &mut Dum<'_>,
    rng: &mut Rng,
    refer: Handle<ServerRefer>,
) -> Result<(), SessionError> {
    let profile = mood(dum, &phone.profile, rng, true);
    let call = refer.follow(dum, &profile, Some(&offer(rng)))?;
    phone.calls.push(call.session());
    phone.made += 1;
    Ok(())
}

/// What one person does with calls that are up, or that he is sent to.
fn go_on(phone: &mut Phone, dum: &mut Dum<'_>, rng: &mut Rng) {
    let late = phone.calls.iter().rev().take(OLD).copied();
    let up: Vec<_> = late.filter(|call| call.is_connected(dum)).collect();
    let what = rng.range(5);
    let _ = match (what, &up[..]) {
        (0, [_, ..]) => recent(&up, rng).hold(dum),
        (1, [_, ..]) => recent(&up, rng).resume(dum),
        // To whom another call leads, in our place.
        (2, [_, _, ..]) => recent(&up, rng).refer_to_call(dum, recent(&up, rng)).map(drop),
        (3, _) if !phone.refers.is_empty() => {
            let refer = recent(&phone.refers, rng);
            follow(phone, dum, rng, refer)
        }
        (4, [_, ..]) => {
            let (call, node) = (recent(&up, rng), NAMES.iter().position(|name| *name == phone.name).unwrap());
            let contact = format!("<sip:{}-{}@{}>", phone.name, rng.range(1000), address(node));
            phone.moved.insert(call);
            if rng.chance(0.2) {
                phone.away.insert(call.replaces(dum).expect("it has a dialog").call_id.as_str().to_owned());
                call.set_contact(dum, &nowhere(phone.name))
            } else {
                call.set_contact(dum, &NameAddr::parse(&contact).unwrap())
            }
        }
        _ => Ok(()),
    };
}

/// Mostly a late one: those are alive.
fn recent<T: Copy>(all: &[T], rng: &mut Rng) -> T {
    let back = if rng.chance(0.7) { 3 } else { all.len() as u64 };
    all[all.len() - 1 - (rng.range(back) as usize).min(all.len() - 1)]
}

fn recent_of<T: Copy>(all: &[T], rng: &mut Rng) -> Option<T> {
    (!all.is_empty()).then(|| recent(all, rng))
}

/// An answer to what was offered last: who is held receives at most (RFC 3264 §6.1).
pub(crate) fn fitting(phone: &Phone, call: Handle<InviteSession>, rng: &mut Rng) -> Sdp {
    let offered = phone.offered.get(&call).copied().unwrap_or(Direction::SendRecv);
    let offered = if rng.chance(0.1) { Direction::Inactive } else { offered };
    directed_answer(offered, 1000 + rng.range(1000) as u16)
}

pub(crate) fn directed_answer(offered: Direction, port: u16) -> Sdp {
    directed(port, Direction::new(offered.receives(), offered.sends()))
}

/// Calls that last for ever would refresh their sessions for ever, and subscriptions would be told for ever.
fn end_old(phone: &mut Phone, dum: &mut Dum<'_>) {
    fn old<T>(all: &[T], keep: usize) -> &[T] {
        let old = all.len().saturating_sub(keep);
        &all[old.saturating_sub(8)..old]
    }
    for call in old(&phone.calls, OLD) {
        let _ = call.end(dum);
    }
    for set in old(&phone.watching.sets, OLD / 4) {
        let _ = set.end(dum);
    }
    for watcher in old(&phone.watchers, OLD / 4) {
        let _ = watcher.terminate(dum, TerminateReason::NoResource, None, None);
    }
}

/// What one person does with subscriptions.
fn watch(phone: &mut Phone, dum: &mut Dum<'_>, rng: &mut Rng, forks: f64) {
    let profile = phone.profile.clone();
    let what = rng.range(12);
    if what < 2 || phone.watching.sets.is_empty() {
        let (target, profile) = match forks > 0.0 && rng.chance(forks) {
            true => (both(), phone.by_proxy.clone()),
            false => (somebody(rng), profile),
        };
        let profile = if rng.chance(0.05) { stranger(&profile, rng) } else { profile };
        let subscribe = dum.make_subscribe(&profile, &target, "dialog");
        return phone.watching.sets.push(dum.send_subscribe(&profile, subscribe).unwrap());
    }
    if what < 4 {
        let set = recent(&phone.watching.sets, rng);
        let first = set.subscriptions(dum).ok().and_then(|all| all.first().copied());
        let _ = match first {
            Some(subscription) if rng.chance(0.6) => subscription.refresh(dum),
            Some(subscription) if rng.chance(0.3) => subscription.end(dum),
            _ if rng.chance(0.3) => set.end(dum),
            _ => Ok(()),
        };
        return;
    }
    if phone.watchers.is_empty() {
        return;
    }
    let watcher = recent(&phone.watchers, rng);
    let state = if rng.chance(0.2) { SubscriptionState::Pending } else { SubscriptionState::Active };
    let document = next_document(phone, watcher).to_contents();
    let _ = match what {
        4..=7 => watcher.accept(dum, state, Some(&document)),
        8..=9 => watcher.notify(dum, state, Some(&document)),
        10 if rng.chance(0.3) => watcher.terminate(dum, TerminateReason::NoResource, None, Some(&document)),
        11 if rng.chance(0.3) => refuse(phone, dum, watcher),
        _ => Ok(()),
    };
}

/// Somebody may not watch; of that nobody is told.
pub(crate) fn refuse(
    phone: &mut Phone,
    dum: &mut Dum<'_>,
    watcher: Handle<ServerSubscription>,
) -> Result<(), SubscriptionError> {
    watcher.reject(dum, 603, |_| {}).map(|()| phone.watching.watchers_ended += 1)
}

/// What a watcher is told: who it is, to its notifier, and a number that no other document has.
pub(crate) fn next_document(phone: &mut Phone, watcher: Handle<ServerSubscription>) -> DialogInfo {
    let at = phone.watchers.iter().position(|known| *known == watcher).expect("it came");
    phone.watching.documents += 1;
    let (version, entity) = (phone.watching.documents, format!("sip:{at}@{}", phone.name));
    DialogInfo { version, state: DocumentState::Full, entity, dialogs: Vec::new() }
}
