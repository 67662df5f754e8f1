//! Many datagrams in one system call.
//!
//! The headers that the kernel reads and writes hold raw pointers and so cannot move between threads, as a transport
//! does once before it runs; hence each thread has its own sets. There is one set per address family because the
//! kernel writes the length of the address back into it, one per direction because a sender leaves pointers behind, and
//! one with and one without room for what the kernel says besides (our own address, the time), because it writes back what
//! it used of that room.

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike,
    recvmmsg, sendmmsg,
};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::thread::LocalKey;
use std::time::Duration;

/// Datagrams per system call.
pub(super) const BATCH: usize = 32;
/// Octets that the largest datagram has.
pub(super) const DATAGRAM: usize = 65_535;

type Headers<S> = RefCell<MultiHeaders<S>>;

thread_local! {
    static RECEIVE_V4: Headers<SockaddrIn> = headers(None);
    static RECEIVE_V6: Headers<SockaddrIn6> = headers(None);
    static RECEIVE_INFO_V4: Headers<SockaddrIn> = headers(Some(cmsg_space!(in_pktinfo)));
    static RECEIVE_INFO_V6: Headers<SockaddrIn6> = headers(Some(cmsg_space!(in6_pktinfo)));
    static RECEIVE_ALL_V4: Headers<SockaddrIn> = headers(Some(cmsg_space!(in_pktinfo, TimeSpec)));
    static RECEIVE_ALL_V6: Headers<SockaddrIn6> = headers(Some(cmsg_space!(in6_pktinfo, TimeSpec)));
    static SEND_V4: Headers<SockaddrIn> = headers(None);
    static SEND_V6: Headers<SockaddrIn6> = headers(None);
    static SEND_INFO_V4: Headers<SockaddrIn> = headers(Some(cmsg_space!(in_pktinfo)));
    static SEND_INFO_V6: Headers<SockaddrIn6> = headers(Some(cmsg_space!(in6_pktinfo)));
}

fn headers<S: SockaddrLike + Copy>(control: Option<Vec<u8>>) -> Headers<S> {
    RefCell::new(MultiHeaders::preallocate(BATCH, control))
}

/// What a socket was told to say of each datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing.
    Nothing,
    /// Which of our addresses it came to.
    Address,
    /// That, and when it came.
    AddressAndTime,
}

/// What the kernel says of a datagram, where the socket was told to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Besides {
    /// The address of ours that it came to: no group, as that is no address to answer from.
    pub(super) local: Option<IpAddr>,
    /// How long ago it came.
    pub(super) age: Duration,
}

/// Receives up to `MOST` datagrams, at most [`BATCH`], without waiting; `buffers` has [`DATAGRAM`] octets for each. Gives
/// each with its sender to `take`, and with what the socket was asked to say. Returns how many there were.
pub(super) fn receive<const MOST: usize>(
    fd: RawFd,
    (v6, asked): (bool, Asked),
    buffers: &mut [u8],
    take: impl FnMut(&[u8], SocketAddr, Besides),
) -> io::Result<usize> {
    if v6 {
        let headers = match asked {
            Asked::Nothing => &RECEIVE_V6,
            Asked::Address => &RECEIVE_INFO_V6,
            Asked::AddressAndTime => &RECEIVE_ALL_V6,
        };
        receive_into::<_, MOST>(fd, headers, buffers, |s| SocketAddr::V6((*s).into()), take)
    } else {
        let headers = match asked {
            Asked::Nothing => &RECEIVE_V4,
            Asked::Address => &RECEIVE_INFO_V4,
            Asked::AddressAndTime => &RECEIVE_ALL_V4,
        };
        receive_into::<_, MOST>(fd, headers, buffers, |s| SocketAddr::V4((*s).into()), take)
    }
}

