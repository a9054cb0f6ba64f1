//! One function per job: build the request, read the answer. Both halves are pure; nothing is sent from here.
//! Every job is a POST of one form to one URL; the kind of job is said inside the JSON.

use super::auth;
use super::settings::{EmployeeSettings, STATES};
use super::wire::{Envelope, FileName, Policy, PolicyDetail};
use crate::secret::{Credential, SecretText};
use crate::vendors::http::{Body, Call, Effect};
use reqwest::Method;
use serde_json::{Map, Value, json};
use spend::Date;
use spend::posting::Failure;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

const PATH: &str = "/Integration-Server/ExpensifyIntegrations";
/// Renders reports, as JSON lines (see `template.rs`).
pub(super) const REPORT_TEMPLATE: &str = include_str!("report.ftl");
/// Lists the reports that a mark-only job touched.
pub(super) const MARK_TEMPLATE: &str = include_str!("mark.ftl");

/// Lists need less time than exports.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// Which reports an export is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExportQuery {
    /// States, in the words of `reportState`.
    pub(super) states: Vec<String>,
    /// At most so many; there is no cursor.
    pub(super) limit: Option<u32>,
    /// Approved after this day. Whether the day itself counts is contradictory, so callers ask for one day more and
    /// filter.
    pub(super) approved_after: Option<Date>,
    /// Created and submitted up to this day.
    pub(super) end: Option<Date>,
    /// Only these policies; empty = all.
    pub(super) policies: Vec<String>,
    /// Only these reports; empty = all.
    pub(super) reports: Vec<String>,
    /// Without the reports that carry this mark.
    pub(super) without_mark: Option<String>,
}

/// Reads reports: answers the name of a file. Never marks anything, because a mark is set whether or not the file is
/// ever fetched.
pub(super) fn export(credential: &Credential, base: &Url, query: &ExportQuery) -> Result<Call, Failure> {
    let mut input = Map::new();
    input.insert("type".to_owned(), json!("combinedReportData"));
    input.insert("reportState".to_owned(), json!(query.states.join(",")));
    if let Some(limit) = query.limit {
        input.insert("limit".to_owned(), json!(limit.to_string()));
    }
    input.insert("filters".to_owned(), filters(query));
    let job = file_job(Value::Object(input), json!([]));
    call("expensify.export", credential, base, job, template(REPORT_TEMPLATE), Effect::Read)
}

fn filters(query: &ExportQuery) -> Value {
    let mut filters = Map::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            filters.insert(key.to_owned(), json!(value));
        }
    };
    put("approvedAfter", query.approved_after.map(|day| day.to_string()));
    put("endDate", query.end.map(|day| day.to_string()));
    put("policyIDList", (!query.policies.is_empty()).then(|| query.policies.join(",")));
    put("reportIDList", (!query.reports.is_empty()).then(|| query.reports.join(",")));
    put("markedAsExported", query.without_mark.clone());
    Value::Object(filters)
}

fn file_job(input: Value, on_finish: Value) -> Value {
    json!({
        "type": "file",
        "onReceive": { "immediateResponse": ["returnRandomFileName"] },
        "inputSettings": input,
        "outputSettings": { "fileExtension": "json", "fileBasename": "purser" },
        "onFinish": on_finish,
    })
}

/// Marks reports with a label, whatever state they have moved to, and lists those it has marked: answers the name of
/// a file. Marking twice is harmless.
pub(super) fn mark(credential: &Credential, base: &Url, ids: &[&str], label: &str) -> Result<Call, Failure> {
    let input = json!({
        "type": "combinedReportData",
        "reportState": STATES.join(","),
        "filters": { "reportIDList": ids.join(",") },
    });
    let job = file_job(input, json!([{ "actionName": "markAsExported", "label": label }]));
    call("expensify.mark", credential, base, job, template(MARK_TEMPLATE), Effect::Write)
}

/// Fetches a file; it may not be ready yet.
pub(super) fn download(credential: &Credential, base: &Url, file: &FileName) -> Result<Call, Failure> {
    let job = json!({ "type": "download", "fileName": file.as_str(), "fileSystem": "integrationServer" });
    call("expensify.download", credential, base, job, None, Effect::Read)
}

/// Lists the policies that the account administers.
pub(super) fn policy_list(credential: &Credential, base: &Url) -> Result<Call, Failure> {
    let job = json!({ "type": "get", "inputSettings": { "type": "policyList", "adminOnly": true } });
    call("expensify.policy-list", credential, base, job, None, Effect::Read)
}

/// Reads sections (`categories`, `tags`, `employees`) of policies.
pub(super) fn policy(
    credential: &Credential,
    base: &Url,
    ids: &[String],
    sections: &[&str],
) -> Result<Call, Failure> {
    let job = json!({ "type": "get", "inputSettings": { "type": "policy", "policyIDList": ids, "fields": sections } });
    call("expensify.policy", credential, base, job, None, Effect::Read)
}

