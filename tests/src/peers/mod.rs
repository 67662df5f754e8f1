//! Real programs: our own `repro`, and the peers that it is tested against.

mod baresip;
mod chromium;
mod folder;
mod jssip;
mod kamailio;
mod linphone;
mod postgres;
mod process;
mod redis;
mod repro;
mod schemathesis;
mod sipp;

pub use baresip::Baresip;
pub use chromium::{browser, show};
pub use jssip::jssip;
pub use kamailio::Kamailio;
pub use linphone::Linphone;
pub use postgres::{Postgres, has_postgres};
pub use process::{Process, Unfinished};
pub use redis::Redis;
pub use repro::{PATIENT, Repro, example_binary, repro_binary, sip_binary, sipload_binary};
pub use schemathesis::{Schemathesis, schemathesis};
pub use sipp::{CallStats, Running, Sipp, SippError};

use std::env;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether the peer `program` can be used.
///
/// `SIP_TEST_SKIP` (names separated by commas) leaves a peer out on request. One that is not installed is left out as
/// well, but with `CI=true` that is a failure. What is left out is printed.
///
/// # Panics
/// If the peer is missing, was not left out on request, and `CI=true`.
pub fn available(program: &str) -> bool {
    let skip = env::var("SIP_TEST_SKIP").unwrap_or_default();
    if skip.split(',').any(|name| name.trim() == program) {
        crate::note_skip(&format!("SIP_TEST_SKIP names {program}"));
        return false;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
        return true;
    }
    crate::skip(&format!("{program} is not installed; install it, or name it in SIP_TEST_SKIP"));
    false
}

/// An address of 127.0.0.0/8 that no other test uses at this time, so that ports are free there.
///
/// Linux answers on the whole network without any set-up. The process number and a counter make the address.
pub fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let [.., count] = count.to_be_bytes();
    // 127.64.0.0 to 127.191.255.255: away from the low addresses that programs use by default.
    Ipv4Addr::new(127, 64 + (high ^ (count >> 1)) % 128, low, count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn addresses_are_of_loopback_and_differ() {
        let addresses: BTreeSet<_> = (0..200).map(|_| loopback()).collect();
        assert_eq!(addresses.len(), 200);
        assert!(addresses.iter().all(|a| a.is_loopback() && *a != Ipv4Addr::LOCALHOST));
    }
}
