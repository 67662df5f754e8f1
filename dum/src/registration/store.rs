//! Where a registrar keeps its bindings.

use super::Binding;
use rutil::{HashMap, Keyed, Rng, Time};
use std::time::Duration;

/// Where a registrar keeps its bindings: reSIProcate's `RegistrationPersistenceManager`. It is called on the runner of the
/// stack and must not block: what is far away is kept here as a copy.
pub trait RegistrationPersistence {
    /// The bindings of an address ([`stack::uri::Uri::aor_key`]) that have not expired.
    fn read(&mut self, aor: &str, now: Time) -> Vec<Binding>;

    /// From now on these are the bindings of an address; none: it is not registered.
    ///
    /// # Errors
    /// [`StoreFull`]: nothing has changed.
    fn write(&mut self, aor: &str, bindings: Vec<Binding>, now: Time) -> Result<(), StoreFull>;
}

/// There is no room for another address. The REGISTER is answered 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for another address")]
pub struct StoreFull;

/// Bindings in memory.
#[derive(Debug)]
pub struct MemoryRegistrations {
    records: HashMap<String, Vec<Binding>>,
    limit: usize,
    swept: Time,
}

/// When it is full, what has expired is looked for so often at most.
const SWEEP: Duration = Duration::from_secs(1);

impl MemoryRegistrations {
    /// Room for so many addresses.
    pub fn new(limit: usize, rng: &mut Rng) -> Self {
        MemoryRegistrations { records: HashMap::with_hasher(Keyed::new(rng)), limit, swept: Time::ZERO }
    }

    /// How many addresses there are, those included whose bindings have expired and were not looked at since.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn sweep(&mut self, now: Time) {
        if now.since(self.swept) >= SWEEP {
            self.swept = now;
            self.records.retain(|_, bindings| bindings.iter().any(|binding| binding.expires > now));
        }
    }
}

impl RegistrationPersistence for MemoryRegistrations {
    fn read(&mut self, aor: &str, now: Time) -> Vec<Binding> {
        let Some(bindings) = self.records.get_mut(aor) else { return Vec::new() };
        bindings.retain(|binding| binding.expires > now);
        let left = bindings.clone();
        if left.is_empty() {
            self.records.remove(aor);
        }
        left
    }

    fn write(&mut self, aor: &str, bindings: Vec<Binding>, now: Time) -> Result<(), StoreFull> {
        if bindings.is_empty() {
            self.records.remove(aor);
            return Ok(());
        }
        if self.records.len() >= self.limit && !self.records.contains_key(aor) {
            self.sweep(now);
            if self.records.len() >= self.limit {
                return Err(StoreFull);
            }
        }
        self.records.insert(aor.to_owned(), bindings);
        Ok(())
    }
}
