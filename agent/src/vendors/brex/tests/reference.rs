//! Accounts, cost centres and projects as values of fields.

use super::super::settings::{FieldGroup, Reference};
use super::*;
use crate::vendors::{ChangeOutcome, ReferenceTarget};
use spend::mirror::{MirrorChange, MirrorEntry, MirrorRules, Ours, ReferenceSet, Strangers, compare, fold};
use std::collections::BTreeSet;

const ACCOUNTS: ReferenceSet = ReferenceSet::Accounts;

fn settings() -> Settings {
    Settings { remote_prefix: "EPIC06|".to_owned(), remote_separator: "-".to_owned(), ..Settings::default() }
}

fn entry(key: &str, name: &str, active: bool) -> MirrorEntry {
    let attributes = [("gl_code".to_owned(), key.to_owned())].into();
    MirrorEntry { key: key.to_owned(), name: name.to_owned(), active, attributes }
}

fn add(key: &str, name: &str) -> MirrorChange {
    MirrorChange::Add(entry(key, name, true))
}

fn value(code: &str, name: &str, disabled: bool) -> Value {
    json!({"brex_id": format!("efo_{code}"), "field_id": "extended_field_gl", "remote_id": format!("EPIC06|{code}"),
           "value_id": code, "value": format!("{code} {name}"), "is_disabled": disabled,
           "updated_at": "2026-08-01T00:00:00Z"})
}

fn the_field() -> Reply {
    page(&[json!({"brex_id": "extended_field_gl", "name": "GL Account", "remote_id": "GL_ACCOUNT"})])
}

fn results(outcomes: &[ChangeOutcome]) -> Vec<(&str, bool)> {
    outcomes.iter().map(|outcome| (outcome.key.as_str(), outcome.result.is_ok())).collect()
}

#[tokio::test(start_paused = true)]
async fn values_are_read_under_the_erps_keys_and_those_made_by_hand_under_their_own() {
    let by_hand =
        json!({"brex_id": "efo_hand", "value": "7500 Other", "remote_id": null, "is_disabled": false});
    let foreign = json!({"brex_id": "efo_x", "value": "x", "remote_id": "EPIC07|7500", "is_disabled": false});
    let values =
        page(&[value("7500-00-00", "Other G&A", false), value("7600", "Tools", true), by_hand, foreign]);
    let (client, _) =
        client(settings(), [("brex.fields", vec![the_field()]), ("brex.field-values", vec![values])]);
    let read = client.read_set(ACCOUNTS).await.unwrap();
    let shown: Vec<_> = read.iter().map(|e| (e.key.as_str(), e.name.as_str(), e.active)).collect();
    assert_eq!(
        shown,
        [
            ("7500|00|00", "Other G&A", true),
            ("7600", "Tools", false),
            ("brex:efo_hand", "7500 Other", true),
            ("brex:efo_x", "x", true)
        ]
    );
}

