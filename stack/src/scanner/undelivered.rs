//! Which transaction an ICMP error speaks of (RFC 3261 §18.4), by what it quotes of our datagram.
//!
//! A host quotes as much as makes 576 octets in all (RFC 1812 §4.3.2.3; over IPv6 1280, RFC 4443 §3.1). Our Via stands
//! before all others, near the beginning, so the branch is usually among them. An old router quotes no more than the UDP
//! header: then nothing is known, and the transaction's timers end it.
//!
//! The kernel checks of an error only that the datagram could be from our socket, so anybody can forge one who knows our
//! address. But the branch of a live transaction carries 58 random bits: only who was sent the request can name it, and
//! could as well have answered it.

use crate::transaction::ClientTransaction;
use memchr::memmem;

/// The key of the client transaction whose request begins with these octets, and its shard. `None`: it is not a request
/// of ours, or an ACK, whose transaction has its answer, or the branch is cut off.
pub(super) fn transaction_of(quote: &[u8]) -> Option<(u16, u64)> {
    // As we print it.
    const VIA: &[u8] = b"\r\nVia: ";
    const BRANCH: &[u8] = b";branch=";
    if quote.starts_with(b"SIP/2.0 ") || quote.starts_with(b"ACK ") {
        return None;
    }
    let via = quote.get(memmem::find(quote, VIA)? + VIA.len()..)?;
    let via = via.split(|b| matches!(b, b'\r' | b'\n')).next()?;
    let branch = via.get(memmem::find(via, BRANCH)? + BRANCH.len()..)?;
    let branch = branch.split(|b| matches!(b, b';' | b',' | b' ')).next()?;
    let id = ClientTransaction::from_branch(std::str::from_utf8(branch).ok()?)?;
    // A CANCEL has the branch of its INVITE.
    Some((id.shard(), id.key(quote.starts_with(b"CANCEL "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: u64 = 0x0123_4567_89ab_cdee;

    fn quote(method: &str, loop_hash: Option<u64>) -> Vec<u8> {
        let branch = ClientTransaction::new(3, ID).branch(loop_hash);
        let branch = std::str::from_utf8(branch.as_bytes()).unwrap();
        format!(
            "{method} sip:bob@192.0.2.9;branch=x SIP/2.0\r\nRecord-Route: <sip:192.0.2.1;lr>\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch};rport\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK0400000000000000aa\r\nMax-Forwards: 7"
        )
        .into_bytes()
    }

    #[test]
    fn a_request_of_ours_is_known_by_its_first_octets() {
        for hash in [None, Some(7)] {
            assert_eq!(transaction_of(&quote("INVITE", hash)), Some((3, ID)));
            assert_eq!(transaction_of(&quote("OPTIONS", hash)), Some((3, ID)));
            assert_eq!(transaction_of(&quote("CANCEL", hash)), Some((3, ID | 1)));
            assert_eq!(transaction_of(&quote("ACK", hash)), None);
        }
    }

    #[test]
    fn a_branch_that_is_cut_off_names_nobody() {
        let whole = quote("INVITE", Some(7));
        let end = memmem::find(&whole, b"cdee").unwrap() + 4;
        for length in 0..=whole.len() {
            let expected = (length >= end).then_some((3, ID));
            // Within the hash the number is there already.
            assert_eq!(transaction_of(&whole[..length]), expected, "{length} octets");
        }
    }

    #[test]
    fn responses_and_branches_of_others_name_nobody() {
        let request = String::from_utf8(quote("INVITE", None)).unwrap();
        let (_, headers) = request.split_once("\r\n").unwrap();
        assert_eq!(transaction_of(format!("SIP/2.0 200 OK\r\n{headers}").as_bytes()), None);
        assert_eq!(transaction_of(format!("SIP/2.0 200 in SIP/2.0\r\n{headers}").as_bytes()), None);
        assert_eq!(transaction_of(request.replace("z9hG4bK03", "z9hG4bK-3").as_bytes()), None);
        assert_eq!(transaction_of(request.replace("\r\nVia:", "\r\n Via:").as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_octets_are_too_strange(octets in proptest::collection::vec(any::<u8>(), 0..200), at in 0..150usize) {
            let mut mixed = quote("INVITE", None);
            mixed.splice(at..at, octets.iter().copied());
            transaction_of(&octets);
            transaction_of(&mixed);
        }
    }
}
