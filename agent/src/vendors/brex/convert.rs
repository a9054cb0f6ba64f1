//! From accounting records to spend documents; pure. What cannot be read for certain makes the whole record unreadable:
//! a wrong amount is worse than a record that waits for a person.
//!
//! A record is a double entry of positive amounts. Its *expense side* becomes the lines of the document: the debits of a
//! post, the credits of a refund as negative lines, and lines of the other side that carry coding, with the opposite
//! sign. What is left is the liability, which the flow's offset account stands for.

use super::coding::{self, Coded};
use super::money::Major;
use super::settings::{RecordRole, Settings};
use super::wire::{Person, Record, RecordLine};
use chrono::{DateTime, NaiveDateTime};
use chrono_tz::Tz;
use spend::Date;
use spend::document::{Owner, RecordKind, SpendDocument, SpendLine};
use spend::ids::{LineId, Revision, SourceId};
use spend::money::{Currency, Money};
use std::collections::BTreeSet;

/// A record as a spend document, or why not.
pub(super) fn document(record: &Record, settings: &Settings) -> Result<SpendDocument, String> {
    let id = text(record.id.as_deref()).ok_or("the record has no id")?;
    let kind = text(record.kind.as_deref()).ok_or("the record has no type")?;
    let role = *settings.types.get(kind).ok_or_else(|| unlisted(kind))?;
    let entry = Entry::read(record)?;
    let zone = settings.tz();
    let approved = day(record.erp_posting_date.as_deref(), zone, "the posting date")?
        .ok_or("the record has no posting date")?;
    let spent = day(record.posted_at.as_deref(), zone, "the day it was posted")?;
    let sides = entry.expense_side(role)?;
    let merchant = record.vendor.as_ref();
    let name = merchant.and_then(|vendor| vendor.name.as_deref()).map(tidy).unwrap_or_default();
    let memo = record.memo.as_deref().map(tidy).unwrap_or_default();
    let mut lines = Vec::with_capacity(sides.len());
    for (line, amount) in sides {
        let what = |why: String| format!("line {}: {why}", line.id);
        let Coded { category, category_code, tags } =
            coding::of_choices(line.choices, record.user.as_ref(), settings).map_err(what)?;
        let comment = line.memo.map(tidy).filter(|text| !text.is_empty()).unwrap_or_else(|| memo.clone());
        lines.push(SpendLine {
            id: LineId::new(line.id),
            date: spent,
            merchant: name.clone(),
            merchant_id: merchant.and_then(|vendor| text(vendor.id.as_deref())).map(str::to_owned),
            category,
            category_code,
            tags,
            amount,
            original: line.original(amount)?,
            tax: None,
            reimbursable: role.is_owed(),
            billable: false,
            comment,
            receipt_url: None,
        });
    }
    let declared_total = entry.declared(record, &lines)?;
    let document = SpendDocument {
        source_id: SourceId::new(id),
        revision: Revision::new(""),
        kind: if role.is_owed() { RecordKind::Reimbursement } else { RecordKind::CardTransaction },
        title: title(&memo, &name, kind),
        owner: record.user.as_ref().map(owner).unwrap_or_default(),
        workspace: String::new(),
        status: status(record),
        currency: entry.currency,
        submitted: None,
        approved: Some(approved),
        paid: None,
        declared_total,
        lines,
        same_as: text(record.source_id.as_deref()).map(SourceId::new),
        part_of: None,
    };
    Ok(document.with_content_revision())
}

impl RecordRole {
    /// Whether an employee is owed it.
    pub(super) fn is_owed(self) -> bool {
        matches!(self, Self::Reimbursement | Self::ReimbursementCredit)
    }

