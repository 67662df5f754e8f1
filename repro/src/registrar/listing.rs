//! The list of bindings in a response (RFC 3261 §10.3 step 8).

use super::gruu::Names;
use crate::location::Binding;
use rutil::Time;
use stack::message::Message;

/// §10.3 step 8: all current bindings, each with the time that is left to it.
pub(super) fn list(response: &mut Message, bindings: &[Binding], names: Option<&Names<'_>>, now: Time) {
    for (at, binding) in bindings.iter().enumerate() {
        let left = binding.seconds_left(now);
        let gruus = names.map(|names| names.params(binding, at as u64)).unwrap_or_default();
        let left = left.to_string();
        let contact = ["<", binding.uri(), ">", binding.params(), &gruus, ";expires=", &left];
        response.append_parts("Contact", &contact);
    }
}

/// At most how long that list is without the names of devices.
pub(super) fn listed(bindings: &[Binding]) -> usize {
    let around = "Contact: <>;expires=4294967295\r\n".len();
    bindings.iter().map(|binding| around + octets(binding)).sum()
}

pub(super) fn octets(binding: &Binding) -> usize {
    binding.uri().len() + binding.params().len()
}
