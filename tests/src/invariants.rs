//! What must hold whatever went wrong on the way: judged from the simulators' own states, beside what the agent says.
//!
//! Each record that is ready to be booked is in the ERP exactly once with its amount to the cent, or visibly open
//! (held, in doubt, waiting); only what is booked is marked as exported; no call was wrong; no secret and no text of a
//! document lies in any file of the agent. References carry the record's id, so documents are matched to records
//! without asking the agent.

pub mod brex;
mod leak;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::harness::{CARD_RECORDS, Purser, Route, Sandbox, System};
use crate::world::{ACCRUED_EXPENSES, CARD_CLEARING};

pub use leak::Needles;

/// The mark that the agent leaves at the source.
const MARK: &str = "purser";
/// States of a report in which it is ready to be booked.
const READY: [&str; 2] = ["APPROVED", "REIMBURSED"];
/// States of a record in which nobody may call it lost.
const OPEN: [&str; 6] = ["held", "in-doubt", "waiting", "claimed", "planned", "posted"];

/// Characters of a reference for prefix, hyphen and record id; what is longer is cut there.
const HEAD: usize = 30;

/// What is judged.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The route.
    pub route: Route,
    /// State of the source's simulator.
    pub source: Value,
    /// State of the ERP's simulator (all of them write the same form).
    pub erp: Value,
    /// Company posted to.
    pub company: String,
    /// Open records by id, with the agent's word for their state.
    pub open: BTreeMap<String, String>,
    /// Wrong calls that the simulators have received.
    pub misuse: Vec<String>,
}

/// A record as the source has it.
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
    /// What the reference tells of the record's id: its beginning, with `_` for what no reference may hold.
    pub record: String,
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
    /// Records that are ready to be booked.
    pub source_documents: usize,
    /// Of these, those that are in the ERP.
    pub posted: usize,
    /// Of these, those that are not and wait for a person.
    pub held: usize,
    /// Of these, those that are not and are under way, with the agent's word for it.
    pub under_way: BTreeMap<String, String>,
    /// Of those in the ERP, the ones that are marked at the source.
    pub acknowledged: usize,
    /// Documents beyond the first of one record.
    pub duplicates: usize,
    /// Records that are neither in the ERP nor open.
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
    /// Adds that of another flow.
    pub fn add(&mut self, other: &Self) {
        self.source_documents += other.source_documents;
        self.posted += other.posted;
        self.held += other.held;
        self.under_way.extend(other.under_way.clone());
        self.acknowledged += other.acknowledged;
        self.duplicates += other.duplicates;
        self.lost += other.lost;
        let sums = [
            (&mut self.source_total, &other.source_total),
            (&mut self.erp_total, &other.erp_total),
            (&mut self.held_total, &other.held_total),
        ];
        for (mine, theirs) in sums {
            theirs.iter().for_each(|(currency, minor)| add(mine, currency, *minor));
        }
        self.broken.extend(other.broken.iter().cloned());
        self.unfinished.extend(other.unfinished.iter().cloned());
    }

    /// Everything that must not be at the end of a run.
    pub fn faults(&self) -> Vec<String> {
        self.broken.iter().chain(&self.unfinished).cloned().collect()
    }
}

impl Evidence {
    /// What the simulators hold and the agent says now.
    ///
    /// # Errors
    /// When the agent does not list its records.
    pub async fn gather(sandbox: &Sandbox, route: Route, purser: &Purser) -> Result<Self> {
        let (source, erp) = (sandbox.source(route), sandbox.erp(route));
        let mut misuse = source.misuse();
        misuse.extend(erp.misuse());
        Ok(Self {
            route,
            source: source.state(),
            erp: erp.state(),
            company: sandbox.company_of(route).to_owned(),
            open: open_records(purser, route).await?,
            misuse,
        })
    }

    /// Judges.
    ///
    /// # Errors
    /// When a state is not what a simulator writes.
    pub fn examine(&self) -> Result<Tally> {
        let ready = ready_records(self.route, &self.source)?;
        let booked = booked_documents(&self.erp, &self.company, self.route)?;
        let mut tally = Tally { source_documents: ready.len(), ..Tally::default() };
        tally.broken.extend(self.misuse.iter().map(|call| format!("wrong call: {call}")));
        let mut by_record: BTreeMap<&str, Vec<&Booked>> = BTreeMap::new();
        for document in &booked {
            add(&mut tally.erp_total, &document.currency, document.total);
            by_record.entry(&document.record).or_default().push(document);
        }
        for (id, record) in &ready {
            add(&mut tally.source_total, &record.currency, record.total);
            let documents = by_record.remove(head_of(self.route, id).as_str()).unwrap_or_default();
            let one = format!("{} {id}", self.route.record());
            tally.count(&one, record, &documents, self.open.get(id).map(String::as_str));
            if documents.is_empty() {
                tally.count_open(id, &one, record, self.open.get(id).map(String::as_str));
            }
        }
        for (record, documents) in by_record {
            let references: Vec<&str> =
                documents.iter().map(|document| document.reference.as_str()).collect();
            let one = self.route.record();
            tally.broken.push(format!("{} in the ERP without a ready {one} {record}", references.join(", ")));
        }
        Ok(tally)
    }
}

