//! What must hold whatever went wrong on the way: judged from the simulators' own states, beside what the agent says.
//!
//! Each report that is ready to be booked is in the ERP exactly once with its amount to the cent, or visibly open
//! (held, in doubt, waiting); only what is booked is marked as exported; no call was wrong; no secret and no text of a
//! document lies in any file of the agent. References carry the report's id, so documents are matched to reports
//! without asking the agent.

pub mod brex;
mod leak;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::harness::{PREFIX, Purser};
use crate::world::{ACCRUED_EXPENSES, CARD_CLEARING};

pub use leak::Needles;

/// The mark that the agent leaves at the source.
const MARK: &str = "purser";
/// States of a report in which it is ready to be booked.
const READY: [&str; 2] = ["APPROVED", "REIMBURSED"];
/// States of a record in which nobody may call it lost.
const OPEN: [&str; 6] = ["held", "in-doubt", "waiting", "claimed", "planned", "posted"];

/// What is judged.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// State of the Expensify simulator.
    pub expensify: Value,
    /// State of the Epicor simulator.
    pub epicor: Value,
    /// Company posted to.
    pub company: String,
    /// Open records by report id, with the agent's word for their state.
    pub open: BTreeMap<String, String>,
    /// Wrong calls that the simulators have received.
    pub misuse: Vec<String>,
}

/// A report as the source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Minor units.
    pub total: i64,
    /// Currency.
    pub currency: String,
    /// Whether it carries the agent's mark.
    pub marked: bool,
}

/// A document as the ERP has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// Reference.
    pub reference: String,
    /// Id of the report it is made from.
    pub report: String,
    /// What was spent, in minor units: a journal without its offsets.
    pub total: i64,
    /// Currency.
    pub currency: String,
    /// A journal whose sides are equal; invoices always are.
    pub balanced: bool,
}

/// Sums by currency, minor units.
pub type Sums = BTreeMap<String, i64>;

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Reports that are ready to be booked.
    pub source_documents: usize,
    /// Of these, those that are in the ERP.
    pub posted: usize,
    /// Of these, those that are not and wait for a person.
    pub held: usize,
    /// Of these, those that are not and are under way, with the agent's word for it.
    pub under_way: BTreeMap<String, String>,
    /// Of those in the ERP, the ones that are marked at the source.
    pub acknowledged: usize,
    /// Documents beyond the first of one report.
    pub duplicates: usize,
    /// Reports that are neither in the ERP nor open.
    pub lost: usize,
    /// What the source holds.
    pub source_total: Sums,
    /// What the ERP holds.
    pub erp_total: Sums,
    /// What waits for a person.
    pub held_total: Sums,
    /// What must never be seen, at no moment.
    pub broken: Vec<String>,
    /// What must not be left at the end.
    pub unfinished: Vec<String>,
}

impl Tally {
    /// Everything that must not be at the end of a run.
    pub fn faults(&self) -> Vec<String> {
        self.broken.iter().chain(&self.unfinished).cloned().collect()
    }
}

impl Evidence {
    /// Judges.
    ///
    /// # Errors
    /// When a state is not what a simulator writes.
    pub fn examine(&self) -> Result<Tally> {
        let ready = ready_reports(&self.expensify)?;
        let booked = booked_documents(&self.epicor, &self.company)?;
        let mut tally = Tally { source_documents: ready.len(), ..Tally::default() };
        tally.broken.extend(self.misuse.iter().map(|call| format!("wrong call: {call}")));
        let mut by_report: BTreeMap<&str, Vec<&Booked>> = BTreeMap::new();
        for document in &booked {
            add(&mut tally.erp_total, &document.currency, document.total);
            by_report.entry(&document.report).or_default().push(document);
        }
        for (id, report) in &ready {
            add(&mut tally.source_total, &report.currency, report.total);
            let documents = by_report.remove(id.as_str()).unwrap_or_default();
            tally.count(id, report, &documents, self.open.get(id).map(String::as_str));
        }
        for (report, documents) in by_report {
            let references: Vec<&str> =
                documents.iter().map(|document| document.reference.as_str()).collect();
            tally
                .broken
                .push(format!("{} in the ERP without a ready report {report}", references.join(", ")));
        }
        Ok(tally)
    }
}

impl Tally {
    fn count(&mut self, id: &str, report: &Ready, documents: &[&Booked], open: Option<&str>) {
        let Some(document) = documents.first() else {
            if report.marked {
                self.broken.push(format!("report {id} is marked as exported and not in the ERP"));
            }
            self.count_open(id, report, open);
            return;
        };
        self.posted += 1;
        self.acknowledged += usize::from(report.marked);
        if !report.marked {
            self.unfinished.push(format!("report {id} is in the ERP and not marked as exported"));
        }
        if documents.len() > 1 {
            self.duplicates += documents.len() - 1;
            self.broken.push(format!("report {id} is in the ERP {} times", documents.len()));
        }
        // While a write is under way, its document may be there in part.
        let whole =
            document.total == report.total && document.currency == report.currency && document.balanced;
        if !whole {
            let said = format!(
                "report {id} of {} {} is in the ERP as {} {}{}",
                decimal(report.total, &report.currency),
                report.currency,
                decimal(document.total, &document.currency),
                document.currency,
                if document.balanced { "" } else { ", out of balance" }
            );
            let list = if open.is_some() { &mut self.unfinished } else { &mut self.broken };
            list.push(said);
        }
    }

    fn count_open(&mut self, id: &str, report: &Ready, open: Option<&str>) {
        match open {
            Some("held") => {
                self.held += 1;
                add(&mut self.held_total, &report.currency, report.total);
            }
            Some(state) => {
                self.under_way.insert(id.to_owned(), state.to_owned());
                self.unfinished.push(format!("report {id} is {state}"));
            }
            None => {
                self.lost += 1;
                self.unfinished.push(format!("report {id} is neither in the ERP nor held: lost"));
            }
        }
    }
}

