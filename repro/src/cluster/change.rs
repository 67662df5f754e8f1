//! What changes in the shared location service, and how it is written there.
//!
//! An address-of-record is a hash in Redis with a field for each contact. A value is a line that the scripts read, and
//! behind it the binding as JSON:
//!
//! ```text
//! VERSION EXPIRES b CSEQ CALL-ID\n{…}        a binding
//! VERSION EXPIRES g CSEQ CALL-ID\n           one that is gone: kept until it would have expired
//! ```
//!
//! One that is gone is kept because a node that was cut off would put it back. There are as many of them at most as there may
//! be contacts, or 16; the oldest goes first.
//!
//! Versions are microseconds of the Redis server's clock, or one more than the last where that is later: of two states of a
//! contact the one with the higher version holds, at every node and whatever came first.

use crate::events::Published;
use crate::location::Binding;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// Partitions of the addresses-of-record: the keys of one are on the same node of a Redis cluster, and are read at once.
pub const PARTS: u16 = 1024;

/// A change of one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Names the contact within its address-of-record.
    pub field: String,
    /// The Call-ID that decides.
    pub call_id: Box<str>,
    /// The CSeq number that decides.
    pub cseq: u32,
    /// What becomes of it.
    pub what: What,
    /// What a REGISTER has found here: it is put back when the change is refused. Of what ended with a process before, what
    /// it was.
    pub before: Option<Box<Binding>>,
}

/// What becomes of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is registered. Refused when a later request with the same Call-ID was there before.
    Put(Box<Binding>),
    /// A REGISTER takes it away: refused in the same way.
    Remove,
    /// It leads nowhere. Nothing is done when it has been registered anew meanwhile.
    Forget,
    /// The others knew it, and it is not there any more: as it was, unless there is something later.
    Restore(Box<Binding>),
    /// A publication, of which the name is the Call-ID and the turn the CSeq number. Refused when its next turn was there
    /// before.
    Publish(Box<Published>),
    /// The others knew it by this version, and it is not there any more.
    Republish(Box<Published>, u64),
}

/// Names a contact within its address-of-record: a flow by its device and number, any other by its URI.
pub fn field(binding: &Binding) -> String {
    match binding.flow_of_device() {
        Some((device, number)) => hash(&[b"flow", device.as_bytes(), &number.to_be_bytes()]),
        None => hash(&[b"uri", binding.uri().as_bytes()]),
    }
}

/// The partition of an address-of-record.
pub fn part_of(aor: &str) -> u16 {
    (digest(&[aor.as_bytes()]) % u128::from(PARTS)) as u16
}

/// What a node is worth for an address-of-record: each node finds the same, and the one of highest worth is as often one as
/// the other.
pub(super) fn worth(aor: &str, node: &str) -> u128 {
    digest(&[b"worth", aor.as_bytes(), node.as_bytes()])
}

fn hash(parts: &[&[u8]]) -> String {
    format!("{:032x}", digest(parts))
}

/// The same at every node: without a key.
fn digest(parts: &[&[u8]]) -> u128 {
    let mut hash = SipHasher24::new_with_keys(0, 0);
    for part in parts {
        hash.write(&(part.len() as u64).to_be_bytes());
        hash.write(part);
    }
    hash.finish128().as_u128()
}

/// What a REGISTER has changed: `call_id` and `cseq` are its own.
pub fn changes(before: &[Binding], after: &[Binding], (call_id, cseq): (&str, u32)) -> Vec<Change> {
    let after: Vec<(String, &Binding)> = after.iter().map(|binding| (field(binding), binding)).collect();
    let before: Vec<(String, &Binding)> = before.iter().map(|binding| (field(binding), binding)).collect();
    let is_left = |name: &str| after.iter().any(|(other, _)| other == name);
    let gone = before.iter().filter(|(name, _)| !is_left(name));
    let gone = gone.map(|(field, binding)| Change {
        field: field.clone(),
        call_id: call_id.into(),
        cseq,
        what: What::Remove,
        before: Some(Box::new((*binding).clone())),
    });
    let found = |name: &str| before.iter().find(|(other, _)| other == name);
    let new = after.iter().filter(|(_, binding)| binding.version() == 0);
    let new = new.map(|(field, binding)| Change {
        field: field.clone(),
        call_id: binding.call_id.clone(),
        cseq: binding.cseq,
        what: What::Put(Box::new((*binding).clone())),
        before: found(field).map(|(_, binding)| Box::new((*binding).clone())),
    });
    gone.chain(new).collect()
}