/// What a reference tells of a record's id.
fn head_of(route: Route, id: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '_' };
    id.chars().map(kept).take(HEAD - route.prefix().len() - 1).collect()
}

impl Tally {
    fn count(&mut self, one: &str, record: &Ready, documents: &[&Booked], open: Option<&str>) {
        let Some(document) = documents.first() else {
            if record.marked {
                self.broken.push(format!("{one} is marked as exported and not in the ERP"));
            }
            return;
        };
        self.posted += 1;
        self.acknowledged += usize::from(record.marked);
        if !record.marked {
            self.unfinished.push(format!("{one} is in the ERP and not marked as exported"));
        }
        if documents.len() > 1 {
            self.duplicates += documents.len() - 1;
            self.broken.push(format!("{one} is in the ERP {} times", documents.len()));
        }
        // While a write is under way, its document may be there in part.
        let whole =
            document.total == record.total && document.currency == record.currency && document.balanced;
        if !whole {
            let said = format!(
                "{one} of {} {} is in the ERP as {} {}{}",
                decimal(record.total, &record.currency),
                record.currency,
                decimal(document.total, &document.currency),
                document.currency,
                if document.balanced { "" } else { ", out of balance" }
            );
            let list = if open.is_some() { &mut self.unfinished } else { &mut self.broken };
            list.push(said);
        }
    }

    fn count_open(&mut self, id: &str, one: &str, record: &Ready, open: Option<&str>) {
        match open {
            Some("held") => {
                self.held += 1;
                add(&mut self.held_total, &record.currency, record.total);
            }
            Some(state) => {
                self.under_way.insert(id.to_owned(), state.to_owned());
                self.unfinished.push(format!("{one} is {state}"));
            }
            None => {
                self.lost += 1;
                self.unfinished.push(format!("{one} is neither in the ERP nor held: lost"));
            }
        }
    }
}

/// Open records of a flow in the posting log: id and state.
///
/// # Errors
/// When the agent does not list them.
pub async fn open_records(purser: &Purser, route: Route) -> Result<BTreeMap<String, String>> {
    let list = ["records", "list", "--flow", route.flow(), "--limit", "10000000"];
    let (_, answer) = purser.json(&list).await?;
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

/// The source's id in a record of the posting log.
pub fn source_id(record: &Value) -> Option<&str> {
    record.get("source_id").and_then(Value::as_str)
}

/// The records that are ready to be booked by a route, by id.
///
/// # Errors
/// When the state is not what the simulator writes.
pub fn ready_records(route: Route, source: &Value) -> Result<BTreeMap<String, Ready>> {
    match route.source() {
        System::Brex => brex::ready_records(source, &CARD_RECORDS),
        _ => ready_reports(source),
    }
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

/// The documents of one company that carry a reference of the route's flow. Those of other flows of the sandbox are
/// passed over; anything else there is an error.
///
/// # Errors
/// When the state is not what the simulator writes, or holds documents that no flow made.
pub fn booked_documents(erp: &Value, company: &str, route: Route) -> Result<Vec<Booked>> {
    let companies =
        erp.get("companies").and_then(Value::as_object).context("no companies in the state of the ERP")?;
    let mut booked = Vec::new();
    for (name, books) in companies {
        let documents = books
            .get("documents")
            .and_then(Value::as_array)
            .context("no documents in the state of the ERP")?;
        ensure!(
            name == company || documents.is_empty(),
            "documents in company {name}, which no flow posts to"
        );
        for document in documents {
            booked.extend(booked_document(document, route)?);
        }
    }
    Ok(booked)
}

fn booked_document(document: &Value, route: Route) -> Result<Option<Booked>> {
    let reference = text(document, "reference").split(' ').next().unwrap_or_default().to_owned();
    let (Some(theirs), Some(record)) = (Route::of_reference(&reference), reference.split('-').nth(1)) else {
        bail!("a document of the ERP has a reference that no flow gave: `{}`", text(document, "reference"));
    };
    if theirs != route {
        return Ok(None);
    }
    let record = record.to_owned();
    let currency = text(document, "currency").to_owned();
    let total = match text(document, "kind") {
        "gl-journal" => spent(document, &currency)?,
        _ => amount(document, "total", &currency)?,
    };
    let balanced = document.get("balanced").and_then(Value::as_bool).unwrap_or(true);
    Ok(Some(Booked { reference, record, total, currency, balanced }))
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
