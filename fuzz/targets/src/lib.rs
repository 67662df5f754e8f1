//! What the fuzzers do with octets: one function a target, which panics when the stack breaks a promise.
//!
//! No panic is the least of the promises. Each function says in its docs what else it holds the stack to. The same
//! functions run under libFuzzer (the folder above) and, for a few seconds each, in the smoke test of `tests/`.
#![forbid(unsafe_code)]

mod contents;
mod datagram;
mod header;
pub mod mutate;
mod sdp;
pub mod seeds;
mod stream;
mod transactions;
mod uri;

pub use contents::contents;
pub use datagram::datagram;
pub use header::header;
pub use sdp::sdp;
pub use stream::stream;
pub use transactions::transactions;
pub use uri::uri;

/// A target: its name and what it does with one input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 7] = [
    ("datagram", datagram),
    ("stream", stream),
    ("header", header),
    ("uri", uri),
    ("sdp", sdp),
    ("contents", contents),
    ("transactions", transactions),
];
