//! Who answers PUBLISH (RFC 3903 §6): `dum` knows the rules, [`Compositor`](super::Compositor) keeps what is published. This
//! checks what is to be published, and is between them.

use super::compositor::{Counted, Resource};
use super::package::Package;
use super::subscriber::resource_of;
use crate::proxy::Server;
use dum::publication::{
    Document, NotPublished, PublicationLimits, PublicationPersistence, ServerPublication, ServerPublicationHandler,
};
use dum::{Dum, Handle};
use rutil::Time;
use stack::header::h;
use stack::message::Message;
use std::sync::Arc;

type Publication = Handle<ServerPublication>;

/// Answers the PUBLISHs of a shard.
pub(super) struct Publisher {
    server: Arc<Server>,
    /// What was read last: what is written then is a change of this.
    read: Vec<Document>,
}

/// Why a PUBLISH is refused.
struct Refused {
    status: u16,
    /// What is wrong, for who looks at the response.
    warning: String,
}

impl Publisher {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Publisher { server, read: Vec::new() }
    }

    pub(super) fn set_server(&mut self, server: Arc<Server>) {
        self.server = server;
    }

    /// The package that a request is about, if its state is kept.
    fn package(&self, name: &str) -> Option<Package> {
        Package::of(name).filter(|package| self.server.config().events.keeps(*package))
    }

    /// Checks what a PUBLISH brings.
    fn check(&self, publish: &Message) -> Result<(), Refused> {
        let refused = |status, warning: &str| Err(Refused { status, warning: warning.to_owned() });
        let Some(package) = publish.header(h::EVENT).ok().and_then(|event| self.package(&event.value)) else {
            return refused(489, "nothing of this event package is published here");
        };
        if resource_of(publish).is_none() {
            return refused(404, "expected the SIP URI of a user");
        }
        let body = publish.body_bytes();
        if body.is_empty() {
            return Ok(());
        }
        let (main, sub) = package.media_type();
        if !publish.header(h::CONTENT_TYPE).is_ok_and(|own| own.is(main, sub)) {
            return refused(415, &format!("expected {main}/{sub}"));
        }
        let most = self.server.config().events.max_publication;
        let octets = match package.check(&body) {
            _ if body.len() > most => body.len(),
            Ok(octets) => octets,
            Err(error) => return refused(error.status(), &format!("the document cannot be read: {error}")),
        };
        if octets > most {
            return refused(413, &format!("the document has more than {most} octets"));
        }
        if package.is_partial(&body) {
            return refused(488, "a partial document is not taken: expected one with state=full");
        }
        Ok(())
    }

    fn answer(&self, dum: &mut Dum<'_>, publication: Publication, publish: &Message) {
        // One that is not there any more needs no answer.
        let _ = match self.check(publish) {
            Ok(()) => publication.accept(dum, |_| {}),
            Err(Refused { status, warning }) => {
                self.server.compositor().counts().count(Counted::RefusedPublication);
                tracing::debug!(status, warning, "publication refused");
                let events = &self.server.config().events.packages;
                let events = events.iter().map(|package| package.name()).collect::<Vec<_>>().join(", ");
                let media = publish.header(h::EVENT).ok().and_then(|event| self.package(&event.value));
                publication.reject(dum, status, |response| {
                    response.append_line("Warning", &format!("399 repro \"{warning}\""));
                    match (status, media.map(Package::media_type)) {
                        (489, _) => response.append_line("Allow-Events", &events),
                        (415, Some((main, sub))) => response.append_line("Accept", &format!("{main}/{sub}")),
                        _ => {}
                    }
                })
            }
        };
    }

    fn resource(&self, resource: &dum::publication::Resource) -> Option<Resource> {
        Some(Resource { package: self.package(&resource.event)?, aor: resource.aor.as_str().into() })
    }
}

impl ServerPublicationHandler for Publisher {
    fn persistence(&mut self) -> &mut dyn PublicationPersistence {
        self
    }

    fn limits(&self) -> PublicationLimits {
        self.server.config().events.publication_limits()
    }

    fn on_initial(&mut self, dum: &mut Dum<'_>, publication: Publication, publish: &Message) {
        self.answer(dum, publication, publish);
    }

    fn on_update(&mut self, dum: &mut Dum<'_>, publication: Publication, publish: &Message) {
        self.answer(dum, publication, publish);
    }
}

impl PublicationPersistence for Publisher {
    fn read(&mut self, resource: &dum::publication::Resource, now: Time) -> Vec<Document> {
        let documents = self.resource(resource).map(|resource| self.server.compositor().documents(&resource, now));
        self.read = documents.into_iter().flatten().map(|(_, document)| document).collect();
        self.read.clone()
    }

    fn write(
        &mut self,
        resource: &dum::publication::Resource,
        documents: Vec<Document>,
        now: Time,
    ) -> Result<(), NotPublished> {
        let before = std::mem::take(&mut self.read);
        let resource = self.resource(resource).ok_or(NotPublished::Gone)?;
        let changed = self.server.compositor().change(&resource, &before, documents, now);
        if changed.is_err() {
            self.server.compositor().counts().count(Counted::RefusedPublication);
        }
        changed
    }
}
