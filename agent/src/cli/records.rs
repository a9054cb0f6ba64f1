//! `purser records`: what became of each record, and what a person may do about those that are held.

mod find;
mod show;

use super::context::Context;
use super::errand::{Errand, refused};
use super::{Exit, Format, Global, Usage, at_least_one, output};
use crate::flows::replay::Decided;
use crate::runtime::commands::{Obeyed, Order};
use crate::store::{PostingFilter, PostingSummary, Store};
use anyhow::Result;
use serde::Serialize;
use spend::Date;
use spend::ids::{FlowId, PostingKey, VendorCode};
use spend::money::{Currency, Money};
use std::collections::BTreeMap;

/// The states that `--state` takes.
const STATES: [&str; 9] =
    ["planned", "claimed", "in-doubt", "waiting", "posted", "acknowledged", "held", "superseded", "handled"];

/// What can be done with records.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum RecordsVerb {
    /// List records, newest first.
    #[command(after_help = "\
Examples:
  purser records list --state held
  purser records list --flow expenses --from 2026-01-01 --to 2026-01-31 --limit 1000
  purser records list --output json | jq '.records[] | {source_id, state, why}'")]
    List(ListArgs),
    /// Show one record: document, plan, findings with explanation and fix, history.
    #[command(after_help = "\
A record is named by its id in the spend system or by its posting key; the beginning is enough where it is unique.

Examples:
  purser records show R00480193
  purser records show 8c1f")]
    Show {
        /// Posting key or record id, or a unique beginning of either.
        #[arg(value_name = "KEY|RECORD")]
        key: String,
    },
    /// Try held records again after the cause was mended. The record is read again, planned with the rules of now, and
    /// looked up in the ERP before anything is written: what is there already is never booked twice.
    #[command(after_help = "\
Examples:
  purser records replay R00480193 --note 'category mapped'
  purser records replay --state held --flow expenses

The next run of the flow books what was planned. Exit code 4: something still waits.")]
    Replay(ReplayArgs),
    /// Say which vendor the merchant of a record is. It is remembered for this merchant and used for all its later
    /// records; the record itself is planned again at once.
    #[command(after_help = "\
Examples:
  purser records show accr_01a                    the nearest vendors, with their likeness in thousandths
  purser records choose accr_01a ACME --note 'branch of Chicago'

What is remembered: purser merchants list. Exit code 4: the record still waits.")]
    Choose {
        /// Posting key or record id, or a unique beginning of either.
        #[arg(value_name = "KEY|RECORD")]
        key: String,
        /// Code of the vendor in the ERP.
        #[arg(value_name = "VENDOR")]
        vendor: String,
        /// Why; stands in the audit trail.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Close a held record that was dealt with by hand, or one that is booked and cannot be marked in the spend system.
    /// The ERP is not called.
    #[command(after_help = "\
A held record is never booked by the agent after that, except one that was reported
(--report-failure) and that the spend system offers again later: it is planned anew. A record that
is in the ERP, and whose mark in the spend system has failed, stays booked and is not marked again.
One that was held because another flow of the configuration goes on with it is left to that flow.
Records of a flow that the configuration does not name any more are closed all the same, unless a
write of them was begun and is not settled.

Examples:
  purser records handle R00480193 --note 'booked by hand as journal 2026/GJ/512'
  purser records handle accr_01a --note 'paid twice, will not be booked' --report-failure")]
    Handle {
        /// Posting key or record id, or a unique beginning of either.
        #[arg(value_name = "KEY|RECORD")]
        key: String,
        /// What was done; stands in the audit trail and in the proof.
        #[arg(long)]
        note: String,
        /// Tell the spend system first that the record is not exported, with the note as the reason. The record leaves
        /// what it offers, and is booked if it is offered again. Where the spend system cannot be told, or where the ERP may
        /// have any state of the record, nothing is changed.
        #[arg(long)]
        report_failure: bool,
    },
}

/// Arguments of `records list`.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Only of this flow.
    #[arg(long, value_name = "FLOW")]
    pub flow: Option<String>,
    /// Only in this state.
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    pub state: Option<String>,
    /// Approved on or after this day (2026-01-01).
    #[arg(long, value_name = "DAY")]
    pub from: Option<Date>,
    /// Approved on or before this day.
    #[arg(long, value_name = "DAY")]
    pub to: Option<Date>,
    /// Most records that are listed.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one())]
    pub limit: usize,
}

/// Arguments of `records replay`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// Posting keys or record ids, or unique beginnings of them.
    #[arg(value_name = "KEY|RECORD", required_unless_present = "state", conflicts_with = "state")]
    pub keys: Vec<String>,
    /// All records in this state instead.
    #[arg(long, value_name = "STATE", value_parser = ["held"])]
    pub state: Option<String>,
    /// With --state: only of this flow.
    #[arg(long, value_name = "FLOW", requires = "state")]
    pub flow: Option<String>,
    /// Why; stands in the audit trail.
    #[arg(long, default_value = "")]
    pub note: String,
}

