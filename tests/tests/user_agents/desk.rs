//! Registrations and publications beside the calls: what people keep with a registrar and event server, and that one.

use crate::challenges::{STRANGER, stranger};
use crate::phone::Phone;
use crate::world::{DAVE, address};
use dum::publication::{
    ClientPublication, ClientPublicationHandler, MemoryPublications, PublicationPersistence, Resource,
    ServerPublication, ServerPublicationHandler,
};
use dum::registration::{
    ClientRegistration, ClientRegistrationHandler, MemoryRegistrations, RegistrationPersistence, ServerRegistration,
    ServerRegistrationHandler,
};
use dum::{Dum, Handle, Outcome, UserProfile};
use rutil::{Rng, Time};
use stack::header::{HeaderValue, NameAddr};
use stack::message::Message;
use std::sync::Arc;
use std::time::Duration;

/// What is published, and as what.
pub(crate) const EVENT: (&str, &str) = ("presence", "text/plain");

/// So many registrations, and so many publications, one has at the same time.
const MOST: usize = 2;

/// What one has registered and published.
#[derive(Default)]
pub(crate) struct Kept {
    /// Those that have not ended, each with an address of its own.
    pub(crate) registrations: Vec<(Handle<ClientRegistration>, String)>,
    /// Those that have not ended, each of a resource of its own, with what was published last.
    pub(crate) publications: Vec<(Handle<ClientPublication>, String, String)>,
    /// All addresses and resources that there ever were.
    pub(crate) names: Vec<String>,
}

/// Where they are kept, by somebody who refuses some, answers others late, and forgets everything now and then.
pub(crate) struct Desk {
    bindings: MemoryRegistrations,
    documents: MemoryPublications,
    rng: Rng,
    registers: Vec<Handle<ServerRegistration>>,
    publishes: Vec<Handle<ServerPublication>>,
    /// Everything is accepted at once.
    pub(crate) ready: bool,
}

/// What becomes of a request.
enum Decision {
    Accept,
    Refuse(u16),
    Later,
}

impl Desk {
    pub(crate) fn new(mut rng: Rng) -> Self {
        Desk {
            bindings: MemoryRegistrations::new(10_000, &mut rng),
            documents: MemoryPublications::new(10_000, &mut rng),
            rng,
            registers: Vec::new(),
            publishes: Vec::new(),
            ready: true,
        }
    }

    fn decide(&mut self) -> Decision {
        match self.rng.range(20) {
            _ if self.ready => Decision::Accept,
            0 => Decision::Refuse([403, 500, 503, 600][self.rng.range(4) as usize]),
            1 | 2 => Decision::Later,
            _ => Decision::Accept,
        }
    }

    fn register(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>) {
        match self.decide() {
            Decision::Accept => registration.accept(dum, |_| {}).unwrap(),
            Decision::Refuse(status) => registration.reject(dum, status, |_| {}).unwrap(),
            Decision::Later => self.registers.push(registration),
        }
    }

    fn publish(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>) {
        match self.decide() {
            Decision::Accept => publication.accept(dum, |_| {}).unwrap(),
            Decision::Refuse(status) => publication.reject(dum, status, |_| {}).unwrap(),
            Decision::Later => self.publishes.push(publication),
        }
    }

    /// Answers what waits, as far as anybody waits for it still, or forgets what it has.
    pub(crate) fn act(&mut self, dum: &mut Dum<'_>) {
        for registration in std::mem::take(&mut self.registers) {
            let _ = registration.accept(dum, |_| {});
        }
        for publication in std::mem::take(&mut self.publishes) {
            let _ = publication.accept(dum, |_| {});
        }
        if !self.ready && self.rng.chance(0.1) {
            self.bindings = MemoryRegistrations::new(10_000, &mut self.rng);
            self.documents = MemoryPublications::new(10_000, &mut self.rng);
        }
    }

    /// The contacts of an address.
    pub(crate) fn contacts(&mut self, name: &str, now: Time) -> Vec<String> {
        let bindings = self.bindings.read(&key(name), now);
        bindings.iter().map(|binding| binding.contact.uri.to_string()).collect()
    }

    /// The documents of a resource.
    pub(crate) fn documents(&mut self, name: &str, now: Time) -> Vec<String> {
        let documents = self.documents.read(&Resource { aor: key(name), event: EVENT.0.to_owned() }, now);
        documents.iter().map(|document| String::from_utf8_lossy(&document.body).into_owned()).collect()
    }
}

impl ServerRegistrationHandler for Desk {
    fn persistence(&mut self) -> &mut dyn RegistrationPersistence {
        &mut self.bindings
    }
    fn on_add(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.register(dum, registration);
    }
    fn on_refresh(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.register(dum, registration);
    }
    fn on_remove(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.register(dum, registration);
    }
    fn on_remove_all(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.register(dum, registration);
    }
    fn on_query(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.register(dum, registration);
    }
}

impl ServerPublicationHandler for Desk {
    fn persistence(&mut self) -> &mut dyn PublicationPersistence {
        &mut self.documents
    }
    fn on_initial(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>, _: &Message) {
        self.publish(dum, publication);
    }
    fn on_refresh(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>, _: &Message) {
        self.publish(dum, publication);
    }
    fn on_update(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>, _: &Message) {
        self.publish(dum, publication);
    }
    fn on_removed(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>, _: &Message) {
        self.publish(dum, publication);
    }
}

