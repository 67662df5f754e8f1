//! URIs that lead to one device of a user (RFC 5627).

use super::*;
use stack::flow_token::Purpose;
use stack::header::{CSeq, Contact, Method, p};
use stack::transport::TransportError;
use stack::tu::NextHop;

const DESK: &str = "<sip:bob@127.0.0.1:9001>;+sip.instance=\"<urn:uuid:desk>\"";
const MOBILE: &str = "<sip:bob@127.0.0.1:9002>;+sip.instance=\"<urn:uuid:mobile>\"";

/// A REGISTER of bob's, and the Contacts of its answer.
fn answer_to_register(bench: &mut Bench, contact: &str, call_id: &str, cseq: u32, supported: &str) -> Box<Message> {
    let lines = format!("To: <sip:bob@127.0.0.1>\r\nSupported: {supported}\r\nContact: {contact}\r\n");
    let mut msg = request("REGISTER", "sip:127.0.0.1", &lines);
    msg.set(h::CALL_ID, call_id);
    msg.set(h::CSEQ, &CSeq::new(cseq, Method::Register));
    match bench.request(msg).pop() {
        Some(Out::Answer(_, _, Some(answer))) => answer,
        other => panic!("{other:?}"),
    }
}

fn register(
    bench: &mut Bench,
    contact: &str,
    call_id: &str,
    cseq: u32,
    supported: &str,
) -> (u16, Vec<Contact<'static>>) {
    let answer = answer_to_register(bench, contact, call_id, cseq, supported);
    let contacts = answer.header(h::CONTACTS).map(|contact| contact.unwrap().into_owned()).collect();
    (answer.status().unwrap(), contacts)
}

/// The public and the temporary GRUU of a contact.
fn gruus(contact: &Contact<'_>) -> Option<(String, String)> {
    let Contact::Addr(addr) = contact else { panic!("{contact:?}") };
    Some((addr.param(p::PUB_GRUU)?.into_owned(), addr.param(p::TEMP_GRUU)?.into_owned()))
}

/// Registers one device with a Call-ID; its GRUUs.
fn named(bench: &mut Bench, contact: &str, call_id: &str, cseq: u32) -> (String, String) {
    let (code, contacts) = register(bench, contact, call_id, cseq, "gruu");
    assert_eq!(code, 200);
    let uri = contact.split_once('>').unwrap().0;
    let own = contacts.iter().find(|contact| contact.to_string().starts_with(uri));
    gruus(own.expect("it is registered")).expect("it has names")
}

fn called(bench: &mut Bench, gruu: &str) -> String {
    uri(&bench.forwarded(request("INVITE", gruu, "")).1).to_owned()
}

#[test]
fn a_device_is_told_its_names() {
    let mut bench = Bench::new();
    let (public, temporary) = named(&mut bench, DESK, "desk", 1);
    assert_eq!(public, "sip:bob@127.0.0.1;gr=urn:uuid:desk");
    assert!(temporary.starts_with("sip:gruu-") && temporary.ends_with("@127.0.0.1;gr"), "{temporary}");
    assert!(!temporary.contains("bob"));
    // Only who asks, only of devices, and nobody names himself.
    assert!(register(&mut bench, MOBILE, "mobile", 1, "path").1.iter().all(|contact| gruus(contact).is_none()));
    let own = "<sip:bob@127.0.0.1:9003>;pub-gruu=\"sip:eve@127.0.0.1;gr=x\";temp-gruu=\"sip:x@127.0.0.1;gr\"";
    let (_, contacts) = register(&mut bench, own, "third", 1, "gruu");
    let names: Vec<_> = contacts.iter().map(|contact| gruus(contact).map(|(public, _)| public)).collect();
    let [desk, mobile] = ["desk", "mobile"].map(|name| Some(format!("sip:bob@127.0.0.1;gr=urn:uuid:{name}")));
    assert_eq!(names, [desk, mobile, None]);
}

