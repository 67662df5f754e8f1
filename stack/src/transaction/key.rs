//! What a server transaction is matched by (RFC 3261 §17.2.3).

use super::ids::{MAGIC_COOKIE, write_hex};
use crate::header::{HeaderError, HeaderId, Method, h, p};
use crate::message::Message;
use crate::scanner::TopVia;
use crate::uri::Host;
use rutil::Rng;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// A server transaction's key: a keyed 128-bit hash of what RFC 3261 §17.2.3 compares. The hash key is secret and
/// random, so a peer can neither find two requests that share a key nor crowd a table; and a retired transaction
/// keeps sixteen octets instead of a branch, a host and a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(pub(crate) u128);

impl ServerKey {
    /// The To tag of responses that the stack itself makes: the same for every response to one request, with a
    /// transaction (RFC 3261 §8.2.6.2) or without (§8.2.7), kept nowhere, and known again in the ACK.
    pub(crate) fn own_tag(self) -> String {
        format!("{:016x}", self.0 as u64)
    }

    /// Whether a request has [`ServerKey::own_tag`] in its To. Almost none has: the text is looked for before To is read.
    pub(crate) fn is_tag_of(self, msg: &Message) -> bool {
        let mut tag = [0; 16];
        write_hex(&mut tag, self.0 as u64);
        let to = msg.raw_value(HeaderId::TO).unwrap_or_default();
        let there = to.windows(tag.len()).any(|part| part == tag);
        there && msg.header(h::TO).is_ok_and(|to| to.param(p::TAG).is_some_and(|own| own.as_bytes() == tag))
    }
}

/// Makes keys; all shards of a stack share one.
#[derive(Clone)]
pub struct KeyMaker {
    secret: (u64, u64),
}

/// INVITE and its ACK meet; a CANCEL is a transaction of its own.
const INVITE: u8 = 1;
const CANCEL: u8 = 2;
const OTHER: u8 = 3;

impl KeyMaker {
    /// Draws a secret.
    pub fn new(rng: &mut Rng) -> Self {
        KeyMaker { secret: (rng.next_u64(), rng.next_u64()) }
    }

    /// The key of the transaction that a request begins or belongs to.
    pub(crate) fn of_request(
        &self,
        msg: &Message,
        via: &TopVia<'_>,
        method: &Method<'_>,
    ) -> Result<ServerKey, HeaderError> {
        self.key(msg, via, method)
    }

    /// For a CANCEL: the key of the INVITE that it means (RFC 3261 §9.2).
    pub(crate) fn of_cancelled(&self, msg: &Message, via: &TopVia<'_>) -> Result<ServerKey, HeaderError> {
        self.key(msg, via, &Method::Invite)
    }

    fn key(&self, msg: &Message, via: &TopVia<'_>, method: &Method<'_>) -> Result<ServerKey, HeaderError> {
        let mut hash = Lower(SipHasher13::new_with_keys(self.secret.0, self.secret.1));
        match via.branch {
            Some(branch) if is_rfc3261(branch) => {
                hash.put(branch);
                hash.end();
                match via.host {
                    Host::Name(name) => hash.put(name),
                    Host::V4(address) => hash.0.write(&address.octets()),
                    Host::V6(address) => hash.0.write(&address.octets()),
                }
                hash.0.write_u16(via.port.unwrap_or(0));
            }
            _ => self.rfc2543(msg, &mut hash)?,
        }
        match method {
            Method::Invite | Method::Ack => hash.0.write_u8(INVITE),
            Method::Cancel => hash.0.write_u8(CANCEL),
            other => {
                hash.0.write_u8(OTHER);
                hash.0.write(other.as_str().as_bytes());
            }
        }
        Ok(ServerKey(hash.0.finish128().as_u128()))
    }

    /// Without the cookie: Request-URI, From tag, Call-ID, CSeq number and the whole top Via. The To tag is left
    /// out: an ACK brings the response's, and within a pending transaction the rest is enough.
    fn rfc2543(&self, msg: &Message, hash: &mut Lower) -> Result<(), HeaderError> {
        hash.0.write(msg.request_uri_text());
        hash.end();
        hash.put(msg.header(h::FROM)?.param(p::TAG).unwrap_or(""));
        hash.end();
        let call_id = msg.raw_value(HeaderId::CALL_ID).unwrap_or(&[]);
        hash.0.write(call_id);
        hash.end();
        hash.0.write_u32(msg.header(h::CSEQ)?.number);
        hash.0.write(msg.raw_value(HeaderId::VIA).unwrap_or(&[]));
        hash.end();
        Ok(())
    }

    /// The shard that a request belongs to, of so many, by its Call-ID: so an INVITE, its CANCEL and its ACK meet, and so
    /// do all requests of a dialog, which then stay in order, and merged ones.
    pub(crate) fn shard(&self, msg: &Message, shards: usize) -> usize {
        if shards <= 1 {
            return 0;
        }
        let mut hash = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hash.write(msg.raw_value(HeaderId::CALL_ID).unwrap_or(&[]));
        (hash.finish() % shards as u64) as usize
    }

    /// What a merged request shares with the one that was there first (RFC 3261 §8.2.2.2): From tag, Call-ID, CSeq.
    pub(crate) fn of_merge(&self, msg: &Message) -> Option<u128> {
        let mut hash = Lower(SipHasher13::new_with_keys(self.secret.1, self.secret.0));
        hash.put(msg.header(h::FROM).ok()?.param(p::TAG)?);
        hash.end();
        hash.0.write(msg.raw_value(HeaderId::CALL_ID)?);
        hash.end();
        let cseq = msg.header(h::CSEQ).ok()?;
        hash.0.write_u32(cseq.number);
        hash.0.write(cseq.method.as_str().as_bytes());
        Some(hash.0.finish128().as_u128())
    }
}

/// Whether a branch is globally unique: the cookie with something behind it (RFC 4475 §3.2.1 has one without).
pub(crate) fn is_rfc3261(branch: &str) -> bool {
    branch.len() > MAGIC_COOKIE.len()
        && branch.as_bytes()[..MAGIC_COOKIE.len()].eq_ignore_ascii_case(MAGIC_COOKIE.as_bytes())
}

/// Tokens are compared without regard to case (RFC 3261 §7.3.1).
struct Lower(SipHasher13);

impl Lower {
    fn put(&mut self, text: &str) {
        let mut chunk = [0u8; 64];
        for part in text.as_bytes().chunks(64) {
            let lower = &mut chunk[..part.len()];
            lower.copy_from_slice(part);
            lower.make_ascii_lowercase();
            self.0.write(lower);
        }
    }
    /// Keeps neighbours apart.
    fn end(&mut self) {
        self.0.write_u8(0xff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_stays_on_one_shard_and_dialogs_spread() {
        let keys = KeyMaker::new(&mut Rng::from_seed(1));
        let shard = |method: &str, branch: &str, call: u32| {
            let text =
                format!("{method} sip:a SIP/2.0\r\nVia: SIP/2.0/UDP b;branch={branch}\r\ni: call-{call}\r\n\r\n");
            keys.shard(&Message::parse(text.as_bytes()).unwrap(), 4)
        };
        let mut calls = [0; 4];
        for call in 0..1000 {
            let home = shard("INVITE", "z9hG4bK1", call);
            assert!(["z9hG4bK1", "z9hG4bK2", "3"].iter().all(|branch| shard("BYE", branch, call) == home));
            calls[home] += 1;
        }
        assert!(calls.iter().all(|calls| (150..350).contains(calls)), "{calls:?}");
    }
}
