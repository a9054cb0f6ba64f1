//! `purser proof`: the statement in which spend system, posting log and ERP agree, or each difference with its reason.

use super::context::Context;
use super::errand::{Errand, refused};
use super::files::NewFile;
use super::{Exit, Format, Global, Usage, output};
use crate::flows::proof::{Proof, ProofRow, Standing};
use crate::runtime::commands::{Obeyed, Order};
use anyhow::{Context as _, Result};
use chrono::Datelike;
use purser_proto::validate::ValidConfig;
use serde_json::Value;
use spend::Date;
use spend::ids::FlowId;
use spend::money::{Currency, Money};
use std::path::{Path, PathBuf};

/// Examples and exit codes.
pub const AFTER_HELP: &str = "\
Days are days of approval, both inclusive; without --from and --to it is the present month up to today. The ERP is read
back, nothing is written.

Examples:
  purser proof
  purser proof --flow expenses --from 2026-01-01 --to 2026-01-31 --csv january.csv

Exit code 6: something differs.";

/// Arguments of `proof`.
#[derive(Clone, Debug, clap::Args)]
pub struct ProofArgs {
    /// Only this flow. Default: all that book, one after the other.
    #[arg(long, value_name = "FLOW")]
    pub flow: Option<String>,
    /// First day of approval (2026-01-01).
    #[arg(long, value_name = "DAY")]
    pub from: Option<Date>,
    /// Last day of approval (2026-01-31).
    #[arg(long, value_name = "DAY")]
    pub to: Option<Date>,
    /// Also write every record into this new file, for a spreadsheet.
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
    let flows = wanted(&context, &config, args.flow.as_deref())?;
    let several = flows.len() > 1;
    let (from, to) = period(args, context.clock.now().date_naive())?;
    let csv = args.csv.as_deref().map(NewFile::create).transpose()?;
    let errand = Errand { global, context: &context, config: &config, words: "reading both systems" };
    let orders = flows.iter().map(|flow| Order::Proof { flow: flow.clone(), from, to }).collect();
    let mut proved = Vec::new();
    for (flow, answer) in flows.into_iter().zip(errand.orders(orders)?) {
        match proof_of(answer) {
            Err(error) if !several => return Err(error),
            proof => proved.push(Proved { flow, proof: proof.map_err(|error| format!("{error:#}")) }),
        }
    }
    match (global.output, proved.as_slice()) {
        (Format::Json, [only]) => output::json(&only.shown())?,
        (Format::Json, all) => {
            let all: Vec<Value> = all.iter().map(Proved::shown).collect();
            output::json(&serde_json::json!({ "proofs": all }))?;
        }
        (Format::Text, all) => print_all(all, args),
    }
    if let Some(csv) = csv {
        write_csv(csv, args, global.output, &proved)?;
    }
    Ok(verdict(&proved))
}

/// What came of one flow; in words why there is no proof.
struct Proved {
    flow: FlowId,
    proof: Result<Box<Proof>, String>,
}

impl Proved {
    fn shown(&self) -> Value {
        match &self.proof {
            Ok(proof) => serde_json::json!({ "flow": self.flow, "proof": proof }),
            Err(why) => serde_json::json!({ "flow": self.flow, "failed": why }),
        }
    }
}

/// The flow that is named, or all that book.
fn wanted(context: &Context, config: &ValidConfig, name: Option<&str>) -> Result<Vec<FlowId>> {
    if let Some(name) = name {
        return Ok(vec![context.flow(config, name)?.id.clone()]);
    }
    if config.flows.is_empty() {
        let file = context.config_file().display();
        return Err(Usage(format!("there is nothing to prove: {file} has no [[flow]] that books")).into());
    }
    Ok(config.flows.iter().map(|flow| flow.id.clone()).collect())
}

fn proof_of(answer: Obeyed) -> Result<Box<Proof>> {
    match answer {
        Obeyed::Proved { proof } => Ok(proof),
        other => refused(other),
    }
}

