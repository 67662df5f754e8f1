//! The parameters that the stack knows, with their types: `via.param(p::BRANCH)`.

use super::param::{Address, Flag, Integer, Param, Quality, Quoted, Rport, Text};

macro_rules! params {
    ($($konst:ident $name:literal $kind:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        pub const $konst: Param<$kind> = Param::new($name);
    )*};
}

params! {
    TAG "tag" Text "`tag` of From and To (RFC 3261 §19.3).";
    BRANCH "branch" Text "`branch` of Via.";
    RECEIVED "received" Address "`received` of Via (RFC 3261 §18.2.1).";
    RPORT "rport" Rport "`rport` of Via (RFC 3581).";
    MADDR "maddr" Text "`maddr` of Via and SIP URIs.";
    TTL "ttl" Integer "`ttl` of Via and SIP URIs.";
    KEEP "keep" Integer "`keep` of Via (RFC 6223).";
    ALIAS "alias" Flag "`alias` of Via (RFC 5923).";
    LR "lr" Flag "`lr` of SIP URIs: a loose router.";
    TRANSPORT "transport" Text "`transport` of SIP URIs.";
    USER "user" Text "`user` of SIP URIs.";
    METHOD "method" Text "`method` of SIP URIs.";
    COMP "comp" Text "`comp` of SIP URIs and Via (RFC 3486).";
    OB "ob" Flag "`ob` of SIP URIs (RFC 5626).";
    GR "gr" Text "`gr` of SIP URIs (RFC 5627); ask `contains` for a temporary GRUU.";
    PHONE_CONTEXT "phone-context" Text "`phone-context` of tel URIs (RFC 3966).";
    EXPIRES "expires" Integer "`expires` of Contact and Subscription-State, seconds.";
    Q "q" Quality "`q` of Contact and the Accept headers.";
    INSTANCE "+sip.instance" Quoted "`+sip.instance` of Contact (RFC 5626).";
    ISFOCUS "isfocus" Flag "`isfocus` of Contact: it is a conference (RFC 3840).";
    REG_ID "reg-id" Integer "`reg-id` of Contact (RFC 5626).";
    PUB_GRUU "pub-gruu" Quoted "`pub-gruu` of Contact (RFC 5627).";
    TEMP_GRUU "temp-gruu" Quoted "`temp-gruu` of Contact (RFC 5627).";
    METHODS "methods" Quoted "`methods` of Contact (RFC 3840).";
    CAUSE "cause" Integer "`cause` of Reason and History-Info.";
    TEXT "text" Quoted "`text` of Reason (RFC 3326).";
    REASON "reason" Quoted "`reason` of Subscription-State and Diversion.";
    RETRY_AFTER "retry-after" Integer "`retry-after` of Subscription-State, seconds.";
    DURATION "duration" Integer "`duration` of Retry-After, seconds.";
    ID "id" Text "`id` of Event.";
    REFRESHER "refresher" Text "`refresher` of Session-Expires (RFC 4028).";
    TO_TAG "to-tag" Text "`to-tag` of Replaces and Join.";
    FROM_TAG "from-tag" Text "`from-tag` of Replaces and Join.";
    LOCAL_TAG "local-tag" Text "`local-tag` of Target-Dialog.";
    REMOTE_TAG "remote-tag" Text "`remote-tag` of Target-Dialog.";
    EARLY_ONLY "early-only" Flag "`early-only` of Replaces.";
    CHARSET "charset" Quoted "`charset` of a media type.";
    BOUNDARY "boundary" Quoted "`boundary` of a multipart media type.";
    HANDLING "handling" Text "`handling` of Content-Disposition.";
    PURPOSE "purpose" Text "`purpose` of Call-Info and User-to-User.";
    ENCODING "encoding" Text "`encoding` of User-to-User.";
    INDEX "index" Text "`index` of History-Info (RFC 7044).";
    RC "rc" Text "`rc` of History-Info: the target differs by its Contact or user only (RFC 7044).";
    MP "mp" Text "`mp` of History-Info: another user is the target (RFC 7044).";
    NP "np" Text "`np` of History-Info: the target is the same (RFC 7044).";
    PRIVACY "privacy" Text "`privacy` of Remote-Party-ID and Diversion.";
    ID_TYPE "id-type" Text "`id-type` of Remote-Party-ID.";
    PARTY "party" Text "`party` of Remote-Party-ID.";
    SCREEN "screen" Text "`screen` of Remote-Party-ID and Diversion.";
    COUNTER "counter" Integer "`counter` of Diversion.";
    LIMIT "limit" Integer "`limit` of Diversion.";
    CID "cid" Quoted "`cid` of Referred-By (RFC 3892).";
    REQUIRE "require" Flag "`require` of Accept-Contact (RFC 3841).";
    EXPLICIT "explicit" Flag "`explicit` of Accept-Contact (RFC 3841).";
    ICID_VALUE "icid-value" Quoted "`icid-value` of P-Charging-Vector (RFC 7315).";
    ICID_GENERATED_AT "icid-generated-at" Quoted "`icid-generated-at` of P-Charging-Vector (RFC 7315).";
    ORIG_IOI "orig-ioi" Quoted "`orig-ioi` of P-Charging-Vector (RFC 7315).";
    TERM_IOI "term-ioi" Quoted "`term-ioi` of P-Charging-Vector (RFC 7315).";
    INFO "info" Text "`info` of Identity, with its `<>` (RFC 8224).";
    ALG "alg" Quoted "`alg` of Identity and Security-Client.";
    PPT "ppt" Quoted "`ppt` of Identity (RFC 8225).";
}
