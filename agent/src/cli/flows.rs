//! `purser flows`: list, preview, run, pause and resume, for flows that book and for reference flows alike.

use super::context::Context;
use super::errand::{Errand, refused};
use super::run::{self, Reports};
use super::{Exit, Format, Global, Usage, output, preview};
use crate::flows::preview::Preview;
use crate::flows::reference_flow::MirrorPreview;
use crate::flows::replay::Decision;
use crate::runtime::agent::Pause;
use crate::runtime::commands::{Obeyed, Order};
use crate::store::{StateTable, Store};
use anyhow::{Context as _, Result};
use purser_proto::validate::{ValidConfig, ValidFlow, ValidReference};
use serde::Serialize;
use spend::Timestamp;
use spend::ids::FlowId;
use std::collections::BTreeMap;
use std::path::Path;

/// What can be done with flows.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum FlowsVerb {
    /// List the flows of the configuration with their next run.
    #[command(after_help = "Example:\n  purser flows list")]
    List,
    /// Show what a run would do, as a difference: of a flow that books against the ERP, of a reference flow against
    /// the spend system. Writes nothing, neither there nor here.
    #[command(after_help = preview::AFTER_HELP)]
    Preview {
        /// Which.
        flow: String,
        /// Show also what is there already, line by line.
        #[arg(long)]
        all: bool,
    },
    /// Run a flow once, now.
    #[command(after_help = "\
When the agent is running it does the run; otherwise this command does it itself.

Examples:
  purser flows run expenses
  purser flows run expenses --expect 5f0c61b3a0d94e12
  purser flows preview expenses --output json > agreed.json
  purser flows run expenses --expect agreed.json
  purser flows run staff --expect 5f0c61b3a0d94e12 --beyond-ceiling --note 'plant closed'

Exit code 4: done, and something waits for a person or went wrong on the way.")]
    Run {
        /// Which.
        flow: String,
        /// Refuse when a preview made now differs from this one: its plan hash, or a file that `flows preview --output
        /// json` wrote (with a file, what has changed is listed).
        #[arg(long, value_name = "HASH|FILE")]
        expect: Option<String>,
        /// For a reference flow: make also changes beyond its ceilings (how much it may change or disable by itself).
        /// Consent is given to exactly what --expect names, and stands in the audit trail.
        #[arg(long, requires = "expect")]
        beyond_ceiling: bool,
        /// With --beyond-ceiling: why; stands in the audit trail.
        #[arg(long, default_value = "", requires = "beyond_ceiling")]
        note: String,
    },
    /// Stop a flow: neither its schedule nor its retries run until it is resumed.
    #[command(after_help = "Example:\n  purser flows pause expenses --note 'month-end close'")]
    Pause {
        /// Which.
        flow: String,
        /// Why; stands in the audit trail.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Let a paused flow run again.
    #[command(after_help = "Example:\n  purser flows resume expenses")]
    Resume {
        /// Which.
        flow: String,
        /// Why; stands in the audit trail.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// Does what is asked.
///
/// # Errors
/// A configuration or store that cannot be used, an unknown flow, a vendor that does not answer.
pub fn run(global: &Global, verb: &FlowsVerb) -> Result<Exit> {
    let context = Context::new(global)?;
    let config = context.config()?;
    match verb {
        FlowsVerb::List => list(global, &context, &config),
        FlowsVerb::Preview { flow, all } => show_preview(global, &context, &config, flow, *all),
        FlowsVerb::Run { flow, expect, beyond_ceiling, note } => {
            let consent = beyond_ceiling.then(|| Context::decision(Some(note)));
            run_now(global, &context, &config, flow, expect.as_deref(), consent)
        }
        FlowsVerb::Pause { flow, note } => pause(global, &context, &config, flow, true, note),
        FlowsVerb::Resume { flow, note } => pause(global, &context, &config, flow, false, note),
    }
}

#[derive(Debug, Serialize)]
struct Row {
    id: FlowId,
    source: String,
    target: String,
    company: String,
    /// What it writes: the kind of documents, or the reference set.
    document: &'static str,
    schedule: Option<String>,
    timezone: String,
    paused: bool,
    next_run: Option<Timestamp>,
}

fn list(global: &Global, context: &Context, config: &ValidConfig) -> Result<Exit> {
    let store = context.look().ok();
    let booking = config.flows.iter().map(|flow| row(context, store.as_ref(), flow));
    let references = config.references.iter().map(|flow| mirror_row(context, store.as_ref(), flow));
    let rows: Vec<Row> = booking.chain(references).collect();
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "flows": rows }))?,
        Format::Text if rows.is_empty() => output::line("the configuration has no flow yet"),
        Format::Text => {
            let mut table =
                output::table(&["flow", "from", "to", "company", "writes", "schedule", "next run"]);
            for row in &rows {
                table.add_row([
                    output::cell(row.id.as_str()),
                    output::cell(&row.source),
                    output::cell(&row.target),
                    output::cell(&row.company),
                    output::cell(row.document),
                    output::cell(
                        row.schedule
                            .as_deref()
                            .map_or("by hand".to_owned(), |text| format!("{text} {}", row.timezone)),
                    ),
                    output::cell(next(row)),
                ]);
            }
            output::show(&table);
        }
    }
    Ok(Exit::Done)
}

