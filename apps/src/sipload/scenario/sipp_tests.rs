//! SIPp's scenarios in virtual time: what is sent, and how calls end; and what is said of files that are wrong.

use super::driver::Shared;
use super::fields;
use super::machine::Out;
use super::program::{Program, Value};
use super::tests::{Bench, MS, answer, header, lines, sent, sipp};
use super::xml;
use rutil::{Rng, Time};
use stack::message::Message;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

fn message(text: &str) -> String {
    format!(
        "<send><![CDATA[\n\n  {text} sip:[service]@[remote_ip]:[remote_port] SIP/2.0\n  Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
             From: <sip:a@b>;tag=[call_number]\n  To: <sip:x@y>[peer_tag_param]\n  Call-ID: [call_id]\n  CSeq: [cseq] {text}\n  [last_Record-Route:]\n\
             X: [$1]\n  Content-Length: [len]\n\n]]></send>"
    )
}

#[test]
fn sipps_messages_are_sent_as_they_are_written() {
    let search = "<action><ereg regexp=\"o=([[:alnum:]]*).*\" search_in=\"msg\" check_it=\"true\" assign_to=\"2,1\"/>\
                  <log message=\"got [$1]\"/></action>";
    let steps = [
        &message("INVITE"),
        "<recv response=\"100\" optional=\"true\"/><recv response=\"180\" optional=\"true\"/>",
        &format!("<recv response=\"200\" rtd=\"true\" rrs=\"true\">{search}</recv>"),
        &message("ACK"),
        "<pause milliseconds=\"10\"/>",
    ];
    let mut bench = Bench::new(sipp(&steps.concat()).expect("good"));
    let invite = sent(&bench.begin());
    assert_eq!(header(&invite, "Via"), "SIP/2.0/UDP 192.0.2.1:5080;branch=z9hG4bK-run-1-0");
    assert!(
        invite.to_bytes().starts_with(b"INVITE sip:service@192.0.2.9:5060 SIP/2.0\r\n")
            && header(&invite, "Content-Length") == "0"
    );
    // What comes late is taken as well.
    let out = bench.came(answer(&invite));
    assert_eq!(lines(&out), ["NoteAnswer", "Log(\"got alice\")", "ACK sip:service@192.0.2.9:5060 SIP/2.0"]);
    let ack = sent(&out);
    assert_eq!((header(&ack, "X"), header(&ack, "Record-Route")), ("alice".into(), "<sip:p2;lr>|<sip:p1;lr>".into()));
    assert_eq!(header(&ack, "To"), "<sip:x@y>;tag=t");
    assert_eq!(lines(&bench.wait(11 * MS)), ["Succeeded", "Over"]);
}

#[test]
fn sipps_branches_and_arithmetic() {
    let steps = "<nop><action><assign assign_to=\"n\" value=\"1\"/></action></nop><label id=\"again\"/>\
                 <nop next=\"again\" test=\"more\"><action><add assign_to=\"n\" value=\"1\"/>\
                 <test assign_to=\"more\" variable=\"n\" compare=\"less_than\" value=\"5\"/><log message=\"[$n]\"/></action></nop>\
                 <nop><action><assignstr assign_to=\"s\" value=\"x[$n]\"/><strcmp assign_to=\"same\" variable=\"s\" value=\"x5.000000\"/>\
                 <log message=\"[$same]\"/><exec int_cmd=\"stop_call\"/></action></nop><nop><action><log message=\"never\"/></action></nop>";
    let out = Bench::new(sipp(steps).expect("good")).begin();
    let logs = [
        "Log(\"2.000000\")",
        "Log(\"3.000000\")",
        "Log(\"4.000000\")",
        "Log(\"5.000000\")",
        "Log(\"\")",
        "Succeeded",
        "Over",
    ];
    assert_eq!(lines(&out), logs);
}

#[test]
fn a_scenario_that_goes_round_for_ever_fails() {
    let out = Bench::new(sipp("<label id=\"1\"/><nop next=\"1\"/>").expect("good")).begin();
    assert!(lines(&out)[0].contains("steps without a wait"), "{out:?}");
}

