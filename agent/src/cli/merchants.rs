//! `purser merchants`: which vendor a merchant is, as people chose with `purser records choose`.

use super::context::Context;
use super::errand::{Errand, refused};
use super::{Exit, Format, Global, Usage, output};
use crate::flows::merchants::{Choice, choices};
use crate::runtime::commands::{Obeyed, Order};
use crate::store::Store;
use anyhow::Result;
use serde::Serialize;
use spend::ids::FlowId;

/// What can be done with choices.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum MerchantsVerb {
    /// List the merchants for which a person has chosen a vendor.
    #[command(after_help = "Example: purser merchants list --flow cards --output json")]
    List {
        /// Only of this flow.
        #[arg(long, value_name = "FLOW")]
        flow: Option<String>,
    },
    /// Forget a choice: later records of the merchant are compared by name again. What is planned or booked stays.
    #[command(after_help = "Example: purser merchants forget cards pmch_01 --note 'sold to another company'")]
    Forget {
        /// Flow of the choice.
        #[arg(value_name = "FLOW")]
        flow: String,
        /// The merchant as the list shows it.
        #[arg(value_name = "MERCHANT")]
        merchant: String,
        /// Why; stands in the audit trail.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// Does what is asked.
///
/// # Errors
/// A store or configuration that cannot be used.
pub fn run(global: &Global, verb: &MerchantsVerb) -> Result<Exit> {
    let context = Context::new(global)?;
    match verb {
        MerchantsVerb::List { flow } => list(global, &context, flow.as_deref()),
        MerchantsVerb::Forget { flow, merchant, note } => forget(global, &context, flow, merchant, note),
    }
}

/// A choice as it is listed.
#[derive(Serialize)]
struct Listed {
    flow: FlowId,
    #[serde(flatten)]
    choice: Choice,
}

fn listed(context: &Context, store: &Store, flow: Option<&str>) -> Result<Vec<Listed>> {
    let config = context.config()?;
    let flows: Vec<FlowId> = match flow {
        Some(name) => vec![context.flow(&config, name)?.id.clone()],
        None => config.flows.iter().map(|flow| flow.id.clone()).collect(),
    };
    let mut all = Vec::new();
    for flow in flows {
        all.extend(choices(store, &flow)?.into_values().map(|choice| Listed { flow: flow.clone(), choice }));
    }
    Ok(all)
}

fn list(global: &Global, context: &Context, flow: Option<&str>) -> Result<Exit> {
    let choices = listed(context, &context.look()?, flow)?;
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "merchants": choices }))?,
        Format::Text if choices.is_empty() => output::line("nobody has chosen a vendor for a merchant yet"),
        Format::Text => {
            let mut table =
                output::table(&["flow", "merchant", "name", "vendor", "chosen by", "when", "note"]);
            for Listed { flow, choice } in &choices {
                table.add_row([
                    output::cell(flow.as_str()),
                    output::cell(&choice.merchant),
                    output::cell(output::short(&choice.name, 40)),
                    output::cell(choice.vendor.as_str()),
                    output::cell(&choice.decision.by),
                    output::cell(output::moment(choice.at)),
                    output::cell(output::short(&choice.decision.note, 60)),
                ]);
            }
            output::show(&table);
        }
    }
    Ok(Exit::Done)
}

fn forget(global: &Global, context: &Context, flow: &str, merchant: &str, note: &str) -> Result<Exit> {
    let config = context.config()?;
    let flow = context.flow(&config, flow)?.id.clone();
    if !choices(&context.look()?, &flow)?.contains_key(merchant) {
        return Err(Usage(format!(
            "nobody has chosen a vendor for merchant `{merchant}` in flow `{flow}`; see `purser merchants list`"
        ))
        .into());
    }
    let decision = Context::decision(Some(note));
    let order = Order::Forget { flow, merchant: merchant.to_owned(), decision };
    let errand = Errand { global, context, config: &config, words: "forgetting the choice" };
    match errand.order(order)? {
        Obeyed::Done => {}
        other => return refused(other),
    }
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "forgotten": merchant }))?,
        Format::Text => {
            output::line(format!("forgotten; later records of {merchant} are compared by name again"))
        }
    }
    Ok(Exit::Done)
}
