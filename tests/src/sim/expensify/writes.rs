//! Writes: policies, employees, report status, and the `create` jobs that only test data needs.

use super::ExpensifySim;
use super::account::{Category, Policy, PolicyEmployee, Tag};
use super::job::{Job, Refusal, date, text};
use crate::server::Reply;
use crate::world::{WorldExpense, WorldReport};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

type Object = Map<String, Value>;

impl ExpensifySim {
    pub(super) fn update_policy(&mut self, job: &Job) -> Result<Reply, Refusal> {
        self.only_admins()?;
        let settings = job.settings();
        let ids: Vec<String> = match (settings.get("policyID"), settings.get("policyIDList")) {
            (Some(Value::String(id)), _) => vec![id.clone()],
            (None, Some(Value::Array(ids))) => {
                ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
            }
            _ => return Err(Refusal::missing("policyID")),
        };
        let mut updated = Vec::new();
        for id in &ids {
            let index = self.account.policy(id).ok_or_else(|| Refusal::new(404, "Policy not found"))?;
            let mut policy = self.account.policies[index].clone();
            if let Some(change) = job.description.get("categories") {
                change_categories(&mut policy, change)?;
            }
            if let Some(change) = job.description.get("tags") {
                change_tags(&mut policy, change)?;
            }
            if let Some(change) = job.description.get("reportFields") {
                change_report_fields(&mut policy, change)?;
            }
            updated.push((index, policy));
        }
        for (index, policy) in updated {
            let names = |policy: &Policy| -> Vec<String> {
                policy
                    .tag_levels
                    .iter()
                    .flat_map(|(_, tags)| tags.iter().map(|tag| tag.name.clone()))
                    .collect()
            };
            let kept = names(&policy);
            let before = names(&self.account.policies[index]);
            self.account.tags_deleted += before.iter().filter(|name| !kept.contains(name)).count();
            self.account.policies[index] = policy;
        }
        Ok(Reply::json(200, &json!({"responseCode": 200})))
    }

    fn only_admins(&self) -> Result<(), Refusal> {
        if self.knobs.policy_admin {
            return Ok(());
        }
        Err(Refusal::new(500, "Not authorized to authenticate as user owner@example.test"))
    }

    /// Whom the expenses of a tag go to; an empty approver takes him away. Only where there is a single level.
    pub(super) fn update_tag_approvers(&mut self, job: &Job) -> Result<Reply, Refusal> {
        if !self.knobs.policy_admin {
            return Err(Refusal::new(403, "Not a policy admin"));
        }
        let policy = self.named_policy(job.settings())?;
        let list = job.description.get("tagApprovers").and_then(Value::as_array);
        let list = list.ok_or_else(|| Refusal::missing("tagApprovers"))?.clone();
        let [(_, tags)] = self.account.policies[policy].tag_levels.as_mut_slice() else {
            return Err(Refusal::invalid("'tagApprovers' object malformed"));
        };
        let mut changed = tags.clone();
        for item in &list {
            let item = item.as_object().ok_or_else(|| Refusal::invalid("'tagApprovers' object malformed"))?;
            let name = required(item, "name")?;
            let tag = changed.iter_mut().find(|tag| tag.name == name);
            let tag = tag.ok_or_else(|| Refusal::invalid(format!("Invalid tag name '{name}'")))?;
            text(item, "approver")?.unwrap_or("").clone_into(&mut tag.approver);
        }
        *tags = changed;
        Ok(Reply::json(200, &json!({"responseCode": 200})))
    }

    pub(super) fn update_employees(&mut self, job: &Job) -> Result<Reply, Refusal> {
        self.only_admins()?;
        if text(&job.description, "dataSource")? != Some("request") {
            return Err(Refusal::malformed("dataSource"));
        }
        let dry_run = job.description.get("dry-run").is_some_and(|d| d == true || d == "true");
        let data = job.form.get("data").ok_or_else(|| Refusal::missing("data"))?;
        let parsed: Value = serde_json::from_str(data).map_err(|_| Refusal::malformed("data"))?;
        let rows = parsed.get("Employees").unwrap_or(&parsed).as_array();
        let rows = rows.ok_or_else(|| Refusal::malformed("data"))?;
        let (mut skipped, mut count) = (Vec::new(), 0);
        let (mut added, mut removed) =
            (BTreeMap::<String, Vec<String>>::new(), BTreeMap::<String, Vec<String>>::new());
        for row in rows {
            let row = row.as_object().ok_or_else(|| Refusal::malformed("data"))?;
            match self.employee_row(row) {
                Err(reason) => {
                    skipped.push(json!({"email": row.get("employeeEmail").cloned().unwrap_or_default(), "reason": reason}));
                }
                Ok((policy, employee)) => {
                    count += 1;
                    let terminated = row.get("isTerminated").is_some_and(|t| t == true || t == "true");
                    let diff = if terminated { &mut removed } else { &mut added };
                    let id = self.account.policies[policy].id.clone();
                    diff.entry(id).or_default().push(employee.email.clone());
                    if !dry_run {
                        self.put_employee(policy, employee, terminated);
                    }
                }
            }
        }
        Ok(Reply::json(
            200,
            &json!({
                "responseCode": 200, "dry-run": dry_run, "updatedEmployeesCount": count,
                "diff": {"diffToAdd": added, "diffToRemove": removed},
                "securityGroupEmployeesMap": {}, "skippedEmployees": skipped,
            }),
        ))
    }

