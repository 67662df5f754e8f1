//! The check-list: each name of reSIProcate's suite with the test that plays it here, or with what has it elsewhere, or the
//! reason why it is left out.

const LIST: &str = include_str!("checklist.txt");

const SOURCES: [(&str, &str); 5] = [
    ("dialogs", include_str!("dialogs.rs")),
    ("forks", include_str!("forks.rs")),
    ("non_invites", include_str!("non_invites.rs")),
    ("registrations", include_str!("registrations.rs")),
    ("strange", include_str!("strange.rs")),
];

#[test]
fn each_name_has_a_test_or_a_reason() {
    let mut names = Vec::new();
    for line in LIST.lines() {
        let (name, what) = line.split_once(": ").expect("a name and what has it");
        names.push(name);
        if let Some(reason) = what.strip_prefix("- ") {
            assert!(reason.len() > 20, "{line}");
            continue;
        }
        let (module, test) = what.split_once("::").expect("a module and a test");
        let (_, source) = SOURCES.iter().find(|(found, _)| *found == module).expect(line);
        assert!(source.contains(&format!("#[test]\nfn {test}()")), "{line}: there is no such test");
    }
    assert_eq!(names.len(), 246);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 246, "a name stands twice");
}