fn receive_into<S: SockaddrLike + Copy, const MOST: usize>(
    fd: RawFd,
    headers: &'static LocalKey<Headers<S>>,
    buffers: &mut [u8],
    addr: impl Fn(&S) -> SocketAddr,
    mut take: impl FnMut(&[u8], SocketAddr, Besides),
) -> io::Result<usize> {
    headers.with_borrow_mut(|headers| {
        let mut chunks = buffers.chunks_exact_mut(DATAGRAM).take(MOST);
        let mut iovs: [_; MOST] = std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
        let mut count = 0;
        let mut wall = None;
        for datagram in recvmmsg(fd, headers, iovs.iter_mut(), MsgFlags::MSG_DONTWAIT, None)? {
            count += 1;
            if let Some(from) = &datagram.address {
                take(datagram.iovs().next().unwrap_or_default(), addr(from), besides(&datagram, &mut wall));
            }
        }
        Ok(count)
    })
}

/// `wall` is the wall clock, which the kernel's times are by; it is read for the first of a batch.
fn besides<S>(datagram: &RecvMsg<'_, '_, S>, wall: &mut Option<Duration>) -> Besides {
    let mut besides = Besides::default();
    for control in datagram.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                besides.local = Some(IpAddr::V4(info.ipi_spec_dst.s_addr.to_ne_bytes().into()));
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                besides.local = Some(IpAddr::V6(info.ipi6_addr.s6_addr.into()));
            }
            ControlMessageOwned::ScmTimestampns(came) => {
                let wall = wall.get_or_insert_with(|| {
                    clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from)
                });
                besides.age = wall.saturating_sub(came.into());
            }
            _ => {}
        }
    }
    besides.local = besides.local.filter(|ip| !ip.is_multicast());
    besides
}

/// Sends the first [`BATCH`] of `messages` without waiting, from the address `local` where one is given and the socket
/// has all; how many went. An error speaks of the first one.
pub(super) fn send<'a>(
    fd: RawFd,
    v6: bool,
    local: Option<IpAddr>,
    messages: impl Iterator<Item = (&'a [u8], SocketAddr)>,
) -> io::Result<usize> {
    let to_v4 = |a| match a {
        SocketAddr::V4(a) => Some(SockaddrIn::from(a)),
        SocketAddr::V6(_) => None,
    };
    let to_v6 = |a| match a {
        SocketAddr::V6(a) => Some(SockaddrIn6::from(a)),
        SocketAddr::V4(_) => None,
    };
    match local {
        Some(IpAddr::V4(ip)) if !v6 => {
            let address = |octets| in_addr { s_addr: u32::from_ne_bytes(octets) };
            let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address(ip.octets()), ipi_addr: address([0; 4]) };
            send_from(fd, &SEND_INFO_V4, messages, &[ControlMessage::Ipv4PacketInfo(&info)], to_v4)
        }
        Some(IpAddr::V6(ip)) if v6 => {
            let info = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 };
            send_from(fd, &SEND_INFO_V6, messages, &[ControlMessage::Ipv6PacketInfo(&info)], to_v6)
        }
        _ if v6 => send_from(fd, &SEND_V6, messages, &[], to_v6),
        _ => send_from(fd, &SEND_V4, messages, &[], to_v4),
    }
}

fn send_from<'a, S: SockaddrLike + Copy>(
    fd: RawFd,
    headers: &'static LocalKey<Headers<S>>,
    messages: impl Iterator<Item = (&'a [u8], SocketAddr)>,
    control: &[ControlMessage<'_>],
    addr: impl Fn(SocketAddr) -> Option<S>,
) -> io::Result<usize> {
    headers.with_borrow_mut(|headers| {
        let mut iovs: SmallVec<[[IoSlice<'_>; 1]; BATCH]> = SmallVec::new();
        let mut addrs: SmallVec<[Option<S>; BATCH]> = SmallVec::new();
        for (bytes, to) in messages.take(BATCH) {
            iovs.push([IoSlice::new(bytes)]);
            addrs.push(addr(to));
        }
        let sent = sendmmsg(fd, headers, iovs.iter(), &addrs, control, MsgFlags::MSG_DONTWAIT)?;
        Ok(sent.count())
    })
}
