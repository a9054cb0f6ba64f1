//! The proof: for a period of approval dates, what the source says, what the posting log says and what the ERP says,
//! record by record, each difference with its reason. It reads and writes nothing.

use super::spend_flow::{RunError, SpendFlow};
use crate::store::PostingFilter;
use crate::vendors::{ErpDocument, SourceWindow};
use chrono::Days;
use serde::{Deserialize, Serialize};
use spend::Date;
use spend::document::SpendDocument;
use spend::ids::SourceId;
use spend::mapping::LineSelection;
use spend::money::{Currency, Money};
use spend::posting::{Failure, Posting, PostingState};
use std::collections::{BTreeMap, BTreeSet};

/// How one record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Source, posting log and ERP agree.
    Booked,
    /// On its way: planned, waiting or in doubt.
    Pending,
    /// Waits for a person.
    Held,
    /// Closed by a person.
    Handled,
    /// Somebody else has exported it, and this flow has not booked it.
    ExportedElsewhere,
    /// Read by no run yet.
    NotRead,
    /// The log says booked, the ERP has nothing under its reference (voided or deleted there).
    MissingInErp,
    /// The ERP's total is another one (edited there).
    EditedInErp,
    /// The ERP has more than one document of it.
    Doubled,
    /// The source's total is another one than was booked.
    ChangedInSource,
    /// Booked, and the source does not give it any more.
    GoneFromSource,
    /// The ERP has a document under a reference of this flow that the log does not know.
    UnknownInLog,
}

impl Standing {
    /// Whether money is where it should be, or visibly waiting.
    pub const fn is_explained(self) -> bool {
        match self {
            Self::Booked
            | Self::Pending
            | Self::Held
            | Self::Handled
            | Self::ExportedElsewhere
            | Self::NotRead => true,
            Self::MissingInErp
            | Self::EditedInErp
            | Self::Doubled
            | Self::ChangedInSource
            | Self::GoneFromSource
            | Self::UnknownInLog => false,
        }
    }

    /// The word on screen and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Handled => "handled",
            Self::ExportedElsewhere => "exported elsewhere",
            Self::NotRead => "not read",
            Self::MissingInErp => "missing in ERP",
            Self::EditedInErp => "edited in ERP",
            Self::Doubled => "doubled",
            Self::ChangedInSource => "changed in source",
            Self::GoneFromSource => "gone from source",
            Self::UnknownInLog => "unknown in log",
        }
    }
}

/// One record of the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofRow {
    /// Record; `None` for an ERP document that the log does not know.
    pub source_id: Option<SourceId>,
    /// Reference in the ERP.
    pub reference: Option<String>,
    /// Title.
    pub title: String,
    /// Currency.
    pub currency: Currency,
    /// What the source says.
    pub source: Option<Money>,
    /// What the log says was booked.
    pub log: Option<Money>,
    /// What the ERP says.
    pub erp: Option<Money>,
    /// How it stands.
    pub standing: Standing,
    /// In words, where there is more to say.
    pub detail: String,
}

/// Sums of one currency, minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofSums {
    /// All records of the source.
    pub source: i64,
    /// What the log says was booked.
    pub log: i64,
    /// What the ERP says.
    pub erp: i64,
    /// Of the source, what waits for a person.
    pub held: i64,
    /// Of the source, what is on its way or not read yet.
    pub pending: i64,
    /// Of the source, what a person closed.
    pub handled: i64,
    /// Of the source, what somebody else has exported.
    #[serde(default)]
    pub exported_elsewhere: i64,
}

impl ProofSums {
    /// Source = ERP + held + pending + handled + exported elsewhere, and log = ERP.
    pub fn agree(&self) -> bool {
        let parts = [self.erp, self.held, self.pending, self.handled, self.exported_elsewhere];
        let parts = parts.iter().map(|v| i128::from(*v)).sum::<i128>();
        i128::from(self.source) == parts && self.log == self.erp
    }
}

