//! The accounting records below `/v3`: lists with their narrow default window, one record, and the reports of what
//! became of them.

use super::BrexSim;
use super::books::{Line, Record, Status};
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use super::wire;
use crate::server::Request;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Most ids in one list call.
const MOST_IDS: usize = 500;
const PARAMETERS: &[&str] = &[
    "ids",
    "review_status",
    "source_type",
    "updated_at[gt]",
    "updated_at[gte]",
    "updated_at[lt]",
    "updated_at[lte]",
    "limit",
    "cursor",
    "single_entry",
];

/// What one record's report says.
enum Report {
    Success { reference: Option<String>, link: Option<String> },
    Failure(String),
}

impl BrexSim {
    pub(super) fn list_records(&mut self, query: &Query, request: &Request) -> Outcome<Value> {
        let strange: Vec<String> = query.unknown(PARAMETERS).into_iter().map(str::to_owned).collect();
        for name in strange {
            self.wrong(format!("records were filtered by `{name}`, which does not exist"));
        }
        let ids: BTreeSet<&str> = query.all("ids").into_iter().collect();
        if query.all("ids").len() > MOST_IDS {
            return Err(Refusal::malformed());
        }
        let status = query.one("review_status").map(|word| Status::of(word).ok_or_else(Refusal::malformed));
        let status = status.transpose()?;
        let source = query.one("source_type");
        if source.is_some_and(|word| !matches!(word, "CARD" | "REIMBURSEMENT" | "BILL"))
            || (source == Some("BILL") && status.is_some())
        {
            return Err(Refusal::malformed());
        }
        let single = query.flag("single_entry")?;
        let (gt, gte) = (query.moment("updated_at[gt]")?, query.moment("updated_at[gte]")?);
        let (lt, lte) = (query.moment("updated_at[lt]")?, query.moment("updated_at[lte]")?);
        let unbounded = ids.is_empty() && [gt, gte, lt, lte].iter().all(Option::is_none);
        if unbounded {
            self.wrong("records were listed without a bound on `updated_at`".to_owned());
        }
        let since = unbounded.then(|| request.at - TimeDelta::hours(self.knobs.default_window_hours));
        let bills = self.knobs.bills_exportable;
        let wanted = |record: &&Record| {
            let at = record.updated;
            (ids.is_empty() || ids.contains(record.id.as_str()))
                && source.is_none_or(|word| record.source_type == word)
                && status.is_none_or(|s| record.status == s && (bills || record.source_type != "BILL"))
                && gt.is_none_or(|bound| at > bound)
                && gte.is_none_or(|bound| at >= bound)
                && lt.is_none_or(|bound| at < bound)
                && lte.is_none_or(|bound| at <= bound)
                && since.is_none_or(|bound| at >= bound)
        };
        let mut found: Vec<&Record> = if self.knobs.hide_records {
            Vec::new()
        } else {
            self.books.records.iter().filter(wanted).collect()
        };
        found.sort_by(|a, b| (a.updated, &a.id).cmp(&(b.updated, &b.id)));
        let page =
            self.page(query, self.knobs.records_limit, &found, |r| self.record_body(r, single, request))?;
        let (total, more) = (page.total, page.next.is_some());
        let mut body = self.page_body(page);
        body["has_next_page"] = more.into();
        body["total_count"] = total.into();
        Ok(body)
    }

    pub(super) fn one_record(&self, id: &str, query: &Query, request: &Request) -> Outcome<Value> {
        let single = query.flag("single_entry")?;
        let hidden = self.knobs.hide_records;
        let record = self.books.record(id).filter(|_| !hidden);
        let record = record
            .ok_or_else(|| Refusal::not_found("The requested accounting record was not found.", None))?;
        Ok(self.record_body(record, single, request))
    }

