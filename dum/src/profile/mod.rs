//! Settings in levels: reSIProcate's `Profile`, `UserProfile` and `MasterProfile`.
//!
//! Every setting of a level is set or unset, and an unset one is that of the level below: a profile of one dialog lies on
//! that of its user, that on the master profile's, and below it are the defaults.

mod master;
mod package;
mod settings;

pub use master::MasterProfile;
pub use package::EventPackage;
pub use settings::{DatagramKeepAlive, Gruu, Profile, Reliability, SessionTimerMode, UserProfile};

#[cfg(test)]
mod tests {
    use super::*;
    use stack::header::{HeaderValue, NameAddr};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn what_is_unset_is_inherited() {
        let mut master = MasterProfile::default();
        master.user_mut().set_user_agent(Some("base/1".into())).set_session_time(Duration::from_secs(600));
        let mut alice = master.user_profile();
        alice.set_from(Arc::new(NameAddr::parse("<sip:alice@example.com>").unwrap().into_owned()));
        alice.set_session_time(Duration::from_secs(90));
        let alice = Arc::new(alice);
        let mut call = UserProfile::on(&alice);
        call.set_user_agent(Some("call/1".into()));
        assert_eq!((alice.user_agent().as_deref(), call.user_agent().as_deref()), (Some("base/1"), Some("call/1")));
        assert_eq!(call.session_time(), Duration::from_secs(90));
        assert_eq!(call.from().to_string(), "<sip:alice@example.com>");
        assert!(call.has_user_agent() && !call.has_session_time());
        call.unset_user_agent();
        assert_eq!(call.user_agent().as_deref(), Some("base/1"));
        // Nobody has set it: the default, and who calls without a name is anonymous.
        assert_eq!(call.registration_time(), Duration::from_secs(3600));
        assert!(master.user_profile().from().to_string().contains("anonymous.invalid"));
    }
}