/// The whole statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// First day of approval.
    pub from: Date,
    /// Last day of approval.
    pub to: Date,
    /// Records.
    pub rows: Vec<ProofRow>,
    /// Sums by currency.
    pub sums: BTreeMap<Currency, ProofSums>,
    /// Records by standing.
    pub counts: BTreeMap<Standing, u64>,
    /// Every record is explained and every sum agrees.
    pub agrees: bool,
}

impl SpendFlow {
    /// Makes the proof for records approved from `from` to `to`, both inclusive.
    ///
    /// # Errors
    /// A vendor's failure to give its side, or [`RunError`] for the store.
    pub async fn proof(&self, from: Date, to: Date) -> Result<Result<Proof, Failure>, RunError> {
        let page = match self.source.read(&SourceWindow::Period { from, to }).await {
            Ok(page) => page,
            Err(failure) => return Ok(Err(failure)),
        };
        let erp = match self.erp_side(from, to).await {
            Ok(erp) => erp,
            Err(failure) => return Ok(Err(failure)),
        };
        let within = |approved: Option<Date>| approved.is_some_and(|day| from <= day && day <= to);
        let documents = page.documents.into_iter().filter(|d| within(d.approved)).collect();
        let source = SourceSide { documents, exported: page.exported, select: self.settings.rules.select };
        let mut log = Vec::new();
        let mut stems = BTreeSet::new();
        let of_flow = PostingFilter { flow: Some(self.settings.flow().clone()), ..PostingFilter::default() };
        self.store.for_each(&of_flow, |posting| {
            if let Some(plan) = &posting.plan {
                stems.insert(plan.reference.stem().to_owned());
            }
            if within(posting.document.approved) {
                log.push(posting);
            }
        })?;
        Ok(Ok(state(from, to, source, log, &stems, &erp)))
    }

    /// The ERP's documents under this flow's prefix. Posting dates can lie after the day of approval (next open
    /// period) and a little before (time zones), so the window is wider than the statement's.
    async fn erp_side(&self, from: Date, to: Date) -> Result<Vec<ErpDocument>, Failure> {
        let early = from.checked_sub_days(Days::new(62)).unwrap_or(from);
        let late = to.checked_add_days(Days::new(62)).unwrap_or(to);
        self.erp.read_back(&format!("{}-", self.settings.context.prefix), early, late).await
    }
}

/// What the source says.
struct SourceSide {
    documents: Vec<SpendDocument>,
    /// Those that it says were exported.
    exported: BTreeSet<SourceId>,
    /// The lines that the flow books.
    select: LineSelection,
}

/// Puts the three sides together. `stems` are the references of all postings of the flow, of whatever period.
fn state(
    from: Date,
    to: Date,
    source: SourceSide,
    log: Vec<Posting>,
    stems: &BTreeSet<String>,
    erp: &[ErpDocument],
) -> Proof {
    let SourceSide { documents, exported, select } = source;
    let mut in_source: BTreeMap<SourceId, SpendDocument> =
        documents.into_iter().map(|d| (d.source_id.clone(), d)).collect();
    let mut by_record: BTreeMap<SourceId, Vec<Posting>> = BTreeMap::new();
    for posting in log {
        by_record.entry(posting.source_id.clone()).or_default().push(posting);
    }
    let mut rows = Vec::new();
    for (source_id, postings) in by_record {
        let document = in_source.remove(&source_id);
        let row = record_row(source_id, document.as_ref(), &postings, select, erp);
        let marked = document.is_some_and(|document| exported.contains(&document.source_id));
        rows.push(if marked { exported_elsewhere(row, &postings) } else { row });
    }
    rows.extend(in_source.into_values().map(|document| {
        let marked = exported.contains(&document.source_id);
        unread_row(document, select, marked)
    }));
    rows.extend(erp.iter().filter(|d| !known(stems, &d.reference)).map(stray_row));
    summarise(from, to, rows)
}

fn unread_row(document: SpendDocument, select: LineSelection, marked: bool) -> ProofRow {
    let (standing, detail) = if marked {
        (Standing::ExportedElsewhere, "exported in the spend system before this flow had read it".to_owned())
    } else {
        (Standing::NotRead, "no run has read this record yet".to_owned())
    };
    ProofRow {
        source: Some(selected_total(&document, select)),
        source_id: Some(document.source_id),
        reference: None,
        title: document.title,
        currency: document.currency,
        log: None,
        erp: None,
        standing,
        detail,
    }
}

