//! Each header by an example of the document that it comes from: its name, how often it may stand, and what its type reads.

use super::*;
use crate::message::Message;
use std::fmt::Write as _;

/// The parts, with blanks between them.
macro_rules! says {
    ($($part:expr),* $(,)?) => {{
        let mut all = String::new();
        $(let _ = write!(all, "{} ", $part);)*
        all.trim_end().to_owned()
    }};
}

/// One that may not be there.
fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn with(line: &str) -> Message {
    let text = format!("MESSAGE sip:bob@biloxi.com SIP/2.0\r\n{line}\r\n\r\n");
    Message::parse(text.into_bytes()).expect(line)
}

/// What the table says of a header, without its type.
fn row(id: HeaderId, single: bool, list: bool, line: &str) {
    let (name, _) = line.split_once(": ").expect(line);
    assert_eq!((id.name(), HeaderId::lookup(name.to_ascii_uppercase().as_bytes())), (name, id), "{line}");
    assert_eq!((id.is_single(), id.is_list()), (single, list), "{line}");
}

macro_rules! headers {
    ($($shape:ident $access:ident $line:literal |$v:ident| [$($part:expr),*] $wanted:literal;)*) => {
        #[test]
        fn every_header_by_its_example() {
            let mut seen = Vec::new();
            $(
                let message = with($line);
                headers!(@row $shape $access $line);
                let $v = headers!(@read $shape message $access).expect($line);
                assert_eq!(says![$($part),*], $wanted, "{}", $line);
                seen.push(h::$access.id);
            )*
            assert_eq!(seen, HeaderId::all().collect::<Vec<_>>(), "each once, in the order of the table");
        }
    };
    (@row one $access:ident $line:literal) => { row(h::$access.id, true, false, $line) };
    (@row list $access:ident $line:literal) => { row(h::$access.id, false, true, $line) };
    (@row lines $access:ident $line:literal) => { row(h::$access.id, false, false, $line) };
    (@read one $message:ident $access:ident) => { $message.header(h::$access) };
    (@read $many:ident $message:ident $access:ident) => { $message.first(h::$access) };
}

