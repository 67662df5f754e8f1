//! Streams in any chunking.

use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { start_line: 64, header_line: 64, headers: 8, message: 512 };

/// What came out, as text: a message's octets and fault, `ping`, or why the stream broke.
fn show(scanned: Scanned) -> String {
    match scanned {
        Scanned::Message(msg) => format!("{:?} {:?}", msg.fault(), String::from_utf8_lossy(&msg.to_bytes())),
        Scanned::KeepAlive => "ping".to_string(),
        Scanned::Broken(fault, msg) => format!("broken: {fault:?} {:?}", msg.map(|msg| msg.lines().count())),
    }
}

fn scan_chunks<'c>(limits: Limits, chunks: impl IntoIterator<Item = &'c [u8]>) -> (Vec<String>, StreamScanner) {
    let mut scanner = StreamScanner::new(limits);
    let mut out = Vec::new();
    for chunk in chunks {
        scanner.feed(Bytes::copy_from_slice(chunk), |scanned| out.push(show(scanned)));
        let bound = limits.message + chunk.len();
        assert!(scanner.pending() <= bound, "{} octets are kept", scanner.pending());
    }
    (out, scanner)
}

fn scan(text: &str) -> Vec<String> {
    let whole = scan_chunks(LIMITS, [text.as_bytes()]).0;
    let single = scan_chunks(LIMITS, text.as_bytes().chunks(1)).0;
    assert_eq!(whole, single, "one octet at a time");
    whole
}

fn message(body: &str) -> String {
    format!("OPTIONS sip:a SIP/2.0\r\nl: {}\r\nTo: x\r\n y\r\n\r\n{body}", body.len())
}

fn shown(body: &str) -> String {
    format!("None {:?}", message(body))
}

#[test]
fn messages_in_one_chunk_and_octet_by_octet() {
    let text = [message("one"), message(""), message("\r\n\r\nlike a ping")].concat();
    assert_eq!(scan(&text), [shown("one"), shown(""), shown("\r\n\r\nlike a ping")]);
    assert_eq!(scan(""), Vec::<String>::new());
    assert_eq!(scan(&message("half").replace("half", "hal")), Vec::<String>::new());
}

#[test]
fn a_message_with_bare_line_feeds() {
    let text = message("body").replace("\r\n", "\n");
    assert_eq!(scan(&[&text[..], &text].concat()), [format!("None {text:?}"), format!("None {text:?}")]);
}

#[test]
fn a_double_line_end_between_messages_is_a_ping() {
    assert_eq!(scan("\r\n\r\n"), ["ping"]);
    assert_eq!(scan("\r\n\r\n\r\n\r\n"), ["ping", "ping"]);
    assert_eq!(scan("\r\n"), Vec::<String>::new());
    // One line end before a message is tolerated (RFC 3261 §7.5) and no ping, however often.
    let text = format!("\r\n{}\r\n{}\r\n\r\n{}", message("a"), message("b"), message("c"));
    assert_eq!(scan(&text), [shown("a"), shown("b"), "ping".to_string(), shown("c")]);
    let mut scanner = StreamScanner::new(LIMITS);
    let mut pings = Vec::new();
    for chunk in [&b"\r"[..], b"\n\r", b"", b"\n"] {
        assert!(pings.is_empty());
        scanner.feed(Bytes::from_static(chunk), |scanned| pings.push(show(scanned)));
    }
    assert_eq!(pings, ["ping"]);
}

#[test]
fn a_fault_behind_a_good_framing_does_not_end_the_stream() {
    let bad = "OPTIONS sip:a SIP/3.0\r\nl: 2\r\nno colon\r\n\r\nok";
    assert_eq!(scan(&format!("{bad}{}", message("x"))), [format!("Some(Version) {bad:?}"), shown("x")]);
    let long = format!("OPTIONS sip:{} SIP/2.0\r\nl: 0\r\n\r\n", "a".repeat(64));
    assert_eq!(scan(&format!("{long}{}", message("x"))), [format!("Some(StartLineTooLong) {long:?}"), shown("x")]);
}

#[test]
fn where_the_framing_is_lost_nothing_more_is_read() {
    let start = "OPTIONS sip:a SIP/2.0\r\n";
    let many = "X: y\r\n".repeat(8);
    let long = format!("X: {}\r\n", "y".repeat(64));
    for (head, broken) in [
        (format!("{start}To: x\r\n"), "NoContentLength Some(1)"),
        (format!("{start}l: -1\r\n"), "ContentLength Some(1)"),
        (format!("{start}l: 1x\r\n"), "ContentLength Some(1)"),
        (format!("{start}l: 1\r\nContent-Length: 2\r\n"), "ConflictingContentLength Some(2)"),
        // The fault that came first does not hide it.
        ("OPTIONS sip:a SIP/9.0\r\nl: 1\r\nl: 2\r\n".to_string(), "ConflictingContentLength Some(2)"),
        (format!("{start}l: 1\r\nno colon\r\nl: 2\r\n"), "ConflictingContentLength Some(2)"),
        // A line that was left out may have said another length.
        (format!("{start}l: 1\r\n{many}"), "TooManyHeaders Some(8)"),
        (format!("{start}l: 1\r\n{long}"), "HeaderLineTooLong Some(1)"),
        (format!("{start}l: 480\r\n"), "MessageTooLarge Some(1)"),
        (format!("{start}l: 18446744073709551616\r\n"), "MessageTooLarge Some(1)"),
        ("<what is this>\r\nl: 0\r\n".to_string(), "StartLine None"),
    ] {
        let text = format!("{head}\r\n{}", message("never seen"));
        assert_eq!(scan(&text), [format!("broken: {broken}")], "{head:?}");
    }
}