    /// The shape of single entry is not known; here the lines without an account are left out.
    pub(super) fn record_body(&self, record: &Record, single: bool, request: &Request) -> Value {
        let money = |minor: i64, currency: &str| wire::major(minor, currency, self.knobs.numbers);
        let sign = if record.is_inflow() && self.knobs.negative_refunds { -1 } else { 1 };
        let amount = money(sign * record.amount(), &record.currency);
        let lines: Vec<Value> = record
            .lines
            .iter()
            .filter(|line| !single || line.spend)
            .map(|line| self.line_body(line, record))
            .collect();
        let mut body = json!({
            "id": record.id,
            "type": record.kind,
            "review_status": self.shown_status(record),
            "source_type": record.source_type,
            "source_id": record.source_id,
            "version": record.version,
            "amount": amount,
            "original_amount": money(sign * record.original(), &record.original_currency),
            "erp_posting_date": wire::micros(record.posted),
            "posted_at": wire::millis(record.posted),
            "updated_at": wire::micros(record.updated),
            "due_at": record.due.map(|day| format!("{day}T00:00:00Z")),
            "invoice_number": record.invoice_number,
            "memo": record.memo,
            "user": record.user.as_ref().map(|id| self.record_user(id)),
            "vendor": record.merchant.as_ref().map(|(id, merchant)| json!({
                "id": id, "name": merchant.name, "contact_name": null, "email": null, "website": null,
                "phone": null})),
            "receipts": self.receipts(record, request),
            "line_items": lines,
        });
        if self.knobs.extra_fields {
            body["status"] = "SUBMITTED".into();
            body["billing_amount"] = amount;
        }
        body
    }