fn is_paused(store: Option<&Store>, flow: &FlowId) -> bool {
    let pause: Option<Pause> =
        store.and_then(|store| store.get(StateTable::Flow, &format!("{flow}/pause")).ok().flatten());
    pause.is_some_and(|pause| pause.paused)
}

fn mirror_row(context: &Context, store: Option<&Store>, flow: &ValidReference) -> Row {
    Row {
        id: flow.id.clone(),
        source: flow.from.to_string(),
        target: flow.to.to_string(),
        company: flow.company.to_string(),
        document: flow.set.as_str(),
        schedule: flow.schedule.as_ref().map(|schedule| schedule.text().to_owned()),
        timezone: flow.zone.to_string(),
        paused: is_paused(store, &flow.id),
        next_run: flow.schedule.as_ref().and_then(|schedule| schedule.next_after(context.clock.now())),
    }
}

fn row(context: &Context, store: Option<&Store>, flow: &ValidFlow) -> Row {
    Row {
        id: flow.id.clone(),
        source: flow.source.to_string(),
        target: flow.target.to_string(),
        company: flow.company.to_string(),
        document: flow.document.as_str(),
        schedule: flow.schedule.as_ref().map(|schedule| schedule.text().to_owned()),
        timezone: flow.zone.to_string(),
        paused: is_paused(store, &flow.id),
        next_run: flow.schedule.as_ref().and_then(|schedule| schedule.next_after(context.clock.now())),
    }
}

fn next(row: &Row) -> String {
    if row.paused {
        return "paused".to_owned();
    }
    row.next_run.map_or("-".to_owned(), output::moment)
}

fn show_preview(
    global: &Global,
    context: &Context,
    config: &ValidConfig,
    flow: &str,
    all: bool,
) -> Result<Exit> {
    let id = context.any_flow(config, flow)?;
    let errand = Errand { global, context, config, words: "reading and looking up, nothing is written" };
    match errand.order(Order::Preview { flow: id.clone() })? {
        Obeyed::Previewed { preview } => {
            match global.output {
                Format::Json => output::json(&preview::Shown::of(&preview))?,
                Format::Text => preview::print(&id, &preview, all),
            }
            Ok(preview::verdict(&preview))
        }
        Obeyed::PreviewedReference { preview } => {
            match global.output {
                Format::Json => output::json(&preview)?,
                Format::Text => preview::reference::print(&id, &preview, all),
            }
            Ok(preview::reference::verdict(&preview))
        }
        other => refused(other),
    }
}

