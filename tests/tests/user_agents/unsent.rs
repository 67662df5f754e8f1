//! What cannot be sent: to a name that there is none of, or where the transport says so at once. Who has ended a call so may be
//! the only one who knows; the other one hears of it as soon as he asks for something in it. And what comes along with the end
//! of a call: a body that nobody has asked for.

use crate::phone::Phone;
use crate::world::{ALICE, BOB, CAROL, World};
use dum::feature::{DumFeature, FeatureContext, Verdict};
use dum::invite::{Session, SessionError};
use dum::{DialogUsage, Dum, UsageEnded};
use rutil::Rng;
use stack::header::{HeaderValue, Method, NameAddr, h};
use stack::message::Message;

/// A name of somebody that leads nowhere, or to him while the network is well.
pub(crate) fn nowhere(user: &str) -> NameAddr<'static> {
    NameAddr::parse(&format!("<sip:{user}@{user}.example.net>")).unwrap().into_owned()
}

/// Half of the BYEs bring something along: what is known or is not, what it says it is or not.
pub(crate) struct Goodbye(pub(crate) Rng);

impl DumFeature for Goodbye {
    fn name(&self) -> &'static str {
        "goodbye"
    }

    fn outgoing_request(&mut self, msg: &mut Message, _: &mut FeatureContext<'_, '_>) -> Verdict {
        // Credentials may be for the body that it has.
        let fixed = msg.exists(h::AUTHORIZATIONS) || msg.exists(h::PROXY_AUTHORIZATIONS);
        if msg.method() == Some(Method::Bye) && !fixed && self.0.chance(0.5) {
            let kinds =
                ["text/plain", "application/sdp", "application/x-unknown", "multipart/mixed", "message/sipfrag"];
            let kind = kinds[self.0.range(kinds.len() as u64) as usize];
            msg.set_body(Some(kind), "good bye");
            if self.0.chance(0.3) {
                msg.push_back(h::REQUIRES, "unheard-of");
            }
        }
        Verdict::Pass
    }
}

/// Everybody asks for a change in the calls of which something was not sent: either side may be the only one that has the call,
/// or a change of it that could not be sent once more.
pub(crate) fn ask(world: &mut World) {
    // A change that waits still is given up (RFC 3261 §9.1).
    world.run(150_000);
    for node in [ALICE, BOB, CAROL] {
        let unsent = world.unsent();
        world.act(node, move |phone, dum| {
            for call in &phone.calls {
                let names = call.replaces(dum).filter(|_| call.is_connected(dum));
                if names.is_some_and(|names| unsent.contains(names.call_id.as_str())) {
                    let _ = call.resume(dum);
                }
            }
        });
        world.run(40_000);
    }
}

/// Everything has ended: no handle that there ever was leads anywhere, and nothing is noted of any.
pub(crate) fn none_dangles(phone: &Phone, dum: &mut Dum<'_>) {
    for call in &phone.calls {
        assert_eq!(call.end(dum), Err(SessionError::Ended(UsageEnded)));
        assert!(!call.is_alive(dum) && call.local_sdp(dum).is_none() && call.dialog(dum).is_none());
    }
    assert!(phone.refers.iter().all(|refer| refer.accept(dum).is_err()), "its subscription has ended");
    assert!(phone.watchers.iter().all(|watcher| watcher.package(dum).is_err()));
    let noted = [phone.offered.len(), phone.moved.len(), phone.taken.len(), phone.answered.len(), phone.joining.len()];
    assert_eq!(noted, [0; 5], "of calls that have ended");
}
