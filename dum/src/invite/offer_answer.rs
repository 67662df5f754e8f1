//! Offer and answer (RFC 3264, RFC 6337): who has offered, and what was agreed.
//!
//! ```text
//!                 SendOffer                    ReceiveOffer
//!    OfferSent ◄───────────── Stable ─────────────────────► OfferReceived
//!        │   ReceiveAnswer       ▲  ▲      SendAnswer            │
//!        └──────agreed───────────┘  └────────agreed──────────────┘
//!        └──────Refused──────────┘  └────────Refused─────────────┘   what was agreed before stays (RFC 6141)
//! ```

use Exchange::*;
use Move as M;
use bytes::Bytes;
use stack::contents::sdp::{Sdp, SdpError};

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Exchange {
    /// Nobody's: either side may offer.
    #[default]
    Stable,
    /// The peer's to answer.
    OfferSent,
    /// Ours to answer.
    OfferReceived,
}

/// What a side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Move {
    SendOffer,
    SendAnswer,
    ReceiveOffer,
    ReceiveAnswer,
    /// The request with the offer was refused, by either side.
    Refused,
}

/// What a move comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// The description is kept until it is answered.
    Propose,
    /// Both descriptions count from now on.
    Agree,
    /// What was proposed is forgotten.
    RollBack,
    /// It was not this side's turn.
    Illegal,
}

#[cfg(test)]
pub(crate) const STATES: [Exchange; 3] = [Stable, OfferSent, OfferReceived];

#[cfg(test)]
pub(crate) const EVENTS: [Move; 5] = [M::SendOffer, M::SendAnswer, M::ReceiveOffer, M::ReceiveAnswer, M::Refused];

/// One step.
pub(crate) const fn step(state: Exchange, event: Move) -> (Exchange, Effect) {
    match (state, event) {
        (Stable, M::SendOffer) => (OfferSent, Effect::Propose),
        (Stable, M::ReceiveOffer) => (OfferReceived, Effect::Propose),
        (OfferSent, M::ReceiveAnswer) => (Stable, Effect::Agree),
        (OfferReceived, M::SendAnswer) => (Stable, Effect::Agree),
        (OfferSent | OfferReceived, M::Refused) => (Stable, Effect::RollBack),
        (same, _) => (same, Effect::Illegal),
    }
}

/// The machine with its descriptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfferAnswer {
    pub(crate) exchange: Exchange,
    /// What was agreed last: of this side, of the other.
    pub(crate) local: Option<Bytes>,
    pub(crate) remote: Option<Bytes>,
    /// The offer that is not answered.
    pub(crate) offer: Option<Bytes>,
}

impl OfferAnswer {
    /// That of an INVITE of ours with this body, before anybody has answered it.
    pub(crate) fn of_invite(body: Bytes) -> Self {
        let mut media = OfferAnswer::default();
        if !body.is_empty() {
            media.make(M::SendOffer, Some(body));
        }
        media
    }

    /// Whether a description may answer the offer: it has as many streams, of the same media in the same order (RFC 3264 §6).
    pub(crate) fn is_answered_by(&self, answer: &[u8]) -> bool {
        let Some(offer) = &self.offer else { return true };
        let (mut offered, mut answered) = (media(offer), media(answer));
        loop {
            match (offered.next(), answered.next()) {
                (None, None) => return true,
                (Some(offered), Some(answered)) if offered.eq_ignore_ascii_case(answered) => {}
                _ => return false,
            }
        }
    }

    /// Whether a description may be offered: no stream that was agreed on has gone (RFC 3264 §8).
    pub(crate) fn is_followed_by(&self, offer: &[u8]) -> bool {
        self.local.as_ref().is_none_or(|agreed| media(offer).count() >= media(agreed).count())
    }

    /// An offer or answer of this side, as it follows what was agreed: with the origin of that, and the next version where
    /// anything else differs (RFC 3264 §8).
    ///
    /// # Errors
    /// It has fewer streams.
    pub(crate) fn following(&self, description: Bytes) -> Result<Bytes, SdpError> {
        let Some(agreed) = &self.local else { return Ok(description) };
        let mut next = Sdp::parse(&description)?;
        next.continue_from(&Sdp::parse(agreed)?)?;
        Ok(next.print())
    }

