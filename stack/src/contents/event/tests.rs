//! The documents of the RFCs, and what is not in them.

use super::*;
use proptest::prelude::*;

/// What is printed reads the same.
fn read<T: EventDocument + PartialEq + std::fmt::Debug>(text: &str) -> T {
    let document = T::parse(text.as_bytes()).unwrap();
    let printed = document.print();
    assert_eq!(T::parse(&printed), Ok(document), "{}", String::from_utf8_lossy(&printed));
    T::parse(&printed).unwrap()
}

#[test]
fn presence_as_in_rfc_3863() {
    let pidf: Pidf = read(
        r#"<?xml version="1.0" encoding="UTF-8"?>
        <impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf" xmlns:local="urn:example-com:pidf-status-type"
            entity="pres:someone@example.com">
          <impp:tuple id="ub93s3">
            <impp:status><impp:basic>open</impp:basic><local:location>home</local:location></impp:status>
            <impp:contact priority="0.8">im:someone@example.com</impp:contact>
            <impp:timestamp>2001-10-27T16:49:29Z</impp:timestamp>
          </impp:tuple>
          <impp:tuple id="x"><impp:status/></impp:tuple>
          <impp:note xml:lang="en">I'll be in Tokyo next week</impp:note>
        </impp:presence>"#,
    );
    assert_eq!((pidf.entity.as_str(), pidf.tuples.len()), ("pres:someone@example.com", 2));
    let tuple = &pidf.tuples[0];
    assert_eq!((tuple.id.as_str(), tuple.basic), ("ub93s3", Some(pidf::Basic::Open)));
    assert_eq!((tuple.status[0].name.as_str(), tuple.status[0].text.as_str()), ("location", "home"));
    assert_eq!(tuple.contact.as_ref().unwrap().priority.as_deref(), Some("0.8"));
    assert_eq!(tuple.timestamp.as_deref(), Some("2001-10-27T16:49:29Z"));
    assert_eq!((pidf.tuples[1].basic, pidf.notes[0].lang.as_deref()), (None, Some("en")));
    assert_eq!(pidf.to_contents().media_type().to_string(), "application/pidf+xml");
}

#[test]
fn dialogs_as_in_rfc_4235() {
    let info: DialogInfo = read(
        r#"<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="1" state="partial"
            entity="sip:alice@example.com">
          <dialog id="as7d900as8" call-id="a84b4c76e66710" local-tag="1928301774" remote-tag="456887766"
              direction="initiator">
            <state event="rejected" code="486">terminated</state>
            <duration>274</duration>
            <local><identity display="Alice">sip:alice@example.com</identity>
              <target uri="sip:alice@pc33.example.com"><param pname="+sip.rendering" pval="yes"/></target></local>
            <remote><identity>sip:bob@example.org</identity></remote>
          </dialog>
        </dialog-info>"#,
    );
    use dialog_info::*;
    assert_eq!((info.version, info.state, info.dialogs.len()), (1, DocumentState::Partial, 1));
    let dialog = &info.dialogs[0];
    assert_eq!((dialog.state, dialog.event, dialog.code), (State::Terminated, Some(Event::Rejected), Some(486)));
    assert_eq!((dialog.direction, dialog.duration), (Some(Direction::Initiator), Some(274)));
    let local = dialog.local.as_ref().unwrap();
    assert_eq!(
        (local.display.as_deref(), local.target.as_deref()),
        (Some("Alice"), Some("sip:alice@pc33.example.com"))
    );
    assert_eq!(dialog.remote.as_ref().unwrap().identity.as_deref(), Some("sip:bob@example.org"));
}

#[test]
fn registrations_as_in_rfc_3680() {
    let info: RegInfo = read(
        r#"<?xml version="1.0"?>
        <reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="full">
          <registration aor="sip:user@example.com" id="as9" state="active">
            <contact id="76" state="active" event="registered" duration-registered="7322" q="0.8" expires="60"
                callid="x@y" cseq="4"><uri>sip:user@pc887.example.com</uri><display-name>User</display-name></contact>
            <contact id="77" state="terminated" event="probation" retry-after="90"><uri>sip:user@old</uri></contact>
          </registration>
        </reginfo>"#,
    );
    let registration = &info.registrations[0];
    assert_eq!((info.version, registration.state), (0, reg_info::RegistrationState::Active));
    let [first, second] = &registration.contacts[..] else { panic!("{registration:?}") };
    assert_eq!((first.active, first.event, first.expires), (true, reg_info::Event::Registered, Some(60)));
    assert_eq!((first.cseq, first.display_name.as_deref()), (Some(4), Some("User")));
    assert_eq!((second.active, second.retry_after, second.uri.as_str()), (false, Some(90), "sip:user@old"));
}

#[test]
fn conferences_as_in_rfc_4575() {
    let info: ConferenceInfo = read(
        r#"<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sips:conf233@example.com"
            state="full" version="1">
          <conference-description><subject>Agenda: This month's goals</subject></conference-description>
          <conference-state><user-count>33</user-count><active>true</active><locked>0</locked></conference-state>
          <users>
            <user entity="sip:bob@example.com" state="partial"><display-text>Bob Hoskins</display-text>
              <endpoint entity="sip:bob@pc33.example.com"><status>on-hold</status><media id="1"/></endpoint></user>
            <user entity="sip:alice@example.com" state="deleted"/>
          </users>
        </conference-info>"#,
    );
    use conference_info::{Change, Status};
    assert_eq!((info.version, info.user_count, info.active, info.locked), (Some(1), Some(33), Some(true), Some(false)));
    assert_eq!(
        (info.state, info.users[0].state, info.users[1].state),
        (Change::Full, Change::Partial, Change::Deleted)
    );
    assert_eq!(info.users[0].display_text.as_deref(), Some("Bob Hoskins"));
    let endpoint = &info.users[0].endpoints[0];
    assert_eq!((endpoint.status, endpoint.extensions[0].name.as_str()), (Some(Status::OnHold), "media"));
    assert_eq!(info.extensions[0].child("subject").unwrap().text, "Agenda: This month's goals");
}