#[test]
fn what_is_not_supported_in_xml_is_told_with_line_and_element() {
    for (steps, wanted) in [
        ("<pause/>\n<rtpstream/>", "my.xml:5: <rtpstream> is not supported in <scenario>"),
        ("<pause poolsize=\"3\"/>", "my.xml:4: <pause>: attribute poolsize is not supported"),
        ("<nop><action><setdest host=\"::1\"/></action></nop>", "my.xml:4: <setdest>: port is missing"),
        ("<nop><action><gettimeofday assign_to=\"a\"/></action></nop>", "assign_to=\"a\": expected two variables"),
        ("<nop><action><verifyauth assign_to=\"x\"/></action></nop>", "<verifyauth>: username is missing"),
        ("<init><nop/>\n<pause/></init>", "my.xml:5: <pause> is not supported in <init>"),
        ("<init><nop next=\"x\"/></init><label id=\"x\"/><nop/>", "label \"x\" is nowhere"),
        ("<init><nop/></init>", "it has no steps"),
        (
            "<nop><action><exec play_pcap_audio=\"x\"/></action></nop>",
            "<exec>: attribute play_pcap_audio is not supported",
        ),
        ("<recv response=\"99\"/>", "<recv> response=\"99\": expected a status code"),
        ("<recv/>", "expected one of response and request"),
        ("<recv request=\"BYE\" optional=\"yes\"/>", "optional=\"yes\": expected true, false or global"),
        ("<recv response=\"200\" response_txn=\"x\"/>", "response_txn=\"x\": expected the name of a <send start_txn"),
        ("<nop condexec_inverse=\"true\"/>", "condexec_inverse without condexec"),
        ("<User variables=\"x\"/>", "<User> is not supported in <scenario>"),
        ("<send next=\"7\"><![CDATA[ACK x]]></send>", "label \"7\" is nowhere"),
        ("<send><![CDATA[\nACK x\nX: [tdmmap]\n]]></send>", "[tdmmap]: not supported"),
        ("<pause distribution=\"gamma\" k=\"1\"/>", "distribution=\"gamma\": expected fixed"),
        ("<pause>", "my.xml:"),
        ("<nop><action><ereg regexp=\"(\" assign_to=\"1\"/></action></nop>", "a regular expression"),
    ] {
        let said = sipp(steps).expect_err(steps).to_string();
        assert!(said.starts_with("my.xml:") && said.contains(wanted), "{steps}: {said}");
    }
}

#[test]
fn pauses_are_as_long_as_their_distributions_say() {
    let mean = |attributes: &str| {
        let program = sipp(&format!("<pause {attributes}/>")).expect("good");
        let total: f64 = (0..2000)
            .map(|seed| {
                let mut bench = Bench::new(program.clone());
                bench.rng = Rng::from_seed(seed);
                bench.begin();
                bench.call.deadline().map_or(0.0, |at| at.since(Time::ZERO).as_secs_f64() * 1000.0)
            })
            .sum();
        total / 2000.0
    };
    for (attributes, wanted) in [
        ("milliseconds=\"50\"", 50.0),
        ("distribution=\"uniform\" min=\"20\" max=\"60\"", 40.0),
        ("distribution=\"exponential\" mean=\"30\"", 30.0),
        ("distribution=\"normal\" mean=\"80\" stdev=\"5\"", 80.0),
        ("distribution=\"weibull\" lambda=\"40\" k=\"1\"", 40.0),
    ] {
        let mean = mean(attributes);
        assert!((mean - wanted).abs() < wanted * 0.1, "{attributes}: {mean}");
    }
}

