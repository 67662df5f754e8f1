//! Datagrams that the kernel dropped, as `/proc/net/udp` has them: read when somebody asks, never on a message's way.
//!
//! `SO_RXQ_OVFL` would tell, but only with datagrams that come after a drop, and a set of headers that is used again
//! (`recvmmsg`, as nix has it) leaves no room for a control message once a datagram came without.

use std::fs;
use std::os::fd::RawFd;

/// One UDP socket in the kernel's table.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketEntry {
    inode: u64,
    v6: bool,
}

impl SocketEntry {
    /// Finds what the kernel calls this socket.
    pub(super) fn of(fd: RawFd, v6: bool) -> Option<Self> {
        let name = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
        let inode = name.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        Some(SocketEntry { inode, v6 })
    }

    /// How many it has dropped since it was opened: for want of room in the receive buffer, or by a filter.
    pub(super) fn drops(self) -> Option<u64> {
        let table = fs::read_to_string(if self.v6 { "/proc/net/udp6" } else { "/proc/net/udp" }).ok()?;
        drops_in(&table, self.inode)
    }
}

/// The columns are `sl local remote st tx:rx tr:when retrnsmt uid timeout inode ref pointer drops`.
fn drops_in(table: &str, inode: u64) -> Option<u64> {
    const INODE: usize = 9;
    let mut rows = table.lines().skip(1).map(|row| row.split_ascii_whitespace());
    rows.find_map(|mut columns| {
        let found = columns.nth(INODE)?.parse() == Ok(inode);
        if found { columns.last()?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_row_is_found_by_its_inode() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                      5: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 17\n\
                      6: 0100007F:13C5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0\n";
        assert_eq!([4711, 4712, 9].map(|inode| drops_in(table, inode)), [Some(17), Some(0), None]);
        assert_eq!(drops_in("", 1), None);
    }

    #[test]
    fn a_full_buffer_is_counted() {
        for (address, v6) in [("127.0.0.1:0", false), ("[::1]:0", true)] {
            if v6 && !crate::transport::tests::has_v6() {
                continue;
            }
            let full = UdpSocket::bind(address).expect("a free port");
            let entry = SocketEntry::of(full.as_raw_fd(), v6).expect("it is in the table");
            assert_eq!(entry.drops(), Some(0));
            let sender = UdpSocket::bind(address).unwrap();
            socket2::SockRef::from(&full).set_recv_buffer_size(4096).unwrap();
            (0..100).for_each(|_| drop(sender.send_to(&[0; 1000], full.local_addr().unwrap())));
            assert!(entry.drops().is_some_and(|drops| (50..100).contains(&drops)), "{:?}", entry.drops());
        }
    }
}