    /// A description is sent or received, or what carried the offer was refused; whether it was legal. An illegal move
    /// changes nothing, nor does an answer that is none to the offer, or an offer that has lost a stream.
    pub(crate) fn make(&mut self, event: Move, body: Option<Bytes>) -> bool {
        let (next, effect) = step(self.exchange, event);
        match effect {
            Effect::Illegal => return false,
            Effect::Agree if body.as_ref().is_some_and(|answer| !self.is_answered_by(answer)) => return false,
            Effect::Propose if body.as_ref().is_some_and(|offer| !self.is_followed_by(offer)) => return false,
            Effect::Propose => self.offer = body,
            Effect::RollBack => self.offer = None,
            Effect::Agree => {
                let offer = self.offer.take();
                (self.local, self.remote) = if event == M::SendAnswer { (body, offer) } else { (offer, body) };
            }
        }
        self.exchange = next;
        true
    }
}

/// The media of a description, stream by stream.
fn media(sdp: &[u8]) -> impl Iterator<Item = &[u8]> {
    let streams = sdp.split(|octet| *octet == b'\n').filter_map(|line| line.strip_prefix(b"m="));
    streams.map(|line| line.split(|octet| *octet == b' ').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(moves: &[(Move, &'static str)]) -> (OfferAnswer, Vec<bool>) {
        let mut oa = OfferAnswer::default();
        let legal = moves.iter().map(|(event, body)| oa.make(*event, Some(Bytes::from_static(body.as_bytes()))));
        let legal = legal.collect();
        (oa, legal)
    }

    /// RFC 3264 §6.
    #[test]
    fn an_answer_has_the_streams_of_its_offer() {
        let sdp = |media: &[&str]| {
            let streams: String = media.iter().map(|kind| format!("m={kind} 4000 RTP/AVP 0\r\na=m=text\r\n")).collect();
            Bytes::from(format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n{streams}"))
        };
        let cases: [(&[&str], &[&str], bool); 8] = [
            (&["audio"], &["audio"], true),
            (&["audio", "video", "audio"], &["Audio", "VIDEO", "audio"], true),
            (&[], &[], true),
            (&["audio", "video"], &["audio"], false),
            (&["audio", "video"], &[], false),
            (&["audio"], &["audio", "video"], false),
            (&["audio", "video"], &["video", "audio"], false),
            (&["audio"], &["audi"], false),
        ];
        for (offer, answer, fits) in cases {
            for (first, second) in [(M::SendOffer, M::ReceiveAnswer), (M::ReceiveOffer, M::SendAnswer)] {
                let mut oa = OfferAnswer::default();
                assert!(oa.make(first, Some(sdp(offer))));
                assert_eq!(oa.make(second, Some(sdp(answer))), fits, "{offer:?} {answer:?}");
                assert_eq!((oa.exchange == Stable, oa.local.is_some()), (fits, fits), "it waits for another one");
            }
        }
    }

    #[test]
    fn what_is_agreed_stays_until_the_next_answer() {
        let (oa, legal) = made(&[(M::SendOffer, "o1"), (M::ReceiveAnswer, "a1"), (M::ReceiveOffer, "o2")]);
        assert_eq!(legal, [true; 3]);
        assert_eq!((oa.local.as_deref(), oa.remote.as_deref()), (Some(&b"o1"[..]), Some(&b"a1"[..])));
        let (oa, legal) = made(&[
            (M::SendOffer, "o1"),
            (M::ReceiveAnswer, "a1"),
            (M::ReceiveOffer, "o2"),
            (M::SendOffer, "glare"),
            (M::Refused, ""),
            (M::SendAnswer, "late"),
            (M::ReceiveOffer, "o3"),
            (M::SendAnswer, "a3"),
        ]);
        assert_eq!(legal, [true, true, true, false, true, false, true, true]);
        assert_eq!((oa.local.as_deref(), oa.remote.as_deref()), (Some(&b"a3"[..]), Some(&b"o3"[..])));
        assert_eq!(oa.offer, None);
    }
}
