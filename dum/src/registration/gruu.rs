//! What a registrar gives the device (RFC 5627): GRUUs, and the profile by which it is seen as registered.

use super::ClientRegistration;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use crate::profile::{Gruu, UserProfile};
use stack::header::{NameAddr, p};
use stack::uri::Uri;
use std::borrow::Cow;
use std::sync::Arc;

/// The GRUUs of a device, as the registrar wrote them.
#[derive(Debug, Default)]
pub(super) struct Gruus {
    public: Option<Box<str>>,
    temporary: Option<Box<str>>,
}

impl Gruus {
    /// Reads them from the bindings of this side, as a 2xx lists them.
    pub(super) fn of<'a>(own: impl Iterator<Item = &'a NameAddr<'a>> + Clone) -> Self {
        let usable = |gruu: Option<Cow<'_, str>>| gruu.filter(|gruu| parse(gruu).is_some()).map(Into::into);
        Gruus {
            public: own.clone().find_map(|own| usable(own.param(p::PUB_GRUU))),
            temporary: own.clone().find_map(|own| usable(own.param(p::TEMP_GRUU))),
        }
    }
}

/// A GRUU is a SIP URI with `gr`.
fn parse(gruu: &str) -> Option<Uri<'_>> {
    Uri::parse(gruu).ok().filter(|uri| uri.sip().is_some_and(|sip| sip.params.contains("gr")))
}

fn owned(gruu: Option<&str>) -> Option<Uri<'static>> {
    gruu.and_then(parse).map(Uri::into_owned)
}

impl Handle<ClientRegistration> {
    /// The public GRUU: leads to this device, and says whose it is (RFC 5627 §3.1). None, if the registrar gives none.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn pub_gruu(self, dum: &Dum<'_>) -> Result<Option<Uri<'static>>, UsageEnded> {
        Ok(owned(dum.core.client_registrations.get(self)?.gruus.public.as_deref()))
    }

    /// The temporary GRUU of the last REGISTER: leads to this device, and tells nobody whose it is (RFC 5627 §3.2). Those
    /// before it lead here too, as long as this usage is registered.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn temp_gruu(self, dum: &Dum<'_>) -> Result<Option<Uri<'static>>, UsageEnded> {
        Ok(owned(dum.core.client_registrations.get(self)?.gruus.temporary.as_deref()))
    }

    /// The profile for what is sent as the registered user: the one that was registered, with the registrar's
    /// Service-Route (RFC 3608 §5) and, if it gave one, the GRUU as Contact that [`UserProfile::gruu`] asks for (RFC 5627
    /// §4.3). Without a GRUU, one who is registered by its flow asks with `ob` in the Contact that a dialog keeps to it
    /// (RFC 5626 §4.3), and behind a NAT the Contact has the address that others see.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn profile(self, dum: &Dum<'_>) -> Result<Arc<UserProfile>, UsageEnded> {
        let this = dum.core.client_registrations.get(self)?;
        let mut profile = this.profile_with_route();
        let gruu = match this.profile.gruu() {
            Gruu::Public => owned(this.gruus.public.as_deref()),
            Gruu::Temporary => owned(this.gruus.temporary.as_deref()),
            Gruu::Never => None,
        };
        if let Some(contact) = gruu.map(NameAddr::new).or_else(|| this.contact_in_dialogs()) {
            profile.set_contact(Some(Arc::new(contact)));
        }
        Ok(Arc::new(profile))
    }

    /// The profile for what is sent as nobody in particular (RFC 3323 §4.1.1.3): as [`Handle::profile`], but From is
    /// anonymous, and the Contact is the temporary GRUU; without one, whatever [`UserProfile::contact`] says, an address of
    /// this side that names nobody.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn anonymous_profile(self, dum: &Dum<'_>) -> Result<Arc<UserProfile>, UsageEnded> {
        let this = dum.core.client_registrations.get(self)?;
        let mut profile = this.profile_with_route();
        profile.set_from(UserProfile::default().from());
        let contact = owned(this.gruus.temporary.as_deref()).map(NameAddr::new).or_else(|| {
            let mut contact = this.contact_in_dialogs()?;
            if let Uri::Sip(uri) = &mut contact.uri {
                uri.user = None;
            }
            Some(contact)
        });
        profile.set_contact(contact.map(Arc::new));
        Ok(Arc::new(profile))
    }
}

impl ClientRegistration {
    fn profile_with_route(&self) -> UserProfile {
        let mut profile = UserProfile::on(&self.profile);
        if let Some(route) = &self.service_route {
            profile.set_service_route(route.clone());
        }
        profile
    }

    /// The Contact of dialogs, where that is not the one which the profile says.
    fn contact_in_dialogs(&self) -> Option<NameAddr<'static>> {
        let mut contact = NameAddr::new(self.mine.first()?.uri.clone());
        match &mut contact.uri {
            Uri::Sip(uri) if self.flow.is_outbound() => uri.params.set_flag(p::OB),
            _ if self.public.is_none() => return None,
            _ => {}
        }
        Some(contact)
    }
}
