//! Credentials that are for us end here.

use super::{TargetProcessor, TargetResult};
use crate::proxy::{Server, TargetView};
use stack::header::{Auth, HeaderValue, h};
use stack::uri::Host;

/// Takes off the Proxy-Authorization of our realms, where passwords are required, and leaves that of others (RFC 3261
/// §22.3): whoever is further on could guess at the password with it.
pub(super) struct StripCredentials;

impl TargetProcessor for StripCredentials {
    fn name(&self) -> &'static str {
        "strip-credentials"
    }

    fn process(&self, view: &mut TargetView<'_, '_>) -> TargetResult {
        if view.server.auth().is_none() || !view.request.exists(h::PROXY_AUTHORIZATIONS) {
            return TargetResult::Continue;
        }
        let is_own = |text: &str| {
            let realm = Auth::parse(text).ok().and_then(|auth| auth.get("realm").map(|realm| realm.into_owned()));
            realm.is_some_and(|realm| is_realm(view.server, &realm, view))
        };
        let all = view.request.header(h::PROXY_AUTHORIZATIONS).texts().filter_map(Result::ok);
        let others: Vec<String> = all.filter(|text| !is_own(text)).map(str::to_owned).collect();
        view.request.remove(h::PROXY_AUTHORIZATIONS);
        for other in &others {
            view.request.append_line("Proxy-Authorization", other);
        }
        TargetResult::Continue
    }
}

/// Whether a realm is one that we ask for.
fn is_realm(server: &Server, realm: &str, view: &TargetView<'_, '_>) -> bool {
    Host::parse(realm).is_ok_and(|host| server.is_ours(&host, None, view.stack.transports()))
        || server.provisioning().domains().any(|domain| &*domain.realm == realm)
        || server.provisioning().is_realm_of_users(realm)
}
