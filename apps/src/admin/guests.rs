//! How many connections each address has.

use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;

/// Those who are connected, by address. They are few, and each is looked at when one comes or goes.
#[derive(Clone)]
pub(super) struct Guests {
    here: Arc<Mutex<Vec<IpAddr>>>,
    most: usize,
}

/// One connection.
pub(super) struct Guest {
    of: Guests,
    address: IpAddr,
}

impl Guests {
    /// Nobody; `most` of one address may come.
    pub(super) fn new(most: usize) -> Self {
        Guests { here: Arc::default(), most }
    }

    /// One more comes, and is there until it is dropped; none when there are enough from there.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Guest> {
        let mut here = self.here.lock();
        let same = here.iter().filter(|other| **other == address).count();
        if same >= self.most {
            return None;
        }
        here.push(address);
        Some(Guest { of: self.clone(), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut here = self.of.here.lock();
        if let Some(at) = here.iter().position(|address| *address == self.address) {
            here.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let guests = Guests::new(2);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let first = guests.enter(one);
        let second = guests.enter(one);
        assert!(first.is_some() && second.is_some() && guests.enter(one).is_none());
        let third = guests.enter(other);
        assert!(third.is_some());
        drop(first);
        assert!(guests.enter(one).is_some());
    }
}
