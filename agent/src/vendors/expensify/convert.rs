//! From exported reports to spend documents; pure. What cannot be read for certain makes the whole report unreadable:
//! a wrong amount is worse than a report that waits for a person.

use super::settings::Settings;
use super::template::RawReport;
use super::wire::{ExpenseLine, ReportLine, Scalar};
use spend::Date;
use spend::document::{Owner, RecordKind, SpendDocument, SpendLine, Tag};
use spend::ids::{LineId, Revision, SourceId};
use spend::money::{Currency, Money};
use std::collections::BTreeSet;

/// Decimals of the amounts that the vendor sends: cents, whatever the currency.
const USUAL_DECIMALS: u8 = 2;

/// A report as a spend document, or why not.
pub(super) fn document(report: &RawReport, settings: &Settings) -> Result<SpendDocument, String> {
    if let Some(damage) = &report.damage {
        return Err(format!("the export of the report is damaged: {damage}"));
    }
    let head = &report.header;
    let text = |scalar: &Scalar| decoded(scalar, settings);
    let source_id = head.report_id.get().ok_or("the report has no id")?;
    let currency = currency_of(&head.currency, "the report")?;
    let mut document = SpendDocument {
        source_id: SourceId::new(source_id),
        revision: Revision::new(""),
        kind: RecordKind::ExpenseReport,
        title: text(&head.report_name),
        owner: owner(head, settings),
        workspace: head.policy_id.get().unwrap_or_default().to_owned(),
        status: head.status.get().or(head.state.get()).unwrap_or_default().to_owned(),
        currency,
        submitted: date(&head.submitted, "the date of submission")?,
        approved: date(&head.approved, "the date of approval")?,
        paid: date(&head.reimbursed, "the date of reimbursement")?,
        declared_total: money(&head.total, currency, settings)
            .map_err(|e| format!("the total of the report: {e}"))?,
        lines: lines(&report.expenses, currency, settings)?,
        same_as: None,
        part_of: None,
    };
    check_corrections(&document, &report.expenses)?;
    document.revision = document.content_revision();
    Ok(document)
}

fn owner(head: &ReportLine, settings: &Settings) -> Owner {
    Owner {
        email: head.account_email.get().unwrap_or_default().trim().to_lowercase(),
        name: head.submitter_name.get().map(|name| tidy(name, settings)),
        employee_number: head.submitter_user_id.get().map(|number| number.trim().to_owned()),
    }
}

fn lines(
    expenses: &[ExpenseLine],
    currency: Currency,
    settings: &Settings,
) -> Result<Vec<SpendLine>, String> {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::with_capacity(expenses.len());
    for (index, expense) in expenses.iter().enumerate() {
        let id = expense.transaction_id.get().ok_or_else(|| format!("expense {} has no id", index + 1))?;
        if !seen.insert(id) {
            return Err(format!("expense {id} is listed twice"));
        }
        lines.push(line(id, expense, currency, settings).map_err(|why| format!("expense {id}: {why}"))?);
    }
    Ok(lines)
}

fn line(
    id: &str,
    expense: &ExpenseLine,
    currency: Currency,
    settings: &Settings,
) -> Result<SpendLine, String> {
    let text = |scalar: &Scalar| decoded(scalar, settings);
    let amounts = amounts(expense, currency, settings)?;
    let reimbursable = flag(&expense.reimbursable, "reimbursable")?
        .ok_or("it does not say whether it is reimbursable, so nobody can tell who is owed the money")?;
    Ok(SpendLine {
        id: LineId::new(id),
        date: date(first(&expense.modified_created, &expense.created), "the date")?,
        merchant: text(first(&expense.modified_merchant, &expense.merchant)),
        merchant_id: None,
        category: Some(text(&expense.category))
            .filter(|c| !c.is_empty() && !c.eq_ignore_ascii_case("uncategorized")),
        category_code: expense.category_gl_code.get().map(|code| tidy(code, settings)),
        tags: tags(expense, settings),
        amount: amounts.effective,
        original: amounts.original,
        tax: amounts.tax,
        reimbursable,
        billable: flag(&expense.billable, "billable")?.unwrap_or(false),
        comment: text(&expense.comment),
        receipt_url: expense.receipt_url.get().map(str::to_owned),
    })
}

struct Amounts {
    effective: Money,
    original: Option<Money>,
    tax: Option<Money>,
}

