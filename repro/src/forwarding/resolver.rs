//! What an address leads to.

use super::diversion::Loop;
use super::onward::After;
use super::{Chain, Diversion, DiversionReason, Onward};
use crate::location::{By, Found, Located, is_sips};
use crate::processors::{contacts_of, one_by_one};
use crate::provisioning::{Forwards, GroupMode, GroupRecord};
use crate::proxy::{Server, Step, Steps, Target, When, aor_key, by_preference};
use crate::routing::dial::Dialled;
use rutil::Time;
use stack::message::Message;
use stack::transport::TransportTable;
use stack::uri::{Host, Uri};
use std::sync::Arc;

/// Looks addresses up for one request.
pub(crate) struct Resolver<'a> {
    pub(crate) server: &'a Server,
    pub(crate) transports: &'a TransportTable,
    pub(crate) now: Time,
    /// The request, with the Diversions that it came with.
    pub(crate) request: &'a Message,
    /// Whether it came for a sips URI: it goes to nobody who would get it in clear (RFC 5630 §5.3).
    pub(crate) secure: bool,
    /// A random number, for a choice among trunks.
    pub(crate) draw: u64,
}

/// What an address leads to.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// At least one step.
    pub(crate) steps: Steps,
    /// What it leads to when they have failed.
    pub(crate) onward: Option<Box<Onward>>,
}

