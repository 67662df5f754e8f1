//! The proxies that a REGISTER came through, and that requests to its contacts go through (RFC 3327 §5.3).
//!
//! Whoever may write a Path may have calls sent anywhere. So it is believed only because it comes from who may register,
//! and who may register may name any place as a Contact as well; its values have to be places as a Contact's are.

use super::outbound::supports;
use super::{RegisterError, Registrar};
use stack::header::{h, p};
use stack::message::Message;
use stack::selector::{Located, Target, locate_uri};
use std::sync::Arc;

/// The option tag of RFC 3327.
pub const PATH: &str = "path";
/// Most values of a Path.
const MOST_VALUES: usize = 8;
/// Most octets of a Path.
const MOST_PATH: usize = 1024;

/// The Path of a REGISTER.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Its values as a Route set, with commas between them.
    pub(super) text: Arc<str>,
    /// Where it leads first, unless that has a name.
    pub(super) first: Option<Target>,
    /// The proxy that the device sends to keeps its flows: `ob` in the last value, which is its own (RFC 5626 §6).
    pub(super) outbound: bool,
}

impl Registrar<'_> {
    /// Reads the Path, if there is one.
    pub(super) fn path(&self, request: &Message) -> Result<Option<Path>, RegisterError> {
        let bad = |why| Err(RegisterError::BadPath(why));
        if !request.exists(h::PATHS) {
            return Ok(None);
        }
        if !supports(request, PATH) {
            return Err(RegisterError::NoPathSupport);
        }
        let (mut text, mut first, mut outbound) = (String::new(), None, false);
        for (at, value) in request.header(h::PATHS).enumerate() {
            let value = value?;
            let Some(sip) = value.uri.sip() else { return bad("sip or sips URI expected") };
            // RFC 3327 §4: a value is a Route; and what a strict router makes of a request is no one's wish.
            if !sip.param(p::LR) {
                return bad("lr expected");
            }
            if at == 0 {
                self.check_reachable(&value.uri, None).map_err(|error| match error {
                    RegisterError::Unreachable(why) => RegisterError::BadPath(why),
                    other => other,
                })?;
                first = match locate_uri(sip) {
                    Ok(Located::At(target)) => Some(target),
                    _ => None,
                };
            } else {
                text.push_str(", ");
            }
            text.push_str(&value.to_string());
            outbound = sip.param(p::OB);
            if at >= MOST_VALUES || text.len() > MOST_PATH {
                return Err(RegisterError::TooLong("Path"));
            }
        }
        Ok((!text.is_empty()).then(|| Path { text: text.into(), first, outbound }))
    }
}
