//! `purser audit`: the trail of everything the agent did and was told, and the proof that nobody changed it.

mod words;

use super::context::Context;
use super::files::NewFile;
use super::{Exit, Format, Global, at_least_one, output};
use crate::store::{AuditEntry, AuditKind, AuditReader};
use anyhow::{Context as _, Result};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use comfy_table::Cell;
use spend::Timestamp;
use spend::ids::PostingKey;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Entries read at once while going backwards.
const CHUNK: u64 = 256;

fn show_help() -> String {
    format!(
        "\
Kinds: {}.

Examples:
  purser audit show --kind decision --since 2026-01-01
  purser audit show --posting 8c1f03a2d5e94b7c8c1f03a2d5e94b7c
  purser audit show --kind call --limit 5 --output json",
        kinds()
    )
}

fn kinds() -> String {
    AuditKind::ALL.map(AuditKind::as_str).join(", ")
}

/// What can be done with the audit trail.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum AuditVerb {
    /// Show entries, newest last.
    #[command(after_help = show_help())]
    Show(ShowArgs),
    /// Walk the whole chain of hashes: no entry was changed, dropped, moved or cut off.
    #[command(
        after_help = "Example:\n  purser audit verify\n\nExit code 5: the trail is not as it was written."
    )]
    Verify,
    /// Write the trail into a file, one JSON object a line.
    #[command(after_help = "\
What records say (bodies of calls, texts of plans) is left out unless --content is given: hash and length stand for it.
Secrets are in neither form.

Examples:
  purser audit export --file audit.jsonl
  purser audit export --file - --content | gzip > audit.jsonl.gz")]
    Export {
        /// Where to; `-` is standard output. An existing file is not overwritten.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// With what records say. Keep such a file as safe as the books themselves.
        #[arg(long)]
        content: bool,
    },
}

/// Arguments of `audit show`.
#[derive(Clone, Debug, clap::Args)]
pub struct ShowArgs {
    /// Only of this posting: its whole key, a record's id, or a unique beginning of either.
    #[arg(long, value_name = "KEY|RECORD")]
    pub posting: Option<String>,
    /// Only of this kind.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<AuditKind>,
    /// Only since this day or moment (2026-01-31, 2026-01-31T08:00:00Z).
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub since: Option<Timestamp>,
    /// Most entries that are shown.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one())]
    pub limit: usize,
}

fn kind(text: &str) -> Result<AuditKind, String> {
    let found = AuditKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| format!("write one of {}", kinds()))
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Utc.from_utc_datetime(&day.and_time(NaiveTime::MIN)));
    }
    let moment = DateTime::parse_from_rfc3339(text);
    moment
        .map(|at| at.to_utc())
        .map_err(|_| "write a day (2026-01-31) or a moment (2026-01-31T08:00:00Z)".to_owned())
}

/// Does what is asked.
///
/// # Errors
/// A store that cannot be read; a file that cannot be written.
pub fn run(global: &Global, verb: &AuditVerb) -> Result<Exit> {
    let context = Context::new(global)?;
    match verb {
        AuditVerb::Show(args) => show(global, &context, args),
        AuditVerb::Verify => verify(global, &context),
        AuditVerb::Export { file, content } => export(global, &context, file, *content),
    }
}

fn show(global: &Global, context: &Context, args: &ShowArgs) -> Result<Exit> {
    let store = context.look()?;
    let posting = args.posting.as_deref().map(|text| super::records::key_of(&store, text)).transpose()?;
    let entries = match &posting {
        Some(key) => of_posting(&store.audit(), key, args)?,
        None => newest(&store.audit(), args)?,
    };
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "entries": entries }))?,
        Format::Text if entries.is_empty() => output::line("no such entry"),
        Format::Text => {
            let mut table = output::table(&["no.", "when", "kind", "who", "what"]);
            entries.iter().for_each(|entry| {
                table.add_row(row(entry));
            });
            output::show(&table);
            if entries.len() == args.limit {
                output::line("perhaps not all: raise --limit to see more");
            }
        }
    }
    Ok(Exit::Done)
}

