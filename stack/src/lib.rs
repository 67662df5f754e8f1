//! A SIP stack in the architecture of reSIProcate: transport, message-header scanner, transaction state machines,
//! timer queue and transport selector are actors joined by bounded FIFOs.
#![forbid(unsafe_code)]

pub mod header;
pub mod selector;
pub mod transport;