/// The worst of them.
fn verdict(proved: &[Proved]) -> Exit {
    let differs = |one: &Proved| one.proof.as_ref().is_ok_and(|proof| !proof.agrees);
    if proved.iter().any(|one| one.proof.is_err()) {
        Exit::Failed
    } else if proved.iter().any(differs) {
        Exit::Difference
    } else {
        Exit::Done
    }
}

fn print_all(proved: &[Proved], args: &ProofArgs) {
    for (at, Proved { flow, proof }) in proved.iter().enumerate() {
        if at > 0 {
            output::line("");
        }
        match proof {
            Ok(proof) => print(flow, proof, args),
            Err(why) => output::aside(format!("{flow}: {why}")),
        }
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

/// Fills the file, unless a flow would be missing in it: a part would be taken for the whole.
fn write_csv(file: NewFile, args: &ProofArgs, format: Format, proved: &[Proved]) -> Result<()> {
    let path = args.csv.as_deref().unwrap_or(Path::new("")).display();
    if proved.iter().any(|one| one.proof.is_err()) {
        output::aside(format!("{path} is not written: not every proof could be made"));
        return Ok(());
    }
    let rows = proved.iter().flat_map(|Proved { flow, proof }| {
        proof.iter().flat_map(|proof| &proof.rows).map(move |row| csv_row(flow, row))
    });
    fill_csv(file, rows).with_context(|| format!("cannot write {path}"))?;
    if format == Format::Text {
        output::line(format!("every record is in {path}"));
    }
    Ok(())
}

fn fill_csv(file: NewFile, rows: impl Iterator<Item = [String; 10]>) -> Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record([
        "flow",
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
    for row in rows {
        writer.write_record(row)?;
    }
    let file = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(file.finish()?)
}

fn csv_row(flow: &FlowId, row: &ProofRow) -> [String; 10] {
    let text = |text: &str| harmless(text);
    [
        text(flow.as_str()),
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
    use std::collections::BTreeMap;

    #[test]
    fn a_text_that_a_spreadsheet_would_obey_is_written_as_text() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        assert_eq!(harmless("Trip to Oslo = fine"), "Trip to Oslo = fine");
    }

    fn proved(flow: &str, agrees: Option<bool>) -> Proved {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let row = ProofRow {
            source_id: Some("R1".into()),
            reference: None,
            title: "=1+1".to_owned(),
            currency: Currency::new("USD").unwrap(),
            source: Some(Money::new(1250, Currency::new("USD").unwrap())),
            log: None,
            erp: None,
            standing: Standing::NotRead,
            detail: String::new(),
        };
        let proof = agrees.map(|agrees| {
            Box::new(Proof {
                from: day("2026-01-01"),
                to: day("2026-01-31"),
                agrees,
                sums: BTreeMap::new(),
                counts: BTreeMap::new(),
                rows: vec![row],
            })
        });
        Proved { flow: FlowId::new(flow), proof: proof.ok_or_else(|| "no secret".to_owned()) }
    }

    #[test]
    fn the_worst_of_several_proofs_is_the_verdict() {
        let of = |all: &[Option<bool>]| {
            verdict(&all.iter().map(|agrees| proved("a", *agrees)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[Some(true), Some(true)]), Exit::Done);
        assert_eq!(of(&[Some(true), Some(false)]), Exit::Difference);
        assert_eq!(of(&[Some(false), None, Some(true)]), Exit::Failed);
    }

    #[test]
    fn a_file_has_the_records_of_every_flow_or_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("january.csv");
        let args = ProofArgs { flow: None, from: None, to: None, csv: Some(path.clone()), all: false };
        let write = |proved: &[Proved]| {
            write_csv(NewFile::create(&path).unwrap(), &args, Format::Json, proved).unwrap();
            std::fs::read_to_string(&path).ok()
        };
        assert_eq!(write(&[proved("a", Some(true)), proved("b", None)]), None);
        let written = write(&[proved("a", Some(true)), proved("b", Some(true))]).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines[0], "flow,record,reference,title,standing,currency,source,log,erp,reason");
        assert_eq!(lines[1..], ["a,R1,,'=1+1,not read,USD,12.50,,,", "b,R1,,'=1+1,not read,USD,12.50,,,"]);
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
