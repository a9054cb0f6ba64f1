//! From records to postings: every record that was read ends as a planned posting, a held one with its findings, or
//! is recognised as known. Nothing here talks to a vendor.

use super::kin::{FreshRecord, FreshRecords, replaced};
use super::merchants::Known;
use super::settings::FlowSettings;
use super::spend_flow::{RunError, Session, SpendFlow};
use crate::vendors::{SourcePage, Unreadable};
use spend::document::{Owner, RecordKind, SpendDocument};
use spend::finding::{Finding, FindingCode};
use spend::ids::{Revision, SourceId};
use spend::money::{Currency, Money};
use spend::plan::PostingPlan;
use spend::posting::{Event, Posting, PostingState};
use spend::validate::validate_with;
use spend::watermark::Watermark;
use spend::{Date, Timestamp};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What the audit trail calls a lost mark that is set again.
const MARK_AGAIN: &str = "mark-again";
/// What it calls a record that comes back after a person had reported to the source that it is not exported.
pub(super) const OFFERED_AGAIN: &str = "offered-again";
/// What it calls a posting whose place another one took.
const SUPERSEDED: &str = "superseded";

/// What the intake of one run remembers from page to page.
pub(super) struct Intake {
    known: Known,
    newest_approved: Option<Date>,
    seen: BTreeSet<(SourceId, Revision)>,
    /// Something could not be recorded: the high-water mark must not pass it.
    incomplete: bool,
}

impl Intake {
    pub(super) fn new(known: Known) -> Self {
        Self { known, newest_approved: None, seen: BTreeSet::new(), incomplete: false }
    }

    /// Whether every record that was read is recorded, so that the mark may move.
    pub(super) fn is_complete(&self) -> bool {
        !self.incomplete
    }

    pub(super) fn newest_approved(&self) -> Option<Date> {
        self.newest_approved
    }
}

/// The days to read new records from.
pub(super) fn ready_window(
    settings: &FlowSettings,
    mark: Option<&Watermark>,
    now: Timestamp,
) -> (Date, Date) {
    spend::watermark::window(settings.start, mark.copied(), settings.overlap_days, now.date_naive())
}

/// The days to read marked records from again.
pub(super) fn change_window(
    settings: &FlowSettings,
    mark: Option<&Watermark>,
    now: Timestamp,
) -> (Date, Date) {
    let overlap = settings.overlap_days.max(35);
    spend::watermark::window(settings.start, mark.copied(), overlap, now.date_naive())
}

/// A plan with what is worth noting, or the reasons why there is none.
pub type Planned = Result<(PostingPlan, Vec<Finding>), Vec<Finding>>;

/// A document planned against what is known, with what is worth noting, or the reasons why it cannot be.
pub fn plan_document(document: &SpendDocument, settings: &FlowSettings, known: &Known) -> Planned {
    // A record that makes the rules fail must not stop the others: it waits for a person, the others go on.
    catch_unwind(AssertUnwindSafe(|| {
        let (rules, context) = (&settings.rules, &settings.context);
        let valid = validate_with(document, rules, &known.reference, context, &known.merchants)?;
        Ok((PostingPlan::build(&valid, context)?, valid.notes().to_vec()))
    }))
    .unwrap_or_else(|_| {
        let what = "planning this record failed inside the agent; the log of this moment says where";
        Err(vec![Finding::source_unreadable(what)])
    })
}

impl SpendFlow {
    /// Turns a page into postings that the store does not know yet (and superseded ones that it does).
    pub(super) fn take_in(
        &self,
        page: SourcePage,
        intake: &mut Intake,
        session: &mut Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        let mut fresh = Vec::new();
        session.notes.clear();
        session.report.read += page.documents.len() as u64;
        // A mistyped date in the future must not carry the mark along: days in between would be skipped later.
        let today = self.clock.now().date_naive();
        let (mut fresh_records, mut replaced) = (FreshRecords::default(), BTreeSet::new());
        let keeps_no_mark = page.habits.keeps_no_mark;
        for document in page.documents {
            if fresh_records.meet(&document) {
                // The store does not know yet what this page brought, so a second state of the same record, or the same
                // spend under another id, would be planned beside the first. The next run meets it as a change.
                intake.incomplete |= !intake.seen.contains(&(document.source_id, document.revision));
                continue;
            }
            intake.newest_approved = intake.newest_approved.max(document.approved.map(|day| day.min(today)));
            if !intake.seen.insert((document.source_id.clone(), document.revision.clone())) {
                continue;
            }
            let record = FreshRecord::of(&document);
            let mut postings = self.take_in_document(document, &intake.known, session)?;
            // Without marks at the source, being listed again says nothing about a lost one.
            postings.retain(|(_, event)| !keeps_no_mark || *event != MARK_AGAIN);
            // The parts of one record replace it once.
            postings.retain(|(p, event)| *event != SUPERSEDED || replaced.insert(p.key.clone()));
            if !postings.is_empty() {
                fresh_records.add(record);
            }
            fresh.extend(postings);
        }
        for unreadable in page.unreadable {
            session.report.unreadable += 1;
            intake.incomplete |= unreadable.source_id.is_none();
            fresh.extend(self.take_in_unreadable(unreadable, session)?);
        }
        Ok(fresh)
    }

