//! Two proxies: one behind the other, and both behind one name.

use crate::locate::{Client, answer, peer};
use crate::name_server::{Mood, NameServer};
use crate::repro::File;
use stack::header::Method;
use std::net::SocketAddr;
use tests::peers::Repro;

fn node(args: &[&str]) -> (Repro, SocketAddr) {
    let listen = ["--listen", "udp:127.0.0.1:0"];
    let repro = Repro::start(&[args, &listen].concat(), 1).expect("it starts");
    let address = repro.address("udp").expect("it said so");
    (repro, address)
}

/// Who is called: what its answers are made of, and what came.
fn record_routes(request: &str) -> Vec<String> {
    let routes = request.lines().filter_map(|line| line.strip_prefix("Record-Route: "));
    routes.map(str::to_owned).collect()
}

#[test]
fn a_call_passes_two_proxies() {
    let ((_one, first), (_two, second)) = (node(&[]), node(&[]));
    let (callee, port) = peer();
    let client = Client::new(first);
    let routes = [format!("<sip:{first};lr>"), format!("<sip:{second};lr>")];
    let called = client.call(&format!("sip:bob@127.0.0.1:{port}"), &routes);
    let invite = answer(&callee, 200);
    assert_eq!(record_routes(&invite), [format!("<sip:{second};lr>"), format!("<sip:{first};lr>")], "{invite}");
    assert_eq!(client.next(), (called, Ok(200)));
    let bye = client.send_by(&Method::Bye, &format!("sip:bob@127.0.0.1:{port}"), &routes);
    let came = answer(&callee, 200);
    assert!(came.starts_with("BYE ") && came.matches("\r\nVia: ").count() == 3, "{came}");
    assert_eq!(client.next(), (bye, Ok(200)));
}

/// The node that a dialog began with dies: what belongs to the dialog goes to the other one.
#[test]
fn a_dialog_outlives_one_of_two_nodes_behind_a_name() {
    let file = File::new("nodes", "record_route_name = \"test.example\"\npin_runners = false\n");
    let config = ["--config", file.name()];
    let ((one, first), (_two, second)) = (node(&config), node(&config));
    let zone = [
        format!("_sip._udp 60 SRV 10 1 {} host", first.port()),
        format!("_sip._udp 60 SRV 20 1 {} host", second.port()),
        "host 60 A 127.0.0.1".to_owned(),
    ];
    let names = NameServer::start(Mood::Answers, &zone.each_ref().map(String::as_str));
    let (callee, port) = peer();
    let client = Client::new(names.address);
    let (target, name) = (format!("sip:bob@127.0.0.1:{port}"), ["<sip:test.example;lr>".to_owned()]);
    let called = client.call(&target, &name);
    let invite = answer(&callee, 200);
    assert!(invite.contains(&format!("\r\nVia: SIP/2.0/UDP {first};")), "the preferred node has it: {invite}");
    assert_eq!(record_routes(&invite), name);
    assert_eq!(client.next(), (called, Ok(200)));
    drop(one);
    let bye = client.send_by(&Method::Bye, &target, &name);
    let came = answer(&callee, 200);
    assert!(came.starts_with("BYE ") && came.contains(&format!("\r\nVia: SIP/2.0/UDP {second};")), "{came}");
    assert_eq!(client.next(), (bye, Ok(200)));
}
