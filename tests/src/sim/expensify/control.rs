//! State and levers for people and tests; no part of the vendor's interface.

use super::ExpensifySim;
use super::account::{Counts, Report, ReportState};
use super::data::total;
use super::job::{Refusal, page};
use crate::server::Reply;
use crate::world::{WorldExpense, WorldReport};
use chrono::NaiveDate;
use serde_json::{Value, json};

const VERBS: &str = "knobs, approve, unapprove, submit, archive, reimburse, edit, add-report, remove-report, \
    rotate-credential, labels, report, delete-category, policy, policy-put, policy-remove, fail, today, reset";

/// An error that the next calls of a job get.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    job: String,
    times: u32,
    form: String,
}

impl ExpensifySim {
    /// The error that was ordered for this job, if any.
    pub(super) fn injected(&mut self, job: &str) -> Option<Reply> {
        let failure = self.failures.iter_mut().find(|f| f.job == job && f.times > 0)?;
        failure.times -= 1;
        let form = failure.form.clone();
        self.failures.retain(|f| f.times > 0);
        Some(match form.as_str() {
            "html" => page(500, "Internal Server Error"),
            "permission" => Refusal::new(500, "Not authorized to authenticate as user owner@example.test")
                .reply(&self.knobs),
            "validation" => Refusal::malformed("type").reply(&self.knobs),
            "no-code" => super::job::plain_json(&json!({"responseMessage": "Something went wrong"})),
            _ => Refusal::new(500, "Internal error").reply(&self.knobs),
        })
    }

    pub(super) fn describe(&self) -> Value {
        let reports: Vec<ReportState<'_>> = self.live().map(|r| self.report_state(r)).collect();
        let (mut ready, mut states) = (Counts::new(), Counts::new());
        let mut marked_reports = Counts::new();
        for report in self.live() {
            *states.entry(report.data.state.clone()).or_default() += 1;
            for label in &report.labels {
                *marked_reports.entry(self.account.labels[*label].clone()).or_default() += 1;
            }
            if report.data.state == "APPROVED" {
                *ready.entry(report.data.currency.clone()).or_default() += report.data.total();
            }
        }
        json!({
            "reports": reports,
            "report_count": reports.len(),
            "states": states,
            "ready_total": ready,
            "marked": marked_reports,
            "mark_actions": self.marked,
            "jobs": self.jobs,
            "throttled": self.throttled,
            "refused_credentials": self.refused_credentials,
            "files": self.account.files.len(),
            "tags_deleted": self.account.tags_deleted,
            "policies": self.account.policies.iter().map(|p| json!({
                "id": p.id, "name": p.name, "type": p.kind, "categories": p.categories.len(),
                "tags": p.tag_levels.iter().map(|(n, t)| json!({"name": n, "count": t.len()})).collect::<Vec<_>>(),
                "employees": p.employees.len(),
            })).collect::<Vec<_>>(),
            "knobs": {"policy_admin": self.knobs.policy_admin, "rate_limits": self.knobs.rate_limits},
        })
    }

    fn live(&self) -> impl Iterator<Item = &Report> {
        self.account.reports.iter().filter(|r| r.data.state != "DELETED")
    }

    fn report_state<'a>(&'a self, report: &'a Report) -> ReportState<'a> {
        let sum = total(report, &self.knobs);
        ReportState {
            id: &report.data.id,
            state: &report.data.state,
            labels: report.labels.iter().map(|l| self.account.labels[*l].as_str()).collect(),
            total: report.data.total(),
            total_text: decimal_text(sum, &report.data.currency),
            currency: &report.data.currency,
            expenses: report.data.expenses.len(),
        }
    }

    pub(super) fn steer(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        match verb {
            "knobs" => self.set_knobs(body),
            "approve" => {
                let date = self.day(body)?;
                self.move_report(body, "APPROVED", Some(date))
            }
            "unapprove" => self.move_report(body, "SUBMITTED", None),
            "submit" => self.move_report(body, "SUBMITTED", None),
            "archive" => self.move_report(body, "ARCHIVED", None),
            "reimburse" => {
                let id = word(body, "id")?;
                let approved = self.account.find(id).and_then(|r| r.data.approved);
                self.move_report(body, "REIMBURSED", approved)
            }
            "edit" => self.edit(body),
            "add-report" => {
                let report: WorldReport =
                    serde_json::from_value(body.clone()).map_err(|e| format!("add-report: {e}"))?;
                if self.account.by_id.contains_key(&report.id) {
                    return Err(format!("report {} exists already", report.id));
                }
                self.account.add(report, 0);
                Ok(json!({}))
            }
            "remove-report" => known(self.account.remove(word(body, "id")?)),
            "rotate-credential" => {
                let fresh = format!("{:040x}", self.rng.u128(..));
                let secret = body.get("secret").and_then(Value::as_str).map_or(fresh, str::to_owned);
                self.knobs.partner_user_secret.clone_from(&secret);
                Ok(json!({"partnerUserID": self.knobs.partner_user_id, "partnerUserSecret": secret}))
            }
            "labels" => Ok(self.labels()),
            "report" => self.one_report(body),
            "delete-category" => {
                let name = word(body, "name")?;
                let before: usize = self.account.policies.iter().map(|p| p.categories.len()).sum();
                self.account.policies.iter_mut().for_each(|p| p.categories.retain(|c| c.name != name));
                known(before > self.account.policies.iter().map(|p| p.categories.len()).sum())
            }
            "policy" => self.show_policy(body),
            "policy-put" => self.put_into_policy(body),
            "policy-remove" => self.take_from_policy(body),
            "fail" => self.order_failure(body),
            "reset" => {
                self.reset();
                Ok(json!({}))
            }
            "today" => {
                self.account.today = self.day(body)?;
                Ok(json!({}))
            }
            _ => Err(format!("unknown verb {verb}; there are: {VERBS}")),
        }
    }

