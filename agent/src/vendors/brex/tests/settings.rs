//! Which settings are refused, and in which words.

use super::*;

fn faults(settings: Value) -> Vec<String> {
    Settings::from_json(settings.as_object().unwrap()).unwrap_err()
}

#[test]
fn a_connection_without_settings_works_and_defaults_survive_a_round_trip() {
    let defaults = Settings::from_json(&serde_json::Map::new()).unwrap();
    assert_eq!(defaults, Settings::default());
    let written = serde_json::to_value(&defaults).unwrap();
    assert_eq!(Settings::from_json(written.as_object().unwrap()).unwrap(), defaults);
}

#[test]
fn every_fault_is_named_with_its_path() {
    for (settings, words) in [
        (json!({"surface": "both"}), "settings.surface"),
        (json!({"unheard": 1}), "settings.unheard"),
        (json!({"types": {}}), "settings.types"),
        (json!({"types": {"BILL_EXPENSE": "charge"}}), "settings.types.BILL_EXPENSE"),
        (json!({"types": {"X": "sideways"}}), "settings.types"),
        (
            json!({"types": {"REIMBURSEMENT_EXPENSE_APPROVAL": "reimbursement",
                             "REIMBURSEMENT_EXPENSE_POST": "reimbursement"}}),
            "two records of one",
        ),
        (json!({"ignored_types": ["CARD_EXPENSE_POST"]}), "settings.ignored_types"),
        (json!({"tag_fields": ["GL_ACCOUNT"]}), "named twice"),
        (json!({"tag_fields": [" DEPT"]}), "blanks"),
        (json!({"value_codes": {"DEPT": {"a": "b"}}}), "settings.value_codes.DEPT"),
        (json!({"zone": "Springfield"}), "settings.zone"),
        (json!({"page_size": 101}), "settings.page_size"),
        (json!({"report_size": 0}), "settings.report_size"),
        (json!({"reference": {"group": "erp"}}), "integration_vendor"),
        (json!({"reference": {"projects": {"remote_id": "GL_ACCOUNT", "name": "x"}}}), "of their own"),
        (json!({"oauth": {"issuer": "not a url"}}), "settings.oauth.issuer"),
        (json!({"expenses": {"statuses": ["SPLIT"]}}), "SPLIT"),
        (json!({"expenses": {"card_transactions": ["PURCHASE"]}}), "PURCHASE"),
        (json!({"expenses": {"types": []}}), "settings.expenses.types"),
        (json!({"rate_limits": [[0, 60]]}), "settings.rate_limits[0]"),
    ] {
        let found = faults(settings.clone());
        assert!(found.iter().any(|fault| fault.contains(words)), "{settings}: {found:?}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    assert_eq!(faults(json!({"zone": "x", "page_size": 0, "surface": 1})).len(), 3);
}
