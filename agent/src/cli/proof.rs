//! `purser proof`: the statement in which spend system, posting log and ERP agree, or each difference with its reason.

use super::context::Context;
use super::errand::{Errand, refused};
use super::{Exit, Format, Global, Usage, output};
use crate::flows::proof::{Proof, ProofRow, Standing};
use crate::runtime::commands::{Obeyed, Order};
use anyhow::{Context as _, Result};
use chrono::Datelike;
use spend::Date;
use spend::ids::FlowId;
use spend::money::{Currency, Money};
use std::path::{Path, PathBuf};

/// Examples and exit codes.
pub const AFTER_HELP: &str = "\
Days are days of approval, both inclusive; without --from and --to it is the present month up to today. The ERP is read
back, nothing is written.

Examples:
  purser proof --flow expenses
  purser proof --flow expenses --from 2026-01-01 --to 2026-01-31 --csv january.csv

Exit code 6: something differs.";

/// Arguments of `proof`.
#[derive(Clone, Debug, clap::Args)]
pub struct ProofArgs {
    /// Which flow; may be left out when the configuration has only one.
    #[arg(long, value_name = "FLOW")]
    pub flow: Option<String>,
    /// First day of approval (2026-01-01).
    #[arg(long, value_name = "DAY")]
    pub from: Option<Date>,
    /// Last day of approval (2026-01-31).
    #[arg(long, value_name = "DAY")]
    pub to: Option<Date>,
    /// Also write every record into this file, for a spreadsheet.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// List also the records that agree.
    #[arg(long)]
    pub all: bool,
}

/// Makes the proof.
///
/// # Errors
/// A configuration or store that cannot be used, a vendor that does not answer.
pub fn run(global: &Global, args: &ProofArgs) -> Result<Exit> {
    let context = Context::new(global)?;
    let config = context.config()?;
    let flow = match (&args.flow, config.flows.as_slice()) {
        (Some(name), _) => context.flow(&config, name)?.id.clone(),
        (None, [only]) => only.id.clone(),
        (None, flows) => {
            let names: Vec<&str> = flows.iter().map(|flow| flow.id.as_str()).collect();
            return Err(Usage(format!("name one flow with --flow: {}", names.join(", "))).into());
        }
    };
    let (from, to) = period(args, context.clock.now().date_naive())?;
    let errand = Errand { global, context: &context, config: &config, words: "reading both systems" };
    match errand.order(Order::Proof { flow: flow.clone(), from, to })? {
        Obeyed::Proved { proof } => {
            if let Some(path) = &args.csv {
                write_csv(path, &proof)?;
            }
            match global.output {
                Format::Json => output::json(&serde_json::json!({ "flow": flow, "proof": proof }))?,
                Format::Text => print(&flow, &proof, args),
            }
            Ok(if proof.agrees { Exit::Done } else { Exit::Difference })
        }
        other => refused(other),
    }
}

fn period(args: &ProofArgs, today: Date) -> Result<(Date, Date)> {
    let to = args.to.unwrap_or(today);
    let from = args.from.or_else(|| to.with_day(1)).unwrap_or(to);
    if from > to {
        return Err(Usage(format!("the period ends before it begins: {from} is after {to}")).into());
    }
    Ok((from, to))
}