impl Kept {
    fn registration_ended(&mut self, registration: Handle<ClientRegistration>) {
        let at = self.registrations.iter().position(|(known, _)| *known == registration);
        self.registrations.swap_remove(at.expect("it has begun, and ends once"));
    }

    fn publication_ended(&mut self, publication: Handle<ClientPublication>) {
        let at = self.publications.iter().position(|(known, _, _)| *known == publication);
        self.publications.swap_remove(at.expect("it has begun, and ends once"));
    }
}

impl ClientRegistrationHandler for Phone {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, _: &Message) {
        self.hear("registered");
    }
    fn on_removed(&mut self, _: &mut Dum<'_>, registration: Handle<ClientRegistration>, _: &Message) {
        self.kept.registration_ended(registration);
        self.hear("unregistered");
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, registration: Handle<ClientRegistration>, outcome: &Outcome) {
        self.kept.registration_ended(registration);
        self.hear(format!("not registered {}", outcome.status));
    }
}

impl ClientPublicationHandler for Phone {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientPublication>, _: &Message) {
        self.hear("published");
    }
    fn on_removed(&mut self, _: &mut Dum<'_>, publication: Handle<ClientPublication>, _: Option<&Message>) {
        self.kept.publication_ended(publication);
        self.hear("unpublished");
    }
    fn on_refused(&mut self, dum: &mut Dum<'_>, publication: Handle<ClientPublication>, outcome: &Outcome) {
        let document = publication.document(dum).expect("it has not ended").to_vec();
        let of_it = self.kept.publications.iter_mut().find(|(known, _, _)| *known == publication);
        of_it.expect("it has begun").2 = String::from_utf8(document).expect("a number");
        self.hear(format!("not updated {}", outcome.status));
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, publication: Handle<ClientPublication>, outcome: &Outcome) {
        self.kept.publication_ended(publication);
        self.hear(format!("not published {}", outcome.status));
    }
}

/// What one person does with them.
pub(crate) fn keep(phone: &mut Phone, dum: &mut Dum<'_>, rng: &mut Rng) {
    if rng.chance(0.5) { register(phone, dum, rng) } else { publish(phone, dum, rng) }
}

/// A name of its own for each, with the time that it is kept for: some are less than is granted.
fn begin(phone: &mut Phone, rng: &mut Rng) -> (String, Arc<UserProfile>) {
    let mut name = format!("{}{}", phone.name, phone.kept.names.len());
    let (mut base, time) = (phone.profile.clone(), [30, 60, 90][rng.range(3) as usize]);
    if rng.chance(0.05) {
        (base, name) = (stranger(&base, rng), format!("{STRANGER}-{name}"));
    }
    phone.kept.names.push(name.clone());
    let mut profile = UserProfile::on(&base);
    profile.set_from(Arc::new(at_desk(&name)));
    profile.set_registration_time(Duration::from_secs(time)).set_publication_time(Duration::from_secs(time));
    (name, Arc::new(profile))
}

fn register(phone: &mut Phone, dum: &mut Dum<'_>, rng: &mut Rng) {
    let all = &phone.kept.registrations;
    if all.len() < MOST && rng.chance(0.3) {
        let (name, profile) = begin(phone, rng);
        let query = rng.chance(0.1);
        let begun = if query { dum.query_registrations(&profile) } else { dum.register(&profile) };
        return phone.kept.registrations.push((begun.unwrap(), name));
    }
    if all.is_empty() {
        return;
    }
    let registration = all[rng.range(all.len() as u64) as usize].0;
    let other = at_desk("elsewhere");
    let done = match rng.range(40) {
        0..=9 => registration.refresh(dum),
        10..=14 => registration.query(dum),
        15..=19 => registration.add_binding(dum, other).map_err(|_| dum::UsageEnded),
        20..=24 => registration.remove_binding(dum, &other.uri).map_err(|_| dum::UsageEnded),
        25..=28 => registration.end(dum),
        29 => registration.remove_all(dum),
        30 => registration.stop(dum).map(|()| phone.kept.registration_ended(registration)),
        31..=34 => registration.flow_failed(dum),
        _ => Ok(()),
    };
    done.expect("it has not ended");
}

fn publish(phone: &mut Phone, dum: &mut Dum<'_>, rng: &mut Rng) {
    let (all, body) = (&mut phone.kept.publications, format!("{}", rng.next_u64()));
    if all.len() < MOST && rng.chance(0.3) {
        let (name, profile) = begin(phone, rng);
        let begun = dum.publish(&profile, &at_desk(&name), EVENT.0, EVENT.1, body.clone()).unwrap();
        return phone.kept.publications.push((begun, name, body));
    }
    if all.is_empty() {
        return;
    }
    let at = rng.range(all.len() as u64) as usize;
    let publication = all[at].0;
    let done = match rng.range(40) {
        0..=9 => publication.refresh(dum),
        10..=24 => {
            all[at].2.clone_from(&body);
            publication.update(dum, EVENT.1, body)
        }
        25..=29 => publication.end(dum),
        30 => publication.stop(dum).map(|()| phone.kept.publication_ended(publication)),
        _ => Ok(()),
    };
    done.expect("it has not ended");
}

/// An address at the registrar.
fn at_desk(name: &str) -> NameAddr<'static> {
    NameAddr::parse(&format!("<sip:{name}@{}>", address(DAVE))).unwrap().into_owned()
}

fn key(name: &str) -> String {
    at_desk(name).uri.aor_key()
}
