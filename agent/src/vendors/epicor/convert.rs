//! Plans to rows and rows to findings of a look-up: pure. A document in Kinetic equals a plan when every line has
//! the planned account and amount, and vendor, currency and control total agree; texts are for people and do not
//! count.

use super::settings::{JournalAmounts, Settings};
use super::wire::{self, Row};
use spend::Date;
use spend::finding::{Finding, FindingCode};
use spend::ids::GlAccount;
use spend::money::{Currency, Money};
use spend::plan::{InvoiceLine, JournalLine, PlannedDocument, PostingPlan};
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeMap;

/// Most segments of an account.
const SEGMENTS: usize = 20;

/// The verdict of comparing one document with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Equal,
    /// A part of the plan and nothing else, not in the ledger yet.
    Part(String),
    Other(String),
}

/// A line of a journal as it was found; an amount that cannot be read is `None` and equals nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundEntry {
    pub(super) account: String,
    pub(super) amount: Option<Money>,
    /// Its description, which bears the reference and the mark of its side.
    pub(super) text: String,
}

/// A line of an invoice as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundInvoiceLine {
    pub(super) number: i64,
    pub(super) amount: Option<Money>,
    /// Account of its newest distribution; empty when there is none or it names none.
    pub(super) account: String,
    /// Its distributions bear different accounts: a person has divided it.
    pub(super) divided: bool,
}

/// What the head of an invoice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundHead {
    pub(super) vendor_number: Option<i64>,
    pub(super) currency: String,
    pub(super) control: Option<Money>,
    pub(super) calculated: Option<Money>,
    pub(super) posted: bool,
}

/// Shortens a text to what its field holds.
pub(super) fn cut(text: &str, limit: u16) -> String {
    text.chars().take(usize::from(limit)).collect::<String>().trim_end().to_owned()
}

/// A date as columns and parameters carry it.
pub(super) fn day(date: Date) -> String {
    date.format("%Y-%m-%dT00:00:00").to_string()
}

/// The description of a journal: the reference, then words.
pub(super) fn journal_description(plan: &PostingPlan, settings: &Settings) -> String {
    cut(&format!("{} {}", plan.reference, plan.description), settings.text_limits.journal)
}

/// The description of a journal line: the reference, the mark of its side with its number (`#1` expense, `=2`
/// offset), then words. Posted detail carries the line's description only, so this is what finds a posted journal
/// again and tells its spend total.
pub(super) fn entry_description(
    plan: &PostingPlan,
    index: usize,
    line: &JournalLine,
    settings: &Settings,
) -> String {
    let side = if index < expense_lines(plan) { '#' } else { '=' };
    let text = format!("{} {side}{} {}", plan.reference, index + 1, line.description);
    cut(&text, settings.text_limits.journal_line)
}

/// How many lines of a journal are spend; the offsets follow them and undo their sum.
pub(super) fn expense_lines(plan: &PostingPlan) -> usize {
    let PlannedDocument::Journal { lines } = &plan.document else { return 0 };
    let mut sum = Money::zero(plan.currency);
    for (index, line) in lines.iter().enumerate() {
        match sum.plus(line.amount) {
            Ok(more) => sum = more,
            Err(_) => return lines.len(),
        }
        let rest = lines.iter().skip(index + 1).map(|line| line.amount);
        let undone = Money::sum(plan.currency, rest)
            .ok()
            .and_then(|rest| rest.plus(sum).ok())
            .is_some_and(|s| s.is_zero());
        if sum == plan.total && undone && index + 1 < lines.len() {
            return index + 1;
        }
    }
    lines.len()
}

/// The comment on a journal: the spend total for the proof, then the whole description.
pub(super) fn journal_comment(plan: &PostingPlan) -> String {
    format!("spend total {} {}; {}", plan.total.to_decimal(), plan.currency, plan.description)
}