/// Does what is asked.
///
/// # Errors
/// A store or configuration that cannot be used, a record that is not known.
pub fn run(global: &Global, verb: &RecordsVerb) -> Result<Exit> {
    let context = Context::new(global)?;
    match verb {
        RecordsVerb::List(args) => list(global, &context, args),
        RecordsVerb::Show { key } => show::run(global, &context, key),
        RecordsVerb::Replay(args) => replay(global, &context, args),
        RecordsVerb::Choose { key, vendor, note } => choose(global, &context, key, vendor, note),
        RecordsVerb::Handle { key, note, report_failure } => {
            handle(global, &context, key, note, *report_failure)
        }
    }
}

/// The key of the one posting that is meant by what a person typed.
///
/// # Errors
/// When there is none, or more than one record is meant.
pub fn key_of(store: &Store, text: &str) -> Result<PostingKey> {
    Ok(find::one(store, text)?.key)
}

fn filter(context: &Context, args: &ListArgs) -> Result<PostingFilter> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        return Err(Usage(format!("the period ends before it begins: {from} is after {to}")).into());
    }
    Ok(PostingFilter {
        flow: args.flow.as_deref().map(|name| known_flow(context, name)).transpose()?,
        state: args.state.clone(),
        from: args.from,
        to: args.to,
    })
}

/// A flow of the posting log, which also knows those that the configuration has forgotten.
fn known_flow(context: &Context, name: &str) -> Result<FlowId> {
    let id = FlowId::new(name);
    let logged = context.look()?.counts()?.into_keys().any(|(flow, _)| flow == id);
    if logged {
        return Ok(id);
    }
    let config = context.config()?;
    Ok(context.flow(&config, name)?.id.clone())
}

fn list(global: &Global, context: &Context, args: &ListArgs) -> Result<Exit> {
    let store = context.look()?;
    let mut records = store.list(&filter(context, args)?, args.limit.saturating_add(1))?;
    let more = records.len() > args.limit;
    records.truncate(args.limit);
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "records": records, "more": more }))?,
        Format::Text if records.is_empty() => output::line("no record matches"),
        Format::Text => print_list(&records, more, args.limit),
    }
    Ok(Exit::Done)
}

fn print_list(records: &[PostingSummary], more: bool, limit: usize) {
    // One flow is as a rule what was asked for, or all there is.
    let several = records.iter().any(|record| record.flow != records[0].flow);
    let columns = ["record", "key", "flow", "approved", "owner", "total", "", "state", "why or where"];
    let shown: Vec<&str> = columns.into_iter().filter(|name| several || *name != "flow").collect();
    let mut table = output::table(&shown);
    for record in records {
        let why = match (&record.document, record.code) {
            (Some(document), _) => document.clone(),
            (None, Some(code)) => format!("{code}: {}", record.why),
            (None, None) => record.why.clone(),
        };
        let flow = several.then(|| output::cell(record.flow.as_str()));
        let mut row = vec![
            output::cell(record.source_id.as_str()),
            output::cell(record.key.as_str().get(..8).unwrap_or(record.key.as_str())),
        ];
        row.extend(flow);
        row.extend([
            output::cell(record.day.to_string()),
            output::cell(&record.owner),
            output::right(record.total.to_decimal()),
            output::cell(record.total.currency.code()),
            output::cell(record.state),
            output::cell(output::short(&why, 160)),
        ]);
        table.add_row(row);
    }
    output::show(&table);
    output::line(totals(records));
    if more {
        output::line(format!(
            "only the newest {limit} are listed; raise --limit, or narrow by --from and --to"
        ));
    }
    if records.iter().any(|record| record.state == "held") {
        output::line("what to do about one: purser records show RECORD");
    }
}

fn totals(records: &[PostingSummary]) -> String {
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for record in records {
        *sums.entry(record.total.currency).or_default() += i128::from(record.total.minor);
    }
    let sums: Vec<String> = sums
        .into_iter()
        .map(|(currency, minor)| match i64::try_from(minor) {
            Ok(minor) => format!("{} {currency}", Money::new(minor, currency).to_decimal()),
            Err(_) => format!("beyond all bounds {currency}"),
        })
        .collect();
    format!("{} record(s), {}", records.len(), sums.join(", "))
}

/// What came of a decision on one record.
#[derive(Debug, Serialize)]
struct Outcome {
    key: PostingKey,
    record: String,
    flow: FlowId,
    #[serde(flatten)]
    decided: Decided,
}

