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
    // Each datagram then says which of our addresses it came to.
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
        IpAddr::V6(ip) if ip.is_unspecified() => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        _ => {}
    }
    if options.reuse_port {
        socket.set_reuse_port(true)?;
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
    socket.bind(&addr.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    let std = std::net::TcpListener::from(socket);
    let local = std.local_addr()?;
    Ok((TcpListener::from_std(std), local))
}

/// Begins to connect from the listener's address, so that the peer sees the one that the Via names; from `local` where
/// the listener has all addresses. A link-local address is left to the kernel, which knows its interface.
pub(super) fn connect_tcp(bound: SocketAddr, local: Option<IpAddr>, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
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
