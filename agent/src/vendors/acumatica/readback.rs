//! Reads back everything under a prefix, for the proof: bills, debit adjustments and journals, each with the spend total
//! it really has. A journal's total is the sum of the lines marked as spend; where the marks are gone (a person rewrote
//! the texts) the debit side stands in.

use super::calls::{Query, literal, moment_literal};
use super::client::Client;
use super::convert::{Found, Kind, Line};
use super::lookup::{bills, journals, reference_in, whole};
use super::naming::side;
use super::outcome::Refusal;
use super::wire::Record;
use crate::vendors::ErpDocument;
use spend::Date;
use spend::money::{Currency, Money};
use spend::posting::{Failure, FailureClass};

const BILL_FIELDS: &[&str] =
    &["Type", "ReferenceNbr", "Vendor", "VendorRef", "Status", "Amount", "Description", "Date", "CurrencyID"];

/// What the proof counts a document by.
const BILL_NEEDED: &[&str] = &["Type", "VendorRef", "Status", "Amount", "Description", "Date", "CurrencyID"];

/// All documents under `prefix`, dated from `from` to `to`.
pub(super) async fn read_back(
    client: &Client,
    prefix: &str,
    days: (Date, Date),
) -> Result<Vec<ErpDocument>, Failure> {
    let mut documents = Vec::new();
    let begins = format!("startswith(VendorRef,{})", literal(prefix));
    let query = |filter| Query { select: BILL_FIELDS, needed: BILL_NEEDED, ..bills(filter) };
    let rows = dated(client, &query, &begins, "Date", days).await?;
    for record in rows {
        let found = Found::of(Kind::Bill, record);
        if found.bears.to_ascii_uppercase().starts_with(&prefix.to_ascii_uppercase()) && counts(&found, days)
        {
            documents.push(bill(client, &found)?);
        }
    }
    let holds = format!("substringof({},Description)", literal(prefix));
    let query = |filter| Query { select: &[], needed: &[], expand: &["Details"], ..journals(filter) };
    let rows = dated(client, &query, &holds, "TransactionDate", days).await?;
    for record in rows {
        let found = Found::of(Kind::Journal, record);
        let ours = found.bears.starts_with(prefix) && found.class.eq_ignore_ascii_case("GL");
        if ours && counts(&found, days) {
            documents.push(journal(client, found).await?);
        }
    }
    Ok(documents)
}

/// Documents that move money, dated within the days.
fn counts(found: &Found, days: (Date, Date)) -> bool {
    let kind = found.kind == Kind::Journal || found.is_bill() || found.is_debit_adjustment();
    let dated = found.date.is_none_or(|date| days.0 <= date && date <= days.1);
    kind && dated && !found.is_void()
}

/// Rows by text and day. An empty answer to two predicates is not believed: it is asked again with the text alone.
async fn dated(
    client: &Client,
    query: &impl Fn(String) -> Query,
    text: &str,
    field: &str,
    days: (Date, Date),
) -> Result<Vec<Record>, Refusal> {
    // A day more on both sides, because documents bear the site's offset.
    let at = |day: Option<Date>, or: Date| {
        moment_literal(day.unwrap_or(or).and_hms_opt(0, 0, 0).unwrap_or_default().and_utc())
    };
    let (first, last) = (days.0.pred_opt(), days.1.checked_add_days(chrono::Days::new(2)));
    let (first, last) = (at(first, days.0), at(last, days.1));
    let filter = format!("{text} and {field} ge {first} and {field} le {last}");
    match client.list(&query(filter)).await {
        Ok(rows) if !rows.is_empty() => return Ok(rows),
        Ok(_) => {}
        Err(refusal) if refusal.kind.is_of_query() => {}
        Err(refusal) => return Err(refusal),
    }
    let mut plain = query(text.to_owned());
    match client.list(&plain).await {
        // Details cannot be had for a whole list here: they are read one by one.
        Err(refusal) if refusal.kind.is_of_query() && !plain.expand.is_empty() => {
            plain.expand = &[];
            client.list(&plain).await
        }
        rows => rows,
    }
}

fn bill(client: &Client, found: &Found) -> Result<ErpDocument, Failure> {
    let reference = reference_in(found);
    let currency = currency_of(client, found, &reference)?;
    let total = found.amount(currency).ok_or_else(|| unreadable(&reference))?;
    Ok(ErpDocument { reference, receipt: found.receipt(), date: found.date, total })
}

async fn journal(client: &Client, found: Found) -> Result<ErpDocument, Failure> {
    let reference = reference_in(&found);
    let currency = currency_of(client, &found, &reference)?;
    let broken = || unreadable(&reference);
    let mut lines = found.lines(currency).map_err(|_| broken())?;
    if lines.is_empty() {
        lines = whole(client, &found).await?.lines(currency).map_err(|_| broken())?;
    }
    let total = spend_total(&lines, currency).ok_or_else(broken)?;
    Ok(ErpDocument { reference, receipt: found.receipt(), date: found.date, total })
}

/// The spend total of a journal.
pub(super) fn spend_total(lines: &[Line], currency: Currency) -> Option<Money> {
    let marked: Option<Vec<bool>> = lines.iter().map(|line| side(&line.text)).collect();
    let amounts: Option<Vec<Money>> = lines.iter().map(|line| line.amount).collect();
    let amounts = amounts?;
    let kept: Vec<Money> = match marked {
        Some(marked) => amounts.iter().zip(marked).filter(|(_, spend)| *spend).map(|(a, _)| *a).collect(),
        None => amounts.into_iter().filter(|amount| amount.minor > 0).collect(),
    };
    Money::sum(currency, kept).ok()
}

fn currency_of(client: &Client, found: &Found, name: &str) -> Result<Currency, Failure> {
    let named = Currency::new(&found.currency).ok().or(client.settings.currency);
    named.ok_or_else(|| {
        let message =
            format!("`{name}` names no usable currency: set `currency` in the connection's settings");
        Failure::new(FailureClass::Unavailable, message)
    })
}

fn unreadable(name: &str) -> Failure {
    Failure::new(FailureClass::Unavailable, format!("the amounts of `{name}` cannot be read"))
}