    fn employee_row(&self, row: &Object) -> Result<(usize, PolicyEmployee), String> {
        let field = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        for name in ["employeeEmail", "managerEmail", "employeeID", "policyID"] {
            if field(name).is_empty() {
                return Err(format!("Missing required field '{name}'"));
            }
        }
        let policy = self.account.policy(&field("policyID"));
        let policy = policy.ok_or_else(|| format!("No policy found for '{}'", field("policyID")))?;
        let manager = field("managerEmail");
        if !manager.contains('@') {
            return Err(format!("Invalid manager email address '{manager}'"));
        }
        let role = if field("role").is_empty() { "user".to_owned() } else { field("role") };
        Ok((
            policy,
            PolicyEmployee {
                email: field("employeeEmail"),
                role,
                submits_to: manager,
                employee_id: field("employeeID"),
                custom_field2: field("customField2"),
            },
        ))
    }

    /// The employee id is the identity: another address under the same id renames the member.
    fn put_employee(&mut self, policy: usize, employee: PolicyEmployee, terminated: bool) {
        let members = &mut self.account.policies[policy].employees;
        members.retain(|m| m.employee_id != employee.employee_id && m.email != employee.email);
        if !terminated {
            members.push(employee);
        }
    }

    pub(super) fn update_report_status(&mut self, job: &Job, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let settings = job.settings();
        let status = text(settings, "status")?.ok_or_else(|| Refusal::missing("status"))?;
        if status != "REIMBURSED" {
            return Err(Refusal::invalid(format!("Status '{status}' is not supported")));
        }
        let source = text(settings, "paymentSource")?.unwrap_or("").to_owned();
        if source.is_empty() || source.chars().count() > 100 {
            return Err(Refusal::malformed("paymentSource"));
        }
        let filters = settings.get("filters").and_then(Value::as_object);
        let filters = filters.ok_or_else(|| Refusal::missing("filters"))?;
        let ids = text(filters, "reportIDList")?.ok_or_else(|| Refusal::missing("reportIDList"))?;
        let (mut moved, mut skipped) = (Vec::new(), Vec::new());
        for id in ids.split(',').map(str::trim) {
            let Some(report) = self.account.find(id) else {
                skipped.push(json!({"reportID": id, "reason": "Report not found"}));
                continue;
            };
            if report.data.state != "APPROVED" {
                let word = match report.data.state.as_str() {
                    "OPEN" => "Open",
                    "SUBMITTED" => "Processing",
                    "REIMBURSED" => "Reimbursed",
                    _ => "Archived",
                };
                skipped.push(json!({"reportID": id, "reason": format!("Report is in status '{word}'")}));
                continue;
            }
            report.data.state = "REIMBURSED".to_owned();
            report.data.reimbursed = Some(now.date_naive());
            report.payment_source.clone_from(&source);
            report.history.push((format!("Reimbursed by {source}"), now));
            moved.push(id.to_owned());
        }
        let mut answer = json!({"responseCode": 200, "reportIDs": moved});
        if !skipped.is_empty() {
            answer["skippedReports"] = Value::Array(skipped);
        }
        Ok(Reply::json(200, &answer))
    }

    pub(super) fn create_report(&mut self, job: &Job, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        self.wrong("a report was created".to_owned());
        let settings = job.settings();
        let policy = self.named_policy(settings)?;
        let email = required(settings, "employeeEmail")?.to_owned();
        let title = settings.get("report").and_then(|r| r.get("title")).and_then(Value::as_str);
        let title = title.ok_or_else(|| Refusal::malformed("report"))?.to_owned();
        let id = self.open_report(&email, &title, policy, now);
        let expenses = settings.get("expenses").and_then(Value::as_array).cloned().unwrap_or_default();
        for expense in &expenses {
            let expense = expense.as_object().ok_or_else(|| Refusal::malformed("expenses"))?;
            self.add_expense(&id, expense, "date")?;
        }
        Ok(Reply::json(200, &json!({"responseCode": 200, "reportID": id, "reportName": title})))
    }

