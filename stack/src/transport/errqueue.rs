//! The error queue of a UDP socket: ICMP errors, each with the first octets of the datagram that it speaks of.

use super::TransportError;
use nix::cmsg_space;
use nix::libc::{SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, in6_pktinfo, sock_extended_err, sockaddr_in6};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recvmsg};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// A datagram that did not arrive.
pub(super) struct Returned {
    /// How many of its first octets came back.
    pub(super) size: usize,
    /// Where it was sent.
    pub(super) peer: SocketAddr,
    /// Why it did not arrive.
    pub(super) error: TransportError,
}

/// Takes the oldest error without waiting, and the octets that it quotes into `buffer`. `None`: it does not say that
/// the target is dead.
pub(super) fn take(fd: RawFd, v6: bool, buffer: &mut [u8]) -> io::Result<Option<Returned>> {
    if v6 {
        take_from(fd, buffer, |s: &SockaddrIn6| SocketAddr::V6((*s).into()))
    } else {
        take_from(fd, buffer, |s: &SockaddrIn| SocketAddr::V4((*s).into()))
    }
}

fn take_from<S: SockaddrLike>(
    fd: RawFd,
    buffer: &mut [u8],
    addr: impl Fn(&S) -> SocketAddr,
) -> io::Result<Option<Returned>> {
    // A socket with all addresses is told its own too, and before the error.
    let mut control = cmsg_space!(in6_pktinfo, sock_extended_err, sockaddr_in6);
    let mut quote = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<S>(fd, &mut quote, Some(&mut control), flags)?;
    let error = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => meaning(&error),
        _ => None,
    });
    let size = message.bytes;
    Ok(error.zip(message.address.as_ref()).map(|(error, peer)| Returned { size, peer: addr(peer), error }))
}

/// RFC 3261 §18.4: what is unreachable and what has a problem with a parameter are failures; source quench and time
/// exceeded are not. Nor is a datagram too large for the path: the system divides the next one.
fn meaning(error: &sock_extended_err) -> Option<TransportError> {
    match (error.ee_origin, error.ee_type, error.ee_code) {
        // RFC 792: destination unreachable (3), because of its size (code 4), its port (code 3); parameter problem (12).
        (SO_EE_ORIGIN_ICMP, 3, 4) => None,
        (SO_EE_ORIGIN_ICMP, 3, 3) => Some(TransportError::Refused),
        (SO_EE_ORIGIN_ICMP, 3 | 12, _) => Some(TransportError::Unreachable),
        // RFC 4443: destination unreachable (1), because of its port (code 4); parameter problem (4).
        (SO_EE_ORIGIN_ICMP6, 1, 4) => Some(TransportError::Refused),
        (SO_EE_ORIGIN_ICMP6, 1 | 4, _) => Some(TransportError::Unreachable),
        // Among these is what this machine itself says of a datagram too large: whoever sent it has heard so.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_that_the_target_is_dead_is_a_failure() {
        use TransportError::{Refused, Unreachable};
        let (local, v4, v6) = (1, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6);
        for (origin, kind, code, expected) in [
            (v4, 3, 3, Some(Refused)),
            (v4, 3, 0, Some(Unreachable)),
            (v4, 3, 1, Some(Unreachable)),
            (v4, 3, 13, Some(Unreachable)),
            (v4, 12, 0, Some(Unreachable)),
            (v4, 3, 4, None),
            (v4, 4, 0, None),
            (v4, 11, 0, None),
            (v6, 1, 4, Some(Refused)),
            (v6, 1, 0, Some(Unreachable)),
            (v6, 1, 1, Some(Unreachable)),
            (v6, 4, 1, Some(Unreachable)),
            (v6, 2, 0, None),
            (v6, 3, 0, None),
            (local, 3, 3, None),
            (local, 0, 0, None),
        ] {
            let error = sock_extended_err {
                ee_errno: 0,
                ee_origin: origin,
                ee_type: kind,
                ee_code: code,
                ee_pad: 0,
                ee_info: 0,
                ee_data: 0,
            };
            assert_eq!(meaning(&error), expected, "origin {origin}, type {kind}, code {code}");
        }
    }
}
