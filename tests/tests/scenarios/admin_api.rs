//! A running proxy is looked at and changed by its JSON API, and by `repro ctl` on top of it.

use crate::admin::{Answer, TOKEN, ask, options};
use crate::end::signal;
use crate::repro::{ANY_PORT, LIMIT, address};
use crate::store::Site;
use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Output};
use tests::peers::{Repro, repro_binary};

/// A proxy with a store and a token, and its API.
pub(crate) struct Api {
    pub(crate) repro: Repro,
    pub(crate) site: Site,
    pub(crate) http: SocketAddr,
}

const STORE: &str = "[store]\npath = \"repro.db\"\n";

impl Api {
    pub(crate) fn start(name: &str, more: &str) -> Self {
        let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n");
        let site = Site::new(name, &format!("{more}\n{admin}"));
        let config = site.config();
        let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", &config, "--log", "info"]).collect();
        let repro = Repro::start(&args, 3).expect("it starts");
        let http = address(&repro, "http");
        Api { repro, site, http }
    }

    pub(crate) fn sip(&self) -> SocketAddr {
        address(&self.repro, "udp")
    }

    pub(crate) fn raw(&self, method: &str, path: &str, lines: &str, body: &str) -> Answer {
        let lines = format!("Authorization: Bearer {TOKEN}\r\n{lines}");
        ask(self.http, method, &format!("/api/v1{path}"), &lines, body)
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (lines, body) = match body {
            Value::Null => ("", String::new()),
            body => ("Content-Type: application/json\r\n", body.to_string()),
        };
        let answer = self.raw(method, path, lines, &body);
        let json = serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        (answer.status, json)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, json) = self.ask("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    /// Why it was refused: status, field and message.
    pub(crate) fn refused(&self, method: &str, path: &str, body: &Value) -> (u16, String, String) {
        let (status, json) = self.ask(method, path, body);
        let error = &json["error"];
        assert!(status >= 400 && error["status"] == status, "{method} {path}: {status} {json}");
        (status, error["field"].as_str().unwrap_or_default().to_owned(), error["message"].as_str().unwrap().to_owned())
    }

    /// Runs `repro ctl` with the address and the token in its environment.
    pub(crate) fn ctl(&self, args: &[&str]) -> Output {
        let mut command = Command::new(repro_binary().expect("it can be built"));
        command.arg("ctl").args(["--url", &format!("http://{}", self.http)]).args(args);
        command.env("REPRO_ADMIN__LISTEN", self.http.to_string()).env("REPRO_ADMIN__TOKEN", TOKEN);
        command.output().expect("it runs")
    }

    pub(crate) fn ctl_done(&self, args: &[&str]) -> String {
        let output = self.ctl(args);
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) fn ctl_refused(&self, args: &[&str]) -> String {
        let output = self.ctl(args);
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{args:?}: {said}");
        assert!(said.starts_with("repro: "), "{said}");
        said
    }
}

fn register(proxy: SocketAddr, socket: &UdpSocket, user: &str) {
    let own = socket.local_addr().expect("bound");
    let request = format!(
        "REGISTER sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{user}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{proxy}>;tag=1\r\nTo: <sip:{user}@{proxy}>\r\nCall-ID: {user}\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:{user}@{own}>\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), proxy).expect("loopback");
    assert!(hear(socket).starts_with("SIP/2.0 200 "));
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    socket
}

/// The next message that is no 100.
fn hear(socket: &UdpSocket) -> String {
    let mut octets = [0; 65_536];
    loop {
        let length = socket.recv(&mut octets).expect("a message");
        let text = String::from_utf8_lossy(&octets[..length]).into_owned();
        if !text.starts_with("SIP/2.0 100 ") {
            return text;
        }
    }
}

/// A MESSAGE to a user of the proxy's address.
fn message(from: &UdpSocket, proxy: SocketAddr, user: &str, number: u32) {
    let own = from.local_addr().expect("bound");
    let request = format!(
        "MESSAGE sip:{user}@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKm{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@{own}>;tag=1\r\nTo: <sip:{user}@{proxy}>\r\nCall-ID: m{number}\r\nCSeq: 1 MESSAGE\r\n\
         Content-Length: 0\r\n\r\n"
    );
    from.send_to(request.as_bytes(), proxy).expect("loopback");
}

#[test]
fn records_are_written_and_in_use_at_once() {
    let api = Api::start("api-records", &format!("{STORE}[[domain]]\nname = \"fixed.example\"\n"));
    let (caller, gate, host) = (socket(), socket(), api.sip().ip());
    message(&caller, api.sip(), "gate", 1);
    assert!(hear(&caller).starts_with("SIP/2.0 404 "));
    let contact = format!("sip:{}", gate.local_addr().expect("bound"));
    let record = json!({"aor": format!("gate@{host}"), "contact": contact});
    let (status, made) = api.ask("POST", "/static_registrations", &record);
    assert_eq!((status, &made["place"]), (201, &json!("store")), "{made}");
    message(&caller, api.sip(), "gate", 2);
    assert!(hear(&gate).starts_with("MESSAGE "));
    // Once more is a conflict, PUT is not.
    let (status, _, said) = api.refused("POST", "/static_registrations", &record);
    assert!(status == 409 && said.contains("is there already"), "{said}");
    let key = made["key"].as_str().expect("a key");
    let path = format!("/static_registrations/{}", key.replace('@', "%40").replace(' ', "%20"));
    let other = json!({"aor": format!("gate@{host}"), "contact": contact, "q": 0.5});
    assert_eq!(api.ask("PUT", &path, &other).0, 200);
    assert_eq!(api.get(&path)["record"]["q"], 0.5);
    assert_eq!(api.ask("DELETE", &path, &Value::Null).0, 200);
    assert_eq!(api.refused("DELETE", &path, &Value::Null).0, 404);
    message(&caller, api.sip(), "gate", 3);
    assert!(hear(&caller).starts_with("SIP/2.0 404 "));
    // What stands in the file is changed there.
    let domains = api.get("/domains");
    assert_eq!((&domains["total"], &domains["items"][0]["key"]), (&json!(1), &json!("fixed.example")));
    let (status, _, said) = api.refused("DELETE", "/domains/fixed.example", &Value::Null);
    assert!(status == 409 && said.contains("repro.toml:3") && said.contains("reload"), "{said}");
    let (status, _, said) = api.refused("PUT", "/domains", &json!({"name": "fixed.example", "realm": "x"}));
    assert!(status == 409 && said.contains("repro.toml:3"), "{said}");
}

#[test]
fn wrong_requests_are_refused_with_the_field() {
    let api = Api::start("api-wrong", STORE);
    for (method, path, body, status, field) in [
        ("POST", "/trunks", json!({"name": "x", "contacts": []}), 422, "contacts"),
        ("POST", "/trunks", json!({"name": "x", "contacts": ["tel:+1"]}), 422, "contacts[0]"),
        ("POST", "/users", json!({"aor": "nobody"}), 422, "aor"),
        ("POST", "/users", json!({"aor": "a@h", "password": 7}), 422, "password"),
        ("POST", "/users", json!({"aor": "a@h", "md5": "s3cret"}), 422, "md5"),
        ("PUT", "/users/b%40h", json!({"aor": "a@h"}), 422, ""),
        ("POST", "/peers", json!({"name": "p", "networks": ["10.0.0.0/8"], "trunks": ["none"]}), 422, "trunks"),
        ("POST", "/bans", json!({"address": "here", "seconds": 1}), 400, "address"),
        ("POST", "/bans", json!({"address": "192.0.2.1", "seconds": 0}), 422, "seconds"),
        ("PUT", "/log", json!({"filter": "repro=loud"}), 422, "filter"),
        ("GET", "/users?limit=0", Value::Null, 400, "limit"),
        ("GET", "/users?page=2", Value::Null, 400, "page"),
        ("DELETE", "/bans/192.0.2.1", Value::Null, 404, ""),
        ("PUT", "/trunks/none/service", json!({"in_service": true}), 404, ""),
        ("GET", "/registrations/nobody%40h", Value::Null, 404, ""),
        ("GET", "/nothing", Value::Null, 404, ""),
        ("DELETE", "/users", Value::Null, 405, ""),
    ] {
        let (got, said, message) = api.refused(method, path, &body);
        assert_eq!((got, &*said), (status, field), "{method} {path} {body}: {message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
    let json = "Content-Type: application/json\r\n";
    assert_eq!(api.raw("POST", "/users", "", "{\"aor\": \"a@h\"}").status, 415);
    assert_eq!(api.raw("POST", "/users", "Content-Type: text/plain\r\n", "{\"aor\": \"a@h\"}").status, 415);
    assert_eq!(api.raw("POST", "/users", json, "{").status, 400);
    assert_eq!(api.raw("POST", "/users", json, &" ".repeat((1 << 20) + 1)).status, 413);
    assert_eq!(api.raw("POST", "/drain", "Origin: http://evil.example\r\n", "").status, 403);
    assert_eq!(ask(api.http, "POST", "/api/v1/drain", "", "").status, 401);
    assert_eq!(api.get("/users")["total"], 0, "nothing has come of it");
    options(api.sip());
}

#[test]
fn hashes_are_written_and_never_shown() {
    let api = Api::start("api-secrets", STORE);
    let user = json!({"aor": "alice@example.com", "password": "wonderland"});
    let (status, shown) = api.ask("PUT", "/users/alice%40example.com", &user);
    let all = json!(["md5", "sha256", "sha512_256"]);
    assert_eq!((status, &shown["credentials"], &shown["record"]), (201, &all, &json!({"aor": "alice@example.com"})));
    let body = || {
        let db = rusqlite::Connection::open(api.site.path("repro.db")).expect("a database");
        db.query_row("SELECT body FROM provisioning", [], |row| row.get::<_, String>(0)).expect("a record")
    };
    let kept: Value = serde_json::from_str(&body()).expect("JSON");
    let hash = kept["md5"].as_str().expect("a hash").to_owned();
    // Who says nothing of them keeps them; another realm wants the password.
    let forward = json!({"aor": "alice@example.com", "voicemail": "sip:vm@example.com"});
    assert_eq!(api.ask("PUT", "/users", &forward).1["credentials"], all);
    assert!(body().contains(&hash) && body().contains("voicemail"));
    let (status, field, _) = api.refused("PUT", "/users", &json!({"aor": "alice@example.com", "realm": "other"}));
    assert_eq!((status, &*field), (422, "realm"));
    for text in [api.raw("GET", "/users", "", "").body, api.raw("GET", "/users/alice%40example.com", "", "").body] {
        assert!(!text.contains(&hash) && !text.contains("wonderland") && text.contains("alice@example.com"), "{text}");
    }
    // They are not searched either.
    assert_eq!(api.get(&format!("/users?search={}", &hash[..4]))["items"], json!([]));
    let mut repro = api.repro;
    let output = repro.process().output();
    assert!(!output.contains("wonderland") && !output.contains(&hash) && !output.contains(TOKEN), "{output}");
}

#[test]
fn without_a_store_records_are_only_shown() {
    let api = Api::start("api-file", "[[trunk]]\nname = \"t\"\ncontacts = [\"sip:192.0.2.1\", \"sip:192.0.2.2\"]\n");
    let (status, _, said) = api.refused("POST", "/domains", &json!({"name": "example.com"}));
    assert!(status == 405 && said.contains("there is no store"), "{said}");
    let answer = api.raw("DELETE", "/domains/x", "", "");
    assert!(answer.status == 405 && answer.head.to_lowercase().contains("allow: get"), "{answer:?}");
    // A trunk is taken out by hand, and stays out over a reload.
    let out = |state: bool| json!({"in_service": state, "contact": "sip:192.0.2.2"});
    assert_eq!(api.ask("PUT", "/trunks/t/service", &out(false)).1["contacts"], 1);
    assert_eq!(api.ask("POST", "/reload", &Value::Null), (200, json!({"reloaded": "1 records"})));
    let contacts = api.get("/trunks/t")["contacts"].clone();
    assert_eq!(contacts[0]["state"], "in_service");
    assert_eq!(
        (&contacts[1]["state"], &contacts[1]["forced_out"]),
        (&json!("out_of_service"), &json!(true)),
        "{contacts}"
    );
    assert_eq!(api.ask("PUT", "/trunks/t/service", &json!({"in_service": true})).0, 200);
    assert_eq!(api.get("/trunks/t")["contacts"][1]["state"], "in_service");
}

#[test]
fn registrations_are_searched_paged_and_removed() {
    let api = Api::start("api-registrations", STORE);
    let phone = socket();
    for user in ["alice", "bob", "carol"] {
        register(api.sip(), &phone, user);
    }
    let first = api.get("/registrations?limit=2");
    assert_eq!((first["items"].as_array().map(Vec::len), &first["total"]), (Some(2), &json!(3)), "{first}");
    let next = first["next"].as_str().expect("another page").replace('@', "%40");
    let rest = api.get(&format!("/registrations?limit=2&after={next}"));
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["next"]), (Some(1), &Value::Null), "{rest}");
    let found = api.get("/registrations?search=bob");
    let (aor, contact) = (&found["items"][0]["aor"], &found["items"][0]["contacts"][0]["contact"]);
    assert_eq!(contact.as_str(), Some(&*format!("sip:bob@{}", phone.local_addr().expect("bound"))), "{found}");
    let path = format!("/registrations/{}", aor.as_str().expect("a name").replace('@', "%40"));
    assert_eq!(api.ask("DELETE", &path, &Value::Null), (200, json!({"removed": 1, "left": 0})));
    assert_eq!(api.refused("GET", &path, &Value::Null).0, 404);
    let caller = socket();
    message(&caller, api.sip(), "bob", 1);
    assert!(hear(&caller).starts_with("SIP/2.0 480 "));
    assert_eq!(api.get("/registrations")["total"], 2);
}

#[test]
fn a_reload_changes_all_or_nothing() {
    let file = "[[domain]]\nname = \"one.example\"\n";
    let mut api = Api::start("api-reload", file);
    let config = std::fs::read_to_string(api.site.config()).expect("a file");
    let write = |api: &Api, text: &str| std::fs::write(api.site.config(), text).expect("a file");
    write(&api, &config.replace("one.example", "two.example"));
    assert_eq!(api.ask("POST", "/reload", &Value::Null), (200, json!({"reloaded": "1 records"})));
    assert_eq!(api.get("/domains")["items"][0]["key"], "two.example");
    // What is used from the next start on is named, again and again.
    write(
        &api,
        &format!("drain_seconds = 77\n{}\n[forking]\nstep_seconds = 3\n", config.replace("one.example", "two.example")),
    );
    for _ in 0..2 {
        let told = "1 records; not before a restart: drain_seconds, forking";
        assert_eq!(api.ask("POST", "/reload", &Value::Null), (200, json!({"reloaded": told})));
    }
    // What is wrong by itself, and what does not go together.
    for (wrong, said) in [
        ("[[domain]]\nname = 7\n", "repro.toml:2: domain name: "),
        ("[[domain]]\nname = \"x.example\"\n[[domain]]\nname = \"x.example\"\n", "is also in "),
    ] {
        write(&api, &config.replace(file, wrong));
        let (status, _, message) = api.refused("POST", "/reload", &Value::Null);
        assert!(status == 409 && message.contains(said), "{message}");
        assert_eq!(api.get("/domains")["items"][0]["key"], "two.example");
    }
    // By signal it is the same.
    write(&api, &config);
    signal(api.repro.process(), "HUP");
    let told = |line: &str| line.contains("put together anew").then_some(());
    // Three before by the API.
    (0..4).for_each(|_| api.repro.process().wait_for(LIMIT, told).expect("it says so"));
    assert_eq!(api.get("/domains")["items"][0]["key"], "one.example");
}

#[test]
fn the_log_is_changed_while_it_is_written_and_a_drain_ends_it() {
    let mut api = Api::start("api-log", "");
    assert_eq!(api.get("/log"), json!({"filter": "info"}));
    assert_eq!(api.ask("PUT", "/log", &json!({"filter": "info,repro=trace"})).0, 200);
    options(api.sip());
    api.repro.process().wait_for(LIMIT, |line| line.contains("request ends here").then_some(())).expect("a trace");
    assert_eq!(api.ask("POST", "/drain", &Value::Null).0, 202);
    let (status, output) = api.repro.into_process().finish(LIMIT).expect("it ends");
    assert!(status.success() && output.contains("all transactions have ended"), "{output}");
}

#[test]
fn the_command_line_does_the_same() {
    let api = Api::start("api-ctl", STORE);
    let status: Value = serde_json::from_str(&api.ctl_done(&["status", "--json"])).expect("JSON");
    assert_eq!((&status["ready"], &status["store"]["writable"]), (&json!(true), &json!(true)));
    assert!(api.ctl_done(&["status"]).lines().any(|line| line.split_whitespace().eq(["ready", "true"])));
    let user = "{\"aor\": \"alice@example.com\", \"password\": \"wonderland\"}";
    assert!(api.ctl_done(&["set", "user", user]).contains("alice@example.com"));
    let list = api.ctl_done(&["list", "user"]);
    assert!(list.starts_with("KEY ") && list.contains("alice@example.com  store  "), "{list}");
    let said = api.ctl_refused(&["set", "trunk", "{\"name\": \"x\", \"contacts\": []}"]);
    assert!(said.contains("contacts") && said.contains("expected 1 to 16"), "{said}");
    api.ctl_done(&["set", "trunk", "{\"name\": \"x\", \"contacts\": [\"sip:192.0.2.1\"]}"]);
    api.ctl_done(&["trunks", "--out", "x"]);
    let trunks = api.ctl_done(&["trunks"]);
    assert!(trunks.contains("out_of_service") && trunks.contains("by hand"), "{trunks}");
    api.ctl_done(&["ban", "203.0.113.9", "--seconds", "60"]);
    assert!(api.ctl_done(&["bans"]).contains("203.0.113.9"));
    assert_eq!(api.ctl_refused(&["ban", "203.0.113"]).trim(), "repro: 203.0.113: expected an IP address");
    api.ctl_done(&["unban", "203.0.113.9"]);
    register(api.sip(), &socket(), "bob");
    let registered = api.ctl_done(&["registrations", "bob"]);
    assert!(registered.starts_with("ADDRESS-OF-RECORD") && registered.contains("sip:bob@"), "{registered}");
    api.ctl_done(&["unregister", &format!("bob@{}", api.sip().ip())]);
    assert_eq!(api.ctl_done(&["registrations"]).lines().count(), 1);
    assert!(api.ctl_done(&["reload"]).contains("2 records"));
    assert!(api.ctl_refused(&["remove", "user", "nobody@h"]).contains("there is no user nobody@h"));
    assert_eq!(api.ctl(&["nonsense"]).status.code(), Some(2));
    let nobody = api.ctl(&["status", "--url", "http://127.0.0.1:1"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("is it running"), "{nobody:?}");
    let (own, others) = (format!("listen = \"{}\"\ntoken = \"{TOKEN}\"", api.http), "[registrar]\nmin_expires = \"x\"");
    let with = |text: &str, more: &[&str]| {
        let file = std::env::temp_dir().join(format!("repro-ctl-{}.toml", std::process::id()));
        std::fs::write(&file, text).expect("a file");
        let mut command = Command::new(repro_binary().expect("it can be built"));
        command.arg("--config").arg(&file).args(["ctl", "status"]).args(more);
        let output = command.output().expect("it runs");
        std::fs::remove_file(file).expect("it is there");
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("text"))
    };
    let (code, said) = with(&format!("{others}\n[admin]\n{own}"), &[]);
    assert!(code == Some(0) && said.contains("ready"), "a mistake elsewhere is no matter: {said}");
    let (code, said) = with(&format!("[admin]\n{own}\n[registrar"), &[]);
    assert!(
        code == Some(1) && said.contains(".toml:4: ") && said.contains("without --config, --url http://"),
        "{said}"
    );
    let (code, said) = with(&format!("[admin]\ntoken = \"{TOKEN}\""), &["--url", &format!("http://{}", api.http)]);
    assert!(code == Some(0) && said.contains("ready"), "told where it is, it needs the token alone: {said}");
    api.ctl_done(&["drain"]);
    let (status, output) = api.repro.into_process().finish(LIMIT).expect("it ends");
    assert!(status.success(), "{output}");
}
