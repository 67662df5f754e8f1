//! Makes the pictures of the web page in `docs/pictures`, of a proxy with calls of SIPp through it: `cargo xtask pictures`.

use std::env;
use std::error::Error;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use tests::peers::{Repro, Sipp, browser, loopback};

const TOKEN: &str = "a-token-for-pictures-0123456789";
/// Points of the charts, one each two seconds.
const POINTS: &str = "40";
const LIMIT: Duration = Duration::from_secs(300);

const CONFIG: &str = r#"
domains = ["example.com"]
[[user]]
aor = "alice@example.com"
md5 = "68be1b13e4ad5a5a8ba2cd13da8fdc1b"
[[user]]
aor = "bob@example.com"
md5 = "68be1b13e4ad5a5a8ba2cd13da8fdc1b"
[[trunk]]
name = "carrier"
contacts = ["sip:192.0.2.20", "sip:192.0.2.21"]
prefixes = ["+49"]
[store]
path = "repro.db"
[admin]
listen = "127.0.0.1:0"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("a workspace")?;
    let pictures = root.join("docs/pictures");
    fs::create_dir_all(&pictures)?;
    let folder = env::temp_dir().join(format!("repro-pictures-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let config = folder.join("repro.toml");
    fs::write(&config, format!("{CONFIG}token = \"{TOKEN}\"\n"))?;
    let made = make(&config.display().to_string(), &pictures);
    fs::remove_dir_all(&folder)?;
    for entry in fs::read_dir(&pictures)? {
        let entry = entry?;
        println!("{} has {} octets", entry.path().display(), entry.metadata()?.len());
    }
    made
}

fn make(config: &str, pictures: &Path) -> Result<(), Box<dyn Error>> {
    let repro = Repro::start(&["--config", config, "--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"], 3)?;
    let (http, sip) = (repro.address("http").ok_or("no HTTP")?, repro.address("udp").ok_or("no UDP")?);
    let called = SocketAddr::from((loopback(), 5060));
    let later = Sipp {
        scenario: "uas_call_later.xml",
        local: called,
        remote: None,
        calls: 100_000,
        rate: 10,
        transport: "u1",
        more: &["-d", "1500"],
    };
    let _called = later.start().map_err(|error| format!("{error:?}"))?;
    let phones = UdpSocket::bind("127.0.0.1:0")?;
    phones.set_read_timeout(Some(Duration::from_secs(5)))?;
    for (number, user) in ["alice", "bob", "carol", "dave", "erin", "service"].into_iter().enumerate() {
        register(&phones, sip, (user, number), called)?;
    }
    let calls = Sipp {
        scenario: "uac_call.xml",
        local: SocketAddr::from((loopback(), 5060)),
        remote: Some(sip),
        calls: 100_000,
        rate: 20,
        more: &[],
        ..later
    };
    let _calls = calls.start().map_err(|error| format!("{error:?}"))?;
    let (url, folder) = (format!("http://{http}/"), pictures.display().to_string());
    let script = browser("pictures.js", &[&url, TOKEN, &folder, POINTS]).ok_or("Chromium and Node are needed")??;
    let (status, output) = script.finish(LIMIT).map_err(|late| late.output)?;
    if status.success() { Ok(()) } else { Err(output.into()) }
}

/// Binds a user of the proxy's address to a place.
fn register(
    phones: &UdpSocket,
    proxy: SocketAddr,
    (user, number): (&str, usize),
    place: SocketAddr,
) -> Result<(), Box<dyn Error>> {
    let own = phones.local_addr()?;
    let request = format!(
        "REGISTER sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{user}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{proxy}>;tag={number}\r\nTo: <sip:{user}@{proxy}>\r\nCall-ID: {user}\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:{user}@{place}>\r\nExpires: {}\r\nContent-Length: 0\r\n\r\n",
        3600 - 7 * number
    );
    phones.send_to(request.as_bytes(), proxy)?;
    let mut octets = [0; 2048];
    let length = phones.recv(&mut octets)?;
    let answer = String::from_utf8_lossy(&octets[..length]);
    if answer.starts_with("SIP/2.0 200 ") { Ok(()) } else { Err(answer.into()) }
}
