//! Postings, keys and stores for tests.

use crate::clock::Clock;
use crate::store::{AuditDraft, AuditKind, Batch, Options, Store, StoreKeys};
use serde_json::json;
use spend::Timestamp;
use spend::document::{Owner, RecordKind, SpendDocument, SpendLine};
use spend::ids::{CompanyId, FlowId, PostingKey, Revision, SourceId};
use spend::money::{Currency, Money};
use spend::plan::{DocumentReference, JournalLine, PlannedDocument, PostingPlan, Stage};
use spend::posting::{ErpReceipt, Posting, PostingState};
use std::path::Path;
use std::sync::Arc;

/// A word that must never be found on disk.
pub(super) const MARKER: &str = "CANARY-7f3a-marmalade";

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_750_000_000 + seconds, 0).unwrap()
}

pub(super) fn keys() -> StoreKeys {
    StoreKeys::from_data_key(&[7; 32])
}

pub(super) fn small() -> Options {
    Options { initial_map: 1 << 20, free_floor: 0, ..Options::default() }
}

pub(super) fn open(dir: &Path) -> Store {
    Store::open_with(dir, keys(), Clock::manual(at(0)), small()).unwrap()
}

pub(super) fn flow() -> FlowId {
    FlowId::from("expensify-epicor")
}

/// A planned posting of report `n`.
pub(crate) fn posting(n: u32) -> Posting {
    revision_of(n, 1)
}

pub(super) fn revision_of(n: u32, revision: u32) -> Posting {
    let source_id = SourceId::new(format!("R{n:08}"));
    let revision = Revision::new(format!("rev-{revision}"));
    let document = document(&source_id, &revision, n);
    let plan = plan(&document);
    Posting {
        key: plan.key.clone(),
        flow: flow(),
        source_id,
        revision,
        total: plan.total,
        document: Arc::new(document),
        plan: Some(Arc::new(plan)),
        state: PostingState::Planned,
        attempts: 0,
        failures: 0,
        counted: None,
        read_at: None,
        despite_mark: false,
        route: None,
        seen_at: at(i64::from(n)),
        updated_at: at(i64::from(n)),
    }
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

fn document(source_id: &SourceId, revision: &Revision, n: u32) -> SpendDocument {
    SpendDocument {
        source_id: source_id.clone(),
        revision: revision.clone(),
        kind: RecordKind::ExpenseReport,
        title: format!("{MARKER} trip {n}"),
        owner: Owner { email: format!("{MARKER}@example.test"), name: None, employee_number: None },
        workspace: "W1".to_owned(),
        status: "Approved".to_owned(),
        currency: Currency::USD,
        submitted: None,
        approved: Some(at(i64::from(n) * 3600).date_naive()),
        paid: None,
        declared_total: None,
        lines: vec![SpendLine {
            id: "1".into(),
            date: None,
            merchant: MARKER.to_owned(),
            merchant_id: None,
            category: Some("Meals".to_owned()),
            category_code: None,
            tags: Vec::new(),
            amount: usd(i64::from(n) + 1),
            original: None,
            tax: None,
            reimbursable: true,
            billable: false,
            comment: String::new(),
            receipt_url: None,
        }],
        same_as: None,
        part_of: None,
    }
}

fn plan(document: &SpendDocument) -> PostingPlan {
    let (source_id, revision) = (&document.source_id, &document.revision);
    let total = document.lines[0].amount;
    let line = |account: &str, amount| JournalLine {
        account: account.into(),
        amount,
        description: MARKER.to_owned(),
        project: None,
        dimensions: std::collections::BTreeMap::new(),
    };
    let lines = vec![line("6100|00", total), line("2100|00", usd(-total.minor))];
    let mut plan = PostingPlan {
        key: PostingKey::derive(&flow(), source_id, revision),
        reference: DocumentReference::derive("EXP", &flow(), source_id, revision),
        company: CompanyId::from("C1"),
        currency: Currency::USD,
        date: document.approved.unwrap(),
        description: document.title.clone(),
        total,
        document: PlannedDocument::Journal { lines },
        hash: String::new(),
    };
    plan.hash = plan.compute_hash();
    plan
}

pub(crate) fn in_state(mut posting: Posting, state: PostingState) -> Posting {
    posting.state = state;
    posting
}

pub(super) fn claimed(n: u32) -> Posting {
    in_state(posting(n), PostingState::Claimed { at: at(5) })
}

pub(super) fn posted(n: u32, next_ack_at: Timestamp) -> Posting {
    let receipt = ErpReceipt { document: format!("journal {n}"), group: None, stage: Stage::Staged };
    let state = PostingState::Posted { receipt, at: at(9), adopted: false, ack_attempts: 0, next_ack_at };
    in_state(posting(n), state)
}

pub(super) fn waiting(n: u32, next_at: Timestamp) -> Posting {
    in_state(posting(n), PostingState::Waiting { next_at, why: "the host did not answer".to_owned() })
}

pub(super) fn audit(n: u32) -> AuditDraft {
    let detail = json!({ "n": n, "text": MARKER });
    AuditDraft { posting: Some(posting(n).key), ..AuditDraft::new(at(i64::from(n)), AuditKind::Call, detail) }
}

pub(super) fn open_with_keys(dir: &Path, keys: StoreKeys) -> Store {
    Store::open_with(dir, keys, Clock::manual(at(0)), small()).unwrap()
}

/// A batch, filled.
pub(super) fn batch(fill: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::new();
    fill(&mut batch);
    batch
}
