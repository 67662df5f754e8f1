//! The GRUUs that a device is told (RFC 5627 §5.2).

use crate::gruu_token::GruuTokens;
use crate::location::Binding;
use stack::header::p;
use stack::uri::SipUri;

/// The option tag of RFC 5627.
pub const GRUU: &str = "gruu";

/// Names the devices of an address-of-record.
pub(super) struct Names<'a> {
    pub(super) tokens: &'a GruuTokens,
    pub(super) aor: &'a str,
    /// Its URI, as the To of the REGISTER says it.
    pub(super) to: SipUri<'a>,
    /// Of the first token; the others count on from there.
    pub(super) nonce: u128,
}

impl Names<'_> {
    /// The parameters that name a device: `;pub-gruu="…";temp-gruu="…"`; none for a contact that is no device's.
    pub(super) fn params(&self, binding: &Binding, at: u64) -> String {
        let Some(device) = binding.device() else { return String::new() };
        // RFC 5627 §5.2: a device that is reached by sips alone has sips GRUUs.
        let secure = self.to.secure || binding.is_sips();
        let base = SipUri { secure, port: self.to.port, ..SipUri::new(self.to.host.clone()) };
        let public = SipUri { user: self.to.user.clone(), ..base.clone() }.with_param(p::GR, urn(device));
        let token = self.tokens.token(self.aor, device, &binding.call_id, self.nonce.wrapping_add(at.into()));
        let temporary = base.with_user(&token).with_flag(p::GR);
        format!(";pub-gruu=\"{public}\";temp-gruu=\"{temporary}\"")
    }

    /// At most how long they are.
    pub(super) fn octets(&self, binding: &Binding) -> usize {
        let around = ";pub-gruu=\"sips:;gr=\";temp-gruu=\"sips:@;gr\"".len();
        let bare = SipUri { port: self.to.port, ..SipUri::new(self.to.host.clone()) }.to_string().len();
        let user = self.to.user.as_ref().map_or(0, |user| user.len() + 1);
        // Each octet of the name may need an escape.
        binding.device().map_or(0, |device| around + user + 2 * bare + 3 * device.len() + GruuTokens::length(self.aor))
    }
}

/// The instance without `<>`: the value of `gr` (RFC 5627 §5.2).
pub(crate) fn urn(device: &str) -> &str {
    device.strip_prefix('<').and_then(|device| device.strip_suffix('>')).unwrap_or(device)
}
