//! What a mirror wants, changes and refuses: tables, and properties over random sets.

use super::*;
use crate::sample::reference;
use proptest::prelude::*;

fn entry(key: &str, name: &str, active: bool, attributes: &[(&str, &str)]) -> MirrorEntry {
    let attributes =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    MirrorEntry { key: key.to_owned(), name: name.to_owned(), active, attributes }
}

fn ours(keys: &[&str]) -> Ours {
    keys.iter().map(|key| (fold(key), String::new())).collect()
}

fn words(delta: &Delta) -> Vec<String> {
    delta.changes.iter().map(|change| format!("{} {}", change.name(), change.key())).collect()
}

fn plain(wanted: &[MirrorEntry], present: &[MirrorEntry]) -> Delta {
    compare(wanted, present, &Ours::new(), &MirrorRules::default())
}

#[test]
fn what_is_missing_is_added_what_differs_is_changed_and_what_is_inactive_is_disabled() {
    let wanted = [
        entry("new", "New", true, &[]),
        entry("same", "Same", true, &[("code", "1")]),
        entry("other", "Other", true, &[("code", "2")]),
        entry("back", "Back", true, &[]),
        entry("left", "Left", false, &[]),
        entry("gone", "Gone long ago", false, &[]),
    ];
    let present = [
        entry("SAME ", "Same", true, &[("code", "1")]),
        entry("other", "Other", true, &[("code", "9")]),
        entry("back", "Back", false, &[]),
        entry("left", "Left", true, &[]),
        entry("stranger", "Made by a person", true, &[]),
    ];
    let delta = plain(&wanted, &present);
    assert_eq!(words(&delta), ["add new", "change back", "change other", "disable left"]);
    assert_eq!(delta.untouched.len(), 1);
    assert_eq!(delta.left_alone[0].key, "stranger");
}

#[test]
fn what_the_erp_has_no_more_is_disabled_only_where_the_mirror_put_it() {
    let present = [entry("ours", "", true, &[]), entry("theirs", "", true, &[])];
    let delta = compare(&[], &present, &ours(&["OURS"]), &MirrorRules::default());
    assert_eq!(words(&delta), ["disable ours"]);
    let rules = MirrorRules { strangers: Strangers::Disable, ..MirrorRules::default() };
    assert_eq!(words(&compare(&[], &present, &Ours::new(), &rules)), ["disable ours", "disable theirs"]);
}

#[test]
fn what_one_side_does_not_say_is_not_compared() {
    let wanted = [entry("a", "Ann", true, &[("manager", "boss@example.test"), ("vendor", "V1")])];
    // It holds no names and no vendors, and nobody approves for her there: only that is a difference.
    let present = [entry("a", "", true, &[("manager", ""), ("role", "user")])];
    let delta = plain(&wanted, &present);
    let MirrorChange::Update { before, after } = &delta.changes[0] else { panic!("{delta:?}") };
    assert_eq!(differences(before, after).len(), 1);
    assert_eq!(after.attribute("role"), Some("user"), "what only the spend system knows is kept");
    // An ERP that knows no manager takes none away.
    let silent = [entry("a", "Ann", true, &[])];
    let with = [entry("a", "", true, &[("manager", "boss@example.test")])];
    assert!(plain(&silent, &with).changes.is_empty());
}

#[test]
fn rules_keep_names_and_additions_and_disabled_entries_as_they_are() {
    let wanted = [entry("a", "New name", true, &[]), entry("b", "B", true, &[]), entry("c", "C", true, &[])];
    let present = [entry("a", "Old name", true, &[]), entry("b", "B", false, &[])];
    assert_eq!(words(&plain(&wanted, &present)), ["add c", "change b"]);
    let rules = MirrorRules { rename: true, create: false, enable: false, ..MirrorRules::default() };
    assert_eq!(words(&compare(&wanted, &present, &Ours::new(), &rules)), ["change a"]);
    let rules = MirrorRules { disable: false, strangers: Strangers::Disable, ..MirrorRules::default() };
    assert!(compare(&[entry("a", "", false, &[])], &present, &Ours::new(), &rules).changes.is_empty());
}

#[test]
fn a_change_counts_when_reading_back_shows_it() {
    let added = MirrorChange::Add(entry("6100", "Travel", true, &[("gl_code", "6100"), ("type", "expense")]));
    assert!(in_effect(&added, &[]).unwrap_err().contains("not there"));
    assert!(in_effect(&added, &[entry("6100", "6100 Travel", true, &[("gl_code", "6100")])]).is_ok());
    let other = in_effect(&added, &[entry("6100", "", true, &[("gl_code", "")])]).unwrap_err();
    assert_eq!(other, "read back, gl_code is `` instead of `6100`");
    let disabled = MirrorChange::Disable(entry("x", "", true, &[]));
    assert!(in_effect(&disabled, &[]).is_ok());
    assert!(in_effect(&disabled, &[entry("x", "", true, &[]), entry("x", "", false, &[])]).is_err());
    let renamed =
        MirrorChange::Update { before: entry("x", "a", true, &[]), after: entry("x", "b", true, &[]) };
    assert!(in_effect(&renamed, &[entry("x", "a", true, &[])]).unwrap_err().contains("name is `a`"));
}

