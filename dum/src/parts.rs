//! Bodies of several parts (RFC 5621).

use bytes::Bytes;
use stack::contents::{self, Contents, Multipart, Part};
use stack::header::{HeaderValue, MediaType, Token, p};

/// Whether a body of this type has parts that are read.
pub(crate) fn has_parts(media: &MediaType<'_>) -> bool {
    media.is("multipart", "mixed") || media.is("multipart", "alternative")
}

/// Whether what must be understood of a body's parts is: of alternatives one, else all that do not say that they may be
/// left alone (RFC 5621 §3, §5).
pub(crate) fn can_be_read(media: &MediaType<'_>, body: &Bytes, takes: &impl Fn(&MediaType<'_>) -> bool) -> bool {
    read(media, body).is_some_and(|all| readable(&all, takes))
}

/// The description of the session among the parts: of alternatives the last, which the sender likes best.
pub(crate) fn session(media: &MediaType<'_>, body: &Bytes) -> Option<Bytes> {
    read(media, body).and_then(|all| session_of(&all))
}

fn read(media: &MediaType<'_>, body: &Bytes) -> Option<Multipart> {
    let media = media.to_string();
    Multipart::parse(&contents::MediaType::parse(&media).ok()?, body).ok()
}

fn readable(all: &Multipart, takes: &impl Fn(&MediaType<'_>) -> bool) -> bool {
    let is_read = |part: &Part| {
        let Ok(media) = part.media_type().map(|media| media.to_string()) else { return false };
        let Ok(media) = MediaType::parse(&media) else { return false };
        takes(&media)
            && match part.contents() {
                Ok(Contents::Multipart(inner)) => readable(&inner, takes),
                read => read.is_ok(),
            }
    };
    match is_alternative(all) {
        true => all.parts().iter().any(is_read),
        false => all.parts().iter().all(|part| is_optional(part) || is_read(part)),
    }
}

fn session_of(all: &Multipart) -> Option<Bytes> {
    let of_part = |part: &Part| match part.contents().ok()? {
        Contents::Multipart(inner) => session_of(&inner),
        Contents::Sdp(_) if disposition(part).is_none_or(|disposition| disposition.is("session")) => {
            Some(part.content())
        }
        _ => None,
    };
    match is_alternative(all) {
        true => all.parts().iter().rev().find_map(of_part),
        false => all.parts().iter().find_map(of_part),
    }
}

fn is_alternative(all: &Multipart) -> bool {
    all.media_type().subtype().eq_ignore_ascii_case("alternative")
}

fn is_optional(part: &Part) -> bool {
    let handling =
        |disposition: Token<'_>| disposition.param(p::HANDLING).is_some_and(|how| how.eq_ignore_ascii_case("optional"));
    disposition(part).is_some_and(handling)
}

fn disposition(part: &Part) -> Option<Token<'_>> {
    Token::parse(part.content_disposition()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

    fn body(parts: &[(&str, &str)]) -> Bytes {
        let parts = parts.iter().map(|(headers, content)| format!("--b\r\n{headers}\r\n\r\n{content}\r\n"));
        (parts.collect::<String>() + "--b--\r\n").into()
    }

    fn mixed(sub: &'static str) -> MediaType<'static> {
        MediaType::parse(&format!("multipart/{sub};boundary=b")).unwrap().into_owned()
    }

    fn takes(media: &MediaType<'_>) -> bool {
        media.is("application", "sdp") || has_parts(media)
    }

    #[test]
    fn the_description_of_the_session_is_found_among_the_parts() {
        let isup = ("Content-Type: application/isup\r\nContent-Disposition: signal;handling=optional", "x");
        let strict = ("Content-Type: application/isup", "x");
        let sdp = ("Content-Type: application/sdp", SDP);
        let icon = ("Content-Type: application/sdp\r\nContent-Disposition: icon", SDP);
        let found = |sub, parts: &[(&str, &str)]| {
            let (media, body) = (mixed(sub), body(parts));
            (can_be_read(&media, &body, &takes), session(&media, &body).is_some())
        };
        assert_eq!(found("mixed", &[isup, sdp]), (true, true));
        assert_eq!(found("mixed", &[strict, sdp]), (false, true));
        assert_eq!(found("mixed", &[isup]), (true, false));
        assert_eq!(found("mixed", &[icon]), (true, false));
        assert_eq!(found("alternative", &[strict, sdp]), (true, true));
        assert_eq!(found("alternative", &[strict]), (false, false));
        // One inside the other.
        let inner = body(&[strict, sdp]);
        let inner =
            ("Content-Type: multipart/alternative;boundary=c", &*String::from_utf8_lossy(&inner).replace("--b", "--c"));
        assert_eq!(found("mixed", &[isup, inner]), (true, true));
        // What has no end or no boundary is not read.
        let cut = Bytes::from_static(b"--b\r\nContent-Type: application/sdp\r\n");
        assert!(!can_be_read(&mixed("mixed"), &Bytes::new(), &takes) && session(&mixed("mixed"), &cut).is_none());
    }
}
