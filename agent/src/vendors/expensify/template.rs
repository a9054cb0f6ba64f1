//! The file that our template makes, line by line, and when it is complete. Lines are JSON objects with a kind:
//! B a piece begins, R a report, E an expense of it, Z its end with a count, F a piece is finished; M in the file of a
//! mark-only job. A large export is rendered in pieces, so B and F may come more than once.

use super::wire::{EndLine, ExpenseLine, LineKind, ReportLine};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Not all of it is there yet.
    Incomplete(String),
    /// The template was refused; waiting does not help.
    TemplateFailed,
}

/// A report as exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawReport {
    /// Its own fields.
    pub(super) header: ReportLine,
    /// Its expenses in file order.
    pub(super) expenses: Vec<ExpenseLine>,
    /// What is wrong with its lines; the first fault is told.
    pub(super) damage: Option<String>,
}

impl RawReport {
    fn damaged(&mut self, what: impl FnOnce() -> String) {
        self.damage.get_or_insert_with(what);
    }
}

/// A complete export file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExportFile {
    /// Its reports in file order, damaged ones among them.
    pub(super) reports: Vec<RawReport>,
}

impl ExportFile {
    /// Whether any report has lines missing or broken.
    pub(super) fn is_damaged(&self) -> bool {
        self.reports.iter().any(|report| report.damage.is_some())
    }
}

/// Reads an export file.
pub(super) fn read_export(body: &[u8]) -> Result<ExportFile, Unusable> {
    let mut reader = Reader::default();
    for line in finished_lines(body)? {
        reader.line(line);
    }
    reader.close("its end is missing");
    Ok(ExportFile { reports: reader.reports })
}

/// Reads the file of a mark-only job: the ids it lists.
pub(super) fn read_marked(body: &[u8]) -> Result<BTreeSet<String>, Unusable> {
    let mut ids = BTreeSet::new();
    for line in finished_lines(body)? {
        if kind_of(line).as_deref() == Some("M")
            && let Ok(marked) = parse::<EndLine>(line)
            && let Some(id) = marked.report_id.get()
        {
            ids.insert(id.to_owned());
        }
    }
    Ok(ids)
}

/// All lines with something on them, provided that the last one says that the file is finished.
fn finished_lines(body: &[u8]) -> Result<Vec<&[u8]>, Unusable> {
    let lines: Vec<&[u8]> =
        body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty()).collect();
    if lines.last().and_then(|line| kind_of(line)).as_deref() == Some("F") {
        return Ok(lines);
    }
    let tail = String::from_utf8_lossy(&body[..body.len().min(65_536)]).to_ascii_lowercase();
    if tail.contains("freemarker template error") || tail.contains("freemarker.core.") {
        return Err(Unusable::TemplateFailed);
    }
    Err(Unusable::Incomplete(format!("the file ends early, after {} lines", lines.len())))
}

#[derive(Default)]
struct Reader {
    reports: Vec<RawReport>,
    open: Option<RawReport>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) {
        match kind_of(line).as_deref() {
            Some("B" | "F") => self.close("its end is missing"),
            Some("R") => self.begin(line),
            Some("E") => self.expense(line),
            Some("Z") => self.end(line),
            _ => self.stray("a line of it is not understood".to_owned()),
        }
    }

    fn begin(&mut self, line: &[u8]) {
        self.close("its end is missing");
        let mut report = RawReport::default();
        match parse(line) {
            Ok(header) => report.header = header,
            Err(error) => report.damaged(|| format!("its head is not understood: {error}")),
        }
        self.open = Some(report);
    }

    fn expense(&mut self, line: &[u8]) {
        let Some(report) = &mut self.open else {
            return self.stray("an expense stands outside any report".to_owned());
        };
        match parse::<ExpenseLine>(line) {
            Ok(expense) if expense.report_id == report.header.report_id => report.expenses.push(expense),
            Ok(_) => report.damaged(|| "an expense of another report stands in it".to_owned()),
            Err(error) => report.damaged(|| format!("an expense is not understood: {error}")),
        }
    }

    fn end(&mut self, line: &[u8]) {
        let Some(mut report) = self.open.take() else {
            self.stray("a report ends that never began".to_owned());
            if let (Some(lost), Ok(end)) = (self.reports.last_mut(), parse::<EndLine>(line)) {
                lost.header.report_id = end.report_id;
            }
            return;
        };
        let counted = report.expenses.len();
        match parse::<EndLine>(line) {
            Ok(end) => {
                if end.expenses.get() != Some(counted.to_string().as_str()) {
                    let said = end.expenses.get().unwrap_or("no").to_owned();
                    report.damaged(|| format!("{said} expenses are announced and {counted} are there"));
                }
                if report.header.report_id.get().is_none() {
                    report.header.report_id = end.report_id;
                } else if end.report_id != report.header.report_id {
                    report.damaged(|| "the end of another report stands in it".to_owned());
                }
            }
            Err(error) => report.damaged(|| format!("its end is not understood: {error}")),
        }
        self.reports.push(report);
    }

    /// A line that belongs nowhere damages the open report, or stands, with its like before it, for a report whose
    /// head was lost.
    fn stray(&mut self, what: String) {
        let headless = |report: &RawReport| report.damage.is_some() && report.header == ReportLine::default();
        match &mut self.open {
            Some(report) => report.damaged(|| what),
            None if self.reports.last().is_some_and(headless) => {}
            None => self.reports.push(RawReport { damage: Some(what), ..RawReport::default() }),
        }
    }

    fn close(&mut self, what: &str) {
        if let Some(mut report) = self.open.take() {
            report.damaged(|| what.to_owned());
            self.reports.push(report);
        }
    }
}

/// What a line is. Those of which a report is made are read whole afterwards, so a look at their beginning will do.
fn kind_of(line: &[u8]) -> Option<Cow<'static, str>> {
    const READ_WHOLE: [(&[u8], &str); 3] =
        [(br#"{"k":"E","#, "E"), (br#"{"k":"R","#, "R"), (br#"{"k":"Z","#, "Z")];
    let known = READ_WHOLE.iter().find(|(beginning, _)| line.starts_with(beginning));
    known
        .map(|(_, kind)| Cow::Borrowed(*kind))
        .or_else(|| parse::<LineKind>(line).ok().map(|line| Cow::Owned(line.k)))
}

/// The place of a fault without the text around it, which may be personal.
fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| format!("fault at column {}", error.column()))
}