#[test]
fn a_person_is_needed_beyond_the_ceilings() {
    let ceiling = MirrorCeiling { max_changes: 50, max_disable_percent: 10 };
    let wanted = |active: usize, inactive: usize| -> Vec<MirrorEntry> {
        let one = |n: usize| entry(&format!("k{n:03}"), "", n >= inactive, &[]);
        (0..active + inactive).map(one).collect()
    };
    let present = wanted(100, 0);
    let look = |wanted: &[MirrorEntry], ceiling| refusal(&plain(wanted, &present), ceiling);
    assert_eq!(look(&wanted(90, 10), &ceiling), None);
    let why = look(&wanted(89, 11), &ceiling).unwrap();
    assert_eq!(why, "11 of 100 active entries would be disabled, more than 10 percent");
    let free = MirrorCeiling { max_changes: 1000, max_disable_percent: 100 };
    assert_eq!(look(&wanted(89, 11), &free), None);
    assert!(look(&wanted(0, 100), &free).unwrap().contains("nothing that is active"));
    assert!(look(&wanted(200, 0), &ceiling).unwrap().contains("100 changes are more than the 50"));
    // One leaver of a small company needs nobody, unless nothing may be disabled at all.
    let few = [entry("a", "", true, &[]), entry("b", "", true, &[])];
    let left = [entry("a", "", true, &[]), entry("b", "", false, &[])];
    assert_eq!(refusal(&plain(&left, &few), &ceiling), None);
    let none = MirrorCeiling { max_disable_percent: 0, ..ceiling };
    assert!(refusal(&plain(&left, &few), &none).is_some());
}

#[test]
fn each_set_is_taken_from_the_reference_data() {
    let reference = reference();
    let keys = |set, rules: &MirrorRules| -> Vec<(String, bool)> {
        wanted(set, &reference, rules).into_iter().map(|entry| (entry.key, entry.active)).collect()
    };
    let plain = MirrorRules::default();
    assert!(!keys(ReferenceSet::Vendors, &plain).is_empty());
    assert_eq!(keys(ReferenceSet::Employees, &plain).len(), reference.employees.len());
    assert_eq!(keys(ReferenceSet::Projects, &plain).len(), reference.projects.len());
    assert_eq!(keys(ReferenceSet::Accounts, &plain).len(), reference.segments[&1].values.len());
    let whole = MirrorRules { whole_accounts: true, ..MirrorRules::default() };
    assert_eq!(keys(ReferenceSet::Accounts, &whole).len(), reference.accounts.len());
    assert!(keys(ReferenceSet::CostCentres, &plain).is_empty(), "no segment is named");
    let second = MirrorRules { segment: Some(2), ..MirrorRules::default() };
    assert_eq!(keys(ReferenceSet::CostCentres, &second).len(), reference.segments[&2].values.len());
    let some = MirrorRules { include: vec!["61*".to_owned()], exclude: vec!["6100".to_owned()], ..plain };
    let kept = keys(ReferenceSet::Accounts, &some);
    assert!(kept.iter().all(|(key, _)| key.starts_with("61") && key != "6100"), "{kept:?}");
}

#[test]
fn an_employee_has_a_lower_case_address_and_an_approver() {
    let mut reference = reference();
    let (email, employee) = reference.employees.iter_mut().next().unwrap();
    employee.manager = Some(" Boss@Example.test".to_owned());
    let email = email.clone();
    let found = wanted(ReferenceSet::Employees, &reference, &MirrorRules::default());
    let entry = found.iter().find(|entry| entry.key == email).unwrap();
    assert_eq!(entry.attribute("manager"), Some("boss@example.test"));
    assert_eq!(entry.attribute("email"), Some(email.as_str()));
}

#[test]
fn changes_about_one_person_are_never_torn_apart() {
    let person = |key: &str, number: &str| entry(key, "", true, &[("employee_number", number)]);
    let mut changes: Vec<MirrorChange> = (0..101)
        .map(|n| MirrorChange::Add(person(&format!("p{n:03}@example.test"), &format!("E{n}"))))
        .collect();
    changes.push(MirrorChange::Disable(person("old@example.test", " e7")));
    changes.push(MirrorChange::Disable(person("gone@example.test", "")));
    let portions = portions(&changes, 100);
    assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), [100, 3]);
    let of = |key: &str| portions.iter().position(|part| part.iter().any(|change| change.key() == key));
    assert_eq!(of("old@example.test"), of("p007@example.test"));
    let mut all: Vec<&str> = portions.iter().flatten().map(MirrorChange::key).collect();
    all.sort_unstable();
    let mut keys: Vec<&str> = changes.iter().map(MirrorChange::key).collect();
    keys.sort_unstable();
    assert_eq!(all, keys, "each change once");
    // Those without a number stand alone, and one who is more than a portion goes whole.
    let same = [
        MirrorChange::Add(person("a", "1")),
        MirrorChange::Add(person("b", "")),
        MirrorChange::Disable(person("c", "1")),
    ];
    let found = super::portions(&same, 1);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn patterns_are_codes_beginnings_and_ranges() {
    let holds = |pattern: &str, key: &str| Pattern::parse(pattern).unwrap().holds(key);
    assert!(holds("6100", " 6100") && !holds("6100", "61000"));
    assert!(holds("p-*", "P-100") && !holds("p-*", "Q-100"));
    assert!(holds("6000..6999", "6100") && !holds("6000..6999", "61000") && !holds("6000..6999", "7000"));
    for wrong in ["", "6*0", "60..6999", "7..6", "6*..7*"] {
        assert!(Pattern::parse(wrong).is_err(), "{wrong}");
    }
}