/// What is told of a binding that leads nowhere.
pub fn forget(gone: &Binding) -> Change {
    Change { field: field(gone), call_id: gone.call_id.clone(), cseq: gone.cseq, what: What::Forget, before: None }
}

/// A value as it stands in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'t> {
    /// Of two values the higher one holds.
    pub version: u64,
    /// Unix seconds.
    pub expires: u64,
    /// It is gone.
    pub gone: bool,
    /// The CSeq number of who wrote it.
    pub cseq: u32,
    /// The Call-ID of who wrote it.
    pub call_id: &'t str,
    /// The binding.
    pub json: &'t str,
}

impl<'t> Value<'t> {
    /// Reads a value; none when it is not what a node writes.
    pub fn read(text: &'t str) -> Option<Self> {
        let (head, json) = text.split_once('\n')?;
        let mut words = head.splitn(5, ' ');
        let (version, expires) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let gone = match words.next()? {
            "g" => true,
            "b" => false,
            _ => return None,
        };
        Some(Value { version, expires, gone, cseq: words.next()?.parse().ok()?, call_id: words.next()?, json })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::{By, NewBinding};
    use rutil::Time;
    use stack::uri::Uri;

    fn binding(uri: &str, device: Option<&str>, reg_id: u32, cseq: u32) -> Binding {
        Binding::new(NewBinding {
            uri: &Uri::parse(uri).unwrap(),
            text: uri.into(),
            params: "",
            q: 1000,
            expires_at: Time::from_millis(60_000),
            call_id: "c",
            cseq,
            neighbour: None,
            by: By::Uri,
            device,
            reg_id,
            now: Time::ZERO,
        })
    }

    #[test]
    fn a_flow_keeps_its_name_when_its_uri_changes() {
        let flow = |uri, reg_id| field(&binding(uri, Some("<urn:uuid:1>"), reg_id, 1));
        assert_eq!(flow("sip:a@192.0.2.1", 1), flow("sip:a@192.0.2.2", 1));
        assert_ne!(flow("sip:a@192.0.2.1", 1), flow("sip:a@192.0.2.1", 2));
        assert_ne!(flow("sip:a@192.0.2.1", 0), flow("sip:a@192.0.2.2", 0));
        assert!(part_of("a@h") < PARTS && part_of("a@h") == part_of("a@h"));
    }

    #[test]
    fn a_register_tells_what_it_has_changed() {
        let mut kept = binding("sip:a@192.0.2.1", None, 0, 1);
        kept.set_version(5);
        let (gone, new) = (binding("sip:b@192.0.2.1", None, 0, 1), binding("sip:c@192.0.2.1", None, 0, 2));
        let told = changes(&[kept.clone(), gone.clone()], &[kept, new.clone()], ("d", 9));
        let expected = [
            Change {
                field: field(&gone),
                call_id: "d".into(),
                cseq: 9,
                what: What::Remove,
                before: Some(Box::new(gone)),
            },
            Change { field: field(&new), call_id: "c".into(), cseq: 2, what: What::Put(Box::new(new)), before: None },
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn values_are_read_and_rubbish_is_not() {
        let read = Value::read("17 60 b 4 a b@c\n{\"x\":\n1}").unwrap();
        let expected = Value { version: 17, expires: 60, gone: false, cseq: 4, call_id: "a b@c", json: "{\"x\":\n1}" };
        assert_eq!(read, expected);
        assert!(Value::read("17 60 g 4 c\n").unwrap().gone);
        for text in ["", "1 2 b 3 c", "1 2 x 3 c\n", "1 b 3 c\n", "-1 2 b 3 c\n{}", "1 2 b 3\n{}"] {
            assert_eq!(Value::read(text), None, "{text:?}");
        }
    }
}
