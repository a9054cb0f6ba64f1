//! The state that tests and people look at: every document with its reference, and what occurs more than once. The
//! form is that of the other ERPs, so that one judge compares them all; a line's account is `account|subaccount`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::AcumaticaSim;
use super::record::Record;
use super::tenant::Tenant;
use crate::sim::amount::Amount;

impl AcumaticaSim {
    pub(super) fn books(&self) -> Value {
        let mut all = Summary::default();
        let by_tenant: BTreeMap<&str, Value> = self
            .tenants
            .iter()
            .map(|tenant| {
                let mut summary = Summary::default();
                let documents = documents(tenant, &mut summary);
                let value = json!({ "documents": documents, "summary": summary.value() });
                all.add(summary);
                (tenant.name.as_str(), value)
            })
            .collect();
        json!({
            "companies": by_tenant,
            "summary": all.value(),
            "access": self.access.state(),
            "operations": self.operations.iter().map(super::actions::Operation::state).collect::<Vec<_>>(),
            "queue": {
                "processed": self.throttle.processed(self.now),
                "waiting": self.throttle.waiting(self.now),
                "declined": self.throttle.declined,
                "longest_wait_ms": self.throttle.longest.num_milliseconds(),
            },
            "push": self.push.state(),
        })
    }
}

fn documents(tenant: &Tenant, summary: &mut Summary) -> Vec<Value> {
    let records = |name: &str| tenant.set(name).map_or(&[][..], |set| set.records());
    let bills = records("Bill").iter().map(bill_value);
    bills
        .chain(records("JournalTransaction").iter().map(journal_value))
        .inspect(|one| summary.count(one))
        .collect()
}

#[derive(Default)]
struct Summary {
    documents: u64,
    totals: BTreeMap<String, Amount>,
    references: BTreeMap<(String, String, String), u64>,
}

impl Summary {
    fn count(&mut self, document: &Value) {
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        self.documents += 1;
        let sum = self.totals.entry(text("currency")).or_default();
        *sum = *sum + Amount::parse(&text("total")).unwrap_or_default();
        if !text("reference").is_empty() {
            *self.references.entry((text("kind"), text("reference"), text("vendor"))).or_default() += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.documents += other.documents;
        for (currency, total) in other.totals {
            let sum = self.totals.entry(currency).or_default();
            *sum = *sum + total;
        }
        for (reference, count) in other.references {
            *self.references.entry(reference).or_default() += count;
        }
    }

    fn value(&self) -> Value {
        let totals: BTreeMap<&str, String> =
            self.totals.iter().map(|(currency, total)| (currency.as_str(), total.to_string())).collect();
        let mut doubled: BTreeMap<&str, u64> = BTreeMap::new();
        for ((_, reference, _), count) in self.references.iter().filter(|(_, count)| **count > 1) {
            *doubled.entry(reference).or_default() += count;
        }
        json!({ "documents": self.documents, "total_by_currency": totals, "duplicates_by_reference": doubled })
    }
}

fn account_of(line: &Record) -> String {
    format!("{}|{}", line.text("Account"), line.text("Subaccount"))
}

/// A debit adjustment takes away what a bill adds: its amounts are shown negative.
fn bill_value(bill: &Record) -> Value {
    let kind = match bill.text("Type") {
        "Debit Adj." => "ap-debit-memo",
        "Bill" => "ap-invoice",
        _ => "ap-other",
    };
    let signed = |amount: Amount| if kind == "ap-debit-memo" { -amount } else { amount };
    let lines = bill.lines().iter().enumerate().map(|(index, line)| {
        json!({
            "line": index + 1,
            "id": line.id,
            "description": line.text("TransactionDescription"),
            "amount": signed(line.amount("Amount")).to_string(),
            "account": account_of(line),
            "project": line.text("Project"),
            "task": line.text("ProjectTask"),
            "cost_code": line.text("CostCode"),
            "branch": line.text("Branch"),
        })
    });
    let total: Amount = bill.sum("Amount") + bill.amount("TaxTotal");
    json!({
        "kind": kind,
        "reference": bill.text("VendorRef"),
        "number": bill.text("ReferenceNbr"),
        "id": bill.id,
        "vendor": bill.text("Vendor"),
        "date": bill.text("Date"),
        "period": bill.text("PostPeriod"),
        "currency": bill.text("CurrencyID"),
        "branch": bill.text("BranchID"),
        "total": signed(total).to_string(),
        "control_total": signed(bill.amount("Amount")).to_string(),
        "description": bill.text("Description"),
        "status": bill.text("Status"),
        "posted": bill.text("Status") == "Open",
        "files": bill.files,
        "lines": lines.collect::<Vec<_>>(),
    })
}

/// A journal has no key of its own for a reference: it is the first word of the description where that ends in the lines'
/// reference number, else the description.
fn journal_value(journal: &Record) -> Value {
    let lines = journal.lines().iter().map(|line| {
        let (debit, credit) = (line.amount("DebitAmount"), line.amount("CreditAmount"));
        json!({
            "line": line.fields.get("LineNbr").and_then(super::json::Json::as_i64),
            "id": line.id,
            "description": line.text("TransactionDescription"),
            "reference": line.text("ReferenceNbr"),
            "account": account_of(line),
            "project": line.text("Project"),
            "task": line.text("ProjectTask"),
            "cost_code": line.text("CostCode"),
            "branch": line.text("BranchID"),
            "debit": debit.to_string(),
            "credit": credit.to_string(),
            "amount": (debit - credit).to_string(),
        })
    });
    let described = journal.text("Description");
    let of_lines = journal.lines().first().map_or("", |line| line.text("ReferenceNbr"));
    let first = described.split(' ').next().unwrap_or_default();
    let named = !of_lines.is_empty() && first.ends_with(of_lines);
    let (debits, credits) = (journal.sum("DebitAmount"), journal.sum("CreditAmount"));
    json!({
        "kind": "gl-journal",
        "reference": if named { first } else { described },
        "number": journal.text("BatchNbr"),
        "id": journal.id,
        "vendor": "",
        "date": journal.text("TransactionDate"),
        "period": journal.text("PostPeriod"),
        "currency": journal.text("CurrencyID"),
        "branch": journal.text("BranchID"),
        "total": debits.to_string(),
        "balanced": debits == credits,
        "description": described,
        "status": journal.text("Status"),
        "posted": matches!(journal.text("Status"), "Posted" | "Unposted"),
        "lines": lines.collect::<Vec<_>>(),
    })
}
