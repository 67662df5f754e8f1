//! What carries the octets of a connection: TCP itself, or TLS over it (rustls, RFC 8446).
//!
//! Everything is non-blocking: what cannot go on says `WouldBlock`, and the socket's next edge takes it up again. What
//! TLS has encrypted and the socket did not take waits in its session, at most one batch of records: nothing more is
//! encrypted until it is out, so that back-pressure reaches the write queue.

use super::tls::TlsContext;
use crate::uri::parse_ip;
use mio::net::TcpStream;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, Connection as Session, ServerConnection};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

/// A connection's octets, in clear on this side.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// A TLS session over a socket.
pub(super) struct TlsStream {
    socket: TcpStream,
    session: Session,
    /// The latest read brought less than was asked for: the socket has no more.
    drained: bool,
}

/// A socket that is read through, which notes whether it gave less than it could have.
struct Noting<'a> {
    socket: &'a mut TcpStream,
    drained: &'a mut bool,
}

impl Read for Noting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.socket.read(buffer)?;
        *self.drained = size > 0 && size < buffer.len();
        Ok(size)
    }
}

/// TLS could not begin: the name cannot be one of a certificate.
#[derive(Debug, thiserror::Error)]
#[error("cannot begin TLS: {0}")]
pub(super) struct TlsStart(String);

impl Stream {
    /// A connection that a peer opened, with TLS if `tls` is there.
    pub(super) fn accepted(socket: TcpStream, tls: Option<&TlsContext>) -> Result<Self, TlsStart> {
        let Some(tls) = tls else { return Ok(Stream::Plain(socket)) };
        let session = ServerConnection::new(tls.server()).map_err(|e| TlsStart(e.to_string()))?;
        Ok(Stream::Tls(Box::new(TlsStream::new(socket, session.into()))))
    }

    /// A connection to `peer`, with TLS if `tls` is there. Then the peer must prove that it is `domain` (RFC 5922 §7.3), or
    /// where no name is known [`TlsContext::server_name`], or that it has the address.
    pub(super) fn connecting(
        socket: TcpStream,
        peer: SocketAddr,
        domain: Option<&str>,
        tls: Option<&TlsContext>,
    ) -> Result<Self, TlsStart> {
        let Some(tls) = tls else { return Ok(Stream::Plain(socket)) };
        let name = match domain.or(tls.server_name()).map(|d| (d, parse_ip(d))) {
            Some((_, Some(ip))) => ServerName::from(ip),
            Some((name, None)) => ServerName::try_from(name.to_owned()).map_err(|e| TlsStart(e.to_string()))?,
            None => ServerName::from(peer.ip()),
        };
        let session = ClientConnection::new(tls.client(), name).map_err(|e| TlsStart(e.to_string()))?;
        Ok(Stream::Tls(Box::new(TlsStream::new(socket, session.into()))))
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.socket,
        }
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &mut tls.socket,
        }
    }

    /// Whether the peers still negotiate: no octet of a message goes either way.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self, Stream::Tls(tls) if tls.session.is_handshaking())
    }

    /// The peer's certificate and those above it; none without TLS, or when it has shown none.
    pub(super) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        match self {
            Stream::Plain(_) => &[],
            Stream::Tls(tls) => tls.session.peer_certificates().unwrap_or_default(),
        }
    }

    /// Whether octets that were taken wait for the socket.
    pub(super) fn wants_write(&self) -> bool {
        matches!(self, Stream::Tls(tls) if tls.session.wants_write())
    }

    /// Whether the socket may have more, after `size` of `offered` octets were read: where it has none, to ask would
    /// cost a system call a message.
    pub(super) fn may_have_more(&self, size: usize, offered: usize) -> bool {
        size == offered || matches!(self, Stream::Tls(tls) if !tls.drained)
    }

    /// Whether the socket may take more, after `size` of `offered` octets were written.
    pub(super) fn may_take_more(&self, size: usize, offered: usize) -> bool {
        size == offered || matches!(self, Stream::Tls(tls) if !tls.session.wants_write())
    }

    /// Reads octets of messages; zero when the peer has ended. A TLS session goes on with its handshake meanwhile.
    /// `ending`: the peer's FIN may be behind what can be read, even if that is less than could have been.
    pub(super) fn read(&mut self, buffer: &mut [u8], ending: bool) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer, ending),
        }
    }

    /// Takes octets of messages, as many as go out now; TLS may keep a part of what it took for the next time.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write_vectored(slices),
            Stream::Tls(tls) => tls.write_vectored(slices),
        }
    }

    /// Gives the socket what waits for it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(tls) => tls.flush(),
        }
    }

    /// Says that nothing more will come from this side. What TLS has to say for that goes out as far as the socket takes
    /// it.
    pub(super) fn shut(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = self {
            tls.session.send_close_notify();
            match tls.flush() {
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                _ => {}
            }
        }
        self.socket().shutdown(Shutdown::Write)
    }
}

impl TlsStream {
    fn new(socket: TcpStream, session: Session) -> Self {
        TlsStream { socket, session, drained: false }
    }

    fn read(&mut self, buffer: &mut [u8], ending: bool) -> io::Result<usize> {
        // Whoever asks again has seen an edge.
        self.drained = false;
        loop {
            match self.session.reader().read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // A FIN without close_notify is the end as well: SIP messages have their own length.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if self.drained && !ending {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut socket = Noting { socket: &mut self.socket, drained: &mut self.drained };
            if self.session.read_tls(&mut socket)? == 0 {
                // Tells the session, whose reader says what it means.
                self.process()?;
                if self.session.is_handshaking() {
                    return Ok(0);
                }
                continue;
            }
            self.process()?;
        }
    }

    /// Decrypts what was read. The peer is told why its octets make no sense.
    fn process(&mut self) -> io::Result<()> {
        let processed = self.session.process_new_packets();
        let wrote = self.flush();
        processed.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        match wrote {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            wrote => wrote,
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush()?;
        let taken = self.session.writer().write_vectored(slices)?;
        match self.flush() {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}
