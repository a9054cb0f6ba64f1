//! One record in full.

use super::find;
use crate::cli::context::Context;
use crate::cli::{Exit, Format, Global, audit, output};
use crate::flows::merchants::choices;
use crate::store::{AuditEntry, PostingSummary, Store};
use anyhow::Result;
use spend::finding::{Finding, FindingCode};
use spend::ids::{GlAccount, ProjectCode};
use spend::matching::merchant_key;
use spend::money::Money;
use spend::plan::{PlannedDocument, PostingPlan};
use spend::posting::{Posting, PostingState};
use std::collections::{BTreeMap, BTreeSet};

/// Prints document, plan, findings and history.
///
/// # Errors
/// A record that is not known, a store that cannot be read.
pub(super) fn run(global: &Global, context: &Context, key: &str) -> Result<Exit> {
    let store = context.look()?;
    let posting = find::one(&store, key)?;
    let history = store.audit().of_posting(&posting.key)?;
    let revisions = store.postings_of(&posting.flow, &posting.source_id)?;
    if global.output == Format::Json {
        let others: Vec<PostingSummary> =
            revisions.iter().filter(|other| other.key != posting.key).map(PostingSummary::of).collect();
        let explained: Vec<_> = codes(&posting).iter().map(|code| crate::cli::explain::page(*code)).collect();
        output::json(&serde_json::json!({
            "posting": posting, "explanations": explained, "other_revisions": others, "history": history,
        }))?;
        return Ok(Exit::Done);
    }
    head(&posting, is_left(context, &posting));
    document(&posting);
    print_choices(&store, &posting)?;
    if let Some(plan) = &posting.plan {
        print_plan(plan);
        print_notes(&history);
    }
    findings(&posting);
    if revisions.len() > 1 {
        output::line(format!("\nrevisions of this record: {}", revisions.len()));
        for other in &revisions {
            output::line(format!("  {} {} {}", other.key, other.state.name(), output::moment(other.seen_at)));
        }
    }
    print_history(&history);
    Ok(Exit::Done)
}

fn findings_of(posting: &Posting) -> &[Finding] {
    match &posting.state {
        PostingState::Held(hold) => &hold.findings,
        PostingState::Planned
        | PostingState::Claimed { .. }
        | PostingState::InDoubt { .. }
        | PostingState::Waiting { .. }
        | PostingState::Posted { .. }
        | PostingState::Acknowledged { .. }
        | PostingState::Superseded { .. }
        | PostingState::Handled { .. } => &[],
    }
}

fn codes(posting: &Posting) -> BTreeSet<FindingCode> {
    findings_of(posting).iter().map(|finding| finding.code).collect()
}

/// Whether the configuration does not name its flow any more. One that cannot be read says nothing of that.
fn is_left(context: &Context, posting: &Posting) -> bool {
    context.config().is_ok_and(|config| config.flow(&posting.flow).is_none())
}

fn head(posting: &Posting, left: bool) {
    let summary = PostingSummary::of(posting);
    output::line(format!("{} {}", posting.source_id, posting.document.title));
    output::line(format!("key       {}", posting.key));
    let left = if left { ", which the configuration does not name" } else { "" };
    output::line(format!("flow      {}{left}", posting.flow));
    output::line(format!("state     {}{}", posting.state.name(), reason(&summary)));
    output::line(format!("total     {}", posting.total));
    output::line(format!(
        "seen      {}, last change {}, {} write(s) begun",
        output::moment(posting.seen_at),
        output::moment(posting.updated_at),
        posting.attempts
    ));
    if let Some(due) = summary.due {
        output::line(format!("next look {}", output::moment(due)));
    }
}

fn reason(summary: &PostingSummary) -> String {
    match (&summary.document, summary.why.as_str()) {
        (Some(document), "") => format!(", in the ERP as {document}"),
        (Some(document), why) => format!(", in the ERP as {document}; {why}"),
        (None, "") => String::new(),
        (None, why) => format!(": {why}"),
    }
}

fn document(posting: &Posting) {
    let document = &posting.document;
    let day = |day: Option<spend::Date>| day.map_or("-".to_owned(), |day| day.to_string());
    output::line(format!(
        "owner     {}\nsource    {}, submitted {}, approved {}, revision {}",
        document.owner.email,
        document.status,
        day(document.submitted),
        day(document.approved),
        document.revision
    ));
    let mut table = output::table(&["line", "date", "merchant", "category", "tags", "amount", "", "paid by"]);
    for line in &document.lines {
        let tags: Vec<&str> = line.tags.iter().map(|tag| tag.value.as_str()).collect();
        table.add_row([
            output::cell(line.id.as_str()),
            output::cell(day(line.date)),
            output::cell(output::short(&line.merchant, 32)),
            output::cell(line.category.as_deref().unwrap_or("-")),
            output::cell(tags.join(", ")),
            output::right(line.amount.to_decimal()),
            output::cell(line.amount.currency.code()),
            output::cell(if line.reimbursable { "owner" } else { "company card" }),
        ]);
    }
    output::show(&table);
}