    /// No idempotency: the same call twice makes the expenses twice.
    pub(super) fn create_expenses(&mut self, job: &Job, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        self.wrong("an expense was created".to_owned());
        let settings = job.settings();
        let email = settings.get("employeeEmail").and_then(Value::as_str);
        let email = email
            .ok_or_else(|| Refusal::invalid("'employeeEmail' parameter is missing or malformed"))?
            .to_owned();
        let list = settings.get("transactionList").and_then(Value::as_array);
        let list = list.ok_or_else(|| Refusal::missing("transactionList"))?;
        let mut answers = Vec::new();
        for item in list {
            let item = item.as_object().ok_or_else(|| Refusal::malformed("transactionList"))?;
            let report = match text(item, "reportID")? {
                Some(id) if self.account.by_id.contains_key(id) => id.to_owned(),
                Some(id) => return Err(Refusal::new(404, format!("Report '{id}' not found"))),
                None => self.open_report(&email, "Expense Report", 0, now),
            };
            let expense = self.add_expense(&report, item, "created")?;
            let category =
                if expense.category.is_empty() { "Uncategorized" } else { expense.category.as_str() };
            answers.push(json!({
                "amount": expense.amount, "reportID": report, "created": expense.date.to_string(),
                "merchant": expense.merchant, "currency": expense.currency, "comment": expense.comment, "tag": "",
                "mcc": 0, "category": category, "transactionID": expense.id,
            }));
        }
        Ok(Reply::json(200, &json!({"transactionList": answers, "responseCode": 200})))
    }

    pub(super) fn create_policy(&mut self, job: &Job) -> Result<Reply, Refusal> {
        let name = required(job.settings(), "policyName")?.to_owned();
        let kind = text(job.settings(), "plan")?.unwrap_or("team").to_owned();
        let id = format!("{:016X}", self.rng.u64(..));
        self.account.policies.push(Policy {
            id: id.clone(),
            name: name.clone(),
            kind,
            categories: Vec::new(),
            tag_levels: Vec::new(),
            report_fields: Vec::new(),
            tax: None,
            employees: Vec::new(),
        });
        Ok(Reply::json(200, &json!({"responseCode": 200, "policyID": id, "policyName": name})))
    }

    fn named_policy(&self, settings: &Object) -> Result<usize, Refusal> {
        let id = required(settings, "policyID")?;
        self.account.policy(id).ok_or_else(|| Refusal::new(404, "Policy not found"))
    }

    fn open_report(&mut self, email: &str, title: &str, policy: usize, now: DateTime<Utc>) -> String {
        let id = loop {
            let tail: String = (0..9).map(|_| self.rng.alphanumeric()).collect();
            let id = format!("R00{tail}");
            if !self.account.by_id.contains_key(&id) {
                break id;
            }
        };
        let report = WorldReport {
            id: id.clone(),
            name: title.to_owned(),
            state: "OPEN".to_owned(),
            employee: email.to_owned(),
            currency: self.account.currency.clone(),
            submitted: None,
            approved: None,
            reimbursed: None,
            expenses: Vec::new(),
            expect_hold: None,
            expect_hold_ap: None,
        };
        let index = self.account.add(report, policy);
        self.account.reports[index].created = now.date_naive();
        id
    }

    fn add_expense(&mut self, report: &str, item: &Object, day: &str) -> Result<WorldExpense, Refusal> {
        let amount =
            item.get("amount").and_then(Value::as_i64).ok_or_else(|| Refusal::malformed("amount"))?;
        let expense = WorldExpense {
            id: self.account.new_transaction_id(),
            date: date(item, day)?.ok_or_else(|| Refusal::missing(day))?,
            merchant: required(item, "merchant")?.to_owned(),
            modified_merchant: None,
            category: text(item, "category")?.unwrap_or("").to_owned(),
            department: String::new(),
            project: String::new(),
            amount,
            currency: required(item, "currency")?.to_owned(),
            modified_amount: None,
            converted_amount: None,
            tax: None,
            reimbursable: item.get("reimbursable").is_none_or(|r| r == true),
            billable: item.get("billable").is_some_and(|b| b == true),
            comment: text(item, "comment")?.unwrap_or("").to_owned(),
        };
        if let Some(report) = self.account.find(report) {
            report.data.expenses.push(expense.clone());
        }
        Ok(expense)
    }
}

