//! What is printed: tables and words for people, one JSON document for programs. The only file that prints.
use super::run::Reports;
use super::{Exit, Format, Global, Usage};
use crate::config::ConfigError;
use crate::flows::RunReport;
use crate::runtime::agent::Agent;
use crate::store::MirrorCounts;
use crate::vendors::Verdict;
use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use spend::Timestamp;
use spend::ids::FlowId;
use std::io::{ErrorKind, IsTerminal, Write};
use std::rc::Rc;
use std::time::Duration;

/// Prints one JSON document.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    raw(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Prints bytes of a file format as they are (completions, manual pages, JSON lines).
///
/// # Errors
/// When standard output fails; a reader that has gone away is no failure.
pub fn raw(text: &str) -> Result<()> {
    Ok(forgive(std::io::stdout().lock().write_all(text.as_bytes()))?)
}

/// A reader that has gone away (`purser records list | head`) has seen what it wanted.
fn forgive(written: std::io::Result<()>) -> std::io::Result<()> {
    written.or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// Prints a line for people.
pub fn line(text: impl AsRef<str>) {
    // Nobody could be told of a failure: the place where people look is the one that failed.
    drop(raw(&format!("{}\n", clean(text.as_ref()))));
}

/// Prints a line that is not part of the answer.
pub fn aside(text: impl AsRef<str>) {
    drop(std::io::stderr().lock().write_all(format!("{}\n", clean(text.as_ref())).as_bytes()));
}

/// Text from vendors can hold terminal commands; they are shown as a mark instead of being obeyed.
pub fn clean(text: &str) -> String {
    let harmless = |c: char| {
        c == '\n' || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    };
    text.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect()
}

/// A table that fits the terminal: a line below the heads, none elsewhere.
pub fn table(headers: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.style_mut().header_separator = LineStyle { fill: Some('\u{2500}'), ..LineStyle::default() };
    table.set_header(headers.to_vec());
    if !std::io::stdout().is_terminal() {
        // Piped output is read by programs and files: no wrapping at an invented width.
        table.set_width(u16::MAX).force_no_tty();
    }
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    table
}

/// Prints a table; its cells were made by [`cell`], [`right`] or [`verdict`].
pub fn show(table: &Table) {
    let text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    drop(raw(&text));
}

/// A cell of text.
pub fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new(clean(text.as_ref()))
}

/// A cell for a number or an amount.
pub fn right(text: impl ToString) -> Cell {
    Cell::new(clean(&text.to_string())).set_alignment(CellAlignment::Right)
}

/// A cell with the verdict of a check.
pub fn verdict(verdict: Verdict) -> Cell {
    let colour = match verdict {
        Verdict::Pass => Color::Green,
        Verdict::Warn => Color::Yellow,
        Verdict::Fail => Color::Red,
        Verdict::Skipped => Color::DarkGrey,
    };
    Cell::new(verdict_word(verdict)).fg(colour)
}

/// The word for a verdict.
pub const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "ok",
        Verdict::Warn => "warning",
        Verdict::Fail => "FAILED",
        Verdict::Skipped => "skipped",
    }
}

/// A moment for people.
pub fn moment(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A text cut to a number of characters.
pub fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('\u{2026}');
    cut
}

/// Prints what each flow's run came to.
///
/// # Errors
/// When the reports cannot be written as JSON.
pub fn reports(global: &Global, reports: &Reports) -> Result<()> {
    match global.output {
        Format::Json => json(&serde_json::json!({ "flows": reports
            .iter()
            .map(|(flow, ran)| match ran {
                Ok(report) => serde_json::json!({ "flow": flow, "report": report }),
                Err(why) => serde_json::json!({ "flow": flow, "failed": why }),
            })
            .collect::<Vec<_>>() })),
        Format::Text => {
            for (flow, ran) in reports {
                match ran {
                    Ok(report) => report_lines(flow, report),
                    Err(why) => aside(format!("{flow}: {why}")),
                }
            }
            Ok(())
        }
    }
}

