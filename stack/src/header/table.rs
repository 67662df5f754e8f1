//! The table of headers: name, shape and type of each.

use super::id::Shape;
use super::*;

macro_rules! shape {
    (one) => {
        Shape::One
    };
    (list) => {
        Shape::List
    };
    (lines) => {
        Shape::Lines
    };
}
macro_rules! kind {
    (one $t:ty) => { One<$t> };
    ($many:ident $t:ty) => { Many<$t> };
}
macro_rules! make {
    (one $id:ident) => {
        One::new(HeaderId::$id)
    };
    ($many:ident $id:ident) => {
        Many::new(HeaderId::$id)
    };
}

macro_rules! headers {
    ($($id:ident $name:literal $shape:ident $access:ident $value:ty;)*) => {
        /// Counts the rows, from 1: 0 is [`HeaderId::UNKNOWN`].
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Row { $($id,)* COUNT }

        pub(super) const COUNT: usize = Row::COUNT as usize + 1;
        pub(super) const NAMES: [&str; COUNT] = ["", $($name),*];
        pub(super) const SHAPES: [Shape; COUNT] = [Shape::Lines, $(shape!($shape)),*];

        impl HeaderId {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $id: HeaderId = HeaderId(Row::$id as u8 + 1);
            )*
        }

        /// The headers with their types: `msg.header(h::TO)`. Lists have names in the plural.
        pub mod h {
            use super::*;
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $access: kind!($shape $value) = make!($shape $id);
            )*
        }

        /// Parses one value of a header and forgets it: whether the value is well formed. Unknown headers have no rules.
        pub fn check(id: HeaderId, value: &str) -> Result<(), HeaderError> {
            match id {
                $(HeaderId::$id => <$value as HeaderValue>::parse(value).map(drop).map_err(|e| e.of(id)),)*
                _ => Ok(()),
            }
        }

        /// Parses one value of a header by its type and prints it: what a rewritten line would say. Of an unknown
        /// header it is the value itself.
        pub fn reprint(id: HeaderId, value: &str) -> Result<String, HeaderError> {
            match id {
                $(HeaderId::$id => {
                    <$value as HeaderValue>::parse(value).map(|v| v.to_string()).map_err(|e| e.of(id))
                })*
                _ => Ok(value.to_string()),
            }
        }
    };
}

/// The compact forms (RFC 3261 §7.3.3 and the IANA registry).
pub(super) const COMPACT: &[(u8, HeaderId)] = &[
    (b'a', HeaderId::ACCEPT_CONTACT),
    (b'b', HeaderId::REFERRED_BY),
    (b'c', HeaderId::CONTENT_TYPE),
    (b'd', HeaderId::REQUEST_DISPOSITION),
    (b'e', HeaderId::CONTENT_ENCODING),
    (b'f', HeaderId::FROM),
    (b'i', HeaderId::CALL_ID),
    (b'j', HeaderId::REJECT_CONTACT),
    (b'k', HeaderId::SUPPORTED),
    (b'l', HeaderId::CONTENT_LENGTH),
    (b'm', HeaderId::CONTACT),
    (b'n', HeaderId::IDENTITY_INFO),
    (b'o', HeaderId::EVENT),
    (b'r', HeaderId::REFER_TO),
    (b's', HeaderId::SUBJECT),
    (b't', HeaderId::TO),
    (b'u', HeaderId::ALLOW_EVENTS),
    (b'v', HeaderId::VIA),
    (b'x', HeaderId::SESSION_EXPIRES),
    (b'y', HeaderId::IDENTITY),
];

