//! The settings of a level and their inheritance.

use crate::auth::Credential;
use stack::header::NameAddr;
use stack::uri::{Host, SipUri, Uri};
use std::sync::Arc;
use std::time::Duration;

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident $set:ident $unset:ident $has:ident: $type:ty = $default:expr;)*) => {
        /// The settings of one level. Cheap values: texts and lists are shared.
        #[derive(Clone, Debug, Default)]
        pub struct Profile {
            $($name: Option<$type>,)*
        }

        impl UserProfile {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> $type {
                    let mut level = self;
                    loop {
                        match (&level.own.$name, &level.base) {
                            (Some(value), _) => return value.clone(),
                            (None, Some(base)) => level = base,
                            (None, None) => return $default,
                        }
                    }
                }

                #[doc = concat!("Sets [`UserProfile::", stringify!($name), "`] for this level and those on it.")]
                pub fn $set(&mut self, value: $type) -> &mut Self {
                    self.own.$name = Some(value);
                    self
                }

                #[doc = concat!("From now on [`UserProfile::", stringify!($name), "`] is what the level below says.")]
                pub fn $unset(&mut self) -> &mut Self {
                    self.own.$name = None;
                    self
                }

                #[doc = concat!("Whether this level sets [`UserProfile::", stringify!($name), "`].")]
                pub fn $has(&self) -> bool {
                    self.own.$name.is_some()
                }
            )*
        }
    };
}

/// How provisional responses to INVITE are sent (RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    /// Not reliably, unless the caller requires it.
    #[default]
    Never,
    /// Reliably, if the caller can.
    Supported,
    /// Reliably: who cannot is refused with 421, and calls of ours require it.
    Required,
}

/// Who refreshes a session (RFC 4028), where nobody else has said so: the caller's wish goes out with its INVITE and is heeded,
/// the callee's counts where the caller has none. Who knows nothing of session timers does not refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionTimerMode {
    /// The caller. As caller this side leaves it open, which most callees take for that.
    #[default]
    PreferUac,
    /// The callee.
    PreferUas,
    /// This side.
    PreferLocal,
    /// The other side.
    PreferRemote,
}

impl SessionTimerMode {
    /// Whether the side that sends a request is to refresh, which is ours or not.
    pub(crate) fn requester(self, is_ours: bool) -> Option<bool> {
        match self {
            SessionTimerMode::PreferUac => None,
            SessionTimerMode::PreferUas => Some(false),
            SessionTimerMode::PreferLocal => Some(is_ours),
            SessionTimerMode::PreferRemote => Some(!is_ours),
        }
    }
}

/// Which GRUU is the Contact of what is sent as a registered user (RFC 5627 §4.3), if the registrar gives any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gruu {
    /// The one that says whose it is, and stays the same.
    #[default]
    Public,
    /// The one that tells nobody whose it is.
    Temporary,
    /// None.
    Never,
}

/// What keeps a flow over UDP alive where the registrar supports outbound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DatagramKeepAlive {
    /// A STUN Binding request, which is answered (RFC 5626 §4.4.2).
    #[default]
    Stun,
    /// A double CRLF, which is not: for proxies that know no STUN. That such a flow has failed is noticed with the next
    /// REGISTER.
    Crlf,
}

/// The settings of one identity: what stands in From, and how its requests are made. It may lie on another
/// ([`UserProfile::on`]), as all do on the master profile's.
#[derive(Clone, Debug, Default)]
pub struct UserProfile {
    base: Option<Arc<UserProfile>>,
    own: Profile,
}

impl UserProfile {
    /// A level on another, with nothing set: what is unset is that of `base`.
    pub fn on(base: &Arc<UserProfile>) -> Self {
        UserProfile { base: Some(base.clone()), own: Profile::default() }
    }
}

