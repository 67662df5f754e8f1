//! Many datagrams in one system call.
//!
//! The headers that the kernel reads and writes hold raw pointers and so cannot move between threads, as a transport
//! does once before it runs; hence each thread has its own set. There is one set per address family because the
//! kernel writes the length of the address back into it, and one per direction because a sender leaves pointers behind.

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg, sendmmsg};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::thread::LocalKey;

/// Datagrams per system call.
pub(super) const BATCH: usize = 32;
/// Octets that the largest datagram has.
pub(super) const DATAGRAM: usize = 65_535;

type Headers<S> = RefCell<MultiHeaders<S>>;

thread_local! {
    static RECEIVE_V4: Headers<SockaddrIn> = headers();
    static RECEIVE_V6: Headers<SockaddrIn6> = headers();
    static SEND_V4: Headers<SockaddrIn> = headers();
    static SEND_V6: Headers<SockaddrIn6> = headers();
}

fn headers<S: SockaddrLike + Copy>() -> Headers<S> {
    RefCell::new(MultiHeaders::preallocate(BATCH, None))
}

/// Receives up to `most` datagrams, at most [`BATCH`], without waiting; `buffers` has [`DATAGRAM`] octets for each. Gives
/// each with its sender to `take`, and returns how many there were.
pub(super) fn receive(
    fd: RawFd,
    v6: bool,
    buffers: &mut [u8],
    most: usize,
    take: impl FnMut(&[u8], SocketAddr),
) -> io::Result<usize> {
    if v6 {
        receive_into(fd, &RECEIVE_V6, buffers, most, |s| SocketAddr::V6((*s).into()), take)
    } else {
        receive_into(fd, &RECEIVE_V4, buffers, most, |s| SocketAddr::V4((*s).into()), take)
    }
}

fn receive_into<S: SockaddrLike + Copy>(
    fd: RawFd,
    headers: &'static LocalKey<Headers<S>>,
    buffers: &mut [u8],
    most: usize,
    addr: impl Fn(&S) -> SocketAddr,
    mut take: impl FnMut(&[u8], SocketAddr),
) -> io::Result<usize> {
    headers.with_borrow_mut(|headers| {
        let mut chunks = buffers.chunks_exact_mut(DATAGRAM).take(most);
        let mut iovs: [_; BATCH] = std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
        let mut count = 0;
        for datagram in recvmmsg(fd, headers, iovs.iter_mut().take(most), MsgFlags::MSG_DONTWAIT, None)? {
            count += 1;
            if let Some(from) = &datagram.address {
                take(datagram.iovs().next().unwrap_or_default(), addr(from));
            }
        }
        Ok(count)
    })
}

/// Sends the first [`BATCH`] of `messages` without waiting; how many went. An error speaks of the first one.
pub(super) fn send<'a>(
    fd: RawFd,
    v6: bool,
    messages: impl Iterator<Item = (&'a [u8], SocketAddr)>,
) -> io::Result<usize> {
    if v6 {
        send_from(fd, &SEND_V6, messages, |a| match a {
            SocketAddr::V6(a) => Some(SockaddrIn6::from(a)),
            SocketAddr::V4(_) => None,
        })
    } else {
        send_from(fd, &SEND_V4, messages, |a| match a {
            SocketAddr::V4(a) => Some(SockaddrIn::from(a)),
            SocketAddr::V6(_) => None,
        })
    }
}

fn send_from<'a, S: SockaddrLike + Copy>(
    fd: RawFd,
    headers: &'static LocalKey<Headers<S>>,
    messages: impl Iterator<Item = (&'a [u8], SocketAddr)>,
    addr: impl Fn(SocketAddr) -> Option<S>,
) -> io::Result<usize> {
    headers.with_borrow_mut(|headers| {
        let mut iovs: SmallVec<[[IoSlice<'_>; 1]; BATCH]> = SmallVec::new();
        let mut addrs: SmallVec<[Option<S>; BATCH]> = SmallVec::new();
        for (bytes, to) in messages.take(BATCH) {
            iovs.push([IoSlice::new(bytes)]);
            addrs.push(addr(to));
        }
        let sent = sendmmsg(fd, headers, iovs.iter(), &addrs, [], MsgFlags::MSG_DONTWAIT)?;
        Ok(sent.count())
    })
}