#[test]
fn summaries_as_in_rfc_3842() {
    let summary: MessageSummary = read(
        "Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\nVoice-Message: 2/8 (0/2)\r\n\
         fax-message:99999999999/0\r\n\r\nTo: <alice@atlanta.example.com>\r\nUrgent: normal\r\n",
    );
    assert!(summary.waiting);
    assert_eq!(summary.account.as_deref(), Some("sip:alice@vmail.example.com"));
    let voice = message_summary::MessageCount { all: (2, 8), urgent: Some((0, 2)) };
    assert_eq!(summary.class("voice-message"), Some(voice));
    assert_eq!(summary.class("Fax-Message").map(|count| count.all), Some((u32::MAX, 0)));
    assert!(summary.messages.starts_with("To: "));
    assert_eq!(read::<MessageSummary>("Messages-Waiting: no"), MessageSummary::default());
    let lines = MessageSummary { account: Some("a\r\nMessages-Waiting: yes".into()), ..Default::default() };
    assert!(!MessageSummary::parse(&lines.print()).unwrap().waiting);
}

#[test]
fn what_is_wrong_is_named() {
    use DocumentError::{Missing, Root, Syntax, TooManyElements, Value};
    let pidf = |inner: &str| {
        Pidf::parse(format!("<presence xmlns='urn:ietf:params:xml:ns:pidf' {inner}</presence>").as_bytes()).err()
    };
    assert_eq!(pidf("entity='a'>"), None);
    assert_eq!(pidf(">"), Some(Missing("entity")));
    assert_eq!(pidf("entity='a'><tuple id='x'/>"), Some(Missing("status")));
    assert_eq!(pidf("entity='a'><tuple><status/></tuple>"), Some(Missing("id")));
    assert_eq!(pidf("entity='a'><tuple id='x'><status><basic>ajar</basic></status></tuple>"), Some(Value("basic")));
    assert_eq!(pidf("entity='a'>&lol;"), Some(DocumentError::Entity));
    assert_eq!(Pidf::parse(b"<presence xmlns='urn:other'/>"), Err(Root));
    let dialogs = |inner: &str| {
        DialogInfo::parse(format!("<dialog-info xmlns='urn:ietf:params:xml:ns:dialog-info' {inner}").as_bytes()).err()
    };
    assert_eq!(dialogs("version='-1' state='full' entity='a'/>"), Some(Value("version")));
    assert_eq!(dialogs("version='1' entity='a'/>"), Some(Missing("state")));
    let state = |code: &str| {
        format!(
            "version='1' state='full' entity='a'><dialog id='1'><state code='{code}'>early</state></dialog></dialog-info>"
        )
    };
    assert_eq!((dialogs(&state("180")), dialogs(&state("99999"))), (None, Some(Value("code"))));
    for (text, error) in [
        ("", Missing("Messages-Waiting")),
        ("Voice-Message: 1/1", Missing("Messages-Waiting")),
        ("Messages-Waiting: maybe", Value("Messages-Waiting")),
        ("Messages-Waiting: yes\nMessage-Account: sip:a@b\rc\r\n", Syntax),
        ("Messages-Waiting: yes\nVoice-Message: 1", Value("Message")),
        ("Messages-Waiting: yes\nVoice-Message: 1/1 (1/1", Value("Message")),
        ("Messages-Waiting: yes\nVoice-Message: +1/1", Value("Message")),
        ("hello", Syntax),
    ] {
        assert_eq!(MessageSummary::parse(text.as_bytes()), Err(error), "{text}");
    }
    let many = "Voice-Message: 0/0\n".repeat(xml::MAX_ELEMENTS + 1);
    assert_eq!(MessageSummary::parse(many.as_bytes()), Err(TooManyElements));
    assert_eq!((TooManyElements.status(), Root.status()), (413, 400));
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_read_prints_back(
        text in "(Messages-Waiting: ?yes\r?\n)?([A-Za-z-]{0,8} ?:? ?[0-9/() ]{0,12}\r?\n){0,4}[ -~\r\n]{0,20}",
        root in "(presence|dialog-info|reginfo|conference-info)",
        inner in "(entity|state|version|id)='[a-z0-9]{0,3}' ?>?[<>/a-z='& ]{0,40}",
    ) {
        if let Ok(summary) = MessageSummary::parse(text.as_bytes()) {
            prop_assert_eq!(MessageSummary::parse(&summary.print()), Ok(summary));
        }
        let namespace = if root == "presence" { "pidf" } else { &root };
        let text = format!("<{root} xmlns='urn:ietf:params:xml:ns:{namespace}' {inner}</{root}>");
        let _ = (Pidf::parse(text.as_bytes()), DialogInfo::parse(text.as_bytes()));
        let _ = (RegInfo::parse(text.as_bytes()), ConferenceInfo::parse(text.as_bytes()));
    }
}