#[test]
fn steps_are_for_calls_whose_variable_is_set() {
    let steps = |value: &str| {
        format!(
            "<nop><action><assignstr assign_to=\"x\" value=\"{value}\"/>\
             <test assign_to=\"is\" variable=\"x\" compare=\"equal\" value=\"1\"/></action></nop>\
             <nop condexec=\"is\"><action><log message=\"is\"/></action></nop>\
             <nop condexec=\"is\" condexec_inverse=\"true\"><action><log message=\"is not\"/></action></nop>\
             <recv response=\"200\" condexec=\"is\"/><nop><action><log message=\"on\"/></action></nop>"
        )
    };
    let run = |value: &str| lines(&Bench::new(sipp(&steps(value)).expect("good")).begin());
    assert_eq!(run("1"), ["Log(\"is\")"], "it waits for the 200");
    assert_eq!(run("2"), ["Log(\"is not\")", "Log(\"on\")", "Succeeded", "Over"]);
}

#[test]
fn what_may_come_at_any_time_changes_nothing_but_by_its_own_next() {
    let steps = [
        &message("OPTIONS"),
        "<recv request=\"NOTIFY\" optional=\"global\"><action><log message=\"told\"/></action></recv>",
        "<recv response=\"200\"/><pause milliseconds=\"10\"/>",
        &message("MESSAGE"),
        "<recv response=\"200\"/>",
    ];
    let mut bench = Bench::new(sipp(&steps.concat()).expect("good"));
    let notify = |bench: &mut Bench, cseq: u32| {
        let text = format!(
            "NOTIFY sip:b@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{cseq}\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@y>\r\nCall-ID: 1-run@192.0.2.1\r\nCSeq: {cseq} NOTIFY\r\n\r\n"
        );
        lines(&bench.came(stack::message::Message::parse(text.into_bytes()).expect("well formed")))
    };
    let options = sent(&bench.begin());
    assert_eq!(notify(&mut bench, 1), ["Log(\"told\")"]);
    assert_eq!(lines(&bench.came(options.make_response(200, None, None))), ["NoteAnswer"]);
    assert_eq!(notify(&mut bench, 2), ["Log(\"told\")"], "in a pause");
    let message = sent(&bench.wait(11 * MS));
    assert_eq!(notify(&mut bench, 3), ["Log(\"told\")"]);
    assert_eq!(lines(&bench.came(message.make_response(200, None, None))), ["Succeeded", "Over"]);
}

#[test]
fn responses_belong_to_transactions_by_name() {
    let of = |name: &str, text: &str| message(text).replace("<send>", &format!("<send start_txn=\"{name}\">"));
    let steps = [
        &of("one", "OPTIONS"),
        &of("two", "OPTIONS"),
        "<recv response=\"200\" response_txn=\"two\"/><recv response=\"200\" response_txn=\"one\"/>",
    ];
    let out = Bench::new(sipp(&steps.concat()).expect("good")).begin();
    assert_eq!(out.len(), 2);
    let requests: Vec<_> = out.iter().map(|out| sent(std::slice::from_ref(out))).collect();
    for (order, good) in [([1, 0], true), ([0, 1], false)] {
        let mut bench = Bench::new(sipp(&steps.concat()).expect("good"));
        bench.begin();
        let out: Vec<_> =
            order.iter().flat_map(|at| bench.came(requests[*at].make_response(200, None, None))).collect();
        assert_eq!(lines(&out).contains(&"Succeeded".to_owned()), good, "{out:?}");
    }
}

