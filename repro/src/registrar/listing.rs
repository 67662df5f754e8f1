//! The list of bindings in a response (RFC 3261 §10.3 step 8).

use crate::location::Binding;
use rutil::Time;
use stack::message::Message;

/// §10.3 step 8: all current bindings, each with the time that is left to it.
pub(super) fn list(response: &mut Message, bindings: &[Binding], now: Time) {
    for binding in bindings {
        let left = binding.seconds_left(now);
        response.append_line("Contact", &format!("<{}>{};expires={left}", binding.uri(), binding.params()));
    }
}

/// At most how long that list is.
pub(super) fn listed(bindings: &[Binding]) -> usize {
    let around = "Contact: <>;expires=4294967295\r\n".len();
    bindings.iter().map(|binding| around + octets(binding)).sum()
}

pub(super) fn octets(binding: &Binding) -> usize {
    binding.uri().len() + binding.params().len()
}
