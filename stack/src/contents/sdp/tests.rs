use super::*;
use proptest::prelude::*;

const MINIMAL: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

fn sdp(text: &str) -> Sdp {
    Sdp::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn error(text: &str) -> (usize, SdpRule) {
    let SdpError { line, rule } = Sdp::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap_err();
    (line, rule)
}

fn local(address: &str) -> Local<'_> {
    Local { username: "alice", session_id: 7, version: 1, address: address.parse().unwrap(), name: "" }
}

const fn format<'a>(format: &'a str, rtpmap: Option<&'a str>, fmtp: Option<&'a str>) -> Format<'a> {
    Format { format, rtpmap, fmtp }
}

const PCMU: Format<'_> = format("0", None, None);
const OPUS: Format<'_> = format("111", Some("opus/48000/2"), Some("useinbandfec=1"));
const EVENTS: Format<'_> = format("101", Some("telephone-event/8000"), Some("0-15"));

const fn audio<'a>(port: u16, formats: &'a [Format<'a>], direction: Direction) -> Stream<'a> {
    Stream { kind: "audio", port, proto: "RTP/AVP", formats, direction }
}

#[test]
fn media_inherit_connection_and_direction_from_the_session() {
    let sdp = sdp(&format!(
        "{MINIMAL}c=IN IP4 192.0.2.1\r\na=sendonly\r\nb=AS:64\r\n\
         m=audio 1000/2 RTP/AVP 0 96\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 stereo=1; x\r\na=ptime:20\r\n\
         m=video 2000 RTP/AVP 97\r\nc=IN IP6 2001:db8::1\r\nb=TIAS:500000\r\na=inactive\r\n"
    ));
    let media: Vec<_> = sdp.media().collect();
    let [audio, video] = &media[..] else { panic!("two media") };
    assert_eq!((audio.direction(), video.direction()), (Direction::SendOnly, Direction::Inactive));
    assert_eq!(audio.connection().unwrap().address.host, "192.0.2.1");
    assert_eq!(video.connection().unwrap().address.ip(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!((audio.line().port, audio.line().count), (1000, Some(2)));
    assert_eq!(audio.section().rtpmaps().next().unwrap().to_string(), "opus/48000/2");
    assert_eq!(audio.section().fmtps().next().unwrap().parameters, "stereo=1; x");
    assert_eq!(audio.section().ptime(), Some(std::time::Duration::from_millis(20)));
    assert_eq!(sdp.session().bandwidths().next(), Some(Bandwidth { kind: "AS", value: 64 }));
    assert_eq!(sdp.timings().collect::<Vec<_>>(), [Timing { start: 0, stop: 0 }]);
}

#[test]
fn odd_but_legible_descriptions_print_byte_for_byte() {
    for text in [
        MINIMAL.replace("\r\n", "\n"),
        MINIMAL.trim_end().to_owned(),
        format!("{MINIMAL}\r\n\n"),
        format!("{MINIMAL}a=x\na=y:z \r\ni=out of order\r\nm=audio 1 RTP/AVP 0 \r\na=sendrecv"),
        MINIMAL.replace("s=-", "s="),
    ] {
        assert_eq!(sdp(&text).print(), text.as_bytes());
    }
    let latin = b"v=0\r\no=- 1 1 IN IP4 h\r\ns=caf\xe9\r\nt=0 0\r\na=note:caf\xe9\r\n";
    let parsed = Sdp::parse(&Bytes::from_static(latin)).unwrap();
    assert_eq!(parsed.name(), None);
    assert_eq!(parsed.session().attribute("note").unwrap().value, Some(&b"caf\xe9"[..]));
    assert_eq!(parsed.print(), &latin[..]);
}

#[test]
fn an_error_names_line_and_rule() {
    use SdpRule::*;
    for (text, expected) in [
        (String::new(), (1, Missing('v'))),
        ("o=- 1 1 IN IP4 h\r\n".into(), (1, Missing('v'))),
        (MINIMAL.replace("o=- 1 1 IN IP4 192.0.2.1\r\n", ""), (4, Missing('o'))),
        (MINIMAL.replace("s=-\r\n", ""), (4, Missing('s'))),
        (MINIMAL.replace("t=0 0\r\n", "m=audio 1 RTP/AVP 0\r\n"), (4, Missing('t'))),
        (MINIMAL.replace("v=0", "v=1"), (1, Version)),
        (MINIMAL.replace("t=0 0", "t=now"), (4, Timing)),
        (format!("{MINIMAL}s=again\r\n"), (5, Repeated('s'))),
        (format!("{MINIMAL}x=1\r\n"), (5, UnknownType('x'))),
        (format!("{MINIMAL}a =1\r\n"), (5, NotALine)),
        (format!("{MINIMAL}a=1\r2\r\n"), (5, NotALine)),
        (format!("{MINIMAL}i=\0\r\n"), (5, NotALine)),
        (format!("{MINIMAL}\r\na=x\r\n"), (5, NotALine)),
        (format!("{MINIMAL}c=IN IP6 :::1\r\n"), (5, Connection)),
        (format!("{MINIMAL}a=\r\n"), (5, Attribute)),
        (format!("{MINIMAL}m=audio 1 RTP/AVP\r\n"), (5, Media)),
        (format!("{MINIMAL}m=audio 1 RTP/AVP 0\r\nt=0 0\r\n"), (6, Misplaced('t'))),
        (format!("{MINIMAL}{}", "a=x\n".repeat(MAX_LINES)), (MAX_LINES + 1, TooManyLines)),
        (format!("{MINIMAL}{}", "m=a 1 b 0\n".repeat(MAX_MEDIA + 1)), (5 + MAX_MEDIA, TooManyMedia)),
        (format!("{MINIMAL}m=audio 1 x{}\r\n", " 0".repeat(257)), (5, Media)),
    ] {
        assert_eq!(error(&text), expected, "{:.80}", text);
    }
    assert_eq!(SdpError { line: 4, rule: Missing('t') }.to_string(), "SDP line 4: the t= line is missing");
}

#[test]
fn a_change_leaves_the_other_lines_as_they_were() {
    let mut sdp =
        sdp(&format!("{MINIMAL}c=IN IP4 192.0.2.1\nm=audio 1 RTP/AVP 0\na=sendonly\na=x").replace("a=x", "a=x:y"));
    sdp.session_mut().set_connection("2001:db8::1".parse().unwrap());
    assert!(sdp.set_port(0, 0));
    assert!(!sdp.set_port(1, 0));
    let audio = sdp.media_mut(0).unwrap();
    audio.set_direction(Direction::Inactive);
    audio.remove_attributes("x");
    audio.add_attribute("y", Some("1")).unwrap();
    assert_eq!(audio.add_attribute("y", Some("1\r\nm=video")), Err(SdpRule::NotALine));
    let expected = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n\
                    m=audio 0 RTP/AVP 0\r\na=inactive\r\na=y:1\r\n";
    assert_eq!(sdp.print(), expected.as_bytes());
}

#[test]
fn a_line_added_after_one_without_line_end_starts_a_new_line() {
    let mut sdp = sdp(&format!("{MINIMAL}m=audio 1 RTP/AVP 0"));
    sdp.media_mut(0).unwrap().set_direction(Direction::RecvOnly);
    assert_eq!(sdp.print(), format!("{MINIMAL}m=audio 1 RTP/AVP 0\r\na=recvonly\r\n").as_bytes());
}

#[test]
fn a_direction_that_is_set_is_the_only_one() {
    for old in ["a=sendrecv", "a=SendOnly ", "a=inactive\r\na=recvonly"] {
        let mut sdp = sdp(&format!("{MINIMAL}m=audio 1 RTP/AVP 0\r\n{old}\r\na=sendonly:x\r\n"));
        let audio = sdp.media_mut(0).unwrap();
        assert!(audio.direction().is_some(), "{old:?}");
        audio.set_direction(Direction::RecvOnly);
        let left = format!("{MINIMAL}m=audio 1 RTP/AVP 0\r\na=sendonly:x\r\na=recvonly\r\n");
        assert_eq!(sdp.print(), left.as_bytes(), "{old:?}");
    }
}

#[test]
fn an_offer_prints_in_the_order_of_the_rfc() {
    let offer = Sdp::offer(&local("192.0.2.1"), &[audio(4000, &[OPUS, PCMU], Direction::SendRecv)]).unwrap();
    let expected = "v=0\r\no=alice 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                    m=audio 4000 RTP/AVP 111 0\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n\
                    a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n";
    assert_eq!(offer.print(), expected.as_bytes());
    assert_eq!(Sdp::parse(&offer.print()).unwrap(), offer);
}

#[test]
fn arguments_cannot_smuggle_lines_or_fields_into_an_offer() {
    let bad_name = Local { name: "x\r\nc=IN IP4 198.51.100.1", ..local("192.0.2.1") };
    assert_eq!(Sdp::offer(&bad_name, &[]), Err(SdpError { line: 3, rule: SdpRule::NotALine }));
    let bad_user = Local { username: "a b", ..local("192.0.2.1") };
    assert_eq!(Sdp::offer(&bad_user, &[]), Err(SdpError { line: 2, rule: SdpRule::Origin }));
    let bad_kind = Stream { kind: "audio 1 RTP/AVP", ..audio(1, &[PCMU], Direction::SendRecv) };
    let media = Err(SdpError { line: 6, rule: SdpRule::Media });
    assert_eq!(Sdp::offer(&local("::1"), &[bad_kind]), media);
    assert_eq!(Sdp::offer(&local("::1"), &[audio(1, &[], Direction::SendRecv)]), media);
}

#[test]
fn an_answer_reverses_directions_and_rejects_with_port_0() {
    let offer = sdp("v=0\r\no=bob 3 9 IN IP4 192.0.2.9\r\ns=call\r\nc=IN IP4 192.0.2.9\r\nt=10 20\r\n\
         m=audio 5000 RTP/AVP 8 0 96 97\r\na=rtpmap:96 Opus/48000/2\r\na=rtpmap:97 telephone-event/8000\r\na=sendonly\r\n\
         m=video 5002 RTP/AVP 31\r\nm=audio 5004 RTP/AVP 0\r\nm=audio 0 RTP/AVP 0\r\n");
    let first = audio(4000, &[EVENTS, OPUS, PCMU], Direction::SendRecv);
    let second = audio(4002, &[PCMU], Direction::SendOnly);
    let third = audio(4004, &[PCMU], Direction::SendRecv);
    let answer = Sdp::answer_to(&offer, &local("2001:db8::1"), &[first, second, third]).unwrap();
    let expected = "v=0\r\no=alice 7 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=10 20\r\n\
                    m=audio 4000 RTP/AVP 0 96 97\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 Opus/48000/2\r\n\
                    a=fmtp:96 useinbandfec=1\r\na=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\na=recvonly\r\n\
                    m=video 0 RTP/AVP 31\r\nm=audio 4002 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendonly\r\n\
                    m=audio 0 RTP/AVP 0\r\n";
    assert_eq!(String::from_utf8_lossy(&answer.print()), expected);
    assert_eq!(answer.media().filter(Media::is_rejected).count(), 2);
}

#[test]
fn a_stream_without_port_or_of_another_protocol_takes_no_offer() {
    let offer = sdp(&format!("{MINIMAL}c=IN IP4 192.0.2.9\r\nm=audio 1 RTP/AVP 0\r\n"));
    let secure = Stream { proto: "RTP/SAVP", ..audio(2, &[PCMU], Direction::SendRecv) };
    for stream in [secure, audio(0, &[PCMU], Direction::SendRecv), audio(2, &[OPUS], Direction::SendRecv)] {
        let answer = Sdp::answer_to(&offer, &local("192.0.2.1"), &[stream]).unwrap();
        assert_eq!(answer.media().next().unwrap().section().lines().len(), 1, "{stream:?}");
    }
}

#[test]
fn an_offer_with_the_zero_address_is_a_hold() {
    let offer = sdp(&format!("{MINIMAL}c=IN IP4 0.0.0.0\r\nm=audio 1 RTP/AVP 0\r\n"));
    let answer = Sdp::answer_to(&offer, &local("192.0.2.1"), &[audio(2, &[PCMU], Direction::SendRecv)]).unwrap();
    assert_eq!(answer.media().next().unwrap().direction(), Direction::RecvOnly);
}

#[test]
fn the_version_goes_up_by_one_with_a_change_and_only_then() {
    let before = Sdp::offer(&local("192.0.2.1"), &[audio(1, &[PCMU], Direction::SendRecv)]).unwrap();
    let mut same =
        Sdp::offer(&Local { version: 40, ..local("192.0.2.1") }, &[audio(1, &[PCMU], Direction::SendRecv)]).unwrap();
    same.continue_from(&before).unwrap();
    assert_eq!(same, before);
    let mut hold = before.clone();
    hold.media_mut(0).unwrap().set_direction(Direction::SendOnly);
    hold.continue_from(&before).unwrap();
    assert_eq!(hold.origin().unwrap(), Origin { version: 2, ..before.origin().unwrap() });
    let mut none = Sdp::offer(&local("192.0.2.1"), &[]).unwrap();
    assert_eq!(none.continue_from(&before).unwrap_err().rule, SdpRule::FewerMedia);
}

#[test]
fn formats_outside_rtp_are_matched_by_name() {
    let offer = sdp(&format!("{MINIMAL}c=IN IP4 192.0.2.9\r\nm=image 5000 udptl t38\r\n"));
    let t38 = Stream {
        kind: "image",
        port: 6000,
        proto: "udptl",
        formats: &[format("t38", None, None)],
        direction: Direction::SendRecv,
    };
    let answer = Sdp::answer_to(&offer, &local("192.0.2.1"), &[t38]).unwrap();
    assert_eq!(answer.media().next().unwrap().line().to_string(), "image 6000 udptl t38");
}

proptest! {
    #[test]
    fn any_octets_parse_or_fail_and_print_back(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let body = Bytes::from(body);
        if let Ok(sdp) = Sdp::parse(&body) {
            prop_assert_eq!(sdp.print(), body);
        }
    }

    #[test]
    fn near_descriptions_print_back_and_answer(lines in proptest::collection::vec(
        "[aik]=[a-z0-9:/.\u{e9}]{1,12}|c=IN IP4 [a-f.]{0,6}[0-9a-f:]{0,2}g|a=(sendonly|inactive|ptime:[0-9.]{1,3}|rtpmap:[0-9]{1,2} [A-Z]{1,3}/8000)|m=(audio|video) [0-9]{1,5} RTP/AVP [0-9]{1,2}( [0-9]{1,2}){0,3}|b=AS:[0-9]{1,3}", 0..12),
        end in "\r\n|\n")
    {
        let text = format!("{}{}", MINIMAL, lines.iter().map(|line| format!("{line}{end}")).collect::<String>());
        let body = Bytes::from(text);
        if let Ok(offer) = Sdp::parse(&body) {
            prop_assert_eq!(offer.print(), body.clone());
            prop_assert_eq!(Sdp::parse(&offer.print()).unwrap(), offer.clone());
            let streams = [audio(1, &[PCMU, OPUS], Direction::SendRecv)];
            let answer = Sdp::answer_to(&offer, &local("192.0.2.1"), &streams).unwrap();
            prop_assert_eq!(answer.media().count(), offer.media().count());
            prop_assert_eq!(Sdp::parse(&answer.print()).unwrap(), answer);
        }
    }
}