    /// Forgets marks, files, counts, misuse and ordered failures. Reports and policies keep what was done to them.
    fn reset(&mut self) {
        self.account.labels.clear();
        self.account.pending.clear();
        self.account.files.clear();
        self.account.file_order.clear();
        for report in &mut self.account.reports {
            report.labels.clear();
            report.history.clear();
        }
        self.calls.clear();
        self.throttled_at = None;
        self.jobs.clear();
        self.marked.clear();
        self.misuse.clear();
        self.failures.clear();
        (self.throttled, self.refused_credentials, self.not_ready_turn) = (0, 0, 0);
    }

    fn set_knobs(&mut self, body: &Value) -> Result<Value, String> {
        let mut knobs = serde_json::to_value(&self.knobs).map_err(|e| e.to_string())?;
        let changes = body.as_object().ok_or("knobs: an object is expected")?;
        for (name, value) in changes {
            knobs[name.as_str()] = value.clone();
        }
        self.knobs = serde_json::from_value(knobs).map_err(|e| format!("knobs: {e}"))?;
        Ok(json!({}))
    }

    fn order_failure(&mut self, body: &Value) -> Result<Value, String> {
        let times = body.get("times").and_then(Value::as_u64).unwrap_or(1);
        let form = body.get("form").and_then(Value::as_str).unwrap_or("error").to_owned();
        let times = u32::try_from(times).map_err(|e| e.to_string())?;
        self.failures.push_back(Failure { job: word(body, "job")?.to_owned(), times, form });
        Ok(json!({}))
    }

    fn day(&self, body: &Value) -> Result<NaiveDate, String> {
        match body.get("date").and_then(Value::as_str) {
            Some(date) => date.parse().map_err(|e| format!("date: {e}")),
            None => Ok(self.account.today),
        }
    }

    fn move_report(
        &mut self,
        body: &Value,
        state: &str,
        approved: Option<NaiveDate>,
    ) -> Result<Value, String> {
        let id = word(body, "id")?.to_owned();
        known(self.account.set_state(&id, state, approved))?;
        let today = self.account.today;
        if let Some(report) = self.account.find(&id) {
            report.data.reimbursed = (state == "REIMBURSED").then_some(today);
        }
        Ok(json!({}))
    }

    /// `{report, expense, amount|category|department|project|merchant|comment|remove}`; without `expense`, the first.
    fn edit(&mut self, body: &Value) -> Result<Value, String> {
        let id = word(body, "report")?;
        let report = self.account.find(id).ok_or_else(|| format!("no report {id}"))?;
        if let Some(name) = body.get("name").and_then(Value::as_str) {
            report.data.name = name.to_owned();
        }
        let wanted = body.get("expense").and_then(Value::as_str);
        let index = report.data.expenses.iter().position(|e| wanted.is_none_or(|w| e.id == w));
        let index = index.ok_or_else(|| format!("no such expense in report {id}"))?;
        if body.get("remove") == Some(&Value::Bool(true)) {
            report.data.expenses.remove(index);
            return Ok(json!({}));
        }
        edit_expense(&mut report.data.expenses[index], body);
        Ok(json!({"expense": report.data.expenses[index].id, "total": report.data.total()}))
    }

    fn labels(&self) -> Value {
        let marked = |label: usize| -> Vec<&str> {
            self.live().filter(|r| r.labels.contains(&label)).map(|r| r.data.id.as_str()).collect()
        };
        let by_label = self.account.labels.iter().enumerate().map(|(n, l)| (l.clone(), json!(marked(n))));
        Value::Object(by_label.collect())
    }

    fn one_report(&mut self, body: &Value) -> Result<Value, String> {
        let id = word(body, "id")?;
        let index = *self.account.by_id.get(id).ok_or_else(|| format!("no report {id}"))?;
        let report = &self.account.reports[index];
        Ok(json!({
            "report": report.data,
            "state": self.report_state(report),
            "history": report.history.iter().map(|(what, at)| json!({"what": what, "at": at})).collect::<Vec<_>>(),
            "payment_source": report.payment_source,
        }))
    }
}

/// An amount set by hand is what counts: the converted amount goes away.
fn edit_expense(expense: &mut WorldExpense, body: &Value) {
    if let Some(amount) = body.get("amount").and_then(Value::as_i64) {
        expense.modified_amount = Some(amount);
        expense.converted_amount = None;
    }
    let fields = [
        ("category", &mut expense.category),
        ("department", &mut expense.department),
        ("project", &mut expense.project),
        ("merchant", &mut expense.merchant),
        ("comment", &mut expense.comment),
    ];
    for (name, field) in fields {
        if let Some(text) = body.get(name).and_then(Value::as_str) {
            text.clone_into(field);
        }
    }
}

pub(super) fn word<'v>(body: &'v Value, name: &str) -> Result<&'v str, String> {
    body.get(name).and_then(Value::as_str).ok_or_else(|| format!("\"{name}\" (text) is missing"))
}

pub(super) fn known(done: bool) -> Result<Value, String> {
    if done { Ok(json!({})) } else { Err("there is no such thing".to_owned()) }
}

/// Minor units as people read them.
fn decimal_text(amount: i64, currency: &str) -> String {
    if matches!(currency, "JPY" | "KRW" | "CLP") {
        return format!("{amount} {currency}");
    }
    let (sign, units) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    format!("{sign}{}.{:02} {currency}", units / 100, units % 100)
}
