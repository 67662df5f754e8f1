//! SIP statuses and the causes of the telephone network (ITU-T Q.850), as RFC 3398 maps them, and the Reason header that
//! carries a cause (RFC 3326; in responses RFC 6432).

use stack::header::{h, p};
use stack::message::Message;

/// The protocol of a Reason whose cause is one of Q.850.
const Q850: &str = "Q.850";

/// The cause that a final failure stands for (RFC 3398 §8.2.6.1). 488 and 606 are what a bearer that is not implemented
/// becomes the other way; a status that the RFC does not list means no more than *normal, unspecified*.
pub const fn cause_of(status: u16) -> u8 {
    match status {
        404 | 485 | 604 => 1,
        487 => 16,
        486 | 600 => 17,
        480 => 18,
        401 | 402 | 403 | 407 | 603 => 21,
        410 => 22,
        482 | 483 => 25,
        484 => 28,
        502 => 38,
        400 | 481 | 500 | 503 => 41,
        405 => 63,
        488 | 606 => 65,
        406 | 415 | 501 => 79,
        408 | 504 => 102,
        413 | 414 | 416 | 420 | 421 | 423 | 505 | 513 => 127,
        _ => 31,
    }
}

/// The status that stands for a cause (RFC 3398 §7.2.4.1). None for those that it does not list, and for normal clearing
/// (16), which ends calls and refuses none.
pub const fn status_of(cause: u32) -> Option<u16> {
    Some(match cause {
        1..=3 | 26 => 404,
        17 => 486,
        18 => 408,
        19 | 20 | 31 => 480,
        21 | 55 | 57 | 87 => 403,
        22 | 23 => 410,
        27 => 502,
        28 => 484,
        29 | 79 => 501,
        34 | 38 | 41 | 42 | 47 | 58 | 88 => 503,
        65 | 70 => 488,
        102 => 504,
        111 | 127 => 500,
        _ => return None,
    })
}

/// The cause in the Reason of a message.
pub fn cause_in(message: &Message) -> Option<u32> {
    let reason = message.header(h::REASONS).flatten().find(|reason| reason.is(Q850))?;
    reason.param(p::CAUSE)
}

/// Writes the cause of a failure into its Reason, if there is none.
pub fn add_cause(response: &mut Message, status: u16) {
    if cause_in(response).is_none() {
        response.push_back(h::REASONS, &format!("{Q850};cause={}", cause_of(status)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_to_causes() {
        for (cause, statuses) in [
            (1, &[404, 485, 604][..]),
            (16, &[487]),
            (17, &[486, 600]),
            (18, &[480]),
            (21, &[401, 402, 403, 407, 603]),
            (22, &[410]),
            (25, &[482, 483]),
            (28, &[484]),
            (31, &[433, 493, 599, 699]),
            (38, &[502]),
            (41, &[400, 481, 500, 503]),
            (63, &[405]),
            (65, &[488, 606]),
            (79, &[406, 415, 501]),
            (102, &[408, 504]),
            (127, &[413, 414, 416, 420, 421, 423, 505, 513]),
        ] {
            assert!(statuses.iter().all(|status| cause_of(*status) == cause), "{cause}");
        }
    }

    #[test]
    fn causes_to_statuses() {
        for (status, causes) in [
            (403, &[21, 55, 57, 87][..]),
            (404, &[1, 2, 3, 26]),
            (408, &[18]),
            (410, &[22, 23]),
            (480, &[19, 20, 31]),
            (484, &[28]),
            (486, &[17]),
            (488, &[65, 70]),
            (500, &[111, 127]),
            (501, &[29, 79]),
            (502, &[27]),
            (503, &[34, 38, 41, 42, 47, 58, 88]),
            (504, &[102]),
        ] {
            assert!(causes.iter().all(|cause| status_of(*cause) == Some(status)), "{status}");
        }
        assert!([0, 16, 30, 99, 128, u32::MAX].into_iter().all(|cause| status_of(cause).is_none()));
    }

    #[test]
    fn a_reason_is_read_and_written_once() {
        let mut response = Message::status_line(486, None);
        response.append_line("Reason", "SIP;cause=200;text=\"a, b\"");
        assert_eq!(cause_in(&response), None);
        add_cause(&mut response, 486);
        assert_eq!(cause_in(&response), Some(17));
        add_cause(&mut response, 404);
        assert_eq!((cause_in(&response), response.header(h::REASONS).count()), (Some(17), 2));
        let mut odd = Message::status_line(500, None);
        odd.append_line("Reason", "q.850;cause=many, Q.850;cause=3");
        assert_eq!(cause_in(&odd), None, "the first counts");
    }
}