    pub(super) fn take_in_document(
        &self,
        document: SpendDocument,
        against: &Known,
        session: &mut Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        let known = self.store.postings_of(self.settings.flow(), &document.source_id)?;
        let same = known.iter().find(|p| p.revision == document.revision);
        // Edited and edited back: the superseded revision is the newest again. Or reported as not exported, and sent back.
        let revived = same.is_some_and(|same| is_superseded(same) || same.is_reported_failed());
        let begun = self.finish_begun(&known, session)?;
        if !begun.is_empty() {
            return Ok(begun);
        }
        if let Some(same) = same.filter(|_| !revived) {
            session.report.known += 1;
            if is_released(same, &known) {
                return self.ready_again(same, &known, document, against, session);
            }
            if matches!(same.state, PostingState::Planned | PostingState::Waiting { .. }) {
                session.listed.insert(same.key.clone(), self.clock.now());
            }
            let mut postings = self.withdraw_notices(&known, same, session)?;
            postings.extend(self.mark_again(same).map(|p| (p, MARK_AGAIN)));
            return Ok(postings);
        }
        if known.iter().any(Posting::may_be_in_erp) {
            session.report.new += 1;
            return self.changed(document, &known, session);
        }
        let kin = self.store.kin_of(self.settings.flow(), &document)?;
        let planned = self.plan_unless_booked(&document, &kin, against)?;
        if planned.as_ref().is_ok_and(|(plan, _)| !session.may_book(plan)) {
            session.report.left_out += 1;
            return Ok(Vec::new());
        }
        session.report.new += 1;
        let now = self.clock.now();
        let mut postings = self.supersede_others(&known, &document.revision, session)?;
        for older in replaced(&document, kin) {
            let (superseded, _) =
                self.step(session, &older, Event::Superseded { by: document.revision.clone() })?;
            postings.push((superseded, SUPERSEDED));
        }
        match planned {
            Ok((plan, notes)) => {
                session.note(&plan.key, notes);
                session.report.planned += 1;
                let event = match known.iter().any(Posting::is_reported_failed) {
                    true => OFFERED_AGAIN,
                    false if revived => "replanned",
                    false => "planned",
                };
                // What was in a list a moment after it had left it is found out by the reading right before the claim.
                let read_at = same.filter(|same| same.is_reported_failed()).map(Posting::last_read);
                let planned = Posting::planned(self.settings.flow().clone(), document, plan, now);
                postings.push((self.on_its_way(Posting { read_at, ..planned }), event));
            }
            Err(findings) => {
                session.report.held += 1;
                let held = Posting::held(self.settings.flow().clone(), document, None, findings, now);
                postings.push((self.on_its_way(held), "held"));
            }
        }
        Ok(postings)
    }

    /// The plan of a document, unless the same spend may be booked under another id or by another flow.
    fn plan_unless_booked(
        &self,
        document: &SpendDocument,
        kin: &[Posting],
        against: &Known,
    ) -> Result<Planned, RunError> {
        Ok(match self.may_be_booked(document, kin)? {
            Some(finding) => Err(vec![finding]),
            None => plan_document(document, &self.settings, against),
        })
    }

    /// A record that was withdrawn while half of its document stood in the ERP is offered again: what was begun is
    /// finished before anything else, also of an earlier state.
    fn finish_begun(
        &self,
        known: &[Posting],
        session: &Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        let withdrawn = |finding: &Finding| finding.code == FindingCode::NoLongerReady;
        let begun = known.iter().filter(|posting| {
            matches!(&posting.state, PostingState::Held(hold) if hold.in_doubt && hold.findings.iter().all(withdrawn))
        });
        begun.map(|posting| Ok((self.step(session, posting, Event::Replay)?.0, "replay"))).collect()
    }