headers! {
    // RFC 3261
    VIA "Via" list VIAS Via<'static>;
    FROM "From" one FROM NameAddr<'static>;
    TO "To" one TO NameAddr<'static>;
    CALL_ID "Call-ID" one CALL_ID CallId<'static>;
    CSEQ "CSeq" one CSEQ CSeq<'static>;
    MAX_FORWARDS "Max-Forwards" one MAX_FORWARDS MaxForwards;
    ROUTE "Route" list ROUTES NameAddr<'static>;
    RECORD_ROUTE "Record-Route" list RECORD_ROUTES NameAddr<'static>;
    CONTACT "Contact" list CONTACTS Contact<'static>;
    CONTENT_LENGTH "Content-Length" one CONTENT_LENGTH Number;
    CONTENT_TYPE "Content-Type" one CONTENT_TYPE MediaType<'static>;
    EXPIRES "Expires" one EXPIRES DeltaSeconds;
    ACCEPT "Accept" list ACCEPTS MediaType<'static>;
    ACCEPT_ENCODING "Accept-Encoding" list ACCEPT_ENCODINGS Token<'static>;
    ACCEPT_LANGUAGE "Accept-Language" list ACCEPT_LANGUAGES Token<'static>;
    ALERT_INFO "Alert-Info" list ALERT_INFOS GenericUri<'static>;
    ALLOW "Allow" list ALLOWS Method<'static>;
    AUTHENTICATION_INFO "Authentication-Info" lines AUTHENTICATION_INFOS AuthParams<'static>;
    PROXY_AUTHENTICATION_INFO "Proxy-Authentication-Info" lines PROXY_AUTHENTICATION_INFOS AuthParams<'static>;
    AUTHORIZATION "Authorization" lines AUTHORIZATIONS Auth<'static>;
    PROXY_AUTHORIZATION "Proxy-Authorization" lines PROXY_AUTHORIZATIONS Auth<'static>;
    WWW_AUTHENTICATE "WWW-Authenticate" lines WWW_AUTHENTICATES Auth<'static>;
    PROXY_AUTHENTICATE "Proxy-Authenticate" lines PROXY_AUTHENTICATES Auth<'static>;
    CALL_INFO "Call-Info" list CALL_INFOS GenericUri<'static>;
    CONTENT_DISPOSITION "Content-Disposition" one CONTENT_DISPOSITION Token<'static>;
    CONTENT_ENCODING "Content-Encoding" list CONTENT_ENCODINGS Token<'static>;
    CONTENT_LANGUAGE "Content-Language" list CONTENT_LANGUAGES Token<'static>;
    CONTENT_TRANSFER_ENCODING "Content-Transfer-Encoding" one CONTENT_TRANSFER_ENCODING Token<'static>;
    CONTENT_ID "Content-ID" one CONTENT_ID FreeText<'static>;
    DATE "Date" one DATE Date;
    ERROR_INFO "Error-Info" list ERROR_INFOS GenericUri<'static>;
    IN_REPLY_TO "In-Reply-To" list IN_REPLY_TOS CallId<'static>;
    MIN_EXPIRES "Min-Expires" one MIN_EXPIRES DeltaSeconds;
    MIME_VERSION "MIME-Version" one MIME_VERSION Token<'static>;
    ORGANIZATION "Organization" one ORGANIZATION FreeText<'static>;
    PRIORITY "Priority" one PRIORITY Token<'static>;
    PROXY_REQUIRE "Proxy-Require" list PROXY_REQUIRES Token<'static>;
    REPLY_TO "Reply-To" one REPLY_TO NameAddr<'static>;
    REQUIRE "Require" list REQUIRES Token<'static>;
    RETRY_AFTER "Retry-After" one RETRY_AFTER RetryAfter<'static>;
    SERVER "Server" one SERVER FreeText<'static>;
    SUBJECT "Subject" one SUBJECT FreeText<'static>;
    SUPPORTED "Supported" list SUPPORTEDS Token<'static>;
    TIMESTAMP "Timestamp" one TIMESTAMP Timestamp<'static>;
    UNSUPPORTED "Unsupported" list UNSUPPORTEDS Token<'static>;
    USER_AGENT "User-Agent" one USER_AGENT FreeText<'static>;
    WARNING "Warning" list WARNINGS Warning<'static>;

    // Extensions of general use
    RACK "RAck" one RACK RAck<'static>;
    RSEQ "RSeq" one RSEQ Number;
    EVENT "Event" one EVENT Token<'static>;
    ALLOW_EVENTS "Allow-Events" list ALLOW_EVENTS Token<'static>;
    SUBSCRIPTION_STATE "Subscription-State" one SUBSCRIPTION_STATE Token<'static>;
    PRIVACY "Privacy" one PRIVACY Privacy<'static>;
    P_ASSERTED_IDENTITY "P-Asserted-Identity" list P_ASSERTED_IDENTITIES NameAddr<'static>;
    P_PREFERRED_IDENTITY "P-Preferred-Identity" list P_PREFERRED_IDENTITIES NameAddr<'static>;
    REASON "Reason" list REASONS Token<'static>;
    PATH "Path" list PATHS NameAddr<'static>;
    SERVICE_ROUTE "Service-Route" list SERVICE_ROUTES NameAddr<'static>;
    REFER_TO "Refer-To" one REFER_TO NameAddr<'static>;
    REFERRED_BY "Referred-By" one REFERRED_BY NameAddr<'static>;
    REFER_SUB "Refer-Sub" one REFER_SUB Token<'static>;
    REPLACES "Replaces" one REPLACES DialogRef<'static>;
    JOIN "Join" one JOIN DialogRef<'static>;
    TARGET_DIALOG "Target-Dialog" one TARGET_DIALOG DialogRef<'static>;
    ACCEPT_CONTACT "Accept-Contact" list ACCEPT_CONTACTS Token<'static>;
    REJECT_CONTACT "Reject-Contact" list REJECT_CONTACTS Token<'static>;
    REQUEST_DISPOSITION "Request-Disposition" list REQUEST_DISPOSITIONS Token<'static>;
    SIP_ETAG "SIP-ETag" one SIP_ETAG Token<'static>;
    SIP_IF_MATCH "SIP-If-Match" one SIP_IF_MATCH Token<'static>;
    SUPPRESS_IF_MATCH "Suppress-If-Match" one SUPPRESS_IF_MATCH Token<'static>;
    SESSION_EXPIRES "Session-Expires" one SESSION_EXPIRES DeltaParams<'static>;
    MIN_SE "Min-SE" one MIN_SE DeltaParams<'static>;
    FLOW_TIMER "Flow-Timer" one FLOW_TIMER DeltaSeconds;
    SECURITY_CLIENT "Security-Client" list SECURITY_CLIENTS Token<'static>;
    SECURITY_SERVER "Security-Server" list SECURITY_SERVERS Token<'static>;
    SECURITY_VERIFY "Security-Verify" list SECURITY_VERIFIES Token<'static>;
    IDENTITY "Identity" lines IDENTITIES Word<'static>;
    IDENTITY_INFO "Identity-Info" one IDENTITY_INFO GenericUri<'static>;
    DIVERSION "Diversion" list DIVERSIONS NameAddr<'static>;
    HISTORY_INFO "History-Info" list HISTORY_INFOS NameAddr<'static>;
    REMOTE_PARTY_ID "Remote-Party-ID" list REMOTE_PARTY_IDS NameAddr<'static>;

    // 3GPP (RFC 7315 and others) and rarer extensions
    P_ACCESS_NETWORK_INFO "P-Access-Network-Info" list P_ACCESS_NETWORK_INFOS Token<'static>;
    P_ASSOCIATED_URI "P-Associated-URI" list P_ASSOCIATED_URIS NameAddr<'static>;
    P_CALLED_PARTY_ID "P-Called-Party-ID" one P_CALLED_PARTY_ID NameAddr<'static>;
    P_CHARGING_FUNCTION_ADDRESSES "P-Charging-Function-Addresses" list P_CHARGING_FUNCTION_ADDRESSES ParamList<'static>;
    P_CHARGING_VECTOR "P-Charging-Vector" one P_CHARGING_VECTOR ParamList<'static>;
    P_VISITED_NETWORK_ID "P-Visited-Network-ID" list P_VISITED_NETWORK_IDS Word<'static>;
    P_EARLY_MEDIA "P-Early-Media" list P_EARLY_MEDIA Token<'static>;
    P_SERVED_USER "P-Served-User" one P_SERVED_USER NameAddr<'static>;
    P_ASSERTED_SERVICE "P-Asserted-Service" list P_ASSERTED_SERVICES FreeText<'static>;
    P_PREFERRED_SERVICE "P-Preferred-Service" list P_PREFERRED_SERVICES FreeText<'static>;
    P_MEDIA_AUTHORIZATION "P-Media-Authorization" list P_MEDIA_AUTHORIZATIONS Token<'static>;
    USER_TO_USER "User-to-User" list USER_TO_USERS Word<'static>;
    GEOLOCATION "Geolocation" list GEOLOCATIONS GenericUri<'static>;
    GEOLOCATION_ROUTING "Geolocation-Routing" one GEOLOCATION_ROUTING Token<'static>;
    GEOLOCATION_ERROR "Geolocation-Error" one GEOLOCATION_ERROR Token<'static>;
    ANSWER_MODE "Answer-Mode" one ANSWER_MODE Token<'static>;
    PRIV_ANSWER_MODE "Priv-Answer-Mode" one PRIV_ANSWER_MODE Token<'static>;
    INFO_PACKAGE "Info-Package" one INFO_PACKAGE Token<'static>;
    RECV_INFO "Recv-Info" list RECV_INFOS Token<'static>;
    MAX_BREADTH "Max-Breadth" one MAX_BREADTH Number;
    RESOURCE_PRIORITY "Resource-Priority" list RESOURCE_PRIORITIES Token<'static>;
    ACCEPT_RESOURCE_PRIORITY "Accept-Resource-Priority" list ACCEPT_RESOURCE_PRIORITIES Token<'static>;
    FEATURE_CAPS "Feature-Caps" list FEATURE_CAPS Token<'static>;
    SESSION_ID "Session-ID" one SESSION_ID Token<'static>;
}
