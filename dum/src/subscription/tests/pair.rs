//! Alice watches Bob: two user agents, each hearing the other.

use super::*;
use stack::transaction::Command;
use stack::tu::testing::Harness;
use std::time::Duration;

const ALICE: usize = 0;
const BOB: usize = 1;

struct Pair {
    agents: [Bench<App>; 2],
    /// Who asked, in which transaction, with which number at the other side.
    open: Vec<(usize, ClientTransaction, u32)>,
    requests: u32,
    trace: Vec<String>,
}

impl Pair {
    fn new() -> Self {
        Pair { agents: [bench(), bench()], open: Vec::new(), requests: 0, trace: Vec::new() }
    }

    /// What was sent arrives, and what that causes.
    fn settle(&mut self) {
        while let Some(side) = self.agents.iter().position(|agent| !agent.sent.is_empty()) {
            match self.agents[side].sent.pop_front() {
                Some(Command::Send { transaction, msg, .. }) => {
                    let says = if msg.method() == Some(Method::Notify) { "Subscription-State" } else { "Expires" };
                    self.trace.push(format!("{} {}", msg.method().unwrap().as_str(), value(&msg, says)));
                    self.requests += 1;
                    self.open.push((side, transaction, self.requests));
                    self.agents[1 - side].ask(self.requests, *msg);
                }
                Some(Command::Respond { transaction, msg }) => {
                    self.trace.push(msg.status().unwrap().to_string());
                    let asked = |(from, _, number): &(usize, ClientTransaction, u32)| {
                        *from != side && Harness::server(*number) == transaction
                    };
                    let (to, transaction, _) = self.open.remove(self.open.iter().position(asked).unwrap());
                    self.agents[to].event(TuEvent::Response { transaction, msg });
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.agents.iter_mut().for_each(|agent| agent.run(Duration::from_secs(1)));
            self.settle();
        }
    }

    fn heard(&mut self, side: usize) -> Vec<String> {
        heard(&mut self.agents[side])
    }

    fn trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }

    /// What was heard and sent so far does not count.
    fn forget(&mut self) {
        self.trace();
        for side in [ALICE, BOB] {
            self.heard(side);
        }
    }

    /// Bob does something with the subscription that he holds.
    fn serve<R>(&mut self, what: impl FnOnce(Handle<ServerSubscription>, &mut Dum<'_>) -> R) -> R {
        let result = self.agents[BOB].with(|app, dum| what(*app.served.last().unwrap(), dum));
        self.settle();
        result
    }

    /// Alice has a subscription that Bob has accepted.
    fn watching(expires: u32) -> Self {
        let mut pair = Pair::new();
        subscribe(&mut pair.agents[ALICE], expires);
        pair.settle();
        pair.serve(|sub, dum| sub.accept(dum, SubscriptionState::Active, Some(&text("open")))).unwrap();
        pair
    }

    /// Nothing is left once the time for forks is over.
    fn ends_clean(&mut self) {
        self.run(40);
        assert_eq!([ALICE, BOB].map(|side| self.agents[side].dum.counts()), [crate::Counts::default(); 2]);
    }
}

#[test]
fn a_watcher_is_told_until_it_wants_no_more() {
    let mut pair = Pair::watching(600);
    assert_eq!((pair.heard(ALICE), pair.heard(BOB)), (vec!["new".into(), "active open".into()], vec!["asked".into()]));
    assert_eq!(pair.trace(), ["SUBSCRIBE 600", "200", "NOTIFY active;expires=600", "200"]);
    pair.serve(|sub, dum| sub.notify(dum, SubscriptionState::Pending, None)).unwrap();
    pair.serve(|sub, dum| sub.notify(dum, SubscriptionState::Active, Some(&text("busy")))).unwrap();
    assert_eq!(pair.heard(ALICE), ["pending", "active busy"]);
    // Refreshed by itself, between seven and nine tenths of the time, and told the last state each time.
    pair.trace();
    pair.run(428);
    assert_eq!(pair.trace(), [""; 0]);
    pair.run(113);
    assert_eq!(pair.trace(), ["SUBSCRIBE 600", "200", "NOTIFY active;expires=600", "200"]);
    assert_eq!((pair.heard(ALICE), pair.heard(BOB)), (vec!["active busy".into()], vec!["refreshed".into()]));
    pair.run(3000);
    assert!(pair.heard(BOB).iter().all(|what| what == "refreshed"));
    pair.trace();
    pair.heard(ALICE);
    pair.agents[ALICE].with(|app, dum| app.sets[0].end(dum)).unwrap();
    pair.settle();
    assert_eq!(pair.trace(), ["SUBSCRIBE 0", "200", "NOTIFY terminated;reason=timeout", "200"]);
    assert_eq!(pair.heard(ALICE), ["over Local busy", "ended"]);
    assert_eq!(pair.heard(BOB), ["end ByClient"]);
    let (sub, set) = pair.agents[ALICE].with(|app, _| (app.subs[0], app.sets[0]));
    assert!(pair.agents[ALICE].with(|_, dum| sub.end(dum).and(set.end(dum)).and(sub.refresh(dum))).is_err());
    pair.ends_clean();
}

#[test]
fn the_state_is_fetched_once() {
    let mut pair = Pair::watching(0);
    assert_eq!(pair.trace(), ["SUBSCRIBE 0", "200", "NOTIFY terminated;reason=timeout", "200"]);
    assert_eq!(pair.heard(BOB), ["asked", "end ByClient"]);
    assert_eq!(pair.heard(ALICE), ["new", "over Terminated(Timeout) open"]);
    // Another fork might still tell.
    pair.run(33);
    assert_eq!(pair.heard(ALICE), ["ended"]);
    pair.ends_clean();
}

#[test]
fn too_brief_is_asked_for_longer() {
    let mut pair = Pair::watching(20);
    let expected = ["SUBSCRIBE 20", "423", "SUBSCRIBE 60", "200", "NOTIFY active;expires=60", "200"];
    assert_eq!(pair.trace(), expected);
    // What is least may change; the refresh learns of it too.
    pair.agents[BOB].with(|_, dum| {
        let mut master = (**dum.master_profile()).clone();
        master.add_package(EventPackage::new("presence").with_expires(90..=3600));
        dum.set_master_profile(master);
    });
    pair.run(56);
    assert_eq!(pair.trace(), ["SUBSCRIBE 60", "423", "SUBSCRIBE 90", "200", "NOTIFY active;expires=90", "200"]);
    assert_eq!(pair.heard(BOB), ["asked", "refreshed"]);
}

#[test]
fn a_notifier_that_ends_it_says_whether_to_come_back() {
    for (reason, after, expected) in [
        (TerminateReason::Deactivated, None, Some(0)),
        (TerminateReason::Probation, Some(90), Some(90)),
        (TerminateReason::Timeout, None, Some(0)),
        (TerminateReason::Giveup, None, Some(60)),
        (TerminateReason::Unknown, Some(5), Some(5)),
        (TerminateReason::Rejected, None, None),
        (TerminateReason::NoResource, None, None),
        (TerminateReason::Invariant, None, None),
    ] {
        let mut pair = Pair::watching(600);
        // Forks may come for 32 s; then it is the only one.
        pair.run(40);
        pair.forget();
        pair.serve(|sub, dum| sub.terminate(dum, reason, after, Some(&text("gone")))).unwrap();
        let told = reason.as_str().map_or(String::new(), |name| format!(";reason={name}"));
        let when = after.map_or(String::new(), |seconds| format!(";retry-after={seconds}"));
        assert_eq!(pair.trace(), [format!("NOTIFY terminated{told}{when}"), "200".into()]);
        assert_eq!(pair.heard(BOB), [format!("end Local({reason:?})")]);
        let over = [format!("over Terminated({reason:?}) gone"), format!("retry {expected:?}")];
        assert_eq!(pair.heard(ALICE)[..2], over);
        pair.run(expected.unwrap_or(200).max(2) - 1);
        let (early, counts) = (pair.trace(), pair.agents[ALICE].dum.counts());
        if expected == Some(0) {
            assert_eq!(early, ["SUBSCRIBE 600"]);
        } else {
            assert_eq!((early.len(), counts.subscriptions), (0, usize::from(expected.is_some())), "{reason:?}");
        }
        pair.run(2);
        assert_eq!(pair.heard(BOB), vec!["asked"; usize::from(expected.is_some())]);
    }
}

#[test]
fn each_side_forgets_what_the_other_has_lost() {
    // The notifier has lost it: 481 to the refresh, and it is asked again.
    let mut pair = Pair::watching(600);
    pair.agents[BOB] = bench();
    pair.agents[BOB].stack.now = pair.agents[ALICE].stack.now;
    pair.forget();
    while pair.agents[BOB].dum.application().served.is_empty() {
        pair.run(1);
    }
    assert_eq!(pair.trace(), ["SUBSCRIBE 600", "481", "SUBSCRIBE 600"]);
    assert_eq!(pair.heard(ALICE), ["over Refused(481) ", "retry Some(0)"]);
    pair.serve(|sub, dum| sub.accept(dum, SubscriptionState::Active, None)).unwrap();
    assert_eq!(pair.heard(ALICE), ["new", "active "]);
    // The subscriber has lost it: 481 to the NOTIFY.
    pair.agents[ALICE] = bench();
    pair.heard(BOB);
    pair.serve(|sub, dum| sub.notify(dum, SubscriptionState::Active, None)).unwrap();
    assert_eq!(pair.heard(BOB), ["end NotifyFailed(481)"]);
    assert!(pair.serve(|sub, dum| sub.notify(dum, SubscriptionState::Active, None)).is_err());
    pair.ends_clean();
}

#[test]
fn what_is_not_refreshed_is_ended_by_the_notifier() {
    let mut pair = Pair::watching(600);
    pair.forget();
    // Alice sleeps.
    pair.agents[BOB].run(Duration::from_secs(599));
    assert_eq!(pair.heard(BOB), [""; 0]);
    pair.agents[BOB].run(Duration::from_secs(2));
    assert_eq!(pair.heard(BOB), ["end Expired"]);
    pair.settle();
    assert_eq!(pair.trace()[..2], ["NOTIFY terminated;reason=timeout", "200"]);
    assert_eq!(pair.heard(ALICE)[..2], ["over Terminated(Timeout) open", "retry Some(0)"]);
}
