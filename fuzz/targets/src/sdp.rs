//! Session descriptions.

use bytes::Bytes;
use stack::contents::Sdp;
use stack::contents::sdp::{Direction, Format, Local, Stream};
use std::net::{IpAddr, Ipv4Addr};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// Takes the octets as a session description. An untouched one prints as it came; one that was edited reads back as
/// it is; what answers it as an offer reads back too and has as many media.
pub fn sdp(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let Ok(sdp) = Sdp::parse(&body) else { return };
    assert_eq!(sdp.print(), body, "an untouched description prints as it came");
    read_all(&sdp);
    edited(sdp.clone());
    answered(&sdp);
}

fn read_back(sdp: &Sdp) {
    let printed = sdp.print();
    let again = Sdp::parse(&printed).unwrap_or_else(|e| panic!("{e}: {printed:?}"));
    assert_eq!(&again, sdp, "{printed:?}");
}

fn read_all(sdp: &Sdp) {
    assert!(sdp.origin().is_some() && sdp.timings().count() > 0);
    let _ = sdp.name();
    for section in std::iter::once(sdp.session()).chain(sdp.media().map(|media| media.section())) {
        let _ = (section.connection(), section.bandwidths().count(), section.attributes().count());
        let _ = (section.rtpmaps().count(), section.fmtps().count(), section.ptime(), section.direction());
    }
    for media in sdp.media() {
        assert!(media.line().formats().count() > 0);
        let _ = (media.connection(), media.direction(), media.is_rejected());
    }
}

fn edited(mut sdp: Sdp) {
    let media = sdp.media().count();
    for index in 0..media {
        assert!(sdp.set_port(index, 0));
        let Some(section) = sdp.media_mut(index) else { panic!("there are {media} media") };
        section.set_direction(Direction::Inactive);
        section.set_connection(HERE);
        section.remove_attributes("rtpmap");
        assert_eq!(section.direction(), Some(Direction::Inactive));
        assert_eq!(section.connection().and_then(|connection| connection.address.ip()), Some(HERE));
    }
    sdp.session_mut().add_attribute("fuzz", Some("x")).expect("a legal attribute");
    assert!(sdp.media().all(|media| media.is_rejected()) && sdp.media().count() == media);
    read_back(&sdp);
    sdp.session_mut().set_connection(HERE);
    read_back(&sdp);
}

fn answered(offer: &Sdp) {
    let local = Local { username: "-", session_id: 1, version: 1, address: HERE, name: "" };
    let formats = [
        Format { format: "0", rtpmap: None, fmtp: None },
        Format { format: "96", rtpmap: Some("opus/48000/2"), fmtp: Some("useinbandfec=1") },
    ];
    let audio =
        Stream { kind: "audio", port: 4000, proto: "RTP/AVP", formats: &formats, direction: Direction::SendRecv };
    let answer = Sdp::answer_to(offer, &local, &[audio]).unwrap_or_else(|e| panic!("{e}: {:?}", offer.print()));
    assert_eq!(answer.media().count(), offer.media().count());
    read_back(&answer);
    let mut next = answer.clone();
    next.session_mut().add_attribute("fuzz", None).expect("a legal attribute");
    next.continue_from(&answer).expect("as many media");
    assert_eq!(next.origin().map(|o| o.version), Some(2));
    read_back(&next);
}
