//! The descriptions of calls without media: one audio stream that nobody sends on.

use dum::Dum;
use dum::Handle;
use dum::invite::{InviteSession, Session as _};
use stack::contents::sdp::{Direction, Format, Local, Sdp, SdpError, Stream};
use std::net::IpAddr;

/// RFC 863: what comes there is thrown away.
const DISCARD: u16 = 9;

/// An offer.
///
/// # Errors
/// [`SdpError`]: what the address says does not fit in.
pub(super) fn offer(address: IpAddr) -> Result<Sdp, SdpError> {
    with_audio(address, |here, audio| Sdp::offer(here, &[audio]))
}

/// Gives the answer to an offer.
///
/// # Errors
/// What is wrong with the offer, or that it is not the time for an answer.
pub(super) fn answer(
    address: IpAddr,
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    offer: &Sdp,
) -> Result<(), String> {
    let answer = with_audio(address, |here, audio| Sdp::answer_to(offer, here, &[audio]));
    let answer = answer.map_err(|error| error.to_string())?;
    call.provide_answer(dum, &answer).map_err(|error| error.to_string())
}

fn with_audio<R>(address: IpAddr, what: impl FnOnce(&Local<'_>, Stream<'_>) -> R) -> R {
    let local = Local { username: "-", session_id: 1, version: 1, address, name: "" };
    let formats = ["0", "8"].map(|format| Format { format, rtpmap: None, fmtp: None });
    let direction = Direction::Inactive;
    what(&local, Stream { kind: "audio", port: DISCARD, proto: "RTP/AVP", formats: &formats, direction })
}
