//! Scenarios in virtual time: what is sent, and how calls end; and what is said of files that are wrong.

use super::call::Call;
use super::machine::{Event, Machine, Out, Setup};
use super::program::Program;
use super::{ScenarioError, document, own, xml};
use rutil::{Rng, Time};
use stack::message::Message;
use stack::transport::TransportType;
use std::collections::HashMap;
use std::time::Duration;

pub(super) const MS: Duration = Duration::from_millis(1);

fn toml(text: &str) -> Result<Program, ScenarioError> {
    own::read(text, "my.toml", &HashMap::new()).map_err(|wrong| wrong.of("my.toml", text))
}

pub(super) fn sipp(steps: &str) -> Result<Program, ScenarioError> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n<scenario name=\"x\">\n{steps}\n</scenario>"
    );
    let text = document::unescaped(&text);
    xml::read(&text, "my.xml", &HashMap::new()).map_err(|wrong| wrong.of("my.xml", &text))
}

/// One call of a scenario.
pub(super) struct Bench {
    pub(super) setup: Setup,
    pub(super) call: Call,
    pub(super) rng: Rng,
    pub(super) now: Time,
}

impl Bench {
    pub(super) fn new(program: Program) -> Self {
        let setup = Setup {
            service: "service".into(),
            target: "sip:service@192.0.2.9".into(),
            kind: TransportType::Udp,
            run: "run".into(),
            pid: 1,
            hold: Duration::ZERO,
            users: Some(
                super::super::users::Users::pattern("bob@example.com", Some("secret".into())).expect("well formed"),
            ),
            fields: Vec::new(),
            remote: None,
            epoch: Duration::from_secs(1_700_000_000),
            program,
        };
        let at = |text: &str| text.parse().expect("an address");
        let vars = setup.program.vars.iter().map(|(_, value)| value.clone()).collect();
        let call = Call::new(0, "1-run@192.0.2.1".into(), (at("192.0.2.1:5080"), at("192.0.2.9:5060")), vars);
        Bench { setup, call, rng: Rng::from_seed(1), now: Time::ZERO }
    }

    pub(super) fn event(&mut self, event: Event) -> Vec<Out> {
        let mut out = Vec::new();
        let Bench { setup, call, rng, now } = self;
        Machine { setup, call, now: *now, rng, out: &mut out }.happens(event);
        out
    }

    pub(super) fn begin(&mut self) -> Vec<Out> {
        self.event(Event::Begin)
    }

    pub(super) fn came(&mut self, message: Message) -> Vec<Out> {
        // As it is on the wire.
        let message = Message::parse(message.to_bytes()).expect("well formed");
        self.event(Event::Message(Box::new(message)))
    }

    pub(super) fn wait(&mut self, time: Duration) -> Vec<Out> {
        self.now += time;
        self.event(Event::Time)
    }
}

/// What was sent, each as its first line; other things by their names.
pub(super) fn lines(out: &[Out]) -> Vec<String> {
    out.iter()
        .map(|out| match out {
            Out::Send(octets) | Out::Again(octets) => {
                let again = if matches!(out, Out::Again(_)) { "again " } else { "" };
                again.to_owned() + String::from_utf8_lossy(octets).lines().next().unwrap_or_default()
            }
            other => format!("{other:?}"),
        })
        .collect()
}

pub(super) fn sent(out: &[Out]) -> Message {
    let octets = out.iter().rev().find_map(|out| if let Out::Send(octets) = out { Some(octets.clone()) } else { None });
    Message::parse(octets.expect("something was sent")).expect("well formed")
}

pub(super) fn header(message: &Message, name: &str) -> String {
    message.raw_values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>().join("|")
}

const CALL: &str = "[[step]]\nsend = \"INVITE\"\nsdp = true\nheaders = { Subject = \"tea\", Contact = false }\n\
                    [[step]]\nexpect = 200\noptional = [100, 180]\n\
                    capture = { origin = { body = true, regex = \"o=(\\\\S+)\" } }\n\
                    [[step]]\nsend = \"ACK\"\n[[step]]\npause = \"1s\"\n[[step]]\nsend = \"BYE\"\n[[step]]\nexpect = 200\n";