/// A spend system that can hold some attributes and applies a difference.
fn applied(delta: &Delta, present: &[MirrorEntry], holds: &[String], names: bool) -> Vec<MirrorEntry> {
    let mut after: BTreeMap<String, MirrorEntry> =
        present.iter().map(|entry| (fold(&entry.key), entry.clone())).collect();
    for change in &delta.changes {
        let key = fold(change.key());
        match change.target() {
            Some(entry) => {
                let carried = holds
                    .iter()
                    .map(|name| (name.clone(), entry.attributes.get(name).cloned().unwrap_or_default()));
                let name = if names { entry.name.clone() } else { String::new() };
                let entry = MirrorEntry { name, attributes: carried.collect(), ..entry.clone() };
                after.insert(key, entry);
            }
            None => after.get_mut(&key).unwrap().active = false,
        }
    }
    after.into_values().collect()
}

fn any_entries(most: usize) -> impl Strategy<Value = Vec<MirrorEntry>> {
    let attributes = proptest::collection::btree_map("[ab]", "[xy]?", 0..3);
    let one = ("[a-fA-F]{1,2}", "[NM]?", any::<bool>(), attributes)
        .prop_map(|(key, name, active, attributes)| MirrorEntry { key, name, active, attributes });
    proptest::collection::vec(one, 0..most)
}

fn any_rules() -> impl Strategy<Value = MirrorRules> {
    any::<[bool; 5]>().prop_map(|[create, enable, disable, rename, all]| MirrorRules {
        create,
        enable,
        disable,
        rename,
        strangers: if all { Strangers::Disable } else { Strangers::Leave },
        ..MirrorRules::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn applying_the_difference_leaves_none(
        wanted in any_entries(12), present in any_entries(12), rules in any_rules(), names in any::<bool>(),
    ) {
        let holds = ["a".to_owned(), "b".to_owned()];
        // A spend system holds one entry per key, with all that it can hold.
        let mut unique: BTreeMap<String, MirrorEntry> = BTreeMap::new();
        for mut entry in present {
            for name in &holds {
                entry.attributes.entry(name.clone()).or_default();
            }
            if !names {
                entry.name.clear();
            }
            unique.insert(fold(&entry.key), entry);
        }
        let present: Vec<MirrorEntry> = unique.into_values().collect();
        let ours: Ours = present.iter().step_by(2).map(|entry| (fold(&entry.key), String::new())).collect();
        let delta = compare(&wanted, &present, &ours, &rules);
        let after = applied(&delta, &present, &holds, names);
        for change in &delta.changes {
            prop_assert_eq!(in_effect(change, &after), Ok(()));
        }
        let again = compare(&wanted, &after, &ours, &rules);
        prop_assert!(again.changes.is_empty(), "{:?}", again.changes);
    }

    #[test]
    fn the_order_of_entries_does_not_matter(
        wanted in any_entries(10), present in any_entries(10), rules in any_rules(), seed in any::<u64>(),
    ) {
        let mut ours = Ours::new();
        ours.extend(present.iter().step_by(3).map(|entry| (fold(&entry.key), String::new())));
        let delta = compare(&wanted, &present, &ours, &rules);
        let turned = |entries: &[MirrorEntry]| -> Vec<MirrorEntry> {
            let by = usize::try_from(seed % 97).unwrap() % entries.len().max(1);
            let mut turned: Vec<MirrorEntry> = entries[by..].iter().chain(&entries[..by]).cloned().collect();
            turned.reverse();
            turned
        };
        let other = compare(&turned(&wanted), &turned(&present), &ours, &rules);
        prop_assert_eq!(other.hash(), delta.hash());
        prop_assert_eq!(other, delta);
    }

    #[test]
    fn what_was_never_ours_and_is_unknown_to_the_erp_is_never_disabled(
        wanted in any_entries(10), present in any_entries(10), rules in any_rules(),
    ) {
        let rules = MirrorRules { strangers: Strangers::Leave, ..rules };
        let delta = compare(&wanted, &present, &Ours::new(), &rules);
        for change in &delta.changes {
            let known = wanted.iter().any(|entry| fold(&entry.key) == fold(change.key()));
            prop_assert!(known, "{change:?}");
        }
    }

    #[test]
    fn no_pattern_makes_the_reader_panic(text in "\\PC{0,12}", key in "\\PC{0,8}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            let _ = pattern.holds(&key);
        }
    }
}
