//! The octets that the transactions of a shard keep of messages, and the most that they may keep.

/// Octets of messages that all transactions of a shard keep, against their budget.
pub(super) struct Kept {
    octets: usize,
    most: usize,
}

/// What one transaction is counted with. It begins with nothing, and is given back to [`Kept::release`].
#[derive(Debug, Default)]
pub(super) struct Share(u32);

impl Kept {
    pub(super) fn new(most: usize) -> Self {
        Kept { octets: 0, most }
    }

    /// What all transactions keep now.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Whether a transaction that keeps so many octets may begin.
    pub(super) fn has_room(&self, octets: usize) -> bool {
        self.fits(&Share(0), octets)
    }

    /// Whether a transaction may keep so many octets instead of what it keeps. Less is always welcome.
    pub(super) fn fits(&self, share: &Share, octets: usize) -> bool {
        let before = share.0 as usize;
        octets <= before || (self.octets - before).saturating_add(octets) <= self.most
    }

    /// Counts a transaction that keeps so many octets from now on.
    pub(super) fn count(&mut self, share: &mut Share, octets: usize) {
        // No message has more octets than its index can count.
        let now = u32::try_from(octets).unwrap_or(u32::MAX);
        self.octets = self.octets - share.0 as usize + now as usize;
        share.0 = now;
    }

    /// The transaction has ended.
    pub(super) fn release(&mut self, share: &Share) {
        self.octets -= share.0 as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_given_back() {
        let mut kept = Kept::new(1000);
        let (mut a, mut b) = (Share::default(), Share::default());
        kept.count(&mut a, 600);
        kept.count(&mut b, 400);
        assert!(!kept.has_room(1) && kept.has_room(0));
        kept.count(&mut a, 100);
        assert_eq!(kept.octets(), 500);
        assert!(kept.has_room(500) && !kept.has_room(501));
        assert!(kept.fits(&a, 600) && !kept.fits(&a, 601) && !kept.fits(&a, usize::MAX));
        kept.release(&a);
        kept.release(&b);
        assert_eq!(kept.octets(), 0);
    }

    /// A request grows by its Via on its way out: what it then keeps above the budget only keeps others out.
    #[test]
    fn above_the_budget_only_less_fits() {
        let mut kept = Kept::new(10);
        let mut a = Share::default();
        kept.count(&mut a, 12);
        assert!(kept.fits(&a, 12) && kept.fits(&a, 11) && !kept.fits(&a, 13) && !kept.has_room(1));
        kept.release(&a);
        assert!(kept.has_room(10));
    }
}
