//! Choosing among trunks.

use super::*;

const SECOND: u64 = 1000;

fn records(text: &str) -> Vec<TrunkRecord> {
    #[derive(Deserialize)]
    struct File {
        trunk: Vec<TrunkRecord>,
    }
    let file: File = toml::from_str(text).unwrap();
    file.trunk.iter().for_each(|trunk| trunk.check().unwrap());
    file.trunk
}

fn trunks(text: &str) -> Trunks {
    Trunks::new(records(text).into_iter())
}

fn uris(hops: &Hops) -> Vec<&str> {
    hops.iter().map(|hop| &*hop.uri).collect()
}

const TWO: &str = r#"
[[trunk]]
name = "german"
contacts = ["sip:192.0.2.1", "sip:192.0.2.2:5070;transport=tcp"]
prefixes = ["+49", "+43", "+49"]
replace_prefix = "0"
recovery_timeout = 10
[[trunk]]
name = "berlin"
contacts = ["sips:gw.example.com"]
prefixes = ["+4930"]
emergency = true
oos_check = 20
recovery_timeout = 10
[[trunk]]
name = "others"
contacts = ["sip:192.0.2.3"]
priority = 5
"#;

#[test]
fn the_longest_prefix_decides_and_is_replaced() {
    let trunks = trunks(TWO);
    let choose = |number| trunks.choose(number, 0, Time::ZERO);
    let german = ["sip:040@192.0.2.1;user=phone", "sip:040@192.0.2.2:5070;transport=tcp;user=phone"];
    assert_eq!(uris(&choose("+4940").unwrap()), german);
    assert_eq!(uris(&choose("+493012").unwrap()), ["sips:+493012@gw.example.com;user=phone"]);
    assert_eq!(uris(&choose("*31#").unwrap()), ["sip:*31%23@192.0.2.3;user=phone"]);
    assert_eq!((trunks.iter().count(), trunks.is_empty()), (3, false));
    let none = Trunks::new(records(TWO).into_iter().take(2));
    assert!(none.choose("+1", 0, Time::ZERO).is_none());
}

#[test]
fn a_number_of_which_nothing_is_left_is_no_user() {
    let text =
        "[[trunk]]\nname = \"a\"\ncontacts = [\"sip:gw;transport=tcp\"]\nprefixes = [\"99\"]\nreplace_prefix = \"\"";
    let trunks = trunks(text);
    let choose = |number| trunks.choose(number, 0, Time::ZERO).unwrap();
    assert_eq!(uris(&choose("991")), ["sip:1@gw;transport=tcp;user=phone"]);
    assert_eq!(uris(&choose("99")), ["sip:gw;transport=tcp;user=phone"]);
}

#[test]
fn what_is_out_of_service_gets_no_call_until_it_is_back() {
    let trunks = trunks(TWO);
    let (failed, back) = (Time::from_millis(SECOND), Time::from_millis(11 * SECOND));
    let choose = |number, now| trunks.choose(number, 0, now).unwrap();
    let hops = choose("+4940", failed);
    hops[0].note(Event::Failed, failed);
    assert_eq!(uris(&choose("+4940", failed)), [&*hops[1].uri]);
    hops[1].note(Event::Failed, failed);
    assert!(choose("+4940", failed).is_empty());
    // No OPTIONS are sent: one call tries.
    let first = choose("+4940", back);
    assert_eq!(first.len(), 2);
    first[0].note(Event::Tried, back);
    assert_eq!(uris(&choose("+4940", back)), [&*hops[1].uri]);
    first[0].note(Event::Answered, back);
    assert_eq!(choose("+4940", back).len(), 2);
    // Where OPTIONS are sent, one of them brings it back.
    choose("+4930", failed)[0].note(Event::Failed, failed);
    assert!(choose("+4930", back).is_empty());
    let contact = &trunks.iter().find(|trunk| trunk.record.name == "berlin").unwrap().contacts[0];
    contact.health.note(Event::Answered, back, Duration::ZERO);
    assert_eq!(choose("+4930", back).len(), 1);
}

