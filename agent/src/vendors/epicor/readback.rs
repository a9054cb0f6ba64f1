//! Reads back everything under a prefix, for the proof: invoices, unposted journals and posted ones, each with the
//! spend total it really has. A journal's total is the sum of the lines marked as spend; where the marks are gone
//! (a person rewrote the texts) the comment's total stands in, and without that the debit side.

use super::calls::{date_literal, literal};
use super::client::Client;
use super::convert::{FoundEntry, commented_total, side};
use super::lookup::{
    FoundInvoice, FoundJournal, JournalKey, entry_query, header_query, invoice_query, journal_lines,
    ledger_query, merge,
};
use super::outcome::{Kind, Refusal};
use super::wire::{Row, date, text};
use crate::vendors::ErpDocument;
use spend::Date;
use spend::ids::CompanyId;
use spend::money::{Currency, Money};
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeMap;

/// All documents of one company under `prefix`, dated from `from` to `to`.
pub(super) async fn read_back(
    client: &Client,
    company: &CompanyId,
    prefix: &str,
    days: (Date, Date),
) -> Result<Vec<ErpDocument>, Failure> {
    let mut documents = invoices(client, company, prefix, days).await?;
    documents.extend(journals(client, company, prefix, days).await?);
    Ok(documents)
}

fn between(column: &str, days: (Date, Date)) -> String {
    format!("{column} ge {} and {column} le {}", date_literal(days.0), date_literal(days.1))
}

async fn invoices(
    client: &Client,
    company: &CompanyId,
    prefix: &str,
    days: (Date, Date),
) -> Result<Vec<ErpDocument>, Failure> {
    let filter = format!("startswith(InvoiceNum,{}) and {}", literal(prefix), between("InvoiceDate", days));
    let rows = client.all_rows(company, &invoice_query(filter)).await?;
    rows.into_iter().map(|row| invoice_document(client, row)).collect()
}

fn invoice_document(client: &Client, row: Row) -> Result<ErpDocument, Failure> {
    let currency = currency_of(client, &row)?;
    let unreadable = || unreadable_total(&text(&row, "InvoiceNum"));
    let columns = ["DocInvoiceAmt", "DocInvoiceVendorAmt"];
    let total = super::convert::amount_in(&row, &columns, currency).ok_or_else(unreadable)?;
    let day = date(&row, "InvoiceDate");
    let invoice = FoundInvoice::of(row);
    Ok(ErpDocument { reference: invoice.number.clone(), receipt: invoice.receipt(), date: day, total })
}

async fn journals(
    client: &Client,
    company: &CompanyId,
    prefix: &str,
    days: (Date, Date),
) -> Result<Vec<ErpDocument>, Failure> {
    let begins = format!("startswith(Description,{})", literal(prefix));
    let dated = format!("{begins} and {}", between("JEDate", days));
    let headers = client.all_rows(company, &header_query(dated.clone())).await?;
    let ledger = match client.all_rows(company, &ledger_query(dated)).await {
        Err(refusal) if refusal.kind == Kind::BadQuery => {
            client.all_rows(company, &ledger_query(begins.clone())).await?
        }
        rows => rows?,
    };
    let mut found = merge(headers, ledger, &client.settings.book);
    fill_lines(client, company, begins, &mut found).await?;
    let mut documents = Vec::new();
    for (key, journal) in found {
        let day = journal_date(&journal);
        if day.is_some_and(|day| day < days.0 || days.1 < day) {
            continue;
        }
        documents.push(journal_document(client, &key, &journal, day)?);
    }
    Ok(documents)
}

