//! Sockets, opened as the transports need them: non-blocking, one address family each.

use super::{TcpOptions, UdpOptions};
use mio::net::{TcpListener, TcpStream, UdpSocket};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Connections that wait in the kernel to be accepted.
const LISTEN_BACKLOG: i32 = 4096;

/// A bound UDP socket and the address that it got.
pub(super) fn open_udp(addr: SocketAddr, options: &UdpOptions) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // ICMP errors are kept in the socket's error queue.
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    }
    // Each datagram then says which of our addresses it came to. With times too, so that there are no more than three ways
    // to read.
    if addr.ip().is_unspecified() || options.timestamps {
        match addr.ip() {
            IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    setsockopt(&socket, sockopt::ReceiveTimestampns, &options.timestamps)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    mark(&socket, addr, options.dscp)?;
    if options.free_bind {
        bind_freely(&socket, addr)?;
    }
    socket.set_recv_buffer_size(options.receive_buffer)?;
    socket.set_send_buffer_size(options.send_buffer)?;
    socket.bind(&addr.into())?;
    let std = std::net::UdpSocket::from(socket);
    let local = std.local_addr()?;
    let socket = socket2::SockRef::from(&std);
    // Linux reports twice what it grants, for its own bookkeeping.
    let (receive, send) = (socket.recv_buffer_size()? / 2, socket.send_buffer_size()? / 2);
    tracing::info!(%local, receive_buffer = receive, send_buffer = send, "udp listening");
    Ok((UdpSocket::from_std(std), local))
}

/// Marks what the socket sends: the upper six bits of the octet that IPv4 calls type of service and IPv6 traffic class.
fn mark(socket: &Socket, addr: SocketAddr, dscp: u8) -> io::Result<()> {
    match u32::from(dscp) << 2 {
        0 => Ok(()),
        class if addr.is_ipv6() => socket.set_tclass_v6(class),
        class => socket.set_tos_v4(class),
    }
}

/// Lets the socket have an address that this machine does not have now.
fn bind_freely(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    match addr.is_ipv6() {
        true => socket.set_freebind_v6(true),
        false => socket.set_freebind_v4(true),
    }
}

/// A listening TCP socket and the address that it got.
pub(super) fn listen_tcp(addr: SocketAddr, options: &TcpOptions) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A restart need not wait until the old connections have left TIME_WAIT.
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if options.free_bind {
        bind_freely(&socket, addr)?;
    }
    // What is accepted inherits it.
    mark(&socket, addr, options.dscp)?;
    socket.bind(&addr.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    let std = std::net::TcpListener::from(socket);
    let local = std.local_addr()?;
    Ok((TcpListener::from_std(std), local))
}

/// Begins to connect from the listener's address, so that the peer sees the one that the Via names; from `local` where
/// the listener has all addresses. A link-local address is left to the kernel, which knows its interface.
pub(super) fn connect_tcp(
    bound: SocketAddr,
    local: Option<IpAddr>,
    peer: SocketAddr,
    options: &TcpOptions,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    mark(&socket, peer, options.dscp)?;
    let from = if bound.ip().is_unspecified() { local } else { Some(bound.ip()) };
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    if let Some(from) = from.filter(|ip| ip.is_ipv4() == peer.is_ipv4() && !link_local(ip)) {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    match socket.connect(&peer.into()) {
        Ok(()) => {}
        Err(e) if e.raw_os_error().map(Errno::from_raw) == Some(Errno::EINPROGRESS) => {}
        Err(e) => return Err(e),
    }
    Ok(TcpStream::from_std(socket.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::os::fd::AsFd;

    /// The octet that marks what a socket sends.
    fn class(socket: &impl AsFd, v6: bool) -> u32 {
        let socket = SockRef::from(socket);
        if v6 { socket.tclass_v6().unwrap() } else { socket.tos_v4().unwrap() }
    }

    /// The marks of a UDP socket, a listener, what is opened and what is accepted.
    fn marks(addr: &str, dscp: u8) -> [u32; 4] {
        let any: SocketAddr = addr.parse().unwrap();
        let (udp, _) = open_udp(any, &UdpOptions { dscp, ..UdpOptions::default() }).unwrap();
        let options = TcpOptions { dscp, ..TcpOptions::default() };
        let (listener, local) = listen_tcp(any, &options).unwrap();
        let opened = connect_tcp(any, None, local, &options).unwrap();
        let listener = std::net::TcpListener::from(std::os::fd::OwnedFd::from(listener));
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let v6 = any.is_ipv6();
        [class(&udp, v6), class(&listener, v6), class(&opened, v6), class(&accepted, v6)]
    }

    #[test]
    fn all_sockets_are_marked() {
        assert_eq!(marks("127.0.0.1:0", 0), [0; 4]);
        assert_eq!(marks("127.0.0.1:0", 40), [160; 4]);
        assert_eq!(marks("127.0.0.1:0", 63), [252; 4]);
        if !crate::transport::tests::has_v6() {
            return;
        }
        assert_eq!(marks("[::1]:0", 46), [184; 4]);
    }
}