/// Project codes with the sign that stands between the segments of accounts.
#[tokio::test(start_paused = true)]
async fn a_hyphen_in_a_project_is_no_segment_and_one_in_an_account_only_where_the_erp_has_segments() {
    for (set, field, attribute, keys) in [
        (ReferenceSet::Projects, "PROJECT", "code", ["P-100", "P-200", "P-300"]),
        (ReferenceSet::CostCentres, "COST_CENTRE", "code", ["C-1|a", "C-2", "C3"]),
        (ReferenceSet::Accounts, "GL_ACCOUNT", "gl_code", ["A-100", "7500|00|00", "B-1|00"]),
    ] {
        let ids = keys.map(|key| match set {
            ReferenceSet::Accounts => key.replace('|', "-"),
            _ => key.to_owned(),
        });
        let value = |at: usize, disabled: bool| {
            json!({"brex_id": format!("efo_{at}"), "remote_id": format!("EPIC06|{}", ids[at]), "value_id": keys[at],
                   "value": format!("{} Hall", keys[at]), "is_disabled": disabled})
        };
        let all = page(&[value(0, false), value(1, false), value(2, false)]);
        let after = page(&[value(0, false), value(1, true), value(2, true)]);
        let (client, script) = client(
            settings(),
            [
                ("brex.fields", vec![page(&[json!({"brex_id": "f", "remote_id": field})])]),
                ("brex.field-values", vec![all.clone(), all, after]),
                ("brex.update-values", vec![told(&json!({"items": []}))]),
            ],
        );
        let entry = |key: &str, active: bool| MirrorEntry {
            key: key.to_owned(),
            name: "Hall".to_owned(),
            active,
            attributes: [(attribute.to_owned(), key.to_owned())].into(),
        };
        let mut wanted = keys.map(|key| entry(key, true)).to_vec();
        let ours: Ours = keys.iter().map(|key| (fold(key), String::new())).collect();
        let known = |wanted: &[MirrorEntry]| -> BTreeSet<String> {
            wanted.iter().map(|entry| entry.key.clone()).chain(ours.keys().cloned()).collect()
        };
        let rules = MirrorRules { strangers: Strangers::Disable, ..MirrorRules::default() };
        let present = client.read_known(set, &known(&wanted)).await.unwrap();
        assert_eq!(compare(&wanted, &present, &ours, &rules).changes, [], "a second run writes nothing");
        // One is closed, and one is gone from the ERP altogether.
        wanted[1].active = false;
        wanted.pop();
        let present = client.read_known(set, &known(&wanted)).await.unwrap();
        let changes = compare(&wanted, &present, &ours, &rules).changes;
        let outcomes = client.write_set(set, &changes).await.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
        let sent = &script.of("brex.update-values")[0].body["items"];
        let mut disabled: Vec<&str> =
            sent.as_array().unwrap().iter().map(|item| item["remote_id"].as_str().unwrap()).collect();
        disabled.sort_unstable();
        let mut expected = [format!("EPIC06|{}", ids[1]), format!("EPIC06|{}", ids[2])];
        expected.sort_unstable();
        assert_eq!(disabled, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_field_is_an_empty_set_and_is_made_at_the_first_write() {
    let made =
        told(&json!({"brex_id": "extended_field_new", "name": "GL Account", "remote_id": "GL_ACCOUNT"}));
    let (client, script) = client(
        settings(),
        [
            ("brex.fields", vec![page(&[])]),
            ("brex.create-field", vec![made]),
            ("brex.field-values", vec![page(&[]), page(&[value("7500", "Other", false)])]),
            ("brex.create-values", vec![told(&json!({"items": []}))]),
        ],
    );
    assert_eq!(client.read_set(ACCOUNTS).await.unwrap(), []);
    let outcomes = client.write_set(ACCOUNTS, &[add("7500", "Other")]).await.unwrap();
    assert_eq!(results(&outcomes), [("7500", true)]);
    let field = &script.of("brex.create-field")[0];
    assert_eq!(field.body, json!({"name": "GL Account", "remote_id": "GL_ACCOUNT", "group": "ACCOUNTING"}));
    let values = &script.of("brex.create-values")[0];
    assert_eq!(values.path, "/v1/fields/extended_field_new/values");
    let wanted =
        json!({"value": "7500 Other", "value_id": "7500", "remote_id": "EPIC06|7500", "is_disabled": false});
    assert_eq!(values.body["items"], json!([wanted]));
    for sent in [field, values] {
        let key = &sent.headers["idempotency-key"];
        let shape: Vec<usize> = key.split('-').map(str::len).collect();
        assert_eq!((shape, &key[14..15]), (vec![8, 4, 4, 4, 12], "4"), "{key}");
        assert!("89ab".contains(&key[19..20]), "{key}");
    }
}

/// Sheet item: Brex 14
#[tokio::test(start_paused = true)]
async fn changes_disable_instead_of_deleting_and_are_written_in_plain_ascii() {
    let after = vec![value("7500", "Buro", false), value("7600", "Tools", true)];
    let (client, script) = client(
        settings(),
        [
            ("brex.fields", vec![the_field()]),
            ("brex.update-values", vec![told(&json!({"items": []}))]),
            ("brex.field-values", vec![page(&after)]),
        ],
    );
    let before = entry("7500", "Old", false);
    let changes = [
        MirrorChange::Update { before, after: entry("7500", "Büro", true) },
        MirrorChange::Disable(entry("7600", "Tools", true)),
    ];
    let outcomes = client.write_set(ACCOUNTS, &changes).await.unwrap();
    assert_eq!(results(&outcomes), [("7500", true), ("7600", true)]);
    let sent = &script.of("brex.update-values")[0];
    assert_eq!(sent.method, "PUT");
    assert_eq!(
        sent.body["items"][0],
        json!({"remote_id": "EPIC06|7500", "data": {"value": "7500 Buro", "is_disabled": false}})
    );
    assert_eq!(sent.body["items"][1]["data"]["is_disabled"], true);
    assert!(script.sent().iter().all(|sent| sent.method != "DELETE"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_seen_by_reading_back_is_not_done() {
    let (client, _) = client(
        settings(),
        [
            ("brex.fields", vec![the_field()]),
            ("brex.create-values", vec![told(&json!({"items": []}))]),
            ("brex.field-values", vec![page(&[]), page(&[value("7500", "Other", true)])]),
        ],
    );
    let outcomes = client.write_set(ACCOUNTS, &[add("7500", "Other"), add("7600", "Tools")]).await.unwrap();
    assert_eq!(results(&outcomes), [("7500", false), ("7600", false)]);
    assert!(outcomes[0].result.as_ref().unwrap_err().contains("disabled"));
    assert!(outcomes[1].result.as_ref().unwrap_err().contains("not there"));
    assert!(outcomes.iter().all(|outcome| !outcome.refused), "they may still show up");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_looking_and_a_repetition_makes_nothing_twice() {
    let (client, script) = client(
        settings(),
        [
            ("brex.fields", vec![the_field()]),
            ("brex.create-values", vec![lost(FailureClass::InDoubt)]),
            ("brex.field-values", vec![page(&[]), page(&[value("7500", "Other", false)])]),
        ],
    );
    let change = [add("7500", "Other")];
    assert_eq!(results(&client.write_set(ACCOUNTS, &change).await.unwrap()), [("7500", true)]);
    assert_eq!(results(&client.write_set(ACCOUNTS, &change).await.unwrap()), [("7500", true)]);
    assert_eq!(script.of("brex.create-values").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_value_that_is_refused_is_found_by_halving_and_the_others_are_made() {
    let refused = status(400, r#"{"type":"BAD_REQUEST","message":"value is invalid"}"#);
    let made = || told(&json!({"items": []}));
    let there = ["1", "2", "4"].map(|code| value(code, "n", false));
    let (client, script) = client(
        settings(),
        [
            ("brex.fields", vec![the_field()]),
            // 1 2 3 4; then 1 2, then 3 4, then 3, then 4.
            ("brex.create-values", vec![refused.clone(), made(), refused.clone(), refused, made()]),
            (
                "brex.field-values",
                vec![page(&[]), page(&[]), page(&there), page(&[]), page(&[]), page(&[]), page(&there)],
            ),
        ],
    );
    let changes = ["1", "2", "3", "4"].map(|code| add(code, "n"));
    let outcomes = client.write_set(ACCOUNTS, &changes).await.unwrap();
    assert_eq!(results(&outcomes), [("1", true), ("2", true), ("3", false), ("4", true)]);
    assert!(outcomes[2].result.as_ref().unwrap_err().contains("value is invalid"));
    assert!(outcomes[2].refused);
    assert_eq!(script.of("brex.create-values").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn batches_stay_below_the_ceiling() {
    let mut settings = settings();
    settings.reference.batch_size = 1_000;
    let (client, script) = client(
        settings,
        [
            ("brex.fields", vec![the_field()]),
            ("brex.create-values", vec![told(&json!({"items": []}))]),
            ("brex.field-values", vec![page(&[])]),
        ],
    );
    let changes: Vec<MirrorChange> = (0..2_500).map(|n| add(&n.to_string(), "n")).collect();
    client.write_set(ACCOUNTS, &changes).await.unwrap();
    let sizes: Vec<usize> = script
        .of("brex.create-values")
        .iter()
        .map(|sent| sent.body["items"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [1_000, 1_000, 500]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_credential_and_a_missing_right_end_the_write() {
    for (reply, unauthorised) in [
        (status(403, r#"{"message":"Expired token"}"#), true),
        (status(403, r#"{"message":"Insufficient scope"}"#), false),
    ] {
        let (client, _) = client(
            settings(),
            [
                ("brex.fields", vec![the_field()]),
                ("brex.create-values", vec![reply]),
                ("brex.field-values", vec![page(&[])]),
            ],
        );
        let failure = client.write_set(ACCOUNTS, &[add("1", "n"), add("2", "n")]).await.unwrap_err();
        assert_eq!(failure.class == FailureClass::Unauthorised, unauthorised);
    }
}

fn erp_group() -> Settings {
    let reference = Reference {
        group: FieldGroup::Erp,
        integration_vendor: Some("EPICOR_AGENT".to_owned()),
        integration_account: Some("EPIC06".to_owned()),
        ..Reference::default()
    };
    Settings { reference, ..settings() }
}

#[tokio::test(start_paused = true)]
async fn a_field_of_the_erp_group_gets_the_integration_under_either_name_of_its_id() {
    for integration in [json!({"id": "int_1"}), json!({"integration_id": "int_1", "status": "ACTIVE"})] {
        let (client, script) = client(
            erp_group(),
            [
                ("brex.fields", vec![page(&[])]),
                ("brex.create-integration", vec![told(&integration)]),
                ("brex.create-field", vec![told(&json!({"brex_id": "f"}))]),
                ("brex.create-values", vec![told(&json!({"items": []}))]),
                ("brex.field-values", vec![page(&[])]),
            ],
        );
        client.write_set(ACCOUNTS, &[add("1", "n")]).await.unwrap();
        let asked = &script.of("brex.create-integration")[0];
        assert_eq!(asked.body, json!({"vendor": "EPICOR_AGENT", "vendor_account_id": "EPIC06"}));
        assert_eq!(script.of("brex.create-field")[0].body["integration_id"], "int_1");
    }
}

/// Sheet item: Brex 15
#[tokio::test(start_paused = true)]
async fn another_connected_erp_is_told_and_never_disconnected() {
    for (code, details, words) in [
        ("ACTIVE_INTEGRATION_EXISTS", json!({"existing_vendor": "ERP_A"}), "ERP_A"),
        ("VENDOR_ACCOUNT_ID_MISMATCH", Value::Null, "another company"),
    ] {
        let body = json!({"error_code": code, "message": "x", "details": details}).to_string();
        let (client, script) = client(
            erp_group(),
            [("brex.fields", vec![page(&[])]), ("brex.create-integration", vec![status(409, body)])],
        );
        let failure = client.write_set(ACCOUNTS, &[add("1", "n")]).await.unwrap_err();
        assert!(
            failure.message.contains(words) && failure.message.contains("nothing was changed"),
            "{failure}"
        );
        assert_eq!(script.operations(), ["fields", "create-integration"]);
    }
}

#[tokio::test(start_paused = true)]
async fn people_are_not_mirrored() {
    let (client, script) = client(settings(), []);
    assert!(!client.sets().contains(&ReferenceSet::Employees));
    assert!(client.read_set(ReferenceSet::Employees).await.is_err());
    assert!(client.write_set(ReferenceSet::Employees, &[add("a@example.test", "A")]).await.is_err());
    assert!(script.sent().is_empty());
}