/// The spend total that a journal's comment tells.
pub(super) fn commented_total(comment: &str) -> Option<Money> {
    let (amount, rest) = comment.strip_prefix("spend total ")?.split_once(' ')?;
    let currency = Currency::new(rest.split(';').next()?).ok()?;
    Money::parse(amount, currency).ok()
}

/// Whether a line's description is marked as spend (`true`) or as offset (`false`).
pub(super) fn side(description: &str) -> Option<bool> {
    let mark = description.split(' ').nth(1)?;
    let (side, number) = mark.split_at_checked(1)?;
    number.parse::<u32>().ok()?;
    match side {
        "#" => Some(true),
        "=" => Some(false),
        _ => None,
    }
}

/// Fills in a journal line.
pub(super) fn fill_entry(
    row: &mut Row,
    plan: &PostingPlan,
    index: usize,
    line: &JournalLine,
    settings: &Settings,
) {
    set_account(row, &line.account);
    wire::set(row, "Description", &entry_description(plan, index, line, settings));
    wire::set(row, "CommentText", &line.description);
    wire::set(row, "CurrencyCode", line.amount.currency.code());
    let debit = line.amount.minor >= 0;
    if matches!(settings.journal_amounts, JournalAmounts::TotDebitCredit | JournalAmounts::Both) {
        let column = if debit { "TotDebit" } else { "TotCredit" };
        wire::set_number(row, column, &unsigned(&line.amount));
    }
    if settings.journal_amounts == JournalAmounts::DebitCredit {
        let column = if debit { "DebitAmount" } else { "CreditAmount" };
        wire::set_number(row, column, &unsigned(&line.amount));
    }
    if matches!(settings.journal_amounts, JournalAmounts::TransAmt | JournalAmounts::Both) {
        wire::set_number(row, "TransAmt", &line.amount.to_decimal());
    }
    if let (Some(project), false) = (&line.project, settings.project_column.is_empty()) {
        wire::set(row, &settings.project_column, project.as_str());
    }
}

/// Fills in a line of an invoice. A negative amount is a quantity of -1 at a positive price.
pub(super) fn fill_invoice_line(row: &mut Row, line: &InvoiceLine, settings: &Settings) {
    wire::set(row, "Description", &cut(&line.description, settings.text_limits.invoice_line));
    wire::set_number(row, "ScrVendorQty", if line.amount.minor < 0 { "-1" } else { "1" });
    wire::set_number(row, "DocUnitCost", &unsigned(&line.amount));
    wire::set_number(row, "ScrDocExtCost", &line.amount.to_decimal());
    if let (Some(project), false) = (&line.project, settings.project_column.is_empty()) {
        wire::set(row, &settings.project_column, project.as_str());
    }
}

/// Sets the account in all its columns: one without the others is a known way to an empty account.
pub(super) fn set_account(row: &mut Row, account: &GlAccount) {
    wire::set(row, "GLAccount", account.as_str());
    let segments = account.segments();
    for number in 1..=SEGMENTS {
        let column = format!("SegValue{number}");
        match segments.get(number - 1) {
            Some(value) => wire::set(row, &column, value),
            None if !wire::text(row, &column).is_empty() => wire::set(row, &column, ""),
            None => {}
        }
    }
}

/// The decimal text of an amount without its sign.
fn unsigned(amount: &Money) -> String {
    amount.to_decimal().trim_start_matches('-').to_owned()
}

/// The signed amount of a journal line: debit minus credit in the first pair of columns that is filled, else the
/// signed column.
pub(super) fn entry_amount(row: &Row, currency: Currency) -> Option<Money> {
    let read = |column: &str| {
        let text = wire::text(row, column);
        if text.is_empty() { Some(Money::zero(currency)) } else { Money::parse(&text, currency).ok() }
    };
    for (debit, credit) in [("TotDebit", "TotCredit"), ("DebitAmount", "CreditAmount")] {
        let amount = read(debit)?.plus(read(credit)?.negated().ok()?).ok()?;
        if !amount.is_zero() {
            return Some(amount);
        }
    }
    read("TransAmt")
}