pub(super) fn answer(invite: &Message) -> Message {
    let mut answer = invite.make_response(200, None, Some("t"));
    answer.append_line("Record-Route", "<sip:p2;lr>");
    answer.append_line("Record-Route", "<sip:p1;lr>");
    answer.append_line("Contact", "<sip:there@192.0.2.7:99>");
    answer.set_body(Some("application/sdp"), "v=0\r\no=alice 1 1 IN IP4 192.0.2.7\r\n");
    answer
}

#[test]
fn the_dialog_says_what_the_writer_does_not() {
    let mut bench = Bench::new(toml(CALL).expect("good"));
    let invite = sent(&bench.begin());
    assert_eq!((header(&invite, "Subject"), header(&invite, "Contact")), ("tea".into(), String::new()));
    assert!(invite.fault().is_none() && invite.body().starts_with(b"v=0\r\n"));
    assert_eq!(header(&invite, "Content-Length"), invite.body().len().to_string());
    assert_eq!(header(&invite, "From"), "<sip:bob@example.com>;tag=1-run");
    assert!(bench.came(invite.make_response(100, None, None)).is_empty());
    bench.now = Time::ZERO + 20 * MS;
    assert_eq!(lines(&bench.came(invite.make_response(180, None, Some("t")))), ["NoteRinging"]);
    let out = bench.came(answer(&invite));
    assert_eq!(lines(&out), ["NoteAnswer", "ACK sip:there@192.0.2.7:99 SIP/2.0"]);
    let ack = sent(&out);
    assert_eq!((header(&ack, "Route"), header(&ack, "CSeq")), ("<sip:p1;lr>,<sip:p2;lr>".into(), "1 ACK".into()));
    assert_eq!(header(&ack, "To"), "<sip:service@192.0.2.9>;tag=t");
    assert_ne!(header(&ack, "Via"), header(&invite, "Via"));
    let origin = bench.setup.program.vars.iter().position(|(name, _)| name == "origin").expect("it is there");
    assert_eq!(bench.call.vars[origin].text(), "alice");
    // The answer comes again: so does the ACK.
    assert_eq!(lines(&bench.came(answer(&invite))), ["Absorbed", "again ACK sip:there@192.0.2.7:99 SIP/2.0"]);
    assert!(bench.wait(500 * MS).is_empty());
    let out = bench.wait(501 * MS);
    assert_eq!(
        (lines(&out).join(" "), header(&sent(&out), "CSeq")),
        ("BYE sip:there@192.0.2.7:99 SIP/2.0".into(), "2 BYE".into())
    );
    bench.now += 3 * MS;
    let out = bench.came(sent(&out).make_response(200, None, None));
    assert_eq!(lines(&out), ["NoteBye(3ms)", "Succeeded", "Over"]);
}

#[test]
fn what_nobody_answers_is_sent_again_and_given_up() {
    let mut bench =
        Bench::new(toml("[[step]]\nsend = \"OPTIONS\"\n[[step]]\nexpect = 200\ntimeout = \"10m\"\n").expect("good"));
    bench.begin();
    let mut all = Vec::new();
    for _ in 0..4000 {
        all.extend(lines(&bench.wait(10 * MS)));
    }
    assert_eq!(all.iter().filter(|line| line.starts_with("again OPTIONS")).count(), 10);
    assert_eq!(all[10..], ["Failed(\"OPTIONS: no response in time\")", "Over"]);
}

#[test]
fn a_refusal_is_acknowledged_and_told_with_its_place() {
    let mut bench = Bench::new(toml(CALL).expect("good"));
    let invite = sent(&bench.begin());
    let out = bench.came(invite.make_response(486, None, Some("t")));
    let ack = sent(&out);
    assert_eq!((header(&ack, "Via"), header(&ack, "CSeq")), (header(&invite, "Via"), "1 ACK".into()));
    assert_eq!(lines(&out)[1..], ["Failed(\"my.toml:5: INVITE: 486 Busy Here\")", "Over"]);
}