/// Reads the lines of all unposted journals at once; one whose lines bear other texts is read by itself.
async fn fill_lines(
    client: &Client,
    company: &CompanyId,
    begins: String,
    found: &mut BTreeMap<JournalKey, FoundJournal>,
) -> Result<(), Refusal> {
    if found.values().all(|journal| !journal.lines.is_empty()) {
        return Ok(());
    }
    let rows = match client.all_rows(company, &entry_query(begins)).await {
        Err(refusal) if refusal.kind == Kind::BadQuery => Vec::new(),
        rows => rows?,
    };
    let mut lines: BTreeMap<JournalKey, Vec<Row>> = BTreeMap::new();
    for row in rows {
        lines.entry(JournalKey::of(&row)).or_default().push(row);
    }
    for (key, journal) in found.iter_mut().filter(|(_, journal)| journal.lines.is_empty()) {
        journal.lines = match lines.remove(key) {
            Some(rows) if balanced(&rows, client, journal) => rows,
            Some(_) | None => journal_lines(client, company, key).await?,
        };
    }
    Ok(())
}

fn balanced(rows: &[Row], client: &Client, journal: &FoundJournal) -> bool {
    let Ok(currency) = currency_of(client, journal.header.as_ref().unwrap_or(&rows[0])) else { return false };
    let amounts: Option<Vec<Money>> =
        rows.iter().map(|row| super::convert::entry_amount(row, currency)).collect();
    amounts.and_then(|amounts| Money::sum(currency, amounts).ok()).is_some_and(|sum| sum.is_zero())
}

fn journal_document(
    client: &Client,
    key: &JournalKey,
    journal: &FoundJournal,
    day: Option<Date>,
) -> Result<ErpDocument, Failure> {
    let head = journal.header.as_ref().or(journal.lines.first());
    let currency = match head {
        Some(head) => currency_of(client, head)?,
        None => client.settings.currency.ok_or_else(|| no_currency(&journal.description))?,
    };
    let comment = journal.header.as_ref().map(|header| text(header, "CommentText")).unwrap_or_default();
    let reference = journal.description.split(' ').next().unwrap_or_default().to_owned();
    let total = spend_total(&journal.entries(currency), &comment, currency)
        .ok_or_else(|| unreadable_total(&reference))?;
    Ok(ErpDocument { reference, receipt: journal.receipt(key), date: day, total })
}

/// The spend total of a journal.
pub(super) fn spend_total(entries: &[FoundEntry], comment: &str, currency: Currency) -> Option<Money> {
    let sides: Vec<Option<bool>> = entries.iter().map(|entry| side(&entry.text)).collect();
    let sum = |wanted: &dyn Fn(usize, Money) -> bool| {
        let amounts: Option<Vec<Money>> = entries.iter().map(|entry| entry.amount).collect();
        let kept = amounts?
            .into_iter()
            .enumerate()
            .filter(|(index, amount)| wanted(*index, *amount))
            .map(|(_, a)| a);
        Money::sum(currency, kept).ok()
    };
    if sides.iter().all(Option::is_some) {
        return sum(&|index, _| sides[index] == Some(true));
    }
    let debits = sum(&|_, amount| amount.minor > 0)?;
    match commented_total(comment).filter(|total| total.currency == currency) {
        // The comment counts only while the lines can still add up to it.
        Some(total) if total.minor.unsigned_abs() <= debits.minor.unsigned_abs() => Some(total),
        Some(_) | None => Some(debits),
    }
}

fn journal_date(journal: &FoundJournal) -> Option<Date> {
    let line = || journal.lines.first().and_then(|line| date(line, "JEDate"));
    journal.header.as_ref().and_then(|header| date(header, "JEDate")).or_else(line)
}

fn currency_of(client: &Client, row: &Row) -> Result<Currency, Failure> {
    let code = text(row, "CurrencyCode");
    let named = Currency::new(&code).ok().or(client.settings.currency);
    named.ok_or_else(|| no_currency(&text(row, "Description")))
}

fn no_currency(name: &str) -> Failure {
    let message = format!("`{name}` names no usable currency: set `currency` in the connection's settings");
    Failure::new(FailureClass::Unavailable, message)
}

fn unreadable_total(name: &str) -> Failure {
    Failure::new(FailureClass::Unavailable, format!("the amounts of `{name}` cannot be read"))
}
