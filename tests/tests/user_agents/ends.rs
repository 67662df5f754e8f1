//! How calls end: what one side is told fits what the other is told. Of those that are answered:
//!
//! | one side | the other | |
//! |---|---|---|
//! | a reason of its own, by which it sends BYE | `RemoteBye` | a moment later, when the BYE has come |
//! | a reason of its own | a reason of its own | a moment later: the BYEs cross each other |
//! | a reason of its own | `Gone` | a moment later: a request that was on its way meets the BYE, and is answered 481 |
//! | a reason of its own, while the answer to the other's offer is due | `IllegalNegotiation` | a moment later: its ACK comes without the answer |
//! | `RemoteBye`, `Gone` | `RemoteBye`, `Gone` | never: nobody would have sent a BYE |
//! | `NoAck` | `NoAck` | never: of two INVITEs one is refused |
//!
//! The reasons stand in the order in which they were told. A reason of its own is `LocalBye`, `Replaced`, `SessionExpired`,
//! `Timeout`, `NoAck` or `IllegalNegotiation`. `Timeout` is that of a re-INVITE which the other's application leaves unanswered,
//! while all its 100s are lost: whatever else is asked is answered in time.
//! Where the caller never had the call, because its CANCEL has crossed the 2xx or another fork was faster, it has sent the
//! BYE at once, behind an ACK that may be without an answer: the callee is told what may follow from that within a moment,
//! `RemoteBye`, `Gone`, `IllegalNegotiation`, `LocalBye` or `Replaced`. It cannot be the other way round.
//!
//! Where something of a call could not be sent, a BYE may be among that: the other side ends it whenever it comes to know, by
//! its ACK or its answer that never comes as well.
//!
//! Of those that are not, `Redirected` is told of a 3xx of somebody who was called, and `Refused` of what else a response says: to
//! strangers 401 or 407 and nothing else, and that to nobody else, unless he was asked for a password too often. However many
//! attempts it takes, a call is one.

use crate::challenges::is_strange;
use crate::world::{ALICE, BOB, CAROL, NAMES, World};
use dum::invite::EndReason;
use rutil::Time;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// How a call ended on one side, where it was answered.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) call_id: String,
    /// Of both sides.
    pub(crate) tags: [String; 2],
    /// Whether this side was called.
    pub(crate) callee: bool,
    pub(crate) at: Time,
    pub(crate) reason: EndReason,
}

/// A moment: that a BYE does not get through for so long takes seven losses in a row.
const MOMENT: Duration = Duration::from_secs(16);

/// Whether the second, later reason may follow from the first.
fn fits(first: EndReason, second: EndReason) -> bool {
    use EndReason::{Gone, IllegalNegotiation, LocalBye, NoAck, RemoteBye, Replaced, SessionExpired, Timeout};
    match (first, second) {
        (LocalBye | Replaced | SessionExpired | Timeout, IllegalNegotiation) => true,
        (NoAck, NoAck) | (_, IllegalNegotiation) => false,
        (
            LocalBye | Replaced | SessionExpired | Timeout | NoAck | IllegalNegotiation,
            RemoteBye | Gone | LocalBye | Replaced | SessionExpired | Timeout | NoAck,
        ) => true,
        _ => false,
    }
}

/// Whether a callee may be told this of a call that its caller never had.
fn follows_at_once(reason: EndReason) -> bool {
    fits(EndReason::LocalBye, reason)
        && !matches!(reason, EndReason::SessionExpired | EndReason::Timeout | EndReason::NoAck)
}

/// The calls that have ended have done so on both sides, in one of the ways that there are. How many there were.
pub(crate) fn check(world: &mut World, seed: u64) -> usize {
    let mut dialogs = BTreeMap::<_, Vec<End>>::new();
    for node in [ALICE, BOB, CAROL] {
        for end in world.act(node, |phone, _| std::mem::take(&mut phone.ends)) {
            dialogs.entry((end.call_id.clone(), end.tags.clone())).or_default().push(end);
        }
    }
    refused(world, seed);
    let unsent = world.unsent();
    for ((call_id, _), ends) in &mut dialogs {
        ends.sort_by_key(|end| end.at);
        let unsent = unsent.contains(call_id);
        let fit = match &ends[..] {
            [only] => only.callee && (follows_at_once(only.reason) || unsent && fits(EndReason::LocalBye, only.reason)),
            [first, second] => {
                first.callee != second.callee
                    && (second.at.since(first.at) < MOMENT || unsent)
                    && (fits(first.reason, second.reason) || first.at == second.at && fits(second.reason, first.reason))
            }
            _ => false,
        };
        assert!(fit, "seed {seed}: {ends:?}:\n{}", world.said(call_id));
    }
    dialogs.len()
}

/// So many challenges in a row are answered: where it forks, each has one of its own, and what one has asked for may have
/// become too old until another is heard.
const MOST_ANSWERS: usize = 4;

/// How many INVITEs of this one were refused for want of a password, of a call of which this was said.
fn attempts_refused(said: &str, node: usize) -> usize {
    let way = format!("-{} ", &NAMES[node][..1]);
    let of_it = said.lines().filter(|line| line.contains(&way) && line.contains(" INVITE "));
    let refused = of_it.filter(|line| line.contains(" 401") || line.contains(" 407"));
    refused.filter_map(|line| line.split(" INVITE ").nth(1)?.split(' ').next()).collect::<HashSet<_>>().len()
}

/// Who is told that a call is sent elsewhere was told so by one who was called; and who has no password is told that, and
/// nobody else is.
fn refused(world: &mut World, seed: u64) {
    let all = [ALICE, BOB, CAROL];
    let redirected: HashSet<_> =
        all.into_iter().flat_map(|node| world.act(node, |phone, _| phone.redirected.clone())).collect();
    for node in all {
        for (call_id, response) in world.act(node, |phone, _| std::mem::take(&mut phone.refused)) {
            let (status, strange) = (response.status().unwrap_or_default(), is_strange(&response));
            let fits = match status {
                401 | 407 => strange || attempts_refused(&world.said(&call_id), node) > MOST_ANSWERS,
                300..=399 => !strange && redirected.contains(&call_id),
                _ => !strange,
            };
            assert!(fits, "seed {seed}: {status}:\n{}", world.said(&call_id));
        }
    }
}
