//! The same spend under another id of its source: a record that was split after it had been booked comes back as its
//! parts, and another list of the same source shows a purchase under an id of its own. The posting key does not see
//! that, so what the source says of it is looked at before anything is planned.

use super::intake::can_be_superseded;
use spend::document::SpendDocument;
use spend::finding::{Finding, FindingCode};
use spend::ids::SourceId;
use spend::posting::{Posting, PostingState};
use std::collections::{BTreeMap, BTreeSet};

/// What one page brought, which the store does not know yet: each id with the direction of its money.
#[derive(Default)]
pub(super) struct FreshRecords {
    ids: BTreeMap<SourceId, i64>,
    /// Ids of other records that these name.
    named: BTreeSet<(SourceId, i64)>,
}

impl FreshRecords {
    /// Whether one of them is this record or may be the same spend.
    pub(super) fn meet(&self, document: &SpendDocument) -> bool {
        let direction = document.direction();
        let alike = |other: i64| other * direction >= 0;
        let named = |other| self.named.contains(&(document.source_id.clone(), other));
        self.ids.contains_key(&document.source_id)
            || document.other_ids().any(|id| self.ids.get(id).is_some_and(|other| alike(*other)))
            || [-1, 0, 1].into_iter().any(|other| alike(other) && named(other))
    }

    pub(super) fn add(&mut self, record: FreshRecord) {
        let FreshRecord { id, others, direction } = record;
        self.named.extend(others.into_iter().map(|other| (other, direction)));
        self.ids.insert(id, direction);
    }
}

/// What is kept of a record whose document has gone into its posting.
pub(super) struct FreshRecord {
    id: SourceId,
    others: Vec<SourceId>,
    direction: i64,
}

impl FreshRecord {
    pub(super) fn of(document: &SpendDocument) -> Self {
        Self {
            id: document.source_id.clone(),
            others: document.other_ids().cloned().collect(),
            direction: document.direction(),
        }
    }
}

/// Why a record must wait for a person: another one that may be the same spend is booked, or may be soon.
pub(super) fn booked_otherwise(document: &SpendDocument, kin: &[Posting]) -> Option<Finding> {
    let other = kin
        .iter()
        .find(|other| other.may_be_in_erp() || (is_on_its_way(other) && !is_replaced_by(document, other)))?;
    let document_of = match other.state.receipt() {
        Some(receipt) => format!("it is {} in the ERP", receipt.document),
        None => format!("it is {}", other.state.name()),
    };
    Some(Finding::document(
        FindingCode::BookedUnderOtherId,
        "record",
        other.source_id.as_str(),
        format!(
            "the spend system shows this spend as record {} as well, and {document_of}, so booking this one may double it",
            other.source_id
        ),
        "compare it with the document of that record; correct the document in the ERP by hand where it differs, or book \
         this one by hand where it is another movement, then close this item with `purser records handle`",
    ))
}

/// Postings of the record of which this one is a part, which nobody has sent yet: the source books its parts instead.
pub(super) fn replaced(document: &SpendDocument, kin: Vec<Posting>) -> impl Iterator<Item = Posting> {
    kin.into_iter().filter(|other| is_replaced_by(document, other) && can_be_superseded(other))
}

fn is_replaced_by(document: &SpendDocument, other: &Posting) -> bool {
    document.part_of.as_ref() == Some(&other.source_id)
}

/// Whether it is written without anybody's doing.
fn is_on_its_way(posting: &Posting) -> bool {
    match &posting.state {
        PostingState::Planned
        | PostingState::Waiting { .. }
        | PostingState::Claimed { .. }
        | PostingState::InDoubt { .. }
        | PostingState::Posted { .. }
        | PostingState::Acknowledged { .. } => true,
        PostingState::Held(_) | PostingState::Superseded { .. } | PostingState::Handled { .. } => false,
    }
}