#[test]
fn fields_are_of_the_calls_line_of_any_file_or_of_another_line() {
    let folder = std::env::temp_dir().join(format!("sipload-fields-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a directory");
    let written = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let files = [
        written("one.csv", "SEQUENTIAL\n# nobody\nalice;1\nbob;2\n"),
        written("two.csv", "RANDOM\nred;x\ngreen;y\nblue;z\n"),
    ];
    let logged = |text: &str, files: &[PathBuf]| {
        let steps = format!(
            "<nop><action><lookup assign_to=\"n\" file=\"two.csv\" key=\"blue\"/><log message=\"{text}\"/></action></nop>"
        );
        let mut program = sipp(&steps).expect("good");
        let fields = fields::read_all(files, &mut program).map_err(|error| error.to_string())?;
        let mut bench = Bench::new(program);
        bench.call.lines = fields.iter().map(|table| table.line_of(1, &mut bench.rng)).collect();
        bench.setup.fields = fields;
        Ok::<_, String>(lines(&bench.begin()).remove(0))
    };
    assert_eq!(logged("[field0] [field1 file=one.csv]", &files).as_deref(), Ok("Log(\"bob 2\")"));
    assert_eq!(logged("[$n] [field1 file=two.csv line=[$n]]", &files).as_deref(), Ok("Log(\"2.000000 z\")"));
    let colour = logged("[field0 file=two.csv]", &files).expect("one of them");
    assert!(["red", "green", "blue"].iter().any(|one| colour.contains(one)), "{colour}");
    let error = logged("", &files[..1]).expect_err("it is missing");
    assert!(error.contains("file=\"two.csv\": expected --fields two.csv"), "{error}");
    let mut program = sipp("<nop><action><log message=\"[field0]\"/></action></nop>").expect("good");
    let error = fields::read_all(&[], &mut program).expect_err("there are none").to_string();
    assert!(error.contains("[field…]: expected --fields FILE"), "{error}");
    for (text, wanted) in [
        ("USER\na;b\n", "bad.csv:1: \"USER\": expected SEQUENTIAL or RANDOM"),
        ("", "bad.csv:1: expected"),
        ("SEQUENTIAL\n\n[field0]\n", "bad.csv:3: a field may not name another"),
        ("RANDOM\n", "expected lines of fields"),
    ] {
        let error = fields::read_all(&[written("bad.csv", text)], &mut Program::default()).expect_err("it is wrong");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    std::fs::remove_dir_all(&folder).expect("it was made here");
}

#[test]
fn with_another_hop_the_target_stands_for_itself() {
    let mut bench = Bench::new(sipp(&message("OPTIONS")).expect("good"));
    bench.setup.remote = Some(("example.com".to_owned(), 5070));
    let options = sent(&bench.begin());
    assert!(options.to_bytes().starts_with(b"OPTIONS sip:service@example.com:5070 SIP/2.0\r\n"));
}

/// The example of SIPp's documentation.
#[test]
fn what_is_done_once_gives_variables_of_all_calls_their_values() {
    let init = "<Global variables=\"THINKTIME\"/><init><nop><action>\
                <strcmp assign_to=\"empty\" variable=\"THINKTIME\" value=\"\"/>\
                <test assign_to=\"empty\" compare=\"equal\" variable=\"empty\" value=\"0\"/></action></nop>\
                <nop next=\"on\"/><nop><action><log message=\"passed over\"/></action></nop><label id=\"on\"/>\
                <nop condexec=\"empty\"><action><assignstr assign_to=\"THINKTIME\" value=\"1\"/>\
                <log message=\"set\"/></action></nop></init><label id=\"on\"/><nop next=\"on\" test=\"never\"/>";
    let mut bench = Bench::new(sipp(init).expect("good"));
    let steps = bench.setup.program.steps.len();
    let logs = std::cell::RefCell::new(Vec::new());
    let shared = Shared::of(&mut bench.setup, &mut bench.rng, |text| logs.borrow_mut().push(text)).expect("it is done");
    assert_eq!((shared.values(), logs.into_inner()), (vec![Value::Text("1".into())], vec!["set".to_owned()]));
    assert_eq!(bench.setup.program.steps.len(), steps);
    let failing = init.replace(
        "<log message=\"set\"/>",
        "<ereg regexp=\"x\" search_in=\"var\" variable=\"THINKTIME\" check_it=\"true\"/>",
    );
    let mut bench = Bench::new(sipp(&failing).expect("good"));
    let failed = Shared::of(&mut bench.setup, &mut bench.rng, drop).err().expect("it fails");
    assert_eq!(failed.to_string(), "my.xml:4: \"x\" is not there");
}

#[test]
fn attributes_have_backslashes_as_sipp_reads_them() {
    let steps = "<!-- \"\\\" --><nop><action><assignstr assign_to=\"v\" value=\"a \\\"b\\\" > c\\\\d\\te\\q\"/>\
                 <ereg regexp=\"\\\"([^\\\"]*)\\\"\" search_in=\"var\" variable=\"v\" assign_to=\"all,b\"/>\
                 <log message=\"[$v] [$b]\"/></action></nop>\n<pause poolsize=\"\\\"3\"/>";
    let error = sipp(steps).expect_err("it is wrong").to_string();
    assert_eq!(error, "my.xml:5: <pause>: attribute poolsize is not supported");
    let out = Bench::new(sipp(steps.split('\n').next().unwrap_or_default()).expect("good")).begin();
    assert_eq!(lines(&out)[0], format!("{:?}", Out::Log("a \"b\" > c\\d\te\\q b".into())));
}

#[test]
fn variables_of_all_calls_are_noted_once() {
    let program = sipp("<Global variables=\"a, b,a\"/><nop/>").expect("good");
    let names: Vec<_> = program.globals.iter().map(|var| program.vars[*var].0.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(xml::read("<scenario><Global/></scenario>", "x", &HashMap::new()).is_err());
}

#[test]
fn a_call_goes_where_setdest_says_and_knows_the_time() {
    let steps = "<nop><action><gettimeofday assign_to=\"s, us\"/><assign assign_to=\"port\" value=\"5070\"/>\
                 <log message=\"[$s] [$us]\"/><setdest host=\"192.0.2.33\" port=\"[$port]\" protocol=\"udp\"/></action></nop>";
    let mut bench = Bench::new(sipp(steps).expect("good"));
    bench.now = Time::ZERO + Duration::from_micros(2_000_003);
    let out = lines(&bench.begin());
    assert!(out[0].starts_with("Log(\"1700000002") && out[0].contains(" 3.000000"), "{out:?}");
    assert_eq!(out[1], "Destination(192.0.2.33:5070)");
    for (host, port, protocol, wanted) in [
        ("example.com", "5060", "UDP", "host \"example.com\": expected an IP address"),
        ("2001:db8::1", "5060", "UDP", "the call is from 192.0.2.1"),
        ("192.0.2.33", "0", "UDP", "port \"0\": expected 1 to 65535"),
        ("192.0.2.33", "5060", "TCP", "protocol \"TCP\" for a call over UDP"),
    ] {
        let steps =
            format!("<nop><action><setdest host=\"{host}\" port=\"{port}\" protocol=\"{protocol}\"/></action></nop>");
        let out = lines(&Bench::new(sipp(&steps).expect("good")).begin());
        assert!(out[0].contains("my.xml:4: setdest: ") && out[0].contains(&wanted.replace('"', "\\\"")), "{out:?}");
    }
}

/// What SIPp 3.6.1 logs and sends for the same.
#[test]
fn variables_are_what_they_are_with_sipp() {
    let ereg = |regex: &str, more: &str| format!("<ereg regexp=\"{regex}\" {more}/>");
    let actions = [
        ereg(".*", "search_in=\"hdr\" header=\"Contact:\" assign_to=\"c\""),
        "<log message=\"|[$c]|\"/>".into(),
        ereg("z*(al).*", "search_in=\"body\" assign_to=\"v\""),
        ereg("nowhere", "search_in=\"msg\" assign_to=\"v\""),
        ereg("O=alice", "search_in=\"msg\" case_indep=\"true\" assign_to=\"v\""),
        "<log message=\"|[$v]|\"/><assign assign_to=\"d\" value=\"42.5\"/><divide assign_to=\"d\" variable=\"none\"/>"
            .into(),
        "<todouble assign_to=\"d\" variable=\"c\"/><log message=\"[$d] \\x5bx\\x5D\"/>".into(),
        "<assign assign_to=\"zero\" value=\"0\"/><log message=\"|[$zero]|\"/>".into(),
    ];
    let steps = [
        &message("OPTIONS"),
        &format!("<recv response=\"200\" timeout=\"0\"><action>{}</action></recv>", actions.concat()),
        "<nop condexec=\"zero\"><action><log message=\"zero is set\"/></action></nop>",
        &message("OPTIONS").replace(
            "X: [$1]",
            "[$none]\n[field3]\nX: a [last_None:] b\n[last_None:] c\nY: [last_Request_URI] [server_ip]",
        ),
        "<recv response=\"200\"/>",
    ];
    let mut bench = Bench::new(sipp(&steps.concat()).expect("good"));
    let options = sent(&bench.begin());
    assert!(bench.wait(300 * MS).is_empty(), "a timeout of 0 is none");
    let out = bench.came(answer(&options));
    let logs: Vec<_> = lines(&out).into_iter().filter(|line| line.starts_with("Log")).collect();
    let place = "my.xml:16: ";
    let wanted = [
        "| <sip:there@192.0.2.7:99>|",
        "|alice 1 1 IN IP4 192.0.2.7\r\n|",
        &format!("{place}a division by zero changes nothing"),
        &format!("{place}todouble: what is no number changes nothing"),
        "42.500000 [x]",
        "||",
    ];
    assert_eq!(logs, wanted.map(|text| format!("{:?}", Out::Log(text.into()))));
    let again = sent(&out);
    assert_eq!((header(&again, "X"), header(&again, "Y")), ("a  b".into(), "sip:x@y 192.0.2.1".into()));
    assert!(again.fault().is_none() && header(&again, "Content-Length") == "0");
}

#[test]
fn a_header_that_must_be_there_is_missed() {
    let steps = |check: &str| {
        let search = format!("<ereg regexp=\".*\" search_in=\"hdr\" header=\"X-Gone:\" {check} assign_to=\"x\"/>");
        [&message("OPTIONS"), &format!("<recv response=\"200\"><action>{search}</action></recv>")[..]].concat()
    };
    for (check, good) in [("check_it=\"true\"", false), ("", true)] {
        let mut bench = Bench::new(sipp(&steps(check)).expect("good"));
        let options = sent(&bench.begin());
        let out = lines(&bench.came(answer(&options)));
        assert_eq!(out.contains(&"Succeeded".to_owned()), good, "{check}: {out:?}");
    }
}

#[test]
fn a_request_has_a_higher_number_than_those_that_came() {
    let program = sipp(&["<recv request=\"INVITE\"/>", &message("BYE")].concat()).expect("good");
    for (cseq, wanted) in [("10", Some("11 BYE")), ("4294967295", None)] {
        let mut bench = Bench::new(program.clone());
        bench.begin();
        let text = format!(
            "INVITE sip:b@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@x>\r\nCall-ID: 1-run@192.0.2.1\r\nCSeq: {cseq} INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        let bye = header(&sent(&bench.came(Message::parse(text.into_bytes()).expect("well formed"))), "CSeq");
        assert!(wanted.is_none_or(|wanted| wanted == bye), "{bye}");
    }
}

#[test]
fn an_error_ends_the_call_and_the_run() {
    let steps = "<pause/><nop><action><index assign_to=\"at\"/><error message=\"at [$at]\"/></action></nop>";
    let out = lines(&Bench::new(sipp(steps).expect("good")).begin());
    assert_eq!(out, ["StopAll", "Failed(\"my.xml:4: at 1.000000\")", "Over"]);
}

/// What a scenario's first message says after `nop` has done these actions.
fn written(actions: &str, lines: &str) -> Vec<Out> {
    let steps = format!(
        "<nop><action>{actions}</action></nop>\
         <send><![CDATA[\nMESSAGE sip:x@y SIP/2.0\nCall-ID: [call_id]\nCSeq: 1 MESSAGE\n{lines}\n\n]]></send>"
    );
    let mut bench = Bench::new(sipp(&steps).expect(&steps));
    bench.now = Time::ZERO + 1_500 * MS;
    bench.begin()
}

#[test]
fn what_sipp_has_keywords_for() {
    let file = std::env::temp_dir().join(format!("sipload-body-{}.txt", std::process::id()));
    std::fs::write(&file, "two\r\nlines").expect("written");
    let lines = format!(
        "X: [timestamp]|[sipp_version]|[fill variable=n text=\"ab\"]|[fill variable=none]\nContent-Length: [len]\n\n[file name=\"{}\"]",
        file.display()
    );
    let out = written("<assign assign_to=\"n\" value=\"5\"/>", &lines);
    std::fs::remove_file(&file).expect("removed");
    let message = sent(&out);
    let clock = "2023-11-14\t22:13:21.500000\t1700000001.500000";
    assert_eq!(header(&message, "X"), format!("{clock}|{}|ababa|", env!("CARGO_PKG_VERSION")));
    assert_eq!(message.body(), b"two\r\nlines\r\n");
    for (text, wanted) in [
        ("[fill text=\"x\"]", "my.xml:4: <send>: [fill text=\"x\"]: variable is missing"),
        ("[fill variable=n text=\"\"]", "text is empty"),
        ("[file name=\"/not/there\"]", "/not/there"),
        ("[file name=[field0]]", "a name that differs"),
        ("[file]", "[file]: not supported"),
    ] {
        let said = sipp(&format!("<send><![CDATA[ACK x\nX: {text}\n]]></send>")).expect_err(text).to_string();
        assert!(said.contains(wanted), "{text}: {said}");
    }
}

#[test]
fn texts_are_escaped_and_compared() {
    let text = "a b+c%;=?\u{e4}~-_.";
    let assign = format!("<assignstr assign_to=\"u\" value=\"{text}\"/><urlencode variable=\"u\"/>");
    let out =
        written(&format!("{assign}<log message=\"[$u]\"/><urldecode variable=\"u\"/><log message=\"[$u]\"/>"), "");
    assert_eq!(out[0], Out::Log("a%20b%2Bc%25%3B%3D%3F%C3%A4~-_.".to_owned()));
    assert_eq!(out[1], Out::Log(text.to_owned()));
    let ab = "<assignstr assign_to=\"a\" value=\"x\"/><assignstr assign_to=\"b\" value=\"y\"/>";
    let out =
        written(&format!("{ab}<strcmp assign_to=\"c\" variable=\"a\" variable2=\"b\"/><log message=\"[$c]\"/>"), "");
    assert_eq!(out[0], Out::Log("-1.000000".to_owned()));
}

#[test]
fn a_call_fails_where_a_test_does_not_hold_that_must() {
    let set = "<assign assign_to=\"n\" value=\"5\"/><assignstr assign_to=\"a\" value=\"x\"/>";
    for (test, fails) in [
        ("<test assign_to=\"c\" variable=\"n\" compare=\"equal\" value=\"4\" check_it=\"true\"/>", true),
        ("<test assign_to=\"c\" variable=\"n\" compare=\"equal\" value=\"5\" check_it=\"true\"/>", false),
        ("<test assign_to=\"c\" variable=\"n\" compare=\"equal\" value=\"5\" check_it_inverse=\"true\"/>", true),
        ("<strcmp assign_to=\"c\" variable=\"a\" value=\"y\" check_it=\"true\"/>", true),
        ("<strcmp assign_to=\"c\" variable=\"a\" value=\"x\" check_it=\"true\"/>", false),
        ("<strcmp assign_to=\"c\" variable=\"a\" value=\"x\" check_it_inverse=\"true\"/>", true),
    ] {
        let out = written(&format!("{set}{test}"), "");
        assert_eq!(matches!(&out[0], Out::Failed(why) if why.starts_with("my.xml:4: ")), fails, "{test}: {out:?}");
    }
}

#[test]
fn a_call_id_with_something_before_it_is_the_calls_own() {
    let program = |line: &str| sipp(&format!("<send><![CDATA[ACK x\nCall-ID: {line}\n]]></send>")).expect(line);
    assert!(program("abc///[call_id]").prefixed && !program("abc-[call_id]").prefixed);
}