/// The amount in the first of these columns that is filled and not zero.
pub(super) fn amount_in(row: &Row, columns: &[&str], currency: Currency) -> Option<Money> {
    let mut found = None;
    for column in columns {
        let text = wire::text(row, column);
        if text.is_empty() {
            continue;
        }
        let amount = Money::parse(&text, currency).ok()?;
        if !amount.is_zero() {
            return Some(amount);
        }
        found = Some(amount);
    }
    found
}

/// Compares the lines of a journal, whatever their order. Also says which planned lines are missing.
pub(super) fn compare_journal(
    plan: &PostingPlan,
    found: &[FoundEntry],
    posted: bool,
) -> (Likeness, Vec<usize>) {
    let PlannedDocument::Journal { lines } = &plan.document else {
        return (Likeness::Other("a journal where an invoice was planned".to_owned()), Vec::new());
    };
    let mut there: BTreeMap<(&str, Option<i64>), usize> = BTreeMap::new();
    for entry in found {
        *there.entry((entry.account.as_str(), entry.amount.map(|a| a.minor))).or_default() += 1;
    }
    let mut missing = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        match there.get_mut(&(line.account.as_str(), Some(line.amount.minor))) {
            Some(count) if *count > 0 => *count -= 1,
            _ => missing.push(index),
        }
    }
    let surplus = there.iter().find(|(_, count)| **count > 0);
    let likeness = if let Some(((account, amount), _)) = surplus {
        Likeness::Other(surplus_words(account, *amount, plan.currency, lines))
    } else if missing.is_empty() {
        Likeness::Equal
    } else if posted {
        Likeness::Other(format!("{} of {} lines are not in the ledger", missing.len(), lines.len()))
    } else {
        Likeness::Part(format!("{} of {} lines are missing", missing.len(), lines.len()))
    };
    (likeness, missing)
}

/// A line that was not planned. One of ours without its amount has a cause that only the settings can mend.
fn surplus_words(account: &str, amount: Option<i64>, currency: Currency, lines: &[JournalLine]) -> String {
    let planned = lines.iter().find(|line| line.account.as_str() == account).map(|line| line.amount);
    match (amount, planned) {
        (Some(0), Some(planned)) => format!(
            "the amount of the line on account `{account}` did not arrive ({} instead of {planned}): this Kinetic counts \
             other amount columns; choose them with `journal_amounts` in the settings of the connection, delete this \
             journal and replay",
            Money::zero(currency)
        ),
        (Some(minor), _) => {
            format!("a line on account `{account}` over {} that was not planned", Money::new(minor, currency))
        }
        (None, _) => format!("a line on account `{account}` over an unreadable amount that was not planned"),
    }
}

