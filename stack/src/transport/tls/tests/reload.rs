//! Files that change under a running context.

use super::{Ca, Dir, Pair, ask, names};
use crate::transport::tls::{ClientAuth, TlsContext, TlsFault};
use std::fs;
use std::io::{Read as _, Write as _};

fn connect(client: &TlsContext, server: &TlsContext) -> Pair {
    Pair::connect(client, server, "example.com").unwrap()
}

#[test]
fn a_reload_shows_the_new_certificate_and_leaves_connections_alone() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let server = ca.context(&dir, &["dns=example.com"], |_| {});
    let client = ca.context(&Dir::new(), &[], |_| {});
    let mut old = connect(&client, &server);
    let before = old.client.peer_certificates().unwrap().to_vec();
    ca.issue(&names("dns=example.com dns=new.example")).save(&dir, "0");
    server.reload().unwrap();
    let renewed = Pair::connect(&client, &server, "new.example").unwrap();
    assert_ne!(renewed.client.peer_certificates().unwrap(), before);
    // The old connection carries octets as before.
    old.client.writer().write_all(b"ping").unwrap();
    old.carry().unwrap();
    let mut got = [0; 4];
    old.server.reader().read_exact(&mut got).unwrap();
    assert_eq!(&got, b"ping");
}

#[test]
fn bad_files_change_nothing() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let context = ca.context(&dir, &["dns=example.com"], |_| {});
    connect(&context, &context);
    let (certificate, config) = (dir.join("0.pem"), context.server());
    let other = ca.issue(&names("dns=other.example")).certificate;
    for (text, expected) in [("", "has no certificate"), (other.as_str(), "is not the key of")] {
        dir.write("0.pem", text);
        let error = context.reload().unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&certificate.display().to_string()), "{error}");
    }
    fs::remove_file(&certificate).unwrap();
    assert!(matches!(context.reload().unwrap_err().fault, TlsFault::Read { file, .. } if file == certificate));
    assert!(std::sync::Arc::ptr_eq(&config, &context.server()));
    assert!(connect(&context, &context).is_resumed());
}

#[test]
fn sessions_outlive_a_reload_that_leaves_trust_alone() {
    let (dir, ca) = (Dir::new(), Ca::new("ca"));
    let server = ca.context(&dir, &["dns=example.com"], |_| {});
    let of_client = Dir::new();
    let client = ca.context(&of_client, &[], |_| {});
    connect(&client, &server);
    server.reload().unwrap();
    client.reload().unwrap();
    assert!(connect(&client, &server).is_resumed());
    // A renewed certificate does not end the sessions of clients either.
    ca.issue(&names("dns=example.com")).save(&dir, "0");
    server.reload().unwrap();
    assert!(connect(&client, &server).is_resumed());
}

#[test]
fn who_is_trusted_no_more_cannot_resume() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let (of_server, of_client) = (Dir::new(), Dir::new());
    let server = ca.context(&of_server, &["dns=example.com"], ask(ClientAuth::Required));
    let client = ca.context(&of_client, &["dns=phone.example"], |_| {});
    connect(&client, &server);
    assert!(connect(&client, &server).is_resumed());
    // The server trusts another CA: it forgets its tickets, and refuses the client.
    of_server.write("ca.pem", &other.pem());
    server.reload().unwrap();
    assert!(Pair::connect(&client, &server, "example.com").is_err());
    of_server.write("ca.pem", &ca.pem());
    server.reload().unwrap();
    connect(&client, &server);
    // The client trusts another CA: it does not offer what it has.
    of_client.write("ca.pem", &other.pem());
    client.reload().unwrap();
    let refused = Pair::connect(&client, &server, "example.com").unwrap_err();
    assert!(matches!(refused, rustls::Error::InvalidCertificate(_)), "{refused:?}");
}
