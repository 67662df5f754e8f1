use super::*;
use crate::contents::{Contents, ContentsError, Sdp, Text};
use proptest::prelude::*;

fn mixed(boundary: &str) -> MediaType<'static> {
    MediaType::new("multipart", "mixed").unwrap().with("boundary", boundary).unwrap()
}

fn parse(body: &[u8]) -> Result<Multipart, MultipartError> {
    Multipart::parse(&mixed("b"), &Bytes::copy_from_slice(body))
}

fn octets(octets: &[u8]) -> Contents {
    Contents::octets(&MediaType::OCTETS, Bytes::copy_from_slice(octets))
}

#[test]
fn preamble_epilogue_padding_and_folds_are_kept() {
    let body = b"pre\r\namble\r\n--b \t\r\nContent-ID: <1@x>\r\nX-Odd :a\r\n b\r\nContent-Disposition:render\r\n\r\n\
                 one\r\n\r\n--b\r\n\r\ntwo\r\n--b--\r\nepi\r\n--b\r\nlogue";
    let multipart = parse(body).unwrap();
    assert_eq!(multipart.print(), &body[..]);
    assert_eq!(
        (&multipart.preamble()[..], &multipart.epilogue()[..]),
        (&b"pre\r\namble"[..], &b"epi\r\n--b\r\nlogue"[..])
    );
    let [one, two] = multipart.parts() else { panic!("two parts") };
    assert_eq!((one.content(), two.content()), (Bytes::from("one\r\n"), Bytes::from("two")));
    assert_eq!((one.content_id(), one.content_disposition()), (Some("1@x"), Some("render")));
    assert_eq!(one.headers().nth(1), Some(("X-Odd", &b"a\r\n b"[..])));
    assert_eq!(two.media_type().unwrap(), MediaType::TEXT);
    assert_eq!(multipart.part_by_id("1@x"), Some(one));
}

#[test]
fn bare_line_feeds_and_empty_parts_are_tolerated() {
    let multipart = parse(b"--b\nContent-Type: a/b\n\none\n--b\n--b\r\n\r\n--b--").unwrap();
    let contents: Vec<_> = multipart.parts().iter().map(Part::content).collect();
    assert_eq!(contents, ["one", "", ""]);
}

#[test]
fn a_boundary_inside_a_line_or_a_longer_one_does_not_delimit() {
    let multipart = parse(b"--b\r\n\r\nx--b\r\n--bc\r\n --b\r\n--b-\r\n--b--x\r\n--b--\r\n").unwrap();
    let [part] = multipart.parts() else { panic!("one part") };
    assert_eq!(part.content(), &b"x--b\r\n--bc\r\n --b\r\n--b-\r\n--b--x"[..]);
}

#[test]
fn what_is_wrong_is_named() {
    use MultipartError::*;
    let part = "--b\r\n\r\nx\r\n";
    for (body, error) in [
        (String::new(), NoDelimiter),
        ("--c--".into(), NoDelimiter),
        ("--b--".into(), NoParts),
        (part.into(), NotClosed),
        ("--b\r\nno header\r\n\r\n--b--".into(), PartHeader(5)),
        ("--b\r\nA: 1\r\n@: 2\r\n\r\n--b--".into(), PartHeader(11)),
        ("--b\r\n folded\r\n\r\n--b--".into(), PartHeader(5)),
        (format!("{}--b--", part.repeat(MAX_PARTS + 1)), TooManyParts),
        (format!("--b\r\n{}\r\n--b--", "A: 1\r\n".repeat(MAX_PART_HEADERS + 1)), TooManyHeaders(5)),
    ] {
        assert_eq!(parse(body.as_bytes()), Err(error), "{:.60}", body);
    }
    let body = Bytes::from("--b\r\n\r\n--b--");
    for boundary in ["", "b ", "é", "b\tb", &"b".repeat(MAX_BOUNDARY + 1)] {
        assert_eq!(Multipart::parse(&mixed(boundary), &body), Err(Boundary), "{boundary:?}");
    }
    assert_eq!(Multipart::parse(&MediaType::new("multipart", "mixed").unwrap(), &body), Err(Boundary));
    assert_eq!(Multipart::parse(&MediaType::TEXT, &body), Err(NotMultipart));
}