headers! {
    // RFC 3261 §20
    list VIAS "Via: SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7"
        |v| [v.transport, v.host, or_none(v.port), or_none(v.branch())] "UDP erlang.bell-telephone.com 5060 z9hG4bK87asdks7";
    one FROM "From: \"A. G. Bell\" <sip:agb@bell-telephone.com>;tag=a48s"
        |v| [v.display_name().unwrap(), v.uri, or_none(v.param(p::TAG))] "A. G. Bell sip:agb@bell-telephone.com a48s";
    one TO "To: The Operator <sip:operator@cs.columbia.edu>;tag=287447"
        |v| [v.display_name().unwrap(), v.uri, or_none(v.param(p::TAG))] "The Operator sip:operator@cs.columbia.edu 287447";
    one CALL_ID "Call-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6@biloxi.com"
        |v| [v.as_str()] "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@biloxi.com";
    one CSEQ "CSeq: 4711 INVITE" |v| [v.number, v.method.as_str()] "4711 INVITE";
    one MAX_FORWARDS "Max-Forwards: 6" |v| [v.0] "6";
    list ROUTES "Route: <sip:bigbox3.site3.atlanta.com;lr>,<sip:server10.biloxi.com;lr>"
        |v| [v.uri] "sip:bigbox3.site3.atlanta.com;lr";
    list RECORD_ROUTES "Record-Route: <sip:server10.biloxi.com;lr>,<sip:bigbox3.site3.atlanta.com;lr>"
        |v| [v.uri] "sip:server10.biloxi.com;lr";
    list CONTACTS "Contact: \"Mr. Watson\" <sip:watson@worcester.bell-telephone.com>;q=0.7;expires=3600"
        |v| [v.addr().unwrap().uri, or_none(v.addr().unwrap().param(p::EXPIRES))]
        "sip:watson@worcester.bell-telephone.com 3600";
    one CONTENT_LENGTH "Content-Length: 0" |v| [v.0] "0";
    one CONTENT_TYPE "Content-Type: text/html; charset=ISO-8859-4"
        |v| [v.main, v.sub, v.param(p::CHARSET).unwrap()] "text html ISO-8859-4";
    one EXPIRES "Expires: 5" |v| [v.0] "5";
    list ACCEPTS "Accept: application/sdp;level=1, application/x-private, text/html"
        |v| [v.main, v.sub] "application sdp";
    list ACCEPT_ENCODINGS "Accept-Encoding: gzip" |v| [v.value] "gzip";
    list ACCEPT_LANGUAGES "Accept-Language: da, en-gb;q=0.8, en;q=0.7" |v| [v.value] "da";
    list ALERT_INFOS "Alert-Info: <http://www.example.com/sounds/moo.wav>" |v| [v.uri] "http://www.example.com/sounds/moo.wav";
    list ALLOWS "Allow: INVITE, ACK, OPTIONS, CANCEL, BYE" |v| [v.as_str()] "INVITE";
    lines AUTHENTICATION_INFOS "Authentication-Info: nextnonce=\"47364c23432d2e131a5fb210812c\", qop=auth"
        |v| [v.get("nextnonce").unwrap(), v.get("qop").unwrap()] "47364c23432d2e131a5fb210812c auth";
    lines PROXY_AUTHENTICATION_INFOS "Proxy-Authentication-Info: nextnonce=\"47364c\", nc=00000001"
        |v| [v.get("nextnonce").unwrap(), v.get("nc").unwrap()] "47364c 00000001";
    lines AUTHORIZATIONS "Authorization: Digest username=\"Alice\", realm=\"atlanta.com\", nonce=\"84a4\", response=\"7587\""
        |v| [v.scheme, v.params.get("username").unwrap(), v.params.get("response").unwrap()] "Digest Alice 7587";
    lines PROXY_AUTHORIZATIONS "Proxy-Authorization: Digest username=\"Alice\", realm=\"atlanta.com\", nonce=\"c60f\", response=\"2452\""
        |v| [v.scheme, v.params.get("nonce").unwrap()] "Digest c60f";
    lines WWW_AUTHENTICATES "WWW-Authenticate: Digest realm=\"atlanta.com\", qop=\"auth\", nonce=\"f84f1cec41e6cbe5aea9c8e88d359\""
        |v| [v.scheme, v.params.get("realm").unwrap()] "Digest atlanta.com";
    lines PROXY_AUTHENTICATES "Proxy-Authenticate: Digest realm=\"atlanta.com\", nonce=\"f84f\", stale=FALSE, algorithm=MD5"
        |v| [v.scheme, v.params.get("algorithm").unwrap()] "Digest MD5";
    list CALL_INFOS "Call-Info: <http://wwww.example.com/alice/photo.jpg> ;purpose=icon, <http://www.example.com/alice/> ;purpose=info"
        |v| [v.uri, or_none(v.param(p::PURPOSE))] "http://wwww.example.com/alice/photo.jpg icon";
    one CONTENT_DISPOSITION "Content-Disposition: session;handling=optional"
        |v| [v.value, or_none(v.param(p::HANDLING))] "session optional";
    list CONTENT_ENCODINGS "Content-Encoding: gzip" |v| [v.value] "gzip";
    list CONTENT_LANGUAGES "Content-Language: fr" |v| [v.value] "fr";
    // RFC 2045 §6, RFC 2045 §7, for bodies
    one CONTENT_TRANSFER_ENCODING "Content-Transfer-Encoding: binary" |v| [v.value] "binary";
    one CONTENT_ID "Content-ID: <1234567890@alice.example.com>" |v| [v.text()] "<1234567890@alice.example.com>";
    one DATE "Date: Sat, 13 Nov 2010 23:29:00 GMT" |v| [v.year, v.month, v.day, v.hour, v.minute, v.second] "2010 11 13 23 29 0";
    list ERROR_INFOS "Error-Info: <sip:not-in-service-recording@atlanta.com>" |v| [v.uri] "sip:not-in-service-recording@atlanta.com";
    list IN_REPLY_TOS "In-Reply-To: 70710@saturn.bell-tel.com, 17320@saturn.bell-tel.com" |v| [v.as_str()] "70710@saturn.bell-tel.com";
    one MIN_EXPIRES "Min-Expires: 60" |v| [v.0] "60";
    one MIME_VERSION "MIME-Version: 1.0" |v| [v.value] "1.0";
    one ORGANIZATION "Organization: Boxes by Bob" |v| [v.text()] "Boxes by Bob";
    one PRIORITY "Priority: non-urgent" |v| [v.value] "non-urgent";
    list PROXY_REQUIRES "Proxy-Require: foo" |v| [v.value] "foo";
    one REPLY_TO "Reply-To: Bob <sip:bob@biloxi.com>" |v| [v.display_name().unwrap(), v.uri] "Bob sip:bob@biloxi.com";
    list REQUIRES "Require: 100rel" |v| [v.value] "100rel";
    one RETRY_AFTER "Retry-After: 18000 (I'm in a meeting);duration=3600"
        |v| [v.seconds, v.comment.as_deref().unwrap(), or_none(v.param(p::DURATION))] "18000 I'm in a meeting 3600";
    one SERVER "Server: HomeServer v2" |v| [v.text()] "HomeServer v2";
    one SUBJECT "Subject: Tech Support" |v| [v.text()] "Tech Support";
    list SUPPORTEDS "Supported: 100rel" |v| [v.value] "100rel";
    one TIMESTAMP "Timestamp: 54.21 0.5" |v| [v.time, v.delay.as_deref().unwrap()] "54.21 0.5";
    list UNSUPPORTEDS "Unsupported: foo" |v| [v.value] "foo";
    one USER_AGENT "User-Agent: Softphone Beta1.5" |v| [v.text()] "Softphone Beta1.5";
    list WARNINGS "Warning: 307 isi.edu \"Session parameter 'foo' not understood\""
        |v| [v.code, v.agent, v.raw_text] "307 isi.edu \"Session parameter 'foo' not understood\"";

    // RFC 3262 §10
    one RACK "RAck: 776656 1 INVITE" |v| [v.rseq, v.cseq, v.method.as_str()] "776656 1 INVITE";
    one RSEQ "RSeq: 988789" |v| [v.0] "988789";
    // RFC 6665 §8.4
    one EVENT "Event: presence;id=1" |v| [v.value, or_none(v.param(p::ID))] "presence 1";
    list ALLOW_EVENTS "Allow-Events: spirits-INDPs, presence" |v| [v.value] "spirits-INDPs";
    one SUBSCRIPTION_STATE "Subscription-State: terminated;reason=probation;retry-after=60"
        |v| [v.value, v.param(p::REASON).unwrap(), or_none(v.param(p::RETRY_AFTER))] "terminated probation 60";
    // RFC 3323 §4.2
    one PRIVACY "Privacy: header;session;critical" |v| [v.iter().collect::<Vec<_>>().join("+")] "header+session+critical";
    // RFC 3325 §9
    list P_ASSERTED_IDENTITIES "P-Asserted-Identity: \"Cullen Jennings\" <sip:fluffy@cisco.com>"
        |v| [v.display_name().unwrap(), v.uri] "Cullen Jennings sip:fluffy@cisco.com";
    list P_PREFERRED_IDENTITIES "P-Preferred-Identity: <tel:+14085264000>" |v| [v.uri] "tel:+14085264000";
    // RFC 3326 §2
    list REASONS "Reason: SIP;cause=580;text=\"Precondition Failure\""
        |v| [v.value, or_none(v.param(p::CAUSE)), v.param(p::TEXT).unwrap()] "SIP 580 Precondition Failure";
    // RFC 3327 §5.5.1, RFC 3608 §6.4.1
    list PATHS "Path: <sip:P3.EXAMPLEHOME.COM;lr>,<sip:P1.EXAMPLEVISITED.COM;lr>" |v| [v.uri] "sip:P3.EXAMPLEHOME.COM;lr";
    list SERVICE_ROUTES "Service-Route: <sip:P2.HOME.EXAMPLE.COM;lr>,<sip:HSP.HOME.EXAMPLE.COM;lr>" |v| [v.uri] "sip:P2.HOME.EXAMPLE.COM;lr";
    // RFC 3515 §2.1, RFC 3892 §3, RFC 4488 §3
    one REFER_TO "Refer-To: <sip:dave@denver.example.org?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345>"
        |v| [v.uri] "sip:dave@denver.example.org?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345";
    one REFERRED_BY "Referred-By: sip:r@ref.example ;cid=\"20398823.2UWQFN309shb3@ref.example\""
        |v| [v.uri, v.param(p::CID).unwrap()] "sip:r@ref.example 20398823.2UWQFN309shb3@ref.example";
    one REFER_SUB "Refer-Sub: false" |v| [v.value] "false";
    // RFC 3891 §6.1, RFC 3911 §7.1, RFC 4538 §7
    one REPLACES "Replaces: 98732@sip.example.com ;from-tag=r33th4x0r ;to-tag=ff87ff"
        |v| [v.call_id.as_str(), or_none(v.param(p::FROM_TAG)), or_none(v.param(p::TO_TAG))] "98732@sip.example.com r33th4x0r ff87ff";
    one JOIN "Join: 12adf2f34456gs5;to-tag=12345;from-tag=54321"
        |v| [v.call_id.as_str(), or_none(v.param(p::TO_TAG)), or_none(v.param(p::FROM_TAG))] "12adf2f34456gs5 12345 54321";
    one TARGET_DIALOG "Target-Dialog: fa77as7dad8-sd98ajzz@host.example.com ;local-tag=kkaz-;remote-tag=6544"
        |v| [v.call_id.as_str(), or_none(v.param(p::LOCAL_TAG)), or_none(v.param(p::REMOTE_TAG))]
        "fa77as7dad8-sd98ajzz@host.example.com kkaz- 6544";
    // RFC 3841 §10
    list ACCEPT_CONTACTS "Accept-Contact: *;audio;require, *;video;explicit"
        |v| [v.value, v.param(p::REQUIRE), v.param(p::EXPLICIT)] "* true false";
    list REJECT_CONTACTS "Reject-Contact: *;actor=\"msg-taker\";video" |v| [v.value, v.params.contains("video")] "* true";
    list REQUEST_DISPOSITIONS "Request-Disposition: proxy, recurse, parallel" |v| [v.value] "proxy";
    // RFC 3903 §11.3, RFC 5839 §7.1
    one SIP_ETAG "SIP-ETag: dx200xyz" |v| [v.value] "dx200xyz";
    one SIP_IF_MATCH "SIP-If-Match: dx200xyz" |v| [v.value] "dx200xyz";
    one SUPPRESS_IF_MATCH "Suppress-If-Match: *" |v| [v.value] "*";
    // RFC 4028 §4, §5
    one SESSION_EXPIRES "Session-Expires: 4000;refresher=uac" |v| [v.seconds, or_none(v.param(p::REFRESHER))] "4000 uac";
    one MIN_SE "Min-SE: 60;lr=x" |v| [v.seconds] "60";
    // RFC 5626 §11.2
    one FLOW_TIMER "Flow-Timer: 126" |v| [v.0] "126";
    // RFC 3329 §2.2
    list SECURITY_CLIENTS "Security-Client: digest;d-alg=MD5" |v| [v.value, v.params.get("d-alg").unwrap()] "digest MD5";
    list SECURITY_SERVERS "Security-Server: ipsec-ike;q=0.1" |v| [v.value] "ipsec-ike";
    list SECURITY_VERIFIES "Security-Verify: tls;q=0.2" |v| [v.value] "tls";
    // RFC 8224 §4, RFC 4474 §9
    lines IDENTITIES "Identity: eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0In0..q7MSJ; info=<https://biloxi.example.org/biloxi.cer>;alg=ES256"
        |v| [v.raw, v.param(p::ALG).unwrap(), or_none(v.param(p::INFO))]
        "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0In0..q7MSJ ES256 <https://biloxi.example.org/biloxi.cer>";
    one IDENTITY_INFO "Identity-Info: <https://atlanta.example.com/atlanta.cer>;alg=rsa-sha1"
        |v| [v.uri, v.param(p::ALG).unwrap()] "https://atlanta.example.com/atlanta.cer rsa-sha1";
    // RFC 5806 §9
    list DIVERSIONS "Diversion: <tel:+19195551002>;reason=unconditional;counter=1;privacy=off"
        |v| [v.uri, v.param(p::REASON).unwrap(), or_none(v.param(p::COUNTER))] "tel:+19195551002 unconditional 1";
    // RFC 7044 §5
    list HISTORY_INFOS "History-Info: <sip:office@example.com>;index=1.2.1;mp=1.2"
        |v| [v.uri, or_none(v.param(p::INDEX)), or_none(v.param(p::MP))] "sip:office@example.com 1.2.1 1.2";
    // draft-ietf-sip-privacy-04 §5
    list REMOTE_PARTY_IDS "Remote-Party-ID: \"John Smith\" <sip:jsmith@domain.com>;party=calling;id-type=subscriber;privacy=full;screen=yes"
        |v| [v.display_name().unwrap(), or_none(v.param(p::PARTY)), or_none(v.param(p::ID_TYPE)), or_none(v.param(p::SCREEN))]
        "John Smith calling subscriber yes";

    // RFC 7315 §5
    list P_ACCESS_NETWORK_INFOS "P-Access-Network-Info: 3GPP-UTRAN-TDD; utran-cell-id-3gpp=234151D0FCE11"
        |v| [v.value, v.params.get("utran-cell-id-3gpp").unwrap()] "3GPP-UTRAN-TDD 234151D0FCE11";
    list P_ASSOCIATED_URIS "P-Associated-URI: <sip:a@example.com>, <sip:b@example.com>" |v| [v.uri] "sip:a@example.com";
    one P_CALLED_PARTY_ID "P-Called-Party-ID: <sip:user1-business@example.com>" |v| [v.uri] "sip:user1-business@example.com";
    list P_CHARGING_FUNCTION_ADDRESSES "P-Charging-Function-Addresses: ccf=192.0.8.1; ecf=192.0.8.3"
        |v| [v.get("ccf").unwrap(), v.get("ecf").unwrap()] "192.0.8.1 192.0.8.3";
    one P_CHARGING_VECTOR "P-Charging-Vector: icid-value=1234bc9876e; icid-generated-at=192.0.6.8; orig-ioi=home1.net"
        |v| [v.param(p::ICID_VALUE).unwrap(), v.param(p::ICID_GENERATED_AT).unwrap(), v.param(p::ORIG_IOI).unwrap()]
        "1234bc9876e 192.0.6.8 home1.net";
    list P_VISITED_NETWORK_IDS "P-Visited-Network-ID: \"Visited network number 1\"" |v| [v.text()] "Visited network number 1";
    // RFC 5009 §8, RFC 5502 §6, RFC 6050 §4, RFC 3313 §5
    list P_EARLY_MEDIA "P-Early-Media: supported" |v| [v.value] "supported";
    one P_SERVED_USER "P-Served-User: <sip:user@example.com>; sescase=orig; regstate=reg"
        |v| [v.uri, v.params.get("sescase").unwrap()] "sip:user@example.com orig";
    list P_ASSERTED_SERVICES "P-Asserted-Service: urn:urn-7:3gpp-service.exampletelephony.version1"
        |v| [v.text()] "urn:urn-7:3gpp-service.exampletelephony.version1";
    list P_PREFERRED_SERVICES "P-Preferred-Service: urn:urn-7:3gpp-service.exampletelephony.version1"
        |v| [v.text()] "urn:urn-7:3gpp-service.exampletelephony.version1";
    list P_MEDIA_AUTHORIZATIONS "P-Media-Authorization: 0020000100100101706466312e686f6d65312e6e65740000" |v| [v.value]
        "0020000100100101706466312e686f6d65312e6e65740000";
    // RFC 7433 §4.1
    list USER_TO_USERS "User-to-User: 56a390f3d2b7310023a2;encoding=hex;purpose=foo"
        |v| [v.raw, or_none(v.param(p::ENCODING)), or_none(v.param(p::PURPOSE))] "56a390f3d2b7310023a2 hex foo";
    // RFC 6442 §4
    list GEOLOCATIONS "Geolocation: <cid:target123@atlanta.example.com>" |v| [v.uri] "cid:target123@atlanta.example.com";
    one GEOLOCATION_ROUTING "Geolocation-Routing: yes" |v| [v.value] "yes";
    one GEOLOCATION_ERROR "Geolocation-Error: 100 ;code=\"Cannot Process Location\"" |v| [v.value] "100";
    // RFC 5373 §5
    one ANSWER_MODE "Answer-Mode: Manual;require" |v| [v.value, v.param(p::REQUIRE)] "Manual true";
    one PRIV_ANSWER_MODE "Priv-Answer-Mode: Auto" |v| [v.value] "Auto";
    // RFC 6086 §7
    one INFO_PACKAGE "Info-Package: foo" |v| [v.value] "foo";
    list RECV_INFOS "Recv-Info: P, Q" |v| [v.value] "P";
    // RFC 5393 §5.3.1, RFC 4412 §3.1, §3.2
    one MAX_BREADTH "Max-Breadth: 60" |v| [v.0] "60";
    list RESOURCE_PRIORITIES "Resource-Priority: wps.3, dsn.flash" |v| [v.value] "wps.3";
    list ACCEPT_RESOURCE_PRIORITIES "Accept-Resource-Priority: dsn.flash-override, dsn.flash" |v| [v.value] "dsn.flash-override";
    // RFC 6809 §6.2, RFC 7989 §5
    list FEATURE_CAPS "Feature-Caps: *;+sip.newfeature" |v| [v.value, v.params.contains("+sip.newfeature")] "* true";
    one SESSION_ID "Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2"
        |v| [v.value, v.params.get("remote").unwrap()] "ab30317f1a784dc48ff824d0d3715d86 47755a9de7794ba387653f2099600ef2";
}
