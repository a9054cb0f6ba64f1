//! Which account and which tags the coding of a line means.

use super::super::coding::of_choices;
use super::super::wire::{FieldChoice, Person};
use super::*;

fn choice(field: &str, value: Option<&str>, name: &str) -> FieldChoice {
    FieldChoice {
        brex_field_id: Some(format!("extended_{field}")),
        remote_field_id: Some(field.to_owned()),
        brex_field_value_id: Some(format!("efo_{name}")),
        remote_field_value_id: value.map(str::to_owned),
        field_value_name: Some(name.to_owned()),
        ..FieldChoice::default()
    }
}

fn code(choices: &[FieldChoice], settings: &Settings) -> (Option<String>, Option<String>) {
    let coded = of_choices(choices, None, settings).unwrap();
    (coded.category, coded.category_code)
}

fn table(key: &str) -> Settings {
    let codes = BTreeMap::from([(key.to_owned(), "7500|00|00".to_owned())]);
    Settings { value_codes: BTreeMap::from([("GL_ACCOUNT".to_owned(), codes)]), ..Settings::default() }
}

/// Sheet item: Brex 7
#[test]
fn a_value_made_by_hand_has_a_code_only_where_the_table_gives_one() {
    let choices = [choice("GL_ACCOUNT", None, "7500 Other  G&A ")];
    assert_eq!(code(&choices, &Settings::default()), (Some("7500 Other G&A".into()), None));
    for key in ["7500", "7500 Other G&A", "efo_7500 Other  G&A "] {
        let expected = Some("7500|00|00".to_owned());
        let key = if key.starts_with("efo") { key.trim() } else { key };
        assert_eq!(code(&choices, &table(key)).1, expected, "{key}");
    }
    assert_eq!(code(&choices, &table("75")).1, None, "nothing is guessed from a part of a word");
}

#[test]
fn a_remote_id_of_another_company_gives_no_code() {
    let settings = Settings {
        remote_prefix: "EPIC06|".to_owned(),
        remote_separator: "-".to_owned(),
        ..Settings::default()
    };
    let of = |remote| code(&[choice("GL_ACCOUNT", Some(remote), "x")], &settings).1;
    assert_eq!(of("EPIC06|7500-00-00").as_deref(), Some("7500|00|00"));
    assert_eq!(of("EPIC07|7500-00-00"), None);
    assert_eq!(of("7500-00-00"), None);
    assert_eq!(of("EPIC06|"), None);
}

#[test]
fn a_field_is_found_by_its_remote_id_or_by_brexs_own() {
    let choices = [choice("LEDGER", Some("7500"), "7500 Other")];
    for name in ["LEDGER", "extended_LEDGER"] {
        let settings = Settings { gl_fields: vec!["GL_ACCOUNT".into(), name.into()], ..Settings::default() };
        assert_eq!(code(&choices, &settings).1.as_deref(), Some("7500"));
    }
    assert_eq!(code(&choices, &Settings::default()), (None, None));
}

#[test]
fn two_values_of_one_field_are_a_choice_that_nobody_made() {
    let twice = [choice("GL_ACCOUNT", Some("7500"), "a"), choice("GL_ACCOUNT", Some("7600"), "b")];
    let why = of_choices(&twice, None, &Settings::default()).unwrap_err();
    assert!(why.contains("two values") && why.contains("`a`"), "{why}");
    let same = [choice("GL_ACCOUNT", Some("7500"), "a"), choice("GL_ACCOUNT", Some("7500"), "a")];
    assert!(of_choices(&same, None, &Settings::default()).is_ok());
}

#[test]
fn tags_stand_at_their_levels_and_can_come_from_the_person() {
    let settings = Settings {
        tag_fields: ["DEPT", "PROJECT", "user:department", "user:location"].map(str::to_owned).into(),
        ..Settings::default()
    };
    let person = Person {
        department_id: Some("dep_1".into()),
        department_name: Some("Maintenance ".into()),
        ..Person::default()
    };
    let choices = [choice("PROJECT", Some("P1"), "Plant"), choice("GL_ACCOUNT", Some("7500"), "x")];
    let coded = of_choices(&choices, Some(&person), &settings).unwrap();
    let tags: Vec<_> = coded.tags.iter().map(|t| (t.level, t.value.as_str(), t.code.as_deref())).collect();
    assert_eq!(tags, [(2, "Plant", Some("P1")), (3, "Maintenance", None)]);
}