    /// A record that was held by a reading right before its write is offered again, as it was: it is planned anew.
    fn ready_again(
        &self,
        posting: &Posting,
        known: &[Posting],
        document: SpendDocument,
        against: &Known,
        session: &mut Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        let revision = document.revision.clone();
        let kin = self.store.kin_of(self.settings.flow(), &document)?;
        let (event, name) = match self.plan_unless_booked(&document, &kin, against)? {
            Ok((plan, _)) if !session.may_book(&plan) => {
                session.report.left_out += 1;
                return Ok(Vec::new());
            }
            Ok((plan, notes)) => {
                session.note(&plan.key, notes);
                session.report.planned += 1;
                (Event::Replanned(Arc::new(plan), Arc::new(document)), "replanned")
            }
            Err(findings) => (Event::Held(findings), "held"),
        };
        let mut postings = self.supersede_others(known, &revision, session)?;
        let (mut next, _) = self.step(session, posting, event)?;
        if name == "replanned" && matches!(next.state, PostingState::Held(_)) {
            next = self.step(session, &next, Event::Replay)?.0;
        }
        postings.push((Posting { read_at: Some(self.clock.now()), ..next }, name));
        Ok(postings)
    }

    /// A record that the source lists as unmarked although we marked it: its mark was lost, so it is due again.
    fn mark_again(&self, posting: &Posting) -> Option<Posting> {
        // What a person closed without a mark stays unmarked.
        let PostingState::Acknowledged { receipt, posted_at, unmarked: None, .. } = &posting.state else {
            return None;
        };
        let now = self.clock.now();
        let state = PostingState::Posted {
            receipt: receipt.clone(),
            at: *posted_at,
            adopted: false,
            ack_attempts: 0,
            next_ack_at: now,
        };
        Some(Posting { state, updated_at: now, ..posting.clone() })
    }

    fn take_in_unreadable(
        &self,
        unreadable: Unreadable,
        session: &mut Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        let Some(source_id) = unreadable.source_id else {
            session.report.errors.push(format!("not everything could be read: {}", unreadable.message));
            return Ok(Vec::new());
        };
        let revision = Revision::new(format!(
            "unreadable-{}",
            &blake3::hash(unreadable.message.as_bytes()).to_hex()[..16]
        ));
        let known = self.store.postings_of(self.settings.flow(), &source_id)?;
        if !known.is_empty() {
            return Ok(Vec::new());
        }
        session.report.held += 1;
        let finding = Finding {
            code: FindingCode::SourceUnreadable,
            line: None,
            field: "record".to_owned(),
            value: source_id.to_string(),
            message: unreadable.message,
            fix: "open the record in the spend system, correct what is named here, then replay it".to_owned(),
        };
        let document = empty_document(source_id, revision);
        let flow = self.settings.flow().clone();
        let held = Posting::held(flow, document, None, vec![finding], self.clock.now());
        Ok(vec![(self.on_its_way(held), "held")])
    }

    /// Compares marked records with the posting log; answers the held postings of those that changed, and what they take
    /// the place of.
    pub(super) fn changed_records(
        &self,
        page: SourcePage,
        session: &mut Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        let mut changed = Vec::new();
        let mut seen = BTreeSet::new();
        for document in page.documents {
            let known = self.store.postings_of(self.settings.flow(), &document.source_id)?;
            let same = known.iter().find(|p| p.revision == document.revision && !is_superseded(p));
            let first = seen.insert((document.source_id.clone(), document.revision.clone()));
            match same {
                _ if !first => {}
                Some(same) => changed.extend(self.withdraw_notices(&known, same, session)?),
                None if known.iter().any(Posting::may_be_in_erp) => {
                    changed.extend(self.changed(document, &known, session)?);
                }
                None => {}
            }
        }
        Ok(changed)
    }

    /// Holds a change after posting. A person needs one item for it, however often the record was edited: the newest.
    fn changed(
        &self,
        document: SpendDocument,
        known: &[Posting],
        session: &mut Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        let mut postings = self.supersede_notices(known, &document.revision, session)?;
        session.report.changed += 1;
        session.report.held += 1;
        let finding = changed_after_posting(&document);
        let held =
            Posting::held(self.settings.flow().clone(), document, None, vec![finding], self.clock.now());
        postings.push((self.on_its_way(held), "changed"));
        Ok(postings)
    }

