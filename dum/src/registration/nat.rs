//! Which address this side has for others (RFC 3581 §4): what its first hop saw, where that is not what it calls itself.

use super::{ClientRegistration, MAX_BINDINGS};
use crate::core::Core;
use crate::handle::Handle;
use stack::header::{NameAddr, h, p};
use stack::message::Message;
use stack::transport::TransportType;
use stack::uri::{Host, SipUri, Uri};
use std::net::{IpAddr, SocketAddr};

/// What a Via of ours says when it comes back.
struct Seen {
    own: SocketAddr,
    by_others: SocketAddr,
    reliable: bool,
}

/// Moves the bindings that name an address of this side which is not the one that its first hop saw: whether there are any. A
/// contact of the profile's own stays as it is.
pub(super) fn moved(core: &mut Core, registration: Handle<ClientRegistration>, response: &Message) -> bool {
    let Ok(this) = core.client_registrations.get_mut(registration) else { return false };
    if this.flow.is_outbound() || !this.profile.contact_rewrite() || this.profile.contact().is_some() {
        return false;
    }
    let Some(seen) = seen(response) else { return false };
    let known = this.public.unwrap_or(seen.own);
    let stale = |contact: &&NameAddr<'static>| {
        let Some(at) = contact.uri.sip().and_then(address) else { return false };
        // A connection comes from a port where nobody listens: its address says whether there is a NAT.
        let same = if seen.reliable && at == seen.own { at.ip() == seen.by_others.ip() } else { at == seen.by_others };
        (at == seen.own || at == known) && !same
    };
    let stale: Vec<_> = this.mine.iter().filter(stale).cloned().collect();
    for old in &stale {
        let mut new = old.clone();
        if let Uri::Sip(uri) = &mut new.uri {
            (uri.host, uri.port) = (host(seen.by_others.ip()), Some(seen.by_others.port()));
        }
        this.mine.retain(|known| known != old);
        // Beyond that it expires by itself.
        if this.leaving.len() < MAX_BINDINGS {
            this.leaving.push((old.clone(), false));
        }
        this.bind(new);
        tracing::info!(public = %seen.by_others, "registering the address that others see");
    }
    if !stale.is_empty() {
        this.public = Some(seen.by_others);
    }
    !stale.is_empty()
}

/// Only what says both: who left out `rport` may have seen any port.
fn seen(response: &Message) -> Option<Seen> {
    let via = response.first(h::VIAS).ok()?;
    let kind = TransportType::from_name(&via.transport)?;
    let ip = ip(&via.host)?;
    let own = SocketAddr::new(ip, via.port.unwrap_or(kind.default_port()));
    let by_others = SocketAddr::new(via.received().unwrap_or(ip), via.param(p::RPORT)??);
    Some(Seen { own, by_others, reliable: kind.is_reliable() })
}

fn address(uri: &SipUri<'_>) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip(&uri.host)?, uri.port?))
}

fn ip(host: &Host<'_>) -> Option<IpAddr> {
    match host {
        Host::V4(ip) => Some((*ip).into()),
        Host::V6(ip) => Some((*ip).into()),
        Host::Name(_) => None,
    }
}

fn host(ip: IpAddr) -> Host<'static> {
    match ip {
        IpAddr::V4(ip) => Host::V4(ip),
        IpAddr::V6(ip) => Host::V6(ip),
    }
}