    fn side(self) -> Side {
        match self {
            Self::Charge | Self::Reimbursement => Side::Debit,
            Self::Credit | Self::ReimbursementCredit => Side::Credit,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Debit,
    Credit,
}

/// One line that can be read.
struct Line<'a> {
    id: &'a str,
    side: Side,
    memo: Option<&'a str>,
    amount: Money,
    original: Option<&'a Major>,
    choices: &'a [super::wire::FieldChoice],
}

impl<'a> Line<'a> {
    fn read(line: &'a RecordLine) -> Result<Self, String> {
        let id = text(line.id.as_deref()).ok_or("a line has no id")?;
        let what = |why: &str| format!("line {id}: {why}");
        let side = match line.side.as_deref().map(str::trim) {
            Some("DEBIT") => Side::Debit,
            Some("CREDIT") => Side::Credit,
            Some(other) => return Err(what(&format!("`{}` is neither DEBIT nor CREDIT", cut(other)))),
            None => return Err(what("it does not say whether it is a debit or a credit")),
        };
        let amount = line.amount.as_ref().ok_or_else(|| what("it has no amount"))?.money();
        let amount = amount.map_err(|why| what(&why))?;
        if amount.minor < 0 {
            return Err(what("its amount is negative, so nobody can tell which side it is on"));
        }
        Ok(Self {
            id,
            side,
            memo: line.memo.as_deref(),
            amount,
            original: line.original_amount.as_ref(),
            choices: line.accounting_field_values.as_deref().unwrap_or_default(),
        })
    }

    /// What was spent in another currency, with the sign of the line.
    fn original(&self, signed: Money) -> Result<Option<Money>, String> {
        // For people only, so one that cannot be read is left out.
        let original = self.original.and_then(|original| original.money().ok());
        let Some(original) = original.filter(|original| original.currency != signed.currency) else {
            return Ok(None);
        };
        let magnitude = Money::new(original.minor.saturating_abs(), original.currency);
        let signed = if signed.minor < 0 { magnitude.negated() } else { Ok(magnitude) };
        signed.map(Some).map_err(|error| error.to_string())
    }
}

/// The lines of a record, known to balance.
struct Entry<'a> {
    lines: Vec<Line<'a>>,
    currency: Currency,
}

impl<'a> Entry<'a> {
    fn read(record: &'a Record) -> Result<Self, String> {
        let raw = record.line_items.as_deref().unwrap_or_default();
        let lines = raw.iter().map(Line::read).collect::<Result<Vec<_>, _>>()?;
        let currency = lines.first().ok_or("the record has no lines")?.amount.currency;
        let mut seen = BTreeSet::new();
        for line in &lines {
            if !seen.insert(line.id) {
                return Err(format!("line {} is listed twice", line.id));
            }
            if line.amount.currency != currency {
                let other = line.amount.currency;
                return Err(format!("line {}: it is in {other}, the others in {currency}", line.id));
            }
        }
        let entry = Self { lines, currency };
        let (debit, credit) = (entry.sum(Side::Debit)?, entry.sum(Side::Credit)?);
        if debit != credit {
            return Err(format!("debits of {debit} and credits of {credit} do not balance"));
        }
        Ok(entry)
    }

    fn sum(&self, side: Side) -> Result<Money, String> {
        let lines = self.lines.iter().filter(|line| line.side == side).map(|line| line.amount);
        Money::sum(self.currency, lines).map_err(|error| error.to_string())
    }

    /// The lines that are spend, with their sign. The other side is the liability: its lines carry no coding.
    fn expense_side(&self, role: RecordRole) -> Result<Vec<(&Line<'a>, Money)>, String> {
        let side = role.side();
        let coded = |line: &&Line<'_>| !line.choices.is_empty();
        let own = || self.lines.iter().filter(|line| line.side == side);
        let others = || self.lines.iter().filter(|line| line.side != side);
        if own().next().is_none() {
            return Err("the expense side of the record has no line".to_owned());
        }
        if others().next().is_some() && others().all(|line| coded(&line)) {
            return Err(
                "every line of the side that should be the liability carries coding, so nobody can tell which side is \
                 the expense"
                    .to_owned(),
            );
        }
        if !own().any(|line| coded(&line)) && others().any(|line| coded(&line)) {
            return Err("the coding stands on the other side than the type of the record says".to_owned());
        }
        let is_spend = |line: &&Line<'_>| line.side == side || coded(line);
        let signed = |line: &'_ Line<'_>| match line.side {
            Side::Debit => Ok(line.amount),
            Side::Credit => line.amount.negated().map_err(|error| error.to_string()),
        };
        let spend = self.lines.iter().filter(is_spend);
        spend.map(|line| Ok((line, signed(line)?))).collect()
    }

