//! The INVITE that the message benches measure, and what is read from it.

use stack::header::{h, p};
use stack::message::Message;

/// An INVITE of 670 octets with a session description, as a softphone behind a proxy sends it.
pub(crate) const INVITE: &[u8] = b"INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bK74bf9kdlw0;rport\r\n\
Max-Forwards: 70\r\n\
From: \"Alice\" <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\n\
To: \"Bob\" <sip:bob@biloxi.example.com>\r\n\
Call-ID: 382762982201851@atlanta.example.com\r\n\
CSeq: 1 INVITE\r\n\
Contact: <sip:alice@192.0.2.101:5060;transport=udp>\r\n\
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n\
Supported: replaces, timer\r\n\
User-Agent: phone\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 175\r\n\
\r\n\
v=0\r\n\
o=alice 2890844526 2890844526 IN IP4 192.0.2.101\r\n\
s=-\r\n\
c=IN IP4 192.0.2.101\r\n\
t=0 0\r\n\
m=audio 49172 RTP/AVP 0 101\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n";

/// Reads top Via, From, To, Call-ID, CSeq and Max-Forwards, typed; something of each, so that none can be left out.
pub(crate) fn read_six(msg: &Message) -> usize {
    let via = msg.first(h::VIAS).expect("a Via");
    let from = msg.header(h::FROM).expect("From");
    let to = msg.header(h::TO).expect("To");
    let call_id = msg.header(h::CALL_ID).expect("Call-ID");
    let cseq = msg.header(h::CSEQ).expect("CSeq");
    let hops = msg.header(h::MAX_FORWARDS).expect("Max-Forwards");
    let texts = [via.param(p::BRANCH), from.param(p::TAG), to.param(p::TAG), Some(call_id.as_str())];
    texts.iter().flatten().map(|text| text.len()).sum::<usize>() + cseq.number as usize + usize::from(hops.0)
}