fn replay(global: &Global, context: &Context, args: &ReplayArgs) -> Result<Exit> {
    let store = context.look()?;
    let mut chosen = Vec::new();
    for key in &args.keys {
        chosen.push(PostingSummary::of(&find::one(&store, key)?));
    }
    if let Some(state) = &args.state {
        let flow = args.flow.as_deref().map(|name| known_flow(context, name)).transpose()?;
        let filter = PostingFilter { flow, state: Some(state.clone()), ..PostingFilter::default() };
        chosen = store.list(&filter, usize::MAX)?;
    }
    drop(store);
    let decision = Context::decision(Some(&args.note));
    let order = |one: &PostingSummary| Order::Replay {
        flow: one.flow.clone(),
        key: one.key.clone(),
        decision: decision.clone(),
    };
    let orders = chosen.iter().map(order).collect();
    let outcomes = decide(global, context, "reading the records again", &chosen, orders)?;
    if global.output == Format::Text && outcomes.iter().any(|one| one.decided == Decided::Planned) {
        let flows: std::collections::BTreeSet<&str> = outcomes.iter().map(|one| one.flow.as_str()).collect();
        for flow in flows {
            output::line(if context.running().is_some() {
                format!("the running agent books what is planned in {flow} at once")
            } else {
                format!("the next run books it: purser flows run {flow}")
            });
        }
    }
    let stale = context.running().is_some_and(|agent| context.config_is_newer(&agent));
    if stale && global.output == Format::Text {
        output::aside(
            "note: the configuration was changed after the running agent had read it; restart the service, then replay \
             again",
        );
    }
    Ok(verdict(&outcomes))
}

fn handle(global: &Global, context: &Context, key: &str, note: &str, report_failure: bool) -> Result<Exit> {
    if note.trim().is_empty() {
        return Err(Usage("--note must say what was done; it is the only trace of it here".to_owned()).into());
    }
    let found = PostingSummary::of(&find::one(&context.look()?, key)?);
    let decision = Context::decision(Some(note));
    let (flow, key) = (found.flow.clone(), found.key.clone());
    let order = Order::Handle { flow, key, decision, report_failure };
    let outcomes = decide(global, context, "noting the decision", &[found], vec![order])?;
    Ok(verdict(&outcomes))
}

fn choose(global: &Global, context: &Context, key: &str, vendor: &str, note: &str) -> Result<Exit> {
    let found = PostingSummary::of(&find::one(&context.look()?, key)?);
    let (flow, key) = (found.flow.clone(), found.key.clone());
    let decision = Context::decision(Some(note));
    let order = Order::Choose { flow, key, vendor: VendorCode::new(vendor), decision };
    let outcomes = decide(global, context, "remembering the vendor", &[found], vec![order])?;
    Ok(verdict(&outcomes))
}

fn decide(
    global: &Global,
    context: &Context,
    words: &str,
    chosen: &[PostingSummary],
    orders: Vec<Order>,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    if !orders.is_empty() {
        let config = context.config()?;
        let errand = Errand { global, context, config: &config, words };
        for (one, obeyed) in chosen.iter().zip(errand.orders(orders)?) {
            let decided = match obeyed {
                Obeyed::Decided { decided } => decided,
                Obeyed::Refused { why } => Decided::Refused { why },
                other => refused(other)?,
            };
            let (key, record, flow) = (one.key.clone(), one.source_id.to_string(), one.flow.clone());
            outcomes.push(Outcome { key, record, flow, decided });
        }
    }
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "decided": outcomes }))?,
        // Records that are named are found or refused; all that are held can be none.
        Format::Text if outcomes.is_empty() => output::line("nothing is held"),
        Format::Text => outcomes
            .iter()
            .for_each(|one| output::line(format!("{}: {}", one.record, words_of(&one.decided)))),
    }
    Ok(outcomes)
}

fn words_of(decided: &Decided) -> String {
    match decided {
        Decided::Planned => "planned".to_owned(),
        Decided::StillHeld { findings } => {
            let lines: Vec<String> = findings.iter().map(|finding| format!("\n  {finding}")).collect();
            format!("still held:{}", lines.concat())
        }
        Decided::AlreadyPosted { receipt } => {
            format!("nothing to do, it is booked already as {}", receipt.document)
        }
        Decided::NewRevision => {
            "it was changed in the spend system; the newer state takes its place".to_owned()
        }
        Decided::Remembered { state } => {
            format!("remembered for later records of this merchant; this one stays as it is ({state})")
        }
        Decided::Handled => "closed".to_owned(),
        Decided::Reported => {
            "closed, and the spend system was told; it is booked if it is offered there again".to_owned()
        }
        Decided::LeftUnmarked { receipt } => format!(
            "closed: it is booked as {}, and the agent does not try to mark it in the spend system any more",
            receipt.document
        ),
        Decided::Refused { why } => format!("refused: {why}"),
    }
}

fn verdict(outcomes: &[Outcome]) -> Exit {
    let well = |decided: &Decided| match decided {
        Decided::Planned
        | Decided::AlreadyPosted { .. }
        | Decided::NewRevision
        | Decided::Remembered { .. }
        | Decided::Handled
        | Decided::Reported
        | Decided::LeftUnmarked { .. } => true,
        Decided::StillHeld { .. } | Decided::Refused { .. } => false,
    };
    if outcomes.iter().all(|one| well(&one.decided)) { Exit::Done } else { Exit::Attention }
}
