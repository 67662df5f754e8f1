use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame with these first four bits and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![first];
    match payload.len() {
        0..126 => octets.push(0x80 | payload.len() as u8),
        126..65_536 => {
            octets.push(0x80 | 126);
            octets.extend((payload.len() as u16).to_be_bytes());
        }
        _ => {
            octets.push(0x80 | 127);
            octets.extend((payload.len() as u64).to_be_bytes());
        }
    }
    octets.extend(MASK);
    octets.extend(payload.iter().zip(MASK.iter().cycle()).map(|(octet, key)| octet ^ key));
    octets
}

fn feed(frames: &mut Frames, octets: &[u8]) -> (Vec<Event>, Result<(), Fault>) {
    let mut events = Vec::new();
    let result = frames.feed(&mut octets.to_vec(), |event| events.push(event));
    (events, result)
}

/// All events of these octets, fed in pieces of `size`.
fn in_pieces(octets: &[u8], size: usize, most: usize) -> (Vec<Event>, Result<(), Fault>) {
    let (mut frames, mut all) = (Frames::new(most, true), Vec::new());
    for piece in octets.chunks(size) {
        let (events, result) = feed(&mut frames, piece);
        all.extend(events);
        if result.is_err() {
            return (all, result);
        }
    }
    (all, Ok(()))
}

fn message(text: &str) -> Event {
    Event::Message(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn however_the_octets_are_cut() {
    let long = "x".repeat(70_000);
    let wire = [
        frame(0x81, b"one"),
        frame(0x01, b"tw"),
        frame(0x89, b"are you there"),
        frame(0x00, b""),
        frame(0x80, b"o"),
        frame(0x8a, b""),
        frame(0x82, long.as_bytes()),
        frame(0x81, &[b'y'; 200]),
        frame(0x82, b""),
        frame(0x88, &[0x03, 0xe8, b'b', b'y', b'e']),
        frame(0x81, b"after the close"),
    ]
    .concat();
    let ping = Event::Ping(Bytes::from_static(b"are you there"));
    let want = [
        message("one"),
        ping,
        message("two"),
        message(&long),
        message(&"y".repeat(200)),
        message(""),
        Event::Close(Some(CloseCode::Normal)),
    ];
    for size in [1, 2, 3, 7, 100, 4096, wire.len()] {
        let (events, result) = in_pieces(&wire, size, 70_000);
        assert!(result.is_ok() && events == want, "in pieces of {size}: {result:?}");
    }
}

#[test]
fn what_fails_the_connection_and_with_what_code() {
    let unmasked = [0x81, 0x01, b'a'];
    let long_ping = frame(0x89, &[0; 126]);
    for (wire, code) in [
        (&unmasked[..], CloseCode::Protocol),
        (&frame(0xc1, b"compressed"), CloseCode::Protocol),
        (&frame(0x83, b"reserved opcode"), CloseCode::Protocol),
        (&frame(0x8b, b"reserved control"), CloseCode::Protocol),
        (&frame(0x80, b"continues nothing"), CloseCode::Protocol),
        (&[frame(0x01, b"a"), frame(0x81, b"b")].concat(), CloseCode::Protocol),
        (&frame(0x09, b"fragmented ping"), CloseCode::Protocol),
        (&long_ping, CloseCode::Protocol),
        (&frame(0x88, &[3]), CloseCode::Protocol),
        (&frame(0x88, &1006_u16.to_be_bytes()), CloseCode::Protocol),
        (&frame(0x88, &[3, 0xe8, 0xff]), CloseCode::Protocol),
        (&frame(0x81, &[0xff]), CloseCode::Invalid),
        (&frame(0x82, &[0; 101]), CloseCode::Size),
        (&[frame(0x02, &[0; 60]), frame(0x80, &[0; 41])].concat(), CloseCode::Size),
    ] {
        for size in [1, wire.len()] {
            let (events, result) = in_pieces(wire, size, 100);
            assert_eq!((events, result.map_err(Fault::code)), (vec![], Err(code)), "{wire:02x?}");
        }
    }
    // UTF-8 that is cut between two frames is whole.
    let cut = [frame(0x01, &[0xc3]), frame(0x80, &[0xa4])].concat();
    assert_eq!(in_pieces(&cut, 1, 100), (vec![message("ä")], Ok(())));
}

#[test]
fn an_announced_length_takes_no_memory() {
    let head = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), &MASK].concat();
    for length in [101, 1 << 32, u64::MAX] {
        let mut frames = Frames::new(100, true);
        assert_eq!(feed(&mut frames, &head(length)).1, Err(Fault::TooLarge));
        assert_eq!(frames.held(), 0);
    }
    let mut frames = Frames::new(1 << 30, true);
    assert_eq!(feed(&mut frames, &head(1 << 30)), (vec![], Ok(())));
    assert!(frames.is_incomplete() && frames.held() < 100, "{}", frames.held());
}