#[test]
fn a_call_branches_on_answers_chances_and_variables() {
    let text = "vars = { tries = 0 }\n\
                [[step]]\nlabel = \"again\"\nsend = \"MESSAGE\"\nbody = \"try {tries}\"\n\
                [[step]]\nexpect = 200\nor = { 480 = \"away\", 4xx = \"refused\" }\n\
                [[step]]\nend = true\n\
                [[step]]\nlabel = \"away\"\ncount = \"tries\"\n\
                [[step]]\ngoto = \"again\"\nif = { variable = \"tries\", less_than = 2 }\n\
                [[step]]\ngoto = \"refused\"\nchance = 0.0\n\
                [[step]]\nfail = \"away after {tries}\"\n\
                [[step]]\nlabel = \"refused\"\nfail = \"refused\"\n";
    let program = toml(text).expect("good");
    let mut bench = Bench::new(program.clone());
    let first = sent(&bench.begin());
    let second = sent(&bench.came(first.make_response(480, None, Some("t"))));
    assert_eq!((second.body(), header(&second, "CSeq")), (&b"try 1\r\n"[..], "2 MESSAGE".into()));
    assert_ne!(header(&second, "Via"), header(&first, "Via"), "each message has a branch of its own");
    let out = bench.came(second.make_response(480, None, Some("t")));
    assert_eq!(lines(&out)[0], "Failed(\"my.toml:20: away after 2\")");
    let mut bench = Bench::new(program.clone());
    let first = sent(&bench.begin());
    assert_eq!(lines(&bench.came(first.make_response(403, None, Some("t"))))[0], "Failed(\"my.toml:22: refused\")");
    let mut bench = Bench::new(program);
    let first = sent(&bench.begin());
    assert_eq!(lines(&bench.came(first.make_response(200, None, Some("t")))), ["NoteAnswer", "Succeeded", "Over"]);
}

#[test]
fn challenges_are_answered_once() {
    let text = "[[step]]\nsend = \"REGISTER\"\nuri = \"sip:example.com\"\n[[step]]\nexpect = 200\nauthenticate = true\n[[step]]\nlog = \"in\"\n";
    let mut bench = Bench::new(toml(text).expect("good"));
    let first = sent(&bench.begin());
    let challenge = |request: &Message| {
        let mut refusal = request.make_response(401, None, Some("t"));
        refusal.append_line("WWW-Authenticate", "Digest realm=\"r\", nonce=\"1\", qop=\"auth\"");
        refusal
    };
    let second = sent(&bench.came(challenge(&first)));
    let auth = second.header(stack::header::h::AUTHORIZATIONS).next().expect("one").expect("well formed");
    let presented = stack::auth::Presented::read(&auth).expect("well formed");
    assert!(presented.is_right(&stack::auth::Secret::password("secret"), "REGISTER", b""));
    assert_eq!((header(&first, "Authorization"), header(&second, "CSeq")), (String::new(), "2 REGISTER".into()));
    let out = bench.came(second.make_response(200, None, Some("t")));
    assert_eq!(lines(&out), ["NoteAnswer", "Log(\"in\")", "Succeeded", "Over"]);
    let mut bench = Bench::new(toml(text).expect("good"));
    let first = sent(&bench.begin());
    let second = sent(&bench.came(challenge(&first)));
    assert!(lines(&bench.came(challenge(&second)))[0].contains("401"));
}

const ANSWER: &str = "[[step]]\nexpect = \"INVITE\"\n[[step]]\nsend = 180\n[[step]]\nsend = 200\nsdp = true\n\
                      [[step]]\nexpect = \"ACK\"\n[[step]]\nexpect = \"BYE\"\n[[step]]\nsend = 200\n";

fn request(method: &str, to_tag: &str) -> Message {
    let text = format!(
        "{method} sip:b@192.0.2.1:5080 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@x>;tag=1\r\nTo: <sip:b@y>{to_tag}\r\nCall-ID: 1-run@192.0.2.1\r\nCSeq: 1 {method}\r\nContact: <sip:a@192.0.2.9>\r\n\r\n"
    );
    Message::parse(text.into_bytes()).expect("well formed")
}