/// Prints what one run came to, for people.
pub fn report_lines(flow: &FlowId, report: &RunReport) {
    if report.could_not_begin {
        line(format!("{flow}: the run could not begin"));
        report.errors.iter().for_each(|error| line(format!("  trouble: {error}")));
        return;
    }
    if let Some(counts) = &report.mirrored {
        line(format!("{flow}: {}", mirrored(counts)));
        report.errors.iter().for_each(|error| line(format!("  trouble: {error}")));
        return;
    }
    line(format!(
        "{flow}: {} read, {} new; {} posted, {} found in the ERP, {} acknowledged, {} held",
        report.read, report.new, report.posted, report.adopted, report.acknowledged, report.held
    ));
    if report.in_doubt + report.waiting > 0 {
        let due = report.next_due.map(|at| format!(", next look at {}", at.format("%Y-%m-%d %H:%M:%S UTC")));
        line(format!(
            "  {} in doubt, {} waiting{}",
            report.in_doubt,
            report.waiting,
            due.unwrap_or_default()
        ));
    }
    if report.left_out > 0 {
        line(format!(
            "  {} left for a later run: the preview that was agreed to did not book them so",
            report.left_out
        ));
    }
    if report.held > 0 {
        line("  see what is held and why: purser records list --state held");
    }
    for error in &report.errors {
        line(format!("  trouble: {error}"));
    }
}

/// What a reference flow did, in one line.
pub fn mirrored(counts: &MirrorCounts) -> String {
    let mut words = format!(
        "{} wanted; {} added, {} changed, {} disabled, {} untouched",
        counts.wanted, counts.added, counts.changed, counts.disabled, counts.untouched
    );
    if counts.failed > 0 {
        words.push_str(&format!(", {} failed", counts.failed));
    }
    if counts.waiting > 0 {
        words.push_str(&format!(", {} wait for consent", counts.waiting));
    }
    words
}

/// Prints an error with its causes and says how the process ends.
pub fn failure(global: &Global, error: &anyhow::Error) -> Exit {
    let refused = error.downcast_ref::<ConfigError>();
    match (global.output, refused) {
        (Format::Json, Some(ConfigError::Refused { findings, .. })) => {
            let _ = json(&serde_json::json!({ "error": error.to_string(), "findings": findings }));
        }
        (Format::Json, _) => {
            let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
            let _ = json(&serde_json::json!({ "error": error.to_string(), "causes": causes }));
        }
        (Format::Text, _) => {
            aside(format!("error: {error}"));
            for cause in error.chain().skip(1) {
                aside(format!("  because {cause}"));
            }
            if let Some(ConfigError::Refused { findings, .. }) = refused {
                for finding in findings {
                    aside(format!("  {finding}"));
                }
            }
        }
    }
    match refused {
        Some(_) => Exit::Configuration,
        None if error.downcast_ref::<Usage>().is_some() => Exit::Usage,
        None => Exit::Failed,
    }
}

/// A spinner with words on a terminal; nothing elsewhere.
pub fn spinner(global: &Global, words: &str) -> ProgressBar {
    if global.output != Format::Text || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    bar.set_message(words.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A progress bar on a terminal; nothing elsewhere.
pub struct Progress {
    bar: ProgressBar,
    task: Option<actix_rt::task::JoinHandle<()>>,
}

impl Progress {
    /// Follows the run of a flow.
    pub fn begin(global: &Global, agent: &Rc<Agent>, flow: &FlowId) -> Self {
        let watched = agent.progress(flow);
        let (Some(mut progress), Format::Text, true) =
            (watched, global.output, std::io::stderr().is_terminal())
        else {
            return Self { bar: ProgressBar::hidden(), task: None };
        };
        let bar = spinner(global, "");
        let shown = bar.clone();
        let flow = flow.clone();
        let task = actix_rt::spawn(async move {
            loop {
                let now = progress.borrow_and_update().clone();
                shown.set_message(match &now.mirrored {
                    Some(counts) => format!("{flow}: {}", mirrored(counts)),
                    None => format!(
                        "{flow}: {} read, {} posted, {} acknowledged, {} held",
                        now.read,
                        now.posted + now.adopted,
                        now.acknowledged,
                        now.held
                    ),
                });
                if progress.changed().await.is_err() {
                    return;
                }
            }
        });
        Self { bar, task: Some(task) }
    }

    /// Takes the bar away.
    pub fn end(self) {
        if let Some(task) = self.task {
            task.abort();
        }
        self.bar.finish_and_clear();
    }
}

/// Standard output as a writer that forgives a reader that has gone away.
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        forgive(std::io::stdout().lock().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        forgive(std::io::stdout().lock().flush())
    }
}