/// A text inside `depth` multipart bodies whose boundaries begin with each other.
fn nested(depth: usize) -> Result<Multipart, MultipartError> {
    let part = Part::new(&Contents::Text(Text::new("core")), &[])?;
    let mut multipart = Multipart::build(MediaType::new("multipart", "mixed").unwrap(), &[part], "n")?;
    for _ in 1..depth {
        let part = Part::new(&Contents::Multipart(multipart), &[])?;
        multipart = Multipart::build(MediaType::new("multipart", "mixed").unwrap(), &[part], "n")?;
    }
    Ok(multipart)
}

fn core(multipart: &Multipart) -> Result<String, ContentsError> {
    match multipart.parts()[0].contents()? {
        Contents::Multipart(inner) => core(&inner),
        Contents::Text(text) => Ok(text.text().unwrap().into_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nesting_has_a_limit() {
    let deepest = usize::from(MAX_DEPTH);
    assert_eq!(core(&nested(deepest).unwrap()), Ok("core".into()));
    let too_deep = core(&nested(deepest + 1).unwrap()).unwrap_err();
    assert_eq!((too_deep, too_deep.status()), (MultipartError::TooDeep.into(), 413));
}

#[test]
fn the_boundary_that_is_chosen_occurs_in_no_part() {
    let part = Part::new(&octets(b"\r\n--tok\r\n x --tok-1--"), &[("Content-ID", "<a@b>")]).unwrap();
    let built =
        Multipart::build(MediaType::new("multipart", "related").unwrap(), std::slice::from_ref(&part), "tok").unwrap();
    assert_eq!(built.media_type().parameter("boundary"), Some("tok-2"));
    assert_eq!(built.parts()[0].octets(), part.octets());
    assert_eq!(built.parts()[0].content(), &b"\r\n--tok\r\n x --tok-1--"[..]);
    let again = Multipart::parse(&MediaType::parse(&built.media_type().to_string()).unwrap(), &built.print());
    assert_eq!(again, Ok(built));
}

#[test]
fn building_refuses_what_cannot_be_read_back() {
    let build =
        |parts: &[Part], token: &str| Multipart::build(MediaType::new("multipart", "mixed").unwrap(), parts, token);
    let part = Part::new(&octets(b""), &[]).unwrap();
    assert_eq!(build(&[], "t"), Err(MultipartError::NoParts));
    assert_eq!(build(&vec![part.clone(); MAX_PARTS + 1], "t"), Err(MultipartError::TooManyParts));
    for token in ["", "a b", "a\"b", &"t".repeat(MAX_BOUNDARY + 1)] {
        assert_eq!(build(std::slice::from_ref(&part), token), Err(MultipartError::Boundary), "{token:?}");
    }
    let every: String = (0..200).map(|number| format!("--t-{number}\r\n--t\r\n")).collect();
    let hostile = Part::new(&octets(every.as_bytes()), &[]).unwrap();
    assert_eq!(build(&[hostile], "t"), Err(MultipartError::NoFreeBoundary));
    for (name, value) in [("A", "1\r\nB: 2"), ("A B", "1"), ("", "1")] {
        assert!(matches!(Part::new(&octets(b""), &[(name, value)]), Err(MultipartError::PartHeader(_))));
    }
}

#[test]
fn a_signature_covers_the_first_part_exactly() {
    let signed_octets = b"Content-Type: application/sdp\r\nX: 1 \r\n\r\nv=0\r\n\r\n";
    let mut body = b"--b\r\n".to_vec();
    body.extend_from_slice(signed_octets);
    body.extend_from_slice(b"\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\n\0\r\n\xff\r\n--b--\r\n");
    let body = Bytes::from(body);
    let media_type = MediaType::parse("multipart/signed;protocol=\"application/pkcs7-signature\";boundary=b").unwrap();
    let multipart = Multipart::parse(&media_type, &body).unwrap();
    let (signed, signature) = multipart.signed().unwrap();
    assert_eq!(signed, &signed_octets[..]);
    assert_eq!(signature.content(), &b"\0\r\n\xff"[..]);
    assert_eq!(Multipart::parse(&mixed("b"), &body).unwrap().signed(), None);

    let rebuilt = Multipart::build(media_type, multipart.parts(), "other").unwrap();
    assert_eq!(rebuilt.signed().unwrap().0, &signed_octets[..]);
}

#[test]
fn the_root_of_related_parts_is_the_start_or_the_first() {
    let parts: Vec<_> =
        ["<a@x>", "<b@x>"].iter().map(|id| Part::new(&octets(b""), &[("Content-ID", id)]).unwrap()).collect();
    let related = |start: Option<&str>| {
        let media_type = MediaType::new("multipart", "related").unwrap();
        let media_type = start.map_or(Ok(media_type.clone()), |start| media_type.with("start", start)).unwrap();
        Multipart::build(media_type, &parts, "t").unwrap().root().and_then(Part::content_id).map(str::to_owned)
    };
    assert_eq!(related(None).as_deref(), Some("a@x"));
    assert_eq!(related(Some("<b@x>")).as_deref(), Some("b@x"));
    assert_eq!(related(Some("<c@x>")), None);
}

#[test]
fn a_bad_part_does_not_spoil_the_others() {
    let body = b"--b\r\nContent-Type: application/sdp\r\n\r\nv=1\r\n--b\r\nContent-Type: nonsense\r\n\r\n\
                 --b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n\
                 --b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: 8BIT\r\n\r\nv=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n\r\n--b--";
    let multipart = parse(body).unwrap();
    let contents: Vec<_> = multipart.parts().iter().map(Part::contents).collect();
    assert!(matches!(contents[0], Err(ContentsError::Sdp(_))));
    assert!(matches!(contents[1], Err(ContentsError::MediaType(_))));
    assert!(matches!(contents[2], Ok(Contents::Octets { .. })), "base64 is not decoded");
    assert!(matches!(&contents[3], Ok(Contents::Sdp(sdp)) if sdp.name() == Some("-")));
}

#[test]
fn an_sdp_part_reads_back() {
    let sdp = Sdp::parse(&Bytes::from("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n")).unwrap();
    let part = Part::new(&Contents::Sdp(sdp.clone()), &[("Content-Disposition", "session")]).unwrap();
    let built = Multipart::build(MediaType::new("multipart", "mixed").unwrap(), &[part], "t").unwrap();
    assert_eq!(built.parts()[0].contents(), Ok(Contents::Sdp(sdp)));
}

proptest! {
    #[test]
    fn any_body_parses_or_fails_and_prints_back(
        text in "(--b|--b--|\r\n|\n|A: 1|:| |\0|x){0,40}",
        noise in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let framed = [b"--b\r\n\r\n", &noise[..], b"\r\n--b--"].concat();
        for body in [text.into_bytes(), noise, framed] {
            let body = Bytes::from(body);
            if let Ok(multipart) = parse(&body) {
                prop_assert_eq!(multipart.print(), body.clone());
                for part in multipart.parts() {
                    prop_assert!(part.headers().all(|(name, _)| !name.is_empty()));
                    let _ = part.contents();
                }
            }
        }
    }

    #[test]
    fn parts_read_back_as_they_were_built(
        contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..5),
        token in "[a-zA-Z0-9]{1,3}",
    ) {
        let parts: Vec<_> = contents.iter().map(|content| Part::new(&octets(content), &[]).unwrap()).collect();
        let built = Multipart::build(MediaType::new("multipart", "mixed").unwrap(), &parts, &token).unwrap();
        let read: Vec<_> = built.parts().iter().map(Part::content).collect();
        prop_assert_eq!(read, contents);
    }
}
