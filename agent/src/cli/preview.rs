//! How a preview is shown: line by line with totals, and as the difference of two previews.

pub mod reference;

use super::{Exit, output};
use crate::flows::preview::{Preview, PreviewLine, Would};
use serde::Serialize;
use spend::ids::FlowId;
use spend::money::Money;
use std::collections::BTreeMap;

/// Examples.
pub const AFTER_HELP: &str = "\
Every record is read, planned with the rules of now, and looked up in the ERP. The plan hash at the end stands for all
that would be written: `flows run --expect HASH` refuses when anything of it has changed.

Examples:
  purser flows preview expenses
  purser flows preview expenses --output json > agreed.json

Exit code 4: something would wait for a person, or could not be read.";

/// A preview as a JSON document: readable again as [`Preview`], with its totals.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    #[serde(flatten)]
    preview: &'a Preview,
    totals: Vec<Total>,
}

#[derive(Debug, Serialize)]
struct Total {
    would: &'static str,
    records: u64,
    total: String,
    currency: String,
}

impl<'a> Shown<'a> {
    /// With its totals.
    pub fn of(preview: &'a Preview) -> Self {
        let total =
            |((would, currency), (records, minor)): ((&'static str, spend::money::Currency), (u64, i64))| {
                Total {
                    would,
                    records,
                    total: Money::new(minor, currency).to_decimal(),
                    currency: currency.code().to_owned(),
                }
            };
        Self { preview, totals: preview.totals().into_iter().map(total).collect() }
    }
}

/// Whether a person should look.
pub fn verdict(preview: &Preview) -> Exit {
    let quiet = |line: &PreviewLine| match &line.would {
        Would::Post { .. } | Would::AlreadyThere { .. } | Would::InProgress { .. } => true,
        Would::Hold { .. } | Would::Conflict { .. } | Would::Unknown { .. } => false,
    };
    if preview.unreadable.is_empty() && preview.lines.iter().all(quiet) {
        Exit::Done
    } else {
        Exit::Attention
    }
}

/// Prints a preview for people.
pub fn print(flow: &FlowId, preview: &Preview, all: bool) {
    let shown = |line: &&PreviewLine| all || !matches!(line.would, Would::AlreadyThere { .. });
    let mut table = output::table(&["record", "title", "owner", "approved", "total", "", "a run would"]);
    for line in preview.lines.iter().filter(shown) {
        table.add_row([
            output::cell(line.source_id.as_str()),
            output::cell(output::short(&line.title, 40)),
            output::cell(&line.owner),
            output::cell(line.approved.map_or("-".to_owned(), |day| day.to_string())),
            output::right(line.total.to_decimal()),
            output::cell(line.total.currency.code()),
            output::cell(with_notes(line)),
        ]);
    }
    if !table.is_empty() {
        output::show(&table);
    }
    for unreadable in &preview.unreadable {
        let id = unreadable.source_id.as_ref().map_or("a record without an id", |id| id.as_str());
        output::line(format!("cannot be read: {id}: {}", unreadable.message));
    }
    if preview.lines.is_empty() {
        output::line(format!("{flow}: nothing is ready to be booked"));
    }
    totals(preview, all);
    output::line(format!("plan hash {}; nothing was written", preview.plan_hash));
    if preview.lines.iter().any(|line| matches!(line.would, Would::Post { .. })) {
        output::line(format!("to book exactly this: purser flows run {flow} --expect {}", preview.plan_hash));
    }
}

fn totals(preview: &Preview, all: bool) {
    let totals = preview.totals();
    if totals.is_empty() {
        return;
    }
    let mut table = output::table(&["", "records", "total", ""]);
    for ((would, currency), (records, minor)) in totals {
        let name = match would {
            "already-there" if !all => "already there (listed with --all)",
            other => heading(other),
        };
        table.add_row([
            output::cell(name),
            output::right(records),
            output::right(Money::new(minor, currency).to_decimal()),
            output::cell(currency.code()),
        ]);
    }
    output::line("");
    output::show(&table);
}

fn heading(would: &str) -> &str {
    match would {
        "post" => "new",
        "already-there" => "already there",
        "hold" => "held",
        "in-progress" => "under way",
        other => other,
    }
}

fn with_notes(line: &PreviewLine) -> String {
    let notes: String = line.notes.iter().map(|note| format!("\nnote: {}", note.message)).collect();
    words(&line.would) + &notes
}

fn words(would: &Would) -> String {
    match would {
        Would::Post { plan } => {
            format!("book {} {} dated {}", plan.document.kind().as_str(), plan.reference, plan.date)
        }
        Would::AlreadyThere { receipt } => format!("leave it: there as {}", receipt.document),
        Would::Hold { findings } => {
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            format!("hold it: {}", lines.join("\n"))
        }
        Would::InProgress { state } => format!("go on with it ({state})"),
        Would::Conflict { receipt, differs } => {
            format!("hold it: CONFLICT with {}: {differs}", receipt.document)
        }
        Would::Unknown { why } => format!("wait: the ERP could not be asked: {why}"),
    }
}

/// What has changed from one preview to another, one line each.
pub fn differences(old: &Preview, new: &Preview) -> Vec<String> {
    let index = |preview: &Preview| -> BTreeMap<String, PreviewLine> {
        preview.lines.iter().map(|line| (line.source_id.to_string(), line.clone())).collect()
    };
    let (before, after) = (index(old), index(new));
    let mut lines = Vec::new();
    for (id, line) in &after {
        match before.get(id) {
            None => lines.push(format!("new: {id}, {}, would {}", line.total, words(&line.would))),
            Some(earlier) if fingerprint(earlier) != fingerprint(line) => lines.push(format!(
                "changed: {id}, {} would {}; now {} would {}",
                earlier.total,
                words(&earlier.would),
                line.total,
                words(&line.would)
            )),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|(id, _)| !after.contains_key(*id));
    lines.extend(gone.map(|(id, line)| format!("gone: {id}, {}", line.total)));
    lines
}

fn fingerprint(line: &PreviewLine) -> (&'static str, String) {
    let hash = match &line.would {
        Would::Post { plan } => plan.hash.clone(),
        other => words(other),
    };
    (line.would.name(), hash)
}