/// Compares an invoice with its plan: lines are written in order, so what is there must be the plan's beginning.
/// Only the newest line may still bear another account: its own is written by a second save.
pub(super) fn compare_invoice(plan: &PostingPlan, head: &FoundHead, found: &[FoundInvoiceLine]) -> Likeness {
    let PlannedDocument::ApInvoice { vendor_number, lines, .. } = &plan.document else {
        return Likeness::Other("an invoice where a journal was planned".to_owned());
    };
    let other = |what: String| Likeness::Other(what);
    if head.vendor_number != Some(*vendor_number) {
        return other(format!(
            "vendor {:?} instead of {vendor_number}",
            head.vendor_number.unwrap_or_default()
        ));
    }
    if !head.currency.is_empty() && !head.currency.eq_ignore_ascii_case(plan.currency.code()) {
        return other(format!("currency {} instead of {}", head.currency, plan.currency));
    }
    let open = head.control == Some(open_control(plan)) && !head.posted;
    if head.control != Some(plan.total) && !open {
        return other(format!("control total {} instead of {}", shown(head.control), plan.total));
    }
    if found.len() > lines.len() {
        return other(format!("{} lines instead of {}", found.len(), lines.len()));
    }
    let mut unset = 0;
    for (index, (line, planned)) in found.iter().zip(lines).enumerate() {
        if line.amount != Some(planned.amount) {
            return other(format!(
                "line {}: {} instead of {}",
                line.number,
                shown(line.amount),
                planned.amount
            ));
        }
        if line.divided {
            return other(format!("line {}: divided among several accounts", line.number));
        }
        if line.account != planned.account.as_str() {
            let newest = index + 1 == found.len();
            if head.posted || !(line.account.is_empty() || newest) {
                return other(format!(
                    "line {}: account `{}` instead of `{}`",
                    line.number, line.account, planned.account
                ));
            }
            unset += 1;
        }
    }
    let missing = lines.len() - found.len();
    if missing > 0 || unset > 0 {
        let what = format!("{missing} of {} lines are missing, {unset} without their account", lines.len());
        return if head.posted { other(what) } else { Likeness::Part(what) };
    }
    if open {
        return Likeness::Part("the control total is not set yet".to_owned());
    }
    match head.calculated {
        Some(calculated) if calculated != plan.total => other(format!(
            "calculated total {calculated} instead of {}: something was added to it",
            plan.total
        )),
        Some(_) | None => Likeness::Equal,
    }
}

/// The control total of an invoice that is being written: one that no part of the lines adds up to, so that the invoice
/// cannot be posted before it is whole and every account is set.
pub(super) fn open_control(plan: &PostingPlan) -> Money {
    let lines = match &plan.document {
        PlannedDocument::ApInvoice { lines, .. } => lines.as_slice(),
        PlannedDocument::Journal { .. } => &[],
    };
    let beyond = lines.iter().fold(1_i64, |sum, line| sum.saturating_add(line.amount.minor.saturating_abs()));
    Money::new(if plan.total.minor < 0 { -beyond } else { beyond }, plan.currency)
}

fn shown(amount: Option<Money>) -> String {
    amount.map_or_else(|| "an unreadable amount".to_owned(), |amount| amount.to_string())
}

/// The id of the group that collects what one flow books on one day: at most nine characters. A document that is
/// to be submitted gets a group of its own, so that nothing else is posted with it.
pub(super) fn group_id(plan: &PostingPlan, settings: &Settings) -> String {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).take(3).collect::<String>();
    let flow = plan.reference.stem().split('-').next().unwrap_or_default();
    let prefix = letters(settings.group_prefix.as_deref().unwrap_or(flow)).to_ascii_uppercase();
    if settings.submit {
        let first = prefix.chars().next().unwrap_or('P');
        let digest = blake3::hash(plan.reference.to_string().as_bytes()).to_hex();
        return format!("{first}{}", digest[..8].to_ascii_uppercase());
    }
    format!("{prefix}{}", plan.date.format("%y%m%d"))
}

/// Kinetic has segments and projects and nothing else on a line: what a plan wants beside them would be lost silently,
/// so the document is refused before anything is written.
pub(super) fn no_dimensions(plan: &PostingPlan) -> Result<(), Failure> {
    let dimensions: Vec<_> = match &plan.document {
        PlannedDocument::Journal { lines } => lines.iter().map(|line| &line.dimensions).collect(),
        PlannedDocument::ApInvoice { lines, .. } => lines.iter().map(|line| &line.dimensions).collect(),
    };
    let Some((name, value)) = dimensions.into_iter().flatten().next() else { return Ok(()) };
    let message = format!("Epicor Kinetic has no dimension `{name}` on the lines of a document");
    let finding = Finding::document(
        FindingCode::DimensionUnknown,
        name,
        value,
        message.clone(),
        "let the tag or category fill a segment or the project instead (flow.mapping in purser.toml)",
    );
    Err(Failure::new(FailureClass::Rejected { findings: vec![finding] }, message))
}
