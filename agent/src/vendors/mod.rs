//! Vendors: how the agent talks to each system. Flows see the traits below and never a concrete vendor; only
//! `registry` names them. Each vendor folder has the same file names (see ARCHITECTURE.md).

pub mod acumatica;
pub mod answers;
pub mod brex;
pub mod checks;
pub mod employees;
pub mod epicor;
pub mod expensify;
pub mod http;
pub mod idle;
mod keeper;
mod notes;
pub mod registry;
pub mod saga;
pub mod settings;
pub mod sites;
pub mod webhook;

pub use crate::store::Claimed;
pub use keeper::{CredentialKeeper, KeepError, StoreKeeper};
pub use notes::{LAST_USE, NoteError, Notes, StoreNotes, last_use};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use spend::Date;
use spend::document::SpendDocument;
use spend::ids::{CompanyId, SourceId};
use spend::mirror::{MirrorChange, MirrorEntry, ReferenceSet};
use spend::money::Money;
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, Failure, FailureClass, LookUp};
use spend::reference::ReferenceData;
use std::collections::BTreeSet;

/// Which records to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceWindow {
    /// Records approved on or after this day (the caller has subtracted the overlap), up to and including `to`,
    /// whose exported mark is not set yet, at most `limit` of them.
    Ready {
        /// First day of approval.
        from: Date,
        /// Last day of approval.
        to: Date,
        /// Page size.
        limit: u32,
    },
    /// All records approved within the days, marked or not, for change detection and for the proof.
    Period {
        /// First day of approval.
        from: Date,
        /// Last day of approval.
        to: Date,
    },
    /// These records, marked or not.
    Ids(Vec<SourceId>),
}

/// A record that could not be read into a spend document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Its id, when even that could be read.
    pub source_id: Option<SourceId>,
    /// What is wrong with it.
    pub message: String,
}

/// What a source answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePage {
    /// Readable records.
    pub documents: Vec<SpendDocument>,
    /// The others; they do not stop the readable ones.
    pub unreadable: Vec<Unreadable>,
    /// Those of the documents that the source says were exported, where it tells; by whom it does not say.
    #[serde(default)]
    pub exported: BTreeSet<SourceId>,
    /// There may be more: ask again after these were acknowledged or recorded.
    pub more: bool,
    /// What the flow must know of this source.
    #[serde(default)]
    pub habits: SourceHabits,
}

/// In what a source differs from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceHabits {
    /// It keeps no mark of what was exported: it offers everything again, and only the posting log keeps records apart.
    pub keeps_no_mark: bool,
    /// Once a day, records that wait should be looked for so many days back; 0 = never.
    pub sweep_days: u16,
}

/// A record that is in the ERP and is to be marked as exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Its id in the source.
    pub id: SourceId,
    /// Where it is in the ERP, for sources that show it to their users.
    pub receipt: ErpReceipt,
}

/// Records as a flow says them when they are in the ERP.
#[cfg(test)]
pub(crate) fn exported(ids: &[SourceId]) -> Vec<Exported> {
    let receipt = |id: &SourceId| ErpReceipt {
        document: format!("journal 2026/GJ/{id}"),
        group: None,
        stage: spend::plan::Stage::Staged,
    };
    ids.iter().map(|id| Exported { id: id.clone(), receipt: receipt(id) }).collect()
}

/// A spend system that records are read from.
#[async_trait]
pub trait SpendSource: Send + Sync {
    /// Reads records.
    async fn read(&self, window: &SourceWindow) -> Result<SourcePage, Failure>;

    /// Marks records as exported, idempotently. Returns the ids that are marked afterwards; an id that is missing
    /// from the answer is retried alone later.
    async fn acknowledge(&self, exported: &[Exported]) -> Result<Vec<SourceId>, Failure>;

    /// Tells the source that a record will not be exported, and why. Only ever for a person who has decided so: it can
    /// take the record out of what the source offers, for good.
    async fn report_failure(&self, id: &SourceId, _why: &str) -> Result<(), Failure> {
        let message = format!(
            "record {id}: this kind of spend system cannot be told that a record is not exported; close it without \
             --report-failure"
        );
        Err(Failure::new(FailureClass::NotSent, message))
    }
}

