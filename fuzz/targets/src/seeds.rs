//! Inputs to begin with: the torture messages, and what they are made of.

use rutil::Rng;
use stack::header::HeaderId;
use std::fs;
use std::path::Path;

/// Most octets of a seed: libFuzzer's own limit.
const MOST: usize = 4096;

const HEADER_VALUES: [&str; 24] = [
    "SIP/2.0/UDP pc33.atlanta.com:5060;branch=z9hG4bK776asdhds;received=192.0.2.1;rport=5060",
    "\"A. G. Bell\" <sip:agb@bell-telephone.com;lr?Subject=x> ;tag=a48s",
    "sip:+12125551212@server.phone2net.com;tag=887s",
    "<http://www.example.com/sounds/moo.wav>;x=y",
    "a84b4c76e66710@pc33.atlanta.com",
    "314159 INVITE",
    "776656 1 INVITE",
    "70",
    "0.25",
    "120 (in a meeting);duration=60",
    "*",
    "text/plain;charset=UTF-8;q=0.5",
    "Digest username=\"bob\", realm=\"atlanta.com\", nonce=\"84a4cc6f\", uri=\"sip:a@b\", response=\"7587245234b3434c\"",
    "nextnonce=\"47364c23432d2e131a5fb210812c\", qop=auth, nc=00000001",
    "Sat, 13 Nov 2010 23:29:00 GMT",
    "54.2 0.1",
    "307 isi.edu \"Session parameter not understood\"",
    "presence;id=1",
    "id;critical",
    "98asjh@h.example;to-tag=1;from-tag=2;early-only",
    "icid-value=1234;orig-ioi=home1.net",
    "\"quoted \\\" text\";x=\"<y>\"",
    "active;expires=600;reason=deactivated",
    "<sip:a@[2001:db8::9:1]:5061;transport=tls>;expires=3600;q=0.7;+sip.instance=\"<urn:uuid:0>\"",
];

const URIS: [&str; 14] = [
    "sip:alice:secretword@atlanta.com;transport=tcp\nsip:alice@atlanta.com",
    "sips:1212@gateway.com;user=phone?Subject=x&Route=%3Csip:a%3E\nsips:1212@gateway.com;user=phone",
    "sip:%61lice@atlanta.com;transport=TCP\nsip:alice@AtlanTa.CoM;Transport=tcp",
    "sip:carol@chicago.com;newparam=5\nsip:carol@chicago.com;security=on",
    "sip:[2001:db8::10]:5070;maddr=[::1];ttl=15;lr\nsip:[2001:db8:0::10]:5070",
    "sip:[::ffff:192.0.2.1]\nsip:192.0.2.1",
    "tel:+358-555-1234567;postd=pp22\ntel:+3585551234567;postd=PP22",
    "tel:863-1234;phone-context=+1-914-555\ntel:8631234;phone-context=+1914555",
    "tel:7042;phone-context=example.com;isub=1\ntel:7042;phone-context=EXAMPLE.com",
    "http://www.example.com/a?b=c#d\nHTTP://www.example.com/a?b=c#d",
    "urn:service:sos.fire\nurn:service:sos",
    "sip:user;par=u%40example.net@example.com\nsip:biloxi.com;method=REGISTER?to=sip:bob%40biloxi.com",
    "sip:a?b/c&d=e+f$g,h@example.com:65535;%6C%72;n%61me=v%61lue%25\nsip:a;b=c@d",
    "sip:example.com;x=1;x=2\nsip:example.com;X=2",
];

const SDPS: [&str; 3] = [
    "v=0\r\no=alice 2890844526 2890844527 IN IP4 host.atlanta.com\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
     m=audio 49170 RTP/AVP 0 8 96\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n\
     a=ptime:20\r\na=sendonly\r\nm=video 0 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\n",
    "v=0\no=- 1 1 IN IP6 2001:db8::1\ns= \ni=x\nu=http://a\ne=a@b\np=+1\nb=AS:64\nt=3034423619 3042462419\nr=7d 1h 0 25h\n\
     z=0 1h\nk=clear:x\na=recvonly\nm=audio 3456/2 RTP/AVP 18\nc=IN IP4 224.2.1.1/127/3\na=inactive\n\n",
    "v=0\r\no=- 9 9 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
     c=IN IP4 0.0.0.0\r\na=mid:0\r\na=group:BUNDLE 0\r\nm=audio 9 RTP/AVP 96\r\na=rtpmap:96 OPUS/48000/2",
];

