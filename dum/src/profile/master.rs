//! What this user agent can do, and the level below all user profiles.

use super::{EventPackage, UserProfile};
use stack::header::{MediaType, Method};
use std::sync::Arc;

/// What the user agent can do: requests that ask for more are refused as RFC 3261 §8.2 has it, and responses say so. Its
/// [`MasterProfile::user`] is the level below every user profile.
#[derive(Clone, Debug)]
pub struct MasterProfile {
    user: Arc<UserProfile>,
    methods: Vec<Method<'static>>,
    schemes: Vec<String>,
    option_tags: Vec<String>,
    mime_types: Vec<(Method<'static>, MediaType<'static>)>,
    encodings: Vec<String>,
    languages: Vec<String>,
    events: Vec<EventPackage>,
    /// The values of Allow and Supported: nearly every message has them.
    allow: String,
    supported: String,
}

impl Default for MasterProfile {
    /// INVITE, ACK, CANCEL, OPTIONS, BYE and UPDATE with `application/sdp`, by itself or in a multipart body; `sip` and `sips`; no option tags, no event
    /// packages, no encodings, any language.
    fn default() -> Self {
        use Method::{Ack, Bye, Cancel, Invite, Options, Prack, Update};
        let types = [("application", "sdp"), ("multipart", "mixed"), ("multipart", "alternative")]
            .map(|(main, sub)| MediaType::new(main, sub));
        let mut master = MasterProfile {
            user: Arc::default(),
            methods: vec![Invite, Ack, Cancel, Options, Bye, Update],
            schemes: vec!["sip".into(), "sips".into()],
            option_tags: Vec::new(),
            mime_types: [Invite, Ack, Options, Prack, Update]
                .into_iter()
                .flat_map(|method| types.clone().map(|media| (method.clone(), media)))
                .collect(),
            encodings: Vec::new(),
            languages: Vec::new(),
            events: Vec::new(),
            allow: String::new(),
            supported: String::new(),
        };
        master.write();
        master
    }
}

impl MasterProfile {
    /// The level below all user profiles; incoming requests are answered by it where the application gives no other.
    pub fn user(&self) -> &Arc<UserProfile> {
        &self.user
    }

    /// The same, to change it. Profiles that were made before keep what it was.
    pub fn user_mut(&mut self) -> &mut UserProfile {
        Arc::make_mut(&mut self.user)
    }

    /// A user profile on this one, with nothing set.
    pub fn user_profile(&self) -> UserProfile {
        UserProfile::on(&self.user)
    }

    /// Takes requests with a method; others are refused with 405 (RFC 3261 §8.2.1).
    pub fn add_method(&mut self, method: Method<'static>) -> &mut Self {
        if !self.methods.contains(&method) {
            self.methods.push(method);
            self.write();
        }
        self
    }

    /// No longer takes requests with a method.
    pub fn remove_method(&mut self, method: &Method<'_>) -> &mut Self {
        self.methods.retain(|known| known != method);
        self.write();
        self
    }

    /// The methods that it takes.
    pub fn methods(&self) -> &[Method<'static>] {
        &self.methods
    }

    /// Takes Request-URIs with a scheme; others are refused with 416 (RFC 3261 §8.2.2.1).
    pub fn add_scheme(&mut self, scheme: &str) -> &mut Self {
        self.schemes.push(scheme.to_ascii_lowercase());
        self
    }

    /// Understands an extension: requests that require another are refused with 420 (RFC 3261 §8.2.2.3).
    pub fn add_option_tag(&mut self, tag: &str) -> &mut Self {
        if !self.has_option_tag(tag) {
            self.option_tags.push(tag.to_owned());
            self.write();
        }
        self
    }

    /// Understands transfers: REFER with its NOTIFY and SUBSCRIBE (RFC 3515), and Replaces (RFC 3891).
    pub fn add_transfer(&mut self) -> &mut Self {
        let frag = MediaType::new("message", "sipfrag");
        self.add_method(Method::Refer).add_method(Method::Notify).add_method(Method::Subscribe);
        self.add_mime_type(Method::Notify, frag);
        self.add_event("refer").add_option_tag("replaces").add_option_tag("norefersub").add_option_tag("tdialog")
    }

    /// Understands remote control of calls: NOTIFY with the events `talk` and `hold`.
    pub fn add_remote_control(&mut self) -> &mut Self {
        self.add_method(Method::Notify).add_event("talk").add_event("hold")
    }

