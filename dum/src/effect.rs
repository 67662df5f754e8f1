//! What a refusal of a request in a dialog ends beside its transaction (RFC 5057 §5.1): one table for all usages.
//!
//! | refused with | ends |
//! |---|---|
//! | 404, 410, 416, 484, 485, 604: the remote target is none | the dialog, with all its usages |
//! | 482, 483, 502: the route set leads nowhere | the dialog, with all its usages |
//! | 481 | the usage |
//! | 480, of a request that is its usage's | the usage |
//! | 405, 501, of a request that its usage cannot do without: INVITE, SUBSCRIBE, NOTIFY | the usage |
//! | 489, of SUBSCRIBE and NOTIFY | the usage |
//! | all else | nothing: RFC 3261 §14.1 has a re-INVITE that fails leave the session as it is |
//!
//! A REFER is often refused for where it points, as if its own target were meant: it ends nothing but itself, unless the route
//! set is at fault. 408 is as no answer at all, and how long a usage bears with that is its own to say.

use stack::header::Method;
use stack::message::Message;

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing but the transaction.
    Transaction,
    /// The usage whose request it was.
    Usage,
    /// The dialog, and so all usages in it.
    Dialog,
}

/// What a final response to a request in a dialog ends.
pub(crate) fn of(response: &Message) -> Effect {
    response.status().zip(response.method()).map_or(Effect::Transaction, |(status, method)| table(status, &method))
}

const fn table(status: u16, method: &Method<'_>) -> Effect {
    use Method::{Invite, Message, Notify, Refer, Subscribe};
    match (status, method) {
        (404 | 410 | 416 | 480 | 484 | 485 | 604, Refer) | (480, Message) => Effect::Transaction,
        (404 | 410 | 416 | 482..=485 | 502 | 604, _) => Effect::Dialog,
        (480 | 481, _) | (405 | 501, Invite | Subscribe | Notify) | (489, Subscribe | Notify) => Effect::Usage,
        _ => Effect::Transaction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5057 §5.1, and RFC 6665 §4.1.2.2, which has the same of SUBSCRIBE.
    #[test]
    fn each_status_ends_what_the_table_says() {
        use Method::{Bye, Info, Invite, Message, Notify, Prack, Refer, Subscribe, Update};
        let dialog = [404, 410, 416, 482, 483, 484, 485, 502, 604];
        for method in [Invite, Update, Info, Prack, Bye, Message, Subscribe, Notify, Refer] {
            let usage: &[u16] = match method {
                Invite => &[405, 480, 481, 501],
                Subscribe | Notify => &[405, 480, 481, 489, 501],
                Message | Refer => &[481],
                _ => &[480, 481],
            };
            let dialog = if method == Refer { &[482, 483, 502][..] } else { &dialog };
            for status in 100..700 {
                let expected = match status {
                    status if dialog.contains(&status) => Effect::Dialog,
                    status if usage.contains(&status) => Effect::Usage,
                    _ => Effect::Transaction,
                };
                assert_eq!(table(status, &method), expected, "{status} {method:?}");
            }
        }
    }
}
