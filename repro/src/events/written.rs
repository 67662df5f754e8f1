//! A publication as it is written down: in a row of the store, and for other nodes.

use dum::publication::Document;
use rutil::Time;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What both write of a publication, before what each adds.
#[derive(Serialize, Deserialize)]
pub(super) struct Written<'a> {
    etag: Cow<'a, str>,
    #[serde(rename = "type")]
    media: Cow<'a, str>,
    body: Cow<'a, str>,
}

impl<'a> Written<'a> {
    /// None for what is no text: all that is taken is XML or lines of text.
    pub(super) fn of(document: &'a Document) -> Option<Self> {
        let body = std::str::from_utf8(&document.body).ok()?.into();
        Some(Written { etag: (&*document.etag).into(), media: (&*document.content_type).into(), body })
    }

    /// The publication, which ends at `expires`.
    pub(super) fn document(self, expires: Time) -> Document {
        let body = self.body.into_owned().into_bytes().into();
        Document { etag: self.etag.into_owned(), content_type: self.media.into_owned(), body, expires }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compositor::{Compositor, Resource};
    use super::super::package::Package;
    use super::super::shared::{Published, Teller};
    use crate::cluster::Nodes;
    use crate::config;
    use dum::publication::Document;
    use rutil::{Rng, Time};
    use std::time::Duration;

    /// How long after 1970 time zero is.
    const EPOCH: Duration = Duration::from_millis(1_000_500);
    const SAME: &str = r#""etag":"e1","type":"application/pidf+xml","body":"<a b=\"1\"/>ä""#;
    /// Rounded up: nothing expires early.
    const SECOND: u64 = 1_061;

    fn document(millis: u64) -> Document {
        let (content_type, body) = ("application/pidf+xml".into(), "<a b=\"1\"/>ä".into());
        Document { etag: "e1".into(), content_type, body, expires: Time::from_millis(millis) }
    }

    /// Other versions of the program read what this one writes, and it reads what they have written.
    #[test]
    fn other_nodes_get_this_and_read_it() {
        let nodes = Nodes::default();
        let teller = Some(Teller { node: nodes.node("a"), life: 7 });
        for (teller, rest) in [(None, ",\"life\":0}"), (teller, ",\"node\":\"a\",\"life\":7}")] {
            let mut published = Published { field: "f".into(), turn: 3, document: document(60_200), teller };
            let (text, second) = published.write(EPOCH).unwrap();
            assert_eq!((text.clone(), second), (format!("{{{SAME}{rest}"), SECOND));
            published.document = document(60_500);
            assert_eq!(Published::read(&text, ("f", 3, second), (EPOCH, &nodes)).unwrap(), published);
        }
        let binary = Published {
            document: Document { body: vec![0xff].into(), ..document(1) },
            field: "f".into(),
            turn: 1,
            teller: None,
        };
        assert_eq!(binary.write(EPOCH), None);
    }

    #[test]
    fn the_store_gets_this_and_it_is_read() {
        let limits = || config::Events { packages: Package::ALL.into(), ..config::Events::default() };
        let compositor = || Compositor::new(limits(), &mut Rng::from_seed(1));
        let resource = Resource { package: Package::Presence, aor: "a@example.com".into() };
        let (first, next, mut text) = (compositor(), compositor(), Vec::new());
        first.replace(&resource, None, Some(document(60_200)), Time::ZERO).unwrap();
        let last = first.write(&resource, (Time::ZERO, EPOCH), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!((text.clone(), last), (format!("[{{{SAME},\"expires\":{SECOND}}}]"), Some(SECOND)));
        assert_eq!(next.restore(&resource, &text, (Time::ZERO, EPOCH)).unwrap(), 0);
        let restored: Vec<_> = next.documents(&resource, Time::ZERO).into_iter().map(|(_, one)| one).collect();
        assert_eq!(restored, [document(60_500)]);
    }
}