    /// A record that was edited back to what is booked leaves nothing to correct.
    fn withdraw_notices(
        &self,
        known: &[Posting],
        same: &Posting,
        session: &Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        match same.state.receipt() {
            Some(_) => self.supersede_notices(known, &same.revision, session),
            None => Ok(Vec::new()),
        }
    }

    /// Nothing of the other revisions of the record is to be written any more.
    fn supersede_others(
        &self,
        known: &[Posting],
        by: &Revision,
        session: &Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        let others = known.iter().filter(|p| p.revision != *by && can_be_superseded(p));
        let superseded = others.map(|older| {
            let (next, _) = self.step(session, older, Event::Superseded { by: by.clone() })?;
            Ok((next, "superseded"))
        });
        superseded.collect()
    }

    fn supersede_notices(
        &self,
        known: &[Posting],
        by: &Revision,
        session: &Session,
    ) -> Result<Vec<(Posting, &'static str)>, RunError> {
        let notices = known.iter().filter(|p| p.revision != *by && is_change_notice(p));
        let superseded = notices.map(|notice| {
            let (next, _) = self.step(session, notice, Event::Superseded { by: by.clone() })?;
            Ok((next, SUPERSEDED))
        });
        superseded.collect()
    }
}

/// Why a newer state of a record that was posted waits for a person.
pub(super) fn changed_after_posting(document: &SpendDocument) -> Finding {
    Finding {
            code: FindingCode::ChangedAfterPosting,
            line: None,
            field: "record".to_owned(),
            value: document.source_id.to_string(),
            message: "the record was changed in the spend system after it had been posted".to_owned(),
            fix: "correct the document in the ERP by hand (reversal and repost, or the difference), then close this \
                  item with `purser records handle`"
                .to_owned(),
        }
}

/// Whether all that it waits for is a person who looks at a change after posting.
fn is_change_notice(posting: &Posting) -> bool {
    waits_only_for(posting, FindingCode::ChangedAfterPosting)
}

/// Whether it is held for this reason alone, and nothing is in doubt.
pub(super) fn waits_only_for(posting: &Posting, code: FindingCode) -> bool {
    match &posting.state {
        PostingState::Held(hold) => !hold.in_doubt && hold.findings.iter().all(|f| f.code == code),
        PostingState::Planned
        | PostingState::Claimed { .. }
        | PostingState::InDoubt { .. }
        | PostingState::Waiting { .. }
        | PostingState::Posted { .. }
        | PostingState::Acknowledged { .. }
        | PostingState::Superseded { .. }
        | PostingState::Handled { .. } => false,
    }
}

/// Whether a posting whose record is offered again needs nobody's word any more: all that it waited for is that its
/// record is offered like this, and nothing of another revision is booked.
pub(super) fn is_released(posting: &Posting, known: &[Posting]) -> bool {
    // The second was told as a change after a posting that has not come about since.
    let waits = waits_only_for(posting, FindingCode::NoLongerReady) || is_change_notice(posting);
    waits && !known.iter().any(|other| other.key != posting.key && other.may_be_in_erp())
}

fn is_superseded(posting: &Posting) -> bool {
    matches!(posting.state, PostingState::Superseded { .. })
}

pub(super) fn can_be_superseded(posting: &Posting) -> bool {
    match &posting.state {
        PostingState::Planned | PostingState::Waiting { .. } | PostingState::Held(_) => {
            !posting.may_be_in_erp()
        }
        PostingState::Claimed { .. }
        | PostingState::InDoubt { .. }
        | PostingState::Posted { .. }
        | PostingState::Acknowledged { .. }
        | PostingState::Superseded { .. }
        | PostingState::Handled { .. } => false,
    }
}

fn empty_document(source_id: SourceId, revision: Revision) -> SpendDocument {
    SpendDocument {
        source_id,
        revision,
        kind: RecordKind::ExpenseReport,
        title: String::new(),
        owner: Owner::default(),
        workspace: String::new(),
        status: String::new(),
        currency: Currency::USD,
        submitted: None,
        approved: None,
        paid: None,
        declared_total: Some(Money::zero(Currency::USD)),
        lines: Vec::new(),
        same_as: None,
        part_of: None,
    }
}
