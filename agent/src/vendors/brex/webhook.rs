//! Events of Brex, after their signature was verified (`vendors/webhook`): from a body to a hint which records to fetch. An event
//! is thin, may come twice, late or out of order, and may name records that are not ready any more: it only ever causes
//! a fetch.

use crate::vendors::webhook::{Hint, MOST_BODY};
use serde_json::{Map, Value};
use spend::ids::SourceId;
use std::collections::BTreeSet;

/// Reads a body. Events that are not known are hints that wake nobody: they are acknowledged, and counted.
///
/// # Errors
/// What is wrong with the body, in words: it is no event, or it contradicts itself.
pub fn parse(body: &[u8]) -> Result<Hint, String> {
    if body.len() > MOST_BODY {
        return Err(format!("the body is larger than {MOST_BODY} bytes"));
    }
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let Value::Object(event) = value else { return Err("the body is no object".to_owned()) };
    let name = text(&event, &["event_type", "eventType"])?.ok_or("the event has no type")?;
    let company = text(&event, &["company_id", "companyId"])?;
    let (wake, records) = match name.as_str() {
        // An empty list still says that something is ready.
        "ACCOUNTING_RECORD_READY_FOR_EXPORT" => (true, ids(&event)?),
        // Of the fall-back surface.
        "EXPENSE_PAYMENT_UPDATED" => {
            (true, text(&event, &["expense_id", "expenseId"])?.map(SourceId::new).into_iter().collect())
        }
        _ => (false, Vec::new()),
    };
    Ok(Hint { event: name, company, records, wake, id: None })
}

/// A text under any of its spellings: the accounting event has `companyId` where the others have `company_id` (D).
fn text(event: &Map<String, Value>, spellings: &[&str]) -> Result<Option<String>, String> {
    let mut found: Option<String> = None;
    for key in spellings {
        let value = match event.get(*key) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.trim(),
            Some(_) => return Err(format!("`{key}` is no text")),
        };
        if found.as_deref().is_some_and(|before| before != value) {
            return Err(format!("`{key}` is said twice, differently"));
        }
        found = Some(value.to_owned()).filter(|text| !text.is_empty());
    }
    Ok(found)
}

/// The record ids under either spelling, each once.
fn ids(event: &Map<String, Value>) -> Result<Vec<SourceId>, String> {
    let mut seen = BTreeSet::new();
    let mut records = Vec::new();
    for key in ["accountingRecordIds", "accounting_record_ids"] {
        let list = match event.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(list)) => list,
            Some(_) => return Err(format!("`{key}` is no list")),
        };
        for id in list {
            let id = id.as_str().map(str::trim).filter(|id| super::settings::is_id(id));
            let id = id.ok_or_else(|| format!("`{key}` holds something that is no id"))?;
            if seen.insert(id.to_owned()) {
                records.push(SourceId::new(id));
            }
        }
    }
    Ok(records)
}