/// One document found in the ERP under one of our references, for the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErpDocument {
    /// The reference as found there (invoice number, journal description).
    pub reference: String,
    /// Where.
    pub receipt: ErpReceipt,
    /// Posting date.
    pub date: Option<Date>,
    /// Spend total: invoice amount (negative for a debit memo), or the sum of a journal's expense side
    /// (what the plan calls `total`).
    pub total: Money,
}

/// An ERP that postings are written to.
#[async_trait]
pub trait ErpTarget: Send + Sync {
    /// Looks a posting up by its reference stem and compares what it finds with the plan.
    async fn look_up(&self, plan: &PostingPlan) -> Result<LookUp, Failure>;

    /// Writes a claimed posting. `found` is the answer of the look-up that preceded the claim: with
    /// [`LookUp::Unfinished`] the half-written document is resumed or cleaned up first. Verifies by reading back.
    /// A failure of class `Rejected` leaves nothing of the document behind, also of what an earlier attempt had begun;
    /// where that cannot be made sure the class is `InDoubt`.
    async fn post(&self, claimed: &Claimed, found: &LookUp) -> Result<ErpReceipt, Failure>;

    /// Everything under references that begin with `prefix` and are dated within the days.
    async fn read_back(&self, prefix: &str, from: Date, to: Date) -> Result<Vec<ErpDocument>, Failure>;

    /// Whether the ERP itself refuses a second document under the same reference.
    fn refuses_duplicates(&self, plan: &PostingPlan) -> bool;

    /// Reads all reference data that documents are validated against.
    async fn reference_data(&self, company: &CompanyId) -> Result<ReferenceData, Failure>;
}

/// What became of one change of a reference set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeOutcome {
    /// Key of the entry.
    pub key: String,
    /// Made and seen by reading back, or why not, in words.
    pub result: Result<(), String>,
    /// It is certain that nothing was made of it: it was not sent, or refused wherever it belongs. Otherwise what is not
    /// seen yet may still show up.
    pub refused: bool,
}

impl ChangeOutcome {
    /// Not seen, and not certain either.
    pub fn unsure(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self { key: key.into(), result: Err(why.into()), refused: false }
    }
}

/// A spend system that reference data is mirrored into.
#[async_trait]
pub trait ReferenceTarget: Send + Sync {
    /// The sets it can hold.
    fn sets(&self) -> &'static [ReferenceSet];

    /// Reads a whole set as it is there now, disabled entries included.
    async fn read_set(&self, set: ReferenceSet) -> Result<Vec<MirrorEntry>, Failure>;

    /// The same for a caller that knows keys: those of the ERP's entries, and those that it is answerable for. Where what
    /// the vendor keeps can be read as one key or another, the known one is meant.
    async fn read_known(
        &self,
        set: ReferenceSet,
        _known: &BTreeSet<String>,
    ) -> Result<Vec<MirrorEntry>, Failure> {
        self.read_set(set).await
    }

    /// Makes changes and reads back what became of each; an answer per change, in the order of `changes`. An entry
    /// that is not named by a change is not touched.
    async fn write_set(
        &self,
        set: ReferenceSet,
        changes: &[MirrorChange],
    ) -> Result<Vec<ChangeOutcome>, Failure>;
}

/// The verdict of one check of one dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Works, worth a look.
    Warn,
    /// Does not work.
    Fail,
    /// Could not be checked because an earlier check failed.
    Skipped,
}

/// One line of `purser doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// What was checked: `dns`, `tcp`, `tls`, `credentials`, `company`, ...
    pub check: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen, one sentence.
    pub detail: String,
    /// How to mend it; empty when there is nothing to mend.
    pub fix: String,
}

/// A connection that can be examined, read-only.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Runs the vendor's own checks (credentials, permissions, company, period, version), in order, each after the
    /// one it depends on. Network checks (DNS, TCP, TLS, clock) are made by `doctor` before.
    async fn probe(&self) -> Vec<ProbeResult>;
}