#[test]
fn nothing_is_kept_behind_a_message() {
    let mut frames = Frames::new(100_000, true);
    let long = frame(0x82, &[7; 90_000]);
    for piece in [&long[..50_000], &long[50_000..], &frame(0x02, &[1; 900])] {
        assert_eq!(feed(&mut frames, piece).1, Ok(()));
    }
    assert!(frames.held() >= 900 && frames.held() < 2000);
    assert_eq!(feed(&mut frames, &frame(0x80, b"")).0.len(), 1);
    assert_eq!((frames.held(), frames.is_incomplete()), (0, false));
}

#[test]
fn a_message_in_endless_frames_is_too_large() {
    let mut frames = Frames::new(1000, true);
    assert_eq!(feed(&mut frames, &frame(0x01, b"a")).1, Ok(()));
    let empty = frame(0x00, b"");
    let taken = (0..10_000).take_while(|_| feed(&mut frames, &empty).1.is_ok()).count();
    assert!((600..700).contains(&taken), "{taken} empty continuations");
    // Whole messages may go on for ever, and so may pings.
    let mut frames = Frames::new(1000, true);
    let both = [frame(0x89, b"p"), frame(0x81, &[b'm'; 990])].concat();
    assert!((0..100).all(|_| feed(&mut frames, &both).1.is_ok()));
    assert!((0..10_000).all(|_| feed(&mut frames, &frame(0x89, b"")).1.is_ok()));
    assert!((0..10_000).all(|_| feed(&mut frames, &frame(0x89, b"")[..6]).1.is_ok()));
}

proptest::proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>, size in 1_usize..40) {
        let (_, _) = in_pieces(&octets, size, 64);
    }
}

#[test]
fn what_goes_out_is_text_where_it_can_be() {
    let bytes = super::message(&Bytes::from_static(b"SIP"), None);
    assert_eq!(&bytes[..], b"\x81\x03SIP");
    let bytes = super::message(&Bytes::from_static(b"\xff"), None);
    assert_eq!(&bytes[..], b"\x82\x01\xff");
    assert_eq!(&close(Some(CloseCode::Size), None)[..], &[0x88, 2, 3, 0xf1]);
    assert_eq!((&pong(Bytes::from_static(b"x"), None)[..], &ping(None)[..]), (&[0x8a, 1, b'x'][..], &[0x89, 0][..]));
}

#[test]
fn a_client_masks_and_takes_no_masks() {
    let masked = super::message(&Bytes::from_static(b"SIP"), Some(MASK));
    assert_eq!(&masked[..], &frame(0x81, b"SIP")[..]);
    let (mut server, mut client) = (Frames::new(100, true), Frames::new(100, false));
    assert_eq!(feed(&mut server, &masked), (vec![message("SIP")], Ok(())));
    let plain = super::message(&Bytes::from_static(b"SIP"), None);
    assert_eq!(feed(&mut client, &plain), (vec![message("SIP")], Ok(())));
    assert!(matches!(feed(&mut client, &masked).1, Err(Fault::Protocol(_))));
}
