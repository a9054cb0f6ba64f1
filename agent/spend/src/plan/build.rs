//! From a valid document to its plan. Lines are put into a canonical order, so the plan does not depend on the order in
//! which the source listed them.

use super::{DocumentReference, InvoiceLine, JournalLine, PlanContext, PlannedDocument, PostingPlan};
use crate::finding::{Finding, FindingCode};
use crate::ids::{GlAccount, PostingKey, ProjectCode};
use crate::mapping::{DocumentKind, LineMode};
use crate::money::{Money, MoneyError};
use crate::validate::{ValidLine, ValidatedDocument};
use std::collections::{BTreeMap, BTreeSet};

/// Longest description of an AP invoice in Epicor.
pub const AP_DESCRIPTION_MAX: usize = 30;
/// Longest description of a journal, without the reference that the writer puts before it.
pub const JOURNAL_DESCRIPTION_MAX: usize = 45;
/// Longest description of a line.
pub const LINE_DESCRIPTION_MAX: usize = 45;

/// A line before it is known whether it belongs to a journal or an invoice.
struct Line {
    account: GlAccount,
    project: Option<ProjectCode>,
    dimensions: BTreeMap<String, String>,
    amount: Money,
    description: String,
}

impl PostingPlan {
    /// Makes the plan: same input, same bytes, whatever the order of the lines.
    ///
    /// # Errors
    /// Findings, when nothing remains after summing up or an amount does not fit.
    pub fn build(valid: &ValidatedDocument, context: &PlanContext) -> Result<PostingPlan, Vec<Finding>> {
        let lines = match valid.mode {
            LineMode::Summary => summary(valid),
            LineMode::Detail => Ok(detail(valid)),
        };
        let lines = lines.map_err(|error| vec![unsummable(valid, &error)])?;
        if lines.is_empty() {
            return Err(vec![cancelled(valid)]);
        }
        let (document, longest) = match valid.kind {
            DocumentKind::Journal => (journal(valid, lines)?, JOURNAL_DESCRIPTION_MAX),
            DocumentKind::ApInvoice => (invoice(valid, lines)?, AP_DESCRIPTION_MAX),
        };
        let mut plan = PostingPlan {
            key: PostingKey::derive(&context.flow, &valid.source_id, &valid.revision),
            reference: DocumentReference::derive(
                &context.prefix,
                &context.flow,
                &valid.source_id,
                &valid.revision,
            ),
            company: context.company.clone(),
            currency: valid.currency,
            date: valid.date,
            description: description(&[&valid.title, &valid.owner], longest),
            total: valid.total,
            document,
            hash: String::new(),
        };
        plan.hash = plan.compute_hash();
        Ok(plan)
    }
}

/// One line per account, project and dimensions; sums of zero are left out.
fn summary(valid: &ValidatedDocument) -> Result<Vec<Line>, MoneyError> {
    type Place<'a> = (&'a GlAccount, Option<&'a ProjectCode>, &'a BTreeMap<String, String>);
    let mut groups: BTreeMap<Place<'_>, Vec<&ValidLine>> = BTreeMap::new();
    for line in &valid.lines {
        groups.entry((&line.account, line.project.as_ref(), &line.dimensions)).or_default().push(line);
    }
    let mut lines = Vec::new();
    for ((account, project, dimensions), group) in groups {
        let amount = Money::sum(valid.currency, group.iter().map(|line| line.amount))?;
        let names: BTreeSet<String> = group.iter().map(|line| line.label()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if !amount.is_zero() {
            let description = description(&names, LINE_DESCRIPTION_MAX);
            let (account, project, dimensions) = (account.clone(), project.cloned(), dimensions.clone());
            lines.push(Line { account, project, dimensions, amount, description });
        }
    }
    Ok(lines)
}

/// One line per expense, by date and id.
fn detail(valid: &ValidatedDocument) -> Vec<Line> {
    let mut parts: Vec<&ValidLine> = valid.lines.iter().collect();
    parts.sort_by(|a, b| canonical(a).cmp(&canonical(b)));
    let line = |part: &ValidLine| Line {
        account: part.account.clone(),
        project: part.project.clone(),
        dimensions: part.dimensions.clone(),
        amount: part.amount,
        description: description(&[&part.merchant, &part.label()], LINE_DESCRIPTION_MAX),
    };
    parts.into_iter().map(line).collect()
}

/// Everything of a line that can reach the plan, so that lines alike in it are interchangeable.
fn canonical(line: &ValidLine) -> impl Ord {
    let place = (line.date, &line.id, line.tax, &line.account, &line.project, &line.dimensions);
    (place, line.amount.minor, &line.merchant, &line.category)
}