fn admits(args: &ShowArgs, entry: &AuditEntry) -> bool {
    args.kind.is_none_or(|kind| entry.draft.kind == kind)
        && args.since.is_none_or(|since| entry.draft.at >= since)
}

fn of_posting(audit: &AuditReader, key: &PostingKey, args: &ShowArgs) -> Result<Vec<AuditEntry>> {
    let mut entries: Vec<AuditEntry> =
        audit.of_posting(key)?.into_iter().filter(|entry| admits(args, entry)).collect();
    let surplus = entries.len().saturating_sub(args.limit);
    entries.drain(..surplus);
    Ok(entries)
}

/// The newest entries that are meant, found from the end.
fn newest(audit: &AuditReader, args: &ShowArgs) -> Result<Vec<AuditEntry>> {
    let mut upper = audit.head()?.entries;
    let mut found = Vec::new();
    while upper > 0 && found.len() < args.limit {
        let lower = upper.saturating_sub(CHUNK - 1).max(1);
        let chunk = audit.entries(lower, usize::try_from(upper - lower + 1)?)?;
        found.extend(chunk.into_iter().rev().filter(|entry| admits(args, entry)));
        upper = lower - 1;
    }
    found.truncate(args.limit);
    found.reverse();
    Ok(found)
}

/// An entry as cells of a table.
pub(super) fn row(entry: &AuditEntry) -> [Cell; 5] {
    let draft = &entry.draft;
    [
        output::right(entry.seq),
        output::cell(output::moment(draft.at)),
        output::cell(words::kind(draft.kind)),
        output::cell(&draft.actor),
        output::cell(words::summary(draft)),
    ]
}

fn verify(global: &Global, context: &Context) -> Result<Exit> {
    let store = context.look()?;
    match store.audit().verify() {
        Ok(head) => {
            match global.output {
                Format::Json => output::json(&serde_json::json!({ "intact": true, "head": head }))?,
                Format::Text => {
                    output::line(format!(
                        "the audit trail is intact: {} entries, head {}",
                        head.entries, head.hash
                    ));
                }
            }
            Ok(Exit::Done)
        }
        Err(fault) => {
            let kind = fault.kind.to_string();
            match global.output {
                Format::Json => {
                    output::json(&serde_json::json!({ "intact": false, "seq": fault.seq, "fault": kind }))?;
                }
                Format::Text => output::line(format!(
                    "the audit trail is NOT as it was written: entry {}: {kind}\nto mend it: keep the folder as it is \
                     for whoever examines this, and restore a backup in another place",
                    fault.seq
                )),
            }
            Ok(Exit::CheckFailed)
        }
    }
}

fn export(global: &Global, context: &Context, file: &Path, content: bool) -> Result<Exit> {
    let store = context.look()?;
    if file == Path::new("-") {
        write_lines(&store.audit(), content, &mut output::Stdout)?;
        return Ok(Exit::Done);
    }
    let mut to = BufWriter::new(NewFile::create(file)?);
    let written = write_lines(&store.audit(), content, &mut to)?;
    to.into_inner().map_err(std::io::IntoInnerError::into_error)?.finish()?;
    match global.output {
        Format::Json => {
            output::json(&serde_json::json!({ "file": file, "entries": written, "content": content }))?
        }
        Format::Text => output::line(format!("{written} entries written to {}", file.display())),
    }
    Ok(Exit::Done)
}

fn write_lines(audit: &AuditReader, content: bool, to: &mut dyn Write) -> Result<u64> {
    let mut written = 0;
    let mut failed: Option<anyhow::Error> = None;
    audit.for_each(1, |entry| {
        if failed.is_some() {
            return;
        }
        match line(&entry, content).and_then(|line| Ok(to.write_all(line.as_bytes())?)) {
            Ok(()) => written += 1,
            Err(error) => failed = Some(error.context("cannot write the export")),
        }
    })?;
    to.flush().context("cannot write the export")?;
    failed.map_or(Ok(written), Err)
}

fn line(entry: &AuditEntry, content: bool) -> Result<String> {
    let mut value = serde_json::to_value(entry)?;
    if !content {
        value["detail"] = words::without_content(&entry.draft);
    }
    Ok(format!("{value}\n"))
}