/// `amount` is in the expense's own currency, the others are in the report's: the converted one counts, else the one
/// that a person set, else the first. Zero is an amount.
fn amounts(expense: &ExpenseLine, currency: Currency, settings: &Settings) -> Result<Amounts, String> {
    let own = match expense.currency.get() {
        None => currency,
        Some(_) => currency_of(&expense.currency, "the expense")?,
    };
    let read = |scalar: &Scalar, currency: Currency, what: &str| {
        money(scalar, currency, settings).map_err(|error| format!("{what}: {error}"))
    };
    let converted = read(&expense.converted_amount, currency, "the converted amount")?;
    if own != currency {
        let corrected = read(&expense.modified_amount, currency, "the corrected amount")?;
        let effective = converted.or(corrected).ok_or_else(|| {
            format!("it was spent in {own} and has no amount in {currency}, the report's currency")
        })?;
        // For people only, so one that cannot be read is left out.
        let original = read(&expense.amount, own, "the amount").ok().flatten();
        return Ok(Amounts { effective, original, tax: None });
    }
    let spent = read(first(&expense.modified_amount, &expense.amount), own, "the amount")?;
    let taxed = flag(&expense.has_tax, "hasTax")?.unwrap_or(false);
    let tax =
        if taxed { first(&expense.modified_tax_amount, &expense.tax_amount) } else { &Scalar::default() };
    Ok(Amounts {
        effective: converted.or(spent).ok_or("it has no amount")?,
        original: None,
        tax: read(tax, currency, "the tax")?,
    })
}

/// A foreign expense that was corrected and not converted: that the correction is in the report's currency is what
/// the vendor's own template assumes, not what it documents.
fn rests_on_correction(expense: &ExpenseLine, currency: Currency) -> bool {
    expense.currency.get().is_some_and(|own| !own.trim().eq_ignore_ascii_case(currency.code()))
        && expense.converted_amount.get().is_none()
}

/// Where a corrected amount stands in for a converted one, only the report's own total can prove the currency.
fn check_corrections(document: &SpendDocument, expenses: &[ExpenseLine]) -> Result<(), String> {
    let Some(expense) = expenses.iter().find(|e| rests_on_correction(e, document.currency)) else {
        return Ok(());
    };
    let sum = Money::sum(document.currency, document.lines.iter().map(|line| line.amount)).ok();
    if sum.is_some() && sum == document.declared_total {
        return Ok(());
    }
    let id = expense.transaction_id.get().unwrap_or_default();
    Err(format!(
        "expense {id}: it was spent in another currency and corrected; its amount in {}, the report's currency, is \
         missing, and the total of the report does not prove the corrected one",
        document.currency
    ))
}

/// The one that a person changed, else the one that came first.
fn first<'a>(changed: &'a Scalar, original: &'a Scalar) -> &'a Scalar {
    if changed.get().is_some() { changed } else { original }
}

/// A whole number of the vendor's smallest unit (cents, unless the settings say otherwise) as money.
fn money(scalar: &Scalar, currency: Currency, settings: &Settings) -> Result<Option<Money>, String> {
    let Some(text) = scalar.get().map(str::trim) else { return Ok(None) };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(digits) || !is_number(fraction) || fraction.bytes().any(|b| b != b'0') {
        return Err(format!(
            "`{}` is not a whole number of minor units",
            text.chars().take(40).collect::<String>()
        ));
    }
    let sent: i64 = whole.parse().map_err(|_| "it is out of range".to_owned())?;
    let scale = u32::from(settings.currency_decimals.get(currency.code()).copied().unwrap_or(USUAL_DECIMALS));
    let minor = match currency.decimals().checked_sub(scale) {
        Some(more) => sent.checked_mul(10_i64.pow(more.min(18))).ok_or("it is out of range")?,
        None => {
            let factor = 10_i64.pow((scale - currency.decimals()).min(18));
            if sent % factor != 0 {
                return Err(format!(
                    "{sent} has more decimals than {currency}: set `currency_decimals` of the connection, e.g. \
                     {{ {currency} = {} }}",
                    currency.decimals()
                ));
            }
            sent / factor
        }
    };
    Ok(Some(Money::new(minor, currency)))
}

fn currency_of(scalar: &Scalar, whose: &str) -> Result<Currency, String> {
    let code = scalar.get().ok_or_else(|| format!("{whose} has no currency"))?;
    Currency::new(code).map_err(|error| format!("the currency of {whose}: {error}"))
}

/// The day of a date or a timestamp: the first ten characters. The vendor does not say in which time zone.
pub(super) fn date(scalar: &Scalar, what: &str) -> Result<Option<Date>, String> {
    let Some(text) = scalar.get().map(str::trim) else { return Ok(None) };
    let day = text.get(..10).unwrap_or(text);
    let parsed = Date::parse_from_str(day, "%Y-%m-%d").ok().filter(|_| day.len() == 10);
    parsed
        .map(Some)
        .ok_or_else(|| format!("{what} `{}` is not a day", text.chars().take(40).collect::<String>()))
}

