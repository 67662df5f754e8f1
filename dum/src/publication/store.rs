//! Where published documents are kept.

use bytes::Bytes;
use rutil::{HashMap, Keyed, Rng, Time};
use std::time::Duration;

/// Whose state it is, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// The address ([`stack::uri::Uri::aor_key`] of the Request-URI).
    pub aor: String,
    /// The event package.
    pub event: String,
}

/// A document that somebody has published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its entity-tag: by this it is refreshed, changed and removed.
    pub etag: String,
    /// Its type.
    pub content_type: String,
    /// The document.
    pub body: Bytes,
    /// When it ends.
    pub expires: Time,
}

/// Where published documents are kept: reSIProcate's `PublicationPersistenceManager`. It is called on the runner of the
/// stack and must not block.
pub trait PublicationPersistence {
    /// The documents of a resource that have not expired.
    fn read(&mut self, resource: &Resource, now: Time) -> Vec<Document>;

    /// From now on these are the documents of a resource.
    ///
    /// # Errors
    /// [`NotPublished`]: nothing has changed.
    fn write(&mut self, resource: &Resource, documents: Vec<Document>, now: Time) -> Result<(), NotPublished>;
}

/// Why documents are not kept. None of it is 503, by which a client would leave the server alone with everything (RFC 3261
/// §21.5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    /// The resource has as many as one may have. The PUBLISH is answered 403.
    #[error("no room for another document of this resource")]
    ResourceFull,
    /// There is no room for anybody's. The PUBLISH is answered 500 with Retry-After.
    #[error("no room for another document")]
    StoreFull,
    /// Somebody has changed what was to be changed. The PUBLISH is answered 412.
    #[error("the document is not there any more")]
    Gone,
}

impl NotPublished {
    /// The status of the response.
    pub fn status(self) -> u16 {
        match self {
            NotPublished::ResourceFull => 403,
            NotPublished::StoreFull => 500,
            NotPublished::Gone => 412,
        }
    }
}

/// Documents in memory.
#[derive(Debug)]
pub struct MemoryPublications {
    records: HashMap<Resource, Vec<Document>>,
    limit: usize,
    swept: Time,
}

/// When it is full, what has expired is looked for so often at most.
const SWEEP: Duration = Duration::from_secs(1);

/// Documents of one resource: one for each of its devices.
const MAX_DOCUMENTS: usize = 32;

impl MemoryPublications {
    /// Room for so many resources, with 32 documents each, as large as [`super::PublicationLimits::octets`] lets them be.
    pub fn new(limit: usize, rng: &mut Rng) -> Self {
        MemoryPublications { records: HashMap::with_hasher(Keyed::new(rng)), limit, swept: Time::ZERO }
    }

    /// How many resources there are, those included whose documents have expired and were not looked at since.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl PublicationPersistence for MemoryPublications {
    fn read(&mut self, resource: &Resource, now: Time) -> Vec<Document> {
        let Some(documents) = self.records.get_mut(resource) else { return Vec::new() };
        documents.retain(|document| document.expires > now);
        let left = documents.clone();
        if left.is_empty() {
            self.records.remove(resource);
        }
        left
    }

    fn write(&mut self, resource: &Resource, documents: Vec<Document>, now: Time) -> Result<(), NotPublished> {
        if documents.is_empty() {
            self.records.remove(resource);
            return Ok(());
        }
        if documents.len() > MAX_DOCUMENTS {
            return Err(NotPublished::ResourceFull);
        }
        if self.records.len() >= self.limit && !self.records.contains_key(resource) {
            if now.since(self.swept) >= SWEEP {
                self.swept = now;
                self.records.retain(|_, documents| documents.iter().any(|document| document.expires > now));
            }
            if self.records.len() >= self.limit {
                return Err(NotPublished::StoreFull);
            }
        }
        self.records.insert(resource.clone(), documents);
        Ok(())
    }
}
