//! The state that tests and people look at: every document with its reference, and what occurs more than once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::amount::Amount;
use super::docs::{Company, Invoice, Journal};
use super::json::text_of;

pub(super) fn state(companies: &[Company]) -> Value {
    let mut all = Summary::default();
    let by_company: BTreeMap<&str, Value> = companies
        .iter()
        .map(|company| {
            let mut summary = Summary::default();
            let invoices = company.invoices.values().map(|invoice| {
                summary.count(
                    "ap-invoice",
                    &invoice.number,
                    invoice.vendor,
                    &invoice.currency,
                    invoice.total(),
                );
                invoice_value(company, invoice)
            });
            let mut documents: Vec<Value> = invoices.collect();
            documents.extend(company.journals.values().map(|journal| {
                summary.count("gl-journal", &journal.description, 0, &journal.currency, journal.debits());
                journal_value(journal)
            }));
            let value = json!({
                "documents": documents,
                "groups": {
                    "ap": company.ap_groups.keys().collect::<Vec<_>>(),
                    "gl": company.gl_groups.keys().collect::<Vec<_>>(),
                },
                "summary": summary.value(),
            });
            all.add(summary);
            (company.id.as_str(), value)
        })
        .collect();
    json!({ "companies": by_company, "summary": all.value() })
}

#[derive(Default)]
struct Summary {
    documents: u64,
    totals: BTreeMap<String, Amount>,
    references: BTreeMap<(&'static str, String, i64), u64>,
}

impl Summary {
    fn count(&mut self, kind: &'static str, reference: &str, vendor: i64, currency: &str, total: Amount) {
        self.documents += 1;
        let sum = self.totals.entry(currency.to_owned()).or_default();
        *sum = *sum + total;
        if !reference.is_empty() {
            *self.references.entry((kind, reference.to_owned(), vendor)).or_default() += 1;
        }
    }

    /// Vendor numbers differ between companies, so equal references of two companies stay apart only for invoices;
    /// a journal booked in two companies counts as doubled.
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

fn invoice_value(company: &Company, invoice: &Invoice) -> Value {
    let vendor = company.reference.vendor_by_number(invoice.vendor);
    let lines: Vec<Value> = invoice
        .lines
        .iter()
        .map(|line| {
            let accounts: Vec<&str> = line.accounts.iter().map(|row| row.account.as_str()).collect();
            json!({
                "line": line.number,
                "description": line.description,
                "amount": line.extended.to_string(),
                "account": accounts.first().copied().unwrap_or_default(),
                "accounts": accounts,
            })
        })
        .collect();
    json!({
        "kind": if invoice.debit_memo { "ap-debit-memo" } else { "ap-invoice" },
        "reference": invoice.number,
        "vendor": vendor.map_or("", |vendor| text_of(vendor, "VendorID")),
        "vendor_num": invoice.vendor,
        "date": invoice.date.to_string(),
        "apply_date": invoice.apply.to_string(),
        "currency": invoice.currency,
        "total": invoice.total().to_string(),
        "control_total": invoice.vendor_amount.to_string(),
        "variance": invoice.variance().to_string(),
        "description": invoice.description,
        "comment": invoice.comment,
        "external_id": invoice.external_id,
        "cross_reference": invoice.cross_reference,
        "group": invoice.group,
        "posted": invoice.posted,
        "lines": lines,
    })
}

fn journal_value(journal: &Journal) -> Value {
    let lines: Vec<Value> = journal
        .lines
        .iter()
        .map(|line| {
            json!({
                "line": line.number,
                "description": line.description,
                "comment": line.comment,
                "account": line.account,
                "debit": line.debit.to_string(),
                "credit": line.credit.to_string(),
                "amount": (line.debit - line.credit).to_string(),
            })
        })
        .collect();
    json!({
        "kind": "gl-journal",
        "reference": journal.description,
        "journal_num": journal.number,
        "vendor": "",
        "date": journal.date.to_string(),
        "currency": journal.currency,
        "total": journal.debits().to_string(),
        "balanced": journal.debits() == journal.credits(),
        "description": journal.description,
        "comment": journal.comment,
        "group": journal.group,
        "posted": journal.posted.is_some(),
        "lines": lines,
    })
}