#[test]
fn headers_that_do_not_end_are_given_up() {
    let start = "OPTIONS sip:a SIP/2.0\r\n";
    let line = format!("X: {}\r\n", "y".repeat(58));
    for (begin, on, broken) in [
        (start, "X: y\r\n", "TooManyHeaders Some(8)"),
        // No line and no number of lines is too large, but all together are.
        (start, &*line, "MessageTooLarge Some(7)"),
        (start, "X: y", "HeaderLineTooLong Some(0)"),
        (start, "a fold that goes on\r\n ", "HeaderLineTooLong Some(0)"),
        ("", "a", "StartLineTooLong None"),
    ] {
        for size in [1, 10, 5000] {
            let text = format!("{begin}{}", on.repeat(5000 / on.len()));
            let (out, scanner) = scan_chunks(LIMITS, text.as_bytes().chunks(size));
            assert_eq!((out, scanner.pending()), (vec![format!("broken: {broken}")], 0), "{on:?} by {size}");
        }
    }
}

#[test]
fn the_work_grows_with_the_octets_not_with_the_chunks() {
    let limits = Limits::default();
    let head = format!("OPTIONS sip:a SIP/2.0\r\n{}", format!("X: {}\r\n", "y".repeat(90)).repeat(200));
    let text = format!("{head}l: 20000\r\n\r\n{}", "z".repeat(20_000)).repeat(3);
    for size in [1, 7, 1000, text.len()] {
        let (out, scanner) = scan_chunks(limits, text.as_bytes().chunks(size));
        assert_eq!(out.len(), 3);
        let looked_at = scanner.looked_at;
        assert!(looked_at <= 4 * text.len(), "{looked_at} octets of {} in chunks of {size}", text.len());
    }
}

/// Whether the memory behind a share that nobody else has is that large.
fn keeps(share: Bytes, octets: usize) -> bool {
    let mut buffer = share.try_into_mut().expect("the only share");
    buffer.clear();
    buffer.try_reclaim(octets)
}

#[test]
fn a_message_keeps_at_most_twice_its_octets_alive() {
    let end = { Bytes::copy_from_slice(&[0; 1000]) }.slice(990..);
    assert!(keeps(end, 1000), "this is how it is seen");
    let all = [message("one"), message(&"x".repeat(400)), message("")].concat().repeat(4);
    for (size, number) in [all.len(), 3000, 700, 100, 1].into_iter().flat_map(|size| (0..12).map(move |n| (size, n))) {
        let mut scanner = StreamScanner::new(LIMITS);
        let (mut count, mut kept) = (0, Bytes::new());
        for chunk in all.as_bytes().chunks(size) {
            scanner.feed(Bytes::copy_from_slice(chunk), |scanned| {
                let Scanned::Message(msg) = scanned else { panic!("{}", show(scanned)) };
                if count == number {
                    kept = msg.to_bytes();
                }
                count += 1;
            });
        }
        assert_eq!(count, 12);
        let len = kept.len();
        assert!(!keeps(kept, 2 * len + 2), "message {number} of {len} octets in chunks of {size}");
    }
}

/// Messages, good and bad, and what stands between them.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop_oneof!["[a-z\r\n]{0,40}", Just(message("nested"))].prop_map(|body| message(&body)),
        2 => prop::sample::select(vec!["\r\n", "\r\n\r\n", "\n"]).prop_map(str::to_string),
        1 => Just("SIP/2.0 200 OK\nContent-Length:\n 0\n\n".to_string()),
        1 => Just("OPTIONS sip:a SIP/2.0\r\nbad\r\nl: 1\r\n\r\n.".to_string()),
        1 => (0..9usize).prop_map(|n| format!("A b:c SIP/2.0\r\nl: 0\r\n{}\r\n", "X: 3456789012345678\r\n".repeat(n))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_chunking_makes_no_difference(
        pieces in prop::collection::vec(piece(), 1..8),
        noise in prop_oneof![4 => Just(String::new()), 1 => any::<String>()],
        sizes in prop::collection::vec(1..60usize, 1..20),
    ) {
        let text = pieces.concat() + &noise;
        let mut rest = text.as_bytes();
        let mut chunks = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, left) = rest.split_at((*size).min(rest.len()));
            chunks.push(chunk);
            rest = left;
        }
        let whole = scan_chunks(LIMITS, [text.as_bytes()]).0;
        prop_assert_eq!(scan_chunks(LIMITS, chunks).0, whole);
    }

    /// The scanner and the index agree on where the headers end, whatever the octets are.
    #[test]
    fn the_end_of_the_headers_is_that_of_the_index(
        pieces in prop::collection::vec(prop::sample::select(vec!["\r", "\n", "\r\n", " ", "\t", "a", ":", "l: 0"]), 0..30),
    ) {
        let text = format!("A b:c SIP/2.0{}", pieces.concat());
        if let Some(end) = end_of_headers(text.as_bytes(), 0) {
            let indexed = Indexed::read(&text.as_bytes()[..end], &Limits::default());
            prop_assert!(indexed.is_ok_and(|indexed| indexed.body == end && indexed.fault != Some(Fault::Unterminated)));
        }
    }
}
