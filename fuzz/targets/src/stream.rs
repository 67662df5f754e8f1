//! The octets of a stream in any chunking.

use bytes::Bytes;
use stack::message::{Fault, Limits};
use stack::scanner::{Scanned, StreamScanner};

/// So small that a fuzzer reaches them.
const SMALL: Limits = Limits { start_line: 64, header_line: 96, headers: 12, message: 1024 };

/// The first octet says how many of the following ones are chunk sizes, and whether limits are small; the rest is the
/// stream. Whatever the chunks, the same messages come out as from one chunk and from single octets, and what waits
/// for its end stays within the limits.
pub fn stream(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let limits = if first & 0x80 == 0 { SMALL } else { Limits::default() };
    let (sizes, octets) = rest.split_at(usize::from(first & 0x1f).min(rest.len()));
    let octets = Bytes::copy_from_slice(octets);
    let whole = scan(&octets, limits, &[usize::MAX]);
    assert_eq!(scan(&octets, limits, &[1]), whole, "in single octets");
    let sizes: Vec<usize> = sizes.iter().map(|&size| usize::from(size) + 1).collect();
    if !sizes.is_empty() {
        assert_eq!(scan(&octets, limits, &sizes), whole, "in chunks of {sizes:?}");
    }
}

/// What came out, so that it can be compared.
#[derive(Debug, PartialEq)]
enum Item {
    Message(Bytes, Option<Fault>),
    KeepAlive,
    Broken(Fault, Option<Bytes>),
}

fn scan(octets: &Bytes, limits: Limits, sizes: &[usize]) -> Vec<Item> {
    let most = limits.message.max(limits.start_line + limits.header_line);
    let mut scanner = StreamScanner::new(limits);
    let (mut items, mut rest) = (Vec::new(), octets.clone());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let chunk = rest.split_to((*size).min(rest.len()));
        scanner.feed(chunk, |scanned| {
            items.push(match scanned {
                Scanned::Message(msg) => Item::Message(msg.to_bytes(), msg.fault()),
                Scanned::KeepAlive => Item::KeepAlive,
                Scanned::Broken(fault, msg) => Item::Broken(fault, msg.map(|msg| msg.to_bytes())),
            });
        });
        assert!(scanner.pending() <= most, "{} octets wait", scanner.pending());
    }
    let broken = items.iter().position(|item| matches!(item, Item::Broken(..)));
    assert!(broken.is_none_or(|at| at + 1 == items.len()), "something came behind the break: {items:?}");
    items
}