settings! {
    /// The address-of-record: From of requests. By default anonymous (RFC 3323 §4.1.1.3).
    from set_from unset_from has_from: Arc<NameAddr<'static>> = anonymous();
    /// The Contact of requests and responses that make dialogs. By default the user of From at the address of the
    /// transport.
    contact set_contact unset_contact has_contact: Option<Arc<NameAddr<'static>>> = None;
    /// Where requests out of a dialog are sent first: it becomes the first Route (RFC 3261 §8.1.2).
    outbound_proxy set_outbound_proxy unset_outbound_proxy has_outbound_proxy: Option<Arc<NameAddr<'static>>> = None;
    /// The routes behind it, as a registrar gave them (RFC 3608).
    service_route set_service_route unset_service_route has_service_route: Arc<[NameAddr<'static>]> = Arc::new([]);
    /// What is answered to 401 and 407: user names and secrets by realm. By default there is nothing to answer.
    credentials set_credentials unset_credentials has_credentials: Arc<[Credential]> = Arc::default();
    /// User-Agent of requests, Server of responses.
    user_agent set_user_agent unset_user_agent has_user_agent: Option<Arc<str>> = None;
    /// The Expires of a REGISTER.
    registration_time set_registration_time unset_registration_time has_registration_time: Duration
        = Duration::from_secs(3600);
    /// Which device this is, a URN without `<>` (RFC 5626 §4.1): `+sip.instance` of what it registers.
    instance_id set_instance_id unset_instance_id has_instance_id: Option<Arc<str>> = None;
    /// Which of the device's flows it registers by (RFC 5626 §4.2), from 1; 0: registrations are not by flow. It needs
    /// [`UserProfile::instance_id`]. A flow over UDP is a pair of addresses: two registrations that go to one address by one
    /// port of this side are one flow, whatever their numbers.
    reg_id set_reg_id unset_reg_id has_reg_id: u32 = 0;
    /// Which GRUU of a registration is the Contact of its user: it needs [`UserProfile::instance_id`].
    gruu set_gruu unset_gruu has_gruu: Gruu = Gruu::Public;
    /// The most time between two keep-alives on the connection by which it is registered; zero: there are none. By default as
    /// the registrar says (Flow-Timer), else 120 s. They wait for five sixths of it to all of it (RFC 5626 §4.4).
    keep_alive_time_stream set_keep_alive_time_stream unset_keep_alive_time_stream has_keep_alive_time_stream:
        Option<Duration> = None;
    /// The same over UDP: else 29 s.
    keep_alive_time_datagram set_keep_alive_time_datagram unset_keep_alive_time_datagram has_keep_alive_time_datagram:
        Option<Duration> = None;
    /// What is sent over UDP to a registrar that supports outbound; others get CRLFs.
    datagram_keep_alive set_datagram_keep_alive unset_datagram_keep_alive has_datagram_keep_alive: DatagramKeepAlive
        = DatagramKeepAlive::Stun;
    /// Whether requests ask to be answered to the port that they come from (RFC 3581).
    rport set_rport unset_rport has_rport: bool = true;
    /// Whether the contact that is registered becomes the address that the first hop has seen, where this side is behind a
    /// NAT: not one that [`UserProfile::contact`] says, nor where the registrar supports outbound. It takes
    /// [`UserProfile::rport`].
    contact_rewrite set_contact_rewrite unset_contact_rewrite has_contact_rewrite: bool = true;
    /// The Expires of a SUBSCRIBE.
    subscription_time set_subscription_time unset_subscription_time has_subscription_time: Duration
        = Duration::from_secs(3600);
    /// The Expires of a PUBLISH.
    publication_time set_publication_time unset_publication_time has_publication_time: Duration
        = Duration::from_secs(3600);
    /// Whether provisional responses to INVITE are reliable. [`crate::MasterProfile::add_100rel`] comes first.
    reliability set_reliability unset_reliability has_reliability: Reliability = Reliability::Never;
    /// How long a call of ours may go without any response before it is given up; each provisional response begins it
    /// anew, as Timer C does in proxies (RFC 3261 §16.6).
    stale_call_time set_stale_call_time unset_stale_call_time has_stale_call_time: Duration = Duration::from_secs(185);
    /// The interval after which a session without a refresh ends (RFC 4028); zero: no session timer is asked for.
    /// [`crate::MasterProfile::add_option_tag`] with `timer` comes first: without it there are no session timers.
    session_time set_session_time unset_session_time has_session_time: Duration = Duration::from_secs(1800);
    /// The shortest such interval that this side agrees to, in whole seconds, 90 at least (RFC 4028 §4): who asks for less is
    /// answered 422, and requests of ours say it in Min-SE.
    min_session_time set_min_session_time unset_min_session_time has_min_session_time: Duration = Duration::from_secs(90);
    /// Who is to refresh a session.
    session_timer_mode set_session_timer_mode unset_session_timer_mode has_session_timer_mode: SessionTimerMode
        = SessionTimerMode::PreferUac;
}

fn anonymous() -> Arc<NameAddr<'static>> {
    let uri = SipUri::new(Host::Name("anonymous.invalid".into())).with_user("anonymous");
    Arc::new(NameAddr::new(Uri::Sip(uri)).with_display("Anonymous"))
}
