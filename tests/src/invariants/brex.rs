//! What Brex holds, for judging a run: which records are to be booked, which were reported, and with what reference.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Ready, Sums, add, text};

/// Records of these types that are ready, or were reported as exported, by id. What was exported by hand is not among
/// them; the total is negative where money came back.
///
/// # Errors
/// When the state is not what the simulator writes.
pub fn ready_records(brex: &Value, types: &[&str]) -> Result<BTreeMap<String, Ready>> {
    let mut ready = BTreeMap::new();
    for record in records(brex)?.iter().filter(|record| types.contains(&text(record, "type"))) {
        let marked = record.get("reported") == Some(&Value::Bool(true));
        let wanted = match text(record, "review_status") {
            "READY_FOR_EXPORT" => true,
            "EXPORTED" => marked,
            _ => false,
        };
        if wanted {
            let total = record.get("total").and_then(Value::as_i64).context("a record without a total")?;
            let currency = text(record, "currency").to_owned();
            let twin = ready.insert(text(record, "id").to_owned(), Ready { total, currency, marked });
            ensure!(twin.is_none(), "record {} is listed twice", text(record, "id"));
        }
    }
    Ok(ready)
}

/// Sums of records of these types that somebody else exported: a proof shows them as read by no run.
///
/// # Errors
/// When the state is not what the simulator writes.
pub fn exported_by_others(brex: &Value, types: &[&str]) -> Result<Sums> {
    let mut sums = Sums::new();
    for record in records(brex)?.iter().filter(|record| types.contains(&text(record, "type"))) {
        let reported = record.get("reported") == Some(&Value::Bool(true));
        if text(record, "review_status") == "EXPORTED" && !reported {
            let total = record.get("total").and_then(Value::as_i64).context("a record without a total")?;
            add(&mut sums, text(record, "currency"), total);
        }
    }
    Ok(sums)
}

/// The references that were reported, by record id.
///
/// # Errors
/// When the state is not what the simulator writes.
pub fn reported_references(brex: &Value) -> Result<BTreeMap<String, String>> {
    let reported = records(brex)?.iter().filter(|record| record.get("reported") == Some(&Value::Bool(true)));
    Ok(reported.map(|record| (text(record, "id").to_owned(), text(record, "reference").to_owned())).collect())
}

fn records(brex: &Value) -> Result<&Vec<Value>> {
    brex.get("records").and_then(Value::as_array).context("no records in the state of Brex")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ready_and_reported_records_are_told_apart_from_what_was_exported_by_hand() {
        let record = |id: &str, status: &str, reported: bool| {
            json!({"id": id, "type": "CARD_EXPENSE_POST", "review_status": status, "total": 5, "currency": "USD",
                "reported": reported, "reference": "R"})
        };
        let state = json!({"records": [
            record("a", "READY_FOR_EXPORT", false), record("b", "EXPORTED", true), record("c", "EXPORTED", false),
            record("d", "REVIEW", false)]});
        let ready = ready_records(&state, &["CARD_EXPENSE_POST"]).unwrap();
        assert_eq!(ready.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(!ready["a"].marked && ready["b"].marked);
        assert_eq!(reported_references(&state).unwrap().keys().collect::<Vec<_>>(), ["b"]);
        assert!(ready_records(&state, &["CARD_PAYMENT"]).unwrap().is_empty());
        assert_eq!(exported_by_others(&state, &["CARD_EXPENSE_POST"]).unwrap()["USD"], 5);
        assert!(ready_records(&json!({}), &[]).is_err());
    }
}
