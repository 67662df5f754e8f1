//! Where a call goes when nobody has taken it who was called.

use super::{Chain, Diversion, DiversionReason, Resolved, Resolver};
use crate::provisioning::{ForwardUri, Forwards, GroupRecord};
use crate::proxy::{Ended, Server, When};
use stack::message::Message;
use stack::tu::TuContext;
use std::sync::Arc;
use std::time::Duration;

/// What is kept of a call for the case that those who are called now do not take it.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(super) after: After,
    pub(super) chain: Chain,
    pub(super) secure: bool,
}

/// Who is called now.
#[derive(Debug)]
pub(super) enum After {
    User { aor: String, forwards: Arc<Forwards> },
    Group(Arc<GroupRecord>),
}

impl Onward {
    /// How long they may ring, all their steps together. The steps of a group have times of their own.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match &self.after {
            After::User { forwards, .. } => forwards.no_answer.as_ref().map(|_| forwards.no_answer_after),
            After::Group(_) => None,
        }
    }

    /// What comes next; `None`: nothing, and the caller is answered.
    ///
    /// # Errors
    /// The status for the caller: 482 for a loop, 404 and 480 when there is nobody.
    pub(crate) fn next(
        self,
        ended: Ended,
        request: &Message,
        server: &Server,
        stack: &mut TuContext<'_>,
    ) -> Option<Result<Resolved, u16>> {
        let (reason, to) = self.after.turn(ended)?;
        let to = to.text().clone();
        let by = match &self.after {
            After::User { aor, .. } => aor.as_str(),
            After::Group(group) => group.aor.as_str(),
        };
        let cause = if ended.code == 0 { 408 } else { ended.code };
        let turn = Diversion { by: format!("sip:{by}").into(), reason, cause, to: to.clone() };
        let Onward { mut chain, secure, .. } = self;
        let (draw, now) = (stack.rng().next_u64(), stack.now());
        let resolver = Resolver { server, transports: stack.transports(), now, request, secure, draw };
        Some(resolver.divert(&mut chain, turn).and_then(|()| resolver.resolve(&to, chain)))
    }
}

impl After {
    /// Why a call goes on that has ended so, and where.
    fn turn(&self, ended: Ended) -> Option<(DiversionReason, &ForwardUri)> {
        // Somebody else's CANCEL, and a 6xx, say something of the call and not of who was called.
        if ended.code == 487 || ended.code >= 600 {
            return None;
        }
        let reason = |when: When| match when {
            When::NoAnswer => DiversionReason::NoAnswer,
            When::Busy => DiversionReason::UserBusy,
            When::Unavailable | When::Always => DiversionReason::Unavailable,
        };
        // Who rang in vain on one phone, and is busy on another, has not answered.
        let order = [When::NoAnswer, When::Busy, When::Unavailable, When::Always];
        order.into_iter().filter(|when| when.holds(ended)).find_map(|when| {
            let to = match self {
                After::User { forwards, .. } => match when {
                    When::NoAnswer => forwards.no_answer.as_ref(),
                    When::Busy => forwards.busy.as_ref(),
                    When::Unavailable => forwards.not_registered.as_ref(),
                    When::Always => None,
                },
                After::Group(group) => group.fallback.as_ref(),
            };
            Some((reason(when), to?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(after: &After, code: u16, timed_out: bool) -> Option<(DiversionReason, String)> {
        after.turn(Ended { code, timed_out }).map(|(reason, to)| (reason, to.to_string()))
    }

    #[test]
    fn how_it_ended_decides_where_it_goes() {
        let uri = |text: &str| Some(text.parse::<ForwardUri>().unwrap());
        let all = Forwards {
            always: None,
            busy: uri("sip:b"),
            no_answer: uri("sip:n"),
            not_registered: uri("sip:u"),
            no_answer_after: Duration::ZERO,
        };
        let some = Forwards { no_answer: None, ..all.clone() };
        let user = |forwards| After::User { aor: String::new(), forwards: Arc::new(forwards) };
        let (all, some, none) = (user(all), user(some), user(Forwards::default()));
        let group = r#"{"aor": "g@h", "members": ["sip:a"], "fallback": "sip:f"}"#;
        let group = After::Group(Arc::new(serde_json::from_str(group).unwrap()));
        use DiversionReason::{NoAnswer, Unavailable, UserBusy};
        for (code, timed_out, of_all, of_some, of_group) in [
            (486, false, Some((UserBusy, "sip:b")), Some((UserBusy, "sip:b")), Some(UserBusy)),
            (486, true, Some((NoAnswer, "sip:n")), Some((UserBusy, "sip:b")), Some(NoAnswer)),
            (0, true, Some((NoAnswer, "sip:n")), None, Some(NoAnswer)),
            (480, false, Some((NoAnswer, "sip:n")), None, Some(NoAnswer)),
            (408, false, Some((NoAnswer, "sip:n")), Some((Unavailable, "sip:u")), Some(NoAnswer)),
            (503, false, Some((Unavailable, "sip:u")), Some((Unavailable, "sip:u")), Some(Unavailable)),
            (404, false, None, None, Some(Unavailable)),
            (487, false, None, None, None),
            (487, true, None, None, None),
            (603, false, None, None, None),
        ] {
            let expected = |to: Option<(DiversionReason, &str)>| to.map(|(reason, to)| (reason, to.to_owned()));
            assert_eq!(turn(&all, code, timed_out), expected(of_all), "{code} {timed_out}");
            assert_eq!(turn(&some, code, timed_out), expected(of_some), "{code} {timed_out}");
            assert_eq!(turn(&none, code, timed_out), None);
            assert_eq!(turn(&group, code, timed_out).map(|(reason, _)| reason), of_group, "{code} {timed_out}");
        }
    }
}
