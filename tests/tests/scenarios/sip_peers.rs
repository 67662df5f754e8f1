//! The user agent at the command line beside SIPp, baresip, Kamailio, and a server of published documents.

use crate::repro::LIMIT;
use crate::sip_calls::waiting;
use crate::sip_cli::{ended, events, run, sip};
use dum::publication::{MemoryPublications, PublicationPersistence, ServerPublicationHandler};
use dum::{Application, DialogUsageManager, DumOptions};
use rutil::Rng;
use stack::header::{MediaType, Method};
use stack::{Stack, TransportSpec};
use std::fs;
use std::net::SocketAddr;
use tests::peers::{self, Baresip, Kamailio, Sipp};

#[test]
fn sipp_is_called_and_calls() {
    if !peers::available("sipp") {
        return;
    }
    for (transport, sipps) in [("udp", "u1"), ("tcp", "t1")] {
        let local = SocketAddr::from((peers::loopback(), 5060));
        let callee =
            Sipp { scenario: "uas_call.xml", local, remote: None, calls: 1, rate: 1, transport: sipps, more: &[] };
        let callee = callee.start().expect("SIPp starts");
        let target = format!("sip:service@{local};transport={transport}");
        let (code, output) = run(&["call", &target, "--seconds", "0.1"]);
        assert!(code == 0 && output.contains("hung up"), "{code}: {output}");
        let stats = callee.finish(LIMIT).expect("SIPp ends");
        assert_eq!((stats.successful, stats.failed), (1, 0), "{transport}");
    }
    let answerer = waiting(&["answer", "--count", "3"]);
    let local = SocketAddr::from((peers::loopback(), 5060));
    let remote = Some(answerer.address);
    let caller = Sipp { scenario: "uac_call.xml", local, remote, calls: 3, rate: 10, transport: "u1", more: &[] };
    let stats = caller.run(LIMIT).expect("SIPp ends");
    assert_eq!((stats.successful, stats.failed), (3, 0));
    let (code, output) = ended(answerer.process);
    assert_eq!((code, output.matches("the peer hung up").count()), (0, 3), "{output}");
}

#[test]
fn baresip_is_called_and_calls() {
    if !peers::available("baresip") {
        return;
    }
    let local = SocketAddr::from((peers::loopback(), 5060));
    let mut baresip = Baresip::start(local, &[]).expect("it starts");
    let (code, output) = run(&["call", &format!("sip:bob@{local}"), "--seconds", "0.2", "--ladder"]);
    assert!(code == 0 && output.contains("answered: 200"), "{code}: {output}");
    baresip.says("session closed", LIMIT).expect("it hears the BYE");
    drop(baresip);

    let mut answerer = waiting(&["answer"]);
    let dial = format!("/dial sip:sip@{}", answerer.address);
    let local = SocketAddr::from((peers::loopback(), 5060));
    let baresip = Baresip::start(local, &[&dial]).expect("it starts");
    answerer.process.wait_for(LIMIT, |line| line.contains("call 1: answered").then_some(())).expect("it is answered");
    // The called side ends it, by BYE.
    crate::end::signal(&answerer.process, "INT");
    assert_eq!(ended(answerer.process).0, 0);
    let mut baresip = baresip;
    baresip.says("session closed", LIMIT).expect("it hears the BYE");
}

