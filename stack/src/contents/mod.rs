//! Bodies of SIP messages, apart from the messages that carry them.

pub mod media_type;
pub mod sdp;

pub use media_type::{MediaType, MediaTypeError};
pub use sdp::{Sdp, SdpError};
