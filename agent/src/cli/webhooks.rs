//! `purser webhooks`: deliveries of vendors, handed over as a file.

use super::context::Context;
use super::errand::{Errand, refused};
use super::run::{self, Reports};
use super::{Exit, Format, Global, Usage, output};
use crate::runtime::commands::{Obeyed, Order};
use crate::runtime::webhooks::{Outcome, Receipt, seal};
use crate::vendors::registry;
use anyhow::{Context as _, Result};
use purser_proto::validate::{ValidConfig, ValidConnection};
use serde::Serialize;
use spend::ids::ConnectionId;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file.
const MOST_BYTES: u64 = 256 << 20;
/// Most lines, and bytes, that are handed over at once.
const CHUNK_LINES: usize = 500;
const CHUNK_BYTES: usize = 8 << 20;

/// What can be done with webhooks.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum WebhooksVerb {
    /// Receive the deliveries of a file: check each sender, then run the flows that read from the connection.
    #[command(after_help = "\
FILE holds one JSON object a line, as received, and `-` is standard input:
  {\"received_at\": \"2026-01-31T08:00:00Z\", \"headers\": {NAME: VALUE, ...}, \"body_base64\": \"...\"}
What else stands in an object is not looked at.

Each delivery is checked against the fields `webhook_secret` and `webhook_secret_next` of the
connection's secret; its age is counted to `received_at`. It is accepted, known already, or refused
with the reason, and audited in each case. A webhook only makes flows run earlier: what is booked is
read from the vendor. When the agent is running, it does the work.

Examples:
  purser webhooks replay deliveries.jsonl
  purser webhooks replay deliveries.jsonl --connection cards --output json
  purser audit show --kind webhook
  purser audit show --kind security

Exit code 4: a delivery was refused, or something of a run waits for a person or went wrong.")]
    Replay {
        /// The file; `-` = standard input.
        file: PathBuf,
        /// The connection that they are for. Default: the only one that receives webhooks.
        #[arg(long, value_name = "ID")]
        connection: Option<String>,
    },
}

/// Does what is asked.
///
/// # Errors
/// A configuration, store or file that cannot be used, an unknown connection.
pub fn run(global: &Global, verb: &WebhooksVerb) -> Result<Exit> {
    let context = Context::new(global)?;
    let config = context.config()?;
    match verb {
        WebhooksVerb::Replay { file, connection } => {
            let connection = receiver(&context, &config, connection.as_deref())?.id.clone();
            let lines = lines(file)?;
            replay(global, &context, &config, &connection, &lines)
        }
    }
}

fn receives(connection: &ValidConnection) -> bool {
    registry::vendor(&connection.kind).is_some_and(|vendor| vendor.webhook.is_some())
}

/// The connection that is named, or the only one that receives webhooks.
fn receiver<'c>(
    context: &Context,
    config: &'c ValidConfig,
    name: Option<&str>,
) -> Result<&'c ValidConnection> {
    if let Some(name) = name {
        let connection = context.connection(config, name)?;
        if receives(connection) {
            return Ok(connection);
        }
        return Err(Usage(format!("connection `{name}` ({}) receives no webhooks", connection.kind)).into());
    }
    let able: Vec<&ValidConnection> = config.connections.iter().filter(|c| receives(c)).collect();
    match able.as_slice() {
        [one] => Ok(one),
        [] => Err(Usage("no connection of the configuration receives webhooks".to_owned()).into()),
        several => {
            let ids: Vec<&str> = several.iter().map(|connection| connection.id.as_str()).collect();
            Err(Usage(format!("say for which connection: --connection {}", ids.join(" or --connection ")))
                .into())
        }
    }
}

/// The lines of the file that are not empty, with their numbers. Bytes that are no text are refused with their line, like
/// anything else that is no delivery.
fn lines(file: &Path) -> Result<Vec<(usize, String)>> {
    let name = file.display();
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(MOST_BYTES + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| Usage(format!("cannot read {name}")))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Usage(format!(
            "{name} is larger than {MOST_BYTES} bytes; split it, deliveries may come in any order"
        ))
        .into());
    }
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.map(|(index, line)| (index + 1, String::from_utf8_lossy(line).trim().to_owned()));
    Ok(lines.filter(|(_, line)| !line.is_empty()).collect())
}

/// A receipt with its line.
#[derive(Debug, Serialize)]
struct Row {
    line: usize,
    #[serde(flatten)]
    receipt: Receipt,
}

