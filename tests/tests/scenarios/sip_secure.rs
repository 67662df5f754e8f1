//! The user agent at the command line over TLS and WebSocket, and where a proxy asks for passwords.

use crate::passwords::asking;
use crate::repro::address;
use crate::sip_calls::waiting;
use crate::sip_cli::{ended, run, sip};
use crate::tls::Site;
use tests::peers::Repro;

#[test]
fn options_over_tls_and_websocket() {
    let site = Site::new();
    site.issue(&["127.0.0.1"], |_| {});
    let trust = site.path("ca.pem").display().to_string();
    let config = site.config();
    let listen = ["--listen", "tls:127.0.0.1:0", "--listen", "wss:127.0.0.1:0", "--listen", "ws:127.0.0.1:0"];
    let proxy = Repro::start(&[&["--config", config.as_str()], &listen[..]].concat(), 3).expect("it starts");
    for transport in ["tls", "wss", "ws"] {
        let target = format!("sip:{};transport={transport}", address(&proxy, transport));
        let (code, output) = run(&["options", &target, "--tls-trust", &trust, "--ladder", "-v"]);
        assert!(code == 0 && output.contains("- OPTIONS -"), "{transport}: {code}: {output}");
    }
    // Whom nobody vouches for is not spoken to, and -v says why.
    let target = format!("sip:{};transport=tls", address(&proxy, "tls"));
    let (code, output) = run(&["options", &target, "-v"]);
    assert!(code == 4 && output.contains("cannot be reached"), "{code}: {output}");
    assert!(output.contains("handshake failed"), "{output}");
    let (code, output) = run(&["options", &target, "--tls-trust", "/no/such/ca.pem"]);
    assert!(code == 2 && output.contains("--tls-trust") && output.contains("/no/such/ca.pem"), "{code}: {output}");
    // Who waits for others over TLS has to show a certificate.
    let (code, output) = run(&["answer", "--listen", "tls:127.0.0.1:0"]);
    assert!(code == 2 && output.contains("--tls-cert"), "{code}: {output}");
}

#[test]
fn a_call_where_the_proxy_asks_for_a_password() {
    let repro = asking("sip-call", "", "inline");
    let proxy = format!("sip:{}", address(&repro, "udp"));
    let answerer = waiting(&["answer", "--count", "1"]);
    let contact = format!("sip:bob@{}", answerer.address);
    let register = ["register", "sip:bob@example.com", "--proxy", &proxy, "--contact", &contact];
    let (code, output) = ended(sip(&register, &[("SIP_PASSWORD", "builder")]));
    assert_eq!(code, 0, "{output}");
    let from = ["--proxy", &proxy, "--from", "sip:alice@example.com"];
    let call = [&["call", "sip:bob@example.com", "--seconds", "0.1", "--ladder"], &from[..]].concat();
    let (code, output) = ended(sip(&call, &[]));
    assert!(code == 5 && output.contains("407 Proxy Authentication Required"), "{code}: {output}");
    let (code, output) = ended(sip(&call, &[("SIP_PASSWORD", "wrong")]));
    assert_eq!(code, 5, "{output}");
    let (code, output) = ended(sip(&call, &[("SIP_PASSWORD", "wonderland")]));
    assert!(code == 0 && output.contains("answered: 200 OK") && output.contains("- BYE -"), "{code}: {output}");
    let (code, output) = ended(answerer.process);
    assert!(code == 0 && output.contains("the peer hung up"), "{code}: {output}");
    // A trace has a password too.
    let trace = [&["trace", "sip:bob@example.com", "--json"], &from[..]].concat();
    assert_eq!(ended(sip(&trace, &[])).0, 5);
    let (code, output) = ended(sip(&trace, &[("SIP_PASSWORD", "wonderland")]));
    assert!(output.contains("\"status\":483"), "{code}: {output}");
}
