//! JsSIP over WSS, as a browser would have it.

use rcgen::DnType;
use tests::peers::{Repro, jssip};

use crate::repro::{LIMIT, address};
use crate::tls::Site;

/// Two phones register, exchange a MESSAGE, and call each other: one call is ended by the caller, one by the called.
#[test]
fn two_phones_of_browsers() {
    for placement in ["inline", "sharded:2"] {
        let site = Site::new();
        // Under a name of its own: to OpenSSL, who is named as its issuer has issued itself.
        site.issue(&["localhost"], |params| params.distinguished_name.push(DnType::CommonName, "localhost"));
        site.write(
            "repro.toml",
            "domains = [\"phones.example.com\", \"localhost\"]\n[websocket]\npath = \"/phones\"\n[tls]\n\
             [[tls.identities]]\ncertificate = \"own.pem\"\nprivate_key = \"own.key\"\ndomains = [\"localhost\"]\n",
        );
        let arguments = ["--config", &site.config(), "--placement", placement, "--listen", "wss:127.0.0.1:0"];
        let mut repro = Repro::start(&arguments, 1).expect("it starts");
        let url = format!("wss://localhost:{}/phones", address(&repro, "wss").port());
        let Some(node) = jssip("two_phones.js", &[&url, "phones.example.com"], &site.path("ca.pem")) else { return };
        let (status, output) = node.expect("it starts").finish(LIMIT).expect("it ends");
        assert!(status.success(), "{placement}: {output}\n{}", repro.process().output());
        let calls = "call ended by the caller\ncall ended by the called";
        assert!(output.contains(&format!("message delivered\n{calls}\nunregistered")), "{output}");
    }
}