#[test]
fn a_gruu_leads_to_its_device_and_no_other() {
    let mut bench = Bench::new();
    let (desk, mobile) = (named(&mut bench, DESK, "desk", 1), named(&mut bench, MOBILE, "mobile", 1));
    for (gruu, place) in [(&desk, "sip:bob@127.0.0.1:9001"), (&mobile, "sip:bob@127.0.0.1:9002")] {
        assert_eq!((called(&mut bench, &gruu.0), called(&mut bench, &gruu.1)), (place.into(), place.into()));
        assert_eq!(called(&mut bench, &gruu.0.to_uppercase().replace("SIP:BOB", "sip:bob")), place);
    }
    for (gruu, code) in [
        ("sip:bob@127.0.0.1;gr=urn:uuid:other", 480),
        ("sip:carol@127.0.0.1;gr=urn:uuid:desk", 404),
        ("sip:bob@127.0.0.1;gr", 404),
        (&desk.1.replace("gruu-", "gruu-00"), 404),
        // A temporary one leads to what it was given for, whatever is written beside it.
        (&format!("{}=urn:uuid:desk", desk.1), 404),
    ] {
        assert_eq!(bench.status(request("INVITE", gruu, "")), code, "{gruu}");
    }
    // The contact that the device has registered last.
    bench.pass(1);
    named(&mut bench, &DESK.replace("9001", "9009"), "desk", 2);
    assert_eq!(called(&mut bench, &desk.0), "sip:bob@127.0.0.1:9009");
    // Without it the device is away, and was there.
    for port in ["9001", "9009"] {
        register(&mut bench, &format!("{};expires=0", DESK.replace("9001", port)), "desk", 3, "gruu");
    }
    assert_eq!(bench.status(request("INVITE", &desk.0, "")), 480);
    assert_eq!(bench.status(request("INVITE", &desk.1, "")), 480);
    assert_eq!(called(&mut bench, &mobile.1), "sip:bob@127.0.0.1:9002");
}

/// RFC 5627 §3.2: all of one Call-ID are good, until another one comes.
#[test]
fn a_new_call_id_ends_the_temporary_names() {
    let mut bench = Bench::new();
    let first = named(&mut bench, DESK, "one", 1);
    let second = named(&mut bench, DESK, "one", 2);
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
    for gruu in [&first.1, &second.1] {
        called(&mut bench, gruu);
    }
    let third = named(&mut bench, DESK, "two", 1);
    for gruu in [&first.1, &second.1] {
        assert_eq!(bench.status(request("INVITE", gruu, "")), 404);
    }
    assert_eq!(called(&mut bench, &third.1), called(&mut bench, &first.0));
    // And so does the end of the registration.
    bench.pass(7200);
    assert_eq!(bench.status(request("INVITE", &third.1, "")), 480);
}

/// RFC 5627 §5.1: a contact that is a name of ours would lead in a circle.
#[test]
fn a_gruu_is_no_contact() {
    let mut bench = Bench::new();
    let (public, temporary) = named(&mut bench, DESK, "desk", 1);
    for gruu in [public, temporary] {
        assert_eq!(register(&mut bench, &format!("<{gruu}>"), "other", 1, "gruu").0, 403);
    }
    assert_eq!(register(&mut bench, "<sip:bob@example.com;gr=urn:uuid:desk>", "other", 1, "gruu").0, 200);
}

