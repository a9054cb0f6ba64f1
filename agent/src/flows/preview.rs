//! The preview: the same reading, planning and looking up as a run, shown as a difference against the ERP. It writes
//! nothing, neither to a vendor nor to the posting log.

use super::intake::{changed_after_posting, is_released, plan_document, ready_window};
use super::merchants::Known;
use super::settings::FlowSettings;
use super::spend_flow::{RunError, SpendFlow};
use crate::vendors::{SourceWindow, Unreadable};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use spend::Date;
use spend::document::SpendDocument;
use spend::finding::Finding;
use spend::ids::{PostingKey, SourceId};
use spend::money::Money;
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, Failure, LookUp, Posting, PostingState};
use std::collections::{BTreeMap, BTreeSet};

/// What would happen to one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "would", rename_all = "kebab-case")]
pub enum Would {
    /// It would be written.
    Post {
        /// The plan.
        plan: Box<PostingPlan>,
    },
    /// It is in the ERP already; a run would adopt or acknowledge it.
    AlreadyThere {
        /// Where.
        receipt: ErpReceipt,
    },
    /// It would wait for a person.
    Hold {
        /// Every cause.
        findings: Vec<Finding>,
    },
    /// It is under way; its state says how.
    InProgress {
        /// Name of the state.
        state: String,
    },
    /// The ERP holds something else under its reference.
    Conflict {
        /// Where.
        receipt: ErpReceipt,
        /// What differs.
        differs: String,
    },
    /// The ERP could not be asked.
    Unknown {
        /// Why.
        why: String,
    },
}

/// One line of a preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewLine {
    /// Record.
    pub source_id: SourceId,
    /// Its title.
    pub title: String,
    /// Whose it is.
    pub owner: String,
    /// When it was approved.
    pub approved: Option<Date>,
    /// Its spend total.
    pub total: Money,
    /// What would happen.
    #[serde(flatten)]
    pub would: Would,
    /// What is worth noting of the plan, such as how its vendor was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Finding>,
}

/// A whole preview.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Line per record, in source order.
    pub lines: Vec<PreviewLine>,
    /// Records that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Hash over all plans that would be posted: `flows run --expect` refuses when it has changed since.
    pub plan_hash: String,
}

/// The plans of a preview that a person has agreed to, by posting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed(BTreeMap<PostingKey, String>);

impl Agreed {
    /// Whether exactly this plan was agreed to.
    pub fn holds(&self, plan: &PostingPlan) -> bool {
        self.0.get(&plan.key) == Some(&plan.hash)
    }
}

impl Preview {
    /// What a run books that does exactly this.
    pub fn agreed(&self) -> Agreed {
        let plans = self.lines.iter().filter_map(|line| match &line.would {
            Would::Post { plan } => Some((plan.key.clone(), plan.hash.clone())),
            Would::AlreadyThere { .. }
            | Would::Hold { .. }
            | Would::InProgress { .. }
            | Would::Conflict { .. }
            | Would::Unknown { .. } => None,
        });
        Agreed(plans.collect())
    }

    /// Sum and count by what would happen and currency.
    pub fn totals(&self) -> BTreeMap<(&'static str, spend::money::Currency), (u64, i64)> {
        let mut totals = BTreeMap::new();
        for line in &self.lines {
            let entry = totals.entry((line.would.name(), line.total.currency)).or_insert((0_u64, 0_i64));
            entry.0 += 1;
            entry.1 = entry.1.saturating_add(line.total.minor);
        }
        totals
    }
}

impl Would {
    /// A word for lists.
    pub const fn name(&self) -> &'static str {
        match self {
            Would::Post { .. } => "post",
            Would::AlreadyThere { .. } => "already-there",
            Would::Hold { .. } => "hold",
            Would::InProgress { .. } => "in-progress",
            Would::Conflict { .. } => "conflict",
            Would::Unknown { .. } => "unknown",
        }
    }
}