/// Kamailio's registrar takes what is registered with its password, its proxy leads to it, and both are seen on the way.
#[test]
fn kamailio_registers_and_leads_on() {
    if !peers::available("kamailio") {
        return;
    }
    let local = SocketAddr::from((peers::loopback(), 5060));
    let _kamailio = Kamailio::start(local, "builder").expect("it starts");
    let answerer = waiting(&["answer", "--count", "1"]);
    let (aor, contact) = (format!("sip:bob@{}", local.ip()), format!("sip:bob@{}", answerer.address));
    let register = ["register", &aor, "--contact", &contact, "--expires", "300", "--json"];
    let (code, output) = run(&register);
    assert_eq!(code, 5, "{output}");
    let (code, output) = ended(sip(&register, &[("SIP_PASSWORD", "wrong")]));
    assert_eq!(code, 5, "{output}");
    let (code, output) = ended(sip(&register, &[("SIP_PASSWORD", "builder")]));
    let bindings = events(&output, "bindings").remove(0);
    assert_eq!((code, &bindings["bindings"][0]["contact"]), (0, &contact.as_str().into()), "{output}");
    assert!(bindings["bindings"][0]["expires"].as_u64().is_some_and(|seconds| (290..=300).contains(&seconds)));

    let (code, output) = run(&["trace", &aor, "--json"]);
    let hops = events(&output, "hop");
    let statuses: Vec<_> = hops.iter().map(|hop| hop["status"].as_u64()).collect();
    assert_eq!((code, statuses), (0, vec![Some(483), Some(200)]), "{output}");
    assert!(hops[0]["server"].as_str().is_some_and(|server| server.starts_with("kamailio")), "{output}");

    let (code, output) = run(&["call", &aor, "--seconds", "0.1", "--ladder"]);
    assert!(code == 0 && output.contains("- BYE -"), "{code}: {output}");
    let (code, output) = ended(answerer.process);
    assert!(code == 0 && output.contains("the peer hung up"), "{code}: {output}");
    let nobody = format!("sip:nobody@{}", local.ip());
    assert_eq!(run(&["message", &nobody, "hello"]).0, 1);
}

/// The server of an event package.
struct Publications(MemoryPublications);

impl Application for Publications {
    fn server_publications(&mut self) -> Option<&mut dyn ServerPublicationHandler> {
        Some(self)
    }
}

impl ServerPublicationHandler for Publications {
    fn persistence(&mut self) -> &mut dyn PublicationPersistence {
        &mut self.0
    }
}

#[test]
fn a_document_is_published_changed_and_removed() {
    let (mut builder, mut rng) = (Stack::builder(), Rng::from_os().expect("randomness"));
    builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
    let mut options = DumOptions::default();
    options.master.add_method(Method::Publish).add_event("presence");
    for subtype in ["pidf+xml", "x-own"] {
        options.master.add_mime_type(Method::Publish, MediaType::new("application", subtype));
    }
    builder.register_tu(DialogUsageManager::<Publications>::tu_options(), move |_| {
        let store = MemoryPublications::new(10, &mut rng);
        DialogUsageManager::new(Publications(store), options.clone(), &mut rng)
    });
    let server = builder.start().expect("it starts");
    let target = format!("sip:alice@{}", server.transports().iter().next().expect("one").bound);
    let publish = |more: &[&str]| {
        let (code, output) = run(&[&["publish", &target, "--json"], more].concat());
        let etag = events(&output, "published").first().and_then(|event| Some(event["etag"].as_str()?.to_owned()));
        (code, etag, output)
    };
    let (code, etag, output) = publish(&["--status", "open", "--note", "at <work> & \"well\"", "--expires", "600"]);
    let first = etag.expect("an ETag");
    assert_eq!((code, &events(&output, "published")[0]["expires"]), (0, &600.into()), "{output}");
    let (code, etag, output) = publish(&["--etag", &first]);
    let second = etag.expect("an ETag");
    assert!(code == 0 && second != first, "a refresh has a new one: {output}");
    // The one before names nothing any more (RFC 3903 §6, 412).
    let (code, etag, output) = publish(&["--etag", &first, "--status", "closed"]);
    assert_eq!((code, etag, &events(&output, "response")[0]["status"]), (1, None, &412.into()), "{output}");
    let file = std::env::temp_dir().join(format!("sip-publish-{}", std::process::id()));
    fs::write(&file, b"any octets \xff").expect("a temporary file");
    let own = ["--file", file.to_str().expect("UTF-8"), "--content-type", "application/x-own"];
    let (code, etag, output) = publish(&[&["--etag", &second], &own[..]].concat());
    let third = etag.expect("an ETag");
    assert_eq!(code, 0, "{output}");
    let (code, _, output) = publish(&[&own[..3], &["text/plain"]].concat());
    assert_eq!((code, &events(&output, "response")[0]["status"]), (1, &415.into()), "{output}");
    fs::remove_file(&file).expect("it is ours");
    assert_eq!(publish(&["--etag", &third, "--remove"]).0, 0);
    assert_eq!(publish(&["--etag", &third, "--remove"]).0, 1);
}