/// What people chose for the merchants of a record.
fn print_choices(store: &Store, posting: &Posting) -> Result<()> {
    let keys: BTreeSet<String> = posting.document.lines.iter().filter_map(merchant_key).collect();
    let choices = choices(store, &posting.flow)?;
    for choice in keys.iter().filter_map(|key| choices.get(key)) {
        let note = if choice.decision.note.is_empty() {
            String::new()
        } else {
            format!(": {}", choice.decision.note)
        };
        output::line(format!(
            "merchant  {} is vendor {}, chosen by {} at {}{note}",
            choice.merchant,
            choice.vendor,
            choice.decision.by,
            output::moment(choice.at)
        ));
    }
    Ok(())
}

/// What was worth noting when the plan was made.
fn print_notes(history: &[AuditEntry]) {
    let planned = history.iter().rev().find(|entry| entry.draft.detail.get("plan").is_some());
    let notes = planned.and_then(|entry| entry.draft.detail["notes"].as_array());
    for message in notes.into_iter().flatten().filter_map(|note| note["message"].as_str()) {
        output::line(format!("note: {message}"));
    }
}

fn print_plan(plan: &PostingPlan) {
    output::line(format!(
        "\nplan: {} {} in company {}, dated {}, plan hash {}",
        plan.document.kind().as_str(),
        plan.reference,
        plan.company,
        plan.date,
        plan.hash.get(..16).unwrap_or(&plan.hash)
    ));
    if let PlannedDocument::ApInvoice { vendor, terms, debit_memo, .. } = &plan.document {
        let kind = if *debit_memo { "debit memo of" } else { "invoice of" };
        output::line(format!("{kind} vendor {vendor}, terms {}", terms.as_deref().unwrap_or("the vendor's")));
    }
    let mut table = output::table(&["account", "project", "text", "debit", "credit"]);
    let mut row = |account: &GlAccount, of: String, text: &str, amount: Money| {
        let (debit, credit) = sides(amount);
        table.add_row([
            output::cell(account.as_str()),
            output::cell(of),
            output::cell(output::short(text, 60)),
            output::right(debit),
            output::right(credit),
        ]);
    };
    match &plan.document {
        PlannedDocument::Journal { lines } => lines.iter().for_each(|line| {
            row(
                &line.account,
                place(line.project.as_ref(), &line.dimensions),
                &line.description,
                line.amount,
            );
        }),
        PlannedDocument::ApInvoice { lines, .. } => lines.iter().for_each(|line| {
            row(
                &line.account,
                place(line.project.as_ref(), &line.dimensions),
                &line.description,
                line.amount,
            );
        }),
    }
    output::show(&table);
}

/// Project and dimensions of a line.
fn place(project: Option<&ProjectCode>, dimensions: &BTreeMap<String, String>) -> String {
    let dimensions = dimensions.iter().map(|(name, value)| format!("{name} {value}"));
    let parts: Vec<String> = project.map(ToString::to_string).into_iter().chain(dimensions).collect();
    parts.join(", ")
}

fn sides(amount: Money) -> (String, String) {
    match amount.to_decimal().strip_prefix('-') {
        Some(credit) => (String::new(), credit.to_owned()),
        None => (amount.to_decimal(), String::new()),
    }
}

fn findings(posting: &Posting) {
    let findings = findings_of(posting);
    if findings.is_empty() {
        return;
    }
    output::line(format!("\nheld for {} reason(s):", findings.len()));
    for finding in findings {
        let place = finding.line.as_ref().map_or(String::new(), |line| format!("line {line}, "));
        let value = if finding.value.is_empty() { String::new() } else { format!(" `{}`", finding.value) };
        output::line(format!("- [{}] {place}{}{value}: {}", finding.code, finding.field, finding.message));
        output::line(format!("  to mend it: {}", finding.fix));
    }
    for code in codes(posting) {
        output::line(format!("\n{}: {}", code, code.title()));
        code.explanation().lines().for_each(|line| output::line(format!("  {line}")));
    }
}

fn print_history(history: &[AuditEntry]) {
    output::line("\nhistory");
    let mut table = output::table(&["no.", "when", "kind", "who", "what"]);
    for entry in history {
        table.add_row(audit::row(entry));
    }
    output::show(&table);
}