const CONTENTS: [&str; 13] = [
    "message/sipfrag;version=2.0\nSIP/2.0 200 OK",
    "message/sipfrag\nINVITE sip:a@b SIP/2.0\r\nSubject : x:y\r\n  z\r\nTo: <sip:a@b>\r\n\r\nbody",
    "message/sipfrag\nFrom: <sip:a@b>\nSubject: x",
    "text/plain;charset=\"utf-8\"\nhello",
    "application/x; a = \"b\\\"c\" ;d=e\nx",
    "multipart/mixed;boundary=b\npre\r\n--b\r\n\r\nfirst\r\n--b\r\nContent-Type: message/sipfrag\r\n\r\nSIP/2.0 100 Trying\
     \r\n--b \r\nContent-ID: <1@a>\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\npost",
    "multipart/related;boundary=\"a b\";start=\"<1@a>\"\n--a b\nContent-Type: multipart/mixed;boundary=b\n\n--b\n\n\n--b--\n\
     --a b\nContent-Id: <1@a>\nContent-Type: application/sdp\n\nv=0\n--a b--",
    "multipart/signed;boundary=b;protocol=\"application/pkcs7-signature\"\n--b\r\nA: b\r\n c\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--",
    "application/pidf+xml\n<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:a@b\">\
     <tuple id=\"t\"><status><basic>open</basic></status><contact priority=\"0.8\">sip:a@b</contact>\
     <note xml:lang=\"en\">&lt;&#65;</note></tuple><note>x</note></presence>",
    "application/dialog-info+xml\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" state=\"full\" \
     entity=\"sip:a@b\"><dialog id=\"1\" call-id=\"c\" direction=\"initiator\"><state event=\"rejected\" code=\"486\">\
     terminated</state><local><target uri=\"sip:a@c\"/></local></dialog></dialog-info>",
    "application/reginfo+xml\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"1\" state=\"partial\">\
     <registration aor=\"sip:a@b\" id=\"r\" state=\"active\"><contact id=\"c\" state=\"active\" event=\"registered\" \
     expires=\"60\"><uri>sip:a@c</uri></contact></registration></reginfo>",
    "application/conference-info+xml\n<c:conference-info xmlns:c=\"urn:ietf:params:xml:ns:conference-info\" \
     entity=\"sip:c@b\" state=\"full\" version=\"1\"><c:users><c:user entity=\"sip:a@b\"><c:endpoint entity=\"sip:a@c\">\
     <c:status>connected</c:status></c:endpoint></c:user></c:users></c:conference-info>",
    "application/simple-message-summary\nMessages-Waiting: yes\r\nMessage-Account: sip:a@b\r\n\
     Voice-Message: 2/8 (0/2)\r\nX: y\r\n\r\nTo: b\r\n",
];

/// The seeds of a target, always the same ones.
///
/// # Panics
/// If `tests/torture` cannot be read, or there is no such target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let mut seeds = match target {
        "datagram" => datagrams(),
        "stream" => streams(),
        "header" => headers(),
        "uri" => texts(&URIS),
        "sdp" => texts(&SDPS),
        "contents" => texts(&CONTENTS),
        "transactions" => sequences(),
        other => panic!("no target {other}"),
    };
    seeds.retain(|seed| seed.len() <= MOST);
    seeds
}

/// Our own torture messages, in the order of their names.
fn torture() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/torture");
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "sip"));
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).collect()
}

fn datagrams() -> Vec<Vec<u8>> {
    let mut seeds = torture();
    seeds.push(
        b"\r\nBYE sip:a SIP/2.0\r\nv:\r\nv: \x0cSIP/2.0/TCP a;rport,\x0cSIP/2.0/UDP b\n c\r\nt: a\r\n\r\n\0".to_vec(),
    );
    seeds.push(b"INVITE sip:a SIP/2.0\r\nTo: <sip:a>;tag\r\n\r\n".to_vec());
    seeds.push(
        b"SIP/2.0 180 \xc3\xa9\nv: SIP/2.0/UDP [::1];branch=z9hG4bK1 , SIP/2.0/UDP b\nl: 3\ni: a\n\nbody".to_vec(),
    );
    seeds
}

fn streams() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        b"\x03\x00\x01\x02\r\n\r\nOPTIONS sip:a SIP/2.0\r\nl:2\r\n\r\nxyBYE sip:a SIP/2.0\nl: 0\n\n".to_vec(),
        b"\x00SIP/2.0 200 OK\r\nl:0\r\n\r\n\r\n\r\n\r\n\r\nSIP/2.0 200 OK\r\n\r\n".to_vec(),
    ];
    seeds.extend(torture().iter().map(|message| [&[0x82, 3, 40], &message[..], b"\r\n\r\n", message].concat()));
    seeds
}

fn headers() -> Vec<Vec<u8>> {
    let ids = 0..HeaderId::COUNT as u8 - 1;
    ids.flat_map(|id| HEADER_VALUES.iter().map(move |value| [&[id], value.as_bytes()].concat())).collect()
}

/// Scripts for the transaction target are octets: any will do.
fn sequences() -> Vec<Vec<u8>> {
    let mut rng = Rng::from_seed(3261);
    let mut script = |len: usize| {
        let mut octets = vec![0; len];
        rng.fill(&mut octets);
        octets
    };
    (1..40).map(|n| script(n * 8)).collect()
}
