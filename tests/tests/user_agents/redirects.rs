//! Calls that are sent elsewhere: where callees send them, and what callers make of it.

use crate::phone::Phone;
use crate::unsent::nowhere;
use crate::world::{NAMES, address, aor, both};
use dum::invite::{ServerInviteSession, Session, SessionError};
use dum::{Dum, Handle};
use rutil::Rng;
use stack::header::{HeaderValue, NameAddr};

/// The node at which there is nobody.
const NOBODY: usize = 76;

/// Sends a caller elsewhere: to one or several others, to this user agent by this name or another, to the caller himself, to
/// nobody, to where it forks; so that some go round in a circle.
pub(crate) fn redirect(
    phone: &mut Phone,
    dum: &mut Dum<'_>,
    rng: &mut Rng,
    call: Handle<ServerInviteSession>,
) -> Result<(), SessionError> {
    let contacts: Vec<_> = (0..=rng.range(3)).map(|_| contact(phone.name, rng)).collect();
    call.redirect(dum, &contacts)?;
    phone.hear("redirects");
    let call_id = phone.taken.get(&call.session()).expect("it has not been told its end").clone();
    phone.redirected.insert(call_id);
    Ok(())
}

fn contact(own: &str, rng: &mut Rng) -> NameAddr<'static> {
    let contact = match rng.range(8) {
        0 => both(),
        1 => {
            let node = NAMES.iter().position(|name| *name == own).expect("a phone");
            NameAddr::parse(&format!("<sip:{own}-{}@{}>", rng.range(3), address(node))).unwrap().into_owned()
        }
        2 if rng.chance(0.5) => NameAddr::parse(&format!("<sip:nobody@{}>", address(NOBODY))).unwrap().into_owned(),
        3 if rng.chance(0.2) => nowhere("nobody"),
        _ => aor(rng.range(3) as usize),
    };
    match rng.chance(0.5) {
        true => contact.with("q", format!("0.{}", rng.range(1000))),
        false => contact,
    }
}