fn flag(scalar: &Scalar, what: &str) -> Result<Option<bool>, String> {
    match scalar.get().map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        None => Ok(None),
        Some("true" | "yes" | "1") => Ok(Some(true)),
        Some("false" | "no" | "0") => Ok(Some(false)),
        Some(other) => Err(format!(
            "`{what}` is `{}`, neither true nor false",
            other.chars().take(40).collect::<String>()
        )),
    }
}

/// Tags by level: from `ntagN` where there are any, else from `tag`, whose levels are separated by colons.
fn tags(expense: &ExpenseLine, settings: &Settings) -> Vec<Tag> {
    let numbered = [
        (&expense.ntag1, &expense.ntag1_gl_code),
        (&expense.ntag2, &expense.ntag2_gl_code),
        (&expense.ntag3, &expense.ntag3_gl_code),
    ];
    let joined = joined_tags(expense);
    let levels: Vec<(String, Option<String>)> = if numbered.iter().any(|(value, _)| value.get().is_some()) {
        let own = numbered.iter().map(|(value, code)| {
            (value.get().unwrap_or_default().replace("\\:", ":"), code.get().map(str::to_owned))
        });
        own.chain(joined.into_iter().skip(numbered.len())).collect()
    } else {
        joined
    };
    (1_u8..)
        .zip(levels)
        .map(|(level, (value, code))| Tag {
            level,
            value: tidy(&value, settings),
            code: code.map(|code| tidy(&code, settings)).filter(|code| !code.is_empty()),
        })
        .filter(|tag| !tag.value.is_empty())
        .collect()
}

/// The levels of `tag` with their codes: one code for each level, or one for the last level.
fn joined_tags(expense: &ExpenseLine) -> Vec<(String, Option<String>)> {
    let values = split_levels(expense.tag.get().unwrap_or_default());
    let codes = split_levels(expense.tag_gl_code.get().unwrap_or_default());
    let last = values.len().saturating_sub(1);
    let code_of = |index: usize| match codes.len() {
        many if many == values.len() => codes.get(index).cloned(),
        _ if index == last => expense.tag_gl_code.get().map(|code| code.replace("\\:", ":")),
        _ => None,
    };
    values.iter().enumerate().map(|(index, value)| (value.clone(), code_of(index))).collect()
}

/// Splits at colons; `\:` is a colon within a name.
fn split_levels(text: &str) -> Vec<String> {
    if !text.contains(':') {
        return vec![text.to_owned()];
    }
    let mut levels = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = character == '\\' && characters.peek() == Some(&':');
        match (character, levels.last_mut()) {
            (_, Some(level)) if escaped => level.extend(characters.next()),
            (':', _) => levels.push(String::new()),
            (_, Some(level)) => level.push(character),
            (_, None) => {}
        }
    }
    levels
}

fn decoded(scalar: &Scalar, settings: &Settings) -> String {
    scalar.get().map(|text| tidy(text, settings)).unwrap_or_default()
}

/// A name or text of theirs as people know it.
pub(super) fn tidy(text: &str, settings: &Settings) -> String {
    if settings.decode_entities && text.contains('&') {
        decode_entities(text).trim().to_owned()
    } else {
        text.trim().to_owned()
    }
}

/// Decodes HTML entities once: `&amp;lt;` becomes `&lt;`, not `<`. What is not an entity stays.
pub(super) fn decode_entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        // The longest entity that is looked for is `&#x10FFFF;`.
        let end = rest.bytes().take(12).position(|b| b == b';');
        match end.and_then(|end| Some((end, entity(&rest[1..end])?))) {
            Some((end, character)) => {
                decoded.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| !c.is_control() || *c == '\n' || *c == '\t')
        }
    }
}

/// The state of a report in the words of `reportState`; `None` for words that are not known.
pub(super) fn state_of(head: &ReportLine) -> Option<&'static str> {
    let known = |word: &Scalar| match word.get()?.trim().to_ascii_uppercase().as_str() {
        "OPEN" | "DRAFT" => Some("OPEN"),
        "SUBMITTED" | "PROCESSING" | "OUTSTANDING" => Some("SUBMITTED"),
        "APPROVED" => Some("APPROVED"),
        "REIMBURSED" | "PAID" | "AUTOREIMBURSED" | "MANUALREIMBURSED" => Some("REIMBURSED"),
        "ARCHIVED" | "CLOSED" | "DONE" => Some("ARCHIVED"),
        _ => None,
    };
    known(&head.state).or_else(|| known(&head.status))
}
