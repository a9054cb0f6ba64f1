//! Audit entries in words, and without what records say.

mod link;

use crate::cli::output;
use crate::store::{AuditDraft, AuditKind};
use serde_json::{Map, Value, json};

/// The word for a kind.
pub(super) const fn kind(kind: AuditKind) -> &'static str {
    match kind {
        // To be seen among the others.
        AuditKind::Security => "SECURITY",
        other => other.as_str(),
    }
}

/// One line about an entry.
pub(super) fn summary(draft: &AuditDraft) -> String {
    let detail = &draft.detail;
    let text = |name: &str| detail[name].as_str().unwrap_or_default();
    if is_delivery(draft) {
        let why = detail["why"].as_str().map(|why| format!(": {}", output::short(why, 80)));
        let id = output::short(text("id"), 60);
        let event = [id.as_str(), text("event"), text("outcome")];
        let event: Vec<&str> = event.into_iter().filter(|word| !word.is_empty()).collect();
        return format!("webhook {}{}", event.join(" "), why.unwrap_or_default());
    }
    if link::is_about(draft) {
        return link::summary(draft);
    }
    match draft.kind {
        AuditKind::Transition => {
            let why = state_words(&detail["to"]);
            format!("{}: {} is {why}", text("event"), text("record"))
        }
        AuditKind::Call | AuditKind::Security => {
            let answer = match (detail["status"].as_u64(), detail["error"].as_str()) {
                (Some(status), _) => status.to_string(),
                (None, Some(error)) => output::short(error, 80),
                (None, None) => "no answer".to_owned(),
            };
            format!("{} {} -> {answer} ({} ms)", text("operation"), text("method"), detail["duration_ms"])
        }
        AuditKind::Decision | AuditKind::Secret => {
            let about = [
                draft.flow.as_ref().map(|flow| flow.as_str()),
                detail["secret"].as_str(),
                detail["merchant"].as_str(),
                detail["vendor"].as_str(),
            ];
            let about: Vec<&str> = about.into_iter().flatten().collect();
            let note = text("note");
            let note = if note.is_empty() { String::new() } else { format!(": {note}") };
            format!("{} {}{note}", text("verb"), about.join(" "))
        }
        AuditKind::Reference => {
            let result = text("result");
            let result = if result.is_empty() { String::new() } else { format!(": {result}") };
            format!("{} {} {}{result}", text("verb"), text("set"), output::short(text("key"), 60))
        }
        AuditKind::Run | AuditKind::Configuration | AuditKind::Webhook | AuditKind::Agent => {
            output::short(&detail.to_string(), 160)
        }
    }
}

/// Whether an entry is about a webhook; refused ones stand among what could have been an attack.
fn is_delivery(draft: &AuditDraft) -> bool {
    draft.kind == AuditKind::Webhook
        || (draft.kind == AuditKind::Security && draft.detail["what"] == "webhook")
}

/// A state as it stands in an entry.
fn state_words(state: &Value) -> String {
    let name = state["state"].as_str().unwrap_or("unknown");
    let receipt = state["receipt"]["document"].as_str().map(|document| format!(" as {document}"));
    let why = state["why"].as_str().map(|why| format!(": {}", output::short(why, 80)));
    let codes = codes(state);
    let held = (!codes.is_empty()).then(|| format!(": {}", codes.join(", ")));
    format!("{name}{}", receipt.or(why).or(held).unwrap_or_default())
}

fn codes(state: &Value) -> Vec<&str> {
    let findings = state["findings"].as_array();
    findings.into_iter().flatten().filter_map(|finding| finding["code"].as_str()).collect()
}

/// The detail of an entry by a list of what may be told: nothing that a record says, nothing that a vendor wrote.
pub(super) fn without_content(draft: &AuditDraft) -> Value {
    let detail = &draft.detail;
    if is_delivery(draft) {
        // Id, event and reason were written by whoever sent it.
        return Value::Object(only(
            detail,
            &["what", "outcome", "code", "records", "received_at", "signed_at"],
        ));
    }
    if link::is_about(draft) {
        return link::without_content(draft);
    }
    match draft.kind {
        AuditKind::Call | AuditKind::Security => {
            let mut kept = only(detail, &["operation", "method", "status", "duration_ms", "security_event"]);
            let url = detail["url"].as_str().unwrap_or_default();
            kept.insert("url".to_owned(), json!(url.split('?').next()));
            kept.insert("request".to_owned(), digest(&detail["request_body"]));
            kept.insert("answer".to_owned(), digest(&detail["answer_body"]));
            Value::Object(kept)
        }
        AuditKind::Transition => {
            let mut kept = only(detail, &["event", "record", "revision", "attempts"]);
            kept.insert("to".to_owned(), state(&detail["to"]));
            if detail.get("plan").is_some() {
                kept.insert(
                    "plan".to_owned(),
                    Value::Object(only(&detail["plan"], &["reference", "hash", "total", "date"])),
                );
            }
            Value::Object(kept)
        }
        AuditKind::Decision => {
            let mut kept = only(detail, &["verb", "note"]);
            kept.insert("from".to_owned(), state(&detail["from"]));
            Value::Object(kept)
        }
        AuditKind::Reference => {
            let mut kept = only(detail, &["verb", "set", "changes"]);
            kept.insert("key".to_owned(), digest(&detail["key"]));
            Value::Object(kept)
        }
        AuditKind::Run => {
            let mut kept = detail.as_object().cloned().unwrap_or_default();
            // Errors are in words, which a vendor may have written.
            if let Some(errors) = kept.get("errors").and_then(Value::as_array).map(Vec::len) {
                kept.insert("errors".to_owned(), json!(errors));
            }
            Value::Object(kept)
        }
        AuditKind::Configuration | AuditKind::Secret | AuditKind::Webhook | AuditKind::Agent => {
            detail.clone()
        }
    }
}

