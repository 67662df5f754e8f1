//! Media types, multipart bodies and fragments of messages.

use bytes::Bytes;
use stack::contents::event::{ConferenceInfo, DialogInfo, EventDocument, MessageSummary, Pidf, RegInfo};
use stack::contents::multipart::MAX_DEPTH;
use stack::contents::{Contents, MediaType, Multipart, SipFrag};

/// The first line is a media type, the rest a body of this type. A media type prints to a text that reads as the
/// same; an untouched body prints as it came, at any depth; parts that are joined anew come out as they went in; all
/// pieces of a fragment are its octets.
pub fn contents(data: &[u8]) {
    let (line, body) = match data.iter().position(|b| *b == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &data[data.len()..]),
    };
    let Some(media_type) = std::str::from_utf8(line).ok().and_then(media_type) else { return };
    let body = Bytes::copy_from_slice(body);
    if let Ok(contents) = Contents::parse(&media_type, &body) {
        look_into(&contents, &body, 1);
    }
}

fn media_type(text: &str) -> Option<MediaType<'_>> {
    let media_type = MediaType::parse(text).ok()?;
    let printed = media_type.to_string();
    assert_eq!(MediaType::parse(&printed).as_ref(), Ok(&media_type), "{text:?} {printed:?}");
    Some(media_type)
}

fn look_into(contents: &Contents, body: &Bytes, depth: u8) {
    assert_eq!(&contents.print(), body, "an untouched body prints as it came");
    match contents {
        Contents::Multipart(multipart) => look_into_parts(multipart, depth),
        Contents::SipFrag(frag) => pieces(frag, body),
        Contents::Text(text) => drop(text.text().map(|text| text.len())),
        Contents::Sdp(_) => {}
        Contents::Octets { .. } => events(body),
    }
}

/// The bodies of event packages, whatever the type says: what is understood prints to a text that reads as the same.
fn events(body: &[u8]) {
    again::<Pidf>(body);
    again::<DialogInfo>(body);
    again::<RegInfo>(body);
    again::<ConferenceInfo>(body);
    again::<MessageSummary>(body);
}

fn again<D: EventDocument + PartialEq + std::fmt::Debug>(body: &[u8]) {
    let Ok(document) = D::parse(body) else { return };
    let printed = document.print();
    assert_eq!(D::parse(&printed).as_ref(), Ok(&document), "{printed:?}");
}

fn look_into_parts(multipart: &Multipart, depth: u8) {
    assert!(depth <= MAX_DEPTH && !multipart.parts().is_empty());
    let _ = (multipart.root(), multipart.signed(), multipart.preamble(), multipart.epilogue());
    for part in multipart.parts() {
        assert!(part.octets().ends_with(&part.content()));
        let _ = (part.headers().count(), part.content_id(), part.content_disposition());
        if let Ok(contents) = part.contents() {
            look_into(&contents, &part.content(), depth + 1);
        }
    }
    let mixed = MediaType::new("multipart", "mixed").expect("two tokens");
    if let Ok(joined) = Multipart::build(mixed, multipart.parts(), "fuzz") {
        let octets = |multipart: &Multipart| multipart.parts().iter().map(|p| p.octets().clone()).collect::<Vec<_>>();
        assert_eq!(octets(&joined), octets(multipart));
    }
}

fn pieces(frag: &SipFrag, body: &Bytes) {
    assert!(frag.status_line().is_none() || frag.request_line().is_none());
    let lines = frag.header_octets();
    for (name, value) in frag.headers() {
        assert!(!name.is_empty() && value.len() <= lines.len());
    }
    let rest = frag.body().unwrap_or_default();
    assert!(body.ends_with(&rest));
    let between = frag.status_line().is_none() && frag.request_line().is_none();
    if between {
        assert!(body.starts_with(&lines), "without a start line, headers come first");
        assert!(body.len() - lines.len() - rest.len() <= 2);
    }
}