fn print(flow: &FlowId, proof: &Proof, args: &ProofArgs) {
    output::line(format!("{flow}, approved from {} to {}", proof.from, proof.to));
    let mut rows: Vec<&ProofRow> =
        proof.rows.iter().filter(|row| args.all || row.standing != Standing::Booked).collect();
    // What nobody can explain first.
    rows.sort_by_key(|row| (row.standing.is_explained(), row.standing));
    if !rows.is_empty() {
        let mut table = output::table(&["record", "title", "stands", "source", "log", "ERP", "", "reason"]);
        for row in &rows {
            table.add_row([
                output::cell(row.source_id.as_ref().map_or("-", |id| id.as_str())),
                output::cell(output::short(&row.title, 32)),
                output::cell(row.standing.name()),
                output::right(amount(row.source)),
                output::right(amount(row.log)),
                output::right(amount(row.erp)),
                output::cell(row.currency.code()),
                output::cell(&row.detail),
            ]);
        }
        output::line("");
        output::show(&table);
    }
    print_sums(proof);
    let counts: Vec<String> =
        proof.counts.iter().map(|(standing, n)| format!("{n} {}", standing.name())).collect();
    output::line(if counts.is_empty() { "no record in this period".to_owned() } else { counts.join(", ") });
    if let Some(path) = &args.csv {
        output::line(format!("every record is in {}", path.display()));
    }
    output::line(if proof.agrees {
        "the systems AGREE: source = ERP + held + pending + handled + exported elsewhere, log = ERP"
    } else {
        "the systems DIFFER: see the reasons above"
    });
}

fn print_sums(proof: &Proof) {
    let heads = ["currency", "source", "log", "ERP", "held", "pending", "handled", "elsewhere", "verdict"];
    let mut table = output::table(&heads);
    for (currency, sums) in &proof.sums {
        let money = |minor: i64| output::right(Money::new(minor, *currency).to_decimal());
        table.add_row([
            output::cell(currency.code()),
            money(sums.source),
            money(sums.log),
            money(sums.erp),
            money(sums.held),
            money(sums.pending),
            money(sums.handled),
            money(sums.exported_elsewhere),
            output::cell(if sums.agree() { "agree" } else { "DIFFER" }),
        ]);
    }
    if !table.is_empty() {
        output::line("");
        output::show(&table);
    }
}

fn amount(money: Option<Money>) -> String {
    money.map_or("-".to_owned(), |money| money.to_decimal())
}

fn write_csv(path: &Path, proof: &Proof) -> Result<()> {
    let whole = || -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "record",
            "reference",
            "title",
            "standing",
            "currency",
            "source",
            "log",
            "erp",
            "reason",
        ])?;
        for row in &proof.rows {
            writer.write_record(csv_row(row))?;
        }
        Ok(writer.into_inner()?)
    };
    std::fs::write(path, whole()?).with_context(|| format!("cannot write {}", path.display()))
}

fn csv_row(row: &ProofRow) -> [String; 9] {
    let text = |text: &str| harmless(text);
    [
        text(row.source_id.as_ref().map_or("", |id| id.as_str())),
        text(row.reference.as_deref().unwrap_or("")),
        text(&row.title),
        text(row.standing.name()),
        currency_code(row.currency),
        decimal(row.source),
        decimal(row.log),
        decimal(row.erp),
        text(&row.detail),
    ]
}

fn currency_code(currency: Currency) -> String {
    currency.code().to_owned()
}

fn decimal(money: Option<Money>) -> String {
    money.map_or(String::new(), |money| money.to_decimal())
}

/// A spreadsheet takes a text that begins like this for a formula and obeys it; with an apostrophe before it, it is
/// shown. Amounts are ours and are written as they are.
fn harmless(text: &str) -> String {
    let formula = text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r', '\n']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_a_spreadsheet_would_obey_is_written_as_text() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        assert_eq!(harmless("Trip to Oslo = fine"), "Trip to Oslo = fine");
    }

    #[test]
    fn without_days_the_period_is_the_present_month_up_to_today() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let args = ProofArgs { flow: None, from: None, to: None, csv: None, all: false };
        assert_eq!(period(&args, day("2026-03-17")).unwrap(), (day("2026-03-01"), day("2026-03-17")));
        let args = ProofArgs { to: Some(day("2026-01-31")), ..args };
        assert_eq!(period(&args, day("2026-03-17")).unwrap(), (day("2026-01-01"), day("2026-01-31")));
        let args = ProofArgs { from: Some(day("2026-02-01")), ..args };
        assert!(period(&args, day("2026-03-17")).unwrap_err().to_string().contains("ends before it begins"));
    }
}
