//! What is published, as the store of a lone proxy keeps it: a row for each resource beside those of the
//! addresses-of-record, by the name that other nodes would know it by.
//!
//! What clients have published is kept. The calls that the proxy tells are not: nobody would tell how they end.

use super::calls::is_of_call;
use super::compositor::{Compositor, Resource};
use super::written::Written;
use crate::location::{from_unix, to_unix};
use crate::store::Journal;
use rutil::Time;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A publication in its row.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(flatten, borrow)]
    document: Written<'a>,
    /// The second of Unix time in which it ends.
    expires: u64,
}

impl Compositor {
    /// Says where what is published is kept, before the first request.
    pub(crate) fn set_journal(&self, journal: Arc<Journal>) {
        // A second one would be of another store.
        let _ = self.journal.set(journal);
    }

    /// Has what is published for a resource written; nobody waits for that. Without room what is written is older than
    /// what is there: who names an entity-tag of it is answered 412 by the next process, and publishes anew.
    pub(super) fn note_for_store(&self, resource: &Resource) {
        if let Some(journal) = self.journal.get() {
            let _ = journal.note(&resource.shared_name());
        }
    }

    /// Writes what is published for a resource at `now`, as JSON, with the second of Unix time in which the last of it
    /// ends; `epoch` is how long after 1970 time zero is. None if there is nothing.
    ///
    /// # Errors
    /// What the writer of JSON says.
    pub(crate) fn write(
        &self,
        resource: &Resource,
        (now, epoch): (Time, Duration),
        text: &mut Vec<u8>,
    ) -> Result<Option<u64>, serde_json::Error> {
        text.clear();
        let documents = self.documents(resource, now);
        let all = documents.iter().map(|(_, document)| document).filter(|document| !is_of_call(document));
        let stored =
            |document| Some(Stored { document: Written::of(document)?, expires: to_unix(document.expires, epoch) });
        let all: Vec<_> = all.filter_map(stored).collect();
        serde_json::to_writer(text, &all)?;
        Ok(all.iter().map(|stored| stored.expires).max())
    }

    /// Takes over what [`Compositor::write`] has written and has not expired, of packages that are kept; what has no room is
    /// left out. Gives how many those that have none are.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn restore(
        &self,
        resource: &Resource,
        text: &str,
        (now, epoch): (Time, Duration),
    ) -> Result<usize, serde_json::Error> {
        let all: Vec<Stored<'_>> = serde_json::from_str(text)?;
        let mut left = 0;
        let mut kept = self.kept.lock();
        // Nothing lives longer than it could have been published now, whatever the clock was.
        let longest = now + Duration::from_secs(self.limits.max_expires.into());
        for Stored { document, expires } in all {
            let document = document.document(from_unix(expires, epoch).min(longest));
            if document.expires <= now || !self.limits.keeps(resource.package) {
                continue;
            }
            match self.check(&kept, resource, None, &document) {
                Ok(()) => self.put(&mut kept, resource, None, Some((document, None))),
                Err(_) => left += 1,
            }
        }
        Ok(left)
    }
}