/// Adds and changes categories of one policy. Categories that are not listed stay as they are.
pub(super) fn merge_categories(
    credential: &Credential,
    base: &Url,
    policy: &str,
    categories: &[Value],
) -> Result<Call, Failure> {
    let job = json!({
        "type": "update",
        "inputSettings": { "type": "policy", "policyID": policy },
        "categories": { "action": "merge", "data": categories },
    });
    call("expensify.update-categories", credential, base, job, None, Effect::Write)
}

/// Replaces **all** tags of one policy, level by level: what is not listed is gone, whatever `action` would say
/// (observed).
pub(super) fn replace_tags(
    credential: &Credential,
    base: &Url,
    policy: &str,
    levels: &[Value],
) -> Result<Call, Failure> {
    let job = json!({
        "type": "update",
        "inputSettings": { "type": "policy", "policyID": policy },
        "tags": { "source": "inline", "data": levels },
    });
    call("expensify.update-tags", credential, base, job, None, Effect::Write)
}

/// Adds, changes and removes members of policies; a dry run only says what it would do.
pub(super) fn update_employees(
    credential: &Credential,
    base: &Url,
    rows: &[Value],
    dry_run: bool,
    settings: &EmployeeSettings,
) -> Result<Call, Failure> {
    let job = json!({
        "type": "update",
        "dry-run": dry_run,
        "dataSource": "request",
        "inputSettings": { "type": "employees", "entity": "generic" },
        "setEmployeePrimaryPolicy": "none",
        "shouldFixApprovalChains": settings.fix_approval_chains,
        "shouldSkipNotificationEmail": !settings.notify,
    });
    let data = Value::from(rows.to_vec()).to_string();
    let (operation, effect) = match dry_run {
        true => ("expensify.employees-dry-run", Effect::Read),
        false => ("expensify.update-employees", Effect::Write),
    };
    call(operation, credential, base, job, Some(("data", &data)), effect)
}

const fn template(text: &'static str) -> Option<(&'static str, &'static str)> {
    Some(("template", text))
}

fn call(
    operation: &'static str,
    credential: &Credential,
    base: &Url,
    job: Value,
    field: Option<(&str, &str)>,
    effect: Effect,
) -> Result<Call, Failure> {
    let Value::Object(job) = job else { unreachable!("jobs are written as objects above") };
    let mut fields = vec![("requestJobDescription".to_owned(), auth::authorised(credential, job)?)];
    if let Some((name, text)) = field {
        fields.push((name.to_owned(), SecretText::plain(text)));
    }
    let timeout = (operation == "expensify.policy-list").then_some(LIST_TIMEOUT);
    Ok(Call {
        operation,
        method: Method::POST,
        url: endpoint(base),
        headers: Vec::new(),
        body: Body::Form(fields),
        effect,
        secret_answer: false,
        timeout,
    })
}

/// A connection may name the host alone.
fn endpoint(base: &Url) -> Url {
    let mut url = base.clone();
    if url.path().trim_matches('/').is_empty() {
        url.set_path(PATH);
    }
    url
}

/// The file name in the answer of a `file` job: the bare body, or a field of an envelope.
pub(super) fn file_name(envelope: Option<&Envelope>, body: &[u8]) -> Result<FileName, String> {
    let text = match envelope {
        Some(envelope) => envelope
            .field::<String>("filename")
            .or_else(|_| envelope.field::<String>("fileName"))
            .map_err(|_| "the answer says success and names no file".to_owned())?,
        None => String::from_utf8(body.to_vec()).map_err(|_| "the answer is not text".to_owned())?,
    };
    FileName::read(&text).ok_or_else(|| "the answer is neither an error nor a file name".to_owned())
}

/// The policies in the answer of [`policy_list`].
pub(super) fn policies(envelope: &Envelope) -> Result<Vec<Policy>, String> {
    envelope.field("policyList")
}

/// The sections by policy id in the answer of [`policy`].
pub(super) fn policy_details(envelope: &Envelope) -> Result<BTreeMap<String, PolicyDetail>, String> {
    envelope.field("policyInfo")
}

/// Splits days into spans of at most `days` days, oldest first, because the vendor refuses ranges over a year.
pub(super) fn spans(from: Date, to: Date, days: u16) -> Vec<(Date, Date)> {
    let mut spans = Vec::new();
    let mut first = from;
    while first <= to {
        let reach = first.checked_add_days(chrono::Days::new(u64::from(days.max(1)) - 1));
        let last = reach.unwrap_or(to).min(to);
        spans.push((first, last));
        match last.succ_opt() {
            Some(next) => first = next,
            None => break,
        }
    }
    spans
}