fn state(state: &Value) -> Value {
    let mut kept =
        only(state, &["state", "receipt", "at", "next_at", "claimed_at", "since", "in_doubt", "adopted"]);
    let codes = codes(state);
    if !codes.is_empty() {
        kept.insert("findings".to_owned(), json!(codes));
    }
    Value::Object(kept)
}

fn only(value: &Value, names: &[&str]) -> Map<String, Value> {
    let kept = names.iter().filter_map(|name| Some(((*name).to_owned(), value.get(*name)?.clone())));
    kept.collect()
}

/// What stands for a text that is left out: the same text has the same digest.
fn digest(value: &Value) -> Value {
    let text = value.as_str().unwrap_or_default();
    json!({ "bytes": text.len(), "blake3": blake3::hash(text.as_bytes()).to_hex().as_str() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(kind: AuditKind, detail: Value) -> AuditDraft {
        AuditDraft::new(spend::Timestamp::UNIX_EPOCH, kind, detail)
    }

    #[test]
    fn an_export_without_content_holds_nothing_that_records_or_vendors_wrote() {
        let marker = "CANARY-marmalade";
        let state = json!({ "state": "held", "since": "2026-01-01T00:00:00Z", "in_doubt": false,
            "findings": [{ "code": "category-unmapped", "value": marker, "message": marker, "fix": marker, "field": "category" }] });
        let table = [
            draft(
                AuditKind::Call,
                json!({ "operation": "erp.post", "method": "POST", "url": format!("https://erp.example.test/x?$filter={marker}"),
                "request_body": marker, "answer_body": marker, "error": marker, "request_headers": [["x", marker]], "status": 200, "duration_ms": 4 }),
            ),
            draft(
                AuditKind::Transition,
                json!({ "event": "held", "record": "R1", "to": state,
                "plan": { "hash": "ab", "description": marker, "document": { "lines": [marker] } } }),
            ),
            draft(AuditKind::Decision, json!({ "verb": "replay", "note": "mapped", "from": state })),
            draft(
                AuditKind::Reference,
                json!({ "verb": "add", "set": "employees", "key": marker, "entry": { "name": marker }, "result": marker }),
            ),
            draft(AuditKind::Run, json!({ "read": 3, "errors": [marker] })),
            draft(
                AuditKind::Webhook,
                json!({ "what": "webhook", "outcome": "accepted", "id": marker, "event": marker }),
            ),
            draft(
                AuditKind::Security,
                json!({ "what": "webhook", "outcome": "refused", "id": marker, "why": marker }),
            ),
        ];
        for draft in table {
            let told = without_content(&draft).to_string();
            assert!(!told.contains(marker), "{told}");
            assert!(told.len() > 10, "{told}");
        }
    }

    #[test]
    fn entries_are_told_in_one_line() {
        let call = draft(
            AuditKind::Call,
            json!({ "operation": "erp.post", "method": "POST", "status": 201, "duration_ms": 41 }),
        );
        assert_eq!(summary(&call), "erp.post POST -> 201 (41 ms)");
        let held = json!({ "event": "held", "record": "R1", "to": { "state": "held", "findings": [{ "code": "tag-missing" }] } });
        assert_eq!(summary(&draft(AuditKind::Transition, held)), "held: R1 is held: tag-missing");
        let added = json!({ "verb": "add", "set": "projects", "key": "P1", "result": "made" });
        assert_eq!(summary(&draft(AuditKind::Reference, added)), "add projects P1: made");
        let forged =
            json!({ "what": "webhook", "outcome": "refused", "id": "msg_1", "why": "no signature matches" });
        let said = "webhook msg_1 refused: no signature matches";
        assert_eq!(summary(&draft(AuditKind::Security, forged)), said);
        let secret = json!({ "verb": "set", "secret": "erp", "note": "" });
        assert_eq!(summary(&draft(AuditKind::Secret, secret)), "set erp");
    }
}