/// Expense lines as they are, balanced by one line per offset account.
fn journal(valid: &ValidatedDocument, lines: Vec<Line>) -> Result<PlannedDocument, Vec<Finding>> {
    let mut offsets: BTreeMap<&GlAccount, Vec<Money>> = BTreeMap::new();
    for line in &valid.lines {
        let account = if line.reimbursable { &valid.offsets.reimbursable } else { &valid.offsets.card };
        let Some(account) = account else { return Err(vec![no_offset(line)]) };
        offsets.entry(account).or_default().push(line.amount);
    }
    let mut lines: Vec<JournalLine> = lines
        .into_iter()
        .map(|Line { account, project, dimensions, amount, description }| JournalLine {
            account,
            amount,
            description,
            project,
            dimensions,
        })
        .collect();
    let text = description(&[&valid.owner, &valid.title], LINE_DESCRIPTION_MAX);
    for (account, amounts) in offsets {
        let amount = Money::sum(valid.currency, amounts).and_then(Money::negated);
        let amount = amount.map_err(|error| vec![unsummable(valid, &error)])?;
        if !amount.is_zero() {
            lines.push(JournalLine {
                account: account.clone(),
                amount,
                description: text.clone(),
                project: None,
                dimensions: BTreeMap::new(),
            });
        }
    }
    Ok(PlannedDocument::Journal { lines })
}

fn invoice(valid: &ValidatedDocument, lines: Vec<Line>) -> Result<PlannedDocument, Vec<Finding>> {
    let Some(vendor) = &valid.vendor else { return Err(vec![no_vendor(valid)]) };
    Ok(PlannedDocument::ApInvoice {
        vendor: vendor.code.clone(),
        vendor_number: vendor.number,
        terms: vendor.terms.clone(),
        debit_memo: valid.total.minor < 0,
        lines: lines
            .into_iter()
            .map(|Line { account, project, dimensions, amount, description }| InvoiceLine {
                account,
                amount,
                description,
                project,
                dimensions,
            })
            .collect(),
    })
}

impl ValidLine {
    fn label(&self) -> String {
        match (self.tax, self.category.trim()) {
            (true, "") => "Tax".to_owned(),
            (true, category) => format!("Tax on {category}"),
            (false, category) => category.to_owned(),
        }
    }
}

/// The parts that are not empty, without control characters, joined by commas and cut to `longest` characters.
fn description(parts: &[&str], longest: usize) -> String {
    let parts: Vec<String> = parts.iter().map(|part| clean(part)).filter(|part| !part.is_empty()).collect();
    let joined = parts.join(", ");
    let whole = if joined.is_empty() { "Expenses" } else { &joined };
    let end = whole.char_indices().nth(longest).map_or(whole.len(), |(at, _)| at);
    whole[..end].trim_end().to_owned()
}

/// One line of text: runs of white space and control characters become one space; invisible marks that turn the
/// direction of text around are dropped.
fn clean(text: &str) -> String {
    let is_invisible = |c: &char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let mut line = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !is_invisible(c)) {
        if !c.is_control() && !c.is_whitespace() {
            line.push(c);
        } else if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn cancelled(valid: &ValidatedDocument) -> Finding {
    Finding::document(
        FindingCode::NothingToPost,
        "lines",
        valid.total.to_string(),
        "the lines cancel each other on every account, so there is nothing to post",
        "close it with `purser records handle`, or set flow.mapping.lines to \"detail\" in purser.toml",
    )
}

fn unsummable(valid: &ValidatedDocument, error: &MoneyError) -> Finding {
    Finding::document(
        FindingCode::AmountInvalid,
        "total",
        valid.total.to_string(),
        format!("the lines cannot be added up: {error}"),
        "split the record in the source system",
    )
}

fn no_offset(line: &ValidLine) -> Finding {
    let name = if line.reimbursable { "offset_reimbursable" } else { "offset_card" };
    Finding::document(
        FindingCode::AccountUnknown,
        name,
        "",
        "no account is set to balance this line",
        format!("set flow.mapping.{name} in purser.toml"),
    )
    .on_line(&line.id)
}

fn no_vendor(valid: &ValidatedDocument) -> Finding {
    Finding::document(
        FindingCode::OwnerUnmapped,
        "owner",
        valid.owner.clone(),
        "the invoice has no vendor",
        "add the owner to flow.mapping.owners in purser.toml",
    )
}