/// A record that the source says was exported, and that is not booked here: it will not come on its way any more. What
/// is in doubt may have been ours, and a person's word on it counts more.
fn exported_elsewhere(row: ProofRow, postings: &[Posting]) -> ProofRow {
    let waits = |posting: &Posting| match &posting.state {
        PostingState::Planned | PostingState::Waiting { .. } => !posting.despite_mark,
        PostingState::Held(hold) => !hold.in_doubt,
        PostingState::Superseded { .. } => true,
        PostingState::Claimed { .. }
        | PostingState::InDoubt { .. }
        | PostingState::Posted { .. }
        | PostingState::Acknowledged { .. }
        | PostingState::Handled { .. } => false,
    };
    if row.erp.is_some() || !postings.iter().all(waits) {
        return row;
    }
    let here = match row.standing {
        Standing::Held => format!("held here: {}", row.detail),
        _ => format!("{} here", row.detail),
    };
    let detail = format!("the spend system says that somebody else has exported it; {here}");
    ProofRow { standing: Standing::ExportedElsewhere, detail, ..row }
}

fn known(stems: &BTreeSet<String>, reference: &str) -> bool {
    // References are `<stem>-<tail>`, perhaps followed by a text: the stem is everything before the last hyphen of
    // the first word.
    let word = reference.split(' ').next().unwrap_or_default();
    word.rsplit_once('-').is_some_and(|(stem, _)| stems.contains(stem))
}

fn record_row(
    source_id: SourceId,
    document: Option<&SpendDocument>,
    postings: &[Posting],
    select: LineSelection,
    erp: &[ErpDocument],
) -> ProofRow {
    // What was booked counts; without that, what was seen last.
    let booked = postings.iter().find(|p| receipt_of(p).is_some());
    let newest = postings.iter().max_by_key(|p| p.seen_at);
    let shown = booked.or(newest);
    let stem = shown.and_then(|p| p.plan.as_ref()).map(|plan| plan.reference.stem().to_owned());
    let there: Vec<&ErpDocument> = stem.as_ref().map_or_else(Vec::new, |stem| {
        erp.iter().filter(|d| d.reference.starts_with(&format!("{stem}-"))).collect()
    });
    let currency = shown.map_or(Currency::USD, |p| p.total.currency);
    let source = document.map(|d| selected_total(d, select));
    let log = booked.map(|p| p.total);
    let erp = Money::sum(currency, there.iter().map(|d| d.total)).ok().filter(|_| !there.is_empty());
    let (standing, detail) = standing(booked, newest, source, erp, there.len(), document.is_some());
    ProofRow {
        source_id: Some(source_id),
        reference: shown.and_then(|p| p.plan.as_ref()).map(|plan| plan.reference.to_string()),
        title: shown.map(|p| p.document.title.clone()).unwrap_or_default(),
        currency,
        source: source.or_else(|| newest.filter(|_| booked.is_none()).map(|p| p.total)),
        log,
        erp,
        standing,
        detail,
    }
}

fn standing(
    booked: Option<&Posting>,
    newest: Option<&Posting>,
    source: Option<Money>,
    erp: Option<Money>,
    documents: usize,
    in_source: bool,
) -> (Standing, String) {
    if documents > 1 {
        return (Standing::Doubled, format!("{documents} documents in the ERP"));
    }
    let Some(booked) = booked else {
        let (standing, detail) = newest.map_or((Standing::NotRead, String::new()), open_standing);
        return match erp {
            Some(total) if standing != Standing::Pending => {
                (Standing::EditedInErp, format!("not booked by the log, yet the ERP has {total}"))
            }
            _ => (standing, detail),
        };
    };
    match erp {
        None => (Standing::MissingInErp, "voided or deleted in the ERP".to_owned()),
        Some(total) if total != booked.total => {
            (Standing::EditedInErp, format!("booked as {}, now {total}", booked.total))
        }
        Some(_) if !in_source => {
            (Standing::GoneFromSource, "the source does not give it any more".to_owned())
        }
        Some(_) if source.is_some_and(|source| source != booked.total) => {
            (Standing::ChangedInSource, "changed in the source after posting".to_owned())
        }
        Some(_) => (Standing::Booked, String::new()),
    }
}