fn run_now(
    global: &Global,
    context: &Context,
    config: &ValidConfig,
    flow: &str,
    expect: Option<&str>,
    consent: Option<Decision>,
) -> Result<Exit> {
    let id = context.any_flow(config, flow)?;
    if consent.is_some() && config.reference(&id).is_none() {
        return Err(
            Usage(format!("{id} books and has no ceilings of changes; leave out --beyond-ceiling")).into()
        );
    }
    let agreed = expect.map(Agreed::read).transpose()?;
    let expect = agreed.as_ref().map(|agreed| agreed.hash.clone());
    let errand = Errand { global, context, config, words: "running" };
    match errand.order(Order::Run { flow: id.clone(), expect, consent })? {
        Obeyed::Ran { report } => {
            let reports = Reports::from([(id, Ok(report))]);
            output::reports(global, &reports)?;
            Ok(run::verdict(&reports))
        }
        Obeyed::Changed { preview } => changed(global, &id, &preview, agreed.as_ref()),
        Obeyed::ChangedReference { preview } => changed_reference(global, &id, &preview),
        other => refused(other),
    }
}

/// What was agreed to: the hash, and the preview itself where it was kept in a file.
struct Agreed {
    hash: String,
    preview: Option<Preview>,
}

impl Agreed {
    fn read(text: &str) -> Result<Self> {
        let is_hash = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hash {
            return Ok(Self { hash: text.to_ascii_lowercase(), preview: None });
        }
        let read = std::fs::read(Path::new(text)).with_context(|| {
            Usage(format!(
                "`{text}` is neither a plan hash (16 hexadecimal digits) nor a file that can be read"
            ))
        })?;
        let not_ours = || Usage(format!("{text} is not what `purser flows preview --output json` writes"));
        if let Ok(mirror) = serde_json::from_slice::<MirrorPreview>(&read) {
            return Ok(Self { hash: mirror.plan_hash, preview: None });
        }
        let preview: Preview = serde_json::from_slice(&read).with_context(not_ours)?;
        Ok(Self { hash: preview.plan_hash.clone(), preview: Some(preview) })
    }
}

/// Nothing was run: says what has changed.
fn changed(global: &Global, flow: &FlowId, now: &Preview, agreed: Option<&Agreed>) -> Result<Exit> {
    let differences =
        agreed.and_then(|agreed| agreed.preview.as_ref()).map(|old| preview::differences(old, now));
    let why = format!(
        "nothing was run: flow `{flow}` would not do what was agreed to (plan hash {} now)",
        now.plan_hash
    );
    if global.output == Format::Json {
        output::json(
            &serde_json::json!({ "error": why, "changed": differences, "now": preview::Shown::of(now) }),
        )?;
        return Ok(Exit::Failed);
    }
    output::aside(format!("error: {why}"));
    match differences {
        Some(differences) => differences.iter().for_each(|line| output::aside(format!("  {line}"))),
        None => {
            output::aside("  with a preview kept by `--output json` as --expect, what has changed is listed")
        }
    }
    output::aside(format!("  look again: purser flows preview {flow}"));
    Ok(Exit::Failed)
}

/// Nothing was written: shows what a run would do by now.
fn changed_reference(global: &Global, flow: &FlowId, now: &MirrorPreview) -> Result<Exit> {
    let why = format!(
        "nothing was written: flow `{flow}` would not do what was agreed to (plan hash {} now)",
        now.plan_hash
    );
    if global.output == Format::Json {
        output::json(&serde_json::json!({ "error": why, "now": now }))?;
        return Ok(Exit::Failed);
    }
    output::aside(format!("error: {why}"));
    output::aside(format!("  look again: purser flows preview {flow}"));
    Ok(Exit::Failed)
}

fn pause(
    global: &Global,
    context: &Context,
    config: &ValidConfig,
    flow: &str,
    paused: bool,
    note: &str,
) -> Result<Exit> {
    let id = context.any_flow(config, flow)?;
    let errand = Errand { global, context, config, words: "noting the decision" };
    match errand.order(Order::Pause { flow: id.clone(), paused, decision: Context::decision(Some(note)) })? {
        Obeyed::Done => {
            match global.output {
                Format::Json => {
                    output::json(&BTreeMap::from([("flow", id.as_str()), ("state", state(paused))]))?
                }
                Format::Text if paused => output::line(format!(
                    "{id} is paused: nothing runs until `purser flows resume {id}`. A run under way ends as usual"
                )),
                Format::Text => output::line(format!("{id} runs again by its schedule")),
            }
            Ok(Exit::Done)
        }
        other => refused(other),
    }
}

fn state(paused: bool) -> &'static str {
    if paused { "paused" } else { "running" }
}