    /// What a bill's status means is not documented.
    fn shown_status(&self, record: &Record) -> &'static str {
        let open = record.status != Status::Exported;
        if record.source_type == "BILL" && !self.knobs.bills_exportable && open {
            Status::Review.as_str()
        } else {
            record.status.as_str()
        }
    }

    fn line_body(&self, line: &Line, record: &Record) -> Value {
        let values = line.values.iter().filter_map(|(field, value)| self.value_body(field, value));
        let mut body = json!({
            "id": line.id,
            "type": if line.debit { "DEBIT" } else { "CREDIT" },
            "memo": line.memo,
            "amount": wire::major(line.amount, &record.currency, self.knobs.numbers),
            "original_amount": wire::major(line.original, &record.original_currency, self.knobs.numbers),
            "accounting_field_values": values.collect::<Vec<_>>(),
        });
        if self.knobs.extra_fields {
            body["amortization"] = Value::Null;
        }
        body
    }

    fn value_body(&self, field: &str, value: &str) -> Option<Value> {
        let field = self.books.fields.iter().find(|known| known.id == field)?;
        let value = field.values.iter().find(|known| known.id == value)?;
        let mut body = json!({
            "brex_field_id": field.id, "remote_field_id": field.remote_id,
            "brex_field_value_id": value.id, "remote_field_value_id": value.remote_id});
        if self.knobs.extra_fields {
            body["field_name"] = field.name.clone().into();
            body["field_value_name"] = value.value.clone().into();
            body["type"] = "IDENTIFIER".into();
        }
        Some(body)
    }

    fn record_user(&self, id: &str) -> Value {
        let Some(user) = self.books.user(id) else { return Value::Null };
        let blank = if self.knobs.trailing_blanks { " " } else { "" };
        let mut body = json!({
            "id": user.id,
            "first_name": format!("{}{blank}", user.data.first_name),
            "last_name": format!("{}{blank}", user.data.last_name),
            "email": user.data.email,
            "role": "EMPLOYEE",
            "status": "ACTIVE",
            "manager_id": user.manager,
            "department_id": user.department,
            "location_id": user.location,
        });
        if self.knobs.extra_fields {
            body["account_id"] = self.books.company_id.clone().into();
        }
        body
    }

    pub(super) fn export_results(&mut self, body: &Value, now: DateTime<Utc>) -> Outcome<Value> {
        let results = body.get("results").and_then(Value::as_array).filter(|list| !list.is_empty());
        let results = results.ok_or_else(Refusal::malformed)?;
        let reports = results.iter().map(report_of).collect::<Outcome<Vec<_>>>()?;
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<&str> =
            reports.iter().filter(|(id, _)| !seen.insert(*id)).map(|(id, _)| *id).collect();
        if !twice.is_empty() {
            let refusal = Refusal::unprocessable(
                "DUPLICATE_ACCOUNTING_RECORD_IDS",
                "The same accounting record id appears more than once.",
            );
            return Err(refusal.with(json!({"duplicate_accounting_record_ids": twice})));
        }
        let unknown: Vec<&str> =
            reports.iter().map(|(id, _)| *id).filter(|id| self.books.record(id).is_none()).collect();
        if !unknown.is_empty() {
            let words = format!("Accounting record source IDs not found: {}", unknown.join(", "));
            let details = json!({"not_found_export_entry_source_ids": unknown});
            return Err(Refusal::not_found(words, None).with(details));
        }
        self.apply(&reports, now)
    }

    fn apply(&mut self, reports: &[(&str, Report)], now: DateTime<Utc>) -> Outcome<Value> {
        let ready: Vec<bool> = reports.iter().map(|(id, _)| self.is_exportable(id)).collect();
        let late: Vec<&str> =
            reports.iter().zip(&ready).filter(|(_, ready)| !**ready).map(|((id, _), _)| *id).collect();
        for (id, report) in reports {
            self.note_contradiction(id, report);
        }
        let refusal = (!late.is_empty()).then(|| {
            Refusal::unprocessable(
                "ACCOUNTING_RECORD_NOT_READY_FOR_EXPORT",
                "Accounting records that are not ready for export cannot be reported.",
            )
            .with(json!({"not_ready_for_export_accounting_record_ids": late}))
        });
        if let Some(refusal) = refusal.clone().filter(|_| self.knobs.atomic_batches) {
            return Err(refusal);
        }
        let failed = Status::of(&self.knobs.failure_status).unwrap_or(Status::Review);
        let mut updated = Vec::new();
        for ((id, report), _) in reports.iter().zip(&ready).filter(|(_, ready)| **ready) {
            let Some(record) = self.books.record_mut(id) else { continue };
            match report {
                Report::Success { reference, link } => {
                    record.status = Status::Exported;
                    (record.reference, record.link) = (reference.clone(), link.clone());
                    (record.exported, record.failure, record.reported) = (Some(now), None, true);
                }
                Report::Failure(message) => {
                    record.status = failed;
                    record.failure = Some(message.clone());
                }
            }
            record.touch(now);
            updated.push((*id).to_owned());
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(json!({"updated_accounting_record_ids": updated})),
        }
    }

    fn is_exportable(&self, id: &str) -> bool {
        let bills = self.knobs.bills_exportable;
        self.books.record(id).is_some_and(|r| r.status == Status::Ready && (bills || r.source_type != "BILL"))
    }

    /// A second report of the same thing is how a lost answer is settled; one of another thing is a mistake.
    fn note_contradiction(&mut self, id: &str, report: &Report) {
        let reported = |r: &&Record| r.status == Status::Exported && r.reported;
        let Some(record) = self.books.record(id).filter(reported) else { return };
        let same = matches!(report, Report::Success { reference, .. } if *reference == record.reference);
        if !same {
            self.wrong(format!("record {id} is exported and was reported otherwise"));
        }
    }
}

fn report_of(result: &Value) -> Outcome<(&str, Report)> {
    let id = result.get("accounting_record_id").and_then(Value::as_str).ok_or_else(Refusal::malformed)?;
    let report = match (result.get("success"), result.get("failure")) {
        (Some(success), None) => {
            let success = success.as_object().ok_or_else(Refusal::malformed)?;
            let reference = match success.get("reference_id") {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(_) => return Err(Refusal::malformed()),
            };
            let link = match success.get("deep_link_url") {
                None => None,
                Some(Value::String(text)) => Some(text.clone()),
                // Not nullable, as documented.
                Some(_) => return Err(Refusal::malformed()),
            };
            Report::Success { reference, link }
        }
        (None, Some(failure)) => {
            let message =
                failure.get("error_message").and_then(Value::as_str).ok_or_else(Refusal::malformed)?;
            Report::Failure(message.to_owned())
        }
        _ => return Err(Refusal::malformed()),
    };
    Ok((id, report))
}