#[test]
fn a_call_is_answered_and_its_200_comes_again_until_the_ack() {
    let program = toml(ANSWER).expect("good");
    assert!(program.is_called());
    let mut bench = Bench::new(program);
    bench.begin();
    let out = bench.came(request("INVITE", ""));
    assert_eq!(lines(&out), ["SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]);
    let ok = sent(&out);
    assert_eq!((header(&ok, "To"), header(&ok, "CSeq")), ("<sip:b@y>;tag=1-run".into(), "1 INVITE".into()));
    assert_eq!(lines(&bench.wait(501 * MS)), ["again SIP/2.0 200 OK"]);
    assert!(bench.came(request("ACK", ";tag=1-run")).is_empty());
    assert!(bench.wait(Duration::from_secs(2)).is_empty());
    assert_eq!(lines(&bench.came(request("BYE", ";tag=1-run"))), ["SIP/2.0 200 OK", "Succeeded"]);
    assert_eq!(lines(&bench.came(request("BYE", ";tag=1-run"))), ["Absorbed", "again SIP/2.0 200 OK"]);
    assert_eq!(lines(&bench.wait(Duration::from_secs(5))), ["Over"]);
}

#[test]
fn a_peer_that_hangs_up_early_is_answered() {
    let mut bench = Bench::new(toml(CALL).expect("good"));
    let invite = sent(&bench.begin());
    bench.came(answer(&invite));
    assert_eq!(lines(&bench.came(request("BYE", ";tag=1-run"))), ["SIP/2.0 200 OK", "HungUp", "Over"]);
}

#[test]
fn the_end_of_the_run_leaves_nothing_behind() {
    let mut bench = Bench::new(toml(CALL).expect("good"));
    let invite = sent(&bench.begin());
    bench.came(answer(&invite));
    let out = bench.event(Event::Stop);
    assert_eq!(lines(&out), ["BYE sip:there@192.0.2.7:99 SIP/2.0", "Stopped", "Over"]);
    let mut bench = Bench::new(toml(CALL).expect("good"));
    let invite = sent(&bench.begin());
    bench.came(invite.make_response(180, None, Some("t")));
    let out = bench.event(Event::Stop);
    assert_eq!(lines(&out)[0], "CANCEL sip:service@192.0.2.9 SIP/2.0");
    assert_eq!(header(&sent(&out), "Via"), header(&invite, "Via"));
}

#[test]
fn what_is_wrong_in_toml_is_told_with_line_and_key() {
    for (text, wanted) in [
        ("", "my.toml:1: step: expected steps"),
        ("[[step]]\nsend = \"invite\"\n", "my.toml:2: step.send: expected a method"),
        ("[[step]]\nsend = 200\n\nbodi = \"x\"\n", "my.toml:4: step.bodi: is not known here"),
        ("[[step]]\nexpect = 99\n", "my.toml:2: step.expect: expected a status"),
        ("[[step]]\nsend = \"BYE\"\nexpect = 200\n", "my.toml:1: step.expect: expected one of"),
        ("[[step]]\npause = 5\n", "my.toml:2: step.pause: expected a time"),
        ("[[step]]\npause = \"5\"\n", "my.toml:2: step.pause: expected a time with its unit"),
        ("[[step]]\ngoto = \"there\"\n", "my.toml:1: step: no step has the label \"there\""),
        ("[[step]]\nsend = \"INVITE\"\nbody = \"{nobody}\"\n", "{nobody}: expected a variable"),
        (
            "[[step]]\nexpect = 200\ncapture = { x = { header = \"To\", regex = \"(\" } }\n",
            "my.toml:3: step.capture.x.regex",
        ),
        ("[[step]]\nexpect = 200\nauthenticate = true\n", "step.authenticate: expected a request"),
        ("[[step]]\nsend = \n", "my.toml:2: "),
    ] {
        let said = toml(text).expect_err(text).to_string();
        assert!(said.contains(wanted), "{text}: {said}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text: String) {
        let _ = (toml(&text), sipp(&text));
    }

    #[test]
    fn no_message_panics(octets: Vec<u8>) {
        let mut bench = Bench::new(toml(CALL).expect("good"));
        bench.begin();
        if let Ok(message) = Message::parse(octets) {
            bench.event(Event::Message(Box::new(message)));
        }
    }
}