fn required<'v>(object: &'v Object, name: &str) -> Result<&'v str, Refusal> {
    text(object, name)?.filter(|t| !t.is_empty()).ok_or_else(|| Refusal::missing(name))
}

/// `action` and `data` of a change; `true` = replace.
fn change<'v>(change: &'v Value, name: &str) -> Result<(bool, Vec<&'v Object>), Refusal> {
    let malformed = || Refusal::invalid(format!("'{name}' object malformed"));
    let data = change.get("data").and_then(Value::as_array).ok_or_else(malformed)?;
    let items = data.iter().map(Value::as_object).collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
    match change.get("action").and_then(Value::as_str) {
        Some("replace") => Ok((true, items)),
        Some("merge") => Ok((false, items)),
        _ if name == "tags" => Ok((true, items)),
        _ => Err(malformed()),
    }
}

fn change_categories(policy: &mut Policy, value: &Value) -> Result<(), Refusal> {
    let (replace, items) = change(value, "categories")?;
    let old = if replace { std::mem::take(&mut policy.categories) } else { policy.categories.clone() };
    for item in items {
        let name = required(item, "name").map_err(|_| Refusal::invalid("'categories' object malformed"))?;
        let before = old.iter().find(|c| c.name == name);
        let word = |key: &str, before: Option<&String>| -> Result<String, Refusal> {
            Ok(text(item, key)?.map(str::to_owned).or_else(|| before.cloned()).unwrap_or_default())
        };
        let category = Category {
            name: name.to_owned(),
            enabled: item
                .get("enabled")
                .and_then(Value::as_bool)
                .or(before.map(|b| b.enabled))
                .unwrap_or(true),
            gl_code: word("glCode", before.map(|b| &b.gl_code))?,
            payroll_code: word("payrollCode", before.map(|b| &b.payroll_code))?,
            comment_hint: text(item, "commentHint")?.unwrap_or("").to_owned(),
            comments_required: item.get("areCommentsRequired").and_then(Value::as_bool),
            max_amount: item.get("maxExpenseAmount").and_then(Value::as_i64),
        };
        match policy.categories.iter_mut().find(|c| c.name == name) {
            Some(slot) => *slot = category,
            None => policy.categories.push(category),
        }
    }
    Ok(())
}

/// Whatever `action` says, what is not listed is gone.
fn change_tags(policy: &mut Policy, value: &Value) -> Result<(), Refusal> {
    if value.get("source").is_some_and(|s| s == "file") {
        return Err(Refusal::invalid("tags from a file are not simulated"));
    }
    let (_, items) = change(value, "tags")?;
    let mut levels = Vec::new();
    for item in items {
        let name = required(item, "name")?.to_owned();
        let tags = item
            .get("tags")
            .and_then(Value::as_array)
            .ok_or_else(|| Refusal::invalid("'tags' object malformed"))?;
        let mut list = Vec::new();
        for tag in tags {
            let tag = tag.as_object().ok_or_else(|| Refusal::invalid("'tags' object malformed"))?;
            list.push(Tag {
                name: required(tag, "name")?.replace("\\:", ":"),
                gl_code: text(tag, "glCode")?.unwrap_or("").to_owned(),
                enabled: tag.get("enabled").and_then(Value::as_bool).unwrap_or(true),
                approver: String::new(),
            });
        }
        levels.push((name, list));
    }
    // An approver belongs to the tag of that name.
    for (level, tags) in &mut levels {
        let old = policy.tag_levels.iter().find(|(name, _)| name == level);
        for tag in tags {
            let before = old.and_then(|(_, old)| old.iter().find(|o| o.name == tag.name));
            tag.approver = before.map(|b| b.approver.clone()).unwrap_or_default();
        }
    }
    policy.tag_levels = levels;
    Ok(())
}

fn change_report_fields(policy: &mut Policy, value: &Value) -> Result<(), Refusal> {
    let (replace, items) = change(value, "reportFields")?;
    if replace {
        policy.report_fields.retain(|f| f.1 == "formula");
    }
    for item in items {
        let name = required(item, "name")?.to_owned();
        let kind = required(item, "type")?.to_owned();
        if kind == "formula" {
            return Err(Refusal::invalid("'reportFields' object malformed"));
        }
        let values = item.get("values").and_then(Value::as_array).cloned().unwrap_or_default();
        let word =
            |v: &Value| v.get("name").or_else(|| v.get("value")).and_then(Value::as_str).map(str::to_owned);
        let values = values.iter().filter_map(word).collect();
        policy.report_fields.retain(|f| f.0 != name);
        policy.report_fields.push((name, kind, values));
    }
    Ok(())
}