#[test]
fn an_emergency_call_goes_to_its_own_trunks_and_then_to_all_others_whatever_their_health() {
    let trunks = trunks(TWO);
    let now = Time::from_millis(SECOND);
    let hosts = |hops: &Hops| -> Vec<String> {
        hops.iter().map(|hop| format!("{}{}", hop.trunk.record.name, hop.contact)).collect()
    };
    assert_eq!(hosts(&trunks.emergency("112", 0, now)), ["berlin0", "german0", "german1", "others0"]);
    let all = trunks.emergency("112", 0, now);
    assert_eq!(&*all[1].uri, "sip:112@192.0.2.1;user=phone");
    all[1].note(Event::Failed, now);
    assert_eq!(hosts(&trunks.emergency("112", 0, now)), ["berlin0", "german1", "others0", "german0"]);
    all.iter().for_each(|hop| hop.note(Event::Failed, now));
    assert_eq!(hosts(&trunks.emergency("112", 0, now)), ["berlin0", "german0", "german1", "others0"]);
}

#[test]
fn priority_comes_before_weight_and_weight_is_a_share() {
    let trunk = |name: &str, priority: u32, weight: u32| {
        format!("[[trunk]]\nname = {name:?}\ncontacts = [\"sip:{name}\"]\npriority = {priority}\nweight = {weight}\n")
    };
    let text = [trunk("last", 9, 100), trunk("a", 1, 3), trunk("b", 1, 1)].concat();
    let trunks = trunks(&text);
    let mut rng = rutil::Rng::from_seed(5);
    let mut first = BTreeMap::<String, usize>::new();
    for _ in 0..4000 {
        let hops = trunks.choose("1", rng.next_u64(), Time::ZERO).unwrap();
        assert_eq!((hops.len(), hops[2].trunk.record.name.as_str()), (3, "last"));
        *first.entry(hops[0].trunk.record.name.clone()).or_default() += 1;
    }
    assert!((2850..3150).contains(&first["a"]), "{first:?}");
}

#[test]
fn a_call_is_tried_eight_times_at_most() {
    let text: String = (0..40).map(|at| format!("[[trunk]]\nname = \"{at}\"\ncontacts = [\"sip:t{at}\"]\n")).collect();
    let trunks = trunks(&text);
    assert_eq!(trunks.choose("1", 7, Time::ZERO).unwrap().len(), MOST_ATTEMPTS);
    assert_eq!(trunks.emergency("1", 7, Time::ZERO).len(), MOST_ATTEMPTS);
}

#[test]
fn contacts_keep_their_health_when_the_trunks_are_read_again() {
    let before = trunks(TWO);
    let now = Time::from_millis(SECOND);
    before.choose("+4940", 0, now).unwrap()[1].note(Event::Failed, now);
    let mut changed = records(TWO);
    changed[0].contacts.reverse();
    let after = Trunks::new(changed.into_iter());
    after.keep_health(&before);
    assert_eq!(uris(&after.choose("+4940", 0, now).unwrap()), ["sip:040@192.0.2.1;user=phone"]);
}

#[test]
fn a_wrong_field_is_named() {
    let fault = |lines: &str| {
        let text = format!("name = \"x\"\n{lines}");
        toml::from_str::<TrunkRecord>(&text).unwrap().check().map_err(|fault| fault.field)
    };
    let contact = "contacts = [\"sip:a\"]";
    assert_eq!(fault(contact), Ok(()));
    assert_eq!(fault("contacts = []"), Err("contacts"));
    assert_eq!(fault("contacts = [\"sip:u@a\"]"), Err("contacts"));
    assert_eq!(fault("contacts = [\"sip:a\", \"sip:b\", \"sip:a\"]"), Err("contacts"));
    for (line, field) in [
        ("prefixes = [\"+49\", \"a\"]", "prefixes"),
        ("replace_prefix = \" \"", "replace_prefix"),
        ("weight = 0", "weight"),
        ("oos_force = 0", "oos_force"),
        ("recovery_timeout = 0", "recovery_timeout"),
        ("oos_check = 5\noos_force = 6", "oos_force"),
    ] {
        assert_eq!(fault(&format!("{contact}\n{line}")), Err(field));
    }
}