#[test]
fn a_sips_device_has_sips_names() {
    let mut bench = Bench::new();
    let at = "127.0.0.1:5061".parse().unwrap();
    let info = |id, kind| stack::transport::TransportInfo::new(TransportId(id), kind, 0, at, at);
    bench.harness = Harness::new(TransportTable::new(vec![info(0, TransportType::Tls)]));
    let contact = "<sips:bob@127.0.0.1:9001>;+sip.instance=\"<urn:uuid:desk>\"";
    let lines = format!("To: <sip:bob@127.0.0.1:5061>\r\nSupported: gruu\r\nContact: {contact}\r\n");
    let outs = bench.request(request("REGISTER", "sip:127.0.0.1:5061", &lines));
    let [Out::Answer(_, 200, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    let (public, temporary) = gruus(&answer.header(h::CONTACTS).next().unwrap().unwrap()).unwrap();
    assert_eq!(public, "sips:bob@127.0.0.1:5061;gr=urn:uuid:desk");
    for gruu in [&public, &temporary] {
        assert_eq!(called(&mut bench, gruu), "sips:bob@127.0.0.1:9001");
    }
}

fn tcp(connection: u64) -> Flow {
    let peer = format!("127.0.0.1:{}", 40_000 + connection).parse().unwrap();
    Flow {
        transport: TransportId(1),
        kind: TransportType::Tcp,
        connection: ConnectionId(connection),
        peer,
        local: None,
    }
}

/// Within a dialog whose device is named by a GRUU: it is called where it is now, not where it was.
#[test]
fn a_device_is_found_on_another_flow() {
    let mut bench = Bench::new();
    let flow = |bench: &mut Bench, number: u64| {
        bench.came_by = Some(tcp(number));
        let contact = format!("<sip:bob@10.0.0.1;transport=tcp;ob>;reg-id={number};+sip.instance=\"<urn:uuid:x>\"");
        let (_, contacts) = register(bench, &contact, &format!("flow-{number}"), 1, "gruu, outbound");
        bench.came_by = None;
        bench.pass(1);
        gruus(contacts.last().unwrap()).unwrap()
    };
    let gruu = flow(&mut bench, 1);
    let other = flow(&mut bench, 2);
    let token = bench.harness.call(|stack| stack.flow_token(&tcp(1), Purpose::Dialog));
    let lines = format!("To: <sip:bob@127.0.0.1>;tag=b\r\nRoute: <sip:{token}@127.0.0.1;lr>\r\n");
    for gruu in [&gruu.0, &gruu.1, &other.1] {
        let (client, msg, options) = bench.forwarded(request("INVITE", gruu, &lines));
        assert_eq!((uri(&msg), options.next_hop), ("sip:bob@10.0.0.1;transport=tcp;ob", NextHop::Flow(tcp(2))));
        assert!(!msg.exists(h::ROUTES));
        bench.respond(client, &msg, 200);
    }
    // The flow that died is forgotten, and the next one taken.
    let (client, _, _) = bench.forwarded(request("INVITE", &gruu.0, ""));
    let lost = NoResponse::Transport(TransportError::NoConnection);
    let outs = bench.no_response(client, lost);
    assert!(matches!(&outs[..], [Out::Sent(_, _, options)] if options.next_hop == NextHop::Flow(tcp(1))), "{outs:?}");
    assert_eq!(bench.status(request("INVITE", &other.1, "")), 404);
    // A device that is registered no more is still at the end of the flow that the dialog has.
    bench.pass(7200);
    let (_, msg, options) = bench.forwarded(request("BYE", &gruu.0, &lines));
    assert_eq!((uri(&msg), options.next_hop), (&*gruu.0, NextHop::Flow(tcp(1))));
}

/// The names count for the length of the response.
#[test]
fn the_names_fit_into_a_datagram() {
    let registrar = crate::config::Registrar { max_contacts: 1000, ..Default::default() };
    let mut bench = Bench::with("127.0.0.1:5060", Config { registrar, ..Config::default() });
    let device = |n: u32| format!("<sip:{n}@127.0.0.1>;+sip.instance=\"<{}{n}>\"", "%".repeat(900));
    let answers: Vec<(u16, usize)> = (100..140)
        .map(|n| {
            let answer = answer_to_register(&mut bench, &device(n), "many", n, "gruu");
            (answer.status().unwrap(), answer.to_bytes().len())
        })
        .collect();
    let fit = answers.iter().take_while(|(code, _)| *code == 200).count();
    assert!(fit > 10 && answers[fit..].iter().all(|(code, _)| *code == 513), "{answers:?}");
    // No longer than a datagram, and one more would not have fitted.
    let (one, most) = (answers[1].1 - answers[0].1, answers[fit - 1].1);
    assert!(most <= 65_507 && most + one + 100 > 65_507, "{answers:?}");
    // Who does not ask for names has room for more.
    assert_eq!(register(&mut bench, &device(150), "many", 150, "path").0, 200);
}