    /// Understands reliable provisional responses (RFC 3262): PRACK and the option tag `100rel`. Whether ours are is for
    /// the profile to say ([`UserProfile::reliability`]).
    pub fn add_100rel(&mut self) -> &mut Self {
        self.add_method(Method::Prack).add_option_tag("100rel")
    }

    /// Takes bodies of a type with a method; others are refused with 415 (RFC 3261 §8.2.3).
    pub fn add_mime_type(&mut self, method: Method<'static>, media: MediaType<'static>) -> &mut Self {
        self.mime_types.push((method, media));
        self
    }

    /// Takes bodies with an encoding beside `identity`.
    pub fn add_encoding(&mut self, encoding: &str) -> &mut Self {
        self.encodings.push(encoding.to_owned());
        self
    }

    /// Takes bodies in a language. As long as there is none, any language will do.
    pub fn add_language(&mut self, language: &str) -> &mut Self {
        self.languages.push(language.to_owned());
        self
    }

    /// Knows an event package by its name alone (RFC 6665 §7.2).
    pub fn add_event(&mut self, package: &str) -> &mut Self {
        if !self.has_event(package) {
            self.events.push(EventPackage::new(package));
        }
        self
    }

    /// Knows an event package, as subscriber and as notifier: SUBSCRIBE and NOTIFY are taken, with the bodies that the
    /// package has. Who hears of it is for [`crate::Application`] to say.
    pub fn add_package(&mut self, package: EventPackage) -> &mut Self {
        self.add_method(Method::Subscribe).add_method(Method::Notify);
        for media in package.accept() {
            self.add_mime_type(Method::Notify, media.clone());
        }
        self.events.retain(|known| known.name() != package.name());
        self.events.push(package);
        self
    }

    /// What is known of an event package. Names are compared octet by octet (RFC 6665 §8.2.1).
    pub fn package(&self, name: &str) -> Option<&EventPackage> {
        self.events.iter().find(|known| known.name() == name)
    }

    /// Whether it takes requests with a method.
    pub fn has_method(&self, method: &Method<'_>) -> bool {
        self.methods.iter().any(|known| known == method)
    }

    /// Whether it takes Request-URIs with a scheme.
    pub fn has_scheme(&self, scheme: &str) -> bool {
        self.schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme))
    }

    /// Whether it understands an extension.
    pub fn has_option_tag(&self, tag: &str) -> bool {
        self.option_tags.iter().any(|known| known.eq_ignore_ascii_case(tag))
    }

    /// Whether it takes bodies of a type with a method.
    pub fn has_mime_type(&self, method: &Method<'_>, media: &MediaType<'_>) -> bool {
        self.mime_types.iter().any(|(with, known)| with == method && known.accepts(media))
    }

    /// Whether it takes bodies with an encoding.
    pub fn has_encoding(&self, encoding: &str) -> bool {
        encoding.eq_ignore_ascii_case("identity") || self.encodings.iter().any(|e| e.eq_ignore_ascii_case(encoding))
    }

    /// Whether it takes bodies in a language.
    pub fn has_language(&self, language: &str) -> bool {
        self.languages.is_empty() || self.languages.iter().any(|l| l.eq_ignore_ascii_case(language))
    }

    /// Whether it knows an event package.
    pub fn has_event(&self, package: &str) -> bool {
        self.package(package).is_some()
    }

    /// The value of Allow.
    pub(crate) fn allow(&self) -> &str {
        &self.allow
    }

    /// The value of Supported, if there is anything.
    pub(crate) fn supported(&self) -> Option<&str> {
        (!self.supported.is_empty()).then_some(&self.supported)
    }

    fn write(&mut self) {
        self.allow = self.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        self.supported = self.option_tags.join(", ");
    }

    /// The value of Allow-Events, if there is anything.
    pub(crate) fn allow_events(&self) -> Option<String> {
        (!self.events.is_empty()).then(|| self.events.iter().map(EventPackage::name).collect::<Vec<_>>().join(", "))
    }

    /// The value of Accept for a method; it may be empty (RFC 3261 §20.1).
    pub(crate) fn accept(&self, method: &Method<'_>) -> String {
        let types = self.mime_types.iter().filter(|(with, _)| with == method);
        types.map(|(_, media)| media.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// The value of Accept-Encoding.
    pub(crate) fn accept_encoding(&self) -> String {
        std::iter::once("identity").chain(self.encodings.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
    }

    /// The value of Accept-Language.
    pub(crate) fn accept_language(&self) -> String {
        self.languages.join(", ")
    }
}
