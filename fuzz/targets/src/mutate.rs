//! Inputs from inputs, without a fuzzing engine: what the smoke test feeds.

use rutil::Rng;

/// Pieces that get a mutated input past the first octets.
pub const PIECES: [&str; 40] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n ",
    "\r\n\t",
    "\r\n\r\n",
    "\0",
    " ",
    ":",
    ";",
    ",",
    "=",
    "\"",
    "\\",
    "<",
    ">",
    "@",
    "?",
    "%41",
    "%",
    "[",
    "]",
    "(",
    ")",
    "/",
    "0",
    "4294967296",
    "-1",
    "sip:",
    "sips:",
    "tel:+1",
    "SIP/2.0",
    "SIP/2.0/UDP a;branch=z9hG4bK1",
    "Via: ",
    "Content-Length: ",
    "l: 5\r\n",
    ";tag=",
    "\u{e9}",
    "m=audio 0 RTP/AVP 0\r\n",
    "--b\r\n",
];

/// One to eight changes to `input`: single octets, pieces, or spans that go, come twice or come from `other`.
pub fn mutate(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=rng.range(8) {
        let span = span(rng, out.len());
        match rng.range(7) {
            0 => out.get_mut(span.start).into_iter().for_each(|b| *b = rng.next_u64() as u8),
            1 => out.get_mut(span.start).into_iter().for_each(|b| *b ^= 1 << rng.range(8)),
            2 => insert(&mut out, span.start, PIECES[rng.range(PIECES.len() as u64) as usize].as_bytes()),
            3 => drop(out.drain(span)),
            4 => {
                let copy = out[span.clone()].to_vec();
                insert(&mut out, span.start, &copy);
            }
            5 => {
                let piece = other[self::span(rng, other.len())].to_vec();
                insert(&mut out, span.start, &piece);
            }
            _ => insert(&mut out, span.start, &[rng.next_u64() as u8]),
        }
    }
    out
}

fn insert(out: &mut Vec<u8>, at: usize, piece: &[u8]) {
    out.splice(at..at, piece.iter().copied());
}

/// A span of up to 64 octets.
fn span(rng: &mut Rng, len: usize) -> std::ops::Range<usize> {
    let start = rng.range(len as u64 + 1) as usize;
    start..start + rng.range(64.min(len - start) as u64 + 1) as usize
}