fn open_standing(posting: &Posting) -> (Standing, String) {
    match &posting.state {
        PostingState::Held(hold) => {
            let first = hold.findings.first().map(|f| format!("{}: {}", f.code.as_str(), f.message));
            (Standing::Held, first.unwrap_or_default())
        }
        PostingState::Handled { note, .. } => (Standing::Handled, note.clone()),
        PostingState::Planned
        | PostingState::Claimed { .. }
        | PostingState::InDoubt { .. }
        | PostingState::Waiting { .. }
        | PostingState::Superseded { .. } => (Standing::Pending, posting.state.name().to_owned()),
        // Answered by the caller: these are booked.
        PostingState::Posted { .. } | PostingState::Acknowledged { .. } => (Standing::Booked, String::new()),
    }
}

fn receipt_of(posting: &Posting) -> Option<&spend::posting::ErpReceipt> {
    match &posting.state {
        PostingState::Posted { receipt, .. } | PostingState::Acknowledged { receipt, .. } => Some(receipt),
        PostingState::Planned
        | PostingState::Claimed { .. }
        | PostingState::InDoubt { .. }
        | PostingState::Waiting { .. }
        | PostingState::Held(_)
        | PostingState::Superseded { .. }
        | PostingState::Handled { .. } => None,
    }
}

fn stray_row(document: &ErpDocument) -> ProofRow {
    ProofRow {
        source_id: None,
        reference: Some(document.reference.clone()),
        title: document.receipt.document.clone(),
        currency: document.total.currency,
        source: None,
        log: None,
        erp: Some(document.total),
        standing: Standing::UnknownInLog,
        detail: "in the ERP under a reference of this flow, unknown to the posting log".to_owned(),
    }
}

fn selected_total(document: &SpendDocument, select: LineSelection) -> Money {
    let lines = document.lines.iter().filter(|line| match select {
        LineSelection::All => true,
        LineSelection::Reimbursable => line.reimbursable,
        LineSelection::NonReimbursable => !line.reimbursable,
    });
    Money::sum(document.currency, lines.map(|line| line.amount)).unwrap_or(Money::zero(document.currency))
}

fn summarise(from: Date, to: Date, rows: Vec<ProofRow>) -> Proof {
    let mut sums: BTreeMap<Currency, ProofSums> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for row in &rows {
        *counts.entry(row.standing).or_insert(0) += 1;
        let sum = sums.entry(row.currency).or_default();
        let minor = |money: Option<Money>| money.map_or(0, |money| money.minor);
        let (source, log, erp) = (minor(row.source), minor(row.log), minor(row.erp));
        sum.source = sum.source.saturating_add(source);
        sum.log = sum.log.saturating_add(log);
        sum.erp = sum.erp.saturating_add(erp);
        match row.standing {
            Standing::Held => sum.held = sum.held.saturating_add(source),
            // A document whose outcome is in doubt may be in the ERP already; it counts once.
            Standing::Pending => sum.pending = sum.pending.saturating_add(source.saturating_sub(erp)),
            Standing::NotRead => sum.pending = sum.pending.saturating_add(source),
            Standing::ExportedElsewhere => {
                sum.exported_elsewhere = sum.exported_elsewhere.saturating_add(source);
            }
            Standing::Handled => sum.handled = sum.handled.saturating_add(source),
            Standing::Booked
            | Standing::MissingInErp
            | Standing::EditedInErp
            | Standing::Doubled
            | Standing::ChangedInSource
            | Standing::GoneFromSource
            | Standing::UnknownInLog => {}
        }
    }
    let agrees = rows.iter().all(|row| row.standing.is_explained()) && sums.values().all(ProofSums::agree);
    Proof { from, to, rows, sums, counts, agrees }
}