impl Resolver<'_> {
    /// Follows an address until there is somebody to be called.
    ///
    /// # Errors
    /// The status for the caller: 482 for a loop, 404 and 480 when there is nobody, 500 when no trunk is in service.
    pub(crate) fn resolve(&self, uri: &Arc<str>, mut chain: Chain) -> Result<Resolved, u16> {
        let mut uri = uri.clone();
        // Each turn is a diversion, and so many are allowed.
        loop {
            let Some(aor) = self.ours(&uri) else {
                return Ok(Resolved { steps: self.elsewhere(&uri, &chain)?, onward: None });
            };
            let own: Arc<str> = format!("sip:{aor}").into();
            if chain.diverted_by(&own) {
                return Err(482);
            }
            let (reason, to) = match self.look_up(&uri, &aor, &chain)? {
                LookedUp::Found(resolved) => return Ok(resolved),
                LookedUp::Diverts(reason, to) => (reason, to),
            };
            let cause = if reason == DiversionReason::Unconditional { 302 } else { 480 };
            self.divert(&mut chain, Diversion { by: own, reason, cause, to: to.clone() })?;
            uri = to;
        }
    }

    /// Takes a turn.
    ///
    /// # Errors
    /// 482
    pub(crate) fn divert(&self, chain: &mut Chain, turn: Diversion) -> Result<(), u16> {
        let most = self.server.config().forwarding.max_diversions;
        chain.divert(turn, self.request, most).map_err(|Loop| 482)
    }

    /// The address-of-record that a URI is in a domain of ours.
    fn ours(&self, uri: &str) -> Option<String> {
        match Uri::parse(uri) {
            Ok(Uri::Sip(sip)) if self.server.is_ours(&sip.host, sip.port, self.transports) => Some(aor_key(sip)),
            _ => None,
        }
    }

    /// What is nobody's in a domain of ours gets the request as the one who forwards could send it: a number by a trunk
    /// or by ENUM, anything else at its place.
    fn elsewhere(&self, uri: &Arc<str>, chain: &Chain) -> Result<Steps, u16> {
        let parsed = Uri::parse(uri).map_err(|_| 404u16)?;
        let mut steps = match self.by_trunk(&parsed) {
            Some(steps) => steps?,
            None => {
                let reaches = match &parsed {
                    Uri::Sip(_) => self.ours(uri).is_none(),
                    Uri::Tel(tel) => tel.is_global() && self.server.config().enum_suffix.is_some(),
                    Uri::Other(_) => false,
                };
                if !reaches {
                    return Err(404);
                }
                Steps::from_elem(Step::to(Located { uri: uri.clone(), q: 1000, by: By::Uri, older: None }), 1)
            }
        };
        let retarget = chain.retarget("");
        for step in &mut steps {
            step.targets.retain(|target| !self.secure || is_sips(&target.contact.uri));
            step.targets.iter_mut().for_each(|target| target.retarget = Some(retarget.clone()));
        }
        steps.retain(|step| !step.targets.is_empty());
        if steps.is_empty() { Err(480) } else { Ok(steps) }
    }

    /// The trunks for a number, in a `tel` URI or in a domain of ours; `None`: it is no number, or none carries it.
    fn by_trunk(&self, uri: &Uri<'_>) -> Option<Result<Steps, u16>> {
        let (plan, trunks) = (self.server.dial_plan(), &self.server.provisioning().trunks);
        if trunks.is_empty() || matches!(uri, Uri::Sip(sip) if !self.is_ours(&sip.host, sip.port)) {
            return None;
        }
        let ours = |domain: &str| Host::parse(domain).is_ok_and(|host| self.is_ours(&host, None));
        let number = match plan.dial(&plan.number_in(uri, ours)?) {
            Dialled::Number(number) | Dialled::Emergency(number) => number,
            Dialled::Incomplete => return Some(Err(484)),
        };
        let hops = trunks.choose(&number, self.draw, self.now)?;
        Some(if hops.is_empty() { Err(500) } else { Ok(one_by_one(hops)) })
    }

    fn is_ours(&self, host: &Host<'_>, port: Option<u16>) -> bool {
        self.server.is_ours(host, port, self.transports)
    }

    /// Somebody in a domain of ours.
    fn look_up(&self, uri: &Arc<str>, aor: &str, chain: &Chain) -> Result<LookedUp, u16> {
        let provisioning = self.server.provisioning();
        if let Some(group) = provisioning.group(aor) {
            return self.group(group, chain);
        }
        let user = provisioning.user(aor);
        let forwards = user.and_then(|user| user.forwards());
        if let Some(to) = forwards.and_then(|forwards| forwards.always.as_ref()) {
            return Ok(LookedUp::Diverts(DiversionReason::Unconditional, to.text().clone()));
        }
        let found = self.contacts(aor);
        if user.is_none() && found.is_none() {
            return Ok(LookedUp::Found(Resolved { steps: self.elsewhere(uri, chain)?, onward: None }));
        }
        let away = forwards.and_then(|forwards| forwards.not_registered.as_ref());
        match (found.filter(|found| !found.is_empty()), away) {
            (Some(found), _) => Ok(LookedUp::Found(self.user(aor, found, forwards, chain))),
            (None, Some(to)) => Ok(LookedUp::Diverts(DiversionReason::Unavailable, to.text().clone())),
            (None, None) => Err(480),
        }
    }

    fn contacts(&self, aor: &str) -> Option<Found> {
        let mut found = contacts_of(self.server, self.transports, aor, self.now)?;
        found.retain(|contact| !self.secure || is_sips(&contact.uri));
        Some(found)
    }

    /// The contacts of a user, and what comes when they have failed.
    fn user(&self, aor: &str, found: Found, forwards: Option<&Arc<Forwards>>, chain: &Chain) -> Resolved {
        let mut steps = by_preference(found, &self.server.config().forking);
        // Who is called as the Request-URI says needs no more than that.
        if !chain.diversions.is_empty() {
            let retarget = chain.retarget(aor);
            for target in steps.iter_mut().flat_map(|step| step.targets.iter_mut()) {
                target.retarget = Some(retarget.clone());
            }
        }
        let onward = forwards.map(|forwards| {
            let after = After::User { aor: aor.to_owned(), forwards: forwards.clone() };
            Box::new(Onward { after, chain: chain.clone(), secure: self.secure })
        });
        Resolved { steps, onward }
    }

    /// The members of a group, those who can be called. Their own forwards do not count: a member who is away leaves the
    /// call to the others.
    fn group(&self, group: &Arc<GroupRecord>, chain: &Chain) -> Result<LookedUp, u16> {
        let mut steps = Steps::new();
        for member in &group.members {
            let found = self.member(member.text(), chain);
            match (steps.last_mut(), group.mode) {
                (Some(step), GroupMode::Parallel) => step.targets.extend(at_once(found)),
                (None, GroupMode::Parallel) => steps.extend(one_step(at_once(found))),
                (_, GroupMode::Sequential) => steps.extend(found),
            }
        }
        steps.iter_mut().for_each(|step| step.timeout = Some(group.step()));
        match &group.fallback {
            Some(to) if steps.is_empty() => Ok(LookedUp::Diverts(DiversionReason::Unavailable, to.text().clone())),
            None if steps.is_empty() => Err(480),
            _ => {
                let onward = Onward { after: After::Group(group.clone()), chain: chain.clone(), secure: self.secure };
                Ok(LookedUp::Found(Resolved { steps, onward: Some(Box::new(onward)) }))
            }
        }
    }

    /// A member of a group: all contacts of a user at once.
    fn member(&self, uri: &Arc<str>, chain: &Chain) -> Steps {
        match self.ours(uri).and_then(|aor| Some((self.contacts(&aor)?, aor))) {
            Some((found, aor)) => {
                let retarget = chain.retarget(&aor);
                one_step(
                    found
                        .into_iter()
                        .map(|contact| Target { retarget: Some(retarget.clone()), ..Target::from(contact) }),
                )
                .into_iter()
                .collect()
            }
            None => self.elsewhere(uri, chain).unwrap_or_default(),
        }
    }
}

/// The targets of steps that can be tried at once: not those that wait for the failure of others, as trunks do.
pub(crate) fn at_once(steps: Steps) -> impl Iterator<Item = Target> {
    steps.into_iter().filter(|step| step.when == When::Always).flat_map(|step| step.targets)
}

fn one_step(targets: impl Iterator<Item = Target>) -> Option<Step> {
    let step = Step { targets: targets.collect(), ..Step::default() };
    (!step.targets.is_empty()).then_some(step)
}

/// What somebody in a domain of ours is found to be.
enum LookedUp {
    Found(Resolved),
    /// Its calls go there.
    Diverts(DiversionReason, Arc<str>),
}
