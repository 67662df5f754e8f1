//! What is published, as the store of a lone proxy keeps it: a row for each resource beside those of the
//! addresses-of-record, by the name that other nodes would know it by.
//!
//! What clients have published is kept. The calls that the proxy tells are not: nobody would tell how they end.

use super::calls::is_of_call;
use super::compositor::{Compositor, Resource};
use crate::store::Journal;
use dum::publication::Document;
use rutil::Time;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// A publication in its row.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    etag: Cow<'a, str>,
    #[serde(rename = "type")]
    media: Cow<'a, str>,
    body: Cow<'a, str>,
    /// The second of Unix time in which it ends.
    expires: u64,
}

impl<'a> Stored<'a> {
    fn of(document: &'a Document, epoch: Duration) -> Option<Self> {
        let Document { etag, content_type, body, expires } = document;
        // All that is taken is XML or lines of text.
        let body = std::str::from_utf8(body).ok()?.into();
        let expires = (epoch + expires.since(Time::ZERO)).as_nanos().div_ceil(1_000_000_000) as u64;
        Some(Stored { etag: etag.into(), media: content_type.into(), body, expires })
    }
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
        let all: Vec<Stored<'_>> = all.filter_map(|document| Stored::of(document, epoch)).collect();
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
        for Stored { etag, media, body, expires } in all {
            let expires = Time::ZERO + Duration::from_secs(expires).saturating_sub(epoch);
            // Nothing lives longer than it could have been published now, whatever the clock was.
            let expires = expires.min(now + Duration::from_secs(self.limits.max_expires.into()));
            let body = body.into_owned().into_bytes().into();
            let document = Document { etag: etag.into_owned(), content_type: media.into_owned(), body, expires };
            if expires <= now || !self.limits.keeps(resource.package) {
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