impl SpendFlow {
    /// Previews a run.
    ///
    /// # Errors
    /// A vendor's failure to give records or reference data, or [`RunError`] for the store.
    pub async fn preview(&self) -> Result<Result<Preview, Failure>, RunError> {
        let now = self.clock.now();
        let reference = match self.erp.reference_data(&self.settings.context.company).await {
            Ok(reference) => reference,
            Err(failure) => return Ok(Err(failure)),
        };
        let mark = self.store.get(crate::store::StateTable::Watermark, self.settings.flow().as_str())?;
        let (from, to) = ready_window(&self.settings, mark.as_ref(), now);
        let page = match self.source.read(&SourceWindow::Ready { from, to, limit: 100_000 }).await {
            Ok(page) => page,
            Err(failure) => return Ok(Err(failure)),
        };
        let against = self.known(reference)?;
        let mut seen = BTreeSet::new();
        let mut expected = Vec::new();
        for document in page.documents {
            if seen.insert(document.source_id.clone()) {
                let known = self.store.postings_of(self.settings.flow(), &document.source_id)?;
                let kin = self.store.kin_of(self.settings.flow(), &document)?;
                let booked = self.may_be_booked(&document, &kin)?;
                let (would, notes) = expect(&document, &known, booked, &self.settings, &against);
                expected.push((document, would, notes));
            }
        }
        let lines: Vec<PreviewLine> = stream::iter(expected)
            .map(|(document, would, notes)| self.against_erp(document, would, notes))
            .buffered(self.settings.concurrency)
            .collect()
            .await;
        Ok(Ok(Preview { plan_hash: hash_of(&lines), lines, unreadable: page.unreadable }))
    }

    async fn against_erp(&self, document: SpendDocument, would: Would, notes: Vec<Finding>) -> PreviewLine {
        let would = match would {
            Would::Post { plan } => match self.erp.look_up(&plan).await {
                Ok(LookUp::Absent | LookUp::Unfinished { .. }) => Would::Post { plan },
                Ok(LookUp::Complete { receipt }) => Would::AlreadyThere { receipt },
                Ok(LookUp::Different { receipt, differs }) => Would::Conflict { receipt, differs },
                Err(failure) => Would::Unknown { why: failure.to_string() },
            },
            other @ (Would::AlreadyThere { .. }
            | Would::Hold { .. }
            | Would::InProgress { .. }
            | Would::Conflict { .. }
            | Would::Unknown { .. }) => other,
        };
        let total = document.total_or_zero();
        PreviewLine {
            source_id: document.source_id,
            title: document.title,
            owner: document.owner.email,
            approved: document.approved,
            total,
            would,
            notes,
        }
    }
}

/// What the posting log and the rules say about a record, before the ERP is asked.
fn expect(
    document: &SpendDocument,
    known: &[Posting],
    booked: Option<Finding>,
    settings: &FlowSettings,
    against: &Known,
) -> (Would, Vec<Finding>) {
    let same = known.iter().find(|p| p.revision == document.revision);
    // Where a plan waits already, that one is written.
    if let Some(Posting {
        plan: Some(plan),
        state: PostingState::Planned | PostingState::Waiting { .. },
        ..
    }) = same
    {
        return (Would::Post { plan: Box::new(PostingPlan::clone(plan)) }, Vec::new());
    }
    // What only a reading had held is planned anew as soon as it is offered again.
    let same = same.filter(|posting| !is_released(posting, known) && !posting.is_reported_failed());
    let would = match same.map(|p| &p.state) {
        Some(PostingState::Posted { receipt, .. } | PostingState::Acknowledged { receipt, .. }) => {
            Would::AlreadyThere { receipt: receipt.clone() }
        }
        // A run leaves it to a person, also when its cause is mended: only a replay plans it again.
        Some(PostingState::Held(hold)) => Would::Hold { findings: hold.findings.clone() },
        Some(
            state @ (PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Handled { .. }),
        ) => Would::InProgress { state: state.name().to_owned() },
        Some(PostingState::Superseded { .. }) | None if known.iter().any(Posting::may_be_in_erp) => {
            Would::Hold { findings: vec![changed_after_posting(document)] }
        }
        Some(PostingState::Planned | PostingState::Waiting { .. } | PostingState::Superseded { .. })
        | None => match booked {
            Some(finding) => Would::Hold { findings: vec![finding] },
            None => match plan_document(document, settings, against) {
                Ok((plan, notes)) => return (Would::Post { plan: Box::new(plan) }, notes),
                Err(findings) => Would::Hold { findings },
            },
        },
    };
    (would, Vec::new())
}

fn hash_of(lines: &[PreviewLine]) -> String {
    let mut hasher = blake3::Hasher::new();
    for line in lines {
        if let Would::Post { plan } = &line.would {
            hasher.update(plan.hash.as_bytes());
        }
    }
    hasher.finalize().to_hex().chars().take(16).collect()
}
