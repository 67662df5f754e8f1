//! The next hop of a message that is sent on.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use super::framed::Framed;
use super::{TICK, client};
use crate::{now, peers, raw};

/// How many addresses are tried for a port that is free for both transports.
const ADDRESSES: usize = 16;

/// A user agent on one port of UDP and TCP: over which of them a request comes is the sender's choice, and that of its
/// size (RFC 3261 §18.1.1).
#[derive(Debug)]
pub(super) struct NextHop {
    udp: UdpSocket,
    tcp: TcpListener,
    streams: Vec<Framed>,
}

/// A message and how it came.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) bytes: Vec<u8>,
    pub(super) way: Way,
}

/// By which socket a message came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Udp(SocketAddr),
    /// The number of the connection.
    Tcp(usize),
}

impl NextHop {
    pub(super) fn bind() -> io::Result<Self> {
        let both = || {
            let tcp = TcpListener::bind((peers::loopback(), 0))?;
            tcp.set_nonblocking(true)?;
            let udp = UdpSocket::bind(tcp.local_addr()?)?;
            Ok(Self { udp, tcp, streams: Vec::new() })
        };
        (1..ADDRESSES).find_map(|_| both().ok()).map_or_else(both, Ok)
    }

    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        self.udp.local_addr().map_err(|e| e.to_string())
    }

    /// What has arrived, or arrives in a moment.
    pub(super) fn poll(&mut self) -> Result<Option<Arrived>, String> {
        if let Ok((stream, _)) = self.tcp.accept() {
            stream.set_nonblocking(false).map_err(|e| e.to_string())?;
            self.streams.push(Framed::new(stream));
        }
        for (number, stream) in self.streams.iter_mut().enumerate() {
            if let Some(bytes) = stream.next(now() + TICK)? {
                return Ok(Some(Arrived { bytes, way: Way::Tcp(number) }));
            }
        }
        let datagram = client::receive(&self.udp, now() + TICK)?;
        Ok(datagram.map(|(bytes, from)| Arrived { bytes, way: Way::Udp(from) }))
    }

    /// Answers a request the way it came.
    pub(super) fn answer(&mut self, request: &Arrived, status: u16) -> Result<(), String> {
        let response = raw::response(&request.bytes, status);
        match request.way {
            Way::Udp(from) => self.udp.send_to(&response, from).map(drop).map_err(|e| format!("send: {e}")),
            Way::Tcp(number) => match self.streams.get_mut(number) {
                Some(stream) => stream.send(&response),
                None => Ok(()),
            },
        }
    }
}