/// Open records of the posting log: report id and state.
///
/// # Errors
/// When the agent does not list them.
pub async fn open_records(purser: &Purser) -> Result<BTreeMap<String, String>> {
    let (_, answer) = purser.json(&["records", "list", "--limit", "10000000"]).await?;
    let mut open = BTreeMap::new();
    for record in records_of(&answer)? {
        let state = text(record, "state");
        if OPEN.contains(&state) {
            let id = source_id(record).with_context(|| format!("a record without an id: {record}"))?;
            open.insert(id.to_owned(), state.to_owned());
        }
    }
    Ok(open)
}

/// Has the agent check its audit trail.
///
/// # Errors
/// When it finds a fault, or does not say.
pub async fn verify_audit(purser: &Purser) -> Result<Value> {
    let (finished, answer) = purser.json(&["audit", "verify"]).await?;
    ensure!(finished.code == Some(0), "the audit trail does not verify: {}", finished.words());
    Ok(answer)
}

/// The records of an answer of `records list`.
///
/// # Errors
/// When there is no list in it.
pub fn records_of(answer: &Value) -> Result<&Vec<Value>> {
    answer.get("records").and_then(Value::as_array).with_context(|| format!("no list of records: {answer}"))
}

/// The report's id in a record of the posting log.
pub fn source_id(record: &Value) -> Option<&str> {
    record.get("source_id").and_then(Value::as_str)
}

/// The reports that are ready to be booked, by id.
///
/// # Errors
/// When the state is not what the simulator writes.
pub fn ready_reports(expensify: &Value) -> Result<BTreeMap<String, Ready>> {
    let reports =
        expensify.get("reports").and_then(Value::as_array).context("no reports in the state of Expensify")?;
    let mut ready = BTreeMap::new();
    for report in reports.iter().filter(|report| READY.contains(&text(report, "state"))) {
        let labels: BTreeSet<&str> = report
            .get("labels")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let total = report.get("total").and_then(Value::as_i64).context("a report without a total")?;
        let currency = text(report, "currency").to_owned();
        let twin = ready
            .insert(text(report, "id").to_owned(), Ready { total, currency, marked: labels.contains(MARK) });
        ensure!(twin.is_none(), "report {} is listed twice", text(report, "id"));
    }
    Ok(ready)
}

/// The documents of one company that carry a reference of the flow; anything else there is an error.
///
/// # Errors
/// When the state is not what the simulator writes, or holds documents without a reference of the flow.
pub fn booked_documents(epicor: &Value, company: &str) -> Result<Vec<Booked>> {
    let companies =
        epicor.get("companies").and_then(Value::as_object).context("no companies in the state of Epicor")?;
    let mut booked = Vec::new();
    for (name, books) in companies {
        let documents = books
            .get("documents")
            .and_then(Value::as_array)
            .context("no documents in the state of Epicor")?;
        ensure!(
            name == company || documents.is_empty(),
            "documents in company {name}, which no flow posts to"
        );
        for document in documents {
            booked.push(booked_document(document)?);
        }
    }
    Ok(booked)
}

fn booked_document(document: &Value) -> Result<Booked> {
    let reference = text(document, "reference").split(' ').next().unwrap_or_default().to_owned();
    let mut parts = reference.split('-');
    let (Some(PREFIX), Some(report)) = (parts.next(), parts.next()) else {
        bail!("a document of the ERP has a reference that no flow gave: `{}`", text(document, "reference"));
    };
    let report = report.to_owned();
    let currency = text(document, "currency").to_owned();
    let total = match text(document, "kind") {
        "gl-journal" => spent(document, &currency)?,
        _ => amount(document, "total", &currency)?,
    };
    let balanced = document.get("balanced").and_then(Value::as_bool).unwrap_or(true);
    Ok(Booked { reference, report, total, currency, balanced })
}

/// A journal's lines without those of the offset accounts.
fn spent(document: &Value, currency: &str) -> Result<i64> {
    let mut sum = 0;
    for line in document.get("lines").and_then(Value::as_array).context("a journal without lines")? {
        let natural = text(line, "account").split('|').next().unwrap_or_default();
        if natural != ACCRUED_EXPENSES && natural != CARD_CLEARING {
            sum += amount(line, "amount", currency)?;
        }
    }
    Ok(sum)
}

fn amount(value: &Value, name: &str, currency: &str) -> Result<i64> {
    minor_units(text(value, name), currency)
        .with_context(|| format!("`{}` is no amount in {currency}", text(value, name)))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn add(sums: &mut Sums, currency: &str, minor: i64) {
    *sums.entry(currency.to_owned()).or_insert(0) += minor;
}

/// Decimals of a currency that the world has.
const fn decimals(currency: &str) -> usize {
    if matches!(currency.as_bytes(), b"JPY") { 0 } else { 2 }
}

/// Decimal text in minor units; no more decimals than the currency has, unless they are zero.
pub fn minor_units(text: &str, currency: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let places = decimals(currency);
    let (counted, surplus) = fraction.split_at_checked(places).unwrap_or((fraction, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(counted) || surplus.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let minor: i64 = format!("{whole}{counted:0<places$}").parse().ok()?;
    Some(if negative { -minor } else { minor })
}

/// Minor units as decimal text.
pub fn decimal(minor: i64, currency: &str) -> String {
    let places = decimals(currency);
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = places + 1);
    match digits.split_at_checked(digits.len() - places) {
        Some((whole, fraction)) if !fraction.is_empty() => format!("{sign}{whole}.{fraction}"),
        _ => format!("{sign}{digits}"),
    }
}
