//! The best of the final responses to a request (RFC 3261 §16.7 steps 6 and 7).

use stack::message::Message;

/// The best response so far.
#[derive(Debug, Default)]
pub(super) enum Best {
    /// There was none.
    #[default]
    None,
    /// What a timeout or a transport error counts as.
    Local(u16),
    /// A response that came.
    Received(Box<Message>),
}

impl Best {
    pub(super) fn code(&self) -> u16 {
        match self {
            Best::None => 0,
            Best::Local(code) => *code,
            Best::Received(response) => response.status().unwrap_or(0),
        }
    }

    /// Takes another final response into account.
    pub(super) fn consider(&mut self, mut other: Best) {
        if rank(other.code()) < rank(self.code()) {
            std::mem::swap(self, &mut other);
        }
        if let (Best::Received(best), Best::Received(other)) = (self, &other) {
            merge_challenges(best, other);
        }
    }
}

/// The better one of two status codes; 0 is none.
pub(super) fn better(one: u16, other: u16) -> u16 {
    if rank(other) < rank(one) { other } else { one }
}

/// The order of preference: the lowest is the best. A 6xx ends the search; else the lowest class wins. Of the 4xx, those
/// that tell the caller how to try again come first, those that say least last.
fn rank(code: u16) -> (u8, u8) {
    match code {
        600.. => (0, 0),
        300..=399 => (1, 0),
        401 | 407 => (2, 0),
        415 | 420 | 484 => (2, 1),
        408 | 487 => (2, 3),
        400..=499 => (2, 2),
        503 => (3, 1),
        500..=599 => (3, 0),
        _ => (u8::MAX, 0),
    }
}

/// §16.7 step 7: a 401 or 407 carries the challenges of all others, so that the caller can answer them at once.
fn merge_challenges(best: &mut Message, other: &Message) {
    let challenge = |response: &Message| matches!(response.status(), Some(401 | 407));
    if !challenge(best) || !challenge(other) {
        return;
    }
    for name in ["WWW-Authenticate", "Proxy-Authenticate"] {
        for value in other.raw_values(name) {
            best.append_line(name, &String::from_utf8_lossy(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(code: u16) -> Best {
        Best::Received(Box::new(Message::status_line(code, None)))
    }

    fn best_of(codes: &[u16]) -> u16 {
        let mut best = Best::None;
        codes.iter().for_each(|code| best.consider(response(*code)));
        best.code()
    }

    #[test]
    fn the_table_of_preferences() {
        for (codes, best) in [
            (&[486][..], 486),
            (&[486, 603], 603),
            (&[603, 302], 603),
            (&[404, 302, 500], 302),
            (&[500, 404], 404),
            (&[404, 401], 401),
            (&[486, 407, 420], 407),
            (&[404, 484], 484),
            (&[408, 480], 480),
            (&[487, 486], 486),
            (&[503, 500], 500),
            (&[503, 408], 408),
            (&[486, 404], 486),
        ] {
            assert_eq!(best_of(codes), best, "{codes:?}");
            let mut local = Best::Local(503);
            local.consider(response(codes[0]));
            assert_eq!(local.code(), codes[0]);
        }
    }

    #[test]
    fn challenges_are_merged() {
        let challenge = |code, name: &str, realm: &str| {
            let mut message = Message::status_line(code, None);
            message.append_line(name, &format!("Digest realm=\"{realm}\", nonce=\"1\""));
            Best::Received(Box::new(message))
        };
        let mut best = challenge(407, "Proxy-Authenticate", "a");
        best.consider(response(486));
        best.consider(challenge(401, "WWW-Authenticate", "b"));
        best.consider(challenge(407, "Proxy-Authenticate", "c"));
        let Best::Received(best) = best else { panic!("a response came") };
        let count = |name: &str| best.raw_values(name).count();
        assert_eq!((best.status(), count("WWW-Authenticate"), count("Proxy-Authenticate")), (Some(407), 1, 2));
    }
}
