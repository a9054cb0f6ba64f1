//! Entries about the link to a control plane, in words and without what people wrote.

use super::only;
use crate::cli::output;
use crate::store::AuditDraft;
use serde_json::Value;

/// What these entries say that they are about.
const ABOUT: [&str; 7] = [
    "command",
    "command carried out",
    "enrolled",
    "left the control plane",
    "new keys of the link",
    "release",
    "revision",
];

/// Whether an entry is one of them.
pub(super) fn is_about(draft: &AuditDraft) -> bool {
    let what = draft.detail["what"].as_str();
    what.is_some_and(|what| ABOUT.contains(&what)) || draft.detail.get("refused").is_some()
}

/// One line about an entry.
pub(super) fn summary(draft: &AuditDraft) -> String {
    let detail = &draft.detail;
    let text = |name: &str| detail[name].as_str().unwrap_or_default();
    let words = match text("what") {
        "command" => {
            let command = &detail["command"];
            let on = ["flow", "connection", "posting"].iter().filter_map(|name| command[*name].as_str());
            let on: Vec<&str> =
                std::iter::once(command["verb"].as_str().unwrap_or("unknown")).chain(on).collect();
            format!("command {}: {}", on.join(" "), text("reason"))
        }
        "command carried out" => format!("command {}: {}", text("verb"), text("outcome")),
        "revision" => {
            let findings = detail["findings"].as_array();
            let first = findings.and_then(|all| all.first()?.as_str()).map(|first| format!(": {first}"));
            format!("revision {} {}{}", detail["number"], text("outcome"), first.unwrap_or_default())
        }
        "enrolled" => format!("enrolled at {} as {}", text("origin"), text("agent")),
        "new keys of the link" => format!("new keys of the link, fingerprint {}", text("fingerprint")),
        "release" => format!("told of release {}", text("version")),
        "" => format!("{} {}", text("verb"), text("secret")),
        what => what.to_owned(),
    };
    let refused = detail["refused"].as_str().map(|why| format!("; refused: {why}"));
    output::short(&format!("{words}{}", refused.unwrap_or_default()), 160)
}

/// The detail without reasons, notes and findings: people wrote them, or they repeat what people wrote.
pub(super) fn without_content(draft: &AuditDraft) -> Value {
    let kept = ["what", "verb", "outcome", "delivery", "number", "hash", "agent", "fingerprint", "secret"];
    let mut kept = only(&draft.detail, &kept);
    if let Some(verb) = draft.detail["command"].get("verb") {
        kept.insert("verb".to_owned(), verb.clone());
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::super::{summary, without_content};
    use crate::store::{AuditDraft, AuditKind};
    use serde_json::json;

    #[test]
    fn what_came_of_a_control_plane_is_told_in_one_line_and_exported_without_what_people_wrote() {
        let said = "by hand";
        let rows = [
            (
                AuditKind::Decision,
                json!({ "what": "command", "command": { "verb": "pause", "flow": "cards" }, "reason": said }),
                "command pause cards: by hand",
            ),
            (
                AuditKind::Decision,
                json!({ "what": "command", "command": { "verb": "handle", "flow": "cards", "posting": "p" },
                        "reason": said, "refused": "not allowed" }),
                "command handle cards p: by hand; refused: not allowed",
            ),
            (
                AuditKind::Security,
                json!({ "what": "revision", "number": 3, "outcome": "refused", "findings": [said] }),
                "revision 3 refused: by hand",
            ),
            (
                AuditKind::Security,
                json!({ "verb": "set", "secret": "erp", "refused": "by hand" }),
                "set erp; refused: by hand",
            ),
            (
                AuditKind::Agent,
                json!({ "what": "left the control plane", "note": said }),
                "left the control plane",
            ),
        ];
        for (kind, detail, words) in rows {
            let draft = AuditDraft::new(spend::Timestamp::UNIX_EPOCH, kind, detail);
            assert_eq!(summary(&draft), words);
            assert!(!without_content(&draft).to_string().contains(said), "{words}");
        }
    }
}