    /// The record's own total. Its sign on refunds is not documented, so it takes the sign of the lines.
    fn declared(&self, record: &Record, lines: &[SpendLine]) -> Result<Option<Money>, String> {
        let Some(declared) = &record.amount else { return Ok(None) };
        let declared = declared.money().map_err(|why| format!("the total of the record: {why}"))?;
        if declared.currency != self.currency {
            return Ok(None);
        }
        let sum =
            Money::sum(self.currency, lines.iter().map(|line| line.amount)).map_err(|e| e.to_string())?;
        let magnitude = declared.minor.checked_abs().ok_or("the total of the record is out of range")?;
        Ok(Some(Money::new(if sum.minor < 0 { -magnitude } else { magnitude }, self.currency)))
    }
}

/// The posting date of a record, if it has a readable one.
pub(super) fn posting_day(record: &Record, zone: Tz) -> Option<Date> {
    day(record.erp_posting_date.as_deref(), zone, "").ok().flatten()
}

fn unlisted(kind: &str) -> String {
    let kind = cut(kind);
    format!(
        "records of type `{kind}` are not booked by this connection; say what they are in settings.types \
         (`{kind} = \"charge\"`), or leave them alone with settings.ignored_types"
    )
}

/// State and version, for people and for the audit trail; no part of what is booked.
fn status(record: &Record) -> String {
    let state = record.review_status.as_deref().map(tidy).unwrap_or_default();
    match record.version {
        Some(version) => format!("{state}, version {version}"),
        None => state,
    }
}

pub(super) fn title(memo: &str, merchant: &str, kind: &str) -> String {
    let said = [merchant, memo].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
    if said.is_empty() { kind.to_owned() } else { said }
}

pub(super) fn owner(person: &Person) -> Owner {
    let names = [person.first_name.as_deref(), person.last_name.as_deref()];
    let name = tidy(&names.into_iter().flatten().collect::<Vec<_>>().join(" "));
    Owner {
        email: person.email.as_deref().unwrap_or_default().trim().to_lowercase(),
        name: Some(name).filter(|name| !name.is_empty()),
        employee_number: None,
    }
}

/// The day of a moment in a zone. Precision differs between fields; without a zone it is UTC (D); a bare date is itself.
pub(super) fn day(moment: Option<&str>, zone: Tz, what: &str) -> Result<Option<Date>, String> {
    let Some(moment) = text(moment) else { return Ok(None) };
    if let Ok(day) = Date::parse_from_str(moment, "%Y-%m-%d") {
        return Ok(Some(day));
    }
    let utc = match DateTime::parse_from_rfc3339(moment) {
        Ok(moment) => moment.to_utc(),
        Err(_) => NaiveDateTime::parse_from_str(moment, "%Y-%m-%dT%H:%M:%S%.f")
            .map_err(|_| format!("{what} `{}` is not a moment", cut(moment)))?
            .and_utc(),
    };
    Ok(Some(utc.with_timezone(&zone).date_naive()))
}

/// A text that says something, without blanks at its ends.
pub(super) fn text(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// Without blanks at the ends, and one where there are several: names are padded, descriptors aligned (D-obs).
pub(super) fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Enough of a hostile text to recognise it by.
pub(super) fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect()
}