fn replay(
    global: &Global,
    context: &Context,
    config: &ValidConfig,
    connection: &ConnectionId,
    lines: &[(usize, String)],
) -> Result<Exit> {
    let mut orders = Vec::new();
    for chunk in chunks(lines) {
        let texts: Vec<String> = chunk.iter().map(|(_, line)| line.clone()).collect();
        let sealed = seal(context.home(), &texts).map_err(anyhow::Error::msg)?;
        let decision = Context::decision(None);
        orders.push(Order::Receive { connection: connection.clone(), sealed, decision });
    }
    let mut receipts = Vec::new();
    let mut reports = Reports::new();
    if !orders.is_empty() {
        let errand = Errand { global, context, config, words: "receiving webhooks" };
        for obeyed in errand.orders(orders)? {
            let Obeyed::Received { receipts: more, runs } = obeyed else { return refused(obeyed) };
            receipts.extend(more);
            for (flow, ran) in runs {
                merge(&mut reports, flow, ran);
            }
        }
    }
    let numbers = lines.iter().map(|(number, _)| *number);
    let rows: Vec<Row> = numbers.zip(receipts).map(|(line, receipt)| Row { line, receipt }).collect();
    show(global, connection, &rows, &reports)?;
    let refusals = rows.iter().any(|row| row.receipt.outcome == Outcome::Refused);
    Ok(match run::verdict(&reports) {
        Exit::Done if refusals => Exit::Attention,
        other => other,
    })
}

/// The counters of several runs of a flow add up; a failure stays.
fn merge(reports: &mut Reports, flow: spend::ids::FlowId, ran: Result<crate::flows::RunReport, String>) {
    match (reports.get_mut(&flow), ran) {
        (Some(Ok(sum)), Ok(more)) => sum.add(more),
        (Some(Err(_)), Ok(_)) => {}
        (Some(before), failed @ Err(_)) => *before = failed,
        (None, ran) => {
            reports.insert(flow, ran);
        }
    }
}

/// Pieces of a bounded size.
fn chunks(lines: &[(usize, String)]) -> Vec<&[(usize, String)]> {
    let mut chunks = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (at, (_, line)) in lines.iter().enumerate() {
        if at > begin && (at - begin == CHUNK_LINES || bytes + line.len() > CHUNK_BYTES) {
            chunks.push(&lines[begin..at]);
            (begin, bytes) = (at, 0);
        }
        bytes += line.len();
    }
    if begin < lines.len() {
        chunks.push(&lines[begin..]);
    }
    chunks
}

fn show(global: &Global, connection: &ConnectionId, rows: &[Row], reports: &Reports) -> Result<()> {
    let count = |wanted: Outcome| rows.iter().filter(|row| row.receipt.outcome == wanted).count();
    let (accepted, ignored) = (count(Outcome::Accepted), count(Outcome::Ignored));
    let (known, refused) = (count(Outcome::KnownAlready), count(Outcome::Refused));
    match global.output {
        Format::Json => {
            let flows: Vec<serde_json::Value> = reports
                .iter()
                .map(|(flow, ran)| match ran {
                    Ok(report) => serde_json::json!({ "flow": flow, "report": report }),
                    Err(why) => serde_json::json!({ "flow": flow, "failed": why }),
                })
                .collect();
            output::json(&serde_json::json!({
                "connection": connection, "accepted": accepted, "ignored": ignored, "known_already": known,
                "refused": refused, "deliveries": rows, "flows": flows,
            }))
        }
        Format::Text if rows.is_empty() => {
            output::line("there is no delivery in the file");
            Ok(())
        }
        Format::Text => {
            let mut table = output::table(&["line", "id", "event", "records", "outcome", "why"]);
            for Row { line, receipt } in rows {
                table.add_row([
                    output::right(line),
                    output::cell(receipt.id.as_deref().unwrap_or("-")),
                    output::cell(receipt.event.as_deref().unwrap_or("-")),
                    output::right(receipt.records),
                    output::cell(receipt.outcome.word()),
                    output::cell(receipt.why.as_deref().unwrap_or_default()),
                ]);
            }
            output::show(&table);
            output::line(format!(
                "{connection}: {accepted} accepted, {ignored} with nothing to fetch, {known} known already, {refused} refused"
            ));
            output::reports(global, reports)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_handed_over_in_pieces_of_a_bounded_size_and_in_order() {
        let lines = |count: usize, length: usize| -> Vec<(usize, String)> {
            (1..=count).map(|number| (number, "x".repeat(length))).collect()
        };
        let sizes = |lines: &[(usize, String)]| chunks(lines).iter().map(|c| c.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&[]), [] as [usize; 0]);
        assert_eq!(sizes(&lines(1, CHUNK_BYTES * 2)), [1]);
        assert_eq!(sizes(&lines(3, CHUNK_BYTES)), [1, 1, 1]);
        assert_eq!(sizes(&lines(1_201, 1)), [500, 500, 201]);
        let all = lines(1_201, 1);
        assert_eq!(chunks(&all).concat(), all);
    }

    #[test]
    fn empty_lines_are_passed_over_and_bytes_that_are_no_text_stay_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deliveries.jsonl");
        std::fs::write(&file, b"{}\n\n  \r\n\xff\xfe\n{\"a\":1}\r\n").unwrap();
        let read = lines(&file).unwrap();
        assert_eq!(read.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 4, 5]);
        assert_eq!(read[2].1, "{\"a\":1}");
        let missing = lines(&folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("cannot read") && missing.is::<Usage>(), "{missing}");
    }
}
